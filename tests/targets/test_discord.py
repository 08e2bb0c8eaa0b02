"""Discord: one message edited in place, a short one for what must be noticed, and nothing that calls anybody."""

import json
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings

from chalicelib.core.delivery.notification import ClosingSnapshot, Notification, Reason, Receipt, Why
from chalicelib.core.delivery.writing import utf16_units
from chalicelib.core.errors import FieldError, TargetRejectedError, TargetUnavailableError
from chalicelib.core.rule import Target
from chalicelib.targets import discord
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

HOOK = "https://discord.com/api/webhooks/1/TOKEN"
POSTED = httpx.Response(200, json={"id": "1300000000000000001", "channel_id": "9"})
GONE = httpx.Response(404, json={"code": 10008, "message": "Unknown Message"})
INVALID = httpx.Response(400, json={"code": 50035, "message": "Invalid Form Body"})
RECEIPT = {"message": "1300000000000000001"}
REMINDER = replace(NOTIFICATION, id="n5", seq=2, reason=Reason.REMINDER)
UPDATE = replace(NOTIFICATION, id="n6", seq=2, reason=Reason.UPDATED)


def tell(notification: Notification, clients: FakeClients, address: str = HOOK, **options: Any) -> Receipt:
    """Send by the real module."""
    given: dict[str, Any] = {"receipt": {}, "in_doubt": False, "now": NOW, **options}
    return discord.send(notification, address, clients, **given)


def asked(clients: FakeClients) -> list[tuple[str, str, dict[str, str]]]:
    """Method, path and query of every request."""
    return [(each.method, each.url.path, dict(each.url.params)) for each in clients.requests]


def test_an_opening_is_posted_and_its_id_kept() -> None:
    """Given an opening → the message is waited for, one embed has all of it, and the receipt names the message."""
    clients = FakeClients(answering(POSTED))
    assert tell(NOTIFICATION, clients) == Receipt(RECEIPT)
    assert asked(clients) == [("POST", "/api/webhooks/1/TOKEN", {"wait": "true", "with_components": "true"})]
    body = json.loads(clients.requests[0].content)
    (embed,) = body["embeds"]
    assert embed["title"] == r"🔴 High Error Rate \(prod checkout\)"
    assert embed["color"] == 0xC0392B
    assert embed["description"].startswith("**Critical** since 24 Nov 2026, 06:02 America/Sao_Paulo\n3.2 % of requests")
    assert {"name": "Service", "value": "checkout", "inline": True} in embed["fields"]
    assert embed["footer"]["text"].endswith("incident inc-7f3c9a52")
    assert [each["label"] for each in body["components"][0]["components"]] == [
        "Runbook",
        "Open in Sentry",
        "Last deploy",
    ]
    assert all(each["style"] == 5 for each in body["components"][0]["components"])


def test_the_embed_names_top_errors_and_what_a_probe_saw() -> None:
    """Given a count of errors, and what a probe saw → the cause is the first thing, and errors link to their pages."""
    text = discord.render(SPIKE, {})["embeds"][0]["description"]
    assert "**OperationalError: too many clients already**\nNew since deploy 4f2c9a1" in text
    assert "[OperationalError: too many clients already](<https://sentry.example.com/issues/91>)" in text
    seen = replace(TOLD, observed={"result": "HTTP 503", "expected": "200", "address": "https://x.example/health"})
    embed = discord.render(replace(NOTIFICATION, alerts=(seen,)), {})["embeds"][0]
    assert "**HTTP 503**\nExpected: 200" in embed["description"]
    assert any(each["value"].startswith("https://x.example") for each in embed["fields"])


CHANGES = [
    (ACKED, ["PATCH"], "**Acknowledged**"),
    (UPDATE, ["PATCH"], "**Critical**"),
    (RESOLVED, ["PATCH"], "**Resolved** after"),
    (REMINDER, ["PATCH", "POST"], "Still firing after"),
    (replace(UPDATE, why=Why.WORSE), ["PATCH", "POST"], "It got worse"),
    (
        replace(ACKED, ack=None, closing=ClosingSnapshot(NOW, NOW + timedelta(minutes=5))),
        ["PATCH"],
        "**Resolved since 24 Nov 2026, 06:14 America/Sao_Paulo**",
    ),
]


@pytest.mark.parametrize(("notification", "methods", "words"), CHANGES)
def test_a_later_one_edits_the_message(notification: Notification, methods: list[str], words: str) -> None:
    """Given a later notification → the message is edited, and only what must be noticed is a message too."""
    clients = FakeClients(answering(POSTED))
    assert tell(notification, clients, receipt=RECEIPT).values == RECEIPT
    assert [each.method for each in clients.requests] == methods
    assert clients.requests[0].url.path == "/api/webhooks/1/TOKEN/messages/1300000000000000001"
    edit = json.loads(clients.requests[0].content)
    assert words in edit["embeds"][0]["description"]
    assert "username" not in edit
    for request in clients.requests:
        assert json.loads(request.content)["allowed_mentions"] == {"parse": []}


def test_a_thread_of_the_address_is_kept() -> None:
    """Given an address with thread_id → both calls name the thread, and nothing else of the query."""
    clients = FakeClients(answering(POSTED))
    tell(REMINDER, clients, f"{HOOK}?wait=false&thread_id=77", receipt=RECEIPT)
    assert [query["thread_id"] for _, _, query in asked(clients)] == ["77", "77"]
    assert "wait" not in asked(clients)[0][2] and asked(clients)[1][2]["wait"] == "true"


def test_a_message_that_is_gone_is_posted_anew() -> None:
    """Given an edit that answers 404 → a new message takes over; a silent change posts none."""
    clients = FakeClients(answering(GONE, POSTED))
    told = tell(RESOLVED, clients, receipt={"message": "1"})
    assert told.values == RECEIPT and "posted anew" in told.note
    quiet = FakeClients(answering(GONE))
    assert tell(ACKED, quiet, receipt={"message": "1"}).values == {}
    assert len(quiet.requests) == 1
    with pytest.raises(TargetRejectedError, match="404"):
        tell(RESOLVED, FakeClients(answering(GONE)), receipt={"message": "1"})


def test_a_silent_change_of_nothing_posts_nothing() -> None:
    """Given a silent change without a message → nothing is asked."""
    clients = FakeClients(answering(POSTED))
    assert not tell(ACKED, clients).sent and not clients.requests


@pytest.mark.parametrize("status", [400, 413])
def test_refused_content_goes_out_plain(status: int) -> None:
    """Given a refusal of the embed → text goes out in the same try, and says so; a second refusal is for good."""
    clients = FakeClients(answering(httpx.Response(status), POSTED))
    assert f"plain form, since Discord refused the full one (HTTP {status})" in tell(NOTIFICATION, clients).note
    body = json.loads(clients.requests[1].content)
    assert body["embeds"] == [] and body["content"].startswith("FIRING critical: High Error Rate")
    with pytest.raises(TargetRejectedError, match=str(status)):
        tell(NOTIFICATION, FakeClients(answering(httpx.Response(status))))


WAITS = [
    ({"Retry-After": "1"}, {"retry_after": 0.64, "global": False}, timedelta(seconds=1)),
    ({}, {"retry_after": 0.64, "global": True}, timedelta(seconds=0.64)),
    ({}, {"retry_after": -1}, timedelta(seconds=30)),
    ({}, {"retry_after": 1e12}, timedelta(seconds=30)),
    ({}, {"retry_after": True}, timedelta(seconds=30)),
    ({}, {}, timedelta(seconds=30)),
]


@pytest.mark.parametrize(("headers", "body", "wait"), WAITS)
@pytest.mark.parametrize("receipt", [{}, RECEIPT])
def test_a_rate_limit_is_kept(
    headers: dict[str, str], body: dict[str, Any], wait: timedelta, receipt: dict[str, str]
) -> None:
    """Given a 429 → its header counts, else its body, else half a minute; nothing was taken."""
    clients = FakeClients(answering(httpx.Response(429, headers=headers, json=body)))
    with pytest.raises(TargetUnavailableError) as caught:
        tell(UPDATE, clients, receipt=receipt)
    assert (caught.value.retry_after, caught.value.ambiguous) == (wait, False)


def test_an_edit_is_never_in_doubt_and_a_post_is() -> None:
    """Given no answer → an edit may be repeated; a message may have been taken, and the next try says so."""
    for receipt, ambiguous in (({}, True), (RECEIPT, False)):
        with pytest.raises(TargetUnavailableError) as caught:
            tell(UPDATE, FakeClients(answering(httpx.ReadTimeout("x"))), receipt=receipt)
        assert caught.value.ambiguous is ambiguous
    told = tell(NOTIFICATION, FakeClients(answering(POSTED)), in_doubt=True)
    assert told.doubled and "twice" in told.note
    assert not tell(RESOLVED, FakeClients(answering(POSTED)), receipt=RECEIPT, in_doubt=True).doubled


def test_an_answer_without_an_id_is_taken() -> None:
    """Given a message that was taken but not named → it is delivered, and the next one is posted anew."""
    told = tell(NOTIFICATION, FakeClients(answering(httpx.Response(204))))
    assert told.sent and told.values == {} and told.note


LIVE = re.compile(r"(?<!\\)(?:@everyone|@here|<@|<#|<https|\[[^\]]*\]\((?!<https://))")


def shown(body: dict[str, Any]) -> str:
    """Every text in which Discord reads Markdown."""
    parts = [body["content"]]
    for embed in body.get("embeds", ()):
        parts += [embed["title"], embed["description"]]
        parts += [text for field in embed["fields"] for text in (field["name"], field["value"])]
    return "\n".join(parts)


def test_hostile_text_calls_nobody() -> None:
    """Given mentions, links and Markdown from outside → they are shown as text, in every form."""
    text = HOSTILE + " @everyone @here **x** [click](javascript:alert(1)) <@&1> `a|b` ||s||\n# big\n- list\n1. one"
    told = replace(TOLD, title=text, summary=text, labels={"service": text})
    hostile = replace(REMINDER, title=text, alerts=(told, told))
    for body in (discord.render(hostile, {}), discord.render(hostile, {}, plain=True), discord.render_news(hostile)):
        assert not LIVE.search(shown(body)), LIVE.search(shown(body))
        assert body["allowed_mentions"] == {"parse": []}
        assert "\u202e" not in shown(body) and "\x00" not in shown(body)
        assert not re.search(r"(?m)^(?:# big|- list|1\. one)", shown(body))


@pytest.mark.acceptance
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(NOTIFICATIONS)
def test_every_message_is_within_the_limits(notification: Notification) -> None:
    """Given any incident → every length that Discord has is kept, and nothing that must not be empty is."""
    for body in (discord.render(notification, {}), discord.render(notification, {}, plain=True)):
        assert utf16_units(body["content"]) <= 2_000
        for embed in body["embeds"]:
            assert 1 <= utf16_units(embed["title"]) <= 256
            assert 1 <= utf16_units(embed["description"]) <= 4_096
            assert len(embed["fields"]) <= 25
            for field in embed["fields"]:
                assert 1 <= utf16_units(field["name"]) <= 256 and 1 <= utf16_units(field["value"]) <= 1_024
            texts = [embed["title"], embed["description"], embed["footer"]["text"]]
            texts += [text for field in embed["fields"] for text in (field["name"], field["value"])]
            assert sum(map(utf16_units, texts)) <= discord.MAX_EMBED_CHARACTERS
        for row in body["components"]:
            assert 1 <= len(row["components"]) <= 5
            for each in row["components"]:
                assert 1 <= utf16_units(each["label"]) <= 80 and len(each["url"]) <= 512
    assert 1 <= utf16_units(discord.render_news(notification)["content"]) <= 2_000


def test_a_storm_says_how_many_more() -> None:
    """Given 500 alerts → ten are listed and the others counted."""
    text = discord.render(STORM, {})["embeds"][0]["description"]
    assert text.count("Fault ") == 10 and "… and 490 more" in text


RIGHT = [
    True,
    "ops",
    HOOK,
    "https://discord.com/api/v10/webhooks/1/a-B_c?thread_id=5",
    "https://ptb.discord.com/api/webhooks/1/t",
    "http://127.0.0.1:9/discord/api/webhooks/1/t",
]
WRONG = ["", "https://example.com/api/webhooks/1/t", f"{HOOK}/slack", "https://discord.com/channels/1/2", "a b"]


@pytest.mark.parametrize("value", RIGHT)
def test_a_right_value_is_read(value: Any) -> None:
    """Given true, a name or the address of a webhook → it is taken as it is."""
    assert discord.read(value) == value


@pytest.mark.parametrize("value", [*WRONG, 7, False, {"a": "b"}])
def test_a_wrong_value_is_refused_without_its_token(value: Any) -> None:
    """Given anything else → the error says what is allowed, and shows no path."""
    with pytest.raises(FieldError) as caught:
        discord.read(value)
    assert "channels/1" not in str(caught.value)


def test_the_operator_is_told_what_to_set() -> None:
    """Given a name → doctor looks at its parameter, and at the form of the address in it."""
    target = Target("discord", "ops")
    missing = discord.check_target(target, FakeClients())
    assert (missing.state, missing.parameter) == ("wrong", "DISCORD_OPS_URL")
    assert discord.check_target(target, FakeClients(secrets={"DISCORD_OPS_URL": HOOK})).state == "ok"
    odd = FakeClients(secrets={"DISCORD_OPS_URL": "https://discord.invalid/x"})
    assert discord.check_target(target, odd).state == "warning"
    with pytest.raises(TargetRejectedError, match="DISCORD_OPS_URL is not set"):
        tell(NOTIFICATION, FakeClients(answering(POSTED)), "ops")
    with pytest.raises(TargetRejectedError, match=r"HTTP 404.*DISCORD_OPS_URL") as caught:
        tell(NOTIFICATION, FakeClients(answering(GONE), secrets={"DISCORD_OPS_URL": HOOK}), "ops")
    assert "TOKEN" not in str(caught.value)
