"""What a run of recorded lines says about its rules: noise of each target, incidents that are perhaps two or one, idle alerts.

An incident that held alerts which never overlapped in time is perhaps two. Two incidents of one service, less than an hour
apart, are perhaps one. An alert that nobody acted on, or that ended by itself within five minutes, is perhaps none. These are
questions for the operator, not judgements.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from chalicelib.core.instants import rfc3339
from chalicelib.core.match import Matcher, matches_all, parse_matchers
from simulation.timeline import Times

NEAR = timedelta(hours=1)
"""Two incidents of one service so close to each other are perhaps one."""
BRIEF = timedelta(minutes=5)
"""An alert that ends by itself within this is perhaps none."""
ACTS = ("ack", "resolve", "silence")
SOUNDING = ("opened", "reminder", "escalated")
"""Notifications that people must notice, where the line does not say so itself."""

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class AlertSpan:
    """An alert from one beginning to its end, which is None while it fires."""

    name: str
    labels: Labels
    starts_at: datetime
    ends_at: datetime | None = None

    @property
    def alert(self) -> tuple[str, Labels]:
        """Return which alert it is of."""
        return self.name, self.labels

    @property
    def service(self) -> str:
        """Return its service; empty where it has none."""
        return dict(self.labels).get("service", "")


@dataclass(slots=True)
class Noise:
    """What one target was notified of. An opening is a sound; an end is neither a sound nor silent."""

    openings: int = 0
    sounds: int = 0
    silent: int = 0

    def count(self, line: Mapping[str, Any]) -> None:
        """Count a notification."""
        reason = line["reason"]
        if reason == "resolved":
            return
        is_sound = bool(line.get("sound", reason in SOUNDING))
        self.openings += reason == "opened"
        self.sounds += is_sound
        self.silent += not is_sound


@dataclass(slots=True)
class Spans:
    """The alerts that an incident showed, each from its beginning to its end."""

    found: dict[tuple[str, Labels, datetime], AlertSpan] = field(default_factory=dict)

    def note(self, line: Mapping[str, Any], times: Times) -> None:
        """Add the alerts that a notification shows and that nothing mutes."""
        for alert in line["alerts"]:
            if not alert["muted_by"]:
                labels = tuple(sorted(alert["labels"].items()))
                starts_at = times.read(alert["starts_at"], "`starts_at`")
                ends_at = times.optional(alert["ends_at"], "`ends_at`")
                self.found[alert["name"], labels, starts_at] = AlertSpan(alert["name"], labels, starts_at, ends_at)

    def __iter__(self) -> Iterator[AlertSpan]:
        return iter(self.found.values())


def parts(spans: Iterable[AlertSpan]) -> list[list[AlertSpan]]:
    """Return the alerts in groups whose times have something in common, oldest first."""
    found: list[list[AlertSpan]] = []
    until: datetime | None = None
    for span in sorted(spans, key=lambda each: each.starts_at):
        if not found or (until is not None and span.starts_at > until):
            found.append([])
            until = span.ends_at
        found[-1].append(span)
        until = None if until is None or span.ends_at is None else max(until, span.ends_at)
    return found


def is_perhaps_two(spans: Iterable[AlertSpan]) -> bool:
    """Return whether other alerts came once all had ended. What only flapped is the same alert."""
    groups = [{span.alert for span in group} for group in parts(spans)]
    return any(groups[0].isdisjoint(group) for group in groups[1:])


@dataclass(frozen=True, slots=True)
class Act:
    """What a person did to alerts that match, at a time."""

    at: datetime
    matchers: tuple[Matcher, ...]
    resolves: bool = False

    def is_on(self, span: AlertSpan) -> bool:
        """Return whether it was done to this alert while it fired."""
        if self.at < span.starts_at or (span.ends_at is not None and self.at > span.ends_at):
            return False
        return matches_all(self.matchers, {"alertname": span.name, **dict(span.labels)})


def acts_of(lines: Sequence[tuple[int, Mapping[str, Any]]], times: Times) -> list[Act]:
    """Return what people did by matchers, in the order of time."""
    found = []
    for _, line in lines:
        for name in ACTS:
            clauses = line[name].get("matchers") if isinstance(line.get(name), dict) else None
            if isinstance(clauses, dict):
                matchers = parse_matchers({key: str(text) for key, text in clauses.items()})
                found.append(Act(times.read(line["at"], "`at`"), matchers, resolves=name == "resolve"))
    return found


@dataclass(slots=True)
class Idle:
    """How many alerts a rule had, and how many of them nobody acted on or ended by themselves soon."""

    alerts: int = 0
    never_acted: int = 0
    brief: int = 0


def idle_by_rule(spans: Iterable[AlertSpan], acts: Sequence[Act]) -> dict[str, Idle]:
    """Return the alerts that people were notified of, each counted once, by the names of their rules."""
    found: dict[str, Idle] = {}
    for span in {(each.alert, each.starts_at): each for each in spans}.values():
        own = [act for act in acts if act.is_on(span)]
        idle = found.setdefault(span.name, Idle())
        idle.alerts += 1
        idle.never_acted += not own
        is_brief = span.ends_at is not None and span.ends_at - span.starts_at <= BRIEF
        idle.brief += is_brief and not any(act.resolves for act in own)
    return found


@dataclass(frozen=True, slots=True)
class HeldIncident:
    """An incident with its title and the alerts that people were notified of in it."""

    title: str
    at: datetime
    spans: tuple[AlertSpan, ...]

    @property
    def services(self) -> set[str]:
        """Return the services of its alerts."""
        return {span.service for span in self.spans if span.service}

    @property
    def starts_at(self) -> datetime:
        """Return when its first alert began."""
        return min(span.starts_at for span in self.spans)

    @property
    def ends_at(self) -> datetime | None:
        """Return when its last alert ended; None while one fires."""
        ends = [span.ends_at for span in self.spans if span.ends_at is not None]
        return max(ends) if len(ends) == len(self.spans) else None


def perhaps_one(incidents: Iterable[HeldIncident]) -> list[tuple[str, HeldIncident, HeldIncident]]:
    """Return neighbours of one service that are less than an hour apart, with the service. What overlaps is not apart."""
    found = []
    last: dict[str, HeldIncident] = {}
    for incident in sorted(incidents, key=lambda each: each.starts_at):
        for service in sorted(incident.services):
            before = last.get(service)
            if before is not None and (before.ends_at is None or incident.starts_at < before.ends_at + NEAR):
                found.append((service, before, incident))
            if before is None or _ends_later(incident, before):
                last[service] = incident
    return found


def _ends_later(one: HeldIncident, other: HeldIncident) -> bool:
    return one.ends_at is None or (other.ends_at is not None and one.ends_at >= other.ends_at)


def questions(incidents: Sequence[HeldIncident]) -> dict[str, list[dict[str, Any]]]:
    """Return the incidents of a run that are perhaps two, and those that are perhaps one, as JSON."""
    known = [each for each in incidents if each.spans]
    return {
        "perhaps_two": [_two(each) for each in known if is_perhaps_two(each.spans)],
        "perhaps_one": [_one(*pair) for pair in perhaps_one(known)],
    }


def _two(incident: HeldIncident) -> dict[str, Any]:
    groups = parts(incident.spans)
    return {
        "at": rfc3339(incident.at),
        "title": incident.title,
        "parts": [
            {"from": rfc3339(min(each.starts_at for each in group)), "alerts": sorted({each.name for each in group})}
            for group in groups
        ],
    }


def _one(service: str, before: HeldIncident, after: HeldIncident) -> dict[str, Any]:
    apart = timedelta(0) if before.ends_at is None else max(timedelta(0), after.starts_at - before.ends_at)
    return {
        "service": service,
        "at": rfc3339(before.at),
        "title": before.title,
        "and_at": rfc3339(after.at),
        "and_title": after.title,
        "seconds_apart": round(apart.total_seconds(), 3),
    }
