"""Response addresses: where the app answers a press or a command later, five times in thirty minutes."""

import secrets
from collections.abc import Callable

from local.inbox.exchange import Json, Reply, json_reply, text_reply
from local.inbox.memory import Memory
from local.inbox.vendors.slack.content import MAX_TEXT_CHARACTERS, content_of, is_true
from local.inbox.vendors.slack.messages import Messages
from local.inbox.vendors.slack.workspace import TEAM, SlackError, bot_id

RESPONSE_URL_SECONDS = 30 * 60
RESPONSE_URL_USES = 5


class Responses:
    """The addresses given out, and what is written by them."""

    def __init__(self, memory: Memory, messages: Messages, clock: Callable[[], float]) -> None:
        self._memory = memory
        self._messages = messages
        self._clock = clock
        self._urls: dict[str, Json] = {}

    def new_url(self, base: str, kind: str, channel: str, ts: str, user: str) -> str:
        """Return a new response address, for five uses in thirty minutes."""
        token = secrets.token_urlsafe(18)
        with self._memory.lock:
            self._urls[token] = {
                "at": self._clock(),
                "uses": 0,
                "channel": channel,
                "ts": ts,
                "user": user,
            }
        return f"{base}/slack/{kind}/{TEAM}/{secrets.randbelow(10**13)}/{token}"

    def respond(self, token: str, fields: Json) -> Reply:
        """Answer a POST to a response address."""
        with self._memory.lock:
            found = self._urls.get(token)
            if found is None or self._clock() - found["at"] > RESPONSE_URL_SECONDS:
                return json_reply({"ok": False, "error": "expired_url"}, 404)
            if found["uses"] >= RESPONSE_URL_USES:
                return json_reply({"ok": False, "error": "used_url"}, 404)
            found["uses"] += 1
            try:
                self.write(found, fields)
            except SlackError as refused:
                return json_reply({"ok": False, "error": refused.code}, 404 if refused.code == "no_text" else 400)
        return text_reply("ok")

    def write(self, place: Json, fields: Json) -> None:
        """Write what a response address or the answer to a command asks for: a new message, a change, or a deletion."""
        original = self._messages.find(place["channel"], place["ts"])
        if is_true(fields.get("delete_original")):
            if original is not None:
                self._messages.remove(original)
            return
        content = content_of(fields, MAX_TEXT_CHARACTERS)
        if is_true(fields.get("replace_original")) and original is not None:
            self._messages.change(original, fields, content)
            return
        channel = self._memory.channels[place["channel"]]
        thread = str(fields.get("thread_ts") or "")
        message = self._messages.add(channel, bot_id(""), content, thread=thread, fields={})
        if fields.get("response_type") != "in_channel":
            message["only_for"] = place["user"]
        self._memory.changed()
