"""One meaning of a word: rules, routes, inhibitions, silences and API filters match the words that people see."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.api import views
from chalicelib.core.context import Silence
from chalicelib.core.match import parse_matchers
from chalicelib.messages.queue import silence_message
from chalicelib.messages.webhook import Webhook, compressed, written
from chalicelib.rules.file import check
from simulation.simulator import Simulator
from tests.rule_files import rules_of
from tests.sources.bodies import alertmanager_body

START = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
SPELLINGS = {
    "critical": ("critical", "Critical", "CRIT", "page", "P1", "sev1", "SEV-0", "urgent", "fatal", "emergency"),
    "warning": ("warning", "warn", "error", "major", "P2", "sev-2", "ticket", "yellow"),
    "info": ("info", "Informational", "none", "low", "p4"),
}
CASES = [(word, severity) for severity, words in SPELLINGS.items() for word in words]
HEAD = "defaults: {group_wait: 0s, group_by: [service]}\n"
TO = "notification: [{webhook: matched}]"
ELSE = "default: {notification: [{webhook: other}]}\n"


def router(rules: str, labels: dict[str, str], *before: str) -> Simulator:
    """The router after one Alertmanager body with one alert of these labels."""
    found = Simulator(rules_of(HEAD + rules), START)
    found.post(before)
    found.settle()
    body = alertmanager_body(labels, START)
    found.post([written(Webhook("w1", "alertmanager", body, START, {}), compressed(body))])
    found.run_until(START + timedelta(seconds=30), inclusive=True)
    return found


def notified(found: Simulator) -> set[str]:
    """The addresses that were notified."""
    return {sent.notification.target.address for sent in found.sent}


@pytest.mark.parametrize(("word", "severity"), CASES)
class TestSeverity:
    """Every spelling, at every place that matches."""

    def labels(self, word):
        """An alert that says how bad it is in its team's own word."""
        return {"alertname": "InstanceDown", "service": "db", "severity": word}

    def test_a_rule_matches_it(self, word, severity):
        """A rule with `match: {severity}` takes the alert."""
        rules = f"alerts: [{{name: R, match: {{severity: {severity}}}, {TO}}}]\n" + ELSE
        assert notified(router(rules, self.labels(word))) == {"matched"}

    def test_a_route_matches_it(self, word, severity):
        """A route with `match: {severity}` leads the alert."""
        rules = f"alerts: []\nroutes: [{{match: {{severity: {severity}}}, {TO}}}]\n" + ELSE
        assert notified(router(rules, self.labels(word))) == {"matched"}

    def test_an_inhibition_mutes_by_it(self, word, severity):
        """An alert of that severity is a symptom."""
        cause = {"alertname": "Power", "service": "db", "severity": "critical"}
        rules = f"alerts: []\ninhibit: [{{cause: {{alertname: Power}}, symptom: {{severity: {severity}, alertname: InstanceDown}}}}]\n"
        found = router(rules + "default: {group_by: [alertname], notification: [{webhook: other}]}", cause)
        body = alertmanager_body(self.labels(word), START)
        found.taken()
        found.post([written(Webhook("w2", "alertmanager", body, START, {}), compressed(body))])
        found.run_until(START + timedelta(minutes=2), inclusive=True)
        assert [a.name for sent in found.sent for a in sent.notification.alerts if a.name == "InstanceDown"] == []

    def test_a_silence_mutes_by_it(self, word, severity):
        """A silence with `severity=` mutes the alert."""
        ends_at = START + timedelta(hours=1)
        silence = Silence("s1", parse_matchers({"severity": severity}), START, ends_at, "ana")
        assert notified(router("alerts: []\n" + ELSE, self.labels(word), silence_message(silence))) == set()

    def test_a_filter_of_the_api_finds_it(self, word, severity):
        """The API lists the alert under `match=severity=…`, and shows both words."""
        found = router("alerts: []\n" + ELSE, self.labels(word))
        matchers = parse_matchers({"severity": severity})
        (shown,) = views.alerts(found.store, found.rules, found.now, matchers=matchers).rows
        assert shown["labels"].get("severity") == severity
        assert shown["labels"].get("severity_raw", severity) == (word if word != severity else severity)


@pytest.mark.parametrize("label", ["source", "kind"])
def test_a_senders_label_does_not_rename_its_sender(label):
    """Given a label `source: router`, when rules of the router exist, then the alert stays its sender's."""
    labels = {"alertname": "Rtr", "service": "edge", "severity": "critical", label: "router"}
    rules = f"alerts: [{{name: R, match: {{{label}: router}}, {TO}}}]\n" + ELSE
    found = router(rules, labels)
    assert notified(found) == {"other"}
    (alert,) = next(iter(found.store.incidents())).firing
    assert alert.match_labels()[f"{label}_raw"] == "router"


@pytest.mark.parametrize(
    ("clause", "said"),
    [
        ("severity: critcal", "did you mean critical"),
        ("severity: fatal", "did you mean critical"),
        ("severity: page", "severity_raw; did you mean critical"),
        ('severity: "=~page|ticket"', "severity_raw"),
        ("source: sentri", "did you mean sentry"),
        ('source: "=~nagios"', "alertmanager, cloudflare"),
    ],
)
@pytest.mark.parametrize("place", ["rule", "route", "inhibit"])
def test_the_checker_names_words_that_no_event_has(clause, said, place):
    """Given a matcher on a severity or source that cannot occur, then the checker warns with the nearest word."""
    text = {
        "rule": f"alerts: [{{name: R, match: {{{clause}}}, {TO}}}]\n" + ELSE,
        "route": f"alerts: []\nroutes: [{{match: {{{clause}}}, {TO}}}]\n" + ELSE,
        "inhibit": f"alerts: []\ninhibit: [{{cause: {{{clause}}}, symptom: {{alertname: A}}}}]\n" + ELSE,
    }[place]
    assert [each for each in map(str, check(text).warnings) if said in each]


@pytest.mark.parametrize(
    "clause", ["severity: critical", 'severity: "=~crit.*"', "severity: '!=info'", "source: probe", "source: mine"]
)
def test_the_checker_leaves_right_words_alone(clause):
    """Given a matcher that some event satisfies, then nothing is warned."""
    text = (
        f"alerts: [{{name: R, match: {{{clause}}}, {TO}}}]\nsources: [{{name: mine, auth: bearer, title: t, id: i}}]\n"
        + ELSE
    )
    assert not [each for each in map(str, check(text).warnings) if "never matches" in each]


@pytest.mark.parametrize(
    ("word", "clause", "matches"),
    [
        ("page", "severity_raw: page", True),
        ("page", "severity: critical", True),
        ("ouch", "severity_raw: ouch", True),
        ("ouch", "severity: critical", True),
        ("critical", "severity_raw: critical", False),
    ],
)
def test_the_word_of_a_declared_source_stays_beside_the_severity(word, clause, matches):
    """Given a declared source with its own word for a severity, then rules match the word as `severity_raw` too."""
    rules = (
        HEAD + "sources: [{name: mine, auth: bearer, severity: level, severities: {ouch: critical}}]\n"
        f"alerts: [{{name: R, match: {{{clause}}}, {TO}}}]\n" + ELSE
    )
    found = Simulator(rules_of(rules), START)
    body = json.dumps({"id": "1", "title": "Disk full", "status": "down", "level": word}).encode()
    found.post([written(Webhook("w1", "mine", body, START, {}), compressed(body))])
    found.run_until(START + timedelta(seconds=30), inclusive=True)
    assert notified(found) == ({"matched"} if matches else {"other"})


def test_the_senders_word_follows_the_severity():
    """Given an alert that gets worse and eases in its team's own words, then `severity_raw` is the newest of them."""
    found = Simulator(rules_of(HEAD + "sources: [{name: mine, auth: bearer}]\nalerts: []\n" + ELSE), START)
    seen = []
    for minute, word in enumerate(("ticket", "page", "warning", "P1")):
        at = START + timedelta(minutes=minute)
        found.run_until(at, inclusive=True)
        body = json.dumps({"id": "1", "title": "Disk full", "status": "down", "severity": word}).encode()
        found.post([written(Webhook(f"w{minute}", "mine", body, at, {}), compressed(body))])
        found.settle()
        (alert,) = next(iter(found.store.incidents())).firing
        seen.append((alert.severity.value, alert.labels.get("severity_raw")))
    assert seen == [("warning", "ticket"), ("critical", "page"), ("warning", None), ("critical", "P1")]
