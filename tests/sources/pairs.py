"""What each sender sends when a fault begins, while it goes on, and when it ends: an end looks as its vendor writes it."""

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import yaml

from chalicelib import plugins
from chalicelib.core.event import Event, Status
from chalicelib.redact import redact_event
from tests.sources.bodies import body, changed

START = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
END_TIME = (START + 20 * MINUTE).isoformat()
Body = dict[str, Any]

DECLARED = """
sources:
  - {name: builds, auth: bearer}
  - name: betterstack
    auth: bearer
    id: data.id
    title: data.attributes.name
    status: data.attributes.status
    service: data.attributes.team_name
    severity: data.attributes.severity
    labels: {cause: data.attributes.cause}
  - name: datadog
    auth: bearer
    id: alert_cycle_key
    title: title
    status: alert_transition
    severity: alert_type
    kind: event_type
    environment: env
    labels: {scope: alert_scope, priority: alert_priority}
  - {name: newrelic, auth: bearer, id: id, title: title, status: state, severity: priority, service: "impactedEntities[0]",
     statuses: {activated: firing, closed: resolved}}
  - {name: gatus, auth: bearer, id: endpoint, title: description, status: state, service: endpoint, kind: group}
  - {name: zabbix, auth: bearer, id: id, title: name, status: status, severity: severity, labels: {host: host_name}}
"""
MAPPINGS: Mapping[str, Mapping[str, Any]] = {each["name"]: each for each in yaml.safe_load(DECLARED)["sources"]}

_TIMES = frozenset(
    (
        "ts",
        "datetime",
        "timestamp",
        "received",
        "lastSeen",
        "createdAt",
        "updatedAt",
        "updated_at",
        "status_change_time",
        "date",
        "StateChangeTime",
        "Timestamp",
        "time",
    )
)


@dataclass(frozen=True)
class Given:
    """A body with its headers, and when it is sent."""

    body: Body
    headers: Mapping[str, str] = field(default_factory=dict)

    def at(self, moment: datetime) -> "Given":
        """The same at another time, wherever the body or the headers say one."""
        headers = dict(self.headers)
        if "sentry-hook-timestamp" in headers:
            headers["sentry-hook-timestamp"] = str(int(moment.timestamp()))
        return Given(_timed(self.body, moment), headers)

    def with_body(self, made: Body) -> "Given":
        """Another body under the same headers."""
        return Given(made, self.headers)

    @property
    def data(self) -> bytes:
        """The bytes that are sent."""
        return json.dumps(self.body).encode()


def _timed(value: Any, moment: datetime, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _timed(each, moment, key) for key, each in value.items()}
    if isinstance(value, list):
        return [_timed(each, moment) for each in value]
    if name not in _TIMES or value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(int(moment.timestamp() * 1000)) if value.isdecimal() else moment.isoformat()
    seconds = moment.timestamp()
    return type(value)(seconds * 1000 if value > 10**11 else seconds)


@dataclass(frozen=True)
class Pair:
    """A beginning and its end; `again` is what the sender says in between where that is not the beginning."""

    source: str
    fires: Given
    ends: Given
    again: Given | None = None


SENTRY_ID = "1170820242"


def _hook(resource: str, given: Body) -> Given:
    return Given(given, {"sentry-hook-resource": resource, "sentry-hook-timestamp": "0"})


def _issue(action: str, *, number: str = SENTRY_ID, **fields: Any) -> Given:
    """What is sent of an issue after it was created: the plain issue, without addresses, environment or event."""
    status = {"ignored": "ignored", "archived": "ignored", "unresolved": "unresolved"}.get(action, action)
    gone: Body = {f"data__issue__{name}": ... for name in ("url", "web_url", "project_url")}
    given = changed(body("sentry/issue_created_docs.json"), action=action, data__issue__id=number, **gone)
    return _hook("issue", changed(given, data__issue__status=status, **fields))


def _sentry() -> Iterator[tuple[str, Pair]]:
    occurred = changed(
        body("sentry/event_alert_triggered_docs.json"),
        data__event__issue_id=SENTRY_ID,
        data__event__environment="production",
    )
    alert = _hook("event_alert", occurred)
    resolved = _issue("resolved", data__resolution_type="resolved_in_next_release")
    yield "event alert, issue resolved", Pair("sentry", alert, resolved)
    yield "event alert, issue archived", Pair("sentry", alert, _issue("archived"))
    yield "event alert, issue ignored", Pair("sentry", alert, _issue("ignored"))
    created = _hook("issue", changed(body("sentry/issue_created_docs.json"), data__issue__id=SENTRY_ID))
    yield "issue created, resolved, told by an alert between", Pair("sentry", created, resolved, alert)
    error = _hook("error", changed(body("sentry/error_created_docs.json"), data__error__issue_id=SENTRY_ID))
    yield "event alert, its error, issue resolved", Pair("sentry", alert, resolved, error)
    yield "issue unresolved, resolved", Pair("sentry", _issue("unresolved"), resolved)
    legacy = Given(body("sentry/legacy_plugin_python.json"))
    yield "legacy plugin, issue resolved", Pair("sentry", legacy, _issue("resolved", number=legacy.body["id"]))
    yield from _sentry_metrics()


def _sentry_metrics() -> Iterator[tuple[str, Pair]]:
    docs = body("sentry/metric_alert_resolved_docs.json")
    of_docs = {each: _hook("metric_alert", changed(docs, action=each)) for each in ("critical", "warning", "resolved")}
    yield "metric alert critical", Pair("sentry", of_docs["critical"], of_docs["resolved"])
    yield "metric alert warning", Pair("sentry", of_docs["warning"], of_docs["resolved"])
    yield (
        "metric alert critical, then warning",
        Pair("sentry", of_docs["critical"], of_docs["resolved"], of_docs["warning"]),
    )
    yield (
        "metric alert warning, then critical",
        Pair("sentry", of_docs["warning"], of_docs["resolved"], of_docs["critical"]),
    )
    component = body("sentry/metric_alert_critical_ui_component.json")
    ended = changed(component, action="resolved")
    yield (
        "metric alert of a component",
        Pair("sentry", _hook("metric_alert", component), _hook("metric_alert", ended)),
    )


def _cloudflare_pair(name: str, fires: Mapping[str, Any], ends: Mapping[str, Any], end_name: str = "") -> Pair:
    began = changed(body(f"cloudflare/{name}.json"), **fires)
    return Pair("cloudflare", Given(began), Given(changed(body(f"cloudflare/{end_name or name}.json"), **ends)))


def _cloudflare() -> Iterator[tuple[str, Pair]]:
    healthy = {"data__new_status": "TUNNEL_STATUS_TYPE_HEALTHY", "ts": 1}
    for state in ("DOWN", "DEGRADED"):
        fires = {"data__new_status": f"TUNNEL_STATUS_TYPE_{state}", "ts": 1}
        yield f"tunnel {state.lower()}", _cloudflare_pair("tunnel_health_event_live", fires, healthy)
    checked = "health_check_status_notification"
    yield (
        "health check",
        _cloudflare_pair(
            f"{checked}_unhealthy", {"data__health_check_id": "11111111111"}, {}, f"{checked}_live_healthy"
        ),
    )
    ok = {"data__new_status": "Healthy", "data__new_health_status": "Healthy", "alert_event": "ALERT_STATE_EVENT_END"}
    bad = {"data__new_status": "Unhealthy", "data__new_health_status": "Unhealthy"}
    yield "health check as documented", _cloudflare_pair(f"{checked}_docs", bad, ok)
    balanced = "load_balancing_health_alert_unhealthy"
    yield "origin of a pool", _cloudflare_pair(balanced, {"ts": 1}, {"data__new_health": "Healthy", "ts": 1})
    yield (
        "security events",
        _cloudflare_pair("clickhouse_alert_fw_anomaly_start", {}, {}, "clickhouse_alert_fw_anomaly_end"),
    )
    for attack in ("advanced_ddos_attack_l7_alert_docs", "advanced_ddos_attack_l4_alert_start"):
        end = {"alert_event": "ALERT_STATE_EVENT_END", "ts": 1}
        yield attack, _cloudflare_pair(attack, {"alert_event": "ALERT_STATE_EVENT_START", "ts": 1}, end)
    resolved = {"data__incident_status": "INCIDENT_STATUS_RESOLVED", "data__incident_impact": "INCIDENT_IMPACT_NONE"}
    yield (
        "incident of the status page",
        _cloudflare_pair(
            "incident_alert_live",
            {"data__incident_impact": "INCIDENT_IMPACT_CRITICAL"},
            {**resolved, "data__id": "another"},
        ),
    )
    issued = {"data__metadata__event__type": "ssl.certificate.issuance.succeeded"}
    yield "universal certificate", _cloudflare_pair("universal_ssl_event_type_live", {}, issued)
    yield (
        "certificate of a custom hostname",
        _cloudflare_pair(
            "ssl_for_saas_validation_failed_docs",
            {"metadata__event__created_at": START.isoformat()},
            {"metadata__event__created_at": END_TIME},
            "ssl_for_saas_deployment_succeeded_no_hostname",
        ),
    )
    over = {
        "alert_event": "ALERT_STATE_EVENT_END",
        "data__status": "RESOLVED",
        "data__episode__last_failed": ...,
        "data__episode__resolved_at": END_TIME,
    }
    observed = "workers_observability_alert_docs"
    yield "workers observability", _cloudflare_pair(observed, {"data__episode__resolved_at": ...}, over)
    connected = {"data__event_type": "live_input.connected", "data__live_input_errored": ...}
    yield "stream", _cloudflare_pair("stream_live_disconnected", {}, connected)
    yield "pages", Pair("cloudflare", _pages("FAILED", "production"), _pages("SUCCESS", "production"))


def _pages(state: str, environment: str) -> Given:
    data = {
        "project_name": "shop", "project_id": "5f2c", "environment": f"ENVIRONMENT_{environment.upper()}",
        "deployment_id": "d1",
    }  # fmt: skip
    event = f"deployment_{state.lower()}"
    return Given({"alert_type": "pages_event_alert", "policy_id": "p2", "ts": 1, "alert_event": event, "data": data})


def _alertmanager() -> Iterator[tuple[str, Pair]]:
    firing, resolved = (
        body(f"alertmanager/{name}.json") for name in ("firing_instance_down", "derived_resolved_instance_down")
    )
    over = [{**each, "endsAt": END_TIME} for each in resolved["alerts"]]
    yield "two alerts", Pair("alertmanager", Given(firing), Given({**resolved, "alerts": over}))
    old = body("alertmanager/version3_no_fingerprint.json")
    ended = {**old["alerts"][0], "status": "resolved", "endsAt": END_TIME}
    yield "version 3", Pair("prometheus", Given(old), Given({**old, "alerts": [ended], "status": "resolved"}))
    one = {**firing["alerts"][0], "status": "resolved", "endsAt": END_TIME}
    both = {**firing, "alerts": [one, {**one, **firing["alerts"][1], "status": "resolved", "endsAt": one["endsAt"]}]}
    yield "a group that still says firing", Pair("alertmanager", Given(firing), Given(both))


def _vercel() -> Iterator[tuple[str, Pair]]:
    fires = body("vercel/alerts.triggered.json")
    ended = changed(fires, id="evt_2", type="alerts.resolved", payload__alerts=...)
    yield "vercel anomaly", Pair("vercel", Given(fires), Given(ended))
    failed, good = (Given(body(f"vercel/deployment.{each}.json")) for each in ("error", "succeeded"))
    yield "vercel deployment", Pair("vercel", failed, good)
    names = {"dnsNames": ["shop.example"], "team": {"id": "t"}}
    failed, good = (
        Given({"id": each, "type": each, "createdAt": 0, "payload": names})
        for each in ("domain.certificate.renew.failed", "domain.certificate.renew")
    )
    yield "vercel certificate", Pair("vercel", failed, good)


def _aws() -> Iterator[tuple[str, Pair]]:
    alarm = {state: Given(body(f"cloudwatch/metric_{state}.json")) for state in ("alarm", "ok")}
    yield "alarm of a topic", Pair("cloudwatch", alarm["alarm"], alarm["ok"])
    carts = body("eventbridge/cloudwatch.contributor_alarm_carts.json")
    ended = Given(changed(carts, detail__state__value="OK"))
    yield "series of an alarm on the bus", Pair("cloudwatch", Given(carts), ended)
    deployed = {each: Given(body(f"eventbridge/ecs.deployment_{each}.json")) for each in ("failed", "completed")}
    yield "deployment of ECS", Pair("eventbridge", deployed["failed"], deployed["completed"])
    text = body("sns/sqs.body_plain_text.json")
    fires, ends = (
        Given(changed(text, Subject=f"{state}: disk of db-1", MessageId=state)) for state in ("CRITICAL", "OK")
    )
    yield "text of a topic", Pair("sns", fires, ends)
    fires, ends = (
        Given(changed(text, Subject=subject, MessageId=subject))
        for subject in ("[FIRING:1] HighCpu web1", "[RESOLVED] HighCpu web1")
    )
    yield "text of a topic, state in brackets", Pair("sns", fires, ends)
    database = body("eventbridge/rds.instance_shutdown.json")
    restarted = changed(database, detail__EventID="RDS-EVENT-0006", detail__Message="DB instance restarted", id="2")
    yield "restart of a database", Pair("eventbridge", Given(database), Given(restarted))


def _declared() -> Iterator[tuple[str, Pair]]:
    build = {
        "id": "main-17", "title": "Build of main failed", "status": "failed", "severity": "critical", "service": "web",
        "environment": "production", "type": "build", "labels": {"branch": "main"},
    }  # fmt: skip
    yield "a build", Pair("builds", Given(build), Given({"id": "main-17", "title": "Build passed", "status": "passed"}))
    files = [
        ("betterstack", "started", "resolved"),
        ("datadog", "triggered", "recovered"),
        ("newrelic", "activated", "closed"),
        ("gatus", "triggered", "resolved"),
        ("zabbix", "problem", "recovery"),
    ]
    for name, began, over in files:
        fires, ends = (Given(body(f"declared/{name}.{each}.json")) for each in (began, over))
        yield name, Pair(name, fires, ends)


PAIRS: Mapping[str, Pair] = {
    name: pair
    for pairs in (_sentry(), _cloudflare(), _alertmanager(), _vercel(), _aws(), _declared())
    for name, pair in pairs
}


def read(source: str, given: Given, now: datetime) -> list[Event]:
    """The events that the source makes of a body, masked as everything stored is."""
    if source in MAPPINGS:
        parse: Callable[..., list[Event]] = plugins.load("sources", "generic").parse
        found = parse(given.headers, given.data, received_at=now, mapping=MAPPINGS[source])
    else:
        found = plugins.load("sources", source).parse(given.headers, given.data, received_at=now)
    return [redact_event(each) for each in found]


# ---------------------------------------------------------------------------------------------------------------------
# The same body with a field less, or another one


WORDS = ("info", "critical", "elsewhere")
ADDED = ("severity", "level", "environment", "kind", "service", "project", "priority")
MAX_DEPTH = 5


def variants(source: str, given: Given, now: datetime) -> list[Given]:
    """The body as it is, and every other one with a field dropped, changed or added that says the same of the same.

    Of several whose events differ in nothing that rules, routes or people see, one is taken.
    """
    first = read(source, given, now)
    found = {_shown(first, first): given}
    bare = Given(given.body, {name: each for name, each in given.headers.items() if name != "sentry-hook-timestamp"})
    for made in (bare, *map(given.with_body, changed_bodies(given.body))):
        events = read(source, made, now)
        if _meaning(events) == _meaning(first):
            found.setdefault(_shown(events, first), made)
    return [*found.values()]


def _meaning(events: list[Event]) -> list[tuple[str, Status]]:
    return [(each.fingerprint, each.status) for each in events]


def _shown(events: list[Event], first: list[Event]) -> tuple[tuple[Any, ...], ...]:
    """What rules and routes see, and whether the title or any label is another one than at first."""
    return tuple(
        (
            (each.kind, each.severity, each.service, each.environment, each.name, each.occurred_at),
            (each.title == was.title, each.labels == was.labels),
        )
        for each, was in zip(events, first, strict=True)
    )


def changed_bodies(whole: Body) -> Iterator[Body]:
    """Yield the body with each field dropped, changed or added."""
    for path, value in _paths(whole):
        yield _put(whole, path, ...)
        if isinstance(value, str):
            yield from (_put(whole, path, word) for word in WORDS)
        if isinstance(value, dict):
            yield from (_put(whole, (*path, name), word) for name in ADDED if name not in value for word in WORDS[1:])


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value[:12]) if isinstance(value, list) else ()
    for key, each in inner:
        yield (*path, key), each
        if len(path) < MAX_DEPTH:
            yield from _paths(each, (*path, key))


def _put(whole: Body, path: tuple[Any, ...], value: Any) -> Body:
    made = copy.deepcopy(whole)
    inner: Any = made
    for key in path[:-1]:
        inner = inner[key]
    if value is ...:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return made
