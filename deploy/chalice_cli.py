"""`python -m deploy.chalice_cli …`: Chalice's own command line, quick against the embedded AWS.

Chalice waits for new functions with botocore's waiters, which sleep five seconds before they look again. Against an
AWS_ENDPOINT_URL on loopback, where everything is there at once, those sleeps are cut short; elsewhere nothing differs.
"""

import os
import sys
import time
from typing import Any

import botocore.waiter
from chalice.cli import main as chalice_main

from deploy.clients import is_local

SLEEP_SECONDS = 0.2


class _Time:
    """The module `time` as botocore's waiters see it."""

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)

    @staticmethod
    def sleep(seconds: float) -> None:
        time.sleep(min(seconds, SLEEP_SECONDS))


def main() -> int:
    """Run Chalice with this process's arguments."""
    if is_local(os.environ.get("AWS_ENDPOINT_URL")):
        waiters: Any = botocore.waiter
        waiters.time = _Time()
    return int(chalice_main() or 0)


if __name__ == "__main__":
    sys.exit(main())
