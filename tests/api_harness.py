"""A router with its API on a virtual clock: the real stages, what people see and what they do."""

import json
import re
import threading
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit

from chalicelib.api import routes
from chalicelib.api.access import holder
from chalicelib.core.errors import RequestError
from simulation.engine import Replay
from tests.fakes import FixedSecrets
from tests.rule_files import rules_of

START = datetime(2026, 11, 26, 12, tzinfo=UTC)
RULES = """
alerts:
  - name: Boom
    match: {source: event, kind: "!=slow"}
    severity: critical
    group_by: [service]
    group_wait: 0s
    group_interval: 1m
    escalate: [{after: 15m, notification: [{pagerduty: true}]}]
    notification: [{slack_channel: "#a"}, {email: ops@example.com}]
  - name: Slow
    match: {source: event, kind: slow}
    for: 10m
    group_by: [service]
    notification: [{slack_channel: "#slow"}]
default: {notification: [{slack_channel: "#rest"}]}
"""


class ApiHarness:
    """A router with its API; time stands still unless it is told to pass."""

    def __init__(self, *lines, rules=RULES):
        given = [{"at": START.isoformat(), "end": True}, *lines]
        self.replay = Replay(rules_of(rules), list(enumerate(given, 1)))
        list(self.replay.run())
        self.router = self.replay.simulator
        self.status = 0

    @property
    def api(self):
        """What the API is given at this moment."""
        return routes.ApiContext(self.router.store, self.router.queues.webhooks, self.router.rules, self.router.now)

    def wait(self, duration):
        """Let time pass."""
        self.router.run_until(self.router.now + duration, inclusive=True)

    def ask(self, what, query=None, body=None, *, holder="", key="", **names):
        """One request; what was put is worked through at once. The reply's body."""
        given = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
        request = routes.Request(query=query or {}, body=given, holder=holder, key=key)
        reply = getattr(routes, what)(self.api, request, **names)
        self.router.settle()
        json.dumps(reply.body)
        self.status = reply.status
        return reply.body

    def shown(self, service="api"):
        """The open or ended incident of a service, in full."""
        rows = self.ask("list_incidents", {"status": ["all"], "match": [f"service={service}"]})["incidents"]
        return self.ask("show_incident", id=rows[0]["id"])["incident"]


def fire(service="api", name="x", **fields):
    """A line of an event that fires at the start."""
    return {"at": START.isoformat(), "event": {"name": name, "labels": {"service": service, **fields}}}


ROUTES = [
    ("GET", "incidents", "list_incidents"),
    ("GET", "incidents/(?P<id>[^/]+)", "show_incident"),
    ("POST", "incidents/(?P<id>[^/]+)/(?P<act>[^/]+)", "act"),
    ("GET", "alerts", "list_alerts"),
    ("GET", "history", "list_history"),
    ("GET", "who", "who"),
    ("GET", "silences", "list_silences"),
    ("POST", "silences", "make_silence"),
    ("GET", "silences/(?P<id>[^/]+)", "show_silence"),
    ("PUT", "silences/(?P<id>[^/]+)", "edit_silence"),
    ("DELETE", "silences/(?P<id>[^/]+)", "end_silence"),
]


def _handler(desk, tokens):
    class Handler(BaseHTTPRequestHandler):
        """Answers as the gateway and `app.py` do."""

        def _answer(self):
            where = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            try:
                holder(dict(self.headers), tokens, writes=self.command != "GET")
                name, found = next(
                    (name, match)
                    for method, path, name in ROUTES
                    if method == self.command and (match := re.fullmatch(f"/api/{path}", where.path))
                )
                answer = desk.ask(name, parse_qs(where.query), body, **found.groupdict())
                status = desk.status
            except RequestError as error:
                status, answer = error.status, {"error": str(error)}
            except StopIteration:
                status, answer = 403, {"message": "Missing Authentication Token"}
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_DELETE = _answer

        def log_message(self, format, *args):
            """Say nothing."""

    return Handler


@contextmanager
def open_desk(desk, token):
    """The address of the API of a desk, for as long as the block runs."""
    server = HTTPServer(("127.0.0.1", 0), _handler(desk, FixedSecrets({"API_TOKEN": token})))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
