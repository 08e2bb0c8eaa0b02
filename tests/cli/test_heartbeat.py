"""`tocsin heartbeat`: the addresses that jobs call, and new ones."""

import argparse
import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from chalicelib.ingest.heartbeats import receive_beat, token_of
from chalicelib.rules.file import load
from cli.heartbeat import finish, list_heartbeats, rotate
from cli.secrets import CHANGES
from cli.stage import StageError
from deploy.known_names import known_names
from tests.project import ROOT

RULES = """
alerts: []
default: {notification: [{slack_channel: "#ops"}]}
probes:
  heartbeat:
    - {name: nightly, every: 1d, grace: 1h}
    - {name: a b, cron: "0 10 * * *", timezone: Europe/Riga}
"""
KEPT = json.dumps({"fingerprint": "x", "http_api": "abc"})


class Ssm:
    """A Parameter Store in memory."""

    def __init__(self, values: dict[str, str]) -> None:
        self.values = values

    def get_parameters(self, Names: list[str], WithDecryption: bool) -> dict[str, Any]:
        """Return what is there."""
        assert WithDecryption
        return {"Parameters": [{"Name": name, "Value": self.values[name]} for name in Names if name in self.values]}

    def put_parameter(self, Name: str, Value: str, Type: str, Overwrite: bool) -> None:
        """Store one."""
        assert Type == "SecureString" and Overwrite
        self.values[Name] = Value


def stage(values: dict[str, str], rules: str = RULES) -> Any:
    """A stage with this Parameter Store."""
    settings = SimpleNamespace(stage="prod", parameters="/tocsin/prod/", region="eu-west-1")
    return SimpleNamespace(settings=settings, rules=load(rules), aws=lambda service: Ssm(values))


def test_each_heartbeat_has_its_address(capsys: pytest.CaptureFixture[str]) -> None:
    """Given a deployed stage → every heartbeat with its schedule and its whole address, encoded."""
    assert (
        list_heartbeats(stage({"/tocsin-deployed/prod": KEPT, "/tocsin/prod/HEARTBEAT_SECRET": "s"}), as_json=True) == 0
    )
    nightly, other = json.loads(capsys.readouterr().out)
    base = "https://abc.execute-api.eu-west-1.amazonaws.com/heartbeats"
    assert nightly == {
        "heartbeat": "nightly", "expected": "every 1d", "grace": "1h", "address": f"{base}/nightly/{token_of('s', 'nightly')}"
    }  # fmt: skip
    assert (other["expected"], other["address"]) == ("0 10 * * * Europe/Riga", f"{base}/a%20b/{token_of('s', 'a b')}")


def test_while_a_secret_is_rotated_the_first_counts(capsys: pytest.CaptureFixture[str]) -> None:
    """Given two live values → the addresses of the first, and a line that says so."""
    list_heartbeats(stage({"/tocsin-deployed/prod": KEPT, "/tocsin/prod/HEARTBEAT_SECRET": "new, old"}))
    found = capsys.readouterr()
    assert token_of("new", "nightly") in found.out
    assert "2 values of HEARTBEAT_SECRET are live" in found.err


def test_without_a_secret_or_heartbeats_it_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    """Given no secret → the deploy makes it; given no heartbeat → the file has none."""
    with pytest.raises(StageError, match="`tocsin deploy --stage prod` makes it"):
        list_heartbeats(stage({"/tocsin-deployed/prod": KEPT}))
    assert list_heartbeats(stage({}, RULES.partition("probes:")[0])) == 0
    assert "has no heartbeat" in capsys.readouterr().out


def pings(values: dict[str, str], token: str) -> int:
    """The status that the door answers to a signal with a token."""
    live = [each.strip() for each in values["/tocsin/prod/HEARTBEAT_SECRET"].split(",")]
    secrets = SimpleNamespace(values=lambda names: live, renewed=lambda names: live)
    now = datetime(2026, 11, 30, tzinfo=UTC)
    put: list[str] = []
    return receive_beat(
        "nightly", token, "", "", b"", names=["nightly"], secrets=secrets, put=put.extend, now=now
    ).status


def test_a_rotation_leaves_old_addresses_working_until_it_is_finished(capsys: pytest.CaptureFixture[str]) -> None:
    """Given a rotation → both addresses work, `list` prints the new one; finished → the old one is refused."""
    values = {"/tocsin-deployed/prod": KEPT, "/tocsin/prod/HEARTBEAT_SECRET": "old"}
    assert "tocsin heartbeat finish --stage prod" in rotate(stage(values))
    new, old = values["/tocsin/prod/HEARTBEAT_SECRET"].split(",")
    assert old == "old" and len(new) == 64
    assert [pings(values, token_of(each, "nightly")) for each in (new, old, "guess")] == [200, 200, 404]
    list_heartbeats(stage(values))
    assert token_of(new, "nightly") in capsys.readouterr().out
    with pytest.raises(StageError, match="finish that rotation first"):
        rotate(stage(values))
    assert "newest value alone" in finish(stage(values))
    assert [pings(values, token_of(each, "nightly")) for each in (new, old)] == [200, 404]
    assert "nothing to finish" in finish(stage(values))
    with pytest.raises(StageError, match="is not set"):
        rotate(stage({}))


def test_secrets_rotate_does_the_same() -> None:
    """Given `tocsin secrets rotate HEARTBEAT_SECRET` → a value is made as by `tocsin heartbeat rotate`, and nobody is asked."""
    values = {"/tocsin/prod/HEARTBEAT_SECRET": "old"}
    known = known_names(load(RULES), ROOT)

    def change(*, finish: bool = False) -> str:
        asked = argparse.Namespace(finish=finish)
        return CHANGES["rotate"](stage(values), "HEARTBEAT_SECRET", {"HEARTBEAT_SECRET": "old"}, known, asked)

    assert "tocsin heartbeat finish --stage prod" in change()
    new, old = values["/tocsin/prod/HEARTBEAT_SECRET"].split(",")
    assert old == "old" and len(new) == 64
    with pytest.raises(StageError, match="finish that rotation first"):
        change()
    assert "newest value alone" in change(finish=True)
    assert values == {"/tocsin/prod/HEARTBEAT_SECRET": new}
