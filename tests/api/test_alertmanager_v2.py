"""Alertmanager's API v2 for reading and silences: the fields, filters and statuses of Alertmanager, Tocsin's own silences."""

import json
from datetime import timedelta

import pytest

from chalicelib.api import alertmanager_alerts, alertmanager_status, alertmanager_v2, problems, routes
from chalicelib.core.errors import ConflictError, NotFoundError, RequestError
from tests.api_harness import START, ApiHarness, fire

ALERT = {
    "labels", "annotations", "receivers", "fingerprint", "startsAt", "updatedAt", "endsAt", "status",
}  # fmt: skip
JSON = "application/json"
RULES = """
alerts:
  - name: Boom
    match: {source: event, service: "=~api|web"}
    severity: critical
    group_by: [service]
    group_wait: 0s
    notification: [{slack_channel: "#a"}]
    mute: [always]
  - name: Quiet
    match: {source: event, service: shop}
    group_wait: 0s
    notification: [{slack_channel: "#a"}]
routes:
  - match: {team: "=~a|b"}
    notification: [{slack_channel: "#t"}]
    continue: true
    routes: [{match: {zone: 'a"b'}, notification: [{slack_channel: "#z"}], group_wait: 90s}]
windows: {always: {from: "00:00", to: "24:00"}}
inhibit: [{cause: {alertname: Boom, service: api}, symptom: {alertname: Quiet}}]
default: {notification: [{slack_channel: "#rest"}]}
"""


class Clients:
    """Asks as Alertmanager's clients do; what was put on the queue waits until `work`."""

    def __init__(self, *lines, rules=None):
        self.desk = ApiHarness(*lines, **({"rules": rules} if rules else {}))

    def ask(self, what, query=None, body=None, *, holder="", content_type=JSON, **names):
        """One request."""
        request = routes.Request(
            query=query or {}, body=json.dumps(body).encode() if body is not None else b"", holder=holder,
            content_type=content_type,
        )  # fmt: skip
        return getattr(alertmanager_v2, what)(self.desk.api, request, **names)

    def silence(self, *matchers, hours=2, by="ana", **fields):
        """The id of a silence that is made or edited."""
        ends_at = (self.desk.router.now + timedelta(hours=hours)).isoformat()
        form = {"matchers": list(matchers), "endsAt": ends_at, "createdBy": by, "comment": "c", **fields}
        return self.ask("post_silence", body=form).body["silenceID"]


def equal(name, value, *, is_regex=False, is_equal=True):
    """A matcher as JSON."""
    return {"name": name, "value": value, "isRegex": is_regex, "isEqual": is_equal}


def names(answer):
    """The services of alerts."""
    return sorted(each["labels"]["service"] for each in answer.body)


@pytest.fixture
def clients():
    """A router with two incidents."""
    return Clients(fire("api"), fire("web", zone="eu-1"))


def test_an_alert_has_the_fields_of_alertmanager(clients):
    """Given a firing alert → every required field is there, and its labels are those that matchers see."""
    row = clients.ask("get_alerts", {"filter": ["service=api"]}).body[0]
    assert set(row) >= ALERT
    assert row["labels"] == {
        "alertname": "Boom", "kind": "x", "service": "api", "severity": "critical", "source": "event",
    }  # fmt: skip
    assert row["status"] == {"state": "active", "silencedBy": [], "inhibitedBy": [], "mutedBy": []}
    assert (row["startsAt"], row["receivers"]) == ("2026-11-26T12:00:00.000Z", [{"name": "rule/Boom"}])
    assert row["endsAt"] > row["startsAt"]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (['service="api"'], ["api"]),
        (["service!=api"], ["web"]),
        (["service=~a.*"], ["api"]),
        (["service=~a"], []),
        (["service!~ap|x.*"], ["api", "web"]),
        (["zone="], ["api"]),
        (["zone!="], ["web"]),
        (["severity=critical", 'service=~"api|web"', 'zone=~"eu-\\\\d"'], ["web"]),
    ],
)
def test_filters_mean_what_they_mean_there(clients, filters, found):
    """Given filters with each operator → anchored patterns, a missing label is empty, all must hold."""
    assert names(clients.ask("get_alerts", {"filter": filters})) == found


@pytest.mark.parametrize(
    "query",
    [
        {"filter": ["service"]},
        {"filter": ['service=~"("']},
        {"filter": ["a=b"] * 33},
        {"receiver": ["("]},
        {"receiver": ["x" * 2_000]},
        {"active": ["maybe"]},
        {"receiver_matchers": ['team="a"']},
    ],
)
def test_what_cannot_be_read_is_refused(clients, query):
    """Given a filter that is none → 400 for its clients, never a list of everything."""
    for what in ("get_alerts", "get_groups"):
        with pytest.raises(RequestError) as error:
            clients.ask(what, query)
        assert problems.of_alertmanager(error.value)[0] == 400


def test_receivers_are_routes_by_anchored_patterns(clients):
    """Given `receiver` → the alerts of routes whose whole id the pattern matches."""
    assert names(clients.ask("get_alerts", {"receiver": ["rule/.*"]})) == ["api", "web"]
    assert names(clients.ask("get_alerts", {"receiver": ["rule"]})) == []
    assert {"name": "rule/Boom", "labels": {}} in clients.ask("get_receivers").body


@pytest.mark.parametrize(
    ("given", "found"), [(["true", "false"], 0), (["false", "true"], 2), ([""], 2), (["TRUE"], 2), (["False"], 0)]
)
def test_a_flag_is_read_as_alertmanager_reads_it(clients, given, found):
    """Given a flag twice, empty or in capitals → the last one counts, an empty one is as if it was not given."""
    assert len(clients.ask("get_alerts", {"active": given}).body) == found


def test_a_silenced_alert_is_suppressed_and_filtered(clients):
    """Given a silence → state and ids say so, and `silenced` and `active` choose."""
    id = clients.silence(equal("service", "api"))
    row = clients.ask("get_alerts", {"filter": ["service=api"]}).body[0]
    assert (row["status"]["state"], row["status"]["silencedBy"]) == ("suppressed", [id])
    assert names(clients.ask("get_alerts", {"silenced": ["false"]})) == ["web"]
    assert names(clients.ask("get_alerts", {"active": ["false"]})) == ["api"]
    (group,) = clients.ask("get_groups", {"silenced": ["false"]}).body
    assert group["labels"] == {"service": "web"}


def test_inhibitions_and_windows_are_told_apart():
    """Given a cause and a mute window → `inhibitedBy` names the cause's fingerprint, `mutedBy` the window."""
    clients = Clients(fire("api"), fire("shop"), rules=RULES)
    rows = {row["labels"]["service"]: row for row in clients.ask("get_alerts").body}
    assert rows["shop"]["status"]["inhibitedBy"] == [rows["api"]["fingerprint"]]
    assert rows["api"]["status"] == {
        "state": "suppressed", "silencedBy": [], "inhibitedBy": [], "mutedBy": ["always"],
    }  # fmt: skip
    assert names(clients.ask("get_alerts", {"inhibited": ["false"]})) == ["api"]
    assert [g["labels"] for g in clients.ask("get_groups", {"muted": ["false"], "inhibited": ["false"]}).body] == []


def test_groups_are_open_incidents(clients):
    """Given two incidents → two groups with labels, receiver and alerts, sorted by their labels."""
    rows = clients.ask("get_groups").body
    assert [row["labels"] for row in rows] == [{"service": "api"}, {"service": "web"}]
    assert (rows[0]["receiver"], rows[0]["routeLabels"]) == ({"name": "rule/Boom"}, {})
    assert set(rows[0]["alerts"][0]) >= ALERT


def test_nothing_is_an_empty_list_and_not_null():
    """Given nothing that fires, and a pending alert → empty lists."""
    clients = Clients(fire("api", kind="slow"))
    assert [clients.ask(what).body for what in ("get_alerts", "get_groups", "get_silences")] == [[], [], []]


def test_a_long_list_is_cut_and_says_of_how_many(monkeypatch):
    """Given more alerts than a list holds → the worst incidents, and the number of all."""
    monkeypatch.setattr(alertmanager_alerts, "MAX_ALERTS", 2)
    answer = Clients(*(fire(f"s{number}") for number in range(5))).ask("get_alerts")
    assert (len(answer.body), answer.total) == (2, 5)
    monkeypatch.setattr(alertmanager_alerts, "MAX_ALERTS", 5)
    monkeypatch.setattr(alertmanager_alerts, "MAX_BYTES", 1_000)
    answer = Clients(*(fire(f"s{number}") for number in range(5))).ask("get_groups")
    assert (1 <= len(answer.body) < 5, answer.total) == (True, 5)


# ---------------------------------------------------------------------------------------------------------------------
# Silences


def test_a_silence_is_seen_at_once_and_is_the_own_one(clients):
    """Given a silence made here → it is stored before the worker comes, and the own API shows the same one."""
    matchers = [equal("service", "a.*", is_regex=True), equal("zone", "x", is_equal=False)]
    id = clients.silence(*matchers)
    shown = clients.ask("get_silence", id=id).body
    assert (shown["matchers"], shown["status"], shown["createdBy"]) == (matchers, {"state": "active"}, "ana")
    assert (shown["startsAt"], shown["endsAt"]) == ("2026-11-26T12:00:00.000Z", "2026-11-26T14:00:00.000Z")
    clients.desk.router.settle()
    (own,) = clients.desk.ask("list_silences")["silences"]
    assert (own["id"], own["matchers"], own["by"]) == (id, ["service=~a.*", "zone!=x"], "ana")
    assert [each["text"] for each in clients.desk.shown()["timeline"] if each["kind"] == "silence"] == [
        "silenced until 2026-11-26 14:00 UTC: c"
    ]


def test_what_cannot_be_stored_at_once_is_done_from_the_queue(clients, monkeypatch):
    """Given a store that others save first at that moment → the answer is the same, and the worker makes the silence."""

    def conflicting(context):
        raise ConflictError("somebody else was first")

    with monkeypatch.context() as patch:
        patch.setattr(clients.desk.router.store, "save_context", conflicting)
        id = clients.silence(equal("service", "api"))
        assert clients.ask("get_silence", id=id).status == 404
    clients.desk.router.settle()
    assert clients.ask("get_silence", id=id).body["status"] == {"state": "active"}


def test_a_silence_of_the_own_api_is_seen_here(clients):
    """Given a silence and a maintenance of the own API → both are listed, the second by its annotation."""
    clients.desk.ask("make_silence", body={"by": "bo", "matchers": {"service": "web"}, "for": "1h"})
    clients.desk.ask(
        "make_silence", body={"by": "bo", "matchers": ["zone!~x.*", "a=b"], "for": "2h", "maintenance": True}
    )
    one, two = clients.ask("get_silences").body
    assert (one["createdBy"], one["matchers"], one["annotations"]) == ("bo", [equal("service", "web")], {})
    assert two["annotations"] == {"maintenance": "true"}
    assert equal("zone", "x.*", is_regex=True, is_equal=False) in two["matchers"]


def test_an_edit_keeps_id_author_and_maintenance(clients):
    """Given the id of a silence that goes on → the same silence with its new end; a client without annotations keeps it."""
    id = clients.silence(equal("service", "api"), annotations={"maintenance": "true"})
    clients.desk.wait(timedelta(minutes=1))
    assert clients.silence(equal("service", "api"), id=id, hours=5, by="bo") == id
    (shown,) = clients.ask("get_silences").body
    assert (shown["createdBy"], shown["endsAt"]) == ("ana", "2026-11-26T17:01:00.000Z")
    assert shown["annotations"] == {"maintenance": "true"}


def test_an_ended_silence_is_not_made_to_live_again(clients):
    """Given the id of an ended silence → another silence, as there, and the ended one stays."""
    id = clients.silence(equal("service", "api"), hours=1)
    clients.desk.wait(timedelta(hours=2))
    other = clients.silence(equal("service", "api"), id=id)
    assert other != id
    assert [each["id"] for each in clients.ask("get_silences").body] == [other, id]


def test_an_unknown_id_is_not_found(clients):
    """Given the id of no silence → 404, upon which `amtool silence import` makes a new one."""
    with pytest.raises(NotFoundError):
        clients.silence(equal("service", "api"), id="3f2a91c0")
    for what in ("get_silence", "delete_silence"):
        assert (clients.ask(what, id="nobody").status, clients.ask(what, id="../x").body) == (404, None)


def test_ending_twice_is_once(clients):
    """Given a silence → it expires, a second time changes nothing, and the alert is notified of again."""
    id = clients.silence(equal("service", "api"))
    clients.desk.wait(timedelta(minutes=5))
    for _ in range(2):
        answer = clients.ask("delete_silence", id=id)
        assert (answer.body, answer.status) == (None, 200)
        clients.desk.wait(timedelta(minutes=5))
    shown = clients.ask("get_silence", id=id).body
    assert (shown["status"], shown["endsAt"]) == ({"state": "expired"}, "2026-11-26T12:05:00.000Z")
    assert clients.desk.ask("show_silence", id=id)["silence"]["changes"][0]["by"] == "Alertmanager API"


def test_silences_are_filtered_by_state_and_matchers_and_sorted(clients):
    """Given an active, a pending and an ended one → states choose, filters mean equal matchers, the next to end is first."""
    over = clients.silence(equal("service", "api"), hours=1)
    clients.desk.wait(timedelta(hours=2))
    late = clients.silence(equal("service", "a.*", is_regex=True), hours=9)
    soon = clients.silence(equal("service", "web"), hours=1)
    begins = (clients.desk.router.now + timedelta(hours=1)).isoformat()
    pending = clients.silence(equal("service", "web"), startsAt=begins, hours=9)

    def listed(**query):
        return [each["id"] for each in clients.ask("get_silences", query).body]

    assert listed() == [soon, late, pending, over]
    assert listed(active=["false"]) == [pending, over]
    assert listed(pending=["false"], expired=["false"]) == [soon, late]
    assert listed(filter=['service=~"a.*"']) == [late]
    assert listed(filter=["service=web"]) == [soon, pending]
    clients.ask("delete_silence", id=pending)
    assert clients.ask("get_silence", id=pending).body["status"] == {"state": "expired"}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"matchers": []}, "`matchers`"),
        ({"matchers": "service=api"}, "`matchers`"),
        ({"matchers": ["service=api"]}, "no object"),
        ({"matchers": [{"name": "a"}]}, "`value`"),
        ({"matchers": [{"name": "", "value": "b"}]}, "`name`"),
        ({"matchers": [{"name": "a\r\nX", "value": "b"}]}, "`name`"),
        ({"matchers": [equal("a", "(", is_regex=True)]}, "RE2"),
        ({"matchers": [equal("a", "")]}, "mute everything"),
        ({"matchers": [equal("a", ".*", is_regex=True)]}, "mute everything"),
        ({"matchers": [{"name": "a", "value": "b", "isRegex": "yes"}]}, "isRegex"),
        ({"matchers": [equal("a", "b\x00c")]}, "no text"),
        ({"matchers": [equal("a", "\ud800")]}, "no text"),
        ({"matchers": [equal(f"a{n}", "b") for n in range(33)]}, "33 matchers"),
        ({"endsAt": None}, "`endsAt` is missing"),
        ({"endsAt": "0001-01-01T00:00:00Z"}, "`endsAt` is missing"),
        ({"endsAt": "tomorrow"}, "RFC 3339"),
        ({"endsAt": "2026-11-26T11:00:00Z"}, "which is over"),
        ({"endsAt": "2036-11-26T11:00:00Z"}, "too long"),
        ({"startsAt": "2026-11-27T11:00:00Z"}, "`startsAt`"),
        ({"createdBy": ""}, "`createdBy` is missing"),
        ({"createdBy": "PagerDuty"}, "reserved"),
        ({"comment": 7}, "`comment`"),
        ({"comment": "a\x00b"}, "`comment` has a character that is no text"),
        ({"comment": "a\ud800b"}, "`comment` has a character that is no text"),
        ({"createdBy": "a\ud800b"}, "`createdBy` has a character that is no text"),
        ({"annotations": ["a"]}, "`annotations`"),
        ({"id": 7}, "`id`"),
    ],
)
def test_a_silence_that_is_none_is_refused_with_its_field(clients, fields, reason):
    """Given a wrong field → 400 with its name, and nothing is stored."""
    form = {"matchers": [equal("service", "api")], "endsAt": "2026-11-26T14:00:00Z", "createdBy": "ana", "comment": ""}
    with pytest.raises(RequestError, match=reason) as error:
        clients.ask("post_silence", body={**form, **fields})
    assert problems.of_alertmanager(error.value)[0] == 400
    clients.desk.router.settle()
    assert clients.ask("get_silences").body == []


def test_an_annotation_may_be_a_boolean(clients):
    """Given `maintenance: true` as JSON has it → a silence that holds back new alerts only."""
    id = clients.silence(equal("service", "api"), annotations={"maintenance": True})
    assert clients.ask("get_silence", id=id).body["annotations"] == {"maintenance": "true"}


def test_the_holder_of_a_named_token_made_it(clients):
    """Given a named token and another name in the body → the silence is the holder's."""
    form = {"matchers": [equal("service", "api")], "endsAt": "2026-11-26T14:00:00Z", "createdBy": "bo", "comment": ""}
    id = clients.ask("post_silence", body=form, holder="ana").body["silenceID"]
    assert clients.ask("get_silence", id=id).body["createdBy"] == "ana"


def test_only_json_is_read_since_a_foreign_page_can_send_text(clients):
    """Given a body of another type → refused: a browser would send it with a stored password."""
    with pytest.raises(RequestError, match="Content-Type"):
        clients.ask("post_silence", body={}, content_type="text/plain")


# ---------------------------------------------------------------------------------------------------------------------
# Status


def test_the_status_has_what_clients_need():
    """Given the status → version, no cluster, since when the router runs, and the rules in Alertmanager's form."""
    found = Clients(rules=RULES).ask("get_status").body
    assert found["cluster"] == {"name": "", "status": "disabled", "peers": []}
    assert found["versionInfo"]["version"] == alertmanager_status.API_VERSION
    assert found["uptime"] == "2026-11-26T12:00:00.000Z"
    original = found["config"]["original"]
    assert "slack" not in original
    assert '- receiver: "rule/Boom"\n' in original
    assert 'matchers: ["alertname=\\"Boom\\""]\n' in original
    assert 'group_wait: "90s"' in original


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (timedelta(0), "0ms"),
        (timedelta(seconds=90), "90s"),
        (timedelta(hours=4), "4h"),
        (timedelta(days=1), "1d"),
        (timedelta(seconds=0.5), "500ms"),
    ],
)
def test_durations_are_in_the_largest_whole_unit(length, text):
    """Given a duration → Prometheus's form of it."""
    assert alertmanager_status.duration(length) == text


def test_start_is_the_clock_of_the_harness(clients):
    """Given the harness → its clock stands at its start, which the times above count on."""
    assert clients.desk.router.now == START
