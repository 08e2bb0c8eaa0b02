"""What events of EventBridge's default bus come to."""

from datetime import UTC, datetime

import pytest

from chalicelib.core.errors import SignatureError
from chalicelib.core.event import Severity, Status
from chalicelib.sources import eventbridge
from tests.sources.bodies import body, changed, event, files, raw

SERVICE = "arn:aws:ecs:eu-west-1:111122223333:service/prod/checkout"
ISSUE = "health:arn:aws:health:eu-west-1::event/RDS/AWS_RDS_OPERATIONAL_ISSUE/AWS_RDS_OPERATIONAL_ISSUE_4f0c1"
FINDING = "SSH brute force attacks against i-0123456789abcdef0."
EXPECTED = {
    "devops_agent.investigation_completed": ("info", "aidevops.investigation_completed", "aidevops", "aws.aidevops: Investigation Completed"),
    "devops_agent.investigation_failed_unverified_name": ("info", "aidevops.investigation_failed", "aidevops", "aws.aidevops: Investigation Failed"),
    "devops_agent.investigation_timed_out_unverified_name": ("info", "aidevops.investigation_timed_out", "aidevops", "aws.aidevops: Investigation Timed Out"),
    "ecs.deployment_completed": ("resolved", "ecs.deployment_state_change", "checkout", "ECS checkout: service deployment completed"),
    "ecs.deployment_failed": ("firing", "ecs.deployment_state_change", "checkout", "ECS checkout: service deployment failed"),
    "ecs.deployment_in_progress": ("info", "ecs.deployment_state_change", "checkout", "ECS checkout: service deployment in progress"),
    "ecs.service_action_error": ("firing", "ecs.service_action", "checkout", "ECS checkout: service task placement failure"),
    "ecs.task_stopped": ("info", "ecs.task_state_change", "checkout", "ECS checkout: a task is stopped"),
    "guardduty.finding": ("firing", "guardduty.finding", "", FINDING),
    "guardduty.finding_capitalised_keys": ("firing", "guardduty.finding", "", FINDING),
    "health.issue_closed": ("resolved", "health.event", "RDS", "AWS Health: RDS AWS_RDS_OPERATIONAL_ISSUE"),
    "health.issue_open": ("firing", "health.event", "RDS", "AWS Health: RDS AWS_RDS_OPERATIONAL_ISSUE"),
    "health.old_form_odd_time_no_status": ("info", "health.event", "RDS", "AWS Health: RDS AWS_RDS_OPERATIONAL_ISSUE"),
    "health.scheduled_change": ("info", "health.event", "RDS", "AWS Health: RDS AWS_RDS_MAINTENANCE_SCHEDULED"),
    "rds.instance_backup_information": ("info", "rds.db_instance_event", "shop", "RDS shop: Finished DB Instance backup"),
    "rds.instance_shutdown": ("firing", "rds.db_instance_event", "shop", "RDS shop: DB instance shutdown"),
    "unknown_service_event": ("info", "somethingnew.something_new_state_change", "somethingnew", "aws.somethingnew: Something New State Change"),
}  # fmt: skip


@pytest.mark.parametrize("name", EXPECTED)
def test_events_of_the_bus(name):
    """Given an event → its state, kind, service and title."""
    found = event("eventbridge", raw(f"eventbridge/{name}.json"))
    assert (found.status.value, found.kind, found.service or "", found.title) == EXPECTED[name]
    assert found.labels["account"] == "111122223333" and found.source == "eventbridge"


def test_every_body_is_in_a_table():
    """Given a body that is added → it gets its row here, or in the table of CloudWatch."""
    names = {name.split("/")[1][:-5] for name in files("eventbridge")}
    assert {name for name in names if not name.startswith("cloudwatch.")} == set(EXPECTED)


def test_an_issue_of_aws_health_ends_when_aws_closes_it():
    """Given an open issue and its end → one identity, each at its own time, the affected resource named."""
    began, ended = (event("eventbridge", raw(f"eventbridge/health.issue_{state}.json")) for state in ("open", "closed"))
    assert began.identity == ended.identity == ISSUE and began.id != ended.id
    assert (began.occurred_at.hour, ended.occurred_at) == (3, datetime(2026, 11, 30, 5, 5, tzinfo=UTC))
    assert began.summary.splitlines()[1] == "Affected: arn:aws:rds:eu-west-1:111122223333:db:shop"


def test_a_copy_of_another_region_is_the_same_event():
    """Given the copy that AWS Health sends to a second Region → the id of the first one."""
    given = body("eventbridge/health.issue_open.json")
    copy = changed(given, id="another", region="us-west-2", time="2026-11-30T04:00:00Z")
    assert event("eventbridge", copy).id == event("eventbridge", given).id


def test_odd_times_of_aws_health_are_read():
    """Given a time without comma and with blanks inside → that time."""
    found = event("eventbridge", raw("eventbridge/health.old_form_odd_time_no_status.json"))
    assert found.occurred_at == datetime(2022, 12, 15, 23, 25, tzinfo=UTC)


def test_a_good_deployment_of_the_service_ends_a_failed_one():
    """Given a failed deployment and a later good one with another id → one identity: the service's."""
    failed = event("eventbridge", raw("eventbridge/ecs.deployment_failed.json"))
    given = changed(body("eventbridge/ecs.deployment_completed.json"), detail__deploymentId="ecs-svc/78")
    assert failed.identity == event("eventbridge", given).identity == f"ecs:deployment:{SERVICE}"


def test_a_steady_state_ends_what_a_service_could_not_do():
    """Given a failed action of a service → its steady state ends it, other good news do not."""
    given = body("eventbridge/ecs.service_action_error.json")
    steady = changed(given, detail__eventName="SERVICE_STEADY_STATE", detail__eventType="INFO")
    assert event("eventbridge", steady).status is Status.RESOLVED
    assert event("eventbridge", steady).identity == event("eventbridge", given).identity
    other = changed(given, detail__eventName="SERVICE_DISCOVERY_INSTANCE_HEALTHY", detail__eventType="INFO")
    assert event("eventbridge", other).status is Status.INFO


@pytest.mark.parametrize("name", ["SERVICE_TASK_START_IMPAIRED", "SERVICE_DISCOVERY_INSTANCE_UNHEALTHY"])
def test_a_warning_of_a_service_is_a_fault(name):
    """Given an action of the level WARN → it fires, and the steady state ends it."""
    given = changed(body("eventbridge/ecs.service_action_error.json"), detail__eventName=name, detail__eventType="WARN")
    steady = changed(given, detail__eventName="SERVICE_STEADY_STATE", detail__eventType="INFO")
    first, last = event("eventbridge", given), event("eventbridge", steady)
    assert (first.status, last.status, first.identity) == (Status.FIRING, Status.RESOLVED, last.identity)


@pytest.mark.parametrize(
    ("severity", "wanted", "level"),
    [(9.1, Severity.CRITICAL, "critical"), (8, Severity.WARNING, "high"), (5, Severity.WARNING, "medium"), (2, Severity.INFO, "low"), (None, Severity.WARNING, "medium")],
)  # fmt: skip
def test_how_bad_a_finding_is(severity, wanted, level):
    """Given GuardDuty's number → critical from 9 on, info below 4, else a warning, and the word for it."""
    found = event("eventbridge", changed(body("eventbridge/guardduty.finding.json"), detail__severity=severity))
    assert (found.severity, found.labels["level"]) == (wanted, level)


def test_updates_of_a_finding_are_its_repeats_and_archiving_ends_it():
    """Given an update of a finding → the same identity with another id; archived, it has ended."""
    given = body("eventbridge/guardduty.finding.json")
    later = changed(given, detail__updatedAt="2026-11-30T04:00:00Z", detail__service__count=9)
    assert event("eventbridge", later).identity == event("eventbridge", given).identity
    assert event("eventbridge", later).id != event("eventbridge", given).id
    assert event("eventbridge", changed(given, detail__service__archived=True)).status is Status.RESOLVED


def rds(number, category="availability", message="x", **fields):
    """An event of a database by its number."""
    given = body("eventbridge/rds.instance_shutdown.json")
    fields = {"detail__EventCategories": [category], "detail__Message": message, **fields}
    return event("eventbridge", changed(given, detail__EventID=f"RDS-EVENT-{number}", **fields))


@pytest.mark.parametrize(
    ("began", "ended", "category"),
    [
        ("0004", "0006", "availability"), ("0022", "0006", "availability"), ("0004", "0088", "availability"),
        ("0013", "0015", "failover"), ("0013", "0049", "failover"), ("0013", "0065", "failover"),
        ("0073", "0071", "failover"),
    ],
)  # fmt: skip
def test_a_fault_of_a_database_ends_by_the_number_that_is_its_end(began, ended, category):
    """Given a number and the one that ends it → firing, then resolved, by one of the identities that the end names."""
    first, last = rds(began, category), rds(ended, category)
    assert (first.status, last.status) == (Status.FIRING, Status.RESOLVED)
    assert first.identity in (last.identity, *last.ends_also)
    other = "arn:aws:rds:eu-west-1:111122223333:db:other"
    elsewhere = rds(ended, category, detail__SourceArn=other)
    assert first.identity not in (elsewhere.identity, *elsewhere.ends_also)


@pytest.mark.parametrize(
    ("number", "category", "message"),
    [
        ("0224", "availability", "The operation to restart didn't complete: the primary host is not reachable."),
        ("0031", "failure", "DB instance put into failed state, which could not be completed automatically."),
        ("9999", "failure", "Recovered nothing, finished with errors."),
    ],
)
def test_words_of_good_news_end_no_fault_of_a_database(number, category, message):
    """Given a fault whose message has `complete` or `recovered` in it → it fires: only a number is good news."""
    assert rds(number, category, message).status is Status.FIRING


def test_an_event_of_a_database_without_number_goes_by_its_whole_message():
    """Given the older form → the same alert as with the number, and the same end."""
    first, last = (
        event(
            "eventbridge",
            changed(body("eventbridge/rds.instance_shutdown.json"), detail__EventID=..., detail__Message=each),
        )
        for each in ("DB instance shutdown", "DB instance restarted.")
    )
    assert (first.status, last.status) == (Status.FIRING, Status.RESOLVED)
    assert first.identity == last.identity == rds("0004").identity


def test_a_stopped_task_says_why():
    """Given a task that ended by its container → exit code, reason and cluster, counted by service."""
    found = event("eventbridge", raw("eventbridge/ecs.task_stopped.json"))
    assert (found.labels["exit_code"], found.labels["cluster"]) == ("137", "prod")
    assert "OutOfMemoryError" in found.summary and found.identity.endswith("cluster/prod:service:checkout")


def test_nothing_comes_by_http():
    """Given a request → it is refused: only IAM proves an event."""
    with pytest.raises(SignatureError, match="no address"):
        eventbridge.verify({}, b"{}", ["secret"], path_secret="secret")
    assert eventbridge.delivery_id({}, b"{}") is None


@pytest.mark.parametrize(
    ("code", "kind", "status"),
    [
        ("AWS_RISK_CREDENTIALS_EXPOSED", "AWS Health Event", Status.FIRING),
        ("AWS_ABUSE_DOS_REPORT", "AWS Health Event", Status.FIRING),
        ("AWS_ANYTHING", "AWS Health Abuse Event", Status.FIRING),
        ("AWS_BILLING_NOTIFICATION", "AWS Health Event", Status.INFO),
    ],
)
def test_a_risk_or_an_abuse_is_a_fault(code, kind, status):
    """Given a notification to the account of a risk or an abuse → it fires, and its closing ends it."""
    given = changed(body("eventbridge/health.issue_open.json"), **{"detail-type": kind})
    given["detail"] |= {"eventTypeCategory": "accountNotification", "eventTypeCode": code}
    found = event("eventbridge", given)
    assert found.status is status and found.kind.startswith("health.")
    given["detail"]["statusCode"] = "closed"
    ended = event("eventbridge", given)
    assert ended.fingerprint == found.fingerprint
    assert ended.status is (Status.RESOLVED if status is Status.FIRING else Status.INFO)
