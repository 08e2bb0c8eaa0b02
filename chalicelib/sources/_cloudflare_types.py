"""The types of Cloudflare's notifications that are known: its published list, and those that it sends beside.

https://developers.cloudflare.com/api/resources/alerting/subresources/policies/
"""

KNOWN = frozenset([
    "abuse_report_alert", "access_custom_certificate_expiration_type", "advanced_ddos_attack_l4_alert",
    "advanced_ddos_attack_l7_alert", "advanced_http_alert_error", "bgp_hijack_notification", "billing_usage_alert",
    "block_notification_block_removed", "block_notification_new_block", "block_notification_review_rejected",
    "bot_traffic_basic_alert", "brand_protection_alert", "brand_protection_digest", "clickhouse_alert_fw_anomaly",
    "clickhouse_alert_fw_ent_anomaly", "closed_port_scan_alert", "cloudforce_one_request_notification",
    "cni_maintenance_notification", "custom_analytics", "custom_bot_detection_alert",
    "custom_ssl_certificate_event_type", "dedicated_ssl_certificate_event_type", "device_connectivity_anomaly_alert",
    "dos_attack_l4", "dos_attack_l7", "expiring_service_token_alert", "failing_logpush_job_disabled_alert",
    "fbm_auto_advertisement", "fbm_dosd_attack", "fbm_volumetric_attack", "health_check_status_notification",
    "hostname_aop_custom_certificate_expiration_type", "http_alert_edge_error", "http_alert_origin_error",
    "image_notification", "image_resizing_notification", "incident_alert", "load_balancing_health_alert",
    "load_balancing_pool_enablement_alert", "logo_match_alert", "magic_tunnel_health_check_event",
    "magic_wan_tunnel_health", "maintenance_event_notification",
    "mtls_certificate_store_certificate_expiration_type", "open_port_scan_alert", "pages_event_alert",
    "radar_notification", "real_origin_monitoring", "scriptmonitor_alert_new_code_change_detections",
    "scriptmonitor_alert_new_hosts", "scriptmonitor_alert_new_malicious_hosts",
    "scriptmonitor_alert_new_malicious_scripts", "scriptmonitor_alert_new_malicious_url",
    "scriptmonitor_alert_new_max_length_resource_url", "scriptmonitor_alert_new_resources",
    "secondary_dns_all_primaries_failing", "secondary_dns_primaries_failing", "secondary_dns_warning",
    "secondary_dns_zone_successfully_updated", "secondary_dns_zone_validation_warning", "security_insights_alert",
    "sentinel_alert", "stream_live_notifications", "synthetic_test_latency_alert",
    "synthetic_test_low_availability_alert", "traffic_anomalies_alert", "tunnel_health_event", "tunnel_update_event",
    "universal_ssl_event_type", "web_analytics_metrics_update", "workers_alert", "workers_observability_alert",
    "workers_observability_real_time_issue", "zone_aop_custom_certificate_expiration_type",
])  # fmt: skip
_OF_HOSTNAMES = tuple(
    f"ssl.custom_hostname_certificate.{step}.{end}"
    for step in ("validation", "issuance", "deployment", "deletion", "renewal")
    for end in ("succeeded", "failed")
)
_OF_STREAM = ("live_input.connected", "live_input.disconnected", "live_input.errored")
KINDS = (*sorted(KNOWN), "test", "notification", *_OF_HOSTNAMES, *_OF_STREAM)
"""The kinds of events: the types, what Save and Test sends, a body without a type, and two products that name their own."""
