"""Slack's blocks, messages and modals as HTML."""

from typing import Any

import pytest

from local.inbox.drawing.mrkdwn import plain
from local.inbox.drawing.slack import draw_blocks, draw_message, draw_view
from tests.local.inbox.support import MENU, MODAL, button, words


@pytest.mark.parametrize(
    ("block", "parts"),
    [
        ({"type": "header", "text": words("<b>&amp; :fire:")}, ["<h3", "&lt;b&gt;&amp; 🔥"]),
        (
            {"type": "section", "text": words("*a*", "mrkdwn"), "fields": [words("_b_", "mrkdwn")]},
            ["<b>a</b>", "fields", "<i>b</i>"],
        ),
        ({"type": "context", "elements": [words("*a*", "mrkdwn"), words("*b*")]}, ["<b>a</b>", "*b*"]),
        ({"type": "divider"}, ["<hr>"]),
        (
            {"type": "actions", "block_id": '"><script>', "elements": [button('"x')]},
            ['data-action-id="&quot;x"', "&quot;&gt;&lt;script&gt;"],
        ),
        (
            {"type": "actions", "elements": [button(style="danger", confirm={"title": words("Sure?")})]},
            ["danger", 'data-confirm-title="Sure?"'],
        ),
        (
            {"type": "actions", "elements": [button(url="https://a.example/")]},
            ['href="https://a.example/"', "<a data-press"],
        ),
        ({"type": "actions", "elements": [button(url="javascript:x")]}, ["Acknowledge"]),
        ({"type": "actions", "elements": [MENU]}, ["<select", 'value="1h:inc-1"', "1 hour"]),
        ({"type": "image", "image_url": "https://a.example/x.png", "alt_text": "<chart>"}, ["&lt;chart&gt;"]),
        ({"type": "<new>"}, ["&lt;new&gt; is not drawn"]),
        (
            {
                "type": "rich_text",
                "elements": [
                    {
                        "type": "rich_text_section",
                        "elements": [{"type": "text", "text": "<a>", "style": {"bold": True}}],
                    }
                ],
            },
            ["<b>&lt;a&gt;</b>"],
        ),
    ],
)
def test_blocks_are_drawn_and_escaped(block: dict[str, Any], parts: list[str]) -> None:
    """Every kind of block that Tocsin sends, and what it does not know."""
    html = draw_blocks([block], {})
    assert all(part in html for part in parts), html
    assert "<script" not in html and "javascript:" not in html and "<img" not in html


def test_a_message_is_drawn_with_its_thread() -> None:
    """Replies below it, the early ones folded; updates, edits and attachments marked."""
    base = {"channel": "C1", "username": "<Tocsin>", "text": "x"}
    replies = [{**base, "ts": f"{n}.0", "thread_ts": "1.0", "text": f"reply {n}"} for n in range(2, 7)]
    attachment = {
        "color": "danger",
        "title": "t",
        "title_link": "https://a.example",
        "text": "*a*",
        "fields": [{"title": "f", "value": "v"}],
    }
    message = {
        **base,
        "ts": "1.0",
        "edited": {"user": "U1"},
        "updates": 2,
        "attachments": [attachment, {"color": '"><script>', "text": "b"}],
    }
    html = draw_message(message, {}, replies=replies)
    for part in (
        "5 replies",
        "Show 2 earlier",
        "reply 6",
        "(edited)",
        "updated 2×",
        'data-colour="#e01e5a"',
        "&lt;Tocsin&gt;",
    ):
        assert part in html
    assert "<script" not in html
    assert plain("a\n<b>") == "a<br>&lt;b&gt;"


def test_a_modal_is_drawn_as_a_form() -> None:
    """Title, inputs, submit and close."""
    html = draw_view({**MODAL, "id": "V1"}, {})
    for part in ('data-view="V1"', "<h2>Silence</h2>", 'data-input="v"', "(optional)", "data-close", 'type="submit"'):
        assert part in html
