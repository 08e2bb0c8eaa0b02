"""What tests of several areas share: the embedded AWS, once for a session."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from cli import running
from local.cloud import Cloud
from tests.aws.tables import KEY

# No test measures time: a busy machine is no failure. The examples are the same in every run, so that a change is what
# makes a test fail; TOCSIN_EXAMPLES asks for so many others.
settings.register_profile("tocsin", deadline=None, database=None, derandomize="TOCSIN_EXAMPLES" not in os.environ)
settings.load_profile("tocsin")
# Names of examples are of nobody: a resolver that does not answer is not waited for.
os.environ.setdefault("RES_OPTIONS", "timeout:1 attempts:1")


@pytest.fixture(scope="session", autouse=True)
def _nothing_runs_here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the stage of `make run` out of the tests: it may be up in this very checkout."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "FILE", tmp_path_factory.mktemp("home") / "running.json")
        yield


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an embedded AWS on a free port, forgotten at the end. Tests name what they make in it."""
    with Cloud(tmp_path_factory.mktemp("cloud"), persist=False, key=KEY) as cloud:
        yield cloud.url
