"""One request to a stand-in and its reply, as values: without a connection."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

Json = dict[str, Any]
SECRET_HEADERS = frozenset({"authorization", "cookie", "x-amz-security-token"})


@dataclass(slots=True)
class Received:
    """A request as it came in.

    `status` is that of the answer, None while the request is held or after hanging up on it. `error` is the code of a
    refusal of Slack's Web API, which has status 200. Headers are by lower-case name; those that carry secrets are kept
    as `<secret>`. `bearer` is the token while the request is answered, then empty. `at` is Unix seconds by the inbox's
    clock.
    """

    at: float
    service: str
    operation: str
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    fields: Json = field(default_factory=dict)
    status: int | None = None
    scripted: bool = False
    error: str = ""
    bearer: str = field(default="", repr=False)

    def json(self) -> Any:
        """Return the body as JSON. Raise ValueError when it is not JSON."""
        return json.loads(self.body)

    def summary(self) -> Json:
        """Return what pages and tests show of the request, as JSON. Its keys are public."""
        return {
            "at": self.at,
            "service": self.service,
            "operation": self.operation,
            "method": self.method,
            "path": self.path,
            "headers": self.headers,
            "body": self.body.decode("utf-8", "replace"),
            "status": self.status,
            "cued": self.scripted,
            "error": self.error,
        }


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. `hold` answers nothing until the caller gives up; `hang_up` closes the connection at once."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    hold: bool = False
    hang_up: bool = False

    def json(self) -> Any:
        """Return the body as JSON. Raise ValueError when it is not JSON."""
        return json.loads(self.body)


def json_reply(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """Return a reply in JSON."""
    content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    return Reply(status, content, {"Content-Type": "application/json; charset=utf-8", **(headers or {})})


def text_reply(
    text: str, status: int = 200, content_type: str = "text/html", headers: Mapping[str, str] | None = None
) -> Reply:
    """Return a reply in text."""
    content = text.encode("utf-8", "replace")
    return Reply(status, content, {"Content-Type": f"{content_type}; charset=utf-8", **(headers or {})})


def form_fields(content_type: str, body: bytes, query: str) -> Json:
    """Return the arguments of a call: a JSON object or a form, then the query. An unreadable body has none."""
    found: Json = dict(parse_qsl(query, keep_blank_values=True))
    if "json" in content_type:
        try:
            read = json.loads(body or b"{}")
        except ValueError:
            return found
        return {**found, **read} if isinstance(read, dict) else found
    if "form-urlencoded" in content_type:
        return {**found, **dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))}
    return found


def units(text: str) -> int:
    """Return the length in UTF-16 units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
