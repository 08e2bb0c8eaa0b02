"""The inbox as an HTTP server on loopback.

    /slack/api/<method>                         Slack's Web API        (SLACK_API_URL=<inbox>/slack/api)
    /slack/hooks/<channel>                      an incoming webhook of that channel
    /slack/actions/…, /slack/commands/…         response addresses
    /pagerduty/v2/enqueue, …/v2/change/enqueue  Events API v2          (PAGERDUTY_EVENTS_URL=<inbox>/pagerduty)
    /pagerduty/incidents…                       the REST calls a router needs
    /ses/v2/email/outbound-emails               SES v2                 (AWS_ENDPOINT_URL_SESV2=<inbox>/ses)
    /hook/<name>                                a receiver of webhooks, Standard Webhooks checked
    /discord/api/webhooks/<id>/<token>          a webhook of Discord   (DISCORD_DEFAULT_URL=<that>)
    /teams/<flow>                               a flow of Teams        (TEAMS_DEFAULT_URL=<that>)
    /cloudflare/client/v4/graphql               Cloudflare GraphQL     (CLOUDFLARE_API_URL=<that>)
    /vercel/…                                   Vercel's REST API      (VERCEL_API_URL=<inbox>/vercel)
    /_control/answers, cloudflare, settings, reset      how it behaves
    /_api/messages, /_api/requests, /health     what came in
    /runbook/<page>.md                          a page of runbook/  (RUNBOOK_BASE_URL=<inbox>/runbook)
    /sign-in                                    signs in at Tocsin's own page, and leads there
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

from starlette.applications import Starlette

from local.guard import key_headers
from local.inbox import addresses
from local.inbox.control import Control
from local.inbox.drawing.pages import Pages
from local.inbox.exchange import Reply
from local.inbox.http import application
from local.inbox.listener import Listener
from local.inbox.outside import Connections
from local.inbox.rate_limit import Limits
from local.inbox.stand_ins import StandIns

DEFAULT_PORT = 8025
EMULATOR_SECONDS = 1.0


class Inbox(StandIns):
    """All stand-ins behind one address. Use it as a context manager, or `start` and `stop` it; both only once each.

    With `emulator`, the address of an embedded AWS, and the id of its access key, the mails that its SES took are shown
    too.
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
        self._listener = Listener(port)
        connections = Connections(tocsin, slack_signing_secret, pagerduty_webhook_secret, webhook_secret)
        super().__init__(connections, url=self._listener.url, state=state, limits=limits, clock=clock)
        self._emulator = emulator.rstrip("/")
        self._emulator_headers = key_headers(emulator_key)
        self._mails: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Return the inbox's address, without a slash at the end."""
        return self._listener.url

    def start(self) -> Self:
        """Begin to answer."""
        self.memory.start()
        self.pagerduty.start()
        self._listener.start(self._application())
        if self._emulator:
            self._mails = threading.Thread(target=self._watch_emulator, name="inbox-emulator", daemon=True)
            self._mails.start()
        return self

    def stop(self) -> None:
        """Close all connections, save, and end every thread."""
        self.stopping.set()
        self._listener.stop()
        if self._mails is not None:
            self._mails.join()
        self.pagerduty.stop()
        self.memory.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def answer_to(self, method: str, address: str, headers: dict[str, str], body: bytes) -> Reply | None:
        """Return the reply of the stand-in behind an address, without a connection. None when no stand-in is there."""
        parts = urlsplit(address)
        path = unquote(parts.path)
        operation = addresses.operation_at(method, path)
        if operation is None:
            return None
        received = addresses.received_from(
            operation, method=method, path=path, query=parts.query, headers=headers, body=body, at=self.clock()
        )
        return self.serve(received)

    def _application(self) -> Starlette:
        routes = [*addresses.ROUTES, *Control(self).routes(), *Pages(self).routes()]
        app = application(routes, closed_to_pages=addresses.VENDORS)
        app.state.stand_ins = self
        return app

    def _watch_emulator(self) -> None:
        """Read the mails that the emulator's own SES took. An emulator that is away is asked again."""
        opener = build_opener(ProxyHandler({}))
        while not self.stopping.wait(EMULATOR_SECONDS):
            try:
                asked = Request(f"{self._emulator}/_ministack/ses/messages", headers=self._emulator_headers)
                with opener.open(asked, timeout=5) as answer:
                    self.mail.take_from_emulator(json.load(answer))
            except (OSError, ValueError):
                continue
