"""The deliveries of one incident to one target, in order: how far they are, and what the target answered.

Who may send now is in the target's state (`target_state.py`): the claim is made there, the outcome recorded here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from chalicelib.core.delivery.notification import MAX_ALERTS, Notification, Reason, Receipt
from chalicelib.core.stored import stored_as

MAX_RESULTS = 100


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one notification: `at` is when it was delivered or given up, `error` why it was given up.

    `note` is what people should know all the same: that it went out plain, that it may have been sent twice.
    """

    seq: int
    at: datetime
    reason: str
    delivered: bool
    attempts: int = 1
    error: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class DeliveryLog:
    """`done_seq` is the newest notification delivered, given up or left out.

    `dead_lettered` is set when the newest was given up: how often it had been played back by then. `in_doubt` says that it may
    have arrived all the same. `untold` is true while everything so far was given up: then there is nothing to resolve.
    `doubles` counts deliveries that may have been made twice. `results` are those of the newest notifications: they are
    written with the record, so that a timeline costs nothing. `firing` are the alerts that the target
    received as firing and not yet as resolved: the rank of the severity that it received, by fingerprint.
    """

    key: str
    done_seq: int = 0
    dead_lettered: int | None = stored_as("parked", default=None)
    in_doubt: bool = False
    untold: bool = False
    doubles: int = 0
    receipt: Mapping[str, str] = field(default_factory=dict)
    results: tuple[Result, ...] = ()
    firing: Mapping[str, int] = field(default_factory=dict)
    version: int = 0

    def has_done(self, wanted: Notification) -> bool:
        """Return whether it needs no sending: it is dealt with, or a later one is. The newest may be played back."""
        return wanted.seq <= self.done_seq and not self.is_played_back(wanted)

    @property
    def silent(self) -> bool:
        """Return whether nothing was ever delivered here."""
        return self.done_seq == 0 or self.untold

    @property
    def has_ended(self) -> bool:
        """Return whether the newest that the target received is the end; not where what came after may have arrived."""
        newest = next((each for each in reversed(self.results) if each.delivered), None)
        return newest is not None and newest.reason == Reason.RESOLVED.value and not self.in_doubt

    @property
    def has_nothing_open(self) -> bool:
        """Return whether the target knows nothing of what fires: it received nothing, or the end and no beginning since."""
        return self.silent or self.has_ended

    def received_at(self, seq: int) -> datetime | None:
        """Return when the target received its newest notification; None while that of number `seq` is on its way."""
        if self.done_seq < seq:
            return None
        delivered = (each.at for each in reversed(self.results) if each.delivered and each.reason != Reason.SYNC.value)
        return next(delivered, None)

    def is_played_back(self, wanted: Notification) -> bool:
        return (
            wanted.seq == self.done_seq
            and self.dead_lettered is not None
            and wanted.hints.played_back > self.dead_lettered
        )


def delivery_log_key(incident: str, target: str) -> str:
    """Return the stored key of the delivery log of an incident (its id) and a target (its key)."""
    return f"{incident}/{target}"


def delivered(
    delivery_log: DeliveryLog, done: Notification, receipt: Receipt, result: Result, *, in_doubt: bool
) -> DeliveryLog:
    """Return the log after a delivery. Values of receipts add up; new ones win.

    `in_doubt` says that an earlier try may have arrived. The doubt stays while the target only left out a silent change.
    """
    untold = delivery_log.untold and not in_doubt and done.reason is Reason.SYNC
    return replace(
        _done(delivery_log, done, result),
        in_doubt=in_doubt and not receipt.sent,
        untold=untold,
        doubles=delivery_log.doubles + receipt.doubled,
        receipt={**delivery_log.receipt, **receipt.values},
        firing=_received(delivery_log, done) if receipt.sent else delivery_log.firing,
    )


def _received(delivery_log: DeliveryLog, done: Notification) -> dict[str, int]:
    """Return what the target knows as firing after the notification. A resolve leaves none."""
    if done.reason is Reason.RESOLVED:
        return {}
    ended = {each.fingerprint for each in done.alerts if each.status == "resolved"}
    seen = (each for each in done.alerts if each.status != "resolved" and not each.muted_by)
    firing = {each.fingerprint: each.severity.rank for each in seen}
    before = delivery_log.firing if done.target.send_resolved else {}
    known = {name: rank for name, rank in {**before, **firing}.items() if name not in ended}
    return dict([*known.items()][-MAX_ALERTS:])


def given_up(delivery_log: DeliveryLog, done: Notification, result: Result, *, in_doubt: bool) -> DeliveryLog:
    """Return the log after giving up, from which it may be played back."""
    untold = delivery_log.silent and not in_doubt
    return replace(
        _done(delivery_log, done, result), dead_lettered=done.hints.played_back, in_doubt=in_doubt, untold=untold
    )


def left_out(delivery_log: DeliveryLog, done: Notification, result: Result) -> DeliveryLog:
    """Return the log after what needed no sending: the resolve of what was never sent here."""
    return replace(_done(delivery_log, done, result), untold=delivery_log.silent)


def _done(delivery_log: DeliveryLog, done: Notification, result: Result) -> DeliveryLog:
    return replace(
        delivery_log,
        done_seq=done.seq,
        dead_lettered=None,
        in_doubt=False,
        results=(*delivery_log.results, result)[-MAX_RESULTS:],
        version=delivery_log.version + 1,
    )
