"""What comes of every way to fail, by target: what the vendor has at the end, and what is known of doubles.

The real delivery against the inbox, which answers on cue: errors, limits, half-successes, time-outs before and after
acceptance. The clock jumps to whenever a message comes back.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

from chalicelib.core.delivery.notification import Reason
from chalicelib.core.incident import Incident
from chalicelib.core.rule import Rules, Target
from chalicelib.deliver.worker import deliver
from chalicelib.messages.queue import Events, Handled, Queues, notification_message, read_message
from local.inbox import UNLIMITED, Inbox, Reply
from simulation.memory_store import MemoryStore
from tests.fakes import MemoryQueue
from tests.rule_files import KINDS
from tests.targets import samples

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
SLACK, HOOK = Target("slack_channel", "#incidents"), Target("slack_channel", "http://127.0.0.1:9/slack/hooks/incidents")
PAGE, MAIL, OUT = Target("pagerduty", "default"), Target("email", "ops@example.com"), Target("webhook", "out")
SERVICES = {SLACK: "slack", HOOK: "slack_hook", PAGE: "pagerduty", MAIL: "ses", OUT: "hook"}
SECRETS = {**samples.SECRETS, "WEBHOOK_OUT_URL": "http://127.0.0.1:9/hook/out"}
SETTINGS = {
    **samples.SETTINGS,
    "SLACK_API_URL": "http://127.0.0.1:9/slack/api",
    "PAGERDUTY_EVENTS_URL": "http://127.0.0.1:9/pagerduty",
    "ALLOW_LOOPBACK_TARGETS": "1",
}


class World:
    """One target behind the inbox, and the worker that delivers to it."""

    def __init__(self, target: Target, *answers: Mapping[str, Any], stay: bool = False) -> None:
        self.target, self.now = target, NOW
        self.store = MemoryStore()
        self.webhooks = MemoryQueue()
        self.queues = Queues(self.webhooks, MemoryQueue(), MemoryQueue())
        self.inbox = Inbox(limits=UNLIMITED, clock=lambda: self.now.timestamp())
        self.clients = samples.FakeClients(
            self._serve, secrets=SECRETS, settings=SETTINGS, services={"sesv2": SimpleNamespace(send_email=self._mail)}
        )
        operation = "chat.postMessage" if target is SLACK else "*"
        if answers:
            self.inbox.answer(SERVICES[target], operation, list(answers), stay=stay)
        self.tries = 0

    def _serve(self, request: httpx.Request) -> httpx.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        reply = self.inbox.answer_to(request.method, str(request.url), headers, request.content)
        assert reply is not None
        _raise(reply, httpx.ReadTimeout("x", request=request), httpx.RemoteProtocolError("x", request=request))
        return httpx.Response(reply.status, content=reply.body, headers=dict(reply.headers))

    def _mail(self, **request: Any) -> Mapping[str, Any]:
        body = json.dumps(request).encode()
        reply = self.inbox.answer_to("POST", "http://127.0.0.1:9/ses/v2/email/outbound-emails", {}, body)
        assert reply is not None
        _raise(reply, ReadTimeoutError(endpoint_url="x"), ConnectionClosedError(endpoint_url="x"))
        if reply.status >= 300:
            code = dict(reply.headers).get("x-amzn-ErrorType", "InternalFailure")
            error: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": reply.status}}
            raise ClientError(error, "SendEmail")
        found: Mapping[str, Any] = reply.json()
        return found

    def tell(self, **changes: Any) -> Handled:
        """Deliver one notification, coming back whenever it says so."""
        one = replace(samples.NOTIFICATION, target=self.target, at=self.now, **changes)
        stored = self.store.load(one.incident.key)
        ids = (*(stored.committed if stored else ()), one.id)
        self.store.save(
            Incident(one.incident.key, id=one.incident.id, committed=ids, version=(stored.version if stored else 0) + 1)
        )
        body = notification_message(one)
        for self.tries in range(1, 100):
            outcome = deliver(
                body, rules=Rules(kinds=KINDS), store=self.store, queues=self.queues, clients=self.clients, now=self.now
            )
            if outcome.retry_after is None:
                return outcome
            self.now += outcome.retry_after
        raise AssertionError("it comes back for ever")

    @property
    def has(self) -> int:
        """How many messages a person sees."""
        vendor: Mapping[Target, list[Any]] = {
            SLACK: self.inbox.messages,
            HOOK: self.inbox.messages,
            PAGE: self.inbox.incidents,
            MAIL: self.inbox.mails,
            OUT: list({each["webhook_id"] for each in self.inbox.hooks}),
        }
        return len(vendor[self.target])

    @property
    def doubles(self) -> int:
        """How many deliveries are known to be perhaps double."""
        return self.store.delivery_log(f"{samples.NOTIFICATION.incident.id}/{self.target.key}").doubles


def _raise(reply: Reply, silence: Exception, hung_up: Exception) -> None:
    if reply.hold:
        raise silence
    if reply.hang_up:
        raise hung_up


EVERYONE = (SLACK, HOOK, PAGE, MAIL, OUT)
RECONCILED = (SLACK, PAGE, OUT)
"""Slack is read back for the message's metadata; PagerDuty has its dedup_key, receivers of webhooks the webhook-id."""


@pytest.mark.parametrize("target", EVERYONE, ids=lambda each: each.key[:20])
@pytest.mark.parametrize(
    "answer", [{"timeout": True}, {"disconnect": True}, {"status": 500}, {"status": 503}], ids=lambda each: str(each)
)
def test_what_was_not_taken_is_told_once_later(target: Target, answer: Mapping[str, Any]) -> None:
    """An outage and a silence before acceptance: the next try arrives."""
    world = World(target, answer)
    assert world.tell().delivered
    assert (world.has, world.tries) == (1, 2)


@pytest.mark.parametrize("target", EVERYONE, ids=lambda each: each.key[:20])
@pytest.mark.parametrize(
    "answer", [{"timeout_after_accept": True}, {"disconnect": True, "after_accept": True}], ids=lambda each: str(each)
)
def test_what_was_taken_in_silence_is_found_or_counted(target: Target, answer: Mapping[str, Any]) -> None:
    """Where the vendor allows it nothing doubles; elsewhere the double is known, and people can see that it may be."""
    world = World(target, answer)
    outcome = world.tell()
    assert outcome.delivered
    if target in RECONCILED:
        assert (world.has, world.doubles) == (1, 0)
    else:
        assert world.doubles == 1
        assert "may have been sent twice" in outcome.note
        (result,) = world.store.delivery_log(f"{samples.NOTIFICATION.incident.id}/{target.key}").results
        assert "may have been sent twice" in result.note


@pytest.mark.parametrize("error", ["fatal_error", "internal_error"])
def test_a_half_success_of_slack_is_not_repeated(error: str) -> None:
    """Slack may say that it failed after it posted: the channel is read back first."""
    world = World(SLACK, {"error": error, "after_accept": True})
    assert world.tell().delivered
    assert (world.has, world.doubles) == (1, 0)


@pytest.mark.parametrize(
    ("target", "answer", "seconds"),
    [
        (SLACK, {"status": 429, "retry_after": 42}, 42),
        (SLACK, {"error": "ratelimited"}, 30),
        (HOOK, {"status": 429, "retry_after": 42}, 42),
        (OUT, {"status": 429, "retry_after": 42}, 42),
        (PAGE, {"status": 429}, 30),
        (MAIL, {"error": "TooManyRequestsException"}, 1),
    ],
)
def test_who_asks_for_time_gets_it(target: Target, answer: Mapping[str, Any], seconds: float) -> None:
    """Retry-After to the second; what the vendor advises where it says nothing."""
    world = World(target, answer)
    assert world.tell().delivered
    assert world.now - NOW == timedelta(seconds=seconds)
    assert (world.has, world.doubles) == (1, 0)


@pytest.mark.parametrize(
    ("target", "answer", "said"),
    [
        (SLACK, {"error": "channel_not_found"}, "channel_not_found"),
        (SLACK, {"error": "not_in_channel"}, "invite the bot"),
        (SLACK, {"error": "invalid_auth"}, "SLACK_BOT_TOKEN"),
        (SLACK, {"error": "is_archived"}, "archived"),
        (HOOK, {"status": 404, "body": "no_service"}, "no_service"),
        (PAGE, {"status": 403}, "403"),
        (MAIL, {"error": "MessageRejected"}, "sandbox"),
        (MAIL, {"error": "AccountSuspendedException"}, "AWS support"),
        (OUT, {"status": 410}, "gone for good"),
        (OUT, {"status": 401}, "401"),
    ],
)
def test_a_refusal_is_parked_at_once_and_told(target: Target, answer: Mapping[str, Any], said: str) -> None:
    """One try; the reason in words, without the address; the router hears it."""
    world = World(target, answer, stay=True)
    outcome = world.tell()
    assert said in (outcome.dead_lettered or "")
    assert (world.tries, world.has) == (1, 0)
    assert "127.0.0.1" not in (outcome.dead_lettered or "")
    (event,) = [each for body in world.webhooks.bodies for each in _events(body)]
    assert (event.kind, event.labels["target"]) == ("delivery.failed", target.shown)


def _events(body: str) -> tuple[Any, ...]:
    content = read_message(body)
    assert isinstance(content, Events)
    return content.events


@pytest.mark.parametrize("error", ["msg_too_long", "invalid_blocks", "msg_blocks_too_long"])
def test_content_that_slack_refuses_goes_out_plain(error: str) -> None:
    """Somebody hears it, in text."""
    world = World(SLACK, {"error": error})
    outcome = world.tell()
    assert outcome.delivered
    assert "plain form" in outcome.note
    assert not world.inbox.messages[0].get("blocks")


@pytest.mark.parametrize("target", EVERYONE, ids=lambda each: each.key[:20])
def test_a_thread_goes_on_after_doubt(target: Target) -> None:
    """The end is told after a fire that was in doubt, and PagerDuty's alert is the same one."""
    world = World(target, {"timeout_after_accept": True})
    assert world.tell().delivered
    over = replace(samples.RESOLVED.alerts[0])
    assert world.tell(id="n2", seq=2, reason=Reason.RESOLVED, status="resolved", alerts=(over,)).delivered
    if target is PAGE:
        assert [each["status"] for each in world.inbox.incidents] == ["resolved"]
