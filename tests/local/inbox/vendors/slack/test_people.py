"""What people do in Slack: the request each act sends, and what its answer changes."""

import hashlib
import hmac
import json
from urllib.parse import parse_qs

import pytest

from local.inbox import Inbox
from local.inbox.vendors.slack.workspace import channel_id
from tests.local.inbox.support import ACTIONS, MODAL, SIGNING, Clock, post, request, slack, tocsin, words


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
    path = inbox.slack.responses.new_url("", *place)
    assert post(inbox, path, {"replace_original": "true", "text": "changed"})[0] == 200
    assert inbox.messages[0]["text"] == "changed"
    assert post(inbox, path, {"text": "only you"})[0] == 200
    assert inbox.messages[1]["only_for"] == "U0ANASOUZA"
    assert [post(inbox, path, {"text": "x"})[0] for _ in range(4)] == [200, 200, 200, 404]
    late = inbox.slack.responses.new_url("", *place)
    clock.now += 30 * 60 + 1
    assert post(inbox, late, {"text": "x"})[2]["error"] == "expired_url"


def test_a_modal_is_opened_filled_and_submitted(inbox: Inbox) -> None:
    """One trigger opens one modal within three seconds; required fields are required; errors of the app come back."""
    trigger = inbox.slack.modals.new_trigger()
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
    trigger = inbox.slack.modals.new_trigger()
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
