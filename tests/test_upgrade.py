"""A stage of the version before is upgraded with incidents open: each is found, nobody is notified twice, each resolves.

stored/second_release.json is a stage under the shipped rules as that version stored it, twenty minutes after a Sentry
metric alert, a Cloudflare tunnel, a Sentry issue alert and a measured error rate. It is never changed.
stored/third_release.json is a later one: the same vendors, one alert acknowledged, one silenced, one that is resolved and
whose targets are not notified of that yet. stored/fourth_release.json is the next: the same, but the targets are notified.
stored/second_release_bodies.json are the vendors' bodies: those that fired, and their ends.
"""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chalicelib.api import routes
from chalicelib.core.context import Context
from chalicelib.core.delivery.delivery_log import DeliveryLog
from chalicelib.core.delivery.target_state import TargetState
from chalicelib.core.event import Action, ActionKind, Status
from chalicelib.core.identity import Fault
from chalicelib.core.incident import Incident
from chalicelib.core.metrics.sample import Sample
from chalicelib.messages import codec
from chalicelib.messages.queue import action_message, events_messages, samples_messages
from chalicelib.messages.webhook import Webhook, compressed, written
from chalicelib.rules.file import load
from simulation.simulator import Simulator
from tests.scenario import event

HERE = Path(__file__).parent
FOURTH = json.loads((HERE / "stored" / "fourth_release.json").read_text("utf-8"))
THIRD = json.loads((HERE / "stored" / "third_release.json").read_text("utf-8"))
STAGE = json.loads((HERE / "stored" / "second_release.json").read_text("utf-8"))
BODIES = json.loads((HERE / "stored" / "second_release_bodies.json").read_text("utf-8"))
SHIPPED = (HERE.parent / "alert-rules.yaml").read_text("utf-8")
INSERTED = SHIPPED.replace(
    "\nroutes:\n", '\nroutes:\n  - match: {environment: staging}\n    notification: [{slack_channel: "#staging"}]\n'
)
APART = re.sub(r"correlate:\n(?:  .*\n)+", "", SHIPPED)
"""The shipped rules as they were before `correlate` was in them."""
NOW = datetime.fromtimestamp(STAGE["at"], UTC)
INCIDENTS, ALERTS, PAGER, MAIL = (
    "slack_channel:#incidents",
    "slack_channel:#alerts",
    "pagerduty:default",
    "email:ops@example.com",
)


def staged(stage, rules):
    """The new version over a stage that an earlier version stored."""
    found = Simulator(
        load(rules, filename="alert-rules.yaml"), datetime.fromtimestamp(stage["at"], UTC) + timedelta(seconds=1)
    )
    store = found.store
    store._context = codec.decode(Context, stage["context"])
    for data in stage["incidents"]:
        incident = codec.decode(Incident, data)
        store._incidents[incident.key] = incident
        if incident.wake_at is not None:
            store._wakes.append((incident.wake_at, incident.key))
    store._wakes.sort()
    store._delivery_logs = {each.key: each for each in (codec.decode(DeliveryLog, data) for data in stage["threads"])}
    store._target_states = {each.key: each for each in (codec.decode(TargetState, data) for data in stage["lanes"])}
    store._faults = {name: codec.decode(Fault, data) for name, data in stage.get("faults", {}).items()}
    store._places = dict(stage.get("places", {}))
    return found


@pytest.fixture(
    params=[SHIPPED, APART, INSERTED], ids=["the shipped rules", "without correlate", "a route inserted above"]
)
def router(request):
    """The new version over the second release, with the same rules or changed ones."""
    return staged(STAGE, request.param)


def posted(router, which, seconds):
    """A vendor's bodies arrive."""
    router.run_until(router.now + timedelta(seconds=seconds), inclusive=True)
    for number, hook in enumerate(BODIES[which]):
        data = json.dumps(hook["body"]).encode()
        webhook = Webhook(f"{which}{number}", hook["source"], data, router.now, hook["headers"])
        router.post([written(webhook, compressed(data))])
        router.settle()


def measured(router, value):
    """A sample of the error rate arrives."""
    router.post(samples_messages([Sample("error_rate", value, router.now, {"service": "api"})]))
    router.settle()


@pytest.mark.parametrize("indexed", [True, False], ids=["after the first tick", "before the first tick"])
def test_what_was_open_resolves_where_it_was_opened(router, indexed):
    """Given open incidents of the version before, when their ends arrive, then each target gets one resolve, and no more."""
    if indexed:
        router.tick()
        router.settle()
    posted(router, "fires", 0)
    measured(router, 0.05)
    router.run_until(router.now + timedelta(minutes=10), inclusive=True)
    assert [sent for sent in router.taken() if sent.notification.reason.value == "opened"] == []
    posted(router, "ends", 10)
    measured(router, 0.0)
    router.run_until(router.now + timedelta(minutes=15), inclusive=True)
    resolved = sorted(sent.notification.target.key for sent in router.taken() if sent.notification.status == "resolved")
    assert resolved == sorted([INCIDENTS, PAGER, ALERTS, INCIDENTS, MAIL])
    assert list(router.store.incidents()) == []


def test_what_was_acknowledged_stays_acknowledged_and_is_found_by_its_id(router):
    """Given an acknowledged alert of the version before, then it is still acknowledged, and its id leads to it."""
    router.tick()
    incident = next(each for each in router.store.incidents() if each.group == {"service": "shop"})
    assert {alert.ack.by for alert in incident.firing if alert.name == "Cloudflare Alert"} == {"ana"}
    assert router.store.located(incident.id) == incident.key


def acted(router, kind, by, key, **more):
    """A person acts on the incident of that key."""
    router.run_until(router.now + timedelta(minutes=2), inclusive=True)
    action = Action(ActionKind(kind), by, router.now, incident=key, id=f"{kind}-{by}-{router.now.isoformat()}", **more)
    router.post([action_message(action)])
    router.settle()


def pages(router):
    """What PagerDuty was notified of with a sound, with the number of its wave."""
    found = [sent.notification for sent in router.taken() if sent.notification.target.key == PAGER]
    return [(each.reason.value, each.wave) for each in found]


def test_a_page_of_the_version_before_is_the_first_wave(router):
    """Given a page of the version before, when it is acknowledged and given back, then a second wave follows and both resolve."""
    router.tick()
    router.settle()
    assert pages(router) == []
    incident = next(each for each in router.store.incidents() if each.group == {"service": "shop"})
    assert incident.announced[PAGER].pager.wave == 1
    acted(router, "ack", "ben", incident.id)
    acted(router, "unack", "ben", incident.id)
    assert pages(router) == [("reminder", 2)]
    posted(router, "ends", 10)
    router.run_until(router.now + timedelta(minutes=15), inclusive=True)
    assert pages(router)[-1] == ("resolved", 2)


def asked(router, kind, group, **form):
    """What the API answers to ben."""
    office = routes.ApiContext(router.store, router.queues.webhooks, router.rules, router.now)
    found = next(each for each in router.store.incidents() if each.group == group)
    body = json.dumps({"by": "ben", **form}).encode()
    reply = routes.act(office, routes.Request(body=body), id=found.id, act=kind)
    router.settle()
    return reply.body["status"]


def test_people_are_answered_about_what_the_version_before_stored():
    """Given an acknowledged, a silenced and a resolved incident of the version before → each is answered as it is."""
    router = staged(THIRD, SHIPPED)
    router.tick()
    router.settle()
    assert router.taken() == []
    cloudflare = {"matchers": {"alertname": "Cloudflare Alert"}}
    assert asked(router, "ack", {"service": "shop"}, **cloudflare) == "already"
    assert asked(router, "ack", {"service": "web"}) == "resolved"
    assert asked(router, "unack", {"service": "api"}) == "nobodys"
    assert asked(router, "ack", {"service": "api"}) == "accepted"
    assert asked(router, "unack", {"service": "shop"}, **cloudflare) == "accepted"


@pytest.mark.parametrize(("stored", "more"), [(THIRD, [ALERTS]), (FOURTH, [])], ids=["third", "fourth"])
def test_what_a_release_left_open_resolves_where_it_was_opened(stored, more):
    """Given the stage with an acknowledgement and a silence, when all ends → each target gets one resolve, and no more."""
    router = staged(stored, SHIPPED)
    posted(router, "ends", 200)
    measured(router, 0.0)
    router.run_until(router.now + timedelta(minutes=15), inclusive=True)
    sent = router.taken()
    assert [each for each in sent if each.notification.reason.value == "opened"] == []
    resolved = sorted(each.notification.target.key for each in sent if each.notification.status == "resolved")
    assert resolved == sorted([INCIDENTS, PAGER, ALERTS, INCIDENTS, MAIL, *more])
    assert list(router.store.incidents()) == []


@pytest.mark.parametrize(("stored", "more"), [(THIRD, [ALERTS]), (FOURTH, [])], ids=["third", "fourth"])
def test_what_was_open_goes_on_where_it_was_when_the_upgrade_correlates(stored, more):
    """Given open incidents, when the new version correlates → their ends stay there, and what is new begins another one."""
    router = staged(stored, SHIPPED)
    posted(router, "fires", 100)
    router.run_until(router.now + timedelta(minutes=10), inclusive=True)
    posted(router, "ends", 100)
    measured(router, 0.0)
    router.run_until(router.now + timedelta(minutes=15), inclusive=True)
    sent = router.taken()
    assert [each for each in sent if each.notification.reason.value == "opened"] == []
    resolved = sorted(each.notification.target.key for each in sent if each.notification.status == "resolved")
    assert resolved == sorted([INCIDENTS, PAGER, ALERTS, INCIDENTS, MAIL, *more])
    assert list(router.store.incidents()) == []
    fires(router, "Down")
    fires(router, "Errors")
    (incident,) = router.store.incidents()
    assert (incident.is_correlated, {alert.name for alert in incident.firing}) == (True, {"Down", "Errors"})


def fires(router, name, status=Status.FIRING):
    """A critical alert of the shop begins or ends."""
    labels = {"service": "shop", "severity": "critical"}
    router.post(events_messages([event(name, status, router.now, labels)]))
    router.settle()


SWITCHES = {"on": (APART, SHIPPED), "off": (SHIPPED, APART), "on and off": (APART, SHIPPED, APART)}


@pytest.mark.parametrize("switched", SWITCHES.values(), ids=SWITCHES)
def test_what_begins_around_a_switch_of_correlate_is_notified_once_and_ends(switched):
    """Given `correlate` switched on or off while alerts fire → each is shown as new once at a target, and each opening ends."""
    router = staged({**THIRD, "incidents": []}, switched[0])
    names = []
    for number, rules in enumerate(switched):
        router.redeploy(load(rules, filename="alert-rules.yaml"))
        names += [f"Down {number}", f"Errors {number}"]
        for name in names:
            fires(router, name)
        router.run_until(router.now + timedelta(minutes=7), inclusive=True)
    for name in names:
        fires(router, name, Status.RESOLVED)
    router.run_until(router.now + timedelta(minutes=40), inclusive=True)
    sent = [each.notification for each in router.taken()]
    held = {(each.fingerprint, one.incident.id) for one in sent for each in one.alerts}
    assert len(held) == len(names)
    opened, ended = (
        sorted((each.target.key, each.incident.id) for each in sent if each.reason.value == reason)
        for reason in ("opened", "resolved")
    )
    assert opened == ended
    assert len(opened) == len(set(opened))
    assert list(router.store.incidents()) == []
