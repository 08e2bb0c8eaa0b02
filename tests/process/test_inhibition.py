"""Active causes in the context: each is known as its alert is now."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.core.alert import Alert, State
from chalicelib.core.context import Context
from chalicelib.core.event import Severity
from chalicelib.core.incident import Incident
from chalicelib.core.match import parse_matchers
from chalicelib.core.rule import Inhibition, Rules
from chalicelib.process.inhibition import with_new, without_ended

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
RULES = Rules(inhibitions=(Inhibition(parse_matchers({"alertname": "Down"}), parse_matchers({"alertname": "Slow"})),))
DOWN = Alert("d1", name="Down", severity=Severity.WARNING, state=State.FIRING, starts_at=NOW)


def incident(*alerts):
    """An incident of these alerts."""
    return Incident(key="k", route="default", group={}, alerts={each.fingerprint: each for each in alerts})


def causes(context, *alerts):
    """The causes after the incident was looked at."""
    return with_new(context, incident(*alerts), RULES, NOW).causes


def test_a_firing_cause_becomes_known_once():
    """A second look at the same alert leaves the very same context."""
    first = with_new(Context(), incident(DOWN), RULES, NOW)
    assert [(each.fingerprint, each.alert, each.since) for each in first.causes] == [("k/d1", "d1", NOW)]
    assert with_new(first, incident(DOWN), RULES, NOW) is first


CHANGES = [
    ("a late event shows that it began earlier", {"starts_at": NOW - timedelta(minutes=5)}),
    ("it became worse", {"severity": Severity.CRITICAL}),
]


@pytest.mark.parametrize("change", [row[1] for row in CHANGES], ids=[row[0] for row in CHANGES])
def test_a_known_cause_changes_with_its_alert(change):
    """The context holds the same cause as if the alert had been so from the start."""
    before = with_new(Context(), incident(DOWN), RULES, NOW)
    assert causes(before, replace(DOWN, **change)) == causes(Context(), replace(DOWN, **change)) != before.causes


def test_a_cause_that_ended_is_none():
    """An alert that no longer fires is dropped, and those of other incidents stay."""
    other = with_new(Context(), replace(incident(DOWN), key="other"), RULES, NOW)
    both = with_new(other, incident(DOWN), RULES, NOW)
    assert without_ended(both, incident(replace(DOWN, state=State.RESOLVED))).causes == other.causes
