"""Teams: a card for each notification, small enough, of a version that flows take, with no text that is more than text."""

import json
import re
from dataclasses import replace
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings

from chalicelib.core.delivery.notification import Notification, Reason, Receipt
from chalicelib.core.errors import FieldError, TargetRejectedError
from chalicelib.core.rule import Target
from chalicelib.targets import teams
from chalicelib.targets._http import encoded
from tests.targets.samples import (
    ACKED,
    HOSTILE,
    NOTIFICATION,
    NOTIFICATIONS,
    NOW,
    RESOLVED,
    SPIKE,
    STORM,
    TOLD,
    FakeClients,
    answering,
)

FLOW = "https://prod-1.westeurope.logic.azure.com:443/workflows/abc/triggers/manual/paths/invoke?api-version=2016-06-01&sig=SECRET"
TAKEN = httpx.Response(202)
MAX_TEAMS_BYTES = 28 * 1_000


def tell(notification: Notification, clients: FakeClients, address: str = FLOW, **options: Any) -> Receipt:
    """Send by the real module."""
    given: dict[str, Any] = {"receipt": {}, "in_doubt": False, "now": NOW, **options}
    return teams.send(notification, address, clients, **given)


def card_of(body: dict[str, Any]) -> dict[str, Any]:
    """The card of a message, after looking that the message has the form that a flow takes."""
    (attachment,) = body["attachments"]
    assert body["type"] == "message"
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    card: dict[str, Any] = attachment["content"]
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    return card


def shown(body: dict[str, Any]) -> str:
    """Every text in which Teams reads Markdown."""
    card, parts = card_of(body), []
    for block in card["body"]:
        parts += [block.get("text", "")]
        parts += [text for fact in block.get("facts", ()) for text in (fact["title"], fact["value"])]
    return "\n".join(parts)


def test_an_opening_is_a_card() -> None:
    """Given an opening → title, state, cause, facts and links are on the card."""
    clients = FakeClients(answering(TAKEN))
    assert tell(NOTIFICATION, clients).sent
    assert str(clients.requests[0].url) == FLOW.replace(":443", "")
    card = card_of(json.loads(clients.requests[0].content))
    first = card["body"][0]
    assert (first["text"], first["color"]) == (r"🔴 High Error Rate \(prod checkout\)", "Attention")
    assert "**Critical** since 24 Nov 2026" in card["body"][1]["text"]
    (facts,) = [each["facts"] for each in card["body"] if each["type"] == "FactSet"]
    assert {"title": "Service", "value": "checkout"} in facts
    assert [each["title"] for each in card["actions"]] == ["Runbook", "Open in Sentry", "Last deploy"]
    assert "entities" not in card["msteams"]


@pytest.mark.parametrize(
    ("notification", "words", "color"),
    [
        (RESOLVED, "**Resolved** after", "Good"),
        (replace(NOTIFICATION, id="n2", seq=2, reason=Reason.REMINDER), "Still firing after", "Attention"),
        (replace(NOTIFICATION, id="n2", seq=2, reason=Reason.ESCALATED), "Escalated after", "Attention"),
        (SPIKE, "[OperationalError: too many clients already](https://sentry.example.com/issues/91)", "Attention"),
        (replace(NOTIFICATION, reason=Reason.TEST), "**Test**: nothing is wrong", "Accent"),
    ],
)
def test_every_news_is_a_card_of_its_own(notification: Notification, words: str, color: str) -> None:
    """Given a later notification → a new card says what is new, in the color of the state."""
    clients = FakeClients(answering(TAKEN))
    assert tell(notification, clients, receipt={"told": "1"}).sent
    body = json.loads(clients.requests[0].content)
    assert words in shown(body)
    assert card_of(body)["body"][0]["color"] == color


def test_a_silent_change_is_no_card() -> None:
    """Given a change that notifies nobody → nothing is sent, since a card cannot be changed."""
    clients = FakeClients(answering(TAKEN))
    assert not tell(ACKED, clients, receipt={"told": "1"}).sent and not clients.requests


@pytest.mark.parametrize("status", [400, 413])
def test_a_refused_card_goes_out_plain(status: int) -> None:
    """Given a refusal of the card → one text goes out in the same try, and says so; a second refusal is for good."""
    clients = FakeClients(answering(httpx.Response(status, text="Request Entity Too Large"), TAKEN))
    assert f"(HTTP {status})" in tell(NOTIFICATION, clients).note
    assert len(card_of(json.loads(clients.requests[1].content))["body"]) == 1
    with pytest.raises(TargetRejectedError, match=str(status)):
        tell(NOTIFICATION, FakeClients(answering(httpx.Response(status))))


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_flow_that_is_gone_names_what_to_set(status: int) -> None:
    """Given a flow that is gone → the error says where its address is set, and shows no part of it."""
    with pytest.raises(TargetRejectedError, match=f"HTTP {status}.*TEAMS_OPS_URL") as caught:
        tell(NOTIFICATION, FakeClients(answering(httpx.Response(status)), secrets={"TEAMS_OPS_URL": FLOW}), "ops")
    assert "SECRET" not in str(caught.value) and "azure" not in str(caught.value)


def test_a_doubt_is_said() -> None:
    """Given an earlier try in doubt → the card may come twice, and the receipt says so."""
    told = tell(NOTIFICATION, FakeClients(answering(TAKEN)), in_doubt=True)
    assert told.doubled and "twice" in told.note


def test_hostile_text_is_only_text() -> None:
    """Given Markdown, mentions, links and expressions from outside → none of them is live on the card."""
    text = (
        HOSTILE
        + " **x** [click](javascript:alert(1)) <at>everyone</at> {{DATE(2026-01-01T00:00:00Z)}} {{{a}}} `a|b`\n- list"
    )
    told = replace(TOLD, title=text, summary=text, labels={"service": text})
    hostile = replace(NOTIFICATION, title=text, alerts=(told, told))
    for plain in (False, True):
        found = shown(teams.render(hostile, {}, plain=plain))
        assert "<at>" not in found and "{{" not in found and "\u202e" not in found
        assert "](javascript" not in found and not re.search(r"(?<!\\)\*\*x", found)
        assert not re.search(r"(?m)^- list", found)
        assert "everyone" in found


@pytest.mark.acceptance
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(NOTIFICATIONS)
def test_every_card_is_small_enough(notification: Notification) -> None:
    """Given any incident → the message is under the limit, has a title, and no text is empty."""
    for plain in (False, True):
        body = teams.render(notification, {}, plain=plain)
        card = card_of(body)
        assert len(encoded(body)) < MAX_TEAMS_BYTES
        assert card["body"][0]["text"].strip()
        for block in card["body"]:
            assert block.get("text") or block.get("facts")
            assert all(fact["title"] and fact["value"] for fact in block.get("facts", ()))
        assert all(each["url"].startswith("http") for each in card.get("actions", ()))


def test_a_card_that_is_too_large_loses_its_last_parts() -> None:
    """Given texts in letters of four bytes → the title and the state stay, and the card fits."""
    wide = tuple(replace(told, title="𝔄" * 900, summary="𝔄" * 3_000) for told in STORM.alerts)
    body = teams.render(replace(STORM, title="𝔄" * 900, alerts=wide), {})
    assert len(encoded(body)) < MAX_TEAMS_BYTES
    assert "**Critical**" in shown(body)


@pytest.mark.parametrize(
    "value",
    [
        True,
        "ops",
        FLOW,
        "https://default1.2.environment.api.powerplatform.com:443/powerautomate/x?sig=s",
        "http://127.0.0.1:9/t",
    ],
)
def test_a_right_value_is_read(value: Any) -> None:
    """Given true, a name or the address of a flow → it is taken as it is."""
    assert teams.read(value) == value


@pytest.mark.parametrize("value", ["", "https://example.com/x", "a b", 7, False])
def test_a_wrong_value_is_refused(value: Any) -> None:
    """Given anything else → the error says what is allowed."""
    with pytest.raises(FieldError):
        teams.read(value)


def test_a_retired_connector_is_named() -> None:
    """Given the address of an Office 365 connector → the error says that it is retired, and what to make instead."""
    with pytest.raises(FieldError, match="connector") as caught:
        teams.read("https://acme.webhook.office.com/webhookb2/1@2/IncomingWebhook/SECRET/3")
    assert "SECRET" not in str(caught.value)


def test_the_operator_is_told_what_to_set() -> None:
    """Given a name → doctor looks at its parameter."""
    target = Target("teams", "default")
    assert teams.check_target(target, FakeClients()).parameter == "TEAMS_DEFAULT_URL"
    assert teams.check_target(target, FakeClients(secrets={"TEAMS_DEFAULT_URL": FLOW})).state == "ok"
