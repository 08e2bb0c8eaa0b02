"""What the door says of who came and who was refused, and how seldom."""

from datetime import UTC, datetime, timedelta

from chalicelib.core.metrics.sample import Sample
from chalicelib.ingest.counters import MAX_SERIES, RequestCounters
from chalicelib.messages.queue import Samples, read_message

START = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)


def samples(message):
    """The samples in a message of the webhooks queue."""
    content = read_message(message)
    assert isinstance(content, Samples)
    return content.samples


def test_a_lone_webhook_costs_nothing_more():
    """What is heard is counted, and told with a webhook ten minutes later."""
    counters = RequestCounters()
    told = [counters.count("sentry", 202, START + timedelta(minutes=minute)) for minute in (0, 3, 9, 10, 11, 21)]
    assert [bool(each) for each in told] == [False, False, False, True, False, True]
    at = START + timedelta(minutes=10)
    assert samples(told[3]) == (Sample("webhooks", 4, at, {"source": "sentry"}),)
    assert samples(told[5])[0].value == 2


def test_refusals_are_told_at_once_and_then_once_a_minute():
    """Guessing a hundred times a second becomes one message a minute, and every refusal is counted."""
    counters = RequestCounters()
    told = [counters.count("sentry", 401, START + timedelta(seconds=second)) for second in range(121)]
    messages = [samples(each)[0] for each in told if each]
    assert [(each.at - START).total_seconds() for each in messages] == [0, 60, 120]
    assert [each.value for each in messages] == [1, 60, 60]
    assert messages[0].labels == {"source": "sentry", "status": "401"}


def test_only_what_says_something_of_the_sender_counts():
    """Unknown names and our own trouble are nobody's; each status is a series, each source its own."""
    counters = RequestCounters()
    assert [counters.count("x", status, START) for status in (404, 503)] == [None, None]
    for status in (400, 401, 413, 415):
        assert samples(counters.count("sentry", status, START))[0].labels["status"] == str(status)
    assert counters.count("cloudflare", 401, START)


def test_memory_is_bounded():
    """However many sources there are, no more than that are counted."""
    counters = RequestCounters()
    told = [counters.count(f"s{number}", 401, START) for number in range(MAX_SERIES + 50)]
    assert sum(bool(each) for each in told) == MAX_SERIES
