"""Days of a window: of the week, of the month, months, dates. Pure: a day in, true or false out."""

from calendar import monthrange
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


@dataclass(frozen=True, slots=True)
class Dates:
    """From the first date to the last, both included: `2026-12-24`, or `12-24` of every year.

    A range of every year may reach over its end: `12-24` to `01-02`.
    """

    first: str
    last: str

    def has(self, day: date) -> bool:
        """Return whether the day is one of them. ISO dates compare as texts."""
        if len(self.first) > len("12-24"):
            return self.first <= day.isoformat() <= self.last
        written = f"{day:%m-%d}"
        if self.first <= self.last:
            return self.first <= written <= self.last
        return written >= self.first or written <= self.last


@dataclass(frozen=True, slots=True)
class MonthDays:
    """From the first day of a month to the last, both included; -1 is the last day of the month, -2 the one before."""

    first: int
    last: int

    def has(self, day: date) -> bool:
        """Return whether the day is one of them."""
        length = monthrange(day.year, day.month)[1]
        first, last = (each + length + 1 if each < 0 else each for each in (self.first, self.last))
        return first <= day.day <= last


@dataclass(frozen=True, slots=True)
class Days:
    """The days on which a window opens: those that all its lists have. A list that is None has every day.

    `week` counts from 0, Monday; `months` from 1.
    """

    week: frozenset[int] | None = None
    month: tuple[MonthDays, ...] | None = None
    months: frozenset[int] | None = None
    dates: tuple[Dates, ...] | None = None

    def has(self, day: date) -> bool:
        """Return whether the window opens on the day."""
        return (
            (self.week is None or day.weekday() in self.week)
            and (self.months is None or day.month in self.months)
            and (self.month is None or _has(self.month, day))
            and (self.dates is None or _has(self.dates, day))
        )


def _has(ranges: Iterable[Dates | MonthDays], day: date) -> bool:
    return any(each.has(day) for each in ranges)
