"""Times of a cron expression in a time zone, right on the days when the clock changes.

Five fields: minute, hour, day of the month, month, day of the week; each `*`, a number, a range `1-5`, a step `*/15`
or `8-18/2`, a list of those; months and days of the week also by their English names (`jan`, `mon`); Sunday is 0 or 7.
`@hourly`, `@daily` (`@midnight`), `@weekly`, `@monthly`, `@yearly` (`@annually`) stand for the usual five fields. As in
crontab(5), when both days are restricted either is enough.

cronsim finds the times, as Debian's cron has them: a fixed local time that the clock skips runs once, right after the gap,
and one that comes twice runs the first time. What runs every minute or every hour (`*`) goes by the time that passes, so
that it runs in both hours that have one name.
https://man7.org/linux/man-pages/man5/crontab.5.html
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_LONGEST_MONTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_SHORTHANDS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    low: int
    high: int
    words: tuple[str, ...] = ()
    first_word: int = 0

    @property
    def allowed(self) -> str:
        words = f" or {self.words[0]} to {self.words[-1]}" if self.words else ""
        return f"{self.low} to {self.high}{words}, *, ranges (1-5), steps (*/15) and lists of them"

    def wrong(self, text: str) -> ValueError:
        return ValueError(f"cron: {self.name} {text[:40]!r} is not understood; allowed is {self.allowed}")


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of the month", 1, 31),
    _Field("month", 1, 12, _MONTHS, 1),
    _Field("day of the week", 0, 7, _WEEKDAYS, 0),
)


@dataclass(frozen=True, slots=True)
class Cron:
    """A parsed expression. Days of the week count from Sunday, 0; `either_day` when both kinds of day are restricted."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool


def _fields(cron: str) -> list[str]:
    return _SHORTHANDS.get(cron.strip().lower(), cron).split()


@lru_cache(maxsize=256)
def parse(cron: str) -> Cron:
    """Return the expression as a value. ValueError names the field at fault and what it allows."""
    fields = _fields(cron)
    if len(fields) != len(_FIELDS):
        raise ValueError(
            f"cron: {cron.strip()[:60]!r} has {len(fields)} fields; allowed are five: minute, hour, day of the month, "
            f"month, day of the week; or one of {', '.join(_SHORTHANDS)}"
        )
    minutes, hours, days, months, weekdays = (
        _numbers(field, text) for field, text in zip(_FIELDS, fields, strict=True)
    )
    found = Cron(
        minutes=tuple(sorted(minutes)),
        hours=tuple(sorted(hours)),
        days=days,
        months=months,
        weekdays=frozenset(number % 7 for number in weekdays),
        either_day=not (fields[2][0] in "*?" or fields[4][0] in "*?"),
    )
    if not found.either_day and min(days) > max(_LONGEST_MONTHS[month - 1] for month in months):
        raise ValueError(
            f"cron: day of the month {fields[2]!r} never comes in month {fields[3]!r}; allowed is a day it has"
        )
    return found


def following(cron: str, zone: str | ZoneInfo, at: datetime) -> datetime:
    """Return the earliest time after `at`, in UTC."""
    return _following(cron, zone_of(zone), at.astimezone(UTC))


@lru_cache(maxsize=1_024)
def _following(cron: str, zone: ZoneInfo, at: datetime) -> datetime:
    from cronsim import CronSim

    for found in CronSim(_explicit(cron), at.astimezone(zone)):
        if found > at:  # a fixed time in the hour that comes twice is found once more, before `at`
            return found.astimezone(UTC)
    raise ValueError(f"cron: {cron[:60]!r} has no time in the fifty years after {at:%Y-%m-%d}")


def _explicit(cron: str) -> str:
    """Return the expression in cronsim's form: numbers for names, and a field that begins with `*` as it is."""
    found = parse(cron)
    numbers = (found.minutes, found.hours, sorted(found.days), sorted(found.months), sorted(found.weekdays))
    fields = zip(_fields(cron), numbers, strict=True)
    return " ".join(
        text.replace("?", "*") if text[0] in "*?" else ",".join(map(str, listed)) for text, listed in fields
    )


@lru_cache(maxsize=64)
def zone_of(name: str | ZoneInfo) -> ZoneInfo:
    """Return the time zone of that name; ValueError when there is none."""
    if isinstance(name, ZoneInfo):
        return name
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"timezone {name[:40]!r} does not exist; allowed are names of the IANA database, such as America/Sao_Paulo"
        ) from None


def _numbers(field: _Field, text: str) -> frozenset[int]:
    return frozenset(number for part in text.split(",") for number in _part(field, part, text))


def _part(field: _Field, part: str, text: str) -> Iterator[int]:
    span, slash, step_text = part.partition("/")
    if slash and not (step_text.isdecimal() and int(step_text) > 0):
        raise field.wrong(text)
    low, high = _span(field, span, text, open_ended=bool(slash))
    yield from range(low, high + 1, int(step_text) if slash else 1)


def _span(field: _Field, span: str, text: str, *, open_ended: bool) -> tuple[int, int]:
    if span == "*" or (span == "?" and field.name.startswith("day")):
        return field.low, 6 if field.name == "day of the week" else field.high
    first, dash, last = span.partition("-")
    low = _number(field, first, text)
    if not dash:
        return low, field.high if open_ended else low
    high = _number(field, last, text)
    if field.name == "day of the week" and high == 0 and low > 0:
        high = 7
    if high < low:
        raise field.wrong(text)
    return low, high


def _number(field: _Field, word: str, text: str) -> int:
    word = word.lower()
    if word in field.words:
        return field.words.index(word) + field.first_word
    if not (word.isascii() and word.isdecimal() and field.low <= int(word) <= field.high):
        raise field.wrong(text)
    return int(word)
