"""NOTICE: the licences of what is shipped to Lambda, read from the installed packages of requirements.txt.

Run `python -m deploy.notice` after each change of requirements.txt. Folders of vendor/ that hold files of others need a
licence file of their own.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from chalicelib.core.errors import TocsinError
from deploy.deployment import ROOT

NAME = "NOTICE"
PINNED = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;]+)")
LICENCE_FILE = re.compile(r"(^|/)(LICEN[CS]E|COPYING|NOTICE)[^/]*$", re.IGNORECASE)
COPYRIGHT = re.compile(r"^\W*(Copyright\b(?=.*\d{4}|\W*\(c\)).*?)[\s*#,]*$", re.IGNORECASE)
TEXT_OF_LICENCE = "fsf.org"
"""In the line of who has the copyright of a licence's own text."""
LONGEST_NAME = 60
"""A longer field `License` is the text of the licence and not its name."""
HEAD = """Tocsin
Copyright (c) the Tocsin authors. Licensed under the MIT License: see LICENSE.

A stage runs the packages below, which are not part of this repository. A deploy installs them by requirements.txt and puts them
into the package of the functions. Their licences stand in full in their distributions. boto3 is part of Lambda's runtime.
This file is written by `python -m deploy.notice`.
"""


class NoticeError(TocsinError):
    """The licence of something that is shipped cannot be found."""


@dataclass(frozen=True, slots=True)
class Work:
    """Something of others that is shipped."""

    name: str
    versions: tuple[str, ...]
    licence: str
    copyrights: tuple[str, ...]

    @property
    def text(self) -> str:
        """Return its part of the file."""
        head = " ".join([self.name, " or ".join(self.versions)]).rstrip()
        return "\n".join([f"{head}: {self.licence}", *(f"    {line}" for line in self.copyrights)])


def main() -> None:
    """Write the file."""
    (ROOT / NAME).write_text(notice(ROOT), encoding="utf-8")


def notice(root: Path) -> str:
    """Return what the file must say."""
    pinned = pins((root / "requirements.txt").read_text(encoding="utf-8"))
    works = [*(installed(name, pinned[name]) for name in pinned), *vendored(root / "vendor")]
    return "\n\n".join([HEAD.rstrip(), *(work.text for work in works)]) + "\n"


def pins(requirements: str) -> Mapping[str, tuple[str, ...]]:
    """Return the versions of each package that requirements.txt pins, for whatever Python."""
    found: dict[str, tuple[str, ...]] = {}
    for match in filter(None, map(PINNED.match, requirements.splitlines())):
        name, version = match.groups()
        found[name] = tuple(dict.fromkeys((*found.get(name, ()), version)))
    return found


def installed(name: str, versions: tuple[str, ...]) -> Work:
    """Return a package by its installed metadata."""
    try:
        package = distribution(name)
    except PackageNotFoundError:
        raise NoticeError(f"{name} of requirements.txt is not installed: run `make setup`") from None
    texts = [path.read_text(encoding="utf-8") for path in package.files or () if LICENCE_FILE.search(str(path))]
    return Work(name, versions, _licence(name, package), copyrights(texts))


def _licence(name: str, package: Distribution) -> str:
    fields = package.metadata.json
    named = str(fields.get("license", "")).strip()
    classes = [each.rpartition(" :: ")[2] for each in fields.get("classifier", ()) if each.startswith("License ::")]
    short = named if len(named) <= LONGEST_NAME and "\n" not in named else ""
    found = str(fields.get("license_expression", "")) or short or ", ".join(classes)
    if not found:
        raise NoticeError(f"{name} names no licence in its metadata")
    return found


def copyrights(texts: Sequence[str]) -> tuple[str, ...]:
    """Return the lines of licences that name who has the copyright, each once."""
    lines = (COPYRIGHT.match(line) for text in texts for line in text.splitlines())
    return tuple(
        dict.fromkeys(" ".join(match[1].split()) for match in lines if match and TEXT_OF_LICENCE not in match[0])
    )


def vendored(folder: Path) -> Iterator[Work]:
    """Yield each folder that holds files; links lead to files of the project itself and do not count."""
    for each in sorted(folder.iterdir()):
        files = [path for path in sorted(each.rglob("*")) if path.is_file() and not path.is_symlink()]
        licences = [path for path in files if LICENCE_FILE.search(path.name)]
        if files and not licences:
            raise NoticeError(f"vendor/{each.name} has files and no licence; allowed is a file LICENSE beside them")
        if files:
            texts = [path.read_text(encoding="utf-8") for path in licences]
            named = ", ".join(path.relative_to(folder.parent).as_posix() for path in licences)
            yield Work(f"vendor/{each.name}", (), f"see {named}", copyrights(texts))


if __name__ == "__main__":
    main()
