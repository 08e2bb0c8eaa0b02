"""Who is notified of an incident, and why nobody is now: the API, Slack and the command line agree."""

import io
from contextlib import redirect_stdout
from datetime import timedelta

import pytest

from chalicelib.slack import command
from cli import incidents as incidents_command
from cli import show as show_command
from cli import who as who_command
from tests.api_harness import START, ApiHarness

RULES = """
defaults: {group_by: [service], group_wait: 0s, group_interval: 10m, repeat_interval: 30m, ack_timeout: 8h}
windows: {nights: {from: "13:00", to: "14:00"}}
inhibit: [{cause: {kind: power}, symptom: {kind: check}, equal: [service]}]
alerts:
  - name: Down
    match: {kind: check}
    severity: critical
    mute: [nights]
    escalate: [{after: 15m, notification: [{slack_channel: "#boss"}]}]
    notification: [{slack_channel: "#a"}]
default: {notification: [{slack_channel: "#rest"}]}
"""


def clock(minute):
    """A time of the story."""
    return (START + timedelta(minutes=minute)).isoformat()


def check(minute=0, status="firing", kind="check", **labels):
    """A check of `api` fails, or is well again."""
    event = {"name": kind, "kind": kind, "status": status, "labels": {"service": "api", **labels}}
    return {"at": clock(minute), "event": event}


def silence(minute=0, kind="silence", **more):
    """Ben silences `api` until 14:00."""
    held = {"id": "s1", "matchers": {"service": "api"}, "until": clock(120), "by": "ben", **more}
    return {"at": clock(minute), kind: held}


def ack(minute, name="ack", **matchers):
    """Ana acts on the incident."""
    return {"at": clock(minute), name: {"matchers": matchers, "by": "ana"}}


def story(*lines, minute):
    """A router after these lines, at a minute."""
    return ApiHarness(*lines, {"at": clock(minute), "end": True}, rules=RULES)


def row_of(desk):
    """The line of the incident in a list."""
    query = {"status": ["all"], "match": ["kind=check"]}
    (row,) = desk.ask("list_incidents", query)["incidents"]
    return row


def shown(desk):
    """The incident in full."""
    return desk.ask("show_incident", id=row_of(desk)["id"])["incident"]


def who(desk):
    """The answer to `who` of the incident, which is also part of what `show` answers."""
    found = shown(desk)
    (row,) = desk.ask("who", {"incident": [found["id"]]})["who"]
    assert {name: each for name, each in row.items() if name != "incident"} == found["who"]
    return row


def in_slack(desk):
    """What `/tocsin who` answers."""
    return command.audience(shown(desk), who(desk))


def on_terminal(desk):
    """What `tocsin who` and `tocsin show` print."""
    printed = io.StringIO()
    with redirect_stdout(printed):
        who_command.show([who(desk)])
    return "\n".join([printed.getvalue(), *show_command.lines(shown(desk))])


UNTIL = "until 2026-11-26T14:00:00Z"
MUTED = {
    "a silence": (
        (check(), silence(5, comment="deploying")),
        [{"kind": "silence", "name": "s1", "by": "ben", "comment": "deploying", "until": "2026-11-26T14:00:00Z"}],
        f"silence s1 of ben (deploying) {UNTIL}",
    ),
    "maintenance": (
        (silence(0, "maintenance"), check(1)),
        [{"kind": "maintenance", "name": "s1", "by": "ben", "comment": "", "until": "2026-11-26T14:00:00Z"}],
        f"maintenance s1 of ben {UNTIL}",
    ),
    "a cause": (
        (check(0, kind="power"), check(1)),
        [{"kind": "inhibition", "name": "power", "by": "", "comment": "", "until": None}],
        "power, which inhibits it while it fires",
    ),
}


@pytest.mark.parametrize(("lines", "muted_by", "words"), MUTED.values(), ids=MUTED)
def test_what_mutes_an_incident_is_named_instead_of_reminders(lines, muted_by, words):
    """Given a muted incident → every door says that nobody is notified now, by what and until when."""
    desk = story(*lines, minute=6)
    found = who(desk)
    assert (found["notified"], found["message"]) == (False, f"nobody is notified now: muted by {words}")
    assert found["muted_by"] == muted_by
    for said in (in_slack(desk), on_terminal(desk)):
        assert "obody is notified now: muted by" in said
        assert "again every" not in said and "every 30 minutes" not in said and "#boss" not in said


def test_a_window_is_named_and_its_end():
    """Given a mute window → `who`, `show` and the list call the incident muted, as under a silence."""
    desk = story(check(), minute=65)
    words = "nobody is notified now: muted by the window nights until 2026-11-26T14:00:00Z"
    assert who(desk)["message"] == words
    assert row_of(desk)["counts"] == {"firing": 1, "resolved": 0, "muted": 1}
    assert incidents_command.status(row_of(desk)) == "muted"
    assert command.listed([row_of(desk)]).endswith("· muted")
    assert "muted by the window nights until <!date^" in in_slack(desk)
    assert shown(desk)["alerts"][0]["state"] == "suppressed"


def test_after_the_window_reminders_are_promised_again():
    """Given a window that has closed → the audience stands as it is."""
    found = who(story(check(), minute=125))
    assert (found["notified"], found["message"], found["muted_by"]) == (True, "", [])


def test_of_labels_the_window_says_until_when():
    """Given a mute window, when labels are asked for → each row has the end of its quiet."""
    desk = story(check(), minute=65)
    rows = {row["rule"]: row for row in desk.ask("who", {"service": ["api"]})["who"]}
    assert rows["Down"]["quiet_now"] == ["nights"]
    assert rows["Down"]["quiet_until"] == "2026-11-26T14:00:00Z"
    assert rows[None]["quiet_until"] is None
    assert "quiet now: nights, until <!date^" in command.audiences(list(rows.values()))


def test_some_muted_alerts_are_counted():
    """Given one muted alert of two → the others are notified, and the muted one is counted with its silence."""
    desk = story(check(), check(0, zone="b"), silence(5, matchers={"zone": "b"}), minute=6)
    found = who(desk)
    assert (found["notified"], found["message"]) == (True, f"1 of 2 alerts is muted by silence s1 of ben {UNTIL}")
    assert row_of(desk)["counts"]["muted"] == 1
    assert "again every 30 minutes" in in_slack(desk)


def test_maintenance_mutes_nothing_that_was_notified_before():
    """Given maintenance after the first notification → no door calls the incident muted, and reminders go on."""
    desk = story(check(), silence(5, "maintenance"), minute=6)
    assert (who(desk)["notified"], who(desk)["message"], who(desk)["muted_by"]) == (True, "", [])
    assert row_of(desk)["counts"]["muted"] == 0
    assert [each["state"] for each in shown(desk)["alerts"]] == ["firing"]
    said = (command.listed([row_of(desk)]), command.shown(shown(desk)), in_slack(desk), on_terminal(desk))
    assert not [each for each in said if "muted" in each.lower() or "silenced" in each.lower()]


def test_an_acknowledged_incident_is_not_promised_reminders():
    """Given an acknowledged incident → no reminder and no escalation until the acknowledgement runs out."""
    desk = story(check(), ack(5), minute=6)
    found = who(desk)
    assert (found["notified"], found["message"]) == (
        True,
        "no reminder and no escalation until 2026-11-26T20:05:00Z: ana has acknowledged it",
    )
    said = in_slack(desk)
    assert "ana has acknowledged it" in said and "again every" not in said and "#boss" not in said


ENDS = {
    "resolved": (15, "nothing fires any more since 2026-11-26T12:14:00Z; "
                 "its resolve is sent at 2026-11-26T12:20:00Z unless it fires again"),
    "ended": (30, "nobody is notified any more: it is resolved since 2026-11-26T12:14:00Z"),
}  # fmt: skip


@pytest.mark.parametrize(("minute", "words"), ENDS.values(), ids=ENDS)
def test_after_the_end_it_says_who_had_it(minute, words):
    """Given an acknowledged incident that is resolved → every door says who had it, and promises no reminder."""
    desk = story(check(), ack(5), check(14, "resolved"), minute=minute)
    found = shown(desk)
    assert found["acks"] == [{"alert": "Down", "by": "ana", "at": "2026-11-26T12:05:00Z"}]
    assert (found["acked_by"], row_of(desk)["acked_by"]) == ("ana", "ana")
    assert (who(desk)["notified"], who(desk)["message"]) == (False, words)
    for said in (in_slack(desk), command.shown(found)):
        assert "ana had acknowledged it" in said
        assert "obody has acknowledged" not in said and "again every" not in said
    assert "ana at 26 Nov" in on_terminal(desk)
    assert incidents_command.status(row_of(desk)) == ("ended" if minute == 30 else "resolved")


def test_after_the_end_nobody_had_it():
    """Given an incident that ended without an acknowledgement → that is said of the past."""
    desk = story(check(), check(14, "resolved"), minute=30)
    assert shown(desk)["acks"] == [] and shown(desk)["acked_by"] is None
    assert "Nobody had acknowledged it" in in_slack(desk)


def test_what_was_given_back_is_nobodys_after_the_end():
    """Given an acknowledgement that was given back before the end → nobody had it."""
    desk = story(check(), ack(5), ack(6, "unack"), check(14, "resolved"), minute=30)
    assert shown(desk)["acks"] == [] and shown(desk)["acked_by"] is None


def test_an_end_before_the_first_notification_is_sent_to_nobody():
    """Given an incident that nobody was notified of → no resolve is promised."""
    desk = story(silence(0), check(1), check(14, "resolved"), minute=15)
    assert who(desk)["message"] == "nothing fires any more since 2026-11-26T12:14:00Z; no target was notified of it"


def test_an_acknowledged_and_silenced_incident_shows_both():
    """Given an acknowledged incident that is silenced → lists, `show` and `who` name both."""
    desk = story(check(), ack(5), silence(6), minute=7)
    assert incidents_command.status(row_of(desk)) == "acked, muted"
    assert command.listed([row_of(desk)]).endswith("· acknowledged by ana, muted")
    assert "silenced by s1, acked by ana" in on_terminal(desk)
    assert "ana has acknowledged it" in in_slack(desk) and "muted by silence s1 of ben" in in_slack(desk)
    said = command.shown(shown(desk))
    assert "acknowledged by ana" in said and "obody is notified now: muted by silence s1 of ben" in said


SERVICE = {
    "name": "api",
    "owner": "core",
    "tier": 1,
    "links": {"wiki": "https://w.example.com"},
    "depends_on": [{"name": "db", "owner": "data"}, {"name": "mail", "owner": ""}],
    "needed_by": ["web"],
}


def test_whose_a_service_is_is_said_everywhere():
    """Given the answer about a service → the terminal and Slack show its owner, its tier, what it needs and what needs it."""
    assert list(who_command.service_lines(SERVICE)) == [
        "api: owner core, tier 1",
        "depends on: db (data), mail",
        "needed by: web",
        "wiki: https://w.example.com",
    ]
    assert next(iter(who_command.service_lines({**SERVICE, "owner": "", "tier": None, "links": {}}))) == "api: no owner"
    assert command.audiences([], (), SERVICE).splitlines()[0] == (
        "*api* · owner core · tier 1 · depends on db, mail · needed by web"
    )
    assert list(who_command.service_lines(None, "x")) == ["The rules of this stage have no service 'x'. By that label:"]
    assert list(who_command.service_lines(None)) == []
