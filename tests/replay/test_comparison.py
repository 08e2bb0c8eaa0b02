"""docs/alertmanager.md: every case that it compares is a story here."""

import re
from pathlib import Path

import yaml

FOLDER = Path(__file__).parent
PAGE = (FOLDER.parents[1] / "docs" / "alertmanager.md").read_text("utf-8")


def test_every_case_is_a_story():
    """Each row ends with a file and the name of a story in it."""
    rows = [line for line in PAGE.splitlines() if line.startswith("|") and "`:" in line]
    stories = {
        (path.name, test["name"])
        for path in FOLDER.glob("*.yaml")
        for test in yaml.safe_load(path.read_text("utf-8"))["tests"]
    }
    named = {match.groups() for row in rows for match in [re.search(r"`([a-z-]+\.yaml)`: (.*) \|$", row)] if match}
    assert len(named) == len(rows) > 40
    assert named - stories == set()
