"""The tree of errors in the first lines of core/errors.py."""

import re
from collections.abc import Iterator

from chalicelib.core import errors


def tree(error: type[Exception], depth: int = 0) -> Iterator[tuple[int, str, int | None]]:
    """Yield each error with how deep it is, and its HTTP status."""
    yield depth, error.__name__, getattr(error, "status", None)
    for each in error.__subclasses__():
        if each.__module__ == errors.__name__:
            yield from tree(each, depth + 1)


def test_the_tree_names_every_error_at_its_depth_with_its_status():
    """Given the classes of the module → the tree has each of them, as deep as it is, with its status."""
    lines = re.findall(r"^    ([│├└─ ]*)(\w+Error)(?: +(\d{3}) )?", errors.__doc__ or "", re.MULTILINE)
    drawn = {(len(branch) // 4, name): status for branch, name, status in lines}
    known = list(tree(errors.TocsinError))
    assert {(depth, name) for depth, name, _ in known} == drawn.keys()
    wrong = [name for depth, name, status in known if drawn[depth, name] and int(drawn[depth, name]) != status]
    assert wrong == []
