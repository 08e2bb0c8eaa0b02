"""One HTTP request of a target, and what its outcome means. No target of its own: shared by those that speak HTTP.

Errors name the receiver and the status, never the address, the headers, the body or the answer. Redirects are not
followed. Link-local and cloud metadata addresses are refused before connecting; loopback needs the setting
ALLOW_LOOPBACK_TARGETS=1.
"""

import json
import socket
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv6Address
from typing import Any
from urllib.parse import urlsplit

import httpx

from chalicelib.core.errors import TargetRejectedError, TargetUnavailableError
from chalicelib.core.payload.addresses import plain, refusal
from chalicelib.core.payload.retry_after import asked_wait
from chalicelib.core.ports import Clients
from chalicelib.deadline import STARTED_AT

MAX_ANSWER_BYTES = 4_000_000
"""More of an answer is not read: a page of 1,000 Slack channels is about 1 MB."""
MAX_RETRY_AFTER = timedelta(days=1)
"""Quotas are of a day at most: a target that asks for more is at fault, and its header counts as none."""
LOOPBACK_SETTING = "ALLOW_LOOPBACK_TARGETS"

_BEFORE_SENDING = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
_NEVER_SENT = (httpx.UnsupportedProtocol, httpx.LocalProtocolError)


@dataclass(frozen=True, slots=True)
class VendorAnswer:
    """What came back. `text` is empty when the body broke off."""

    status: int
    headers: Mapping[str, str]
    text: str

    def json(self) -> dict[str, Any]:
        """Return the body when it is a JSON object, else an empty one."""
        try:
            found = json.loads(self.text)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


def encoded(body: Mapping[str, Any]) -> bytes:
    """Return the body as compact UTF-8 JSON; what cannot be encoded becomes a question mark."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def call(
    clients: Clients,
    method: str,
    url: str,
    *,
    name: str,
    content: bytes = b"",
    params: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: timedelta | None = None,
    started_at: float | None = None,
) -> VendorAnswer:
    """Send one request to the receiver called `name` and read its answer, whatever its status.

    Raises TargetUnavailableError when there is none, ambiguous unless nothing was sent; TargetRejectedError when the
    address cannot be used at all. `timeout` is for the whole call, which began at `started_at` (time.monotonic), else
    begins now.
    """
    options: dict[str, Any] = {} if timeout is None else {"timeout": timeout.total_seconds()}
    if started_at is not None:
        options["extensions"] = {STARTED_AT: started_at}
    client: httpx.Client = clients.http()
    try:
        with client.stream(
            method, url, content=content or None, params=params, headers=headers, follow_redirects=False, **options
        ) as response:
            return VendorAnswer(response.status_code, response.headers, _text(response))
    except (httpx.InvalidURL, *_NEVER_SENT):
        raise TargetRejectedError(f"{name}: the address is not one that HTTP can use") from None
    except _BEFORE_SENDING as error:
        raise TargetUnavailableError(f"{name}: no connection ({type(error).__name__})") from None
    except httpx.HTTPError as error:
        raise TargetUnavailableError(f"{name}: no answer ({type(error).__name__})", ambiguous=True) from None


def post(
    clients: Clients,
    url: str,
    *,
    name: str,
    content: bytes,
    headers: Mapping[str, str],
    timeout: timedelta | None = None,
) -> VendorAnswer:
    """Check an address of the rules file and POST to it; the look-up of its name is part of the call's time."""
    return send_to(clients, "POST", url, name=name, content=content, headers=headers, timeout=timeout)


def send_to(
    clients: Clients,
    method: str,
    url: str,
    *,
    name: str,
    content: bytes,
    headers: Mapping[str, str],
    timeout: timedelta | None = None,
) -> VendorAnswer:
    """Check an address of the rules file and send a request there, as `post` does, by any method."""
    started_at = time.monotonic()
    check_address(url, clients, name=name)
    return call(
        clients, method, url, name=name, content=content, headers=headers, timeout=timeout, started_at=started_at
    )


def _text(response: httpx.Response) -> str:
    """Return the body, bounded; empty when it broke off, since the status is then all that is known."""
    found = bytearray()
    try:
        for chunk in response.iter_bytes():
            found += chunk
            if len(found) > MAX_ANSWER_BYTES:
                return ""
    except httpx.HTTPError:
        return ""
    return found.decode("utf-8", "replace")


def raise_for_status(answer: VendorAnswer, *, name: str, now: datetime, wait: timedelta | None = None) -> None:
    """Raise the error that the status stands for; nothing for 2xx.

    429 comes back after what Retry-After says, else after `wait`. 408, 425 and 5xx come back, and may have been taken.
    Everything else is for good.
    """
    if 200 <= answer.status < 300:
        return
    asked = retry_after(answer.headers, now)
    if answer.status == 429:
        raise TargetUnavailableError(
            f"{name}: too many requests (HTTP 429)", retry_after=wait if asked is None else asked
        )
    if answer.status in (408, 425) or answer.status >= 500:
        raise TargetUnavailableError(f"{name}: HTTP {answer.status}", retry_after=asked, ambiguous=True)
    if 300 <= answer.status < 400:
        raise TargetRejectedError(f"{name}: HTTP {answer.status}; redirects are not followed: set the final address")
    raise TargetRejectedError(f"{name}: HTTP {answer.status}")


def retry_after(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """Return the delay a Retry-After header asks for; None without one that can be read and believed."""
    asked = asked_wait(headers.get("Retry-After", headers.get("retry-after", "")), now)
    return None if asked is None or asked > MAX_RETRY_AFTER else asked


def check_address(url: str, clients: Clients, *, name: str) -> None:
    """Raise TargetRejectedError unless a message may be sent there: https, and no link-local, metadata or loopback
    address.

    A name that cannot be resolved passes: connecting then says so. Between this look-up and the connection the name
    may change; the addresses come from the operator's own file, so this guards against mistakes, not against the owner
    of a zone.
    """
    allowed = clients.setting(LOOPBACK_SETTING, "") == "1"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 443
    except ValueError:
        host, port = "", 0
    if not host:
        raise TargetRejectedError(f"{name}: the address cannot be read; allowed is https://host/path")
    found = {plain(each) for each in _addresses(host, port)}
    if any(_is_refused(each) for each in found):
        raise TargetRejectedError(f"{name}: the address is link-local or a metadata service, which is refused")
    loopback = any(each.is_loopback for each in found)
    if loopback and not allowed:
        raise TargetRejectedError(f"{name}: the address is this machine; {LOOPBACK_SETTING}=1 allows that")
    if parts.scheme != "https" and not (loopback and parts.scheme == "http"):
        raise TargetRejectedError(f"{name}: the address must begin with https://")


def _addresses(host: str, port: int) -> Iterable[str]:
    try:
        return {str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        return ()


def _is_refused(address: IPv4Address | IPv6Address) -> bool:
    return address.is_unspecified or address.is_multicast or bool(refusal(str(address)))
