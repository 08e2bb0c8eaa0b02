"""The page of silences and windows, as values: what each mutes now, and what a new one would mute.

What ended is judged by the summaries of one week. They know which alerts an incident had, and when it ended.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from chalicelib.api.views import Fire, fires
from chalicelib.core.calendar import MONTHS, Dates, MonthDays
from chalicelib.core.context import Context, Silence
from chalicelib.core.incident import Incident, IncidentStatus
from chalicelib.core.listing import whole, with_alerts
from chalicelib.core.match import Matcher
from chalicelib.core.mute import is_open, next_change
from chalicelib.core.picture import Picture
from chalicelib.core.ports import Store
from chalicelib.core.rule import Route, Rules, Window
from chalicelib.core.summary import AlertSummary, Summary
from chalicelib.messages.queue import SetSilence
from chalicelib.process.silences import clauses_of
from chalicelib.web.rows import pictures_of, place

WEEK = timedelta(days=7)
MAX_READ = 30
"""So many ended incidents are read whole for who was notified of them; the others are only counted."""
MAX_SHOWN = 5
STATES = ("active", "pending", "ended")
Known = Sequence[tuple[Summary, Sequence[AlertSummary]]]
"""The incidents of the week with their alerts."""


@dataclass(frozen=True, slots=True)
class SilenceRow:
    """A silence. `mutes` counts the alerts that it mutes now, `matched` the incidents that were open since it began.

    `incidents` are those of the muted alerts, each with its id and the name of one of them.
    `whole` says that it began within the week, so that nothing of it is left out.
    """

    silence: Silence
    state: str
    maintenance: bool
    mutes: int = 0
    incidents: tuple[tuple[str, str], ...] = ()
    matched: int = 0
    whole: bool = True

    @property
    def text(self) -> str:
        """Return its matchers as text that reads back."""
        return " ".join(each.written() for each in self.silence.matchers)


@dataclass(frozen=True, slots=True)
class WindowRow:
    """A window of the rules file. `opens_at` is its next opening, `closes_at` its next end; None where there is none."""

    window: Window
    open: bool
    opens_at: datetime | None
    closes_at: datetime | None
    uses: tuple[tuple[str, Route], ...] = ()


@dataclass(frozen=True, slots=True)
class Preview:
    """What a silence would do. Of `now` the first incidents are shown; `alerts` are those that it would mute.

    Of the week: `fully` and `partly` count the ended incidents of which it matches all alerts, or some. `notified`
    counts what was sent about the first `read` of the former, by the key of the target. `unknown` are labels that
    nothing has.
    """

    silence: Silence
    maintenance: bool
    alerts: int = 0
    incidents: int = 0
    now: tuple[Picture, ...] = ()
    fully: int = 0
    partly: int = 0
    read: int = 0
    notified: tuple[tuple[str, int], ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def unowned(self) -> int:
        """Return how many of the shown incidents are critical, and nobody has them."""
        return sum(each.is_unowned for each in self.now)


def rows(store: Store, context: Context, week: Known, now: datetime) -> list[SilenceRow]:
    """Return the silences and maintenance: active ones first, then those to come, then those that ended in the week."""
    everyone = [each for each in context.all_silences if each.ends_at > now - WEEK]
    firing = fires(store, [each for each in everyone if each.active(now)], [each for each, _ in week])
    found = [_row(each, each in context.maintenance, firing, week, now) for each in everyone]
    return sorted(found, key=lambda each: (STATES.index(each.state), each.silence.ends_at, each.silence.id))


def state_of(silence: Silence, now: datetime) -> str:
    """Return whether it is active, to come, or has ended, which it may have before it began."""
    return "ended" if silence.ends_at <= now else "active" if silence.active(now) else "pending"


def _row(each: Silence, maintenance: bool, firing: Sequence[Fire], week: Known, now: datetime) -> SilenceRow:
    muted = _muted(each.matchers, maintenance, firing) if each.active(now) else []
    return SilenceRow(
        each,
        state_of(each, now),
        maintenance,
        len(muted),
        tuple({fire.incident: _name(fire) for fire in reversed(muted)}.items()),
        sum(_was_open(summary, each) and _any_of(alerts, clauses_of(each)) for summary, alerts in week),
        each.starts_at >= now - WEEK,
    )


def _name(fire: Fire) -> str:
    return fire.alert.sender.event_name or fire.alert.name or fire.incident[:8]


def _muted(matchers: Sequence[Matcher], maintenance: bool, firing: Sequence[Fire]) -> list[Fire]:
    """Return what matchers mute of what fires. Maintenance holds back only what no target was notified of yet."""
    return [fire for fire in firing if fire.alert.matched_by(matchers) and not (maintenance and fire.known)]


def _was_open(summary: Summary, silence: Silence) -> bool:
    """Return whether an incident may have been open while the silence ran; of an ended one only the end is known."""
    if summary.at is None:
        return False
    if summary.status is IncidentStatus.OPEN:
        return summary.at < silence.ends_at
    return summary.at > silence.starts_at


def _any_of(alerts: Sequence[AlertSummary], clauses: Sequence[Sequence[Matcher]]) -> bool:
    return any(alert.shown and alert.matched_by(matchers) for alert in alerts for matchers in clauses)


# ---------------------------------------------------------------------------------------------------------------------
# A new one


def preview(wanted: SetSilence, store: Store, rules: Rules, week: Known, now: datetime, timezone: str) -> Preview:
    """Return what a silence would mute now, and would have muted of what ended in the week."""
    silence = wanted.silence
    muted = _muted(silence.matchers, wanted.maintenance, fires(store, [silence], [each for each, _ in week]))
    ids = {fire.incident for fire in muted}
    about = sorted((each for each, _ in week if each.id in ids and each.status is IncidentStatus.OPEN), key=place)
    ended = [(each, alerts) for each, alerts in week if each.status is IncidentStatus.ENDED]
    fully = [each for each, alerts in ended if _all_of(alerts, silence.matchers)]
    partly = sum(_any_of(alerts, [silence.matchers]) for _, alerts in ended) - len(fully)
    fully.sort(key=lambda each: each.at or now, reverse=True)
    read = list(whole(store, fully[:MAX_READ]).values())
    return Preview(
        silence,
        wanted.maintenance,
        len(muted),
        len(ids),
        tuple(pictures_of(store, about[:MAX_SHOWN], rules, now, timezone)),
        len(fully),
        partly,
        len(read),
        tuple(_notifications(read).most_common()),
        () if muted or fully or partly else tuple(_unknown(silence.matchers, week)),
    )


def _all_of(alerts: Sequence[AlertSummary], matchers: Sequence[Matcher]) -> bool:
    shown = [alert for alert in alerts if alert.shown]
    return bool(shown) and all(alert.matched_by(matchers) for alert in shown)


def _notifications(incidents: Sequence[Incident]) -> Counter[str]:
    """Return how many notifications the newest lines of these incidents name, by the key of the target."""
    lines = (entry for each in incidents for entry in each.timeline.entries)
    return Counter(entry.target for entry in lines if entry.kind == "told" and entry.target)


def _unknown(matchers: Sequence[Matcher], week: Known) -> Iterator[str]:
    """Yield the labels that a silence asks for and no alert of the week has."""
    known = {label for _, alerts in week for alert in alerts for label in alert.labels}
    asked = {each.label for each in matchers if not each.matches({})}
    yield from sorted(asked - known)


def week_of(store: Store, summaries: Sequence[Summary]) -> Known:
    """Return the listed incidents with their alerts; those that have too many are read."""
    return tuple(with_alerts(store, summaries))


# ---------------------------------------------------------------------------------------------------------------------
# Windows

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = tuple(name.capitalize() for name in MONTHS)
_SHOWN_RANGES = 4


def window_rows(rules: Rules, now: datetime) -> list[WindowRow]:
    """Return the windows of the rules file with their next opening, and which routes they are for."""
    return [_window(each, rules, now) for each in rules.windows.values()]


def _window(window: Window, rules: Rules, now: datetime) -> WindowRow:
    is_now = is_open(window, now)
    change = next_change(window, now)
    opens, closes = (None, change) if is_now else (change, None)
    if is_now and change is not None:
        opens = next_change(window, change)
    if not is_now and change is not None:
        closes = next_change(window, change)
    return WindowRow(window, is_now, opens, closes, tuple(_uses(window.name, rules)))


def _uses(name: str, rules: Rules) -> Iterator[tuple[str, Route]]:
    for route in rules.routes_by_id.values():
        if name in route.mute:
            yield "mute", route
        if name in route.active:
            yield "active", route


def window_days(window: Window) -> str:
    """Return its days in words: `every day`, `Mon to Fri`, `Sat, Sun, in Jul`, `12-24 to 01-02`."""
    days = window.days
    if any(each is not None and not each for each in (days.week, days.month, days.months, days.dates)):
        return "never"
    found = [] if days.week is None or len(days.week) == len(_DAYS) else [_runs(days.week, _DAYS)]
    found += [] if days.month is None else [f"day {_listed(days.month)} of the month"]
    found += [] if days.months is None else [f"in {_runs({each - 1 for each in days.months}, _MONTHS)}"]
    found += [] if days.dates is None else [_listed(days.dates)]
    return ", ".join(found) or "every day"


def _runs(numbers: Collection[int], names: Sequence[str]) -> str:
    """Return the names of numbers: `Mon to Fri` where they follow each other."""
    found = sorted(numbers)
    if len(found) > 2 and found == list(range(found[0], found[-1] + 1)):
        return f"{names[found[0]]} to {names[found[-1]]}"
    return ", ".join(names[each] for each in found)


def _listed(ranges: Sequence[Dates] | Sequence[MonthDays]) -> str:
    """Return the first ranges, and how many more there are."""
    shown = [f"{each.first}" if each.first == each.last else f"{each.first} to {each.last}" for each in ranges]
    more = [f"{len(shown) - _SHOWN_RANGES} more"] if len(shown) > _SHOWN_RANGES else []
    return ", ".join([*shown[:_SHOWN_RANGES], *more])


def window_times(window: Window) -> str:
    """Return its times of the day: `22:00–07:00`, `all day`."""
    if (window.from_minute, window.to_minute) == (0, 24 * 60):
        return "all day"
    return f"{_clock(window.from_minute)}–{_clock(window.to_minute)}"


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def route_words(route: Route) -> str:
    """Return what a route takes: the alerts of a rule, those with some labels, or all others."""
    if route.id.startswith("rule/"):
        return f"the rule {route.id.removeprefix('rule/')}"
    if route.matchers:
        return " ".join(each.written() for each in route.matchers)
    return {"default": "everything else", "fallback": "what cannot be delivered"}.get(route.id, "every alert")
