"""What webhooks missed: the histories of vendors, compared with what is known here.

A history is read endpoint by endpoint, each from a cursor of its own: what one answers costs nothing that others gave.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from chalicelib import log
from chalicelib.core.alert import Alert, Origin
from chalicelib.core.errors import EndpointAbsentError, NotSetUpError, ParseError, TargetUnavailableError
from chalicelib.core.event import Event, Status, fingerprint
from chalicelib.core.incident import Incident
from chalicelib.core.listing import listed, with_alerts
from chalicelib.core.ports import Clients, Store
from chalicelib.histories import Endpoint, Found, History
from chalicelib.log import reason_of
from chalicelib.messages.queue import samples_messages
from chalicelib.messages.webhook import Webhook, compressed, written
from chalicelib.process.batch import Batch
from chalicelib.process.gather import take_event
from chalicelib.process.lead import reached
from chalicelib.process.parse import parsed
from chalicelib.schedule.reconciliation import FARTHEST, LIMITED, Reconciliation, instant_or_none
from chalicelib.schedule.retirement import note_absent, note_read

if TYPE_CHECKING:
    from chalicelib.plugin_modules import HistoryModule

ON_ITS_WAY = timedelta(minutes=3)
"""What is younger may still come by itself."""
ENDPOINT_LIMIT = timedelta(seconds=10)
"""No request begins later in the reading of one endpoint."""
FIRST_LOOK = timedelta(minutes=15)
STUCK = timedelta(hours=1)
"""A history that could not be read for so long is reported; shorter outages of a vendor end by themselves."""
NEWEST = datetime.max.replace(tzinfo=UTC)
METRIC, METRIC_ALERT = "metric", "metric_alert."
"""The category of issues of metrics, and how the kinds of their alerts begin: one fault has both at Sentry."""
NEAR = timedelta(minutes=5)
"""Two clocks, and a delivery, may be so far apart and still mean the same notification."""


def read_history(run: Reconciliation, source: str, reader: "HistoryModule") -> None:
    """Read one vendor's history, endpoint by endpoint, and take in what is missing."""
    _adopt_marks(run, source, reader.ENDPOINTS)
    reading = _Reading(source, _active_identities(run.store, source, getattr(reader, "ACTIVE_LABEL", "issue")))
    histories = [_history(run, reading, endpoint) for endpoint in reader.ENDPOINTS]
    if any(history is not None for history in histories):
        _take(run, source, [each for history in histories if history is not None for each in history.found])
    elif any(_subject(source, endpoint) in run.undecided for endpoint in reader.ENDPOINTS):
        run.undecided.add(source)


@dataclass(frozen=True, slots=True)
class _Reading:
    """One vendor in one run: the issues that fire here, and the rate limits that are used up."""

    source: str
    active: Sequence[str]
    exhausted: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Timed:
    """Clients whose requests must begin in time, so that slow answers of one endpoint leave time for the others."""

    clients: Clients
    ends_at: float
    clock: Callable[[], float]

    def http(self) -> Any:
        """Return the HTTP client; TargetUnavailableError when no request may begin any more."""
        if self.clock() >= self.ends_at:
            raise TargetUnavailableError("Its answers took longer than one run has for them")
        return self.clients.http()

    def aws(self, service: str) -> Any:
        """Return a client of an AWS service."""
        return self.clients.aws(service)

    def secret(self, name: str) -> str | None:
        """Return a secret by its name."""
        return self.clients.secret(name)

    def setting(self, name: str, default: str = "") -> str:
        """Return a setting by its name."""
        return self.clients.setting(name, default)


def _subject(source: str, endpoint: Endpoint) -> str:
    return f"{source}:{endpoint.name}"


def _adopt_marks(run: Reconciliation, source: str, endpoints: Sequence[Endpoint]) -> None:
    """Make the one cursor that a source had before each endpoint had its own the cursor of each, and so its wait."""
    if cursor := run.marks.pop(f"repair:{source}", ""):
        for endpoint in endpoints:
            run.marks.setdefault(f"repair:{_subject(source, endpoint)}", cursor)
    if wait := run.marks.pop(f"repair_wait:{source}", ""):
        for endpoint in endpoints:
            run.marks.setdefault(f"repair_wait:{source}:{endpoint.limited_by}", wait)


def _history(run: Reconciliation, reading: _Reading, endpoint: Endpoint) -> History | None:
    """Read one endpoint and move its cursor; None when it cannot be read now, which costs the others nothing."""
    subject = _subject(reading.source, endpoint)
    if _waits(run, reading, endpoint):
        run.undecided.add(subject)
        return None
    since = _since(run, subject)
    try:
        history = _asked(run, reading, endpoint, since)
    except NotSetUpError:
        return None
    except Exception as error:  # whatever one endpoint answers is not the others' trouble
        _note_failure(run, reading.source, endpoint, error, since)
        return None
    if history.exhausted:
        reading.exhausted.add(endpoint.limited_by)
    run.marks[f"repair:{subject}"] = history.reached.isoformat()
    note_read(run, reading.source, endpoint, history.retires)
    run.messages += samples_messages(history.samples)
    _take_states(run, reading.source, history.states)
    return history


def _asked(run: Reconciliation, reading: _Reading, endpoint: Endpoint, since: datetime) -> History:
    ends_at = min(run.ends_at, run.clock() + ENDPOINT_LIMIT.total_seconds())
    clients = _Timed(run.clients, ends_at, run.clock)
    return endpoint.read(clients, since=since, until=run.now - ON_ITS_WAY, active=reading.active)


def _waits(run: Reconciliation, reading: _Reading, endpoint: Endpoint) -> bool:
    """Return True while the vendor wants no request under the endpoint's limit."""
    if endpoint.limited_by in reading.exhausted:
        return True
    wait = f"repair_wait:{reading.source}:{endpoint.limited_by}"
    ends_at = instant_or_none(run.marks.get(wait))
    if ends_at is not None and ends_at > run.now:
        return True
    run.marks.pop(wait, None)
    return False


def _since(run: Reconciliation, subject: str) -> datetime:
    cursor = instant_or_none(run.marks.get(f"repair:{subject}"))
    return max(cursor or run.now - FIRST_LOOK, run.now - FARTHEST)


def _note_failure(run: Reconciliation, source: str, endpoint: Endpoint, error: Exception, since: datetime) -> None:
    """Keep the endpoint's cursor, and report why it could not be read."""
    log.line("repair", source=source, endpoint=endpoint.name, action="failed", **log.failure(error))
    cursor = f"repair:{_subject(source, endpoint)}"
    if instant_or_none(run.marks.get(cursor)) is None:
        run.marks[cursor] = since.isoformat()
    if isinstance(error, EndpointAbsentError):
        note_absent(run, source, endpoint, error)
    if isinstance(error, TargetUnavailableError):
        _note_outage(run, source, endpoint, error, since)
    elif isinstance(error, EndpointAbsentError) and endpoint.optional:
        reason = f"{error}. Missed webhooks of this kind are not looked for."
        run.report.troubles[LIMITED, _subject(source, endpoint)] = reason
    else:
        run.report.troubles["history.failed", _subject(source, endpoint)] = f"{reason_of(error)}."


def _note_outage(
    run: Reconciliation, source: str, endpoint: Endpoint, error: TargetUnavailableError, since: datetime
) -> None:
    """Wait for as long as the vendor asks for; report what has lasted for STUCK, since shorter outages end by themselves."""
    if error.retry_after is not None:
        run.marks[f"repair_wait:{source}:{endpoint.limited_by}"] = (run.now + error.retry_after).isoformat()
    if since < run.now - STUCK:
        reason = f"{error}, since {since:%Y-%m-%d %H:%M} UTC."
        run.report.troubles["history.failed", _subject(source, endpoint)] = reason
    else:
        run.undecided.add(_subject(source, endpoint))


def _take(run: Reconciliation, source: str, found: Sequence[Found]) -> None:
    incidents = _Lately(run)
    looked_at = missed = 0
    seen: set[str] = set()
    unreadable: list[str] = []
    alerts: list[Event] = []
    for webhook in (_webhook(source, each) for each in sorted(found, key=_is_of_issue)):
        try:
            news = [event for event in _events(run, webhook) if event.status is not Status.INFO]
        except ParseError as error:
            unreadable.append(str(error))
            continue
        if not {event.id for event in news} - seen:
            continue
        seen |= {event.id for event in news}
        looked_at += 1
        if any(not _known(run, event, incidents) and not _is_metric(event, alerts) for event in news):
            missed += 1
            alerts += [event for event in news if event.kind.startswith(METRIC_ALERT)]
            run.messages.append(written(webhook, compressed(webhook.body)))
    run.report.missed[source] = (missed, looked_at)
    if unreadable:
        reason = f"{len(unreadable)} of {len(found)} entries cannot be read and are left out: {unreadable[0]}."
        run.report.troubles["history.unreadable", source] = reason
    if missed:
        log.line("repair", source=source, missed=missed, of=looked_at)
        run.report.troubles["webhooks.missed", source] = (
            f"{missed} of {looked_at} came late: their webhooks never arrived. They were read from its API."
        )


def _take_states(run: Reconciliation, source: str, states: Sequence[Found]) -> None:
    """Take in what the vendor has now, unless the alert has received it: news, or the sign that it goes on."""
    for webhook in (_webhook(source, each) for each in states):
        news = [event for event in _events(run, webhook) if event.status is not Status.INFO]
        if any(not _is_received(run, event) for event in news):
            run.messages.append(written(webhook, compressed(webhook.body)))


def _is_received(run: Reconciliation, event: Event) -> bool:
    """Return whether each alert that the event would reach has received it."""
    batch = Batch(run.rules, run.store, run.queues, run.now, run.store.context())
    take_event(batch, event, "")
    places = reached(batch)
    batch.read({key for key, _ in places})
    known = {key: incident.alerts for key, incident in batch.stored.items() if incident is not None}
    alerts = [known.get(key, {}).get(alert) for key, alert in places]
    if event.status is Status.RESOLVED:
        return not any(alert is not None and alert.active for alert in alerts)
    return all(alert is not None and _has_mark(alert, event) for alert in alerts)


def _is_of_issue(found: Found) -> bool:
    """Order what was found: the alert of a metric comes before the issue that Sentry makes of the same fault."""
    return found.headers.get("sentry-hook-resource") != "metric_alert"


def _is_metric(event: Event, alerts: Sequence[Event]) -> bool:
    """Return whether an issue of a metric is what an alert of this run is about already."""
    return event.labels.get("issue_category") == METRIC and any(
        alert.service == event.service and abs(alert.occurred_at - event.occurred_at) <= NEAR for alert in alerts
    )


class _Lately:
    """The open incidents and those that ended lately, read when the first event asks for them: few do."""

    def __init__(self, run: Reconciliation) -> None:
        self._run = run
        self._read: list[Incident] | None = None

    def __iter__(self) -> Iterator[Incident]:
        if self._read is None:
            self._read = list(self._run.store.incidents(ended_since=self._run.now - FARTHEST))
        return iter(self._read)


def _webhook(source: str, found: Found) -> Webhook:
    body = _json(found.body)
    return Webhook(
        id=f"repair:{fingerprint(source, body.decode())}",
        source=source,
        body=body,
        received_at=found.at,
        headers=dict(found.headers),
    )


def _json(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, separators=(",", ":"), sort_keys=True).encode()


def _events(run: Reconciliation, webhook: Webhook) -> Iterable[Event]:
    return parsed(webhook.source, webhook.headers, webhook.body, run.rules, webhook.received_at)


def _known(run: Reconciliation, event: Event, incidents: Iterable[Incident]) -> bool:
    """Return whether each alert that the event would reach has received it or something newer, or it would reach none."""
    batch = Batch(run.rules, run.store, run.queues, run.now, run.store.context())
    take_event(batch, event, "")
    places = reached(batch)
    if not places or _received_nearly(event, incidents):
        return True
    batch.read({key for key, _ in places})
    known = {key: incident.alerts for key, incident in batch.stored.items() if incident is not None}
    return any(_has_received(known.get(key, {}).get(alert), event) for key, alert in places)


def _has_received(alert: Alert | None, event: Event) -> bool:
    if alert is None:
        return event.status is Status.RESOLVED
    if _has_mark(alert, event):
        return True
    if event.status is Status.RESOLVED:
        return not alert.active or (
            alert.received.last_event_at is not None and alert.received.last_event_at > event.occurred_at
        )
    if alert.has_condition:
        return False
    return (
        alert.active
        or bool(alert.changes.ended_by)
        or (_newest(alert) or event.occurred_at) >= event.occurred_at - NEAR
    )


def _has_mark(alert: Alert, event: Event) -> bool:
    """Return whether the alert knows the event by its id."""
    short = fingerprint(event.source, event.id)[:10]
    return any(mark.endswith(short) for _, mark in alert.received.recent)


def _newest(alert: Alert) -> datetime | None:
    return max((*_times(alert), *filter(None, (alert.ends_at,))), default=None)


def _received_nearly(event: Event, incidents: Iterable[Incident]) -> bool:
    """Return a notification of which only the sentence is left has lost what it is about: its policy and time know it."""
    policy = event.labels.get("policy_id")
    if event.labels.get("issue_category") == METRIC:
        return any(_is_its_alert(alert, event) for incident in incidents for alert in incident.alerts.values())
    if not policy:
        return False
    return any(
        alert.sender.source == event.source
        and alert.labels.get("policy_id") == policy
        and any(abs(at - event.occurred_at) <= NEAR for at in _times(alert))
        for incident in incidents
        for alert in incident.alerts.values()
    )


def _is_its_alert(alert: Alert, event: Event) -> bool:
    """Return whether an alert of a metric is about the fault of which Sentry made an issue: same project, same time."""
    same = alert.sender.source == event.source and alert.labels.get("service") == event.service
    began = (at for at in (*_times(alert), *filter(None, (alert.starts_at,))))
    return (
        same and alert.sender.kind.startswith(METRIC_ALERT) and any(abs(at - event.occurred_at) <= NEAR for at in began)
    )


def _times(alert: Alert) -> list[datetime]:
    marks = [datetime.fromtimestamp(at, UTC) for at, _ in alert.received.recent]
    return [*marks, *filter(None, (alert.received.last_event_at,))]


def _active_identities(store: Store, source: str, label: str) -> list[str]:
    """Return what the vendor calls that which fires here, by the label that names it, the oldest first."""
    oldest_first = sorted(listed(store), key=lambda each: each.at or NEWEST)
    named = [
        alert.labels.get(label, "")
        for _, alerts in with_alerts(store, oldest_first)
        for alert in alerts
        if alert.fires and alert.labels.get("source") == source and alert.origin not in (Origin.SERIES, Origin.COUNT)
    ]
    return list(dict.fromkeys(filter(None, named)))
