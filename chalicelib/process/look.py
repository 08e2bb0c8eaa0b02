"""Looks at what is open after silences, causes or rules changed: a bounded part at once, the rest by messages.

A look goes through the list of incidents page by page. Who looks at some pages puts a message for those that follow.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime, timedelta

from chalicelib.core.alert import Origin
from chalicelib.core.context import EVERYTHING, SILENCE_NAME, Context
from chalicelib.core.incident import Incident
from chalicelib.core.listing import listed, whole
from chalicelib.core.ports import Store
from chalicelib.core.routing import route_by_id
from chalicelib.core.rule import Rules
from chalicelib.core.summary import AlertSummary, Summary
from chalicelib.core.withdrawn import probe_names, withdrawn_alerts
from chalicelib.messages.queue import Look, Wake, look_message, wake_message
from chalicelib.process.batch import Batch
from chalicelib.process.rules_digest import rules_digest
from chalicelib.process.silences import clauses_of, may_match

PROBES = "probes"
"""The mark of the context that lists the probes of the rules it was last worked with, one a line."""
GONE_PROBES = "gone_probes"
"""The mark that lists the probes which changed rules no longer name, one a line."""
CHANGED_AT = "rules_changed_at"
ROLLED_OUT = timedelta(minutes=5)
"""After so long no worker of the version before runs, and the index holds what the last of them saved.

Functions are updated one by one, within some 100 seconds: until then an old worker may save an alert of a removed rule.
"""
CHUNK = 100
"""So many incidents are read whole at once where the first of them may be enough."""


def rolls_out(context: Context, now: datetime) -> bool:
    """Return whether the rules changed so lately that workers of the version before may still save."""
    changed_at = context.marks.get(CHANGED_AT)
    return changed_at is not None and now < datetime.fromisoformat(changed_at) + ROLLED_OUT


def gone_probes(context: Context, rules: Rules, now: datetime) -> set[str]:
    """Return the probes that the rules named before and no longer name; also those of a change that still rolls out."""
    marks = (PROBES, GONE_PROBES) if rolls_out(context, now) else (PROBES,)
    named = "\n".join(context.marks.get(mark, "") for mark in marks)
    return set(filter(None, named.split("\n"))) - probe_names(rules)


def look_at_all(batch: Batch, *, pages: int, inline: int) -> None:
    """Have every open incident looked at after the rules changed, and end what nothing can report any more."""
    digest = rules_digest(batch.rules)
    keys, after = _pages(batch.store, "", pages, lambda each: each.is_listed())
    gone = gone_probes(batch.context, batch.rules, batch.now)
    for incident in batch.store.load_all(keys[:inline]).values():
        _look(batch, incident, gone)
    _put(batch, keys[inline:], Look(after, rules=digest) if after else None, digest)


def look_at_changed(batch: Batch, *, pages: int, inline: int) -> None:
    """Have looked at what changed silences or causes may mute, or muted before."""
    names = batch.context.changed or (EVERYTHING,)
    silences = tuple(name.removeprefix(SILENCE_NAME) for name in names if name.startswith(SILENCE_NAME))
    everything = EVERYTHING in names or {*silences} - {each.id for each in batch.context.all_silences}
    found: Collection[str] = ()
    after = ""
    if everything or silences:
        look = Look("", silences=() if everything else silences)
        found, after = _pages(batch.store, "", pages, _wanted(batch.context, look))
    related = () if everything else batch.store.related([each for each in names if not each.startswith(SILENCE_NAME)])
    keys = sorted({*found, *related})
    for key, incident in batch.store.load_all(keys[:inline]).items():
        if incident.firing:
            batch.stored.setdefault(key, incident)
            batch.wake(key, route_by_id(batch.rules, incident), incident.group)
    _put(batch, keys[inline:], Look(after, silences=() if everything else silences) if after else None)


def take_wake(batch: Batch, wake: Wake, message: str) -> None:
    """Look at one incident. One that is woken since the rules changed loses what these rules no longer report."""
    stored = batch.store.load(wake.key)
    if stored is None:
        return
    batch.wake(wake.key, route_by_id(batch.rules, stored), stored.group, message)
    if wake.rules and wake.rules == rules_digest(batch.rules):
        _look(batch, stored, gone_probes(batch.context, batch.rules, batch.now), message)


def take_look(batch: Batch, look: Look) -> None:
    """Wake the incidents of one page of a look, and have the next page looked at."""
    keys, after = _pages(batch.store, look.after, 1, _wanted(batch.context, look))
    _put(batch, keys, Look(after, look.rules, look.silences) if after else None, look.rules)


def _wanted(context: Context, look: Look) -> Callable[[Summary], bool]:
    """Return which incidents a look is about: all for changed rules, else those that a silence may mute, or that fire."""
    if look.rules:
        return lambda each: each.is_listed()
    if look.silences:
        known = [each for each in context.all_silences if each.id in look.silences]
        clauses = [matchers for each in known for matchers in clauses_of(each)]
        return lambda each: may_match(each, clauses)
    return lambda each: each.cut or bool(each.firing)


def _pages(store: Store, after: str, pages: int, wanted: Callable[[Summary], bool]) -> tuple[list[str], str]:
    """Return the keys that are wanted of so many pages, and where the next one begins."""
    found: dict[str, None] = {}
    for _ in range(pages):
        page = store.summaries(after)
        found |= dict.fromkeys(each.key for each in page.summaries if wanted(each))
        after = page.next
        if not after:
            break
    return list(found), after


def _look(batch: Batch, incident: Incident, gone: Collection[str], message: str = "") -> None:
    route = route_by_id(batch.rules, incident)
    batch.wake(incident.key, route, incident.group, message)
    for withdrawn in withdrawn_alerts(incident, batch.rules, gone):
        batch.wake(incident.key, route, incident.group, message, withdrawn)


def _put(batch: Batch, keys: Sequence[str], following: Look | None, rules: str = "") -> None:
    """Put a message for each incident, and one for the pages that follow, which goes first."""
    bodies = [look_message(following)] if following is not None else []
    bodies += [wake_message(key, rules) for key in keys]
    if bodies:
        batch.queues.webhooks.put(bodies)


def with_conditions(store: Store) -> Iterator[Incident]:
    """Yield the open incidents that may have an active alert of a series, a count or a heartbeat."""
    found = [each for each in listed(store) if each.cut or any(_has_condition(alert) for alert in each.alerts)]
    for at in range(0, len(found), CHUNK):
        yield from whole(store, found[at : at + CHUNK]).values()


def _has_condition(alert: AlertSummary) -> bool:
    return alert.active and alert.origin is not Origin.EVENT
