"""Warnings for words that nothing has: a severity, source or kind, the misspelt name of a rule or of a label.

Every severity is one of three words before anything matches (docs/sources.md). The sender's own word is kept as the
label `severity_raw`. Labels and kinds are the sender's: of these only what is nearly a known word is doubted, and a kind
where all sources of the clause have kinds that are known.
"""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from chalicelib import plugins
from chalicelib.core.event import OWN_SOURCES, Severity
from chalicelib.core.field import masked
from chalicelib.core.language.tokens import nearest
from chalicelib.core.match import Matcher, parse_matcher, refusal
from chalicelib.core.payload import label_names
from chalicelib.core.payload.coerce import SEVERITIES
from chalicelib.rules.file.finding import Finding, Path, entries_in, items_in, mapping_in, strings_in, tellers

MEANT = (
    "service",
    "environment",
    "severity",
    "source",
    "alertname",
    "kind",
    "probe",
    "project",
    "instance",
    "namespace",
    "cluster",
)
"""Labels that a rule most often looks at. A label is misspelt when it is nearly one of them and none that anybody sends."""
SENT = frozenset(
    [
        *label_names.SERVICE,
        *label_names.ENVIRONMENT,
        *label_names.SEVERITY,
        "resource",
        "kinds",
        "services",
        "probes",
    ]
)
NEARLY = 0.85
"""So alike are two words of which one is taken for the other (difflib): one letter wrong, too many or exchanged."""


def vocabulary(data: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield a warning for each word that no event has, as far as that is known."""
    sources = known_sources(data)
    rules = [name for _, rule in entries_in(data, "alerts") if isinstance(name := rule.get("name"), str)]
    places = [((*path, "match"), teller.get("match")) for path, teller in tellers(data)]
    for path, inhibition in entries_in(data, "inhibit"):
        places += [((*path, key), inhibition.get(key)) for key in ("cause", "symptom")]
    for path, clauses in places:
        matchers = [parse_matcher(label, text) for label, text in mapping_in(clauses).items() if isinstance(text, str)]
        for matcher in matchers:
            if matcher.label in ("severity", "source"):
                yield from _clause((*path, matcher.label), matcher, sources)
            if matcher.label == "alertname":
                yield from _name((*path, matcher.label), matcher, rules)
            if matcher.label == "kind":
                yield from _kind((*path, matcher.label), matcher, _fitting(matchers, sources))
    yield from _labels(data, places)


def _fitting(matchers: Sequence[Matcher], sources: tuple[str, ...]) -> list[str]:
    """Return the sources that the clauses on `source` let through."""
    asked = [each for each in matchers if each.label == "source"]
    return [name for name in sources if refusal(asked) or all(each.matches({"source": name}) for each in asked)]


def _kind(path: Path, matcher: Matcher, sources: Sequence[str]) -> Iterator[Finding]:
    """Doubt a kind that no source has whose kinds are known. Where others fit too, doubt only what is nearly a known one."""
    known = {name: kinds for name in sources if (kinds := _kinds_of(name))}
    words = tuple(sorted({word for kinds in known.values() for word in kinds}))
    if matcher.operator in ("!=", "!~") or matcher.value == "" or _can_match(matcher, words):
        return
    meant = _meant(matcher, words) if matcher.operator == "=" else ""
    if meant or (known and len(known) == len(sources)):
        which = f"of {', '.join(sources)} " if len(known) == len(sources) else ""
        what = f"kind: no event {which}has the kind {matcher.value[:40]!r}, so this never matches"
        near = meant or (nearest(matcher.value, words) if matcher.operator == "=" else "")
        yield Finding(path, what, "a kind that docs/sources.md has, or that `tocsin parse` prints", near, "doubt")


def _kinds_of(source: str) -> tuple[str, ...]:
    """Return the kinds of a built-in source; nothing of one whose sender names them freely."""
    if source not in plugins.names("sources"):
        return ()
    found: tuple[str, ...] = getattr(plugins.load_source(source), "kinds", tuple)()
    return found


def _meant(matcher: Matcher, words: Sequence[str]) -> str:
    """Return the known word that a misspelt one means, or that begins with it; empty when there is none."""
    begun = [word for word in words if word.startswith(f"{matcher.value}.")]
    return begun[0] if begun else _nearly(matcher.value, words)


def _nearly(word: str, words: Sequence[str]) -> str:
    found = difflib.get_close_matches(word, words, n=1, cutoff=NEARLY)
    return found[0] if found else ""


def _labels(data: Mapping[str, Any], matched: Sequence[tuple[Path, Any]]) -> Iterator[Finding]:
    """Yield a warning for each misspelt label of a clause, a grouping, a relation or of what joins incidents."""
    given = _given(data)
    places = [((*path, label), label, True) for path, clauses in matched for label in mapping_in(clauses)]
    for path, section in [(("defaults",), data.get("defaults")), *tellers(data)]:
        places += [
            (here, text, False) for here, text in strings_in(mapping_in(section).get("group_by"), (*path, "group_by"))
        ]
    for path, inhibition in entries_in(data, "inhibit"):
        places += [(here, text, False) for here, text in strings_in(inhibition.get("equal"), (*path, "equal"))]
    by = mapping_in(data.get("correlate")).get("by")
    places += [(here, text, False) for here, text in strings_in(by, ("correlate", "by"))]
    for here, label, is_key in places:
        near = _nearly(label, MEANT) if isinstance(label, str) and label not in given else ""
        if near and label not in MEANT:
            what = f"{masked(label)!r} is a label that nothing known carries"
            yield Finding(
                here, what, "a label that docs/sources.md has, or that a sender sets", near, "doubt", 0, is_key
            )


def _given(data: Mapping[str, Any]) -> frozenset[str]:
    """Return the labels that senders or the file itself set, whatever they resemble."""
    own = [rule.get("labels") for _, rule in entries_in(data, "alerts")]
    for entries in mapping_in(data.get("probes")).values():
        own += [mapping_in(entry).get("labels") for _, entry in items_in(entries)]
    own += [entry.get(key) for _, entry in entries_in(data, "sources") for key in ("labels", "constant_labels")]
    for service in mapping_in(data.get("services")).values():
        aliases = mapping_in(mapping_in(service).get("aliases"))
        own += [aliases, aliases.get("labels"), *(each for _, each in items_in(aliases.get("labels")))]
    return SENT | {str(label) for labels in own for label in mapping_in(labels)}


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
