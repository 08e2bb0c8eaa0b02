"""A deploy may happen in the middle of an incident: what another version of this code stored or queued.

stored/first_release.json holds an incident that was told and acknowledged, its thread, the context and a message of each
kind, as the first version wrote them. It is never changed: what this code writes today is read by tests of its own.
"""

import json
from copy import deepcopy
from datetime import timedelta
from pathlib import Path

import pytest

from chalicelib.core.context import Context
from chalicelib.core.delivery.delivery_log import DeliveryLog
from chalicelib.core.delivery.target_state import TargetState
from chalicelib.core.errors import ParseError, TooNewError
from chalicelib.core.event import Status
from chalicelib.core.incident import Incident
from chalicelib.messages import codec
from chalicelib.messages.queue import Message, Queues, events_messages, read_message
from chalicelib.process.worker import process
from simulation.memory_store import MemoryStore
from tests.fakes import MemoryQueue
from tests.scenario import START, Router, event, rules_of

STORED = json.loads((Path(__file__).parent / "stored" / "first_release.json").read_text())
KINDS = {"incident": Incident, "thread": DeliveryLog, "context": Context}
RULES = rules_of("""
defaults: {group_by: [service], group_wait: 10s, group_interval: 1m, repeat_interval: 30m}
default: {notification: [{slack_channel: "#incidents"}, {webhook: ops}]}
""")


def stored(name):
    """What the first version stored under that name, as this code reads it."""
    return codec.loads(KINDS[name], json.dumps(STORED[name]))


@pytest.mark.parametrize("name", KINDS)
def test_what_the_first_version_stored_is_read(name):
    """Every type is read, and written and read again it is the same."""
    value = stored(name)
    assert codec.unpack(KINDS[name], codec.pack(value)) == value


def test_its_incident_says_what_it_said():
    """The alert, who acknowledged it, what each target knows, and the silence of the context are all there."""
    incident = stored("incident")
    (alert,) = incident.firing
    assert (alert.name, alert.ack.by, alert.text.annotations, alert.starts_at) == (
        "Down",
        "ana",
        {"summary": "é"},
        START,
    )
    assert {key: each.open for key, each in incident.announced.items()} == {
        "slack_channel:#incidents": True,
        "webhook:ops": True,
    }
    assert stored("thread").receipt["ts"]
    assert [each.by for each in stored("context").silences] == ["ben"]
    assert [each.commit for each in stored("context").deploys] == ["4f2c"]


def test_its_incident_goes_on_and_ends():
    """Its fault ends under today's code: whoever was told hears the end, once, and in the message that was told then."""
    store = MemoryStore()
    router = Router(RULES, store=store)
    incident, delivery_log = stored("incident"), stored("thread")
    for version in range(1, incident.version + 1):
        store.save(codec.decode(Incident, {**STORED["incident"], "version": version}))
    for version in range(1, delivery_log.version + 1):
        store.save_delivery_log(codec.decode(DeliveryLog, {**STORED["thread"], "version": version}))
    router.now = START + timedelta(minutes=4)
    router.events(event_of_first("end", Status.RESOLVED, router.now)).run(minutes=6)
    router.close()
    (ended,) = store.incidents(ended_since=START)
    assert (ended.id, ended.episode.ended_at) == (incident.id, START + timedelta(minutes=4))
    slack = [each for each in router.inbox.requests if each.service == "slack"]
    assert slack[0].operation == "chat.update"
    assert slack[0].fields["ts"] == delivery_log.receipt["ts"]


def event_of_first(id, status, at):
    """An event about the fault of the stored incident."""
    (first,) = read_message(json.dumps(STORED["messages"]["events"])).events
    return first.__class__(
        id=id,
        source=first.source,
        kind=first.kind,
        status=status,
        severity=first.severity,
        title=first.title,
        occurred_at=at,
        identity=first.identity,
        name=first.name,
        service=first.service,
        labels=first.labels,
    )


@pytest.mark.parametrize("kind", STORED["messages"])
def test_messages_of_the_first_version_are_read(kind):
    """Every kind of message that was on a queue during a deploy is understood."""
    content = read_message(json.dumps(STORED["messages"][kind]))
    assert type(content).__name__.lower() in (kind, "samples", "events", "webhook")


def test_a_notification_of_the_first_version_is_of_the_first_wave():
    """Given a notification and an incident without waves, then both are of the first one."""
    notification = read_message(json.dumps(STORED["messages"]["notification"]))
    assert notification.wave == 1
    assert {each.pager.wave for each in stored("incident").announced.values()} == {1}


@pytest.mark.parametrize("kind", STORED["messages"])
def test_a_message_of_a_version_to_come_is_refused_by_its_number(kind):
    """It is parked with the number and what is known, from where it is played back once the newer code runs again."""
    with pytest.raises(ParseError, match="unknown version 2; known are 1 to 1"):
        read_message(json.dumps({**STORED["messages"][kind], "v": 2}))


@pytest.mark.parametrize("kind", [Incident, DeliveryLog, Context, TargetState])
@pytest.mark.parametrize("version", [codec.VERSION + 1, 0, "1", None, True])
def test_what_a_version_to_come_stored_is_refused(kind, version):
    """The error names the type, the version and what is known; nothing is read half."""
    with pytest.raises(TooNewError, match=rf"{kind.__name__} has the version .*reads 1 to {codec.VERSION}"):
        codec.loads(kind, json.dumps({**deepcopy(STORED["incident"]), "v": version}))


class Newer(MemoryStore):
    """A store that holds an incident of a version to come."""

    def load(self, key):
        """Read it."""
        return codec.loads(Incident, json.dumps({**STORED["incident"], "v": codec.VERSION + 1}))


def test_nothing_is_lost_on_what_a_version_to_come_stored():
    """After a roll-back the messages of such an incident come back, and none is parked, until the newer code runs."""
    store, queues = Newer(), Queues(MemoryQueue(), MemoryQueue(), MemoryQueue())
    body = events_messages([event("Down", Status.FIRING, START, {"service": "api"})])[0]
    (failure,) = process([Message("m", body, "")], rules=RULES, store=store, queues=queues, now=START)
    assert not failure.dead_letter
    assert "has the version 2" in failure.reason
    assert store.writes == 0
    assert queues.notifications.bodies == []
