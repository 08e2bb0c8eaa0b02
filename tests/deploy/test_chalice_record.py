"""Chalice's record, read from the account: what it must find, what it must leave alone, how large the kept part is."""

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from deploy.chalice_record import named_only_here, record, rest_apis
from deploy.clients import Clients
from local.cloud import Cloud
from tests.deploy.old_stage import make_api
from tests.project import clients

ROLE = "arn:aws:iam::000000000000:role/tocsin-dev-"
CODE = {"ZipFile": b"PK\x05\x06" + b"\0" * 18}


@pytest.fixture
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clients]:
    """An empty embedded AWS."""
    with Cloud(tmp_path_factory.mktemp("cloud"), persist=False) as cloud:
        yield clients(cloud)


def make_function(aws: Clients, name: str, chalice: str = "") -> str:
    """Make a function by that name, with the tag that Chalice gives; its ARN."""
    tags = {"aws-chalice": chalice} if chalice else {}
    arguments: dict[str, Any] = {"Runtime": "python3.12", "Handler": "app.app", "Code": CODE, "Tags": tags}
    role = ROLE + name.removeprefix("tocsin-dev-")
    return str(aws("lambda").create_function(FunctionName=name, Role=role, **arguments)["FunctionArn"])


def names(found: dict[str, Any]) -> set[str]:
    """The names of a record's entries."""
    return {each["name"] for each in found["resources"]}


def test_what_chalice_made_is_found(aws: Clients) -> None:
    """Given a function with its queue, topic and schedule, when the record is read → all of it is there under Chalice's names."""
    worker = make_function(aws, "tocsin-dev-process_webhooks")
    tick = make_function(aws, "tocsin-dev-tick")
    feedback = make_function(aws, "tocsin-dev-mail_feedback")
    aws("sqs").create_queue(QueueName="tocsin-dev-webhooks")
    queue = "arn:aws:sqs:us-east-1:000000000000:tocsin-dev-webhooks"
    uuid = aws("lambda").create_event_source_mapping(FunctionName=worker, EventSourceArn=queue)["UUID"]
    aws("events").put_rule(Name="tocsin-dev-tick-event", ScheduleExpression="rate(1 minute)")
    aws("events").put_targets(Rule="tocsin-dev-tick-event", Targets=[{"Id": "1", "Arn": tick}])
    topic = aws("sns").create_topic(Name="tocsin-dev-feedback")["TopicArn"]
    aws("sns").subscribe(TopicArn=topic, Protocol="lambda", Endpoint=feedback)
    found = record(aws, "dev", api="abc")
    assert names(found) >= {
        "process_webhooks",
        "process_webhooks_role",
        "process_webhooks-sqs-event-source",
        "tick",
        "tick-event",
        "mail_feedback-sns-subscription",
        "rest_api",
    }
    (mapping,) = (each for each in found["resources"] if each["resource_type"] == "sqs_event")
    assert (mapping["event_uuid"], mapping["queue"], mapping["lambda_arn"]) == (uuid, "tocsin-dev-webhooks", worker)


def test_what_an_operator_gave_a_function_is_left_alone(aws: Clients) -> None:
    """Given a worker with a second queue and a second topic of an operator, when the record is read → only its own are there."""
    worker = make_function(aws, "tocsin-dev-process_webhooks")
    feedback = make_function(aws, "tocsin-dev-mail_feedback")
    for queue in ("tocsin-dev-webhooks", "mails", "tocsin-devices"):
        aws("sqs").create_queue(QueueName=queue)
        source = f"arn:aws:sqs:us-east-1:000000000000:{queue}"
        aws("lambda").create_event_source_mapping(FunctionName=worker, EventSourceArn=source)
    for topic in ("tocsin-dev-feedback", "zz-bounces"):
        made = aws("sns").create_topic(Name=topic)["TopicArn"]
        aws("sns").subscribe(TopicArn=made, Protocol="lambda", Endpoint=feedback)
    found = record(aws, "dev", api=None)["resources"]
    assert [each["queue"] for each in found if each["resource_type"] == "sqs_event"] == ["tocsin-dev-webhooks"]
    assert [each["topic"] for each in found if each["resource_type"] == "sns_event"] == ["tocsin-dev-feedback"]


def test_a_queue_that_a_worker_no_longer_takes_from_does_not_hide_its_own(aws: Clients) -> None:
    """Given a worker with two queues of the stage, when the record is read → its own is under the name that Chalice looks for."""
    worker = make_function(aws, "tocsin-dev-process_webhooks")
    for queue in ("tocsin-dev-webhooks", "tocsin-dev-old"):
        aws("sqs").create_queue(QueueName=queue)
        source = f"arn:aws:sqs:us-east-1:000000000000:{queue}"
        aws("lambda").create_event_source_mapping(FunctionName=worker, EventSourceArn=source)
    found = record(aws, "dev", api=None)["resources"]
    assert {each["name"]: each["queue"] for each in found if each["resource_type"] == "sqs_event"} == {
        "process_webhooks-sqs-event-source": "tocsin-dev-webhooks",
        "process_webhooks-sqs-event-source-tocsin-dev-old": "tocsin-dev-old",
    }


class Subscriptions:
    """SNS that lists what was subscribed once."""

    def get_paginator(self, name: str) -> Any:
        """One page, as SNS gives it."""
        feedback = "arn:aws:lambda:us-east-1:000000000000:function:tocsin-dev-mail_feedback"
        topic = "arn:aws:sns:us-east-1:000000000000:tocsin-dev-feedback"
        listed = [
            {"Endpoint": feedback, "TopicArn": topic, "SubscriptionArn": arn}
            for arn in ("Deleted", "PendingConfirmation", f"{topic}:1")
        ]
        return SimpleNamespace(paginate=lambda: [{"Subscriptions": listed}])


def test_a_subscription_without_an_arn_is_none(aws: Clients) -> None:
    """Given subscriptions that SNS lists as deleted and as pending, when the record is read → only the one with an ARN."""
    make_function(aws, "tocsin-dev-mail_feedback")
    seen: Any = lambda service: Subscriptions() if service == "sns" else aws(service)  # noqa: E731
    found = record(seen, "dev", api=None)["resources"]
    (entry,) = (each for each in found if each["resource_type"] == "sns_event")
    assert entry["subscription_arn"].endswith(":1")


@pytest.mark.acceptance
@pytest.mark.parametrize(
    ("name", "tag", "found"),
    [
        ("tocsin-dev-summary", "version=1.34.0:stage=dev:app=tocsin", True),
        ("tocsin-dev-summary", "version=1.34.0:stage=dev:app=other", False),
        ("tocsin-dev-summary", "version=1.34.0:stage=dev:app=tocsin-dev", False),
        ("tocsin-dev-summary", "", False),
        ("tocsin-prod-tick", "version=1.34.0:stage=prod:app=tocsin", False),
        ("other", "version=1.34.0:stage=dev:app=tocsin", False),
    ],
)
def test_only_what_chalice_made_of_this_stage_is_taken_away(aws: Clients, name: str, tag: str, found: bool) -> None:
    """Given a function that this version does not have, when the record is read → it is in it if Chalice made it."""
    make_function(aws, name, tag)
    assert ("summary" in names(record(aws, "dev", api=None))) == found


def test_the_rest_api_of_a_stage_is_known_by_the_function_it_calls(aws: Clients) -> None:
    """Given APIs of two stages and of another product by one name, when the stage's are asked for → its own, oldest first.

    The name of this version is known beside that of the versions before.
    """
    first = make_api(aws, "tocsin-dev")
    make_api(aws, "tocsin-prod")
    make_api(aws, "tocsin-dev-tick")
    aws("apigateway").create_rest_api(name="tocsin")
    second = make_api(aws, "tocsin-dev", title="tocsin-dev", deployed=False)
    make_api(aws, "tocsin-dev", title="mine")
    assert rest_apis(aws("apigateway"), "dev") == [first, second]
    assert len(rest_apis(aws("apigateway"), "prod")) == 1


def test_a_renamed_rest_api_is_known_by_its_id(aws: Clients) -> None:
    """Given the API that senders use under a name of the company, when the stage's are asked for → it is there by its id."""
    renamed = make_api(aws, "tocsin-dev", title="Alerts of the company")
    others = make_api(aws, "devices", title="devices")
    assert rest_apis(aws("apigateway"), "dev") == []
    assert rest_apis(aws("apigateway"), "dev", used=renamed) == [renamed]
    assert rest_apis(aws("apigateway"), "dev", used=others) == []
    assert rest_apis(aws("apigateway"), "dev", used="gone") == []


def test_a_method_that_calls_nothing_yet_is_no_obstacle(aws: Clients) -> None:
    """Given another product's API called tocsin, half-made in the console, when a stage's are asked for → it is left out."""
    gateway = aws("apigateway")
    api = gateway.create_rest_api(name="tocsin")["id"]
    (root,) = gateway.get_resources(restApiId=api)["items"]
    gateway.put_method(restApiId=api, resourceId=root["id"], httpMethod="GET", authorizationType="NONE")
    with pytest.raises(gateway.exceptions.NotFoundException):
        gateway.get_integration(restApiId=api, resourceId=root["id"], httpMethod="GET")
    own = make_api(aws, "tocsin-dev")
    assert rest_apis(gateway, "dev") == [own]


def test_what_is_kept_of_many_functions_fits_a_parameter_of_the_free_tier() -> None:
    """Given a stage of 30 functions, eight of which take from queues, when a deploy is kept → it is under 4 KB."""
    arn = "arn:aws:lambda:ap-southeast-2:123456789012:function:tocsin-prod-"
    entries = []
    for number in range(30):
        name = f"a_function_{number:02d}"
        entries.append({"name": name, "resource_type": "lambda_function", "lambda_arn": arn + name})
        entries.append({"name": f"{name}_role", "resource_type": "iam_role", "role_arn": arn, "role_name": name})
        if number % 4 == 0:
            entries.append(
                {
                    "name": f"{name}-sqs-event-source",
                    "resource_type": "sqs_event",
                    "queue_arn": f"arn:aws:sqs:ap-southeast-2:123456789012:tocsin-prod-{name}",
                    "event_uuid": "8f2b4c6e-0000-4000-8000-1234567890ab",
                    "queue": f"tocsin-prod-{name}",
                    "lambda_arn": arn + name,
                }
            )
    whole = {"resources": entries, "schema_version": "2.0", "backend": "api"}
    kept = json.dumps({"fingerprint": "f" * 64, "chalice": named_only_here(whole)}, separators=(",", ":"))
    assert len(json.dumps(whole)) > 8_192
    assert len(kept) < 4_096
