"""Sounds between two flushes: what a target must notice at once, although it was notified of the incident before.

A target that is brought up to date makes no sound in most products: a Slack message is edited, a PagerDuty incident
that somebody acknowledged stays silent whatever joins it. So some news does not wait for the next flush, and makes a
sound: an alert that is worse than all that the target knows, a critical alert that begins after somebody acknowledged
the others, and a critical alert at a target that was not notified of the incident yet, while others were. What joined
without a sound makes one later: when nobody acknowledged it for long, and when what explained it is over.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from chalicelib.core.alert import Alert
from chalicelib.core.delivery.notification import Why
from chalicelib.core.dependencies import Explanation, explanations
from chalicelib.core.event import Severity
from chalicelib.core.incident import Incident
from chalicelib.core.instants import from_seconds
from chalicelib.core.notified import NotifiedState
from chalicelib.core.rule import Rules
from chalicelib.core.visible import Audience, VisibleAlerts, state_of
from chalicelib.core.waves import is_acknowledged, opens_at

SHORTEST_PAUSE = timedelta(seconds=60)
"""Between two such sounds of one target: what comes within it is in the next one."""
UNEXPLAINED_AFTER = timedelta(minutes=5)
"""So long what was explained and made no sound may go on firing after the end of what explained it."""
_CRITICAL = Severity.CRITICAL.rank
_EVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Sounds:
    """The targets that must notice something: those that are `due`, each with why, and the others, each with from when.

    Those that are `waiting` have the news for it, and are not notified before; `later` something will not have been
    noticed for too long.
    """

    due: Mapping[str, Why] = field(default_factory=dict)
    waiting: Mapping[str, datetime] = field(default_factory=dict)
    later: tuple[datetime, ...] = ()


def sounds_of(incident: Incident, audience: Audience, rules: Rules, now: datetime) -> Sounds:
    """Return which targets of an incident must notice something now, and which of them later."""
    due: dict[str, Why] = {}
    waiting: dict[str, datetime] = {}
    later: list[datetime] = []
    explained = explanations(incident, rules.services)
    for key, each in audience.items():
        known, pages = state_of(incident, each.target), rules.can(each.target.kind).pages
        if pages and _stays_silent(incident, known):
            continue
        unnoticed = _unnoticed(incident, known, each.seen, explained, rules.correlation.join_within)
        overdue = (late for late, at in unnoticed.items() if at <= now)
        why = _why(incident, known, each.seen, explained, rules.correlation.after_ack) or next(overdue, None)
        if why is None:
            later += unnoticed.values()
            continue
        at = _possible_at(known, pages=pages)
        if at <= now:
            due[key] = why
        else:
            waiting[key] = at
    return Sounds(due, waiting, tuple(later))


def acknowledged_at(incident: Incident) -> datetime | None:
    """Return when somebody last acknowledged an alert of this episode. What was given back since does not count."""
    began_at = incident.episode.started_at
    known = [alert.ack.at for alert in incident.alerts.values() if alert.ack.at is not None]
    return max((at for at in known if began_at is None or at >= began_at), default=None)


def follows_ack(alert: Alert, acked_at: datetime | None, after_ack: timedelta | None) -> bool:
    """Return whether an alert is critical and began more than `after_ack` after an acknowledgement; None: never.

    The symptoms of one fault go on arriving for so long while somebody acknowledges it.
    """
    if after_ack is None or acked_at is None or alert.severity is not Severity.CRITICAL or alert.starts_at is None:
        return False
    return alert.starts_at > acked_at + after_ack


def _why(
    incident: Incident,
    known: NotifiedState,
    seen: VisibleAlerts,
    explained: Mapping[str, Explanation],
    after_ack: timedelta | None,
) -> Why | None:
    if seen.quiet:
        return None
    if not known.open:
        return Why.OPENING if _is_opened_elsewhere(incident) and _CRITICAL in seen.visible.values() else None
    if not known.alerts.firing:
        return Why.WORSE if known.alerts.anew and seen.visible else None
    if _is_worse(known, seen):
        return Why.WORSE
    unknown = seen.unacked - known.alerts.firing.keys() - explained.keys()
    acked_at = acknowledged_at(incident) if unknown else None
    found = (incident.alerts[name] for name in unknown if name in incident.alerts)
    return Why.AFTER_ACK if any(follows_ack(alert, acked_at, after_ack) for alert in found) else None


def _unnoticed(
    incident: Incident,
    known: NotifiedState,
    seen: VisibleAlerts,
    explained: Mapping[str, Explanation],
    join_within: timedelta,
) -> dict[Why, datetime]:
    """Return from when on critical alerts that joined without a sound, and that nobody has, must make one, by why."""
    joined = known.alerts.joined
    if not known.open or seen.quiet or not joined:
        return {}
    names = [name for name in seen.unacked & joined.keys() if _is_critical(incident, name)]
    ends = [each.until for name in names if (each := explained.get(name)) is not None and each.until is not None]
    found = {Why.UNEXPLAINED: min(ends) + UNEXPLAINED_AFTER} if ends else {}
    if names and acknowledged_at(incident) is not None:
        found[Why.UNSEEN] = from_seconds(min(joined[name] for name in names)) + join_within
    return found


def _is_critical(incident: Incident, name: str) -> bool:
    return name in incident.alerts and incident.alerts[name].severity is Severity.CRITICAL


def _is_opened_elsewhere(incident: Incident) -> bool:
    return any(each.open for each in incident.announced.values())


def _is_worse(known: NotifiedState, seen: VisibleAlerts) -> bool:
    """Return whether something is worse than all that the target was notified of, or rose since."""
    worst = min(known.alerts.firing.values())
    return any(rank < known.alerts.firing.get(name, worst) for name, rank in seen.visible.items())


def _stays_silent(incident: Incident, known: NotifiedState) -> bool:
    """Return whether a pager makes no sound any more: its last wave is acknowledged. It is brought up to date at a flush."""
    return known.open and opens_at(known) is None and is_acknowledged(known, incident.timeline.entries)


def _possible_at(known: NotifiedState, *, pages: bool) -> datetime:
    """Return from when on the target may make such a sound; at a pager that is a wave of its own, while there are any."""
    found = known.sound.at + SHORTEST_PAUSE if known.sound.at is not None else _EVER
    return max(found, (opens_at(known) or _EVER) if pages else _EVER)
