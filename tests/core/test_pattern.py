"""Regular expressions from outside: RE2's language, in linear time, with words for what it refuses."""

import re
import subprocess
import sys
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.match import Matcher, parse_matcher
from chalicelib.core.pattern import MAX_PATTERN_CHARACTERS, PatternError, compiled, whole_match
from tests.project import ROOT

NESTED = "a" * 32 + "!"
"""Python's `re` needs 2^32 steps to find that `(a+)+$` does not match it."""

MATCHES = [
    ("(a+)+$", NESTED, False),
    ("([A-Za-z ]+)*!", "a b " * 60, False),
    ("(a|a)*b", "a" * 500, False),
    ("a|b", "ab", False),
    ("a|ab", "ab", True),
    ("web-.*", "web-1", True),
    ("web-.*", "my-web-1", False),
    (".*", "a\nb", False),
    ("(?s).*", "a\nb", True),
    ("a$", "a\n", False),
    ("", "", True),
    (".", "é", True),
    ("[é-ü]", "ö", True),
    (r"\pL+", "Größe", True),
    ("(?i)É", "é", True),
    ("[[:digit:]]{3}", "123", True),
    ("[[:digit:]]{3}", "12a", False),
    ("[[:upper:][:space:]]+", "A B", True),
    (r"\d+", "٣", False),
    (".", "\ud800", True),
    ("a.*", "a\udfff", True),
    ("\ud800", "\ud800", True),
    ("a", "\ud800", False),
    (r"a\.b\ c\-d", "a.b c-d", True),
    (r"\Q(?=\E", "(?=", True),
    ("[(?=]", "?", True),
    ("a{}", "a{}", True),
    (r"\x{e9}{2}", "éé", True),
    (r"\pL{3}", "abc", True),
]


@pytest.mark.parametrize(("pattern", "text", "matches"), MATCHES, ids=[ascii(case)[:60] for case in MATCHES])
def test_a_pattern_matches_the_whole_text(pattern, text, matches):
    """Anchored at both ends, over characters, with ASCII classes, whatever the text holds."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert whole_match(pattern, text) is matches


REFUSED = [
    ("ab(?=c)", 3, "look-ahead", "!~"),
    ("(?!c)b", 1, "look-ahead", "!~"),
    ("(?<!a)b", 1, "look-behind", "!~"),
    (r"(a)\1", 4, "back-reference", "the text itself"),
    ("(?P<n>a)(?P=n)", 9, "back-reference", "the text itself"),
    (r"\(?=a[(?=](?=b)", 11, "look-ahead", "!~"),
    (r"\Q(?=\E(?=", 8, "look-ahead", "!~"),
    ("(?>a)", 1, "atomic", "plain form"),
    ("ba++", 3, "possessive", "plain form"),
    ("a**", 2, "two repetitions", "around the first"),
    ("*a", 1, "nothing stands before", "a part before it"),
    ("(?#x)a", 1, "comment", "without comments"),
    ("(?(1)a|b)", 1, "condition", "a|b"),
    ("(?x)a", 1, "group is unknown", "flags i, m, s and U"),
    (r"a\Z", 2, r"\Z", r"\z"),
    (r"\u00e9", 1, r"\u", r"\x{e9}"),
    (r"\é", 1, "escape is unknown", "before punctuation"),
    ("a{1001}", 2, "repeated too often", "1000"),
    ("a{99999999999999}", 2, "repeated too often", "1000"),
    ("a{1,99999999999999}", 2, "repeated too often", "1000"),
    ("a{" + "9" * 900 + "}", 2, "repeated too often", "1000"),
    ("((a{100}){100}){100}", 4, "repeated too often", "multiplied"),
    ("a{,3}", 2, "{,3} has no first number", "{0,3}"),
    ("a{3,2}", 2, "{3,2} ends below", "smaller number first"),
    (r"\pL{900}", 1, "too large", "shorter"),
    ("a(b", 2, "never closed", r"\("),
    ("(a(b)", 1, "never closed", r"\("),
    ("a)", 2, "closes nothing", r"\)"),
    ("a[b", 2, "never closed", r"\["),
    ("a\\", 2, "at the end", r"\\"),
    ("[z-a]", 2, "class or range", "[a-z]"),
    ("x[[:number:]]", 3, "class or range", "[[:digit:]]"),
    (r"\p{Klingon}", 1, "class or range", r"\p{Greek}"),
    ("a" * (MAX_PATTERN_CHARACTERS + 1), 1, "1001 characters", "up to 1000"),
]


@pytest.mark.parametrize(("pattern", "column", "what", "allowed"), REFUSED, ids=[case[0][:20] for case in REFUSED])
def test_what_re2_refuses_is_named_with_its_column(pattern, column, what, allowed):
    """The error names what is refused, where, and what to write instead."""
    with pytest.raises(PatternError) as refused:
        compiled(pattern)
    assert refused.value.column == column
    assert what in refused.value.message
    assert allowed in refused.value.allowed


@pytest.mark.parametrize("operator", ["=~", "!~"])
def test_a_refused_pattern_holds_for_no_labels(operator):
    """A stored clause that only Python's `re` knew neither raises nor mutes anything."""
    matcher = Matcher("service", operator, "(?=a)a")
    assert not matcher.matches({"service": "a"})
    assert not matcher.matches({"service": "b"})
    assert not matcher.matches({})
    with pytest.raises(PatternError):
        matcher.check()


@pytest.mark.parametrize(
    ("clause", "text", "holds"),
    [
        ("=~a|b", "a", True),
        ("=~a|b", "c", False),
        ("!~a|b", "a", False),
        ("!~a|b", "c", True),
        ("=~.*", None, True),
        ("=~.+", None, False),
        ("!~.+", None, True),
        ("!~", "\udc80", True),
    ],
)
def test_a_missing_label_is_the_empty_text(clause, text, holds):
    """`=~` asks that the whole value matches, `!~` that it does not."""
    labels = {} if text is None else {"service": text}
    assert parse_matcher("service", clause).matches(labels) is holds


@given(st.text(st.characters(), max_size=60))
def test_an_escaped_text_matches_itself(text):
    """A silence of an incident escapes the names of its alerts."""
    assert whole_match(re.escape(text), text) is True


@given(st.text(st.characters(), max_size=40), st.text(st.characters(), max_size=40))
def test_any_two_texts_are_a_pattern_and_a_text(pattern, text):
    """A pattern is compiled or refused with words, and matches or does not; nothing else is raised."""
    try:
        found = compiled(pattern).matches(text)
    except PatternError as error:
        assert error.message and error.allowed and 1 <= error.column <= len(pattern)
        found = None
    assert whole_match(pattern, text) is found


@given(st.text("(){}[]?*+|\\^$.<>=!:PiZ{,}09#&-", max_size=25))
def test_any_operators_are_a_pattern_or_a_mistake(pattern):
    """The column of a mistake lies inside the pattern."""
    try:
        compiled(pattern)
    except PatternError as error:
        assert error.message and error.allowed and 1 <= error.column <= len(pattern)


REPLACED = [
    (r"ACME-\d+", "an ACME-12 and ACME-7", "an # and #"),
    ("é+", "caféé\ud800é", "caf#\ud800#"),
    ("x", "abc\udfff", "abc\udfff"),
]


@pytest.mark.parametrize(("pattern", "text", "expected"), REPLACED, ids=[case[0] for case in REPLACED])
def test_every_match_is_replaced(pattern, text, expected):
    """What does not match stays as it was, lone surrogates too."""
    assert compiled(pattern).replaced(text, "#") == expected


def test_rules_without_patterns_do_not_load_re2():
    """A clause without a pattern is matched without the engine; the first pattern loads it."""
    code = (
        "import sys\n"
        "from chalicelib.core.match import matches_all, parse_matchers\n"
        "assert matches_all(parse_matchers({'a': 'b', 'c': '!=d'}), {'a': 'b'})\n"
        "assert 're2' not in sys.modules\n"
        "assert matches_all(parse_matchers({'a': '=~b'}), {'a': 'b'})\n"
        "assert 're2' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
