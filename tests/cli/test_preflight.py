"""tocsin preflight: what it looks at, what stays a box, and how it ends; on a stage in memory and on the embedded AWS."""

import argparse
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest

from chalicelib.core.rule import Rules
from cli import preflight
from cli.finding import OK, WARNING, WRONG, Finding
from cli.main import main
from cli.preflight import checklist, examine, left, plan_of
from cli.preflight_checks import (
    Outside,
    checks,
    incidents,
    local_migrations,
    migrations,
    monitoring,
    own_checks,
    ran,
    secrets,
    smoke,
    variables,
)
from cli.preflight_file import Migrations, OwnCheck, Plan, PreflightFileError, Variables, read_plan
from cli.stage import Stage
from deploy.provision import provision
from local.cloud import Cloud
from tests.cli.staging import STAGE, Worker, stage_in
from tests.probes import conftest as probes
from tests.probes.conftest import FixedClients, Postgres, Web, answer, free_port
from tests.project import ROOT, environment
from tests.rule_files import rules_of
from tests.targets import samples

postgres = probes.postgres
web = probes.web
PAGE = """# D

## Other

- [ ] not this

## Pre-deploy checklist

Words.

- [ ] Tests **pass**.
- [ ] Variables
      are set: `vercel env ls`. <!-- preflight: variables -->
- [ ] The [smoke test](#x) passes. <!-- preflight: smoke -->

## Steps

- [ ] nor this
"""
RULES = """
alerts: [{name: A, notification: [{slack_channel: "#a"}, {pagerduty: true}]}]
default: {notification: [{slack_channel: "#a"}]}
fallback: {notification: [{slack_channel: "#b"}]}
"""


@dataclass
class FakeStage:
    """As much of a stage as a check of the product looks at."""

    rules: Rules = field(default_factory=lambda: rules_of(RULES))
    clients: FixedClients = field(default_factory=FixedClients)
    settings: Any = field(default_factory=lambda: SimpleNamespace(stage="prod"))


def stage(rules: str = RULES, **values: str) -> Any:
    """A stage with rules and secrets."""
    return FakeStage(rules_of(rules), FixedClients(values))


def outside(*found: Mapping[str, Any], pause: Callable[[float], object] = lambda _: None, wait: float = 5) -> Outside:
    """What is beside the stage."""
    return Outside(lambda: found, {}, pause, wait)


def asked(**options: Any) -> argparse.Namespace:
    """What the command line asks for."""
    return argparse.Namespace(**{"without": [], "json": False, **options})


def pairs(found: Iterator[Finding]) -> list[tuple[str, str]]:
    """State and text of each finding."""
    return [(each.state, each.what) for each in found]


# ---------------------------------------------------------------------------------------------------------------------
# preflight.yaml


def written(folder: Path, text: str) -> Path:
    """A file of the preflight."""
    path = folder / "preflight.yaml"
    path.write_text(text)
    return path


def test_the_documented_file_is_read(tmp_path: Path) -> None:
    """Given the example of docs/releases.md → each part of it, with paths from its folder."""
    page = (ROOT / "docs" / "releases.md").read_text()
    found = read_plan(written(tmp_path, page.partition("```yaml\n")[2].partition("```")[0]))
    assert found == Plan(
        tmp_path,
        Variables(tmp_path / "../shop/.env.example", "vercel env ls production", ("SENTRY_ORG",)),
        Migrations(tmp_path / "../shop/supabase/migrations", "DATABASE_URL"),
        tmp_path / "runbook/app/smoke.yaml",
        "https://www.example.com",
        (OwnCheck("The API is compatible", "npm run check-api", timedelta(minutes=2)),),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a", "1:1: the file is no mapping; allowed is variables, migrations, smoke, checks"),
        ("migration: {}", "1:1: 'migration' is no part of a preflight; allowed is variables, migrations, smoke, checks; did you mean migrations"),
        ("migrations: here", "1:13: migrations is no mapping; allowed is folder, dsn"),
        ("migrations: {dsn: A}", "1:13: migrations lacks folder; allowed is folder, dsn"),
        ("\nsmoke: {fil: a}", "2:9: 'fil' is no key of smoke; allowed is file, base; did you mean file"),
        ("smoke: {base: 3}", "1:15: base: is no text; allowed is a text"),
        ("checks: {name: a}", "1:9: checks is no list; allowed is a list of {name: …, run: …}"),
        ("checks: [{name: a, run: b, timeout: soon}]", "1:37: timeout: "),
        ("checks: [{name: a, run: b, timeout: 0s}]", "1:37: timeout: is not longer than 0s; allowed is such as 1m"),
        ("variables: {example: a, run: b, optional: c}", "1:43: optional: is no list of names; allowed is a list, such as [SENTRY_ORG]"),
    ],
)  # fmt: skip
def test_mistakes_of_the_file_have_their_place(tmp_path: Path, text: str, message: str) -> None:
    """Given a wrong file → the file, line and column, what is wrong and what is allowed."""
    path = written(tmp_path, text)
    with pytest.raises(PreflightFileError) as error:
        read_plan(path)
    assert str(error.value).startswith(f"{path}:{message}")


def test_a_file_that_is_named_must_be_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Given no file by default → an empty plan; given a name of none, or of a page of none → one line, and 1."""
    assert plan_of(None).checks == () and plan_of(None).variables is None
    assert main(["preflight", "--file", str(tmp_path / "none.yaml")]) == 1
    assert capsys.readouterr().err.endswith(
        "cannot be read (No such file or directory); docs/releases.md has an example\n"
    )
    assert main(["preflight", "--checklist", str(tmp_path / "none.md")]) == 1
    assert "expected is a page with 'pre-deploy checklist'" in capsys.readouterr().err


# ---------------------------------------------------------------------------------------------------------------------
# The product


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("echo A_URL B_KEY C_ID", (OK, "4 names of .env.example are set")),
        ("echo ' A_URL   Encrypted   Production'", (WRONG, "2 of 4 are not set: B_KEY, C_ID")),
        ("echo A_URL_OLD B_KEY C_ID", (WRONG, "1 of 4 are not set: A_URL")),
        ("false", (WRONG, "`false` ended with 1")),
    ],
)
def test_variables_are_words_of_what_is_printed(tmp_path: Path, command: str, expected: tuple[str, str]) -> None:
    """Given an example with four names, one of which may be empty → red where a name is not printed, or the command fails."""
    (tmp_path / ".env.example").write_text("A_URL=\nexport B_KEY=x\n#D_OFF=\nC_ID=\nE_MAYBE=\n")
    wanted = Variables(tmp_path / ".env.example", command, ("E_MAYBE",))
    assert pairs(variables(wanted, tmp_path)) == [expected]


def test_what_a_command_prints_is_masked(tmp_path: Path) -> None:
    """Given a command that fails with a secret in its last line → the reason without the secret; no example is red too."""
    assert (
        "abcdefabcdef0123" not in ran("echo password=abcdefabcdef0123 >&2; exit 3", tmp_path, timedelta(seconds=9)).why
    )
    ((state, what),) = pairs(variables(Variables(tmp_path / "none", "true"), tmp_path))
    assert (state, what) == (WRONG, f"{tmp_path}/none cannot be read (No such file or directory)")


def test_a_command_that_hangs_is_ended(tmp_path: Path) -> None:
    """Given a command that waits with a child of its own → it is ended at its time, and what it left open is closed."""
    assert ran("sleep 600 & sleep 600", tmp_path, timedelta(milliseconds=200)).why == "is not back after 0.2 s"


def test_own_commands(tmp_path: Path) -> None:
    """Given commands → green by their exit status, in the folder of the file."""
    (tmp_path / "here").write_text("")
    plan = Plan(tmp_path, checks=(OwnCheck("there", "test -e here"), OwnCheck("gone", "echo why; test -e gone")))
    assert pairs(own_checks(plan)) == [(OK, "there"), (WRONG, "gone: ended with 1: why")]


def test_migrations_are_compared_with_the_database(postgres: Postgres, tmp_path: Path) -> None:
    """Given a real database → what is not applied, what is unknown there, and green once both sides are the same."""
    for name in ("20260101000000_first", "20260201000000_second"):
        (tmp_path / f"{name}.sql").write_text("select 1;")
    (tmp_path / "notes.sql").write_text("")
    assert local_migrations(tmp_path).keys() == {"20260101000000", "20260201000000"}
    postgres.execute("drop database if exists preflight", "create database preflight", database="postgres")
    kept, here = Migrations(tmp_path), stage(DATABASE_URL=postgres.dsn("preflight"))

    def look() -> list[tuple[str, str]]:
        return pairs(migrations(kept, here, {}))

    assert look() == [(WRONG, "2 of 2 are not applied: 20260101000000_first, 20260201000000_second")]
    table = "create table supabase_migrations.schema_migrations (version text primary key, name text)"
    insert = "insert into supabase_migrations.schema_migrations values"
    postgres.execute("create schema supabase_migrations", table, database="preflight")
    postgres.execute(f"{insert} ('20260101000000'), ('20251231000000')", database="preflight")
    assert look() == [
        (WRONG, "1 of 2 are not applied: 20260201000000_second"),
        (WRONG, "the database has 1 that the folder lacks: 20251231000000"),
    ]
    postgres.execute(
        "update supabase_migrations.schema_migrations set version = '20260201000000' where version < '2026'",
        database="preflight",
    )
    assert look() == [(OK, "all 2 are applied")]
    postgres.execute("drop database preflight", database="postgres")


def test_a_database_that_cannot_be_asked(tmp_path: Path) -> None:
    """Given no folder, no string, one that is none, or no server → red with what to do, and never the string."""
    assert pairs(migrations(Migrations(tmp_path), stage(), {})) == [(WRONG, f"{tmp_path} has no migration")]
    (tmp_path / "1_a.sql").write_text("")
    assert pairs(migrations(Migrations(tmp_path, "DB"), stage(), {})) == [(WRONG, "DB is not set")]
    for dsn in ("hunter2 no string", f"postgresql://u:hunter2@localhost:{free_port()}/x"):
        ((state, what),) = pairs(migrations(Migrations(tmp_path, "DB"), stage(), {"DB": dsn}))
        assert state == WRONG and what.startswith("the database cannot be asked: ")
        assert "hunter2" not in what


def test_journeys_are_walked(web: Web, tmp_path: Path) -> None:
    """Given a file of journeys and an address → each is walked there; without journeys nothing is red, and to look at."""
    file = tmp_path / "smoke.yaml"
    file.write_text("probes: {journey: [{name: home, base: 'https://x.example.com', steps: [{name: open, get: /}]}]}")
    plan = Plan(tmp_path, smoke=file, base=web.url)
    web.answers["/"] = answer(200)
    ((state, what),) = pairs(smoke(plan, stage()))
    assert state == OK and what.startswith("home: passed, 1 step in ")
    web.answers["/"] = answer(500)
    (found,) = smoke(plan, stage())
    assert (found.state, found.do) == (WRONG, "step 'open': status 500; expected is 2xx")
    assert pairs(smoke(Plan(), stage())) == [(WARNING, "there is no journey to walk")]
    missing = checks(Plan(smoke=tmp_path / "none.yaml"), outside())["smoke"]
    assert [(each.state, each.do) for each in missing(stage())] == [(WRONG, "")]


# ---------------------------------------------------------------------------------------------------------------------
# Tocsin


def test_secrets_of_probes() -> None:
    """Given probes → red for each secret that is not set, and for no setting with a default."""
    rules = "alerts: []\nprobes: {database: [{name: m, dsn: DB_URL}], cloudflare: [{name: s, zone: 023e105f4ecef8ad9ca31a8372d0c353}]}"
    assert pairs(secrets(stage(rules, CLOUDFLARE_API_TOKEN="t"))) == [
        (WRONG, "DB_URL is not set: its probe measures nothing")
    ]
    assert pairs(secrets(stage(rules, CLOUDFLARE_API_TOKEN="t", DB_URL="d"))) == [(OK, "2 that probes read are set")]
    assert pairs(secrets(stage())) == [(OK, "no probe reads one")]


def test_open_incidents() -> None:
    """Given what is open → red for critical ones, to look at for others."""
    critical = {"id": "310b98c9e7b8d874", "severity": "critical", "title": "x (db)"}
    warning = {"id": "1", "severity": "warning", "title": "slow"}
    assert pairs(incidents(lambda: [critical, warning])) == [
        (WRONG, "critical and open: x (db) (310b98c9)"),
        (WARNING, "1 open that is not critical"),
    ]
    assert pairs(incidents(list)) == [(OK, "none is open")]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """An embedded AWS with the stage dev, without its functions."""
    with Cloud(tmp_path_factory.mktemp("cloud"), persist=False) as found:
        provision(stage_in(found).aws, STAGE, mails=True)
        yield found


def worker(made: Stage) -> tuple[Worker, samples.FakeClients]:
    """The worker of notifications: Slack refuses #b, all else arrives."""

    def answered(request: httpx.Request) -> httpx.Response:
        if "pagerduty" in request.url.host:
            return httpx.Response(202, json={"status": "success"})
        text = request.content.decode()
        fields = json.loads(text) if text.startswith("{") else dict(parse_qsl(text))
        ok = fields.get("channel", "").removeprefix("#") != "b"
        body = {"ok": True, "channel": "C1", "ts": "1.1"} if ok else {"ok": False, "error": "channel_not_found"}
        return httpx.Response(200, json=body)

    clients = samples.FakeClients(answered)
    return Worker(made, clients), clients


def on_aws(cloud: Cloud) -> Stage:
    """The stage of the embedded AWS with the rules of this test."""
    made = stage_in(cloud)
    made.__dict__["rules"] = rules_of(RULES)
    return made


def test_a_marked_test_goes_to_every_target(cloud: Cloud) -> None:
    """Given three targets, one of which refuses → each is tested once, the page is ended again, and the refusal is red."""
    made = on_aws(cloud)
    ours, clients = worker(made)
    found = {what: state for state, what in pairs(monitoring(made, outside(pause=lambda _: ours.work())))}
    assert found["slack_channel:#a: delivered after 1 try"] == OK
    assert found["pagerduty:default: delivered after 1 try"] == OK
    assert [state for what, state in found.items() if "#b: given up: " in what and "channel_not_found" in what] == [
        WRONG
    ]
    sent = [json.loads(each.content) for each in clients.requests if "pagerduty" in each.url.host]
    assert [each["event_action"] for each in sent] == ["trigger", "resolve"]
    assert any(b"This is a test of Tocsin" in each.content for each in clients.requests)


def test_a_test_that_nobody_takes_is_red(cloud: Cloud) -> None:
    """Given no worker → each target is red after the wait, with where to look."""
    found = pairs(monitoring(on_aws(cloud), outside(wait=1)))
    assert [state for state, _ in found] == [WRONG] * 3
    assert all("no worker took it within 1 s" in what for _, what in found)


def test_the_whole_on_the_embedded_aws(
    cloud: Cloud, web: Web, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given a stage without functions and a product that works → doctor's findings are red, the rest is green, and 1."""
    made = on_aws(cloud)
    ours, _ = worker(made)
    file = tmp_path / "smoke.yaml"
    file.write_text("probes: {journey: [{name: home, base: 'https://x.example.com', steps: [{name: open, get: /}]}]}")
    web.answers["/"] = answer(200)
    plan = Plan(tmp_path, smoke=file, base=web.url, checks=(OwnCheck("fine", "true"),))
    wanted = checks(plan, outside(pause=lambda _: ours.work()))
    assert examine(made, wanted, PAGE, asked()) == 1
    printed = capsys.readouterr().out
    assert printed.startswith("Preflight of dev\n\nok   checks: fine\n")
    assert "RED  stage: functions: " in printed and "→ run `tocsin deploy --stage dev`" in printed
    assert "ok   smoke: home: passed, 1 step in" in printed
    assert "ok   monitoring: slack_channel:#a: delivered after 1 try\n" in printed
    assert "\nBy hand:\n\n[ ] Tests pass.\n[ ] Variables are set: vercel env ls.\n\nDo not deploy: " in printed
    assert "smoke test" not in printed


# ---------------------------------------------------------------------------------------------------------------------
# What is printed


GREEN = {"variables": lambda stage: iter([Finding(OK, "12 names are set")])}
RED = {"variables": lambda stage: iter([Finding(WRONG, "1 of 12 is not set: " + "A_NAME " * 9, "set it " * 9)])}


@pytest.mark.parametrize(("wanted", "status"), [(GREEN, 0), (RED, 1)])
@pytest.mark.parametrize("columns", [40, 80])
def test_it_fits_the_terminal(
    wanted: Any, status: int, columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given 40 or 80 columns → no line is wider; the exit status is that of the worst finding."""
    monkeypatch.setenv("COLUMNS", str(columns))
    assert examine(stage(), wanted, checklist(None), asked()) == status
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= columns
    assert ("Nothing is red" in lines[-2] + lines[-1]) == (status == 0)


def test_what_is_left_out_stays_a_box(capsys: pytest.CaptureFixture[str]) -> None:
    """Given --without variables → its box is printed, and nothing of it is looked at."""
    assert examine(stage(), RED, PAGE, asked(without=["variables"])) == 0
    assert "[ ] Variables are set" in capsys.readouterr().out


def test_tools_get_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Given --json → findings and boxes as objects."""
    assert examine(stage(), GREEN, PAGE, asked(json=True)) == 0
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [
        {"check": "variables", "state": "ok", "what": "12 names are set", "do": ""},
        {"check": "box", "state": "open", "what": "Tests pass.", "do": ""},
        {"check": "box", "state": "open", "what": "The smoke test passes.", "do": ""},
    ]


def test_the_shipped_checklist_knows_the_checks() -> None:
    """Given the page of the runbook → its marks are words of checks; with all of them looked at, what is for people is left."""
    boxes = list(left(checklist(None), preflight.WORDS))
    assert len(boxes) == 6 and boxes[0].startswith("All tests pass")
    assert len(list(left(checklist(None), ()))) == 11
    assert list(checks(Plan(variables=Variables(Path(), ""), migrations=Migrations(Path()), checks=(OwnCheck("", ""),)), outside())) == list(preflight.WORDS)  # fmt: skip


def test_the_command_line_itself(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given a stage that was never deployed, found by the environment → red where nothing answers, every box, and 1."""
    for name, value in environment(cloud).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TOCSIN_CONFIG", "")
    monkeypatch.setenv("XDG_CONFIG_HOME", "/nonexistent")
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["preflight", "--stage", STAGE, "--without", "stage", "--without", "monitoring"]) == 1
    printed = capsys.readouterr().out
    assert f"RED  incidents: there is no stage {STAGE} in " in printed
    assert "warn smoke: there is no journey to walk" in printed
    assert printed.count("\n[ ] ") == 10
