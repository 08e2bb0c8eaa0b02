"""schedule → probes → samples and events: one run of all probes that are due, once a minute.

All probes run at once, each within its time limit (`probing.py`); one that hangs, breaks or is refused keeps no other from
its result. What failed is tried a second time after a pause, and only the second answer counts, unless it measures nothing
where the first measured a part. A run claims its minute first: EventBridge may fire twice in a minute, and after a throttled
time it fires all that it missed at once. No run takes a whole minute, so that no probe overlaps itself. Samples are stamped
with the start of the minute, so that what was measured twice counts once. `due.py` decides which probes a run takes.

Beside what a probe measures, a run makes `failures` and `successes` (in a row, which a gap ends), rates of the counters that
the probe declares (RATES) and growth a day (GROWTHS). What it must know of the runs before is one short text in the store
(`core/probe_state.py`), so that a run makes two writes: its minute and this text. While the stage is scraped it
writes the newest values as well (`core/gauges.py`). Samples go over the queue, where the worker may be behind.

A probe that cannot measure becomes an event of source `router`, each minute anew, and one that ends it when the probe
works again, or when it is gone from the rules. What a plan refuses for good is reported once, as information. When unlike
targets fail at once, the prober is cut off (`core/cut_off.py`): one event reports it, and nothing is measured of what failed.
"""

import json
import zlib
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from chalicelib import log, plugins
from chalicelib.core import cut_off, gauges
from chalicelib.core.event import Event, Severity, Status, labels_fingerprint
from chalicelib.core.growth import Growth
from chalicelib.core.measured import Measured, after_reading
from chalicelib.core.metrics.rollup import MICROSECOND, Rate, minute_start, newest_value, rate_sample
from chalicelib.core.metrics.sample import Sample
from chalicelib.core.observed import RESULT, bounded, moment
from chalicelib.core.ports import Clients, Store
from chalicelib.core.probe_state import SLACK, Past, ProbeState, Readings, after_run, written
from chalicelib.core.probe_state import read as read_state
from chalicelib.core.rule import Rules
from chalicelib.core.stage_report import SCRAPED, is_scraped
from chalicelib.messages.queue import Queues, events_messages, samples_messages
from chalicelib.probes import (
    ABSENT,
    FAILED,
    RETIRING,
    Names,
    every,
    identity_of,
    name_of,
    probe_failed,
    probe_recovered,
    upstream_of,
)
from chalicelib.redact import redact, redact_observed
from chalicelib.schedule.due import due, key_of, probes_of, ran_after
from chalicelib.schedule.probing import BLOCKING_LIMIT, Job, Pause, Tried
from chalicelib.schedule.probing import run as probed
from chalicelib.schedule.slowest import keep_slowest

if TYPE_CHECKING:
    from chalicelib.plugin_modules import AnyProbeModule

STATE = "probe-state"
"""The name under which a run leaves what the next one must know."""
PROBER = "prober"
NEVER_LOST = frozenset({"uptime", "latency_ms", "replicas", "replication_lag_seconds"})
"""Metrics that a target rightly no longer has: of one that is down, and of a copy that became the primary."""
RATE_SPAN = timedelta(minutes=15)
"""For how long a reading of counters is good for a rate, or for three intervals of its probe."""
MAX_TRIES = 3
"""The newest tries that people are shown of a probe that fails."""
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
    """One probe of this run and what counts of its tries. `tried` is what its tries came to where there were two."""

    kind: str
    params: Mapping[str, Any]
    found: Found = ()
    rates: tuple[Rate, ...] = ()
    growths: Mapping[str, Growth] = field(default_factory=dict)
    tried: tuple[str, ...] = ()
    unreached: bool = False

    @property
    def every(self) -> timedelta:
        return every(self.params)

    @property
    def failed(self) -> bool:
        """True when its target is down, or could not be asked for a reason that may pass."""
        return self.down or self.unreached

    @property
    def results(self) -> list[str]:
        """What it came to if it failed, in words."""
        return _results(self.samples)

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
    pause: Pause,
    load: Callable[[str], "AnyProbeModule"] = plugins.load_probe,
    limit: timedelta = BLOCKING_LIMIT,
    names: Names | None = None,
) -> ProbeReport:
    """Run the probes that are due and put what they found on the webhooks queue. A second run of a minute does nothing.

    `pause` waits so many seconds before a second try. NotStoredError when the queue cannot take the result.
    """
    at = minute_start(now)
    left = store.marks([STATE, SCRAPED])
    before = _Before(store, read_state(left.get(STATE)), at)
    probes = probes_of(rules)
    taken = due(probes, before.state.ran, at)
    if taken and not store.claim_minute(MINUTE, at):
        return ProbeReport()
    known = names or Names()
    jobs = [Job(kind, params, load, clients, at, known, limit) for kind, params in taken]
    runs = [_run_of(job, tries) for job, tries in zip(jobs, probed(jobs, pause), strict=True)]
    measured, state, cut = _measured(runs, before, rules, clients)
    events, marks, broken = _reports(measured, rules, before, cut)
    samples = (*(sample for run in measured for sample in run.samples), *marks)
    if samples or events:
        queues.webhooks.put([*samples_messages(samples), *events_messages(events)])
    if runs or events:
        ran = ran_after(probes, before.state.ran, taken, at)
        store.put_mark(STATE, written(replace(state, broken=broken, ran=ran), at))
    if (runs or events) and is_scraped(left.get(SCRAPED), now):
        newest = store.marks([gauges.MARK]).get(gauges.MARK)
        store.put_mark(gauges.MARK, _newest_values(newest, measured, marks, at))
    keep_slowest(store, samples)
    return _reported(measured, samples, events)


def _newest_values(text: str | None, runs: Sequence[_ProbeRun], marks: Iterable[Sample], at: datetime) -> str:
    """Return the newest value of each series as a text, from that of the run before."""
    new = [gauge for run in runs for gauge in gauges.gauges_of(run.samples, run.every)]
    new += gauges.gauges_of(marks, BROKEN_KEPT)
    return gauges.written(gauges.merged(gauges.read(text), new, at))


@dataclass(frozen=True, slots=True)
class _Before:
    """What is known of the runs before this one, which is stamped `at`."""

    store: Store
    state: ProbeState
    at: datetime

    def past(self, labels: Mapping[str, str], every: timedelta) -> Past | None:
        """Return the past of a series, from the samples where a version before, or none, ran last."""
        past, reach = self.state.series.get(_key(labels)), 2 * every + SLACK
        if past is not None and self.at - past.at <= reach:
            return past
        if past is None and self.state.known:
            return None
        return _stored_past(self.store, labels, self.at, reach) or past

    def counters(self, names: Sequence[str], labels: Mapping[str, str], every: timedelta) -> dict[str, float]:
        """Return the counters of a series as they were last read, not too long ago."""
        readings, reach = self.state.counters.get(_key(labels)), max(RATE_SPAN, 3 * every)
        if readings is not None and self.at - readings.at <= reach:
            return dict(readings.values)
        if readings is None and self.state.known:
            return {}
        found = {name: _newest(self.store, name, labels, self.at, reach) for name in names}
        return {name: value for name, value in found.items() if value is not None}

    def broken(self) -> Mapping[str, Mapping[str, str]]:
        """Return the labels of what was broken when it was last looked at, by identity."""
        if self.state.known:
            return self.state.broken
        return {
            labels["identity"]: labels
            for labels in self.store.label_sets(BROKEN)
            if "identity" in labels and _newest(self.store, BROKEN, labels, self.at, BROKEN_KEPT)
        }


def _key(labels: Mapping[str, str]) -> str:
    return labels_fingerprint("", labels)[:16]


def _newest(store: Store, metric: str, labels: Mapping[str, str], at: datetime, span: timedelta) -> float | None:
    """The newest value before `at`: of the last minutes, which is nearly always there and cheap, else of `span`."""
    for reach in sorted({min(RATE_SPAN, span), span}):
        buckets = store.buckets(metric, labels, at - reach - MICROSECOND, at - MICROSECOND)
        if buckets:
            return newest_value(buckets)
    return None


def _stored_past(store: Store, labels: Mapping[str, str], at: datetime, reach: timedelta) -> Past | None:
    """Return the past of a series as its samples tell it."""
    found = {
        metric: store.buckets(metric, labels, at - reach - MICROSECOND, at - MICROSECOND)
        for metric in ("failures", "successes", "uptime", "latency_ms")
    }
    if not found["failures"]:
        return None
    took = {each.last_at: each.last for each in found["latency_ms"]}
    tries = [
        (each.last_at, bool(each.last), took.get(each.last_at)) for each in found["uptime"] if each.last is not None
    ]
    good = [each for each in found["successes"] if each.last]
    fine_at, fine_runs = (good[-1].last_at, int(good[-1].last or 0)) if good else (None, 0)
    newest = found["failures"][-1]
    failures = int(newest.last or 0)
    return Past(newest.last_at, failures, 0 if failures else fine_runs, fine_at, fine_runs, tuple(tries[-2:]))


def _measured(
    runs: Sequence[_ProbeRun], before: _Before, rules: Rules, clients: Clients
) -> tuple[list[_ProbeRun], ProbeState, str]:
    """Return the runs with what is derived of them, the state after them, and why the prober is cut off, if it is."""
    runs = [_missed(run, before) for run in runs]
    seen = [_seen_of(run.kind, run.params, run.failed, clients) for run in runs]
    earlier = _earlier(runs, before, rules, clients)
    cut = cut_off.reason_over_all(seen, earlier, before.state.cut_since)
    seen += [each.seen for each in earlier]
    for run in runs:
        _log(run)
    kept = [replace(run, found=()) if cut and run.failed else _with_past(run, seen, before) for run in runs]
    series, counters = dict(before.state.series), dict(before.state.counters)
    remembered = dict(before.state.measured)
    found = []
    for run in kept:
        remembered |= _remembered(run, before)
        pasts = _pasts(run, before)
        series |= {_key(sample.labels): past for sample, past in pasts}
        counters |= _counters(run, before.at)
        streaks = [each for sample, past in pasts for each in _streak_samples(sample, past)]
        lost = _lost_events(run, remembered, before.at)
        found.append(replace(run, found=[*_with_derived(run, before), *streaks, *run.events, *lost]))
    results, since = _results_after(runs, before, rules, bool(cut))
    return found, ProbeState(series, counters, measured=remembered, results=results, cut_since=since), cut


def _earlier(runs: Sequence[_ProbeRun], before: _Before, rules: Rules, clients: Clients) -> list[cut_off.Earlier]:
    """Return the probes that are not of this run. One whose failure is not remembered was fine, where a state is known."""
    if not before.state.known:
        return []
    ran = {key_of(run.kind, run.params) for run in runs}
    known = _recent_results(before, rules)
    found = []
    for kind, params in probes_of(rules):
        if (key := key_of(kind, params)) not in ran:
            at, failed = known.get(key, (None, False))
            found.append(cut_off.Earlier(_seen_of(kind, params, failed, clients), at))
    return found


def _results_after(
    runs: Sequence[_ProbeRun], before: _Before, rules: Rules, cut: bool
) -> tuple[dict[str, tuple[datetime, bool]], datetime | None]:
    """Return the newest results that the next run must know, and since when the prober is cut off."""
    now = {key_of(run.kind, run.params): (before.at, run.failed) for run in runs}
    results = {**_recent_results(before, rules), **now}
    since = (before.state.cut_since or before.at) if cut else None
    return {key: (at, failed) for key, (at, failed) in results.items() if cut or failed}, since


def _recent_results(before: _Before, rules: Rules) -> dict[str, tuple[datetime, bool]]:
    """Return the remembered results of probes that the rules name, without those that a gap made old."""
    results = before.state.results
    reach = {key_of(kind, params): 2 * every(params) + SLACK for kind, params in probes_of(rules)}
    return {key: each for key, each in results.items() if key in reach and before.at - each[0] <= reach[key]}


def _missed(run: _ProbeRun, before: _Before) -> _ProbeRun:
    """Return a run with what its server does not know (ABSENT) as down where it was measured before: it is gone."""
    for event in run.events:
        labels = json.loads(event.annotations.get(ABSENT) or "null")
        past = before.past(labels, run.every) if labels else None
        if past is not None and past.fine_at is not None:
            seen = {RESULT: f"{event.summary}; it was there before"}
            return replace(run, found=[Sample("uptime", 0.0, before.at, labels, seen)], unreached=False)
    return run


def _remembered(run: _ProbeRun, before: _Before) -> dict[str, Measured]:
    """Return which metrics a run measured, unless it failed: then none is known to be lost."""
    if not run.samples or run.down or any(event.kind == FAILED for event in run.events):
        return {}
    names = {f"{each.metric} {_key(each.labels)[:8]}" for each in run.samples if each.metric not in NEVER_LOST}
    identity, entry = identity_of(run.kind, name_of(run.params)), zlib.crc32(repr(run.params).encode())
    return {identity: after_reading(before.state.measured.get(identity), entry, names, before.at, run.every)}


def _lost_events(run: _ProbeRun, remembered: Mapping[str, Measured], at: datetime) -> list[Event]:
    """Return the event of what a probe measured before and no longer does."""
    known = remembered.get(identity_of(run.kind, name_of(run.params)))
    lost = known.lost if known is not None and run.found else {}
    if not lost:
        return []
    names = sorted({name.partition(" ")[0] for name in lost})
    reason = f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} no longer measured: last at {moment(max(lost.values()))}"
    return [probe_failed(run.kind, run.params, reason, now=at, part="measured before")]


def _upstream(kind: str, params: Mapping[str, Any], clients: Clients) -> str:
    """Return what a probe depends on; the probe itself where its secret cannot be read."""
    try:
        return upstream_of(kind, params, clients.secret)
    except Exception:  # The probe has reported it.
        return upstream_of(kind, params)


def _seen_of(kind: str, params: Mapping[str, Any], failed: bool, clients: Clients) -> cut_off.Seen:
    return cut_off.Seen(name_of(params), _upstream(kind, params, clients), failed, bool(params.get("self_check")))


def _log(run: _ProbeRun) -> None:
    """Write why a probe is down. Why one cannot measure was written by the engine."""
    for reason in dict.fromkeys(run.results):
        log.line("watch", probe=name_of(run.params), kind=run.kind, action="down", **redact({"reason": reason}))


def _pasts(run: _ProbeRun, before: _Before) -> list[tuple[Sample, Past]]:
    """Return each `uptime` of a run with the past of its series after it."""
    took = {_key(each.labels): each.value for each in run.samples if each.metric == "latency_ms"}
    return [
        (
            sample,
            after_run(
                before.past(sample.labels, run.every),
                before.at,
                bool(sample.value),
                took.get(_key(sample.labels)),
                run.every,
            ),
        )
        for sample in run.samples
        if sample.metric == "uptime"
    ]


def _streak_samples(sample: Sample, past: Past) -> list[Sample]:
    return [
        Sample("failures", float(past.failures), sample.at, sample.labels),
        Sample("successes", float(past.successes), sample.at, sample.labels),
    ]


def _counters(run: _ProbeRun, at: datetime) -> dict[str, Readings]:
    """Return the counters that a run read, by series."""
    read = {key: values for rate in run.rates for key, values in _readings(run, rate).items()}
    names = {name for rate in run.rates for name in rate.counters}
    return {
        _key(labels): Readings(
            at,
            {
                s.metric: s.value
                for s in run.samples
                if s.metric in names and s.labels == labels and s.value is not None
            },
        )
        for labels, _ in read.values()
    }


def _run_of(job: Job, tries: Sequence[Tried]) -> _ProbeRun:
    """Return what counts of one or two tries, with what their probe declares."""
    decisive = _decisive(tries)
    results = tuple(result for each in tries for result in _results(each.samples)) if len(tries) > 1 else ()
    rates, growths = _declared(job)
    identity = identity_of(job.kind, name_of(job.params))
    unreached = decisive.retry and any(each.identity == identity for each in decisive.events)
    return _ProbeRun(job.kind, job.params, (*decisive.samples, *decisive.events), rates, growths, results, unreached)


def _decisive(tries: Sequence[Tried]) -> Tried:
    """Return the try that counts: the last, unless it lost what the first could measure."""
    first, last = tries[0], tries[-1]
    return first if first.samples and not first.down and not last.samples else last


def _declared(job: Job) -> tuple[tuple[Rate, ...], Mapping[str, Growth]]:
    try:
        probe = job.load(job.kind)
    except Exception:  # The engine has reported it.
        return (), {}
    declared: Mapping[str, Growth | str] = getattr(probe, "GROWTHS", {})
    growths = {metric: each if isinstance(each, Growth) else Growth(each) for metric, each in declared.items()}
    return tuple(getattr(probe, "RATES", ())), growths


def _results(samples: Iterable[Sample]) -> list[str]:
    """Return what was found, in words, by tries that failed."""
    return [found for sample in samples if (found := sample.observed.get(RESULT))]


def _with_past(run: _ProbeRun, seen: Sequence[cut_off.Seen], before: _Before) -> _ProbeRun:
    """Return a failed run with what was seen before it. Secrets are masked: an address or a result may hold one."""
    found = [
        replace(each, observed=_masked(_observed(run, each, seen, before), each))
        if isinstance(each, Sample) and each.observed
        else each
        for each in run.found
    ]
    return replace(run, found=found)


def _masked(seen: Mapping[str, str], failed: Sample) -> dict[str, str]:
    """Return what was seen without secrets. The addresses that the operator has watched stay readable."""
    return redact_observed(seen, (seen.get("address", ""), *failed.labels.values()))


def _observed(run: _ProbeRun, failed: Sample, seen: Sequence[cut_off.Seen], before: _Before) -> dict[str, str]:
    if RESULT not in failed.observed:
        return bounded(failed.observed)
    past = before.past(failed.labels, run.every)
    tries = [f"{moment(at)} {_try_words(ok, took)}" for at, ok, took in past.tries] if past else []
    tries += [f"{moment(before.at)} {result}" for result in run.tried or run.results]
    return bounded(
        {
            **failed.observed,
            "together": cut_off.together(seen, name_of(run.params)),
            "fine": _fine(past, run.every) if past else "",
            "tries": "; ".join(tries[-MAX_TRIES:]),
        }
    )


def _try_words(ok: bool, took: float | None) -> str:
    return f"{'fine' if ok else 'failed'}{'' if took is None else f' in {took:.0f} ms'}"


def _fine(past: Past, interval: timedelta) -> str:
    """Return until when a probe was fine, how often in a row, and since when if no run was missed."""
    if past.fine_at is None:
        return ""
    since = past.fine_at - (past.fine_runs - 1) * interval
    times = "once" if past.fine_runs == 1 else f"{past.fine_runs:,} times in a row since {moment(since)}"
    return f"until {moment(past.fine_at)}, {times}"


def _with_derived(run: _ProbeRun, before: _Before) -> list[Sample]:
    """What was measured; a rate since the last reading takes the place of a total that the probe gave under its name.

    What the probe saw beside the total stays with the rate.
    """
    found = {(sample.metric, tuple(sorted(sample.labels.items()))): sample for sample in run.samples}
    for sample in (*_rates(run, before), *_growths(run, before)):
        key = sample.metric, tuple(sorted(sample.labels.items()))
        found[key] = replace(sample, observed=found[key].observed) if key in found else sample
    return list(found.values())


def _rates(run: _ProbeRun, before: _Before) -> list[Sample]:
    found = []
    for rate in run.rates:
        for labels, after in _readings(run, rate).values():
            known = before.counters(rate.counters, labels, run.every)
            if (sample := rate_sample(rate, known, after, before.at, labels)) is not None:
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


def _growths(run: _ProbeRun, before: _Before) -> list[Sample]:
    found = []
    for metric, growth in run.growths.items():
        for sample in run.samples:
            if sample.metric == growth.source and sample.value is not None:
                found += _grown(metric, growth, sample, run.every, before)
    return found


def _grown(metric: str, growth: Growth, sample: Sample, every: timedelta, before: _Before) -> list[Sample]:
    """Return by how much a value grew in the span, from a reading about so long ago; nothing without one."""
    at, (farthest, nearest) = before.at, growth.reach(every)
    earlier = before.store.buckets(growth.source, sample.labels, at - farthest, at - nearest)
    for bucket in earlier:
        if bucket.last is not None and sample.value is not None:
            spans = (at - bucket.last_at) / growth.span
            return [Sample(metric, (sample.value - bucket.last) / spans, at, sample.labels)]
    return []


def _reports(
    runs: Sequence[_ProbeRun], rules: Rules, before: _Before, cut: str
) -> tuple[list[Event], list[Sample], dict[str, Mapping[str, str]]]:
    """Return the events of this run, the samples of which probes are broken, and the same for the next run."""
    at, open_before = before.at, before.broken()
    whole = [_cut_off(cut, rules, at)] if cut else []
    current = {event.identity: event for event in [*whole, *(event for run in runs for event in run.events)]}
    events = whole + [
        event
        for run in runs
        for event in run.events
        if not _is_reported_once(event) or event.identity not in open_before
    ]
    marks = [_mark(event, 1.0, at) for event in current.values()]
    broken = {**open_before, **{event.identity: _mark(event, 1.0, at).labels for event in current.values()}}
    for identity, labels in open_before.items():
        if identity not in current and not cut and (reason := _ended(labels, runs, rules, current)) is not None:
            event = _recovered(identity, labels, reason, at)
            events += [event] if labels.get("status") == Status.FIRING else []
            marks.append(Sample(BROKEN, 0.0, at, labels))
            del broken[identity]
    return events, marks, broken


def _cut_off(reason: str, rules: Rules, at: datetime) -> Event:
    """Return the one event of a prober that is cut off: critical, unless the team's own self-check fails too."""
    checked = any(params.get("self_check") for listed in rules.probes.values() for params in listed)
    return replace(
        probe_failed(PROBER, {"name": PROBER}, f"{reason}. Nothing is measured of what fails until then.", now=at),
        title="The prober is cut off" if checked else "The prober is cut off, or everything is down",
        severity=Severity.WARNING if checked else Severity.CRITICAL,
    )


def _is_reported_once(event: Event) -> bool:
    """Return whether an event is sent in the first run alone that makes it, and has no end."""
    return event.status is Status.INFO or event.kind == RETIRING


def _mark(event: Event, value: float, at: datetime) -> Sample:
    status = Status.INFO if _is_reported_once(event) else event.status
    return Sample(BROKEN, value, at, {**event.labels, "identity": event.identity, "status": status.value})


def _recovered(identity: str, labels: Mapping[str, str], reason: str, at: datetime) -> Event:
    shown = {name: value for name, value in labels.items() if name not in ("identity", "status")}
    event = probe_recovered(labels.get("probe_kind", ""), identity, shown, reason, now=at)
    return replace(event, title="The prober measures again") if labels.get("probe_kind") == PROBER else event


def _ended(labels: Mapping[str, str], runs: Sequence[_ProbeRun], rules: Rules, current: Container[str]) -> str | None:
    """Why what was broken is no more: "" when it ran without saying so; None when this run cannot know."""
    kind, name = labels.get("probe_kind", ""), labels.get("probe", "")
    if identity_of(kind, name) in current:
        return None  # The whole probe broke: nothing is known of its parts.
    if kind == PROBER:
        return ""
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
