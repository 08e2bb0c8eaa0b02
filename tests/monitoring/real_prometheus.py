"""A real Prometheus with the configuration of monitoring/, that scrapes one address each second."""

import json
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest

from tests.project import ROOT

WAIT_SECONDS = 60.0


class Prometheus:
    """A running Prometheus."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, query: str) -> list[float]:
        """Return the values of a query now."""
        address = f"{self.url}/api/v1/query?{urlencode({'query': query})}"
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(address, timeout=10) as answer:
            found = json.load(answer)
        assert found["status"] == "success", found
        return [float(each["value"][1]) for each in found["data"]["result"]]

    def eventually(self, query: str, true: Callable[[list[float]], object]) -> list[float]:
        """Return the values of a query once they are as wanted."""
        until = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                found = self.ask(query)
            except OSError:
                found = []
            if true(found):
                return found
            if time.monotonic() > until:
                pytest.fail(f"{query} is {found}")
            threading.Event().wait(0.2)


@contextmanager
def prometheus(folder: Path, stage: str, token: str) -> Iterator[Prometheus]:
    """Start Prometheus with the checked-in configuration, but for times, the token's place and the address of the stage."""
    program = shutil.which("prometheus")
    assert program, "prometheus is missing: run `make setup-tests`"
    shutil.copytree(ROOT / "monitoring" / "prometheus", folder / "etc")
    (folder / "token").write_text(token)
    configuration = folder / "etc" / "prometheus.yml"
    text = configuration.read_text().replace("/run/secrets/tocsin_token", str(folder / "token"))
    text = text.replace("scrape_interval: 1m", "scrape_interval: 1s").replace(
        "scrape_timeout: 20s", "scrape_timeout: 1s"
    )
    configuration.write_text(text.replace("evaluation_interval: 1m", "evaluation_interval: 1s"))
    parts = urlsplit(stage)
    labels = {"__scheme__": parts.scheme, "__metrics_path__": f"{parts.path.rstrip('/')}/metrics", "stage": "test"}
    (folder / "etc" / "targets" / "tocsin.yml").write_text(json.dumps([{"targets": [parts.netloc], "labels": labels}]))
    port = _free_port()
    command = [
        program,
        f"--config.file={configuration}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    log = folder / "prometheus.log"
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT) as running:
        try:
            yield Prometheus(f"http://127.0.0.1:{port}")
        finally:
            running.terminate()
            running.wait(timeout=30)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
