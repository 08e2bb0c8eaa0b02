"""Two versions run while a deploy is under way: each reads what the other wrote, whatever the values look like in code."""

import json
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.alert import Alert
from chalicelib.core.delivery.delivery_log import DeliveryLog
from chalicelib.core.delivery.notification import Notification, Reason
from chalicelib.core.delivery.target_state import TargetState
from chalicelib.core.event import Severity
from chalicelib.core.incident import Incident
from chalicelib.messages import codec
from tests import version_before as before

STORED = Path(__file__).parent / "stored"
RELEASES = {
    name: json.loads((STORED / f"{name}.json").read_text("utf-8")) for name in ("second_release", "third_release")
}
FIRST = json.loads((STORED / "first_release.json").read_text("utf-8"))
INCIDENTS = [*(each for stage in RELEASES.values() for each in stage["incidents"]), FIRST["incident"]]


def alerts_of(incident: Mapping[str, Any]) -> dict[str, Any]:
    """The alerts of a stored incident as this version stores them: tests/test_stored_alerts.py is about their fields."""
    return {name: codec.encode(codec.decode(Alert, alert)) for name, alert in incident["alerts"].items()}


ALERTS = [found for each in INCIDENTS for found in alerts_of(each).items()]
PAIRS = [
    (before.Incident, Incident),
    (before.Notification, Notification),
    (before.Lane, TargetState),
    (before.Thread, DeliveryLog),
]
TIMES = st.integers(1, 2_000_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
SIMPLE: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text("aé:1", min_size=1, max_size=4),
    int: st.integers(0, 9),
    float: st.integers(0, 9).map(float),
    bool: st.booleans(),
    NoneType: st.none(),
    datetime: TIMES,
    timedelta: st.integers(1, 9_999).map(lambda seconds: timedelta(seconds=seconds)),
}
WORDS = {"reason": st.sampled_from([each.value for each in Reason]), "severity": st.sampled_from([*Severity]).map(str)}


def of(hint: Any) -> st.SearchStrategy[Any]:
    """Return the values of a type: any of them, in collections of few."""
    if hint in SIMPLE:
        return SIMPLE[hint]
    if is_dataclass(hint):
        return instances(hint)
    origin, inner = get_origin(hint), [of(each) for each in get_args(hint) if each not in (Any, Ellipsis)]
    if origin is UnionType:
        return st.one_of(inner)
    if origin is Mapping and len(inner) == 1:
        return st.lists(st.sampled_from(ALERTS), max_size=2).map(dict)
    if origin is Mapping:
        return st.dictionaries(*inner, max_size=2)
    if origin is tuple and len(inner) == 2:
        return st.tuples(*inner)
    return st.lists(inner[0], max_size=2, unique=origin is frozenset).map(origin)


def instances(kind: Any) -> st.SearchStrategy[Any]:
    """Return values of a dataclass in which any field that has a default may be at its default or not."""
    hints = get_type_hints(kind)
    values = {each.name: WORDS.get(each.name, of(hints[each.name])) for each in fields(kind)}
    needed = {each.name for each in fields(kind) if each.default is MISSING and each.default_factory is MISSING}
    return st.fixed_dictionaries(
        {name: value for name, value in values.items() if name in needed},
        optional={name: value for name, value in values.items() if name not in needed},
    ).map(lambda given: kind(**possible(given)))


def possible(given: dict[str, Any]) -> dict[str, Any]:
    """Return the values without the time of an acknowledgement of nobody."""
    nobodys = "acked_at" in given and given.get("acked_by") is None
    return {name: value for name, value in given.items() if not (nobodys and name == "acked_at")}


VALUES = [pytest.param(old, new, id=new.__name__) for old, new in PAIRS]


@pytest.mark.parametrize(("old", "new"), VALUES)
@given(data=st.data())
def test_each_version_reads_what_the_other_wrote(old, new, data):
    """Given any value of the version before → read and written by this version, it is stored as it was."""
    stored = codec.encode(data.draw(instances(old)))
    written = codec.encode(codec.decode(new, stored))
    assert written == stored
    assert codec.decode(old, written) == codec.decode(old, stored)


REAL = [
    *((before.Incident, Incident, {**each, "alerts": alerts_of(each)}) for each in INCIDENTS),
    *((before.Lane, TargetState, each) for stage in RELEASES.values() for each in stage["lanes"]),
    *((before.Thread, DeliveryLog, each) for stage in RELEASES.values() for each in stage["threads"]),
    (before.Thread, DeliveryLog, FIRST["thread"]),
    (before.Notification, Notification, FIRST["messages"]["notification"]["notification"]),
]


@pytest.mark.parametrize(("old", "new", "stored"), REAL)
def test_what_a_release_stored_is_stored_again_as_it_was(old, new, stored):
    """Given an item or a message of an earlier release → this version writes what the version before writes of it."""
    assert codec.encode(codec.decode(new, stored)) == codec.encode(codec.decode(old, stored))
