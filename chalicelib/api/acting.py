"""Accepts a person's act: what it comes to is asked first, and only what changes something is put on the queue.

One function for the API and for Slack. The command line and the page use the API.
"""

from dataclasses import replace
from datetime import datetime

from chalicelib.api import views
from chalicelib.core.errors import KeyUsedError, OverError
from chalicelib.core.event import Action
from chalicelib.core.incident import Incident, IncidentStatus
from chalicelib.core.outcome import Outcome, Result, ended_sentence, outcome
from chalicelib.core.ports import Queue, Store
from chalicelib.messages.queue import action_message


def open_incident(id: str, *, store: Store, now: datetime) -> Incident:
    """Return the incident that an id, or its first characters, means while it is open.

    Raise NotFoundError, NotUniqueError, or OverError with since when it is resolved and under which id it fires again.
    """
    found = views.find(store, id, now)
    if found.status is IncidentStatus.OPEN:
        return found
    raise OverError(ended_sentence(found, store.load(found.key)))


def accepted(action: Action, *, store: Store, webhooks: Queue, now: datetime, key: str = "") -> tuple[Outcome, Action]:
    """Return what an act comes to as of now, and the act, after it was put on the queue where it changes something.

    `action.incident` is what the person named: an id, or the first characters of one. An act that its incident knows
    already (the same `id`) is done: it is not put anew. Raise KeyUsedError when the incident knows another act whose id
    begins with `key`.
    """
    found = views.candidates(store, action.incident or "", now)
    if len(found) != 1:
        return outcome(found, action, now), action
    (incident,) = found
    action = replace(action, incident=incident.id)
    if any(each.act == action.id for each in incident.timeline.entries):
        return Outcome(Result.DONE, incident.id, accepted=True), action
    if key and any(each.act.startswith(key) for each in incident.timeline.entries):
        raise KeyUsedError("the Idempotency-Key came with another request before: expected is a new key")
    newer = store.load(incident.key) if incident.status is IncidentStatus.ENDED else None
    result = outcome(found, action, now, newer=newer)
    if result.accepted:
        action = replace(action, answered=result.result.value)
        webhooks.put([action_message(action)])
    return result, action
