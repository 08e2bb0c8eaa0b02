"""The terms of an alert in time: pending, kept firing, flapping. Each row is a story, a letter a minute."""

from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.core.alert import Alert, AlertState
from chalicelib.core.lifecycle import Terms, settled
from chalicelib.rules.file import load
from simulation.engine import Replay

START = datetime(2026, 3, 2, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
LETTERS = {AlertState.INACTIVE: ".", AlertState.PENDING: "p", AlertState.FIRING: "F", AlertState.RESOLVED: "."}

STORIES = [
    # hold, keep, more than so many changes in ten minutes; what active; what the alert is in: p, F, flapping f
    (0, 0, 9, "x.x.xx...", "F.F.FF..."),
    (2, 0, 9, "xxxx.xx.x", "ppFF.pp.p"),
    (2, 0, 9, "x.xx.xxxx", "p.pp.ppFF"),
    (0, 3, 9, "x.......x", "FFFF....F"),
    (0, 3, 9, "x..x....", "FFFFFFF."),
    (2, 2, 9, "xxx.....x", "ppFFF...p"),
    # The third change within ten minutes is one too many for two: it is held open for ten minutes after it calmed.
    (0, 0, 2, "x.x.............", "F.fffffffffff..."),
    (0, 0, 3, "x.x.............", "F.Fffffffffff..."),
    (0, 0, 4, "x.x.............", "F.F............."),
    # While it is held open, it may burn again: it stays one alert.
    (0, 0, 3, "x.x.x.x...........", "F.Fffffffffffffff."),
    # Two changes in ten minutes, then again two: never more than two at once.
    (0, 0, 2, "x.............x.....", "F.............F....."),
    (0, 0, -1, "x.x.x.x.x.x.", "F.F.F.F.F.F."),
]


def states(terms, active):
    """The letter of the alert's state at each minute."""
    alert, found = Alert("a"), ""
    for minute, letter in enumerate(active):
        alert = settled(alert, START + minute * MINUTE, active=letter == "x", terms=terms)
        found += "f" if alert.changes.flapping else LETTERS[alert.state]
    return found


@pytest.mark.parametrize(("hold", "keep", "changes", "active", "answer"), STORIES)
def test_an_alert_in_time(hold, keep, changes, active, answer):
    """Pending drops at once, a kept one ends after its time, and one that flaps is held open until it calms."""
    terms = Terms(hold=hold * MINUTE, keep=keep * MINUTE, flap_changes=changes, flap_window=10 * MINUTE)
    assert states(terms, active) == answer


RULES = """\
alerts:
  - {name: A, condition: "error_rate > 1%", severity: critical, flapping: {changes: 4, within: 10m},
     group_wait: 0s, group_interval: 1m, notification: [{slack_channel: "#a"}]}
"""


def test_flapping_is_told_once():
    """The fifth change within ten minutes is told as flapping; nothing more until it was calm for ten minutes."""
    values = [0.03, 0] * 15 + [0] * 30
    lines = [
        {"at": 60 * minute, "sample": {"metric": "error_rate", "value": value, "labels": {"service": "api"}}}
        for minute, value in enumerate(values)
    ]
    found = [line for line in Replay(load(RULES), list(enumerate(lines, 1))).run() if line["type"] == "notification"]
    assert [(line["at"], line["reason"], "A is flapping" in line["text"]) for line in found] == [
        (0, "opened", False),
        (60, "resolved", False),
        (120, "opened", False),
        (180, "resolved", False),
        (240, "opened", True),
        (2340, "resolved", False),
    ]
