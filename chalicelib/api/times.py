"""Times as people write them: Slack, the API and the command line read the same words.

    2h, 1d 12h, 1d12h                                  a duration from now; `for` may stand before it
    18:30, 6pm, 6:30 pm                                the next such time of the day
    tomorrow, tomorrow 14:00                           at 09:00, or at that time
    monday, mon, friday 18:30                          the next such day at 09:00, or at that time
    2026-03-05, 2026-03-05 16:00, 2026-03-05T16:00Z    that day at 00:00, that time, RFC 3339

`until` may stand before an instant, `at` before the time of a day, and a zone (`UTC`, `Europe/Riga`, `+02:00`) behind
it. Capitals, commas and further blanks change nothing. What is not read whole is no time. Until DAY_BEGINS_HOUR people
count as the evening before: for them `tomorrow` is the day that the calendar has already.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from chalicelib.core.errors import RequestError
from chalicelib.core.instants import FIRST_YEAR, LAST_YEAR, instant_of
from chalicelib.core.language.durations import LONGEST, duration_of, is_duration

MORNING = time(9)
"""When a day begins that is named without a time."""
DAY_BEGINS_HOUR = 5
MAX_CHARACTERS = 100
MAX_WORDS = 12
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
LEADS = ("for", "until")
DURATIONS = "a duration (2h, 1d 12h)"
INSTANTS = "18:30, 6pm, tomorrow 14:00, friday, 2026-11-27 09:00 or RFC 3339"
EXPECTED = f"{DURATIONS}, {INSTANTS}"

_SHORT_DAYS = {name[:3]: number for number, name in enumerate(WEEKDAYS)} | {"tues": 1, "thur": 3, "thurs": 3}
_DAYS = {name: number for number, name in enumerate(WEEKDAYS)} | _SHORT_DAYS
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)", re.ASCII)
_HALF_DAY = re.compile(r"(0?[1-9]|1[0-2])(?::([0-5]\d))? ?([ap])m", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_ISO = re.compile(r"\d{4}-\d\d-\d\d[t ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(z| ?[+-]\d\d:?\d\d)?", re.ASCII)
_OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)", re.ASCII)
_NUMERAL = re.compile(r"\d{1,2}([:./h-].*)?|\d{4}-.*", re.ASCII)
_AREA = re.compile(r"[A-Za-z]+/[A-Za-z0-9_+/-]+", re.ASCII)
_UNIVERSAL = ("utc", "gmt", "z")

_ABBREVIATIONS = re.compile(
    "A[CEKW]?[DS]T|BRS?T|BST|C[ADES]T|CEST|E[ADES]T|EEST|H[KS]T|I[CDS]T|JST|KST|M[DS]T|MSK|NZ[DS]T|P[DKS]T|SAST|SGT"
    "|WAT|WES?T|WIB"
)
_PIECES = re.compile(
    "[ap]m|[ap]\\.m|o'clock|noon|midnight|morning|afternoon|evening|tonight|today"
    "|[hmsdw]|hrs?|hours?|mins?|minutes?|secs?|seconds?|days?|weeks?|months?"
)
_JOINTS = frozenset(("for", "until", "till", "at", "and", "or", "to", "by", "on", "next", "this", "+", "-", "–", "—"))


@dataclass(frozen=True, slots=True)
class _Written:
    """A time as it was written: a duration, RFC 3339, or a clock time with a day, a date and a zone that may be empty."""

    duration: str = ""
    iso: str = ""
    day: str = ""
    clock: time | None = None
    zone: str = ""


def parse_when(text: str, now: datetime, timezone: str = "UTC") -> datetime:
    """Return the instant that a duration or an instant means. Raise RequestError with what is allowed."""
    return _instant(text, _read(text), now, timezone, EXPECTED)


def parse_until(text: str, now: datetime, timezone: str = "UTC") -> datetime:
    """Return the instant that `until` means: a duration is none. Raise RequestError with what is allowed."""
    found = _read(text)
    if found is not None and found.duration:
        raise RequestError(f"{_cut(text)} is no time but a duration, which `for` takes; expected is {INSTANTS}")
    return _instant(text, found, now, timezone, INSTANTS)


def parse_for(text: str, now: datetime) -> datetime:
    """Return the end of a duration from now. Raise RequestError with what is allowed, for an instant too."""
    found = _read(text)
    if found is not None and not found.duration:
        raise RequestError(f"{_cut(text)} is no time from now; expected is {DURATIONS}, or `until` in place of `for`")
    return _instant(text, found, now, "UTC", DURATIONS)


def zone_of(name: str) -> tzinfo:
    """Return the time zone of a name. Raise RequestError when there is none."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        raise RequestError(f"{name[:40]!r} is no time zone; expected is a name such as America/Sao_Paulo") from None


def is_zone(name: str) -> bool:
    """Return whether there is a time zone of that name."""
    try:
        return bool(zone_of(name))
    except RequestError:
        return False


def time_and_reason(words: Sequence[str]) -> tuple[str, str]:
    """Return the longest time that the words begin with, and the other words: the reason.

    Raise RequestError when they begin with no time, and when the reason begins like a part of one.
    """
    for count in range(min(len(words), MAX_WORDS), 0, -1):
        text, reason = " ".join(words[:count]), words[count:]
        if _read(text) is not None:
            _check_reason(text, reason)
            return _without_lead(text), " ".join(reason)
    raise RequestError(f"{_cut(' '.join(words[:2]))} begins with no time{_hint(words)}; expected is {EXPECTED}")


def _without_lead(text: str) -> str:
    lead, _, rest = text.partition(" ")
    return rest if lead.lower() in LEADS else text


def _hint(words: Sequence[str]) -> str:
    """Return why words are no time where `for` stands before an instant, or `until` before a duration."""
    behind = (_read(" ".join(words[1:count])) for count in range(2, MAX_WORDS))
    if words and words[0].lower() in LEADS and any(found is not None for found in behind):
        return ": `for` takes a duration and `until` takes a time"
    return ""


def _check_reason(text: str, reason: Sequence[str]) -> None:
    """Raise RequestError when the words behind a time could belong to it: they would silently change when it is."""
    if not reason:
        return
    first = reason[0]
    if _is_piece(first) or (first.lower() in _JOINTS and len(reason) > 1 and _is_piece(reason[1])):
        named = first if _is_piece(first) else f"{first} {reason[1]}"
        raise RequestError(
            f"the time was read as {_cut(text)}, and {_cut(named)} behind it looks like a part of a time: "
            f"expected is one whole time ({EXPECTED}), or a reason that begins with another word"
        )


def _is_piece(word: str) -> bool:
    """Return whether a word is a time, or could be a part of one."""
    bare = word.strip(",.;:!?()[]'\"“”")
    if _ABBREVIATIONS.fullmatch(bare) or _PIECES.fullmatch(bare.lower()) or _NUMERAL.fullmatch(bare):
        return True
    return _is_zone_word(bare) or _read(bare) is not None


# ---------------------------------------------------------------------------------------------------------------------
# Reading


def _read(text: str) -> _Written | None:
    """Return a time as it was written; None when the text is not one from its beginning to its end."""
    if len(text) > MAX_CHARACTERS:
        return None
    words = text.replace(",", " ").split()
    lead = words.pop(0).lower() if words and words[0].lower() in LEADS else ""
    found = _duration(words) if lead != "until" else None
    return found or (_zoned(words) if lead != "for" else None)


def _duration(words: Sequence[str]) -> _Written | None:
    text = "".join(words).lower()
    return _Written(duration=text) if all(is_duration(word.lower()) for word in words) and is_duration(text) else None


def _zoned(words: Sequence[str]) -> _Written | None:
    """Return an instant; a zone may be its last word."""
    text = " ".join(words).lower()
    if _ISO.fullmatch(text):
        return _Written(iso=text.upper().replace(" +", "+").replace(" -", "-"))
    if len(words) > 1 and _is_zone_word(words[-1]):
        found = _instant_words(words[:-1])
        return None if found is None else _Written(day=found[0], clock=found[1], zone=words[-1])
    found = _instant_words(words)
    return None if found is None else _Written(day=found[0], clock=found[1])


def _is_zone_word(word: str) -> bool:
    if word.lower() in _UNIVERSAL or _OFFSET.fullmatch(word):
        return True
    return _AREA.fullmatch(word) is not None and is_zone(word)


def _instant_words(words: Sequence[str]) -> tuple[str, time | None] | None:
    """Return the day and the clock time of words such as `friday at 6:30 pm`; None when they are not read whole."""
    if not words:
        return None
    first, rest = words[0].lower(), list(words[1:])
    if not (first in _DAYS or first == "tomorrow" or _DATE.fullmatch(first)):
        clock = _clock(words)
        return None if clock is None else ("", clock)
    if not rest:
        return first, None
    clock = _clock(rest[1:] if rest[0].lower() == "at" else rest)
    return None if clock is None else (first, clock)


def _clock(words: Sequence[str]) -> time | None:
    text = " ".join(words).lower()
    if found := _CLOCK.fullmatch(text):
        return time(int(found[1]), int(found[2]))
    if found := _HALF_DAY.fullmatch(text):
        return time(int(found[1]) % 12 + (12 if found[3] == "p" else 0), int(found[2] or 0))
    return None


# ---------------------------------------------------------------------------------------------------------------------
# Meaning


def _instant(text: str, found: _Written | None, now: datetime, timezone: str, expected: str) -> datetime:
    zone = zone_of(timezone)
    try:
        if found is None:
            raise ValueError(f"{_cut(text)} is no time{_hint(text.split())}")
        return _meant(found, now, zone)
    except ValueError as error:
        raise RequestError(f"{error}; expected is {expected}") from None


def _meant(found: _Written, now: datetime, zone: tzinfo) -> datetime:
    """Return the instant of what was written. Raise ValueError outside of our years."""
    if found.duration:
        return now + _length(found.duration)
    if found.iso:
        return instant_of(found.iso, zone)
    zone = _named_zone(found.zone) if found.zone else zone
    if _DATE.fullmatch(found.day):
        return _of_day(_date(found.day), found.clock or time(), zone)[0]
    local = now.astimezone(zone)
    days = (local.date() + timedelta(days=number) for number in range(9))
    wanted = found.clock or MORNING
    return next(at for day in days if _fits(found.day, day, local) for at in _of_day(day, wanted, zone) if at > now)


def _fits(word: str, day: date, local: datetime) -> bool:
    """Return whether a day of the calendar is meant by a word."""
    if word == "tomorrow":
        return day > (local - timedelta(hours=DAY_BEGINS_HOUR)).date()
    return not word or day.weekday() == _DAYS[word]


def _of_day(day: date, clock: time, zone: tzinfo) -> list[datetime]:
    """Return when clocks of the zone show a time on a day: twice where they are set back."""
    wall = datetime.combine(day, clock, zone)
    return sorted({wall.replace(fold=fold).astimezone(UTC) for fold in (0, 1)})


def _date(text: str) -> date:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no time") from None
    if not FIRST_YEAR <= found.year <= LAST_YEAR:
        raise ValueError(f"{text!r} is no time of the years {FIRST_YEAR} to {LAST_YEAR}")
    return found


def _length(text: str) -> timedelta:
    try:
        return duration_of(text)
    except ValueError:
        raise ValueError(f"{_cut(text)} is no time from now; allowed are up to {LONGEST.days} days") from None


def _named_zone(word: str) -> tzinfo:
    if word.lower() in _UNIVERSAL:
        return UTC
    if offset := _OFFSET.fullmatch(word):
        length = timedelta(hours=int(offset[2]), minutes=int(offset[3]))
        if length >= timedelta(days=1):
            raise ValueError(f"{word!r} is no time zone, and the whole no time")
        return timezone(length if offset[1] == "+" else -length)
    return zone_of(word)


def _cut(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:39] + "…")
