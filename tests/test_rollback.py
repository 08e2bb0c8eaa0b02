"""A stage with correlated incidents open goes back to the version before, and forward again.

stored/correlated_release.json is a stage under the shipped rules with `correlate: {by: [service]}`: one incident of a critical
alert and a warning, and a later one beside it. It is never changed. The version before was run on it: it shows all alerts
of a correlated incident to the targets of the first one's route, and every target that was opened gets its end.
"""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from chalicelib.core.delivery.notification import Why
from chalicelib.core.event import Status
from chalicelib.core.incident import Incident
from chalicelib.messages import codec
from chalicelib.messages.queue import events_messages
from chalicelib.rules.file import load
from tests import version_before as before
from tests.scenario import event
from tests.test_upgrade import ALERTS, APART, INCIDENTS, PAGER, SHIPPED, fires, staged

STAGE = json.loads((Path(__file__).parent / "stored" / "correlated_release.json").read_text("utf-8"))
NEW_FIELDS = ("routes", "moved_from", "moved_to", "observed")


def back_and_forth(stored):
    """Return an incident as the version before stores it: without what that does not know."""
    found = codec.encode(codec.decode(before.Incident, stored))
    alerts = {name: {k: v for k, v in alert.items() if k not in NEW_FIELDS} for name, alert in stored["alerts"].items()}
    return {**found, "alerts": alerts}


@pytest.mark.parametrize("stored", STAGE["incidents"], ids=lambda each: each["key"])
def test_the_version_before_reads_a_correlated_incident(stored):
    """Given a correlated incident → the version before finds its id, alerts and open targets."""
    new, old = codec.decode(Incident, stored), codec.decode(before.Incident, stored)
    assert new.is_correlated
    assert (old.id, old.key, old.route, set(old.alerts)) == (new.id, new.key, new.route, set(new.alerts))
    shown = {key: (each.open, each.alerts.firing) for key, each in new.announced.items()}
    assert {key: (each.open, each.firing) for key, each in old.announced.items()} == shown


@pytest.mark.parametrize("rules", [SHIPPED, APART], ids=["correlated", "not correlated"])
@pytest.mark.parametrize("read", [dict, back_and_forth], ids=["stored here", "stored by the version before"])
def test_every_target_gets_its_end_after_a_rollback_and_forward_again(rules, read):
    """Given what either version stored, when all alerts end → each target that was opened gets one end, and no more."""
    router = staged({**STAGE, "incidents": [read(each) for each in STAGE["incidents"]]}, rules)
    for name, severity in (("Errors", "critical"), ("Slow", "warning"), ("Late", "warning")):
        made = event(name, Status.RESOLVED, router.now, {"service": "shop", "severity": severity})
        router.post(events_messages([made]))
        router.settle()
    router.run_until(router.now + (router.rules.options.group_interval * 4), inclusive=True)
    sent = router.taken()
    assert [each for each in sent if each.notification.reason.value == "opened"] == []
    ends = sorted(each.notification.target.key for each in sent if each.notification.status == "resolved")
    assert ends == sorted([INCIDENTS, PAGER, ALERTS, ALERTS])
    assert list(router.store.incidents()) == []


DEPENDENT = SHIPPED.replace(
    "\nservices:\n", "\nservices: {shop: {depends_on: [database]}, web: {depends_on: [database]}, database: {}}\n"
)


def fired(router, name, status=Status.FIRING, service="database"):
    """A critical alert of a service begins or ends."""
    made = event(name, status, router.now, {"service": service, "severity": "critical"})
    router.post(events_messages([made]))
    router.settle()


def test_a_cause_joins_what_was_open_before_the_upgrade():
    """Given an open incident, when `depends_on` is new and a cause begins → it joins, and all end where they were opened."""
    router = staged(STAGE, DEPENDENT)
    fires(router, "Again")
    before = {each.key for each in router.store.incidents()}
    router.taken()
    fired(router, "Database down")
    fired(router, "Web down", service="web")
    assert {each.key for each in router.store.incidents()} == before
    for name, service in (("Again", "shop"), ("Database down", "database"), ("Web down", "web")):
        fired(router, name, Status.RESOLVED, service)
    for name, severity in (("Errors", "critical"), ("Slow", "warning"), ("Late", "warning")):
        made = event(name, Status.RESOLVED, router.now, {"service": "shop", "severity": severity})
        router.post(events_messages([made]))
    router.run_until(router.now + (router.rules.options.group_interval * 4), inclusive=True)
    assert list(router.store.incidents()) == []


@pytest.mark.parametrize("rules", [DEPENDENT, SHIPPED, APART], ids=["dependent", "correlated", "not correlated"])
@pytest.mark.parametrize("read", [dict, back_and_forth], ids=["stored here", "stored by the version before"])
def test_what_was_explained_ends_after_a_rollback(rules, read):
    """Given an explained alert that made its sound, when the stage goes back and forward → each target gets one end."""
    router = staged({**STAGE, "incidents": []}, DEPENDENT)
    fired(router, "Database down")
    router.run_until(router.now + timedelta(minutes=2), inclusive=True)
    fired(router, "Web down", service="web")
    router.run_until(router.now + timedelta(minutes=1), inclusive=True)
    fired(router, "Database down", Status.RESOLVED)
    router.run_until(router.now + timedelta(minutes=6), inclusive=True)
    assert [each.notification.why for each in router.taken()].count(Why.UNEXPLAINED) == 2
    for incident in list(router.store.incidents()):
        router.store._incidents[incident.key] = codec.decode(Incident, read(codec.encode(incident)))
    router.redeploy(load(rules, filename="alert-rules.yaml"))
    fired(router, "Web down", Status.RESOLVED, "web")
    router.run_until(router.now + timedelta(minutes=30), inclusive=True)
    sent = [each.notification for each in router.taken()]
    assert sorted(each.target.key for each in sent if each.status == "resolved") == sorted([INCIDENTS, PAGER])
    assert {each.reason.value for each in sent} == {"resolved"}
