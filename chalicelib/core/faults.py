"""Which faults the events of a count are of: the top errors that a message names.

An alert that counts events holds a mark for each event that it remembers: one letter for its fault. The marks and
`ReceivedEvents.recent` have one order, so that the count of a fault is exact for every span of time. Only MAX_FAULTS
faults have a letter; of a fault that was dropped only its events are still counted.
"""

from bisect import insort
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from chalicelib.core.event import Event, fingerprint
from chalicelib.core.payload.coerce import instant

MAX_FAULTS = 12
MAX_TITLE, MAX_URL, MAX_RELEASE = 120, 300, 60
"""In characters. A longer address is left out, since half of one leads nowhere."""
OTHER = "-"
"""The mark of an event whose fault is not known: it was dropped, or the version before counted the event."""
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
SHORTEST_MEMORY = timedelta(hours=1)
"""A fault is called new only if the events of so long a time before it are remembered."""


@dataclass(frozen=True, slots=True)
class CountedFault:
    """One fault among the events of a count, in the words of its newest event.

    `first_at` is the time of its first event, as its sender says it (`is_dated`), else of the first that was counted.
    """

    fault: str
    title: str = ""
    url: str = ""
    release: str = ""
    first_at: datetime | None = None
    last_at: datetime | None = None
    is_dated: bool = False


@dataclass(frozen=True, slots=True)
class CountedFaults:
    """The faults of a count. `marks` has a letter for each remembered event, `known` the fault of each letter.

    `begun_at` is the time of the first event that got a mark, `dropped_at` that of the newest event of a dropped fault.
    """

    marks: str = ""
    known: tuple[CountedFault, ...] = ()
    begun_at: datetime | None = None
    dropped_at: datetime | None = None

    @property
    def complete_since(self) -> datetime | None:
        """Return since when every fault that came is known, so that another one is new."""
        return self.dropped_at or self.begun_at


@dataclass(frozen=True, slots=True)
class FaultShare:
    """How many of the events of a span were of one fault."""

    fault: CountedFault
    count: int


class FaultCounter:
    """The events of a count while more of them are added, and their faults."""

    def __init__(self, recent: Sequence[tuple[float, str]], counted: CountedFaults) -> None:
        """Begin with what is remembered. Marks that do not fit the events are of no use."""
        letters = dict(zip(_LETTERS, (each.fault for each in counted.known), strict=False))
        marks = counted.marks if len(counted.marks) == len(recent) else OTHER * len(recent)
        self._events = [(*event, letters.get(mark, OTHER)) for event, mark in zip(recent, marks, strict=True)]
        self._known = {each.fault: each for each in counted.known}
        self._begun_at, self._dropped_at = counted.begun_at, counted.dropped_at

    def add(self, event: Event, short: str) -> None:
        """Add one event that was not counted before."""
        fault = fingerprint(event.fingerprint)[:10]
        self._known[fault] = _after(self._known.get(fault), fault, event)
        self._begun_at = min(event.occurred_at, self._begun_at or event.occurred_at)
        insort(self._events, (event.occurred_at.timestamp(), short, fault))

    def recent(self, limit: int) -> tuple[tuple[float, str], ...]:
        """Return the newest events as an alert remembers them."""
        return tuple((at, short) for at, short, _ in self._events[-limit:])

    def counted(self, limit: int) -> CountedFaults:
        """Return the faults of the newest events: at most MAX_FAULTS, those with the most events first."""
        kept = self._events[-limit:]
        counts = Counter(fault for _, _, fault in kept)
        ranked = sorted(self._known.values(), key=lambda each: (-counts[each.fault], _newest_first(each), each.fault))
        known, dropped = tuple(ranked[:MAX_FAULTS]), ranked[MAX_FAULTS:]
        letters = dict(zip((each.fault for each in known), _LETTERS, strict=False))
        marks = "".join(letters.get(fault, OTHER) for _, _, fault in kept)
        return CountedFaults(marks, known, self._begun_at, _latest(self._dropped_at, dropped))


def _latest(before: datetime | None, dropped: Iterable[CountedFault]) -> datetime | None:
    times = [before, *(each.last_at for each in dropped)]
    return max((at for at in times if at is not None), default=None)


def _newest_first(known: CountedFault) -> float:
    return -known.last_at.timestamp() if known.last_at else 0.0


def _after(known: CountedFault | None, fault: str, event: Event) -> CountedFault:
    """Return a fault after one more event of it."""
    dated = instant(event.annotations.get("first_seen"))
    first_at = dated or event.occurred_at
    if known is None:
        return replace(_described(fault, event), first_at=first_at, last_at=event.occurred_at, is_dated=bool(dated))
    newest = known.last_at is None or event.occurred_at >= known.last_at
    words = _described(fault, event) if newest else known
    if known.first_at is not None and not (dated and not known.is_dated):
        first_at = min(first_at, known.first_at) if bool(dated) == known.is_dated else known.first_at
    last_at = max(event.occurred_at, known.last_at or event.occurred_at)
    return replace(words, first_at=first_at, last_at=last_at, is_dated=known.is_dated or bool(dated))


def _described(fault: str, event: Event) -> CountedFault:
    url = event.url if event.url and len(event.url) <= MAX_URL else ""
    return CountedFault(fault, event.title[:MAX_TITLE], url, event.labels.get("release", "")[:MAX_RELEASE])


def shares(
    recent: Sequence[tuple[float, str]], counted: CountedFaults, since: datetime, limit: int
) -> tuple[int, tuple[FaultShare, ...]]:
    """Return how many events are remembered from `since` on, and the faults with the most of them."""
    if len(counted.marks) != len(recent):
        return 0, ()
    start = since.timestamp()
    counts = Counter(mark for (at, _), mark in zip(recent, counted.marks, strict=True) if at >= start)
    found = [FaultShare(fault, counts[mark]) for mark, fault in zip(_LETTERS, counted.known, strict=False)]
    found = sorted((each for each in found if each.count), key=lambda each: -each.count)
    return counts.total(), tuple(found[:limit])


def is_new(fault: CountedFault, counted: CountedFaults, since: datetime) -> bool | None:
    """Return whether a fault first came at or after `since`; None where too little is remembered to know."""
    if fault.first_at is None:
        return None
    if fault.first_at < since:
        return False
    if fault.is_dated:
        return True
    remembered = counted.complete_since
    return True if remembered is not None and remembered <= since - SHORTEST_MEMORY else None


def fault_bytes(counted: CountedFaults) -> int:
    """Return how much text there is of the faults."""
    return sum(len(text.encode("utf-8", "surrogatepass")) for text in _texts(counted.known))


def within(counted: CountedFaults, size: int) -> CountedFaults:
    """Return the first faults, as many as fit into so many bytes. Marks of the others name no fault."""
    kept: list[CountedFault] = []
    for each in counted.known:
        size -= fault_bytes(CountedFaults(known=(each,)))
        if size < 0:
            break
        kept.append(each)
    letters: Mapping[str, str] = {letter: letter for letter in _LETTERS[: len(kept)]}
    marks = "".join(letters.get(mark, OTHER) for mark in counted.marks)
    dropped_at = _latest(counted.dropped_at, counted.known[len(kept) :])
    return CountedFaults(marks, tuple(kept), counted.begun_at, dropped_at)


def _texts(known: Iterable[CountedFault]) -> Iterable[str]:
    for each in known:
        yield from (each.fault, each.title, each.url, each.release)
