"""The form of a rules file: one pydantic model, and its mistakes in the words of the file."""

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal, cast

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    create_model,
    model_validator,
)

from chalicelib.core.build import DAYS, NOBODY
from chalicelib.core.calendar import MONTHS
from chalicelib.core.delivery.target_kind import TargetKind
from chalicelib.core.field import kind_of, masked, text_value
from chalicelib.core.language.tokens import nearest
from chalicelib.rules.file import foreign
from chalicelib.rules.file.document import Document
from chalicelib.rules.file.finding import Finding, Path
from chalicelib.rules.file.outside import PROMTOOL_FIELDS, is_probe, probe_meanings
from chalicelib.rules.file.values import (
    DATES_PATTERN,
    DURATION_PATTERN,
    MENTION_PATTERN,
    MONTH_DAYS_PATTERN,
    As,
    after_ack_value,
    alias_texts_value,
    begin_value,
    boolean_value,
    by_value,
    choice_value,
    dates_value,
    duration_value,
    end_value,
    flapping_value,
    for_pydantic,
    group_by_value,
    label_sets_value,
    label_text_value,
    link_template_value,
    link_value,
    mention_value,
    month_days_value,
    pattern_value,
    people_value,
    positive_value,
    repeat_value,
    runbook_value,
    short_value,
    storm_value,
    threshold_value,
    whole_value,
)
from chalicelib.rules.file.variables import VARIABLE, is_with_variable
from chalicelib.targets import kinds

SEVERITIES = ("critical", "warning", "info")
_MEANT = {"error": "critical", "fatal": "critical", "page": "critical", "high": "critical", "crit": "critical"}
_MEANT |= {"warn": "warning", "medium": "warning", "low": "info", "notice": "info", "information": "info"}

Text = Annotated[Any, As(text_value, dict(type="string", minLength=1))]
Duration = Annotated[
    Any, As(duration_value, dict(type="string", pattern=DURATION_PATTERN, examples=["30s", "5m", "1h30m"]))
]
Positive = Annotated[Any, As(positive_value, dict(type="string", pattern=DURATION_PATTERN, examples=["5m", "4h"]))]
Repeats = Annotated[
    Any,
    As(
        repeat_value,
        dict(anyOf=[{"type": "string", "pattern": DURATION_PATTERN}, {"const": "never"}], examples=["4h", "never"]),
    ),
]
Short = Annotated[Any, As(short_value, dict(type="string", pattern=DURATION_PATTERN, examples=["5s"]))]
Threshold = Annotated[Any, As(threshold_value, dict(type=["number", "string"]))]
Mentions = Annotated[
    Any,
    As(mention_value, dict(type="array", minItems=1, items={"type": "string", "pattern": MENTION_PATTERN})),
]
People = Annotated[Any, As(people_value, dict(type="array", items={"type": "string", "minLength": 1}))]
Boolean = Annotated[Any, As(boolean_value, dict(type="boolean"))]
Matches = dict[str, Annotated[Any, As(pattern_value, dict(type=["string", "number", "boolean"]))]]
Labels = dict[str, Annotated[Any, As(label_text_value, dict(type=["string", "number", "boolean"]))]]
GroupBy = Annotated[
    Any, As(group_by_value, dict(anyOf=[{"type": "array", "items": {"type": "string"}}, {"const": "..."}]))
]
MaxAlerts = Annotated[
    Any, As(lambda value: whole_value(value, 1, 10_000), dict(type="integer", minimum=1, maximum=10_000))
]
Severity = Annotated[Any, As(choice_value(SEVERITIES, _MEANT), dict(enum=list(SEVERITIES)))]
NoData = Annotated[
    Any,
    As(
        choice_value(("keep", "ok", "alert"), {"alerting": "alert", "fire": "alert", "resolve": "ok"}),
        dict(enum=["keep", "ok", "alert"]),
    ),
]
_LONG_DAYS = {"monday": "mon", "tuesday": "tue", "wednesday": "wed", "thursday": "thu", "friday": "fri"}
_LONG_DAYS |= {"saturday": "sat", "sunday": "sun", "tues": "tue", "thurs": "thu", "weds": "wed"}
Day = Annotated[Any, As(choice_value(DAYS, _LONG_DAYS), dict(enum=list(DAYS)))]
_LONG_MONTHS = {
    name.lower(): name[:3].lower()
    for name in [
        "January",
        "February",
        "March",
        "April",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ]
}
Month = Annotated[Any, As(choice_value(MONTHS, _LONG_MONTHS | {"sept": "sep"}), dict(enum=list(MONTHS)))]
DatesText = Annotated[
    Any, As(dates_value, dict(type="string", pattern=DATES_PATTERN, examples=["2026-12-24", "12-24 to 01-02"]))
]
MonthDay = Annotated[
    Any,
    As(
        month_days_value,
        dict(
            anyOf=[
                {"type": "integer", "minimum": -31, "maximum": 31},
                {"type": "string", "pattern": MONTH_DAYS_PATTERN},
            ],
            examples=[1, -1, "1 to 7"],
        ),
    ),
]
Begin = Annotated[Any, As(begin_value, dict(type="string", pattern=r"^([01]\d|2[0-3]):[0-5]\d$"))]
End = Annotated[Any, As(end_value, dict(type="string", pattern=r"^(([01]\d|2[0-3]):[0-5]\d|24:00)$"))]


LEFT_OUT: Any = None


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=False)


_SETTINGS = ("send_resolved", "timeout", "mention")


def _one_of(schema: dict[str, Any]) -> None:
    schema["oneOf"] = [{"required": [name]} for name in schema["properties"] if name not in _SETTINGS]


class _TargetPart(_Part):
    model_config = ConfigDict(json_schema_extra=_one_of)


def target_form() -> type[BaseModel]:
    """Return the form of a target, with a field for each kind that is found."""
    return _target_form(tuple(kinds().items()))


@lru_cache(maxsize=4)
def _target_form(found: tuple[tuple[str, TargetKind], ...]) -> type[BaseModel]:
    fields: dict[str, Any] = {name: (Annotated[Any, _or_variable(kind)], LEFT_OUT) for name, kind in found}
    fields |= {
        "receiver": (Text, LEFT_OUT),
        NOBODY: (Text, LEFT_OUT),
        "send_resolved": (Boolean, LEFT_OUT),
        "timeout": (Short, LEFT_OUT),
        "mention": (Mentions, LEFT_OUT),
    }
    doc = f"Where a message goes: exactly one of {', '.join(name for name, _ in found)}, receiver and nobody."
    return create_model("TargetForm", __base__=_TargetPart, __doc__=doc, **fields)


def _or_variable(kind: TargetKind) -> As:
    """Return how a kind reads a target, or a variable that stands for one. What is wrong with a variable is found in variables.py."""
    schema = {"anyOf": [kind.schema, {"type": "string", "pattern": f"^{VARIABLE}$"}]}
    return As(lambda value: value if is_with_variable(value) else kind.read(value), schema)


class TargetForm(_Part):
    """Stands for a target in the forms above it: `target_form` is its model, the context of every check."""

    @model_validator(mode="wrap")
    @classmethod
    def of_its_kind(cls, value: Any, handler: Any, info: ValidationInfo) -> Any:
        """Return the value as the form with the kinds that are found now reads it."""
        return cast(type[BaseModel], info.context).model_validate(value)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> dict[str, Any]:
        found: dict[str, Any] = handler(schema)
        described = handler.resolve_ref_schema(found)
        described.clear()
        described.update(target_form().model_json_schema())
        return found


class EscalationForm(_Part):
    """Further targets when nobody acknowledged."""

    after: Duration
    notification: list[TargetForm]


class FlappingForm(_Part):
    """More changes than this within this time is flapping."""

    changes: Annotated[
        Any, As(lambda value: whole_value(value, 1, 60), dict(type="integer", minimum=1, maximum=60))
    ] = LEFT_OUT
    within: Positive = LEFT_OUT


class _RhythmForm(_Part):
    group_by: GroupBy = LEFT_OUT
    group_wait: Duration = LEFT_OUT
    group_interval: Duration = LEFT_OUT
    repeat_interval: Repeats = LEFT_OUT
    resolve_timeout: Positive = LEFT_OUT
    ack_timeout: Positive = LEFT_OUT
    max_alerts: MaxAlerts = LEFT_OUT


class DefaultsForm(_RhythmForm):
    """What every rule and route says that says nothing else."""

    timezone: Text = LEFT_OUT
    thresholds: dict[str, Threshold] = Field(default=LEFT_OUT)


class _TellingForm(_RhythmForm):
    notification: list[TargetForm] = Field(default=LEFT_OUT)
    escalate: list[EscalationForm] = Field(default=LEFT_OUT)
    mute: list[Text] = Field(default=LEFT_OUT)
    active: list[Text] = Field(default=LEFT_OUT)
    correlate: Boolean = LEFT_OUT


class RuleForm(_TellingForm):
    """An entry of `alerts:`: what it matches, when it is enough, how bad, who is notified."""

    name: Text
    enabled: Boolean = LEFT_OUT
    match: Matches = Field(default=LEFT_OUT)
    condition: Text = LEFT_OUT
    for_: Duration = Field(default=LEFT_OUT, alias="for")
    clear: Text = LEFT_OUT
    keep_firing_for: Duration = LEFT_OUT
    no_data: NoData = LEFT_OUT
    threshold: Threshold = LEFT_OUT
    severity: Severity = LEFT_OUT
    labels: Labels = Field(default=LEFT_OUT)
    runbook: Annotated[Any, As(runbook_value, dict(type="string", pattern="^([a-z0-9][a-z0-9._-]*|https://.+)$"))] = (
        LEFT_OUT
    )
    summary: Text = LEFT_OUT
    annotations: Labels = Field(default=LEFT_OUT)
    links: dict[str, Annotated[Any, As(link_template_value, dict(type="string"))]] = Field(default=LEFT_OUT)
    flapping: Annotated[FlappingForm | Literal[False], BeforeValidator(for_pydantic(flapping_value))] = Field(
        default=LEFT_OUT
    )


class RouteForm(_TellingForm):
    """Who is notified of what its clauses match."""

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


class StormForm(_Part):
    """So many openings of one target within this time are a storm: the next go into one message."""

    openings: Annotated[
        Any, As(lambda value: whole_value(value, 1, 100), dict(type="integer", minimum=1, maximum=100))
    ] = LEFT_OUT
    within: Positive = LEFT_OUT


class CorrelateForm(_Part):
    """Which alerts are one incident, whatever their rules and routes."""

    by: Annotated[Any, As(by_value, dict(type="array", minItems=1, items={"type": "string"}))]
    join_within: Annotated[
        Any,
        As(
            lambda value: duration_value(value, least="1m"),
            dict(type="string", pattern=DURATION_PATTERN, examples=["15m"]),
        ),
    ] = LEFT_OUT
    max_age: Positive = LEFT_OUT
    after_ack: Annotated[
        Any,
        As(
            after_ack_value,
            dict(anyOf=[{"type": "string", "pattern": DURATION_PATTERN}, {"enum": ["off", False]}], examples=["2m"]),
        ),
    ] = LEFT_OUT
    storm: Annotated[StormForm | Literal["off", False], BeforeValidator(for_pydantic(storm_value))] = Field(
        default=LEFT_OUT
    )


class AccessForm(_Part):
    """Who may look, act and change, at every door. Without it everybody who is signed in may act."""

    viewer: People = LEFT_OUT
    responder: People = LEFT_OUT
    admin: People = LEFT_OUT


class WindowForm(_Part):
    """A calendar: days, months, dates and times in a time zone."""

    days: list[Day] = Field(default=LEFT_OUT)
    days_of_month: list[MonthDay] = Field(default=LEFT_OUT)
    months: list[Month] = Field(default=LEFT_OUT)
    dates: list[DatesText] = Field(default=LEFT_OUT)
    holidays: list[Text] = Field(default=LEFT_OUT)
    from_: Begin = Field(default=LEFT_OUT, alias="from")
    to: End = LEFT_OUT
    timezone: Text = LEFT_OUT


_TEXT_SCHEMA: Any = {"type": ["string", "number", "boolean"]}
_TEXTS_SCHEMA: Any = {"anyOf": [_TEXT_SCHEMA, {"type": "array", "items": _TEXT_SCHEMA}]}
_SET_SCHEMA: Any = {"type": "object", "minProperties": 1, "additionalProperties": _TEXT_SCHEMA}
_SETS_SCHEMA: Any = {
    "anyOf": [_SET_SCHEMA, {"type": "array", "items": _SET_SCHEMA}],
    "description": "Labels that must all be there, such as {job: api, namespace: prod}, or a list of such sets.",
}


class AliasesForm(_Part):
    """What a service is called: by a source (sentry), or as the value of a label (probe, zone); by several labels together."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Annotated[Any, As(alias_texts_value, _TEXTS_SCHEMA)]]
    labels: Annotated[Any, As(label_sets_value, _SETS_SCHEMA)] = LEFT_OUT


class ServiceForm(_Part):
    """A service: what it is called elsewhere, whose it is, what it needs."""

    aliases: AliasesForm = Field(default=LEFT_OUT)
    owner: Text = LEFT_OUT
    tier: Annotated[Any, As(lambda value: whole_value(value, 0, 9), dict(type="integer", minimum=0, maximum=9))] = (
        LEFT_OUT
    )
    links: dict[str, Annotated[Any, As(link_value, dict(type="string", format="uri"))]] = Field(default=LEFT_OUT)
    depends_on: list[Text] = Field(default=LEFT_OUT)


def _with_probes(schema: dict[str, Any]) -> None:
    entries = {"items": {"additionalProperties": True, "type": "object"}, "type": "array"}
    schema["additionalProperties"] = True
    schema["properties"] = {name: dict(entries) for name in probe_meanings()}


class ProbesForm(_Part):
    """What Tocsin measures itself: lists of the probes' own parameters."""

    model_config = ConfigDict(extra="allow", json_schema_extra=_with_probes)
    __pydantic_extra__: dict[str, list[dict[str, Any]]]


_MAPPINGS: Any = {"type": "array", "items": {"type": "object"}}
_TEST_SCHEMA: Any = {
    "type": "object",
    "description": "A timeline and what must come of it: `tocsin test`.",
    "properties": {
        "name": {"type": "string"},
        "given": _MAPPINGS,
        "expect": _MAPPINGS,
        "interval": {"type": "string", "pattern": DURATION_PATTERN},
        "input_series": _MAPPINGS,
        "alert_rule_test": _MAPPINGS,
        **{name: {} for name in PROMTOOL_FIELDS},
    },
    "anyOf": [{"required": ["expect"]}, {"required": ["alert_rule_test"]}],
    "additionalProperties": False,
}


class FileForm(_Part):
    """alert-rules.yaml: what counts, when it is enough, how bad it is, and who is notified."""

    defaults: DefaultsForm = Field(default=LEFT_OUT)
    receivers: dict[str, list[TargetForm]] = Field(default=LEFT_OUT)
    alerts: list[RuleForm] = Field(default=LEFT_OUT)
    routes: list[RouteForm] = Field(default=LEFT_OUT)
    default: EndForm = Field(default=LEFT_OUT)
    fallback: EndForm = Field(default=LEFT_OUT)
    inhibit: list[InhibitForm] = Field(default=LEFT_OUT)
    correlate: CorrelateForm = Field(default=LEFT_OUT)
    windows: dict[str, WindowForm] = Field(default=LEFT_OUT)
    holidays: dict[str, list[DatesText]] = Field(default=LEFT_OUT)
    services: dict[str, ServiceForm] = Field(default=LEFT_OUT)
    access: AccessForm = Field(default=LEFT_OUT)
    metrics: list[Text] = Field(default=LEFT_OUT)
    probes: ProbesForm = Field(default=LEFT_OUT)
    sources: list[dict[str, Any]] = Field(default=LEFT_OUT)
    webhooks: list[dict[str, Any]] = Field(default=LEFT_OUT)
    tests: list[dict[str, Any]] = Field(default=LEFT_OUT, json_schema_extra={"items": _TEST_SCHEMA})


_TARGETS = ("notification", "receivers")
_CONTAINERS: dict[str, tuple[type[BaseModel], str]] = {
    "alerts": (RuleForm, "a rule"),
    "routes": (RouteForm, "a route"),
    "escalate": (EscalationForm, "an escalation"),
    "inhibit": (InhibitForm, "an inhibition"),
    "correlate": (CorrelateForm, "correlate"),
    "windows": (WindowForm, "a window"),
    "access": (AccessForm, "access"),
    "defaults": (DefaultsForm, "defaults"),
    "default": (EndForm, "the default"),
    "fallback": (EndForm, "the fallback"),
    "flapping": (FlappingForm, "flapping"),
    "storm": (StormForm, "storm"),
    "probes": (ProbesForm, "probes"),
}


def _container(path: Path) -> tuple[type[BaseModel], str]:
    """Return the model of the mapping at a path, and what it is called."""
    if path[:1] == ("services",) and len(path) > 1:
        return (AliasesForm, "aliases") if path[2:3] == ("aliases",) else (ServiceForm, "a service")
    for part in reversed(path):
        if part in _TARGETS:
            return target_form(), "a target"
        if isinstance(part, str) and part in _CONTAINERS:
            return _CONTAINERS[part]
    return FileForm, "the rules file"


def _keys(model: type[BaseModel]) -> list[str]:
    return [each.alias or name for name, each in model.model_fields.items()]


# ---------------------------------------------------------------------------------------------------------------------
# Its mistakes


_ALTERNATIVES = ("FlappingForm", "literal[False]", "StormForm", "literal['off',False]")
_EITHER = ("flapping", "storm")
"""Keys whose value is a mapping or one word."""


def form_findings(data: Mapping[str, Any], document: Document) -> Iterator[Finding]:
    """Yield what is wrong with the form, in the words of the file."""
    try:
        given = {key: value for key, value in data.items() if value is not None}
        FileForm.model_validate(given, context=target_form())
    except ValidationError as failed:
        for error in failed.errors(include_url=False):
            path = tuple(part for part in error["loc"] if part not in _ALTERNATIVES)
            if document.is_told(path) or (error["type"] == "literal_error" and path and path[-1] in _EITHER):
                continue
            if path[:1] == ("probes",) and len(path) > 1 and not is_probe(str(path[1])):
                continue
            document.reported.add(path)
            yield _form_finding(path, error)


def _name_of(path: Path) -> str:
    """Return what the value at a path is called."""
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
        suggestion = foreign.meant(what, name) or nearest(name, keys)
        return Finding(path, f"{name!r} is not a key of {what}", ", ".join(keys), suggestion, at_key=True)
    if error["type"] == "missing":
        _, what = _container(path[:-1])
        return Finding(path[:-1], f"{what} needs {name}", f"{name} beside the rest")
    if error["type"] in ("list_type", "dict_type", "model_type", "model_attributes_type"):
        wanted = "a list" if error["type"] == "list_type" else "a mapping"
        return Finding(
            path, f"{name} is {kind_of(given)}", f"{wanted}{_example(name, wanted)}", _meant_target(path, given)
        )
    return Finding(path, f"{name}: {error['msg']}")


def _example(name: str, wanted: str) -> str:
    examples = {
        "notification": f"[{_example_target()}]" if wanted == "a list" else _example_target(),
        "alerts": "[{name: …, condition: …}]" if wanted == "a list" else "{name: …, condition: …}",
        "match": "{source: sentry}",
        "receivers": '{team: [{slack_channel: "#alerts"}]}',
        "escalate": f"[{{after: 15m, notification: [{_example_target(pages=True)}]}}]",
        "mute": "[nights]",
        "active": "[office]",
        "days": "[mon, tue]",
        "labels": "{team: web}",
        "services": "{api: {owner: team-core}}",
        "aliases": "{sentry: [api-backend]}",
        "links": '{dashboard: "https://…"}',
        "depends_on": "[database]",
    }
    return f", such as {examples[name]}" if name in examples else ""


def _example_target(*, pages: bool = False) -> str:
    """Return a target of the first kind, or of the first that pages, as the rules file writes it."""
    found = [f"{{{name}: {json.dumps(kind.example)}}}" for name, kind in kinds().items() if kind.can.pages or not pages]
    return found[0] if found else "{receiver: …}"


def _meant_target(path: Path, given: Any) -> str:
    if isinstance(given, str) and len(path) > 1 and path[-2] == "notification":
        return f"{_meant_kind(given)}: {json.dumps(masked(given), ensure_ascii=False)}"
    if isinstance(given, Mapping) and path[-1] == "notification":
        return "a list with - before it"
    if isinstance(given, str) and path and path[-1] in ("mute", "active", "days", "equal", "depends_on"):
        return f"[{given}]"
    return ""


def _meant_kind(given: str) -> str:
    found = () if "://" in given else [name for name, kind in kinds().items() if kind.names(given)]
    return next(iter(found), "receiver")
