"""What can never happen: routes that nothing reaches, inhibitions that mute themselves, windows that never open."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from chalicelib.core.build import days_from, minute_of
from chalicelib.core.language.units import duration_text, parse_duration
from chalicelib.core.match import Matcher, parse_matcher, refusal
from chalicelib.core.mute import muting_windows, speaks_again
from chalicelib.core.rule import Correlate, Route, RouteOptions, Window
from chalicelib.rules.file.finding import Finding, Path, entries_in, mapping_in, strings_in, tellers, zone_exists

LONG_JOIN = timedelta(hours=1)


def clauses_of(value: Any) -> tuple[Matcher, ...]:
    """Return the clauses of a mapping of labels to texts; of anything else none."""
    return tuple(parse_matcher(label, str(text)) for label, text in mapping_in(value).items())


def implied(clause: Matcher, by: Collection[Matcher]) -> bool:
    """Return whether everything that satisfies `by` certainly satisfies the clause."""
    if clause in by:
        return True
    pinned = [each for each in by if each.label == clause.label and each.operator == "="]
    return any(clause.matches({each.label: each.value}) for each in pinned)


def contradict(clauses: Collection[Matcher]) -> tuple[Matcher, Matcher] | None:
    """Return two clauses that nothing satisfies together, if they are plain to see."""
    for pinned in (each for each in clauses if each.operator == "="):
        for other in clauses:
            if other.label == pinned.label and _excludes(other, pinned.value):
                return pinned, other
    return None


def _excludes(clause: Matcher, value: str) -> bool:
    """Return whether the clause fails for the value; False for a pattern that RE2 refuses, which `sense` reports."""
    return not refusal([clause]) and not clause.matches({clause.label: value})


def reach(data: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield routes that nothing reaches, inhibitions that mute themselves, windows that never open."""
    yield from _routes(data)
    yield from _inhibitions(data)
    yield from _windows(data)
    yield from _correlation(data)
    yield from _promises(data)


def _promises(data: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what is written and cannot come so: reminders before the next flush, forecasts far beyond what they go by."""
    defaults = mapping_in(data.get("defaults"))
    for path, teller in [(("defaults",), defaults), *tellers(data)]:
        repeat, interval = (_duration(teller, defaults, key) for key in ("repeat_interval", "group_interval"))
        own = "repeat_interval" if "repeat_interval" in teller else "group_interval"
        if own in teller and repeat is not None and interval is not None and repeat < interval:
            what = "repeat_interval is shorter than group_interval: reminders come no more often than that"
            yield Finding((*path, own), what, "a repeat_interval of at least group_interval", kind="warning")
    for path, rule in entries_in(data, "alerts"):
        for key in ("condition", "clear"):
            yield from _forecasts((*path, key), rule.get(key))


def _duration(teller: Mapping[str, Any], defaults: Mapping[str, Any], key: str) -> timedelta | None:
    """Return the duration of a teller, the defaults, or the program; None where it is wrong, or never."""
    given = teller.get(key, defaults.get(key))
    if given is None:
        found: timedelta | None = getattr(RouteOptions(), key)
        return found
    try:
        return parse_duration(given)
    except (ValueError, TypeError, AttributeError):
        return None


_FORECAST = re.compile(r"forecast\(\s*\w+\[(\w+)\]\s*,\s*(\w+)\s*\)")
FARTHEST = 10
"""A forecast goes at most so many windows ahead before `check` doubts it."""


def _forecasts(path: Path, condition: Any) -> Iterator[Finding]:
    for found in _FORECAST.finditer(condition) if isinstance(condition, str) else ():
        try:
            window, ahead = parse_duration(found[1]), parse_duration(found[2])
        except ValueError:
            continue
        if ahead > FARTHEST * window:
            what = f"{found[2]} are foretold from {found[1]}, which says little"
            allowed = f"a window of at least a tenth: {duration_text(ahead / FARTHEST)}"
            yield Finding(path, what, allowed, kind="warning", column=found.start() + 1)


def _correlation(data: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what `join_within` and `max_age` say together."""
    given = mapping_in(data.get("correlate"))
    defaults = {"join_within": Correlate().join_within, "max_age": Correlate().max_age}
    try:
        join_within, max_age = (parse_duration(given[key]) if key in given else defaults[key] for key in defaults)
    except (ValueError, TypeError, AttributeError):
        return
    if join_within > max_age:
        what = "join_within is longer than max_age"
        yield Finding(("correlate", "join_within" if "join_within" in given else "max_age"), what, "at most max_age")
    elif join_within > LONG_JOIN:
        what = "join_within is over an hour: faults that have nothing to do with each other become one incident"
        yield Finding(("correlate", "join_within"), what, "up to 1h", kind="warning")


def _routes(data: Mapping[str, Any]) -> Iterator[Finding]:
    yield from _siblings(entries_in(data, "routes"), (), ())


def _siblings(
    routes: Sequence[tuple[Path, Mapping[str, Any]]], prefix: Path, above: tuple[Matcher, ...]
) -> Iterator[Finding]:
    earlier: list[tuple[Path, tuple[Matcher, ...]]] = []
    for below, route in routes:
        path, own = (*prefix, *below), clauses_of(route.get("match"))
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
        yield from _siblings(entries_in(route, "routes"), path, whole)


def _route_name(path: Path) -> str:
    return "route/" + "/".join(str(part) for part in path if isinstance(part, int))


def _inhibitions(data: Mapping[str, Any]) -> Iterator[Finding]:
    rules = {str(rule.get("name")): rule for _, rule in entries_in(data, "alerts")}
    for path, inhibition in entries_in(data, "inhibit"):
        for key in ("cause", "symptom"):
            if inhibition.get(key) == {}:
                yield Finding(
                    (*path, key), f"an inhibition with an empty {key} matches everything", "at least one clause"
                )
        cause, symptom = clauses_of(inhibition.get("cause")), clauses_of(inhibition.get("symptom"))
        known = [*cause, *known_of(cause, rules)]
        if cause and symptom and all(implied(each, known) for each in symptom):
            what = "the inhibition mutes itself: every cause is a symptom too"
            yield Finding(path, what, "clauses of symptom that the cause does not satisfy")


def known_of(clauses: Sequence[Matcher], rules: Mapping[str, Mapping[str, Any]]) -> Iterator[Matcher]:
    """Yield what holds for every alert of the rule that the clauses name."""
    for clause in clauses:
        rule = rules.get(clause.value) if clause.label == "alertname" and clause.operator == "=" else None
        if rule is None:
            continue
        if isinstance(rule.get("severity"), str):
            yield Matcher("severity", "=", rule["severity"])
        for label, text in mapping_in(rule.get("labels")).items():
            yield Matcher(label, "=", str(text))


# ---------------------------------------------------------------------------------------------------------------------
# Windows


def _windows(data: Mapping[str, Any]) -> Iterator[Finding]:
    default_zone = mapping_in(data.get("defaults")).get("timezone") or "UTC"
    windows: dict[str, Window] = {}
    for name, window in mapping_in(data.get("windows")).items():
        built = _window(name, mapping_in(window), str(default_zone), mapping_in(data.get("holidays")))
        if built is not None:
            windows[name] = built
        yield from _never_opens(name, mapping_in(window), built)
    for path, teller in tellers(data):
        mute = tuple(text for _, text in strings_in(teller.get("mute"), ()))
        active = tuple(text for _, text in strings_in(teller.get("active"), ()))
        if (
            (mute or active)
            and all(name in windows for name in (*mute, *active))
            and _always_quiet(mute, active, windows)
        ):
            key = "active" if active else "mute"
            yield Finding(
                (*path, key),
                f"nobody is ever notified: {', '.join((*active, *mute))} leave no time",
                "a time that is open",
                kind="warning",
            )


def _never_opens(name: str, window: Mapping[str, Any], built: Window | None) -> Iterator[Finding]:
    what = f"the window {name} never opens"
    for key in ("days", "days_of_month", "months", "dates", "holidays"):
        if window.get(key) == []:
            yield Finding(("windows", name), f"{what}: {key} is empty", f"{key}, or leaving {key} out", kind="warning")
    if built is not None and built.from_minute == built.to_minute:
        allowed = "a later end, or leaving both out for the whole day"
        yield Finding(("windows", name), f"{what}: it ends where it begins", allowed, kind="warning")


def _window(name: str, window: Mapping[str, Any], default_zone: str, holidays: Mapping[str, Any]) -> Window | None:
    """Return the window; None where the form is wrong, which is a finding already."""
    zone = window.get("timezone") or default_zone
    begins, ends = window.get("from", "00:00"), window.get("to", "24:00")
    if not isinstance(zone, str) or not zone_exists(zone):
        return None
    if not all(isinstance(each, str) and re.fullmatch(r"\d\d:\d\d", each) for each in (begins, ends)):
        return None
    try:
        days = days_from(window, holidays)
    except (TypeError, ValueError):
        return None
    return Window(name, days, minute_of(begins), minute_of(ends), zone)


def _always_quiet(mute: tuple[str, ...], active: tuple[str, ...], windows: Mapping[str, Window]) -> bool:
    """Return whether no week and no date leaves a time that is open. Dates of one year are not judged: their year may come."""
    if any(_has_year(windows[name]) for name in (*mute, *active)):
        return False
    route = Route(id="", mute=mute, active=active)
    start = datetime(2024, 1, 1, tzinfo=UTC)
    return bool(muting_windows(route, windows, start)) and speaks_again(route, windows, start) is None


def _has_year(window: Window) -> bool:
    return any(len(each.first) > len("12-24") for each in window.days.dates or ())
