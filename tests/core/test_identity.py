"""Where an event goes: to the incidents that hold its fault, and only what none holds by rules and routes."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.core.alert import Alert, AlertState, ReceivedEvents, Sender
from chalicelib.core.event import Event, Severity, Status, fingerprint
from chalicelib.core.identity import (
    CLAIMED,
    MAX_ENDS,
    End,
    Fault,
    Holder,
    Leading,
    Proposal,
    holder_of,
    late_ends,
    led,
    merged,
    slot_of,
    with_end,
)
from chalicelib.core.incident import Episode, Incident
from chalicelib.core.match import parse_matchers
from chalicelib.core.rule import Route, Rule

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ALERTS, PAGES, OTHER = Route("alerts"), Route("pages"), Route("other")


def event(status: str = "firing", severity: str = "warning", kind: str = "check", minutes: float = 0) -> Event:
    """An event of the one fault of these tests, some minutes after NOW."""
    at = NOW + minutes * MINUTE
    name = f"{status} {severity} {kind} {minutes}"
    return Event(name, "test", kind, Status(status), Severity(severity), "Disk is full", at, "disk", name=kind)


FAULT = event().fingerprint


def rule(name: str, **match: str) -> Rule:
    """A rule that takes every event whose labels match."""
    return Rule(name, matchers=parse_matchers(match))


def led_by(name: str, route: Route = ALERTS, **match: str) -> Proposal:
    """A proposal of the rule of that name; of no rule where the name is empty."""
    return Proposal(rule(name, **match) if name else None, route, {})


def alert_id(name: str) -> str:
    """The fingerprint of the fault's alert under a rule."""
    return fingerprint(name, FAULT)


@dataclass(frozen=True)
class Stored:
    """One incident: where it is, the state of its alert, and whether a holder of the fault names it."""

    route: Route = ALERTS
    rule: str = "R"
    state: AlertState = AlertState.FIRING
    severity: str = "warning"
    ended: bool = False
    listed: bool = True
    claimed: timedelta = timedelta(hours=1)
    saved: bool = True
    kind: str = "check"

    @property
    def holder(self) -> Holder:
        """The holder that names the incident."""
        rank = Severity(self.severity).rank
        at = NOW - self.claimed
        return Holder(self.route.id, alert_id(self.rule), self.rule, self.route.id, {}, rank, at)

    @property
    def incident(self) -> Incident | None:
        """The incident as the store has it."""
        if not self.saved:
            return None
        at = NOW - 60 * MINUTE
        alert = Alert(
            alert_id(self.rule),
            rule=self.rule,
            name=self.rule or self.kind,
            sender=Sender("test", self.kind, self.kind),
            severity=Severity(self.severity),
            state=self.state,
            starts_at=at,
            ends_at=NOW if self.state is AlertState.RESOLVED else None,
            received=ReceivedEvents(refreshed_at=NOW),
        )
        alerts = {alert.fingerprint: alert}
        return Incident(
            self.route.id,
            "i",
            route=self.route.id,
            alerts=alerts,
            episode=Episode(started_at=at, ended_at=NOW if self.ended else None),
        )


@dataclass(frozen=True)
class Row:
    """What is stored and proposed, what is received, and where it must go: to holders, and anew, by route and rule."""

    received: Event
    stored: tuple[Stored, ...] = ()
    proposed: tuple[Proposal, ...] = (led_by("R"),)
    holders: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    also: Mapping[str, Holder] = field(default_factory=dict)


def where(found: Leading) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The routes of the holders, and route and rule of what begins."""
    new = tuple(f"{each.route.id} {each.rule.name if each.rule else '-'}" for each in found.new)
    return tuple(each.route for each in found.holders), new


def decided(row: Row) -> Leading:
    """Where the event of the row goes."""
    holders = {f"slot {number}": each.holder for number, each in enumerate(row.stored) if each.listed}
    incidents = {each.route.id: each.incident for each in row.stored}
    return led(row.received, row.proposed, Fault({**holders, **row.also}), incidents, NOW)


FIRES, ENDS, WORSE = event(), event("resolved"), event(severity="critical")
GONE = Stored(state=AlertState.RESOLVED, ended=True)
AT_BOTH = (Stored(), Stored(PAGES))
ROWS = {
    "a fault that nobody holds begins where rules lead": Row(FIRES, new=("alerts R",)),
    "a fault that two rules match begins under both": Row(
        FIRES, proposed=(led_by("R"), led_by("S", PAGES)), new=("alerts R", "pages S")
    ),
    "a repeat of what fires goes to its holder": Row(FIRES, (Stored(),), holders=("alerts",)),
    "a repeat that rules lead elsewhere goes to its holder": Row(
        FIRES, (Stored(),), (led_by("R", OTHER),), holders=("alerts",)
    ),
    "a repeat that no rule matches goes to its holder": Row(FIRES, (Stored(),), (led_by("", OTHER),), ("alerts",)),
    "an end that rules lead elsewhere goes to its holder": Row(
        ENDS, (Stored(),), (led_by("R", OTHER),), holders=("alerts",)
    ),
    "an end that no rule matches goes to its holder": Row(ENDS, (Stored(),), (led_by("", OTHER),), ("alerts",)),
    "an end without any proposal goes to its holder": Row(ENDS, (Stored(),), (), ("alerts",)),
    "an end goes to every holder": Row(ENDS, AT_BOTH, holders=("alerts", "pages")),
    "an alert that is known though no holder is stored holds its fault": Row(
        FIRES, (Stored(listed=False),), holders=("alerts",)
    ),
    "a pending alert holds its fault": Row(FIRES, (Stored(state=AlertState.PENDING),), holders=("alerts",)),
    "an end goes to a pending alert": Row(ENDS, (Stored(state=AlertState.PENDING),), (), ("alerts",)),
    "an alert that ended in a group that lives comes back there": Row(
        event(minutes=1), (Stored(state=AlertState.RESOLVED),), (led_by("R", OTHER),), holders=("alerts",)
    ),
    "an alert that ended with its incident begins where rules lead now": Row(
        event(minutes=1), (GONE,), (led_by("R", OTHER),), new=("other R",)
    ),
    "an alert that ended with its incident begins under its own key again": Row(
        event(minutes=1), (GONE,), new=("alerts R",)
    ),
    "an alert that no holder names begins by a claim, in a group that lives too": Row(
        event(minutes=1), (Stored(state=AlertState.RESOLVED, listed=False),), new=("alerts R",)
    ),
    "an alert that fires elsewhere comes back at no group that only remembers it": Row(
        event(minutes=1), (Stored(OTHER), Stored(state=AlertState.RESOLVED, listed=False)), holders=("other",)
    ),
    "a late beginning goes to the past that no holder names": Row(
        event(minutes=-1), (Stored(state=AlertState.RESOLVED, listed=False),), holders=("alerts",)
    ),
    "an end goes to the past that no holder names": Row(
        ENDS, (Stored(state=AlertState.RESOLVED, listed=False),), holders=("alerts",)
    ),
    "a pending alert that never fired and went away holds nothing": Row(
        event(minutes=1), (Stored(state=AlertState.INACTIVE),), (led_by("R", OTHER),), new=("other R",)
    ),
    "a young claim holds though its incident is not saved": Row(
        FIRES, (Stored(saved=False, claimed=CLAIMED - MINUTE),), (led_by("R", OTHER),), holders=("alerts",)
    ),
    "a young claim of an alert that ended with its incident before holds": Row(
        event(minutes=1), (replace(GONE, claimed=-MINUTE),), (led_by("R", OTHER),), holders=("alerts",)
    ),
    "a young claim of an alert that went away before it fired holds": Row(
        event(minutes=1),
        (Stored(state=AlertState.INACTIVE, claimed=-MINUTE),),
        (led_by("R", OTHER),),
        holders=("alerts",),
    ),
    "a claim whose alert was saved and went away holds nothing": Row(
        event(minutes=1),
        (Stored(state=AlertState.INACTIVE, claimed=0 * MINUTE),),
        (led_by("R", OTHER),),
        new=("other R",),
    ),
    "a claim whose incident was saved and has ended holds nothing": Row(
        event(minutes=1), (replace(GONE, claimed=0 * MINUTE),), (led_by("R", OTHER),), new=("other R",)
    ),
    "an old claim whose incident was never saved holds nothing": Row(
        FIRES, (Stored(saved=False, claimed=CLAIMED),), (led_by("R", OTHER),), new=("other R",)
    ),
    "an end goes to a young claim": Row(ENDS, (Stored(saved=False, claimed=MINUTE),), (), ("alerts",)),
    "an end of an old claim is held by nobody": Row(ENDS, (Stored(saved=False),)),
    "an end that nobody holds opens nothing": Row(ENDS),
    "an end of an alert that ended before belongs to its past": Row(ENDS, (GONE,), (led_by("R", OTHER),), ("alerts",)),
    "a late beginning that is older than the end belongs to the past": Row(
        event(minutes=-1), (GONE,), (led_by("R", OTHER),), holders=("alerts",)
    ),
    "a beginning at the moment of the end belongs to the past": Row(FIRES, (GONE,), holders=("alerts",)),
    "a late beginning goes to the alert that fires, not to the one that ended": Row(
        event(minutes=-1), (GONE, Stored(PAGES)), (), ("pages",)
    ),
    "what got worse begins on the route that its severity has": Row(
        WORSE, (Stored(),), (led_by("R", PAGES),), ("alerts",), ("pages R",)
    ),
    "what got worse stays where its route is the same": Row(WORSE, (Stored(),), holders=("alerts",)),
    "what is as bad as before begins nowhere else": Row(
        WORSE, (Stored(severity="critical"),), (led_by("R", PAGES),), ("alerts",)
    ),
    "what got better begins nowhere else": Row(
        FIRES, (Stored(PAGES, severity="critical"),), (led_by("R"),), holders=("pages",)
    ),
    "what got worse and is at both goes to both": Row(
        WORSE, AT_BOTH, (led_by("R", PAGES),), holders=("pages", "alerts")
    ),
    "the end of what got worse is no beginning": Row(
        event("resolved", "critical"), (Stored(),), (led_by("R", PAGES),), ("alerts",)
    ),
    "a rule that was renamed does not notify again": Row(FIRES, (Stored(),), (led_by("Renamed"),), ("alerts",)),
    "a rule that was added does not notify again": Row(
        FIRES, (Stored(),), (led_by("R"), led_by("Added", OTHER)), ("alerts",)
    ),
    "another rule that matches only this kind of event begins": Row(
        event(kind="spike"), (Stored(),), (led_by("S", OTHER, kind="spike"),), ("alerts",), ("other S",)
    ),
    "a rule of another kind that began before goes on": Row(
        event(kind="spike"),
        (Stored(), Stored(OTHER, "S", kind="spike")),
        (led_by("S", OTHER, kind="spike"),),
        ("other", "alerts"),
    ),
    "two rules of which one has begun: the other was claimed and never saved, and begins": Row(
        FIRES,
        (Stored(), Stored(OTHER, "S", saved=False)),
        (led_by("R"), led_by("S", OTHER)),
        ("alerts",),
        ("other S",),
    ),
    "two rules that both hold get the repeat": Row(
        FIRES, (Stored(), Stored(OTHER, "S")), (led_by("R"), led_by("S", OTHER)), ("alerts", "other")
    ),
    "holders that rules lead to come first, in the order of the rules": Row(
        FIRES, (Stored(), Stored(OTHER, "S")), (led_by("S", OTHER), led_by("R")), ("other", "alerts")
    ),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_where_an_event_goes(row: Row) -> None:
    """Given what is stored and proposed, then the event goes to these holders and begins at these proposals."""
    assert where(decided(row)) == (row.holders, row.new)


def test_what_got_worse_stays_in_its_incident_where_its_route_is_the_same() -> None:
    """Given a worse repeat that the same route would group elsewhere, then its incident notifies of it, and no other."""
    grouped = replace(led_by("R"), group={"environment": "production"})
    assert grouped.key != ALERTS.id
    assert where(decided(Row(WORSE, (Stored(),), (grouped,)))) == (("alerts",), ())


def test_what_got_worse_begins_at_a_home_that_was_claimed_and_never_saved() -> None:
    """Given a second home whose worker died, when the first was saved as worse, then the event begins there."""
    first, second = Stored(severity="critical"), Stored(PAGES, saved=False)
    assert where(decided(Row(WORSE, (first, second), (led_by("R", PAGES),)))) == (("alerts",), ("pages R",))


def test_the_rules_own_severity_decides_what_is_worse() -> None:
    """Given a rule that says warning, when the event says critical, then it begins nowhere else."""
    own = Proposal(Rule("R", severity=Severity.WARNING), PAGES, {})
    assert where(decided(Row(WORSE, (Stored(),), (own,)))) == (("alerts",), ())


class TestSlots:
    """One alert has one home, and one more on each route to which it got worse."""

    def test_an_alert_without_a_live_home_has_its_own_slot(self) -> None:
        """Given no live holder, then the slot is the alert's fingerprint."""
        assert slot_of(Stored().holder, ()) == alert_id("R")

    def test_an_alert_at_its_own_home_keeps_its_slot(self) -> None:
        """Given a live holder of the same key, then the slot is the alert's fingerprint."""
        assert slot_of(Stored().holder, (Stored().holder,)) == alert_id("R")

    def test_another_alert_of_the_fault_has_its_own_slot(self) -> None:
        """Given a live holder of another rule's alert, then the slot is the alert's fingerprint."""
        assert slot_of(Stored(OTHER, "S").holder, (Stored().holder,)) == alert_id("S")

    def test_second_homes_have_slots_of_their_own(self) -> None:
        """Given a live home elsewhere, then the slot names the key, and every key has another one."""
        live = (Stored().holder,)
        found = {slot_of(Stored(route).holder, live) for route in (PAGES, OTHER)}
        assert len(found) == 2
        assert all(each.startswith(f"{alert_id('R')}/") for each in found)

    def test_a_holder_names_the_incident_and_the_alert(self) -> None:
        """Given a proposal, then its holder has its key, its alert, and the rank that the alert would have."""
        found = holder_of(led_by("R", PAGES), WORSE, NOW)
        assert found == Holder(PAGES.id, alert_id("R"), "R", PAGES.id, {}, Severity.CRITICAL.rank, NOW)

    def test_a_holder_without_a_rule(self) -> None:
        """Given a proposal of no rule, then the alert is that of the fault alone."""
        assert holder_of(led_by(""), FIRES, NOW).alert == fingerprint("", FAULT)


class TestEnds:
    """Ends that arrive before their beginning."""

    def test_the_newest_are_remembered_oldest_first(self) -> None:
        """Given more ends than are remembered, in any order, then the oldest are forgotten."""
        fault = Fault()
        for number in reversed(range(MAX_ENDS + 3)):
            fault = with_end(fault, End(f"e{number}", NOW + number * MINUTE))
        assert [each.id for each in fault.ends] == [f"e{number}" for number in range(3, MAX_ENDS + 3)]

    def test_an_end_is_remembered_once(self) -> None:
        """Given the same end twice, then it is stored once."""
        end = End("e", NOW)
        assert with_end(with_end(Fault(), end), end).ends == (end,)

    def test_a_late_beginning_is_given_its_ends(self) -> None:
        """Given stored ends, then each is an event that resolves the fault of the beginning at its own time."""
        fires = replace(event(minutes=-5), starts_at=NOW - 5 * MINUTE)
        (found,) = late_ends(fires, Fault(ends=(End("e", NOW),)), NOW)
        assert (found.id, found.status, found.occurred_at) == ("e", Status.RESOLVED, NOW)
        assert (found.fingerprint, found.starts_at, found.ends_at, found.action) == (FAULT, None, None, None)

    def test_an_end_of_a_faster_clock_is_one_of_now(self) -> None:
        """Given an end that another worker's clock put after now, then it is resolved now, and not later."""
        (found,) = late_ends(event(minutes=-5), Fault(ends=(End("e", NOW + MINUTE),)), NOW)
        assert found.occurred_at == NOW


class TestMerged:
    """One fault under several names: an earlier version stored alerts under their own."""

    def test_the_first_name_wins_a_slot(self) -> None:
        """Given one slot under two names, then that of the first is kept, and other slots of both."""
        mine, older, other = Stored().holder, Stored(OTHER).holder, Stored(PAGES, "S").holder
        found = merged([Fault({"a": mine}), Fault({"a": older, "b": other})])
        assert found.holders == {"a": mine, "b": other}

    def test_ends_of_all_names_are_kept_once_oldest_first(self) -> None:
        """Given ends under two names, then all are kept, each once, in the order of time."""
        early, late = End("early", NOW), End("late", NOW + MINUTE)
        assert merged([Fault(ends=(late,)), Fault(ends=(early, late))]).ends == (early, late)

    def test_one_name_is_itself(self) -> None:
        """Given one name, then nothing changes."""
        fault = Fault({"a": Stored().holder})
        assert merged([fault]) is fault
