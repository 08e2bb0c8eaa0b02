"""Sign a person of this machine in at Tocsin's page: `/sign-in` of the inbox is one click.

The inbox gets a one-time link by the API's token, uses it, and passes the session's cookie on: a browser keeps cookies by
host, not by port, and both servers are at 127.0.0.1. `make run` alone gives the inbox a token.
"""

import json
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPRedirectHandler, OpenerDirector, ProxyHandler, Request, build_opener

from local.inbox.exchange import Reply, json_reply
from local.inbox.outside import Connections

PERSON = "Ana Souza"
HOST = "127.0.0.1"
TIMEOUT_SECONDS = 20.0
FAILED = "Tocsin's page did not sign in: is it deployed? `tocsin login` prints a link"


def sign_in(connections: Connections, host: str) -> Reply:
    """Return the way to the page with the cookie of a new session. `host` is the Host by which the browser came."""
    name, _, port = host.rpartition(":")
    if name != HOST:
        return Reply(303, headers={"Location": f"http://{HOST}:{port}/sign-in"})
    cookie = session(connections.tocsin, connections.api_token)
    if not cookie:
        return json_reply({"error": FAILED}, 503)
    return Reply(303, headers={"Location": f"{connections.tocsin}/", "Set-Cookie": cookie})


def session(tocsin: str, token: str) -> str:
    """Return the cookie of a new session; empty where Tocsin gave none."""
    if not (tocsin and token):
        return ""
    headers = {"Authorization": f"Bearer {token.split(',')[0].strip().rpartition(':')[2]}"}
    try:
        link = Request(f"{tocsin}/api/login", json.dumps({"by": PERSON}).encode(), headers)
        link.add_header("Content-Type", "application/json")
        with _opener().open(link, timeout=TIMEOUT_SECONDS) as answer:
            code = json.load(answer)["code"]
        return _begun(tocsin, str(code))
    except (OSError, HTTPException, ValueError, KeyError):
        return ""


def _begun(tocsin: str, code: str) -> str:
    """Use the code of a link; the page answers with another address, and the cookie."""
    try:
        with _opener().open(f"{tocsin}/login", urlencode({"code": code}).encode(), timeout=TIMEOUT_SECONDS):
            return ""
    except HTTPError as error:
        with error:
            return error.headers.get("Set-Cookie", "") if error.code == 303 else ""


class _Stay(HTTPRedirectHandler):
    def redirect_request(self, *_args: object, **_kwargs: object) -> None:
        """Follow no redirect: the browser does."""


def _opener() -> OpenerDirector:
    return build_opener(ProxyHandler({}), _Stay())
