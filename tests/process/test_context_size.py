"""The one item of the context under load: shares, what gives way, what is refused, and who gets to know."""

import random
import string
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.aws.dynamodb import MAX_ITEM_BYTES, DynamoStore
from chalicelib.core.alert import Alert, AlertState
from chalicelib.core.context import Cause, Context, Silence, SilenceChange
from chalicelib.core.delivery.notification import Deploy
from chalicelib.core.errors import FullError
from chalicelib.core.event import Event, Severity, Status
from chalicelib.core.incident import Incident
from chalicelib.core.match import Matcher
from chalicelib.core.silence_limits import (
    MAX_CHANGE_CHARACTERS,
    MAX_CHANGES,
    MAX_COMMENT_CHARACTERS,
    MAX_MATCHERS_BYTES,
    with_change,
)
from chalicelib.messages import codec
from chalicelib.messages.queue import ExpireSilence, Message, Queues, SetSilence, silence_message
from chalicelib.process.context_size import (
    MAX_CAUSE_BYTES,
    MAX_DEPLOY_BYTES,
    MAX_SILENCE_BYTES,
    MAX_SILENCES,
    with_causes,
    with_room,
)
from chalicelib.process.deploys import deploy_of, with_deploys
from chalicelib.process.inhibition import with_new
from chalicelib.process.silences import applied, check_room, find
from chalicelib.process.worker import process
from simulation.memory_store import MemoryStore
from tests.fakes import MemoryQueue
from tests.scenario import rules_of

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
NOISE = random.Random(11)
RULES = rules_of("""
default: {notification: [{slack_channel: "#alerts"}]}
fallback: {notification: [{email: ops@example.com}]}
inhibit: [{cause: {severity: critical}, symptom: {severity: warning}}]
""")
FULL_OF = range(400)
"""More than the number of largest silences that fit."""


def noise(length):
    """Text that hardly compresses."""
    return "".join(NOISE.choices(string.ascii_letters + string.digits + "-_.:/", k=length))


def largest(name, *, at=NOW, until=5 * HOUR):
    """A silence of the largest allowed size, decided at `at`."""
    value = noise(MAX_MATCHERS_BYTES // 2 - 10)
    matchers = (Matcher("service", "=", value), Matcher("zone", "=", value[::-1]))
    return Silence(name, matchers, at, NOW + until, noise(100), noise(MAX_COMMENT_CHARACTERS), at)


def edited(name):
    """A largest silence with as many changes as it keeps, the newest with other matchers before."""
    found = largest(name)
    for number in range(MAX_CHANGES):
        change = SilenceChange(NOW + number * HOUR, noise(100), noise(MAX_CHANGE_CHARACTERS), largest("other").matchers)
        found = replace(found, changes=with_change(found, change))
    return found


def filled(made):
    """A store with as many of such silences as fit, and how many those are."""
    store = MemoryStore()
    for number in FULL_OF:
        try:
            applied(SetSilence(made(f"s{number}")), store=store, now=NOW)
        except FullError:
            return store, number
    raise AssertionError("the context is never full")


@pytest.fixture(scope="module")
def full():
    """The context that is full of largest silences."""
    store, count = filled(largest)
    assert count > 48, "three times as many as filled it before"
    return store.context()


def stored(context):
    """A store that holds the context."""
    store = MemoryStore()
    store.save_context(replace(context, version=1))
    return store


def size(context):
    """The bytes that the context takes as it is stored."""
    return len(codec.pack(context))


class Table:
    """A table that takes what is put."""

    def put_item(self, **call):
        """Take it."""


def test_the_shares_leave_room_for_the_marks():
    """Silences, causes and deploys together leave 20,000 bytes of the item."""
    assert MAX_SILENCE_BYTES + MAX_CAUSE_BYTES + MAX_DEPLOY_BYTES + 20_000 <= MAX_ITEM_BYTES


def test_a_silence_without_room_is_refused_and_changes_nothing(full):
    """The error says how many others there are and what is allowed; the context is as it was."""
    store = stored(full)
    before = store.context()
    with pytest.raises(
        FullError, match=rf"beside {len(full.silences)} others of .* allowed are 500 silences and 230,000"
    ):
        applied(SetSilence(largest("more")), store=store, now=NOW)
    with pytest.raises(FullError):
        check_room(before, SetSilence(largest("more"), maintenance=True), NOW)
    assert store.context() == before


def test_of_silences_that_are_edited_often_more_than_before_fit():
    """The record of changes gives way before anything is refused: sixteen of the largest filled the item once."""
    store, count = filled(edited)
    assert count > 32
    assert all(each.changes for each in store.context().silences)
    assert size(store.context()) <= MAX_ITEM_BYTES


def test_a_full_context_still_takes_causes_and_deploys_and_marks(full):
    """A thousand causes, fifty deploys with the longest texts and some marks fit beside the largest silences."""
    context = replace(full, marks={f"beat:{noise(20)}": NOW.isoformat() for _ in range(100)})
    incident = Incident("key", id="i", alerts={f"a{n}": alert(f"a{n}", zone=noise(60)) for n in range(1_000)})
    context = with_new(context, incident, RULES, NOW)
    assert len(context.causes) == 1_000
    for number in range(50):
        context = with_deploys(stored(context), replace(context, version=1), deploy(number), NOW)
    assert deploy(49) in context.deploys
    DynamoStore(Table(), "t").save_context(context)


def alert(name, **labels):
    """A critical alert that fires."""
    return Alert(
        fingerprint=name,
        name="Down",
        labels={"alertname": "Down", "severity": "critical", **labels},
        state=AlertState.FIRING,
        severity=Severity.CRITICAL,
        starts_at=NOW,
    )


def deploy(number):
    """A deploy whose texts are as long as a sender likes."""
    rng = random.Random(number)
    text, author, project, project_id, service = ("".join(rng.choices(string.ascii_letters, k=3_000)) for _ in range(5))
    found = deploy_of(
        Event(
            id=f"d{number}",
            source="vercel",
            kind="deployment.succeeded",
            status=Status.INFO,
            severity=Severity.INFO,
            title=text,
            occurred_at=NOW + number * timedelta(seconds=1),
            identity=f"{number}-{text}",
            service=service,
            url=f"https://example.com/{text[:900]}",
            labels={"author": author, "project": project, "project_id": project_id},
        )
    )
    assert isinstance(found, Deploy)
    return found


def test_of_deploys_over_their_share_the_newest_stay():
    """Deploys take their share at most, whatever their texts are."""
    context = Context()
    for number in range(40):
        context = with_deploys(stored(context), replace(context, version=1), deploy(number), NOW)
    kept = [each.at for each in context.deploys]
    assert 5 < len(kept) < 40
    assert kept == [deploy(number).at for number in range(40 - len(kept), 40)]
    assert len(codec.pack(context.deploys)) <= MAX_DEPLOY_BYTES


def test_causes_over_their_share_are_not_added_and_those_that_are_known_stay():
    """A cause that does not fit mutes nothing; the causes before it stay causes."""
    causes = [Cause(f"k/{n}", {"alertname": "Down", "pod": noise(2_000)}, NOW) for n in range(120)]
    found = with_causes(causes[:20], causes[20:])
    assert 20 < len(found) < 120
    assert list(found) == causes[: len(found)]
    assert len(codec.pack(found)) <= MAX_CAUSE_BYTES < len(codec.pack(tuple(causes[: len(found) + 1])))


def test_a_silence_can_be_extended_where_no_other_fits(full):
    """An edit that leaves the matchers as they are takes next to no room: it is stored."""
    (one, *_) = full.silences
    store = stored(replace(full, silences=(*full.silences[:-1], replace(full.silences[-1], comment=""))))
    longer = replace(one, ends_at=one.ends_at + HOUR, at=NOW + HOUR)
    applied(SetSilence(longer), store=store, now=NOW + HOUR)
    assert find(store.context(), one.id).ends_at == longer.ends_at
    with pytest.raises(FullError):
        applied(SetSilence(largest("more", at=NOW + HOUR)), store=store, now=NOW + HOUR)


@pytest.mark.parametrize("maintenance", [False, True])
def test_a_silence_can_always_be_ended_and_makes_room_by_that(full, maintenance):
    """The end is stored though the context is full, and the next silence takes the place of the ended one."""
    if maintenance:
        full = replace(full, silences=full.silences[1:], maintenance=full.silences[:1])
    store = stored(full)
    ended = applied(ExpireSilence("s0", "bo", NOW + HOUR), store=store, now=NOW + HOUR)
    over = find(store.context(), "s0")
    assert (over.ends_at, ended.matchers) == (NOW + HOUR, (over.matchers,))
    applied(SetSilence(largest("more", at=NOW + HOUR)), store=store, now=NOW + HOUR)
    assert find(store.context(), "s0") is None
    assert find(store.context(), "more") is not None


def test_ended_silences_go_first_the_longest_ended_first_and_no_more_than_needed(full):
    """Every active silence stays as it is; of the ended ones the last stay."""
    ended = [largest(f"old{n}", until=-HOUR - n * timedelta(minutes=1)) for n in range(6)]
    several = replace(full, silences=(*ended, *full.silences[:-4]))
    found = with_room(several, "s0", NOW)
    names = {each.id for each in found.silences}
    assert {each.id for each in full.silences[:-4]} <= names
    left = [f"old{n}" for n in range(6) if f"old{n}" in names]
    assert 1 < len(left) < 6
    assert left == [f"old{n}" for n in range(len(left))]


def test_an_active_silence_is_never_dropped_for_another():
    """At the limit of their number the next one is refused; an ended one gives its place."""
    one = Silence("n", (Matcher("service", "=", "api"),), NOW, NOW + HOUR, "ana", at=NOW)
    many = tuple(replace(one, id=f"n{number}", ends_at=NOW + (number + 1) * HOUR) for number in range(MAX_SILENCES - 1))
    store = stored(Context(silences=many[::2], maintenance=many[1::2]))
    applied(SetSilence(replace(one, id="last", ends_at=NOW + 900 * HOUR)), store=store, now=NOW)
    one_more = SetSilence(largest("more"))
    with pytest.raises(FullError):
        applied(one_more, store=store, now=NOW)
    applied(one_more, store=store, now=NOW + 2 * HOUR)
    context = store.context()
    names = {each.id for each in (*context.silences, *context.maintenance)}
    assert "n0" not in names and {"n1", "n2", "more"} < names


def test_a_refused_silence_is_announced_by_its_id_with_the_reason_and_once(full):
    """The worker is done with the message; the router announces who asked for which silence, and why it is not there."""
    store = stored(full)
    queues = Queues(MemoryQueue(), MemoryQueue(), MemoryQueue())
    asked = replace(largest("wanted"), by="ana")
    for number in range(2):
        messages = [Message(f"m{number}", silence_message(asked), "r")]
        assert process(messages, rules=RULES, store=store, queues=queues, now=NOW + number * HOUR) == []
    (incident,) = store.incidents()
    (announced,) = incident.alerts.values()
    assert (announced.text.title, announced.received.events) == ("The silence wanted was refused", 1)
    assert "ana asked for it" in announced.text.summary
    assert "allowed are 500 silences and 230,000 bytes" in announced.text.summary
    assert find(store.context(), "wanted") is None
