"""Silences and maintenance as messages: made, edited, ended early, doubled and out of order."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.core.context import Silence
from chalicelib.core.errors import ConflictError, KeyUsedError
from chalicelib.core.incident import Incident
from chalicelib.core.match import Matcher
from chalicelib.messages.queue import ExpireSilence, SetSilence, read_message, set_silence_message, unsilence_message
from chalicelib.process.silences import KEPT, applied, find
from simulation.engine import Replay
from simulation.memory_store import MemoryStore
from tests.rule_files import rules_of

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def silence(name="s1", *, at=NOW, until=HOUR, by="ana", label="service", value="api", comment=""):
    """A silence of one service, decided at `at`."""
    return Silence(name, (Matcher(label, "=", value),), at, NOW + until, by, comment, at=at)


def stored(*given, store=None):
    """The context after these were done."""
    store = store or MemoryStore()
    for each in given:
        applied(each, store=store, now=NOW)
    return store.context()


MADE = SetSilence(silence())
EDITED = SetSilence(silence(at=NOW + MINUTE, until=3 * HOUR, by="bo", comment="longer"))
ENDED = ExpireSilence("s1", "bo", NOW + 2 * MINUTE)


def test_a_silence_is_kept_as_it_was_made():
    """Who, until when and why are there for everyone."""
    assert stored(MADE).silences == (MADE.silence,)


def test_an_edit_keeps_the_author_and_says_who_changed_it():
    """The new end counts; the change is remembered with its person."""
    (found,) = stored(MADE, EDITED).silences
    assert (found.by, found.ends_at, found.comment) == ("ana", NOW + 3 * HOUR, "longer")
    assert [(change.by, change.at) for change in found.changes] == [("bo", NOW + MINUTE)]
    assert "15:00" in found.changes[0].text


def test_a_silence_ends_early_at_the_time_of_the_act():
    """The end is when the person said so, not when the message came."""
    (found,) = stored(MADE, ENDED).silences
    assert found.ends_at == NOW + 2 * MINUTE
    assert not found.active(NOW + 2 * MINUTE)
    assert found.changes[-1].by == "bo"


@pytest.mark.parametrize(
    "order",
    [
        (MADE, MADE, EDITED, EDITED, ENDED, ENDED),
        (MADE, EDITED, MADE, ENDED),
        (MADE, EDITED, ENDED, EDITED, MADE),
    ],
    ids=["doubled", "the first comes again", "all come again"],
)
def test_doubled_and_late_messages_change_nothing(order):
    """The later decision stays, whatever comes after it."""
    assert stored(*order).silences == stored(MADE, EDITED, ENDED).silences


def test_what_is_known_is_not_written_again():
    """A doubled message costs no write and answers as the first did."""
    store = MemoryStore()
    first = applied(MADE, store=store, now=NOW)
    writes = store.writes
    assert applied(MADE, store=store, now=NOW) == first
    assert store.writes == writes


def test_a_request_that_comes_twice_is_the_first_one():
    """Given a press that Slack sends again two seconds later → one silence with one end, and one line for timelines."""
    store = MemoryStore()
    first = SetSilence(silence(), only_new=True)
    again = SetSilence(silence(at=NOW + timedelta(seconds=2), until=HOUR + timedelta(seconds=2)), only_new=True)
    line = applied(first, store=store, now=NOW)
    assert applied(again, store=store, now=NOW) == line
    assert store.context().silences == (first.silence,)
    applied(EDITED, store=store, now=NOW)
    edited = store.context().silences
    assert applied(again, store=store, now=NOW).matchers == ()
    assert applied(first, store=store, now=NOW) == line
    assert store.context().silences == edited


def test_an_edit_whose_request_comes_twice_is_the_first_one():
    """Given an edit of a key that is sent again a minute later → the first end and one change, also after a third act."""
    store = MemoryStore()
    key = {"act": "key:body"}
    edit, again = (
        SetSilence(replace(silence(at=NOW + n * MINUTE, until=HOUR + n * MINUTE, by="bo"), **key)) for n in (1, 2)
    )
    applied(MADE, store=store, now=NOW)
    line = applied(edit, store=store, now=NOW)
    assert applied(again, store=store, now=NOW) == line
    (found,) = store.context().silences
    assert (found.ends_at, len(found.changes), found.act) == (edit.silence.ends_at, 1, "")
    applied(SetSilence(silence(at=NOW + 3 * MINUTE, until=5 * HOUR)), store=store, now=NOW)
    assert applied(again, store=store, now=NOW).matchers == ()
    assert store.context().silences[0].ends_at == NOW + 5 * HOUR


def test_an_id_that_another_request_made_is_not_made_again():
    """Given two requests with one key and other bodies → the second one is refused."""
    store = MemoryStore()
    applied(SetSilence(replace(silence(), act="key:one"), only_new=True), store=store, now=NOW)
    with pytest.raises(KeyUsedError):
        applied(SetSilence(replace(silence(value="web"), act="key:two"), only_new=True), store=store, now=NOW)
    assert [each.value for each in store.context().silences[0].matchers] == ["api"]


def test_ends_of_two_peoples_silences_are_two_lines():
    """Given two silences that one person ends at once → a line for each, with its id and its author."""
    store = MemoryStore()
    for name, by in (("s1", "ana"), ("s2", "ben")):
        applied(SetSilence(silence(name, by=by)), store=store, now=NOW)
    texts = [applied(ExpireSilence(name, "cy", NOW + MINUTE), store=store, now=NOW).text for name in ("s1", "s2")]
    assert texts == ["silence s1 of ana ended before its time", "silence s2 of ben ended before its time"]


def test_what_an_edit_leaves_is_looked_at_too():
    """The incidents of the old matchers must hear again: both old and new are answered, also the second time."""
    store = MemoryStore()
    applied(MADE, store=store, now=NOW)
    moved = SetSilence(silence(at=NOW + MINUTE, value="web"))
    for _ in range(2):
        values = {each.value for matchers in applied(moved, store=store, now=NOW).matchers for each in matchers}
        assert values == {"api", "web"}


@pytest.mark.parametrize("given", [ExpireSilence("nobody", "bo", NOW), ExpireSilence("s1", "bo", NOW + 2 * HOUR)])
def test_what_does_not_exist_or_is_over_cannot_be_ended(given):
    """Nothing changes and nobody is recorded."""
    assert stored(MADE, given) == stored(MADE)


def test_maintenance_can_become_a_silence_and_back():
    """One id is one thing, of one kind."""
    context = stored(SetSilence(silence(), maintenance=True), EDITED)
    assert [each.id for each in context.silences] == ["s1"]
    assert context.maintenance == ()


def test_those_long_over_are_forgotten():
    """Seven days after its end a silence goes when another is made."""
    old = SetSilence(silence("old", at=NOW - KEPT - HOUR, until=-KEPT - MINUTE))
    assert [each.id for each in stored(old, MADE).silences] == ["s1"]


class Rival(MemoryStore):
    """A store in which somebody else always saves the context first."""

    def save_context(self, context):
        """Refuse."""
        raise ConflictError("others were first")


def test_a_context_that_others_always_save_first_brings_the_message_back():
    """The worker gives up after a few tries; the queue tries again."""
    with pytest.raises(ConflictError):
        applied(MADE, store=Rival(), now=NOW)


@pytest.mark.parametrize(
    "given",
    [
        MADE,
        SetSilence(silence(), maintenance=True),
        SetSilence(silence(), only_new=True),
        SetSilence(silence(), renews=True),
        ENDED,
    ],
)
def test_messages_come_back_as_they_were(given):
    """What is read is what was put."""
    body = (
        set_silence_message(given) if isinstance(given, SetSilence) else unsilence_message(given.id, given.by, given.at)
    )
    assert read_message(body) == given


RULES = """
alerts:
  - name: Boom
    match: {source: event}
    group_by: [service]
    group_wait: 0s
    group_interval: 1m
    notification: [{slack_channel: "#a"}]
"""


def timeline(*lines):
    """The incidents after the lines, and what was told: (at, reason)."""
    replay = Replay(rules_of(RULES), list(enumerate(lines, 1)))
    told = [(line["at"], line["reason"]) for line in replay.run() if line["type"] == "notification"]
    since = datetime.fromtimestamp(0, UTC) - HOUR
    return list(replay.simulator.store.incidents(ended_since=since)), told


FIRE = {"at": 0, "event": {"name": "x", "labels": {"service": "api"}}}
HUSH = {"at": 60, "silence": {"id": "s1", "matchers": {"service": "api"}, "until": 7200, "by": "ana", "comment": "c"}}


def acts(incident: Incident):
    """What people did, as (seconds, who, kind)."""
    return [(entry.at.timestamp(), entry.by, entry.kind) for entry in incident.timeline.entries if entry.by]


def test_the_incidents_that_a_silence_is_about_remember_it():
    """Made, edited and ended: the timeline says who and when; an incident of another service says nothing."""
    other = {"at": 0, "event": {"name": "x", "labels": {"service": "web"}}}
    edit = {"at": 120, "silence": {**HUSH["silence"], "until": 9000, "by": "bo"}}
    end = {"at": 180, "unsilence": {"id": "s1", "by": "cy"}}
    found, _ = timeline(FIRE, other, HUSH, edit, end, {"at": 240, "end": True})
    by_service = {each.group["service"]: acts(each) for each in found}
    assert by_service["api"] == [(60, "ana", "silence"), (120, "bo", "silence"), (180, "cy", "silence")]
    assert by_service["web"] == []


def test_a_silence_narrowed_to_another_service_frees_the_first_at_once():
    """News that was held back is told when the edit no longer covers it."""
    news = {"at": 90, "event": {"name": "y", "labels": {"service": "api"}}}
    edit = {"at": 600, "silence": {**HUSH["silence"], "matchers": {"service": "web"}}}
    _, told = timeline(FIRE, HUSH, news, edit, {"at": 700, "end": True})
    assert told == [(0, "opened"), (600, "updated")]


def test_a_silence_made_while_the_router_is_down_waits_for_it():
    """What people do is queued like everything else."""
    found, _ = timeline(FIRE, {"at": 10, "down": {"until": 100}}, HUSH, {"at": 200, "end": True})
    assert acts(found[0]) == [(60, "ana", "silence")]


def test_an_unknown_id_is_found_nowhere():
    """Asking for a silence that is not there gives nothing."""
    assert find(stored(MADE), "s2") is None
