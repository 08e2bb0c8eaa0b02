"""Which names a stage may have. Everything of it on AWS is called `tocsin-<stage>` or `tocsin-<stage>-<part>`.

So `dev-tick` is none: its table and its API's function would have the name of the function `tick` of the stage `dev`.
"""

import re
from collections.abc import Iterator

from chalicelib.settings import dead_letters
from deploy.alarms import RETIRED, wanted_alarms
from deploy.names import APP
from deploy.policies import FUNCTIONS
from deploy.queues import MAX_RECEIVES
from deploy.topics import ALARMS, EVENTS, FEEDBACK

MOST = 24
"""The longest name that Lambda and IAM take has 64 characters: `tocsin-<stage>-deliver_notification`, with room for a longer part."""
ALLOWED = re.compile(r"[a-z](?:[a-z0-9]|-(?=[a-z0-9]))*")
ON_THIS_MACHINE = "local"


def problem(stage: str) -> str:
    """Return why a stage cannot have that name; empty where it can."""
    if len(stage) > MOST or not ALLOWED.fullmatch(stage):
        return (
            f"{stage[:60]!r} is no name for a stage; allowed are lower-case letters, digits and single hyphens between them, "
            f"{MOST} at most, the first a letter"
        )
    for other, part in _divided(stage):
        if taken := sorted({part, *(f"{part}-{each}" for each in PARTS)} & PARTS):
            own = f"{APP}-{other}-{taken[0]}"
            return f"{stage!r} is no name for a stage: {own} is the name of something of the stage {other!r}"
    return ""


def _divided(stage: str) -> Iterator[tuple[str, str]]:
    """Yield each way to read the name as that of another stage and one of its parts."""
    words = stage.split("-")
    for index in range(1, len(words)):
        yield "-".join(words[:index]), "-".join(words[index:])


def _parts() -> Iterator[str]:
    yield from FUNCTIONS
    yield from (f"{name}-event" for name in FUNCTIONS)
    yield from (FEEDBACK, ALARMS, EVENTS)
    for name in MAX_RECEIVES:
        yield from (name, dead_letters(name))
    yield from (name.removeprefix(f"{APP}-{ON_THIS_MACHINE}-") for name in wanted_alarms(ON_THIS_MACHINE))
    yield from RETIRED


PARTS = frozenset(_parts())
"""What follows `tocsin-<stage>-` in the names of all that a stage owns, or has owned."""
