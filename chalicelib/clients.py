"""Outside clients for targets and probes: HTTP, AWS services, secrets and settings; loaded and built on first use.

A worker that only decides loads neither httpx nor boto3, and one that delivers only what its target needs: both together take
more time than all else of a cold start.
"""

import os
from collections.abc import Callable, Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from threading import RLock
from typing import TYPE_CHECKING, Any

from chalicelib.aws.secrets import Secrets

if TYPE_CHECKING:
    import ssl

    import httpx

CONNECT_SECONDS = 5.0


def _aws_client(service: str, region: str) -> Any:
    from chalicelib.aws import sdk

    return sdk.client(service, region)


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
        client: Callable[[str, str], Any] = _aws_client,
    ) -> None:
        self._secrets = secrets
        self._region = region
        self._environment = environment
        self._client = client
        self._lock = RLock()
        self._http: httpx.Client | None = None
        self._aws: dict[str, Any] = {}

    def http(self) -> "httpx.Client":
        """Return a client with five seconds to connect, ten for a whole call, and no redirects, retries, cookies, proxy or netrc."""
        with self._lock:
            if self._http is None:
                self._http = http_client()
            return self._http

    def aws(self, service: str) -> Any:
        """Return a boto3 client; that of SES never tries twice."""
        with self._lock:
            if service not in self._aws:
                self._aws[service] = self._client(service, self._region)
            return self._aws[service]

    def secret(self, name: str) -> str | None:
        """Return a secret by its name; None when it is not set."""
        with self._lock:
            return self._secrets.get(name)

    def setting(self, name: str, default: str = "") -> str:
        """Return a setting that is not secret, from the environment or kept beside the secrets; `default` when in neither."""
        return self._environment.get(name) or self.secret(name) or default


def http_client(
    transport: "httpx.BaseTransport | None" = None, *, context: "ssl.SSLContext | None" = None
) -> "httpx.Client":
    """Return the HTTP client of targets, probes and histories: the only one that chalicelib builds.

    A request may ask for another time by its own `timeout`, which then holds for the whole call. The client keeps no
    cookies: whoever needs them within one check keeps them there. `context` says which certificates are trusted.
    """
    import httpx

    from chalicelib.deadline import TOTAL_SECONDS, Deadline, NetworkTransport

    return httpx.Client(
        transport=Deadline(transport or NetworkTransport(context)),
        timeout=httpx.Timeout(TOTAL_SECONDS, connect=CONNECT_SECONDS),
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        follow_redirects=False,
        trust_env=False,
    )
