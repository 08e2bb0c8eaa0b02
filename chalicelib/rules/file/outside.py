"""What a rules file says of things that are described elsewhere: probes, sources, tests, pages of the runbook."""

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from chalicelib import plugins
from chalicelib.core.build import kebab_case
from chalicelib.core.delivery import request_template
from chalicelib.core.delivery.target_kind import LAST_PLACE
from chalicelib.core.errors import RulesError
from chalicelib.core.event import OWN_SOURCES
from chalicelib.core.language import cron
from chalicelib.core.language.tokens import nearest
from chalicelib.core.language.units import parse_duration
from chalicelib.core.probe_state import MAX_PROBES
from chalicelib.rules.file.finding import Finding, Path, Sense, entries_in, items_in, mapping_in, zone_exists

if TYPE_CHECKING:
    from chalicelib.plugin_modules import AnyProbeModule

MINUTE = timedelta(minutes=1)
HEADINGS = ("Meaning", "Impact", "Diagnosis", "Mitigation")
HEARTBEAT = "heartbeat"
HEARTBEAT_MEANING = "A job that must report in time: every or cron, and a grace."
HEARTBEAT_PLACE = 5
"""A word under `probes:` without a file: a heartbeat waits to be called."""
HEARTBEAT_FIELDS = (
    "name", "every", "cron", "timezone", "grace", "max_run", "from_first_beat", "service", "environment", "labels", "severity",
)  # fmt: skip
TEST_FIELDS = ("name", "given", "expect", "interval", "input_series", "alert_rule_test")
PROMTOOL_FIELDS = ("promql_expr_test", "external_labels", "external_url", "start_timestamp")
"""Fields of a promtool test that do not apply here: `tocsin test` says so and goes on."""


def outside(data: Mapping[str, Any], sense: Sense) -> Iterator[Finding]:
    """Yield what the file says of probes, sources, tests and pages."""
    yield from _probes(data)
    yield from _probe_count(data)
    yield from _sources(data)
    yield from _webhooks(data)
    yield from _tests(data)
    yield from _pages(data, sense)


def _probes(data: Mapping[str, Any]) -> Iterator[Finding]:
    seen: dict[tuple[str, str], Path] = {}
    for kind, entries in mapping_in(data.get("probes")).items():
        path: Path = ("probes", kind)
        if not is_probe(kind):
            known = tuple(probe_meanings())
            yield Finding(path, f"no probe is named {kind!r}", ", ".join(known), nearest(kind, known), at_key=True)
            continue
        for index, entry in items_in(entries):
            if not isinstance(entry, Mapping):
                continue
            here = (*path, index)
            name = entry.get("name")
            if isinstance(name, str) and (kind, name) in seen:
                yield Finding((*here, "name"), f"a second {kind} probe is named {name!r}", "a name for each probe")
            seen.setdefault((kind, str(name)), here)
            mistakes = _heartbeat(entry) if kind == HEARTBEAT else _probe_mistakes(kind, entry)
            for text in mistakes:
                what, _, allowed = text.partition("; allowed is ")
                yield Finding(here, f"{kind}: {what}", allowed.rstrip("."))


def _probe_count(data: Mapping[str, Any]) -> Iterator[Finding]:
    """Find more probes than a stage has."""
    probes = mapping_in(data.get("probes")).items()
    count = sum(len(list(items_in(entries))) for kind, entries in probes if kind != HEARTBEAT and is_probe(kind))
    if count > MAX_PROBES:
        yield Finding(("probes",), f"{count:,} probes are more than a stage runs", f"{MAX_PROBES:,}")


def is_probe(kind: str) -> bool:
    """Return whether a word may stand under `probes:`."""
    return kind == HEARTBEAT or kind in plugins.names("probes")


def probe_meanings() -> dict[str, str]:
    """Return the words under `probes:` with what each measures, in the order of lists. The name of a file is a word."""
    found = [(HEARTBEAT_PLACE, HEARTBEAT, HEARTBEAT_MEANING)]
    for name in plugins.names("probes"):
        module = module_of(name)
        found.append((getattr(module, "PLACE", LAST_PLACE), name, getattr(module, "MEANING", "")))
    return {name: meaning for _, name, meaning in sorted(found)}


def module_of(kind: str) -> "AnyProbeModule | None":
    """Return a probe's file; None for one whose drivers are not installed here."""
    try:
        return plugins.load_probe(kind)
    except (ImportError, RulesError):
        return None


def _probe_mistakes(kind: str, entry: Mapping[str, Any]) -> list[str]:
    """Return what the probe itself says of its parameters; without its drivers, nothing."""
    module = module_of(kind)
    return module.validate(entry) if module is not None else []


def _heartbeat(entry: Mapping[str, Any]) -> Iterator[str]:
    for key in entry:
        if key not in HEARTBEAT_FIELDS:
            yield f"{key!r} is not a field; allowed is {', '.join(HEARTBEAT_FIELDS)}"
    if not isinstance(entry.get("name"), str) or not entry["name"]:
        yield "name is missing; allowed is a name, such as backup"
    if ("every" in entry) == ("cron" in entry):
        yield 'one of every and cron is needed; allowed is every: 1d, or cron: "0 10 * * *"'
    yield from _heartbeat_times(entry)
    if not isinstance(entry.get("from_first_beat", False), bool):
        yield "from_first_beat is neither true nor false; allowed is true, false"
    if entry.get("severity") not in (None, "critical", "warning", "info"):
        yield "severity is not known; allowed is critical, warning, info"


def _heartbeat_times(entry: Mapping[str, Any]) -> Iterator[str]:
    for key in ("every", "grace", "max_run"):
        try:
            if key in entry and parse_duration(entry[key]) <= timedelta(0) and key != "grace":
                yield f"{key} must be longer than nothing; allowed is a duration, such as 1d"
        except ValueError as error:
            yield f"{key}: {error}"
    try:
        if isinstance(entry.get("cron"), str):
            cron.parse(entry["cron"])
    except ValueError as error:
        yield str(error)
    zone = entry.get("timezone")
    if zone is not None and not (isinstance(zone, str) and zone_exists(zone)):
        yield "timezone does not exist; allowed is a name such as UTC or America/Sao_Paulo"


def _sources(data: Mapping[str, Any]) -> Iterator[Finding]:
    seen: set[str] = set()
    for path, source in entries_in(data, "sources"):
        name = source.get("name")
        if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,63}", name):
            yield Finding(path, "a source needs a name", "small letters, digits, - and _: it is part of its address")
        elif name in OWN_SOURCES:
            own = f"a name that is not {', '.join(OWN_SOURCES)}"
            yield Finding((*path, "name"), f"{name!r} is a source of Tocsin's own", own)
        elif name in seen:
            yield Finding((*path, "name"), f"a second source is named {name!r}", "a name for each source")
        seen.add(str(name))
        declared = plugins.load_declared_source()
        wrong = declared.validate(source)
        for text in wrong:
            what, _, allowed = text.partition("; allowed is ")
            yield Finding(path, f"source: {what}", allowed.rstrip("."))
        for text in [] if wrong else declared.doubts(source):
            what, _, allowed = text.partition("; allowed is ")
            yield Finding(path, f"source: {what}", allowed.rstrip("."), kind="warning")


def _webhooks(data: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what is wrong with requests that the file writes itself."""
    seen: set[str] = set()
    for path, entry in entries_in(data, "webhooks"):
        name = str(entry.get("name"))
        if name in seen:
            yield Finding((*path, "name"), f"a second webhook is named {name!r}", "a name for each webhook")
        seen.add(name)
        for what, allowed, suggestion in request_template.mistakes(entry):
            yield Finding(path, f"webhook: {what}", allowed, suggestion)


def _tests(data: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield the form of each test; `tocsin test`, which runs its lines, reports what they mean."""
    for path, test in entries_in(data, "tests"):
        known = (*TEST_FIELDS, *PROMTOOL_FIELDS)
        for key in test.keys() - set(known):
            allowed = ", ".join(TEST_FIELDS)
            yield Finding(
                (*path, key), f"{key!r} is not a key of a test", allowed, nearest(key, known), "test", 0, True
            )
        if not test.keys() & {"expect", "alert_rule_test"}:
            yield Finding(path, "the test expects nothing", "expect: [] where nobody must be notified", kind="test")
        for key in ("given", "expect", "input_series", "alert_rule_test"):
            entries = test.get(key)
            if entries is not None and not (isinstance(entries, list) and all(isinstance(e, Mapping) for e in entries)):
                yield Finding(
                    (*path, key), f"{key} is not a list of mappings", "a list, such as [{at: 0, …}]", kind="test"
                )


def _pages(data: Mapping[str, Any], sense: Sense) -> Iterator[Finding]:
    if sense.runbooks is None:
        return
    for path, rule in entries_in(data, "alerts"):
        named, name = rule.get("runbook"), rule.get("name")
        page = named if isinstance(named, str) else kebab_case(name) if isinstance(name, str) else ""
        if not page or page.startswith("https://"):
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
    """Return which of the four headings a page lacks; those in code blocks do not count."""
    found, fence = set(), ""
    for line in page.splitlines():
        mark = line.strip()[:3]
        if mark in ("```", "~~~") and fence in ("", mark):
            fence = "" if fence else mark
        heading = re.fullmatch(r"#{1,6}\s+(.*?)\s*#*\s*", line)
        if heading and not fence:
            found.add(heading[1].strip().lower())
    return [each for each in HEADINGS if each.lower() not in found]
