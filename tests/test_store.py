"""What a Store promises: one suite, run against the one in memory and the one in DynamoDB on the emulator.

The latter is also reached through a wire that fails by a plan (`tests/faulty_aws.py`); aws/test_faults.py has one fault at a time.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from chalicelib.aws.body_store import BodyWriter
from chalicelib.aws.dynamodb import DynamoStore
from chalicelib.aws.json_client import AwsJsonClient
from chalicelib.core.context import Cause, Context
from chalicelib.core.delivery.delivery_log import DeliveryLog
from chalicelib.core.delivery.target_state import Gate, Health, Slot, TargetState
from chalicelib.core.errors import ConflictError, ProcessedError
from chalicelib.core.identity import MAX_ENDS, End, Fault, Holder
from chalicelib.core.incident import Entry, Episode, Incident, Timeline, Truncated
from chalicelib.core.metrics.sample import Sample
from chalicelib.core.stage_counts import StageCounts
from chalicelib.core.tokens import Token, Tokens
from chalicelib.messages.webhook import compressed
from simulation.memory_store import MemoryStore
from tests.aws.tables import KEY, STORES, client, empty_store, new_table, table_client

NOW = datetime.now(UTC).replace(microsecond=123_456)
MINUTE = timedelta(minutes=1)
WRITERS = 32


@pytest.fixture(params=STORES)
def store(request):
    """An empty store of each kind."""
    with empty_store(request.param, request) as found:
        yield found


def woken(store, now, limit):
    """The keys of timers that are due."""
    return [key for _, key in store.waking(now, limit)]


def incident(key="route|service=api", version=1, ended_at=None, **fields):
    """An incident that began five minutes ago, open unless it has an end."""
    episode = Episode(NOW - 5 * MINUTE, ended_at=ended_at)
    return Incident(**{"key": key, "id": f"id-{key}", "version": version, "episode": episode, **fields})


def test_nothing_is_stored_at_first(store):
    """An empty store answers with nothing, or a fresh value."""
    assert store.load("nobody") is None
    assert store.context() == Context()
    assert store.delivery_log("i/slack_channel:#x") == DeliveryLog("i/slack_channel:#x")
    assert store.target_state("slack_channel:#x") == TargetState("slack_channel:#x")
    assert list(store.incidents(ended_since=NOW - timedelta(days=30))) == []
    assert woken(store, NOW, 10) == []
    assert store.get_body("none") is None


LARGE = json.dumps({"noise": Random(3).randbytes(500_000).hex()}).encode()


@pytest.fixture(params=["memory", "dynamodb"])
def bodies(request):
    """An empty store of each kind, and what the ingest path keeps bodies by."""
    if request.param == "memory":
        memory = MemoryStore()
        return memory, memory.keep_body
    endpoint = request.getfixturevalue("emulator")
    dynamodb = client("dynamodb", endpoint)
    table = new_table(dynamodb)
    json_client = AwsJsonClient(
        "us-east-1", environment={**KEY.environment(), "AWS_ENDPOINT_URL": endpoint}, timeout_seconds=10
    )
    return DynamoStore(table_client(dynamodb.meta.endpoint_url), table), BodyWriter(
        json_client, table, clock=NOW.timestamp
    ).keep


def test_a_body_is_there_until_it_is_dropped(bodies):
    """A kept body is read as often as it is asked for; once dropped it is known as processed, and others stay."""
    store, keep = bodies
    keep("sentry-1", compressed(LARGE))
    keep("sentry-2", compressed(LARGE))
    assert store.get_body("sentry-1") == store.get_body("sentry-1") == LARGE
    for _ in range(2):
        store.drop_body("sentry-1")
        with pytest.raises(ProcessedError):
            store.get_body("sentry-1")
    assert store.get_body("sentry-2") == LARGE


def test_a_body_that_is_not_there_is_not_marked_as_processed(bodies):
    """Neither a drop nor an extension makes something of a name that nobody kept."""
    store, _ = bodies
    store.drop_body("sentry-0")
    store.extend_body("sentry-0")
    assert store.get_body("sentry-0") is None


def test_an_extension_leaves_a_body_and_a_mark_as_they_are(bodies):
    """A body that is kept for redrive is read as before; a dropped one stays dropped."""
    store, keep = bodies
    keep("sentry-1", compressed(LARGE))
    store.extend_body("sentry-1")
    assert store.get_body("sentry-1") == LARGE
    store.drop_body("sentry-1")
    store.extend_body("sentry-1")
    with pytest.raises(ProcessedError):
        store.get_body("sentry-1")


def test_an_incident_comes_back_as_it_was(store):
    """What is loaded is what was saved, to the microsecond and beyond ASCII."""
    saved = incident(
        group={"service": "café ☕"},
        wake_at=NOW,
        timeline=Timeline((Entry(NOW, "began", "ana"),)),
        truncated=Truncated(events=3),
    )
    store.save(saved)
    assert store.load(saved.key) == saved


@pytest.mark.parametrize("version", [1, 3, 4, 6])
def test_an_incident_is_saved_only_over_the_version_before(store, version):
    """With version 4 stored only version 5 may follow: neither an old nor the same nor a later one."""
    for number in range(1, 5):
        store.save(incident(version=number))
    with pytest.raises(ConflictError):
        store.save(incident(version=version, truncated=Truncated(events=99)))
    assert store.load(incident().key) == incident(version=4)
    store.save(incident(version=5))


def test_states_and_logs_are_read_together(store):
    """Given states and delivery logs, more than one batch of them → those that are stored, by key, as they were saved."""
    states = [TargetState(f"webhook:{n}", slots={"i": Slot(n, NOW, since=NOW)}, version=1) for n in range(120)]
    logs = [DeliveryLog(f"i{n}/webhook:ops", done_seq=n, version=1) for n in range(3)]
    for state in states:
        store.save_target_state(state)
    for log in logs:
        store.save_delivery_log(log)
    keys = [*(each.key for each in states), "webhook:0", "webhook:none"]
    assert store.target_states(keys) == {each.key: each for each in states}
    assert store.delivery_logs([*(each.key for each in logs), "none"]) == {each.key: each for each in logs}
    assert (store.target_states([]), store.delivery_logs([])) == ({}, {})


def test_a_first_version_needs_an_empty_place(store):
    """Version 2 of what was never stored is a conflict: somebody deleted it, or the key is another."""
    with pytest.raises(ConflictError):
        store.save(incident(version=2))
    assert store.load(incident().key) is None


def test_timers_wake_in_order_and_only_when_due(store):
    """Due keys come most overdue first, at most as many as asked; a moved, removed or later timer is not due."""
    for minutes in (3, 1, 2, -1):
        store.save(incident(f"k{minutes}", wake_at=NOW - minutes * MINUTE))
    store.save(incident("exact", wake_at=NOW))
    store.save(incident("none"))
    assert woken(store, NOW, 10) == ["k3", "k2", "k1", "exact"]
    assert woken(store, NOW, 2) == ["k3", "k2"]
    store.save(incident("k3", 2, wake_at=NOW + MINUTE))
    store.save(incident("k2", 2))
    assert woken(store, NOW, 10) == ["k1", "exact"]
    assert woken(store, NOW - timedelta(microseconds=1), 10) == ["k1"]


def test_an_ended_incident_with_a_timer_still_wakes(store):
    """A resolve that is still owed has a timer like any other."""
    store.save(incident(ended_at=NOW - MINUTE, wake_at=NOW - MINUTE))
    assert woken(store, NOW, 10) == [incident().key]


def test_keys_with_the_separator_come_back_whole(store):
    """A group key may hold any text."""
    key = "rule/a#b|x=ö#1/2"
    store.save(incident(key, wake_at=NOW))
    assert woken(store, NOW, 1) == [key]
    assert store.load(key).key == key


def test_open_and_lately_ended_incidents_are_listed(store):
    """Open ones are always listed, ended ones only if they ended after the time asked; what never began is not."""
    store.save(incident("open", wake_at=NOW + MINUTE))
    store.save(incident("sleeping"))
    store.save(incident("quiet", id="", episode=Episode(), wake_at=NOW))
    store.save(incident("late", ended_at=NOW - MINUTE))
    store.save(incident("owed", ended_at=NOW - MINUTE, wake_at=NOW))
    store.save(incident("week", ended_at=NOW - timedelta(days=7)))
    assert {each.key for each in store.incidents()} == {"open", "sleeping"}
    assert {each.key for each in store.incidents(ended_since=NOW - timedelta(hours=1))} == {
        "open",
        "sleeping",
        "late",
        "owed",
    }
    assert {each.key for each in store.incidents(ended_since=NOW - timedelta(days=8))} == {
        "open",
        "sleeping",
        "late",
        "owed",
        "week",
    }
    assert {each.key for each in store.incidents(ended_since=NOW - MINUTE)} == {"open", "sleeping"}


def test_an_incident_that_another_replaces_is_kept(store):
    """The ended one stays findable under its own id; the group key names the new one."""
    ended = incident(id="first", ended_at=NOW - MINUTE)
    store.save(ended)
    again = incident(version=2, id="second")
    store.save(again, archive=ended)
    assert store.load(again.key) == again
    assert {each.id for each in store.incidents(ended_since=NOW - timedelta(days=1))} == {"first", "second"}
    assert {each.id for each in store.incidents()} == {"second"}


def test_archiving_twice_changes_nothing(store):
    """A worker that died after the archive was written repeats it; the incident is listed once all the while."""
    ended = incident(id="first", ended_at=NOW - MINUTE)
    store.save(ended)
    with pytest.raises(ConflictError):
        store.save(incident(version=5, id="second"), archive=ended)
    assert [each.id for each in store.incidents(ended_since=NOW - timedelta(days=1))] == ["first"]
    store.save(incident(version=2, id="second"), archive=ended)
    assert sorted(each.id for each in store.incidents(ended_since=NOW - timedelta(days=1))) == ["first", "second"]


def test_an_archived_incident_takes_a_note(store):
    """It is stored anew by its version, and archiving it once more as it was takes nothing back."""
    ended = incident(id="first", ended_at=NOW - MINUTE)
    store.save(ended)
    store.save(incident(version=2, id="second"), archive=ended)
    noted = replace(ended, version=ended.version + 1, episode=replace(ended.episode, aliases=("noted",)))
    store.amend(noted)
    with pytest.raises(ConflictError):
        store.amend(noted)
    with pytest.raises(ConflictError):
        store.save(incident(version=9, id="third"), archive=ended)
    assert store.archived("first").episode.aliases == ("noted",)


def test_an_archived_incident_never_wakes(store):
    """A timer that an ended incident still had when it was replaced is gone."""
    ended = incident(id="first", ended_at=NOW - MINUTE, wake_at=NOW - MINUTE)
    store.save(ended)
    store.save(incident(version=2, id="second"), archive=ended)
    assert woken(store, NOW, 10) == []


def test_the_context_is_saved_only_over_the_version_before(store):
    """Two people who silence at once: the second has to look again."""
    first = Context(causes=(Cause("f", {"alertname": "x"}, NOW),), marks={"a": "b"}, version=1)
    store.save_context(first)
    assert store.context() == first
    with pytest.raises(ConflictError):
        store.save_context(Context(version=1))
    store.save_context(replace(first, causes=(), version=2))
    assert store.context().causes == ()


def test_tokens_are_saved_by_their_version(store):
    """Given two that change the tokens at once → the second meets a conflict, and a revoked one stays revoked."""
    token = Token("a", "ana", "act", "digest", "bo", NOW)
    mine = Tokens().with_token(token)
    assert store.tokens() == Tokens()
    store.save_tokens(mine)
    with pytest.raises(ConflictError):
        store.save_tokens(mine)
    store.save_tokens(mine.without("a", "bo", NOW))
    assert [each.revoked_at for each in store.tokens().tokens] == [NOW]


def test_a_lane_is_claimed_once(store):
    """Of two workers that claim in one lane the second is told so by the version."""
    turn = Slot(1, NOW, NOW, tries=1, leased_until=NOW + MINUTE)
    mine = TargetState(
        "email:x", slots={"incident": turn}, gate=Gate(NOW), health=Health(reported=("target.broken",)), version=1
    )
    assert store.target_state("email:x") == TargetState("email:x")
    store.save_target_state(mine)
    with pytest.raises(ConflictError):
        store.save_target_state(replace(mine, slots={}))
    assert store.target_state("email:x") == mine
    store.save_target_state(replace(mine, slots={}, version=2))
    assert store.target_state("email:x").slots == {}


def test_a_thread_is_recorded_once(store):
    """Of two workers that record one delivery the second is told so by the version."""
    done = DeliveryLog("incident/email:x", done_seq=1, dead_lettered=0, receipt={"ts": "1.2"}, version=1)
    store.save_delivery_log(done)
    with pytest.raises(ConflictError):
        store.save_delivery_log(done)
    assert store.delivery_log(done.key) == done


def test_samples_come_back_as_buckets(store):
    """Measured values are found by metric and labels within their time, oldest first, each counted once."""
    start = (NOW - timedelta(minutes=30)).replace(second=0, microsecond=0)
    samples = [Sample("error_rate", n / 100, start + n * MINUTE, {"zone": "a"}) for n in range(1, 6)]
    other = Sample("error_rate", 0.5, start + MINUTE, {"zone": "b"})
    empty = Sample("error_rate", None, start + 6 * MINUTE, {"zone": "a"})
    store.add_samples([*samples, other, empty])
    store.add_samples(samples[:2])
    found = store.buckets("error_rate", {"zone": "a"}, start, start + timedelta(minutes=10))
    assert sum(bucket.count for bucket in found) == 5
    assert sum(bucket.nulls for bucket in found) == 1
    assert sum(bucket.total for bucket in found) == pytest.approx(0.15)
    assert [bucket.last_at for bucket in found] == sorted(bucket.last_at for bucket in found)
    assert {tuple(labels.items()) for labels in store.label_sets("error_rate")} == {(("zone", "a"),), (("zone", "b"),)}
    assert list(store.buckets("error_rate", {}, start, NOW)) == []
    assert list(store.label_sets("nothing")) == []


def _counted(store, name):
    """Add a name under a version condition, loading again after each conflict until it is there.

    A write whose answer was lost may be overwritten before it is known: its writer finds its name, as a worker finds its event.
    """
    for _ in range(2_000):
        before = store.load("race") or incident("race", 0)
        names = before.episode.aliases
        if name in names:
            return
        try:
            store.save(incident("race", before.version + 1, episode=Episode(NOW, aliases=(*names, name))))
        except ConflictError:
            continue
    raise AssertionError("never got through")


def test_of_many_writers_none_is_lost(store):
    """32 writers add one name each to the same incident: 32 names are there, in 32 versions."""
    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(lambda number: _counted(store, f"{number}"), range(WRITERS)))
    found = store.load("race")
    assert sorted(found.episode.aliases) == sorted(f"{number}" for number in range(WRITERS))
    assert found.version == WRITERS


def test_of_many_first_writers_one_wins(store):
    """32 workers open the same incident at once: one does, 31 load again."""

    def opened(number):
        """True for the one that opened it."""
        try:
            store.save(incident("first", truncated=Truncated(events=number)))
        except ConflictError:
            return False
        return True

    with ThreadPoolExecutor(WRITERS) as pool:
        assert sum(pool.map(opened, range(WRITERS))) == 1


def holder(key="route|service=api", **fields):
    """The holder of an alert of a fault."""
    return Holder(
        **{
            "key": key,
            "alert": "a1",
            "rule": "",
            "route": "default",
            "group": {"service": "api"},
            "rank": 1,
            "at": NOW,
            **fields,
        }
    )


def test_of_two_that_claim_a_slot_the_first_has_it(store):
    """Given two claims of one slot, then both find the first holder there; one that knows the old holder replaces it."""
    first, second = holder(), holder("other|service=web")
    assert store.claim("f1", "a1", first, over=None).holders == {"a1": first}
    assert store.claim("f1", "a1", second, over=None).holders == {"a1": first}
    assert store.claim("f1", "a1", first, over=None).holders == {"a1": first}
    assert store.claim("f1", "a1", second, over=first).holders == {"a1": second}
    assert store.claim("f1", "a1/x", first, over=None).holders == {"a1": second, "a1/x": first}
    assert store.faults(["f1", "nobody"]) == {"f1": Fault({"a1": second, "a1/x": first})}


def test_of_many_that_claim_a_slot_at_once_all_find_the_same(store):
    """Given many workers that meet a fault at once, then all of them agree on its home."""
    with ThreadPoolExecutor(WRITERS) as pool:
        homes = list(
            pool.map(lambda n: store.claim("f1", "a1", holder(f"k{n}"), over=None).holders["a1"].key, range(WRITERS))
        )
    assert len(set(homes)) == 1


def test_ends_that_met_nothing_are_kept_in_order_and_bounded(store):
    """Given more ends than are kept, in any order, then the newest are there, oldest first, each once."""
    ends = [End(f"e{number}", NOW + number * MINUTE) for number in range(MAX_ENDS + 3)]
    for end in (*ends[::2], *ends[1::2], ends[-1]):
        found = store.end_fault("f1", end)
    assert found.ends == tuple(ends[-MAX_ENDS:])
    assert store.faults(["f1"]) == {"f1": found}


def test_an_incident_is_found_by_its_id_and_aliases(store):
    """Given an incident that was located, then its id and each alias lead to its key, and nothing else does."""
    store.locate(["i1", "pagerduty:Q1"], "route|service=api")
    assert (store.located("i1"), store.located("pagerduty:Q1")) == ("route|service=api",) * 2
    assert store.located("i2") is None
    store.locate(["i1"], "moved")
    assert store.located("i1") == "moved"


def test_incidents_are_found_by_what_they_are_related_to(store):
    """Given incidents that were related to names, then each name leads to its own, once; an unknown one to none."""
    store.relate(["r1", "r2"], "route|service=api")
    store.relate(["r1"], "route|service=web")
    store.relate(["r1"], "route|service=web")
    assert sorted(store.related(["r1"])) == ["route|service=api", "route|service=web"]
    assert sorted(store.related(["r2", "r3"])) == ["route|service=api"]
    assert sorted(store.related([])) == sorted(store.related(["r3"])) == []


def test_many_incidents_are_read_at_once(store):
    """Given more keys than one request reads, then those that are stored come back by key."""
    for number in range(105):
        store.save(incident(f"k{number}"))
    found = store.load_all([f"k{number}" for number in range(110)])
    assert sorted(found) == sorted(f"k{number}" for number in range(105))
    assert found["k7"] == store.load("k7")


def test_of_many_that_claim_a_minute_one_has_it(store):
    """Given 32 runs of one schedule in one minute → one of them runs; each minute is claimed anew, and none that is gone."""
    minute = NOW.replace(second=0, microsecond=0)
    with ThreadPoolExecutor(WRITERS) as pool:
        assert sum(pool.map(lambda _: store.claim_minute("watch", minute), range(WRITERS))) == 1
    assert store.claim_minute("other", minute)
    assert store.claim_minute("watch", minute + MINUTE)
    assert not store.claim_minute("watch", minute)


def test_the_last_text_of_a_mark_stays(store):
    """Given marks that were put, one of them twice → the last text of each that is asked for, and none of others."""
    assert store.marks(["a", "b"]) == {}
    for name, text in (("a", "1"), ("b", "2"), ("a", "3"), ("c", "")):
        store.put_mark(name, text)
    assert store.marks(["a", "b", "d", "a"]) == {"a": "3", "b": "2"}


def test_what_a_stage_counted_is_added_by_its_version(store):
    """Given counts that two runs add to the same version → the second is a conflict, and what is stored is the first."""
    assert store.stage_counts() == StageCounts()
    first = store.stage_counts().plus({("events", "sentry", "firing"): 2})
    store.save_stage_counts(first)
    with pytest.raises(ConflictError):
        store.save_stage_counts(StageCounts().plus({("events", "sentry", "firing"): 5}))
    store.save_stage_counts(first.plus({("events", "sentry", "firing"): 1, ("webhooks_received", "sentry"): 1}))
    found = {("events", "sentry", "firing"): 3, ("webhooks_received", "sentry"): 1}
    assert (store.stage_counts().by_series(), store.stage_counts().version) == (found, 2)


def test_an_archived_incident_is_found_by_its_id(store):
    """Given an ended incident that another one replaced, then its id finds it."""
    store.save(incident(id="i1", ended_at=NOW))
    store.save(incident(id="i2", version=2), archive=incident(id="i1", ended_at=NOW))
    assert store.archived("i1").episode.ended_at == NOW
    assert store.archived("i2") is None
