"""A deploy that is ended from outside: Chalice ends with it, and after it signals are what they were."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from cli.deploy import interrupted_by
from deploy.deployment import Deploy

ENDED = (signal.SIGHUP, signal.SIGTERM)
CHALICE = """
import os, pathlib, signal
pathlib.Path("pid").write_text(str(os.getpid()))
signal.alarm(20)
os.kill(os.getppid(), signal.{name})
signal.pause()
"""
"""In the place of Chalice: it ends the deploy, and would run for twenty seconds."""


@pytest.fixture
def plain_signals() -> Iterator[None]:
    """Signals as a terminal has them: whoever runs the tests under nohup has SIGHUP ignored."""
    before = {each: signal.signal(each, signal.SIG_DFL) for each in ENDED}
    yield
    for each, handler in before.items():
        signal.signal(each, handler)


@pytest.mark.usefixtures("plain_signals")
@pytest.mark.parametrize("ended", ENDED)
def test_chalice_ends_with_the_deploy(tmp_path: Path, ended: signal.Signals) -> None:
    """Given a terminal that closes while Chalice runs → Chalice is gone, and changes nothing beside the next deploy."""
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "__init__.py").touch()
    (tmp_path / "deploy" / "chalice_cli.py").write_text(CHALICE.format(name=ended.name))
    before = [signal.getsignal(each) for each in ENDED]
    clients: Any = None
    with pytest.raises(KeyboardInterrupt), interrupted_by(*ENDED):
        Deploy("dev", clients, dict(os.environ), tmp_path)._run_chalice("deploy")
    with suppress(ChildProcessError):  # Python may have taken note of its end
        _, status = os.waitpid(int((tmp_path / "pid").read_text()), 0)
        assert os.WTERMSIG(status) == signal.SIGKILL
    assert [signal.getsignal(each) for each in ENDED] == before


def test_a_signal_that_nohup_ignores_ends_nothing() -> None:
    """Given a deploy under nohup, when its terminal closes → it goes on."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interrupted_by(*ENDED):
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
