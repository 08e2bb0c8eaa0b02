"""The page over a router on a virtual clock, for requests of a test and for a real browser."""

import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

from chalicelib.api.access import WrongTokens
from chalicelib.clients import http_client
from chalicelib.core.sign_in import KEY, Person, new_link
from chalicelib.deliver import runbooks
from chalicelib.web.exchange import PageRequest
from chalicelib.web.handle import answer
from chalicelib.web.provider import Providers
from chalicelib.web.visitor import PageContext
from chalicelib.web.wiring import target_name
from tests.api_harness import ApiHarness
from tests.fakes import FixedSecrets

SIGNS = "a key of at least thirty-two characters"
HOST = "tocsin.example"
ROUTES = (
    ("/", "/"),
    ("/incident/([^/]+)", "/incident/{id}"),
    ("/silences", "/silences"),
    ("/rules", "/rules"),
    ("/router", "/router"),
    ("/login", "/login"),
    ("/login/([^/]+)", "/login/{code}"),
    ("/logout", "/logout"),
    ("/profile", "/profile"),
    ("/oidc", "/oidc"),
    ("/oidc/callback", "/oidc/callback"),
    ("/assets/([^/]+)", "/assets/{name}"),
    ("/errors", "/errors"),
    ("/infrastructure", "/infrastructure"),
    ("/performance", "/performance"),
    ("/uptime", "/uptime"),
    ("/(.+)", "/{page}"),
)


class PageHarness(ApiHarness):
    """A router with its page, and a browser's cookies."""

    def __init__(self, *lines, keys=SIGNS, **named):
        super().__init__(*lines, **named)
        self.secrets = FixedSecrets({KEY: keys} if keys else {})
        self.cookies, self.wrong, self.headers = {}, WrongTokens(), {}
        self.http, self.providers = http_client, Providers()
        self.dead_letters = {}
        self.reply = None

    @property
    def page(self):
        """What the page is given at this moment."""
        router = self.router
        return PageContext(
            router.store, router.queues.webhooks, router.rules, self.secrets, "test", router.now,
            target_name, runbooks.find, self.wrong, self.http, self.providers, lambda: self.dead_letters,
        )  # fmt: skip

    def request(self, method, address, body=b"", headers=None):
        """Answer one request as the gateway hands it over, and keep its cookies."""
        where = urlsplit(address)
        found, path = next((match, path) for form, path in ROUTES if (match := re.fullmatch(form, where.path)))
        names = dict(zip(re.findall(r"\{(\w+)\}", path), found.groups(), strict=False))
        sent = {"host": HOST, "cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        sent |= {**self.headers, **(headers or {})}
        self.reply = answer(PageRequest(method, path, names, parse_qs(where.query), body, sent, "192.0.2.1"), self.page)
        for each in self.reply.cookies:
            name, _, value = each.partition(";")[0].partition("=")
            self.cookies[name] = value
            if "Max-Age=0" in each:
                del self.cookies[name]
        return self.reply

    def get(self, address, **headers):
        """Load a page; its HTML."""
        return self.request("GET", address, headers=headers).body

    def post(self, address, form, **headers):
        """Send a form; what was put on the queue is worked through at once. The reply."""
        reply = self.request("POST", address, urlencode(form).encode(), headers)
        self.router.settle()
        return reply

    def code(self, name="Ana Souza", account="token:"):
        """Return a one-time code for a person."""
        return new_link(Person(name, account), (SIGNS,), self.router.now)

    def sign_in(self, name="Ana Souza", account="token:"):
        """Sign a person in by a link of now."""
        return self.post("/login", {"code": self.code(name, account)})

    def form_token(self, address="/"):
        """Return what the forms of a page hold."""
        return re.search(r'name="form" value="([^"]+)"', self.get(address))[1]

    def act(self, id, do, **fields):
        """Press a button of an incident."""
        return self.post(f"/incident/{id}", {"form": self.form_token(), "do": do, **fields})


@contextmanager
def served(harness):
    """The address of the page of a harness, for a browser, for as long as the block runs.

    Browsers open connections before they need them, so each has a thread; the router is asked by one at a time.
    """
    one_at_a_time = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()} | {"x-forwarded-proto": "http"}
            with one_at_a_time:
                harness.cookies, harness.headers = {}, {}
                reply = harness.request(self.command, self.path, body, headers)
                harness.router.settle()
            data = reply.body.encode()
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            for each in reply.cookies:
                self.send_header("Set-Cookie", each)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = _answer

        def log_message(self, format, *args):
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
