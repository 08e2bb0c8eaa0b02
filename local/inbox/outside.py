"""Requests that the stand-ins send to Tocsin, signed as each vendor signs, with each vendor's time limit."""

import hashlib
import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

MAX_ANSWER_BYTES = 1_000_000


@dataclass(slots=True)
class Connections:
    """Where Tocsin is, and the secrets shared with it. They may be set while the inbox runs."""

    tocsin: str = ""
    slack_signing_secret: str = ""
    pagerduty_webhook_secret: str = ""
    webhook_secret: str = ""
    api_token: str = ""

    def __repr__(self) -> str:
        """Leave the secrets out."""
        return f"Connections(tocsin={self.tocsin!r}, …)"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came back: a status and a body, or a problem in words (timed_out, refused)."""

    status: int = 0
    body: bytes = b""
    problem: str = ""

    @property
    def is_ok(self) -> bool:
        """Return whether the answer was 2xx within the time."""
        return not self.problem and 200 <= self.status < 300


class _NoRedirects(HTTPRedirectHandler):
    def redirect_request(self, *_args: object, **_kwargs: object) -> None:
        """Treat a redirect as an answer like any other: vendors do not follow them."""


def post(url: str, body: bytes, headers: Mapping[str, str], *, timeout_seconds: float) -> Outcome:
    """Send a POST without proxies and redirects. Never raise for what the other side does."""
    began = time.monotonic()
    opener = build_opener(ProxyHandler({}), _NoRedirects())
    try:
        request = Request(url, data=body, headers=dict(headers), method="POST")
        with opener.open(request, timeout=timeout_seconds) as answer:
            found = Outcome(answer.status, answer.read(MAX_ANSWER_BYTES))
    except HTTPError as error:
        with error:
            found = Outcome(error.code, error.read(MAX_ANSWER_BYTES))
    except TimeoutError:
        return Outcome(problem="timed_out")
    except URLError as error:
        return Outcome(problem="timed_out" if isinstance(error.reason, TimeoutError) else "refused")
    except (OSError, HTTPException, ValueError):
        return Outcome(problem="refused")
    return Outcome(problem="timed_out") if time.monotonic() - began > timeout_seconds else found


def slack_headers(secret: str, body: bytes, now: float) -> dict[str, str]:
    """Return Slack's v0 signature: https://docs.slack.dev/authentication/verifying-requests-from-slack."""
    timestamp = str(int(now))
    signed = hmac.new(secret.encode(), f"v0:{timestamp}:".encode() + body, hashlib.sha256).hexdigest()
    return {
        "Content-Type": "application/x-www-form-urlencoded",
        "User-Agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
        "X-Slack-Request-Timestamp": timestamp,
        "X-Slack-Signature": f"v0={signed}",
    }


def pagerduty_headers(secret: str, body: bytes, delivery: str) -> dict[str, str]:
    """Return PagerDuty's v1 signature: https://developer.pagerduty.com/docs/webhook-signatures."""
    signed = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {
        "Content-Type": "application/json",
        "User-Agent": "PagerDuty-Webhook/V3.0",
        "X-PagerDuty-Signature": f"v1={signed}",
        "X-Webhook-Id": delivery,
        "X-Webhook-Subscription": "PSUBINBOX",
    }
