"""The smoke test: what a deploy of a moment ago explains is waited for, anything else ends it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from deploy.errors import DeployError
from deploy.smoke import smoke_test
from tests.deploy.virtual import Time

OK = (200, '{"status":"ok","stage":"dev"}')
STORED = (202, "{}")
FORBIDDEN = (403, '{"message":"Forbidden"}')
BROKEN = (500, '{"message": "Internal server error"}')
OTHER = (200, '{"status":"ok","stage":"prod"}')
REFUSED = (401, '{"error":"the signature does not fit"}')


@contextmanager
def answering(health: list[tuple[int, str]], webhooks: list[tuple[int, str]]) -> Iterator[str]:
    """A REST API with these answers in turn, the last for ever; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(health)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(webhooks if self.path == "/webhooks/sentry" else [(404, "")])

        def _answer(self, answers: list[tuple[int, str]]) -> None:
            status, text = answers.pop(0) if len(answers) > 1 else answers[0]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *arguments: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("health", "webhooks", "waited"),
    [
        ([OK], [STORED], 0),
        ([FORBIDDEN, BROKEN, OK], [STORED], 4),
        ([OK], [BROKEN, (502, ""), (503, ""), STORED], 6),
    ],
)
def test_what_a_deploy_explains_is_waited_for(
    health: list[tuple[int, str]], webhooks: list[tuple[int, str]], waited: int
) -> None:
    """Given rights and a deployment that are seen some seconds later, when a stage is tested → it passes."""
    time = Time()
    with answering(list(health), list(webhooks)) as url:
        smoke_test(url, "dev", "secret", wait=time.wait)
    assert time.now == waited


@pytest.mark.parametrize(
    ("health", "webhooks", "text", "waited"),
    [
        ([OTHER], [STORED], "health answered 200 where 200 is right: .*prod", 0),
        ([OK], [REFUSED], "webhooks/sentry answered 401 where 202 is right", 0),
        ([FORBIDDEN], [STORED], "health answered 403", 90),
        ([OK], [BROKEN], "webhooks/sentry answered 500 .*Internal server error", 90),
    ],
)
def test_what_is_wrong_ends_the_deploy(
    health: list[tuple[int, str]], webhooks: list[tuple[int, str]], text: str, waited: int
) -> None:
    """Given a stage that does not work, when it is tested → the last answer is told, after 90 seconds at most."""
    time = Time()
    with answering(list(health), list(webhooks)) as url, pytest.raises(DeployError, match=text):
        smoke_test(url, "dev", "secret", wait=time.wait)
    assert time.now == waited


def test_a_stage_without_a_secret_is_only_looked_at() -> None:
    """Given no secret of Sentry, when a stage is tested → no webhook is sent."""
    with answering([OK], [BROKEN]) as url:
        smoke_test(url, "dev", "", wait=Time().wait)
