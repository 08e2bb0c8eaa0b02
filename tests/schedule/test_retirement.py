"""Endpoints that a vendor takes away are one warning a week; one fault is one alert, however Sentry has it."""

import json
from datetime import timedelta

import httpx
import pytest

from chalicelib.core.errors import EndpointAbsentError
from chalicelib.core.payload.retirement import Retirement
from chalicelib.histories import Endpoint, Found, History
from chalicelib.messages.webhook import Webhook, compressed, written
from chalicelib.schedule.reconcile import repair
from tests.histories.vendors import Vendors
from tests.scenario import Router, rules_of
from tests.sources.bodies import body, changed

RULES = """
alerts: []
default: {notification: [{slack_channel: "#errors"}]}
fallback: {notification: [{email: ops@example.com}]}
"""
ISSUE = body("sentry/issue_created_docs.json")["data"]["issue"]
METRIC = changed(body("sentry/metric_alert_resolved_docs.json"), action="critical")
GONE, ABSENT = EndpointAbsentError("Sentry answered 410", gone=True), EndpointAbsentError("Sentry answered 404")


class Vendor:
    """A history with one endpoint that answers what it is told to."""

    def __init__(self):
        self.answer = None
        self.ENDPOINTS = (Endpoint("metric_alerts", "metric alerts", self.read, optional=True),)

    def read(self, clients, *, since, until, active):
        """The answer: an error, or what the vendor announces."""
        if isinstance(self.answer, Exception):
            raise self.answer
        found = self.answer if isinstance(self.answer, list) else []
        return History(found, until, retires=self.answer if isinstance(self.answer, Retirement) else None)


class Story:
    """A router and a vendor."""

    def __init__(self):
        self.router = Router(rules_of(RULES))
        self.vendor = Vendor()

    def repair(self, answer, *, minutes=5):
        """Time passes, and the schedule comes round."""
        self.router.run(minutes=minutes)
        self.vendor.answer = answer
        vendors = Vendors(lambda request: httpx.Response(500))
        report = repair(
            rules=self.router.rules,
            clients=vendors,
            now=self.router.now,
            readers={"sentry": self.vendor},
            **self.router.ports,
        )
        self.router.run(minutes=1)
        return report

    def warnings(self):
        """What the fallback was warned of: reason, and what people read."""
        sent = [each for each in self.router.decided.values() if each.target.kind == "email"]
        return [
            (each.reason.value, alert.summary) for each in sent for alert in each.alerts if "takes away" in alert.title
        ]


@pytest.fixture
def story():
    """A story that gives back its address."""
    found = Story()
    yield found
    found.router.close()


def opened(story):
    """How many warnings there were."""
    return [reason for reason, _ in story.warnings()].count("opened")


def test_an_announcement_is_one_warning_a_week(story):
    """Given good answers that announce an end, when they go on for 15 days → three warnings, each over within the hour."""
    announced = Retirement(story.router.now + timedelta(days=30), "/api/0/organizations/acme/detectors/")
    for _ in range(15 * 4):
        story.repair(announced, minutes=6 * 60)
    assert opened(story) == 3
    assert {reason for reason, _ in story.warnings()} == {"opened", "resolved"}
    _, text = story.warnings()[0]
    assert f"Sentry has announced its end, from {announced.at:%Y-%m-%d} on." in text
    assert "replaced by /api/0/organizations/acme/detectors/" in text and "metric alerts are not looked for" in text


def test_a_brownout_is_one_warning_though_good_answers_lie_between(story):
    """Given 410 for some minutes every two hours → one warning that says since when, and the cursor is kept."""
    for _ in range(12):
        story.repair([], minutes=60)
        before = story.router.store.context().marks["repair:sentry:metric_alerts"]
        story.repair(GONE, minutes=60)
        assert story.router.store.context().marks["repair:sentry:metric_alerts"] == before
    assert opened(story) == 1
    assert story.warnings()[0][1].startswith("Sentry answers 410 since 20")


def test_an_endpoint_that_was_read_and_is_absent_for_a_day_was_taken_away(story):
    """Given 404 after good answers → a warning after a day, and none where good answers come before that."""
    for _ in range(3):
        story.repair([])
        story.repair(ABSENT, minutes=20 * 60)
    assert opened(story) == 0
    story.repair(ABSENT, minutes=25 * 60)
    assert opened(story) == 1 and story.warnings()[0][1].startswith("Sentry answers 404 since 20")


def test_an_endpoint_that_was_never_there_is_not_taken_away(story):
    """Given 404 from the first look on → information as before, and no warning."""
    for _ in range(10):
        report = story.repair(ABSENT, minutes=12 * 60)
    assert opened(story) == 0
    assert ("history.limited", "sentry:metric_alerts") in report.troubles


# ---------------------------------------------------------------------------------------------------------------------
# One fault, two histories


def of_metric(story, project):
    """The issue that Sentry makes of a metric's fault that began now."""
    at = story.router.now.isoformat()
    fields = {"firstSeen": at, "lastSeen": at, "issueCategory": "metric", "project": {"slug": project}}
    return Found(
        {"action": "created", "data": {"issue": {**ISSUE, "id": "77", **fields}}},
        story.router.now,
        {"sentry-hook-resource": "issue"},
    )


def alert(story):
    """The metric alert of the same fault."""
    at = story.router.now.isoformat()
    given = changed(METRIC, data__metric_alert__date_detected=at, data__metric_alert__date_started=at)
    return Found(given, story.router.now, {"sentry-hook-resource": "metric_alert"})


def firing(story):
    """The kinds of Sentry's alerts that fire."""
    alerts = [each for incident in story.router.store.incidents() for each in incident.firing]
    return sorted(each.sender.kind for each in alerts if each.sender.source == "sentry")


def project():
    """The project of the metric alert."""
    return METRIC["data"]["metric_alert"]["projects"][0]


@pytest.mark.parametrize("arrives", [True, False])
def test_a_metric_alert_and_the_issue_of_its_fault_are_one(story, arrives):
    """Given both in the history, whether the alert's webhook came or not → one alert."""
    both = [of_metric(story, project()), alert(story)]
    if arrives:
        webhook = Webhook("w", "sentry", json.dumps(both[1].body).encode(), story.router.now, dict(both[1].headers))
        story.router.webhooks.put([written(webhook, compressed(webhook.body))])
    story.repair(both)
    assert firing(story) == ["metric_alert.critical"]


@pytest.mark.parametrize("other", ["another", None])
def test_an_issue_of_a_metric_without_an_alert_is_taken(story, other):
    """Given no alert of the same project → the issue is taken in: nothing else announces it."""
    story.repair([of_metric(story, other or project()), *([alert(story)] if other else [])])
    assert firing(story) == ["issue.created", *(["metric_alert.critical"] if other else [])]
