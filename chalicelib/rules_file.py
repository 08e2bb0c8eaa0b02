"""alert-rules.yaml → rules: the only YAML and pydantic of the rules.

    load(text)             the rules; RulesError lists every mistake, one a line
    check(text)            mistakes, warnings and the rules, for `tocsin check`
    compile_rules(text)    the checked file as JSON: what is shipped, so that no cold start parses YAML
    from_compiled(text)    the rules from that; needs neither yaml nor pydantic (`core/build.py`)

    python -m chalicelib.rules_file compile [FOLDER] | schema

Three passes over one file: YAML with the place of every word and its traps (`on`, `22:00`, an unquoted `#`), the form
(pydantic, one model), and the sense (`rules_sense.py`: conditions, names that must exist, routes that nothing reaches).
Each goes on after a mistake, so that all of them are told at once, as `file:line:column: what; allowed is …; did you
mean …`.
"""

import json
import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError, core_schema

from chalicelib.core.build import DAYS, rules_from
from chalicelib.core.errors import RulesError
from chalicelib.core.rule import Rules
from chalicelib.core.tokens import ConditionError, nearest, threshold_literal
from chalicelib.core.units import DURATION_FORMS, parse_duration
from chalicelib.rules_loader import COMPILED_NAME, COMPILED_VERSION, RULES_NAME, from_compiled, source_hash
from chalicelib.rules_sense import PROMTOOL_FIELDS, Finding, Path, Sense, masked, sense_of

__all__ = ["Mistake", "Report", "check", "compile_rules", "from_compiled", "json_schema", "load"]

MAX_FILE_CHARACTERS = 2_000_000
MAX_NODES = 200_000
MAX_DEPTH = 40
FREE_SECTIONS = ("tests", "probes", "sources")
"""Sections whose plug-ins and commands know their fields: `null` and booleans may stand there."""
BOOLEAN_KEYS = ("send_resolved", "continue", "pagerduty", "flapping", "redirects")


# ---------------------------------------------------------------------------------------------------------------------
# The form


def _wrong(what: str, allowed: str = "", suggestion: str = "") -> PydanticCustomError:
    return PydanticCustomError("wrong", "{what}", {"what": what, "allowed": allowed, "suggestion": suggestion})


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return f"the boolean {str(value).lower()}"
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, str):
        return "text"
    if isinstance(value, list | tuple):
        return "a list"
    return "a mapping" if isinstance(value, Mapping) else "empty"


def _text(value: Any) -> Any:
    if isinstance(value, str):
        if not value.strip():
            raise _wrong("is empty", "text")
        return value
    quoted = json.dumps(str(value)) if isinstance(value, int | float) and not isinstance(value, bool) else ""
    raise _wrong(f"is {_kind(value)}", "text", quoted)


def _label_text(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, str):
        return value
    raise _wrong(f"is {_kind(value)}", "text")


def _pattern(value: Any) -> Any:
    if isinstance(value, list):
        joined = "|".join(str(each) for each in value)
        raise _wrong("is a list", "text; several values are a regular expression", f'"=~{joined}"')
    return _label_text(value)


def _duration(value: Any, *, least: str = "0s", most: str = "3660d") -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise _wrong(f"is the number {value}, without a unit", DURATION_FORMS, f"{value}s")
    if not isinstance(value, str):
        raise _wrong(f"is {_kind(value)}", DURATION_FORMS)
    try:
        found = parse_duration(value)
    except ValueError:
        raise _wrong(f"is not a duration: {value[:40]!r}", DURATION_FORMS, _nearest_duration(value)) from None
    if not parse_duration(least) <= found <= parse_duration(most):
        raise _wrong(f"is out of range: {value[:40]}", f"{least} to {most}")
    return value


def _nearest_duration(text: str) -> str:
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\.?\s*", text)
    if found is None:
        return f"{text.strip()}s" if re.fullmatch(r"\s*\d+\s*", text) else ""
    word = found[2].lower()
    unit = next((unit for unit, words in _UNIT_WORDS.items() if word in words), "")
    return f"{found[1]}{unit}" if unit else ""


_UNIT_WORDS = {
    "ms": ("ms", "msec", "millis", "milliseconds", "millisecond"),
    "s": ("s", "sec", "secs", "second", "seconds"),
    "m": ("m", "min", "mins", "minute", "minutes"),
    "h": ("h", "hr", "hrs", "hour", "hours"),
    "d": ("d", "day", "days"),
    "w": ("w", "week", "weeks"),
}


def _positive(value: Any) -> Any:
    return _duration(value, least="1s")


def _short(value: Any) -> Any:
    return _duration(value, least="100ms", most="30s")


def _whole(value: Any, least: int, most: int) -> Any:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong(f"is {_kind(value)}", f"a whole number from {least} to {most}")
    if not least <= value <= most:
        raise _wrong(f"is out of range: {value}", f"a whole number from {least} to {most}")
    return value


def _boolean(value: Any) -> Any:
    if not isinstance(value, bool):
        raise _wrong(f"is {_kind(value)}", "true or false")
    return value


def _choice(choices: tuple[str, ...], meant: Mapping[str, str]) -> Any:
    def chosen(value: Any) -> Any:
        if value in choices:
            return value
        shown = repr(value[:40]) if isinstance(value, str) else _kind(value)
        word = str(value).lower()
        raise _wrong(f"is {shown}", ", ".join(choices), meant.get(word) or nearest(word, choices))

    return chosen


def _threshold(value: Any) -> Any:
    if not isinstance(value, int | float | str):
        raise _wrong(f"is {_kind(value)}", "a number, a percentage, a duration or a size: 8, 1%, 500ms, 8GB")
    try:
        threshold_literal(value)
    except ConditionError as error:
        raise _wrong(f"is not a value: {str(value)[:40]!r}", error.allowed, error.suggestion) from None
    return value


def _time(value: Any) -> Any:
    if isinstance(value, str) and re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d|24:00", value):
        return value
    short = re.fullmatch(r"(\d):([0-5]\d)", value) if isinstance(value, str) else None
    shown = repr(value[:40]) if isinstance(value, str) else _kind(value)
    raise _wrong(f"is {shown}", 'a time from "00:00" to "24:00"', f'"0{value}"' if short else "")


def _group_by(value: Any) -> Any:
    if value == "...":
        return value
    if isinstance(value, str):
        raise _wrong("is text", 'a list of labels, [] for one group, or "..."', f"[{value}]")
    if not isinstance(value, list):
        raise _wrong(f"is {_kind(value)}", 'a list of labels, [] for one group, or "..."')
    if "..." in value:
        if len(value) > 1:
            raise _wrong('mixes "..." with labels', 'a list of labels, or "..." alone')
        return "..."
    for label in value:
        _text(label)
    return value


def _slack(value: Any) -> Any:
    allowed = '"#name", a channel id, or an address of hooks.slack.com'
    text = _text(value)
    if re.fullmatch(r"#[^\s#@,.:;!?<>&\"'/\\A-Z]{1,80}|[CGDU][A-Z0-9]{7,20}", text):
        return text
    if re.fullmatch(r"https://hooks\.slack(?:-gov)?\.com/\S{1,200}", text):
        return text
    if re.fullmatch(r"https?://(?:127\.0\.0\.1|localhost)(?::\d{1,5})?/\S{0,200}", text):
        return text
    name = "#" + re.sub(r"\s+", "-", text.lstrip("#@").strip().lower())
    suggestion = json.dumps(name, ensure_ascii=False) if re.fullmatch(r"#[^\s#@,.:;!?<>&\"'/\\]{1,80}", name) else ""
    raise _wrong(f"is not a Slack channel: {masked(text)!r}", allowed, suggestion)


def _email(value: Any) -> Any:
    text = _text(value)
    if not re.fullmatch(r"[^\s@<>,;:\"()\[\]\\]{1,64}@(?:[A-Za-z0-9-]{1,63}\.)*[A-Za-z0-9-]{1,63}", text):
        raise _wrong("is not an e-mail address", "one address, such as ops@example.com")
    return text


def _pagerduty(value: Any) -> Any:
    allowed = "true, or the name of a routing key"
    if value is True:
        return value
    if not isinstance(value, str):
        raise _wrong(f"is {_kind(value)}", allowed, "true" if value is not False else "")
    if re.fullmatch(r"[0-9a-fA-F]{32}|R[0-9A-Z]{31}", value):
        raise _wrong("is a routing key itself", "true, or the name of a routing key: the key is a secret of the stage")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", value):
        raise _wrong(f"is not the name of a key: {masked(value)!r}", allowed)
    return value


def _webhook(value: Any) -> Any:
    text = _text(value)
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}|https://[^\s/@]{1,253}(?:[/?]\S{0,2000})?", text):
        return text
    if re.fullmatch(r"http://(?:127\.0\.0\.1|localhost|\[::1\])(?::\d{1,5})?(?:/\S{0,2000})?", text):
        return text
    suggestion = masked("https://" + text.removeprefix("http://")) if text.startswith("http://") else ""
    raise _wrong(f"is not a webhook: {masked(text)!r}", "a name, or an address that begins with https://", suggestion)


def _runbook(value: Any) -> Any:
    text = _text(value)
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,99}", text) or text.endswith(".md"):
        page = re.sub(r"[^a-z0-9._-]+", "-", text.rpartition("/")[2].removesuffix(".md").lower()).strip("-")
        raise _wrong(
            f"is not the name of a page: {masked(text)!r}", "the name of a page in runbook/, without .md", page
        )
    return text


def _flapping(value: Any) -> Any:
    if value is False or isinstance(value, Mapping):
        return value
    raise _wrong(f"is {_kind(value)}", "{changes: 6, within: 30m}, or false")


@dataclass(frozen=True, slots=True)
class As:
    """A value that a function of ours checks, with its JSON Schema: its mistakes are in the words of the file."""

    validate: Callable[[Any], Any]
    schema: dict[str, Any]

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(self.validate)

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return dict(self.schema)


_DURATION_PATTERN = r"^(\d+(\.\d+)?(ms|s|m|h|d|w))+$"
SEVERITIES = ("critical", "warning", "info")
_MEANT = {"error": "critical", "fatal": "critical", "page": "critical", "high": "critical", "crit": "critical"}
_MEANT |= {"warn": "warning", "medium": "warning", "low": "info", "notice": "info", "information": "info"}

Text = Annotated[Any, As(_text, dict(type="string", minLength=1))]
Duration = Annotated[
    Any, As(_duration, dict(type="string", pattern=_DURATION_PATTERN, examples=["30s", "5m", "1h30m"]))
]
Positive = Annotated[Any, As(_positive, dict(type="string", pattern=_DURATION_PATTERN, examples=["5m", "4h"]))]
Short = Annotated[Any, As(_short, dict(type="string", pattern=_DURATION_PATTERN, examples=["5s"]))]
Boolean = Annotated[Any, As(_boolean, dict(type="boolean"))]
Matches = dict[str, Annotated[Any, As(_pattern, dict(type=["string", "number", "boolean"]))]]
Labels = dict[str, Annotated[Any, As(_label_text, dict(type=["string", "number", "boolean"]))]]
GroupBy = Annotated[Any, As(_group_by, dict(anyOf=[{"type": "array", "items": {"type": "string"}}, {"const": "..."}]))]
MaxAlerts = Annotated[Any, As(lambda value: _whole(value, 1, 10_000), dict(type="integer", minimum=1, maximum=10_000))]
Severity = Annotated[Any, As(_choice(SEVERITIES, _MEANT), dict(enum=list(SEVERITIES)))]
NoData = Annotated[
    Any,
    As(
        _choice(("keep", "ok", "alert"), {"alerting": "alert", "fire": "alert", "resolve": "ok"}),
        dict(enum=["keep", "ok", "alert"]),
    ),
]
_LONG_DAYS = {"monday": "mon", "tuesday": "tue", "wednesday": "wed", "thursday": "thu", "friday": "fri"}
_LONG_DAYS |= {"saturday": "sat", "sunday": "sun", "tues": "tue", "thurs": "thu", "weds": "wed"}
Day = Annotated[Any, As(_choice(DAYS, _LONG_DAYS), dict(enum=list(DAYS)))]
Time = Annotated[Any, As(_time, dict(type="string", pattern=r"^(([01]\d|2[0-3]):[0-5]\d|24:00)$"))]


LEFT_OUT: Any = None


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=False)


class TargetForm(_Part):
    """Where a message goes: exactly one of slack_channel, email, pagerduty, webhook and receiver."""

    slack_channel: Annotated[Any, As(_slack, dict(type="string"))] = LEFT_OUT
    email: Annotated[Any, As(_email, dict(type="string"))] = LEFT_OUT
    pagerduty: Annotated[Any, As(_pagerduty, dict(type=["boolean", "string"]))] = LEFT_OUT
    webhook: Annotated[Any, As(_webhook, dict(type="string"))] = LEFT_OUT
    receiver: Text = LEFT_OUT
    send_resolved: Boolean = LEFT_OUT
    timeout: Short = LEFT_OUT


class EscalationForm(_Part):
    """Who hears more when nobody acknowledged."""

    after: Duration
    notification: list[TargetForm]


class FlappingForm(_Part):
    """More changes than this within this time is flapping."""

    changes: Annotated[Any, As(lambda value: _whole(value, 1, 60), dict(type="integer", minimum=1, maximum=60))] = (
        LEFT_OUT
    )
    within: Positive = LEFT_OUT


class _RhythmForm(_Part):
    group_by: GroupBy = LEFT_OUT
    group_wait: Duration = LEFT_OUT
    group_interval: Duration = LEFT_OUT
    repeat_interval: Positive = LEFT_OUT
    resolve_timeout: Positive = LEFT_OUT
    ack_timeout: Positive = LEFT_OUT
    max_alerts: MaxAlerts = LEFT_OUT


class DefaultsForm(_RhythmForm):
    """What every rule and route says that says nothing else."""

    timezone: Text = LEFT_OUT


class _TellingForm(_RhythmForm):
    notification: list[TargetForm] = Field(default=LEFT_OUT)
    escalate: list[EscalationForm] = Field(default=LEFT_OUT)
    mute: list[Text] = Field(default=LEFT_OUT)
    active: list[Text] = Field(default=LEFT_OUT)


class RuleForm(_TellingForm):
    """An entry of `alerts:`: what it matches, when it is enough, how bad, who hears."""

    name: Text
    match: Matches = Field(default=LEFT_OUT)
    condition: Text = LEFT_OUT
    for_: Duration = Field(default=LEFT_OUT, alias="for")
    clear: Text = LEFT_OUT
    keep_firing_for: Duration = LEFT_OUT
    no_data: NoData = LEFT_OUT
    threshold: Annotated[Any, As(_threshold, dict(type=["number", "string"]))] = LEFT_OUT
    severity: Severity = LEFT_OUT
    labels: Labels = Field(default=LEFT_OUT)
    runbook: Annotated[Any, As(_runbook, dict(type="string", pattern="^[a-z0-9][a-z0-9._-]*$"))] = LEFT_OUT
    summary: Text = LEFT_OUT
    flapping: Annotated[FlappingForm | Literal[False], BeforeValidator(_flapping)] = Field(default=LEFT_OUT)


class RouteForm(_TellingForm):
    """Who hears of what its clauses match."""

    match: Matches = Field(default=LEFT_OUT)
    continue_: Boolean = Field(default=LEFT_OUT, alias="continue")
    routes: list["RouteForm"] = Field(default=LEFT_OUT)


class EndForm(_TellingForm):
    """The default or the fallback."""


class InhibitForm(_Part):
    """A cause that mutes its symptoms."""

    cause: Matches
    symptom: Matches
    equal: list[Text] = Field(default=LEFT_OUT)


class WindowForm(_Part):
    """A calendar: days and times in a time zone."""

    days: list[Day] = Field(default=LEFT_OUT)
    from_: Time = Field(default=LEFT_OUT, alias="from")
    to: Time = LEFT_OUT
    timezone: Text = LEFT_OUT


class ProbesForm(_Part):
    """What Tocsin measures itself: lists of the probes' own parameters."""

    model_config = ConfigDict(extra="allow")
    uptime: list[dict[str, Any]] = Field(default=LEFT_OUT)
    database: list[dict[str, Any]] = Field(default=LEFT_OUT)
    redis: list[dict[str, Any]] = Field(default=LEFT_OUT)
    cloudflare: list[dict[str, Any]] = Field(default=LEFT_OUT)
    heartbeat: list[dict[str, Any]] = Field(default=LEFT_OUT)
    journey: list[dict[str, Any]] = Field(default=LEFT_OUT)


_MAPPINGS: Any = {"type": "array", "items": {"type": "object"}}
_TEST_SCHEMA: Any = {
    "type": "object",
    "description": "A timeline and what must come of it: `tocsin test`.",
    "properties": {
        "name": {"type": "string"},
        "given": {**_MAPPINGS, "description": "Lines of `tocsin replay`."},
        "expect": {**_MAPPINGS, "description": "Notifications in their order, and states of alerts at times."},
        "interval": {"type": "string", "pattern": _DURATION_PATTERN},
        "input_series": {**_MAPPINGS, "description": "Series in promtool's expanding notation."},
        "alert_rule_test": {**_MAPPINGS, "description": "What fires at a time, as promtool asks it."},
        **{name: {} for name in PROMTOOL_FIELDS},
    },
    "additionalProperties": False,
}


class FileForm(_Part):
    """alert-rules.yaml: what counts, when it is enough, how bad it is, and who hears."""

    defaults: DefaultsForm = Field(default=LEFT_OUT)
    receivers: dict[str, list[TargetForm]] = Field(default=LEFT_OUT)
    alerts: list[RuleForm] = Field(default=LEFT_OUT)
    routes: list[RouteForm] = Field(default=LEFT_OUT)
    default: EndForm = Field(default=LEFT_OUT)
    fallback: EndForm = Field(default=LEFT_OUT)
    inhibit: list[InhibitForm] = Field(default=LEFT_OUT)
    windows: dict[str, WindowForm] = Field(default=LEFT_OUT)
    metrics: list[Text] = Field(default=LEFT_OUT, description="Further metrics that conditions may name.")
    probes: ProbesForm = Field(default=LEFT_OUT)
    sources: list[dict[str, Any]] = Field(default=LEFT_OUT)
    tests: list[dict[str, Any]] = Field(default=LEFT_OUT, json_schema_extra={"items": _TEST_SCHEMA})


_CONTAINERS: dict[str, tuple[type[BaseModel], str]] = {
    "alerts": (RuleForm, "a rule"),
    "routes": (RouteForm, "a route"),
    "notification": (TargetForm, "a target"),
    "receivers": (TargetForm, "a target"),
    "escalate": (EscalationForm, "an escalation"),
    "inhibit": (InhibitForm, "an inhibition"),
    "windows": (WindowForm, "a window"),
    "defaults": (DefaultsForm, "defaults"),
    "default": (EndForm, "the default"),
    "fallback": (EndForm, "the fallback"),
    "flapping": (FlappingForm, "flapping"),
    "probes": (ProbesForm, "probes"),
}


def _container(path: Path) -> tuple[type[BaseModel], str]:
    """The model of the mapping at a path, and what it is called."""
    for part in reversed(path):
        if isinstance(part, str) and part in _CONTAINERS:
            return _CONTAINERS[part]
    return FileForm, "the rules file"


def _keys(model: type[BaseModel]) -> list[str]:
    return [each.alias or name for name, each in model.model_fields.items()]


def json_schema() -> dict[str, Any]:
    """The JSON Schema of the file, for editors. A section may be empty, as it is when all its entries are comments."""
    schema = FileForm.model_json_schema(by_alias=True)
    cleaned: dict[str, Any] = _without_nulls(schema)
    sections = {name: {"anyOf": [each, {"type": "null"}]} for name, each in cleaned["properties"].items()}
    cleaned["properties"] = sections
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "alert-rules.yaml",
        **{key: value for key, value in cleaned.items() if key != "title"},
    }


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _without_nulls(each)
            for key, each in value.items()
            if not (key == "default" and each is None) and not (key == "title" and isinstance(each, str))
        }
    return [_without_nulls(each) for each in value] if isinstance(value, list) else value


# ---------------------------------------------------------------------------------------------------------------------
# YAML, with the place of every word

Mark = tuple[int, int]
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_BOOLEAN = "tag:yaml.org,2002:bool"
_NULL = "tag:yaml.org,2002:null"
_STANDARD = "tag:yaml.org,2002:"


@dataclass(slots=True)
class Document:
    """The plain data of a file, and where each part of it stands. `text_at` is where a text on one line begins."""

    data: Any = None
    values: dict[Path, Mark] = field(default_factory=dict)
    keys: dict[Path, Mark] = field(default_factory=dict)
    text_at: dict[Path, Mark] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    told: set[Path] = field(default_factory=set)

    def where(self, path: Path, *, key: bool = False) -> Mark:
        """The place of a value (or of its key), or of what is nearest above it."""
        if key and path in self.keys:
            return self.keys[path]
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path, (1, 1))

    def say(self, path: Path, what: str, allowed: str = "", suggestion: str = "", *, key: bool = False) -> None:
        """Note a mistake; what else is wrong with the same word is not told."""
        self.findings.append(Finding(path, what, allowed, suggestion, at_key=key))
        self.told.add(path)


def read_yaml(text: str) -> Document:
    """The document, as far as it is YAML; mistakes are among its findings."""
    document = Document()
    if len(text) > MAX_FILE_CHARACTERS:
        document.say((), f"the file has {len(text)} characters", f"{MAX_FILE_CHARACTERS} at most")
        return document
    try:
        root = yaml.compose(text, Loader=_LOADER)
    except yaml.YAMLError:
        _say_broken(document, text)
        return document
    except RecursionError:
        document.say((), "is nested too deep", f"{MAX_DEPTH} levels at most")
        return document
    if root is not None:
        reader = _Reader(document, text)
        try:
            document.data = reader.value(root, ())
        except _TooMuchError as error:
            document.findings.clear()
            document.say((), str(error), f"{MAX_DEPTH} levels and {MAX_NODES} values at most")
    return document


def _say_broken(document: Document, text: str) -> None:
    """Read it again in Python, whose words are the same everywhere."""
    try:
        yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        document.values[()] = (line, column)
        what, allowed = _broken_words(str(error.problem or error.context or "it cannot be read"), text, line, column)
        document.say((), what, allowed)
    except (yaml.YAMLError, RecursionError) as error:
        problem = getattr(error, "reason", "") or "it cannot be read"
        document.say((), f"is not YAML: {problem}", "UTF-8 text without control characters")


def _broken_words(problem: str, text: str, line: int, column: int) -> tuple[str, str]:
    lines = text.splitlines()
    written = lines[line - 1] if line <= len(lines) else ""
    if "\\t" in problem or (written[:column].strip() == "" and "\t" in written[: column + 1]):
        return "a tab; YAML is indented by spaces", "spaces"
    if "'%'" in problem or "'@'" in problem or "'`'" in problem:
        return f"is not YAML: {problem}", "quotes around text that begins with a sign"
    if "{{" in written:
        return f"is not YAML: {problem}", 'quotes around text with {{ }}, such as summary: "{{ value }} errors"'
    if "another document" in problem:
        return "a second document begins", "one document, without a line of ---"
    if "undefined alias" in problem:
        return f"is not YAML: {problem}", "quotes around text that begins with *"
    if "mapping values are not allowed" in problem:
        return f"is not YAML: {problem}", "quotes around text with a colon, and equal indentation"
    return f"is not YAML: {problem}", "keys and lists, indented by spaces"


class _TooMuchError(Exception):
    pass


class _Reader:
    """YAML nodes to plain data, telling the traps of YAML."""

    def __init__(self, document: Document, text: str) -> None:
        self.document = document
        self.lines = text.splitlines()
        self.loader = yaml.SafeLoader("")
        self.nodes = 0

    def value(self, node: yaml.Node, path: Path) -> Any:
        """The value of a node at a path."""
        self.nodes += 1
        if self.nodes > MAX_NODES or len(path) > MAX_DEPTH:
            raise _TooMuchError("is too large" if self.nodes > MAX_NODES else "is nested too deep, or contains itself")
        self.document.values[path] = (node.start_mark.line + 1, node.start_mark.column + 1)
        if not node.tag.startswith(_STANDARD):
            return self.tagged(node, path)
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(each, (*path, index)) for index, each in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)
        return self.scalar(node, path)

    def tagged(self, node: yaml.Node, path: Path) -> Any:
        """A sign at the start of unquoted text, which YAML takes for a tag."""
        tag = str(node.tag)
        rest = node.value if isinstance(node.value, str) else ""
        written = f"{tag}{' ' if rest else ''}{rest}"
        self.document.say(path, f"unquoted {written[:60]} is a tag in YAML", "quotes around it", json.dumps(written))
        return None

    def mapping(self, node: yaml.MappingNode, path: Path) -> Any:
        """A mapping, with `<<` opened; a key that comes twice is told."""
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self.odd_key(key_node, path)
                return None
            if key_node.tag == _STANDARD + "merge":
                self.merge(value_node, path, found)
                continue
            key = self.key(key_node, path)
            here = (*path, key)
            mark = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            if here in self.document.keys:
                first = self.document.keys[here]
                self.document.keys[here] = mark
                self.document.say(
                    here, f"{key!r} comes twice; the first is in line {first[0]}", "each key once", key=True
                )
                continue
            self.document.keys[here] = mark
            found[key] = self.value(value_node, here)
        return found

    def odd_key(self, node: yaml.Node, path: Path) -> None:
        """A key that is a list or a mapping: most often it is a template without quotes."""
        written = self.lines[node.start_mark.line][max(0, node.start_mark.column - 1) :]
        if written.startswith("{{"):
            self.document.say(path, "begins with {{, which YAML takes for a mapping", "quotes around the text")
        else:
            self.document.say(path, "a key is a list or a mapping", "keys that are text")

    def merge(self, node: yaml.Node, path: Path, found: dict[str, Any]) -> None:
        """What `<<: *name` brings; own keys win."""
        nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
        for each in nodes:
            given = self.value(each, path)
            if isinstance(given, Mapping):
                for key, value in given.items():
                    found.setdefault(key, value)
                    self.document.keys.pop((*path, key), None)

    def key(self, node: yaml.ScalarNode, path: Path) -> str:
        """A key as text. `on:` and `no:` are booleans in YAML."""
        text = str(node.value)
        if node.tag == _BOOLEAN and text.lower() not in ("true", "false"):
            self.document.keys[(*path, text)] = (node.start_mark.line + 1, node.start_mark.column + 1)
            self.document.say(
                (*path, text), f"unquoted {text} is a boolean in YAML", "quotes around it", json.dumps(text), key=True
            )
            del self.document.keys[(*path, text)]
        return text

    def scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        """A scalar; traps are told where the section is ours."""
        text, tag = str(node.value), str(node.tag).removeprefix(_STANDARD)
        free = bool(path) and path[0] in FREE_SECTIONS
        if tag == "null" and not (free or len(path) == 1):
            return self.empty(node, path)
        if tag == "bool":
            if text.lower() not in ("true", "false") and not free and path[-1] not in BOOLEAN_KEYS:
                self.document.say(path, f"unquoted {text} is a boolean in YAML", "quotes around it", json.dumps(text))
            return self.loader.construct_yaml_bool(node)
        if tag in ("int", "float") and ":" in text and not (free and path[0] == "tests"):
            self.document.say(path, f"unquoted {text} is a number in YAML", "quotes around it", json.dumps(text))
            return text
        if tag == "int":
            return self.number(node, path, self.loader.construct_yaml_int)
        if tag == "float":
            return self.number(node, path, self.loader.construct_yaml_float)
        if tag == "str":
            self.note_text(node, path)
        return None if tag == "null" else text

    def number(self, node: yaml.ScalarNode, path: Path, construct: Any) -> Any:
        """A finite decimal number. `010` is eight in YAML."""
        text = str(node.value)
        if re.fullmatch(r"[-+]?0[0-9_]+|[-+]?0[bxo][0-9A-Fa-f_]+", text):
            self.document.say(
                path, f"unquoted {text} is not a decimal number in YAML", "quotes around it", json.dumps(text)
            )
            return text
        value = construct(node)
        if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
            self.document.say(path, f"is {text}", "a finite number")
            return 0
        return value

    def empty(self, node: yaml.ScalarNode, path: Path) -> None:
        """A key without a value; after an unquoted # the value is a comment."""
        line, column = node.end_mark.line, node.end_mark.column
        name = next((part for part in reversed(path) if isinstance(part, str)), "it")
        rest = self.lines[line][column:] if line < len(self.lines) else ""
        comment = re.match(r"\s*(#\S+)", rest)
        if comment:
            value = comment[1].rstrip("}],")
            self.document.say(
                path,
                f"{name} is empty: an unquoted # begins a comment",
                "quotes around it",
                json.dumps(value, ensure_ascii=False),
            )
        else:
            self.document.say(path, f"{name} is empty", "a value, or leaving the key out")

    def note_text(self, node: yaml.ScalarNode, path: Path) -> None:
        """Where the text begins, if its columns are those of the file."""
        if node.start_mark.line == node.end_mark.line and node.style in (None, '"', "'"):
            quote = 0 if node.style is None else 1
            if node.end_mark.column - node.start_mark.column == len(node.value) + 2 * quote:
                self.document.text_at[path] = (node.start_mark.line + 1, node.start_mark.column + 1 + quote)


# ---------------------------------------------------------------------------------------------------------------------
# Mistakes and reports


@dataclass(frozen=True, slots=True, order=True)
class Mistake:
    """One line for the operator. `kind` is mistake, template or test (the router runs on), or warning."""

    line: int
    column: int
    what: str
    allowed: str = ""
    suggestion: str = ""
    kind: str = "mistake"
    file: str = ""

    def __str__(self) -> str:
        found = f"{self.file}:{self.line}:{self.column}: {self.what}"
        if self.allowed:
            found += f"; allowed is {self.allowed}"
        if self.suggestion:
            found += f"; did you mean {self.suggestion}"
        return found


@dataclass(frozen=True, slots=True)
class Report:
    """What a file comes to: `data` as written, and the (line, column) of each of its parts.

    `rules` is None when there are mistakes other than in templates and tests.
    """

    mistakes: tuple[Mistake, ...]
    warnings: tuple[Mistake, ...]
    rules: Rules | None
    data: Mapping[str, Any] = field(default_factory=dict)
    places: Mapping[Path, Mark] = field(default_factory=dict)


def check(
    text: str,
    *,
    filename: str = "alert-rules.yaml",
    runbooks: Mapping[str, str] | Collection[str] | None = None,
    metrics: Collection[str] = (),
) -> Report:
    """Everything that is wrong or doubtful. `runbooks` are the pages by name, with their text to look into them.

    `metrics` are names that conditions may use beside the known ones and those of the file.
    """
    return _report(text, filename, runbooks, Sense(metrics=frozenset(metrics)))


def _report(text: str, filename: str, runbooks: Mapping[str, str] | Collection[str] | None, sense: Sense) -> Report:
    text = text.removeprefix("\ufeff")
    document = read_yaml(text)
    broken = bool(document.findings) and document.data is None
    data = document.data if isinstance(document.data, Mapping) else {}
    if document.data is not None and not isinstance(document.data, Mapping):
        document.say((), f"the file is {_kind(document.data)}", "a mapping with alerts, such as alerts: []")
    elif document.data is None and not broken:
        document.say((), "the file is empty", "a mapping with alerts, such as alerts: []")
    document.findings += [*_form_findings(data, document)] if data else []
    sense.runbooks = runbooks
    document.findings += [
        found for found in sense_of(data, sense) if not _is_told(found.path, document) or found.kind == "warning"
    ]
    mistakes, warnings = _placed(document, filename)
    rules = None
    if not any(each.kind == "mistake" for each in mistakes):
        rules = rules_from(_clean(data))
    return Report(mistakes, warnings, rules, data, document.values)


def _clean(data: Mapping[str, Any]) -> dict[str, Any]:
    """Without the sections that are empty or only for tests."""
    return {key: value for key, value in data.items() if value is not None and key not in ("tests", "metrics")}


def _is_told(path: Path, document: Document) -> bool:
    return any(path[:length] in document.told for length in range(1, len(path) + 1))


def _placed(document: Document, filename: str) -> tuple[tuple[Mistake, ...], tuple[Mistake, ...]]:
    found: dict[Mistake, None] = {}
    for each in document.findings:
        line, column = document.where(each.path, key=each.at_key)
        if each.column and each.path in document.text_at:
            line, column = document.text_at[each.path]
            column += each.column - 1
        found[Mistake(line, column, each.what, each.allowed, each.suggestion, each.kind, filename)] = None
    ordered = sorted(found)
    warnings = tuple(each for each in ordered if each.kind == "warning")
    return tuple(each for each in ordered if each.kind != "warning"), warnings


def _form_findings(data: Mapping[str, Any], document: Document) -> Iterator[Finding]:
    """What is wrong with the form, in the words of the file."""
    try:
        FileForm.model_validate({key: value for key, value in data.items() if value is not None})
    except ValidationError as failed:
        for error in failed.errors(include_url=False):
            path = tuple(part for part in error["loc"] if part not in ("FlappingForm", "literal[False]"))
            if _is_told(path, document) or (error["type"] == "literal_error" and path and path[-1] == "flapping"):
                continue
            if path and path[0] == "probes" and error["type"] == "extra_forbidden":
                continue
            document.told.add(path)
            yield _form_finding(path, error)


def _name_of(path: Path) -> str:
    """What the value at a path is called."""
    name = next((part for part in reversed(path) if isinstance(part, str)), "the file")
    return f"entry {path[-1] + 1} of {name}" if path and isinstance(path[-1], int) else name


def _form_finding(path: Path, error: Any) -> Finding:
    name = _name_of(path)
    given = error.get("input")
    if error["type"] == "wrong":
        found = error["ctx"]
        return Finding(path, f"{name} {found['what']}", found["allowed"], found["suggestion"])
    if error["type"] == "extra_forbidden":
        model, what = _container(path[:-1])
        keys = _keys(model)
        return Finding(path, f"{name!r} is not a key of {what}", ", ".join(keys), nearest(name, keys), at_key=True)
    if error["type"] == "missing":
        _, what = _container(path[:-1])
        return Finding(path[:-1], f"{what} needs {name}", f"{name} beside the rest")
    if error["type"] in ("list_type", "dict_type", "model_type", "model_attributes_type"):
        wanted = "a list" if error["type"] == "list_type" else "a mapping"
        return Finding(
            path, f"{name} is {_kind(given)}", f"{wanted}{_example(name, wanted)}", _meant_target(path, given)
        )
    return Finding(path, f"{name}: {error['msg']}")


def _example(name: str, wanted: str) -> str:
    examples = {
        "notification": '[{slack_channel: "#alerts"}]' if wanted == "a list" else '{slack_channel: "#alerts"}',
        "alerts": "[{name: …, condition: …}]" if wanted == "a list" else "{name: …, condition: …}",
        "match": "{source: sentry}",
        "escalate": "[{after: 15m, notification: [{pagerduty: true}]}]",
        "mute": "[nights]",
        "active": "[office]",
        "days": "[mon, tue]",
        "labels": "{team: web}",
    }
    return f", such as {examples[name]}" if name in examples else ""


def _meant_target(path: Path, given: Any) -> str:
    if isinstance(given, str) and len(path) > 1 and path[-2] == "notification":
        kind = "slack_channel" if given.startswith("#") else "email" if "@" in given else "receiver"
        return f"{kind}: {json.dumps(masked(given), ensure_ascii=False)}"
    if isinstance(given, Mapping) and path[-1] == "notification":
        return "a list with - before it"
    if isinstance(given, str) and path and path[-1] in ("mute", "active", "days", "equal"):
        return f"[{given}]"
    return ""


# ---------------------------------------------------------------------------------------------------------------------
# Loading


def load(
    text: str,
    *,
    filename: str = "alert-rules.yaml",
    runbooks: Mapping[str, str] | Collection[str] | None = None,
    strict: bool = False,
    tolerate_templates: bool = False,
    metrics: Collection[str] = (),
) -> Rules:
    """The rules of a file. RulesError lists every mistake, one a line; `strict` counts warnings too. Its tests are not run.

    With `tolerate_templates` the file is run as production would: rules whose only mistake is their template are told
    in the plain form (`Rules.broken_templates`), and a metric that resembles no known one may come from outside.
    """
    sense = Sense(metrics=frozenset(metrics), any_metric=tolerate_templates)
    report = _report(text, filename, runbooks, sense)
    tolerated = ("template", "test") if tolerate_templates else ("test",)
    wrong = [each for each in report.mistakes if each.kind not in tolerated]
    wrong += report.warnings if strict else ()
    if wrong or report.rules is None:
        raise RulesError("\n".join(str(each) for each in sorted(wrong)))
    return report.rules


def compile_rules(text: str, *, filename: str = "alert-rules.yaml") -> str:
    """The checked file as JSON, with the hash of its text. RulesError lists every mistake."""
    report = _report(text, filename, None, Sense(any_metric=True))
    wrong = [each for each in report.mistakes if each.kind not in ("template", "test")]
    if wrong:
        raise RulesError("\n".join(str(each) for each in wrong))
    content = {"v": COMPILED_VERSION, "sha256": source_hash(text), "rules": _clean(report.data)}
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def write_schema(root: FilePath) -> None:
    """Publish the schema in docs/, for editors."""
    path = root / "docs" / "alert-rules.schema.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_compiled(folder: FilePath) -> FilePath:
    """Compile the rules file of a folder beside it, for what is shipped. RulesError lists every mistake."""
    text = (folder / RULES_NAME).read_text(encoding="utf-8")
    path = folder / COMPILED_NAME
    path.write_text(compile_rules(text, filename=str(folder / RULES_NAME)), encoding="utf-8")
    return path


def main(words: list[str]) -> int:
    """`compile [FOLDER]` writes compiled-rules.json beside alert-rules.yaml, `schema` the JSON Schema in docs/."""
    here = FilePath(__file__).parent
    if words == ["schema"]:
        write_schema(here.parent)
    elif words[:1] == ["compile"] and len(words) <= 2:
        try:
            write_compiled(FilePath(words[1]) if len(words) == 2 else here)
        except RulesError as error:
            print(error, file=sys.stderr)
            return 2
    else:
        print("expected is: compile [FOLDER], or schema", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
