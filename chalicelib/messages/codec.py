"""What is stored and queued, as JSON with a version, and back.

Dataclasses are written by their fields, leaving out those at their default; reading ignores fields it does not know
and fills in those it misses, so that the code before and the code after a deploy read each other. A field that
changes its meaning gets a new name. `core/stored.py` says how a field is written under another key, or a small value
beside the fields of its owner. `ALSO_STORED` of a class gives keys that only the version before reads.
"""

import json
import types
import typing
import zlib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import lru_cache
from typing import Any, TypeVar, cast

from chalicelib.core.errors import TooNewError
from chalicelib.core.stored import FLAT, KEY, MISSING_FROM

VERSION = 1

T = TypeVar("T")
Convert = Callable[[Any], Any]


def dumps(value: Any) -> str:
    """Return the value as compact JSON; a dataclass becomes an object with `v`, the schema version."""
    data = encode(value)
    if isinstance(data, dict):
        data = {"v": VERSION, **data}
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False)


def loads(kind: type[T], text: str | bytes) -> T:
    """Return the value back from `dumps`; raises TooNewError for a version that this code does not know."""
    data = json.loads(text)
    version = data.get("v", VERSION) if isinstance(data, dict) else VERSION
    if type(version) is not int or not 1 <= version <= VERSION:
        raise TooNewError(
            f"a stored {kind.__name__} has the version {str(version)[:20]}; this code reads 1 to {VERSION}: "
            "deploy the version that wrote it again"
        )
    return decode(kind, data)


def pack(value: Any) -> bytes:
    """Return `dumps`, compressed: what is stored in one binary attribute."""
    return zlib.compress(dumps(value).encode("utf-8", "surrogatepass"), 1)


def unpack(kind: type[T], data: bytes) -> T:
    """Return the value back from `pack`."""
    return loads(kind, zlib.decompress(data).decode("utf-8", "surrogatepass"))


def encode(value: Any) -> Any:
    """Return JSON values for dataclasses, enums, instants (seconds, float), durations (seconds) and collections of them."""
    kind = type(value)
    if kind in (str, int, float, bool) or value is None:
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return _written(value, _layout(cast(Any, kind)))
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Mapping):
        return {str(key): found if type(found) is str else encode(found) for key, found in value.items()}
    if isinstance(value, frozenset | set):
        return sorted(encode(found) for found in value)
    if isinstance(value, tuple | list):
        return [encode(found) for found in value]
    raise TypeError(f"a {kind.__name__} cannot be stored; allowed are dataclasses, enums, times, text, numbers")


def decode(kind: type[T], data: Any) -> T:
    """Return a value of `kind` from what `encode` made."""
    result: T = _reader(cast(Any, kind))(data)
    return result


@dataclass(frozen=True, slots=True)
class _Layout:
    """How a class is stored: its fields with their key and default, or the layout of a small value beside them."""

    fields: tuple[tuple[str, str, Any, "_Layout | None"], ...]
    also: Mapping[str, Callable[[Any], Any]]


@lru_cache(maxsize=256)
def _layout(kind: type, keys: frozenset[tuple[str, str]] = frozenset()) -> _Layout:
    renamed, found = dict(keys), []
    hints = typing.get_type_hints(kind)
    for each in fields(kind):
        default, make = cast(Any, each.default), cast(Any, each.default_factory)
        if default is MISSING and make is not MISSING:
            default = make()
        group = each.metadata.get(FLAT)
        inner = None if group is None else _layout(_group(hints[each.name]), frozenset(group.items()))
        found.append((each.name, _key(each, renamed), default, inner))
    return _Layout(tuple(found), getattr(kind, "ALSO_STORED", {}))


def _key(field: "Field[Any]", renamed: Mapping[str, str]) -> str:
    """Return the key under which a field is stored; `renamed` are the keys that the owner of a small value gives."""
    return renamed.get(field.name) or field.metadata.get(KEY, field.name)


def _group(hint: Any) -> Any:
    """Return the class of a small value that is stored flat, of which the field may also hold None."""
    return next((each for each in typing.get_args(hint) if each is not type(None)), hint)


def _written(value: Any, layout: _Layout) -> dict[str, Any]:
    written: dict[str, Any] = {}
    for name, key, default, inner in layout.fields:
        found = getattr(value, name)
        if found is default:
            continue
        if inner is not None:
            written |= _written(found, inner)
        elif found != default:
            written[key] = found if type(found) is str else encode(found)
    for key, of_value in layout.also.items():
        if found := of_value(value):
            written[key] = encode(found)
    return written


@lru_cache(maxsize=512)
def _reader(kind: Any) -> Convert:
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        return _optional(kind)
    if origin is not None:
        return _collection(origin, typing.get_args(kind))
    if isinstance(kind, type):
        if is_dataclass(kind):
            return _dataclass_reader(kind)
        if issubclass(kind, Enum):
            return kind
        if issubclass(kind, datetime):
            return lambda data: datetime.fromtimestamp(data, UTC)
        if issubclass(kind, timedelta):
            return lambda data: timedelta(seconds=data)
        if kind is float:
            return float
    return _unchanged


def _unchanged(data: Any) -> Any:
    """Return what JSON says as it is: of a text, a number, or a type that is not known."""
    return data


def _optional(kind: Any) -> Convert:
    inner = [each for each in typing.get_args(kind) if each is not type(None)]
    read = _reader(inner[0]) if len(inner) == 1 else _unchanged
    return read if read is _unchanged else lambda data: None if data is None else read(data)


def _collection(origin: Any, arguments: tuple[Any, ...]) -> Convert:
    if origin is tuple and len(arguments) == 2 and arguments[1] is not Ellipsis:
        first, second = _reader(arguments[0]), _reader(arguments[1])
        return lambda data: (first(data[0]), second(data[1]))
    if origin in (tuple, list, frozenset, set):
        read = _reader(arguments[0])
        return origin if read is _unchanged else lambda data: origin([read(found) for found in data])
    if isinstance(origin, type) and issubclass(origin, Mapping):
        key, value = _reader(arguments[0]), _reader(arguments[1])
        convert: Convert = int if arguments[0] is int else key
        if convert is value is _unchanged:
            return dict
        return lambda data: {convert(name): value(found) for name, found in data.items()}
    return _unchanged


@dataclass(frozen=True, slots=True)
class _Spots:
    """Where the stored keys of a class belong: the small value (or ""), its field, and how it is read.

    `needed` are the fields of a small value without which it is None. `absent` are the fields that items of the version
    before do not have.
    """

    by_key: Mapping[str, tuple[str, str, Convert]]
    groups: Mapping[str, type]
    needed: Mapping[str, frozenset[str]]
    absent: Mapping[str, Convert]


def _dataclass_reader(kind: type) -> Convert:
    found: _Spots | None = None

    def read(data: Mapping[str, Any]) -> Any:
        nonlocal found
        spots = found = found or _spots(kind)
        values: dict[str, Any] = {}
        inner: dict[str, dict[str, Any]] = {}
        for key, each in data.items():
            if key in spots.by_key:
                group, name, convert = spots.by_key[key]
                into = inner.setdefault(group, {}) if group else values
                into[name] = each if convert is _unchanged else convert(each)
        for group, given in inner.items():
            if group not in spots.needed or spots.needed[group] <= given.keys():
                values[group] = spots.groups[group](**given)
        for name, of_stored in spots.absent.items():
            if name not in values:
                values[name] = of_stored(data)
        return kind(**values)

    return read


def _spots(kind: type) -> _Spots:
    by_key: dict[str, tuple[str, str, Convert]] = {}
    groups: dict[str, type] = {}
    needed: dict[str, frozenset[str]] = {}
    absent: dict[str, Convert] = {}
    hints = typing.get_type_hints(kind)
    for each in fields(cast(Any, kind)):
        keys = each.metadata.get(FLAT)
        if keys is None:
            own = {_key(each, {}): ("", each.name, _reader(hints[each.name]))}
        else:
            group = groups[each.name] = _group(hints[each.name])
            own = _spots_of_group(each.name, group, keys)
            if each.default is None:
                needed[each.name] = _required(group)
        if twice := by_key.keys() & own.keys():
            raise TypeError(f"two fields of {kind.__name__} are stored under {', '.join(sorted(twice))}")
        by_key |= own
        if MISSING_FROM in each.metadata:
            absent[each.name] = each.metadata[MISSING_FROM]
    return _Spots(by_key, groups, needed, absent)


def _spots_of_group(name: str, group: type, keys: Mapping[str, str]) -> dict[str, tuple[str, str, Convert]]:
    hints = typing.get_type_hints(group)
    return {_key(each, keys): (name, each.name, _reader(hints[each.name])) for each in fields(cast(Any, group))}


def _required(kind: type) -> frozenset[str]:
    """Return the fields that have no default."""
    return frozenset(
        each.name for each in fields(cast(Any, kind)) if each.default is MISSING and each.default_factory is MISSING
    )
