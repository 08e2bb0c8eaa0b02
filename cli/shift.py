"""What a shift hands over, as values: from what the API of a stage lists, with bounded reads."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chalicelib.core.account import shown_by
from cli.remote import RefusedError, Remote, listed
from cli.table import instant

MAX_INCIDENTS = 1_000
MAX_LOOKED_AT = 30
"""So many incidents are read with their timeline: the open ones first, then those that ended last."""
MAX_RULES = 10
MAX_WORDS = 40
"""So many of the newest acts of people are shown."""
PEOPLE_DO = ("ack", "unack", "resolve", "note", "reassign", "silence")

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Word:
    """One thing that a person did, with the incident that it is about."""

    at: str
    incident: str
    by: str
    text: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A target with notifications that were given up: how many, and the newest error."""

    target: str
    count: int
    last_at: str
    error: str


@dataclass(frozen=True, slots=True)
class Noise:
    """A rule, or a name of events without one: its incidents that began in the shift."""

    name: str
    incidents: int
    open: int
    unattended: int
    """Ended, and no person had done anything about them."""


@dataclass(frozen=True, slots=True)
class Shift:
    """What happened between two times. `began` counts incidents; `looked_at` those whose timelines were read.

    `hands` names for the id of an incident who had it, or else who last acted on it.
    """

    since: datetime
    until: datetime
    open: tuple[Row, ...]
    ended: tuple[Row, ...]
    began: int
    hands: Mapping[str, str]
    silences: tuple[Row, ...]
    words: tuple[Word, ...]
    noise: tuple[Noise, ...]
    failures: tuple[Failure, ...]
    looked_at: int

    @property
    def incidents(self) -> int:
        """Return how many incidents are open or ended since."""
        return len(self.open) + len(self.ended)

    @property
    def unattended(self) -> int:
        """Return how many ended without any act of a person."""
        return sum(row["id"] not in self.hands for row in self.ended)


def read_shift(api: Remote, since: datetime, until: datetime, match: Sequence[tuple[str, str]] = ()) -> Shift:
    """Return what a stage knows of a time that ends now."""
    asked = [("status", "all"), ("since", since.isoformat()), *match]
    rows = listed(api, "incidents", asked, most=MAX_INCIDENTS)
    newest = sorted((row for row in rows if row["ended"]), key=lambda row: str(row["ended_at"]), reverse=True)
    going = [row for row in rows if not row["ended"]]
    whole = list(_whole(api, [row["id"] for row in (*going, *newest)][:MAX_LOOKED_AT]))
    silences = listed(api, "silences", [], most=MAX_INCIDENTS)
    began = [row for row in rows if instant(row["started_at"]) >= since]
    hands = hands_of(rows, whole)
    return Shift(
        since,
        until,
        tuple(going),
        tuple(newest),
        len(began),
        hands,
        tuple(silences),
        tuple(words(whole, since)),
        tuple(noise(began, hands)),
        tuple(failures(whole, since)),
        len(whole),
    )


def _whole(api: Remote, ids: Sequence[str]) -> Iterator[Row]:
    """Yield incidents with their timelines, but for those that are gone meanwhile."""
    for id in ids:
        try:
            yield api.get(f"incidents/{id}")["incident"]
        except RefusedError:
            continue


def hands_of(rows: Sequence[Row], whole: Sequence[Row]) -> dict[str, str]:
    """Return who has or had each incident: by its row, or else who acted last, where the timeline was read."""
    acted = {incident["id"]: shown_by(acts[-1]) for incident in whole if (acts := _acts(incident))}
    had = {row["id"]: str(who) for row in rows if (who := row["assigned_to"] or row["acked_by"])}
    return {**acted, **had}


def _acts(incident: Row) -> list[Row]:
    """Return the entries of its timeline that people made."""
    return [each for each in incident["timeline"] if each["kind"] in PEOPLE_DO and each["by"]]


def words(incidents: Sequence[Row], since: datetime) -> list[Word]:
    """Return what people did since then, in order; the newest where there is more than a reader takes in."""
    found = [
        Word(each["at"], incident["id"], shown_by(each), each["text"])
        for incident in incidents
        for each in _acts(incident)
        if instant(each["at"]) >= since
    ]
    return sorted(found, key=lambda word: (instant(word.at), word.incident))[-MAX_WORDS:]


def noise(rows: Sequence[Row], hands: Mapping[str, str]) -> list[Noise]:
    """Return the names with the most incidents, each with how many of them ended without an act of a person."""
    by_name: dict[str, list[Row]] = {}
    for row in rows:
        for name in row.get("names") or [row["title"]]:
            by_name.setdefault(name, []).append(row)
    found = [_noise(name, mine, hands) for name, mine in by_name.items()]
    return sorted(found, key=lambda each: (-each.incidents, -each.unattended, each.name))[:MAX_RULES]


def _noise(name: str, rows: Sequence[Row], hands: Mapping[str, str]) -> Noise:
    ended = [row for row in rows if row["ended"]]
    return Noise(name, len(rows), len(rows) - len(ended), sum(row["id"] not in hands for row in ended))


def failures(incidents: Sequence[Row], since: datetime) -> list[Failure]:
    """Return the targets that did not get what was sent to them since then, the worst first."""
    by_target: dict[str, list[Row]] = {}
    for incident in incidents:
        for target in incident["told"]:
            lost = [each for each in target["results"] if each["error"] and instant(each["at"]) >= since]
            by_target.setdefault(target["target"], []).extend(lost)
    found = []
    for name, lost in by_target.items():
        if lost:
            last = max(lost, key=lambda each: instant(each["at"]))
            found.append(Failure(name, len(lost), last["at"], last["error"]))
    return sorted(found, key=lambda each: (-each.count, each.target))
