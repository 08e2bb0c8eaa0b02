"""Many workers at one target, on the table of the emulator: each message once, none lost, in a storm of claims."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from threading import Lock

from chalicelib.aws.dynamodb import DynamoStore
from chalicelib.core.delivery.delivery_log import DeliveryLog
from chalicelib.core.delivery.notification import DeliveryHints, Notification, Receipt
from chalicelib.core.incident import Incident
from chalicelib.core.rule import Rules, Target
from chalicelib.deliver.worker import deliver
from chalicelib.messages.queue import Handled, Queues, notification_message
from tests.aws.tables import client, new_table, table_client
from tests.fakes import MemoryQueue
from tests.targets import samples

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
WORKERS = 16


class Crowd:
    """Workers that take the same or different notifications at once, and what the target got."""

    def __init__(self, endpoint: str, target: Target) -> None:
        dynamodb = client("dynamodb", endpoint)
        self.store = DynamoStore(table_client(dynamodb.meta.endpoint_url), new_table(dynamodb))
        self.queues = Queues(MemoryQueue(), MemoryQueue(), MemoryQueue())
        self.target = target
        self.got: list[str] = []
        self._lock = Lock()

    def notification(self, incident: str, crowd: int = 1) -> Notification:
        """One that a saved incident has committed to, decided with so many others."""
        named = samples.of_incident(samples.NOTIFICATION, id=incident, key=incident)
        one = replace(named, id=incident, hints=DeliveryHints(crowd=crowd), target=self.target, at=NOW)
        self.store.save(Incident(incident, id=incident, committed=(one.id,), version=1))
        return one

    def deliver(self, notifications: list[Notification], now: datetime = NOW) -> list[Handled]:
        """All at once."""
        with ThreadPoolExecutor(WORKERS) as pool:
            return list(pool.map(lambda one: self._deliver(one, now), notifications))

    def _deliver(self, one: Notification, now: datetime) -> Handled:
        return deliver(
            notification_message(one),
            rules=Rules(),
            store=self.store,
            queues=self.queues,
            clients=samples.FakeClients(),
            now=now,
            send=self._send,
        )

    def _send(self, one: Notification, delivery_log: DeliveryLog) -> Receipt:
        with self._lock:
            self.got.append(one.incident.id)
        return Receipt()


def test_one_notification_in_many_hands_is_sent_once(emulator: str) -> None:
    """One worker has it; the others come back or see that it is done."""
    crowd = Crowd(emulator, Target("webhook", "out"))
    outcomes = crowd.deliver([crowd.notification("i")] * 40)
    assert crowd.got == ["i"]
    assert sum(outcome.delivered for outcome in outcomes) == 1
    assert all(outcome.delivered or outcome.retry_after or outcome.note == "done before" for outcome in outcomes)


def test_many_notifications_of_one_target_all_arrive(emulator: str) -> None:
    """Whoever loses the race for the lane too often comes back; nobody is lost and nobody told twice."""
    crowd = Crowd(emulator, Target("webhook", "out"))
    left = [crowd.notification(f"i{n}") for n in range(60)]
    now = NOW
    for _ in range(20):
        outcomes = crowd.deliver(left, now)
        left = [one for one, outcome in zip(left, outcomes, strict=True) if outcome.retry_after is not None]
        now += max((outcome.retry_after for outcome in outcomes if outcome.retry_after), default=now - now)
        if not left:
            break
    assert sorted(crowd.got) == sorted(f"i{n}" for n in range(60))


def test_a_storm_in_one_channel_gets_places_a_second_apart(emulator: str) -> None:
    """Of workers that all want to go now one does; each of the others has a second of its own."""
    crowd = Crowd(emulator, Target("slack_channel", "#x"))
    crowd.deliver([crowd.notification(f"i{n}", crowd=30) for n in range(30)])
    assert len(crowd.got) == 1
    places = sorted(turn.at for turn in crowd.store.target_state("slack_channel:#x").slots.values() if turn.queued)
    assert len(places) >= 15
    assert all((later - earlier).total_seconds() >= 1 for earlier, later in itertools.pairwise(places))
