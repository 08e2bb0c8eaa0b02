"""The meaning of a Cloudflare notification.

Fields are missing, numbers are text, links lack their scheme, and few types say when they end. So what happened is read
by meaning: an END ends; a thing that is healthy, up, enabled, active or issued has recovered; a thing that is not fires.
`data.severity` is INFO in tests of real problems and never lowers one.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from chalicelib.core.event import Event, Severity, Status
from chalicelib.core.payload import coerce
from chalicelib.core.unknown_values import LABEL
from chalicelib.sources import _cloudflare_types
from chalicelib.sources._cloudflare_fields import (
    BAD,
    GOOD,
    components_of,
    deployment_word,
    environment_of,
    flat,
    hosts_of,
    kind_of,
    said_state,
    service_of,
    state_of,
    thing_of,
    unreachable,
    zone_of,
)
from chalicelib.sources._cloudflare_titles import title_of

KINDS = _cloudflare_types.KINDS
NAME = "cloudflare"

INFORMATION = frozenset([
    "maintenance_event_notification", "cni_maintenance_notification", "radar_notification",
    "brand_protection_digest", "web_analytics_metrics_update", "image_notification",
    "image_resizing_notification", "open_port_scan_alert", "closed_port_scan_alert", "security_insights_alert",
    "cloudforce_one_request_notification", "secondary_dns_zone_successfully_updated", "tunnel_update_event",
    "fbm_auto_advertisement", "block_notification_block_removed", "block_notification_review_rejected",
    "scriptmonitor_alert_new_resources", "scriptmonitor_alert_new_hosts",
])  # fmt: skip
"""Types that are about no fault: nothing opens and nothing ends."""
SOFT_INFORMATION = frozenset({"open_port_scan_alert", "security_insights_alert"})
"""Information, unless Cloudflare itself calls it HIGH or CRITICAL, or names its beginning and its end."""
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

_WORST = frozenset(["UNHEALTHY", "DOWN", "CRITICAL", "UNREACHABLE", "OFFLINE", "UNAVAILABLE"])
_ENDED = ("_END", "_ENDED", "_RESOLVED")
_UNDER_WAY = frozenset([
    "START", "STARTED", "CREATED", "QUEUED", "PENDING", "BUILDING", "INITIALIZING", "DEPLOYING", "PROGRESS", "ACTIVE",
    "CANCELED", "CANCELLED", "SKIPPED", "IDLE",
])  # fmt: skip
"""States of a deployment that neither failed nor succeeded."""
_PLANNED = frozenset({"SCHEDULED", "PROGRESS", "VERIFYING"})
"""States of a planned maintenance on the status page (the last word of `IN_PROGRESS`)."""
_ACTIVE_EPISODES = frozenset({"ACTIVE", "PENDING", "FIRING", "TRIGGERED", "OPEN", "FAILING"})
_TEST_TEXT = "test message sent from https://cloudflare.com"
_TIMES = ("timestamp", "status_change_time", "time", "updated_at", "event_time")
_START_TIMES = ("created_at", "alert_start_time", "start_time", "first_fired", "scanned_at", "event_start_time")
_END_TIMES = ("alert_end_time", "end_time", "resolved_at", "timestamp", "updated_at", "event_end_time")
_UNLABELLED = frozenset({"account_tag", "severity", "message", "text", "dashboard_link", "status_reason", "alert_name"})


def parse(body: bytes, *, received_at: datetime) -> list[Event]:
    """Return the one event of a notification. Raise ParseError when the body is no JSON object."""
    envelope = coerce.json_object(body)
    if _is_test(envelope):
        return [_test(envelope, received_at)]
    data = flat(envelope)
    kind = kind_of(envelope, data)
    status = _status(envelope, data, kind)
    service = service_of(data)
    return [
        coerce.made_event(
            id=_id(envelope),
            source=NAME,
            kind=kind,
            status=status,
            severity=_severity(data, kind, status),
            title=title_of(envelope, data, kind),
            summary=_summary(envelope, data),
            url=_address(data),
            service=service,
            environment=environment_of(data),
            occurred_at=_occurred_at(envelope, data, status) or received_at,
            identity=_identity(envelope, data, kind),
            labels=_labels(envelope, data, kind),
            ends_also=_ends_also(envelope, kind),
        )
    ]


def _is_test(envelope: Mapping[str, Any]) -> bool:
    """Return whether it is what "Save and Test" sends: nothing but a text, whose wording has changed already."""
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


def _identity(envelope: Mapping[str, Any], data: Mapping[str, Any], kind: str) -> str:
    """Return the alert's correlation id, else the thing it is about, else its policy and zone.

    An incident of the status page goes by its own id: it lives through many updates. A deployment of Pages goes by its
    project: another deployment ends it.
    """
    if incident := coerce.line(data.get("incident_id"), 200):
        return f"incident:{incident}"
    if kind == "pages_event_alert" and (project := _pages_project(data)):
        return f"{kind}:{project}"
    if correlation := coerce.line(envelope.get("alert_correlation_id"), 200):
        return f"correlation:{correlation}"
    if thing := thing_of(data, kind):
        return thing
    zone = coerce.first_line(data.get("zone_tag"), data.get("zone_name"), data.get("target_zone_name"), limit=200)
    hosts = sorted({coerce.first_line(coerce.at(each, "zone_name"), each) for each in unreachable(data)})
    product = coerce.first_line(data.get("product"), data.get("product_name"), data.get("billing_metric"), limit=200)
    about = zone or ",".join(hosts) or ",".join(sorted(hosts_of(data))) or product
    policy = coerce.line(envelope.get("policy_id"), 100)
    if about and kind.startswith(OF_A_ZONE):
        return f"{kind}:zone:{about}"
    if about or policy:
        return f"{kind}:{policy}:{about}"
    account = _account(envelope, data)
    named = coerce.first_line(envelope.get("policy_name"), envelope.get("name"))
    return ":".join((kind, account, named or coerce.digest(coerce.text(envelope.get("text")))))


def _pages_project(data: Mapping[str, Any]) -> str:
    """Return the project and its environment, as the version before wrote them where it had no correlation id."""
    project = coerce.first_line(data.get("project_name"), data.get("project_id"), limit=200)
    return f"{project}:{coerce.line(data.get('environment'), 200)}" if project else ""


def _ends_also(envelope: Mapping[str, Any], kind: str) -> list[str]:
    """Return what the version before called a failed deployment of Pages."""
    correlation = coerce.line(envelope.get("alert_correlation_id"), 200)
    return [f"correlation:{correlation}"] if correlation and kind == "pages_event_alert" else []


def _account(envelope: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    """Return the account's id, which some types write with dashes and others without."""
    found = coerce.first_line(envelope.get("account_id"), data.get("account_tag"), data.get("account_id"), limit=100)
    return found.replace("-", "").lower() if re.fullmatch(r"[0-9A-Fa-f-]{32,36}", found) else found


# ---------------------------------------------------------------------------------------------------------------------
# Status and severity


def _status(envelope: Mapping[str, Any], data: Mapping[str, Any], kind: str) -> Status:
    event = coerce.line(envelope.get("alert_event"), 200).upper()
    ended = event.endswith(_ENDED) or event in ("END", "RESOLVED")
    began = event.endswith(("_START", "_STARTED", "_TRIGGERED")) or event == "START"
    grave = ended or began or _own_severity(data) in ("HIGH", "CRITICAL")
    if kind in INFORMATION and not (kind in SOFT_INFORMATION and grave):
        return Status.INFO
    if kind == "pages_event_alert":
        return _deployment(event, data)
    if ended:
        return Status.RESOLVED
    if state_of(data.get("incident_status")) in _PLANNED:
        return Status.INFO
    found = _by_meaning(data, kind, event)
    if found is not None:
        return found
    if began:
        return Status.FIRING
    return _by_type(envelope, data)


def _deployment(event: str, data: Mapping[str, Any]) -> Status:
    """Return what a deployment of Pages means: a failed one fires until the next good one, one under way is information.

    What the data says goes before the envelope. Previews fail while people work on them: that wakes nobody. A word
    that nobody knows, or none at all, is an alert: somebody asked for these.
    """
    if environment_of(data) == "preview":
        return Status.INFO
    state = deployment_word(data) or (
        "" if event.startswith("ALERT_STATE_EVENT") else deployment_word({"event": event})
    )
    if not state:
        return Status.RESOLVED if event.endswith(_ENDED) else Status.FIRING
    if state in ("SUCCESS", "SUCCEEDED"):
        return Status.RESOLVED
    return Status.INFO if state in _UNDER_WAY else Status.FIRING


def _by_meaning(data: Mapping[str, Any], kind: str, event: str) -> Status | None:
    """Return what the data means for the thing itself; None when it has no state."""
    if "episode" in data:
        return _episode(data, event)
    if "pool_id" in data or "pool_name" in data or "load_balancing" in kind:
        enabled = coerce.truth(data.get("enabled"))
        if enabled is not None:
            return Status.RESOLVED if enabled else Status.FIRING
    if found := _event_type(coerce.word(data.get("event_type"))):
        return found
    state = said_state(data, kind)
    if not state:
        return None
    return Status.RESOLVED if state in GOOD else Status.FIRING


def _episode(data: Mapping[str, Any], event: str) -> Status | None:
    """Read an episode of Workers Observability by its status, else by whether it was resolved after it last failed."""
    state = state_of(data.get("status"))
    if state in GOOD and state not in _ACTIVE_EPISODES:
        return Status.RESOLVED
    resolved_at = coerce.instant(coerce.at(data, "episode", "resolved_at"))
    last = coerce.first_instant(coerce.at(data, "episode", "last_failed"), coerce.at(data, "episode", "first_fired"))
    if resolved_at and ((not event and state not in _ACTIVE_EPISODES) or (last and resolved_at > last)):
        return Status.RESOLVED
    return Status.FIRING if state in _ACTIVE_EPISODES or state in BAD else None


def _event_type(kind: str) -> Status | None:
    """Return what the end of a type means, as events of certificates and streams have it."""
    if kind.endswith((".succeeded", ".connected", ".deployed", "_success")):
        return Status.RESOLVED
    if kind.endswith((".failed", ".errored", ".disconnected", "_failure", "_notification", ".expired")):
        return Status.FIRING
    return None


def _by_type(envelope: Mapping[str, Any], data: Mapping[str, Any]) -> Status:
    """Return an alert for what has no state, and for a type that is not known: somebody asked to be alerted.

    A body without a type is one too, if it says anything at all and does not call itself information.
    """
    if coerce.line(envelope.get("alert_type")):
        return Status.FIRING
    said = coerce.first_line(envelope.get("text"), envelope.get("name"), envelope.get("policy_name")) or data
    return Status.FIRING if said and _own_severity(data) not in ("INFO", "LOW", "NONE") else Status.INFO


def _own_severity(data: Mapping[str, Any]) -> str:
    return coerce.line(data.get("severity"), 20).upper()


def _severity(data: Mapping[str, Any], kind: str, status: Status) -> Severity:
    """Return the severity, equal for the begin and the end of a fault wherever the type decides."""
    if status is Status.INFO:
        return Severity.INFO
    if "incident_id" in data or kind == "incident_alert":
        return _impact(data)
    if kind in CRITICAL or _own_severity(data) in ("HIGH", "CRITICAL"):
        return Severity.CRITICAL
    if kind in ("health_check_status_notification", "load_balancing_health_alert"):
        return Severity.CRITICAL
    return Severity.CRITICAL if said_state(data, kind) in _WORST else Severity.WARNING


def _impact(data: Mapping[str, Any]) -> Severity:
    impact = state_of(data.get("incident_impact") or data.get("impact"))
    if impact in ("CRITICAL", "MAJOR"):
        return Severity.CRITICAL
    return Severity.INFO if impact in ("NONE", "MAINTENANCE") else Severity.WARNING


# ---------------------------------------------------------------------------------------------------------------------
# What people read


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
        ("zone", zone_of(data)),
        ("policy", coerce.first_line(envelope.get("policy_name"), envelope.get("name"))),
        ("policy_id", envelope.get("policy_id")),
        ("account", coerce.line(data.get("account_name"))),
        ("account_id", _account(envelope, data)),
        ("hostnames", ", ".join(hosts_of(data))),
        ("components", ", ".join(components_of(data))),
        ("alert_event", envelope.get("alert_event")),
        ("cloudflare_severity", data.get("severity")),
        ("test", _says_test(data)),
        (LABEL, _unknown_type(envelope)),
    ]
    fields = [
        (key, value)
        for key, value in data.items()
        if key not in _UNLABELLED and not isinstance(value, dict | list) and value is not None
    ]
    return coerce.labels([*own, *fields])


def _unknown_type(envelope: Mapping[str, Any]) -> str | None:
    said = coerce.word(envelope.get("alert_type"))
    return f"alert_type {said}" if said and said not in _cloudflare_types.KNOWN else None


def _says_test(data: Mapping[str, Any]) -> str | None:
    """Return "true" where the notification says itself that it is a try: it is handled as a real one all the same."""
    named = coerce.line(data.get("incident_name")).startswith("(TEST ALERT)")
    return "true" if named or coerce.truth(data.get("preview")) else None


def _occurred_at(envelope: Mapping[str, Any], data: Mapping[str, Any], status: Status) -> datetime | None:
    """Return when it happened. The time at which a fault began is no time of its end."""
    inner = {**coerce.table(data.get("episode")), **data}
    names = (*_END_TIMES, *_TIMES) if status is Status.RESOLVED else (*_TIMES, *_START_TIMES)
    return coerce.first_instant(envelope.get("ts"), *(inner.get(name) for name in names))


def _id(envelope: Mapping[str, Any]) -> str:
    """Return what is equal when the same notification comes again: its alert, event and time, else its whole content."""
    parts = [coerce.line(envelope.get(key), 100) for key in ("alert_correlation_id", "alert_event", "ts")]
    return ":".join(parts) if all(parts) else coerce.digest(envelope)
