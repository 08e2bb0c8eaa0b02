"""Reads of a table that is throttled, away or large, and what each read asks for."""

from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.aws.dynamodb import (
    FIRST_PAUSE_SECONDS,
    GIVEN_UP_SECONDS,
    MAX_BATCH_KEYS,
    MAX_PAUSE_SECONDS,
    MAX_PAUSED_SECONDS,
    SHORT_PAUSED_SECONDS,
    DynamoStore,
)
from chalicelib.aws.json_client import UNREACHABLE
from chalicelib.core.context import Context
from chalicelib.core.errors import NotStoredError
from chalicelib.core.identity import End, Holder
from chalicelib.core.incident import Episode, Incident
from chalicelib.core.metrics.sample import Sample
from chalicelib.core.stage_counts import StageCounts
from chalicelib.core.tokens import Tokens
from chalicelib.messages import codec
from tests.aws.tables import refused

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
REFUSED = refused("ProvisionedThroughputExceededException")
SILENT = refused(UNREACHABLE)


class Table:
    """A table of open incidents whose batch reads give the next of `served` items each; the last number stays."""

    def __init__(self, incidents=10, served=(MAX_BATCH_KEYS,), error=None):
        self.names = [f"incident#k{number}" for number in range(incidents)]
        self.served, self.error = list(served), error
        self.asked = []

    def query(self, **call):
        """The keys of all incidents are in one shard."""
        if call["ExpressionAttributeValues"].get(":shard") != {"S": "open#0"}:
            return {"Items": []}
        return {"Items": [{"pk": {"S": name}, "wake_at": {"N": "1"}} for name in self.names]}

    def batch_get_item(self, RequestItems):
        """Some of what is asked for; the rest is left."""
        if self.error:
            raise self.error
        ((table, asked),) = RequestItems.items()
        self.asked.append([key["pk"]["S"] for key in asked["Keys"]])
        assert asked["ConsistentRead"] is True
        count = self.served.pop(0) if len(self.served) > 1 else self.served[0]
        given, left = asked["Keys"][:count], asked["Keys"][count:]
        items = [{"body": {"B": codec.pack(incident(key["pk"]["S"]))}} for key in given]
        return {"Responses": {table: items}, "UnprocessedKeys": {table: {"Keys": left}} if left else {}}


def incident(name):
    """The open incident of a key."""
    key = name.partition("#")[2]
    return Incident(key, id=key, version=1, episode=Episode(started_at=NOW))


def read(table):
    """The keys of the incidents that were read, and the pauses."""
    pauses = []
    store = DynamoStore(table, "t", pause=pauses.append, jitter=lambda: 1.0)
    return [each.key for each in store.incidents()], pauses


def test_what_the_table_leaves_is_asked_for_again_after_a_pause():
    """Only what is left is asked for; every incident is read once."""
    table = Table(incidents=10, served=[4, 4, 4])
    keys, pauses = read(table)
    assert sorted(keys) == sorted(f"k{number}" for number in range(10))
    assert [len(asked) for asked in table.asked] == [10, 6, 2]
    assert pauses == [FIRST_PAUSE_SECONDS] * 2


def test_a_throttled_table_is_asked_less_and_less_often_then_given_up():
    """Reads in vain are a few, with pauses that double up to a second; after ten seconds NotStoredError ends them."""
    table = Table(served=[0])
    pauses = []
    store = DynamoStore(table, "t", pause=pauses.append, jitter=lambda: 1.0)
    with pytest.raises(NotStoredError, match="left 10 unread for 10 s"):
        store.incidents()
    assert pauses[:5] == [FIRST_PAUSE_SECONDS * 2**number for number in range(1, 5)] + [MAX_PAUSE_SECONDS]
    assert set(pauses[4:]) == {MAX_PAUSE_SECONDS}
    assert MAX_PAUSED_SECONDS - MAX_PAUSE_SECONDS < sum(pauses) <= MAX_PAUSED_SECONDS
    assert len(table.asked) == len(pauses) + 1


def test_a_worker_that_gave_one_read_up_is_not_kept_by_the_next():
    """Given a table that leaves everything unread, then a second read ends within a second; half a minute later it waits again."""
    table, pauses, now = Table(served=[0]), [], [1_000.0]
    store = DynamoStore(table, "t", clock=lambda: now[0], pause=pauses.append, jitter=lambda: 1.0)
    for most in (MAX_PAUSED_SECONDS, SHORT_PAUSED_SECONDS, SHORT_PAUSED_SECONDS):
        with pytest.raises(NotStoredError, match=f"unread for {most:g} s"):
            store.incidents()
        assert 0 < sum(pauses) <= most
        pauses.clear()
    now[0] += GIVEN_UP_SECONDS
    with pytest.raises(NotStoredError, match="unread for 10 s"):
        store.incidents()


def test_a_read_that_gets_on_is_not_given_up():
    """Large incidents come one by one, with a read in vain now and then: all of them are read."""
    keys, pauses = read(Table(incidents=12, served=[0, 0, 1] * 12))
    assert len(keys) == 12
    assert max(pauses) == FIRST_PAUSE_SECONDS * 4


def test_pauses_are_jittered():
    """Workers that were throttled together do not come back together."""
    pauses = []
    for _ in range(20):
        DynamoStore(Table(served=[0, 10]), "t", pause=pauses.append).incidents()
    assert len(set(pauses)) > 10
    assert all(FIRST_PAUSE_SECONDS <= pause <= 2 * FIRST_PAUSE_SECONDS for pause in pauses)


class Refusing:
    """A table whose every call fails in one way."""

    def __init__(self, error):
        self.error = error

    def __getattr__(self, name):
        def fail(**call):
            raise self.error

        return fail


READS = {
    "load": lambda store: store.load("k"),
    "archived": lambda store: store.archived("i"),
    "archives": lambda store: store.archives(["i"]),
    "incidents": lambda store: store.incidents(),
    "summaries": lambda store: store.summaries(),
    "worst": lambda store: store.worst(),
    "ended_on": lambda store: store.ended_on([NOW.date()], 5),
    "waking": lambda store: store.waking(NOW, 1),
    "timeline": lambda store: store.timeline("i"),
    "context": lambda store: store.context(),
    "delivery_log": lambda store: store.delivery_log("k"),
    "delivery_logs": lambda store: store.delivery_logs(["k"]),
    "target_state": lambda store: store.target_state("k"),
    "target_states": lambda store: store.target_states(["k"]),
    "label_sets": lambda store: store.label_sets("m"),
    "buckets": lambda store: store.buckets("m", {}, NOW.replace(hour=11), NOW),
    "history": lambda store: store.history("2026-11-26", ""),
    "get_body": lambda store: store.get_body("n"),
    "faults": lambda store: store.faults(["f"]),
    "located": lambda store: store.located("i"),
    "related": lambda store: store.related(["r"]),
    "end_fault": lambda store: store.end_fault("f", End("e", NOW)),
    "marks": lambda store: store.marks(["m"]),
    "stage_counts": lambda store: store.stage_counts(),
    "tokens": lambda store: store.tokens(),
}
HOLDER = Holder("k", "a", "", "default", {}, 1, NOW)
WRITES = {
    "save": lambda store: store.save(Incident("k", version=1)),
    "save with an archive": lambda store: store.save(Incident("k", version=2), archive=Incident("k", id="i")),
    "save_context": lambda store: store.save_context(Context(version=1)),
    "keep_timeline": lambda store: store.keep_timeline("i", 1, ()),
    "keep_history": lambda store: store.keep_history("2026-11-26", "n", b""),
    "add_samples": lambda store: store.add_samples([Sample("m", 1.0, NOW, {})]),
    "claim": lambda store: store.claim("f", "s", HOLDER, over=None),
    "locate": lambda store: store.locate(["i"], "k"),
    "relate": lambda store: store.relate(["r"], "k"),
    "claim_minute": lambda store: store.claim_minute("watch", NOW),
    "put_mark": lambda store: store.put_mark("m", "text"),
    "save_stage_counts": lambda store: store.save_stage_counts(StageCounts({}, 1)),
    "save_tokens": lambda store: store.save_tokens(Tokens(version=1)),
}


@pytest.mark.parametrize(("error", "says"), [(REFUSED, "ProvisionedThroughput"), (SILENT, "did not answer")])
@pytest.mark.parametrize("call", [*READS.values(), *WRITES.values()], ids=[*READS, *WRITES])
def test_a_table_that_refuses_or_is_silent_is_no_fault_of_the_code(call, error, says):
    """Every call raises the one error that stages know, with AWS's word for it: the message comes back."""
    with pytest.raises(NotStoredError, match=says):
        call(DynamoStore(Refusing(error), "t"))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ("delivery_log", "the delivery log: "),
        ("delivery_logs", "delivery logs: "),
        ("target_state", "the target state: "),
        ("target_states", "target states: "),
        ("context", "the context: "),
    ],
)
def test_an_error_names_what_was_read(call, says):
    """Given a table that refuses → the error says what could not be read, in words of today."""
    with pytest.raises(NotStoredError, match=f"^{says}"):
        READS[call](DynamoStore(Refusing(REFUSED), "t"))


class Asked:
    """An empty table that notes how it is read. The index shows one open incident."""

    def __init__(self):
        self.reads = []

    def get_item(self, **call):
        """Nothing is stored."""
        self.reads.append(("get_item", call))
        return {}

    def query(self, **call):
        """Nothing but the index has anything."""
        self.reads.append(("query", call))
        return {"Items": [{"pk": {"S": "incident#k"}, "wake_at": {"N": "1"}}] if "IndexName" in call else []}

    def batch_get_item(self, RequestItems):
        """Leave the key once, then find nothing."""
        ((table, asked),) = RequestItems.items()
        first = not any(name == "batch_get_item" for name, _ in self.reads)
        self.reads.append(("batch_get_item", asked))
        return {"Responses": {}, "UnprocessedKeys": {table: {"Keys": asked["Keys"]}} if first else {}}

    def put_item(self, **call):
        """Take it."""

    def update_item(self, **call):
        """Take it."""
        return {"Attributes": {}}


DECIDING = {
    **READS,
    "load_all": lambda store: store.load_all(["k"]),
    "buckets of a month": lambda store: store.buckets("m", {}, NOW - timedelta(days=30), NOW),
    "add_samples": lambda store: store.add_samples([Sample("m", 1.0, NOW, {})]),
    "drop_body": lambda store: store.drop_body("n"),
    "extend_body": lambda store: store.extend_body("n"),
    "ended incidents": lambda store: store.incidents(ended_since=NOW - timedelta(days=1)),
}


ONLY_WRITE = {
    "save", "save_context", "save_delivery_log", "save_target_state", "save_tokens", "keep_timeline", "keep_history", "amend",
    "claim", "locate", "relate", "claim_minute", "put_mark", "save_stage_counts",
}  # fmt: skip


@pytest.mark.parametrize("call", DECIDING.values(), ids=DECIDING)
def test_every_read_of_the_table_itself_is_consistent(call):
    """What was saved is seen by the next read; only the index, which gives keys alone, may lag."""
    table = Asked()
    call(DynamoStore(table, "t"))
    of_table = [asked for _, asked in table.reads if "IndexName" not in asked]
    assert table.reads
    assert all(asked.get("ConsistentRead") is True for asked in of_table)
    assert of_table or call in (READS["waking"], READS["worst"], READS["ended_on"])


def test_every_method_that_reads_is_tried():
    """A new read of the store is added to the table above."""
    tried = {name.split()[0] for name in DECIDING} - {"ended"}
    methods = {name for name in vars(DynamoStore) if not name.startswith("_")}
    assert methods - tried == ONLY_WRITE


@pytest.mark.parametrize("error", [REFUSED, SILENT])
def test_a_batch_read_that_is_refused_as_a_whole_is_not_stored(error):
    """As any other read."""
    with pytest.raises(NotStoredError, match="incidents"):
        DynamoStore(Table(error=error), "t").incidents()
