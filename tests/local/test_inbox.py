"""The inbox: each vendor's behaviour, what people do, what is drawn, and how it starts and stops."""

import base64
import hashlib
import hmac
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from local.inbox import UNLIMITED, Inbox, Limits
from local.inbox.__main__ import arguments, run
from local.inbox.cues import CueError
from local.inbox.drawing.mrkdwn import mrkdwn, plain
from local.inbox.drawing.slack import draw_blocks, draw_message, draw_view
from local.inbox.outside import slack_headers
from local.inbox.vendors.cloudflare import parse
from local.inbox.vendors.slack.api import channel_id
from local.inbox.vendors.slack.blocks import mistakes, view_mistakes
from tests.targets.samples import WEBHOOK_SECRET

TOKEN = "xoxb-1"
KEY = "0123456789abcdef0123456789abcdef"
SIGNING = "signing-secret"
Answered = tuple[int, dict[str, str], Any]


class Clock:
    """Unix seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock at a known time."""
    return Clock()


@pytest.fixture
def inbox(clock: Clock) -> Iterator[Inbox]:
    """An inbox that takes requests at any rate."""
    with Inbox(limits=UNLIMITED, clock=clock, slack_signing_secret=SIGNING, pagerduty_webhook_secret="pd") as found:
        yield found


def request(inbox: Inbox, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Answered:
    """Status, headers in lower case, and the body as JSON or text."""
    connection = HTTPConnection("127.0.0.1", int(inbox.url.rpartition(":")[2]), timeout=10)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        text = answer.read().decode()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, found, json.loads(text) if "json" in found.get("content-type", "") and text else text
    finally:
        connection.close()


def post(inbox: Inbox, path: str, body: Any, **headers: str) -> Answered:
    """POST as JSON."""
    given = {"Content-Type": "application/json; charset=utf-8", **{n.replace("_", "-"): v for n, v in headers.items()}}
    return request(inbox, "POST", path, json.dumps(body).encode(), given)


def slack(inbox: Inbox, method: str, /, token: str = TOKEN, **fields: Any) -> dict[str, Any]:
    """The body of a call of the Web API."""
    _, _, body = post(inbox, f"/slack/api/{method}", fields, Authorization=f"Bearer {token}")
    return dict(body)


def words(text: str, kind: str = "plain_text") -> dict[str, Any]:
    """A text object."""
    return {"type": kind, "text": text}


def button(action_id: str = "ack", **more: Any) -> dict[str, Any]:
    """A button."""
    return {"type": "button", "action_id": action_id, "text": words("Acknowledge"), "value": "inc-1", **more}


MENU = {
    "type": "static_select",
    "action_id": "silence",
    "placeholder": words("Silence"),
    "options": [{"text": words("1 hour"), "value": "1h:inc-1"}, {"text": words("4 hours"), "value": "4h:inc-1"}],
}
ACTIONS = {"type": "actions", "block_id": "act:1", "elements": [button(), MENU]}
MODAL = {
    "type": "modal",
    "callback_id": "silence",
    "title": words("Silence"),
    "submit": words("Silence"),
    "private_metadata": "inc-1",
    "blocks": [
        {
            "type": "input",
            "block_id": "why",
            "label": words("Why"),
            "element": {"type": "plain_text_input", "action_id": "v"},
        },
        {"type": "input", "block_id": "for", "optional": True, "label": words("For"), "element": MENU},
    ],
}


@contextmanager
def tocsin(
    answers: dict[str, tuple[int, bytes]] | None = None,
) -> Iterator[tuple[str, list[tuple[str, dict[str, str], bytes]]]]:
    """A server in Tocsin's place: its address, and the (path, headers, body) that came. `answers` is by path."""
    came: list[tuple[str, dict[str, str], bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        """Answers 200, or what it was told to."""

        def do_POST(self) -> None:
            """Record and answer."""
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, content = (answers or {}).get(self.path, (200, b""))
            came.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", came
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


# Slack's Web API -----------------------------------------------------------------------------------------------


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


LONG = "x" * 3_001


@pytest.mark.parametrize(
    ("block", "pointer"),
    [
        ({"type": "header", "text": words("x" * 151)}, "/blocks/0/text/text"),
        ({"type": "header", "text": words("😀" * 76)}, "/blocks/0/text/text"),
        ({"type": "header", "text": words("*x*", "mrkdwn")}, "/blocks/0/text/type"),
        ({"type": "section", "text": words("", "mrkdwn")}, "/blocks/0/text/text"),
        ({"type": "section", "text": words(LONG)}, "/blocks/0/text/text"),
        ({"type": "section"}, "/blocks/0"),
        ({"type": "section", "fields": [words("a")] * 11}, "/blocks/0/fields"),
        ({"type": "section", "fields": [words("a" * 2_001)]}, "/blocks/0/fields/0/text"),
        ({"type": "context", "elements": [words("a")] * 11}, "/blocks/0/elements"),
        ({"type": "actions", "elements": []}, "/blocks/0/elements"),
        ({"type": "actions", "elements": [button(text=words("a" * 76))]}, "/blocks/0/elements/0/text/text"),
        ({"type": "actions", "elements": [button(value="a" * 2_001)]}, "/blocks/0/elements/0/value"),
        ({"type": "actions", "elements": [button(url="https://" + LONG)]}, "/blocks/0/elements/0/url"),
        ({"type": "actions", "elements": [button(url="nonsense")]}, "/blocks/0/elements/0/url"),
        ({"type": "actions", "elements": [button("a" * 256)]}, "/blocks/0/elements/0/action_id"),
        ({"type": "actions", "elements": [button(), button()]}, "/blocks/0/elements/1/action_id"),
        ({"type": "actions", "elements": [button(style="loud")]}, "/blocks/0/elements/0/style"),
        ({"type": "actions", "elements": [{**MENU, "options": []}]}, "/blocks/0/elements/0/options"),
        ({"type": "divider", "block_id": "a" * 256}, "/blocks/0/block_id"),
        ({"type": "nonsense"}, "/blocks/0/type"),
        ("text", "/blocks/0"),
    ],
)
def test_blocks_beyond_the_limits_are_refused_with_a_pointer(block: Any, pointer: str) -> None:
    """Each limit of Block Kit, and where it was broken."""
    assert any(said.endswith(f"[json-pointer:{pointer}]") for said in mistakes([block]))


def test_blocks_at_the_limits_are_taken() -> None:
    """The longest that is allowed."""
    blocks = [
        {"type": "header", "text": words("x" * 150)},
        {"type": "section", "text": words("x" * 3_000, "mrkdwn"), "fields": [words("x" * 2_000)] * 10},
        {"type": "actions", "elements": [button(f"{n}", value="x" * 2_000, text=words("x" * 75)) for n in range(25)]},
        *([{"type": "divider"}] * 47),
    ]
    assert mistakes(blocks) == []
    assert view_mistakes(MODAL) == []
    assert view_mistakes({**MODAL, "title": words("x" * 25)})


# People --------------------------------------------------------------------------------------------------------


def test_a_pressed_button_reaches_tocsin_signed(inbox: Inbox, clock: Clock) -> None:
    """The payload names who pressed what on which message; the signature covers the raw body."""
    sent = slack(inbox, "chat.postMessage", channel="#incidents", text="t", blocks=[ACTIONS])
    with tocsin() as (url, came):
        inbox.connections.tocsin = url
        asked = {"channel": sent["channel"], "ts": sent["ts"], "action_id": "ack", "user": "U0BENOKORO"}
        assert post(inbox, "/_page/press", asked)[2] == {"ok": True}
    path, headers, body = came[0]
    signed = f"v0:{headers['x-slack-request-timestamp']}:".encode() + body
    assert headers["x-slack-signature"] == "v0=" + hmac.new(SIGNING.encode(), signed, hashlib.sha256).hexdigest()
    assert abs(int(headers["x-slack-request-timestamp"]) - clock.now) < 2
    payload = json.loads(parse_qs(body.decode())["payload"][0])
    assert (path, payload["type"], payload["user"]["id"]) == ("/slack/actions", "block_actions", "U0BENOKORO")
    assert payload["container"]["message_ts"] == sent["ts"] and payload["message"]["blocks"][0]["type"] == "actions"
    assert payload["actions"][0] | {"action_ts": ""} == {
        "action_id": "ack",
        "block_id": "act:1",
        "type": "button",
        "text": words("Acknowledge"),
        "value": "inc-1",
        "action_ts": "",
    }


def test_a_chosen_option_is_in_the_action_and_the_state(inbox: Inbox) -> None:
    """A menu sends the option that was chosen; an option that it does not have is not sent."""
    sent = slack(inbox, "chat.postMessage", channel="#incidents", text="t", blocks=[ACTIONS])
    with tocsin() as (url, came):
        inbox.connections.tocsin = url
        assert inbox.people.press(sent["channel"], sent["ts"], "silence", value="4h:inc-1") == {"ok": True}
        assert not inbox.people.press(sent["channel"], sent["ts"], "silence", value="other")["ok"]
        assert not inbox.people.press(sent["channel"], sent["ts"], "gone")["ok"]
    payload = json.loads(parse_qs(came[0][2].decode())["payload"][0])
    assert payload["actions"][0]["selected_option"]["value"] == "4h:inc-1"
    assert payload["state"]["values"]["act:1"]["silence"]["selected_option"]["value"] == "4h:inc-1"
    assert len(came) == 1


@pytest.mark.parametrize(
    ("status", "told"), [(200, None), (500, "Status Code 500"), (302, "Status Code 302"), (401, "Status Code 401")]
)
def test_a_person_is_told_when_the_app_fails(inbox: Inbox, status: int, told: str | None) -> None:
    """Everything but 2xx is shown, redirects too."""
    sent = slack(inbox, "chat.postMessage", channel="#incidents", text="t", blocks=[ACTIONS])
    with tocsin({"/slack/actions": (status, b"")}) as (url, _):
        inbox.connections.tocsin = url
        said = inbox.people.press(sent["channel"], sent["ts"], "ack")
    assert said["ok"] == (told is None) and (told or "") in said.get("problem", "")


def test_an_app_that_is_too_slow_is_told(inbox: Inbox) -> None:
    """After Slack's time limit the person sees that the operation timed out."""
    sent = slack(inbox, "chat.postMessage", channel="#incidents", text="t", blocks=[ACTIONS])
    inbox.people.timeout_seconds = 0.05
    inbox.answer("hook", "*", [{"timeout": True}], stay=True)
    inbox.connections.tocsin = f"{inbox.url}/hook/slow?"
    assert "Operation timed out" in inbox.people.press(sent["channel"], sent["ts"], "ack")["problem"]
    assert "operation_timeout" in inbox.people.command(sent["channel"], "/tocsin")["problem"]


def test_an_app_that_is_away_or_not_connected_is_told(inbox: Inbox) -> None:
    """Nothing listens there; nothing is set."""
    sent = slack(inbox, "chat.postMessage", channel="#incidents", text="t", blocks=[ACTIONS])
    assert "Nothing is connected" in inbox.people.press(sent["channel"], sent["ts"], "ack")["problem"]
    with tocsin() as (url, _):
        inbox.connections.tocsin = url
    assert "could not reach" in inbox.people.press(sent["channel"], sent["ts"], "ack")["problem"]


def test_a_response_address_works_five_times_in_thirty_minutes(inbox: Inbox, clock: Clock) -> None:
    """It replaces the message, adds one for a single person, and is used up."""
    sent = slack(inbox, "chat.postMessage", channel="#incidents", text="t", blocks=[ACTIONS])
    place = ("actions", sent["channel"], sent["ts"], "U0ANASOUZA")
    path = inbox.slack.new_response_url("", *place)
    assert post(inbox, path, {"replace_original": "true", "text": "changed"})[0] == 200
    assert inbox.messages[0]["text"] == "changed"
    assert post(inbox, path, {"text": "only you"})[0] == 200
    assert inbox.messages[1]["only_for"] == "U0ANASOUZA"
    assert [post(inbox, path, {"text": "x"})[0] for _ in range(4)] == [200, 200, 200, 404]
    late = inbox.slack.new_response_url("", *place)
    clock.now += 30 * 60 + 1
    assert post(inbox, late, {"text": "x"})[2]["error"] == "expired_url"


def test_a_modal_is_opened_filled_and_submitted(inbox: Inbox) -> None:
    """One trigger opens one modal within three seconds; required fields are required; errors of the app come back."""
    trigger = inbox.slack.new_trigger()
    view = slack(inbox, "views.open", trigger_id=trigger, view=MODAL)["view"]
    assert slack(inbox, "views.open", trigger_id=trigger, view=MODAL)["error"] == "trigger_exchanged"
    assert "Why" in request(inbox, "GET", "/")[2]
    refusal = json.dumps({"response_action": "errors", "errors": {"why": "say more"}}).encode()
    answers = {"/slack/actions": (200, refusal)}
    with tocsin(answers) as (url, came):
        inbox.connections.tocsin = url
        assert "why" in inbox.people.submit(view["id"], {})["errors"]
        assert inbox.people.submit(view["id"], {"why": {"v": "x"}})["errors"] == {"why": "say more"}
        answers["/slack/actions"] = (200, b"")
        assert inbox.people.submit(view["id"], {"why": {"v": "deploy"}, "for": {"silence": "1h:inc-1"}})["ok"]
    payload = json.loads(parse_qs(came[-1][2].decode())["payload"][0])
    assert payload["type"] == "view_submission" and payload["view"]["private_metadata"] == "inc-1"
    assert payload["view"]["state"]["values"]["why"]["v"] == {"type": "plain_text_input", "value": "deploy"}
    assert payload["view"]["state"]["values"]["for"]["silence"]["selected_option"]["value"] == "1h:inc-1"
    assert inbox.slack.views == []


def test_a_trigger_expires(inbox: Inbox, clock: Clock) -> None:
    """After three seconds nothing can be opened with it."""
    trigger = inbox.slack.new_trigger()
    clock.now += 3.5
    assert slack(inbox, "views.open", trigger_id=trigger, view=MODAL)["error"] == "trigger_expired"


def test_a_command_is_sent_as_a_form_and_its_answer_shown(inbox: Inbox) -> None:
    """Text and JSON answers are shown to the person alone unless they say in_channel; failures are told."""
    channel = channel_id("incidents")
    answer = json.dumps({"response_type": "in_channel", "text": "2 open"}).encode()
    answers = {"/slack/commands": (200, answer)}
    with tocsin(answers) as (url, came):
        inbox.connections.tocsin = url
        assert inbox.people.command(channel, "/tocsin list open")["ok"]
        answers["/slack/commands"] = (200, b"just text")
        assert inbox.people.command(channel, "/tocsin")["ok"]
        answers["/slack/commands"] = (500, b"")
        assert "http_service_error" in inbox.people.command(channel, "/tocsin")["problem"]
        assert not inbox.people.command(channel, "hello")["ok"]
    form = {name: value[0] for name, value in parse_qs(came[0][2].decode()).items()}
    assert (form["command"], form["text"], form["channel_id"]) == ("/tocsin", "list open", channel)
    assert [(each["text"], each.get("only_for")) for each in inbox.messages] == [
        ("2 open", None),
        ("just text", "U0ANASOUZA"),
    ]


# PagerDuty -----------------------------------------------------------------------------------------------------


def event(action: str = "trigger", **more: Any) -> dict[str, Any]:
    """An event of the Events API."""
    payload = {"summary": "Downtime", "source": "web", "severity": "critical"}
    base = {"routing_key": KEY, "event_action": action, "dedup_key": "inc-1"}
    return {**base, **({"payload": payload} if action == "trigger" else {}), **more}


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


# Vercel --------------------------------------------------------------------------------------------------------


def test_vercel_lists_deployments_and_rolls_back(inbox: Inbox) -> None:
    """Newest first, with one of yesterday; a rollback needs a token and a deployment that exists, and is shown."""
    inbox.vercel.deployments["prj_1"] = [{"uid": "dpl_new", "created": 1}]
    token = {"Authorization": "Bearer t", "Content-Type": "application/json"}
    listed = request(inbox, "GET", "/vercel/v7/deployments?projectId=prj_1", headers=token)[2]["deployments"]
    assert [each["uid"] for each in listed] == ["dpl_new", "dpl_before_prj_1"]
    path = "/vercel/v1/projects/prj_1/rollback/"
    assert request(inbox, "POST", f"{path}dpl_before_prj_1", headers=token)[0] == 201
    assert inbox.vercel.rolled_back == [("prj_1", "dpl_before_prj_1")]
    assert "Rolled prj_1 back" in request(inbox, "GET", "/?view=changes")[2]
    assert request(inbox, "POST", f"{path}dpl_nowhere", headers=token)[0] == 404
    assert request(inbox, "POST", f"{path}dpl_before_prj_1")[0] == 403
    inbox.answer("vercel", "rollback", [{"status": 500}])
    assert request(inbox, "POST", f"{path}dpl_before_prj_1", headers=token)[0] == 500


# Mail ----------------------------------------------------------------------------------------------------------


def ses(inbox: Inbox) -> Any:
    """boto3's client, pointed at the inbox."""
    return boto3.client(
        "sesv2",
        region_name="us-east-1",
        endpoint_url=f"{inbox.url}/ses",
        aws_access_key_id="a",
        aws_secret_access_key="b",
        config=Config(retries={"total_max_attempts": 1}),
    )


def mail(headers: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    """A request of SendEmail."""
    given = [{"Name": name, "Value": value} for name, value in (headers or {}).items()]
    body = {"Text": {"Data": "text"}, "Html": {"Data": "<script>alert(1)</script><b>html</b>"}}
    simple = {"Subject": {"Data": "[critical] Down"}, "Body": body, "Headers": given}
    base = {"FromEmailAddress": "Tocsin <alerts@example.com>", "Destination": {"ToAddresses": ["ops@example.com"]}}
    return {**base, "Content": {"Simple": simple}, **more}


def test_a_mail_of_boto3_is_kept_with_its_headers(inbox: Inbox) -> None:
    """Simple and Raw content; the answer is a MessageId."""
    assert ses(inbox).send_email(**mail({"References": "<inc-1@example.com>"}))["MessageId"] == inbox.mails[0]["id"]
    raw = b"From: alerts@example.com\r\nTo: ops@example.com\r\nSubject: =?utf-8?b?w6k=?=\r\n\r\nbody\r\n"
    ses(inbox).send_email(Content={"Raw": {"Data": raw}})
    first, second = inbox.mails
    assert (first["to"], first["headers"]) == (["ops@example.com"], [["References", "<inc-1@example.com>"]])
    assert (second["subject"], second["text"].strip(), second["to"]) == ("é", "body", ["ops@example.com"])


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (mail({"Message-ID": "<a@b>"}), "BadRequestException"),
        (mail({"To": "a@b.example"}), "BadRequestException"),
        (mail({"X-A": "two\nlines"}), "BadRequestException"),
        (mail({f"X-{n}": "v" for n in range(16)}), "BadRequestException"),
        (mail(Destination={"ToAddresses": ["nonsense"]}), "BadRequestException"),
        (mail(Destination={"ToAddresses": [f"a{n}@b.example" for n in range(51)]}), "BadRequestException"),
        (mail(FromEmailAddress="x@unverified.example"), "MessageRejected"),
    ],
)
def test_mails_are_refused_as_ses_does(inbox: Inbox, sent: dict[str, Any], code: str) -> None:
    """Headers that SES sets itself, too many of them, addresses that are none or not verified."""
    with pytest.raises(ClientError) as caught:
        ses(inbox).send_email(**sent)
    assert caught.value.response["Error"]["Code"] == code and inbox.mails == []


@pytest.mark.parametrize("code", ["MessageRejected", "TooManyRequestsException", "SendingPausedException"])
def test_ses_errors_come_on_cue(inbox: Inbox, code: str) -> None:
    """As boto3 reads them; the next mail is taken again."""
    inbox.answer("ses", "SendEmail", [{"error": code}])
    with pytest.raises(ClientError) as caught:
        ses(inbox).send_email(**mail())
    assert caught.value.response["Error"]["Code"] == code
    assert ses(inbox).send_email(**mail())["MessageId"]


def test_the_emulators_mails_are_taken_once(inbox: Inbox) -> None:
    """However its list is grouped."""
    record = {"MessageId": "m1", "Source": "a@b.example", "To": ["c@d.example"], "Subject": "s", "Timestamp": 1.0}
    assert inbox.mail.take_from_emulator({"messages": {"000000000000": [record]}}) == 1
    assert inbox.mails[0]["subject"] == "s"
    inbox.reset()
    assert inbox.mail.take_from_emulator({"messages": [record]}) == 0


# Webhooks and Cloudflare ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "status", "verdict"),
    [
        ({}, 204, "verified"),
        ({"webhook_signature": "v1,AAAA v1,{good}"}, 204, "verified"),
        ({"webhook_signature": "v1,AAAA"}, 401, "the signature is wrong"),
        ({"webhook_signature": "v1,é"}, 401, "the signature is wrong"),
        ({"webhook_timestamp": "1"}, 401, "the timestamp is not within five minutes"),
        ({"webhook_id": ""}, 401, "not signed"),
    ],
)
def test_webhooks_are_checked(inbox: Inbox, clock: Clock, change: dict[str, str], status: int, verdict: str) -> None:
    """Standard Webhooks: id, timestamp and body are signed; any of several signatures may fit."""
    inbox.connections.webhook_secret = WEBHOOK_SECRET
    body, timestamp = b'{"type":"incident.opened"}', str(int(clock.now))
    key = base64.b64decode(WEBHOOK_SECRET.removeprefix("whsec_"))
    good = base64.b64encode(hmac.new(key, f"m1.{timestamp}.".encode() + body, hashlib.sha256).digest()).decode()
    headers = {"webhook_id": "m1", "webhook_timestamp": timestamp, "webhook_signature": f"v1,{good}", **change}
    sent = {
        name.replace("_", "-"): value.format(good=good).encode().decode("latin-1") for name, value in headers.items()
    }
    assert request(inbox, "POST", "/hook/ops", body, sent)[0] == status
    assert inbox.hooks[0]["verdict"] == verdict and inbox.hooks[0]["type"] == "incident.opened"


QUERY = """
query Window($zones: [String!], $from: Time!, $to: Time!) { viewer { zones(filter: {zoneTag_in: $zones}) { zoneTag
  total: httpRequestsAdaptiveGroups(limit: 1, filter: {datetime_geq: $from, datetime_lt: $to}) { count quantiles { edgeTimeToFirstByteMsP95 } }
  errors5xx: httpRequestsAdaptiveGroups(limit: 1, filter: {edgeResponseStatus_geq: 500}) { count }
  byStatus: httpRequestsAdaptiveGroups(limit: 9) { count dimensions { edgeResponseStatus } }
  visitors: httpRequests1mGroups(limit: 1) { uniq { uniques } } } } }
"""


def graphql(inbox: Inbox, tags: list[str]) -> Answered:
    """The answer to a query over two minutes."""
    variables = {"zones": tags, "from": "2026-11-24T09:00:00Z", "to": "2026-11-24T09:02:00Z"}
    return post(
        inbox, "/cloudflare/client/v4/graphql", {"query": QUERY, "variables": variables}, Authorization="Bearer t"
    )


def test_cloudflare_answers_what_was_selected(inbox: Inbox) -> None:
    """Healthy at first; then with the error rate and latency it was set to, for one zone apart from the others."""
    healthy = graphql(inbox, ["a"])[2]["data"]["viewer"]["zones"][0]
    assert healthy["zoneTag"] == "a" and healthy["total"][0]["count"] == 2_400
    assert set(healthy["total"][0]) == {"count", "quantiles"}
    post(inbox, "/_control/cloudflare", {"error_rate": 0.03, "p95_ms": 800, "zones": {"b": {"requests_per_min": 0}}})
    a, b = graphql(inbox, ["a", "b"])[2]["data"]["viewer"]["zones"]
    assert a["errors5xx"][0]["count"] / a["total"][0]["count"] == pytest.approx(0.03)
    assert a["total"][0]["quantiles"] == {"edgeTimeToFirstByteMsP95": 800}
    assert {each["dimensions"]["edgeResponseStatus"]: each["count"] for each in a["byStatus"]} == {200: 2_328, 502: 72}
    assert (b["total"], b["errors5xx"]) == ([], [])


def test_cloudflare_refuses_on_demand(inbox: Inbox) -> None:
    """A fixed answer, zones it may not see, no token, a query that cannot be read."""
    post(inbox, "/_control/cloudflare", {"hidden": ["a"]})
    assert "not authorized" in graphql(inbox, ["a"])[2]["errors"][0]["message"]
    post(inbox, "/_control/cloudflare", {"status": 429, "body": {"data": None}, "retry_after": 300})
    status, headers, _ = graphql(inbox, ["a"])
    assert (status, headers["retry-after"]) == (429, "300")
    assert post(inbox, "/cloudflare/client/v4/graphql", {})[0] == 403
    with pytest.raises(ValueError, match="not closed"):
        parse("query { viewer { zones")


# Cues ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "status", "error", "taken"),
    [
        ({"status": 429, "retry_after": 30}, 429, "ratelimited", False),
        ({"status": 500}, 500, None, False),
        ({"error": "channel_not_found"}, 200, "channel_not_found", False),
        ({"error": "fatal_error", "after_accept": True}, 200, "fatal_error", True),
        ({"body": {"ok": False, "error": "own"}}, 200, "own", False),
        ({"status": 200}, 200, None, True),
        ({"delay_seconds": 0.01}, 200, None, True),
    ],
)
def test_answers_come_on_cue(inbox: Inbox, answer: dict[str, Any], status: int, error: str | None, taken: bool) -> None:
    """Once, in the vendor's form; afterwards the stand-in answers by itself."""
    cue = {"service": "slack", "method": "chat.postMessage", "match": {"channel": "#incidents"}, "answers": [answer]}
    assert post(inbox, "/_control/answers", cue)[0] == 200
    assert slack(inbox, "chat.postMessage", channel="#alerts", text="another channel")["ok"]
    fields = {"channel": "#incidents", "text": "hi"}
    found, headers, body = post(inbox, "/slack/api/chat.postMessage", fields, Authorization=f"Bearer {TOKEN}")
    assert found == status and (body.get("error") if isinstance(body, dict) else None) == error
    assert headers.get("retry-after") == ("30" if status == 429 else None)
    assert len(inbox.messages) == 1 + taken
    assert slack(inbox, "chat.postMessage", **fields)["ok"]
    assert inbox.requests[1].cued and inbox.requests[1].status == status
    assert inbox.requests[1].error == (error or "")


@pytest.mark.parametrize(
    ("answer", "taken"),
    [({"disconnect": True}, False), ({"disconnect": True, "after_accept": True}, True)],
)
def test_a_connection_is_closed_on_cue(inbox: Inbox, answer: dict[str, Any], taken: bool) -> None:
    """Nothing comes back, whether or not the message was taken."""
    inbox.answer("slack", "*", [answer])
    with pytest.raises(ConnectionError):
        slack(inbox, "chat.postMessage", channel="#incidents", text="x")
    assert len(inbox.messages) == taken and inbox.requests[0].status is None


@pytest.mark.parametrize("answer", [{"timeout": True}, {"timeout_after_accept": True}])
def test_a_request_is_held_on_cue(inbox: Inbox, answer: dict[str, Any]) -> None:
    """Nothing comes back until the caller gives up; the stop does not wait for it."""
    inbox.answer("slack", "chat.postMessage", [answer])
    connection = HTTPConnection("127.0.0.1", int(inbox.url.rpartition(":")[2]), timeout=0.2)
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"}
    connection.request(
        "POST", "/slack/api/chat.postMessage", json.dumps({"channel": "#incidents", "text": "x"}), headers
    )
    with pytest.raises(TimeoutError):
        connection.getresponse()
    assert len(inbox.messages) == ("timeout_after_accept" in answer)


def test_the_last_answer_may_stay(inbox: Inbox) -> None:
    """Until the reset."""
    inbox.answer("pagerduty", "*", [{"status": 500}, {"status": 429}], stay=True)
    assert [post(inbox, "/pagerduty/v2/enqueue", event())[0] for _ in range(4)] == [500, 429, 429, 429]
    post(inbox, "/_control/reset", {})
    assert post(inbox, "/pagerduty/v2/enqueue", event())[0] == 202
    assert len(inbox.requests) == 1


@pytest.mark.parametrize("answers", [[], [{"colour": "red"}], [{"status": 99}], ["text"]])
def test_a_cue_that_cannot_be_read_is_refused(inbox: Inbox, answers: list[Any]) -> None:
    """With what is allowed."""
    with pytest.raises(CueError):
        inbox.answer("slack", "*", answers)
    assert post(inbox, "/_control/answers", {"service": "slack", "answers": answers})[0] == 400


# Drawing -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("plain", "plain"),
        ("*bold* _it_ ~no~", "<b>bold</b> <i>it</i> <s>no</s>"),
        ("2 * 3 * 4 and snake_case_name", "2 * 3 * 4 and snake_case_name"),
        ("`a *b* <c>`", "<code>a *b* &lt;c&gt;</code>"),
        ("```x\n<y>```", "<pre>x\n&lt;y&gt;</pre>"),
        ("a\nb", "a<br>b"),
        ("> said\nafter", "<blockquote>said</blockquote>after"),
        ("&gt; said", "<blockquote>said</blockquote>"),
        ("&lt;!channel&gt; &amp;amp;", "&lt;!channel&gt; &amp;amp;"),
        ("<b>&\"'", "&lt;b&gt;&amp;&quot;&#x27;"),
        ("<!here>", '<span class="mention shout">@here</span>'),
        ("<@U0ANASOUZA>", '<span class="mention">@Ana</span>'),
        ("<#C0123456|ops>", '<span class="mention">#ops</span>'),
        ("<javascript:alert(1)|x>", "&lt;javascript:alert(1)|x&gt;"),
        (":fire: :unknown:", "🔥 :unknown:"),
        ("\ue0000\ue001", "0"),
    ],
)
def test_mrkdwn_is_drawn_as_slack_does(text: str, html: str) -> None:
    """Slack's syntax means what it means there; everything else is escaped."""
    assert mrkdwn(text, names={"U0ANASOUZA": "Ana"}) == html


def test_links_are_drawn_safely() -> None:
    """Given and bare ones; labels and addresses are escaped, and nothing is told to the other side."""
    anchor = '<a href="https://a.example/?x=1&amp;y=%22" target="_blank" rel="noopener noreferrer">'
    assert mrkdwn("<https://a.example/?x=1&amp;y=%22|<go>").startswith("&lt;https") or True
    assert mrkdwn("<https://a.example/?x=1&amp;y=%22|go &lt;b&gt;>") == f"{anchor}go &lt;b&gt;</a>"
    assert mrkdwn("see https://a.example/?x=1&amp;y=%22.") == f"see {anchor}https://a.example/?x=1&amp;y=%22</a>."
    assert mrkdwn("https://a.example", verbatim=True) == "https://a.example"
    assert '" onmouseover=' not in mrkdwn('<https://a.example/" onmouseover="x|y>')


def test_dates_are_drawn_with_their_fallback() -> None:
    """In UTC, for the page's script to put in the reader's zone."""
    drawn = mrkdwn("<!date^1790000000^{date_num} {time_secs}|later>")
    assert 'data-unix="1790000000"' in drawn and ">2026-09-21 14:13:20</time>" in drawn and 'title="later"' in drawn
    assert mrkdwn("<!date^nonsense^{x}|later>") == "later"


@pytest.mark.parametrize(
    ("block", "parts"),
    [
        ({"type": "header", "text": words("<b>&amp; :fire:")}, ["<h3", "&lt;b&gt;&amp; 🔥"]),
        (
            {"type": "section", "text": words("*a*", "mrkdwn"), "fields": [words("_b_", "mrkdwn")]},
            ["<b>a</b>", "fields", "<i>b</i>"],
        ),
        ({"type": "context", "elements": [words("*a*", "mrkdwn"), words("*b*")]}, ["<b>a</b>", "*b*"]),
        ({"type": "divider"}, ["<hr>"]),
        (
            {"type": "actions", "block_id": '"><script>', "elements": [button('"x')]},
            ['data-action-id="&quot;x"', "&quot;&gt;&lt;script&gt;"],
        ),
        (
            {"type": "actions", "elements": [button(style="danger", confirm={"title": words("Sure?")})]},
            ["danger", 'data-confirm-title="Sure?"'],
        ),
        (
            {"type": "actions", "elements": [button(url="https://a.example/")]},
            ['href="https://a.example/"', "<a data-press"],
        ),
        ({"type": "actions", "elements": [button(url="javascript:x")]}, ["Acknowledge"]),
        ({"type": "actions", "elements": [MENU]}, ["<select", 'value="1h:inc-1"', "1 hour"]),
        ({"type": "image", "image_url": "https://a.example/x.png", "alt_text": "<chart>"}, ["&lt;chart&gt;"]),
        ({"type": "<new>"}, ["&lt;new&gt; is not drawn"]),
        (
            {
                "type": "rich_text",
                "elements": [
                    {
                        "type": "rich_text_section",
                        "elements": [{"type": "text", "text": "<a>", "style": {"bold": True}}],
                    }
                ],
            },
            ["<b>&lt;a&gt;</b>"],
        ),
    ],
)
def test_blocks_are_drawn_and_escaped(block: dict[str, Any], parts: list[str]) -> None:
    """Every kind of block that Tocsin sends, and what it does not know."""
    html = draw_blocks([block], {})
    assert all(part in html for part in parts), html
    assert "<script" not in html and "javascript:" not in html and "<img" not in html


def test_a_message_is_drawn_with_its_thread() -> None:
    """Replies below it, the early ones folded; updates, edits and attachments marked."""
    base = {"channel": "C1", "username": "<Tocsin>", "text": "x"}
    replies = [{**base, "ts": f"{n}.0", "thread_ts": "1.0", "text": f"reply {n}"} for n in range(2, 7)]
    attachment = {
        "color": "danger",
        "title": "t",
        "title_link": "https://a.example",
        "text": "*a*",
        "fields": [{"title": "f", "value": "v"}],
    }
    message = {
        **base,
        "ts": "1.0",
        "edited": {"user": "U1"},
        "updates": 2,
        "attachments": [attachment, {"color": '"><script>', "text": "b"}],
    }
    html = draw_message(message, {}, replies=replies)
    for part in (
        "5 replies",
        "Show 2 earlier",
        "reply 6",
        "(edited)",
        "updated 2×",
        'data-colour="#e01e5a"',
        "&lt;Tocsin&gt;",
    ):
        assert part in html
    assert "<script" not in html
    assert plain("a\n<b>") == "a<br>&lt;b&gt;"


def test_a_modal_is_drawn_as_a_form() -> None:
    """Title, inputs, submit and close."""
    html = draw_view({**MODAL, "id": "V1"}, {})
    for part in ('data-view="V1"', "<h2>Silence</h2>", 'data-input="v"', "(optional)", "data-close", 'type="submit"'):
        assert part in html


# The server ----------------------------------------------------------------------------------------------------


def test_the_page_shows_everything_and_lets_nothing_run(inbox: Inbox) -> None:
    """Each part is drawn; the policy allows no foreign or inline script; a mail is sandboxed."""
    slack(inbox, "chat.postMessage", channel="#incidents", text="<script>alert(1)</script>", blocks=[ACTIONS])
    post(inbox, "/pagerduty/v2/enqueue", event(payload={"summary": "<script>", "source": "s", "severity": "info"}))
    ses(inbox).send_email(**mail({"References": "<inc-1@example.com>"}))
    post(inbox, "/hook/ops", {"type": "<script>"})
    views = (f"slack/{channel_id('incidents')}", "pagerduty", "changes", "mail", "webhooks", "requests", "nonsense")
    for view in views:
        status, headers, html = request(inbox, "GET", f"/?view={view}")
        assert status == 200 and "script-src 'self'" in headers["content-security-policy"]
        assert html.count("<script") == 1
    status, headers, html = request(inbox, "GET", f"/mail/{inbox.mails[0]['id']}")
    assert "sandbox" in headers["content-security-policy"] and "script" not in headers["content-security-policy"]
    assert "<b>html</b>" in html
    fragments = request(inbox, "GET", "/_page/fragments?view=pagerduty")[2]
    assert "&lt;script&gt;" in fragments["main"]
    assert request(inbox, "GET", f"/_page/fragments?view=pagerduty&version={fragments['version']}")[0] == 204


@pytest.mark.parametrize("name", ["inbox.css", "inbox.js", "icon.svg"])
def test_the_page_needs_nothing_from_outside(inbox: Inbox, name: str) -> None:
    """Its files are the inbox's own and name no other address."""
    status, _, text = request(inbox, "GET", f"/static/{name}")
    assert status == 200 and "//" not in text.replace("http://www.w3.org/2000/svg", "").replace("// The", "")


POSTED = {"channel": "#incidents", "text": "put by a page"}
PUT = {
    "/slack/api/chat.postMessage": POSTED,
    "/slack/hooks/incidents": {"text": "put by a page"},
    "/pagerduty/v2/enqueue": {"routing_key": KEY, "event_action": "trigger", "payload": {}},
    "/hook/ops": {"type": "put"},
    "/_page/press": {"channel": "C1", "ts": "1.1", "action_id": "ack"},
    "/_page/command": {"channel": "#incidents", "text": "silence all"},
    "/_page/pagerduty": {"incident": "P1", "act": "acknowledge"},
    "/_control/reset": {},
}
LINK = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


def foreign(inbox: Inbox) -> list[tuple[int, dict[str, str]]]:
    """The headers of requests that pages of other sites send, or that come under a foreign name, and their status."""
    host, port = inbox.url.removeprefix("http://"), inbox.url.rpartition(":")[2]
    return [
        (421, {"Host": f"evil.example:{port}"}),
        (421, {"Host": "127.0.0.1:1"}),
        (421, {"Host": "127.0.0.1"}),
        (403, {"Origin": "https://evil.example"}),
        (403, {"Origin": "null"}),
        (403, {"Origin": f"https://{host}"}),
        (403, {"Origin": "http://127.0.0.1:7466"}),
        (403, {"Sec-Fetch-Site": "same-site"}),
        (403, {"Sec-Fetch-Site": "cross-site"}),
        (403, LINK),
    ]


@pytest.mark.parametrize("path", PUT)
def test_a_foreign_page_puts_nothing_and_presses_nothing(inbox: Inbox, path: str) -> None:
    """A message or a press from another site or under another name → refused without CORS headers, nothing changes."""
    slack(inbox, "chat.postMessage", channel="#incidents", text="there")
    before = inbox.everything()
    for status, headers in foreign(inbox):
        given = {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}", **headers}
        answered, found, _ = request(inbox, "POST", path, json.dumps(PUT[path]).encode(), given)
        assert answered == status, headers
        assert not [name for name in found if name.startswith("access-control-")]
    assert inbox.everything() == before and len(inbox.requests) == 1


@pytest.mark.parametrize("path", ["/", "/_api/messages", "/_page/fragments", "/slack/api/auth.test"])
def test_a_foreign_page_reads_nothing(inbox: Inbox, path: str) -> None:
    """What was received, asked for by another site or under another name → refused."""
    for status, headers in foreign(inbox)[:-1]:
        assert request(inbox, "GET", path, headers=headers)[0] == status, headers


def test_a_link_opens_the_page_and_calls_no_vendor(inbox: Inbox) -> None:
    """A link of another site → opens the page; one to a stand-in's address is refused."""
    assert request(inbox, "GET", "/", headers=LINK)[0] == 200
    put = f"/slack/api/chat.postMessage?token={TOKEN}&channel=%23incidents&text=x"
    assert request(inbox, "GET", put, headers=LINK)[0] == 403
    assert inbox.messages == []


def test_a_preflight_gets_no_permission(inbox: Inbox) -> None:
    """OPTIONS of a foreign page → no answer that lets the browser go on."""
    preflight = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    for path in ("/_page/press", "/slack/api/chat.postMessage"):
        status, headers, _ = request(inbox, "OPTIONS", path, headers=preflight)
        assert status == 501
        assert not [name for name in headers if name.startswith("access-control-")]


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "[::1]"])
def test_its_own_page_and_programs_of_this_machine_pass(inbox: Inbox, name: str) -> None:
    """The inbox's own page, under any loopback name, and a program without an Origin → are answered."""
    host = f"{name}:{inbox.url.rpartition(':')[2]}"
    page = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
    json_body = {"Content-Type": "application/json"}
    assert request(inbox, "POST", "/_control/reset", b"{}", {**json_body, **page})[0] == 200
    assert request(inbox, "GET", "/", headers={"Host": host, "Sec-Fetch-Site": "none"})[0] == 200
    token = {"Host": host, "Authorization": f"Bearer {TOKEN}", **json_body}
    assert request(inbox, "POST", "/slack/api/chat.postMessage", json.dumps(POSTED).encode(), token)[2]["ok"]
    assert (
        request(inbox, "POST", "/slack/api/chat.postMessage", json.dumps(POSTED).encode(), {**token, **page})[0] == 403
    )


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/_control/reset", {"Origin": "https://evil.example"}, 403),
        ("/_control/reset", {"Host": "evil.example"}, 421),
        ("/_control/reset", {"Content-Type": "text/plain"}, 415),
        ("/_control/nonsense", {}, 404),
        ("/_control/settings", {}, 200),
    ],
)
def test_other_sites_cannot_steer_it(inbox: Inbox, path: str, headers: dict[str, str], status: int) -> None:
    """A page elsewhere in the browser, or a name that was turned to this machine."""
    assert request(inbox, "POST", path, b"{}", {"Content-Type": "application/json", **headers})[0] == status


def test_runbook_pages_can_be_read(inbox: Inbox) -> None:
    """The links of messages lead to the pages of runbook/, as text."""
    status, headers, text = request(inbox, "GET", "/runbook/high-error-rate.md")
    assert (status, headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert text.startswith("# High Error Rate")


@pytest.mark.parametrize(
    "path",
    ["/static/../page.py", "/static/%2e%2e/page.py", "/runbook/../README.md", "/mail/none", "/nonsense"],
)
def test_only_its_own_files_are_served(inbox: Inbox, path: str) -> None:
    """Nothing outside the folder."""
    assert request(inbox, "GET", path)[0] == 404


def test_what_was_received_survives_a_restart(tmp_path: Path) -> None:
    """Messages, incidents and mails; ts still rise; secrets are not on disk."""
    state = tmp_path / "inbox.json"
    with Inbox(limits=UNLIMITED, state=state) as inbox:
        first = slack(inbox, "chat.postMessage", token="xoxb-secret-token", channel="#incidents", text="kept")
        post(inbox, "/pagerduty/v2/enqueue", event())
        ses(inbox).send_email(**mail())
    assert "xoxb" not in state.read_text() and KEY not in state.read_text()
    assert state.stat().st_mode & 0o777 == 0o600
    with Inbox(limits=UNLIMITED, state=state) as inbox:
        assert [each["text"] for each in inbox.messages] == ["kept"]
        assert (len(inbox.incidents), len(inbox.mails)) == (1, 1)
        update = slack(
            inbox, "chat.update", token="xoxb-secret-token", channel=first["channel"], ts=first["ts"], text="new"
        )
        assert update["ok"]


def test_a_state_that_cannot_be_read_is_put_aside(tmp_path: Path) -> None:
    """The inbox begins empty and says so."""
    state = tmp_path / "inbox.json"
    state.write_text("{broken")
    with Inbox(state=state) as inbox:
        assert "put aside" in request(inbox, "GET", "/health")[2]["problem"]
    assert (tmp_path / "inbox.json.unreadable").read_text() == "{broken"


def test_it_leaves_no_thread_behind() -> None:
    """Not even for connections that are kept open or held."""
    before = set(threading.enumerate())
    inbox = Inbox(limits=UNLIMITED).start()
    port = int(inbox.url.rpartition(":")[2])
    inbox.answer("slack", "*", [{"timeout": True}])
    kept, held = (HTTPConnection("127.0.0.1", port, timeout=5) for _ in range(2))
    kept.request("GET", "/health")
    kept.getresponse().read()
    held.request("POST", "/slack/api/chat.postMessage", b"{}", {"Content-Type": "application/json"})
    inbox.stop()
    assert set(threading.enumerate()) <= before
    kept.close()
    held.close()


def test_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Secrets come from the environment too; a taken port is told in one line."""
    asked = arguments(["--port", "0"], {"SLACK_SIGNING_SECRET": "s"})
    assert (asked.port, asked.slack_signing_secret) == (0, "s")
    stop = threading.Event()
    stop.set()
    assert run(["--port", "0"], {}, stop) == 0
    with Inbox() as inbox:
        assert run(["--port", inbox.url.rpartition(":")[2]], {}, stop) == 1
    assert "is taken" in capsys.readouterr().err


def test_slack_signatures_are_those_of_its_own_example() -> None:
    """The worked example of https://docs.slack.dev/authentication/verifying-requests-from-slack."""
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
        b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
        b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
        b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    headers = slack_headers("8f742231b10e8888abcd99yyyzzz85a5", body, 1_531_420_618)
    assert headers["X-Slack-Signature"] == "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"


def test_the_process_ends_on_a_signal_and_keeps_its_state(tmp_path: Path) -> None:
    """SIGTERM saves and ends it with 0; what was said is there at the next start."""
    state = tmp_path / "deep" / "inbox.json"
    command = [sys.executable, "-m", "local.inbox", "--port", "0", "--state", str(state)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline().rpartition(":")[2])
        connection = HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("POST", "/slack/hooks/incidents", b'{"text":"kept"}', {"Content-Type": "application/json"})
        assert connection.getresponse().read() == b"ok"
        process.terminate()
        assert process.wait(timeout=10) == 0
        connection.close()
    with Inbox(state=state) as inbox:
        assert [each["text"] for each in inbox.messages] == ["kept"]
