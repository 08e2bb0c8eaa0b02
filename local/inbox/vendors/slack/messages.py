"""The messages of the stand-in: posted, changed, deleted, threaded, and read back."""

from collections.abc import Callable

from local.inbox.exchange import Json
from local.inbox.memory import Memory
from local.inbox.vendors.slack.channels import Channels
from local.inbox.vendors.slack.content import (
    MAX_TEXT_CHARACTERS,
    MAX_UPDATE_CHARACTERS,
    content_of,
    is_true,
    page_of,
)
from local.inbox.vendors.slack.workspace import APP, BOT_USER, PEOPLE, TEAM, TEAM_DOMAIN, SlackError


class Messages:
    """Messages of all channels, in the memory, oldest first."""

    def __init__(self, memory: Memory, channels: Channels, clock: Callable[[], float]) -> None:
        self._memory = memory
        self._channels = channels
        self._clock = clock

    def find(self, channel: str, ts: str) -> Json | None:
        """Return the message of a channel's id and a ts."""
        found = (each for each in reversed(self._memory.messages) if each["ts"] == ts and each["channel"] == channel)
        return next(found, None)

    # Writing ---------------------------------------------------------------------------------------------------

    def post(self, fields: Json) -> Json:
        """Answer chat.postMessage."""
        with self._memory.lock:
            channel = self._channels.writable(fields)
            content = content_of(fields, MAX_TEXT_CHARACTERS)
            thread = self._thread(channel, fields)
            message = self.add(channel, fields["_bot"], content, thread=thread, fields=fields)
        return {"channel": channel["id"], "ts": message["ts"], "message": _shown(message)}

    def add(self, channel: Json, bot: str, content: Json, *, thread: str, fields: Json) -> Json:
        """Keep a message whose content is checked."""
        message = {
            **content,
            "type": "message",
            "user": BOT_USER,
            "bot_id": bot,
            "app_id": APP,
            "team": TEAM,
            "ts": self._next_ts(),
            "channel": channel["id"],
            "username": str(fields.get("username") or "Tocsin"),
        }
        if thread:
            message["thread_ts"] = thread
            message["reply_broadcast"] = is_true(fields.get("reply_broadcast"))
        if metadata := fields.get("metadata"):
            message["metadata"] = metadata
        self._memory.messages.append(message)
        self._memory.changed()
        return message

    def update(self, fields: Json) -> Json:
        """Answer chat.update. What is left out stays, but text alone removes blocks."""
        with self._memory.lock:
            message = self._own(fields)
            if all(fields.get(name) is None for name in ("text", "blocks", "attachments", "metadata")):
                raise SlackError("no_text")
            self.change(message, fields, content_of(fields, MAX_UPDATE_CHARACTERS, required=False))
            text = message.get("text", "")
        return {"channel": message["channel"], "ts": message["ts"], "text": text, "message": _shown(message)}

    def change(self, message: Json, fields: Json, content: Json) -> None:
        """Change a message to content that is checked."""
        if fields.get("text") is not None and fields.get("blocks") is None:
            message.pop("blocks", None)
            message["edited"] = {"user": BOT_USER, "ts": f"{self._clock():.6f}"}
        if fields.get("blocks") is not None:
            message.pop("edited", None)
        message.update(content)
        if fields.get("metadata") == {}:
            message.pop("metadata", None)
        elif fields.get("metadata"):
            message["metadata"] = fields["metadata"]
        message["updates"] = int(message.get("updates", 0)) + 1
        message["updated_at"] = self._clock()
        self._memory.changed()

    def delete(self, fields: Json) -> Json:
        """Answer chat.delete."""
        with self._memory.lock:
            message = self._own(fields)
            self.remove(message)
        return {"channel": message["channel"], "ts": message["ts"]}

    def remove(self, message: Json) -> None:
        """Forget a message."""
        self._memory.messages.remove(message)
        self._memory.changed()

    def post_ephemeral(self, fields: Json) -> Json:
        """Answer chat.postEphemeral."""
        with self._memory.lock:
            channel = self._channels.writable(fields)
            user = str(fields.get("user") or "")
            if user not in PEOPLE:
                raise SlackError("user_not_in_channel")
            content = content_of(fields, MAX_TEXT_CHARACTERS)
            message = self.add(channel, fields["_bot"], content, thread=self._thread(channel, fields), fields={})
            message["only_for"] = user
        return {"message_ts": message["ts"]}

    def _thread(self, channel: Json, fields: Json) -> str:
        thread = str(fields.get("thread_ts") or "")
        if not thread:
            return ""
        parent = self.find(channel["id"], thread)
        if parent is None:
            raise SlackError("thread_not_found")
        if parent.get("thread_ts", thread) != thread:
            raise SlackError("cannot_reply_to_message")
        return thread

    def _next_ts(self) -> str:
        """Return the time in microseconds, unique and rising, over restarts too."""
        micros = max(int(self._clock() * 1_000_000), int(self._memory.counters.get("ts", 0)) + 1)
        self._memory.counters["ts"] = micros
        return f"{micros // 1_000_000}.{micros % 1_000_000:06d}"

    def _own(self, fields: Json) -> Json:
        channel = self._channels.writable(fields, by_id=True)
        message = self.find(channel["id"], str(fields.get("ts") or ""))
        if message is None or message.get("only_for"):
            raise SlackError("message_not_found")
        if message["bot_id"] != fields["_bot"]:
            raise SlackError("cant_update_message")
        return message

    # Reading back ----------------------------------------------------------------------------------------------

    def permalink(self, fields: Json) -> Json:
        """Answer chat.getPermalink."""
        channel, ts = str(fields.get("channel") or ""), str(fields.get("message_ts") or "")
        if self.find(channel, ts) is None:
            raise SlackError("message_not_found")
        return {"channel": channel, "permalink": f"https://{TEAM_DOMAIN}.slack.com/archives/{channel}/p{ts}"}

    def history(self, fields: Json) -> Json:
        """Answer conversations.history: newest first, with the replies that were also shown in the channel."""
        channel = self._channels.readable(fields)
        found = [
            each
            for each in self._memory.messages
            if each["channel"] == channel
            and not each.get("only_for")
            and (each.get("thread_ts", each["ts"]) == each["ts"] or each.get("reply_broadcast"))
        ]
        return _read_back(sorted(_between(found, fields), key=_ts, reverse=True), fields)

    def replies(self, fields: Json) -> Json:
        """Answer conversations.replies: the parent and its replies, oldest first."""
        channel, ts = self._channels.readable(fields), str(fields.get("ts") or "")
        if self.find(channel, ts) is None:
            raise SlackError("thread_not_found")
        found = [each for each in self._memory.messages if each["channel"] == channel and not each.get("only_for")]
        replies = [each for each in found if each.get("thread_ts") == ts and each["ts"] != ts]
        parent = [each for each in found if each["ts"] == ts]
        return _read_back(parent + sorted(_between(replies, fields), key=_ts), fields)


def _read_back(found: list[Json], fields: Json) -> Json:
    page, cursor = page_of(found, fields, most=999, usual=100)
    with_metadata = is_true(fields.get("include_all_metadata"))
    shown = [_shown(each, with_metadata=with_metadata) for each in page]
    more = {"response_metadata": {"next_cursor": cursor}} if cursor else {}
    return {"messages": shown, "has_more": bool(cursor), "pin_count": 0, **more}


def _between(found: list[Json], fields: Json) -> list[Json]:
    """Return messages after `oldest` and before `latest`, these two included when asked."""
    try:
        oldest, latest = float(fields.get("oldest") or 0), float(fields.get("latest") or "inf")
    except ValueError:
        raise SlackError("invalid_ts_oldest") from None
    if is_true(fields.get("inclusive")):
        return [each for each in found if oldest <= float(each["ts"]) <= latest]
    return [each for each in found if oldest < float(each["ts"]) < latest]


def _ts(message: Json) -> str:
    return str(message["ts"])


def _shown(message: Json, *, with_metadata: bool = True) -> Json:
    """Return a message as the Web API gives it back."""
    names = ("type", "user", "bot_id", "app_id", "team", "ts", "text", "blocks", "attachments", "thread_ts", "edited")
    shown = {name: message[name] for name in names if name in message}
    if with_metadata and "metadata" in message:
        shown["metadata"] = message["metadata"]
    if message.get("reply_broadcast"):
        shown["subtype"] = "thread_broadcast"
    shown["bot_profile"] = {
        "id": message["bot_id"],
        "app_id": APP,
        "name": message["username"],
        "deleted": False,
        "updated": 0,
        "team_id": TEAM,
    }
    return shown
