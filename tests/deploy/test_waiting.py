"""Waiting for AWS: how long, for what, and for what not."""

import pytest
from botocore.exceptions import ClientError

from deploy.waiting import code_of
from tests.deploy.virtual import Time, refused


@pytest.mark.parametrize(
    ("code", "word"),
    [
        ("ResourceInUseException", "ResourceInUseException"),
        ("AWS.SimpleQueueService.NonExistentQueue", "NonExistentQueue"),
        ("", ""),
    ],
)
def test_a_code_is_read_without_the_prefix_of_an_older_protocol(code: str, word: str) -> None:
    """Given an error of AWS, when its code is read → AWS's word alone."""
    assert code_of(refused(code)) == word


def test_a_call_is_repeated_while_it_is_refused_with_that_code() -> None:
    """Given a call that is refused three times, when it is waited for → its answer, after three pauses."""
    time, codes = Time(), ["Busy"] * 3

    def call() -> str:
        if codes:
            raise refused(codes.pop())
        return "done"

    assert time.wait.while_refused(call, ("Busy",), seconds=10) == "done"
    assert time.pauses == [2.0, 2.0, 2.0]


@pytest.mark.parametrize(("code", "pauses"), [("Busy", 5), ("AccessDenied", 0)])
def test_waiting_ends(code: str, pauses: int) -> None:
    """Given a call that is always refused → the refusal is raised in time, at once where it is another one."""
    time = Time()

    def call() -> None:
        raise refused(code)

    with pytest.raises(ClientError, match=code):
        time.wait.while_refused(call, ("Busy",), seconds=10)
    assert len(time.pauses) == pauses


@pytest.mark.parametrize(("states", "found"), [("ccE", "E"), ("c" * 99, "c")])
def test_a_state_is_waited_for(states: str, found: str) -> None:
    """Given something that settles, or never does → its state when it has, or when the time is up."""
    time, left = Time(), list(states)
    assert time.wait.until(lambda: left.pop(0), lambda state: state == "E", seconds=20) == found
    assert time.now <= 20
