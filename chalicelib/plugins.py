"""Finds plug-ins: the files of sources/, targets/, probes/ and histories/. Nothing is registered, nothing is imported early.

A file's name is its plug-in's name everywhere. A name is accepted only when it is a plain identifier and its file exists,
so that no name from a request can lead anywhere else. Files that begin with an underscore are shared parts, not plug-ins.
On the cold ingest path: no more is imported than the one file asked for. What a file of each folder provides is in
`plugin_modules.py`; the loaders here return it, and they are the only way to a plug-in.
"""

import importlib
import os
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, cast

from chalicelib.core.errors import RulesError, UnknownSourceError, WebhookError

if TYPE_CHECKING:
    from chalicelib.plugin_modules import (
        AnyProbeModule,
        DeclaredSourceModule,
        HistoryModule,
        SourceModule,
        TargetModule,
    )

FOLDER = os.path.dirname(os.path.abspath(__file__))
KINDS = ("sources", "targets", "probes", "histories")
GENERIC = "generic"
"""The file of sources/ that reads what entries of `sources:` declare; it is no sender of its own."""
MAX_NAME_CHARACTERS = 64


def load_source(name: str) -> "SourceModule":
    """Return the file of a sender. Raise UnknownSourceError when there is none."""
    return cast("SourceModule", load("sources", name))


def load_declared_source() -> "DeclaredSourceModule":
    """Return the file that reads what entries of `sources:` declare."""
    return cast("DeclaredSourceModule", load("sources", GENERIC))


def load_target(kind: str) -> "TargetModule":
    """Return the file of a kind of target. Raise RulesError when there is none."""
    return cast("TargetModule", load("targets", kind))


def load_probe(kind: str) -> "AnyProbeModule":
    """Return the file of a kind of probe. Raise RulesError when there is none."""
    return cast("AnyProbeModule", load("probes", kind))


def load_history(source: str) -> "HistoryModule":
    """Return the reader of a sender's history. Raise RulesError when there is none."""
    return cast("HistoryModule", load("histories", source))


def load(folder: str, name: str) -> ModuleType:
    """Return the module of that name, imported on first use.

    Raises UnknownSourceError for a source that does not exist, RulesError for any other plug-in.
    """
    known = sys.modules.get(f"chalicelib.{_checked(folder)}.{name}")
    if known is not None and _is_name(name):
        return known
    if not exists(folder, name):
        raise _unknown(folder)
    return importlib.import_module(f"chalicelib.{folder}.{name}")


def exists(folder: str, name: str) -> bool:
    """Return whether a folder has a plug-in of that name."""
    return _is_name(name) and any(os.path.isfile(os.path.join(path, f"{name}.py")) for path in _paths(folder))


def names(folder: str) -> tuple[str, ...]:
    """Return the plug-ins of a folder, sorted."""
    return names_in(_paths(folder))


def names_in(paths: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the files of these folders that are plug-ins, sorted."""
    stems = {entry[:-3] for path in paths for entry in os.listdir(path) if entry.endswith(".py")}
    return tuple(sorted(stem for stem in stems if _is_name(stem)))


def _paths(folder: str) -> Sequence[str]:
    """Return the folders of a package. It has one; a test may add another to its `__path__`."""
    return cast("Sequence[str]", importlib.import_module(f"chalicelib.{_checked(folder)}").__path__)


def _is_name(name: str) -> bool:
    return len(name) <= MAX_NAME_CHARACTERS and name.isascii() and name.isidentifier() and not name.startswith("_")


def _checked(folder: str) -> str:
    if folder not in KINDS:
        raise ValueError(f"there is no folder of plug-ins of that name; allowed are {', '.join(KINDS)}")
    return folder


def _unknown(folder: str) -> WebhookError | RulesError:
    known = ", ".join(names(folder)) or "none yet"
    if folder == "sources":
        return UnknownSourceError(f"there is no source of that name; known are {known}")
    return RulesError(f"there is no {folder[:-1]} of that name; known are {known}")
