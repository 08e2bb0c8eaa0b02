"""What the two names of Alertmanager's webhook share: version 4 of its body, and the older version 3."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from chalicelib.core.errors import SignatureError
from chalicelib.core.event import Event, Severity, Status, labels_fingerprint
from chalicelib.core.payload import coerce, label_names, signing

MAX_ALERTS = 5_000
_SERVICE_LABELS = (
    *label_names.SERVICE, "job", "deployment", "statefulset", "daemonset", "namespace", "component", "instance",
)  # fmt: skip
"""What names a service: the senders' own words, OpenTelemetry's, then whose series it is, from the narrow to the wide."""
_EXPLICIT = frozenset(label_names.SERVICE)
"""Labels by which a team names its own service: `invoice-exporter` may be one."""
_KNOWN_EXPORTER = re.compile(
    r"(?:.*[-_/.])?(?:kubelet|c?advisor|pushgateway|kube[-_]state[-_]metrics|blackbox(?:[-_]?exporter)?"
    r"|(?:node|windows|process|mysqld?|postgres|redis|mongodb|elasticsearch|memcached|rabbitmq|kafka|nginx|apache|haproxy"
    r"|snmp|statsd|graphite|collectd|jmx|consul|cloudwatch|yace|stackdriver|ipmi|smartctl|systemd|dcgm|gpu|json|sql|ssl"
    r"|domain|cert|x509[-_]certificate|ping|dns|bind|unbound|ceph|zfs|libvirt|pgbouncer|oracledb|influxdb|php[-_]?fpm)"
    r"[-_]?exporter)"
    r"|exporter|kubernetes-(?:nodes|pods|services|service-endpoints)",
    re.IGNORECASE,
)
"""Jobs and Kubernetes Services that measure others: an alert from them is about what they look at."""
_EXPORTER = re.compile(rf"{_KNOWN_EXPORTER.pattern}|(?:.*[-_/.])?[a-z0-9]*exporter", re.IGNORECASE)
"""What names series, not a service: there any word that ends so is an exporter."""


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], *, path_secret: str | None = None) -> None:
    """Raise SignatureError unless the request brings the secret: as bearer, as basic password, or in the address."""
    known = signing.live(secrets)
    authorization = headers.get("authorization", "")
    if authorization:
        if not signing.authorized(authorization, known):
            raise SignatureError("the authorization is wrong; allowed are Bearer and Basic with the secret")
    elif path_secret is None:
        raise SignatureError("the request has no Authorization, and its address no secret")
    elif not signing.one_of(path_secret, known):
        raise SignatureError("the secret in the address is wrong")


def delivery_id(headers: Mapping[str, str], body: bytes) -> str | None:
    """Return None: Alertmanager gives no id, and the same content counts as the same delivery."""
    return None


def parse(body: bytes, *, source: str, received_at: datetime) -> list[Event]:
    """Return one event for each alert of the group; one that says so when there is none."""
    payload = coerce.json_object(body)
    alerts = [each for each in coerce.items(payload.get("alerts")) if isinstance(each, dict)]
    if not alerts and isinstance(payload.get("labels"), dict):
        alerts = [payload]
    if not alerts:
        return [_empty(payload, source, received_at)]
    return coerce.bounded_list((_event(alert, payload, source, received_at) for alert in alerts), MAX_ALERTS)


def announces_ends(payload: Mapping[str, Any]) -> bool:
    """Return whether the alerts came by API v2: there a firing alert's `endsAt` is when it ends unless it is renewed."""
    return payload.get("api") == "v2"


def _empty(payload: Mapping[str, Any], source: str, received_at: datetime) -> Event:
    receiver = coerce.line(payload.get("receiver"), 100)
    return coerce.made_event(
        id=f"empty:{coerce.digest(payload)}",
        source=source,
        kind="no_alerts",
        status=Status.INFO,
        severity=Severity.INFO,
        title=f"A notification without alerts for {receiver}" if receiver else "A notification without alerts",
        occurred_at=received_at,
        identity=f"empty:{receiver}",
    )


def _event(alert: Mapping[str, Any], payload: Mapping[str, Any], source: str, received_at: datetime) -> Event:
    labels = coerce.sent_labels(alert.get("labels"))
    announces, named = announces_ends(payload), bool(labels or alert.get("annotations"))
    fingerprint = (
        alertmanager_fingerprint(coerce.table(alert.get("labels"))) if announces else _fingerprint(alert, labels)
    )
    name = labels.pop("alertname", "") or coerce.line(coerce.at(payload, "groupLabels", "alertname"), 200)
    name = name or labels.get("event_name", "") or "alert"
    sent = coerce.sent_labels(alert.get("annotations"))
    annotations = {key: said for key, said in sent.items() if coerce.text(said)}
    starts_at, ended_at = (coerce.instant(alert.get("startsAt")), coerce.instant(alert.get("endsAt")))
    title = _title(name, labels, annotations) if named else coerce.head(payload.get("title")) or name
    status = _status(alert, payload, ended_at, received_at)
    ends_at = ended_at if status is Status.RESOLVED else None
    firing_at = received_at if announces else starts_at or received_at
    return coerce.made_event(
        id=_id(fingerprint, starts_at, status, ends_at),
        source=source,
        kind=coerce.line(name, coerce.MAX_KIND_CHARACTERS),
        name=coerce.line(name, coerce.MAX_KIND_CHARACTERS),
        status=status,
        severity=coerce.severity(*(labels.get(key) for key in label_names.SEVERITY)),
        title=title,
        summary=coerce.text(_first(annotations, ("description", "message", "summary")), coerce.MAX_SUMMARY_CHARACTERS),
        url=coerce.first_address(alert.get("generatorURL"), alert.get("panelURL"), payload.get("externalURL")),
        service=_service(labels),
        environment=_first(labels, label_names.ENVIRONMENT),
        occurred_at=(ends_at or received_at) if status is Status.RESOLVED else firing_at,
        identity=fingerprint,
        labels=labels,
        annotations=_with_cut_note(annotations, payload),
        starts_at=starts_at,
        ends_at=ended_at if announces else ends_at,
    )


def _fingerprint(alert: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    """Return Alertmanager's own fingerprint; without one a hash of the labels. It is hexadecimal: what is anything else is hashed."""
    said = coerce.line(alert.get("fingerprint"), 100)
    if said and not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", said):
        return coerce.digest(said)
    return said or labels_fingerprint("", labels)


def alertmanager_fingerprint(labels: Mapping[str, Any]) -> str:
    """Return the fingerprint that Alertmanager gives these labels, FNV-1a of 64 bits: both ways in mean the same alert."""
    found = 0xCBF29CE484222325
    for name in sorted(name for name, value in labels.items() if value):
        for byte in b"%b\xff%b\xff" % (name.encode("utf-8", "replace"), str(labels[name]).encode("utf-8", "replace")):
            found = (found ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{found:016x}"


def _service(labels: Mapping[str, str]) -> str:
    """Return the first label that names a service. A known exporter is none, whatever label names it, nor is its job."""
    found = {name: labels[name] for name in _SERVICE_LABELS if labels.get(name)}
    if any(_KNOWN_EXPORTER.fullmatch(value) for name, value in found.items() if name in _EXPLICIT):
        found.pop("job", None)  # `node` is the usual job of node-exporter
    return next((value for name, value in found.items() if not _exporter(name).fullmatch(value)), "")


def _exporter(label: str) -> re.Pattern[str]:
    return _KNOWN_EXPORTER if label in _EXPLICIT else _EXPORTER


def _first(values: Mapping[str, str], names: Sequence[str]) -> str:
    return next((values[name] for name in names if values.get(name)), "")


def _status(
    alert: Mapping[str, Any], payload: Mapping[str, Any], ended_at: datetime | None, received_at: datetime
) -> Status:
    """Return the alert's own word; a group that fires may hold alerts that ended."""
    said = coerce.word(alert.get("status"))
    if not said:
        if ended_at is not None:
            return Status.RESOLVED if ended_at <= received_at else Status.FIRING
        said = coerce.word(payload.get("status"))
    return Status.RESOLVED if said in ("resolved", "inactive", "ok", "normal") else Status.FIRING


def _id(fingerprint: str, starts_at: datetime | None, status: Status, ends_at: datetime | None) -> str:
    times = (each.isoformat() if each else "" for each in (starts_at, ends_at))
    return ":".join((fingerprint, status.value, *times))


def _title(name: str, labels: Mapping[str, str], annotations: Mapping[str, str]) -> str:
    said = _first(annotations, ("summary", "title")) or _first(
        annotations, ("message", "description", "exception.message")
    )
    if found := coerce.head(said):
        return found
    where = _first(labels, ("instance", "host", "pod", "service", "job"))
    return f"{name} on {where}" if where else name


def _with_cut_note(annotations: dict[str, str], payload: Mapping[str, Any]) -> dict[str, str]:
    left_out = coerce.number(payload.get("truncatedAlerts"))
    if left_out and left_out > 0:
        annotations["truncated_alerts"] = str(int(left_out))
    return annotations
