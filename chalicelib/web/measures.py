"""Metrics of the last hours as pages show them: read by roll-ups, put into equal stretches of time, with the limits of rules.

A page never reads single samples. Of a stretch without a sample the value is None: no data is neither zero nor fine.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from chalicelib.core.language.expression import Call, Comparison, Converted, Literal, Metric, Scope, Windowed, parts
from chalicelib.core.language.functions import greatest, mean
from chalicelib.core.language.units import Unit, shown, unit_of
from chalicelib.core.match import matches_all
from chalicelib.core.metrics.rollup import MICROSECOND, hour_start
from chalicelib.core.metrics.sample import Bucket
from chalicelib.core.ports import Store
from chalicelib.core.rule import Rule, Rules
from chalicelib.core.services import SERVICE
from chalicelib.web.curve import Curve, Level

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NEWEST_WITHIN = timedelta(hours=2)
"""A value that is older than this is not shown as that of now."""
MAX_LIMITS = 4
WHOLE_FROM = 100
SAME_UNIT = ("avg", "min", "max", "last", "p50", "p90", "p95", "p99")
"""The functions whose value is one of the metric itself, so that a limit on it is one on the metric."""
_NAMES = ("probe", "zone", "database", SERVICE)
Labels = Mapping[str, str]
Pick = Callable[[Sequence[Bucket]], float | None]


@dataclass(frozen=True, slots=True)
class Limit:
    """Where a rule fires: `above` or below `value`, in the unit of the metric."""

    rule: str
    severity: str
    value: float
    above: bool
    words: str

    def is_broken(self, value: float) -> bool:
        """Return whether a value is on the wrong side."""
        return value > self.value if self.above else value < self.value


@dataclass(frozen=True, slots=True)
class Figure:
    """One number for people. `value` is None where there is no data. `at` is the time of the newest sample in it."""

    metric: str
    title: str
    value: float | None
    at: datetime | None = None
    of: str = ""
    limits: tuple[Limit, ...] = ()

    @property
    def shown(self) -> str:
        """Return the value with its unit."""
        return figure_words(self.value, self.metric, self.limits)

    @property
    def broken(self) -> Limit | None:
        """Return the first limit that the value is beyond, the worst one first."""
        return next((each for each in self.limits if self.value is not None and each.is_broken(self.value)), None)


def figure_words(value: float | None, metric: str, limits: Sequence[Limit] = ()) -> str:
    """Return a value with its unit; of a hundred and more whole, unless that puts it on another side of a limit."""
    if value is None or abs(value) < WHOLE_FROM:
        return shown(value, unit_of(metric))
    whole = float(round(value))
    crossed = next((each for each in limits if each.is_broken(value) != each.is_broken(whole)), None)
    return shown(whole if crossed is None else value, unit_of(metric), crossed.value if crossed else None)


@dataclass(frozen=True, slots=True)
class Subject:
    """What metrics were measured of: a database, a zone. `name` is for people and for the address of the page."""

    name: str
    labels: Labels
    metrics: frozenset[str]


def subjects(store: Store, metrics: Iterable[str]) -> tuple[Subject, ...]:
    """Return what was measured by any of these metrics within a day of the newest sample, by name."""
    found: dict[tuple[tuple[str, str], ...], set[str]] = {}
    for metric in metrics:
        for labels in store.label_sets(metric):
            found.setdefault(tuple(sorted(labels.items())), set()).add(metric)
    named: dict[str, Subject] = {}
    for labelled, measured in sorted(found.items()):
        name = _free_name(dict(labelled), named)
        named[name] = Subject(name, dict(labelled), frozenset(measured))
    return tuple(named[name] for name in sorted(named))


def _free_name(labels: Labels, taken: Mapping[str, Subject]) -> str:
    short = subject_name(labels)
    return short if short not in taken else ", ".join(f"{name}={text}" for name, text in sorted(labels.items()))


def subject_name(labels: Labels) -> str:
    """Return what a series is called: by its probe, zone, database or service, else by all of its labels."""
    zone = labels.get("zone", "")
    if zone and labels.get("probe", zone) != zone:
        return f"{labels['probe']} {zone}"
    known = next((labels[name] for name in _NAMES if labels.get(name)), "")
    return known or ", ".join(f"{name}={text}" for name, text in sorted(labels.items())) or "everything"


def chosen(found: Sequence[Subject], asked: str) -> Subject | None:
    """Return the subject of that name, else the first; None where nothing was measured."""
    return next((each for each in found if each.name == asked), found[0] if found else None)


# ---------------------------------------------------------------------------------------------------------------------
# Stretches of time


def day_start(now: datetime) -> datetime:
    """Return the beginning of the hour in which the last 24 hours begin, so that there are 24 whole or begun ones."""
    return hour_start(now) - 23 * HOUR


def read(store: Store, metric: str, labels: Labels, since: datetime, now: datetime) -> Sequence[Bucket]:
    """Return the roll-ups from `since` on, those at that very time too."""
    return store.buckets(metric, labels, since - MICROSECOND, now)


def stretches(buckets: Iterable[Bucket], start: datetime, step: timedelta, count: int) -> list[list[Bucket]]:
    """Return the roll-ups of each stretch, by when their first sample was."""
    found: list[list[Bucket]] = [[] for _ in range(count)]
    for bucket in buckets:
        number = (bucket.first_at - start) // step
        if 0 <= number < count:
            found[number].append(bucket)
    return found


def hourly(buckets: Iterable[Bucket], start: datetime, pick: Pick, count: int = 24) -> tuple[float | None, ...]:
    """Return a value for each hour; None of one without samples."""
    return tuple(pick(each) for each in stretches(buckets, start, HOUR, count))


def newest(
    buckets: Sequence[Bucket], now: datetime, within: timedelta = NEWEST_WITHIN
) -> tuple[float | None, datetime | None]:
    """Return the last value and when it was measured; none of one that is too old to be that of now."""
    if not buckets or now - buckets[-1].last_at > within:
        return None, buckets[-1].last_at if buckets else None
    return buckets[-1].last, buckets[-1].last_at


HIGHEST: Pick = greatest
MEAN: Pick = mean


def last_of(buckets: Sequence[Bucket]) -> float | None:
    """Return the newest value of a stretch."""
    return next((each.last for each in reversed(buckets) if each.last is not None), None)


def curve_of_hours(
    title: str,
    metric: str,
    values: tuple[float | None, ...],
    start: datetime,
    limits: Sequence[Limit] = (),
    *,
    second: tuple[float | None, ...] = (),
    names: tuple[str, ...] = (),
    second_limits: Sequence[Limit] = (),
) -> Curve | None:
    """Return the values of some hours with the limits of rules; None where nothing was measured in any of them."""
    if all(value is None for value in (*values, *second)):
        return None
    levels = [Level(each.value, each.words) for each in limits]
    levels += [Level(each.value, f"{names[-1]}: {each.words}", of_second=True) for each in second_limits]
    return Curve(
        title,
        start,
        HOUR,
        unit_of(metric),
        values,
        second=second,
        names=names,
        levels=tuple(levels),
        above=limits[0].above if limits else True,
    )


# ---------------------------------------------------------------------------------------------------------------------
# Limits of rules


class _Nothing:
    """A series without samples: a limit is what a condition compares with, whatever was measured."""

    def buckets(self, metric: str, since: datetime, until: datetime) -> Sequence[Bucket]:
        """Return none."""
        return ()

    def event_times(self) -> Sequence[datetime]:
        """Return none."""
        return ()


def limits_of(rules: Rules, metric: str, labels: Labels, now: datetime) -> tuple[Limit, ...]:
    """Return where the rules about this series fire, the worst first: comparisons of the metric itself with a number."""
    seen = {**rules.services.labelled(labels), "source": "probe", "metric": metric}
    about = [rule for rule in rules.by_metric.get(metric, ()) if matches_all(rule.matchers, seen)]
    found = {(each.value, each.above): each for rule in reversed(about) for each in _limits(rule, metric, now)}
    ranks = {"critical": 0, "warning": 1, "info": 2}
    return tuple(sorted(found.values(), key=lambda each: (ranks.get(each.severity, 1), each.value)))[:MAX_LIMITS]


def _limits(rule: Rule, metric: str, now: datetime) -> Iterator[Limit]:
    for part in parts(rule.condition.root) if rule.condition is not None else ():
        if not isinstance(part, Comparison) or part.operator not in _ABOVE:
            continue
        measured, number, above = part.left, part.right, _ABOVE[part.operator]
        if isinstance(measured, Literal):
            measured, number, above = number, measured, not above
        if not _is_of(measured, metric) or (value := number.number(Scope(_Nothing(), now))) is None:
            continue
        severity = rule.severity.value if rule.severity else "warning"
        value = _in_unit(value, measured.unit, unit_of(metric))
        side = "over" if above else "under"
        yield Limit(rule.name, severity, value, above, f"{severity} {side} {shown(value, unit_of(metric))}")


_ABOVE = {">": True, ">=": True, "<": False, "<=": False}


def _is_of(node: object, metric: str) -> bool:
    if isinstance(node, Converted):
        return _is_of(node.of, metric)
    if isinstance(node, Call):
        return node.metric == metric and node.function in SAME_UNIT
    return isinstance(node, Metric | Windowed) and node.name == metric


def _in_unit(value: float, given: Unit, wanted: Unit) -> float:
    return value if given.kind != wanted.kind else value * float(given.size / wanted.size)
