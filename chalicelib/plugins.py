"""A folder's files are its plug-ins: sources/, targets/, probes/, histories/. Nothing is registered, nothing is imported early.

A name is accepted only when it is a plain identifier and its file exists, so that no name from a request can lead
anywhere else. Files that begin with an underscore are shared parts, not plug-ins. On the cold ingest path: no more is
imported than the one file asked for.
"""

import importlib
import os
import sys
from types import ModuleType

from chalicelib.core.errors import RulesError, UnknownSourceError, WebhookError

FOLDER = os.path.dirname(os.path.abspath(__file__))
KINDS = ("sources", "targets", "probes", "histories")
MAX_NAME_CHARACTERS = 64


def load(folder: str, name: str) -> ModuleType:
    """The module of that name, imported on first use.

    Raises UnknownSourceError for a source that does not exist, RulesError for a target or probe.
    """
    known = sys.modules.get(f"chalicelib.{_checked(folder)}.{name}")
    if known is not None and _is_name(name):
        return known
    if not _is_name(name) or not os.path.isfile(os.path.join(FOLDER, _checked(folder), f"{name}.py")):
        raise _unknown(folder)
    return importlib.import_module(f"chalicelib.{folder}.{name}")


def names(folder: str) -> tuple[str, ...]:
    """The plug-ins of a folder, sorted; none when there is no such folder yet."""
    path = os.path.join(FOLDER, _checked(folder))
    if not os.path.isdir(path):
        return ()
    stems = (entry[:-3] for entry in os.listdir(path) if entry.endswith(".py"))
    return tuple(sorted(stem for stem in stems if _is_name(stem)))


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
