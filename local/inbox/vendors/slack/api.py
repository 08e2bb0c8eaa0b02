"""A stand-in for Slack's Web API and incoming webhooks: https://docs.slack.dev/reference/methods.

It keeps the documented limits, errors and rates. Names of channels have meanings: see `channels`.
Any token `xoxb-…` is good; each is a bot of its own, which can change only its own messages.
"""

import re
from collections.abc import Callable

from local.inbox.exchange import Json, Received, Reply, json_reply
from local.inbox.faults import Fault
from local.inbox.memory import Memory
from local.inbox.rate_limit import Bucket, Limits, Window
from local.inbox.vendors.slack import replies
from local.inbox.vendors.slack.channels import Channels
from local.inbox.vendors.slack.content import argument, is_json, is_json_object
from local.inbox.vendors.slack.hooks import IncomingWebhooks
from local.inbox.vendors.slack.messages import Messages
from local.inbox.vendors.slack.modals import Modals
from local.inbox.vendors.slack.responses import Responses
from local.inbox.vendors.slack.workspace import SlackError, bot_id, team_of, user_by_email, user_by_id

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


class Slack:
    """The Web API, incoming webhooks, response addresses and modals, over one memory."""

    def __init__(self, memory: Memory, limits: Limits, clock: Callable[[], float]) -> None:
        self._memory = memory
        self._limits = limits
        self._clock = clock
        self._buckets: dict[str, Bucket] = {}
        self._windows: dict[str, Window] = {}
        self.channels = Channels(memory, clock)
        self.messages = Messages(memory, self.channels, clock)
        self.modals = Modals(memory, clock)
        self.responses = Responses(memory, self.messages, clock)
        self.hooks = IncomingWebhooks(memory, self.channels, self.messages, limits, clock)
        self._methods: dict[str, Callable[[Json], Json]] = {
            "api.test": lambda fields: {},
            "auth.test": team_of,
            "chat.postMessage": self.messages.post,
            "chat.update": self.messages.update,
            "chat.delete": self.messages.delete,
            "chat.postEphemeral": self.messages.post_ephemeral,
            "chat.getPermalink": self.messages.permalink,
            "conversations.list": self.channels.listed,
            "conversations.info": self.channels.info,
            "conversations.join": self.channels.info,
            "conversations.history": self.messages.history,
            "conversations.replies": self.messages.replies,
            "users.info": user_by_id,
            "users.lookupByEmail": user_by_email,
            "views.open": self.modals.open,
            "views.update": self.modals.update,
        }

    def handle(self, received: Received, *, limited: bool = True) -> Reply:
        """Answer a call of the Web API."""
        method = received.operation
        try:
            if method not in self._methods:
                raise SlackError("unknown_method", req_method=method)
            fields = _checked(received)
            if limited and (wait := self._wait(method, fields)):
                return replies.rate_limited(wait)
            body = {"ok": True, **self._methods[method](fields)}
        except SlackError as refused:
            return json_reply({"ok": False, "error": refused.code, **refused.more})
        if received.method == "POST" and "charset" not in received.headers.get("content-type", "charset"):
            body |= {"warning": "missing_charset", "response_metadata": {"warnings": ["missing_charset"]}}
        return json_reply(body)

    def fail(self, fault: Fault) -> Reply:
        """Return a scripted failure, in Slack's form."""
        return replies.fail(fault)

    def message(self, channel: str, ts: str) -> Json | None:
        """Return the message of a channel's id and a ts."""
        return self.messages.find(channel, ts)

    @property
    def views(self) -> list[Json]:
        """Return the open modals, the one on top last."""
        return self.modals.views

    def _wait(self, method: str, fields: Json) -> float:
        """Return the seconds until the call may come again, 0 when it is within its limits."""
        now = self._clock()
        with self._memory.lock:
            if method == "chat.postMessage":
                channel = self.channels.find(str(fields.get("channel") or ""))
                if channel is None:
                    return 0
                key = channel["id"]
                bucket = self._buckets.setdefault(key, Bucket(self._limits.slack_per_second, self._limits.slack_burst))
                wait = bucket.take(now)
                return wait or self._windows.setdefault(method, Window(self._limits.slack_per_minute)).take(now)
            if not self._limits.slack_tiers:
                return 0
            return self._windows.setdefault(method, Window(TIERS[method])).take(now)


def _checked(received: Received) -> Json:
    """Return the arguments, with what forms carry as JSON text read, and the bot that calls as `_bot`."""
    token = received.bearer or str(received.fields.get("token") or "")
    if received.operation != "api.test":
        if not token:
            raise SlackError("not_authed")
        if not re.fullmatch(r"xoxb-[0-9A-Za-z_-]+", token):
            raise SlackError("invalid_auth")
    has_json = "json" in received.headers.get("content-type", "") and bool(received.body)
    if has_json and not is_json_object(received.body):
        raise SlackError("invalid_json" if not is_json(received.body) else "json_not_object")
    fields = {name: value for name, value in received.fields.items() if name != "token"}
    for name in ("blocks", "attachments", "metadata", "view"):
        if isinstance(fields.get(name), str):
            fields[name] = argument(fields[name], name)
    return {**fields, "_bot": bot_id(token)}
