"""What an acknowledgement covers: its alert until people are notified of the end, in whatever order things arrive."""

from dataclasses import replace
from datetime import timedelta
from itertools import permutations

import pytest

from chalicelib.core.acknowledgement import covers, end_notified, is_end_pending, lives_since
from chalicelib.core.alert import Acknowledgement, Alert, AlertState, StateChanges
from chalicelib.core.context import Context
from chalicelib.core.due import due
from chalicelib.core.event import Severity
from chalicelib.core.rule import Route, RouteAlerts, RouteOptions, Rules, Target
from tests.core.test_incident import EMPTY, at, by, folded, said
from tests.rule_files import KINDS

ROUTE = Route(
    "default",
    (Target("email", "ops@example.com"),),
    options=RouteOptions(group_wait=timedelta(seconds=10), group_interval=timedelta(minutes=1)),
)


def flushed(incident, now):
    """The incident after its targets were notified of what there is."""
    incident = replace(incident, flush=replace(incident.flush, next_at=at(now)))
    after = due(incident, routes=[RouteAlerts(ROUTE)], rules=Rules(kinds=KINDS), context=Context(), now=at(now))
    return after.incident


def acked(incident, name="a"):
    """Who has the alert of that name."""
    return next(alert.ack.by for alert in incident.alerts.values() if alert.name == name)


COVERS = [
    ("nothing happened since", {}, 20, True),
    ("it got worse later", {"worse_at": at(30)}, 20, False),
    ("it got worse at that time", {"worse_at": at(20)}, 20, True),
    ("it was given back later", {"given_back_at": at(30)}, 20, False),
    ("it was given back at that time", {"given_back_at": at(20)}, 20, False),
    ("it was given back before", {"given_back_at": at(10)}, 20, True),
    ("its end was notified", {"notified_end": at(30)}, 20, False),
    ("an end before it was notified", {"notified_end": at(10)}, 20, True),
]


@pytest.mark.parametrize(("changes", "when", "covered"), [row[1:] for row in COVERS], ids=[row[0] for row in COVERS])
def test_what_an_acknowledgement_covers(changes, when, covered):
    """Given what became of an alert since, then the acknowledgement covers it or not."""
    assert covers(at(when), Alert("a", starts_at=at(0), ack=Acknowledgement(**changes))) is covered


LIVES = [
    ("it fires for the first time", AlertState.FIRING, (0,), None, 0),
    ("it flapped, and fires", AlertState.FIRING, (0, 40, 60), None, 0),
    ("it flapped, and is over", AlertState.RESOLVED, (0, 40, 60, 80), None, 0),
    ("it fires anew after a notified end", AlertState.FIRING, (0, 40, 60), 40, 60),
    ("it flapped after a notified end", AlertState.FIRING, (0, 40, 60, 70, 80), 40, 60),
]


@pytest.mark.parametrize(
    ("state", "changes", "notified", "since"), [row[1:] for row in LIVES], ids=[row[0] for row in LIVES]
)
def test_since_when_an_alert_lives(state, changes, notified, since):
    """Given the changes of an alert, then it lives since its first start after the newest notified end."""
    starts = changes[-1] if state is AlertState.FIRING else changes[-2]
    alert = Alert(
        "a",
        state=state,
        starts_at=at(starts),
        changes=StateChanges(tuple(map(at, changes))),
        ack=Acknowledgement(notified_end=at(notified) if notified is not None else None),
    )
    assert lives_since(alert) == at(since)


def test_an_end_is_pending_until_it_is_notified():
    """Given an alert that ended, when people are notified, then its end is pending no more, and a firing one is left alone."""
    over = Alert("a", state=AlertState.RESOLVED, starts_at=at(0), ends_at=at(40), ack=Acknowledgement("ana", at(50)))
    assert is_end_pending(over)
    told = end_notified(over)
    assert not is_end_pending(told) and not covers(at(50), told) and told.ack.by == "ana"
    firing = replace(over, state=AlertState.FIRING, ends_at=None)
    assert end_notified(firing) is firing


def orders(*names):
    """All orders in which things can arrive: nobody acts on what is not known yet."""
    return [("fire", *order) for order in permutations(names)]


INPUTS = {
    "fire": said("a", 0),
    "ack": by("ack", 20),
    "end": said("a", 40, "resolved"),
    "again": said("a", 60),
    "worse": said("a", 60, severity=Severity.CRITICAL),
    "back": by("unack", 30, "ben"),
}


@pytest.mark.parametrize("order", orders("ack", "end", "again"), ids="-".join)
@pytest.mark.parametrize("batches", [1, 4])
def test_an_acknowledgement_survives_a_flap_in_any_order(order, batches):
    """Given an acknowledged alert that ended and fires again before its end was notified, then it is acknowledged."""
    incident = EMPTY
    if batches == 1:
        incident = folded(incident, *(INPUTS[each] for each in order))
    else:
        for each in order:
            incident = folded(incident, INPUTS[each])
    (alert,) = incident.firing
    assert (alert.starts_at, alert.ack.by, alert.ack.at) == (at(60), "ana", at(20))
    assert [entry.text for entry in incident.timeline.entries if entry.kind in ("ack", "ack_lifted")] == [
        "acknowledged"
    ]


@pytest.mark.parametrize("order", orders("ack", "end", "worse"), ids="-".join)
def test_what_comes_back_worse_is_not_acknowledged_in_any_order(order):
    """Given an acknowledged warning that ended and fires again as critical, then nobody has it."""
    incident = EMPTY
    for each in order:
        incident = folded(incident, INPUTS[each])
    assert acked(incident) is None


@pytest.mark.parametrize("order", orders("ack", "back"), ids="-".join)
def test_two_people_at_once_in_both_orders(order):
    """Given Ana who acknowledges and Ben who gives back ten seconds later, then nobody has it in any order of arrival."""
    incident = EMPTY
    for each in order:
        incident = folded(incident, INPUTS[each])
    assert acked(incident) is None
    assert folded(incident, by("ack", 31, "cleo")).firing[0].ack.by == "cleo"


@pytest.mark.parametrize("first", ["ana", "ben"])
def test_two_people_who_acknowledge_at_once_are_one_line(first):
    """Given two acknowledgements of one alert, then one person has it, and one line says so."""
    acts = {"ana": by("ack", 20, "ana"), "ben": by("ack", 21, "ben")}
    second = "ben" if first == "ana" else "ana"
    incident = folded(folded(folded(EMPTY, said("a", 0)), acts[first]), acts[second])
    lines = [entry.by for entry in incident.timeline.entries if entry.kind == "ack"]
    assert lines == [first] and acked(incident) == first


def test_what_begins_anew_after_a_notified_end_is_not_acknowledged():
    """Given an acknowledged alert whose end was notified while another one fires, when it fires again, then nobody has it."""
    incident = flushed(folded(EMPTY, said("a", 0), said("b", 0), by("ack", 20)), 30)
    over = flushed(folded(incident, said("a", 40, "resolved"), now=50), 90)
    assert acked(over) == "ana"
    anew = folded(over, said("a", 100), now=100)
    assert (acked(anew), acked(anew, "b")) == (None, "ana")
    assert not [entry for entry in anew.timeline.entries if entry.kind == "ack_lifted"]
    assert acked(folded(anew, by("ack", 45, "ben"), now=101)) is None
    assert acked(folded(anew, by("ack", 101, "ben"), now=101)) == "ben"


def test_a_new_incident_is_not_acknowledged():
    """Given an acknowledged incident that ended, when its alert fires again, then nobody has the new incident."""
    open_one = flushed(folded(EMPTY, said("a", 0), by("ack", 20)), 30)
    ended = flushed(folded(open_one, said("a", 40, "resolved"), now=50), 90)
    assert ended.status == "ended"
    assert acked(folded(ended, said("a", 100), now=100)) is None
    forgotten = {name: replace(each, ack=replace(each.ack, notified_end=None)) for name, each in ended.alerts.items()}
    older = replace(ended, alerts=forgotten)
    assert acked(folded(older, said("a", 100), now=100)) is None


def test_an_acknowledgement_is_of_what_fired_when_it_was_made():
    """Given an alert that is over, when an acknowledgement from before arrives, then it counts; a later one does not."""
    incident = flushed(folded(EMPTY, said("a", 0), said("b", 0)), 10)
    over = folded(incident, said("a", 40, "resolved"), now=45)
    late = folded(folded(over, by("ack", 39), now=50), said("a", 60), now=60)
    assert (acked(late), acked(late, "b")) == ("ana", "ana")
    after = folded(folded(over, by("ack", 50), now=50), said("a", 60), now=60)
    assert (acked(after), acked(after, "b")) == (None, "ana")
    notified = folded(flushed(over, 70), by("ack", 39), now=75)
    assert acked(notified) is None


@pytest.mark.parametrize(
    ("act", "text"),
    [
        (by("ack", 20, alertname="a"), "acknowledged 1 of 2: a"),
        (by("ack", 20), "acknowledged"),
        (replace(by("ack", 20, alertname="a"), note="on it"), "acknowledged 1 of 2: a: on it"),
    ],
)
def test_an_acknowledgement_of_one_of_two_names_it(act, text):
    """Given two alerts, when matchers choose one, then the timeline says which one of how many is acknowledged."""
    incident = folded(EMPTY, said("a", 0), said("b", 0), act)
    assert [entry.text for entry in incident.timeline.entries if entry.kind == "ack"] == [text]


def test_giving_back_one_of_two_names_it():
    """Given two acknowledged alerts, when one is given back, then the timeline says which; the rest is then all of them."""
    incident = folded(EMPTY, said("a", 0), said("b", 0), by("ack", 20))
    one = folded(incident, by("unack", 30, alertname="b"))
    assert one.timeline.entries[-1].text == "unacknowledged 1 of 2: b"
    assert folded(one, by("unack", 40)).timeline.entries[-1].text == "unacknowledged"
