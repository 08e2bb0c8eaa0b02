"""preflight.yaml: what `tocsin preflight` can look at beside the stage. Every part may be left out.

    variables:
      example: ../shop/.env.example          # each name in it must be set …
      run: vercel env ls production          # … that is, be a word of what this prints
      optional: [SENTRY_ORG]
    migrations:
      folder: ../shop/supabase/migrations
      dsn: DATABASE_URL                      # a variable, or a secret of the stage
    smoke:
      file: runbook/app/smoke.yaml           # else the journeys of alert-rules.yaml
      base: https://www.example.com
    checks:
      - {name: The API is compatible, run: npm run check-api, timeout: 2m}

Paths are those from the folder of the file, and commands run in it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from chalicelib.core.errors import TocsinError
from chalicelib.core.language.durations import duration_of
from chalicelib.core.language.tokens import nearest
from chalicelib.rules.file.document import Document, read_yaml
from chalicelib.rules.file.finding import Finding

FILE = "preflight.yaml"
TIMEOUT = timedelta(minutes=1)
KEYS: Mapping[str, tuple[str, ...]] = {
    "variables": ("example", "run", "optional"),
    "migrations": ("folder", "dsn"),
    "smoke": ("file", "base"),
    "checks": ("name", "run", "timeout"),
}
NEEDED = {"variables": ("example", "run"), "migrations": ("folder",), "checks": ("name", "run")}


class PreflightFileError(TocsinError):
    """The file cannot be read; the text has a line for each mistake."""


@dataclass(frozen=True, slots=True)
class Variables:
    """The names of a file that must be words of what a command prints."""

    example: Path
    run: str
    optional: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Migrations:
    """A folder of migrations, and the name of the connection string of the database that must have them."""

    folder: Path
    dsn: str = "DATABASE_URL"


@dataclass(frozen=True, slots=True)
class OwnCheck:
    """A command that ends with 0 when all is well."""

    name: str
    run: str
    timeout: timedelta = TIMEOUT


@dataclass(frozen=True, slots=True)
class Plan:
    """What the file says. `smoke` is the file of the journeys, where it is not the rules file."""

    folder: Path = field(default_factory=Path)
    variables: Variables | None = None
    migrations: Migrations | None = None
    smoke: Path | None = None
    base: str = ""
    checks: tuple[OwnCheck, ...] = ()


def read_plan(path: Path) -> Plan:
    """Return what a file says. PreflightFileError with each mistake at its place."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "no UTF-8"
        raise PreflightFileError(f"{path}: cannot be read ({why}); docs/releases.md has an example") from None
    document = read_yaml(text)
    document.findings += _mistakes(document.data)
    if document.findings:
        raise PreflightFileError("\n".join(sorted(_line(path, document, each) for each in document.findings)))
    return _plan(path.parent, document.data or {})


def _line(path: Path, document: Document, found: Finding) -> str:
    line, column = document.where(found.path, key=found.at_key)
    allowed = f"; allowed is {found.allowed}" if found.allowed else ""
    near = f"; did you mean {found.suggestion}" if found.suggestion else ""
    return f"{path}:{line}:{column}: {found.what}{allowed}{near}"


def _plan(folder: Path, data: Mapping[str, Any]) -> Plan:
    variables, migrations, smoke = (data.get(name) or {} for name in ("variables", "migrations", "smoke"))
    return Plan(
        folder,
        Variables(folder / variables["example"], variables["run"], tuple(variables.get("optional") or ()))
        if variables
        else None,
        Migrations(folder / migrations["folder"], migrations.get("dsn", "DATABASE_URL")) if migrations else None,
        folder / smoke["file"] if "file" in smoke else None,
        smoke.get("base", ""),
        tuple(
            OwnCheck(each["name"], each["run"], duration_of(each["timeout"]) if "timeout" in each else TIMEOUT)
            for each in data.get("checks") or ()
        ),
    )


# ---------------------------------------------------------------------------------------------------------------------
# Mistakes


def _mistakes(data: Any) -> Iterator[Finding]:
    if data is not None and not isinstance(data, Mapping):
        yield Finding((), "the file is no mapping", ", ".join(KEYS))
        return
    for name, value in (data or {}).items():
        if name not in KEYS:
            near = nearest(str(name), KEYS)
            yield Finding((name,), f"{str(name)[:40]!r} is no part of a preflight", ", ".join(KEYS), near, at_key=True)
        elif name != "checks":
            yield from _section(name, value, (name,))
        elif not isinstance(value, list):
            yield Finding((name,), "checks is no list", "a list of {name: …, run: …}")
        else:
            for index, each in enumerate(value):
                yield from _section(name, each, (name, index))


def _section(name: str, value: Any, path: tuple[str | int, ...]) -> Iterator[Finding]:
    allowed = ", ".join(KEYS[name])
    if not isinstance(value, Mapping):
        yield Finding(path, f"{name} is no mapping", allowed)
        return
    for key in NEEDED.get(name, ()):
        if not value.get(key):
            yield Finding(path, f"{name} lacks {key}", allowed)
    for key, each in value.items():
        if key not in KEYS[name]:
            near = nearest(str(key), KEYS[name])
            yield Finding((*path, key), f"{str(key)[:40]!r} is no key of {name}", allowed, near, at_key=True)
        elif mistake := _value_mistake(key, each):
            yield Finding((*path, key), f"{key}: {mistake[0]}", mistake[1])


def _value_mistake(key: str, value: Any) -> tuple[str, str] | None:
    if key == "optional":
        is_list = isinstance(value, list) and all(isinstance(each, str) for each in value)
        return None if is_list else ("is no list of names", "a list, such as [SENTRY_ORG]")
    if not isinstance(value, str):
        return "is no text", "a text"
    try:
        return (
            None if key != "timeout" or duration_of(value) > timedelta(0) else ("is not longer than 0s", "such as 1m")
        )
    except ValueError as error:
        return str(error), "a duration, such as 1m"
