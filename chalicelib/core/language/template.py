"""The summaries of rules: text with `{{ names }}`, filled in. No code runs, nothing is imported, nothing is looped.

    {{ value }} errors a minute in {{ labels.service | default("some service") | upper }}

Names are those of NAMES; `labels`, `annotations` and `group` take a key after a point, or `labels["key with spaces"]`.
A label that an alert lacks is empty text. Filters are `default("…")`, `upper`, `lower`, `trim`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from chalicelib.core.errors import ColumnError
from chalicelib.core.language.tokens import nearest

NAMES = ("value", "threshold", "name", "title", "severity", "count", "events", "starts_at")
KEYED = ("labels", "annotations", "group")
MAX_CHARACTERS = 4_000
MAX_RENDERED_CHARACTERS = 10_000

_OPEN = re.compile(r"\{\{|\}\}|\{%|\{#")
_CLOSE = re.compile(r"""(?:[^"'{}]|"[^"]*"|'[^']*')*?\}\}""")
_NAME = re.compile(r"""\s*([A-Za-z_]\w*)(?:\s*\.\s*([A-Za-z_][\w.:/-]*)|\s*\[\s*(?:"([^"]*)"|'([^']*)')\s*\])?\s*""")
_FILTER = re.compile(r"""\|\s*([A-Za-z_]\w*)\s*(?:\(\s*(?:"([^"]*)"|'([^']*)')?\s*\))?\s*""")
_FILTERS: dict[str, Callable[[str, str], str]] = {
    "default": lambda text, other: text or other,
    "upper": lambda text, _: text.upper(),
    "lower": lambda text, _: text.lower(),
    "trim": lambda text, _: text.strip(),
}


class TemplateError(ColumnError):
    """A template that cannot be rendered."""


@dataclass(frozen=True, slots=True)
class Place:
    """One `{{ … }}`: a name, its key, and its filters with what they are given."""

    name: str
    key: str = ""
    filters: tuple[tuple[str, str], ...] = ()

    def fill(self, variables: Mapping[str, object]) -> str:
        """Return its text; empty for what is missing."""
        found = variables.get(self.name, "")
        if self.key:
            found = found.get(self.key, "") if isinstance(found, Mapping) else ""
        text = "" if found is None else str(found)
        for name, given in self.filters:
            text = _FILTERS[name](text, given)
        return text


@dataclass(frozen=True, slots=True)
class Template:
    """A compiled template: text and places in turn."""

    text: str
    parts: tuple[str | Place, ...]


@lru_cache(maxsize=512)
def compile_template(text: str) -> Template:
    """Return the template; TemplateError for what is not closed, not a name or not a filter."""
    if len(text) > MAX_CHARACTERS:
        raise TemplateError(f"the template has {len(text)} characters", 1, f"{MAX_CHARACTERS} at most")
    parts: list[str | Place] = []
    position = 0
    while (mark := _OPEN.search(text, position)) is not None:
        column = mark.start() + 1
        if mark[0] == "}}":
            raise TemplateError("'}}' closes nothing", column, "'{{' before it")
        if mark[0] != "{{":
            raise TemplateError(f"{mark[0]!r} is not part of the language", column, "{{ name }}")
        close = _CLOSE.match(text, mark.end())
        if close is None:
            raise TemplateError("'{{' is not closed", column, "'}}' after it")
        if mark.start() > position:
            parts.append(text[position : mark.start()])
        parts.append(_place(text[mark.end() : close.end() - 2], mark.end() + 1))
        position = close.end()
    if position < len(text):
        parts.append(text[position:])
    return Template(text, tuple(parts))


def template_mistakes(text: str) -> list[TemplateError]:
    """Return all that is wrong with a template: after a mistake, what follows the next `}}` is read on its own."""
    found: list[TemplateError] = []
    start = 0
    while start >= 0:
        try:
            compile_template(text[start:])
            break
        except TemplateError as error:
            column = start + error.column
            found.append(TemplateError(error.message, column, error.allowed, error.suggestion))
        end = text.find("}}", column - 1)
        start = end + 2 if end >= 0 else -1
    return found


def _place(inner: str, column: int) -> Place:
    match = _NAME.match(inner)
    if match is None:
        raise TemplateError(f"{inner.strip()[:40]!r} is not a name", column, _allowed())
    name, key = match[1], match[2] or match[3] or match[4] or ""
    column += len(inner) - len(inner.lstrip())
    if name not in NAMES and name not in KEYED:
        raise TemplateError(f"{name[:40]!r} is not a name", column, _allowed(), _nearest_name(name))
    if name in KEYED and not key:
        raise TemplateError(f"{name} needs a key", column, f"{name}.service")
    if name in NAMES and key:
        raise TemplateError(f"{name} has no keys", column, f"{{{{ {name} }}}}")
    return Place(name, key, _filters(inner, match.end(), column))


def _nearest_name(name: str) -> str:
    known = nearest(name, (*NAMES, *KEYED))
    if known in KEYED:
        return f"{known}.service"
    return known or f"labels.{name}"


def _filters(inner: str, position: int, column: int) -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    while position < len(inner):
        match = _FILTER.match(inner, position)
        if match is None:
            raise TemplateError(f"{inner[position:].strip()[:40]!r} cannot follow a name", column, "| and a filter")
        name, given = match[1], match[2] if match[2] is not None else match[3]
        if name not in _FILTERS:
            raise TemplateError(f"{name[:40]!r} is not a filter", column, ", ".join(_FILTERS), nearest(name, _FILTERS))
        if (name == "default") != (given is not None):
            wanted = 'default("text")' if name == "default" else name
            raise TemplateError(
                f"the filter {name} is given {'nothing' if given is None else 'a text'}", column, wanted
            )
        found.append((name, given or ""))
        position = match.end()
    return tuple(found)


def _allowed() -> str:
    return ", ".join((*NAMES, *(f"{name}.<key>" for name in KEYED)))


def render(template: str | Template, variables: Mapping[str, object]) -> str:
    """Return the text with every place filled. TemplateError for a broken template, never for a missing label."""
    compiled = compile_template(template) if isinstance(template, str) else template
    parts = (part if isinstance(part, str) else part.fill(variables) for part in compiled.parts)
    return "".join(parts)[:MAX_RENDERED_CHARACTERS]
