"""How many invocations of each worker may run at once, by what the account allows."""

import pytest
from botocore.exceptions import ClientError

from deploy.concurrency import account_concurrency, concurrency
from deploy.policies import FUNCTIONS
from tests.deploy.virtual import AccountSettings, Refusing

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
def test_the_workers_leave_something_for_the_receiving_function(
    limit: int, maxima: tuple[int, ...], notes: int
) -> None:
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


@pytest.mark.parametrize(("there", "maximum"), [(None, 2), (20, 20)])
def test_a_limit_that_may_not_be_read_changes_no_maximum(there: int | None, maximum: int) -> None:
    """Given keys that may not read the limit → a maximum stays, a missing one is the lowest, and a note names the right."""
    found = account_concurrency(AccountSettings(None))
    assert found.maximum("process_webhooks", there) == maximum
    assert found.workers == concurrency(10).workers
    (note,) = found.notes
    assert "lambda:GetAccountSettings" in note


def test_another_trouble_with_the_limit_is_not_hidden() -> None:
    """Given a Lambda that does not answer → the deploy ends with what it said, before it changes anything."""
    away = Refusing(AccountSettings(10), {"get_account_settings": ["ServiceException"]})
    with pytest.raises(ClientError, match="ServiceException"):
        account_concurrency(away)


def test_every_worker_with_a_queue_has_a_maximum() -> None:
    """Each function that takes from a queue has one at every limit."""
    taking = {name for name, needs in FUNCTIONS.items() if "takes" in needs}
    assert all(set(concurrency(limit).workers) == taking for limit in (10, 50, 1_000))
