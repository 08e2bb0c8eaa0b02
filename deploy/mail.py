"""SES: the way back of bounces and complaints, and the sender."""

import json
from email.utils import parseaddr
from typing import Any

from botocore.exceptions import ClientError

from deploy.clients import Clients
from deploy.names import APP, tags
from deploy.parameters import parameters, put_parameters
from deploy.queues import feedback_dead_letters

MAIL_EVENTS = ("BOUNCE", "COMPLAINT", "REJECT")
MAX_MAIL_SECONDS = 3_600
CONFIGURATION_SET = "SES_CONFIGURATION_SET"


def feedback(clients: Clients, stage: str) -> list[str]:
    """The way back from SES: bounces and complaints of mails with our configuration set go to a topic.

    The set ends SES's own tries after an hour: an alert that arrives later is noise. A stage that names another set in
    SES_CONFIGURATION_SET keeps it.
    """
    name, made = f"{APP}-{stage}", []
    arn = str(clients("sns").create_topic(Name=f"{name}-feedback", Tags=tags(stage))["TopicArn"])
    clients("sns").set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=_publishable(arn))
    url, dead = feedback_dead_letters(clients("sqs"), stage)
    clients("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": _sendable(dead, arn)})
    ses = clients("sesv2")
    try:
        options = {"MaxDeliverySeconds": MAX_MAIL_SECONDS}
        ses.create_configuration_set(ConfigurationSetName=name, DeliveryOptions=options, Tags=tags(stage))
        made.append(f"made configuration set {name}")
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
