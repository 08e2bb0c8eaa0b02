"""tocsin drill: an incident is played against the real stages on a virtual clock, and a team's acts are timed."""

import argparse
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib import plugins
from chalicelib.core.errors import SignatureError
from chalicelib.messages.webhook import Webhook as Received
from chalicelib.messages.webhook import compressed, written
from cli import drill as command
from cli import running as runs
from cli.main import main
from cli.practice import Practice, Reached, Stage, late, reached
from local.drill import STEPS, Drill, DrillError, load, names
from local.sample import SECRETS
from tests.api_harness import START, ApiHarness
from tests.project import ROOT

TOKEN = "0123456789abcdef"
VALUES = {name: f"secret of {name}" for name in SECRETS.values()}
SHIPPED = (ROOT / "alert-rules.yaml").read_text("utf-8")


@dataclass
class Team:
    """A router under the shipped rules with a team: what it does when, in seconds after the beginning of the drill."""

    desk: ApiHarness
    acts: list = field(default_factory=list)
    said: list = field(default_factory=list)
    refuses: bool = False

    def now(self):
        """The virtual time."""
        return self.desk.router.now

    def pause(self, seconds):
        """Let time pass, then do what is due. Five seconds pass where a second is asked for, so that tests are quick."""
        self.desk.wait(timedelta(seconds=5 * seconds))
        passed = (self.now() - START).total_seconds()
        while self.acts and self.acts[0][0] <= passed:
            _, act, *form = self.acts.pop(0)
            if act is KeyboardInterrupt:
                raise KeyboardInterrupt
            for incident in self.open():
                self.desk.ask("act", {}, {"by": "ana", **dict(*form)}, id=incident["id"], act=act)

    def open(self):
        """The incidents that fire now."""
        rows = self.desk.ask("list_incidents")["incidents"]
        return [row for row in rows if row["counts"]["firing"]]

    def send(self, webhook):
        """Take a webhook as the door does: its signature must fit."""
        headers = {name.lower(): text for name, text in webhook.headers.items()}
        try:
            secret = VALUES[SECRETS[webhook.source]]
            plugins.load_source(webhook.source).verify(headers, webhook.body, [secret])
        except SignatureError:
            return 401
        if self.refuses:
            return 503
        received = Received(f"{len(self.said)}", webhook.source, webhook.body, self.now(), headers)
        self.desk.router.post([written(received, compressed(webhook.body))])
        self.desk.router.settle()
        return 202

    def play(self, name, *acts, limit=timedelta(minutes=10)):
        """Play a drill to its end."""
        self.acts = list(acts)
        found = Practice(
            Drill(load(name), "3f2a", START), Stage(DirectApi(self.desk), self.send, VALUES), self, self.said.append
        )
        try:
            found.play(limit)
        except KeyboardInterrupt:
            self.said.append("interrupted")
        finally:
            found.clean()
        return found


class DirectApi:
    """The API of a router, asked without a connection."""

    def __init__(self, desk):
        self._desk = desk

    def get(self, path, query=()):
        """What a GET answers."""
        what, _, id = path.partition("/")
        if id:
            return self._desk.ask("show_incident", id=id)
        return self._desk.ask(f"list_{what}", {name: [value] for name, value in query})

    def do(self, method, path, form):
        """What a POST to an act answers."""
        _, id, act = path.split("/")
        return self._desk.ask("act", {}, dict(form), id=id, act=act)


@pytest.fixture
def team():
    """A team with a router of its own."""
    return Team(ApiHarness(rules=SHIPPED))


def after(practice, step):
    """How many seconds after the beginning a step was reached."""
    return round((practice.reached[step].at - START).total_seconds())


@pytest.mark.parametrize("name", names())
def test_a_team_that_acts_sees_its_times(team, name):
    """Given a team that acknowledges, notes and does no more → the fault ends by its senders, and every step has its time."""
    found = team.play(name, (40, "ack", {}), (70, "note", {"note": "the last deploy is rolled back"}))
    assert found.is_over
    assert after(found, "notified") <= 30
    assert (after(found, "acknowledged"), after(found, "noted")) == (40, 70)
    assert 90 <= after(found, "resolved") <= 240
    assert found.reached["acknowledged"].by.startswith("ana")
    assert late(found.drill, found.reached) == []
    assert team.open() == []


def test_somebody_who_resolves_ends_the_fault(team):
    """Given a resolve without a note → the senders report the end, it stays resolved, and the note is missing."""
    found = team.play("bad-deploy", (30, "ack", {}), (60, "resolve", {}))
    assert after(found, "resolved") >= 60
    assert "noted" not in found.reached
    assert late(found.drill, found.reached) == ["noted"]
    team.desk.wait(timedelta(minutes=10))
    assert team.open() == []


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("seconds", [5, 25])
def test_ctrl_c_leaves_nothing_open(team, name, seconds):
    """Given Ctrl-C in the middle of a drill → its incidents end, whatever was sent by then."""
    found = team.play(name, (seconds, KeyboardInterrupt))
    assert "interrupted" in team.said
    assert "resolved" not in found.reached
    team.desk.wait(timedelta(minutes=10))
    assert team.open() == []
    assert team.desk.ask("list_incidents")["incidents"] == []


def test_a_team_that_does_nothing_runs_out_of_time(team):
    """Given nobody who acts → the fault goes on to the limit, then ends, and three steps are missing."""
    found = team.play("database-outage", limit=timedelta(minutes=3))
    assert set(found.reached) == {"notified"}
    assert late(found.drill, found.reached) == ["acknowledged", "noted", "resolved"]
    team.desk.wait(timedelta(minutes=10))
    assert team.open() == []


def test_an_outage_is_three_services_of_one_drill(team):
    """Given the outage of the database → the services that need it fail too, each named for this drill alone."""
    team.play("database-outage", (40, "note", {"note": "the pool is restarted"}))
    rows = team.desk.ask("list_incidents", {"status": ["all"]})["incidents"]
    services = {label for row in rows for name, label in row["group"].items() if name == "service"}
    assert services == {"drill-3f2a-database", "drill-3f2a-exam-api", "drill-3f2a-exam-web"}


def test_a_refused_webhook_ends_the_drill(team):
    """Given a stage that answers 503 → the error names the sender and the status, and nothing is claimed."""
    team.refuses = True
    with pytest.raises(DrillError, match=r"the stage answered 503 to a webhook of cloudflare; expected is 202"):
        team.play("cloudflare-5xx")


def test_steps_are_read_from_the_first_that_did_them():
    """Given two incidents with acts of two people → the first of each step counts, and an open one is no end."""
    at = [(START + timedelta(minutes=minute)).isoformat() for minute in range(9)]

    def incident(firing, *entries):
        timeline = [{"at": at[minute], "kind": kind, "by": by, "text": ""} for minute, kind, by in entries]
        results = [{"at": at[1], "delivered": False}, {"at": at[2], "delivered": True}]
        return {
            "title": "x", "timeline": timeline, "told": [{"target": "slack_channel:#a", "results": results}],
            "counts": {"firing": firing}, "alerts": [{"ends_at": None if firing else at[8]}],
        }  # fmt: skip

    found = reached(
        [incident(0, (5, "ack", "bo"), (6, "note", "bo")), incident(1, (4, "ack", "ana"), (3, "fired", ""))]
    )
    assert {name: step.at.minute for name, step in found.items()} == {"notified": 2, "acknowledged": 4, "noted": 6}
    assert reached([incident(0)])["resolved"].at.minute == 8
    assert reached([]) == {}


# ---------------------------------------------------------------------------------------------------------------------
# The command


@pytest.mark.parametrize("name", names())
def test_every_scenario_is_whole(name):
    """Given a scenario → it has goals for each step, a good response, and services that its webhooks name."""
    scenario = load(name)
    drill = Drill(scenario, "3f2a", START)
    assert set(scenario.within) == set(STEPS)
    assert len(scenario.good) >= 4
    sent = [each for part in (*scenario.begin, *scenario.end) for each in drill.webhooks(part, VALUES, START)]
    text = b"".join(each.body for each in sent).decode()
    assert all(drill.service(service) in text for service in scenario.services)
    assert not [word for word in ("{id}", "{now}", "{began}", "{number}") if word in text]
    assert "{" not in "".join(drill.says(part) for part in (*scenario.begin, *scenario.end))


def test_drills_are_listed(capsys):
    """Given no name → each drill with what happens in it; given a misspelt one → the nearest."""
    assert main(["drill"]) == 0
    assert {line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]} == set(names())
    assert main(["drill", "bad-deplo"]) == 1
    assert "did you mean bad-deploy?" in capsys.readouterr().err


def asked(**more):
    """The arguments of a drill on a stage that is not local."""
    return argparse.Namespace(stage="prod", yes=None, **more)


@pytest.mark.parametrize("answer", ["", "yes", "dev", "Prod"])
def test_a_real_stage_is_named_once_more(answer):
    """Given any other answer than the name of the stage → nothing is looked up and nothing is sent."""
    with pytest.raises(DrillError, match="that is not the name of the stage, prod: nothing is sent"):
        command.stage_on_aws(load("bad-deploy"), asked(), typed=lambda stage: answer)


def test_a_script_has_to_name_a_real_stage(monkeypatch, capsys):
    """Given --stage prod without a terminal and without --yes → an error that says how to confirm."""
    monkeypatch.setattr("sys.stdin", open("/dev/null", encoding="utf-8"))  # noqa: SIM115
    assert main(["drill", "bad-deploy", "--stage", "prod"]) == 1
    assert "confirm by --yes prod" in capsys.readouterr().err


def test_no_variable_or_configuration_leads_a_drill_elsewhere(monkeypatch, tmp_path, capsys):
    """Given TOCSIN_URL and a configuration that calls another address `local` → a drill asks for `make run`."""
    file = tmp_path / "config.toml"
    file.write_text('stage = "prod"\n[stages.local]\nurl = "https://prod.example.com"\ntoken_env = "T"\n')
    for name, value in {
        "TOCSIN_CONFIG": str(file),
        "TOCSIN_URL": "https://prod.example.com",
        "TOCSIN_TOKEN": TOKEN,
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(runs, "FILE", tmp_path / "none.json")
    assert main(["drill", "bad-deploy"]) == 1
    assert "start the local stage by `make run`" in capsys.readouterr().err


INBOX = {"SLACK_API_URL": "http://127.0.0.1:8025/slack/api", "PAGERDUTY_EVENTS_URL": "http://127.0.0.1:8025/pagerduty"}


@pytest.mark.parametrize(
    ("missing", "said"), [("SLACK_API_URL", "notifies Slack for real"), ("PAGERDUTY_EVENTS_URL", "PagerDuty")]
)
def test_real_vendors_of_the_local_stage_are_confirmed(missing, said):
    """Given a token of a vendor in .env, so that no inbox is in its place → nothing is sent without --yes local."""
    command.check_vendors(INBOX, None)
    there = {name: value for name, value in INBOX.items() if name != missing}
    with pytest.raises(DrillError, match=f"{said}.*confirm by --yes local"):
        command.check_vendors(there, None)
    with pytest.raises(DrillError, match="for real"):
        command.check_vendors(there, "prod")
    command.check_vendors(there, "local")


def test_what_runs_elsewhere_is_no_local_stage(monkeypatch, tmp_path, capsys):
    """Given a file of `make run` with an address of another machine → nothing is sent there."""
    file = tmp_path / "running.json"
    file.write_text(json.dumps({"url": "https://prod.example.com/", "aws": {"AWS_REGION": "us-east-1"}}))
    monkeypatch.setattr(runs, "FILE", file)
    assert main(["drill", "bad-deploy"]) == 1
    assert "on this machine alone" in capsys.readouterr().err


def test_the_report_stands_beside_the_expected(team, capsys):
    """Given a played drill → a row for each step with its time and the expected one, then what a good response is."""
    found = team.play("bad-deploy", (400, "ack", {}), (410, "resolve", {}))
    command.report(argparse.Namespace(output=None), found)
    text = capsys.readouterr().out
    rows = {line.split("  ")[0]: line for line in text.splitlines()}
    assert "6m 40s" in rows["acknowledged"] and "5m, missed" in rows["acknowledged"]
    assert "never" in rows["first note"] and "10m, missed" in rows["first note"]
    assert "missed" not in rows["first notification"]
    assert "1. One person acknowledges" in text
    command.report(argparse.Namespace(output="json"), found)
    steps = json.loads(capsys.readouterr().out)["steps"]
    assert steps["acknowledged"]["seconds"] == 400
    assert steps["noted"] == {"seconds": None, "expected_seconds": 600, "by": None}


def test_a_step_in_time_is_not_late():
    """Given a step at the last moment of its goal → it is in time; a second later it is late."""
    drill = Drill(load("bad-deploy"), "3f2a", datetime(2026, 11, 26, tzinfo=UTC))
    within = drill.scenario.within
    found = {name: Reached(drill.began + within[name], "") for name in STEPS}
    assert late(drill, found) == []
    found["noted"] = Reached(drill.began + within["noted"] + timedelta(seconds=1), "")
    assert late(drill, found) == ["noted"]
