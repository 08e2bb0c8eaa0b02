"""Workers on a virtual clock: each call to a port takes time, and the worker whose call ends next runs next.

A worker is a thread, but only one thread runs at any moment, so that a seed decides the whole order. A call that ends
before anything else happens needs no change of threads.
"""

import heapq
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count


class Death(BaseException):
    """A worker dies here. None of its code runs any more."""


class Fiber:
    """A thread that does one piece of work after another. Its work can stop in the middle and go on later."""

    def __init__(self) -> None:
        self.deadline: datetime | None = None
        self.is_cancelled = False
        self.is_done = True
        self._work: Callable[[], None] | None = None
        self._error: BaseException | None = None
        self._go = threading.Lock()
        self._back = threading.Lock()
        self._go.acquire()
        self._back.acquire()
        threading.Thread(target=self._run, daemon=True).start()

    def begin(self, work: Callable[[], None]) -> None:
        """Take the next piece of work. `resume` begins it. A `resume` without work ends the thread."""
        self._work, self.is_done = work, False

    def resume(self) -> None:
        """Let the work go on until it stops or ends. Raise what ended it, unless it died."""
        self._go.release()
        self._back.acquire()
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def stop(self) -> None:
        """Give control back until the next `resume`. Called by the work itself."""
        self._back.release()
        self._go.acquire()
        if self.is_cancelled:
            raise Death("the life is over")

    def _run(self) -> None:
        while True:
            self._go.acquire()
            if self._work is None:
                self._back.release()
                return
            try:
                self._work()
            except Death:
                pass
            except BaseException as error:  # raised again by `resume`
                self._error = error
            self._work, self.is_done = None, True
            self._back.release()


class Clock:
    """The virtual time and everything that is to happen, in order."""

    def __init__(self, start: datetime) -> None:
        self.now = start
        self._due: list[tuple[datetime, int, Callable[[], None]]] = []
        self._numbers = count()
        self._current: Fiber | None = None
        self._until = start
        self._sleeping: dict[int, Fiber] = {}
        self._free: list[Fiber] = []

    def at(self, when: datetime, happen: Callable[[], None]) -> None:
        """Have something happen at a time, at the earliest now."""
        heapq.heappush(self._due, (max(when, self.now), next(self._numbers), happen))

    def run_until(self, until: datetime) -> None:
        """Let everything happen that is due until then."""
        self._until = until
        while self._due and self._due[0][0] <= until:
            self.now, _, happen = heapq.heappop(self._due)
            happen()
        self.now = until

    def next_at(self) -> datetime | None:
        """Return when something happens next."""
        return self._due[0][0] if self._due else None

    def start(self, work: Callable[[], None], *, lives: timedelta) -> None:
        """Begin a worker now. It dies once it has lived so long."""
        fiber = self._free.pop() if self._free else Fiber()
        fiber.begin(work)
        fiber.deadline = self.now + lives
        self._resume(fiber)

    def spend(self, time: timedelta) -> None:
        """Let the current worker's call take so long. Others may run meanwhile."""
        fiber = self._current
        if fiber is None:
            return
        until = self.now + time
        if until > self._until or (self._due and self._due[0][0] <= until):
            self._sleeping[id(fiber)] = fiber
            self.at(until, lambda: self._resume(fiber))
            fiber.stop()
        else:
            self.now = until
        if fiber.deadline is not None and self.now > fiber.deadline:
            raise Death("Lambda ends the worker after its time limit")

    def close(self) -> None:
        """End every worker that still sleeps, and every thread."""
        for fiber in list(self._sleeping.values()):
            fiber.is_cancelled = True
            self._resume(fiber)
        for fiber in self._free:
            fiber.resume()
        self._free.clear()
        self._due.clear()

    def _resume(self, fiber: Fiber) -> None:
        self._sleeping.pop(id(fiber), None)
        before, self._current = self._current, fiber
        try:
            fiber.resume()
        finally:
            self._current = before
            if fiber.is_done:
                self._free.append(fiber)
