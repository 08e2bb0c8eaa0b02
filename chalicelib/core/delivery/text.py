"""How a notification is put into words, for every target: state, cause, facts, lists, plain form.

Nothing here is escaped: each target escapes for where its text goes, and measures lengths as its vendor does.
`writing.py` cleans and cuts texts, `links.py` says where to look.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from enum import StrEnum

from chalicelib.core.delivery.links import links, web_address
from chalicelib.core.delivery.notification import (
    AlertSnapshot,
    Deploy,
    Notification,
    Reason,
    ServiceSnapshot,
    TopError,
    TopErrors,
    Why,
)
from chalicelib.core.delivery.writing import clean, counted_list, cut, duration_words, local_time, one_line
from chalicelib.core.observed import LABELS as OBSERVED
from chalicelib.core.observed import RESULT

MAX_VALUES = 3
"""So many different values of one label are named; the rest is counted."""
MAX_MUTES = 2
MAX_LINKED_CHARACTERS = 400
"""Of an address within a text."""
RUNBOOK_STEPS = 3


class DisplayState(StrEnum):
    """What an incident is in now, as people see it."""

    FIRING = "firing"
    ACKNOWLEDGED = "acknowledged"
    SILENCED = "silenced"
    CLOSING = "closing"
    """Nothing fires any more; the end is notified at the next flush unless it fires again."""
    RESOLVED = "resolved"
    TEST = "test"


def state(notification: Notification) -> DisplayState:
    """Return the state to show. What is acknowledged may be silenced as well: `is_silenced`."""
    if notification.reason is Reason.TEST:
        return DisplayState.TEST
    if notification.status == "resolved" or notification.reason is Reason.RESOLVED:
        return DisplayState.RESOLVED
    if notification.closing is not None:
        return DisplayState.CLOSING
    if notification.ack is not None:
        return DisplayState.ACKNOWLEDGED
    return DisplayState.SILENCED if is_silenced(notification) else DisplayState.FIRING


def is_silenced(notification: Notification) -> bool:
    """Return whether something fires and all of it is muted: only silent changes are sent then."""
    if notification.status == "resolved" or notification.reason is not Reason.SYNC or notification.closing is not None:
        return False
    firing = [alert for alert in notification.alerts if alert.status != "resolved"]
    return all(alert.muted_by for alert in firing) and bool(firing or notification.evidence)


def state_words(notification: Notification) -> str:
    """Return the state in words: `acknowledged, silenced` where both are true."""
    both = state(notification) is DisplayState.ACKNOWLEDGED and is_silenced(notification)
    return f"{state(notification).value}, {DisplayState.SILENCED.value}" if both else state(notification).value


def silenced_by(notification: Notification) -> str:
    """Return `by silence 9c1d of ana`, or `inhibited by Power` where nothing but another alert mutes it."""
    if not is_silenced(notification):
        return ""
    firing = [alert for alert in notification.alerts if alert.status != "resolved"] or notification.evidence
    names = dict.fromkeys(one_line(name) for alert in firing for name in alert.muted_by)
    ordered = sorted(names, key=lambda name: name.startswith(_INHIBITED))
    listed = counted_list(ordered, MAX_MUTES)
    return listed if not ordered or ordered[0].startswith(_INHIBITED) else f"by {listed}"


_INHIBITED = "inhibited by "


def title(notification: Notification) -> str:
    """Return the incident's title on one line; never empty."""
    named = [notification.title, *(alert.title or alert.name for alert in notification.alerts[:1])]
    return next((found for found in map(one_line, named) if found), "An alert without a title")


def alert_title(alert: AlertSnapshot) -> str:
    """Return an alert's title on one line; its rule's name when it has none."""
    return one_line(alert.title) or one_line(alert.name) or "An alert without a title"


def summary(alert: AlertSnapshot) -> str:
    """Return what an alert says beyond its title: its summary, else the description a sender wrote."""
    said = (alert.summary, alert.annotations.get("summary", ""), alert.annotations.get("description", ""))
    return next((found for found in map(clean, said) if found and found != clean(alert.title)), "")


def reading(alert: AlertSnapshot) -> str:
    """Return `3.2 % (threshold 1 %)`, or the condition that was met; empty for alerts that measure nothing."""
    return _reading(alert.value, alert.threshold, alert.condition)


def _reading(value: str, threshold: str, condition: str) -> str:
    value, threshold, condition = one_line(value), one_line(threshold), one_line(condition)
    if value and threshold:
        return f"{value} (threshold {threshold})"
    if value and condition:
        return f"{value} ({condition})"
    return value or condition


def cause(notification: Notification) -> tuple[str, ...]:
    """Return the facts that one would ask for first: the error with the most events, or what a probe saw."""
    top = next((alert.top.errors[0] for alert in notification.alerts if alert.top and alert.top.errors), None)
    lines = []
    if top is not None:
        lines.append(cut(one_line(top.title), 150))
        new = one_line(top.deploy)
        lines.append(f"New since deploy {cut(new, 60)}" if new else "")
    lead = next(iter(notification.alerts), None)
    if lead is not None and (result := one_line(lead.observed.get(RESULT, ""))):
        lines.append(cut(result[:1].upper() + result[1:], 190))
        expected = one_line(lead.observed.get("expected", ""))
        lines.append(f"Expected: {cut(expected, 150)}" if expected else "")
    return tuple(line for line in lines if line)


def label_values(notification: Notification, label: str) -> str:
    """Return the value of a label over the incident: the group's own, else the alerts' different values, a few by name."""
    if notification.incident.group.get(label):
        return one_line(notification.incident.group[label])
    return _different(alert.labels.get(label, "") for alert in notification.alerts)


def _different(values: Iterable[str]) -> str:
    """Return the different values, each once, a few by name; cleaned after that, since there may be hundreds alike."""
    found = dict.fromkeys(one_line(value) for value in dict.fromkeys(values))
    return counted_list([value for value in found if value], MAX_VALUES)


def facts(notification: Notification) -> tuple[tuple[str, str], ...]:
    """Return what people want to know at a glance, as label and value, the important first. No value is empty."""
    zone = notification.background.timezone
    found = [
        ("Severity", notification.severity.value),
        ("Service", label_values(notification, "service")),
        ("Owner", _owners(notification.background.services)),
        ("Environment", label_values(notification, "environment")),
        ("Value", _readings(notification)),
        *_seen(notification),
        ("Since", _since(notification)),
        ("Events", _events(notification)),
        ("Alerts", _alert_counts(notification)),
        ("Acknowledged", acknowledged(notification)),
        ("Silenced", silenced_by(notification)),
        ("Group", _other_group_labels(notification)),
        *_own_fields(notification),
        ("Ended", local_time(notification.incident.ended_at, zone) if notification.incident.ended_at else ""),
    ]
    return tuple((label, value) for label, value in found if value)


_SHOWN_ELSEWHERE = frozenset({"summary", "description", "runbook_url", "dashboard_url", "dashboard"})
"""Annotations that have a place of their own in a message."""
MAX_OWN_FIELDS = 6


def _own_fields(notification: Notification) -> list[tuple[str, str]]:
    """Return the annotations of the rule: `customer_id` is read as "Customer id"."""
    names = [name for name in notification.background.fields if name not in _SHOWN_ELSEWHERE][:MAX_OWN_FIELDS]
    return [(_label(name), one_line(notification.background.fields[name])) for name in names]


def _label(name: str) -> str:
    words = one_line(name.replace("_", " "))
    return cut(words[:1].upper() + words[1:], 40)


def _owners(services: Sequence[ServiceSnapshot]) -> str:
    """Return whose the services are: `team-core`, or `team-core (api), team-data (database)` where several have them."""
    owners = dict.fromkeys(one_line(each.owner) for each in services if each.owner)
    if len(owners) < 2:
        return next(iter(owners), "")
    of_each = {owner: [one_line(each.name) for each in services if one_line(each.owner) == owner] for owner in owners}
    return ", ".join(f"{owner} ({', '.join(names)})" for owner, names in of_each.items())


_ZONE = "zone"
_LABELS_SHOWN = {
    _ZONE: "Zone",
    "hostnames": "Host names",
    "status_codes": "Status codes",
    "status_code": "Status code",
    "path": "Path",
    "paths": "Paths",
    "slo": "Objective",
    "database": "Database",
    "probe": "Probe",
}
"""Labels that say where a fault is, and what people read before them."""


def _seen(notification: Notification) -> list[tuple[str, str]]:
    """Return what was seen of the first alert that fires, and the labels that say where it is."""
    lead = next(iter(notification.alerts), None)
    if lead is None:
        return []
    seen = [(label, one_line(lead.observed.get(name, ""))) for name, label in OBSERVED.items()]
    where = [(label, label_values(notification, name)) for name, label in _LABELS_SHOWN.items()]
    return [(label, text) for label, text in (*seen, *where) if text]


def _readings(notification: Notification) -> str:
    measured = dict.fromkeys((alert.value, alert.threshold, alert.condition) for alert in notification.alerts)
    return _different(_reading(*each) for each in measured)


def _since(notification: Notification) -> str:
    """Return since when it fires; with how long it lasted once it is resolved. The age of what goes on would be wrong a minute later."""
    began = local_time(notification.incident.started_at, notification.background.timezone)
    if notification.incident.ended_at is None:
        return began
    return f"{began} (lasted {duration_words(notification.incident.ended_at - notification.incident.started_at)})"


def _events(notification: Notification) -> str:
    seen = [alert.last_event_at for alert in notification.alerts if alert.last_event_at is not None]
    if notification.incident.events < 1:
        return ""
    if not seen or notification.incident.events == 1:
        return f"{notification.incident.events:,}"
    return f"{notification.incident.events:,}, last seen {local_time(max(seen), notification.background.timezone)}"


def _alert_counts(notification: Notification) -> str:
    resolved = sum(alert.status == "resolved" for alert in notification.alerts)
    firing = len(notification.alerts) - resolved
    if len(notification.alerts) + notification.also < 2:
        return ""
    counts = [(firing + notification.also, f"firing{_not_listed(notification)}"), (resolved, "resolved")]
    return ", ".join(f"{count:,} {word}" for count, word in counts if count)


def _not_listed(notification: Notification) -> str:
    return f" ({notification.also:,} of them not listed)" if notification.also else ""


def acknowledged(notification: Notification) -> str:
    """Return `by ana, 24 Nov 2026, 09:20 CET`; empty when nobody did."""
    ack = notification.ack
    if ack is None:
        return ""
    at = f", {local_time(ack.at, notification.background.timezone)}" if ack.at else ""
    return f"by {one_line(ack.by)}{at}"


def _other_group_labels(notification: Notification) -> str:
    shown = {"service", "environment", "severity"}
    pairs = [
        f"{one_line(name)}={one_line(value)}"
        for name, value in notification.incident.group.items()
        if name not in shown
    ]
    return counted_list(pairs, 5)


def why(notification: Notification) -> str:
    """Return why this target is notified: the rules that fired, or where the rules file sends what no rule names a target for."""
    names = dict.fromkeys(each.name for each in notification.alerts if not each.is_unmatched)
    rules = _different(names)
    found = []
    if rules:
        found.append(f"{'rule' if len(names) == 1 else 'rules'} {rules}")
    elif notification.alerts and not names:
        found.append("no rule matched")
    if route := _route_words(notification.incident.route):
        found.append(route)
    return " · ".join(found)


def _route_words(route: str) -> str:
    """Return a route as people write it: `the route of severity=critical`. That of a rule is named by the rule."""
    kind, _, matchers = route.partition("/")
    if kind in ("default", "fallback") and not matchers:
        return f"the {kind} of the rules file"
    if kind != "route" or not matchers or matchers.replace("/", "").isdecimal():
        return ""
    return f"the route of {one_line(matchers.replace('/', ', '))}"


def change(notification: Notification) -> str:
    """Return one sentence on what is new: the text of a thread's reply, and what a follow-up opens with."""
    lasted = duration_words((notification.incident.ended_at or notification.at) - notification.incident.started_at)
    unheard = _unacknowledged(notification)
    match notification.reason:
        case Reason.RESOLVED:
            return f"Resolved after {lasted}."
        case Reason.REMINDER:
            return f"Still firing after {lasted}{unheard}."
        case Reason.ESCALATED:
            return f"Escalated after {lasted}{unheard}."
        case Reason.UPDATED:
            return f"{_CHANGES.get(notification.why, 'Changed')}: {_alert_counts(notification) or _events_so_far(notification)}."
        case Reason.SYNC:
            return _sync(notification)
        case Reason.TEST:
            return "This is a test. Nothing is wrong."
        case _:
            return "Firing."


_CHANGES: Mapping[Why | None, str] = {
    Why.WORSE: "It got worse",
    Why.AFTER_ACK: "New after an acknowledgement",
    Why.UNEXPLAINED: "Still firing after the end of its cause",
    Why.REMINDER: "Still firing",
    Why.ESCALATED: "Escalated",
}


def _unacknowledged(notification: Notification) -> str:
    """Return of how many of the alerts that fire, muted ones where there is no other, nobody has acknowledged."""
    firing = [alert for alert in notification.alerts if alert.status != "resolved"] or list(notification.evidence)
    without = sum(alert.acked_by is None for alert in firing)
    if notification.ack is not None or (firing and not without):
        return ""
    return f", {without} of {len(firing)} not acknowledged" if without < len(firing) else ", not acknowledged"


def _events_so_far(notification: Notification) -> str:
    if notification.incident.events < 1:
        return "still firing"
    return f"{notification.incident.events:,} event{'' if notification.incident.events == 1 else 's'} so far"


def _sync(notification: Notification) -> str:
    if said := [one_line(sentence) for _, sentence in notification.activity.acts if one_line(sentence)]:
        return "; ".join(said) + "."
    if notification.ack is not None:
        return f"Acknowledged {acknowledged(notification)}."
    return f"Now {state(notification).value}."


def notes(notification: Notification) -> tuple[str, ...]:
    """Return the notes, and what people said, cleaned, none empty."""
    return news(notification) + tuple(found for found in map(one_line, notification.activity.remarks) if found)


def news(notification: Notification) -> tuple[str, ...]:
    """Return the notes alone: what is to be known of this very announcement."""
    return tuple(found for found in map(one_line, notification.background.notes) if found)


def alert_line(alert: AlertSnapshot) -> str:
    """Return one alert on one line, for lists: title, reading, labels that distinguish it, state when it is not firing."""
    hidden = {"alertname", "severity", "source", "kind"}
    labels = [
        f"{one_line(name)}={one_line(value)}" for name, value in sorted(alert.labels.items()) if name not in hidden
    ]
    parts = [alert_title(alert), reading(alert), counted_list(labels, 5), _condition_of(alert)]
    return " · ".join(part for part in parts if part)


def _condition_of(alert: AlertSnapshot) -> str:
    words = []
    if alert.status == "resolved":
        words.append("resolved")
    if alert.acked_by:
        words.append(f"acknowledged by {one_line(alert.acked_by)}")
    if alert.muted_by:
        words.append(_muted(alert))
    return ", ".join(words)


def _muted(alert: AlertSnapshot) -> str:
    """Return `inhibited by Service Downtime`; `muted by silence 9c1d of ana`."""
    names = counted_list([one_line(name) for name in alert.muted_by], MAX_VALUES)
    return names if names.startswith(_INHIBITED) else f"muted by {names}"


def deploy_line(deploy: Deploy, notification: Notification) -> str:
    """Return the last deploy in words, with how long before the incident it came."""
    before = notification.incident.started_at - deploy.at
    when = f"{duration_words(before)} before" if before >= timedelta(0) else f"{duration_words(-before)} after it began"
    title, commit = one_line(deploy.title), one_line(deploy.commit)[:12]
    named = title or commit or one_line(deploy.project) or one_line(deploy.id)
    kind = one_line(deploy.kind).removeprefix("deployment.").replace("_", " ") or "deploy"
    parts = [f"{kind}: {named}" if named else kind]
    if commit and title and commit[:4] not in title:
        parts.append(commit)
    if deploy.service:
        parts.append(one_line(deploy.service))
    if deploy.by:
        parts.append(f"by {one_line(deploy.by)}")
    return " · ".join([*parts, when])


def top_error_lines(
    notification: Notification,
    *,
    written: Callable[[str], str] = str,
    linked: Callable[[str, str], str] | None = None,
) -> tuple[str, ...]:
    """Return how many events the top errors are of, then a line for each; empty where no alert counts errors.

    `written` escapes a text, `linked` makes a link of a text and an address; without it no address is shown.
    """
    top = next((alert.top for alert in notification.alerts if alert.top is not None and alert.top.errors), None)
    if top is None:
        return ()
    zone = notification.background.timezone
    heading = f"{top.events:,} event{'' if top.events == 1 else 's'} since {local_time(top.since, zone)}, of which"
    return (written(heading), *(_top_error(error, top, zone, written, linked) for error in top.errors))


def _top_error(
    error: TopError,
    top: TopErrors,
    zone: str,
    written: Callable[[str], str],
    linked: Callable[[str, str], str] | None,
) -> str:
    title = cut(one_line(error.title), 150) or "an error without a title"
    address = web_address(error.url, MAX_LINKED_CHARACTERS)
    shown = linked(title, address) if linked and address else written(title)
    release = f"release {cut(one_line(error.release), 60)}" if one_line(error.release) else ""
    said = [written(part) for part in (_novelty(error, zone), release) if part]
    share = f"{error.count:,} ({round(100 * error.count / max(1, top.events))} %)"
    return " · ".join([f"{share} {shown}", *said])


def _novelty(error: TopError, zone: str) -> str:
    """Return when an error first came: `new since deploy 4f2c9a1`, `known since 3 Oct 2026, …`."""
    if error.known_since is None:
        return ""
    first = local_time(error.known_since, zone)
    if error.is_new is None:
        return f"first received {first}"
    if not error.is_new:
        return f"known since {first}"
    if one_line(error.deploy):
        return f"new since deploy {cut(one_line(error.deploy), 60)}"
    return f"new, none in the {duration_words(error.remembered)} before" if error.remembered else "new"


def runbook_steps(notification: Notification) -> tuple[str, ...]:
    """Return the first steps of the runbook, cleaned."""
    if notification.background.runbook is None:
        return ()
    return tuple(found for found in map(one_line, notification.background.runbook.steps) if found)[:RUNBOOK_STEPS]


def plain_text(notification: Notification) -> str:
    """Return the whole notification as plain text: what every target can fall back to. Under 12,000 characters."""
    lines = [f"{state_words(notification).upper()} {notification.severity.value}: {cut(title(notification), 300)}"]
    lines += cause(notification)
    lines += [change(notification)] if notification.reason is not Reason.OPENED else []
    lines += [cut(note, 500) for note in notes(notification)[:5]]
    lines += [cut(found, 700) for found in dict.fromkeys(summary(alert) for alert in notification.alerts[:3]) if found]
    lines += [f"{label}: {cut(value, 300)}" for label, value in facts(notification)]
    if len(notification.alerts) > 1:
        lines += [f"- {cut(alert_line(alert), 200)}" for alert in notification.alerts[:5]]
        more = max(0, len(notification.alerts) - 5) + notification.also
        lines += [f"- and {more:,} more"] if more > 0 else []
    lines += [cut(line, 300) for line in top_error_lines(notification)]
    lines += [f"Beside it: {cut(alert_line(alert), 200)}" for alert in notification.evidence[:3]]
    deploys = [
        deploy_line(deploy, notification).removeprefix("deploy: ") for deploy in notification.background.deploys[:1]
    ]
    lines += [f"Last deploy: {cut(found, 300)}" for found in deploys]
    lines += [f"First step: {cut(step, 300)}" for step in runbook_steps(notification)[:1]]
    lines += [f"{label}: {address}" for label, address in links(notification, 2) if len(address) <= 500]
    lines += [f"Why you: {cut(why(notification), 300)}"] if why(notification) else []
    return "\n".join(lines)
