"""What is shipped: a look through the package that Chalice built, and a mark of its content."""

import hashlib
import os
import re
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

from chalicelib.rules.compiled import COMPILED_NAME, RULES_NAME
from deploy.errors import DeployError

MAX_ZIP_BYTES = 30_000_000
SHIPPED = ("app.py", "requirements.txt", "chalicelib", "vendor", ".chalice/config.json")


def fingerprint(root: Path, settings: Mapping[str, str]) -> str:
    """What changes whenever something that is shipped or configured does; `settings` are those of this deploy."""
    digest = hashlib.sha256(sys.version.encode() + repr(sorted(settings.items())).encode())
    paths = [each for name in SHIPPED for each in _files(root / name)] + sorted(root.glob(".chalice/policy-*.json"))
    for path in paths:
        digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _files(path: Path) -> list[Path]:
    """The file itself, or all files below a folder, links followed."""
    if path.is_file():
        return [path]
    found = [Path(folder) / name for folder, _, names in os.walk(path, followlinks=True) for name in names]
    return sorted(each for each in found if "__pycache__" not in each.parts)


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
    """The names in a requirements file."""
    lines = [line.split("#")[0].strip() for line in text.splitlines()]
    return [re.split(r"[\[=<>!~; ]", line)[0] for line in lines if line and not line.startswith("-")]


def normal(name: str) -> str:
    """A package's name as names are compared."""
    return re.sub(r"[-_.]+", "-", name).lower()
