"""What a view of the page reads from the table: how many items whole, and how many queries."""

from collections import Counter

import pytest

from tests.web.test_pages import harness, line

WHOLE = ("load_all", "archives", "marks", "target_states")
"""Reads of items by their keys."""
QUERIES = ("context", "summaries", "label_sets", "buckets", "timeline", "delivery_logs")


def counted(store):
    """Count the items and the queries that are read from a store from now on."""
    found = Counter()

    def counting(name, read):
        def reading(*given, **named):
            found[name] += len(given[0]) if name in WHOLE else 1
            return read(*given, **named)

        return reading

    for name in (*WHOLE, *QUERIES):
        setattr(store, name, counting(name, getattr(store, name)))
    return found


@pytest.mark.parametrize("address", ["/silences", "/router", "/rules", "/silences?matchers=service%3Ds1"])
def test_a_view_of_a_usual_week_reads_little(address):
    """Given a week of ten incidents, open and ended → at most 20 items whole and five queries."""
    lines = [line(0, "Disk", service=f"s{n}") for n in range(10)]
    page = harness(*lines, *(line(60, "Disk", status="resolved", service=f"s{n}") for n in range(8)))
    page.ask("make_silence", body={"matchers": {"service": "s9"}, "for": "1h", "by": "Ana"})
    found = counted(page.router.store)
    page.get(address)
    assert page.reply.status == 200
    assert sum(found[name] for name in WHOLE) <= 20, found
    assert sum(found[name] for name in QUERIES) <= 5, found


@pytest.mark.parametrize("address", ["/silences", "/router"])
def test_a_view_does_not_read_more_of_many_incidents(address):
    """Given 200 open incidents that nothing mutes → as many are read whole as of ten."""
    page = harness(*(line(0, "Disk", service=f"s{n}") for n in range(200)))
    found = counted(page.router.store)
    page.get(address)
    assert found["load_all"] + found["archives"] <= 5


@pytest.mark.parametrize(
    "address", ["/", "/?q=severity%3Dcritical", "/errors", "/performance", "/silences", "/router", "/rules"]
)
def test_a_view_reads_the_context_once(address):
    """Given open incidents → a view reads the context once, whatever looks at it."""
    page = harness(*(line(0, "Disk", service=f"s{n}") for n in range(12)))
    page.get(address)
    found = counted(page.router.store)
    page.get(address)
    assert page.reply.status == 200
    assert found["context"] == 1
