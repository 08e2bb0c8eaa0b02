"""Who may import whom, and what the ingest path may load."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "chalicelib"
FILES = sorted([*PACKAGE.rglob("*.py"), ROOT / "app.py"])
PLUGIN_FOLDERS = ("sources", "targets", "probes", "histories")

ONLY_IN = {
    "boto3": ("chalicelib/aws/", "chalicelib/clients.py"),
    "botocore": ("chalicelib/aws/", "chalicelib/clients.py", "chalicelib/targets/email.py"),
    "httpcore": ("chalicelib/deadline.py",),
    "httpx": (
        "chalicelib/clients.py",
        "chalicelib/deadline.py",
        "chalicelib/slack/rollback.py",
        "chalicelib/targets/",
        "chalicelib/probes/",
        "chalicelib/histories/",
    ),
    "yaml": ("chalicelib/rules/file/",),
    "pydantic": ("chalicelib/rules/file/",),
    "pydantic_core": ("chalicelib/rules/file/",),
    "re2": ("chalicelib/core/pattern.py",),
    "sentry_sdk": ("chalicelib/telemetry.py",),
    "psycopg": ("chalicelib/probes/",),
    "pg8000": ("chalicelib/probes/",),
    "redis": ("chalicelib/probes/",),
    "jinja2": ("chalicelib/web/",),
    "chalice": ("app.py",),
}
LATE_IMPORTS_IN = ("app.py", "chalicelib/plugins.py")
ENGINES = {"chalicelib/core/pattern.py": ["re2"]}
"""The one package that core needs: the standard library has no regular expressions in linear time.

It is imported late, so that only what matches a pattern loads it.
"""
STAGES = ("process", "deliver", "schedule", "slack/handle.py")
OUTSIDE = (
    "chalicelib.aws",
    "chalicelib.wiring",
    "chalicelib.clients",
    "chalicelib.ingest.wiring",
    "chalicelib.settings",
)


def name_of(path: Path) -> str:
    """The path from the root, with slashes."""
    return path.relative_to(ROOT).as_posix()


def _typing_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


def imports(path: Path, *, late: bool | None = None) -> Iterator[str]:
    """The modules a file imports, with the names taken from a package; not those for types only.

    `late` True: only those inside functions; False: only those outside.
    """
    waiting: list[tuple[ast.AST, bool]] = [(ast.parse(path.read_text()), False)]
    while waiting:
        node, inside = waiting.pop()
        if _typing_only(node):
            continue
        inside = inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if late is None or late == inside:
            yield from _imported(node)
        waiting += [(child, inside) for child in ast.iter_child_nodes(node)]


def _imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute"
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_the_imports_are_found():
    """The reader of imports sees what is there: late ones, those of names, and not those for types."""
    found = set(imports(ROOT / "app.py", late=True))
    assert "chalicelib.process.worker.process" in found
    assert "chalice.app.Chalice" in set(imports(ROOT / "app.py", late=False))
    assert len(FILES) > 30


@pytest.mark.parametrize(
    "path", [p for p in FILES if name_of(p).startswith(("chalicelib/core/", "chalicelib/sources/"))], ids=name_of
)
def test_core_and_sources_import_only_the_standard_library_and_core(path):
    """No decision and no sender's plug-in needs anything installed but RE2. Sources may share a `_part`."""
    for module in imports(path):
        parts = module.split(".")
        shared = parts[:2] == ["chalicelib", "sources"] and path.parent.name == "sources" and parts[2].startswith("_")
        known = parts[0] in sys.stdlib_module_names or parts[:2] == ["chalicelib", "core"]
        engine = module in ENGINES.get(name_of(path), [])
        assert known or shared or engine, f"{name_of(path)} imports {module}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_heavy_packages_stay_in_their_place(path):
    """Each package that is not ours is imported only where it may be, and none that is not on the list."""
    for module in imports(path):
        package = module.partition(".")[0]
        if package in sys.stdlib_module_names or package == "chalicelib":
            continue
        assert package in ONLY_IN, f"{name_of(path)} imports {module}, which no part may"
        allowed = ONLY_IN[package]
        assert name_of(path).startswith(allowed), f"{name_of(path)} imports {module}; allowed in {', '.join(allowed)}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_plugins_never_import_each_other(path):
    """What plug-ins share is in core, in their folder's own file or in a `_part`; nobody imports a plug-in."""
    for module in imports(path):
        parts = module.split(".")
        if parts[0] != "chalicelib" or len(parts) < 3 or parts[1] not in PLUGIN_FOLDERS:
            continue
        if not (PACKAGE / parts[1] / f"{parts[2]}.py").exists():
            continue
        shared = path.parent == PACKAGE / parts[1] and parts[2].startswith("_")
        assert shared, f"{name_of(path)} imports the plug-in {module}; plugins.load finds it by name"


@pytest.mark.parametrize(
    "path", [p for p in FILES if name_of(p).startswith(tuple(f"chalicelib/{each}" for each in STAGES))], ids=name_of
)
def test_stages_know_no_adapter(path):
    """Stages are given their ports; so replay runs the same code in memory."""
    for module in imports(path):
        assert not module.startswith(OUTSIDE), f"{name_of(path)} imports {module}"


@pytest.mark.parametrize("path", [p for p in FILES if name_of(p) not in LATE_IMPORTS_IN], ids=name_of)
def test_late_imports_live_in_three_places(path):
    """Handler bodies of app.py, plugins.load, RE2, and a source's own `_part`, which its door does not need."""
    own = [f"chalicelib.sources._{path.stem}"] if path.parent == PACKAGE / "sources" else []
    own = [*own, *ENGINES.get(name_of(path), [])]
    assert [module for module in imports(path, late=True) if module not in own] == []


def test_app_imports_at_its_top_only_what_every_function_needs():
    """Chalice and the ingest path; the rest is in handler bodies."""
    allowed = (
        "chalice.",
        "chalicelib.log",
        "chalicelib.core.errors",
        "chalicelib.ingest.wiring",
        "chalicelib.ingest.receive",
    )
    allowed += ("chalicelib.settings",)
    for module in imports(ROOT / "app.py", late=False):
        if module.partition(".")[0] not in sys.stdlib_module_names:
            assert module.startswith(allowed) or module == "chalicelib.log", f"app.py imports {module} at its top"


PAUSES_FROM = ("app.py", "chalicelib/wiring.py")


def test_nothing_sleeps():
    """Waiting belongs to the queues: nothing calls sleep; `watch` and the table's reader are handed their pause."""
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr == "sleep":
                raise AssertionError(f"{name_of(path)}:{node.lineno} sleeps")
            if "time.sleep" in _imported(node):
                assert name_of(path) in PAUSES_FROM, f"{name_of(path)}:{node.lineno} imports sleep"


CALLS_OF_HTTPX = {
    "Client",
    "AsyncClient",
    "request",
    "stream",
    "get",
    "options",
    "head",
    "post",
    "put",
    "patch",
    "delete",
}


@pytest.mark.parametrize("path", [p for p in FILES if name_of(p) != "chalicelib/clients.py"], ids=name_of)
def test_there_is_one_http_client(path):
    """The factory of clients.py holds deadlines, cookies and redirects: nothing else builds a client or calls without."""
    for node in ast.walk(ast.parse(path.read_text())):
        called = node.func if isinstance(node, ast.Call) else None
        if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name) and called.value.id == "httpx":
            assert called.attr not in CALLS_OF_HTTPX, f"{name_of(path)}:{node.lineno} calls httpx.{called.attr}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_httpx_follows_no_redirect(path):
    """httpx would take custom secret headers along to another host; who follows redirects does so by the probes' own rules."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.keyword) and node.arg == "follow_redirects":
            follows = not (isinstance(node.value, ast.Constant) and node.value.value is False)
            assert not follows, f"{name_of(path)}:{node.value.lineno} follows redirects"


PACKAGES = ("chalicelib", "cli", "local", "simulation")


def _graph() -> dict[str, set[str]]:
    """The modules that each module imports, for types included; of `from a import b` it is a.b where that is a module."""
    paths = [ROOT / "app.py", *(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))]
    modules = {name_of(path).removesuffix(".py").removesuffix("/__init__").replace("/", "."): path for path in paths}
    found: dict[str, set[str]] = {}
    for name, path in modules.items():
        wanted = {module for node in ast.walk(ast.parse(path.read_text())) for module in _imported(node)}
        known = {module if module in modules else module.rpartition(".")[0] for module in wanted}
        found[name] = (known & modules.keys()) - {name}
    return found


def circles(graph: dict[str, set[str]]) -> list[str]:
    """The modules of circles, and those that import them: what is left when modules that import nothing left go first."""
    left = {name: set(wanted) for name, wanted in graph.items()}
    while free := [name for name, wanted in left.items() if not wanted]:
        for name in free:
            del left[name]
        for wanted in left.values():
            wanted.difference_update(free)
    return sorted(left)


def test_modules_import_one_another_in_no_circle():
    """A circle cannot be read from its beginning, since it has none."""
    assert circles(_graph()) == []


def test_a_circle_is_found():
    """The test above fails for two modules that import each other, and for those that import them."""
    assert circles({"a": {"b"}, "b": {"a"}, "c": {"a"}, "d": set()}) == ["a", "b", "c"]
