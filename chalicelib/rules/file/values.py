"""The values of a rules file, each checked by a function of ours: its mistakes are in the words of the file."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from pydantic_core import PydanticCustomError, core_schema

from chalicelib.core.errors import FieldError
from chalicelib.core.field import kind_of, masked, text_value
from chalicelib.core.language.tokens import ConditionError, nearest, threshold_literal
from chalicelib.core.language.units import DURATION_FORMS, parse_duration


def label_text_value(value: Any) -> Any:
    """Return a label's value; numbers and booleans as text."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, str):
        return value
    raise FieldError(f"is {kind_of(value)}", "text")


def pattern_value(value: Any) -> Any:
    """Return a clause of `match`."""
    if isinstance(value, list):
        joined = "|".join(str(each) for each in value)
        raise FieldError("is a list", "text; several values are a regular expression", f'"=~{joined}"')
    return label_text_value(value)


def duration_value(value: Any, *, least: str = "0s", most: str = "3660d") -> Any:
    """Return a duration with its unit, within limits."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise FieldError(f"is the number {value}, without a unit", DURATION_FORMS, f"{value}s")
    if not isinstance(value, str):
        raise FieldError(f"is {kind_of(value)}", DURATION_FORMS)
    try:
        found = parse_duration(value)
    except ValueError:
        raise FieldError(f"is not a duration: {value[:40]!r}", DURATION_FORMS, _nearest_duration(value)) from None
    if not parse_duration(least) <= found <= parse_duration(most):
        raise FieldError(f"is out of range: {value[:40]}", f"{least} to {most}")
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


def positive_value(value: Any) -> Any:
    """Return a duration of a second or more."""
    return duration_value(value, least="1s")


def repeat_value(value: Any) -> Any:
    """Return a duration of a second or more, or `never`."""
    if value == "never":
        return value
    try:
        return positive_value(value)
    except FieldError as error:
        raise FieldError(error.what, f"{error.allowed}, or never", error.suggestion) from None


def after_ack_value(value: Any) -> Any:
    """Return a duration, or `off`, which some readers of YAML take for false."""
    return value if value is False or value == "off" else duration_value(value)


def by_value(value: Any) -> Any:
    """Return the labels by which alerts are correlated: at least one, and none that distinguishes the alerts of one fault."""
    if not isinstance(value, list) or not value or not all(isinstance(each, str) and each for each in value):
        raise FieldError(
            f"is {kind_of(value) if value else 'empty'}", "a list of labels, such as [service, environment]"
        )
    wrong = next((each for each in value if each in ("alertname", "severity", "...")), "")
    if wrong:
        raise FieldError(f"names {wrong!r}, which distinguishes the alerts of one incident", "labels that they share")
    return value


def people_value(value: Any) -> Any:
    """Return who has a role: names of links and tokens, Slack ids, mail addresses, or * for everybody who is signed in."""
    if not isinstance(value, list) or not all(isinstance(each, str) and each.strip() for each in value):
        raise FieldError(
            f"is {kind_of(value)}", "a list of names, Slack ids and mail addresses, such as [ana, U024BE7LH]"
        )
    return value


MENTION_PATTERN = "^([UWS][A-Z0-9]{5,20}|here|channel|everyone)$"


def mention_value(value: Any) -> Any:
    """Return whom a message in Slack names: ids of people (U… or W…) and of groups (S…), here, channel, everyone."""
    allowed = "a list of ids of people (U024BE7LH) and groups (S0614TZR7), here, channel or everyone"
    if not isinstance(value, list) or not value:
        raise FieldError(f"is {kind_of(value) if value else 'empty'}", allowed)
    wrong = next((each for each in value if not isinstance(each, str) or not re.fullmatch(MENTION_PATTERN, each)), None)
    if wrong is not None:
        word = str(wrong).lstrip("@")
        raise FieldError(f"names {masked(str(wrong)[:40])!r}", allowed, word if word in ("here", "channel") else "")
    return value


def short_value(value: Any) -> Any:
    """Return a time limit of one call."""
    return duration_value(value, least="100ms", most="30s")


def whole_value(value: Any, least: int, most: int) -> Any:
    """Return a whole number within limits."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise FieldError(f"is {kind_of(value)}", f"a whole number from {least} to {most}")
    if not least <= value <= most:
        raise FieldError(f"is out of range: {value}", f"a whole number from {least} to {most}")
    return value


def boolean_value(value: Any) -> Any:
    """Return True or false."""
    if not isinstance(value, bool):
        raise FieldError(f"is {kind_of(value)}", "true or false")
    return value


def choice_value(choices: tuple[str, ...], meant: Mapping[str, str]) -> Any:
    """Return one of some words; `meant` are others that people write."""

    def chosen(value: Any) -> Any:
        if value in choices:
            return value
        shown = repr(value[:40]) if isinstance(value, str) else kind_of(value)
        word = str(value).lower()
        raise FieldError(f"is {shown}", ", ".join(choices), meant.get(word) or nearest(word, choices))

    return chosen


def threshold_value(value: Any) -> Any:
    """Return a value that the word `threshold` may stand for."""
    if not isinstance(value, int | float | str):
        raise FieldError(f"is {kind_of(value)}", "a number, a percentage, a duration or a size: 8, 1%, 500ms, 8GB")
    try:
        threshold_literal(value)
    except ConditionError as error:
        raise FieldError(f"is not a value: {str(value)[:40]!r}", error.allowed, error.suggestion) from None
    return value


def begin_value(value: Any) -> Any:
    """Return a time at which a window may begin: before midnight at the end of the day."""
    return _time(value, r"([01]\d|2[0-3]):[0-5]\d", "23:59", {"24:00": "00:00"})


def end_value(value: Any) -> Any:
    """Return a time at which a window may end: 24:00 too."""
    return _time(value, r"([01]\d|2[0-3]):[0-5]\d|24:00", "24:00", {})


def _time(value: Any, form: str, last: str, meant: Mapping[str, str]) -> Any:
    if not isinstance(value, str):
        raise FieldError(f"is {kind_of(value)}", f'a time from "00:00" to "{last}"')
    if re.fullmatch(form, value):
        return value
    near = f"0{value}" if re.fullmatch(r"\d:[0-5]\d", value) else meant.get(value, "")
    raise FieldError(f"is {value[:40]!r}", f'a time from "00:00" to "{last}"', f'"{near}"' if near else "")


_DATE = r"(\d{4}-)?(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"
DATES_PATTERN = rf"^{_DATE}( to {_DATE})?$"
MONTH_DAYS_PATTERN = r"^-?([1-9]|[12]\d|3[01])( to -?([1-9]|[12]\d|3[01]))?$"
_DATES_ALLOWED = '"2026-12-24", "12-24" for every year, or a range such as "12-24 to 01-02"'


def dates_value(value: Any) -> Any:
    """Return a date, one of every year, or a range of either."""
    if not isinstance(value, str) or not re.fullmatch(DATES_PATTERN, value):
        raise FieldError(f"is {repr(value[:40]) if isinstance(value, str) else kind_of(value)}", _DATES_ALLOWED)
    first, _, last = value.partition(" to ")
    for each in filter(None, (first, last)):
        _check_date(each)
    if last and len(first) != len(last):
        raise FieldError("has the year in one of its two dates", _DATES_ALLOWED)
    if last and len(first) == len("2026-12-24") and last < first:
        raise FieldError(f"ends before it begins: {value!r}", "the earlier date first", f'"{last} to {first}"')
    return value


def _check_date(text: str) -> None:
    try:
        date.fromisoformat(text if len(text) > len("12-24") else f"2024-{text}")
    except ValueError:
        raise FieldError(f"has no such day: {text!r}", _DATES_ALLOWED) from None


def month_days_value(value: Any) -> Any:
    """Return a day of the month, counted from its end below 0, or a range of days."""
    if not isinstance(value, int | str) or isinstance(value, bool) or not re.fullmatch(MONTH_DAYS_PATTERN, str(value)):
        shown = str(value)[:40] if isinstance(value, int | str) else kind_of(value)
        raise FieldError(f"is {shown}", 'a day from 1 to 31, from the end -1 to -31, or a range such as "1 to 7"')
    return value


def group_by_value(value: Any) -> Any:
    """Return labels, `[]` or `...`."""
    if value == "...":
        return value
    if isinstance(value, str):
        raise FieldError("is text", 'a list of labels, [] for one group, or "..."', f"[{value}]")
    if not isinstance(value, list):
        raise FieldError(f"is {kind_of(value)}", 'a list of labels, [] for one group, or "..."')
    if "..." in value:
        if len(value) > 1:
            raise FieldError('mixes "..." with labels', 'a list of labels, or "..." alone')
        return "..."
    for label in value:
        text_value(label)
    return value


def runbook_value(value: Any) -> Any:
    """Return the name of a page in runbook/, or its https address elsewhere."""
    text = text_value(value)
    if text.startswith("https://"):
        return link_value(text)
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,99}", text) or text.endswith(".md"):
        page = re.sub(r"[^a-z0-9._-]+", "-", text.rpartition("/")[2].removesuffix(".md").lower()).strip("-")
        raise FieldError(
            f"is not the name of a page: {masked(text)!r}",
            "the name of a page in runbook/ without .md, or an https address",
            page,
        )
    return text


def flapping_value(value: Any) -> Any:
    """Return the terms of flapping, or false."""
    if value is False or isinstance(value, Mapping):
        return value
    raise FieldError(f"is {kind_of(value)}", "{changes: 6, within: 30m}, or false")


def storm_value(value: Any) -> Any:
    """Return the terms of a storm, or `off`, which some readers of YAML take for false."""
    if value is False or value == "off" or isinstance(value, Mapping):
        return value
    raise FieldError(f"is {kind_of(value)}", "{openings: 5, within: 5m}, or off")


def for_pydantic(validate: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return the function with its FieldError in the form that pydantic collects, with its place."""

    def validated(value: Any) -> Any:
        try:
            return validate(value)
        except FieldError as error:
            found = {"what": error.what, "allowed": error.allowed, "suggestion": error.suggestion}
            raise PydanticCustomError("wrong", "{what}", found) from None

    return validated


@dataclass(frozen=True, slots=True)
class As:
    """A value that a function of ours checks, with its JSON Schema: its mistakes are in the words of the file."""

    validate: Callable[[Any], Any]
    schema: Mapping[str, Any]

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(for_pydantic(self.validate))

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return dict(self.schema)


DURATION_PATTERN = r"^(\d+(\.\d+)?(ms|s|m|h|d|w))+$"


def alias_texts_value(value: Any) -> Any:
    """Return what one sender calls a service, or the values of one label: a text or several, each with at most one `*`."""
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, list | Mapping):
            raise FieldError(f"holds {kind_of(each)}", "a text, or a list of texts, such as [api-backend]")
        text = label_text_value(each)
        if not text.strip():
            raise FieldError("is empty", "a text, such as api-backend")
        if "*" in text[1:-1] or text.count("*") > 1 or text == "*":
            raise FieldError(f"is {text[:40]!r}", "one * at the beginning or at the end, and text beside it")
    return value


def label_sets_value(value: Any) -> Any:
    """Return labels that must all be there, or a list of such sets."""
    for each in value if isinstance(value, list) else [value]:
        if not isinstance(each, Mapping) or not each:
            raise FieldError(f"is {kind_of(each)}", "labels, such as {job: api, namespace: prod}, or a list of them")
        for label, text in each.items():
            if not label_text_value(text).strip():
                raise FieldError(f"has no value of {label[:40]}", "a text for each label")
            if "*" in label_text_value(text) and len(each) > 1:
                raise FieldError(f"has a * in {label[:40]}", "exact texts where there are several labels")
            alias_texts_value(text)
    return value


def link_template_value(value: Any) -> Any:
    """Return the address of a page, whose parts after the host may be filled in."""
    text = text_value(value)
    link_value(re.sub(r"\{\{.*?\}\}", "x", text))
    if "{{" in text.partition("//")[2].partition("/")[0]:
        raise FieldError("fills in its host", "a host as it is, and {{ … }} after it")
    return value


def link_value(value: Any) -> Any:
    """Return the address of a page."""
    text = text_value(value)
    if not re.fullmatch(r"https?://[^\s/@]{1,253}([/?#]\S{0,450})?", text):
        raise FieldError(f"is not an address: {masked(text[:100])!r}", "an address that begins with https://")
    return value
