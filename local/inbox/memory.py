"""What the inbox has received, on disk and over restarts.

A thread writes the file at most SAVE_SECONDS after a change, whole and by rename: a killed inbox loses no more than
that. Requests are only in memory (they may be large); the newest of everything else is kept, up to a number.
"""

import json
import threading
from pathlib import Path
from typing import Any

from local.inbox.exchange import Json, Received
from local.private import write_private

SAVE_SECONDS = 0.5
VERSION = 1
MAX_REQUESTS = 20_000
MAX_KEPT = 2_000
LISTS = ("messages", "incidents", "changes", "mails", "hooks", "discord", "teams", "deliveries")
MAPPINGS = ("channels", "counters")


class Memory:
    """Everything received. Hold `lock` while reading or changing; call `changed` after a change."""

    def __init__(self, path: Path | None = None) -> None:
        self.lock = threading.RLock()
        self.version = 0
        self.requests: list[Received] = []
        self.messages: list[Json] = []
        self.incidents: list[Json] = []
        self.changes: list[Json] = []
        self.mails: list[Json] = []
        self.hooks: list[Json] = []
        self.discord: list[Json] = []
        self.teams: list[Json] = []
        self.deliveries: list[Json] = []
        self.channels: Json = {}
        self.counters: Json = {}
        self._path = path
        self._saved = 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.problem = self._load()

    def start(self) -> None:
        """Begin to save."""
        if self._path is not None:
            self._stop.clear()
            self._thread = threading.Thread(target=self._save_until_stopped, name="inbox-save", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Save a last time and end the thread."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def changed(self) -> None:
        """Note that something is new: pages draw it, and it is saved soon."""
        with self.lock:
            self.version += 1
            for name in LISTS:
                kept: list[Json] = getattr(self, name)
                del kept[: max(0, len(kept) - MAX_KEPT)]
            del self.requests[: max(0, len(self.requests) - MAX_REQUESTS)]

    def count(self, name: str) -> int:
        """Return the next number of a series, from 1. It survives restarts."""
        with self.lock:
            self.counters[name] = int(self.counters.get(name, 0)) + 1
            return int(self.counters[name])

    def clear(self) -> None:
        """Forget what was received, but not the numbers given out."""
        with self.lock:
            for name in LISTS:
                getattr(self, name).clear()
            self.requests.clear()
            self.channels.clear()
            self.changed()

    def save(self) -> None:
        """Write the file if something is new."""
        with self.lock:
            if self._path is None or self._saved == self.version:
                return
            self._saved = self.version
            kept: dict[str, Any] = {name: getattr(self, name) for name in (*LISTS, *MAPPINGS)}
            content = json.dumps({"version": VERSION, **kept}, separators=(",", ":"))
        self._path.parent.mkdir(parents=True, exist_ok=True)
        beside = self._path.with_name(f"{self._path.name}.new")
        write_private(beside, content)
        beside.replace(self._path)

    def _save_until_stopped(self) -> None:
        while not self._stop.wait(SAVE_SECONDS):
            self._save_and_tell()
        self._save_and_tell()

    def _save_and_tell(self) -> None:
        try:
            self.save()
            self.problem = ""
        except OSError as error:
            self._saved = -1
            self.problem = f"the state cannot be saved: {error.strerror}"

    def _load(self) -> str:
        """Read the file. Put an unreadable file aside, and return what is wrong."""
        if self._path is None or not self._path.exists():
            return ""
        try:
            read = json.loads(self._path.read_text(encoding="utf-8"))
            if not isinstance(read, dict) or read.get("version") != VERSION:
                raise ValueError("another version")
            for name in LISTS:
                getattr(self, name).extend(read.get(name) or [])
            for name in MAPPINGS:
                getattr(self, name).update(read.get(name) or {})
        except (ValueError, TypeError, AttributeError):
            self._path.replace(self._path.with_name(f"{self._path.name}.unreadable"))
            return "the state could not be read; it was put aside and the inbox is empty"
        return ""
