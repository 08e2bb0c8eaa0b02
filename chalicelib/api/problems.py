"""Errors of the API as problem details (RFC 9457), beside the fields that clients read before: `error`, and of an act `status`.

Those of Alertmanager's API v2 are JSON texts.

`type` is a URN of the kind of error: its words stay, while those of `detail` may change. `status` is the HTTP status, but
for an act that is refused, where it is the word of what the act came to; who reads problem details ignores a word there.
"""

import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from chalicelib.core.errors import RequestError

CONTENT_TYPE = "application/problem+json"
KEPT_STATUSES = (401, 403, 404, 429)
"""Alertmanager's clients read 400 and 404 as answers; any other refusal is a 400 to them."""
FAILED = "something failed here; try again"
_CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")


def of_error(error: RequestError) -> dict[str, Any]:
    """Return the problem of a request that is refused."""
    return problem(error.status, str(error), _kind(type(error)))


def of_refusal(status: int, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the problem of an act that is refused, with what the act came to."""
    return {**problem(status, str(body["error"]), str(body["status"])), **body}


def of_alertmanager(error: RequestError) -> tuple[int, str]:
    """Return the status and the body of a refusal of Alertmanager's API v2."""
    return error.status if error.status in KEPT_STATUSES else 400, json.dumps(str(error))


def failed() -> dict[str, Any]:
    """Return the problem of a request that failed here."""
    return problem(503, FAILED, "failed")


def problem(status: int, text: str, kind: str) -> dict[str, Any]:
    """Return problem details; `error` is the text again, for clients of the versions before."""
    return {
        "type": f"urn:tocsin:problem:{kind.replace('_', '-')}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": text,
        "error": text,
    }


def _kind(error: type[RequestError]) -> str:
    """Return the words of the class of an error: `not-found` of NotFoundError."""
    return _CAPITAL.sub("-", error.__name__.removesuffix("Error")).lower()
