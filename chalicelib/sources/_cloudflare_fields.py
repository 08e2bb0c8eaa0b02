"""The names in the fields of a Cloudflare notification: the thing that it is about, the service, and the state it is in."""

import re
from collections.abc import Mapping
from typing import Any

from chalicelib.core.payload import coerce
from chalicelib.core.payload.state_words import FAULT, FINE

GOOD = frozenset(map(str.upper, FINE)) | {
    "VALID", "ISSUED", "ENABLED", "CONNECTED", "ACTIVE", "AVAILABLE", "POSTMORTEM", "DEPLOYED",
}  # fmt: skip
BAD = frozenset(map(str.upper, FAULT)) | {
    "DISCONNECTED", "DISABLED", "INACTIVE", "EXPIRED", "INVESTIGATING", "IDENTIFIED", "MONITORING", "TIMEDOUT", "REVOKED",
    "HIJACK", "EXPIRING", "UNKNOWNHOST",
}  # fmt: skip
STATE_FIELDS = (
    "new_health",
    "new_health_status",
    "new_status",
    "incident_status",
    "health_status",
    "status",
    "health",
)

_OUTCOMES = frozenset(["FAILED", "FAILURE", "ERROR", "ERRORED", "SUCCESS", "SUCCEEDED"])
_DEPLOYMENT_FIELDS = ("event", "event_type", "status", "deployment_status", "state", "alert_event")
_AFFECTED = (
    "component", "component_name", "host", "target", "target_name", "target_ip", "domain", "domain_name",
    "prefix_configured", "prefix_hijacked", "prefix", "cidr", "test_name", "monitor_name", "job_name", "token_name",
    "service_token_name", "device_name", "project_id",
)  # fmt: skip
"""Fields that name what is affected, where none that is better known does."""


def flat(envelope: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of `data` in one object, whichever shape they came in.

    Certificate events are received with `data.data` and `data.metadata`, and documented with both at the top.
    """
    outer = coerce.table(coerce.unwrapped(envelope.get("data")))
    metadata = coerce.table(outer.get("metadata")) or coerce.table(envelope.get("metadata"))
    inner = coerce.table(outer.get("data")) if outer.get("metadata") or "data" in outer else {}
    found = {**outer, **inner} if inner else dict(outer)
    event, ssl = coerce.table(metadata.get("event")), coerce.table(found.get("ssl"))
    if metadata:
        found["event_type"] = event.get("type") or found.get("event_type")
        found["zone_tag"] = found.get("zone_tag") or coerce.at(metadata, "zone", "id")
        found["event_time"] = event.get("created_at")
        found["certificate_id"] = ssl.get("id") or (inner or outer).get("id") or found.get("certificate_id")
        found["validation_errors"] = ssl.get("validation_errors") or found.get("validation_errors")
    return found


def kind_of(envelope: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    for value in (envelope.get("alert_type"), data.get("event_type"), data.get("alert_type"), data.get("alert_name")):
        if found := coerce.word(value):
            return found
    return "notification"


def zone_of(data: Mapping[str, Any]) -> str:
    zones = [coerce.first_line(coerce.at(each, "zone_name"), coerce.at(each, "host")) for each in unreachable(data)]
    return coerce.first_line(data.get("zone_name"), data.get("target_zone_name"), *zones, limit=200)


def unreachable(data: Mapping[str, Any]) -> list[Any]:
    return coerce.items(data.get("unreachable_zones"))[:50]


def hosts_of(data: Mapping[str, Any]) -> list[str]:
    """Return the hosts that the body names; of a certificate without any, those of the records that validate it."""
    found = data.get("hostnames") or data.get("hosts") or data.get("hostname")
    named = [line for line in (coerce.line(each, 200) for each in (coerce.items(found) or [found])[:20]) if line]
    return named or _validated_hosts(data)


def _validated_hosts(data: Mapping[str, Any]) -> list[str]:
    records = (coerce.at(each, "txt_name") for each in coerce.items(data.get("validation_records"))[:20])
    return [name for name in (coerce.line(each, 200).removeprefix("_acme-challenge.") for each in records) if name]


def components_of(data: Mapping[str, Any]) -> list[str]:
    named = (coerce.line(coerce.at(each, "name"), 100) for each in coerce.items(data.get("affected_components"))[:20])
    return list(filter(None, named))


def service_of(data: Mapping[str, Any]) -> str:
    """Return what people would say is affected: the zone, else the host, balancer, pool, check, tunnel or project.

    Of a certificate it is the first host, of a hijack the prefix, of an attack its target, of the status page a component.
    """
    return coerce.first_line(
        zone_of(data),
        data.get("target_hostname"),
        *hosts_of(data)[:1],
        data.get("load_balancer_name"),
        *(coerce.items(data.get("load_balancers")) or [data.get("load_balancers")])[:1],
        *(data.get(name) for name in ("pool_name", "health_check_name", "tunnel_name", "project_name", "script_name")),
        data.get("name") if data.get("health_check_id") else None,
        *(coerce.at(each, "name") for each in coerce.items(coerce.at(data, "issue", "services"))[:1]),
        coerce.at(data, "config", "name"),
        *components_of(data)[:1],
        *(data.get(name) for name in _AFFECTED),
        data.get("subject") if data.get("insight_class") else None,
        *(coerce.at(each, "ip") for each in coerce.items(data.get("ports"))[:1]),
        limit=200,
    )


def thing_of(data: Mapping[str, Any], kind: str) -> str:
    """Return the thing that has an id of its own: pool and origin, health check, tunnel, attack, incident, certificate."""
    said = {key: coerce.line(value, 200) for key, value in data.items() if not isinstance(value, dict | list)}
    pool = said.get("pool_id") or said.get("pool_name")
    if pool and "enabled" in said and not said.get("new_health"):
        return f"pool-enabled:{pool}"
    if pool:
        return f"pool:{pool}:{said.get('origin_name') or ''}"
    if said.get("prefix_hijacked"):
        return f"hijack:{said['prefix_hijacked']}:{said.get('hijack_as') or ''}"
    families = (
        ("health-check", "health_check_id"),
        ("tunnel", "tunnel_id"),
        ("attack", "attack_id"),
        ("maintenance", "maintenance_id"),
        ("certificate", "certificate_id"),
        ("certificate", "certificate_pack_id"),
        ("certificate", "pack_id"),
        ("stream", "input_id"),
        ("logpush", "job_id"),
        ("token", "token_id"),
        ("monitor", "monitor_id"),
        ("balancer", "load_balancer_id"),
        ("event", "event_id"),
        ("rule", "rule_name"),
    )
    for family, key in families:
        if said.get(key):
            return f"{family}:{said[key]}"
    for family, key in (("episode", "episode"), ("issue", "issue"), ("config", "config")):
        if number := coerce.line(coerce.at(data, key, "id"), 200):
            return f"{family}:{number}"
    named = said.get("health_check_name") or said.get("tunnel_name") or said.get("incident_name")
    if not named and kind == "health_check_status_notification":
        named = said.get("name")
    if not named and said.get("project_name"):
        named = f"{said['project_name']}:{said.get('environment') or ''}"
    if not named and said.get("insight_class"):
        named = f"{said['insight_class']}:{said.get('subject') or ''}"
    return f"{kind}:{named}" if named else ""


def state_of(value: Any) -> str:
    """Return the word for a state: the last of `TUNNEL_STATUS_TYPE_DOWN (status change)`; `NOT HEALTHY` is unhealthy."""
    words = re.findall(r"[A-Z]+", re.sub(r"\(.*", "", coerce.line(value, 120).upper()))
    if not words:
        return ""
    if len(words) > 1 and words[-2] in ("NOT", "UN", "NON", "NO"):
        return "UNHEALTHY"
    return str(words[-1])


def said_state(data: Mapping[str, Any], kind: str) -> str:
    for key in STATE_FIELDS:
        state = state_of(data.get(key))
        if state in GOOD or state in BAD:
            return state
    if "certificate" in kind or kind.startswith("ssl."):
        state = state_of(data.get("certificate_status"))
        return state if state in GOOD or state in BAD else ""
    return ""


def environment_of(data: Mapping[str, Any]) -> str:
    """Return `ENVIRONMENT_PRODUCTION` is production."""
    said = coerce.line(data.get("environment"), 100)
    return said.removeprefix("ENVIRONMENT_").lower() if said.isupper() else said


def deployment_word(data: Mapping[str, Any]) -> str:
    """Return the word for what became of a deployment of Pages, such as FAILED of `EVENT_DEPLOYMENT_FAILED`."""
    return next(filter(None, (_outcome(data.get(name)) for name in _DEPLOYMENT_FIELDS)), "")


def _outcome(value: Any) -> str:
    words = re.findall(r"[A-Z]+", coerce.line(value, 120).upper())
    return next((word for word in words if word in _OUTCOMES), words[-1] if words else "")
