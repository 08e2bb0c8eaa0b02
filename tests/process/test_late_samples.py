"""Samples that come late, twice and in any order: what fires is what the newest ones say."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.alert import AlertState
from chalicelib.core.metrics.sample import Sample
from chalicelib.messages.queue import samples_messages
from chalicelib.rules.file import load
from simulation.simulator import Simulator

START = datetime(2026, 3, 2, tzinfo=UTC)
RULE = 'alerts: [{{name: A, condition: "error_rate > 1%", {} group_wait: 0s, notification: [{{slack_channel: "#a"}}]}}]'
PLAIN = load(RULE.format("flapping: false,"))


def sample(minute, value):
    """The error rate of a minute."""
    return Sample("error_rate", value, START + timedelta(minutes=minute), {"service": "api"})


def outcome(batches, rules=PLAIN):
    """What fires, pends or ended after batches of samples that arrive one after the other, ten minutes later."""
    simulator = Simulator(rules, START)
    simulator.run_until(START + timedelta(minutes=10), inclusive=False)
    for batch in batches:
        simulator.post([body for each in batch for body in samples_messages([each])])
        simulator.settle()
    alerts = [alert for each in simulator.store.remembered() for alert in each.alerts.values()]
    return [(alert.state, alert.starts_at, alert.timers.pending_at, alert.ends_at) for alert in alerts]


VALUES = st.lists(st.sampled_from([0.0, 0.5, None]), min_size=1, max_size=9)
RULES = st.sampled_from(["", "for: 2m,", "keep_firing_for: 3m,", "for: 1m, keep_firing_for: 2m,", "no_data: ok,"])


@given(VALUES, RULES, st.randoms(use_true_random=False))
def test_shuffled_and_doubled_samples_of_a_batch_change_nothing(values, rule, chance):
    """Whatever the order in which a worker finds them, and however often, the alert is the same in every respect."""
    samples = [sample(minute, value) for minute, value in enumerate(values)]
    shuffled = chance.sample(samples * 2, 2 * len(samples))
    rules = load(RULE.format(rule))
    assert outcome([shuffled], rules) == outcome([samples], rules)


@given(VALUES, st.randoms(use_true_random=False))
def test_late_samples_do_not_undo_newer_ones(values, chance):
    """One by one in any order: in the end the alert fires if, and only if, the newest value says so."""
    samples = [sample(minute, value) for minute, value in enumerate(values)]
    late = outcome([[each] for each in chance.sample(samples * 2, 2 * len(samples))])
    known = [value for value in values if value is not None]
    firing = [state for state, *_ in late if state is AlertState.FIRING]
    if values[-1] is not None:
        assert bool(firing) is (values[-1] > 0.01)
    elif not known:
        assert not firing


LATE = [
    # values by minute of arrival: (minute, value), …; state; since; until
    ([(5, 0.0), (4, 0.5)], "resolved", 4, 5),
    ([(5, 0.5), (4, 0.0)], "firing", 5, None),
    ([(5, 0.5), (5, 0.5)], "firing", 5, None),
    ([(5, 0.5), (5, 0.0)], "firing", 5, None),
    ([(5, 0.5), (6, 0.0), (5.5, 0.5)], "resolved", 5, 6),
]


@pytest.mark.parametrize(("arrivals", "state", "since", "until"), LATE)
def test_a_late_sample(arrivals, state, since, until):
    """What came later in time stands; the first value of a time stays."""
    found = outcome([[sample(*each)] for each in arrivals])
    times = [None if minute is None else START + timedelta(minutes=minute) for minute in (since, until)]
    assert found == [(AlertState(state), times[0], None, times[1])]
