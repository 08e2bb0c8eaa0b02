"""What the headers of an answer announce of the end of an endpoint, in Sentry's words or those of RFC 8594 and RFC 9745.

https://www.rfc-editor.org/rfc/rfc8594  https://www.rfc-editor.org/rfc/rfc9745
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime

from chalicelib.core.payload import coerce

KIND = "endpoint.retiring"
_DATES = ("x-sentry-deprecation-date", "sunset", "deprecation")


@dataclass(frozen=True, slots=True)
class Retirement:
    """What a vendor says of the end of an endpoint, on answers that are still good: from when, and what replaces it."""

    at: datetime | None = None
    replacement: str = ""

    @property
    def words(self) -> str:
        """Return the announcement as the end of a sentence about its vendor."""
        when = f", from {self.at:%Y-%m-%d} on" if self.at else ""
        return f"has announced its end{when}"


def retirement(headers: Mapping[str, str]) -> Retirement | None:
    """Return what headers announce; None for nothing. `headers` answer to names in lower case."""
    said = [value for name in _DATES if (value := headers.get(name))]
    if not said:
        return None
    at = next((found for each in said if (found := _announced(each))), None)
    link = re.search(r'<([^>]{1,300})>;[^,]*rel="?successor-version', headers.get("link") or "")
    replacement = headers.get("x-sentry-replacement-endpoint") or (link[1] if link else "")
    return Retirement(at, coerce.line(replacement, 300))


def _announced(value: str) -> datetime | None:
    """Return the time of a header: RFC 3339, a date of HTTP, or seconds behind an `@`."""
    found = coerce.instant(value.removeprefix("@"))
    if found is not None:
        return found
    try:
        return coerce.instant(parsedate_to_datetime(value).isoformat())
    except (ValueError, OverflowError):
        return None
