"""Calls to AWS's JSON services (SQS, SSM, DynamoDB) over the standard library: small enough for the ingest path.

One connection for each service is kept open between invocations. A call is tried again only when a connection that was
kept open turns out to be dead before anything was answered, since Lambda freezes processes and the other side hangs up
meanwhile; SQS may then have the message twice, which every reader expects. Anything else is the caller's to decide.
Redirects are not followed.

No trace header is sent (X-Amzn-Trace-Id), which AWS's own SDKs add inside Lambda. By it Lambda stops a message that has gone
through one function about 16 times, and our retries and timers do so by design. So that this does not rest on the missing
header alone, the deploy sets RecursiveLoop=Allow for the workers.
https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html
"""

import json
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from chalicelib.aws import dns_suffix
from chalicelib.aws.http1 import Connection, DeadConnectionError
from chalicelib.aws.signer import Credentials, host, signed
from chalicelib.core.errors import NotStoredError

INGEST_TIMEOUT_SECONDS = 0.6
"""For each wait of a call on the ingest path: connecting, and the answer. Sentry gives up after one second."""
WORKER_TIMEOUT_SECONDS = 5.0

_PROTOCOLS = {"sqs": ("1.0", "AmazonSQS"), "ssm": ("1.1", "AmazonSSM"), "dynamodb": ("1.0", "DynamoDB_20120810")}


UNREACHABLE = "Unreachable"


class AwsError(NotStoredError):
    """AWS did not do it. `code` is AWS's word for why (`QueueDoesNotExist`), or UNREACHABLE.

    `answer` is all that AWS answered, such as the item that a condition refused. `status` is that of the answer, 0 without one.
    `in_doubt` is true where AWS may have done the call all the same: one that was sent was not answered, or with 500 and more.
    """

    def __init__(
        self, text: str, code: str, answer: Mapping[str, Any] | None = None, *, status: int = 0, in_doubt: bool = False
    ) -> None:
        super().__init__(text)
        self.code = code
        self.answer = answer or {}
        self.status = status
        self.in_doubt = in_doubt or status >= 500


def endpoint(service: str, region: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return where a service listens: AWS_ENDPOINT_URL_<SERVICE>, else AWS_ENDPOINT_URL, else the regional address."""
    own = environment.get(f"AWS_ENDPOINT_URL_{service.upper()}") or environment.get("AWS_ENDPOINT_URL")
    if own:
        return own.rstrip("/")
    return f"https://{service}.{region}.{dns_suffix(region)}"


def credentials(environment: Mapping[str, str] = os.environ) -> Credentials:
    """Return the keys Lambda puts into the environment; raises AwsError when there are none."""
    key, secret = environment.get("AWS_ACCESS_KEY_ID"), environment.get("AWS_SECRET_ACCESS_KEY")
    if not key or not secret:
        raise AwsError("no AWS credentials: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be set", "NoCredentials")
    return Credentials(key, secret, environment.get("AWS_SESSION_TOKEN") or None)


def _utc_now() -> datetime:
    return datetime.now(UTC)


class AwsJsonClient:
    """A caller of AWS. Each thread that calls at the same time as others has a connection of its own."""

    def __init__(
        self,
        region: str,
        *,
        timeout_seconds: float = INGEST_TIMEOUT_SECONDS,
        environment: Mapping[str, str] = os.environ,
        clock: Callable[[], datetime] = _utc_now,
    ) -> None:
        self.region = region
        self.timeout_seconds = timeout_seconds
        self._environment = environment
        self._clock = clock
        self._idle: dict[str, list[Connection]] = {}

    def endpoint(self, service: str) -> str:
        """Return where that service listens."""
        return endpoint(service, self.region, self._environment)

    def call(self, service: str, action: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the service answers to `action`; raises AwsError unless it answered 200 in time."""
        url = self.endpoint(service)
        version, prefix = _PROTOCOLS[service]
        body = json.dumps(arguments, separators=(",", ":")).encode()
        headers = signed(
            "POST",
            url + "/",
            {
                "Host": host(url),
                "Content-Type": f"application/x-amz-json-{version}",
                "X-Amz-Target": f"{prefix}.{action}",
            },
            body,
            service=service,
            region=self.region,
            credentials=credentials(self._environment),
            at=self._clock(),
        )
        try:
            status, answer, again = self._sent(url, body, headers)
        except OSError as error:
            text = f"{service} {action}: no answer ({type(error).__name__})"
            raise AwsError(text, UNREACHABLE, in_doubt=True) from None
        try:
            return _read(f"{service} {action}", status, answer)
        except AwsError as error:
            error.in_doubt |= again
            raise

    def _sent(self, url: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes, bool]:
        """Return status and body of the answer, and whether it answers the second sending."""
        idle = self._idle.setdefault(url, [])
        try:
            kept = idle.pop()
        except IndexError:
            return *self._exchange(idle, Connection(url + "/", self.timeout_seconds), body, headers), False
        try:
            return *self._exchange(idle, kept, body, headers), False
        except DeadConnectionError:
            return *self._exchange(idle, Connection(url + "/", self.timeout_seconds), body, headers), True

    @staticmethod
    def _exchange(
        idle: list[Connection], connection: Connection, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, bytes]:
        """Post, and keep the connection for the next call. A connection that failed is closed."""
        try:
            answer = connection.post(headers, body)
        except OSError:
            connection.close()
            raise
        if connection.reusable:
            idle.append(connection)
        else:
            connection.close()
        return answer


def _read(what: str, status: int, answer: bytes) -> dict[str, Any]:
    try:
        data = json.loads(answer) if answer else {}
    except ValueError:
        code = "NotJson" if status < 500 else str(status)
        raise AwsError(f"{what}: answered {status} with something that is not JSON", code, status=status) from None
    if not isinstance(data, dict):
        raise AwsError(f"{what}: answered {status} with something that is not an object", "NotJson", status=status)
    if status != 200:
        code = str(data.get("__type", "")).rpartition("#")[2] or str(status)
        raise AwsError(f"{what}: refused with {status} {code}", code, data, status=status)
    return data
