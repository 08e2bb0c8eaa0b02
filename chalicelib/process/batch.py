"""What one call of a stage works with: the ports, the rules, and the inputs gathered for each incident."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from chalicelib.core.context import Context
from chalicelib.core.correlation import Head
from chalicelib.core.event import Action, Event, Status
from chalicelib.core.identity import Proposal
from chalicelib.core.incident import Incident, group_labels, incident_key
from chalicelib.core.inputs import AlertInput, EventInput, Input, alert_fingerprint
from chalicelib.core.metrics.sample import Sample
from chalicelib.core.ports import Store
from chalicelib.core.rule import Route, Rules
from chalicelib.messages.queue import Queues
from chalicelib.process.rates import SourceRates


@dataclass(frozen=True, slots=True)
class Arrival:
    """An event that goes first to where its fault is open, and where rules and routes would lead it otherwise.

    With `only_if_held` it goes nowhere else.
    """

    event: Event
    proposals: tuple[Proposal, ...]
    message: str
    only_if_held: bool = False


@dataclass(slots=True)
class IncidentUpdate:
    """The inputs for one incident, and the messages they came in.

    `led` are the inputs that came of arrivals, with their arrival: they may be led again. `done` is true once the
    incident was updated with all of the inputs.
    """

    route: Route
    group: Mapping[str, str]
    inputs: list[Input] = field(default_factory=list)
    messages: set[str] = field(default_factory=set)
    led: list[tuple[Input, Arrival]] = field(default_factory=list)
    done: bool = False


@dataclass(frozen=True, slots=True)
class Routed:
    """What was measured, counted or received, the route to which the rules lead it, and the labels it is grouped by there."""

    route: Route
    labels: Mapping[str, str]
    given: AlertInput
    message: str

    @property
    def key(self) -> str:
        """Return the key of the incident to which the rules lead it."""
        return incident_key(self.route, group_labels(self.route, self.labels))


@dataclass(slots=True)
class Batch:
    """What one call works with: the ports, the rules, the context as of its start, and an update for each incident.

    `updates` are by group key. `arrivals` are events that have no incident yet, `routed` what goes by rules and routes,
    `actions` what people did, each with its message. `stored` are incidents as they were read, None where none is stored.
    `waiting` are events that only count, by the time until which they wait. None: all must be folded now. `waits` are the
    messages of those that were set aside at once, by the keys of the incidents that wait for them. `heads` are the newest
    correlated incidents by the names of their values, `older` those before them by their slots, `news` what joined them in this batch, by
    their keys. `ended` are the ends that were led in this batch and not followed by a beginning, by the incident's key and the
    alert's fingerprint. `rates` are the events of each source in this minute, `capped` the names of those above the cap,
    `merged` those of them that wait in another one. `counted` are samples of what rules have counted (counts.py).
    `reported` are the keys of the incidents that changed in a storm, by the key of the storm.
    """

    rules: Rules
    store: Store
    queues: Queues
    now: datetime
    context: Context
    updates: dict[str, IncidentUpdate] = field(default_factory=dict)
    events: int = 0
    arrivals: list[Arrival] = field(default_factory=list)
    routed: list[Routed] = field(default_factory=list)
    actions: list[tuple[Action, str]] = field(default_factory=list)
    stored: dict[str, Incident | None] = field(default_factory=dict)
    waiting: dict[datetime, dict[str, Event]] | None = None
    rates: SourceRates | None = None
    capped: set[str] = field(default_factory=set)
    merged: set[tuple[datetime, str]] = field(default_factory=set)
    waits: dict[str, set[str]] = field(default_factory=dict)
    heads: dict[str, Head | None] = field(default_factory=dict)
    older: dict[str, dict[str, Head]] = field(default_factory=dict)
    news: dict[str, datetime] = field(default_factory=dict)
    ended: dict[tuple[str, str], datetime] = field(default_factory=dict)
    counted: dict[tuple[str, str], list[Sample]] = field(default_factory=dict)
    reported: dict[str, set[str]] = field(default_factory=dict)

    def set_aside(self, event: Event, until: datetime) -> None:
        """Have an event wait, once however often it came. One above the cap of its source waits in the newest like it."""
        assert self.waiting is not None
        waiting, name = self.waiting.setdefault(until, {}), _name(event)
        if name in self.capped:
            if (until, name) in self.merged:
                return
            self.merged.add((until, name))
            labels = ",".join(f"{label}={text}" for label, text in sorted(event.all_labels().items()))
            name = f"{event.source} {event.fingerprint} {labels}"
            event = _with_repeats(event, waiting.get(name))
        waiting[name] = event

    def cap(self, event: Event) -> None:
        """Count an event of a source; above the cap it is only counted, if it turns out to be a repeat."""
        if self.rates is not None and self.waiting is not None and self.rates.is_over(event, self.now):
            self.capped.add(_name(event))

    def read(self, keys: Collection[str]) -> None:
        """Read the incidents of these keys that were not read yet."""
        missing = [key for key in keys if key not in self.stored]
        if missing:
            found = self.store.load_all(missing)
            self.stored |= {key: found.get(key) for key in missing}

    def add(self, route: Route, labels: Mapping[str, str], given: AlertInput, message: str) -> None:
        """Take in what was measured, counted or received, for the incident of this route and these labels."""
        self.routed.append(Routed(route, labels, given, message))

    def add_routed(self, routed: Routed) -> None:
        """Add it to the update of the incident to which the rules lead it."""
        group = group_labels(routed.route, routed.labels)
        self.wake(routed.key, routed.route, group, routed.message, routed.given)

    def wake(
        self, key: str, route: Route, group: Mapping[str, str], message: str = "", given: Input | None = None
    ) -> None:
        """Look at an incident that exists."""
        update = self.updates.setdefault(key, IncidentUpdate(route, group))
        update.messages.add(message)
        update.done = False
        if given is not None:
            update.inputs.append(given)

    def update_first(self, key: str) -> None:
        """Update an incident before all others: what ended there begins in one of them."""
        others = {name: self.updates.pop(name) for name in [*self.updates] if name != key}
        self.updates.update(others)

    def lead(self, key: str, route: Route, group: Mapping[str, str], given: EventInput, arrival: Arrival) -> None:
        """Give an incident the event of an arrival, or an end of the same fault that arrived before it."""
        self.wake(key, route, group, arrival.message, given)
        self.updates[key].led.append((given, arrival))
        self._note_end(key, given)

    def _note_end(self, key: str, given: EventInput) -> None:
        event, alert = given.event, alert_fingerprint(given)
        if event.status is Status.RESOLVED:
            self.ended[key, alert] = event.ends_at or event.occurred_at
        else:
            self.ended.pop((key, alert), None)

    def take_back(self, key: str) -> None:
        """Take from an incident what was led to it, so that it is led again by what is stored now."""
        update = self.updates[key]
        taken = {id(given) for given, _ in update.led}
        update.inputs = [each for each in update.inputs if id(each) not in taken]
        self.arrivals += {id(arrival): arrival for _, arrival in update.led}.values()
        update.led = []
        self.stored.clear()
        self.ended.clear()


def _name(event: Event) -> str:
    return f"{event.source}/{event.id}"


def _with_repeats(event: Event, known: Event | None) -> Event:
    """Return the newer one of two events, which stands for both."""
    if known is None:
        return event
    newer = max(known, event, key=lambda each: each.occurred_at)
    return replace(newer, repeats=known.repeats + event.repeats + 1)
