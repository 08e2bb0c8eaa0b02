"""Webhooks of real senders through the whole router: one fault is one alert, and its end ends it."""

import json
from datetime import timedelta

import pytest

from chalicelib.messages.webhook import Webhook, compressed, written
from tests.scenario import Router, rules_of
from tests.sources.bodies import body, changed, raw

RULES = """
alerts: []
default:
  group_by: []
  group_wait: 0s
  group_interval: 1m
  notification: [{slack_channel: "#all"}, {pagerduty: true}]
"""
SENTRY = {"sentry-hook-resource": "issue"}


class Story:
    """A router that posts real bodies; `...` fields of `post` are as in `changed`."""

    def __init__(self):
        self.router = Router(rules_of(RULES))

    def post(self, source, given, headers=None, *, minutes=5):
        """A webhook arrives, and time passes."""
        data = given if isinstance(given, bytes) else json.dumps(given).encode()
        webhook = Webhook(id="w", source=source, body=data, received_at=self.router.now, headers=headers or {})
        self.router.webhooks.put([written(webhook, compressed(data))])
        self.router.run(minutes=minutes)
        return self

    @property
    def told(self):
        """What Slack and PagerDuty heard."""
        return self.router.told()

    @property
    def now(self):
        """The time, as bodies write it."""
        return self.router.now.isoformat()

    @property
    def stamp(self):
        """The time in seconds."""
        return int(self.router.now.timestamp())


@pytest.fixture
def story():
    """A story that gives back its address."""
    found = Story()
    yield found
    found.router.close()


def sentry(story, name, **fields):
    """A Sentry body that happens now."""
    return changed(body(f"sentry/{name}.json"), **fields)


def test_one_occurrence_told_three_times_is_one_alert(story):
    """issue.created, event_alert and error of one issue: one message, one page, and its end ends both."""
    number = "1170820242"
    story.post(
        "sentry",
        sentry(story, "issue_created_docs", data__issue__id=number, data__issue__firstSeen=story.now),
        SENTRY,
        minutes=0,
    )
    story.post(
        "sentry",
        sentry(story, "event_alert_triggered_docs", data__event__issue_id=number, data__event__datetime=story.now),
        minutes=0,
    )
    story.post("sentry", sentry(story, "error_created_docs", data__error__datetime=story.now))
    assert story.told == {"slack": ["opened"], "pagerduty": ["trigger"]}
    (incident,) = story.router.store.incidents()
    assert len(incident.firing) == 1
    story.post("sentry", sentry(story, "issue_created_docs", action="resolved", data__issue__id=number), SENTRY)
    assert story.told == {"slack": ["opened", "resolved"], "pagerduty": ["trigger", "resolve"]}


def test_an_issue_that_comes_back_is_told_again(story):
    """created, ignored, unresolved, resolved: two incidents, each with its end."""
    for action in ("created", "ignored", "unresolved", "resolved"):
        given = sentry(
            story,
            "issue_created_docs",
            action=action,
            data__issue__firstSeen=story.now,
            data__issue__lastSeen=story.now,
        )
        story.post("sentry", given, {**SENTRY, "sentry-hook-timestamp": str(story.stamp)})
    assert story.told["pagerduty"] == ["trigger", "resolve", "trigger", "resolve"]


def test_an_end_without_a_time_ends_again(story):
    """Resolved, back, and resolved by the same body without a time: the second end counts, a doubled one does no harm."""
    for action in ("created", "resolved", "resolved", "unresolved", "resolved"):
        given = sentry(story, "issue_created_docs", action=action, data__issue__firstSeen=story.now)
        story.post("sentry", given, SENTRY)
    assert story.told["pagerduty"] == ["trigger", "resolve", "trigger", "resolve"]


def test_metric_alerts_rise_and_end(story):
    """warning, critical and resolved of one rule are one alert."""
    for action in ("warning", "critical", "resolved"):
        story.post(
            "sentry",
            sentry(story, "metric_alert_resolved_docs", action=action),
            {"sentry-hook-resource": "metric_alert", "sentry-hook-timestamp": str(story.stamp)},
        )
    (incident,) = story.router.store.incidents(ended_since=story.router.now - timedelta(hours=1))
    assert len(incident.shown) == 1
    assert story.told["slack"][0] == "opened" and story.told["slack"][-1] == "resolved"
    assert story.told["pagerduty"][-1] == "resolve"


def test_information_tells_nobody(story):
    """Comments, assignments, installations, Seer, deployments, tests, maintenance, pings: kept, and nobody hears."""
    quiet = [
        ("sentry", raw("sentry/comment_created_docs.json")),
        ("sentry", raw("sentry/issue_assigned_to_team.json")),
        ("sentry", raw("sentry/installation_created_docs.json")),
        ("sentry", raw("sentry/seer_root_cause_completed_docs.json")),
        ("sentry", raw("sentry/activity_alert_minimal.json")),
        ("cloudflare", raw("cloudflare/test_message_docs.json")),
        ("cloudflare", raw("cloudflare/maintenance_event_notification_live.json")),
        ("vercel", raw("vercel/deployment.created.json")),
        ("vercel", raw("vercel/deployment.ready_preview_target_null.json")),
        ("vercel", raw("vercel/deployment.rollback.json")),
        ("alertmanager", raw("alertmanager/derived_empty_alerts.json")),
        ("pagerduty", raw("pagerduty/webhook_v3.pagey.ping.json")),
        ("pagerduty", raw("pagerduty/webhook_v3.incident.triggered.json")),
        ("pagerduty", raw("pagerduty/webhook_v3.incident.acknowledged.json")),
        ("pagerduty", raw("pagerduty_v3_captured/incident.reassigned.json")),
    ]
    for source, given in quiet:
        story.post(source, given, minutes=1)
    assert story.told == {}
    assert list(story.router.store.incidents()) == []
    assert story.router.errors == []


def attack(story, state, **fields):
    """A Cloudflare attack that begins or ends now."""
    given = {
        "alert_type": "advanced_ddos_attack_l7_alert", "alert_event": f"ALERT_STATE_EVENT_{state}", "ts": story.stamp,
        "alert_correlation_id": "c1", "data": {"zone_name": "example.com", "attack_id": "a1"}, **fields,
    }  # fmt: skip
    return {key: value for key, value in given.items() if value is not None}


@pytest.mark.parametrize("correlation", ["c1", None])
def test_a_pair_of_cloudflare(story, correlation):
    """START and END are one alert, by correlation id and without it."""
    for state in ("START", "END"):
        story.post("cloudflare", attack(story, state, alert_correlation_id=correlation))
    assert story.told == {"slack": ["opened", "resolved"], "pagerduty": ["trigger", "resolve"]}


def test_a_pair_turned_around(story):
    """END comes before its START: nobody is told of what is over."""
    start = attack(story, "START")
    story.router.now += timedelta(minutes=10)
    end = attack(story, "END")
    story.post("cloudflare", end).post("cloudflare", start, minutes=60)
    assert story.told == {}


def test_a_doubled_delivery_counts_once(story):
    """The same body twice is one event and one message, however long apart."""
    start = attack(story, "START")
    story.post("cloudflare", start).post("cloudflare", start, minutes=30)
    assert story.told == {"slack": ["opened"], "pagerduty": ["trigger"]}
    (incident,) = story.router.store.incidents()
    assert incident.events == 1


def test_an_old_delivery_played_again_opens_nothing(story):
    """A body recorded and posted again after the end is history."""
    start = attack(story, "START")
    story.post("cloudflare", start)
    story.post("cloudflare", attack(story, "END"))
    told = story.told
    story.post("cloudflare", start, minutes=30)
    assert story.told == told


HEALTH = [
    ("health_check_status_notification_unhealthy", {"data__status": "Healthy"}),
    ("load_balancing_health_alert_unhealthy", {"data__new_health": "Healthy"}),
    ("tunnel_health_event_live", {"data__new_status": "TUNNEL_STATUS_TYPE_HEALTHY"}),
    ("universal_ssl_event_type_live", {"data__metadata__event__type": "ssl.certificate.issuance.succeeded"}),
    ("incident_alert_live", {"data__incident_status": "INCIDENT_STATUS_RESOLVED", "data__id": "another"}),
]


@pytest.mark.parametrize(("name", "recovered"), HEALTH, ids=[name for name, _ in HEALTH])
def test_recovery_without_an_end(story, name, recovered):
    """A check, an origin, a tunnel, a certificate and a status-page incident end by what they say of themselves."""
    for fields in ({}, recovered):
        story.post("cloudflare", changed(body(f"cloudflare/{name}.json"), ts=story.stamp, **fields))
    assert story.told["slack"] == ["opened", "resolved"]


def test_a_mixed_group_of_alertmanager(story):
    """In a group that fires, one alert fires and one has ended; the end of the first ends what was told."""
    mixed = body("alertmanager/mixed_firing_and_resolved.json")
    story.post("alertmanager", mixed)
    (incident,) = story.router.store.incidents()
    assert [alert.name for alert in incident.firing] == ["HighRequestLatency"]
    ended = changed(mixed, alerts=[{**mixed["alerts"][0], "status": "resolved", "endsAt": story.now}])
    story.post("alertmanager", ended)
    assert story.told == {"slack": ["opened", "resolved"], "pagerduty": ["trigger", "resolve"]}


def test_alertmanager_goes_on_saying_it(story):
    """The same group again and again keeps the alert alive for as long as it comes, and tells nobody more."""
    firing = body("alertmanager/firing_instance_down.json")
    for _ in range(8):
        story.post("alertmanager", firing, minutes=4 * 60)
    (incident,) = story.router.store.incidents()
    assert len(incident.firing) == 2
    assert "resolved" not in story.told["slack"]


def pagerduty(story, name, key, **fields):
    """A PagerDuty delivery about our incident, now."""
    given = body(f"pagerduty/webhook_v3.incident.{name}.json")
    return changed(
        given, event__data__incident_key=key, event__occurred_at=story.now, event__id=f"{name}-{story.stamp}", **fields
    )


def test_pagerduty_acknowledges_and_resolves(story):
    """What people do there happens here, once: an old acknowledgement played again does not come back."""
    story.post("cloudflare", attack(story, "START"))
    (incident,) = story.router.store.incidents()
    acknowledged = pagerduty(story, "acknowledged", incident.id)
    story.post("pagerduty", acknowledged, {"x-webhook-id": "w1"}, minutes=1)
    assert _acked(story) == ["Oncall One"]
    story.post("pagerduty", pagerduty(story, "unacknowledged", incident.id), minutes=1)
    story.post("pagerduty", acknowledged, {"x-webhook-id": "w1"}, minutes=1)
    assert _acked(story) == [None]
    story.post("pagerduty", pagerduty(story, "resolved", incident.id), minutes=1)
    assert "resolve" not in story.told["pagerduty"], "what came from there does not go back"
    assert story.told["slack"][-1] == "resolved"


def _acked(story):
    return [alert.ack.by for incident in story.router.store.incidents() for alert in incident.firing]
