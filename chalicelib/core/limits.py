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
LEAST_TEXT_BYTES, LEAST_MARKS = 200, 10
FEW = 8
"""So few alerts always have room."""


def has_room(alerts: Mapping[str, Alert], max_alerts: int) -> bool:
    """Whether an incident with these alerts takes one more."""
    if len(alerts) < min(FEW, max_alerts):
        return True
    return len(alerts) < max_alerts and sum(map(label_bytes, alerts.values())) < MAX_LABEL_BYTES


def label_bytes(alert: Alert) -> int:
    """How much its labels are."""
    return _bytes(alert.labels) + _bytes(alert.labels.values())


def bounded(incident: "Incident") -> "Incident":
    """The incident within all bounds; the same one when it is, which nearly all are."""
    alerts = incident.alerts
    marks = sum(len(alert.received.recent) for alert in alerts.values() if not alert.has_condition)
    text = sum(map(text_bytes, alerts.values()))
    if marks <= MAX_MARKS and text <= MAX_TEXT_BYTES:
        return incident
    kept = max(LEAST_MARKS, MAX_MARKS // len(alerts)) if marks > MAX_MARKS else marks
    share = max(LEAST_TEXT_BYTES, MAX_TEXT_BYTES // len(alerts)) if text > MAX_TEXT_BYTES else text
    return replace(incident, alerts={name: _within(alert, kept, share) for name, alert in alerts.items()})


def text_bytes(alert: Alert) -> int:
    """How much of it is there for people to read."""
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
    """The annotations, the shortest first, as long as there is room; the last is cut, unless it is a link."""
    kept: dict[str, str] = {}
    for name, text in sorted(annotations.items(), key=lambda each: (len(each[1]), each[0])):
        size = _bytes([text])
        if size > room:
            if room >= LEAST_TEXT_BYTES // 4 and not text.startswith(("https://", "http://")):
                kept[name] = _cut(text, room)
            break
        kept[name] = text
        room -= size
    return {name: kept[name] for name in annotations if name in kept}


def _cut(text: str, size: int) -> str:
    """At most so many bytes; what is cut says so."""
    if _bytes([text]) <= size:
        return text
    return text.encode("utf-8", "replace")[: max(0, size - 3)].decode("utf-8", "ignore") + "…"
