"""Stored bodies of large webhooks, after their batch is settled: dropped when processed, kept on when dead-lettered.

A body is personal data in clear, so it goes as soon as nothing needs it. It goes last: a message that comes back after
its body was dropped finds the mark in its place and is done. What cannot be dropped expires by itself.
"""

from collections.abc import Callable, Iterable

from chalicelib import log
from chalicelib.core.ports import Store
from chalicelib.messages.queue import Message, body_name_of


def release_bodies(store: Store, *, done: Iterable[Message], dead_lettered: Iterable[Message]) -> None:
    """Drop the bodies of the messages that are done and keep those of dead letters for redrive. Raise nothing."""
    for message in done:
        _released(store.drop_body, message)
    for message in dead_lettered:
        _released(store.extend_body, message)


def _released(act: Callable[[str], None], message: Message) -> None:
    name = body_name_of(message.body)
    if not name:
        return
    try:
        act(name)
    except Exception as error:  # the batch is settled: nothing here may bring it back
        log.line("body", kept=name, **log.failure(error))
