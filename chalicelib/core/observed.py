"""What was seen of a fault that is measured: short texts for people, by names that targets know.

A probe and the stages around it fill them in, an alert keeps those of its newest measurement, a message shows them as
facts in the order of LABELS. Times in them are written by `moment`, which Slack shows in each reader's zone.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType

RESULT = "result"
LABELS: Mapping[str, str] = MappingProxyType(
    {
        "address": "Address",
        "expected": "Expected",
        RESULT: "Result",
        "together": "Fails too",
        "fine": "Fine before",
        "tries": "Last tries",
        "last_beat": "Last heartbeat",
        "due": "Was due",
        "output": "Last output",
        "statuses": "Status codes",
        "slowest": "Slowest statements",
        "growth": "Growth",
        "limit_in": "Limit reached",
    }
)
"""The names, and what people read before each text."""
BESIDE = "beside"
"""The services whose probes fail together with this one, a line each: for the choice of the incident, and shown to nobody."""
MAX_CHARACTERS = 400
"""Of one text."""


def moment(at: datetime) -> str:
    """Return an instant as text within a sentence: `2026-11-24 08:14 UTC`."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def bounded(observed: Mapping[str, str]) -> dict[str, str]:
    """Return the texts that have a name, each with no more than MAX_CHARACTERS."""
    return {name: observed[name][:MAX_CHARACTERS] for name in (*LABELS, BESIDE) if observed.get(name)}


def tail(text: str) -> str:
    """Return the end of a long text: what went wrong stands last in an output."""
    text = text.strip()
    return text if len(text) <= MAX_CHARACTERS else "…" + text[-(MAX_CHARACTERS - 1) :]


def size_of(observed: Mapping[str, str]) -> int:
    """Return how many bytes the texts have."""
    return sum(len(text.encode("utf-8", "surrogatepass")) for text in observed.values())
