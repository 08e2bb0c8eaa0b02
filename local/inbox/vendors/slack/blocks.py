"""Block Kit's documented limits, checked as Slack does: each mistake with a JSON pointer.

https://docs.slack.dev/reference/block-kit. Lengths are counted in UTF-16 units of the text as sent, the strictest
reading, since Slack does not say how it counts.
"""

from collections.abc import Callable
from typing import Any

from local.inbox.exchange import Json, units

MAX_BLOCKS = 50
MAX_MODAL_BLOCKS = 100
MAX_HEADER_CHARACTERS = 150
MAX_SECTION_CHARACTERS = 3_000
MAX_FIELDS = 10
MAX_FIELD_CHARACTERS = 2_000
MAX_CONTEXT_ELEMENTS = 10
MAX_ACTIONS = 25
MAX_BUTTON_CHARACTERS = 75
MAX_VALUE_CHARACTERS = 2_000
MAX_URL_CHARACTERS = 3_000
MAX_ID_CHARACTERS = 255
MAX_OPTIONS = 100
MAX_OVERFLOW_OPTIONS = 5
MAX_OPTION_CHARACTERS = 75
MAX_OPTION_VALUE_CHARACTERS = 150
MAX_MARKDOWN_CHARACTERS = 12_000
MAX_MODAL_TITLE_CHARACTERS = 24
MAX_PRIVATE_METADATA_CHARACTERS = 3_000
BUTTON_STYLES = ("primary", "danger")
SELECTS = frozenset(
    {
        "static_select",
        "multi_static_select",
        "users_select",
        "multi_users_select",
        "conversations_select",
        "multi_conversations_select",
        "channels_select",
        "multi_channels_select",
        "external_select",
        "multi_external_select",
    }
)
INPUTS = frozenset(
    {
        "plain_text_input",
        "email_text_input",
        "url_text_input",
        "number_input",
        "datepicker",
        "timepicker",
        "datetimepicker",
        "checkboxes",
        "radio_buttons",
        "rich_text_input",
    }
)
OTHER_BLOCKS = frozenset({"rich_text", "video", "file", "table", "alert", "card", "carousel", "plan", "task_card"})


class _Check:
    """Collects mistakes."""

    def __init__(self) -> None:
        self.mistakes: list[str] = []
        self.ids: set[str] = set()
        self.actions: set[str] = set()
        self.markdown = 0

    def wrong(self, what: str, at: str) -> None:
        self.mistakes.append(f"[ERROR] {what} [json-pointer:{at}]")

    def length(self, text: str, most: int, at: str) -> None:
        if units(text) > most:
            self.wrong(f"must be less than {most + 1} characters", at)

    def words(self, found: Any, most: int, at: str, kinds: tuple[str, ...] = ("plain_text", "mrkdwn")) -> None:
        """Check a text object: not empty, not too long, of an allowed kind."""
        if not isinstance(found, dict):
            self.wrong("must be an object", at)
            return
        if found.get("type") not in kinds:
            self.wrong(f"must be one of {', '.join(kinds)}", f"{at}/type")
        text = found.get("text")
        if not isinstance(text, str):
            self.wrong("must be a string", f"{at}/text")
        elif not text.strip():
            self.wrong("must be more than 0 characters", f"{at}/text")
        else:
            self.length(text, most, f"{at}/text")

    def optional(self, block: Json, name: str, most: int, at: str) -> None:
        found = block.get(name)
        if found is None:
            return
        if not isinstance(found, str):
            self.wrong("must be a string", f"{at}/{name}")
        else:
            self.length(found, most, f"{at}/{name}")

    def identifier(self, block: Json, at: str) -> None:
        self.optional(block, "block_id", MAX_ID_CHARACTERS, at)
        found = block.get("block_id")
        if found and found in self.ids:
            self.wrong(f"`block_id` {found!r} already exists", f"{at}/block_id")
        if isinstance(found, str):
            self.ids.add(found)

    def items(self, block: Json, name: str, most: int, at: str) -> list[Any]:
        found = block.get(name)
        if not isinstance(found, list) or not found:
            self.wrong("must be a list that is not empty", f"{at}/{name}")
            return []
        if len(found) > most:
            self.wrong(f"no more than {most} items allowed", f"{at}/{name}")
        return found

    def action_id(self, element: Json, at: str) -> None:
        self.optional(element, "action_id", MAX_ID_CHARACTERS, at)
        found = element.get("action_id")
        if isinstance(found, str) and found:
            if found in self.actions:
                self.wrong(f"`action_id` {found!r} already exists", f"{at}/action_id")
            self.actions.add(found)


def mistakes(blocks: Any, *, modal: bool = False) -> list[str]:
    """Return every mistake of a list of blocks, as `response_metadata.messages` has them."""
    check = _Check()
    if not isinstance(blocks, list):
        return ["[ERROR] must be a list [json-pointer:/blocks]"]
    most = MAX_MODAL_BLOCKS if modal else MAX_BLOCKS
    if len(blocks) > most:
        check.wrong(f"no more than {most} items allowed", "/blocks")
    for number, block in enumerate(blocks):
        _block(check, block, f"/blocks/{number}")
    if check.markdown > MAX_MARKDOWN_CHARACTERS:
        check.wrong(f"markdown blocks must be less than {MAX_MARKDOWN_CHARACTERS + 1} characters together", "/blocks")
    return check.mistakes


def view_mistakes(view: Any) -> list[str]:
    """Return every mistake of a modal."""
    if not isinstance(view, dict):
        return ["[ERROR] must be an object [json-pointer:/view]"]
    check = _Check()
    if view.get("type") != "modal":
        check.wrong("must be modal", "/view/type")
    check.words(view.get("title"), MAX_MODAL_TITLE_CHARACTERS, "/view/title", ("plain_text",))
    for name in ("submit", "close"):
        if name in view:
            check.words(view[name], MAX_MODAL_TITLE_CHARACTERS, f"/view/{name}", ("plain_text",))
    check.optional(view, "private_metadata", MAX_PRIVATE_METADATA_CHARACTERS, "/view")
    check.optional(view, "callback_id", MAX_ID_CHARACTERS, "/view")
    blocks = view.get("blocks") if isinstance(view.get("blocks"), list) else []
    has_input = any(isinstance(b, dict) and b.get("type") == "input" for b in blocks or ())
    if has_input and "submit" not in view:
        check.wrong("a modal with inputs needs a submit", "/view/submit")
    return [*check.mistakes, *mistakes(blocks, modal=True)]


def _block(check: _Check, block: Any, at: str) -> None:
    if not isinstance(block, dict):
        check.wrong("must be an object", at)
        return
    check.identifier(block, at)
    check.actions = set()
    kind = block.get("type")
    if kind in _BLOCKS:
        _BLOCKS[kind](check, block, at)
    elif kind not in OTHER_BLOCKS:
        check.wrong(f"unsupported type: {kind}", f"{at}/type")


def _header(check: _Check, block: Json, at: str) -> None:
    check.words(block.get("text"), MAX_HEADER_CHARACTERS, f"{at}/text", ("plain_text",))


def _section(check: _Check, block: Json, at: str) -> None:
    if block.get("text") is None and not block.get("fields"):
        check.wrong("one of text and fields is required", at)
    if block.get("text") is not None:
        check.words(block["text"], MAX_SECTION_CHARACTERS, f"{at}/text")
    if block.get("fields") is not None:
        for number, found in enumerate(check.items(block, "fields", MAX_FIELDS, at)):
            check.words(found, MAX_FIELD_CHARACTERS, f"{at}/fields/{number}")
    if block.get("accessory") is not None:
        _element(check, block["accessory"], f"{at}/accessory")


def _context(check: _Check, block: Json, at: str) -> None:
    for number, found in enumerate(check.items(block, "elements", MAX_CONTEXT_ELEMENTS, at)):
        if isinstance(found, dict) and found.get("type") == "image":
            _image(check, found, f"{at}/elements/{number}")
        else:
            check.words(found, MAX_SECTION_CHARACTERS, f"{at}/elements/{number}")


def _actions(check: _Check, block: Json, at: str) -> None:
    for number, found in enumerate(check.items(block, "elements", MAX_ACTIONS, at)):
        _element(check, found, f"{at}/elements/{number}")


def _image(check: _Check, block: Json, at: str) -> None:
    if not block.get("image_url") and not block.get("slack_file"):
        check.wrong("one of image_url and slack_file is required", at)
    check.optional(block, "image_url", MAX_URL_CHARACTERS, at)
    if not isinstance(block.get("alt_text"), str) or not block["alt_text"]:
        check.wrong("must be more than 0 characters", f"{at}/alt_text")
    check.optional(block, "alt_text", MAX_VALUE_CHARACTERS, at)


def _input(check: _Check, block: Json, at: str) -> None:
    check.words(block.get("label"), MAX_VALUE_CHARACTERS, f"{at}/label", ("plain_text",))
    if block.get("hint") is not None:
        check.words(block["hint"], MAX_VALUE_CHARACTERS, f"{at}/hint", ("plain_text",))
    _element(check, block.get("element"), f"{at}/element")


def _markdown(check: _Check, block: Json, at: str) -> None:
    text = block.get("text")
    if not isinstance(text, str) or not text:
        check.wrong("must be more than 0 characters", f"{at}/text")
    else:
        check.markdown += units(text)


def _divider(check: _Check, block: Json, at: str) -> None:
    """Check nothing: a line has no content."""


_BLOCKS: dict[Any, Callable[[_Check, Json, str], None]] = {
    "header": _header,
    "section": _section,
    "context": _context,
    "actions": _actions,
    "image": _image,
    "input": _input,
    "markdown": _markdown,
    "divider": _divider,
}


def _element(check: _Check, element: Any, at: str) -> None:
    if not isinstance(element, dict):
        check.wrong("must be an object", at)
        return
    kind = element.get("type")
    check.action_id(element, at)
    if element.get("confirm") is not None:
        _confirm(check, element["confirm"], f"{at}/confirm")
    if element.get("placeholder") is not None:
        check.words(element["placeholder"], MAX_HEADER_CHARACTERS, f"{at}/placeholder", ("plain_text",))
    if kind == "button":
        _button(check, element, at)
    elif kind == "image":
        _image(check, element, at)
    elif kind == "overflow":
        _options(check, element, at, MAX_OVERFLOW_OPTIONS)
    elif kind in ("static_select", "multi_static_select"):
        _select(check, element, at)
    elif kind in ("checkboxes", "radio_buttons"):
        _options(check, element, at, 10)
    elif kind not in SELECTS and kind not in INPUTS and kind != "workflow_button":
        check.wrong(f"unsupported type: {kind}", f"{at}/type")


def _button(check: _Check, element: Json, at: str) -> None:
    check.words(element.get("text"), MAX_BUTTON_CHARACTERS, f"{at}/text", ("plain_text",))
    check.optional(element, "value", MAX_VALUE_CHARACTERS, at)
    check.optional(element, "url", MAX_URL_CHARACTERS, at)
    check.optional(element, "accessibility_label", MAX_BUTTON_CHARACTERS, at)
    if element.get("style") not in (None, *BUTTON_STYLES):
        check.wrong("must be primary or danger", f"{at}/style")
    url = element.get("url")
    if isinstance(url, str) and "://" not in url and not url.startswith(("mailto:", "tel:")):
        check.wrong("must be a valid URL", f"{at}/url")


def _select(check: _Check, element: Json, at: str) -> None:
    if element.get("option_groups") is None:
        _options(check, element, at, MAX_OPTIONS)
        return
    for number, group in enumerate(check.items(element, "option_groups", MAX_OPTIONS, at)):
        inside = f"{at}/option_groups/{number}"
        check.words((group or {}).get("label"), MAX_OPTION_CHARACTERS, f"{inside}/label", ("plain_text",))
        _options(check, group or {}, inside, MAX_OPTIONS)


def _options(check: _Check, element: Json, at: str, most: int) -> None:
    for number, option in enumerate(check.items(element, "options", most, at)):
        inside = f"{at}/options/{number}"
        if not isinstance(option, dict):
            check.wrong("must be an object", inside)
            continue
        check.words(option.get("text"), MAX_OPTION_CHARACTERS, f"{inside}/text")
        if not isinstance(option.get("value"), str):
            if not option.get("url"):
                check.wrong("must be a string", f"{inside}/value")
        else:
            check.length(option["value"], MAX_OPTION_VALUE_CHARACTERS, f"{inside}/value")


def _confirm(check: _Check, confirm: Any, at: str) -> None:
    if not isinstance(confirm, dict):
        check.wrong("must be an object", at)
        return
    for name, most in (("title", 100), ("text", 300), ("confirm", 30), ("deny", 30)):
        if confirm.get(name) is not None:
            check.words(confirm[name], most, f"{at}/{name}")
