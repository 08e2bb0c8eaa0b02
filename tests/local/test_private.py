"""Files that only their owner can read: new ones, and those that were there before."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.private import open_private, private_folder, write_private


@pytest.fixture(autouse=True)
def _usual_umask() -> Iterator[None]:
    """New files are readable for everybody unless something is done about it."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    """The permission bits of a file."""
    return path.stat().st_mode & 0o777


def test_new_files_are_private(tmp_path: Path) -> None:
    """A file that is written under the usual umask → only its owner can read it."""
    write_private(tmp_path / "new", "é")
    assert (mode(tmp_path / "new"), (tmp_path / "new").read_text()) == (0o600, "é")


def test_a_file_that_is_there_is_emptied_and_made_private(tmp_path: Path) -> None:
    """A file that everybody can read → is private before anything is written to it."""
    (tmp_path / "old").write_text("long before")
    descriptor = open_private(tmp_path / "old")
    assert (mode(tmp_path / "old"), (tmp_path / "old").read_text()) == (0o600, "")
    os.close(descriptor)


def test_a_folder_of_before_is_corrected(tmp_path: Path) -> None:
    """A folder and files that everybody can read → all are private; what a link points to is left alone."""
    outside = tmp_path / "outside"
    outside.write_text("x")
    folder = tmp_path / "folder"
    (folder / "state").mkdir(parents=True)
    (folder / "state" / "ssm.json").write_text("{}")
    (folder / "link").symlink_to(outside)
    (folder / "nowhere").symlink_to(tmp_path / "nothing")
    private_folder(folder)
    assert [mode(folder), mode(folder / "state")] == [0o700, 0o700]
    assert (mode(folder / "state" / "ssm.json"), mode(outside)) == (0o600, 0o644)


def test_a_new_folder_is_private(tmp_path: Path) -> None:
    """A folder that is not there → is made, and only its owner can enter it."""
    private_folder(tmp_path / "a" / "b")
    assert mode(tmp_path / "a" / "b") == 0o700
