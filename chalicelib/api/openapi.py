"""The API as an OpenAPI 3.1 document, made of the functions that answer. `docs/openapi.json` is a copy of it.

    python -m chalicelib.api.openapi    writes that copy

Summaries are the docstrings of `routes.py` and `tokens.py`. Answers may get more fields: clients ignore those they do not know.
"""

import inspect
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chalicelib import VERSION
from chalicelib.api import problems, routes, schemas, tokens
from chalicelib.api.routes import ApiContext, Reply, Request

FILE = Path(__file__).resolve().parents[2] / "docs" / "openapi.json"
JSON = "application/json"
ALWAYS = (401, 403, 429, 503)
MEANINGS = {
    200: "Here it is",
    201: "It is made",
    202: "It is stored, and done within a second or so",
    400: "Something in the request is wrong",
    401: "No token, or a wrong one",
    403: "The token may not do this",
    404: "There is nothing of that name",
    409: "It cannot be done now",
    422: "The Idempotency-Key came with another request before",
    429: "Too many wrong tokens came from this address",
    503: "Something failed here; come again after Retry-After seconds",
}


@dataclass(frozen=True, slots=True)
class Operation:
    """One request: what answers it, its parameters, the schema of its body and those of its answers by status.

    `also` are its statuses of problems beside those that every request has. `key` says that it takes an Idempotency-Key.
    """

    method: str
    path: str
    name: str
    answers: Mapping[int, str]
    query: Sequence[str] = ()
    body: str = ""
    also: Sequence[int] = (400,)
    key: bool = False


SUMMARIES = {
    "list_incidents": "Open incidents, worst and newest first, and those that ended",
    "show_incident": "One incident with its alerts and its timeline",
    "act": "Acknowledge, unacknowledge, resolve, keep open, note or assign",
    "list_alerts": "Pending and firing alerts, worst first",
    "list_silences": "Silences and maintenance, with what each mutes now",
}
"""Of those whose docstring is their request alone."""
_INCIDENT = "/api/incidents/{id}"
_ACT = {200: "Acted", 202: "Acted"}
_ACT_PROBLEMS = (400, 404, 409, 422)
OPERATIONS = (
    Operation("get", "/api/incidents", "list_incidents", {200: "Incidents"}, ("status", "since", "match", "limit", "after")),
    Operation("get", _INCIDENT, "show_incident", {200: "IncidentAnswer"}, also=(400, 404, 409)),
    Operation("post", f"{_INCIDENT}/{{act}}", "act", _ACT, ("by",), "Act", _ACT_PROBLEMS, key=True),
    Operation("get", "/api/alerts", "list_alerts", {200: "Alerts"}, ("match", "limit", "after")),
    Operation("get", "/api/history", "list_history", {200: "History"}, ("day", "after")),
    Operation("get", "/api/who", "who", {200: "Who"}, ("service", "incident"), also=(400, 404, 409)),
    Operation("get", "/api/silences", "list_silences", {200: "Silences"}, ("ended", "limit", "after")),
    Operation("post", "/api/silences", "make_silence", {202: "SilenceAccepted"}, ("by",), "NewSilence", _ACT_PROBLEMS, key=True),
    Operation("get", "/api/silences/{id}", "show_silence", {200: "SilenceAnswer"}, also=(400, 404, 409)),
    Operation("put", "/api/silences/{id}", "edit_silence", {202: "SilenceAccepted"}, ("by",), "EditedSilence", _ACT_PROBLEMS, key=True),
    Operation("delete", "/api/silences/{id}", "end_silence", {202: "Accepted"}, ("by",), "By", (400, 404, 409)),
    Operation("post", "/api/login", "make_login_link", {201: "Link"}, ("by",), "By"),
    Operation("get", "/api/tokens", "list_tokens", {200: "Tokens"}),
    Operation("post", "/api/tokens", "make_token", {201: "NewToken"}, ("by",), "TokenRequest", (400, 409)),
    Operation("delete", "/api/tokens/{id}", "revoke_token", {200: "Token"}, ("by",), "By", (400, 404)),
    Operation("get", "/api/openapi.json", "show_openapi", {200: "Document"}),
)  # fmt: skip


def show_openapi(api: ApiContext, request: Request) -> Reply:
    """GET /api/openapi.json: this document"""
    request.only()
    return Reply(document())


def document() -> dict[str, Any]:
    """Return the document."""
    paths: dict[str, dict[str, Any]] = {}
    for each in OPERATIONS:
        paths.setdefault(each.path, {})[each.method] = _operation(each)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tocsin",
            "version": VERSION,
            "description": "What people see and do, as JSON: docs/api.md. Alertmanager's API v2 at /api/v2 is described by Alertmanager.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas.SCHEMAS,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


def written() -> str:
    """Return the document as the text of its file."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


def _operation(each: Operation) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": each.name,
        "summary": _summary(each.name),
        "parameters": [*_path_parameters(each.path), *map(_query_parameter, each.query), *([_KEY] if each.key else [])],
        "responses": {
            **{str(status): _answer(status, JSON, schema) for status, schema in each.answers.items()},
            **{
                str(status): _answer(status, problems.CONTENT_TYPE, "Problem")
                for status in sorted({*each.also, *ALWAYS})
            },
        },
    }
    if each.body:
        found["requestBody"] = {"content": {JSON: {"schema": _reference(each.body)}}}
    return found


def _summary(name: str) -> str:
    """Return what the function says behind its method and path."""
    functions = {**vars(routes), **vars(tokens), **globals()}
    first = (inspect.getdoc(functions[name]) or "").partition("\n")[0]
    said = first.partition(": ")[2]
    return (said[:1].upper() + said[1:]) if said else SUMMARIES[name]


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": schemas.PATH.get(name, {"type": "string"})}
        for name in re.findall(r"{(\w+)}", path)
    ]


def _query_parameter(name: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schemas.QUERY[name]}


_KEY = {"name": "Idempotency-Key", "in": "header", "schema": {"type": "string"}}


def _answer(status: int, content_type: str, schema: str) -> dict[str, Any]:
    return {"description": MEANINGS[status], "content": {content_type: {"schema": _reference(schema)}}}


def _reference(schema: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{schema}"}


if __name__ == "__main__":
    FILE.write_text(written(), "utf-8")
