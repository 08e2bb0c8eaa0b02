"""PagerDuty's REST API, as far as a router asks it: which alert an incident is about, and who is on call.

https://developer.pagerduty.com/api-reference. PAGERDUTY_API_TOKEN may read; PAGERDUTY_API_URL is another base
(https://api.eu.pagerduty.com).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from chalicelib.core.delivery.writing import one_line
from chalicelib.core.errors import TargetRejectedError, TargetUnavailableError
from chalicelib.core.ports import Clients
from chalicelib.targets._http import call, raise_for_status

BASE = "https://api.pagerduty.com"
MAX_KEYS = 20
MAX_ON_CALL = 5


def alert_keys(incident: str, clients: Clients, *, now: datetime) -> tuple[str, ...]:
    """Return the dedup_keys of an incident's alerts; raises as a target does."""
    if not incident.isalnum():
        raise TargetRejectedError("PagerDuty: the incident has no id")
    found = _get(f"incidents/{incident}/alerts", {"limit": "100"}, clients, now).get("alerts")
    keys = (each.get("alert_key") for each in found or () if isinstance(each, dict))
    return tuple(dict.fromkeys(key for key in keys if isinstance(key, str) and key))[:MAX_KEYS]


def on_call(clients: Clients, *, now: datetime) -> tuple[str, ...]:
    """Return who is called first now, each once; nobody where PagerDuty names nobody, or no token is set."""
    if not clients.secret("PAGERDUTY_API_TOKEN"):
        return ()
    try:
        found = _get("oncalls", {"limit": "100", "earliest": "true", "include[]": "users"}, clients, now).get("oncalls")
    except (TargetRejectedError, TargetUnavailableError):
        return ()
    first = [each for each in found or () if isinstance(each, dict) and each.get("escalation_level") == 1]
    names = (one_line(str((each.get("user") or {}).get("summary") or "")) for each in first)
    return tuple(dict.fromkeys(name for name in names if name))[:MAX_ON_CALL]


def _get(path: str, params: Mapping[str, str], clients: Clients, now: datetime) -> dict[str, Any]:
    token = (clients.secret("PAGERDUTY_API_TOKEN") or "").strip()
    if not token:
        raise TargetRejectedError("PagerDuty: PAGERDUTY_API_TOKEN is not set")
    base = clients.setting("PAGERDUTY_API_URL", BASE).rstrip("/")
    headers = {"Authorization": f"Token token={token}", "Accept": "application/vnd.pagerduty+json;version=2"}
    answer = call(clients, "GET", f"{base}/{path}", name="PagerDuty", params=params, headers=headers)
    raise_for_status(answer, name="PagerDuty", now=now)
    return answer.json()
