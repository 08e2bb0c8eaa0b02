"""The deployment package: what is in it, that it works alone, and that broken ones are refused."""

import importlib.util
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from deploy.clients import Clients
from deploy.deployment import Deploy, check_masks
from deploy.errors import DeployError
from deploy.package import MAX_ZIP_BYTES, compile_package, inspect
from tests.project import ROOT, copied

REQUIREMENTS = (ROOT / "requirements.txt").read_text()
IMPORTS = """
import app, chalicelib.wiring, chalicelib.process, chalicelib.deliver, chalicelib.schedule.watch, chalicelib.schedule.tick, chalicelib.schedule.reconcile
from chalicelib import plugins
for kind in plugins.KINDS:
    for name in plugins.names(kind):
        plugins.load(kind, name)
from chalicelib.rules.loader import load_rules
from pathlib import Path
assert load_rules(Path(app.__file__).parent / "chalicelib").rules
import pydantic_core, psycopg, yaml, httpx, sentry_sdk
from isal import isal_zlib
from chalicelib.core.pattern import whole_match
assert whole_match("(a+)+$", "a" * 32 + "!") is False
print(pydantic_core.__file__)
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package of stage prod, as a deploy builds it."""
    project = copied(tmp_path_factory.mktemp("project"))
    environment = {**os.environ, "AWS_DEFAULT_REGION": "us-east-1"}
    job = Deploy("prod", Clients(None), environment, project, say=lambda text: None)
    job.prepare()
    return job.package(project / "out")


@pytest.fixture(scope="module")
def unpacked(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as Lambda unpacks it, beside the AWS SDK that Lambda has."""
    folder = tmp_path_factory.mktemp("task")
    with zipfile.ZipFile(package) as content:
        content.extractall(folder)
    return folder


@pytest.mark.acceptance
def test_it_imports_in_a_clean_interpreter(unpacked: Path) -> None:
    """Everything shipped can be imported with nothing but the package and the AWS SDK of Lambda."""
    found = [*(ROOT / ".venv-emulator" / "lib").glob("python*")]
    assert found, "the environment of the embedded AWS is missing: run `make setup-tests`"
    runtime = found[0] / "site-packages"
    for name in ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six.py"):
        (unpacked / name).symlink_to(runtime / name)
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(unpacked)!r}); {IMPORTS}"],
        cwd=unpacked,
        env={"TOCSIN_STAGE": "prod", "AWS_REGION": "us-east-1", "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().startswith(str(unpacked))


def test_it_holds_the_rules_and_the_runbook(package: Path) -> None:
    """The rules file, its compiled form and the runbook's pages are beside the code; nothing of the checkout else is."""
    with zipfile.ZipFile(package) as content:
        names = set(content.namelist())
        assert content.read("chalicelib/alert-rules.yaml") == (ROOT / "alert-rules.yaml").read_bytes()
    assert "chalicelib/compiled-rules.json" in names
    assert {f"chalicelib/runbook/{page.name}" for page in (ROOT / "runbook").glob("*.md")} <= names
    assert not [name for name in names if name.startswith(("tests/", "local/", "cli/", ".chalice/"))]


def test_its_code_is_compiled(package: Path, unpacked: Path) -> None:
    """Every module, of ours and of packages, is there compiled for the Python that runs it, and is not compiled again."""
    with zipfile.ZipFile(package) as content:
        names = content.namelist()
        modes = {info.external_attr >> 16 for info in content.infolist() if info.filename.endswith(".pyc")}
    modules = {name for name in names if name.endswith(".py")}
    assert {"app.py", "chalice/app.py", "httpx/_client.py", "chalicelib/process/worker.py"} <= modules
    assert sorted(map(importlib.util.cache_from_source, modules)) == sorted(
        each for each in names if each.endswith(".pyc")
    )
    assert modes == {0o644}
    script = (
        f"import sys; sys.path.insert(0, {str(unpacked)!r}); import app, chalicelib.process.worker, httpx, pydantic"
    )
    done = subprocess.run([sys.executable, "-BISv", "-c", script], capture_output=True, text=True, cwd=unpacked)
    loaded = [line for line in done.stderr.splitlines() if "code object from" in line and str(unpacked) in line]
    assert len(loaded) > 100
    assert [line for line in loaded if not line.endswith(".pyc'")] == []


def test_a_package_is_compiled_once_and_whole(tmp_path: Path) -> None:
    """Given a package with a module that does not compile, when it is compiled twice → the others are, once, and it runs."""
    path = made(tmp_path, {"a.py": "print('hello')", "b/__init__.py": "", "broken.py": "def", "data.json": "{}"})
    for _ in range(2):
        compile_package(path)
    with zipfile.ZipFile(path) as content:
        names = content.namelist()
        content.extractall(tmp_path / "there")
    compiled = [importlib.util.cache_from_source(name) for name in ("a.py", "b/__init__.py")]
    assert sorted(names) == sorted(["a.py", "b/__init__.py", "broken.py", "data.json", *compiled])
    done = subprocess.run(
        [sys.executable, "-B", "-c", "import a"], cwd=tmp_path / "there", capture_output=True, text=True
    )
    assert done.stdout == "hello\n"
    assert list(tmp_path.glob("*.zip*")) == [path]


def test_it_is_small_and_without_the_sdk(package: Path) -> None:
    """Under 30 MB, and without boto3, which Lambda has."""
    assert package.stat().st_size < MAX_ZIP_BYTES
    with zipfile.ZipFile(package) as content:
        assert not [name for name in content.namelist() if name.startswith(("boto3/", "botocore/", "moto/"))]


def test_a_missing_requirement_is_refused(tmp_path: Path) -> None:
    """Chalice only warns when a requirement has no wheel; the deploy stops."""
    path = made(tmp_path, {"httpx-0.28.1.dist-info/METADATA": ""})
    with pytest.raises(DeployError, match=r"lacks .*PyYAML.*no wheel fits"):
        inspect(path, REQUIREMENTS)


def test_a_part_of_another_python_is_refused(tmp_path: Path) -> None:
    """A compiled module for another Python would fail on the first request."""
    path = made(tmp_path, {"x/_x.cpython-39-x86_64-linux-gnu.so": ""})
    with pytest.raises(DeployError, match="of another Python"):
        inspect(path, "")


def test_a_package_without_rules_is_refused(tmp_path: Path) -> None:
    """A link that was not followed is noticed before anything is deployed."""
    with pytest.raises(DeployError, match=r"lacks chalicelib/alert-rules.yaml"):
        inspect(made(tmp_path, {"app.py": ""}), "")


def test_a_mask_that_re2_refuses_stops_the_deploy() -> None:
    """A pattern kept beside the secrets at which every worker would stop is found before the deploy."""
    check_masks({})
    check_masks({"REDACT_PATTERNS": "ACME-[0-9]+"})
    with pytest.raises(DeployError, match="REDACT_PATTERNS, line 1: not a regular expression of RE2"):
        check_masks({"REDACT_PATTERNS": "(?<=id )[0-9]+"})


def made(folder: Path, files: dict[str, str]) -> Path:
    """A zip with those files."""
    path = folder / "package.zip"
    with zipfile.ZipFile(path, "w") as content:
        for name, text in files.items():
            content.writestr(name, text)
    return path
