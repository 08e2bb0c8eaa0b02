"""What is stored: its keys stay those of the version before, whatever the values look like in code."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest

from chalicelib.core.stored import flat, missing_from, stored_as
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
