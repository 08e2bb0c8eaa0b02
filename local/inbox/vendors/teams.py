"""A stand-in for a Workflow of Microsoft Teams that posts a card when a webhook request is received.

It answers 202 at once and posts afterwards, as the flow does: a card that Teams cannot show is kept with its `problem`,
and the sender does not learn it. A message over the limit is 413, a MessageCard 400, a fifth request within a second 429.
https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using
"""

import re
from collections.abc import Callable
from typing import Any

from local.inbox.exchange import Json, Received, Reply, json_reply, text_reply
from local.inbox.faults import Fault
from local.inbox.memory import Memory
from local.inbox.rate_limit import Limits, Window, whole_seconds

MAX_BYTES = 28_000
CARD = "application/vnd.microsoft.card.adaptive"
NEWEST = (1, 4)
"""The newest version of a card that flows show."""


class Teams:
    """The cards of each flow, oldest first."""

    def __init__(self, memory: Memory, limits: Limits, clock: Callable[[], float]) -> None:
        self._memory = memory
        self._limits = limits
        self._clock = clock
        self._windows: dict[str, Window] = {}

    def handle(self, received: Received, *, limited: bool = True) -> Reply:
        """Answer 202, and post the card."""
        with self._memory.lock:
            fresh = Window(self._limits.teams_per_second, seconds=1)
            wait = self._windows.setdefault(received.operation, fresh).take(self._clock()) if limited else 0
            if wait:
                return text_reply("", 429, "text/plain", {"Retry-After": str(whole_seconds(wait))})
            return self._post(received)

    def fail(self, fault: Fault) -> Reply:
        """Return a scripted failure."""
        more = {} if fault.retry_after is None else {"Retry-After": f"{fault.retry_after:g}"}
        return text_reply(fault.error, fault.status or 400, "text/plain", more)

    def _post(self, received: Received) -> Reply:
        if len(received.body) > MAX_BYTES:
            return text_reply("Request Entity Too Large", 413, "text/plain", {})
        try:
            body = received.json()
        except ValueError:
            body = None
        if not isinstance(body, dict) or body.get("@type") == "MessageCard" or "type" not in body:
            return json_reply({"error": {"code": "TriggerInputSchemaMismatch"}}, 400)
        card = _card(body)
        self._memory.teams.append(
            {
                "at": received.at,
                "name": received.operation,
                "card": card,
                "text": _title(card),
                "problem": _problem(card),
            }
        )
        self._memory.changed()
        return Reply(202)


def _card(body: Json) -> Json:
    """Return the card of a message; an empty one where there is none."""
    found = [each for each in body.get("attachments") or () if each.get("contentType") == CARD]
    return dict(found[0].get("content") or {}) if found else {}


def _problem(card: Json) -> str:
    """Return why Teams shows no card; empty when it does."""
    if card.get("type") != "AdaptiveCard":
        return "no adaptive card is attached"
    version = re.fullmatch(r"(\d+)\.(\d+)", str(card.get("version")))
    if version is None or (int(version[1]), int(version[2])) > NEWEST:
        return "the version of the card is not shown"
    if not card.get("body"):
        return "the card is empty"
    return "" if all(_is_whole(each) for each in card["body"]) else "a part of the card is empty"


def _is_whole(part: Any) -> bool:
    if part.get("type") == "FactSet":
        return bool(part.get("facts")) and all(each.get("title") and each.get("value") for each in part["facts"])
    return bool(part.get("text"))


def _title(card: Json) -> str:
    return next((str(each.get("text") or "") for each in card.get("body") or ()), "")
