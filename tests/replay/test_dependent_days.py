"""Random days of services that need each other, played with `depends_on`, with `correlate` alone, and with neither."""

import random
from collections import Counter
from typing import Any

import pytest

from chalicelib.core.rule import Rules
from chalicelib.rules.file import load
from simulation.engine import Replay

HEAD = """
alerts:
  - {name: Errors, match: {alertname: E}, severity: critical, notification: [{slack_channel: "#inc"}, {pagerduty: true}]}
  - {name: Down, match: {alertname: D}, severity: critical, notification: [{slack_channel: "#inc"}, {pagerduty: true}]}
  - {name: Latency, match: {alertname: L}, severity: warning, notification: [{slack_channel: "#alerts"}]}
default: {notification: [{slack_channel: "#alerts"}]}
"""
SERVICES = ("web", "api", "mail", "database")
NEEDS = "services: {web: {depends_on: [api]}, api: {depends_on: [database]}, mail: {depends_on: [database]}, database: {}}\n"
CORRELATE = "correlate: {by: [service, environment]}\n"
APART, ALONE, DEPENDENT = (
    load(text, filename="rules.yaml") for text in (HEAD, CORRELATE + HEAD, CORRELATE + NEEDS + HEAD)
)
MINUTE, LAST = 60, 240 * 60
JOIN_WITHIN = 15 * MINUTE
Line = dict[str, Any]


def day(seed: int) -> list[Line]:
    """Return the lines of a day: faults that begin within 40 minutes and end within two hours, and a few acknowledgements."""
    chance = random.Random(seed)
    lines: list[Line] = []
    for number in range(chance.randint(2, 9)):
        began = chance.randint(0, 40 * MINUTE)
        ended = began + chance.choice([chance.randint(MINUTE, 8 * MINUTE), chance.randint(10 * MINUTE, 80 * MINUTE)])
        labels = {"service": chance.choice(SERVICES), "environment": "production"}
        made = {"name": chance.choice("EEDDL"), "identity": f"f{number}", "labels": labels}
        lines.append({"at": began, "event": made})
        lines.append({"at": ended, "event": {**made, "status": "resolved"}})
    for _ in range(chance.randint(0, 2)):
        acked = {"matchers": {"environment": "production"}, "by": "ana"}
        lines.append({"at": chance.randint(MINUTE, 40 * MINUTE), "ack": acked})
    return [*sorted(lines, key=lambda line: line["at"]), {"at": LAST, "end": True}]


def outage(seed: int) -> list[Line]:
    """Return the lines of an outage of the database that somebody acknowledged, and of what it affects after that."""
    chance = random.Random(seed)
    lines: list[Line] = [{"at": 3 * MINUTE, "ack": {"matchers": {"environment": "production"}, "by": "ana"}}]
    spans = [("database", 0, chance.randint(5, 60) * MINUTE)]
    for service in SERVICES[:3]:
        began = chance.randint(4 * MINUTE, 16 * MINUTE)
        spans.append((service, began, began + chance.randint(2, 60) * MINUTE))
    for number, (service, began, ended) in enumerate(spans):
        labels = {"service": service, "environment": "production"}
        made = {"name": "E", "identity": f"f{number}", "labels": labels}
        lines += [{"at": began, "event": made}, {"at": ended, "event": {**made, "status": "resolved"}}]
    return [*sorted(lines, key=lambda line: line["at"]), {"at": LAST, "end": True}]


def played(rules: Rules, lines: list[Line]) -> list[Line]:
    """Return the notifications of a day."""
    return [each for each in Replay(rules, list(enumerate(lines, 1))).run() if each["type"] == "notification"]


def named(alert: Line) -> tuple[Any, ...]:
    """What tells one alert of a day from the others."""
    return alert["name"], alert["labels"]["service"], alert["starts_at"]


def shown(sent: list[Line]) -> set[tuple[str, Any]]:
    """Return each alert with each target that it was shown as firing or as ended."""
    return {(str(each["target"]), named(alert)) for each in sent for alert in each["alerts"]}


def counts(sent: list[Line], reason: str) -> Counter[str]:
    """Return how many notifications of a reason each target received."""
    return Counter(str(each["target"]) for each in sent if each["reason"] == reason)


@pytest.mark.parametrize("seed", range(15))
def test_no_alert_is_lost_and_nothing_opens_more_often(seed: int) -> None:
    """Given a random day → each target is shown what it is without `correlate`, and opened no more often than with that alone."""
    lines = day(seed)
    apart, alone, dependent = (played(rules, lines) for rules in (APART, ALONE, DEPENDENT))
    assert shown(apart) <= shown(dependent)
    opened = counts(alone, "opened")
    assert all(count <= opened[target] for target, count in counts(dependent, "opened").items())


@pytest.mark.parametrize("seed", range(15))
def test_each_opening_has_one_end_after_its_last_alert(seed: int) -> None:
    """Given a random day → each target is notified of as many ends as beginnings, the last one after its last alert."""
    sent = played(DEPENDENT, day(seed))
    ends: dict[tuple[str, str], float] = {}
    opened: Counter[tuple[str, str]] = Counter()
    for each in sent:
        key = str(each["target"]), each["incident"]
        opened[key] += {"opened": 1, "resolved": -1}.get(each["reason"], 0)
        assert opened[key] in (0, 1)
        ends[key] = each["at"]
    assert not any(opened.values())
    for each in sent:
        end = ends[str(each["target"]), each["incident"]]
        assert all(alert["ends_at"] <= end for alert in each["alerts"] if alert["ends_at"] is not None)
        assert each["reason"] != "resolved" or not any(alert["status"] == "firing" for alert in each["alerts"])


@pytest.mark.parametrize("seed", range(20))
def test_what_is_critical_and_nobody_has_makes_a_sound(seed: int) -> None:
    """Given an acknowledged outage → each alert that joins it makes a sound in `join_within`, if it fires for so long."""
    sent = [each for each in played(DEPENDENT, outage(seed)) if each["target"] == {"slack_channel": "#inc"}]
    sent = [each for each in sent if each["incident"] == sent[0]["incident"]]
    sounded = {named(alert): each["at"] for each in sent if each["sound"] for alert in each["alerts"]}
    ended = {
        named(alert): alert["ends_at"] for each in sent for alert in each["alerts"] if alert["ends_at"] is not None
    }
    assert len(ended) > 1
    for alert, ends_at in ended.items():
        assert alert in sounded or ends_at - alert[2] <= JOIN_WITHIN + MINUTE


@pytest.mark.parametrize("seed", range(20))
def test_an_outage_with_its_impact_makes_fewer_sounds(seed: int) -> None:
    """Given an acknowledged outage → with `depends_on` each target is notified with a sound no more often than without."""
    alone, dependent = (
        Counter(str(e["target"]) for e in played(r, outage(seed)) if e["sound"]) for r in (ALONE, DEPENDENT)
    )
    assert all(count <= alone[target] for target, count in dependent.items())
