"""The recipes of docs/delivery.md: the rules file takes them, and each request is what its receiver documents, whatever came."""

import json
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from hypothesis import HealthCheck, given, settings

from chalicelib.core.delivery.delivery_log import DeliveryLog
from chalicelib.core.delivery.notification import Notification, Reason, Receipt
from chalicelib.core.delivery.request_template import FIELDS, FILTERS, request_of
from chalicelib.core.errors import TargetRejectedError, TargetUnavailableError
from chalicelib.core.rule import Target
from chalicelib.deliver.send import sender
from chalicelib.rules.file import check, load
from tests.targets.samples import (
    ACKED,
    HOSTILE,
    NOTIFICATION,
    NOTIFICATIONS,
    NOW,
    RESOLVED,
    TOLD,
    FakeClients,
    answering,
)

PAGE = Path(__file__).parents[2] / "docs" / "delivery.md"
BLOCKS = re.findall(r"```yaml\n(webhooks:\n.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
ENTRIES: dict[str, dict[str, Any]] = {
    entry["name"]: entry for block in BLOCKS for entry in yaml.safe_load(block)["webhooks"]
}
SECRETS = {
    "NTFY_TOKEN": "tk_secret",
    "TELEGRAM_TOKEN": "1:secret",
    "INCIDENTIO_SOURCE": "01SOURCE",
    "INCIDENTIO_TOKEN": "io-secret",
    "JSM_KEY": "jsm-secret",
}
UPDATE = replace(NOTIFICATION, id="n2", seq=2, reason=Reason.UPDATED)
TAKEN = httpx.Response(202, json={"ok": True})
FILE = "default: {{notification: [{{webhook: {name}}}]}}\nalerts: []\n"


def tell(name: str, notification: Notification, clients: FakeClients, *, in_doubt: bool = False) -> Receipt:
    """Send by the real way to a target, with the recipes in the rules."""
    rules = load(
        "".join([*(block if not i else block.removeprefix("webhooks:\n") for i, block in enumerate(BLOCKS))])
        + FILE.format(name=name)
    )
    wanted = replace(notification, target=Target("webhook", name))
    return sender(clients, NOW, rules)(wanted, replace(DeliveryLog(key="k"), in_doubt=in_doubt))


def asked(name: str, notification: Notification) -> tuple[httpx.Request, Any]:
    """The one request of a notification, and its body."""
    clients = FakeClients(answering(TAKEN), secrets=SECRETS)
    assert tell(name, notification, clients).sent
    (request,) = clients.requests
    return request, json.loads(request.content)


def test_the_page_has_the_four() -> None:
    """Given the page → it has an entry for each receiver, and names every field and filter."""
    assert set(ENTRIES) == {"phone", "telegram", "incidentio", "jsm"}
    text = PAGE.read_text("utf-8")
    assert [each for each in FIELDS if f"`{each}`" not in text] == []
    assert [each for each in FILTERS if each not in text] == []


def test_ntfy() -> None:
    """Given an opening and an end → topic, title, message and priority as numbers; an update sends none."""
    request, body = asked("phone", NOTIFICATION)
    assert (str(request.url), request.headers["authorization"]) == ("https://ntfy.sh/", "Bearer tk_secret")
    assert (body["topic"], body["title"], body["priority"]) == ("tocsin", "High Error Rate (prod checkout)", 5)
    assert body["message"].startswith("FIRING critical") and body["click"].startswith("https://sentry.io")
    assert asked("phone", RESOLVED)[1]["priority"] == 2
    silent = FakeClients(answering(TAKEN), secrets=SECRETS)
    assert not tell("phone", UPDATE, silent).sent and not silent.requests


def test_telegram() -> None:
    """Given hostile texts → the token is in the path, three characters are escaped, and `chat_id` is a number."""
    request, body = asked("telegram", replace(NOTIFICATION, title=HOSTILE, alerts=(replace(TOLD, summary=HOSTILE),)))
    assert request.url.path == "/bot1:secret/sendMessage"
    assert (body["chat_id"], body["parse_mode"]) == (-1001234567890, "HTML")
    assert re.findall(r"<[^>]*>", body["text"]) == ["<b>", "</b>"]
    refused = httpx.Response(400, json={"ok": False, "description": "Bad Request: can't parse entities"})
    clients = FakeClients(answering(refused, TAKEN), secrets=SECRETS)
    assert "plain form" in tell("telegram", NOTIFICATION, clients).note
    assert "parse_mode" not in json.loads(clients.requests[1].content)
    flooded = httpx.Response(429, json={"ok": False, "parameters": {"retry_after": 14}})
    with pytest.raises(TargetUnavailableError) as caught:
        tell("telegram", NOTIFICATION, FakeClients(answering(flooded), secrets=SECRETS))
    assert caught.value.retry_after == timedelta(seconds=14)


def test_incident_io() -> None:
    """Given an opening and its end → both have one key, and the attributes are an object."""
    request, body = asked("incidentio", NOTIFICATION)
    assert request.url.path == "/v2/alert_events/http/01SOURCE"
    assert (body["status"], body["deduplication_key"]) == ("firing", "tocsin:inc-7f3c9a52")
    assert body["metadata"]["labels"] == dict(TOLD.labels)
    end = asked("incidentio", RESOLVED)[1]
    assert (end["status"], end["deduplication_key"]) == ("resolved", "tocsin:inc-7f3c9a52")


def test_jira_service_management() -> None:
    """Given an opening, an update and an end → create, note and close, each by the alias."""
    request, body = asked("jsm", replace(NOTIFICATION, title="x" * 300))
    assert request.headers["authorization"] == "GenieKey jsm-secret"
    assert len(body["message"]) == 130 and (body["priority"], body["alias"]) == ("P1", "tocsin-inc-7f3c9a52")
    paths = [asked("jsm", each)[0].url for each in (UPDATE, RESOLVED)]
    base = "/jsm/ops/integration/v2/alerts/tocsin-inc-7f3c9a52"
    assert [each.path for each in paths] == [f"{base}/notes", f"{base}/close"]
    assert all(each.params["identifierType"] == "alias" for each in paths)


@pytest.mark.parametrize("name", ENTRIES)
def test_a_silent_change_sends_nothing(name: str) -> None:
    """Given a change that notifies nobody → no receiver is asked, unless the entry writes `sync`."""
    clients = FakeClients(answering(TAKEN), secrets=SECRETS)
    assert not tell(name, ACKED, clients).sent and not clients.requests


@pytest.mark.parametrize("name", ENTRIES)
def test_a_missing_secret_is_named(name: str) -> None:
    """Given a secret that is not set → the error names it, and nothing is sent."""
    clients = FakeClients(answering(TAKEN), secrets={})
    with pytest.raises(TargetRejectedError, match=r"webhook \w+: [A-Z_]+ is not set"):
        tell(name, NOTIFICATION, clients)
    assert not clients.requests


@pytest.mark.parametrize("name", ENTRIES)
def test_an_error_shows_no_secret(name: str) -> None:
    """Given a refusal that repeats everything → the error names the webhook and the status alone."""
    clients = FakeClients(answering(httpx.Response(403, text=str(SECRETS))), secrets=SECRETS)
    with pytest.raises(TargetRejectedError) as caught:
        tell(name, NOTIFICATION, clients)
    assert str(caught.value) == f"webhook {name}: HTTP 403"


def test_a_doubt_is_said() -> None:
    """Given an earlier try in doubt → the receipt says that it may have been told twice."""
    told = tell("jsm", NOTIFICATION, FakeClients(answering(TAKEN), secrets=SECRETS), in_doubt=True)
    assert told.doubled and "twice" in told.note


@pytest.mark.acceptance
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(NOTIFICATIONS)
def test_every_request_is_within_the_limits(notification: Notification) -> None:
    """Given any incident → JSON that is what the recipe writes, within the lengths of each receiver."""
    for name, entry in ENTRIES.items():
        request = request_of(entry, notification, SECRETS.__getitem__)
        if request is None:
            continue
        body = json.loads(request.content)
        assert request.url.startswith("https://") and request.url.isascii() and request.url.isprintable()
        assert all(text.isascii() and text.isprintable() for text in request.headers.values())
        if name == "phone":
            assert len(body["message"].encode("utf-8", "replace")) <= 4_096 and isinstance(body["priority"], int)
        if name == "telegram":
            assert len(body["text"].encode("utf-16-le", "replace")) // 2 <= 4_096
            assert set(re.findall(r"<[^>]*>", body["text"])) <= {"<b>", "</b>"}
        if name == "jsm":
            assert len(body.get("message", "x")) <= 130 and set(body) <= {*entry["body"], "note"}


RAW = {
    "name": "raw", "url": "https://x.example/{{ labels.path }}?k={{ title }}", "method": "PUT",
    "headers": {"X-Title": "{{ title }}", "X-Key": "$NTFY_TOKEN"}, "body": "{{ title }} {{ group[\"service\"] | upper }}",
}  # fmt: skip


def test_values_stay_values() -> None:
    """Given values that look like paths, headers, places and secrets → each is written as its place needs it."""
    hostile = "a/../b?c=d\r\nX-Evil: 1 {{ text }} $JSM_KEY é"
    told = replace(TOLD, labels={"path": "../../admin"})
    request = request_of(RAW, replace(NOTIFICATION, title=hostile, alerts=(told,)), SECRETS.__getitem__)
    assert request is not None and request.method == "PUT"
    assert request.url.startswith("https://x.example/..%2F..%2Fadmin?k=a%2F..%2Fb%3Fc%3Dd%20X-Evil")
    assert "\n" not in request.headers["X-Title"] and request.headers["X-Title"].isascii()
    assert request.headers["X-Key"] == "tk_secret" and "jsm-secret" not in str(request)
    assert request.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert request.content.decode().endswith("é CHECKOUT")


MISTAKES = [
    ("{name: a}", "has no url"),
    ("{name: 'a b', url: 'https://x/'}", "needs a name"),
    ("{name: a, url: 'http://x.example/'}", "url is not an address"),
    ("{name: a, url: 'https://{{ title }}/'}", "url is not an address"),
    ("{name: a, url: 'https://$HOST/'}", "url is not an address"),
    ("{name: a, url: 'https://x/', methd: PUT}", "did you mean method"),
    ("{name: a, url: 'https://x/', method: GET}", "POST, PUT, PATCH"),
    ("{name: a, url: 'https://x/', headers: [a]}", "headers is not a mapping"),
    ("{name: a, url: 'https://x/', body: '{\"a\": \"{{ title }}\"}'}", "JSON written as a text"),
    ("{name: a, url: 'https://x/', body: 7}", "body is neither"),
    ("{name: a, url: 'https://x/', body: {t: '{{ titel }}'}}", "did you mean title"),
    ("{name: a, url: 'https://x/', body: {t: '{{ title | cutt(\"3\") }}'}}", "did you mean cut"),
    ("{name: a, url: 'https://x/', body: {t: '{{ title | cut(\"x\") }}'}}", "cut needs a number"),
    ("{name: a, url: 'https://x/', body: {t: '{{ title.x }}'}}", "title has no keys"),
    ("{name: a, url: 'https://x/', body: {t: '{{ title'}}", "do not belong together"),
    ("{name: a, url: 'https://x/', body: {p: {$by: severty, else: 1}}}", "did you mean severity"),
    ("{name: a, url: 'https://x/', resolved: {boddy: {}}}", "did you mean body"),
    ("{name: a, url: 'https://x/', resolved: {body: {t: '{{ titel }}'}}}", "did you mean title"),
    ("{name: a, url: 'https://x/', updated: 3}", "updated is not a mapping"),
    ("{name: a, url: 'https://x/'}, {name: a, url: 'https://y/'}", "a second webhook is named 'a'"),
]


@pytest.mark.parametrize(("entries", "words"), MISTAKES, ids=[words for _, words in MISTAKES])
def test_a_mistake_is_found(entries: str, words: str) -> None:
    """Given a wrong entry → the checker says what is wrong, what is allowed, and the nearest right word."""
    found = check(f"webhooks: [{entries}]\n{FILE.format(name='a')}").mistakes
    assert any(words in str(each) for each in found), [str(each) for each in found]


def test_a_recipe_has_no_mistake() -> None:
    """Given the recipes of the page → the checker takes each."""
    for block in BLOCKS:
        assert check(block + FILE.format(name="x")).mistakes == ()
