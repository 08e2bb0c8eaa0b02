"""The forty cases by which correlated incidents are specified: each has a story that shows it."""

import re
from pathlib import Path

import pytest
import yaml

HERE = Path(__file__).parent
JOINS, AFFECTED, MUTED = "correlation.yaml", "dependencies.yaml", "correlation-mutes.yaml"
WAVES = "../process/test_acknowledged_waves.py"
CASES: dict[int, tuple[str, str]] = {
    1: (JOINS, "three alerts of one service are one incident, opened once at each target"),
    2: (JOINS, "a warning is opened at its own target, a critical alert of the same service at once at the others"),
    3: (JOINS, "what is worse makes a sound where less was known, and opens the target that knew nothing"),
    4: (JOINS, "two services are two incidents"),
    5: (JOINS, "two environments are two incidents"),
    6: (JOINS, "alerts without a value for each label of by go to the groups of their routes"),
    7: (JOINS, "an alert joins within join_within of the last news"),
    8: (JOINS, "an alert that comes later begins an incident of its own"),
    9: (JOINS, "repeats are no news"),
    10: (JOINS, "news keeps an incident open for more"),
    11: (JOINS, "a critical alert after an acknowledgement makes a sound in it"),
    12: (JOINS, "what begins while somebody acknowledges joins silently"),
    13: (JOINS, "what joined an acknowledged incident silently makes one sound after join_within"),
    14: (JOINS, "what is acknowledged again makes no sound"),
    15: (JOINS, "a warning of another target opens there, and makes no sound where somebody has the incident"),
    16: (WAVES, "test_a_wave_that_is_acknowledged_there_covers_what_it_was_opened_with"),
    17: (JOINS, "a second critical alert that nobody acknowledged is brought into the first page"),
    18: (JOINS, "the end waits for the last alert, and group_interval after it"),
    19: (JOINS, "each target gets the end of its own alerts"),
    20: (JOINS, "one flap doubles the wait for the end"),
    21: (JOINS, "what begins after the end is a new incident"),
    22: (JOINS, "what flaps many times has one opening and one end, 15 minutes after the last"),
    23: (JOINS, "flaps are no news"),
    24: (JOINS, "what begins after a person resolved it is a new incident"),
    25: (JOINS, "an end without the labels of by ends the alert that came with them"),
    26: (JOINS, "an end without a severity ends what went to the critical route"),
    27: (JOINS, "an alert that gets worse stays one alert, known at all of its targets"),
    28: (JOINS, "a beginning that is older than its end, which came first, is history"),
    29: (JOINS, "the end of a fault that nobody knows is nothing"),
    30: (AFFECTED, "what a service needs explains its alert, which joins without a sound"),
    31: (AFFECTED, "the cause that comes second joins what it explains"),
    32: (AFFECTED, "of two affected services the older incident takes the cause, the other keeps its own"),
    33: (AFFECTED, "a warning of what a service needs explains nothing"),
    34: (AFFECTED, "an explained alert that nobody acknowledged for join_within makes one sound"),
    35: (AFFECTED, "an explained alert that still fires after its cause makes a sound"),
    36: (MUTED, "an alert that is silenced is only evidence, and opens its targets when the silence ends"),
    37: (MUTED, "an alert that is silenced is only evidence, and opens its targets when the silence ends"),
    38: (
        "correlation-storms.yaml",
        "of nine services that fail within three minutes five are opened, and four are one message",
    ),
    40: ("correlation-switched.yaml", "switched on while incidents are open, what is open goes on where it is"),
}
"""The file and the name of the story, by the number of its case."""
WITHOUT = {39: "two incidents that people merge: incidents cannot be merged"}
"""Why a case has no story."""


def test_each_case_has_a_story() -> None:
    """Given the forty cases → each has a story, or a reason why there is none."""
    assert sorted([*CASES, *WITHOUT]) == [*range(1, 41)]


@pytest.mark.parametrize("number", CASES)
def test_the_story_is_told(number: int) -> None:
    """Given a case → its file has the story, which the tests of that file run."""
    file, name = CASES[number]
    text = (HERE / file).read_text("utf-8")
    if file.endswith(".py"):
        assert re.search(rf"^def {name}\(", text, re.MULTILINE)
    else:
        assert name in [each["name"] for each in yaml.safe_load(text)["tests"]]
