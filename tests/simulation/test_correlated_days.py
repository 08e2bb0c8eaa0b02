"""Random days under the shipped rules, lived with `correlate` and without it: what people are notified of may only get quieter."""

from collections import defaultdict
from dataclasses import dataclass, replace
from functools import cache
from random import Random
from typing import Any

import pytest

from chalicelib.core.rule import Rules
from chalicelib.rules.file import load
from simulation.engine import Replay
from simulation.random_life import SHIPPED

MINUTE, LAST = 60, 420 * 60
JOIN_WITHIN, GRID = 15 * MINUTE, 5 * MINUTE
SEEDS = range(25)
SERVICES = ("web", "api", "mail", "database")
NEEDS = "{web: {depends_on: [api]}, api: {depends_on: [database]}, mail: {depends_on: [database]}, database: {}}"
SOURCES = ("alertmanager", "alertmanager", "sentry", "cloudflare")
KINDS = {"alertmanager": "alert", "sentry": "metric_alert.critical", "cloudflare": "http_alert_origin_error"}
Line = dict[str, Any]


@cache
def rules(*, correlated: bool) -> Rules:
    """Return the shipped rules with services that need each other; `correlated` or not."""
    text = SHIPPED.read_text(encoding="utf-8").replace("\nservices:\n", f"\nservices: {NEEDS}\n")
    found = load(text, filename="alert-rules.yaml")
    return found if correlated else replace(found, correlate=None)


def day(seed: int) -> list[Line]:
    """Return the lines of a day: faults that flap, repeat and end, silences, and people who acknowledge and resolve."""
    chance = Random(seed)
    lines: list[Line] = []
    for number in range(chance.randint(2, 8)):
        lines += _fault(chance, number)
    for _ in range(chance.randint(0, 3)):
        kind = chance.choice(("ack", "ack", "ack", "silence"))
        said: Line = {"matchers": {"service": chance.choice(SERVICES)}, "by": "ana"}
        at = chance.randint(MINUTE, 60 * MINUTE)
        lines.append({"at": at, kind: said if kind == "ack" else {**said, "until": at + 20 * MINUTE}})
    return [*sorted(lines, key=lambda line: line["at"]), {"at": LAST, "end": True}]


def _fault(chance: Random, number: int) -> list[Line]:
    source, severity = chance.choice(SOURCES), chance.choice(("critical", "critical", "warning"))
    labels = {"source": source, "kind": KINDS[source], "service": chance.choice(SERVICES), "fault": f"f{number}"}
    made = {"name": f"n{number}", "severity": severity, "identity": f"f{number}", "labels": labels}
    at, lines = chance.randint(0, 45 * MINUTE), []
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        ends = at + chance.choice((chance.randint(1, 8), chance.randint(10, 90))) * MINUTE
        lines += [{"at": at, "event": made}, {"at": ends, "event": {**made, "status": "resolved"}}]
        at = ends + chance.randint(1, 12) * MINUTE
    return lines


@dataclass(frozen=True)
class Lived:
    """The notifications of a day."""

    sent: list[Line]

    @property
    def first_shown(self) -> dict[tuple[str, str], float]:
        """Return when each target was first shown each fault. What was short is listed as resolved, at the next update."""
        found: dict[tuple[str, str], float] = {}
        for each in self.sent:
            for alert in visible(each):
                found.setdefault((target(each), alert["labels"]["fault"]), each["at"])
        return found

    @property
    def sounded(self) -> set[tuple[str, str]]:
        """Return each target with each fault that a sound there showed as firing."""
        return {(target(each), fault) for each in self.sent if is_sound(each) for fault in firing(each)}


def visible(line: Line) -> list[Line]:
    """Return the alerts of a notification that nothing mutes."""
    return [each for each in line["alerts"] if not each["muted_by"] and "fault" in each["labels"]]


def firing(line: Line) -> set[str]:
    """Return the faults that a notification shows as firing and not muted."""
    return {each["labels"]["fault"] for each in visible(line) if each["status"] == "firing"}


def target(line: Line) -> str:
    """Return the target of a notification, as a text."""
    return str(line["target"])


def is_sound(line: Line) -> bool:
    """Return whether people must notice a notification."""
    return bool(line.get("sound", line["reason"] in ("opened", "reminder", "escalated")))


def events(seed: int, fault: str) -> list[Line]:
    """Return the lines of a fault."""
    return [line for line in day(seed) if "event" in line and line["event"]["labels"]["fault"] == fault]


def is_critical(seed: int, fault: str) -> bool:
    """Return whether a fault is critical."""
    return bool(events(seed, fault)[0]["event"]["severity"] == "critical")


def is_silenced(seed: int, fault: str) -> bool:
    """Return whether somebody silenced the service of a fault, so that an update may come when it is muted."""
    service = events(seed, fault)[0]["event"]["labels"]["service"]
    return any(line["silence"]["matchers"]["service"] == service for line in day(seed) if "silence" in line)


def is_brief(seed: int, fault: str) -> bool:
    """Return whether a fault was over before the next update, the first time."""
    began, ended = events(seed, fault)[:2]
    return bool(ended["at"] - began["at"] <= GRID)


@cache
def lived(seed: int, *, correlated: bool) -> Lived:
    """Live a day."""
    lines = Replay(rules(correlated=correlated), list(enumerate(day(seed), 1))).run()
    return Lived([line for line in lines if line["type"] == "notification"])


@pytest.mark.acceptance
@pytest.mark.parametrize("seed", SEEDS)
def test_each_fault_is_shown_where_it_is_without_correlate(seed: int) -> None:
    """Given a random day → each target is shown each fault that it is shown without, at the next update at the latest.

    A silence may have begun by then. What was over by then may be shown with what comes next, or with the end.
    """
    without, within = lived(seed, correlated=False).first_shown, lived(seed, correlated=True).first_shown
    assert without.keys() <= within.keys()
    late = {pair for pair, at in without.items() if within[pair] > at + GRID}
    assert {fault for _, fault in late if not is_silenced(seed, fault) and not is_brief(seed, fault)} == set()


@pytest.mark.parametrize("seed", SEEDS)
def test_no_critical_fault_loses_its_sound(seed: int) -> None:
    """Given a random day → a critical fault without the sound that it has without `correlate` is one that somebody has.

    Or nobody acknowledged anything of its incident, so that the first page of that still rings; or it was short.
    """
    without, within = lived(seed, correlated=False), lived(seed, correlated=True)
    for where, fault in without.sounded - within.sounded:
        if is_critical(seed, fault):
            shown = [
                (each, alert) for each in within.sent for alert in visible(each) if alert["labels"]["fault"] == fault
            ]
            own = [(each, alert) for each, alert in shown if target(each) == where]
            assert any(alert["acked_by"] for _, alert in own) or is_short(own) or still_rings(within, where, own)


def is_short(own: list[tuple[Line, Line]]) -> bool:
    """Return whether each beginning of a fault ended before it had to make a sound."""
    spans = {alert["starts_at"]: alert["ends_at"] for _, alert in own}
    return all(end is not None and end - began <= JOIN_WITHIN for began, end in spans.items())


def still_rings(within: Lived, where: str, own: list[tuple[Line, Line]]) -> bool:
    """Return whether a sound of the same incident came before, and nobody has acknowledged anything of that since."""
    name, first = own[0][0]["incident"], own[0][0]["at"]
    heard = [each for each in within.sent if each["incident"] == name and target(each) == where]
    is_acked = any(alert["acked_by"] for each in heard for alert in each["alerts"])
    return not is_acked and any(is_sound(each) and each["at"] <= first for each in heard)


def test_there_are_fewer_sounds_over_many_days() -> None:
    """Given many random days → each target makes fewer sounds than without `correlate`, and is opened less often.

    On one day it may be more: what begins more than `join_within` after the last news is an incident of its own.
    """
    without, within = (
        [each for seed in SEEDS for each in lived(seed, correlated=way).sent if is_sound(each)] for way in (False, True)
    )
    for name in {target(each) for each in without}:
        before, after = ([each for each in sent if target(each) == name] for sent in (without, within))
        assert len(after) < len(before)
        assert len(opened(after)) < len(opened(before))


def opened(sent: list[Line]) -> list[Line]:
    """Return the openings."""
    return [each for each in sent if each["reason"] == "opened"]


@pytest.mark.parametrize("seed", SEEDS)
def test_each_opening_has_one_end_and_none_comes_too_early(seed: int) -> None:
    """Given a random day → at each target openings and ends of an incident alternate, and no end shows what fires."""
    reasons: dict[tuple[str, str], list[str]] = defaultdict(list)
    for each in lived(seed, correlated=True).sent:
        if each["reason"] in ("opened", "resolved"):
            reasons[target(each), each["incident"]].append(each["reason"])
        assert each["reason"] != "resolved" or firing(each) == set()
    for heard in reasons.values():
        assert heard == ["opened", "resolved"] * (len(heard) // 2)
