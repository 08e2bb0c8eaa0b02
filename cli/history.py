"""tocsin history: what a stage recorded, as a timeline that `tocsin replay` and `tocsin check` read.

    tocsin history --since 30d --stage prod > history.jsonl

Events are there as they were decided on: normalised, and with secrets and personal data masked. Samples, people's
acknowledgements, silences and maintenance are there too. What came in the last five minutes may be missing.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from chalicelib.core.errors import RequestError
from chalicelib.core.instants import instant_of
from chalicelib.core.language.durations import duration_of, is_duration
from cli.remote import Remote, add_api_arguments, remote

SINCE = "30d"
Line = dict[str, Any]


HELP = "what a stage recorded, as a timeline"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--since", default=SINCE, metavar="TIME", help="how far back (30d), or from when (2026-11-01)")
    parser.add_argument("--until", default="", metavar="TIME", help="how far, if not to now")
    add_api_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print one JSON object a line."""
    now = datetime.now(UTC)
    until = instant(arguments.until, now) if arguments.until else now
    for line in recorded(remote(arguments), instant(arguments.since, now), until):
        sys.stdout.write(json.dumps(line) + "\n")
    return 0


def of_stage(arguments: argparse.Namespace, since: str = SINCE) -> Iterator[Line]:
    """Yield what the stage of the arguments recorded since then."""
    now = datetime.now(UTC)
    return recorded(remote(arguments), instant(since, now), now)


def recorded(api: Remote, since: datetime, until: datetime) -> Iterator[Line]:
    """Yield the lines that a stage recorded between two times, in order; each event once in a day."""
    day = since.astimezone(UTC).date()
    while day <= until.astimezone(UTC).date():
        lines = sorted(_day(api, f"{day:%Y-%m-%d}"), key=_at)
        yield from (line for line in _once(lines) if since <= _at(line) <= until)
        day += timedelta(days=1)


def _day(api: Remote, day: str) -> Iterator[Line]:
    after: str | None = ""
    while after is not None:
        page = api.get("history", [("day", day), ("after", after)])
        yield from page["lines"]
        after = page["next"]


def _at(line: Line) -> datetime:
    return datetime.fromisoformat(str(line["at"]).replace("Z", "+00:00"))


def _once(lines: list[Line]) -> Iterator[Line]:
    seen = set()
    for line in lines:
        event = line.get("event")
        if event is not None:
            key = (event.get("source"), event.get("id"))
            if key in seen:
                continue
            seen.add(key)
        yield line


def instant(word: str, now: datetime) -> datetime:
    """Return a time so long ago, or that time; a day without more begins at midnight UTC."""
    try:
        return now - duration_of(word) if is_duration(word) else instant_of(word)
    except ValueError as error:
        raise RequestError(f"{error}; expected is a duration (30d) or a day (2026-11-01)") from None
