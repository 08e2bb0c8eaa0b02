"""One alert under what is said of it: in order, late, doubled, and with an end that was announced."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from chalicelib.core.alert import Alert, AlertState, LastEvaluation, Origin, Timers
from chalicelib.core.evaluation import counted
from chalicelib.core.event import Event, Severity, Status
from chalicelib.core.language.condition import parse
from chalicelib.core.lifecycle import Terms, next_change, settled
from chalicelib.core.rule import Rule
from chalicelib.core.transitions import absorbed, closed_by_hand

START = datetime(2026, 3, 2, tzinfo=UTC)
NEVER = Terms(flap_changes=-1)


def at(seconds):
    """So many seconds after the start."""
    return None if seconds is None else START + timedelta(seconds=seconds)


def event(word, when=None, **more):
    """`fire 10`, `end 20`: an event at a time; `fire 10-30` brings its own end. The word is its id."""
    kind, _, times = word.partition(" ")
    first, _, last = times.partition("-")
    occurred = at(float(first)) if when is None else when
    fields = dict(
        id=word,
        source="test",
        kind="fault",
        status=Status.FIRING if kind == "fire" else Status.RESOLVED,
        severity=Severity.WARNING,
        title=word,
        occurred_at=occurred,
        identity="fault",
        starts_at=at(float(first)) if kind == "fire" else None,
        ends_at=at(float(last)) if last else (at(float(first)) if kind == "end" else None),
    )
    return Event(**{**fields, **more})


def after(*words, now=1000, terms=NEVER):
    """The alert after these events, each on its own."""
    alert = Alert("a")
    for word in words:
        alert = absorbed(alert, [event(word)], terms=terms, now=at(now))
    return alert


def told(alert):
    """State, start and end, in seconds."""
    return (
        alert.state.value,
        None if alert.starts_at is None else (alert.starts_at - START).total_seconds(),
        None if alert.ends_at is None else (alert.ends_at - START).total_seconds(),
    )


LINES = [
    (["fire 0"], ("firing", 0, None)),
    (["end 0"], ("inactive", None, None)),
    (["fire 0", "end 50"], ("resolved", 0, 50)),
    (["fire 0", "fire 20", "fire 40"], ("firing", 0, None)),
    (["fire 0", "end 50", "end 60"], ("resolved", 0, 60)),
    (["fire 0", "end 50", "fire 100"], ("firing", 100, None)),
    (["fire 0", "end 50", "fire 100", "end 150"], ("resolved", 100, 150)),
    (["fire 0", "fire 100", "end 50"], ("firing", 100, None)),
    (["fire 50", "end 50"], ("resolved", 50, 50)),
    (["fire 0-50"], ("resolved", 0, 50)),
    (["fire 0-50", "fire 0-80"], ("resolved", 0, 80)),
    (["fire 0-50", "fire 100-150"], ("resolved", 100, 150)),
    (["fire 0", "fire 20-50"], ("resolved", 0, 50)),
    (["fire 0-50", "fire 60"], ("firing", 60, None)),
]


@pytest.mark.parametrize(("words", "expected"), LINES, ids=[", ".join(row[0]) for row in LINES])
def test_what_is_said_comes_to_the_same_in_any_order(words, expected):
    """State, start and end of a fault follow from what its source said, not from the order in which it came."""
    for order in permutations(words):
        assert told(after(*order)) == expected, order


@pytest.mark.parametrize(("words", "expected"), LINES, ids=[", ".join(row[0]) for row in LINES])
def test_what_is_said_twice_or_at_once_comes_to_the_same(words, expected):
    """Every event delivered twice, and all of them in one batch, make the same alert with the same count."""
    once = after(*words)
    batch = absorbed(Alert("a"), [event(word) for word in (*words, *words)], terms=NEVER, now=at(1000))
    assert told(after(*words, *words)) == told(batch) == expected
    assert after(*words, *words).received.events == batch.received.events == once.received.events


def test_what_was_forgotten_of_a_long_line_its_start_remembers():
    """After more events than are remembered a late one changes nothing of when it began."""
    alert = after(*(f"fire {second}" for second in range(300)))
    assert told(absorbed(alert, [event("fire 150.5")], terms=NEVER, now=at(1000))) == ("firing", 0, None)


HELD = [
    (["fire 0"], 60, ("pending", None, None)),
    (["fire 0", "end 50"], 60, ("inactive", None, None)),
    (["fire 0", "end 200"], 1000, ("resolved", 120, 200)),
    (["fire 0", "fire 130"], 140, ("firing", 120, None)),
    (["fire 0", "end 50", "fire 60"], 100, ("pending", None, None)),
]


@pytest.mark.parametrize(("words", "now", "expected"), HELD)
def test_a_rule_may_ask_that_it_holds_first(words, now, expected):
    """With `for: 2m` a fault is pending for two minutes; late events are judged at their own times."""
    terms = replace(NEVER, hold=timedelta(minutes=2))
    for order in permutations(words):
        assert told(after(*order, now=now, terms=terms)) == expected, order


def test_an_end_to_come_is_only_remembered():
    """An event that says when it ends fires until then; who says it again later moves it, nobody moves it back."""
    alert = after("fire 0-100", now=10)
    assert (told(alert), alert.timers.expires_at, next_change(alert, NEVER, at(50))) == (
        ("firing", 0, None),
        at(100),
        at(100),
    )
    alert = absorbed(alert, [event("fire 0-300", when=at(50))], terms=NEVER, now=at(50))
    alert = absorbed(alert, [event("fire 0-200", when=at(60))], terms=NEVER, now=at(60))
    assert alert.timers.expires_at == at(300)


def test_the_newest_words_are_shown_whatever_comes_when():
    """Title, annotations and severity are those of the newest event, also when an older one comes later."""
    new = event("fire 20", annotations={"say": "new"}, severity=Severity.CRITICAL)
    old = event("fire 10", annotations={"say": "old"})
    for order in permutations((new, old)):
        alert = Alert("a")
        for each in order:
            alert = absorbed(alert, [each], terms=NEVER, now=at(100))
        assert (alert.text.title, alert.text.annotations, alert.severity) == (
            "fire 20",
            {"say": "new"},
            Severity.CRITICAL,
        )
        assert alert.starts_at == at(10)


def test_what_a_person_resolved_stays_so_until_something_new_fires():
    """A late event of before is history; one of after begins a new episode."""
    alert = closed_by_hand(after("fire 0"), at(60), "ana")
    assert (told(alert), alert.changes.ended_by) == (("resolved", 0, 60), "ana")
    assert told(absorbed(alert, [event("fire 30")], terms=NEVER, now=at(100))) == ("resolved", 0, 60)
    assert told(absorbed(alert, [event("fire 90")], terms=NEVER, now=at(100))) == ("firing", 90, None)


SETTLED = [
    # state, since, active, at, hold, keep: state, start, end
    ("inactive", None, True, 10, 0, 0, ("firing", 10, None)),
    ("inactive", None, True, 10, 60, 0, ("pending", None, None)),
    ("inactive", None, False, 10, 0, 0, ("inactive", None, None)),
    ("pending", 0, True, 59, 60, 0, ("pending", None, None)),
    ("pending", 0, True, 60, 60, 0, ("firing", 60, None)),
    ("pending", 0, True, 500, 60, 0, ("firing", 60, None)),
    ("pending", 0, False, 59, 60, 0, ("inactive", None, None)),
    ("firing", 0, True, 10, 0, 0, ("firing", 0, None)),
    ("firing", 0, False, 10, 0, 0, ("resolved", 0, 10)),
    ("firing", 0, False, 10, 0, 60, ("firing", 0, None)),
    ("resolved", 0, False, 10, 0, 0, ("resolved", 0, None)),
    ("resolved", 0, True, 10, 0, 0, ("firing", 10, None)),
]


@pytest.mark.parametrize(("state", "since", "active", "when", "hold", "keep", "expected"), SETTLED)
def test_settled(state, since, active, when, hold, keep, expected):
    """What one look at a time makes of an alert."""
    pending = at(since) if state == "pending" else None
    started = at(since) if state in ("firing", "resolved") else None
    alert = Alert("a", state=AlertState(state), timers=Timers(pending_at=pending), starts_at=started)
    terms = replace(NEVER, hold=timedelta(seconds=hold), keep=timedelta(seconds=keep))
    assert told(settled(alert, at(when), active=active, terms=terms)) == expected


COUNTS = [
    ([0, 10, 20], ("inactive", None)),
    ([0, 10, 20, 30], ("firing", 30)),
    ([0, 10, 20, 61], ("inactive", None)),
    ([0, 10, 20, 30, 40], ("firing", 30)),
    ([0, 30, 59, 59.5, 100], ("firing", 59.5)),
]


@pytest.mark.parametrize(("times", "expected"), COUNTS)
def test_events_are_counted_at_their_own_times_in_any_order(times, expected):
    """`events[1m] > 3` fires at the event that completes the count, whichever of them came last."""
    rule = Rule("Spike", condition=parse("events[1m] > 3"))
    for order in permutations(times):
        alert = Alert("a", rule="Spike", origin=Origin.COUNT, evaluation=LastEvaluation(condition="events[1m] > 3"))
        for second in order:
            alert = counted(alert, [event(f"fire {second}")], rule=rule, terms=NEVER)
        assert told(alert)[:2] == expected, order
        assert alert.received.events == len(times)
