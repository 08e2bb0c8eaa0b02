"""Instants in UTC: read from what people, timelines and senders write, and written for them.

Those that are read are kept to years in which every duration added to one is still a date.

`0001-01-01T00:00+14:00` is in no year at all in UTC: what Python makes of it is an OverflowError.
"""

import re
from datetime import UTC, datetime, tzinfo

EARLIEST_YEAR, FIRST_YEAR, LAST_YEAR = 1870, 1970, 2199
BEGINNING = datetime(EARLIEST_YEAR, 1, 1, tzinfo=UTC).timestamp()
END = datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC).timestamp()
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
"""An instant in a text, as `rfc3339` writes it."""


def instant_of(text: str, zone: tzinfo = UTC) -> datetime:
    """Return the instant of ISO 8601 in UTC; `zone` holds where the text names none. Raise ValueError without one."""
    try:
        found = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise ValueError(f"{text[:40]!r} is no time") from None
    if not FIRST_YEAR <= found.year <= LAST_YEAR:
        raise ValueError(f"{text[:40]!r} is no time of the years {FIRST_YEAR} to {LAST_YEAR}")
    return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)


def instant_at(seconds: float) -> datetime:
    """Return the instant so many seconds after 1970. Raise ValueError outside of the years.

    A timeline counts from 0, and an event of it may have occurred before: a hundred years earlier at most.
    """
    if not BEGINNING <= seconds < END:
        raise ValueError(f"the number is no time of the years {EARLIEST_YEAR} to {LAST_YEAR}")
    return datetime.fromtimestamp(seconds, UTC)


def from_seconds(seconds: float) -> datetime:
    """Return the instant that Tocsin itself stored or counted as seconds after 1970."""
    return datetime.fromtimestamp(seconds, UTC)


def rfc3339(at: datetime) -> str:
    """Return an instant as text, to the second, in UTC."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
