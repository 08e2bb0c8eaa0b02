"""A stage of the version before is upgraded while causes mute: each cause still mutes, and lets go when it ends.

stored/fifth_release.json is a stage of the version before symptoms were found by relations, with its rules. Of service `web` an
alert was notified, then muted by a cause, and another one never was notified; `db` has an alert without a cause, `cache` a cause
without symptoms, and the alert of `shop` is acknowledged. It is never changed.
"""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from chalicelib.api import routes
from chalicelib.core.event import Event, Severity, Status
from chalicelib.core.incident import Incident
from chalicelib.messages import codec
from chalicelib.messages.queue import events_messages
from simulation.simulator import Simulator
from tests.test_upgrade import staged

STAGE = json.loads((Path(__file__).parent / "stored" / "fifth_release.json").read_text("utf-8"))
Alert = tuple[str, str]
"""Its name and its service."""
Sent = list[tuple[str, str, str, list[str]]]
STATES: dict[Alert, str] = {
    ("Down", "cache"): "firing",
    ("Down", "web"): "firing",
    ("Errors", "shop"): "firing",
    ("Errors", "web"): "suppressed",
    ("Slow", "db"): "firing",
    ("Slow", "web"): "suppressed",
}
FREE: dict[Alert, str] = {("Errors", "web"): "firing", ("Slow", "web"): "firing"}


@pytest.fixture(params=[True, False], ids=["after the first tick", "before the first tick"])
def router(request: pytest.FixtureRequest) -> Simulator:
    """The new version over the stage."""
    found: Simulator = staged(STAGE, STAGE["rules"])  # type: ignore[no-untyped-call]
    if request.param:
        found.tick()
        found.settle()
        assert sent(found) == []
    return found


def happens(router: Simulator, name: str, service: str, status: str = "firing", *, minutes: float = 2) -> Sent:
    """An alert fires or ends. Return what is sent in the minutes after it."""
    severity = Severity.CRITICAL if name == "Down" else Severity.WARNING
    event = Event(
        id=f"{name}-{service}-{status}-{router.now.isoformat()}", source="generic", kind=name, name=name,
        status=Status(status), severity=severity, title=name, occurred_at=router.now, identity=f"{name} {service}",
        service=service, labels={"alertname": name, "service": service},
    )  # fmt: skip
    router.post(events_messages([event]))
    router.settle()
    router.run_until(router.now + timedelta(minutes=minutes), inclusive=True)
    return sent(router)


def sent(router: Simulator) -> Sent:
    """Return what was sent since the last look: the reason, the alert and its service, and which alerts stand beside it."""
    notifications = [each.notification for each in router.taken()]
    return [
        (each.reason.value, each.incident.group["alertname"], each.incident.group["service"],
         sorted(alert.name for alert in each.evidence))
        for each in notifications
    ]  # fmt: skip


def office(router: Simulator) -> routes.ApiContext:
    """What the API answers from."""
    return routes.ApiContext(router.store, router.queues.webhooks, router.rules, router.now)


def states(router: Simulator) -> dict[Alert, str]:
    """Return the state of each open alert in the API's list."""
    rows: list[dict[str, Any]] = routes.list_alerts(office(router), routes.Request()).body["alerts"]
    return {(each["name"], each["labels"]["service"]): each["state"] for each in rows}


def test_all_that_is_open_is_listed_as_it_was(router: Simulator) -> None:
    """Given the stage → the list has each alert as firing, muted by its cause, or acknowledged."""
    assert states(router) == STATES
    rows = routes.list_alerts(office(router), routes.Request()).body["alerts"]
    assert {each["acked_by"] for each in rows if each["labels"]["service"] == "shop"} == {"ana"}
    assert {each["inhibited_by"][0]["alertname"] for each in rows if each["state"] == "suppressed"} == {"Down"}
    assert len(routes.list_incidents(office(router), routes.Request()).body["incidents"]) == len(STATES)


def test_repeats_are_not_notified_again(router: Simulator) -> None:
    """Given the stage, when everything that is open fires again → nobody is notified of anything."""
    assert [each for alert in STATES for each in happens(router, *alert)] == []
    assert states(router) == STATES


def test_symptoms_are_let_go_when_their_cause_ends(router: Simulator) -> None:
    """Given a cause of the version before, when it ends → the one symptom is announced and the other is back, each once."""
    assert sorted(happens(router, "Down", "web", "resolved", minutes=10)) == [
        ("opened", "Errors", "web", []),
        ("resolved", "Down", "web", []),
        ("updated", "Slow", "web", []),
    ]
    assert states(router) == {**{alert: state for alert, state in STATES.items() if alert != ("Down", "web")}, **FREE}


def test_symptoms_end_under_their_cause(router: Simulator) -> None:
    """Given symptoms of the version before, when they end → the end of what was notified is sent, of the other nothing."""
    assert happens(router, "Errors", "web", "resolved") == []
    assert happens(router, "Slow", "web", "resolved") == [("resolved", "Slow", "web", [])]


@pytest.mark.parametrize("service", ["web", "cache"])
def test_a_cause_mutes_what_begins_later(router: Simulator, service: str) -> None:
    """Given a cause of the version before, with symptoms or without, when one begins → nobody is notified until it ends."""
    assert happens(router, "Late", service) == []
    assert states(router)["Late", service] == "suppressed"
    assert ("opened", "Late", service, []) in happens(router, "Down", service, "resolved", minutes=10)


def test_a_new_cause_mutes_what_is_open(router: Simulator) -> None:
    """Given an alert of the version before, when a cause begins → the alert is muted and shown beside it, until the cause ends."""
    assert happens(router, "Down", "db") == [("opened", "Down", "db", ["Slow"])]
    assert states(router)["Slow", "db"] == "suppressed"
    found = happens(router, "Down", "db", "resolved", minutes=10)
    assert sorted(found) == [("resolved", "Down", "db", []), ("updated", "Slow", "db", [])]


@pytest.mark.parametrize(
    ("alert", "answer"), [(("Errors", "shop"), "already"), (("Slow", "db"), "accepted"), (("Slow", "web"), "accepted")]
)
def test_people_acknowledge_what_is_open(router: Simulator, alert: Alert, answer: str) -> None:
    """Given the stage, when ben acknowledges an alert that somebody has, nobody has, or a cause mutes → he is answered so."""
    incident = next(each for each in router.store.incidents() if (each.firing[0].name, each.group["service"]) == alert)
    reply = routes.act(office(router), routes.Request(body=b'{"by": "ben"}'), id=incident.id, act="ack")
    assert reply.body["status"] == answer
    router.settle()
    assert {each.ack.by for each in router.store.load(incident.key).firing} == {"ana" if answer == "already" else "ben"}


def test_what_the_version_before_saves_during_the_upgrade_is_muted_within_a_minute() -> None:
    """Given an alert that a worker of the version before saves after the new tick, when its cause begins → it is muted soon."""
    late, *others = sorted(STAGE["incidents"], key=lambda each: each["group"] != {"alertname": "Slow", "service": "db"})
    router: Simulator = staged({**STAGE, "incidents": others}, STAGE["rules"])  # type: ignore[no-untyped-call]
    router.tick()
    router.settle()
    incident = codec.decode(Incident, late)
    router.store._incidents[incident.key] = incident
    happens(router, "Down", "db", minutes=1)
    router.tick()
    router.settle()
    assert states(router)["Slow", "db"] == "suppressed"
    found = happens(router, "Down", "db", "resolved", minutes=10)
    assert sorted(found) == [("resolved", "Down", "db", []), ("updated", "Slow", "db", [])]
