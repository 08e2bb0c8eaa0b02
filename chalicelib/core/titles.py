"""What broke, in one line, and the order in which people read alerts."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from chalicelib.core.alert import Alert
from chalicelib.core.delivery.writing import counted_list, cut
from chalicelib.core.dependencies import Explanation, explanations
from chalicelib.core.incident import Incident
from chalicelib.core.notified import NotifiedState
from chalicelib.core.services import NO_SERVICES, SERVICE, Services
from chalicelib.core.storms import storm_title

MAX_SERVICES = 3
"""A notification shows the entries of so many services."""
MAX_LISTED_CHARACTERS = 60
"""Of one alert's own title in the title of several."""


def listed(alerts: Iterable[Alert]) -> list[Alert]:
    """Return the alerts as people read them: worst first, then oldest, then by name and labels."""
    return sorted(
        alerts, key=lambda each: (each.severity.rank, each.starts_at or _NEVER, each.name, sorted(each.labels.items()))
    )


_NEVER = datetime.max.replace(tzinfo=UTC)


def impact_of(alert: Alert, explained: Mapping[str, Explanation]) -> str:
    """Return the service that explains an alert now; empty where none does."""
    found = explained.get(alert.fingerprint)
    return found.service if found is not None and found.until is None else ""


def causes_first(alerts: Iterable[Alert], explained: Mapping[str, Explanation]) -> list[Alert]:
    """Return alerts as people read them, those that another service explains behind the others."""
    return sorted(listed(alerts), key=lambda each: bool(impact_of(each, explained)))


def title_of(incident: Incident, alerts: Sequence[Alert], *, more: int = 0, services: Services = NO_SERVICES) -> str:
    """Return what broke, in one line: the alert's own title, or how many there are of which. `more` fire over
    `max_alerts`.

    Of alerts that explain others the title names the cause, and the services that it affects.
    """
    if incident.is_storm:
        return storm_title(listed(alerts), more)
    explained = explanations(incident, services)
    impacts = [alert for alert in listed(alerts) if impact_of(alert, explained)]
    causes = [alert for alert in alerts if not impact_of(alert, explained)]
    if not impacts or not causes:
        return _title_of(incident, alerts, more)
    affected = list(dict.fromkeys(alert.labels.get(SERVICE, "") for alert in impacts))
    return f"{_title_of(incident, causes, more)}, affects {counted_list(affected, MAX_SERVICES)}"


NAMELESS = ("event", "message")
"""Kinds of what has no name: events of declared sources, and messages of topics."""


def _where(incident: Incident, alerts: Sequence[Alert]) -> str:
    """Return the values by which alerts are one incident. Alerts of another service than the first one have their own."""
    names = sorted(incident.group.keys() - {"alertname", "severity"})
    if not incident.is_correlated or not alerts:
        return " ".join(incident.group[name] for name in names)
    found = (list(dict.fromkeys(alert.labels.get(name, incident.group[name]) for alert in alerts)) for name in names)
    return " ".join(counted_list(values, MAX_SERVICES) for values in found)


def _title_of(incident: Incident, alerts: Sequence[Alert], more: int) -> str:
    alerts = listed(alerts)
    where = _where(incident, alerts)
    names = _listed_names(alerts)
    if len(alerts) == 1 and not more:
        alert = alerts[0]
        title = alert.name if alert.has_condition else alert.text.title or alert.name
        return f"{title} ({where})" if where and where not in title else title
    if not alerts:
        return where or "incident"
    counted = f"{len(alerts) + more:,} alerts: {', '.join(names[:3])}{' …' if len(names) > 3 or more else ''}"
    return f"{counted} ({where})" if where else counted


def _listed_names(alerts: Sequence[Alert]) -> list[str]:
    """Return what a title of several alerts calls them, each name once.

    One name may stand for all that a sender reports, as that of a rule which takes whatever Prometheus sends. So several
    alerts of one name that are not counted or measured have their own titles.
    """
    names = [_listed_name(alert) for alert in alerts]
    several = Counter(names)
    found = (
        cut(alert.text.title or name, MAX_LISTED_CHARACTERS) if several[name] > 1 and not alert.has_condition else name
        for alert, name in zip(alerts, names, strict=True)
    )
    return list(dict.fromkeys(found))


def _listed_name(alert: Alert) -> str:
    """Return what a title of several alerts calls one: its rule or name; of what its sender only calls an event, its title."""
    return alert.text.title or alert.name if not alert.rule and alert.name in NAMELESS else alert.name


def title_of_news(incident: Incident, announced: NotifiedState, visible: Mapping[str, int]) -> str:
    """Return the title of what a target has not noticed as it is: new alerts, those that rose, and what joined silently."""
    joined = announced.alerts.joined
    new = [
        name for name, rank in visible.items() if name in joined or rank < announced.alerts.firing.get(name, rank + 1)
    ]
    return title_of(incident, [incident.alerts[name] for name in new])
