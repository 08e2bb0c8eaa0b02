"""Stored samples as the series that conditions look at, and what the conditions say of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from chalicelib.core.alert import Alert, Origin
from chalicelib.core.incident import Incident
from chalicelib.core.inputs import TimedEvaluation
from chalicelib.core.language.condition import evaluate
from chalicelib.core.metrics.sample import Bucket, Sample
from chalicelib.core.ports import Store
from chalicelib.core.rule import Rule, Rules
from chalicelib.core.services import NO_SERVICES, SERVICE_RAW, Services


@dataclass(frozen=True, slots=True)
class StoredSeries:
    """The samples of one set of labels. A metric that is never measured under them is taken where its labels agree.

    One that is measured under them and has nothing now has no data: another series does not speak for it.
    Series are stored under the labels that were measured, and agree by those that aliases make of them.
    """

    store: Store
    labels: Mapping[str, str]
    services: Services = NO_SERVICES

    def buckets(self, metric: str, since: datetime, until: datetime) -> Sequence[Bucket]:
        """Return the buckets, oldest first."""
        found = self.store.buckets(metric, self.labels, since, until)
        if found:
            return found
        known = self.store.label_sets(metric)
        shared = [each for each in known if _agree(each, self.labels, self.services)]
        if not shared or self.labels in known:
            return found
        return self.store.buckets(metric, max(shared, key=self.nearness), since, until)

    def nearness(self, labels: Mapping[str, str]) -> tuple[int, int, list[tuple[str, str]]]:
        """Return how well labels fit those of the series: many the same, few others; of equals always the same one."""
        shared = len(labels.keys() & self.labels.keys())
        return shared, -len(labels), sorted(labels.items())

    def event_times(self) -> Sequence[datetime]:
        """Return nothing: samples are not events."""
        return ()


def _agree(one: Mapping[str, str], other: Mapping[str, str], services: Services) -> bool:
    one, other = services.labelled(one), services.labelled(other)
    shared = (one.keys() & other.keys()) - {SERVICE_RAW}
    return (bool(shared) or not one or not other) and all(one[name] == other[name] for name in shared)


def primary_metric(rule: Rule) -> str:
    """Return the metric whose series are the rule's alerts: the first that its condition names."""
    assert rule.condition is not None
    return min(rule.condition.metrics, key=rule.condition.text.find)


def series_labels(rule: Rule, sample: Sample, store: Store, services: Services) -> list[Mapping[str, str]]:
    """Return the label sets of the rule's alerts that a sample is about."""
    primary = primary_metric(rule)
    if sample.metric == primary:
        return [sample.labels]
    found = [labels for labels in store.label_sets(primary) if _agree(labels, sample.labels, services)]
    return list(found) or [sample.labels]


def evaluation(
    rule: Rule, labels: Mapping[str, str], store: Store, at: datetime, services: Services
) -> TimedEvaluation:
    """Return what the rule's condition, and its `clear`, say of a series at a time. `labels` are those it is stored under."""
    assert rule.condition is not None
    series = StoredSeries(store, labels, services)
    clear = evaluate(rule.clear, series, at) if rule.clear is not None else None
    return TimedEvaluation(at, evaluate(rule.condition, series, at), clear)


def evaluations_of(incident: Incident, rules: Rules, store: Store, now: datetime) -> dict[str, TimedEvaluation]:
    """Return the conditions of the incident's measured alerts that are due to be asked again."""
    found: dict[str, TimedEvaluation] = {}
    for alert in incident.alerts.values():
        rule = rules.by_name.get(alert.rule)
        if alert.origin is not Origin.SERIES or rule is None or rule.condition is None or not _alert_is_due(alert, now):
            continue
        found[alert.fingerprint] = evaluation(rule, measured_under(alert, rule, rules), store, now, rules.services)
    return found


def measured_under(alert: Alert, rule: Rule, rules: Rules) -> Mapping[str, str]:
    """Return the labels under which the series of an alert is stored."""
    return rules.services.unnamed({name: text for name, text in alert.labels.items() if rule.labels.get(name) != text})


def _alert_is_due(alert: Alert, now: datetime) -> bool:
    """Return whether a measured alert must be asked again at `now`."""
    return alert.active or (alert.evaluation.recheck_at is not None and alert.evaluation.recheck_at <= now)


def watches_silence(rule: Rule) -> bool:
    """Return whether nothing happening can make the rule fire."""
    if rule.no_data == "alert":
        return True
    return rule.condition is not None and ("absent" in rule.condition.text or _can_rise(rule))


def _can_rise(rule: Rule) -> bool:
    assert rule.condition is not None
    text = rule.condition.text
    return rule.condition.counts_events and any(word in text for word in ("<", "==", "!=", "not "))
