"""Matchers as people, keyboards and amtool write them, and as text that reads back."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chalicelib.core.errors import RequestError
from chalicelib.core.match import OPERATORS, Matcher
from chalicelib.core.matcher_words import is_matcher, leading_matchers, read_matchers

API = Matcher("service", "=", "api")
PROD = Matcher("env", "=~", "p.*")


@pytest.mark.parametrize(
    ("text", "matchers"),
    [
        ("service=api", [API]),
        (" service = api ", [API]),
        ('service="api"', [API]),
        ("service='api'", [API]),
        ("service=“api”", [API]),
        ("service=„api“", [API]),
        ("service=«api»", [API]),
        ("service=‘api’", [API]),
        ("service=”api”", [API]),
        ('"service"="api"', [API]),
        ('"app kind"=x', [Matcher("app kind", "=", "x")]),
        ('{service="api",env=~"p.*"}', [API, PROD]),
        ('{ service = "api" , env =~ "p.*", }', [API, PROD]),
        ("{service=api,env=~p.*}", [API, PROD]),
        ("service=api,env=~p.*", [API, PROD]),
        ("service=api\nenv=~p.*\n", [API, PROD]),
        ("service=api\r\n\r\nenv=~p.*", [API, PROD]),
        ('service="api"\n"env"=~"p.*"', [API, PROD]),
        ("", []),
        ("{}", []),
        ("service=", [Matcher("service", "=", "")]),
        ('service=""', [Matcher("service", "=", "")]),
        ("service=\nenv=~p.*", [Matcher("service", "=", ""), PROD]),
        ("service=,env=~p.*", [Matcher("service", "=", ""), PROD]),
        ("name=High error rate", [Matcher("name", "=", "High error rate")]),
        ("name=it's on", [Matcher("name", "=", "it's on")]),
        ("name='it's on'", [Matcher("name", "=", "it's on")]),
        ('name=say "x"', [Matcher("name", "=", 'say "x"')]),
        (r'name="say \"x\""', [Matcher("name", "=", 'say "x"')]),
        (r'name="a\nb\\c\d"', [Matcher("name", "=", "a\nb\\c\\d")]),
        (r"name=~a\d\n", [Matcher("name", "=~", r"a\d\n")]),
        ("zone=~x{1,3}", [Matcher("zone", "=~", "x{1,3}")]),
        ("zone=~x{3}", [Matcher("zone", "=~", "x{3}")]),
        ("zone=a,b", [Matcher("zone", "=", "a,b")]),
        ('zone="a, b=c"', [Matcher("zone", "=", "a, b=c")]),
        ("zone=a=b", [Matcher("zone", "=", "a=b")]),
        ('zone="=b"', [Matcher("zone", "=", "=b")]),
        ("zone!=~b", [Matcher("zone", "!=", "~b")]),
    ],
)
def test_matchers_are_read_as_they_are_written(text, matchers):
    """Given one or several matchers → each label, operator and value, without the quotes around it."""
    assert read_matchers(text) == matchers


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("service", "'service' is no matcher; expected is a label"),
        ("service=api\ncheckout", "'checkout' is no matcher"),
        ("=x", "'=x' is no matcher"),
        ("1a=b", "'1a=b' is no matcher"),
        ("service==checkout", "one = too many; expected is 'service=checkout'"),
        ("service == checkout", "expected is 'service=checkout'"),
        ("service!==checkout", "expected is 'service!=checkout'"),
        ('service="checkout', "the quotes around the value for service do not end"),
        ("service=“checkout", "the quotes around the value for service do not end"),
        ('service="a" and "b"', "the quotes around the value for service do not end"),
        ('""=x', "no matcher"),
    ],
)
def test_what_is_no_matcher_is_refused(text, words):
    """Given a text that is not read whole → an error that names the part and what is expected."""
    with pytest.raises(RequestError) as raised:
        read_matchers(text)
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("text", "matchers", "rest"),
    [
        ("service=api 2h why", [API], "2h why"),
        ("service=api env=~p.* 2h", [API, PROD], "2h"),
        ("service=api,env=~p.* 2h", [API, PROD], "2h"),
        ("service=api, env=~p.* 2h", [API, PROD], "2h"),
        ("service=api, 2h", [API], "2h"),
        ('{service="api", env=~"p.*"} until friday', [API, PROD], "until friday"),
        ("service=“api” 2h", [API], "2h"),
        ('name="High load" 2h', [Matcher("name", "=", "High load")], "2h"),
        ("name='High load' 2h", [Matcher("name", "=", "High load")], "2h"),
        ("service= 2h", [Matcher("service", "=", "")], "2h"),
        ("zone=~x{1,3} 2h", [Matcher("zone", "=~", "x{1,3}")], "2h"),
        ("3f2a 2h retries=3", [], "3f2a 2h retries=3"),
        ("", [], ""),
    ],
)
def test_a_command_begins_with_its_matchers(text, matchers, rest):
    """Given the words of a command → the matchers at its beginning, and the other words as they are."""
    assert leading_matchers(text) == (matchers, rest)


@pytest.mark.parametrize("text", ["=x 2h", "service==x 2h", '{service="x" 2h', "a!~ =b", "1a=b 2h"])
def test_a_word_that_would_be_a_matcher_is_no_other_word(text):
    """Given a first word with an operator that is no matcher → an error, and not an empty choice."""
    with pytest.raises(RequestError):
        leading_matchers(text)


@pytest.mark.parametrize(
    ("word", "is_one"), [("a=b", True), ("{a=b}", True), ("a!~b", True), ("=b", True), ("3f2a", False), ("", False)]
)
def test_a_word_with_an_operator_is_no_id(word, is_one):
    """Given a word → whether it chooses by labels."""
    assert is_matcher(word) is is_one


TEXTS = st.text(max_size=12) | st.text(alphabet="a=~!,{}\"'“” \n\r\t\\#", max_size=12)
MATCHERS = st.builds(
    Matcher,
    st.from_regex(r"\A[A-Za-z_][A-Za-z0-9_.-]{0,8}\Z") | TEXTS.filter(lambda text: text.strip() and text.isprintable()),
    st.sampled_from(OPERATORS),
    TEXTS,
)


@example([Matcher("a", "=", ""), Matcher("b", "=", "x")], ", ")
@example([Matcher("a", "=", "x,"), Matcher("b", "=~", "~x")], "\n")
@given(st.lists(MATCHERS, min_size=1, max_size=4), st.sampled_from(["\n", ", ", ","]))
def test_what_is_shown_reads_back(matchers, between):
    """Given any matchers as they are shown, in lines or in a list → the same matchers, and nothing else."""
    text = between.join(each.written() for each in matchers)
    assert read_matchers(text) == matchers
    assert read_matchers(f"{{{text}}}") == matchers
    assert leading_matchers(f"{text} 2h") == (matchers, "2h")


def test_a_plain_value_is_shown_without_quotes():
    """Given values that need none → the text that people know."""
    assert [Matcher("a", *rest).written() for rest in (("=", "x"), ("=~", r"a\.b|c"), ("!=", "it's"), ("=", ""))] == [
        "a=x", r"a=~a\.b|c", "a!=it's", "a=",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text", ["a=x" + "," * 60_000 + "y", "a=x" + ", " * 30_000 + "y", "a=" + " " * 60_000, "," * 60_000]
)
def test_a_long_text_takes_no_longer_than_its_length(text):
    """Given 60,000 characters that could be read in many ways → an answer without going back."""
    assert len(read_matchers(text)) == (text[0] == "a")
