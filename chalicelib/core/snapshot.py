"""What a notification says: the snapshot of an incident for one target."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from chalicelib.core.alert import Alert, AlertState
from chalicelib.core.alert_snapshot import (
    OfRule,
    SnapshotInput,
    alert_snapshot,
    as_evidence,
    deploys_before,
    of_rule,
    with_top_errors,
)
from chalicelib.core.delivery.notification import (
    MAX_ALERTS,
    AckSnapshot,
    Activity,
    Background,
    IncidentSnapshot,
    Notification,
    Reason,
    Runbook,
    ServiceSnapshot,
    Why,
)
from chalicelib.core.delivery.target_kind import Capabilities
from chalicelib.core.dependencies import explanations
from chalicelib.core.event import fingerprint
from chalicelib.core.incident import Incident
from chalicelib.core.lifecycle import last_end
from chalicelib.core.notes import affected, begun_after_ack, how_ended, no_longer_explained, notes_for
from chalicelib.core.notified import NotifiedState
from chalicelib.core.rule import Rules
from chalicelib.core.services import SERVICE
from chalicelib.core.shown_acts import REMARKS, acts, acts_since, sentence
from chalicelib.core.storms import size
from chalicelib.core.titles import MAX_SERVICES, causes_first, impact_of, listed, title_of

MAX_REMARKS = 3


def notification(
    incident: Incident,
    announced: NotifiedState,
    reason: Reason,
    visible: Mapping[str, int],
    basis: SnapshotInput,
    notes: tuple[str, ...],
    why: Why | None = None,
) -> Notification:
    """Return one announcement to one target, as decided now."""
    explained = explanations(incident, basis.rules.services)
    firing = causes_first((alert for alert in incident.firing if alert.fingerprint in visible), explained)
    gone = listed(
        alert
        for alert in incident.alerts.values()
        if alert.fingerprint in announced.alerts.all and alert.state is not AlertState.FIRING
    )
    muted = listed(alert for alert in incident.firing if alert.fingerprint in basis.mutings)
    ends = reason is Reason.RESOLVED
    if ends:
        firing, muted = [], []
        gone = gone or listed(alert for alert in incident.shown if alert.state is AlertState.RESOLVED)
    sent = firing or (muted if reason is Reason.SYNC else [])
    shown = [*sent, *(gone if announced.target.send_resolved else [])]
    seq = announced.last.seq + 1
    alerts = tuple(
        with_top_errors(
            replace(alert_snapshot(alert, basis, incident.group), impact_of=impact_of(alert, explained)),
            alert,
            incident,
            basis,
        )
        for alert in shown[:MAX_ALERTS]
    )
    lead = next(iter([*firing, *gone, *muted]), None)
    added = of_rule(lead, basis, incident.group) if lead is not None else OfRule()
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
        evidence=tuple(alert_snapshot(alert, basis, incident.group) for alert in muted if alert not in sent)[
            :MAX_ALERTS
        ],
        also=len(incident.truncated.alerts) + len(shown[MAX_ALERTS:]),
        ack=None if ends else _ack(incident, announced, firing, sent, can),
        activity=Activity(
            remarks=tuple(sentence(each) for each in acts(incident) if each.kind in REMARKS)[-MAX_REMARKS:],
            acts=acts_since(incident, announced.last.acts_until) if reason is Reason.SYNC else (),
        ),
        background=Background(
            runbook=_runbook(lead, basis),
            services=_services(shown, basis.rules),
            fields=added.annotations,
            links=added.links,
            deploys=deploys_before(incident, basis.context) if not ends else (),
            notes=notes_for(announced, visible, basis, incident, reason)
            + (begun_after_ack(incident, announced, visible, basis.rules) if why is Why.AFTER_ACK else ())
            + (no_longer_explained(incident, announced, visible, explained) if why is Why.UNEXPLAINED else ())
            + (affected(firing, explained, basis) if not ends else ())
            + notes,
            timezone=basis.route.options.timezone,
        ),
        wave=announced.pager.wave,
        storm=size(shown) if incident.is_storm else 0,
        why=why,
        closing=basis.closing if reason is Reason.SYNC and announced.target.send_resolved else None,
    )


def with_symptoms(
    notification: Notification, symptoms: Sequence[Alert], group: Mapping[str, str], basis: SnapshotInput
) -> Notification:
    """Return it with the alerts of other incidents that this one mutes, behind its own muted alerts."""
    if not symptoms:
        return notification
    found = (as_evidence(alert, basis, group) for alert in listed(symptoms))
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
    known = listed(alert for name, alert in incident.alerts.items() if name in announced.alerts.firing)
    return [alert for alert in known if alert.state is AlertState.FIRING] or known


def is_all_acknowledged(
    incident: Incident, announced: NotifiedState, visible: Mapping[str, int], can: Capabilities
) -> bool:
    """Return whether somebody has all that this target shows, so that a notification to it is one of the acknowledged."""
    firing = listed(alert for alert in incident.firing if alert.fingerprint in visible)
    return _ack(incident, announced, firing, firing, can) is not None


def with_ends(decided: Notification, incident: Incident, ended: Sequence[Alert], basis: SnapshotInput) -> Notification:
    """Return a notification with further alerts that have ended, and why where that was not their sender's word."""
    alerts = (*decided.alerts, *(alert_snapshot(alert, basis, incident.group) for alert in listed(ended)))
    notes = (*decided.background.notes, *(how_ended(alert) for alert in listed(ended) if alert.changes.ended_by))
    background = replace(decided.background, notes=tuple(dict.fromkeys(notes)))
    return replace(decided, alerts=alerts[:MAX_ALERTS], background=background)


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
