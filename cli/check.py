"""tocsin check: what is wrong with the rules file, what each rule means, and who is notified.

Exit 0 when clean, 1 with warnings only, 2 with mistakes; `--strict` makes warnings mistakes. Doubts about the pages of the
runbook (headings, links, reviews older than six months) are warnings at their own file and line. With recorded history (a
timeline of `tocsin replay`, `history.jsonl` beside the file unless named, or what a `--stage` recorded) it also says how many messages a day each
rule would have sent.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chalicelib.core.errors import TocsinError
from chalicelib.core.rule import Rule, Rules
from chalicelib.rules.compiled import RULES_NAME, Values
from chalicelib.rules.file import CheckReport, Mistake, check, variables_of
from chalicelib.rules.file.services import alias_words
from chalicelib.rules.probe_cost import costs, state_usd
from chalicelib.rules.words import notified_of, route_targets, sentence
from cli.runbook_pages import doubts_of

if TYPE_CHECKING:
    from simulation.names_seen import SeenNames

CLEAN, DOUBTFUL, WRONG = 0, 1, 2
HISTORY_NAME = "history.jsonl"
SECONDS_PER_DAY = 86_400
MAX_SERVICES = 20
MIN_DAYS = 1 / 24
"""A recording of less than an hour counts as one, or one message would be hundreds a day."""


HELP = "every mistake of the rules file, what each rule means, and who is notified"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.description = "Check the rules file. Exit 0 when clean, 1 with warnings only, 2 with mistakes."
    parser.add_argument("file", metavar="FILE", nargs="?", default=RULES_NAME, help=f"the rules file ({RULES_NAME})")
    parser.add_argument("--strict", action="store_true", help="make warnings mistakes")
    parser.add_argument("--json", action="store_true", help="print one JSON object, for tools")
    parser.add_argument("--runbook", metavar="FOLDER", help="the folder of runbook pages (runbook/ beside the file)")
    parser.add_argument(
        "--history", metavar="TIMELINE", help=f"recorded history to count messages a day on ({HISTORY_NAME} beside it)"
    )
    parser.add_argument(
        "--stage",
        help="look up ${NAME} in this stage, and count messages a day on what it recorded in the last 30 days",
    )
    parser.add_argument("--url", help="the same, of the API at this address; the token is TOCSIN_TOKEN")


def run(arguments: argparse.Namespace) -> int:
    """Check one file and print what it comes to."""
    path = Path(arguments.file)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        print(f"{path}: cannot be read ({error.strerror}); expected is a rules file", file=sys.stderr)
        return WRONG
    except UnicodeDecodeError:
        print(f"{path}: is not UTF-8; expected is a rules file in UTF-8", file=sys.stderr)
        return WRONG
    folder = Path(arguments.runbook) if arguments.runbook else path.parent / "runbook"
    values = _of_stage(arguments, text)
    report = checked(text, str(arguments.file), folder, datetime.now(UTC).date(), values)
    a_day, seen = counted_on(report.rules, arguments, path.parent) if report.rules else ({}, None)
    print(as_json(report, a_day, seen) if arguments.json else as_text(report, a_day, seen))
    return verdict(report, strict=arguments.strict)


def checked(text: str, filename: str, folder: Path, today: date, variables: Values | None = None) -> CheckReport:
    """Return what a rules file and the pages of its runbook come to on a day. Headings are doubts about the page."""
    report = check(text, filename=filename, runbooks=pages(folder).keys(), variables=variables)
    return replace(report, warnings=(*report.warnings, *doubts_of(folder, today)))


def _of_stage(arguments: argparse.Namespace, text: str) -> Values | None:
    """Return how the variables of the file are looked up in the stage that is named; None without one, or without variables."""
    if not arguments.stage or not variables_of(text):
        return None
    from cli.stage import stage_of

    try:
        return dict(stage_of(arguments.stage).variables(variables_of(text))).get
    except TocsinError as error:
        print(f"variables: {error}", file=sys.stderr)
        return None


def verdict(report: CheckReport, *, strict: bool) -> int:
    """Return the exit status of a report."""
    if report.mistakes or (strict and report.warnings):
        return WRONG
    return DOUBTFUL if report.warnings else CLEAN


def pages(folder: Path) -> dict[str, str]:
    """Return the runbook's pages by name, with their text."""
    found = sorted(folder.glob("*.md")) if folder.is_dir() else []
    return {path.stem: path.read_text(encoding="utf-8", errors="replace") for path in found}


def counted_on(
    rules: Rules, arguments: argparse.Namespace, folder: Path
) -> tuple[dict[str, float], "SeenNames | None"]:
    """Return messages a day and names on what a stage recorded, on the file that is named, or on the one beside the
    rules.

    Nothing without a recording; one that cannot be read is reported, and is no mistake of the rules.
    """
    file = Path(arguments.history) if arguments.history else folder / HISTORY_NAME
    asks = arguments.stage or arguments.url
    if not asks and not arguments.history and not file.is_file():
        return {}, None
    from simulation.names_seen import names_seen

    try:
        lines = _recorded(arguments, None if asks else file)
        name = folder / HISTORY_NAME if asks else file
        return messages_a_day(rules, lines, name), names_seen(rules, lines)
    except TocsinError as error:
        print(f"tocsin: history: {error}", file=sys.stderr)
        return {}, None


def _recorded(arguments: argparse.Namespace, file: Path | None) -> list[tuple[int, dict[str, Any]]]:
    """Return the lines of a file, else those that the stage of the arguments recorded."""
    if file is not None:
        from simulation.timeline import read_lines

        return read_lines(str(file))
    from cli.history import of_stage

    return list(enumerate(of_stage(arguments), 1))


def messages_a_day(rules: Rules, lines: Sequence[tuple[int, dict[str, Any]]], name: Path) -> dict[str, float]:
    """Return how many messages a day each rule would have sent on a recorded timeline, and (under "") what no rule
    made.

    A message about two rules counts for both; alerts that are only shown as evidence do not count.
    """
    from simulation.engine import Replay  # it loads every stage, which a check without history does not need

    names = {rule.name for rule in rules.rules}
    counted: Counter[str] = Counter()
    for line in Replay(rules, lines, name=str(name), folder=name.parent, seed=None).run():
        announced = [alert["name"] for alert in line.get("alerts", ()) if not alert.get("muted_by")]
        if line["type"] == "notification":
            counted.update({name if name in names else "" for name in announced})
    times = [_seconds(line.get("at", 0)) for _, line in lines]
    days = max((times[-1] - times[0]) / SECONDS_PER_DAY, MIN_DAYS) if times else 1.0
    return {name: counted[name] / days for name in (*names, "")}


def _seconds(at: Any) -> float:
    if isinstance(at, int | float):
        return float(at)
    from simulation.timeline import Times

    return Times(text=True).read(at, "`at`").timestamp()


# ---------------------------------------------------------------------------------------------------------------------
# In words


def as_text(report: CheckReport, a_day: Mapping[str, float], seen: "SeenNames | None" = None) -> str:
    """Return the report for people: mistakes, warnings, and then each rule in a sentence."""
    lines = [f"{mistake}" for mistake in report.mistakes]
    lines += [f"{warning} (warning)" for warning in report.warnings]
    if report.rules is not None:
        lines += [""] if lines else []
        lines += [_line(rule, report.rules, a_day) for rule in report.rules.rules]
        lines += [f"{name}: disabled, it decides nothing." for name in report.rules.disabled]
        lines += _others(report.rules, a_day)
        lines += _variables(report)
        lines += _probes(report.rules)
        lines += _services(seen) if seen is not None else []
    mistakes, warnings = len(report.mistakes), len(report.warnings)
    lines += ["", f"{_counted(mistakes, 'mistake')}, {_counted(warnings, 'warning')}."]
    return "\n".join(lines)


def _variables(report: CheckReport) -> list[str]:
    """Return which variables each stage must give a value."""
    named = ", ".join(f"{name} (line {line})" for name, line in report.variables.items())
    wanted = "each stage gives them a value: `tocsin secrets set NAME --stage STAGE`, `tocsin check --stage STAGE`"
    return [f"Variables: {named}; {wanted}."] if named else []


def _probes(rules: Rules) -> list[str]:
    """Return what each probe costs a month, and all of them."""
    found = costs(rules)
    if not found:
        return []
    samples, state = sum(each.usd for each in found), state_usd(rules)
    whole = f"{samples:.2f} USD a month for their samples and {state:.2f} for their state, before AWS's allowances"
    return [*map(str, found), f"All probes: {whole}."]


def _services(seen: "SeenNames") -> list[str]:
    """Return what the history shows of the services of the file, and of the labels of its rules."""
    unknown = [f"{said} ({count:,} of {source})" for source, said, count in seen.unknown[:MAX_SERVICES]]
    more = len(seen.unknown) - len(unknown)
    unknown += [f"and {more:,} more"] if more > 0 else []
    lines = [f"Services on the history that the file does not have: {', '.join(unknown)}."] if unknown else []
    lines += [
        f"On the history nothing has this alias of {name}: {alias_words(alias)}."
        for name, alias in seen.unmatched[:MAX_SERVICES]
    ]
    more = len(seen.unmatched) - MAX_SERVICES
    lines += [f"… and {more:,} more such aliases."] if more > 0 else []
    return lines + [
        f"On the history nothing has the label {label} that {name} asks for." for name, label in seen.unlabelled
    ]


def _counted(number: int, word: str) -> str:
    return f"{number or 'no'} {word}{'' if number == 1 else 's'}"


def _line(rule: Rule, rules: Rules, a_day: Mapping[str, float]) -> str:
    return f"{rule.name}: {sentence(rule)} {notifies(rule, rules)}{_on_history(rule.name, a_day)}"


def _on_history(name: str, a_day: Mapping[str, float]) -> str:
    if name not in a_day:
        return ""
    return f" On the history: {a_day[name]:.1f} message{'' if round(a_day[name], 1) == 1 else 's'} a day."


def notifies(rule: Rule, rules: Rules) -> str:
    """Return the sentence that names whom a rule notifies."""
    return f"Notifies{'' if rule.route is not None else ','} {notified_of(rule, rules)}."


def _others(rules: Rules, a_day: Mapping[str, float]) -> list[str]:
    nobody = (
        "" if rules.default.targets or rules.default.nobody else ": events that no rule or route matches reach nobody"
    )
    return [
        f"Everything else: notifies {route_targets(rules.default)}{nobody}.{_on_history('', a_day)}",
        f"What cannot be delivered: notifies {route_targets(rules.fallback)}.",
    ]


def as_json(report: CheckReport, a_day: Mapping[str, float], seen: "SeenNames | None" = None) -> str:
    """Return the report for tools: one object."""
    rules = report.rules.rules if report.rules else ()
    content = {
        "mistakes": [_mistake(each) for each in report.mistakes],
        "warnings": [_mistake(each) for each in report.warnings],
        "rules": [
            {
                "name": rule.name,
                "sentence": sentence(rule),
                "hears": notifies(rule, report.rules) if report.rules else "",
                **({"messages_a_day": round(a_day[rule.name], 2)} if rule.name in a_day else {}),
            }
            for rule in rules
        ],
        **({"disabled": list(report.rules.disabled)} if report.rules and report.rules.disabled else {}),
        **({"messages_a_day_of_everything_else": round(a_day[""], 2)} if "" in a_day else {}),
        **({"variables": list(report.variables)} if report.variables else {}),
        **_services_json(report, seen),
        **_labels_json(seen),
        **_probes_json(report),
    }
    return json.dumps(content, ensure_ascii=False, indent=2)


def _probes_json(report: CheckReport) -> dict[str, Any]:
    found = costs(report.rules) if report.rules else []
    rows = [
        {"kind": each.kind, "name": each.name, "runs": each.runs, "samples": each.samples, "usd": round(each.usd, 4)}
        for each in found
    ]
    state = round(state_usd(report.rules), 4) if report.rules else 0.0
    return {"probes_a_month": rows, "probe_state_usd_a_month": state} if rows else {}


def _services_json(report: CheckReport, seen: "SeenNames | None") -> dict[str, Any]:
    if seen is None or report.rules is None or not report.rules.services.declared:
        return {}
    unknown = [{"source": source, "service": said, "count": count} for source, said, count in seen.unknown]
    unmatched = [{"service": name, "alias": dict(alias)} for name, alias in seen.unmatched]
    return {"services_unknown": unknown, "aliases_unmatched": unmatched}


def _labels_json(seen: "SeenNames | None") -> dict[str, Any]:
    rows = [{"rule": name, "label": label} for name, label in seen.unlabelled] if seen is not None else []
    return {"labels_unseen": rows} if rows else {}


def _mistake(mistake: Mistake) -> dict[str, Any]:
    return {
        "file": mistake.file,
        "line": mistake.line,
        "column": mistake.column,
        "kind": mistake.kind,
        "what": mistake.what,
        "allowed": mistake.allowed,
        "suggestion": mistake.suggestion,
        "message": str(mistake),
    }
