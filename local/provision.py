"""What Chalice does not create: the table, the queues with their dead letters, parameters, alarms. Safe to repeat.

The same code makes them in the embedded AWS and on AWS. Nothing is ever deleted, and no parameter that is there is
overwritten unless it is asked for by value.
"""

import json
import time
from collections.abc import Callable, Iterable, Mapping
from email.utils import parseaddr
from typing import Any

from botocore.exceptions import ClientError

from chalicelib.core.errors import TocsinError
from chalicelib.settings import dead_letters
from local.policies import APP, FUNCTIONS, WORKER_SECONDS, lambda_name

INDEX = "wake"
VISIBILITY_SECONDS = 90
"""Lambda refuses a queue that hides messages for less than the function may run; ours ends after WORKER_SECONDS."""
RETENTION_SECONDS = 14 * 86_400
MAX_RECEIVES = {"webhooks": 28, "notifications": 1000, "counts": 28, "history": 12}
"""Whether a notification is given up is decided by its age, in `deliver`: SQS only catches what crashes for ever."""
MAIL_EVENTS = ("BOUNCE", "COMPLAINT", "REJECT")
MAX_MAIL_SECONDS = 3_600
CONFIGURATION_SET = "SES_CONFIGURATION_SET"
ALARM_SECONDS = 300
MAX_EVENT_SECONDS = 21_600
"""How long Lambda tries to call `mail_feedback` while it is throttled: the most that it takes."""
MAX_TRIES = 6
ROLE_SECONDS = 5.0
"""Half a minute in all: what a role may do is seen everywhere some seconds after it was changed."""
MAX_AGE_SECONDS = {"history": 3_600}
"""When the oldest message of a queue is too old; 300 where nothing is said. History is moved every five minutes."""

assert VISIBILITY_SECONDS >= WORKER_SECONDS


class ProvisionError(TocsinError):
    """Something that is there is not what is needed; the text says what and what to do."""


def provision(clients: "Clients", stage: str) -> list[str]:
    """Make table and queues of a stage, or bring them up to date; what was new, in words."""
    made = table(clients("dynamodb"), f"{APP}-{stage}", stage)
    for name in MAX_RECEIVES:
        made += queue(clients("sqs"), f"{APP}-{stage}-{name}", MAX_RECEIVES[name], stage)
    return made + feedback(clients, stage)


class Clients:
    """boto3 clients of one account and Region, or of the embedded AWS; built once each."""

    def __init__(self, session: Any, endpoint: str | None = None) -> None:
        self._session = session
        self._endpoint = endpoint
        self._built: dict[str, Any] = {}

    def __call__(self, service: str) -> Any:
        """The client of a service."""
        if service not in self._built:
            self._built[service] = self._session.client(service, endpoint_url=self._endpoint)
        return self._built[service]


# ---------------------------------------------------------------------------------------------------------------------
# Table


def table(dynamodb: Any, name: str, stage: str) -> list[str]:
    """The one table: keys, the index of timers, expiry, backups of the last 35 days, encryption."""
    made = []
    try:
        found = dynamodb.describe_table(TableName=name)["Table"]
    except dynamodb.exceptions.ResourceNotFoundException:
        dynamodb.create_table(TableName=name, Tags=_tags(stage), **_table())
        dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 120})
        found = dynamodb.describe_table(TableName=name)["Table"]
        made.append(f"table {name}")
    _check_keys(name, found)
    if _expiry(dynamodb, name) not in ("ENABLED", "ENABLING"):
        dynamodb.update_time_to_live(
            TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires_at"}
        )
    if stage != "local" and not _has_backups(dynamodb, name):
        dynamodb.update_continuous_backups(
            TableName=name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
        )
    return made


def _table() -> dict[str, Any]:
    keys = {"pk": "S", "sk": "S", "wake_shard": "S", "wake_at": "N"}
    return {
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": key, "AttributeType": kind} for key, kind in keys.items()],
        "KeySchema": _keys("pk", "sk"),
        "GlobalSecondaryIndexes": [
            {
                "IndexName": INDEX,
                "KeySchema": _keys("wake_shard", "wake_at"),
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
        "SSESpecification": {"Enabled": True},
    }


def _keys(hashed: str, ranged: str) -> list[dict[str, str]]:
    return [{"AttributeName": hashed, "KeyType": "HASH"}, {"AttributeName": ranged, "KeyType": "RANGE"}]


def _check_keys(name: str, found: Mapping[str, Any]) -> None:
    keys = [each["AttributeName"] for each in found["KeySchema"]]
    indexes = [each["IndexName"] for each in found.get("GlobalSecondaryIndexes", [])]
    if sorted(keys) != ["pk", "sk"] or INDEX not in indexes:
        raise ProvisionError(f"the table {name} is another one: it has no keys pk and sk, or no index {INDEX}; move it")


def _expiry(dynamodb: Any, name: str) -> str:
    found: str = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"].get("TimeToLiveStatus", "")
    return found


def _has_backups(dynamodb: Any, name: str) -> bool:
    found = dynamodb.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    status = found.get("PointInTimeRecoveryDescription", {}).get("PointInTimeRecoveryStatus")
    return bool(status == "ENABLED")


# ---------------------------------------------------------------------------------------------------------------------
# Queues


def queue(sqs: Any, name: str, max_receives: int, stage: str) -> list[str]:
    """A queue and its dead-letter queue, both encrypted and kept for 14 days."""
    kept = {"MessageRetentionPeriod": str(RETENTION_SECONDS), "SqsManagedSseEnabled": "true"}
    dead, made_dead = _queue(sqs, dead_letters(name), kept, stage)
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    attributes = {
        **kept,
        "VisibilityTimeout": str(VISIBILITY_SECONDS),
        "ReceiveMessageWaitTimeSeconds": "20",
        "RedrivePolicy": f'{{"deadLetterTargetArn":"{arn}","maxReceiveCount":{max_receives}}}',
    }
    _, made = _queue(sqs, name, attributes, stage)
    return made_dead + made


def _queue(sqs: Any, name: str, attributes: dict[str, str], stage: str) -> tuple[str, list[str]]:
    try:
        url = str(sqs.get_queue_url(QueueName=name)["QueueUrl"])
    except sqs.exceptions.QueueDoesNotExist:
        tags = {each["Key"]: each["Value"] for each in _tags(stage)}
        return str(sqs.create_queue(QueueName=name, Attributes=attributes, tags=tags)["QueueUrl"]), [f"queue {name}"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes)
    return url, []


def _tags(stage: str) -> list[dict[str, str]]:
    return [{"Key": "app", "Value": APP}, {"Key": "stage", "Value": stage}]


# ---------------------------------------------------------------------------------------------------------------------
# Mail


def feedback(clients: "Clients", stage: str) -> list[str]:
    """The way back from SES: bounces and complaints of mails with our configuration set go to a topic.

    The set ends SES's own tries after an hour: an alert that arrives later is noise. A stage that names another set in
    SES_CONFIGURATION_SET keeps it.
    """
    name, made = f"{APP}-{stage}", []
    arn = str(clients("sns").create_topic(Name=f"{name}-feedback", Tags=_tags(stage))["TopicArn"])
    clients("sns").set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=_publishable(arn))
    url, dead = _dead_letters(clients("sqs"), stage)
    clients("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": _sendable(dead, arn)})
    ses = clients("sesv2")
    try:
        options = {"MaxDeliverySeconds": MAX_MAIL_SECONDS}
        ses.create_configuration_set(ConfigurationSetName=name, DeliveryOptions=options, Tags=_tags(stage))
        made.append(f"configuration set {name}")
    except ses.exceptions.AlreadyExistsException:
        pass
    destination = {"Enabled": True, "MatchingEventTypes": list(MAIL_EVENTS), "SnsDestination": {"TopicArn": arn}}
    try:
        ses.create_configuration_set_event_destination(
            ConfigurationSetName=name, EventDestinationName="feedback", EventDestination=destination
        )
    except ses.exceptions.AlreadyExistsException:
        ses.update_configuration_set_event_destination(
            ConfigurationSetName=name, EventDestinationName="feedback", EventDestination=destination
        )
    there = parameters(clients("ssm"), stage)
    if not there.get(CONFIGURATION_SET):
        put_parameters(clients("ssm"), stage, {CONFIGURATION_SET: name}, there=there)
    return made


def _dead_letters(sqs: Any, stage: str) -> tuple[str, str]:
    """Return the address and the ARN of the queue for bounces that reach no worker."""
    url = str(
        sqs.get_queue_url(QueueName=dead_letters(f"{APP}-{stage}-{FUNCTIONS['mail_feedback']['loses']}"))["QueueUrl"]
    )
    return url, str(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"])


def _sendable(queue: str, topic: str) -> str:
    """Who may send to the dead letters beside our functions: SNS, what that topic could not deliver."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue,
        "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _publishable(arn: str) -> str:
    """Who may publish: SES, for this account."""
    account = arn.split(":")[4]
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "ses.amazonaws.com"},
        "Action": "SNS:Publish",
        "Resource": arn,
        "Condition": {"StringEquals": {"AWS:SourceAccount": account}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


# ---------------------------------------------------------------------------------------------------------------------
# Parameters


def parameters(ssm: Any, stage: str) -> dict[str, str]:
    """The parameters of a stage by name, decrypted."""
    found = {}
    prefix = f"/{APP}/{stage}/"
    for page in ssm.get_paginator("get_parameters_by_path").paginate(Path=prefix, WithDecryption=True):
        found.update({each["Name"].removeprefix(prefix): each["Value"] for each in page["Parameters"]})
    return found


def put_parameters(ssm: Any, stage: str, values: Mapping[str, str], *, there: Mapping[str, str]) -> None:
    """Write those that are not there with that value, as SecureStrings."""
    for name, value in values.items():
        if there.get(name) != value:
            ssm.put_parameter(Name=f"/{APP}/{stage}/{name}", Value=value, Type="SecureString", Overwrite=True)


def delete_parameters(ssm: Any, stage: str, names: Iterable[str]) -> None:
    """Take those away; names that are not there are left out."""
    for name in names:
        try:
            ssm.delete_parameter(Name=f"/{APP}/{stage}/{name}")
        except ssm.exceptions.ParameterNotFound:
            continue


# ---------------------------------------------------------------------------------------------------------------------
# After a deploy


def mappings(functions: Any, stage: str) -> list[str]:
    """Switch ReportBatchItemFailures on, which Chalice cannot; the functions whose mapping was changed.

    ProvisionError when a worker has no mapping or it is disabled: then nothing would be processed.
    """
    changed = []
    for name in (name for name, needs in FUNCTIONS.items() if "takes" in needs):
        found = functions.list_event_source_mappings(FunctionName=lambda_name(name, stage))["EventSourceMappings"]
        enabled = [each for each in found if each.get("State") not in ("Disabled", "Disabling")]
        if not enabled:
            raise ProvisionError(f"{lambda_name(name, stage)} reads no queue: enable its mapping, or deploy again")
        for each in enabled:
            if "ReportBatchItemFailures" not in (each.get("FunctionResponseTypes") or []):
                functions.update_event_source_mapping(
                    UUID=each["UUID"], FunctionResponseTypes=["ReportBatchItemFailures"]
                )
                changed.append(name)
    return changed


def feedback_failures(clients: "Clients", stage: str, *, pause: Callable[[float], object] = time.sleep) -> None:
    """Put what SES publishes and no worker receives into the dead letters of the notifications queue.

    Lambda puts a message there when `mail_feedback` failed three times, or could not run for six hours; SNS puts it there
    when it cannot hand it to Lambda. A deploy by Chalice alone leaves both settings as they are.
    """
    _, dead = _dead_letters(clients("sqs"), stage)
    wanted = {
        "FunctionName": lambda_name("mail_feedback", stage),
        "MaximumRetryAttempts": 2,
        "MaximumEventAgeInSeconds": MAX_EVENT_SECONDS,
        "DestinationConfig": {"OnFailure": {"Destination": dead}},
    }
    functions, sns = clients("lambda"), clients("sns")
    for tries in range(1, MAX_TRIES + 1):
        try:
            functions.put_function_event_invoke_config(**wanted)
            break
        except functions.exceptions.InvalidParameterValueException:
            if tries == MAX_TRIES:
                raise
            pause(ROLE_SECONDS)  # a right that the role got a moment ago may not be seen yet
    topic = str(sns.create_topic(Name=f"{APP}-{stage}-feedback", Tags=_tags(stage))["TopicArn"])
    redrive = json.dumps({"deadLetterTargetArn": dead})
    for page in sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic):
        for each in page["Subscriptions"]:
            if each["Protocol"] == "lambda":
                sns.set_subscription_attributes(
                    SubscriptionArn=each["SubscriptionArn"], AttributeName="RedrivePolicy", AttributeValue=redrive
                )


def alarms(cloudwatch: Any, stage: str, actions: list[str]) -> list[str]:
    """Alarms on what nobody would see otherwise; `actions` are ARNs, usually of an SNS topic. Their names."""
    names = []
    for name, alarm in _alarms(stage).items():
        cloudwatch.put_metric_alarm(
            AlarmName=f"{APP}-{stage}-{name}",
            ActionsEnabled=bool(actions),
            AlarmActions=actions,
            OKActions=actions,
            Period=ALARM_SECONDS,
            EvaluationPeriods=1,
            Tags=_tags(stage),
            **alarm,
        )
        names.append(f"{APP}-{stage}-{name}")
    return names


def _alarms(stage: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for name in MAX_RECEIVES:
        queue_name = f"{APP}-{stage}-{name}"
        dead = dead_letters(queue_name)
        waiting = "ApproximateNumberOfMessagesVisible"
        found[f"{name}-dead"] = _alarm("AWS/SQS", waiting, ("QueueName", dead), "Maximum", 0)
        found[f"{name}-old"] = _alarm(
            "AWS/SQS",
            "ApproximateAgeOfOldestMessage",
            ("QueueName", queue_name),
            "Maximum",
            MAX_AGE_SECONDS.get(name, 300),
        )
    for function in FUNCTIONS:
        dimension = ("FunctionName", lambda_name(function, stage))
        found[f"{function}-errors"] = _alarm("AWS/Lambda", "Errors", dimension, "Sum", 5)
        found[f"{function}-throttles"] = _alarm("AWS/Lambda", "Throttles", dimension, "Sum", 5)
    tick = _alarm("AWS/Lambda", "Invocations", ("FunctionName", lambda_name("tick", stage)), "Sum", 1)
    found["tick-stopped"] = {**tick, "ComparisonOperator": "LessThanThreshold", "TreatMissingData": "breaching"}
    return found


def _alarm(namespace: str, metric: str, dimension: tuple[str, str], statistic: str, threshold: float) -> dict[str, Any]:
    return {
        "Namespace": namespace,
        "MetricName": metric,
        "Dimensions": [{"Name": dimension[0], "Value": dimension[1]}],
        "Statistic": statistic,
        "Threshold": threshold,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
    }


def alarm_topic(sns: Any, stage: str, email: str) -> str:
    """The ARN of the topic that tells an address of alarms; AWS asks the address to confirm once."""
    arn = str(sns.create_topic(Name=f"{APP}-{stage}-alarms", Tags=_tags(stage))["TopicArn"])
    pages = sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=arn)
    known = {each["Endpoint"] for page in pages for each in page["Subscriptions"]}
    if email not in known:
        sns.subscribe(TopicArn=arn, Protocol="email", Endpoint=email)
    return arn


def verify_sender(sesv2: Any, sender: str) -> bool:
    """Whether mail may be sent from `name@host` or `Name <name@host>`; an unknown one is added, and SES asks it to confirm."""
    address = parseaddr(sender)[1] or sender
    try:
        return bool(sesv2.get_email_identity(EmailIdentity=address).get("VerifiedForSendingStatus"))
    except ClientError as error:
        if error.response["Error"]["Code"] != "NotFoundException":
            raise
    sesv2.create_email_identity(EmailIdentity=address)
    return bool(sesv2.get_email_identity(EmailIdentity=address).get("VerifiedForSendingStatus"))
