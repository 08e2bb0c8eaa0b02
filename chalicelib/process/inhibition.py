"""Active causes and their symptoms: known in the context before they are told, gone from it after."""

from collections.abc import Callable, Container
from dataclasses import replace
from datetime import datetime

from chalicelib.core.alert import Alert
from chalicelib.core.circles import followers_of
from chalicelib.core.context import Cause, Context
from chalicelib.core.incident import Incident
from chalicelib.core.mute import cause_from, direct_causes, is_cause
from chalicelib.core.optimistic import known_first, updated
from chalicelib.core.rule import Rules
from chalicelib.messages.queue import wake_message
from chalicelib.process.batch import Batch
from chalicelib.process.context_size import with_causes

MAX_CAUSES = 1_000
"""The context is one item: causes beyond this, or beyond their share of its bytes, mute nothing: symptoms are told then."""


def add_causes(batch: Batch, incident: Incident) -> None:
    """Make it known which of the incident's alerts are active causes: before they are saved, so that none is late."""
    _change_causes(batch, incident, lambda context: with_new(context, incident, batch.rules, batch.now))


def drop_causes(batch: Batch, incident: Incident) -> None:
    """Make it known which causes have ended: after they are saved, so that no look at them makes them causes again."""
    _change_causes(batch, incident, lambda context: without_ended(context, incident))


def _change_causes(batch: Batch, incident: Incident, change: Callable[[Context], Context]) -> None:
    def save(context: Context) -> Context:
        batch.context = context
        changed = change(context)
        if changed == context:
            return context
        changed = replace(changed, changed_at=batch.now, version=context.version + 1)
        batch.store.save_context(changed)
        return changed

    changed = updated("the context", known_first(batch.context, batch.store.context), save)
    if changed is not batch.context:
        batch.context = changed
        _wake_symptoms(batch, incident.key)


def with_new(context: Context, incident: Incident, rules: Rules, now: datetime) -> Context:
    """Return the context with the causes among the incident's firing alerts, each as the alert is now.

    A late event can make an alert older, and a newer one can change its severity.
    """
    known = {each.fingerprint for each in context.causes}
    fresh = {
        cause.fingerprint: cause
        for alert in sorted(incident.firing, key=lambda alert: alert.fingerprint)
        if (cause := _cause(alert, incident, known, rules, now)) is not None
    }
    kept = tuple(fresh.get(each.fingerprint, each) for each in context.causes)
    new = tuple(cause for name, cause in fresh.items() if name not in known)[: max(0, MAX_CAUSES - len(kept))]
    causes = with_causes(kept, new) if new else kept
    return context if causes == context.causes else replace(context, causes=causes)


def _cause(alert: Alert, incident: Incident, known: Container[str], rules: Rules, now: datetime) -> Cause | None:
    if f"{incident.key}/{alert.fingerprint}" not in known and not is_cause(alert, rules.inhibitions):
        return None
    return cause_from(alert, incident.key, now)


def without_ended(context: Context, incident: Incident) -> Context:
    """The context without the incident's causes that no longer fire."""
    firing = {alert.fingerprint for alert in incident.firing}
    owned = ((each, *each.fingerprint.rpartition("/")[::2]) for each in context.causes)
    kept = tuple(each for each, key, alert in owned if key != incident.key or alert in firing)
    return context if len(kept) == len(context.causes) else replace(context, causes=kept)


def _wake_symptoms(batch: Batch, but: str) -> None:
    """Have the open incidents looked at whose alerts some inhibition could mute."""
    keys = [
        incident.key
        for incident in batch.store.incidents()
        if incident.key != but
        and any(alert.matched_by(each.symptom) for alert in incident.firing for each in batch.rules.inhibitions)
    ]
    if keys:
        batch.queues.webhooks.put([wake_message(key) for key in keys])


def symptoms_of(incident: Incident, batch: Batch, context: Context) -> tuple[Alert, ...]:
    """Return the alerts of other incidents that this one's alerts mute: they are its evidence."""
    own = [cause for cause in context.causes if cause.fingerprint.startswith(f"{incident.key}/")]
    if not own:
        return ()
    followers = followers_of(context.causes, batch.rules.inhibitions)
    muting = [cause for cause in own if cause.alert not in followers]
    led = {name for name, first in followers.items() if any(first.alert == each.alert for each in own)}
    return tuple(
        alert
        for other in batch.store.incidents()
        if other.key != incident.key
        for alert in other.firing
        if alert.fingerprint in led or direct_causes(alert, muting, batch.rules.inhibitions)
    )
