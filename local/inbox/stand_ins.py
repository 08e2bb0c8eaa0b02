"""All stand-ins over one memory, apart from HTTP: a request comes in, a script or the stand-in answers."""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from local.inbox.exchange import Json, Received, Reply, json_reply
from local.inbox.faults import Fault, FaultError, Faults
from local.inbox.memory import Memory
from local.inbox.outside import Connections
from local.inbox.rate_limit import Limits
from local.inbox.vendors.cloudflare import Cloudflare
from local.inbox.vendors.discord import Discord
from local.inbox.vendors.hooks import Hooks
from local.inbox.vendors.mail import Mail
from local.inbox.vendors.pagerduty import PagerDuty
from local.inbox.vendors.slack.api import Slack
from local.inbox.vendors.slack.people import People
from local.inbox.vendors.teams import Teams
from local.inbox.vendors.vercel import Vercel

SERVICES = ("slack", "slack_hook", "pagerduty", "ses", "hook", "discord", "teams", "cloudflare", "vercel")
_DISCONNECT = Reply(hang_up=True)
_HOLD = Reply(hold=True)


class StandIn(Protocol):
    """One vendor's API."""

    def handle(self, received: Received, *, limited: bool = True) -> Reply:
        """Answer as the vendor does, within its rate unless not `limited`."""

    def fail(self, fault: Fault) -> Reply:
        """Return a scripted failure in the vendor's form."""


class StandIns:
    """The vendors, what they received, and what they answer next.

    `requests` are all requests to stand-ins as they came in, `messages` Slack's messages, `incidents` PagerDuty's,
    `mails` and `hooks` the others. `clock` is Unix seconds; rates, ages and times go by it. `url` is where they are.
    """

    def __init__(
        self,
        connections: Connections,
        *,
        url: str,
        state: Path | None = None,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        limits = limits or Limits()
        self.connections = connections
        self.memory = Memory(state)
        self.faults = Faults()
        self.clock = clock
        self.slack = Slack(self.memory, limits, clock)
        self.people = People(self.slack, self.memory, connections, clock, url)
        self.pagerduty = PagerDuty(self.memory, limits, connections, clock)
        self.mail = Mail(self.memory, limits, clock)
        self.hook_receiver = Hooks(self.memory, connections, clock)
        self.discord = Discord(self.memory, limits, clock)
        self.teams = Teams(self.memory, limits, clock)
        self.cloudflare = Cloudflare()
        self.vercel = Vercel(self.memory, clock)
        self.stopping = threading.Event()

    @property
    def requests(self) -> list[Received]:
        """Return all requests to stand-ins, oldest first."""
        with self.memory.lock:
            return list(self.memory.requests)

    @property
    def messages(self) -> list[Json]:
        """Return Slack's messages, oldest first."""
        with self.memory.lock:
            return _copied(self.memory.messages)

    @property
    def incidents(self) -> list[Json]:
        """Return PagerDuty's incidents, oldest first."""
        with self.memory.lock:
            return _copied(self.memory.incidents)

    @property
    def mails(self) -> list[Json]:
        """Return mails, oldest first."""
        with self.memory.lock:
            return _copied(self.memory.mails)

    @property
    def hooks(self) -> list[Json]:
        """Return webhooks received, oldest first."""
        with self.memory.lock:
            return _copied(self.memory.hooks)

    def everything(self) -> Json:
        """Return what was received, as JSON."""
        memory = self.memory
        with memory.lock:
            known = {each["id"]: each["name"] for each in memory.channels.values()}
            slack = [{**each, "channel_name": known.get(each["channel"], "")} for each in memory.messages]
            found = {
                "slack": slack,
                "pagerduty": memory.incidents,
                "changes": memory.changes,
                "mail": memory.mails,
                "webhooks": memory.hooks,
                "discord": memory.discord,
                "teams": memory.teams,
                "sent": memory.deliveries,
                "problem": memory.problem,
            }
            return dict(json.loads(json.dumps(found)))

    def answer(
        self,
        service: str,
        operation: str,
        answers: list[Json],
        *,
        match: Json | None = None,
        stay: bool = False,
    ) -> None:
        """Play these answers next: see `faults`. Raise FaultError when the service or an answer cannot be read."""
        if service not in SERVICES:
            raise FaultError(f"service must be one of {', '.join(SERVICES)}")
        with self.memory.lock:
            self.faults.add(service, operation, answers, match=match, stay=stay)

    def reset(self) -> None:
        """Forget what was received, all scripts and what Cloudflare was set to."""
        with self.memory.lock:
            self.faults.clear()
            self.cloudflare.set({})
            self.slack.views.clear()
            self.memory.clear()
            self.slack.channels.make_default()

    def serve(self, received: Received) -> Reply:
        """Record a request, and answer it: as a script says, or as the stand-in does by itself."""
        with self.memory.lock:
            self.memory.requests.append(received)
            self.memory.changed()
            fault = self.faults.take(received.service, received.operation, self._matchable(received))
        received.scripted = fault is not None
        reply = self._reply(received, fault)
        received.bearer = ""
        received.status = None if reply.hold or reply.hang_up else reply.status
        received.error = _error(received, reply)
        return reply

    def _reply(self, received: Received, fault: Fault | None) -> Reply:
        stand_in = self._stand_in(received.service)
        if fault is None:
            return stand_in.handle(received, limited=True)
        if fault.delay_seconds:
            self.stopping.wait(fault.delay_seconds)
        ordinary = stand_in.handle(received, limited=False) if fault.is_taken else None
        if fault.timeout:
            return _HOLD
        if fault.disconnect:
            return _DISCONNECT
        if ordinary is not None and fault.is_ordinary:
            return ordinary
        if fault.body is not None:
            return _exactly(fault)
        reply = stand_in.fail(fault)
        return Reply(reply.status, reply.body, {**reply.headers, **fault.headers})

    def _stand_in(self, service: str) -> StandIn:
        stand_ins: dict[str, StandIn] = {
            "slack": self.slack,
            "slack_hook": self.slack.hooks,
            "pagerduty": self.pagerduty,
            "ses": self.mail,
            "hook": self.hook_receiver,
            "discord": self.discord,
            "teams": self.teams,
            "cloudflare": self.cloudflare,
            "vercel": self.vercel,
        }
        return stand_ins[service]

    def _matchable(self, received: Received) -> Json:
        """Return what scripts match: the fields, with a channel by its plain name."""
        fields = dict(received.fields)
        if received.service == "slack" and "channel" in fields:
            known = self.memory.channels.get(str(fields["channel"]))
            fields["channel"] = f"#{known['name'] if known else str(fields['channel']).removeprefix('#')}"
        return fields


def _error(received: Received, reply: Reply) -> str:
    """Return the code of a refusal of Slack's Web API."""
    if received.service != "slack" or "json" not in reply.headers.get("Content-Type", ""):
        return ""
    body = reply.json()
    return str(body.get("error") or "") if isinstance(body, dict) else ""


def _copied(found: list[Json]) -> list[Json]:
    return list(json.loads(json.dumps(found)))


def _exactly(fault: Fault) -> Reply:
    more = {} if fault.retry_after is None else {"Retry-After": f"{fault.retry_after:g}"}
    if isinstance(fault.body, str):
        return Reply(fault.status or 200, fault.body.encode(), {"Content-Type": "text/html", **more, **fault.headers})
    return json_reply(fault.body, fault.status or 200, {**more, **fault.headers})
