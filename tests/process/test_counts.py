"""The counters of counted events: what a batch stores of them, and that nothing fails because of them."""

from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.core.errors import ConflictError, NotStoredError
from chalicelib.core.event import Status
from chalicelib.core.metrics.rollup import MICROSECOND, hour_start, minute_start
from chalicelib.messages.queue import events_messages
from chalicelib.process.counts import COUNTED, MAX_SERIES, STORED_AFTER, labels_of
from chalicelib.web.errors import increments, with_remembered
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


def stored(bench):
    """Return the times and values of all samples that the store was given, one call after another."""
    return [(each.at, each.value) for call in bench.store.calls for each in call]


def end_of(minutes):
    """Return the last instant of a minute after the start."""
    return minute_start(NOW) + timedelta(minutes=minutes + 1) - MICROSECOND


def test_a_new_count_begins_at_zero():
    """Given three errors in one batch → one sample before them, so that the page knows the series."""
    bench = Bench(store=Noting(), rules=RULES)
    assert bench.process(*errors(range(3))) == {}
    (samples,) = bench.store.calls
    assert [(each.metric, each.value, each.at) for each in samples] == [(COUNTED, 0.0, end_of(-1))]
    assert {(each.labels["rule"], each.labels["service"]) for each in samples} == {("Spike", "api")}
    assert bench.store.load(samples[0].labels["incident_key"]) is not None


def test_errors_of_one_hour_are_stored_together_with_the_first_of_another():
    """Given errors in three minutes of an hour → nothing more is stored, until one of the next hour stores each minute."""
    bench = Bench(store=Noting(), rules=RULES)
    for minute, numbers in {0: range(2), 5: range(2, 5), 6: range(5, 6), 59: range(6, 7)}.items():
        assert bench.process(*errors(numbers, seconds=60 * minute), now=NOW + timedelta(minutes=minute)) == {}
    assert len(bench.store.calls) == 1
    assert bench.process(*errors([7], seconds=3_600), now=NOW + timedelta(hours=1)) == {}
    assert stored(bench)[1:] == [
        (end_of(-1), 0.0),
        (end_of(0), 2.0),
        (end_of(5), 5.0),
        (end_of(6), 6.0),
        (end_of(59), 7.0),
    ]


def test_more_than_an_alert_remembers_is_stored_within_the_hour():
    """Given so many errors that the alert would forget some before the hour ends → what each minute had is stored."""
    bench = Bench(store=Noting(), rules=RULES)
    for minute in range(5):
        numbers = range(STORED_AFTER * minute, STORED_AFTER * (minute + 1))
        assert bench.process(*errors(numbers, seconds=60 * minute), now=NOW + timedelta(minutes=minute)) == {}
    assert set(stored(bench)) == {(end_of(minute - 1), float(STORED_AFTER * minute)) for minute in range(4 + 1)}


def test_after_days_of_silence_the_series_is_known_again():
    """Given an error two days after the last ones → what was counted before it is stored for the minute before it."""
    bench = Bench(store=Noting(), rules=RULES)
    assert bench.process(*errors(range(3))) == {}
    assert bench.process(*errors([3], seconds=2 * 86_400), now=NOW + timedelta(days=2)) == {}
    assert stored(bench)[-1] == (NOW + timedelta(days=2) - MICROSECOND, 3.0)


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(st.tuples(st.integers(0, 50), st.integers(0, 300), st.integers(1, 3)), min_size=1, max_size=25))
def test_stored_and_remembered_minutes_are_those_of_all_events(steps):
    """Given errors over hours, some of them late → stored and remembered minutes add up to each hour's events, each once."""
    bench, at, number, expected = Bench(store=MemoryStore(), rules=RULES), NOW, 0, Counter()
    for minutes, late, count in steps:
        at += timedelta(minutes=minutes)
        seconds = (at - NOW).total_seconds() - min(late, at.second + 60 * at.minute)
        assert bench.process(*errors(range(number, number + count), seconds=seconds), now=at) == {}
        number += count
        expected[hour_start(NOW + timedelta(seconds=seconds))] += count
    (labels,) = bench.store.label_sets(COUNTED)
    (alert,) = bench.store.load(labels["incident_key"]).alerts.values()
    assert labels == labels_of(alert, labels["incident_key"]) and alert.received.events == number
    found = bench.store.buckets(COUNTED, labels, NOW - timedelta(hours=1), at)
    sums = Counter()
    for when, rise in increments(with_remembered(found, alert.received, NOW - timedelta(hours=1), at)):
        sums[hour_start(when)] += rise
    assert {hour: rise for hour, rise in sums.items() if rise} == expected


def test_what_came_before_stores_nothing():
    """Given errors that were counted already → no sample, since no count has grown."""
    bench = Bench(store=Noting(), rules=RULES)
    assert bench.process(*errors(range(3))) == {}
    assert bench.process(*errors(range(3)), now=NOW + timedelta(seconds=30)) == {}
    assert len(bench.store.calls) == 1


@pytest.mark.parametrize("failure", [ConflictError("others were faster"), NotStoredError("the table is away")])
def test_nothing_fails_because_of_counts(failure):
    """Given a store without room for samples → the batch is worked through, and the next hour stores the whole count."""
    bench = Bench(store=Noting(failure), rules=RULES)
    assert bench.process(*errors(range(3))) == {}
    bench.store.failure = None
    later = NOW + timedelta(hours=1)
    assert bench.process(*errors(range(3, 5), seconds=3_600), now=later) == {}
    assert [each.value for each in bench.store.calls[-1]] == [0.0, 3.0]


def test_the_series_of_a_batch_are_bounded():
    """Given a batch with errors of more services than it stores → one call, with a sample for each of the first ones."""
    bench = Bench(store=Noting(), rules=RULES)
    assert bench.process(*[each for n in range(MAX_SERIES + 5) for each in errors([1], f"s{n}")]) == {}
    (samples,) = bench.store.calls
    assert len(samples) == MAX_SERIES
