"""A digest of the rules, by which the tick and the workers know whether they work with the same ones."""

from chalicelib.core.event import fingerprint
from chalicelib.core.rule import Rules

_digests: dict[int, tuple[Rules, str]] = {}


def rules_digest(rules: Rules) -> str:
    """Return a text that changes when the rules do."""
    known = _digests.get(id(rules))
    if known is None or known[0] is not rules:
        _digests.clear()
        services = [repr(rules.services)] if rules.services.declared else []
        _digests[id(rules)] = (rules, fingerprint(repr(rules), *services))
    return _digests[id(rules)][1]
