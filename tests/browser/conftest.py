"""A headless Chromium, once for a session."""

from collections.abc import Iterator

import pytest
from selenium import webdriver

from tests.browser.chromium import chromium


@pytest.fixture(scope="session")
def browser() -> Iterator[webdriver.Chrome]:
    """A browser that reaches this machine only."""
    with chromium() as found:
        yield found
