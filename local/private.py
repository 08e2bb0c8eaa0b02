"""Keep files of this machine to their owner: folders 0700, files 0600, from the moment they are there.

State, logs and the access key of `make run` hold tokens in clear; other users of the machine must not read them.
"""

import os
from contextlib import suppress
from pathlib import Path

FOLDER_MODE = 0o700
FILE_MODE = 0o600


def private_folder(folder: Path) -> None:
    """Make a folder that only its owner can enter, and take everybody else's rights from all that is in it."""
    folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    folder.chmod(FOLDER_MODE)
    for parent, folders, files in os.walk(folder):
        for name in folders:
            _restrict(Path(parent, name), FOLDER_MODE)
        for name in files:
            _restrict(Path(parent, name), FILE_MODE)


def _restrict(path: Path, mode: int) -> None:
    """Set the mode of what is still there. A link has none of its own, and what it points to is not ours to change."""
    with suppress(FileNotFoundError):
        if not path.is_symlink():
            path.chmod(mode)


def open_private(path: Path) -> int:
    """Return the descriptor of an empty file that only its owner can read, for `open`."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE_MODE)
    os.fchmod(descriptor, FILE_MODE)
    return descriptor


def write_private(path: Path, text: str) -> None:
    """Write a text file that only its owner can read."""
    with open(open_private(path), "w", encoding="utf-8") as file:
        file.write(text)
