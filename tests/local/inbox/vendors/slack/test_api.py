"""Slack's Web API and its incoming webhooks: what is taken, what is refused, how fast."""

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from local.inbox import Inbox, Limits
from local.inbox.vendors.slack.workspace import channel_id
from tests.local.inbox.support import ACTIONS, TOKEN, Clock, post, request, slack


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"channel": "#incidents", "text": "hi"}, None),
        ({"channel": "incidents", "text": "hi"}, None),
        ({"channel": "#made-on-first-use", "text": "hi"}, None),
        ({"channel": "#canal-português", "text": "hi"}, None),
        ({"text": "hi"}, "channel_not_found"),
        ({"channel": "#missing", "text": "hi"}, "channel_not_found"),
        ({"channel": "#With Space", "text": "hi"}, "channel_not_found"),
        ({"channel": "#private-ops", "text": "hi"}, "channel_not_found"),
        ({"channel": "#uninvited", "text": "hi"}, "not_in_channel"),
        ({"channel": "#archived-2019", "text": "hi"}, "is_archived"),
        ({"channel": "#readonly", "text": "hi"}, "restricted_action_read_only_channel"),
        ({"channel": "#incidents"}, "no_text"),
        ({"channel": "#incidents", "text": ""}, "no_text"),
        ({"channel": "#incidents", "text": "x" * 40_001}, "msg_too_long"),
        ({"channel": "#incidents", "text": "x", "blocks": "[{"}, "invalid_blocks_format"),
        ({"channel": "#incidents", "text": "x", "blocks": [{"type": "divider"}] * 51}, "invalid_blocks"),
        ({"channel": "#incidents", "text": "x", "attachments": [{}] * 101}, "too_many_attachments"),
        ({"channel": "#incidents", "text": "x", "metadata": {"event_type": "a"}}, "invalid_metadata_format"),
        ({"channel": "#incidents", "text": "x", "thread_ts": "1.2"}, "thread_not_found"),
    ],
)
def test_posting_is_answered_as_slack_does(inbox: Inbox, fields: dict[str, Any], error: str | None) -> None:
    """A message is taken, or refused with HTTP 200 and Slack's code."""
    assert slack(inbox, "chat.postMessage", **fields).get("error") == error
    assert len(inbox.messages) == (error is None)


@pytest.mark.parametrize(
    ("token", "error"),
    [("", "not_authed"), ("xoxp-person", "invalid_auth"), ("nonsense", "invalid_auth"), ("xoxb-a-b", None)],
)
def test_tokens_are_checked(inbox: Inbox, token: str, error: str | None) -> None:
    """Only bot tokens are good."""
    assert slack(inbox, "auth.test", token=token).get("error") == error


def test_a_post_answers_the_channels_id_and_a_rising_ts(inbox: Inbox) -> None:
    """Channel and ts are a message's identity; the same clock reading gives two of them."""
    first = slack(
        inbox,
        "chat.postMessage",
        channel="#incidents",
        text="a",
        metadata={"event_type": "t", "event_payload": {"id": "n1"}},
    )
    second = slack(inbox, "chat.postMessage", channel="#incidents", text="b")
    assert first["channel"] == second["channel"] == channel_id("incidents")
    assert float(first["ts"]) < float(second["ts"])
    assert first["message"]["text"] == "a" and first["message"]["bot_profile"]["name"] == "Tocsin"
    history = slack(inbox, "conversations.history", channel=first["channel"], include_all_metadata=True)
    assert [each["text"] for each in history["messages"]] == ["b", "a"]
    assert history["messages"][1]["metadata"]["event_payload"] == {"id": "n1"}
    plain_history = slack(inbox, "conversations.history", channel=first["channel"])
    assert "metadata" not in plain_history["messages"][1]


def test_forms_are_read_as_json_is(inbox: Inbox) -> None:
    """Arguments may come as a form, blocks as JSON text in it, the token too."""
    body = urlencode({"token": TOKEN, "channel": "#incidents", "text": "t", "blocks": json.dumps([ACTIONS])}).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    _, _, answer = request(inbox, "POST", "/slack/api/chat.postMessage", body, headers)
    assert answer["ok"] and answer["message"]["blocks"][0]["block_id"] == "act:1"


@pytest.mark.parametrize(
    ("change", "text", "has_blocks", "edited"),
    [
        ({"text": "new"}, "new", False, True),
        ({"text": "new", "blocks": [ACTIONS]}, "new", True, False),
        ({"blocks": [ACTIONS]}, "old", True, False),
        ({"metadata": {}}, "old", True, False),
    ],
)
def test_an_update_keeps_what_it_leaves_out(
    inbox: Inbox, change: dict[str, Any], text: str, has_blocks: bool, edited: bool
) -> None:
    """Text alone removes the blocks and marks the message as edited; blocks leave no mark; {} removes metadata."""
    metadata = {"event_type": "t", "event_payload": {}}
    sent = slack(inbox, "chat.postMessage", channel="#incidents", text="old", blocks=[ACTIONS], metadata=metadata)
    answer = slack(inbox, "chat.update", channel=sent["channel"], ts=sent["ts"], **change)
    assert answer["ok"] and answer["text"] == text
    message = inbox.messages[0]
    assert ("blocks" in message, "edited" in message) == (has_blocks, edited)
    assert ("metadata" in message) == ("metadata" not in change)


def test_what_cannot_be_updated_says_why(inbox: Inbox) -> None:
    """Gone, another bot's, too long, or not named by its id."""
    sent = slack(inbox, "chat.postMessage", channel="#incidents", text="old")
    place = {"channel": sent["channel"], "ts": sent["ts"]}
    assert slack(inbox, "chat.update", **{**place, "ts": "1.2"}, text="x")["error"] == "message_not_found"
    assert slack(inbox, "chat.update", token="xoxb-2", **place, text="x")["error"] == "cant_update_message"
    assert slack(inbox, "chat.update", **place, text="x" * 4_001)["error"] == "msg_too_long"
    assert slack(inbox, "chat.update", **{**place, "channel": "#incidents"}, text="x")["error"] == "channel_not_found"
    assert slack(inbox, "chat.update", **place)["error"] == "no_text"


def test_threads_are_kept_and_read_back(inbox: Inbox) -> None:
    """Replies are read by thread, are in the channel's history only when broadcast, and have no replies of their own."""
    sent = slack(inbox, "chat.postMessage", channel="#incidents", text="parent")
    place = {"channel": sent["channel"], "thread_ts": sent["ts"]}
    reply = slack(inbox, "chat.postMessage", **place, text="quiet")
    slack(inbox, "chat.postMessage", **place, text="loud", reply_broadcast=True)
    under = slack(inbox, "chat.postMessage", channel=sent["channel"], thread_ts=reply["ts"], text="no")
    assert under["error"] == "cannot_reply_to_message"
    replies = slack(inbox, "conversations.replies", channel=sent["channel"], ts=sent["ts"])["messages"]
    assert [each["text"] for each in replies] == ["parent", "quiet", "loud"]
    history = slack(inbox, "conversations.history", channel=sent["channel"])["messages"]
    assert [each["text"] for each in history] == ["loud", "parent"]


def test_lists_come_in_pages(inbox: Inbox) -> None:
    """A cursor leads to the next page; an empty one ends the list; archived channels can be left out."""
    slack(inbox, "chat.postMessage", channel="#archived", text="x")
    first = slack(inbox, "conversations.list", limit=2, exclude_archived="true")
    second = slack(
        inbox, "conversations.list", limit=2, exclude_archived="true", cursor=first["response_metadata"]["next_cursor"]
    )
    assert [each["name"] for each in first["channels"]] == ["incidents", "alerts"]
    assert [each["name"] for each in second["channels"]] == ["infrastructure"]
    assert second["response_metadata"]["next_cursor"] == ""


def test_a_channel_takes_one_message_a_second_after_a_burst(clock: Clock) -> None:
    """Above that it answers 429 with Retry-After; other channels are not held back; the rate comes back with time."""
    with Inbox(limits=Limits(slack_burst=2), clock=clock) as inbox:
        sent = [slack(inbox, "chat.postMessage", channel="#incidents", text=str(n)).get("error") for n in range(3)]
        assert sent == [None, None, "ratelimited"]
        status, headers, _ = post(
            inbox,
            "/slack/api/chat.postMessage",
            {"channel": "#incidents", "text": "x"},
            Authorization=f"Bearer {TOKEN}",
        )
        assert (status, headers["retry-after"]) == (429, "1")
        assert slack(inbox, "chat.postMessage", channel="#alerts", text="x")["ok"]
        clock.now += 1
        assert slack(inbox, "chat.postMessage", channel="#incidents", text="x")["ok"]


def test_other_methods_keep_to_their_tier(clock: Clock) -> None:
    """conversations.list may be called twenty times a minute."""
    with Inbox(clock=clock) as inbox:
        assert all(slack(inbox, "conversations.list")["ok"] for _ in range(20))
        assert slack(inbox, "conversations.list")["error"] == "ratelimited"
        clock.now += 60
        assert slack(inbox, "conversations.list")["ok"]


@pytest.mark.parametrize(
    ("name", "body", "status", "text"),
    [
        ("incidents", {"text": "hi"}, 200, "ok"),
        ("incidents", {}, 400, "invalid_payload"),
        ("incidents", {"text": ""}, 400, "no_text"),
        ("incidents", {"text": "a", "blocks": [{"type": "header"}]}, 400, "invalid_blocks"),
        ("missing", {"text": "hi"}, 404, "no_service"),
        ("archived", {"text": "hi"}, 410, "channel_is_archived"),
    ],
)
def test_incoming_webhooks_answer_in_plain_text(inbox: Inbox, name: str, body: Any, status: int, text: str) -> None:
    """`ok`, or the code with a status of its own."""
    found = post(inbox, f"/slack/hooks/{name}", body)
    assert (found[0], found[2]) == (status, text)
