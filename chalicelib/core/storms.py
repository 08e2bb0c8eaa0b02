"""Storms: when more incidents begin than a target can be sent one by one, it is sent the next ones as one message.

A storm is an incident of one target. Its alerts are copies of those which this target would be notified of by the
incidents in it, so it has their sounds, acknowledgements and ends as any other (due.py). Each of these incidents goes on
as itself. It is decided for its other targets as ever; for this one the storm is brought up to date.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from chalicelib.core.alert import Acknowledgement, Alert, AlertState, LastEvaluation, Origin, Timers
from chalicelib.core.delivery.notification import Notification
from chalicelib.core.delivery.writing import counted_list
from chalicelib.core.event import Severity, fingerprint
from chalicelib.core.faults import CountedFaults
from chalicelib.core.incident import Incident, IncidentStatus
from chalicelib.core.inputs import MovedAlert
from chalicelib.core.lifecycle import last_end
from chalicelib.core.rule import Correlate
from chalicelib.core.services import SERVICE

MAX_NAMED = 3
FULL = 500
"""A storm of so many alerts takes no further incident: the next ones are another storm, so that none is only counted."""


def goes_on(
    began_at: datetime, storm: Incident | None, news_at: datetime | None, terms: Correlate, now: datetime
) -> bool:
    """Return whether a storm takes one more incident. `storm` is None while nothing of it is saved.

    It does while one comes every `within`, and at most for `max_age`. `news_at` is when one came that is not saved yet.
    """
    if terms.storm is None or now > began_at + terms.max_age:
        return False
    if storm is not None and (storm.status is IncidentStatus.ENDED or storm.episode.closed_via):
        return False
    if storm is not None and len(storm.alerts) >= FULL:
        return False
    known = (began_at, news_at, storm.episode.news_at if storm is not None else None)
    return now <= max(at for at in known if at is not None) + terms.storm.within


def openings(incident: Incident, notifications: Iterable[Notification]) -> list[str]:
    """Return the keys of the targets that are notified of a correlated incident for the first time, not for information."""
    if not incident.is_correlated or incident.is_storm:
        return []
    before = incident.announced
    return [
        each.target.key
        for each in notifications
        if (each.target.key not in before or not before[each.target.key].open) and each.severity is not Severity.INFO
    ]


def storms_of(incident: Incident | None) -> dict[str, str]:
    """Return the storms in which an incident is, by the keys of their targets."""
    announced = incident.announced if incident is not None else {}
    return {key: each.storm for key, each in announced.items() if each.storm}


# ---------------------------------------------------------------------------------------------------------------------
# The copies


def copies(incident: Incident, storm: str) -> dict[str, Alert]:
    """Return the copies that a storm has of an incident's alerts, by their fingerprints there."""
    names = {name for each in incident.announced.values() if each.storm == storm for name in each.alerts.all}
    found = (_copy(incident, incident.alerts[name]) for name in names if name in incident.alerts)
    return {each.fingerprint: each for each in found}


def _copy(incident: Incident, alert: Alert) -> Alert:
    """Return an alert as a storm holds it: with nothing by which it would change there on its own."""
    fires = alert.state is AlertState.FIRING
    return replace(
        alert,
        fingerprint=_name_of_copy(incident.key, alert.fingerprint),
        origin=Origin.EVENT,
        state=AlertState.FIRING if fires else AlertState.RESOLVED,
        ends_at=None if fires else alert.ends_at or last_end(alert) or alert.starts_at,
        timers=Timers(),
        received=replace(alert.received, recent=(), beats=()),
        faults=CountedFaults(),
        evaluation=replace(alert.evaluation, recheck_at=None) if alert.has_condition else LastEvaluation(),
        observed={},
        schedule={},
        routes=(),
        moved_to="",
        moved_from=incident.key,
    )


def _name_of_copy(key: str, alert: str) -> str:
    return fingerprint(key, alert)


def reports(storm: Incident, member: Incident, now: datetime) -> list[MovedAlert]:
    """Return what one of its incidents says to a storm: its alerts as they are now, and the end of those that left."""
    found = copies(member, storm.key)
    ends = {_name_of_copy(member.key, name): alert.ends_at for name, alert in member.alerts.items()}
    gone = [
        replace(each, state=AlertState.RESOLVED, ends_at=ends.get(each.fingerprint) or now)
        for each in storm.firing
        if each.moved_from == member.key and each.fingerprint not in found
    ]
    changed = [each for each in found.values() if storm.alerts.get(each.fingerprint) != each]
    return [MovedAlert(each, copied=True) for each in (*changed, *gone)]


def strays(storm: Incident, now: datetime) -> list[MovedAlert]:
    """Return the ends of copies of which the version before did not keep where they come from."""
    gone = [alert for alert in storm.firing if not alert.moved_from]
    return [MovedAlert(replace(each, state=AlertState.RESOLVED, ends_at=now), copied=True) for each in gone]


def members(storm: Incident, *, firing: bool = False) -> list[str]:
    """Return the keys of the incidents in a storm; with `firing` of those that fire."""
    alerts = storm.firing if firing else storm.alerts.values()
    return list(dict.fromkeys(alert.moved_from for alert in alerts if alert.moved_from))


def copied(known: Alert | None, copy: Alert) -> Alert:
    """Return the copy of an alert with what people did to the storm, which its own incident may not know yet."""
    if known is None:
        return copy
    if known.changes.ended_by and known.state is AlertState.RESOLVED and known.starts_at == copy.starts_at:
        return known
    return replace(copy, ack=_later(known.ack, copy.ack))


def _later(known: Acknowledgement, copy: Acknowledgement) -> Acknowledgement:
    """Return the acknowledgement, or its withdrawal, that came last."""
    mine, its = _moment(known), _moment(copy)
    if mine is None or (its is not None and its >= mine):
        return copy
    return replace(known, worse_at=copy.worse_at, notified_end=copy.notified_end or known.notified_end)


def _moment(ack: Acknowledgement) -> datetime | None:
    return max((at for at in (ack.at, ack.given_back_at) if at is not None), default=None)


def with_acts_shown(before: Incident, storm: Incident) -> Incident:
    """Return a storm that brings its message up to date where somebody acknowledged an incident in it, or gave it back."""
    changed = any(
        (old := before.alerts.get(name)) is not None and old.ack.by != alert.ack.by
        for name, alert in storm.alerts.items()
    )
    return replace(storm, sync="incidents") if changed and not storm.sync else storm


def with_joined_at(before: Incident, storm: Incident, now: datetime) -> Incident:
    """Return a storm with the time of its news: when an incident last came to it, however long that had waited."""
    new = set(members(storm)) - set(members(before))
    return replace(storm, episode=replace(storm.episode, news_at=now)) if new else storm


# ---------------------------------------------------------------------------------------------------------------------
# In words


def size(alerts: Iterable[Alert]) -> int:
    """Return of how many incidents these alerts of a storm are: of those that fire, where any does."""
    found = list(alerts)
    firing = [alert for alert in found if alert.state is AlertState.FIRING]
    return len({alert.moved_from for alert in firing or found})


def storm_title(alerts: Iterable[Alert], more: int) -> str:
    """Return how many alerts of which services are in a storm; `alerts` worst first, `more` are only counted."""
    listed = list(alerts)
    places = list(dict.fromkeys(alert.labels.get(SERVICE) or alert.name for alert in listed))
    count = len(listed) + more
    word = "alert" if count == 1 else "alerts"
    named = all(alert.labels.get(SERVICE) for alert in listed)
    of = f" of {len(places):,} services" if named and len(places) > 1 and not more else ""
    return f"Storm: {count:,} {word}{of}: {counted_list(places, MAX_NAMED)}"
