"""An inbox at a known time."""

from collections.abc import Iterator

import pytest

from local.inbox import UNLIMITED, Inbox
from tests.local.inbox.support import SIGNING, Clock


@pytest.fixture
def clock() -> Clock:
    """A clock at a known time."""
    return Clock()


@pytest.fixture
def inbox(clock: Clock) -> Iterator[Inbox]:
    """An inbox that takes requests at any rate."""
    with Inbox(limits=UNLIMITED, clock=clock, slack_signing_secret=SIGNING, pagerduty_webhook_secret="pd") as found:
        yield found
