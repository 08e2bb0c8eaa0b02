"""The inputs of an incident: events, measured values, beats, acts of people, rules that are gone. And whom they are about."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from chalicelib.core.alert import Alert
from chalicelib.core.event import Action, Event, Severity, fingerprint, labels_fingerprint
from chalicelib.core.incident import Entry, labels_of_group
from chalicelib.core.language.condition import Evaluation
from chalicelib.core.rule import Rule


@dataclass(frozen=True, slots=True)
class EventInput:
    """An event that the rule (None: no rule) matched. `alert` names the alert that it counts in, where a changed
    `group_by` would begin another one. `routes` are those by which it comes to a correlated incident."""

    event: Event
    rule: Rule | None
    alert: str = ""
    routes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TimedEvaluation:
    """A condition's answer at a time, and that of the rule's `clear`."""

    at: datetime
    found: Evaluation
    clear: Evaluation | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """What a rule's condition says of one series, oldest first.

    `series` are the labels under which it is stored, where an alias gave those of its alert another service: what an
    alert is found by does not depend on aliases. `observed` is what was seen when it was measured last.
    """

    rule: Rule
    labels: Mapping[str, str]
    evaluations: tuple[TimedEvaluation, ...]
    series: Mapping[str, str] | None = None
    observed: Mapping[str, str] = field(default_factory=dict)


class Signal(StrEnum):
    """What a heartbeat's sender reports: the words of healthchecks."""

    SUCCESS = "success"
    START = "start"
    FAIL = "fail"
    LOG = "log"


@dataclass(frozen=True, slots=True)
class HeartbeatInput:
    """A heartbeat was received (`heard` true) or is expected from `at` on. `spec` is the entry of `probes: heartbeat:`.

    `output` is what its sender wrote with it, `exit_code` that of a failed run, `run` the id of a run where the sender
    pairs starts and ends.
    """

    name: str
    at: datetime
    spec: Mapping[str, str]
    labels: Mapping[str, str] = field(default_factory=dict)
    severity: Severity = Severity.CRITICAL
    heard: bool = True
    output: str = ""
    signal: Signal = Signal.SUCCESS
    exit_code: str = ""
    run: str = ""


@dataclass(frozen=True, slots=True)
class MovedAlert:
    """An alert as it began to fire in the incident of its group: it goes on in a correlated incident, or comes back.

    With `copied` it stays where it is, and a storm has a copy of it.
    """

    alert: Alert
    copied: bool = False


@dataclass(frozen=True, slots=True)
class RuleRemoved:
    """The rule of these alerts is gone or changed its labels: what it fired ends now."""

    fingerprints: tuple[str, ...]
    why: str


@dataclass(frozen=True, slots=True)
class TimelineNote:
    """Something that the open incident's timeline should hold, and that changes nothing else."""

    entry: Entry


Report = EventInput | Measured | HeartbeatInput
"""What is received about one alert."""
AlertInput = Report | MovedAlert
"""What is said of one alert."""
Input = AlertInput | Action | RuleRemoved | TimelineNote


def alert_fingerprint(given: AlertInput) -> str:
    """Return the fingerprint of the alert that an input is about.

    A counting rule has one alert for each group (its events are different faults of one service); any other rule has
    one for each fault.
    """
    if isinstance(given, MovedAlert):
        return given.alert.fingerprint
    if isinstance(given, HeartbeatInput):
        return labels_fingerprint(given.name, {"kind": "heartbeat"})
    if isinstance(given, Measured):
        return labels_fingerprint(given.rule.name, given.labels if given.series is None else given.series)
    if given.alert:
        return given.alert
    if given.rule is not None and given.rule.condition is not None:
        return labels_fingerprint(given.rule.name, counted_labels(given.rule, given.event.all_labels()))
    return fingerprint(given.rule.name if given.rule else "", given.event.fingerprint)


def counted_labels(rule: Rule, labels: Mapping[str, str]) -> dict[str, str]:
    """Return the labels of the alert of a counting rule: those it is grouped by."""
    return labels_of_group(counted_by(rule), labels)


def counted_by(rule: Rule) -> tuple[str, ...]:
    """Return the `group_by` of a counting rule: what it counts apart."""
    return (rule.route.options if rule.route is not None else rule.options).group_by


def grouped_labels(rule: Rule, labels: Mapping[str, str]) -> Mapping[str, str]:
    """Return the labels of an alert by which its incident is found.

    A count that the routes notify is one alert of one incident: it goes by its own labels, not by those of each event.
    """
    if rule.condition is None or not rule.condition.counts_events or rule.route is not None:
        return labels
    severity = {} if rule.severity is None else {"severity": rule.severity.value}
    return {**counted_labels(rule, labels), **rule.labels, **severity, "alertname": rule.name}
