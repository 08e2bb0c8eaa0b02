"""What the probes of a rules file cost a month: the writes and reads of their samples and of their state, at list prices.

The function that runs them is not counted: 500 probes of a minute share one run.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from math import ceil
from typing import Any

from chalicelib.core.rule import Rules
from chalicelib.probes import every, name_of

MONTH = timedelta(days=30)
WRITE_USD, READ_USD = 0.625e-6, 0.125e-6
"""A write unit and a read unit of DynamoDB on demand: https://aws.amazon.com/dynamodb/pricing/on-demand/"""
SAMPLES = {"uptime": 4, "tcp": 4, "dns": 4, "domain": 5, "database": 15, "redis": 11, "supabase": 12, "cloudflare": 7}
"""Samples of a run of each kind, with `failures` and `successes`, where it all can be measured."""
OTHER_SAMPLES = 5
STATE_BYTES = 110
"""What the state of one probe takes of the text that each run with a probe reads and writes (`core/probe_state.py`)."""
WRITE_UNIT_BYTES, READ_UNIT_BYTES = 1_024, 4_096
NOT_RUN = frozenset({"heartbeat"})


@dataclass(frozen=True, slots=True)
class ProbeCost:
    """One probe: how often it runs a month, with how many samples, and what they cost."""

    kind: str
    name: str
    runs: float
    samples: int

    @property
    def usd(self) -> float:
        """Return the price a month. A sample is one write and one read (bench/samples.py)."""
        return self.runs * self.samples * (WRITE_USD + READ_USD)

    def __str__(self) -> str:
        return f"Probe {self.name} ({self.kind}): {self.runs:,.0f} runs a month with {self.samples} samples, {self.usd:.2f} USD."


def costs(rules: Rules) -> list[ProbeCost]:
    """Return what each probe costs, in the order of the file."""
    return [
        ProbeCost(kind, name_of(params), MONTH / every(params), samples_of(kind, params))
        for kind, listed in rules.probes.items()
        if kind not in NOT_RUN
        for params in listed
    ]


def probes_usd(rules: Rules) -> float:
    """Return what all probes cost a month, with their state."""
    return sum(each.usd for each in costs(rules)) + state_usd(rules)


def state_usd(rules: Rules) -> float:
    """Return what the state of all probes costs a month: it is read each minute, and written when a probe is due."""
    listed = [params for kind, each in rules.probes.items() if kind not in NOT_RUN for params in each]
    minutes = MONTH / timedelta(minutes=1)
    due = min(minutes, sum(MONTH / every(params) for params in listed))
    size = len(listed) * STATE_BYTES
    return due * ceil(size / WRITE_UNIT_BYTES) * WRITE_USD + minutes * ceil(size / READ_UNIT_BYTES) * READ_USD


def samples_of(kind: str, params: Mapping[str, Any]) -> int:
    """Return how many samples a run of a probe makes."""
    if kind == "journey":
        secure = str(params.get("base", "")).lower().startswith("https:")
        return SAMPLES["uptime"] + secure + 2 * len(params.get("steps") or ())
    if kind == "tcp":
        return SAMPLES[kind] + bool(params.get("tls"))
    if kind == "uptime":
        secure = str(params.get("url", "")).lower().startswith("https:")
        return SAMPLES[kind] + secure + ((4 if secure else 3) if params.get("timings") else 0)
    if kind == "cloudflare":
        return SAMPLES[kind] * max(1, len(params.get("zones") or ()))
    return SAMPLES.get(kind, OTHER_SAMPLES)
