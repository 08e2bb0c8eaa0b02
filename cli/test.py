"""tocsin test [FILE…]: the `tests:` of a rules file, run through the real decisions on a virtual clock.

A test is a timeline (`given`: the lines of `tocsin replay`) and what must come of it: notifications in their order and
no others, and the states of alerts at times. promtool's rule tests are read as far as they apply (`promtool.py`), in a
rules file or in a file of their own whose `rule_files` names the rules.

Exit 0 when all hold, 1 when one does not or holds an expectation that cannot be checked, 2 when a file cannot be
understood.
"""

import argparse
import glob
import itertools
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml

from chalicelib.core.errors import RulesError, TocsinError
from chalicelib.core.rule import Rules
from chalicelib.rules.compiled import RULES_NAME, Values
from chalicelib.rules.file import CheckReport, check
from cli.variables import add_variables, values_of
from simulation import promtool
from simulation.promtool import PromtoolError
from simulation.rule_test import Difference, differences_of, story_of

PASSED, FAILED, WRONG = 0, 1, 2


HELP = "run the tests of the rules file, or promtool's rule tests as far as they apply"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "files", metavar="FILE", nargs="*", help=f"rules files, or promtool's test files ({RULES_NAME})"
    )
    parser.add_argument("--rules", metavar="FILE", help="the rules file, in place of what `rule_files` names")
    add_variables(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object, for tools")


def run(arguments: argparse.Namespace) -> int:
    """Run all files; print each test, and of one that fails the difference."""
    results: list[Result] = []
    try:
        values = values_of(arguments)
        for name in arguments.files or [RULES_NAME]:
            results += run_file(name, arguments.rules, values)
    except TocsinError as error:
        print(error, file=sys.stderr)
        return WRONG
    print(as_json(results) if arguments.json else as_text(results))
    if any(result.wrong for result in results):
        return WRONG
    return FAILED if any(not result.passed or result.unchecked for result in results) else PASSED


# ---------------------------------------------------------------------------------------------------------------------
# Files


@dataclass(frozen=True, slots=True)
class Result:
    """How one test went. `wrong` says why it could not be run; `left_out` what of it does not apply.

    `unchecked` counts its expectations that Tocsin cannot check.
    """

    file: str
    line: int
    name: str
    differences: tuple[Difference, ...] = ()
    wrong: str = ""
    left_out: tuple[str, ...] = ()
    unchecked: int = 0

    @property
    def passed(self) -> bool:
        """Return whether everything came as expected."""
        return not self.wrong and all(each.sign == " " for each in self.differences)


def run_file(name: str, rules_name: str | None = None, variables: Values = os.environ.get) -> list[Result]:
    """Run every test of a rules file, or of a promtool file. RulesError lists the mistakes of what cannot be run."""
    text = _read(name)
    report = check(text, filename=name, variables=variables)
    if not _is_promtool(report.data):
        if report.mistakes:
            raise RulesError("\n".join(map(str, report.mistakes)))
        return _run_tests(name, report, _rules_of(rules_name, variables) if rules_name else report.rules or Rules())
    named = rules_name or _rule_file(name, report)
    minute = promtool.DEFAULT_INTERVAL.total_seconds()
    seconds = promtool.seconds_of(report.data.get("evaluation_interval", f"{minute:g}s"), "evaluation_interval")
    left_out = tuple(_left_out(report.data))
    return _run_tests(name, report, _rules_of(named, variables), timedelta(seconds=seconds), left_out)


def _read(name: str) -> str:
    try:
        return Path(name).read_text(encoding="utf-8")
    except OSError as error:
        raise RulesError(f"{name}: cannot be read ({error.strerror}); expected is a rules file") from None
    except UnicodeDecodeError:
        raise RulesError(f"{name}: is not UTF-8; expected is a rules file in UTF-8") from None


def _is_promtool(data: Mapping[str, Any]) -> bool:
    return bool(data.keys() & {"rule_files", "evaluation_interval", "group_eval_order"})


def _rule_file(name: str, report: CheckReport) -> str:
    """Return the one rules file that a promtool file names, by a path from its own folder."""
    line = report.places.get(("rule_files",), (1, 1))[0]
    patterns = report.data.get("rule_files")
    if not isinstance(patterns, list) or not patterns:
        raise RulesError(f"{name}:{line}: rule_files names no file; allowed is one rules file, or --rules FILE")
    folder = Path(name).parent
    found = sorted({path for each in patterns for path in glob.glob(str(folder / str(each)))})
    if len(found) != 1:
        raise RulesError(f"{name}:{line}: rule_files names {len(found)} files; allowed is one rules file")
    return found[0]


def _rules_of(name: str, variables: Values) -> Rules:
    report = check(_read(name), filename=name, variables=variables)
    if "groups" in report.data:
        raise RulesError(f"{name}: is a rules file of Prometheus; allowed is a rules file of Tocsin, or --rules FILE")
    if report.rules is None:
        raise RulesError("\n".join(str(each) for each in report.mistakes if each.kind == "mistake"))
    return report.rules


def _left_out(data: Mapping[str, Any]) -> Iterator[str]:
    for key, why in promtool.LEFT_OUT.items():
        if key in data:
            yield f"{key}: {why}"


def _run_tests(
    file: str,
    report: CheckReport,
    rules: Rules,
    interval: timedelta = promtool.DEFAULT_INTERVAL,
    left_out: tuple[str, ...] = (),
) -> list[Result]:
    results = []
    for index, test in enumerate(report.data.get("tests") or ()):
        line = report.places.get(("tests", index), (1, 1))[0]
        named = test.get("name") if isinstance(test, Mapping) else None
        result = Result(file, line, str(named or f"test {index + 1}"), left_out=left_out)
        try:
            result = _run_test(result, test, _given_lines(report, index, line), rules, interval)
        except TocsinError as error:
            result = _not_run(result, str(error))
        results.append(result)
    return results


def _given_lines(report: CheckReport, index: int, line: int) -> Iterator[int]:
    """Yield in which lines of the file the lines of a timeline stand."""
    return (report.places.get(("tests", index, "given", number), (line, 1))[0] for number in itertools.count())


def _run_test(result: Result, test: Any, lines: Iterator[int], rules: Rules, interval: timedelta) -> Result:
    if not isinstance(test, Mapping):
        raise PromtoolError("the test is not a mapping; allowed is {name: …, given: […], expect: […]}")
    differences = tuple(differences_of(story_of(test, interval, lines), rules, result.file))
    unchecked = test.get(promtool.NOT_CHECKED) or []
    return replace(
        result,
        differences=differences,
        left_out=(*result.left_out, *_left_out(test)),
        unchecked=len(unchecked) if isinstance(unchecked, list) else 1,
    )


def _not_run(result: Result, error: str) -> Result:
    """Return the reason, at the line of the file that it names itself, if it does."""
    place, _, rest = error.removeprefix(f"{result.file}:").partition(": ")
    if place.isdigit() and int(place):
        return replace(result, line=int(place), wrong=rest)
    return replace(result, wrong=rest if place.isdigit() else error)


# ---------------------------------------------------------------------------------------------------------------------
# In words


def as_text(results: Sequence[Result]) -> str:
    """Return the text for people: one line for each test, the difference under one that fails, and the count."""
    lines: list[str] = []
    for result in results:
        word = "cannot be run" if result.wrong else "ok" if result.passed else "FAILED"
        lines.append(f"{result.file}:{result.line}: {result.name}: {word}{': ' + result.wrong if result.wrong else ''}")
        lines += [f"    left out: {each}" for each in result.left_out]
        lines += [f"    not checked: {promtool.NOT_CHECKED}: Tocsin has no PromQL"] if result.unchecked else []
        if not result.passed and not result.wrong:
            lines.append("    - expected, + came")
            lines += [f"    {each.sign} {_flow(each.what)}" for each in result.differences]
    counts = [
        (sum(result.passed for result in results), "passed"),
        (sum(not result.passed and not result.wrong for result in results), "failed"),
        (sum(bool(result.wrong) for result in results), "cannot be run"),
        (sum(result.unchecked for result in results), "not checked"),
    ]
    said = ", ".join(f"{count} {word}" for count, word in counts if count)
    return "\n".join([*lines, *([""] if lines else []), f"{said}." if said else "no tests."])


def _flow(what: Mapping[str, Any]) -> str:
    """Return one line of YAML, as it could stand in the file."""
    plain = json.loads(json.dumps(what, default=str))
    text: str = yaml.safe_dump(plain, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10**9)
    return text.strip()


def as_json(results: Sequence[Result]) -> str:
    """Return one object, for tools."""
    content = {
        "passed": sum(result.passed for result in results),
        "failed": sum(not result.passed for result in results),
        "not_checked": sum(result.unchecked for result in results),
        "tests": [
            {
                "file": result.file,
                "line": result.line,
                "name": result.name,
                "passed": result.passed,
                "missing": [each.what for each in result.differences if each.sign == "-"],
                "unexpected": [each.what for each in result.differences if each.sign == "+"],
                "wrong": result.wrong or None,
                "left_out": list(result.left_out),
                "not_checked": result.unchecked,
            }
            for result in results
        ],
    }
    return json.dumps(content, ensure_ascii=False, indent=2, default=str)
