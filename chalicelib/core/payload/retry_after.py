"""Retry-After: the wait that a server asks for, in seconds or as a date. https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3"""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

MAX_CHARACTERS = 100


def asked_wait(text: str, now: datetime) -> timedelta | None:
    """Return the wait, whatever the text: zero for a date in the past, timedelta.max for what no timedelta holds.

    None for what is neither a number of seconds nor a date: a negative number, `inf`, `nan`, words. The caller decides
    how long a wait it believes.
    """
    text = text.strip()
    if not text.isascii() or len(text) > MAX_CHARACTERS:
        return None
    if text.replace(".", "", 1).isdigit():
        return _seconds(float(text))
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
    return max(timedelta(0), (at if at.tzinfo else at.replace(tzinfo=UTC)) - now)


def _seconds(number: float) -> timedelta:
    try:
        return timedelta(seconds=number)
    except OverflowError:
        return timedelta.max
