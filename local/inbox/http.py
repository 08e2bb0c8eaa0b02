"""HTTP under the inbox, over Starlette: which requests pass, their bodies and headers, and replies as responses."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from local.guard import is_own_host, joined, page_refusal
from local.inbox.exchange import Json, Reply, json_reply

METHODS = ("GET", "POST", "PUT")
MORE_METHODS = {"/discord/": ("PATCH", "DELETE")}
"""Methods of one stand-in alone, by the beginning of its paths."""
MAX_BODY_BYTES = 45_000_000
HOLD_SECONDS = 60.0
"""How long a request is held by the scripted `timeout`."""
CLOSED = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}
"""Headers of every answer."""
NO_BODY = (204, 304)
Endpoint = Callable[[Request], Awaitable[Response]]


def application(routes: Sequence[Route], *, closed_to_pages: tuple[str, ...]) -> Starlette:
    """Return the ASGI application of these routes. To paths that begin with `closed_to_pages` no web page may send."""
    app = Starlette(
        routes=routes,
        middleware=[Middleware(Gate, closed_to_pages)],
        exception_handlers={HTTPException: _refused, ClientDisconnect: _given_up},
        max_body_size=MAX_BODY_BYTES,
    )
    app.router.redirect_slashes = False
    return app


def answering(answer: Callable[[Json], Reply]) -> Endpoint:
    """Return the endpoint that calls `answer` with the values of the query and the path, in a thread."""

    async def endpoint(request: Request) -> Response:
        reply = await asyncio.to_thread(answer, {**request.query_params, **request.path_params})
        return response_of(reply)

    return endpoint


def response_of(reply: Reply) -> Response:
    """Return a reply as Starlette sends it."""
    if reply.hold or reply.hang_up:
        return NoAnswer(HOLD_SECONDS if reply.hold else 0)
    body = b"" if reply.status in NO_BODY else reply.body
    return Response(body, reply.status, {**CLOSED, **reply.headers})


def headers_of(scope: Scope) -> dict[str, str]:
    """Return the headers of a request by lower-case name, values of a repeated name joined."""
    return joined((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"])


def query_of(scope: Scope) -> str:
    """Return the query of a request, as it came."""
    return bytes(scope["query_string"]).decode("latin-1")


def methods_of(path: str) -> tuple[str, ...]:
    """Return the methods that a path may be asked with."""
    return METHODS + next((more for start, more in MORE_METHODS.items() if path.startswith(start)), ())


def refusal(method: str, path: str, headers: Json, port: int, *, pages: bool) -> Reply | None:
    """Return the answer to a request that a page of another site could have sent, None when it may pass."""
    methods = methods_of(path)
    if method not in methods:
        return json_reply({"error": f"the method must be one of {', '.join(methods)}"}, 501)
    if not is_own_host(headers, port):
        return json_reply({"error": f"the inbox answers to 127.0.0.1:{port} and localhost:{port} only"}, 421)
    why = page_refusal(method, headers, pages=pages)
    return None if why is None else json_reply({"error": why}, 403)


class Gate:
    """ASGI middleware: refuses foreign requests before their body is read. A slash at the end of a path means nothing."""

    def __init__(self, app: ASGIApp, closed_to_pages: tuple[str, ...]) -> None:
        self._app = app
        self._closed_to_pages = closed_to_pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        path = str(scope["path"])
        pages = not path.startswith(self._closed_to_pages)
        refused = refusal(scope["method"], path, headers_of(scope), scope["server"][1], pages=pages)
        app = self._app if refused is None else response_of(refused)
        await app({**scope, "path": path.rstrip("/") or "/"}, receive, send)


class NoAnswer(Response):
    """Closes the connection without a byte: after `hold_seconds`, or once the caller gives up.

    The server puts the connection into the state of the request (`listener.Connection`).
    """

    def __init__(self, hold_seconds: float) -> None:
        super().__init__()
        self._hold_seconds = hold_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hold, close, and return once the server knows that the connection is closed."""
        with suppress(TimeoutError):
            await asyncio.wait_for(_closed(receive), self._hold_seconds)
        scope["state"]["connection"].close()
        await _closed(receive)


async def _closed(receive: Receive) -> None:
    """Wait until the connection is closed, by either side."""
    while (await receive())["type"] != "http.disconnect":
        continue


async def _refused(request: Request, error: Exception) -> Response:
    """Return the answer to what no route takes, and to a body over the limit."""
    if isinstance(error, HTTPException) and error.status_code == 413:
        return response_of(json_reply({"error": f"the body must be at most {MAX_BODY_BYTES} bytes"}, 413))
    return response_of(json_reply({"error": "not found"}, 404))


async def _given_up(request: Request, error: Exception) -> Response:
    """Return an answer that nobody reads: the caller went away while it sent its body."""
    return Response(status_code=400)
