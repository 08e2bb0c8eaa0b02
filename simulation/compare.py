"""What was recorded, under today's rules and under changed ones, and the difference.

Both runs are the real decisions on the same lines with targets that take everything, so what differs is the rules'.
An incident of one run is found again in the other by the alerts it was first told for: by name and labels, else by
labels alone (a rule may have a new name). A page is a message to PagerDuty that is no end.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from chalicelib.core.delivery.notification import Receipt
from chalicelib.core.instants import rfc3339
from chalicelib.core.rule import Rules
from chalicelib.deliver.send import Send
from simulation.engine import HANDLERS, Replay
from simulation.evidence import Act, HeldIncident, Idle, Noise, Spans, acts_of, idle_by_rule, questions
from simulation.timeline import Times

NEAR = timedelta(hours=1)
"""Alerts with the same labels alone are taken for the same fault when they were told this close to each other."""
DAY_SECONDS = 86_400

Labels = tuple[tuple[str, str], ...]


# ---------------------------------------------------------------------------------------------------------------------
# One run


@dataclass(slots=True)
class ComparedIncident:
    """An incident as people heard of it. `alerts` are those it was first told for; `until` is None while it is open."""

    id: str
    at: datetime
    alerts: frozenset[tuple[str, Labels]]
    title: str
    messages: int = 0
    pages: int = 0
    until: datetime | None = None
    ever: set[tuple[str, Labels]] = field(default_factory=set)
    spans: Spans = field(default_factory=Spans)

    def open_at(self, at: datetime) -> bool:
        """Return whether people knew of it then."""
        return self.at <= at and (self.until is None or at <= self.until)


@dataclass(frozen=True, slots=True)
class RunTotals:
    """What one set of rules told of the lines."""

    messages: int
    pages: int
    incidents: tuple[ComparedIncident, ...]
    by_target: Mapping[str, int]
    by_rule: Mapping[str, int]
    noise: Mapping[str, Noise] = field(default_factory=dict)


def outcome(rules: Rules, lines: Sequence[tuple[int, dict[str, Any]]], name: str = "history") -> RunTotals:
    """Run the lines through rules."""
    incidents: dict[str, ComparedIncident] = {}
    by_target: Counter[str] = Counter()
    by_rule: Counter[str] = Counter()
    noise: dict[str, Noise] = {}
    times = Times(text=True)
    for line in Replay(rules, lines, name=name, sender=_taken).run():
        if line["type"] != "notification":
            continue
        ((kind, address),) = line["target"].items()
        target = f"{kind}: {address}" if address is not True else kind
        by_target[target] += 1
        noise.setdefault(target, Noise()).count(line)
        by_rule.update({alert["name"] for alert in line["alerts"] if not alert["muted_by"]})
        _tell(incidents, line, times.read(line["at"], "`at`"), pages=rules.can(kind).pages)
        incidents[line["incident"]].spans.note(line, times)
    told = tuple(sorted(incidents.values(), key=lambda each: (each.at, each.id)))
    pages = sum(each.pages for each in told)
    return RunTotals(sum(by_target.values()), pages, told, dict(by_target), dict(by_rule), noise)


def _taken(clients: object, now: datetime) -> Send:
    """Return targets that take everything, without what vendors would get: only whether and when is asked for."""
    return lambda notification, delivery_log: Receipt()


def _tell(incidents: dict[str, ComparedIncident], line: Mapping[str, Any], at: datetime, *, pages: bool) -> None:
    alerts = frozenset(
        (str(alert["name"]), tuple(sorted(alert["labels"].items())))
        for alert in line["alerts"]
        if not alert["muted_by"]
    )
    title = next((text.partition(": ")[2] or text for text in str(line["text"]).splitlines() if text.strip()), "")
    known = incidents.setdefault(line["incident"], ComparedIncident(line["incident"], at, alerts, title))
    known.messages += 1
    known.ever |= alerts
    if line["status"] == "resolved":
        known.until = at
    elif pages:
        known.pages += 1


# ---------------------------------------------------------------------------------------------------------------------
# The difference


@dataclass(frozen=True, slots=True)
class Pairs:
    """The incidents of two runs: found in both, and in one alone."""

    both: tuple[tuple[ComparedIncident, ComparedIncident], ...]
    before: tuple[ComparedIncident, ...]
    after: tuple[ComparedIncident, ...]


def paired(before: Sequence[ComparedIncident], after: Sequence[ComparedIncident]) -> Pairs:
    """Return which incident of one run is which of the other: the nearest in time that is about the same, each once."""
    found: list[tuple[bool, timedelta, int, int]] = []
    index = _index(after)
    for number, one in enumerate(before):
        for other in sorted({place for key in _keys(one) for place in index.get(key, ())}):
            if _near(one, after[other]):
                exact = bool(one.alerts & after[other].alerts)
                found.append((not exact, abs(one.at - after[other].at), number, other))
    left, right = dict(enumerate(before)), dict(enumerate(after))
    both = []
    for _, _, number, other in sorted(found):
        if number in left and other in right:
            both.append((left.pop(number), right.pop(other)))
    return Pairs(tuple(sorted(both, key=lambda pair: pair[0].at)), tuple(left.values()), tuple(right.values()))


def _index(incidents: Sequence[ComparedIncident]) -> dict[Any, list[int]]:
    found: dict[Any, list[int]] = {}
    for number, each in enumerate(incidents):
        for key in _keys(each):
            found.setdefault(key, []).append(number)
    return found


def _keys(each: ComparedIncident) -> set[Any]:
    """Return what two incidents about the same have in common: an alert, or its labels."""
    return {*each.alerts, *(found for _, found in each.alerts)}


def _near(one: ComparedIncident, other: ComparedIncident) -> bool:
    last = max(one.at, other.at)
    return all(each.until is None or last <= each.until + NEAR for each in (one, other) if each.at < last) or (
        abs(one.at - other.at) <= NEAR
    )


def compared(before: RunTotals, after: RunTotals, lines: Sequence[tuple[int, Mapping[str, Any]]]) -> dict[str, Any]:
    """Return the difference, as JSON."""
    pairs = paired(before.incidents, after.incidents)
    first, last = lines[0][1]["at"], lines[-1][1]["at"]
    times = Times(text=True)
    days = max((times.read(last, "`at`") - times.read(first, "`at`")).total_seconds() / DAY_SECONDS, 1 / 24)
    moved = [(one, other) for one, other in pairs.both if one.at != other.at]
    return {
        "from": first,
        "to": last,
        "days": round(days, 2),
        "lines": dict(Counter(kind for _, line in lines for kind in line if kind in HANDLERS)),
        "before": _totals(before, days),
        "after": _totals(after, days),
        "by_target": _counts(before.by_target, after.by_target),
        "by_rule": _counts(before.by_rule, after.by_rule),
        "same": len(pairs.both) - len(moved),
        "later": [_moved(one, other) for one, other in moved if other.at > one.at],
        "earlier": [_moved(one, other) for one, other in moved if other.at < one.at],
        "not_at_all": [_alone(each) for each in pairs.before if not _inside(each, after.incidents)],
        "in_another": [_alone(each) for each in pairs.before if _inside(each, after.incidents)],
        "new": [_alone(each) for each in pairs.after if not _inside(each, before.incidents)],
        "on_its_own": [_alone(each) for each in pairs.after if _inside(each, before.incidents)],
        **_evidence(before, after, acts_of(lines, times)),
    }


def _evidence(before: RunTotals, after: RunTotals, acts: Sequence[Act]) -> dict[str, Any]:
    """Return noise by target, questions about incidents, and idle alerts by rule; of each first that of today's rules."""
    asked = [questions([_held(each) for each in run.incidents]) for run in (before, after)]
    idle = [idle_by_rule((span for each in run.incidents for span in each.spans), acts) for run in (before, after)]
    return {
        "noise": _beside(before.noise, after.noise, Noise(), ("openings", "sounds", "silent")),
        "perhaps_two": {"before": asked[0]["perhaps_two"], "after": asked[1]["perhaps_two"]},
        "perhaps_one": {"before": asked[0]["perhaps_one"], "after": asked[1]["perhaps_one"]},
        "alerts": _beside(idle[0], idle[1], Idle(), ("alerts", "never_acted", "brief")),
    }


def _held(each: ComparedIncident) -> HeldIncident:
    return HeldIncident(each.title, each.at, tuple(each.spans))


def _beside(
    before: Mapping[str, object], after: Mapping[str, object], none: object, names: Sequence[str]
) -> dict[str, dict[str, list[int]]]:
    """Return the counts of two runs beside each other, by what they are of."""
    return {
        key: {name: [getattr(run.get(key, none), name) for run in (before, after)] for name in names}
        for key in sorted({*before, *after})
    }


def _inside(each: ComparedIncident, others: Iterable[ComparedIncident]) -> bool:
    """Return whether people knew of its alerts by another incident when it was told."""
    return any(other.open_at(each.at) and each.alerts <= other.ever for other in others)


def _totals(found: RunTotals, days: float) -> dict[str, Any]:
    return {
        "messages": found.messages,
        "pages": found.pages,
        "incidents": len(found.incidents),
        "messages_a_day": round(found.messages / days, 2),
    }


def _counts(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, list[int]]:
    names = sorted({*before, *after}, key=lambda name: (-before.get(name, 0), name))
    return {name: [before.get(name, 0), after.get(name, 0)] for name in names}


def _alone(each: ComparedIncident) -> dict[str, Any]:
    names = sorted({name for name, _ in each.alerts})
    found = next(iter(sorted(each.alerts)), ("", ()))
    return {
        "at": rfc3339(each.at),
        "title": each.title,
        "alerts": names,
        "labels": dict(found[1]),
        "messages": each.messages,
        "pages": each.pages,
    }


def _moved(one: ComparedIncident, other: ComparedIncident) -> dict[str, Any]:
    return {
        **_alone(one),
        "now_at": rfc3339(other.at),
        "seconds": round((other.at - one.at).total_seconds(), 3),
        "messages": [one.messages, other.messages],
        "pages": [one.pages, other.pages],
    }
