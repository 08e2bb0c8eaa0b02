"""What people read of a Cloudflare notification: a title that names the thing."""

import re
from collections.abc import Mapping
from typing import Any

from chalicelib.core.payload import coerce
from chalicelib.sources._cloudflare_fields import (
    STATE_FIELDS,
    deployment_word,
    environment_of,
    hosts_of,
    service_of,
    state_of,
    unreachable,
    zone_of,
)

_SPIKES = {
    "clickhouse_alert_fw": "Spike of security events",
    "http_alert_origin_error": "Errors of the origin",
    "http_alert_edge_error": "Errors of the edge",
    "advanced_http_alert_error": "Errors of HTTP requests",
    "traffic_anomalies_alert": "Anomaly of traffic",
}
"""What a type about a zone is called, by the beginning of the type."""
_DEPLOYMENTS = {
    "failed": "failed", "failure": "failed", "error": "failed", "errored": "failed",
    "success": "succeeded", "succeeded": "succeeded", "started": "started", "start": "started",
    "canceled": "was canceled", "cancelled": "was canceled", "skipped": "was skipped", "queued": "is queued",
}  # fmt: skip


def title_of(envelope: Mapping[str, Any], data: Mapping[str, Any], kind: str) -> str:
    """Return a title that names the thing, composed where the type is known well enough, else of the text."""
    composed = coerce.line(_composed(data, kind), coerce.MAX_TITLE_CHARACTERS)
    if composed:
        return composed
    said = coerce.head(envelope.get("text")) or coerce.first_line(
        envelope.get("policy_name"), envelope.get("name"), limit=coerce.MAX_TITLE_CHARACTERS
    )
    return _naming(said or f"Cloudflare: {kind.replace('_', ' ').replace('.', ' ')}", service_of(data))


def _naming(words: str, thing: str) -> str:
    """Return the words with the thing behind them, unless they name it."""
    if not thing or thing.lower() in words.lower():
        return words
    return f"{words.rstrip('.: ')}: {thing}"


def _composed(data: Mapping[str, Any], kind: str) -> str:
    """Return a title with the thing and its state, where the type is known well enough; else an empty text."""
    said = {key: coerce.line(value, 120) for key, value in data.items() if not isinstance(value, dict | list)}
    if titled := _own_title(data, said):
        return titled
    if kind == "load_balancing_pool_enablement_alert" and (enabled := coerce.truth(data.get("enabled"))) is not None:
        return f"Pool {said.get('pool_name') or said.get('pool_id') or ''} is {'enabled' if enabled else 'disabled'}"
    if kind == "real_origin_monitoring":
        return _origin_title(data)
    if "dos_attack" in kind:
        target = zone_of(data) or said.get("target_hostname") or said.get("target_ip") or ""
        return f"{'HTTP' if 'l7' in kind else 'Network'} DDoS attack{' on ' if target else ''}{target}"
    for beginning, words in _SPIKES.items():
        if kind.startswith(beginning) and (zone_of(data) or beginning == "clickhouse_alert_fw"):
            return f"{words}{' in ' if zone_of(data) else ''}{zone_of(data)}"
    return _of_its_kind(data, said, kind) or _composed_state(data, said, kind)


def _of_its_kind(data: Mapping[str, Any], said: Mapping[str, str], kind: str) -> str:
    """Return the title of a type whose fields say it all; empty for the others."""
    if kind == "pages_event_alert":
        return _pages_title(data, said)
    if kind == "bgp_hijack_notification" and said.get("prefix_hijacked"):
        by = f" by AS{said['hijack_as']}" if said.get("hijack_as") else ""
        return f"Prefix {said['prefix_hijacked']} is hijacked{by}"
    if kind == "maintenance_event_notification" and said.get("airport_code"):
        return f"Maintenance in {said['airport_code']}"
    named = said.get("alert_name", "")
    if not named or coerce.word(named) == kind:
        return ""
    return f"{named}: {said.get('value') or 'past'} (threshold {said['threshold']})" if said.get("threshold") else named


def _pages_title(data: Mapping[str, Any], said: Mapping[str, str]) -> str:
    """Return `Pages deployment of shop failed`; empty where no project is named."""
    project = said.get("project_name") or said.get("project_id")
    words = deployment_word(data).lower()
    if not project:
        return ""
    preview = "preview " if environment_of(data) == "preview" else ""
    return f"Pages {preview}deployment of {project} {_DEPLOYMENTS.get(words, words)}".rstrip()


def _origin_title(data: Mapping[str, Any]) -> str:
    """Return `Origin of example.com, example.org is unreachable`."""
    zones = dict.fromkeys(filter(None, (coerce.line(coerce.at(each, "zone_name"), 100) for each in unreachable(data))))
    named = ", ".join([*zones][:5]) or zone_of(data)
    return f"Origin of {named} is unreachable" if named else ""


def _own_title(data: Mapping[str, Any], said: Mapping[str, str]) -> str:
    """Return the name that the data has for it."""
    return coerce.first_line(
        said.get("incident_name"),
        said.get("event_title"),
        said.get("alert_title"),
        coerce.at(data, "issue", "title"),
        limit=coerce.MAX_TITLE_CHARACTERS,
    )


def _composed_state(data: Mapping[str, Any], said: Mapping[str, str], kind: str) -> str:
    state = _shown_state(data)
    if said.get("origin_name") and state:
        pool = f" in pool {said['pool_name']}" if said.get("pool_name") else ""
        return f"Origin {said['origin_name']}{pool} is {state}"
    if said.get("pool_name") and state:
        return f"Pool {said['pool_name']} is {state}"
    if kind == "health_check_status_notification" and state:
        named = said.get("health_check_name") or said.get("name") or said.get("health_check_id") or ""
        return f"Health check {named} is {state}"
    if said.get("tunnel_name") and state:
        return f"Tunnel {said['tunnel_name']} is {state}"
    if said.get("input_id") and said.get("event_type"):
        return f"Stream live input {said['input_id']} {state_of(said['event_type']).lower()}"
    event = said.get("event_type", "")
    if "certificate" in event or "certificate" in kind or "ssl" in kind:
        return _certificate_title(data, said, event)
    return ""


def _certificate_title(data: Mapping[str, Any], said: Mapping[str, str], event: str) -> str:
    """Return `Certificate of blog.com: validation failed`."""
    named = ", ".join(hosts_of(data)[:3]) or said.get("zone_name") or said.get("certificate_id") or ""
    words = " ".join(coerce.word(event).split(".")[-2:]).replace("_", " ") if "." in event else ""
    if days := said.get("days_til_expiration"):
        words = words or f"expires in {days} days"
    words = words or said.get("certificate_status", "").replace("_", " ")
    return f"Certificate of {named}: {words}" if named and words else ""


def _shown_state(data: Mapping[str, Any]) -> str:
    """Return the state as people write it: `TUNNEL_STATUS_TYPE_DOWN` is `down`."""
    for key in STATE_FIELDS:
        if found := coerce.line(data.get(key), 100):
            plain = re.sub(r"\s*\(.*", "", found)
            return plain.rpartition("_")[2].lower() if plain.isupper() else plain.lower()
    return ""
