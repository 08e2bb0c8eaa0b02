"""`tocsin heartbeat list`: the addresses that jobs call."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from chalicelib.ingest.heartbeats import token_of
from chalicelib.rules.file import load
from cli.heartbeat import list_heartbeats
from cli.stage import StageError

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
