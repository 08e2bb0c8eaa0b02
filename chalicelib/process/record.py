"""What happened, recorded so that changed rules can be tried on it: events as normalised and masked, samples, acts.

    process ──▶ history queue ──every five minutes──▶ record ──▶ the table, some hundred kilobytes an item, 35 days

`process` puts one message for each batch, after the batch is done and outside its writes to the table. `record` drains
the queue and packs what it finds into as few items as hold it. Both may run twice: an event counts once by its id
wherever it is replayed, so a double changes nothing. When the queue refuses, alerting goes on, and the router says once
that its history has a gap.

Cost, measured by bench/history.py: a million events that come alone are a million messages, their receipt in tens, and
154 bytes each in the table: $0.48 for SQS, $0.10 for writing and $0.04 a month for storing. In a storm ten and more
share a message and the bytes are 84: $0.12 in all. S3 would store it for a tenth, but is one more service to grant and
to clean up, and the difference is cents. Written to the table event by event it would be $0.63 a million, and one write
more for each fire; so it waits in the queue.
"""

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any, Protocol

from chalicelib import log
from chalicelib.core.beat import is_beat
from chalicelib.core.context import Silence
from chalicelib.core.errors import NotStoredError, ParseError
from chalicelib.core.event import ROUTER, Action, ActionKind, Event, Severity, Status
from chalicelib.core.instants import from_seconds
from chalicelib.core.lookup import incident_of
from chalicelib.core.match import Matcher
from chalicelib.core.metrics.sample import Sample
from chalicelib.core.ports import DeadLetters, Queue, Store
from chalicelib.core.stage_counts import Sums, Tally
from chalicelib.messages import codec
from chalicelib.messages.queue import (
    Events,
    ExpireSilence,
    Recorded,
    Samples,
    SetSilence,
    events_messages,
    history_messages,
    read_message,
)
from chalicelib.process.own_counts import add_counts, count_content

KEPT = timedelta(days=35)
MAX_RAW_BYTES = 1_500_000
"""Of one item before it is compressed: one answer of the API holds it."""
MAX_PACKED_BYTES = 350_000
MAX_ROUNDS = 8
ROUND_MESSAGES = 500
REPLAYED = {ActionKind.ACK: "ack", ActionKind.UNACK: "unack", ActionKind.RESOLVE: "resolve"}
"""What people do that changes what is sent; notes and assignments do not."""
VERSION = 1

Line = tuple[float, str, Any]
"""When it came (seconds since 1970), what it is (one of KINDS), and itself as `codec` writes it."""
KINDS = {"e": Event, "s": Sample, "a": Action, "h": Silence, "m": Silence, "r": ExpireSilence}


class Inbox(Protocol):
    """The queue of what is to be recorded."""

    def take(self) -> Sequence[Mapping[str, str]]:
        """Return some of the messages that wait (messageId, receiptHandle, body), hidden for a while; none when none waits."""
        ...

    def delete(self, receipts: Sequence[str]) -> None:
        """Delete messages that are done."""
        ...


# ---------------------------------------------------------------------------------------------------------------------
# Recording


class Recorder:
    """Collects what a batch of `process` brought, and puts it on the history queue."""

    def __init__(self, store: Store, now: datetime) -> None:
        self._store = store
        self._now = now
        self._lines: list[Line] = []
        self.tally = Tally()

    def add(self, content: object) -> None:
        """Add what a message brought; wake-ups bring nothing, and what the router says of itself is no cause."""
        count_content(self.tally, content)
        at = self._now.timestamp()
        if isinstance(content, Events):
            for event in content.events:
                if event.action is not None:
                    self._act(event.action)
                elif event.source != ROUTER:
                    self._lines.append((at, "e", codec.encode(event)))
        elif isinstance(content, Samples):
            self._lines += [(at, "s", codec.encode(sample)) for sample in content.samples]
        elif isinstance(content, Action):
            self._act(content)
        elif isinstance(content, SetSilence):
            self._lines.append((at, "m" if content.maintenance else "h", codec.encode(content.silence)))
        elif isinstance(content, ExpireSilence):
            self._lines.append((at, "r", codec.encode(content)))

    def _act(self, action: Action) -> None:
        """Keep an act on an incident by the labels of its group: under other rules no incident has its id."""
        if action.kind not in REPLAYED:
            return
        matchers = dict(action.matchers)
        if action.incident is not None:
            known = incident_of(self._store, action.incident)
            if known is None:
                return
            matchers = {**known.group, **matchers}
        kept = Action(action.kind, action.by, action.at, matchers=matchers, via=action.via, id=action.id)
        self._lines.append((self._now.timestamp(), "a", codec.encode(kept)))

    def put(self, *, history: Queue, webhooks: Queue) -> None:
        """Put it on the queue. A queue that refuses is no trouble of the batch: it is logged, and announced once."""
        messages = history_messages(self._lines, self.tally.sums)
        if not messages:
            return
        try:
            history.put(messages)
        except NotStoredError as error:
            log.line("history", recorded=False, reason=str(error), lines=len(self._lines))
            _announce(webhooks, self._now)


def _announce(webhooks: Queue, now: datetime) -> None:
    gap = Event(
        id=f"history.gap:{now:%Y-%m-%dT%H}",
        source=ROUTER,
        kind="history.gap",
        status=Status.FIRING,
        severity=Severity.WARNING,
        title="The recorded history has a gap",
        summary="What happened could not be put on the history queue. Notifications are sent all the same.",
        occurred_at=now,
        identity="history.gap",
    )
    try:
        webhooks.put(events_messages([gap]))
    except NotStoredError as error:
        log.line("history", announced=False, reason=str(error))


def record(inbox: Inbox, *, store: Store, dead: DeadLetters, now: datetime | None = None) -> int:
    """Move what waits in the queue into the store, some thousand messages at most; how many lines were kept."""
    kept = 0
    for _ in range(MAX_ROUNDS):
        messages = _drained(inbox)
        if not messages:
            break
        lines, sums = _read(messages.values(), dead)
        for day, name, data in chunks(lines):
            store.keep_history(day, name, data)
        add_counts(store, sums, now=now)
        inbox.delete(list(messages))
        kept += len(lines)
    return kept


def _read(bodies: Iterable[str], dead: DeadLetters) -> tuple[list[Line], Sums]:
    """Return the lines and sums of messages. What is no history is dead-lettered."""
    lines: list[Line] = []
    tally = Tally()
    for body in bodies:
        try:
            content = read_message(body)
            if not isinstance(content, Recorded):
                raise ParseError("the message on the history queue is no history")
        except ParseError as error:
            dead.dead_letter(body, str(error))
        else:
            lines += content.lines
            tally.add_all(content.sums)
    return lines, tally.sums


def _drained(inbox: Inbox) -> dict[str, str]:
    """Return the bodies that wait, by their receipts; so many that they are recorded long before they are seen again."""
    found: dict[str, str] = {}
    while len(found) < ROUND_MESSAGES:
        some = inbox.take()
        if not some:
            break
        found |= {each["receiptHandle"]: each["body"] for each in some}
    return found


def chunks(lines: Iterable[Line]) -> Iterator[tuple[str, str, bytes]]:
    """Yield the lines by day and in order, packed: (day, name, data) of each item. The same lines make the same items."""
    by_day: dict[str, list[Line]] = {}
    for line in once(sorted(lines, key=lambda each: each[0])):
        by_day.setdefault(f"{from_seconds(line[0]):%Y-%m-%d}", []).append(line)
    for day, some in by_day.items():
        for part in _parts(some):
            data = _packed(part)
            digest = blake2b(data, digest_size=6).hexdigest()
            yield day, f"{from_seconds(part[0][0]):%H:%M:%S.%f}#{digest}", data


def once(lines: Iterable[Line]) -> Iterator[Line]:
    """Yield the lines without events that were there before: a delivery that comes twice says nothing new."""
    seen: set[tuple[str, str]] = set()
    for line in lines:
        if line[1] == "e":
            key = (str(line[2].get("source")), str(line[2].get("id")))
            if key in seen:
                continue
            seen.add(key)
        yield line


def _parts(lines: Sequence[Line]) -> Iterator[Sequence[Line]]:
    raw = _raw(lines)
    if len(lines) < 2 or (len(raw) <= MAX_RAW_BYTES and len(zlib.compress(raw, 1)) <= MAX_PACKED_BYTES):
        yield lines
        return
    middle = len(lines) // 2
    yield from _parts(lines[:middle])
    yield from _parts(lines[middle:])


def _raw(lines: Sequence[Line]) -> bytes:
    return json.dumps({"v": VERSION, "lines": lines}, separators=(",", ":")).encode("ascii")


def _packed(lines: Sequence[Line]) -> bytes:
    return zlib.compress(_raw(lines), 9)


# ---------------------------------------------------------------------------------------------------------------------
# Reading


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """One stored item of a day: its lines in the form of a replay timeline, and the name that the next one follows."""

    lines: tuple[dict[str, Any], ...]
    name: str


def page(store: Store, day: str, after: str) -> HistoryPage | None:
    """Return the first item of a day (`2026-11-26`) whose name comes after; None when there is none."""
    found = store.history(day, after)
    if found is None:
        return None
    name, data = found
    return HistoryPage(tuple(map(_timeline_line, unpacked(data))), name)


def unpacked(data: bytes) -> list[Line]:
    """Return the lines of an item."""
    return [(float(at), str(kind), body) for at, kind, body in json.loads(zlib.decompress(bytes(data)))["lines"]]


def _timeline_line(line: Line) -> dict[str, Any]:
    """Return the line in the form that `tocsin replay` reads (docs/replay.md)."""
    at, kind, body = line
    found: dict[str, Any] = {"at": _stamp(from_seconds(at))}
    value: Any = codec.decode(KINDS[kind], body)
    if isinstance(value, Event):
        return found | _event(value, found["at"])
    if isinstance(value, Sample):
        said = {"metric": value.metric, "value": value.value, "labels": dict(value.labels)}
        return found | {"sample": said if _stamp(value.at) == found["at"] else {**said, "at": _stamp(value.at)}}
    if isinstance(value, Action):
        return found | {REPLAYED[value.kind]: {"matchers": dict(value.matchers), "by": value.by}}
    if isinstance(value, Silence):
        return found | {"maintenance" if kind == "m" else "silence": _silence(value)}
    return found | {"unsilence": {"id": value.id, "by": value.by}}


def _event(event: Event, at: str) -> dict[str, Any]:
    if is_beat(event):
        return {"beat": {"name": event.name, **event.labels, **({"output": event.summary} if event.summary else {})}}
    said: dict[str, Any] = {
        "name": event.name or event.kind,
        "labels": dict(event.labels),
        "annotations": dict(event.annotations),
        "status": event.status.value,
        "severity": event.severity.value,
        "starts_at": _stamp(event.starts_at) if event.starts_at else None,
        "ends_at": _stamp(event.ends_at) if event.ends_at else None,
        "id": event.id,
        "source": event.source,
        "kind": event.kind,
        "identity": event.identity,
        "title": event.title,
        "summary": event.summary,
        "url": event.url,
        "service": event.service,
        "environment": event.environment,
        "occurred_at": _stamp(event.occurred_at),
    }
    if said["occurred_at"] == at:
        del said["occurred_at"]
    return {"event": {name: value for name, value in said.items() if value not in (None, "", {}) or name == "labels"}}


def _silence(silence: Silence) -> dict[str, Any]:
    return {
        "id": silence.id,
        "matchers": _matchers(silence.matchers),
        "from": _stamp(silence.starts_at),
        "until": _stamp(silence.ends_at),
        "by": silence.by,
        "comment": silence.comment,
    }


def _matchers(matchers: Sequence[Matcher]) -> list[str] | Mapping[str, str]:
    """Return the matchers as a mapping, the form of the timeline; as words where two are for one label."""
    if len({each.label for each in matchers}) < len(matchers):
        return [each.written() for each in matchers]
    return {each.label: each.operator + each.value for each in matchers}


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds" if at.microsecond else "seconds").replace("+00:00", "Z")
