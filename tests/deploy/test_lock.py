"""The lock of a deploy: one at a time, and no lock outlives its deploy by more than 15 minutes."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from deploy.errors import DeployError
from deploy.lock import KEPT, Holder, Lock
from tests.aws.tables import client, new_table

NOW = datetime(2026, 1, 5, 14, 3, tzinfo=UTC)
ANA, BEN = Holder("ana@laptop", 100), Holder("ben@desk", 200)


@pytest.fixture(scope="module")
def dynamodb(emulator: str) -> Any:
    """A client of the embedded AWS."""
    return client("dynamodb", emulator)


def lock(dynamodb: Any, table: str, holder: Holder, *, now: datetime = NOW, alive: bool = True) -> Lock:
    """A lock as that holder sees it."""
    return Lock(dynamodb, table, holder, clock=lambda: now, alive=lambda process: alive)


def test_a_second_deploy_is_refused_and_knows_by_whom(dynamodb: Any) -> None:
    """Given a deploy that runs, when a second one begins → it ends with who deploys, and until when."""
    table = new_table(dynamodb)
    with (
        lock(dynamodb, table, ANA).held(),
        pytest.raises(
            DeployError, match=r"ana@laptop is deploying this stage since 14:03 UTC: .* until 14:18 UTC .* --break-lock"
        ),
        lock(dynamodb, table, BEN).held(),
    ):
        pass
    with lock(dynamodb, table, BEN).held():
        pass


def test_a_lock_that_is_broken_is_free(dynamodb: Any) -> None:
    """Given a lock of a deploy that was killed elsewhere, when it is broken → its holder is named, and the next deploy holds it."""
    table = new_table(dynamodb)
    with lock(dynamodb, table, ANA).held():
        assert lock(dynamodb, table, BEN).break_() == "ana@laptop"
        with lock(dynamodb, table, BEN).held():
            pass
    assert lock(dynamodb, table, BEN).break_() == ""


def test_a_deploy_that_fails_gives_the_lock_back(dynamodb: Any) -> None:
    """Given a deploy that failed, when another one begins → nothing is in its way."""
    table = new_table(dynamodb)
    with pytest.raises(ZeroDivisionError), lock(dynamodb, table, ANA).held():
        raise ZeroDivisionError
    with lock(dynamodb, table, BEN).held():
        pass


@pytest.mark.parametrize(
    ("holder", "later", "alive", "taken"),
    [
        (BEN, timedelta(minutes=14), False, False),
        (BEN, KEPT + timedelta(seconds=1), False, True),
        (Holder("ana@laptop", 300), timedelta(0), False, True),
        (Holder("ana@laptop", 300), timedelta(0), True, False),
    ],
)
def test_the_lock_of_a_killed_deploy(dynamodb: Any, holder: Holder, later: timedelta, alive: bool, taken: bool) -> None:
    """Given a deploy that was killed, when another one begins → at once on the same machine, after 15 minutes elsewhere."""
    table = new_table(dynamodb)
    killed = lock(dynamodb, table, ANA).held()
    killed.__enter__()
    second = lock(dynamodb, table, holder, now=NOW + later, alive=alive).held()
    if taken:
        with second:
            pass
    else:
        with pytest.raises(DeployError, match="ana@laptop"), second:
            pass


def test_a_lock_that_ran_out_is_not_taken_from_its_new_holder(dynamodb: Any) -> None:
    """Given a deploy that lasted longer than its lock, when it ends → the lock of the next one stays."""
    table = new_table(dynamodb)
    with lock(dynamodb, table, ANA).held():
        later = lock(dynamodb, table, BEN, now=NOW + 2 * KEPT).held()
        later.__enter__()
    with pytest.raises(DeployError, match="ben@desk"), lock(dynamodb, table, ANA, now=NOW + 2 * KEPT).held():
        pass


class LostAnswer:
    """DynamoDB whose answer to the first put is lost: the SDK puts it once more."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def put_item(self, **item: Any) -> Any:
        """Store it twice."""
        self._client.put_item(**item)
        return self._client.put_item(**item)


def test_a_lock_whose_answer_was_lost_is_held(dynamodb: Any) -> None:
    """Given a put that the SDK repeats, when a deploy begins → it is not in its own way, and gives the lock back."""
    table = new_table(dynamodb)
    with lock(LostAnswer(dynamodb), table, ANA).held():
        pass
    with lock(dynamodb, table, BEN).held():
        pass
