"""The alerts that are told together: how they are grouped, folded, bounded, and what people do to them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from chalicelib.core.alert import AlertState
from chalicelib.core.event import Action, ActionKind, Event, Severity, Status
from chalicelib.core.fold import fold, next_alert_change
from chalicelib.core.incident import FlushClock, Incident, group_labels, incident_key
from chalicelib.core.inputs import EventInput, HeartbeatInput, RuleRemoved
from chalicelib.core.notified import NotifiedAlerts, NotifiedState
from chalicelib.core.rule import Route, RouteOptions, Rules, Target

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
MAIL = Target("email", "ops@example.com")
EMPTY = Incident("default", route="default")


def at(seconds):
    """So many seconds after the start."""
    return START + timedelta(seconds=seconds)


def said(name, seconds=0, status="firing", **more):
    """An event of a fault of that name that no rule matched."""
    event = Event(
        id=f"{name} {status} {seconds}",
        source="test",
        kind="fault",
        status=Status(status),
        severity=Severity.WARNING,
        title=name,
        occurred_at=at(seconds),
        identity=name,
        name=name,
        labels={"service": "web"},
    )
    return EventInput(replace(event, **more), None)


def folded(incident, *inputs, now=100):
    """The incident after the inputs."""
    return fold(incident, inputs, rules=Rules(), now=at(now))


def by(kind, seconds=50, who="ana", **matchers):
    """What a person does."""
    return Action(ActionKind(kind), who, at(seconds), matchers=matchers)


def states(incident):
    """The state of each alert by name."""
    return {alert.name: alert.state.value for alert in incident.alerts.values()}


GROUPS = [
    ((), {"service": "web"}, {}),
    (("service",), {"service": "web", "team": "a"}, {"service": "web"}),
    (("service", "team"), {"team": "a", "service": "web"}, {"service": "web", "team": "a"}),
    (("service", "team"), {"service": "web"}, {"service": "web"}),
    (("service", "team"), {"service": "web", "team": ""}, {"service": "web"}),
    (("...",), {"service": "web", "team": ""}, {"service": "web", "team": ""}),
    (("severity", "alertname"), {"severity": "critical", "alertname": "A"}, {"alertname": "A", "severity": "critical"}),
]


@pytest.mark.parametrize(("group_by", "labels", "group"), GROUPS)
def test_the_group_of_an_alert(group_by, labels, group):
    """The labels of group_by that it has; all of them for three dots."""
    route = Route("r", options=RouteOptions(group_by=group_by))
    assert group_labels(route, labels) == group


def test_the_key_of_a_group_is_its_own_and_short():
    """Equal for equal labels, different for different ones, and bounded however long they are."""
    route = Route("default")
    keys = {incident_key(route, {"service": text}) for text in ("a", "b", "x" * 5_000, "x" * 5_001, "a\nb", "a b")}
    assert len(keys) == 6 and max(map(len, keys)) <= 200
    assert incident_key(route, {"a": "1", "b": "2"}) == incident_key(route, {"b": "2", "a": "1"})


def test_folding_twice_changes_nothing():
    """The same inputs again, for whatever reason they come again, leave the incident as it is."""
    inputs = [said("A"), said("B", 10), said("A", 20, "resolved"), by("ack", 30, alertname="B")]
    once = folded(EMPTY, *inputs)
    assert folded(once, *inputs) == once
    assert (states(once), once.events) == ({"A": "resolved", "B": "firing"}, 2)


def test_events_in_any_order_make_the_same_alerts():
    """One by one, in whatever order, the alerts of an incident are the same."""
    inputs = [said("A"), said("A", 20, "resolved"), said("A", 40), said("B", 10)]
    expected = folded(EMPTY, *inputs)
    for order in permutations(inputs):
        incident = EMPTY
        for each in order:
            incident = folded(incident, each)
        assert states(incident) == states(expected), order
        starts = {alert.name: alert.starts_at for alert in incident.alerts.values()}
        assert starts == {"A": at(40), "B": at(10)}


def ended_at(incident, end):
    """The incident with its end."""
    return replace(incident, episode=replace(incident.episode, ended_at=end))


def test_a_new_episode_has_an_id_and_a_count_of_its_own():
    """What burns again after its incident ended is another incident under the same key."""
    first = folded(EMPTY, said("A"), said("A", 10))
    ended = ended_at(folded(first, said("A", 20, "resolved")), at(20))
    second = folded(ended, said("A", 60))
    assert (first.events, second.events) == (2, 1)
    assert second.id != first.id and second.key == first.key and second.episode.started_at == at(60)


def test_a_late_event_of_an_ended_incident_leaves_it_ended():
    """History is counted where it belongs, and begins nothing."""
    first = folded(EMPTY, said("A"), said("A", 50, "resolved"))
    ended = ended_at(first, at(50))
    again = folded(ended, said("A", 20))
    assert (again.id, again.episode.ended_at, states(again)) == (ended.id, at(50), {"A": "resolved"})


SMALL = replace(EMPTY, options=RouteOptions(max_alerts=2))


def test_what_is_over_the_limit_is_counted_once_and_known_to_burn():
    """The third alert of two is a number, however often it is said; its end is known too."""
    incident = folded(SMALL, said("A"), said("B"), said("C"), said("C", 5))
    assert (len(incident.alerts), incident.truncated.events, len(incident.truncated.alerts), incident.events) == (
        2,
        2,
        1,
        4,
    )
    incident = folded(incident, said("C"), said("C", 5))
    assert incident.truncated.events == 2
    assert not folded(incident, said("C", 9, "resolved")).truncated.alerts


def test_nothing_that_is_owed_an_end_makes_room():
    """An alert that was told stays until its end is told; one that was not is forgotten for one that burns."""
    incident = folded(SMALL, said("A"), said("B"))
    over = folded(incident, said("A", 10, "resolved"))
    owed = replace(
        over, announced={MAIL.key: NotifiedState(MAIL, open=True, alerts=NotifiedAlerts(dict.fromkeys(over.alerts, 1)))}
    )
    assert states(folded(owed, said("C"))) == {"A": "resolved", "B": "firing"}
    assert states(folded(over, said("C"))) == {"B": "firing", "C": "firing"}


def test_the_end_of_what_nobody_knows_takes_no_place():
    """A resolve of an unknown fault never pushes out what is known."""
    incident = folded(SMALL, said("A"), said("B"), said("A", 10, "resolved"))
    assert states(folded(incident, said("Z", 20, "resolved"))) == {"A": "resolved", "B": "firing"}


ACTS = [
    (by("ack", alertname="A"), {"A": "ana", "B": None}),
    (by("ack", service="web"), {"A": "ana", "B": "ana"}),
    (by("ack", service="db"), {"A": None, "B": None}),
    (by("ack"), {"A": "ana", "B": "ana"}),
    (by("ack", 5, service="web"), {"A": "ana", "B": None}),  # B began after that
    (by("unack", service="web"), {"A": None, "B": None}),
]


@pytest.mark.parametrize(("act", "acked"), ACTS)
def test_who_holds_what_after_an_acknowledgement(act, acked):
    """It is about the alerts that its matchers choose and that fired by then."""
    incident = folded(EMPTY, said("A"), said("B", 10))
    found = folded(incident, act)
    assert {alert.name: alert.ack.by for alert in found.alerts.values()} == acked


def test_an_act_on_another_incident_is_nothing():
    """An act that names an incident by its id changes no other."""
    incident = folded(EMPTY, said("A"))
    assert folded(incident, replace(by("ack"), incident="another")) == incident
    assert folded(incident, replace(by("resolve"), incident=incident.id)).firing == ()


def test_a_resolve_by_hand_is_told_now_and_says_whose_it_was():
    """It is due at its own time, not at the next flush, and stays on the timeline."""
    incident = folded(EMPTY, said("A"))
    found = folded(incident, by("resolve", 50, alertname="A"))
    assert found.flush.next_at == at(50)
    assert [(each.text, each.by) for each in found.timeline.entries][-1] == ("resolved", "ana")


def test_an_alert_whose_rule_is_gone_ends_and_is_not_asked_again():
    """What only a rule could end is over with the rule."""
    incident = folded(EMPTY, said("A"))
    name = next(iter(incident.alerts))
    found = folded(incident, RuleRemoved((name,), "rule gone")).alerts[name]
    assert (found.state, found.changes.ended_by, found.evaluation.recheck_at) == (
        AlertState.RESOLVED,
        "rule gone",
        None,
    )


def test_a_heartbeat_that_is_gone_has_no_timer_and_never_fires_again():
    """Given a late heartbeat whose entry was removed, when time passes → it stays resolved, and nothing is due for it."""
    beat = HeartbeatInput("backup", at(0), {"every": "10", "grace": "5"})
    incident = folded(EMPTY, beat, now=20)
    (name,) = (alert.fingerprint for alert in incident.firing)
    gone = folded(incident, RuleRemoved((name,), "heartbeat gone"))
    later = folded(gone, now=1_000)
    assert (gone.alerts[name].state, gone.alerts[name].changes.ended_by) == (AlertState.RESOLVED, "heartbeat gone")
    assert later.alerts == gone.alerts
    assert next_alert_change(later, Rules(), at(1_000)) is None


def test_what_was_said_while_the_router_was_away_has_missed_its_flush():
    """Its flush is now; what is said in time waits for the grid."""
    options = RouteOptions(group_interval=timedelta(minutes=5))
    known = replace(
        folded(EMPTY, said("A"), now=30), options=options, flush=FlushClock(anchor_at=at(30), last_at=at(30))
    )
    assert folded(known, said("B", 100), now=1000).flush.next_at == at(1000)
    assert folded(known, said("B", 100), now=100).flush.next_at is None
    assert folded(known, said("A", 100), now=1000).flush.next_at is None


def test_a_late_end_between_an_acknowledgement_and_a_repeat_leaves_it():
    """Given an acknowledged alert that fired again, when an end from between arrives late → it is the same alert, acknowledged."""
    acknowledged = folded(folded(EMPTY, said("a", 0), now=10), by("ack", 20), now=30)
    repeated = folded(acknowledged, said("a", 60), now=61)
    late = folded(repeated, said("a", 40, "resolved"), now=70)
    (alert,) = late.alerts.values()
    assert (alert.state, alert.starts_at, alert.ack.by) == (AlertState.FIRING, at(60), "ana")
    assert [entry.text for entry in late.timeline.entries if entry.kind == "ack_lifted"] == []
