"""The sense of a rules file whose form may or may not be right: what its words mean together.

Conditions and templates are parsed, names must exist, regular expressions must compile, routes must be reachable. Each
check looks only at what has the right form and passes over the rest, which the form has told already.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from chalicelib import plugins
from chalicelib.core import cron
from chalicelib.core.build import DAYS, kebab_case, minute_of
from chalicelib.core.condition import Condition, ConditionError, mistakes, parse
from chalicelib.core.errors import RulesError, UnknownSourceError
from chalicelib.core.grammar import CALLABLE
from chalicelib.core.match import MAX_PATTERN_CHARACTERS, Matcher, parse_matcher
from chalicelib.core.mute import muting_windows
from chalicelib.core.rule import Route, Window
from chalicelib.core.template import template_mistakes
from chalicelib.core.tokens import WORDS, nearest, threshold_literal
from chalicelib.core.units import KNOWN_METRICS, parse_duration

Path = tuple[str | int, ...]
Named = tuple[Path, str]

HEADINGS = ("Meaning", "Impact", "Diagnosis", "Mitigation")
PROBES = ("uptime", "database", "redis", "cloudflare", "heartbeat", "journey")
HEARTBEAT_FIELDS = ("name", "every", "cron", "timezone", "grace", "service", "environment", "labels", "severity")
TEST_FIELDS = ("name", "given", "expect", "interval", "input_series", "alert_rule_test")
PROMTOOL_FIELDS = ("promql_expr_test", "external_labels", "external_url", "start_timestamp")
"""Fields of a promtool test that do not apply here: `tocsin test` says so and goes on."""
MAX_COUNTED_EVENTS = 2_000
"""An alert remembers so many of its events: a count above that is never reached."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong (or, as a warning, doubtful) at a path; `column` counts within the text that stands there.

    `kind` is mistake, template or test (the router runs on), or warning.
    """

    path: Path
    what: str
    allowed: str = ""
    suggestion: str = ""
    kind: str = "mistake"
    column: int = 0
    at_key: bool = False


@dataclass(slots=True)
class Sense:
    """What is known beside the file: further metrics, and the runbook's pages by name, with or without their text.

    `any_metric`: a metric that resembles no known one may come from outside.
    """

    metrics: frozenset[str] = frozenset()
    any_metric: bool = False
    runbooks: Mapping[str, str] | Collection[str] | None = None


def masked(text: str) -> str:
    """The text without what could be a secret: of an address only its host, nothing longer than a name."""
    if "://" in text:
        try:
            parts = urlsplit(text)
            host = f"{parts.scheme}://{(parts.hostname or '')[:60]}"
            return f"{host}/…" if parts.path.strip("/") or parts.query else host
        except ValueError:
            return "…"
    return text[:40]


def sense_of(data: Mapping[str, Any], sense: Sense) -> Iterator[Finding]:
    """Everything that is wrong with the sense of a file."""
    yield from _rules(data, sense)
    yield from _declared_metrics(data)
    yield from _names(data)
    yield from _matches(data)
    yield from _targets(data)
    yield from _zones(data)
    yield from _routes(data)
    yield from _inhibitions(data)
    yield from _windows(data)
    yield from _probes(data)
    yield from _sources(data)
    yield from _tests(data)
    yield from _pages(data, sense)


# ---------------------------------------------------------------------------------------------------------------------
# Reading what may be anything


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _items(value: Any) -> list[tuple[int, Any]]:
    return list(enumerate(value)) if isinstance(value, list) else []


def _entries(data: Mapping[str, Any], section: str) -> list[tuple[Path, Mapping[str, Any]]]:
    return [((section, index), each) for index, each in _items(data.get(section)) if isinstance(each, Mapping)]


def _strings(value: Any, path: Path) -> list[Named]:
    return [((*path, index), each) for index, each in _items(value) if isinstance(each, str)]


def _tree(data: Mapping[str, Any]) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Every route, parents first."""
    waiting = _entries(data, "routes")
    while waiting:
        path, route = waiting.pop(0)
        yield path, route
        waiting = [((*path, *below), each) for below, each in _entries(route, "routes")] + waiting


def _tellers(data: Mapping[str, Any]) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Everything that can name who hears."""
    yield from _entries(data, "alerts")
    yield from _tree(data)
    for name in ("default", "fallback"):
        if isinstance(data.get(name), Mapping):
            yield (name,), data[name]


def _target_lists(data: Mapping[str, Any]) -> Iterator[tuple[Path, Any]]:
    for path, teller in _tellers(data):
        if "notification" in teller:
            yield (*path, "notification"), teller["notification"]
        for index, each in _items(teller.get("escalate")):
            if isinstance(each, Mapping) and "notification" in each:
                yield (*path, "escalate", index, "notification"), each["notification"]
    for name, entries in _mapping(data.get("receivers")).items():
        yield ("receivers", name), entries


# ---------------------------------------------------------------------------------------------------------------------
# Rules


def _rules(data: Mapping[str, Any], sense: Sense) -> Iterator[Finding]:
    known = set(KNOWN_METRICS) | sense.metrics | {text for _, text in _strings(data.get("metrics"), ("metrics",))}
    first: dict[str, Path] = {}
    for path, rule in _entries(data, "alerts"):
        name = rule.get("name")
        if isinstance(name, str):
            if name in first:
                yield Finding((*path, "name"), f"a second rule is named {name!r}", "a name for each rule")
            first.setdefault(name, path)
        yield from _conditions(path, rule, sense, known)
        yield from _summary(path, rule)
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
    """The rule's threshold; a plain number in place of one that is wrong, which the form tells."""
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
    """The words of a condition that could only be metrics, when it cannot be parsed."""
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
    for path, name in _strings(data.get("metrics"), ("metrics",)):
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
                f"more than {MAX_COUNTED_EVENTS} events are not told apart, so {match[2]} is never reached",
                f"a number below {MAX_COUNTED_EVENTS}, or a shorter window",
                column=match.start(2) + 1,
            )


def _summary(path: Path, rule: Mapping[str, Any]) -> Iterator[Finding]:
    text = rule.get("summary")
    if not isinstance(text, str):
        return
    for error in template_mistakes(text):
        what = f"template: {error.message}"
        yield Finding((*path, "summary"), what, error.allowed, error.suggestion, "template", error.column)


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
    receivers = list(_mapping(data.get("receivers")))
    windows = list(_mapping(data.get("windows")))
    for path, entries in _target_lists(data):
        for index, entry in _items(entries):
            name = _mapping(entry).get("receiver")
            if not isinstance(name, str):
                continue
            here = (*path, index, "receiver")
            if path[0] == "receivers":
                yield Finding(here, "a receiver names a receiver", "slack_channel, email, pagerduty, webhook")
            elif name not in receivers:
                yield Finding(
                    here, f"no receiver is named {masked(name)!r}", _listed(receivers), nearest(name, receivers)
                )
    for path, teller in _tellers(data):
        for key in ("mute", "active"):
            for here, name in _strings(teller.get(key), (*path, key)):
                if name not in windows:
                    yield Finding(
                        here, f"no window is named {masked(name)!r}", _listed(windows), nearest(name, windows)
                    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(sorted(names)) if names else "a name that the file defines (it defines none)"


def _matches(data: Mapping[str, Any]) -> Iterator[Finding]:
    places = [((*path, "match"), teller.get("match")) for path, teller in _tellers(data)]
    for path, inhibition in _entries(data, "inhibit"):
        places += [((*path, key), inhibition.get(key)) for key in ("cause", "symptom")]
    for path, clauses in places:
        for label, text in _mapping(clauses).items():
            yield from _clause((*path, label), label, text)


def _clause(path: Path, label: str, text: Any) -> Iterator[Finding]:
    if re.search(r"[=!~<>\"'{}]|^\s*$", label):
        yield Finding(path, f"{label[:40]!r} is not a label", "letters, digits, _ . - /", at_key=True)
    if not isinstance(text, str):
        return
    matcher = parse_matcher(label, text)
    if matcher.operator not in ("=~", "!~"):
        for wrong, right in (("==", "="), ("~", "=~"), ("<", ""), (">", "")):
            if text.startswith(wrong):
                suggestion = f'"{right}{text[len(wrong) :]}"' if right else ""
                yield Finding(path, f"{label}: {wrong!r} is not an operator", "= != =~ !~", suggestion)
        return
    if len(matcher.value) > MAX_PATTERN_CHARACTERS:
        yield Finding(path, f"{label}: the pattern is too long", f"{MAX_PATTERN_CHARACTERS} characters")
        return
    try:
        re.compile(matcher.value)
    except re.error as error:
        column = len(matcher.operator) + 1 + (error.pos or 0)
        what = f"{label}: the regular expression does not compile: {error.msg}"
        yield Finding(path, what, "Python's syntax of regular expressions", column=column)
    except (RecursionError, OverflowError):
        yield Finding(path, f"{label}: the regular expression is too deep", "a simpler one")


def _targets(data: Mapping[str, Any]) -> Iterator[Finding]:
    kinds = ("slack_channel", "email", "pagerduty", "webhook", "receiver")
    for path, entries in _target_lists(data):
        if entries == []:
            yield Finding(path, f"{path[-1]} names no one", "at least one target")
        for index, entry in _items(entries):
            if not isinstance(entry, Mapping):
                continue
            named = [kind for kind in kinds if kind in entry]
            if not named and entry.keys() <= {"send_resolved", "timeout"}:
                yield Finding((*path, index), "a target names nothing", ", ".join(kinds))
            elif len(named) > 1:
                what = f"a target names {' and '.join(named)}"
                yield Finding((*path, index), what, "one of them in each entry of the list, each with - before it")


def _zones(data: Mapping[str, Any]) -> Iterator[Finding]:
    places: list[tuple[Path, Any]] = [(("defaults", "timezone"), _mapping(data.get("defaults")).get("timezone"))]
    for name, window in _mapping(data.get("windows")).items():
        places.append((("windows", name, "timezone"), _mapping(window).get("timezone")))
    for path, zone in places:
        if isinstance(zone, str) and zone.strip() and not _zone_exists(zone):
            yield Finding(
                path, f"no time zone is named {zone[:40]!r}", "names such as UTC or America/Sao_Paulo", _near_zone(zone)
            )


@lru_cache(maxsize=64)
def _zone_exists(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True


@lru_cache(maxsize=64)
def _near_zone(name: str) -> str:
    zones = available_timezones()
    wanted = name.replace(" ", "_").lower()
    same = sorted(zone for zone in zones if zone.lower() == wanted or zone.lower().endswith(f"/{wanted}"))
    return same[0] if same else nearest(wanted, zones)


# ---------------------------------------------------------------------------------------------------------------------
# Routes and inhibitions


def _clauses(value: Any) -> tuple[Matcher, ...]:
    return tuple(parse_matcher(label, str(text)) for label, text in _mapping(value).items())


def implied(clause: Matcher, by: Collection[Matcher]) -> bool:
    """True when everything that satisfies `by` certainly satisfies the clause."""
    if clause in by:
        return True
    pinned = [each for each in by if each.label == clause.label and each.operator == "="]
    try:
        return any(clause.matches({each.label: each.value}) for each in pinned)
    except re.error:
        return False


def contradict(clauses: Collection[Matcher]) -> tuple[Matcher, Matcher] | None:
    """Two clauses that nothing satisfies together, if they are plain to see."""
    for pinned in (each for each in clauses if each.operator == "="):
        for other in clauses:
            try:
                if other.label == pinned.label and not other.matches({pinned.label: pinned.value}):
                    return pinned, other
            except re.error:
                continue
    return None


def _routes(data: Mapping[str, Any]) -> Iterator[Finding]:
    yield from _siblings(_entries(data, "routes"), (), ())


def _siblings(
    routes: Sequence[tuple[Path, Mapping[str, Any]]], prefix: Path, above: tuple[Matcher, ...]
) -> Iterator[Finding]:
    earlier: list[tuple[Path, tuple[Matcher, ...]]] = []
    for below, route in routes:
        path, own = (*prefix, *below), _clauses(route.get("match"))
        whole = (*above, *own)
        taken = next((first for first, taken in earlier if all(implied(each, whole) for each in taken)), None)
        clash = contradict(whole)
        if taken is not None:
            what = f"the route is never reached: {_route_name(taken)} takes all that it matches"
            yield Finding(path, what, f"continue: true in {_route_name(taken)}, or this one before it", kind="warning")
        elif clash is not None:
            what = f"the route is never reached: {clash[0]} and {clash[1]} exclude each other"
            yield Finding(path, what, "clauses that can hold together with those above", kind="warning")
        if route.get("continue") is not True:
            earlier.append((path, own))
        yield from _siblings(_entries(route, "routes"), path, whole)


def _route_name(path: Path) -> str:
    return "route/" + "/".join(str(part) for part in path if isinstance(part, int))


def _inhibitions(data: Mapping[str, Any]) -> Iterator[Finding]:
    rules = {str(rule.get("name")): rule for _, rule in _entries(data, "alerts")}
    for path, inhibition in _entries(data, "inhibit"):
        for key in ("cause", "symptom"):
            if inhibition.get(key) == {}:
                yield Finding(
                    (*path, key), f"an inhibition with an empty {key} matches everything", "at least one clause"
                )
        cause, symptom = _clauses(inhibition.get("cause")), _clauses(inhibition.get("symptom"))
        known = [*cause, *_known_of(cause, rules)]
        if cause and symptom and all(implied(each, known) for each in symptom):
            what = "the inhibition mutes itself: every cause is a symptom too"
            yield Finding(path, what, "clauses of symptom that the cause does not satisfy")


def _known_of(cause: Sequence[Matcher], rules: Mapping[str, Mapping[str, Any]]) -> Iterator[Matcher]:
    """What is known of an alert of the rule that the cause names."""
    for clause in cause:
        rule = rules.get(clause.value) if clause.label == "alertname" and clause.operator == "=" else None
        if rule is None:
            continue
        if isinstance(rule.get("severity"), str):
            yield Matcher("severity", "=", rule["severity"])
        for label, text in _mapping(rule.get("labels")).items():
            yield Matcher(label, "=", str(text))


# ---------------------------------------------------------------------------------------------------------------------
# Windows


def _windows(data: Mapping[str, Any]) -> Iterator[Finding]:
    default_zone = _mapping(data.get("defaults")).get("timezone") or "UTC"
    windows: dict[str, Window] = {}
    for name, window in _mapping(data.get("windows")).items():
        built = _window(name, _mapping(window), str(default_zone))
        if built is not None:
            windows[name] = built
        yield from _never_opens(name, _mapping(window), built)
    for path, teller in _tellers(data):
        mute = tuple(text for _, text in _strings(teller.get("mute"), ()))
        active = tuple(text for _, text in _strings(teller.get("active"), ()))
        if (
            (mute or active)
            and all(name in windows for name in (*mute, *active))
            and _always_quiet(mute, active, windows)
        ):
            key = "active" if active else "mute"
            yield Finding(
                (*path, key),
                f"nobody is ever told: {', '.join((*active, *mute))} leave no time",
                "a time that is open",
                kind="warning",
            )


def _never_opens(name: str, window: Mapping[str, Any], built: Window | None) -> Iterator[Finding]:
    what = f"the window {name} never opens"
    if window.get("days") == []:
        allowed = "days, or leaving days out"
        yield Finding(("windows", name), f"{what}: days is empty", allowed, kind="warning")
    if built is not None and built.from_minute == built.to_minute:
        allowed = "a later end, or leaving both out for the whole day"
        yield Finding(("windows", name), f"{what}: it ends where it begins", allowed, kind="warning")


def _window(name: str, window: Mapping[str, Any], default_zone: str) -> Window | None:
    days, zone = window.get("days"), window.get("timezone") or default_zone
    begins, ends = window.get("from", "00:00"), window.get("to", "24:00")
    if not isinstance(zone, str) or not _zone_exists(zone):
        return None
    if not all(isinstance(each, str) and re.fullmatch(r"\d\d:\d\d", each) for each in (begins, ends)):
        return None
    if days is not None and not (isinstance(days, list) and all(day in DAYS for day in days)):
        return None
    numbers = frozenset(DAYS.index(day) for day in days) if days else frozenset({-1} if days == [] else ())
    return Window(name, numbers, minute_of(begins), minute_of(ends), zone)


def _always_quiet(mute: tuple[str, ...], active: tuple[str, ...], windows: Mapping[str, Window]) -> bool:
    route = Route(id="", mute=mute, active=active)
    start = datetime(2024, 1, 1, tzinfo=UTC)
    moments = (start + timedelta(minutes=5 * step) for step in range(8 * 288))
    return all(muting_windows(route, windows, moment) for moment in moments)


# ---------------------------------------------------------------------------------------------------------------------
# Probes, sources, pages


def _probes(data: Mapping[str, Any]) -> Iterator[Finding]:
    seen: dict[tuple[str, str], Path] = {}
    for kind, entries in _mapping(data.get("probes")).items():
        path: Path = ("probes", kind)
        if kind not in probe_kinds():
            yield Finding(
                path, f"no probe is named {kind!r}", ", ".join(probe_kinds()), nearest(kind, probe_kinds()), at_key=True
            )
            continue
        for index, entry in _items(entries):
            if not isinstance(entry, Mapping):
                continue
            here = (*path, index)
            name = entry.get("name")
            if isinstance(name, str) and (kind, name) in seen:
                yield Finding((*here, "name"), f"a second {kind} probe is named {name!r}", "a name for each probe")
            seen.setdefault((kind, str(name)), here)
            mistakes = _heartbeat(entry) if kind == "heartbeat" else _probe_mistakes(kind, entry)
            for text in mistakes:
                what, _, allowed = text.partition("; allowed is ")
                yield Finding(here, f"{kind}: {what}", allowed.rstrip("."))


@lru_cache(maxsize=1)
def probe_kinds() -> tuple[str, ...]:
    """The words under `probes:`; a file in probes/ is a word of its own."""
    return tuple(dict.fromkeys((*PROBES, *plugins.names("probes"))))


def _probe_mistakes(kind: str, entry: Mapping[str, Any]) -> list[str]:
    """What the probe itself says of its parameters; without its drivers, nothing."""
    try:
        module: Any = plugins.load("probes", kind)
    except (ImportError, RulesError):
        return []
    validate: Callable[[Mapping[str, Any]], list[str]] = module.validate
    return validate(entry)


def _heartbeat(entry: Mapping[str, Any]) -> Iterator[str]:
    for key in entry:
        if key not in HEARTBEAT_FIELDS:
            yield f"{key!r} is not a field; allowed is {', '.join(HEARTBEAT_FIELDS)}"
    if not isinstance(entry.get("name"), str) or not entry["name"]:
        yield "name is missing; allowed is a name, such as backup"
    if ("every" in entry) == ("cron" in entry):
        yield 'one of every and cron is needed; allowed is every: 1d, or cron: "0 10 * * *"'
    yield from _heartbeat_times(entry)
    if entry.get("severity") not in (None, "critical", "warning", "info"):
        yield "severity is not known; allowed is critical, warning, info"


def _heartbeat_times(entry: Mapping[str, Any]) -> Iterator[str]:
    for key in ("every", "grace"):
        try:
            if key in entry and parse_duration(entry[key]) <= timedelta(0) and key == "every":
                yield "every must be longer than nothing; allowed is a duration, such as 1d"
        except ValueError as error:
            yield f"{key}: {error}"
    try:
        if isinstance(entry.get("cron"), str):
            cron.parse(entry["cron"])
    except ValueError as error:
        yield str(error)
    zone = entry.get("timezone")
    if zone is not None and not (isinstance(zone, str) and _zone_exists(zone)):
        yield "timezone does not exist; allowed is a name such as UTC or America/Sao_Paulo"


def _sources(data: Mapping[str, Any]) -> Iterator[Finding]:
    seen: set[str] = set()
    for path, source in _entries(data, "sources"):
        name = source.get("name")
        if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,63}", name):
            yield Finding(path, "a source needs a name", "small letters, digits, - and _: it is part of its address")
        elif name in seen:
            yield Finding((*path, "name"), f"a second source is named {name!r}", "a name for each source")
        seen.add(str(name))
        for text in _source_mistakes(source):
            what, _, allowed = text.partition("; allowed is ")
            yield Finding(path, f"source: {what}", allowed.rstrip("."))


def _source_mistakes(source: Mapping[str, Any]) -> list[str]:
    """What the generic source says of its mapping."""
    try:
        module: Any = plugins.load("sources", "generic")
    except (ImportError, UnknownSourceError):
        return []
    validate: Callable[[Mapping[str, Any]], list[str]] | None = getattr(module, "validate", None)
    return validate(source) if validate is not None else []


def _tests(data: Mapping[str, Any]) -> Iterator[Finding]:
    """The form of each test; what its lines mean is told by `tocsin test`, which runs them."""
    for path, test in _entries(data, "tests"):
        known = (*TEST_FIELDS, *PROMTOOL_FIELDS)
        for key in test.keys() - set(known):
            allowed = ", ".join(TEST_FIELDS)
            yield Finding(
                (*path, key), f"{key!r} is not a key of a test", allowed, nearest(key, known), "test", 0, True
            )
        if not test.keys() & {"expect", "alert_rule_test"}:
            yield Finding(path, "the test expects nothing", "expect: [] where nobody must be told", kind="test")
        for key in ("given", "expect", "input_series", "alert_rule_test"):
            entries = test.get(key)
            if entries is not None and not (isinstance(entries, list) and all(isinstance(e, Mapping) for e in entries)):
                yield Finding(
                    (*path, key), f"{key} is not a list of mappings", "a list, such as [{at: 0, …}]", kind="test"
                )


def _pages(data: Mapping[str, Any], sense: Sense) -> Iterator[Finding]:
    if sense.runbooks is None:
        return
    for path, rule in _entries(data, "alerts"):
        named, name = rule.get("runbook"), rule.get("name")
        page = named if isinstance(named, str) else kebab_case(name) if isinstance(name, str) else ""
        if not page:
            continue
        here = (*path, "runbook") if isinstance(named, str) else (*path, "name")
        if page not in sense.runbooks:
            what = f"the rule has no page runbook/{page}.md"
            yield Finding(
                here,
                what,
                f"a page with {', '.join(HEADINGS)}",
                nearest(page, sense.runbooks) if named else "",
                "warning",
            )
        elif isinstance(sense.runbooks, Mapping):
            missing = missing_headings(sense.runbooks[page])
            if missing:
                what = f"the page runbook/{page}.md lacks {', '.join(missing)}"
                yield Finding(here, what, f"the headings {', '.join(HEADINGS)}", kind="warning")


def missing_headings(page: str) -> list[str]:
    """Which of the four headings a page lacks; those in code blocks do not count."""
    found, fence = set(), ""
    for line in page.splitlines():
        mark = line.strip()[:3]
        if mark in ("```", "~~~") and fence in ("", mark):
            fence = "" if fence else mark
        heading = re.fullmatch(r"#{1,6}\s+(.*?)\s*#*\s*", line)
        if heading and not fence:
            found.add(heading[1].strip().lower())
    return [each for each in HEADINGS if each.lower() not in found]
