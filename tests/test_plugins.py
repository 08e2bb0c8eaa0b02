"""Every plug-in that is found keeps its contract, whether anybody thought of it here or not. Nothing is listed by hand."""

import inspect
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chalicelib import plugins
from chalicelib.core.delivery.notification import Notification
from chalicelib.core.delivery.target_kind import address_of
from chalicelib.core.errors import RulesError, TargetRejectedError, TargetUnavailableError, UnknownSourceError
from chalicelib.core.rule import Target
from chalicelib.plugin_modules import (
    BlockingProbeModule,
    ChangeModule,
    CheckedModule,
    DeclaredSourceModule,
    HistoryModule,
    ProbeModule,
    SourceModule,
    TargetModule,
)
from chalicelib.rules.file import check, json_schema, load
from chalicelib.rules.file.variables import VARIABLE
from chalicelib.targets import checked_module_for, kinds
from cli.main import CommandModule, commands
from simulation.simulator import NOWHERE, FakeClients, TargetAnswer
from tests.plugin_contracts import capabilities_row, missing, unlike
from tests.project import ROOT
from tests.targets.samples import NOTIFICATION, NOW, RESOLVED

FOUND = [(folder, name) for folder in plugins.KINDS for name in plugins.names(folder)]
EVERYTHING = [*FOUND, *(("cli", name) for name in commands())]
PROTOCOLS = {"sources": SourceModule, "targets": TargetModule, "probes": ProbeModule, "histories": HistoryModule}
TARGETS = plugins.names("targets")


@pytest.mark.parametrize(("folder", "name"), EVERYTHING)
def test_nothing_of_a_plugin_is_missing(folder: str, name: str) -> None:
    """A plug-in has real bodies or a sample, a test, a row in the documentation and an entry in the schema."""
    found = missing(folder, name, ROOT)
    assert not found, "\n".join(found)


@pytest.mark.parametrize(("folder", "name"), FOUND)
def test_a_plugin_is_what_its_folder_asks_for(folder: str, name: str) -> None:
    """A file has every name of its folder's protocol, and functions that take its arguments and need no more."""
    module = plugins.load(folder, name)
    blocks = folder == "probes" and not inspect.iscoroutinefunction(module.check)
    found = unlike(module, BlockingProbeModule if blocks else PROTOCOLS[folder])
    assert not found, "\n".join(f"{folder}/{name}.py: {each}" for each in found)
    assert "https://" in (module.__doc__ or "") or folder == "probes", (
        f"{folder}/{name}.py: its docstring has no address: add that of the vendor's page"
    )


def test_the_other_protocols_are_kept() -> None:
    """What only some plug-ins provide has the form of its protocol where it is provided."""
    assert unlike(plugins.load("sources", plugins.GENERIC), DeclaredSourceModule) == []
    for kind, declared in kinds().items():
        module = plugins.load("targets", kind)
        assert declared.can.takes_changes is hasattr(module, "send_change"), kind
        assert not declared.can.takes_changes or unlike(module, ChangeModule) == []
        assert checked_module_for(kind) is None or unlike(module, CheckedModule) == []


@pytest.mark.parametrize("name", commands())
def test_a_command_is_what_the_command_line_asks_for(name: str) -> None:
    """A file has its line of help, a docstring that describes it, and takes what it is called with."""
    module: Any = __import__(f"cli.{name}", fromlist=["run"])
    assert unlike(module, CommandModule) == []
    assert module.HELP and module.__doc__


# ---------------------------------------------------------------------------------------------------------------------
# Targets


def notification_for(kind: str, base: Notification = NOTIFICATION) -> Notification:
    """A notification for the kind's example; a web address leads nowhere, so that no resolver is asked."""
    address = address_of(kinds()[kind].example)
    if "://" in address:
        address = f"https://{NOWHERE}/secretpath?key=secretquery"
    return replace(base, target=Target(kind, address))


def sent(kind: str, answer: TargetAnswer, *, base: Notification = NOTIFICATION, **more: Any) -> Any:
    """What comes of sending to the kind's example, whose receiver answers so."""
    clients, notification = FakeClients(), notification_for(kind, base)
    clients.begin(answer, kind)
    options: dict[str, Any] = {"receipt": {}, "in_doubt": False, "now": NOW, **more}
    return plugins.load_target(kind).send(notification, notification.target.address, clients, **options)


@pytest.mark.parametrize("kind", TARGETS)
def test_a_declaration_is_right(kind: str) -> None:
    """The example is a value of the field, the checker takes it and refuses a mapping, and the schema has its meaning."""
    declared = kinds()[kind]
    assert declared.read(declared.example) == declared.example
    assert declared.value_of(address_of(declared.example)) == declared.example
    assert declared.title and declared.meaning.endswith(".")
    text = f"default: {{notification: [{{{kind}: {json.dumps(declared.example)}}}]}}\nalerts: []\n"
    assert [each.key for each in load(text).default.targets] == [f"{kind}:{address_of(declared.example)}"]
    (mistake,) = check(f"default: {{notification: [{{{kind}: {{a: b}}}}]}}\nalerts: []\n").mistakes
    assert kind in mistake.what and mistake.allowed
    entry = json_schema()["$defs"]["TargetForm"]["properties"][kind]
    variable = {"type": "string", "pattern": f"^{VARIABLE}$"}
    assert entry == {"anyOf": [declared.schema, variable], "description": declared.meaning}


@pytest.mark.parametrize("kind", TARGETS)
def test_the_page_says_what_a_receiver_can_do(kind: str) -> None:
    """The table of docs/delivery.md has what the file declares."""
    row = capabilities_row(kind, kinds()[kind].can)
    assert row in (ROOT / "docs/delivery.md").read_text("utf-8").splitlines(), f"put into docs/delivery.md: {row}"


@pytest.mark.parametrize("base", [NOTIFICATION, RESOLVED], ids=["opened", "resolved"])
@pytest.mark.parametrize("kind", TARGETS)
def test_a_sample_is_sent(kind: str, base: Notification) -> None:
    """What the sample declares is enough to render a notification, fully and plainly, and to send it."""
    module, notification = plugins.load_target(kind), notification_for(kind, base)
    for plain in (False, True):
        assert json.dumps(module.render(notification, {}, plain=plain))
    assert sent(kind, TargetAnswer(), base=base).sent


@pytest.mark.parametrize("kind", TARGETS)
def test_a_receipt_leads_to_the_first_message_where_a_kind_threads(kind: str) -> None:
    """Given a kind that threads, then the receipt of the first message has something, and the next one is sent with it."""
    receipt = sent(kind, TargetAnswer())
    assert bool(receipt.values) or not kinds()[kind].can.threads
    assert sent(kind, TargetAnswer(), base=replace(RESOLVED, seq=2), receipt=receipt.values).sent


HIDDEN = ("secretpath", "secretquery", "High Error Rate", NOWHERE)


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize(
    ("answer", "fate", "wait", "ambiguous"),
    [
        (TargetAnswer(503), TargetUnavailableError, None, True),
        (TargetAnswer(error="timeout"), TargetUnavailableError, None, True),
        (TargetAnswer(error="refused"), TargetUnavailableError, None, False),
        (TargetAnswer(429, retry_after=7), TargetUnavailableError, timedelta(seconds=7), False),
        (TargetAnswer(403), TargetRejectedError, None, False),
        (TargetAnswer(400), TargetRejectedError, None, False),
    ],
)
def test_every_failure_has_its_fate(kind: str, answer: TargetAnswer, fate: Any, wait: Any, ambiguous: bool) -> None:
    """An outage and a limit come back, a refusal does not, and no error holds an address or a payload."""
    with pytest.raises((TargetUnavailableError, TargetRejectedError)) as caught:
        sent(kind, answer)
    assert type(caught.value) is fate
    assert not [each for each in HIDDEN if each in f"{caught.value}{caught.value!r}"]
    if isinstance(caught.value, TargetUnavailableError):
        assert caught.value.ambiguous is ambiguous
        assert wait is None or caught.value.retry_after == wait


# ---------------------------------------------------------------------------------------------------------------------
# Probes


@pytest.mark.parametrize("name", plugins.names("probes"))
def test_a_sample_of_a_probe_is_right(name: str) -> None:
    """The probe and the checker take the sample, and an unknown field is a mistake at its place."""
    module = plugins.load_probe(name)
    assert module.MEANING.endswith(".") and module.validate(module.SAMPLE) == []
    for sample, wrong in ((dict(module.SAMPLE), False), ({**module.SAMPLE, "nonsense": 1}, True)):
        found = check(json.dumps({"probes": {name: [sample]}, "alerts": []}))
        assert bool(found.mistakes) is wrong
        assert not wrong or "nonsense" in found.mistakes[0].what
    assert json_schema()["$defs"]["ProbesForm"]["properties"][name]["description"] == module.MEANING


# ---------------------------------------------------------------------------------------------------------------------
# What finds the missing finds it


PIECES = {
    ("sources", "sentry"): [
        (
            "tests/sources/fixtures/sentry",
            "no real body: put a beginning and its end into tests/sources/fixtures/sentry/, a .json file each",
        ),
        ("tests/sources/test_sentry.py", "no test: write tests/sources/test_sentry.py"),
        ("docs/sources.md", "no row in docs/sources.md: add one to its tables that begins with | `sentry`"),
    ],
    ("targets", "email"): [
        ("tests/targets/test_email.py", "no test: write tests/targets/test_email.py"),
        ("docs/delivery.md", "no row in docs/delivery.md: add one to its tables that begins with | `email:"),
        (
            "docs/alert-rules.schema.json",
            "no entry in docs/alert-rules.schema.json: run `.venv/bin/python -m chalicelib.rules.file schema`",
        ),
    ],
    ("probes", "uptime"): [
        ("tests/probes/test_uptime.py", "no test: write tests/probes/test_uptime.py"),
        ("docs/rules.md", "no row in docs/rules.md: add one to its tables that begins with | `uptime`"),
        (
            "docs/alert-rules.schema.json",
            "no entry in docs/alert-rules.schema.json: run `.venv/bin/python -m chalicelib.rules.file schema`",
        ),
    ],
    ("histories", "cloudflare"): [
        ("tests/histories/test_cloudflare.py", "no test: write tests/histories/test_cloudflare.py"),
        ("docs/sources.md", "no row in docs/sources.md: add one to its tables that begins with | Cloudflare"),
    ],
    ("cli", "send_test"): [
        ("README.md", "no row in README.md: add one to its table of commands that begins with | `tocsin send-test`"),
        ("tests/cli/test_redrive.py", "no test: write tests/cli/test_send_test.py"),
    ],
}


@pytest.mark.parametrize(("folder", "name"), list(PIECES))
def test_each_missing_piece_is_named_with_its_place(folder: str, name: str, tmp_path: Path) -> None:
    """Given a checkout with all pieces of a plug-in but one, then the message names that one; with none, all of them."""
    pieces = PIECES[folder, name]
    assert missing(folder, name, tmp_path) == [f"{folder}/{name}.py: {each}" for _, each in pieces]
    for without, message in pieces:
        root = tmp_path / str(len(list(tmp_path.iterdir())))
        for place, _ in pieces:
            if place != without:
                copied(place, root)
        assert missing(folder, name, root) == [f"{folder}/{name}.py: {message}"]


def copied(place: str, root: Path) -> None:
    """Put a piece of this checkout into another one."""
    copy: Callable[..., Any] = shutil.copytree if (ROOT / place).is_dir() else shutil.copyfile
    (root / place).parent.mkdir(parents=True, exist_ok=True)
    copy(ROOT / place, root / place)


def test_a_history_without_its_source_is_named(tmp_path: Path) -> None:
    """A history belongs to a source: without one there is nothing that could take in what it reads."""
    assert missing("histories", "nobody", tmp_path) == [
        "histories/nobody.py: no source of that name: a history belongs to chalicelib/sources/nobody.py"
    ]


def test_a_module_unlike_its_protocol_is_described() -> None:
    """A name that is missing, an argument that is not taken and one that is needed beside them are told."""
    module = SimpleNamespace(MEANING="It is.", check=lambda params, clients, zone, *, now: [], validate=list)
    assert unlike(module, BlockingProbeModule) == [
        "has no METRICS",
        "has no SAMPLE",
        "check needs zone too",
        "validate takes no params",
    ]


# ---------------------------------------------------------------------------------------------------------------------
# How they are found


@pytest.mark.parametrize("folder", plugins.KINDS)
@pytest.mark.parametrize("name", ["", ".", "..", "__init__", "_http", "../core/rule", "a" * 65, "no body", "sentry.py"])
def test_only_a_plain_name_of_a_file_is_a_plugin(folder: str, name: str) -> None:
    """No name of a request or a rules file leads to anything but a file of its folder."""
    assert not plugins.exists(folder, name)
    with pytest.raises((UnknownSourceError, RulesError), match="known are"):
        plugins.load(folder, name)


def test_a_folder_that_is_none_is_refused() -> None:
    """The folders of plug-ins are known."""
    with pytest.raises(ValueError, match="sources, targets, probes, histories"):
        plugins.names("core")
