"""How the inbox is steered: what a person does on the page, and what programs set, script and read.

/_page/press, submit, close, command, pagerduty     a person's acts
/_control/answers, cloudflare, settings, reset      how the stand-ins behave
/_api/messages, /_api/requests, /health             what came in
/sign-in                                            the way to Tocsin's page, signed in
"""

import asyncio
import json
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from local.inbox.exchange import Json, Reply, json_reply
from local.inbox.http import Endpoint, answering, response_of
from local.inbox.sign_in import sign_in
from local.inbox.stand_ins import StandIns
from local.inbox.vendors.pagerduty import PEOPLE as RESPONDERS
from local.inbox.vendors.slack.people import DEFAULT_PERSON
from local.inbox.vendors.slack.workspace import PEOPLE

SETTINGS = ("tocsin", "slack_signing_secret", "pagerduty_webhook_secret", "webhook_secret")
_RESPONDERS = dict(zip(PEOPLE, RESPONDERS, strict=True))
"""The same people, by their Slack id, in PagerDuty."""
Act = Callable[[Json], Json]


class Control:
    """Acts on the stand-ins."""

    def __init__(self, stand_ins: StandIns) -> None:
        self._stand_ins = stand_ins

    def routes(self) -> list[Route]:
        """Return the routes of all of it."""
        acts: dict[str, Act] = {
            "/_page/press": self._press,
            "/_page/submit": self._submit,
            "/_page/close": self._close,
            "/_page/command": self._command,
            "/_page/pagerduty": self._pagerduty,
            "/_control/answers": self._script,
            "/_control/cloudflare": self._set_cloudflare,
            "/_control/settings": self._connect,
            "/_control/reset": self._reset,
        }
        return [
            *(Route(path, acting(act), methods=["POST", "PUT"]) for path, act in acts.items()),
            Route("/_api/messages", answering(self._messages)),
            Route("/_api/requests", answering(self._requests)),
            Route("/health", answering(self._health)),
            Route("/sign-in", self._sign_in),
        ]

    # What came in ----------------------------------------------------------------------------------------------

    def _messages(self, query: Json) -> Reply:
        return json_reply(self._stand_ins.everything())

    def _requests(self, query: Json) -> Reply:
        return json_reply([each.summary() for each in self._stand_ins.requests])

    def _health(self, query: Json) -> Reply:
        return json_reply({"status": "ok", "problem": self._stand_ins.memory.problem})

    async def _sign_in(self, request: Request) -> Response:
        host = request.headers.get("host", "")
        return response_of(await asyncio.to_thread(sign_in, self._stand_ins.connections, host))

    # A person's acts -------------------------------------------------------------------------------------------

    def _press(self, asked: Json) -> Json:
        return self._stand_ins.people.press(
            str(asked.get("channel")),
            str(asked.get("ts")),
            str(asked.get("action_id")),
            block_id=asked.get("block_id"),
            value=asked.get("value"),
            user=_person(asked),
        )

    def _submit(self, asked: Json) -> Json:
        values = dict(asked.get("values") or {})
        return self._stand_ins.people.submit(str(asked.get("view")), values, user=_person(asked))

    def _close(self, asked: Json) -> Json:
        return self._stand_ins.people.close(str(asked.get("view")), user=_person(asked))

    def _command(self, asked: Json) -> Json:
        text = str(asked.get("text") or "")
        return self._stand_ins.people.command(str(asked.get("channel")), text, user=_person(asked))

    def _pagerduty(self, asked: Json) -> Json:
        return self._stand_ins.pagerduty.act(
            str(asked.get("incident")),
            str(asked.get("act")),
            who=_RESPONDERS[_person(asked)],
            text=str(asked.get("text") or ""),
        )

    # How the stand-ins behave ----------------------------------------------------------------------------------

    def _script(self, asked: Json) -> Json:
        service, operation = str(asked.get("service")), str(asked.get("method") or "*")
        answers = list(asked.get("answers") or [])
        self._stand_ins.answer(service, operation, answers, match=asked.get("match"), stay=bool(asked.get("stay")))
        return {"ok": True}

    def _set_cloudflare(self, asked: Json) -> Json:
        self._stand_ins.cloudflare.set(asked)
        return {"ok": True}

    def _connect(self, asked: Json) -> Json:
        """Set where Tocsin is, and the secrets shared with it: they are known only once it is deployed."""
        unknown = sorted(set(asked) - {*SETTINGS, "pagerduty_names_key"})
        if unknown:
            allowed = ", ".join(SETTINGS)
            raise ValueError(f"no setting {', '.join(unknown)}; allowed are {allowed}, pagerduty_names_key")
        for name in SETTINGS:
            if name in asked:
                setattr(self._stand_ins.connections, name, str(asked[name]))
        pagerduty = self._stand_ins.pagerduty
        pagerduty.names_key = bool(asked.get("pagerduty_names_key", pagerduty.names_key))
        self._stand_ins.memory.changed()
        return {"ok": True}

    def _reset(self, asked: Json) -> Json:
        self._stand_ins.reset()
        return {"ok": True}


def acting(act: Act) -> Endpoint:
    """Return the endpoint that does `act`, in a thread, as a JSON object asks for it."""

    async def endpoint(request: Request) -> Response:
        asked = _asked(request.headers.get("content-type", ""), await request.body())
        reply = asked if isinstance(asked, Reply) else await asyncio.to_thread(_done, act, asked)
        return response_of(reply)

    return endpoint


def _asked(content_type: str, body: bytes) -> Json | Reply:
    """Return the JSON object of a body, or the refusal of a body that is none."""
    if "json" not in content_type and body:
        return json_reply({"error": "the body must be application/json"}, 415)
    try:
        asked = json.loads(body or b"{}")
    except ValueError:
        asked = None
    return asked if isinstance(asked, dict) else json_reply({"error": "the body must be a JSON object"}, 400)


def _done(act: Act, asked: Json) -> Reply:
    try:
        return json_reply(act(asked))
    except (ValueError, TypeError, AttributeError) as error:
        said = str(error) if isinstance(error, ValueError) else "the body has another form than expected"
        return json_reply({"ok": False, "error": said}, 400)


def _person(asked: Json) -> str:
    user = str(asked.get("user") or DEFAULT_PERSON)
    return user if user in PEOPLE else DEFAULT_PERSON
