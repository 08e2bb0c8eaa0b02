"""The alarms of an account: what waited for a suppressor fires, what is still in ALARM is kept open."""

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from chalicelib import plugins
from chalicelib.messages.webhook import Webhook, compressed, written
from chalicelib.schedule.reconcile import repair
from tests.histories.vendors import Vendors
from tests.scenario import Router, rules_of
from tests.sources.bodies import body

RULES = 'alerts: []\ndefault: {notification: [{slack_channel: "#alerts"}]}\nfallback: {notification: [{email: ops@example.com}]}\n'
BEGAN = datetime(2026, 3, 2, 9, 2, 30, 123000, tzinfo=UTC)
ARN = "arn:aws:cloudwatch:eu-west-1:111122223333:alarm:{}"


def alarm(name: str, **fields: Any) -> dict[str, Any]:
    """An alarm of one metric as DescribeAlarms gives it."""
    return {
        "AlarmName": name, "AlarmArn": ARN.format(name), "StateValue": "ALARM", "StateReason": "Threshold Crossed",
        "StateUpdatedTimestamp": BEGAN, "StateTransitionedTimestamp": BEGAN, "MetricName": "5xx", "Namespace": "Shop",
        "Statistic": "Sum", "Period": 60, "ComparisonOperator": "GreaterThanThreshold",
        "Dimensions": [{"Name": "Service", "Value": "shop"}], **fields,
    }  # fmt: skip


def composite(name: str, **fields: Any) -> dict[str, Any]:
    """A composite alarm with a suppressor."""
    known = (
        "AlarmName",
        "AlarmArn",
        "StateValue",
        "StateReason",
        "StateUpdatedTimestamp",
        "StateTransitionedTimestamp",
    )
    found = {key: value for key, value in alarm(name).items() if key in known}
    return {**found, "AlarmRule": "ALARM(a)", "ActionsSuppressor": ARN.format("deploys"), **fields}


class CloudWatch:
    """An account's alarms, two on a page."""

    def __init__(self) -> None:
        self.metric: list[dict[str, Any]] = []
        self.composite: list[dict[str, Any]] = []
        self.series: list[dict[str, Any]] = []
        self.muted: set[str] = set()
        self.tags: list[dict[str, str]] = []
        self.asked: list[dict[str, Any]] = []

    def describe_alarms(self, **asked: Any) -> dict[str, Any]:
        """Answer by name or by state, of the types that are asked for."""
        self.asked.append(asked)
        start = int(asked.get("NextToken", 0))
        every = [("MetricAlarms", each) for each in self.metric if "MetricAlarm" in asked["AlarmTypes"]]
        every += [("CompositeAlarms", each) for each in self.composite if "CompositeAlarm" in asked["AlarmTypes"]]
        chosen = [
            (key, each)
            for key, each in every
            if each["AlarmName"] in asked.get("AlarmNames", [each["AlarmName"]])
            and each["StateValue"] == asked.get("StateValue", each["StateValue"])
        ]
        found: dict[str, Any] = {"MetricAlarms": [], "CompositeAlarms": []}
        for key, each in chosen[start : start + 2]:
            found[key].append(each)
        return {**found, **({"NextToken": str(start + 2)} if len(chosen) > start + 2 else {})}

    def describe_alarm_contributors(self, **asked: Any) -> dict[str, Any]:
        """Answer one series on a page."""
        start = int(asked.get("NextToken", 0))
        more = {"NextToken": str(start + 1)} if len(self.series) > start + 1 else {}
        return {"AlarmContributors": self.series[start : start + 1], **more}

    def list_alarm_mute_rules(self, **asked: Any) -> dict[str, Any]:
        """Answer the rule that mutes the alarm now."""
        assert asked["Statuses"] == ["ACTIVE"]
        return {"AlarmMuteRuleSummaries": [{"Status": "ACTIVE"}] if asked["AlarmName"] in self.muted else []}

    def list_tags_for_resource(self, **asked: Any) -> dict[str, Any]:
        """Answer the tags."""
        return {"Tags": self.tags}


class Story:
    """A router, and an account whose alarms it looks at every five minutes."""

    def __init__(self) -> None:
        self.router = Router(rules_of(RULES))
        self.cloudwatch = CloudWatch()
        self.clients = Vendors(lambda request: (_ for _ in ()).throw(AssertionError(request)), secrets={})
        self.clients.aws = lambda service: self.cloudwatch  # type: ignore[method-assign]
        self.report = SimpleNamespace(troubles={})

    def arrives(self, payload: dict[str, Any]) -> None:
        """An event of the bus arrives."""
        data = json.dumps(payload).encode()
        webhook = Webhook(id=payload["id"], source="cloudwatch", body=data, received_at=self.router.now, headers={})
        self.router.webhooks.put([written(webhook, compressed(data))])
        self.router.run(minutes=1)

    def passes(self, minutes: float) -> None:
        """Time passes, and the schedule comes round every five minutes."""
        until = self.router.now + timedelta(minutes=minutes)
        while self.router.now < until:
            self.router.run(minutes=5)
            self.report = repair(
                rules=self.router.rules,
                clients=self.clients,
                now=self.router.now,
                readers={"cloudwatch": plugins.load_history("cloudwatch")},
                **self.router.ports,
            )

    def told(self) -> list[tuple[str, str]]:
        """What #alerts was notified of, with the reason."""
        sent = [each for each in self.router.decided.values() if each.target.kind == "slack_channel"]
        return [(each.reason.value, alert.title) for each in sent for alert in each.alerts]


@pytest.fixture
def story():
    """A story that gives back its address."""
    found = Story()
    yield found
    found.router.close()


def event(payload: dict[str, Any]) -> Any:
    """The event of a body."""
    return plugins.load_source("cloudwatch").parse({}, json.dumps(payload).encode(), received_at=BEGAN)[0]


def fired(name: str, at: datetime = BEGAN, **state: Any) -> dict[str, Any]:
    """What EventBridge sends when an alarm goes to ALARM."""
    given = body("eventbridge/cloudwatch.metric_alarm.json")
    given["resources"], given["detail"]["alarmName"], given["id"] = [ARN.format(name)], name, f"{name}-{at.isoformat()}"
    given["detail"]["state"] |= {"timestamp": at.isoformat(timespec="milliseconds"), **state}
    return given


def test_a_composite_alarm_fires_when_its_wait_is_over(story):
    """Given WaitPeriod by the bus and nothing else → nothing while it waits, and it fires once it acts."""
    waiting = composite("checkout", ActionsSuppressedBy="WaitPeriod")
    story.cloudwatch.composite = [waiting]
    story.arrives(fired("checkout", actionsSuppressedBy="WaitPeriod"))
    story.passes(10)
    assert story.told() == []
    del waiting["ActionsSuppressedBy"]
    story.passes(10)
    assert story.told() == [("opened", "checkout")]
    assert story.report.troubles == {}
    story.passes(180)
    assert story.told() == [("opened", "checkout")]


@pytest.mark.parametrize("held", ["suppressed", "muted", "without a suppressor"])
def test_what_does_not_act_stays_quiet(story, held):
    """Given a composite that is suppressed, muted, or has no suppressor → nobody is notified of it by a look."""
    story.cloudwatch.composite = [composite("a", **({"ActionsSuppressedBy": "Alarm"} if held == "suppressed" else {}))]
    story.cloudwatch.muted = {"a"} if held == "muted" else set()
    if held == "without a suppressor":
        del story.cloudwatch.composite[0]["ActionsSuppressor"]
    story.passes(70)
    assert story.told() == []


def test_an_alarm_that_is_still_in_alarm_does_not_time_out(story):
    """Given an alarm that stays in ALARM for two days → it is not taken as resolved, and its end is one."""
    story.cloudwatch.metric = [alarm(name) for name in ("a", "b", "c")]
    for each in "abc":
        story.arrives(fired(each))
    story.passes(48 * 60)
    assert {reason for reason, _ in story.told()} <= {"opened", "updated", "reminder"}
    assert {alert.labels["alarm"] for each in story.router.store.incidents() for alert in each.firing} == {
        "a",
        "b",
        "c",
    }
    now = story.router.now
    story.cloudwatch.metric = [alarm(each, StateValue="OK", StateTransitionedTimestamp=now) for each in "abc"]
    story.passes(90)
    assert {title for reason, title in story.told() if reason == "resolved"} == {"a", "b", "c"}


def test_an_alarm_that_is_unknown_there_times_out(story):
    """Given an alarm that was deleted, or is another account's → resolve_timeout ends it as before."""
    story.arrives(fired("gone"))
    story.cloudwatch.metric = [alarm("gone", AlarmArn=ARN.format("gone").replace("1111", "4444"), StateValue="OK")]
    story.passes(120)
    assert [reason for reason, _ in story.told()] == ["opened"]
    story.passes(24 * 60)
    assert story.told()[-1] == ("resolved", "gone")


def test_a_series_that_is_still_in_alarm(story):
    """Given an alarm of two series → each is kept by its contributor, and the alarm itself fires beside neither."""
    first = body("eventbridge/cloudwatch.contributor_alarm_orders.json")
    arn, number = first["resources"][0], first["detail"]["alarmContributor"]["id"]
    story.arrives(
        {**first, "detail": {**first["detail"], "state": {**first["detail"]["state"], "timestamp": BEGAN.isoformat()}}}
    )
    attributes = first["detail"]["alarmContributor"]["attributes"]
    story.cloudwatch.metric = [
        alarm(first["detail"]["alarmName"], AlarmArn=arn, Metrics=[{"Expression": "SELECT x GROUP BY y"}])
    ]
    story.cloudwatch.series = [
        {"ContributorId": number, "ContributorAttributes": attributes, "StateTransitionedTimestamp": BEGAN},
        {"ContributorId": "c2", "ContributorAttributes": {"y": "two"}, "StateTransitionedTimestamp": BEGAN},
    ]
    story.passes(26 * 60)
    titles = {title for _, title in story.told()}
    assert titles == {event(first).title, f"{first['detail']['alarmName']} (y=two)"}
    assert "resolved" not in {reason for reason, _ in story.told()}


def test_tags_say_how_bad_it_is_in_a_look_as_well(story):
    """Given an alarm whose tags travel → what is kept has the severity of its tags, of the keys that travel alone."""
    tagged = alarm("a", ActionConfiguration={"AlarmTagsPropagation": {"Enabled": True, "ExcludedTagKeys": ["cost"]}})
    story.cloudwatch.tags = [
        {"Key": "severity", "Value": "critical"}, {"Key": "cost", "Value": "9"}, {"Key": "aws:x", "Value": "y"},
    ]  # fmt: skip
    given = fired("a")
    given["detail"] |= {"alarmTags": {"severity": "critical"}, "alarmTagsStatus": "SUCCESS"}
    story.cloudwatch.metric = [tagged]
    story.arrives(given)
    story.passes(120)
    (incident,) = story.router.store.incidents()
    (kept,) = incident.firing
    assert kept.severity.value == "critical" and "cost" not in kept.labels


def test_a_refusal_is_reported(story):
    """Given a role that may not look → the trouble names the alarms of CloudWatch."""

    def refused(**asked: Any) -> dict[str, Any]:
        raise PermissionError("AccessDenied")

    story.cloudwatch.describe_alarms = refused  # type: ignore[method-assign]
    story.passes(5)
    assert [kind for kind, _ in story.report.troubles] == ["history.failed"]
