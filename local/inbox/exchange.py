"""One request to a stand-in and its reply, apart from HTTP's plumbing."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

Json = dict[str, Any]
SECRET_HEADERS = frozenset({"authorization", "cookie", "x-amz-security-token"})


@dataclass(slots=True)
class Received:
    """A request as it came in. `status` is what it was answered; None while it is held or after hanging up on it.
    `error` is the code of a refusal in Slack's words, which come with status 200.

    Headers that carry secrets are kept as `<secret>`; `bearer` is the token while the request is answered, then empty. Names of headers are in lower case. `at` is in seconds of Unix
    time by the inbox's clock.
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
        """The body as JSON; raises ValueError when it is none."""
        return json.loads(self.body)

    def summary(self) -> Json:
        """What pages and tests are told of it, as JSON."""
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
    """What goes back. `hold` answers nothing until the caller gives up; `hang_up` closes the connection at once."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    hold: bool = False
    hang_up: bool = False

    def json(self) -> Any:
        """The body as JSON; raises ValueError when it is none."""
        return json.loads(self.body)


def json_reply(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """A reply in JSON."""
    content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    return Reply(status, content, {"Content-Type": "application/json; charset=utf-8", **(headers or {})})


def text_reply(
    text: str, status: int = 200, content_type: str = "text/html", headers: Mapping[str, str] | None = None
) -> Reply:
    """A reply in text."""
    content = text.encode("utf-8", "replace")
    return Reply(status, content, {"Content-Type": f"{content_type}; charset=utf-8", **(headers or {})})


def form_fields(content_type: str, body: bytes, query: str) -> Json:
    """The arguments of a call: JSON object or form, with those of the query below them. {} when unreadable."""
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
    """The length in UTF-16 units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
