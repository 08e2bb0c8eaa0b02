"""What leaves, over random notifications: within every vendor's schema and lengths, and dead to injection."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from jsonschema import Draft4Validator, Draft202012Validator

from chalicelib import plugins
from chalicelib.core.delivery.notification import Notification
from chalicelib.core.delivery.text import plain_text
from chalicelib.core.delivery.writing import utf16_units
from chalicelib.targets import email as ses
from chalicelib.targets import pagerduty, webhook
from chalicelib.targets import slack_channel as slack
from chalicelib.targets._http import encoded
from tests.targets.samples import HOSTILE, NOTIFICATION, NOTIFICATIONS, STORM, TOLD, texts_of

SCHEMAS = Path(__file__).parent / "schemas"
many = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@cache
def slack_schema() -> Draft202012Validator:
    """The schema of a Slack message's blocks."""
    return Draft202012Validator(json.loads((SCHEMAS / "block-kit.subset.derived.schema.json").read_text()))


@cache
def events_schema() -> Draft4Validator:
    """PagerDuty's schema of an event."""
    api = json.loads((SCHEMAS / "events-v2.openapi.json").read_text())
    body = api["paths"]["/enqueue"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    return Draft4Validator({**body, "components": api["components"]})


@cache
def slack_limits() -> dict[str, Any]:
    """Slack's limits by what they limit."""
    found = json.loads((SCHEMAS / "block-kit.limits.derived.json").read_text())["limits"]
    return {limit["what"]: limit["max"] for limit in found}


def check_slack(body: dict[str, Any]) -> None:
    """The schema counts characters; here the same limits hold in UTF-16 units, the strictest way to count."""
    slack_schema().validate(json.loads(encoded(body)))
    limits = slack_limits()
    assert len(body["blocks"]) <= limits["blocks per message"]
    assert utf16_units(body["text"]) <= limits["chat.update text, hard"]
    ids = [block["block_id"] for block in body["blocks"]]
    assert len(set(ids)) == len(ids)
    for block in body["blocks"]:
        limit = limits["header text"] if block["type"] == "header" else limits["text object text"]
        shown = [block.get("text"), *block.get("fields", ()), *block.get("elements", ())]
        for part in (part for part in shown if part and "text" in part):
            text = part["text"]["text"] if isinstance(part["text"], dict) else part["text"]
            assert 1 <= utf16_units(text) <= limit
            assert text.strip()
        for field in block.get("fields", ()):
            assert utf16_units(field["text"]) <= limits["section field text"]
        for element in block["elements"] if block["type"] == "actions" else ():
            check_control(element)


def check_control(element: dict[str, Any]) -> None:
    """Names the incident within Slack's lengths; a question before an act is short enough, too."""
    assert utf16_units(element.get("value", "")) <= 2_000
    assert utf16_units(element.get("text", element.get("placeholder"))["text"]) <= 75
    for option in element.get("options", ()):
        assert utf16_units(option["value"]) <= 150
    confirm = element.get("confirm", {})
    for part, most in (("title", 100), ("text", 300), ("confirm", 30), ("deny", 30)):
        assert part not in confirm or 1 <= utf16_units(confirm[part]["text"]) <= most


_OURS = re.compile(r"<(?:https?://[^\s<>|]+|!date\^\d{1,11}\^[a-z_{} ]+)\|([^<>]*)>")
"""A link to a page, and a date that each reader sees in their zone: the control sequences that Tocsin writes itself."""


def is_dead(text: str) -> bool:
    """True when no Slack control sequence is in it but our own links and dates."""
    return not re.search(r"[<>]|&(?!amp;|lt;|gt;)", _OURS.sub(r"\1", text))


@pytest.mark.acceptance
@many
@given(NOTIFICATIONS)
def test_every_slack_message_is_within_the_limits_and_dead_to_injection(notification: Notification) -> None:
    """Whatever the incident, the blocks validate, nothing is empty, and no `<`, `>` or bare `&` is left."""
    full = [slack.render(notification, {}, can_roll_back=can) for can in (True, False)]
    for body in (*full, slack.render_webhook(notification, {})):
        check_slack(body)
        for block in body["blocks"]:
            shown = [text for part in _text_objects(block) for text in texts_of(part)]
            assert all(is_dead(text) for text in shown)
        assert is_dead(body["text"])
    for body in (
        slack.render(notification, {}, plain=True),
        slack.render_reply(notification),
        slack.render_webhook(notification, {"told": "1"}),
    ):
        assert 1 <= utf16_units(body["text"]) <= slack_limits()["chat.update text, hard"]
        assert is_dead(body["text"])


def _text_objects(value: Any) -> list[Any]:
    """The text objects below a block: what Slack would parse."""
    if isinstance(value, dict):
        if value.get("type") in ("mrkdwn", "plain_text"):
            return [value]
        return [found for inner in value.values() for found in _text_objects(inner)]
    return [found for inner in value for found in _text_objects(inner)] if isinstance(value, list) else []


@pytest.mark.acceptance
@many
@given(NOTIFICATIONS)
def test_every_pagerduty_event_is_valid_and_within_the_lengths(notification: Notification) -> None:
    """Every event validates against the vendor's OpenAPI schema and its documented lengths."""
    for plain in (False, True):
        event = pagerduty.render(notification, {}, plain=plain)
        if not event:
            continue
        body = encoded({"routing_key": "0" * 32, **event})
        assert len(body) < pagerduty.MAX_BODY_BYTES
        events_schema().validate(json.loads(body))
        assert 1 <= len(event["dedup_key"]) <= 255
        if event["event_action"] == "trigger":
            assert 1 <= utf16_units(event["payload"]["summary"]) <= 1_024
            assert event["payload"]["source"]
            assert all(link["href"].startswith("http") for link in event["links"])


@pytest.mark.acceptance
@many
@given(NOTIFICATIONS)
def test_every_change_event_is_valid(notification: Notification) -> None:
    """A deploy, whatever it is called, makes an event of the vendor's schema."""
    api = json.loads((SCHEMAS / "events-v2.openapi.json").read_text())
    (path,) = [each for each in api["paths"] if "change" in each]
    body = api["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    schema = Draft4Validator({**body, "components": api["components"]})
    for deploy in notification.background.deploys:
        event = {"routing_key": "0" * 32, **pagerduty.render_change(deploy)}
        schema.validate(json.loads(encoded(event)))
        assert 1 <= utf16_units(event["payload"]["summary"]) <= 1_024


@pytest.mark.acceptance
@many
@given(NOTIFICATIONS)
def test_every_mail_keeps_outside_text_out_of_headers_and_markup(notification: Notification) -> None:
    """Subjects are one line; the HTML has no tag but ours."""
    mail = ses.render(notification, {})
    assert mail["subject"].strip()
    assert mail["subject"].isprintable() or not re.search(r"[\x00-\x1f\x7f]", mail["subject"])
    assert utf16_units(mail["subject"]) <= ses.MAX_SUBJECT_CHARACTERS
    ours = {"html", "head", "meta", "title", "style", "body", "div", "table", "tr", "td", "h1", "h2", "p", "br", "ul"}
    assert set(re.findall(r"<\s*/?\s*([a-zA-Z0-9!]+)", mail["html"])) <= ours | {"ol", "li", "a", "!DOCTYPE"}
    assert "javascript:" not in re.findall(r'href="([^"]*)"', mail["html"])


@pytest.mark.acceptance
@many
@given(NOTIFICATIONS)
def test_every_webhook_body_is_json(notification: Notification) -> None:
    """The body can be encoded and read back, full and plain."""
    for plain in (False, True):
        body = json.loads(encoded(webhook.render(notification, {}, plain=plain)))
        assert body["type"] == f"incident.{notification.reason.value}"
        assert body["data"]["text"]


@many
@given(NOTIFICATIONS)
def test_the_plain_form_is_bounded(notification: Notification) -> None:
    """The plain form never is empty and never long."""
    text = plain_text(notification)
    assert text.splitlines()[0]
    assert utf16_units(text) < 12_000
    assert "\x00" not in text


@pytest.mark.parametrize("kind", plugins.names("targets"))
def test_a_storm_and_a_giant_title_are_told(kind: str) -> None:
    """Two hundred alerts and a title of 4,000 characters render, with what is not listed counted."""
    module = plugins.load_target(kind)
    text = json.dumps(module.render(STORM, {}), ensure_ascii=False)
    assert "Fault 0" in text
    assert "500 alerts" in text or "500 firing" in text or "more" in text
    long = Notification(**{**_fields(NOTIFICATION), "title": "word " * 800})
    assert "word word" in json.dumps(module.render(long, {}))


def _fields(notification: Notification) -> dict[str, Any]:
    return {name: getattr(notification, name) for name in notification.__dataclass_fields__}


def test_hostile_text_is_shown_but_dead_in_slack() -> None:
    """Mentions and links from outside stay text, in the header, fields, lists, code and the fallback."""
    told = type(TOLD)(**{**{n: getattr(TOLD, n) for n in TOLD.__dataclass_fields__}, "summary": HOSTILE})
    notification = Notification(**{**_fields(NOTIFICATION), "title": HOSTILE, "alerts": (told, told)})
    text = json.dumps(slack.render(notification, {}), ensure_ascii=False)
    assert "&lt;!channel&gt;" in text
    text = re.sub(r"<!date\^\d+\^[^<>|]*\|[^<>|]*>", "", text)  # our own times, which each reader sees in their zone
    for live in ("<!", "<@", "<https", "\u202e", "\\u0000"):
        assert live not in text
