"""Slack's Web API: calls, the fate of every error code, channels by name, people by id.

https://docs.slack.dev/apis/web-api. By bot token (SLACK_BOT_TOKEN; SLACK_API_URL for another base). Errors come with
HTTP 200. Names of channels and people are looked up once for each process and kept for an hour: conversations.list
allows 20 calls a minute.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from weakref import WeakKeyDictionary

from chalicelib.core.errors import TargetRejectedError, TargetUnavailableError
from chalicelib.core.ports import Clients
from chalicelib.targets._http import VendorAnswer, call, encoded, raise_for_status

RATE_LIMIT_WAIT = timedelta(seconds=30)
"""When Slack says "too many" without saying how long."""
MIGRATION_WAIT = timedelta(minutes=5)
KEPT = timedelta(hours=1)
LISTING = {"limit": "1000", "exclude_archived": "true", "types": "public_channel,private_channel"}
MAX_PAGES = 5
MAX_CHANNEL_PAGES = 20
"""Of 1,000 channels each."""
BASE = "https://slack.com/api"

_TOO_MANY = frozenset({"ratelimited", "rate_limited", "message_limit_exceeded"})
_AMBIGUOUS = frozenset({"internal_error", "fatal_error", "service_unavailable", "request_timeout"})
_LATER = frozenset({"team_added_to_org", "org_login_required", "external_channel_migrating"})
_UPDATE_AGAIN = frozenset({"update_failed", "streaming_state_conflict"})
CONTENT = frozenset(
    {
        "attachment_payload_limit_exceeded",
        "invalid_arguments",
        "invalid_blocks",
        "invalid_blocks_format",
        "invalid_metadata_format",
        "invalid_metadata_schema",
        "invalid_payload",
        "markdown_text_conflict",
        "metadata_too_large",
        "msg_blocks_too_long",
        "msg_too_long",
        "no_text",
        "too_many_attachments",
    }
)
GONE = frozenset({"message_not_found", "cant_update_message", "edit_window_closed", "is_inactive", "block_mismatch"})
UNKNOWN_CHANNEL = frozenset({"channel_not_found", "team_not_found"})
NO_REPLY = frozenset(
    {
        "cannot_reply_to_message",
        "restricted_action_non_threadable_channel",
        "restricted_action_thread_locked",
        "thread_not_found",
    }
)
_TOKEN = "check SLACK_BOT_TOKEN: install the app again and set its new bot token"
_WEBHOOK = "the incoming webhook was disabled or its address is wrong: make a new one"
_CHANNEL = "check the channel; a private one needs its id and the bot invited (/invite)"
_RIGHTS = "the workspace does not let the bot post there: allow it or choose another channel"
_ADVICE: Mapping[str, str] = {
    **dict.fromkeys(("account_inactive", "invalid_auth", "not_authed", "token_expired", "token_revoked"), _TOKEN),
    **dict.fromkeys(("access_denied", "accesslimited", "no_permission", "not_allowed_token_type"), _TOKEN),
    **dict.fromkeys(("ekm_access_denied", "enterprise_is_restricted", "two_factor_setup_required"), _RIGHTS),
    **dict.fromkeys(("restricted_action", "messages_tab_disabled", "restricted_action_read_only_channel"), _RIGHTS),
    **dict.fromkeys(("restricted_action_thread_only_channel", "action_prohibited"), _RIGHTS),
    **dict.fromkeys(("posting_to_general_channel_denied", "restricted_action_non_threadable_channel"), _RIGHTS),
    **dict.fromkeys(("no_service", "no_service_id", "no_active_hooks", "invalid_token", "no_team"), _WEBHOOK),
    "team_disabled": "the workspace is disabled",
    "team_access_not_granted": "install the app in this workspace",
    "team_not_found": "use the channel's id: a name does not work with an organisation's token",
    "channel_not_found": _CHANNEL,
    "user_not_found": _CHANNEL,
    "not_in_channel": "invite the bot to the channel (/invite), or give it the scope chat:write.public",
    "is_archived": "the channel is archived: choose another one",
    "channel_is_archived": "the channel is archived: choose another one",
    "missing_scope": "the app lacks a scope; it needs chat:write: add it and install the app again",
}


class SlackRefusalError(Exception):
    """Slack's own code for a refusal that the caller can answer by another request."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Person:
    """How a person is called, their time zone, and whether they are a guest, or a stranger of another organisation.

    Empty where Slack does not say.
    """

    name: str = ""
    zone: str = ""
    is_guest: bool = False
    is_stranger: bool = False


@dataclass
class Known:
    """What was looked up: channels by name, people by id and the app's own workspace, each until when it may be used."""

    channels: dict[str, tuple[datetime, str]] = field(default_factory=dict)
    people: dict[str, tuple[datetime, Person]] = field(default_factory=dict)
    home: tuple[datetime, tuple[str, str]] | None = None


_KNOWN: WeakKeyDictionary[Clients, Known] = WeakKeyDictionary()
"""For each set of clients: one in a process."""


class Api:
    """Calls by bot token. Raises what `raise_for_code` says; TargetRejectedError when no token is set."""

    def __init__(self, clients: Clients, *, now: datetime, timeout: timedelta | None = None) -> None:
        self._clients = clients
        self._now = now
        self._timeout = timeout
        self._known = _KNOWN.setdefault(clients, Known())
        self._token = (clients.secret("SLACK_BOT_TOKEN") or "").strip()
        self._url = clients.setting("SLACK_API_URL", BASE).rstrip("/")
        if not re.fullmatch(r"[!-~]+", self._token):
            raise TargetRejectedError("Slack: SLACK_BOT_TOKEN is not set to one word of ASCII")

    def call(self, method: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer to a method that changes something."""
        headers = {**self._authorization(), "Content-Type": "application/json; charset=utf-8"}
        url, content = f"{self._url}/{method}", encoded(body)
        return self._read(
            call(self._clients, "POST", url, name="Slack", content=content, headers=headers, timeout=self._timeout)
        )

    def get(self, method: str, params: Mapping[str, str]) -> dict[str, Any]:
        """Return the answer to a method that only reads."""
        return self._read(self._get(method, params))

    def scopes(self) -> frozenset[str]:
        """Return what the token may do, by auth.test, which says so in a header."""
        answer = self._get("auth.test", {})
        self._read(answer)
        said = answer.headers.get("X-OAuth-Scopes", answer.headers.get("x-oauth-scopes", ""))
        return frozenset(scope.strip() for scope in said.split(",") if scope.strip())

    def channel_id(self, name: str) -> str | None:
        """Return the id of a channel by its name or id; None when the bot can see no such channel. Raises as `get` does."""
        if known := self.known_channel(name):
            return known
        for page in self.pages("conversations.list", LISTING, "channels", MAX_CHANNEL_PAGES):
            for channel in page:
                self.learn_channel(str(channel.get("name")), str(channel.get("id")))
            if known := self.known_channel(name):
                return known
        return None

    def known_channel(self, name: str) -> str:
        """Return the id of a channel without asking; empty when it is not known."""
        if is_channel_id(name):
            return name
        until, found = self._known.channels.get(name, (self._now, ""))
        return found if self._now < until else ""

    def learn_channel(self, name: str, identifier: str) -> None:
        """Keep the id of a name; an empty one forgets it."""
        self._known.channels[name] = (self._now + KEPT, identifier)

    def person(self, user: str) -> Person:
        """Return a person by users.info (scope users:read); an empty one when Slack does not say."""
        until, found = self._known.people.get(user, (self._now, Person()))
        if self._now < until:
            return found
        try:
            user_object = self.get("users.info", {"user": user}).get("user") or {}
        except (SlackRefusalError, TargetRejectedError, TargetUnavailableError):
            return Person()
        found = _person(user_object)
        self._known.people[user] = (self._now + KEPT, found)
        return found

    def home(self) -> tuple[str, str] | None:
        """Return the app's workspace and its Enterprise organisation by auth.test; None when Slack does not answer."""
        known = self._known.home
        if known is not None and self._now < known[0]:
            return known[1]
        try:
            answer = self.get("auth.test", {})
        except (SlackRefusalError, TargetRejectedError, TargetUnavailableError):
            return None
        found = (str(answer.get("team_id") or ""), str(answer.get("enterprise_id") or ""))
        self._known.home = (self._now + KEPT, found)
        return found

    def pages(self, method: str, params: Mapping[str, str], what: str, most: int) -> Iterator[list[dict[str, Any]]]:
        """Yield the lists called `what` of one page after another, `most` pages at most."""
        asked = dict(params)
        for _ in range(most):
            page = self.get(method, asked)
            yield list(page.get(what) or ())
            cursor = str((page.get("response_metadata") or {}).get("next_cursor") or "")
            if not cursor:
                return
            asked["cursor"] = cursor

    def _get(self, method: str, params: Mapping[str, str]) -> VendorAnswer:
        url, headers = f"{self._url}/{method}", self._authorization()
        return call(self._clients, "GET", url, name="Slack", params=params, headers=headers, timeout=self._timeout)

    def _authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"}

    def _read(self, answer: VendorAnswer) -> dict[str, Any]:
        body = answer.json()
        code = body.get("error")
        is_refused = body.get("ok") is not True and isinstance(code, str)
        if is_refused and 200 <= answer.status < 500 and answer.status != 429:
            raise_for_code(str(code), answer, now=self._now)
        raise_for_status(answer, name="Slack", now=self._now, wait=RATE_LIMIT_WAIT)
        if body.get("ok") is not True:
            raise TargetUnavailableError("Slack: an answer that cannot be read", ambiguous=True)
        return body


def _person(profile: Mapping[str, Any]) -> Person:
    shown = profile.get("profile") or {}
    names = (shown.get("real_name"), profile.get("real_name"), shown.get("display_name"), profile.get("name"))
    return Person(
        name=next((str(each) for each in names if each), ""),
        zone=str(profile.get("tz") or ""),
        is_guest=profile.get("is_restricted") is True or profile.get("is_ultra_restricted") is True,
        is_stranger=profile.get("is_stranger") is True,
    )


def is_channel_id(text: str) -> bool:
    """Return True for the id of a channel, a conversation or a person; names have no capitals."""
    return re.fullmatch(r"[CGDUW][A-Z0-9]{6,}", text) is not None


def raise_for_code(code: str, answer: VendorAnswer, *, now: datetime) -> None:
    """Raise the error that Slack's code means. Codes that another request can answer are raised as they are, for `send`."""
    if code in _TOO_MANY:
        raise_for_status(VendorAnswer(429, answer.headers, ""), name=f"Slack: {code}", now=now, wait=RATE_LIMIT_WAIT)
    if code in _AMBIGUOUS:
        raise TargetUnavailableError(f"Slack: {code}", ambiguous=True)
    if code in _LATER:
        raise TargetUnavailableError(f"Slack: {code}", retry_after=MIGRATION_WAIT)
    if code in _UPDATE_AGAIN:
        raise TargetUnavailableError(f"Slack: {code}")
    if code in CONTENT | GONE | NO_REPLY | UNKNOWN_CHANNEL:
        raise SlackRefusalError(code)
    raise TargetRejectedError(explained(code))


def explained(code: str) -> str:
    """Return what a refusal means and what to do about it."""
    if code in _ADVICE:
        return f"Slack: {code}: {_ADVICE[code]}"
    if code in CONTENT:
        return f"Slack: {code}: the message was refused in its plain form too"
    named = code if re.fullmatch(r"[a-z][a-z0-9_]{0,63}", code) else "a code that cannot be shown"
    return f"Slack: {named}: refused; see the list of errors of chat.postMessage"
