"""One outage: a router on a virtual clock, many open incidents in one Slack channel, and Slack with its limits."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil
from typing import Any

import httpx

from chalicelib.core.context import Silence
from chalicelib.core.event import Action, ActionKind, Event, Severity, Status
from chalicelib.core.instants import from_seconds
from chalicelib.core.match import Matcher
from chalicelib.messages.queue import action_message, events_messages, silence_message, unsilence_message
from local.inbox.rate_limit import Bucket, Limits, Window, whole_seconds
from simulation.simulator import FakeClients, HeapQueue, Simulator
from tests.rule_files import rules_of

RULES = """
defaults: {group_wait: 0s, group_interval: 5m, repeat_interval: 1d, group_by: [service]}
alerts:
  - {name: Slow, match: {alertname: Slow}, notification: [{slack_channel: "#web"}]}
  - {name: Down, match: {alertname: Down}, notification: [{slack_channel: "#web"}]}
"""
WEB = "slack_channel:#web"
SLACK = Limits()
UPDATES_A_MINUTE = 50
"""chat.update is of tier 3: at least 50 a minute, in the whole workspace."""
OPEN_BY = 1_000.0
"""By then every incident of the outage is in the channel: one a second."""


@dataclass
class Slack(FakeClients):
    """Slack with its limits: a channel takes one post a second after a short burst, the workspace 50 updates a minute."""

    now: Callable[[], datetime]
    messages: dict[str, dict[str, Any]] = field(default_factory=dict)
    posted: list[tuple[datetime, str]] = field(default_factory=list)
    replies: dict[str, list[str]] = field(default_factory=dict)
    refused: list[tuple[datetime, str]] = field(default_factory=list)
    updated: int = 0

    def __post_init__(self) -> None:
        FakeClients.__init__(self)
        self._posts = Bucket(SLACK.slack_per_second, SLACK.slack_burst)
        self._updates = Window(UPDATES_A_MINUTE)

    def __hash__(self) -> int:
        return id(self)

    def limited(self, method: str) -> float:
        """Count one call. Return 0, or for how many seconds it is too many."""
        limit = self._updates if method == "chat.update" else self._posts
        return limit.take(self.now().timestamp())

    def _serve(self, request: httpx.Request) -> httpx.Response:
        method, body = request.url.path.rpartition("/")[2], json.loads(request.content)
        if wait := self.limited(method):
            self.refused.append((self.now(), method))
            return httpx.Response(429, json={"ok": False}, headers={"Retry-After": str(whole_seconds(wait))})
        ts = body.get("ts") or f"{1_700_000_000 + next(self.numbers)}.000100"
        if "thread_ts" in body:
            self.replies.setdefault(body["thread_ts"], []).append(body["text"])
            return httpx.Response(200, json={"ok": True, "channel": "C0000000000", "ts": ts})
        if method == "chat.postMessage":
            self.posted.append((self.now(), body["metadata"]["event_payload"]["incident"]))
        self.messages[ts] = body
        self.updated += method == "chat.update"
        return httpx.Response(200, json={"ok": True, "channel": "C0000000000", "ts": ts})


class WholeSeconds(HeapQueue):
    """A queue whose delays are whole seconds, as those of SQS are."""

    def put(self, bodies: Any, *, delay: timedelta = timedelta(0)) -> None:
        """Keep the bodies for the delay, rounded up."""
        super().put(bodies, delay=timedelta(seconds=ceil(delay.total_seconds())))


class Outage:
    """A router with so many open incidents in one channel, each with its message."""

    def __init__(self, incidents: int) -> None:
        self.router = Simulator(rules_of(RULES), from_seconds(0))
        queues = (WholeSeconds(self.router) for _ in range(3))
        self.router.webhooks, self.router.notifications, self.router.counts = queues
        self.router.clients = self.slack = Slack(lambda: self.router.now)
        self.services = [f"s{number}" for number in range(incidents)]
        for service in self.services:
            self.fire("Slow", service, Severity.WARNING)
        self.until(OPEN_BY)
        assert len(self.slack.messages) == incidents
        self.router.store.writes = 0

    def fire(self, name: str, service: str, severity: Severity = Severity.CRITICAL) -> "Outage":
        """One event, now."""
        at = self.router.now
        event = Event(
            id=f"{name}/{service}", source="event", kind="event", status=Status.FIRING, severity=severity,
            title=f"{name} of {service}", occurred_at=at, identity=f"{name}/{service}", name=name,
            labels={"service": service},
        )  # fmt: skip
        self.router.post(events_messages([event]))
        return self

    def silence(self, *, hours: int = 8) -> "Outage":
        """Ana silences the whole outage, now."""
        at = self.router.now
        silence = Silence("s1", (Matcher("alertname", "=", "Slow"),), at, at + timedelta(hours=hours), "ana", at=at)
        self.router.post([silence_message(silence)])
        return self

    def unsilence(self) -> "Outage":
        """Ben ends the silence, now."""
        self.router.post([unsilence_message("s1", "ben", self.router.now)])
        return self

    def acknowledge(self) -> "Outage":
        """Ana acknowledges every incident of the outage, now."""
        outage = [each for each in self.open() if each.group["service"] in self.services]
        acts = [Action(ActionKind.ACK, incident=each.id, by="ana", at=self.router.now) for each in outage]
        self.router.post([action_message(act) for act in acts])
        return self

    def open(self) -> list[Any]:
        """The open incidents."""
        return list(self.router.store.incidents())

    def until(self, seconds: float) -> "Outage":
        """Let time pass until then."""
        self.router.run_until(from_seconds(seconds), inclusive=True)
        return self

    def shown(self, word: str) -> int:
        """In how many messages of the channel the word is."""
        return sum(word in json.dumps(each, ensure_ascii=False) for each in self.slack.messages.values())

    def posted_at(self, service: str) -> float:
        """When the incident of the service was posted, in seconds."""
        (incident,) = (each.id for each in self.open() if each.group["service"] == service)
        ((at, _),) = [each for each in self.slack.posted if each[1] == incident]
        return (at - from_seconds(0)).total_seconds()
