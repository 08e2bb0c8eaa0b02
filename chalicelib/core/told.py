"""What a notification says: the snapshot of an incident for one target."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from chalicelib.core.alert import Alert, State
from chalicelib.core.context import Context
from chalicelib.core.event import fingerprint
from chalicelib.core.notification import Deploy, Notification, Reason, Runbook, Told
from chalicelib.core.rule import Route, Rule, Rules
from chalicelib.core.template import render

if TYPE_CHECKING:
    from chalicelib.core.due import Muting
    from chalicelib.core.incident import Announced, Incident

DEPLOY_WINDOW = timedelta(minutes=30)
"""A deploy this shortly before the start of an incident is shown with it."""
MAX_TOLD = 500


@dataclass(frozen=True, slots=True)
class Telling:
    """What a notification is made from, beside the incident."""

    rules: Rules
    context: Context
    route: Route
    now: datetime
    mutings: Mapping[str, "Muting"] = field(default_factory=dict)
    evidence: Sequence[Alert] = ()

    def rule(self, name: str) -> Rule | None:
        """The rule of that name under today's rules."""
        return next((rule for rule in self.rules.rules if rule.name == name), None)


def notification(
    incident: "Incident",
    announced: "Announced",
    reason: Reason,
    visible: Mapping[str, int],
    telling: Telling,
    notes: tuple[str, ...],
) -> Notification:
    """One announcement to one target, as decided now."""
    firing = [alert for alert in incident.firing if alert.fingerprint in visible]
    gone = [
        alert for alert in incident.shown if alert.fingerprint in announced.firing and alert.state is State.RESOLVED
    ]
    muted = [alert for alert in incident.firing if alert.fingerprint not in visible]
    ends = reason is Reason.RESOLVED
    if ends:
        firing, muted = [], []
        gone = gone or [alert for alert in incident.shown if alert.state is State.RESOLVED]
    shown = [*firing, *(gone if announced.target.send_resolved else [])]
    seq = announced.seq + 1
    alerts = tuple(as_told(alert, telling, incident.group) for alert in shown[:MAX_TOLD])
    lead = next(iter([*firing, *gone, *muted]), None)
    acked = [alert for alert in firing if alert.acked_by]
    content = "|".join((reason.value, telling.now.isoformat(), *(f"{a.fingerprint}{a.status}" for a in alerts)))
    return Notification(
        id=fingerprint("notification", incident.id, announced.target.key, str(seq), content),
        incident=incident.id,
        key=incident.key,
        seq=seq,
        target=announced.target,
        reason=reason,
        status="resolved" if ends else "firing",
        severity=min((alert.severity for alert in shown), key=lambda s: s.rank, default=incident.severity),
        title=title_of(incident, firing or gone, telling),
        at=telling.now,
        started_at=incident.started_at or telling.now,
        ended_at=max((alert.ends_at for alert in gone if alert.ends_at), default=None) if ends else None,
        alerts=alerts,
        events=incident.events,
        route=telling.route.id,
        group=incident.group,
        evidence=tuple(as_told(alert, telling, incident.group) for alert in (*muted, *telling.evidence))[:MAX_TOLD],
        also=incident.overflow,
        runbook=_runbook(lead, telling),
        deploys=deploys_before(incident, telling.context) if not ends else (),
        acked_by=acked[0].acked_by if acked and len(acked) == len(firing) else None,
        acked_at=acked[0].acked_at if acked and len(acked) == len(firing) else None,
        notes=notes_for(announced, visible, telling, incident, reason) + notes,
        timezone=telling.route.rhythm.timezone,
    )


def title_of(incident: "Incident", alerts: Sequence[Alert], telling: Telling) -> str:
    """What broke, in one line: the alert's own title, or how many there are of which."""
    where = " ".join(incident.group[name] for name in sorted(incident.group) if incident.group[name])
    names = list(dict.fromkeys(alert.name for alert in alerts))
    if len(alerts) == 1:
        alert = alerts[0]
        title = alert.name if alert.measured or alert.condition or not alert.title else alert.title
        return f"{title} ({where})" if where and where not in title else title
    if not alerts:
        return where or "incident"
    counted = f"{len(alerts)} alerts: {', '.join(names[:3])}{' …' if len(names) > 3 else ''}"
    return f"{counted} ({where})" if where else counted


def as_told(alert: Alert, telling: Telling, group: Mapping[str, str]) -> Told:
    """The alert as a message shows it."""
    muting = telling.mutings.get(alert.fingerprint)
    return Told(
        name=alert.name,
        labels=alert.labels,
        annotations=alert.annotations,
        status="resolved" if alert.state is State.RESOLVED else "firing",
        severity=alert.severity,
        title=alert.title or alert.name,
        starts_at=alert.starts_at or telling.now,
        ends_at=alert.ends_at,
        summary=summary_of(alert, telling, group),
        url=alert.url,
        source=alert.source,
        kind=alert.kind,
        events=alert.events,
        last_event_at=alert.last_event_at,
        value=alert.value,
        threshold=alert.threshold,
        condition=alert.condition,
        acked_by=alert.acked_by,
        muted_by=muting.names if muting else (),
        fingerprint=alert.fingerprint,
    )


def summary_of(alert: Alert, telling: Telling, group: Mapping[str, str]) -> str:
    """The rule's own summary; where it has none or it is broken, the plain one."""
    rule = telling.rule(alert.rule)
    if rule is None or not rule.summary or rule.name in telling.rules.broken_templates:
        return alert.summary or alert.annotations.get("summary") or alert.annotations.get("description") or ""
    return render(rule.summary, variables_of(alert, group))


def variables_of(alert: Alert, group: Mapping[str, str]) -> dict[str, object]:
    """What a template may name."""
    return {
        "value": alert.value,
        "threshold": alert.threshold,
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
        "group": dict(group),
        "name": alert.name,
        "title": alert.title,
        "severity": alert.severity.value,
        "events": alert.events,
        "count": alert.events,
        "starts_at": alert.starts_at.isoformat() if alert.starts_at else "",
    }


def _runbook(alert: Alert | None, telling: Telling) -> Runbook | None:
    if alert is None:
        return None
    rule = telling.rule(alert.rule)
    if rule is not None and rule.runbook:
        return Runbook(rule.runbook)
    url = alert.annotations.get("runbook_url", "")
    return Runbook(name="", title="Runbook", url=url) if url.startswith(("https://", "http://")) else None


def deploys_before(incident: "Incident", context: Context) -> tuple[Deploy, ...]:
    """The deploys of its service (or of an unknown one) within half an hour before it started, newest first."""
    if incident.started_at is None:
        return ()
    started_at, service = incident.started_at, incident.group.get("service")
    found = [
        deploy
        for deploy in context.deploys
        if started_at - DEPLOY_WINDOW <= deploy.at <= started_at
        and (not service or not deploy.service or deploy.service == service)
    ]
    return tuple(sorted(found, key=lambda deploy: deploy.at, reverse=True)[:3])


def notes_of(incident: "Incident", telling: Telling, expired: tuple[str, ...]) -> tuple[str, ...]:
    """What every target should know beside the alerts."""
    notes = []
    if expired:
        notes.append(f"The acknowledgement of {', '.join(expired)} ran out.")
    if incident.overflow:
        notes.append(f"{incident.overflow} more events are counted but not shown: max_alerts is reached.")
    return tuple(notes)


def notes_for(
    announced: "Announced", visible: Mapping[str, int], telling: Telling, incident: "Incident", reason: Reason
) -> tuple[str, ...]:
    """What this target should know: what came back, what flaps, what ended without its sender's word."""
    notes: list[str] = []
    returned = [incident.alerts[name] for name in announced.hidden & visible.keys() if name in incident.alerts]
    if returned and reason is not Reason.RESOLVED:
        notes += _returned(returned, telling)
    for alert in incident.alerts.values():
        if alert.fingerprint in visible and alert.flapping:
            notes.append(f"{alert.name} is flapping: it is held open until it calms.")
        if alert.fingerprint in visible and alert.rule in telling.rules.broken_templates:
            notes.append(f"The summary of the rule {alert.rule} is broken and the plain form is shown.")
        if alert.fingerprint in announced.firing and alert.state is State.RESOLVED and alert.ended_by:
            notes.append(_ended_by(alert))
    return tuple(dict.fromkeys(notes))


def _ended_by(alert: Alert) -> str:
    if alert.ended_by == "resolve_timeout":
        return f"{alert.name}: its source has said nothing for the resolve_timeout, so it is taken as over."
    if alert.ended_by == "rule gone":
        return f"{alert.name}: the rule is no longer in the rules file, so it is taken as over."
    return f"{alert.name}: resolved by {alert.ended_by}."


def _returned(alerts: Sequence[Alert], telling: Telling) -> list[str]:
    notes = []
    for alert in alerts:
        over = [
            each for each in telling.context.silences if each.ends_at <= telling.now and alert.matched_by(each.matchers)
        ]
        if over:
            last = max(over, key=lambda each: each.ends_at)
            comment = f" ({last.comment})" if last.comment else ""
            notes.append(f"{alert.name} is back after the silence of {last.by}{comment} ended.")
        else:
            notes.append(f"{alert.name} is back: what muted it is over.")
    return notes
