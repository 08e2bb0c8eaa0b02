"""What AWS answers for some seconds about things that were made a moment ago, and that a deploy waits for it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from deploy.clients import Clients
from deploy.concurrency import concurrency
from deploy.errors import DeployError
from deploy.functions import loops, mappings, scheduled
from deploy.mail import feedback
from deploy.policies import FUNCTIONS
from deploy.queues import queue
from deploy.table import INDEXES, _table, table
from local.cloud import Cloud
from tests.deploy.virtual import Refusing, Time, refused
from tests.project import clients

MAXIMUM = concurrency(1_000)


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clients]:
    """An embedded AWS; each test names what it makes in it."""
    with Cloud(tmp_path_factory.mktemp("cloud"), persist=False) as cloud:
        yield clients(cloud)


def test_backups_of_a_new_table_are_switched_on_when_aws_is_ready(aws: Clients) -> None:
    """Given ContinuousBackupsUnavailableException for a minute, when a table is made → it has backups in the end."""
    time = Time()
    refusing = Refusing(aws("dynamodb"), {"update_continuous_backups": ["ContinuousBackupsUnavailableException"] * 30})
    assert table(refusing, "tocsin-backups", "dev", wait=time.wait) == ["made table tocsin-backups"]
    found = aws("dynamodb").describe_continuous_backups(TableName="tocsin-backups")["ContinuousBackupsDescription"]
    assert found["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"
    assert time.now == 60


def test_backups_that_never_come_end_the_deploy(aws: Clients) -> None:
    """Given ContinuousBackupsUnavailableException for ever, when a table is made → the deploy ends after three minutes."""
    time = Time()
    codes = {"update_continuous_backups": ["ContinuousBackupsUnavailableException"] * 999}
    with pytest.raises(ClientError, match="ContinuousBackupsUnavailable"):
        table(Refusing(aws("dynamodb"), codes), "tocsin-never", "dev", wait=time.wait)
    assert 170 <= time.now <= 180


class Late(Refusing):
    """A client that does not find a new table at first, also once it is made."""

    def __init__(self, client: Any, looks: int) -> None:
        super().__init__(client, {})
        self.looks: list[int] = []
        self._late = looks

    def create_table(self, **arguments: Any) -> Any:
        """Make it."""
        self.looks = [1] * self._late
        return self._client.create_table(**arguments)

    def describe_table(self, **arguments: Any) -> Any:
        """Find it, or not yet."""
        if self.looks:
            self.looks.pop()
            raise refused("ResourceNotFoundException", "DescribeTable")
        return self._client.describe_table(**arguments)


def test_a_table_that_is_not_known_yet_is_waited_for(aws: Clients) -> None:
    """Given a table that two looks do not find after it was made → it is looked at again."""
    time, late = Time(), Late(aws("dynamodb"), 2)
    assert table(late, "tocsin-late", "local", wait=time.wait) == ["made table tocsin-late"]
    assert (late.looks, time.now) == ([], 4)


def test_a_table_that_a_broken_deploy_made_a_moment_ago_is_found(aws: Clients) -> None:
    """Given a new table that is not known everywhere, when it is deployed again → it is the one, and is set up."""
    aws("dynamodb").create_table(TableName="tocsin-broken", **_table(INDEXES))
    codes = {
        "describe_table": ["ResourceNotFoundException"] * 2,
        "describe_time_to_live": ["ResourceNotFoundException"],
        "describe_continuous_backups": ["TableNotFoundException"],
    }
    time = Time()
    assert table(Refusing(aws("dynamodb"), codes), "tocsin-broken", "dev", wait=time.wait) == []
    assert time.now == 2 * 3
    assert table(aws("dynamodb"), "tocsin-broken", "dev", wait=time.wait) == []


def test_an_index_of_a_later_version_is_added_to_a_table_in_use(aws: Clients) -> None:
    """Given a table with items, when a version with one more index is deployed → it is added, listed, and usable; once."""
    dynamodb = aws("dynamodb")
    table(dynamodb, "tocsin-older", "local")
    dynamodb.put_item(TableName="tocsin-older", Item={"pk": {"S": "a"}, "sk": {"S": "b"}})
    more = {**INDEXES, "person": ("assignee", "since")}
    assert table(dynamodb, "tocsin-older", "local", indexes=more) == ["added index person to table tocsin-older"]
    assert table(dynamodb, "tocsin-older", "local", indexes=more) == []
    asked = {"KeyConditionExpression": "assignee = :a", "ExpressionAttributeValues": {":a": {"S": "ana"}}}
    assert dynamodb.query(TableName="tocsin-older", IndexName="person", **asked)["Items"] == []
    # The version before is deployed again: it leaves the index alone.
    assert table(dynamodb, "tocsin-older", "local") == []


def test_an_index_that_is_being_filled_is_waited_for(aws: Clients) -> None:
    """Given an index in state CREATING, when a deploy looks at it → it goes on once the index is active."""
    dynamodb, time = aws("dynamodb"), Time()
    table(dynamodb, "tocsin-filling", "local")

    class Filling(Refusing):
        """A client that shows the index as being filled for ten minutes."""

        def describe_table(self, **arguments: Any) -> Any:
            """Show the table."""
            found = dynamodb.describe_table(**arguments)
            if time.now < 600:
                found["Table"]["GlobalSecondaryIndexes"][0]["IndexStatus"] = "CREATING"
            return found

    assert table(Filling(dynamodb, {}), "tocsin-filling", "local", wait=time.wait) == []
    assert time.now == 600


@pytest.mark.parametrize(
    "codes",
    [
        {"create_queue": ["AWS.SimpleQueueService.QueueDeletedRecently"] * 30},
        {"get_queue_attributes": ["AWS.SimpleQueueService.NonExistentQueue"] * 5},
        {"create_queue": ["InvalidParameterValue"] * 3},
        {"create_queue": ["InvalidAttributeValue"] * 2},
    ],
)
def test_queues_right_after_their_creation(aws: Clients, codes: dict[str, list[str]]) -> None:
    """Given a name that was deleted lately, or a queue that is not known yet, when queues are made → they are, a bit later."""
    time, name = Time(), f"tocsin-{'-'.join(codes)}-{len(next(iter(codes.values())))}"
    made = queue(Refusing(aws("sqs"), codes), name, 28, "dev", wait=time.wait)
    assert made == [f"made queue {name}-dead", f"made queue {name}"]
    assert time.now == 2 * len(next(iter(codes.values())))


@pytest.mark.parametrize("call", ["get_queue_url", "get_queue_attributes", "set_queue_attributes"])
def test_the_dead_letters_of_bounces_are_waited_for(aws: Clients, call: str) -> None:
    """Given a queue for dead letters that is not known everywhere, when the way back of mails is made → a bit later it is."""
    queue(aws("sqs"), "tocsin-dev-notifications", 28, "dev")
    refusing, time = Refusing(aws("sqs"), {call: ["AWS.SimpleQueueService.NonExistentQueue"] * 2}), Time()
    seen: Any = lambda service: refusing if service == "sqs" else aws(service)  # noqa: E731
    assert feedback(seen, "dev", mails=False, wait=time.wait) == []
    assert (refusing.codes[call], time.now) == ([], 4)


@pytest.mark.parametrize("call", ["get_queue_attributes", "set_queue_attributes"])
def test_a_queue_that_is_found_but_not_known_everywhere_is_waited_for(aws: Clients, call: str) -> None:
    """Given a queue that another call does not know yet, when it is brought up to date → it is, a bit later."""
    name, time = f"tocsin-{call}", Time()
    queue(aws("sqs"), name, 28, "dev")
    refusing = Refusing(aws("sqs"), {call: ["AWS.SimpleQueueService.NonExistentQueue"] * 2})
    assert len(queue(refusing, name, 1_000, "dev", wait=time.wait)) == 1
    assert time.now == 4


def test_a_queue_of_the_version_before_is_changed_and_listed(aws: Clients) -> None:
    """Given a queue with other attributes, when it is deployed → only what differs is set, and each change is a line."""
    sqs = aws("sqs")
    queue(sqs, "tocsin-older", 28, "dev")
    assert queue(sqs, "tocsin-older", 28, "dev") == []
    url = sqs.get_queue_url(QueueName="tocsin-older")["QueueUrl"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "30"})
    assert queue(sqs, "tocsin-older", 28, "dev") == ["changed queue tocsin-older: VisibilityTimeout is 90, was 30"]
    (line,) = queue(sqs, "tocsin-older", 1_000, "dev")
    assert line.startswith("changed queue tocsin-older: RedrivePolicy is ")
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert json.loads(found["RedrivePolicy"])["maxReceiveCount"] in (1_000, "1000")


class Mappings:
    """Lambda with one mapping a function, which is being made for some looks, and in use for some changes."""

    def __init__(self, states: list[str], busy: int = 0) -> None:
        self.states = states
        self.busy = busy
        self.changes: list[dict[str, Any]] = []

    def list_event_source_mappings(self, FunctionName: str) -> dict[str, Any]:
        """The mapping as it is now; a function of another worker has one that is ready."""
        ready = not FunctionName.endswith("process_webhooks")
        state = "Enabled" if ready else self.states.pop(0) if len(self.states) > 1 else self.states[0]
        queue = FUNCTIONS[FunctionName.removeprefix("tocsin-dev-")]["takes"]
        own = {"UUID": FunctionName, "State": state, "EventSourceArn": f"arn:aws:sqs:us-east-1:1:tocsin-dev-{queue}"}
        operators = {"UUID": "x", "State": "Enabled", "EventSourceArn": "arn:aws:sqs:us-east-1:1:devices-webhooks"}
        return {"EventSourceMappings": [own, operators]}

    def update_event_source_mapping(self, **change: Any) -> None:
        """Change it, or refuse."""
        if self.busy:
            self.busy -= 1
            raise refused("ResourceInUseException", "UpdateEventSourceMapping")
        self.changes.append(change)


def test_a_mapping_is_changed_once_it_is_made() -> None:
    """Given a mapping in state Creating that is then in use, when a deploy ends → all three are changed, a bit later."""
    time, functions = Time(), Mappings(["Creating"] * 4 + ["Enabled"], busy=3)
    assert len(mappings(functions, "dev", MAXIMUM, wait=time.wait)) == 3
    assert [each["ScalingConfig"]["MaximumConcurrency"] for each in functions.changes] == [20, 5, 10]
    assert time.now == 2 * (4 + 3)


def test_a_mapping_that_is_switched_off_ends_the_deploy() -> None:
    """Given a mapping that somebody disabled, when a deploy ends → it says which worker reads no queue."""
    with pytest.raises(DeployError, match="tocsin-dev-process_webhooks reads no queue"):
        mappings(Mappings(["Disabled"]), "dev", MAXIMUM, wait=Time().wait)


class BusyFunctions:
    """Lambda that still makes another change when the first call about each function comes."""

    def __init__(self) -> None:
        self.changed: list[str] = []
        self._busy: set[str] = set()

    def put_function_recursion_config(self, FunctionName: str, RecursiveLoop: str) -> None:
        """Refuse once, then take it."""
        self._change(FunctionName)

    def put_function_event_invoke_config(self, FunctionName: str, **wanted: int) -> None:
        """Refuse once, then take it."""
        self._change(FunctionName)

    def _change(self, function: str) -> None:
        if function not in self._busy:
            self._busy.add(function)
            raise refused("ResourceConflictException")
        self.changed.append(function)


@pytest.mark.parametrize(("change", "count"), [(loops, 3), (scheduled, 4)])
def test_a_function_that_is_being_changed_is_waited_for(change: Any, count: int) -> None:
    """Given functions whose last change is still made, when a deploy sets more → each is set, a bit later."""
    time, functions = Time(), BusyFunctions()
    change(functions, "dev", wait=time.wait)
    assert (len(functions.changed), time.now) == (count, 2 * count)
