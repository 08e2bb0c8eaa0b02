"""Sentry's issues and metric alerts of a time, and what became of the issues that burn here.

SENTRY_API_TOKEN (scopes event:read, org:read, alerts:read) and SENTRY_ORG turn it on; SENTRY_API_URL names another host.
SENTRY_REPAIR=ends leaves out new issues, for an integration that does not hear of `issue`: they were not missed.
New issues become `issue.created`, those that came back `issue.unresolved`, those that ended `issue.resolved` or
`issue.ignored`; incidents of metric alerts `metric_alert.<critical|warning|open|resolved>`. Which alert rule of an issue
fired is not told by any public API, so a missed `event_alert` comes back as its issue.

Limits are told by headers (X-Sentry-Rate-Limit-Remaining, -Reset), pages by `Link`.
https://docs.sentry.io/api/events/list-an-organizations-issues/ https://docs.sentry.io/api/ratelimits/
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx

from chalicelib.core.errors import TargetRejectedError
from chalicelib.core.payload import coerce
from chalicelib.histories import MAX_PAGES, Found, History, asked, exhausted, listed, stamp, token

if TYPE_CHECKING:
    from chalicelib.core.ports import Clients

VENDOR = "Sentry"
HOST = "https://sentry.io"
ENDS_ONLY = "ends"
MAX_GROUPS = 100
PAGE = (("limit", "100"), ("per_page", "100"))
"""Its endpoints name it differently."""
_CAME_BACK = frozenset({"regressed", "escalating"})
_ENDED = {"resolved": "resolved", "ignored": "ignored", "archived": "ignored"}
_ACTIONS = {"1": "open", "2": "resolved", "10": "warning", "20": "critical"}
"""Numbers of an incident's status."""


def read(clients: "Clients", *, since: datetime, until: datetime, burning: Sequence[str]) -> History:
    """What happened after `since` up to `until`; `burning` are the ids of issues that burn here."""
    bearer, organization = token(clients, "SENTRY_API_TOKEN", "SENTRY_ORG")
    base = f"{clients.setting('SENTRY_API_URL', HOST).rstrip('/')}/api/0/organizations/{organization}"
    window = [("start", stamp(since)), ("end", stamp(until)), ("project", "-1")]
    issues, whole = _pages(clients, f"{base}/issues/", bearer, [*window, ("query", ""), ("sort", "date")], until)
    implied = _ended if clients.setting("SENTRY_REPAIR") == ENDS_ONLY else partial(_of_issue, since=since)
    found = [each for issue in issues if (each := implied(issue, until=until)) is not None]
    if whole and burning:
        groups = [("group", number) for number in burning[:MAX_GROUPS] if number.isdigit()]
        known = {str(issue.get("id")) for issue in issues}
        burnt, whole = _pages(clients, f"{base}/issues/", bearer, [*groups, ("project", "-1")], until, pages=1)
        others = [issue for issue in burnt if str(issue.get("id")) not in known]
        found += [each for issue in others if (each := _ended(issue, until=until)) is not None]
    if whole:
        incidents, whole = _incidents(clients, f"{base}/incidents/", bearer, window, until)
        found += [_of_incident(incident, until) for incident in incidents]
    return History(found, until if whole else since)


def _pages(
    clients: "Clients",
    address: str,
    bearer: str,
    params: Sequence[tuple[str, str]],
    now: datetime,
    pages: int = MAX_PAGES,
) -> tuple[list[Mapping[str, Any]], bool]:
    """The objects of some pages, and whether it was all that was to be read before the limit."""
    found: list[Mapping[str, Any]] = []
    cursor: list[tuple[str, str]] = []
    for _ in range(pages):
        answer = asked(clients, VENDOR, address, bearer, [*params, *PAGE, *cursor], now=now)
        found += listed(answer, VENDOR)
        cursor = _next(answer)
        if not cursor:
            return found, not exhausted(answer)
        if exhausted(answer):
            return found, False
    return found, True


def _next(answer: httpx.Response) -> list[tuple[str, str]]:
    link = re.search(r'rel="next";\s*results="true";\s*cursor="([^"]{1,200})"', answer.headers.get("link", ""))
    return [("cursor", link[1])] if link else []


def _incidents(
    clients: "Clients", address: str, bearer: str, window: Sequence[tuple[str, str]], now: datetime
) -> tuple[list[Mapping[str, Any]], bool]:
    """The incidents of metric alerts; organisations without them answer 404."""
    try:
        return _pages(clients, address, bearer, window, now, pages=1)
    except TargetRejectedError as error:
        if "404" not in str(error):
            raise
        return [], True


def _of_issue(issue: Mapping[str, Any], *, since: datetime, until: datetime) -> Found | None:
    """The webhook that an issue implies; None when nothing about it changed that a webhook would tell."""
    first = coerce.instant(issue.get("firstSeen"))
    status = coerce.word(issue.get("status"))
    if status in _ENDED:
        return _ended(issue, until=until)
    if first is not None and first > since:
        return _issue(issue, "created", first)
    if coerce.word(issue.get("substatus")) in _CAME_BACK and (last := coerce.instant(issue.get("lastSeen"))):
        return _issue(issue, "unresolved", last)
    return None


def _ended(issue: Mapping[str, Any], *, until: datetime) -> Found | None:
    """The end of an issue. When it ended is not told: by `until`, and after its last event."""
    action = _ENDED.get(coerce.word(issue.get("status")))
    if action is None:
        return None
    last = coerce.instant(issue.get("lastSeen"))
    return _issue(issue, action, max(until, last + timedelta(seconds=1)) if last else until)


def _issue(issue: Mapping[str, Any], action: str, at: datetime) -> Found:
    body = {"action": action, "data": {"issue": issue}}
    return Found(body, at, {"sentry-hook-resource": "issue", "sentry-hook-timestamp": str(int(at.timestamp()))})


def _of_incident(incident: Mapping[str, Any], until: datetime) -> Found:
    """An incident in the words of its webhook."""
    rule = coerce.table(incident.get("alertRule"))
    action = _ACTIONS.get(coerce.line(incident.get("status")), "open")
    alert = {
        "id": incident.get("id"),
        "identifier": incident.get("identifier"),
        "organization_id": incident.get("organizationId"),
        "projects": incident.get("projects"),
        "title": incident.get("title"),
        "status": incident.get("status"),
        "date_started": incident.get("dateStarted"),
        "date_detected": incident.get("dateDetected"),
        "date_closed": incident.get("dateClosed"),
        "alert_rule": {
            "id": rule.get("id"),
            "name": rule.get("name"),
            "organization_id": rule.get("organizationId"),
            "environment": rule.get("environment"),
            "aggregate": rule.get("aggregate"),
            "query": rule.get("query"),
            "dataset": rule.get("dataset"),
            "time_window": rule.get("timeWindow"),
            "projects": rule.get("projects"),
        },
    }
    times = (incident.get("dateClosed") if action == "resolved" else None, incident.get("dateDetected"))
    at = coerce.first_instant(*times, incident.get("dateStarted"))
    headers = {"sentry-hook-resource": "metric_alert"}
    return Found({"action": action, "data": {"metric_alert": alert}}, at or until, headers)
