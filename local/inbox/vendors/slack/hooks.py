"""Incoming webhooks: a POST to /slack/hooks/<channel> writes to that channel. Errors are plain text."""

import re
from collections.abc import Callable

from local.inbox.exchange import Json, Received, Reply, text_reply
from local.inbox.faults import Fault
from local.inbox.memory import Memory
from local.inbox.rate_limit import Bucket, Limits
from local.inbox.vendors.slack import replies
from local.inbox.vendors.slack.channels import Channels
from local.inbox.vendors.slack.content import MAX_TEXT_CHARACTERS, content_of, is_json_object, json_object
from local.inbox.vendors.slack.messages import Messages
from local.inbox.vendors.slack.workspace import SlackError


class IncomingWebhooks:
    """One webhook for each channel, each with a rate of its own."""

    def __init__(
        self, memory: Memory, channels: Channels, messages: Messages, limits: Limits, clock: Callable[[], float]
    ) -> None:
        self._memory = memory
        self._channels = channels
        self._messages = messages
        self._limits = limits
        self._clock = clock
        self._buckets: dict[str, Bucket] = {}

    def handle(self, received: Received, *, limited: bool = True) -> Reply:
        """Answer an incoming webhook: its path names the channel, as in /slack/hooks/incidents."""
        name = received.operation
        with self._memory.lock:
            if not re.fullmatch(r"[a-z0-9_-]{1,80}", name) or name.startswith("missing"):
                return text_reply("no_service", 404)
            channel = self._channels.named(name)
            if channel["is_archived"]:
                return text_reply("channel_is_archived", 410)
            if not channel["is_member"] or name.startswith("readonly"):
                return text_reply("action_prohibited", 403)
            bucket = self._buckets.setdefault(name, Bucket(self._limits.slack_per_second, self._limits.slack_burst))
            if limited and (wait := bucket.take(self._clock())):
                return replies.rate_limited(wait)
            return self._post(received, channel)

    def fail(self, fault: Fault) -> Reply:
        """Return a scripted failure, as incoming webhooks say it."""
        if fault.error:
            return text_reply(fault.error, fault.status or (404 if fault.error.startswith("no_") else 400))
        return replies.fail(fault)

    def _post(self, received: Received, channel: Json) -> Reply:
        fields = received.fields
        if "form-urlencoded" in received.headers.get("content-type", ""):
            fields = json_object(str(fields.get("payload") or ""))
        elif not is_json_object(received.body):
            return text_reply("invalid_payload", 400)
        if not fields:
            return text_reply("invalid_payload", 400)
        try:
            content = content_of(fields, MAX_TEXT_CHARACTERS)
        except SlackError as refused:
            return text_reply(refused.code, 400)
        message = self._messages.add(channel, f"B0HOOK{channel['id'][-4:]}", content, thread="", fields={})
        message["by_hook"] = True
        return text_reply("ok")
