"""Scenarios of drills: an incident as data, with the webhooks that play it and what a good response is.

Each is a file of `local/drills/`. A drill has services of its own, `drill-3f2a-exam-web`, so that it joins no other incident.
"""

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from chalicelib.core.errors import TocsinError
from chalicelib.core.language.durations import duration_of
from chalicelib.core.language.tokens import nearest
from local.sample import Step, Webhook, webhooks

FOLDER = Path(__file__).parent / "drills"
STEPS = ("notified", "acknowledged", "noted", "resolved")


class DrillError(TocsinError):
    """The drill cannot be played; the text says why and what is expected."""


@dataclass(frozen=True, slots=True)
class Part:
    """Webhooks that go out together; with `every` again and again until the fault ends."""

    step: Step
    every: timedelta | None = None
    replaced: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A fault from its beginning to its end. `within` is how long each step may take, `good` what a good response is."""

    name: str
    title: str
    story: str
    services: tuple[str, ...]
    within: Mapping[str, timedelta]
    begin: tuple[Part, ...]
    end: tuple[Part, ...]
    good: tuple[str, ...]

    @property
    def sources(self) -> set[str]:
        """Return the senders that it plays."""
        return {part.step.source for part in (*self.begin, *self.end)}


@dataclass(frozen=True, slots=True)
class Drill:
    """One run of a scenario. `id` is in the names of its services."""

    scenario: Scenario
    id: str
    began: datetime

    def service(self, name: str) -> str:
        """Return the name that a service of the scenario has in this run."""
        return f"drill-{self.id}-{name}"

    def says(self, part: Part) -> str:
        """Return the part in words."""
        return self._filled(part.step.says, self.began)

    def webhooks(self, part: Part, secrets: Mapping[str, str], now: datetime) -> list[Webhook]:
        """Return its signed requests."""
        replaced = {old: self._filled(new, now) for old, new in part.replaced.items()}
        replaced |= {word: self._filled(word, now) for word in ("{id}", "{began}", "{now}")}
        return webhooks(part.step, secrets=secrets, now=now, replaced=replaced)

    def _filled(self, text: str, now: datetime) -> str:
        """Return a text with the names, ids and times of this run."""
        known = {name: self.service(name) for name in self.scenario.services}
        known |= {"began": self.began.isoformat(), "now": now.isoformat()}
        known |= {"id": uuid.uuid5(uuid.NAMESPACE_URL, self.id).hex, "number": str(int(self.id, 16) + 10**9)}
        for name, value in known.items():
            text = text.replace(f"{{{name}}}", value)
        return text


def names() -> list[str]:
    """Return the names of all scenarios."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def scenarios() -> Iterator[Scenario]:
    """Return all scenarios."""
    return map(load, names())


def load(name: str) -> Scenario:
    """Return the scenario of a name. Raise DrillError with the nearest one when there is none."""
    if name not in names():
        near = nearest(name, names())
        hint = f"did you mean {near}?" if near else f"expected is one of {', '.join(names())}"
        raise DrillError(f"there is no drill {name[:40]!r}; {hint}")
    given = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    return Scenario(
        name,
        given["title"],
        given["story"],
        tuple(given["services"]),
        {step: duration_of(given["within"][step]) for step in STEPS},
        tuple(_part(each) for each in given["begin"]),
        tuple(_part(each) for each in given["end"]),
        tuple(given["good"]),
    )


def _part(given: Mapping[str, Any]) -> Part:
    step = Step(
        after=duration_of(given.get("after", "0s")),
        source=given["source"],
        body=given["body"],
        says=given["says"],
        resource=given.get("resource", ""),
        copies=given.get("copies", 1),
    )
    every = duration_of(given["every"]) if "every" in given else None
    return Part(step, every, given.get("replace", {}))
