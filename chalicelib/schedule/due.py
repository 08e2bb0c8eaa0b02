"""Which probes a run takes: those whose newest turn has not been taken yet.

A probe has its turns at minutes of its own within its interval, always the same, so that not all of them come at once. A new
one runs at once. A turn that was lost, because a run failed or was throttled, is taken by the next run. Of more probes than
a run can have tried, alone or with further workers (`spreading.py`), it takes those that waited longest.
"""

import zlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from chalicelib.core.probe_state import MAX_PROBES_A_RUN
from chalicelib.core.rule import Rules
from chalicelib.probes import every, identity_of, name_of

Probe = tuple[str, Mapping[str, Any]]

NOT_PROBES = frozenset({"heartbeat"})
"""Kinds under `probes:` that measure nothing: a heartbeat waits to be called."""
MINUTE = timedelta(minutes=1)


def probes_of(rules: Rules) -> list[Probe]:
    """Return the probes that the rules name, with their kinds."""
    return [(kind, params) for kind, listed in rules.probes.items() if kind not in NOT_PROBES for params in listed]


def key_of(kind: str, params: Mapping[str, Any]) -> str:
    """Return a short key of a probe."""
    return f"{zlib.crc32(identity_of(kind, name_of(params)).encode()):x}"


def due(
    probes: Sequence[Probe], ran: Mapping[str, datetime], at: datetime, most: int = MAX_PROBES_A_RUN
) -> list[Probe]:
    """Return the probes of the run of a minute, `most` of them. `ran`: when they ran last, by their keys."""
    found = [probe for probe in probes if _is_due(probe, ran, at)]
    if len(found) <= most:
        return found
    return sorted(found, key=lambda probe: ran[key].timestamp() if (key := key_of(*probe)) in ran else 0.0)[:most]


def ran_after(
    probes: Sequence[Probe], ran: Mapping[str, datetime], taken: Sequence[Probe], at: datetime
) -> dict[str, datetime]:
    """Return when probes ran last, of those for which the next run must know it.

    Those of every minute are always due: they matter only where not all of them fit into one run.
    """
    crowded = len(probes) > MAX_PROBES_A_RUN
    kept = {key_of(*probe) for probe in probes if crowded or minutes_of(probe[1]) > 1}
    found = {**ran, **{key_of(*probe): at for probe in taken}}
    return {key: each for key, each in found.items() if key in kept}


def minutes_of(params: Mapping[str, Any]) -> int:
    """Return the interval of a probe in minutes."""
    return max(1, every(params) // MINUTE)


def _is_due(probe: Probe, ran: Mapping[str, datetime], at: datetime) -> bool:
    last = ran.get(key_of(*probe))
    return last is None or last < _newest_turn(probe, at)


def _newest_turn(probe: Probe, at: datetime) -> datetime:
    minutes = minutes_of(probe[1])
    since = (int(at.timestamp()) // 60 - zlib.crc32(f"{probe[0]} {name_of(probe[1])}".encode())) % minutes
    return at - since * MINUTE
