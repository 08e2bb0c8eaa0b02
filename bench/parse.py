"""Parsing: how many webhooks a second one core turns into masked events.

Two real Sentry bodies, one of 5 kB and one of 300 kB, as a worker gets them: the raw bytes are parsed by the source and
every event is masked. Each round changes one text, as storms do, so that no cache answers for the masks. Decompressing
the message and everything behind (rules, incidents) are not part of it. Prints events a second by CPU time, which other
work on the machine does not disturb, with the microseconds of each half.
Run: python bench/parse.py [--seconds 3]
"""

import argparse
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from chalicelib import plugins
from chalicelib.core.event import Event
from chalicelib.redact import redact_event

FIXTURES = ROOT / "tests" / "sources" / "fixtures" / "sentry"
BODIES = {
    "5 kB": ("error_created_docs.json", "error", b"blooopy is not defined"),
    "300 kB": ("derived_event_alert_over_256k.json", "event_alert", b"maximum recursion depth exceeded"),
}
NOW = datetime(2026, 11, 24, tzinfo=UTC)


def variants(name: str, text: bytes, count: int = 512) -> list[bytes]:
    """Return the body with its message changed in so many ways."""
    body = (FIXTURES / name).read_bytes()
    assert text in body, name
    return [body.replace(text, text + b" %d" % number) for number in range(count)]


def measured(bodies: list[bytes], headers: dict[str, str], seconds: float) -> tuple[int, float, float]:
    """Return events made, and CPU seconds of parsing and of masking."""
    parse = plugins.load("sources", "sentry").parse
    events, parsing, masking = 0, 0.0, 0.0
    until = time.process_time() + seconds
    while time.process_time() < until:
        body = bodies[events % len(bodies)]
        start = time.process_time()
        found: list[Event] = parse(headers, body, received_at=NOW)
        middle = time.process_time()
        for event in found:
            redact_event(event)
        parsing += middle - start
        masking += time.process_time() - middle
        events += len(found)
    return events, parsing, masking


def main() -> None:
    """Measure both bodies and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3.0, help="CPU time for each body")
    options = parser.parse_args()
    for size, (name, resource, text) in BODIES.items():
        bodies = variants(name, text, 512 if size == "5 kB" else 32)
        headers = {"sentry-hook-resource": resource}
        measured(bodies, headers, options.seconds / 10)
        events, parsing, masking = measured(bodies, headers, options.seconds)
        print(
            f"{size:>6} ({len(bodies[0]):,} bytes): {events / (parsing + masking):8,.0f} events a second a core   "
            f"parse {parsing / events * 1e6:7.0f} µs   mask {masking / events * 1e6:5.0f} µs"
        )


if __name__ == "__main__":
    main()
