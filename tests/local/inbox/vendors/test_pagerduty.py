"""PagerDuty: events, incidents, REST and webhooks."""

import hashlib
import hmac
import json
from typing import Any

import pytest

from local.inbox import Inbox, Limits
from tests.local.inbox.support import (
    KEY,
    Clock,
    event,
    post,
    request,
    tocsin,
)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (event(), 202),
        (event("resolve"), 202),
        (event(dedup_key=None), 202),
        (event(routing_key="short"), 400),
        (event(routing_key=None), 400),
        (event("shout"), 400),
        (event("acknowledge", dedup_key=""), 400),
        (event(dedup_key="x" * 256), 400),
        (event(payload={"source": "a", "severity": "info"}), 400),
        (event(payload={"summary": "x" * 1_025, "source": "a", "severity": "info"}), 400),
        (event(payload={"summary": "x", "source": "a", "severity": "loud"}), 400),
        (event(payload={"summary": "x", "source": "a", "severity": "info", "timestamp": "noon"}), 400),
        (event(links=[{"text": "no href"}]), 400),
        (event(images=[{"src": "http://plain.example/a.png"}]), 400),
        ("text", 400),
        (
            event(payload={"summary": "x", "source": "a", "severity": "info", "custom_details": {"a": "x" * 512_000}}),
            400,
        ),
    ],
)
def test_events_are_checked_as_pagerduty_does(inbox: Inbox, sent: Any, status: int) -> None:
    """202 for what it takes, 400 with the mistakes for what it does not."""
    found, _, body = post(inbox, "/pagerduty/v2/enqueue", sent)
    assert found == status
    assert body["dedup_key"] if status == 202 else body["errors"]


def test_an_incident_lives_by_routing_key_and_dedup_key(inbox: Inbox) -> None:
    """The same pair is one open incident; after its resolve a new one; other keys' events do not touch it."""
    for sent in (event(), event(), event("acknowledge", routing_key=KEY[::-1]), event("acknowledge")):
        post(inbox, "/pagerduty/v2/enqueue", sent)
    assert [(each["status"], each["triggers"]) for each in inbox.incidents] == [("acknowledged", 2)]
    for sent in (event("resolve"), event("acknowledge"), event()):
        post(inbox, "/pagerduty/v2/enqueue", sent)
    assert [each["status"] for each in inbox.incidents] == ["resolved", "triggered"]
    assert KEY not in json.dumps(inbox.everything())


def test_a_routing_key_takes_120_events_a_minute(clock: Clock) -> None:
    """The next is 429 and not taken."""
    with Inbox(limits=Limits(pagerduty_per_minute=2), clock=clock) as inbox:
        statuses = [post(inbox, "/pagerduty/v2/enqueue", event(dedup_key=f"{n}"))[0] for n in range(3)]
        assert statuses == [202, 202, 429] and len(inbox.incidents) == 2


def test_change_events_page_nobody(inbox: Inbox) -> None:
    """They are kept apart, and have no dedup_key."""
    change = {"routing_key": KEY, "payload": {"summary": "Deploy of web", "source": "web"}}
    status, _, body = post(inbox, "/pagerduty/v2/change/enqueue", change)
    assert (status, "dedup_key" in body, inbox.incidents) == (202, False, [])
    assert inbox.everything()["changes"][0]["payload"]["summary"] == "Deploy of web"


def test_a_persons_acts_come_back_as_signed_webhooks(inbox: Inbox) -> None:
    """Each change is one delivery with an id of its own, in order, signed over the raw body."""
    with tocsin() as (url, came):
        inbox.connections.tocsin = url
        post(inbox, "/pagerduty/v2/enqueue", event())
        identifier = inbox.incidents[0]["id"]
        for act in ("acknowledge", "acknowledge", "unacknowledge", "resolve"):
            post(inbox, "/_page/pagerduty", {"incident": identifier, "act": act})
        inbox.pagerduty.drain()
    kinds = [json.loads(body)["event"]["event_type"].removeprefix("incident.") for _, _, body in came]
    assert kinds == ["triggered", "acknowledged", "unacknowledged", "resolved"]
    _, headers, body = came[1]
    assert headers["x-pagerduty-signature"] == "v1=" + hmac.new(b"pd", body, hashlib.sha256).hexdigest()
    data = json.loads(body)["event"]["data"]
    assert (data["incident_key"], data["status"], data["id"]) == ("inc-1", "acknowledged", identifier)
    assert len({headers["x-webhook-id"] for _, headers, _ in came}) == 4


def test_an_incident_can_be_looked_up_by_rest(inbox: Inbox) -> None:
    """By key, and its alerts with the key that a webhook may leave out."""
    post(inbox, "/pagerduty/v2/enqueue", event())
    found = request(inbox, "GET", "/pagerduty/incidents?incident_key=inc-1")[2]["incidents"][0]
    alerts = request(inbox, "GET", f"/pagerduty/incidents/{found['id']}/alerts")[2]["alerts"]
    assert alerts[0]["alert_key"] == "inc-1"
    body = json.dumps({"incident": {"type": "incident_reference", "status": "resolved"}}).encode()
    headers = {"Content-Type": "application/json"}
    assert (
        request(inbox, "PUT", f"/pagerduty/incidents/{found['id']}", body, headers)[2]["incident"]["status"]
        == "resolved"
    )
    assert request(inbox, "PUT", f"/pagerduty/incidents/{found['id']}", body, headers)[2]["error"]["code"] == 1001


def test_who_is_on_call_can_be_asked(inbox: Inbox) -> None:
    """The first level of the one escalation policy."""
    (found,) = request(inbox, "GET", "/pagerduty/oncalls?earliest=true")[2]["oncalls"]
    assert (found["escalation_level"], found["user"]["summary"]) == (1, "Ana Souza")
