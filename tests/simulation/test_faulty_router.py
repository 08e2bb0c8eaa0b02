"""What goes wrong around the workers of a simulated life: schedules that come late and all at once, receives without a run."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from random import Random

from chalicelib.core.rule import Rules
from chalicelib.messages.queue import wake_message
from simulation.faulty import VISIBILITY, Rates
from simulation.faulty_router import MAX_HELD, FaultyRouter

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def test_ticks_that_are_held_back_come_all_at_once():
    """Given a throttled schedule, then minutes pass without a tick, each is made up for, and every one ends well."""
    router = FaultyRouter(Rules(), START, Random(1), Rates(held=1.0))
    router.clock.run_until(START + timedelta(hours=3))
    minutes = Counter((at - START) // MINUTE for at in router.clean_ticks)
    assert max(minutes.values()) > 2
    assert 0 < 181 - sum(minutes.values()) <= MAX_HELD
    router.clock.close()


def test_a_receive_without_a_run_hides_and_counts():
    """Given pollers that may start no worker, then a message is counted as received each time, and nobody sees it."""
    rates = Rates(unrun=1.0)
    router = FaultyRouter(Rules(), START, Random(1), rates)
    router.accept([wake_message("nobody")])
    router.clock.run_until(START + 10 * VISIBILITY)
    (waiting,) = router.queues["webhooks"].waiting.values()
    assert waiting.received_count >= 10
    assert waiting.first_received_at == START
    rates.unrun = 0.0
    router.clock.run_until(START + 12 * VISIBILITY)
    assert router.queues["webhooks"].waiting == {}
    assert router.queues["webhooks"].dead_lettered == []
    router.clock.close()
