"""Incidents in short: pages of summaries, and those that are read whole, on the store in memory and on that in DynamoDB."""

import json
import zlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.api import views
from chalicelib.api.acting import accepted
from chalicelib.aws.dynamodb import DynamoStore
from chalicelib.aws.listing import FORM, packed, unpacked
from chalicelib.core.alert import Alert, AlertState, Sender
from chalicelib.core.errors import NotStoredError
from chalicelib.core.event import Action, ActionKind, Severity
from chalicelib.core.incident import Episode, Incident
from chalicelib.core.listing import listed, pages, whole, with_alerts
from chalicelib.core.match import Matcher
from chalicelib.core.summary import MAX_ALERTS, summary_of
from chalicelib.messages import codec
from chalicelib.messages.queue import Message, Queues
from chalicelib.process.worker import process
from chalicelib.schedule.tick import tick
from deploy.table import INDEXES, table
from simulation.memory_store import MemoryStore
from tests.aws.tables import client, new_table, refused, table_client
from tests.fakes import MemoryQueue
from tests.project import ROOT
from tests.scenario import rules_of

NOW = datetime.now(UTC).replace(microsecond=123_456)
MINUTE = timedelta(minutes=1)
BEFORE = {"wake": INDEXES["wake"]}
"""The index of a table that the version before made."""
RULES = rules_of("default: {notification: [{webhook: ops}]}")
STORED = json.loads((ROOT / "tests" / "stored" / "fourth_release.json").read_text())


@pytest.fixture(params=["memory", "dynamodb", "dynamodb of the version before"])
def store(request):
    """An empty store of each kind; the last has no index of summaries."""
    if request.param == "memory":
        return MemoryStore()
    dynamodb = client("dynamodb", request.getfixturevalue("emulator"))
    indexes = BEFORE if "before" in request.param else INDEXES
    return DynamoStore(table_client(dynamodb.meta.endpoint_url), new_table(dynamodb, indexes))


def alert(number=0, **fields):
    """A firing alert."""
    return Alert(
        fingerprint=f"a{number}",
        name="Down",
        severity=Severity.CRITICAL,
        labels={"service": f"s{number}"},
        sender=Sender("sentry", "issue.created", "Down at Sentry"),
        **{"state": AlertState.FIRING, "starts_at": NOW - 5 * MINUTE, **fields},
    )


def incident(key="k", version=1, *, ended_at=None, alerts=(), **fields):
    """An incident that began five minutes ago, open unless it has an end."""
    episode = Episode(NOW - 5 * MINUTE, ended_at=ended_at)
    own = {each.fingerprint: each for each in alerts}
    return Incident(**{"key": key, "id": f"id-{key}", "version": version, "episode": episode, "alerts": own, **fields})


def in_short(store, **asked):
    """The summaries that a store lists, by what names them."""
    return {each.name: each for each in listed(store, **asked)}


def test_what_is_open_is_listed_in_pages_each_once(store):
    """Given more open incidents than fit a page → the pages hold each of them once, whatever key follows another."""
    saved = [incident(f"k/{number}#ö", wake_at=NOW + MINUTE * (number % 3)) for number in range(23)]
    for each in saved:
        store.save(each)
    found, after = [], ""
    while True:
        page = store.summaries(after, limit=4)
        assert len(page.summaries) <= 4
        found += page.summaries
        after = page.next
        if not after:
            break
    assert sorted(each.id for each in found) == sorted(each.id for each in saved)


@pytest.mark.parametrize("store", ["memory", "dynamodb"], indirect=True)
def test_a_page_begins_where_the_one_before_ended_though_timers_moved(store):
    """Given a page that was read, when timers of all incidents move → the other pages hold the others, each once."""
    saved = [incident(f"k{number}", wake_at=NOW + MINUTE) for number in range(12)]
    for each in saved:
        store.save(each)
    first = store.summaries(limit=2)
    for number, each in enumerate(saved):
        store.save(replace(each, version=2, wake_at=NOW + MINUTE + number * timedelta(seconds=1)))
    rest = [each for page in _from(store, first.next) for each in page.summaries]
    assert sorted(each.name for each in (*first.summaries, *rest)) == sorted(each.id for each in saved)


def _from(store, after):
    while after:
        page = store.summaries(after, limit=2)
        yield page
        after = page.next


def test_a_summary_says_what_lists_and_matchers_ask(store):
    """Given an incident with a firing, a pending and a forgotten alert → its summary has the first two, as they match."""
    pending = alert(1, state=AlertState.PENDING, starts_at=None)
    old = alert(2, state=AlertState.RESOLVED, ends_at=NOW - timedelta(days=1), starts_at=NOW - timedelta(days=2))
    saved = incident(alerts=[alert(), pending, old])
    store.save(saved)
    (found,) = listed(store)
    assert found == summary_of(saved)
    assert (found.severity, found.at, found.cut) == (Severity.CRITICAL, NOW - 5 * MINUTE, False)
    assert [(each.fingerprint, each.fires, each.active, each.shown) for each in found.alerts] == [
        ("a0", True, True, True),
        ("a1", False, True, False),
    ]
    for text, matches in (("Down", True), ("Down at Sentry", True), ("Up", False)):
        asked = (Matcher("alertname", "=", text), Matcher("service", "=", "s0"))
        assert found.alerts[0].matched_by(asked) is alert().matched_by(asked) is matches


def test_listed_are_those_that_the_whole_read_lists(store):
    """Given open, waiting, lately and long ended incidents → summaries list those that reading everything does."""
    store.save(incident("open", wake_at=NOW + MINUTE))
    store.save(incident("sleeping"))
    store.save(incident("quiet", id="", episode=Episode(), wake_at=NOW))
    store.save(incident("late", ended_at=NOW - MINUTE))
    store.save(incident("week", ended_at=NOW - timedelta(days=7)))
    first = incident("again", id="first", ended_at=NOW - 2 * MINUTE)
    store.save(first)
    store.save(incident("again", version=2, id="second", episode=Episode(NOW - MINUTE)), archive=first)
    for asked in (
        {},
        {"quiet": True},
        {"ended_since": NOW - timedelta(hours=1)},
        {"ended_since": NOW - timedelta(days=8), "quiet": True},
    ):
        everyone = {each.id or each.key: each for each in store.incidents(**asked)}
        found = in_short(store, **asked)
        assert found.keys() == everyone.keys()
        assert whole(store, found.values()) == everyone


def test_what_was_replaced_since_is_read_from_the_archive(store):
    """Given a summary of an incident that ended and began anew since → the one that was listed is read."""
    first = incident("k", id="first", ended_at=NOW - MINUTE)
    store.save(first)
    found = in_short(store, ended_since=NOW - timedelta(hours=1))
    store.save(incident("k", version=2, id="second"), archive=first)
    assert whole(store, found.values()) == {"first": first}


def test_an_incident_with_many_alerts_is_read_for_them(store):
    """Given more alerts than a summary holds, or labels that are too long → they are read from the incident."""
    many = incident("many", alerts=[alert(number) for number in range(MAX_ALERTS + 1)])
    store.save(many)
    store.save(incident("few", alerts=[alert()]))
    found = in_short(store)
    assert (found["id-many"].cut, found["id-few"].cut) == (True, False)
    read = {each.name: len(alerts) for each, alerts in with_alerts(store, list(found.values()))}
    assert read == {"id-many": MAX_ALERTS + 1, "id-few": 1}


def dynamo(emulator, indexes=INDEXES):
    """A store in DynamoDB, its table, and the client of the table."""
    dynamodb = client("dynamodb", emulator)
    name = new_table(dynamodb, indexes)
    return DynamoStore(table_client(dynamodb.meta.endpoint_url), name), name, dynamodb


def test_labels_that_are_too_long_for_the_index_are_cut(emulator):
    """Given labels that an entry of the index has no room for → the summary says so, and nothing of them is in the index."""
    store, name, dynamodb = dynamo(emulator)
    labels = {f"label_{number}": f"{number * 7919:x}" * 8 for number in range(90)}
    store.save(incident(alerts=[replace(alert(), labels=labels)]))
    (found,) = listed(store)
    assert (found.cut, found.alerts) == (True, ())
    (item,) = dynamodb.scan(TableName=name, IndexName="open")["Items"]
    assert item.keys() == {"pk", "sk", "wake_shard", "summary"}
    assert len(item["summary"]["B"]) < 300


def test_incidents_of_the_version_before_need_no_migration(emulator):
    """Given items of the version before, when the index is added → they are listed before and after, as new ones are."""
    store, name, dynamodb = dynamo(emulator, BEFORE)
    old = [replace(codec.decode(Incident, data), version=1) for data in STORED["incidents"]]
    for each in old:
        item = {"pk": {"S": f"incident#{each.key}"}, "sk": {"S": "incident"}, **store._incident_item(each)}
        del item["summary"]
        dynamodb.put_item(TableName=name, Item=item)
    before = {each.id or each.key: each for each in store.incidents(quiet=True)}
    assert before
    assert whole(store, in_short(store, quiet=True).values()) == before
    assert table(dynamodb, name, "local") == [f"added index {each} to table {name}" for each in ("open", "worst")]
    found = in_short(store, quiet=True)
    assert found == {each.id or each.key: summary_of(each) for each in before.values()}
    store.save(incident("new", alerts=[alert()]))
    assert in_short(store, quiet=True).keys() == {*before, "id-new"}


def test_a_page_of_an_index_that_is_not_ready_goes_on_once_it_is(emulator):
    """Given pages that were read by the timers, when the index is there → the next page goes on where that one ended."""
    store, name, dynamodb = dynamo(emulator, BEFORE)
    for number in range(9):
        store.save(incident(f"k{number}", wake_at=NOW + number * MINUTE))
    first = store.summaries(limit=1)
    table(dynamodb, name, "local")
    rest = [each.name for page in _from(store, first.next) for each in page.summaries]
    assert sorted([*(each.name for each in first.summaries), *rest]) == [f"id-k{number}" for number in range(9)]


def test_a_table_that_refuses_every_index_is_an_error():
    """Given a table that knows neither index → the error says what could not be listed."""

    class Refusing:
        def query(self, **call):
            raise refused("ValidationException")

    with pytest.raises(NotStoredError, match="the list of incidents: the table refused"):
        next(iter(pages(DynamoStore(Refusing(), "t"))))


def test_a_summary_is_read_as_it_was_stored():
    """A summary that is packed and unpacked is the same; one of a later form is not guessed."""
    for each in (
        incident(alerts=[alert()]),
        incident("quiet", id="", episode=Episode(), wake_at=NOW),
        incident("\ud800"),
    ):
        assert unpacked(packed(summary_of(each))) == summary_of(each)
    later = json.dumps([FORM + 1, "something else"]).encode()
    assert unpacked(zlib.compress(later)) is None


def test_a_summary_of_a_later_version_has_its_incident_read(emulator):
    """Given an item whose summary a later version wrote, when the version before lists it → it reads the incident."""
    store, name, dynamodb = dynamo(emulator)
    saved = incident(alerts=[alert()])
    store.save(saved)
    key = {"pk": {"S": f"incident#{saved.key}"}, "sk": {"S": "incident"}}
    later = {":s": {"B": zlib.compress(json.dumps([FORM + 1]).encode())}}
    dynamodb.update_item(TableName=name, Key=key, UpdateExpression="SET summary = :s", ExpressionAttributeValues=later)
    assert list(listed(store)) == [summary_of(saved)]


def test_people_act_on_incidents_of_the_version_before(emulator):
    """Given a table of the version before, when its index is added → its incidents are listed, acknowledged and resolved."""
    store, name, dynamodb = dynamo(emulator, BEFORE)
    for data in STORED["incidents"]:
        each = replace(codec.decode(Incident, data), version=1)
        item = {"pk": {"S": f"incident#{each.key}"}, "sk": {"S": "incident"}, **store._incident_item(each)}
        del item["summary"]
        dynamodb.put_item(TableName=name, Item=item)
    table(dynamodb, name, "local")
    queue, now = MemoryQueue(), max(each.episode.started_at for each in store.incidents()) + timedelta(hours=1)
    queues = Queues(queue, MemoryQueue(), MemoryQueue())
    tick(rules=RULES, store=store, queues=queues, now=now)
    firing = [row["id"] for row in views.incidents(store, RULES, now).rows if row["counts"]["firing"]]
    assert firing
    for kind in (ActionKind.UNACK, ActionKind.ACK, ActionKind.RESOLVE):
        now += MINUTE
        for id in firing:
            queue.bodies.clear()
            action = Action(kind, "ana", now, incident=id[:10], via="api", id=f"{kind}-{id}")
            found, _ = accepted(action, store=store, webhooks=queue, now=now)
            assert found.accepted or kind is ActionKind.UNACK
            messages = [Message("m", body, "") for body in queue.bodies]
            assert process(messages, rules=RULES, store=store, queues=queues, now=now) == []
        rows = {row["id"]: row for row in views.incidents(store, RULES, now, ended_since=now - MINUTE).rows}
        assert {rows[id]["acked_by"] for id in firing} == {None if kind is ActionKind.UNACK else "ana"}
    assert not any(rows[id]["counts"]["firing"] for id in firing)
