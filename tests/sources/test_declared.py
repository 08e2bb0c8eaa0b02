"""What an entry of `sources:` can say beside plain paths, and what a body without an `id` is about."""

import gzip
import json
import zlib
from datetime import timedelta
from typing import Any

import pytest

from chalicelib.core.errors import ParseError
from chalicelib.core.event import UNREAD_STATUS, Event, Severity, Status
from chalicelib.ingest.receive import receive
from chalicelib.ingest.registry import DeclaredSource
from chalicelib.messages.webhook import MAX_BODY_BYTES, Webhook, compressed, written
from chalicelib.plugins import load_declared_source
from chalicelib.process.parse import unknown_words
from chalicelib.rules.file import check
from chalicelib.sources import generic
from simulation.simulator import Simulator
from tests.fakes import FixedSecrets
from tests.rule_files import rules_of
from tests.sources.bodies import NOW

NAGIOS = {"name": "nagios", "auth": "bearer"}
MINUTE = timedelta(minutes=1)
Body = dict[str, Any] | list[Any]


def events(body: Any, mapping: dict[str, Any] = NAGIOS, headers: dict[str, str] | None = None) -> list[Event]:
    """The events of a body under an entry."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return generic.parse(headers or {}, data, received_at=NOW, mapping=mapping)


def event(body: Any, **more: Any) -> Event:
    """The one event."""
    (found,) = events(body, {**NAGIOS, **more})
    return found


# ---------------------------------------------------------------------------------------------------------------------
# What a body without an id is about

DISK = {"title": "Disk full", "status": "down", "host": "db1"}
SAME: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (DISK, {**DISK, "status": "up"}),
    (DISK, {**DISK, "status": "up", "at": "2026-11-24T08:00:00Z", "retry_count": 5, "latency": 12.5}),
    (DISK, {**DISK, "severity": "critical", "value": 97, "message": "97 %", "startedAt": "2026-11-24T07:00:00Z"}),
    ({**DISK, "title": "[FIRING:1] Disk full"}, {**DISK, "title": "[RESOLVED] Disk full", "status": "up"}),
    ({**DISK, "type": "check.down"}, {**DISK, "type": "check.up", "status": "up"}),
    ({**DISK, "data": {"state": "DOWN", "n": 1}}, {**DISK, "data": {"state": "UP", "n": 1}, "status": "up"}),
    ({**DISK, "raw": '{"status": "down", "host": "db1"}'}, {**DISK, "raw": '{"status": "up", "host": "db1"}'}),
]
OTHER: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (DISK, {**DISK, "host": "db2"}),
    (DISK, {**DISK, "disk": "/var"}),
    (DISK, {**DISK, "url": "https://db2.example/"}),
    (DISK, {**DISK, "monitor": {"name": "db2"}}),
    (DISK, {**DISK, "service": "web"}),
    ({**DISK, "server": 1}, {**DISK, "server": 2}),
    ({"status": "down", "error": "disk full"}, {"status": "down", "error": "no memory"}),
    ({**DISK, "raw": '{"host": "a"}'}, {**DISK, "raw": '{"host": "b"}'}),
]


@pytest.mark.parametrize(("one", "two"), SAME)
def test_what_changes_while_a_fault_goes_on_is_no_part_of_it(one: Body, two: Body) -> None:
    """Given bodies that differ in state, severity, times, counters or words → one alert."""
    assert event(one).fingerprint == event(two).fingerprint


@pytest.mark.parametrize(("one", "two"), OTHER)
def test_anything_else_tells_two_faults_apart(one: Body, two: Body) -> None:
    """Given bodies that differ in a host, a disk, a page or a service → two alerts."""
    assert event(one).fingerprint != event(two).fingerprint


def test_an_end_names_what_the_version_before_called_it() -> None:
    """Given a body without an id → its end also ends the alert of kind, title and labels; with an id nothing else."""
    began, ended = event(DISK), event({**DISK, "status": "up"})
    assert (began.ends_also, len(ended.ends_also)) == ((), 1)
    assert event({**DISK, "status": "up", "id": "7"}).ends_also == ()


def test_items_of_a_list_are_told_apart_by_what_is_around_them() -> None:
    """Given the same item in the bodies of two hosts → two alerts; what changes around it counts as little as inside."""
    entry = {**NAGIOS, "each": "checks"}
    item = {"title": "Disk full", "status": "down"}
    bodies = [{"host": host, "sent_at": at, "checks": [item]} for host, at in (("a", 1), ("b", 1), ("a", 2))]
    found = [events(each, entry)[0].fingerprint for each in bodies]
    assert found[0] == found[2] != found[1]


RULES = """
alerts: []
default: {notification: [{slack_channel: "#all"}], group_wait: 0s, group_by: []}
sources: [{name: nagios, auth: bearer}]
"""


def test_the_end_of_one_host_leaves_the_other_open() -> None:
    """Given two hosts with the same title, when the first is up again → the alert of the second fires on."""
    router = Simulator(rules_of(RULES), NOW)
    for number, (host, status) in enumerate((("db1", "down"), ("db2", "down"), ("db1", "up"))):
        data = json.dumps({**DISK, "host": host, "status": status}).encode()
        router.post([written(Webhook(f"w{number}", "nagios", data, router.now), compressed(data))])
        router.run_until(router.now + 10 * MINUTE, inclusive=True)
    (incident,) = router.store.incidents()
    assert [alert.match_labels()["host"] for alert in incident.firing] == ["db2"]


# ---------------------------------------------------------------------------------------------------------------------
# Forms of a body


def test_a_list_is_an_event_for_each() -> None:
    """Given a list at the top, or in `each:` of every body of a list → an event for each item."""
    two = [{"title": "a", "status": "down", "id": "1"}, {"title": "b", "status": "down", "id": "2"}]
    assert [each.title for each in events(two)] == ["a", "b"]
    entry = {**NAGIOS, "each": "alerts", "service": "team"}
    assert [each.service for each in events([{"team": "x", "alerts": two}], entry)] == ["x", "x"]
    assert events(two) != events([]) == []
    assert events({"team": "x", "title": "[FIRING:0]", "alerts": []}, entry) == []
    inside = [each.title for each in events({"alerts": json.dumps(two)}, entry)]
    assert inside == ["a", "b"]


SNS = {"Type": "Notification", "Message": json.dumps({"AlarmName": "DiskLow", "NewStateValue": "ALARM"})}
CLOSED = {"Type": "Notification", "Message": json.dumps({"AlarmName": "DiskLow", "NewStateValue": "OK"})}


@pytest.mark.parametrize("more", [{}, {"title": "Message.AlarmName", "status": "Message.NewStateValue"}])
def test_json_inside_a_text_is_read(more: dict[str, Any]) -> None:
    """Given a body whose message is JSON as a text → paths go on inside; usual names are looked for there too."""
    began, ended = event(SNS, **more), event(CLOSED, **more)
    assert (began.status.value, ended.status.value, began.title) == ("firing", "resolved", "DiskLow")
    assert began.fingerprint == ended.fingerprint


FORMS = [
    (b"title=Disk+full&status=down&host=db%201", "application/x-www-form-urlencoded; charset=utf-8", "db 1"),
    (b"title=Disk+full&status=down&host=db1", "", "db1"),
    (b'payload={"title":"Disk full","status":"down","host":"db1"}', "application/x-www-form-urlencoded", "db1"),
    (
        b'--x\r\nContent-Disposition: form-data; name="data"\r\n\r\n{"title":"Disk full","status":"down","host":"db1"}\r\n--x--',
        "multipart/form-data; boundary=x",
        "db1",
    ),
    (
        b'--x\nContent-Disposition: form-data; name="title"\n\nDisk full\n--x\nContent-Disposition: form-data; name="host"\n\n'
        b"db1\n--x--\n",
        "",
        "db1",
    ),
]


@pytest.mark.parametrize(("body", "kind", "host"), FORMS)
def test_forms_are_read(body: bytes, kind: str, host: str) -> None:
    """Given a form, a multipart form, or one field of them that holds JSON → the same event."""
    (found,) = events(body, headers={"content-type": kind} if kind else None)
    assert (found.title, found.status, found.labels["host"]) == ("Disk full", Status.FIRING, host)


@pytest.mark.parametrize("body", [b"", b"nothing", b"5", b'"text"', b"\xff=1", b"--x", b"{"])
def test_what_is_no_form_and_no_json_is_parked(body: bytes) -> None:
    """Given anything else → ParseError."""
    with pytest.raises(ParseError):
        events(body)


# ---------------------------------------------------------------------------------------------------------------------
# What a field can be

TAGS = [
    {"tags": [{"key": "env", "value": "prod"}, {"key": "team", "value": "shop"}]},
    {"tags": [{"tag": "env", "value": "prod"}, {"name": "team", "value": "shop"}]},
    {"tags": ["env:prod", "team:shop"]},
    {"tags": "env:prod,team:shop"},
    {"tags": [["env", "prod"], ["team", "shop"]]},
    {"tags": {"env": "prod", "team": "shop"}},
    {"tags": '[{"tag": "env", "value": "prod"}, {"tag": "team", "value": "shop"}]'},
]


@pytest.mark.parametrize("body", TAGS)
def test_pairs_are_labels_and_have_paths(body: dict[str, Any]) -> None:
    """Given tags as pairs, texts or an object → labels, and a path to one of them."""
    found = event({**DISK, **body}, labels="tags", environment="tags.env")
    assert (found.labels, found.environment) == ({"env": "prod", "team": "shop"}, "prod")


SPECS: list[tuple[Any, str]] = [
    ({"path": "host", "values": {"db1": "database"}}, "database"),
    ({"path": "host", "values": {"web": "shop"}, "else": "other"}, "other"),
    ({"path": "host", "values": {"web": "shop"}}, "db1"),
    ({"path": "title", "match": "(?P<value>[A-Z][a-z]+)"}, "Disk"),
    ({"path": "title", "match": "(?P<what>f[a-z]+)$", "values": {"full": "storage"}}, "storage"),
    ({"template": "{host}/{disk || 'root'}"}, "db1/root"),
    ({"value": "payments"}, "payments"),
    ([{"path": "title", "match": "(?P<value>nothing)"}, {"template": "{nowhere}"}, "host"], "db1"),
    ("'fixed'", "fixed"),
]


@pytest.mark.parametrize(("spec", "service"), SPECS)
def test_a_field_can_be_a_table(spec: Any, service: str) -> None:
    """Given a table of values, a pattern, a template, a fixed value, or a list of them → what it makes of the body."""
    assert event(DISK, service=spec).service == service
    assert generic.validate({**NAGIOS, "service": spec}) == []


def test_named_groups_are_fields() -> None:
    """Given `extract:` → its named groups have paths of their own, before the body's; no match leaves the body's."""
    entry = {
        "extract": {"message": r"^(?P<host>\S+) is (?P<state>\w+)"},
        "title": {"template": "{host} on {message}"}, "status": "state", "service": "host", "id": "host",
    }  # fmt: skip
    began, ended, odd = (event({"message": text, "host": "x"}, **entry) for text in ("db1 is down", "db1 is up", "?"))
    assert (began.service, began.status, ended.status) == ("db1", Status.FIRING, Status.RESOLVED)
    assert began.fingerprint == ended.fingerprint
    assert odd.service == "x"


THERE: list[tuple[Any, str]] = [
    ("2026-11-24T08:00:00Z", "resolved"), (1_796_011_080, "resolved"), (True, "resolved"), ("true", "resolved"),
    (None, "firing"), ("", "firing"), (False, "firing"), ("false", "firing"), (0, "firing"), ({}, "firing"),
    ("0001-01-01T00:00:00Z", "firing"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "status"), THERE)
def test_an_end_can_be_a_field_that_is_there(value: Any, status: str) -> None:
    """Given `ends_when:` → a field that says something ends, whatever the status is; null, false and zero do not."""
    found = event({**DISK, "incident": {"ended_at": value}}, ends_when=["nowhere", "incident.ended_at"])
    assert found.status.value == status


def test_constant_labels_stand_beside_those_of_the_body() -> None:
    """Given `constant_labels:` → on every event; where the body names the same one, the body's."""
    found = event({**DISK, "labels": {"team": "web"}}, constant_labels={"team": "ops", "site": 3})
    assert found.labels == {"team": "web", "site": "3"}


def test_the_first_time_that_is_one_counts() -> None:
    """Given a zero time before a real one → the real one."""
    body = {**DISK, "endsAt": "0001-01-01T00:00:00Z", "startsAt": "2026-11-24T07:00:00Z"}
    assert event(body, occurred_at="endsAt || startsAt").occurred_at == NOW - timedelta(hours=1)


# ---------------------------------------------------------------------------------------------------------------------
# What nobody knows


def test_a_body_that_fits_nothing_is_information_with_the_reason() -> None:
    """Given a body with nothing of what the entry looks for → information whose summary says so."""
    found = event({"hello": "world"})
    assert (found.status, found.severity) == (Status.INFO, Severity.INFO)
    assert found.summary == (
        "The body has no title, no status, no severity and no id where the entry looks. Its keys: hello."
    )
    assert "world" not in found.summary


WORDS = [
    ("Triggered", "firing"), ("Re-Triggered", "firing"), ("Warn", "firing"), ("No Data", "firing"), ("ALARM", "firing"),
    ("UNREACHABLE", "firing"), ("unavailable", "firing"), ("Unstable", "firing"),
    ("Recovered", "resolved"), ("Warn Recovered", "resolved"), ("No Data Recovered", "resolved"),
    ("acknowledged", "info"), ("in_progress", "info"),
]  # fmt: skip


@pytest.mark.parametrize(("word", "status"), WORDS)
def test_usual_words(word: str, status: str) -> None:
    """Given a word that senders use → what it means, and no warning."""
    found = event({**DISK, "status": word})
    assert (found.status.value, unknown_words([found])) == (status, [])


def test_a_word_that_nobody_knows_is_reported() -> None:
    """Given a word that no entry names → information, and one warning of the router, the same one each time."""
    found = [*events([{**DISK, "status": "brewing"}] * 2), event({**DISK, "status": "brewing", "host": "b"})]
    assert {each.status for each in found} == {Status.INFO}
    (warning,) = unknown_words(found)
    assert (warning.source, warning.status, warning.severity) == ("router", Status.FIRING, Severity.WARNING)
    assert "'brewing'" in warning.title and "statuses:" in warning.summary
    assert warning.id == unknown_words(found[2:])[0].id


def test_a_number_that_nobody_names_is_a_fault_and_reported() -> None:
    """Given a bare number without `statuses:` → it fires, and is reported; named it is what the entry says."""
    for number in (0, "0", 1, 7):
        found = event({**DISK, "status": number})
        assert (found.status, found.annotations[UNREAD_STATUS]) == (Status.FIRING, str(number))
    assert event({**DISK, "status": 0}, statuses={0: "firing", 1: "resolved"}).annotations == {}
    assert event({**DISK, "status": 1}, statuses={0: "firing", 1: "resolved"}).status is Status.RESOLVED


NONE = {"none": "resolved", "minor": "firing"}
NOTHING = [
    ({}, NONE, "info", 1), ({"state": None}, NONE, "firing", 0), ({"state": ""}, NONE, "firing", 0),
    ({"state": "none"}, NONE, "resolved", 0), ({"state": "None"}, NONE, "resolved", 0),
    ({"state": "null"}, NONE, "info", 1), ({"state": "undefined"}, NONE, "info", 1), ({"state": "minor"}, NONE, "firing", 0),
    ({"state": "null"}, {"null": "resolved"}, "resolved", 0), ({"state": None}, {None: "resolved"}, "firing", 0),
    ({"state": "none"}, {}, "info", 1), ({"state": "n/a"}, {"n/a": "info"}, "info", 0), ({}, {}, "info", 1),
]  # fmt: skip


@pytest.mark.parametrize(("said", "statuses", "status", "warnings"), NOTHING)
def test_a_word_for_nothing_counts_only_where_it_is_said(
    said: dict[str, Any], statuses: dict[Any, str], status: str, warnings: int
) -> None:
    """Given `none: resolved` → the word is an end, a null fires, and a body without the field is information and reported."""
    found = event({"title": "Partial outage", "page": said}, status="page.state", statuses=statuses)
    assert (found.status.value, len(unknown_words([found]))) == (status, warnings)


@pytest.mark.parametrize(
    "status", ["build.status", ["build.status"], {"path": "build.phase", "match": "(?P<value>FAIL)"}]
)
def test_a_body_without_the_status_that_the_entry_names_is_reported(status: Any) -> None:
    """Given a body of another kind, without the state where the entry looks → information, and a warning that says what to do."""
    body = {"title": "shop-deploy #33", "build": {"number": 33, "phase": "STARTED"}}
    found = event(body, status=status)
    (warning,) = unknown_words([found])
    assert (found.status, warning.status) == (Status.INFO, Status.FIRING)
    assert "no status" in warning.title and "|| 'firing'" in warning.summary
    assert event(body, status="build.status || 'firing'").status is Status.FIRING
    assert event(body).status is Status.FIRING


def test_a_level_that_says_none_counts_only_where_it_is_said() -> None:
    """Given `none: critical` of severities → the word is critical, a body without one is a warning."""
    found = [event({**DISK, **said}, severities={"none": "critical"}) for said in ({"severity": "none"}, {})]
    assert [each.severity for each in found] == [Severity.CRITICAL, Severity.WARNING]


def test_free_text_as_a_status_is_one_warning() -> None:
    """Given a status that holds any text → not a warning for each."""
    found = events([{**DISK, "status": f"the disk of host {number} is quite full by now"} for number in range(50)])
    assert len(unknown_words(found)) == 1
    assert len(unknown_words(events([{**DISK, "status": f"word{number}"} for number in range(50)]))) == 20


REPORTED = RULES + 'fallback: {notification: [{slack_channel: "#ops"}]}\n'


def test_the_operator_is_told_once_of_a_word() -> None:
    """Given an unknown word in three webhooks → one notification of the router, and none of the sender."""
    router = Simulator(rules_of(REPORTED), NOW)
    for number in range(3):
        data = json.dumps({**DISK, "status": "brewing", "n": number}).encode()
        router.post([written(Webhook(f"w{number}", "nagios", data, router.now), compressed(data))])
        router.run_until(router.now + 10 * MINUTE, inclusive=True)
    opened = [each.notification for each in router.taken() if each.notification.reason.value == "opened"]
    assert [each.target.key for each in opened] == ["slack_channel:#ops"]


# ---------------------------------------------------------------------------------------------------------------------
# At the door


def posted(body: bytes, address: str = "192.0.2.7", entry: dict[str, Any] = NAGIOS, **headers: str) -> int:
    """The status with which a request is answered; what is taken can be read by the source."""
    taken: list[str] = []
    given = {"authorization": "Bearer s", **{name.replace("_", "-"): each for name, each in headers.items()}}
    answer = receive(
        "nagios", given, body, path_secret=None, find=lambda name: DeclaredSource(load_declared_source(), entry),
        secrets=FixedSecrets({"NAGIOS_SECRET": "s"}), put=taken.append, keep=lambda *_: None, now=NOW, address=address,
    )  # fmt: skip
    assert bool(taken) == (answer.status == 202)
    return answer.status


DATA = json.dumps(DISK).encode()
JSON, FORM = "application/json", "application/x-www-form-urlencoded"
DOOR = [
    (DATA, {"content_type": JSON}, 202),
    (b"[" + DATA + b"]", {"content_type": JSON}, 202),
    (DATA, {"content_type": "text/plain"}, 202),
    (b"title=x&status=down", {"content_type": FORM}, 202),
    (FORMS[3][0], {"content_type": FORMS[3][1]}, 202),
    (b"title=x", {"content_type": JSON}, 400),
    (b"5", {"content_type": JSON}, 400),
    (DATA, {"content_type": "application/xml"}, 415),
    (gzip.compress(DATA, mtime=0), {"content_type": JSON, "content_encoding": "gzip"}, 202),
    (zlib.compress(DATA), {"content_type": JSON, "content_encoding": "deflate"}, 202),
    (DATA, {"content_type": JSON, "content_encoding": "gzip"}, 202),
    (DATA, {"content_type": JSON, "content_encoding": "identity"}, 202),
    (b"\x1f\x8bnothing", {"content_type": JSON, "content_encoding": "gzip"}, 400),
    (b"\x1b\x00", {"content_type": JSON, "content_encoding": "br"}, 415),
    (gzip.compress(b" " * (MAX_BODY_BYTES + 1), mtime=0), {"content_type": JSON, "content_encoding": "gzip"}, 413),
]


@pytest.mark.parametrize(("body", "headers", "status"), DOOR)
def test_what_the_door_takes(body: bytes, headers: dict[str, str], status: int) -> None:
    """Given JSON, lists, forms and packed bodies → taken; other types and encodings are refused, and so is too much."""
    assert posted(body, **headers) == status


ALLOW = {**NAGIOS, "allow": ["192.0.2.0/24", "2001:db8::/32", "198.51.100.7"]}
ADDRESSES = [
    ("192.0.2.7", 202), ("198.51.100.7", 202), ("2001:db8::1", 202), ("::ffff:192.0.2.9", 202), ("198.51.100.8", 401),
    ("2001:db9::1", 401), ("", 401), ("nothing", 401),
]  # fmt: skip


@pytest.mark.parametrize(("address", "status"), ADDRESSES)
def test_only_allowed_addresses_may_send(address: str, status: int) -> None:
    """Given `allow:` → the networks in it are taken, others and no address refused; without it anyone who proves it."""
    assert posted(DATA, address, ALLOW, content_type=JSON) == status
    assert posted(DATA, address, content_type=JSON) == 202


# ---------------------------------------------------------------------------------------------------------------------
# Mistakes

MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"status": "heartbeat.status"}, "status leads to bare numbers at heartbeat.status"),
    ({"status": "alertType"}, "status leads to bare numbers at alertType"),
    ({"status": "response.status_code"}, "status leads to bare numbers"),
    ({"status": {"path": "heartbeat.status"}}, "status leads to bare numbers"),
    ({"service": {"pfad": "x"}}, "service.pfad is not known"),
    ({"service": {"path": "a..b"}}, "service.path has a path that cannot be read: a..b"),
    ({"service": {"path": "a", "match": "(?P<x>"}}, "service.match is no regular expression of RE2"),
    ({"service": {"path": "a", "match": "(?P<x>a)(?=b)"}}, "look-ahead"),
    ({"service": {"path": "a", "match": "x"}}, "service.match has no named group"),
    ({"service": {"template": "{a..b}"}}, "service.template has a path that cannot be read"),
    ({"service": {"path": "a", "values": "x"}}, "service.values is no table"),
    ({"extract": ["x"]}, "extract is no table"),
    ({"extract": {"message": "x"}}, "extract.message has no named group"),
    ({"ends_when": "a..b"}, "ends_when has a path that cannot be read"),
    ({"constant_labels": ["a"]}, "constant_labels is no table of texts"),
    ({"allow": ["192.0.2.1/24"]}, "allow has 192.0.2.1/24, which is no network"),
    ({"allow": []}, "allow has 0 entries"),
    ({"each": 5}, "each is no path"),
]


@pytest.mark.parametrize(("change", "mistake"), MISTAKES)
def test_mistakes_of_the_new_keys(change: dict[str, Any], mistake: str) -> None:
    """Given a mistake → it is named with what is allowed."""
    found = generic.validate({**NAGIOS, **change})
    assert any(mistake in each for each in found), found
    assert all("; allowed is " in each for each in found)


def test_numbers_with_meanings_are_no_mistake() -> None:
    """Given `statuses:` or a table of values beside the path → no mistake."""
    assert generic.validate({**NAGIOS, "status": "heartbeat.status", "statuses": {0: "firing", 1: "resolved"}}) == []
    assert generic.validate({**NAGIOS, "status": {"path": "code", "values": {0: "ok"}}}) == []


def test_the_checker_warns_of_an_entry_without_an_id() -> None:
    """Given an entry without `id` → a warning of `tocsin check`; with one, none."""
    (warning,) = check("alerts: []\nsources: [{name: nagios, auth: bearer}]\n").warnings
    assert "nagios has no id" in warning.what
    assert check("alerts: []\nsources: [{name: nagios, auth: bearer, id: alert.id}]\n").warnings == ()
