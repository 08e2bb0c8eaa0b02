"""The modal in which a person says what to silence, until when and why: https://docs.slack.dev/surfaces/modals.

It is opened empty, within the three seconds that Slack gives, and filled with the incident's matchers a moment later.
Empty matchers mean those of the incident. It remembers the incident and the channel, where a person is answered when
the silence cannot be made after all: a submission brings no address for answers.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from chalicelib.api.requests import check_matchers, check_times, parse_text
from chalicelib.api.times import parse_when
from chalicelib.core.errors import RequestError
from chalicelib.messages.interaction import SILENCE_MODAL

MAX_TITLE_CHARACTERS = 24
MAX_MATCHERS_CHARACTERS = 3_000
MAX_COMMENT_CHARACTERS = 500
FIELDS = ("matchers", "until", "comment")
LATEST_ZONE = "Etc/GMT+12"
"""Where a wall time comes last: the zone of the incident is known only to the worker."""
FILLED = "matchers:filled"
"""The id of the block once it is filled: Slack keeps what was typed for an id that it knows already."""


def view(
    incident: str, *, channel: str = "", about: str = "", matchers: Sequence[str] = (), filled: bool = False
) -> dict[str, Any]:
    """Return the modal for an incident; `about` is ready-made mrkdwn that says which one."""
    lines = "\n".join(matchers)[:MAX_MATCHERS_CHARACTERS]
    which = _input(FILLED if filled else "matchers", "matchers", "Which alerts", optional=True, multiline=True)
    which["element"]["placeholder"] = _plain("service=checkout")
    which["hint"] = _plain(
        "One matcher a line: label=value; !=, =~ and !~ work too. Empty: the alerts of this incident."
    )
    if lines:
        which["element"]["initial_value"] = lines
    until = _input("until", "until", "For how long, or until when")
    until["element"]["initial_value"] = "2h"
    until["hint"] = _plain("2h, 1d 12h, 18:30, 6pm, tomorrow 14:00, friday or 2026-11-27 09:00")
    comment = _input("comment", "comment", "Why", optional=True, most=MAX_COMMENT_CHARACTERS)
    comment["element"]["placeholder"] = _plain("What others should know")
    shown = about or "The alerts of this incident are muted; nothing is lost, and they come back by themselves."
    return {
        "type": "modal",
        "callback_id": SILENCE_MODAL,
        "private_metadata": f"{incident} {channel}".strip(),
        "title": _plain("Silence"),
        "submit": _plain("Silence"),
        "close": _plain("Cancel"),
        "blocks": [
            {"type": "section", "block_id": "about", "text": {"type": "mrkdwn", "text": shown, "verbatim": True}},
            which,
            until,
            comment,
        ],
    }


def notice(text: str) -> dict[str, Any]:
    """Return what the modal becomes when there is nothing to silence: it has no fields and cannot be sent.

    `text` is mrkdwn, escaped.
    """
    return {
        "type": "modal",
        "callback_id": SILENCE_MODAL,
        "title": _plain("Silence"),
        "close": _plain("Close"),
        "blocks": [{"type": "section", "block_id": "about", "text": {"type": "mrkdwn", "text": text}}],
    }


def entered(values: Any) -> dict[str, str]:
    """Return what was typed, by field, from a submission's `state.values`."""
    found: dict[str, str] = {}
    for elements in values.values() if isinstance(values, Mapping) else ():
        for name, element in elements.items() if isinstance(elements, Mapping) else ():
            if name in FIELDS and isinstance(element, Mapping):
                found[name] = str(element.get("value") or "")[:MAX_MATCHERS_CHARACTERS]
    return found


def mistakes(fields: Mapping[str, str], values: Mapping[str, Any], now: datetime) -> dict[str, str]:
    """Return what is wrong, by the id of the block that it is shown under; empty when it can be done."""
    found: dict[str, str] = {}
    try:
        if matchers := parse_text(fields.get("matchers", "")):
            check_matchers(matchers)
    except RequestError as error:
        found[FILLED if FILLED in values else "matchers"] = str(error)
    try:
        ends_at = parse_when(fields.get("until", ""), now, LATEST_ZONE)
        if ends_at <= now:
            found["until"] = "This time has passed already."
        else:
            check_times(now, ends_at)
    except RequestError as error:
        found["until"] = str(error)
    return found


def _input(
    block: str, action: str, label: str, *, optional: bool = False, multiline: bool = False, most: int = 0
) -> dict[str, Any]:
    element: dict[str, Any] = {"type": "plain_text_input", "action_id": action, "multiline": multiline}
    if most:
        element["max_length"] = most
    return {"type": "input", "block_id": block, "label": _plain(label), "optional": optional, "element": element}


def _plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text, "emoji": True}
