"""What belongs to a plug-in beside its file: fixtures, a test, a row in the documentation, an entry in the schema.

Everything here is a sentence that names what is missing and where to put it; none when nothing is. The checkout is an
argument, so that a test can look at one that lacks something.
"""

import ast
import inspect
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from chalicelib import plugins
from chalicelib.core.delivery.target_kind import Capabilities
from tests.sources.bodies import FURTHER

SCHEMA = "docs/alert-rules.schema.json"


def missing(folder: str, name: str, root: Path) -> list[str]:
    """What of a plug-in is missing in a checkout."""
    return [f"{folder}/{name}.py: {each}" for each in _PIECES[folder](name, root)]


def _of_source(name: str, root: Path) -> Iterator[str]:
    folders = (root / "tests/sources/fixtures" / each for each in (name, *FURTHER.get(name, ())))
    if not any(path for folder in folders for path in folder.glob("*.json")):
        yield f"no real body: put a beginning and its end into tests/sources/fixtures/{name}/, a .json file each"
    yield from _without_test(root, f"tests/sources/test_{name}.py")
    if name != plugins.GENERIC:
        yield from _without_row(root, "docs/sources.md", f"`{name}`")


def _of_target(name: str, root: Path) -> Iterator[str]:
    yield from _without_test(root, f"tests/targets/test_{name}.py")
    yield from _without_row(root, "docs/delivery.md", f"`{name}: ")
    yield from _without_entry(root, "TargetForm", name)


def _of_probe(name: str, root: Path) -> Iterator[str]:
    yield from _without_test(root, f"tests/probes/test_{name}.py")
    yield from _without_row(root, "docs/rules.md", f" `{name}` ")
    yield from _without_entry(root, "ProbesForm", name)


def _of_history(name: str, root: Path) -> Iterator[str]:
    if not plugins.exists("sources", name):
        yield f"no source of that name: a history belongs to chalicelib/sources/{name}.py"
        return
    yield from _without_test(root, f"tests/histories/test_{name}.py")
    yield from _without_row(root, "docs/sources.md", plugins.load_source(name).TITLE)


def _of_command(name: str, root: Path) -> Iterator[str]:
    word = name.replace("_", "-")
    cells = _first_cells(root / "README.md")
    if not any(f"`{word}`" in cell or f"`tocsin {word}`" in cell for cell in cells):
        yield f"no row in README.md: add one to its table of commands that begins with | `tocsin {word}`"
    if not any(_runs(path, name, word) for path in (root / "tests").rglob("test_*.py")):
        yield f"no test: write tests/cli/test_{name}.py"


_PIECES: Mapping[str, Callable[[str, Path], Iterator[str]]] = {
    "sources": _of_source,
    "targets": _of_target,
    "probes": _of_probe,
    "histories": _of_history,
    "cli": _of_command,
}


def _without_test(root: Path, place: str) -> Iterator[str]:
    if not (root / place).is_file() or "\ndef test_" not in (root / place).read_text("utf-8"):
        yield f"no test: write {place}"


def _without_row(root: Path, page: str, beginning: str) -> Iterator[str]:
    if not any(beginning in cell for cell in _first_cells(root / page)):
        yield f"no row in {page}: add one to its tables that begins with | {beginning.strip()}"


def _first_cells(page: Path) -> list[str]:
    """The first cell of every row of a page's tables; it may name several."""
    lines = page.read_text("utf-8").splitlines() if page.is_file() else []
    return [line.split("|")[1] for line in lines if line.startswith("| ")]


def _without_entry(root: Path, form: str, name: str) -> Iterator[str]:
    path = root / SCHEMA
    schema: Any = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    if not schema.get("$defs", {}).get(form, {}).get("properties", {}).get(name, {}).get("description"):
        yield f"no entry in {SCHEMA}: run `.venv/bin/python -m chalicelib.rules.file schema`"


def _runs(path: Path, name: str, word: str) -> bool:
    """Whether a test of the command line imports a command, or hands its word on, as `main(["ack", …])` does."""
    text = path.read_text("utf-8")
    return "cli" in text and word in text and any(_mentions(each, name, word) for each in ast.walk(ast.parse(text)))


def _mentions(node: ast.AST, name: str, word: str) -> bool:
    if isinstance(node, ast.ImportFrom):
        return node.module == f"cli.{name}" or (node.module == "cli" and name in {each.name for each in node.names})
    words = node.args[:1] if isinstance(node, ast.Call) else node.elts if isinstance(node, ast.List) else []
    return any(isinstance(each, ast.Constant) and each.value == word for each in words)


def capabilities_row(kind: str, can: Capabilities) -> str:
    """The row of docs/delivery.md that says what the receivers of a kind can do."""
    flags = (can.pages, can.edits, can.shows_silences, can.takes_changes, can.threads)
    return f"| `{kind}` | {' | '.join('yes' if each else 'no' for each in flags)} |"


def unlike(module: object, protocol: type) -> list[str]:
    """Where a module is not what a protocol asks for: what it lacks, and functions with other arguments."""
    names = {*getattr(protocol, "__annotations__", ()), *vars(protocol)}
    found = []
    for name in sorted(each for each in names if not each.startswith("_")):
        if not hasattr(module, name):
            found.append(f"has no {name}")
        elif inspect.isfunction(wanted := vars(protocol).get(name)):
            found += [f"{name} {each}" for each in _other_arguments(getattr(module, name), wanted)]
    return found


def _other_arguments(given: Callable[..., object], wanted: Callable[..., object]) -> list[str]:
    """How the arguments of a function of a module differ from those of a method, which has `self` before them."""
    has, asked = inspect.signature(given).parameters, inspect.signature(wanted).parameters
    needed = [name for name, each in has.items() if each.default is each.empty]
    return [
        *(f"takes no {name}" for name in asked if name not in has and name != "self"),
        *(f"needs {name} too" for name in needed if name not in asked),
    ]
