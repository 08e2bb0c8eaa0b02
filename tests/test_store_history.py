"""What a Store promises of what is kept for people: timelines, waiting alerts, results of deliveries."""

from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.core.delivery.delivery_log import DeliveryLog, Result
from chalicelib.core.incident import Entry, Episode, Incident
from tests.aws.tables import STORES, empty_store

NOW = datetime.now(UTC).replace(microsecond=0)
MINUTE = timedelta(minutes=1)


@pytest.fixture(params=STORES)
def store(request):
    """An empty store of each kind."""
    with empty_store(request.param, request) as found:
        yield found


def lines(first, count):
    """So many lines."""
    return tuple(Entry(NOW + n * MINUTE, f"line {n}", "ana", "note", act=f"{n}") for n in range(first, first + count))


def test_pages_of_a_timeline_come_back_in_order(store):
    """Ten and more pages are read as they were written; another incident's are not among them."""
    for number in (2, 1, 10, 11):
        store.keep_timeline("i", number, lines(number * 100, 100))
    store.keep_timeline("j", 1, lines(0, 1))
    found = store.timeline("i")
    assert [entry.text for entry in found][:1] == ["line 100"]
    assert list(found) == [*lines(100, 100), *lines(200, 100), *lines(1000, 100), *lines(1100, 100)]
    assert list(store.timeline("nobody")) == []


def test_a_page_kept_twice_is_one(store):
    """A worker that died after the page repeats it."""
    store.keep_timeline("i", 1, lines(0, 3))
    store.keep_timeline("i", 1, lines(0, 3))
    assert list(store.timeline("i")) == list(lines(0, 3))


def test_what_waits_to_begin_is_listed_when_asked_for(store):
    """Alerts that are only pending belong to incidents that have not begun, or not again; without a timer none is."""
    store.save(Incident(key="open", id="o", version=1, episode=Episode(started_at=NOW)))
    store.save(Incident(key="waits", version=1, wake_at=NOW + MINUTE))
    store.save(Incident(key="waits too", version=1, wake_at=NOW + MINUTE))
    store.save(
        Incident(key="again", id="e", version=1, episode=Episode(started_at=NOW, ended_at=NOW), wake_at=NOW + MINUTE)
    )
    store.save(Incident(key="idle", version=1))
    assert {each.key for each in store.incidents()} == {"open"}
    assert {each.key for each in store.incidents(quiet=True)} == {"open", "waits", "waits too", "again"}


def test_results_come_back_with_the_thread(store):
    """What came of a notification is part of the write that ends it."""
    results = (
        Result(1, NOW, "opened", delivered=False, attempts=3, error="refused"),
        Result(2, NOW + MINUTE, "updated", delivered=True, note="it may have been told twice"),
    )
    store.save_delivery_log(DeliveryLog("i/t", done_seq=2, results=results, version=1))
    assert store.delivery_log("i/t").results == results
