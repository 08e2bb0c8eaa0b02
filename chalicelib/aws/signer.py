"""AWS Signature Version 4 for JSON requests, with the standard library alone.

It exists because importing botocore costs more than the whole ingest path may take; a test compares it byte for byte
with botocore's. It signs the paths of the services used here (SQS, SSM, DynamoDB), not S3, which normalises otherwise.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple
from urllib.parse import quote, urlsplit

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED_HEADERS = frozenset({"authorization", "connection", "expect", "transfer-encoding", "user-agent"})
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Credentials(NamedTuple):
    """An access key; `token` only with temporary credentials, which Lambda always has."""

    access_key: str
    secret_key: str
    token: str | None = None

    def __repr__(self) -> str:
        return "Credentials(<secret>)"


def signed(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    service: str,
    region: str,
    credentials: Credentials,
    at: datetime,
) -> dict[str, str]:
    """Return the headers to send: those given, `X-Amz-Date`, the session token if any, and `Authorization`.

    `at` is UTC; AWS refuses a time more than five minutes off.
    """
    stamp = at.strftime("%Y%m%dT%H%M%SZ")
    sent = {**headers, "X-Amz-Date": stamp}
    if credentials.token:
        sent["X-Amz-Security-Token"] = credentials.token
    lines = _header_lines(url, sent)
    names = ";".join(sorted(lines))
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    request = _canonical_request(method, url, lines, body)
    text = "\n".join((ALGORITHM, stamp, scope, hashlib.sha256(request.encode()).hexdigest()))
    signature = hmac.digest(_key(credentials.secret_key, stamp[:8], region, service), text.encode(), "sha256").hex()
    sent["Authorization"] = (
        f"{ALGORITHM} Credential={credentials.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return sent


def _header_lines(url: str, headers: Mapping[str, str]) -> dict[str, str]:
    lines = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
    lines = {name: value for name, value in lines.items() if name not in UNSIGNED_HEADERS}
    lines.setdefault("host", host(url))
    return lines


def host(url: str) -> str:
    """Return the Host header of an address: without the port where it is the scheme's own."""
    parts = urlsplit(url)
    name = parts.hostname or ""
    name = f"[{name}]" if ":" in name else name
    return name if parts.port in (None, _DEFAULT_PORTS.get(parts.scheme)) else f"{name}:{parts.port}"


def _canonical_request(method: str, url: str, lines: Mapping[str, str], body: bytes) -> str:
    parts = urlsplit(url)
    pairs = sorted(pair.partition("=")[::2] for pair in parts.query.split("&")) if parts.query else []
    return "\n".join(
        (
            method.upper(),
            quote(_normalised(parts.path), safe="/~"),
            "&".join(f"{name}={value}" for name, value in pairs),
            *(f"{name}:{lines[name]}" for name in sorted(lines)),
            "",
            ";".join(sorted(lines)),
            hashlib.sha256(body).hexdigest(),
        )
    )


def _normalised(path: str) -> str:
    """Return the path without `.` and `..` and doubled slashes (RFC 3986, 5.2.4)."""
    kept: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del kept[-1:]
        elif part and part != ".":
            kept.append(part)
    if not kept:
        return "/"
    return ("/" if path.startswith("/") else "") + "/".join(kept) + ("/" if path.endswith("/") else "")


def _key(secret: str, day: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
