r"""Matchers as people write them, and as text that reads back: the API, Slack and the command line share these words.

Read are `service=api`, `severity!=info`, `instance=~web-.*` and `zone!~test.*`, one a line or with commas between them,
and what amtool writes: `alertname="High load"`, `{a="b",c=~"d"}`. In quotes `\"`, `\\`, `\n`, `\r` and `\t` stand for one
character; any other `\` stays, so that `"web\d+"` is the pattern that it looks like. Quotes that a keyboard makes of `"`
and `'` are taken off too. Without quotes a value is read as it is.
"""

import re
from dataclasses import dataclass

from chalicelib.core.errors import RequestError
from chalicelib.core.match import LABEL_PATTERN, Matcher

DOUBLE_QUOTES = '"“”„‟«»'
SINGLE_QUOTES = "'‘’‚‛‹›"
EXPECTED = "expected is a label, one of = != =~ !~, and a value"
MAX_SHOWN_CHARACTERS = 60

_HEAD = rf'(?P<label>{LABEL_PATTERN}|"(?:[^"\\]|\\.)+")%s(?P<operator>=~|!~|!=|=)'
_BRACES = re.compile(r'\{(?:"(?:[^"\\]|\\.)*"|[^"])*?\}(?=[\s,]|\Z)', re.DOTALL)
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPE = re.compile(r'\\([nrt"\\])')
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t"}
_WORD = re.compile(r"\S*")


@dataclass(frozen=True, slots=True)
class _Style:
    """How matchers are written: `head` is a label and its operator, `limit` ends a value, `end` follows its quotes."""

    head: re.Pattern[str]
    limit: re.Pattern[str]
    end: re.Pattern[str]


_LINES = _Style(re.compile(_HEAD % r"\s*", re.DOTALL), re.compile(r"\n"), re.compile(r"[^\S\n]*(?:\n|,|\Z)"))
_TYPED = _Style(re.compile(_HEAD % "", re.DOTALL), re.compile(r"\s"), re.compile(r"\s|,|\Z"))
"""Between the words of a command a label, its operator and its value stand together."""


def read_matchers(text: str) -> list[Matcher]:
    """Return the matchers of a text that holds nothing else. Raise RequestError at the first part that is none."""
    text = text.strip()
    if text.startswith("{") and text.endswith("}"):
        text = text[1:-1]
    found: list[Matcher] = []
    at = _skipped(text, 0)
    while at < len(text):
        matcher, at = _read(text, at, _LINES)
        found.append(matcher)
        at = _skipped(text, at)
    return found


def leading_matchers(text: str) -> tuple[list[Matcher], str]:
    """Return the matchers at the beginning of a command, and its other words.

    A value without quotes ends at a blank. Raise RequestError for a first word that would be a matcher and is none.
    """
    found: list[Matcher] = []
    at = _skipped(text, 0)
    while at < len(text):
        if braces := _BRACES.match(text, at):
            found += read_matchers(braces[0])
            at = braces.end()
        elif _looks_like_one(text, at):
            matcher, at = _read(text, at, _TYPED)
            found.append(matcher)
        else:
            break
        at = _skipped(text, at)
    return found, text[at:]


def is_matcher(word: str) -> bool:
    """Return whether a word chooses by labels: an id and the name of an alert have no operator behind a label."""
    word = word.strip()
    return _LINES.head.match(word) is not None or _looks_like_one(word, 0)


def _looks_like_one(text: str, at: int) -> bool:
    if text.startswith("{", at) or _TYPED.head.match(text, at):
        return True
    word = _word(text, at)
    return "=" in word or "!~" in word


def _word(text: str, at: int) -> str:
    found = _WORD.match(text, at)
    return found[0] if found else ""


def _skipped(text: str, at: int) -> int:
    """Return where the next part begins: blanks and commas lie between two."""
    while at < len(text) and (text[at].isspace() or text[at] == ","):
        at += 1
    return at


def _read(text: str, at: int, style: _Style) -> tuple[Matcher, int]:
    """Return the matcher that begins at a place, and the place behind it."""
    head = style.head.match(text, at)
    if head is None:
        raise RequestError(f"{_cut(_word(text, at))!r} is no matcher; {EXPECTED}")
    label, operator = head["label"], head["operator"]
    if label.startswith('"'):
        label = _unescaped(label[1:-1])
    at = _behind_blanks(text, head.end(), style)
    if text[at : at + 1] and text[at] in DOUBLE_QUOTES + SINGLE_QUOTES:
        value, at = _quoted(text, at, style, label)
        return Matcher(label, operator, value), at
    stop = _value_end(text, at, style)
    value = text[at:stop].strip()
    if operator in ("=", "!=") and value.startswith("="):
        raise RequestError(_doubled(label, operator, value))
    return Matcher(label, operator, value), stop


def _behind_blanks(text: str, at: int, style: _Style) -> int:
    while at < len(text) and text[at].isspace() and not style.limit.match(text, at):
        at += 1
    return at


def _value_end(text: str, at: int, style: _Style) -> int:
    """Return where a value without quotes ends: its line or word does, or a comma and the next matcher follow."""
    while at < len(text) and not style.limit.match(text, at):
        if text[at] != ",":
            at += 1
            continue
        behind = _skipped(text, at)
        if behind == len(text) or style.limit.search(text, at, behind) or style.head.match(text, behind):
            break
        at = behind
    return at


def _doubled(label: str, operator: str, value: str) -> str:
    meant = f"{label}{operator}{value.lstrip('=').strip()}"
    return (
        f"{_cut(label + operator + value)!r} has one = too many; expected is {_cut(meant)!r}, "
        "or quotes around a value that begins with ="
    )


def _quoted(text: str, at: int, style: _Style, label: str) -> tuple[str, int]:
    """Return a value in quotes. `"` is closed by the next `"`; other quotes by one of their kind before an end."""
    if text[at] == '"':
        found = _STRING.match(text, at)
        if found and style.end.match(text, found.end()):
            return _unescaped(found[1]), found.end()
    else:
        kind = DOUBLE_QUOTES if text[at] in DOUBLE_QUOTES else SINGLE_QUOTES
        for place in range(at + 1, len(text)):
            if text[place] in kind and style.end.match(text, place + 1):
                return _unescaped(text[at + 1 : place]), place + 1
    raise RequestError(
        f"the quotes around the value for {_cut(label)} do not end where the value does; "
        'expected is "…", with \\" for a quote inside'
    )


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda found: _ESCAPED.get(found[1], found[1]), text)


def _cut(text: str) -> str:
    return text if len(text) <= MAX_SHOWN_CHARACTERS else text[: MAX_SHOWN_CHARACTERS - 1] + "…"
