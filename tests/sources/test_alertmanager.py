"""What Alertmanager's webhooks come to: by alert, whatever their group says."""

import re

import pytest

from chalicelib.core.delivery.text import web_address
from chalicelib.core.errors import ParseError
from chalicelib.messages.queue import events_messages
from chalicelib.rules.file import load
from simulation.simulator import Simulator
from tests.project import ROOT
from tests.sources.bodies import NOW, body, changed, event, events, files, raw, summary

EXPECTED = {
    "derived_empty_alerts.json": [
        ("no_alerts", "info", "info", "A notification without alerts for x", "", "", "", "empty:x"),
    ],
    "derived_resolved_instance_down.json": [
        ("InstanceDown", "resolved", "critical", "Instance localhost:8081 down", "node", "", "", "f404ecabc8dd5cd7"),
        ("InstanceDown", "resolved", "critical", "Instance localhost:8082 down", "node", "", "", "f8f08d4e32c61a9d"),
    ],
    "derived_truncated_unicode_no_labels.json": [
        ("InstanceDown", "firing", "critical", "Instance localhost:8081 down", "node", "", "", "f404ecabc8dd5cd7"),
        ("InstanceDown", "firing", "warning", "InstanceDown", "", "", "", "f8f08d4e32c61a9d"),
    ],
    "firing_instance_down.json": [
        ("InstanceDown", "firing", "critical", "Instance localhost:8081 down", "node", "", "", "f404ecabc8dd5cd7"),
        ("InstanceDown", "firing", "critical", "Instance localhost:8082 down", "node", "", "", "f8f08d4e32c61a9d"),
    ],
    "firing_two_alerts_2020.json": [
        (
            "High CPU Temperature",
            "firing",
            "critical",
            "High CPU core temperature",
            "",
            "",
            "http://cobalt:9090/graph?g0.expr=avg+by%28host%29+%28sensors_temp_input%7Bfeature%3D~%22core_%5B0-9%5D%2B%22%7D%29+%3E+15&g0.tab=1",
            "a1bc48475b20e73d",
        ),
        (
            "High CPU Temperature",
            "firing",
            "critical",
            "High CPU core temperature",
            "",
            "",
            "http://cobalt:9090/graph?g0.expr=avg+by%28host%29+%28sensors_temp_input%7Bfeature%3D~%22core_%5B0-9%5D%2B%22%7D%29+%3E+15&g0.tab=1",
            "c2ea85182f28cbd9",
        ),
    ],
    "heartbeat_watchdog.json": [
        (
            "Heartbeat",
            "firing",
            "warning",
            "Heartbeat on Monitoring",
            "Monitoring",
            "Development",
            "http://9b924908440c:9090/graph?g0.expr=vector%281%29&g0.tab=1",
            "fc635810a7f52b9d",
        ),
    ],
    "mixed_firing_and_resolved.json": [
        (
            "HighRequestLatency",
            "firing",
            "warning",
            "API latency above threshold",
            "api",
            "",
            "http://prometheus.example.com/graph?g0.expr=...",
            "abc123",
        ),
        (
            "DiskAlmostFull",
            "resolved",
            "warning",
            "Disk recovered",
            "node",
            "",
            "http://prometheus.example.com/graph?g0.expr=...",
            "def456",
        ),
    ],
    "version3_no_fingerprint.json": [
        (
            "failedConnect",
            "firing",
            "critical",
            "Connect fail",
            "System",
            "Production",
            "http://prometheus.host:9090/...",
            "a35f8bea66761845",
        ),
    ],
}
"""By file: kind, status, severity, title, service, environment, url, identity."""

DOWN = body("alertmanager/firing_instance_down.json")
VERSION_3 = body("alertmanager/version3_no_fingerprint.json")


def alert(**fields):
    """The event of one alert."""
    given = {"status": "firing", "labels": {"alertname": "A"}, "annotations": {}, "startsAt": "2026-11-24T07:00:00Z"}
    return event("alertmanager", {"version": "4", "status": "firing", "alerts": [{**given, **fields}]})


def test_every_body_is_in_the_table():
    """A body that is added is judged."""
    assert files("alertmanager") == [f"alertmanager/{name}" for name in EXPECTED]


@pytest.mark.parametrize("name", EXPECTED)
def test_bodies(name):
    """Each body comes to the events of the table."""
    assert [summary(each) for each in events("alertmanager", raw(f"alertmanager/{name}"))] == EXPECTED[name]


SEVERITIES = [
    ({"severity": "critical"}, "critical"),
    ({"severity": "page"}, "critical"),
    ({"severity": "P1"}, "critical"),
    ({"severity": "P1 🚨"}, "critical"),
    ({"severity": "SEV-1"}, "critical"),
    ({"severity": "sev 2"}, "warning"),
    ({"severity": "warning"}, "warning"),
    ({"severity": "high"}, "warning"),
    ({"severity": "none"}, "info"),
    ({"severity": "info"}, "info"),
    ({"severity": "P5"}, "info"),
    ({"severity": "whatever"}, "warning"),
    ({"priority": "P1"}, "critical"),
    ({"level": "error"}, "warning"),
    ({}, "warning"),
    ({"severity": ""}, "warning"),
    ({"severity": None}, "warning"),
]


@pytest.mark.parametrize(("labels", "severity"), SEVERITIES)
def test_severities_of_any_custom(labels, severity):
    """Whatever a team calls it; nothing said, and a word nobody knows, is warning."""
    assert alert(labels={"alertname": "A", **labels}).severity.value == severity


def test_a_fault_and_its_end_are_one_alert():
    """The fingerprint is the identity, over any number of episodes; the id is that of one state of one episode."""
    began = events("alertmanager", DOWN)
    ended = events("alertmanager", body("alertmanager/derived_resolved_instance_down.json"))
    assert [each.fingerprint for each in began] == [each.fingerprint for each in ended]
    assert len({each.id for each in (*began, *ended)}) == 4
    again = changed(DOWN, alerts=[{**each, "startsAt": "2026-01-01T00:00:00Z"} for each in DOWN["alerts"]])
    assert events("alertmanager", again)[0].fingerprint == began[0].fingerprint
    assert events("alertmanager", again)[0].id != began[0].id


def test_without_a_fingerprint_the_labels_are_hashed():
    """Version 3 sends none: equal labels in any order are one alert, other labels another."""
    labels = VERSION_3["alerts"][0]["labels"]
    shuffled = changed(VERSION_3, alerts=[{**VERSION_3["alerts"][0], "labels": dict(reversed(labels.items()))}])
    other = changed(VERSION_3, alerts=[{**VERSION_3["alerts"][0], "labels": {**labels, "instance": "host3"}}])
    renamed = changed(VERSION_3, alerts=[{**VERSION_3["alerts"][0], "labels": {**labels, "alertname": "other"}}])
    found = [event("alertmanager", each).fingerprint for each in (VERSION_3, shuffled, other, renamed)]
    assert found[0] == found[1]
    assert len(set(found)) == 3


@pytest.mark.parametrize("ends_at", ["0001-01-01T00:00:00Z", None, "", "nonsense"])
def test_the_status_is_trusted_not_the_end(ends_at):
    """A resolved alert may bring no end, and a firing one an end to come."""
    ended = alert(status="resolved", endsAt=ends_at)
    assert (ended.status.value, ended.occurred_at) == ("resolved", NOW)
    assert alert(status="firing", endsAt="2026-11-24T09:00:00Z").status.value == "firing"
    assert alert(status="firing", endsAt="2026-11-24T07:30:00Z").status.value == "firing"


def test_without_a_status_the_end_says_it():
    """What is posted as an alert and not as a notification has only times."""
    assert alert(status=None, endsAt="2026-11-24T07:30:00Z").status.value == "resolved"
    assert alert(status=None, endsAt="2026-11-24T09:00:00Z").status.value == "firing"
    assert alert(status=None, endsAt=None).status.value == "firing"


def test_links():
    """The graph of the alert, else Alertmanager's own page, else none; never a relative one."""
    assert alert(generatorURL="http://prom:9090/graph").url == "http://prom:9090/graph"
    group = {"externalURL": "http://am:9093", "alerts": [{"labels": {"alertname": "A"}, "generatorURL": ""}]}
    assert event("alertmanager", group).url == "http://am:9093"
    assert alert(generatorURL="/graph").url is None


TITLES = [
    ({"summary": "CPU is hot"}, {}, "CPU is hot"),
    ({"summary": "null", "description": "Too hot\nfor long"}, {}, "Too hot"),
    ({}, {"instance": "host1"}, "A on host1"),
    ({}, {}, "A"),
    ({"summary": None}, {"instance": None}, "A"),
]


@pytest.mark.parametrize(("annotations", "labels", "title"), TITLES)
def test_titles(annotations, labels, title):
    """What the annotations say, else the alert's name and where it is."""
    assert alert(annotations=annotations, labels={"alertname": "A", **labels}).title == title


def test_labels_and_annotations_are_kept_as_sent():
    """Every one as text; the name is the alert's; a runbook's link stays among the annotations."""
    found = alert(labels={"alertname": "A", "n": 5, "x.y": "z"}, annotations={"runbook_url": "https://example.com/r"})
    assert (found.name, found.kind, found.labels) == ("A", "A", {"n": "5", "x.y": "z"})
    assert found.annotations["runbook_url"] == "https://example.com/r"


def test_grafana_sends_the_same_form():
    """Alerts that Grafana manages itself come with more fields and the same meaning."""
    given = {
        "receiver": "tocsin", "status": "firing", "orgId": 1, "state": "alerting", "title": "[FIRING:1] Disk",
        "alerts": [{"status": "firing", "labels": {"alertname": "Disk", "grafana_folder": "F"},
                    "annotations": {"summary": "Disk is full"}, "startsAt": "2026-11-24T07:00:00Z",
                    "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "", "fingerprint": "abc",
                    "panelURL": "https://grafana.example.com/d/1?viewPanel=2", "values": {"A": 95.2}}],
    }  # fmt: skip
    found = event("alertmanager", given)
    assert (found.kind, found.title, found.identity) == ("Disk", "Disk is full", "abc")
    assert found.url == "https://grafana.example.com/d/1?viewPanel=2"


@pytest.mark.parametrize("given", [b"", b"[]", b"null", b"{"])
def test_what_is_no_object_says_so(given):
    """The body is parked with a reason."""
    with pytest.raises(ParseError):
        events("alertmanager", given)


@pytest.mark.parametrize(
    ("labels", "service"),
    [
        ({"job": "kube-state-metrics", "namespace": "shop", "pod": "web-1"}, "shop"),
        ({"job": "kube-state-metrics", "namespace": "billing"}, "billing"),
        ({"job": "kube-state-metrics", "namespace": "shop", "deployment": "checkout"}, "checkout"),
        ({"service": "kube-prometheus-stack-kube-state-metrics", "app": "web", "namespace": "shop"}, "web"),
        ({"job": "integrations/kubernetes/cadvisor", "namespace": "shop"}, "shop"),
        ({"job": "kubelet", "instance": "10.0.3.17:10250"}, "10.0.3.17:10250"),
        ({"job": "node-exporter", "instance": "10.0.3.17:9100"}, "10.0.3.17:9100"),
        ({"job": "node_exporter", "instance": "db-1:9100"}, "db-1:9100"),
        ({"job": "blackbox", "instance": "https://shop.example"}, "https://shop.example"),
        ({"job": "kube-state-metrics"}, None),
        ({"job": "otel", "service_name": "cart"}, "cart"),
        ({"job": "otel", "service.name": "cart"}, "cart"),
        ({"job": "api", "namespace": "shop"}, "api"),
        ({"service": "exporters-office", "job": "node-exporter"}, "exporters-office"),
        ({"service": "invoice-exporter", "instance": "x"}, "invoice-exporter"),
        ({"app": "billing_exporter", "job": "billing_exporter", "instance": "x"}, "billing_exporter"),
        ({"job": "invoice-exporter", "instance": "x"}, "x"),
        ({"service": "kps-prometheus-node-exporter", "job": "node", "instance": "10.0.3.17:9100"}, "10.0.3.17:9100"),
        ({"service": "prometheus-blackbox-exporter", "job": "blackbox", "instance": "shop"}, "shop"),
        ({"service": "postgres-exporter", "instance": "db-1:9187"}, "db-1:9187"),
        ({"service": "node"}, "node"),
    ],
)
def test_an_exporter_is_no_service(labels, service):
    """The service is what an exporter looks at: app, workload, namespace or instance, never the exporter."""
    payload = {"version": "4", "alerts": [{"status": "firing", "labels": {"alertname": "A", **labels}}]}
    assert [each.service for each in events("alertmanager", payload)] == [service]


@pytest.mark.parametrize(
    "name",
    ["deployment_environment", "deployment.environment", "deployment_environment_name", "deployment.environment.name"],
)
def test_the_environment_of_opentelemetry(name):
    """Given the environment as OpenTelemetry names it, old or new, with dots or underscores → the environment."""
    payload = {"version": "4", "alerts": [{"status": "firing", "labels": {"alertname": "A", name: "staging"}}]}
    assert [each.environment for each in events("alertmanager", payload)] == ["staging"]


def test_private_addresses_of_machines_are_readable():
    """An alert about a machine names its private address in title, label and link."""
    labels = {"alertname": "HostDown", "instance": "10.0.3.17:9100", "job": "node"}
    alert = {
        "labels": labels, "annotations": {"summary": "Instance 10.0.3.17:9100 down, seen by 203.0.113.7"},
        "generatorURL": "http://10.1.2.3:9090/graph?g0.expr=up",
    }  # fmt: skip
    found = event("alertmanager", {"version": "4", "status": "firing", "alerts": [alert]})
    assert re.fullmatch(r"Instance 10\.0\.3\.17:9100 down, seen by \[ip:[0-9a-f]{4}\]", found.title)
    assert found.labels["instance"] == "10.0.3.17:9100"
    assert found.url == "http://10.1.2.3:9090/graph?g0.expr=up"


def test_two_namespaces_that_one_exporter_reports_are_two_incidents():
    """Given two alerts of kube-state-metrics about two namespaces, under the shipped rules → two incidents."""
    alerts = [
        {"labels": {"alertname": "KubePodCrashLooping", "job": "kube-state-metrics", "namespace": "shop"}},
        {"labels": {"alertname": "KubeJobFailed", "job": "kube-state-metrics", "namespace": "billing"}},
    ]
    simulator = Simulator(load((ROOT / "alert-rules.yaml").read_text("utf-8")), NOW)
    found = events("alertmanager", {"version": "4", "status": "firing", "alerts": alerts})
    simulator.post(events_messages(found))
    simulator.settle()
    assert sorted(each.group["service"] for each in simulator.store.incidents()) == ["billing", "shop"]


def test_an_alert_without_labels_takes_the_title_of_its_envelope():
    """Given Grafana's envelope with a title and an alert without labels → the title; with labels → the alert's own."""
    envelope = {"version": "1", "status": "firing", "title": "[FIRING:1] Disk full"}
    assert event("alertmanager", {**envelope, "alerts": [{"status": "firing"}]}).title == "[FIRING:1] Disk full"
    assert event("alertmanager", {**envelope, "alerts": [{"labels": {"alertname": "Disk"}}]}).title == "Disk"


@pytest.mark.parametrize(
    ("sent", "link"),
    [
        ('https://g.example/explore?left={"a":1}', "https://g.example/explore?left=%7B%22a%22:1%7D"),
        ("https://g.example/a|b<c>", "https://g.example/a%7Cb%3Cc%3E"),
        ("https://g.example/?q=" + "x" * 2_900, "https://g.example/?q=" + "x" * 2_900),
        ("https://g.example/?q=" + "x" * 3_000, None),
        ("https://<x>.example/", None),
        ("https://g.example/a b", None),
    ],
)
def test_a_link_is_encoded_where_its_sender_did_not(sent, link):
    """Given generatorURL as Grafana's Explore has it → a link, encoded, up to what a button of Slack holds."""
    alert = {"labels": {"alertname": "Disk"}, "generatorURL": sent}
    found = event("alertmanager", {"version": "4", "alerts": [alert]}).url
    assert found == link
    assert found is None or web_address(found) == found
