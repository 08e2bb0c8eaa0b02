"""What a stage counts of its own work: sums that only grow."""

from datetime import timedelta

from chalicelib.core.stage_counts import DELIVERY, EVENTS, MAX_SERIES, PROCESSING, StageCounts, Tally


def test_a_time_is_in_one_bucket_and_in_the_sum() -> None:
    """Given times at a bound, above it, beyond all and below zero → each is in one bucket, and all are in the sum."""
    tally = Tally()
    for seconds in (1.0, 1.1, 9_000, -5):
        tally.add_time(DELIVERY, "email", took=timedelta(seconds=seconds))
    assert tally.sums == {
        (DELIVERY, "email", "1"): 2,
        (DELIVERY, "email", "2.5"): 1,
        (DELIVERY, "email", "+Inf"): 1,
        (DELIVERY, "email", "sum"): 9_002.1,
    }


def test_sums_only_grow() -> None:
    """Given two additions → the sums of both, and the next version each time."""
    first = StageCounts().plus({(EVENTS, "sentry", "firing"): 2})
    second = first.plus({(EVENTS, "sentry", "firing"): 1, (EVENTS, "sentry", "resolved"): 4})
    assert second.by_series() == {(EVENTS, "sentry", "firing"): 3, (EVENTS, "sentry", "resolved"): 4}
    assert (first.version, second.version) == (1, 2)


def test_series_beyond_the_limit_are_counted_together() -> None:
    """Given more series than are kept → the others are of `other`, no count is lost, and a bucket keeps its bound."""
    many = StageCounts().plus({(EVENTS, f"s{number}", "firing"): 1 for number in range(MAX_SERIES + 50)})
    found = many.plus({(DELIVERY, "pager", "1"): 7, (PROCESSING, "1"): 3}).by_series()
    assert found[EVENTS, "other", "other"] == 50
    assert found[DELIVERY, "other", "1"] == 7
    assert found[PROCESSING, "1"] == 3
    assert sum(value for (name, *_), value in found.items() if name == EVENTS) == MAX_SERIES + 50
    assert len(found) <= MAX_SERIES + 3


def test_a_label_is_cut() -> None:
    """Given a text of a sender that is long → the series keeps its beginning."""
    tally = Tally()
    tally.add(EVENTS, "x" * 5_000, "firing")
    ((series, _),) = tally.sums.items()
    assert len(series[1]) == 120
