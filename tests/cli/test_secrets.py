"""`tocsin secrets`: the secrets of a stage in the Parameter Store, and what a deploy says of names that nothing reads."""

import argparse
import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chalicelib.rules.file import load
from cli import secrets
from cli.deploy import given_values
from cli.secrets import SecretsError, checked_name, new_value, show
from deploy.errors import DeployError
from deploy.known_names import KnownNames, known_names, unknown
from tests.project import ROOT

RULES = load(
    """
alerts: [{name: A, notification: [{slack_channel: "#ops"}, {pagerduty: team-database}]}]
sources: [{name: builds, auth: bearer, id: run, title: message}]
"""
)
KNOWN = known_names(RULES, ROOT)


class Ssm:
    """A Parameter Store in memory."""

    exceptions = SimpleNamespace(ParameterNotFound=KeyError)

    def __init__(self, **values: str) -> None:
        self.values = {f"/tocsin/prod/{name}": value for name, value in values.items()}

    def put_parameter(self, Name: str, Value: str, Type: str, Overwrite: bool) -> None:
        """Keep a value."""
        assert (Type, Overwrite) == ("SecureString", True)
        self.values[Name] = Value

    def delete_parameter(self, Name: str) -> None:
        """Take one away."""
        del self.values[Name]

    @property
    def there(self) -> dict[str, str]:
        """The values by name."""
        return {name.rpartition("/")[2]: value for name, value in self.values.items()}


class Typed(io.StringIO):
    """Standard input with a value in it."""

    def __init__(self, text: str, *, tty: bool = False) -> None:
        super().__init__(text)
        self._tty = tty

    def isatty(self) -> bool:
        """Return whether a person types."""
        return self._tty


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Set what standard input holds."""
    return lambda text: monkeypatch.setattr("sys.stdin", Typed(text))


def asked(**options: Any) -> argparse.Namespace:
    """What the command line asks for."""
    return argparse.Namespace(**{"finish": False, **options})


def change(what: str, name: str, ssm: Ssm, **options: Any) -> str:
    """Do one change; the line that says so."""
    stage = SimpleNamespace(settings=SimpleNamespace(stage="prod"), aws=lambda service: ssm)
    return secrets.CHANGES[what](stage, name, ssm.there, KNOWN, asked(**options))


def test_a_value_comes_from_standard_input(typed: Any) -> None:
    """Given a value on standard input → it is stored without its line end, and the line shows no value."""
    ssm = Ssm()
    typed("xoxb-hidden\n")
    said = change("set", "SLACK_BOT_TOKEN", ssm)
    assert ssm.there == {"SLACK_BOT_TOKEN": "xoxb-hidden"}
    assert "hidden" not in said


def test_a_value_comes_from_a_prompt_that_shows_nothing() -> None:
    """Given a terminal → the value is asked for by name at a prompt."""
    prompts: list[str] = []

    def prompt(text: str) -> str:
        prompts.append(text)
        return " typed "

    assert new_value("API_TOKEN", Typed("", tty=True), prompt) == "typed"
    assert prompts == ["API_TOKEN: "]


@pytest.mark.parametrize(("text", "what"), [(" \n", "the value is empty"), ("x" * 4_097, "4097 bytes")])
def test_no_value_and_one_that_is_too_long_are_refused(text: str, what: str) -> None:
    """Given an empty or too long value → an error that does not show it."""
    with pytest.raises(SecretsError, match=what) as caught:
        new_value("API_TOKEN", Typed(text))
    assert "xxxx" not in str(caught.value)


def test_a_rotation_keeps_both_values_until_it_is_finished(typed: Any) -> None:
    """Given a secret of a sender → the new value stands before the old one, a second rotation waits, the end keeps the new."""
    ssm = Ssm(SENTRY_CLIENT_SECRET="old")
    typed("new\n")
    assert "two live values" in change("rotate", "SENTRY_CLIENT_SECRET", ssm)
    assert ssm.there["SENTRY_CLIENT_SECRET"] == "new,old"
    with pytest.raises(SecretsError, match="2 live values; end that rotation first"):
        change("rotate", "SENTRY_CLIENT_SECRET", ssm)
    change("rotate", "SENTRY_CLIENT_SECRET", ssm, finish=True)
    assert ssm.there["SENTRY_CLIENT_SECRET"] == "new"


@pytest.mark.parametrize(
    ("name", "what"),
    [("SLACK_BOT_TOKEN", "one value at a time"), ("BUILDS_SECRET", "is not set; begin with")],
)
def test_only_what_several_may_know_is_rotated(name: str, what: str) -> None:
    """Given a token of a target, or a secret that is not set → it is not rotated."""
    with pytest.raises(SecretsError, match=what):
        change("rotate", name, Ssm(SLACK_BOT_TOKEN="a"))


def test_a_secret_is_removed() -> None:
    """Given a secret → it is gone, and the line says that the rules file still reads it; a second time is an error."""
    ssm = Ssm(SLACK_BOT_TOKEN="a")
    assert change("unset", "SLACK_BOT_TOKEN", ssm) == "SLACK_BOT_TOKEN is removed; the rules file still reads it"
    assert ssm.there == {}
    with pytest.raises(SecretsError, match="is not set"):
        change("unset", "SLACK_BOT_TOKEN", ssm)


def test_the_list_shows_states_and_no_values(capsys: pytest.CaptureFixture[str]) -> None:
    """Given set, rotating, misspelt and missing names → each with its state; a source without its secret makes it 1."""
    there = {"SLACK_BOT_TOKEN": "hidden", "SENTRY_CLIENT_SECRET": "hidden,too", "SLAK_BOT_TOKEN": "hidden"}
    assert show(KNOWN, there, as_json=True) == 1
    printed = capsys.readouterr().out
    states = {each["name"]: each["state"] for each in json.loads(printed)}
    assert "hidden" not in printed
    assert states["SLACK_BOT_TOKEN"] == "set"
    assert states["SENTRY_CLIENT_SECRET"] == "2 live values"
    assert states["SLAK_BOT_TOKEN"] == "set, and nothing reads it: did you mean SLACK_BOT_TOKEN"
    assert states["BUILDS_SECRET"] == states["PAGERDUTY_ROUTING_KEY_TEAM_DATABASE"] == "not set"
    assert show(KNOWN, {"BUILDS_SECRET": "a"}) == 0


@pytest.mark.parametrize(
    "name", ["WEBHOOK_BILLING_URL", "PAGERDUTY_ROUTING_KEY_ANY", "REDACT_PATTERNS", "BUILDS_SECRET"]
)
def test_names_of_a_family_are_known(name: str) -> None:
    """Given a name of its own for a key or an address → it is known."""
    assert checked_name(name, "set", KNOWN, {}) == name


@pytest.mark.parametrize(
    ("name", "what"),
    [("SLACK_BOT_TOKN", "did you mean SLACK_BOT_TOKEN"), ("", "which one"), ("sentry_client_secret", "SENTRY_CLIENT")],
)
def test_a_name_that_nothing_reads_is_refused(name: str, what: str) -> None:
    """Given a misspelt name → an error with the nearest right one; one that is there can be removed all the same."""
    with pytest.raises(SecretsError, match=what):
        checked_name(name, "set", KNOWN, {})
    assert checked_name("OLD_NAME", "unset", KNOWN, {"OLD_NAME": "a"}) == "OLD_NAME"


def test_a_parameters_file_must_be_there_with_known_names(tmp_path: Path) -> None:
    """Given a file of a deploy → a missing one and an unknown name are errors that show no value; a right one is read."""
    file = tmp_path / "prod.env"
    with pytest.raises(DeployError, match="there is no such file"):
        given_values(file, ROOT)
    file.write_text("SLACK_BOT_TOKN=hidden\nAPI_TOKEN=hidden\n", "utf-8")
    with pytest.raises(DeployError, match="nothing reads SLACK_BOT_TOKN; did you mean SLACK_BOT_TOKEN") as caught:
        given_values(file, ROOT)
    assert "hidden" not in str(caught.value)
    file.write_text("API_TOKEN=hidden\n", "utf-8")
    assert given_values(file, ROOT) == {"API_TOKEN": "hidden"}


def test_whatever_the_example_names_is_known() -> None:
    """Given the names of `.env.example` → none is unknown."""
    assert unknown(dict.fromkeys(KNOWN.names, ""), KNOWN) == []
    assert isinstance(KNOWN, KnownNames) and KNOWN.declared == ("BUILDS_SECRET",)
