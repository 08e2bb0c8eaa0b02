"""Who may send to the inbox, and how it ends."""

import json
import threading
from http.client import HTTPConnection

import pytest

from local.inbox import UNLIMITED, Inbox
from tests.local.inbox.support import KEY, TOKEN, request, slack

POSTED = {"channel": "#incidents", "text": "put by a page"}
PUT = {
    "/slack/api/chat.postMessage": POSTED,
    "/slack/hooks/incidents": {"text": "put by a page"},
    "/pagerduty/v2/enqueue": {"routing_key": KEY, "event_action": "trigger", "payload": {}},
    "/hook/ops": {"type": "put"},
    "/_page/press": {"channel": "C1", "ts": "1.1", "action_id": "ack"},
    "/_page/command": {"channel": "#incidents", "text": "silence all"},
    "/_page/pagerduty": {"incident": "P1", "act": "acknowledge"},
    "/_control/reset": {},
}
LINK = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


def foreign(inbox: Inbox) -> list[tuple[int, dict[str, str]]]:
    """The headers of requests that pages of other sites send, or that come under a foreign name, and their status."""
    host, port = inbox.url.removeprefix("http://"), inbox.url.rpartition(":")[2]
    return [
        (421, {"Host": f"evil.example:{port}"}),
        (421, {"Host": "127.0.0.1:1"}),
        (421, {"Host": "127.0.0.1"}),
        (403, {"Origin": "https://evil.example"}),
        (403, {"Origin": "null"}),
        (403, {"Origin": f"https://{host}"}),
        (403, {"Origin": "http://127.0.0.1:7466"}),
        (403, {"Sec-Fetch-Site": "same-site"}),
        (403, {"Sec-Fetch-Site": "cross-site"}),
        (403, LINK),
    ]


@pytest.mark.parametrize("path", PUT)
def test_a_foreign_page_puts_nothing_and_presses_nothing(inbox: Inbox, path: str) -> None:
    """A message or a press from another site or under another name → refused without CORS headers, nothing changes."""
    slack(inbox, "chat.postMessage", channel="#incidents", text="there")
    before = inbox.everything()
    for status, headers in foreign(inbox):
        given = {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}", **headers}
        answered, found, _ = request(inbox, "POST", path, json.dumps(PUT[path]).encode(), given)
        assert answered == status, headers
        assert not [name for name in found if name.startswith("access-control-")]
    assert inbox.everything() == before and len(inbox.requests) == 1


@pytest.mark.parametrize("path", ["/", "/_api/messages", "/_page/fragments", "/slack/api/auth.test"])
def test_a_foreign_page_reads_nothing(inbox: Inbox, path: str) -> None:
    """What was received, asked for by another site or under another name → refused."""
    for status, headers in foreign(inbox)[:-1]:
        assert request(inbox, "GET", path, headers=headers)[0] == status, headers


def test_a_link_opens_the_page_and_calls_no_vendor(inbox: Inbox) -> None:
    """A link of another site → opens the page; one to a stand-in's address is refused."""
    assert request(inbox, "GET", "/", headers=LINK)[0] == 200
    put = f"/slack/api/chat.postMessage?token={TOKEN}&channel=%23incidents&text=x"
    assert request(inbox, "GET", put, headers=LINK)[0] == 403
    assert inbox.messages == []


def test_a_preflight_gets_no_permission(inbox: Inbox) -> None:
    """OPTIONS of a foreign page → no answer that lets the browser go on."""
    preflight = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    for path in ("/_page/press", "/slack/api/chat.postMessage"):
        status, headers, _ = request(inbox, "OPTIONS", path, headers=preflight)
        assert status == 501
        assert not [name for name in headers if name.startswith("access-control-")]


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "[::1]"])
def test_its_own_page_and_programs_of_this_machine_pass(inbox: Inbox, name: str) -> None:
    """The inbox's own page, under any loopback name, and a program without an Origin → are answered."""
    host = f"{name}:{inbox.url.rpartition(':')[2]}"
    page = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
    json_body = {"Content-Type": "application/json"}
    assert request(inbox, "POST", "/_control/reset", b"{}", {**json_body, **page})[0] == 200
    assert request(inbox, "GET", "/", headers={"Host": host, "Sec-Fetch-Site": "none"})[0] == 200
    token = {"Host": host, "Authorization": f"Bearer {TOKEN}", **json_body}
    assert request(inbox, "POST", "/slack/api/chat.postMessage", json.dumps(POSTED).encode(), token)[2]["ok"]
    assert (
        request(inbox, "POST", "/slack/api/chat.postMessage", json.dumps(POSTED).encode(), {**token, **page})[0] == 403
    )


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/_control/reset", {"Origin": "https://evil.example"}, 403),
        ("/_control/reset", {"Host": "evil.example"}, 421),
        ("/_control/reset", {"Content-Type": "text/plain"}, 415),
        ("/_control/nonsense", {}, 404),
        ("/_control/settings", {}, 200),
    ],
)
def test_other_sites_cannot_steer_it(inbox: Inbox, path: str, headers: dict[str, str], status: int) -> None:
    """A page elsewhere in the browser, or a name that was turned to this machine."""
    assert request(inbox, "POST", path, b"{}", {"Content-Type": "application/json", **headers})[0] == status


def test_it_leaves_no_thread_behind() -> None:
    """Not even for connections that are kept open or held."""
    before = set(threading.enumerate())
    inbox = Inbox(limits=UNLIMITED).start()
    port = int(inbox.url.rpartition(":")[2])
    inbox.answer("slack", "*", [{"timeout": True}])
    kept, held = (HTTPConnection("127.0.0.1", port, timeout=5) for _ in range(2))
    kept.request("GET", "/health")
    kept.getresponse().read()
    held.request("POST", "/slack/api/chat.postMessage", b"{}", {"Content-Type": "application/json"})
    inbox.stop()
    assert set(threading.enumerate()) <= before
    kept.close()
    held.close()
