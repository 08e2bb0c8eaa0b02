"""An alert is stored under the keys of the version before, whatever it looks like in code.

`FlatAlert` is the class of the version before. stored/alerts.json holds alerts of each origin as that version stored them:
it is never changed. The other files of stored/ hold those of older stages.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.alert import Alert, AlertState, Origin
from chalicelib.core.event import Severity
from chalicelib.messages import codec

STORED = Path(__file__).parent / "stored"


@dataclass(frozen=True, slots=True)
class FlatAlert:
    """The alert as the version before has it."""

    fingerprint: str
    rule: str = ""
    name: str = ""
    event_name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    severity: Severity = Severity.WARNING
    title: str = ""
    summary: str = ""
    url: str | None = None
    source: str = ""
    kind: str = ""
    measured: bool = False
    state: AlertState = AlertState.INACTIVE
    pending_at: datetime | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    cleared_at: datetime | None = None
    expires_at: datetime | None = None
    refreshed_at: datetime | None = None
    recheck_at: datetime | None = None
    last_event_at: datetime | None = None
    events: int = 0
    recent: tuple[tuple[float, str], ...] = ()
    value: str = ""
    threshold: str = ""
    condition: str = ""
    no_data: bool = False
    acked_by: str | None = None
    acked_at: datetime | None = None
    acked_severity: Severity | None = None
    worse_at: datetime | None = None
    given_back_at: datetime | None = None
    notified_end: datetime | None = None
    ended_by: str = ""
    changes: tuple[datetime, ...] = ()
    flapping: bool = False
    beat: Mapping[str, str] = field(default_factory=dict)


TEXT = st.text(max_size=8)
TABLE = st.dictionaries(TEXT, TEXT, max_size=3)
TIME = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))
MAYBE = st.none() | TIME
MARK = st.tuples(st.floats(0, 2e9), TEXT)
OF_TYPE: Mapping[Any, st.SearchStrategy[Any]] = {
    str: TEXT,
    bool: st.booleans(),
    int: st.integers(0, 2**40),
    Mapping[str, str]: TABLE,
    Severity: st.sampled_from(Severity),
    AlertState: st.sampled_from(AlertState),
    str | None: st.none() | TEXT,
    datetime | None: MAYBE,
    Severity | None: st.none() | st.sampled_from(Severity),
    tuple[tuple[float, str], ...]: st.lists(MARK, max_size=3).map(tuple),
    tuple[datetime, ...]: st.lists(TIME, max_size=3).map(tuple),
}
FLAT = st.builds(FlatAlert, **{each.name: OF_TYPE[each.type] for each in fields(FlatAlert)})


def stored_items() -> Iterator[Any]:
    """Yield every alert in the files of stored/, as it was stored."""
    yield from (pytest.param(item, id=f"alerts-{item['name']}") for item in read("alerts"))
    stages = {"first_release": [read("first_release")["incident"]]}
    stages |= {name: read(name)["incidents"] for name in ("second_release", "third_release")}
    for stage, incidents in stages.items():
        for incident in incidents:
            for item in incident["alerts"].values():
                yield pytest.param(item, id=f"{stage}-{item['name']}-{item['fingerprint']}")


def read(name: str) -> Any:
    """Return what a file of stored/ holds."""
    return json.loads((STORED / f"{name}.json").read_text("utf-8"))


ITEMS = list(stored_items())


def now_written(alert: Alert) -> dict[str, Any]:
    """Return what an alert is stored as, but for its origin, which the version before does not know."""
    written = json.loads(codec.dumps(alert))
    return {key: value for key, value in written.items() if key != "origin"}


def test_the_files_hold_alerts_of_each_origin():
    """Given the stored files → an alert of each origin is among them, so that the tests below see each."""
    assert {codec.decode(Alert, each.values[0]).origin for each in ITEMS} == set(Origin)


@pytest.mark.parametrize("item", ITEMS)
def test_a_stored_alert_is_written_as_the_version_before_wrote_it(item):
    """Given an alert that the version before stored, when it is read and written → the same keys and values."""
    alert = codec.decode(Alert, item)
    assert now_written(alert) == {"v": codec.VERSION, **item}
    assert codec.loads(FlatAlert, codec.dumps(alert)) == codec.decode(FlatAlert, item)
    assert codec.loads(Alert, codec.dumps(alert)) == alert


@given(flat=FLAT)
def test_every_field_is_read_and_written_under_its_key(flat):
    """Given any alert of the version before, when this version reads and writes it → that version reads the same."""
    alert = codec.loads(Alert, codec.dumps(flat))
    assert now_written(alert) == json.loads(codec.dumps(flat))
    assert codec.loads(FlatAlert, codec.dumps(alert)) == flat


@given(flat=FLAT)
def test_an_alert_survives_a_worker_of_the_version_before(flat):
    """Given any alert of this version, when the version before reads and writes it → this version reads the same."""
    alert = codec.loads(Alert, codec.dumps(flat))
    assert codec.loads(Alert, codec.dumps(alert)) == alert
    assert codec.loads(Alert, codec.dumps(codec.loads(FlatAlert, codec.dumps(alert)))) == alert


ORIGINS = [
    ({}, Origin.EVENT),
    ({"condition": "events[5m] > 3"}, Origin.COUNT),
    ({"condition": "error_rate > 1%", "measured": True}, Origin.SERIES),
    ({"beat": {"every": "300"}}, Origin.HEARTBEAT),
]


@pytest.mark.parametrize(("stored", "origin"), ORIGINS, ids=lambda each: str(each) if isinstance(each, Origin) else "")
def test_the_origin_shows_in_the_keys_of_the_version_before(stored, origin):
    """Given the keys by which the version before knew the kind of an alert → its origin."""
    assert codec.decode(Alert, {"fingerprint": "a", **stored}).origin is origin


@pytest.mark.parametrize("origin", Origin)
def test_the_version_before_is_given_what_it_knows_an_origin_by(origin):
    """Given an alert of an origin, when the version before reads it → it is measured when it is of a series."""
    stored = codec.dumps(Alert("a", origin=origin))
    assert codec.loads(FlatAlert, stored).measured is (origin is Origin.SERIES)
    assert codec.loads(Alert, stored).origin is origin
