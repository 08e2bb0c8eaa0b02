"""schedule → probes → samples and events: one run of all probes that are due, once a minute.

All probes run at once, each within its time limit; one that hangs, breaks or is refused harms no other. What failed is
tried a second time after one common pause, and only the second answer counts, unless it measures nothing where the first
measured a part. A run claims its minute first: EventBridge may fire twice in a minute, and after a throttled time it fires
all that it missed at once. Samples are stamped with the start of the minute, so that what was measured twice counts once.

Beside what a probe measures, a run makes `failures` and `successes` (in a row), rates of the counters that the probe
declares (RATES) and growth a day (GROWTHS). They need what was measured before, from the store; failures in a row are
therefore stored at once, and not only through the queue, where the worker may be behind.

A probe that cannot measure becomes an event of source `router`, each minute anew, and one that ends it when the probe
works again, or when it is gone from the rules. What is broken is known from the samples `probe_broken` (1 or 0), which
cost one query a run while nothing is. What a plan refuses for good is told once, as information.
"""

import time
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as RunTimeoutError
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from chalicelib import log, plugins
from chalicelib.core.errors import RulesError, TargetUnavailableError
from chalicelib.core.event import Event, Status
from chalicelib.core.metrics.rollup import MICROSECOND, Rate, minute_start, newest_value, rate_sample, streak_samples
from chalicelib.core.metrics.sample import Bucket, Sample
from chalicelib.core.observed import RESULT, bounded, moment
from chalicelib.core.ports import Clients, Store
from chalicelib.core.rule import Rules
from chalicelib.messages.queue import Queues, events_messages, samples_messages
from chalicelib.probes import FAILED, RETRY_AFTER, every, identity_of, name_of, probe_failed, probe_recovered
from chalicelib.redact import redact_observed

if TYPE_CHECKING:
    from chalicelib.plugin_modules import ProbeModule

NOT_PROBES = frozenset({"heartbeat"})
"""Kinds under `probes:` that measure nothing: a heartbeat waits to be called."""

SECOND_TRY_AFTER = timedelta(seconds=5)
TRY_LIMIT = timedelta(seconds=22)
"""Two tries and the pause fit into a Lambda of a minute. A probe's own limit is at most 20 s, so this is for hangs."""
MAX_PARALLEL = 32
STREAK_KEPT = timedelta(days=1)
RATE_SPAN = timedelta(minutes=15)
MAX_TRIES = 3
"""The newest tries that people are shown of a probe that fails."""
GROWTH_SPAN = (timedelta(hours=25), timedelta(hours=23))
MINUTE = "watch"
"""The name under which a run claims its minute."""
BROKEN = "probe_broken"
BROKEN_KEPT = timedelta(days=2)

Found = Sequence["Sample | Event"]


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """What a run came to: how many probes ran, which are down and which broke, and what went on the queue."""

    ran: int = 0
    down: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    samples: tuple[Sample, ...] = ()
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class _ProbeRun:
    """One probe of this run and its answer so far. `retry` when a second try may say otherwise.

    `tried` is what its tries came to where there were two.
    """

    kind: str
    params: Mapping[str, Any]
    found: Found = ()
    retry: bool = False
    rates: tuple[Rate, ...] = ()
    growths: Mapping[str, str] = field(default_factory=dict)
    tried: tuple[str, ...] = ()

    @property
    def results(self) -> list[str]:
        """What its tries that failed came to, in words."""
        return [found for sample in self.samples if (found := sample.observed.get(RESULT))]

    @property
    def samples(self) -> list[Sample]:
        return [each for each in self.found if isinstance(each, Sample)]

    @property
    def events(self) -> list[Event]:
        return [each for each in self.found if isinstance(each, Event)]

    @property
    def down(self) -> bool:
        return any(sample.metric == "uptime" and not sample.value for sample in self.samples)


def watch(
    *,
    rules: Rules,
    store: Store,
    clients: Clients,
    queues: Queues,
    now: datetime,
    pause: Callable[[float], None],
    load: Callable[[str], "ProbeModule"] | None = None,
    limit: timedelta = TRY_LIMIT,
) -> ProbeReport:
    """Run the probes that are due and put what they found on the webhooks queue. A second run of a minute does nothing.

    `pause` waits so many seconds before the second tries. NotStoredError when the queue cannot take the result.
    """
    at = minute_start(now)
    due = [_ProbeRun(kind, params) for kind, params in _due(rules, at)]
    if due and not store.claim_minute(MINUTE, at):
        return ProbeReport()
    runs = _tried(due, clients, at, load or plugins.load_probe, limit)
    if any(run.retry for run in runs):
        pause(SECOND_TRY_AFTER.total_seconds())
        first = [run for run in runs if run.retry]
        again = _tried(first, clients, at, load or plugins.load_probe, limit)
        runs = [run for run in runs if not run.retry] + list(map(_decisive, first, again))
    runs = [_with_past(run, store, at) for run in runs]
    streaks = [sample for run in runs for sample in _streaks(run, store, at)]
    measured = [sample for run in runs for sample in _with_derived(run, store, at)]
    events, marks = _told(runs, rules, store, at)
    samples = (*measured, *streaks, *marks)
    if samples or events:
        queues.webhooks.put([*samples_messages(samples), *events_messages(events)])
        store.add_samples([*streaks, *marks])
    return _reported(runs, samples, events)


def _due(rules: Rules, at: datetime) -> list[tuple[str, Mapping[str, Any]]]:
    """The probes whose turn this minute is: those of `every: 5m` in minutes that five divides."""
    minute = int(at.timestamp()) // 60
    return [
        (kind, params)
        for kind, listed in rules.probes.items()
        if kind not in NOT_PROBES
        for params in listed
        if minute % max(1, every(params) // timedelta(minutes=1)) == 0
    ]


def _tried(
    runs: Sequence[_ProbeRun], clients: Clients, at: datetime, load: Callable[[str], "ProbeModule"], limit: timedelta
) -> list[_ProbeRun]:
    """Every probe once, all at the same time. One that is not back in time has broken; its thread is left behind."""
    if not runs:
        return []
    pool = ThreadPoolExecutor(min(len(runs), MAX_PARALLEL), thread_name_prefix="probe")
    ends_at = time.monotonic() + limit.total_seconds()
    futures = [pool.submit(_checked, run, clients, at, load) for run in runs]
    found = [_awaited(run, future, ends_at, at) for run, future in zip(runs, futures, strict=True)]
    pool.shutdown(wait=False, cancel_futures=True)
    return found


def _decisive(first: _ProbeRun, second: _ProbeRun) -> _ProbeRun:
    """Return the try that counts: the second, unless it lost what the first could measure."""
    decisive = first if first.samples and not first.down and not second.samples else second
    results = tuple(result for run in (first, second) for result in run.results)
    return replace(decisive, tried=results)


def _with_past(run: _ProbeRun, store: Store, at: datetime) -> _ProbeRun:
    """Return a failed run with what was seen before it. Secrets are masked: an address or a result may hold one."""
    found = [
        replace(each, observed=_masked(_seen(run, each, store, at), each))
        if isinstance(each, Sample) and each.observed
        else each
        for each in run.found
    ]
    return replace(run, found=found)


def _masked(seen: Mapping[str, str], failed: Sample) -> dict[str, str]:
    """Return what was seen without secrets. The addresses that the operator has watched stay readable."""
    return redact_observed(seen, (seen.get("address", ""), *failed.labels.values()))


def _seen(run: _ProbeRun, failed: Sample, store: Store, at: datetime) -> dict[str, str]:
    before = [each for each in _past(store, "uptime", failed.labels, at) if each.last is not None]
    took = {each.last_at: each.last for each in _past(store, "latency_ms", failed.labels, at)}
    tries = [f"{moment(each.last_at)} {_try_words(each, took.get(each.last_at))}" for each in before[-2:]]
    tries += [f"{moment(at)} {result}" for result in run.tried or run.results]
    streak = [each for each in _past(store, "successes", failed.labels, at) if each.last]
    fine = _fine(streak[-1], every(run.params)) if streak else ""
    return bounded({**failed.observed, "fine": fine, "tries": "; ".join(tries[-MAX_TRIES:])})


def _past(store: Store, metric: str, labels: Mapping[str, str], at: datetime) -> Sequence[Bucket]:
    return store.buckets(metric, labels, at - RATE_SPAN, at - MICROSECOND)


def _try_words(before: Bucket, took: float | None) -> str:
    return f"{'fine' if before.last else 'failed'}{'' if took is None else f' in {took:.0f} ms'}"


def _fine(streak: Bucket, interval: timedelta) -> str:
    """Return until when a probe was fine, how often in a row, and since when if no run was missed."""
    runs = int(streak.last or 0)
    since = streak.last_at - (runs - 1) * interval
    times = "once" if runs == 1 else f"{runs:,} times in a row since {moment(since)}"
    return f"until {moment(streak.last_at)}, {times}"


def _awaited(run: _ProbeRun, future: Future[_ProbeRun], ends_at: float, at: datetime) -> _ProbeRun:
    try:
        return future.result(max(0.0, ends_at - time.monotonic()))
    except RunTimeoutError:
        return _ProbeRun(run.kind, run.params, [probe_failed(run.kind, run.params, "it did not end in time", now=at)])


def _checked(run: _ProbeRun, clients: Clients, at: datetime, load: Callable[[str], "ProbeModule"]) -> _ProbeRun:
    """The probe's answer. A broken probe is a failed probe and says so, whatever it raised."""
    try:
        probe = load(run.kind)
        found = probe.check(run.params, clients, now=at)
        rates: tuple[Rate, ...] = tuple(getattr(probe, "RATES", ()))
        answered = _ProbeRun(run.kind, run.params, found, False, rates, dict(getattr(probe, "GROWTHS", {})))
        failed = answered.down or any(event.kind == FAILED for event in answered.events)
        waits = any(RETRY_AFTER in event.annotations for event in answered.events)
        return _ProbeRun(run.kind, run.params, found, failed and not waits, rates, answered.growths)
    except Exception as error:
        told = log.failure(error)
        log.line("watch", probe=name_of(run.params), kind=run.kind, action="broken", **told)
        reason = told.get("reason", f"it raised {told['error']}")
        # What the rules or a limit of ours forbid will not be otherwise a few seconds later.
        final = isinstance(error, RulesError) or (isinstance(error, TargetUnavailableError) and error.retry_after)
        return _ProbeRun(run.kind, run.params, [probe_failed(run.kind, run.params, reason, now=at)], not final)


def _streaks(run: _ProbeRun, store: Store, at: datetime) -> list[Sample]:
    found: list[Sample] = []
    for sample in run.samples:
        if sample.metric == "uptime":
            failures = _before(store, "failures", sample.labels, at, STREAK_KEPT)
            successes = _before(store, "successes", sample.labels, at, STREAK_KEPT) if not failures else 0.0
            found += streak_samples(sample, (int(failures or 0), int(successes or 0)))
    return found


def _before(store: Store, metric: str, labels: Mapping[str, str], at: datetime, span: timedelta) -> float | None:
    """The newest value before `at`: of the last minutes, which is nearly always there and cheap, else of `span`."""
    for reach in sorted({min(RATE_SPAN, span), span}):
        buckets = store.buckets(metric, labels, at - reach, at - MICROSECOND)
        if buckets:
            return newest_value(buckets)
    return None


def _with_derived(run: _ProbeRun, store: Store, at: datetime) -> list[Sample]:
    """What was measured; a rate since the last reading takes the place of a total that the probe gave under its name."""
    found = {(sample.metric, tuple(sorted(sample.labels.items()))): sample for sample in run.samples}
    for sample in (*_rates(run, store, at), *_growths(run, store, at)):
        found[sample.metric, tuple(sorted(sample.labels.items()))] = sample
    return list(found.values())


def _rates(run: _ProbeRun, store: Store, at: datetime) -> list[Sample]:
    found = []
    for rate in run.rates:
        for labels, after in _readings(run, rate).values():
            before = {name: _before(store, name, labels, at, RATE_SPAN) for name in rate.counters}
            known = {name: value for name, value in before.items() if value is not None}
            if (sample := rate_sample(rate, known, after, at, labels)) is not None:
                found.append(sample)
    return found


def _readings(
    run: _ProbeRun, rate: Rate
) -> dict[tuple[tuple[str, str], ...], tuple[Mapping[str, str], dict[str, float]]]:
    """The counters of a rate as this run read them, for each set of labels."""
    found: dict[tuple[tuple[str, str], ...], tuple[Mapping[str, str], dict[str, float]]] = {}
    for sample in run.samples:
        if sample.metric in rate.counters and sample.value is not None:
            series = found.setdefault(tuple(sorted(sample.labels.items())), (sample.labels, {}))
            series[1][sample.metric] = sample.value
    return found


def _growths(run: _ProbeRun, store: Store, at: datetime) -> list[Sample]:
    found = []
    for metric, source in run.growths.items():
        for sample in run.samples:
            if sample.metric != source or sample.value is None:
                continue
            earlier = store.buckets(source, sample.labels, at - GROWTH_SPAN[0], at - GROWTH_SPAN[1])
            valued = [bucket for bucket in earlier if bucket.last is not None]
            if valued and valued[0].last is not None:
                days = (at - valued[0].last_at) / timedelta(days=1)
                found.append(Sample(metric, (sample.value - valued[0].last) / days, at, sample.labels))
    return found


def _told(runs: Sequence[_ProbeRun], rules: Rules, store: Store, at: datetime) -> tuple[list[Event], list[Sample]]:
    """The events of this run, and the samples that remember which probes are broken."""
    open_before = _open_before(store, at)
    said = {event.identity: event for run in runs for event in run.events}
    events = [
        event
        for run in runs
        for event in run.events
        if event.status is not Status.INFO or event.identity not in open_before
    ]
    marks = [_mark(event, 1.0, at) for event in said.values()]
    for identity, labels in open_before.items():
        if identity not in said and (reason := _ended(labels, runs, rules, said)) is not None:
            event = _mended(identity, labels, reason, at)
            events += [event] if labels.get("status") == Status.FIRING else []
            marks.append(Sample(BROKEN, 0.0, at, labels))
    return events, marks


def _open_before(store: Store, at: datetime) -> dict[str, Mapping[str, str]]:
    """The labels of what was broken when it was last looked at, by identity."""
    return {
        labels["identity"]: labels
        for labels in store.label_sets(BROKEN)
        if "identity" in labels and _before(store, BROKEN, labels, at, BROKEN_KEPT)
    }


def _mark(event: Event, value: float, at: datetime) -> Sample:
    return Sample(BROKEN, value, at, {**event.labels, "identity": event.identity, "status": event.status.value})


def _mended(identity: str, labels: Mapping[str, str], reason: str, at: datetime) -> Event:
    shown = {name: value for name, value in labels.items() if name not in ("identity", "status")}
    return probe_recovered(labels.get("probe_kind", ""), identity, shown, reason, now=at)


def _ended(labels: Mapping[str, str], runs: Sequence[_ProbeRun], rules: Rules, said: Container[str]) -> str | None:
    """Why what was broken is no more: "" when it ran without saying so; None when this run cannot know."""
    kind, name = labels.get("probe_kind", ""), labels.get("probe", "")
    if identity_of(kind, name) in said:
        return None  # The whole probe broke, which says nothing of its parts.
    if any(run.kind == kind and name_of(run.params) == name for run in runs):
        return ""
    if any(name_of(params) == name for params in rules.probes.get(kind, ())):
        return None
    return "The rules no longer name this probe."


def _reported(runs: Sequence[_ProbeRun], samples: Sequence[Sample], events: Iterable[Event]) -> ProbeReport:
    return ProbeReport(
        ran=len(runs),
        down=tuple(name_of(run.params) for run in runs if run.down),
        broken=tuple(sorted({event.identity for run in runs for event in run.events if event.kind == FAILED})),
        samples=tuple(samples),
        events=tuple(events),
    )
