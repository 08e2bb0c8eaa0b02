"""What people ask for, as values: the words of the API, of Slack and of the command line mean the same here.

Matchers are written `service=api`, `severity!=info`, `instance=~web-.*`, `zone!~test.*`, or as the mapping of a rule's
`match`. Times are a duration from now (`2h`), `tomorrow` (the next 09:00), a wall time in the person's zone
(`18:30`, `2026-11-27T09:00`) or RFC 3339.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from chalicelib.core.context import Silence
from chalicelib.core.errors import RequestError
from chalicelib.core.incident import Incident
from chalicelib.core.instants import instant_of
from chalicelib.core.language.durations import LONGEST, duration_of, is_duration
from chalicelib.core.match import OPERATORS, Matcher, parse_matcher
from chalicelib.core.pattern import PatternError
from chalicelib.core.silence_limits import MAX_NAME_CHARACTERS, check_matchers_size, check_silence

MAX_SILENCE = timedelta(days=366)
MAX_TEXT_CHARACTERS = 1_000
MORNING_HOUR = 9
"""When `tomorrow` begins."""
_MATCHER = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_.-]*)\s*(=~|!~|!=|=)(.*)", re.DOTALL)
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")


def new_id() -> str:
    """The id of something a person makes: short enough to type, and of its own."""
    return token_hex(4)


# ---------------------------------------------------------------------------------------------------------------------
# Matchers


def parse_words(words: Iterable[str]) -> tuple[Matcher, ...]:
    """The matchers of `label=value` words, sorted; RequestError names the one that is none."""
    return _checked([_of_word(word) for word in words])


def parse_match(given: Any) -> tuple[Matcher, ...]:
    """The matchers of a mapping as in a rule's `match`, or of a list of words."""
    if isinstance(given, Mapping):
        if any(not (str(label).strip() and str(label).isprintable()) for label in given):
            raise RequestError('a matcher has no label; expected is the name of one, as in {"service": "api"}')
        return _checked([parse_matcher(str(label), _text(value, str(label))) for label, value in given.items()])
    if isinstance(given, list | tuple) and all(isinstance(each, str) for each in given):
        return parse_words(given)
    raise RequestError('`matchers` is no object; expected is {"service": "api"} or ["service=api"]')


def clauses_of(matchers: Iterable[Matcher]) -> dict[str, str]:
    """The matchers in the form of a rule's `match`; of two for one label RequestError."""
    found: dict[str, str] = {}
    for each in matchers:
        if each.label in found:
            raise RequestError(f"two matchers are for {each.label}; expected is one for each label")
        plain = each.operator == "=" and not each.value.startswith(OPERATORS)
        found[each.label] = each.value if plain else each.operator + each.value
    return found


def _of_word(word: str) -> Matcher:
    parts = _MATCHER.fullmatch(word)
    if parts is None:
        raise RequestError(f"{word[:60]!r} is no matcher; expected is a label, one of = != =~ !~, and a value")
    label, operator, value = parts.groups()
    value = value.strip()
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = value[1:-1]
    return Matcher(label, operator, value)


def _text(value: Any, label: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise RequestError(f"the matcher for {label[:60]} is no text; expected is a value, or =~ and a pattern")
    return str(value)


def _checked(matchers: Sequence[Matcher]) -> tuple[Matcher, ...]:
    check_matchers_size(matchers)
    for each in matchers:
        _check_pattern(each)
    return tuple(sorted(set(matchers), key=lambda each: (each.label, each.operator, each.value)))


def _check_pattern(matcher: Matcher) -> None:
    try:
        matcher.check()
    except PatternError as error:
        raise RequestError(f"the pattern for {matcher.label[:60]} is no regular expression of RE2: {error}") from None


# ---------------------------------------------------------------------------------------------------------------------
# Times


def parse_when(text: str, now: datetime, timezone: str = "UTC") -> datetime:
    """The instant that a word means, later than `now` unless it is RFC 3339; RequestError says what is allowed."""
    word, zone = text.strip(), _zone(timezone)
    if word.lower() == "tomorrow":
        return _next_day(now.astimezone(zone), MORNING_HOUR, 0)
    if clock := _CLOCK.fullmatch(word):
        return _next_clock(now.astimezone(zone), int(clock[1]), int(clock[2]))
    if is_duration(word):
        return now + _duration(word)
    try:
        return instant_of(word, zone)
    except ValueError as error:
        raise RequestError(f"{error}; expected is a duration (2h), tomorrow, 18:30 or 2026-11-27T09:00") from None


def _duration(word: str) -> timedelta:
    try:
        return duration_of(word)
    except ValueError:
        raise RequestError(f"{word[:40]!r} is no time from now; allowed are up to {LONGEST.days} days") from None


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        raise RequestError(f"{name[:40]!r} is no time zone; expected is a name such as America/Sao_Paulo") from None


def _next_day(local: datetime, hour: int, minute: int) -> datetime:
    day = local.replace(tzinfo=None) + timedelta(days=1)
    return day.replace(hour=hour, minute=minute, second=0, microsecond=0, tzinfo=local.tzinfo).astimezone(UTC)


def _next_clock(local: datetime, hour: int, minute: int) -> datetime:
    today = local.replace(hour=hour, minute=minute, second=0, microsecond=0, fold=0)
    return today.astimezone(UTC) if today > local else _next_day(local, hour, minute)


# ---------------------------------------------------------------------------------------------------------------------
# Silences


def new_silence(
    matchers: Sequence[Matcher],
    *,
    ends_at: datetime,
    by: str,
    at: datetime,
    comment: str = "",
    starts_at: datetime | None = None,
    id: str = "",
) -> Silence:
    """Return a silence as a person decided it at `at`.

    RequestError when it would mute everything, nothing, or for ever, and when a part of it is too large.
    """
    starts_at = max(starts_at or at, at)
    check_matchers(matchers)
    check_times(starts_at, ends_at)
    made = Silence(
        id=id or new_id(),
        matchers=tuple(matchers),
        starts_at=starts_at,
        ends_at=ends_at,
        by=person(by),
        comment=comment.strip(),
        at=at,
    )
    check_silence(made)
    return made


def check_matchers(matchers: Sequence[Matcher]) -> None:
    """RequestError when a silence of these would mute everything, or holds a pattern that nothing can match."""
    for each in matchers:
        _check_pattern(each)
    if not any(not each.matches({}) for each in matchers):
        raise RequestError("the silence would mute everything: at least one matcher must ask for a value")


def check_times(starts_at: datetime, ends_at: datetime) -> None:
    """RequestError when a silence from then to then is none, or too long."""
    if ends_at <= starts_at:
        raise RequestError("the silence ends before it begins: `until` must be later than now, and than `from`")
    if ends_at - starts_at > MAX_SILENCE:
        raise RequestError(f"the silence is too long; allowed are {MAX_SILENCE.days} days")


def matchers_of(incident: Incident) -> tuple[Matcher, ...]:
    """The matchers that choose the alerts of an incident, and those like them that come later."""
    names = sorted({alert.name for alert in incident.firing or incident.shown})
    found = [Matcher(label, "=", value) for label, value in incident.group.items() if label != "alertname"]
    if len(names) == 1:
        found.append(Matcher("alertname", "=", names[0]))
    elif names:
        found.append(Matcher("alertname", "=~", "|".join(map(re.escape, names))))
    return _checked(found)


def person(name: Any) -> str:
    """The name of who acts, on one line; RequestError when there is none."""
    found = " ".join(name.split())[:MAX_NAME_CHARACTERS] if isinstance(name, str) else ""
    if not found or not found.isprintable():
        raise RequestError("`by` is missing: expected is the name of who does this")
    return found
