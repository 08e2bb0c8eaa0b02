"""Durations as the rules file writes them: `30s`, `0.5s`, `5m`, `1h30m`, `4h`, `1d`, `1w`."""

import re
from datetime import timedelta

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")


def seconds_of(value: object) -> float:
    """Seconds of a duration text, or of a number of seconds; ValueError says what is allowed."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    text = str(value).strip()
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(
            f"{text[:40]!r} is not a duration; allowed are numbers with s, m, h, d or w, such as 30s or 1h30m"
        )
    return sum(float(number) * UNITS[unit] for number, unit in parts)


def duration_of(value: object) -> timedelta:
    """The duration of a text."""
    return timedelta(seconds=seconds_of(value))
