"""What every probe shares: its fields in the rules file, its labels, refused addresses, and what it reports when it breaks.

A probe is a module here with `async def check(attempt: Attempt) -> None` and `validate(params) -> list[str]`. `check`
tries once and adds what it measured to the attempt (`attempt.add`, `attempt.up`). It ends in one of three ways:

- it returns: what it added was measured; a part that could not be measured is `attempt.broke(part, reason)`;
- it raises Down: what is watched did not do what was expected. That is `uptime` 0, with the reason as evidence;
- it raises UnmeasuredError, RulesError or TargetRejectedError: the probe cannot know. That is an event, and no `uptime`.

It opens connections by `attempt.connect` or registers their end with `attempt.ends_with`, so that they are closed
whatever happens. It reads no clock but for durations, and sets no time limit of its own: the engine
(`chalicelib/schedule/probing.py`) ends it at `attempt.limit`, which is `timeout` of the rules file or TIMEOUT of the
module, wherever it waits. That is Down, or for a module with LATE_IS_DOWN = False UnmeasuredError. The engine does the second try;
`chalicelib/schedule/watch.py` counts failures in a row and reports probes that break.

A probe whose library can only block has `def check(params, clients, *, now) -> list[Sample | Event]` instead, which
runs in a thread and ends its waits itself.

Fields of every probe: `name` (required), `service` (else the name), `labels`, `every`, `timeout`, `self_check` (an address
that answers as long as we reach the network: where it fails too, the prober is cut off).
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from chalicelib.core.language.durations import duration_of
from chalicelib.core.payload.retirement import KIND as RETIRING
from chalicelib.probes._attempt import Attempt, Connection, Progress, time_words, unwatched
from chalicelib.probes._common import (
    ABSENT,
    FAILED,
    RETRY_AFTER,
    identity_of,
    labels_of,
    name_of,
    probe_failed,
    probe_recovered,
    probe_retiring,
    secret,
)
from chalicelib.probes._errors import Down, UnmeasuredError
from chalicelib.probes._names import Names, RefusedAddressError, in_thread, look_up, ordered, refusal
from chalicelib.probes._upstream import upstream_of

__all__ = [
    "ABSENT",
    "FAILED",
    "RETIRING",
    "RETRY_AFTER",
    "Attempt",
    "Connection",
    "Down",
    "Names",
    "Progress",
    "RefusedAddressError",
    "UnmeasuredError",
    "identity_of",
    "in_thread",
    "labels_of",
    "name_of",
    "probe_failed",
    "probe_recovered",
    "probe_retiring",
    "refusal",
    "secret",
    "time_words",
    "unwatched",
    "upstream_of",
]

COMMON_FIELDS = frozenset({"name", "service", "labels", "every", "timeout", "self_check"})
MAX_TIMEOUT = timedelta(seconds=20)
"""All probes of a minute, and the second tries, must fit into one run of the watch."""


def duration(value: object) -> timedelta:
    """Return a duration as the rules file writes it; a bare number is seconds. Raise ValueError with what is allowed."""
    return value if isinstance(value, timedelta) else duration_of(value)


def every(params: Mapping[str, Any]) -> timedelta:
    """Return how often the probe runs: each minute unless the file says otherwise; a bare number is minutes."""
    value = params.get("every", 1)
    return duration(value * 60 if isinstance(value, int | float) else value)


def time_limit(params: Mapping[str, Any], default: timedelta) -> timedelta:
    """Return the probe's own time limit, never above MAX_TIMEOUT."""
    return min(duration(params.get("timeout", default)), MAX_TIMEOUT)


def addresses(host: str, port: int) -> list[str]:
    """Return the IP addresses of a host, IPv4 first. RulesError when any of them is refused; OSError when there are none."""
    try:
        return ordered(look_up(host, port))
    except UnicodeError:
        raise OSError("the host name is not valid") from None


def common_mistakes(params: Mapping[str, Any], *, required: Sequence[str], allowed: Iterable[str]) -> list[str]:
    """Return the mistakes in words that any probe can have: missing and unknown fields, wrong durations and labels."""
    known = COMMON_FIELDS | set(allowed) | set(required)
    found = [f"{field} is missing" for field in ("name", *required) if params.get(field) in (None, "")]
    found += [f"{field} is unknown; allowed are {', '.join(sorted(known))}" for field in params if field not in known]
    found += [mistake for field in ("timeout", "every") if (mistake := _duration_mistake(params, field))]
    if not isinstance(params.get("self_check", False), bool):
        found.append("self_check must be true or false")
    if not isinstance(params.get("labels") or {}, Mapping):
        found.append("labels must be a mapping of label to value")
    return found


def _duration_mistake(params: Mapping[str, Any], field: str) -> str:
    if field not in params:
        return ""
    try:
        found = every(params) if field == "every" else duration(params[field])
    except ValueError as error:
        return f"{field} {error}"
    if field == "every" and (found < timedelta(minutes=1) or found % timedelta(minutes=1)):
        return "every must be whole minutes, at least 1m: the schedule runs once a minute"
    if field == "timeout" and not timedelta(0) < found <= MAX_TIMEOUT:
        return f"timeout must be over 0s and at most {MAX_TIMEOUT.seconds}s"
    return ""
