"""Random lives: a fixed few of them, that they are what their seed says, and that a broken promise is seen."""

import os
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from chalicelib.core.delivery.delivery_log import DeliveryLog, delivery_log_key
from chalicelib.core.delivery.target_state import Slot, TargetState
from chalicelib.core.errors import NotStoredError
from chalicelib.core.incident import Episode, Incident
from chalicelib.core.notified import LastNotification, NotifiedState
from chalicelib.messages.queue import notification_message
from simulation import invariants, random_life
from simulation.faulty import Calls, FaultyQueue, FaultyStore, Rates
from simulation.faulty_router import FaultyRouter
from simulation.memory_store import MemoryStore
from simulation.random_life import START, Life, all_rules
from simulation.workers import Clock, Death
from tests.targets.samples import NOTIFICATION

ROOT = Path(__file__).resolve().parents[2]
CAUSE_ENDS_LAST = 2073
"""The seed of a life at whose end an alert waits for its flush, since what inhibited it ended a moment before."""
SEEDS = (*range(8), CAUSE_ENDS_LAST)
MANY_CAUSES = 41425
"""The seed of a life with several causes of inhibitions at one tick."""


@pytest.mark.parametrize("seed", SEEDS)
def test_every_promise_holds_in_a_random_life(seed):
    """Given a seed → no promise is broken in its life."""
    life = Life(seed).run()
    assert not life.broken, life.report(40)


def test_a_seed_is_one_life():
    """Given the same seed twice → everything happens at the same times in the same order."""
    assert Life(7).run().router.trace == Life(7).run().router.trace


def traced(hash_seed):
    """The trace of a life in a process of its own, in which texts have other hashes."""
    asked = [sys.executable, "-m", "simulation.random_life", "--seeds", "1", "--from", str(MANY_CAUSES), "--trace"]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run(asked, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.splitlines()[:-1]


@pytest.mark.acceptance
def test_a_seed_is_one_life_in_every_process():
    """Given processes that iterate their sets in other orders → the life of a seed is the same in each."""
    one, other = traced("0"), traced("2")
    assert len(one) > 100
    assert one == other


class Forgetful(FaultyQueue):
    """A queue that loses every third message."""

    def add(self, bodies, delay=timedelta(0)):
        """Keep two of three."""
        for body in bodies:
            if next(self._numbers) % 3:
                super().add([body], delay)


@pytest.mark.acceptance
@pytest.mark.parametrize("queue", ["webhooks", "notifications"])
def test_a_lost_message_breaks_a_promise(queue):
    """Given a queue that loses messages → some life out of five says which promise is broken, and how to see it again."""
    broken = []
    for seed in range(5):
        life = Life(seed)
        router = life.router
        router.queues[queue] = Forgetful(queue, router.calls, 28, router._waker(queue))
        if life.run().broken:
            broken.append(life.report(3))
    assert broken
    assert "python -m simulation.random_life --seeds 1 --from" in broken[0]


def test_the_summary_is_one_line(capsys):
    """Given lives that keep every promise → one line with their number and seeds."""
    assert random_life.main(["--seeds", "1", "--from", "2"]) == 0
    assert capsys.readouterr().out.startswith("sim: 1 lives from seed 2, ")


def calls(**rates):
    """Calls with these rates of failures."""
    return Calls(Clock(START), Random(1), Rates(**rates))


def test_the_index_lags_and_the_store_does_not():
    """Given an index that lags by two seconds → a saved incident loads at once, and is listed after two seconds."""
    made = calls(lag=timedelta(seconds=2))
    store = FaultyStore(MemoryStore(), made, lambda incident: None)
    store.save(Incident("key", id="i", version=1, episode=Episode(started_at=START), wake_at=START))
    assert store.load("key") is not None
    assert (list(store.incidents()), list(store.waking(START, 10))) == ([], [])
    made.clock.now = START + timedelta(seconds=2)
    assert [each.key for each in store.incidents()] == ["key"]
    assert list(store.waking(START, 10)) == [(START, "key")]


def test_a_write_may_succeed_although_its_call_fails():
    """Given lost answers → the call raises and the incident is stored. Given throttling → it is not."""
    for rates, stored in (({"unheard": 1.0}, True), ({"throttled": 1.0}, False)):
        store = FaultyStore(MemoryStore(), calls(**rates), lambda incident: None)
        with pytest.raises(NotStoredError):
            store.save(Incident("key", version=1))
        assert (store.inner.load("key") is not None) is stored


def test_a_batch_may_be_put_in_part_and_a_worker_may_die():
    """Given partial writes → half of the messages are there. Given deaths → the call raises what no worker catches."""
    queue = FaultyQueue("webhooks", calls(partial=1.0), 28, lambda at: None)
    with pytest.raises(NotStoredError):
        queue.put(["a", "b", "c", "d"])
    assert [each.body for each in queue.waiting.values()] == ["a", "b"]
    queue = FaultyQueue("webhooks", calls(death=1.0), 28, lambda at: None)
    with pytest.raises(Death):
        queue.put(["a"])


def test_workers_overlap_at_their_calls():
    """Given two workers whose calls take 3 s and 2 s → the second goes on first."""
    clock, order = Clock(START), []

    def work(name, seconds):
        clock.spend(timedelta(seconds=seconds))
        order.append((name, clock.now))

    clock.at(START, lambda: clock.start(lambda: work("slow", 3), lives=timedelta(minutes=1)))
    clock.at(START, lambda: clock.start(lambda: work("fast", 2), lives=timedelta(minutes=1)))
    clock.run_until(START + timedelta(minutes=1))
    clock.close()
    assert order == [("fast", START + timedelta(seconds=2)), ("slow", START + timedelta(seconds=3))]


def test_a_worker_that_lives_too_long_dies():
    """Given a call that outlasts the worker's time limit → nothing after the call runs."""
    clock, reached = Clock(START), []

    def work():
        clock.spend(timedelta(seconds=61))
        reached.append(clock.now)

    clock.at(START, lambda: clock.start(work, lives=timedelta(seconds=60)))
    clock.run_until(START + timedelta(minutes=2))
    clock.close()
    assert reached == []


def waiting(now, *, turn):
    """A router in which the second notification of an incident, decided at START, is not delivered at that time."""
    router = FaultyRouter(all_rules()[0], START, Random(1), Rates())
    waits = replace(NOTIFICATION, seq=2, at=START)
    target, incident = waits.target.key, waits.incident.id
    router.decided[waits.id] = waits
    announced = {target: NotifiedState(waits.target, open=True, last=LastNotification(2, waits.id))}
    router.memory.save(Incident("key", id=incident, version=1, episode=Episode(started_at=START), announced=announced))
    router.memory.save_delivery_log(DeliveryLog(delivery_log_key(incident, target), done_seq=1, version=1))
    router.memory.save_target_state(TargetState(target, {incident: turn}, version=1))
    router.clock.now = now
    return router


@pytest.mark.parametrize(("seq", "broken"), [(1, 0), (2, 1)])
def test_a_wait_begins_with_the_turn_of_what_waits(seq, broken):
    """Given a turn of long ago → it makes the wait long only where it is that of the notification that waits."""
    long_ago = START - invariants.MAX_AGE - invariants.LATENESS
    router = waiting(START, turn=Slot(seq, long_ago, long_ago, tries=1))
    router.down_until = long_ago
    assert len(list(invariants.silence_of_deliveries(router))) == broken


@pytest.mark.parametrize(("times", "broken"), [((0, 10), 0), ((0, 2), 0), ((0, 0), 1), ((0,), 1), ((-5, -10), 1)])
def test_a_message_that_no_worker_could_take_makes_the_wait_longer(times, broken):
    """Given messages hidden with no worker since the turn began → the wait may be longer by that time, each minute once."""
    long_ago = START - invariants.MAX_AGE - invariants.LATENESS - timedelta(seconds=100)
    router = waiting(START, turn=Slot(2, long_ago, long_ago, tries=1))
    router.down_until = long_ago
    (notification,) = router.decided.values()
    body = notification_message(notification)
    router.queues["notifications"].unrun = [(long_ago + timedelta(minutes=each), body) for each in times]
    assert len(list(invariants.silence_of_deliveries(router))) == broken


@pytest.mark.parametrize(("seconds", "broken"), [(0.1, 0), (59, 0), (60, 1)])
def test_a_delivery_may_be_on_its_way(seconds, broken):
    """Given a notification decided some seconds ago → it is no broken promise until it had its time."""
    router = waiting(START + timedelta(seconds=seconds), turn=Slot(2, START, START))
    assert len(list(invariants.everything_is_told(router))) == broken
