"""Runbook pages as notifications show them."""

from pathlib import Path

import pytest

from chalicelib.core.delivery.notification import Runbook
from chalicelib.deliver.runbooks import find

PAGE = """# High error rate

## Meaning

1. Not a step.

## Diagnosis

Look in this order:

1. Open [the issue](https://sentry.io/x) and read `culprit`.
2. Compare **zones**
   and deploys; the snake_case_name stays:
   - a nested remark
   ```sh
   # no heading
   1. no step
   ```
3. *Then* ask <https://status.example.com>.
4. A fourth.

## Mitigation

1. Roll back.
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one page."""
    (tmp_path / "high-error-rate.md").write_text(PAGE)
    return tmp_path


def test_title_and_first_steps_of_the_diagnosis(folder: Path) -> None:
    """Three steps, without Markdown's marks, code blocks and nested remarks; the link is that of the page."""
    assert find("high-error-rate", folder, "https://r.example/pages/") == Runbook(
        "high-error-rate",
        "High error rate",
        (
            "Open the issue and read culprit.",
            "Compare zones and deploys; the snake_case_name stays:",
            "Then ask https://status.example.com.",
        ),
        "https://r.example/pages/high-error-rate.md",
    )


@pytest.mark.parametrize("name", ["", "missing", "../high-error-rate", "/etc/passwd", ".hidden", "High Error", "a\nb"])
def test_a_page_that_is_not_there_is_none(folder: Path, name: str) -> None:
    """Names cannot leave the folder."""
    assert find(name, folder, "https://r.example") is None


def test_the_default_folder_holds_the_shipped_pages() -> None:
    """Without a folder, the pages of runbook/ are found, wherever the module that reads them lives."""
    found = find("high-error-rate")
    assert found is not None
    assert (found.title, len(found.steps)) == ("High Error Rate", 3)


def test_a_page_without_a_list_has_no_steps(tmp_path: Path) -> None:
    """Without a title the name stands for it, without a base there is no link."""
    (tmp_path / "bare.md").write_text("## Diagnosis\n\nAsk somebody.\n")
    assert find("bare", tmp_path) == Runbook("bare", "bare")


def test_bullets_are_steps_too(tmp_path: Path) -> None:
    """A list of bullets counts, at any depth of the heading; it ends with the section."""
    (tmp_path / "b.md").write_text("# T\n\n### Diagnosis\n* One\n* Two\n\nText.\n* Other list\n### Next\n- no\n")
    found = find("b", tmp_path)
    assert found is not None
    assert found.steps == ("One", "Two")
