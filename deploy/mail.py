"""SES: the way back of bounces and complaints, and the sender."""

import json
from email.utils import parseaddr
from typing import Any

from botocore.exceptions import ClientError, EndpointConnectionError

from chalicelib.aws import service_principal
from chalicelib.core.routing import all_targets
from chalicelib.core.rule import Rules
from deploy.clients import Clients
from deploy.errors import DeployError
from deploy.names import APP, tags
from deploy.parameters import parameters, put_parameters
from deploy.queues import allow, feedback_dead_letters
from deploy.topics import FEEDBACK, topic
from deploy.waiting import PATIENT, Wait, code_of

MAIL_EVENTS = ("BOUNCE", "COMPLAINT", "REJECT")
MAX_MAIL_SECONDS = 3_600
CONFIGURATION_SET = "SES_CONFIGURATION_SET"


def is_mailed(rules: Rules) -> bool:
    """Return whether a rule, a route or the fallback notifies anybody by mail."""
    return any(target.kind == "email" for target in all_targets(rules))


def feedback(clients: Clients, stage: str, *, mails: bool, wait: Wait = PATIENT) -> list[str]:
    """Return the way back from SES: bounces and complaints of mails with our configuration set go to a topic.

    The topic is always there, since a function subscribes to it. The set is made when somebody is notified by mail, as not
    every Region has SES; a stage that has one keeps it. A stage that names another set in SES_CONFIGURATION_SET keeps that.
    """
    arn = topic(clients("sns"), FEEDBACK, stage)
    clients("sns").set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=_publishable(arn))
    url, dead = feedback_dead_letters(clients("sqs"), stage, wait=wait)
    allow(clients("sqs"), url, _sendable(dead, arn), wait=wait)
    there = parameters(clients("ssm"), stage)
    if not mails and not there.get(CONFIGURATION_SET):
        return []
    try:
        made = _configuration_set(clients("sesv2"), stage, arn)
    except EndpointConnectionError:
        region = clients("sesv2").meta.region_name
        raise DeployError(
            f"SES does not answer in {region}, and the rules notify by mail: take mail out of them"
        ) from None
    if not there.get(CONFIGURATION_SET):
        put_parameters(clients("ssm"), stage, {CONFIGURATION_SET: f"{APP}-{stage}"}, there=there)
    return made


def _configuration_set(ses: Any, stage: str, arn: str) -> list[str]:
    """Make the set or bring it up to date. It ends SES's own tries after an hour: a later alert is noise."""
    name, made = f"{APP}-{stage}", []
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
    return made


def _sendable(queue: str, topic: str) -> str:
    """Return who may send to the dead letters beside our functions: SNS, what that topic could not deliver."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": service_principal("sns")},
        "Action": "sqs:SendMessage",
        "Resource": queue,
        "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _publishable(arn: str) -> str:
    """Return who may publish: SES, for this account."""
    account = arn.split(":")[4]
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": service_principal("ses")},
        "Action": "SNS:Publish",
        "Resource": arn,
        "Condition": {"StringEquals": {"AWS:SourceAccount": account}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def verify_sender(sesv2: Any, sender: str) -> bool:
    """Return whether mail may be sent from `name@host` or `Name <name@host>`; an unknown one is added, and SES asks it to confirm."""
    address = parseaddr(sender)[1] or sender
    try:
        return bool(sesv2.get_email_identity(EmailIdentity=address).get("VerifiedForSendingStatus"))
    except ClientError as error:
        if code_of(error) != "NotFoundException":
            raise
    sesv2.create_email_identity(EmailIdentity=address)
    return bool(sesv2.get_email_identity(EmailIdentity=address).get("VerifiedForSendingStatus"))
