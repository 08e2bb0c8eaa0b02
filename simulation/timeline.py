"""The lines of a timeline, read: one JSON object each, into the values that the router knows.

Whatever cannot be understood is a TimelineError that names what is wrong and what was expected.
"""

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from chalicelib.api.requests import parse_match
from chalicelib.core.beat import REPORTED, beat_event
from chalicelib.core.context import Silence
from chalicelib.core.delivery.target_kind import address_of
from chalicelib.core.errors import RequestError, TocsinError
from chalicelib.core.event import Action, ActionKind, Event, Severity, Status, labels_fingerprint
from chalicelib.core.inputs import Signal
from chalicelib.core.instants import instant_at, instant_of
from chalicelib.core.language.durations import LONGEST
from chalicelib.core.match import Matcher, parse_matchers
from chalicelib.core.metrics.sample import MAX_VALUE, Sample
from chalicelib.core.pattern import PatternError
from chalicelib.core.payload import coerce
from chalicelib.core.silence_limits import check_silence
from chalicelib.redact import redact_text
from chalicelib.targets import kinds
from simulation.simulator import Limit, TargetAnswer

FORMS_OF_TIME = "expected are seconds from 0 or RFC 3339"
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
SOMEBODY = "somebody"
MAX_COUNT = 1_000_000
MAX_SECONDS = LONGEST.total_seconds()


class TimelineError(TocsinError):
    """A line of the timeline that cannot be understood."""


def read_lines(path: str) -> list[tuple[int, dict[str, Any]]]:
    """Return the numbered objects of a timeline; empty lines are passed over."""
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise TimelineError(
            f"{path}: the timeline cannot be read ({error.strerror}); expected is a JSON-lines file"
        ) from None
    except UnicodeDecodeError:
        raise TimelineError(f"{path}: the timeline is not UTF-8 text; expected is a JSON-lines file") from None
    return [
        (number, _read_line(f"{path}:{number}", line))
        for number, line in enumerate(text.split("\n"), 1)
        if line.strip()
    ]


def _read_line(where: str, line: str) -> dict[str, Any]:
    try:
        data = json.loads(line, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise TimelineError(f"{where}: not JSON; expected is one JSON object a line") from None
    if not isinstance(data, dict):
        raise TimelineError(f"{where}: not a JSON object; expected is an object with `at`")
    return data


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


@dataclass(frozen=True, slots=True)
class Times:
    """Reads and writes times in the form of the timeline: seconds from 0, or RFC 3339."""

    text: bool

    def read(self, value: Any, what: str) -> datetime:
        """Return a time of a line."""
        try:
            if isinstance(value, int | float) and not isinstance(value, bool):
                return instant_at(value)
            if isinstance(value, str) and RFC_3339.fullmatch(value):
                return instant_of(value.upper())
        except ValueError as error:
            raise TimelineError(f"{what} is not a time: {error}; {FORMS_OF_TIME}") from None
        raise TimelineError(f"{what} is not a time; {FORMS_OF_TIME}")

    def optional(self, value: Any, what: str) -> datetime | None:
        """Return a time that may be null."""
        return None if value is None else self.read(value, what)

    def write(self, at: datetime | None) -> Any:
        """Return a time of an output line."""
        if at is None:
            return None
        if self.text:
            fraction = "microseconds" if at.microsecond % 1000 else "milliseconds" if at.microsecond else "seconds"
            return at.astimezone(UTC).isoformat(timespec=fraction).replace("+00:00", "Z")
        seconds = round(at.timestamp(), 6)
        return int(seconds) if seconds.is_integer() else seconds


RECORDED = ("source", "kind", "identity", "title", "summary", "url", "service", "environment")
"""What recorded history says of an event beside the fields of every timeline; also when it `occurred_at`."""


class Fields:
    """What a line says of one thing, field by field: each as what it must be, or a TimelineError."""

    def __init__(self, kind: str, given: Any, times: Times) -> None:
        if not isinstance(given, dict):
            raise TimelineError(f"`{kind}` is not an object; expected is such as {json.dumps({kind: EXAMPLES[kind]})}")
        self._kind = kind
        self._given = given
        self._times = times

    def __contains__(self, name: str) -> bool:
        return name in self._given

    def get(self, name: str) -> Any:
        """Return whatever is there."""
        return self._given.get(name)

    def present(self, name: str) -> Any:
        """Return whatever is there, which may be null; a TimelineError when nothing is."""
        if name not in self._given:
            raise self._wrong(name, f"such as {json.dumps(EXAMPLES[self._kind])}")
        return self._given[name]

    def text(self, name: str, default: str | None = None) -> str:
        """Return a text that is not empty, or a number as text."""
        value = self._given.get(name)
        if value is None and default is not None:
            return default
        if isinstance(value, bool) or not isinstance(value, str | int | float) or value == "":
            raise self._wrong(name, "a text")
        return str(value)

    def number(
        self, name: str, default: float | None = None, *, least: float | None = None, most: float = MAX_VALUE
    ) -> float:
        """Return a finite number that is not below `least` and not above `most`."""
        value = self._given.get(name)
        if value is None and default is not None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._wrong(name, "a number")
        if least is not None and value < least:
            raise self._wrong(name, f"a number from {least:g}")
        if not abs(value) <= most:
            raise self._wrong(name, f"a number up to {most:g}")
        return float(value)

    def whole(self, name: str, default: int | None = None, *, least: int) -> int:
        """Return a whole number that is not below `least` and not above MAX_COUNT."""
        value = self._given.get(name)
        if value is None and default is not None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise self._wrong(name, f"a whole number from {least}")
        if value > MAX_COUNT:
            raise self._wrong(name, f"a whole number up to {MAX_COUNT}")
        return value

    def truth(self, name: str) -> bool:
        """Return True or false."""
        value = self._given.get(name)
        if not isinstance(value, bool):
            raise self._wrong(name, "true or false")
        return value

    def texts(self, name: str) -> dict[str, str]:
        """Return names with texts; what is null is left out, what is no text is written as JSON."""
        value = self._given.get(name)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise self._wrong(name, "an object of names with texts")
        return {
            key: each if isinstance(each, str) else json.dumps(each) for key, each in value.items() if each is not None
        }

    def at(self, name: str) -> datetime:
        """Return a time."""
        return self._times.read(self._given.get(name), f"`{name}` of `{self._kind}`")

    def optional_at(self, name: str) -> datetime | None:
        """Return a time that may be null or left out."""
        return self._times.optional(self._given.get(name), f"`{name}` of `{self._kind}`")

    def choice(self, name: str, kind: Any, default: str) -> Any:
        """Return one of the values of an enum."""
        value = self._given.get(name)
        try:
            return kind(default if value is None else value)
        except ValueError:
            raise self._wrong(name, f"one of {', '.join(each.value for each in kind)}") from None

    def matchers(self) -> dict[str, str]:
        """Return matchers in the form of a rule's `match`, each one that can be matched."""
        if not isinstance(self._given.get("matchers"), dict):
            raise self._wrong("matchers", 'such as {"service": "web"}')
        clauses = self.texts("matchers")
        for matcher in parse_matchers(clauses):
            try:
                matcher.check()
            except PatternError as error:
                raise TimelineError(
                    f"`matchers` of `{self._kind}`: {matcher.label} is no regular expression of RE2: {error}"
                ) from None
        return clauses

    def _wrong(self, name: str, expected: str) -> TimelineError:
        value = self._given.get(name)
        found = "missing" if value is None else f"{json.dumps(value)[:40]}"
        return TimelineError(f"`{name}` of `{self._kind}` is {found}; expected is {expected}")


EXAMPLES: Mapping[str, Any] = {
    "webhook": {"source": "sentry", "headers": {}, "body": {}},
    "event": {"name": "High Error Rate", "labels": {"service": "web"}},
    "sample": {"metric": "error_rate", "value": 0.02},
    "probe": {"name": "api", "ok": True},
    "beat": {"name": "backup"},
    "ack": {"matchers": {"service": "web"}, "by": "ana"},
    "unack": {"matchers": {"service": "web"}, "by": "ana"},
    "resolve": {"matchers": {"service": "web"}, "by": "ana"},
    "keep": {"matchers": {"service": "web"}, "by": "ana"},
    "silence": {"id": "s1", "matchers": {"service": "web"}, "until": 600, "by": "ana"},
    "maintenance": {"matchers": {"service": "web"}, "until": 600, "by": "ana"},
    "answers": {"status": 200},
    "limit": {"count": 5, "per": 900},
    "redeploy": {"rules": "other.yaml"},
    "down": {"until": 600},
    "explain": {"matchers": {"service": "web"}},
}


def event_of(given: Fields, at: datetime, number: int) -> Event:
    """Return the event of a line; without an `id` the line's number makes it one of its own."""
    labels, annotations = given.texts("labels"), given.texts("annotations")
    name = given.text("name", labels.pop("alertname", None))
    labels.pop("alertname", None)
    own = given.text("id", "")
    said = {field: given.text(field) for field in RECORDED if given.get(field) is not None}
    return Event(
        id=f"event:{own}" if own else f"line:{number}",
        source=said.get("source") or labels.get("source", "event"),
        kind=said.get("kind") or labels.get("kind", name),
        status=given.choice("status", Status, "firing"),
        severity=given.choice("severity", Severity, coerce.severity(labels.get("severity")).value),
        title=said.get("title") or annotations.get("title") or annotations.get("summary") or name,
        occurred_at=given.optional_at("occurred_at") or at,
        identity=said.get("identity") or labels_fingerprint(name, labels),
        name=name,
        summary=said.get("summary") or annotations.get("summary") or annotations.get("description") or "",
        url=said.get("url"),
        service=said.get("service") or labels.get("service"),
        environment=said.get("environment") or labels.get("environment"),
        labels=labels,
        annotations=annotations,
        starts_at=given.optional_at("starts_at"),
        ends_at=given.optional_at("ends_at"),
    )


def beat_of(given: Fields, at: datetime) -> Event:
    """Return the signal of a heartbeat that was received."""
    reported = {name: given.text(name, "") for name in REPORTED}
    if reported["signal"] not in ("", *Signal):
        raise TimelineError(f"beat: signal is unknown; expected is {', '.join(Signal)}")
    return beat_event(given.text("name"), at, reported, redact_text(given.text("output", "")))


def sample_of(given: Fields, at: datetime) -> Sample:
    """Return a measured value; null is measured too."""
    metric = given.text("metric")
    value = None if given.get("value") is None and "value" in given else given.number("value")
    return Sample(metric, value, given.optional_at("at") or at, given.texts("labels"))


def action_of(kind: ActionKind, given: Fields, at: datetime) -> Action:
    """Return what a person does, to one incident or by matchers."""
    incident = given.text("incident", "") or None
    matchers = {} if incident else given.matchers()
    return Action(kind, given.text("by", SOMEBODY), at, incident=incident, matchers=matchers, via="api")


def silence_of(given: Fields, at: datetime, name: str) -> Silence:
    """Return a silence or maintenance within the limits of production; `name` is its id where the line gives none."""
    made = Silence(
        id=given.text("id", name),
        matchers=_words(given.get("matchers")) or parse_matchers(given.matchers()),
        starts_at=given.optional_at("from") or at,
        ends_at=given.at("until"),
        by=given.text("by", SOMEBODY),
        comment=given.text("comment", "") if given.get("comment") else "",
        at=at,
    )
    try:
        check_silence(made)
    except RequestError as error:
        raise TimelineError(str(error)) from None
    return made


def _words(given: Any) -> tuple[Matcher, ...]:
    """Return the matchers of a recorded line: they are words where two are for one label."""
    if not isinstance(given, list) or not given:
        return ()
    try:
        return parse_match(given)
    except RequestError as error:
        raise TimelineError(str(error)) from None


def target_key(given: Any) -> str:
    """Return the key of a target that a line names."""
    known = kinds()
    for kind in known:
        if isinstance(given, dict) and kind in given:
            return f"{kind}:{address_of(given[kind])}"
    raise TimelineError(f"`target` names none; expected is one of {', '.join(known)} with its address")


def shown_target(kind: str, address: str) -> dict[str, Any]:
    """Return the target as the rules file writes it."""
    declared = kinds().get(kind)
    return {kind: declared.value_of(address) if declared is not None else address}


def answers_of(given: Any, times: Times) -> list[TargetAnswer]:
    """Return what a target answers next, in order."""
    if not isinstance(given, list) or not given:
        raise TimelineError(
            '`answers` is not a list of answers; expected is such as [{"status": 429, "retry_after": 30}]'
        )
    return [_answer(Fields("answers", each, times)) for each in given]


def _answer(given: Fields) -> TargetAnswer:
    retry_after = given.get("retry_after")
    return TargetAnswer(
        status=given.whole("status", 200, least=100),
        body=given.get("body"),
        retry_after=None if retry_after is None else given.number("retry_after", least=0, most=MAX_SECONDS),
        latency=timedelta(milliseconds=given.number("latency_ms", 0.0, least=0, most=MAX_SECONDS)),
        error=given.text("error", "") or None,
    )


def limit_of(given: Any, times: Times) -> Limit | None:
    """Return so many answers in so many seconds; null is none."""
    if given is None:
        return None
    fields = Fields("limit", given, times)
    return Limit(fields.whole("count", least=1), timedelta(seconds=fields.number("per", least=0.001, most=MAX_SECONDS)))
