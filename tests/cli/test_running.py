"""What `make run` says of itself on this machine."""

import json
from pathlib import Path

import pytest

from cli import running
from cli.running import Running
from cli.stage import StageError, stage_of
from tests.project import ROOT

AWS = {"AWS_ENDPOINT_URL": "http://127.0.0.1:7466", "AWS_REGION": "us-east-1"}
FORM = {"url": "http://127.0.0.1:7466/x/", "aws": AWS}


def test_tests_do_not_meet_what_runs_in_this_checkout() -> None:
    """Given `make run` in this checkout, or not → for the tests nothing runs, so that they are green both ways."""
    assert not running.FILE.is_relative_to(ROOT)
    assert running.running() is None
    with pytest.raises(StageError, match="make run"):
        stage_of("local", {})


def test_what_runs_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given what `make run` left → its address, and how its AWS is found."""
    monkeypatch.setattr(running, "FILE", tmp_path / "running.json")
    (tmp_path / "running.json").write_text(json.dumps(FORM))
    assert running.running() == Running("http://127.0.0.1:7466/x/", AWS)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"url": "x", "aws": 1}'])
def test_a_file_that_make_run_did_not_write_is_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """Given a file that is cut off or something else → nothing runs."""
    monkeypatch.setattr(running, "FILE", tmp_path / "running.json")
    (tmp_path / "running.json").write_text(text)
    assert running.running() is None
