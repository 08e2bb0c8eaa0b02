"""Take a stage down: what its deploys have made goes, in an order in which a run that broke can be repeated.

The table, which remembers incidents, and the secrets stay unless `everything` is asked for. What the stage owns is found by
its whole names, its tags and by what it calls, as a deploy finds it: never by the beginning of a name alone, since
`tocsin-dev-2` is not `tocsin-dev`. What others need to be found goes last: senders lose the API first, a function
goes after all that bears its name, and the record of the last deploy after the API that only it may know.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError

from chalicelib.aws import arn
from chalicelib.core import sign_in
from chalicelib.settings import dead_letters
from deploy.alarms import RETIRED, existing_alarms, wanted_alarms
from deploy.aws_events import rule_name
from deploy.chalice_record import rest_apis, stage_functions
from deploy.clients import Clients
from deploy.errors import DeployError
from deploy.functions import BUSY, BUSY_SECONDS, MAPPING_SECONDS
from deploy.http_api import http_apis
from deploy.lock import Lock, this_process
from deploy.logs import PREFIX
from deploy.mail import CONFIGURATION_SET
from deploy.memory import kept_api, memory_name, remembered
from deploy.names import API, APP, lambda_name
from deploy.parameters import is_ours, parameters
from deploy.policies import FUNCTIONS
from deploy.queues import MAX_RECEIVES
from deploy.stage_name import problem
from deploy.table import has_table
from deploy.topics import ALARMS, EVENTS, FEEDBACK, topic_name
from deploy.waiting import GONE, PATIENT, Wait, code_of

Removal = tuple[str, Callable[[], object]]
"""What is removed, for people, and the call that does it."""


class NotThereError(Exception):
    """What a service cannot have here, and which is not there therefore."""


@dataclass(frozen=True, slots=True)
class Destroy:
    """The end of one stage. `root` is the checkout that deployed it; `say` gets a line for each thing that is removed."""

    stage: str
    clients: Clients
    root: Path
    say: Callable[[str], object] = print
    wait: Wait = PATIENT

    def check(self) -> None:
        """Raise DeployError unless there may be such a stage on AWS."""
        if self.stage == "local":
            raise DeployError(
                "the stage local is on this machine: it ends with `make run`, and nothing of it is on AWS"
            )
        if wrong := problem(self.stage):
            raise DeployError(wrong)

    def run(self, *, everything: bool = False) -> int:
        """Remove what deploys have made; with `everything` the table and the secrets too. Return how much that was."""
        self.check()
        try:
            with self._lock() if self.has_table() else nullcontext():
                return sum(self._remove(what, call) for what, call in self._removals(everything))
        except (ClientError, BotoCoreError) as error:
            text = " ".join(str(error).split())
            raise DeployError(f"AWS refused: {text}; run it again: it goes on from there") from None

    def has_table(self) -> bool:
        """Return whether the stage has its table, which holds the lock of a deploy."""
        return has_table(self.clients("dynamodb"), f"{APP}-{self.stage}")

    def _lock(self) -> Any:
        return Lock(self.clients("dynamodb"), f"{APP}-{self.stage}", this_process()).held()

    def _remove(self, what: str, call: Callable[[], object]) -> bool:
        """Make the call. Return whether there was anything to remove."""
        try:
            call()
        except (FileNotFoundError, NotThereError):
            return False
        except ClientError as error:
            if code_of(error) not in GONE:
                raise
            return False
        self.say(f"removed {what}")
        return True

    def _removals(self, everything: bool) -> Iterator[Removal]:
        clients, stage = self.clients, self.stage
        memory = remembered(clients("ssm"), stage)
        functions = {name: role for name, (_, role) in stage_functions(clients("lambda"), stage)}
        names = dict.fromkeys((*FUNCTIONS, *functions))
        yield from _apis(clients, stage, kept_api(memory))
        yield from _rules(clients("events"), stage, names)
        yield from _mappings(clients("lambda"), stage, names, self.wait)
        for name in names:
            yield from _function(clients, stage, name, self.wait)
        yield f"log group {PREFIX}{APP}-{stage}-{API}", _log_group(clients, f"{APP}-{stage}-{API}")
        yield from _alarms(clients("cloudwatch"), stage)
        yield from _topics(clients, stage)
        yield from _queues(clients("sqs"), stage)
        yield f"configuration set {APP}-{stage}", partial(_configuration_set, clients("sesv2"), f"{APP}-{stage}")
        yield from _settings(clients("ssm"), stage, everything)
        yield f"the record of the last deploy, {memory_name(stage)}", _parameter(clients("ssm"), memory_name(stage))
        yield f".chalice/deployed/{stage}.json", (self.root / ".chalice" / "deployed" / f"{stage}.json").unlink
        if everything:
            yield f"table {APP}-{stage}", partial(clients("dynamodb").delete_table, TableName=f"{APP}-{stage}")


def _apis(clients: Clients, stage: str, used: str | None) -> Iterator[Removal]:
    for api in http_apis(clients("apigatewayv2"), stage):
        yield f"HTTP API {api}", partial(clients("apigatewayv2").delete_api, ApiId=api)
    for api in rest_apis(clients("apigateway"), stage, used=used):
        yield f"REST API {api}", partial(clients("apigateway").delete_rest_api, restApiId=api)


def _rules(events: Any, stage: str, functions: Iterable[str]) -> Iterator[Removal]:
    ours = {rule_name(stage), *(f"{APP}-{stage}-{name}-event" for name in functions)}
    for page in events.get_paginator("list_rules").paginate(NamePrefix=f"{APP}-{stage}-"):
        for name in (each["Name"] for each in page["Rules"] if each["Name"] in ours):
            yield f"rule {name}", partial(_rule, events, name)


def _rule(events: Any, name: str) -> None:
    """Delete a rule, which must have no targets then."""
    if targets := [each["Id"] for each in events.list_targets_by_rule(Rule=name)["Targets"]]:
        events.remove_targets(Rule=name, Ids=targets)
    events.delete_rule(Name=name)


def _mappings(functions: Any, stage: str, names: Iterable[str], wait: Wait) -> Iterator[Removal]:
    """Yield the mappings of the stage's functions. They are left when somebody has deleted a function before."""
    ours = {lambda_name(name, stage) for name in names}
    for page in functions.get_paginator("list_event_source_mappings").paginate():
        for each in page["EventSourceMappings"]:
            function = each["FunctionArn"].split(":")[6]
            if function in ours and each.get("State") != "Deleting":
                queue = each.get("EventSourceArn", "").rpartition(":")[2]
                call = partial(functions.delete_event_source_mapping, UUID=each["UUID"])
                asked = partial(wait.while_refused, call, ("ResourceInUseException",), seconds=MAPPING_SECONDS)
                yield f"mapping of {queue} to {function}", asked


def _function(clients: Clients, stage: str, name: str, wait: Wait) -> Iterator[Removal]:
    """Yield the role first: without it nothing writes to the log group, which would be made again."""
    function, functions = lambda_name(name, stage), clients("lambda")
    role = f"{APP}-{stage}-{name}"
    yield f"role {role}", partial(_role, clients("iam"), role)
    yield f"log group {PREFIX}{function}", _log_group(clients, function)
    call = partial(functions.delete_function, FunctionName=function)
    yield f"function {function}", partial(wait.while_refused, call, (BUSY,), seconds=BUSY_SECONDS)


def _role(iam: Any, name: str) -> None:
    """Delete a role, which must have no policies then."""
    for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
        iam.delete_role_policy(RoleName=name, PolicyName=policy)
    iam.delete_role(RoleName=name)


def _log_group(clients: Clients, function: str) -> Callable[[], object]:
    return partial(clients("logs").delete_log_group, logGroupName=f"{PREFIX}{function}")


def _alarms(cloudwatch: Any, stage: str) -> Iterator[Removal]:
    """Yield the alarms that a deploy of this version or of one before makes; those that an operator made stay."""
    ours = {*wanted_alarms(stage), *(f"{APP}-{stage}-{name}" for name in RETIRED)}
    for name in sorted(ours & existing_alarms(cloudwatch, stage).keys()):
        yield f"alarm {name}", partial(cloudwatch.delete_alarms, AlarmNames=[name])


def _topics(clients: Clients, stage: str) -> Iterator[Removal]:
    sns, (partition, account) = clients("sns"), _account(clients)
    for name in (topic_name(each, stage) for each in (FEEDBACK, EVENTS, ALARMS)):
        found = arn("sns", name, region=sns.meta.region_name, account=account, partition=partition)
        yield f"topic {name}", partial(_topic, sns, found)


def _account(clients: Clients) -> tuple[str, str]:
    """Return the partition and the account."""
    found = clients("sts").get_caller_identity()["Arn"].split(":")
    return found[1], found[4]


def _topic(sns: Any, topic: str) -> None:
    """Delete a topic and its subscriptions. One that nobody has confirmed has no ARN, and AWS forgets it."""
    for page in sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic):
        for each in page["Subscriptions"]:
            if each["SubscriptionArn"].startswith("arn:"):
                sns.unsubscribe(SubscriptionArn=each["SubscriptionArn"])
    sns.delete_topic(TopicArn=topic)


def _queues(sqs: Any, stage: str) -> Iterator[Removal]:
    for name in (f"{APP}-{stage}-{each}" for each in MAX_RECEIVES):
        for queue in (name, dead_letters(name)):
            try:
                url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
            except sqs.exceptions.QueueDoesNotExist:
                continue
            yield f"queue {queue}{_held(sqs, url)}", partial(sqs.delete_queue, QueueUrl=url)


def _held(sqs: Any, url: str) -> str:
    """Return how many messages go with a queue, for people; empty where there is none."""
    count = "ApproximateNumberOfMessages"
    try:
        found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[count])["Attributes"][count]
    except sqs.exceptions.QueueDoesNotExist:
        return ""
    return f" with {found} message{'' if found == '1' else 's'}" if found != "0" else ""


def _configuration_set(ses: Any, name: str) -> None:
    """Delete the set. It is looked for first: the embedded AWS deletes one that is not there as well."""
    try:
        ses.get_configuration_set(ConfigurationSetName=name)
        ses.delete_configuration_set(ConfigurationSetName=name)
    except EndpointConnectionError:
        raise NotThereError(f"this Region has no SES, and no {name}") from None


def _settings(ssm: Any, stage: str, everything: bool) -> Iterator[Removal]:
    """Yield the settings that name what is gone now; or all, secrets included."""
    there = parameters(ssm, stage)
    named = {sign_in.PAGE_URL: is_ours(there.get(sign_in.PAGE_URL, ""))}
    named[CONFIGURATION_SET] = there.get(CONFIGURATION_SET) == f"{APP}-{stage}"
    for name in there:
        if everything or named.get(name, False):
            whole = f"/{APP}/{stage}/{name}"
            yield f"parameter {whole}", _parameter(ssm, whole)


def _parameter(ssm: Any, name: str) -> Callable[[], object]:
    return partial(ssm.delete_parameter, Name=name)
