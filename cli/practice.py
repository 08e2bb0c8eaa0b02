"""A drill under way: webhooks go out when they are due, and the acts of the team are read from its incidents."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from chalicelib.core.account import shown_by
from chalicelib.core.errors import TocsinError
from cli.remote import Remote
from cli.table import instant
from local.drill import STEPS, Drill, DrillError, Part
from local.sample import Webhook

WORDS = {
    "notified": "first notification",
    "acknowledged": "acknowledged",
    "noted": "first note",
    "resolved": "resolved",
}
Row = Mapping[str, Any]
LOOK_SECONDS = 1.0
RECOVERY = timedelta(seconds=20)
"""The senders report the end so long after the first note."""
MAX_INCIDENTS = 20
ACCEPTED = 202
ENDED_BY = "the drill is over"


@dataclass(frozen=True, slots=True)
class Reached:
    """A step that was reached: when, and by whom or where."""

    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a drill is played. `send` posts a webhook and returns the status; `secrets` are those of the senders."""

    api: Remote
    send: Callable[[Webhook], int]
    secrets: Mapping[str, str] = field(repr=False)

    def incidents(self, drill: Drill) -> list[Row]:
        """Return the incidents of a drill, with their timelines."""
        match = ("match", f"service=~drill-{drill.id}-.*")
        asked = [("status", "all"), ("since", drill.began.isoformat()), ("limit", str(MAX_INCIDENTS)), match]
        rows = self.api.get("incidents", asked)["incidents"]
        return [self.api.get(f"incidents/{row['id']}")["incident"] for row in rows]


class Clock(Protocol):
    """The time, and a way to let some of it pass."""

    def now(self) -> datetime:
        """Return the time."""
        ...

    def pause(self, seconds: float) -> None:
        """Return after so many seconds."""
        ...


def reached(incidents: Sequence[Row]) -> dict[str, Reached]:
    """Return the steps that the incidents show: the first of each. `resolved` needs all of them to be over."""
    found = {
        "notified": _first(_deliveries(incidents)),
        "acknowledged": _first(_acts(incidents, "ack", "reassign")),
        "noted": _first(_acts(incidents, "note")),
        "resolved": _end(incidents),
    }
    return {name: each for name, each in found.items() if each is not None}


def _first(found: Iterable[Reached]) -> Reached | None:
    return min(found, key=lambda each: each.at, default=None)


def _deliveries(incidents: Sequence[Row]) -> Iterator[Reached]:
    for incident in incidents:
        for target in incident["told"]:
            for result in target["results"]:
                if result["delivered"]:
                    yield Reached(instant(result["at"]), target["target"])


def _acts(incidents: Sequence[Row], *kinds: str) -> Iterator[Reached]:
    for incident in incidents:
        for each in incident["timeline"]:
            if each["kind"] in kinds and each["by"]:
                yield Reached(instant(each["at"]), f"{shown_by(each)}: {incident['title']}")


def _end(incidents: Sequence[Row]) -> Reached | None:
    """Return when the last alert ended; None while one fires."""
    ends = [alert["ends_at"] for incident in incidents for alert in incident["alerts"]]
    if not ends or any(incident["counts"]["firing"] for incident in incidents) or not all(ends):
        return None
    by = next((each.by for each in _acts(incidents, "resolve")), "its senders")
    return Reached(max(map(instant, ends)), by)


@dataclass(slots=True)
class Practice:
    """One drill on a stage. `say` prints a line for the team."""

    drill: Drill
    stage: Stage
    clock: Clock
    say: Callable[[str], None]
    reached: dict[str, Reached] = field(default_factory=dict)
    recovers_at: datetime | None = None
    _sent: dict[int, datetime] = field(default_factory=dict)
    _ended: int = 0

    @property
    def is_over(self) -> bool:
        """Return whether the fault ended, and everybody knows it."""
        return self._has_ended and "resolved" in self.reached

    @property
    def _has_ended(self) -> bool:
        return self._ended == len(self.drill.scenario.end)

    def play(self, limit: timedelta) -> None:
        """Play until the fault is over, or for so long."""
        while not self.is_over and self.clock.now() - self.drill.began < limit:
            self.step()
            if not self.is_over:
                self.clock.pause(LOOK_SECONDS)

    def step(self) -> None:
        """Send what is due, and look at what the team did."""
        now = self.clock.now()
        if self.recovers_at is None or now < self.recovers_at:
            self._send_due(now)
        else:
            self._send_end(now, self.recovers_at)
        self._look()

    def clean(self) -> None:
        """Report the end of the fault, and resolve what still fires of it. Say what could not be tidied up."""
        try:
            self._clean()
        except TocsinError as error:
            self.say(f"what the drill began is not all ended: {error}")

    def _clean(self) -> None:
        if self._sent:
            self._send_end(self.clock.now(), None)
        for incident in self.stage.incidents(self.drill):
            if incident["counts"]["firing"]:
                form = {"by": "drill", "note": ENDED_BY}
                self.stage.api.do("POST", f"incidents/{incident['id']}/resolve", form)

    def _send_due(self, now: datetime) -> None:
        for number, part in enumerate(self.drill.scenario.begin):
            last = self._sent.get(number)
            is_first = last is None and now >= self.drill.began + part.step.after
            if is_first or (last is not None and part.every is not None and now >= last + part.every):
                # Noted before it is sent: who interrupts a part half-way has begun it.
                self._sent[number] = now
                self._send(part, now)
            if is_first:
                self.say(f"sent   {self.drill.says(part)}")

    def _send_end(self, now: datetime, since: datetime | None) -> None:
        """Send the parts of the end that are due since then; all of them without a time."""
        for part in self.drill.scenario.end[self._ended :]:
            if since is not None and now < since + part.step.after:
                return
            self._ended += 1
            self._send(part, now)
            self.say(f"sent   {self.drill.says(part)}")

    def _send(self, part: Part, now: datetime) -> None:
        for webhook in self.drill.webhooks(part, self.stage.secrets, now):
            status = self.stage.send(webhook)
            if status != ACCEPTED:
                raise DrillError(
                    f"the stage answered {status} to a webhook of {webhook.source}; expected is {ACCEPTED}"
                )

    def _look(self) -> None:
        incidents = self.stage.incidents(self.drill)
        for name, each in reached(incidents).items():
            if name not in self.reached and (name != "resolved" or self._has_ended):
                self.reached[name] = each
                self.say(f"{WORDS[name]}: {each.by}")
        self._decide(incidents)

    def _decide(self, incidents: Sequence[Row]) -> None:
        """Let the fault end some time after the first note, or at once when somebody resolves."""
        if self.recovers_at is None and "noted" in self.reached:
            self.recovers_at = self.clock.now() + RECOVERY
            self.say(f"the fault ends in {RECOVERY.seconds} seconds")
        if any(_acts(incidents, "resolve")):
            now = self.clock.now()
            self.recovers_at = min(self.recovers_at or now, now)


def late(drill: Drill, found: Mapping[str, Reached]) -> list[str]:
    """Return the steps that came too late, or not at all."""
    within = drill.scenario.within
    return [name for name in STEPS if name not in found or found[name].at - drill.began > within[name]]
