"""What is stored: its keys stay those of the version before, whatever the values look like in code."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest

from chalicelib.core.stored import flat, flat_keys, flat_or_none, missing_from, stored_as
from chalicelib.messages import codec


@dataclass(frozen=True, slots=True)
class Before:
    """The value as the version before has it."""

    name: str
    acked_by: str | None = None
    acked_at: float = 0.0
    overflow: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    measured: bool = False


@dataclass(frozen=True, slots=True)
class Ack:
    """Who has it and since when."""

    by: str | None = None
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Now:
    """The same value regrouped: an acknowledgement, a new name, and an explicit origin."""

    ALSO_STORED: ClassVar[Mapping[str, Any]] = {"measured": lambda value: value.origin == "series"}

    name: str
    ack: Ack = flat(Ack, by="acked_by", at="acked_at")
    truncated: int = stored_as("overflow", default=0)
    labels: Mapping[str, str] = field(default_factory=dict)
    origin: str = missing_from(lambda stored: "series" if stored.get("measured") else "event", default="event")


PAIRS = [
    (Before("a"), Now("a")),
    (Before("a", "ana", 7.0), Now("a", Ack("ana", 7.0))),
    (Before("a", None, 7.0, 3, {"x": "y"}), Now("a", Ack(None, 7.0), 3, {"x": "y"})),
    (Before("a", measured=True), Now("a", origin="series")),
]


@pytest.mark.parametrize(("before", "now"), PAIRS)
def test_a_regrouped_value_reads_what_the_version_before_wrote(before, now):
    """Given an item of the version before, when it is read → the same value, regrouped."""
    assert codec.loads(Now, codec.dumps(before)) == now


@pytest.mark.parametrize(("before", "now"), PAIRS)
def test_the_version_before_reads_a_regrouped_value(before, now):
    """Given an item of this version, when the version before reads it → the value that it would have written."""
    assert codec.loads(Before, codec.dumps(now)) == before


@pytest.mark.parametrize("now", [now for _, now in PAIRS])
def test_a_regrouped_value_reads_back(now):
    """Given a regrouped value, when it is stored and read → the same value."""
    assert codec.unpack(Now, codec.pack(now)) == now


def test_a_value_that_only_its_default_fills_writes_no_key():
    """Given a value at its defaults → only what is required is stored."""
    assert codec.encode(Now("a")) == {"name": "a"}


@dataclass(frozen=True, slots=True)
class Named:
    """A small value that is never empty: which one it is, and a number that older items keep under another key."""

    name: str
    number: int = stored_as("count", default=0)


@dataclass(frozen=True, slots=True)
class Held:
    """Who holds something; nobody does while there is no name."""

    by: str
    at: float | None = None


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A value with a part that must be there and one that may be missing."""

    which: Named = field(metadata=flat_keys())
    holder: Held | None = flat_or_none(by="acked_by", at="acked_at")


WRAPPED = [
    (Before("a"), Wrapped(Named("a"))),
    (Before("a", "ana"), Wrapped(Named("a"), Held("ana"))),
    (Before("a", "ana", 7.0), Wrapped(Named("a"), Held("ana", 7.0))),
]


@pytest.mark.parametrize(("before", "now"), WRAPPED)
def test_a_part_that_may_be_missing_is_read_where_its_keys_are_stored(before, now):
    """Given an item with or without the keys of a part → the part or None, and the version before reads it back."""
    assert codec.loads(Wrapped, codec.dumps(before)) == now
    assert codec.loads(Wrapped, codec.dumps(now)) == now
    assert codec.loads(Before, codec.dumps(now)) == before


def test_a_part_is_none_without_the_key_that_it_cannot_do_without():
    """Given the time of an acknowledgement of nobody → there is none."""
    assert codec.loads(Wrapped, codec.dumps(Before("a", None, 7.0))) == Wrapped(Named("a"))


def test_a_part_whose_fields_have_other_keys_is_read_under_them():
    """Given a part with a renamed field → it is written beside the fields of its owner and reads back."""
    assert codec.encode(Wrapped(Named("a", 3))) == {"name": "a", "count": 3}
    assert codec.decode(Wrapped, {"name": "a", "count": 3}) == Wrapped(Named("a", 3))


def test_owners_share_the_default_of_a_part():
    """Given two values at their defaults → both hold the same part, so that writing need not look into it."""
    assert Now("a").ack is Now("b").ack


@dataclass(frozen=True, slots=True)
class Twice:
    """A value of which two fields are stored under one key, by mistake."""

    at: float = 0.0
    ack: Ack = flat(Ack)


def test_two_fields_under_one_key_are_refused():
    """Given two fields that are stored under one key → the error names the class and the key."""
    with pytest.raises(TypeError, match="two fields of Twice are stored under at"):
        codec.decode(Twice, {})
