"""Secrets from SSM Parameter Store, read when needed and kept for five minutes, so that they rotate without a deploy.

A secret is the SecureString `<prefix><NAME>` (`/tocsin/prod/SENTRY_CLIENT_SECRET`); an environment variable of the
same name wins. Several values separated by commas are all live: put the new one beside the old one, change the sender,
take the old one away. When SSM cannot be reached, values in hand go on being used; without any, NotStoredError.
GetParameters takes 10 names and allows 40 calls a second for an account.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence

from chalicelib.aws.json_client import AwsError, AwsJsonClient

KEPT_SECONDS = 300.0
RENEWED_AFTER_SECONDS = 15.0
"""A signature that does not fit asks again at most this often, so that guessing does not become SSM traffic."""
MAX_NAMES = 10


class Secrets:
    """Values by name. Prints as `<secret>`."""

    def __init__(
        self,
        lean: AwsJsonClient,
        prefix: str,
        *,
        environment: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lean = lean
        self._prefix = prefix if prefix.endswith("/") else prefix + "/"
        self._environment = environment
        self._clock = clock
        self._kept: dict[str, tuple[float, str | None]] = {}

    def __repr__(self) -> str:
        return "<secret>"

    def get(self, name: str) -> str | None:
        """The value as it is stored, or None when it is not set."""
        return self._values((name,), KEPT_SECONDS)[name]

    def values(self, names: Sequence[str]) -> list[str]:
        """All live values of those names, rotation included."""
        return _live(self._values(names, KEPT_SECONDS))

    def renewed(self, names: Sequence[str]) -> list[str]:
        """As `values`, but not older than 15 seconds: for a signature that did not fit, right after a rotation."""
        return _live(self._values(names, RENEWED_AFTER_SECONDS))

    def _values(self, names: Sequence[str], max_age_seconds: float) -> dict[str, str | None]:
        found: dict[str, str | None] = {name: self._environment[name] for name in names if self._environment.get(name)}
        asked = [name for name in names if name not in found]
        oldest = self._clock() - max_age_seconds
        stale = [name for name in asked if name not in self._kept or self._kept[name][0] < oldest]
        if stale:
            self._read(stale)
        return {**found, **{name: self._kept[name][1] for name in asked}}

    def _read(self, names: Sequence[str]) -> None:
        for start in range(0, len(names), MAX_NAMES):
            some = names[start : start + MAX_NAMES]
            try:
                answered = self._parameters(some)
            except AwsError:
                if any(name not in self._kept for name in some):
                    raise
                self._kept.update({name: (self._rested(), self._kept[name][1]) for name in some})
                continue
            now = self._clock()
            self._kept.update({name: (now, answered.get(self._prefix + name)) for name in some})

    def _rested(self) -> float:
        """An age at which values in hand do for a while: not every webhook is to wait for an SSM that is away."""
        return self._clock() - KEPT_SECONDS + RENEWED_AFTER_SECONDS

    def _parameters(self, names: Sequence[str]) -> dict[str, str]:
        paths = [self._prefix + name for name in names]
        answer = self._lean.call("ssm", "GetParameters", {"Names": paths, "WithDecryption": True})
        return {str(each["Name"]): str(each["Value"]) for each in answer.get("Parameters", [])}


def _live(found: Mapping[str, str | None]) -> list[str]:
    values = [value.strip() for text in found.values() if text for value in text.split(",")]
    return [value for value in values if value]
