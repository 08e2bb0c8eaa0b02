"""An HTTP API's request, as Chalice expects that of a REST API, and Chalice's answer, as an HTTP API expects it.

Chalice knows REST APIs only. One HTTP API sends every path to the function, in payload format 2.0, so the route is found
here: an unknown path is answered 404, a known one with another method 405 by Chalice.

- Headers are in lower case, values of a repeated one joined by commas, as senders may join them. Cookies are apart.
- A body of a type that is not text comes in base64, any other as text. Both give the bytes that the sender signed.
- A REST API unpacks a compressed body before the function sees it, and an HTTP API does not: it is unpacked here.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

import base64
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, unquote

from chalicelib.core.errors import ContentTypeError, UnreadableError
from chalicelib.messages.webhook import MAX_BODY_BYTES

PAYLOAD = "2.0"
PACKED = ("gzip", "x-gzip", "deflate")
ANY_WRAPPING = 32 + zlib.MAX_WBITS
_GZIP, _ZLIB = b"\x1f\x8b", b"\x78"
DEFAULT_STAGE = "$default"
REST_STAGE = "api"
"""The first part of every address of a REST API: whoever moves to an HTTP API may keep it."""
JSON = "application/json"
NOT_FOUND = {"error": "there is nothing at this path"}

Route = tuple[Sequence[str], str]
"""The parts of a route's path, and the path."""


def is_of_http_api(event: Mapping[str, Any]) -> bool:
    """Return whether an HTTP API made this event."""
    return event.get("version") == PAYLOAD


def as_rest(event: Mapping[str, Any], paths: Iterable[str]) -> dict[str, Any] | None:
    """Return the event as a REST API would make it for one of these paths; None when the request is for no such path."""
    context = event["requestContext"]
    asked = _parts(_path(event))
    found = matched(asked, paths) or (matched(asked[1:], paths) if asked[0] == REST_STAGE else None)
    if found is None:
        return None
    path, values = found
    method = context["http"]["method"]
    headers, body, encoded = _content(event)
    return {
        "httpMethod": method,
        "resource": path,
        "path": event["rawPath"],
        "pathParameters": values,
        "multiValueQueryStringParameters": parse_qs(event.get("rawQueryString", ""), keep_blank_values=True) or None,
        "headers": headers,
        "body": body,
        "isBase64Encoded": encoded,
        "stageVariables": event.get("stageVariables"),
        "requestContext": {
            "httpMethod": method,
            "resourcePath": path,
            "identity": {"sourceIp": context["http"].get("sourceIp", "")},
        },
    }


def as_answer(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return Chalice's answer as an HTTP API expects it: it knows no header of several values but Set-Cookie.

    What names no type is JSON: a REST API says so, an HTTP API would call it text.
    """
    headers, cookies = dict(answer["headers"]), []
    if "content-type" not in {name.lower() for name in headers}:
        headers["Content-Type"] = JSON
    for name, values in answer.get("multiValueHeaders", {}).items():
        if name.lower() == "set-cookie":
            cookies += values
        else:
            headers[name] = ", ".join(values)
    kept = {name: each for name, each in answer.items() if name not in ("headers", "multiValueHeaders")}
    return {**kept, "headers": headers, **({"cookies": cookies} if cookies else {})}


def not_found() -> dict[str, Any]:
    """Return the answer to a request for no known path."""
    return {"statusCode": 404, "headers": {"Content-Type": JSON}, "body": json.dumps(NOT_FOUND)}


def matched(asked: Sequence[str], paths: Iterable[str]) -> tuple[str, dict[str, str]] | None:
    """Return the path with that many parts that fits, with the values of its `{names}`; a literal part fits better."""
    fitting = [(parts, path) for path in paths if _fits(parts := _parts(path), asked)]
    if not fitting:
        return None
    parts, path = min(fitting, key=lambda route: [_is_name(part) for part in route[0]])
    return path, {name[1:-1]: unquote(part) for name, part in zip(parts, asked, strict=True) if _is_name(name)}


def _path(event: Mapping[str, Any]) -> str:
    """Return the path behind the name of the API's stage, which only the default stage leaves out."""
    path, stage = str(event["rawPath"]), event["requestContext"].get("stage", DEFAULT_STAGE)
    return path.removeprefix(f"/{stage}") if f"{path}/".startswith(f"/{stage}/") else path


def _parts(path: str) -> list[str]:
    """Return the parts of a path. One slash at its end says nothing, as at a REST API."""
    return path.removeprefix("/").removesuffix("/").split("/")


def _fits(parts: Sequence[str], asked: Sequence[str]) -> bool:
    pairs = zip(parts, asked, strict=False)
    return len(parts) == len(asked) and all((_is_name(part) and given) or part == given for part, given in pairs)


def _is_name(part: str) -> bool:
    return part.startswith("{")


def _content(event: Mapping[str, Any]) -> tuple[dict[str, str], str | bytes | None, bool]:
    """Return the headers, the body and whether that is base64."""
    headers = {**event.get("headers", {})}
    if cookies := event.get("cookies"):
        headers["cookie"] = "; ".join(cookies)
    body, encoded = event.get("body"), bool(event.get("isBase64Encoded"))
    if body is None or encoding_of(headers) not in PACKED:
        return headers, body, encoded
    packed = base64.b64decode(body) if encoded else str(body).encode()
    found = unpacked(packed)
    return (headers, body, encoded) if found is None else (headers, found, False)


def encoding_of(headers: Mapping[str, str]) -> str:
    """Return how the body is encoded, in small letters; empty for not at all."""
    found = headers.get("content-encoding", "").strip().lower()
    return "" if found == "identity" else found


def unpacked(data: bytes) -> bytes | None:
    """Return the unpacked body, cut one byte after the most that is taken; None for what is not packed."""
    try:
        return zlib.decompressobj(ANY_WRAPPING).decompress(data, MAX_BODY_BYTES + 1)
    except zlib.error:
        return None


def plain(headers: Mapping[str, str], body: bytes) -> bytes:
    """Return the body without its encoding. Raise ContentTypeError for one that is not read here.

    A body that the gateway unpacked still has the header: it is known by its first bytes.
    """
    encoding = encoding_of(headers)
    if not encoding or body[:1] in (b"{", b"[", b""):
        return body
    if encoding not in PACKED:
        raise ContentTypeError(f"the content encoding is not read here; allowed are {', '.join(PACKED)} and identity")
    if not body.startswith((_GZIP, _ZLIB)):
        return body
    found = unpacked(body)
    if found is None:
        raise UnreadableError(f"the body is not {encoding}, as its content encoding says")
    return found
