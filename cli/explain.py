"""tocsin explain: each decision about an alert in order, also for what was not sent."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from chalicelib.core.alert import Alert, State
from chalicelib.core.due import Muting, mutings_of
from chalicelib.core.incident import Incident
from chalicelib.core.match import Matcher
from chalicelib.core.mute import muting_windows
from chalicelib.core.ports import Store
from chalicelib.core.routing import route_by_id
from chalicelib.core.rule import Rules

Shown = Callable[[datetime | None], Any]


def explained(
    matchers: Sequence[Matcher], *, rules: Rules, store: Store, now: datetime, shown: Shown = str
) -> list[dict[str, Any]]:
    """What is known of every alert that the matchers choose: its rule, its route, who was told, and what mutes it.

    `shown` writes a time as the reader wants it.
    """
    context = store.context()
    found = []
    for incident in store.incidents(ended_since=datetime.fromisoformat("0001-01-01T00:00:00+00:00")):
        route = route_by_id(rules, incident)
        mutings = mutings_of(incident, rules, context, now)
        windows = muting_windows(route, rules.windows, now)
        for alert in incident.alerts.values():
            if alert.matched_by(matchers):
                muting = mutings.get(alert.fingerprint, Muting())
                found.append(_alert(alert, incident, rules, muting, windows, now, shown))
    return found


def _alert(
    alert: Alert,
    incident: Incident,
    rules: Rules,
    muting: Muting,
    windows: tuple[str, ...],
    now: datetime,
    shown: Shown,
) -> dict[str, Any]:
    return {
        "name": alert.name,
        "labels": dict(alert.labels),
        "state": alert.state.value,
        "incident": incident.id,
        "route": incident.route,
        "decisions": [
            *_rule_steps(alert, rules),
            *_state_steps(alert, shown),
            f"told by the route {incident.route}, grouped by {dict(incident.group) or 'nothing'}",
            *_told_steps(alert, incident, shown),
            *(f"muted: {name}" for name in (*muting.names, *(f"window {window}" for window in windows))),
            *_waiting_steps(alert, incident, now, shown),
        ],
    }


def _rule_steps(alert: Alert, rules: Rules) -> list[str]:
    steps = []
    for rule in rules.rules:
        clauses = ", ".join(str(matcher) for matcher in rule.matchers) or "everything"
        if rule.name == alert.rule:
            steps.append(f"rule {rule.name}: matched ({clauses})")
            if alert.condition:
                steps.append(
                    f"rule {rule.name}: {alert.condition}: value {alert.value or 'unknown'}, threshold {alert.threshold or 'none'}"
                )
            continue
        missed = [str(matcher) for matcher in rule.matchers if not alert.matched_by((matcher,))]
        steps.append(f"rule {rule.name}: not matched ({', '.join(missed) or 'its condition looks at something else'})")
    return steps if alert.rule else [*steps, "no rule matched: the route tree decides"]


def _state_steps(alert: Alert, shown: Shown) -> list[str]:
    match alert.state:
        case State.PENDING:
            return [f"pending since {shown(alert.pending_at)}: it must hold longer before it fires"]
        case State.FIRING:
            return [f"firing since {shown(alert.starts_at)}, {alert.events} events"]
        case State.RESOLVED:
            by = f" by {alert.ended_by}" if alert.ended_by else ""
            return [f"resolved at {shown(alert.ends_at)}{by}"]
    return ["not firing"]


def _told_steps(alert: Alert, incident: Incident, shown: Shown) -> list[str]:
    steps = []
    for announced in incident.announced.values():
        knows = alert.fingerprint in announced.firing
        said = "told that it fires" if knows else ("told that it is over" if announced.at else "not told")
        steps.append(
            f"{announced.target.key}: {said} ({announced.seq} notifications, the last at {shown(announced.at)})"
        )
    return steps or ["nobody was told yet"]


def _waiting_steps(alert: Alert, incident: Incident, now: datetime, shown: Shown) -> list[str]:
    steps = []
    if alert.acked_by:
        steps.append(f"acknowledged by {alert.acked_by} at {shown(alert.acked_at)}: no reminders, no escalation")
    if incident.next_flush_at and incident.next_flush_at > now:
        steps.append(f"the next flush is at {shown(incident.next_flush_at)}")
    return steps
