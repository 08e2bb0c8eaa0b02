"""Further invocations of a function: what they are asked and answer, and what counts as none."""

import io
import json
from typing import Any

import pytest
from chalice.app import CloudWatchEvent

from chalicelib.aws.workers import Workers
from chalicelib.core.errors import TargetUnavailableError

FUNCTION = "arn:aws:lambda:eu-west-1:123456789012:function:tocsin-dev-watch"


class Lambda:
    """A client of Lambda whose function answers this."""

    def __init__(self, answer: object, **more: str) -> None:
        self._answer = {"Payload": io.BytesIO(json.dumps(answer).encode()), **more}
        self.asked: dict[str, Any] = {}

    def invoke(self, **asked: Any) -> dict[str, Any]:
        """Answer one invocation."""
        self.asked = asked
        return self._answer


def test_a_worker_is_asked_as_by_the_schedule() -> None:
    """Given details → the function is invoked for its answer, with an event that its handler reads."""
    client = Lambda("an answer")
    assert Workers(client, FUNCTION).ask({"probes": ["a"]}) == "an answer"
    assert set(client.asked) == {"FunctionName", "Payload"} and client.asked["FunctionName"] == FUNCTION
    assert CloudWatchEvent(json.loads(client.asked["Payload"]), None).detail == {"probes": ["a"]}


def test_a_worker_that_fails_answers_nothing() -> None:
    """Given a function that ran out of memory → an error without its words, which may be those of a payload."""
    client = Lambda({"errorMessage": "secret"}, FunctionError="Unhandled")
    with pytest.raises(TargetUnavailableError, match=r"^the worker failed \(Unhandled\)$"):
        Workers(client, FUNCTION).ask({})
