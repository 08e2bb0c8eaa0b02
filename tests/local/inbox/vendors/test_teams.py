"""The stand-in for a flow of Teams: what it takes, what it cannot show, and its rate."""

from dataclasses import replace
from typing import Any

import pytest

from chalicelib.core.errors import TargetUnavailableError
from chalicelib.targets import teams
from local.inbox import Inbox
from tests.local.inbox.support import Clock, post
from tests.targets.samples import HOSTILE, NOTIFICATION, NOW, RESOLVED, STORM, TOLD
from tests.targets.test_fates import RealHttp

FLOW = "/teams/ops"
CARD = {"type": "AdaptiveCard", "version": "1.4", "body": [{"type": "TextBlock", "text": "Down"}]}


def message(card: Any) -> dict[str, Any]:
    """A message with a card."""
    return {
        "type": "message",
        "attachments": [{"contentType": "application/vnd.microsoft.card.adaptive", "content": card}],
    }


def test_a_card_is_posted(inbox: Inbox) -> None:
    """Given a card → 202, and it is kept."""
    assert post(inbox, FLOW, message(CARD))[0] == 202
    kept = inbox.everything()["teams"][0]
    assert (kept["name"], kept["text"], kept["problem"]) == ("ops", "Down", "")


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"type": "message"}, "no adaptive card"),
        (message({**CARD, "version": "1.5"}), "version"),
        (message({**CARD, "body": []}), "empty"),
        (message({**CARD, "body": [{"type": "TextBlock", "text": ""}]}), "part"),
        (message({**CARD, "body": [{"type": "FactSet", "facts": []}]}), "part"),
    ],
)
def test_a_card_that_cannot_be_shown_is_taken_all_the_same(inbox: Inbox, body: dict[str, Any], problem: str) -> None:
    """Given a card that Teams cannot show → 202, since the flow fails afterwards; the problem is noted."""
    assert post(inbox, FLOW, body)[0] == 202
    assert problem in inbox.everything()["teams"][0]["problem"]


def test_what_no_flow_takes_is_refused(inbox: Inbox) -> None:
    """Given a MessageCard, or a body over the limit → 400 and 413."""
    assert post(inbox, FLOW, {"@type": "MessageCard", "text": "x"})[0] == 400
    assert post(inbox, FLOW, message({**CARD, "fallbackText": "x" * 28_000}))[0] == 413
    assert inbox.everything()["teams"] == []


def test_a_story_of_one_incident(inbox: Inbox, clock: Clock) -> None:
    """Given an opening and its end, with hostile texts, and a storm → three cards, and Teams can show each."""
    clients, url = RealHttp(), f"{inbox.url}{FLOW}"
    told = replace(TOLD, title=HOSTILE, summary=f"{HOSTILE} {{{{DATE(x)}}}} <at>all</at>")
    for notification in (replace(NOTIFICATION, title=HOSTILE, alerts=(told, told)), RESOLVED, STORM):
        assert teams.send(notification, url, clients, receipt={}, in_doubt=False, now=NOW).note == ""
        clock.now += 1
    cards = inbox.everything()["teams"]
    assert [each["problem"] for each in cards] == ["", "", ""]
    assert "<at>" not in str(cards[0]["card"]) and "{{" not in str(cards[0]["card"]["body"]).replace("{'", "")


def test_a_rate_is_answered(clock: Clock) -> None:
    """Given a fifth card within a second → 429 with Retry-After, which the target keeps."""
    with Inbox(clock=clock) as inbox:
        clients, url = RealHttp(), f"{inbox.url}{FLOW}"
        for _ in range(4):
            teams.send(NOTIFICATION, url, clients, receipt={}, in_doubt=False, now=NOW)
        with pytest.raises(TargetUnavailableError) as caught:
            teams.send(NOTIFICATION, url, clients, receipt={}, in_doubt=False, now=NOW)
    assert caught.value.retry_after is not None and caught.value.retry_after.total_seconds() == 1
