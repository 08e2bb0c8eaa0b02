"""`tocsin`: which commands there are, and what it says when one cannot run."""

import subprocess
import sys
from pathlib import Path

import pytest

from cli.main import commands, main
from tests.project import ROOT


def test_every_command_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a command the list of all of them is printed; the status says that nothing was done."""
    with pytest.raises(SystemExit) as raised:
        main([])
    assert raised.value.code == 2
    printed = capsys.readouterr().err
    assert {"check", "deploy", "parse"} <= set(commands())
    assert all(name.replace("_", "-") in printed for name in commands())


def test_an_unknown_command_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """The line names the word and the choices."""
    with pytest.raises(SystemExit):
        main(["chek"])
    assert "'chek'" in capsys.readouterr().err


def test_a_command_is_run_with_its_arguments(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command's own exit status is that of tocsin."""
    assert main(["check", str(tmp_path / "none.yaml")]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_only_what_is_asked_for_is_loaded() -> None:
    """`tocsin check` loads neither the deploy's AWS SDK nor other commands."""
    code = "import sys; from cli.main import main; main(['check', 'none']); print('boto3' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "False"


def test_a_broken_command_harms_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is listed with the reason; asking for it tells the reason in one line."""
    (tmp_path / "broken.py").write_text(
        "import missing_module_of_a_test\n\ndef add_arguments(parser): ...\n\ndef run(arguments): ...\n"
    )
    monkeypatch.setattr("cli.__path__", [str(tmp_path), str(ROOT / "cli")])
    assert main(["broken"]) == 1
    assert "missing_module_of_a_test" in capsys.readouterr().err
