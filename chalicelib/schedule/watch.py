"""schedule → probes → samples and events: one run of all probes that are due, once a minute.

All probes run at once, each within its time limit (`probing.py`); one that hangs, breaks or is refused keeps no other from
its result. What failed is tried a second time after a pause, and only the second answer counts, unless it measures nothing
where the first measured a part. A run claims its minute first: EventBridge may fire twice in a minute, and after a throttled
time it fires all that it missed at once. No run takes a whole minute, so that no probe overlaps itself. Samples are stamped
with the start of the minute, so that what was measured twice counts once. `due.py` decides which probes a run takes.

Beside what a probe measures, a run makes `failures` and `successes` (in a row, which a gap ends), rates of the counters that
the probe declares (RATES) and growth a day (GROWTHS). What it must know of the runs before is one short text in the store
(`core/probe_state.py`), so that a run makes two writes: its minute and this text. What a scrape (`core/gauges.py`) and the page
(`slowest.py`) show of the newest run is in it too. Samples go over the queue, where the worker may be behind.

A probe that cannot measure becomes an event of source `router`, each minute anew, and one that ends it when the probe
works again, or when it is gone from the rules. What a plan refuses for good is reported once, as information. When unlike
targets fail at once, the prober is cut off (`core/cut_off.py`): one event reports it, and nothing is measured of what failed.

The steps of a run, each in its file:

    due.py                which probes
    spreading.py          which worker tries them
    probing.py            their tries
    probe_run.py          which of two tries counts
    runs_before.py        what the runs before left
    prober_cut_off.py     whether it is the targets or we
    failure_evidence.py   what people are shown of a failure
    derived_samples.py    streaks, rates, growth
    lost_metrics.py       what is no longer measured
    broken_probes.py      what could not be measured, and its end
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from chalicelib import plugins
from chalicelib.core import cut_off, gauges
from chalicelib.core.event import Event
from chalicelib.core.metrics.rollup import minute_start
from chalicelib.core.metrics.sample import Sample
from chalicelib.core.observed import RESULT
from chalicelib.core.ports import Clients, Store
from chalicelib.core.probe_state import MAX_PROBES, MAX_PROBES_A_RUN, STATE, ProbeState, written
from chalicelib.core.probe_state import read as read_state
from chalicelib.core.rule import Rules
from chalicelib.core.stage_report import SCRAPED, is_scraped
from chalicelib.messages.queue import Queues, events_messages, samples_messages
from chalicelib.probes import ABSENT, FAILED, Names, name_of
from chalicelib.schedule.broken_probes import reports
from chalicelib.schedule.derived_samples import counters_read, pasts_after, streak_samples, with_derived
from chalicelib.schedule.due import due, probes_of, ran_after
from chalicelib.schedule.failure_evidence import log_down, with_evidence
from chalicelib.schedule.lost_metrics import lost_events, remembered_metrics
from chalicelib.schedule.probe_run import ProbeRun, run_of
from chalicelib.schedule.prober_cut_off import cut_off_event, earlier_results, results_after, seen_of
from chalicelib.schedule.probing import BLOCKING_LIMIT, Job, Pause
from chalicelib.schedule.runs_before import BROKEN_KEPT, RunsBefore, series_key
from chalicelib.schedule.slowest import slowest_after
from chalicelib.schedule.spreading import Workers, tried, unanswered_event

if TYPE_CHECKING:
    from chalicelib.plugin_modules import AnyProbeModule

MINUTE = "watch"
"""The name under which a run claims its minute."""


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """What a run came to: how many probes ran, which are down and which broke, and what went on the queue."""

    ran: int = 0
    down: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    samples: tuple[Sample, ...] = ()
    events: tuple[Event, ...] = ()


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
    workers: Workers | None = None,
) -> ProbeReport:
    """Run the probes that are due and put what they found on the webhooks queue. A second run of a minute does nothing.

    `pause` waits so many seconds before a second try. `workers` gives what asks one more of them to try a share of the
    probes; without it a run takes MAX_PROBES_A_RUN. NotStoredError when the queue cannot take the result.
    """
    at = minute_start(now)
    left = store.marks([STATE, SCRAPED])
    before = RunsBefore(store, read_state(left.get(STATE)), at)
    probes = probes_of(rules)
    taken = due(probes, before.state.ran, at, MAX_PROBES if workers is not None else MAX_PROBES_A_RUN)
    if taken and not store.claim_minute(MINUTE, at):
        return ProbeReport()
    known = names or Names()
    jobs = [Job(kind, params, load, clients, at, known, limit) for kind, params in taken]
    runs = [run_of(job, tries) for job, tries in zip(jobs, tried(jobs, pause, workers), strict=True) if tries]
    measured, state, cut = _measured(runs, before, rules, clients)
    own = [cut_off_event(cut, rules, at)] if cut else []
    own += [unanswered_event(len(taken) - len(runs), at)] if len(runs) < len(taken) else []
    events, marks, broken = reports(measured, rules, before, own, is_cut_off=bool(cut))
    samples = (*(sample for run in measured for sample in run.samples), *marks)
    if samples or events:
        queues.webhooks.put([*samples_messages(samples), *events_messages(events)])
    if runs or events:
        ran = ran_after(probes, before.state.ran, [(run.kind, run.params) for run in runs], at)
        newest = _newest_values(before.state.gauges, measured, marks, at) if is_scraped(left.get(SCRAPED), now) else ()
        slowest = slowest_after(before.state.slowest, samples)
        store.put_mark(STATE, written(replace(state, broken=broken, ran=ran, gauges=newest, slowest=slowest), at))
    return _reported(measured, samples, events)


def _newest_values(
    rows: Iterable[Any], runs: Sequence[ProbeRun], marks: Iterable[Sample], at: datetime
) -> Sequence[Any]:
    """Return the rows of the newest value of each series, from those of the run before."""
    new = [gauge for run in runs for gauge in gauges.gauges_of(run.samples, run.every)]
    new += gauges.gauges_of(marks, BROKEN_KEPT)
    return gauges.rows(gauges.merged(gauges.of_rows(rows), new, at))


def _measured(
    runs: Sequence[ProbeRun], before: RunsBefore, rules: Rules, clients: Clients
) -> tuple[list[ProbeRun], ProbeState, str]:
    """Return the runs with what is derived of them, the state after them, and why the prober is cut off, if it is."""
    runs = [_missed(run, before) for run in runs]
    kept, cut = _judged(runs, before, rules, clients)
    series, counters = dict(before.state.series), dict(before.state.counters)
    remembered = dict(before.state.measured)
    found = []
    for run in kept:
        remembered |= remembered_metrics(run, before)
        pasts = pasts_after(run, before)
        series |= {series_key(sample.labels): past for sample, past in pasts}
        counters |= counters_read(run, before.at)
        streaks = [each for sample, past in pasts for each in streak_samples(sample, past)]
        lost = lost_events(run, remembered, before.at)
        found.append(replace(run, found=[*with_derived(run, before), *streaks, *run.events, *lost]))
    results, since = results_after(runs, before, rules, bool(cut))
    return found, ProbeState(series, counters, measured=remembered, results=results, cut_since=since), cut


def _judged(runs: Sequence[ProbeRun], before: RunsBefore, rules: Rules, clients: Clients) -> tuple[list[ProbeRun], str]:
    """Return what counts of the runs, with evidence of failures, and why the prober is cut off, if it is."""
    seen = [seen_of(run.kind, run.params, run.failed, rules, clients) for run in runs]
    earlier = earlier_results(runs, before, rules, clients)
    cut = cut_off.reason_over_all(seen, earlier, before.state.cut_since)
    seen += [each.seen for each in earlier]
    for run in runs:
        log_down(run)
    return [replace(run, found=()) if cut and run.failed else with_evidence(run, seen, before) for run in runs], cut


def _missed(run: ProbeRun, before: RunsBefore) -> ProbeRun:
    """Return a run with what its server does not know (ABSENT) as down where it was measured before: it is gone."""
    for event in run.events:
        labels = json.loads(event.annotations.get(ABSENT) or "null")
        past = before.past(labels, run.every) if labels else None
        if past is not None and past.fine_at is not None:
            seen = {RESULT: f"{event.summary}; it was there before"}
            return replace(run, found=[Sample("uptime", 0.0, before.at, labels, seen)], unreached=False)
    return run


def _reported(runs: Sequence[ProbeRun], samples: Sequence[Sample], events: Iterable[Event]) -> ProbeReport:
    return ProbeReport(
        ran=len(runs),
        down=tuple(name_of(run.params) for run in runs if run.down),
        broken=tuple(sorted({event.identity for run in runs for event in run.events if event.kind == FAILED})),
        samples=tuple(samples),
        events=tuple(events),
    )
