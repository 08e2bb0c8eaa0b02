"""What tests of whole deploys share: a project that is packaged in no time, and an account in which nothing was deployed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.cloud import Cloud
from tests.project import copied


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project without requirements: the functions here only receive, and the package is built in no time."""
    folder = copied(tmp_path_factory.mktemp("project"))
    (folder / "requirements.txt").write_text("")
    return folder


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    """An embedded AWS in which nothing was deployed."""
    with Cloud(tmp_path / "cloud", persist=False) as found:
        yield found
