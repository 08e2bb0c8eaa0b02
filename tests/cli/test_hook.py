"""The hooks for pre-commit: what they run, what they need, and what stops a commit."""

import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.hook import main
from cli.main import _parser
from tests.project import ROOT

HOOKS: dict[str, dict[str, Any]] = {
    each["id"]: each for each in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
}
GOOD = "default: {notification: [{slack_channel: '#a'}]}\nfallback: {notification: [{email: a@b.c}]}\n"
DOUBTFUL = GOOD + "alerts: [{name: Sentry Issue, match: {source: sentry}, severity: warning, runbook: none}]\n"
BROKEN = "alerts: [{nam: x}]\n"


def rules(folder: Path, text: str) -> str:
    """Write a rules file. Return its path."""
    path = folder / "alert-rules.yaml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(
    ("text", "words", "status"), [(GOOD, [], 0), (DOUBTFUL, [], 0), (DOUBTFUL, ["--strict"], 1), (BROKEN, [], 1)]
)
def test_a_mistake_stops_the_commit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, words: list[str], status: int
) -> None:
    """Given a rules file → a mistake stops the commit, a warning with --strict alone, and each is a line with its place."""
    path = rules(tmp_path, text)
    assert main([*words, path]) == status
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith(path) for line in lines)
    assert bool(lines) is (text != GOOD)


def test_every_file_is_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Given several files, one that is wrong and one that is not there → all are looked at, and the commit stops."""
    (tmp_path / "a").mkdir()
    assert main([rules(tmp_path / "a", BROKEN), rules(tmp_path, GOOD), str(tmp_path / "none.yaml")]) == 1
    said = capsys.readouterr().out
    assert "nam" in said and "none.yaml: cannot be read" in said


def test_the_hooks_run_what_exists() -> None:
    """Given the hooks → each has what pre-commit needs, its words are understood, and it looks at rules files alone."""
    assert HOOKS["tocsin-check"]["entry"] == "python -m tocsin.hook"
    command, *words = HOOKS["tocsin-test"]["entry"].split()
    assert command == "tocsin" and _parser(words).parse_args([*words, "alert-rules.yaml"])
    for hook in HOOKS.values():
        assert hook["language"] == "python" and hook["name"] and hook["description"]
        matched = [
            path for path in ("alert-rules.yaml", "a/alert-rules.yml", "rules.yaml") if re.search(hook["files"], path)
        ]
        assert matched == ["alert-rules.yaml", "a/alert-rules.yml"]


def test_what_the_hooks_need_is_pinned_as_everywhere() -> None:
    """Given what pre-commit installs → each has the version of the requirements."""
    pinned = (ROOT / "requirements.txt").read_text() + (ROOT / "requirements-dev.txt").read_text()
    for hook in HOOKS.values():
        assert [each for each in hook["additional_dependencies"] if each not in pinned.splitlines()] == []


def closure(names: list[str]) -> set[str]:
    """Return distributions with all that they need, without extras that were not asked for."""
    found: set[str] = set()
    while names:
        name = re.split(r"[\s\[=<>!~;(]", names.pop())[0].lower().replace("_", "-")
        if name in found:
            continue
        found.add(name)
        try:
            names += [each for each in requires(name) or () if "extra ==" not in each]
        except PackageNotFoundError:
            continue
    return found


PROGRAM = """
import sys
refused = set({refused!r})
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in refused:
            raise ModuleNotFoundError("refused: " + name, name=name)
sys.meta_path.insert(0, Refuse())
from chalicelib import plugins
for kind in plugins.KINDS:
    for name in plugins.names(kind):
        plugins.load(kind, name)
from cli.hook import main as hook
from cli.main import main
sys.exit(hook([{path!r}]) or main(["test", {path!r}]))
"""


def test_the_hooks_need_no_more_than_they_name() -> None:
    """Given an interpreter without what the hooks do not install → both work on the shipped rules, with every plug-in."""
    given = closure([*HOOKS["tocsin-check"]["additional_dependencies"], "psycopg-binary"])
    found = packages_distributions()
    names = {module: {each.lower().replace("_", "-") for each in those} for module, those in found.items()}
    texts = [(ROOT / f"requirements{each}.txt").read_text() for each in ("", "-dev", "-test")]
    pinned = {
        each.lower().replace("_", "-") for text in texts for each in re.findall(r"^([\w.-]+)", text, re.MULTILINE)
    }
    refused = sorted(module for module, those in names.items() if those & pinned and not those & given)
    assert "chalice" in refused and "httpx" not in refused
    program = PROGRAM.format(
        refused=[each for each in refused if each not in ("cli", "chalicelib")], path="alert-rules.yaml"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2_000:] + done.stderr[-2_000:]
