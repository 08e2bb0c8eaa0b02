"""docs/replay.md: every example is run as it stands, by the command."""

import json
import re
from pathlib import Path

import pytest

from cli.main import main
from simulation.rule_test import fits
from simulation.timeline import EXAMPLES

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "replay.md").read_text("utf-8")
BLOCK = re.compile(r"^```(\w+) (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def examples():
    """Each timeline with its files and the lines that must come out; rules stay until others come."""
    files = {}
    for match in BLOCK.finditer(TEXT):
        _, name, content = match.groups()
        if name == "output":
            heading = TEXT[: match.start()].rpartition("\n### ")[2].partition("\n")[0]
            yield pytest.param(dict(files), content, id=heading)
        else:
            files[name] = content


@pytest.mark.parametrize(("files", "output"), list(examples()))
def test_an_example_prints_what_it_says(tmp_path, capsys, files, output):
    """Line for line, what the command prints holds at least what is written."""
    for name, content in files.items():
        (tmp_path / name).write_text(content, "utf-8")
    assert main(["replay", str(tmp_path / "rules"), str(tmp_path / "timeline")]) == 0
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    expected = [json.loads(line) for line in output.splitlines()]
    for want, got in zip(expected, printed, strict=False):
        assert fits(want, got), f"{want}\n{got}"
    assert len(printed) == len(expected)


def test_every_form_of_line_has_an_example():
    """What the command understands is in the document."""
    shown = {name for example in examples() for name in re.findall(r'"(\w+)":', example.values[0]["timeline"])}
    assert EXAMPLES.keys() | {"unsilence", "show", "end", "copies", "target"} <= shown
