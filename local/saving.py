"""Save the state of the embedded AWS soon after it changes, so that a killed one loses little.

What was accepted (queues and tables) is saved soonest and in one file: on disk, too, a message is either in its queue or
its effect is in the table. The rest (functions, parameters, logs) has a file for each service and can wait a little.
Each file is written whole and by rename.

Standard library only: the embedded AWS imports this in its own environment.
"""

import hashlib
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from local.private import private_folder, write_private

LEAST_PAUSE = 0.2
MOST_PAUSE = 1.0
IDLE_SHARE = 9
"""How much longer a pause is than the save before it: saving takes a tenth of the time while the store is small enough."""
REST_SECONDS = 1.5
ATTEMPTS = 5
ACCEPTED = "accepted.jsonl"

Make = Callable[[], str | None]
"""Returns the text to save, or None when there is none. RuntimeError or KeyError when it changes while it is read."""


def pause_after(took: float) -> float:
    """Return the seconds until the next save of what was accepted, after one that took so long."""
    return min(MOST_PAUSE, max(LEAST_PAUSE, IDLE_SHARE * took))


class Saver:
    """Saves to a folder whenever `changed` is set. `rest` gives the services that have a file of their own, by name."""

    def __init__(
        self,
        folder: Path,
        accepted: Make,
        rest: Callable[[], Mapping[str, Make]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.changed = threading.Event()
        self._folder = folder
        self._accepted = accepted
        self._rest = rest
        self._clock = clock
        self._due: float | None = None
        self._saved: dict[str, str] = {}
        self._writing = threading.Lock()
        self._finished = False
        private_folder(folder)

    def run(self) -> None:
        """Save what changed, for ever."""
        while not self._finished:
            threading.Event().wait(self.save_changes())

    def save_changes(self) -> float:
        """Save what was accepted since the last call, and the rest when it is due; return the seconds to the next call."""
        began = self._clock()
        due = self._due is not None and began >= self._due
        if not self.changed.is_set() and not due:
            return LEAST_PAUSE
        self.changed.clear()
        self._due = None if due else self._due or began + REST_SECONDS
        self._save(ACCEPTED, self._accepted)
        pause = pause_after(self._clock() - began)
        if due:
            self._save_rest()
        return pause

    def finish(self) -> None:
        """Save everything a last time. What a save in another thread has read before is not written any more."""
        self._finished = True
        self._save(ACCEPTED, self._accepted, last=True)
        self._save_rest(last=True)

    def _save_rest(self, *, last: bool = False) -> None:
        for name, make in self._rest().items():
            self._save(f"{name}.json", make, last=last)

    def _save(self, name: str, make: Make, *, last: bool = False) -> None:
        try:
            text = _steady(make)
        except (RuntimeError, KeyError):
            self.changed.set()
            return
        except (TypeError, ValueError) as error:
            _report(name, type(error).__name__)
            return
        if text is None:
            return
        digest = hashlib.sha256(text.encode()).hexdigest()
        with self._writing:
            if self._saved.get(name) == digest or (self._finished and not last):
                return
            try:
                self._write(name, text)
                self._saved[name] = digest
            except OSError as error:
                self.changed.set()
                _report(name, error.strerror)

    def _write(self, name: str, text: str) -> None:
        partial = self._folder / f"{name}.saving"
        write_private(partial, text)
        partial.replace(self._folder / name)


def _report(name: str, why: str | None) -> None:
    print(f"emulator: cannot save {name}: {why}", file=sys.stderr, flush=True)


def _steady(make: Make) -> str | None:
    """Return the text, made again when its source changes meanwhile."""
    for _ in range(ATTEMPTS - 1):
        try:
            return make()
        except (RuntimeError, KeyError):
            continue
    return make()


def lines(texts: Mapping[str, str]) -> str:
    """Return the content of the one file for several services: a line for each, its name before its JSON."""
    return "".join(f"{name} {text}\n" for name, text in texts.items())


def unfold(folder: Path) -> None:
    """Write the file of each service that is in the one file, as the embedded AWS reads them when it starts."""
    path = folder / ACCEPTED
    if not path.exists():
        return
    for line in filter(None, path.read_text(encoding="utf-8").split("\n")):
        name, _, text = line.partition(" ")
        write_private(folder / f"{name}.json", text)
