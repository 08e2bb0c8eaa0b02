"""What is due of an incident: whom it notifies, why, and when it is looked at again."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.core.alert import Acknowledgement, Alert, AlertState
from chalicelib.core.context import Cause, Context, Silence
from chalicelib.core.delivery.notification import Reason
from chalicelib.core.delivery.target_kind import Capabilities
from chalicelib.core.due import due
from chalicelib.core.event import Severity
from chalicelib.core.incident import Episode, FlushClock, Incident
from chalicelib.core.match import parse_matchers
from chalicelib.core.mute import mutings_of
from chalicelib.core.rule import Escalation, Inhibition, Route, RouteAlerts, RouteOptions, Rules, Target
from tests.rule_files import KINDS

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
MAIL, PAGER = Target("email", "ops@example.com"), Target("pagerduty", "default")
QUIET_MAIL = replace(MAIL, send_resolved=False)


def alert(name, started=NOW - MINUTE, severity=Severity.WARNING, **more):
    """An alert that fires."""
    return Alert(
        name,
        name=name,
        labels={"service": "web"},
        severity=severity,
        state=AlertState.FIRING,
        starts_at=started,
        **more,
    )


ROUTE = Route(
    "default",
    (MAIL,),
    options=RouteOptions(
        group_wait=timedelta(seconds=30),
        group_interval=5 * MINUTE,
        repeat_interval=HOUR,
        ack_timeout=2 * HOUR,
    ),
    escalate=(Escalation(15 * MINUTE, (PAGER,)), Escalation(30 * MINUTE, (PAGER,))),
)
RULES_OF_ALL_KINDS = Rules(kinds=KINDS)
OPEN = Incident("default", "i1", route="default", options=ROUTE.options, episode=Episode(started_at=NOW - HOUR))


def decide(incident, route=ROUTE, now=NOW, context=None, rules=RULES_OF_ALL_KINDS, **more):
    """The decision, and its reasons by target."""
    decision = due(incident, routes=[RouteAlerts(route)], rules=rules, context=context or Context(), now=now, **more)
    return decision, {each.target.kind: each.reason.value for each in decision.notifications}


def opened(now=NOW, route=ROUTE, **alerts):
    """An incident whose alerts were told at `now`."""
    found = alerts or {"a": alert("a", now - MINUTE)}
    decision, reasons = decide(replace(OPEN, alerts=found, flush=FlushClock(next_at=now)), route, now)
    assert reasons == {"email": "opened"}
    return decision.incident


def test_nothing_is_told_before_the_flush():
    """Before its flush an incident only knows when it will be."""
    incident = replace(OPEN, alerts={"a": alert("a", NOW)})
    decision, reasons = decide(incident)
    assert not reasons
    assert decision.incident.flush.next_at == decision.incident.wake_at == NOW + timedelta(seconds=30)


def test_what_is_told_is_remembered_and_not_told_again():
    """The decision about its own result is to do nothing, and it says when to look again."""
    incident = opened()
    decision, reasons = decide(incident)
    assert not reasons and decision.incident == incident
    assert incident.episode.opened_at == incident.flush.anchor_at == NOW
    assert incident.wake_at == NOW + 15 * MINUTE


def test_a_repeated_decision_has_the_same_id():
    """A worker that dies after it put a notification on the queue decides the same again, under the same id."""
    incident = replace(OPEN, alerts={"a": alert("a")}, flush=FlushClock(next_at=NOW))
    one, again = decide(incident)[0], decide(incident)[0]
    assert [each.id for each in one.notifications] == [each.id for each in again.notifications]
    assert one.incident.committed == (one.notifications[0].id,)


ESCALATIONS = [
    (14 * MINUTE, {}, {}),
    (15 * MINUTE, {}, {"pagerduty": "escalated"}),
    (40 * MINUTE, {}, {"pagerduty": "escalated"}),
    (40 * MINUTE, {"ack": Acknowledgement("ana", NOW)}, {}),
]


@pytest.mark.parametrize(("later", "ack", "reasons"), ESCALATIONS)
def test_escalation(later, ack, reasons):
    """A step is due when nobody acknowledged for its time; steps that were missed are told as one."""
    incident = opened()
    incident = replace(incident, alerts={"a": replace(incident.alerts["a"], **ack)})
    assert decide(incident, now=NOW + later)[1] == reasons


def test_an_acknowledgement_runs_out_once():
    """When it does, whoever was told hears whose it was, and the escalation's clock starts again."""
    incident = opened()
    held = replace(incident.alerts["a"], ack=Acknowledgement("ana", NOW))
    decision, reasons = decide(replace(incident, alerts={"a": held}), now=NOW + 2 * HOUR)
    assert reasons == {"email": "reminder"}
    assert "The acknowledgement of ana ran out." in decision.notifications[0].background.notes
    assert decision.incident.alerts["a"].ack.by is None
    assert decision.incident.escalation.restarted_at == NOW + 2 * HOUR
    assert decide(decision.incident, now=NOW + 2 * HOUR)[1] == {}


def test_an_end_that_is_not_wanted_closes_the_incident_all_the_same():
    """A target without ends hears nothing of it; the incident is over, and nothing is owed."""
    route = replace(ROUTE, targets=(QUIET_MAIL,))
    incident = opened(route=route)
    over = replace(incident.alerts["a"], state=AlertState.RESOLVED, ends_at=NOW + MINUTE)
    flush = replace(incident.flush, next_at=NOW + 5 * MINUTE)
    decision, reasons = decide(replace(incident, alerts={"a": over}, flush=flush), route, NOW + 5 * MINUTE)
    assert not reasons
    assert decision.incident.episode.ended_at == NOW + MINUTE and decision.incident.wake_at is None


def test_what_ended_before_it_was_told_ends_in_silence():
    """An incident whose alerts ended before its first flush tells nobody."""
    over = replace(alert("a"), state=AlertState.RESOLVED, ends_at=NOW)
    decision, reasons = decide(replace(OPEN, alerts={"a": over}, flush=FlushClock(next_at=NOW)))
    assert not reasons and decision.incident.status == "ended" and decision.incident.episode.opened_at is None


SILENCE = Silence("s1", parse_matchers({"alertname": "a"}), NOW - HOUR, NOW + HOUR, "ana")
CAUSE = Cause("other/x", {"alertname": "Down", "service": "web"}, NOW)
RULES = Rules(inhibitions=(Inhibition(parse_matchers({"alertname": "Down"}), parse_matchers({}), ("service",)),))
MUTED = [
    (Context(), Rules(), ()),
    (Context(silences=(SILENCE,)), Rules(), ("silence s1 of ana",)),
    (Context(silences=(replace(SILENCE, ends_at=NOW),)), Rules(), ()),
    (Context(silences=(replace(SILENCE, starts_at=NOW + MINUTE),)), Rules(), ()),
    (Context(silences=(replace(SILENCE, matchers=parse_matchers({"alertname": "b"})),)), Rules(), ()),
    (Context(maintenance=(SILENCE,)), Rules(), ("maintenance of ana",)),
    (Context(causes=(CAUSE,)), RULES, ("inhibited by Down",)),
    (Context(causes=(CAUSE,)), Rules(), ()),
    (Context(silences=(SILENCE,), causes=(CAUSE,)), RULES, ("silence s1 of ana", "inhibited by Down")),
]


@pytest.mark.parametrize(("context", "rules", "names"), MUTED)
def test_what_mutes_an_alert(context, rules, names):
    """Silences, maintenance and causes that are active mute it, each by name."""
    found = mutings_of(replace(OPEN, alerts={"a": alert("a")}), rules, context, NOW)
    assert (found["a"].names if found else ()) == names


def test_maintenance_lets_go_on_what_was_told():
    """What somebody was told is not held back by maintenance, while what is new is."""
    incident = opened()
    incident = replace(incident, alerts={**incident.alerts, "b": alert("b")})
    both = replace(SILENCE, matchers=parse_matchers({"alertname": "=~a|b"}))
    assert mutings_of(incident, Rules(), Context(maintenance=(both,)), NOW).keys() == {"b"}


def test_what_a_silence_hides_is_noted_so_that_its_return_is_news():
    """A told alert that is silenced is told again when the silence is over, at the next flush."""
    incident = opened()
    muted, reasons = decide(incident, context=Context(silences=(SILENCE,)), now=NOW + MINUTE)
    assert not reasons and muted.incident.announced[MAIL.key].alerts.hidden == {"a"}
    assert muted.incident.flush.next_at == NOW + HOUR
    _, reasons = decide(muted.incident, now=NOW + HOUR)
    assert reasons["email"] == "updated"


# ---------------------------------------------------------------------------------------------------------------------
# What a kind of target can do


SIREN, BOARD = Target("siren", "hall"), Target("board", "lobby")
MADE_UP = Rules(
    kinds={"siren": Capabilities(pages=True), "board": Capabilities(edits=True, shows_silences=True)}
)  # kinds that no file of targets/ has
TO_BOTH = Route("default", (SIREN, BOARD))


def test_decisions_follow_capabilities_and_no_name():
    """Given kinds that core has never seen, then a pager gets no info, and an acknowledgement reaches who can show it."""
    critical, info = alert("a"), alert("b", severity=Severity.INFO)
    first = replace(OPEN, alerts={"a": critical, "b": info}, flush=FlushClock(next_at=NOW))
    decision = due(first, routes=[RouteAlerts(TO_BOTH)], rules=MADE_UP, context=Context(), now=NOW)
    listed = {each.target.kind: [told.name for told in each.alerts] for each in decision.notifications}
    assert listed == {"siren": ["a"], "board": ["a", "b"]}
    known = decision.incident
    held = {name: replace(each, ack=Acknowledgement("ana", NOW)) for name, each in known.alerts.items()}
    decision = due(
        replace(known, alerts=held, sync="api"),
        routes=[RouteAlerts(TO_BOTH)],
        rules=MADE_UP,
        context=Context(),
        now=NOW,
    )
    assert {each.target.kind: each.reason for each in decision.notifications} == {
        "siren": Reason.SYNC, "board": Reason.SYNC
    }  # fmt: skip


def test_a_kind_that_is_not_known_can_do_nothing():
    """Given a kind whose file is gone, then it neither pages nor is brought up to date, and it is still notified."""
    decision = due(
        replace(OPEN, alerts={"b": alert("b", severity=Severity.INFO)}, flush=FlushClock(next_at=NOW)),
        routes=[RouteAlerts(TO_BOTH)], rules=Rules(), context=Context(), now=NOW,
    )  # fmt: skip
    assert {each.target.kind for each in decision.notifications} == {"siren", "board"}
    synced = due(
        replace(decision.incident, sync="api"), routes=[RouteAlerts(TO_BOTH)], rules=Rules(), context=Context(), now=NOW
    )
    assert synced.notifications == ()
