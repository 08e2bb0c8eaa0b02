"""Named tokens: made once, stored as a digest, limited by scope and role, gone once they are revoked; through the application."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import replace

import pytest

from chalicelib.api import access, admission
from chalicelib.core.errors import FullError
from chalicelib.core.tokens import FORM, MAX_TOKENS, Tokens, new_token
from cli.main import main
from tests.api_door import READER, TOKEN, door
from tests.api_harness import RULES, START, ApiHarness, fire
from tests.project import ROOT

ACCESS = 'access: {admin: ["token:"], responder: [ana, bo], viewer: ["*"]}\n'


class Stage:
    """A router behind its door."""

    def __init__(self, desk, served):
        self.desk, self.served = desk, served

    def call(self, method, path, body=None, *, token=TOKEN):
        """Status and answer of one request."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.served.url}/api/{path}", data=data, method=method)
        request.add_header("Authorization", f"Bearer {token}")
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20) as answer:
                return answer.status, json.loads(answer.read() or "null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or "null")

    def made(self, name="ana", scope="act"):
        """A token that was made: its id and its value."""
        status, found = self.call("POST", "tokens", {"name": name, "scope": scope, "by": "root"})
        assert status == 201
        return found["id"], found["token"]

    def incident(self):
        """The id of the open incident."""
        return self.desk.shown()["id"]


@pytest.fixture
def stage(monkeypatch):
    """A stage whose shared token is an admin's."""
    admission._used.clear()
    desk = ApiHarness(fire(), rules=RULES + ACCESS)
    with door(monkeypatch, desk) as served:
        yield Stage(desk, served)


def test_a_token_is_stored_as_a_digest_and_acts_for_its_holder(stage):
    """Given a token for ana → its value is stored nowhere, and what is done with it is done by ana."""
    id, value = stage.made()
    assert FORM.fullmatch(value)
    (stored,) = stage.desk.router.store.tokens().tokens
    assert value not in repr(stored)
    assert value.rpartition("_")[2] not in repr(stored)
    assert stage.call("POST", f"incidents/{stage.incident()}/ack", {"by": "bo"}, token=value)[0] == 202
    stage.desk.router.settle()
    (line,) = (each for each in stage.desk.shown()["timeline"] if each["kind"] == "ack")
    assert (line["by"], line["account"]) == ("ana", "token:ana")
    assert id not in json.dumps(stage.desk.shown())


def test_the_list_shows_the_day_of_the_last_use_and_no_value(stage):
    """Given a used and an unused token → the day, never, and nothing that opens a door."""
    (one, value), (two, _) = stage.made(), stage.made("bo", "read")
    for _ in range(2):
        assert stage.call("GET", "alerts", token=value)[0] == 200
    status, found = stage.call("GET", "tokens")
    rows = {each["id"]: each for each in found["tokens"]}
    assert (status, rows[one]["last_used_on"], rows[two]["last_used_on"]) == (200, "2026-11-26", None)
    assert {"token", "digest"}.isdisjoint(rows[one])
    assert rows[two]["scope"] == "read"


def test_a_revoked_token_opens_nothing_at_once(stage):
    """Given a token in use → after it is revoked the next request is refused, and a second revocation changes nothing."""
    id, value = stage.made()
    assert stage.call("GET", "alerts", token=value)[0] == 200
    for _ in range(2):
        status, found = stage.call("DELETE", f"tokens/{id}?by=root")
        assert (status, found["revoked_by"]) == (200, "root")
    status, found = stage.call("GET", "alerts", token=value)
    assert (status, found["error"]) == (401, "the token is unknown or revoked")


@pytest.mark.parametrize(
    ("scope", "name", "reads", "acts", "makes"),
    [
        ("read", "ana", 200, 403, 403),
        ("act", "ana", 200, 202, 403),
        ("admin", "ana", 200, 202, 403),
        ("act", "guest", 200, 403, 403),
    ],
)
def test_scope_and_role_both_limit_a_token(stage, scope, name, reads, acts, makes):
    """Given a scope and what `access:` allows its holder → the narrower of both counts."""
    _, value = stage.made(name, scope)
    assert stage.call("GET", "incidents", token=value)[0] == reads
    assert stage.call("POST", f"incidents/{stage.incident()}/ack", {}, token=value)[0] == acts
    assert stage.call("POST", "tokens", {"name": "x", "scope": "read"}, token=value)[0] == makes


def test_an_admin_by_a_named_token(monkeypatch):
    """Given an admin with a token of the scope admin → makes tokens; with the scope act, not."""
    desk = ApiHarness(rules=RULES + 'access: {admin: [root, "token:"]}\n')
    with door(monkeypatch, desk) as served:
        stage = Stage(desk, served)
        for scope, status in (("admin", 201), ("act", 403)):
            _, value = stage.made("root", scope)
            assert stage.call("POST", "tokens", {"name": "x", "scope": "read"}, token=value)[0] == status


def test_without_access_nobody_makes_tokens(monkeypatch):
    """Given a rules file without `access:` → 403 that names what is expected, since nobody is an admin."""
    desk = ApiHarness()
    with door(monkeypatch, desk) as served:
        status, found = Stage(desk, served).call("GET", "tokens")
    assert (status, "`admin` of `access:`" in found["error"]) == (403, True)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"scope": "act"}, 400),
        ({"name": "a b", "scope": "act"}, 400),
        ({"name": "ana:x", "scope": "act"}, 400),
        ({"name": "a\r\nb", "scope": "act"}, 400),
        ({"name": "Tocsin", "scope": "act"}, 400),
        ({"name": "x" * 65, "scope": "act"}, 400),
        ({"name": "ana", "scope": "root"}, 400),
        ({"name": ["ana"], "scope": "act"}, 400),
        ({"name": "ana", "scope": "act", "token": "mine"}, 400),
    ],
)
def test_a_token_that_cannot_be_is_refused(stage, body, status):
    """Given a wrong name, scope or field → 400, and nothing is stored."""
    assert stage.call("POST", "tokens", {"by": "root", **body})[0] == status
    assert stage.desk.router.store.tokens() == Tokens()


def test_guesses_in_the_form_of_a_token_are_counted(stage):
    """Given wrong tokens of the right form → 401 each, then 429 for that address, and a reader revokes nothing."""
    _, guess = new_token("ana", "admin", "root", START)
    found = [stage.call("GET", "alerts", token=guess)[0] for _ in range(access.MAX_WRONG + 1)]
    assert found == [401] * access.MAX_WRONG + [429]


@pytest.mark.parametrize("token", [READER, "no-token-at-all-but-long", ""])
def test_who_is_no_admin_makes_and_revokes_none(stage, token):
    """Given a token that only reads, a wrong one or none → refused, and the token stays live."""
    id, value = stage.made()
    assert stage.call("DELETE", f"tokens/{id}?by=root", token=token)[0] in (401, 403)
    assert stage.call("POST", "tokens", {"name": "x", "scope": "admin"}, token=token)[0] in (401, 403)
    assert stage.call("GET", "alerts", token=value)[0] == 200


def test_the_oldest_revoked_tokens_make_room():
    """Given as many tokens as there may be → a revoked one makes room; when all are live the next is refused."""
    found = Tokens()
    for number in range(MAX_TOKENS):
        found = found.with_token(new_token(f"n{number}", "read", "root", START)[0])
    with pytest.raises(FullError):
        found.with_token(new_token("more", "read", "root", START)[0])
    revoked = found.without(found.tokens[3].id, "root", START)
    after = revoked.with_token(new_token("more", "read", "root", START)[0])
    assert (len(after.tokens), after.version) == (MAX_TOKENS, found.version + 2)
    assert found.tokens[3].id not in {each.id for each in after.tokens}


def test_a_shared_secret_in_the_form_of_a_token_still_opens(stage, monkeypatch):
    """Given an API_TOKEN that looks like a named token → it is taken as before."""
    value = new_token("ana", "act", "root", START)[1]
    monkeypatch.setenv("API_TOKEN", value)
    from chalicelib.ingest import wiring as ingest

    ingest.ports.cache_clear()
    assert stage.call("GET", "alerts", token=value)[0] == 200


def test_the_command_makes_lists_and_revokes(stage, capsys, monkeypatch):
    """Given `tocsin tokens` → the value alone on standard output, a table without it, and a revocation by id."""
    monkeypatch.setenv("TOCSIN_URL", stage.served.url)
    monkeypatch.setenv("TOCSIN_TOKEN", TOKEN)
    monkeypatch.setenv("TOCSIN_USER", "root")
    assert main(["tokens", "create", "ana", "--scope", "read"]) == 0
    value = capsys.readouterr().out.splitlines()[-1]
    assert FORM.fullmatch(value)
    id = stage.desk.router.store.tokens().tokens[0].id
    assert main(["tokens", "list"]) == 0
    listed = capsys.readouterr().out
    assert (id in listed, "never" in listed, value in listed) == (True, True, False)
    assert main(["tokens", "revoke", id]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"token {id} of ana is revoked"
    assert main(["tokens", "revoke", "nobody"]) == 1
    assert "there is no token 'nobody'" in capsys.readouterr().err


def test_who_sends_no_token_costs_next_to_nothing():
    """Given a request without a token at either door → 401, and neither the store nor the rules are loaded."""
    code = (
        "import app, sys, os\n"
        "os.environ.update(API_TOKEN='token-of-a-test-that-is-long', AWS_REGION='eu-west-1', TOCSIN_STAGE='dev')\n"
        "for path in ('/api/v2/alerts', '/api/incidents'):\n"
        "    context = {'http': {'method': 'GET', 'sourceIp': '127.0.0.1'}, 'stage': '$default'}\n"
        "    event = {'version': '2.0', 'rawPath': path, 'headers': {}, 'requestContext': context}\n"
        "    print(app.app(event, None)['statusCode'])\n"
        "print('chalicelib.wiring' in sys.modules, 'chalicelib.api.views' in sys.modules)\n"
    )
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, **keys}, capture_output=True, text=True, timeout=60
    )
    lines = [line for line in done.stdout.splitlines() if not line.startswith("{")]
    assert lines == ["401", "401", "False False"], done.stderr


def test_a_digest_is_of_the_whole_value():
    """Given a value that differs in one character → not that token; nor is a revoked one."""
    token, value = new_token("ana", "act", "root", START)
    found = Tokens((token,))
    assert found.live(value) is token
    assert found.live(value[:-1] + ("a" if value[-1] != "a" else "b")) is None
    assert Tokens((replace(token, revoked_at=START),)).live(value) is None
