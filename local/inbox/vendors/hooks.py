"""A receiver of outgoing webhooks that checks Standard Webhooks signatures: https://www.standardwebhooks.com."""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Callable

from local.inbox.exchange import Json, Received, Reply, json_reply, text_reply
from local.inbox.faults import Fault
from local.inbox.memory import Memory
from local.inbox.outside import Connections

MAX_AGE_SECONDS = 5 * 60
MAX_KEPT_CHARACTERS = 200_000
GOOD = "verified"


class Hooks:
    """Keeps what came in, and whether its signature fits."""

    def __init__(self, memory: Memory, connections: Connections, clock: Callable[[], float]) -> None:
        self._memory = memory
        self._connections = connections
        self._clock = clock

    def handle(self, received: Received, *, limited: bool = True) -> Reply:
        """Answer 204 to what is signed right, or when no secret is shared, and 401 to the rest."""
        verdict = check(received.headers, received.body, self._connections.webhook_secret, now=self._clock())
        identifier = received.headers.get("webhook-id", "")
        with self._memory.lock:
            repeated = any(identifier and each["webhook_id"] == identifier for each in self._memory.hooks)
            self._memory.hooks.append(
                {
                    "at": received.at,
                    "name": received.operation,
                    "webhook_id": identifier,
                    "verdict": verdict,
                    "repeated": repeated,
                    "body": received.body.decode("utf-8", "replace")[:MAX_KEPT_CHARACTERS],
                    "type": _type(received.body),
                }
            )
            self._memory.changed()
        refused = verdict not in (GOOD, "no secret is shared with the inbox")
        return json_reply({"error": verdict}, 401) if refused else Reply(204)

    def fail(self, fault: Fault) -> Reply:
        """Return a scripted failure."""
        more = {} if fault.retry_after is None else {"Retry-After": f"{fault.retry_after:g}"}
        return text_reply(fault.error, fault.status or 400, "text/plain", more)


def check(headers: Json, body: bytes, secret: str, *, now: float) -> str:
    """Return `verified`, or what is wrong, in words. Headers are by lower-case name, the secret is `whsec_…`."""
    if not secret:
        return "no secret is shared with the inbox"
    identifier, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    given = str(headers.get("webhook-signature", "")).split()
    if not identifier or not timestamp or not given:
        return "not signed"
    if not timestamp.isdecimal() or abs(now - int(timestamp)) > MAX_AGE_SECONDS:
        return "the timestamp is not within five minutes"
    try:
        wanted = {_signature(each, identifier, timestamp, body) for each in secret.split()}
    except (binascii.Error, ValueError):
        return "the secret shared with the inbox cannot be read"
    fits = any(hmac.compare_digest(each.encode(), right.encode()) for each in given for right in wanted)
    return GOOD if fits else "the signature is wrong"


def _signature(secret: str, identifier: str, timestamp: str, body: bytes) -> str:
    key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    signed = hmac.new(key, f"{identifier}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(signed).decode()}"


def _type(body: bytes) -> str:
    try:
        found = json.loads(body)
    except ValueError:
        return "not JSON"
    return str(found.get("type") or "") if isinstance(found, dict) else ""
