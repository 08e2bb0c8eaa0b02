"""What a Cloudflare notification means.

Fields are missing, numbers are text, links lack their scheme, and few types say when they end. So what happened is read
by meaning: an END ends; a thing that is healthy, up, enabled, active or issued has recovered; a thing that is not burns.
`data.severity` is INFO in tests of real problems and never lowers one.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from chalicelib.core.event import Event, Severity, Status
from chalicelib.core.payload import coerce

NAME = "cloudflare"

INFORMATION = frozenset([
    "maintenance_event_notification", "cni_maintenance_notification", "radar_notification",
    "brand_protection_digest", "billing_usage_alert", "web_analytics_metrics_update", "image_notification",
    "image_resizing_notification", "open_port_scan_alert", "closed_port_scan_alert", "security_insights_alert",
    "cloudforce_one_request_notification", "secondary_dns_zone_successfully_updated", "tunnel_update_event",
    "fbm_auto_advertisement", "block_notification_block_removed", "block_notification_review_rejected",
    "scriptmonitor_alert_new_resources", "scriptmonitor_alert_new_hosts",
])  # fmt: skip
"""Types that tell of no fault: nothing opens and nothing ends."""
SOFT_INFORMATION = frozenset({"open_port_scan_alert", "security_insights_alert", "billing_usage_alert"})
"""Information, unless Cloudflare itself calls it HIGH or CRITICAL, or tells when it begins and when it ends."""
OF_A_ZONE = ("clickhouse_alert_fw", "real_origin_monitoring")
"""Types whose alerts are about a zone, whichever policy brings them."""
CRITICAL = frozenset([
    "dos_attack_l4", "dos_attack_l7", "advanced_ddos_attack_l4_alert", "advanced_ddos_attack_l7_alert",
    "fbm_dosd_attack", "fbm_volumetric_attack", "real_origin_monitoring", "http_alert_origin_error",
    "http_alert_edge_error", "advanced_http_alert_error", "bgp_hijack_notification",
    "secondary_dns_all_primaries_failing", "scriptmonitor_alert_new_malicious_hosts",
    "scriptmonitor_alert_new_malicious_scripts", "scriptmonitor_alert_new_malicious_url",
    "synthetic_test_low_availability_alert",
])  # fmt: skip
"""Types that mean visitors are not served, or that the account is under attack."""

_GOOD = frozenset([
    "HEALTHY", "UP", "OK", "VALID", "ISSUED", "RESOLVED", "ENABLED", "SUCCESS", "SUCCEEDED", "SUCCESSFUL",
    "RECOVERED", "CONNECTED", "COMPLETED", "COMPLETE", "NORMAL", "ONLINE", "ACTIVE", "AVAILABLE", "POSTMORTEM",
    "END", "ENDED", "CLEARED", "FIXED", "DEPLOYED", "PASSED", "PASSING", "OPERATIONAL",
])  # fmt: skip
_BAD = frozenset([
    "UNHEALTHY", "DOWN", "DEGRADED", "CRITICAL", "FAILED", "FAILURE", "FAILING", "ERROR", "ERRORED", "DISCONNECTED",
    "DISABLED", "INACTIVE", "EXPIRED", "FIRING", "TRIGGERED", "OFFLINE", "UNAVAILABLE", "UNREACHABLE",
    "INVESTIGATING", "IDENTIFIED", "MONITORING", "STARTED", "START", "TIMEDOUT", "TIMEOUT", "REVOKED", "HIJACK",
    "WARNING", "EXPIRING", "UNKNOWNHOST",
])  # fmt: skip
_WORST = frozenset(["UNHEALTHY", "DOWN", "CRITICAL", "UNREACHABLE", "OFFLINE", "UNAVAILABLE"])
_PLANNED = frozenset({"SCHEDULED", "PROGRESS", "VERIFYING"})
"""States of a planned maintenance on the status page (the last word of `IN_PROGRESS`)."""
_STATE_FIELDS = (
    "new_health",
    "new_health_status",
    "new_status",
    "incident_status",
    "health_status",
    "status",
    "health",
)
_BURNING_EPISODES = frozenset({"ACTIVE", "PENDING", "FIRING", "TRIGGERED", "OPEN", "FAILING"})
_TEST_TEXT = "test message sent from https://cloudflare.com"
_TIMES = ("timestamp", "status_change_time", "time", "updated_at", "event_time")
_START_TIMES = ("created_at", "alert_start_time", "start_time", "first_fired", "scanned_at", "event_start_time")
_END_TIMES = ("alert_end_time", "end_time", "resolved_at", "timestamp", "updated_at", "event_end_time")
_UNLABELLED = frozenset({"account_tag", "severity", "message", "text", "dashboard_link", "status_reason", "alert_name"})


def parse(body: bytes, *, received_at: datetime) -> list[Event]:
    """The one event of a notification; raises ParseError when the body is no JSON object."""
    envelope = coerce.json_object(body)
    if _is_test(envelope):
        return [_test(envelope, received_at)]
    data = _flat(envelope)
    kind = _kind(envelope, data)
    status = _status(envelope, data, kind)
    service = _service(data)
    return [
        coerce.made_event(
            id=_id(envelope),
            source=NAME,
            kind=kind,
            status=status,
            severity=_severity(data, kind, status),
            title=_title(envelope, data, kind),
            summary=_summary(envelope, data),
            url=_address(data),
            service=service,
            environment=_environment(data),
            occurred_at=_occurred_at(envelope, data, status) or received_at,
            identity=_identity(envelope, data, kind),
            labels=_labels(envelope, data, kind),
        )
    ]


def _is_test(envelope: Mapping[str, Any]) -> bool:
    """What "Save and Test" sends: nothing but a text, whose wording has changed already."""
    said = {key for key, value in envelope.items() if value not in (None, "", {}, [])}
    if said == {"text"} and set(envelope) == {"text"}:
        return True
    bare = not envelope.get("alert_type") and not envelope.get("data")
    return bare and _TEST_TEXT in coerce.text(envelope.get("text"), 1_000)


def _test(envelope: Mapping[str, Any], received_at: datetime) -> Event:
    return coerce.made_event(
        id=f"test:{coerce.digest(envelope)}",
        source=NAME,
        kind="test",
        status=Status.INFO,
        severity=Severity.INFO,
        title="Cloudflare tested this address",
        summary=coerce.text(envelope.get("text"), coerce.MAX_SUMMARY_CHARACTERS),
        occurred_at=coerce.instant(envelope.get("ts")) or received_at,
        identity="test",
        labels={"test": "true"},
    )


# ---------------------------------------------------------------------------------------------------------------------
# What it is about


def _flat(envelope: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `data` in one object, whichever shape they came in.

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


def _kind(envelope: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    for value in (envelope.get("alert_type"), data.get("event_type"), data.get("alert_type"), data.get("alert_name")):
        if found := coerce.word(value):
            return found
    return "notification"


def _zone(data: Mapping[str, Any]) -> str:
    zones = [coerce.first_line(coerce.at(each, "zone_name"), coerce.at(each, "host")) for each in _unreachable(data)]
    return coerce.first_line(data.get("zone_name"), data.get("target_zone_name"), *zones, limit=200)


def _unreachable(data: Mapping[str, Any]) -> list[Any]:
    return coerce.items(data.get("unreachable_zones"))[:50]


def _hosts(data: Mapping[str, Any]) -> list[str]:
    found = data.get("hostnames") or data.get("hosts") or data.get("hostname")
    return [line for line in (coerce.line(each, 200) for each in (coerce.items(found) or [found])[:20]) if line]


def _components(data: Mapping[str, Any]) -> list[str]:
    named = (coerce.line(coerce.at(each, "name"), 100) for each in coerce.items(data.get("affected_components"))[:20])
    return list(filter(None, named))


def _service(data: Mapping[str, Any]) -> str:
    """What people would say is affected: the zone, else the host, balancer, pool, check, tunnel or project."""
    return coerce.first_line(
        _zone(data),
        data.get("target_hostname"),
        *_hosts(data)[:1],
        data.get("load_balancer_name"),
        *(coerce.items(data.get("load_balancers")) or [data.get("load_balancers")])[:1],
        data.get("pool_name"),
        data.get("health_check_name"),
        data.get("tunnel_name"),
        data.get("project_name"),
        data.get("script_name"),
        data.get("name") if data.get("health_check_id") else None,
        *(coerce.at(each, "name") for each in coerce.items(coerce.at(data, "issue", "services"))[:1]),
        coerce.at(data, "config", "name"),
        limit=200,
    )


def _identity(envelope: Mapping[str, Any], data: Mapping[str, Any], kind: str) -> str:
    """The alert's correlation id, else the thing it is about, else its policy and zone.

    An incident of the status page goes by its own id: it lives through many updates.
    """
    if incident := coerce.line(data.get("incident_id"), 200):
        return f"incident:{incident}"
    if correlation := coerce.line(envelope.get("alert_correlation_id"), 200):
        return f"correlation:{correlation}"
    if thing := _thing(data, kind):
        return thing
    zone = coerce.first_line(data.get("zone_tag"), data.get("zone_name"), data.get("target_zone_name"), limit=200)
    hosts = sorted({coerce.first_line(coerce.at(each, "zone_name"), each) for each in _unreachable(data)})
    about = zone or ",".join(hosts) or ",".join(sorted(_hosts(data)))
    policy = coerce.line(envelope.get("policy_id"), 100)
    if about and kind.startswith(OF_A_ZONE):
        return f"{kind}:zone:{about}"
    if about or policy:
        return f"{kind}:{policy}:{about}"
    account = _account(envelope, data)
    named = coerce.first_line(envelope.get("policy_name"), envelope.get("name"))
    return ":".join((kind, account, named or coerce.digest(coerce.text(envelope.get("text")))))


def _thing(data: Mapping[str, Any], kind: str) -> str:
    """Pool and origin, health check, tunnel, attack, incident, certificate: whatever has an id of its own."""
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


def _account(envelope: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    """The account's id; it is written with dashes by some types and without by others."""
    found = coerce.first_line(envelope.get("account_id"), data.get("account_tag"), data.get("account_id"), limit=100)
    return found.replace("-", "").lower() if re.fullmatch(r"[0-9A-Fa-f-]{32,36}", found) else found


# ---------------------------------------------------------------------------------------------------------------------
# Whether it burns, and how badly


def _state(value: Any) -> str:
    """The word that says it: the last of `TUNNEL_STATUS_TYPE_DOWN (status change)`; `NOT HEALTHY` is unhealthy."""
    words = re.findall(r"[A-Z]+", re.sub(r"\(.*", "", coerce.line(value, 120).upper()))
    if not words:
        return ""
    if len(words) > 1 and words[-2] in ("NOT", "UN", "NON", "NO"):
        return "UNHEALTHY"
    return str(words[-1])


def _said_state(data: Mapping[str, Any], kind: str) -> str:
    for key in _STATE_FIELDS:
        state = _state(data.get(key))
        if state in _GOOD or state in _BAD:
            return state
    if "certificate" in kind or kind.startswith("ssl."):
        state = _state(data.get("certificate_status"))
        return state if state in _GOOD or state in _BAD else ""
    return ""


def _status(envelope: Mapping[str, Any], data: Mapping[str, Any], kind: str) -> Status:
    event = coerce.line(envelope.get("alert_event"), 200).upper()
    ended = event.endswith(("_END", "_ENDED", "_RESOLVED")) or event in ("END", "RESOLVED")
    began = event.endswith(("_START", "_STARTED", "_TRIGGERED")) or event == "START"
    grave = ended or began or _own_severity(data) in ("HIGH", "CRITICAL")
    if kind in INFORMATION and not (kind in SOFT_INFORMATION and grave):
        return Status.INFO
    if ended:
        return Status.RESOLVED
    if kind == "pages_event_alert":
        return _deployment(event, data)
    if _state(data.get("incident_status")) in _PLANNED:
        return Status.INFO
    found = _by_meaning(data, kind, event)
    if found is not None:
        return found
    if began:
        return Status.FIRING
    return _by_type(envelope, data)


def _environment(data: Mapping[str, Any]) -> str:
    """`ENVIRONMENT_PRODUCTION` is production."""
    said = coerce.line(data.get("environment"), 100)
    return said.removeprefix("ENVIRONMENT_").lower() if said.isupper() else said


def _deployment(event: str, data: Mapping[str, Any]) -> Status:
    """A deployment of Pages that failed burns until one of the same project succeeds; all else is information.

    Previews fail while people work on them: that wakes nobody.
    """
    if _environment(data) == "preview":
        return Status.INFO
    state = _state(event) or _state(data.get("status"))
    if state in ("FAILURE", "FAILED", "ERROR", "ERRORED", "START"):
        return Status.FIRING
    return Status.RESOLVED if state in ("SUCCESS", "SUCCEEDED") else Status.INFO


def _by_meaning(data: Mapping[str, Any], kind: str, event: str) -> Status | None:
    """What the data says of the thing itself; None when it says nothing."""
    if "episode" in data:
        return _episode(data, event)
    if "pool_id" in data or "pool_name" in data or "load_balancing" in kind:
        enabled = coerce.truth(data.get("enabled"))
        if enabled is not None:
            return Status.RESOLVED if enabled else Status.FIRING
    if found := _event_type(coerce.word(data.get("event_type"))):
        return found
    state = _said_state(data, kind)
    if not state:
        return None
    return Status.RESOLVED if state in _GOOD else Status.FIRING


def _episode(data: Mapping[str, Any], event: str) -> Status | None:
    """An episode of Workers Observability: its status, else whether it was resolved after it last failed."""
    state = _state(data.get("status"))
    if state in _GOOD and state not in _BURNING_EPISODES:
        return Status.RESOLVED
    resolved_at = coerce.instant(coerce.at(data, "episode", "resolved_at"))
    last = coerce.first_instant(coerce.at(data, "episode", "last_failed"), coerce.at(data, "episode", "first_fired"))
    if resolved_at and ((not event and state not in _BURNING_EPISODES) or (last and resolved_at > last)):
        return Status.RESOLVED
    return Status.FIRING if state in _BURNING_EPISODES or state in _BAD else None


def _event_type(kind: str) -> Status | None:
    """Certificate and stream events say it at the end of their type."""
    if kind.endswith((".succeeded", ".connected", ".deployed", "_success")):
        return Status.RESOLVED
    if kind.endswith((".failed", ".errored", ".disconnected", "_failure", "_notification", ".expired")):
        return Status.FIRING
    return None


def _by_type(envelope: Mapping[str, Any], data: Mapping[str, Any]) -> Status:
    """Somebody asked to be alerted: what says nothing of its state, and what nobody knows yet, is an alert.

    A body without a type is one too, if it says anything at all and does not call itself information.
    """
    if coerce.line(envelope.get("alert_type")):
        return Status.FIRING
    said = coerce.first_line(envelope.get("text"), envelope.get("name"), envelope.get("policy_name")) or data
    return Status.FIRING if said and _own_severity(data) not in ("INFO", "LOW", "NONE") else Status.INFO


def _own_severity(data: Mapping[str, Any]) -> str:
    return coerce.line(data.get("severity"), 20).upper()


def _severity(data: Mapping[str, Any], kind: str, status: Status) -> Severity:
    """As a person on call would call it; equal for the begin and the end of a fault wherever the type decides."""
    if status is Status.INFO:
        return Severity.INFO
    if "incident_id" in data or kind == "incident_alert":
        return _impact(data)
    if kind in CRITICAL or _own_severity(data) in ("HIGH", "CRITICAL"):
        return Severity.CRITICAL
    if kind in ("health_check_status_notification", "load_balancing_health_alert"):
        return Severity.CRITICAL
    return Severity.CRITICAL if _said_state(data, kind) in _WORST else Severity.WARNING


def _impact(data: Mapping[str, Any]) -> Severity:
    impact = _state(data.get("incident_impact") or data.get("impact"))
    if impact in ("CRITICAL", "MAJOR"):
        return Severity.CRITICAL
    return Severity.INFO if impact in ("NONE", "MAINTENANCE") else Severity.WARNING


# ---------------------------------------------------------------------------------------------------------------------
# What people read


def _title(envelope: Mapping[str, Any], data: Mapping[str, Any], kind: str) -> str:
    return (
        coerce.line(_composed(data, kind), coerce.MAX_TITLE_CHARACTERS)
        or coerce.head(envelope.get("text"))
        or coerce.first_line(envelope.get("policy_name"), envelope.get("name"), limit=coerce.MAX_TITLE_CHARACTERS)
        or f"Cloudflare: {kind.replace('_', ' ').replace('.', ' ')}"
    )


def _composed(data: Mapping[str, Any], kind: str) -> str:
    """A title that says what is how, where the type is known well enough."""
    said = {key: coerce.line(value, 120) for key, value in data.items() if not isinstance(value, dict | list)}
    if titled := _own_title(data, said):
        return titled
    if kind == "load_balancing_pool_enablement_alert" and (enabled := coerce.truth(data.get("enabled"))) is not None:
        return f"Pool {said.get('pool_name') or said.get('pool_id') or ''} is {'enabled' if enabled else 'disabled'}"
    if kind == "real_origin_monitoring":
        return _origin_title(data)
    if "dos_attack" in kind:
        target = _zone(data) or said.get("target_hostname") or said.get("target_ip") or ""
        return f"{'HTTP' if 'l7' in kind else 'Network'} DDoS attack{' on ' if target else ''}{target}"
    if kind.startswith("clickhouse_alert_fw"):
        return f"Spike of security events{' in ' if _zone(data) else ''}{_zone(data)}"
    return _composed_state(data, said, kind)


def _origin_title(data: Mapping[str, Any]) -> str:
    """`Origin of example.com, example.org is unreachable`."""
    zones = dict.fromkeys(filter(None, (coerce.line(coerce.at(each, "zone_name"), 100) for each in _unreachable(data))))
    named = ", ".join([*zones][:5]) or _zone(data)
    return f"Origin of {named} is unreachable" if named else ""


def _own_title(data: Mapping[str, Any], said: Mapping[str, str]) -> str:
    """What the data itself calls it."""
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
        return f"Stream live input {said['input_id']} {_state(said['event_type']).lower()}"
    event = said.get("event_type", "")
    if "certificate" in event or "certificate" in kind or "ssl" in kind:
        return _certificate_title(data, said, event)
    return ""


def _certificate_title(data: Mapping[str, Any], said: Mapping[str, str], event: str) -> str:
    """`Certificate of blog.com: validation failed`."""
    named = ", ".join(_hosts(data)[:3]) or said.get("zone_name") or said.get("certificate_id") or ""
    words = " ".join(coerce.word(event).split(".")[-2:]).replace("_", " ") if "." in event else ""
    if days := said.get("days_til_expiration"):
        words = words or f"expires in {days} days"
    words = words or said.get("certificate_status", "").replace("_", " ")
    return f"Certificate of {named}: {words}" if named and words else ""


def _shown_state(data: Mapping[str, Any]) -> str:
    """The state as people write it: `TUNNEL_STATUS_TYPE_DOWN` is `down`."""
    for key in _STATE_FIELDS:
        if found := coerce.line(data.get(key), 100):
            plain = re.sub(r"\s*\(.*", "", found)
            return plain.rpartition("_")[2].lower() if plain.isupper() else plain.lower()
    return ""


def _summary(envelope: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    said = coerce.text(envelope.get("text"), 2_000)
    reason = coerce.first_line(
        data.get("reason"),
        data.get("origin_failure_reason"),
        data.get("message"),
        data.get("status_reason"),
        coerce.at(data, "episode", "summary"),
        *(coerce.at(each, "message") for each in coerce.items(data.get("validation_errors"))[:1]),
    )
    return "\n".join(dict.fromkeys(part for part in (said, reason) if part))


def _address(data: Mapping[str, Any]) -> str | None:
    return coerce.first_address(
        data.get("dashboard_link"), data.get("event_link"), data.get("link"), data.get("url"), data.get("incident_link")
    )


def _labels(envelope: Mapping[str, Any], data: Mapping[str, Any], kind: str) -> dict[str, str]:
    own = [
        ("alert_type", kind),
        ("zone", _zone(data)),
        ("policy", coerce.first_line(envelope.get("policy_name"), envelope.get("name"))),
        ("policy_id", envelope.get("policy_id")),
        ("account", coerce.line(data.get("account_name"))),
        ("account_id", _account(envelope, data)),
        ("hostnames", ", ".join(_hosts(data))),
        ("components", ", ".join(_components(data))),
        ("alert_event", envelope.get("alert_event")),
        ("cloudflare_severity", data.get("severity")),
    ]
    fields = [
        (key, value)
        for key, value in data.items()
        if key not in _UNLABELLED and not isinstance(value, dict | list) and value is not None
    ]
    return coerce.labels([*own, *fields])


def _occurred_at(envelope: Mapping[str, Any], data: Mapping[str, Any], status: Status) -> datetime | None:
    """When it happened. The time at which a fault began is no time of its end: the end would count as older than it."""
    inner = {**coerce.table(data.get("episode")), **data}
    names = (*_END_TIMES, *_TIMES) if status is Status.RESOLVED else (*_TIMES, *_START_TIMES)
    return coerce.first_instant(envelope.get("ts"), *(inner.get(name) for name in names))


def _id(envelope: Mapping[str, Any]) -> str:
    """Equal when the same notification comes again: of the alert, its event and its time, else of all it says."""
    parts = [coerce.line(envelope.get(key), 100) for key in ("alert_correlation_id", "alert_event", "ts")]
    return ":".join(parts) if all(parts) else coerce.digest(envelope)
