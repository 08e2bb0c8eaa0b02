"""A stand-in for PagerDuty: Events API v2, incidents, and webhooks v3 back.

https://developer.pagerduty.com/docs/send-alert-event and …/docs/webhooks-overview. An alert is open for one pair of
routing key and dedup_key; after its resolve the same pair opens a new one, and an acknowledge or resolve without an open
alert is answered 202 and dropped. Every change of an incident, whoever made it, is sent to Tocsin as a signed webhook:
as from PagerDuty, Tocsin receives the echo of its own acts. Deliveries are repeated on 429, 5xx and no answer, under
the same X-Webhook-Id, and dropped on other answers.
"""

import hashlib
import json
import queue
import re
import secrets
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from local.inbox.exchange import Json, Received, Reply, json_reply, units
from local.inbox.faults import Fault
from local.inbox.memory import Memory
from local.inbox.outside import Connections, pagerduty_headers, post
from local.inbox.rate_limit import Limits, Window

ROUTING_KEY_CHARACTERS = 32
MAX_SUMMARY_CHARACTERS = 1_024
MAX_DEDUP_KEY_CHARACTERS = 255
MAX_BODY_BYTES = 512_000
SEVERITIES = ("critical", "warning", "error", "info")
ACTIONS = ("trigger", "acknowledge", "resolve")
WEBHOOK_TIMEOUT_SECONDS = 5.0
WEBHOOK_WAITS_SECONDS = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Between the tries of a delivery. PagerDuty goes on for 48 hours; the inbox ends after these."""
ON_CALL = {"id": "PANASOUZA", "summary": "Ana Souza"}
PEOPLE = {"PANASOUZA": "Ana Souza", "PBENOKORO": "Ben Okoro", "PCHENWEI": "Chen Wei"}
_OPEN = ("triggered", "acknowledged")


class PagerDuty:
    """Events in, incidents, webhooks out."""

    def __init__(self, memory: Memory, limits: Limits, connections: Connections, clock: Callable[[], float]) -> None:
        self._memory = memory
        self._limits = limits
        self._connections = connections
        self._clock = clock
        self._windows: dict[str, Window] = {}
        self._outgoing: queue.SimpleQueue[tuple[str, bytes] | threading.Event | None] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.names_key = True
        """Whether webhooks carry incident_key; PagerDuty leaves it out where an incident has child alerts."""

    def start(self) -> None:
        """Begin to deliver webhooks."""
        self._stop.clear()
        self._thread = threading.Thread(target=self._deliver_until_stopped, name="inbox-pagerduty", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop delivering. Webhooks that wait are dropped."""
        self._stop.set()
        self._outgoing.put(None)
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def drain(self) -> None:
        """Wait until every webhook so far is delivered or given up."""
        done = threading.Event()
        self._outgoing.put(done)
        done.wait()

    # Events API ------------------------------------------------------------------------------------------------

    def handle(self, received: Received, *, limited: bool = True) -> Reply:
        """Answer /v2/enqueue and /v2/change/enqueue."""
        if len(received.body) > MAX_BODY_BYTES:
            return _invalid([f"Event is larger than {MAX_BODY_BYTES} bytes"])
        try:
            event = json.loads(received.body)
        except ValueError:
            return _unrecognised()
        if not isinstance(event, dict):
            return _unrecognised()
        is_change = received.operation == "v2/change/enqueue"
        mistakes = event_mistakes(event, is_change=is_change)
        if mistakes:
            return _invalid(mistakes)
        if limited and self._is_throttled(event["routing_key"]):
            return Reply(429, b"", {"Content-Type": "application/json"})
        with self._memory.lock:
            if is_change:
                self._change(event)
                return json_reply({"status": "success", "message": "Change event processed"}, 202)
            key = str(event.get("dedup_key") or secrets.token_hex(16))
            self._take(event, key)
        return json_reply({"status": "success", "message": "Event processed", "dedup_key": key}, 202)

    def fail(self, fault: Fault) -> Reply:
        """Return a scripted failure, in PagerDuty's form."""
        status = fault.status or 400
        if status == 400:
            return _invalid([fault.error or "Length of 'routing_key' is incorrect (should be 32 characters)"])
        more = {} if fault.retry_after is None else {"Retry-After": f"{fault.retry_after:g}"}
        return Reply(status, b"", {"Content-Type": "application/json", **more})

    def _is_throttled(self, routing_key: str) -> bool:
        with self._memory.lock:
            window = self._windows.setdefault(routing_key, Window(self._limits.pagerduty_per_minute))
            return window.take(self._clock()) > 0

    def _take(self, event: Json, key: str) -> None:
        routing = _masked(event["routing_key"])
        found = next(
            (
                each
                for each in self._memory.incidents
                if each["routing"] == routing and each["dedup_key"] == key and each["status"] in _OPEN
            ),
            None,
        )
        action = event["event_action"]
        if action == "trigger":
            self._trigger(event, key, routing, found)
        elif found is not None:
            done = {"acknowledge": "acknowledged", "resolve": "resolved"}[action]
            self._set(found, done, who=None, by=str(event.get("client") or "Events API"))
        self._memory.changed()

    def _trigger(self, event: Json, key: str, routing: str, found: Json | None) -> None:
        payload = event["payload"]
        if found is not None:
            found["triggers"] += 1
            found["last"] = payload
            self._log(found, "triggered again", str(payload["summary"]))
            return
        incident = {
            "id": f"Q{secrets.token_hex(6).upper()}",
            "alert_id": f"Q{secrets.token_hex(6).upper()}",
            "number": self._memory.count("pagerduty"),
            "status": "triggered",
            "title": str(payload["summary"]),
            "severity": payload["severity"],
            "urgency": "high" if payload["severity"] in ("critical", "error") else "low",
            "routing": routing,
            "dedup_key": key,
            "created_at": self._clock(),
            "changed_at": self._clock(),
            "client": str(event.get("client") or ""),
            "client_url": str(event.get("client_url") or ""),
            "links": event.get("links") or [],
            "first": payload,
            "last": payload,
            "triggers": 1,
            "assignee": ON_CALL["id"],
            "log": [],
        }
        self._memory.incidents.append(incident)
        self._log(incident, "triggered", str(payload["summary"]))
        self._tell("incident.triggered", incident, None)

    def _change(self, event: Json) -> None:
        self._memory.changes.append(
            {
                "at": self._clock(),
                "routing": _masked(event["routing_key"]),
                "payload": event["payload"],
                "links": event.get("links") or [],
            }
        )
        self._memory.changed()

    # People and REST -------------------------------------------------------------------------------------------

    def act(self, identifier: str, act: str, *, who: str = "PANASOUZA", text: str = "") -> Json:
        """Do what a person does to an incident: acknowledge, unacknowledge, resolve, reassign, note."""
        with self._memory.lock:
            incident = next((each for each in self._memory.incidents if each["id"] == identifier), None)
            if incident is None:
                return {"ok": False, "problem": "There is no such incident"}
            if act == "note":
                self._note(incident, text.strip(), who)
                return {"ok": True}
            if incident["status"] == "resolved":
                return {"ok": False, "problem": "Incident Already Resolved"}
            if act == "reassign":
                return self._reassign(incident, text, who)
            statuses = {"acknowledge": "acknowledged", "unacknowledge": "triggered", "resolve": "resolved"}
            if act not in statuses:
                return {"ok": False, "problem": "An incident can be acknowledged, unacknowledged, resolved, reassigned"}
            self._set(incident, statuses[act], who=who, by=PEOPLE.get(who, who))
        return {"ok": True}

    def rest(self, method: str, path: str, body: Json) -> Reply:
        """Answer the REST calls that a router needs: who is on call, incidents by key, an incident and its alerts."""
        if method == "GET" and path == "oncalls":
            on_call = {"escalation_level": 1, "user": _reference("user", ON_CALL["id"], ON_CALL["summary"])}
            return json_reply({"oncalls": [on_call], "more": False})
        with self._memory.lock:
            if method == "GET" and path == "incidents":
                key = str(body.get("incident_key") or "")
                found = [each for each in self._memory.incidents if not key or each["dedup_key"] == key]
                return json_reply({"incidents": [self._data(each) for each in reversed(found)], "more": False})
            named = re.fullmatch(r"incidents/([A-Z0-9]+)(/alerts)?", path)
            incident = next((e for e in self._memory.incidents if named and e["id"] == named[1]), None)
            if named is None or incident is None:
                return json_reply({"error": {"message": "Not Found", "code": 2100}}, 404)
            if named[2]:
                return json_reply({"alerts": [_alert(incident)], "more": False})
            if method == "PUT":
                return self._put(incident, body)
            return json_reply({"incident": self._data(incident)})

    def _put(self, incident: Json, body: Json) -> Reply:
        wanted = (body.get("incident") or {}).get("status")
        acts = {"acknowledged": "acknowledge", "resolved": "resolve"}
        if wanted not in acts:
            return json_reply({"error": {"message": "Invalid Input Provided", "code": 2001}}, 400)
        if incident["status"] == wanted or incident["status"] == "resolved":
            codes = {"acknowledged": (1002, "Incident Already Acknowledged")}
            code, said = codes.get(incident["status"], (1001, "Incident Already Resolved"))
            return json_reply({"error": {"message": said, "code": code, "errors": [said]}}, 400)
        self.act(incident["id"], acts[wanted])
        return json_reply({"incident": self._data(incident)})

    def _set(self, incident: Json, status: str, *, who: str | None, by: str) -> None:
        """Change the status and notify Tocsin. Do nothing when the incident has it already."""
        if incident["status"] == status:
            return
        withdrawn = status == "triggered"
        incident["status"] = status
        self._log(incident, "unacknowledged" if withdrawn else status, f"by {by}")
        if status == "acknowledged":
            incident["acknowledged_by"] = by
        kind = "incident.unacknowledged" if withdrawn else f"incident.{status}"
        self._tell(kind, incident, who)
        self._memory.changed()

    def _reassign(self, incident: Json, to: str, who: str) -> Json:
        if to not in PEOPLE:
            return {"ok": False, "problem": "There is no such person"}
        incident["assignee"] = to
        self._log(incident, "reassigned", f"to {PEOPLE[to]} by {PEOPLE.get(who, who)}")
        self._tell("incident.reassigned", incident, who)
        self._memory.changed()
        return {"ok": True}

    def _note(self, incident: Json, text: str, who: str) -> None:
        if not text:
            return
        self._log(incident, "note", f"{PEOPLE.get(who, who)}: {text}")
        data = {
            "incident": {**_reference("incident", incident["id"], incident["title"])},
            "id": f"P{secrets.token_hex(3).upper()}",
            "content": text,
            "trimmed": False,
            "type": "incident_note",
        }
        self._send("incident.annotated", data, who)
        self._memory.changed()

    def _log(self, incident: Json, what: str, text: str) -> None:
        incident["changed_at"] = self._clock()
        incident["log"].append({"at": self._clock(), "what": what, "text": text})
        del incident["log"][:-200]

    # Webhooks v3 -----------------------------------------------------------------------------------------------

    def _tell(self, kind: str, incident: Json, who: str | None) -> None:
        self._send(kind, self._data(incident), who)

    def _send(self, kind: str, data: Json, who: str | None) -> None:
        if not (self._connections.tocsin and self._connections.pagerduty_webhook_secret):
            return
        agent = _reference("user", who, PEOPLE.get(who, who)) if who else _reference("service", "PSVCINBOX", "Inbox")
        event = {
            "id": f"01{secrets.token_hex(12).upper()}",
            "event_type": kind,
            "resource_type": "incident",
            "occurred_at": _time(self._clock()),
            "agent": agent,
            "client": None,
            "data": data,
        }
        body = json.dumps({"event": event}, separators=(",", ":")).encode()
        self._outgoing.put((secrets.token_hex(16), body))

    def _data(self, incident: Json) -> Json:
        """Return the incident as webhooks and REST carry it."""
        assignee = incident.get("assignee") if incident["status"] != "resolved" else None
        found: Json = {
            **_reference("incident", incident["id"], incident["title"]),
            "type": "incident",
            "number": incident["number"],
            "status": incident["status"],
            "incident_key": incident["dedup_key"] if self.names_key else None,
            "created_at": _time(incident["created_at"]),
            "title": incident["title"],
            "service": _reference("service", "PSVCINBOX", "Inbox"),
            "assignees": [_reference("user", assignee, PEOPLE[assignee])] if assignee else [],
            "escalation_policy": _reference("escalation_policy", "PEPINBOX1", "Default"),
            "teams": [],
            "priority": None,
            "urgency": incident["urgency"],
            "conference_bridge": None,
            "resolve_reason": None,
            "incident_type": {"name": "incident_default"},
        }
        found.pop("summary")
        return found

    def _deliver_until_stopped(self) -> None:
        while (waiting := self._outgoing.get()) is not None:
            if isinstance(waiting, threading.Event):
                waiting.set()
            elif not self._stop.is_set():
                self._deliver(*waiting)

    def _deliver(self, delivery: str, body: bytes) -> None:
        """Try until Tocsin takes it, refuses it for good, or the waits are used up."""
        for wait in (*WEBHOOK_WAITS_SECONDS, None):
            url = f"{self._connections.tocsin.rstrip('/')}/webhooks/pagerduty"
            headers = pagerduty_headers(self._connections.pagerduty_webhook_secret, body, delivery)
            outcome = post(url, body, headers, timeout_seconds=WEBHOOK_TIMEOUT_SECONDS)
            with self._memory.lock:
                self._memory.deliveries.append(
                    {
                        "at": self._clock(),
                        "to": "/webhooks/pagerduty",
                        "event": json.loads(body)["event"]["event_type"],
                        "status": outcome.status,
                        "problem": outcome.problem,
                    }
                )
                self._memory.changed()
            comes_back = outcome.problem or outcome.status == 429 or outcome.status >= 500
            if not comes_back or wait is None or self._stop.wait(wait):
                return


def event_mistakes(event: Json, *, is_change: bool = False) -> list[str]:
    """Return what the Events API refuses, in its words; empty when it takes the event."""
    found: list[str] = []
    key = event.get("routing_key")
    if not isinstance(key, str) or not key:
        found.append("'routing_key' is missing or blank")
    elif len(key) != ROUTING_KEY_CHARACTERS:
        found.append("Length of 'routing_key' is incorrect (should be 32 characters)")
    payload = event.get("payload")
    if is_change:
        return found + (_summary_mistakes(payload) if isinstance(payload, dict) else ["'payload' is missing or blank"])
    action = event.get("event_action")
    if action not in ACTIONS:
        found.append("'event_action' must be one of trigger, acknowledge, resolve")
    dedup_key = event.get("dedup_key")
    if action in ("acknowledge", "resolve") and not dedup_key:
        found.append("'dedup_key' is missing or blank")
    if dedup_key is not None and (not isinstance(dedup_key, str) or units(dedup_key) > MAX_DEDUP_KEY_CHARACTERS):
        found.append(f"Length of 'dedup_key' is incorrect (should be at most {MAX_DEDUP_KEY_CHARACTERS} characters)")
    if action == "trigger":
        found += _payload_mistakes(payload)
    return found + _link_mistakes(event)


def _payload_mistakes(payload: Any) -> list[str]:
    if not isinstance(payload, dict):
        return ["'payload' is missing or blank"]
    found = _summary_mistakes(payload)
    if not isinstance(payload.get("source"), str) or not payload["source"]:
        found.append("'payload.source' is missing or blank")
    if payload.get("severity") not in SEVERITIES:
        found.append(
            "'payload.severity' is invalid (must be one of the following: 'critical', 'warning', 'error' or 'info')"
        )
    if not isinstance(payload.get("custom_details", {}), dict):
        found.append("'payload.custom_details' must be an object")
    if payload.get("timestamp") is not None and not _is_time(payload["timestamp"]):
        found.append("'payload.timestamp' is not a valid time")
    for name in ("component", "group", "class"):
        if not isinstance(payload.get(name, ""), str | None):
            found.append(f"'payload.{name}' must be a string")
    return found


def _summary_mistakes(payload: Json) -> list[str]:
    summary = payload.get("summary")
    if not isinstance(summary, str) or not summary.strip():
        return ["'payload.summary' is missing or blank"]
    if units(summary) > MAX_SUMMARY_CHARACTERS:
        return [f"Length of 'payload.summary' is incorrect (should be at most {MAX_SUMMARY_CHARACTERS} characters)"]
    return []


def _link_mistakes(event: Json) -> list[str]:
    found: list[str] = []
    for name, needed in (("links", "href"), ("images", "src")):
        given = event.get(name)
        if given is None:
            continue
        if not isinstance(given, list) or not all(isinstance(each, dict) and each.get(needed) for each in given):
            found.append(f"'{name}' must be a list of objects with '{needed}'")
        elif name == "images" and not all(str(each["src"]).startswith("https://") for each in given):
            found.append("'images' must be served by HTTPS")
    return found


def _is_time(text: Any) -> bool:
    try:
        datetime.fromisoformat(str(text))
    except ValueError:
        return False
    return True


def _invalid(mistakes: list[str]) -> Reply:
    return json_reply({"status": "invalid event", "message": "Event object is invalid", "errors": mistakes}, 400)


def _unrecognised() -> Reply:
    said = {"status": "Unrecognized object", "message": "Event object format is unrecognized"}
    return json_reply({**said, "errors": ["JSON parse error"]}, 400)


def _masked(key: str) -> str:
    """Return a routing key as it may be kept and shown: its last four characters, and a hash that differs by key."""
    return f"…{key[-4:]} ({hashlib.sha256(key.encode()).hexdigest()[:8]})"


def _alert(incident: Json) -> Json:
    return {
        "id": incident["alert_id"],
        "type": "alert",
        "status": "resolved" if incident["status"] == "resolved" else "triggered",
        "alert_key": incident["dedup_key"],
        "created_at": _time(incident["created_at"]),
        "summary": incident["title"],
        "severity": incident["severity"],
        "incident": _reference("incident", incident["id"], incident["title"]),
    }


def _reference(kind: str, identifier: str, summary: str) -> Json:
    path = {"escalation_policy": "escalation_policies"}.get(kind, f"{kind}s")
    return {
        "html_url": f"https://inbox.pagerduty.com/{path}/{identifier}",
        "id": identifier,
        "self": f"https://api.pagerduty.com/{path}/{identifier}",
        "summary": summary,
        "type": f"{kind}_reference",
    }


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
