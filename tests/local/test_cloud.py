"""The embedded AWS as a process: on loopback only, its state kept over a kill, nothing left behind."""

import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from local.cloud import LOST_SECONDS, Cloud, CloudError, free_port
from tests.project import ROOT, clients, readable_by_others


def listeners() -> set[str]:
    """The addresses at which something of this machine listens, as the kernel lists them."""
    found = set()
    for name in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(name).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                found.add(fields[1])
    return found


def test_it_listens_on_loopback_only(tmp_path: Path) -> None:
    """It runs uploaded code, so nobody else may reach it."""
    with Cloud(tmp_path, persist=False) as cloud:
        mine = {each for each in listeners() if each.endswith(f":{cloud.port:04X}")}
        assert mine == {f"0100007F:{cloud.port:04X}"}


def sent(sqs: Any, queue: str, number: int) -> float:
    """Send a message; the time at which it was accepted."""
    sqs.send_message(QueueUrl=queue, MessageBody=str(number))
    return time.monotonic()


def received(sqs: Any, queue: str) -> set[int]:
    """The numbers of all messages in a queue."""
    found: set[int] = set()
    while messages := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
        found |= {int(each["Body"]) for each in messages}
    return found


def test_what_was_accepted_survives_a_kill(tmp_path: Path) -> None:
    """Messages without a pause, then kill -9 → only those of the last LOST_SECONDS may be gone."""
    cloud = Cloud(tmp_path).start()
    try:
        sqs = clients(cloud)("sqs")
        queue = sqs.create_queue(QueueName="kept")["QueueUrl"]
        accepted = [sent(sqs, queue, 0)]
        # What is promised is a time, so the test lasts that long and half of it again.
        while accepted[-1] - accepted[0] < 1.5 * LOST_SECONDS:
            accepted.append(sent(sqs, queue, len(accepted)))
        cloud.kill()
        killed = time.monotonic()
        assert not cloud.answers()
        safe = {number for number, at in enumerate(accepted) if at < killed - LOST_SECONDS}
        cloud.start()
        assert len(safe) > 1
        assert safe <= received(sqs, queue)
    finally:
        cloud.stop()


def test_nothing_is_lost_by_an_ordinary_stop(tmp_path: Path) -> None:
    """A message and a parameter of the last moment, then a stop → both are there after a start."""
    cloud = Cloud(tmp_path).start()
    try:
        aws = clients(cloud)
        queue = aws("sqs").create_queue(QueueName="kept")["QueueUrl"]
        aws("ssm").put_parameter(Name="/x", Value="1", Type="String")
        sent(aws("sqs"), queue, 1)
        cloud.stop()
        cloud.start()
        assert received(aws("sqs"), queue) == {1}
        assert aws("ssm").get_parameter(Name="/x")["Parameter"]["Value"] == "1"
    finally:
        cloud.stop()


def test_the_readme_says_how_much_a_kill_loses() -> None:
    """The README's number of seconds → is the one that the test above holds."""
    assert f"`kill -9` loses at most the last {LOST_SECONDS} seconds" in " ".join(
        (ROOT / "README.md").read_text().split()
    )


def test_what_it_keeps_is_private(tmp_path: Path) -> None:
    """Files of before that everybody can read, and a secret in its state → only the owner can read any of them."""
    folder = tmp_path / "cloud"
    (folder / "state").mkdir(parents=True)
    for name in ("emulator.log", "state/other.json"):
        (folder / name).write_text("{}")
        (folder / name).chmod(0o644)
    folder.chmod(0o755)
    with Cloud(folder) as cloud:
        clients(cloud)("ssm").put_parameter(Name="/x", Value="xoxb-secret", Type="SecureString")
        assert "AWS_ACCESS_KEY_ID" in cloud.shell.read_text()
        assert readable_by_others(folder) == []
    assert "xoxb-secret" in (folder / "state" / "ssm.json").read_text()
    assert readable_by_others(folder) == []
    assert not cloud.shell.exists()


def test_a_shell_finds_it_by_its_file(tmp_path: Path) -> None:
    """A shell that reads the file of the key → has the variables of every AWS tool."""
    with Cloud(tmp_path, persist=False) as cloud:
        printed = subprocess.run(["sh", "-c", f". {cloud.shell}; env"], capture_output=True, text=True, check=True)
        assert set(printed.stdout.splitlines()) >= {f"{n}={v}" for n, v in cloud.environment().items()}


def test_a_folder_that_cannot_be_private_is_one_line(tmp_path: Path) -> None:
    """A file where the folder should be → one line that names it and says what to do."""
    (tmp_path / "file").write_text("")
    with pytest.raises(CloudError, match=r"file cannot be kept private \(.*\): run as its owner, or remove it"):
        Cloud(tmp_path / "file").start()


def test_it_leaves_nothing_behind(tmp_path: Path) -> None:
    """After stop there is no process and no temporary file of it."""
    cloud = Cloud(tmp_path, persist=False).start()
    port = cloud.port
    cloud.stop()
    cloud.stop()
    assert not [each for each in listeners() if each.endswith(f":{port:04X}")]
    assert not (tmp_path / "temporary").exists()


def test_it_ends_with_whoever_started_it(tmp_path: Path) -> None:
    """When the program that started it is killed, it ends by itself."""
    port = free_port()
    code = (
        "import sys, threading; from pathlib import Path; from local.cloud import Cloud; "
        f"Cloud(Path({str(tmp_path)!r}), port={port}).start(); print('up', flush=True); threading.Event().wait()"
    )
    root = Path(__file__).resolve().parent.parent.parent
    starter = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=root,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert starter.stdout is not None
    assert starter.stdout.readline() == "up\n"
    starter.kill()
    starter.wait()
    until = time.monotonic() + 20
    while any(each.endswith(f":{port:04X}") for each in listeners()):
        assert time.monotonic() < until
        threading.Event().wait(0.1)


def test_a_taken_port_is_told_in_one_line(tmp_path: Path) -> None:
    """The line names the port and the variable that chooses another."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(CloudError, match=rf"port {port} is taken: .*TOCSIN_PORT"):
            Cloud(tmp_path, port=port).start()
