"""The whole router on a virtual clock, with queues that behave as SQS does and the inbox as every vendor.

What Lambda and app.py do around the stages is done here: batches of ten, messages that come back, the minute tick.
Every call to a store, a queue or a vendor goes through `sites`, where one can be made to fail.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from random import Random
from types import SimpleNamespace
from typing import Any

import httpx

from chalicelib.aws.batches import BatchError, back_soon, settle_messages
from chalicelib.clients import http_client
from chalicelib.core.context import Silence
from chalicelib.core.delivery.notification import Notification, Reason
from chalicelib.core.errors import NotStoredError, TocsinError
from chalicelib.core.event import Action, ActionKind, Event, Severity, Status, labels_fingerprint
from chalicelib.core.match import parse_matchers
from chalicelib.core.metrics.sample import Sample
from chalicelib.core.rule import Rules
from chalicelib.core.waves import incident_named
from chalicelib.deliver.dispatch import dispatch
from chalicelib.messages.queue import (
    Failure,
    Message,
    Queues,
    action_message,
    events_messages,
    read_message,
    samples_messages,
    silence_message,
    unsilence_message,
    wake_message,
)
from chalicelib.process.bodies import release_bodies
from chalicelib.process.worker import process, process_counts
from chalicelib.rules.file import load
from chalicelib.schedule.tick import tick
from local.inbox import UNLIMITED, Inbox
from simulation.memory_store import MemoryStore
from tests.fakes import Death, Sites, Through, WaitingQueue

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SECRETS = {
    "SLACK_BOT_TOKEN": "xoxb-1",
    "PAGERDUTY_ROUTING_KEY_DEFAULT": "0123456789abcdef0123456789abcdef",
    "PAGERDUTY_ROUTING_KEY_DB": "fedcba9876543210fedcba9876543210",
    "WEBHOOK_OPS_URL": "http://127.0.0.1:9/hook/ops",
    "WEBHOOK_OPS_SECRET": "whsec_dG9jc2luLXRlc3RzLW9ubHk=",
}
SETTINGS = {
    "SLACK_API_URL": "http://127.0.0.1:9/slack/api",
    "PAGERDUTY_EVENTS_URL": "http://127.0.0.1:9/pagerduty",
    "SES_FROM": "tocsin@example.com",
    "ALLOW_LOOPBACK_TARGETS": "1",
}


@lru_cache(maxsize=32)
def rules_of(text: str) -> Rules:
    """The rules of a file's text."""
    return load(text, filename="alert-rules.yaml")


class VendorClients:
    """Clients whose every request is answered by the inbox in this process. A request that fails is one in doubt."""

    def __init__(self, inbox: Inbox, sites: Sites) -> None:
        self._inbox = inbox
        self._sites = sites
        self._http = http_client(httpx.MockTransport(self._serve))

    def http(self) -> httpx.Client:
        """A client that reaches the inbox only."""
        return self._http

    def aws(self, service: str) -> Any:
        """SES, answered by the inbox."""
        return SimpleNamespace(send_email=self._send_email)

    def secret(self, name: str) -> str | None:
        """The secrets of the inbox."""
        return SECRETS.get(name)

    def setting(self, name: str, default: str = "") -> str:
        """The settings of the inbox."""
        return SETTINGS.get(name, default)

    def _serve(self, request: httpx.Request) -> httpx.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}

        def answer() -> httpx.Response:
            reply = self._inbox.answer_to(request.method, str(request.url), headers, request.content)
            assert reply is not None
            return httpx.Response(reply.status, content=reply.body, headers=dict(reply.headers))

        name = request.url.path.strip("/").replace("/", ".")
        response: httpx.Response = self._sites.call(name, answer, lambda text: httpx.ReadTimeout(text, request=request))
        return response

    def _send_email(self, **request: Any) -> Mapping[str, str]:
        from botocore.exceptions import ReadTimeoutError

        def answer() -> Mapping[str, str]:
            reply = self._inbox.answer_to("POST", "/ses/v2/email/outbound-emails", {}, json.dumps(request).encode())
            assert reply is not None
            assert reply.status == 200, reply.body
            return {"MessageId": reply.json()["MessageId"]}

        found: Mapping[str, str] = self._sites.call("ses", answer, lambda text: ReadTimeoutError(endpoint_url=text))
        return found


@dataclass
class Router:
    """One stage of the router. `post` what happens, then let time pass with `run`."""

    rules: Rules
    store: Any = field(default_factory=MemoryStore)
    sites: Sites = field(default_factory=Sites)
    chance: Random | None = None
    now: datetime = START

    def __post_init__(self) -> None:
        """An inbox, empty queues, and the tick that comes first after a deploy."""
        self.inbox = Inbox(limits=UNLIMITED, clock=lambda: self.now.timestamp())
        self.webhooks = WaitingQueue(lambda: self.now, name="webhooks")
        self.counts = WaitingQueue(lambda: self.now, name="counts")
        self.notifications = WaitingQueue(lambda: self.now, name="notifications", max_receives=1000)
        self.clients = VendorClients(self.inbox, self.sites)
        self.decided: dict[str, Notification] = {}
        self.errors: list[str] = []
        self.notes: list[str] = []
        self.next_tick = self.now

    def close(self) -> None:
        """Give back the inbox's address."""
        self.inbox.stop()

    # -- what happens ------------------------------------------------------------------------------------------------

    def fire(self, name: str, /, *, id: str = "", at: datetime | None = None, **labels: str) -> "Router":
        """An event begins or repeats a fault."""
        return self.events(event(name, Status.FIRING, at or self.now, labels, id=id))

    def resolve(self, name: str, /, *, id: str = "", at: datetime | None = None, **labels: str) -> "Router":
        """An event ends a fault."""
        return self.events(event(name, Status.RESOLVED, at or self.now, labels, id=id))

    def events(self, *events: Event) -> "Router":
        """Events arrive, in one message."""
        self.webhooks.put(events_messages(events))
        return self

    def measure(self, metric: str, value: float | None, **labels: str) -> "Router":
        """A sample arrives."""
        self.webhooks.put(samples_messages([Sample(metric, value, self.now, labels)]))
        return self

    def act(self, kind: str, by: str = "ana", **matchers: str) -> "Router":
        """A person acts."""
        action = Action(ActionKind(kind), by, self.now, matchers=matchers, id=f"{kind}-{self.now.isoformat()}")
        self.webhooks.put([action_message(action)])
        return self

    def silence(self, name: str, *, minutes: float, maintenance: bool = False, **matchers: str) -> "Router":
        """A person silences, or holds back what is new."""
        until = self.now + timedelta(minutes=minutes)
        made = Silence(name, parse_matchers(matchers), self.now, until, "ana")
        self.webhooks.put([silence_message(made, maintenance)])
        return self

    def unsilence(self, name: str, by: str = "ana") -> "Router":
        """A person ends a silence before its time."""
        self.webhooks.put([unsilence_message(name, by, self.now)])
        return self

    # -- time --------------------------------------------------------------------------------------------------------

    def run(self, *, minutes: float = 0, seconds: float = 0) -> "Router":
        """Let time pass: everything happens when it is due."""
        until = self.now + timedelta(minutes=minutes, seconds=seconds)
        while True:
            at = min(each for each in (*(queue.next_at() for queue in self.queues), self.next_tick) if each)
            if at > until:
                break
            self.now = max(self.now, at)
            self.step()
        self.now = until
        return self

    @property
    def queues(self) -> tuple[WaitingQueue, ...]:
        """All three."""
        return self.webhooks, self.counts, self.notifications

    def step(self) -> None:
        """One invocation of whatever can run now."""
        if messages := self.webhooks.receive(chance=self.chance):
            self.process(messages)
        elif messages := self.counts.receive(1000, chance=self.chance):
            self.count(messages)
        elif messages := self.notifications.receive(1, chance=self.chance):
            self.deliver(messages[0])
        elif self.next_tick <= self.now:
            self.next_tick = self.now + MINUTE
            self.tick()

    @property
    def ports(self) -> dict[str, Any]:
        """Store and queues as a stage gets them."""
        store = Through(self.store, self.sites, "store")
        webhooks = Through(self.webhooks, self.sites, "webhooks")
        notifications = Through(Noting(self.notifications, self.decided), self.sites, "notifications")
        counts = Through(self.counts, self.sites, "counts")
        return {"store": store, "queues": Queues(webhooks, notifications, counts)}

    def process(self, messages: Sequence[Message]) -> None:
        """What Lambda and `app.process_webhooks` do."""
        self._work(messages, process, self.webhooks)

    def count(self, messages: Sequence[Message]) -> None:
        """What Lambda and `app.process_counts` do."""
        self._work(messages, process_counts, self.counts)

    def _work(self, messages: Sequence[Message], stage: Callable[..., list[Failure]], queue: WaitingQueue) -> None:
        ours = Through(queue, self.sites, queue.name)
        with self.surviving("process"), back_soon(messages, lambda: ours):
            failures = stage(messages, rules=self.rules, now=self.now, **self.ports)
            finish = partial(release_bodies, self.ports["store"])
            settle_messages(messages, failures, queue=ours, dead=ours, finish=finish)
            self.sites.call("lambda.delete", lambda: queue.delete([each.receipt for each in messages]))

    def deliver(self, message: Message) -> None:
        """What Lambda and `app.deliver_notification` do."""
        queue = Through(self.notifications, self.sites, "notifications")
        with self.surviving("deliver"), back_soon([message], lambda: queue):
            outcome = dispatch(message, rules=self.rules, clients=self.clients, now=self.now, **self.ports)
            if outcome.retry_after is not None:
                queue.put([message.body], delay=outcome.retry_after)
            dead_lettered = (
                [Failure(message.id, outcome.dead_lettered, dead_letter=True)] if outcome.dead_lettered else []
            )
            settle_messages([message], dead_lettered, queue=queue, dead=queue)
            self.sites.call("lambda.delete", lambda: self.notifications.delete([message.receipt]))

    def tick(self) -> None:
        """What EventBridge and `app.tick` do; a tick that died is not repeated."""
        with self.surviving("tick"):
            for failure in tick(rules=self.rules, now=self.now, **self.ports):
                self.errors.append(f"tick: {failure.reason}")

    @contextmanager
    def surviving(self, stage: str) -> Iterator[None]:
        """A worker that died, or raised for its messages to come back; anything else is a fault in the code."""
        try:
            yield
        except (Death, BatchError, NotStoredError) as error:
            self.errors.append(f"{stage}: {type(error).__name__} {error}")
        except TocsinError as error:
            self.errors.append(f"{stage}: {type(error).__name__} {error}")

    # -- what came of it ---------------------------------------------------------------------------------------------

    def told(self) -> dict[str, list[str]]:
        """What each vendor took: the incident by the values of its group, and the reason; a page says what it asks for.

        Ordered by incident, then by time. A Slack message that was brought up to date is `sync`; updates that a reply
        announces are not listed twice, nor is a webhook with an id that was there before.
        """
        found: dict[str, list[tuple[str, str]]] = {}
        ids: set[str] = set()
        for each in self.inbox.requests:
            name = each.headers.get("webhook-id", "")
            heard = None if name and name in ids else self._heard(each)
            if heard is not None:
                found.setdefault(heard[0], []).append(heard[1:])
            ids.add(name)
        by_incident = {vendor: sorted(said, key=lambda one: one[0]) for vendor, said in found.items()}
        return {vendor: [" ".join(one).strip() for one in said] for vendor, said in by_incident.items()}

    @property
    def undone(self) -> list[str]:
        """What waits in the queues, but for wake-ups to come; and what was parked."""
        wakes = '"type":"wake"'
        waiting = [each.body for queue in self.queues for each in queue.waiting.values() if wakes not in each.body]
        return waiting + [reason for queue in self.queues for _, reason in queue.dead_lettered]

    def notification_of(self, request: Any) -> Notification | None:
        """The notification that a request to a vendor told; None when it told none, or was not taken."""
        if request.error or request.status is None or not 200 <= request.status < 300:
            return None
        if request.service == "slack" and request.operation in ("chat.postMessage", "chat.update"):
            return self.decided.get(request.fields.get("metadata", {}).get("event_payload", {}).get("id", ""))
        if request.service == "ses":
            return self.decided.get({tag["Name"]: tag["Value"] for tag in request.json()["EmailTags"]}["notification"])
        if request.service == "hook":
            return self.decided.get(request.headers["webhook-id"])
        if request.service == "pagerduty" and "change" not in request.operation:
            key = incident_named(request.json()["dedup_key"])
            return next((each for each in self.decided.values() if each.incident.id == key), None)
        return None

    def _heard(self, request: Any) -> tuple[str, str, str] | None:
        told = self.notification_of(request)
        if told is None or (request.operation == "chat.update" and told.reason is not Reason.SYNC):
            return None
        vendors = {"ses": "email", "hook": "webhook"}
        reason = request.json()["event_action"] if request.service == "pagerduty" else told.reason.value
        return vendors.get(request.service, request.service), _group(told), reason


def _group(notification: Notification) -> str:
    return " ".join(notification.incident.group[name] for name in sorted(notification.incident.group))


class Noting:
    """A queue of notifications that remembers what was decided, by id."""

    def __init__(self, queue: WaitingQueue, decided: dict[str, Notification]) -> None:
        self._queue = queue
        self._decided = decided

    def put(self, bodies: Sequence[str], *, delay: timedelta = timedelta(0)) -> None:
        """Remember and put."""
        for body in bodies:
            content = read_message(body)
            if isinstance(content, Notification):
                self._decided[content.id] = content
        self._queue.put(bodies, delay=delay)


def event(name: str, status: Status, at: datetime, labels: Mapping[str, str], *, id: str = "", **more: Any) -> Event:
    """An event of a sender that names its alerts."""
    return Event(
        id=id or f"{name}-{status.value}-{at.isoformat()}-{labels_fingerprint(name, labels)}",
        source="test",
        kind="check",
        status=status,
        severity=Severity(labels.get("severity", "critical")),
        title=name,
        occurred_at=at,
        identity=labels_fingerprint(name, labels),
        name=name,
        service=labels.get("service"),
        labels=labels,
        **more,
    )


Act = Callable[[Router], object]
__all__ = ["START", "Act", "Router", "event", "rules_of", "wake_message"]
