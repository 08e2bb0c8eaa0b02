"""Slack's messages, attachments and modals as HTML, close to what Slack shows: https://docs.slack.dev/reference/block-kit.

Nothing from outside reaches the page unescaped. Colours travel as data attributes, since the page's policy allows no
inline style; pictures are named, not loaded.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from html import escape
from typing import Any

from local.inbox.drawing.mrkdwn import date_text, link, mrkdwn, plain
from local.inbox.exchange import Json

COLOURS = {"good": "#2eb67d", "warning": "#ecb22e", "danger": "#e01e5a"}
SHOWN_REPLIES = 3
Names = Mapping[str, str]


def draw_blocks(blocks: Any, names: Names) -> str:
    """Draw the blocks of a message or modal, one below the other."""
    found = blocks if isinstance(blocks, list) else []
    return "".join(_block(block, names) for block in found if isinstance(block, dict))


def draw_message(message: Json, names: Names, *, replies: list[Json] | None = None, now: float | None = None) -> str:
    """Draw a message with its thread. `message` is as the memory keeps it; `now` marks what just came in."""
    ts, channel = attribute(message["ts"]), attribute(message["channel"])
    css = "message ephemeral" if message.get("only_for") else "message"
    if now is not None and now - max(float(message["ts"]), float(message.get("updated_at") or 0)) < 4:
        css += " fresh"
    return (
        f'<article class="{css}" id="m{ts}" data-ts="{ts}" data-channel="{channel}">'
        '<img class="avatar" src="/static/icon.svg" alt="">'
        f'<div class="said">{_only_you(message, names)}{_byline(message)}'
        f'<div class="content">{_content(message, names)}</div>{_thread(replies or [], names, now)}</div></article>'
    )


def draw_view(view: Json, names: Names) -> str:
    """Draw a modal, as the form that the page submits."""
    title = plain(_words(view.get("title")))
    close = plain(_words(view.get("close")) or "Cancel")
    submit = (
        f'<button class="button primary" type="submit">{plain(_words(view["submit"]))}</button>'
        if view.get("submit")
        else ""
    )
    return (
        f'<form class="modal" data-view="{attribute(view["id"])}" role="dialog" aria-modal="true">'
        f'<header><img class="avatar small" src="/static/icon.svg" alt=""><h2>{title}</h2>'
        '<button type="button" class="close" data-close aria-label="Close">✕</button></header>'
        f'<div class="modal-body">{draw_blocks(view.get("blocks"), names)}</div>'
        f'<footer><button class="button" type="button" data-close>{close}</button>{submit}</footer></form>'
    )


def attribute(text: Any) -> str:
    """Return a text for use within double quotes."""
    return escape(str(text), quote=True)


def clock_time(at: float, form: str = "{time}") -> str:
    """Return a time in UTC that the page's script shows in the reader's zone."""
    moment = datetime.fromtimestamp(at, UTC)
    return (
        f'<time datetime="{moment.isoformat()}" data-unix="{at:.0f}" data-form="{attribute(form)}"'
        f' title="{moment:%Y-%m-%d %H:%M:%S} UTC">{date_text(moment, form)}</time>'
    )


# Messages ------------------------------------------------------------------------------------------------------


def _only_you(message: Json, names: Names) -> str:
    if not message.get("only_for"):
        return ""
    return f'<div class="note">👁 Only visible to {escape(names.get(message["only_for"], "one person"))}</div>'


def _byline(message: Json) -> str:
    hook = " incoming webhook" if message.get("by_hook") else ""
    changed = f'<span class="note">updated {message["updates"]}×</span>' if message.get("updates") else ""
    broadcast = '<div class="note">↪ replied to a thread</div>' if message.get("reply_broadcast") else ""
    return (
        f'<div class="byline"><b>{escape(message.get("username") or "Tocsin")}</b><span class="app">APP</span>'
        f"{clock_time(float(message['ts']))}<span class='note'>{hook}</span>{changed}</div>{broadcast}"
    )


def _content(message: Json, names: Names) -> str:
    edited = ' <span class="note">(edited)</span>' if message.get("edited") else ""
    blocks, text = message.get("blocks"), message.get("text") or ""
    body = draw_blocks(blocks, names) if blocks else _paragraph(text, names, edited)
    attachments = "".join(_attachment(each, names) for each in message.get("attachments") or ())
    return body + attachments


def _paragraph(text: str, names: Names, edited: str = "") -> str:
    return f'<div class="text" dir="auto">{mrkdwn(text, names=names)}{edited}</div>' if text else edited


def _thread(replies: list[Json], names: Names, now: float | None) -> str:
    if not replies:
        return ""
    drawn = [draw_message(each, names, now=now) for each in replies]
    count = f"{len(replies)} {'reply' if len(replies) == 1 else 'replies'}"
    early = "".join(drawn[:-SHOWN_REPLIES])
    if early:
        hidden = len(replies) - SHOWN_REPLIES
        early = f'<details data-keep="{attribute(replies[0]["thread_ts"])}"><summary>Show {hidden} earlier</summary>{early}</details>'
    last = clock_time(float(replies[-1]["ts"]))
    return (
        f'<div class="thread"><div class="thread-head">{count}<span class="note">last at {last}</span></div>'
        f"{early}{''.join(drawn[-SHOWN_REPLIES:])}</div>"
    )


def _attachment(attachment: Json, names: Names) -> str:
    colour = str(attachment.get("color") or "#dddddd")
    colour = COLOURS.get(colour, colour if colour.startswith("#") else f"#{colour}")
    colour = colour if re.fullmatch(r"#[0-9a-fA-F]{3,8}", colour) else "#dddddd"
    pretext = _paragraph(str(attachment.get("pretext") or ""), names)
    inside = draw_blocks(attachment.get("blocks"), names) if attachment.get("blocks") else _legacy(attachment, names)
    return f'{pretext}<div class="attachment" data-colour="{colour}">{inside}</div>'


def _legacy(attachment: Json, names: Names) -> str:
    """Draw an attachment of the old kind: title, text, fields, footer."""
    parts: list[str] = []
    if author := attachment.get("author_name"):
        parts.append(f'<div class="note">{plain(str(author))}</div>')
    if title := attachment.get("title"):
        parts.append(f"<div><b>{link(str(attachment.get('title_link') or ''), plain(str(title)))}</b></div>")
    parts.append(_paragraph(str(attachment.get("text") or ""), names))
    fields = [each for each in attachment.get("fields") or () if isinstance(each, dict)]
    cells = [
        f"<b>{plain(str(each.get('title') or ''))}</b><br>{mrkdwn(str(each.get('value') or ''), names=names)}"
        for each in fields
    ]
    parts.append(_cells(cells))
    if footer := attachment.get("footer"):
        parts.append(f'<div class="note">{mrkdwn(str(footer), names=names)}</div>')
    return "".join(parts) or _paragraph(str(attachment.get("fallback") or ""), names)


# Blocks --------------------------------------------------------------------------------------------------------


def _block(block: Json, names: Names) -> str:
    draw = _BLOCKS.get(str(block.get("type")))
    if draw is None:
        return f'<div class="block unknown">A block of type {escape(str(block.get("type")))} is not drawn here</div>'
    return f'<div class="block {attribute(block["type"])}" data-block-id="{attribute(block.get("block_id", ""))}">{draw(block, names)}</div>'


def _text(found: Any, names: Names) -> str:
    """Draw a text object."""
    if not isinstance(found, dict):
        return ""
    text = str(found.get("text") or "")
    if found.get("type") == "mrkdwn":
        return mrkdwn(text, names=names, verbatim=bool(found.get("verbatim")))
    return plain(text, emoji=found.get("emoji") is not False)


def _words(found: Any) -> str:
    return str(found.get("text") or "") if isinstance(found, dict) else ""


def _header(block: Json, names: Names) -> str:
    return f'<h3 dir="auto">{_text(block.get("text"), names)}</h3>'


def _section(block: Json, names: Names) -> str:
    text = f'<div class="text" dir="auto">{_text(block["text"], names)}</div>' if block.get("text") else ""
    fields = _cells([_text(each, names) for each in block.get("fields") or ()])
    accessory = block.get("accessory")
    beside = f'<div class="accessory">{_element(accessory, names)}</div>' if isinstance(accessory, dict) else ""
    return f'<div class="grow">{text}{fields}</div>{beside}'


def _cells(cells: list[str]) -> str:
    inside = "".join(f'<div dir="auto">{cell}</div>' for cell in cells)
    return f'<div class="fields">{inside}</div>' if inside else ""


def _context(block: Json, names: Names) -> str:
    drawn = []
    for each in block.get("elements") or ():
        if isinstance(each, dict) and each.get("type") == "image":
            drawn.append(f'<span class="picture" title="{attribute(each.get("alt_text", ""))}">🖼</span>')
        else:
            drawn.append(f'<span dir="auto">{_text(each, names)}</span>')
    return "".join(drawn)


def _actions(block: Json, names: Names) -> str:
    return "".join(_element(each, names) for each in block.get("elements") or () if isinstance(each, dict))


def _divider(block: Json, names: Names) -> str:
    return "<hr>"


def _image(block: Json, names: Names) -> str:
    title = f"<div>{_text(block.get('title'), names)}</div>" if block.get("title") else ""
    said = escape(str(block.get("alt_text") or "picture"))
    return f'{title}<div class="picture">🖼 {link(str(block.get("image_url") or ""), said)}</div>'


def _input(block: Json, names: Names) -> str:
    optional = ' <span class="note">(optional)</span>' if block.get("optional") else ""
    hint = f'<div class="note">{_text(block["hint"], names)}</div>' if block.get("hint") else ""
    element = block.get("element")
    field = _field(element, names) if isinstance(element, dict) else ""
    label = _text(block.get("label"), names)
    return f'<label>{label}{optional}{field}</label>{hint}<div class="mistake" role="alert"></div>'


def _markdown(block: Json, names: Names) -> str:
    text = re.sub(r"\*\*(.+?)\*\*", r"*\1*", str(block.get("text") or ""))
    text = re.sub(r"\[([^\]\n]+)\]\((https?://[^)\s]+)\)", r"<\2|\1>", text)
    text = re.sub(r"^#{1,6} +(.+)$", r"*\1*", text, flags=re.MULTILINE)
    return f'<div class="text" dir="auto">{mrkdwn(text, names=names)}</div>'


def _alert(block: Json, names: Names) -> str:
    level = str(block.get("level") or "default")
    level = level if level in ("info", "warning", "error", "success") else "default"
    return f'<div class="alert {level}">{_text(block.get("text"), names)}</div>'


def _rich_text(block: Json, names: Names) -> str:
    return "".join(_rich(each, names) for each in block.get("elements") or () if isinstance(each, dict))


def _rich(part: Json, names: Names) -> str:
    kind = part.get("type")
    inside = part.get("elements") or ()
    if kind == "rich_text_list":
        tag = "ol" if part.get("style") == "ordered" else "ul"
        return f"<{tag}>{''.join(f'<li>{_rich(each, names)}</li>' for each in inside)}</{tag}>"
    drawn = "".join(_span(each, names) for each in inside if isinstance(each, dict))
    wrap = {"rich_text_preformatted": "pre", "rich_text_quote": "blockquote"}.get(str(kind), "div")
    return f"<{wrap}>{drawn}</{wrap}>"


def _span(each: Json, names: Names) -> str:
    kind, text = each.get("type"), escape(str(each.get("text") or "")).replace("\n", "<br>")
    if kind == "link":
        text = link(str(each.get("url") or ""), text or escape(str(each.get("url") or "")))
    elif kind == "user":
        text = f'<span class="mention">@{escape(names.get(str(each.get("user_id")), "someone"))}</span>'
    elif kind == "channel":
        text = f'<span class="mention">#{escape(names.get(str(each.get("channel_id")), "channel"))}</span>'
    elif kind == "broadcast":
        text = f'<span class="mention shout">@{escape(str(each.get("range")))}</span>'
    elif kind == "emoji":
        text = plain(f":{each.get('name')}:")
    for style, tag in (("bold", "b"), ("italic", "i"), ("strike", "s"), ("code", "code")):
        if (each.get("style") or {}).get(style):
            text = f"<{tag}>{text}</{tag}>"
    return text


_BLOCKS: dict[str, Callable[[Json, Names], str]] = {
    "actions": _actions,
    "alert": _alert,
    "context": _context,
    "divider": _divider,
    "header": _header,
    "image": _image,
    "input": _input,
    "markdown": _markdown,
    "rich_text": _rich_text,
    "section": _section,
}

# Elements ------------------------------------------------------------------------------------------------------


def _element(element: Json, names: Names) -> str:
    kind = element.get("type")
    named = f'data-action-id="{attribute(element.get("action_id", ""))}"{_confirm(element)}'
    if kind == "button":
        return _button(element, named)
    if kind in ("static_select", "overflow", "radio_buttons"):
        return _menu(element, named)
    if kind == "image":
        return f'<span class="picture">🖼 {escape(str(element.get("alt_text") or ""))}</span>'
    return f'<span class="note">({escape(str(kind))} is not drawn here)</span>'


def _button(element: Json, named: str) -> str:
    style = element.get("style")
    css = f"button {style}" if style in ("primary", "danger") else "button"
    label = plain(_words(element.get("text")))
    described = (
        f' aria-label="{attribute(element["accessibility_label"])}"' if element.get("accessibility_label") else ""
    )
    drawn = f'<button type="button" class="{css}" data-press {named}{described}>{label}</button>'
    url = str(element.get("url") or "")
    if not url:
        return drawn
    linked = link(url, f"{label} <span aria-hidden='true'>↗</span>", css=css)
    return linked.replace("<a ", f"<a data-press {named} ", 1)


def _menu(element: Json, named: str) -> str:
    first = (
        "⋯" if element.get("type") == "overflow" else plain(_words(element.get("placeholder")) or "Choose an option")
    )
    groups = element.get("option_groups") or ()
    inside = "".join(
        f'<optgroup label="{attribute(_words(each.get("label")))}">{_option_list(each)}</optgroup>' for each in groups
    )
    drawn = inside or _option_list(element)
    return f'<select class="button" data-choose {named}><option value="" selected>{first}</option>{drawn}</select>'


def _option_list(element: Json) -> str:
    chosen = (element.get("initial_option") or {}).get("value")
    return "".join(
        f'<option value="{attribute(each.get("value", ""))}"{" data-initial" if each.get("value") == chosen else ""}>'
        f"{plain(_words(each.get('text')))}</option>"
        for each in element.get("options") or ()
        if isinstance(each, dict)
    )


def _confirm(element: Json) -> str:
    """Return the question before an action, as data for the page's script."""
    confirm = element.get("confirm")
    if not isinstance(confirm, dict):
        return ""
    said = {name: _words(confirm.get(name)) for name in ("title", "text", "confirm", "deny")}
    return "".join(f' data-confirm-{name}="{attribute(_unescaped(text))}"' for name, text in said.items() if text)


def _unescaped(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _field(element: Json, names: Names) -> str:
    """Draw an input of a modal."""
    kind = element.get("type")
    named = f'data-input="{attribute(element.get("action_id", ""))}"'
    shown = attribute(_words(element.get("placeholder")))
    value = attribute(element.get("initial_value") or element.get("initial_date") or element.get("initial_time") or "")
    if kind in ("static_select", "radio_buttons"):
        options = _option_list(element).replace(" data-initial", " selected")
        return f'<select {named}><option value="">{shown or "Choose an option"}</option>{options}</select>'
    if kind == "users_select":
        people = "".join(
            f'<option value="{attribute(i)}">{escape(n)}</option>' for i, n in names.items() if i[:1] == "U"
        )
        return f'<select {named}><option value="">{shown or "Choose a person"}</option>{people}</select>'
    if kind == "plain_text_input" and element.get("multiline"):
        return f'<textarea rows="3" {named} placeholder="{shown}">{value}</textarea>'
    kinds = {"datepicker": "date", "timepicker": "time", "number_input": "number", "email_text_input": "email"}
    return f'<input type="{kinds.get(str(kind), "text")}" {named} placeholder="{shown}" value="{value}">'
