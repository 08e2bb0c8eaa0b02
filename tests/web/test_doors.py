"""Who gets in, who may act, and what is refused."""

import re
from datetime import timedelta

import pytest

from chalicelib.core.sign_in import MIN_KEY_CHARACTERS
from chalicelib.web.exchange import PRIVATE
from tests.api_harness import RULES, fire
from tests.web.harness import SIGNS, PageHarness
from tests.web.test_pages import harness, id_of, text_of

ACCESS = RULES + "access: {viewer: [guest], responder: [ana], admin: [boss]}\n"


@pytest.mark.parametrize("address", ["/", "/incident/3f2a91c0", "/errors"])
def test_who_is_not_signed_in_sees_the_sign_in(address):
    """Given no session → the page that signs in, with nothing of what is open."""
    page = PageHarness(fire(name="Disk"))
    html = page.get(address)
    assert page.reply.status == 401 and "One-time code" in html and "Disk" not in html


def test_a_link_signs_in_once():
    """Given a link → a page with a button that signs in; the same link again, or one that is older, signs nobody in."""
    page = PageHarness(fire())
    older = page.code()
    page.wait(timedelta(seconds=1))
    code = page.code()
    assert "Sign in as Ana Souza" in page.get(f"/login/{code}") and not page.cookies
    reply = page.post("/login", {"code": code})
    assert (reply.status, reply.headers["Location"]) == (303, "./")
    assert "Ana Souza · responder" in page.get("/")
    page.cookies.clear()
    for each in (code, older):
        assert page.post("/login", {"code": each}).status == 403 and not page.cookies
        assert "used already" in page.reply.body


def test_a_whole_link_is_taken_where_a_code_is_asked_for():
    """Given the address of a link in the field of the code → it signs in."""
    page = PageHarness()
    assert page.post("/login", {"code": f" https://tocsin.example/api/login/{page.code()} "}).status == 303


def test_a_link_is_valid_for_five_minutes():
    """Given a link that is five minutes old → the page says so."""
    page = PageHarness()
    code = page.code()
    page.wait(timedelta(minutes=5))
    assert "too old" in page.get(f"/login/{code}") and page.post("/login", {"code": code}).status == 403


def test_a_session_ends():
    """Given a session of a week ago, or one that signed out → the page signs in again."""
    page = harness()
    page.wait(timedelta(days=7))
    page.get("/")
    assert page.reply.status == 401
    page.sign_in()
    token = page.form_token()
    page.post("/logout", {"form": token})
    page.get("/")
    assert page.reply.status == 401


def test_the_cookie_is_for_the_server_alone():
    """Given a sign-in by https → a cookie of this host that no script reads; on this machine one without https."""
    page = PageHarness()
    (made,) = page.sign_in().cookies
    assert made.startswith("__Host-tocsin=")
    assert {"Path=/", "HttpOnly", "Secure", "SameSite=Lax"} <= set(made.split("; "))
    page.headers = {"host": "127.0.0.1:7466"}
    page.wait(timedelta(seconds=1))
    (made,) = page.sign_in().cookies
    assert made.startswith("tocsin=") and "Secure" not in made


def forged(text):
    """Return texts that are nearly that of a session."""
    body, _, signature = text.partition(".")
    other = "A" if body[-2] != "A" else "B"
    yield from (
        "",
        ".",
        body,
        f"{body}.",
        f".{signature}",
        f"{body}.{signature[:-1]}",
        f"{body[:-2]}{other}{body[-1]}.{signature}",
    )
    yield from (f"{text}.", f"{text}x", "x" * 5_000, "\u00e9.\u00e9", "null.null")


def test_a_forged_session_is_none():
    """Given a session that was changed, cut, or a link in its place → nobody is signed in."""
    page = harness()
    (name, right), link = *page.cookies.items(), page.code()
    for text in (*forged(right), link):
        page.cookies = {name: text}
        page.get("/")
        assert page.reply.status == 401, text
    page.cookies = {name: right}
    page.get("/")
    assert page.reply.status == 200


def test_keys_rotate():
    """Given a new key before the old one → old sessions go on, new ones are signed by it; without the old one they end."""
    page = harness()
    page.secrets.in_hand["SESSION_KEY"] = f"{'n' * MIN_KEY_CHARACTERS},{SIGNS}"
    page.get("/")
    assert page.reply.status == 200
    page.secrets.in_hand["SESSION_KEY"] = "n" * MIN_KEY_CHARACTERS
    page.get("/")
    assert page.reply.status == 401


@pytest.mark.parametrize("keys", ["", "too short to sign"])
def test_a_stage_without_a_key_signs_nobody_in(keys):
    """Given no key, or one that can be guessed → the page says what is missing."""
    page = PageHarness(keys=keys)
    assert "the stage has no SESSION_KEY" in page.get("/")


FORMS = [
    ("without the token of a form", {"form": ""}, {}),
    ("with the token of another session", {"form": "another"}, {}),
    ("from another site", {}, {"origin": "https://evil.example"}),
    ("from a page without an origin", {}, {"origin": "null"}),
    ("from another site of the same domain", {}, {"sec-fetch-site": "same-site"}),
    ("from another site, says the browser", {}, {"sec-fetch-site": "cross-site"}),
]


@pytest.mark.parametrize(("fields", "headers"), [each[1:] for each in FORMS], ids=[each[0] for each in FORMS])
def test_a_form_of_somebody_else_does_nothing(fields, headers):
    """Given a form that no page of this session has sent → 403, and the incident is as before."""
    page = harness(fire())
    id, token = id_of(page), page.form_token()
    if fields.get("form") == "another":
        page.wait(timedelta(seconds=1))
        page.sign_in()
        fields = {"form": token}
    reply = page.post(f"/incident/{id}", {"form": token, "do": "ack", **fields}, **headers)
    assert reply.status == 403
    assert page.ask("show_incident", id=id)["incident"]["acked_by"] is None


def test_a_form_without_a_session_asks_to_sign_in():
    """Given a form after the session ended → the sign-in, and nothing is done."""
    page = harness(fire())
    id, token = id_of(page), page.form_token()
    page.cookies.clear()
    reply = page.post(f"/incident/{id}", {"form": token, "do": "ack"})
    assert (reply.status, reply.headers["Location"]) == (303, "../login")
    assert page.ask("show_incident", id=id)["incident"]["acked_by"] is None


@pytest.mark.parametrize(
    ("account", "sees", "acts"),
    [("token:guest", True, False), ("token:ana", True, True), ("token:boss", True, True), ("token:", False, False)],
)
def test_the_rules_file_says_who_may_look_and_act(account, sees, acts):
    """Given `access:` → a viewer only looks, a responder acts, and who is in no list is not let in."""
    page = PageHarness(fire(), rules=ACCESS)
    id = id_of(page)
    page.sign_in("Somebody", account)
    assert bool(page.cookies) is sees
    if not sees:
        assert page.reply.status == 403 and "no list of `access:`" in text_of(page.reply.body)
        return
    html = page.get(f"/incident/{id}")
    assert (" disabled" in html) is not acts
    token = page.form_token()
    assert (page.post(f"/incident/{id}", {"form": token, "do": "ack"}).status == 303) is acts
    assert (page.ask("show_incident", id=id)["incident"]["acked_by"] == "Somebody") is acts


def test_who_loses_a_role_loses_the_page():
    """Given a session of somebody whom changed rules no longer name → no page."""
    page = PageHarness(fire(), rules=ACCESS)
    page.sign_in("Zoe", "token:zoe")
    assert not page.cookies
    page.sign_in("Ana", "token:ana")
    page.cookies = dict(page.cookies)
    outside = harness(
        fire(), rules=ACCESS.replace("responder: [ana]", "responder: [bo]").replace("[guest]", "['token:']")
    )
    outside.cookies = page.cookies
    outside.get("/")
    assert outside.reply.status == 403


def test_guesses_are_slowed_down():
    """Given twenty wrong codes of an address → the next one, even a right one, is not looked at for a minute."""
    page = PageHarness()
    for _ in range(20):
        assert page.post("/login", {"code": "guess.guess"}).status == 403
    code = page.code()
    assert page.post("/login", {"code": code}).status == 429 and not page.cookies
    page.wait(timedelta(minutes=1))
    assert page.post("/login", {"code": code}).status == 303


@pytest.mark.parametrize("address", ["/", "/login", "/incident/x", "/nothing", "/assets/none.css"])
def test_every_answer_is_private_and_strict(address):
    """Given any page → no cache keeps it, no other site frames it, and only files of this stage are loaded."""
    page = harness()
    page.get(address)
    assert PRIVATE.items() <= page.reply.headers.items()
    assert "unsafe" not in PRIVATE["Content-Security-Policy"]
    assert not re.search(r"<script(?![^>]*src=)|\son\w+=|style=|javascript:|https?://(?!www\.w3\.org)", page.reply.body)


def test_assets_are_kept_for_ever_under_their_digest():
    """Given the files that a page names → each is there without a session, with its type, and may be kept for ever."""
    page = PageHarness()
    names = set(re.findall(r'"(?:\./|(?:\.\./)+)assets/([^"]+)"', page.get("/login")))
    assert {name.split(".")[0] for name in names} == {"page", "bell"} and len(names) == 3
    for name in names:
        page.get(f"/assets/{name}")
        assert page.reply.status == 200 and "immutable" in page.reply.headers["Cache-Control"]
    assert page.reply.headers["Content-Type"].startswith(("text/css", "text/javascript", "image/svg+xml"))


@pytest.mark.parametrize(
    "name", ["..%2Fhandle.py", "../render.py", "page.css/../../render.py", "handle.py", "page.000000000000.py"]
)
def test_no_other_file_is_served(name):
    """Given the name of another file → 404."""
    page = PageHarness()
    page.get(f"/assets/{name}")
    assert page.reply.status in (401, 404)
    assert "def " not in page.reply.body


def test_a_form_that_is_too_large_is_none():
    """Given a form of a megabyte → nothing is done."""
    page = harness(fire())
    id, token = id_of(page), page.form_token()
    assert page.post(f"/incident/{id}", {"do": "ack", "x": "y" * 1_000_000, "form": token}).status == 403
