"""The browser of tests/browser, for pages of a router in this process."""

from tests.browser.conftest import browser

__all__ = ["browser"]
