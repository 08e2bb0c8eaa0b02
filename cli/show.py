"""tocsin show INCIDENT: one incident: its alerts, who was notified and what came of it, who has it, and what happened.

INCIDENT is its id or the first characters of it.
"""

import argparse
from collections.abc import Iterator, Mapping
from typing import Any

from chalicelib.api.views import plain_id
from chalicelib.core.account import shown_by
from chalicelib.core.errors import NotFoundError
from chalicelib.core.outcome import not_one
from cli.alerts import state
from cli.incidents import status
from cli.output import add_watch_argument, printed
from cli.remote import add_api_arguments, remote
from cli.table import ago, clean, clock, coloured, labels, localized, time_of_day

HELP = "one incident with its timeline"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("incident", metavar="INCIDENT", help="its id, or the first characters of it")
    add_api_arguments(parser)
    add_watch_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print it."""
    found = remote(arguments).get(f"incidents/{quoted(arguments.incident)}")["incident"]
    if not printed(arguments, found):
        for line in lines(found):
            print(line)
    return 0


def quoted(id: str) -> str:
    """Return an id, as answers show it, as part of a path. Raise NotFoundError for text that no id begins with."""
    found = plain_id(id)
    if not (found.isascii() and found.isalnum()):
        raise NotFoundError(not_one(id))
    return found


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield the incident for people."""
    yield f"{coloured(clean(found['title']), found['severity'])}"
    yield from _facts(found)
    yield ""
    for each in found["alerts"]:
        yield from _alert(each)
    if found["overflow"]:
        yield f"  and {found['overflow']} more events of alerts over max_alerts"
    yield ""
    for each in found["timeline"]:
        yield _entry(each)


def _facts(found: Mapping[str, Any]) -> Iterator[str]:
    facts = {
        "incident": found["id"],
        "status": f"{found['severity']}, {status(found)}",
        "began": f"{clock(found['started_at'])} ({ago(found['started_at'])} ago)",
        "ended": clock(found["ended_at"]),
        "group": labels(found["group"]),
        "events": str(found["events"]),
        "acked by": ", ".join(dict.fromkeys(f"{each['by']} at {clock(each['at'])}" for each in found["acks"])),
        "assigned": found["assigned_to"] or "",
        "notified": ", ".join(_told(each) for each in found["told"]) or "nobody yet",
        "escalates": "; ".join(
            f"after {each['after']}: {', '.join(each['targets'])}"
            for each in found["who"]["escalate"]
            if found["who"]["notified"]
        ),
        "now": localized(found["who"]["message"]),
    }
    for name, text in facts.items():
        if text:
            yield f"  {name:<10}{clean(text)}"


def _told(each: Mapping[str, Any]) -> str:
    """Return a target, and what is wrong with it if its newest notification was given up."""
    last = each["results"][-1] if each["results"] else None
    return str(each["target"]) + (f" (FAILED: {last['error']})" if last and last["error"] else "")


def _alert(each: Mapping[str, Any]) -> Iterator[str]:
    name = each["name"] if each["title"] in ("", each["name"]) else f"{each['title']} [{each['name']}]"
    when = f"{clock(each['starts_at'])}" + (f" – {clock(each['ends_at'])}" if each["ends_at"] else "")
    yield f"  {coloured(each['severity'], each['severity'])}  {clean(state(each))}  {clean(name)}"
    value = each["value"] + (f", limit {each['threshold']}" if each["threshold"] else "")
    yield f"    {clean('; '.join(part for part in (when, value, labels(each['labels'])) if part))}"
    if each["url"]:
        yield f"    {clean(each['url'])}"


def _entry(each: Mapping[str, Any]) -> str:
    by = shown_by(each)
    text = f"{by}: {each['text']}" if by else each["text"]
    if each.get("count", 0) > 1 and each["kind"] != "events":
        text += f" ({each['count']} events)"
    if each.get("target"):
        text += _delivery(each["delivery"])
    return f"  {clock(each['at'])}  {clean(text)}"


def _delivery(result: Mapping[str, Any] | None) -> str:
    if result is None:
        return " (not delivered yet)"
    tries = f" at try {result['attempts']}" if result["attempts"] > 1 else ""
    if result["error"]:
        return f" (FAILED{tries}: {result['error']})"
    note = f": {result['note']}" if result.get("note") else ""
    if not result["delivered"]:
        return f" (not sent{note})"
    return f" (delivered{tries} {time_of_day(result['at'])}{note})" if tries or note else ""
