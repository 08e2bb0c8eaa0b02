"""PagerDuty: one alert per incident, its actions, its limits, and change events."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from chalicelib.core.delivery.notification import AckSnapshot, Notification, Reason, Receipt, Why
from chalicelib.core.errors import TargetRejectedError, TargetUnavailableError
from chalicelib.core.rule import Target
from chalicelib.targets import pagerduty
from tests.targets.samples import (
    ACKED,
    DEPLOY,
    NOTIFICATION,
    NOW,
    OWNED,
    RESOLVED,
    ROUTING_KEY,
    SPIKE,
    STORM,
    FakeClients,
    answering,
    of_incident,
)

ACCEPTED = httpx.Response(202, json={"status": "success", "message": "Event processed", "dedup_key": "x"})
PAGER = replace(NOTIFICATION, target=Target("pagerduty", "default"))


def tell(notification: Notification, clients: FakeClients, address: str = "default", **options: Any) -> Receipt:
    """Send by the real module."""
    given: dict[str, Any] = {"receipt": {}, "in_doubt": False, "now": NOW, **options}
    return pagerduty.send(notification, address, clients, **given)


def changed(**changes: Any) -> Notification:
    """A later notification of the thread."""
    return replace(PAGER, id="n5", seq=2, **changes)


@pytest.mark.parametrize(
    ("notification", "action"),
    [
        (PAGER, "trigger"),
        (changed(reason=Reason.UPDATED), "trigger"),
        (changed(reason=Reason.REMINDER), "trigger"),
        (changed(reason=Reason.ESCALATED), "trigger"),
        (changed(reason=Reason.TEST), "trigger"),
        (ACKED, "acknowledge"),
        (RESOLVED, "resolve"),
        (replace(ACKED, status="resolved"), "resolve"),
    ],
)
def test_each_reason_has_its_action(notification: Notification, action: str) -> None:
    """Opening and changing triggers, an acknowledgement acknowledges, the end resolves; all by the incident's id."""
    event = pagerduty.render(notification, {})
    assert (event["event_action"], event["dedup_key"]) == (action, NOTIFICATION.incident.id)
    assert ("payload" in event) is (action == "trigger")


EVENTS = [
    ("an opening", PAGER, ["trigger"]),
    ("an opening of what somebody has", replace(PAGER, ack=AckSnapshot("ana")), ["trigger", "acknowledge"]),
    (
        "a change of what somebody has",
        changed(reason=Reason.UPDATED, ack=AckSnapshot("ana")),
        ["trigger", "acknowledge"],
    ),
    ("an acknowledgement", ACKED, ["acknowledge"]),
    ("an end of what somebody had", replace(RESOLVED, ack=AckSnapshot("ana")), ["resolve"]),
    ("a third wave", changed(reason=Reason.REMINDER, wave=3), ["trigger:3"]),
    ("an acknowledgement of three waves", replace(ACKED, wave=3), ["acknowledge", "acknowledge:2", "acknowledge:3"]),
    ("an end of three waves", replace(RESOLVED, wave=3), ["resolve", "resolve:2", "resolve:3"]),
    (
        "a second wave of what somebody has",
        changed(reason=Reason.UPDATED, ack=AckSnapshot("ana"), wave=2),
        ["trigger:2", "acknowledge", "acknowledge:2"],
    ),
]


@pytest.mark.parametrize(("notification", "asked"), [row[1:] for row in EVENTS], ids=[row[0] for row in EVENTS])
def test_the_events_of_a_notification(notification: Notification, asked: list[str]) -> None:
    """Given a notification, then PagerDuty is asked for each of its waves, in order."""
    clients = FakeClients(answering(ACCEPTED))
    tell(notification, clients)
    sent = [json.loads(each.content) for each in clients.requests]
    assert [
        f"{each['event_action']}{each['dedup_key'].removeprefix(NOTIFICATION.incident.id)}" for each in sent
    ] == asked


def test_a_later_wave_says_that_it_is_one() -> None:
    """Given a second wave, then its summary and details name the incident and the key of its first alert."""
    payload = pagerduty.render(changed(reason=Reason.REMINDER, wave=2), {})["payload"]
    assert payload["summary"] == "also: High Error Rate (prod checkout)"
    assert payload["custom_details"]["incident"] == NOTIFICATION.incident.id
    assert payload["custom_details"]["wave"].startswith("2: ")
    assert payload["custom_details"]["wave"].endswith(f"the key {NOTIFICATION.incident.id}")
    worse = pagerduty.render(changed(reason=Reason.UPDATED, why=Why.WORSE, wave=2), {})["payload"]
    assert worse["custom_details"]["wave"].startswith("2: people were called before, and it is worse now.")
    assert "wave" not in pagerduty.render(PAGER, {})["payload"]["custom_details"]


@pytest.mark.parametrize("answer", [httpx.Response(429), httpx.Response(500), httpx.Response(400, json={"errors": []})])
@pytest.mark.parametrize("taken", [1, 2])
def test_what_fails_after_the_first_event_is_in_doubt(answer: httpx.Response, taken: int) -> None:
    """Given an end of three waves, when a later event fails, then it comes back and is known to have arrived in part."""
    clients = FakeClients(answering(*[ACCEPTED] * taken, answer))
    with pytest.raises(TargetUnavailableError) as caught:
        tell(replace(RESOLVED, wave=3), clients)
    assert caught.value.ambiguous and len(clients.requests) == taken + 1


@pytest.mark.parametrize(
    ("waves", "timeout", "seconds"), [(1, None, None), (1, 30, 30), (4, None, None), (10, None, 4), (10, 2, 2)]
)
def test_all_events_end_before_their_worker(waves: int, timeout: float | None, seconds: float | None) -> None:
    """Given an end of many waves, then each request has a share of the time that a worker lives."""
    clients = FakeClients(answering(ACCEPTED))
    limit = timedelta(seconds=timeout) if timeout else None
    ended = replace(RESOLVED, wave=waves, target=replace(RESOLVED.target, timeout=limit))
    tell(ended, clients)
    given = {each.extensions["timeout"]["read"] for each in clients.requests}
    default = clients.http().timeout.read
    assert given == {default if seconds is None else seconds}


def test_without_an_acknowledgement_there_is_nothing_to_change() -> None:
    """The Events API cannot take one back, so no request is made."""
    clients = FakeClients(answering(ACCEPTED))
    assert tell(changed(reason=Reason.SYNC), clients).note
    assert not clients.requests


def test_the_event_says_what_people_need() -> None:
    """Summary, severity, where, since when, links and details."""
    event = pagerduty.render(PAGER, {})
    payload = event["payload"]
    assert payload["summary"] == "High Error Rate (prod checkout)"
    assert (payload["severity"], payload["source"], payload["component"]) == ("critical", "checkout", "checkout")
    assert (payload["group"], payload["class"]) == ("prod", "sentry.issue.created")
    assert payload["timestamp"] == NOTIFICATION.incident.started_at.isoformat()
    details = payload["custom_details"]
    assert details["Value"] == "3.2 % (threshold 1 %)"
    assert details["first_steps"][0] == "Look at the newest deploy."
    assert details["last_deploy"].startswith("deploy: Cart: new totals")
    assert [link["text"] for link in event["links"]] == ["Runbook", "Open in Sentry", "Last deploy"]


def test_the_event_says_whose_the_service_is() -> None:
    """Given an alert of a service that the rules file has, when it is rendered → its owner is a detail, its pages are links."""
    event = pagerduty.render(replace(OWNED, target=PAGER.target), {})
    assert event["payload"]["custom_details"]["Owner"] == "team-core"
    assert {"href": "https://d.example.com/api", "text": "checkout dashboard"} in event["links"]
    assert event["payload"]["component"] == "checkout"


def test_the_summary_is_cut_on_a_word() -> None:
    """At most 1,024 characters, ending with a whole word."""
    summary = pagerduty.render(replace(PAGER, title="saturated " * 400), {})["payload"]["summary"]
    assert len(summary) <= 1_024
    assert summary.endswith("saturated…")


def test_a_storm_fits() -> None:
    """Alerts with very long labels leave the details until the event fits, and are counted."""
    long = tuple(
        replace(told, labels={f"l{n}": "ü" * 300 for n in range(30)}, summary="é" * 2_000) for told in STORM.alerts
    )
    event = pagerduty.render(replace(STORM, alerts=long), {})
    body = json.dumps(event, ensure_ascii=False).encode()
    assert len(body) < pagerduty.MAX_BODY_BYTES
    details = event["payload"]["custom_details"]
    assert len(details["alerts"]) + details["alerts_not_listed"] == 500


def test_the_key_of_the_first_event_is_kept() -> None:
    """Acknowledge and resolve go through the routing key and the dedup_key that opened the alert."""
    secrets = {"PAGERDUTY_ROUTING_KEY_PAYMENTS_EU": "1" * 32}
    clients = FakeClients(answering(ACCEPTED), secrets=secrets)
    told = tell(PAGER, clients, "payments-eu")
    assert (told.values["dedup_key"], told.values["routing_key_name"]) == (NOTIFICATION.incident.id, "payments-eu")
    assert "1" * 32 not in str(told)
    tell(RESOLVED, clients, "renamed", receipt={**told.values, "dedup_key": "older"})
    body = json.loads(clients.requests[1].content)
    assert (body["routing_key"], body["dedup_key"]) == ("1" * 32, "older")


def test_an_alert_ends_through_the_key_that_opened_it_while_keys_change() -> None:
    """New alerts use the first key; an old one its own as long as it is set, and then it is said that it cannot end."""
    old, new = "a" * 32, "b" * 32
    opened = tell(PAGER, FakeClients(answering(ACCEPTED), secrets={"PAGERDUTY_ROUTING_KEY_DEFAULT": old})).values
    for secret, used, noted in ((f"{new},{old}", old, False), (f"{new}, {old}", old, False), (new, new, True)):
        clients = FakeClients(answering(ACCEPTED), secrets={"PAGERDUTY_ROUTING_KEY_DEFAULT": secret})
        told = tell(RESOLVED, clients, receipt=opened)
        assert json.loads(clients.requests[0].content)["routing_key"] == used
        assert ("opened by a routing key that is gone" in told.note) is noted
    clients = FakeClients(answering(ACCEPTED), secrets={"PAGERDUTY_ROUTING_KEY_DEFAULT": f"{new},{old}"})
    tell(PAGER, clients)
    assert json.loads(clients.requests[0].content)["routing_key"] == new


@pytest.mark.parametrize("base", ["https://events.eu.pagerduty.com", "https://events.eu.pagerduty.com/v2/"])
def test_the_eu_has_its_own_endpoint(base: str) -> None:
    """PAGERDUTY_EVENTS_URL leads there, with or without its version."""
    clients = FakeClients(answering(ACCEPTED), settings={"PAGERDUTY_EVENTS_URL": base})
    tell(PAGER, clients)
    assert str(clients.requests[0].url) == "https://events.eu.pagerduty.com/v2/enqueue"


INVALID = httpx.Response(400, json={"status": "invalid event", "errors": ["'payload.severity' is invalid"]})
NOT_JSON = httpx.Response(400, text="Event object is invalid")
TOO_LARGE = httpx.Response(413, text="Request Entity Too Large")


@pytest.mark.parametrize("refusal", [INVALID, NOT_JSON, TOO_LARGE], ids=["invalid", "not JSON", "too large"])
@pytest.mark.parametrize("plain", [False, True])
def test_refused_content_goes_out_in_its_smallest_form(refusal: httpx.Response, plain: bool) -> None:
    """Given a refusal of the content → the smallest valid event is sent once, and a second refusal is for good."""
    clients = FakeClients(answering(refusal, ACCEPTED))
    assert (
        f"smallest form, since PagerDuty refused the full one (HTTP {refusal.status_code})"
        in tell(PAGER, clients, plain=plain).note
    )
    assert json.loads(clients.requests[1].content) == {
        "routing_key": ROUTING_KEY,
        "event_action": "trigger",
        "dedup_key": NOTIFICATION.incident.id,
        "payload": {"summary": "High Error Rate (prod checkout)", "source": "checkout", "severity": "critical"},
    }
    refused = FakeClients(answering(refusal))
    with pytest.raises(TargetRejectedError, match=str(refusal.status_code)):
        tell(PAGER, refused, plain=plain)
    assert len(refused.requests) == 2


@pytest.mark.parametrize("refusal", [INVALID, TOO_LARGE])
def test_a_refused_resolve_has_no_smaller_form(refusal: httpx.Response) -> None:
    """Given a refusal of a resolve → it is given up at once, since nothing in it can be left out."""
    clients = FakeClients(answering(refusal))
    with pytest.raises(TargetRejectedError):
        tell(RESOLVED, clients)
    assert len(clients.requests) == 1


def test_a_wrong_key_names_its_setting() -> None:
    """The answer's own words are not repeated, since they may hold the key."""
    said = f"Length of 'routing_key' is incorrect: {ROUTING_KEY}"
    clients = FakeClients(answering(httpx.Response(400, json={"errors": [said]})))
    with pytest.raises(TargetRejectedError, match="PAGERDUTY_ROUTING_KEY_DEFAULT") as caught:
        tell(PAGER, clients)
    assert ROUTING_KEY not in str(caught.value)
    assert len(clients.requests) == 1


def test_a_long_incident_id_is_hashed() -> None:
    """A dedup_key has at most 255 characters; the same id gives the same key."""
    long = of_incident(PAGER, id="i" * 300)
    assert len(pagerduty.dedup_key(long, {})) <= 255
    assert pagerduty.dedup_key(long, {}) == pagerduty.dedup_key(long, {})


def test_a_deploy_is_a_change_event() -> None:
    """Shown beside incidents, pages nobody: its own endpoint, a summary and a link."""
    clients = FakeClients(answering(ACCEPTED))
    pagerduty.send_change(DEPLOY, "default", clients, now=NOW)
    assert clients.requests[0].url.path == "/v2/change/enqueue"
    body = json.loads(clients.requests[0].content)
    assert body["payload"]["summary"] == "deploy of checkout: Cart: new totals"
    assert body["payload"]["custom_details"] == {"by": "ana", "commit": "a1b2c3", "id": "dpl_1"}
    assert body["links"] == [{"href": "https://v.example.com/d/1", "text": "Deploy"}]


def test_the_details_name_the_top_errors() -> None:
    """Given a count of errors → the details say how many are of which; others have no such detail."""
    details = pagerduty.render(SPIKE, {})["payload"]["custom_details"]
    assert details["top_errors"][1].startswith("318 (77 %) OperationalError")
    assert "top_errors" not in pagerduty.render(NOTIFICATION, {})["payload"]["custom_details"]
