"""Slack: what a message shows, and how one incident lives in one message and its thread."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from chalicelib.core.delivery.notification import AckSnapshot, Activity, Notification, Reason, Receipt, Why
from chalicelib.core.delivery.writing import local_time
from chalicelib.core.errors import TargetRejectedError, TargetUnavailableError
from chalicelib.core.event import Severity
from chalicelib.messages import interaction
from chalicelib.targets import email, pagerduty
from chalicelib.targets import slack_channel as slack
from chalicelib.targets._slack_blocks import dated, render_reply
from tests.targets.samples import (
    ACKED,
    DEPLOY,
    NOTIFICATION,
    NOW,
    OWNED,
    RESOLVED,
    SLACK_WEBHOOK,
    SPIKE,
    START,
    STORM,
    TOKEN,
    TOLD,
    FakeClients,
    answering,
    of_incident,
    with_background,
)

POSTED = {"ok": True, "channel": "C0ALERTS1", "ts": "1790000000.000100"}
RECEIPT = {"channel": "C0ALERTS1", "ts": "1790000000.000100"}
SILENCED = replace(
    with_background(NOTIFICATION, notes=()),
    reason=Reason.SYNC,
    alerts=(replace(TOLD, muted_by=("silence 9c1d of ana",)),),
)
BOTH = replace(SILENCED, ack=AckSnapshot("ana", NOW))
REMINDER = replace(NOTIFICATION, id="n2", seq=2, reason=Reason.REMINDER)


class FakeSlack:
    """Slack's Web API as far as it matters: answers by method, in order, the last one staying; keeps the bodies."""

    def __init__(self, **answers: Any) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._answers = {name: list(found) if isinstance(found, list) else [found] for name, found in answers.items()}
        self.clients = FakeClients(self._handle)

    def _handle(self, request: httpx.Request) -> httpx.Response:
        method = request.url.path.rpartition("/")[2]
        assert request.headers["Authorization"] == f"Bearer {TOKEN}"
        body = json.loads(request.content) if request.content else dict(request.url.params)
        self.calls.append((method, body))
        left = self._answers.get(method.replace(".", "_"), [POSTED])
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, httpx.Response) else httpx.Response(200, json=answer)

    def tell(self, notification: Notification, address: str = "#incidents", **options: Any) -> Receipt:
        """Send by the real module."""
        given: dict[str, Any] = {"receipt": {}, "in_doubt": False, "now": NOW, **options}
        return slack.send(notification, address, self.clients, **given)

    @property
    def methods(self) -> list[str]:
        """What was called, in order."""
        return [method for method, _ in self.calls]


def refused(code: str) -> dict[str, Any]:
    """An error answer, which Slack gives with HTTP 200."""
    return {"ok": False, "error": code}


def shown(notification: Notification) -> str:
    """The message as text."""
    return json.dumps(slack.render(notification, {}), ensure_ascii=False)


def date(at: datetime) -> str:
    """A time of our own in each reader's zone, in the team's zone where a program shows none."""
    return (
        f"<!date^{int(at.timestamp()) // 60 * 60}^{{date_short_pretty}} {{time}}|{local_time(at, 'America/Sao_Paulo')}>"
    )


def action_ids(notification: Notification) -> list[str]:
    """The buttons and menus of the message."""
    blocks = slack.render(notification, {})["blocks"]
    return [element["action_id"] for block in blocks if block["type"] == "actions" for element in block["elements"]]


@pytest.mark.parametrize(
    "fact",
    [
        "🔴 High Error Rate (prod checkout)",
        "3.2 % of requests to checkout fail",
        "06:02 America/Sao_Paulo> · *nobody has it yet*",
        "*Service*\\ncheckout",
        "*Value*\\n3.2 % (threshold 1 %)",
        "*Events*\\n412",
        "1. Look at the newest deploy.",
        "deploy: Cart: new totals · a1b2c3 · checkout · by ana · 4 min before",
        "Why you: rule High Error Rate · incident inc-7f3c9a52",
        "Back after the silence of ana.",
        "Open in Sentry",
        "https://runbooks.example.com/high-error-rate.md",
    ],
)
def test_one_look_says_what_broke(fact: str) -> None:
    """What, how bad, where, since when, how many, what changed, what to do first, why you."""
    assert fact in shown(NOTIFICATION)


@pytest.mark.parametrize("fact", ["*Owner*\\nteam-core", "checkout dashboard", "https://w.example.com/api"])
def test_the_service_is_shown(fact: str) -> None:
    """Given an alert of a service that the rules file has, when it is shown → its owner is a field, its pages are buttons."""
    assert fact in json.dumps(slack.render(OWNED, {})["blocks"])


NAMED = replace(NOTIFICATION, target=replace(NOTIFICATION.target, mention=("here", "U024BE7LH", "S0614TZR7")))
MENTIONS = "<!here> <@U024BE7LH> <!subteam^S0614TZR7>"


def test_the_first_message_names_people_once() -> None:
    """Given a target with people and groups, when it is opened → the message names them; an update and the end do not."""
    assert MENTIONS in slack.render(NAMED, {})["blocks"][1]["text"]["text"]
    for reason in (Reason.SYNC, Reason.UPDATED, Reason.RESOLVED):
        assert "<!here>" not in json.dumps(slack.render(replace(NAMED, reason=reason), {}))
    assert "<!here>" not in json.dumps(slack.render(replace(NAMED, severity=Severity.INFO), {}))


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"reason": Reason.REMINDER}, True),
        ({"reason": Reason.ESCALATED}, True),
        ({"reason": Reason.SYNC, "why": Why.WORSE}, True),
        ({"reason": Reason.SYNC}, False),
        ({"reason": Reason.RESOLVED}, False),
        ({"reason": Reason.OPENED}, False),
    ],
)
def test_a_reply_that_makes_a_sound_names_people(changes: dict[str, Any], names: bool) -> None:
    """Given a later notification → its reply names people where it must be noticed, and not where it is silent or an end."""
    text = render_reply(replace(NAMED, **changes))["text"]
    assert text.endswith(MENTIONS) is names


def test_a_mention_in_a_title_stays_text() -> None:
    """Given a title of a sender with a mention in it → nobody is named."""
    assert "<!channel>" not in json.dumps(slack.render(replace(NAMED, title="down <!channel>"), {}))


@pytest.mark.parametrize("fact", ["*Customer id*\\ninitech", "Board", "https://grafana.example.com/d/api"])
def test_fields_and_links_of_the_rule_are_shown(fact: str) -> None:
    """Given a rule with annotations and links → its message shows them as fields and buttons."""
    own = with_background(
        NOTIFICATION,
        fields={"customer_id": "initech", "summary": "not a field"},
        links={"Board": "https://grafana.example.com/d/api", "Bad": "javascript:alert(1)"},
    )
    text = json.dumps(slack.render(own, {})["blocks"])
    assert fact in text
    assert "not a field" not in text and "javascript" not in text


def test_the_buttons_name_the_incident() -> None:
    """Acknowledge and Resolve carry the incident's id; each choice of Silence carries it after the choice."""
    blocks = slack.render(NOTIFICATION, {})["blocks"]
    elements = {each["action_id"]: each for block in blocks if block["type"] == "actions" for each in block["elements"]}
    assert (
        elements[interaction.ACTION_ACK]["value"]
        == elements[interaction.ACTION_RESOLVE]["value"]
        == NOTIFICATION.incident.id
    )
    choices = [option["value"] for option in elements[interaction.ACTION_SILENCE]["options"]]
    assert choices == [f"{choice}:{NOTIFICATION.incident.id}" for choice in ("1h", "4h", "tomorrow", "custom")]


def test_the_buttons_follow_the_state() -> None:
    """Acknowledged: it can be given back. Silenced: that can be ended. Resolved: only links are left."""
    controls = [interaction.ACTION_ACK, interaction.ACTION_SILENCE, interaction.ACTION_RESOLVE]
    links = ["tocsin_link_0", "tocsin_link_1", "tocsin_link_2"]
    assert action_ids(NOTIFICATION) == [*controls, *links]
    assert action_ids(ACKED) == [*controls[1:], interaction.ACTION_UNACK, *links]
    assert action_ids(SILENCED) == [interaction.ACTION_UNSILENCE, interaction.ACTION_RESOLVE, *links]
    assert action_ids(BOTH) == [
        interaction.ACTION_UNSILENCE,
        interaction.ACTION_RESOLVE,
        interaction.ACTION_UNACK,
        *links,
    ]
    assert action_ids(RESOLVED) == links


def test_an_acknowledged_and_silenced_message_says_both() -> None:
    """Given an acknowledged incident that is silenced → its first lines name who has it and by what it is silenced."""
    body = slack.render(BOTH, {})
    summary = body["blocks"][1]["text"]["text"].splitlines()
    assert summary[:2] == [
        f"*Acknowledged* by ana, {date(NOW)} · critical since {date(START)}",
        "*Silenced* by silence 9c1d of ana",
    ]
    assert body["text"] == "👀 [acknowledged, silenced] High Error Rate (prod checkout)"
    assert "*Silenced*" not in json.dumps([block for block in body["blocks"] if "fields" in block])


def test_an_inhibited_message_offers_no_end_of_a_silence() -> None:
    """Given an incident that only another alert mutes → the message says by which, and there is no silence to end."""
    inhibited = replace(SILENCED, alerts=(replace(TOLD, muted_by=("inhibited by Power",)),))
    assert "*Muted*: inhibited by Power · critical since " in shown(inhibited)
    assert interaction.ACTION_UNSILENCE not in action_ids(inhibited)
    assert interaction.ACTION_ACK in action_ids(inhibited)


@pytest.mark.parametrize(
    ("notification", "sign"),
    [
        (NOTIFICATION, "🔴"),
        (replace(NOTIFICATION, severity=type(NOTIFICATION.severity).WARNING), "🟠"),
        (ACKED, "👀"),
        (RESOLVED, "✅"),
        (replace(NOTIFICATION, reason=Reason.TEST), "🧪"),
        (replace(NOTIFICATION, reason=Reason.SYNC, alerts=(), evidence=(replace(TOLD, muted_by=("s1",)),)), "🔇"),
    ],
)
def test_the_state_is_seen_at_once(notification: Notification, sign: str) -> None:
    """The header and the phone's notification begin with the state."""
    body = slack.render(notification, {})
    assert body["text"].startswith(sign)
    assert body["blocks"][0]["text"]["text"].startswith(sign)


def test_a_silenced_message_says_by_what_and_offers_its_end() -> None:
    """What burns stays readable; who silenced it is in the first line."""
    text = shown(SILENCED)
    assert "*Silenced* by silence 9c1d of ana · critical since " in text
    assert "3.2 % (threshold 1 %)" in text


def test_what_people_did_is_said_in_the_thread_and_shown_in_the_message() -> None:
    """An act makes a quiet reply with its sign; remarks stay in the message and are not said again by later replies."""
    server = FakeSlack()
    acts = (("ack", "Acknowledged by ana"), ("note", "ana: <!here> looking"))
    told = replace(with_background(ACKED, notes=()), activity=Activity(("ana: <!here> looking",), acts))
    server.tell(told, receipt=RECEIPT)
    (_, update), (_, reply) = server.calls
    assert reply["text"] == "👀 Acknowledged by ana\n💬 ana: &lt;!here&gt; looking"
    assert (reply["thread_ts"], reply["reply_broadcast"]) == (RECEIPT["ts"], False)
    assert "📝 ana: &lt;!here&gt; looking" in json.dumps(update, ensure_ascii=False)
    assert "looking" not in slack.render_reply(replace(RESOLVED, activity=Activity(told.activity.remarks)))["text"]


VERCEL_DEPLOY = replace(DEPLOY, project_id="prj_1", project="checkout")


@pytest.mark.parametrize(
    ("notification", "can", "offered"),
    [
        (with_background(NOTIFICATION, deploys=(VERCEL_DEPLOY,)), True, True),
        (with_background(NOTIFICATION, deploys=(VERCEL_DEPLOY,)), False, False),
        (NOTIFICATION, True, False),
        (with_background(NOTIFICATION, deploys=()), True, False),
        (with_background(RESOLVED, deploys=(VERCEL_DEPLOY,)), True, False),
    ],
)
def test_a_rollback_is_offered_only_where_it_can_be_done(notification: Notification, can: bool, offered: bool) -> None:
    """A Vercel deploy is attached, a token is set, and it still burns; the button asks first and names the deploy."""
    blocks = slack.render(notification, {}, can_roll_back=can)["blocks"]
    found = [element for block in blocks if block["type"] == "actions" for element in block["elements"]]
    buttons = [element for element in found if element["action_id"] == interaction.ACTION_ROLL_BACK]
    assert bool(buttons) == offered
    for button in buttons:
        assert button["value"] == f"{notification.incident.id}:{VERCEL_DEPLOY.id}"
        assert "checkout" in button["confirm"]["text"]["text"]


def test_a_storm_lists_ten_and_counts_the_rest() -> None:
    """Two hundred alerts and three hundred over the limit: ten by name, the rest as a number."""
    text = shown(STORM)
    assert "*Of which* Fault 0 1, Fault 1 1, Fault 2 1, Fault 3 1, Fault 4 1, others 495" in text
    assert "*Alerts*\\n500 firing (300 of them not listed)" in text
    assert "Fault 9 " in text
    assert "Fault 10 " not in text
    assert "… and 490 more" in text


def test_a_long_title_is_whole_in_the_section() -> None:
    """What the header cuts on a word is readable below it."""
    notification = replace(NOTIFICATION, title="connection pool exhausted " * 10)
    header, section = slack.render(notification, {})["blocks"][:2]
    assert header["text"]["text"].endswith("exhausted…") or header["text"]["text"].endswith("pool…")
    assert section["text"]["text"].count("exhausted") == 10


def test_a_new_block_id_with_every_update() -> None:
    """Slack asks for new block ids when a message is updated."""
    first = {block["block_id"] for block in slack.render(NOTIFICATION, {})["blocks"]}
    assert not first & {block["block_id"] for block in slack.render(ACKED, {})["blocks"]}


def test_the_first_posts_and_keeps_where() -> None:
    """One request; `#` is not part of a name; the answer's channel and ts are the receipt."""
    server = FakeSlack()
    assert server.tell(NOTIFICATION).values == RECEIPT
    ((method, body),) = server.calls
    assert (method, body["channel"]) == ("chat.postMessage", "incidents")
    assert body["metadata"] == {
        "event_type": "tocsin_notification",
        "event_payload": {"id": "n1", "incident": "inc-7f3c9a52"},
    }
    assert "thread_ts" not in body


@pytest.mark.parametrize(
    ("reason", "why", "broadcast"),
    [
        (Reason.UPDATED, None, False),
        (Reason.UPDATED, Why.WORSE, True),
        (Reason.UPDATED, Why.AFTER_ACK, True),
        (Reason.REMINDER, None, True),
        (Reason.ESCALATED, None, True),
    ],
)
def test_later_ones_update_and_reply(reason: Reason, why: Why | None, broadcast: bool) -> None:
    """The same message changes, and its thread says what is new; what nobody may miss is shown in the channel too."""
    server = FakeSlack()
    told = server.tell(replace(REMINDER, reason=reason, why=why), receipt=RECEIPT)
    assert server.methods == ["chat.update", "chat.postMessage"]
    update, reply = (body for _, body in server.calls)
    assert (update["channel"], update["ts"]) == (RECEIPT["channel"], RECEIPT["ts"])
    assert (reply["thread_ts"], reply["reply_broadcast"]) == (RECEIPT["ts"], broadcast)
    assert told.values == RECEIPT


def test_a_resolve_is_told_in_the_thread() -> None:
    """The final state stays readable: the message turns to resolved, the thread says after how long."""
    server = FakeSlack()
    server.tell(RESOLVED, receipt=RECEIPT)
    assert "*Resolved*" in json.dumps(server.calls[0][1])
    assert server.calls[1][1]["text"].startswith("✅ Resolved after 12 min.")


def test_a_sync_only_updates() -> None:
    """Bringing a message up to date makes no sound, and without a message there is nothing to do."""
    server = FakeSlack()
    server.tell(ACKED, receipt=RECEIPT)
    assert server.methods == ["chat.update"]
    assert "by ana" in json.dumps(server.calls[0][1])
    server.tell(ACKED)
    assert server.methods == ["chat.update"]


@pytest.mark.parametrize(
    ("code", "fate", "wait", "ambiguous"),
    [
        ("rate_limited", TargetUnavailableError, 30, False),
        ("message_limit_exceeded", TargetUnavailableError, 30, False),
        ("internal_error", TargetUnavailableError, None, True),
        ("fatal_error", TargetUnavailableError, None, True),
        ("service_unavailable", TargetUnavailableError, None, True),
        ("request_timeout", TargetUnavailableError, None, True),
        ("team_added_to_org", TargetUnavailableError, 300, False),
        ("org_login_required", TargetUnavailableError, 300, False),
        ("external_channel_migrating", TargetUnavailableError, 300, False),
        ("invalid_auth", TargetRejectedError, None, False),
        ("account_inactive", TargetRejectedError, None, False),
        ("missing_scope", TargetRejectedError, None, False),
        ("channel_not_found", TargetRejectedError, None, False),
        ("not_in_channel", TargetRejectedError, None, False),
        ("is_archived", TargetRejectedError, None, False),
        ("restricted_action", TargetRejectedError, None, False),
        ("invalid_arg_name", TargetRejectedError, None, False),
        ("a_code_of_tomorrow", TargetRejectedError, None, False),
    ],
)
def test_every_code_has_a_fate(code: str, fate: type[Exception], wait: int | None, ambiguous: bool) -> None:
    """Codes come with HTTP 200; each comes back or does not, and is named."""
    with pytest.raises(fate, match=code) as caught:
        FakeSlack(chat_postMessage=refused(code)).tell(NOTIFICATION)
    if isinstance(caught.value, TargetUnavailableError):
        assert caught.value.retry_after == (None if wait is None else timedelta(seconds=wait))
        assert caught.value.ambiguous is ambiguous


@pytest.mark.parametrize(
    ("code", "advice"),
    [("not_in_channel", "/invite"), ("channel_not_found", "id"), ("invalid_auth", "SLACK_BOT_TOKEN")],
)
def test_a_permanent_error_says_what_to_do(code: str, advice: str) -> None:
    """A person reads what to change."""
    with pytest.raises(TargetRejectedError, match=advice):
        FakeSlack(chat_postMessage=refused(code)).tell(NOTIFICATION)


@pytest.mark.parametrize("answer", [httpx.Response(200, html="<html>"), httpx.Response(200, json=[1]), {"ok": "yes"}])
def test_an_answer_that_cannot_be_read_is_in_doubt(answer: Any) -> None:
    """HTTP 200 with something else than an answer may have been taken."""
    with pytest.raises(TargetUnavailableError) as caught:
        FakeSlack(chat_postMessage=answer).tell(NOTIFICATION)
    assert caught.value.ambiguous


def test_a_code_that_is_no_code_is_not_shown() -> None:
    """An error text of another form could hold anything."""
    with pytest.raises(TargetRejectedError) as caught:
        FakeSlack(chat_postMessage=refused(f"Bad {TOKEN}")).tell(NOTIFICATION)
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("code", ["invalid_blocks", "msg_too_long", "metadata_too_large", "invalid_arguments"])
def test_refused_content_goes_out_plain(code: str) -> None:
    """The same request can never work; the plain form does, and the receipt says so."""
    server = FakeSlack(chat_postMessage=[refused(code), POSTED])
    told = server.tell(NOTIFICATION)
    assert told.values == RECEIPT
    assert code in told.note
    assert set(server.calls[1][1]) == {"channel", "text", "unfurl_links", "unfurl_media"}
    with pytest.raises(TargetRejectedError, match=code):
        FakeSlack(chat_postMessage=refused(code)).tell(NOTIFICATION)


@pytest.mark.parametrize(
    "code", ["message_not_found", "cant_update_message", "edit_window_closed", "is_inactive", "thread_not_found"]
)
def test_a_message_that_is_gone_is_posted_anew(code: str) -> None:
    """A new message takes over the thread; for a mere sync nothing is posted."""
    new = {"ok": True, "channel": "C0ALERTS1", "ts": "1790000009.000900"}
    server = FakeSlack(chat_update=refused(code), chat_postMessage=new)
    assert server.tell(REMINDER, receipt=RECEIPT).values["ts"] == "1790000009.000900"
    assert server.methods == ["chat.update", "chat.postMessage"]
    assert "thread_ts" not in server.calls[1][1]
    quiet = FakeSlack(chat_update=refused(code))
    assert quiet.tell(ACKED, receipt=RECEIPT).values == {}
    assert quiet.methods == ["chat.update"]


@pytest.mark.parametrize("code", ["cannot_reply_to_message", "restricted_action_thread_locked"])
def test_a_locked_thread_is_answered_in_the_channel(code: str) -> None:
    """What is new is said at top level, with the title."""
    server = FakeSlack(chat_postMessage=[refused(code), POSTED])
    told = server.tell(REMINDER, receipt=RECEIPT)
    assert told.values == RECEIPT
    assert "thread_ts" not in server.calls[2][1]
    assert "High Error Rate" in server.calls[2][1]["text"]


@pytest.mark.parametrize("code", ["update_failed", "streaming_state_conflict", "internal_error", "fatal_error"])
def test_a_failed_update_is_repeated_without_doubt(code: str) -> None:
    """An update may be repeated, so it never is in doubt, and the reply is not sent before it worked."""
    server = FakeSlack(chat_update=refused(code))
    with pytest.raises(TargetUnavailableError) as caught:
        server.tell(REMINDER, receipt=RECEIPT)
    assert not caught.value.ambiguous
    assert server.methods == ["chat.update"]


def messages(*ids: str) -> dict[str, Any]:
    """A page of a channel with messages that carry these ids."""
    found = [{"ts": f"179000000{n}.000100", "metadata": {"event_payload": {"id": each}}} for n, each in enumerate(ids)]
    return {"ok": True, "messages": [{"ts": "1.1", "text": "of a person"}, *found]}


LISTED = {"ok": True, "channels": [{"id": "C0OTHER00", "name": "other"}, {"id": "C0ALERTS1", "name": "incidents"}]}


def test_a_post_in_doubt_is_looked_for_first() -> None:
    """It had arrived: nothing is posted, and its place is the receipt."""
    server = FakeSlack(conversations_list=LISTED, conversations_history=messages("other", "n1"))
    assert server.tell(NOTIFICATION, in_doubt=True).values == {"channel": "C0ALERTS1", "ts": "1790000001.000100"}
    assert server.methods == ["conversations.list", "conversations.history"]
    assert server.calls[1][1]["include_all_metadata"] == "true"


def test_a_post_in_doubt_that_did_not_arrive_is_posted() -> None:
    """Every page is read before posting; an id needs no look-up of the name."""
    first = {**messages("other"), "response_metadata": {"next_cursor": "more"}}
    server = FakeSlack(conversations_history=[first, messages("another")])
    told = server.tell(NOTIFICATION, "C0ALERTS1", in_doubt=True)
    assert server.methods == ["conversations.history", "conversations.history", "chat.postMessage"]
    assert server.calls[1][1]["cursor"] == "more"
    assert told.note == ""


def test_the_end_in_doubt_finds_the_message_of_a_long_incident() -> None:
    """Given an opening in doubt two hours before the end → the channel is read since the incident began."""
    server = FakeSlack(conversations_history=messages("other"))
    late = replace(RESOLVED, at=RESOLVED.incident.started_at + timedelta(hours=2))
    server.tell(late, "C0ALERTS1", in_doubt=True)
    assert float(server.calls[0][1]["oldest"]) <= RESOLVED.incident.started_at.timestamp()


def test_a_silent_change_in_doubt_brings_up_to_date_the_message_that_did_arrive() -> None:
    """Given an opening in doubt that had arrived, when the next notification is silent → the message is updated."""
    opening = {"id": "n1", "incident": NOTIFICATION.incident.id}
    posted = [{"ts": "1790000001.000100", "metadata": {"event_payload": opening}}]
    server = FakeSlack(conversations_history={"ok": True, "messages": posted})
    silent = replace(NOTIFICATION, id="n2", reason=Reason.SYNC)
    told = server.tell(silent, "C0ALERTS1", in_doubt=True)
    assert told.sent
    assert told.values == {"channel": "C0ALERTS1", "ts": "1790000001.000100"}
    assert server.methods == ["conversations.history", "chat.update"]


@pytest.mark.parametrize("found", [messages("other"), refused("missing_scope")], ids=["none", "unreadable"])
def test_a_silent_change_in_doubt_posts_nothing(found: dict[str, Any]) -> None:
    """Given an opening in doubt that is not found, when the next notification is silent → nothing is sent."""
    server = FakeSlack(conversations_history=found)
    told = server.tell(replace(NOTIFICATION, id="n2", reason=Reason.SYNC), "C0ALERTS1", in_doubt=True)
    assert not told.sent
    assert server.methods == ["conversations.history"]


@pytest.mark.parametrize("code", ["missing_scope", "not_in_channel", "channel_not_found"])
def test_a_channel_that_cannot_be_read_is_told_rather_twice(code: str) -> None:
    """Nobody is left untold for want of a scope; the receipt names the possible double."""
    server = FakeSlack(conversations_history=refused(code))
    told = server.tell(NOTIFICATION, "C0ALERTS1", in_doubt=True)
    assert server.methods[-1] == "chat.postMessage"
    assert "twice" in told.note


def test_looking_waits_when_slack_says_so() -> None:
    """A rate limit on reading is waited for like any other: posting blindly could double."""
    limited = httpx.Response(429, headers={"Retry-After": "7"}, json=refused("ratelimited"))
    with pytest.raises(TargetUnavailableError) as caught:
        FakeSlack(conversations_history=limited).tell(NOTIFICATION, "C0ALERTS1", in_doubt=True)
    assert caught.value.retry_after == timedelta(seconds=7)


def test_a_reply_in_doubt_is_looked_for_in_its_thread() -> None:
    """The pair of update and reply was half done: the update is repeated, the reply that arrived is not."""
    server = FakeSlack(conversations_replies=messages("n0", "n2"))
    server.tell(REMINDER, receipt=RECEIPT, in_doubt=True)
    assert server.methods == ["chat.update", "conversations.replies"]
    server = FakeSlack(conversations_replies=messages("n0"))
    server.tell(REMINDER, receipt=RECEIPT, in_doubt=True)
    assert server.methods == ["chat.update", "conversations.replies", "chat.postMessage"]


def test_the_updated_message_is_not_taken_for_its_reply() -> None:
    """The update gave the parent this notification's id; it does not stand for the reply."""
    parent = {"ts": RECEIPT["ts"], "metadata": {"event_payload": {"id": "n2"}}}
    server = FakeSlack(conversations_replies={"ok": True, "messages": [parent]})
    server.tell(REMINDER, receipt=RECEIPT, in_doubt=True)
    assert server.methods[-1] == "chat.postMessage"


def test_another_base_is_used_when_set() -> None:
    """SLACK_API_URL leads to another server, as a stand-in."""
    settings = {"SLACK_API_URL": "http://127.0.0.1:9/slack/api/"}
    clients = FakeClients(answering(httpx.Response(200, json=POSTED)), settings=settings)
    slack.send(NOTIFICATION, "#x", clients, receipt={}, in_doubt=False, now=NOW)
    assert str(clients.requests[0].url) == "http://127.0.0.1:9/slack/api/chat.postMessage"


def test_an_incoming_webhook_gets_follow_ups() -> None:
    """First the whole message without buttons that need an update, then a few lines; a sync is not sent."""
    clients = FakeClients(answering(httpx.Response(200, text="ok")))
    tell: Callable[..., Receipt] = slack.send
    told = tell(NOTIFICATION, SLACK_WEBHOOK, clients, receipt={}, in_doubt=False, now=NOW)
    tell(RESOLVED, SLACK_WEBHOOK, clients, receipt=told.values, in_doubt=False, now=NOW)
    tell(ACKED, SLACK_WEBHOOK, clients, receipt=told.values, in_doubt=False, now=NOW)
    first, second = (json.loads(request.content) for request in clients.requests)
    assert interaction.ACTION_ACK not in json.dumps(first)
    assert "blocks" in first
    assert set(second) == {"text"}
    assert "Resolved after 12 min." in second["text"]


@pytest.mark.parametrize(
    ("status", "code", "fate"),
    [
        (400, "invalid_token", TargetRejectedError),
        (403, "action_prohibited", TargetRejectedError),
        (404, "no_service", TargetRejectedError),
        (404, "channel_not_found", TargetRejectedError),
        (410, "channel_is_archived", TargetRejectedError),
        (500, "rollup_error", TargetUnavailableError),
    ],
)
def test_every_text_of_an_incoming_webhook_has_a_fate(status: int, code: str, fate: type[Exception]) -> None:
    """Its errors are plain text with a status of their own."""
    clients = FakeClients(answering(httpx.Response(status, text=code)))
    with pytest.raises(fate):
        slack.send(NOTIFICATION, SLACK_WEBHOOK, clients, receipt={}, in_doubt=False, now=NOW)


def test_an_incoming_webhook_that_refuses_content_gets_plain_text() -> None:
    """As with the Web API, the plain form goes out."""
    clients = FakeClients(answering(httpx.Response(400, text="invalid_blocks"), httpx.Response(200, text="ok")))
    told = slack.send(NOTIFICATION, SLACK_WEBHOOK, clients, receipt={}, in_doubt=False, now=NOW)
    assert set(json.loads(clients.requests[1].content)) == {"text"}
    assert "plain" in told.note


def test_a_deploy_after_the_start_is_said_so() -> None:
    """A deploy that came during the incident is not called its cause."""
    later = replace(DEPLOY, at=NOTIFICATION.incident.started_at + timedelta(minutes=3))
    assert "3 min after it began" in shown(with_background(NOTIFICATION, deploys=(later,)))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "silenced until 2026-11-26 14:00 UTC: x",
            "silenced until <!date^1795701600^{date_short_pretty} {time}|2026-11-26 14:00 UTC>: x",
        ),
        ("2026-99-99 14:00 UTC", "2026-99-99 14:00 UTC"),
        ("2026-11-26 14:00", "2026-11-26 14:00"),
        ("0001-01-01 00:00 UTC", "<!date^-62135596800^{date_short_pretty} {time}|0001-01-01 00:00 UTC>"),
    ],
)
def test_a_time_is_shown_in_the_readers_zone(text: str, shown: str) -> None:
    """Given a sentence with a time in UTC → Slack's date token, with that text where it is not known; else the text."""
    assert dated(text) == shown


def test_top_errors_are_links_and_a_bad_address_is_none() -> None:
    """Given a count of errors → a line for each, linked where its address is that of a page."""
    (block,) = [each for each in slack.render(SPIKE, {})["blocks"] if each["block_id"].startswith("top:")]
    heading, *lines = block["text"]["text"].splitlines()
    assert heading.startswith("*Top errors*: 412 events since ")
    assert lines[0].startswith("• 318 (77 %) <https://sentry.example.com/issues/91|OperationalError: too many clients")
    assert "new since deploy 4f2c9a1" in lines[0]
    assert lines[2].startswith("• 20 (5 %) AuthApiError: 500 from /token · first received ")
    assert not any(each["block_id"].startswith("top:") for each in slack.render(NOTIFICATION, {})["blocks"])


def test_what_matters_stands_before_the_buttons_and_facts_after_them() -> None:
    """Given any state → header, state and cause, then the buttons, then all else."""
    for notification in (NOTIFICATION, SPIKE, ACKED, SILENCED, STORM):
        names = [block["block_id"].partition(":")[0] for block in slack.render(notification, {})["blocks"]]
        assert names[:3] == ["header", "summary", "actions"]


def test_the_first_lines_name_the_cause() -> None:
    """Given a count of errors, and a probe → the error that is most frequent, and what came instead of what."""
    lines = slack.render(SPIKE, {})["blocks"][1]["text"]["text"].splitlines()
    assert lines[1:3] == ["*OperationalError: too many clients already*", "New since deploy 4f2c9a1"]
    seen = {"result": "status 503, after 9.8 s", "expected": "status 200 within 5 s"}
    told = slack.render(replace(NOTIFICATION, alerts=(replace(TOLD, observed=seen),)), {})
    lines = told["blocks"][1]["text"]["text"].splitlines()
    assert lines[1:3] == ["*Status 503, after 9.8 s*", "Expected: status 200 within 5 s"]
    assert told["text"] == "🔴 [critical] High Error Rate (prod checkout). Status 503, after 9.8 s"


def test_nobody_has_it_is_said_only_where_it_can_be_brought_up_to_date() -> None:
    """Given an incoming webhook, whose message stays → it does not say that nobody has it."""
    assert "nobody has it" not in json.dumps(slack.render_webhook(NOTIFICATION, {}))


@pytest.mark.parametrize("notification", [NOTIFICATION, SPIKE, ACKED, SILENCED, STORM])
def test_a_message_that_stays_says_no_age(notification: Notification) -> None:
    """Given what goes on → since when, and not for how long: that would be wrong a minute later."""
    assert not re.search(r"\b(for|after) \d+ (s|min|h)\b", shown(with_background(notification, deploys=())))


@pytest.mark.parametrize(
    "route", ["rule/high-error-rate", "route/0/1", "route/severity=critical", "default", "fallback", "route/", ""]
)
def test_inner_names_never_appear(route: str) -> None:
    """Given a route of any kind → no target shows its inner name."""
    told = of_incident(NOTIFICATION, route=route)
    for text in (shown(told), json.dumps(email.render(told, {})), json.dumps(pagerduty.render(told, {}))):
        assert not re.search(r"route/|rule/", text)


@pytest.mark.parametrize(
    ("timezone", "at"),
    [
        ("America/Sao_Paulo", datetime(2026, 11, 24, 9, 2, tzinfo=UTC)),
        ("Europe/Berlin", datetime(2026, 7, 1, 9, 2, tzinfo=UTC)),
        ("Europe/Berlin", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
        ("Europe/Berlin", datetime(2026, 10, 25, 1, 30, tzinfo=UTC)),
        ("UTC", datetime(2026, 11, 24, 9, 2, tzinfo=UTC)),
        ("No/Where", datetime(2026, 11, 24, 9, 2, tzinfo=UTC)),
    ],
)
def test_a_time_of_the_teams_zone_is_shown_in_the_readers_zone(timezone: str, at: datetime) -> None:
    """Given a time as `local_time` writes it, in summer and in the hour that comes twice → the token of that instant."""
    text = local_time(at, timezone)
    found = dated(f"since {text} · x", timezone)
    if timezone != "No/Where":
        assert found == f"since <!date^{int(at.timestamp())}^{{date_short_pretty}} {{time}}|{text}> · x"
    else:
        assert found == f"since {text} · x"


def test_a_time_of_another_zone_stays_as_it_is() -> None:
    """Given a sender's text with a time of a zone that is not the team's → it is not taken for one of the team's."""
    assert dated("24 Nov 2026, 09:02 CET", "America/Sao_Paulo") == "24 Nov 2026, 09:02 CET"


def test_the_green_button_says_what_it_acknowledges() -> None:
    """Given several messages → a screen reader says of each Acknowledge what it is for, within Slack's 75 characters."""
    for notification in (NOTIFICATION, replace(NOTIFICATION, title="saturated " * 40)):
        (actions,) = [each for each in slack.render(notification, {})["blocks"] if each["type"] == "actions"]
        label = actions["elements"][0]["accessibility_label"]
        assert label.startswith("Acknowledge ") and len(label) <= 75
