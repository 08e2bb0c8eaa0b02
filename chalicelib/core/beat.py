"""A heartbeat's signal as an event: what the door received, what a timeline says, what the history keeps."""

from collections.abc import Mapping
from datetime import datetime

from chalicelib.core.event import Event, Severity, Status
from chalicelib.core.inputs import Signal

SOURCE, KIND = "heartbeat", "beat"
REPORTED = ("signal", "exit_code", "run")
"""What an event's labels hold of a signal; a plain success has none."""


def beat_event(name: str, at: datetime, reported: Mapping[str, str], output: str) -> Event:
    """Return the event of a signal; `reported` has the names of REPORTED."""
    labels = {each: reported[each] for each in REPORTED if reported.get(each)}
    if labels.get("signal") == Signal.SUCCESS:
        del labels["signal"]
    signal = labels.get("signal", Signal.SUCCESS.value)
    return Event(
        id=f"beat:{name}:{at.isoformat()}" + (f":{signal}" if labels else ""),
        source=SOURCE,
        kind=KIND,
        status=Status.INFO,
        severity=Severity.INFO,
        title=f"Heartbeat of {name}",
        occurred_at=at,
        identity=name,
        name=name,
        summary=output,
        labels=labels,
    )


def is_beat(event: Event) -> bool:
    """Return whether the event is a heartbeat's signal."""
    return event.source == SOURCE and event.kind == KIND
