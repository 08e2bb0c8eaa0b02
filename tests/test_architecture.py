"""Who may import whom, by a statement or by a call, and which words core does not know."""

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

from chalicelib.targets import kinds

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "chalicelib"
FILES = sorted([*PACKAGE.rglob("*.py"), ROOT / "app.py"])
ALL_FILES = sorted(
    [*FILES, *(path for name in ("cli", "deploy", "local", "simulation") for path in (ROOT / name).rglob("*.py"))]
)
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
        "chalicelib/web/provider.py",
    ),
    "yaml": ("chalicelib/rules/file/",),
    "pydantic": ("chalicelib/rules/file/",),
    "pydantic_core": ("chalicelib/rules/file/",),
    "re2": ("chalicelib/core/pattern.py",),
    "cronsim": ("chalicelib/core/language/cron.py",),
    "isal": ("chalicelib/messages/webhook.py",),
    "sentry_sdk": ("chalicelib/telemetry.py",),
    "certifi": ("chalicelib/probes/",),
    "h11": ("chalicelib/probes/",),
    "h2": ("chalicelib/probes/",),
    "dns": ("chalicelib/probes/",),
    "psycopg": ("chalicelib/probes/",),
    "pg8000": ("chalicelib/probes/",),
    "redis": ("chalicelib/probes/",),
    "jinja2": ("chalicelib/web/",),
    "joserfc": ("chalicelib/web/provider.py",),
    "chalice": ("app.py",),
    "cryptography": ("chalicelib/ingest/sns.py",),
    "prometheus_client": ("chalicelib/openmetrics/",),
}
LATE_IMPORTS_IN = ("app.py",)
LOADED_BY_CALL: Mapping[str, set[str]] = {
    "chalicelib/plugins.py": {"*"},
    "chalicelib/rules/loader.py": {"chalicelib.rules.file"},
    "chalicelib/targets/__init__.py": {"chalicelib.targets.*"},
    "chalicelib/ingest/registry.py": {"chalicelib.sources.*", "chalicelib.sources.generic"},
    "chalicelib/ingest/sns.py": {"chalicelib.sources.*"},
    "chalicelib/process/parse.py": {"chalicelib.sources.*", "chalicelib.sources.generic"},
    "chalicelib/deliver/worker.py": {"chalicelib.targets.*"},
    "chalicelib/deliver/send.py": {"chalicelib.targets.*"},
    "chalicelib/deliver/senders.py": {"chalicelib.sources.*"},
    "chalicelib/slack/vendors.py": {"chalicelib.targets.slack_channel", "chalicelib.targets.pagerduty"},
    "chalicelib/schedule/watch.py": {"chalicelib.probes.*"},
    "chalicelib/schedule/spreading.py": {"chalicelib.probes.*"},
    "chalicelib/parameters.py": {"chalicelib.histories.*", "chalicelib.probes.*", "chalicelib.targets.*"},
    "chalicelib/schedule/reconcile.py": {"chalicelib.histories.*"},
    "chalicelib/rules/file/outside.py": {"chalicelib.probes.*", "chalicelib.sources.generic"},
    "chalicelib/rules/file/vocabulary.py": {"chalicelib.sources.*"},
    "cli/main.py": {"*"},
    "cli/checkup.py": {"chalicelib.sources.*", "chalicelib.targets.*"},
    "cli/probe.py": {"chalicelib.probes.*"},
    "cli/parse.py": {"chalicelib.sources.*", "chalicelib.sources.generic"},
    "simulation/engine.py": {"chalicelib.sources.*"},
    "deploy/deployment.py": {"chalicelib.sources.*"},
    "deploy/known_names.py": {"chalicelib.sources.*"},
    "deploy/unset.py": {"chalicelib.targets.*"},
}
"""Every place that loads a module by a call. A `*` is a name that is known at run time only.

plugins.py and cli/main.py load what was asked for; rules/loader.py loads YAML and pydantic, where there is no compiled
file; the others ask plugins.py for a plug-in, which returns it as a protocol.
"""
LOADERS = {
    "load_source": "chalicelib.sources",
    "load_target": "chalicelib.targets",
    "load_probe": "chalicelib.probes",
    "load_history": "chalicelib.histories",
    "module_for": "chalicelib.targets",
    "change_module_for": "chalicelib.targets",
    "checked_module_for": "chalicelib.targets",
}
"""The functions that return a plug-in, with the package that it is in."""
EVASIONS = ("exec", "eval", "spec_from_file_location", "spec_from_loader", "run_path", "run_module")
"""Other ways to run a file that no import names."""
ENGINES = {
    "chalicelib/core/pattern.py": ["re2"],
    "chalicelib/core/language/cron.py": ["cronsim.CronSim"],
    "chalicelib/probes/_address.py": ["httpx"],
    "chalicelib/clients.py": [
        "chalicelib.aws.sdk",
        "chalicelib.deadline.Deadline",
        "chalicelib.deadline.NetworkTransport",
        "chalicelib.deadline.TOTAL_SECONDS",
        "httpx",
    ],
    "chalicelib/slack/rollback.py": ["httpx"],
    "chalicelib/web/provider.py": [
        "httpx",
        "joserfc.errors.JoseError",
        "joserfc.jwk.KeySet",
        "joserfc.jwt",
    ],
    "chalicelib/messages/webhook.py": ["isal.isal_zlib"],
    "chalicelib/sources/_aws.py": ["chalicelib.sources._aws_messages"],
}
"""What is loaded late, so that only who needs it loads it.

RE2 is the one package that core needs: the standard library has no regular expressions in linear time. boto3 and httpx are most
of a cold start; a worker that sends nothing loads neither, and pressing *Roll back* is rare.
ISA-L compresses large bodies; a small one is done before it is loaded. The door of /webhooks/sns needs no reader of messages.
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


@cache
def parsed(path: Path) -> ast.Module:
    """The tree of a file. Each file is looked at by many tests."""
    return ast.parse(path.read_text())


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """Every node of a file's tree."""
    return tuple(ast.walk(parsed(path)))


def imports(path: Path, *, late: bool | None = None) -> Iterator[str]:
    """The modules a file imports, by a statement or by a call; of a package also the names. Not those for types only.

    `late` True: only those inside functions; False: only those outside.
    """
    return (module for module, is_late in _imports_of(path) if late is None or late == is_late)


@cache
def _imports_of(path: Path) -> tuple[tuple[str, bool], ...]:
    """Each module that a file imports, and whether it does so inside a function."""
    found: list[tuple[str, bool]] = []
    waiting: list[tuple[ast.AST, bool]] = [(parsed(path), False)]
    while waiting:
        node, inside = waiting.pop()
        if _typing_only(node):
            continue
        inside = inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        modules = (*_imported(node), *(module for module in _called(node) if not module.endswith("*")))
        found += [(module, inside) for module in modules]
        waiting += [(child, inside) for child in ast.iter_child_nodes(node)]
    return tuple(found)


def _imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute"
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _called(node: ast.AST) -> Iterator[str]:
    """The module that a call loads; with `*` where its name is known at run time only."""
    if isinstance(node, ast.Call):
        name = _word(node.func)
        texts = [each.value if isinstance(each, ast.Constant) else "*" for each in node.args]
        if name in ("import_module", "__import__"):
            yield str(texts[0]) if texts else "*"
        elif name in LOADERS:
            yield f"{LOADERS[name]}.{texts[0] if texts else '*'}"
        elif _is_load(node.func):
            yield f"chalicelib.{'.'.join(map(str, texts[:2]))}" if "*" not in texts else "*"
        elif name == "load_declared_source":
            yield "chalicelib.sources.generic"


def _referred(node: ast.AST) -> Iterator[str]:
    """The package of a loader that is handed on, and not called here."""
    if isinstance(node, ast.Attribute | ast.Name) and _word(node) in LOADERS:
        yield f"{LOADERS[_word(node)]}.*"
    elif _is_load(node):
        yield "*"


def _word(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _is_load(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "load" and _word(node.value) == "plugins"


def loaded_by_call(tree: ast.AST) -> set[str]:
    """All modules that a file loads by calls, or hands a loader of on."""
    functions = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    handed_on = (node for node in ast.walk(tree) if id(node) not in functions)
    return {
        *(module for node in ast.walk(tree) for module in _called(node)),
        *(module for node in handed_on for module in _referred(node)),
    }


def test_the_imports_are_found():
    """The reader of imports sees what is there: late ones, those of names, and not those for types."""
    found = set(imports(ROOT / "app.py", late=True))
    assert "chalicelib.process.worker.process" in found
    assert "chalice.app.Chalice" in set(imports(ROOT / "app.py", late=False))
    assert len(FILES) > 30


CALLS = [
    ("import importlib\ndef f(): return importlib.import_module('boto3')", {"boto3"}),
    ("from importlib import import_module\nm = import_module('chalicelib.aws.queue')", {"chalicelib.aws.queue"}),
    ("def f(n): return import_module(f'cli.{n}')", {"*"}),
    ("x = __import__('httpx')", {"httpx"}),
    ("p = plugins.load('targets', 'email').send", {"chalicelib.targets.email"}),
    ("p = plugins.load(folder, 'email')", {"*"}),
    ("p = plugins.load_source(name).parse", {"chalicelib.sources.*"}),
    ("p = module_for('email')", {"chalicelib.targets.email"}),
    ("watch(load=plugins.load_probe)", {"chalicelib.probes.*"}),
    ("later = plugins.load", {"*"}),
    ("plugins.load_declared_source().parse", {"chalicelib.sources.generic"}),
    ("json.load(file)\nload(text)\nplugins.names('targets')", set()),
]


@pytest.mark.parametrize(("text", "modules"), CALLS)
def test_calls_that_load_are_found(text, modules):
    """A module that is loaded by its name is seen as one that is imported."""
    assert loaded_by_call(ast.parse(text)) == modules


def test_a_call_is_an_import(tmp_path):
    """Given a file that loads boto3 in a function, then it is found with the late imports."""
    path = tmp_path / "evades.py"
    path.write_text("import importlib\ndef f():\n    return importlib.import_module('boto3')\n")
    assert set(imports(path, late=True)) == {"boto3"} and set(imports(path, late=False)) == {"importlib"}


@pytest.mark.parametrize("path", ALL_FILES, ids=name_of)
def test_modules_are_loaded_by_call_in_known_places(path):
    """A list of places, closed: everybody else imports by a statement, which the tests below look at."""
    found, allowed = loaded_by_call(parsed(path)), LOADED_BY_CALL.get(name_of(path), set())
    assert found == allowed, (
        f"{name_of(path)} loads {found or 'nothing'} by call; LOADED_BY_CALL has {allowed or 'nothing'}"
    )


@pytest.mark.parametrize("path", ALL_FILES, ids=name_of)
def test_no_loader_has_another_name(path):
    """Loaders keep their names where they are imported, and nothing else runs a file: so every call is seen."""
    names = {*LOADERS, "import_module", "load_declared_source", "plugins"}
    for node in nodes(path):
        if isinstance(node, ast.Import | ast.ImportFrom):
            renamed = [each.name for each in node.names if each.name.rpartition(".")[2] in names and each.asname]
            assert not renamed, f"{name_of(path)}:{node.lineno} imports {renamed[0]} under another name"
        if isinstance(node, ast.Call) and _word(node.func) in EVASIONS and _is_plain(node.func):
            raise AssertionError(f"{name_of(path)}:{node.lineno} runs a file")


def _is_plain(node: ast.AST) -> bool:
    """Whether a function is called by its own name, or as one of importlib's or runpy's: no method of something else."""
    return isinstance(node, ast.Name) or (isinstance(node, ast.Attribute) and _word(node.value) in ("util", "runpy"))


def test_every_place_of_the_list_is_there():
    """No entry of the list outlives its file."""
    assert [name for name in LOADED_BY_CALL if not (ROOT / name).is_file()] == []


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
        if not (PACKAGE / parts[1] / f"{parts[2]}.py").exists() or module in LOADED_BY_CALL.get(name_of(path), ()):
            continue
        shared = path.parent == PACKAGE / parts[1] and parts[2].startswith("_")
        assert shared, f"{name_of(path)} imports the plug-in {module}; plugins.py finds it by name"


@pytest.mark.parametrize(
    "path", [p for p in FILES if name_of(p).startswith(tuple(f"chalicelib/{each}" for each in STAGES))], ids=name_of
)
def test_stages_know_no_adapter(path):
    """Stages are given their ports; so replay runs the same code in memory."""
    for module in imports(path):
        assert not module.startswith(OUTSIDE), f"{name_of(path)} imports {module}"


@pytest.mark.parametrize("path", [p for p in FILES if name_of(p) not in LATE_IMPORTS_IN], ids=name_of)
def test_late_imports_live_in_known_places(path):
    """Handler bodies of app.py, RE2, a source's own `_part`, which its door does not need, and the list of calls."""
    own = [f"chalicelib.sources._{path.stem}"] if path.parent == PACKAGE / "sources" else []
    own = [*own, *ENGINES.get(name_of(path), []), *LOADED_BY_CALL.get(name_of(path), ())]
    assert [module for module in imports(path, late=True) if module not in own] == []


def test_app_imports_at_its_top_only_what_every_function_needs():
    """Chalice and the ingest path; the rest is in handler bodies."""
    allowed = (
        "chalice.",
        "chalicelib.log",
        "chalicelib.core.errors",
        "chalicelib.ingest.wiring",
        "chalicelib.ingest.receive",
        "chalicelib.ingest.http_api",
    )
    allowed += ("chalicelib.settings",)
    for module in imports(ROOT / "app.py", late=False):
        if module.partition(".")[0] not in sys.stdlib_module_names:
            assert module.startswith(allowed) or module == "chalicelib.log", f"app.py imports {module} at its top"


PAUSES_FROM = ("app.py", "chalicelib/wiring.py", "chalicelib/ingest/wiring.py", "chalicelib/slack/wiring.py")


def test_nothing_sleeps():
    """Waiting belongs to the queues: nothing calls sleep; `watch`, the table's reader and secrets are handed their pause."""
    for path in FILES:
        for node in nodes(path):
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
    for node in nodes(path):
        called = node.func if isinstance(node, ast.Call) else None
        if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name) and called.value.id == "httpx":
            assert called.attr not in CALLS_OF_HTTPX, f"{name_of(path)}:{node.lineno} calls httpx.{called.attr}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_httpx_follows_no_redirect(path):
    """httpx would take custom secret headers along to another host; who follows redirects does so by the probes' own rules."""
    for node in nodes(path):
        if isinstance(node, ast.keyword) and node.arg == "follow_redirects":
            follows = not (isinstance(node.value, ast.Constant) and node.value.value is False)
            assert not follows, f"{name_of(path)}:{node.value.lineno} follows redirects"


PACKAGES = ("chalicelib", "cli", "deploy", "local", "simulation")


def _graph() -> dict[str, set[str]]:
    """The modules that each module imports, for types included; of `from a import b` it is a.b where that is a module."""
    paths = [ROOT / "app.py", *(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))]
    modules = {name_of(path).removesuffix(".py").removesuffix("/__init__").replace("/", "."): path for path in paths}
    found: dict[str, set[str]] = {}
    for name, path in modules.items():
        wanted = {module for node in nodes(path) for module in _imported(node)}
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


# ---------------------------------------------------------------------------------------------------------------------
# Core knows no receiver by name


VENDORS_IN_CORE: Mapping[str, Mapping[str, str]] = {
    "chalicelib/core/openid.py": {"email": "the claim and the scope of OpenID Connect have this name"},
}
"""Words of receivers that a file of core must know to read what comes from outside, each with the reason."""


def words_of_targets() -> set[str]:
    """Every kind, and what its receiver is called."""
    found = {name: declared.title for name, declared in kinds().items()}
    return {word.lower() for pair in found.items() for word in pair} | {name.partition("_")[0] for name in found}


def texts_of(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The texts of a file with their lines; not docstrings, which may give examples."""
    told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
            yield node.lineno, node.value


@pytest.mark.parametrize("path", sorted((PACKAGE / "core").rglob("*.py")), ids=name_of)
def test_core_names_no_receiver(path):
    """Decisions follow what a kind of target can do (`Rules.can`), and never its name."""
    allowed = VENDORS_IN_CORE.get(name_of(path), {})
    for line, text in texts_of(parsed(path)):
        named = set(re.findall(r"[a-z_-]+", text.lower())) & words_of_targets() - allowed.keys()
        assert not named, f"{name_of(path)}:{line} names {', '.join(sorted(named))}"


def test_the_words_of_receivers_are_found():
    """The test above looks for the kinds that there are, and sees a text that names one."""
    assert {"slack_channel", "slack", "pagerduty", "email", "webhook"} <= words_of_targets()
    assert list(texts_of(ast.parse('"""Slack."""\nKINDS = ("slack_channel",)\n'))) == [(2, "slack_channel")]
