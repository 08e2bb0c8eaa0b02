"""One delivery: a notification for its target, and what a worker delivers it with."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from chalicelib.core.delivery.delivery_log import Result
from chalicelib.core.delivery.notification import Notification
from chalicelib.core.delivery.target_state import SAVE_TRIES, Slot, TargetState
from chalicelib.core.event import Event
from chalicelib.core.incident import Incident
from chalicelib.core.optimistic import updated
from chalicelib.core.ports import Store
from chalicelib.core.rule import Rules
from chalicelib.messages.queue import Handled, Queues, events_messages

MAX_AGE = timedelta(hours=6)
GRACE = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One call: what is to be sent, and what it works with."""

    notification: Notification
    store: Store
    queues: Queues
    now: datetime
    max_age: timedelta
    grace: timedelta
    rules: Rules
    incident: Incident | None = None

    @property
    def target(self) -> str:
        """Return the key of its target."""
        return self.notification.target.key

    def change_target_state(self, change: Callable[[TargetState], TargetState]) -> TargetState:
        """Save a change of the target's state, whoever else changes it; ConflictError when that does not end."""

        def save(target_state: TargetState) -> TargetState:
            changed = change(target_state)
            self.store.save_target_state(changed)
            return changed

        return updated("the state of a target", lambda: self.store.target_state(self.target), save, tries=SAVE_TRIES)

    def announce(self, *events: Event) -> None:
        """Report the router's own trouble."""
        self.queues.webhooks.put(events_messages(events))

    def result(self, slot: Slot, *, error: str = "", note: str = "") -> Result:
        """Return what came of it, for the timeline; not delivered, unless that is changed."""
        wanted = self.notification
        return Result(wanted.seq, self.now, wanted.reason.value, False, slot.tries, error, note)

    def later(self, delay: timedelta, note: str) -> Handled:
        """Come back."""
        return Handled(retry_after=delay, note=note, notification=self.notification)
