"""What a notification says: which alerts, in which order, under which title, with which notes."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.core.alert import Acknowledgement, Alert, AlertState, Origin, SenderText, StateChanges
from chalicelib.core.alert_snapshot import SnapshotInput
from chalicelib.core.build import services_from
from chalicelib.core.context import Cause, Context, Silence
from chalicelib.core.delivery.notification import MAX_ALERTS, AckSnapshot, Deploy, Reason, ServiceSnapshot
from chalicelib.core.event import Severity
from chalicelib.core.incident import Episode, Incident, Truncated
from chalicelib.core.match import parse_matchers
from chalicelib.core.mute import Muting
from chalicelib.core.notes import notes_of
from chalicelib.core.notified import LastNotification, NotifiedAlerts, NotifiedState
from chalicelib.core.rule import Inhibition, Route, Rule, Rules, Target
from chalicelib.core.snapshot import notification, with_symptoms
from chalicelib.core.titles import title_of
from tests.rule_files import KINDS

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
MAIL = Target("email", "ops@example.com")
SILENCE = Silence("s", parse_matchers({"alertname": "A"}), NOW - 9 * MINUTE, NOW, "ana", "deploying")


def alert(name, minutes=5, severity=Severity.WARNING, state=AlertState.FIRING, **more):
    """An alert that began some minutes ago."""
    return Alert(
        name,
        name=name,
        labels={"service": "web"},
        severity=severity,
        state=state,
        starts_at=NOW - minutes * MINUTE,
        **more,
    )


def ended(name, **more):
    """An alert that ended a minute ago."""
    return alert(name, state=AlertState.RESOLVED, ends_at=NOW - MINUTE, **more)


def incident(*alerts, **more):
    """An incident of these alerts, which began five minutes ago."""
    known = {each.fingerprint: each for each in alerts}
    return Incident(
        "k", "i", group={"service": "web"}, alerts=known, episode=Episode(started_at=NOW - 5 * MINUTE), **more
    )


def basis(context=None, rules=None, **more):
    """What it is made from beside the incident."""
    return SnapshotInput(rules or Rules(kinds=KINDS), context or Context(), Route("default"), NOW, **more)


def told(found, reason=Reason.UPDATED, visible=None, known=(), made=None, hidden=()):
    """What a target that knew these alerts is told."""
    firing = {each.fingerprint: 1 for each in found.firing}
    alerts = NotifiedAlerts(dict.fromkeys(known, 1), frozenset(hidden))
    announced = NotifiedState(MAIL, open=bool(known), last=LastNotification(seq=1), alerts=alerts)
    return notification(found, announced, reason, firing if visible is None else visible, made or basis(), ())


def test_alerts_come_worst_first_then_oldest_then_by_name_and_ends_after_them():
    """The order is the same whatever the order of events was; a target hears of ends that it was told the beginning of."""
    found = incident(
        ended("Told"), ended("Never told"), alert("B"), alert("A"), alert("Old", 9), alert("Bad", 1, Severity.CRITICAL)
    )
    names = [each.name for each in told(found, known=("Told",)).alerts]
    assert names == ["Bad", "Old", "A", "B", "Told"]


def test_the_id_of_a_notification_names_all_that_makes_it_another():
    """The same announcement has the same id; another target, incident, number, reason or content has another id."""
    base = {"target": MAIL, "seq": 1, "id": "i", "reason": Reason.UPDATED, "alerts": ("A",), "now": NOW}

    def id_of(**changes):
        """The id of the announcement with these changes."""
        made = {**base, **changes}
        found = replace(incident(*map(alert, made["alerts"])), id=made["id"])
        announced = NotifiedState(made["target"], last=LastNotification(made["seq"]))
        firing = {each.fingerprint: 1 for each in found.firing}
        return notification(found, announced, made["reason"], firing, replace(basis(), now=made["now"]), ()).id

    others = [
        {"target": Target("email", "dev@example.com")},
        {"target": Target("slack_channel", "ops@example.com")},
        {"seq": 2},
        {"id": "j"},
        {"reason": Reason.REMINDER},
        {"alerts": ("B",)},
        {"now": NOW + MINUTE},
    ]
    assert id_of() == id_of()
    assert len({id_of(), *(id_of(**each) for each in others)}) == 1 + len(others)


def test_what_is_muted_is_evidence_and_says_by_what():
    """A muted alert is beside those announced, never among them."""
    made = basis(mutings={"A": Muting(silences=(SILENCE,))})
    found = told(incident(alert("A"), alert("B")), visible={"B": 1}, made=made)
    assert [each.name for each in found.alerts] == ["B"]
    assert [(each.name, each.muted_by) for each in found.evidence] == [("A", ("silence s of ana",))]


def test_a_silent_change_of_what_is_muted_says_who_has_it():
    """Given an acknowledged alert that is muted, when a message is brought up to date → it says who has it."""
    made = basis(mutings={"A": Muting(silences=(SILENCE,))})
    held = replace(alert("A"), ack=Acknowledgement("ben", NOW))
    found = told(incident(held), Reason.SYNC, visible={}, known=("A",), made=made)
    assert found.ack == AckSnapshot("ben", NOW)
    assert told(incident(alert("A")), Reason.SYNC, visible={}, known=("A",), made=made).ack is None


def test_symptoms_of_other_incidents_are_evidence_too():
    """What this incident's alert mutes elsewhere is shown with it, by whose word it is muted."""
    context = Context(causes=(Cause("k/Down", {"alertname": "Down", "service": "web"}, NOW),))
    rules = Rules(
        inhibitions=(Inhibition(parse_matchers({"alertname": "Down"}), parse_matchers({"alertname": "Slow"})),)
    )
    made = basis(context, rules)
    found = with_symptoms(told(incident(alert("Down")), made=made), (alert("Slow"),), {}, made)
    assert [(each.name, each.muted_by) for each in found.evidence] == [("Slow", ("inhibited by Down",))]


TITLES = [
    (["A"], "A (web)"),
    (["A", "B"], "2 alerts: A, B (web)"),
    (["B", "A", "C", "D"], "4 alerts: A, B, C … (web)"),
    ([], "web"),
]


@pytest.mark.parametrize(("names", "title"), TITLES)
def test_the_title(names, title):
    """The alert's own title, or how many there are of which, and where."""
    found = incident(*map(alert, names))
    assert title_of(found, found.firing) == title


OF_ONE_RULE = [
    (["Pods restart", "Node is not ready"], Origin.EVENT, "2 alerts: Pods restart, Node is not ready (web)"),
    (["Pods restart", "Pods restart"], Origin.EVENT, "2 alerts: Pods restart (web)"),
    (["Pods restart", ""], Origin.EVENT, "2 alerts: Pods restart, Prometheus Alert (web)"),
    (
        ["Pods restart " + "again " * 20, "Down"],
        Origin.EVENT,
        f"2 alerts: Pods restart{' again' * 7}…, Down (web)",
    ),
    (["Pods restart", "Node is not ready"], Origin.SERIES, "2 alerts: Prometheus Alert (web)"),
]


@pytest.mark.parametrize(("titles", "origin", "title"), OF_ONE_RULE)
def test_the_title_of_several_alerts_of_one_rule(titles, origin, title):
    """Given alerts of a rule that takes whatever a sender reports → their own titles; measured ones have the rule's name."""
    alerts = [
        replace(alert("Prometheus Alert"), fingerprint=str(at), origin=origin, text=SenderText(title=each))
        for at, each in enumerate(titles)
    ]
    found = incident(*alerts)
    assert title_of(found, found.firing) == title


def test_the_title_of_several_without_a_name():
    """Given alerts that no rule matched and whose sender only calls them events → their titles, where others are named."""
    nameless = replace(alert("event"), rule="", text=replace(alert("event").text, title="Disk full"))
    found = incident(nameless, alert("B"))
    assert title_of(found, found.firing) == "2 alerts: B, Disk full (web)"


NOTES = [
    ("back after a silence", ("A",), ("A",), "A is back after the silence of ana (deploying) ended."),
    ("began under a silence", (), (), "A began under the silence of ana (deploying), which has ended."),
    ("known all the time", ("A",), (), None),
]


@pytest.mark.parametrize(("known", "hidden", "note"), [row[1:] for row in NOTES], ids=[row[0] for row in NOTES])
def test_what_returns_says_whose_silence_it_was(known, hidden, note):
    """Only an alert that this target did not see because of it."""
    made = basis(Context(silences=(SILENCE,)))
    found = told(incident(alert("A")), known=known, hidden=hidden, made=made)
    assert found.background.notes == ((note,) if note else ())


BEFORE = replace(SILENCE, starts_at=NOW - 3 * MINUTE, ends_at=NOW - MINUTE)
SINCE = [
    ("a silence, another target was notified before", {"silences": (BEFORE,)}, (), ("A",), None),
    ("maintenance, another target was notified before", {"maintenance": (BEFORE,)}, (), ("A",), None),
    ("a silence before anybody was notified", {"silences": (BEFORE,)}, (), (),
     "A was muted by the silence of ana (deploying), which has ended."),
    ("maintenance before anybody was notified", {"maintenance": (BEFORE,)}, (), (),
     "A was muted by the maintenance of ana (deploying), which has ended."),
    ("maintenance that let it through", {"maintenance": (BEFORE,)}, ("A",), ("A",), "A is back: what muted it is over."),
]  # fmt: skip


@pytest.mark.parametrize(("held", "hidden", "elsewhere", "note"), [row[1:] for row in SINCE], ids=[r[0] for r in SINCE])
def test_what_did_not_mute_an_alert_is_not_named(held, hidden, elsewhere, note):
    """Given a mute that began after the alert → it is named only where it held the alert back."""
    other = Target("slack_channel", "#a")
    alerts = NotifiedAlerts(dict.fromkeys(elsewhere, 1))
    known = {other.key: NotifiedState(other, open=True, last=LastNotification(seq=1), alerts=alerts)}
    found = incident(alert("A"), announced=known)
    made = basis(Context(**held))
    assert told(found, Reason.ESCALATED, known=hidden, hidden=hidden, made=made).background.notes == (
        (note,) if note else ()
    )


def test_what_ended_without_its_source_says_by_whom():
    """A time-out and a person are named; an end of its source's own is not."""
    found = incident(
        ended("A", changes=StateChanges(ended_by="resolve_timeout")),
        ended("B", changes=StateChanges(ended_by="ana")),
        ended("C"),
    )
    notes = told(found, Reason.RESOLVED, known=("A", "B", "C")).background.notes
    assert notes == (
        "A: its sender has sent nothing for the resolve_timeout, so it is taken as resolved.",
        "B: resolved by ana.",
    )


DEPLOYS = [
    (31, "web", False),
    (30, "web", True),
    (3, "web", True),
    (3, None, True),
    (3, "db", True),
    (31, "db", False),
    (-1, "web", False),
]


@pytest.mark.parametrize(("before", "service", "shown"), DEPLOYS)
def test_deploys_shortly_before_the_start_are_attached(before, service, shown):
    """Half an hour before it began at most, of whichever service."""
    deploy = Deploy("d", NOW - (5 + before) * MINUTE, "deploy", service)
    found = told(incident(alert("A")), Reason.OPENED, made=basis(Context(deploys=(deploy,))))
    assert bool(found.background.deploys) is shown


def test_deploys_of_the_own_service_stand_before_those_of_others():
    """What is newest stands first among its own; the deploy of another service comes after them."""
    deploys = [
        Deploy(name, NOW - at * MINUTE, "deploy", service)
        for name, at, service in (("other", 6, "db"), ("old", 20, "web"), ("new", 10, None))
    ]
    found = told(incident(alert("A")), Reason.OPENED, made=basis(Context(deploys=tuple(deploys))))
    assert [each.id for each in found.background.deploys] == ["new", "old", "other"]


def test_a_broken_summary_is_told_in_the_plain_form():
    """The alert goes out with its own words, and says why."""
    rules = Rules(rules=(Rule("A", summary="{{ value | nope }}"),), broken_templates={"A": "nope is no filter"})
    found = told(
        incident(alert("A", rule="A", text=SenderText(summary="its own words"))),
        Reason.OPENED,
        made=basis(rules=rules),
    )
    assert found.alerts[0].summary == "its own words"
    assert found.background.notes == ("The summary of the rule A is broken and the plain form is shown.",)


def test_what_the_rules_file_says_of_a_service_is_in_its_notifications():
    """Given alerts of services, when a target is notified → those of the rules file are there, of the worst alert first."""
    links = {"dashboard": "https://d.example.com"}
    services = services_from({"web": {"owner": "core", "tier": 1, "links": links}, "db": {"owner": "data"}, "x": {}})
    worse = replace(alert("B", severity=Severity.CRITICAL), labels={"service": "db"})
    found = incident(alert("A"), worse, replace(alert("C"), labels={"service": "other"}))
    rules = Rules(kinds=KINDS, services=services)
    assert told(found, made=basis(rules=rules)).background.services == (
        ServiceSnapshot("db", "data"),
        ServiceSnapshot("web", "core", 1, links),
    )
    assert told(found).background.services == ()


def test_the_counts_of_a_storm_add_up():
    """Given alerts over `max_alerts` and over what a notification lists → the title counts all, and so do list and rest."""
    alerts = [alert(f"A{number}") for number in range(MAX_ALERTS + 20)]
    found = told(incident(*alerts, truncated=Truncated({str(number): 0.0 for number in range(300)}, 900)))
    assert found.title.startswith("820 alerts: ")
    assert len(found.alerts) + found.also == 820


def test_one_alert_and_others_over_the_limit_are_several():
    """Given one alert that is kept and two that are only counted → three alerts, and not the title of the one."""
    found = told(incident(alert("A"), truncated=Truncated({"x": 0.0, "y": 0.0}, 2)))
    assert found.title == "3 alerts: A … (web)"


def test_an_end_counts_only_what_it_is_of():
    """Given the end of what a target knew → its title counts no alert that is over the limit."""
    over = incident(ended("A"), ended("B"))
    assert told(over, Reason.RESOLVED, known=("A", "B")).title == "2 alerts: A, B (web)"


NOTES = [
    (3, 2, "max_alerts is reached: 2 more alerts burn, and 5 more events are counted but not shown."),
    (3, 0, "max_alerts is reached: 5 more events are counted but not shown."),
    (500, 2, "2 alerts are too large to list, and 5 more events are counted but not shown."),
    (500, 1, "1 alert is too large to list, and 5 more events are counted but not shown."),
    (500, 0, "Some alerts were too large to list, and 5 more events are counted but not shown."),
]


@pytest.mark.parametrize(("limit", "active", "note"), NOTES)
def test_a_note_says_why_alerts_are_not_shown(limit, active, note):
    """Given alerts without room → the note names the number of alerts as the reason only where that is reached."""
    truncated = Truncated({str(number): 1.0 for number in range(active)}, 5)
    found = incident(alert("A"), alert("B"), alert("C"), truncated=truncated)
    found = replace(found, options=replace(found.options, max_alerts=limit))
    assert notes_of(found, ()) == (note,)
    assert title_of(found, list(found.alerts.values()), more=active).startswith(f"{3 + active} alerts: ")
