"""Which parameters of the stage a function may need, those needed first at the front: `Secrets` reads them together.

A plug-in declares what it reads: `parameters` in DECLARED of a target, PARAMETERS of a history, and of a probe the
function `parameters`. A name that nobody declares is read when it is needed, by a call of its own.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

from chalicelib import log, plugins
from chalicelib.core.routing import all_targets
from chalicelib.core.rule import Rules, Target
from chalicelib.core.sign_in import PAGE_URL
from chalicelib.redact import ENVIRONMENT

Needs = Callable[[Rules], Sequence[str]]

DELIVERY_SETTINGS = ("DELIVERY_MAX_AGE", "TARGET_GRACE", "RUNBOOK_BASE_URL", PAGE_URL)
"""What every delivery reads, whatever its target."""


def of_workers(rules: Rules) -> Sequence[str]:
    """Return what every worker reads, and most of them alone: the operator's own patterns of what must be masked."""
    return (ENVIRONMENT,)


def of_deliveries(rules: Rules) -> Sequence[str]:
    """Return what the worker of notifications may read."""
    names = of_targets(rules) if rules.parameters is None else rules.parameters
    return _together(of_workers(rules), DELIVERY_SETTINGS, names)


def of_targets(rules: Rules) -> Sequence[str]:
    """Return what the targets of the rules may read. Their files are loaded: compiled rules hold the names for a worker."""
    return _together(*map(_of_target, all_targets(rules)))


def of_probes(rules: Rules) -> Sequence[str]:
    """Return what the probes of the rules may read."""
    known = {kind: listed for kind, listed in rules.probes.items() if plugins.exists("probes", kind)}
    return _together(
        of_workers(rules), *(_of_probe(kind, params) for kind, listed in known.items() for params in listed)
    )


def of_histories(rules: Rules) -> Sequence[str]:
    """Return what the readers of senders' histories may read."""
    return _together(of_workers(rules), *map(_of_history, plugins.names("histories")))


def _of_target(target: Target) -> Sequence[str]:
    return _declared(lambda: plugins.load_target(target.kind).DECLARED.parameters(target.address))


def _of_history(name: str) -> Sequence[str]:
    return _declared(lambda: getattr(plugins.load_history(name), "PARAMETERS", ()))


def _of_probe(kind: str, params: Mapping[str, Any]) -> Sequence[str]:
    return _declared(lambda: getattr(plugins.load_probe(kind), "parameters", _of_none)(params))


def _of_none(params: Mapping[str, Any]) -> Sequence[str]:
    return ()


def _declared(find: Callable[[], Sequence[str]]) -> Sequence[str]:
    """Return what a plug-in declares; nothing where it is broken, which whoever uses it reports."""
    try:
        return find()
    except Exception as error:
        log.line("parameters", **log.failure(error))
        return ()


def _together(*names: Sequence[str]) -> Sequence[str]:
    return tuple(dict.fromkeys(chain.from_iterable(names)))
