"""The door of heartbeats: healthchecks' addresses and answers, and what becomes of a job that stops."""

import hmac
import json
import os
import random
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chalicelib.core.errors import NotStoredError
from chalicelib.core.rule import Rules
from chalicelib.ingest import heartbeats_wiring, registry
from chalicelib.ingest.heartbeats import MAX_OUTPUT_BYTES, receive_beat, token_of
from chalicelib.messages.queue import read_message
from chalicelib.messages.webhook import MAX_MESSAGE_BYTES
from chalicelib.process.parse import parsed
from chalicelib.rules.file import compile_rules, load
from simulation.memory_store import MemoryStore
from simulation.simulator import Simulator
from tests.fakes import FixedSecrets
from tests.gateway import gateway

NOW = datetime(2026, 11, 30, 4, tzinfo=UTC)
SECRET = "secret-of-heartbeats"
RUN = "aaaaaaaa-0000-4000-8000-000000000005"
REQUESTS = json.loads((Path(__file__).parent / "healthchecks_requests.json").read_text())
RULES = """
defaults: {group_wait: 0s}
alerts: []
default: {notification: [{slack_channel: "#ops"}]}
fallback: {notification: [{email: ops@example.com}]}
probes: {heartbeat: [{name: nightly, every: 1h, grace: 10m}, {name: a b/c, every: 1h}]}
"""


class Door:
    """`receive_beat` with a queue in memory."""

    def __init__(self, secret=SECRET):
        self.messages, self.away, self.secrets = [], False, FixedSecrets({"HEARTBEAT_SECRET": secret} if secret else {})

    def put(self, messages):
        """The queue."""
        if self.away:
            raise NotStoredError("queue is away")
        self.messages += messages

    def call(self, word="", *, name="nightly", token=None, run="", body=b"", now=NOW):
        """Call an address."""
        token = token_of(SECRET, name) if token is None else token
        return receive_beat(
            name, token, word, run, body, names={"nightly"}, secrets=self.secrets, put=self.put, now=now
        )

    def events(self):
        """What the worker reads from the queue."""
        webhooks = [read_message(each) for each in self.messages]
        return [e for w in webhooks for e in parsed(w.source, w.headers, w.body, Rules(), w.received_at)]


@pytest.mark.parametrize(
    ("word", "labels"),
    [
        ("", {}),
        ("0", {}),
        ("000", {}),
        ("start", {"signal": "start"}),
        ("fail", {"signal": "fail"}),
        ("log", {"signal": "log"}),
        ("1", {"signal": "fail", "exit_code": "1"}),
        ("255", {"signal": "fail", "exit_code": "255"}),
    ],
)
def test_signals(word, labels):
    """Given each last part of an address → 200 OK, and the signal on the queue."""
    door = Door()
    found = door.call(word)
    assert (found.status, found.body, found.headers["Ping-Body-Limit"]) == (200, "OK", "10000")
    assert found.headers["Content-Type"].startswith("text/plain")
    (event,) = door.events()
    assert (event.name, event.occurred_at, event.labels) == ("nightly", NOW, labels)


REFUSED = [
    ("an exit code over 255", 400, {"word": "256"}),
    ("a long number", 400, {"word": "999999"}),
    ("a longer number", 400, {"word": "99999999999"}),
    ("a word that does not exist", 404, {"word": "stop"}),
    ("a negative number", 404, {"word": "-1"}),
    ("a number in other digits", 404, {"word": "١"}),
    ("a run that is no UUID", 400, {"run": "5"}),
    ("a wrong token", 404, {"token": "0" * 32}),
    ("an empty token", 404, {"token": ""}),
    ("a token outside ASCII", 404, {"token": "ü" * 32}),
    ("the token of another name", 404, {"token": token_of(SECRET, "other")}),
    ("a name that nobody declared, with its token", 404, {"name": "none"}),
]


@pytest.mark.parametrize(("status", "given"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_refusals(status, given):
    """Given what healthchecks refuses → its status, nothing stored, and no token in the answer or the log."""
    door = Door()
    found = door.call(**given)
    assert (found.status, door.messages) == (status, [])
    assert token_of(SECRET, "nightly") not in f"{found.body}{found.reason}"


def test_a_wrong_token_is_answered_as_an_unknown_name():
    """Given a wrong token for a known and an unknown name → the same answer."""
    assert Door().call(token="0" * 32) == Door().call(token="0" * 32, name="none")


def test_without_a_secret_nothing_is_taken():
    """Given a stage without the secret → 404 for every token."""
    assert Door(secret="").call().status == 404


def test_two_secrets_are_live_while_one_is_rotated():
    """Given a new value beside the old one → the tokens of both are taken."""
    door = Door(secret=f"new-secret,{SECRET}")
    assert [door.call().status, door.call(token=token_of("new-secret", "nightly")).status] == [200, 200]


def test_a_token_of_a_value_that_is_read_again_is_taken():
    """Given a secret that was rotated after it was read → read again, and taken."""

    class Rotated:
        def values(self, names):
            return ["old"]

        def renewed(self, names):
            return [SECRET]

    door = Door()
    door.secrets = Rotated()
    assert door.call().status == 200


def test_every_live_token_is_compared_in_constant_time():
    """Given a right first token → the others are compared all the same, each by hmac.compare_digest."""
    calls = []
    sys.setprofile(
        lambda frame, event, called: calls.append(1) if (event, called) == ("c_call", hmac.compare_digest) else None
    )
    try:
        Door(secret=f"{SECRET},b,c").call()
    finally:
        sys.setprofile(None)
    assert len(calls) == 3


def test_nothing_is_answered_200_that_the_queue_does_not_have():
    """Given a queue that refuses → 503 with Retry-After."""
    door = Door()
    door.away = True
    found = door.call()
    assert (found.status, found.headers["Retry-After"]) == (503, "10")


def test_a_body_is_cut_and_masked():
    """Given a body of 2 MB with a password → its first 10,000 bytes, without the password."""
    door = Door()
    body = b"password=hunter22 \xff " + random.Random(1).randbytes(2_000_000)
    assert door.call("fail", body=body).status == 200
    assert len(door.messages[0]) < MAX_MESSAGE_BYTES
    assert read_message(door.messages[0]).body == body[:MAX_OUTPUT_BYTES]
    (event,) = door.events()
    assert "hunter22" not in event.summary
    assert event.summary.startswith("password=")


def test_a_run_is_named():
    """Given a rid → the run of the signal."""
    door = Door()
    door.call("start", run=RUN.upper())
    assert door.events()[0].labels == {"signal": "start", "run": RUN}


# ---------------------------------------------------------------------------------------------------------------------
# Over sockets


@pytest.fixture
def stage(monkeypatch, tmp_path):
    """The application on loopback with RULES."""
    compiled = tmp_path / "compiled-rules.json"
    compiled.write_text(compile_rules(RULES))
    monkeypatch.setattr(heartbeats_wiring, "COMPILED", str(compiled))
    registry.heartbeats.cache_clear()
    with gateway(monkeypatch, HEARTBEAT_SECRET=SECRET) as found:
        yield found
    registry.heartbeats.cache_clear()


def curl(*words):
    """Run curl as healthchecks' documentation has it; what it printed."""
    program = shutil.which("curl")
    assert program, "curl is missing"
    done = subprocess.run(
        [program, "-fsS", "-m", "10", *words], capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("request_", REQUESTS, ids=[f"{each['method']} {each['path']}" for each in REQUESTS])
def test_requests_of_healthchecks(stage, request_):
    """Given a documented request at our address → healthchecks' status, and stored exactly when it is 200."""
    path = request_["path"].replace("TOKEN", token_of(SECRET, request_["path"].split("/")[2]))
    body = request_["body"].encode() if request_["method"] == "POST" else b""
    found = stage.answer(request_["method"], path, request_["headers"], body)
    assert found["statusCode"] == request_["expect"]["status"]
    assert len(stage.messages()) == (found["statusCode"] == 200)


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_documented_snippets(stage, prefix):
    """Given the snippets of the documentation with our address → each succeeds, at an address of a REST API too."""
    address = f"{stage.url}{prefix}/heartbeats/nightly/{token_of(SECRET, 'nightly')}"
    assert curl("--retry", "3", "-o", "/dev/null", address) == (0, "")
    assert curl("--retry", "3", "--data-raw", "all is well", address) == (0, "OK")
    assert curl("-X", "POST", f"{address}/start") == (0, "OK")
    assert curl("-I", address)[1].splitlines()[0].endswith("200 OK")
    assert curl(f"{address}/fail?rid={RUN}") == (0, "OK")
    assert curl(f"{address}/256")[0] != 0
    assert curl(f"{address}x")[0] != 0
    assert [read_message(each).headers.get("signal", "") for each in stage.messages()] == ["", "", "start", "", "fail"]


DOCS = (Path(__file__).parents[2] / "docs" / "heartbeats.md").read_text("utf-8")
BLOCKS = {text.partition("\n")[0]: text for text in re.findall(r"^```\w*\n(.*?)^```$", DOCS, re.MULTILINE | re.DOTALL)}


def documented(stage, folder, code):
    """The environment of a snippet of the documentation: its address, and a job that ends with this code."""
    job = folder / "backup"
    job.write_text(f"#!/bin/sh\necho disk full >&2\nexit {code}\n")
    job.chmod(0o755)
    return {**os.environ, "URL": f"{stage.url}/heartbeats/nightly/{token_of(SECRET, 'nightly')}"}, str(job)


@pytest.mark.parametrize(("code", "signal"), [(0, ""), (3, "fail")])
def test_the_documented_shell_script(stage, tmp_path, code, signal):
    """Given a job that ends with a code → a start, then its success or failure with the code and its output."""
    environment, job = documented(stage, tmp_path, code)
    script = BLOCKS["#!/bin/bash"].replace("/usr/local/bin/backup", job)
    done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (code, b"")
    first, last = map(read_message, stage.messages())
    assert (first.headers["signal"], last.headers.get("signal", "")) == ("start", signal)
    assert (last.headers.get("exit_code", "0"), last.body) == (str(code), b"disk full")


@pytest.mark.parametrize(
    ("status", "sent"), [("0", {}), ("7", {"signal": "fail", "exit_code": "7"}), ("TERM", {"signal": "fail"})]
)
def test_the_documented_unit_of_systemd(stage, tmp_path, status, sent):
    """Given each form of EXIT_STATUS → the end of the run that it is."""
    environment, _ = documented(stage, tmp_path, 0)
    command = re.search(r"^ExecStopPost=-/bin/sh -c '(.*)'$", BLOCKS["[Service]"], re.MULTILINE)[1]
    subprocess.run(["sh", "-c", command], env={**environment, "EXIT_STATUS": status}, timeout=60, check=True)
    (message,) = map(read_message, stage.messages())
    assert {name: message.headers[name] for name in message.headers if name != "heartbeat"} == sent


@pytest.mark.parametrize(("code", "signal"), [(0, ""), (3, "fail")])
def test_the_documented_cron_job_of_kubernetes(stage, tmp_path, code, signal):
    """Given a job that ends with a code → the command of the container reports it and ends with it."""
    environment, job = documented(stage, tmp_path, code)
    command = re.search(r'command: \[/bin/sh, -c, "(.*)"\]', BLOCKS["apiVersion: batch/v1"])[1].replace(
        " backup;", f" {job};"
    )
    done = subprocess.run(["sh", "-c", command], env=environment, capture_output=True, timeout=60, check=False)
    assert done.returncode == code
    assert [read_message(each).headers.get("signal", "") for each in stage.messages()] == ["start", signal]


def test_the_documented_python(stage):
    """Given a job that raises → a start, and a failure with the error."""
    url = f"{stage.url}/heartbeats/nightly/{token_of(SECRET, 'nightly')}"

    def backup():
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        exec(BLOCKS["import urllib.request"], {"URL": url, "backup": backup})
    first, last = map(read_message, stage.messages())
    assert (first.headers["signal"], last.headers["signal"], last.body) == ("start", "fail", b"OSError('disk full')")


def test_a_name_that_must_be_encoded(stage):
    """Given a name with a blank and a slash, percent-encoded → its heartbeat."""
    assert curl(f"{stage.url}/heartbeats/a%20b%2Fc/{token_of(SECRET, 'a b/c')}") == (0, "OK")
    assert read_message(stage.messages()[0]).headers["heartbeat"] == "a b/c"


def test_a_method_that_healthchecks_does_not_have(stage):
    """Given PUT → 405, and nothing is stored."""
    assert stage.answer("PUT", f"/heartbeats/nightly/{token_of(SECRET, 'nightly')}", {}, b"")["statusCode"] == 405
    assert stage.messages() == []


def test_the_job_stops_and_people_are_notified(stage):
    """Given curl after each run, then none → notified when the grace is over, with the last output; the next run ends it."""
    address = f"{stage.url}/heartbeats/nightly/{token_of(SECRET, 'nightly')}"
    assert curl("--data-raw", "exported 812 rows", address) == (0, "OK")
    (message,) = stage.messages()
    received_at = read_message(message).received_at
    simulator = Simulator(load(RULES), received_at)
    simulator.post([message])
    simulator.run_until(received_at + timedelta(minutes=69), inclusive=True)
    assert [each.notification.reason for each in simulator.sent if "nightly" in str(each.notification)] == []
    simulator.run_until(received_at + timedelta(minutes=71), inclusive=True)
    (sent,) = [each for each in simulator.sent if "nightly" in str(each.notification)]
    assert "exported 812 rows" in str(sent.notification)
    assert "No heartbeat of nightly" in str(sent.notification)


def test_a_beat_costs_at_most_one_write():
    """Given a heartbeat that is known → each further beat writes once."""
    simulator = Simulator(load(RULES), NOW)
    writes = []
    for number in range(5):
        door = Door()
        now = NOW + timedelta(minutes=30 * number)
        simulator.run_until(now, inclusive=True)
        before = simulator.store.writes
        door.call(now=now)
        simulator.now = now
        simulator.post(door.messages)
        simulator.settle()
        writes.append(simulator.store.writes - before)
    assert isinstance(simulator.store, MemoryStore)
    assert max(writes[1:]) <= 1
