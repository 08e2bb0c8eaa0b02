"""Load, change, save; again when somebody else saved first."""

import pytest

from chalicelib.core.errors import ConflictError
from chalicelib.core.optimistic import known_first, updated


class Item:
    """An item that other workers save first so many times."""

    def __init__(self, conflicts: int) -> None:
        self.stored, self.conflicts = 0, conflicts

    def load(self) -> int:
        """Read what is stored."""
        return self.stored

    def save(self, loaded: int) -> int:
        """Save one more, unless somebody else was first."""
        if self.conflicts:
            self.conflicts, self.stored = self.conflicts - 1, self.stored + 10
            raise ConflictError("another was first")
        assert loaded == self.stored
        self.stored = loaded + 1
        return self.stored


@pytest.mark.parametrize(("conflicts", "result"), [(0, 1), (1, 11), (2, 21)])
def test_an_item_that_others_saved_first_is_loaded_again(conflicts, result):
    """Given other workers that save first, when an item is updated → it is changed as they left it."""
    item = Item(conflicts)
    assert updated("an item", item.load, item.save, tries=3) == result


def test_what_others_always_save_first_names_itself_and_the_tries():
    """Given others who save first every time → a ConflictError says what it was and how often it was tried."""
    item = Item(99)
    with pytest.raises(ConflictError, match="an item was saved by others 3 times in a row"):
        updated("an item", item.load, item.save, tries=3)
    assert item.conflicts == 96


def test_an_item_that_is_known_costs_no_read_until_a_conflict():
    """Given an item that was loaded before → the first try takes it, the second one reads."""
    item = Item(1)
    reads = []
    load = known_first(0, lambda: reads.append(None) or item.load())
    assert updated("an item", load, item.save) == 11
    assert len(reads) == 1
