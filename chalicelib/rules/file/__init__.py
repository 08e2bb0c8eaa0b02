"""alert-rules.yaml → rules: the only YAML and pydantic of the rules.

    load(text)             the rules; RulesError lists every mistake, one a line
    check(text)            mistakes, warnings and the rules, for `tocsin check`
    compile_rules(text)    the checked file as JSON, with what every kind of target can do: what is shipped, so that no cold
                           start parses YAML or loads the files of targets/
    from_compiled(text)    the rules from that; needs neither yaml nor pydantic (`core/build.py`)

    python -m chalicelib.rules.file compile [FOLDER] | schema

Three passes over one file: YAML with the place of every word and its traps (`document.py`), the form (`form.py`: one
pydantic model over `values.py`), and the sense (`sense.py`: conditions and names; `reach.py`: what can never happen;
`circles.py`: alerts that mute each other; `services.py`: what services are called and need; `outside.py`: probes, sources, tests, pages). Each goes on after a mistake, so that all of them are reported at once, as
`file:line:column: what; allowed is …; did you mean …`.
"""

import json
import os
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path as FilePath
from typing import Any

from chalicelib.core.build import rules_from
from chalicelib.core.errors import RulesError
from chalicelib.core.field import kind_of
from chalicelib.core.rule import Rules
from chalicelib.parameters import of_targets
from chalicelib.rules.compiled import COMPILED_NAME, COMPILED_VERSION, RULES_NAME, Values, from_compiled, source_hash
from chalicelib.rules.file.document import Document, Mark, read_yaml
from chalicelib.rules.file.finding import WARNINGS, Path, Sense
from chalicelib.rules.file.foreign import whole_file
from chalicelib.rules.file.form import form_findings
from chalicelib.rules.file.schema import json_schema
from chalicelib.rules.file.sense import sense_of
from chalicelib.rules.file.variables import variables_in, with_values
from chalicelib.targets import capabilities

__all__ = [
    "Mistake",
    "Report",
    "check",
    "compile_rules",
    "from_compiled",
    "json_schema",
    "load",
    "variables_of",
    "write_compiled",
    "write_schema",
]


@dataclass(frozen=True, slots=True, order=True)
class Mistake:
    """One line for the operator. `kind` is mistake, template or test (the router runs on), warning, or doubt.

    A doubt is a warning that a deploy lets pass: it may be meant so.
    """

    line: int
    column: int
    what: str
    allowed: str = ""
    suggestion: str = ""
    kind: str = "mistake"
    file: str = ""

    def __str__(self) -> str:
        found = f"{self.file}:{self.line}:{self.column}: {self.what}"
        if self.allowed:
            found += f"; allowed is {self.allowed}"
        if self.suggestion:
            found += f"; did you mean {self.suggestion}"
        return found


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a file comes to: `data` as written, and the (line, column) of each of its parts.

    `rules` is None when there are mistakes other than in templates and tests.
    """

    mistakes: tuple[Mistake, ...]
    warnings: tuple[Mistake, ...]
    rules: Rules | None
    data: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, int] = field(default_factory=dict)
    """The names of the variables, each with the first line where it stands."""
    places: Mapping[Path, Mark] = field(default_factory=dict)


def check(
    text: str,
    *,
    filename: str = "alert-rules.yaml",
    runbooks: Mapping[str, str] | Collection[str] | None = None,
    metrics: Collection[str] = (),
    variables: Values | None = None,
) -> CheckReport:
    """Return everything that is wrong or doubtful. `runbooks` are the pages by name, with their text to look into them.

    `metrics` are names that conditions may use beside the known ones and those of the file. Without `variables` the
    file is checked for no stage: `${NAME}` stays.
    """
    return _report(text, filename, runbooks, Sense(metrics=frozenset(metrics)), variables)


def _report(
    text: str,
    filename: str,
    runbooks: Mapping[str, str] | Collection[str] | None,
    sense: Sense,
    variables: Values | None,
) -> CheckReport:
    text = text.removeprefix("\ufeff")
    document = read_yaml(text)
    broken = bool(document.findings) and document.data is None
    data = document.data if isinstance(document.data, Mapping) else {}
    if document.data is not None and not isinstance(document.data, Mapping):
        document.say((), f"the file is {kind_of(document.data)}", "a mapping with alerts, such as alerts: []")
    elif document.data is None and not broken:
        document.say((), "the file is empty", "a mapping with alerts, such as alerts: []")
    named = {name: document.where(path)[0] for name, path in variables_in(data).items()}
    data, wrong = with_values(data, variables)
    document.findings += wrong
    for found in whole_file(data):
        document.say(found.path, found.what, found.allowed, key=True)
    document.findings += [*form_findings(data, document)] if data else []
    sense.runbooks = runbooks
    sense.line_of = lambda path: document.where(path)[0]
    document.findings += [
        found for found in sense_of(data, sense) if not document.is_told(found.path) or found.kind in WARNINGS
    ]
    mistakes, warnings = _placed(document, filename)
    rules = None
    if not any(each.kind == "mistake" for each in mistakes):
        rules = rules_from(_clean(data), capabilities())
    return CheckReport(mistakes, warnings, rules, data, named, document.values)


def variables_of(text: str) -> tuple[str, ...]:
    """Return the names of the variables of a file, whatever else is wrong with it."""
    return tuple(check(text).variables)


def _clean(data: Mapping[str, Any]) -> dict[str, Any]:
    """Remove the sections that are empty or only for tests."""
    return {key: value for key, value in data.items() if value is not None and key not in ("tests", "metrics")}


def _placed(document: Document, filename: str) -> tuple[tuple[Mistake, ...], tuple[Mistake, ...]]:
    found: dict[Mistake, None] = {}
    for each in document.findings:
        line, column = document.where(each.path, key=each.at_key)
        if each.column and each.path in document.text_at:
            line, column = document.text_at[each.path]
            column += each.column - 1
        found[Mistake(line, column, each.what, each.allowed, each.suggestion, each.kind, filename)] = None
    ordered = sorted(found)
    warnings = tuple(each for each in ordered if each.kind in WARNINGS)
    return tuple(each for each in ordered if each.kind not in WARNINGS), warnings


# ---------------------------------------------------------------------------------------------------------------------
# Loading


def load(
    text: str,
    *,
    filename: str = "alert-rules.yaml",
    runbooks: Mapping[str, str] | Collection[str] | None = None,
    strict: bool = False,
    tolerate_templates: bool = False,
    metrics: Collection[str] = (),
    variables: Values | None = os.environ.get,
) -> Rules:
    """Return the rules of a file. RulesError lists every mistake, one a line; `strict` counts warnings too. Its tests
    are not run.

    With `tolerate_templates` the file is run as production would: rules whose only mistake is their template are sent
    in the plain form (`Rules.broken_templates`), and a metric that resembles no known one may come from outside.
    Without `variables` they stay, and nobody can be notified by such rules.
    """
    sense = Sense(metrics=frozenset(metrics), any_metric=tolerate_templates)
    report = _report(text, filename, runbooks, sense, variables)
    tolerated = ("template", "test") if tolerate_templates else ("test",)
    wrong = [each for each in report.mistakes if each.kind not in tolerated]
    wrong += report.warnings if strict else ()
    if wrong or report.rules is None:
        raise RulesError("\n".join(str(each) for each in sorted(wrong)))
    return report.rules


def compile_rules(text: str, *, filename: str = "alert-rules.yaml", variables: Values | None = os.environ.get) -> str:
    """Return the checked file as JSON, with the values of its variables and the hash of its text. RulesError lists every mistake."""
    report = _report(text, filename, None, Sense(any_metric=True), variables)
    wrong = [each for each in report.mistakes if each.kind not in ("template", "test")]
    if wrong:
        raise RulesError("\n".join(str(each) for each in wrong))
    kinds = {kind: {name: True for name, has in asdict(can).items() if has} for kind, can in capabilities().items()}
    content = {"v": COMPILED_VERSION, "sha256": source_hash(text), "kinds": kinds, "rules": _clean(report.data)}
    if report.rules is not None:
        content["parameters"] = of_targets(report.rules)
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def write_schema(root: FilePath) -> None:
    """Publish the schema in docs/, for editors."""
    path = root / "docs" / "alert-rules.schema.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_compiled(folder: FilePath) -> FilePath:
    """Compile the rules file of a folder beside it, for what is shipped. RulesError lists every mistake."""
    text = (folder / RULES_NAME).read_text(encoding="utf-8")
    path = folder / COMPILED_NAME
    path.write_text(compile_rules(text, filename=str(folder / RULES_NAME)), encoding="utf-8")
    return path
