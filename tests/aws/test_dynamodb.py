"""What is special to the table: lost answers, refusals, sizes, and what a save costs. The promises are in test_store."""

import os
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.aws.dynamodb import ENDED_KEPT, DynamoStore
from chalicelib.core.delivery.delivery_log import DeliveryLog
from chalicelib.core.errors import ConflictError, NotStoredError
from chalicelib.core.incident import Entry, Episode, Incident, Timeline
from tests.aws.tables import client, new_table, refused

NOW = datetime.now(UTC)


class Client:
    """A DynamoDB client whose writes end as told; `put` are the items written."""

    def __init__(self, code=None, *, in_doubt=False, stored=None):
        self.code, self.in_doubt, self.stored = code, in_doubt, stored
        self.put = []

    def put_item(self, **call):
        """Record, then end as told."""
        self.put.append(call["Item"])
        if self.code:
            stored = call["Item"] if self.stored == "ours" else self.stored
            raise refused(self.code, stored, in_doubt=self.in_doubt)


def incident(ended_at=None, **fields):
    """An incident, open unless it has an end."""
    return Incident(**{"key": "k", "id": "i", "version": 2, "episode": Episode(NOW, ended_at=ended_at), **fields})


OTHERS = {"version": {"N": "2"}, "body": {"B": b"other"}}
FAILED = "ConditionalCheckFailedException"


def test_a_write_whose_answer_was_lost_has_succeeded():
    """The client tried again and was refused because the first try had arrived."""
    DynamoStore(Client(FAILED, in_doubt=True, stored="ours"), "t").save(incident())


@pytest.mark.parametrize(("in_doubt", "stored"), [(False, "ours"), (True, OTHERS), (True, None), (False, None)])
def test_any_other_refused_write_is_a_conflict(in_doubt, stored):
    """Where no answer was lost, or with another's value in place, somebody else was faster."""
    with pytest.raises(ConflictError):
        DynamoStore(Client(FAILED, in_doubt=in_doubt, stored=stored), "t").save(incident())


MINUTE = NOW.replace(second=0, microsecond=0)
AT = {"N": str(int(MINUTE.timestamp()))}


@pytest.mark.parametrize(
    ("in_doubt", "stored", "claims"),
    [
        (True, "ours", True),
        (False, "ours", False),
        (True, {"at": AT}, False),
        (True, {"at": AT, "by": {"S": "x"}}, False),
    ],
)
def test_a_minute_is_claimed_where_only_the_answer_was_lost(in_doubt, stored, claims):
    """Given a refused claim, then it is this run's own only after a lost answer and with its mark in the item."""
    assert DynamoStore(Client(FAILED, in_doubt=in_doubt, stored=stored), "t").claim_minute("watch", MINUTE) is claims


@pytest.mark.parametrize("code", ["ThrottlingException", "AccessDeniedException", "ResourceNotFoundException"])
def test_a_table_that_refuses_says_why(code):
    """Not stored, with AWS's word for it, for the incident and for an archive alike."""
    store = DynamoStore(Client(code), "t")
    with pytest.raises(NotStoredError, match=code):
        store.save(incident())
    with pytest.raises(NotStoredError, match=code):
        store.save(incident(), archive=incident(ended_at=NOW))


def test_an_item_over_the_limit_is_refused_before_the_call():
    """What does not fit 400 KB is told with its size."""
    table = Client()
    noise = tuple(Entry(NOW, os.urandom(2_000).hex()) for _ in range(250))
    with pytest.raises(NotStoredError, match="bytes"):
        DynamoStore(table, "t").save(incident(timeline=Timeline(noise)))
    assert table.put == []


def test_a_save_is_one_write_and_with_an_archive_two():
    """Whatever an incident holds is one item."""
    table = Client()
    store = DynamoStore(table, "t")
    store.save(incident())
    assert len(table.put) == 1
    store.save(incident(), archive=incident(ended_at=NOW))
    assert [item["pk"]["S"] for item in table.put] == ["incident#k", "ended#i", "incident#k"]


def test_only_what_is_over_expires():
    """An open incident has no expiry; an ended one goes 90 days after its end was stored, a thread after 400."""
    table = Client()
    store = DynamoStore(table, "t", clock=lambda: 1_000_000)
    store.save(incident())
    store.save(incident(ended_at=NOW - timedelta(days=1000)))
    store.save_delivery_log(DeliveryLog("a/b", version=1))
    kept = [int(item.get("expires_at", {"N": "0"})["N"]) for item in table.put]
    assert kept == [0, 1_000_000 + int(ENDED_KEPT.total_seconds()), 1_000_000 + 400 * 86_400]


def test_hundreds_of_incidents_are_listed(emulator):
    """Reading by keys goes in pages of a hundred."""
    dynamodb = client("dynamodb", emulator)
    store = DynamoStore(dynamodb, new_table(dynamodb))
    for number in range(230):
        store.save(Incident(key=f"k{number}", id=f"i{number}", version=1, episode=Episode(started_at=NOW), wake_at=NOW))
    assert len(list(store.incidents())) == 230
    assert len(store.waking(NOW, 100)) == 100
    assert len({key for _, key in store.waking(NOW, 1_000)}) == 230
