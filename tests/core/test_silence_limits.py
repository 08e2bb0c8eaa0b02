"""How large one silence may be, wherever it is asked for, and what it keeps of its changes."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.api.requests import new_silence, parse_match, parse_words
from chalicelib.core.context import Silence, SilenceChange
from chalicelib.core.errors import RequestError
from chalicelib.core.match import Matcher
from chalicelib.core.silence_limits import (
    MAX_CHANGE_CHARACTERS,
    MAX_CHANGES,
    MAX_COMMENT_CHARACTERS,
    MAX_LABEL_CHARACTERS,
    MAX_MATCHERS,
    MAX_MATCHERS_BYTES,
    MAX_NAME_CHARACTERS,
    MAX_VALUE_CHARACTERS,
    check_silence,
    with_change,
)
from chalicelib.slack.silence_modal import MAX_COMMENT_CHARACTERS as MAX_FORM_COMMENT
from chalicelib.slack.silence_modal import MAX_MATCHERS_CHARACTERS as MAX_FORM_MATCHERS
from chalicelib.slack.silence_modal import mistakes
from simulation.timeline import Fields, TimelineError, Times, silence_of

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
API = Matcher("service", "=", "api")
BASE = Silence("s1", (API,), NOW, NOW + HOUR, "ana", at=NOW)


def matchers(size):
    """Two matchers that have so many bytes together, one a line."""
    half = size // 2 - len("a=\n")
    return (Matcher("a", "=", "x" * half), Matcher("b", "=", "y" * (size - half - len("a=\nb="))))


LARGEST = [
    ("matchers", {"matchers": tuple(Matcher(f"l{n}", "=", "x") for n in range(MAX_MATCHERS))}),
    ("label", {"matchers": (API, Matcher("l" * MAX_LABEL_CHARACTERS, "=", "x"))}),
    ("value", {"matchers": (Matcher("service", "=", "x" * MAX_VALUE_CHARACTERS),)}),
    ("bytes", {"matchers": matchers(MAX_MATCHERS_BYTES)}),
    ("id", {"id": "i" * MAX_NAME_CHARACTERS}),
    ("by", {"by": "n" * MAX_NAME_CHARACTERS}),
    ("comment", {"comment": "é" * MAX_COMMENT_CHARACTERS}),
]
TOO_LARGE = [
    ({"matchers": tuple(Matcher(f"l{n}", "=", "x") for n in range(MAX_MATCHERS + 1))}, "33 matchers .* allowed are 32"),
    ({"matchers": (API, Matcher("l" * (MAX_LABEL_CHARACTERS + 1), "=", "x"))}, "label lll.* 101 .* allowed are 100"),
    ({"matchers": (Matcher("service", "=", "x" * (MAX_VALUE_CHARACTERS + 1)),)}, "service has 2,001 .* 2,000"),
    ({"matchers": matchers(MAX_MATCHERS_BYTES + 1)}, "matchers have 3,001 bytes together; allowed are 3,000"),
    ({"matchers": (Matcher("service", "=", "é" * (MAX_MATCHERS_BYTES // 2)),)}, "bytes together; allowed are 3,000"),
    ({"comment": "é" * (MAX_COMMENT_CHARACTERS + 1)}, "comment has 1,001 characters; allowed are 1,000"),
    ({"id": "i" * (MAX_NAME_CHARACTERS + 1)}, "id has 101 characters; allowed are 100"),
]


@pytest.mark.parametrize("parts", [row[1] for row in LARGEST], ids=[row[0] for row in LARGEST])
def test_the_largest_allowed_part_is_allowed(parts):
    """A silence at a limit is taken as it is, by the check and by what the API and Slack make silences with."""
    silence = replace(BASE, **parts)
    check_silence(silence)
    made = new_silence(
        silence.matchers, ends_at=NOW + HOUR, by=silence.by, at=NOW, comment=silence.comment, id=silence.id
    )
    assert made == silence


@pytest.mark.parametrize(("parts", "says"), TOO_LARGE)
def test_one_more_is_refused_with_the_limit(parts, says):
    """The error says which part is too large and what is allowed; nothing is cut without a word."""
    silence = replace(BASE, **parts)
    with pytest.raises(RequestError, match=says):
        new_silence(silence.matchers, ends_at=NOW + HOUR, by="ana", at=NOW, comment=silence.comment, id=silence.id)


@pytest.mark.parametrize(("parts", "says"), TOO_LARGE[:5])
def test_words_and_mappings_are_bounded_as_they_are_read(parts, says):
    """The command, the form and the API refuse matchers that are too large before they are used for anything."""
    words = [str(each) for each in parts["matchers"]]
    with pytest.raises(RequestError, match=says):
        parse_words(words)
    with pytest.raises(RequestError, match=says):
        parse_match({each.label: each.value for each in parts["matchers"]})
    assert says.rpartition(" ")[2] in mistakes({"matchers": "\n".join(words), "until": "2h"}, {}, NOW)["matchers"]


@pytest.mark.parametrize(("parts", "says"), TOO_LARGE)
def test_a_timeline_is_bounded_as_production_is(parts, says):
    """A line that production would refuse is a mistake of the timeline."""
    silence = replace(BASE, **parts)
    line = {
        "id": silence.id, "until": 7200, "by": "ana", "comment": silence.comment,
        "matchers": {each.label: each.value for each in silence.matchers},
    }  # fmt: skip
    with pytest.raises(TimelineError, match=says):
        silence_of(Fields("silence", line, Times(text=False)), NOW, "silence-1")


def test_what_the_form_takes_is_within_the_limits():
    """Slack's own limits of the form are not above ours: nothing that it takes is refused for its size in ASCII."""
    assert MAX_FORM_MATCHERS <= MAX_MATCHERS_BYTES
    assert MAX_FORM_COMMENT <= MAX_COMMENT_CHARACTERS


def test_only_the_newest_changes_are_kept_and_only_the_newest_with_its_matchers():
    """The record of a silence that is edited over and over does not grow."""
    silence = BASE
    for number in range(MAX_CHANGES + 5):
        change = SilenceChange(NOW + number * HOUR, "ana", f"{number} " + "x" * 2_000, (API,))
        silence = replace(silence, changes=with_change(silence, change))
    assert [each.at for each in silence.changes] == [NOW + number * HOUR for number in range(5, MAX_CHANGES + 5)]
    assert [each.before for each in silence.changes] == [()] * (MAX_CHANGES - 1) + [(API,)]
    assert {len(each.text) for each in silence.changes} == {MAX_CHANGE_CHARACTERS}
    assert all(each.text.endswith("…") for each in silence.changes)
