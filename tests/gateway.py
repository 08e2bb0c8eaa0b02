"""An HTTP API on loopback in front of `app.app`, and a stand-in for AWS behind it: for real senders over real sockets."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import app
from chalicelib.ingest import wiring as ingest
from tests.loopback import Aws, served

CONTEXT = SimpleNamespace(invoked_function_arn="arn:aws:lambda:eu-west-1:123456789012:function:tocsin-dev-x")


class Gateway:
    """`url` is its address; `requests` are (method, path, status) of each; `arrived` is set by each."""

    def __init__(self, aws: Aws) -> None:
        self.aws = aws
        self.url = ""
        self.requests: list[tuple[str, str, int]] = []
        self.arrived = threading.Event()

    def messages(self, kind: str = "webhook") -> list[str]:
        """The messages of a type that were put on the webhooks queue."""
        calls = [arguments for action, arguments, *_ in self.aws.calls if action.startswith("SendMessage")]
        bodies = [each["MessageBody"] for call in calls for each in call.get("Entries", [call])]
        return [body for body in bodies if json.loads(body)["type"] == kind]

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> dict[str, Any]:
        """Return the function's answer to a request in payload format 2.0."""
        raw_path, _, query = path.partition("?")
        event = {
            "version": "2.0",
            "rawPath": raw_path,
            "rawQueryString": query,
            "headers": {name.lower(): value for name, value in headers.items()},
            "requestContext": {"http": {"method": method, "sourceIp": "127.0.0.1"}, "stage": "$default"},
            "body": base64.b64encode(body).decode(),
            "isBase64Encoded": True,
        }
        found: dict[str, Any] = app.app(event, CONTEXT)
        self.requests.append((method, path, found["statusCode"]))
        self.arrived.set()
        return found


def _handler(gateway: Gateway) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """One connection."""

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            found = gateway.answer(self.command, self.path, dict(self.headers), body)
            data = base64.b64decode(found["body"]) if found.get("isBase64Encoded") else str(found["body"]).encode()
            self.send_response(found["statusCode"])
            for name, value in found["headers"].items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _answer

        def log_message(self, format: str, *args: Any) -> None:
            """Write nothing."""

    return Handler


@contextmanager
def gateway(monkeypatch: Any, **environment: str) -> Iterator[Gateway]:
    """An address at which the application answers, with these secrets and settings."""
    with served() as aws:
        aws.replies["GetQueueUrl"] = (200, {"QueueUrl": f"{aws.url}/123456789012/tocsin-dev-webhooks"})
        keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "eu-west-1"}
        for name, value in {**keys, "AWS_ENDPOINT_URL": aws.url, "TOCSIN_STAGE": "dev", **environment}.items():
            monkeypatch.setenv(name, value)
        ingest.ports.cache_clear()
        found = Gateway(aws)
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(found))
        found.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
            ingest.ports.cache_clear()
