"""What the rules file reads and the stage does not have: secrets of declared sources and of targets."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from chalicelib.core.delivery.request_template import secrets_in
from chalicelib.core.routing import all_targets
from chalicelib.core.rule import Rules, Target
from chalicelib.sources import generic
from chalicelib.targets import checked_module_for, kinds


@dataclass(frozen=True, slots=True)
class _Values:
    """The secrets and settings of a stage as targets ask for them."""

    there: Mapping[str, str]

    def secret(self, name: str) -> str | None:
        """Return a secret; None where it is not set."""
        return self.there.get(name)

    def setting(self, name: str, default: str = "") -> str:
        """Return a setting, or the default where it is not set."""
        return self.there.get(name, default)


def unset(rules: Rules, there: Mapping[str, str]) -> dict[str, str]:
    """Return the names of secrets that are not set, each with what does not work without it."""
    found: dict[str, str] = {}
    for name, why in (*_of_sources(rules), *_of_targets(rules, _Values(there))):
        if not there.get(name):
            found.setdefault(name, why)
    return found


def _of_sources(rules: Rules) -> Iterator[tuple[str, str]]:
    for entry in rules.sources:
        for name in generic.secrets(entry):
            yield name, f"the sender of the source {entry['name']} is refused"


def _of_targets(rules: Rules, values: Any) -> Iterator[tuple[str, str]]:
    for target in all_targets(rules):
        for name in _names(target, rules, values):
            yield name, f"{target.shown} is not notified"
    needs = {target.kind: kinds()[target.kind].needs for target in all_targets(rules)}
    for kind, named in needs.items():
        if checked_module_for(kind) is None:
            yield from named


def _names(target: Target, rules: Rules, values: Any) -> list[str]:
    if target.kind == "webhook" and target.address in rules.webhooks:
        return list(secrets_in(rules.webhooks[target.address]))
    module = checked_module_for(target.kind)
    if module is None or (found := module.check_target(target, values)).state != "wrong":
        return []
    return [found.parameter] if found.parameter else list(kinds()[target.kind].parameters(target.address))[:1]
