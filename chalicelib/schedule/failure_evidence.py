"""What people are shown of a failed check: what came, what was before, what fails too."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from chalicelib import log
from chalicelib.core import cut_off
from chalicelib.core.metrics.sample import Sample
from chalicelib.core.observed import BESIDE, RESULT, bounded, moment
from chalicelib.core.probe_state import Past
from chalicelib.probes import name_of
from chalicelib.redact import redact, redact_observed
from chalicelib.schedule.probe_run import ProbeRun
from chalicelib.schedule.runs_before import RunsBefore

MAX_TRIES = 3
"""The newest tries that people are shown of a probe that fails."""
MAX_SERVICES = 8
"""So many services are looked at for an incident that an alert may join."""


def log_down(run: ProbeRun) -> None:
    """Write why a probe is down. Why one cannot measure was written by the engine."""
    for reason in dict.fromkeys(run.results):
        log.line("watch", probe=name_of(run.params), kind=run.kind, action="down", **redact({"reason": reason}))


def with_evidence(run: ProbeRun, seen: Sequence[cut_off.Seen], before: RunsBefore) -> ProbeRun:
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


def _observed(run: ProbeRun, failed: Sample, seen: Sequence[cut_off.Seen], before: RunsBefore) -> dict[str, str]:
    if RESULT not in failed.observed:
        return bounded(failed.observed)
    past = before.past(failed.labels, run.every)
    tries = [f"{moment(at)} {_try_words(ok, took)}" for at, ok, took in past.tries] if past else []
    tries += [f"{moment(before.at)} {result}" for result in run.tried or run.results]
    return bounded(
        {
            **failed.observed,
            "together": cut_off.together(seen, name_of(run.params)),
            BESIDE: "\n".join(cut_off.services_beside(seen, name_of(run.params))[:MAX_SERVICES]),
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
