"""The application on loopback, with a router on a virtual clock behind it: for real clients over real sockets."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import app
from chalicelib import wiring
from chalicelib.api import access
from tests.api_harness import ApiHarness
from tests.fakes import FixedSecrets
from tests.gateway import Gateway, gateway

TOKEN = "token-of-a-test-that-is-long"
READER = "token-that-only-reads-long-enough"
SECRETS = {"API_TOKEN": f"{TOKEN},ana:{TOKEN}-of-ana", "PAGE_TOKEN": READER, "ALERTMANAGER_SECRET": "secret-of-alerts"}


@contextmanager
def door(
    monkeypatch: Any, desk: ApiHarness, *, now: Callable[[], datetime] | None = None, **environment: str
) -> Iterator[Gateway]:
    """The address at which the application answers from the router of a desk, at the time of that or at `now`."""
    found = SimpleNamespace(
        store=desk.router.store, webhooks=desk.router.queues.webhooks, secrets=FixedSecrets(SECRETS)
    )
    monkeypatch.setattr(wiring, "ports", lambda account, needs=None: found)
    monkeypatch.setattr(wiring, "rules", lambda: desk.router.rules)
    monkeypatch.setattr(app, "_now", now or (lambda: desk.router.now))
    monkeypatch.setattr(access, "WRONG_TOKENS", access.WrongTokens())
    with gateway(monkeypatch, **{**SECRETS, **environment}) as served:
        yield served
