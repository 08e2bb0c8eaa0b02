"""Which services a recorded timeline names, and which aliases and labels of the rules file nothing in it has."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chalicelib.core.errors import ParseError
from chalicelib.core.event import ROUTER, Event
from chalicelib.core.rule import Rule, Rules
from chalicelib.core.services import SERVICE, Alias, fits, seen_by_aliases
from chalicelib.process.parse import parsed
from simulation.timeline import Fields, Times, event_of, sample_of

GIVEN = ("severity", SERVICE, "environment")
"""Labels that every sender may set: a short history shows little of them."""
Line = tuple[int, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class SeenNames:
    """What a timeline shows of names.

    `unknown` are services of no entry, with their sender and how often, `unmatched` aliases without use, and `unlabelled` the
    rules whose matchers ask for a label that nothing has.
    """

    unknown: tuple[tuple[str, str, int], ...] = ()
    unmatched: tuple[tuple[str, Alias], ...] = ()
    unlabelled: tuple[tuple[str, str], ...] = ()


def names_seen(rules: Rules, lines: Sequence[Line]) -> SeenNames:
    """Return what the lines show. Samples have the sender `probe`. Without `services:` nothing is shown of services."""
    services = rules.services
    unknown: Counter[tuple[str, str]] = Counter()
    waiting = {(each.name, alias) for each in services.declared.values() for alias in each.aliases}
    known: set[tuple[tuple[str, str], ...]] = set()
    carried: set[str] = set(GIVEN)
    keys = {label for _, alias in waiting for label, _ in alias} | {SERVICE, "source"}
    for labels in _labels(rules, lines):
        carried.update(labels)
        source, said = labels["source"], labels.get(SERVICE, "")
        if (
            services.declared
            and said
            and said not in services.declared
            and services.of(labels) is None
            and source != ROUTER
        ):
            unknown[source, said] += 1
        short = tuple(sorted((label, labels[label]) for label in keys & labels.keys()))
        if short not in known:
            known.add(short)
            waiting = {each for each in waiting if not fits(each[1], labels)}
    aliases = ((each.name, alias) for each in services.declared.values() for alias in each.aliases)
    counted = sorted(((*key, count) for key, count in unknown.items()), key=lambda each: (-each[2], each))
    unlabelled = tuple((rule.name, label) for rule in rules.rules for label in _looked_at(rule) if label not in carried)
    return SeenNames(tuple(counted), tuple(each for each in aliases if each in waiting), unlabelled)


def _looked_at(rule: Rule) -> Iterator[str]:
    """Yield each label that an event must have for the rule, once."""
    yield from dict.fromkeys(each.label for each in rule.matchers if not each.matches({}))


def _labels(rules: Rules, lines: Iterable[Line]) -> Iterator[Mapping[str, str]]:
    """Yield what aliases see of each event, sample, probe's result and heartbeat of the lines."""
    for number, line in lines:
        times = Times(isinstance(line.get("at"), str))
        at = times.read(line.get("at", 0), "`at`")
        if "sample" in line:
            yield {**sample_of(Fields("sample", line["sample"], times), at).labels, "source": "probe"}
        elif "probe" in line:
            given = Fields("probe", line["probe"], times)
            yield {**given.texts("labels"), "probe": given.text("name"), "source": "probe"}
        elif "beat" in line:
            yield {"heartbeat": Fields("beat", line["beat"], times).text("name"), "source": "heartbeat"}
        else:
            yield from map(seen_by_aliases, _events(rules, line, number, times, at))


def _events(rules: Rules, line: Mapping[str, Any], number: int, times: Times, at: datetime) -> Iterable[Event]:
    if "event" in line:
        return [event_of(Fields("event", line["event"], times), at, number)]
    if "webhook" not in line:
        return ()
    given = Fields("webhook", line["webhook"], times)
    body = given.get("body")
    text = body if isinstance(body, str) else json.dumps(body)
    try:
        return parsed(given.text("source"), given.texts("headers"), text.encode("utf-8", "surrogatepass"), rules, at)
    except ParseError as error:
        return error.read
