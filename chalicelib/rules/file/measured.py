"""Warnings for conditions on metrics that nothing measures: no probe of the file, or none with the labels of the rule."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from chalicelib.core.language.condition import ConditionError, parse
from chalicelib.core.match import Matcher, refusal
from chalicelib.core.services import SERVICE
from chalicelib.probes import labels_of
from chalicelib.rules.file.finding import Finding, Path, entries_in, items_in, mapping_in
from chalicelib.rules.file.outside import module_of, probe_meanings
from chalicelib.rules.file.reach import clauses_of

if TYPE_CHECKING:
    from chalicelib.plugin_modules import AnyProbeModule

OF_EVERY_PROBE = ("uptime", "failures", "successes")
"""What `watch` measures of every probe: whether it ran well, and how often in a row (schedule/watch.py)."""
DECIDED = ("environment",)
"""A label that a sample has only where the entry of its probe says so. Others, such as `zone`, come from what is measured."""
MAX_LISTED = 3

Labels = Mapping[str, str]


def measured(data: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield a warning for each metric of a condition that no probe of the file measures.

    Metrics under `metrics:` and those that no probe of any kind measures come from elsewhere: nothing is known of them.
    """
    kinds = _metrics_of_kinds()
    probes = [found for kind in kinds for found in _probes(data, kind)]
    declared = mapping_in(data.get("services"))
    for path, rule in entries_in(data, "alerts"):
        if rule.get("enabled") is False:
            continue
        for key in ("condition", "clear"):
            for metric in _metrics_in(rule.get(key), rule.get("threshold", 0)):
                able = [kind for kind, metrics in kinds.items() if metric in metrics]
                yield from _doubt((*path, key), metric, able, rule, probes, declared)


def _doubt(
    path: Path,
    metric: str,
    able: list[str],
    rule: Mapping[str, Any],
    probes: list[tuple[str, Labels]],
    services: Mapping[str, Any],
) -> Iterator[Finding]:
    those = [labels for kind, labels in probes if kind in able]
    if not able:
        return
    if not those:
        what = f"no probe of the file measures {metric}: this rule cannot fire"
        yield Finding(path, what, f"an entry under probes: of the kind {_listed(able)} (docs/probes.md)", kind="doubt")
        return
    clauses = clauses_of(rule.get("match"))
    if not any(all(_may_have(labels, clause, services) for clause in clauses) for labels in those):
        asked = ", ".join(clause.written() for clause in clauses)
        what = f"no probe that measures {metric} has {asked}: this rule cannot fire"
        yield Finding(path, what, f"labels of {_named(those)}", kind="doubt")


def _listed(kinds: list[str]) -> str:
    return " or ".join(kinds[:MAX_LISTED]) + (" or another" if len(kinds) > MAX_LISTED else "")


def _may_have(labels: Labels, clause: Matcher, services: Mapping[str, Any]) -> bool:
    """Return whether a sample of a probe with these labels can satisfy a clause. `services:` may give it another service."""
    if refusal([clause]) or (clause.label == SERVICE and services):
        return True
    return clause.matches(labels) if clause.label in (*labels, *DECIDED) else True


def _named(probes: list[Labels]) -> str:
    names = sorted(labels["probe"] for labels in probes)
    return ", ".join(names[:MAX_LISTED]) + (" or another" if len(names) > MAX_LISTED else "")


def _metrics_in(condition: Any, threshold: Any) -> list[str]:
    """Return the metrics of a condition; nothing of one that is wrong, which is a mistake already."""
    try:
        return sorted(parse(condition, threshold=threshold).metrics) if isinstance(condition, str) else []
    except ConditionError:
        return []


def _metrics_of_kinds() -> dict[str, frozenset[str]]:
    """Return what each kind of probe measures, in the order of lists. A kind without its drivers here is left out."""
    modules = ((kind, module_of(kind)) for kind in probe_meanings())
    return {kind: _metrics_of(module) for kind, module in modules if module is not None}


def _metrics_of(module: "AnyProbeModule") -> frozenset[str]:
    rates = (rate.metric for rate in getattr(module, "RATES", ()))
    return frozenset([*module.METRICS, *OF_EVERY_PROBE, *rates, *getattr(module, "GROWTHS", ())])


def _probes(data: Mapping[str, Any], kind: str) -> Iterator[tuple[str, Labels]]:
    """Yield the kind of each of its entries with the labels that the entry decides."""
    for _, entry in items_in(mapping_in(data.get("probes")).get(kind)):
        if isinstance(entry, Mapping) and isinstance(entry.get("labels", {}), Mapping):
            yield kind, labels_of(entry)
