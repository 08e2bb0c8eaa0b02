"""More probes in a minute than one run takes: further workers of the same function try the rest at the same time.

A run keeps one share of its probes and asks a worker for each of the others. A worker tries the probes of its share, stores
nothing, and answers what the tries came to. So everything of a minute is decided by one run: no probe runs twice, the minute
makes two writes with any number of workers, and a prober that is cut off, or an upstream that fails, shows over all probes.

A worker that does not answer costs its share the minute. One event reports it, and the next run tries again.
"""

import base64
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from math import ceil
from typing import TYPE_CHECKING, Any

from chalicelib import log, plugins
from chalicelib.core.event import Event
from chalicelib.core.ports import Clients
from chalicelib.core.probe_state import MAX_PROBES_A_RUN
from chalicelib.core.rule import Rules
from chalicelib.messages import codec
from chalicelib.probes import Names, identity_of, name_of, probe_failed
from chalicelib.schedule.due import probes_of
from chalicelib.schedule.prober_cut_off import PROBER
from chalicelib.schedule.probing import BLOCKING_LIMIT, Job, Pause, Tried
from chalicelib.schedule.probing import run as probed

if TYPE_CHECKING:
    from chalicelib.plugin_modules import AnyProbeModule

Ask = Callable[[Mapping[str, Any]], Any]
"""Asks one more worker, and returns its answer."""
Workers = Callable[[], Ask]
"""Makes ready what asks, before the first try begins: to load AWS's library beside the tries would make them late."""


@dataclass(frozen=True, slots=True)
class Share:
    """What one worker is asked: the probes by their identities, for the run of a minute."""

    at: datetime
    probes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ShareAnswer:
    """What the tries of a share came to, by the identities of the probes."""

    tries: Mapping[str, tuple[Tried, ...]]


def tried(jobs: Sequence[Job], pause: Pause, workers: Workers | None) -> list[tuple[Tried, ...]]:
    """Return the tries of each job; none for those of a worker that did not answer."""
    own, *others = _shares(jobs)
    if not others or workers is None:
        return probed(jobs, pause)
    ask = workers()
    with ThreadPoolExecutor(len(others)) as threads:
        answers = [threads.submit(_asked, ask, share) for share in others]
        found = probed(own, pause)
        return [*found, *(tries for each in answers for tries in each.result())]


def _shares(jobs: Sequence[Job]) -> list[Sequence[Job]]:
    """Return the jobs in as few shares as take them, of about one size."""
    size = ceil(len(jobs) / max(1, ceil(len(jobs) / MAX_PROBES_A_RUN)))
    return [jobs[start : start + size] for start in range(0, len(jobs), size)] if jobs else [()]


def _asked(ask: Ask, jobs: Sequence[Job]) -> list[tuple[Tried, ...]]:
    """Return what a worker answers of its share; nothing of any where it does not, whatever the reason."""
    share = Share(jobs[0].at, tuple(_identity(job.kind, job.params) for job in jobs))
    try:
        answer = codec.unpack(ShareAnswer, base64.b64decode(ask(codec.encode(share))))
    except Exception as error:
        log.line("watch", action="unanswered", probes=len(jobs), **log.failure(error))
        return [()] * len(jobs)
    return [answer.tries.get(identity, ()) for identity in share.probes]


def try_share(
    asked: Mapping[str, Any],
    *,
    rules: Rules,
    clients: Clients,
    pause: Pause,
    load: Callable[[str], "AnyProbeModule"] = plugins.load_probe,
    names: Names | None = None,
) -> str:
    """Try the probes of a share, those that the rules name. Return the answer for the run that asked."""
    share, known = codec.decode(Share, asked), names or Names()
    wanted = frozenset(share.probes)
    jobs = [
        Job(kind, params, load, clients, share.at, known, BLOCKING_LIMIT)
        for kind, params in probes_of(rules)
        if _identity(kind, params) in wanted
    ]
    found = zip((_identity(job.kind, job.params) for job in jobs), probed(jobs, pause), strict=True)
    log.line("watch", action="share", ran=len(jobs))
    return base64.b64encode(codec.pack(ShareAnswer(dict(found)))).decode("ascii")


def unanswered_event(probes: int, at: datetime) -> Event:
    """Return the one event of workers that did not answer, which ends as soon as all of them do."""
    title = f"{probes} {'probe' if probes == 1 else 'probes'} did not run"
    reason = f"{title}: a worker did not answer. The log of the function `watch` says why. The next run tries again."
    return replace(probe_failed(PROBER, {"name": "workers"}, reason, now=at), title=title)


def _identity(kind: str, params: Mapping[str, Any]) -> str:
    return identity_of(kind, name_of(params))
