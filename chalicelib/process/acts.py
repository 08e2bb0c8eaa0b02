"""Leads a person's act to the incidents that it is about, and answers the person again where it came to something else.

The door answered when it accepted the act. Others may have acted before it was folded: then its line in the timeline has
another result, and that is sent to the person. An incident that has ended takes notes for as long as it is kept.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from chalicelib.core.actions import act_id, acted, is_about
from chalicelib.core.event import Action, ActionKind
from chalicelib.core.incident import Incident, IncidentStatus
from chalicelib.core.inputs import Input
from chalicelib.core.lookup import incident_of
from chalicelib.core.optimistic import updated
from chalicelib.core.outcome import outcome, sentence
from chalicelib.core.routing import route_by_id
from chalicelib.messages.interaction import ANSWER, Interaction, written
from chalicelib.messages.queue import action_message
from chalicelib.process.batch import Batch
from chalicelib.process.lead import INDEXED


def lead(batch: Batch, action: Action, message: str) -> None:
    """Give a person's act the incidents that it is about, those of this very batch too.

    One that names only the vendor's incident, and one that is not known, goes where the vendor can be asked.
    """
    found = False
    for incident in _meant(batch, action):
        if is_about(action, incident):
            found = True
            if incident.status is not IncidentStatus.ENDED or _is_newest(batch, incident):
                batch.wake(incident.key, route_by_id(batch.rules, incident), incident.group, message, action)
            else:
                _after_end(batch, incident.id, action)
    for update in batch.updates.values():
        if action.incident is None and action not in update.inputs:
            update.inputs.append(action)
            update.messages.add(message)
    if not found and action.alias and action.incident == action.alias:
        batch.queues.notifications.put([action_message(action)])
    elif not found and action.incident is not None and action.answered:
        _send(batch, action, sentence(outcome([], action, batch.now), action))


def _meant(batch: Batch, action: Action) -> Iterable[Incident]:
    """Return the incidents that an act may be about: the one it names, ended or not, else all that are open.

    Those that an earlier version opened are found by their id once a tick of this version has run.
    """
    if action.incident is None:
        return batch.store.incidents()
    incident = incident_of(batch.store, action.incident)
    if incident is None and INDEXED not in batch.context.marks:
        return batch.store.incidents()
    return [incident] if incident is not None else []


def _is_newest(batch: Batch, incident: Incident) -> bool:
    newest = batch.store.load(incident.key)
    return newest is not None and newest.id == incident.id


def answer(batch: Batch, incident: Incident, inputs: Sequence[Input]) -> None:
    """Send the result of each act that was folded into an incident, where the door gave the person another one."""
    for each in inputs:
        if isinstance(each, Action) and each.incident is not None:
            if is_about(each, incident):
                _answer_folded(batch, incident, each)
            else:
                _after_end(batch, each.incident, each)


def _answer_folded(batch: Batch, incident: Incident, action: Action) -> None:
    lines = [each for each in incident.timeline.entries if each.act == act_id(action)]
    if lines and lines[-1].result not in ("", action.answered):
        _send(batch, action, lines[-1].text)


def _after_end(batch: Batch, name: str, action: Action) -> None:
    """Write a note on an incident that another one has replaced; of any other act send what it came to.

    An incident of which nobody was notified, and on which nobody acted, is not kept.
    """

    def write(incident: Incident | None) -> None:
        if incident is None or action.kind is not ActionKind.NOTE:
            newer = batch.store.load(incident.key) if incident is not None else None
            found = outcome([incident] if incident is not None else [], action, batch.now, newer=newer)
            _send(batch, action, sentence(found, action))
            return
        after = acted(incident, action, batch.rules, batch.now)
        if after != incident:
            batch.store.amend(replace(after, sync="", version=incident.version + 1))

    updated("an ended incident", lambda: batch.store.archived(name) or incident_of(batch.store, name), write)


def answer_id(action: Action) -> str:
    """Return the id of the answer to an act."""
    return f"answer:{act_id(action)}"


def _send(batch: Batch, action: Action, text: str) -> None:
    """Put an answer on the notifications queue, for a person who can be reached. Twice is one answer more."""
    if not (action.reply_to or action.channel):
        return
    asked = Interaction(
        id=answer_id(action),
        kind=ANSWER,
        user=action.account.rpartition("/")[2],
        at=action.at,
        words=text,
        channel=action.channel,
        reply_to=action.reply_to,
    )
    batch.queues.notifications.put([written(asked)])
