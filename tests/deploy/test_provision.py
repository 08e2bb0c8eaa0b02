"""Tables, queues, parameters and alarms: made once, right for the functions, and never made anew."""

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from deploy import functions, policies
from deploy.clients import Clients
from deploy.concurrency import concurrency
from deploy.errors import DeployError
from deploy.mail import feedback, is_mailed, verify_sender
from deploy.names import STAGES
from deploy.parameters import delete_parameters, parameters, put_parameters
from deploy.provision import provision
from deploy.queues import VISIBILITY_SECONDS
from local.cloud import Cloud
from tests.aws.tables import new_table
from tests.deploy.virtual import Time, refused
from tests.project import ROOT, clients
from tests.rule_files import rules_of


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clients]:
    """Clients of an embedded AWS in which the stages dev and local were made."""
    with Cloud(tmp_path_factory.mktemp("cloud"), persist=False) as cloud:
        found = clients(cloud)
        provision(found, "local", mails=True)
        provision(found, "dev", mails=True)
        yield found


def test_making_it_again_changes_nothing(made: Clients) -> None:
    """A second run makes nothing and keeps what is in the table and the queues."""
    made("dynamodb").put_item(TableName="tocsin-local", Item={"pk": {"S": "a"}, "sk": {"S": "b"}})
    assert provision(made, "local", mails=True) == []
    assert made("dynamodb").get_item(TableName="tocsin-local", Key={"pk": {"S": "a"}, "sk": {"S": "b"}})["Item"]


def test_the_table_is_the_one_the_store_is_tested_with(made: Clients) -> None:
    """Keys are those of the table that tests of the store use, with its indexes; it expires, and dev is backed up."""
    dynamodb = made("dynamodb")
    ours = dynamodb.describe_table(TableName="tocsin-dev")["Table"]
    tested = dynamodb.describe_table(TableName=new_table(dynamodb))["Table"]
    assert ours["KeySchema"] == tested["KeySchema"]
    for table in (ours, tested):
        indexes = {each["IndexName"]: each for each in table["GlobalSecondaryIndexes"]}
        assert {name: [key["AttributeName"] for key in each["KeySchema"]] for name, each in indexes.items()} == {
            "wake": ["wake_shard", "wake_at"],
            "open": ["wake_shard", "pk"],
            "worst": ["worst_shard", "worst_place"],
        }
        assert indexes["wake"]["Projection"] == {"ProjectionType": "KEYS_ONLY"}
        assert indexes["open"]["Projection"] == {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["summary"]}
        assert indexes["worst"]["Projection"] == {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["glance"]}
    expiry = dynamodb.describe_time_to_live(TableName="tocsin-dev")["TimeToLiveDescription"]
    assert (expiry["TimeToLiveStatus"], expiry["AttributeName"]) == ("ENABLED", "expires_at")
    backups = dynamodb.describe_continuous_backups(TableName="tocsin-dev")["ContinuousBackupsDescription"]
    assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"


@pytest.mark.parametrize(
    ("name", "receives"), [("webhooks", 1000), ("counts", 1000), ("notifications", 1000), ("history", 300)]
)
def test_queues_suit_the_workers(made: Clients, name: str, receives: int) -> None:
    """Messages stay hidden longer than a worker runs, which Lambda asks for, and end in a queue kept for 14 days."""
    sqs = made("sqs")
    url = sqs.get_queue_url(QueueName=f"tocsin-dev-{name}")["QueueUrl"]
    dead = sqs.get_queue_url(QueueName=f"tocsin-dev-{name}-dead")["QueueUrl"]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert int(found["VisibilityTimeout"]) >= policies.WORKER_SECONDS
    redrive = json.loads(found["RedrivePolicy"])
    assert redrive["deadLetterTargetArn"].endswith(f":tocsin-dev-{name}-dead")
    assert int(redrive["maxReceiveCount"]) == receives
    attributes = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["All"])["Attributes"]
    assert attributes["MessageRetentionPeriod"] == str(14 * 86_400)
    assert attributes["SqsManagedSseEnabled"] == found["SqsManagedSseEnabled"] == "true"
    assert attributes["MaximumMessageSize"] == found["MaximumMessageSize"] == "1048576"


def test_queues_of_the_version_before_get_their_new_attributes(made: Clients) -> None:
    """Given a queue of an older deploy, when the stage is deployed again → its limits are those of this version."""
    sqs = made("sqs")
    url = sqs.get_queue_url(QueueName="tocsin-dev-webhooks")["QueueUrl"]
    before = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    redrive = {**json.loads(before["RedrivePolicy"]), "maxReceiveCount": 28}
    old = {"RedrivePolicy": json.dumps(redrive), "MaximumMessageSize": "262144"}
    sqs.set_queue_attributes(QueueUrl=url, Attributes=old)
    changed = provision(made, "dev", mails=True)
    assert [line.partition(":")[0] for line in changed] == ["changed queue tocsin-dev-webhooks"] * 2
    after = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert after["MaximumMessageSize"] == "1048576"
    assert int(json.loads(after["RedrivePolicy"])["maxReceiveCount"]) == 1000


def test_another_table_of_that_name_is_refused(made: Clients) -> None:
    """A table with other keys is left alone and told."""
    made("dynamodb").create_table(
        TableName="tocsin-prod",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
    with pytest.raises(DeployError, match="tocsin-prod is another one"):
        provision(made, "prod", mails=True)


def test_parameters_are_written_and_taken_away(made: Clients) -> None:
    """They are SecureStrings of their stage; writing the same again makes no new version."""
    ssm = made("ssm")
    for _ in range(2):
        there = parameters(ssm, "other")
        put_parameters(ssm, "other", {"A": "1", "B": "2"}, there=there)
    assert parameters(ssm, "other") == {"A": "1", "B": "2"}
    assert parameters(ssm, "prod") == {}
    found = ssm.get_parameter(Name="/tocsin/other/A")["Parameter"]
    assert (found["Type"], found["Version"]) == ("SecureString", 1)
    delete_parameters(ssm, "other", ["A", "NONE"])
    assert parameters(ssm, "other") == {"B": "2"}


def test_bounces_come_back_by_a_topic(made: Clients) -> None:
    """SES publishes what happens to mails of our configuration set, and gives up soon; a set that was chosen stays."""
    ses, sns = made("sesv2"), made("sns")
    (found,) = ses.get_configuration_set_event_destinations(ConfigurationSetName="tocsin-dev")["EventDestinations"]
    arn = found["SnsDestination"]["TopicArn"]
    assert (found["Enabled"], sorted(found["MatchingEventTypes"])) == (True, ["BOUNCE", "COMPLAINT", "REJECT"])
    assert (
        ses.get_configuration_set(ConfigurationSetName="tocsin-dev")["DeliveryOptions"]["MaxDeliverySeconds"] == 3_600
    )
    (statement,) = json.loads(sns.get_topic_attributes(TopicArn=arn)["Attributes"]["Policy"])["Statement"]
    assert (arn.rpartition(":")[2], statement["Principal"]) == ("tocsin-dev-feedback", {"Service": "ses.amazonaws.com"})
    assert parameters(made("ssm"), "dev")["SES_CONFIGURATION_SET"] == "tocsin-dev"
    put_parameters(made("ssm"), "dev", {"SES_CONFIGURATION_SET": "own"}, there={})
    assert feedback(made, "dev", mails=True) == []
    assert parameters(made("ssm"), "dev")["SES_CONFIGURATION_SET"] == "own"


def test_a_stage_that_mails_nobody_asks_nothing_of_ses(tmp_path: Path) -> None:
    """Given a Region without SES → only rules that mail, or a stage that has a configuration set, ask for one."""
    with Cloud(tmp_path, persist=False) as cloud:
        aws = clients(cloud)
        provision(aws, "dev", mails=True)
        made = provision(aws, "prod", mails=False)
        assert "configuration set" not in " ".join(made)
        names = aws("sns").list_topics()["Topics"]
        assert any(each["TopicArn"].endswith(":tocsin-prod-feedback") for each in names)
        assert "SES_CONFIGURATION_SET" not in parameters(aws("ssm"), "prod")
        assert aws("sesv2").list_configuration_sets()["ConfigurationSets"] == ["tocsin-dev"]
        aws("sesv2").delete_configuration_set(ConfigurationSetName="tocsin-dev")
        assert provision(aws, "dev", mails=False) == ["made configuration set tocsin-dev"]

        def without_ses(service: str) -> Any:
            return NoSes() if service == "sesv2" else aws(service)

        assert feedback(without_ses, "prod", mails=False) == []
        with pytest.raises(DeployError, match=r"^SES does not answer in me-central-1, and the rules notify by mail"):
            feedback(without_ses, "prod", mails=True)


class NoSes:
    """SES in a Region that has none."""

    meta = SimpleNamespace(region_name="me-central-1")
    exceptions = SimpleNamespace(AlreadyExistsException=LookupError)

    def create_configuration_set(self, **wanted: Any) -> None:
        """Find no host of that name."""
        raise EndpointConnectionError(endpoint_url="https://email.me-central-1.example")


RULE = "alerts: [{{name: A, match: {{a: b}}, notification: [{target}]}}]\n"
SLACK = '{slack_channel: "#a"}'
MAIL = "{email: a@b.c}"


@pytest.mark.parametrize(
    ("rules", "mailed"),
    [
        (RULE.format(target=SLACK), False),
        (RULE.format(target=MAIL), True),
        (RULE.format(target=SLACK) + f"fallback: {{notification: [{MAIL}]}}", True),
        (RULE.format(target=SLACK) + f"default: {{notification: [{MAIL}]}}", True),
        (RULE.format(target="{receiver: people}") + f"receivers: {{people: [{MAIL}]}}", True),
    ],
)
def test_rules_that_mail_are_known(rules: str, mailed: bool) -> None:
    """Given a rule, a receiver, the default or the fallback that mails → SES is needed."""
    assert is_mailed(rules_of(rules)) is mailed


def test_the_table_needs_no_key_of_the_account(made: Clients) -> None:
    """Given a new table → it is encrypted with DynamoDB's own key, which costs nothing and nobody needs a right on."""
    table = made("dynamodb").describe_table(TableName="tocsin-dev")["Table"]
    assert table.get("SSEDescription", {}).get("Status") not in ("ENABLED", "ENABLING")


class Functions:
    """Lambda, which refuses a destination so often before it sees the role's right."""

    def __init__(self, refuses: int) -> None:
        self.refuses = refuses
        self.configured: list[dict[str, Any]] = []

    def put_function_event_invoke_config(self, **wanted: Any) -> None:
        """Take it, or refuse."""
        self.refuses -= 1
        if self.refuses >= 0:
            raise refused("InvalidParameterValueException", "PutFunctionEventInvokeConfig")
        self.configured.append(wanted)


def test_what_the_function_of_bounces_loses_is_dead_lettered(made: Clients) -> None:
    """Given a right of the role that is seen late, when a deploy ends → both ways to the dead letters are set."""
    lambdas, sns, time = Functions(3), made("sns"), Time()
    topic = sns.create_topic(Name="tocsin-dev-feedback")["TopicArn"]
    function = "arn:aws:lambda:us-east-1:000000000000:function:tocsin-dev-mail_feedback"
    sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=function)
    services = {"lambda": lambdas}
    functions.feedback_failures(lambda name: services.get(name) or made(name), "dev", wait=time.wait)
    (found,) = lambdas.configured
    dead = found["DestinationConfig"]["OnFailure"]["Destination"]
    assert (found["FunctionName"], dead.rpartition(":")[2]) == (
        "tocsin-dev-mail_feedback",
        "tocsin-dev-notifications-dead",
    )
    assert time.now == 6
    (subscription,) = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    attributes = sns.get_subscription_attributes(SubscriptionArn=subscription["SubscriptionArn"])["Attributes"]
    assert json.loads(attributes["RedrivePolicy"]) == {"deadLetterTargetArn": dead}
    url = made("sqs").get_queue_url(QueueName="tocsin-dev-notifications-dead")["QueueUrl"]
    policy = made("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])["Attributes"]["Policy"]
    (statement,) = json.loads(policy)["Statement"]
    assert (statement["Resource"], statement["Condition"]) == (dead, {"ArnEquals": {"aws:SourceArn": topic}})


def test_late_calls_of_scheduled_functions_are_given_up() -> None:
    """Given a deploy → a call of tick or watch is kept for a minute and not repeated, one of record or repair a little."""
    lambdas = Functions(0)
    functions.scheduled(lambdas, "dev")
    set_to = {
        each["FunctionName"]: (each["MaximumEventAgeInSeconds"], each["MaximumRetryAttempts"])
        for each in lambdas.configured
    }
    assert set_to == {
        "tocsin-dev-tick": (60, 0),
        "tocsin-dev-watch": (60, 0),
        "tocsin-dev-record": (300, 1),
        "tocsin-dev-repair": (300, 1),
    }


def test_a_right_that_never_comes_ends_the_deploy(made: Clients) -> None:
    """Given a role without the right, when a deploy ends → it fails after half a minute and says what AWS refused."""
    services, time = {"lambda": Functions(999)}, Time()
    with pytest.raises(ClientError, match="InvalidParameterValueException"):
        functions.feedback_failures(lambda name: services.get(name) or made(name), "dev", wait=time.wait)
    assert 28 <= time.now <= 30


def test_a_sender_with_a_name_may_send(made: Clients) -> None:
    """The address is what SES knows, whatever name people see before it; mail in that name is taken."""
    sender = "Tocsin <night@example.com>"
    assert verify_sender(made("sesv2"), sender)
    assert made("sesv2").get_email_identity(EmailIdentity="night@example.com")["VerifiedForSendingStatus"]
    body = {"Simple": {"Subject": {"Data": "s"}, "Body": {"Text": {"Data": "t"}}}}
    to = {"ToAddresses": ["ops@example.com"]}
    assert made("sesv2").send_email(FromEmailAddress=sender, Destination=to, Content=body)["MessageId"]


def test_a_worker_without_a_queue_is_told(made: Clients) -> None:
    """Without a mapping nothing would ever be processed."""
    with pytest.raises(DeployError, match="process_webhooks reads no queue"):
        functions.mappings(made("lambda"), "dev", concurrency(1_000), wait=Time().wait)


def test_policies_and_configuration_are_up_to_date() -> None:
    """The files in .chalice are what deploy/policies.py says."""
    assert policies.stale(ROOT / ".chalice") == []
    there = {path.name for path in (ROOT / ".chalice").glob("*.json")}
    assert there == set(policies.files())


UNBOUND = ("Mail", "Look")
"""Mail is sent from any verified identity; the calls that look at alarms have no ARN to narrow them by."""


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("function", policies.FUNCTIONS)
def test_policies_name_what_they_allow(stage: str, function: str) -> None:
    """No action is a wildcard, and every resource is of this stage, but for identities of mail and states of alarms."""
    for statement in policies.policy(function, stage)["Statement"]:
        assert not [action for action in statement["Action"] if "*" in action]
        for resource in statement["Resource"]:
            assert f"tocsin-{stage}" in resource or f"tocsin/{stage}/" in resource or statement["Sid"] in UNBOUND


def test_the_function_that_only_queues_may_do_nothing_else() -> None:
    """`mail_feedback` puts messages on one queue, dead-letters and logs: neither the table nor a secret is open to it."""
    statements = {each["Sid"]: each for each in policies.policy("mail_feedback", "prod")["Statement"]}
    assert sorted(statements) == ["Logs", "Park", "Put"]
    assert statements["Park"]["Action"] == ["sqs:SendMessage"]
    assert statements["Park"]["Resource"] == ["arn:aws:sqs:*:*:tocsin-prod-notifications-dead"]
    assert statements["Put"]["Resource"] == ["arn:aws:sqs:*:*:tocsin-prod-notifications"]


@pytest.mark.parametrize("function", ["process_webhooks", "process_counts", "tick", "record"])
def test_who_speaks_to_nobody_outside_reads_no_secret(function: str) -> None:
    """Only what is to be masked."""
    (allowed,) = (each for each in policies.policy(function, "prod")["Statement"] if each["Sid"] == "Secrets")
    assert allowed["Resource"] == ["arn:aws:ssm:*:*:parameter/tocsin/prod/REDACT_PATTERNS"]


def test_what_lambda_refuses_is_not_configured() -> None:
    """Environments under 4 KB without reserved names, and times and sizes within Lambda's limits."""
    reserved = ("AWS_", "LAMBDA_", "_HANDLER", "_X_AMZN")
    for stage in policies.config()["stages"].values():
        variables = stage["environment_variables"]
        assert len(json.dumps(variables)) < 4_096
        assert not [name for name in variables if name.startswith(reserved)]
        for function in stage["lambda_functions"].values():
            assert function["lambda_timeout"] <= VISIBILITY_SECONDS
            assert 128 <= function["lambda_memory_size"] <= 10_240


def test_every_function_of_the_app_is_configured() -> None:
    """A handler of app.py without an entry here would run with no rights at all."""
    tree = ast.parse((ROOT / "app.py").read_text())
    kinds = {"on_sqs_message", "schedule", "on_cw_event", "on_sns_message", "lambda_function"}
    handlers = {
        each.name
        for each in tree.body
        if isinstance(each, ast.FunctionDef)
        for decorator in each.decorator_list
        if isinstance(decorator, ast.Call)
        and isinstance(decorator.func, ast.Attribute)
        and decorator.func.attr in kinds
    }
    assert handlers | {"api_handler"} == set(policies.FUNCTIONS)
