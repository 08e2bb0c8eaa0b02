"""The door of /metrics: whoever may read by the API may scrape."""

import os
from collections.abc import Mapping
from datetime import datetime

from chalicelib import wiring
from chalicelib.api import routes
from chalicelib.api.access import WRONG_KEPT
from chalicelib.api.admission import admit
from chalicelib.core.access import Role
from chalicelib.core.errors import RequestError
from chalicelib.ingest.receive import HttpResponse
from chalicelib.ingest.wiring import ports as ports_of_api
from chalicelib.openmetrics.scrape import scrape

PRIVATE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
PLAIN = "text/plain; charset=utf-8"


def answer(headers: Mapping[str, str], *, account: str | None, address: str, now: datetime) -> HttpResponse:
    """Return the metrics of the stage, or why the scraper may not have them."""
    ports = wiring.ports(account)
    try:
        secrets = ports_of_api(account).secrets
        sender = admit(headers, secrets, store=lambda: ports.store, address=address, now=now, writes=False)
        context = routes.ApiContext(store=ports.store, webhooks=ports.webhooks, rules=wiring.rules(), now=now)
        routes.check_role(context, routes.Request(holder=sender.name, most=sender.most), Role.VIEWER)
    except RequestError as error:
        return _refused(error)
    accept = next((text for name, text in headers.items() if name.lower() == "accept"), "")
    kind, text = scrape(ports.store, stage=os.environ.get("TOCSIN_STAGE", ""), accept=accept, now=now)
    return HttpResponse(200, text, {**PRIVATE, "Content-Type": kind})


def _refused(error: RequestError) -> HttpResponse:
    headers = {**PRIVATE, "Content-Type": PLAIN}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    elif error.status == 429:
        headers["Retry-After"] = str(int(WRONG_KEPT.total_seconds()))
    return HttpResponse(error.status, f"{error}\n", headers, str(error))
