"""Which active alerts nothing can measure or report any more, after the rules changed."""

from collections.abc import Collection

from chalicelib.core.advance import why_gone
from chalicelib.core.alert import Alert, Origin
from chalicelib.core.incident import Incident
from chalicelib.core.inputs import RuleRemoved
from chalicelib.core.rule import Rules


def withdrawn_alerts(incident: Incident, rules: Rules, gone_probes: Collection[str] = ()) -> list[RuleRemoved]:
    """Return the incident's active alerts that nothing can measure or report any more, by the reason.

    `gone_probes` are the names of probes that the rules named before and no longer name.
    """
    why: dict[str, list[str]] = {}
    for alert in incident.alerts.values():
        if alert.active and (reason := _gone(alert, rules, gone_probes)):
            why.setdefault(reason, []).append(alert.fingerprint)
    return [RuleRemoved(tuple(names), reason) for reason, names in why.items()]


def _gone(alert: Alert, rules: Rules, gone_probes: Collection[str]) -> str:
    if alert.origin is Origin.HEARTBEAT:
        return "" if alert.name in probe_names(rules, "heartbeat") else "heartbeat gone"
    rule = rules.by_name.get(alert.rule)
    if alert.has_condition and (why := why_gone(alert, rule)):
        return why
    return "probe gone" if alert.origin is Origin.SERIES and alert.labels.get("probe") in gone_probes else ""


def probe_names(rules: Rules, *kinds: str) -> set[str]:
    """Return the names of the probes of these kinds, or of all kinds."""
    listed = (entries for kind, entries in rules.probes.items() if not kinds or kind in kinds)
    return {str(entry.get("name")) for entries in listed for entry in entries}
