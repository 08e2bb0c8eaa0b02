"""Cloudflare's notification history: what an account was sent in a time, by webhook.

CLOUDFLARE_API_TOKEN (Notifications Read) and CLOUDFLARE_ACCOUNT_ID turn it on; CLOUDFLARE_REST_URL names another host.
An entry holds the body as it was sent; where that is only a sentence, its type, policy and time are put beside it.
https://developers.cloudflare.com/api/resources/alerting/subresources/history/methods/list/
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from chalicelib.core.instants import rfc3339
from chalicelib.core.payload import coerce
from chalicelib.core.payload.retirement import retirement
from chalicelib.histories import Endpoint, Found, History, asked, listed, token

if TYPE_CHECKING:
    from chalicelib.core.ports import Clients

VENDOR = "Cloudflare"
PARAMETERS = ("CLOUDFLARE_API_TOKEN", "CLOUDFLARE_ACCOUNT_ID", "CLOUDFLARE_REST_URL")
BASE = "https://api.cloudflare.com/client/v4"
PER_PAGE = 50
MAX_PAGES = 20
"""A thousand notifications in one run."""


def _notifications(clients: "Clients", *, since: datetime, until: datetime, active: Sequence[str]) -> History:
    """Return what was sent by webhook after `since` up to `until`, oldest first."""
    bearer, account = token(clients, "CLOUDFLARE_API_TOKEN", "CLOUDFLARE_ACCOUNT_ID")
    address = f"{clients.setting('CLOUDFLARE_REST_URL', BASE).rstrip('/')}/accounts/{account}/alerting/v3/history"
    window = [("since", rfc3339(since)), ("before", rfc3339(until)), ("per_page", str(PER_PAGE))]
    found: list[Found] = []
    retires = None
    for page in range(1, MAX_PAGES + 1):
        answer = asked(clients, VENDOR, address, bearer, [*window, ("page", str(page))], now=until)
        entries = listed(answer, VENDOR, "result")
        retires = retires or retirement(answer.headers)
        found += [each for entry in entries if (each := _found(entry, account)) is not None]
        if len(entries) < PER_PAGE:
            break
    return History(sorted(found, key=lambda each: each.at), until, retires=retires)


def _found(entry: Mapping[str, Any], account: str) -> Found | None:
    sent_at = coerce.instant(entry.get("sent"))
    if sent_at is None or coerce.word(entry.get("mechanism_type")) not in ("webhook", "webhooks", ""):
        return None
    known = {
        "name": entry.get("name"),
        "policy_name": entry.get("name"),
        "policy_id": entry.get("policy_id"),
        "alert_type": entry.get("alert_type"),
        "account_id": account,
        "ts": int(sent_at.timestamp()),
    }
    return Found({**known, **_body(entry.get("alert_body"))}, sent_at, {})


def _body(said: Any) -> dict[str, Any]:
    """Return the body of an entry: a whole webhook, only its `data`, or only its sentence."""
    try:
        body = json.loads(said) if isinstance(said, str) else said
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        return {"text": said if isinstance(said, str) else None}
    whole = {key: value for key, value in body.items() if value is not None}
    return whole if {"data", "text", "alert_type"} & whole.keys() else {"data": whole}


ENDPOINTS = (Endpoint("notifications", "notification history", _notifications),)
