"""How many invocations of each worker may run at once, by what the account allows."""

import pytest

from deploy.concurrency import account_concurrency, concurrency
from deploy.policies import FUNCTIONS
from tests.deploy.virtual import AccountSettings

WORKERS = ("process_webhooks", "process_counts", "deliver_notification")


@pytest.mark.parametrize(
    ("limit", "maxima", "notes"),
    [
        (1_000, (20, 5, 10), 0),
        (100, (20, 5, 10), 0),
        (99, (10, 2, 5), 1),
        (50, (10, 2, 5), 1),
        (49, (2, 2, 3), 1),
        (10, (2, 2, 3), 1),
    ],
)
def test_the_workers_leave_something_for_the_door(limit: int, maxima: tuple[int, ...], notes: int) -> None:
    """Given an account's limit → the maximum of each worker, less than the limit altogether; and advice where it is low."""
    found = account_concurrency(AccountSettings(limit))
    assert (tuple(found.workers[name] for name in WORKERS), len(found.notes)) == (maxima, notes)
    assert sum(maxima) < limit
    assert all(2 <= each <= 1_000 for each in maxima)


def test_advice_names_the_limit_and_where_to_raise_it() -> None:
    """Given a new account, when it is looked at → the note says its limit and the address of the request."""
    (note,) = concurrency(10).notes
    assert "only 10 functions at once" in note
    assert "https://console.aws.amazon.com/servicequotas/" in note


def test_every_worker_with_a_queue_has_a_maximum() -> None:
    """Each function that takes from a queue has one at every limit."""
    taking = {name for name, needs in FUNCTIONS.items() if "takes" in needs}
    assert all(set(concurrency(limit).workers) == taking for limit in (10, 50, 1_000))
