"""Questions that a recorded month raises about its rules: noise, incidents that are perhaps two or one, idle alerts."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from cli.main import main
from simulation.compare import compared, outcome
from simulation.evidence import AlertSpan, HeldIncident, is_perhaps_two, perhaps_one
from tests.rule_files import rules_of

NOW = datetime(2026, 11, 1, tzinfo=UTC)
TODAY = """
alerts:
  - {name: Down, match: {kind: down}, severity: critical, notification: [{slack_channel: "#a"}, {pagerduty: true}]}
  - {name: Errors, match: {kind: errors}, severity: critical, notification: [{slack_channel: "#a"}]}
default: {notification: [{slack_channel: "#rest"}]}
"""
CORRELATED = "correlate: {by: [service]}\n" + TODAY


def at(minutes):
    """Return a time of the recorded day."""
    return (NOW + timedelta(minutes=minutes)).isoformat()


def event(minutes, kind="down", service="api", status="firing"):
    """Return a recorded event."""
    return {"at": at(minutes), "event": {"name": kind, "labels": {"kind": kind, "service": service}, "status": status}}


HISTORY = [
    event(0),
    event(2, "errors"),
    {"at": at(4), "ack": {"matchers": {"alertname": "Down", "service": "api"}, "by": "ana"}},
    event(6, "errors", status="resolved"),
    event(30, status="resolved"),
    event(70, service="web"),
    event(73, service="web", status="resolved"),
    {"at": at(300), "end": True},
]


def difference(new, history=HISTORY, today=TODAY):
    """Return what the new rules change on the history."""
    lines = list(enumerate(history, 1))
    return compared(outcome(rules_of(today), lines), outcome(rules_of(new), lines), lines)


def test_openings_sounds_and_silent_updates_of_each_target():
    """Given rules that correlate → a target has fewer openings than today, and what joins and one end of two are silent updates."""
    found = difference(CORRELATED)["noise"]
    assert found["slack_channel: #a"] == {"openings": [3, 2], "sounds": [3, 2], "silent": [0, 2]}
    assert found["pagerduty"] == {"openings": [2, 2], "sounds": [2, 2], "silent": [0, 0]}


def test_incidents_of_one_service_at_one_time_are_perhaps_one():
    """Given two incidents of a service at a time → they are perhaps one; correlated they are."""
    found = difference(CORRELATED)["perhaps_one"]
    assert [(each["service"], each["seconds_apart"]) for each in found["before"]] == [("api", 0)]
    assert found["after"] == []


def test_alerts_that_nobody_acted_on_or_that_ended_soon_by_rule():
    """Given one acknowledged alert of three → two that nobody acted on, and two that ended within five minutes by themselves."""
    found = difference(TODAY)["alerts"]
    assert found["Down"] == {"alerts": [2, 2], "never_acted": [1, 1], "brief": [1, 1]}
    assert found["Errors"] == {"alerts": [1, 1], "never_acted": [1, 1], "brief": [1, 1]}


@pytest.mark.parametrize(
    ("act", "never_acted", "brief"),
    [
        ({"resolve": {"matchers": {"service": "web"}, "by": "ana"}}, 0, 0),
        ({"silence": {"matchers": {"service": "=~w.*"}, "until": at(200), "by": "ana"}}, 0, 1),
        ({"ack": {"matchers": {"service": "api"}, "by": "ana"}}, 1, 1),
    ],
)
def test_an_act_on_an_alert_is_one_by_any_door(act, never_acted, brief):
    """Given an alert of three minutes → an act on it counts, a resolve by hand is no end by itself, one on another is none."""
    history = [HISTORY[5], {"at": at(72), **act}, *HISTORY[6:]]
    found = difference(TODAY, history)["alerts"]["Down"]
    assert (found["never_acted"][0], found["brief"][0]) == (never_acted, brief)


def test_an_incident_whose_alerts_never_overlapped_is_perhaps_two():
    """Given an alert that begins after the end of the other one of its incident → the incident is perhaps two."""
    history = [event(0), event(3, status="resolved"), event(6, "errors"), event(20, "errors", status="resolved")]
    found = difference(CORRELATED, [*history, {"at": at(60), "end": True}])["perhaps_two"]
    assert found["before"] == []
    assert [[part["alerts"] for part in each["parts"]] for each in found["after"]] == [[["Down"], ["Errors"]]]


def spanned(name, begins, ends, service="api"):
    """Return an alert from a minute to another one."""
    end = None if ends is None else NOW + timedelta(minutes=ends)
    return AlertSpan(name, (("service", service),), NOW + timedelta(minutes=begins), end)


@pytest.mark.parametrize(
    ("spans", "two"),
    [
        ([("a", 0, 5), ("b", 4, 9)], False),
        ([("a", 0, 5), ("b", 5, 9)], False),
        ([("a", 0, 5), ("b", 6, 9)], True),
        ([("a", 0, None), ("b", 6, 9)], False),
        ([("a", 0, 5), ("a", 6, 9)], False),
        ([("a", 0, 20), ("b", 2, 3), ("c", 6, 9)], False),
        ([("a", 0, 5), ("a", 6, 9), ("b", 12, 14)], True),
    ],
)
def test_what_never_overlapped(spans, two):
    """Given alerts in time → perhaps two incidents only where others came once all had ended; a flap is none."""
    assert is_perhaps_two(spanned(*each) for each in spans) is two


@pytest.mark.parametrize(
    ("second", "pairs"), [((69, 70), 1), ((70, 80), 0), ((5, 6), 1), ((65, 70, "web"), 0)], ids=str
)
def test_neighbours_of_one_service(second, pairs):
    """Given an incident that ended after ten minutes → the next one of its service is near for less than an hour."""
    incidents = [HeldIncident("x", NOW, (spanned(*each),)) for each in (("a", 0, 10), ("b", *second))]
    assert len(perhaps_one(incidents)) == pairs


def test_a_short_incident_does_not_hide_a_longer_one():
    """Given a short incident within a long one → what comes soon after the long one is near it."""
    incidents = [
        HeldIncident(n, NOW, (spanned(n, *t),)) for n, t in (("a", (0, 300)), ("b", (5, 6)), ("c", (320, 330)))
    ]
    assert [(one.title, other.title) for _, one, other in perhaps_one(incidents)] == [("a", "b"), ("a", "c")]


def test_people_read_the_evidence(tmp_path, capsys):
    """Given a history and changed rules → tables of noise and of idle alerts, and each incident that is perhaps one."""
    for name, text in (("today.yaml", TODAY), ("new.yaml", CORRELATED)):
        (tmp_path / name).write_text(text)
    (tmp_path / "h.jsonl").write_text("".join(json.dumps(line) + "\n" for line in HISTORY))
    words = ["replay", "--from-history", str(tmp_path / "h.jsonl"), "--today", str(tmp_path / "today.yaml")]
    assert main([*words, "--rules", str(tmp_path / "new.yaml")]) == 0
    said = capsys.readouterr().out
    rows = [line.split() for line in said.splitlines()]
    assert ["slack_channel:", "#a", "3", "→", "2", "3", "→", "2", "0", "→", "2"] in rows
    assert ["Down", "2", "1", "1"] in rows
    assert "less than an hour apart, perhaps one incident, today (1)" in said
    assert "api, at the same time" in said
    assert "with the changed rules (" not in said
