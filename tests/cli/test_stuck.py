"""A fault in a decision ends a simulation, `tocsin test` and `tocsin replay` with one line, however far the time goes."""

from datetime import timedelta

import pytest

from chalicelib.core.errors import TocsinError
from chalicelib.core.event import Status
from chalicelib.messages.queue import events_messages
from simulation.memory_store import MemoryStore
from simulation.simulator import Simulator, StuckError
from tests.rule_files import rules_of
from tests.scenario import START, event

RULES = rules_of("alerts: []\ndefault: {notification: [{webhook: ops}]}")
FIRE = events_messages([event("Down", Status.FIRING, START, {"service": "api"})])


class BrokenStore(MemoryStore):
    """A store in which no incident can be saved, as if each decision raised an error."""

    def __init__(self, saves=0):
        super().__init__()
        self.left = saves

    def save(self, incident, *, archive=None):
        """Save so many incidents, then raise an error."""
        if not self.left:
            raise ZeroDivisionError("division by zero")
        self.left -= 1
        super().save(incident, archive=archive)


@pytest.mark.parametrize("saves", [0, 1])
def test_a_decision_that_always_fails_ends_the_simulation(saves):
    """Given a decision that always raises, at the event or at its timer → one error after some tries, with the reason."""
    router = Simulator(RULES, START)
    router.store = BrokenStore(saves)
    router.post(FIRE)
    with pytest.raises(StuckError, match=r"fails 20 times in a row: .*ZeroDivisionError"):
        router.run_until(START + timedelta(days=30), inclusive=True)
    assert router.now < START + timedelta(minutes=2)


def test_the_commands_print_it_as_one_line():
    """The error is one that `tocsin test` and `tocsin replay` print as one line."""
    assert issubclass(StuckError, TocsinError)
