"""boto3 clients of one account and Region, and whether they are those of the embedded AWS."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit


class Clients:
    """boto3 clients of one account and Region, or of the embedded AWS; built once each."""

    def __init__(self, session: Any, endpoint: str | None = None, watch: Callable[[Any], object] | None = None) -> None:
        self._session = session
        self._endpoint = endpoint
        self._watch = watch
        self._built: dict[str, Any] = {}

    def __call__(self, service: str) -> Any:
        """Return the client of a service."""
        if service not in self._built:
            self._built[service] = self._session.client(service, endpoint_url=self._endpoint)
            if self._watch is not None:
                self._watch(self._built[service])
        return self._built[service]

    def watched_by(self, watch: Callable[[Any], object]) -> "Clients":
        """Return clients of the same account, each of which `watch` is given when it is built."""
        return Clients(self._session, self._endpoint, watch)


def is_local(endpoint: str | None) -> bool:
    """Return whether an endpoint is this machine."""
    return urlsplit(endpoint or "").hostname in ("127.0.0.1", "localhost", "::1")
