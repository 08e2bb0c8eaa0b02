"""The wheel: installed alone, outside of a checkout, its commands work and nothing but `tocsin` is a new name."""

import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from local.cloud import free_port
from tests.project import ROOT

pytestmark = pytest.mark.acceptance

RULES = """default: {notification: [{slack_channel: "#alerts"}]}
fallback: {notification: [{email: a@example.com}]}
alerts:
  - {name: Slow, condition: "p95_latency_ms > 500", group_wait: 0s, runbook: "https://wiki.example.com/slow", notification: [{slack_channel: "#alerts"}]}
probes: {cloudflare: [{name: site, zone: 023e105f4ecef8ad9ca31a8372d0c353, service: api}]}
tests:
  - name: slow is notified
    given: [{at: 0, sample: {metric: p95_latency_ms, value: 900, labels: {service: api}}}]
    expect: [{at: 0, reason: opened}]
"""
TIMELINE = """{"at": 0, "sample": {"metric": "p95_latency_ms", "value": 900, "labels": {"service": "api"}}}
{"at": 60, "end": true}
"""
ALERT = {"status": "firing", "labels": {"alertname": "Full", "service": "db"}, "startsAt": "2026-11-24T07:00:00Z"}
LEFT_OUT = shutil.ignore_patterns(".*", "tests", "bench", "build", "*.egg-info", "__pycache__")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that `pip wheel` makes of the checkout, without the network."""
    folder = tmp_path_factory.mktemp("wheel")
    project = folder / "project"
    shutil.copytree(ROOT, project, symlinks=True, ignore=LEFT_OUT)
    shutil.copy(ROOT / ".env.example", project)
    shutil.copytree(ROOT / ".chalice", project / ".chalice", ignore=shutil.ignore_patterns("deployed", "deployments"))
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--quiet"]
    run([sys.executable, "-m", "pip", "wheel", *offline, "--wheel-dir", str(folder), str(project)], folder)
    (made,) = folder.glob("tocsin-*.whl")
    return made


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a virtual environment that has the wheel, and its dependencies from the environment of the tests."""
    home = tmp_path_factory.mktemp("environment")
    run([sys.executable, "-m", "venv", "--without-pip", str(home)], home)
    python = home / "bin" / "python"
    offline = ["--no-deps", "--no-index", "--disable-pip-version-check", "--quiet"]
    run([sys.executable, "-m", "pip", "--python", str(python), "install", *offline, str(wheel)], home)
    (site,) = home.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return home / "bin"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of somebody who has a rules file, a timeline and a body, and nothing else of Tocsin."""
    (tmp_path / "alert-rules.yaml").write_text(RULES)
    (tmp_path / "timeline.jsonl").write_text(TIMELINE)
    (tmp_path / "body.json").write_text(json.dumps({"version": "4", "alerts": [ALERT]}))
    return tmp_path


def run(command: list[str], folder: Path, status: int = 0, more: Mapping[str, str] | None = None) -> str:
    """Run a program in a folder, with no variable that leads to the checkout. Return what it printed."""
    bare = {name: value for name, value in os.environ.items() if name != "PYTHONPATH" and not name.startswith("AWS_")}
    done = subprocess.run(command, cwd=folder, env=bare | dict(more or {}), capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stdout[-2_000:] + done.stderr[-2_000:]
    return done.stdout + done.stderr


def test_the_only_new_name_is_that_of_the_program(wheel: Path) -> None:
    """Given the wheel → one package, with rules, runbook, templates and licences, and no link, cache or test."""
    with zipfile.ZipFile(wheel) as content:
        names = content.namelist()
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {"tocsin"}
    inside = {name.removeprefix("tocsin/_project/") for name in names}
    assert {
        "app.py",
        "requirements.txt",
        ".chalice/config.json",
        ".chalice/policy-api-handler-local.json",
        "local/inbox/server.py",
        "local/drills/bad-deploy.yaml",
        "chalicelib/alert-rules.yaml",
        "chalicelib/runbook/error-spike.md",
        "chalicelib/web/templates/base.html",
        "docs/openapi.json",
        "NOTICE",
    } <= inside
    left = ("__pycache__", "compiled-rules.json", ".chalice/deploy")
    assert not [name for name in names if any(word in name for word in left)]


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ("--version", 0, "tocsin "),
        ("check", 0, "p95 latency is above 500 ms"),
        ("test", 0, "1 passed."),
        ("replay alert-rules.yaml timeline.jsonl", 0, '"reason": "opened"'),
        ("parse alertmanager body.json", 0, '"kind": "Full"'),
        ("explain --timeline timeline.jsonl --at 30", 0, "Slow"),
        ("incidents --url http://127.0.0.1:9/", 1, "tocsin: "),
        ("doctor --stage local", 1, "nothing runs on this machine: start it by `tocsin run`"),
        ("drill", 0, "bad-deploy"),
        ("drill bad-deploy", 1, "start the local stage by `tocsin run`"),
        ("run --port http", 1, "as in `TOCSIN_PORT=7466 tocsin run`"),
        ("deploy --stage dev", 1, "a deploy needs a checkout"),
    ],
)
def test_commands_work_beside_a_rules_file(programs: Path, folder: Path, words: str, status: int, said: str) -> None:
    """Given a folder with a rules file → each command does there what it does in a checkout, or says what it needs."""
    assert said in run([str(programs / "tocsin"), *words.split()], folder, status, {"TOCSIN_TOKEN": "x" * 20})


def test_pre_commit_finds_its_hook(programs: Path, folder: Path) -> None:
    """Given the environment that pre-commit makes → the hook passes a good file and stops a broken one."""
    hook = [str(programs / "python"), "-m", "tocsin.hook", "--strict"]
    assert run([*hook, "alert-rules.yaml"], folder) == ""
    (folder / "alert-rules.yaml").write_text("alerts: [{nam: x}]\n")
    assert "nam" in run([*hook, "alert-rules.yaml"], folder, 1)


def test_every_command_can_be_loaded(programs: Path, folder: Path) -> None:
    """Given the help of the installed program → no command of the list cannot be loaded."""
    assert "cannot be loaded" not in run([str(programs / "tocsin"), "--help"], folder)


def test_the_local_stage_runs(programs: Path, folder: Path) -> None:
    """Given the wheel with its extra → `tocsin run` deploys the rules of the folder, and a test message arrives."""
    (site,) = programs.parent.glob("lib/python*/site-packages")
    (emulator,) = (ROOT / ".venv-emulator").glob("lib/python*/site-packages")
    (site / "emulator.pth").write_text(f"{emulator}\n")
    ports = ["--port", str(free_port()), "--inbox-port", str(free_port())]
    bare = {name: value for name, value in os.environ.items() if name != "PYTHONPATH" and not name.startswith("AWS_")}
    command = [str(programs / "tocsin"), "run", *ports, "--without-sample"]
    with subprocess.Popen(
        command, cwd=folder, env=bare, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as stage:
        try:
            assert stage.stdout is not None
            said = _until(stage.stdout, "Ctrl-C stops everything")
            assert "people     tocsin incidents" in said
            assert "delivered after" in run([str(programs / "tocsin"), "send-test", "#alerts", "--wait", "90"], folder)
        finally:
            stage.send_signal(signal.SIGINT)
            stage.communicate(timeout=60)
    assert stage.returncode == 0
    assert (folder / ".tocsin" / "project" / "alert-rules.yaml").read_text() == RULES
    assert not (folder / ".tocsin" / "running.json").exists()


def _until(lines: Iterable[str], text: str) -> str:
    """Return what is printed up to a line; fails with all of it where the program ends before."""
    said = []
    for line in lines:
        said.append(line)
        if text in line:
            return "".join(said)
    pytest.fail("".join(said))
