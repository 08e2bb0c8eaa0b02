"""Alertmanager's API v2 as a receiver: what is answered, what is stored, and what becomes of it."""

import base64
import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chalicelib import plugins
from chalicelib.core.errors import NotStoredError
from chalicelib.core.event import Status
from chalicelib.ingest.alerts import MAX_BODY_BYTES, MAX_CHUNK_ALERTS, MAX_CHUNK_BYTES, fault_of, receive_alerts
from chalicelib.messages.queue import read_message
from chalicelib.messages.webhook import MAX_MESSAGE_BYTES
from tests.fakes import FixedSecrets

BODIES = Path(__file__).parent / "alertmanager_v2"
NOW = datetime(2026, 11, 30, 3, 58, 16, tzinfo=UTC)
SECRET = "s3cr3t-of-prometheus"
BEARER = {"Authorization": f"Bearer {SECRET}", "Content-Type": "application/json"}


class Door:
    """The receiver with a queue in memory."""

    def __init__(self):
        self.messages, self.away = [], False

    def put(self, messages):
        """The queue."""
        if self.away:
            raise NotStoredError("queue is away")
        self.messages += messages

    def post(self, alerts, headers=BEARER, *, now=NOW):
        """Post a list of alerts, or raw bytes."""
        body = alerts if isinstance(alerts, bytes) else json.dumps(alerts).encode()
        secrets = FixedSecrets({"ALERTMANAGER_SECRET": f"{SECRET},older"})
        plugin = plugins.load_source("alertmanager")
        return receive_alerts(headers, body, plugin=plugin, secrets=secrets, put=self.put, now=now)

    def events(self):
        """The events that the worker reads from the queue."""
        source, found = plugins.load_source("alertmanager"), []
        for message in self.messages:
            webhook = read_message(message)
            assert webhook.source == "alertmanager"
            found += source.parse(webhook.headers, webhook.body, received_at=webhook.received_at)
        return found


def sample(name):
    """The alerts of a captured request."""
    found = json.loads((BODIES / f"{name}.json").read_text())
    return found.get("request", found)["body"]


def alert(**fields):
    """A valid alert."""
    return {"labels": {"alertname": "Down"}, **fields}


def basic(pair):
    """The header of Basic authorization."""
    return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


ANSWERS = [
    ("a list", 200, [alert()], BEARER),
    ("an empty list", 200, [], BEARER),
    ("the secret that is rotated away", 200, [alert()], {"Authorization": "Bearer older"}),
    ("basic", 200, [alert()], basic(f"prom:{SECRET}")),
    ("no authorization", 401, [alert()], {}),
    ("a wrong bearer", 401, [alert()], {"Authorization": "Bearer guess"}),
    ("a wrong password", 401, [alert()], basic("prom:guess")),
    ("an object", 400, alert(), BEARER),
    ("null", 400, None, BEARER),
    ("YAML, as Grafana's data source sends it", 400, b"- labels:\n    alertname: x\n", BEARER),
    ("a form", 415, [alert()], {**BEARER, "Content-Type": "application/x-www-form-urlencoded"}),
    ("too large", 413, b" " * (MAX_BODY_BYTES + 1), BEARER),
    ("nested too deep", 400, b"[" * 5_000 + b"]" * 5_000, BEARER),
]


@pytest.mark.parametrize(("status", "body", "headers"), [row[1:] for row in ANSWERS], ids=[row[0] for row in ANSWERS])
def test_answers(status, body, headers):
    """Each request gets Alertmanager's status: 200 is empty, and a refusal is a JSON text that names no secret."""
    door = Door()
    found = door.post(body, headers)
    assert found.status == status
    assert found.body == "" if status == 200 else isinstance(json.loads(found.body), str)
    assert SECRET not in found.body
    assert bool(door.messages) is (status == 200 and body != [])


FAULTS = [
    (alert(), ""),
    (alert(annotations=None, generatorURL="opentelemetry-collector"), ""),
    (alert(startsAt="2026-11-30T03:58:15.123456789Z", endsAt="0001-01-01T00:00:00Z"), ""),
    (alert(startsAt="0001-01-01T00:00:00.000Z", endsAt="2026-11-30T03:00:00+01:00"), ""),
    ({"labels": {"service.name": "cart", "über": "x"}}, ""),
    ("text", "is no object"),
    ({}, "has no label with a value"),
    ({"labels": {"a": ""}}, "has no label with a value"),
    ({"labels": {"": "x"}}, "has a label without a name"),
    ({"labels": {"a": 5}}, "has labels that are not texts by name"),
    ({"labels": ["a"]}, "has labels that are not texts by name"),
    (alert(annotations={"a": None}), "has annotations that are not texts by name"),
    (alert(startsAt="yesterday"), "has a startsAt that is no time; allowed is RFC 3339"),
    (alert(startsAt="2026-W48-1T00:00:00Z"), "has a startsAt that is no time; allowed is RFC 3339"),
    (alert(startsAt="20261130T050000Z"), "has a startsAt that is no time; allowed is RFC 3339"),
    (alert(generatorURL=5), "has a generatorURL that is no text"),
    (alert(endsAt=1790000000), "has a endsAt that is no time; allowed is RFC 3339"),
    (alert(endsAt="2026-11-30T05:00:00"), "has a endsAt that is no time; allowed is RFC 3339"),
    (alert(startsAt="2026-11-30T05:00:00Z", endsAt="2026-11-30T04:00:00Z"), "ends before it starts"),
]


@pytest.mark.parametrize(("given", "fault"), FAULTS)
def test_faults(given, fault):
    """An alert is refused for what Alertmanager refuses it for."""
    assert fault_of(given) == fault


def test_the_valid_alerts_of_a_partly_wrong_list_are_kept():
    """Given one wrong alert of two → the other is stored, and the answer names the wrong one."""
    door = Door()
    found = door.post(sample("invalid_one_of_two"))
    assert (found.status, json.loads(found.body)) == (400, "alert 1 ends before it starts")
    assert [each.name for each in door.events()] == ["ok"]


def test_an_answer_names_some_of_many_wrong_alerts():
    """Given a thousand wrong alerts → the answer names twenty and counts the others."""
    text = json.loads(Door().post([{}] * 1_000).body)
    assert text.count("has no label") == 20
    assert text.endswith("; and 980 more")


def test_nothing_is_answered_200_that_the_queue_does_not_have():
    """Given a queue that refuses → 500, which is no 2xx to any sender."""
    door = Door()
    door.away = True
    found = door.post([alert()])
    assert (found.status, json.loads(found.body)) == (500, "could not be stored; send it again")


def test_a_long_list_is_chunked_to_fit_messages():
    """Given 5 MB that do not compress → every message fits SQS, and every alert is in one of them."""
    noise = random.Random(1)
    alerts = [
        alert(labels={"alertname": "A", "n": str(n)}, annotations={"x": noise.randbytes(9_000).hex()})
        for n in range(256)
    ]
    door = Door()
    assert door.post(alerts).status == 200
    assert len(door.messages) > 1
    assert all(len(message.encode()) <= MAX_MESSAGE_BYTES for message in door.messages)
    assert sorted(int(each.labels["n"]) for each in door.events()) == list(range(256))


def test_many_small_alerts_are_chunked_by_their_number():
    """Given more small alerts than a message may bring → several messages."""
    door = Door()
    door.post([alert(labels={"alertname": "A", "n": str(n)}) for n in range(MAX_CHUNK_ALERTS + 1)])
    assert [len(json.loads(read_message(each).body)["alerts"]) for each in door.messages] == [MAX_CHUNK_ALERTS, 1]


def test_an_alert_that_no_message_holds_is_named():
    """Given one alert over the size of a chunk → it is refused, and the one beside it is kept."""
    door = Door()
    found = door.post([alert(annotations={"x": "y" * MAX_CHUNK_BYTES}), alert()])
    assert (found.status, json.loads(found.body)) == (400, f"alert 0 has more than {MAX_CHUNK_BYTES} bytes")
    assert len(door.events()) == 1


def test_what_prometheus_sends():
    """Given a firing alert with an end to come and one that ended → firing until then, and resolved."""
    door = Door()
    assert door.post(sample("prometheus.post_alerts")).status == 200
    firing, resolved = door.events()
    assert (firing.name, firing.status, firing.ends_at) == (
        "InstanceDown", Status.FIRING, datetime(2026, 11, 30, 4, 2, 15, tzinfo=UTC)
    )  # fmt: skip
    assert (firing.starts_at, firing.occurred_at) == (datetime(2026, 11, 30, 3, 58, 15, tzinfo=UTC), NOW)
    assert (resolved.status, resolved.ends_at) == (Status.RESOLVED, datetime(2026, 11, 30, 3, 57, 15, tzinfo=UTC))


def test_what_prometheus_repeats_is_the_same_event():
    """Given the same alert a minute later with a later end → the same id, and the later end."""
    first, second = Door(), Door()
    first.post(sample("prometheus.post_alerts")[:1])
    later = {**sample("prometheus.post_alerts")[0], "endsAt": "2026-11-30T04:03:15Z"}
    second.post([later], now=NOW + timedelta(minutes=1))
    (one,), (two,) = first.events(), second.events()
    assert one.id == two.id
    assert two.ends_at - one.ends_at == timedelta(minutes=1)


def test_times_of_the_year_1_are_absent():
    """Given amtool's alert without times → firing from when it came, without an end."""
    door = Door()
    door.post(sample("amtool.alert_add"))
    (event,) = door.events()
    assert (event.status, event.starts_at, event.ends_at, event.occurred_at) == (Status.FIRING, None, None, NOW)


def test_empty_label_values_are_no_part_of_the_identity():
    """Given a label without a value → the alert without the label; the identity is that of Alertmanager's webhook."""
    door = Door()
    door.post(sample("empty_label_value"))
    door.post([{"labels": {"alertname": "x"}}])
    one, two = door.events()
    assert one.fingerprint == two.fingerprint
    fixture = json.loads(
        (Path(__file__).parent.parent / "sources/fixtures/alertmanager/firing_instance_down.json").read_text()
    )["alerts"][0]
    door = Door()
    door.post([{"labels": fixture["labels"]}])
    assert door.events()[0].identity == fixture["fingerprint"]


def test_what_the_collector_sends():
    """Given the OpenTelemetry Collector's alert without alertname → named by its event, without a link."""
    door = Door()
    door.post(sample("otel_exporter.post_alerts"))
    (event,) = door.events()
    assert (event.name, event.title, event.url, event.severity.value) == ("exception", "boom", None, "info")


def test_what_grafana_sends():
    """Given an alert without generatorURL and annotations → an event of its name."""
    door = Door()
    door.post(sample("grafana_or_vmalert.no_generator"))
    assert [(each.name, each.title) for each in door.events()] == [("DatasourceNoData", "DatasourceNoData")]
