"""What every source promises: it reads any JSON, within bounds, and says the same of the same, whatever the order."""

import json
import random
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib import plugins
from chalicelib.core.errors import ParseError
from chalicelib.core.event import ROUTER, Event, Severity, Status
from chalicelib.core.instants import FIRST_YEAR, LAST_YEAR
from chalicelib.core.payload import coerce
from chalicelib.messages import codec
from chalicelib.messages.queue import Message, Queues
from chalicelib.messages.webhook import Webhook, compressed, written
from chalicelib.process.parse import read_content
from chalicelib.process.worker import process
from chalicelib.redact import redact_event
from chalicelib.rules.file import load
from simulation.memory_store import MemoryStore
from tests import extremes
from tests.fakes import MemoryQueue
from tests.sources.bodies import NOW, all_files, body, raw

SOURCES = plugins.names("sources")
SENTRY = {"sentry-hook-resource": "event_alert", "sentry-hook-timestamp": "soon"}
HEADERS: list[dict[str, str]] = [{}, SENTRY, {"sentry-hook-resource": "💥", "x-webhook-id": ""}]
FILES = all_files()
NOTHING = ("", "none", "null", "undefined")
MAX_EVENT_CHARACTERS = 90_000
WRITES = {"sns": ("sns", "cloudwatch", "eventbridge", ROUTER), "eventbridge": ("eventbridge", "cloudwatch")}
"""Senders that carry what others say: an event has the source that it is about, by whichever way it came."""
RULES = load("alerts: []\ndefault: {notification: [{slack_channel: '#all'}]}\n", filename="rules.yaml")
quick = settings(max_examples=40, deadline=None, database=None, derandomize=True)

texts = st.one_of(
    st.text(max_size=20), st.sampled_from(["null", "\ud800", "\x00", "x" * 9_000, "5", "resolved", "//x"])
)
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), texts)
WORDS = [
    "action",
    "data",
    "event",
    "issue",
    "alerts",
    "labels",
    "status",
    "id",
    "payload",
    "type",
    "text",
    "tags",
    "ts",
]
keys = st.one_of(st.sampled_from(WORDS), st.text(max_size=8))
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(keys, inner, max_size=6)),
    max_leaves=20,
)


def parsed(source: str, data: bytes, headers: dict[str, str], *, later: int = 0) -> list[Event]:
    """What the source makes of a body received then."""
    found: list[Event] = plugins.load("sources", source).parse(
        headers, data, received_at=NOW + timedelta(seconds=later)
    )
    return found


def check_sound(found: Event, source: str) -> None:
    """An event that everything behind may rely on."""
    assert found.source in WRITES.get(source, (source,))
    assert found.title.strip().lower() not in NOTHING and len(found.title) <= coerce.MAX_TITLE_CHARACTERS
    assert found.kind and len(found.kind) <= coerce.MAX_KIND_CHARACTERS
    assert 0 < len(found.id) <= 200 and 0 < len(found.identity) <= coerce.MAX_IDENTITY_CHARACTERS
    assert isinstance(found.status, Status) and isinstance(found.severity, Severity)
    assert found.occurred_at.utcoffset() == timedelta(0)
    assert found.url is None or found.url.startswith(("http://", "https://", "HTTP"))
    assert found.service != "" and found.environment != ""
    assert len(found.labels) <= coerce.MAX_LABELS and len(found.annotations) <= coerce.MAX_LABELS + 1
    for text in (found.title, found.summary, found.kind, *found.labels.values(), *found.annotations.values()):
        assert isinstance(text, str) and "\x00" not in text
        text.encode("utf-8")  # holds no lone surrogate
    whole = json.dumps(codec.encode(found))
    assert len(whole) <= MAX_EVENT_CHARACTERS
    assert codec.decode(Event, json.loads(whole)) == found


def shuffled(value: Any, rng: random.Random) -> Any:
    """The value with the fields of every object in another order."""
    if isinstance(value, dict):
        items = list(value.items())
        rng.shuffle(items)
        return {key: shuffled(each, rng) for key, each in items}
    return [shuffled(each, rng) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize("source", SOURCES)
@given(payload=st.dictionaries(keys, values, max_size=8), headers=st.sampled_from(HEADERS))
@quick
def test_any_object_is_read(source, payload, headers):
    """No object makes a source raise, and each comes to at least one sound event, masked or not."""
    found = parsed(source, json.dumps(payload).encode(), headers)
    assert found
    for each in found:
        check_sound(each, source)
        check_sound(redact_event(each), source)


@pytest.mark.parametrize("source", SOURCES)
@given(value=values.filter(lambda each: not isinstance(each, dict)))
@quick
def test_anything_else_is_refused_with_a_reason(source, value):
    """JSON that is no object raises ParseError, whose text holds nothing of the body."""
    with pytest.raises(ParseError, match="not an object"):
        parsed(source, json.dumps(value).encode(), {})


@pytest.mark.parametrize(("source", "name"), FILES, ids=[f"{source}-{name}" for source, name in FILES])
def test_real_bodies_are_sound_and_stable(source, name):
    """The same body has the same ids whenever it comes, with its fields in any order."""
    payload, rng = body(name), random.Random(name)
    first = parsed(source, raw(name), {})
    again = parsed(source, json.dumps(shuffled(payload, rng), indent=1).encode(), {}, later=301)
    for each in first:
        check_sound(each, source)
    assert [(each.id, each.fingerprint, each.title, each.labels) for each in first] == [
        (each.id, each.fingerprint, each.title, each.labels) for each in again
    ]


# ---------------------------------------------------------------------------------------------------------------------
# Mutations


def places(value: Any, depth: int = 0) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) of a JSON value."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in list(pairs):
        yield value, key
        if depth < 60:
            yield from places(each, depth + 1)


def deep(levels: int) -> Any:
    """Lists and objects in one another."""
    found: Any = "bottom"
    for level in range(levels):
        found = [found] if level % 2 else {"a": found}
    return found


ODD: list[Any] = [
    None, True, False, 0, -1, 10**40, 1e308, "", " ", "None", "null", [], {}, [[]], [None], {"": None}, ["a", "b"],
    {"id": {"id": []}}, "x" * 70_000, "\x00\x1b[31m\u202e", "\ud800\udfff", "\udc00", "🔥" * 400, "<!channel>", "a b\r\nc",
    "1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", deep(60), [{"labels": None}] * 50,
]  # fmt: skip


def mutated(payload: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """The body with up to six fields dropped, renamed or of another value."""
    found: dict[str, Any] = json.loads(json.dumps(payload))
    for _ in range(rng.randint(1, 6)):
        spots = list(places(found))
        if not spots:
            break
        container, key = rng.choice(spots)
        act = rng.random()
        if act < 0.3 and isinstance(container, dict):
            del container[key]
        elif act < 0.4 and isinstance(container, dict):
            container["\ud83d" + str(key)] = container.pop(key)
        else:
            container[key] = json.loads(json.dumps(rng.choice(ODD)))
    return found


@given(file=st.sampled_from(FILES), seed=st.integers(0, 2**32), headers=st.sampled_from(HEADERS))
@settings(quick, max_examples=400)
def test_mutated_real_bodies_are_read(file, seed, headers):
    """Dropped fields, nulls, other types, deep nesting, huge texts, control characters, lone surrogates: all are read."""
    source, name = file
    data = json.dumps(mutated(body(name), random.Random(seed))).encode()
    for each in parsed(source, data, headers):
        check_sound(redact_event(each), source)


def message(source: str, data: bytes) -> Message:
    """A webhook as a worker gets it."""
    webhook = Webhook(id="w", source=source, body=data, received_at=NOW)
    return Message("m1", written(webhook, compressed(data)), "r1")


@given(file=st.sampled_from(FILES), seed=st.integers(0, 2**32))
@settings(quick, max_examples=120)
def test_no_webhook_is_lost(file, seed):
    """Every mutated body that was accepted comes to events that are worked through, never to an error."""
    source, name = file
    sent = message(source, json.dumps(mutated(body(name), random.Random(seed))).encode())
    store = MemoryStore()
    queues = Queues(MemoryQueue(), MemoryQueue(), MemoryQueue())
    assert read_content(sent.body, store, RULES).events  # type: ignore[union-attr]
    assert process([sent], rules=RULES, store=store, queues=queues, now=NOW) == []


def with_times(value: Any, text: Any) -> Any:
    """The body with something else in place of every time."""
    if isinstance(value, dict):
        return {key: with_times(each, text) for key, each in value.items()}
    if isinstance(value, list):
        return [with_times(each, text) for each in value]
    return text if coerce.instant(value) is not None else value


@pytest.mark.parametrize(("source", "name"), FILES, ids=[f"{source}-{name}" for source, name in FILES])
def test_times_that_no_date_can_be_are_left_out(source, name):
    """A body whose times lie outside of our years is worked through, with the time at which it was received."""
    for text in (*extremes.TIMES, 1e308, -(10**400), "9" * 400):
        sent = message(source, json.dumps(with_times(body(name), text)).encode())
        store, queues = MemoryStore(), Queues(MemoryQueue(), MemoryQueue(), MemoryQueue())
        events = read_content(sent.body, store, RULES).events  # type: ignore[union-attr]
        times = [at for each in events for at in (each.occurred_at, each.starts_at, each.ends_at) if at is not None]
        assert times and all(FIRST_YEAR <= at.year <= LAST_YEAR for at in times)
        assert process([sent], rules=RULES, store=store, queues=queues, now=NOW) == []


@pytest.mark.parametrize("source", SOURCES)
def test_what_cannot_be_read_is_parked_and_told(source):
    """The body goes to the dead letters with its reason, and the router says so."""
    store, queues = MemoryStore(), Queues(MemoryQueue(), MemoryQueue(), MemoryQueue())
    (failure,) = process([message(source, b"[1]")], rules=RULES, store=store, queues=queues, now=NOW)
    assert failure.dead_letter and "not an object" in failure.reason
    (incident,) = store.incidents()
    assert [alert.sender.kind for alert in incident.firing] == ["webhook.unreadable"]


@pytest.mark.parametrize("source", SOURCES)
def test_the_shape_of_a_source(source):
    """A file has what the door and the worker ask for, says where its vendor's page is, and has a test of its own."""
    module = plugins.load("sources", source)
    assert source == module.NAME and isinstance(module.TITLE, str) and isinstance(module.SECRETS, tuple)
    assert all(callable(getattr(module, name)) for name in ("verify", "delivery_id", "parse"))
    assert "https://" in (module.__doc__ or "")
    assert (Path(__file__).parent / f"test_{source}.py").is_file()


@pytest.mark.parametrize("name", plugins.names("histories"))
def test_the_shape_of_a_history(name):
    """A reader of a vendor's history belongs to a source, names its endpoints, and has a test of its own."""
    module = plugins.load("histories", name)
    assert name in SOURCES and module.ENDPOINTS
    names = [endpoint.name for endpoint in module.ENDPOINTS]
    assert len(set(names)) == len(names) and ":" not in "".join(names)
    assert all(endpoint.what and callable(endpoint.read) for endpoint in module.ENDPOINTS)
    assert "https://" in (module.__doc__ or "")
    assert (Path(__file__).parents[1] / "histories" / f"test_{name}.py").is_file()
