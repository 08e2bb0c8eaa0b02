"""Optimistic updates: load an item, change it, save it under its version; again when somebody else saved first."""

from collections.abc import Callable
from typing import TypeVar

from chalicelib.core.errors import ConflictError

Item = TypeVar("Item")
Result = TypeVar("Result")

MAX_TRIES = 5


def updated(what: str, load: Callable[[], Item], save: Callable[[Item], Result], *, tries: int = MAX_TRIES) -> Result:
    """Return what `save` returns of the item that `load` returned, at the first try that meets no conflict.

    `save` changes and saves the item; it raises ConflictError when a newer version is stored. After `tries` conflicts
    this raises ConflictError, which names `what` it is (`the context`): the message that asked for it comes back.
    """
    for _ in range(tries):
        try:
            return save(load())
        except ConflictError:
            continue
    raise ConflictError(f"{what} was saved by others {tries} times in a row")


def known_first(known: Item, load: Callable[[], Item]) -> Callable[[], Item]:
    """Return a `load` whose first call returns an item that was loaded before, so that it costs no read."""
    waiting = [known]
    return lambda: waiting.pop() if waiting else load()
