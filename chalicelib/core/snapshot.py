"""What a notification says: the snapshot of an incident for one target."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from chalicelib.core.alert import Alert, AlertState, Origin
from chalicelib.core.context import Context, Silence
from chalicelib.core.delivery.notification import (
    MAX_ALERTS,
    AckSnapshot,
    Activity,
    AlertSnapshot,
    Background,
    ClosingSnapshot,
    Deploy,
    IncidentSnapshot,
    Notification,
    Reason,
    Runbook,
    ServiceSnapshot,
    Why,
)
from chalicelib.core.delivery.target_kind import Capabilities
from chalicelib.core.delivery.writing import counted_list, local_time
from chalicelib.core.dependencies import Explanation, explanations
from chalicelib.core.event import OWN_SOURCES, Severity, fingerprint
from chalicelib.core.incident import Entry, Incident
from chalicelib.core.language.template import render
from chalicelib.core.lifecycle import last_end
from chalicelib.core.mute import Muting, causes_of
from chalicelib.core.notified import NotifiedState
from chalicelib.core.rule import Route, Rules
from chalicelib.core.services import NO_SERVICES, SERVICE, Services
from chalicelib.core.sounds import acknowledged_at, follows_ack
from chalicelib.core.top_errors import top_errors
from chalicelib.core.waves import MAX_WAVES

DEPLOY_WINDOW = timedelta(minutes=30)
"""A deploy this shortly before the start of an incident is shown with it."""
ACTS = ("ack", "unack", "resolve", "reassign", "note", "silence")
"""The entries of the timeline that are something a person did."""
REMARKS = ("reassign", "note", "silence")
"""Those of them that a message goes on showing."""
MAX_SERVICES = 3
"""A notification shows the entries of so many services."""
MAX_ACTS = 5
MAX_REMARKS = 3


@dataclass(frozen=True, slots=True)
class SnapshotInput:
    """What a notification is made from, beside the incident. `closing` is set while its end is held back."""

    rules: Rules
    context: Context
    route: Route
    now: datetime
    mutings: Mapping[str, Muting] = field(default_factory=dict)
    closing: ClosingSnapshot | None = None


def notification(
    incident: Incident,
    announced: NotifiedState,
    reason: Reason,
    visible: Mapping[str, int],
    basis: SnapshotInput,
    notes: tuple[str, ...],
    why: Why | None = None,
) -> Notification:
    """One announcement to one target, as decided now."""
    explained = explanations(incident, basis.rules.services)
    firing = _causes_first((alert for alert in incident.firing if alert.fingerprint in visible), explained)
    gone = _listed(
        alert
        for alert in incident.alerts.values()
        if alert.fingerprint in announced.alerts.all and alert.state is not AlertState.FIRING
    )
    muted = _listed(alert for alert in incident.firing if alert.fingerprint in basis.mutings)
    ends = reason is Reason.RESOLVED
    if ends:
        firing, muted = [], []
        gone = gone or _listed(alert for alert in incident.shown if alert.state is AlertState.RESOLVED)
    sent = firing or (muted if reason is Reason.SYNC else [])
    shown = [*sent, *(gone if announced.target.send_resolved else [])]
    seq = announced.last.seq + 1
    alerts = tuple(
        _with_top_errors(
            replace(_alert_snapshot(alert, basis, incident.group), impact_of=_impact_of(alert, explained)),
            alert,
            incident,
            basis,
        )
        for alert in shown[:MAX_ALERTS]
    )
    lead = next(iter([*firing, *gone, *muted]), None)
    can = basis.rules.can(announced.target.kind)
    content = "|".join((reason.value, basis.now.isoformat(), *(f"{a.fingerprint}{a.status}" for a in alerts)))
    return Notification(
        id=fingerprint("notification", incident.id, announced.target.key, str(seq), content),
        incident=_of_incident(incident, basis, lead, ended_at=_ended_at(gone) if ends else None),
        seq=seq,
        target=announced.target,
        reason=reason,
        status="resolved" if ends else "firing",
        severity=min((alert.severity for alert in shown), key=lambda s: s.rank, default=incident.severity),
        title=title_of(
            incident,
            firing or gone or muted,
            more=len(incident.truncated.alerts) if firing else 0,
            services=basis.rules.services,
        ),
        at=basis.now,
        alerts=alerts,
        evidence=tuple(_alert_snapshot(alert, basis, incident.group) for alert in muted if alert not in sent)[
            :MAX_ALERTS
        ],
        also=len(incident.truncated.alerts) + len(shown[MAX_ALERTS:]),
        ack=None if ends else _ack(incident, announced, firing, sent, can),
        activity=Activity(
            remarks=tuple(sentence(each) for each in _acts(incident) if each.kind in REMARKS)[-MAX_REMARKS:],
            acts=_acts_since(incident, announced.last.acts_until) if reason is Reason.SYNC else (),
        ),
        background=Background(
            runbook=_runbook(lead, basis),
            services=_services(shown, basis.rules),
            deploys=deploys_before(incident, basis.context) if not ends else (),
            notes=_notes_for(announced, visible, basis, incident, reason)
            + (_begun_after_ack(incident, announced, visible, basis.rules) if why is Why.AFTER_ACK else ())
            + (_no_longer_explained(incident, announced, visible, explained) if why is Why.UNEXPLAINED else ())
            + (_affected(firing, explained, basis) if not ends else ())
            + notes,
            timezone=basis.route.options.timezone,
        ),
        wave=announced.pager.wave,
        why=why,
        closing=basis.closing if reason is Reason.SYNC and announced.target.send_resolved else None,
    )


def with_symptoms(
    notification: Notification, symptoms: Sequence[Alert], group: Mapping[str, str], basis: SnapshotInput
) -> Notification:
    """Return it with the alerts of other incidents that this one mutes, behind its own muted alerts."""
    if not symptoms:
        return notification
    found = (_as_evidence(alert, basis, group) for alert in _listed(symptoms))
    return replace(notification, evidence=(*notification.evidence, *found)[:MAX_ALERTS])


def _of_incident(
    incident: Incident, basis: SnapshotInput, lead: Alert | None, *, ended_at: datetime | None
) -> IncidentSnapshot:
    """Return what is shown of the incident. Its values are those of the first alert: it may hold those of several services."""
    group = incident.group
    if incident.is_correlated and lead is not None:
        group = {name: lead.labels.get(name, value) for name, value in group.items()}
    return IncidentSnapshot(
        id=incident.id,
        key=incident.key,
        started_at=incident.episode.started_at or basis.now,
        events=incident.events,
        route=basis.route.id,
        ended_at=ended_at,
        group=group,
    )


def _ended_at(gone: Sequence[Alert]) -> datetime | None:
    return max((at for alert in gone if (at := last_end(alert))), default=None)


def _ack(
    incident: Incident, announced: NotifiedState, firing: Sequence[Alert], shown: Sequence[Alert], can: Capabilities
) -> AckSnapshot | None:
    """Return the acknowledgement that is shown: that of the first alert. None while an alert needs somebody.

    A target that does not show what is muted shows the acknowledgement of what it was notified of.
    """
    covered = shown if can.shows_silences else (firing or known_alerts(incident, announced))
    names = [alert.ack.by for alert in covered if alert.ack.by]
    return AckSnapshot(names[0], covered[0].ack.at) if names and len(names) == len(covered) else None


def known_alerts(incident: Incident, announced: NotifiedState) -> Sequence[Alert]:
    """Return the alerts that this target was notified of: those that fire, muted or not, else those that are over."""
    known = _listed(alert for name, alert in incident.alerts.items() if name in announced.alerts.firing)
    return [alert for alert in known if alert.state is AlertState.FIRING] or known


def is_all_acknowledged(
    incident: Incident, announced: NotifiedState, visible: Mapping[str, int], can: Capabilities
) -> bool:
    """Return whether somebody has all that this target shows, so that a notification to it is one of the acknowledged."""
    firing = _listed(alert for alert in incident.firing if alert.fingerprint in visible)
    return _ack(incident, announced, firing, firing, can) is not None


def with_ends(decided: Notification, incident: Incident, ended: Sequence[Alert], basis: SnapshotInput) -> Notification:
    """Return a notification with further alerts that have ended, and why where that was not their sender's word."""
    alerts = (*decided.alerts, *(_alert_snapshot(alert, basis, incident.group) for alert in _listed(ended)))
    notes = (*decided.background.notes, *(_ended_by(alert) for alert in _listed(ended) if alert.changes.ended_by))
    background = replace(decided.background, notes=tuple(dict.fromkeys(notes)))
    return replace(decided, alerts=alerts[:MAX_ALERTS], background=background)


def _listed(alerts: Iterable[Alert]) -> list[Alert]:
    """As people read them: worst first, then oldest, then by name and labels."""
    return sorted(
        alerts, key=lambda each: (each.severity.rank, each.starts_at or _NEVER, each.name, sorted(each.labels.items()))
    )


_NEVER = datetime.max.replace(tzinfo=UTC)


def _impact_of(alert: Alert, explained: Mapping[str, Explanation]) -> str:
    """Return the service that explains an alert now; empty where none does."""
    found = explained.get(alert.fingerprint)
    return found.service if found is not None and found.until is None else ""


def _causes_first(alerts: Iterable[Alert], explained: Mapping[str, Explanation]) -> list[Alert]:
    """Return alerts as people read them, those that another service explains behind the others."""
    return sorted(_listed(alerts), key=lambda each: bool(_impact_of(each, explained)))


def title_of(incident: Incident, alerts: Sequence[Alert], *, more: int = 0, services: Services = NO_SERVICES) -> str:
    """What broke, in one line: the alert's own title, or how many there are of which. `more` fire over `max_alerts`.

    Of alerts that explain others the title names the cause, and the services that it affects.
    """
    explained = explanations(incident, services)
    impacts = [alert for alert in _listed(alerts) if _impact_of(alert, explained)]
    causes = [alert for alert in alerts if not _impact_of(alert, explained)]
    if not impacts or not causes:
        return _title_of(incident, alerts, more)
    affected = list(dict.fromkeys(alert.labels.get(SERVICE, "") for alert in impacts))
    return f"{_title_of(incident, causes, more)}, affects {counted_list(affected, MAX_SERVICES)}"


def _where(incident: Incident, alerts: Sequence[Alert]) -> str:
    """Return the values by which alerts are one incident. Alerts of another service than the first one have their own."""
    names = sorted(incident.group.keys() - {"alertname", "severity"})
    if not incident.is_correlated or not alerts:
        return " ".join(incident.group[name] for name in names)
    found = (list(dict.fromkeys(alert.labels.get(name, incident.group[name]) for alert in alerts)) for name in names)
    return " ".join(counted_list(values, MAX_SERVICES) for values in found)


def _title_of(incident: Incident, alerts: Sequence[Alert], more: int) -> str:
    alerts = _listed(alerts)
    where = _where(incident, alerts)
    names = list(dict.fromkeys(alert.name for alert in alerts))
    if len(alerts) == 1 and not more:
        alert = alerts[0]
        title = alert.name if alert.has_condition else alert.text.title or alert.name
        return f"{title} ({where})" if where and where not in title else title
    if not alerts:
        return where or "incident"
    counted = f"{len(alerts) + more:,} alerts: {', '.join(names[:3])}{' …' if len(names) > 3 or more else ''}"
    return f"{counted} ({where})" if where else counted


def title_of_news(incident: Incident, announced: NotifiedState, visible: Mapping[str, int]) -> str:
    """Return the title of what a target has not noticed as it is: new alerts, those that rose, and what joined silently."""
    joined = announced.alerts.joined
    new = [
        name for name, rank in visible.items() if name in joined or rank < announced.alerts.firing.get(name, rank + 1)
    ]
    return title_of(incident, [incident.alerts[name] for name in new])


def _alert_snapshot(alert: Alert, basis: SnapshotInput, group: Mapping[str, str]) -> AlertSnapshot:
    """The alert as a message shows it."""
    muting = basis.mutings.get(alert.fingerprint)
    return AlertSnapshot(
        name=alert.name,
        labels=alert.labels,
        annotations=alert.text.annotations,
        status="firing" if alert.state is AlertState.FIRING else "resolved",
        severity=alert.severity,
        title=alert.text.title or alert.name,
        starts_at=alert.starts_at or basis.now,
        ends_at=last_end(alert),
        summary=summary_of(alert, basis, group),
        url=alert.text.url,
        source=alert.sender.source,
        kind=alert.sender.kind,
        events=alert.received.events,
        last_event_at=alert.received.last_event_at,
        value=alert.evaluation.value,
        threshold=alert.evaluation.threshold,
        condition=alert.evaluation.condition,
        acked_by=alert.ack.by,
        muted_by=muting.names if muting else (),
        fingerprint=alert.fingerprint,
        observed=alert.observed,
        is_unmatched=alert.origin is Origin.EVENT and not alert.rule and alert.sender.source not in OWN_SOURCES,
    )


def _with_top_errors(made: AlertSnapshot, alert: Alert, incident: Incident, basis: SnapshotInput) -> AlertSnapshot:
    """Return the snapshot of an alert with the errors that it counts."""
    if alert.origin is not Origin.COUNT:
        return made
    rule, service = basis.rules.by_name.get(alert.rule), incident.group.get("service")
    window = rule.condition.event_window if rule is not None and rule.condition is not None else timedelta(0)
    deploys = [each for each in deploys_before(incident, basis.context) if each.concerns(service)]
    return replace(made, top=top_errors(alert, window=window, deploys=deploys))


def _as_evidence(alert: Alert, basis: SnapshotInput, group: Mapping[str, str]) -> AlertSnapshot:
    """An alert of another incident, which this one mutes."""
    causes = causes_of(alert, basis.context.causes, basis.rules.inhibitions)
    names = dict.fromkeys(f"inhibited by {cause.labels.get('alertname', 'another alert')}" for cause in causes)
    return replace(_alert_snapshot(alert, basis, group), muted_by=tuple(names))


def summary_of(alert: Alert, basis: SnapshotInput, group: Mapping[str, str]) -> str:
    """The rule's own summary; where it has none or it is broken, the plain one."""
    rule = basis.rules.by_name.get(alert.rule)
    if rule is None or not rule.summary or rule.name in basis.rules.broken_templates:
        text = alert.text
        return text.summary or text.annotations.get("summary") or text.annotations.get("description") or ""
    return render(rule.summary, variables_of(alert, group))


def variables_of(alert: Alert, group: Mapping[str, str]) -> dict[str, object]:
    """What a template may name."""
    return {
        "value": alert.evaluation.value,
        "threshold": alert.evaluation.threshold,
        "labels": dict(alert.labels),
        "annotations": dict(alert.text.annotations),
        "group": dict(group),
        "name": alert.name,
        "title": alert.text.title,
        "severity": alert.severity.value,
        "events": alert.received.events,
        "count": alert.received.events,
        "starts_at": alert.starts_at.isoformat() if alert.starts_at else "",
    }


def _runbook(alert: Alert | None, basis: SnapshotInput) -> Runbook | None:
    if alert is None:
        return None
    rule = basis.rules.by_name.get(alert.rule)
    if rule is not None and rule.runbook:
        return Runbook(rule.runbook)
    url = alert.text.annotations.get("runbook_url", "")
    return Runbook(name="", title="Runbook", url=url) if url.startswith(("https://", "http://")) else None


def _services(alerts: Sequence[Alert], rules: Rules) -> tuple[ServiceSnapshot, ...]:
    """Return the entries of the rules file for the services of the alerts, that of the worst first."""
    if not rules.services.declared:
        return ()
    names = dict.fromkeys(alert.labels.get(SERVICE, "") for alert in alerts)
    known = [found for name in names if (found := rules.services.declared.get(name)) is not None]
    return tuple(ServiceSnapshot(each.name, each.owner, each.tier, each.links) for each in known[:MAX_SERVICES])


def deploys_before(incident: Incident, context: Context) -> tuple[Deploy, ...]:
    """The deploys within half an hour before it started: those of its service or an unknown one first, each newest first.

    What another service deployed may well have broken this one: it is shown where nothing is nearer, with its name.
    """
    if incident.episode.started_at is None:
        return ()
    started_at, service = incident.episode.started_at, incident.group.get("service")
    found = [deploy for deploy in context.deploys if started_at - DEPLOY_WINDOW <= deploy.at <= started_at]
    found.sort(key=lambda deploy: deploy.at, reverse=True)
    return tuple(sorted(found, key=lambda deploy: not deploy.concerns(service))[:3])


def notes_of(incident: Incident, expired: tuple[str, ...]) -> tuple[str, ...]:
    """What every target should know beside the alerts."""
    notes = []
    if expired:
        notes.append(f"The acknowledgement of {', '.join(expired)} ran out.")
    if incident.truncated.events:
        notes.append(_note_of_truncated(incident))
    return tuple(notes)


def _note_of_truncated(incident: Incident) -> str:
    """Return what is counted but not shown, and whether the number of alerts or their size is the reason."""
    count, events = len(incident.truncated.alerts), incident.truncated.events
    hidden = f"{events} more events are counted but not shown."
    if len(incident.alerts) >= incident.options.max_alerts:
        return f"max_alerts is reached: {f'{count} more alerts burn, and ' if count else ''}{hidden}"
    too_large = f"{count} alerts are" if count > 1 else "1 alert is" if count else "Some alerts were"
    return f"{too_large} too large to list, and {hidden}"


def notes_of_wave(incident: Incident, announced: NotifiedState) -> tuple[str, ...]:
    """Return why a pager calls people again: who gave it back, or what got worse, since it did so the last time."""
    since = announced.wave_began_at
    found = [
        each
        for each in incident.timeline.entries
        if each.kind in ("unack", "ack_lifted") and (since is None or each.at >= since)
    ]
    last = announced.pager.wave + 1 == MAX_WAVES
    return (
        *(f"{sentence(each)}." for each in found[-1:]),
        *(
            [f"This is the last of {MAX_WAVES} alerts for this incident here: what follows only changes it."]
            if last
            else []
        ),
    )


def _notes_for(
    announced: NotifiedState, visible: Mapping[str, int], basis: SnapshotInput, incident: Incident, reason: Reason
) -> tuple[str, ...]:
    """What this target should know: what came back, what flaps, what ended without its sender's word."""
    notes: list[str] = []
    if reason is not Reason.RESOLVED:
        notes += _returned(announced, visible, basis, incident)
        notes += _ending(incident, basis)
    for alert in incident.alerts.values():
        if alert.fingerprint in visible:
            notes += [*_worse(alert, announced), *_not_heard_since(alert, announced, basis)]
        if alert.fingerprint in visible and alert.changes.flapping:
            notes.append(f"{alert.name} is flapping: it is held open until it calms.")
        if alert.fingerprint in visible and alert.rule in basis.rules.broken_templates:
            notes.append(f"The summary of the rule {alert.rule} is broken and the plain form is shown.")
        if (
            alert.fingerprint in announced.alerts.firing
            and alert.state is not AlertState.FIRING
            and alert.changes.ended_by
        ):
            notes.append(_ended_by(alert))
    return tuple(dict.fromkeys(notes))


def _begun_after_ack(
    incident: Incident, announced: NotifiedState, visible: Mapping[str, int], rules: Rules
) -> tuple[str, ...]:
    """Return which critical alerts began after others were acknowledged, and by whom."""
    acked_at = acknowledged_at(incident)
    by = {alert.ack.by for alert in incident.alerts.values() if alert.ack.by and alert.ack.at == acked_at}
    new = [incident.alerts[name] for name in visible if name not in announced.alerts.firing]
    who = ", ".join(sorted(by)) or "somebody"
    return tuple(
        f"{alert.name} began after {who} acknowledged the others."
        for alert in _listed(new)
        if follows_ack(alert, acked_at, rules.correlation.after_ack)
    )


def _no_longer_explained(
    incident: Incident, announced: NotifiedState, visible: Mapping[str, int], explained: Mapping[str, Explanation]
) -> tuple[str, ...]:
    """Return which alerts made no sound while another service explained them, and still fire after its end."""
    joined = _listed(incident.alerts[name] for name in visible if name in announced.alerts.joined)
    return tuple(
        f"{alert.name} ({alert.labels.get(SERVICE, '')}) still fires, though {found.service} is resolved."
        for alert in joined
        if (found := explained.get(alert.fingerprint)) is not None and found.until is not None
    )


def _affected(firing: Sequence[Alert], explained: Mapping[str, Explanation], basis: SnapshotInput) -> tuple[str, ...]:
    """Return which services another one affects, since when, and who owns that."""
    notes = []
    for alert in firing:
        if _impact_of(alert, explained):
            found, zone = explained[alert.fingerprint], basis.route.options.timezone
            owner = basis.rules.services.owner_of(found.service)
            since = f"{found.service} since {local_time(found.since, zone)}"
            notes.append(f"{alert.labels[SERVICE]} is affected by {since}{f'; {owner} has it' if owner else ''}.")
    return tuple(dict.fromkeys(notes))[:MAX_SERVICES]


def _worse(alert: Alert, announced: NotifiedState) -> list[str]:
    before = announced.alerts.firing.get(alert.fingerprint, alert.severity.rank)
    if before <= alert.severity.rank:
        return []
    was = next(each for each in Severity if each.rank == before)
    return [f"{alert.name} got worse: {was.value} → {alert.severity.value}."]


def _not_heard_since(alert: Alert, announced: NotifiedState, basis: SnapshotInput) -> list[str]:
    """Return since when an alert fires of which this target is notified long after its sender's last event."""
    newest = alert.received.last_event_at or alert.starts_at
    timeout = basis.route.options.resolve_timeout
    if alert.fingerprint in announced.alerts.firing or newest is None or alert.starts_at is None:
        return []
    if newest + timeout > basis.now:
        return []
    zone = basis.route.options.timezone
    since, last = local_time(alert.starts_at, zone), local_time(newest, zone)
    return [f"{alert.name} fires since {since} and was last received {'then' if last == since else 'at ' + last}."]


ENDINGS = {
    "resolve_timeout": "its sender has sent nothing for the resolve_timeout, so it is taken as resolved.",
    "no data": "nothing was measured for the resolve_timeout, so it is taken as resolved.",
    "rule gone": "the rule is no longer in the rules file, so it is taken as resolved.",
    "rule changed": "its rule asks for something else by now, so it is taken as resolved.",
    "probe gone": "its probe is no longer in the rules file, so it is taken as resolved.",
    "heartbeat gone": "the heartbeat is no longer in the rules file, so it is taken as resolved.",
}
"""Why an alert ended without its sender's word: what `StateChanges.ended_by` holds where it is no person's name."""


def _ended_by(alert: Alert) -> str:
    if alert.changes.ended_by in ENDINGS:
        return f"{alert.name}: {ENDINGS[alert.changes.ended_by]}"
    return f"{alert.name}: resolved by {alert.changes.ended_by}."


def _returned(
    announced: NotifiedState, visible: Mapping[str, int], basis: SnapshotInput, incident: Incident
) -> list[str]:
    """Return what is seen again, or seen late, and whose silence it was."""
    notes = []
    for alert in _listed(incident.alerts[name] for name in visible if name in incident.alerts):
        if alert.fingerprint in announced.alerts.hidden:
            over = _in_words(_over(alert, {"silence": basis.context.silences}, basis.now))
            notes.append(f"{alert.name} is back{f' after {over} ended' if over else ': what muted it is over'}.")
        elif alert.fingerprint not in announced.alerts.firing:
            notes += _seen_late(alert, basis, incident)
    return notes


def _seen_late(alert: Alert, basis: SnapshotInput, incident: Incident) -> list[str]:
    """Return the silence or maintenance because of which this target was not notified before, if it was one.

    One that began after some target was notified of the alert held nothing back from this target.
    """
    held = {"silence": basis.context.silences, "maintenance": basis.context.maintenance}
    over = _over(alert, held, basis.now)
    if over is None or alert.starts_at is None:
        return []
    if over[1].starts_at <= alert.starts_at:
        return [f"{alert.name} began under {_in_words(over)}, which has ended."]
    if any(alert.fingerprint in each.alerts.firing for each in incident.announced.values()):
        return []
    return [f"{alert.name} was muted by {_in_words(over)}, which has ended."]


def _over(alert: Alert, held: Mapping[str, Sequence[Silence]], now: datetime) -> tuple[str, Silence] | None:
    """Return the last of these that covered the alert and is over, with its kind."""
    found = [
        (kind, each)
        for kind, silences in held.items()
        for each in silences
        if alert.starts_at is not None and alert.starts_at < each.ends_at <= now and alert.matched_by(each.matchers)
    ]
    return max(found, key=lambda each: each[1].ends_at, default=None)


def _in_words(over: tuple[str, Silence] | None) -> str:
    if over is None:
        return ""
    kind, last = over
    return f"the {kind} of {last.by}{f' ({last.comment})' if last.comment else ''}"


def _ending(incident: Incident, basis: SnapshotInput) -> list[str]:
    """The long silences that are about to end while something still burns under them."""
    ending = {
        each: each.ends_at
        for alert in incident.firing
        if (muting := basis.mutings.get(alert.fingerprint)) is not None
        for each in muting.silences
        if (reminds_at := each.reminds_at) is not None and reminds_at <= basis.now
    }
    zone = basis.route.options.timezone
    return [
        f"The silence of {each.by}{f' ({each.comment})' if each.comment else ''} ends at {local_time(at, zone)}."
        for each, at in ending.items()
    ]


# ---------------------------------------------------------------------------------------------------------------------
# What people did


def _acts_since(incident: Incident, after: datetime | None) -> tuple[tuple[str, str], ...]:
    """What people did after that, oldest first, each as its kind and a sentence."""
    found = [each for each in _acts(incident) if after is None or each.at > after]
    return tuple((each.kind, sentence(each)) for each in found[-MAX_ACTS:])


def last_act_at(incident: Incident) -> datetime | None:
    """When a person did something last."""
    return max((each.at for each in _acts(incident)), default=None)


def _acts(incident: Incident) -> list[Entry]:
    return sorted(
        (each for each in incident.timeline.entries if each.kind in ACTS and each.by), key=lambda each: each.at
    )


def sentence(entry: Entry) -> str:
    """What a person did, in words: `Acknowledged by Ana Souza`, `Ana Souza: looking at it`."""
    if entry.kind in ("note", "silence"):
        return f"{entry.by}: {entry.text}"
    said = f"{entry.text[:1].upper()}{entry.text[1:]}"
    return f"{said} by {entry.by}" if entry.by else said
