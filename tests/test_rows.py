"""Rows of incidents in the index `worst`: their order, and tables and items of the version before."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.aws.dynamodb import DynamoStore
from chalicelib.core.event import Severity
from chalicelib.core.glance import Glance, State, urgency
from chalicelib.core.incident import Episode, Incident
from chalicelib.messages.glances import fitted
from chalicelib.messages.queue import Message, Queues
from chalicelib.process.worker import process
from chalicelib.schedule.open_counts import count_open, read_counts
from deploy.table import INDEXES, table
from simulation.memory_store import MemoryStore
from tests.aws.tables import client, new_table, table_client
from tests.fakes import MemoryQueue
from tests.scenario import rules_of

NOW = datetime.now(UTC).replace(microsecond=0)
MINUTE = timedelta(minutes=1)
BEFORE = {name: keys for name, keys in INDEXES.items() if name != "worst"}
"""The indexes of a table that the version before made."""
RULES = rules_of("default: {notification: [{webhook: ops}]}")


def dynamo(emulator, indexes=INDEXES):
    """A store in DynamoDB, its table, and the client of the table."""
    dynamodb = client("dynamodb", emulator)
    name = new_table(dynamodb, indexes)
    return DynamoStore(table_client(dynamodb.meta.endpoint_url), name), name, dynamodb


@pytest.fixture(params=["memory", "dynamodb"])
def store(request):
    """An empty store of each kind."""
    return MemoryStore() if request.param == "memory" else dynamo(request.getfixturevalue("emulator"))[0]


def row(key, **fields):
    """A row as the table keeps it."""
    return fitted(Glance(NOW, f"id-{key}", key, **{"since": NOW - MINUTE, "title": f"{key} is down", **fields}))


def incident(key, version=1, *, ended_at=None, **fields):
    """An incident with its row."""
    shown = row(key, ended_at=ended_at, **fields)
    return Incident(key, f"id-{key}", version, episode=Episode(shown.since, ended_at=ended_at), glance=shown)


def test_the_worst_come_first_and_the_limit_cuts_the_others(store):
    """Given rows of all kinds in all shards → each limit gives the first of the whole list, which is in order of urgency."""
    chance = random.Random(7)
    saved = [
        incident(
            f"k/{number}#ö",
            state=chance.choice([State.FIRING, State.ACKNOWLEDGED, State.MUTED, State.CLOSING]),
            severity=chance.choice(list(Severity)),
            since=NOW - number * MINUTE,
        )
        for number in range(60)
    ]
    for each in saved:
        store.save(each)
    everything = sorted((each.glance for each in saved), key=urgency)
    assert list(store.worst()) == everything
    for limit in (1, 5, 50):
        assert list(store.worst(limit)) == everything[:limit]


def test_many_of_the_worst_in_one_shard_are_found(store):
    """Given a shard that has all of the worst → its further pages are read."""
    wanted = DynamoStore(None, "t")._incident_item(incident("k"))["worst_shard"]["S"]
    keys = [f"k{n}" for n in range(400)]
    same = [each for each in keys if _shard(each) == wanted][:40]
    for number, each in enumerate(same):
        store.save(incident(each, since=NOW - timedelta(hours=2) - number * MINUTE))
    for each in [each for each in keys if _shard(each) != wanted][:30]:
        store.save(incident(each, since=NOW))
    assert [each.key for each in store.worst(30)] == list(reversed(same))[:30]


def _shard(key):
    return DynamoStore(None, "t")._incident_item(incident(key))["worst_shard"]["S"]


def test_ended_incidents_are_listed_by_their_day(store):
    """Given ended incidents, archived ones too → those that ended since that day come behind the open ones."""
    store.save(incident("open"))
    store.save(incident("late", ended_at=NOW - MINUTE))
    store.save(incident("old", ended_at=NOW - timedelta(days=9)))
    first = incident("again", ended_at=NOW - 2 * MINUTE)
    store.save(first)
    store.save(replace(incident("again", version=2), id="second", glance=row("again")), archive=first)
    found = store.worst(ended_since=NOW - timedelta(days=7))
    assert {each.key for each in found if each.ended_at is None} == {"open", "again"}
    assert sorted(each.id for each in found if each.ended_at is not None) == ["id-again", "id-late"]
    assert [each.ended_at for each in store.worst()] == [None, None]


def test_what_ended_on_a_day_is_listed_in_short(store):
    """Given incidents that ended on two of three days → of each asked day so many at most, and no open one."""
    day, hour = timedelta(days=1), timedelta(hours=1)
    noon = NOW.replace(hour=12, minute=0, second=0) - day
    for number in range(5):
        store.save(incident(f"new{number}", ended_at=noon - hour * number))
    store.save(incident("old", ended_at=noon - 2 * day))
    store.save(incident("open"))
    assert [each.key for each in store.ended_on({noon.date(), (noon - day).date()}, 3)] == ["new0", "new1", "new2"]
    assert [each.key for each in store.ended_on({noon.date(), (noon - 2 * day).date()}, 9)][:2] == ["old", "new0"]
    assert not store.ended_on([], 3)


def test_a_loaded_incident_has_its_row(store):
    """Given a saved incident → it is read with the row, and without one where a version without rows saved it after that."""
    saved = incident("k")
    store.save(saved)
    assert store.load("k").glance == saved.glance
    store.save(replace(saved, version=2, glance=None))
    assert store.load("k").glance is None
    assert list(store.worst()) == []


def test_a_row_is_in_its_item_once(emulator):
    """Given a saved incident → the table has its row beside the body, and the index shows nothing but that."""
    store, name, dynamodb = dynamo(emulator)
    store.save(incident("k"))
    (item,) = dynamodb.scan(TableName=name, IndexName="worst")["Items"]
    assert item.keys() == {"pk", "sk", "worst_shard", "worst_place", "glance"}
    (whole,) = dynamodb.scan(TableName=name)["Items"]
    without = dynamo(emulator)[0]._incident_item(replace(incident("k"), glance=None))
    assert bytes(whole["body"]["B"]) == without["body"]["B"]


def test_a_stage_of_the_version_before_gets_rows_for_what_is_open(emulator):
    """Given open incidents without rows, when the index is added → the tick has them saved with rows, some at a time; then none."""
    store, name, dynamodb = dynamo(emulator, BEFORE)
    queue = MemoryQueue()
    for number in range(7):
        store.save(replace(incident(f"k{number}"), glance=None))
    assert store.worst() is None
    count_open(store, queue, NOW)
    assert read_counts(store, NOW).total == 7 and not queue.bodies
    assert table(dynamodb, name, "local") == [f"added index worst to table {name}"]
    count_open(store, queue, NOW)
    assert len(queue.bodies) == 7
    assert not read_counts(store, NOW).has_rows(NOW + timedelta(hours=1))
    messages = [Message(f"m{number}", body, "") for number, body in enumerate(queue.bodies)]
    queues = Queues(webhooks=queue, notifications=MemoryQueue(), counts=MemoryQueue())
    assert process(messages, rules=RULES, store=store, queues=queues, now=NOW) == []
    assert {each.key for each in store.worst()} == {f"k{number}" for number in range(7)}
    before = len(queue.bodies)
    count_open(store, queue, NOW)
    assert len(queue.bodies) == before
    assert read_counts(store, NOW).has_rows(NOW + timedelta(minutes=5))
