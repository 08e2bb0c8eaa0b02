"""Requests to an inbox and what they carry: messages, events, mails; and a server in Tocsin's place."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
from botocore.config import Config

from local.inbox import Inbox

TOKEN = "xoxb-1"
KEY = "0123456789abcdef0123456789abcdef"
SIGNING = "signing-secret"
Answered = tuple[int, dict[str, str], Any]


class Clock:
    """Unix seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


def request(inbox: Inbox, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Answered:
    """Status, headers in lower case, and the body as JSON or text."""
    connection = HTTPConnection("127.0.0.1", int(inbox.url.rpartition(":")[2]), timeout=10)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        text = answer.read().decode()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, found, json.loads(text) if "json" in found.get("content-type", "") and text else text
    finally:
        connection.close()


def post(inbox: Inbox, path: str, body: Any, **headers: str) -> Answered:
    """POST as JSON."""
    given = {"Content-Type": "application/json; charset=utf-8", **{n.replace("_", "-"): v for n, v in headers.items()}}
    return request(inbox, "POST", path, json.dumps(body).encode(), given)


def slack(inbox: Inbox, method: str, /, token: str = TOKEN, **fields: Any) -> dict[str, Any]:
    """The body of a call of the Web API."""
    _, _, body = post(inbox, f"/slack/api/{method}", fields, Authorization=f"Bearer {token}")
    return dict(body)


def words(text: str, kind: str = "plain_text") -> dict[str, Any]:
    """A text object."""
    return {"type": kind, "text": text}


def button(action_id: str = "ack", **more: Any) -> dict[str, Any]:
    """A button."""
    return {"type": "button", "action_id": action_id, "text": words("Acknowledge"), "value": "inc-1", **more}


MENU = {
    "type": "static_select",
    "action_id": "silence",
    "placeholder": words("Silence"),
    "options": [{"text": words("1 hour"), "value": "1h:inc-1"}, {"text": words("4 hours"), "value": "4h:inc-1"}],
}
ACTIONS = {"type": "actions", "block_id": "act:1", "elements": [button(), MENU]}
MODAL = {
    "type": "modal",
    "callback_id": "silence",
    "title": words("Silence"),
    "submit": words("Silence"),
    "private_metadata": "inc-1",
    "blocks": [
        {
            "type": "input",
            "block_id": "why",
            "label": words("Why"),
            "element": {"type": "plain_text_input", "action_id": "v"},
        },
        {"type": "input", "block_id": "for", "optional": True, "label": words("For"), "element": MENU},
    ],
}


@contextmanager
def tocsin(
    answers: dict[str, tuple[int, bytes]] | None = None,
) -> Iterator[tuple[str, list[tuple[str, dict[str, str], bytes]]]]:
    """A server in Tocsin's place: its address, and the (path, headers, body) that came. `answers` is by path."""
    came: list[tuple[str, dict[str, str], bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        """Answers 200, or what it was told to."""

        def do_POST(self) -> None:
            """Record and answer."""
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, content = (answers or {}).get(self.path, (200, b""))
            came.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", came
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def event(action: str = "trigger", **more: Any) -> dict[str, Any]:
    """An event of the Events API."""
    payload = {"summary": "Downtime", "source": "web", "severity": "critical"}
    base = {"routing_key": KEY, "event_action": action, "dedup_key": "inc-1"}
    return {**base, **({"payload": payload} if action == "trigger" else {}), **more}


def ses(inbox: Inbox) -> Any:
    """boto3's client, pointed at the inbox."""
    return boto3.client(
        "sesv2",
        region_name="us-east-1",
        endpoint_url=f"{inbox.url}/ses",
        aws_access_key_id="a",
        aws_secret_access_key="b",
        config=Config(retries={"total_max_attempts": 1}),
    )


def mail(headers: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    """A request of SendEmail."""
    given = [{"Name": name, "Value": value} for name, value in (headers or {}).items()]
    body = {"Text": {"Data": "text"}, "Html": {"Data": "<script>alert(1)</script><b>html</b>"}}
    simple = {"Subject": {"Data": "[critical] Down"}, "Body": body, "Headers": given}
    base = {"FromEmailAddress": "Tocsin <alerts@example.com>", "Destination": {"ToAddresses": ["ops@example.com"]}}
    return {**base, "Content": {"Simple": simple}, **more}
