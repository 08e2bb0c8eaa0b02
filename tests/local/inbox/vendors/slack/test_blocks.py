"""Block Kit's limits."""

from typing import Any

import pytest

from local.inbox.vendors.slack.blocks import mistakes, view_mistakes
from tests.local.inbox.support import MENU, MODAL, button, words

LONG = "x" * 3_001


@pytest.mark.parametrize(
    ("block", "pointer"),
    [
        ({"type": "header", "text": words("x" * 151)}, "/blocks/0/text/text"),
        ({"type": "header", "text": words("😀" * 76)}, "/blocks/0/text/text"),
        ({"type": "header", "text": words("*x*", "mrkdwn")}, "/blocks/0/text/type"),
        ({"type": "section", "text": words("", "mrkdwn")}, "/blocks/0/text/text"),
        ({"type": "section", "text": words(LONG)}, "/blocks/0/text/text"),
        ({"type": "section"}, "/blocks/0"),
        ({"type": "section", "fields": [words("a")] * 11}, "/blocks/0/fields"),
        ({"type": "section", "fields": [words("a" * 2_001)]}, "/blocks/0/fields/0/text"),
        ({"type": "context", "elements": [words("a")] * 11}, "/blocks/0/elements"),
        ({"type": "actions", "elements": []}, "/blocks/0/elements"),
        ({"type": "actions", "elements": [button(text=words("a" * 76))]}, "/blocks/0/elements/0/text/text"),
        ({"type": "actions", "elements": [button(value="a" * 2_001)]}, "/blocks/0/elements/0/value"),
        ({"type": "actions", "elements": [button(url="https://" + LONG)]}, "/blocks/0/elements/0/url"),
        ({"type": "actions", "elements": [button(url="nonsense")]}, "/blocks/0/elements/0/url"),
        ({"type": "actions", "elements": [button("a" * 256)]}, "/blocks/0/elements/0/action_id"),
        ({"type": "actions", "elements": [button(), button()]}, "/blocks/0/elements/1/action_id"),
        ({"type": "actions", "elements": [button(style="loud")]}, "/blocks/0/elements/0/style"),
        ({"type": "actions", "elements": [{**MENU, "options": []}]}, "/blocks/0/elements/0/options"),
        ({"type": "divider", "block_id": "a" * 256}, "/blocks/0/block_id"),
        ({"type": "nonsense"}, "/blocks/0/type"),
        ("text", "/blocks/0"),
    ],
)
def test_blocks_beyond_the_limits_are_refused_with_a_pointer(block: Any, pointer: str) -> None:
    """Each limit of Block Kit, and where it was broken."""
    assert any(said.endswith(f"[json-pointer:{pointer}]") for said in mistakes([block]))


def test_blocks_at_the_limits_are_taken() -> None:
    """The longest that is allowed."""
    blocks = [
        {"type": "header", "text": words("x" * 150)},
        {"type": "section", "text": words("x" * 3_000, "mrkdwn"), "fields": [words("x" * 2_000)] * 10},
        {"type": "actions", "elements": [button(f"{n}", value="x" * 2_000, text=words("x" * 75)) for n in range(25)]},
        *([{"type": "divider"}] * 47),
    ]
    assert mistakes(blocks) == []
    assert view_mistakes(MODAL) == []
    assert view_mistakes({**MODAL, "title": words("x" * 25)})
