"""Two people at once: each act has an effect, or who did it is answered what came of it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.core.errors import ConflictError
from chalicelib.core.event import Action, ActionKind, Status
from chalicelib.messages.interaction import Interaction
from chalicelib.messages.queue import Message, Queues, action_message, events_messages, read_message, wake_message
from chalicelib.process.worker import process
from simulation.memory_store import MemoryStore
from tests.fakes import MemoryQueue
from tests.rule_files import rules_of
from tests.scenario import event

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
RULES = rules_of("""
defaults: {group_by: [service], group_wait: 0s, group_interval: 1m, repeat_interval: 4h}
default: {notification: [{slack_channel: "#a"}]}
""")
KEY = "default|service=api"
DOWN = event("Down", Status.FIRING, START, {"service": "api"}, id="e1")
UP = event("Down", Status.RESOLVED, START + timedelta(seconds=20), {"service": "api"}, id="e2")
AGAIN = event("Down", Status.FIRING, START + timedelta(seconds=120), {"service": "api"}, id="e3")


class Conflicting(MemoryStore):
    """A store in which others act between a worker's load and its save."""

    def __init__(self):
        super().__init__()
        self.then = None

    def save(self, incident, *, archive=None):
        """Let the others go first, once."""
        if self.then is not None:
            then, self.then = self.then, None
            then()
            raise ConflictError("others saved first")
        super().save(incident, archive=archive)


def act(kind, who, seconds, id="", note=""):
    """An act that a door of Slack accepted."""
    return Action(
        ActionKind(kind), who, START + timedelta(seconds=seconds), incident=id, via="slack", id=f"{kind}-{who}", note=note,
        account=f"slack:T1/{who}", answered="done", reply_to=f"https://hooks.slack.com/{who}",
    )  # fmt: skip


def worked(store, *given, seconds=30):
    """Work through messages in one batch. Return what people are answered."""
    bodies = [body for each in given for body in _bodies(each)]
    queues = Queues(MemoryQueue(), MemoryQueue(), MemoryQueue())
    messages = [Message(f"m{number}", body, "") for number, body in enumerate(bodies)]
    assert process(messages, rules=RULES, store=store, queues=queues, now=START + timedelta(seconds=seconds)) == []
    read = [read_message(body) for body in queues.notifications.bodies]
    return {each.user: each.words for each in read if isinstance(each, Interaction)}


def _bodies(given):
    if isinstance(given, Action):
        return [action_message(given)]
    return [wake_message(given)] if isinstance(given, str) else events_messages([given])


@pytest.fixture
def store():
    """One incident that fires."""
    store = Conflicting()
    worked(store, DOWN, seconds=0)
    worked(store, KEY, seconds=1)
    return store


@pytest.mark.parametrize("order", [("ana", "ben"), ("ben", "ana")])
@pytest.mark.parametrize("batches", [1, 2])
def test_who_is_second_is_answered_who_has_it(store, order, batches):
    """Given two acknowledgements that were both accepted, when they are folded → the second person is answered."""
    id = store.load(KEY).id
    acts = [act("ack", who, 5 if who == "ana" else 6, id) for who in order]
    together = [acts] if batches == 1 else [[each] for each in acts]
    answers = {who: words for some in together for who, words in worked(store, *some).items()}
    assert list(answers) == [order[1]]
    assert answers[order[1]].startswith(f"{order[0]} has acknowledged")
    assert [alert.ack.by for alert in store.load(KEY).firing] == [order[0]]
    lines = [(each.kind, each.by, each.result) for each in store.load(KEY).timeline.entries if each.by]
    assert sorted(lines) == sorted([("ack", order[0], ""), ("no_effect", order[1], "already")])


def test_a_conflict_in_the_middle_of_a_save_is_answered(store):
    """Given ben's acknowledgement that is saved between ana's load and save → ana is answered that ben has it."""
    id = store.load(KEY).id
    store.then = lambda: worked(store, act("ack", "ben", 6, id))
    assert worked(store, act("ack", "ana", 5, id))["ana"].startswith("ben has acknowledged")
    assert [alert.ack.by for alert in store.load(KEY).firing] == ["ben"]


def test_an_act_that_comes_twice_is_one(store):
    """Given an act whose message is delivered twice → one line, and no answer that it was somebody else's."""
    mine = act("ack", "ana", 5, store.load(KEY).id)
    assert worked(store, mine) | worked(store, mine) == {}
    assert [each.kind for each in store.load(KEY).timeline.entries if each.by] == ["ack"]


def test_a_fire_and_an_act_of_one_batch_are_both_kept():
    """Given a fire and its acknowledgement in one batch, when they come again → one line."""
    store = Conflicting()
    worked(store, DOWN, seconds=0)
    id, fresh = store.load(KEY).id, Conflicting()
    mine = act("ack", "ana", 5, id)
    assert worked(fresh, DOWN, replace(mine, incident=None, matchers={"service": "api"})) == {}
    assert [each.kind for each in fresh.load(KEY).timeline.entries if each.by] == ["ack"]


@pytest.mark.parametrize("again", [False, True])
def test_an_act_that_comes_after_the_end_is_answered(store, again):
    """Given an acknowledgement that is folded after the end, or after the next beginning → the person is answered."""
    id = store.load(KEY).id
    worked(store, UP, seconds=25)
    worked(store, KEY, seconds=90)
    assert store.load(KEY).status == "ended"
    if again:
        worked(store, AGAIN, seconds=121)
    answer = worked(store, act("ack", "ana", 15, id), seconds=130)["ana"]
    assert f"{id} is resolved since" in answer
    assert (f"fires again as {store.load(KEY).id}" in answer) == again


@pytest.mark.parametrize("again", [False, True])
def test_a_note_after_the_end_is_kept(store, again):
    """Given a note of after the end, also when the group has opened anew → it is in the timeline of its incident, once."""
    id = store.load(KEY).id
    worked(store, UP, seconds=25)
    worked(store, KEY, seconds=90)
    if again:
        worked(store, AGAIN, seconds=121)
    note = act("note", "ana", 15, id, note="the disk was full")
    assert worked(store, note, note, seconds=130) | worked(store, note, seconds=140) == {}
    kept = store.archived(id) if again else store.load(KEY)
    assert [each.text for each in kept.timeline.entries if each.by] == ["the disk was full"]
    assert kept.status == "ended"


def test_an_assignment_to_nobody_writes_no_line(store):
    """Given a reassignment of an earlier version that names nobody → no line says that who did it has the incident."""
    worked(store, act("reassign", "ben", 15, store.load(KEY).id))
    assert [each for each in store.load(KEY).timeline.entries if each.by] == []


def test_what_people_did_before_anybody_was_notified_is_kept():
    """Given an incident that is resolved by hand during its group wait, when its group opens anew → its lines are kept."""
    store = Conflicting()
    worked(store, DOWN, seconds=0)
    id = store.load(KEY).id
    assert worked(store, act("resolve", "ana", 5, id), act("note", "ben", 6, id, note="a test"), seconds=10) == {}
    assert (store.load(KEY).status, store.load(KEY).episode.opened_at) == ("ended", None)
    worked(store, AGAIN, seconds=121)
    assert [each.by for each in store.archived(id).timeline.entries if each.by] == ["ana", "ben"]


def test_a_note_is_kept_that_comes_with_the_next_beginning(store):
    """Given a note on an ended incident in one batch with the next fire of its group → it is in the ended incident."""
    id = store.load(KEY).id
    worked(store, UP, seconds=25)
    worked(store, KEY, seconds=90)
    assert worked(store, AGAIN, act("note", "ana", 15, id, note="the disk was full"), seconds=125) == {}
    assert store.load(KEY).id != id
    assert [each.text for each in store.archived(id).timeline.entries if each.by] == ["the disk was full"]


def test_an_act_on_an_incident_that_is_not_kept_is_answered():
    """Given an accepted act on an incident that nobody was notified of and that is gone → the person is answered."""
    answers = worked(Conflicting(), act("ack", "ana", 5, "0123456789abcdef"))
    assert answers["ana"].startswith("no incident of the last 90 days")
