"""Active causes and their symptoms: known in the context before they are notified, gone from it after.

A cause and its symptoms are found by their relations (`core/relations.py`), so that the work for one event does not grow
with what else fires.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache

from chalicelib.core.alert import Alert
from chalicelib.core.circles import followers_of
from chalicelib.core.context import EVERYTHING, Cause, Context
from chalicelib.core.incident import Incident, IncidentStatus
from chalicelib.core.listing import listed, with_alerts
from chalicelib.core.mute import cause_from, direct_causes, is_cause
from chalicelib.core.optimistic import known_first, updated
from chalicelib.core.relations import (
    Matched,
    inhibitions_digest,
    relation_name,
    relations_of_cause,
    relations_of_symptom,
)
from chalicelib.core.rule import Rules
from chalicelib.messages.queue import wake_message
from chalicelib.process.batch import Batch
from chalicelib.process.context_size import with_causes

MAX_CAUSES = 1_000
"""The context is one item: causes beyond this, or beyond their share of its bytes, mute nothing: symptoms are notified then."""
RELATED = "related"
"""The mark of the context that names the inhibitions under which every open incident is found by its relations."""


def add_causes(batch: Batch, incident: Incident) -> None:
    """Make it known which of the incident's alerts are active causes: before they are saved, so that none is late."""
    _change_causes(batch, incident, lambda context: with_new(context, incident, batch.rules, batch.now))


def drop_causes(batch: Batch, incident: Incident) -> None:
    """Make it known which causes have ended: after they are saved, so that no look at them makes them causes again."""
    _change_causes(batch, incident, lambda context: without_ended(context, incident))


def _change_causes(batch: Batch, incident: Incident, change: Callable[[Context], Context]) -> None:
    before: tuple[Cause, ...] = ()

    def save(context: Context) -> Context:
        nonlocal before
        batch.context = context
        changed = change(context)
        if changed is context:
            return context
        before = of_incident(context.causes, incident.key)
        after = of_incident(changed.causes, incident.key)
        differing = [each for each in (*before, *after) if each not in before or each not in after]
        changed = changed.with_changed(_changed_names(batch, differing), batch.now)
        changed = replace(changed, version=context.version + 1)
        batch.store.save_context(changed)
        return changed

    changed = updated("the context", known_first(batch.context, batch.store.context), save)
    if changed is not batch.context:
        batch.context = changed
        after = of_incident(changed.causes, incident.key)
        ended, begun = [each for each in before if each not in after], [each for each in after if each not in before]
        _wake_symptoms(batch, incident.key, ended=ended, begun=begun)


def _changed_names(batch: Batch, causes: Iterable[Cause]) -> set[str]:
    """Return the names of the relations in which these causes mute; that of everything until symptoms are found by them."""
    if not is_related(batch.context, batch.rules):
        return {EVERYTHING}
    inhibitions = batch.rules.inhibitions
    relations = {relation for cause in causes for relation in relations_of_cause(cause, inhibitions)}
    return {relation_name(each, inhibitions) for each in relations}


def with_new(context: Context, incident: Incident, rules: Rules, now: datetime) -> Context:
    """Return the context with the causes among the incident's firing alerts, each as the alert is now.

    A late event can make an alert older, and a newer one can change its severity. The context itself where that is so already.
    """
    own = {each.fingerprint: each for each in of_incident(context.causes, incident.key)}
    fresh = {
        cause.fingerprint: cause
        for alert in sorted(incident.firing, key=lambda alert: alert.fingerprint)
        if (cause := _cause(alert, incident, own, rules, now)) is not None
    }
    if all(own.get(name) == cause for name, cause in fresh.items()):
        return context
    kept = tuple(fresh.get(each.fingerprint, each) for each in context.causes)
    new = tuple(cause for name, cause in fresh.items() if name not in own)[: max(0, MAX_CAUSES - len(kept))]
    causes = with_causes(kept, new) if new else kept
    return context if causes == context.causes else replace(context, causes=causes)


def _cause(alert: Alert, incident: Incident, own: Mapping[str, Cause], rules: Rules, now: datetime) -> Cause | None:
    if f"{incident.key}/{alert.fingerprint}" not in own and not is_cause(alert, rules.inhibitions):
        return None
    return cause_from(alert, incident.key, now)


def without_ended(context: Context, incident: Incident) -> Context:
    """Return the context without the incident's causes that no longer fire; the context itself where none is."""
    own = of_incident(context.causes, incident.key)
    if not own:
        return context
    firing = {alert.fingerprint for alert in incident.firing}
    ended = {each.fingerprint for each in own if each.alert not in firing}
    if not ended:
        return context
    return replace(context, causes=tuple(each for each in context.causes if each.fingerprint not in ended))


def of_incident(causes: tuple[Cause, ...], key: str) -> tuple[Cause, ...]:
    """Return the causes that are alerts of one incident."""
    return tuple(_by_incident(_Causes(causes)).get(key, ()))


class _Causes:
    """Causes that are equal only to the very same ones: to compare a thousand takes long."""

    def __init__(self, causes: tuple[Cause, ...]) -> None:
        self.causes = causes

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Causes) and self.causes is other.causes

    def __hash__(self) -> int:
        return id(self.causes)


@lru_cache(maxsize=4)
def _by_incident(given: _Causes) -> Mapping[str, Sequence[Cause]]:
    found: dict[str, list[Cause]] = {}
    for cause in given.causes:
        found.setdefault(cause.fingerprint.rpartition("/")[0], []).append(cause)
    return found


# ---------------------------------------------------------------------------------------------------------------------
# Symptoms


def relate(batch: Batch, stored: Incident | None, incident: Incident) -> None:
    """Make the alerts that began to fire known by the relations in which they may be muted, before they are saved."""
    known = {alert.fingerprint for alert in stored.firing} if stored is not None else set()
    begun = [alert for alert in incident.firing if alert.fingerprint not in known]
    if names := _names(begun, batch.rules):
        batch.store.relate(names, incident.key)


def relate_all(batch: Batch) -> str:
    """Make everything that is open known by its relations. Return the mark that says so."""
    for summary, alerts in with_alerts(batch.store, listed(batch.store)):
        if names := _names((alert for alert in alerts if alert.fires), batch.rules):
            batch.store.relate(names, summary.key)
    return inhibitions_digest(batch.rules.inhibitions)


def is_related(context: Context, rules: Rules) -> bool:
    """Return whether symptoms are found by relations: not until the first tick under these inhibitions."""
    return context.marks.get(RELATED) == inhibitions_digest(rules.inhibitions)


def _names(alerts: Iterable[Matched], rules: Rules) -> list[str]:
    found = {relation for alert in alerts for relation in relations_of_symptom(alert, rules.inhibitions)}
    return sorted(relation_name(each, rules.inhibitions) for each in found)


def _wake_symptoms(batch: Batch, but: str, *, ended: Sequence[Cause], begun: Sequence[Cause]) -> None:
    """Have the open incidents looked at whose alerts the causes that changed may mute.

    An incident that nobody was notified of yet is looked at when its time comes: a cause that began makes that no earlier.
    """
    known = [each for each in _possible_symptoms(batch, begun) if each.announced]
    found = {each.key: each for each in (*known, *_possible_symptoms(batch, ended)) if each.key != but}
    keys = [
        incident.key
        for incident in found.values()
        if any(alert.matched_by(each.symptom) for alert in incident.firing for each in batch.rules.inhibitions)
    ]
    if keys:
        batch.queues.webhooks.put([wake_message(key) for key in keys])


def _possible_symptoms(batch: Batch, causes: Sequence[Cause]) -> Iterable[Incident]:
    """Return open incidents: all that hold a symptom of one of the causes, and maybe others."""
    inhibitions = batch.rules.inhibitions
    if not causes:
        return ()
    if not is_related(batch.context, batch.rules):
        return batch.store.incidents()
    relations = {relation for cause in causes for relation in relations_of_cause(cause, inhibitions)}
    keys = batch.store.related(sorted(relation_name(each, inhibitions) for each in relations)) if relations else ()
    return _open(batch, keys)


def _open(batch: Batch, keys: Iterable[str]) -> list[Incident]:
    found = batch.store.load_all(sorted(keys))
    return [found[key] for key in sorted(found) if found[key].status is IncidentStatus.OPEN]


def symptoms_of(incident: Incident, batch: Batch, context: Context) -> tuple[Alert, ...]:
    """Return the alerts of other incidents that this one's alerts mute: they are its evidence."""
    own = of_incident(context.causes, incident.key)
    if not own:
        return ()
    followers = followers_of(context.causes, batch.rules.inhibitions)
    muting = tuple(cause for cause in own if cause.alert not in followers)
    led = {name for name, first in followers.items() if any(first.alert == each.alert for each in own)}
    others = {each.key: each for each in _possible_symptoms(batch, muting)}
    if led:
        homes = {each.fingerprint.rpartition("/")[0] for each in context.causes if each.alert in led}
        others |= {each.key: each for each in _open(batch, homes - others.keys())}
    return tuple(
        alert
        for other in others.values()
        if other.key != incident.key and not other.is_storm
        for alert in other.firing
        if alert.fingerprint in led or direct_causes(alert, muting, batch.rules.inhibitions)
    )
