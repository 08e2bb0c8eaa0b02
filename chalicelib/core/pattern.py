r"""Regular expressions of rules, silences and people, compiled by RE2: the language and the engine of Alertmanager.

RE2 needs time in proportion to the text. Python's `re` tries every way through a pattern: `(a+)+$` against 32 a's and
a `!` never ends, and a worker that matches it holds up its whole batch. RE2 has no look-around and no back-reference.

RE2 is loaded with the first pattern. The ingest path and a rules file without patterns never load it.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from chalicelib.core.errors import ColumnError

MAX_PATTERN_CHARACTERS = 1_000
MAX_PATTERN_BYTES = 1 << 20
"""The memory of one compiled pattern. RE2 works in slower steps when it is used up, still in linear time."""
MAX_REPETITIONS = 1_000
"""RE2's own limit: https://github.com/google/re2/wiki/Syntax."""
MAX_COMPILED = 1_024
MAX_REMEMBERED = 8_192
"""Answers that are remembered: in a storm most labels are those of the event before."""

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_TOKEN = re.compile(
    r"\\Q.*?(?:\\E|\Z)|\\[pPx]\{[^}]*\}|\\.?"
    r"|\[\^?\]?(?:\\.|\[:[^:\]]*:\]|[^\\\]])*\]?"
    r"|\{(?P<least>\d*),?(?P<most>\d*)\}|.",
    re.DOTALL | re.ASCII,
)
"""One token of a pattern. What looks like an operator inside a class or behind a `\\` is none."""


class PatternError(ColumnError):
    """A regular expression that RE2 refuses: what it refuses, at which column, and what to write instead."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled regular expression."""

    engine: Any

    def matches(self, text: str) -> bool:
        """Return whether the pattern matches the whole text."""
        return self.engine.fullmatch(_encoded(text)) is not None

    def replaced(self, text: str, by: str) -> str:
        """Return the text with `by` in place of every match."""
        readable = _LONE_SURROGATE.sub("\ufffd", text)
        if self.engine.search(readable.encode()) is None:
            return text
        found, kept = [], 0
        for match in self.engine.finditer(readable):
            found += [text[kept : match.start()], by]
            kept = match.end()
        return "".join([*found, text[kept:]])

    def groups(self, text: str) -> dict[str, str]:
        """Return what the named groups hold at the first match, of a pattern that `compiled` was to keep groups of."""
        match = self.engine.search(_LONE_SURROGATE.sub("\ufffd", text).encode())
        held = match.groupdict() if match is not None else {}
        return {_text(name): _text(found) for name, found in held.items() if found is not None}


@lru_cache(maxsize=MAX_COMPILED)
def compiled(pattern: str, *, dot_newline: bool = False, groups: bool = False) -> Pattern:
    """Return the compiled pattern; `dot_newline` lets `.` match a newline. Raise PatternError when RE2 refuses it."""
    import re2

    _check_size(pattern)
    options = re2.Options()
    options.max_mem = MAX_PATTERN_BYTES
    options.log_errors = False
    options.never_capture = not groups
    options.dot_nl = dot_newline
    try:
        return Pattern(re2.compile(_encoded(pattern), options))
    except re2.error as error:
        raise _explained(pattern, _text(error.args[0])) from None


@lru_cache(maxsize=MAX_REMEMBERED)
def whole_match(pattern: str, text: str) -> bool | None:
    """Return whether the pattern matches the whole text. Return None for a pattern that RE2 refuses.

    New patterns are checked with `compiled` before they are stored. A silence that an older version stored may hold one
    that only Python's `re` knew.
    """
    try:
        return compiled(pattern).matches(text)
    except PatternError:
        return None


def _encoded(text: str) -> bytes:
    """Return the text in UTF-8. A lone surrogate becomes U+FFFD, as in Alertmanager's reader of JSON."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return _LONE_SURROGATE.sub("\ufffd", text).encode()


def _text(words: bytes | str) -> str:
    return words.decode(errors="replace") if isinstance(words, bytes) else words


# ---------------------------------------------------------------------------------------------------------------------
# Refusals

_BACK_REFERENCE = ("a back-reference needs more than linear time", "the text itself in both places")
_LOOK_AHEAD = ("look-ahead needs more than linear time", "what the text may be with =~, or what it may not be with !~")
_LOOK_BEHIND = ("look-behind needs more than linear time", _LOOK_AHEAD[1])
_ATOMIC = ("an atomic group or possessive repetition is unknown", "the plain form: RE2 never goes back")
_UNKNOWN_FLAG = ("this kind of group is unknown", "(…), (?:…), (?P<name>…), and the flags i, m, s and U as in (?i)")
_REPETITION = (
    "a part is repeated too often",
    f"{{n}}, {{n,}} or {{n,m}} with at most {MAX_REPETITIONS}, nested ones multiplied",
)
_REFUSALS = {
    "invalid perl operator: (?=": _LOOK_AHEAD,
    "invalid perl operator: (?!": _LOOK_AHEAD,
    "invalid perl operator: (?<=": _LOOK_BEHIND,
    "invalid perl operator: (?<!": _LOOK_BEHIND,
    "invalid perl operator: (?P=": _BACK_REFERENCE,
    "invalid perl operator: (?>": _ATOMIC,
    "invalid perl operator: (?#": ("a comment is unknown", "a pattern without comments"),
    "invalid perl operator: (?(": ("a condition is unknown", "alternatives such as a|b"),
    "invalid perl operator: ": _UNKNOWN_FLAG,
    "invalid named capture group: ": _UNKNOWN_FLAG,
    "invalid escape sequence: \\Z": ("\\Z is unknown", "\\z for the end of the text"),
    "invalid escape sequence: \\u": ("\\u is unknown", "\\x{e9} for a character by its number"),
    "invalid escape sequence: \\U": ("\\U is unknown", "\\x{e9} for a character by its number"),
    **{f"invalid escape sequence: \\{digit}": _BACK_REFERENCE for digit in range(1, 10)},
    "invalid escape sequence: ": ("the escape is unknown", "\\d, \\w, \\s, \\b, \\pL, or \\ before punctuation"),
    "bad repetition operator: ++": _ATOMIC,
    "bad repetition operator: *+": _ATOMIC,
    "bad repetition operator: ?+": _ATOMIC,
    "bad repetition operator: ": ("two repetitions follow each other", "(…) around the first, or one of them"),
    "no argument for repetition operator: ": (
        "nothing stands before a repetition",
        "a part before it, or \\ to mean it",
    ),
    "invalid repetition size: ": _REPETITION,
    "pattern too large": ("it is too large once compiled", "shorter repetitions, above all of \\p{…} and of (…){n}"),
    "missing ]: ": ("a [ is never closed", "a ] behind it, or \\[ to mean it"),
    "missing ): ": ("a ( is never closed", "a ) behind it, or \\( to mean it"),
    "unexpected ): ": ("a ) closes nothing", "a ( before it, or \\) to mean it"),
    "trailing \\": ("a \\ stands at the end", "\\\\ to mean it"),
    "invalid character class range: ": ("the class or range is unknown", "such as [a-z], [[:digit:]] or \\p{Greek}"),
}
"""What RE2 refuses, by the beginning of its own words: what to say, and what is allowed. The first that fits counts."""


def _check_size(pattern: str) -> None:
    """Raise PatternError for a pattern over our limits, and for `{…}` that RE2 would take as plain text."""
    if len(pattern) > MAX_PATTERN_CHARACTERS:
        raise PatternError(f"it has {len(pattern)} characters", allowed=f"up to {MAX_PATTERN_CHARACTERS} characters")
    for token in _TOKEN.finditer(pattern):
        if token["least"] is not None:
            _check_repetition(token[0], token.start() + 1, token["least"], token["most"])


def _check_repetition(written: str, column: int, least: str, most: str) -> None:
    if most and not least:
        raise PatternError(f"{written[:20]} has no first number", column, "both, as in {0,3}")
    if any(len(number) > 4 or int(number or 0) > MAX_REPETITIONS for number in (least, most)):
        raise PatternError(_REPETITION[0], column, _REPETITION[1])
    if most and int(most) < int(least):
        raise PatternError(f"{written} ends below its beginning", column, "the smaller number first")


def _explained(pattern: str, words: str) -> PatternError:
    """Return the error for what RE2 says of a pattern."""
    kind, _, found = words.partition(": ")
    if found == "(?P" and "(?P=" in pattern:
        words, found = f"{kind}: (?P=", "(?P="
    for beginning, (what, allowed) in _REFUSALS.items():
        if words.startswith(beginning):
            return PatternError(what, _column(pattern, kind, found), allowed)
    return PatternError(kind, _column(pattern, kind, found), "the syntax of RE2")


def _column(pattern: str, kind: str, found: str) -> int:
    """Return where RE2's words point to. RE2 names the part that it refuses, but not its place."""
    if kind == "trailing \\":
        return len(pattern)
    if kind in ("missing )", "unexpected )"):
        return 1 + _unpaired(pattern)
    starts = (token.start() for token in _TOKEN.finditer(pattern))
    return 1 + next((at for at in starts if pattern.startswith(found, at)), max(pattern.find(found), 0))


def _unpaired(pattern: str) -> int:
    """Return where the first `)` without a `(` is, else the last `(` without a `)`."""
    opened: list[int] = []
    for token in _TOKEN.finditer(pattern):
        if token[0] == ")" and not opened:
            return token.start()
        if token[0] == ")":
            opened.pop()
        elif token[0] == "(":
            opened.append(token.start())
    return opened[-1] if opened else 0
