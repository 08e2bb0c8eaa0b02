"""The sense of a rules file whose form may or may not be right: what its words mean together.

Conditions and templates are parsed, names must exist, regular expressions must compile. Each check looks only at what
has the right form and passes over the rest, which the form has reported already.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any
from zoneinfo import available_timezones

from chalicelib.core.build import NOBODY, threshold_of
from chalicelib.core.field import masked
from chalicelib.core.language.condition import Condition, ConditionError, mistakes, parse
from chalicelib.core.language.grammar import CALLABLE
from chalicelib.core.language.template import template_mistakes
from chalicelib.core.language.tokens import WORDS, nearest, threshold_literal
from chalicelib.core.language.units import KNOWN_METRICS
from chalicelib.core.match import PATTERN_OPERATORS, parse_matcher
from chalicelib.core.pattern import PatternError
from chalicelib.rules.file.circles import circles
from chalicelib.rules.file.finding import (
    Finding,
    Path,
    Sense,
    entries_in,
    items_in,
    mapping_in,
    strings_in,
    target_lists,
    tellers,
    zone_exists,
)
from chalicelib.rules.file.measured import measured
from chalicelib.rules.file.outside import outside
from chalicelib.rules.file.reach import reach
from chalicelib.rules.file.services import services
from chalicelib.rules.file.vocabulary import vocabulary
from chalicelib.targets import kinds

_TEMPLATES = ("annotations", "links")
MAX_COUNTED_EVENTS = 2_000
"""An alert remembers so many of its events: a count above that is never reached."""


def sense_of(data: Mapping[str, Any], sense: Sense) -> Iterator[Finding]:
    """Yield everything that is wrong with the sense of a file."""
    yield from _rules(data, sense)
    yield from _declared_metrics(data)
    yield from _names(data)
    yield from _matches(data)
    yield from _targets(data)
    yield from _zones(data)
    yield from vocabulary(data)
    yield from measured(data)
    yield from reach(data)
    yield from circles(data, sense)
    yield from services(data)
    yield from outside(data, sense)


# ---------------------------------------------------------------------------------------------------------------------
# Rules


def _rules(data: Mapping[str, Any], sense: Sense) -> Iterator[Finding]:
    thresholds = mapping_in(mapping_in(data.get("defaults")).get("thresholds"))
    known = set(KNOWN_METRICS) | sense.metrics | {text for _, text in strings_in(data.get("metrics"), ("metrics",))}
    first: dict[str, Path] = {}
    for path, rule in entries_in(data, "alerts"):
        name = rule.get("name")
        if isinstance(name, str):
            if name in first:
                yield Finding((*path, "name"), f"a second rule is named {name!r}", "a name for each rule")
            first.setdefault(name, path)
        yield from _conditions(path, {**rule, "threshold": threshold_of(rule, thresholds)}, sense, known)
        yield from _templates(path, rule)
        yield from _without_notification(path, rule)


def _conditions(path: Path, rule: Mapping[str, Any], sense: Sense, known: set[str]) -> Iterator[Finding]:
    found: dict[str, Condition] = {}
    threshold = _threshold(rule)
    for key in ("condition", "clear"):
        text = rule.get(key)
        if not isinstance(text, str) or not text.strip():
            continue
        try:
            found[key] = parse(text, threshold=threshold)
        except ConditionError as first:
            for error in mistakes(text, threshold=threshold) or [first]:
                yield Finding((*path, key), error.message, error.allowed, error.suggestion, column=error.column)
            yield from _metrics((*path, key), text, _names_in(text), sense, known)
            continue
        yield from _metrics((*path, key), text, found[key].metrics, sense, known)
        yield from _counts((*path, key), found[key])
    if "clear" in rule and "condition" not in rule:
        yield Finding((*path, "clear"), "clear stands without a condition", "condition beside it")
    if len(found) == 2 and found["condition"].counts_events != found["clear"].counts_events:
        yield Finding(
            (*path, "clear"), "clear looks at other things than the condition", "events in both, or metrics in both"
        )


def _threshold(rule: Mapping[str, Any]) -> float | str | None:
    """Return the rule's threshold; a plain number in place of one that is wrong, which the form reports."""
    value = rule.get("threshold")
    if value is None:
        return None
    try:
        threshold_literal(value)
    except ConditionError:
        return 0
    found: float | str = value
    return found


def _names_in(text: str) -> set[str]:
    """Return the words of a condition that could only be metrics, when it cannot be parsed."""
    words = re.findall(r"(?<![\w.:])[A-Za-z_][\w.:]*(?![\w.:]|\s*\()", text)
    known = {*(word.lower() for word in words if word.lower() in WORDS), *CALLABLE, "threshold", "events"}
    return {word for word in words if word not in known and word.lower() not in known and "_" in word}


def _metrics(path: Path, text: str, metrics: Collection[str], sense: Sense, known: set[str]) -> Iterator[Finding]:
    for metric in sorted(set(metrics) - known, key=text.find):
        near = nearest(metric, (*sorted(known), "events"))
        if sense.any_metric and not near:
            continue
        match = re.search(rf"(?<![\w.:]){re.escape(metric)}(?![\w.:])", text)
        column = match.start() + 1 if match else 1
        suggestion = "events[1m]" if near == "events" else near
        yield Finding(
            path,
            f"{metric!r} is not a known metric",
            f"{', '.join(sorted(known))}, or a name under metrics:",
            suggestion,
            column=column,
        )


def _declared_metrics(data: Mapping[str, Any]) -> Iterator[Finding]:
    for path, name in strings_in(data.get("metrics"), ("metrics",)):
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_:.]*", name) or name in (*WORDS, *CALLABLE, "threshold", "events"):
            yield Finding(
                path,
                f"{name[:40]!r} cannot be the name of a metric",
                "letters, digits, _ : . and no word of the language",
            )


def _counts(path: Path, condition: Condition) -> Iterator[Finding]:
    if condition.counts_events and condition.metrics:
        metric = min(condition.metrics, key=condition.text.find)
        yield Finding(
            path, f"the condition counts events and looks at {metric}", "one of both in a rule: make it two rules"
        )
    for match in re.finditer(r"events\[[^\]]*\]\s*(>=?)\s*(\d+(?:\.\d+)?)(?![\w.%])", condition.text):
        if float(match[2]) >= MAX_COUNTED_EVENTS:
            yield Finding(
                path,
                f"more than {MAX_COUNTED_EVENTS} events are not counted apart, so {match[2]} is never reached",
                f"a number below {MAX_COUNTED_EVENTS}, or a shorter window",
                column=match.start(2) + 1,
            )


def _templates(path: Path, rule: Mapping[str, Any]) -> Iterator[Finding]:
    places: list[tuple[Path, Any]] = [((*path, "summary"), rule.get("summary"))]
    places += [((*path, key, name), text) for key in _TEMPLATES for name, text in mapping_in(rule.get(key)).items()]
    for place, text in places:
        for error in template_mistakes(text) if isinstance(text, str) else ():
            what = f"template: {error.message}"
            yield Finding(place, what, error.allowed, error.suggestion, "template", error.column)


def _without_notification(path: Path, rule: Mapping[str, Any]) -> Iterator[Finding]:
    if "notification" in rule:
        return
    for key in ("escalate", "mute", "active"):
        if key in rule:
            yield Finding(
                (*path, key),
                f"{key} stands without notification",
                f"notification beside it, or {key} in a route",
                at_key=True,
            )


# ---------------------------------------------------------------------------------------------------------------------
# Names and clauses


def _names(data: Mapping[str, Any]) -> Iterator[Finding]:
    receivers = list(mapping_in(data.get("receivers")))
    windows = list(mapping_in(data.get("windows")))
    for path, entries in target_lists(data):
        for index, entry in items_in(entries):
            name = mapping_in(entry).get("receiver")
            if not isinstance(name, str):
                continue
            here = (*path, index, "receiver")
            if path[0] == "receivers":
                yield Finding(here, "a receiver names a receiver", ", ".join(kinds()))
            elif name not in receivers:
                yield Finding(
                    here, f"no receiver is named {masked(name)!r}", _listed(receivers), nearest(name, receivers)
                )
    for path, teller in tellers(data):
        for key in ("mute", "active"):
            for here, name in strings_in(teller.get(key), (*path, key)):
                if name not in windows:
                    yield Finding(
                        here, f"no window is named {masked(name)!r}", _listed(windows), nearest(name, windows)
                    )
    yield from _holidays(data)


def _holidays(data: Mapping[str, Any]) -> Iterator[Finding]:
    known = list(mapping_in(data.get("holidays")))
    for window, content in mapping_in(data.get("windows")).items():
        path: Path = ("windows", window, "holidays")
        for here, name in strings_in(mapping_in(content).get("holidays"), path):
            if name not in known:
                what = f"no list of holidays is named {masked(name)!r}"
                yield Finding(here, what, _listed(known), nearest(name, known))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(sorted(names)) if names else "a name that the file defines (it defines none)"


def _matches(data: Mapping[str, Any]) -> Iterator[Finding]:
    places = [((*path, "match"), teller.get("match")) for path, teller in tellers(data)]
    for path, inhibition in entries_in(data, "inhibit"):
        places += [((*path, key), inhibition.get(key)) for key in ("cause", "symptom")]
    for path, clauses in places:
        for label, text in mapping_in(clauses).items():
            yield from _clause((*path, label), label, text)


def _clause(path: Path, label: str, text: Any) -> Iterator[Finding]:
    if re.search(r"[=!~<>\"'{}]|^\s*$", label):
        yield Finding(path, f"{label[:40]!r} is not a label", "letters, digits, _ . - /", at_key=True)
    if not isinstance(text, str):
        return
    matcher = parse_matcher(label, text)
    if matcher.operator not in PATTERN_OPERATORS:
        for wrong, right in (("==", "="), ("~", "=~"), ("<", ""), (">", "")):
            if text.startswith(wrong):
                suggestion = f'"{right}{text[len(wrong) :]}"' if right else ""
                yield Finding(path, f"{label}: {wrong!r} is not an operator", "= != =~ !~", suggestion)
        return
    try:
        matcher.check()
    except PatternError as error:
        what = f"{label}: the pattern is no regular expression of RE2: {error.message}"
        yield Finding(path, what, error.allowed, column=len(matcher.operator) + error.column)


def _targets(data: Mapping[str, Any]) -> Iterator[Finding]:
    words = (*kinds(), "receiver", NOBODY)
    for path, entries in target_lists(data):
        yield from _nobody(path, entries)
        for index, entry in items_in(entries):
            if not isinstance(entry, Mapping):
                continue
            named = [word for word in words if word in entry]
            if not named and entry.keys() <= {"send_resolved", "timeout", "mention"}:
                yield Finding((*path, index), "a target names nothing", ", ".join(words))
            elif len(named) > 1:
                what = f"a target names {' and '.join(named)}"
                yield Finding((*path, index), what, "one of them in each entry of the list, each with - before it")
            if "mention" in entry and "slack_channel" not in entry and named:
                yield Finding((*path, index, "mention"), f"a mention beside {named[0]}", "slack_channel", at_key=True)


def _nobody(path: Path, entries: Any) -> Iterator[Finding]:
    """Find a reason for nobody that does not stand alone, or stands in an escalation. An empty list is one without a reason."""
    may_be = "escalate" not in path
    if entries == []:
        allowed = "nobody with a reason, or at least one target" if may_be else "at least one target"
        kind = "warning" if may_be and path[0] != "receivers" else "mistake"
        yield Finding(path, f"{path[-1]} names no one", allowed, "[{nobody: the reason}]" if may_be else "", kind=kind)
    for index, entry in items_in(entries):
        if NOBODY in mapping_in(entry) and not may_be:
            yield Finding((*path, index, NOBODY), "an escalation to nobody", "at least one target")
        elif NOBODY in mapping_in(entry) and len(entries) > 1:
            yield Finding((*path, index, NOBODY), "nobody stands beside other targets", "nobody alone in its list")


def _zones(data: Mapping[str, Any]) -> Iterator[Finding]:
    places: list[tuple[Path, Any]] = [(("defaults", "timezone"), mapping_in(data.get("defaults")).get("timezone"))]
    for name, window in mapping_in(data.get("windows")).items():
        places.append((("windows", name, "timezone"), mapping_in(window).get("timezone")))
    for path, zone in places:
        if isinstance(zone, str) and zone.strip() and not zone_exists(zone):
            yield Finding(
                path, f"no time zone is named {zone[:40]!r}", "names such as UTC or America/Sao_Paulo", _near_zone(zone)
            )


@lru_cache(maxsize=64)
def _near_zone(name: str) -> str:
    zones = available_timezones()
    wanted = name.replace(" ", "_").lower()
    same = sorted(zone for zone in zones if zone.lower() == wanted or zone.lower().endswith(f"/{wanted}"))
    return same[0] if same else nearest(wanted, zones)
