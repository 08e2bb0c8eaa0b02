"""Slack: one message per incident and channel, updated in place, with what changed in its thread.

By bot token (SLACK_BOT_TOKEN; SLACK_API_URL for another base) chat.postMessage opens the message, chat.update changes
it, and a reply in its thread says what is new: https://docs.slack.dev/reference/methods/chat.postMessage and
…/chat.update. What must be noticed (reminders, escalations, what is worse, what is critical after an acknowledgement) is
also shown in the channel, since an update makes no sound. By an
incoming-webhook address nothing can be updated: later notifications are short messages of their own.

A channel is named by its id or by `#name`. Slack takes the name of a public channel and answers with its id, which is
kept; the name of any other is looked up (conversations.list, scopes channels:read and groups:read).

Slack has no idempotency key. A message carries its notification's id as metadata; after a try that may have arrived,
the channel (or the thread) is read back for it first. Without the scopes to read it, a double is possible.
"""

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from chalicelib.core.delivery.notification import Notification, Reason, Receipt
from chalicelib.core.delivery.target_kind import Capabilities, TargetKind, TargetSample
from chalicelib.core.delivery.target_state import Pace
from chalicelib.core.delivery.text import title
from chalicelib.core.delivery.writing import cut
from chalicelib.core.errors import FieldError, TargetRejectedError, TargetUnavailableError
from chalicelib.core.field import masked, text_value
from chalicelib.core.ports import Clients
from chalicelib.slack.command import escaped
from chalicelib.targets._doubt import IN_DOUBT, noted
from chalicelib.targets._http import call, encoded, post, raise_for_status
from chalicelib.targets._slack_api import (
    CONTENT,
    GONE,
    MAX_PAGES,
    NO_REPLY,
    RATE_LIMIT_WAIT,
    UNKNOWN_CHANNEL,
    Api,
    Person,
    SlackRefusalError,
    explained,
    is_channel_id,
    raise_for_code,
)
from chalicelib.targets._slack_blocks import render, render_plain_webhook, render_reply, render_webhook

PACE = Pace(timedelta(seconds=1), together=5, silent=timedelta(seconds=2))
"""About one message a second for a channel and short bursts; what comes faster may be dropped without an error.

A silent change needs chat.update, which is of tier 3: 50 a minute in the workspace. 30 a minute leave room for changes
that are news. https://docs.slack.dev/apis/web-api/rate-limits"""
HISTORY_SLACK = timedelta(minutes=10)
"""The channel is read back from this long before the incident began: clocks differ."""

WANTED_SCOPES = (
    ("channels:read", "names of channels"),
    ("groups:read", "names of private channels"),
    ("channels:history", "finding a message that may have been sent"),
    ("users:read", "names of people"),
)
_NAME_TIMEOUT = timedelta(seconds=3)
_NOTICED = frozenset({Reason.OPENED, Reason.UPDATED, Reason.REMINDER, Reason.ESCALATED, Reason.RESOLVED, Reason.TEST})
_NO_PREVIEWS: dict[str, Any] = {"unfurl_links": False, "unfurl_media": False}


def send(
    notification: Notification,
    address: str,
    clients: Clients,
    *,
    receipt: Mapping[str, str],
    in_doubt: bool,
    now: datetime,
    plain: bool = False,
) -> Receipt:
    """Post, or update and reply. Called again after a try that may have arrived, it looks for it first."""
    if address.startswith(("https://", "http://")):
        doubt = noted(in_doubt=in_doubt)
        return _send_to_webhook(notification, address, clients, receipt=receipt, doubt=doubt, now=now, plain=plain)
    name = address.strip().removeprefix("#")
    return _Channel(notification, name, clients, receipt, in_doubt=in_doubt, now=now, plain=plain).send()


class _Channel:
    """One try of one notification to one channel by the Web API."""

    def __init__(
        self,
        notification: Notification,
        address: str,
        clients: Clients,
        receipt: Mapping[str, str],
        *,
        in_doubt: bool,
        now: datetime,
        plain: bool,
    ) -> None:
        self._notification = notification
        self._address = address
        self._receipt = receipt
        self._in_doubt = in_doubt
        self._plain = plain
        self._notes: list[str] = []
        self._doubled = False
        self._api = Api(clients, now=now, timeout=notification.target.timeout)
        self._can_roll_back = bool(clients.secret("VERCEL_TOKEN"))

    def send(self) -> Receipt:
        sync = self._notification.reason is Reason.SYNC
        if not self._receipt.get("ts"):
            return self._sync_in_doubt() if sync else self._post()
        try:
            self._update()
        except SlackRefusalError as refused:
            if refused.code not in GONE | NO_REPLY:
                raise TargetRejectedError(explained(refused.code)) from None
            if sync:
                return Receipt(note=f"the message cannot be updated any more ({refused.code})")
            self._notes.append(f"posted anew, since the message cannot be updated any more ({refused.code})")
            return self._post()
        if self._notification.reason in _NOTICED or self._notification.activity.acts:
            self._reply()
        return self._done(self._receipt)

    def _sync_in_doubt(self) -> Receipt:
        """Bring up to date the message that an earlier try may have posted; a change without sound posts none."""
        found = self._found_in_channel() if self._in_doubt else None
        if found is not None:
            return self._brought_up_to_date(found)
        return Receipt(note="no message to bring up to date", sent=False)

    def _post(self) -> Receipt:
        found = self._found_in_channel() if self._in_doubt else None
        if found is not None:
            return self._brought_up_to_date(found)
        if self._in_doubt and self._notification.reason is Reason.RESOLVED and not self._doubled:
            return Receipt(note="the channel has no message of this incident: there is nothing to resolve", sent=False)
        try:
            answer = self._posted()
        except SlackRefusalError as refused:
            raise TargetRejectedError(explained(refused.code)) from None
        place = {name: str(answer[name]) for name in ("channel", "ts") if answer.get(name)}
        self._api.learn_channel(self._address, place.get("channel", ""))
        return self._done(place)

    def _brought_up_to_date(self, found: Mapping[str, str]) -> Receipt:
        """Return finish a message that an earlier try posted: one of an earlier notification is updated to this one."""
        place = {name: found[name] for name in ("channel", "ts")}
        if found["id"] != self._notification.id:
            self._receipt = place
            self._update()
        return self._done(place)

    def _posted(self) -> dict[str, Any]:
        """Post by the id where it is known, else by the name; by the id that a look-up finds where Slack takes no name."""
        known = self._api.known_channel(self._address)
        try:
            return self._call_with_blocks("chat.postMessage", {"channel": known or self._address, **_NO_PREVIEWS})
        except SlackRefusalError as refused:
            if refused.code not in UNKNOWN_CHANNEL or is_channel_id(self._address):
                raise
            self._api.learn_channel(self._address, "")
            found = self._looked_up()
            if found in ("", known):
                raise
        return self._call_with_blocks("chat.postMessage", {"channel": found, **_NO_PREVIEWS})

    def _looked_up(self) -> str:
        try:
            return self._api.channel_id(self._address) or ""
        except (SlackRefusalError, TargetRejectedError):
            return ""

    def _update(self) -> None:
        """Update a message. It may be repeated, so it is never ambiguous. Slack limits each method alone: new messages need not wait."""
        try:
            self._call_with_blocks("chat.update", {"channel": self._posted_in(), "ts": self._receipt["ts"]})
        except TargetUnavailableError as error:
            raise TargetUnavailableError(str(error), retry_after=error.retry_after, of_change=True) from None

    def _posted_in(self) -> str:
        return self._receipt.get("channel") or self._address

    def _reply(self) -> None:
        if self._in_doubt and self._found_in_thread():
            return
        place = {"channel": self._posted_in(), **_NO_PREVIEWS}
        body = {**render_reply(self._notification), **place, "thread_ts": self._receipt["ts"]}
        body["reply_broadcast"] = self._notification.sounds
        try:
            self._api.call("chat.postMessage", body)
        except SlackRefusalError as refused:
            if refused.code not in NO_REPLY:
                raise TargetRejectedError(explained(refused.code)) from None
            self._reply_beside_thread({**render_reply(self._notification), **place}, refused.code)

    def _reply_beside_thread(self, body: dict[str, Any], code: str) -> None:
        self._notes.append(f"said in the channel, since the thread cannot be replied to ({code})")
        titled = f"{escaped(cut(title(self._notification), 300))}\n{body['text']}"
        try:
            self._api.call("chat.postMessage", {**body, "text": titled})
        except SlackRefusalError as refused:
            raise TargetRejectedError(explained(refused.code)) from None

    def _call_with_blocks(self, method: str, place: dict[str, Any]) -> dict[str, Any]:
        """Return the full form; the plain one when Slack refuses the content."""
        plain = render(self._notification, self._receipt, plain=True)
        if self._plain:
            return self._api.call(method, {**plain, **place})
        full = render(self._notification, self._receipt, can_roll_back=self._can_roll_back)
        try:
            return self._api.call(method, {**full, **place})
        except SlackRefusalError as refused:
            if refused.code not in CONTENT:
                raise
            self._notes.append(f"sent in plain form, since Slack refused the full one ({refused.code})")
        return self._api.call(method, {"text": plain["text"], **place})

    def _found_in_channel(self) -> Mapping[str, str] | None:
        """Return channel, ts and id of the message that an earlier try for this incident posted.

        None when there is none, or when the channel cannot be read.
        """
        began_at = min(self._notification.at, self._notification.incident.started_at)
        oldest = (began_at - HISTORY_SLACK).timestamp()
        try:
            channel = self._api.channel_id(self._address)
            if channel is None:
                raise SlackRefusalError("channel_not_found")
            found = self._search("conversations.history", {"channel": channel, "oldest": f"{oldest:.6f}"})
        except (SlackRefusalError, TargetRejectedError):
            self._doubled = True
            self._notes.append(f"{IN_DOUBT} and the channel cannot be read")
            return None
        return {"channel": channel, **found} if found else None

    def _found_in_thread(self) -> bool:
        params = {"channel": self._posted_in(), "ts": self._receipt["ts"]}
        try:
            return self._search("conversations.replies", params) is not None
        except (SlackRefusalError, TargetRejectedError):
            self._doubled = True
            self._notes.append("the reply may be doubled: an earlier try was in doubt and the thread cannot be read")
            return False

    def _search(self, method: str, params: dict[str, str]) -> dict[str, str] | None:
        """Return ts and id of the message that carries this notification's id; in a channel that of its incident too."""
        asked = {**params, "include_all_metadata": "true", "limit": "200"}
        for page in self._api.pages(method, asked, "messages", MAX_PAGES):
            for message in page:
                payload = (message.get("metadata") or {}).get("event_payload") or {}
                if self._is_ours(method, message, payload, params):
                    return {"ts": str(message.get("ts")), "id": str(payload.get("id"))}
        return None

    def _is_ours(
        self, method: str, message: Mapping[str, Any], payload: Mapping[str, Any], params: Mapping[str, str]
    ) -> bool:
        if method == "conversations.replies":
            return payload.get("id") == self._notification.id and message.get("ts") != params["ts"]
        in_thread = message.get("thread_ts") not in (None, message.get("ts"))
        same = payload.get("incident") == self._notification.incident.id and not in_thread
        return same or payload.get("id") == self._notification.id

    def _done(self, values: Mapping[str, str]) -> Receipt:
        return Receipt(values=dict(values), note="; ".join(self._notes), doubled=self._doubled)


def _send_to_webhook(
    notification: Notification,
    address: str,
    clients: Clients,
    *,
    receipt: Mapping[str, str],
    doubt: str,
    now: datetime,
    plain: bool,
) -> Receipt:
    """Send to an incoming webhook: the full message first, short follow-ups later. Nothing can be updated or read back.

    https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
    """
    if notification.reason is Reason.SYNC:
        return Receipt(note="an incoming webhook cannot update its messages", sent=False)
    form = render_plain_webhook if plain else render_webhook
    try:
        _post_to_webhook(form(notification, receipt), notification, address, clients, now)
        return Receipt({"told": "1"}, note=doubt, doubled=bool(doubt))
    except SlackRefusalError as refused:
        if refused.code not in CONTENT:
            raise TargetRejectedError(explained(refused.code)) from None
        code = refused.code
    try:
        _post_to_webhook(render_plain_webhook(notification, receipt), notification, address, clients, now)
    except SlackRefusalError as refused:
        raise TargetRejectedError(explained(refused.code)) from None
    note = f"sent in plain form, since Slack refused the full one ({code})"
    return Receipt({"told": "1"}, note=f"{note}; {doubt}" if doubt else note, doubled=bool(doubt))


def _post_to_webhook(
    body: dict[str, Any], notification: Notification, address: str, clients: Clients, now: datetime
) -> None:
    headers = {"Content-Type": "application/json; charset=utf-8"}
    timeout = notification.target.timeout
    answer = post(clients, address, name="Slack", content=encoded(body), headers=headers, timeout=timeout)
    code = answer.text.strip()
    if 400 <= answer.status < 500 and answer.status != 429 and re.fullmatch(r"[a-z][a-z0-9_]{0,63}", code):
        raise_for_code(code, answer, now=now)
    raise_for_status(answer, name="Slack", now=now, wait=RATE_LIMIT_WAIT)


# ---------------------------------------------------------------------------------------------------------------------
# For people


def person(user: str, clients: Clients, *, now: datetime) -> str:
    """Return what a person of that id is called; empty when Slack does not say."""
    return _person(user, clients, now).name


def zone(user: str, clients: Clients, *, now: datetime) -> str:
    """Return the name of the time zone that a person set in Slack; empty when Slack does not say."""
    return _person(user, clients, now).zone


def standing(user: str, clients: Clients, *, now: datetime) -> tuple[bool, bool]:
    """Return whether Slack says that a person is a guest, and a stranger of another organisation."""
    found = _person(user, clients, now)
    return found.is_guest, found.is_stranger


def _person(user: str, clients: Clients, now: datetime) -> Person:
    try:
        return Api(clients, now=now, timeout=_NAME_TIMEOUT).person(user)
    except TargetRejectedError:
        return Person()


def home(clients: Clients, *, now: datetime) -> tuple[str, str] | None:
    """Return the ids of the app's workspace and of its Enterprise organisation; None when Slack does not answer."""
    try:
        return Api(clients, now=now, timeout=_NAME_TIMEOUT).home()
    except TargetRejectedError:
        return None


def respond(
    url: str,
    text: str,
    clients: Clients,
    *,
    now: datetime,
    blocks: Sequence[Mapping[str, Any]] = (),
    replaces: bool = False,
) -> None:
    """Answer the person who pressed or typed, and nobody else, by the address that came with it.

    `replaces` puts the answer in place of the message whose button was pressed.
    https://docs.slack.dev/interactivity/handling-user-interaction: five times within 30 minutes.
    """
    if not url.startswith(("https://", "http://")):
        raise TargetRejectedError("Slack: the request came without a response_url")
    body: dict[str, Any] = {"response_type": "ephemeral", "replace_original": replaces, "text": text}
    body |= {"blocks": list(blocks)} if blocks else {}
    headers = {"Content-Type": "application/json; charset=utf-8"}
    answer = call(clients, "POST", url, name="Slack", content=encoded(body), headers=headers)
    raise_for_status(answer, name="Slack", now=now, wait=RATE_LIMIT_WAIT)


def post_ephemeral(channel: str, user: str, text: str, clients: Clients, *, now: datetime) -> None:
    """Answer one person in a channel, and nobody else: what a form asked for brings no address for answers.

    https://docs.slack.dev/reference/methods/chat.postEphemeral
    """
    try:
        Api(clients, now=now).call("chat.postEphemeral", {"channel": channel, "user": user, "text": text})
    except SlackRefusalError as refused:
        raise TargetRejectedError(explained(refused.code)) from None


def fill_view(identifier: str, view_hash: str, view: Mapping[str, Any], clients: Clients, *, now: datetime) -> None:
    """Change an open modal, unless the person closed or sent it, or it was changed since."""
    body: dict[str, Any] = {"view_id": identifier, "view": view, **({"hash": view_hash} if view_hash else {})}
    with suppress(SlackRefusalError, TargetRejectedError, TargetUnavailableError):
        Api(clients, now=now).call("views.update", body)


# ---------------------------------------------------------------------------------------------------------------------
# For operators


def check(clients: Clients, channels: Sequence[str], now: datetime | None = None) -> list[tuple[str, str]]:
    """Return whether the token and each channel will do: `ok`, `warning` or `wrong`, and a sentence with what to do."""
    try:
        api = Api(clients, now=now or datetime.now(UTC))
        scopes = api.scopes()
    except (TargetRejectedError, SlackRefusalError) as error:
        return [("wrong", str(error))]
    except TargetUnavailableError as error:
        return [("warning", f"{error}: the token could not be checked; try again")]
    return [_scopes_checked(scopes), *(_channel_checked(api, each, scopes) for each in dict.fromkeys(channels))]


def _scopes_checked(scopes: frozenset[str]) -> tuple[str, str]:
    if not scopes:
        return "ok", "Slack: the token works; Slack did not say what it may do"
    if "chat:write" not in scopes:
        return "wrong", "Slack: the app lacks the scope chat:write: add it and install the app again"
    missing = [f"{name} ({why})" for name, why in WANTED_SCOPES if name not in scopes]
    if missing:
        return "warning", f"Slack: the token works; without {', '.join(missing)}"
    return "ok", "Slack: the token works and has every scope"


def _channel_checked(api: Api, address: str, scopes: frozenset[str]) -> tuple[str, str]:
    if address.startswith(("https://", "http://")):
        return "ok", "Slack: an incoming webhook is only checked by use; it gets no buttons and no updates"
    name = address.strip().removeprefix("#")
    shown = name if is_channel_id(name) else f"#{name}"
    try:
        found = api.channel_id(name)
        channel = (api.get("conversations.info", {"channel": found}).get("channel") or {}) if found else None
    except (SlackRefusalError, TargetRejectedError) as error:
        return "wrong" if "channel_not_found" in str(error) else "warning", f"Slack {shown}: {_plain_error(error)}"
    except TargetUnavailableError as error:
        return "warning", f"Slack {shown}: {error}: could not be checked; try again"
    if channel is None:
        return "wrong", f"Slack {shown}: there is no such channel, or it is private and the bot is not in it (/invite)"
    if channel.get("is_archived"):
        return "wrong", f"Slack {shown}: the channel is archived: choose another one"
    if not channel.get("is_member") and (channel.get("is_private") or "chat:write.public" not in scopes):
        return "wrong", f"Slack {shown}: the bot is not in the channel: /invite it, or give it chat:write.public"
    return "ok", f"Slack {shown}: the bot may post there"


def _plain_error(error: Exception) -> str:
    return explained(error.code) if isinstance(error, SlackRefusalError) else str(error)


# ---------------------------------------------------------------------------------------------------------------------
# The rules file


def read(value: Any) -> str:
    """Return a channel, as `#name` or by its id, or the address of an incoming webhook. Raise FieldError for another."""
    allowed = '"#name", a channel id, or an address of hooks.slack.com'
    text = text_value(value)
    if re.fullmatch(r"#[^\s#@,.:;!?<>&\"'/\\A-Z]{1,80}|[CGDU][A-Z0-9]{7,20}", text):
        return text
    if re.fullmatch(r"https://hooks\.slack(?:-gov)?\.com/\S{1,200}", text):
        return text
    if re.fullmatch(r"https?://(?:127\.0\.0\.1|localhost)(?::\d{1,5})?/\S{0,200}", text):
        return text
    name = "#" + re.sub(r"\s+", "-", text.lstrip("#@").strip().lower())
    suggestion = json.dumps(name, ensure_ascii=False) if re.fullmatch(r"#[^\s#@,.:;!?<>&\"'/\\]{1,80}", name) else ""
    raise FieldError(f"is not a Slack channel: {masked(text)!r}", allowed, suggestion)


def _parameters(address: str) -> tuple[str, ...]:
    """Return what a message reads, then what a press of its buttons does."""
    return (
        *("SLACK_BOT_TOKEN", "SLACK_API_URL", "VERCEL_TOKEN"),
        *("SLACK_TEAMS", "SLACK_GUESTS", "VERCEL_TEAM_ID", "VERCEL_API_URL"),
    )


def _names(text: str) -> bool:
    return (text.startswith("#") and len(text) > 1) or text.startswith("https://hooks.slack.com/")


DECLARED = TargetKind(
    title="Slack",
    meaning='"#name" in quotes, the id of a channel, or an incoming-webhook address.',
    read=read,
    schema={"type": "string", "pattern": r"^(#|[CGDU][A-Z0-9]|https?://)"},
    example="#alerts",
    can=Capabilities(edits=True, shows_silences=True, threads=True),
    sample=TargetSample(
        answer={"ok": True, "channel": "C0000000000", "ts": "1700000001.000100", "message": {}, "messages": []},
    ),
    names=_names,
    written=("#channel", "slack_channel:ID"),
    words=str,
    needs=(("SLACK_BOT_TOKEN", "no message can be sent to Slack"),),
    parameters=_parameters,
    place=1,
)
