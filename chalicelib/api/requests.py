"""What people ask for, as values: the words of the API, of Slack and of the command line mean the same here.

Matchers are words of `core/matcher_words.py`, or the mapping of a rule's `match`. Times are those of `times.py`.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from secrets import token_hex
from typing import Any

from chalicelib.core.context import Silence
from chalicelib.core.errors import RequestError
from chalicelib.core.incident import Incident
from chalicelib.core.match import OPERATORS, Matcher, parse_matcher
from chalicelib.core.matcher_words import EXPECTED, read_matchers
from chalicelib.core.pattern import PatternError
from chalicelib.core.rule import ALL_LABELS
from chalicelib.core.silence_limits import MAX_NAME_CHARACTERS, check_matchers_size, check_silence

MAX_SILENCE = timedelta(days=366)
MAX_TEXT_CHARACTERS = 1_000
PROGRAMS = frozenset({"tocsin", "pagerduty", "slack"})
"""Names under which nobody acts: Tocsin's own, and those of the vendors where people act by a door of their own."""
MUTES_NOTHING = "mutes nothing that fires now"
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
"""NUL and halves of surrogate pairs: no label of an event has them, and no halves can be written as UTF-8."""
_SILENCE_ID = re.compile("[A-Za-z0-9_-]{4,64}")


def new_id() -> str:
    """Return the id of something a person makes: short enough to type, and of its own."""
    return token_hex(4)


# ---------------------------------------------------------------------------------------------------------------------
# Matchers


def parse_words(words: Iterable[str]) -> tuple[Matcher, ...]:
    """Return the matchers of texts such as `label=value`, sorted. Raise RequestError at a part that is none."""
    return checked([matcher for word in words for matcher in _of_word(word)])


def parse_text(text: str) -> tuple[Matcher, ...]:
    """Return the matchers of a text, one a line or with commas between them; none of an empty one."""
    return checked(read_matchers(text))


def parse_match(given: Any) -> tuple[Matcher, ...]:
    """Return the matchers of a mapping as in a rule's `match`, or of a list of words."""
    if isinstance(given, Mapping):
        if any(not (str(label).strip() and str(label).isprintable()) for label in given):
            raise RequestError('a matcher has no label; expected is the name of one, as in {"service": "api"}')
        return checked([parse_matcher(str(label), _text(value, str(label))) for label, value in given.items()])
    if isinstance(given, list | tuple) and all(isinstance(each, str) for each in given):
        return parse_words(given)
    raise RequestError('`matchers` is no object; expected is {"service": "api"} or ["service=api"]')


def clauses_of(matchers: Iterable[Matcher]) -> dict[str, str]:
    """Return the matchers in the form of a rule's `match`; of two for one label RequestError."""
    found: dict[str, str] = {}
    for each in matchers:
        if each.label in found:
            raise RequestError(f"two matchers are for {each.label}; expected is one for each label")
        plain = each.operator == "=" and not each.value.startswith(OPERATORS)
        found[each.label] = each.value if plain else each.operator + each.value
    return found


def _of_word(word: str) -> list[Matcher]:
    if not (found := read_matchers(word)):
        raise RequestError(f"{word[:60]!r} is no matcher; {EXPECTED}")
    return found


def _text(value: Any, label: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise RequestError(f"the matcher for {label[:60]} is no text; expected is a value, or =~ and a pattern")
    return str(value)


def checked(matchers: Sequence[Matcher]) -> tuple[Matcher, ...]:
    """Return the matchers, sorted, each once. Raise RequestError for too many, too long ones, and bad patterns."""
    check_matchers_size(matchers)
    for each in matchers:
        check_text(f"the matcher for {each.label[:60]!r}", each.label + each.value)
        _check_pattern(each)
    return tuple(sorted(set(matchers), key=lambda each: (each.label, each.operator, each.value)))


def check_text(what: str, text: str) -> None:
    """Raise RequestError for characters that are no text; `what` says whose they are."""
    if _UNSTORABLE.search(text):
        raise RequestError(f"{what} has a character that is no text; expected is Unicode text")


def _check_pattern(matcher: Matcher) -> None:
    try:
        matcher.check()
    except PatternError as error:
        raise RequestError(f"the pattern for {matcher.label[:60]} is no regular expression of RE2: {error}") from None


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
    act: str = "",
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
        act=act,
    )
    check_silence(made)
    return made


def silence_id(text: str) -> str:
    """Return an id that a request chose for its silence. Raise RequestError when no door could end a silence by it."""
    if not _SILENCE_ID.fullmatch(text):
        raise RequestError(f"`id` is {text[:40]!r}; allowed are 4 to 64 letters, digits, - and _")
    return text


def check_matchers(matchers: Sequence[Matcher]) -> None:
    """Raise RequestError when a silence of these would mute everything, or holds a pattern that nothing can match."""
    for each in matchers:
        _check_pattern(each)
    if not any(not each.matches({}) for each in matchers):
        raise RequestError("the silence would mute everything: at least one matcher must ask for a value")


def check_times(starts_at: datetime, ends_at: datetime) -> None:
    """Raise RequestError when a silence from then to then is none, or too long."""
    if ends_at <= starts_at:
        raise RequestError("the silence ends before it begins: `until` must be later than now, and than `from`")
    if ends_at - starts_at > MAX_SILENCE:
        raise RequestError(f"the silence is too long; allowed are {MAX_SILENCE.days} days")


def matchers_of(incident: Incident) -> tuple[Matcher, ...]:
    """Return the matchers that choose the alerts of an incident alone, and those like them that come later.

    A label of its `group_by` that its alerts lack is part of them with an empty value. A label that one of its alerts
    has with another value than the group, as after a change of severity, has both values.
    """
    alerts = incident.firing or incident.shown
    labels = [alert.match_labels() for alert in alerts]
    wanted = {*incident.group, *incident.options.group_by} - {"alertname", ALL_LABELS}
    found = []
    for label in sorted(wanted):
        own = {incident.group[label]} if label in incident.group else set()
        found.append(_one_of(label, own | {each.get(label, "") for each in labels} or {""}))
    if names := {alert.name for alert in alerts}:
        found.append(_one_of("alertname", names))
    return checked(found)


def _one_of(label: str, values: set[str]) -> Matcher:
    if len(values) == 1:
        return Matcher(label, "=", next(iter(values)))
    return Matcher(label, "=~", "|".join(map(re.escape, sorted(values))))


def person(name: Any, *, field: str = "by") -> str:
    """Return the name of who acts, on one line; RequestError when there is none."""
    found = " ".join(name.split())[:MAX_NAME_CHARACTERS] if isinstance(name, str) else ""
    check_text(f"`{field}`", found)
    if not found or not found.isprintable():
        raise RequestError(f"`{field}` is missing: expected is the name of who does this")
    return found
