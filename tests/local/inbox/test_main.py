"""The command line and the process."""

import subprocess
import sys
import threading
from http.client import HTTPConnection
from pathlib import Path

import pytest

from local.inbox import Inbox
from local.inbox.__main__ import arguments, run


def test_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Secrets come from the environment too; a taken port is told in one line."""
    asked = arguments(["--port", "0"], {"SLACK_SIGNING_SECRET": "s"})
    assert (asked.port, asked.slack_signing_secret) == (0, "s")
    stop = threading.Event()
    stop.set()
    assert run(["--port", "0"], {}, stop) == 0
    with Inbox() as inbox:
        assert run(["--port", inbox.url.rpartition(":")[2]], {}, stop) == 1
    assert "is taken" in capsys.readouterr().err


def test_the_process_ends_on_a_signal_and_keeps_its_state(tmp_path: Path) -> None:
    """SIGTERM saves and ends it with 0; what was said is there at the next start."""
    state = tmp_path / "deep" / "inbox.json"
    command = [sys.executable, "-m", "local.inbox", "--port", "0", "--state", str(state)]
    root = Path(__file__).parents[3]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline().rpartition(":")[2])
        connection = HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("POST", "/slack/hooks/incidents", b'{"text":"kept"}', {"Content-Type": "application/json"})
        assert connection.getresponse().read() == b"ok"
        process.terminate()
        assert process.wait(timeout=10) == 0
        connection.close()
    with Inbox(state=state) as inbox:
        assert [each["text"] for each in inbox.messages] == ["kept"]
