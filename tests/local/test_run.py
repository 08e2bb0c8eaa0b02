"""`make run`: what it asks of the machine, what it puts where, and that Ctrl-C leaves nothing behind."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chalicelib.sources import cloudflare, sentry
from deploy.settings_file import SettingsFileError, read_settings
from local.cloud import free_port
from local.inbox import Inbox
from local.run import Arrivals, Asked, RunError, asked, check_machine, wanted_parameters
from local.sample import INCIDENT, Step, webhooks
from tests.project import ROOT, copied, readable_by_others

pytestmark = pytest.mark.acceptance

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
SECRETS = {"SENTRY_CLIENT_SECRET": "new, old", "CLOUDFLARE_WEBHOOK_SECRET": "word"}


def test_ports_and_sample_come_from_the_environment() -> None:
    """TOCSIN_PORT, INBOX_PORT and DEMO=0 are heard; without them the usual ports and the sample."""
    assert asked({}) == Asked(7466, 8025, demo=True)
    assert asked({"TOCSIN_PORT": "5000", "INBOX_PORT": "5001", "DEMO": "0"}) == Asked(5000, 5001, demo=False)


@pytest.mark.parametrize("port", ["http", "0", "70000", "-1"])
def test_what_is_no_port_is_told(port: str) -> None:
    """The line names the variable and what is allowed."""
    with pytest.raises(RunError, match=r"INBOX_PORT is not a port: allowed is a number from 1 to 65535"):
        asked({"INBOX_PORT": port})


def test_a_taken_port_is_told_before_anything_starts() -> None:
    """The line names the port and a command that works."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(RunError, match=rf"port {port} is taken: .*make run INBOX_PORT=\d+"):
            check_machine(Asked(free_port(), port, demo=True))


def test_without_settings_everything_goes_to_the_inbox() -> None:
    """Vendors are the inbox, our own secrets are random, and a second start has the same ones."""
    first = wanted_parameters({}, {}, inbox="http://inbox")
    assert first["SLACK_API_URL"] == "http://inbox/slack/api"
    assert first["PAGERDUTY_EVENTS_URL"] == "http://inbox/pagerduty"
    assert first["CLOUDFLARE_API_URL"].startswith("http://inbox/")
    assert first["RUNBOOK_BASE_URL"] == "http://inbox/runbook"
    assert len({first["SENTRY_CLIENT_SECRET"], first["CLOUDFLARE_WEBHOOK_SECRET"], first["SLACK_SIGNING_SECRET"]}) == 3
    assert wanted_parameters({}, first, inbox="http://inbox") == first


def test_real_tokens_go_to_the_real_vendors() -> None:
    """A vendor with a token in `.env` keeps its own address; the others stay at the inbox."""
    before = wanted_parameters({}, {}, inbox="http://inbox")
    found = wanted_parameters({"SLACK_BOT_TOKEN": "xoxb-real", "OTHER": "x"}, before, inbox="http://inbox")
    assert found["SLACK_BOT_TOKEN"] == "xoxb-real"
    assert "SLACK_API_URL" not in found
    assert found["PAGERDUTY_EVENTS_URL"] == "http://inbox/pagerduty"
    assert found["OTHER"] == "x"


def test_settings_files_are_read(tmp_path: Path) -> None:
    """Comments, quotes and `export` are understood; an empty value is none."""
    path = tmp_path / ".env"
    path.write_text("# a\n\nexport A=1\nB = 'two words' # why\nC=x=y # why\nD=\nE=\"#1\"\n")
    assert read_settings(path) == {"A": "1", "B": "two words", "C": "x=y", "E": "#1"}
    assert read_settings(tmp_path / "none") == {}


def test_a_wrong_line_of_settings_is_told_without_its_value(tmp_path: Path) -> None:
    """File and line, never the secret."""
    path = tmp_path / ".env"
    path.write_text("A=1\nxoxb-secret\n")
    with pytest.raises(SettingsFileError, match=r"^\.env:2: is not NAME=value$"):
        read_settings(path)


@pytest.mark.parametrize("step", INCIDENT, ids=lambda step: step.body)
def test_samples_are_signed_and_of_now(step: Step) -> None:
    """Every sample proves itself with a live secret, happens now, and is an event of its own."""
    source = {"sentry": sentry, "cloudflare": cloudflare}[step.source]
    sent = webhooks(step, secrets=SECRETS, now=NOW)
    ids = set()
    for webhook in sent:
        headers = {name.lower(): value for name, value in webhook.headers.items()}
        source.verify(headers, webhook.body, ["old", "new", "word"])
        (event,) = source.parse(headers, webhook.body, received_at=NOW)
        assert 0 <= (NOW - event.occurred_at).total_seconds() < 60
        ids.add(event.id)
    assert len(ids) == len(sent) == step.copies


def test_each_message_is_printed_once() -> None:
    """A new message is a line, a change of its text another, and looking again none."""
    with Inbox() as inbox:
        told = Arrivals(inbox)
        assert told.lines() == []
        body = {"channel": "#incidents", "text": "fire\nmore"}
        token = {"Authorization": "Bearer xoxb-1", "Content-Type": "application/json"}
        asked_for = urllib.request.Request(f"{inbox.url}/slack/api/chat.postMessage", json.dumps(body).encode(), token)
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked_for).close()
        (line,) = told.lines()
        assert line.endswith("notified  Slack #incidents: fire")
        assert told.lines() == []


# ---------------------------------------------------------------------------------------------------------------------
# The whole of it


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout of its own, with this one's virtual environments."""
    return _checkout(tmp_path_factory.mktemp("checkout"))


def _checkout(place: Path) -> Path:
    folder = copied(place)
    for name in (".venv", ".venv-emulator", "local", "cli", "deploy", "simulation"):
        (folder / name).symlink_to(ROOT / name) if name.startswith(".") else _copy(name, folder)
    return folder


def _copy(name: str, folder: Path) -> None:
    shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))


class Running:
    """`python -m local.run` in a checkout, its output read as it comes."""

    def __init__(self, home: Path, **environment: str) -> None:
        bare = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MAKE"))}
        self.ports = (free_port(), free_port())
        self.process = subprocess.Popen(
            [sys.executable, "-m", "local.run"],
            cwd=home,
            env={
                **bare,
                "PYTHONPATH": str(home),
                "TOCSIN_PORT": str(self.ports[0]),
                "INBOX_PORT": str(self.ports[1]),
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def inbox(self) -> str:
        """The address of its inbox."""
        return f"http://127.0.0.1:{self.ports[1]}/"

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(iter(self.process.stdout.readline, ""))

    def wait_for(self, text: str, seconds: float = 90) -> None:
        """Wait until a line holds the text."""
        until = time.monotonic() + seconds
        while not any(text in line for line in list(self.lines)):
            if time.monotonic() > until or (self.process.poll() is not None and not self._reader.is_alive()):
                pytest.fail(f"{text!r} was not printed:\n{''.join(self.lines)}")
            threading.Event().wait(0.05)

    def end(self, number: int = signal.SIGINT) -> int:
        """Send a signal and wait; the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            status = self.process.wait(90)
        finally:
            if self.process.poll() is None:
                self.process.kill()
        self._reader.join(5)
        return status


@pytest.fixture
def running(home: Path) -> Iterator[Running]:
    """The whole of it, with the sample; what a test leaves running is ended."""
    found = Running(home)
    yield found
    found.end()


def test_from_nothing_to_a_routed_alert_and_away(home: Path, running: Running) -> None:
    """The sample's spike is told in Slack and pages; Ctrl-C ends every process; a second start is quick and remembers."""
    running.wait_for("received  Sentry: 12 errors")
    running.wait_for("notified  Slack #incidents")
    running.wait_for("notified  PagerDuty triggered")
    assert not [line for line in running.lines if "refused" in line]
    assert readable_by_others(home / ".tocsin") == []
    found = json.loads(tocsin(home, "incidents", "--json").stdout)
    assert any("slack_channel:#incidents" in each["told"] for each in found)
    assert "noted by ana" in tocsin(home, "note", found[0]["id"][:8], "a sample", "--by", "ana").stdout
    assert running.end() == 0
    assert of_this(home) == []
    assert "start it by `make run`" in tocsin(home, "incidents").stderr
    began = time.monotonic()
    again = Running(home, DEMO="0")
    try:
        again.wait_for("Ctrl-C stops everything")
        assert time.monotonic() - began < 15
        assert not [line for line in again.lines if line.startswith(("made", "building"))]
    finally:
        assert again.end(signal.SIGTERM) == 0
    assert not [line for line in again.lines if "sent" in line]
    assert of_this(home) == []


def tocsin(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command of a person in that checkout, which finds what runs there by itself."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TOCSIN_"))}
    command = [sys.executable, "-m", "cli.main", *words]
    return subprocess.run(command, cwd=home, env={**bare, "PYTHONPATH": str(home)}, capture_output=True, text=True)


def test_a_drill_is_played_on_what_runs(tmp_path: Path) -> None:
    """A drill in another terminal notifies the inbox; the team's note and resolve end it, and the times are printed."""
    home = _checkout(tmp_path)
    running = Running(home, DEMO="0")
    try:
        running.wait_for("Ctrl-C stops everything", 240)
        with ThreadPoolExecutor(1) as pool:
            drill = pool.submit(tocsin, home, "drill", "cloudflare-5xx", "--limit", "2m", "-o", "json")
            running.wait_for("PagerDuty triggered")
            (id,) = tocsin(home, "incidents", "-o", "name").stdout.split()
            for act in (("ack", id), ("note", id, "the origin is restarted"), ("resolve", id)):
                assert tocsin(home, *act, "--by", "ana").returncode == 0
            found = drill.result()
    finally:
        assert running.end() == 0
    assert found.returncode == 0, found.stderr
    steps = json.loads(found.stdout)["steps"]
    assert 0 <= steps["notified"]["seconds"] <= steps["acknowledged"]["seconds"] <= steps["noted"]["seconds"]
    assert steps["resolved"]["seconds"] is not None
    assert running.inbox in found.stderr


def test_a_mistake_in_the_rules_is_told_in_a_line(home: Path) -> None:
    """File, line, column and the word, before anything starts; exit 1."""
    rules = home / "alert-rules.yaml"
    text = rules.read_text()
    rules.write_text(text.replace("condition:", "conditon:", 1))
    try:
        found = Running(home)
        assert found.process.wait(60) == 1
        found.end()
    finally:
        rules.write_text(text)
    assert any(line.startswith("run: alert-rules.yaml:") and "condition" in line for line in found.lines), found.lines
    assert not [line for line in found.lines if "Traceback" in line]


def of_this(home: Path) -> list[str]:
    """Command lines of processes that run in that checkout."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            where = os.readlink(folder / "cwd")
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if where.startswith(str(home)) or str(home) in command:
            found.append(command)
    return found
