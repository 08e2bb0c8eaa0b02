"""webhooks → events and samples → alerts → incidents → notifications queue.

A batch is worked through by incident, not by event: all its inputs for one incident are folded at once and saved once
under a version condition. On a conflict it is loaded and folded again. What became due is put on the notifications
queue before the save: `deliver` sends only what a saved incident has committed to, so a worker that dies between the
two has said nothing, and one that dies after has lost nothing.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from chalicelib import log, plugins
from chalicelib.core.alert import Alert, State
from chalicelib.core.coalesce import waits_until
from chalicelib.core.context import Context
from chalicelib.core.delivery.delivery_log import thread_key
from chalicelib.core.delivery.notification import Deploy
from chalicelib.core.due import due, reminded
from chalicelib.core.errors import ConflictError, FullError, KeyUsedError, NotStoredError, ParseError, ProcessedError
from chalicelib.core.event import Action, Event, Severity, Status
from chalicelib.core.fold import fold, notified_of, why_gone, with_late
from chalicelib.core.identity import home_slot
from chalicelib.core.incident import Entry, Incident
from chalicelib.core.inputs import (
    Beat,
    Input,
    Measured,
    Occurred,
    Remarked,
    Withdrawn,
    grouped_labels,
)
from chalicelib.core.language.durations import seconds_of
from chalicelib.core.limits import bounded
from chalicelib.core.match import matches_all
from chalicelib.core.metrics.sample import Sample
from chalicelib.core.ports import Store
from chalicelib.core.routing import (
    alert_labels,
    all_targets,
    heartbeat_route,
    measured_labels,
    route_by_id,
    routed_labels,
    router_routes,
)
from chalicelib.core.rule import Route, Rule, Rules
from chalicelib.core.timeline import paged, recorded
from chalicelib.messages.queue import (
    Affected,
    Change,
    Events,
    Failure,
    Hold,
    Message,
    Queues,
    Release,
    Samples,
    Wake,
    affected_message,
    change_message,
    events_messages,
    notification_message,
    read_message,
    wake_message,
)
from chalicelib.messages.webhook import Webhook
from chalicelib.process import acts, silences
from chalicelib.process.batch import Batch, Work
from chalicelib.process.context_update import MAX_CONFLICTS
from chalicelib.process.deploys import deploy_of, rolled_back, with_deploys
from chalicelib.process.inhibition import add_causes, drop_causes, symptoms_of, without_ended
from chalicelib.process.lead import indexed_alerts, lead
from chalicelib.process.series import judgement, judgements_of, series_labels, watches_silence
from chalicelib.redact import redact_event
from chalicelib.targets import CHANGE_KINDS

MAX_MOMENTS = 60
"""After a sample that came very late, a series is judged again at its newest so many samples."""
TOLD_RECEIVE = 8
"""What failed so often (some minutes long) is told, and tried on: the table may be away for hours."""
LAST_RECEIVE = 24
"""What failed so often (some hours long) is parked here, with its reason, before SQS parks it without one."""
MAX_AFFECTED = 25
"""So many incidents one message about a silence works through: a batch of ten makes 250, which is about 1,000 calls."""
PARKED = "It is parked in the dead-letter queue."
MAX_DELAY = timedelta(minutes=15)
"""What SQS can delay a message; a later timer is found by the minute tick."""


class EndedMeanwhileError(Exception):
    """An incident ended between the reading of it and its saving: what was led to it must be led again."""


def process(
    messages: Sequence[Message],
    *,
    rules: Rules,
    store: Store,
    queues: Queues,
    now: datetime,
    hear: Callable[[object], None] = lambda content: None,
) -> list[Failure]:
    """Work through a batch; the failures are those that must come back or be parked. Twice changes nothing.

    Events that only count are put on the queue `counts`: `process_counts` folds them some seconds later, together.
    `hear` is told of all that could be read.
    """
    return _processed(messages, Batch(rules, store, queues, now, store.context(), waiting={}), hear)


def process_counts(
    messages: Sequence[Message], *, rules: Rules, store: Store, queues: Queues, now: datetime
) -> list[Failure]:
    """Work through a batch of events that have waited; like `process`, but nothing waits again."""
    return _processed(messages, Batch(rules, store, queues, now, store.context()), lambda content: None)


def _processed(messages: Sequence[Message], batch: Batch, hear: Callable[[object], None]) -> list[Failure]:
    store, rules, now = batch.store, batch.rules, batch.now
    failures: dict[str, Failure] = {}
    for message in messages:
        try:
            content = read_content(message.body, store, rules)
            hear(content)
            take(batch, content, message.id)
        except ProcessedError:  # SQS delivered it once more: the delivery before did all that there is to do
            log.line("process", again=True, message=message.id)
        except ParseError as error:
            failures[message.id] = Failure(message.id, str(error), park=True)
            reason = f"{error}. {PARKED}"
            trouble = _trouble("webhook.unreadable", "A webhook could not be read", message, reason, now)
            take(batch, Events((*error.read, trouble)), message.id)
        except Exception as error:  # whatever is wrong with one message is not the others' trouble
            failures[message.id] = Failure(message.id, reason_of(error))
    failures |= {each.id: each for each in settle(batch)}
    return [_at_last(batch, message, failures[message.id]) for message in messages if message.id in failures]


def reason_of(error: Exception) -> str:
    """Why something failed, for people: our own errors' text; of any other its kind and place, never its text."""
    told = log.failure(error)
    return told.get("reason") or f"a fault in the code: {told['error']} at {told['at']}"


def _at_last(batch: Batch, message: Message, failure: Failure) -> Failure:
    """Tell what keeps failing; park it at last, while its reason is known: SQS would give none."""
    if failure.park or (message.received_count != TOLD_RECEIVE and message.received_count < LAST_RECEIVE):
        return failure
    parks = message.received_count >= LAST_RECEIVE
    if not _is_about_router(message):
        title = f"A message could not be dealt with{'' if parks else ' so far'}"
        what_next = PARKED if parks else "It is tried again for some hours, then parked in the dead-letter queue."
        trouble = _trouble("message.failed", title, message, f"{failure.reason}. {what_next}", batch.now)
        try:
            batch.queues.webhooks.put(events_messages([trouble]))
        except NotStoredError:
            return failure
    return replace(failure, park=parks)


def _is_about_router(message: Message) -> bool:
    content = read_message(message.body)
    return isinstance(content, Events) and all(event.source == "router" for event in content.events)


def _trouble(kind: str, title: str, message: Message, summary: str, now: datetime) -> Event:
    return Event(
        id=f"{kind}:{message.id}:{message.received_count}",
        source="router",
        kind=kind,
        status=Status.FIRING,
        severity=Severity.WARNING,
        title=title,
        summary=summary,
        occurred_at=now,
        identity=kind,
    )


Content = Events | Samples | Wake | Action | Hold | Release | Affected


def read_content(body: str, store: Store, rules: Rules) -> Content:
    """What a message says, a webhook's body parsed and masked; raises ParseError with the reason.

    Raises ProcessedError when a stored body was dropped because the webhook was processed.
    """
    content = read_message(body)
    if not isinstance(content, Webhook):
        if not isinstance(content, Content):
            raise ParseError("a notification is on the webhooks queue")
        return content
    data = content.body
    if content.body_ref:
        stored = store.get_body(content.body_ref)
        if stored is None:
            raise ParseError("the stored body of a large webhook is gone")
        data = stored
    return Events(parsed(content.source, content.headers, data, rules, content.received_at))


def parsed(
    source: str, headers: Mapping[str, str], body: bytes, rules: Rules, received_at: datetime
) -> tuple[Event, ...]:
    """The events of a webhook, masked. A declared source has precedence over none: its entry names the mapping.

    Raises ParseError, whatever went wrong: what a source cannot read now it cannot read later.
    """
    mapping = next((each for each in rules.sources if each.get("name") == source), None)
    try:
        if mapping is not None:
            events = plugins.load("sources", "generic").parse(headers, body, received_at=received_at, mapping=mapping)
        else:
            events = plugins.load("sources", source).parse(headers, body, received_at=received_at)
        return _ready(events, received_at)
    except ParseError as error:
        raise ParseError(str(error), _ready(error.read, received_at)) from None
    except Exception as error:
        raise ParseError(f"{source}: {reason_of(error)}") from error


def _ready(events: Sequence[Event], received_at: datetime) -> tuple[Event, ...]:
    return tuple(not_ahead(told_apart(redact_event(event), received_at), received_at) for event in events)


def told_apart(event: Event, received_at: datetime) -> Event:
    """An end whose body has no time of its own is the end of what burns now, though the same was said once before.

    A fault is not: a body without a time that comes again is the same delivery, and nobody is woken by it twice.
    """
    if event.status is not Status.RESOLVED or event.occurred_at != received_at or event.action is not None:
        return event
    return replace(event, id=f"{event.id}@{received_at.isoformat()}")


def not_ahead(event: Event, received_at: datetime) -> Event:
    """Nothing occurred after it was received: a sender's clock that runs ahead is corrected."""
    if event.occurred_at <= received_at:
        return event
    starts_at = min(event.starts_at, received_at) if event.starts_at else None
    ends_at = event.ends_at
    if ends_at is not None and event.status is Status.RESOLVED:
        ends_at = min(ends_at, received_at)
    return replace(event, occurred_at=received_at, starts_at=starts_at, ends_at=ends_at)


def take(batch: Batch, content: Content, message: str) -> None:
    """Add what the content means to the batch's work."""
    if isinstance(content, Events):
        for event in content.events:
            take_event(batch, event, message)
    elif isinstance(content, Samples):
        take_samples(batch, content.samples, message)
    elif isinstance(content, Wake):
        stored = batch.store.load(content.key)
        if stored is not None:
            batch.wake(content.key, route_by_id(batch.rules, stored), stored.group, message)
    elif isinstance(content, Hold | Release):
        take_silence(batch, content, message)
    elif isinstance(content, Affected):
        take_affected(batch, content, message)
    else:
        take_action(batch, content, message)


def take_event(batch: Batch, event: Event, message: str) -> None:
    """Every rule that matches hears of the event; the route tree when none does; a person's act goes where it belongs."""
    batch.events += 1
    if event.action is not None:
        take_action(batch, event.action, message)
        return
    if event.source == "heartbeat" and event.kind == "beat":
        take_beat(batch, event, message)
        return
    if deploy := deploy_of(event):
        before = batch.context
        batch.context = with_deploys(batch.store, before, deploy, batch.now)
        if _is_news(deploy, before, batch.context):
            _tell_change(batch, deploy)
        for action in rolled_back(event, batch.context):
            take_action(batch, action, message)
    rules = matching_rules(batch.rules, event)
    for rule in rules:
        if rule.condition is not None and event.status is not Status.RESOLVED:
            _count(batch, event, rule, message)
    proposals = [*_by_rules(batch, event, rules), *_unmatched(batch, event, matched=bool(rules))]
    if proposals or event.status is Status.RESOLVED:
        batch.arrive(event, proposals, message)


def _is_news(deploy: Deploy, before: Context, after: Context) -> bool:
    """Return whether the deploy is new, or began earlier than was known; that production serves it is no news."""
    known = [{(each.id, each.at) for each in context.deploys if each.id == deploy.id} for context in (before, after)]
    return known[0] != known[1]


def _tell_change(batch: Batch, deploy: Deploy) -> None:
    """Targets that show deploys beside their incidents hear of it; who was told before is known by `deliver`."""
    targets = [target for target in all_targets(batch.rules) if target.kind in CHANGE_KINDS]
    if targets:
        batch.queues.notifications.put([change_message(Change(deploy, target)) for target in targets])


def matching_rules(rules: Rules, event: Event) -> list[Rule]:
    """The rules that hear of events and match this one. The router's own events only reach rules that ask for them."""
    labels = event.all_labels()
    return [
        rule
        for rule in rules.rules
        if (rule.condition is None or rule.condition.counts_events)
        and matches_all(rule.matchers, labels)
        and (event.source != "router" or any(m.label == "source" for m in rule.matchers))
    ]


Routed = tuple[Rule | None, Route, Mapping[str, str]]


def _count(batch: Batch, event: Event, rule: Rule, message: str) -> None:
    """Add an event to the count of a rule. Its alert is one for each group, whichever faults are counted."""
    labels = alert_labels(event, rule)
    grouped = grouped_labels(rule, labels)
    for route in batch.rules.routes_for(rule, labels):
        batch.add(route, grouped, Occurred(event, rule), message)


def _by_rules(batch: Batch, event: Event, rules: Sequence[Rule]) -> list[Routed]:
    """Return where the rules that do not count would lead an event."""
    if event.status is Status.INFO:
        return []
    found: list[Routed] = []
    for rule in rules:
        if rule.condition is None:
            labels = alert_labels(event, rule)
            found += [(rule, route, labels) for route in batch.rules.routes_for(rule, labels)]
    return found


def _unmatched(batch: Batch, event: Event, *, matched: bool) -> list[Routed]:
    """Return where the route tree would lead an event that no rule matches."""
    if event.status is Status.INFO or (matched and event.source != "router"):
        return []
    labels = alert_labels(event, None)
    of_router = event.source == "router"
    routes = router_routes(batch.rules, event, matched) if of_router else batch.rules.routes_for(None, labels)
    return [(None, route, labels) for route in routes]


def take_action(batch: Batch, action: Action, message: str) -> None:
    """A person's act reaches the incidents that it is about; it never opens one."""
    batch.actions.append((action, message))


def take_silence(batch: Batch, given: Hold | Release, message: str) -> None:
    """A silence is made, edited or ended: every open incident that it is or was about looks again and remembers it.

    MAX_AFFECTED of them do so here, the others by further messages, which are put before anything is done: a worker that
    dies has its own message back, and it puts the same ones. One silence that has no room is announced by the router: who
    asked was answered before the worker could know.
    """
    try:
        done = silences.done(given, store=batch.store, now=batch.now)
    except (FullError, KeyUsedError) as error:
        take_event(batch, silences.refused(given, str(error), batch.now), message)
        return
    batch.context = batch.store.context()
    affected = [incident for incident in batch.store.incidents() if done.affects(incident)]
    keys = [incident.key for incident in affected]
    parts = [tuple(keys[at : at + MAX_AFFECTED]) for at in range(MAX_AFFECTED, len(keys), MAX_AFFECTED)]
    if parts:
        batch.queues.webhooks.put([affected_message(Affected(given, part)) for part in parts])
    _look_again(batch, done, affected[:MAX_AFFECTED], message)


def take_affected(batch: Batch, affected: Affected, message: str) -> None:
    """Have some of the incidents that a silence is about look again and remember it."""
    done = silences.done_before(affected.decision, batch.context)
    batch.read(affected.keys)
    found = [incident for key in affected.keys if (incident := batch.stored[key]) is not None]
    _look_again(batch, done, [each for each in found if each.status == "open" and done.affects(each)], message)


def _look_again(batch: Batch, done: silences.Done, incidents: Sequence[Incident], message: str) -> None:
    entry = Remarked(Entry(done.at, done.text, done.by, kind="silence"))
    for incident in incidents:
        batch.stored.setdefault(incident.key, incident)
        batch.wake(incident.key, route_by_id(batch.rules, incident), incident.group, message, entry)


def take_beat(batch: Batch, event: Event, message: str) -> None:
    """A heartbeat that was heard."""
    for spec in batch.rules.probes.get("heartbeat", ()):
        if spec.get("name") == event.name:
            beat = beat_of(spec, event.occurred_at, heard=True)
            route, labels = heartbeat_route(batch.rules, beat)
            batch.add(route, labels, beat, message)


def beat_of(spec: Mapping[str, object], at: datetime, *, heard: bool) -> Beat:
    """The input of one beat (or of the expectation of one) of an entry of `probes: heartbeat:`."""
    schedule = {name: str(spec[name]) for name in ("cron", "timezone") if spec.get(name)}
    for name in ("every", "grace"):
        if spec.get(name):
            schedule[name] = str(seconds_of(spec[name]))
    said = spec.get("labels")
    labels = {str(name): str(text) for name, text in said.items()} if isinstance(said, Mapping) else {}
    labels |= {name: str(spec[name]) for name in ("service", "environment") if spec.get(name)}
    severity = Severity(str(spec.get("severity") or "critical"))
    return Beat(str(spec["name"]), at, schedule, labels, severity, heard)


def take_samples(batch: Batch, samples: Sequence[Sample], message: str) -> None:
    """Remember what was measured and judge every rule that looks at it, at the times of the samples and of later ones."""
    batch.store.add_samples(samples)
    judged: dict[tuple[str, tuple[tuple[str, str], ...]], tuple[Rule, Mapping[str, str], set[datetime]]] = {}
    for sample in samples:
        for rule in batch.rules.rules:
            if rule.condition is None or sample.metric not in rule.condition.metrics:
                continue
            for labels in series_labels(rule, sample, batch.store):
                if not matches_all(rule.matchers, {**labels, "source": "probe", "metric": sample.metric}):
                    continue
                entry = judged.setdefault((rule.name, tuple(sorted(labels.items()))), (rule, labels, set()))
                entry[2].add(sample.at)
    for rule, labels, times in judged.values():
        moments = moments_since(times, rule, labels, batch)
        judgements = tuple(judgement(rule, labels, batch.store, at) for at in moments)
        take_measured(batch, Measured(rule, labels, judgements), message)


def moments_since(times: Iterable[datetime], rule: Rule, labels: Mapping[str, str], batch: Batch) -> list[datetime]:
    """When to judge a series: at these times, and after a late sample at those of all samples after it, again."""
    assert rule.condition is not None
    moments = set(times)
    since = min(moments)
    for metric in rule.condition.metrics:
        moments.update(bucket.last_at for bucket in batch.store.buckets(metric, labels, since, batch.now))
    return sorted(moments)[-MAX_MOMENTS:]


def take_measured(batch: Batch, measured: Measured, message: str) -> None:
    """A judged series goes to the incidents of its rule."""
    labels = measured_labels(measured.rule, measured.labels)
    for route in batch.rules.routes_for(measured.rule, routed_labels(measured.rule, measured.labels)):
        batch.add(route, labels, measured, message)


def settle(batch: Batch) -> list[Failure]:
    """Update every incident of the batch, causes before symptoms; a failure names a message that must come back.

    The failure of what no message asked for (the tick did) names none: its id is empty.
    """
    failures: dict[str, str] = {}
    for _ in range(MAX_CONFLICTS):
        failures |= _lead(batch)
        failures |= _update_all(batch)
        if not batch.arrivals:
            break
    failures |= {each.message: "its incident ended again and again before it was saved" for each in batch.arrivals}
    try:
        put_waiting(batch)
    except NotStoredError as error:
        failures |= {message: str(error) for work in batch.work.values() for message in work.messages}
    return [Failure(message, reason) for message, reason in failures.items()]


def _lead(batch: Batch) -> dict[str, str]:
    """Give everything that arrived its incidents. Return the messages that failed, with the reason."""
    failures: dict[str, str] = {}
    arrived = {each.message for each in batch.arrivals} | {each.message for each in batch.routed}
    try:
        lead(batch)
    except Exception as error:  # what could not be led comes back; what was led before is worked through
        failures |= dict.fromkeys(arrived, reason_of(error))
    for action, message in batch.actions:
        try:
            acts.lead(batch, action, message)
        except Exception as error:  # an act that finds no store comes back, and holds up nothing else
            failures[message] = reason_of(error)
    batch.actions.clear()
    return failures


def _update_all(batch: Batch) -> dict[str, str]:
    """Update the incidents that were not yet. Return the messages that failed, with the reason."""
    failures: dict[str, str] = {}
    undone = [(key, work) for key, work in batch.work.items() if not work.done]
    for key, work in sorted(undone, key=lambda item: not _may_cause(item[1], batch.rules)):
        try:
            acts.answer(batch, update(batch, key, work), work.inputs)
            work.inputs, work.led, work.done = [], [], True
        except EndedMeanwhileError:
            batch.take_back(key)
        except Exception as error:  # whatever is wrong with one incident is not the others' trouble
            failures |= {message: reason_of(error) for message in work.messages}
            work.done = True
    return failures


def put_waiting(batch: Batch) -> None:
    """Put the events that only count on their queue. A worker that dies before has their webhook back."""
    for until, events in sorted((batch.waiting or {}).items()):
        batch.queues.counts.put(events_messages(tuple(events.values())), delay=until - batch.now)


def _urgent(batch: Batch, work: Work, stored: Incident | None) -> list[Input]:
    """The inputs without the events that can wait, which are set aside."""
    if batch.waiting is None:
        return work.inputs
    urgent: list[Input] = []
    for given in work.inputs:
        until = waits_until(stored, given, batch.now) if isinstance(given, Occurred) else None
        if until is None or not isinstance(given, Occurred):
            urgent.append(given)
        else:
            batch.waiting.setdefault(until, {})[f"{given.event.source}/{given.event.id}"] = given.event
    return urgent


def _may_cause(work: Work, rules: Rules) -> bool:
    for given in work.inputs:
        if isinstance(given, Occurred | Measured):
            labels = (
                alert_labels(given.event, given.rule)
                if isinstance(given, Occurred)
                else routed_labels(given.rule, given.labels)
            )
            if any(matches_all(inhibition.cause, labels) for inhibition in rules.inhibitions):
                return True
    return False


def update(batch: Batch, key: str, work: Work) -> Incident:
    """Load, fold, notify, save; again when somebody else saved first, five times at most.

    Raise EndedMeanwhileError where the incident ended since events were led to it: others may have given their faults
    another home since, so a fault fires there again only by a new claim.
    """
    stored = before = batch.stored[key] if key in batch.stored else batch.store.load(key)
    for _ in range(MAX_CONFLICTS):
        try:
            return _updated(batch, key, work, stored)
        except ConflictError:
            stored = batch.store.load(key)
            if work.led and _has_ended(before, stored):
                raise EndedMeanwhileError from None
    raise ConflictError(f"an incident was saved by others {MAX_CONFLICTS} times in a row")


def _has_ended(before: Incident | None, stored: Incident | None) -> bool:
    """Return whether an incident ended after it was read, though it may have begun again."""
    if stored is None or before is None:
        return stored is not None and stored.status == "ended"
    return stored.id != before.id or (stored.status == "ended" and stored.ended_at != before.ended_at)


def _updated(batch: Batch, key: str, work: Work, stored: Incident | None) -> Incident:
    inputs: Sequence[Input] = _urgent(batch, work, stored)
    if stored is not None and work.inputs and not inputs and (stored.wake_at is None or stored.wake_at > batch.now):
        return stored
    base = stored or Incident(key=key, route=work.route.id, group=work.group)
    base = replace(base, rhythm=work.route.rhythm)
    base, inputs = with_late(base, inputs, rules=batch.rules, now=batch.now)
    judgements = judgements_of(base, batch.rules, batch.store, batch.now)
    folded = fold(base, inputs, rules=batch.rules, now=batch.now, judgements=judgements)
    folded = bounded(pruned(folded, base, batch.rules))
    add_causes(batch, folded)
    context = without_ended(batch.context, folded)
    evidence = symptoms_of(folded, batch, context) if batch.rules.inhibitions else ()
    decision = due(
        folded,
        route=work.route,
        rules=batch.rules,
        context=context,
        now=batch.now,
        evidence=evidence,
        delivered=deliveries(batch, folded, work.route),
    )
    incident = decision.incident
    if incident == (stored or base):
        drop_causes(batch, incident)
        return incident
    if decision.notifications:
        told = [replace(each, crowd=len(batch.work)) for each in decision.notifications]
        batch.queues.notifications.put([notification_message(each) for each in told])
    incident, page = paged(stored, recorded(stored, incident, decision.mutings, batch.now))
    incident = replace(incident, version=(stored.version if stored else 0) + 1)
    _index(batch, stored, incident)
    if page:
        batch.store.keep_timeline(incident.id, incident.pages, page)
    batch.store.save(incident, archive=base if base.id != incident.id and is_kept(base) else None)
    drop_causes(batch, incident)
    schedule_wake(batch, incident, stored)
    return incident


def is_kept(incident: Incident) -> bool:
    """Return whether an ended incident is kept for people: somebody was notified of it, or acted on it."""
    acted_on = any(each.act for each in incident.timeline)
    return incident.ended_at is not None and (incident.opened_at is not None or acted_on)


def deliveries(batch: Batch, incident: Incident, route: Route) -> dict[str, datetime]:
    """Return when the targets that may need a reminder received their newest notification.

    One whose newest is still on its way counts from now on, so that nobody is reminded of what they have not received.
    One that was given up counts from its decision, so that it is tried again.
    """
    found: dict[str, datetime] = {}
    for key in reminded(incident, route, batch.now):
        announced, log = incident.announced[key], batch.store.thread(thread_key(incident.id, key))
        if log.done_seq < announced.seq:
            found[key] = batch.now
        elif received_at := log.received_at(announced.seq):
            found[key] = received_at
    return found


def _index(batch: Batch, stored: Incident | None, incident: Incident) -> None:
    """Make a new incident, alias or measured alert known before it is saved. A worker that dies here leaves no harm."""
    known = {stored.id, *stored.aliases} if stored is not None else set()
    names = {incident.id, *incident.aliases} - known - {""}
    if names:
        batch.store.locate(names, incident.key)
    for name, holder in indexed_alerts(stored, incident).items():
        slot = home_slot(holder)
        fault = batch.store.claim(name, slot, holder, over=None)
        if fault.holders.get(slot) != holder:
            batch.store.claim(name, slot, holder, over=fault.holders.get(slot))


def schedule_wake(batch: Batch, incident: Incident, stored: Incident | None) -> None:
    """Have the incident looked at to the second, when its next timer is near; the tick sees to the others."""
    if incident.wake_at is None or incident.wake_at > batch.now + MAX_DELAY:
        return
    if stored is not None and stored.wake_at == incident.wake_at and incident.wake_at > batch.now:
        return
    delay = max(timedelta(0), incident.wake_at - batch.now)
    batch.queues.webhooks.put([wake_message(incident.key)], delay=delay)


def pruned(incident: Incident, before: Incident, rules: Rules) -> Incident:
    """Return the incident without measured alerts that are quiet.

    They are kept where their silence could be an alert, and while the notification of their end is still to come.
    """
    watched = {rule.name for rule in rules.rules if watches_silence(rule)}
    notified = notified_of(incident)
    kept: dict[str, Alert] = {}
    for name, alert in incident.alerts.items():
        if alert.state is not State.INACTIVE or not (alert.measured or alert.condition) or name in notified:
            kept[name] = alert
        elif alert.rule in watched and alert.measured:
            old = before.alerts.get(name)
            kept[name] = old if old is not None and _same_watch(old, alert) else alert
        elif not alert.measured:
            kept[name] = replace(alert, recheck_at=alert.recheck_at if alert.rule in watched else None)
    return replace(incident, alerts=kept) if kept != incident.alerts else incident


def _same_watch(old: Alert, alert: Alert) -> bool:
    """A quiet series is looked at when its old date comes; moving it with each sample would cost a write each."""
    return (
        old.state is State.INACTIVE
        and old.recheck_at is not None
        and (alert.recheck_at is None or (alert.refreshed_at is not None and old.recheck_at > alert.refreshed_at))
    )


def withdrawn_alerts(incident: Incident, rules: Rules, gone_probes: Collection[str] = ()) -> list[Withdrawn]:
    """Return the incident's active alerts that nothing can measure or report any more, by the reason.

    `gone_probes` are the names of probes that the rules named before and no longer name.
    """
    why: dict[str, list[str]] = {}
    for alert in incident.alerts.values():
        if alert.burning and (reason := _gone(alert, rules, gone_probes)):
            why.setdefault(reason, []).append(alert.fingerprint)
    return [Withdrawn(tuple(names), reason) for reason, names in why.items()]


def _gone(alert: Alert, rules: Rules, gone_probes: Collection[str]) -> str:
    if alert.beat:
        return "" if alert.name in probe_names(rules, "heartbeat") else "heartbeat gone"
    rule = next((rule for rule in rules.rules if rule.name == alert.rule), None)
    if (alert.measured or alert.condition) and (why := why_gone(alert, rule)):
        return why
    return "probe gone" if alert.measured and alert.labels.get("probe") in gone_probes else ""


def probe_names(rules: Rules, *kinds: str) -> set[str]:
    """Return the names of the probes of these kinds, or of all kinds."""
    listed = (entries for kind, entries in rules.probes.items() if not kinds or kind in kinds)
    return {str(entry.get("name")) for entries in listed for entry in entries}
