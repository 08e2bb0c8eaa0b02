"""Durations as the rules file writes them: `30s`, `0.5s`, `5m`, `1h30m`, `4h`, `1d`, `1w`."""

import re
from datetime import timedelta

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}
LONGEST = timedelta(days=36_500)
"""A time of the years that `instants` takes, and this more or less, is a date."""
MAX_CHARACTERS = 100
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")


def seconds_of(value: object) -> float:
    """Return the seconds of a duration text or a number of seconds. Raise ValueError with what is allowed."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _bounded(value, "the number")
    text = str(value).strip()
    if not is_duration(text):
        raise ValueError(
            f"{text[:40]!r} is not a duration; allowed are numbers with s, m, h, d or w, such as 30s or 1h30m"
        )
    return _bounded(sum(float(number) * UNITS[unit] for number, unit in _PART.findall(text)), f"{text[:40]!r}")


def is_duration(text: str) -> bool:
    """Return whether the text is written as a duration, however long."""
    parts = _PART.findall(text) if len(text) <= MAX_CHARACTERS else []
    return bool(parts) and "".join(number + unit for number, unit in parts) == text


def duration_of(value: object) -> timedelta:
    """Return the duration of a text or a number of seconds. Raise ValueError with what is allowed."""
    return timedelta(seconds=seconds_of(value))


def _bounded(seconds: float, written: str) -> float:
    """Return the seconds as a float. What is not a number is not within the bounds."""
    if not abs(seconds) <= LONGEST.total_seconds():
        raise ValueError(f"{written} is too long; allowed is up to {LONGEST.days}d")
    return float(seconds)
