"""What is shipped: the package that Chalice built is compiled and looked through; and a mark of its content."""

import hashlib
import importlib.util
import os
import py_compile
import re
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from chalicelib.rules.compiled import COMPILED_NAME, RULES_NAME
from deploy.errors import DeployError

MAX_ZIP_BYTES = 30_000_000
SHIPPED = ("app.py", "requirements.txt", "chalicelib", "vendor", ".chalice/config.json")


def fingerprint(root: Path, settings: Mapping[str, str]) -> str:
    """Return what changes whenever something that is shipped or configured does; `settings` are those of this deploy."""
    digest = hashlib.sha256(sys.version.encode() + repr(sorted(settings.items())).encode())
    paths = [each for name in SHIPPED for each in _files(root / name)] + sorted(root.glob(".chalice/policy-*.json"))
    for path in paths:
        digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _files(path: Path) -> list[Path]:
    """Return the file itself, or all files below a folder, links followed."""
    if path.is_file():
        return [path]
    found = [Path(folder) / name for folder, _, names in os.walk(path, followlinks=True) for name in names]
    return sorted(each for each in found if "__pycache__" not in each.parts)


def compile_package(package: Path) -> None:
    """Add the compiled form of each module that has none: Lambda cannot write it, and would compile at each cold start.

    It is used without a look at the source, which nobody edits there: the console shows no code of packages of this size.
    """
    with zipfile.ZipFile(package) as content:
        names = content.namelist()
        missing = {each: importlib.util.cache_from_source(each) for each in names if each.endswith(".py")}
        wanted = {name: cache for name, cache in missing.items() if cache not in names}
        if not wanted:
            return
        with tempfile.TemporaryDirectory(dir=package.parent) as folder:
            found = [(wanted[name], _compiled(content, name, Path(folder))) for name in wanted]
            whole = Path(shutil.copy(package, folder))
            with zipfile.ZipFile(whole, "a", zipfile.ZIP_DEFLATED) as more:
                for name, data in found:
                    if data is not None:
                        more.writestr(_readable(name), data)
            whole.replace(package)


def _compiled(content: zipfile.ZipFile, name: str, folder: Path) -> bytes | None:
    """Return a module compiled; None where it does not compile, as what is for other versions of Python."""
    source, cache = folder / "module.py", str(folder / "module.pyc")
    source.write_bytes(content.read(name))
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    try:
        py_compile.compile(str(source), cache, dfile=name, doraise=True, invalidation_mode=mode)
    except py_compile.PyCompileError:
        return None
    return Path(cache).read_bytes()


def _readable(name: str) -> zipfile.ZipInfo:
    """Return the entry of a file that everybody may read: Lambda runs as another user."""
    info = zipfile.ZipInfo(name)
    info.external_attr, info.compress_type = 0o644 << 16, zipfile.ZIP_DEFLATED
    return info


def inspect(package: Path, requirements: str) -> None:
    """Raise DeployError for a package that Lambda would not run: too large, lacking a part, or of another Python."""
    size = package.stat().st_size
    if size > MAX_ZIP_BYTES:
        raise DeployError(f"the package has {size:,} bytes; allowed are {MAX_ZIP_BYTES:,}")
    with zipfile.ZipFile(package) as content:
        names = content.namelist()
    there = {normal(name.split("-")[0]) for name in names if ".dist-info/" in name}
    missing = [name for name in requirement_names(requirements) if normal(name) not in there]
    if missing:
        raise DeployError(f"the package lacks {', '.join(missing)}: no wheel fits Lambda")
    ours = f"{sys.version_info[0]}{sys.version_info[1]}"
    for name in names:
        found = re.search(r"\.cpython-(\d+)[-.]", name)
        if found and found[1] != ours:
            raise DeployError(f"the package holds {name}, which is of another Python than cpython-{ours}")
    for name in ("app.py", f"chalicelib/{RULES_NAME}", f"chalicelib/{COMPILED_NAME}"):
        if name not in names:
            raise DeployError(f"the package lacks {name}")


def requirement_names(text: str) -> list[str]:
    """Return the names in a requirements file."""
    lines = [line.split("#")[0].strip() for line in text.splitlines()]
    return [re.split(r"[\[=<>!~; ]", line)[0] for line in lines if line and not line.startswith("-")]


def normal(name: str) -> str:
    """Return a package's name as names are compared."""
    return re.sub(r"[-_.]+", "-", name).lower()
