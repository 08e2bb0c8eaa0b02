"""Discord: one message for each incident and webhook, edited in place; what must be noticed is a message of its own.

A webhook's address names its channel, and holds its token: https://docs.discord.com/developers/resources/webhook.
`?wait=true` returns the message, whose id an edit needs; `?thread_id=` of the address is kept. An edit makes no sound, so
reminders, escalations and what is worse are also said in a short message. A message that is gone is posted anew. Discord
has no idempotency key and a webhook cannot read its channel: after a doubt a message may come twice.
Text from outside is escaped, and `allowed_mentions` is empty: nothing in it calls anybody.
Limits: 10 embeds, title 256, description 4,096, 25 fields (name 256, value 1,024), footer 2,048, together 6,000 characters,
content 2,000; five link buttons in a row. Requests: what 429 says, in Retry-After or in the body.
"""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from chalicelib.core.delivery.links import links
from chalicelib.core.delivery.notification import Notification, Reason, Receipt
from chalicelib.core.delivery.target_kind import Capabilities, TargetCheck, TargetKind, TargetSample
from chalicelib.core.delivery.target_state import Pace
from chalicelib.core.delivery.text import DisplayState, plain_text, state, title
from chalicelib.core.delivery.writing import cut, utf16_units
from chalicelib.core.errors import TargetRejectedError, TargetUnavailableError
from chalicelib.core.event import Severity
from chalicelib.core.ports import Clients
from chalicelib.core.rule import Target
from chalicelib.targets._card import (
    Markdown,
    alert_lines,
    beside_lines,
    emoji,
    fact_pairs,
    heading,
    lead_lines,
    news_line,
    step_lines,
    top_lines,
    why_line,
)
from chalicelib.targets._doubt import noted
from chalicelib.targets._http import MAX_RETRY_AFTER, VendorAnswer, encoded, raise_for_status, send_to
from chalicelib.targets._named import address_of, checked_address, parameters_of, place, read_address, words

KIND = "discord"
TITLE = "Discord"
PACE = Pace(timedelta(seconds=1), together=4, silent=timedelta(seconds=2))
"""Discord publishes no rate of webhooks: this stays below what 429 answers show, and those are kept."""
MAX_CONTENT_CHARACTERS = 2_000
MAX_TITLE_CHARACTERS = 256
MAX_DESCRIPTION_CHARACTERS = 2_600
MAX_FIELDS = 12
MAX_FIELD_CHARACTERS = 180
MAX_FOOTER_CHARACTERS = 300
MAX_EMBED_CHARACTERS = 6_000
MAX_INLINE_CHARACTERS = 40
MAX_BUTTONS = 5
MAX_BUTTON_CHARACTERS = 80
MAX_BUTTON_ADDRESS_CHARACTERS = 512
MAX_ADDRESS_CHARACTERS = 2_000
RATE_LIMIT_WAIT = timedelta(seconds=30)
NO_MENTIONS: Mapping[str, Any] = {"parse": []}
_RED, _ORANGE, _BLUE, _GREEN, _GREY, _PURPLE = 0xC0392B, 0xE67E22, 0x2980B9, 0x27AE60, 0x95A5A6, 0x8E44AD
_STATE_COLORS = {
    DisplayState.ACKNOWLEDGED: _PURPLE,
    DisplayState.SILENCED: _GREY,
    DisplayState.CLOSING: _GREEN,
    DisplayState.RESOLVED: _GREEN,
    DisplayState.TEST: _BLUE,
}
_SEVERITY_COLORS = {Severity.CRITICAL: _RED, Severity.WARNING: _ORANGE, Severity.INFO: _BLUE}
MARKDOWN = Markdown(re.compile(r"[\\*_~`|<>\[\]()#@]"), link="[{text}](<{address}>)", unlinkable="<>() ")
_WEBHOOK = re.compile(
    r"https://(?:(?:ptb|canary)\.)?discord(?:app)?\.com/api(?:/v\d{1,2})?/webhooks/\d{1,20}/[A-Za-z0-9_-]{1,200}(?:\?\S{0,200})?"
)


def render(notification: Notification, receipt: Mapping[str, str], *, plain: bool = False) -> dict[str, Any]:
    """Return the message: one embed with buttons that are links; with `plain` nothing but text."""
    body: dict[str, Any] = {"username": "Tocsin", "allowed_mentions": dict(NO_MENTIONS), "content": ""}
    if plain:
        return {
            **body,
            "content": MARKDOWN.cut(plain_text(notification), MAX_CONTENT_CHARACTERS),
            "embeds": [],
            "components": [],
        }
    return {**body, "embeds": [_embed(notification)], "components": _buttons(notification)}


def render_news(notification: Notification) -> dict[str, Any]:
    """Return the short message beside one that was edited: what is new, and of what."""
    named = f"{emoji(notification)} **{MARKDOWN.cut(title(notification), 300)}**"
    text = f"{named}\n{MARKDOWN.cut(news_line(notification), 1_400)}"
    return {"username": "Tocsin", "allowed_mentions": dict(NO_MENTIONS), "content": text}


def _embed(notification: Notification) -> dict[str, Any]:
    embed: dict[str, Any] = {
        "title": MARKDOWN.cut(heading(notification), MAX_TITLE_CHARACTERS),
        "description": _description(notification),
        "color": _STATE_COLORS.get(state(notification)) or _SEVERITY_COLORS[notification.severity],
        "timestamp": notification.incident.started_at.isoformat(),
        "fields": [_field(label, value) for label, value in fact_pairs(notification, MAX_FIELDS)],
        "footer": {"text": cut(why_line(notification), MAX_FOOTER_CHARACTERS)},
    }
    first = next((url for _, url in links(notification) if len(url) <= MAX_ADDRESS_CHARACTERS), None)
    return {**embed, "url": first} if first else embed


def _field(label: str, value: str) -> dict[str, Any]:
    inline = utf16_units(value) <= MAX_INLINE_CHARACTERS
    return {"name": MARKDOWN.cut(label, 60), "value": MARKDOWN.cut(value, MAX_FIELD_CHARACTERS), "inline": inline}


def _description(notification: Notification) -> str:
    """Return the parts of the text, the important first, as many whole lines as fit."""
    parts = (lead_lines, alert_lines, top_lines, step_lines, beside_lines)
    lines = [line for part in parts for line in part(notification, MARKDOWN)] + _long_links(notification)
    kept: list[str] = []
    room = MAX_DESCRIPTION_CHARACTERS
    for line in lines:
        room -= utf16_units(line) + 1
        if room < 0:
            break
        kept.append(line)
    return "\n".join(kept)


def _long_links(notification: Notification) -> list[str]:
    """Return the links that no button takes."""
    found = links(notification, MAX_BUTTONS)
    return [MARKDOWN.linked(label, url) for label, url in found if len(url) > MAX_BUTTON_ADDRESS_CHARACTERS]


def _buttons(notification: Notification) -> list[dict[str, Any]]:
    """Return a row of links: https://docs.discord.com/developers/components/reference."""
    found = [
        {"type": 2, "style": 5, "label": cut(label, MAX_BUTTON_CHARACTERS), "url": url}
        for label, url in links(notification, MAX_BUTTONS)[:MAX_BUTTONS]
        if len(url) <= MAX_BUTTON_ADDRESS_CHARACTERS
    ]
    return [{"type": 1, "components": found}] if found else []


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
    """Post, or edit what was posted. After a try that may have arrived a message may come twice, and the receipt says so."""
    webhook = _Webhook(
        address_of(KIND, address, clients, title=TITLE), clients, notification.target.timeout, now, address
    )
    sync = notification.reason is Reason.SYNC
    message = receipt.get("message", "")
    if not message and sync:
        return Receipt(note="no message to bring up to date", sent=False)
    if not message:
        return _posted(webhook, notification, receipt, "", in_doubt=in_doubt, plain=plain)
    answer, note = webhook.edit(message, *_forms(notification, receipt, plain=plain))
    if answer.status == 404 and sync:
        return Receipt(note="the message is gone and cannot be edited")
    if answer.status == 404:
        again = "posted anew, since the message is gone"
        return _posted(webhook, notification, receipt, again, in_doubt=in_doubt, plain=plain)
    if notification.sounds:
        webhook.post(render_news(notification))
    doubled = in_doubt and notification.sounds
    return Receipt({"message": message}, noted(note, in_doubt=doubled), doubled)


def _posted(
    webhook: "_Webhook",
    notification: Notification,
    receipt: Mapping[str, str],
    note: str,
    *,
    in_doubt: bool,
    plain: bool,
) -> Receipt:
    answer, refused = webhook.post(*_forms(notification, receipt, plain=plain))
    message = str(answer.json().get("id") or "")
    nameless = "" if message else "Discord did not name the message"
    notes = noted(note, refused, nameless, in_doubt=in_doubt)
    return Receipt({"message": message} if message else {}, notes, in_doubt)


def _forms(notification: Notification, receipt: Mapping[str, str], *, plain: bool) -> tuple[dict[str, Any], ...]:
    """Return the forms of a message in the order in which they are tried."""
    last = render(notification, receipt, plain=True)
    return (last,) if plain else (render(notification, receipt), last)


class _Webhook:
    """The calls of one webhook in one try."""

    def __init__(self, url: str, clients: Clients, timeout: timedelta | None, now: datetime, name: str) -> None:
        self._url = url
        self._clients = clients
        self._timeout = timeout
        self._now = now
        self._name = name

    def post(self, *forms: dict[str, Any]) -> tuple[VendorAnswer, str]:
        """Post the first form that is taken; return the answer, and a note when it is not the first one."""
        answer, note = self._taken("POST", _address(self._url, "", wait="true"), forms)
        self._raise_for_answer(answer)
        return answer, note

    def edit(self, message: str, *forms: dict[str, Any]) -> tuple[VendorAnswer, str]:
        """Return edit a message likewise. It may be repeated, so it is never in doubt. A message that is gone answers 404."""
        try:
            answer, note = self._taken("PATCH", _address(self._url, f"/messages/{message}"), forms)
            if answer.status != 404:
                self._raise_for_answer(answer)
        except TargetUnavailableError as error:
            raise TargetUnavailableError(str(error), retry_after=error.retry_after) from None
        return answer, note

    def _taken(self, method: str, url: str, forms: tuple[dict[str, Any], ...]) -> tuple[VendorAnswer, str]:
        answer = self._call(method, url, forms[0])
        if answer.status not in (400, 413) or len(forms) == 1:
            return answer, ""
        note = f"sent in plain form, since Discord refused the full one (HTTP {answer.status})"
        return self._call(method, url, forms[-1]), note

    def _call(self, method: str, url: str, body: Mapping[str, Any]) -> VendorAnswer:
        sent = {name: value for name, value in body.items() if method == "POST" or name != "username"}
        headers = {"Content-Type": "application/json", "User-Agent": "Tocsin"}
        return send_to(
            self._clients, method, url, name=TITLE, content=encoded(sent), headers=headers, timeout=self._timeout
        )

    def _raise_for_answer(self, answer: VendorAnswer) -> None:
        if answer.status in (401, 403, 404):
            raise TargetRejectedError(
                f"Discord: HTTP {answer.status}: the webhook is gone or its address is wrong: make a new one, set it "
                f"{place(KIND, self._name)}"
            )
        if answer.status in (400, 413):
            raise TargetRejectedError(f"Discord: HTTP {answer.status}: the message was refused in its plain form too")
        raise_for_status(answer, name=TITLE, now=self._now, wait=_asked(answer))


def _asked(answer: VendorAnswer) -> timedelta:
    """Return the wait that the body of a 429 asks for; RATE_LIMIT_WAIT when it cannot be read or believed."""
    seconds = answer.json().get("retry_after")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return RATE_LIMIT_WAIT
    return timedelta(seconds=seconds) if 0 <= seconds <= MAX_RETRY_AFTER.total_seconds() else RATE_LIMIT_WAIT


def _address(url: str, path: str, **more: str) -> str:
    """Return the address of a call: the webhook's own, with its thread and what the call adds."""
    parts = urlsplit(url)
    kept = [(name, value) for name, value in parse_qsl(parts.query) if name == "thread_id"]
    query = urlencode([*more.items(), ("with_components", "true"), *kept])
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/") + path, query, ""))


# ---------------------------------------------------------------------------------------------------------------------
# The rules file and the operator


def _is_webhook(url: str) -> bool:
    return _WEBHOOK.fullmatch(url) is not None


_FORM = "https://discord.com/api/webhooks/ID/TOKEN"
read = partial(read_address, title=TITLE, is_right=_is_webhook, allowed=f"true, a name, or {_FORM}")


def check_target(target: Target, clients: Clients) -> TargetCheck:
    """Return whether the address of a webhook is set, and has the form of one."""
    return checked_address(KIND, target, clients, title=TITLE, is_right=_is_webhook, form=_FORM)


def _names(text: str) -> bool:
    return text.startswith(("https://discord.com/", "https://discordapp.com/"))


DECLARED = TargetKind(
    title=TITLE,
    meaning="true, a name, or the address of a Discord webhook.",
    read=read,
    schema={"anyOf": [{"const": True}, {"type": "string", "minLength": 1}]},
    example="ops",
    can=Capabilities(edits=True, shows_silences=True, threads=True),
    sample=TargetSample(answer={"id": "1300000000000000001", "channel_id": "9"}),
    names=_names,
    written=("discord", "discord:NAME"),
    words=partial(words, TITLE),
    parameters=partial(parameters_of, KIND),
    place=5,
)
