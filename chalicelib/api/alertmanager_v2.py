"""Alertmanager's API v2 for whoever reads alerts and makes silences: `amtool`, Karma, Grafana. `docs/alertmanager.md`.

Paths, fields and statuses are Alertmanager's (https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml).
An error is a JSON text. What a request may do is what the token may do at Tocsin's own API. `POST /api/v2/alerts` is a
door for senders (`ingest/alerts.py`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chalicelib.api import alertmanager_alerts, alertmanager_silences, alertmanager_status, requests
from chalicelib.api.alertmanager_alerts import Wanted
from chalicelib.api.routes import ApiContext, Request
from chalicelib.core.errors import NotFoundError, RequestError
from chalicelib.core.match import Matcher
from chalicelib.core.pattern import PatternError, compiled

MAX_FILTERS = 32
MAX_RECEIVER_CHARACTERS = 1_000
_FLAGS = {"true": True, "1": True, "false": False, "0": False}
_NOT_READ = "receiver_matchers"


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered, as JSON; None: an empty body. `total` is set where a list was cut: so many there are."""

    body: Any
    status: int = 200
    total: int | None = None


def get_status(api: ApiContext, request: Request) -> Answer:
    """GET /api/v2/status"""
    return Answer(alertmanager_status.status(api.rules, api.store.context(), api.now))


def get_receivers(api: ApiContext, request: Request) -> Answer:
    """GET /api/v2/receivers: the routes, since a route is who is notified, and when"""
    _check_query(request)
    return Answer(alertmanager_status.receivers(api.rules))


def get_alerts(api: ApiContext, request: Request) -> Answer:
    """GET /api/v2/alerts?filter=service="api"&active=true&silenced=false&inhibited=false&receiver=.*"""
    found = alertmanager_alerts.found(api, _wanted(request))
    return Answer(alertmanager_alerts.alerts(found), total=found.cut_from)


def get_groups(api: ApiContext, request: Request) -> Answer:
    """GET /api/v2/alerts/groups, with the same parameters and `muted`: each open incident is a group"""
    found = alertmanager_alerts.found(api, _wanted(request, groups=True))
    return Answer(alertmanager_alerts.groups(found), total=found.cut_from)


def get_silences(api: ApiContext, request: Request) -> Answer:
    """GET /api/v2/silences?filter=service="api"&active=true&pending=true&expired=false"""
    states = [state for state in alertmanager_silences.STATES if _flag(request, state)]
    return Answer(alertmanager_silences.listed(api.store.context(), api.now, _filters(request), states))


def get_silence(api: ApiContext, request: Request, *, id: str) -> Answer:
    """GET /api/v2/silence/{id}"""
    try:
        return Answer(alertmanager_silences.one(api.store.context(), id, api.now))
    except NotFoundError:
        return Answer(None, 404)


def post_silence(api: ApiContext, request: Request) -> Answer:
    """POST /api/v2/silences: make one; with the id of one, edit it"""
    if request.content_type.partition(";")[0].strip().lower() != "application/json":
        raise RequestError("the body is no JSON by its Content-Type; expected is application/json")
    form = request.form()
    return Answer({"silenceID": alertmanager_silences.posted(api, form, _by(request, form))})


def delete_silence(api: ApiContext, request: Request, *, id: str) -> Answer:
    """DELETE /api/v2/silence/{id}: end it now; one that has ended stays so"""
    try:
        alertmanager_silences.expired(api, id, _by(request, {"createdBy": alertmanager_silences.UNNAMED}))
    except NotFoundError:
        return Answer(None, 404)
    return Answer(None)


def _by(request: Request, form: Mapping[str, Any]) -> str:
    return request.by({"by": form.get("createdBy")}, field="createdBy")


def _wanted(request: Request, *, groups: bool = False) -> Wanted:
    """Return what of the alerts is asked for."""
    _check_query(request)
    return Wanted(
        matchers=_filters(request),
        active=_flag(request, "active"),
        silenced=_flag(request, "silenced"),
        inhibited=_flag(request, "inhibited"),
        muted=_flag(request, "muted") if groups else True,
        receiver=_receiver(request.one("receiver")),
    )


def _check_query(request: Request) -> None:
    """Raise RequestError for a filter that is not read here: without it more would be listed than was asked for."""
    if request.query.get(_NOT_READ):
        raise RequestError(f"`{_NOT_READ}` is not read here, since routes have no labels; expected is `receiver`")


def _filters(request: Request) -> tuple[Matcher, ...]:
    given = request.query.get("filter") or ()
    if len(given) > MAX_FILTERS:
        raise RequestError(f"{len(given)} filters are too many; allowed are {MAX_FILTERS}")
    return requests.parse_words(given)


def _flag(request: Request, name: str) -> bool:
    """Return a flag of the query. As in Alertmanager the last one counts, and one that is empty is as if it was not given."""
    word = request.one(name) or "true"
    if word.lower() not in _FLAGS:
        raise RequestError(f"`{name}` is {word[:40]!r}; allowed are true, false")
    return _FLAGS[word.lower()]


def _receiver(pattern: str) -> str:
    """Return the pattern of `receiver`, which Alertmanager anchors. Raise RequestError for one that RE2 refuses."""
    if len(pattern) > MAX_RECEIVER_CHARACTERS or not re.fullmatch(r"[^\x00-\x1f]*", pattern):
        raise RequestError(f"`receiver` is no pattern; allowed are {MAX_RECEIVER_CHARACTERS:,} printable characters")
    try:
        compiled(pattern)
    except PatternError as error:
        raise RequestError(f"`receiver` is no regular expression of RE2: {error}") from None
    return pattern
