"""docs/first-day.md: what its commands are about."""

import re

import pytest

from tests.project import ROOT

TEARDOWN = (ROOT / "docs" / "first-day.md").read_text().partition("## Teardown")[2]


@pytest.mark.acceptance
def test_a_teardown_takes_nothing_from_another_product() -> None:
    """Given the commands of the teardown → the one that deletes is `tocsin destroy`, which knows whole names."""
    (commands,) = re.findall(r"```sh\n(.*?)```", TEARDOWN, re.DOTALL)
    assert commands == ".venv/bin/tocsin destroy --stage $S\n"
    assert "delete" not in TEARDOWN.replace("deleted table", "").replace("can delete no table", "")
