"""A name in the address → the source that understands it: a file of sources/, else an entry of the rules' `sources:`.

Loads only the standard library, and of it not pathlib, which is a tenth of a cold start. Entries come from compiled-rules.json (written from alert-rules.yaml at deploy), which
is read once, and only when a name has no file.
"""

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from chalicelib import plugins
from chalicelib.core.errors import RulesError, UnknownSourceError
from chalicelib.ingest.receive import Source

if TYPE_CHECKING:
    from chalicelib.plugin_modules import DeclaredSourceModule

COMPILED = os.path.join(plugins.FOLDER, "compiled-rules.json")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class DeclaredSource:
    """A sender that the rules file describes: the generic plug-in, given that entry.

    `now` lets a signed time be judged (Standard Webhooks); None: it is not looked at.
    """

    plugin: "DeclaredSourceModule"
    mapping: Mapping[str, Any]
    now: datetime | None = None
    TAKES_FORMS = True

    @property
    def SECRETS(self) -> tuple[str, ...]:
        """Return the names of its secrets."""
        return tuple(self.plugin.secrets(self.mapping))

    def verify(
        self, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], *, path_secret: str | None = None
    ) -> None:
        """Raise SignatureError unless the request proves itself in the declared way."""
        self.plugin.verify(headers, body, secrets, path_secret=path_secret, mapping=self.mapping, now=self.now)

    def allows_address(self, address: str) -> bool:
        """Return whether the entry takes webhooks from this address."""
        return self.plugin.allows(self.mapping, address)

    def delivery_id(self, headers: Mapping[str, str], body: bytes) -> str | None:
        """Return what is equal on every delivery of one webhook."""
        return self.plugin.delivery_id(headers, body, mapping=self.mapping)


def find_source(name: str, *, now: datetime | None = None, compiled: str = COMPILED) -> Source:
    """Return the source of that name; raises UnknownSourceError when there is neither a file nor an entry."""
    if _NAME.fullmatch(name):
        if name != plugins.GENERIC and plugins.exists("sources", name):
            return plugins.load_source(name)
        mapping = declared(compiled).get(name)
        if mapping is not None:
            return DeclaredSource(plugins.load_declared_source(), mapping, now)
    raise UnknownSourceError("there is no source of that name")


@lru_cache(maxsize=1)
def declared(path: str) -> Mapping[str, Mapping[str, Any]]:
    """Return the entries of `sources:` by name; none when there is no compiled file."""
    return _by_name(path, lambda rules: rules.get("sources"))


@lru_cache(maxsize=1)
def heartbeats(path: str) -> frozenset[str]:
    """Return the names of the heartbeats in the rules; none when there is no compiled file."""
    return frozenset(_by_name(path, lambda rules: (rules.get("probes") or {}).get("heartbeat")))


def _by_name(path: str, entries: Callable[[Mapping[str, Any]], Any]) -> Mapping[str, Mapping[str, Any]]:
    """Return some entries of the compiled rules by their names."""
    if not os.path.isfile(path):
        return {}
    try:
        with open(path, "rb") as file:
            return {str(entry["name"]): entry for entry in entries(json.loads(file.read())["rules"]) or []}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise RulesError(f"{os.path.basename(path)} is damaged: run `tocsin check` and deploy again") from None
