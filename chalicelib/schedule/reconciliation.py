"""One run of `repair`: what it works with, and what it has found so far."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from chalicelib.core.ports import Clients, Store
from chalicelib.core.rule import Rules
from chalicelib.messages.queue import Queues

if TYPE_CHECKING:
    from chalicelib.plugin_modules import HistoryModule

FARTHEST = timedelta(hours=24)
"""How far back a run looks."""
LIMITED = "history.limited"


@dataclass(slots=True)
class ReconcileReport:
    """What a run came to: by source (missed, looked at), and the troubles with their reason.

    A trouble is found by its kind and subject: a source, or `<source>:<endpoint>`. `retiring` has the endpoints whose
    end is to be reported in this run, by subject, each with what people must know.
    """

    missed: dict[str, tuple[int, int]] = field(default_factory=dict)
    troubles: dict[tuple[str, str], str] = field(default_factory=dict)
    retiring: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Reconciliation:
    """One run. `marks` are those of the context, which the run changes; `messages` are for the webhooks queue.

    `ends_at` is when the last request may begin, by `clock`. `undecided` are the sources and endpoints of which this run
    says nothing: their troubles go on.
    """

    rules: Rules
    store: Store
    queues: Queues
    clients: Clients
    now: datetime
    readers: Mapping[str, "HistoryModule"]
    marks: dict[str, str]
    clock: Callable[[], float]
    ends_at: float
    report: ReconcileReport = field(default_factory=ReconcileReport)
    messages: list[str] = field(default_factory=list)
    undecided: set[str] = field(default_factory=set)


def instant_or_none(text: str | None) -> datetime | None:
    """Return the instant of a mark; None where there is none, or it cannot be read."""
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
