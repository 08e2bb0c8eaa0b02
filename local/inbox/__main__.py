"""`python -m local.inbox`: run the inbox until Ctrl-C or SIGTERM.

Secrets may also come from the environment (SLACK_SIGNING_SECRET, PAGERDUTY_WEBHOOK_SECRET, WEBHOOK_DEFAULT_SECRET,
AWS_ACCESS_KEY_ID), where other users of the machine cannot read them.
"""

import argparse
import errno
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from local.inbox import UNLIMITED, Inbox, Limits
from local.inbox.server import DEFAULT_PORT


def arguments(given: Sequence[str], environment: Mapping[str, str]) -> argparse.Namespace:
    """Read the command line, with secrets from the environment where it does not name them."""
    parser = argparse.ArgumentParser(
        prog="python -m local.inbox", description="Stand-ins for Slack, PagerDuty and mail"
    )
    secret = environment.get
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--state", type=Path, help="the file that keeps what was received")
    parser.add_argument("--tocsin", default="", help="the address that buttons and commands are sent to")
    parser.add_argument("--slack-signing-secret", default=secret("SLACK_SIGNING_SECRET", ""))
    parser.add_argument("--pagerduty-webhook-secret", default=secret("PAGERDUTY_WEBHOOK_SECRET", ""))
    parser.add_argument("--webhook-secret", default=secret("WEBHOOK_DEFAULT_SECRET", ""), help="whsec_…")
    parser.add_argument("--emulator", default="", help="the AWS emulator, to read its mails from")
    parser.add_argument("--emulator-key", default=secret("AWS_ACCESS_KEY_ID", ""), help="the id of its access key")
    usual = Limits()
    parser.add_argument(
        "--slack-per-second", type=float, default=usual.slack_per_second, help="messages to one channel"
    )
    parser.add_argument("--slack-burst", type=int, default=usual.slack_burst, help="messages to one channel at once")
    parser.add_argument("--no-limits", action="store_true", help="take requests at any rate")
    return parser.parse_args(given)


def run(given: Sequence[str], environment: Mapping[str, str], stop: threading.Event) -> int:
    """Serve until `stop`. Print one line on what is wrong, and return 1, when the inbox cannot begin."""
    asked = arguments(given, environment)
    limits = Limits(slack_per_second=asked.slack_per_second, slack_burst=asked.slack_burst)
    try:
        inbox = Inbox(
            port=asked.port,
            state=asked.state,
            tocsin=asked.tocsin,
            slack_signing_secret=asked.slack_signing_secret,
            pagerduty_webhook_secret=asked.pagerduty_webhook_secret,
            webhook_secret=asked.webhook_secret,
            emulator=asked.emulator,
            emulator_key=asked.emulator_key,
            limits=UNLIMITED if asked.no_limits else limits,
        )
    except (OSError, OverflowError) as error:
        taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        said = "is taken: stop what uses it, or choose another with --port" if taken else "cannot be used"
        print(f"inbox: port {asked.port} {said}", file=sys.stderr)
        return 1
    with inbox:
        if inbox.memory.problem:
            print(f"inbox: {inbox.memory.problem}", file=sys.stderr)
        print(f"inbox: {inbox.url}", flush=True)
        stop.wait()
    return 0


def main() -> int:
    """Run with this process's arguments and signals."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return run(sys.argv[1:], os.environ, stop)


if __name__ == "__main__":
    sys.exit(main())
