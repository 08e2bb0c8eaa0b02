"""A page of another site in a real browser, which tries to use the servers of `make run`."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote

import pytest
from selenium.webdriver import Chrome

from local.cloud import Cloud
from local.inbox import UNLIMITED, Inbox
from tests.project import clients

SECRET = "xoxb-a-secret"
TRY = """
const [calls, done] = arguments;
const one = async ([address, options]) => {
  try {
    const answer = await fetch(address, options);
    return {type: answer.type, status: answer.status, text: await answer.text()};
  } catch (error) { return {type: "failed"}; }
};
Promise.all(calls.map(one)).then(done);
"""


@pytest.fixture
def foreign_page() -> Iterator[str]:
    """The address of an empty page of a server that has nothing to do with ours."""

    class Handler(BaseHTTPRequestHandler):
        """One connection."""

        def do_GET(self) -> None:
            """Answer with an empty page."""
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>foreign</title>")

        def log_message(self, format: str, *args: Any) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


@pytest.fixture
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """An embedded AWS with a secret and a queue."""
    with Cloud(tmp_path_factory.mktemp("cloud"), persist=False) as found:
        clients(found)("ssm").put_parameter(Name="/secret", Value=SECRET, Type="SecureString")
        clients(found)("sqs").create_queue(QueueName="kept")
        yield found


def sent_from(browser: Chrome, page: str, calls: list[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    """What a script of a page gets for each `fetch`."""
    browser.get(page)
    found: list[dict[str, Any]] = browser.execute_async_script(TRY, calls)  # type: ignore[no-untyped-call]
    return found


def test_a_foreign_page_reaches_no_service(browser: Chrome, foreign_page: str, cloud: Cloud) -> None:
    """Requests with and without preflight, and with a guessed key → the page reads nothing, and no message is put."""
    sends = f"Action=SendMessage&MessageBody=x&QueueUrl={quote(f'{cloud.url}/000000000000/kept', safe='')}"
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    reads = {"X-Amz-Target": "AmazonSSM.GetParameter", "Content-Type": "application/x-amz-json-1.1"}
    asked = json.dumps({"Name": "/secret", "WithDecryption": True})
    guessed = {"Authorization": "AWS4-HMAC-SHA256 Credential=test/20261130/us-east-1/ssm/aws4_request"}
    found = sent_from(
        browser,
        foreign_page,
        [
            (f"{cloud.url}/", {"method": "POST", "mode": "no-cors", "headers": form, "body": sends}),
            (f"{cloud.url}/?{sends}", {"method": "GET", "mode": "no-cors"}),
            (f"{cloud.url}/", {"method": "POST", "headers": reads, "body": asked}),
            (f"{cloud.url}/", {"method": "POST", "headers": {**reads, **guessed}, "body": asked}),
            (f"{cloud.url}/_ministack/health", {}),
        ],
    )
    assert [each["type"] for each in found] == ["opaque", "opaque", "failed", "failed", "failed"]
    assert SECRET not in json.dumps(found)
    queue = clients(cloud)("sqs").get_queue_url(QueueName="kept")["QueueUrl"]
    assert "Messages" not in clients(cloud)("sqs").receive_message(QueueUrl=queue)


def test_a_foreign_page_steers_no_inbox(browser: Chrome, foreign_page: str) -> None:
    """Messages and presses of a foreign page → nothing is put and nothing is read."""
    with Inbox(limits=UNLIMITED) as inbox:
        put = {"method": "POST", "mode": "no-cors", "body": json.dumps({"channel": "#incidents", "text": "x"})}
        posts = f"{inbox.url}/slack/api/chat.postMessage?token=xoxb-1&channel=%23incidents&text=x"
        found = sent_from(
            browser,
            foreign_page,
            [
                (posts, put),
                (posts, {"mode": "no-cors"}),
                (f"{inbox.url}/hook/ops", put),
                (f"{inbox.url}/_control/reset", put),
                (f"{inbox.url}/_page/press", {**put, "mode": "cors", "headers": {"Content-Type": "application/json"}}),
                (f"{inbox.url}/_api/messages", {}),
            ],
        )
        assert [each["type"] for each in found] == ["opaque"] * 4 + ["failed"] * 2
        assert (inbox.requests, inbox.messages, inbox.hooks) == ([], [], [])
