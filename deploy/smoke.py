"""Requests to a stage that was deployed."""

import urllib.error
import urllib.request
from collections.abc import Mapping

from deploy.clients import is_local

SMOKE_SECONDS = 20.0
SMOKE_EVENT = {"action": "created", "data": {"installation": {"uuid": "tocsin-smoke-test", "status": "installed"}}}
"""A Sentry webhook that is about no fault: it is recorded as information and told to nobody."""


def request(url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Status and body of an answer; 0 and why when there is none."""
    asked = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json", **(headers or {})})
    handlers = [urllib.request.ProxyHandler({})] if is_local(url) else []
    try:
        with urllib.request.build_opener(*handlers).open(asked, timeout=SMOKE_SECONDS) as answer:
            return answer.status, answer.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode(errors="replace")
    except OSError as error:
        return 0, str(getattr(error, "reason", error))
