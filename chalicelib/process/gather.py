"""The inputs of each incident, gathered from the contents of a batch. Rules and routes lead them; nothing is saved here.

Samples, deploys and silences are stored while they are gathered: what is decided later in the batch counts with them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from chalicelib.core.beat import is_beat
from chalicelib.core.context import Context
from chalicelib.core.delivery.notification import Deploy
from chalicelib.core.destinations import destinations
from chalicelib.core.errors import FullError, KeyUsedError
from chalicelib.core.event import Action, Event, Severity, Status
from chalicelib.core.growth import GROWTHS, growth_of, in_words
from chalicelib.core.incident import Entry, Incident, IncidentStatus
from chalicelib.core.inputs import EventInput, HeartbeatInput, Measured, Signal, TimelineNote, grouped_labels
from chalicelib.core.language.durations import seconds_of
from chalicelib.core.match import matches_all
from chalicelib.core.metrics.sample import Sample
from chalicelib.core.routing import (
    alert_labels,
    all_targets,
    heartbeat_route,
    measured_labels,
    route_by_id,
    routed_labels,
)
from chalicelib.core.rule import Rule
from chalicelib.core.services import Services
from chalicelib.messages.queue import (
    Affected,
    DeployChange,
    Events,
    ExpireSilence,
    Look,
    Samples,
    SetSilence,
    StormReport,
    Wake,
    affected_message,
    change_message,
)
from chalicelib.process import silences, storms
from chalicelib.process.batch import Arrival, Batch
from chalicelib.process.deploys import deploy_of, rolled_back, with_deploys, with_former_names
from chalicelib.process.look import take_look, take_wake
from chalicelib.process.parse import WebhooksContent
from chalicelib.process.series import evaluation, primary_metric, series_labels

MAX_MOMENTS = 60
"""After a sample that came very late, a series is judged again at its newest so many samples."""
MAX_AFFECTED = 25
"""So many incidents one message about a silence works through: a batch of ten makes 250, which is about 1,000 calls."""
MAX_PAGES = 10
"""So many pages of the list one message about a silence looks through: about 10,000 incidents."""


def take(batch: Batch, content: WebhooksContent, message: str) -> None:
    """Add what the content means to the batch."""
    if isinstance(content, Events):
        for event in content.events:
            take_event(batch, event, message)
    elif isinstance(content, Samples):
        _take_samples(batch, content.samples, message)
    elif isinstance(content, Wake):
        take_wake(batch, content, message)
    elif isinstance(content, StormReport):
        storms.take_report(batch, content, message)
    elif isinstance(content, Look):
        take_look(batch, content)
    elif isinstance(content, SetSilence | ExpireSilence):
        _take_silence(batch, content, message)
    elif isinstance(content, Affected):
        _take_affected(batch, content, message)
    else:
        _take_action(batch, content, message)


def take_event(batch: Batch, event: Event, message: str) -> None:
    """Add the event to every rule that matches; to the route tree when none does; a person's act where it belongs."""
    batch.events += 1
    if event.action is not None:
        _take_action(batch, event.action, message)
        return
    if is_beat(event):
        _take_beat(batch, event, message)
        return
    event = batch.rules.services.named(event)
    if deploy := deploy_of(event):
        before = batch.context
        batch.context = with_deploys(batch.store, before, deploy, batch.now)
        if _is_news(deploy, before, batch.context):
            _put_change(batch, deploy)
        for action in rolled_back(event, batch.context):
            _take_action(batch, action, message)
        event = with_former_names(event, batch.context)
    found = destinations(batch.rules, event)
    if not found.counting:
        batch.cap(event)
    for rule in found.counting if event.status is not Status.RESOLVED else ():
        _count(batch, event, rule, message)
    if found.proposals or event.status is Status.RESOLVED:
        batch.arrivals.append(Arrival(event, found.proposals, message))


def _is_news(deploy: Deploy, before: Context, after: Context) -> bool:
    """Return whether the deploy is new, or began earlier than was known; that production serves it is no news."""
    known = [{(each.id, each.at) for each in context.deploys if each.id == deploy.id} for context in (before, after)]
    return known[0] != known[1]


def _put_change(batch: Batch, deploy: Deploy) -> None:
    """Notify targets that show deploys beside their incidents; `deliver` knows who was notified before."""
    targets = [target for target in all_targets(batch.rules) if batch.rules.can(target.kind).takes_changes]
    if targets:
        batch.queues.notifications.put([change_message(DeployChange(deploy, target)) for target in targets])


def _count(batch: Batch, event: Event, rule: Rule, message: str) -> None:
    """Add an event to the count of a rule. Its alert is one for each group, whichever faults are counted."""
    labels = alert_labels(event, rule)
    grouped = grouped_labels(rule, labels)
    for route in batch.rules.routes_for(rule, labels):
        batch.add(route, grouped, EventInput(event, rule), message)


def _take_action(batch: Batch, action: Action, message: str) -> None:
    """Add a person's act to the incidents that it is about. An act never opens an incident."""
    batch.actions.append((action, message))


def _take_silence(batch: Batch, given: SetSilence | ExpireSilence, message: str) -> None:
    """Make, edit or end a silence. Every open incident that it is or was about looks again and remembers it.

    One silence that has no room is announced by the router: who asked was answered before the worker could know.
    """
    try:
        effect = silences.applied(given, store=batch.store, now=batch.now)
    except (FullError, KeyUsedError) as error:
        take_event(batch, silences.refused(given, str(error), batch.now), message)
        return
    batch.context = batch.store.context()
    _take_pages(batch, Affected(given), effect, message)


def _take_pages(batch: Batch, affected: Affected, effect: silences.SilenceEffect, message: str) -> None:
    """Have the incidents of some pages look again that a silence is about.

    MAX_AFFECTED of them do so here, the others and the pages that follow by further messages, which are put before anything
    is done: a worker that dies has its own message back, and it puts the same ones. What the index shows too late is the
    tick's.
    """
    found, after = _affected_keys(batch, affected.after, effect)
    parts = [tuple(found[at : at + MAX_AFFECTED]) for at in range(MAX_AFFECTED, len(found), MAX_AFFECTED)]
    others = [Affected(affected.decision, part) for part in parts]
    if after:
        others.append(Affected(affected.decision, after=after))
    if others:
        batch.queues.webhooks.put([affected_message(each) for each in others])
    _take_keys(batch, effect, found[:MAX_AFFECTED], message)


def _affected_keys(batch: Batch, after: str, effect: silences.SilenceEffect) -> tuple[list[str], str]:
    """Return the keys of the incidents of MAX_PAGES pages that a silence may be about, and where the next page begins."""
    found: dict[str, None] = {}
    for _ in range(MAX_PAGES):
        page = batch.store.summaries(after)
        found |= dict.fromkeys(each.key for each in page.summaries if each.is_listed() and effect.may_affect(each))
        after = page.next
        if not after:
            break
    return list(found), after


def _take_affected(batch: Batch, affected: Affected, message: str) -> None:
    """Have some of the incidents that a silence is about look again and remember it."""
    effect = silences.applied_before(affected.decision, batch.context)
    if affected.after:
        _take_pages(batch, affected, effect, message)
    else:
        _take_keys(batch, effect, affected.keys, message)


def _take_keys(batch: Batch, effect: silences.SilenceEffect, keys: Sequence[str], message: str) -> None:
    """Have the incidents of these keys look again, those that a silence is about."""
    batch.read(keys)
    found = [incident for key in keys if (incident := batch.stored[key]) is not None]
    _look_again(
        batch, effect, [each for each in found if each.status is IncidentStatus.OPEN and effect.affects(each)], message
    )


def _look_again(batch: Batch, effect: silences.SilenceEffect, incidents: Sequence[Incident], message: str) -> None:
    entry = TimelineNote(Entry(effect.at, effect.text, effect.by, kind="silence"))
    for incident in incidents:
        batch.stored.setdefault(incident.key, incident)
        batch.wake(incident.key, route_by_id(batch.rules, incident), incident.group, message, entry)


def _take_beat(batch: Batch, event: Event, message: str) -> None:
    """Add a heartbeat that was received."""
    for spec in batch.rules.probes.get("heartbeat", ()):
        if spec.get("name") == event.name:
            beat = heard_beat(spec, event, batch.rules.services)
            route, labels = heartbeat_route(batch.rules, beat)
            batch.add(route, labels, beat, message)


def heard_beat(spec: Mapping[str, object], event: Event, services: Services) -> HeartbeatInput:
    """Return the input of a beat that was received, with what its sender reports."""
    beat, labels = beat_of(spec, event.occurred_at, services, heard=True), event.labels
    return replace(
        beat,
        output=event.summary,
        signal=Signal(labels.get("signal", Signal.SUCCESS)),
        exit_code=labels.get("exit_code", ""),
        run=labels.get("run", ""),
    )


def beat_of(spec: Mapping[str, object], at: datetime, services: Services, *, heard: bool) -> HeartbeatInput:
    """Return the input of one beat (or of the expectation of one) of an entry of `probes: heartbeat:`."""
    schedule = {name: str(spec[name]) for name in ("cron", "timezone") if spec.get(name)}
    for name in ("every", "grace", "max_run"):
        if spec.get(name):
            schedule[name] = str(seconds_of(spec[name]))
    if spec.get("from_first_beat"):
        schedule["from_first_beat"] = "true"
    said = spec.get("labels")
    labels = {str(name): str(text) for name, text in said.items()} if isinstance(said, Mapping) else {}
    labels |= {name: str(spec[name]) for name in ("service", "environment") if spec.get(name)}
    severity, beside = Severity(str(spec.get("severity") or "critical")), {"heartbeat": str(spec["name"])}
    return HeartbeatInput(str(spec["name"]), at, schedule, services.labelled(labels, beside), severity, heard)


def _take_samples(batch: Batch, samples: Sequence[Sample], message: str) -> None:
    """Remember what was measured and judge every rule that looks at it, at the times of the samples and of later ones."""
    batch.store.add_samples(samples)
    evaluated: dict[tuple[str, tuple[tuple[str, str], ...]], tuple[Rule, Mapping[str, str], set[datetime]]] = {}
    services = batch.rules.services
    observed: dict[tuple[tuple[str, str], ...], Mapping[str, str]] = {}
    for sample in samples:
        if sample.observed:
            observed[tuple(sorted(sample.labels.items()))] = sample.observed
        for rule in batch.rules.by_metric.get(sample.metric, ()):
            for labels in series_labels(rule, sample, batch.store, services):
                seen = {**services.labelled(labels), "source": "probe", "metric": sample.metric}
                if not matches_all(rule.matchers, seen):
                    continue
                entry = evaluated.setdefault((rule.name, tuple(sorted(labels.items()))), (rule, labels, set()))
                entry[2].add(sample.at)
    for rule, labels, times in evaluated.values():
        moments = _moments_since(times, rule, labels, batch)
        evaluations = tuple(evaluation(rule, labels, batch.store, at, services) for at in moments)
        named = services.labelled(labels)
        seen = {**observed.get(tuple(sorted(labels.items())), {}), **_growth(rule, labels, samples)}
        stored = None if named is labels else labels
        take_measured(batch, Measured(rule, named, evaluations, stored, seen), message)


def _growth(rule: Rule, labels: Mapping[str, str], samples: Sequence[Sample]) -> dict[str, str]:
    """Return how fast the size that a rule looks at grows, and when it reaches the rule's threshold."""
    metric = primary_metric(rule)
    found = growth_of(samples, metric, labels) if metric in GROWTHS else None
    if found is None or rule.condition is None:
        return {}
    at = max(sample.at for sample in samples if sample.metric == metric)
    return in_words(*found, rule.condition.threshold, at)


def _moments_since(times: Iterable[datetime], rule: Rule, labels: Mapping[str, str], batch: Batch) -> list[datetime]:
    """Return when to evaluate a series: at these times, and after a late sample at those of all samples after it, again."""
    assert rule.condition is not None
    moments = set(times)
    since = min(moments)
    for metric in rule.condition.metrics:
        moments.update(bucket.last_at for bucket in batch.store.buckets(metric, labels, since, batch.now))
    return sorted(moments)[-MAX_MOMENTS:]


def take_measured(batch: Batch, measured: Measured, message: str) -> None:
    """Add an evaluated series to the incidents of its rule."""
    labels = measured_labels(measured.rule, measured.labels)
    for route in batch.rules.routes_for(measured.rule, routed_labels(measured.rule, measured.labels)):
        batch.add(route, labels, measured, message)
