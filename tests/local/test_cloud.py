"""The embedded AWS as a process: on loopback only, its state kept over a kill, nothing left behind."""

import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from local.cloud import Cloud, CloudError, free_port
from tests.project import clients, readable_by_others


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


def test_what_happened_survives_a_kill(tmp_path: Path) -> None:
    """After kill -9, at most what was written in the last five seconds is gone."""
    cloud = Cloud(tmp_path).start()
    try:
        sqs = clients(cloud)("sqs")
        url = sqs.create_queue(QueueName="kept")["QueueUrl"]
        for number in range(20):
            sqs.send_message(QueueUrl=url, MessageBody=str(number))
        # Saving is by the clock of another process; five seconds is what is promised.
        threading.Event().wait(5)
        cloud.kill()
        assert not cloud.answers()
        cloud.start()
        sqs = clients(cloud)("sqs")
        count = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])["Attributes"]
        assert count["ApproximateNumberOfMessages"] == "20"
    finally:
        cloud.stop()


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
