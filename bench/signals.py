"""How much noise a fault makes, and whether one is lost: labelled days under the shipped rules, with and without `correlate`.

For each kind of day (simulation/labelled_days.py), for each fault and target: sounds and openings. Then critical faults that made no
sound at PagerDuty (with those that began after an acknowledgement of their incident), pairs of faults in one incident, pages,
and seconds from a fault's first signal to the first word of it at a target. The decisions are those of production on a virtual clock.
One person acknowledges the first page of each incident four minutes after it, and never again. Ends are not counted. At PagerDuty a
sound is a page: an incident of its own there (core/waves.py). An update of one that nobody has acknowledged pages nobody.
Run: python bench/signals.py [--seeds 6] [--size 4]
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import combinations
from pathlib import Path
from statistics import mean

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from chalicelib.core.delivery.notification import Notification, Reason, Receipt
from chalicelib.core.event import Action, ActionKind
from chalicelib.core.rule import Rules
from chalicelib.messages.queue import action_message
from chalicelib.rules.file import load
from simulation.labelled_days import KINDS, MINUTE, START, Day, Signal, day_of, messages_of
from simulation.simulator import Sent, Simulator

ACKED_AFTER = 4 * MINUTE
PAGER = "pagerduty"
GOALS = {
    "plain": "1.0 sounds",
    "overlap": "none lost that began after an acknowledgement",
    "dependency": "at most 2 sounds",
    "region": "at most 6 incidents at PagerDuty a day, and one of the other provider's fault",
    "night": "at most 1.0 sounds",
}
Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Played:
    """What a day brought its targets, in the order of time, and when somebody acknowledged each incident."""

    day: Day
    sent: Sequence[Sent]
    acked_at: Mapping[str, datetime]


@dataclass(slots=True)
class Figures:
    """What one way of grouping made of some days. A pair is a fault with a target that was notified of it.

    `paged` are incidents that were opened at PagerDuty, `pages` also those that it was paged for once more.
    """

    pairs: int = 0
    sounds: int = 0
    openings: int = 0
    pages: int = 0
    paged: int = 0
    paging: int = 0
    lost: int = 0
    lost_after_ack: int = 0
    merged: int = 0
    waits: list[float] = field(default_factory=list)
    late: list[str] = field(default_factory=list)

    @property
    def sounds_each(self) -> float:
        """Return the sounds for each fault and target."""
        return self.sounds / max(self.pairs, 1)

    @property
    def openings_each(self) -> float:
        """Return the openings for each fault and target."""
        return self.openings / max(self.pairs, 1)


# ---------------------------------------------------------------------------------------------------------------------
# Playing a day


def rules_for(day: Day, *, correlated: bool) -> Rules:
    """Return the shipped rules with the services of a day, with `correlate` or without."""
    text = (ROOT / "alert-rules.yaml").read_text(encoding="utf-8")
    names = dict.fromkeys((*day.needs, *(name for needed in day.needs.values() for name in needed)))
    listed = ", ".join(f"{name}: {{depends_on: [{', '.join(day.needs.get(name, ()))}]}}" for name in names)
    rules = load(text.replace("\nservices:\n", f"\nservices: {{{listed}}}\n"), filename="alert-rules.yaml")
    return rules if correlated else replace(rules, correlate=None)


class Player:
    """Plays a day to a router in memory, with somebody who acknowledges."""

    def __init__(self, rules: Rules) -> None:
        self._simulator = Simulator(rules, START)
        self._simulator.sender = lambda clients, now: lambda notification, log: self._taken(notification)
        self._acks: list[tuple[datetime, str]] = []
        self._acked: dict[str, datetime] = {}

    def play(self, day: Day) -> Played:
        """Return what the targets received until everything has ended."""
        for at, bodies in messages_of(day):
            self._pass(at)
            self._simulator.post(bodies)
            self._simulator.settle()
        last = max(signal.ends for signal in day.signals)
        self._pass(START + MINUTE * (last + 60))
        return Played(day, self._simulator.taken(), self._acked)

    def _taken(self, notification: Notification) -> Receipt:
        name = notification.incident.id
        if notification.target.kind == PAGER and notification.sounds and name not in self._acked:
            self._acked[name] = self._simulator.now + ACKED_AFTER
            self._acks.append((self._acked[name], name))
        return Receipt()

    def _pass(self, until: datetime) -> None:
        """Let time pass in steps that are shorter than a person's pause, so that no act comes late."""
        while self._simulator.now < until:
            due = [at for at, _ in self._acks]
            self._simulator.run_until(min([until, self._simulator.now + MINUTE, *due]), inclusive=True)
            for at, name in [each for each in self._acks if each[0] <= self._simulator.now]:
                self._acks.remove((at, name))
                act = Action(ActionKind.ACK, "ana", at, incident=name, via="api", id=f"ack-{name}")
                self._simulator.post([action_message(act)])
                self._simulator.settle()


# ---------------------------------------------------------------------------------------------------------------------
# What it was like


def faults_in(notification: Notification) -> set[str]:
    """Return the faults whose alerts a notification shows as firing."""
    return {each.labels["fault"] for each in notification.alerts if each.status == "firing" and "fault" in each.labels}


def is_sound(notification: Notification) -> bool:
    """Return whether a notification makes people look, other than for an end."""
    return notification.sounds and notification.reason is not Reason.RESOLVED


def pages_of(noticed: Iterable[Notification]) -> list[Notification]:
    """Return the notifications that page: openings, and the first of each further incident of the pager's own."""
    known: set[tuple[str, int]] = set()
    found = []
    for each in noticed:
        wave = (each.incident.id, each.wave)
        if each.target.kind == PAGER and (each.reason is Reason.OPENED or wave not in known):
            found.append(each)
            known.add(wave)
    return found


def first_words(played: Played) -> dict[Pair, tuple[datetime, bool]]:
    """Return when each target was first shown each fault, and whether something explained all of it then."""
    found: dict[Pair, tuple[datetime, bool]] = {}
    for sent in played.sent:
        notification = sent.notification
        for fault in faults_in(notification):
            own = [each for each in notification.alerts if each.labels.get("fault") == fault]
            explained = all(each.impact_of for each in own if each.status == "firing")
            found.setdefault((fault, notification.target.key), (sent.at, explained))
    return found


def measured(played: Played) -> Figures:
    """Return the figures of one day."""
    noticed = [each.notification for each in played.sent if is_sound(each.notification)]
    pages = pages_of(noticed)
    sounding = [*pages, *(each for each in noticed if each.target.kind != PAGER)]
    words = first_words(played)
    begins = _begins(played.day.signals)
    lost = _lost(played, noticed)
    return Figures(
        pairs=len(words),
        sounds=len(sounding),
        openings=sum(each.reason is Reason.OPENED for each in sounding),
        pages=len(pages),
        paged=sum(each.reason is Reason.OPENED for each in pages),
        paging=len({signal.fault for signal in played.day.signals if signal.pages}),
        lost=len(lost),
        lost_after_ack=sum(_began_after_ack(fault, played) for fault in lost),
        merged=_merged(played),
        waits=[(at - begins[fault]).total_seconds() for (fault, _), (at, _) in words.items()],
    )


def _begins(signals: Iterable[Signal]) -> dict[str, datetime]:
    found: dict[str, float] = {}
    for signal in signals:
        found[signal.fault] = min(signal.begins, found.get(signal.fault, signal.begins))
    return {fault: START + timedelta(minutes=at) for fault, at in found.items()}


def _lost(played: Played, sounding: Iterable[Notification]) -> set[str]:
    """Return the faults that must page and that no page showed as firing."""
    paged = {fault for each in sounding if each.target.kind == PAGER for fault in faults_in(each)}
    return {signal.fault for signal in played.day.signals if signal.pages} - paged


def _began_after_ack(fault: str, played: Played) -> bool:
    """Return whether somebody had acknowledged the incident of a fault before it began."""
    began = min(signal.begins for signal in played.day.signals if signal.fault == fault and signal.pages)
    held = {each.notification.incident.id for each in played.sent if fault in faults_in(each.notification)}
    return any(at < START + timedelta(minutes=began) for name, at in played.acked_at.items() if name in held)


def _merged(played: Played) -> int:
    """Return how many pairs of faults shared an incident."""
    held: dict[str, set[str]] = defaultdict(set)
    for each in played.sent:
        held[each.notification.incident.id] |= faults_in(each.notification)
    return len({pair for faults in held.values() for pair in combinations(sorted(faults), 2)})


def later_words(without: Played, within: Played) -> list[str]:
    """Return the faults and targets whose first word came later with `correlate`, or never, and was not explained."""
    now = first_words(within)
    found = []
    for pair, (at, _) in first_words(without).items():
        word = now.get(pair)
        if word is None or (word[0] > at and not word[1]):
            found.append(f"{pair[0]} at {pair[1]}: " + ("never" if word is None else f"{word[0] - at} later"))
    return found


def compared(kind: str, seeds: int, size: int) -> tuple[Figures, Figures]:
    """Return the figures of so many days of a kind without `correlate`, and with it."""
    without, within = Figures(), Figures()
    for seed in range(seeds):
        day = day_of(kind, seed, size)
        apart, together = (Player(rules_for(day, correlated=each)).play(day) for each in (False, True))
        _add(without, measured(apart))
        _add(within, measured(together))
        within.late += later_words(apart, together)
    return without, within


def _add(total: Figures, day: Figures) -> None:
    for name in (
        "pairs",
        "sounds",
        "openings",
        "pages",
        "paged",
        "paging",
        "lost",
        "lost_after_ack",
        "merged",
        "waits",
    ):
        setattr(total, name, getattr(total, name) + getattr(day, name))


IS_MET: Mapping[str, Callable[[Figures, int], bool]] = {
    "plain": lambda found, days: found.sounds_each <= 1.0 and not found.lost,
    "overlap": lambda found, days: not found.lost_after_ack,
    "dependency": lambda found, days: found.sounds_each <= 2.0 and not found.lost_after_ack,
    "region": lambda found, days: found.paged <= 7 * days,
    "night": lambda found, days: found.sounds_each <= 1.0,
}


SHOWN: Mapping[str, tuple[str, Callable[[Figures], str]]] = {
    "plain": ("sounds for each fault and target, shipped rules, plain days", lambda found: f"{found.sounds_each:.2f}"),
    "night": ("the same, nights of warnings", lambda found: f"{found.sounds_each:.2f}"),
    "dependency": ("the same, outages of a database that six services need", lambda found: f"{found.sounds_each:.2f}"),
    "overlap": (
        "critical faults that overlap another one of their service, begun after an acknowledgement, without a page",
        lambda found: f"{found.lost_after_ack} of {found.paging}",
    ),
    "region": (
        "incidents at PagerDuty in all days of a region that fails, and of another provider's fault",
        lambda found: str(found.paged),
    ),
}
"""The figure of each kind of day that has a goal."""


def main() -> int:
    """Measure and print; 1 when a goal is not met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=6, help="days of each kind")
    parser.add_argument(
        "--size", type=int, default=4, help="faults of a day, and 25 times as many services of a region"
    )
    parser.add_argument("--only", choices=tuple(KINDS), help="one kind of day alone")
    options = parser.parse_args()
    missed = []
    print(
        "day              correlate   sounds  openings  pages  paged     lost  after ack  merged  first word s, longest  later"
    )
    for kind in [options.only] if options.only else KINDS:
        pair = compared(kind, options.seeds, options.size)
        for name, found in zip(("without", "with"), pair, strict=True):
            print(
                f"{kind:16} {name:9} {found.sounds_each:8.2f} {found.openings_each:9.2f} {found.pages:6} {found.paged:6} {found.lost:4}/{found.paging:<4}"
                f"{found.lost_after_ack:8} {found.merged:8} {mean(found.waits):12.0f} {max(found.waits):9.0f} {len(found.late):6}"
            )
        if kind in IS_MET and not IS_MET[kind](pair[1], options.seeds):
            missed.append(f"{kind}: {GOALS[kind]}")
        if kind in SHOWN:
            what, figure = SHOWN[kind]
            print(f"| {what} | {GOALS[kind]} | {figure(pair[1])}; without `correlate` {figure(pair[0])} |")
    print("goals " + (f"not met: {', '.join(missed)}" if missed else "met"))
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
