"""YAML with the place of every word, and its traps: `on`, `22:00`, an unquoted `#`, a key that comes twice."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from chalicelib.rules.file.finding import Finding, Path
from chalicelib.targets import kinds

MAX_FILE_CHARACTERS = 2_000_000
MAX_NODES = 200_000
MAX_DEPTH = 40
FREE_SECTIONS = ("tests", "probes", "sources", "webhooks")
"""Sections whose plug-ins and commands know their fields: `null` and booleans may stand there."""
BOOLEAN_KEYS = ("send_resolved", "continue", "flapping", "redirects")
"""Keys that take a boolean, beside the kinds of targets whose default address is `true`."""

Mark = tuple[int, int]
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_BOOLEAN = "tag:yaml.org,2002:bool"
_STANDARD = "tag:yaml.org,2002:"
_FLOW_COMMENT = re.compile(r"[:,\[]\s+(#[^\s\]},]+)")


@dataclass(slots=True)
class Document:
    """The plain data of a file, and where each part of it stands. `text_at` is where a text on one line begins."""

    data: Any = None
    values: dict[Path, Mark] = field(default_factory=dict)
    keys: dict[Path, Mark] = field(default_factory=dict)
    text_at: dict[Path, Mark] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    reported: set[Path] = field(default_factory=set)

    def where(self, path: Path, *, key: bool = False) -> Mark:
        """Return the place of a value (or of its key), or of what is nearest above it."""
        if key and path in self.keys:
            return self.keys[path]
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path, (1, 1))

    def is_told(self, path: Path) -> bool:
        """Return whether a mistake of what stands there, or of what it stands in, is reported already."""
        return any(path[:length] in self.reported for length in range(1, len(path) + 1))

    def say(self, path: Path, what: str, allowed: str = "", suggestion: str = "", *, key: bool = False) -> None:
        """Note a mistake; what else is wrong with the same word is not reported."""
        self.findings.append(Finding(path, what, allowed, suggestion, at_key=key))
        self.reported.add(path)


def read_yaml(text: str) -> Document:
    """Return the document, as far as it is YAML; mistakes are among its findings."""
    document = Document()
    if len(text) > MAX_FILE_CHARACTERS:
        document.say((), f"the file has {len(text)} characters", f"{MAX_FILE_CHARACTERS} at most")
        return document
    try:
        root = yaml.compose(text, Loader=_LOADER)
    except yaml.YAMLError:
        _say_broken(document, text)
        return document
    except RecursionError:
        document.say((), "is nested too deep", f"{MAX_DEPTH} levels at most")
        return document
    if root is not None:
        reader = _Reader(document, text)
        try:
            document.data = reader.value(root, ())
        except _TooMuchError as error:
            document.findings.clear()
            document.say((), str(error), f"{MAX_DEPTH} levels and {MAX_NODES} values at most")
    return document


def _say_broken(document: Document, text: str) -> None:
    """Read it again in Python, whose words are the same everywhere."""
    try:
        yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        document.values[()] = (line, column)
        hidden = _hidden_by_comment(text, error)
        if hidden is not None:
            document.values[()] = hidden[0]
            document.say(
                (), "an unquoted # begins a comment, and hides the rest of its line", "quotes around it", hidden[1]
            )
            return
        what, allowed = _broken_words(str(error.problem or error.context or "it cannot be read"), text, line, column)
        document.say((), what, allowed)
    except (yaml.YAMLError, RecursionError) as error:
        problem = getattr(error, "reason", "") or "it cannot be read"
        document.say((), f"is not YAML: {problem}", "UTF-8 text without control characters")


def _hidden_by_comment(text: str, error: yaml.MarkedYAMLError) -> tuple[Mark, str] | None:
    """Return where a comment stands for a value in a bracket that does not close: `{slack_channel: #incidents}`."""
    if error.context_mark is None or error.problem_mark is None or "flow" not in str(error.context):
        return None
    for number, line in enumerate(text.splitlines()[error.context_mark.line : error.problem_mark.line + 1]):
        found = _FLOW_COMMENT.search(line)
        if found:
            place = (error.context_mark.line + number + 1, found.start(1) + 1)
            return place, json.dumps(found[1], ensure_ascii=False)
    return None


def _broken_words(problem: str, text: str, line: int, column: int) -> tuple[str, str]:
    lines = text.splitlines()
    written = lines[line - 1] if line <= len(lines) else ""
    if "\\t" in problem or (written[:column].strip() == "" and "\t" in written[: column + 1]):
        return "a tab; YAML is indented by spaces", "spaces"
    if "'%'" in problem or "'@'" in problem or "'`'" in problem:
        return f"is not YAML: {problem}", "quotes around text that begins with a sign"
    if "{{" in written:
        return f"is not YAML: {problem}", 'quotes around text with {{ }}, such as summary: "{{ value }} errors"'
    if "another document" in problem:
        return "a second document begins", "one document, without a line of ---"
    if "undefined alias" in problem:
        return f"is not YAML: {problem}", "quotes around text that begins with *"
    if "mapping values are not allowed" in problem:
        return f"is not YAML: {problem}", "quotes around text with a colon, and equal indentation"
    return f"is not YAML: {problem}", "keys and lists, indented by spaces"


class _TooMuchError(Exception):
    pass


class _Reader:
    """YAML nodes to plain data, reporting the traps of YAML."""

    def __init__(self, document: Document, text: str) -> None:
        self.document = document
        self.boolean_keys = {*BOOLEAN_KEYS, *(name for name, kind in kinds().items() if kind.takes_true)}
        self.lines = text.splitlines()
        self.loader = yaml.SafeLoader("")
        self.nodes = 0

    def value(self, node: yaml.Node, path: Path) -> Any:
        """Return the value of a node at a path."""
        self.nodes += 1
        if self.nodes > MAX_NODES or len(path) > MAX_DEPTH:
            raise _TooMuchError("is too large" if self.nodes > MAX_NODES else "is nested too deep, or contains itself")
        self.document.values[path] = (node.start_mark.line + 1, node.start_mark.column + 1)
        if not node.tag.startswith(_STANDARD):
            return self.tagged(node, path)
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(each, (*path, index)) for index, each in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)
        return self.scalar(node, path)

    def tagged(self, node: yaml.Node, path: Path) -> Any:
        """Return a sign at the start of unquoted text, which YAML takes for a tag."""
        tag = str(node.tag)
        rest = node.value if isinstance(node.value, str) else ""
        written = f"{tag}{' ' if rest else ''}{rest}"
        self.document.say(path, f"unquoted {written[:60]} is a tag in YAML", "quotes around it", json.dumps(written))
        return None

    def mapping(self, node: yaml.MappingNode, path: Path) -> Any:
        """Return a mapping, with `<<` opened; a key that comes twice is reported."""
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self.odd_key(key_node, path)
                return None
            if key_node.tag == _STANDARD + "merge":
                self.merge(value_node, path, found)
                continue
            key = self.key(key_node, path)
            here = (*path, key)
            mark = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            if here in self.document.keys:
                first = self.document.keys[here]
                self.document.keys[here] = mark
                self.document.say(
                    here, f"{key!r} comes twice; the first is in line {first[0]}", "each key once", key=True
                )
                continue
            self.document.keys[here] = mark
            found[key] = self.value(value_node, here)
        return found

    def odd_key(self, node: yaml.Node, path: Path) -> None:
        """Note a key that is a list or a mapping: most often it is a template without quotes."""
        written = self.lines[node.start_mark.line][max(0, node.start_mark.column - 1) :]
        if written.startswith("{{"):
            self.document.say(path, "begins with {{, which YAML takes for a mapping", "quotes around the text")
        else:
            self.document.say(path, "a key is a list or a mapping", "keys that are text")

    def merge(self, node: yaml.Node, path: Path, found: dict[str, Any]) -> None:
        """Add what `<<: *name` brings; own keys win."""
        nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
        for each in nodes:
            given = self.value(each, path)
            if isinstance(given, Mapping):
                for key, value in given.items():
                    found.setdefault(key, value)
                    self.document.keys.pop((*path, key), None)

    def key(self, node: yaml.ScalarNode, path: Path) -> str:
        """Return a key as text. `on:` and `no:` are booleans in YAML."""
        text = str(node.value)
        if node.tag == _BOOLEAN and text.lower() not in ("true", "false"):
            self.document.keys[(*path, text)] = (node.start_mark.line + 1, node.start_mark.column + 1)
            self.document.say(
                (*path, text), f"unquoted {text} is a boolean in YAML", "quotes around it", json.dumps(text), key=True
            )
            del self.document.keys[(*path, text)]
        return text

    def scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        """Return a scalar; traps are reported where the section is ours."""
        text, tag = str(node.value), str(node.tag).removeprefix(_STANDARD)
        free = bool(path) and path[0] in FREE_SECTIONS
        if tag == "null" and not (free or len(path) == 1):
            return self.empty(node, path)
        if tag == "bool":
            value = self.constructed(node, path, self.loader.construct_yaml_bool)
            named = bool(path) and path[-1] in self.boolean_keys
            if value is not None and text.lower() not in ("true", "false") and not free and not named:
                self.document.say(path, f"unquoted {text} is a boolean in YAML", "quotes around it", json.dumps(text))
            return value
        if tag in ("int", "float") and ":" in text and not (free and path[0] == "tests"):
            self.document.say(path, f"unquoted {text} is a number in YAML", "quotes around it", json.dumps(text))
            return text
        if tag == "int":
            return self.number(node, path, self.loader.construct_yaml_int)
        if tag == "float":
            return self.number(node, path, self.loader.construct_yaml_float)
        if tag == "str":
            self.note_text(node, path)
        return None if tag == "null" else text

    def number(self, node: yaml.ScalarNode, path: Path, construct: Any) -> Any:
        """Return a finite decimal number. `010` is eight in YAML."""
        text = str(node.value)
        if re.fullmatch(r"[-+]?0[0-9_]+|[-+]?0[bxo][0-9A-Fa-f_]+", text):
            self.document.say(
                path, f"unquoted {text} is not a decimal number in YAML", "quotes around it", json.dumps(text)
            )
            return text
        value = self.constructed(node, path, construct)
        if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
            self.document.say(path, f"is {text}", "a finite number")
            return 0
        return value

    def constructed(self, node: yaml.ScalarNode, path: Path, construct: Any) -> Any:
        """Return the value that the tag says; `!!int x` and numbers of thousands of digits have none."""
        try:
            return construct(node)
        except (ValueError, LookupError):
            kind = str(node.tag).removeprefix(_STANDARD)
            self.document.say(path, f"{str(node.value)[:40]!r} cannot be read as {kind}", "quotes around text")
            return None

    def empty(self, node: yaml.ScalarNode, path: Path) -> None:
        """Note a key without a value. After an unquoted # the value is a comment."""
        line, column = node.end_mark.line, node.end_mark.column
        name = next((part for part in reversed(path) if isinstance(part, str)), "it")
        rest = self.lines[line][column:] if line < len(self.lines) else ""
        comment = re.match(r"\s*(#\S+)", rest)
        if comment:
            value = comment[1].rstrip("}],")
            self.document.say(
                path,
                f"{name} is empty: an unquoted # begins a comment",
                "quotes around it",
                json.dumps(value, ensure_ascii=False),
            )
        else:
            self.document.say(path, f"{name} is empty", "a value, or leaving the key out")

    def note_text(self, node: yaml.ScalarNode, path: Path) -> None:
        """Note where the text begins, if its columns are those of the file.

        An unquoted text has the style None or, from libyaml, "".
        """
        if node.start_mark.line == node.end_mark.line and node.style in (None, "", '"', "'"):
            quote = 1 if node.style else 0
            if node.end_mark.column - node.start_mark.column == len(node.value) + 2 * quote:
                self.document.text_at[path] = (node.start_mark.line + 1, node.start_mark.column + 1 + quote)
