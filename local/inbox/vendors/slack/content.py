"""What a call carries: text, blocks, attachments, metadata and modals, checked against Slack's limits."""

import json
import secrets
from typing import Any

from local.inbox.exchange import Json, units
from local.inbox.vendors.slack.blocks import mistakes, view_mistakes
from local.inbox.vendors.slack.workspace import SlackError

MAX_TEXT_CHARACTERS = 40_000
MAX_UPDATE_CHARACTERS = 4_000
MAX_ATTACHMENTS = 100
MAX_METADATA_CHARACTERS = 8_000


def content_of(fields: Json, most_text: int, *, required: bool = True) -> Json:
    """Return `text`, `blocks` and `attachments` of a message, checked."""
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


def view_of(fields: Json) -> Json:
    """Return the modal of a call, checked."""
    view = fields.get("view")
    found = view_mistakes(view)
    if found or not isinstance(view, dict):
        raise SlackError("invalid_arguments", response_metadata={"messages": found})
    return view


def is_true(value: Any) -> bool:
    """Return whether an argument says yes, in JSON or in a form."""
    return value is True or str(value).lower() in ("true", "1")


def is_json(body: bytes) -> bool:
    """Return whether a body is JSON."""
    try:
        json.loads(body)
    except ValueError:
        return False
    return True


def is_json_object(body: bytes) -> bool:
    """Return whether a body is a JSON object."""
    return is_json(body) and isinstance(json.loads(body), dict)


def json_object(text: str) -> Json:
    """Return the JSON object of a text; {} when it is none."""
    return dict(json.loads(text)) if is_json_object(text.encode()) else {}


def argument(text: str, name: str) -> Any:
    """Return an argument that a form carries as JSON text."""
    codes = {"blocks": "invalid_blocks_format", "metadata": "invalid_metadata_format"}
    try:
        return json.loads(text)
    except ValueError:
        raise SlackError(codes.get(name, "invalid_arguments")) from None


def page_of(found: list[Json], fields: Json, *, most: int, usual: int = 100) -> tuple[list[Json], str]:
    """Return one page by `limit` and `cursor`, and the cursor of the next."""
    try:
        limit = int(fields.get("limit") or usual)
        start = int(str(fields.get("cursor") or "0:").partition(":")[0])
    except ValueError:
        raise SlackError("invalid_cursor") from None
    if not 1 <= limit <= most or start < 0:
        raise SlackError("invalid_limit")
    end = start + limit
    return found[start:end], f"{end}:" if end < len(found) else ""


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
