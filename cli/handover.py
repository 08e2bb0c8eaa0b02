"""tocsin handover [MATCHER …]: what the next shift has to know.

    tocsin handover --stage prod                      the last eight hours
    tocsin handover --since 1d service=api            of one service
    tocsin handover --since 22:00 -o markdown         since ten in the evening, to paste into a message

What is open and who has it, what ended, what people did, what is silenced until when, the noisiest rules, and what
could not be delivered. It changes nothing. `tocsin doctor` looks at sources, targets and the router itself.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from chalicelib.api.times import parse_when
from chalicelib.core.delivery.writing import one_line
from chalicelib.core.errors import RequestError
from chalicelib.core.language.durations import duration_of, is_duration
from cli import table
from cli.incidents import status
from cli.output import printed
from cli.remote import add_api_arguments, queries, remote
from cli.shift import MAX_INCIDENTS, MAX_LOOKED_AT, Row, Shift, read_shift
from cli.silence import timezone
from cli.table import clock, instant, print_table, span

SINCE = "8h"
DAY = timedelta(days=1)
FORMS = {"json": "", "yaml": "", "markdown": "to paste into a page or a message"}
MARKED = str.maketrans({mark: f"\\{mark}" for mark in "\\`*_<>[]|#~"})


HELP = "what the next shift has to know: open, ended, silenced, noisy"


@dataclass(frozen=True, slots=True)
class Section:
    """A table under a heading, and the sentence that stands there when it is empty. `note` says what is left out."""

    title: str
    heads: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    none: str
    note: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("matchers", metavar="MATCHER", nargs="*", help="service=api, severity!=info, zone=~eu-.*")
    parser.add_argument(
        "--since", default=SINCE, metavar="TIME", help=f"how far back ({SINCE}), or from when (22:00, 2026-11-30)"
    )
    add_api_arguments(parser, forms=FORMS)


def run(arguments: argparse.Namespace) -> int:
    """Print it."""
    until = table.utc_now()
    since = began_at(arguments.since, until, timezone() or "UTC")
    shift = read_shift(remote(arguments), since, until, list(queries(arguments.matchers)))
    if arguments.output == "markdown":
        print("\n".join(markdown(shift)))
    elif not printed(arguments, as_json(shift)):
        print_text(shift)
    return 0


def began_at(text: str, now: datetime, zone: str) -> datetime:
    """Return the time so long ago, the last such time of the day, or that time. Raise RequestError for one to come."""
    if is_duration(together := "".join(text.split())):
        return now - duration_of(together)
    found = parse_when(text, now - DAY, zone)
    if found >= now:
        raise RequestError(f"--since is {text[:40]!r}, which is to come; expected is a time that is past")
    return found


def as_json(shift: Shift) -> dict[str, Any]:
    """Return all of it for programs, with times in RFC 3339."""
    found = asdict(shift)
    return {**found, "since": _stamp(shift.since), "until": _stamp(shift.until), "unattended": shift.unattended}


def _stamp(at: datetime) -> str:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")


# ---------------------------------------------------------------------------------------------------------------------
# In words


def headline(shift: Shift) -> str:
    """Return from when to when it is."""
    lasted = span(round((shift.until - shift.since).total_seconds()))
    return f"Handover from {clock(_stamp(shift.since))} to {clock(_stamp(shift.until))} ({lasted})"


def summary(shift: Shift) -> str:
    """Return how many incidents there were, and how many of them nobody had."""
    least = "At least " if shift.incidents >= MAX_INCIDENTS else ""
    text = f"{least}{shift.began} began, {len(shift.ended)} ended, {len(shift.open)} open now."
    return text + (f" On {shift.unattended} of those that ended nobody acted." if shift.unattended else "")


def sections(shift: Shift) -> list[Section]:
    """Return what it says, in the order of importance."""
    return [_open(shift), _silenced(shift), _words(shift), _ended(shift), _noise(shift), _failures(shift)]


def _open(shift: Shift) -> Section:
    heads = ("INCIDENT", "SEVERITY", "STATUS", "SINCE", "WHO HAS IT", "TITLE")
    rows = [
        (row["id"][:8], row["severity"], status(row), clock(row["started_at"]), _holder(row), row["title"])
        for row in shift.open
    ]
    return Section("Open now", heads, rows, "No incident is open.")


def _silenced(shift: Shift) -> Section:
    heads = ("UNTIL", "SILENCE", "BY", "MUTES NOW", "MATCHERS", "COMMENT")
    rows = [
        (
            _until(row),
            row["id"],
            row["by"],
            str(len(row["mutes"])),
            ", ".join(row["matchers"]),
            one_line(row["comment"]),
        )
        for row in shift.silences
    ]
    return Section("Silenced", heads, rows, "Nothing is silenced.")


def _until(row: Row) -> str:
    """Return when a silence ends, and when it begins if that is to come."""
    begins = f"{clock(row['starts_at'])} – " if row["state"] == "pending" else ""
    return f"{begins}{clock(row['ends_at'])}" + (" (maintenance)" if row["maintenance"] else "")


def _words(shift: Shift) -> Section:
    rows = [(clock(each.at), each.incident[:8], each.by, one_line(each.text)) for each in shift.words]
    note = ""
    if shift.looked_at < shift.incidents:
        note = f"Of {shift.looked_at} of {shift.incidents} incidents: the open ones and those that ended last."
    return Section("What people did", ("AT", "INCIDENT", "WHO", "WHAT"), rows, "Nobody did anything.", note)


def _ended(shift: Shift) -> Section:
    heads = ("ENDED", "INCIDENT", "SEVERITY", "LASTED", "WHO HAD IT", "TITLE")
    rows = [
        (
            clock(row["ended_at"]),
            row["id"][:8],
            row["severity"],
            _lasted(row),
            shift.hands.get(row["id"], "nobody"),
            row["title"],
        )
        for row in shift.ended[:MAX_LOOKED_AT]
    ]
    more = len(shift.ended) - len(rows)
    note = f"And {more} that ended before: tocsin incidents --all --since …" if more else ""
    return Section("Ended", heads, rows, "No incident ended.", note)


def _holder(row: Row) -> str:
    return str(row["assigned_to"] or row["acked_by"] or "nobody")


def _lasted(row: Row) -> str:
    return span(round((instant(row["ended_at"]) - instant(row["started_at"])).total_seconds()))


def _noise(shift: Shift) -> Section:
    heads = ("BEGAN", "OPEN", "ENDED, NOBODY ACTED", "RULE")
    rows = [(str(each.incidents), str(each.open), str(each.unattended), each.name) for each in shift.noise]
    return Section("Noisiest rules", heads, rows, "No incident began.")


def _failures(shift: Shift) -> Section:
    rows = [(each.target, str(each.count), clock(each.last_at), one_line(each.error)) for each in shift.failures]
    heads = ("TARGET", "GIVEN UP", "LAST", "ERROR")
    return Section("Not delivered", heads, rows, "Every notification of these incidents was delivered.")


def print_text(shift: Shift) -> None:
    """Print it for a terminal."""
    print(headline(shift))
    print(summary(shift))
    for section in sections(shift):
        print(f"\n{section.title.upper()}")
        if section.rows:
            print_table(section.heads, section.rows)
        else:
            print(section.none)
        if section.note:
            print(section.note)


def markdown(shift: Shift) -> Iterator[str]:
    """Yield the lines of it as Markdown. Nothing that comes from outside can be markup there."""
    yield f"## {headline(shift)}"
    yield f"\n{summary(shift)}"
    for section in sections(shift):
        yield f"\n### {section.title}\n"
        if section.rows:
            yield f"| {' | '.join(head.capitalize() for head in section.heads)} |"
            yield "|" + " --- |" * len(section.heads)
            for row in section.rows:
                yield f"| {' | '.join(table.clean(cell).translate(MARKED) for cell in row)} |"
        else:
            yield section.none
        if section.note:
            yield f"\n{section.note}"
