"""What senders write and no source knows is counted, and reported once a day."""

import json
from datetime import timedelta

import pytest

from chalicelib.core.event import Status
from chalicelib.core.unknown_values import LABEL
from chalicelib.messages.queue import Events
from chalicelib.process.noticed import MAX_SERIES, Noticed
from chalicelib.schedule.reconcile import repair
from tests.fakes import MemoryQueue
from tests.scenario import Router, rules_of
from tests.sources.bodies import NOW, body, changed, event

RULES = """
alerts: []
default: {notification: [{slack_channel: "#errors"}]}
fallback: {notification: [{email: ops@example.com}]}
"""
HOOK = "sentry-hook-resource"


def resource(name):
    """A webhook of Sentry of a resource."""
    return event("sentry", {"action": "created", "data": {"id": "7"}}, {HOOK: name})


UNKNOWN = [
    (resource("brand_new"), "Sentry-Hook-Resource brand_new"),
    (resource("comment"), ""),
    (event("sentry", body("sentry_2026/activity_alert.unknown_type_status_unresolved.json")), "activity.type set_regression"),
    (event("sentry", body("sentry_2026/activity_alert.set_resolved_by_age.json")), ""),
    (event("sentry", body("sentry_2026/activity_alert.seer_root_cause_completed.json")), ""),
    (event("eventbridge", body("eventbridge/unknown_service_event.json")), "detail-type aws.somethingnew Something New State Change"),
    (event("eventbridge", body("eventbridge/health.issue_open.json")), ""),
]  # fmt: skip


@pytest.mark.parametrize(("given", "value"), UNKNOWN, ids=[value or "known" for _, value in UNKNOWN])
def test_what_a_source_does_not_know_is_a_label(given, value):
    """Given an event → the label names field and value where the source does not know it."""
    assert given.labels.get(LABEL, "") == value


@pytest.fixture
def router():
    """A router that gives back its address."""
    found = Router(rules_of(RULES))
    yield found
    found.close()


def came(router, *names):
    """Webhooks of these resources come, one batch."""
    counted = Noticed()
    counted.add(Events(tuple(resource(name) for name in names)))
    counted.put(router.webhooks, router.now)
    router.run(minutes=1)


def look(router):
    """The schedule comes round."""
    repair(rules=router.rules, clients=None, now=router.now, readers={}, **router.ports)
    router.run(minutes=1)


def reports(router):
    """What the fallback was told."""
    sent = [each for each in router.decided.values() if each.target.kind == "email" and each.reason.value == "opened"]
    return [alert.summary for each in sent for alert in each.alerts]


def test_unknown_values_are_reported_once_a_day(router):
    """Given new resources over two days → one report a day, with how often each came in it; none when none comes."""
    look(router)
    assert reports(router) == []
    came(router, "brand_new", "brand_new", "other")
    look(router)
    came(router, "brand_new")
    router.run(minutes=60)
    look(router)
    (first,) = reports(router)
    assert "sentry: Sentry-Hook-Resource brand_new, 2 times" in first and "other, 1 times" in first
    router.run(minutes=22 * 60)
    came(router, "brand_new")
    router.run(minutes=2 * 60)
    look(router)
    first, second = reports(router)
    assert "Sentry-Hook-Resource brand_new, " in second
    for _ in range(3):
        router.run(minutes=26 * 60)
        look(router)
    assert len(reports(router)) == 2


def test_a_sender_with_ever_new_values_is_bounded():
    """Given more values than are counted in a batch → the first ones, each with its count."""
    counted, queue = Noticed(), MemoryQueue()
    counted.add(
        Events(
            tuple(resource(f"new_{chr(97 + number % 26)}{chr(97 + number // 26)}") for number in range(3 * MAX_SERIES))
        )
    )
    counted.put(queue, NOW)
    (text,) = queue.bodies
    assert len(json.loads(text)["samples"]) == MAX_SERIES


def test_nothing_unknown_costs_nothing():
    """Given a batch that is understood → no message."""
    counted, queue = Noticed(), MemoryQueue()
    given = changed(body("sentry/issue_created_docs.json"), action="created")
    counted.add(Events((event("sentry", given, {HOOK: "issue"}),)))
    counted.put(queue, NOW + timedelta(0))
    assert queue.bodies == [] and Status.FIRING is event("sentry", given, {HOOK: "issue"}).status
