"""A source, a target, a probe and a command that nobody has heard of: each is one file, and everything knows it.

The files are those of tests/new_plugins/, which the packages look into as well. No other file is changed.
"""

import hmac
import importlib
import io
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from chalicelib import plugins
from chalicelib.core.errors import SignatureError, TargetRejectedError, UnknownSourceError
from chalicelib.core.incident import Incident
from chalicelib.core.metrics.sample import Sample
from chalicelib.core.rule import Target
from chalicelib.deliver.worker import deliver
from chalicelib.ingest.registry import find_source
from chalicelib.messages.queue import Queues, Samples, notification_message, read_message
from chalicelib.plugin_modules import ProbeModule, SourceModule, TargetModule
from chalicelib.rules.file import check, compile_rules, json_schema
from chalicelib.rules.loader import COMPILED_NAME, RULES_NAME, load_rules
from chalicelib.schedule.watch import watch
from chalicelib.targets import capabilities, module_for
from cli import send_test
from cli.main import commands, main
from simulation.memory_store import MemoryStore
from tests.fakes import MemoryQueue, no_pause
from tests.plugin_contracts import missing, unlike
from tests.project import ROOT
from tests.targets.samples import NOTIFICATION, NOW, FakeClients

EXAMPLES = Path(__file__).parent / "new_plugins"
FILES = (
    ("chalicelib.sources", "kettle"),
    ("chalicelib.targets", "chat"),
    ("chalicelib.probes", "lamp"),
    ("cli", "greet_all"),
)
"""The package that each example belongs to, and the name of its file."""
RULES = """
metrics: [lumens]
probes: {lamp: [{name: hall, watts: 40}]}
alerts:
  - name: Boiling over
    match: {source: kettle}
    notification: [{chat: ops}]
  - name: Too bright
    condition: "lumens > 300"
    notification: [{chat: ops, send_resolved: false}]
default: {notification: [{chat: ops}]}
"""


@pytest.fixture
def newcomers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The packages look into the folders of the examples; afterwards they do not. Files of a test go into the path."""
    for package, _ in FILES:
        found = importlib.import_module(package)
        folder = EXAMPLES / package.removeprefix("chalicelib.")
        monkeypatch.setattr(found, "__path__", [*found.__path__, str(folder)])
    yield tmp_path
    for package, name in FILES:
        if sys.modules.pop(f"{package}.{name}", None) is not None:
            delattr(sys.modules[package], name)


@pytest.fixture
def rules_file(newcomers: Path) -> Path:
    """A rules file that names all of them."""
    path = newcomers / RULES_NAME
    path.write_text(RULES)
    return path


def test_the_checker_takes_them(newcomers: Path) -> None:
    """The fields are read by the plug-ins: what is right is no mistake, what is wrong is told in their words."""
    report = check(RULES)
    assert (report.mistakes, report.warnings) == ((), ())
    wrong = RULES.replace("watts: 40", "wats: 40").replace("chat: ops, send", "chat: the lobby, send")
    told = [str(each) for each in check(wrong).mistakes]
    assert len(told) == 3
    assert "chat is not a room: 'the lobby'; allowed is letters and digits; did you mean thelobby" in told[2]
    assert "lamp: wats is unknown" in told[0] and "lamp: watts is missing" in told[1]
    (unknown,) = check("default: {notification: [{chta: ops}]}\nalerts: []\n").mistakes
    assert ("chat" in unknown.allowed.split(", "), unknown.suggestion) == (True, "chat")


def test_the_schema_has_them(newcomers: Path) -> None:
    """Editors know the words, what they mean and what they hold."""
    forms = json_schema()["$defs"]
    written = {"type": "string", "pattern": "^[a-z0-9]+$"}
    variable = {"type": "string", "pattern": r"^\$\{[A-Z][A-Z0-9_]{1,60}\}$"}
    expected = {"anyOf": [written, variable], "description": "The name of a room."}
    assert forms["TargetForm"]["properties"]["chat"] == expected
    assert {"required": ["chat"]} in forms["TargetForm"]["oneOf"]
    assert forms["ProbesForm"]["properties"]["lamp"]["description"] == "Lamps whose light is measured."


def test_tocsin_check_prints_them(rules_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The sentences name the receiver and the room."""
    pages = rules_file.parent / "runbook"
    pages.mkdir()
    for name in ("boiling-over", "too-bright"):
        (pages / f"{name}.md").write_text(
            "".join(f"# {each}\n" for each in ("Meaning", "Impact", "Diagnosis", "Mitigation"))
        )
    assert main(["check", str(rules_file)]) == 0
    printed = capsys.readouterr().out
    assert "Boiling over: With the severity of its event, for each fault with source=kettle" in printed
    assert "Notifies Chat ops." in printed


def test_replay_runs_through_them(rules_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Bodies of the source, an outage of the target and a sample of the probe go through the real decisions."""
    lines: list[dict[str, Any]] = [
        {"at": 0, "webhook": {"source": "kettle", "body": {"boils": True, "url": "https://kettle.example/1"}}},
        {"at": 0, "target": {"chat": "ops"}, "answers": [{"status": 503}, {"status": 200}]},
        {"at": 600, "webhook": {"source": "kettle", "body": {"boils": False}}},
        {"at": 1200, "sample": {"metric": "lumens", "value": 400, "labels": {"service": "hall"}}},
        {"at": 1800, "end": True},
    ]
    timeline = rules_file.parent / "timeline.jsonl"
    timeline.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert main(["replay", str(rules_file), str(timeline)]) == 0
    out = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    told = [(line["reason"], line["target"], line["attempts"]) for line in out if line["type"] == "notification"]
    assert told == [
        ("opened", {"chat": "ops"}, 2),
        ("resolved", {"chat": "ops"}, 1),
        ("opened", {"chat": "ops"}, 1),
    ]
    assert "Open in Kettle & Co: https://kettle.example/1" in out[0]["text"]


def test_a_worker_delivers_to_it(rules_file: Path) -> None:
    """From compiled rules the worker knows what the receiver can do, and its file sends the notification."""
    (rules_file.parent / COMPILED_NAME).write_text(compile_rules(RULES))
    rules = load_rules(rules_file.parent)
    assert rules.can("chat").takes_changes and not rules.can("chat").pages
    wanted = replace(NOTIFICATION, target=rules.default.targets[0], at=NOW)
    store, queues = MemoryStore(), Queues(MemoryQueue(), MemoryQueue(), MemoryQueue())
    store.save(Incident(wanted.incident.key, id=wanted.incident.id, committed=(wanted.id,), version=1))
    clients = FakeClients(
        lambda request: httpx.Response(200, json={"message": 7}),
        secrets={"CHAT_TOKEN": "token"},
        settings={"CHAT_URL": "https://192.0.2.1/chat"},
    )
    body = notification_message(wanted)
    assert deliver(body, rules=rules, store=store, queues=queues, clients=clients, now=NOW).delivered
    (request,) = clients.requests
    assert str(request.url) == "https://192.0.2.1/chat/rooms/ops"
    assert json.loads(request.content) == {"text": "High Error Rate (prod checkout) (firing)"}
    assert not deliver(body, rules=rules, store=store, queues=queues, clients=clients, now=NOW).delivered


def test_the_watch_runs_the_probe(newcomers: Path) -> None:
    """What it measures is on the webhooks queue."""
    rules = check(RULES).rules
    assert rules is not None
    queues = Queues(MemoryQueue(), MemoryQueue(), MemoryQueue())
    watch(rules=rules, store=MemoryStore(), clients=FakeClients(), queues=queues, now=NOW, pause=no_pause)
    contents = [read_message(body) for body in queues.webhooks.bodies]
    found: list[Sample] = [each for content in contents if isinstance(content, Samples) for each in content.samples]
    assert ("lumens", 400.0) in {(each.metric, each.value) for each in found}


def test_the_door_takes_the_source(newcomers: Path) -> None:
    """Its webhooks are let in when they prove themselves, and `tocsin parse` reads them."""
    source = find_source("kettle")
    proof = hmac.new(b"s", b"{}", "sha256").hexdigest()
    source.verify({"x-kettle": proof}, b"{}", ["s"])
    with pytest.raises(SignatureError):
        source.verify({"x-kettle": "guess"}, b"{}", ["s"])
    from cli import parse

    body, out = newcomers / "body.json", io.StringIO()
    body.write_text('{"boils": true}')
    arguments = type("Arguments", (), {"source": "kettle", "body": str(body), "headers": None, "rules": None})()
    assert parse.run(arguments, stdout=out) == 0
    assert json.loads(out.getvalue())["title"] == "The kettle boils over"


def test_people_name_it_on_the_command_line(newcomers: Path) -> None:
    """`tocsin send-test chat:ops` is understood, and who names nothing known is told how it is written."""
    assert send_test.target_of("chat:ops") == Target("chat", "ops")
    with pytest.raises(send_test.StageError, match=r"teams:NAME.* chat:ADDRESS"):
        send_test.target_of("nonsense")
    assert "chat:ADDRESS" in re.split(", | and ", send_test.forms())


def test_the_command_is_one(newcomers: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is listed and run by the name of its file."""
    assert "greet_all" in commands()
    assert main(["greet-all", "ana"]) == 0
    assert capsys.readouterr().out == "hello ana\n"


def test_the_contract_tests_find_them(newcomers: Path) -> None:
    """They are what their folders ask for, and what they lack beside their files is named with its place."""
    for folder, name, protocol in (
        ("sources", "kettle", SourceModule),
        ("targets", "chat", TargetModule),
        ("probes", "lamp", ProbeModule),
    ):
        assert name in plugins.names(folder)
        assert unlike(plugins.load(folder, name), protocol) == []
    assert missing("targets", "chat", ROOT) == [
        "targets/chat.py: no test: write tests/targets/test_chat.py",
        "targets/chat.py: no row in docs/delivery.md: add one to its tables that begins with | `chat:",
        "targets/chat.py: no entry in docs/alert-rules.schema.json: run `.venv/bin/python -m chalicelib.rules.file schema`",
    ]
    assert len(missing("sources", "kettle", ROOT)) == len(missing("probes", "lamp", ROOT)) == 3
    assert missing("cli", "greet_all", ROOT) == [
        "cli/greet_all.py: no row in README.md: add one to its table of commands that begins with | `tocsin greet-all`"
    ]


def test_nobody_knows_them_without_their_files() -> None:
    """The tests above have left nothing behind."""
    assert "chat" not in capabilities()
    with pytest.raises(TargetRejectedError):
        module_for("chat")
    with pytest.raises(UnknownSourceError):
        find_source("kettle")
    assert "lamp" not in json_schema()["$defs"]["ProbesForm"]["properties"]
    assert "greet_all" not in commands()
