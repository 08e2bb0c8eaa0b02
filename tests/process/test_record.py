"""Recorded history: what happened comes back as a timeline that is decided on as it was."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chalicelib.aws.dynamodb import DynamoStore
from chalicelib.core.context import Silence
from chalicelib.core.errors import NotStoredError, ParseError
from chalicelib.core.event import Action, ActionKind
from chalicelib.core.incident import Episode, Incident
from chalicelib.core.match import Matcher
from chalicelib.core.metrics.sample import Sample
from chalicelib.messages.queue import Events, ExpireSilence, Samples, SetSilence, Wake, read_message
from chalicelib.process.parse import parsed
from chalicelib.process.record import MAX_RAW_BYTES, Recorder, chunks, page, record, unpacked
from simulation.engine import Replay
from simulation.memory_store import MemoryStore
from simulation.timeline import Fields, Times, event_of
from tests.aws.tables import client, new_table, table_client
from tests.fakes import MemoryQueue
from tests.rule_files import rules_of

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
FIXTURES = Path(__file__).parents[1] / "sources" / "fixtures"


class Inbox:
    """A history queue that hands out what was put, ten at a time, and forgets what is deleted."""

    def __init__(self, *bodies):
        self.waiting = {f"r{number}": body for number, body in enumerate(bodies)}
        self.hidden = set()

    def take(self):
        """Those that nobody has."""
        some = [receipt for receipt in self.waiting if receipt not in self.hidden][:10]
        self.hidden.update(some)
        return [{"messageId": each, "receiptHandle": each, "body": self.waiting[each]} for each in some]

    def delete(self, receipts):
        """Those are done."""
        for receipt in receipts:
            del self.waiting[receipt]


def recorded(*contents, store=None, now=NOW):
    """The timeline lines of one batch that brought these contents."""
    store, queue = store or MemoryStore(), MemoryQueue()
    recorder = Recorder(store, now)
    for content in contents:
        recorder.add(content)
    recorder.put(history=queue, webhooks=MemoryQueue())
    record(Inbox(*queue.bodies), store=store, dead=MemoryQueue())
    return lines_of(store, f"{now:%Y-%m-%d}")


def lines_of(store, day):
    """All lines of a day."""
    found, after = [], ""
    while (part := page(store, day, after)) is not None:
        found += part.lines
        after = part.name
    return found


RULES = """
alerts:
  - name: Boom
    match: {source: event}
    group_by: [service]
    group_wait: 10s
    group_interval: 1m
    repeat_interval: 20m
    escalate: [{after: 5m, notification: [{pagerduty: true}]}]
    notification: [{slack_channel: "#a"}]
  - name: Many
    condition: "events[1m] > 2"
    match: {kind: tick}
    notification: [{email: ops@example.com}]
  - name: Slow
    condition: "p95_latency_ms > 500"
    for: 2m
    notification: [{slack_channel: "#slow"}]
default: {notification: [{slack_channel: "#rest"}]}
probes: {heartbeat: [{name: backup, every: 10m, grace: 1m}]}
"""


def at(seconds):
    """A time of the day that is replayed."""
    return (NOW + timedelta(seconds=seconds)).isoformat()


STORY = [
    {"at": at(0), "beat": {"name": "backup"}},
    {"at": at(0), "event": {"name": "x", "labels": {"service": "api"}, "annotations": {"summary": "it broke"}}},
    {"at": at(5), "event": {"name": "y", "labels": {"service": "api"}, "severity": "critical", "id": "y1"}, "copies": 1},
    {"at": at(30), "silence": {"id": "s1", "matchers": {"service": "=~w.*"}, "until": at(400), "by": "ana"}},
    {"at": at(40), "event": {"name": "x", "labels": {"service": "web"}}},
    *({"at": at(60 + n), "event": {"name": "t", "labels": {"kind": "tick", "source": "s", "n": str(n)}}} for n in range(5)),
    {"at": at(90), "ack": {"matchers": {"service": "api"}, "by": "bo"}},
    *({"at": at(100 + 60 * n), "sample": {"metric": "p95_latency_ms", "value": 700 + n, "labels": {"z": "a"}}} for n in range(5)),
    {"at": at(420), "unsilence": {"id": "s1", "by": "ana"}},
    {"at": at(500), "event": {"name": "x", "status": "resolved", "labels": {"service": "api"}}},
    {"at": at(520), "resolve": {"matchers": {"service": "web"}, "by": "bo"}},
    {"at": at(530), "maintenance": {"id": "m1", "matchers": {"service": "db"}, "until": at(900), "by": "cy"}},
    {"at": at(540), "event": {"name": "z", "labels": {"service": "db"}, "starts_at": at(535), "ends_at": at(2000)}},
    {"at": at(3000), "end": True},
]  # fmt: skip


def told(lines, store=None):
    """What the lines come to, without their words for when."""
    replay = Replay(rules_of(RULES), list(enumerate(lines, 1)))
    found = [line for line in _run(replay, store) if line["type"] == "notification"]
    return [(each["at"], each["target"], each["reason"], each["events"], each["text"]) for each in found]


def _run(replay, store):
    runs = replay.run()
    first = next(runs)
    if store is not None:
        replay.simulator.on_read = lambda content: _keep(content, store, replay.simulator)
    return [first, *runs]


def _keep(content, store, simulator):
    queue = MemoryQueue()
    recorder = Recorder(simulator.store, simulator.now)
    recorder.add(content)
    recorder.put(history=queue, webhooks=MemoryQueue())
    record(Inbox(*queue.bodies), store=store, dead=MemoryQueue())


def test_what_was_recorded_is_decided_on_as_it_was():
    """Events, samples, beats, silences, maintenance and acts: replaying the record tells the same at the same times."""
    store = MemoryStore()
    start = {"at": at(-1), "show": "alerts"}
    first = told([start, *STORY], store)
    again = told([start, *lines_of(store, "2026-11-26"), STORY[-1]])
    assert len(first) > 10
    assert again == first


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("*/*.json")), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_an_event_of_every_sender_comes_back_as_it_was(path):
    """Source, kind, identity, texts, labels and times survive the record and the timeline."""
    data = json.loads(path.read_text())
    headers = (
        {name.lower(): str(value) for name, value in (data.get("headers") or {}).items()} if "body" in data else {}
    )
    body = json.dumps(data.get("body", data)).encode()
    try:
        events = parsed(path.parent.name, headers, body, rules_of(RULES), NOW)
    except ParseError:
        events = ()
    events = tuple(event for event in events if event.action is None)
    lines = recorded(Events(events))
    back = [event_of(Fields("event", line["event"], Times(text=True)), NOW, 1) for line in lines]
    kept = {event.id: event for event in events}
    assert {event.id.removeprefix("event:") for event in back} == set(kept)
    for event in back:
        was = kept[event.id.removeprefix("event:")]
        assert event.fingerprint == was.fingerprint
        assert event.all_labels() == was.all_labels()
        for name in (
            "source",
            "kind",
            "status",
            "severity",
            "title",
            "summary",
            "url",
            "occurred_at",
            "starts_at",
            "ends_at",
        ):
            assert getattr(event, name) == getattr(was, name), name


def test_an_act_on_an_incident_is_kept_by_its_group():
    """Under other rules no incident has that id; its labels are what people meant."""
    store = MemoryStore()
    store.save(Incident(key="k", id="i1", version=1, episode=Episode(started_at=NOW), group={"service": "api"}))
    store.locate(["i1"], "k")
    found = recorded(
        Action(ActionKind.ACK, "ana", NOW, incident="i1"),
        Action(ActionKind.ACK, "ana", NOW, incident="gone"),
        Action(ActionKind.NOTE, "ana", NOW, incident="i1", note="private"),
        store=store,
    )
    assert found == [{"at": "2026-11-26T12:00:00Z", "ack": {"matchers": {"service": "api"}, "by": "ana"}}]


def test_what_brings_nothing_is_not_recorded():
    """Wake-ups, and what the router says of itself, are no causes."""
    (event,) = parsed("cloudflare", {}, b'{"text":"x","alert_type":"y","data":{}}', rules_of(RULES), NOW)
    router = type(event)(**{name: getattr(event, name) for name in event.__dataclass_fields__} | {"source": "router"})
    assert recorded(Wake("k"), Events((router,))) == []


def test_odd_silences_come_back():
    """Two matchers for one label are written as words, values that look like operators whole."""
    odd = (Matcher("a", "=", "=x"), Matcher("b", "=~", "y|z"))
    two = (Matcher("a", "!=", "xy"), Matcher("a", "=~", "x.*"))
    end = NOW + timedelta(hours=1)
    found = recorded(
        SetSilence(Silence("s1", odd, NOW, end, "ana")),
        SetSilence(Silence("s2", two, NOW, end, "ana"), maintenance=True),
    )
    assert found[0]["silence"]["matchers"] == {"a": "==x", "b": "=~y|z"}
    assert found[1]["maintenance"]["matchers"] == ["a!=xy", "a=~x.*"]
    replay = Replay(rules_of(RULES), list(enumerate([*found, {"at": at(5), "end": True}], 1)))
    list(replay.run())
    context = replay.simulator.store.context()
    assert {each.matchers for each in (*context.silences, *context.maintenance)} == {odd, two}


def test_a_late_sample_keeps_its_own_time():
    """The line is when it came; the sample says when it was measured."""
    sample = Sample("m", None, NOW - timedelta(minutes=3), {"z": "a"})
    (line,) = recorded(Samples((sample,)))
    assert line["sample"] == {"metric": "m", "value": None, "labels": {"z": "a"}, "at": "2026-11-26T11:57:00Z"}


def test_a_message_that_comes_twice_is_kept_once():
    """A worker that died before deleting leaves its messages to the next, and the same lines make the same item."""
    store, queue = MemoryStore(), MemoryQueue()
    recorder = Recorder(store, NOW)
    recorder.add(ExpireSilence("s1", "ana", NOW))
    recorder.put(history=queue, webhooks=MemoryQueue())
    for _ in range(2):
        record(Inbox(*queue.bodies), store=store, dead=MemoryQueue())
    assert len(lines_of(store, "2026-11-26")) == 1


def events(count, size=0):
    """So many different events."""
    (event,) = parsed("cloudflare", {}, b'{"text":"x","alert_type":"y","data":{}}', rules_of(RULES), NOW)
    fields = {name: getattr(event, name) for name in event.__dataclass_fields__}
    return tuple(type(event)(**{**fields, "id": f"e{n}", "summary": f"{n}" * size}) for n in range(count))


def test_a_storm_is_many_lines_in_few_items():
    """Thousands of events fill a handful of items, each small enough for one answer."""
    store, queue = MemoryStore(), MemoryQueue()
    for start in range(0, 4_000, 50):
        recorder = Recorder(store, NOW)
        recorder.add(Events(events(4_000)[start : start + 50]))
        recorder.put(history=queue, webhooks=MemoryQueue())
    writes = store.writes
    assert record(Inbox(*queue.bodies), store=store, dead=MemoryQueue()) == 4_000
    assert store.writes - writes < 10
    assert len(lines_of(store, "2026-11-26")) == 4_000


def test_items_are_bounded():
    """Lines that would be too much for one item are split; a single one is kept however large."""
    lines = [(NOW.timestamp(), "e", {"source": "s", "id": f"{n}", "summary": "x" * 100_000}) for n in range(40)]
    parts = [unpacked(data) for _, _, data in chunks(lines)]
    assert len(parts) > 2
    assert all(len(json.dumps(part)) <= MAX_RAW_BYTES for part in parts)
    assert sum(map(len, parts)) == 40


def test_days_are_kept_apart():
    """What came before midnight UTC is of the day before."""
    lines = [(NOW.timestamp() + hours * 3_600, "r", {"id": "s", "by": "a", "at": 0.0}) for hours in (13, 1)]
    assert [day for day, _, _ in chunks(lines)] == ["2026-11-26", "2026-11-27"]


def test_what_cannot_be_read_is_parked_and_harms_no_other():
    """Garbage goes to the dead letters with its reason; the rest is kept."""
    store, queue, dead = MemoryStore(), MemoryQueue(), MemoryQueue()
    recorder = Recorder(store, NOW)
    recorder.add(ExpireSilence("s1", "ana", NOW))
    recorder.put(history=queue, webhooks=MemoryQueue())
    inbox = Inbox("garbage", *queue.bodies, '{"v":1,"type":"wake","key":"k"}')
    assert record(inbox, store=store, dead=dead) == 1
    assert [body for body, _ in dead.dead_lettered] == ["garbage", '{"v":1,"type":"wake","key":"k"}']
    assert inbox.waiting == {}


def test_a_queue_that_refuses_is_announced_and_harms_no_alert(capsys):
    """The batch goes on; the log has a line and the router an event, which is not recorded itself."""
    history, webhooks = MemoryQueue(), MemoryQueue()
    history.fail_at = {1}
    recorder = Recorder(MemoryStore(), NOW)
    recorder.add(ExpireSilence("s1", "ana", NOW))
    recorder.put(history=history, webhooks=webhooks)
    (event,) = read_message(webhooks.bodies[0]).events
    assert (event.source, event.kind) == ("router", "history.gap")
    assert '"recorded": false' in capsys.readouterr().out
    assert recorded(Events((event,))) == []


def test_a_store_that_refuses_leaves_the_messages_in_the_queue():
    """Nothing is deleted before it is kept."""
    store, queue = MemoryStore(), MemoryQueue()
    recorder = Recorder(store, NOW)
    recorder.add(ExpireSilence("s1", "ana", NOW))
    recorder.put(history=queue, webhooks=MemoryQueue())
    inbox = Inbox(*queue.bodies)

    class Full(MemoryStore):
        """Refuses."""

        def keep_history(self, day, name, data):
            """Refuse."""
            raise NotStoredError("full")

    with pytest.raises(NotStoredError):
        record(inbox, store=Full(), dead=MemoryQueue())
    assert len(inbox.waiting) == 1


@pytest.mark.parametrize("kind", ["memory", "dynamodb"])
def test_items_of_a_day_are_read_one_after_the_other(kind, request):
    """Both stores give them in order of their names, and none of another day."""
    store = MemoryStore()
    if kind == "dynamodb":
        dynamodb = client("dynamodb", request.getfixturevalue("emulator"))
        store = DynamoStore(table_client(dynamodb.meta.endpoint_url), new_table(dynamodb))
    for name in ("b", "a", "b", "c"):
        store.keep_history("2026-11-26", name, name.encode())
    store.keep_history("2026-11-27", "d", b"d")
    assert store.history("2026-11-26", "") == ("a", b"a")
    assert store.history("2026-11-26", "a") == ("b", b"b")
    assert store.history("2026-11-26", "c") is None
    assert store.history("2026-11-25", "") is None
