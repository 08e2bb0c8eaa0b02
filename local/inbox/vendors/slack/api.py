"""A stand-in for Slack's Web API and incoming webhooks: https://docs.slack.dev/reference/methods.

It keeps the documented limits, errors and rates. A channel exists once somebody writes to it, by `#name` or id;
except that names beginning with

    missing     do not exist (channel_not_found)
    private     are private and the bot is not in them (channel_not_found by name, not_in_channel by id)
    uninvited   are public, and the bot may not post where it is not (not_in_channel)
    archived    are archived (is_archived)
    readonly    let only some people post (restricted_action_read_only_channel)

Any token `xoxb-…` is good; each is a bot of its own, which can change only its own messages.
"""

import hashlib
import json
import re
import secrets
from collections.abc import Callable
from typing import Any

from local.inbox.cues import Answer
from local.inbox.exchange import Json, Received, Reply, json_reply, text_reply
from local.inbox.memory import Memory
from local.inbox.pace import Bucket, Limits, Window, whole_seconds
from local.inbox.vendors.slack.blocks import mistakes, units, view_mistakes

TEAM = "T0INBOX001"
TEAM_DOMAIN = "inbox"
APP = "A0TOCSIN01"
BOT_USER = "U0TOCSIN01"
DEFAULT_CHANNELS = ("incidents", "alerts", "infrastructure")
PEOPLE: dict[str, str] = {"U0ANASOUZA": "Ana Souza", "U0BENOKORO": "Ben Okoro", "U0CHENWEI1": "Chen Wei"}
ZONES = {"U0CHENWEI1": "Asia/Shanghai"}
"""Of people who are not at UTC."""
MAX_TEXT_CHARACTERS = 40_000
MAX_UPDATE_CHARACTERS = 4_000
MAX_ATTACHMENTS = 100
MAX_METADATA_CHARACTERS = 8_000
TRIGGER_SECONDS = 3
RESPONSE_URL_SECONDS = 30 * 60
RESPONSE_URL_USES = 5
TIERS = {
    "chat.update": 50,
    "chat.delete": 50,
    "chat.postEphemeral": 100,
    "chat.getPermalink": 10_000,
    "conversations.list": 20,
    "conversations.info": 50,
    "conversations.join": 50,
    "conversations.history": 50,
    "conversations.replies": 50,
    "users.info": 100,
    "users.lookupByEmail": 50,
    "views.open": 100,
    "views.update": 100,
    "auth.test": 100,
    "api.test": 100,
}
"""Calls a minute, by each method's tier. auth.test and api.test have limits of their own; they are not reached here."""


class SlackError(Exception):
    """A refusal in Slack's words."""

    def __init__(self, code: str, **more: Any) -> None:
        super().__init__(code)
        self.code = code
        self.more = more


class Slack:
    """The Web API, incoming webhooks, response addresses and modals, over one memory."""

    def __init__(self, memory: Memory, limits: Limits, clock: Callable[[], float]) -> None:
        self._memory = memory
        self._limits = limits
        self._clock = clock
        self._buckets: dict[str, Bucket] = {}
        self._windows: dict[str, Window] = {}
        self._triggers: dict[str, tuple[float, bool]] = {}
        self._response_urls: dict[str, Json] = {}
        self.views: list[Json] = []
        self._methods: dict[str, Callable[[Json], Json]] = {
            "api.test": lambda fields: {},
            "auth.test": self._auth_test,
            "chat.postMessage": self._post,
            "chat.update": self._update,
            "chat.delete": self._delete,
            "chat.postEphemeral": self._post_ephemeral,
            "chat.getPermalink": self._permalink,
            "conversations.list": self._list,
            "conversations.info": self._info,
            "conversations.join": self._info,
            "conversations.history": self._history,
            "conversations.replies": self._replies,
            "users.info": self._user,
            "users.lookupByEmail": self._user_by_email,
            "views.open": self._open_view,
            "views.update": self._update_view,
        }
        with memory.lock:
            for name in DEFAULT_CHANNELS:
                self.channel_named(name)

    # The Web API -----------------------------------------------------------------------------------------------

    def handle(self, received: Received, *, paced: bool = True) -> Reply:
        """Answer a call of the Web API."""
        method = received.operation
        try:
            if method not in self._methods:
                raise SlackError("unknown_method", req_method=method)
            fields = self._checked(received)
            if paced and (wait := self._wait(method, fields)):
                return rate_limited(wait)
            body = {"ok": True, **self._methods[method](fields)}
        except SlackError as refused:
            return json_reply({"ok": False, "error": refused.code, **refused.more})
        if received.method == "POST" and "charset" not in received.headers.get("content-type", "charset"):
            body |= {"warning": "missing_charset", "response_metadata": {"warnings": ["missing_charset"]}}
        return json_reply(body)

    def cued(self, answer: Answer) -> Reply:
        """An error on cue, in Slack's form."""
        if answer.error:
            return json_reply({"ok": False, "error": answer.error}, answer.status or 200, answer.headers)
        status = answer.status or 200
        if status == 429:
            return rate_limited(30 if answer.retry_after is None else answer.retry_after)
        if status < 500:
            return json_reply({"ok": False, "error": "invalid_arguments"}, status)
        more = {} if answer.retry_after is None else {"Retry-After": str(whole_seconds(answer.retry_after))}
        return text_reply(
            "<html><head><title>Server Error</title></head><body>Oops!</body></html>", status, headers=more
        )

    def _checked(self, received: Received) -> Json:
        """The arguments, with what forms carry as JSON text read, and the bot that calls as `_bot`."""
        header = received.bearer
        token = header or str(received.fields.get("token") or "")
        if received.operation != "api.test":
            if not token:
                raise SlackError("not_authed")
            if not re.fullmatch(r"xoxb-[0-9A-Za-z_-]+", token):
                raise SlackError("invalid_auth")
        is_json = "json" in received.headers.get("content-type", "") and bool(received.body)
        if is_json and not _is_json_object(received.body):
            raise SlackError("invalid_json" if not _is_json(received.body) else "json_not_object")
        fields = {name: value for name, value in received.fields.items() if name != "token"}
        for name in ("blocks", "attachments", "metadata", "view"):
            if isinstance(fields.get(name), str):
                fields[name] = _read(fields[name], name)
        return {**fields, "_bot": bot_id(token)}

    def _wait(self, method: str, fields: Json) -> float:
        """Seconds until the call may come again; 0 when it is within its limits."""
        now = self._clock()
        with self._memory.lock:
            if method == "chat.postMessage":
                channel = self._find(str(fields.get("channel") or ""))
                if channel is None:
                    return 0
                key = channel["id"]
                bucket = self._buckets.setdefault(key, Bucket(self._limits.slack_per_second, self._limits.slack_burst))
                wait = bucket.take(now)
                return wait or self._windows.setdefault(method, Window(self._limits.slack_per_minute)).take(now)
            if not self._limits.slack_tiers:
                return 0
            return self._windows.setdefault(method, Window(TIERS[method])).take(now)

    # Channels --------------------------------------------------------------------------------------------------

    def channel_named(self, name: str) -> Json:
        """The channel of a name, made when there is none."""
        found: Json | None = self._memory.channels.get(channel_id(name))
        if found is None:
            found = self._make(channel_id(name), name)
        return found

    def _make(self, identifier: str, name: str) -> Json:
        channel = {
            "id": identifier,
            "name": name,
            "created": int(self._clock()),
            "is_private": name.startswith("private"),
            "is_archived": name.startswith("archived"),
            "is_member": not name.startswith(("private", "uninvited")),
        }
        self._memory.channels[identifier] = channel
        self._memory.changed()
        return channel

    def _find(self, said: str) -> Json | None:
        """The channel of an id or a name; None when there cannot be one."""
        known: Json | None = self._memory.channels.get(said)
        if known is not None:
            return known
        if re.fullmatch(r"[CG][A-Z0-9]{6,}", said):
            return None if said.startswith("CMISSING") else self._make(said, f"channel-{said.lower()}")
        if re.fullmatch(r"[UW][A-Z0-9]{6,}", said):
            return self._make(f"D{said[1:]}", PEOPLE.get(said, said).lower().replace(" ", "."))
        name = said.removeprefix("#")
        by_name = next((each for each in self._memory.channels.values() if each["name"] == name), None)
        if by_name is not None:
            return dict(by_name)
        if not re.fullmatch(r"[^\sA-Z#.,@!?\"'<>]{1,80}", name) or name.startswith("missing"):
            return None
        return self.channel_named(name)

    def _channel(self, fields: Json, *, by_id: bool = False) -> Json:
        """The channel of a call that writes to it; SlackError when it may not."""
        said = str(fields.get("channel") or "")
        if not said or (by_id and not re.fullmatch(r"[CGD][A-Z0-9]{6,}", said)):
            raise SlackError("channel_not_found")
        channel = self._find(said)
        if channel is None or (channel["is_private"] and said != channel["id"]):
            raise SlackError("channel_not_found")
        if channel["is_archived"]:
            raise SlackError("is_archived")
        if not channel["is_member"]:
            raise SlackError("not_in_channel")
        if channel["name"].startswith("readonly"):
            raise SlackError("restricted_action_read_only_channel")
        return channel

    def _list(self, fields: Json) -> Json:
        kinds = str(fields.get("types") or "public_channel").split(",")
        found = [each for each in self._memory.channels.values() if not each["id"].startswith("D")]
        found = [each for each in found if ("private_channel" if each["is_private"] else "public_channel") in kinds]
        if str(fields.get("exclude_archived", "")).lower() in ("true", "1"):
            found = [each for each in found if not each["is_archived"]]
        found = [each for each in found if not (each["is_private"] and not each["is_member"])]
        page, cursor = _page(found, fields, most=1_000)
        return {"channels": [_described(each) for each in page], "response_metadata": {"next_cursor": cursor}}

    def _info(self, fields: Json) -> Json:
        channel = self._memory.channels.get(str(fields.get("channel") or ""))
        if channel is None or (channel["is_private"] and not channel["is_member"]):
            raise SlackError("channel_not_found")
        return {"channel": _described(channel)}

    # Messages --------------------------------------------------------------------------------------------------

    def _post(self, fields: Json) -> Json:
        with self._memory.lock:
            channel = self._channel(fields)
            content = _content(fields, MAX_TEXT_CHARACTERS)
            thread = self._thread(channel, fields)
            message = self._add(channel, fields["_bot"], content, thread=thread, fields=fields)
        return {"channel": channel["id"], "ts": message["ts"], "message": _shown(message)}

    def _add(self, channel: Json, bot: str, content: Json, *, thread: str, fields: Json) -> Json:
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
            message["reply_broadcast"] = _is_true(fields.get("reply_broadcast"))
        if metadata := fields.get("metadata"):
            message["metadata"] = metadata
        self._memory.messages.append(message)
        self._memory.changed()
        return message

    def _thread(self, channel: Json, fields: Json) -> str:
        thread = str(fields.get("thread_ts") or "")
        if not thread:
            return ""
        parent = self.message(channel["id"], thread)
        if parent is None:
            raise SlackError("thread_not_found")
        if parent.get("thread_ts", thread) != thread:
            raise SlackError("cannot_reply_to_message")
        return thread

    def _next_ts(self) -> str:
        """A time in microseconds, unique and rising, over restarts too."""
        micros = max(int(self._clock() * 1_000_000), int(self._memory.counters.get("ts", 0)) + 1)
        self._memory.counters["ts"] = micros
        return f"{micros // 1_000_000}.{micros % 1_000_000:06d}"

    def message(self, channel: str, ts: str) -> Json | None:
        """The message of a channel's id and a ts."""
        found = (each for each in reversed(self._memory.messages) if each["ts"] == ts and each["channel"] == channel)
        return next(found, None)

    def _own_message(self, fields: Json) -> Json:
        channel = self._channel(fields, by_id=True)
        message = self.message(channel["id"], str(fields.get("ts") or ""))
        if message is None or message.get("only_for"):
            raise SlackError("message_not_found")
        if message["bot_id"] != fields["_bot"]:
            raise SlackError("cant_update_message")
        return message

    def _update(self, fields: Json) -> Json:
        """https://docs.slack.dev/reference/methods/chat.update: what is left out stays, but text alone removes blocks."""
        with self._memory.lock:
            message = self._own_message(fields)
            if all(fields.get(name) is None for name in ("text", "blocks", "attachments", "metadata")):
                raise SlackError("no_text")
            self._change(message, fields, _content(fields, MAX_UPDATE_CHARACTERS, required=False))
            text = message.get("text", "")
        return {"channel": message["channel"], "ts": message["ts"], "text": text, "message": _shown(message)}

    def _change(self, message: Json, fields: Json, content: Json) -> None:
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

    def _delete(self, fields: Json) -> Json:
        with self._memory.lock:
            message = self._own_message(fields)
            self._memory.messages.remove(message)
            self._memory.changed()
        return {"channel": message["channel"], "ts": message["ts"]}

    def _post_ephemeral(self, fields: Json) -> Json:
        with self._memory.lock:
            channel = self._channel(fields)
            user = str(fields.get("user") or "")
            if user not in PEOPLE:
                raise SlackError("user_not_in_channel")
            content = _content(fields, MAX_TEXT_CHARACTERS)
            message = self._add(channel, fields["_bot"], content, thread=self._thread(channel, fields), fields={})
            message["only_for"] = user
        return {"message_ts": message["ts"]}

    def _permalink(self, fields: Json) -> Json:
        channel, ts = str(fields.get("channel") or ""), str(fields.get("message_ts") or "")
        if self.message(channel, ts) is None:
            raise SlackError("message_not_found")
        return {"channel": channel, "permalink": f"https://{TEAM_DOMAIN}.slack.com/archives/{channel}/p{ts}"}

    def _history(self, fields: Json) -> Json:
        """Newest first; replies only where they were also shown in the channel."""
        channel = self._readable(fields)
        found = [
            each
            for each in self._memory.messages
            if each["channel"] == channel
            and not each.get("only_for")
            and (each.get("thread_ts", each["ts"]) == each["ts"] or each.get("reply_broadcast"))
        ]
        return self._read_back(sorted(_between(found, fields), key=_ts, reverse=True), fields)

    def _replies(self, fields: Json) -> Json:
        """The parent and its replies, oldest first."""
        channel, ts = self._readable(fields), str(fields.get("ts") or "")
        if self.message(channel, ts) is None:
            raise SlackError("thread_not_found")
        found = [each for each in self._memory.messages if each["channel"] == channel and not each.get("only_for")]
        replies = [each for each in found if each.get("thread_ts") == ts and each["ts"] != ts]
        parent = [each for each in found if each["ts"] == ts]
        return self._read_back(parent + sorted(_between(replies, fields), key=_ts), fields)

    def _readable(self, fields: Json) -> str:
        channel = self._memory.channels.get(str(fields.get("channel") or ""))
        if channel is None:
            raise SlackError("channel_not_found")
        if not channel["is_member"]:
            raise SlackError("not_in_channel")
        return str(channel["id"])

    def _read_back(self, found: list[Json], fields: Json) -> Json:
        page, cursor = _page(found, fields, most=999, usual=100)
        with_metadata = _is_true(fields.get("include_all_metadata"))
        shown = [_shown(each, with_metadata=with_metadata) for each in page]
        more = {"response_metadata": {"next_cursor": cursor}} if cursor else {}
        return {"messages": shown, "has_more": bool(cursor), "pin_count": 0, **more}

    # Incoming webhooks -----------------------------------------------------------------------------------------

    def handle_hook(self, received: Received, *, paced: bool = True) -> Reply:
        """An incoming webhook: its path names the channel, as in /slack/hooks/incidents. Errors are plain text."""
        name = received.operation
        with self._memory.lock:
            if not re.fullmatch(r"[a-z0-9_-]{1,80}", name) or name.startswith("missing"):
                return text_reply("no_service", 404)
            channel = self.channel_named(name)
            if channel["is_archived"]:
                return text_reply("channel_is_archived", 410)
            if not channel["is_member"] or name.startswith("readonly"):
                return text_reply("action_prohibited", 403)
            bucket = self._buckets.setdefault(
                f"hook {name}", Bucket(self._limits.slack_per_second, self._limits.slack_burst)
            )
            if paced and (wait := bucket.take(self._clock())):
                return rate_limited(wait)
            return self._hooked(received, channel)

    def _hooked(self, received: Received, channel: Json) -> Reply:
        fields = received.fields
        if "form-urlencoded" in received.headers.get("content-type", ""):
            fields = _json_object(str(fields.get("payload") or ""))
        elif not _is_json_object(received.body):
            return text_reply("invalid_payload", 400)
        if not fields:
            return text_reply("invalid_payload", 400)
        try:
            content = _content(fields, MAX_TEXT_CHARACTERS)
        except SlackError as refused:
            return text_reply(refused.code, 400)
        self._add(channel, f"B0HOOK{channel['id'][-4:]}", content, thread="", fields={})["by_hook"] = True
        return text_reply("ok")

    def cued_hook(self, answer: Answer) -> Reply:
        """An error on cue, as incoming webhooks say it."""
        if answer.error:
            return text_reply(answer.error, answer.status or (404 if answer.error.startswith("no_") else 400))
        return self.cued(answer)

    # Triggers, response addresses and modals -------------------------------------------------------------------

    def new_trigger(self) -> str:
        """A trigger_id: it lives three seconds and opens one modal."""
        trigger = f"{secrets.randbelow(10**13)}.{secrets.randbelow(10**9)}.{secrets.token_hex(16)}"
        with self._memory.lock:
            self._triggers[trigger] = (self._clock(), False)
        return trigger

    def new_response_url(self, base: str, kind: str, channel: str, ts: str, user: str) -> str:
        """A response address: five uses in thirty minutes."""
        token = secrets.token_urlsafe(18)
        with self._memory.lock:
            self._response_urls[token] = {
                "at": self._clock(),
                "uses": 0,
                "channel": channel,
                "ts": ts,
                "user": user,
            }
        return f"{base}/slack/{kind}/{TEAM}/{secrets.randbelow(10**13)}/{token}"

    def respond(self, token: str, fields: Json) -> Reply:
        """A POST to a response address."""
        with self._memory.lock:
            found = self._response_urls.get(token)
            if found is None or self._clock() - found["at"] > RESPONSE_URL_SECONDS:
                return json_reply({"ok": False, "error": "expired_url"}, 404)
            if found["uses"] >= RESPONSE_URL_USES:
                return json_reply({"ok": False, "error": "used_url"}, 404)
            found["uses"] += 1
            try:
                self.say(found, fields)
            except SlackError as refused:
                return json_reply({"ok": False, "error": refused.code}, 404 if refused.code == "no_text" else 400)
        return text_reply("ok")

    def say(self, place: Json, fields: Json) -> None:
        """What a response address or the answer to a command says: a new message, a change, or a deletion."""
        original = self.message(place["channel"], place["ts"])
        if _is_true(fields.get("delete_original")):
            if original is not None:
                self._memory.messages.remove(original)
                self._memory.changed()
            return
        content = _content(fields, MAX_TEXT_CHARACTERS)
        if _is_true(fields.get("replace_original")) and original is not None:
            self._change(original, fields, content)
            return
        channel = self._memory.channels[place["channel"]]
        message = self._add(channel, bot_id(""), content, thread=str(fields.get("thread_ts") or ""), fields={})
        if fields.get("response_type") != "in_channel":
            message["only_for"] = place["user"]
        self._memory.changed()

    def _open_view(self, fields: Json) -> Json:
        with self._memory.lock:
            trigger = str(fields.get("trigger_id") or "")
            if trigger not in self._triggers:
                raise SlackError("invalid_trigger_id")
            at, used = self._triggers[trigger]
            if used:
                raise SlackError("trigger_exchanged")
            if self._clock() - at > TRIGGER_SECONDS:
                raise SlackError("trigger_expired")
            view = self._stored_view(_checked_view(fields), f"V0{secrets.token_hex(4).upper()}", fields["_bot"])
            self._triggers[trigger] = (at, True)
            self.views.append(view)
            self._memory.changed()
        return {"view": view}

    def _update_view(self, fields: Json) -> Json:
        with self._memory.lock:
            wanted = str(fields.get("view_id") or "")
            found = next((each for each in self.views if each["id"] == wanted), None)
            if found is None:
                raise SlackError("not_found")
            if fields.get("hash") and fields["hash"] != found["hash"]:
                raise SlackError("hash_conflict")
            view = self._stored_view(_checked_view(fields), wanted, fields["_bot"])
            self.views[self.views.index(found)] = view
            self._memory.changed()
        return {"view": view}

    def push_view(self, view: Json, *, over: str) -> None:
        """A modal that the answer to a submission brings, in place of the one called `over`."""
        with self._memory.lock:
            self.views = [
                self._stored_view(view, over, bot_id("")) if each["id"] == over else each for each in self.views
            ]
            self._memory.changed()

    def close_view(self, identifier: str) -> None:
        """Close a modal."""
        with self._memory.lock:
            self.views = [each for each in self.views if each["id"] != identifier]
            self._memory.changed()

    def _stored_view(self, view: Json, identifier: str, bot: str) -> Json:
        blocks = [
            {"block_id": f"b{number}", **block} if isinstance(block, dict) else block
            for number, block in enumerate(view["blocks"])
        ]
        return {
            "private_metadata": "",
            "callback_id": "",
            "clear_on_close": False,
            "notify_on_close": False,
            "previous_view_id": None,
            "external_id": "",
            **view,
            "blocks": blocks,
            "id": identifier,
            "root_view_id": identifier,
            "team_id": TEAM,
            "app_id": APP,
            "app_installed_team_id": TEAM,
            "bot_id": bot,
            "hash": f"{int(self._clock())}.{secrets.token_hex(4)}",
            "state": {"values": {}},
        }

    # People ----------------------------------------------------------------------------------------------------

    def _auth_test(self, fields: Json) -> Json:
        return {
            "url": f"https://{TEAM_DOMAIN}.slack.com/",
            "team": "Inbox",
            "user": "tocsin",
            "team_id": TEAM,
            "user_id": BOT_USER,
            "bot_id": fields["_bot"],
            "is_enterprise_install": False,
        }

    def _user(self, fields: Json) -> Json:
        user = str(fields.get("user") or "")
        if user not in PEOPLE:
            raise SlackError("user_not_found")
        return {"user": _person(user)}

    def _user_by_email(self, fields: Json) -> Json:
        for user in PEOPLE:
            if _person(user)["profile"]["email"] == fields.get("email"):
                return {"user": _person(user)}
        raise SlackError("users_not_found")


def rate_limited(wait: float) -> Reply:
    """Slack's 429."""
    return json_reply({"ok": False, "error": "ratelimited"}, 429, {"Retry-After": str(whole_seconds(wait))})


def channel_id(name: str) -> str:
    """The id of a channel's name, the same for ever."""
    return f"C0{hashlib.sha256(name.encode()).hexdigest()[:9].upper()}"


def bot_id(token: str) -> str:
    """The id of the bot that a token is for."""
    return f"B0{hashlib.sha256(token.encode()).hexdigest()[:8].upper()}"


def handle_of(user: str) -> str:
    """A person's user name."""
    return PEOPLE.get(user, user).lower().replace(" ", ".")


def _content(fields: Json, most_text: int, *, required: bool = True) -> Json:
    """`text`, `blocks` and `attachments` of a message, checked."""
    content: Json = {}
    if fields.get("text") is not None:
        content["text"] = _text(fields["text"], most_text)
    elif required:
        content["text"] = ""
    if fields.get("blocks") is not None:
        content["blocks"] = _blocks(fields["blocks"])
    if fields.get("attachments") is not None:
        content["attachments"] = _attachments(fields["attachments"])
    if required and not any(content.get(name) for name in ("text", "blocks", "attachments")):
        raise SlackError("no_text")
    _check_metadata(fields.get("metadata"))
    return content


def _text(text: Any, most: int) -> str:
    if not isinstance(text, str):
        raise SlackError("invalid_arguments")
    if units(text) > most:
        raise SlackError("msg_too_long")
    return text


def _blocks(blocks: Any) -> list[Json]:
    if not isinstance(blocks, list):
        raise SlackError("invalid_blocks_format")
    found = mistakes(blocks)
    if found:
        raise SlackError("invalid_blocks", errors=_short(found), response_metadata={"messages": found})
    return [{"block_id": secrets.token_urlsafe(4), **block} for block in blocks]


def _short(found: list[str]) -> list[str]:
    return [text.removeprefix("[ERROR] ") for text in found]


def _attachments(attachments: Any) -> list[Json]:
    if not isinstance(attachments, list):
        raise SlackError("invalid_attachments")
    if len(attachments) > MAX_ATTACHMENTS:
        raise SlackError("too_many_attachments")
    for number, attachment in enumerate(attachments):
        if not isinstance(attachment, dict):
            raise SlackError("invalid_attachments")
        found = mistakes(attachment["blocks"]) if attachment.get("blocks") else []
        if found:
            moved = [text.replace("json-pointer:", f"json-pointer:/attachments/{number}") for text in found]
            raise SlackError("invalid_blocks", errors=_short(moved), response_metadata={"messages": moved})
    return attachments


def _check_metadata(metadata: Any) -> None:
    if metadata in (None, {}):
        return
    if not isinstance(metadata, dict) or not isinstance(metadata.get("event_payload"), dict):
        raise SlackError("invalid_metadata_format")
    if not isinstance(metadata.get("event_type"), str) or not metadata["event_type"]:
        raise SlackError("invalid_metadata_format")
    if len(json.dumps(metadata)) > MAX_METADATA_CHARACTERS:
        raise SlackError("metadata_too_large")


def _checked_view(fields: Json) -> Json:
    view = fields.get("view")
    found = view_mistakes(view)
    if found or not isinstance(view, dict):
        raise SlackError("invalid_arguments", response_metadata={"messages": found})
    return view


def _shown(message: Json, *, with_metadata: bool = True) -> Json:
    """A message as the Web API gives it back."""
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


def _described(channel: Json) -> Json:
    nothing = {"value": "", "creator": "", "last_set": 0}
    return {
        "id": channel["id"],
        "name": channel["name"],
        "name_normalized": channel["name"],
        "is_channel": not channel["is_private"],
        "is_group": channel["is_private"],
        "is_im": False,
        "is_mpim": False,
        "is_private": channel["is_private"],
        "is_archived": channel["is_archived"],
        "is_member": channel["is_member"],
        "created": channel["created"],
        "creator": next(iter(PEOPLE)),
        "num_members": len(PEOPLE) + 1,
        "previous_names": [],
        "topic": nothing,
        "purpose": nothing,
    }


def _person(user: str) -> Json:
    first, _, last = PEOPLE[user].partition(" ")
    email = f"{handle_of(user)}@example.com"
    profile = {"real_name": PEOPLE[user], "display_name": first, "first_name": first, "last_name": last, "email": email}
    return {
        "id": user,
        "team_id": TEAM,
        "name": handle_of(user),
        "real_name": PEOPLE[user],
        "deleted": False,
        "tz": ZONES.get(user, "Etc/UTC"),
        "is_bot": False,
        "profile": profile,
    }


def _page(found: list[Json], fields: Json, *, most: int, usual: int = 100) -> tuple[list[Json], str]:
    """One page by `limit` and `cursor`, and the cursor of the next."""
    try:
        limit = int(fields.get("limit") or usual)
        start = int(str(fields.get("cursor") or "0:").partition(":")[0])
    except ValueError:
        raise SlackError("invalid_cursor") from None
    if not 1 <= limit <= most or start < 0:
        raise SlackError("invalid_limit")
    end = start + limit
    return found[start:end], f"{end}:" if end < len(found) else ""


def _between(found: list[Json], fields: Json) -> list[Json]:
    """Messages after `oldest` and before `latest`, these two included when asked."""
    try:
        oldest, latest = float(fields.get("oldest") or 0), float(fields.get("latest") or "inf")
    except ValueError:
        raise SlackError("invalid_ts_oldest") from None
    if _is_true(fields.get("inclusive")):
        return [each for each in found if oldest <= float(each["ts"]) <= latest]
    return [each for each in found if oldest < float(each["ts"]) < latest]


def _ts(message: Json) -> str:
    return str(message["ts"])


def _is_true(value: Any) -> bool:
    return value is True or str(value).lower() in ("true", "1")


def _is_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except ValueError:
        return False
    return True


def _is_json_object(body: bytes) -> bool:
    return _is_json(body) and isinstance(json.loads(body), dict)


def _json_object(text: str) -> Json:
    return dict(json.loads(text)) if _is_json_object(text.encode()) else {}


def _read(text: str, name: str) -> Any:
    """An argument that a form carries as JSON text."""
    codes = {"blocks": "invalid_blocks_format", "metadata": "invalid_metadata_format"}
    try:
        return json.loads(text)
    except ValueError:
        raise SlackError(codes.get(name, "invalid_arguments")) from None
