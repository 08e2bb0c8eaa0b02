"""Outside clients for targets and probes: HTTP, AWS services, secrets and settings; built on first use."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from threading import RLock
from typing import Any

import httpx

from chalicelib.aws import sdk
from chalicelib.aws.secrets import Secrets

CONNECT_SECONDS = 5.0
TOTAL_SECONDS = 10.0


class RealClients:
    """The Clients of a worker. Every client is built once and kept for the life of the process.

    Safe for several threads, since probes run side by side; `secrets` must not be used by others meanwhile.
    """

    def __init__(
        self,
        secrets: Secrets,
        region: str,
        *,
        environment: Mapping[str, str] = os.environ,
        client: Callable[[str, str], Any] = sdk.client,
    ) -> None:
        self._secrets = secrets
        self._region = region
        self._environment = environment
        self._client = client
        self._lock = RLock()
        self._http: httpx.Client | None = None
        self._aws: dict[str, Any] = {}

    def http(self) -> httpx.Client:
        """Five seconds to connect, ten in all; no redirects, no retries, no proxy or netrc of the environment."""
        with self._lock:
            if self._http is None:
                self._http = http_client()
            return self._http

    def aws(self, service: str) -> Any:
        """A boto3 client; that of SES never tries twice."""
        with self._lock:
            if service not in self._aws:
                self._aws[service] = self._client(service, self._region)
            return self._aws[service]

    def secret(self, name: str) -> str | None:
        """A secret by its name; None when it is not set."""
        with self._lock:
            return self._secrets.get(name)

    def setting(self, name: str, default: str = "") -> str:
        """A setting that is not secret, from the environment or kept beside the secrets; `default` when in neither."""
        return self._environment.get(name) or self.secret(name) or default


def http_client(transport: httpx.BaseTransport | None = None) -> httpx.Client:
    """The HTTP client of targets and probes; a request may ask for other times by its own `timeout`."""
    inner = transport or httpx.HTTPTransport(trust_env=False, retries=0)
    return httpx.Client(
        transport=Deadline(inner),
        timeout=httpx.Timeout(TOTAL_SECONDS, connect=CONNECT_SECONDS),
        follow_redirects=False,
        trust_env=False,
    )


class Deadline(httpx.BaseTransport):
    """httpx limits each wait; this limits the whole answer, so that a trickling server cannot hold a worker."""

    def __init__(self, inner: httpx.BaseTransport, clock: Callable[[], float] = time.monotonic) -> None:
        self._inner = inner
        self._clock = clock

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The answer; reading it raises httpx.ReadTimeout when it takes longer than the request may."""
        limits = request.extensions.get("timeout", {})
        until = self._clock() + max(TOTAL_SECONDS, limits.get("read") or 0.0)
        response = self._inner.handle_request(request)
        assert isinstance(response.stream, httpx.SyncByteStream)
        response.stream = _Timed(response.stream, until, self._clock, request)
        return response

    def close(self) -> None:
        """Close the connections."""
        self._inner.close()


class _Timed(httpx.SyncByteStream):
    def __init__(
        self, inner: httpx.SyncByteStream, until: float, clock: Callable[[], float], request: httpx.Request
    ) -> None:
        self._inner = inner
        self._until = until
        self._clock = clock
        self._request = request

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._inner:
            if self._clock() > self._until:
                raise httpx.ReadTimeout("the answer took too long as a whole", request=self._request)
            yield chunk

    def close(self) -> None:
        self._inner.close()
