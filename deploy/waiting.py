"""Waiting for AWS: what was made or changed a moment ago is not ready, or not known everywhere, for some seconds."""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TypeVar

from botocore.exceptions import ClientError

Found = TypeVar("Found")
GONE = (
    "NoSuchEntity",
    "NonExistentQueue",
    "NotFound",
    "NotFoundException",
    "ParameterNotFound",
    "QueueDoesNotExist",
    "ResourceNotFound",
    "ResourceNotFoundException",
)
"""Words of services for what is not there, or not any more."""


@dataclass(frozen=True, slots=True)
class Wait:
    """How to wait. `pause` waits so many seconds, `clock` gives seconds; tests pass a virtual clock."""

    pause: Callable[[float], object] = time.sleep
    clock: Callable[[], float] = time.monotonic
    every: float = 2.0

    def while_refused(self, call: Callable[[], Found], codes: Collection[str], *, seconds: float) -> Found:
        """Return what `call` returns, called again for `seconds` while AWS refuses it with one of `codes`.

        Raise the last ClientError after that, and every other error at once.
        """
        until = self.clock() + seconds
        while True:
            try:
                return call()
            except ClientError as error:
                if code_of(error) not in codes or self.clock() + self.every > until:
                    raise
            self.pause(self.every)

    def until(self, call: Callable[[], Found], done: Callable[[Found], bool], *, seconds: float) -> Found:
        """Return what `call` returns once it is `done`, or after `seconds` what it returned last."""
        until = self.clock() + seconds
        while True:
            found = call()
            if done(found) or self.clock() + self.every > until:
                return found
            self.pause(self.every)


PATIENT = Wait()
"""Waits in real time."""
AT_ONCE = Wait(lambda seconds: None, lambda: 0.0, every=float("inf"))
"""Never waits: what is not so now is not so."""


def code_of(error: ClientError) -> str:
    """Return AWS's word for why a call was refused, without the prefix of the older SQS protocol."""
    return str(error.response.get("Error", {}).get("Code", "")).rpartition(".")[2]
