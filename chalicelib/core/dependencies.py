"""Which alerts of a correlated incident another service explains: one that theirs needs, where something critical fires.

An explained alert is shown as any other. It makes no sound of its own while it is explained (sounds.py). The explanation
begins with the critical alerts of the other service, and ends when they end or ease. It is found from the alerts of the
incident each time.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from chalicelib.core.alert import Alert, AlertState
from chalicelib.core.event import Severity, Status
from chalicelib.core.incident import Incident
from chalicelib.core.inputs import EventInput, Input, MovedAlert, alert_fingerprint
from chalicelib.core.lifecycle import last_end
from chalicelib.core.routing import alert_labels
from chalicelib.core.services import SERVICE, Services


@dataclass(frozen=True, slots=True)
class Explanation:
    """The service that explains an alert, with since when something critical fires there and until when it did.

    `until` is None while it fires.
    """

    service: str
    since: datetime
    until: datetime | None = None


def explanations(incident: Incident, services: Services) -> dict[str, Explanation]:
    """Return what explains alerts that fire in a correlated incident, or did since they began, by their fingerprints."""
    if not incident.is_correlated or incident.is_storm or not services.has_dependencies:
        return {}
    causes = _critical(incident.alerts.values())
    if not causes:
        return {}
    found = ((alert.fingerprint, _explanation(alert, causes, services)) for alert in incident.firing)
    return {name: each for name, each in found if each is not None}


def _critical(alerts: Iterable[Alert]) -> dict[str, list[Alert]]:
    """Return the critical alerts that fire or fired, by their service; also those that eased."""
    found: dict[str, list[Alert]] = {}
    for alert in alerts:
        service = alert.labels.get(SERVICE)
        was_critical = alert.severity is Severity.CRITICAL or alert.changes.eased_at is not None
        if service and was_critical and alert.starts_at is not None:
            found.setdefault(service, []).append(alert)
    return found


def _explanation(alert: Alert, causes: Mapping[str, list[Alert]], services: Services) -> Explanation | None:
    """Return the nearest service that explains an alert now; else the one that did so last."""
    over: list[tuple[datetime, Explanation]] = []
    for service in services.needed_by(alert.labels.get(SERVICE, "")):
        known = causes.get(service, ())
        firing = [each.starts_at for each in known if _explains(each) and each.starts_at is not None]
        if firing:
            return Explanation(service, min(firing))
        for each in known:
            until = each.changes.eased_at or last_end(each)
            if until is not None and each.starts_at is not None and _outlasts(until, alert):
                over.append((until, Explanation(service, each.starts_at, until)))
    return max(over, key=lambda each: each[0])[1] if over else None


def _explains(alert: Alert) -> bool:
    return alert.state is AlertState.FIRING and alert.changes.eased_at is None


def _outlasts(until: datetime, alert: Alert) -> bool:
    return alert.starts_at is not None and until > alert.starts_at


def fires_critically(service: str, incident: Incident | None, inputs: Iterable[Input]) -> bool:
    """Return whether a critical alert of a service fires in an incident once it is given these inputs."""
    alerts = incident.alerts if incident is not None else {}
    firing = {name for name, alert in alerts.items() if _is_critical_of(service, alert)}
    for given in inputs:
        if isinstance(given, MovedAlert) and _is_critical_of(service, given.alert):
            firing.add(given.alert.fingerprint)
        elif isinstance(given, EventInput):
            name = alert_fingerprint(given)
            if _begins_critically(service, given, alerts.get(name)):
                firing.add(name)
            elif given.event.status is Status.RESOLVED or not _waits(given):
                firing.discard(name)
    return bool(firing)


def _is_critical_of(service: str, alert: Alert) -> bool:
    is_critical = alert.state is AlertState.FIRING and alert.severity is Severity.CRITICAL
    return is_critical and alert.labels.get(SERVICE) == service


def _begins_critically(service: str, given: EventInput, known: Alert | None) -> bool:
    event, rule = given.event, given.rule
    if event.status is Status.RESOLVED or _waits(given):
        return False
    labels = known.labels if known is not None else alert_labels(event, rule)
    severity = (rule.severity if rule is not None else None) or event.severity
    return severity is Severity.CRITICAL and labels.get(SERVICE) == service


def _waits(given: EventInput) -> bool:
    """Return whether the alert may not fire at once: a condition counts its events, or `for:` waits."""
    return given.rule is not None and (given.rule.condition is not None or bool(given.rule.hold))
