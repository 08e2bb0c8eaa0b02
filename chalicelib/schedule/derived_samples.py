"""Samples that a run makes of what its probes measured: streaks, rates of counters, growth."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from chalicelib.core.growth import Growth
from chalicelib.core.metrics.rollup import Rate, rate_sample
from chalicelib.core.metrics.sample import Sample
from chalicelib.core.probe_state import Past, Readings, after_run
from chalicelib.schedule.probe_run import ProbeRun
from chalicelib.schedule.runs_before import RunsBefore, series_key


def with_derived(run: ProbeRun, before: RunsBefore) -> list[Sample]:
    """Return what was measured; a rate since the last reading takes the place of a total that the probe gave under its name.

    What the probe saw beside the total stays with the rate.
    """
    found = {(sample.metric, tuple(sorted(sample.labels.items()))): sample for sample in run.samples}
    for sample in (*_rates(run, before), *_growths(run, before)):
        key = sample.metric, tuple(sorted(sample.labels.items()))
        found[key] = replace(sample, observed=found[key].observed) if key in found else sample
    return list(found.values())


def _rates(run: ProbeRun, before: RunsBefore) -> list[Sample]:
    found = []
    for rate in run.rates:
        for labels, after in _readings(run, rate).values():
            known = before.counters(rate.counters, labels, run.every)
            if (sample := rate_sample(rate, known, after, before.at, labels)) is not None:
                found.append(sample)
    return found


def _readings(
    run: ProbeRun, rate: Rate
) -> dict[tuple[tuple[str, str], ...], tuple[Mapping[str, str], dict[str, float]]]:
    """Return the counters of a rate as this run read them, for each set of labels."""
    found: dict[tuple[tuple[str, str], ...], tuple[Mapping[str, str], dict[str, float]]] = {}
    for sample in run.samples:
        if sample.metric in rate.counters and sample.value is not None:
            series = found.setdefault(tuple(sorted(sample.labels.items())), (sample.labels, {}))
            series[1][sample.metric] = sample.value
    return found


def _growths(run: ProbeRun, before: RunsBefore) -> list[Sample]:
    found = []
    for metric, growth in run.growths.items():
        for sample in run.samples:
            if sample.metric == growth.source and sample.value is not None:
                found += _grown(metric, growth, sample, run.every, before)
    return found


def _grown(metric: str, growth: Growth, sample: Sample, every: timedelta, before: RunsBefore) -> list[Sample]:
    """Return by how much a value grew in the span, from a reading about so long ago; nothing without one."""
    at, (farthest, nearest) = before.at, growth.reach(every)
    earlier = before.store.buckets(growth.source, sample.labels, at - farthest, at - nearest)
    for bucket in earlier:
        if bucket.last is not None and sample.value is not None:
            spans = (at - bucket.last_at) / growth.span
            return [Sample(metric, (sample.value - bucket.last) / spans, at, sample.labels)]
    return []


def pasts_after(run: ProbeRun, before: RunsBefore) -> list[tuple[Sample, Past]]:
    """Return each `uptime` of a run with the past of its series after it."""
    took = {series_key(each.labels): each.value for each in run.samples if each.metric == "latency_ms"}
    return [
        (
            sample,
            after_run(
                before.past(sample.labels, run.every),
                before.at,
                bool(sample.value),
                took.get(series_key(sample.labels)),
                run.every,
            ),
        )
        for sample in run.samples
        if sample.metric == "uptime"
    ]


def streak_samples(sample: Sample, past: Past) -> list[Sample]:
    """Return the samples of how often in a row an `uptime` failed and was fine."""
    return [
        Sample("failures", float(past.failures), sample.at, sample.labels),
        Sample("successes", float(past.successes), sample.at, sample.labels),
    ]


def counters_read(run: ProbeRun, at: datetime) -> dict[str, Readings]:
    """Return the counters that a run read, by series."""
    read = {key: values for rate in run.rates for key, values in _readings(run, rate).items()}
    names = {name for rate in run.rates for name in rate.counters}
    return {
        series_key(labels): Readings(
            at,
            {
                s.metric: s.value
                for s in run.samples
                if s.metric in names and s.labels == labels and s.value is not None
            },
        )
        for labels, _ in read.values()
    }
