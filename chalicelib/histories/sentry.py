"""Sentry's issues and metric alerts of a time, and what became of the issues that fire here.

SENTRY_API_TOKEN (scopes event:read, org:read, alerts:read) and SENTRY_ORG turn it on; SENTRY_API_URL names another host.
SENTRY_REPAIR=ends leaves out new issues, for an integration that does not subscribe to `issue`: they were not missed.
New issues become `issue.created`, those that came back `issue.unresolved`, those that ended `issue.resolved` or
`issue.ignored`; incidents of metric alerts `metric_alert.<critical|warning|open|resolved>`, on servers that still have
them. Issues of metrics and monitors are read by category, and from the monitors (`detectors`) where there are any. No
public API says which alert rule of an issue fired, so a missed `event_alert` comes back as its issue.

Limits are for each endpoint, in headers (X-Sentry-Rate-Limit-Remaining, -Reset); pages by `Link`.
https://docs.sentry.io/api/events/list-an-organizations-issues/ https://docs.sentry.io/api/ratelimits/
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx

from chalicelib.core.errors import NotSetUpError
from chalicelib.core.instants import rfc3339
from chalicelib.core.metrics.sample import Sample
from chalicelib.core.payload import coerce
from chalicelib.core.payload.retirement import Retirement, retirement
from chalicelib.histories import (
    ABSENT,
    MAX_PAGES,
    Endpoint,
    Found,
    History,
    asked,
    exhausted,
    listed,
    pairs,
    token,
)

if TYPE_CHECKING:
    from chalicelib.core.ports import Clients

VENDOR = "Sentry"
ERRORS_A_MINUTE = "SENTRY_ERRORS_A_MINUTE"
"""Names the projects, with commas, whose errors are counted; nothing is counted without it. One call a project."""
PARAMETERS = ("SENTRY_API_TOKEN", "SENTRY_ORG", "SENTRY_API_URL", "SENTRY_REPAIR", "SENTRY_ERRORS_A_MINUTE")
MAX_PROJECTS = 10
MAX_SPAN = timedelta(hours=1)
"""How far back errors are counted after an outage."""
BUCKETS = 6
"""Of ten seconds, in a minute."""
HOST = "https://sentry.io"
ENDS_ONLY = "ends"
MAX_GROUPS = 100
PAGE = (("limit", "100"), ("per_page", "100"))
"""Its endpoints name it differently."""
MONITORED = ("metric", "outage")
"""Categories of issues that monitors make."""
WATCHING = ("metric_issue", "uptime_domain_failure", "monitor_check_in_failure")
"""Types of monitors whose newest issue says how things are; those of errors are read as issues."""
_CAME_BACK = frozenset({"regressed", "escalating"})
_ENDED = {"resolved": "resolved", "ignored": "ignored", "archived": "ignored"}
_ACTIONS = {"1": "open", "2": "resolved", "10": "warning", "20": "critical"}
"""Numbers of an incident's status."""


@dataclass(slots=True)
class _List:
    """What was read of one list: `whole` when no page is left, `exhausted` when its rate limit takes no more."""

    items: list[Mapping[str, Any]] = field(default_factory=list)
    whole: bool = True
    exhausted: bool = False
    retires: Retirement | None = None

    def history(self, found: Iterable[Found | None], since: datetime, until: datetime) -> History:
        """Return what was found of it, up to when it was read."""
        implied = [each for each in found if each is not None]
        return History(implied, until if self.whole else since, self.exhausted, self.retires)


def _issues(clients: "Clients", *, since: datetime, until: datetime, active: Sequence[str]) -> History:
    """Return what happened to issues after `since` up to `until`."""
    params = [*_window(since, until), ("query", ""), ("sort", "date")]
    read = _pages(clients, "issues", params, until)
    implied = _ended if clients.setting("SENTRY_REPAIR") == ENDS_ONLY else partial(_of_issue, since=since)
    return read.history((implied(issue, until=until) for issue in read.items), since, until)


def _open_issues(clients: "Clients", *, since: datetime, until: datetime, active: Sequence[str]) -> History:
    """Return which of the issues that fire here have ended, whenever that was."""
    groups = [("group", number) for number in active if number.isdigit()][:MAX_GROUPS]
    if not groups:
        _organization(clients)
        return History((), until)
    read = _pages(clients, "issues", [*groups, ("project", "-1")], until, pages=1)
    return read.history((_ended(issue, until=until) for issue in read.items), since, until)


def _monitor_issues(clients: "Clients", *, since: datetime, until: datetime, active: Sequence[str]) -> History:
    """Return what happened to issues of metrics, uptime and cron monitors. No webhook of Sentry announces those of metrics.

    Servers that do not know these categories answer 400.
    """
    params = [*_window(since, until), ("query", f"issue.category:[{', '.join(MONITORED)}]"), ("sort", "date")]
    read = _pages(clients, "issues", params, until, absent=(400, *ABSENT))
    return read.history(map(_implied(clients, since, until), read.items), since, until)


def _detectors(clients: "Clients", *, since: datetime, until: datetime, active: Sequence[str]) -> History:
    """Return what became of the newest issue of each monitor, where the server has monitors."""
    read = _pages(clients, "detectors", [("project", "-1"), ("sortBy", "-latestGroup")], until)
    issues = (coerce.table(each.get("latestGroup")) for each in read.items if coerce.word(each.get("type")) in WATCHING)
    lately = (each for each in issues if each and _is_lately(each, since, active))
    return read.history(map(_implied(clients, since, until), lately), since, until)


def _implied(clients: "Clients", since: datetime, until: datetime) -> Callable[[Mapping[str, Any]], Found | None]:
    """Return what makes a webhook of a monitor's issue. New ones of metrics were missed by whichever integration."""
    ends_only = clients.setting("SENTRY_REPAIR") == ENDS_ONLY

    def found(issue: Mapping[str, Any]) -> Found | None:
        if ends_only and coerce.word(issue.get("issueCategory")) != "metric":
            return _ended(issue, until=until)
        return _of_issue(issue, since=since, until=until)

    return found


def _is_lately(issue: Mapping[str, Any], since: datetime, active: Sequence[str]) -> bool:
    """Return whether an issue is of this time, or fires here. Every monitor shows its newest issue for ever."""
    last = coerce.first_instant(issue.get("lastSeen"), issue.get("firstSeen"))
    return coerce.line(issue.get("id")) in active or (last is not None and last > since)


def _metric_alerts(clients: "Clients", *, since: datetime, until: datetime, active: Sequence[str]) -> History:
    """Return the incidents of metric alerts after `since` up to `until`; organisations without them answer 404."""
    read = _pages(clients, "incidents", _window(since, until), until, pages=1)
    return read.history((_of_incident(incident, until) for incident in read.items), since, until)


def _errors_a_minute(clients: "Clients", *, since: datetime, until: datetime, active: Sequence[str]) -> History:
    """Return how many errors the named projects received in each whole minute. Nothing is asked without names."""
    projects = [each.strip() for each in clients.setting(ERRORS_A_MINUTE).split(",") if each.strip()]
    if not projects:
        raise NotSetUpError(f"{ERRORS_A_MINUTE} names no project")
    first, last = (int(each.timestamp()) // 60 * 60 for each in (max(since, until - MAX_SPAN), until))
    retires, samples = None, []
    for project in projects[:MAX_PROJECTS]:
        answer = _stats(clients, project, first, last)
        retires = retires or retirement(answer.headers)
        samples += _minutes(answer, project, first, last)
    return History((), datetime.fromtimestamp(last, UTC), retires=retires, samples=samples)


def _stats(clients: "Clients", project: str, first: int, last: int) -> httpx.Response:
    base, bearer = _organization(clients)
    host, _, organization = base.rpartition("/organizations/")
    address = f"{host}/projects/{organization}/{quote(project, safe='')}/stats/"
    window = [("stat", "received"), ("since", str(first)), ("until", str(last)), ("resolution", "10s")]
    return asked(clients, VENDOR, address, bearer, window, now=datetime.fromtimestamp(last, UTC))


def _minutes(answer: httpx.Response, project: str, first: int, last: int) -> list[Sample]:
    """Return the sums of minutes of which all six buckets are there, each at its end."""
    found: dict[int, list[float]] = {}
    for each in pairs(answer, VENDOR):
        at, count = coerce.number(each[0]), coerce.number(each[1])
        if at is not None and count is not None and first <= at < last:
            found.setdefault(int(at) // 60 * 60, []).append(count)
    labels = {"source": "sentry", "service": project}
    return [
        Sample("errors_per_min", sum(counts), datetime.fromtimestamp(minute + 60, UTC), labels)
        for minute, counts in sorted(found.items())
        if len(counts) == BUCKETS
    ]


ENDPOINTS = (
    Endpoint("issues", "issues", _issues, limit="issues"),
    Endpoint("open_issues", "issues that fire here", _open_issues, limit="issues"),
    Endpoint("monitor_issues", "issues of metrics and monitors", _monitor_issues, optional=True, limit="issues"),
    Endpoint("detectors", "monitors", _detectors, optional=True),
    Endpoint("metric_alerts", "metric alerts", _metric_alerts, optional=True),
    Endpoint("errors_a_minute", "errors a minute", _errors_a_minute, optional=True),
)


def _organization(clients: "Clients") -> tuple[str, str]:
    """Return the address of the organisation and the token."""
    bearer, organization = token(clients, "SENTRY_API_TOKEN", "SENTRY_ORG")
    return f"{clients.setting('SENTRY_API_URL', HOST).rstrip('/')}/api/0/organizations/{organization}", bearer


def _window(since: datetime, until: datetime) -> list[tuple[str, str]]:
    return [("start", rfc3339(since)), ("end", rfc3339(until)), ("project", "-1")]


def _pages(
    clients: "Clients",
    name: str,
    params: Sequence[tuple[str, str]],
    now: datetime,
    pages: int = MAX_PAGES,
    absent: Collection[int] = ABSENT,
) -> _List:
    """Return the objects of some pages of an organisation's list."""
    base, bearer = _organization(clients)
    read = _List()
    cursor: list[tuple[str, str]] = []
    for _ in range(pages):
        answer = asked(clients, VENDOR, f"{base}/{name}/", bearer, [*params, *PAGE, *cursor], now=now, absent=absent)
        read.retires = read.retires or retirement(answer.headers)
        read.items += listed(answer, VENDOR)
        cursor = _next(answer)
        read.exhausted = exhausted(answer)
        read.whole = not (cursor and read.exhausted)
        if not cursor or read.exhausted:
            break
    return read


def _next(answer: httpx.Response) -> list[tuple[str, str]]:
    link = re.search(r'rel="next";\s*results="true";\s*cursor="([^"]{1,200})"', answer.headers.get("link", ""))
    return [("cursor", link[1])] if link else []


def _of_issue(issue: Mapping[str, Any], *, since: datetime, until: datetime) -> Found | None:
    """Return the webhook that an issue implies; None when nothing about it changed that a webhook would bring."""
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
    """Return the end of an issue. Sentry names no time of it: by `until`, and after its last event."""
    action = _ENDED.get(coerce.word(issue.get("status")))
    if action is None:
        return None
    last = coerce.instant(issue.get("lastSeen"))
    return _issue(issue, action, max(until, last + timedelta(seconds=1)) if last else until)


def _issue(issue: Mapping[str, Any], action: str, at: datetime) -> Found:
    body = {"action": action, "data": {"issue": issue}}
    return Found(body, at, {"sentry-hook-resource": "issue", "sentry-hook-timestamp": str(int(at.timestamp()))})


def _of_incident(incident: Mapping[str, Any], until: datetime) -> Found:
    """Return an incident in the words of its webhook."""
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
