"""What a notification shows of one alert: its summary, what explains or mutes it, the errors that it counts."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from chalicelib.core.alert import Alert, AlertState, Origin
from chalicelib.core.context import Context
from chalicelib.core.delivery.notification import AlertSnapshot, ClosingSnapshot, Deploy
from chalicelib.core.event import OWN_SOURCES
from chalicelib.core.incident import Incident
from chalicelib.core.language.template import TemplateError, render
from chalicelib.core.lifecycle import last_end
from chalicelib.core.mute import Muting, causes_of
from chalicelib.core.rule import Route, Rules
from chalicelib.core.top_errors import top_errors

DEPLOY_WINDOW = timedelta(minutes=30)
"""A deploy this shortly before the start of an incident is shown with it."""


@dataclass(frozen=True, slots=True)
class SnapshotInput:
    """What a notification is made from, beside the incident. `closing` is set while its end is held back."""

    rules: Rules
    context: Context
    route: Route
    now: datetime
    mutings: Mapping[str, Muting] = field(default_factory=dict)
    closing: ClosingSnapshot | None = None


def alert_snapshot(alert: Alert, basis: SnapshotInput, group: Mapping[str, str]) -> AlertSnapshot:
    """Return the alert as a message shows it."""
    muting = basis.mutings.get(alert.fingerprint)
    return AlertSnapshot(
        name=alert.name,
        labels=alert.labels,
        annotations={**alert.text.annotations, **of_rule(alert, basis, group).annotations},
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


def with_top_errors(made: AlertSnapshot, alert: Alert, incident: Incident, basis: SnapshotInput) -> AlertSnapshot:
    """Return the snapshot of an alert with the errors that it counts."""
    if alert.origin is not Origin.COUNT:
        return made
    rule, service = basis.rules.by_name.get(alert.rule), incident.group.get("service")
    window = rule.condition.event_window if rule is not None and rule.condition is not None else timedelta(0)
    deploys = [each for each in deploys_before(incident, basis.context) if each.concerns(service)]
    return replace(made, top=top_errors(alert, window=window, deploys=deploys))


def as_evidence(alert: Alert, basis: SnapshotInput, group: Mapping[str, str]) -> AlertSnapshot:
    """Return an alert of another incident, which this one mutes."""
    causes = causes_of(alert, basis.context.causes, basis.rules.inhibitions)
    names = dict.fromkeys(f"inhibited by {cause.labels.get('alertname', 'another alert')}" for cause in causes)
    return replace(alert_snapshot(alert, basis, group), muted_by=tuple(names))


def summary_of(alert: Alert, basis: SnapshotInput, group: Mapping[str, str]) -> str:
    """Return the rule's own summary; where it has none or it is broken, the plain one."""
    rule = basis.rules.by_name.get(alert.rule)
    if rule is None or not rule.summary or rule.name in basis.rules.broken_templates:
        text = alert.text
        return text.summary or text.annotations.get("summary") or text.annotations.get("description") or ""
    return render(rule.summary, variables_of(alert, group))


@dataclass(frozen=True, slots=True)
class OfRule:
    """What the rule of an alert adds to its messages: annotations by their names, addresses by their titles."""

    annotations: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)


def of_rule(alert: Alert, basis: SnapshotInput, group: Mapping[str, str]) -> OfRule:
    """Return the annotations and links of the alert's rule, filled in. A broken template is left out."""
    rule = basis.rules.by_name.get(alert.rule)
    if rule is None or not (rule.annotations or rule.links):
        return OfRule()
    variables = variables_of(alert, group)
    return OfRule(_filled(rule.annotations, variables), _filled(rule.links, variables))


def _filled(templates: Mapping[str, str], variables: Mapping[str, object]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, template in templates.items():
        with suppress(TemplateError):
            found[name] = render(template, variables)
    return found


def variables_of(alert: Alert, group: Mapping[str, str]) -> dict[str, object]:
    """Return what a template may name."""
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


def deploys_before(incident: Incident, context: Context) -> tuple[Deploy, ...]:
    """Return the deploys within half an hour before it started: those of its service or an unknown one first, each
    newest first.

    What another service deployed may well have broken this one: it is shown where nothing is nearer, with its name.
    """
    if incident.episode.started_at is None:
        return ()
    started_at, service = incident.episode.started_at, incident.group.get("service")
    found = [deploy for deploy in context.deploys if started_at - DEPLOY_WINDOW <= deploy.at <= started_at]
    found.sort(key=lambda deploy: deploy.at, reverse=True)
    return tuple(sorted(found, key=lambda deploy: not deploy.concerns(service))[:3])
