"""Stored bodies of large webhooks: dropped when their webhook is done, kept for redrive, never in the way of a batch."""

import json
from datetime import UTC, datetime

import pytest

from chalicelib.core.errors import NotStoredError
from chalicelib.messages.queue import Message, body_name_of, wake_message
from chalicelib.messages.webhook import Webhook, compressed, written
from chalicelib.process.bodies import release_bodies
from simulation.memory_store import MemoryStore

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


class Noting(MemoryStore):
    """A store that notes what is dropped and extended, and refuses both when told to."""

    def __init__(self, error=None):
        super().__init__()
        self.error, self.calls = error, []

    def _called(self, act, name):
        self.calls.append((act, name))
        if self.error:
            raise self.error

    def drop_body(self, name):
        """Note it."""
        self._called("drop", name)

    def extend_body(self, name):
        """Note it."""
        self._called("extend", name)


def message(body, name="m1"):
    """A message of a batch."""
    return Message(name, body, f"r-{name}")


def large(name, **headers):
    """The message of a webhook whose body is stored."""
    return written(Webhook("d1", "cloudflare", b"", NOW, headers, body_ref=name), b"")


SMALL = written(Webhook("d1", "cloudflare", b"{}", NOW, {"x-id": '"body_ref":"theirs"'}), compressed(b"{}"))
OTHERS = [
    SMALL,
    wake_message('"body_ref":'),
    "garbage",
    '{"body_ref":',
    '{"v":1,"type":"wake","key":"k","body_ref":"x"}',
]


def test_only_a_webhook_with_a_stored_body_names_one():
    """Headers, other messages and garbage that hold the same word name none."""
    assert body_name_of(large("cloudflare-1")) == "cloudflare-1"
    assert [body_name_of(each) for each in OTHERS] == [""] * len(OTHERS)


def test_bodies_of_messages_that_are_done_are_dropped_and_those_of_dead_letters_kept_on():
    """Messages without a stored body cost no call."""
    store = Noting()
    done = [message(large("a")), *map(message, OTHERS), message(large("b"))]
    release_bodies(store, done=done, dead_lettered=[message(large("c")), message(SMALL)])
    assert store.calls == [("drop", "a"), ("drop", "b"), ("extend", "c")]


@pytest.mark.parametrize("error", [NotStoredError("the table is away"), KeyError("s3cret")], ids=["refused", "a fault"])
def test_a_body_that_cannot_be_dropped_fails_no_batch(error, capsys):
    """Each failure is one line of the log without the text of a foreign error, and the others are still tried."""
    store = Noting(error)
    release_bodies(store, done=[message(large("a")), message(large("b"))], dead_lettered=[message(large("c"))])
    assert [name for _, name in store.calls] == ["a", "b", "c"]
    logged = capsys.readouterr().out
    assert [json.loads(line)["kept"] for line in logged.splitlines()] == ["a", "b", "c"]
    assert "s3cret" not in logged
