"""An end and an older, worse event of its fault: whichever is worked through first, nothing fires on."""

from dataclasses import replace
from datetime import timedelta

import pytest

from chalicelib.core.event import Severity, Status
from chalicelib.messages.queue import Message, Queues, events_messages, wake_message
from chalicelib.process.worker import process
from simulation.memory_store import MemoryStore
from tests.fakes import MemoryQueue
from tests.rule_files import rules_of
from tests.scenario import START, event

RULES = rules_of("""
defaults: {group_by: [alertname], group_wait: 10s, group_interval: 1m}
routes: [{match: {severity: critical}, notification: [{pagerduty: true}]}]
default: {notification: [{webhook: ops}]}
""")
KEYS = ("default|alertname=Down", "route/severity=critical|alertname=Down")


class Meanwhile(MemoryStore):
    """A store that lets another worker do something once, after the faults were read."""

    def __init__(self):
        super().__init__()
        self.then = None

    def faults(self, names):
        """Read, and let the other worker go on."""
        found = super().faults(names)
        if self.then is not None:
            then, self.then = self.then, None
            then()
        return found


def said(status, seconds, severity):
    """An event of one fault."""
    return replace(event("Down", status, START + timedelta(seconds=seconds), {}), severity=Severity(severity))


WARNING = said(Status.FIRING, 0, "warning")
CRITICAL = said(Status.FIRING, 10, "critical")
END = said(Status.RESOLVED, 20, "warning")
AGAIN = said(Status.FIRING, 400, "warning")
END_AGAIN = said(Status.RESOLVED, 420, "warning")
CRITICAL_AGAIN = said(Status.FIRING, 410, "critical")


def worked(store, *events, seconds=30):
    """A worker's batch for each event."""
    queues = Queues(MemoryQueue(), MemoryQueue(), MemoryQueue())
    now = START + timedelta(seconds=seconds)
    for each in events:
        messages = [Message(each.id, body, "") for body in events_messages([each])]
        assert process(messages, rules=RULES, store=store, queues=queues, now=now) == []


def firing(store):
    """The keys of the incidents in which something fires."""
    return [key for key in KEYS if (found := store.load(key)) is not None and found.firing]


@pytest.mark.parametrize(
    "order",
    [(WARNING, CRITICAL, END), (WARNING, END, CRITICAL), (END, WARNING, CRITICAL), (CRITICAL, WARNING, END)],
    ids=["in order", "the worse event last", "the end first", "the worse event first"],
)
def test_an_end_ends_what_an_older_event_begins_after_it(order):
    """Given a fire, a worse one on another route and their end, in any order → nothing fires."""
    store = MemoryStore()
    worked(store, *order)
    assert firing(store) == []


def test_an_end_finds_what_another_worker_began_meanwhile():
    """Given a worse fire that is worked through after the worker of the end read the fault → nothing fires."""
    store = Meanwhile()
    worked(store, WARNING)
    store.then = lambda: worked(store, CRITICAL)
    worked(store, END)
    assert firing(store) == []


def test_an_end_without_a_fire_finds_what_another_worker_began_meanwhile():
    """Given the first fire that is worked through after the worker of its end read the fault → nothing fires."""
    store = Meanwhile()
    store.then = lambda: worked(store, CRITICAL)
    worked(store, END)
    assert firing(store) == []


def test_an_end_reaches_a_claimed_home_whose_last_incident_has_ended():
    """Given a fault that begins again in an old group, claimed but not saved when its end is led → nothing fires."""
    store = Meanwhile()
    worked(store, WARNING, CRITICAL, END)
    queues = Queues(MemoryQueue(), MemoryQueue(), MemoryQueue())
    for key in KEYS:
        at = START + timedelta(seconds=200)
        process([Message("w", wake_message(key), "")], rules=RULES, store=store, queues=queues, now=at)
    assert [store.load(key).status for key in KEYS] == ["ended", "ended"]
    worked(store, AGAIN, seconds=405)
    save, waiting = store.save, []

    def late(incident, **archive):
        """The worker of the worse fire is held up before its save, until the end is worked through."""
        store.save = save
        waiting.append(incident)
        worked(store, END_AGAIN, seconds=421)
        save(incident, **archive)

    store.save = late
    worked(store, CRITICAL_AGAIN, seconds=420)
    assert (len(waiting), firing(store)) == (1, [])


def test_a_fire_follows_the_claim_of_another_worker_to_an_old_group():
    """Given a fault that begins again in an old group, claimed but not saved when a milder fire is led → one home."""
    store = Meanwhile()
    worked(store, CRITICAL, END)
    queues = Queues(MemoryQueue(), MemoryQueue(), MemoryQueue())
    at = START + timedelta(seconds=200)
    process([Message("w", wake_message(KEYS[1]), "")], rules=RULES, store=store, queues=queues, now=at)
    assert store.load(KEYS[1]).status == "ended"
    save = store.save

    def late(incident, **archive):
        """The worker of the worse fire is held up before its save, until the milder one is worked through."""
        store.save = save
        worked(store, AGAIN, seconds=421)
        save(incident, **archive)

    store.save = late
    worked(store, CRITICAL_AGAIN, seconds=420)
    assert firing(store) == [KEYS[1]]
    worked(store, END_AGAIN, seconds=421)
    assert firing(store) == []


def test_an_end_reaches_a_group_that_ended_while_another_worker_led_a_fire_there():
    """Given a fire led to a group that ends before its save, while its end is led elsewhere too → nothing fires."""
    store = MemoryStore()
    worked(store, WARNING, CRITICAL, END)
    save = store.save
    again = replace(WARNING, id="again", occurred_at=START + timedelta(seconds=69))
    end = replace(END, id="end again", occurred_at=START + timedelta(seconds=69, milliseconds=500))

    def late(incident, **archive):
        """The worker of the fire is held up before its save: the groups end, one begins again, the end is worked through."""
        store.save = save
        queues = Queues(MemoryQueue(), MemoryQueue(), MemoryQueue())
        for key in KEYS:
            at = START + timedelta(seconds=90)
            process([Message("w", wake_message(key), "")], rules=RULES, store=store, queues=queues, now=at)
        assert [store.load(key).status for key in KEYS] == ["ended", "ended"]
        critical = replace(CRITICAL, id="critical again", occurred_at=START + timedelta(seconds=68))
        worked(store, critical, end, seconds=91)
        save(incident, **archive)

    store.save = late
    worked(store, again, seconds=70)
    assert firing(store) == []


def test_a_late_fire_meets_its_end_in_a_group_that_another_fault_has_opened_again():
    """Given an end that came when a group was over, and another fault there, when its older fire comes → it does not fire."""
    store = MemoryStore()
    worked(store, WARNING, CRITICAL, replace(END, severity=Severity.CRITICAL))
    queues = Queues(MemoryQueue(), MemoryQueue(), MemoryQueue())
    for key in KEYS:
        at = START + timedelta(seconds=90)
        process([Message("w", wake_message(key), "")], rules=RULES, store=store, queues=queues, now=at)
    later = {"seconds": 4000}
    worked(store, said(Status.FIRING, 3990, "critical"), **later)
    worked(store, said(Status.RESOLVED, 3996, "critical"), **later)
    other = replace(event("Down", Status.FIRING, START + timedelta(seconds=3999), {}), identity="other")
    worked(store, replace(other, severity=Severity.WARNING), **later)
    worked(store, said(Status.FIRING, 3995, "warning"), **later)
    found = store.load(KEYS[0])
    assert [alert.state.value for alert in found.alerts.values()] == ["resolved", "firing"]


def test_a_fire_is_led_again_when_its_group_ended_before_its_save():
    """Given a fire led to a group that ends before its save, and a worse one begun elsewhere → the end reaches both."""
    store = MemoryStore()
    other = replace(said(Status.FIRING, 790, "warning"), identity="other")
    worked(store, WARNING)
    worked(store, other, replace(END, occurred_at=START + timedelta(seconds=800)), seconds=810)
    save = store.save
    again = replace(WARNING, id="again", occurred_at=START + timedelta(seconds=829))
    worse = replace(CRITICAL, id="worse", occurred_at=START + timedelta(seconds=828))

    def late(incident, **archive):
        """The worker of the fire is held up before its save: the group ends, and the worse fire is worked through."""
        store.save = save
        worked(store, replace(other, id="other end", status=Status.RESOLVED), seconds=890)
        assert store.load(KEYS[0]).status == "ended"
        worked(store, worse, seconds=891)
        save(incident, **archive)

    store.save = late
    worked(store, again, seconds=830)
    assert firing(store) == [KEYS[1]]
    end = replace(END, id="end again", severity=Severity.CRITICAL, occurred_at=START + timedelta(seconds=895))
    worked(store, end, seconds=896)
    assert firing(store) == []
