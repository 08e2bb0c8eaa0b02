"""A vendor's API that answers as it is told to, and remembers what it was asked."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import httpx

from chalicelib.clients import http_client

Answer = Callable[[httpx.Request], httpx.Response]
SECRETS = {"SENTRY_API_TOKEN": "sentry-token", "CLOUDFLARE_API_TOKEN": "cloudflare-token"}
SETTINGS = {"SENTRY_ORG": "acme", "CLOUDFLARE_ACCOUNT_ID": "a1"}


class Vendors:
    """Clients of a worker whose every request is answered by one function."""

    def __init__(
        self, answer: Answer, secrets: dict[str, str] | None = None, settings: dict[str, str] | None = None
    ) -> None:
        self.answer = answer
        self.requests: list[httpx.Request] = []
        self.secrets = SECRETS if secrets is None else secrets
        self.settings = SETTINGS if settings is None else settings

    def http(self) -> httpx.Client:
        """A client that reaches only the function."""

        def serve(request: httpx.Request) -> httpx.Response:
            self.requests.append(request)
            return self.answer(request)

        return http_client(httpx.MockTransport(serve))

    def aws(self, service: str) -> Any:
        """CloudWatch without an alarm."""
        assert service == "cloudwatch"
        return SimpleNamespace(describe_alarms=lambda **asked: {})

    def secret(self, name: str) -> str | None:
        """The tokens."""
        return self.secrets.get(name)

    def setting(self, name: str, default: str = "") -> str:
        """The settings."""
        return self.settings.get(name, default)
