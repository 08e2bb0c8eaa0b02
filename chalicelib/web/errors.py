"""What the page of errors shows: how many events the counting rules counted lately, over time, and of which faults.

All counted events are in it, not only those of which somebody was notified. They go by their own times. Numbers of the last
minutes and the top errors are of what the alerts remember; those over time are of what is stored, and of what is remembered since.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from math import fsum

from chalicelib.core.alert import Alert, ReceivedEvents
from chalicelib.core.counted_minutes import totals
from chalicelib.core.faults import CountedFault, shares
from chalicelib.core.incident import Incident
from chalicelib.core.instants import from_seconds
from chalicelib.core.language.expression import Comparison, EventCount, Literal, parts
from chalicelib.core.language.units import PLAIN_NUMBER, duration_words
from chalicelib.core.metrics.rollup import MICROSECOND, bucket_of, minute_start, step_up
from chalicelib.core.metrics.sample import Bucket, Sample
from chalicelib.core.ports import Store
from chalicelib.core.rule import Rule, Rules
from chalicelib.core.services import SERVICE
from chalicelib.process.counts import COUNTED, KEY, RULE
from chalicelib.web.curve import Curve, Level
from chalicelib.web.measures import DAY, HIGHEST, HOUR, Subject, curve_of_hours, day_start, hourly, read, subjects

LATELY, SHORT, MINUTE = timedelta(minutes=5), timedelta(minutes=90), timedelta(minutes=1)
MAX_SERIES = 4
"""So many counts are read for one view; the others are chosen by name."""
MAX_TOP = 10
PER_MINUTE = "errors_per_min"


@dataclass(frozen=True, slots=True)
class TopError:
    """One fault among the remembered events. `first_at` is its first event as far as it is known."""

    title: str
    count: int
    share: int
    url: str = ""
    release: str = ""
    service: str = ""
    first_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """How many of the remembered events are of one service, or of one release."""

    name: str
    count: int


@dataclass(frozen=True, slots=True)
class Remembered:
    """The events that alerts remember of 24 hours. `since` is from when on all of them are remembered."""

    total: int = 0
    lately: int = 0
    since: datetime | None = None
    top: tuple[TopError, ...] = ()
    services: tuple[Group, ...] = ()
    releases: tuple[Group, ...] = ()


@dataclass(frozen=True, slots=True)
class ErrorsView:
    """What the page shows. `chosen` is the count that was asked for; without one all, of at most MAX_SERIES."""

    counts: tuple[Subject, ...]
    chosen: Subject | None = None
    shown: int = 0
    day: float = 0.0
    remembered: Remembered = field(default_factory=Remembered)
    minutes: Curve | None = None
    hours: Curve | None = None
    vendors: tuple[Curve, ...] = ()
    rules: tuple[str, ...] = ()


def errors_view(store: Store, rules: Rules, now: datetime, *, of: str = "") -> ErrorsView:
    """Return what the page shows."""
    counting = [rule for rule in rules.rules if rule.condition is not None and rule.condition.counts_events]
    counts = tuple(_named(each) for each in subjects(store, [COUNTED]))
    chosen = next((each for each in counts if each.name == of), None)
    shown = (chosen,) if chosen is not None else counts[:MAX_SERIES]
    start = day_start(now)
    homes = _alerts(store, shown)
    counted = [_counted(store, each, homes, start - HOUR, now) for each in shown]
    hours = [increments(each) for each in counted]
    minutes = [increments(_counted(store, each, homes, minute_start(now) - SHORT, now)) for each in shown]
    began = _began(counted)
    return ErrorsView(
        counts=counts,
        chosen=chosen,
        shown=len(shown),
        day=fsum(count for found in hours for at, count in found if at >= start),
        remembered=remembered_of([alert for each in homes.values() for alert in each], now),
        minutes=_curve(
            "Events a minute", minutes, minute_start(now) - SHORT, MINUTE, now, began, limits_a_minute(counting)
        ),
        hours=_curve("Events an hour", hours, start, HOUR, now, began),
        vendors=_vendor_curves(store, start, now),
        rules=tuple(rule.name for rule in counting),
    )


def _named(count: Subject) -> Subject:
    """Return a count by what people know of it: its rule and its service."""
    rule, service = count.labels.get(RULE, ""), count.labels.get(SERVICE, "")
    name = f"{rule}, {service}" if service else f"{rule}, {count.labels.get(KEY, '')}"
    return Subject(name, count.labels, count.metrics)


# ---------------------------------------------------------------------------------------------------------------------
# Over time


def _counted(
    store: Store, count: Subject, homes: Mapping[str, Sequence[Alert]], since: datetime, now: datetime
) -> Sequence[Bucket]:
    """Return the roll-ups of a count, up to now."""
    found = read(store, COUNTED, count.labels, since, now)
    for alert in homes.get(count.labels.get(KEY, ""), ()):
        if count.labels.get(SERVICE, "") == alert.labels.get(SERVICE, ""):
            found = with_remembered(found, alert.received, since, now)
    return found


def increments(buckets: Sequence[Bucket]) -> list[tuple[datetime, float]]:
    """Return how much a counter rose with each roll-up, and when; the first one shows only what it rose by within itself."""
    valued = [each for each in buckets if each.last is not None]
    if not valued:
        return []
    found = [(valued[0].last_at, valued[0].rise or 0.0)]
    for before, after in pairwise(valued):
        opening = after.last if after.rise is None or after.opening is None else after.opening
        found.append((after.last_at, step_up(before.last or 0.0, opening or 0.0) + (after.rise or 0.0)))
    return found


def with_remembered(stored: Sequence[Bucket], received: ReceivedEvents, since: datetime, now: datetime) -> list[Bucket]:
    """Return the roll-ups of a count with the minutes that only its alert remembers: those after the last stored one."""
    after = max(since, stored[-1].last_at + MICROSECOND) if stored else since
    minutes = totals(received, after, minute_start(now) + MINUTE)
    fresh = [bucket_of(Sample(COUNTED, total, min(at, now))) for at, total in minutes]
    return [*stored, *(each for each in fresh if not stored or each.last_at > stored[-1].last_at)]


def _began(counted: Sequence[Sequence[Bucket]]) -> datetime | None:
    """Return when counting began, where that is within what was read: a count begins at zero. None where it is older."""
    firsts = [each[0] for each in counted if each]
    return None if not firsts or any(each.low for each in firsts) else min(each.first_at for each in firsts)


def _curve(
    title: str,
    series: Iterable[Sequence[tuple[datetime, float]]],
    start: datetime,
    step: timedelta,
    now: datetime,
    began: datetime | None,
    levels: tuple[Level, ...] = (),
) -> Curve | None:
    """Return the sums of each stretch: zero where nothing was counted, and no data before counting began."""
    found = [each for those in series for each in those]
    if not found:
        return None
    sums: list[float | None] = [0.0] * ((now - start) // step + 1)
    for at, count in found:
        if at >= start:
            sums[(at - start) // step] = count + (sums[(at - start) // step] or 0.0)
    unknown = 0 if began is None or began < start else (began - start) // step
    return Curve(title, start, step, PLAIN_NUMBER, (*([None] * unknown), *sums[unknown:]), levels=levels)


def limits_a_minute(counting: Iterable[Rule]) -> tuple[Level, ...]:
    """Return the limits of rules on events, as events a minute; of those over more than a minute what that is on average."""
    found = []
    for rule in counting:
        for part in parts(rule.condition.root) if rule.condition is not None else ():
            if not isinstance(part, Comparison) or part.operator not in (">", ">="):
                continue
            if isinstance(part.left, EventCount) and isinstance(part.right, Literal):
                window = part.left.window
                severity = rule.severity.value if rule.severity else "warning"
                words = f"{severity} over {part.right.value:g} in {duration_words(window)}"
                found.append(Level(part.right.value / (window / MINUTE), words))
    return tuple(dict.fromkeys(sorted(found, key=lambda each: each.value)))[:MAX_SERIES]


def _vendor_curves(store: Store, start: datetime, now: datetime) -> tuple[Curve, ...]:
    """Return the errors a minute that Sentry itself counts, of the first projects."""
    found = []
    for each in subjects(store, [PER_MINUTE])[:2]:
        values = hourly(read(store, PER_MINUTE, each.labels, start, now), start, HIGHEST)
        found.append(curve_of_hours(f"Errors a minute by Sentry, {each.name}", PER_MINUTE, values, start))
    return tuple(each for each in found if each is not None)


# ---------------------------------------------------------------------------------------------------------------------
# What alerts remember


def _alerts(store: Store, shown: Sequence[Subject]) -> Mapping[str, Sequence[Alert]]:
    """Return the alerts of these counts, by the key of the incident in which each began. One that has moved is where it fires."""
    keys = {each.labels.get(KEY, ""): each.labels.get(RULE, "") for each in shown}
    incidents = store.load_all(list(keys)) if keys else {}
    alerts = {
        key: [alert for alert in each.alerts.values() if alert.rule == keys[key]] for key, each in incidents.items()
    }
    moved = {alert.moved_to for each in alerts.values() for alert in each if alert.moved_to}
    homes = store.load_all(list(moved)) if moved else {}
    return {key: [found for alert in each if (found := _there(alert, homes))] for key, each in alerts.items()}


def _there(alert: Alert, homes: Mapping[str, Incident]) -> Alert | None:
    """Return an alert where it is: in another one of these incidents if it has moved; None where it is gone from there."""
    if not alert.moved_to:
        return alert
    return homes[alert.moved_to].alerts.get(alert.fingerprint) if alert.moved_to in homes else None


def remembered_of(alerts: Iterable[Alert], now: datetime) -> Remembered:
    """Return what alerts remember of the events of 24 hours: all of them, or the newest where they were too many."""
    alerts = list(alerts)
    counts: dict[str, tuple[CountedFault, int, str]] = {}
    services: dict[str, int] = {}
    total, lately, since = 0, 0, now - DAY
    for alert in alerts:
        service = alert.labels.get(SERVICE, "")
        lately += sum(at > (now - LATELY).timestamp() for at, _ in alert.received.recent)
        if alert.received.recent and alert.received.events > len(alert.received.recent):
            since = max(since, from_seconds(alert.received.recent[0][0]))
        found, faults = shares(alert.received.recent, alert.faults, now - DAY, len(alert.faults.known))
        total += found
        services[service] = services.get(service, 0) + found
        for each in faults:
            _, before, _ = counts.get(each.fault.fault, (each.fault, 0, service))
            counts[each.fault.fault] = (each.fault, before + each.count, service)
    ranked = sorted(counts.values(), key=lambda each: (-each[1], each[0].title))
    releases: dict[str, int] = {}
    for fault, count, _ in ranked:
        releases[fault.release] = releases.get(fault.release, 0) + count
    top = tuple(_top(fault, count, service, total) for fault, count, service in ranked[:MAX_TOP])
    return Remembered(total, lately, since if alerts else None, top, _groups(services), _groups(releases))


def _top(fault: CountedFault, count: int, service: str, total: int) -> TopError:
    share = 100 * count // total if total else 0
    return TopError(fault.title or "without a title", count, share, fault.url, fault.release, service, fault.first_at)


def _groups(counts: Mapping[str, int]) -> tuple[Group, ...]:
    """Return the groups, the largest first; one without a name is last."""
    found = [Group(name, count) for name, count in counts.items() if count]
    return tuple(sorted(found, key=lambda each: (not each.name, -each.count, each.name)))[:MAX_TOP]
