"""Warnings for matchers that can never match: a severity or a source that no event has, the misspelt name of a rule.

Every severity is one of three words before anything matches (docs/sources.md). The sender's own word is kept as the
label `severity_raw`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from chalicelib import plugins
from chalicelib.core.event import OWN_SOURCES, Severity
from chalicelib.core.field import masked
from chalicelib.core.language.tokens import nearest
from chalicelib.core.match import Matcher, parse_matcher, refusal
from chalicelib.core.payload.coerce import SEVERITIES
from chalicelib.rules.file.finding import Finding, Path, entries_in, mapping_in, tellers


def vocabulary(data: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield a warning for each clause on `severity` or `source` that no event can satisfy."""
    sources = known_sources(data)
    rules = [name for _, rule in entries_in(data, "alerts") if isinstance(name := rule.get("name"), str)]
    places = [((*path, "match"), teller.get("match")) for path, teller in tellers(data)]
    for path, inhibition in entries_in(data, "inhibit"):
        places += [((*path, key), inhibition.get(key)) for key in ("cause", "symptom")]
    for path, clauses in places:
        for label, text in mapping_in(clauses).items():
            if label in ("severity", "source") and isinstance(text, str):
                yield from _clause((*path, label), parse_matcher(label, text), sources)
            if label == "alertname" and isinstance(text, str):
                yield from _name((*path, label), parse_matcher(label, text), rules)


def known_sources(data: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the sources that events of a stage with this file can have."""
    declared = (mapping_in(entry).get("name") for _, entry in entries_in(data, "sources"))
    return (*plugins.names("sources"), *OWN_SOURCES, *(name for name in declared if isinstance(name, str)))


def _clause(path: Path, matcher: Matcher, sources: tuple[str, ...]) -> Iterator[Finding]:
    words = sources if matcher.label == "source" else tuple(each.value for each in Severity)
    if matcher.operator in ("!=", "!~") or matcher.value == "" or _can_match(matcher, words):
        return
    what = f"{matcher.label}: nothing has the {matcher.label} {matcher.value[:40]!r}, so this never matches"
    yield Finding(path, what, _allowed(matcher, words), _suggestion(matcher, words), "warning")


def _name(path: Path, matcher: Matcher, rules: Sequence[str]) -> Iterator[Finding]:
    """Doubt a name that is nearly that of a rule. Others may be what a sender calls its alert."""
    near = nearest(matcher.value, rules) if matcher.operator == "=" and matcher.value not in rules else ""
    if near:
        what = f"alertname: no rule is named {masked(matcher.value)!r}"
        yield Finding(path, what, "the name of a rule, or what a sender calls its alert", near, "warning")


def _can_match(matcher: Matcher, words: tuple[str, ...]) -> bool:
    """Return whether a word satisfies the clause; True for a pattern that RE2 refuses, which is a mistake itself."""
    return bool(refusal([matcher])) or any(matcher.matches({matcher.label: word}) for word in words)


def _allowed(matcher: Matcher, words: tuple[str, ...]) -> str:
    listed = ", ".join(sorted(words))
    if matcher.label == "severity":
        return f"{listed}; the sender's own word is the label severity_raw"
    return listed


def _suggestion(matcher: Matcher, words: tuple[str, ...]) -> str:
    if matcher.operator != "=":
        return ""
    known = SEVERITIES.get(matcher.value.lower()) if matcher.label == "severity" else None
    return known.value if known else nearest(matcher.value.lower(), words)
