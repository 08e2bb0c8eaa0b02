"""What holds a message back, and why: silences, maintenance, inhibition, calendars.

None of them touches an alert: they only decide whether it is notified now. Silences and maintenance are in `context.py`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from chalicelib.core.alert import Alert
from chalicelib.core.circles import followers_of
from chalicelib.core.context import Cause, Context, Silence
from chalicelib.core.incident import Incident, notified_of
from chalicelib.core.relations import ActiveCauses, by_relation, relations_of_symptom
from chalicelib.core.rule import Inhibition, Route, Rules, Window

DAY_MINUTES = 24 * 60
ONE_DAY = timedelta(days=1)
LOOKED_AHEAD = 400
"""Days in which a change of a window is looked for: a date of every year comes within them."""


def silences_of(alert: Alert, silences: Iterable[Silence], now: datetime) -> tuple[Silence, ...]:
    """Return the silences that mute the alert now."""
    return tuple(each for each in silences if each.active(now) and alert.matched_by(each.matchers))


def causes_of(alert: Alert, causes: tuple[Cause, ...], inhibitions: tuple[Inhibition, ...]) -> tuple[Cause, ...]:
    """Return the active causes that mute the alert.

    Of alerts that mute each other in a circle the one that fired first mutes the others, and these mute nothing. They
    are found among `causes`, which must hold the alert too when it is one.
    """
    found = direct_causes(alert, causes, inhibitions)
    followers = followers_of(causes, inhibitions) if found else {}
    if not followers:
        return found
    first = followers.get(alert.fingerprint)
    kept = tuple(each for each in found if each.alert not in followers)
    return kept if first is None or first in kept else (*kept, first)


def direct_causes(alert: Alert, causes: tuple[Cause, ...], inhibitions: tuple[Inhibition, ...]) -> tuple[Cause, ...]:
    """Return the causes of which the alert is a symptom. No alert mutes itself, nor one that has the same two sides."""
    if not causes:
        return ()
    known = by_relation(ActiveCauses(causes, inhibitions))
    found: dict[str, Cause] = {}
    for relation in relations_of_symptom(alert, inhibitions):
        related = known.get(relation, ())
        inhibition = inhibitions[relation[0]]
        both_sides = bool(related) and alert.matched_by(inhibition.cause)
        for cause in related:
            if cause.alert != alert.fingerprint and not (both_sides and cause.matched_by(inhibition.symptom)):
                found[cause.fingerprint] = cause
    return tuple(found.values())


def cause_from(alert: Alert, incident: str, now: datetime) -> Cause:
    """Return the firing alert of an incident (by its key) as a cause."""
    sent_as = alert.sender.event_name if alert.sender.event_name != alert.name else ""
    return Cause(f"{incident}/{alert.fingerprint}", alert.match_labels(), alert.starts_at or now, sent_as)


def is_cause(alert: Alert, inhibitions: Iterable[Inhibition]) -> bool:
    """Return whether some inhibition could make this alert a cause."""
    return any(alert.matched_by(inhibition.cause) for inhibition in inhibitions)


def is_open(window: Window, at: datetime) -> bool:
    """Return whether the wall clock of the window's zone is inside it.

    Wall time decides on clock-change days too: an hour that happens twice is inside twice, one that is skipped never.
    A window that reaches over midnight belongs to the day on which it began. One that ends where it begins never opens.
    """
    if window.to_minute == window.from_minute:
        return False
    local = at.astimezone(ZoneInfo(window.timezone))
    minute = local.hour * 60 + local.minute
    if window.to_minute > window.from_minute:
        return window.from_minute <= minute < window.to_minute and window.days.has(local.date())
    if minute >= window.from_minute:
        return window.days.has(local.date())
    return minute < window.to_minute and window.days.has(local.date() - ONE_DAY)


def next_change(window: Window, at: datetime) -> datetime | None:
    """Return the next instant at which the window opens or closes; None when it does neither within `LOOKED_AHEAD` days."""
    state, zone = is_open(window, at), ZoneInfo(window.timezone)
    today = at.astimezone(zone).date()
    for ahead in range(-1, LOOKED_AHEAD):
        day = today + ahead * ONE_DAY
        if ahead > 0 and _is_whole_day(window, day, state):
            continue
        for candidate in _boundaries(window, day, zone):
            if candidate > at and is_open(window, candidate) != state:
                return candidate
    return None


def _is_whole_day(window: Window, day: date, state: bool) -> bool:
    """Return whether the window is open (or closed) the whole day, so that no change needs to be looked for in it."""
    if state:
        return window.days.has(day) and (window.from_minute, window.to_minute) == (0, DAY_MINUTES)
    return not window.days.has(day) and not window.days.has(day - ONE_DAY)


def _boundaries(window: Window, day: date, zone: ZoneInfo) -> list[datetime]:
    """Return the instants of a day at which a window can open or close: its own times, midnight, and changes of clocks."""
    midnight = datetime.combine(day, time())
    found: set[datetime] = set()
    for minute in (0, window.from_minute % DAY_MINUTES, window.to_minute % DAY_MINUTES):
        wall = midnight + timedelta(minutes=minute)
        found |= {wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
    found |= {(midnight + timedelta(hours=hour)).replace(tzinfo=zone).astimezone(UTC) for hour in range(24)}
    return sorted(found)


def muting_windows(route: Route, windows: Mapping[str, Window], at: datetime) -> tuple[str, ...]:
    """Return the names of the windows because of which the route is quiet now; none when it may notify."""
    muting = tuple(name for name in route.mute if name in windows and is_open(windows[name], at))
    known = tuple(name for name in route.active if name in windows)
    if known and not any(is_open(windows[name], at) for name in known):
        muting += known
    return muting


def speaks_again(route: Route, windows: Mapping[str, Window], at: datetime) -> datetime | None:
    """Return when the route may notify again, if it is quiet at `at`; None when that is not within `LOOKED_AHEAD` days.

    Until the last of the open windows of `mute` closes it is quiet, and until one of `active` opens: the search goes
    from one such instant to the next.
    """
    latest = at + LOOKED_AHEAD * ONE_DAY
    while at <= latest:
        ends = _quiet_until(route, windows, at)
        if not ends:
            return at
        known = [each for each in ends if each is not None]
        if len(known) < len(ends):
            return None
        at = max(known)
    return None


def _quiet_until(route: Route, windows: Mapping[str, Window], at: datetime) -> list[datetime | None]:
    """Return when each thing ends that makes the route quiet: its open windows of `mute`, and that none of `active` is open."""
    ends = [next_change(windows[name], at) for name in route.mute if name in windows and is_open(windows[name], at)]
    active = [windows[name] for name in route.active if name in windows]
    if active and not any(is_open(each, at) for each in active):
        opens = [next_change(each, at) for each in active]
        ends.append(min((each for each in opens if each is not None), default=None))
    return ends


@dataclass(frozen=True, slots=True)
class Muting:
    """Why one alert is not notified now."""

    silences: tuple[Silence, ...] = ()
    maintenance: tuple[Silence, ...] = ()
    causes: tuple[Cause, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.silences or self.maintenance or self.causes)

    @property
    def names(self) -> tuple[str, ...]:
        """Return for people: `silence s1 (ana)`, `inhibited by Service Downtime`."""
        found = [f"silence {each.id} of {each.by}" for each in self.silences]
        found += [f"maintenance of {each.by}" for each in self.maintenance]
        found += [f"inhibited by {each.labels.get('alertname', 'another alert')}" for each in self.causes]
        return tuple(found)


def mutings_of(incident: Incident, rules: Rules, context: Context, now: datetime) -> dict[str, Muting]:
    """Return what mutes each of the alerts that fire. Maintenance holds back only what nobody was notified of yet."""
    if not context.silences and not context.maintenance and not context.causes:
        return {}
    known = notified_of(incident)
    found: dict[str, Muting] = {}
    for alert in incident.firing:
        muting = Muting(
            silences=silences_of(alert, context.silences, now),
            maintenance=() if alert.fingerprint in known else silences_of(alert, context.maintenance, now),
            causes=causes_of(alert, context.causes, rules.inhibitions),
        )
        if muting:
            found[alert.fingerprint] = muting
    return found
