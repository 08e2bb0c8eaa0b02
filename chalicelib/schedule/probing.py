"""The engine of the probes: all tries of a run on one event loop, each with one time limit around the whole of it.

A try that is not back at its limit is ended wherever it waits: its target is down. What failed is tried once more after
a pause, for itself. Tries begin PACE apart, which lets this machine keep up, so that what is slow is the target and not us;
no try waits for the end of another. What a try opened is closed at its end, whatever happens.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from chalicelib import log
from chalicelib.core.errors import RulesError, TargetRejectedError, TargetUnavailableError
from chalicelib.core.event import Event
from chalicelib.core.metrics.sample import Sample
from chalicelib.probes import (
    FAILED,
    RETRY_AFTER,
    Attempt,
    Down,
    Names,
    Progress,
    in_thread,
    labels_of,
    name_of,
    probe_failed,
    time_limit,
    unwatched,
)

if TYPE_CHECKING:
    from chalicelib.core.ports import Clients
    from chalicelib.plugin_modules import AnyProbeModule, BlockingProbeModule, ProbeModule

DEFAULT_TIMEOUT = timedelta(seconds=5)
SECOND_TRY_AFTER = timedelta(seconds=5)
PACE = 0.01
"""Seconds between the beginnings of two tries."""
START_WITHIN = 5.0
"""Seconds within which all tries begin, however many. With two tries of 20 s and the pause a run takes 50 s at most."""
BLOCKING_LIMIT = timedelta(seconds=22)
"""Of a try in a thread, which ends its waits itself: a probe's own limit is at most 20 s, so this is for hangs."""

Pause = Callable[[float], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Tried:
    """What one try came to. `retry`: a second try may say otherwise."""

    samples: tuple[Sample, ...] = ()
    events: tuple[Event, ...] = ()
    retry: bool = False

    @property
    def down(self) -> bool:
        """Return whether what is watched was found down."""
        return any(each.metric == "uptime" and not each.value for each in self.samples)


@dataclass(frozen=True, slots=True)
class Job:
    """A probe to run: its module, its entry of the rules file, and the time limit of one try in a thread.

    `progress` is called for each step of a walk.
    """

    kind: str
    params: Mapping[str, Any]
    load: "Callable[[str], AnyProbeModule]"
    clients: "Clients"
    at: datetime
    names: Names
    blocking_limit: timedelta = BLOCKING_LIMIT
    progress: Progress = unwatched


def run(jobs: Sequence[Job], pause: Pause) -> list[tuple[Tried, ...]]:
    """Return the tries of each job, one or two."""
    return asyncio.run(_run(jobs, pause)) if jobs else []


async def _run(jobs: Sequence[Job], pause: Pause) -> list[tuple[Tried, ...]]:
    tasks: list[asyncio.Task[tuple[Tried, ...]]] = []
    for job in jobs:
        tasks.append(asyncio.create_task(_twice(job, pause)))
        await asyncio.wait(tasks[-1:], timeout=min(PACE, START_WITHIN / len(jobs)))
    return [await task for task in tasks]


async def _twice(job: Job, pause: Pause) -> tuple[Tried, ...]:
    first = await once(job)
    if not first.retry:
        return (first,)
    await pause(SECOND_TRY_AFTER.total_seconds())
    return first, await once(job)


async def once(job: Job) -> Tried:
    """Return what one try comes to, whatever it raises."""
    try:
        probe = job.load(job.kind)
        if inspect.iscoroutinefunction(probe.check):
            return await _awaited(cast("ProbeModule", probe), job)
        return await _blocking(cast("BlockingProbeModule", probe), job)
    except Exception as error:
        return _broken(job, error, ())


async def _awaited(probe: "ProbeModule", job: Job) -> Tried:
    limit = time_limit(job.params, getattr(probe, "TIMEOUT", DEFAULT_TIMEOUT))
    attempt = Attempt(job.kind, job.params, job.clients, job.at, limit, job.names, labels=labels_of(job.params))
    attempt.progress = job.progress
    async with attempt.closing:
        try:
            async with asyncio.timeout(limit.total_seconds()) as deadline:
                await probe.check(attempt)
        except Down as down:
            attempt.down(str(down))
        except TimeoutError as error:
            if not deadline.expired():
                return _broken(job, error, attempt.samples)
            _late(attempt, is_down=getattr(probe, "LATE_IS_DOWN", True))
        except Exception as error:
            return _broken(job, error, attempt.samples)
    return _answered(job, attempt.samples, attempt.events)


def _late(attempt: Attempt, *, is_down: bool) -> None:
    """Note that the time limit has passed, and what the try waited for."""
    waited = f" while waiting for {attempt.split_open}" if attempt.split_open else ""
    reason = f"no whole answer within {attempt.limit.total_seconds():g} s{waited}"
    if is_down:
        attempt.down(reason)
    else:
        attempt.events.append(probe_failed(attempt.kind, attempt.params, reason, now=attempt.now))


async def _blocking(probe: "BlockingProbeModule", job: Job) -> Tried:
    """Return a try of a module whose library can only block."""
    work = in_thread(lambda: probe.check(job.params, job.clients, now=job.at), "probe")
    try:
        async with asyncio.timeout(job.blocking_limit.total_seconds()):
            found = await work
    except TimeoutError:
        if not work.cancelled():
            raise
        return _answered(job, (), [probe_failed(job.kind, job.params, "it did not end in time", now=job.at)])
    samples = [each for each in found if isinstance(each, Sample)]
    return _answered(job, samples, [each for each in found if isinstance(each, Event)])


def _answered(job: Job, samples: Sequence[Sample], events: Sequence[Event]) -> Tried:
    found = Tried(tuple(samples), tuple(events))
    failed = found.down or any(event.kind == FAILED for event in events)
    waits = any(RETRY_AFTER in event.annotations for event in events)
    return Tried(found.samples, found.events, failed and not waits)


def _broken(job: Job, error: Exception, samples: Sequence[Sample]) -> Tried:
    """Return a try that cannot know how its target is. What it measured before stays, but for `uptime`."""
    failed = log.failure(error)
    reason = failed.get("reason", f"it raised {failed['error']}")
    log.line("watch", probe=name_of(job.params), kind=job.kind, action="broken", **failed)
    event = probe_failed(job.kind, job.params, reason, now=job.at)
    kept = tuple(each for each in samples if each.metric != "uptime")
    return Tried(kept, (event,), not _is_final(error))


def _is_final(error: Exception) -> bool:
    """Return True for what the rules or a limit of ours forbid: it will not be otherwise a few seconds later."""
    if isinstance(error, TargetUnavailableError):
        return bool(error.retry_after or getattr(error, "final", False))
    return isinstance(error, RulesError | TargetRejectedError)
