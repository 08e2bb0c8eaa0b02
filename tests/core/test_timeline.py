"""What an incident's timeline says: lines for what its alerts did, events folded to counts, pages."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.core.alert import Alert, AlertState, LastEvaluation, Origin, ReceivedEvents, SenderText, StateChanges
from chalicelib.core.context import Silence
from chalicelib.core.event import Severity
from chalicelib.core.incident import MAX_TIMELINE, Entry, Episode, Incident, Timeline, Truncated
from chalicelib.core.mute import Muting
from chalicelib.core.timeline import PAGE, PAGED_FROM, in_order, paged, recorded

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
BEGAN = Entry(NOW, "began", kind="began")


def alert(name="a", state=AlertState.FIRING, **fields):
    """An alert of that name that began now."""
    received = ReceivedEvents(events=fields.pop("events", 1), last_event_at=NOW)
    given = {"starts_at": NOW, "received": received, "severity": Severity.WARNING, **fields}
    return Alert(fingerprint=name, rule=name, name=name, state=state, **given)


def incident(*alerts, id="i", timeline=(BEGAN,), ended_at=None, **fields):
    """An incident of these alerts, open unless it has an end."""
    given = {"episode": Episode(NOW, ended_at=ended_at), **fields}
    return Incident(
        key="k", id=id, alerts={each.fingerprint: each for each in alerts}, timeline=Timeline(timeline), **given
    )


def over(name="a", **fields):
    """An alert that ended a minute later."""
    return alert(name, AlertState.RESOLVED, ends_at=NOW + MINUTE, **fields)


MUTED = {"a": Muting(silences=(Silence("s1", (), NOW, NOW + MINUTE, "ana"),))}
FOUR = [alert(name) for name in "abcd"]

ROWS = [
    ("a first fire", None, incident(alert()), {}, [("fired", "a fires", 1)]),
    ("by its title", None, incident(alert(text=SenderText("TypeError: x"))), {}, [("fired", "TypeError: x fires", 1)]),
    ("by its rule when it measures", None, incident(alert(text=SenderText("t"), origin=Origin.SERIES)), {}, [("fired", "a fires", 1)]),
    ("with its value", None, incident(alert(evaluation=LastEvaluation("3 %", "1 %"))), {}, [("fired", "a fires: 3 % (limit 1 %)", 1)]),
    ("muted", None, incident(alert()), MUTED, [("fired", "a fires, muted: silence s1 of ana", 1)]),
    ("many at once", None, incident(*FOUR), {}, [("fired", "4 alerts (a, b, c, …) fire", 4)]),
    ("nothing new", incident(alert()), incident(alert()), {}, []),
    ("another one", incident(alert()), incident(alert(), alert("b")), {}, [("fired", "b fires", 1)]),
    ("fires again", incident(alert()), incident(alert(starts_at=NOW + MINUTE)), {}, [("fired", "a fires", 0)]),
    ("only pending", incident(alert()), incident(alert(), alert("b", AlertState.PENDING)), {}, [("events", "1 more event", 1)]),
    ("over", incident(alert()), incident(over()), {}, [("resolved", "a is over", 0)]),
    ("over by hand", incident(alert()), incident(over(changes=StateChanges(ended_by="ana"))), {}, [("resolved", "a is over (ana)", 0)]),
    ("was over before", incident(over()), incident(over()), {}, []),
    ("one over, one new", incident(alert()), incident(over(), alert("b")), {},
     [("fired", "b fires", 1), ("resolved", "a is over", 0)]),
    ("flapping", incident(alert()), incident(alert(changes=StateChanges(flapping=True))), {},
     [("flapping", "a: flapping, held open until it calms", 0)]),
    ("worse", incident(alert()), incident(alert(severity=Severity.CRITICAL)), {}, [("worse", "a: critical now", 0)]),
    ("better is no news", incident(alert()), incident(alert(severity=Severity.INFO)), {}, []),
    ("more events", incident(alert()), incident(alert(events=4)), {}, [("events", "3 more events", 3)]),
    ("events over max_alerts", incident(alert()), incident(alert(), truncated=Truncated(events=7)), {}, [("events", "7 more events", 7)]),
    ("another episode", incident(over(events=9), id="old", ended_at=NOW), incident(alert(events=1, starts_at=NOW + MINUTE)),
     {}, [("fired", "a fires", 1)]),
    ("after its end", incident(over(), ended_at=NOW), incident(over(events=5), ended_at=NOW), {}, []),
    ("not begun", None, incident(alert(state=AlertState.PENDING), id=""), {}, []),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after", "mutings", "lines"), [row[1:] for row in ROWS], ids=[r[0] for r in ROWS])
def test_lines_say_what_the_alerts_did(before, after, mutings, lines):
    """The lines that a change adds, with the events counted on them."""
    found = recorded(before, after, mutings, NOW).timeline.entries
    assert [(entry.kind, entry.text, entry.count) for entry in found[1:]] == lines


def test_lines_carry_the_times_of_what_happened():
    """A fire is noted when it began and an end when it ended, not when they were heard of."""
    fired = recorded(None, incident(alert()), {}, NOW + 5 * MINUTE).timeline.entries[-1]
    ended = recorded(incident(alert()), incident(over()), {}, NOW + 5 * MINUTE).timeline.entries[-1]
    assert (fired.at, ended.at) == (NOW, NOW + MINUTE)


def test_events_fold_into_one_line_until_something_else_happens():
    """A storm is one line with a count; after an acknowledgement a new line begins."""
    found = incident(alert())
    for number in range(2, 50):
        found = recorded(found, replace(found, alerts={"a": alert(events=number)}), {}, NOW)
    assert [(entry.kind, entry.count) for entry in found.timeline.entries] == [("began", 0), ("events", 48)]
    acked = replace(found, timeline=found.timeline.added(Entry(NOW, "acknowledged", "ana", kind="ack")))
    found = recorded(acked, replace(acked, alerts={"a": alert(events=60)}), {}, NOW)
    assert [(entry.kind, entry.count) for entry in found.timeline.entries[-2:]] == [("ack", 0), ("events", 11)]


def test_recording_twice_adds_nothing():
    """A worker that loads what it saved finds nothing to note."""
    once = recorded(None, incident(alert()), {}, NOW)
    assert recorded(once, once, {}, NOW) is once


def lines(count):
    """So many different lines."""
    return tuple(Entry(NOW + number * MINUTE, f"line {number}", "ana", kind="note") for number in range(count))


def test_old_lines_move_to_a_page():
    """The oldest hundred leave when a hundred and fifty are stored; what comes after stays."""
    before = incident(alert(), timeline=lines(PAGED_FROM))
    after = replace(before, timeline=Timeline(lines(PAGED_FROM + 2)))
    found, page = paged(before, after)
    assert page == lines(PAGE)
    assert found.timeline.entries == lines(PAGED_FROM + 2)[PAGE:]
    assert found.timeline.pages == 1


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, incident(alert(), timeline=lines(PAGED_FROM))),
        (incident(alert(), timeline=lines(PAGED_FROM - 1)), incident(alert(), timeline=lines(PAGED_FROM + 5))),
        (incident(alert(), id="old", timeline=lines(PAGED_FROM)), incident(alert())),
        (incident(alert(), timeline=lines(PAGED_FROM)), incident(alert(), timeline=lines(MAX_TIMELINE + 9)[9:])),
    ],
    ids=["nothing stored", "not yet", "another episode", "cut meanwhile"],
)
def test_no_page_without_need(before, after):
    """A page follows from what was stored, and only holds what was."""
    assert paged(before, after) == (after, ())


def test_two_workers_make_the_same_page():
    """Whatever each of them adds, what they move away is the same."""
    before = incident(alert(), timeline=lines(PAGED_FROM))
    pages = [paged(before, replace(before, timeline=before.timeline.added(*lines(extra))))[1] for extra in (1, 7)]
    assert pages[0] == pages[1] != ()


def test_lines_are_read_in_order():
    """By time; at the same time a fire comes before what was told of it, and the end last."""
    kinds = ["ended", "told", "resolved", "fired", "began"]
    found = in_order([*(Entry(NOW, kind, kind=kind) for kind in kinds), Entry(NOW - MINUTE, "first", kind="told")])
    assert [entry.text for entry in found] == ["first", "began", "fired", "resolved", "told", "ended"]
