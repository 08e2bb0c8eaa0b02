"""Probes that cannot measure: their events, and how these end."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from chalicelib.core.event import Event, Status
from chalicelib.core.metrics.sample import Sample
from chalicelib.core.rule import Rules
from chalicelib.probes import RETIRING, identity_of, name_of, probe_recovered
from chalicelib.schedule.probe_run import ProbeRun
from chalicelib.schedule.prober_cut_off import PROBER
from chalicelib.schedule.runs_before import BROKEN, RunsBefore


def reports(
    runs: Sequence[ProbeRun], rules: Rules, before: RunsBefore, own: Sequence[Event], *, is_cut_off: bool
) -> tuple[list[Event], list[Sample], dict[str, Mapping[str, str]]]:
    """Return the events of this run, the samples of which probes are broken, and the same for the next run.

    `own` are those of the prober itself.
    """
    at, open_before = before.at, before.broken()
    current = {event.identity: event for event in [*own, *(event for run in runs for event in run.events)]}
    events = [
        *own,
        *(
            event
            for run in runs
            for event in run.events
            if not _is_reported_once(event) or event.identity not in open_before
        ),
    ]
    marks = [_mark(event, 1.0, at) for event in current.values()]
    broken = {**open_before, **{event.identity: _mark(event, 1.0, at).labels for event in current.values()}}
    for identity, labels in open_before.items():
        if identity not in current and not is_cut_off and (reason := _ended(labels, runs, rules, current)) is not None:
            event = _recovered(identity, labels, reason, at)
            events += [event] if labels.get("status") == Status.FIRING else []
            marks.append(Sample(BROKEN, 0.0, at, labels))
            del broken[identity]
    return events, marks, broken


def _is_reported_once(event: Event) -> bool:
    """Return whether an event is sent in the first run alone that makes it, and has no end."""
    return event.status is Status.INFO or event.kind == RETIRING


def _mark(event: Event, value: float, at: datetime) -> Sample:
    status = Status.INFO if _is_reported_once(event) else event.status
    return Sample(BROKEN, value, at, {**event.labels, "identity": event.identity, "status": status.value})


def _recovered(identity: str, labels: Mapping[str, str], reason: str, at: datetime) -> Event:
    shown = {name: value for name, value in labels.items() if name not in ("identity", "status")}
    event = probe_recovered(labels.get("probe_kind", ""), identity, shown, reason, now=at)
    return replace(event, title="The prober measures again") if labels.get("probe_kind") == PROBER else event


def _ended(labels: Mapping[str, str], runs: Sequence[ProbeRun], rules: Rules, current: Container[str]) -> str | None:
    """Return why what was broken is no more: "" when it ran without saying so; None when this run cannot know."""
    kind, name = labels.get("probe_kind", ""), labels.get("probe", "")
    if identity_of(kind, name) in current:
        return None  # The whole probe broke: nothing is known of its parts.
    if kind == PROBER:
        return ""
    if any(run.kind == kind and name_of(run.params) == name for run in runs):
        return ""
    if any(name_of(params) == name for params in rules.probes.get(kind, ())):
        return None
    return "The rules no longer name this probe."
