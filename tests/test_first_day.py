"""docs/first-day.md: what its commands are about."""

import re

from tests.project import ROOT

TEARDOWN = (ROOT / "docs" / "first-day.md").read_text().partition("## Teardown")[2]


def test_a_teardown_takes_nothing_from_another_product() -> None:
    """Given the commands of the teardown → each prefix of names ends with a dash: tocsin-devices is not tocsin-dev."""
    prefixes = re.findall(r"--[a-z-]*prefix (\S+)", TEARDOWN) + re.findall(r"contains\(\w+, '([^']*)'\)", TEARDOWN)
    assert len(prefixes) >= 4
    assert [each for each in prefixes if not each.endswith("-")] == []
