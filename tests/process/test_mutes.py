"""What a mute holds back and when it is announced: mutes of every kind, shorter and longer than `resolve_timeout`.

The mute begins ten minutes after the start. The alert begins a minute later, or fires and was announced before. Its sender
says it once or goes on, and ends it under the mute, after it, or never.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import product

import pytest

from chalicelib.core.context import Silence
from chalicelib.core.event import Status
from chalicelib.core.match import parse_matchers
from chalicelib.messages.queue import events_messages, silence_message, unsilence_message
from simulation.simulator import Simulator
from tests.rule_files import rules_of
from tests.scenario import START, event

MINUTE = timedelta(minutes=1)
TIMEOUT, BEGINS, AFTER = 60, 10, 20
"""Minutes: `resolve_timeout`, when the mute begins, how long senders go on after it."""
LENGTHS = {"shorter": 20, "longer": 185}
SLACK = 1.2
"""Minutes that a flush or the tick may take."""
RULES = """
defaults: {group_by: [alertname], group_wait: 0s, group_interval: 10s, repeat_interval: 100d, resolve_timeout: 60m}
alerts:
  - {name: Cause, match: {alertname: Power}, notification: [{webhook: cause}]}
inhibit: [{cause: {alertname: Cause}, symptom: {alertname: Disk}}]
"""
PLAIN = "default: {notification: [{webhook: ops}]}\n"


@dataclass(frozen=True)
class Story:
    """One alert and one mute. `ends` is when its sender ends it: under the mute, after it or never."""

    mute: str
    length: str
    told: bool
    repeated: bool
    ends: str

    @property
    def over(self) -> int:
        """The minute at which the mute ends."""
        return BEGINS + LENGTHS[self.length]

    @property
    def first(self) -> int:
        """The minute at which the alert begins."""
        return 0 if self.told else BEGINS + 1

    @property
    def end(self) -> int | None:
        """The minute at which its sender ends it."""
        return {"under": self.over - 5, "after": self.over + 10, "never": None}[self.ends]

    @property
    def said(self) -> list[int]:
        """The minutes at which its sender says that it fires."""
        until = self.over + AFTER if self.end is None else self.end
        return [*range(self.first, until, TIMEOUT // 4)] if self.repeated else [self.first]


STORIES = [
    Story(mute, length, told, repeated, ends)
    for mute, length, told, repeated, ends in product(
        ("silence", "maintenance", "window", "inhibition"),
        LENGTHS,
        (False, True),
        (False, True),
        ("under", "after", "never"),
    )
]


def named(story: Story) -> str:
    """The story in words."""
    words = [story.mute, story.length, "announced before" if story.told else "begins under it"]
    return ", ".join([*words, "repeated" if story.repeated else "once", f"ends {story.ends}"])


def expected(story: Story) -> list[tuple[str, float]]:
    """What the target is sent, and in which minute."""
    timed_out = story.said[-1] + TIMEOUT
    if not story.told:
        return _announced_late(story, timed_out)
    end = timed_out if story.end is None else min(story.end, timed_out)
    comes_back = story.mute in ("silence", "inhibition") and end > story.over
    return [("opened", 0), *([("updated", story.over)] if comes_back else []), ("resolved", end)]


def _announced_late(story: Story, timed_out: float) -> list[tuple[str, float]]:
    """Nothing of what ended under the mute; all else when it ends, with a whole time-out where it was silent too long."""
    if story.ends == "under":
        return []
    silent_until = timed_out if timed_out > story.over else story.over + TIMEOUT
    return [("opened", story.over), ("resolved", min(silent_until, story.end or silent_until))]


Step = tuple[float, Callable[[Simulator], list[str]]]


def says(name: str, status: Status) -> Callable[[Simulator], list[str]]:
    """The sender says it now."""
    return lambda router: events_messages([event(name, status, router.now, {})])


def mute_steps(story: Story) -> Iterator[Step]:
    """What makes the mute, and what ends it; a window does so by itself."""
    until = START + story.over * MINUTE
    silence = Silence("s1", parse_matchers({"alertname": "Disk"}), START + BEGINS * MINUTE, until, "ana")
    if story.mute in ("silence", "maintenance"):
        yield BEGINS, lambda router: [silence_message(silence, story.mute == "maintenance")]
    if story.mute == "inhibition":
        for minute in range(BEGINS, story.over, TIMEOUT // 2):
            yield minute, says("Power", Status.FIRING)
        yield story.over, says("Power", Status.RESOLVED)


def rules(story: Story) -> str:
    """The rules, with the window of the story."""
    if story.mute != "window":
        return RULES + PLAIN
    begins, ends = ((START + minute * MINUTE).strftime("%H:%M") for minute in (BEGINS, story.over))
    window = f'windows: {{quiet: {{from: "{begins}", to: "{ends}"}}}}\n'
    return RULES + window + PLAIN.replace("{notification", "{mute: [quiet], notification")


def played(story: Story, *more: Step) -> list[tuple[str, float]]:
    """What the target was sent, and in which minute."""
    steps = [*mute_steps(story), *more, *((minute, says("Disk", Status.FIRING)) for minute in story.said)]
    if story.end is not None:
        steps.append((story.end, says("Disk", Status.RESOLVED)))
    router = Simulator(rules_of(rules(story)), START)
    for minute, step in sorted(steps, key=lambda each: each[0]):
        router.run_until(START + minute * MINUTE, inclusive=True)
        router.post(step(router))
        router.settle()
    router.run_until(router.now + timedelta(hours=6), inclusive=True)
    ours = [sent for sent in router.sent if sent.notification.target.address == "ops"]
    return [(sent.notification.reason.value, (sent.at - START) / MINUTE) for sent in ours]


def near(found: list[tuple[str, float]], wanted: list[tuple[str, float]]) -> bool:
    """Whether the same was sent, each at its time or within a tick after it."""
    if [reason for reason, _ in found] != [reason for reason, _ in wanted]:
        return False
    return all(0 <= at - due <= SLACK for (_, at), (_, due) in zip(found, wanted, strict=True))


@pytest.mark.parametrize("story", STORIES, ids=named)
def test_what_is_announced_and_when(story: Story) -> None:
    """Given a mute and an alert, then what is still true is announced once when it ends, and every end at once."""
    found, wanted = played(story), expected(story)
    assert near(found, wanted), f"{found} and not {wanted}"


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("mute", ["silence", "maintenance"])
def test_a_mute_that_a_person_ends_early_lets_go_then(mute: str, length: str) -> None:
    """Given a mute that is ended in its middle, then what it held back is announced in that minute."""
    story = Story(mute, length, told=False, repeated=True, ends="after")
    middle = BEGINS + LENGTHS[length] / 2
    found = played(story, (middle, lambda router: [unsilence_message("s1", "ana", router.now)]))
    assert near(found, [("opened", middle), ("resolved", story.over + 10)]), found


@pytest.mark.parametrize("first", ["silence", "maintenance"])
def test_under_two_mutes_the_later_end_counts(first: str) -> None:
    """Given a second silence that outlives the first mute, then the alert is announced when the second ends."""
    story = Story(first, "longer", told=False, repeated=False, ends="never")
    until = START + (story.over + 30) * MINUTE
    second = Silence("s2", parse_matchers({"alertname": "Disk"}), START, until, "ben")
    found = played(story, (BEGINS, lambda router: [silence_message(second, False)]))
    assert near(found, [("opened", story.over + 30), ("resolved", story.over + 30 + TIMEOUT)]), found
