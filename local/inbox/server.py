"""The inbox as an HTTP server on loopback.

    /slack/api/<method>                         Slack's Web API        (SLACK_API_URL=<inbox>/slack/api)
    /slack/hooks/<channel>                      an incoming webhook of that channel
    /slack/actions/…, /slack/commands/…         response addresses
    /pagerduty/v2/enqueue, …/v2/change/enqueue  Events API v2          (PAGERDUTY_EVENTS_URL=<inbox>/pagerduty)
    /pagerduty/incidents…                       the REST calls a router needs
    /ses/v2/email/outbound-emails               SES v2                 (AWS_ENDPOINT_URL_SESV2=<inbox>/ses)
    /hook/<name>                                a receiver of webhooks, Standard Webhooks checked
    /cloudflare/client/v4/graphql               Cloudflare GraphQL     (CLOUDFLARE_API_URL=<that>)
    /vercel/…                                   Vercel's REST API      (VERCEL_API_URL=<inbox>/vercel)
    /_control/answers, cloudflare, settings, reset      how it behaves
    /_api/messages, /_api/requests, /health     what came in
    /runbook/<page>.md                          a page of runbook/  (RUNBOOK_BASE_URL=<inbox>/runbook)
    /                                           the page

All of it is for this machine only: the Host must be a loopback name with the inbox's port, and what a browser sends for
another site is refused (`local/guard.py`). The page may send to its own part, no page to a stand-in.
"""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit
from urllib.request import ProxyHandler, Request, build_opener

from local.guard import key_headers
from local.inbox.cues import Answer, CueError, Cues
from local.inbox.drawing import page
from local.inbox.exchange import Json, Received, Reply, json_reply, text_reply
from local.inbox.http import Server, handler, received_from
from local.inbox.memory import Memory
from local.inbox.outside import Connections
from local.inbox.pace import Limits
from local.inbox.vendors.cloudflare import Cloudflare
from local.inbox.vendors.hooks import Hooks
from local.inbox.vendors.mail import Mail
from local.inbox.vendors.pagerduty import PEOPLE as RESPONDERS
from local.inbox.vendors.pagerduty import PagerDuty
from local.inbox.vendors.slack.api import Slack
from local.inbox.vendors.slack.people import DEFAULT_PERSON, People
from local.inbox.vendors.slack.workspace import PEOPLE
from local.inbox.vendors.vercel import Vercel

HOST = "127.0.0.1"
DEFAULT_PORT = 8025
EMULATOR_SECONDS = 1.0
STATIC = Path(__file__).parent / "drawing" / "static"
RUNBOOK = Path(__file__).resolve().parents[2] / "runbook"
TYPES = {".css": "text/css", ".js": "text/javascript", ".md": "text/plain", ".svg": "image/svg+xml"}
SERVICES = ("slack", "slack_hook", "pagerduty", "ses", "hook", "cloudflare", "vercel")
_RESPONDERS = dict(zip(PEOPLE, RESPONDERS, strict=True))
"""The same people, by their Slack id, in PagerDuty."""
_DISCONNECT = Reply(hang_up=True)
_HOLD = Reply(hold=True)


class Inbox:
    """All stand-ins behind one address. Use it as a context manager, or `start` and `stop` it; both only once each.

    `requests` are all requests to stand-ins as they came in, `messages` Slack's messages, `incidents` PagerDuty's,
    `mails` and `hooks` the others. `clock` is Unix seconds; rates, ages and times go by it. With `emulator`, the address
    of an embedded AWS, and the id of its access key, the mails that its SES took are shown too.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        state: Path | None = None,
        tocsin: str = "",
        slack_signing_secret: str = "",
        pagerduty_webhook_secret: str = "",
        webhook_secret: str = "",
        emulator: str = "",
        emulator_key: str = "",
        limits: Limits | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        limits = limits or Limits()
        self.connections = Connections(tocsin, slack_signing_secret, pagerduty_webhook_secret, webhook_secret)
        self.memory = Memory(state)
        self.cues = Cues()
        self.clock = clock
        self.slack = Slack(self.memory, limits, clock)
        self.people = People(self.slack, self.memory, self.connections, clock, lambda: self.url)
        self.pagerduty = PagerDuty(self.memory, limits, self.connections, clock)
        self.mail = Mail(self.memory, limits, clock)
        self.hook_receiver = Hooks(self.memory, self.connections, clock)
        self.cloudflare = Cloudflare()
        self.vercel = Vercel(self.memory, clock)
        self.stopping = threading.Event()
        self._emulator = emulator.rstrip("/")
        self._emulator_headers = key_headers(emulator_key)
        self._server = Server((HOST, port), handler(self))
        self._threads: list[threading.Thread] = []

    @property
    def url(self) -> str:
        """The inbox's address, without a slash at the end."""
        return f"http://{HOST}:{self._server.server_address[1]}"

    @property
    def requests(self) -> list[Received]:
        """All requests to stand-ins, oldest first."""
        with self.memory.lock:
            return list(self.memory.requests)

    @property
    def messages(self) -> list[Json]:
        """Slack's messages, oldest first."""
        with self.memory.lock:
            return _copied(self.memory.messages)

    @property
    def incidents(self) -> list[Json]:
        """PagerDuty's incidents, oldest first."""
        with self.memory.lock:
            return _copied(self.memory.incidents)

    @property
    def mails(self) -> list[Json]:
        """Mails, oldest first."""
        with self.memory.lock:
            return _copied(self.memory.mails)

    @property
    def hooks(self) -> list[Json]:
        """Webhooks received, oldest first."""
        with self.memory.lock:
            return _copied(self.memory.hooks)

    def start(self) -> Self:
        """Begin to answer."""
        self.memory.start()
        self.pagerduty.start()
        self._run(lambda: self._server.serve_forever(poll_interval=0.05), "inbox-server")
        if self._emulator:
            self._run(self._watch_emulator, "inbox-emulator")
        return self

    def stop(self) -> None:
        """Close all connections, save, and end every thread."""
        self.stopping.set()
        if self._threads:
            self._server.shutdown()
        self._server.hang_up()
        self._server.server_close()
        for thread in self._threads:
            thread.join()
        self._threads.clear()
        self.pagerduty.stop()
        self.memory.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def answer(
        self,
        service: str,
        operation: str,
        answers: list[Json],
        *,
        match: Json | None = None,
        stay: bool = False,
    ) -> None:
        """Play these answers next: see `cues`. CueError when the service or an answer cannot be read."""
        if service not in SERVICES:
            raise CueError(f"service must be one of {', '.join(SERVICES)}")
        with self.memory.lock:
            self.cues.add(service, operation, answers, match=match, stay=stay)

    def reset(self) -> None:
        """Forget what was received, all cues and what Cloudflare was set to."""
        with self.memory.lock:
            self.cues.clear()
            self.cloudflare.set({})
            self.slack.views.clear()
            self.memory.clear()
            self.slack.channels.make_default()

    def everything(self) -> Json:
        """What was received, as JSON."""
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
                "sent": memory.deliveries,
                "problem": memory.problem,
            }
            return dict(json.loads(json.dumps(found)))

    # Requests to stand-ins -------------------------------------------------------------------------------------

    def answer_to(self, method: str, address: str, headers: Json, body: bytes) -> Reply | None:
        """The reply of the stand-in behind an address, without a connection; None when it is none's."""
        parts = urlsplit(address)
        received = received_from(method, unquote(parts.path), parts.query, headers, body, self.clock())
        return None if received is None else self.serve(received)

    def serve(self, received: Received) -> Reply:
        """Record a request, and answer it: on cue, or as the stand-in does by itself."""
        with self.memory.lock:
            self.memory.requests.append(received)
            self.memory.changed()
            cue = self.cues.take(received.service, received.operation, self._matchable(received))
        received.cued = cue is not None
        reply = self._reply(received, cue)
        received.bearer = ""
        received.status = None if reply.hold or reply.hang_up else reply.status
        received.error = _error(received, reply)
        return reply

    def _reply(self, received: Received, cue: Answer | None) -> Reply:
        handle, cued = self._stand_in(received.service)
        if cue is None:
            return handle(received, paced=True)
        if cue.delay_seconds:
            self.stopping.wait(cue.delay_seconds)
        ordinary = handle(received, paced=False) if cue.is_taken else None
        if cue.timeout:
            return _HOLD
        if cue.disconnect:
            return _DISCONNECT
        if ordinary is not None and cue.is_ordinary:
            return ordinary
        if cue.body is not None:
            return _exactly(cue)
        reply = cued(cue)
        return Reply(reply.status, reply.body, {**reply.headers, **cue.headers})

    def _stand_in(self, service: str) -> tuple[Callable[..., Reply], Callable[[Answer], Reply]]:
        stand_ins: dict[str, tuple[Callable[..., Reply], Callable[[Answer], Reply]]] = {
            "slack": (self.slack.handle, self.slack.cued),
            "slack_hook": (self.slack.hooks.handle, self.slack.hooks.cued),
            "pagerduty": (self.pagerduty.handle, self.pagerduty.cued),
            "ses": (self.mail.handle, self.mail.cued),
            "hook": (self.hook_receiver.handle, self.hook_receiver.cued),
            "cloudflare": (self.cloudflare.handle, self.cloudflare.cued),
            "vercel": (self.vercel.handle, self.vercel.cued),
        }
        return stand_ins[service]

    def _matchable(self, received: Received) -> Json:
        """What cues match: the fields, with a channel by its plain name too."""
        fields = dict(received.fields)
        if received.service == "slack" and "channel" in fields:
            known = self.memory.channels.get(str(fields["channel"]))
            fields["channel"] = f"#{known['name'] if known else str(fields['channel']).removeprefix('#')}"
        return fields

    def _watch_emulator(self) -> None:
        """Read the mails that the emulator's own SES took; an emulator that is away is asked again."""
        opener = build_opener(ProxyHandler({}))
        while not self.stopping.wait(EMULATOR_SECONDS):
            try:
                asked = Request(f"{self._emulator}/_ministack/ses/messages", headers=self._emulator_headers)
                with opener.open(asked, timeout=5) as answer:
                    self.mail.take_from_emulator(json.load(answer))
            except (OSError, ValueError):
                continue

    def _run(self, work: Callable[[], None], name: str) -> None:
        thread = threading.Thread(target=work, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    # The page and what steers the inbox ------------------------------------------------------------------------

    def show(self, path: str, query: Json) -> Reply:
        """Answer a GET of the page, its parts, or what was received."""
        if path == "/health":
            return json_reply({"status": "ok", "problem": self.memory.problem})
        if path == "/":
            return self._page(query)
        if path == "/_page/fragments":
            return self._fragments(query)
        if path == "/_api/messages":
            return json_reply(self.everything())
        if path == "/_api/requests":
            return json_reply([each.summary() for each in self.requests])
        if path.startswith("/static/"):
            return _file(STATIC, path.removeprefix("/static/"))
        if path.startswith("/runbook/"):
            return _file(RUNBOOK, path.removeprefix("/runbook/"))
        if path.startswith("/mail/"):
            return self._mail(path.removeprefix("/mail/"))
        return json_reply({"error": "not found"}, 404)

    def _page(self, query: Json) -> Reply:
        with self.memory.lock:
            view = str(query.get("view") or page.first_view(self.memory))
            connected = bool(self.connections.tocsin)
            html = page.whole(self.memory, view, views=self.slack.views, now=self.clock(), connected=connected)
        return text_reply(html, headers={"Content-Security-Policy": page.POLICY})

    def _fragments(self, query: Json) -> Reply:
        """The parts of the page that change; 204 when nothing is new since `version`."""
        with self.memory.lock:
            version = str(self.memory.version)
            if query.get("version") == version:
                return Reply(204)
            view = str(query.get("view") or page.first_view(self.memory))
            views = self.slack.views
            return json_reply(
                {
                    "version": version,
                    "side": page.sidebar(self.memory, view),
                    "main": page.main(self.memory, view, now=self.clock(), connected=bool(self.connections.tocsin)),
                    "modals": page.modals(self.memory, views),
                    "modal_id": f"{views[-1]['id']}{views[-1]['hash']}" if views else "",
                }
            )

    def _mail(self, identifier: str) -> Reply:
        with self.memory.lock:
            mail = next((each for each in self.memory.mails if each["id"] == identifier), None)
        if mail is None:
            return json_reply({"error": "not found"}, 404)
        return text_reply(page.mail_document(mail), headers={"Content-Security-Policy": page.MAIL_POLICY})

    def act(self, path: str, body: Json) -> Reply:
        """Answer a POST of the page, or one that steers the inbox."""
        acts: dict[str, Callable[[Json], Json]] = {
            "/_page/press": self._press,
            "/_page/submit": lambda asked: self.people.submit(
                str(asked.get("view")), dict(asked.get("values") or {}), user=_person(asked)
            ),
            "/_page/close": lambda asked: self.people.close(str(asked.get("view")), user=_person(asked)),
            "/_page/command": lambda asked: self.people.command(
                str(asked.get("channel")), str(asked.get("text") or ""), user=_person(asked)
            ),
            "/_page/pagerduty": lambda asked: self.pagerduty.act(
                str(asked.get("incident")),
                str(asked.get("act")),
                who=_RESPONDERS[_person(asked)],
                text=str(asked.get("text") or ""),
            ),
            "/_control/answers": self._cue,
            "/_control/cloudflare": self._set_cloudflare,
            "/_control/settings": self._connect,
            "/_control/reset": self._reset,
        }
        if path not in acts:
            return json_reply({"error": "not found"}, 404)
        try:
            return json_reply(acts[path](body))
        except (CueError, ValueError, TypeError, AttributeError) as error:
            said = str(error) if isinstance(error, ValueError) else "the body has another form than expected"
            return json_reply({"ok": False, "error": said}, 400)

    def _press(self, asked: Json) -> Json:
        return self.people.press(
            str(asked.get("channel")),
            str(asked.get("ts")),
            str(asked.get("action_id")),
            block_id=asked.get("block_id"),
            value=asked.get("value"),
            user=_person(asked),
        )

    def _cue(self, asked: Json) -> Json:
        service, operation = str(asked.get("service")), str(asked.get("method") or "*")
        self.answer(service, operation, asked["answers"], match=asked.get("match"), stay=bool(asked.get("stay")))
        return {"ok": True}

    def _set_cloudflare(self, asked: Json) -> Json:
        self.cloudflare.set(asked)
        return {"ok": True}

    def _connect(self, asked: Json) -> Json:
        """Where Tocsin is, and the secrets shared with it: known only once it is deployed."""
        allowed = ("tocsin", "slack_signing_secret", "pagerduty_webhook_secret", "webhook_secret")
        unknown = sorted(set(asked) - {*allowed, "pagerduty_names_key"})
        if unknown:
            raise ValueError(f"no setting {', '.join(unknown)}; allowed are {', '.join(allowed)}, pagerduty_names_key")
        for name in allowed:
            if name in asked:
                setattr(self.connections, name, str(asked[name]))
        self.pagerduty.names_key = bool(asked.get("pagerduty_names_key", self.pagerduty.names_key))
        self.memory.changed()
        return {"ok": True}

    def _reset(self, asked: Json) -> Json:
        self.reset()
        return {"ok": True}


def _person(asked: Json) -> str:
    user = str(asked.get("user") or DEFAULT_PERSON)
    return user if user in PEOPLE else DEFAULT_PERSON


def _error(received: Received, reply: Reply) -> str:
    """The code of a refusal of Slack's Web API."""
    if received.service != "slack" or "json" not in reply.headers.get("Content-Type", ""):
        return ""
    body = reply.json()
    return str(body.get("error") or "") if isinstance(body, dict) else ""


def _copied(found: list[Json]) -> list[Json]:
    return list(json.loads(json.dumps(found)))


def _exactly(cue: Answer) -> Reply:
    more = {} if cue.retry_after is None else {"Retry-After": f"{cue.retry_after:g}"}
    if isinstance(cue.body, str):
        return Reply(cue.status or 200, cue.body.encode(), {"Content-Type": "text/html", **more, **cue.headers})
    return json_reply(cue.body, cue.status or 200, {**more, **cue.headers})


def _file(folder: Path, name: str) -> Reply:
    path = folder / name
    if path.parent != folder or path.suffix not in TYPES or not path.is_file():
        return json_reply({"error": "not found"}, 404)
    return text_reply(path.read_text(encoding="utf-8"), content_type=TYPES[path.suffix])
