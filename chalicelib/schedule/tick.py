"""schedule → timers that are due: what no delayed message woke, heartbeats to expect, rules that changed.

The tick is the safety net under the delayed messages: after an outage it finds every incident whose time has come.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from math import ceil

from chalicelib.core.context import Context
from chalicelib.core.errors import ConflictError
from chalicelib.core.inputs import Measured
from chalicelib.core.ports import Store
from chalicelib.core.routing import heartbeat_route, route_by_id
from chalicelib.core.rule import Rule, Rules
from chalicelib.core.withdrawn import probe_names
from chalicelib.messages.queue import Failure, Queues, wake_message
from chalicelib.process.batch import Batch
from chalicelib.process.commit import settle
from chalicelib.process.context_update import saved_context
from chalicelib.process.displaced import DISPLACED, RULES, any_displaced, marks_of
from chalicelib.process.gather import beat_of, take_measured
from chalicelib.process.inhibition import RELATED, is_related, relate_all
from chalicelib.process.lead import INDEXED, index
from chalicelib.process.look import (
    CHANGED_AT,
    GONE_PROBES,
    PROBES,
    gone_probes,
    look_at_all,
    look_at_changed,
    rolls_out,
    with_conditions,
)
from chalicelib.process.rules_digest import rules_digest
from chalicelib.process.series import evaluation, primary_metric, watches_silence

MAX_WOKEN = 10_000
"""Timers that one tick looks at; those beyond are the next tick's."""
MAX_INLINE = 500
"""Of these the tick works off so many itself, the most overdue. It puts the others on the queue of the workers."""
PERIOD = timedelta(minutes=1)
LOOKED_AT_MINUTES = 10
"""While an active alert is not where the rules lead, it is looked so often whether one still is."""
SETTLED = timedelta(seconds=10)
"""After so long the index of open incidents holds what was saved: it follows the table within a second or so."""

LOOKED_PAGES = 2
"""So many pages of the list a look of the tick goes through itself: some 2,000 incidents. The others are the workers'."""


def _unnoticed(late: timedelta) -> None:
    """Take no notice of it."""


def tick(
    *,
    rules: Rules,
    store: Store,
    queues: Queues,
    now: datetime,
    on_overdue: Callable[[timedelta], object] = _unnoticed,
) -> list[Failure]:
    """Do what is due at `now`. Twice changes nothing. `on_overdue` is called with the age of the oldest timer that is due."""
    context = store.context()
    batch = Batch(rules, store, queues, now, context)
    changed = context.marks.get(RULES) != rules_digest(rules)
    late = not changed and rolls_out(context, now)
    if marks := _new_marks(batch, anew=changed or late):
        batch.context = context = _marked(store, context, marks)
    if changed or late:
        look_at_all(batch, pages=LOOKED_PAGES, inline=MAX_INLINE)
    if context.changed_at is not None:
        look_at_changed(batch, pages=LOOKED_PAGES, inline=MAX_INLINE)
    _look_at_causes(batch)
    on_overdue(_wake(batch))
    _expect_beats(batch, anew=changed)
    _watch_silence(batch, context)
    failures = settle(batch)
    if late:
        _mark_late_displaced(store, rules, now)
    elif not failures:
        _mark_what_was_done(batch, context, changed=changed)
    if context.changed_at is not None and not failures and now >= context.changed_at + SETTLED:
        _mark_looked_at(store, context.changed_at)
    return failures


def _mark_what_was_done(batch: Batch, context: Context, *, changed: bool) -> None:
    """Mark the rules as seen when they have changed; else look now and then whether an alert is still elsewhere."""
    if changed:
        _mark_rules(batch.store, batch.rules, batch.now)
    elif DISPLACED in context.marks and batch.now.minute % LOOKED_AT_MINUTES == 0:
        _mark_displaced(batch.store, batch.rules, batch.now)


def _new_marks(batch: Batch, *, anew: bool) -> dict[str, str]:
    """Make what is open known by its faults and its relations where it is not yet. Return the marks that say so.

    `anew` does the relations once more: workers of the version before save without them.
    """
    marks = index(batch) if INDEXED not in batch.context.marks else {}
    related = is_related(batch.context, batch.rules)
    if anew or not related:
        digest = relate_all(batch)
        marks |= {} if related else {RELATED: digest}
    return marks


def _look_at_causes(batch: Batch) -> None:
    """Remove causes whose end was saved by a worker that then died."""
    keys = dict.fromkeys(each.fingerprint.rpartition("/")[0] for each in batch.context.causes)
    for key, incident in batch.store.load_all(keys).items():
        batch.wake(key, route_by_id(batch.rules, incident), incident.group)


def _wake(batch: Batch) -> timedelta:
    """Wake what is due now, and by a delayed message, to the second, what is due before the next tick.

    Return how long the oldest of what is due has been so; zero when nothing is.
    """
    woken = batch.store.waking(batch.now + PERIOD, MAX_WOKEN)
    due = [key for at, key in woken if at <= batch.now]
    for key in due[:MAX_INLINE]:
        incident = batch.store.load(key)
        if incident is not None and incident.wake_at is not None:
            batch.wake(key, route_by_id(batch.rules, incident), incident.group)
    later: dict[int, list[str]] = {0: due[MAX_INLINE:]}
    for at, key in woken[len(due) :]:
        later.setdefault(ceil((at - batch.now).total_seconds()), []).append(key)
    for seconds, keys in later.items():
        if keys:
            batch.queues.webhooks.put([wake_message(key) for key in keys], delay=timedelta(seconds=seconds))
    return batch.now - woken[0][0] if due else timedelta(0)


def _expect_beats(batch: Batch, *, anew: bool) -> None:
    """Start the clock of a heartbeat when the rules first name it, so that one that never came is late too.

    One with `from_first_beat` is left out: nothing is expected of it before.
    `anew`: the rules changed, and may lead it to an incident in which its clock does not run yet.
    """
    for spec in batch.rules.probes.get("heartbeat", ()):
        mark = f"beat:{spec.get('name')}"
        if spec.get("from_first_beat") or (mark in batch.context.marks and not anew):
            continue
        beat = beat_of(spec, batch.now, batch.rules.services, heard=False)
        route, labels = heartbeat_route(batch.rules, beat)
        batch.add(route, labels, beat, "")
        if mark not in batch.context.marks:
            batch.context = _marked(batch.store, batch.context, {mark: batch.now.isoformat()})


def _watch_silence(batch: Batch, context: Context) -> None:
    """Ask rules that fire on silence even where nothing was ever measured, once their window has passed."""
    watching = [rule for rule in batch.rules.rules if watches_silence(rule) and _measures(rule)]
    if not watching:
        return
    began = context.marks.get("began_at")
    if began is None:
        batch.context = _marked(batch.store, batch.context, {"began_at": batch.now.isoformat()})
        return
    for rule in watching:
        assert rule.condition is not None
        if batch.now < datetime.fromisoformat(began) + rule.condition.window:
            continue
        if not batch.store.label_sets(primary_metric(rule)):
            labels = {m.label: m.value for m in rule.matchers if m.operator == "=" and m.label != "source"}
            found = evaluation(rule, labels, batch.store, batch.now, batch.rules.services)
            take_measured(batch, Measured(rule, labels, (found,)), "")


def _measures(rule: Rule) -> bool:
    return rule.condition is not None and not rule.condition.counts_events and bool(rule.condition.metrics)


def _marked(store: Store, context: Context, marks: dict[str, str]) -> Context:
    return saved_context(store, context, lambda context: replace(context, marks={**context.marks, **marks}))


def _mark_looked_at(store: Store, changed_at: datetime) -> None:
    """Mark them as looked at unless they changed again; a conflict leaves it to the next tick."""
    context = store.context()
    if context.changed_at == changed_at:
        with suppress(ConflictError):
            store.save_context(replace(context.looked_at(), version=context.version + 1))


def _mark_rules(store: Store, rules: Rules, now: datetime) -> None:
    context = store.context()
    marks = {RULES: rules_digest(rules), PROBES: "\n".join(sorted(probe_names(rules)))} | marks_of(rules, context.marks)
    if any_displaced(with_conditions(store), rules, marks):
        marks[DISPLACED] = now.isoformat()
    if context.marks.get(RULES):
        marks |= {"rules_before": context.marks[RULES], CHANGED_AT: now.isoformat()}
        marks[GONE_PROBES] = "\n".join(sorted(gone_probes(context, rules, now)))
    _marked(store, context, marks)


def _mark_late_displaced(store: Store, rules: Rules, now: datetime) -> None:
    """Set the mark where an old worker saved an active alert elsewhere after the first look."""
    context = store.context()
    if DISPLACED not in context.marks and any_displaced(with_conditions(store), rules, context.marks):
        _marked(store, context, {DISPLACED: now.isoformat()})


def _mark_displaced(store: Store, rules: Rules, now: datetime) -> None:
    """Take the mark away once no active alert is elsewhere any more, so that nothing is looked up for it."""
    context = store.context()
    if any_displaced(with_conditions(store), rules, context.marks):
        return

    def changed(context: Context) -> Context:
        kept = {name: text for name, text in context.marks.items() if name != DISPLACED}
        return replace(context, marks=kept) if kept != context.marks else context

    saved_context(store, context, changed)
