"""Slack: one message per incident and channel, updated in place, with what changed in its thread.

By bot token (SLACK_BOT_TOKEN; SLACK_API_URL for another base) chat.postMessage opens the message, chat.update changes
it, and a reply in its thread says what is new: https://docs.slack.dev/reference/methods/chat.postMessage and
…/chat.update. Reminders and escalations are also shown in the channel, since an update makes no sound. By an
incoming-webhook address nothing can be updated: later notifications are short messages of their own.
Limits: https://docs.slack.dev/reference/block-kit. Text from outside is escaped (`&`, `<`, `>`) in every text object,
and measured escaped, in UTF-16 units, so that it fits however Slack counts.

Slack has no idempotency key. A message carries its notification's id as metadata; after a try that may have arrived,
the channel (or the thread) is read back for it first. Without the scopes to read it, a double is possible.
"""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from chalicelib.core.errors import TargetRejectedError, TargetUnavailableError
from chalicelib.core.event import Severity
from chalicelib.core.notification import Notification, Reason, Receipt
from chalicelib.core.ports import Clients
from chalicelib.core.wording import (
    State,
    alert_line,
    change,
    clean,
    cut,
    deploy_line,
    facts,
    links,
    notes,
    one_line,
    plain_text,
    runbook_steps,
    state,
    summary,
    title,
    utf16_units,
    why,
)
from chalicelib.targets._http import Answer, call, check_address, encoded, raise_for_status

KIND = "slack_channel"
MAX_TEXT_CHARACTERS = 4_000
"""Of a message: https://docs.slack.dev/reference/methods/chat.update (msg_too_long)."""
MAX_HEADER_CHARACTERS = 150
MAX_SECTION_CHARACTERS = 3_000
MAX_FIELD_CHARACTERS = 2_000
MAX_FIELDS = 10
MAX_CONTEXT_ELEMENTS = 10
MAX_BUTTON_CHARACTERS = 75
MAX_LISTED_ALERTS = 10
MAX_LISTED_EVIDENCE = 5
MAX_HISTORY_PAGES = 5
EVENT_TYPE = "tocsin_notification"

ACTION_ACK = "tocsin_ack"
ACTION_RESOLVE = "tocsin_resolve"
ACTION_SILENCE = "tocsin_silence"
ACTION_LINK = "tocsin_link"
"""Action ids. Buttons carry the incident's id as `value`; options of the menu carry `<choice>:<incident id>`."""

SILENCE_CHOICES = (("1h", "1 hour"), ("4h", "4 hours"), ("tomorrow", "Until tomorrow, 9:00"), ("custom", "Custom…"))

RATE_LIMIT_WAIT = timedelta(seconds=30)
"""When Slack says "too many" without saying how long."""
MIGRATION_WAIT = timedelta(minutes=5)
HISTORY_SLACK = timedelta(minutes=10)
"""The channel is read back from this long before the notification was decided: clocks differ."""

_TOO_MANY = frozenset({"ratelimited", "rate_limited", "message_limit_exceeded"})
_AMBIGUOUS = frozenset({"internal_error", "fatal_error", "service_unavailable", "request_timeout"})
_LATER = frozenset({"team_added_to_org", "org_login_required", "external_channel_migrating"})
_UPDATE_AGAIN = frozenset({"update_failed", "streaming_state_conflict"})
_CONTENT = frozenset(
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
_GONE = frozenset({"message_not_found", "cant_update_message", "edit_window_closed", "is_inactive", "block_mismatch"})
_NO_REPLY = frozenset(
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
_BASE = "https://slack.com/api"
_NOTICED = frozenset({Reason.OPENED, Reason.UPDATED, Reason.REMINDER, Reason.ESCALATED, Reason.RESOLVED, Reason.TEST})
_BROADCAST = frozenset({Reason.OPENED, Reason.REMINDER, Reason.ESCALATED})
_EMOJI = {State.ACKNOWLEDGED: "👀", State.SILENCED: "🔇", State.RESOLVED: "✅", State.TEST: "🧪"}
_SEVERITY_EMOJI = {Severity.CRITICAL: "🔴", Severity.WARNING: "🟠", Severity.INFO: "🔵"}


class _SlackError(Exception):
    """Slack's own code for a refusal that `send` can answer by another request."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def escaped(text: str) -> str:
    """The text with Slack's three control characters dead: mentions, links and special commands stay text."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def escaped_units(text: str) -> int:
    """How long a text is once escaped, in UTF-16 units: the most that Slack could count."""
    return utf16_units(escaped(text))


def render(notification: Notification, receipt: Mapping[str, str], *, plain: bool = False) -> dict[str, Any]:
    """The message without its channel: `text`, `blocks` and `metadata`; with `plain` only `text` and `metadata`."""
    body: dict[str, Any] = {"text": _fallback(notification), "metadata": _metadata(notification)}
    if plain:
        body["text"] = _cut(plain_text(notification), MAX_TEXT_CHARACTERS)
    else:
        body["blocks"] = _blocks(notification)
    return body


def render_reply(notification: Notification) -> dict[str, Any]:
    """What is new, in a few lines: the reply in the thread, or a follow-up where nothing can be updated."""
    said = [f"{_emoji(notification)} {change(notification)}", *notes(notification)]
    if notification.reason in (Reason.UPDATED, Reason.ESCALATED, Reason.REMINDER) and len(notification.alerts) > 1:
        said += [f"• {cut(alert_line(told), 300)}" for told in notification.alerts[:MAX_LISTED_ALERTS]]
        more = len(notification.alerts) - MAX_LISTED_ALERTS + notification.also
        said += [f"• and {more:,} more"] if more > 0 else []
    return {"text": _cut("\n".join(said), 2_500), "metadata": _metadata(notification)}


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
        doubt = "may be told twice: an earlier try was in doubt" if in_doubt else ""
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
        self._clients = clients
        self._receipt = receipt
        self._in_doubt = in_doubt
        self._now = now
        self._plain = plain
        self._notes: list[str] = []
        self._token = (clients.secret("SLACK_BOT_TOKEN") or "").strip()
        self._url = clients.setting("SLACK_API_URL", _BASE).rstrip("/")
        if not re.fullmatch(r"[!-~]+", self._token):
            raise TargetRejectedError("Slack: SLACK_BOT_TOKEN is not set to one word of ASCII")

    def send(self) -> Receipt:
        sync = self._notification.reason is Reason.SYNC
        if not self._receipt.get("ts"):
            return Receipt(note="no message to bring up to date") if sync else self._post()
        try:
            self._update()
        except _SlackError as refused:
            if refused.code not in _GONE:
                raise self._rejected(refused.code) from None
            if sync:
                return Receipt(note=f"the message cannot be updated any more ({refused.code})")
            self._notes.append(f"posted anew, since the message cannot be updated any more ({refused.code})")
            return self._post()
        if self._notification.reason in _NOTICED:
            self._reply()
        return self._done(self._receipt)

    def _post(self) -> Receipt:
        found = self._found_in_channel() if self._in_doubt else None
        if found is not None:
            return self._done(found)
        try:
            answer = self._call_with_blocks("chat.postMessage", {"channel": self._address, **_NO_PREVIEWS})
        except _SlackError as refused:
            raise self._rejected(refused.code) from None
        return self._done(_place(answer))

    def _update(self) -> None:
        """Harmless to repeat, so never ambiguous."""
        place = {"channel": self._receipt.get("channel") or self._address, "ts": self._receipt["ts"]}
        try:
            self._call_with_blocks("chat.update", place)
        except TargetUnavailableError as error:
            raise TargetUnavailableError(str(error), retry_after=error.retry_after) from None

    def _reply(self) -> None:
        if self._in_doubt and self._found_in_thread():
            return
        place = {"channel": self._receipt.get("channel") or self._address, **_NO_PREVIEWS}
        body = {**render_reply(self._notification), **place, "thread_ts": self._receipt["ts"]}
        body["reply_broadcast"] = self._notification.reason in _BROADCAST
        try:
            self._call("chat.postMessage", body)
        except _SlackError as refused:
            if refused.code not in _NO_REPLY:
                raise self._rejected(refused.code) from None
            self._reply_beside_thread({**render_reply(self._notification), **place}, refused.code)

    def _reply_beside_thread(self, body: dict[str, Any], code: str) -> None:
        self._notes.append(f"said in the channel, since the thread cannot be replied to ({code})")
        titled = f"{escaped(cut(title(self._notification), 300))}\n{body['text']}"
        try:
            self._call("chat.postMessage", {**body, "text": titled})
        except _SlackError as refused:
            raise self._rejected(refused.code) from None

    def _call_with_blocks(self, method: str, place: dict[str, Any]) -> dict[str, Any]:
        """The full form; the plain one when Slack refuses the content."""
        if self._plain:
            return self._call(method, {**render(self._notification, self._receipt, plain=True), **place})
        try:
            return self._call(method, {**render(self._notification, self._receipt), **place})
        except _SlackError as refused:
            if refused.code not in _CONTENT:
                raise
            self._notes.append(f"sent in plain form, since Slack refused the full one ({refused.code})")
        return self._call(method, {"text": render(self._notification, self._receipt, plain=True)["text"], **place})

    def _call(self, method: str, body: dict[str, Any]) -> dict[str, Any]:
        headers = {**self._authorization(), "Content-Type": "application/json; charset=utf-8"}
        timeout = self._notification.target.timeout
        url, content = f"{self._url}/{method}", encoded(body)
        answer = call(self._clients, "POST", url, name="Slack", content=content, headers=headers, timeout=timeout)
        return self._read(answer)

    def _get(self, method: str, params: dict[str, str]) -> dict[str, Any]:
        answer = call(
            self._clients, "GET", f"{self._url}/{method}", name="Slack", params=params, headers=self._authorization()
        )
        return self._read(answer)

    def _authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"}

    def _read(self, answer: Answer) -> dict[str, Any]:
        body = answer.json()
        code = body.get("error")
        is_refused = body.get("ok") is not True and isinstance(code, str)
        if is_refused and 200 <= answer.status < 500 and answer.status != 429:
            raise_for_code(str(code), answer, now=self._now)
        raise_for_status(answer, name="Slack", now=self._now, wait=RATE_LIMIT_WAIT)
        if body.get("ok") is not True:
            raise TargetUnavailableError("Slack: an answer that cannot be read", ambiguous=True)
        return body

    def _found_in_channel(self) -> Mapping[str, str] | None:
        """Where an earlier try of this notification was posted; None when it was not, or nobody may look."""
        oldest = (self._notification.at - HISTORY_SLACK).timestamp()
        try:
            channel = self._channel_id()
            if channel is None:
                raise _SlackError("channel_not_found")
            found = self._search("conversations.history", {"channel": channel, "oldest": f"{oldest:.6f}"})
        except (_SlackError, TargetRejectedError):
            self._notes.append("may be told twice: an earlier try was in doubt and the channel cannot be read")
            return None
        return {"channel": channel, "ts": found} if found else None

    def _found_in_thread(self) -> bool:
        params = {"channel": self._receipt.get("channel") or self._address, "ts": self._receipt["ts"]}
        try:
            return self._search("conversations.replies", params) is not None
        except (_SlackError, TargetRejectedError):
            self._notes.append("the reply may be doubled: an earlier try was in doubt and the thread cannot be read")
            return False

    def _search(self, method: str, params: dict[str, str]) -> str | None:
        """The ts of the message that carries this notification's id."""
        params = {**params, "include_all_metadata": "true", "limit": "200"}
        for _ in range(MAX_HISTORY_PAGES):
            page = self._get(method, params)
            for message in page.get("messages") or ():
                payload = (message.get("metadata") or {}).get("event_payload") or {}
                is_parent = method == "conversations.replies" and message.get("ts") == params["ts"]
                if payload.get("id") == self._notification.id and not is_parent:
                    return str(message.get("ts"))
            cursor = _next_cursor(page)
            if not cursor:
                return None
            params["cursor"] = cursor
        return None

    def _channel_id(self) -> str | None:
        """The id of the channel: reading it back needs one, posting does not."""
        if re.fullmatch(r"[CGD][A-Z0-9]{6,}", self._address):
            return self._address
        params = {"limit": "1000", "exclude_archived": "true", "types": "public_channel,private_channel"}
        for _ in range(MAX_HISTORY_PAGES):
            page = self._get("conversations.list", params)
            for channel in page.get("channels") or ():
                if channel.get("name") == self._address:
                    return str(channel.get("id"))
            cursor = _next_cursor(page)
            if not cursor:
                return None
            params["cursor"] = cursor
        return None

    def _done(self, values: Mapping[str, str]) -> Receipt:
        return Receipt(values=dict(values), note="; ".join(self._notes))

    def _rejected(self, code: str) -> TargetRejectedError:
        return TargetRejectedError(_explained(code))


def _place(answer: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(answer[name]) for name in ("channel", "ts") if answer.get(name)}


def _next_cursor(page: Mapping[str, Any]) -> str:
    return str((page.get("response_metadata") or {}).get("next_cursor") or "")


_NO_PREVIEWS: dict[str, Any] = {"unfurl_links": False, "unfurl_media": False}


def raise_for_code(code: str, answer: Answer, *, now: datetime) -> None:
    """The fate of Slack's error code. Codes that another request can answer are raised as they are, for `send`."""
    if code in _TOO_MANY:
        raise_for_status(Answer(429, answer.headers, ""), name=f"Slack: {code}", now=now, wait=RATE_LIMIT_WAIT)
    if code in _AMBIGUOUS:
        raise TargetUnavailableError(f"Slack: {code}", ambiguous=True)
    if code in _LATER:
        raise TargetUnavailableError(f"Slack: {code}", retry_after=MIGRATION_WAIT)
    if code in _UPDATE_AGAIN:
        raise TargetUnavailableError(f"Slack: {code}")
    if code in _CONTENT or code in _GONE or code in _NO_REPLY:
        raise _SlackError(code)
    raise TargetRejectedError(_explained(code))


def _explained(code: str) -> str:
    if code in _ADVICE:
        return f"Slack: {code}: {_ADVICE[code]}"
    if code in _CONTENT:
        return f"Slack: {code}: the message was refused in its plain form too"
    named = code if re.fullmatch(r"[a-z][a-z0-9_]{0,63}", code) else "a code that cannot be shown"
    return f"Slack: {named}: refused; see the list of errors of chat.postMessage"


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
    """An incoming webhook: the full message first, short follow-ups later; nothing can be updated or read back.

    https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
    """
    if notification.reason is Reason.SYNC:
        return Receipt(note="an incoming webhook cannot update its messages")
    check_address(address, clients, name="Slack")
    form = render_plain_webhook if plain else render_webhook
    try:
        _post_to_webhook(form(notification, receipt), notification, address, clients, now)
        return Receipt({"told": "1"}, note=doubt)
    except _SlackError as refused:
        code = refused.code
    try:
        _post_to_webhook(render_plain_webhook(notification, receipt), notification, address, clients, now)
    except _SlackError as refused:
        raise TargetRejectedError(_explained(refused.code)) from None
    return Receipt({"told": "1"}, note=f"sent in plain form, since Slack refused the full one ({code})")


def render_webhook(notification: Notification, receipt: Mapping[str, str]) -> dict[str, Any]:
    """What an incoming webhook is sent: blocks without the buttons that would need an update; later, a few lines."""
    if receipt.get("told"):
        named = escaped(cut(title(notification), 300))
        return {"text": f"*{named}*\n{render_reply(notification)['text']}"}
    return {"text": _fallback(notification), "blocks": _blocks(notification, updatable=False)}


def render_plain_webhook(notification: Notification, receipt: Mapping[str, str]) -> dict[str, Any]:
    """The plain form for an incoming webhook."""
    return {"text": render(notification, receipt, plain=True)["text"]}


def _post_to_webhook(
    body: dict[str, Any], notification: Notification, address: str, clients: Clients, now: datetime
) -> None:
    headers = {"Content-Type": "application/json; charset=utf-8"}
    timeout = notification.target.timeout
    answer = call(clients, "POST", address, name="Slack", content=encoded(body), headers=headers, timeout=timeout)
    code = answer.text.strip()
    if 400 <= answer.status < 500 and answer.status != 429 and re.fullmatch(r"[a-z][a-z0-9_]{0,63}", code):
        raise_for_code(code, answer, now=now)
    raise_for_status(answer, name="Slack", now=now, wait=RATE_LIMIT_WAIT)


def _metadata(notification: Notification) -> dict[str, Any]:
    return {"event_type": EVENT_TYPE, "event_payload": {"id": notification.id}}


def _emoji(notification: Notification) -> str:
    return _EMOJI.get(state(notification)) or _SEVERITY_EMOJI[notification.severity]


def _fallback(notification: Notification) -> str:
    """What a phone's notification and a screen reader say."""
    word = notification.severity.value if state(notification) is State.FIRING else state(notification).value
    return _cut(f"{_emoji(notification)} [{word}] {title(notification)}", 500)


def _cut(text: str, limit: int) -> str:
    return escaped(cut(text, limit, escaped_units))


def _plain(text: str, limit: int) -> dict[str, Any]:
    return {"type": "plain_text", "text": _cut(text, limit), "emoji": True}


def _mrkdwn(ready: str) -> dict[str, Any]:
    """A text object of text escaped already; `verbatim` keeps Slack from making links of what looks like one."""
    return {"type": "mrkdwn", "text": ready, "verbatim": True}


def _blocks(notification: Notification, *, updatable: bool = True) -> list[dict[str, Any]]:
    parts = {
        "header": {"type": "header", "text": _plain(_header(notification), MAX_HEADER_CHARACTERS)},
        "summary": _section(_summary(notification)),
        "facts": _fields(notification),
        "alerts": _section(_alerts(notification)),
        "deploy": _section(_deploy(notification)),
        "steps": _section(_steps(notification)),
        "notes": _context([f"📝 {_cut(note, 500)}" for note in notes(notification)]),
        "evidence": _context(_evidence(notification)),
        "why": _context([_why(notification)]),
        "actions": _actions(notification, updatable=updatable),
    }
    named = cut(one_line(notification.id), 200)
    return [{**block, "block_id": f"{name}:{named}"} for name, block in parts.items() if block]


def _header(notification: Notification) -> str:
    named = title(notification)
    return f"{_emoji(notification)} {'Test: ' if notification.reason is Reason.TEST else ''}{named}"


def _section(ready: str) -> dict[str, Any] | None:
    return {"type": "section", "text": _mrkdwn(ready)} if ready else None


def _context(ready: list[str]) -> dict[str, Any] | None:
    shown = [_mrkdwn(text) for text in ready if text][:MAX_CONTEXT_ELEMENTS]
    return {"type": "context", "elements": shown} if shown else None


def _summary(notification: Notification) -> str:
    """The state in words, then what the alerts say."""
    bold = {State.RESOLVED: "Resolved", State.ACKNOWLEDGED: "Acknowledged", State.SILENCED: "Silenced"}
    word = bold.get(state(notification), "Test" if notification.reason is Reason.TEST else "Firing")
    lines = [f"*{word}*"]
    found = dict.fromkeys(summary(told) for told in notification.alerts[:3])
    lines += [_cut(clean(text), 700) for text in found if text]
    whole = notification.title
    if utf16_units(escaped(title(notification))) > MAX_HEADER_CHARACTERS - 12:
        lines.insert(1, _cut(one_line(whole), 600))
    return "\n".join(lines)


def _fields(notification: Notification) -> dict[str, Any] | None:
    shown = [_mrkdwn(f"*{label}*\n{_cut(value, 600)}") for label, value in facts(notification)[:MAX_FIELDS]]
    return {"type": "section", "fields": shown} if shown else None


def _alerts(notification: Notification) -> str:
    if len(notification.alerts) < 2:
        return ""
    lines = [
        f"{'✅' if told.status == 'resolved' else _SEVERITY_EMOJI[told.severity]} {_cut(alert_line(told), 200)}"
        for told in notification.alerts[:MAX_LISTED_ALERTS]
    ]
    more = len(notification.alerts) - MAX_LISTED_ALERTS + notification.also
    return "\n".join([*lines, f"… and {more:,} more"] if more > 0 else lines)


def _evidence(notification: Notification) -> list[str]:
    lines = [f"🔇 {_cut(alert_line(told), 300)}" for told in notification.evidence[:MAX_LISTED_EVIDENCE]]
    more = len(notification.evidence) - MAX_LISTED_EVIDENCE
    return [*lines, f"… and {more:,} more beside it"] if more > 0 else lines


def _deploy(notification: Notification) -> str:
    if not notification.deploys:
        return ""
    return f"🚀 *Last deploy*\n{_cut(deploy_line(notification.deploys[0], notification), 600)}"


def _steps(notification: Notification) -> str:
    steps = runbook_steps(notification)
    if not steps or notification.runbook is None or state(notification) is State.RESOLVED:
        return ""
    named = f" · {_cut(one_line(notification.runbook.title), 150)}" if one_line(notification.runbook.title) else ""
    numbered = [f"{number}. {_cut(step, 500)}" for number, step in enumerate(steps, 1)]
    return "\n".join([f"*First steps*{named}", *numbered])


def _why(notification: Notification) -> str:
    found = why(notification)
    incident = _cut(f"incident {one_line(notification.incident)}", 100)
    return f"Why you: {_cut(found, 500)} · {incident}" if found else incident


def _actions(notification: Notification, *, updatable: bool) -> dict[str, Any] | None:
    elements: list[dict[str, Any]] = []
    if updatable and state(notification) not in (State.RESOLVED, State.TEST):
        elements += _controls(notification)
    for number, (label, address) in enumerate(links(notification, 4)):
        text = _plain(label, MAX_BUTTON_CHARACTERS)
        elements.append({"type": "button", "action_id": f"{ACTION_LINK}_{number}", "text": text, "url": address})
    return {"type": "actions", "elements": elements} if elements else None


def _controls(notification: Notification) -> list[dict[str, Any]]:
    incident = notification.incident
    buttons: list[dict[str, Any]] = []
    if not notification.acked_by:
        buttons.append(_button(ACTION_ACK, "Acknowledge", incident, style="primary"))
    options = [
        {"text": _plain(label, MAX_BUTTON_CHARACTERS), "value": f"{choice}:{incident}"}
        for choice, label in SILENCE_CHOICES
    ]
    placeholder = _plain("Silence", MAX_BUTTON_CHARACTERS)
    buttons.append(
        {"type": "static_select", "action_id": ACTION_SILENCE, "placeholder": placeholder, "options": options}
    )
    buttons.append(_button(ACTION_RESOLVE, "Resolve", incident))
    return buttons


def _button(action: str, label: str, incident: str, **style: str) -> dict[str, Any]:
    text = _plain(label, MAX_BUTTON_CHARACTERS)
    return {"type": "button", "action_id": action, "text": text, "value": incident, **style}
