"""The HTTP client of targets, probes and histories."""

import ssl
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

from chalicelib.deadline import TOTAL_SECONDS, Deadline, NetworkTransport

CONNECT_SECONDS = 5.0


def http_client(transport: httpx.BaseTransport | None = None, *, context: ssl.SSLContext | None = None) -> httpx.Client:
    """Return the HTTP client of targets, probes and histories: the only one that chalicelib builds.

    A request may ask for another time by its own `timeout`, which then holds for the whole call. The client keeps no
    cookies: whoever needs them within one check keeps them there. `context` says which certificates are trusted.
    """
    return httpx.Client(
        transport=Deadline(transport or NetworkTransport(context)),
        timeout=httpx.Timeout(TOTAL_SECONDS, connect=CONNECT_SECONDS),
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        follow_redirects=False,
        trust_env=False,
    )
