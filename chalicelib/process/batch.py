"""What one call of a stage works with: the ports, the rules, and the inputs gathered for each incident."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from chalicelib.core.context import Context
from chalicelib.core.event import Event
from chalicelib.core.incident import group_labels, incident_key
from chalicelib.core.inputs import Input
from chalicelib.core.ports import Queue, Store
from chalicelib.core.rule import Route, Rules


class Queues(Protocol):
    """The queues: what came in, what goes out, and events that only count."""

    @property
    def webhooks(self) -> Queue: ...
    @property
    def notifications(self) -> Queue: ...
    @property
    def counts(self) -> Queue: ...


@dataclass(slots=True)
class Work:
    """The inputs for one incident, and the messages they came in."""

    route: Route
    group: Mapping[str, str]
    inputs: list[Input] = field(default_factory=list)
    messages: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Batch:
    """What one call works with: the ports, the rules, the context as of its start, and the work by group key.

    `waiting` are events that only count, by the time until which they wait; None where all must be folded now.
    """

    rules: Rules
    store: Store
    queues: Queues
    now: datetime
    context: Context
    work: dict[str, Work] = field(default_factory=dict)
    events: int = 0
    waiting: dict[datetime, dict[str, Event]] | None = None

    def add(self, route: Route, labels: Mapping[str, str], given: Input, message: str) -> None:
        """One more input for the incident of this route and these labels."""
        group = group_labels(route, None, labels)
        work = self.work.setdefault(incident_key(route, group), Work(route, group))
        work.inputs.append(given)
        work.messages.add(message)

    def wake(
        self, key: str, route: Route, group: Mapping[str, str], message: str = "", given: Input | None = None
    ) -> None:
        """Look at an incident that exists."""
        work = self.work.setdefault(key, Work(route, group))
        work.messages.add(message)
        if given is not None:
            work.inputs.append(given)
