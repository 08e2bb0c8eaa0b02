"""Sign-in by an OpenID Connect provider: over real HTTP with oidc-provider-mock, and with tokens that are not its own."""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet, OctKey, RSAKey
from oidc_provider_mock import User, run_server_in_thread

from chalicelib.clients import http_client
from chalicelib.core.access import Access, Role, role_of
from chalicelib.core.errors import ForbiddenError
from chalicelib.core.openid import place_of, provider_of
from tests.api_harness import RULES, fire
from tests.web.harness import PageHarness
from tests.web.test_pages import text_of

CLIENT, SECRET = "the client", "a secret: of it"
ANA = User(sub="ana-4711", claims={"name": "Ana Souza", "email": "ana@example.com", "email_verified": True})
EVE = User(sub="eve", claims={"name": "Ana Souza", "email": "ana@example.com", "email_verified": False})
BOB = User(sub="T1/U024BE7LH", claims={"name": "tocsin", "email": "bob@elsewhere.example", "email_verified": True})
ACCESS = RULES + "access: {viewer: ['oidc:eve'], responder: [ana@example.com, U024BE7LH], admin: ['*']}\n"
KEY = RSAKey.generate_key(2048, {"kid": "forged"})


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    """The address of a provider on this machine."""
    with run_server_in_thread(user_claims=(ANA, EVE, BOB)) as server:
        yield f"http://localhost:{server.server_port}"


def page_of(issuer: str, *, rules: str = ACCESS, domains: str = "") -> PageHarness:
    """Return a page of a stage with this provider."""
    page = PageHarness(fire(), rules=rules)
    page.secrets.in_hand |= {"OIDC_ISSUER": issuer, "OIDC_CLIENT_ID": CLIENT, "OIDC_CLIENT_SECRET": SECRET}
    page.secrets.in_hand |= {"PAGE_URL": "https://tocsin.example/api/", "OIDC_DOMAINS": domains}
    return page


def asked(page: PageHarness, to: str = "") -> str:
    """Begin a sign-in; return where the provider asks."""
    reply = page.request("GET", f"/oidc?to={to}" if to else "/oidc")
    assert reply.status == 303, reply.body
    return reply.headers["Location"]


def allowed(address: str, person: User = ANA) -> str:
    """Say yes at the provider; return the path and query with which it leads back."""
    answer = httpx.post(address, data={"sub": person.sub}, trust_env=False)
    assert answer.status_code in (302, 303), answer.text
    where = urlsplit(answer.headers["Location"])
    assert f"{where.scheme}://{where.netloc}{where.path}" == "https://tocsin.example/api/oidc/callback"
    return f"/oidc/callback?{where.query}"


def signed_in(page: PageHarness, person: User = ANA) -> int:
    """Sign a person in; return the status of the answer."""
    return page.request("GET", allowed(asked(page), person)).status


def is_in(page: PageHarness) -> bool:
    """Return whether somebody is signed in."""
    page.get("/")
    return page.reply.status == 200


def test_a_person_signs_in(issuer: str) -> None:
    """Given somebody whose checked mail is in `access:` → a session in their name and account, by PKCE, state and nonce."""
    page = page_of(issuer)
    assert 'href="./oidc"' in page.get("/") and "Sign in with localhost" in page.reply.body
    where = asked(page)
    sent = parse_qs(urlsplit(where).query)
    assert sent["code_challenge_method"] == ["S256"] and sent["scope"] == ["openid email profile"]
    assert all(len(sent[name][0]) >= 32 for name in ("state", "nonce", "code_challenge"))
    (kept,) = page.reply.cookies
    assert kept.startswith("__Host-oidc=") and {"HttpOnly", "Secure", "SameSite=Lax"} <= set(kept.split("; "))
    assert not {sent["code_challenge"][0], SECRET} & set(kept)
    reply = page.request("GET", allowed(where))
    assert (reply.status, reply.headers["Location"]) == (303, "../")
    assert "Ana Souza · responder" in page.get("/")
    assert "__Host-oidc" not in page.cookies
    id = page.shown()["id"]
    page.act(id, "ack")
    line = next(each for each in page.shown()["timeline"] if each["kind"] == "ack")
    assert (line["by"], line["account"]) == ("Ana Souza", "oidc:ana-4711")


@pytest.mark.parametrize(
    ("asked_for", "where"),
    [
        ("incident/4711ab", "../incident/4711ab"),
        ("errors", "../errors"),
        ("//evil.example", "../"),
        ("https:evil.example", "../"),
        ("..%2F..%2Fevil", "../"),
        ("%5Cevil.example", "../"),
        ("incident/%0d%0aSet-Cookie:x", "../"),
    ],
)
def test_it_leads_to_pages_of_this_stage_only(issuer: str, asked_for: str, where: str) -> None:
    """Given a page that was asked for → there after the sign-in; anything else leads to the first page."""
    page = page_of(issuer)
    back = allowed(asked(page, asked_for))
    assert page.request("GET", back).headers["Location"] == where


def test_a_link_to_an_incident_leads_there(issuer: str) -> None:
    """Given the address of an incident without a session → the way to the provider remembers it."""
    page = page_of(issuer)
    assert 'href="../oidc?to=incident/4711ab"' in page.get("/incident/4711ab")
    assert place_of("incident/../x") == ""


def test_an_unchecked_mail_is_none(issuer: str) -> None:
    """Given a mail that the provider has not checked, of somebody else's name → it opens nothing; the id counts alone."""
    page = page_of(issuer)
    assert signed_in(page, EVE) == 303
    assert "Ana Souza · viewer" in page.get("/")
    other = page_of(issuer, rules=ACCESS.replace("'oidc:eve'", ""))
    assert signed_in(other, EVE) == 403 and not is_in(other)


@pytest.mark.parametrize("rules", [RULES, RULES + "access: {admin: ['*']}\n", ACCESS], ids=["no block", "all", "ids"])
def test_an_account_alone_is_nobody_of_ours(issuer: str, rules: str) -> None:
    """Given an account at the provider that no entry names → refused: `*` and no block do not mean the whole world."""
    page = page_of(issuer, rules=rules)
    assert signed_in(page, BOB) == 403
    assert "no list of" in text_of(page.reply.body) and not is_in(page)


def test_a_domain_makes_known(issuer: str) -> None:
    """Given OIDC_DOMAINS → who has a checked mail of one is one of ours; whoever leaves the list is out at once."""
    page = page_of(issuer, rules=RULES, domains="@Example.com,other.example")
    assert signed_in(page) == 303 and "Ana Souza · responder" in page.get("/")
    page.secrets.in_hand["OIDC_DOMAINS"] = "other.example"
    page.get("/")
    assert page.reply.status == 403
    assert signed_in(page_of(issuer, rules=RULES, domains="example.com"), EVE) == 403


def test_a_subject_is_no_member_of_a_chat() -> None:
    """Given an id of the provider in the form of a Slack account → the entry of the member does not mean it."""
    lists = Access(responder=["U024BE7LH"])
    assert role_of("slack:T1/U024BE7LH", lists) is Role.RESPONDER
    assert role_of("oidc:T1/U024BE7LH", lists) is Role.NONE


def test_a_program_lends_no_name(issuer: str) -> None:
    """Given somebody who is called as a program → the mail is the name."""
    page = page_of(issuer, rules=RULES, domains="elsewhere.example")
    assert signed_in(page, BOB) == 303
    assert "bob@elsewhere.example · responder" in page.get("/")


def test_another_browser_cannot_use_the_answer(issuer: str) -> None:
    """Given an answer of another state, or in a browser that began nothing → refused, and no session."""
    page = page_of(issuer)
    back = allowed(asked(page))
    kept = dict(page.cookies)
    for cookies, address in (
        ({}, back),
        (kept, re.sub("state=[^&]*", "state=another", back)),
        (kept, "/oidc/callback"),
    ):
        page.cookies = dict(cookies)
        assert page.request("GET", address).status == 403 and not is_in(page)
    other = page_of(issuer)
    asked(other)
    assert other.request("GET", back).status == 403


def test_an_attempt_ends(issuer: str) -> None:
    """Given an answer after ten minutes → refused."""
    page = page_of(issuer)
    back = allowed(asked(page))
    page.wait(timedelta(minutes=10))
    assert page.request("GET", back).status == 403 and "took too long" in page.reply.body


def test_a_code_is_used_once(issuer: str) -> None:
    """Given an answer that was used, with the cookie of its attempt → the provider takes the code no more."""
    page = page_of(issuer)
    back = allowed(asked(page))
    kept = dict(page.cookies)
    assert page.request("GET", back).status == 303
    page.cookies = kept
    assert page.request("GET", back).status == 403 and not is_in(page)


def test_a_refusal_of_the_provider_is_said(issuer: str) -> None:
    """Given `error=access_denied` → nobody is signed in, and nothing of the answer is repeated."""
    page = page_of(issuer)
    state = parse_qs(urlsplit(asked(page)).query)["state"][0]
    page.request("GET", f"/oidc/callback?error=%3Cscript%3E&state={state}")
    assert page.reply.status == 403 and "has signed nobody in" in page.reply.body
    assert "&lt;script" not in page.reply.body and "<script>" not in page.reply.body


def test_answers_are_slowed_down(issuer: str) -> None:
    """Given twenty wrong answers of an address → the next one is not looked at."""
    page = page_of(issuer)
    for _ in range(20):
        assert page.request("GET", "/oidc/callback?state=x&code=y").status == 403
    assert page.request("GET", "/oidc/callback?state=x&code=y").status == 429


class Forger:
    """A client of HTTP to which a provider says what a test wants."""

    def __init__(self, token: str, keys: object) -> None:
        self.token, self.keys, self.sent = token, keys, {}

    def get(self, address: str, **named: object) -> httpx.Response:
        """Return the real document, and the keys of the test."""
        if address.endswith("jwks"):
            return httpx.Response(200, json=self.keys)
        return http_client().get(address, **named)

    def post(self, address: str, **named: object) -> httpx.Response:
        """Return the token of the test."""
        self.sent = named
        return httpx.Response(200, json={"id_token": self.token})


def forged(
    issuer: str, sent_nonce: str, *, key: object = KEY, header: Mapping[str, str] | None = None, **claims: object
) -> str:
    """Return a token with these claims in place of the right ones; None leaves one out."""
    right = {"iss": issuer, "aud": CLIENT, "sub": "ana-4711", "nonce": sent_nonce, "exp": 2_000_000_000}
    right |= {"email": "ana@example.com", "email_verified": True, "name": "Ana"}
    content = {name: value for name, value in {**right, **claims}.items() if value is not None}
    head = {"alg": "RS256", "kid": "forged", **(header or {})}
    return jwt.encode(head, content, key, algorithms=[head["alg"]])


def tried(issuer: str, keys: object = None, raw: str = "", **named: object) -> PageHarness:
    """Return the page after an answer with a forged token."""
    page = page_of(issuer)
    sent = dict(parse_qsl(urlsplit(asked(page)).query))
    token = raw or forged(issuer, sent["nonce"], **named)
    forger = Forger(token, keys or KeySet([KEY]).as_dict(private=False))
    page.http = lambda: forger
    page.request("GET", f"/oidc/callback?code=x&state={sent['state']}")
    return page


def test_the_forger_is_believed_where_all_is_right(issuer: str) -> None:
    """Given a token with the right claims and a key of the provider → signed in, by the client's secret."""
    page = tried(issuer)
    assert page.reply.status == 303 and is_in(page)
    assert page.http().sent["auth"] == ("the%20client", "a%20secret%3A%20of%20it")


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"iss": "https://evil.example"},
        {"aud": "another client"},
        {"aud": [CLIENT, "another"]},
        {"aud": [CLIENT, "another"], "azp": "another"},
        {"azp": "another"},
        {"aud": None},
        {"exp": 1_790_000_000},
        {"exp": None},
        {"exp": "2000000000"},
        {"nbf": 1_999_999_999},
        {"sub": None},
        {"sub": "x\ny"},
        {"sub": 7},
        {"email_verified": None},
        {"email_verified": 1},
        {"email": "ana@example.com.evil.example"},
        {"email": ["ana@example.com"]},
    ],
    ids=json.dumps,
)
def test_a_token_of_another_use_is_refused(issuer: str, claims: dict[str, object]) -> None:
    """Given a well-signed token with one claim that is wrong → refused, and no session."""
    page = tried(issuer, **claims)
    assert page.reply.status == 403 and not is_in(page)


def test_a_token_that_nobody_signed_is_refused(issuer: str) -> None:
    """Given alg none, a key of somebody else, or a shared secret in place of a key → refused."""
    public = KeySet([KEY]).as_dict(private=False)
    secret = OctKey.import_key(json.dumps(public["keys"][0]))
    other = RSAKey.generate_key(2048, {"kid": "forged"})
    shared = OctKey.import_key("a shared secret of enough characters", {"kid": "shared"})
    head = "eyJhbGciOiJub25lIn0"
    body = forged(issuer, "n").split(".")[1]
    assert tried(issuer, raw=f"{head}.{body}.").reply.status == 403
    assert tried(issuer, raw="not a token").reply.status == 403
    assert tried(issuer, key=other).reply.status == 403
    assert tried(issuer, key=secret, header={"alg": "HS256"}).reply.status == 403
    offered = {"keys": [*public["keys"], shared.as_dict(private=True)]}
    assert tried(issuer, keys=offered, key=shared, header={"alg": "HS256", "kid": "shared"}).reply.status == 403


def test_a_provider_of_another_name_is_none() -> None:
    """Given a document of another issuer, or with addresses without https → refused."""
    right = {name: f"https://id.example/{name}" for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")}
    right["issuer"] = "https://id.example"
    assert provider_of(right, "https://id.example").token == "https://id.example/token_endpoint"
    for wrong in ({"issuer": "https://evil.example"}, {"token_endpoint": "http://id.example/"}, {"jwks_uri": None}):
        with pytest.raises(ForbiddenError):
            provider_of({**right, **wrong}, "https://id.example")
    with pytest.raises(ForbiddenError):
        provider_of([], "https://id.example")


def test_a_provider_that_is_away_is_said(issuer: str) -> None:
    """Given a provider that does not answer → 502, and links go on signing in; another issuer's document is refused."""
    page = page_of("http://127.0.0.1:9")
    assert page.request("GET", "/oidc").status == 502 and "does not answer" in page.reply.body
    page.sign_in()
    other = page_of(f"{issuer}/")
    assert other.request("GET", "/oidc").status == 403


def test_without_a_provider_nothing_changes() -> None:
    """Given no parameters → no button, and its addresses say that there is none."""
    page = PageHarness()
    assert "/oidc" not in page.get("/login")
    assert page.request("GET", "/oidc").status == 400 and page.request("GET", "/oidc/callback?state=x").status >= 400
