"""The stories of this folder: each file is a rules file with `tests:`, run as `tocsin test FILE` runs it."""

from pathlib import Path

import pytest

from cli.test import as_text, run_file

FOLDER = Path(__file__).parent
FILES = sorted(path.name for path in FOLDER.glob("*.yaml"))


@pytest.mark.parametrize("name", FILES)
def test_every_story_of_the_file_comes_true(name: str) -> None:
    """What is given leads to the notifications expected, in their order and no others, and to the states expected."""
    results = run_file(str(FOLDER / name))
    assert results, f"{name} tells no story"
    failed = [result for result in results if not result.passed]
    assert not failed, as_text(failed)
