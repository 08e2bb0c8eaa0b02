"""What a deploy prints at its end: what was done, what is not set, what to do next; and what Chalice does meanwhile."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cli import main
from cli.deploy import next_commands
from deploy.deployment import Deploy, Deployed
from deploy.errors import DeployError
from deploy.lock import Holder, Lock
from deploy.unset import unset
from local.cloud import Cloud
from tests.project import clients, environment
from tests.rule_files import rules_of

RULES = """
alerts:
  - name: A
    condition: "error_rate > 1%"
    severity: critical
    notification: [{slack_channel: "#a"}, {pagerduty: payments}, {webhook: phone}, {webhook: billing}, {discord: true}]
webhooks:
  - {name: phone, url: "https://ntfy.sh/", headers: {Authorization: "Bearer $NTFY_TOKEN"}, body: {topic: ops}}
sources:
  - name: builds
    auth: {scheme: token, header: X-Token, secret: BUILDS_SECRET}
    id: id
    title: title
"""
CHALICE = """
import sys
print("Creating lambda function: tocsin-dev-tick", flush=True)
print("a line of Chalice")
print("Creating deployment package.", file=sys.stderr)
sys.exit({status})
"""


@pytest.mark.parametrize(
    ("there", "missing"),
    [
        (
            {},
            {
                "BUILDS_SECRET",
                "SLACK_BOT_TOKEN",
                "PAGERDUTY_ROUTING_KEY_PAYMENTS",
                "NTFY_TOKEN",
                "DISCORD_DEFAULT_URL",
                "WEBHOOK_BILLING_URL",
            },
        ),
        (
            {"NTFY_TOKEN": "t", "BUILDS_SECRET": "s", "SLACK_BOT_TOKEN": "x"},
            {"PAGERDUTY_ROUTING_KEY_PAYMENTS", "DISCORD_DEFAULT_URL", "WEBHOOK_BILLING_URL"},
        ),
    ],
)
def test_what_targets_and_declared_sources_lack_is_named(there: Mapping[str, str], missing: set[str]) -> None:
    """Given targets of five kinds and a declared source → each secret that is not set, with what does not work."""
    found = unset(rules_of(RULES), there)
    assert found.keys() == missing
    assert found["PAGERDUTY_ROUTING_KEY_PAYMENTS"] == "pagerduty:payments is not notified"


@pytest.mark.parametrize(
    ("missing", "targets", "commands"),
    [
        (
            ["A"],
            ["#a"],
            ["tocsin secrets set A --stage prod", "tocsin doctor --stage prod", "tocsin send-test '#a' --stage prod"],
        ),
        (
            [],
            ["#a"],
            ["tocsin doctor --stage prod", "tocsin send-test '#a' --stage prod", "tocsin secrets list --stage prod"],
        ),
        ([], [], ["tocsin doctor --stage prod", "tocsin secrets list --stage prod", "tocsin incidents --stage prod"]),
    ],
)
def test_three_commands_come_next(missing: list[str], targets: list[str], commands: list[str]) -> None:
    """Given what is missing and the targets → three commands, as a shell takes them."""
    assert next_commands("prod", missing, targets) == commands


def test_what_was_done_is_counted() -> None:
    """Given a deploy that made one thing, or none, with new code or the same → one line says so."""
    first = Deployed("a", "u", did=("made table tocsin-dev",), seconds=74.4).summary
    assert first.startswith("1 thing made or changed beside the functions; new code and settings for 9 functions")
    assert first.endswith("74 s")
    assert Deployed("a", "u", new_code=False).summary.startswith("nothing changed beside the functions; the same code")


@pytest.mark.parametrize(("stage", "status", "said"), [("dev", 0, 2), ("dev", 1, 2), ("local", 0, 0)])
def test_what_chalice_does_is_announced_while_it_runs(tmp_path: Path, stage: str, status: int, said: int) -> None:
    """Given lines of Chalice → those about what it does are passed on, but for `make run`; a failure names its last line."""
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "__init__.py").touch()
    (tmp_path / "deploy" / "chalice_cli.py").write_text(CHALICE.format(status=status))
    lines: list[str] = []
    none: Any = None
    job = Deploy(stage, none, dict(os.environ), tmp_path, say=lines.append)
    if status:
        with pytest.raises(DeployError, match="chalice deploy failed"):
            job._run_chalice("deploy")
    else:
        job._run_chalice("deploy")
    assert len(lines) == said
    if said:
        assert "… Creating lambda function: tocsin-dev-tick" in lines


@pytest.mark.acceptance
def test_the_command_ends_with_what_was_done_and_what_is_next(
    cloud: Cloud, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given a lock of a deploy that was killed elsewhere → refused with how to break it; then the end of a whole deploy."""
    for name, value in environment(cloud).items():
        monkeypatch.setenv(name, value)
    command = ["deploy", "--stage", "dev", "--project-dir", str(project)]
    assert main.main(command) == 0
    said = capsys.readouterr().out
    assert "… Creating lambda function: tocsin-dev-tick" in said and "… smoke test" in said
    assert (
        "things made or changed beside the functions; new code and settings for 9 functions; smoke test passed" in said
    )
    assert said.index("is not set") < said.index("stage dev answers at") < said.index("next:")
    assert said.splitlines()[-3].startswith("  tocsin secrets set ") and len(said.split("next:\n")[1].splitlines()) == 3
    lock = Lock(clients(cloud)("dynamodb"), "tocsin-dev", Holder("ana@elsewhere", 1))
    with lock.held():
        assert main.main(command) == 1
        assert "ana@elsewhere is deploying this stage since" in (refused := capsys.readouterr().err)
        assert "--break-lock" in refused
        assert main.main([*command, "--break-lock"]) == 0
    said = capsys.readouterr().out
    assert "took the lock from ana@elsewhere" in said and "the same code as before for 9 functions" in said
