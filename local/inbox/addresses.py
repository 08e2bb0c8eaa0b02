"""The vendors' addresses: which operation of which stand-in each is, and the endpoints behind them."""

import asyncio
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from local.inbox.exchange import SECRET_HEADERS, Received, form_fields
from local.inbox.http import METHODS, headers_of, query_of, response_of
from local.inbox.stand_ins import StandIns
from local.inbox.vendors.mail import SEND

VENDORS = ("/slack/", "/pagerduty/", "/ses/", "/hook/", "/discord/", "/teams/", "/cloudflare/", "/vercel/")
"""Where the stand-ins are, as the embedded AWS's functions call them. Other paths are the page and the control."""


@dataclass(frozen=True, slots=True)
class Operation:
    """The ASGI endpoint of one operation of a stand-in; without a name, the path names it."""

    service: str
    name: str = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        request = Request(scope, receive)
        stand_ins = _stand_ins(request)
        at = stand_ins.clock()
        name = self.name or str(request.path_params["operation"])
        received = received_from(
            (self.service, name),
            method=request.method,
            path=scope["path"],
            query=query_of(scope),
            headers=headers_of(scope),
            body=await request.body(),
            at=at,
        )
        reply = await asyncio.to_thread(stand_ins.serve, received)
        await response_of(reply)(scope, receive, send)


def received_from(
    operation: tuple[str, str], *, method: str, path: str, query: str, headers: dict[str, str], body: bytes, at: float
) -> Received:
    """Return the request as it is recorded: without its secrets, with its arguments read."""
    bearer = headers.get("authorization", "").removeprefix("Bearer").strip()
    kept = {name: "<secret>" if name in SECRET_HEADERS else value for name, value in headers.items()}
    fields = form_fields(headers.get("content-type", ""), body, query)
    return Received(at, *operation, method, path, kept, body, fields, bearer=bearer)


def operation_at(method: str, path: str) -> tuple[str, str] | None:
    """Return the stand-in and the operation that an address means, None when no stand-in is there."""
    scope = {"type": "http", "method": method, "path": path.rstrip("/")}
    for route in OPERATIONS:
        match, found = route.matches(scope)
        endpoint = route.endpoint
        if match is Match.FULL and isinstance(endpoint, Operation):
            return endpoint.service, endpoint.name or found["path_params"]["operation"]
    return None


async def _respond(request: Request) -> Response:
    """Answer a POST to one of Slack's response addresses."""
    fields = form_fields(request.headers.get("content-type", ""), await request.body(), "")
    slack = _stand_ins(request).slack
    return response_of(await asyncio.to_thread(slack.responses.respond, request.path_params["token"], fields))


async def _pagerduty_rest(request: Request) -> Response:
    """Answer a call of PagerDuty's REST API."""
    fields = form_fields(request.headers.get("content-type", ""), await request.body(), query_of(request.scope))
    path = str(request.scope["path"]).removeprefix("/pagerduty/")
    return response_of(await asyncio.to_thread(_stand_ins(request).pagerduty.rest, request.method, path, fields))


def _stand_ins(request: Request) -> StandIns:
    found: StandIns = request.app.state.stand_ins
    return found


OPERATIONS = (
    Route("/slack/api/{operation}", Operation("slack")),
    Route("/slack/hooks/{operation}", Operation("slack_hook"), methods=["POST"]),
    Route("/slack/hooks/{before:path}/{operation}", Operation("slack_hook"), methods=["POST"]),
    Route("/pagerduty/v2/enqueue", Operation("pagerduty", "v2/enqueue"), methods=["POST"]),
    Route("/pagerduty/v2/change/enqueue", Operation("pagerduty", "v2/change/enqueue"), methods=["POST"]),
    Route("/ses/v2/email/outbound-emails", Operation("ses", SEND), methods=["POST"]),
    Route("/ses/v2/email/account", Operation("ses", "GetAccount"), methods=["GET"]),
    Route("/ses/{operation:path}", Operation("ses")),
    Route("/hook/{operation}", Operation("hook"), methods=["POST"]),
    Route("/discord/api/webhooks/{webhook}/{token}", Operation("discord", "execute"), methods=["POST"]),
    Route(
        "/discord/api/webhooks/{webhook}/{token}/messages/{message}",
        Operation("discord", "message"),
        methods=["PATCH", "DELETE"],
    ),
    Route("/teams/{operation}", Operation("teams"), methods=["POST"]),
    Route("/cloudflare/client/v4/graphql", Operation("cloudflare", "graphql"), methods=["POST"]),
    Route("/vercel/{version}/projects/{project}/rollback/{deployment}", Operation("vercel", "rollback")),
    Route("/vercel/{before:path}/{operation}", Operation("vercel")),
)
"""Every request to these is recorded, and may be answered by a script."""

ROUTES = (
    *OPERATIONS,
    Route("/slack/actions/{team}/{number}/{token}", _respond, methods=METHODS),
    Route("/slack/commands/{team}/{number}/{token}", _respond, methods=METHODS),
    Route("/pagerduty/incidents", _pagerduty_rest, methods=METHODS),
    Route("/pagerduty/incidents/{rest:path}", _pagerduty_rest, methods=METHODS),
    Route("/pagerduty/oncalls", _pagerduty_rest, methods=METHODS),
)
