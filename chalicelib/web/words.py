"""Ages, times and numbers as the page writes them. Pure.

A duration has two parts at most, a time of today only its hour, and a number its unit behind a space.
"""

from datetime import date, datetime, timedelta
from math import floor
from zoneinfo import ZoneInfo

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def age(length: timedelta) -> str:
    """Return `45 s`, `5 min`, `6 h 13 min`, `1 d 13 h`: whole units only, never more than has passed."""
    seconds = max(0, int(length.total_seconds()))
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86_400
    if days:
        return _two(f"{days} d", hours % 24, "h")
    if hours:
        return _two(f"{hours} h", minutes % 60, "min")
    return f"{minutes} min" if minutes else f"{seconds} s"


def _two(first: str, count: int, unit: str) -> str:
    return f"{first} {count} {unit}" if count else first


def clock(at: datetime, zone: ZoneInfo, now: datetime, *, seconds: bool = False) -> str:
    """Return `02:41`, `02:41:08`, or `29 Nov, 14:10` of another day than the reader's today; with the year of another year."""
    local, today = at.astimezone(zone), now.astimezone(zone)
    hour = f"{local:%H:%M:%S}" if seconds else f"{local:%H:%M}"
    if local.date() == today.date():
        return hour
    year = "" if local.year == today.year else f" {local.year}"
    return f"{local.day} {_MONTHS[local.month - 1]}{year}, {hour}"


def day(at: date | datetime, zone: ZoneInfo, now: datetime) -> str:
    """Return `29 Nov`, with the year of another year; `today` of the reader's own."""
    on, today = (at.astimezone(zone).date() if isinstance(at, datetime) else at), now.astimezone(zone).date()
    if on == today:
        return "today"
    return f"{on.day} {_MONTHS[on.month - 1]}" + ("" if on.year == today.year else f" {on.year}")


def days(count: float) -> str:
    """Return `61 days`, rounded down: never more than is left."""
    return counted(floor(count), "day")


def in_utc(at: datetime) -> str:
    """Return `30 Nov 2026 05:46:20 UTC`, whatever the reader's zone is."""
    utc = at.astimezone(ZoneInfo("UTC"))
    return f"{utc.day} {_MONTHS[utc.month - 1]} {utc:%Y %H:%M:%S} UTC"


def zone_words(zone: ZoneInfo, now: datetime) -> str:
    """Return `Sao Paulo, UTC−3`: the reader's zone by its city."""
    minutes = int((now.astimezone(zone).utcoffset() or timedelta(0)).total_seconds()) // 60
    if not minutes:
        return "UTC" if zone.key == "UTC" else f"{_city(zone)}, UTC"
    hours, rest = divmod(abs(minutes), 60)
    return f"{_city(zone)}, UTC{'−' if minutes < 0 else '+'}{hours}" + (f":{rest:02}" if rest else "")


def _city(zone: ZoneInfo) -> str:
    return zone.key.rpartition("/")[2].replace("_", " ")


def zone_of(*names: str) -> ZoneInfo:
    """Return the first of these zones that exists; UTC where none does."""
    for name in names:
        try:
            return ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            continue
    return ZoneInfo("UTC")


def is_zone(name: str) -> bool:
    """Return whether a zone has this name."""
    try:
        return bool(name) and ZoneInfo(name).key == name
    except (KeyError, ValueError, OSError):
        return False


def counted(count: int, one: str, several: str = "") -> str:
    """Return `1 alert`, `1,840 alerts`."""
    return f"{count:,} {one if count == 1 else several or one + 's'}"
