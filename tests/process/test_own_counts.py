"""What workers count of their own work, from their messages to the one item that a scrape reads."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.core.delivery.notification import IncidentSnapshot, Notification, Reason
from chalicelib.core.errors import NotStoredError
from chalicelib.core.event import Event, Severity, Status
from chalicelib.core.metrics.sample import Sample
from chalicelib.core.rule import Target
from chalicelib.core.stage_counts import (
    DEAD_LETTERED,
    DELIVERIES,
    DELIVERY,
    EVENTS,
    PROCESSED,
    PROCESSING,
    RECEIVED,
    REFUSED,
    Series,
    Tally,
)
from chalicelib.messages.queue import Events, Failure, Handled, Message, Recorded, Samples, read_message, wake_message
from chalicelib.messages.webhook import Webhook, compressed, written
from chalicelib.process.own_counts import add_counts, count_batch, count_content, count_delivery, put_delivery_counts
from chalicelib.process.record import Recorder, record
from simulation.memory_store import MemoryStore
from tests.fakes import MemoryQueue
from tests.process.test_record import Inbox

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
URL = "https://hooks.example.com/services/T0/B0/secret"


def webhook(id: str, *, times: int = 1, source: str = "sentry") -> Message:
    """Return the message of a webhook that a worker has for the nth time."""
    return Message(id, written(Webhook(id, source, b"{}", NOW), compressed(b"{}")), "r", received_count=times)


def notification(target: Target) -> Notification:
    """Return one that was decided just now."""
    return Notification(
        id="n1", incident=IncidentSnapshot("i1", "k", NOW, 1), seq=1, target=target, reason=Reason.OPENED,
        status="firing", severity=Severity.WARNING, title="t", at=NOW, alerts=(),
    )  # fmt: skip


def event(status: Status = Status.FIRING) -> Event:
    """Return an event of Sentry."""
    return Event("e", "sentry", "error", status, Severity.WARNING, "t", "", NOW, "x")


def batch(messages: list[Message], failures: list[Failure]) -> dict[Series, float]:
    """Return what is counted of a batch that is done two seconds later."""
    tally = Tally()
    count_batch(tally, messages, failures, NOW + 2 * SECOND)
    return tally.sums


def test_a_webhook_is_received_once_and_processed_once() -> None:
    """Given a webhook that fails, and comes back and is done → one received with the first, one processed with the second."""
    assert batch([webhook("a")], [Failure("a", "away")]) == {(RECEIVED, "sentry"): 1}
    second = batch([webhook("a", times=2)], [])
    assert second == {(PROCESSED, "sentry"): 1, (PROCESSING, "2.5"): 1, (PROCESSING, "sum"): 2.0}


def test_a_dead_letter_is_counted_and_wakes_are_not() -> None:
    """Given a webhook that is dead-lettered, one that is garbage, and a wake-up → two dead letters and one received."""
    messages = [webhook("a"), Message("b", "garbage", "r"), Message("c", wake_message("k"), "r")]
    found = batch(messages, [Failure("a", "no", dead_letter=True), Failure("b", "no", dead_letter=True)])
    assert found == {(RECEIVED, "sentry"): 1, (DEAD_LETTERED, "webhooks"): 2}


def test_events_and_refusals_are_counted() -> None:
    """Given events and the samples of refused requests → events by status, and as many refusals as the sample says."""
    tally = Tally()
    count_content(tally, Events((event(), event(), event(Status.RESOLVED))))
    refused = Sample("webhooks_refused", 7, NOW, {"source": "sentry", "status": "401"})
    count_content(tally, Samples((refused, Sample("webhooks", 3, NOW, {"source": "sentry"}))))
    assert tally.sums == {
        (EVENTS, "sentry", "firing"): 2,
        (EVENTS, "sentry", "resolved"): 1,
        (REFUSED, "sentry", "401"): 7,
    }


ANSWERS: list[tuple[Handled, dict[Series, float]]] = [
    (
        Handled(delivered=True),
        {(DELIVERIES, "email:a@b.c", "delivered"): 1, (DELIVERY, "email", "5"): 1, (DELIVERY, "email", "sum"): 3.0},
    ),
    (Handled(retry_after=SECOND, failed=True), {(DELIVERIES, "email:a@b.c", "failed"): 1}),
    (
        Handled(dead_lettered="no"),
        {(DELIVERIES, "email:a@b.c", "given_up"): 1, (DEAD_LETTERED, "notifications"): 1},
    ),
    (Handled(retry_after=SECOND, note="waits for its turn"), {}),
    (Handled(note="superseded"), {}),
]


@pytest.mark.parametrize(("handled", "sums"), ANSWERS)
def test_what_came_of_a_try_is_counted_by_target(handled: Handled, sums: dict[Series, float]) -> None:
    """Given what became of a notification → its target's answer; nothing where no try was made."""
    tally = Tally()
    count_delivery(tally, replace(handled, notification=notification(Target("email", "a@b.c"))), NOW + 3 * SECOND)
    assert tally.sums == sums


def test_an_address_that_is_a_secret_is_in_no_label() -> None:
    """Given a target whose address is its secret → only its host is counted."""
    tally, history = Tally(), MemoryQueue()
    done = Handled(delivered=True, notification=notification(Target("webhook", URL)))
    count_delivery(tally, done, NOW)
    put_delivery_counts(done, history, NOW)
    assert "hooks.example.com" in str(tally.sums) and "secret" not in str(tally.sums) + str(history.bodies)


def test_a_history_queue_that_refuses_harms_no_delivery() -> None:
    """Given a queue that is away → nothing is raised; given nothing to count → the queue is not called."""
    away = MemoryQueue()
    away.fail_at = {1}
    put_delivery_counts(Handled(delivered=True, notification=notification(Target("email", "a@b.c"))), away, NOW)
    put_delivery_counts(Handled(note="done before"), away, NOW)
    assert away.calls == 1


def counted(*sums: dict[Series, float], store: MemoryStore) -> None:
    """Have `record` add what some batches counted."""
    queue = MemoryQueue()
    for each in sums:
        recorder = Recorder(store, NOW)
        recorder.add(Events((event(),)))
        recorder.tally.add_all(each)
        recorder.put(history=queue, webhooks=MemoryQueue())
    record(Inbox(*queue.bodies), store=store, dead=MemoryQueue())


def test_record_adds_up_what_was_counted() -> None:
    """Given two batches, then a third → one write for each run, and sums that grow; a run without counts writes none."""
    store = MemoryStore()
    counted({(RECEIVED, "sentry"): 1}, {(RECEIVED, "sentry"): 2}, store=store)
    counted({(RECEIVED, "vercel"): 1}, store=store)
    found = store.stage_counts()
    assert found.by_series() == {
        (RECEIVED, "sentry"): 3,
        (RECEIVED, "vercel"): 1,
        (EVENTS, "sentry", "firing"): 3,
    }
    assert found.version == 2
    record(Inbox(), store=store, dead=MemoryQueue())
    assert store.stage_counts() == found


def test_what_is_new_is_in_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    """Given counts of several sources and targets → one line with the sum of each, and nothing of times."""
    delivered, failed = (DELIVERIES, "email:a@b.c", "delivered"), (DELIVERIES, "email:a@b.c", "failed")
    sums = {(RECEIVED, "sentry"): 1, (RECEIVED, "vercel"): 2, delivered: 4, failed: 1, (DELIVERY, "email", "5"): 4}
    add_counts(MemoryStore(), sums)
    assert json.loads(capsys.readouterr().out) == {
        "stage": "record",
        "counted": {"deliveries_delivered": 4, "deliveries_failed": 1, "webhooks_received": 3},
    }


class Away(MemoryStore):
    """A store that does not take counts at first."""

    refuses = True

    def stage_counts(self):  # type: ignore[no-untyped-def]
        """Refuse once."""
        if self.refuses:
            self.refuses = False
            raise NotStoredError("the table is away")
        return super().stage_counts()


def test_counts_that_cannot_be_stored_come_back() -> None:
    """Given a table that refuses → the messages stay on the queue, and the next run counts them once."""
    store, queue = Away(), MemoryQueue()
    put_delivery_counts(Handled(delivered=True, notification=notification(Target("email", "a@b.c"))), queue, NOW)
    inbox = Inbox(*queue.bodies)
    with pytest.raises(NotStoredError):
        record(inbox, store=store, dead=MemoryQueue())
    inbox.hidden.clear()
    record(inbox, store=store, dead=MemoryQueue())
    assert store.stage_counts().by_series()[DELIVERIES, "email:a@b.c", "delivered"] == 1
    assert inbox.waiting == {}


def test_a_message_of_the_version_before_has_lines_alone() -> None:
    """Given the message of a version that counts nothing → its lines; one with counts keeps `lines` for that version."""
    assert read_message('{"v":1,"type":"history","lines":[]}') == Recorded((), {})
    queue = MemoryQueue()
    put_delivery_counts(Handled(delivered=True, notification=notification(Target("email", "a@b.c"))), queue, NOW)
    assert '"lines":[]' in queue.bodies[0]
