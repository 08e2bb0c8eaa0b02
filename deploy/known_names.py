"""The names of secrets and settings that something of a stage reads. A name that nothing reads is a misspelt one.

They are those of `.env.example`, of the parts that the rules file names, of its declared sources, and a few families:
a routing key or an address by its own name.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from chalicelib import parameters, plugins
from chalicelib.core.language.tokens import nearest
from chalicelib.core.rule import Rules
from chalicelib.core.sign_in import KEY
from chalicelib.ingest import heartbeats
from chalicelib.sources import generic

FAMILIES = (
    re.compile(r"PAGERDUTY_ROUTING_KEY_[A-Z0-9_]+"),
    re.compile(r"(DISCORD|TEAMS|WEBHOOK)_[A-Z0-9_]+_URL"),
    re.compile(r"WEBHOOK_[A-Z0-9_]+_SECRET"),
)
_EXAMPLE = re.compile(r"^#([A-Z][A-Z0-9_]*)=", re.MULTILINE)
TOKENS = ("API_TOKEN", "PAGE_TOKEN", "SLACK_SIGNING_SECRET")
"""Secrets of those who ask, beside those of senders: several values with commas between them are all live."""


@dataclass(frozen=True, slots=True)
class KnownNames:
    """What may be set (`names`), what the parts of the rules file read (`used`), and what may have two live values (`rotated`).

    `declared` are the secrets of declared sources: without one its sender is refused.
    """

    names: frozenset[str]
    used: tuple[str, ...]
    rotated: frozenset[str]
    declared: tuple[str, ...] = ()

    def is_known(self, name: str) -> bool:
        """Return whether something reads the name."""
        return name in self.names or any(each.fullmatch(name) for each in FAMILIES)

    def did_you_mean(self, name: str, before: str = "; ") -> str:
        """Return the end of a sentence that names the known name which is nearly this one; empty where none is."""
        near = nearest(name.upper(), self.names)
        return f"{before}did you mean {near}" if near else ""


def known_names(rules: Rules, root: Path, variables: Iterable[str] = ()) -> KnownNames:
    """Return the names of a stage with these rules and their variables. `root` is the folder of `.env.example`."""
    example = (root / ".env.example").read_text(encoding="utf-8")
    declared = tuple(name for each in rules.sources for name in generic.secrets(each))
    of_senders = (name for source in plugins.names("sources") for name in _of_source(source))
    used = dict.fromkeys((*parameters.of_targets(rules), *parameters.of_probes(rules), *declared, *variables))
    rotated = frozenset((*of_senders, *declared, *TOKENS, *heartbeats.SECRETS))
    names = frozenset((*_EXAMPLE.findall(example), *used, *rotated, *parameters.of_histories(rules), KEY))
    return KnownNames(names, tuple(used), rotated, declared)


def _of_source(name: str) -> Sequence[str]:
    return tuple(getattr(plugins.load_source(name), "SECRETS", ()))


def unknown(values: Mapping[str, str], known: KnownNames) -> list[str]:
    """Return a line for each name that nothing reads, with the nearest right one."""
    return [f"nothing reads {name}{known.did_you_mean(name)}" for name in values if not known.is_known(name)]
