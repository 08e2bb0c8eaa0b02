"""The alerts that are told together: what people see, acknowledge and resolve, and what was announced to whom.

`fold` takes what happened and answers with the incident as it is then; `due` compares it with what was announced to
each target and answers what must be told now. Both are pure: folding an input twice changes nothing, and `due` on its
own answer finds nothing more to tell. The rhythm is Alertmanager's: the first flush `group_wait` after the first alert,
later ones on a grid of `group_interval`; nothing wakes the incident between, unless something is waiting to be told.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from chalicelib.core import heartbeat
from chalicelib.core.alert import (
    Alert,
    State,
    Terms,
    absorbed,
    closed_by_hand,
    counted,
    ended,
    judged,
    next_change,
    recounted,
    settled,
    short_id,
    terms_of,
    times_out,
)
from chalicelib.core.bounds import has_room
from chalicelib.core.condition import Evaluation
from chalicelib.core.event import Action, ActionKind, Event, Severity, Status, fingerprint, labels_fingerprint
from chalicelib.core.match import parse_matchers
from chalicelib.core.rule import ALL_LABELS, Rhythm, Route, Rule, Rules, Target

MAX_COMMITTED = 64
"""Ids of the newest notifications. When it is full, an older one in flight is known by its number (see deliver.py)."""
MAX_TIMELINE = 200
MAX_BEYOND = 1_000
SHORTEST_INTERVAL = timedelta(milliseconds=100)
MAX_ALIASES = 20
MEMORY = timedelta(hours=24)
"""How long a resolved alert is remembered after its incident, so that late deliveries are known as history."""


@dataclass(frozen=True, slots=True)
class Announced:
    """What one target knows: `firing` maps the fingerprint of each told alert to the rank of its severity then.

    `hidden` are told alerts that were muted since: when they can be seen again, that is news. `heard_at` is the time of
    the newest act of a person that was told here.
    """

    target: Target
    seq: int = 0
    at: datetime | None = None
    open: bool = False
    firing: Mapping[str, int] = field(default_factory=dict)
    hidden: frozenset[str] = frozenset()
    flapping: frozenset[str] = frozenset()
    heard_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the timeline. `kind` is a word for programs; `act` is equal for one act of a person.

    `target` and `seq` find the delivery of what was told. `count` events were folded into the line, up to `until`.
    """

    at: datetime
    text: str
    by: str = ""
    kind: str = ""
    act: str = ""
    target: str = ""
    seq: int = 0
    count: int = 0
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Incident:
    """`key` names the group for ever, `id` this episode of it. `wake_at` is when it must be looked at again.

    `opened_at` is when it was first told. `escalate_from` restarts the escalation's clock (an acknowledgement that ran
    out). `sync` asks to bring told messages up to date without telling anyone; its text is where the change came from.
    `aliases` are what vendors call this episode (`pagerduty:Q1A2B3`).
    `timeline` holds its newest lines; older ones are in as many `pages`.
    `overflow` counts the events of alerts over `max_alerts` (`overflown`: the short ids of the newest), `beyond` are
    those of these alerts that burn, with the time of the newest event (seconds).
    """

    key: str
    id: str = ""
    version: int = 0
    route: str = ""
    group: Mapping[str, str] = field(default_factory=dict)
    rhythm: Rhythm = field(default_factory=Rhythm)
    alerts: Mapping[str, Alert] = field(default_factory=dict)
    announced: Mapping[str, Announced] = field(default_factory=dict)
    started_at: datetime | None = None
    opened_at: datetime | None = None
    ended_at: datetime | None = None
    anchor_at: datetime | None = None
    flushed_at: datetime | None = None
    next_flush_at: datetime | None = None
    wake_at: datetime | None = None
    escalate_from: datetime | None = None
    escalated: int = 0
    sync: str = ""
    aliases: tuple[str, ...] = ()
    closed_via: str = ""
    overflow: int = 0
    beyond: Mapping[str, float] = field(default_factory=dict)
    overflown: tuple[str, ...] = ()
    committed: tuple[str, ...] = ()
    timeline: tuple[Entry, ...] = ()
    pages: int = 0

    @property
    def status(self) -> str:
        """`open` while something burns or a resolve is owed, `ended` after, `quiet` if it never began."""
        if self.started_at is None:
            return "quiet"
        return "open" if self.ended_at is None else "ended"

    @property
    def firing(self) -> tuple[Alert, ...]:
        """The alerts that fire, in no order."""
        return tuple([alert for alert in self.alerts.values() if alert.state is State.FIRING])

    @property
    def shown(self) -> tuple[Alert, ...]:
        """The alerts of this episode that ever fired, as people see them."""
        found = [alert for alert in self.alerts.values() if _in_episode(alert, self)]
        return tuple(sorted(found, key=lambda alert: (alert.state is not State.FIRING, alert.starts_at, alert.name)))

    @property
    def events(self) -> int:
        """The distinct events of this episode's alerts."""
        return sum(alert.events for alert in self.alerts.values() if _in_episode(alert, self)) + self.overflow

    @property
    def severity(self) -> Severity:
        """The worst severity among what fires; of all when nothing does."""
        alerts = self.firing or self.shown or tuple(self.alerts.values())
        return min((alert.severity for alert in alerts), key=lambda found: found.rank, default=Severity.WARNING)


def _in_episode(alert: Alert, incident: Incident) -> bool:
    if alert.state is State.FIRING:
        return True
    if alert.state is not State.RESOLVED or alert.starts_at is None:
        return False
    return incident.started_at is None or alert.ends_at is None or alert.ends_at >= incident.started_at


# ---------------------------------------------------------------------------------------------------------------------
# Inputs


@dataclass(frozen=True, slots=True)
class Occurred:
    """An event that the rule (None: no rule) matched."""

    event: Event
    rule: Rule | None


@dataclass(frozen=True, slots=True)
class Judgement:
    """A condition's answer at a time, and that of the rule's `clear`."""

    at: datetime
    found: Evaluation
    clear: Evaluation | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """What a rule's condition says of one series, oldest first."""

    rule: Rule
    labels: Mapping[str, str]
    judgements: tuple[Judgement, ...]


@dataclass(frozen=True, slots=True)
class Beat:
    """A heartbeat was heard (`heard` true) or is expected from `at` on. `spec` is the entry of `probes: heartbeat:`."""

    name: str
    at: datetime
    spec: Mapping[str, str]
    labels: Mapping[str, str] = field(default_factory=dict)
    severity: Severity = Severity.CRITICAL
    heard: bool = True


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """The rule of these alerts is gone or changed its labels: what it fired ends now."""

    fingerprints: tuple[str, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Remarked:
    """Something that the open incident's timeline should hold, and that changes nothing else."""

    entry: Entry


Input = Occurred | Measured | Beat | Action | Withdrawn | Remarked


def group_labels(route: Route, rule: Rule | None, labels: Mapping[str, str]) -> dict[str, str]:
    """The labels by which the alert is grouped: those of `group_by` that it has; all of them for `...`."""
    group_by = route.rhythm.group_by
    if ALL_LABELS in group_by:
        return {name: labels[name] for name in sorted(labels)}
    return {name: labels[name] for name in sorted(group_by) if labels.get(name)}


def incident_key(route: Route, group: Mapping[str, str]) -> str:
    """The key of a group: readable where it is short, and never longer than 200 characters."""
    text = "|".join([route.id, *(f"{name}={group[name]}" for name in sorted(group))])
    if len(text) <= 160 and text.isprintable():
        return text
    return f"{text[:120].encode('ascii', 'replace').decode()}|{fingerprint(text)}"


# ---------------------------------------------------------------------------------------------------------------------
# Fold


def fold(
    incident: Incident,
    inputs: Sequence[Input],
    *,
    rules: Rules,
    now: datetime,
    judgements: Mapping[str, Judgement] | None = None,
) -> Incident:
    """The incident after the inputs and after all timers of its alerts that are due at `now`.

    `judgements` are the conditions of its measured alerts as of now, by fingerprint. An incident that ended begins
    anew, under a new id, when something burns again.
    """
    by_name = {rule.name: rule for rule in rules.rules}
    before = incident
    incident = _filled(_begun(incident), inputs, now)
    alerts = dict(incident.alerts)
    terms = {name: terms_of(by_name.get(name), incident.rhythm) for name in {each.rule for each in alerts.values()}}
    for name, alert in alerts.items():
        old = before.alerts.get(name)
        burned = old is not None and old.burning
        if burned or alert.recheck_at or alert.pending_at or alert.beat:
            fresh = not burned and alert.state is State.FIRING
            judgement = (judgements or {}).get(name)
            rule = by_name.get(alert.rule)
            alerts[name] = alert if fresh else advanced(alert, rule, terms[alert.rule], judgement, now)
    incident = replace(incident, alerts=alerts, beyond=_still_beyond(incident, now))
    for each in inputs:
        if isinstance(each, Action):
            incident = _acted(incident, each)
        elif isinstance(each, Withdrawn):
            incident = _withdrawn(incident, each, now)
        elif isinstance(each, Remarked):
            incident = _silenced(incident, each.entry) if incident.status == "open" else incident
    return _caught_up(before, _restarted(before, incident, now), inputs, now)


def _filled(incident: Incident, inputs: Sequence[Input], now: datetime) -> Incident:
    """The incident with what the inputs say of its alerts; what is over `max_alerts` is only counted."""
    alerts, beyond, overflow, overflown = (
        dict(incident.alerts),
        dict(incident.beyond),
        incident.overflow,
        incident.overflown,
    )
    owed = {name for each in incident.announced.values() if each.open for name in each.firing}
    for fault, group in _by_fault(inputs).items():
        if fault in alerts or has_room(alerts, incident.rhythm.max_alerts):
            admitted = True
        else:
            admitted = _burns_at_last(group) and _made_room(alerts, owed)
        if admitted:
            alerts[fault] = _applied(alerts.get(fault), fault, group, incident.rhythm, now)
            beyond.pop(fault, None)
        else:
            new = [mark for mark in map(_mark_of, group) if mark and mark not in overflown]
            overflow += len(set(new))
            overflown = (*overflown, *new)[-MAX_BEYOND:]
            beyond.pop(fault, None)
            if _burns_at_last(group) and len(beyond) < MAX_BEYOND:
                beyond[fault] = now.timestamp()
    return replace(incident, alerts=alerts, beyond=beyond, overflow=overflow, overflown=overflown)


def _mark_of(given: Occurred | Measured | Beat) -> str:
    """The short id of an event that says that something burns; empty for anything else."""
    if isinstance(given, Occurred) and given.event.status is not Status.RESOLVED:
        return short_id(given.event)
    return ""


def _burns_at_last(group: Sequence[Occurred | Measured | Beat]) -> bool:
    """True when the newest of what is said of a fault is that it burns."""
    newest = group[-1]
    if isinstance(newest, Occurred):
        return newest.event.status is not Status.RESOLVED
    return isinstance(newest, Measured) and newest.judgements[-1].found.truth is True


def _still_beyond(incident: Incident, now: datetime) -> Mapping[str, float]:
    """The alerts over the limit whose sources are not silent for longer than they may."""
    oldest = (now - incident.rhythm.resolve_timeout).timestamp()
    return {name: at for name, at in incident.beyond.items() if at > oldest}


def _begun(incident: Incident) -> Incident:
    if incident.ended_at is None:
        return incident
    return Incident(
        key=incident.key,
        version=incident.version,
        route=incident.route,
        group=incident.group,
        rhythm=incident.rhythm,
        alerts=incident.alerts,
        committed=incident.committed,
    )


def _restarted(before: Incident, incident: Incident, now: datetime) -> Incident:
    """Give a beginning its id; put an incident that stays ended back as it was, with what its alerts remember."""
    if incident.started_at is not None:
        return incident
    begun = [alert for name, alert in incident.alerts.items() if _began(before.alerts.get(name), alert)]
    if before.ended_at is not None:
        if not begun and not any(alert.burning for alert in incident.alerts.values()):
            return replace(before, alerts=incident.alerts)
        incident = replace(incident, alerts=_remembered(incident, before, now))
    if not begun:
        return incident
    started_at = min(alert.starts_at or now for alert in begun)
    name = fingerprint(incident.key, started_at.isoformat(), str(incident.version))
    entry = Entry(started_at, "began", kind="began")
    return replace(incident, id=name, started_at=started_at, timeline=(entry,))


def _remembered(incident: Incident, before: Incident, now: datetime) -> dict[str, Alert]:
    """The alerts as a new episode begins: each with its events since, and what ended long ago forgotten."""
    found: dict[str, Alert] = {}
    for name, alert in incident.alerts.items():
        old = before.alerts.get(name)
        if alert.state is not State.RESOLVED or (alert.ends_at or now) > now - MEMORY:
            found[name] = replace(alert, events=alert.events - old.events) if old and old.events else alert
    return found


def _began(before: Alert | None, alert: Alert) -> bool:
    """True when the alert fires, or fired and ended since it was last looked at."""
    if alert.state is State.FIRING:
        return True
    if alert.state is not State.RESOLVED or alert.starts_at is None:
        return False
    return before is None or before.ends_at is None or alert.starts_at > before.ends_at


def flush_after(incident: Incident, interval: timedelta, at: datetime) -> datetime:
    """The first point of the flush grid at or after `at`, and after the last flush."""
    anchor = incident.anchor_at or at
    interval = max(interval, SHORTEST_INTERVAL)
    steps = max(0, -((anchor - at) // interval))
    found = anchor + steps * interval
    while incident.flushed_at is not None and found <= incident.flushed_at:
        found += interval
    return found


def _caught_up(before: Incident, incident: Incident, inputs: Sequence[Input], now: datetime) -> Incident:
    """What was said while the router was away has missed its flush: it is told now, not at the next one."""
    if incident.anchor_at is None or incident.ended_at is not None:
        return incident
    times = [_said_at(each) for each in inputs if not isinstance(each, Withdrawn | Remarked)]
    changed = any(
        name not in before.alerts or before.alerts[name].state is not alert.state
        for name, alert in incident.alerts.items()
    )
    if not times or not changed or flush_after(incident, incident.rhythm.group_interval, min(times)) >= now:
        return incident
    return replace(incident, next_flush_at=now)


def _said_at(given: Occurred | Measured | Beat | Action) -> datetime:
    if isinstance(given, Occurred):
        return given.event.occurred_at
    return given.judgements[0].at if isinstance(given, Measured) else given.at


def _by_fault(inputs: Iterable[Input]) -> dict[str, list[Occurred | Measured | Beat]]:
    found: dict[str, list[Occurred | Measured | Beat]] = {}
    for each in inputs:
        if isinstance(each, Occurred | Measured | Beat):
            found.setdefault(alert_fingerprint(each), []).append(each)
    return found


def alert_fingerprint(given: Occurred | Measured | Beat) -> str:
    """The fingerprint of the alert that an input is about.

    A counting rule has one alert for each group (its events are different faults of one service); any other rule has
    one for each fault.
    """
    if isinstance(given, Beat):
        return labels_fingerprint(given.name, {"kind": "heartbeat"})
    if isinstance(given, Measured):
        return labels_fingerprint(given.rule.name, given.labels)
    if given.rule is not None and given.rule.condition is not None:
        return labels_fingerprint(given.rule.name, counted_labels(given.rule, given.event.all_labels()))
    return fingerprint(given.rule.name if given.rule else "", given.event.fingerprint)


def counted_labels(rule: Rule, labels: Mapping[str, str]) -> dict[str, str]:
    """The labels of the alert of a counting rule: those it is grouped by."""
    route = rule.route or Route(id="", rhythm=rule.rhythm)
    return group_labels(route, rule, labels)


def _made_room(alerts: dict[str, Alert], owed: Set[str]) -> bool:
    """Forget the alert that ended longest ago and that nobody is owed the end of; False when there is none."""
    idle = [alert for alert in alerts.values() if not alert.burning and alert.fingerprint not in owed]
    if not idle:
        return False
    oldest = min(idle, key=lambda alert: alert.refreshed_at or alert.ends_at or alert.last_event_at or _NEVER)
    del alerts[oldest.fingerprint]
    return True


_NEVER = datetime.fromisoformat("0001-01-01T00:00:00+00:00")


def _applied(
    alert: Alert | None, fault: str, group: Sequence[Occurred | Measured | Beat], rhythm: Rhythm, now: datetime
) -> Alert:
    first = group[0]
    if isinstance(first, Beat):
        return heartbeat.beaten(alert or _beat_alert(first, fault), [each for each in group if isinstance(each, Beat)])
    if isinstance(first, Measured):
        measured = [each for each in group if isinstance(each, Measured)]
        return _measured(alert or _measured_alert(first, fault), measured, terms_of(first.rule, rhythm))
    events = [each.event for each in group if isinstance(each, Occurred)]
    alert = alert or _event_alert(first, fault)
    terms = terms_of(first.rule, rhythm)
    if first.rule is not None and first.rule.condition is not None:
        fires = [event for event in events if event.status is not Status.RESOLVED]
        return counted(alert, fires, rule=first.rule, terms=terms)
    return _severed(absorbed(alert, events, terms=terms, now=now), first.rule)


def _measured(alert: Alert, group: Sequence[Measured], terms: Terms) -> Alert:
    """The alert of a series after it was judged, in the order of time, whatever the order in which samples came.

    What fires is not judged again in its past, since that is told; only how long it is kept firing is counted anew.
    """
    by_time = {judgement.at: judgement for each in group for judgement in each.judgements}
    moments = sorted(by_time)
    if not moments:
        return alert
    if alert.state is State.PENDING and alert.pending_at is not None and moments[0] < alert.pending_at:
        alert = replace(alert, state=State.INACTIVE, pending_at=None)
    known = {State.FIRING: alert.refreshed_at, State.RESOLVED: alert.ends_at}.get(alert.state)
    if alert.state is State.FIRING and alert.cleared_at is not None:
        known = alert.starts_at
        alert = alert if alert.cleared_at < moments[0] else replace(alert, cleared_at=None)
    for at in moments:
        if known is not None and at < known:
            continue
        found = by_time[at]
        alert = judged(alert, found.found, at, rule=group[0].rule, terms=terms, clear=found.clear)
        alert = replace(alert, refreshed_at=at, last_event_at=at)
    return alert


def _severed(alert: Alert, rule: Rule | None) -> Alert:
    if rule is None or rule.severity is None or alert.severity is rule.severity:
        return alert
    return replace(alert, severity=rule.severity)


def _event_alert(given: Occurred, fault: str) -> Alert:
    event, rule = given.event, given.rule
    counts = rule is not None and rule.condition is not None
    labels = event.all_labels()
    own = counted_labels(rule, labels) if rule is not None and counts else _own_labels(event)
    return Alert(
        fingerprint=fault,
        rule=rule.name if rule else "",
        name=rule.name if rule else (event.name or event.kind),
        event_name="" if counts else (event.name or event.kind),
        labels={**own, **(rule.labels if rule else {})},
        severity=(rule.severity if rule else None) or event.severity,
        title=event.title,
        source=event.source,
        kind=event.kind,
        condition=rule.condition.text if rule and rule.condition else "",
    )


def _own_labels(event: Event) -> dict[str, str]:
    found = dict(event.labels)
    found.pop("alertname", None)
    if event.service:
        found.setdefault("service", event.service)
    if event.environment:
        found.setdefault("environment", event.environment)
    return found


def _measured_alert(given: Measured, fault: str) -> Alert:
    return Alert(
        fingerprint=fault,
        rule=given.rule.name,
        name=given.rule.name,
        labels={**given.labels, **given.rule.labels},
        severity=given.rule.severity or Severity.WARNING,
        source="probe",
        kind="measured",
        measured=True,
        condition=given.rule.condition.text if given.rule.condition else "",
    )


def _beat_alert(given: Beat, fault: str) -> Alert:
    return Alert(
        fingerprint=fault,
        name=given.name,
        labels=given.labels,
        severity=given.severity,
        title=f"No heartbeat of {given.name}",
        source="heartbeat",
        kind="heartbeat",
        beat=given.spec,
    )


def advanced(alert: Alert, rule: Rule | None, terms: Terms, judgement: Judgement | None, now: datetime) -> Alert:
    """The alert after whatever is due at `now` without any news."""
    if alert.beat:
        return heartbeat.advanced(alert, now)
    if alert.burning and alert.expires_at is not None and alert.expires_at <= now:
        return ended(alert, alert.expires_at)
    if alert.burning and times_out(alert) and alert.refreshed_at and now >= alert.refreshed_at + terms.resolve_timeout:
        return ended(alert, alert.refreshed_at + terms.resolve_timeout, by="resolve_timeout")
    if alert.measured:
        if rule is None or rule.condition is None:
            return _orphaned(alert, now)
        if judgement is None:
            return alert
        return judged(alert, judgement.found, now, rule=rule, terms=terms, clear=judgement.clear)
    if alert.condition:
        return recounted(alert, now, rule=rule, terms=terms) if rule is not None else _orphaned(alert, now)
    if alert.state is State.PENDING:
        return settled(alert, now, burns=True, terms=terms)
    if alert.cleared_at is not None:
        return settled(alert, now, burns=False, terms=terms)
    return alert


def _orphaned(alert: Alert, now: datetime, why: str = "rule gone") -> Alert:
    """The alert without its rule: over, and not to be asked again."""
    return replace(ended(alert, now, by=why) if alert.burning else alert, recheck_at=None)


def _withdrawn(incident: Incident, given: Withdrawn, now: datetime) -> Incident:
    alerts = dict(incident.alerts)
    for name in given.fingerprints:
        if name in alerts:
            alerts[name] = _orphaned(alerts[name], now, given.why)
    return replace(incident, alerts=alerts)


# ---------------------------------------------------------------------------------------------------------------------
# People


def _acted(incident: Incident, action: Action) -> Incident:
    """What a person did; nothing when it is about another incident, was done before, or is our own echo."""
    if not is_about(action, incident):
        return incident
    incident = _linked(incident, action)
    if any(each.act == _act_id(action) for each in incident.timeline):
        return incident
    matchers = parse_matchers(action.matchers)
    if action.kind is ActionKind.LINK:
        return incident
    chosen = [
        alert for alert in incident.firing if alert.matched_by(matchers) and (alert.starts_at or action.at) <= action.at
    ]
    if action.kind is ActionKind.NOTE:
        return _said(incident, action, action.note) if incident.status == "open" else incident
    if action.kind is ActionKind.REASSIGN:
        return _said(incident, action, f"assigned to {action.note or action.by}") if chosen else incident
    if action.kind is ActionKind.RESOLVE:
        return _resolved_by(incident, action, chosen)
    return _acknowledged(incident, action, chosen)


def is_about(action: Action, incident: Incident) -> bool:
    """Whether the act is about this incident; one that names none is about all of them."""
    return action.incident is None or action.incident == incident.id or action.incident in incident.aliases


def _linked(incident: Incident, action: Action) -> Incident:
    if not action.alias or action.alias in incident.aliases or incident.status != "open":
        return incident
    return replace(incident, aliases=(*incident.aliases, action.alias)[-MAX_ALIASES:])


def _said(incident: Incident, action: Action, text: str) -> Incident:
    """What a person says changes no alert; the messages that were told show it."""
    return replace(_noted(incident, action, text), sync=_sync_origin(action))


def _silenced(incident: Incident, entry: Entry) -> Incident:
    """A remark on the timeline; one about a silence is shown by the messages that were told."""
    after = remarked(incident, entry)
    return replace(after, sync=entry.kind) if after is not incident and entry.kind == "silence" else after


def _acknowledged(incident: Incident, action: Action, chosen: Sequence[Alert]) -> Incident:
    if _overtaken(action, incident):
        return incident
    acks = action.kind is ActionKind.ACK
    changed = {
        alert.fingerprint: replace(alert, acked_by=action.by if acks else None, acked_at=action.at if acks else None)
        for alert in chosen
        if (alert.acked_by is None) == acks
    }
    if not changed:
        return incident
    incident = replace(
        incident,
        alerts={**incident.alerts, **changed},
        sync=_sync_origin(action),
        escalate_from=None if acks else action.at,
        escalated=incident.escalated if acks else 0,
    )
    return _noted(incident, action, _with_note("acknowledged" if acks else "unacknowledged", action))


def _with_note(text: str, action: Action) -> str:
    return f"{text}: {action.note}" if action.note else text


def _overtaken(action: Action, incident: Incident) -> bool:
    """True when a later acknowledgement, or its withdrawal, of the whole incident came before this one: queues shuffle."""
    whole = action.incident is not None and not action.matchers
    return whole and any(each.kind in ("ack", "unack") and each.at > action.at for each in incident.timeline)


def _sync_origin(action: Action) -> str:
    return action.via or "api"


def _resolved_by(incident: Incident, action: Action, chosen: Sequence[Alert]) -> Incident:
    if not chosen:
        return incident
    alerts = dict(incident.alerts)
    for alert in chosen:
        alerts[alert.fingerprint] = closed_by_hand(alert, action.at, action.by)
    incident = replace(incident, alerts=alerts, closed_via=action.via, next_flush_at=action.at)
    return _noted(incident, action, _with_note("resolved", action))


def _noted(incident: Incident, action: Action, text: str) -> Incident:
    return remarked(incident, Entry(action.at, text, action.by, kind=action.kind.value, act=_act_id(action)))


def _act_id(action: Action) -> str:
    """What is equal for one act, however often its message comes."""
    return action.id or fingerprint(action.kind.value, action.by, action.at.isoformat(), action.note)


def remarked(incident: Incident, entry: Entry) -> Incident:
    """The incident with one more line in its timeline; the same line twice is one."""
    if entry in incident.timeline:
        return incident
    return replace(incident, timeline=(*incident.timeline, entry)[-MAX_TIMELINE:])


def next_alert_change(incident: Incident, rules: Rules) -> datetime | None:
    """The earliest time at which one of its alerts changes without news."""
    by_name = {rule.name: rule for rule in rules.rules}
    times: list[datetime | None] = []
    alerts = incident.alerts.values()
    terms = {name: terms_of(by_name.get(name), incident.rhythm) for name in {each.rule for each in alerts}}
    for alert in alerts:
        if alert.beat:
            times.append(heartbeat.next_change(alert))
        elif alert.burning or alert.recheck_at:
            times.append(next_change(alert, terms[alert.rule]))
    if incident.beyond:
        times.append(datetime.fromtimestamp(min(incident.beyond.values()), UTC) + incident.rhythm.resolve_timeout)
    return min((at for at in times if at is not None), default=None)
