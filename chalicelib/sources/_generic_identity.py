"""What an event of a declared source is about, where its entry names no `id`.

It is the whole body less what changes while a fault goes on: its state, its severity, times, counters, measured values,
words of the message, and ids of one delivery. Two hosts are two alerts, whatever the title is. What is left out is known by
its key; a field of another name stays, since two faults taken for one would end together.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from chalicelib.core.payload import coerce
from chalicelib.sources._generic_paths import Steps, alternatives, opened
from chalicelib.sources._generic_words import ENDS, FIRES

MAX_DEPTH = 12

_STATE = "status state states statuses severity level priority urgency transition condition conclusion outcome result"
_FLAGS = "resolved firing ok healthy acknowledged acked muted silenced recovered success failed down up closed open important"
_TIMES = (
    "time timestamp ts date datetime at since until when seen start starts end ends begin began created updated started ended finished occurred received sent"
    " fired modified triggered duration elapsed uptime downtime latency ping age timezone offset"
)
_COUNTERS = (
    "count counter counts total totals attempt attempts retry retries occurrences failures times sequence seq iteration"
    " repeat repeats value values current observed measured reading percent percentage ratio rate load usage used free"
    " available bytes size score"
)
_WORDS = (
    "message msg description text summary body details detail error errors reason reasons output log logs note comment"
)
_DELIVERY = "event_id eventid delivery_id message_id messageid request_id requestid uuid nonce signature trace_id"
_CHANGES = frozenset(f"{_STATE} {_FLAGS} {_TIMES} {_COUNTERS} {_DELIVERY}".split())
_SAYS = frozenset(_WORDS.split())
_KINDS = frozenset({"type", "kind", "event", "event_type", "eventtype", "action", "topic"})
_NAMES = frozenset({"title", "name", "host", "hostname", "instance", "service", "id", "key", "subject"})
"""Keys whose value is a name, even where it is also a word for a state."""
_TITLES = frozenset({"title", "name", "subject", "headline"})
_STATES = FIRES | ENDS
_BRACKETS = re.compile(r"\[([^\]:]{1,40})(?::\d+)?\]\s*")


def subject_of(
    title: str, item: Mapping[str, Any], outer: Mapping[str, Any], fields: Mapping[str, Any], words: Collection[str]
) -> str:
    """Return the digest of what a body is about. `outer` is the body around an item, `words` are the entry's own for states.

    `title` is empty where the body has none: then one fault is known from another by the words of a message.
    """
    kept = _Kept(
        _paths(fields) - _other_names(title, item, fields),
        frozenset(words) | _STATES,
        _CHANGES | _SAYS if title else _CHANGES,
    )
    around: Any = {}
    if outer is not item:
        listed = {key for key, each in outer.items() if isinstance(each, list | dict) or key.lower() in _TITLES}
        around = kept.of({key: each for key, each in outer.items() if key not in listed | _SAYS}) or {}
    return coerce.digest([_stateless(title), kept.of(item), around])


def _stateless(title: str) -> str:
    """Return the title without a state in brackets, such as `[FIRING:1]` or `[Recovered]`."""
    return _BRACKETS.sub(lambda match: "" if match[1].strip().lower() in _STATES else match[0], title).strip()


def _other_names(title: str, item: Mapping[str, Any], fields: Mapping[str, Any]) -> frozenset[Steps]:
    """Return the paths for the title that lead to another name: of `title` and `name` only one is the title."""
    paths = (steps for path in _paths_in(fields.get("title")) for steps in alternatives(path) if _is_path(steps))
    named = ((steps, coerce.line(coerce.at(item, *map(str, steps)))) for steps in paths if steps[-1] in _NAMES)
    return frozenset(steps for steps, name in named if name and name != title)


def _paths(fields: Mapping[str, Any]) -> frozenset[Steps]:
    """Return the paths by which the entry finds what changes, and the title, which is looked at by itself."""
    named = ("title", "status", "severity", "summary", "occurred_at", "event_id", "ends_when")
    paths = (path for name in named for path in _paths_in(fields.get(name)))
    return frozenset(steps for path in paths for steps in alternatives(path) if _is_path(steps))


def _is_path(steps: Steps) -> bool:
    return not isinstance(steps, str) and len(steps) > 0


def _paths_in(spec: Any) -> list[str]:
    if isinstance(spec, str):
        return [spec]
    if isinstance(spec, list):
        return [path for each in spec for path in _paths_in(each)]
    return [spec["path"]] if isinstance(spec, dict) and isinstance(spec.get("path"), str) else []


@dataclass(frozen=True, slots=True)
class _Kept:
    """Return what is left out of a body: these paths, values that are states, and keys of these names."""

    paths: frozenset[Steps]
    states: frozenset[str]
    keys: frozenset[str]

    def of(self, value: Any, at: tuple[str | int, ...] = ()) -> Any:
        """Return what of a value says what it is about; None for what changes."""
        if at in self.paths or len(at) > MAX_DEPTH:
            return None
        value = opened(value) if isinstance(value, str) and value.lstrip()[:1] in ("{", "[") else value
        if isinstance(value, dict):
            inner = {key: self.of(each, (*at, key)) for key, each in value.items() if not self._changes(key)}
            return {key: each for key, each in inner.items() if each is not None} or None
        if isinstance(value, list):
            return [each for part in value if (each := self.of(part, (*at, 0))) is not None] or None
        if isinstance(value, float) and not value.is_integer():
            return None
        return self._text(coerce.line(value), str(at[-1]).lower() if at else "") or None

    def _text(self, text: str, key: str) -> str:
        if key in _KINDS:
            head, dot, last = text.rpartition(".")
            return head if dot and last.lower() in self.states else "" if text.lower() in self.states else text
        if key in _NAMES:
            return _stateless(text)
        return "" if text.lower() in self.states else text

    def _changes(self, key: str) -> bool:
        """Return whether a field of this name changes: `status`, `alertState`, `started_at`, `retry_count`."""
        words = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", key).lower()
        last = re.split(r"[^a-z0-9]+", words)[-1]
        return words in self.keys or (last in self.keys and last not in _NAMES)
