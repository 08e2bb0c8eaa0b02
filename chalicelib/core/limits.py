"""How much an incident holds, so that it always fits what stores it: an item of DynamoDB has at most 400 KB.

What people read is cut first (summaries and annotations share what there is), and the marks by which events are known
again: with many alerts each remembers fewer of its own. Labels are never cut, since everything is matched by them: an
incident whose labels are too heavy takes no more alerts, and counts them as it does over `max_alerts`. All of this is
far from what one alert, or a hundred ordinary ones, need.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from chalicelib.core.alert import Alert, SenderText
from chalicelib.core.faults import fault_bytes, within
from chalicelib.core.observed import size_of

if TYPE_CHECKING:
    from chalicelib.core.incident import Incident

MAX_TEXT_BYTES = 180_000
"""Of summaries, annotations, titles and links of one incident, all alerts together, before compression."""
MAX_LABEL_BYTES = 300_000
"""Of names and values of labels: 600 for each of 500 alerts. They repeat each other and shrink to a third or less."""
MAX_MARKS = 9_000
"""Events remembered in one incident: some 9 bytes each once they are compressed."""
LEAST_CUT_BYTES = 50
MANY = 500
"""So many alerts have room whatever they are, if their labels have."""
ALERT_BYTES, NAME_BYTES, LABELS_SHRINK = 50, 9, 2
"""What an alert takes once it is compressed without labels and text, its name at each target, and how much labels shrink."""
LEAST_TARGETS = 3
MAX_ALERTS_BYTES = 110_000
"""Of all alerts with their labels, compressed: what an item has beside texts and marks. That is some 1,400 small alerts."""
FEW = 8
"""So few alerts always have room."""


def has_room(count: int, labels: int, max_alerts: int, targets: int) -> bool:
    """Return whether an incident with so many alerts, whose labels have so many bytes, takes one more.

    `targets` is how many were notified of it: each knows the alerts by their names.
    """
    if count < min(FEW, max_alerts):
        return True
    if count >= max_alerts or labels >= MAX_LABEL_BYTES:
        return False
    packed = (ALERT_BYTES + NAME_BYTES * max(LEAST_TARGETS, targets)) * count + labels // LABELS_SHRINK
    return count < MANY or packed < MAX_ALERTS_BYTES


def label_bytes(alert: Alert) -> int:
    """Return how much its labels are."""
    return _bytes(alert.labels) + _bytes(alert.labels.values())


def bounded(incident: "Incident") -> "Incident":
    """Return the incident within all bounds; the same one when it is, which nearly all are."""
    alerts = incident.alerts
    marks = sum(len(alert.received.recent) for alert in alerts.values() if not alert.has_condition)
    text = sum(map(text_bytes, alerts.values()))
    if marks <= MAX_MARKS and text <= MAX_TEXT_BYTES:
        return incident
    kept = max(1, MAX_MARKS // len(alerts)) if marks > MAX_MARKS else marks
    share = MAX_TEXT_BYTES // len(alerts) if text > MAX_TEXT_BYTES else text
    return replace(incident, alerts={name: _within(alert, kept, share) for name, alert in alerts.items()})


def text_bytes(alert: Alert) -> int:
    """Return how much of it is there for people to read."""
    text = alert.text
    own = _bytes((text.title, text.summary, text.url or "", *text.annotations.values()))
    return own + fault_bytes(alert.faults) + size_of(alert.observed)


def _bytes(texts: Iterable[str]) -> int:
    return sum(len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass")) for text in texts)


def _within(alert: Alert, marks: int, share: int) -> Alert:
    if len(alert.received.recent) > marks and not alert.has_condition:
        alert = replace(alert, received=replace(alert.received, recent=alert.received.recent[-marks:]))
    if text_bytes(alert) <= share:
        return alert
    faults = within(alert.faults, share // 2) if alert.faults.known else alert.faults
    observed = alert.observed if size_of(alert.observed) <= share // 4 else {}
    room = share - fault_bytes(faults) - size_of(observed)
    return replace(alert, text=_text_within(alert.text, room), faults=faults, observed=observed)


def _text_within(text: SenderText, share: int) -> SenderText:
    title = _cut(text.title, share // 3)
    url = text.url if text.url and _bytes([text.url]) <= share // 3 else None
    room = share - _bytes((title, url or ""))
    summary = _cut(text.summary, room // 2)
    return SenderText(title, summary, url, _fitting(text.annotations, room - _bytes([summary])))


def _fitting(annotations: Mapping[str, str], room: int) -> Mapping[str, str]:
    """Return the annotations that fit, the shortest first. The last is cut, unless it is a link."""
    kept: dict[str, str] = {}
    for name, text in sorted(annotations.items(), key=lambda each: (len(each[1]), each[0])):
        size = _bytes([text])
        if size > room:
            if room >= LEAST_CUT_BYTES and not text.startswith(("https://", "http://")):
                kept[name] = _cut(text, room)
            break
        kept[name] = text
        room -= size
    return {name: kept[name] for name in annotations if name in kept}


def _cut(text: str, size: int) -> str:
    """Return at most so many bytes; what is cut says so."""
    if _bytes([text]) <= size:
        return text
    return text.encode("utf-8", "replace")[: max(0, size - 3)].decode("utf-8", "ignore") + "…"
