"""What the stand-ins answer by a script."""

import json
from http.client import HTTPConnection
from typing import Any

import pytest

from local.inbox import Inbox
from local.inbox.faults import FaultError
from tests.local.inbox.support import (
    TOKEN,
    event,
    post,
    slack,
)


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
    script = {"service": "slack", "method": "chat.postMessage", "match": {"channel": "#incidents"}, "answers": [answer]}
    assert post(inbox, "/_control/answers", script)[0] == 200
    assert slack(inbox, "chat.postMessage", channel="#alerts", text="another channel")["ok"]
    fields = {"channel": "#incidents", "text": "hi"}
    found, headers, body = post(inbox, "/slack/api/chat.postMessage", fields, Authorization=f"Bearer {TOKEN}")
    assert found == status and (body.get("error") if isinstance(body, dict) else None) == error
    assert headers.get("retry-after") == ("30" if status == 429 else None)
    assert len(inbox.messages) == 1 + taken
    assert slack(inbox, "chat.postMessage", **fields)["ok"]
    assert inbox.requests[1].scripted and inbox.requests[1].status == status
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
    with pytest.raises(FaultError):
        inbox.answer("slack", "*", answers)
    assert post(inbox, "/_control/answers", {"service": "slack", "answers": answers})[0] == 400
