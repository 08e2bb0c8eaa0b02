"""The storms of a batch: which one takes the beginning of an incident, what is reported to it, and what people do to it.

Openings are counted by claims: each is a slot of its own in an item of its target and time, so many workers at once
neither lose one nor conflict. The storm that takes the next ones is one more slot, as the head of correlated incidents is.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from chalicelib.core.actions import act_id, is_about
from chalicelib.core.correlation import Head
from chalicelib.core.delivery.notification import Notification
from chalicelib.core.event import Action, ActionKind
from chalicelib.core.identity import Fault, Holder
from chalicelib.core.incident import Incident
from chalicelib.core.inputs import Input
from chalicelib.core.routing import storm_route
from chalicelib.core.storm_key import storm_key
from chalicelib.core.storms import copies, goes_on, members, openings, reports, storms_of, strays
from chalicelib.messages.queue import StormReport, action_message, storm_message
from chalicelib.process.batch import Batch

SLOT = "storm"
FORWARDED = (ActionKind.ACK, ActionKind.UNACK, ActionKind.RESOLVE)
MAX_TRIES = 60
AGAIN_AFTER = timedelta(seconds=1)
"""A report that arrives before its incident is saved comes again so soon, at most `MAX_TRIES` times."""


def taken(batch: Batch, incident: Incident, notifications: Sequence[Notification]) -> dict[str, str]:
    """Return the storms that take the beginning of an incident at some of its targets, by the keys of these targets."""
    if batch.rules.correlate is None or batch.rules.correlation.storm is None:
        return {}
    found = {key: _storm_for(batch, key, incident) for key in openings(incident, notifications)}
    return {key: storm for key, storm in found.items() if storm}


def _storm_for(batch: Batch, target: str, incident: Incident) -> str:
    """Return the key of the storm that takes an opening of a target; empty where it is opened on its own.

    A retry finds its own slot, and the others as they are by then: it never opens what went into a storm.
    """
    terms, now = batch.rules.correlation.storm, batch.now
    assert terms is not None
    name, counted, before = f"storm|{target}", _counted_name(target, now, terms.within), now - terms.within
    earlier = _counted_name(target, before, terms.within)
    known = batch.store.faults({name, earlier})
    head = known.get(name, Fault()).holders.get(SLOT)
    if head is not None and _goes_on(batch, Head(head.key, head.at)):
        return _joined(batch, head.key)
    mine = Holder(key=incident.key, alert="", rule="", route="", group={}, rank=0, at=now)
    found = (batch.store.claim(counted, incident.id, mine, over=None), known.get(earlier, Fault()))
    others = {slot for each in found for slot, holder in each.holders.items() if holder.at > before} - {incident.id}
    if len(others) < terms.openings:
        return ""
    new = replace(mine, key=storm_key(target, now))
    after = batch.store.claim(name, SLOT, new, over=head)
    return _joined(batch, after.holders.get(SLOT, new).key)


def _counted_name(target: str, at: datetime, within: timedelta) -> str:
    """Return the name of the item that counts the openings of a target around that time."""
    seconds = max(int(within.total_seconds()), 1)
    return f"openings|{target}|{seconds}|{int(at.timestamp()) // seconds}"


def _goes_on(batch: Batch, head: Head) -> bool:
    batch.read({head.key})
    return goes_on(head.at, batch.stored[head.key], batch.news.get(head.key), batch.rules.correlation, batch.now)


def _joined(batch: Batch, key: str) -> str:
    batch.news[key] = batch.now
    return key


def report(batch: Batch, stored: Incident | None, incident: Incident) -> None:
    """Have the storms look at an incident that changed for their targets. It is put before the incident is saved."""
    found = storms_of(stored) | storms_of(incident)
    changed = {storm for storm in found.values() if _shows(stored, storm) != _shows(incident, storm)}
    put = [storm_message(StormReport(storm, incident.key, incident.version)) for storm in sorted(changed)]
    if put:
        batch.queues.webhooks.put(put)


def _shows(incident: Incident | None, storm: str) -> Mapping[str, object]:
    return copies(incident, storm) if incident is not None else {}


def take_report(batch: Batch, given: StormReport, message: str) -> None:
    """Give a storm what one of its incidents has for it. A change that is not saved yet comes again."""
    member = batch.store.load(given.member)
    if member is None or member.version < given.version:
        if given.tries < MAX_TRIES:
            again = storm_message(replace(given, tries=given.tries + 1))
            batch.queues.webhooks.put([again], delay=AGAIN_AFTER)
        return
    batch.wake(given.storm, storm_route(batch.rules, given.storm), {}, message)
    batch.reported.setdefault(given.storm, set()).add(given.member)


def inputs_of(batch: Batch, storm: Incident) -> list[Input]:
    """Return what a storm gets from the incidents that reported to it; where none did, by all of them that fire there."""
    keys = batch.reported.get(storm.key) or members(storm, firing=True)
    found = batch.store.load_all(sorted(keys))
    reported = [each for key in sorted(found) for each in reports(storm, found[key], batch.now)]
    return [*reported, *strays(storm, batch.now)]


def forward(batch: Batch, storm: Incident, inputs: Iterable[Input]) -> None:
    """Have what a person did to a storm done to each of its incidents. Twice is once: an act is known by its id."""
    if not storm.is_storm:
        return
    for act in inputs:
        if isinstance(act, Action) and act.kind in FORWARDED and is_about(act, storm):
            batch.queues.webhooks.put([action_message(each) for each in _for_each(batch, storm, act)])


def _for_each(batch: Batch, storm: Incident, act: Action) -> list[Action]:
    bare = replace(act, id=act_id(act), alias="", reply_to="", channel="", answered="", via="api")
    known = batch.store.load_all(members(storm))
    return [replace(bare, incident=each.id) for each in known.values()]
