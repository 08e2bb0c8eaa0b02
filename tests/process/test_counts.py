"""The counters of counted events: what a batch stores of them, and that nothing fails because of them."""

from datetime import timedelta

import pytest

from chalicelib.core.errors import ConflictError, NotStoredError
from chalicelib.core.event import Status
from chalicelib.core.metrics.rollup import MICROSECOND, minute_start
from chalicelib.messages.queue import events_messages
from chalicelib.process.counts import COUNTED, MAX_SERIES
from simulation.memory_store import MemoryStore
from tests.process.test_worker import NOW, Bench
from tests.scenario import event, rules_of

RULES = rules_of("""
alerts:
  - name: Spike
    match: {kind: check}
    condition: "events[1m] > 10"
    group_by: [service]
    notification: [{slack_channel: "#alerts"}]
default: {notification: [{slack_channel: "#alerts"}]}
""")


class Noting(MemoryStore):
    """A store that notes the samples it is given, and may have no room for them."""

    def __init__(self, failure=None):
        super().__init__()
        self.failure, self.calls = failure, []

    def add_samples(self, samples):
        """Note them; fail or store."""
        self.calls.append(list(samples))
        if self.failure:
            raise self.failure
        super().add_samples(samples)


def errors(numbers, service="api", seconds=0):
    """The messages of some errors of a service."""
    at = NOW + timedelta(seconds=seconds)
    made = [event("TypeError", Status.FIRING, at, {"service": service}, id=f"{service}-{n}") for n in numbers]
    return [message for each in made for message in events_messages([each])]


def test_a_batch_stores_the_whole_count_once():
    """Given three errors in one batch → one call with the count of now, and with that of before, which is zero."""
    bench = Bench(store=Noting(), rules=RULES)
    assert bench.process(*errors(range(3))) == {}
    (samples,) = bench.store.calls
    assert [(each.metric, each.value, each.at) for each in samples] == [
        (COUNTED, 0.0, minute_start(NOW) - MICROSECOND),
        (COUNTED, 3.0, NOW),
    ]
    assert {(each.labels["rule"], each.labels["service"]) for each in samples} == {("Spike", "api")}
    assert bench.store.load(samples[0].labels["incident_key"]) is not None


def test_what_came_before_stores_nothing():
    """Given errors that were counted already → no sample, since no count has grown."""
    bench = Bench(store=Noting(), rules=RULES)
    assert bench.process(*errors(range(3))) == {}
    assert bench.process(*errors(range(3)), now=NOW + timedelta(seconds=30)) == {}
    assert len(bench.store.calls) == 1


@pytest.mark.parametrize("failure", [ConflictError("others were faster"), NotStoredError("the table is away")])
def test_nothing_fails_because_of_counts(failure):
    """Given a store without room for samples → the batch is worked through, and the next one stores the whole count."""
    bench = Bench(store=Noting(failure), rules=RULES)
    assert bench.process(*errors(range(3))) == {}
    bench.store.failure = None
    later = NOW + timedelta(seconds=70)
    assert bench.process(*errors(range(3, 5), seconds=70), now=later) == {}
    assert [each.value for each in bench.store.calls[-1]] == [3.0, 5.0]


def test_the_series_of_a_batch_are_bounded():
    """Given a batch with errors of more services than it stores → one call, with two samples for each of the first ones."""
    bench = Bench(store=Noting(), rules=RULES)
    assert bench.process(*[each for n in range(MAX_SERIES + 5) for each in errors([1], f"s{n}")]) == {}
    (samples,) = bench.store.calls
    assert len(samples) == 2 * MAX_SERIES
