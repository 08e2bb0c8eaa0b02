"""Which alerts another service explains: since when, until when, and by what."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.core.alert import Alert, AlertState
from chalicelib.core.dependencies import Explanation, explanations, fires_critically
from chalicelib.core.event import Severity, Status
from chalicelib.core.incident import CORRELATED, Episode, Incident
from chalicelib.core.inputs import EventInput, MovedAlert, alert_fingerprint
from chalicelib.core.rule import Rule
from chalicelib.core.services import LEVELS, MAX_NEEDED, Service, Services
from tests.scenario import event

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SERVICES = Services(
    {
        each.name: each
        for each in (
            Service("web", depends_on=("api", "cache")),
            Service("api", depends_on=("database",)),
            Service("database"),
            Service("cache"),
        )
    }
)


def alert(service, began=0, ended=None, severity=Severity.CRITICAL, name=""):
    """An alert of a service that began at a minute, and fires or ended at another one."""
    return Alert(
        name or service,
        labels={"service": service},
        severity=severity,
        state=AlertState.FIRING if ended is None else AlertState.RESOLVED,
        starts_at=START + began * MINUTE,
        ends_at=None if ended is None else START + ended * MINUTE,
    )


def incident(*alerts, key=f"{CORRELATED}1"):
    """A correlated incident with these alerts."""
    return Incident(key, "i1", alerts={each.fingerprint: each for each in alerts}, episode=Episode(started_at=START))


def explained(service, since, until=None):
    """An explanation in minutes."""
    return Explanation(service, START + since * MINUTE, None if until is None else START + until * MINUTE)


WARNING = Severity.WARNING
ROWS = [
    ("nothing else fires", [alert("api")], None),
    ("what it needs fires", [alert("api", 3), alert("database")], explained("database", 0)),
    ("what it needs began later", [alert("api"), alert("database", 2)], explained("database", 2)),
    ("what it needs has a warning", [alert("api", 3), alert("database", severity=WARNING)], None),
    ("what it does not need fires", [alert("api", 3), alert("cache")], None),
    ("what needs it fires", [alert("api", 3), alert("web")], None),
    ("another alert of its own service", [alert("api", 3), alert("api", name="other")], None),
    ("it is a warning itself", [alert("api", 3, severity=WARNING), alert("database")], explained("database", 0)),
    ("two alerts of what it needs", [alert("api", 3), alert("database", 1), alert("database", 0, name="b")],
     explained("database", 0)),
    ("one of two has ended", [alert("api", 3), alert("database", 0, 4), alert("database", 2, name="b")],
     explained("database", 2)),
    ("what it needs has ended since", [alert("api", 3), alert("database", 0, 8)], explained("database", 0, 8)),
    ("the last of two ends counts", [alert("api", 3), alert("database", 0, 8), alert("database", 1, 9, name="b")],
     explained("database", 1, 9)),
    ("what it needs had ended when it began", [alert("api", 3), alert("database", 0, 3)], None),
]  # fmt: skip


@pytest.mark.parametrize(("alerts", "expected"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_what_explains_an_alert(alerts, expected):
    """Given the alerts of an incident → the one of api is explained by critical alerts of what api needs."""
    assert explanations(incident(*alerts), SERVICES).get("api") == expected


def test_the_nearest_service_that_fires_explains():
    """Given two services that web needs, the nearer one ended → it is explained by what fires, else by the last end."""
    both = [alert("web", 3), alert("api", 1), alert("database")]
    assert explanations(incident(*both), SERVICES)["web"] == explained("api", 1)
    assert explanations(incident(both[0], alert("api", 1, 5), both[2]), SERVICES)["web"] == explained("database", 0)
    ended = [alert("web", 3), alert("api", 1, 5), alert("database", 0, 4)]
    assert explanations(incident(*ended), SERVICES)["web"] == explained("api", 1, 5)


def test_nothing_is_explained_in_the_group_of_a_route():
    """Given an incident that is not correlated → nothing is explained."""
    assert explanations(incident(alert("api", 3), alert("database"), key="default"), SERVICES) == {}


def given(service, status=Status.FIRING, severity=Severity.CRITICAL, rule=None, name="Down"):
    """An event of a service as an input."""
    return EventInput(replace(event(name, status, START, {"service": service}), severity=severity), rule)


HELD, WARNED = Rule("Held", hold=MINUTE), Rule("Warned", severity=WARNING)
CAME = [
    ("nothing", [], False),
    ("a critical event", [given("database")], True),
    ("a warning", [given("database", severity=WARNING)], False),
    ("a critical event under a rule that makes it a warning", [given("database", rule=WARNED)], False),
    ("a critical event of another service", [given("api")], False),
    ("an event whose alert waits for its time", [given("database", rule=HELD)], False),
    ("an event and its end", [given("database"), given("database", Status.RESOLVED)], False),
    ("an event that eases", [given("database"), given("database", severity=WARNING)], False),
    ("an alert that moved here", [MovedAlert(alert("database"))], True),
    ("a warning that moved here", [MovedAlert(alert("database", severity=WARNING))], False),
]


@pytest.mark.parametrize(("inputs", "expected"), [row[1:] for row in CAME], ids=[row[0] for row in CAME])
def test_what_came_in_a_batch_counts_before_it_is_saved(inputs, expected):
    """Given no saved incident and inputs for it → a critical alert of the service fires there, or none does."""
    assert fires_critically("database", None, inputs) == expected


def test_an_end_in_a_batch_counts_for_the_stored_alert():
    """Given a stored critical alert → it fires, until its end is among the inputs."""
    end = given("database", Status.RESOLVED)
    stored = incident(replace(alert("database"), fingerprint=alert_fingerprint(end)))
    assert fires_critically("database", stored, [])
    assert not fires_critically("database", stored, [end])


def chain(count):
    """Services of which each needs the next one."""
    return Services({f"s{n}": Service(f"s{n}", depends_on=(f"s{n + 1}",)) for n in range(count)})


def test_dependencies_reach_a_few_steps():
    """Given a chain of services → each needs, and affects, those within LEVELS steps, the nearest first."""
    services = chain(LEVELS + 3)
    assert services.needed_by("s0") == [f"s{n}" for n in range(1, LEVELS + 1)]
    assert services.affected_by("s4") == [f"s{n}" for n in range(3, 3 - LEVELS, -1)]


def test_the_nearest_of_many_services_count():
    """Given a service that needs many, one of them another one → the direct ones come first, in the order of the file."""
    names = tuple(f"d{n}" for n in range(MAX_NEEDED - 1))
    many = [Service("api", depends_on=names), Service("d0", depends_on=("far", "farther"))]
    services = Services({each.name: each for each in many})
    assert services.needed_by("api") == [*names, "far"]
    assert services.needed_by("nothing") == []


def test_a_circle_of_services_ends():
    """Given services in a circle, which `check` refuses → none needs itself."""
    services = Services({"a": Service("a", depends_on=("b",)), "b": Service("b", depends_on=("a",))})
    assert (services.needed_by("a"), services.affected_by("a")) == (["b"], ["b"])
