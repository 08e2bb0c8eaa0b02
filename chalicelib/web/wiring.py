"""Builds what the page works with, and turns Chalice's request into one of its own."""

import os
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache, partial
from typing import Any

from chalicelib import wiring
from chalicelib.core.rule import shown
from chalicelib.deliver import runbooks
from chalicelib.targets import kinds
from chalicelib.web.exchange import PageReply, PageRequest
from chalicelib.web.handle import answer as handled
from chalicelib.web.visitor import PageContext


def answer(request: Any, names: Mapping[str, str], *, account: str | None, now: datetime) -> PageReply:
    """Return the answer to a request of Chalice."""
    return handled(_request(request, names), context(account, now))


def context(account: str | None, now: datetime) -> PageContext:
    """Return the ports of the page, with secrets that the functions of the API share."""
    ports = wiring.ports(account)
    return PageContext(
        store=ports.store,
        webhooks=ports.webhooks,
        rules=wiring.rules(),
        secrets=ports.secrets,
        stage=os.environ.get("TOCSIN_STAGE", ""),
        now=now,
        name=target_name,
        runbook=partial(runbooks.find, base_url=ports.clients.setting("RUNBOOK_BASE_URL")),
        http=ports.clients.http,
        dead_letters=lambda: ports.redriven,
    )


@lru_cache(maxsize=1_000)
def target_name(key: str) -> str:
    """Return a target for people: `Slack #incidents`; of an address that may hold a secret only the host."""
    kind, _, address = key.partition(":")
    known = kinds().get(kind)
    return known.shown(address) if known is not None else shown(key)


def _request(request: Any, names: Mapping[str, str]) -> PageRequest:
    query = request.query_params
    return PageRequest(
        method=str(request.method),
        path=str(request.context["resourcePath"]),
        names=dict(names),
        query={name: query.getlist(name) for name in query} if query else {},
        body=request.raw_body if request.method == "POST" else b"",
        headers={name.lower(): value for name, value in request.headers.items()},
        address=str((request.context.get("identity") or {}).get("sourceIp", "")),
    )
