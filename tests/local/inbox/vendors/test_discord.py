"""The stand-in for Discord's webhooks: its limits, its rate, its edits, and whom a message calls."""

from dataclasses import replace
from typing import Any

import pytest

from chalicelib.core.delivery.notification import Notification, Reason
from chalicelib.core.errors import TargetUnavailableError
from chalicelib.targets import discord
from local.inbox import Inbox
from tests.local.inbox.support import Clock, post, request
from tests.targets.samples import HOSTILE, NOTIFICATION, NOW, RESOLVED, STORM, TOLD
from tests.targets.test_fates import RealHttp

HOOK = "/discord/api/webhooks/1/TOKEN"
EMBED = {"title": "t", "description": "d", "fields": [{"name": "n", "value": "v"}]}
BUTTON = {"type": 2, "style": 5, "label": "Open", "url": "https://x.example"}
WRONG: list[tuple[dict[str, Any], str]] = [
    ({}, "empty"),
    ({"content": "x" * 2_001}, "content"),
    ({"embeds": [EMBED] * 11}, "more than 10"),
    ({"embeds": [{"title": "x" * 257}]}, "embed.title"),
    ({"embeds": [{"description": "x" * 4_097}]}, "embed.description"),
    ({"embeds": [{"title": "t", "footer": {"text": "x" * 2_049}}]}, "embed.footer"),
    ({"embeds": [{"fields": [{"name": "n", "value": "v"}] * 26}]}, "embed.fields"),
    ({"embeds": [{"fields": [{"name": "n", "value": " "}]}]}, "embed.fields.value"),
    ({"embeds": [{"description": "x" * 3_001}] * 2}, "6000"),
    ({"embeds": [{"title": "t", "url": "javascript:x"}]}, "embed.url"),
    ({"content": "x", "components": [{"type": 1, "components": [{**BUTTON, "style": 1}]}]}, "links"),
    ({"content": "x", "components": [{"type": 1, "components": [{**BUTTON, "label": "x" * 81}]}]}, "label"),
    ({"content": "x", "components": [{"type": 1, "components": []}]}, "row"),
]


@pytest.mark.parametrize(("body", "word"), WRONG, ids=[word for _, word in WRONG])
def test_what_discord_refuses_is_refused(inbox: Inbox, body: dict[str, Any], word: str) -> None:
    """Given a message over a limit → 400 with the reason, and nothing is kept."""
    status, _, answer = post(inbox, f"{HOOK}?wait=true&with_components=true", body)
    assert status == 400 and word in str(answer["errors"])
    assert inbox.everything()["discord"] == []


def test_components_need_their_word(inbox: Inbox) -> None:
    """Given buttons without with_components → 400."""
    assert post(inbox, HOOK, {"content": "x", "components": [{"type": 1, "components": [BUTTON]}]})[0] == 400


def test_a_message_is_named_edited_and_deleted(inbox: Inbox) -> None:
    """Given wait=true → the answer names the message, which can be edited and deleted; without it 204."""
    assert post(inbox, HOOK, {"content": "x"})[0] == 204
    status, _, answer = post(inbox, f"{HOOK}?wait=true", {"embeds": [EMBED]})
    assert status == 200
    place = f"{HOOK}/messages/{answer['id']}"
    headers = {"Content-Type": "application/json"}
    assert request(inbox, "PATCH", place, b'{"content": "new"}', headers)[0] == 200
    kept = inbox.everything()["discord"][-1]
    assert (kept["content"], kept["embeds"], kept["edited"]) == ("new", [EMBED], 1)
    assert request(inbox, "DELETE", place)[0] == 204
    assert request(inbox, "PATCH", place, b"{}", headers)[0] == 404


@pytest.mark.parametrize(
    ("allowed", "called"),
    [(None, ["@everyone", "<@1>", "<@&2>"]), ({"parse": []}, []), ({"parse": ["users"]}, ["<@1>"])],
)
def test_who_is_called_is_noted(inbox: Inbox, allowed: Any, called: list[str]) -> None:
    """Given mentions → those that allowed_mentions lets through are noted, all of them without it."""
    body = {"content": "@everyone <@1> <@&2>", **({} if allowed is None else {"allowed_mentions": allowed})}
    post(inbox, HOOK, body)
    assert inbox.everything()["discord"][0]["called"] == called


def test_a_rate_has_both_forms_of_its_wait(clock: Clock) -> None:
    """Given a sixth request at once → 429 with the wait in whole seconds and exactly; later it is taken again."""
    with Inbox(clock=clock) as inbox:
        for _ in range(5):
            assert post(inbox, HOOK, {"content": "x"})[0] == 204
        status, headers, answer = post(inbox, HOOK, {"content": "x"})
        assert (status, headers["retry-after"]) == (429, "1")
        assert answer["retry_after"] == pytest.approx(0.4)
        clock.now += 0.5
        assert post(inbox, HOOK, {"content": "x"})[0] == 204


def test_a_story_of_one_incident(inbox: Inbox, clock: Clock) -> None:
    """Given an opening, a reminder and the end, with hostile texts → one message edited twice, one beside it, nobody called."""
    clients, url = RealHttp(), f"{inbox.url}{HOOK}"
    text = f"{HOSTILE} @everyone <@1>"
    told = replace(TOLD, title=text, summary=text)
    receipt: dict[str, str] = {}

    def send(notification: Notification) -> None:
        nonlocal receipt
        sent = discord.send(notification, url, clients, receipt=receipt, in_doubt=False, now=NOW)
        receipt = dict(sent.values)
        clock.now += 1

    send(replace(NOTIFICATION, title=text, alerts=(told,)))
    send(replace(NOTIFICATION, title=text, alerts=(told, told), reason=Reason.REMINDER, seq=2))
    send(replace(RESOLVED, title=text))
    first, beside = inbox.everything()["discord"]
    assert (first["id"], first["edited"], first["called"], beside["called"]) == (receipt["message"], 2, [], [])
    assert "**Resolved**" in first["embeds"][0]["description"] and "Still firing" in beside["content"]
    assert all(each.status in (200, 204) for each in inbox.requests)


def test_a_storm_is_taken_and_a_burst_comes_back(clock: Clock) -> None:
    """Given a message of 500 alerts six times at once → five fit every limit, and the sixth comes back when asked for."""
    with Inbox(clock=clock) as inbox:
        clients, url = RealHttp(), f"{inbox.url}{HOOK}"
        for _ in range(5):
            assert discord.send(STORM, url, clients, receipt={}, in_doubt=False, now=NOW).note == ""
        with pytest.raises(TargetUnavailableError) as caught:
            discord.send(STORM, url, clients, receipt={}, in_doubt=False, now=NOW)
    assert caught.value.retry_after is not None and caught.value.retry_after.total_seconds() == 1
