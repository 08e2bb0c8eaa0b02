"""An alert as it is before anything is applied to it: named and labelled by the first input about it."""

from collections.abc import Mapping

from chalicelib.core.alert import Alert, LastEvaluation, Origin, Sender, SenderText
from chalicelib.core.event import Event, Severity
from chalicelib.core.inputs import EventInput, HeartbeatInput, Measured, counted_labels


def event_alert(given: EventInput, fault: str) -> Alert:
    """Return the alert of an event, or of the events that its rule counts."""
    event, rule = given.event, given.rule
    counts = rule is not None and rule.condition is not None
    labels = event.all_labels()
    own = counted_labels(rule, labels) if rule is not None and counts else _own_labels(event, labels)
    if rule is not None and rule.severity is not None and "severity" in own:
        own["severity"] = rule.severity.value
    return Alert(
        fingerprint=fault,
        rule=rule.name if rule else "",
        name=rule.name if rule else (event.name or event.kind),
        labels={**own, **(rule.labels if rule else {})},
        severity=(rule.severity if rule else None) or event.severity,
        text=SenderText(title=event.title),
        sender=Sender(event.source, event.kind, "" if counts else (event.name or event.kind)),
        origin=Origin.COUNT if counts else Origin.EVENT,
        evaluation=LastEvaluation(condition=rule.condition.text if rule and rule.condition else ""),
    )


def _own_labels(event: Event, labels: Mapping[str, str]) -> dict[str, str]:
    """Return the labels that people see: those the sender gave, in normalised words, with service and environment."""
    implied = {"source", "kind", "severity", "alertname"} - event.labels.keys() | {"alertname"}
    return {name: text for name, text in labels.items() if name not in implied}


def measured_alert(given: Measured, fault: str) -> Alert:
    """Return the alert of a measured series."""
    return Alert(
        fingerprint=fault,
        rule=given.rule.name,
        name=given.rule.name,
        labels={**given.labels, **given.rule.labels},
        severity=given.rule.severity or Severity.WARNING,
        sender=Sender("probe", "measured"),
        origin=Origin.SERIES,
        evaluation=LastEvaluation(condition=given.rule.condition.text if given.rule.condition else ""),
    )


def beat_alert(given: HeartbeatInput, fault: str) -> Alert:
    """Return the alert of a heartbeat."""
    return Alert(
        fingerprint=fault,
        name=given.name,
        labels=given.labels,
        severity=given.severity,
        text=SenderText(title=f"No heartbeat of {given.name}"),
        sender=Sender("heartbeat", "heartbeat"),
        origin=Origin.HEARTBEAT,
        schedule=given.spec,
    )
