"""tocsin check: exit status, lines for people, and one object for tools."""

import argparse
import json
from pathlib import Path

import pytest

from chalicelib.core.rule import Rules
from chalicelib.rules.file import load
from chalicelib.rules.probe_cost import state_usd
from chalicelib.rules.words import target_words
from cli import check as command
from cli.main import main

PAGE = "# A\n\n## Meaning\n\n## Impact\n\n## Diagnosis\n\n## Mitigation\n"
RIGHT = """
alerts:
  - name: Error Spike
    match: {source: sentry}
    condition: "events[1m] > 10"
    for: 2m
    clear: "events[1m] < 3"
    keep_firing_for: 10m
    no_data: ok
    severity: critical
    notification: [{slack_channel: "#incidents"}, {pagerduty: true}]
    escalate: [{after: 15m, notification: [{email: ops@example.com}]}]
    mute: [nights]
  - name: Sentry Issue
    match: {source: sentry}
routes:
  - {match: {severity: critical}, notification: [{webhook: "https://example.com/secret"}]}
default: {notification: [{slack_channel: "#alerts"}]}
windows: {nights: {from: "22:00", to: "06:00"}}
"""


@pytest.fixture
def checked(tmp_path, capsys):
    """Run the command over a file and its runbook: exit status and what was printed."""

    def run(text, *options, pages=None):
        path = tmp_path / "rules.yaml"
        path.write_text(text, encoding="utf-8")
        (tmp_path / "runbook").mkdir(exist_ok=True)
        for name, page in (pages or {}).items():
            (tmp_path / "runbook" / f"{name}.md").write_text(page, encoding="utf-8")
        status = arguments_of(str(path), *options)
        return status, capsys.readouterr().out.replace(f"{path}:", "rules.yaml:")

    return run


def arguments_of(*words):
    """Parse a command line and run it."""
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    arguments = parser.parse_args([*words])
    return command.run(arguments)


def test_a_clean_file_exits_0_and_is_explained(checked):
    """Each rule is said in one sentence, with who is notified of it."""
    status, printed = checked(RIGHT, pages={"error-spike": PAGE, "sentry-issue": PAGE})
    assert status == 0
    assert printed.splitlines() == [
        "Error Spike: Critical when, among what has source=sentry, the number of events in 1 minute is above 10, for 2 "
        "minutes, until the number of events in 1 minute is below 3, and 10 minutes longer, no data counting as fine. "
        "Notifies #incidents and PagerDuty, after 15 minutes ops@example.com, not in nights.",
        "Sentry Issue: With the severity of its event, for each fault with source=sentry, from its first firing event "
        "until it is resolved. Notifies, by the routes, with severity=critical webhook at example.com; otherwise #alerts.",
        "Everything else: notifies #alerts.",
        "What cannot be delivered: notifies nobody.",
        "",
        "no mistakes, no warnings.",
    ]


def test_what_is_measured_is_a_warning_unless_it_says_otherwise(checked):
    """A sample has no severity of its own, so only those who hear warnings are named."""
    text = (
        'alerts: [{name: A, condition: "error_rate > 1%"}]\n'
        "routes: [{match: {severity: critical}, notification: [{pagerduty: true}]}]\n"
        "default: {notification: [{email: a@example.com}]}\n"
    )
    printed = checked(text)[1].splitlines()
    assert "A: Warning when error rate is above 1 %. Notifies, by the routes, a@example.com." in printed


def test_warnings_exit_1_and_strict_2(checked):
    """A rule without its page is a warning, and a mistake for a deploy."""
    status, printed = checked("alerts: [{name: A}]")
    assert status == 1
    assert printed.startswith("rules.yaml:1:17: the rule has no page runbook/a.md; allowed is a page with")
    assert "no mistakes, 1 warning." in printed
    assert checked("alerts: [{name: A}]", "--strict")[0] == 2
    assert checked("alerts: [{name: A}]", pages={"a": PAGE})[0] == 0
    assert "lacks Impact" in checked("alerts: [{name: A}]", pages={"a": PAGE.replace("Impact", "x")})[1]


def test_mistakes_exit_2(checked):
    """All mistakes are printed, templates too."""
    status, printed = checked('alerts: [{name: A, severity: bad, summary: "{{ x }}"}, {name: A}]')
    assert status == 2
    assert [line.split(" ")[0] for line in printed.splitlines()[:3]] == [
        "rules.yaml:1:30:",
        "rules.yaml:1:48:",
        "rules.yaml:1:63:",
    ]
    assert "3 mistakes" in printed


def test_tools_get_one_object(checked):
    """`--json` has mistakes, warnings and rules."""
    status, printed = checked('alerts: [{name: A, condition: "eror_rate > 1%"}]', "--json")
    found = json.loads(printed)
    assert (status, len(found["mistakes"]), len(found["warnings"]), found["rules"]) == (2, 1, 1, [])
    mistake = found["mistakes"][0]
    assert (mistake["line"], mistake["column"], mistake["suggestion"]) == (1, 32, "error_rate")
    right = json.loads(checked(RIGHT, "--json")[1])
    assert [rule["name"] for rule in right["rules"]] == ["Error Spike", "Sentry Issue"]
    assert right["rules"][1]["hears"].startswith("Notifies, by the routes,")


def test_files_that_cannot_be_read_exit_2(tmp_path, capsys):
    """A missing file and bytes that are no text are told in one line."""
    assert arguments_of(str(tmp_path / "none.yaml")) == 2
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe")
    assert arguments_of(str(tmp_path / "bytes.yaml")) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(": ")[2] for line in lines] == [
        "cannot be read (No such file or directory); expected is a rules file",
        "is not UTF-8; expected is a rules file in UTF-8",
    ]


def test_no_address_that_may_hold_a_secret_is_printed():
    """Of a webhook's address only the host is said."""
    rules = load("default: {notification: [{slack_channel: 'https://hooks.slack.com/services/T0/B0/SECRET'}]}")
    assert target_words(rules.default.targets[0]) == "Slack at hooks.slack.com"


HISTORY = [
    {"at": 0, "sample": {"metric": "error_rate", "value": 0.5, "labels": {"service": "api"}}},
    {"at": 60, "event": {"name": "Slow", "labels": {"service": "api"}}},
    {"at": 120, "sample": {"metric": "error_rate", "value": 0, "labels": {"service": "api"}}},
    {"at": 130, "event": {"name": "Other", "labels": {"service": "web"}}},
    {"at": 2 * 86_400, "end": True},
]
COUNTED = """
alerts:
  - {name: A, condition: "error_rate > 1%", severity: critical, notification: [{slack_channel: "#a"}]}
  - {name: B, match: {service: api}, notification: [{slack_channel: "#b"}]}
  - {name: C, match: {service: none}, notification: [{slack_channel: "#b"}]}
default: {notification: [{slack_channel: "#c"}], repeat_interval: 30d}
defaults: {repeat_interval: 30d, resolve_timeout: 30d}
inhibit: [{cause: {alertname: A}, symptom: {alertname: B}, equal: [service]}]
"""


def test_history_counts_messages_a_day(checked, tmp_path):
    """Over two recorded days a rule that fired and ended sends one message a day, a muted one half of one, others none."""
    (tmp_path / "history.jsonl").write_text("\n".join(map(json.dumps, HISTORY)) + "\n", encoding="utf-8")
    pages = dict.fromkeys("abc", PAGE)
    _, printed = checked(COUNTED, pages=pages)
    counts = {line.partition(":")[0]: line.partition("On the history: ")[2] for line in printed.splitlines()}
    assert counts["A"] == "1.0 message a day."
    assert counts["B"] == "0.5 messages a day."
    assert counts["C"] == "0.0 messages a day."
    assert counts["Everything else"] == "0.5 messages a day."
    found = json.loads(checked(COUNTED, "--json", pages=pages)[1])
    assert [rule["messages_a_day"] for rule in found["rules"]] == [1.0, 0.5, 0.0]
    assert found["messages_a_day_of_everything_else"] == 0.5


def test_a_history_that_cannot_be_read_is_told(checked, tmp_path, capsys):
    """The check goes on without it."""
    (tmp_path / "history.jsonl").write_text("{broken", encoding="utf-8")
    status, printed = checked(COUNTED, pages=dict.fromkeys("abc", PAGE))
    assert (status, "On the history" in printed) == (1, False)
    assert "1 warning." in printed


NAMED = """
services:
  api: {aliases: {sentry: [api-backend, gone], probe: [api-health, no-probe], heartbeat: backup, labels: {job: a, ns: b}}}
  web: {aliases: {cloudflare: ["*.example.com", "*.example.org"], alertmanager: web-1, labels: [{job: c, ns: d}]}}
"""
SEEN = [
    {"at": 0, "event": {"name": "E", "source": "sentry", "labels": {"service": "api-backend"}}},
    {"at": 1, "event": {"name": "E", "source": "sentry", "labels": {"service": "shop"}}},
    {"at": 2, "event": {"name": "E", "source": "sentry", "labels": {"service": "shop"}}},
    {"at": 2, "event": {"name": "E", "source": "vercel", "labels": {"service": "api-backend"}}},
    {"at": 3, "event": {"name": "E", "source": "router", "labels": {"service": "own"}}},
    {"at": 3, "event": {"name": "E", "source": "other", "labels": {"service": "web", "job": "a", "ns": "b"}}},
    {"at": 4, "event": {"name": "E", "source": "cloudflare", "labels": {"service": "WWW.example.com"}}},
    {"at": 5, "sample": {"metric": "uptime", "value": 1, "labels": {"service": "x", "probe": "api-health"}}},
    {"at": 5, "probe": {"name": "p", "ok": True, "labels": {"service": "y"}}},
    {"at": 6, "beat": {"name": "backup"}},
    {
        "at": 7,
        "webhook": {"source": "alertmanager", "body": {"alerts": [{"labels": {"alertname": "A", "service": "web-1"}}]}},
    },
    {"at": 9, "end": True},
]


def test_history_names_services_without_an_entry_and_aliases_without_use(checked, tmp_path):
    """Given services and a history, when the file is checked → what comes under no name of the file is listed, and what never came."""
    (tmp_path / "history.jsonl").write_text("\n".join(map(json.dumps, SEEN)) + "\n", encoding="utf-8")
    status, printed = checked(NAMED)
    assert status == 0
    assert [line for line in printed.splitlines() if "history" in line and "message" not in line] == [
        "Services on the history that the file does not have: shop (2 of sentry), y (1 of probe), "
        "api-backend (1 of vercel).",
        "On the history nothing has this alias of api: sentry: gone.",
        "On the history nothing has this alias of api: probe: no-probe.",
        "On the history nothing has this alias of web: cloudflare: *.example.org.",
        "On the history nothing has this alias of web: job: c, ns: d.",
    ]
    found = json.loads(checked(NAMED, "--json")[1])
    assert found["services_unknown"][0] == {"source": "sentry", "service": "shop", "count": 2}
    assert found["aliases_unmatched"][-1] == {"service": "web", "alias": {"job": "c", "ns": "d"}}
    assert "services_unknown" not in json.loads(checked("alerts: []", "--json")[1])


def test_history_names_rules_that_ask_for_a_label_that_nothing_has(checked, tmp_path):
    """Given rules and a history, when nothing recorded has a label that a rule asks for → the rule and the label are listed."""
    (tmp_path / "history.jsonl").write_text("\n".join(map(json.dumps, SEEN)) + "\n", encoding="utf-8")
    text = (
        "alerts:\n- {name: A, match: {job: a}}\n- {name: B, match: {tenant: x}}\n- {name: C, match: {tenant: '!=x'}}\n"
    )
    pages = dict.fromkeys("abc", PAGE)
    _, printed = checked(text, pages=pages)
    assert [line for line in printed.splitlines() if "asks for" in line] == [
        "On the history nothing has the label tenant that B asks for."
    ]
    assert json.loads(checked(text, "--json", pages=pages)[1])["labels_unseen"] == [{"rule": "B", "label": "tenant"}]


PROBES = """
alerts: []
probes:
  uptime: [{name: api, url: "https://api.example.com/"}, {name: day, url: "http://a.test/", every: 1d, timings: true}]
  journey: [{name: walk, base: "https://a.test", every: 10m, steps: [{name: a, get: /}, {name: b, get: /b}]}]
  heartbeat: [{name: backup, every: 1d, grace: 1h}]
"""


def test_the_state_of_many_probes_has_its_cost() -> None:
    """Given 500 probes of every minute → the state that each run writes, some 50 KB, at its price."""
    rules = Rules(probes={"uptime": tuple({"name": f"p{number}"} for number in range(500))})
    units, reads = 54, 14
    assert state_usd(rules) == pytest.approx(43_200 * (units * 0.625e-6 + reads * 0.125e-6))


def test_probes_say_their_cost_a_month(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Given probes → the runs, samples and price of each for 30 days, and of all; heartbeats run nothing."""
    path = tmp_path / "alert-rules.yaml"
    path.write_text(PROBES)
    main(["check", str(path)])
    text = capsys.readouterr().out
    assert "Probe api (uptime): 43,200 runs a month with 5 samples, 0.16 USD." in text
    assert "Probe day (uptime): 30 runs a month with 7 samples, 0.00 USD." in text
    assert "Probe walk (journey): 4,320 runs a month with 9 samples, 0.03 USD." in text
    assert "All probes: 0.19 USD a month for their samples and 0.03 for their state, before AWS's allowances." in text
    assert "backup (" not in text
    main(["check", "--json", str(path)])
    content = json.loads(capsys.readouterr().out)
    assert content["probe_state_usd_a_month"] == pytest.approx(43_200 * 0.75e-6, abs=1e-4)
    rows = content["probes_a_month"]
    assert [(row["name"], row["runs"], row["samples"]) for row in rows] == [
        ("api", 43_200, 5),
        ("day", 30, 7),
        ("walk", 4_320, 9),
    ]
