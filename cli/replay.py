"""tocsin replay RULES.yaml TIMELINE.jsonl: the rules in a test tube.

    tocsin replay --from-history --since 30d --rules new.yaml [--stage prod]
    tocsin replay --from-history history.jsonl --rules new.yaml

Runs the real decisions and the real delivery logic against fake targets on a virtual clock. One JSON object a line goes
in and comes out; the forms are public and described in docs/replay.md. With recorded history it compares two rules files.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from chalicelib.core.errors import TocsinError
from chalicelib.rules.compiled import RULES_NAME
from cli import history
from cli.output import printed
from cli.remote import add_api_arguments as add_remote
from cli.table import clean, print_table, span
from cli.variables import add_variables, values_of
from simulation.compare import compared, outcome
from simulation.engine import Replay, folder_of, read_rules
from simulation.timeline import TimelineError, Times, read_lines

HELP = "run a timeline of events through a rules file on a virtual clock"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.description = (
        "Run a timeline of events, samples and people's acts through a rules file, in milliseconds, "
        "without AWS. Prints one JSON object for each notification."
    )
    parser.add_argument("rules", metavar="RULES.yaml", nargs="?", help="the rules file")
    parser.add_argument(
        "timeline",
        metavar="TIMELINE.jsonl",
        nargs="?",
        help="one JSON object a line, ordered by `at`; - for standard input",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=None,
        help="interleave `copies` at every store and queue call, in an order drawn from this number",
    )
    add_variables(parser)
    add_history_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Exit 0 when the timeline ran, 2 with one line when something given cannot be read."""
    if arguments.from_history is not None:
        return run_on_history(arguments)
    try:
        if arguments.rules is None or arguments.timeline is None:
            raise TimelineError("nothing to replay: expected are RULES.yaml and TIMELINE.jsonl, or --from-history")
        values = values_of(arguments)
        rules = read_rules(arguments.rules, values)
        lines = read_lines(arguments.timeline)
        for line in Replay(
            rules,
            lines,
            name=arguments.timeline,
            folder=folder_of(arguments.timeline),
            seed=arguments.seed,
            variables=values,
        ).run():
            sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
    except TocsinError as error:
        return _refused(error)
    return 0


def _refused(error: TocsinError) -> int:
    """Print the error after all lines that came before it, on one line. Return the exit status."""
    sys.stdout.flush()
    line = " ".join(str(error).split("\n"))
    print(f"tocsin: {line}", file=sys.stderr)
    return 2


MAX_SHOWN = 20


def add_history_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `tocsin replay` for recorded history."""
    group = parser.add_argument_group("recorded history")
    group.add_argument(
        "--from-history",
        nargs="?",
        const="",
        metavar="FILE",
        help="compare rules on what was recorded: by a stage, or in a file that `tocsin history` wrote",
    )
    group.add_argument("--rules", dest="changed", metavar="NEW.yaml", help="the changed rules")
    group.add_argument("--today", default=RULES_NAME, metavar="FILE", help=f"today's rules ({RULES_NAME})")
    group.add_argument("--since", default=history.SINCE, metavar="TIME", help=f"how far back ({history.SINCE})")
    add_remote(parser)


def run_on_history(arguments: argparse.Namespace) -> int:
    """Print the difference; 2 with one line when something given cannot be read."""
    try:
        changed = arguments.changed or arguments.rules
        if not changed:
            raise TimelineError("`--rules` is missing: expected is the file with the changed rules")
        today, new = (read_rules(each, values_of(arguments)) for each in (arguments.today, changed))
        lines = _recorded(arguments)
        if not lines:
            raise TimelineError("nothing was recorded in that time: there is nothing to compare the rules on")
        name = arguments.from_history or "history"
        found = compared(outcome(today, lines, name), outcome(new, lines, name), lines)
    except TocsinError as error:
        return _refused(error)
    if not printed(arguments, found):
        show(found)
    return 0


def _recorded(arguments: argparse.Namespace) -> list[tuple[int, dict[str, Any]]]:
    if arguments.from_history:
        return read_lines(arguments.from_history)
    return list(enumerate(history.of_stage(arguments, arguments.since), 1))


def show(found: Mapping[str, Any]) -> None:
    """Print the difference in words and tables."""
    counted = ", ".join(f"{count} {kind}s" if count != 1 else f"1 {kind}" for kind, count in found["lines"].items())
    print(f"{_day(found['from'])} to {_day(found['to'])}, {found['days']:g} days: {counted}\n")
    rows = [
        [name.replace("_", " "), f"{before:g}", f"{after:g}", _sign(after - before)]
        for name, before, after in ((name, found["before"][name], found["after"][name]) for name in found["before"])
    ]
    print_table(("", "TODAY", "CHANGED", "DIFFERENCE"), rows)
    for heading, counts in (("TARGET", found["by_target"]), ("RULE", found["by_rule"])):
        changed = {name: pair for name, pair in counts.items() if pair[0] != pair[1]}
        if changed:
            print()
            rows = [[name, str(one), str(other), _sign(other - one)] for name, (one, other) in changed.items()]
            print_table((heading, "TODAY", "CHANGED", "DIFFERENCE"), rows)
    for heading, line in _sections(found):
        print(f"\n{heading}" if line is None else line)
    _show_counts("TARGET", found["noise"], {"openings": "OPENINGS", "sounds": "SOUNDS", "silent": "SILENT UPDATES"})
    for question, asked in _questions(found):
        print("\n".join([f"\n{question} ({len(asked)})", *asked[:MAX_SHOWN]]))
        if len(asked) > MAX_SHOWN:
            print(f"  … and {len(asked) - MAX_SHOWN} more (--json has all)")
    heads = {"alerts": "ALERTS", "never_acted": "NOBODY ACTED", "brief": "ENDED BY THEMSELVES IN 5M"}
    _show_counts("RULE", found["alerts"], heads)


def _show_counts(heading: str, counts: Mapping[str, Mapping[str, list[int]]], heads: Mapping[str, str]) -> None:
    """Print a table of counts today, and with the changed rules where these differ."""
    if counts:
        print()
        rows = [[clean(name), *(_pair(found[each]) for each in heads)] for name, found in counts.items()]
        print_table((heading, *heads.values()), rows)


def _pair(counts: list[int]) -> str:
    return str(counts[0]) if counts[0] == counts[1] else f"{counts[0]} → {counts[1]}"


def _questions(found: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """Yield each question that incidents raise, with the incidents: by the rules of today, and by the changed ones."""
    for run, rules in (("before", "today"), ("after", "with the changed rules")):
        if two := found["perhaps_two"][run]:
            yield f"held alerts that never overlapped, perhaps two incidents, {rules}", [_two(each) for each in two]
        if one := found["perhaps_one"][run]:
            yield f"less than an hour apart, perhaps one incident, {rules}", [_one(each) for each in one]


def _two(each: Mapping[str, Any]) -> str:
    parts = "; then ".join(f"{_when(part['from'])} {', '.join(part['alerts'])}" for part in each["parts"])
    return f"  {_when(each['at'])}  {clean(each['title'])}: {clean(parts)}"


def _one(each: Mapping[str, Any]) -> str:
    apart = f"{span(round(each['seconds_apart']))} apart" if each["seconds_apart"] else "at the same time"
    pair = f"{each['title']}; {_when(each['and_at'])} {each['and_title']}"
    return f"  {_when(each['at'])}  {clean(each['service'])}, {apart}: {clean(pair)}"


def _when(at: str) -> str:
    return f"{datetime.fromisoformat(at.replace('Z', '+00:00')):%d %b %H:%M:%S}"


def _sections(found: Mapping[str, Any]) -> Iterator[tuple[str, str | None]]:
    titles = {
        "not_at_all": "sent today, and no longer",
        "later": "sent later",
        "earlier": "sent earlier",
        "new": "sent now, and not today",
        "in_another": "sent as part of another incident",
        "on_its_own": "sent as an incident of its own",
    }
    for name, title in titles.items():
        some = found[name]
        if some:
            yield f"{title} ({len(some)})", None
            yield from (("", _line(each)) for each in some[:MAX_SHOWN])
            if len(some) > MAX_SHOWN:
                yield "", f"  … and {len(some) - MAX_SHOWN} more (--json has all)"
    if found["same"]:
        yield f"sent at the same time ({found['same']})", None


def _line(each: Mapping[str, Any]) -> str:
    when = _when(each["at"])
    if "seconds" in each:
        when += f" {'+' if each['seconds'] > 0 else '-'}{span(round(abs(each['seconds'])))}"
    pages = each["pages"] if isinstance(each["pages"], int) else each["pages"][0]
    names = ", ".join(name for name in each["alerts"] if name not in each["title"])
    return f"  {when}  {clean(each['title'])}" + (f"  [{clean(names)}]" if names else "") + ("  paged" if pages else "")


def _sign(difference: float) -> str:
    return f"{round(difference, 2):+g}" if difference else "="


def _day(at: Any) -> str:
    return f"{Times(text=True).read(at, '`at`'):%Y-%m-%d %H:%M}"
