"""What people did to an incident, as its messages show it."""

from datetime import datetime

from chalicelib.core.incident import Entry, Incident

ACTS = ("ack", "unack", "resolve", "reassign", "note", "silence", "keep")
"""The entries of the timeline that are something a person did."""
REMARKS = ("reassign", "note", "silence")
"""Those of them that a message goes on showing."""
MAX_ACTS = 5


def acts_since(incident: Incident, after: datetime | None) -> tuple[tuple[str, str], ...]:
    """Return what people did after that, oldest first, each as its kind and a sentence."""
    found = [each for each in acts(incident) if after is None or each.at > after]
    return tuple((each.kind, sentence(each)) for each in found[-MAX_ACTS:])


def last_act_at(incident: Incident) -> datetime | None:
    """Return when a person did something last."""
    return max((each.at for each in acts(incident)), default=None)


def acts(incident: Incident) -> list[Entry]:
    """Return what people did, oldest first."""
    return sorted(
        (each for each in incident.timeline.entries if each.kind in ACTS and each.by), key=lambda each: each.at
    )


def sentence(entry: Entry) -> str:
    """Return what a person did, in words: `Acknowledged by Ana Souza`, `Ana Souza: looking at it`."""
    if entry.kind in ("note", "silence"):
        return f"{entry.by}: {entry.text}"
    said = f"{entry.text[:1].upper()}{entry.text[1:]}"
    return f"{said} by {entry.by}" if entry.by else said
