"""The API: what people see and do, through the real stages on a virtual clock."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from chalicelib.api import routes
from chalicelib.core.errors import FullError, KeyUsedError, NotFoundError, NotUniqueError, OverError, RequestError
from chalicelib.core.incident import Episode, Incident
from chalicelib.process.context_size import MAX_SILENCES
from tests import extremes
from tests.api_harness import START, ApiHarness, fire


@pytest.fixture
def desk():
    """A router with one open incident of `api`."""
    return ApiHarness(fire())


def test_a_list_says_what_matters(desk):
    """Id, severity, title, group, counts, who was told: everything a person needs to choose one."""
    (row,) = desk.ask("list_incidents")["incidents"]
    assert (row["status"], row["severity"], row["title"], row["group"]) == (
        "firing",
        "critical",
        "x (api)",
        {"service": "api"},
    )
    assert row["counts"] == {"firing": 1, "resolved": 0, "muted": 0}
    assert row["told"] == ["slack_channel:#a", "email:ops@example.com"]
    assert row["started_at"] == "2026-11-26T12:00:00Z"
    assert row["acked_by"] is row["assigned_to"] is row["ended_at"] is None


def test_one_incident_says_who_was_told_and_what_came_of_it(desk):
    """Each notification of the timeline carries its delivery; who hears more, and when, is there too."""
    shown = desk.shown()
    assert [(each["kind"], each["text"]) for each in shown["timeline"]] == [
        ("began", "began"),
        ("fired", "x fires"),
        ("told", "opened sent to slack_channel:#a"),
        ("told", "opened sent to email:ops@example.com"),
    ]
    assert shown["timeline"][2]["delivery"] == {
        "seq": 1, "reason": "opened", "at": "2026-11-26T12:00:00Z", "delivered": True, "attempts": 1, "error": None,
        "note": None,
    }  # fmt: skip
    assert shown["who"]["escalate"] == [{"after": "15 minutes", "targets": ["pagerduty:default"]}]


def test_a_delivery_that_was_given_up_says_why():
    """The reason is in the timeline of the incident that could not be told."""
    answers = [{"status": 200, "body": {"ok": False, "error": "channel_not_found"}}]
    broken = {"at": START.isoformat(), "target": {"slack_channel": "#a"}, "answers": answers}
    told = [each for each in ApiHarness(broken, fire()).shown()["timeline"] if each.get("target") == "slack_channel:#a"]
    assert told[0]["delivery"]["delivered"] is False
    assert told[0]["delivery"]["error"]


@pytest.mark.parametrize("length", [4, 8, 16])
def test_an_incident_is_found_by_its_beginning(desk, length):
    """The first characters of an id will do."""
    id = desk.shown()["id"]
    assert desk.ask("show_incident", id=id[:length].upper())["incident"]["id"] == id


@pytest.mark.parametrize("id", ["", "abc", "ffffffffffffffff", "../x"])
def test_an_unknown_incident_is_not_found(desk, id):
    """Too few characters, and characters of none."""
    with pytest.raises(NotFoundError, match="begins with"):
        desk.ask("show_incident", id=id)


def test_two_that_begin_alike_are_both_named(desk):
    """The person is told the ids to choose from."""
    for id in ("abcd1", "abcd2"):
        desk.router.store.save(Incident(key=id, id=id, version=1, episode=Episode(started_at=START)))
    with pytest.raises(NotUniqueError, match="abcd1, abcd2"):
        desk.ask("show_incident", id="abcd")


ACTS = [
    ("ack", {"by": "ana"}, ("ack", "ana", "acknowledged")),
    ("ack", {"by": "ana", "note": "mine"}, ("ack", "ana", "acknowledged: mine")),
    ("note", {"by": "bo", "note": "disk full"}, ("note", "bo", "disk full")),
    ("assign", {"by": "bo", "to": "cy"}, ("reassign", "bo", "assigned to cy")),
    ("resolve", {"by": "ana", "note": "was a test"}, ("resolve", "ana", "resolved: was a test")),
]


@pytest.mark.parametrize(("act", "body", "line"), ACTS, ids=[row[0] for row in ACTS])
def test_what_people_do_is_in_the_timeline(desk, act, body, line):
    """Who did what, once, however often it is sent under one key."""
    id = desk.shown()["id"]
    for _ in range(2):
        answer = desk.ask("act", body=body, key="k1", id=id[:6], act=act)
        assert (answer["status"], answer["id"], answer["incident"]) == ("accepted", "k1", id)
        desk.wait(timedelta(seconds=2))
        if act == "resolve":
            break
    done = [(each["kind"], each["by"], each["text"]) for each in desk.shown()["timeline"] if each["by"]]
    assert done == [line]


NOTED = {"by": "ana", "note": "one"}


@pytest.mark.parametrize(
    ("act", "body", "holder"),
    [
        ("note", {**NOTED, "note": "two"}, ""),
        ("note", {**NOTED, "by": "ben"}, ""),
        ("note", NOTED, "ben"),
        ("ack", NOTED, ""),
        ("ack", {"by": "ben"}, ""),
    ],
)
def test_an_act_with_the_key_of_another_request_is_refused(desk, act, body, holder):
    """Given a used key with another act, body or person → 422, and the act is not answered as accepted."""
    id = desk.shown()["id"]
    desk.ask("act", body=NOTED, key="k1", id=id, act="note")
    desk.wait(timedelta(minutes=1))
    with pytest.raises(KeyUsedError, match="another request") as raised:
        desk.ask("act", body=body, holder=holder, key="k1", id=id, act=act)
    assert raised.value.status == 422
    assert [(each["by"], each["text"]) for each in desk.shown()["timeline"] if each["by"]] == [("ana", "one")]


@pytest.mark.parametrize(("holder", "by", "account"), [("", "ana", "token:"), ("cy", "cy", "token:cy")])
def test_the_timeline_shows_the_door_and_the_account(desk, holder, by, account):
    """Given an act by a shared and by a named token → its line has the name, the door and the account."""
    desk.ask("act", body={"by": "ana", "note": "disk full"}, holder=holder, id=desk.shown()["id"], act="note")
    (line,) = [each for each in desk.shown()["timeline"] if each["by"]]
    assert (line["by"], line["via"], line["account"]) == (by, "api", account)
    assert all(each["via"] is None for each in desk.shown()["timeline"] if not each["by"])


@pytest.mark.parametrize("by", ["Tocsin", "pagerduty", "@here", "＠channel"])
@pytest.mark.parametrize(
    ("what", "names", "body"),
    [
        ("act", {"act": "ack"}, {}),
        ("make_silence", {}, {"matchers": {"service": "api"}, "for": "2h"}),
    ],
)
def test_a_shared_token_does_not_act_by_a_reserved_name(desk, by, what, names, body):
    """Given a reserved name and a shared token → 400 and nothing is done; a named token acts by its own name."""
    names = {**names, **({"id": desk.shown()["id"]} if what == "act" else {})}
    with pytest.raises(RequestError, match="reserved"):
        desk.ask(what, body={**body, "by": by}, **names)
    assert not [each for each in desk.shown()["timeline"] if each["by"]]
    desk.ask(what, body={**body, "by": by}, holder="ana", **names)
    assert desk.status == 202


def test_an_acknowledgement_stops_the_escalation_until_it_is_taken_back(desk):
    """Nobody is paged while somebody has it; taken back, the clock starts again."""
    id = desk.shown()["id"]
    desk.ask("act", body={"by": "ana"}, id=id, act="ack")
    assert desk.shown()["acked_by"] == "ana"
    assert desk.shown()["acks"] == [{"alert": "Boom", "by": "ana", "at": "2026-11-26T12:00:00Z"}]
    desk.wait(timedelta(minutes=30))
    assert "pagerduty:default" not in [each["target"] for each in desk.shown()["told"]]
    desk.ask("act", body={"by": "ana"}, id=id, act="unack")
    desk.wait(timedelta(minutes=16))
    assert "pagerduty:default" in [each["target"] for each in desk.shown()["told"]]


def test_an_assignment_is_shown_until_the_next(desk):
    """The last person who was given it has it."""
    id = desk.shown()["id"]
    for name in ("bo", "cy"):
        desk.ask("act", body={"by": "ana", "to": name}, id=id, act="assign")
        desk.wait(timedelta(seconds=1))
    assert desk.shown()["assigned_to"] == "cy"


def test_a_resolve_by_hand_ends_it(desk):
    """Whoever was told the fire is told the end, and who ended it."""
    desk.ask("act", body={"by": "ana"}, id=desk.shown()["id"], act="resolve")
    shown = desk.shown()
    assert shown["ended"] is True
    assert "resolved sent to slack_channel:#a" in [each["text"] for each in shown["timeline"]]
    assert desk.ask("list_incidents")["incidents"] == []
    assert len(desk.ask("list_incidents", {"status": ["ended"], "since": ["1h"]})["incidents"]) == 1


def test_the_name_of_a_tokens_holder_counts(desk):
    """With a token of one's own nobody can act in another's name."""
    desk.ask("act", body={"by": "mallory"}, holder="ana", id=desk.shown()["id"], act="ack")
    assert desk.shown()["acked_by"] == "ana"


def test_some_alerts_of_an_incident_can_be_acknowledged():
    """Matchers choose among the incident's alerts."""
    desk = ApiHarness(fire(), fire(name="y", zone="b"))
    desk.ask("act", body={"by": "ana", "matchers": ["zone=b"]}, id=desk.shown()["id"], act="ack")
    assert {each["title"]: each["acked_by"] for each in desk.shown()["alerts"]} == {"x": None, "y": "ana"}
    assert desk.shown()["acked_by"] is None


def test_alerts_are_listed_with_what_holds_them_back():
    """Pending and firing ones; a silence is named."""
    desk = ApiHarness(fire(), fire("web", "slow", kind="slow"))
    desk.ask("make_silence", body={"id": "s001", "matchers": {"service": "api"}, "for": "2h", "by": "ana"})
    found = desk.ask("list_alerts")["alerts"]
    assert [(each["name"], each["state"], each["silenced_by"]) for each in found] == [
        ("Boom", "suppressed", ["s001"]),
        ("Slow", "pending", []),
    ]
    assert [each["name"] for each in desk.ask("list_alerts", {"match": ["service=~w.*"]})["alerts"]] == ["Slow"]


def test_a_silence_says_at_once_what_it_mutes(desk):
    """The answer to making one already names the alerts."""
    body = {"matchers": ["service=api"], "for": "2h", "by": "ana", "comment": "deploying"}
    made = desk.ask("make_silence", body=body)
    assert [each["labels"] for each in made["silence"]["mutes"]] == [{"service": "api"}]
    (listed,) = desk.ask("list_silences")["silences"]
    assert (listed["by"], listed["comment"], listed["ends_at"]) == ("ana", "deploying", "2026-11-26T14:00:00Z")
    assert listed["mutes"] == made["silence"]["mutes"]
    assert desk.ask("show_silence", id=made["id"])["silence"]["id"] == made["id"]


def test_a_silence_is_edited_and_ended(desk):
    """What is left out of an edit stays; who changed it is kept; an ended one is listed when asked for."""
    id = desk.ask("make_silence", body={"matchers": ["service=api"], "for": "2h", "by": "ana", "comment": "c"})["id"]
    desk.wait(timedelta(minutes=1))
    desk.ask("edit_silence", body={"until": "2026-11-27T09:00", "timezone": "America/Sao_Paulo", "by": "bo"}, id=id)
    (listed,) = desk.ask("list_silences")["silences"]
    assert (listed["ends_at"], listed["comment"], listed["matchers"]) == ("2026-11-27T12:00:00Z", "c", ["service=api"])
    desk.wait(timedelta(minutes=1))
    desk.ask("end_silence", {"by": ["cy"]}, id=id)
    assert desk.ask("list_silences")["silences"] == []
    (ended,) = desk.ask("list_silences", {"ended": ["true"]})["silences"]
    assert [change["by"] for change in ended["changes"]] == ["bo", "cy"]
    assert ended["by"] == "ana"


def test_a_silence_that_ends_before_it_began_has_ended(desk):
    """Given a silence of tonight that is ended now → it has ended, and is not to come any more."""
    body = {"matchers": ["service=api"], "from": "22:00", "until": "23:00", "by": "ana"}
    id = desk.ask("make_silence", body=body)["id"]
    assert desk.ask("show_silence", id=id)["silence"]["state"] == "pending"
    desk.ask("end_silence", {"by": ["cy"]}, id=id)
    desk.wait(timedelta(minutes=1))
    assert desk.ask("show_silence", id=id)["silence"]["state"] == "ended"
    assert desk.ask("list_silences")["silences"] == []


def test_a_silence_of_an_incident_takes_its_labels_and_names(desk):
    """Nobody has to write matchers to silence what they look at."""
    made = desk.ask("make_silence", body={"incident": desk.shown()["id"][:5], "for": "1h", "by": "ana"})
    assert made["silence"]["matchers"] == ["alertname=Boom", "service=api"]


@pytest.mark.parametrize(
    ("timezone", "until", "ends_at"),
    [
        (None, "tomorrow", "2026-11-27T07:00:00Z"),
        (None, "tomorrow 14:00", "2026-11-27T12:00:00Z"),
        ("America/Sao_Paulo", "tomorrow 2 pm", "2026-11-27T17:00:00Z"),
        ("America/Sao_Paulo", "Friday 14:00 UTC", "2026-11-27T14:00:00Z"),
    ],
)
def test_a_time_is_in_the_zone_that_is_named(desk, timezone, until, ends_at):
    """Given `timezone` → times are in it; without it in the zone of the rules file."""
    rules = replace(desk.api.rules, options=replace(desk.api.rules.options, timezone="Europe/Riga"))
    form = {"by": "ana", "matchers": ["service=api"], "until": until, "timezone": timezone}
    reply = routes.make_silence(replace(desk.api, rules=rules), routes.Request(body=json.dumps(form).encode()))
    assert reply.body["silence"]["ends_at"] == ends_at


def test_a_silence_of_an_incident_without_its_group_label_mutes_it_alone():
    """Given an incident grouped by service whose alert has none → the silence mutes no alert of any service."""
    bare = {"at": START.isoformat(), "event": {"name": "x", "labels": {"zone": "eu"}}}
    desk = ApiHarness(fire(), bare)
    (id,) = [each["id"] for each in desk.ask("list_incidents")["incidents"] if not each["group"]]
    made = desk.ask("make_silence", body={"incident": id, "for": "1h", "by": "ana"})["silence"]
    assert made["matchers"] == ["alertname=Boom", "service="]
    assert [each["incident"] for each in made["mutes"]] == [id]


KEYED = {"by": "ana", "matchers": ["service=api"], "for": "1h", "comment": "deploying"}


def test_a_request_with_a_key_that_comes_again_changes_nothing(desk):
    """Given the same key and body ten minutes later → the first answer: the end stays, and no edit is recorded."""
    first = desk.ask("make_silence", body=KEYED, key="k1")
    desk.wait(timedelta(minutes=10))
    waiting = list(desk.router.queues.webhooks.heap)
    assert desk.ask("make_silence", body=KEYED, key="k1") == first
    assert desk.router.queues.webhooks.heap == waiting
    (listed,) = desk.ask("list_silences")["silences"]
    assert (listed["ends_at"], listed["changes"]) == ("2026-11-26T13:00:00Z", [])


@pytest.mark.parametrize(
    "other",
    [{**KEYED, "matchers": ["service=web"]}, {**KEYED, "for": "2h"}, {**KEYED, "by": "ben"}, {**KEYED, "id": "abcd"}],
)
def test_a_key_of_another_request_is_refused(desk, other):
    """Given a used key with another body → 422, and the first silence stays as it is."""
    desk.ask("make_silence", body=KEYED, key="k1")
    desk.wait(timedelta(minutes=10))
    before = desk.router.store.context()
    with pytest.raises(KeyUsedError, match="that of another request") as raised:
        desk.ask("make_silence", body=other, key="k1")
    assert raised.value.status == 422
    assert desk.router.store.context() == before


def test_two_requests_with_one_key_before_the_worker_make_one_silence(desk):
    """Given both accepted before the first is stored → one silence with the first end; the other body is reported."""
    answer = [
        routes.make_silence(office, routes.Request(body=json.dumps(body).encode(), key="k1")).body["silence"]["ends_at"]
        for office, body in (
            (desk.api, KEYED),
            (replace(desk.api, now=START + timedelta(seconds=2)), KEYED),
            (replace(desk.api, now=START + timedelta(seconds=3)), {**KEYED, "matchers": ["service=db"]}),
        )
    ]
    desk.router.settle()
    (found,) = desk.router.store.context().silences
    assert (str(found.ends_at), len(set(answer)), found.changes) == ("2026-11-26 13:00:00+00:00", 3, ())
    assert [each.written() for each in found.matchers] == ["service=api"]
    assert any("was refused" in each["title"] for each in desk.ask("list_alerts")["alerts"])


def test_an_edit_with_a_key_is_done_once(desk):
    """Given a PUT that is repeated with its key → the end does not move, also after another edit."""
    id = desk.ask("make_silence", body=KEYED)["id"]
    desk.wait(timedelta(minutes=1))
    edit = {"for": "2h", "by": "bo"}
    for minutes in (0, 5):
        desk.wait(timedelta(minutes=minutes))
        desk.ask("edit_silence", body=edit, id=id, key="k2")
    with pytest.raises(KeyUsedError):
        desk.ask("edit_silence", body={**edit, "for": "3h"}, id=id, key="k2")
    (listed,) = desk.ask("list_silences")["silences"]
    assert (listed["ends_at"], [each["by"] for each in listed["changes"]]) == ("2026-11-26T14:01:00Z", ["bo"])


def test_a_silence_that_is_made_anew_by_its_id_is_its_editors(desk):
    """Given POST with the id of another person's silence in the body → the editor is shown as its author."""
    desk.ask("make_silence", body={**KEYED, "id": "failover-1"})
    desk.wait(timedelta(minutes=1))
    desk.ask("make_silence", body={"id": "failover-1", "by": "ben", "matchers": ["service=web"], "for": "1h"})
    (listed,) = desk.ask("list_silences")["silences"]
    assert (listed["by"], listed["matchers"]) == ("ben", ["service=web"])
    assert [each["by"] for each in listed["changes"]] == ["ben"]


def test_maintenance_is_kept_by_an_edit(desk):
    """An edit that does not say otherwise leaves its kind."""
    body = {"id": "m001", "matchers": ["service=api"], "for": "2h", "by": "ana", "maintenance": True}
    desk.ask("make_silence", body=body)
    desk.wait(timedelta(seconds=1))
    desk.ask("make_silence", body={"id": "m001", "for": "3h", "by": "ana"})
    assert [each["maintenance"] for each in desk.ask("list_silences")["silences"]] == [True]


def test_who_hears_of_a_service(desk):
    """By rule with its severity, and by severity where no rule matches."""
    rows = desk.ask("who", {"service": ["api"]})["who"]
    assert [(each["rule"], each["severity"], each["targets"]) for each in rows] == [
        ("Boom", "critical", ["slack_channel:#a", "email:ops@example.com"]),
        ("Slow", "any", ["slack_channel:#slow"]),
        (None, "any", ["slack_channel:#rest"]),
    ]
    (row,) = desk.ask("who", {"incident": [desk.shown()["id"]]})["who"]
    assert row["route"] == "rule/Boom"


SILENCE = {"by": "ana", "matchers": ["a=b"]}
MISTAKES = [
    ("no name", ("act", {"act": "ack"}), {}, {}, "by"),
    ("a note of nothing", ("act", {"act": "note"}), {}, {"by": "ana"}, "note"),
    *[(f"{act} with half a character", ("act", {"act": act}), {}, {"by": "ana", field: "a\ud800"}, f"`{field}` has a character that is no text") for act, field in (("ack", "note"), ("note", "note"), ("assign", "to"), ("ack", "by"))],
    ("assigned to nobody", ("act", {"act": "assign"}), {}, {"by": "ana"}, "to"),
    ("an unknown act", ("act", {"act": "explode"}), {}, {"by": "ana"}, "allowed are ack"),
    ("an unknown field", ("act", {"act": "ack"}), {}, {"by": "ana", "who": "x"}, "`who` is unknown"),
    ("no JSON", ("act", {"act": "ack"}), {}, b"{", "not JSON"),
    ("no object", ("act", {"act": "ack"}), {}, b"[]", "no object"),
    ("too large", ("act", {"act": "ack"}), {}, b" " * (64 * 1024 + 1), "allowed are"),
    ("a broken pattern", ("act", {"act": "ack"}), {}, {"by": "ana", "matchers": {"a": "=~("}}, "regular expression"),
    ("a look-ahead", ("make_silence", {}), {}, {"by": "ana", "for": "1h", "matchers": ["a=~x(?=y)"]}, "column 2: look-ahead"),
    ("a huge repetition", ("act", {"act": "ack"}), {}, {"by": "ana", "matchers": {"a": "!~x{99999999999999}"}}, "too often"),
    ("a look-behind in a filter", ("list_alerts", {}), {"match": ["a=~(?<=x)y"]}, None, "column 1: look-behind"),
    ("a matcher that is none", ("act", {"act": "ack"}), {}, {"by": "ana", "matchers": ["service"]}, "no matcher"),
    ("no end", ("make_silence", {}), {}, {"by": "ana", "matchers": ["a=b"]}, "end is missing"),
    ("two ends", ("make_silence", {}), {}, {"by": "ana", "matchers": ["a=b"], "for": "1h", "until": "2h"}, "one of them"),
    ("no matchers", ("make_silence", {}), {}, {"by": "ana", "for": "1h"}, "matchers"),
    ("mutes everything", ("make_silence", {}), {}, {"by": "ana", "for": "1h", "matchers": ["a!=b"]}, "everything"),
    ("a past end", ("make_silence", {}), {}, {"by": "ana", "until": "2020-01-01T00:00Z", "matchers": ["a=b"]}, "ends before"),
    ("for ever", ("make_silence", {}), {}, {"by": "ana", "for": "5000d", "matchers": ["a=b"]}, "too long"),
    ("no time", ("make_silence", {}), {}, {"by": "ana", "for": "soon", "matchers": ["a=b"]}, "no time"),
    ("for a time", ("make_silence", {}), {}, {"by": "ana", "matchers": ["a=b"], "for": "18:30"}, "no time from now"),
    ("until a duration", ("make_silence", {}), {}, {"by": "ana", "matchers": ["a=b"], "until": "2h"}, "which `for` takes"),
    ("no zone for a duration", ("make_silence", {}), {}, {"by": "ana", "for": "1h", "timezone": "Mars", "matchers": ["a=b"]}, "Mars"),
    ("no zone", ("make_silence", {}), {}, {"by": "ana", "until": "18:30", "timezone": "Mars", "matchers": ["a=b"]}, "Mars"),
    ("too long a comment", ("make_silence", {}), {}, {"by": "ana", "for": "1h", "matchers": ["a=b"], "comment": "x" * 1001}, "allowed are 1,000"),
    ("too long an id", ("make_silence", {}), {}, {"id": "i" * 65, "by": "ana", "for": "1h", "matchers": ["a=b"]}, "allowed are 4 to 64"),
    *[("an id that ends nothing", ("make_silence", {}), {}, {"id": id, **SILENCE, "for": "1h"}, "allowed are 4 to 64") for id in ("", "abc", "../../x y\u202e<b>", "a/bcd", "å" * 8)],
    ("an incident and matchers", ("make_silence", {}), {}, {"incident": "x", **SILENCE, "for": "1h"}, "both `incident` and `matchers`"),
    ("too long a value", ("make_silence", {}), {}, {"by": "ana", "for": "1h", "matchers": {"a": "x" * 2001}}, "allowed are 2,000"),
    ("an unknown status", ("list_incidents", {}), {"status": ["shut"]}, None, "open, ended, all"),
    ("a limit", ("list_incidents", {}), {"limit": ["many"]}, None, "1 to 1000"),
    ("a match", ("list_alerts", {}), {"match": ["=x"]}, None, "no matcher"),
    ("who of nothing", ("who", {}), {}, None, "service"),
    ("no such silence", ("show_silence", {"id": "nope"}), {}, None, "no silence"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "query", "body", "says"), [row[1:] for row in MISTAKES], ids=[r[0] for r in MISTAKES])
def test_mistakes_are_told(desk, what, query, body, says):
    """Each says what is wrong and what is allowed, and nothing is put on the queue."""
    name, names = what
    if name == "act":
        names = {"id": desk.shown()["id"], **names}
    waiting = list(desk.router.queues.webhooks.heap)
    with pytest.raises(RequestError, match=says):
        desk.ask(name, query, body, **names)
    assert desk.router.queues.webhooks.heap == waiting


WORDS = (*extremes.TIMES, *extremes.DURATIONS)
EXTREMES = [
    *[("make_silence", {}, {**SILENCE, name: word}) for name in ("for", "until") for word in WORDS],
    *[("make_silence", {}, {**SILENCE, "for": "1h", "from": word}) for word in WORDS],
    *[("list_incidents", {"status": ["all"], "since": [word]}, None) for word in WORDS],
    *[("list_incidents", {"limit": [word]}, None) for word in ("9" * 5_000, "1" * 60_000, "٩" * 5_000)],
    *[("list_history", {"day": [word]}, None) for word in (*extremes.DURATIONS, "10000-01-01", "0000-01-01")],
]


@pytest.mark.parametrize(("name", "query", "body"), EXTREMES, ids=[f"{row[0]}-{row[1:]}"[:60] for row in EXTREMES])
def test_what_no_date_and_no_number_can_hold_is_told(desk, name, query, body):
    """A query or a body with a time, a duration or a number beyond all bounds is a mistake, and changes nothing."""
    waiting = list(desk.router.queues.webhooks.heap)
    with pytest.raises(RequestError, match=r"expected is|allowed (is|are)"):
        desk.ask(name, query, body)
    assert desk.router.queues.webhooks.heap == waiting


def test_a_silence_without_room_is_refused_before_it_is_queued(desk):
    """Where the context is full of active silences the API answers 409 with the reason; an edit of one is taken."""
    desk.ask("make_silence", body={"id": "s001", "matchers": ["service=api"], "for": "1h", "by": "ana"})
    (one,) = desk.router.store.context().silences
    others = tuple(replace(one, id=f"n{number}") for number in range(1, MAX_SILENCES))
    context = desk.router.store.context()
    desk.router.store.save_context(replace(context, silences=(one, *others), version=context.version + 1))
    waiting = list(desk.router.queues.webhooks.heap)
    with pytest.raises(FullError, match="allowed are 500 silences") as raised:
        desk.ask("make_silence", body={"matchers": ["service=web"], "for": "1h", "by": "ana"})
    assert raised.value.status == 409
    assert desk.router.queues.webhooks.heap == waiting
    assert desk.ask("edit_silence", body={"for": "2h", "by": "ana"}, id="s001")["status"] == "accepted"


def test_what_is_over_cannot_be_acted_on(desk):
    """An ended incident and an ended silence say since when."""
    id = desk.shown()["id"]
    desk.ask("act", body={"by": "ana"}, id=id, act="resolve")
    assert "is resolved since 2026-11-26" in desk.ask("act", body={"by": "ana"}, id=id, act="ack")["error"]
    assert desk.status == 409
    name = desk.ask("make_silence", body={"matchers": ["service=api"], "for": "1m", "by": "ana"})["id"]
    desk.wait(timedelta(minutes=2))
    with pytest.raises(OverError):
        desk.ask("end_silence", {"by": ["ana"]}, id=name)
    with pytest.raises(NotFoundError):
        desk.ask("end_silence", {"by": ["ana"]}, id="nope")


SERVICES = """
services:
  api: {aliases: {sentry: api-backend}, owner: core, tier: 1, depends_on: [db, mail], links: {wiki: "https://w.example.com"}}
  db: {owner: data}
  mail: {depends_on: [db]}
alerts: [{name: Boom, match: {service: api}, notification: [{slack_channel: "#a"}]}]
default: {notification: [{slack_channel: "#rest"}]}
"""


@pytest.mark.parametrize("name", ["api", "api-backend"])
def test_who_says_whose_a_service_is(name):
    """Given services in the rules, when one is asked for by any of its names → the answer has its owner and what it needs."""
    desk = ApiHarness(rules=SERVICES)
    answer = desk.ask("who", {"service": [name]})
    assert answer["service"] == {
        "name": "api",
        "owner": "core",
        "tier": 1,
        "links": {"wiki": "https://w.example.com"},
        "depends_on": [{"name": "db", "owner": "data"}, {"name": "mail", "owner": ""}],
        "needed_by": [],
    }
    assert next((each["rule"], each["targets"]) for each in answer["who"]) == ("Boom", ["slack_channel:#a"])
    assert desk.ask("who", {"service": ["db"]})["service"]["needed_by"] == ["api", "mail"]
    assert "service" not in desk.ask("who", {"service": ["other"]})
