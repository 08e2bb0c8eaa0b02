"""The uptime probe against real servers on loopback: right, wrong, slow, away, redirected, and addresses it refuses."""

import asyncio
import json
import re
import socket
import time
from collections.abc import Mapping
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from chalicelib.core.errors import RulesError
from chalicelib.probes import Attempt, Names, RefusedAddressError, addresses, refusal, uptime
from tests.slow_server import Connection, slow_server

from .conftest import NOW, FixedClients, Tls, Web, answer, free_port, reason, result, tried, values


def measured(params: dict[str, Any], clients: FixedClients) -> dict[str, float | None]:
    """The values of one try by metric."""
    found = tried(uptime, {"name": "api", **params}, clients)
    assert not found.events
    assert all(each.at == NOW for each in found.samples)
    return values(found)


def refused(params: dict[str, Any], clients: FixedClients) -> str:
    """Why one try could not measure; nothing was measured."""
    found = tried(uptime, {"name": "api", **params}, clients)
    assert not found.samples
    return reason(found)


def test_up(web: Web, clients: FixedClients) -> None:
    """An answer as expected is uptime 1 with its latency, labelled with probe, service and the given labels."""
    web.answers["/health"] = answer(200, "all is ok")
    params = {"name": "api", "url": f"{web.url}/health", "text": "is ok", "service": "web", "labels": {"region": "eu"}}
    found = tried(uptime, params, clients)
    assert values(found)["uptime"] == 1.0
    assert 0 < (values(found)["latency_ms"] or 0) < 5000
    assert [each.labels for each in found.samples] == [{"probe": "api", "service": "web", "region": "eu"}] * 2
    assert web.seen[0][2]["Host"] == f"localhost:{web.port}"


EXPECTED = [
    # status, expect, up
    (200, None, True),
    (301, None, True),
    (404, None, False),
    (500, None, False),
    (404, 404, True),
    (200, 404, False),
    (204, "200-299", True),
    (301, "200-299", False),
    (418, [200, "400-499"], True),
    (200, "200,204", True),
    (203, "200,204", False),
]


@pytest.mark.parametrize(("status", "expect", "up"), EXPECTED)
def test_status(web: Web, clients: FixedClients, status: int, expect: object, up: bool) -> None:
    """The status must be among the expected ones; 2xx and 3xx where none are named."""
    web.answers["/"] = answer(status)
    params = {"url": f"{web.url}/"} | ({} if expect is None else {"expect": expect})
    found = measured(params, clients)
    assert found["uptime"] == (1.0 if up else 0.0)
    assert "latency_ms" in found


def test_missing_text(web: Web, clients: FixedClients) -> None:
    """The right status with the wrong text is down."""
    web.answers["/"] = answer(200, "database unreachable", {"Content-Type": "text/plain; charset=nonsense"})
    assert measured({"url": f"{web.url}/", "text": "ok"}, clients)["uptime"] == 0.0


def test_too_slow(web: Web, clients: FixedClients) -> None:
    """No answer within the time limit is down, without a latency."""
    web.answers["/"] = lambda handler: web.stopped.wait(5) and None
    assert measured({"url": f"{web.url}/", "timeout": "0.2s"}, clients) == {"uptime": 0.0}


def test_trickling(web: Web, clients: FixedClients) -> None:
    """The time limit is for the whole answer: one that trickles is down."""

    def trickle(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        for _ in range(50):
            handler.wfile.write(b"x")
            if web.stopped.wait(0.1):
                return
        handler.close_connection = True

    web.answers["/"] = trickle
    assert measured({"url": f"{web.url}/", "timeout": "0.4s", "text": "ok"}, clients) == {"uptime": 0.0}


def test_nothing_listens(clients: FixedClients) -> None:
    """A refused connection is down, without a latency."""
    assert measured({"url": f"http://127.0.0.1:{free_port()}/"}, clients) == {"uptime": 0.0}


def test_no_such_host(clients: FixedClients) -> None:
    """A name without an address is down."""
    assert measured({"url": "http://nothing.invalid/"}, clients) == {"uptime": 0.0}


def test_garbled_answer(web: Web, clients: FixedClients) -> None:
    """A server that does not speak HTTP is down."""
    web.answers["/"] = lambda handler: handler.wfile.write(b"220 mail ready\r\n\r\n") and None
    assert measured({"url": f"{web.url}/"}, clients)["uptime"] == 0.0


def test_head_and_secret_headers(web: Web, clients: FixedClients) -> None:
    """HEAD asks for no body; a header may hold a secret by name."""
    web.answers["/"] = answer(200, "body")
    clients.secrets["HEALTH_TOKEN"] = "s3cret"
    params = {"url": f"{web.url}/", "method": "HEAD", "headers": {"Authorization": "Bearer $HEALTH_TOKEN"}}
    assert measured(params, clients)["uptime"] == 1.0
    assert (web.seen[0][0], web.seen[0][2]["Authorization"]) == ("HEAD", "Bearer s3cret")


def test_missing_secret(web: Web, clients: FixedClients) -> None:
    """A secret that is not set is the probe's fault, and nothing is asked."""
    assert "HEALTH_TOKEN is not set" in refused({"url": f"{web.url}/", "headers": {"X": "$HEALTH_TOKEN"}}, clients)
    assert not web.seen


def test_redirects(web: Web, clients: FixedClients) -> None:
    """Redirects are the answer, unless they are to be followed; then the last answer counts, and loops are down."""
    web.answers |= {
        "/": answer(302, headers={"Location": "/new"}),
        "/new": answer(503),
        "/loop": answer(302, headers={"Location": "/loop"}),
        "/away": answer(302, headers={"Location": "file:///etc/passwd"}),
    }
    assert measured({"url": f"{web.url}/"}, clients)["uptime"] == 1.0
    assert measured({"url": f"{web.url}/", "redirects": True}, clients)["uptime"] == 0.0
    assert measured({"url": f"{web.url}/", "redirects": True, "expect": 503}, clients)["uptime"] == 1.0
    assert measured({"url": f"{web.url}/loop", "redirects": True}, clients)["uptime"] == 0.0
    assert measured({"url": f"{web.url}/away", "redirects": True}, clients)["uptime"] == 0.0


def test_a_redirect_to_a_refused_address(web: Web, clients: FixedClients) -> None:
    """A redirect cannot lead to where the probe may not go, and keeps no secret headers for another host."""
    web.answers["/"] = answer(302, headers={"Location": "http://169.254.169.254/latest/meta-data/"})
    assert "link-local addresses are not probed" in refused({"url": "http://169.254.169.254/"}, clients)
    found = tried(uptime, {"name": "api", "url": f"{web.url}/", "redirects": True}, clients)
    assert values(found)["uptime"] == 0.0
    assert result(found).startswith("redirected to an address that is not probed, after ")
    web.answers["/"] = answer(302, headers={"Location": f"http://127.0.0.1:{web.port}/other"})
    web.answers["/other"] = answer(200)
    measured({"url": f"{web.url}/", "redirects": True, "headers": {"Authorization": "x"}}, clients)
    assert [("Authorization" in headers) for _, _, headers, _ in web.seen][-2:] == [True, False]


def sent(web: Web, name: str) -> list[str | None]:
    """The values of a header in the requests that a server saw."""
    return [headers.get(name) for _, _, headers, _ in web.seen]


def at_address(web: Web) -> str:
    """The server by its address, where its own url has a name: another host for cookies and credentials."""
    return web.url.replace("localhost", "127.0.0.1")


SENT = {
    "Authorization": "Bearer $HEALTH_TOKEN",
    "Cookie": "session=s3cret",
    "apikey": "s3cret",
    "X-Token": "$HEALTH_TOKEN",
    "Accept": "text/html",
    "Accept-Language": "$HEALTH_TOKEN",
    "User-Agent": "Probe",
}


def arrived(web: Web) -> list[set[str]]:
    """Which of the headers above each request brought with their values; a client's own defaults do not count."""
    values = {name: value.replace("$HEALTH_TOKEN", "s3cret") for name, value in SENT.items()}
    return [{name for name in SENT if headers.get(name) == values[name]} for _, _, headers, _ in web.seen]


def followed(url: str, **secrets: str) -> dict[str, float | None]:
    """The values of one try with all of the headers above that follows redirects."""
    ca = {"ca": "INTERNAL_CA"} if secrets else {}
    clients = FixedClients({"HEALTH_TOKEN": "s3cret", **secrets})
    return measured({"url": url, "headers": SENT, "redirects": True, **ca}, clients)


def test_no_credentials_to_another_port(web: Web, other: Web) -> None:
    """A redirect to another port → harmless headers alone arrive there, and alone after the way back."""
    web.answers |= {"/": answer(302, headers={"Location": f"{other.url}/"}), "/back": answer(200)}
    other.answers["/"] = answer(302, headers={"Location": f"{web.url}/back"})
    assert followed(f"{web.url}/")["uptime"] == 1.0
    assert arrived(web) == [set(SENT), {"Accept", "User-Agent"}]
    assert arrived(other) == [{"Accept", "User-Agent"}]
    assert "s3cret" not in repr(other.seen)


def test_no_credentials_to_another_host(web: Web) -> None:
    """A redirect to another name of the same port → harmless headers alone arrive there."""
    web.answers |= {"/": answer(302, headers={"Location": f"{at_address(web)}/away"}), "/away": answer(200)}
    assert followed(f"{web.url}/")["uptime"] == 1.0
    assert arrived(web) == [set(SENT), {"Accept", "User-Agent"}]


def test_no_credentials_from_https_to_http(tls: Tls, web: Web) -> None:
    """A redirect from https to http → harmless headers alone arrive there."""
    tls.web.answers["/"] = answer(302, headers={"Location": f"{web.url}/"})
    web.answers["/"] = answer(200)
    assert followed(f"{tls.web.url}/", **tls.trusting.secrets)["uptime"] == 1.0
    assert (arrived(tls.web), arrived(web)) == ([set(SENT)], [{"Accept", "User-Agent"}])


def test_all_headers_go_to_the_same_origin(web: Web) -> None:
    """A redirect within scheme, host and port, however they are written → all headers arrive."""
    web.answers |= {
        "/": answer(302, headers={"Location": f"HTTP://LOCALHOST:{web.port}/new"}),
        "/new": answer(200),
    }
    assert followed(f"{web.url}/")["uptime"] == 1.0
    assert arrived(web) == [set(SENT)] * 2


def test_no_cookie_outlives_a_try(web: Web, other: Web) -> None:
    """Probes that share a client and an address → none sends cookies of another or of its own last try."""
    web.answers["/"] = other.answers["/"] = answer(200, "ok", {"Set-Cookie": "AWSALB=backend-1; Path=/"})
    clients = FixedClients()
    for url in (web.url, at_address(other), web.url, at_address(web)):
        assert measured({"url": f"{url}/"}, clients)["uptime"] == 1.0
    assert sent(web, "Cookie") + sent(other, "Cookie") == [None] * 4


def gate(handler: BaseHTTPRequestHandler) -> None:
    """A page that sets a cookie, redirects to itself, and is there for who brings the cookie."""
    if "seen=1" in (handler.headers.get("Cookie") or ""):
        return answer(200, "welcome")(handler)
    return answer(302, headers={"Location": "/", "Set-Cookie": "seen=1; Path=/; HttpOnly"})(handler)


def test_cookies_are_kept_within_a_chain_of_redirects(web: Web, clients: FixedClients) -> None:
    """A page that sets a cookie and redirects to itself is up, each time anew, beside a cookie of the rules file."""
    web.answers["/"] = gate
    params = {"url": f"{web.url}/", "redirects": True, "text": "welcome", "headers": {"cookie": "plan=pro"}}
    assert [measured(params, clients)["uptime"] for _ in range(2)] == [1.0, 1.0]
    assert sent(web, "Cookie") == ["plan=pro", "plan=pro; seen=1"] * 2


def test_cookies_go_back_to_their_own_origin_alone(web: Web, other: Web, clients: FixedClients) -> None:
    """A chain over two ports of one address → each gets its own cookie back, and not that of the other."""
    web.answers |= {
        "/": answer(302, headers={"Location": f"{other.url}/", "Set-Cookie": "ours=1"}),
        "/back": answer(302, headers={"Location": f"{other.url}/end"}),
    }
    other.answers |= {
        "/": answer(302, headers={"Location": f"{web.url}/back", "Set-Cookie": "theirs=1"}),
        "/end": answer(200),
    }
    assert measured({"url": f"{web.url}/", "redirects": True}, clients)["uptime"] == 1.0
    assert sent(web, "Cookie") == [None, "ours=1"]
    assert sent(other, "Cookie") == [None, "theirs=1"]


def test_a_head_that_trickles_is_down(clients: FixedClients) -> None:
    """A server whose head comes byte by byte → down after the probe's time, not a probe that cannot measure."""

    def trickling(connection: Connection) -> None:
        connection.request()
        connection.trickle(b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 10_000, every=0.02)

    with slow_server(trickling) as server:
        began = time.monotonic()
        assert measured({"url": server.url(), "timeout": "0.3s"}, clients) == {"uptime": 0.0}
        assert time.monotonic() - began < 10


REFUSED = [
    "169.254.169.254",
    "169.254.0.1",
    "169.254.170.2",
    "fe80::1",
    "febf::1%eth0",
    "fd00:ec2::254",
    "fd00:0ec2:0:0:0:0:0:254",
    "::ffff:169.254.169.254",
    "2002:a9fe:a9fe::",
    "100.100.100.200",
]


@pytest.mark.parametrize("address", REFUSED)
def test_refused_addresses(address: str) -> None:
    """Link-local and metadata addresses are refused in every way they can be written."""
    assert refusal(address)


@pytest.mark.parametrize("host", ["2852039166", "0xa9fea9fe", "169.254.43518", "::ffff:a9fe:a9fe"])
def test_refused_addresses_in_disguise(host: str) -> None:
    """What is refused is the address that a name or number comes to."""
    with pytest.raises(RulesError, match="not probed"):
        addresses(host, 80)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "10.0.0.7", "93.184.216.34", "fd12::1", "169.253.1.1"])
def test_allowed_addresses(address: str) -> None:
    """Private addresses are where people's own services are."""
    assert refusal(address) is None


def test_certificate(tls: Tls) -> None:
    """Over TLS the certificate's days are a sample, and the name is checked though the address is dialled."""
    tls.web.answers["/"] = answer(200)
    found = measured({"url": f"{tls.web.url}/", "ca": "INTERNAL_CA"}, tls.trusting)
    assert found["uptime"] == 1.0
    assert (found["tls_days_left"] or 0) >= 9.9
    other = tls.web.url.replace("localhost", "127.0.0.1")
    assert measured({"url": other, "ca": "INTERNAL_CA"}, tls.trusting) == {"uptime": 0.0}


def test_untrusted_certificate(tls: Tls, clients: FixedClients) -> None:
    """A certificate that nobody trusts is down: people's browsers refuse it too."""
    tls.web.answers["/"] = answer(200)
    assert measured({"url": f"{tls.web.url}/"}, clients) == {"uptime": 0.0}


def test_plain_server_asked_over_tls(web: Web, clients: FixedClients) -> None:
    """A server that does not speak TLS is down."""
    assert measured({"url": web.url.replace("http:", "https:")}, clients) == {"uptime": 0.0}


def resolving(*addresses: str) -> Names:
    """A resolver that finds these addresses, whatever the name."""
    return Names(lambda host, port: [(socket.AF_INET, 0, 0, "", (each, port)) for each in addresses])


@pytest.mark.parametrize("first", ["127.0.0.2", "192.0.2.1"])
def test_second_address(web: Web, clients: FixedClients, first: str) -> None:
    """Given a first address of a name that refuses, or drops packets → the next one is asked, and the site is up."""
    web.answers["/"] = answer(200)
    params = {"name": "api", "url": f"http://two.example.com:{web.port}/"}
    assert values(tried(uptime, params, clients, names=resolving(first, "127.0.0.1")))["uptime"] == 1.0
    assert web.seen[0][2]["Host"] == f"two.example.com:{web.port}"


MISTAKES = [
    ({"name": ""}, "name is missing"),
    ({"url": ""}, "url is missing"),
    ({"url": "ftp://example.com"}, "begins with https:// or http://"),
    ({"url": "https://"}, "has a host"),
    ({"url": "https://user:pass@example.com/"}, "must not hold a user or password"),
    ({"expect": 99}, "expect '99' is not a status"),
    ({"expect": "ok"}, "expect 'ok' is not a status"),
    ({"expect": [200, "500-400"]}, "expect '500-400' is not a status"),
    ({"method": "BREW"}, "method must be one of GET, HEAD"),
    ({"body": "x"}, "body cannot be sent with GET"),
    ({"method": "POST", "body": "x", "json": {}}, "cannot both be sent"),
    ({"method": "POST", "body": 3}, "body must be a text"),
    ({"headers": {"X Y": "z"}}, "'X Y' is not a name of a header"),
    ({"headers": {"X": "a\nb"}}, "the value of X has a line break"),
    ({"expect_json": ["x"]}, "expect_json must be a mapping"),
    ({"expect_headers": "x"}, "expect_headers must be a mapping"),
    ({"method": "HEAD", "expect_json": {"a": 1}}, "expect_json cannot be expected of HEAD"),
    ({"timings": "all"}, "timings must be true or false"),
    ({"ca": "-----BEGIN"}, "ca must be the name of a secret"),
    ({"method": "HEAD", "text": "ok"}, "text cannot be expected of HEAD"),
    ({"timeout": "soon"}, "timeout 'soon' is not a duration"),
    ({"timeout": "21s"}, "at most 20s"),
    ({"timeout": 0}, "over 0s"),
    ({"every": "90s"}, "every must be whole minutes"),
    ({"every": 0}, "at least 1m"),
    ({"headers": ["X"]}, "headers must be a mapping"),
    ({"labels": "x"}, "labels must be a mapping"),
    ({"redirects": "maybe"}, "redirects must be true or false"),
    ({"txt": "ok"}, "txt is unknown; allowed are"),
]


@pytest.mark.parametrize(("change", "words"), MISTAKES)
def test_mistakes(change: dict[str, Any], words: str) -> None:
    """Each mistake is told in words, with what is allowed."""
    found = uptime.validate({"name": "api", "url": "https://example.com/", **change})
    assert len(found) == 1
    assert words in found[0]


def test_valid() -> None:
    """A full entry has no mistakes."""
    params = {
        "name": "api", "url": "https://example.com/health", "expect": [200, "300-399"], "text": "ok", "method": "get",
        "headers": {"X": "$Y"}, "redirects": True, "timeout": "2.5s", "every": "5m", "service": "web", "labels": {"a": "b"},
    }  # fmt: skip
    assert uptime.validate(params) == []


def test_secrets_are_filled_in_wherever_something_is_sent(web: Web, clients: FixedClients) -> None:
    """Given $NAME in the address, the JSON or the body → the secret is sent, escaped in the address, and read at a deploy."""
    web.answers["/?key=a%26b"] = answer(200)
    clients.secrets |= {"KEY": "a&b", "WORD": "w"}
    for sent in ({"json": {"k": ["$WORD"]}}, {"body": "k=$WORD"}):
        params = {"name": "api", "url": f"{web.url}/?key=$KEY", "method": "POST", **sent}
        assert values(tried(uptime, params, clients))["uptime"] == 1.0
        assert uptime.parameters(params) == ("KEY", "WORD") and uptime.validate(params) == []
    assert [body for *_, body in web.seen] == [b'{"k": ["w"]}', b"k=w"]


def test_an_answer_that_is_too_large_to_be_read_as_json(web: Web, clients: FixedClients) -> None:
    """Given more JSON than is kept → cannot measure, with the size; a text that is not in its beginning → down, in words."""
    web.answers["/"] = answer(200, json.dumps({"status": "ok", "x": "y" * 1_100_000}))
    found = tried(uptime, {"name": "api", "url": web.url, "expect_json": {"status": "ok"}}, clients)
    assert found.events[0].summary == "the answer is over 1,000,000 bytes, so that its JSON is not read"
    assert "uptime" not in values(found) and not found.retry
    found = tried(uptime, {"name": "api", "url": web.url, "text": "none"}, clients)
    assert result(found).startswith("status 200 without the expected text in its first 1,000,000 bytes, after")


def test_a_far_answer_leads_to_no_address_of_this_machine(web: Web, clients: FixedClients) -> None:
    """Given a redirect from another machine to this one → down; within this one → followed."""
    web.answers["/"] = answer(302, headers={"Location": f"{web.url}/end"})
    web.answers["/end"] = answer(200)
    attempt = Attempt("uptime", {"redirects": True}, clients, NOW, timedelta(seconds=5), is_far=True)

    async def connects() -> None:
        await attempt.connect("127.0.0.1", web.port)

    with pytest.raises(
        RefusedAddressError, match="addresses of this machine are not probed after those of another one"
    ):
        asyncio.run(connects())
    assert values(tried(uptime, {"name": "api", "url": web.url, "redirects": True}, clients))["uptime"] == 1.0


def seen(params: dict[str, Any], clients: FixedClients) -> Mapping[str, str]:
    """What one try says that it saw."""
    found = tried(uptime, {"name": "api", **params}, clients)
    return next(each.observed for each in found.samples if each.metric == "uptime")


def test_a_failed_try_says_what_was_expected_and_what_came(web: Web, clients: FixedClients) -> None:
    """Given a wrong status → address without its query, expectation, status, and how long each step took."""
    web.answers["/health?key=secret"] = answer(503)
    found = seen({"url": f"{web.url}/health?key=secret", "expect": 200, "text": "ok"}, clients)
    assert found["address"] == f"{web.url}/health"
    assert found["expected"] == "status 200 within 5 s, and the text 'ok'"
    assert re.fullmatch(r"status 503, after \d+ ms \(DNS \d+ ms, connect \d+ ms, first byte \d+ ms\)", found["result"])


def test_a_try_without_an_answer_says_so(clients: FixedClients) -> None:
    """Given no connection → that, and the steps until then."""
    found = seen({"url": f"http://localhost:{free_port()}/"}, clients)
    assert re.fullmatch(r"no connection: it was refused, after \d+ ms \(DNS \d+ ms\b.*\)", found["result"])


def test_a_good_try_says_nothing(web: Web, clients: FixedClients) -> None:
    """Given the expected answer → nothing is kept of it."""
    web.answers["/"] = answer(200)
    assert seen({"url": f"{web.url}/"}, clients) == {}
