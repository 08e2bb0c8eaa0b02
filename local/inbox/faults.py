"""Scripted failures: what the stand-ins answer next. Errors, rate limits, half-successes, silence.

A script names a service, an operation (`*` for any), what the request must hold (dotted names to values) and a list of
answers, played one for each request that fits. After the last one the stand-in answers by itself again, or, with
`stay`, the last one stays.

    {"status": 429, "retry_after": 30}        the vendor's form of that status
    {"error": "channel_not_found"}            the vendor's form of that error code
    {"error": "fatal_error", "after_accept": true}      an error although it was taken
    {"timeout": true}                         no answer, nothing taken
    {"timeout_after_accept": true}            no answer, but taken
    {"disconnect": true}                      hangs up, nothing taken; with after_accept it was taken
    {"delay_seconds": 2}                      the ordinary answer, later
    {"status": 200, "body": …, "headers": {…}}          exactly this
    {}                                        the ordinary answer
"""

from dataclasses import dataclass, field
from typing import Any

from local.inbox.exchange import Json

NAMES = frozenset(
    {
        "after_accept",
        "body",
        "delay_seconds",
        "disconnect",
        "error",
        "headers",
        "retry_after",
        "status",
        "timeout",
        "timeout_after_accept",
    }
)


class FaultError(ValueError):
    """A script that cannot be read; the text says what is allowed."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One scripted answer: a failure, a delay, or exactly this body. Empty, it is the ordinary answer."""

    status: int | None = None
    error: str = ""
    retry_after: float | None = None
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    delay_seconds: float = 0
    timeout: bool = False
    disconnect: bool = False
    after_accept: bool = False

    @property
    def is_ordinary(self) -> bool:
        """Return whether the stand-in answers by itself."""
        says_nothing = self.status is None and not self.error and self.body is None
        return says_nothing and not self.timeout and not self.disconnect

    @property
    def is_taken(self) -> bool:
        """Return whether the request does what it asks for, whatever is answered."""
        return self.is_ordinary or self.after_accept


@dataclass(slots=True)
class _Script:
    service: str
    operation: str
    match: Json
    answers: list[Fault]
    stay: bool


class Faults:
    """Scripts in the order given; a request takes from the first that fits. Not safe for threads by itself."""

    def __init__(self) -> None:
        self._scripts: list[_Script] = []

    def add(self, service: str, operation: str, answers: list[Json], *, match: Json | None, stay: bool) -> None:
        """Play these next. Raise FaultError when an answer cannot be read."""
        read = [_answer(each) for each in answers]
        if not read:
            raise FaultError("answers must hold at least one answer")
        self._scripts.append(_Script(service, operation or "*", match or {}, read, stay))

    def take(self, service: str, operation: str, fields: Json) -> Fault | None:
        """Return the scripted answer to a request, None when no script fits."""
        for script in self._scripts:
            if script.service == service and script.operation in ("*", operation) and _fits(script.match, fields):
                if script.stay and len(script.answers) == 1:
                    return script.answers[0]
                answer = script.answers.pop(0)
                self._scripts = [left for left in self._scripts if left.answers]
                return answer
        return None

    def clear(self) -> None:
        """Forget all scripts."""
        self._scripts.clear()


def _answer(given: Json) -> Fault:
    if not isinstance(given, dict):
        raise FaultError("an answer must be an object")
    unknown = sorted(set(given) - NAMES)
    if unknown:
        raise FaultError(f"an answer has no {', '.join(unknown)}; allowed are {', '.join(sorted(NAMES))}")
    try:
        return _read(given)
    except (TypeError, ValueError, AttributeError):
        raise FaultError(
            "status must be 200 to 599, retry_after and delay_seconds seconds, headers an object"
        ) from None


def _read(given: Json) -> Fault:
    status = None if given.get("status") is None else int(given["status"])
    if status is not None and not 200 <= status <= 599:
        raise ValueError(status)
    has_content = bool(given.get("error")) or given.get("body") is not None
    if status == 200 and not has_content:
        status = None
    return Fault(
        status=status,
        error=str(given.get("error") or ""),
        retry_after=None if given.get("retry_after") is None else float(given["retry_after"]),
        body=given.get("body"),
        headers={str(name): str(value) for name, value in (given.get("headers") or {}).items()},
        delay_seconds=float(given.get("delay_seconds") or 0),
        timeout=bool(given.get("timeout") or given.get("timeout_after_accept")),
        disconnect=bool(given.get("disconnect")),
        after_accept=bool(given.get("after_accept") or given.get("timeout_after_accept")),
    )


def _fits(match: Json, fields: Json) -> bool:
    return all(_value(fields, name) == str(wanted) for name, wanted in match.items())


def _value(fields: Json, name: str) -> str | None:
    found: Any = fields
    for part in name.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return None if found is None else str(found)
