"""The value of an alert against its limit over the last hours, as its own rule's condition sees it at each time.

A chart is never about anything else than what the rule looks at: the condition is asked again at each point, over samples
that are read once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from chalicelib.core.alert import Alert, Origin
from chalicelib.core.context import Context
from chalicelib.core.incident import Incident
from chalicelib.core.language.condition import Condition, sides
from chalicelib.core.language.units import Unit, shown
from chalicelib.core.metrics.sample import Bucket
from chalicelib.core.ports import Store
from chalicelib.core.rule import Rule, Rules
from chalicelib.process.series import StoredSeries, measured_under

POINTS = 60
"""About so many points: more than a phone can show."""
STEPS = tuple(timedelta(minutes=each) for each in (1, 5, 15, 60, 360))
BEFORE = timedelta(minutes=30)
"""A chart begins so long before the alert does, at least."""
LONGEST = timedelta(days=7)
LONGEST_WINDOW = timedelta(days=2)
"""A condition that looks back further is not drawn: each of its points would read days of samples."""
MAX_MARKS = 3


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened at a time: a deploy."""

    at: datetime
    words: str


@dataclass(frozen=True, slots=True)
class Band:
    """A stretch of time in which nobody was notified: a silence."""

    begins: datetime
    ends: datetime
    words: str


@dataclass(frozen=True, slots=True)
class Level:
    """A further limit, with its words; `of_second` says that it is one of the second series."""

    value: float
    words: str
    of_second: bool = False


@dataclass(frozen=True, slots=True)
class Foretold:
    """What comes after the newest point, at each further step: the likeliest value, and the least and the greatest one."""

    likely: tuple[float, ...]
    least: tuple[float, ...]
    greatest: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Curve:
    """The values at `start`, and each `step` later; None where nothing was measured. `limit` is that of the newest point.

    `second` is another series at the same times, `names` what the two are called. `levels` are limits of rules. `close`
    draws the values large, from a little below the lowest one; else the plot begins at zero.
    """

    title: str
    start: datetime
    step: timedelta
    unit: Unit
    values: tuple[float | None, ...]
    limit: float | None = None
    above: bool = True
    marks: tuple[Mark, ...] = ()
    bands: tuple[Band, ...] = ()
    second: tuple[float | None, ...] = ()
    names: tuple[str, ...] = ()
    levels: tuple[Level, ...] = ()
    foretold: Foretold | None = None
    close: bool = False

    @property
    def steps(self) -> int:
        """Return how many steps the plot is wide."""
        return len(self.values) - 1 + (len(self.foretold.likely) if self.foretold else 0)

    @property
    def end(self) -> datetime:
        """Return the time of the newest point, or of the last one that is foretold."""
        return self.start + self.step * self.steps

    @property
    def known(self) -> tuple[float, ...]:
        """Return all values that the plot shows."""
        ahead = (*self.foretold.least, *self.foretold.greatest) if self.foretold else ()
        return tuple(value for value in (*self.values, *self.second, *ahead) if value is not None)

    def words(self, value: float | None) -> str:
        """Return a value with its unit."""
        return shown(value, self.unit, self.limit)


@dataclass(frozen=True, slots=True)
class _Read:
    """Samples that were read once, as the series of a condition."""

    kept: Mapping[str, Sequence[Bucket]]

    def buckets(self, metric: str, since: datetime, until: datetime) -> Sequence[Bucket]:
        """Return those between the two."""
        return [each for each in self.kept.get(metric, ()) if since < each.last_at <= until]

    def event_times(self) -> Sequence[datetime]:
        """Return none: samples are not events."""
        return ()


def curve_of(
    incident: Incident, alert: Alert, rules: Rules, store: Store, context: Context, now: datetime
) -> Curve | None:
    """Return the curve of a measured alert; None for any other, and for a condition that looks back too far."""
    rule = rules.by_name.get(alert.rule)
    if alert.origin is not Origin.SERIES or rule is None or rule.condition is None:
        return None
    if rule.condition.window > LONGEST_WINDOW or rule.condition.counts_events:
        return None
    began = max(min(alert.starts_at or now, now) - BEFORE, now - LONGEST)
    step = next((each for each in STEPS if (now - began) / each <= POINTS), STEPS[-1])
    start = now - step * int((now - began) / step)
    series = _read(rule.condition, alert, rule, rules, store, start, now)
    times = [start + step * each for each in range(int((now - start) / step) + 1)]
    found = [sides(rule.condition, series, at) for at in times]
    if found[-1] is None or all(each is None or each.left is None for each in found):
        return None
    marks, bands = marks_of(incident, alert, context, start, now)
    return Curve(
        title=rule.name,
        start=start,
        step=step,
        unit=found[-1].unit,
        values=tuple(None if each is None else each.left for each in found),
        limit=found[-1].right,
        above=">" in rule.condition.text,
        marks=marks,
        bands=bands,
    )


def _read(
    condition: Condition, alert: Alert, rule: Rule, rules: Rules, store: Store, start: datetime, now: datetime
) -> _Read:
    series = StoredSeries(store, measured_under(alert, rule, rules), rules.services)
    return _Read({metric: series.buckets(metric, start - condition.window, now) for metric in condition.metrics})


def marks_of(
    incident: Incident, alert: Alert, context: Context, start: datetime, now: datetime
) -> tuple[tuple[Mark, ...], tuple[Band, ...]]:
    """Return the deploys of the incident's service since a time, and the silences of the alert."""
    return _deploys(incident, context, start, now), _silences(alert, context, start, now)


def _deploys(incident: Incident, context: Context, start: datetime, now: datetime) -> tuple[Mark, ...]:
    service = incident.group.get("service")
    found = [each for each in context.deploys if start <= each.at <= now and each.concerns(service)]
    return tuple(Mark(each.at, f"deploy {(each.commit or each.id)[:7]}") for each in found[-MAX_MARKS:])


def _silences(alert: Alert, context: Context, start: datetime, now: datetime) -> tuple[Band, ...]:
    found = [each for each in context.all_silences if each.starts_at < now and each.ends_at > start]
    held = [each for each in found if alert.matched_by(each.matchers)]
    return tuple(
        Band(max(each.starts_at, start), min(each.ends_at, now), f"silence of {each.by}") for each in held[:MAX_MARKS]
    )
