"""Microsoft Teams: an Adaptive Card for each notification, by the webhook of a Workflow.

https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using. The flow "Post to a
channel when a webhook request is received" takes `{type: message, attachments: [card]}`. It names no message, so nothing
is changed afterwards: an update and the end are cards of their own. A 2xx says that the flow began, not that the card was
posted; the flow belongs to a person and ends with that account. The address holds its secret (`sig=`).
Text from outside is escaped: no Markdown, no `<at>`, no `{{DATE()}}`, and a card without `msteams.entities` calls nobody.
Limits: about 28 KB a message; version 1.4 of the card, since flows refuse later ones; four requests a second.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from chalicelib.core.delivery.links import links
from chalicelib.core.delivery.notification import Notification, Reason, Receipt
from chalicelib.core.delivery.target_kind import Capabilities, TargetCheck, TargetKind, TargetSample
from chalicelib.core.delivery.target_state import Pace
from chalicelib.core.delivery.text import DisplayState, plain_text, state
from chalicelib.core.delivery.writing import cut
from chalicelib.core.errors import FieldError, TargetRejectedError
from chalicelib.core.event import Severity
from chalicelib.core.field import text_value
from chalicelib.core.ports import Clients
from chalicelib.core.rule import Target
from chalicelib.targets._card import (
    Markdown,
    alert_lines,
    beside_lines,
    fact_pairs,
    fallback,
    heading,
    lead_lines,
    step_lines,
    top_lines,
    why_line,
)
from chalicelib.targets._doubt import noted
from chalicelib.targets._http import encoded, raise_for_status, send_to
from chalicelib.targets._named import address_of, checked_address, parameters_of, place, read_address, words

KIND = "teams"
TITLE = "Teams"
PACE = Pace(timedelta(seconds=1), together=4)
CARD_VERSION = "1.4"
MAX_BODY_BYTES = 25_000
"""Of the about 28 KB that Teams takes, everything counted."""
MAX_FACTS = 12
MAX_ACTIONS = 5
MAX_ADDRESS_CHARACTERS = 2_000
RATE_LIMIT_WAIT = timedelta(seconds=30)
_STATE_COLORS = {
    DisplayState.ACKNOWLEDGED: "Accent",
    DisplayState.SILENCED: "Default",
    DisplayState.RESOLVED: "Good",
    DisplayState.TEST: "Accent",
}
_SEVERITY_COLORS = {Severity.CRITICAL: "Attention", Severity.WARNING: "Warning", Severity.INFO: "Accent"}
MARKDOWN = Markdown(
    special=re.compile(r"[\\*_~`\[\]()#]"),
    link="[{text}]({address})",
    unlinkable="() {",
    breakable=re.compile(r"<|\{(?=\{)"),
    broken="<{",
)
"""What is broken is the beginning of a mention, and of an expression that a card evaluates."""
_RETIRED = re.compile(r"https://[\w.-]+\.webhook\.office\.com/\S*|https://outlook\.office(?:365)?\.com/webhook/\S*")
_FLOW = re.compile(
    r"https://[\w.-]+\.(?:logic\.azure\.(?:com|us|cn)|api\.powerplatform\.(?:com|us|cn)|flow\.microsoft\.com)(?::443)?/\S{1,2000}"
)


def render(notification: Notification, receipt: Mapping[str, str], *, plain: bool = False) -> dict[str, Any]:
    """Return the message with one card; with `plain` a card that is one text."""
    if plain:
        text = MARKDOWN.cut(plain_text(notification), 4_000)
        return _message([_text_block(text.replace("\n", "\n\n"))], [], notification)
    body, actions = _blocks(notification), _actions(notification)
    while len(encoded(_message(body, actions, notification))) > MAX_BODY_BYTES and len(body) + len(actions) > 1:
        body, actions = (body[:-1], actions) if len(body) > 1 else (body, actions[:-1])
    return _message(body, actions, notification)


def _message(body: list[dict[str, Any]], actions: list[dict[str, Any]], notification: Notification) -> dict[str, Any]:
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": CARD_VERSION,
        "fallbackText": cut(MARKDOWN.escaped(fallback(notification)), 300),
        "body": body,
        "msteams": {"width": "Full"},
    }
    if actions:
        card["actions"] = actions
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


def _blocks(notification: Notification) -> list[dict[str, Any]]:
    """Return the parts of the card, the important first: those behind leave a card that is too large."""
    color = _STATE_COLORS.get(state(notification)) or _SEVERITY_COLORS[notification.severity]
    shown = [
        (MARKDOWN.cut(label, 60), MARKDOWN.cut(value, 300)) for label, value in fact_pairs(notification, MAX_FACTS)
    ]
    parts: list[dict[str, Any] | None] = [
        _text_block(MARKDOWN.cut(heading(notification), 300), weight="Bolder", size="Large", color=color),
        _lines(lead_lines(notification, MARKDOWN)),
        _lines(alert_lines(notification, MARKDOWN)),
        {"type": "FactSet", "facts": [{"title": name, "value": value} for name, value in shown]} if shown else None,
        _lines(top_lines(notification, MARKDOWN)),
        _lines(step_lines(notification, MARKDOWN)),
        _lines(beside_lines(notification, MARKDOWN)),
        _text_block(MARKDOWN.cut(why_line(notification), 400), size="Small", isSubtle=True),
    ]
    return [part for part in parts if part is not None]


def _text_block(text: str, **style: Any) -> dict[str, Any]:
    return {"type": "TextBlock", "text": text, "wrap": True, **style}


def _lines(lines: Iterable[str]) -> dict[str, Any] | None:
    """Return a text with a break behind each line, which Markdown writes as an empty line."""
    text = "\n\n".join(line.replace("\n", "\n\n") for line in lines)
    return _text_block(text) if text else None


def _actions(notification: Notification) -> list[dict[str, Any]]:
    found = [(label, url) for label, url in links(notification, MAX_ACTIONS) if len(url) <= MAX_ADDRESS_CHARACTERS]
    return [{"type": "Action.OpenUrl", "title": cut(label, 80), "url": url} for label, url in found[:MAX_ACTIONS]]


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
    """Post a card. After a try that may have arrived it may come twice, and the receipt says so."""
    if notification.reason is Reason.SYNC:
        return Receipt(note="a card in Teams cannot be changed", sent=False)
    url = address_of(KIND, address, clients, title=TITLE)
    timeout = notification.target.timeout
    post = partial(
        send_to, clients, "POST", url, name=TITLE, headers={"Content-Type": "application/json"}, timeout=timeout
    )
    answer, note = post(content=encoded(render(notification, receipt, plain=plain))), ""
    if answer.status in (400, 413) and not plain:
        note = f"sent in plain form, since Teams refused the full one (HTTP {answer.status})"
        answer = post(content=encoded(render(notification, receipt, plain=True)))
    if answer.status in (400, 401, 403, 404):
        raise TargetRejectedError(
            f"Teams: HTTP {answer.status}: the flow is gone, switched off or refuses the card: make a new one, set it "
            f"{place(KIND, address)}"
        )
    raise_for_status(answer, name=TITLE, now=now, wait=RATE_LIMIT_WAIT)
    return Receipt({"told": "1"}, noted(note, in_doubt=in_doubt), in_doubt)


# ---------------------------------------------------------------------------------------------------------------------
# The rules file and the operator


def _is_flow(url: str) -> bool:
    return _FLOW.fullmatch(url) is not None


_FORM = "https://….logic.azure.com/workflows/… or https://….api.powerplatform.com/…"


def read(value: Any) -> Any:
    """Return true, a name, or the address of a flow. Raise FieldError for anything else, a retired connector too."""
    if value is not True and _RETIRED.fullmatch(text_value(value)):
        raise FieldError(
            "is an Office 365 connector, which Microsoft retires",
            'the address of a flow "when a webhook request is received"',
        )
    return read_address(value, title=TITLE, is_right=_is_flow, allowed=f"true, a name, or {_FORM}")


def check_target(target: Target, clients: Clients) -> TargetCheck:
    """Return whether the address of a flow is set, and has the form of one."""
    return checked_address(KIND, target, clients, title=TITLE, is_right=_is_flow, form=_FORM)


DECLARED = TargetKind(
    title=TITLE,
    meaning="true, a name, or the address of a Teams Workflows webhook.",
    read=read,
    schema={"anyOf": [{"const": True}, {"type": "string", "minLength": 1}]},
    example="ops",
    can=Capabilities(shows_silences=True),
    sample=TargetSample(answer=""),
    names=_is_flow,
    written=("teams", "teams:NAME"),
    words=partial(words, TITLE),
    parameters=partial(parameters_of, KIND),
    place=6,
)
