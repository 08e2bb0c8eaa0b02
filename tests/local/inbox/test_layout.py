"""Which module of the inbox imports which: no circle, and no stand-in that needs the drawing."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
INBOX = ROOT / "local" / "inbox"
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(INBOX.rglob("*.py"))
}
DRAWING = "local.inbox.drawing"
COMPOSES = "local.inbox.server"
"""The one module that puts stand-ins, routes and pages together."""
HTTP = ("starlette", "uvicorn")
SERVES = ("addresses", "control", "drawing.pages", "http", "listener", "server")
"""What knows the framework. All else works on values, so that tests can call it without a connection."""


def imports(source: str) -> Iterator[str]:
    """Yield the modules that a text imports, wherever it does, those for types included."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def module_of(name: str) -> str | None:
    """Return the inbox's module that an imported name is, or is in."""
    while name and name not in MODULES:
        name = name.rpartition(".")[0]
    return name or None


def own_imports(module: str) -> set[str]:
    """Return the inbox's modules that one of them imports."""
    found = {module_of(name) for name in imports(MODULES[module].read_text())}
    return {each for each in found if each is not None}


def test_imports_are_found() -> None:
    """Late imports, imports for types, and names of packages → are all found."""
    source = "if TYPE_CHECKING:\n    from local.inbox.memory import Memory\ndef f():\n    import local.inbox.http\n"
    assert [module_of(name) for name in imports(source)] == ["local.inbox.memory", "local.inbox.http"]
    assert module_of("local.inbox.Inbox") == "local.inbox" and module_of("json.loads") is None
    assert COMPOSES in own_imports("local.inbox")
    assert len(MODULES) > 25


def test_no_module_imports_itself_by_others() -> None:
    """Given every import, those for types too → there is an order in which each module comes after its own imports."""
    order = TopologicalSorter({module: own_imports(module) for module in MODULES})
    try:
        order.prepare()
    except CycleError as circle:
        pytest.fail(f"imports go round: {' → '.join(circle.args[1])}")


@pytest.mark.parametrize("module", [each for each in MODULES if not each.startswith(DRAWING) and each != COMPOSES])
def test_what_answers_needs_no_drawing(module: str) -> None:
    """A module outside the drawing → imports none of it; only the server adds the pages."""
    assert [each for each in own_imports(module) if each.startswith(DRAWING)] == []


@pytest.mark.parametrize("module", [each for each in MODULES if each.removeprefix("local.inbox.") not in SERVES])
def test_only_what_serves_knows_the_framework(module: str) -> None:
    """A stand-in, the memory or a drawing → imports no part of the web framework."""
    assert [name for name in imports(MODULES[module].read_text()) if name.partition(".")[0] in HTTP] == []


def test_the_framework_is_not_shipped() -> None:
    """The web framework → is pinned for development, and is none of the Lambda's requirements."""
    shipped, local = ((ROOT / name).read_text() for name in ("requirements.txt", "requirements-dev.txt"))
    for package in HTTP:
        assert f"{package}==" in local and package not in shipped
