"""`tocsin`: which commands there are, and what it says when one cannot run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from chalicelib import VERSION
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
    """`tocsin check` loads neither the deploy's AWS SDK nor what tables and completion need."""
    heavy = "{'boto3', 'rich', 'argcomplete', 'httpx'} & set(sys.modules)"
    code = f"import sys; from cli.main import main; main(['check', 'none']); print({heavy})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "set()"


def test_the_version_is_that_of_the_code(capsys: pytest.CaptureFixture[str]) -> None:
    """Given `--version` → one line with the version, and no command is loaded."""
    with pytest.raises(SystemExit) as raised:
        main(["--version"])
    assert (raised.value.code, capsys.readouterr().out) == (0, f"tocsin {VERSION}\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["alrts"], "tocsin: there is no command 'alrts'; did you mean alerts?"),
        (["send-tets"], "tocsin: there is no command 'send-tets'; did you mean send-test?"),
        (["xyzzy"], "tocsin: there is no command 'xyzzy'; `tocsin --help` lists them"),
        (["show"], "tocsin: the following arguments are required: INCIDENT"),
        (["alerts", "-o", "xml"], "tocsin: argument -o/--output: invalid choice: 'xml'"),
    ],
)
def test_a_mistake_is_one_line_with_one_prefix(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Given a word that is wrong → `tocsin: …` with the nearest right one, and the exit status 2."""
    with pytest.raises(SystemExit) as raised:
        main(words)
    assert raised.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(said)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_what_completes(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Given `tocsin completion` → what that shell reads, about `tocsin`."""
    assert main(["completion", shell]) == 0
    assert "tocsin" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "found"),
    [("tocsin sil", {"silence"}), ("tocsin silence a", {"add"}), ("tocsin alerts --wat", {"--watch"})],
)
def test_tab_completes(line: str, found: set[str], tmp_path: Path) -> None:
    """Given what a shell asks at Tab → the commands, acts and options that begin so."""
    asked = {
        "_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)), "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(tmp_path / "found"), "PATH": os.environ["PATH"],
    }  # fmt: skip
    subprocess.run([sys.executable, "-m", "cli.main"], cwd=ROOT, env=asked, check=False, timeout=60)
    said = {each.strip() for each in (tmp_path / "found").read_text().split("\n")}
    assert found <= said
    assert "alerts" not in said


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
