"""Refuse what a web page could send to a server on this machine.

Loopback keeps other machines out, and no browser: a page of any site can send requests to 127.0.0.1, and a name that
its owner turns to 127.0.0.1 makes them requests of the same site (DNS rebinding). A browser names the host, and the
origin or the relation of the two sites, in headers that the page cannot change. The AWS API asks for a key as well.

Standard library only: the embedded AWS imports this in its own environment.
"""

import json
import re
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, MutableMapping
from typing import Any
from urllib.parse import quote

NAMES = ("127.0.0.1", "localhost", "[::1]")
CREDENTIAL = re.compile(r"AWS4-[A-Z0-9-]+ Credential=([^/,\s]+)/")
INVOKE = re.compile(
    r"(?:/restapis/[^/]+/[^/]+/_user_request_|/_aws/execute-api/[^/]+/\$default)(?:/(?!@connections/).*)?", re.DOTALL
)
"""A path of a deployed REST API or HTTP API. Senders sign their webhooks in ways of their own, so these take unsigned requests."""

Headers = Iterable[tuple[str, str]]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


def joined(headers: Headers) -> dict[str, str]:
    """Return headers by lower-case name. Values of a repeated name are joined, so that none of them is overlooked."""
    found: dict[str, str] = {}
    for name, value in headers:
        key = name.lower()
        found[key] = f"{found[key]}, {value}" if key in found else value
    return found


def is_own_host(headers: Mapping[str, str], port: int) -> bool:
    """Return whether the Host is a loopback name with this server's port."""
    return headers.get("host", "").lower() in {f"{name}:{port}" for name in NAMES}


def page_refusal(method: str, headers: Mapping[str, str], *, pages: bool) -> str | None:
    """Return why a request of a web page is refused, None when no foreign page sent it.

    With `pages` the path serves pages: their own origin may send, and links of other sites may open them.
    """
    origin = headers.get("origin")
    own = f"http://{headers.get('host', '')}".lower()
    if origin is not None and not (pages and origin.lower() == own):
        return "a web page of another site may not send requests here"
    related = headers.get("sec-fetch-site", "none").lower() in ("none", "same-origin")
    if not related and not (pages and _opens_a_page(method, headers)):
        return "a web page of another site may not send requests here"
    return None


def _opens_a_page(method: str, headers: Mapping[str, str]) -> bool:
    """Return whether a person follows a link: the browser shows the answer and the other site cannot read it."""
    whole = (headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")) == ("navigate", "document")
    return whole and method == "GET"


def key_headers(key_id: str) -> dict[str, str]:
    """Return the headers of a request that names a key and that no AWS tool signs, as for the list of mails."""
    return {"Authorization": f"AWS4-HMAC-SHA256 Credential={quote(key_id, safe='')}/local"}


def refusal(method: str, path: str, headers: Mapping[str, str], *, port: int, keys: Collection[str]) -> str | None:
    """Return why the embedded AWS refuses a request, None when it takes it. `keys` are the access key ids it knows."""
    if not is_own_host(headers, port):
        return f"the Host must be 127.0.0.1:{port} or localhost:{port}"
    invokes = INVOKE.fullmatch(path) is not None
    if why := page_refusal(method, headers, pages=invokes):
        return why
    authorization = headers.get("authorization", "")
    if invokes and not authorization.startswith("AWS4-"):
        return None
    named = CREDENTIAL.match(authorization)
    if named is None or named[1] not in keys:
        return "the request must be signed with the access key of this run: . .tocsin/aws.env"
    return None


def guarded(app: App, *, port: int, keys: Collection[str], changed: Callable[[], None] | None = None) -> App:
    """Return the ASGI application behind the guard: 403 to what is refused, and no CORS header on any answer.

    A refused request is answered before its body is read. `changed` is called after each request that may change state.
    """

    async def guard(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await app(scope, receive, send)
        elif scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
        else:
            headers = joined((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"])
            why = refusal(scope["method"], scope["path"], headers, port=port, keys=keys)
            if why is not None:
                await _refuse(send, why)
                return
            await app(scope, receive, _without_cors(send))
            if changed is not None and scope["method"] != "GET":
                changed()

    return guard


async def _refuse(send: Send, why: str) -> None:
    body = json.dumps({"__type": "AccessDeniedException", "message": why}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _without_cors(send: Send) -> Send:
    async def passing(message: Message) -> None:
        if message["type"] == "http.response.start":
            kept = [each for each in message.get("headers", ()) if not each[0].lower().startswith(b"access-control-")]
            message = {**message, "headers": kept}
        await send(message)

    return passing
