"""What Cloudflare's notifications come to: every known body, every published type, and both shapes of those with two."""

import pytest

from chalicelib.core.errors import ParseError
from chalicelib.core.event import Severity, Status
from chalicelib.sources._cloudflare import INFORMATION, SOFT_INFORMATION
from tests.sources.bodies import body, changed, event, events, files, raw, summary

EXPECTED = {
    "access_custom_certificate_expiration_type_docs.json": [
        (
            "access_custom_certificate_expiration_type",
            "firing",
            "warning",
            "Certificate of string: expires in 0 days",
            "string",
            "",
            "",
            "correlation:000eaa907ed24e78946d3a93adb2ae57",
        ),
    ],
    "advanced_ddos_attack_l4_alert_start.json": [
        (
            "advanced_ddos_attack_l4_alert",
            "firing",
            "critical",
            "Network DDoS attack on 203.0.113.20",
            "203.0.113.20",
            "",
            "",
            "attack:aBcD1234efgh567i890j1kl234567m80",
        ),
    ],
    "advanced_ddos_attack_l7_alert_docs.json": [
        (
            "advanced_ddos_attack_l7_alert",
            "firing",
            "critical",
            "HTTP DDoS attack on string",
            "string",
            "",
            "",
            "correlation:000eaa907ed24e78946d3a93adb2ae57",
        ),
    ],
    "clickhouse_alert_fw_anomaly_end.json": [
        (
            "clickhouse_alert_fw_anomaly",
            "resolved",
            "warning",
            "Spike of security events in example.test",
            "example.test",
            "",
            "",
            "correlation:correlation-123",
        ),
    ],
    "clickhouse_alert_fw_anomaly_start.json": [
        (
            "clickhouse_alert_fw_anomaly",
            "firing",
            "warning",
            "Spike of security events in example.test",
            "example.test",
            "",
            "",
            "correlation:correlation-123",
        ),
    ],
    "closed_port_scan_alert_live.json": [
        (
            "closed_port_scan_alert",
            "info",
            "info",
            "Closed port: 127.0.0.1",
            "127.0.0.1",
            "",
            "",
            "closed_port_scan_alert:d5a107b0edb64370be11e14b93601314:",
        ),
    ],
    "dedicated_ssl_certificate_event_type_docs.json": [
        (
            "dedicated_ssl_certificate_event_type",
            "firing",
            "warning",
            "Certificate of string: string",
            "string",
            "",
            "",
            "correlation:000eaa907ed24e78946d3a93adb2ae57",
        ),
    ],
    "derived_no_data_null_fields.json": [
        (
            "notification",
            "firing",
            "warning",
            "L’origine « api » ne répond plus — 🔥 <!channel> @everyone *bold*",
            "",
            "",
            "",
            "notification::3b40e8877eb70a1aec70f9a4e7cca1a5",
        ),
    ],
    "derived_unknown_alert_type.json": [
        ("brand_new_alert_type_2027", "firing", "critical", "Something new happened", "", "", "", "correlation:c0ffee"),
    ],
    "dos_attack_l7_live.json": [
        (
            "dos_attack_l7",
            "firing",
            "critical",
            "HTTP DDoS attack on fake-zone-name",
            "fake-zone-name",
            "",
            "https://dash.cloudflare.com/aBcD1234efgh567i890j1kl234567m89",
            "attack:aBcD1234efgh567i890j1kl234567m80",
        ),
    ],
    "health_check_status_notification_docs.json": [
        (
            "health_check_status_notification",
            "firing",
            "critical",
            "Health check string is string",
            "string",
            "",
            "",
            "correlation:000eaa907ed24e78946d3a93adb2ae57",
        ),
    ],
    "health_check_status_notification_live_healthy.json": [
        (
            "health_check_status_notification",
            "resolved",
            "critical",
            "Health check origin-abcd is healthy",
            "origin-abcd",
            "",
            "",
            "health-check:11111111111",
        ),
    ],
    "health_check_status_notification_unhealthy.json": [
        (
            "health_check_status_notification",
            "firing",
            "critical",
            "Health check origin-web-server is unhealthy",
            "origin-web-server",
            "",
            "",
            "health-check:hc-12345",
        ),
    ],
    "incident_alert_live.json": [
        (
            "incident_alert",
            "firing",
            "warning",
            "(TEST ALERT) Regional degraded connectivity for Secure Web Gateway",
            "Zero Trust",
            "",
            "",
            "incident:n7058grjk59r",
        ),
    ],
    "load_balancing_health_alert_unhealthy.json": [
        (
            "load_balancing_health_alert",
            "firing",
            "critical",
            "Origin api-primary in pool Production pool is unhealthy",
            "api.example.com",
            "",
            "",
            "pool:pool_xyz789:api-primary",
        ),
    ],
    "maintenance_event_notification_live.json": [
        ("maintenance_event_notification", "info", "info", "Maintenance in LHR", "", "", "", "maintenance:11111111111"),
    ],
    "radar_notification_live.json": [
        (
            "radar_notification",
            "info",
            "info",
            "BGP Route Leak - AS212418",
            "",
            "",
            "https://radar.cloudflare.com/routing/anomalies/leak-212418",
            "event:212418",
        ),
    ],
    "real_origin_monitoring_live.json": [
        (
            "real_origin_monitoring",
            "firing",
            "critical",
            "Origin of zone-name is unreachable",
            "zone-name",
            "",
            "",
            "real_origin_monitoring:zone:zone-name",
        ),
    ],
    "sample_data_relay.json": [
        ("notification", "firing", "warning", "The alert text", "", "", "", "notification::Your custom webhook."),
    ],
    "security_insights_alert_live.json": [
        (
            "security_insights_alert",
            "info",
            "info",
            "New insight: Subject",
            "Subject",
            "",
            "",
            "security_insights_alert:Insight Class:Subject",
        ),
    ],
    "ssl_for_saas_deployment_succeeded_no_hostname.json": [
        (
            "ssl.custom_hostname_certificate.deployment.succeeded",
            "resolved",
            "warning",
            "Certificate of CERTIFICATE_ID: deployment succeeded",
            "",
            "",
            "",
            "certificate:CERTIFICATE_ID",
        ),
    ],
    "ssl_for_saas_validation_failed_docs.json": [
        (
            "ssl.custom_hostname_certificate.validation.failed",
            "firing",
            "warning",
            "Certificate of blog.com: validation failed",
            "blog.com",
            "",
            "",
            "certificate:CERTIFICATE_ID",
        ),
    ],
    "stream_live_disconnected.json": [
        (
            "live_input.errored",
            "firing",
            "warning",
            "Stream live input 00000000000000000000000000000001 errored",
            "",
            "",
            "",
            "stream:00000000000000000000000000000001",
        ),
    ],
    "test_message_docs.json": [
        ("test", "info", "info", "Cloudflare tested this address", "", "", "", "test"),
    ],
    "tunnel_health_event_live.json": [
        (
            "tunnel_health_event",
            "firing",
            "warning",
            "Tunnel tunnel-name is degraded",
            "tunnel-name",
            "",
            "https://dash.cloudflare.com/aBcD1234efgh567i890j1kl234567m89",
            "tunnel:aBcD1234efgh567i890j1kl234567m80",
        ),
    ],
    "universal_ssl_event_type_live.json": [
        (
            "universal_ssl_event_type",
            "firing",
            "warning",
            "Certificate of example.com: validation failed",
            "example.com",
            "",
            "",
            "certificate:11111111111",
        ),
    ],
    "workers_alert_docs.json": [
        (
            "workers_alert",
            "firing",
            "warning",
            "The description of my Cloudflare notification.",
            "",
            "",
            "",
            "correlation:000eaa907ed24e78946d3a93adb2ae57",
        ),
    ],
    "workers_observability_alert_docs.json": [
        (
            "workers_observability_alert",
            "firing",
            "warning",
            "The description of my Cloudflare notification: string",
            "string",
            "",
            "",
            "correlation:000eaa907ed24e78946d3a93adb2ae57",
        ),
    ],
}
"""By file: kind, status, severity, title, service, environment, url, identity."""

PUBLISHED = [
    "abuse_report_alert",
    "access_custom_certificate_expiration_type",
    "advanced_ddos_attack_l4_alert",
    "advanced_ddos_attack_l7_alert",
    "advanced_http_alert_error",
    "bgp_hijack_notification",
    "billing_usage_alert",
    "block_notification_block_removed",
    "block_notification_new_block",
    "block_notification_review_rejected",
    "bot_traffic_basic_alert",
    "brand_protection_alert",
    "brand_protection_digest",
    "clickhouse_alert_fw_anomaly",
    "clickhouse_alert_fw_ent_anomaly",
    "cloudforce_one_request_notification",
    "cni_maintenance_notification",
    "custom_analytics",
    "custom_bot_detection_alert",
    "custom_ssl_certificate_event_type",
    "dedicated_ssl_certificate_event_type",
    "device_connectivity_anomaly_alert",
    "dos_attack_l4",
    "dos_attack_l7",
    "expiring_service_token_alert",
    "failing_logpush_job_disabled_alert",
    "fbm_auto_advertisement",
    "fbm_dosd_attack",
    "fbm_volumetric_attack",
    "health_check_status_notification",
    "hostname_aop_custom_certificate_expiration_type",
    "http_alert_edge_error",
    "http_alert_origin_error",
    "image_notification",
    "image_resizing_notification",
    "incident_alert",
    "load_balancing_health_alert",
    "load_balancing_pool_enablement_alert",
    "logo_match_alert",
    "magic_tunnel_health_check_event",
    "magic_wan_tunnel_health",
    "maintenance_event_notification",
    "mtls_certificate_store_certificate_expiration_type",
    "pages_event_alert",
    "radar_notification",
    "real_origin_monitoring",
    "scriptmonitor_alert_new_code_change_detections",
    "scriptmonitor_alert_new_hosts",
    "scriptmonitor_alert_new_malicious_hosts",
    "scriptmonitor_alert_new_malicious_scripts",
    "scriptmonitor_alert_new_malicious_url",
    "scriptmonitor_alert_new_max_length_resource_url",
    "scriptmonitor_alert_new_resources",
    "secondary_dns_all_primaries_failing",
    "secondary_dns_primaries_failing",
    "secondary_dns_warning",
    "secondary_dns_zone_successfully_updated",
    "secondary_dns_zone_validation_warning",
    "security_insights_alert",
    "sentinel_alert",
    "stream_live_notifications",
    "synthetic_test_latency_alert",
    "synthetic_test_low_availability_alert",
    "traffic_anomalies_alert",
    "tunnel_health_event",
    "tunnel_update_event",
    "universal_ssl_event_type",
    "web_analytics_metrics_update",
    "zone_aop_custom_certificate_expiration_type",
]
"""Every alert type of Cloudflare's API (terraform-provider-cloudflare, docs/resources/notification_policy.md)."""
UNPUBLISHED = [
    "workers_alert",
    "workers_observability_alert",
    "workers_observability_real_time_issue",
    "open_port_scan_alert",
    "closed_port_scan_alert",
]
START, END = "ALERT_STATE_EVENT_START", "ALERT_STATE_EVENT_END"


def notice(alert_type=None, *, at=1_790_000_000, event_=None, correlation=None, policy="p1", **data):
    """A notification; `data` are its fields, None for an envelope field leaves it out."""
    envelope = {
        "name": "Site", "text": "Something happened.", "ts": at, "account_id": "a1", "policy_id": policy,
        "policy_name": "Site", "alert_type": alert_type, "alert_event": event_, "alert_correlation_id": correlation,
        "data": data,
    }  # fmt: skip
    return event("cloudflare", {key: value for key, value in envelope.items() if value is not None})


def test_every_body_is_in_the_table():
    """A body that is added is judged."""
    assert files("cloudflare") == [f"cloudflare/{name}" for name in EXPECTED]


@pytest.mark.parametrize("name", EXPECTED)
def test_bodies(name):
    """Each body comes to the events of the table."""
    assert [summary(each) for each in events("cloudflare", raw(f"cloudflare/{name}"))] == EXPECTED[name]


def test_the_published_types_are_all_here():
    """69 are published, five more are sent."""
    assert len(PUBLISHED) == 69
    assert {*PUBLISHED, *UNPUBLISHED} > INFORMATION


@pytest.mark.parametrize("kind", [*PUBLISHED, *UNPUBLISHED, "brand_new_alert_2031"])
def test_every_type_fires_and_ends_or_informs(kind):
    """A pair is one alert with or without a correlation id; information opens and ends nothing; no title is empty."""
    for correlation in (None, "c1"):
        began, ended = (
            notice(kind, event_=each, correlation=correlation, zone_name="example.com", zone_tag="z1")
            for each in (START, END)
        )
        assert began.kind == ended.kind == kind
        assert began.fingerprint == ended.fingerprint
        assert began.id != ended.id
        if kind in INFORMATION - SOFT_INFORMATION:
            assert (began.status, began.severity, ended.status) == (Status.INFO, Severity.INFO, Status.INFO)
        else:
            assert (began.status, ended.status) == (Status.FIRING, Status.RESOLVED)
            assert began.severity is not Severity.INFO
        assert began.title and began.service == "example.com"


@pytest.mark.parametrize("kind", sorted(SOFT_INFORMATION))
def test_what_only_informs_may_be_grave(kind):
    """Types that inform burn where Cloudflare calls them grave."""
    assert notice(kind, zone_name="example.com").status is Status.INFO
    assert notice(kind, zone_name="example.com", severity="HIGH").status is Status.FIRING


def test_every_unreachable_zone_is_named():
    """The title names all zones of a notification, each once."""
    zones = [{"host": f"{name}.org", "zone_name": f"{name}.org"} for name in ("b", "a", "b")]
    assert notice("real_origin_monitoring", unreachable_zones=zones).title == "Origin of b.org, a.org is unreachable"


@pytest.mark.parametrize("kind", [*PUBLISHED, *UNPUBLISHED])
def test_every_type_is_kept_without_any_data(kind):
    """A bare envelope of any type is an event whose title says what it is about."""
    found = event("cloudflare", {"alert_type": kind})
    assert found.kind == kind
    assert found.title == f"Cloudflare: {kind.replace('_', ' ')}" or found.title.startswith(
        ("HTTP", "Network", "Spike")
    )


RECOVERIES = [
    ("health_check_status_notification", {"health_check_id": "h", "name": "o"}, "status", "Unhealthy", "Healthy"),
    ("health_check_status_notification", {"health_check_id": "h", "name": "o"}, "status", "unhealthy", "healthy"),
    ("health_check_status_notification", {"health_check_id": "h"}, "new_status", "Unhealthy", "Healthy"),
    ("health_check_status_notification", {"health_check_id": "h"}, "new_health_status", "UNHEALTHY", "HEALTHY"),
    ("load_balancing_health_alert", {"pool_id": "p", "origin_name": "o"}, "new_health", "Unhealthy", "Healthy"),
    ("load_balancing_health_alert", {"pool_id": "p", "event_source": "pool"}, "new_health", "Critical", "Healthy"),
    ("load_balancing_pool_enablement_alert", {"pool_id": "p", "pool_name": "P"}, "enabled", False, True),
    ("load_balancing_pool_enablement_alert", {"pool_id": "p", "pool_name": "P"}, "enabled", "false", "true"),
    ("tunnel_health_event", {"tunnel_id": "t"}, "new_status", "TUNNEL_STATUS_TYPE_DOWN", "TUNNEL_STATUS_TYPE_HEALTHY"),
    (
        "tunnel_health_event",
        {"tunnel_id": "t"},
        "new_status",
        "TUNNEL_STATUS_TYPE_DEGRADED (status change)",
        "TUNNEL_STATUS_TYPE_HEALTHY (status change)",
    ),
    (
        "magic_tunnel_health_check_event",
        {"tunnel_id": "t"},
        "new_status",
        "MAGIC_TUNNEL_STATUS_DOWN",
        "MAGIC_TUNNEL_STATUS_UP",
    ),
    (
        "incident_alert",
        {"incident_id": "i"},
        "incident_status",
        "INCIDENT_STATUS_INVESTIGATING",
        "INCIDENT_STATUS_RESOLVED",
    ),
    ("incident_alert", {"incident_id": "i"}, "status", "INCIDENT_STATUS_MONITORING", "INCIDENT_STATUS_POSTMORTEM"),
    (
        "dedicated_ssl_certificate_event_type",
        {"certificate_id": "c"},
        "event_type",
        "ssl.dedicated_certificate.validation.failed",
        "ssl.dedicated_certificate.issuance.succeeded",
    ),
    ("dedicated_ssl_certificate_event_type", {"certificate_id": "c"}, "certificate_status", "expired", "active"),
    ("workers_observability_alert", {"episode": {"id": "e"}}, "status", "ACTIVE", "RESOLVED"),
    (None, {"input_id": "s"}, "event_type", "live_input.disconnected", "live_input.connected"),
]


@pytest.mark.parametrize(("kind", "data", "field", "bad", "good"), RECOVERIES)
def test_recovered_is_resolved_by_meaning(kind, data, field, bad, good):
    """What is healthy, up, enabled, valid or resolved has recovered, though nothing says END; it is the same alert."""
    began, ended = (notice(kind, **data, **{field: value}) for value in (bad, good))
    assert (began.status, ended.status) == (Status.FIRING, Status.RESOLVED)
    assert began.fingerprint == ended.fingerprint
    assert began.severity is not Severity.INFO


def test_an_end_needs_no_data():
    """The correlation id joins a full beginning and a bare end, in whatever order they come."""
    began = notice("dos_attack_l7", event_=START, correlation="c", attack_id="x", target_hostname="example.com")
    ended = notice("dos_attack_l7", event_=END, correlation="c", at=1_790_000_600)
    assert began.fingerprint == ended.fingerprint
    assert began.occurred_at < ended.occurred_at


DIFFERENT = [
    (("load_balancing_health_alert", {"pool_id": "p", "origin_name": "a"}), {"origin_name": "b"}),
    (("load_balancing_health_alert", {"pool_id": "p", "origin_name": "a"}), {"pool_id": "q"}),
    (("health_check_status_notification", {"health_check_id": "a"}), {"health_check_id": "b"}),
    (("tunnel_health_event", {"tunnel_id": "a"}), {"tunnel_id": "b"}),
    (("dos_attack_l4", {"attack_id": "a"}), {"attack_id": "b"}),
    (("incident_alert", {"incident_id": "a"}), {"incident_id": "b"}),
    (("access_custom_certificate_expiration_type", {"certificate_id": "a"}), {"certificate_id": "b"}),
    (("clickhouse_alert_fw_anomaly", {"zone_tag": "a"}), {"zone_tag": "b"}),
    (("http_alert_origin_error", {"zone_name": "a.com"}), {"zone_name": "b.com"}),
    (("http_alert_origin_error", {"zone_name": "a.com"}), {"policy": "p2"}),
    (("traffic_anomalies_alert", {"zone_name": "a.com"}), {"correlation": "c2"}),
    (("bgp_hijack_notification", {"prefix_hijacked": "192.0.2.0/24", "hijack_as": "1"}), {"hijack_as": "2"}),
    (("maintenance_event_notification", {"maintenance_id": "1"}), {"maintenance_id": "2"}),
    (
        ("real_origin_monitoring", {"unreachable_zones": [{"zone_name": "a"}]}),
        {"unreachable_zones": [{"zone_name": "b"}]},
    ),
]


@pytest.mark.parametrize(("given", "other"), DIFFERENT)
def test_different_things_are_different_alerts(given, other):
    """Another pool, origin, check, tunnel, attack, incident, certificate, zone or policy is another alert."""
    kind, data = given
    assert notice(kind, **data).fingerprint == notice(kind, at=1_790_009_999, **data).fingerprint
    assert notice(kind, **data).fingerprint != notice(kind, **{**data, **other}).fingerprint


def test_a_pool_that_is_disabled_is_not_an_origin_that_is_down():
    """Enabling a pool says nothing of its health."""
    disabled = notice("load_balancing_pool_enablement_alert", pool_id="p", enabled=False)
    unhealthy = notice("load_balancing_health_alert", pool_id="p", new_health="Unhealthy")
    assert disabled.fingerprint != unhealthy.fingerprint


def test_an_incident_of_the_status_page_lives_its_own_life():
    """All updates are about one incident by its id, whatever id or correlation the update has; resolved ends it."""
    states = ("INVESTIGATING", "IDENTIFIED", "MONITORING", "RESOLVED")
    updates = [
        notice("incident_alert", correlation=f"c{n}", at=1_790_000_000 + n, id=f"u{n}", incident_id="i1",
               incident_name="Elevated errors", incident_status=f"INCIDENT_STATUS_{state}",
               incident_impact="INCIDENT_IMPACT_MAJOR", affected_components=[{"name": "CDN"}])
        for n, state in enumerate(states)
    ]  # fmt: skip
    assert [each.status.value for each in updates] == ["firing", "firing", "firing", "resolved"]
    assert len({each.fingerprint for each in updates}) == 1
    assert len({each.id for each in updates}) == 4
    assert {each.title for each in updates} == {"Elevated errors"}
    assert {each.severity for each in updates} == {Severity.CRITICAL}
    assert updates[0].labels["components"] == "CDN"


@pytest.mark.parametrize(
    ("impact", "severity"), [("NONE", "info"), ("MINOR", "warning"), ("MAJOR", "critical"), ("CRITICAL", "critical")]
)
def test_the_impact_of_an_incident_is_its_severity(impact, severity):
    """`data.severity` is INFO for all of them and does not count."""
    found = notice(
        "incident_alert", incident_id="i", severity="INFO", incident_status="INCIDENT_STATUS_INVESTIGATING",
        incident_impact=f"INCIDENT_IMPACT_{impact}",
    )  # fmt: skip
    assert found.severity.value == severity


def test_planned_maintenance_is_information():
    """A maintenance that is scheduled or in progress opens nothing."""
    for state in ("SCHEDULED", "IN_PROGRESS"):
        found = notice("incident_alert", incident_id="i", incident_status=f"INCIDENT_STATUS_{state}")
        assert found.status is Status.INFO


TESTS = [
    "Hello World! This is a test message sent from https://cloudflare.com. If you can see this, your webhook is configured properly.",
    "Hello World! This is a test message sent from https://cloudflare.com. If you can see this, your webhook is configured correctly.",
    "Anything at all, alone",
]


@pytest.mark.parametrize("text", TESTS)
def test_save_and_test_opens_nothing(text):
    """What comes when a destination is saved is told as a test."""
    found = event("cloudflare", {"text": text})
    assert (found.kind, found.status, found.severity) == ("test", Status.INFO, Severity.INFO)
    assert found.labels["test"] == "true"


def test_a_body_without_a_type_is_an_alert():
    """The oldest form says only name, text, data and time; somebody asked to hear of it. Nothing at all is nothing."""
    found = event("cloudflare", {"name": "Site", "text": "The origin is gone", "ts": 5})
    assert (found.status, found.severity) == (Status.FIRING, Severity.WARNING)
    assert event("cloudflare", {}).status is Status.INFO
    assert event("cloudflare", {"name": "Site", "text": "x", "data": {"severity": "INFO"}}).status is Status.INFO


LINKS = [
    ("dash.cloudflare.com/a1", "https://dash.cloudflare.com/a1"),
    ("https://dash.cloudflare.com/a1", "https://dash.cloudflare.com/a1"),
    ("//dash.cloudflare.com/a1", "https://dash.cloudflare.com/a1"),
    ("string", None),
    ("", None),
    (None, None),
    ("/relative", None),
    ("ftp://x.com/", None),
]


@pytest.mark.parametrize(("given", "url"), LINKS)
def test_links_get_their_scheme(given, url):
    """A link without a scheme is https; what is no link is none."""
    assert notice("dos_attack_l7", attack_id="x", dashboard_link=given).url == url


def test_numbers_as_text_are_numbers():
    """The time, an id and a flag mean the same as text."""
    one = event("cloudflare", {"alert_type": "x", "ts": "1790000000", "data": {"tunnel_id": 5}})
    two = event("cloudflare", {"alert_type": "x", "ts": 1790000000, "data": {"tunnel_id": "5"}})
    assert (one.occurred_at, one.fingerprint) == (two.occurred_at, two.fingerprint)


def test_documented_and_received_shapes_are_one_alert():
    """A certificate and a health check come in two shapes each; the thing and what happened to it are the same."""
    nested = changed(body("cloudflare/universal_ssl_event_type_live.json"), data__data__id="c1")
    flat = changed(
        body("cloudflare/dedicated_ssl_certificate_event_type_docs.json"), alert_correlation_id=..., alert_event=...,
        data__certificate_id="c1", data__event_type="ssl.certificate.issuance.succeeded",
    )  # fmt: skip
    bare = {
        "metadata": {"event": {"type": "ssl.custom_hostname_certificate.deployment.succeeded"}},
        "data": {"ssl": {"id": "c1"}},
    }
    inside = {"alert_type": "custom_ssl_certificate_event_type", "data": bare}
    found = [event("cloudflare", each) for each in (nested, flat, bare, inside)]
    assert [each.status.value for each in found] == ["firing", "resolved", "resolved", "resolved"]
    assert len({each.fingerprint for each in found}) == 1
    live = changed(body("cloudflare/health_check_status_notification_unhealthy.json"), data__health_check_id="string")
    docs = changed(body("cloudflare/health_check_status_notification_docs.json"), alert_correlation_id=...)
    assert event("cloudflare", live).fingerprint == event("cloudflare", docs).fingerprint


def test_data_as_a_text_is_read():
    """An object written as text inside the envelope means the same; a text that is none does no harm."""
    one = event("cloudflare", {"alert_type": "x", "data": {"tunnel_id": "t"}})
    assert event("cloudflare", {"alert_type": "x", "data": '{"tunnel_id": "t"}'}).fingerprint == one.fingerprint
    assert event("cloudflare", {"alert_type": "x", "data": "{not json"}).status is Status.FIRING


PAGES = [
    ("deployment_success", "production", "resolved"),
    ("EVENT_DEPLOYMENT_SUCCESS", "ENVIRONMENT_PRODUCTION", "resolved"),
    ("deployment_failed", "production", "firing"),
    ("EVENT_DEPLOYMENT_FAILED", "ENVIRONMENT_PRODUCTION", "firing"),
    ("EVENT_DEPLOYMENT_FAILED", "ENVIRONMENT_PREVIEW", "info"),
    ("deployment_started", "production", "info"),
]


@pytest.mark.parametrize(("said", "environment", "status"), PAGES)
def test_pages_deployments(said, environment, status):
    """A failed deployment of a project burns until one succeeds; starts and previews are information."""
    found = notice("pages_event_alert", event_=said, project_name="site", deployment_id="d1", environment=environment)
    other = notice("pages_event_alert", event_="x", project_name="site", deployment_id="d2", environment=environment)
    assert (found.status.value, found.service) == (status, "site")
    assert found.environment in ("production", "preview")
    assert found.fingerprint == other.fingerprint


def test_the_severity_said_never_lowers_an_alert():
    """INFO is what tests of real problems say."""
    found = notice("tunnel_health_event", tunnel_id="t", new_status="TUNNEL_STATUS_TYPE_DOWN", severity="INFO")
    assert found.severity is Severity.CRITICAL
    assert notice("brand_new", severity="INFO").severity is Severity.WARNING
    assert notice("brand_new", severity="CRITICAL").severity is Severity.CRITICAL


def test_the_same_notification_has_the_same_id():
    """A redelivery counts once; another time or state of one alert is another event."""
    one = {"correlation": "c", "event_": START}
    assert notice("x", **one).id == notice("x", **one).id != notice("x", at=1, **one).id
    assert notice("x").id == notice("x").id != notice("x", note="y").id


@pytest.mark.parametrize("given", [b"", b"[]", b"null", b"{", b"\xff"])
def test_what_is_no_object_says_so(given):
    """The body is parked with a reason."""
    with pytest.raises(ParseError):
        events("cloudflare", given)


PAGES = [
    ({"event": "EVENT_DEPLOYMENT_FAILED"}, None, "firing", "Pages deployment of shop failed"),
    ({"event": "EVENT_DEPLOYMENT_SUCCESS"}, None, "resolved", "Pages deployment of shop succeeded"),
    ({"event": "EVENT_DEPLOYMENT_STARTED"}, None, "info", "Pages deployment of shop started"),
    ({"event": "EVENT_DEPLOYMENT_SUCCESS"}, START, "resolved", "Pages deployment of shop succeeded"),
    ({"event": "EVENT_DEPLOYMENT_FAILED"}, END, "firing", "Pages deployment of shop failed"),
    ({"status": "failure"}, None, "firing", "Pages deployment of shop failed"),
    ({"status": "Failed: build"}, None, "firing", "Pages deployment of shop failed"),
    ({}, "deployment_failed", "firing", "Pages deployment of shop"),
    ({}, "deployment_succeeded", "resolved", "Pages deployment of shop"),
    ({}, START, "firing", "Pages deployment of shop"),
    ({}, END, "resolved", "Pages deployment of shop"),
    ({"event": "EVENT_DEPLOYMENT_TURNED_BLUE"}, None, "firing", "Pages deployment of shop blue"),
    ({}, None, "firing", "Pages deployment of shop"),
    ({"event": "EVENT_DEPLOYMENT_CANCELED"}, START, "info", "Pages deployment of shop was canceled"),
]


@pytest.mark.parametrize(("data", "envelope", "status", "title"), PAGES)
def test_a_deployment_of_pages_is_read_from_its_data_first(data, envelope, status, title):
    """Given a word in the data and another in the envelope → the data counts; a word that nobody knows fires."""
    found = notice(
        "pages_event_alert", event_=envelope, project_name="shop", environment="ENVIRONMENT_PRODUCTION", **data
    )
    assert (found.status.value, found.title, found.service) == (status, title, "shop")
    assert (found.identity, found.environment) == ("pages_event_alert:shop:ENVIRONMENT_PRODUCTION", "production")


def test_another_deployment_of_pages_ends_the_failure_of_its_project():
    """Given correlation ids of their own → one alert; the end names what the version before called it."""
    began, ended = (
        notice("pages_event_alert", correlation=each, project_name="shop", event=f"EVENT_DEPLOYMENT_{word}")
        for each, word in (("c1", "FAILED"), ("c2", "SUCCESS"))
    )
    assert began.fingerprint == ended.fingerprint
    assert ended.ends_also == ("correlation:c2",)
    preview = notice("pages_event_alert", project_name="shop", environment="ENVIRONMENT_PREVIEW", event="FAILED")
    assert preview.status is Status.INFO


NAMED = [
    ("http_alert_origin_error", {"zone_name": "a.example"}, "a.example", "Errors of the origin in a.example"),
    ("http_alert_edge_error", {"zone_name": "a.example"}, "a.example", "Errors of the edge in a.example"),
    ("traffic_anomalies_alert", {"zone_name": "a.example"}, "a.example", "Anomaly of traffic in a.example"),
    ("bgp_hijack_notification", {"prefix_hijacked": "198.51.100.0/24", "hijack_as": "64500"}, None, "AS64500"),
    ("incident_alert", {"incident_id": "i", "affected_components": [{"name": "CDN"}]}, "CDN", "CDN"),
    ("some_new_alert", {"target": "queue-7"}, "queue-7", "Something happened: queue-7"),
    ("some_new_alert", {"host": "db.example"}, "db.example", "Something happened: db.example"),
    ("some_new_alert", {"alert_name": "ErrorSpike", "value": 140, "threshold": 100}, None,
     "ErrorSpike: 140 (threshold 100)"),
    ("synthetic_test_latency_alert", {"test_name": "Home page"}, "Home page", "Something happened: Home page"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "data", "service", "words"), NAMED)
def test_service_and_title_name_what_is_affected(kind, data, service, words):
    """Given a body that names a zone, component, prefix, target or host → the service is it, and the title names it."""
    found = notice(kind, event_=START, **data)
    assert service is None or found.service == service
    assert words in found.title


def test_a_hijacked_prefix_is_the_service():
    """Given a hijack → the service is the configured prefix, as the body has it before it is masked."""
    given = {
        "alert_type": "bgp_hijack_notification",
        "data": {"prefix_configured": "pfx-1", "prefix_hijacked": "pfx-2"},
    }
    assert event("cloudflare", given).service == "pfx-1"


def test_a_billing_alert_is_one():
    """Given a billing alert, which says nothing of its state → it fires as a warning, as every type that says nothing."""
    found = notice("billing_usage_alert", product="Workers")
    assert (found.status, found.severity) == (Status.FIRING, Severity.WARNING)


def test_a_try_of_a_real_notification_is_marked():
    """Given a notification that calls itself a test → handled as a real one, with the label `test`."""
    found = event("cloudflare", body("cloudflare/incident_alert_live.json"))
    assert (found.status, found.labels["test"]) == (Status.FIRING, "true")
    assert "test" not in notice("incident_alert", incident_id="i", incident_name="Errors").labels


def test_bodies_of_2026():
    """Given the bodies of pages, HTTP errors and custom alerts that nobody could capture → what their names mean."""
    pages, custom, errors = (
        event("cloudflare", raw(f"cloudflare_2026/{name}.guess_unverified.json"))
        for name in ("pages_event_alert", "custom_alert", "http_alert_origin_error")
    )
    assert (pages.status.value, pages.title, pages.service) == ("firing", "Pages deployment of shop failed", "shop")
    assert (custom.status.value, custom.title) == ("firing", "ErrorSpike: 140 (threshold 100)")
    assert (errors.severity.value, errors.title) == ("critical", "Errors of the origin in shop.example")


def test_billing_alerts_of_two_products_are_two():
    """Given two products under one policy → two alerts."""
    found = {event("cloudflare", {"alert_type": "billing_usage_alert", "policy_id": "p", "data": {"product": each}}).fingerprint
             for each in ("Workers", "R2", "Workers")}  # fmt: skip
    assert len(found) == 2
