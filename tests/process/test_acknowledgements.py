"""An acknowledgement is a fact: every target that was notified knows it, and it lasts until the end is notified."""

from dataclasses import replace
from datetime import timedelta

import pytest

from chalicelib.core.event import Action, ActionKind, Severity, Status
from chalicelib.messages.queue import action_message
from tests.scenario import START, Router, event, rules_of
from tests.sources.bodies import body, changed
from tests.sources.bodies import event as parsed

RULES = """
default:
  notification: [{slack_channel: "#incidents"}, {pagerduty: true}]
  escalate: [{after: 15m, notification: [{email: boss@example.com}]}]
alerts:
  - name: Errors
    severity: critical
    condition: error_rate > 1%
    for: 30s
"""


@pytest.fixture
def router():
    """A router under the default grouping with Slack, PagerDuty, and an escalation by mail after 15 minutes."""
    found = Router(rules_of(RULES))
    yield found
    found.close()


def pages(router):
    """What PagerDuty has: the status of each of its incidents by its key, with our id as `i`."""
    found = router.inbox.memory.incidents
    first = found[0]["dedup_key"] if found else ""
    return {each["dedup_key"].replace(first, "i"): each["status"] for each in found}


def asked(router):
    """What PagerDuty was asked, in order: the act and the number of its wave."""
    events = [each.json() for each in router.inbox.requests if each.service == "pagerduty"]
    return [(each["event_action"], each["dedup_key"].partition(":")[2]) for each in events]


def act_there(router, kind, by="ben", wave=1):
    """A person acts at PagerDuty, on a wave of the one incident."""
    (incident,) = router.store.incidents()
    key = incident.id if wave == 1 else f"{incident.id}:{wave}"
    name = f"{kind}-{router.now.isoformat()}"
    action = Action(
        ActionKind(kind), by, router.now, incident=key, via="pagerduty", id=name, alias=f"pagerduty:Q{wave}"
    )
    router.webhooks.put([action_message(action)])
    return router


def holder(router):
    """Who has the one alert that there is."""
    (incident,) = router.store.incidents()
    return {alert.ack.by for alert in incident.firing}


def mails(router):
    """The number of mails: each is an escalation."""
    return sum(each.service == "ses" for each in router.inbox.requests)


def lose(router, number):
    """PagerDuty takes the next requests, and the answer to this one of them is lost."""
    router.inbox.answer("pagerduty", "v2/enqueue", [{}] * (number - 1) + [{"status": 503, "after_accept": True}])


# ---------------------------------------------------------------------------------------------------------------------
# It survives a flap


def test_an_event_that_flaps_stays_acknowledged(router):
    """Given an acknowledged event, when it ends and fires again before the end is notified, then nobody else is called."""
    router.fire("Down").run(minutes=2).act("ack").run(minutes=1)
    router.resolve("Down").run(seconds=30).fire("Down").run(minutes=60)
    assert (holder(router), mails(router)) == ({"ana"}, 0)


def test_an_end_that_comes_late_leaves_the_acknowledgement(router):
    """Given an acknowledged event that fired again, when the end from between arrives late, then it is still acknowledged."""
    router.fire("Down").run(minutes=2).act("ack").run(minutes=1)
    ended_at = router.now
    router.run(seconds=30).fire("Down").run(seconds=5).resolve("Down", at=ended_at).run(minutes=60)
    assert (holder(router), mails(router)) == ({"ana"}, 0)


@pytest.mark.parametrize("values", [(0.5, 0.0, 0.0, 0.5), (0.5, 0.0, 0.5, 0.0, 0.5)])
def test_a_measured_alert_that_flaps_stays_acknowledged(router, values):
    """Given an acknowledged measured alert, when it is over for less than a flush, pending between or not, then Ana has it."""
    for _ in range(3):
        router.measure("error_rate", 0.5, service="api").run(seconds=30)
    router.act("ack").run(seconds=10)
    for value in values:
        router.measure("error_rate", value, service="api").run(seconds=20)
    for _ in range(100):
        router.measure("error_rate", 0.5, service="api").run(seconds=30)
    assert (holder(router), mails(router)) == ({"ana"}, 0)


def test_what_fires_after_a_notified_end_calls_people_anew(router):
    """Given an acknowledged event whose end was notified, when it fires again, then nobody has it and it is escalated."""
    router.fire("Down").run(minutes=2).act("ack").run(minutes=1).resolve("Down").run(minutes=6)
    router.fire("Down").run(minutes=20)
    assert (holder(router), mails(router)) == ({None}, 1)


# ---------------------------------------------------------------------------------------------------------------------
# Before anybody was notified


WINDOW = RULES.replace("alerts:", 'windows:\n  night: {from: "08:00", to: "10:00"}\nalerts:').replace(
    "default:\n", "default:\n  mute: [night]\n"
)


INHIBITED = RULES.replace("alerts:", "inhibit: [{cause: {alertname: Cause}, symptom: {alertname: Down}}]\nalerts:")


def wait(router):
    """The group_wait holds it back."""
    router.fire("Down", severity="warning").run(seconds=1).act("ack").run(minutes=2)


def window(router):
    """A mute window holds it back for an hour."""
    router.rules = rules_of(WINDOW)
    router.fire("Down").run(minutes=2).act("ack").run(minutes=70)


def maintenance(router):
    """Maintenance holds it back for ten minutes."""
    router.silence("m", minutes=10, maintenance=True, alertname="Down").run(seconds=1)
    router.fire("Down").run(minutes=2).act("ack").run(minutes=20)


def silence(router):
    """A silence holds it back for ten minutes."""
    router.silence("s", minutes=10, alertname="Down").run(seconds=1)
    router.fire("Down").run(minutes=2).act("ack").run(minutes=20)


def inhibition(router):
    """Another alert explains it for five minutes."""
    router.rules = rules_of(INHIBITED)
    router.fire("Cause", severity="info", service="db").run(minutes=1).fire("Down").run(minutes=1).act(
        "ack", alertname="Down"
    )
    router.run(minutes=3).resolve("Cause", severity="info", service="db").run(minutes=10)


@pytest.mark.parametrize("held", [wait, window, maintenance, silence, inhibition])
def test_what_was_acknowledged_before_it_is_notified_is_opened_acknowledged(router, held):
    """Given an alert that is held back, when it is acknowledged and then notified, then PagerDuty is asked for both at once."""
    held(router)
    assert asked(router) == [("trigger", ""), ("acknowledge", "")]
    assert pages(router) == {"i": "acknowledged"}
    texts = [each.fields["text"] for each in router.inbox.requests if each.operation == "chat.postMessage"]
    assert [each for each in texts if "Down" in each] == ["👀 [acknowledged] Down"]
    router.run(minutes=30)
    assert mails(router) == 0


@pytest.mark.parametrize("lost", [1, 2])
def test_an_opening_in_doubt_is_sent_again_with_its_acknowledgement(router, lost):
    """Given an opening whose first or second answer is lost, when it is tried again, then PagerDuty has it acknowledged."""
    lose(router, lost)
    wait(router)
    assert pages(router) == {"i": "acknowledged"}
    router.resolve("Down", severity="warning").run(minutes=10)
    assert pages(router) == {"i": "resolved"}


# ---------------------------------------------------------------------------------------------------------------------
# Whatever is muted


@pytest.mark.parametrize("by_maintenance", [False, True])
def test_an_acknowledgement_reaches_pagerduty_though_the_alert_is_silenced(router, by_maintenance):
    """Given a page that was silenced since, when it is acknowledged, then PagerDuty is acknowledged at once."""
    router.fire("Down").run(minutes=2).silence("s", minutes=60, maintenance=by_maintenance, alertname="Down")
    router.run(seconds=5).act("ack").run(seconds=5)
    assert pages(router) == {"i": "acknowledged"}


def test_an_acknowledgement_waits_for_pagerduty_while_the_alert_is_silenced(router):
    """Given a silenced page and PagerDuty down, when it is acknowledged, then PagerDuty knows it when it is up again."""
    router.fire("Down").run(minutes=2).silence("s", minutes=60, alertname="Down").run(seconds=5)
    router.inbox.answer("pagerduty", "v2/enqueue", [{"status": 500}] * 4)
    router.act("ack").run(minutes=5)
    assert pages(router) == {"i": "acknowledged"}


# ---------------------------------------------------------------------------------------------------------------------
# Waves


def test_giving_back_calls_people_again(router):
    """Given a page that Ana acknowledged, when she gives it back, then PagerDuty rings by a second alert that names the first."""
    router.fire("Down").run(minutes=2).act("ack").run(minutes=2).act("unack").run(seconds=5)
    assert pages(router) == {"i": "acknowledged", "i:2": "triggered"}
    _, second = router.inbox.memory.incidents
    assert second["title"] == "also: Down"
    assert second["first"]["custom_details"]["incident"] in second["first"]["custom_details"]["wave"]
    assert "Unacknowledged by ana." in second["first"]["custom_details"]["notes"]


def test_giving_back_at_once_calls_people_after_a_minute(router):
    """Given a page that was acknowledged and given back within its first minute, then a second one begins a minute after it."""
    router.fire("Down").run(seconds=35).act("ack").run(seconds=5).act("unack").run(seconds=10)
    assert pages(router) == {"i": "acknowledged"}
    router.run(seconds=60)
    assert pages(router) == {"i": "acknowledged", "i:2": "triggered"}


def test_an_acknowledgement_that_runs_out_calls_people_again(router):
    """Given a page that Ana acknowledged eight hours ago, when that runs out, then PagerDuty rings again."""
    router.fire("Down").run(minutes=2).act("ack").run(minutes=60)
    for _ in range(15):
        router.fire("Down").run(minutes=30)
    assert pages(router) == {"i": "acknowledged", "i:2": "triggered"}


def test_what_got_worse_calls_people_again(router):
    """Given a warning that Ana acknowledged, when it becomes critical, then PagerDuty rings again, at once."""
    labels = {"service": "web"}
    router.fire("Down", severity="warning", **labels).run(minutes=3).act("ack").run(minutes=2)
    (first,) = router.store.incidents()
    (known,) = first.firing
    assert known.ack.by == "ana"
    router.events(worse_of(router, "Down")).run(seconds=5)
    assert pages(router) == {"i": "acknowledged", "i:2": "triggered"}


def worse_of(router, name):
    """The same fault, critical."""
    made = event(name, Status.FIRING, router.now, {"service": "web", "severity": "warning"}, id="worse")
    return replace(made, severity=Severity.CRITICAL, labels={"service": "web", "severity": "critical"})


def test_what_is_new_in_an_acknowledged_incident_calls_people_again(router):
    """Given an incident that Ana acknowledged, when another alert joins it, then PagerDuty rings for it at the next flush."""
    router.fire("Down", pod="1").run(minutes=2).act("ack").run(minutes=1).fire("Down", pod="2").run(minutes=6)
    assert pages(router) == {"i": "acknowledged", "i:2": "triggered"}


def test_an_acknowledgement_reaches_all_waves_and_so_does_the_end(router):
    """Given three waves, when Ana acknowledges, then all are; when it is over, then one notification resolves them all."""
    router.fire("Down").run(minutes=2)
    for _ in range(2):
        router.act("ack").run(minutes=1).act("unack").run(minutes=1)
    assert pages(router) == {"i": "acknowledged", "i:2": "acknowledged", "i:3": "triggered"}
    router.act("ack", by="ben").run(seconds=5)
    assert set(pages(router).values()) == {"acknowledged"}
    before = len(asked(router))
    router.resolve("Down").run(minutes=6)
    assert asked(router)[before:] == [("resolve", ""), ("resolve", "2"), ("resolve", "3")]
    assert set(pages(router).values()) == {"resolved"}


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_an_end_of_three_waves_is_sent_again_as_a_whole(router, lost):
    """Given an end of three waves whose first, second or third answer is lost, then all three are resolved all the same."""
    router.fire("Down").run(minutes=2)
    for _ in range(2):
        router.act("ack").run(minutes=1).act("unack").run(minutes=1)
    lose(router, lost)
    router.resolve("Down").run(minutes=10)
    assert pages(router) == dict.fromkeys(["i", "i:2", "i:3"], "resolved")
    assert router.undone == []


def test_at_most_ten_waves(router):
    """Given an incident that is acknowledged and given back many times, then PagerDuty gets ten alerts, all of them resolved."""
    router.fire("Down").run(minutes=2)
    for _ in range(13):
        router.act("ack").run(minutes=1).act("unack").run(minutes=1)
    assert len(pages(router)) == 10
    last = router.inbox.memory.incidents[-1]["first"]["custom_details"]["notes"]
    assert any(each.startswith("This is the last of 10 alerts") for each in last)
    router.resolve("Down").run(minutes=6)
    assert set(pages(router).values()) == {"resolved"}


def test_every_pager_is_called_again(router):
    """Given two pagers that were acknowledged in Slack, when that is given back, then each of them rings again."""
    router.rules = rules_of(RULES.replace("{pagerduty: true}", "{pagerduty: true}, {pagerduty: db}"))
    router.fire("Down").run(minutes=2).act("ack").run(minutes=2).act("unack").run(minutes=1)
    found = [
        (each["routing"], each["dedup_key"].partition(":")[2], each["status"]) for each in router.inbox.memory.incidents
    ]
    assert len({routing for routing, *_ in found}) == 2
    assert sorted(each[1:] for each in found) == [("", "acknowledged")] * 2 + [("2", "triggered")] * 2


def test_a_pager_that_was_escalated_to_is_called_again(router):
    """Given a pager that was escalated to and acknowledged, when Ana gives it back, then it rings, and once more a step later."""
    router.rules = rules_of(
        RULES.replace("{email: boss@example.com}", "{pagerduty: true}").replace(", {pagerduty: true}", "")
    )
    router.fire("Down").run(minutes=17).act("ack").run(minutes=2).act("unack").run(seconds=5)
    assert pages(router) == {"i": "acknowledged", "i:2": "triggered"}
    router.run(minutes=16)
    assert asked(router)[-1] == ("trigger", "2")


def test_no_wave_while_the_newest_rings(router):
    """Given a page that nobody acknowledged, when it is reminded of, then it is triggered again under the same key."""
    router.fire("Down").run(minutes=500)
    assert set(asked(router)) == {("trigger", "")} and len(asked(router)) > 1


def test_giving_back_what_is_silenced_waits_for_the_end_of_the_silence(router):
    """Given an acknowledged page that is silenced, when it is given back, then PagerDuty rings once the silence is over."""
    router.fire("Down").run(minutes=2).act("ack").run(minutes=2).silence("s", minutes=30, alertname="Down")
    router.run(minutes=2).act("unack").run(minutes=20)
    assert pages(router) == {"i": "acknowledged"}
    router.run(minutes=15)
    assert pages(router) == {"i": "acknowledged", "i:2": "triggered"}


# ---------------------------------------------------------------------------------------------------------------------
# What people do at PagerDuty


def test_an_acknowledgement_there_is_not_sent_back(router):
    """Given a page, when Ben acknowledges it at PagerDuty, then Slack and the store know, and PagerDuty is asked nothing."""
    router.fire("Down").run(minutes=2)
    act_there(router, "ack").run(seconds=5)
    assert (holder(router), asked(router)) == ({"ben"}, [("trigger", "")])
    router.act("unack").run(seconds=5)
    assert asked(router)[1:] == [("trigger", "2")]


def test_an_acknowledgement_of_the_second_wave_finds_the_incident(router):
    """Given a second wave, when Ben acknowledges it at PagerDuty, then he has the incident, and its end resolves both."""
    router.fire("Down").run(minutes=2).act("ack").run(minutes=1).act("unack").run(minutes=1)
    act_there(router, "ack", wave=2).run(seconds=5)
    assert holder(router) == {"ben"}
    router.act("unack").run(minutes=1)
    assert pages(router).keys() == {"i", "i:2", "i:3"}


def test_an_acknowledgement_of_the_first_wave_silences_the_second(router):
    """Given a second wave that rings, when Ben acknowledges the first one at PagerDuty, then the second is acknowledged."""
    router.fire("Down").run(minutes=2).act("ack").run(minutes=1).act("unack").run(minutes=1)
    act_there(router, "ack", wave=1).run(seconds=5)
    assert (holder(router), pages(router)) == ({"ben"}, {"i": "acknowledged", "i:2": "acknowledged"})


def test_what_pagerduty_takes_back_rings_there_by_itself(router):
    """Given a page whose acknowledgement PagerDuty takes back, then nobody has it, and no second one is opened."""
    router.fire("Down").run(minutes=2)
    act_there(router, "ack").run(minutes=30)
    act_there(router, "unack").run(minutes=5)
    assert (holder(router), asked(router)) == ({None}, [("trigger", "")])


def test_resolving_one_wave_there_resolves_the_others(router):
    """Given two waves, when Ben resolves the second at PagerDuty, then the first is resolved too."""
    router.fire("Down").run(minutes=2).act("ack").run(minutes=1).act("unack").run(minutes=1)
    act_there(router, "resolve", wave=2).run(seconds=5)
    assert pages(router)["i"] == "resolved"
    assert list(router.store.incidents()) == []


@pytest.mark.parametrize("first", ["there", "here"])
def test_two_acts_at_once_in_both_orders_end_alike(router, first):
    """Given Ben who acknowledges at PagerDuty and Ana who gives back a second later, then it rings in any order of arrival."""
    router.fire("Down").run(minutes=2)
    (incident,) = router.store.incidents()
    at = router.now
    there = Action(ActionKind.ACK, "ben", at, incident=incident.id, via="pagerduty", id="there")
    here = Action(ActionKind.UNACK, "ana", at + timedelta(seconds=1), incident=incident.id, via="slack", id="here")
    for each in (there, here) if first == "there" else (here, there):
        router.run(seconds=2).webhooks.put([action_message(each)])
    router.run(minutes=2)
    assert holder(router) == {None}
    assert asked(router) == [("trigger", ""), ("trigger", "2")]


def test_what_is_reopened_there_is_a_line_of_the_ended_incident(router):
    """Given an incident that ended, when PagerDuty's is reopened twice under one id, then its timeline says so once."""
    router.fire("Down").run(minutes=2).resolve("Down").run(minutes=10)
    (ended,) = router.store.incidents(ended_since=START)
    webhook = changed(body("pagerduty/webhook_v3.incident.reopened.json"), event__data__incident_key=ended.id)
    for _ in range(2):
        made = replace(parsed("pagerduty", webhook), occurred_at=router.now)
        router.events(made).run(minutes=5)
    (after,) = router.store.incidents(ended_since=START)
    lines = [(each.text, each.by) for each in after.timeline.entries if each.kind == "note"]
    assert (after.id, after.episode.ended_at, lines) == (
        ended.id,
        ended.episode.ended_at,
        [("reopened at PagerDuty", "Oncall One")],
    )
    assert list(router.store.incidents()) == [] and asked(router) == [("trigger", ""), ("resolve", "")]
    router.fire("Down").run(minutes=2)
    (anew,) = router.store.incidents()
    assert not [each for each in anew.timeline.entries if each.kind == "note"]


def test_a_note_beside_a_new_beginning_stays_with_the_ended_incident(router):
    """Given an ended incident, when a note on it and its next beginning arrive together, then each incident has its own."""
    router.fire("Down").run(minutes=2).resolve("Down").run(minutes=10)
    (ended,) = router.store.incidents(ended_since=START)
    note = Action(ActionKind.NOTE, "ben", router.now, incident=ended.id, via="pagerduty", note="the disk", id="n")
    router.webhooks.put([action_message(note)])
    router.fire("Down").run(minutes=2)
    archived = router.store.archived(ended.id)
    assert [each.text for each in archived.timeline.entries if each.kind == "note"] == ["the disk"]
