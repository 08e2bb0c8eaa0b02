"""Secrets from SSM Parameter Store, read when needed and kept for five minutes, so that they rotate without a deploy.

A secret is the SecureString `<prefix><NAME>` (`/tocsin/prod/SENTRY_CLIENT_SECRET`); an environment variable of the
same name wins. Several values separated by commas are all live: put the new one beside the old one, change the sender,
take the old one away.

GetParameters takes 10 names, and an account has 40 calls a second for all that it runs. So a call that is made for one
name is filled up with others that will be needed: a fresh environment makes one call, two with more than 10 names. It
is refused as a whole when the function may not read one of them: then the names that are needed now are asked for
alone. A call that fails is tried once more. While SSM is away, values in hand go on being used; without any,
NotStoredError.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence

from chalicelib.aws.json_client import AwsError, AwsJsonClient

KEPT_SECONDS = 300.0
RENEWED_AFTER_SECONDS = 15.0
"""A signature that does not fit asks again at most this often, so that guessing does not become SSM traffic."""
AWAY_SECONDS = 15.0
"""So long after a call that failed twice, values in hand are used without a call."""
MAX_NAMES = 10
FAST_FAILURE_SECONDS = 0.2
"""Only a call that failed as fast as this is tried again: after a longer wait the sender of a webhook would be gone."""
FIRST_PAUSE_SECONDS, MORE_PAUSE_SECONDS = 0.05, 0.1
REFUSALS = frozenset({"AccessDeniedException", "ValidationException", "InvalidKeyId"})
"""These say that a name may not be read, or is none: the same call will not end otherwise."""


def _no_others() -> Sequence[str]:
    return ()


def _at_once(seconds: float) -> None:
    """Wait for nothing."""


class Secrets:
    """Values by name. Prints as `<secret>`.

    `others` gives the names that are read along, those needed first at the front. `pause` waits so many seconds before
    a second try; wiring gives the real one.
    """

    def __init__(
        self,
        client: AwsJsonClient,
        prefix: str,
        *,
        others: Callable[[], Sequence[str]] = _no_others,
        environment: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = _at_once,
    ) -> None:
        self._client = client
        self._prefix = prefix if prefix.endswith("/") else prefix + "/"
        self._others = others
        self._environment = environment
        self._clock = clock
        self._pause = pause
        self._kept: dict[str, tuple[float, str | None]] = {}
        self._away_until = self._alone_until = float("-inf")

    def __repr__(self) -> str:
        return "<secret>"

    def get(self, name: str) -> str | None:
        """Return the value as it is stored, or None when it is not set."""
        return self._values((name,), KEPT_SECONDS)[name]

    def values(self, names: Sequence[str]) -> list[str]:
        """Return all live values of those names, rotation included."""
        return _live(self._values(names, KEPT_SECONDS))

    def renewed(self, names: Sequence[str]) -> list[str]:
        """Return the values, not older than 15 seconds: for a signature that did not fit, right after a rotation."""
        return _live(self._values(names, RENEWED_AFTER_SECONDS))

    def _values(self, names: Sequence[str], max_age_seconds: float) -> dict[str, str | None]:
        found: dict[str, str | None] = {name: self._environment[name] for name in names if self._environment.get(name)}
        asked = [name for name in names if name not in found]
        stale = [name for name in asked if not self._is_fresh(name, max_age_seconds)]
        for start in range(0, len(stale), MAX_NAMES):
            self._read(stale[start : start + MAX_NAMES])
        return {**found, **{name: self._kept[name][1] for name in asked}}

    def _is_fresh(self, name: str, max_age_seconds: float) -> bool:
        return name in self._kept and self._kept[name][0] >= self._clock() - max_age_seconds

    def _read(self, names: Sequence[str]) -> None:
        """Read these names, at most ten. Where that fails, values in hand do for a while; without them AwsError."""
        in_hand = all(name in self._kept for name in names)
        if in_hand and self._clock() < self._away_until:
            return
        try:
            self._read_along(names)
        except AwsError:
            self._away_until = self._clock() + AWAY_SECONDS
            if not in_hand:
                raise

    def _read_along(self, names: Sequence[str]) -> None:
        others = self._stale_others(names)
        if others:
            try:
                self._keep([*names, *others])
                return
            except AwsError as error:
                if error.code not in REFUSALS:
                    raise
                self._alone_until = self._clock() + KEPT_SECONDS
        self._keep(names)

    def _stale_others(self, names: Sequence[str]) -> list[str]:
        """Return what else belongs into the call: what stands behind these names, then what stands before them."""
        room = MAX_NAMES - len(names)
        if not room or self._clock() < self._alone_until:
            return []
        known = list(dict.fromkeys((*self._others(), *self._kept)))
        place = known.index(names[-1]) if names[-1] in known else 0
        wanted = (
            each for each in known[place:] + known[:place] if each not in names and not self._environment.get(each)
        )
        return [name for name in wanted if not self._is_fresh(name, KEPT_SECONDS)][:room]

    def _keep(self, names: Sequence[str]) -> None:
        answered = self._answered(names)
        now = self._clock()
        self._kept.update({name: (now, answered.get(self._prefix + name)) for name in names})

    def _answered(self, names: Sequence[str]) -> dict[str, str]:
        began = self._clock()
        try:
            return self._parameters(names)
        except AwsError as error:
            if error.code in REFUSALS or self._clock() - began > FAST_FAILURE_SECONDS:
                raise
        self._pause(FIRST_PAUSE_SECONDS + MORE_PAUSE_SECONDS * os.urandom(1)[0] / 255)
        return self._parameters(names)

    def _parameters(self, names: Sequence[str]) -> dict[str, str]:
        paths = [self._prefix + name for name in names]
        answer = self._client.call("ssm", "GetParameters", {"Names": paths, "WithDecryption": True})
        return {str(each["Name"]): str(each["Value"]) for each in answer.get("Parameters", [])}


def _live(found: Mapping[str, str | None]) -> list[str]:
    values = [value.strip() for text in found.values() if text for value in text.split(",")]
    return [value for value in values if value]
