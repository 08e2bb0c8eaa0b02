"""tocsin explain: every decision in order, for what was told and for what was not."""

import argparse
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.aws.dynamodb import DynamoStore
from chalicelib.core.delivery.delivery_log import delivery_log_key
from chalicelib.core.errors import NotFoundError
from chalicelib.rules.file import load
from cli import explain as command
from simulation.engine import Replay
from simulation.rule_test import fits
from tests import extremes
from tests.aws.tables import KEY, client, new_table, table_client

RULES = """\
alerts:
  - {name: High Error Rate, condition: "error_rate > 1%", severity: critical, group_by: [service],
     notification: [{slack_channel: "#incidents"}, {pagerduty: true}],
     escalate: [{after: 15m, notification: [{email: boss@example.com}]}]}
  - {name: Slow, condition: "p95_latency_ms > 500 and requests_per_min >= 200", for: 5m, no_data: ok,
     notification: [{slack_channel: "#alerts"}]}
  - {name: Spike, match: {source: sentry, kind: error.created}, condition: "events[1m] > 3", clear: "events[1m] < 1",
     keep_firing_for: 10m, group_by: [service], notification: [{slack_channel: "#alerts"}]}
  - {name: Issue, match: {source: sentry, kind: "=~issue[.].+"}, notification: [{slack_channel: "#alerts"}], mute: [nights],
     escalate: [{after: 15m, notification: [{email: boss@example.com}]}]}
  - {name: Note, match: {source: notes}, severity: info, notification: [{pagerduty: true}]}
routes:
  - {match: {severity: critical}, notification: [{pagerduty: true}], continue: true}
  - match: {team: db}
    notification: [{slack_channel: "#db"}]
    routes: [{match: {environment: staging}, notification: [{slack_channel: "#staging"}]}]
default: {notification: [{slack_channel: "#default"}]}
inhibit: [{cause: {alertname: High Error Rate}, symptom: {alertname: Spike}, equal: [service]}]
windows: {nights: {from: "00:00", to: "01:00"}}
"""


def sample(at, metric, value, **labels):
    """One measured value."""
    return {"at": at, "sample": {"metric": metric, "value": value, "labels": labels or {"service": "api"}}}


def event(at, name="E", severity="warning", status="firing", **labels):
    """One event."""
    return {"at": at, "event": {"name": name, "severity": severity, "status": status, "labels": labels}}


def error(at, service="api"):
    """One error of Sentry."""
    return event(at, source="sentry", kind="error.created", service=service)


def decisions(lines, at, **matchers):
    """What is explained of the one alert that matches, at a time."""
    asked = {"at": at, "explain": {"matchers": matchers}}
    replay = Replay(load(RULES), list(enumerate([*lines, asked], 1)), name="story")
    ((alert,),) = [line["alerts"] for line in replay.run() if line["type"] == "explain"]
    return alert["decisions"]


DEPENDENT = """
correlate: {by: [service]}
services: {api: {depends_on: [database]}, database: {}}
alerts: []
default: {notification: [{webhook: a}]}
"""


def explained_steps(*lines, at):
    """The steps that name what explains the alert of the API."""
    asked = {"at": at, "explain": {"matchers": {"service": "api"}}}
    replay = Replay(load(DEPENDENT), list(enumerate([*lines, asked], 1)), name="story")
    ((alert,),) = [line["alerts"] for line in replay.run() if line["type"] == "explain"]
    return [step for step in alert["decisions"] if "explained" in step]


def test_what_explains_an_alert_is_named():
    """Given an alert of a service that needs another one → the one that explains it, while it does and after that."""
    critical = {"severity": "critical"}
    begun = [event(0, service="database", **critical), event(60, service="api", **critical)]
    assert explained_steps(*begun, at=90) == [
        "explained by database, where something critical fires since 0: it makes no sound of its own after an acknowledgement"
    ]
    ended = event(120, status="resolved", service="database", **critical)
    assert explained_steps(*begun, ended, at=150) == [
        "was explained by database until 120: a sound at 420 if it made none before"
    ]
    assert explained_steps(event(0, service="api", **critical), at=90) == []


TOLD = [
    "rule High Error Rate: matched (it asks for no labels)",
    "rule Slow: not matched: it looks at p95_latency_ms, requests_per_min",
    "rule Spike: not matched: it looks at events, and this is measured",
    "rule Issue: not matched: it looks at events, and this is measured",
    "rule Note: not matched: it looks at events, and this is measured",
    "condition error_rate > 1%: holds now (3 % against 1 %)",
    "firing since 0 at 3 % against 1 %",
    "route: the rule names its own targets",
    "told by rule/High Error Rate, grouped by service=api: slack_channel:#incidents, pagerduty:default",
    "slack_channel:#incidents: told opened at 30",
    "pagerduty:default: told opened at 30",
    "escalation to email:boss@example.com at 930 unless it is acknowledged",
    "the next look is at 14430",
]


def test_every_decision_is_told_in_order():
    """Rules, condition, state, route, who was told, what comes next."""
    assert decisions([sample(0, "error_rate", 0.03)], 60, alertname="High Error Rate") == TOLD


SILENCE = {
    "at": 0,
    "silence": {"id": "s1", "matchers": {"service": "api"}, "until": 600, "by": "ana", "comment": "known"},
}
WORK = {"at": 0, "maintenance": {"id": "m1", "matchers": {}, "until": 600, "by": "bo"}}
ACK = {"at": 40, "ack": {"matchers": {}, "by": "ana"}}
REFUSED = {
    "at": 0,
    "target": {"slack_channel": "#incidents"},
    "answers": [{"body": {"ok": False, "error": "channel_not_found"}}],
}
BURST = [error(second) for second in range(2000, 2004)]
BUSY = [sample(4000, "requests_per_min", 300), sample(4000, "p95_latency_ms", 900)]

PARTS = [
    # what happened, when it is asked, of which alert, and what must be among the decisions, in this order
    (
        "a silence",
        [SILENCE, sample(0, "error_rate", 0.03)],
        60,
        "High Error Rate",
        ["muted: silence s1 of ana until 600 (known)"]
        + [f"{key}: not told: silence s1 of ana until 600 (known)" for key in ("slack_channel:#incidents", "pagerduty:default")],
    ),
    (
        "a silence after it was told",
        [sample(0, "error_rate", 0.03), {**SILENCE, "at": 60}],
        70,
        "High Error Rate",
        [
            "slack_channel:#incidents: told opened at 30",
            "slack_channel:#incidents: told of it before; no reminders while it is muted, its end will be told",
            "escalation to email:boss@example.com: not while it is muted",
        ],
    ),
    (
        "a window after it was told",
        [event(-60, source="sentry", kind="issue.created", service="night")],
        120,
        "Issue",
        [
            "muted: window nights until 3600",
            "slack_channel:#alerts: told opened at -30",
            "escalation to email:boss@example.com: not while it is muted",
        ],
    ),
    (
        "an end of which nobody is notified yet",
        [sample(0, "error_rate", 0.03), ACK, sample(60, "error_rate", 0)],
        200,
        "High Error Rate",
        [
            "slack_channel:#incidents: knows that it fired; its resolve is sent at 330 unless it fires again",
            "ana had acknowledged it",
        ],
    ),
    ("maintenance", [WORK, sample(0, "error_rate", 0.03)], 60, "High Error Rate", ["muted: maintenance m1 of bo until 600"]),
    (
        "a cause",
        [sample(1900, "error_rate", 0.03), *BURST],
        2010,
        "Spike",
        ["muted: inhibited by High Error Rate (service=api), firing since 1900"],
    ),
    (
        "a window",
        [event(60, source="sentry", kind="issue.created", service="api")],
        120,
        "Issue",
        ["slack_channel:#alerts: not told: window nights until 3600"],
    ),
    (
        "pending",
        BUSY,
        4060,
        "Slow",
        [
            "condition p95_latency_ms > 500 and requests_per_min >= 200: holds now",
            "p95_latency_ms > 500: holds now (900 ms against 500 ms)",
            "requests_per_min >= 200: holds now (300 against 200)",
            "pending since 4000: it must hold for 5 minutes, until 4300",
            "slack_channel:#alerts: not told: it is pending",
        ],
    ),
    (
        "a clause that does not hold",
        [*BUSY, sample(4010, "requests_per_min", 100)],
        4060,
        "Slow",
        [
            "condition p95_latency_ms > 500 and requests_per_min >= 200: does not hold now",
            "p95_latency_ms > 500: holds now (900 ms against 500 ms)",
            "requests_per_min >= 200: does not hold now (100 against 200)",
            "it does not fire",
            "not told: nothing fires; it would tell slack_channel:#alerts",
        ],
    ),
    (
        "no data",
        [*BUSY, sample(4310, "p95_latency_ms", 900)],
        4320,
        "Slow",
        ["requests_per_min >= 200: is unknown now (no data against 200)"],
    ),
    (
        "too few events",
        BURST[:2],
        2100,
        "Spike",
        [
            "rule Spike: matched (kind=error.created, source=sentry)",
            "rule Issue: not matched: kind=~issue[.].+ asked, kind is 'error.created'",
            "condition events[1m] > 3: does not hold now (0 against 3)",
            "at its last event, 2001: events[1m] > 3: does not hold (2 against 3)",
            "it does not fire, 2 events",
            "slack_channel:#alerts: not told: nothing fires",
        ],
    ),
    (
        "hysteresis and keep_firing_for",
        BURST,
        2100,
        "Spike",
        [
            "condition events[1m] > 3: does not hold now (0 against 3)",
            "clear events[1m] < 1: holds now (0 against 1)",
            "its condition ended at 2063: keep_firing_for holds it until 2663",
        ],
    ),
    (
        "its end",
        [sample(0, "error_rate", 0.03), sample(60, "error_rate", 0)],
        400,
        "High Error Rate",
        ["resolved at 60", "slack_channel:#incidents: told opened at 30", "slack_channel:#incidents: told resolved at 330"],
    ),
    (
        "an end before anybody was told",
        [sample(0, "error_rate", 0.03), sample(10, "error_rate", 0)],
        60,
        "High Error Rate",
        ["resolved at 10", "slack_channel:#incidents: not told: it was over before anybody was told"],
    ),
    (
        "waiting for others",
        [sample(0, "error_rate", 0.03)],
        10,
        "High Error Rate",
        ["slack_channel:#incidents: not told: it waits for others until 30", "the next look is at 30"],
    ),
    (
        "an acknowledgement",
        [sample(0, "error_rate", 0.03), ACK],
        60,
        "High Error Rate",
        ["acknowledged by ana: no reminders, no escalation until 28840"],
    ),
    (
        "information does not page",
        [event(0, "N", source="notes")],
        60,
        "Note",
        ["pagerduty:default: not told: nothing that is info pages"],
    ),
    (
        "the walk through the routes",
        [event(0, "X", source="x", team="db", environment="production")],
        60,
        "X",
        [
            "rule Issue: not matched: kind=~issue[.].+ asked, kind is 'X'; source=sentry asked, source is 'x'",
            "no rule matched: the routes decide",
            "route/severity=critical: not matched: severity=critical asked, severity is 'warning'",
            "route/team=db: matched (team=db)",
            "route/team=db/environment=staging: not matched: environment=staging asked, environment is 'production'",
            "told by route/team=db, grouped by environment=production: slack_channel:#db",
        ],
    ),
    (
        "nothing above matched",
        [event(0, "X", source="x")],
        60,
        "X",
        [
            "route/team=db: not matched: team=db asked, it has none",
            "default: nothing above matched",
            "told by default, grouped by nothing: slack_channel:#default",
        ],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("lines", "at", "name", "parts"), [row[1:] for row in PARTS], ids=[row[0] for row in PARTS])
def test_each_reason_is_told(lines, at, name, parts):
    """What muted it, what is missing, what it waits for: each in its place."""
    found = decisions(lines, at, alertname=name)
    places = [found.index(part) if part in found else -1 for part in parts]
    assert -1 not in places, found
    assert places == sorted(places)


def test_what_could_not_be_delivered_is_told():
    """A target that refused is named with its tries and its reason."""
    found = decisions([REFUSED, sample(0, "error_rate", 0.03)], 60, alertname="High Error Rate")
    assert [each for each in found if fits("=~slack_channel:#incidents: opened was given up at 30: .+", each)], found


def test_flapping_is_told():
    """An alert that is held open because it changes too often says until when."""
    changes = [sample(20 * n, "error_rate", 0.03 if n % 2 == 0 else 0) for n in range(8)]
    found = decisions(changes, 145, alertname="High Error Rate")
    assert "flapping: its condition ended at 140, it is held open until 1940" in found


# ---------------------------------------------------------------------------------------------------------------------
# The command


@pytest.fixture
def explained(tmp_path, capsys):
    """Run the command in a folder with the rules: exit status, what was printed, what was complained of."""
    (tmp_path / "rules.yaml").write_text(RULES, encoding="utf-8")

    def run(*words):
        parser = argparse.ArgumentParser()
        command.add_arguments(parser)
        arguments = parser.parse_args(["--rules", str(tmp_path / "rules.yaml"), *map(str, words)])
        status = command.run(arguments)
        found = capsys.readouterr()
        return status, found.out, found.err

    return run


@pytest.fixture
def timeline(tmp_path):
    """A timeline in a file: an error rate that is told, another that is not worth it."""
    path = tmp_path / "timeline.jsonl"
    lines = [sample(0, "error_rate", 0.03), sample(0, "error_rate", 0.001, service="web"), {"at": 60, "end": True}]
    path.write_text("\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")
    return path


def test_a_timeline_is_explained_at_its_end(explained, timeline):
    """Alerts are chosen by name and labels, with the operators of a rule's match; what did not fire is there too."""
    status, printed, _ = explained("--timeline", timeline, "High Error Rate", "service=api")
    assert status == 0
    assert [line.strip().partition(". ")[2] for line in printed.splitlines()[1:]] == TOLD
    assert printed.startswith("alert High Error Rate (service=api): firing, incident ")
    _, printed, _ = explained("--timeline", timeline, "alertname=~High.*", "service!=api")
    assert "condition error_rate > 1%: does not hold now (0.1 % against 1 %)" in printed
    assert explained("--timeline", timeline, "Nothing")[1] == "nothing is remembered that this is about\n"


def test_a_timeline_is_explained_at_a_time(explained, timeline):
    """`--at` looks before the end."""
    assert "not told: it waits for others until 30" in explained("--timeline", timeline, "--at", "10", "service=api")[1]


def test_files_may_be_named_as_for_replay(explained, timeline, tmp_path):
    """RULES.yaml and TIMELINE.jsonl in front of the rest."""
    named = explained(tmp_path / "rules.yaml", timeline, "service=api")
    assert named == explained("--timeline", timeline, "service=api")


def test_tools_get_the_explanation_as_one_object(explained, timeline):
    """`--json` has the alerts with their decisions."""
    found = json.loads(explained("--timeline", timeline, "service=api", "--json")[1])
    assert [alert["decisions"] for alert in found["alerts"]] == [TOLD]


PAYLOAD = {
    "version": "4",
    "groupKey": "{}",
    "status": "firing",
    "receiver": "tocsin",
    "alerts": [
        {
            "status": "firing",
            "labels": {"alertname": "DiskFull", "severity": "critical", "team": "db"},
            "annotations": {"summary": "full"},
            "startsAt": "2026-03-02T12:00:00Z",
            "endsAt": "0001-01-01T00:00:00Z",
        }
    ],
}


NAMED = "services: {shop: {aliases: {alertmanager: web-shop, probe: shop-health}}}\n" + RULES


def test_a_payload_is_explained_with_the_name_of_its_service(explained, tmp_path):
    """Given an alias of the sender's word, when a payload is explained → what makes the name of the service is the first step."""
    path = tmp_path / "body.json"
    labels = {**PAYLOAD["alerts"][0]["labels"], "service": "web-shop"}
    path.write_text(json.dumps({**PAYLOAD, "alerts": [{**PAYLOAD["alerts"][0], "labels": labels}]}), encoding="utf-8")
    (tmp_path / "rules.yaml").write_text(NAMED, encoding="utf-8")
    found = json.loads(explained("--source", "alertmanager", path, "--json")[1])
    assert found["events"][0]["service"] == "shop"
    step = "service: shop, by an alias of 'web-shop'"
    assert found["events"][0]["decisions"][0] == found["alerts"][0]["decisions"][0] == step
    assert found["alerts"][0]["labels"]["service"] == "shop"


def test_a_series_is_explained_with_the_name_of_its_service():
    """Given series that an alias names, one of which fires, when they are explained → both have that step, and both are found."""
    lines = [
        sample(0, "error_rate", 0.03, service="health", probe="shop-health"),
        sample(0, "p95_latency_ms", 900, service="health", probe="shop-health"),
        {"at": 5, "explain": {"matchers": {"service": "shop"}}},
    ]
    (explanation,) = [
        line for line in Replay(load(NAMED), list(enumerate(lines, 1)), name="s").run() if "alerts" in line
    ]
    found = {each["name"]: each for each in explanation["alerts"]}
    assert [*found] == ["High Error Rate", "Slow"]
    for each in found.values():
        assert each["labels"] == {"probe": "shop-health", "service": "shop", "service_raw": "health"}
        assert each["decisions"][0] == "service: shop, by an alias of 'health'"
    assert any("(3 % against 1 %)" in step for step in found["High Error Rate"]["decisions"])
    assert any("(900 ms against 500 ms)" in step for step in found["Slow"]["decisions"])


def test_a_payload_is_explained(explained, tmp_path):
    """Rule by rule why it matched or not, the routes it would take, and who would be told."""
    path = tmp_path / "body.json"
    path.write_text(json.dumps(PAYLOAD), encoding="utf-8")
    status, printed, _ = explained("--source", "alertmanager", path)
    assert status == 0
    for part in (
        "rule High Error Rate: not matched: it looks at error_rate, which is measured; this is an event",
        "rule Spike: not matched: ",
        "source=sentry asked, source is 'alertmanager'",
        "no rule matched: the routes decide",
        "route/severity=critical: matched (severity=critical), and the next ones are asked too",
        "route/team=db: matched (team=db)",
        "pagerduty:default: told opened at 2026-03-02 ",
        "slack_channel:#db: told opened at 2026-03-02 ",
    ):
        assert part in printed, printed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "explain what? allowed is an incident, an alert, --source SOURCE or --timeline FILE"),
        (["--source", "sentry", "--timeline", "x"], "--source and --timeline stand together; allowed is one of them"),
        (["--source", "sentry"], "one payload is explained at a time; allowed is a file, or - for standard input"),
        (["--source", "sentri", "x"], 'there is no source "sentri"; known are '),
        (["--source", "sentry", "none.json"], "none.json: cannot be read: No such file or directory"),
        (["--timeline", "none.jsonl"], "none.jsonl: the timeline cannot be read"),
    ],
)
def test_what_cannot_be_read_exits_2(explained, words, message):
    """One line says what is expected."""
    status, printed, complained = explained(*words)
    assert (status, printed) == (2, "")
    assert complained.startswith(f"tocsin: {message}")
    assert complained.count("\n") == 1


@pytest.mark.parametrize(
    "text", [*extremes.TIMES, "9" * 400, "1e300", "-3155673601", "7258118400"], ids=lambda text: text[:30]
)
def test_a_moment_that_no_date_can_be_is_told(explained, timeline, text):
    """`--at` is a time of the timeline's form, within its years."""
    status, _, complained = explained("--timeline", timeline, f"--at={text}")
    assert status == 2
    assert "`--at` is not a time" in complained
    assert complained.count("\n") == 1


def test_matchers_are_read_as_everywhere(explained, timeline):
    """Given quotes, amtool's braces or two matchers for one label → read as by the other doors, or refused."""
    plain = explained("--timeline", timeline, "alertname=High Error Rate", "service=api")
    assert plain[0] == 0
    assert explained("--timeline", timeline, '{alertname="High Error Rate",service="api"}') == plain
    assert explained("--timeline", timeline, "alertname=“High Error Rate”", "service='api'") == plain
    assert "one = too many" in explained("--timeline", timeline, "service==api")[2]
    assert "two matchers are for service" in explained("--timeline", timeline, "service=api", "service!=web")[2]


@pytest.mark.parametrize(
    ("pattern", "words"),
    [("a(", "column 2: a ( is never closed"), ("(?=a)", "look-ahead"), ("a{99999999999999}", "too often")],
)
def test_a_wrong_pattern_is_told(explained, timeline, pattern, words):
    """A regular expression that RE2 refuses is a mistake of the caller, with its column."""
    status, _, complained = explained("--timeline", timeline, f"service=~{pattern}")
    assert status == 2
    assert words in complained


# ---------------------------------------------------------------------------------------------------------------------
# What a stage remembers


def remembered(lines):
    """The rules and the store after a timeline, as a stage would have them, and the time."""
    rules = load(RULES)
    replay = Replay(rules, list(enumerate(lines, 1)), name="story")
    list(replay.run())
    return rules, replay.simulator.store, replay.simulator.now


def test_an_incident_of_a_stage_is_found_by_its_id():
    """The first characters of its id are enough; only its own alerts are explained."""
    rules, store, now = remembered([sample(0, "error_rate", 0.03), event(5, "X", source="x"), {"at": 60, "end": True}])
    incident = next(each for each in store.incidents() if each.route == "default")
    for shown in (incident.id[:6], f"`{incident.id[:6]}`", f"{incident.id[:8]}…"):
        found = command.of_stage([shown], store, rules, now)
        assert [alert["name"] for alert in found] == ["X"]


def test_alerts_of_a_stage_are_found_by_name_and_labels():
    """Pending ones, counts that were never enough, and series that do not fire are explained as well."""
    lines = [
        sample(0, "error_rate", 0.001),
        *(sample(0, metric, 900) for metric in ("requests_per_min", "p95_latency_ms")),
    ]
    rules, store, now = remembered([*lines, *(error(n) for n in range(2)), {"at": 60, "end": True}])
    assert command.of_stage(["Slow"], store, rules, now)[0]["state"] == "pending"
    (count,) = command.of_stage(["Spike", "service=api"], store, rules, now)
    assert (
        "at its last event, 1970-01-01 00:00:01 UTC: events[1m] > 3: does not hold (2 against 3)" in count["decisions"]
    )
    assert [alert["state"] for alert in command.of_stage(["High Error Rate"], store, rules, now)] == ["inactive"]
    with pytest.raises(NotFoundError, match="no alert of the last 7 days matches Nothing"):
        command.of_stage(["Nothing"], store, rules, now)


def test_a_payload_meets_the_silences_of_its_stage():
    """What a person silenced is not told, and that is said."""
    rules, store, _ = remembered([{**SILENCE, "silence": {**SILENCE["silence"], "matchers": {"team": "db"}}}])
    at = datetime.fromtimestamp(0, UTC) + timedelta(seconds=60)
    events = command.parsed("alertmanager", {}, json.dumps(PAYLOAD).encode(), rules, at)
    found = command.simulated(events, rules, store.context(), at)
    assert any(
        "not told: silence s1 of ana until 1970-01-01 00:10:00 UTC (known)" in text for text in found[0]["decisions"]
    )


def test_a_stage_on_aws_is_asked(emulator, explained, monkeypatch):
    """The table of the stage is read as the workers left it: incidents, counts, samples and deliveries."""
    dynamodb = client("dynamodb", emulator)
    table = new_table(dynamodb)
    _, memory, _ = remembered([sample(0, "error_rate", 0.03), *(error(n) for n in range(2)), {"at": 60, "end": True}])
    store = DynamoStore(table_client(dynamodb.meta.endpoint_url), table)
    for incident in memory.remembered():
        store.save(replace(incident, version=1))
        for key in incident.announced:
            store.save_delivery_log(replace(memory.delivery_log(delivery_log_key(incident.id, key)), version=1))
    environment = {"AWS_ENDPOINT_URL": emulator, "AWS_REGION": "us-east-1", "TOCSIN_TABLE": table}
    for name, value in {**environment, **KEY.environment()}.items():
        monkeypatch.setenv(name, value)
    status, printed, _ = explained("--stage", "test", "High Error Rate")
    assert status == 0
    assert "slack_channel:#incidents: told opened at 1970-01-01 00:00:30 UTC" in printed
    assert "at its last event, 1970-01-01 00:00:01 UTC: " in explained("--stage", "test", "Spike", "service=api")[1]
    assert explained("--stage", "test", "Nothing")[::2] == (
        1,
        "tocsin: no alert of the last 7 days matches Nothing\n",
    )
