"""boto3 clients of one account and Region, and whether they are those of the embedded AWS."""

from typing import Any
from urllib.parse import urlsplit


class Clients:
    """boto3 clients of one account and Region, or of the embedded AWS; built once each."""

    def __init__(self, session: Any, endpoint: str | None = None) -> None:
        self._session = session
        self._endpoint = endpoint
        self._built: dict[str, Any] = {}

    def __call__(self, service: str) -> Any:
        """The client of a service."""
        if service not in self._built:
            self._built[service] = self._session.client(service, endpoint_url=self._endpoint)
        return self._built[service]


def is_local(endpoint: str | None) -> bool:
    """Whether an endpoint is this machine."""
    return urlsplit(endpoint or "").hostname in ("127.0.0.1", "localhost", "::1")
