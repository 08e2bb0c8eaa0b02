"""Whether the prober is cut off, from the newest result of every probe; and the one event that reports it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from chalicelib.core import cut_off
from chalicelib.core.event import Event, Severity
from chalicelib.core.ports import Clients
from chalicelib.core.probe_state import SLACK
from chalicelib.core.rule import Rules
from chalicelib.core.services import SERVICE
from chalicelib.probes import every, labels_of, name_of, probe_failed, upstream_of
from chalicelib.schedule.due import key_of, probes_of
from chalicelib.schedule.probe_run import ProbeRun
from chalicelib.schedule.runs_before import RunsBefore

PROBER = "prober"
"""The name and the kind under which the prober reports of itself."""


def earlier_results(
    runs: Sequence[ProbeRun], before: RunsBefore, rules: Rules, clients: Clients
) -> list[cut_off.Earlier]:
    """Return the probes that are not of this run. One whose failure is not remembered was fine, where a state is known."""
    if not before.state.known:
        return []
    ran = {key_of(run.kind, run.params) for run in runs}
    known = _recent_results(before, rules)
    found = []
    for kind, params in probes_of(rules):
        if (key := key_of(kind, params)) not in ran:
            at, failed = known.get(key, (None, False))
            found.append(cut_off.Earlier(seen_of(kind, params, failed, rules, clients), at))
    return found


def results_after(
    runs: Sequence[ProbeRun], before: RunsBefore, rules: Rules, cut: bool
) -> tuple[dict[str, tuple[datetime, bool]], datetime | None]:
    """Return the newest results that the next run must know, and since when the prober is cut off."""
    now = {key_of(run.kind, run.params): (before.at, run.failed) for run in runs}
    results = {**_recent_results(before, rules), **now}
    since = (before.state.cut_since or before.at) if cut else None
    return {key: (at, failed) for key, (at, failed) in results.items() if cut or failed}, since


def _recent_results(before: RunsBefore, rules: Rules) -> dict[str, tuple[datetime, bool]]:
    """Return the remembered results of probes that the rules name, without those that a gap made old."""
    results = before.state.results
    reach = {key_of(kind, params): 2 * every(params) + SLACK for kind, params in probes_of(rules)}
    return {key: each for key, each in results.items() if key in reach and before.at - each[0] <= reach[key]}


def _upstream(kind: str, params: Mapping[str, Any], clients: Clients) -> str:
    """Return what a probe depends on; the probe itself where its secret cannot be read."""
    try:
        return upstream_of(kind, params, clients.secret)
    except Exception:  # The probe has reported it.
        return upstream_of(kind, params)


def seen_of(kind: str, params: Mapping[str, Any], failed: bool, rules: Rules, clients: Clients) -> cut_off.Seen:
    """Return a probe as what decides whether the prober is cut off sees it."""
    service = rules.services.labelled(labels_of(params)).get(SERVICE, "")
    upstream = _upstream(kind, params, clients)
    return cut_off.Seen(name_of(params), upstream, failed, bool(params.get("self_check")), service)


def cut_off_event(reason: str, rules: Rules, at: datetime) -> Event:
    """Return the one event of a prober that is cut off: critical, unless the team's own self-check fails too."""
    checked = any(params.get("self_check") for listed in rules.probes.values() for params in listed)
    return replace(
        probe_failed(PROBER, {"name": PROBER}, f"{reason}. Nothing is measured of what fails until then.", now=at),
        title="The prober is cut off" if checked else "The prober is cut off, or everything is down",
        severity=Severity.WARNING if checked else Severity.CRITICAL,
    )
