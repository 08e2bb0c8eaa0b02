"""Small calls to AWS: kept connections, dead connections, time limits, refusals, secrets."""

import socket
import threading
from datetime import timedelta

import pytest

from chalicelib.aws.json_client import AwsError, AwsJsonClient, credentials, endpoint
from chalicelib.aws.queue import SqsQueue
from chalicelib.aws.secrets import Secrets
from chalicelib.core.errors import NotStoredError
from tests.loopback import served

KEYS = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "hidden-key"}


@pytest.fixture
def aws():
    """A server that plays AWS."""
    with served() as server:
        yield server


@pytest.fixture
def client(aws):
    """A caller of that server."""
    return AwsJsonClient("eu-west-1", environment={**KEYS, "AWS_ENDPOINT_URL": aws.url})


ENDPOINTS = [
    ({}, "eu-west-1", "https://sqs.eu-west-1.amazonaws.com"),
    ({}, "cn-north-1", "https://sqs.cn-north-1.amazonaws.com.cn"),
    ({"AWS_ENDPOINT_URL": "http://127.0.0.1:4566/"}, "eu-west-1", "http://127.0.0.1:4566"),
    ({"AWS_ENDPOINT_URL": "http://a", "AWS_ENDPOINT_URL_SQS": "http://b"}, "eu-west-1", "http://b"),
    ({"AWS_ENDPOINT_URL_SSM": "http://b"}, "eu-west-1", "https://sqs.eu-west-1.amazonaws.com"),
]


@pytest.mark.parametrize(("environment", "region", "expected"), ENDPOINTS)
def test_finds_the_endpoint(environment, region, expected):
    """The service's own variable wins over the general one, and that over the regional address."""
    assert endpoint("sqs", region, environment) == expected


def test_a_call_is_signed_and_its_connection_kept(aws, client):
    """Two calls go over one connection, each with a signature."""
    for _ in range(2):
        assert client.call("sqs", "SendMessage", {"MessageBody": "é"}) == {}
    assert [call[1] for call in aws.calls] == [{"MessageBody": "é"}] * 2
    assert aws.calls[0][3] == aws.calls[1][3]
    assert "/eu-west-1/sqs/aws4_request" in aws.calls[0][2]["Authorization"]


def test_a_kept_connection_that_died_is_opened_again(aws, client):
    """A connection that the other side closed between two calls costs the sender nothing."""
    aws.replies["SendMessage"] = "close"
    for _ in range(3):
        assert client.call("sqs", "SendMessage", {}) == {}
    assert len({call[3] for call in aws.calls}) == 3


def test_a_new_connection_that_dies_is_not_tried_again(aws, client):
    """Without an answer on a fresh connection the call has failed: no storm of retries."""
    aws.replies["SendMessage"] = None
    with pytest.raises(AwsError) as raised:
        client.call("sqs", "SendMessage", {})
    assert raised.value.code == "Unreachable"
    assert len(aws.calls) == 1
    aws.replies.clear()
    assert client.call("sqs", "SendMessage", {}) == {}


def test_a_silent_server_is_given_up_in_time(aws):
    """No answer within the limit is a failure, and the late answer is not taken for the next call's."""
    release = threading.Event()
    aws.before = lambda action: release.wait(5)
    client = AwsJsonClient("eu-west-1", environment={**KEYS, "AWS_ENDPOINT_URL": aws.url}, timeout_seconds=0.05)
    with pytest.raises(AwsError):
        client.call("sqs", "SendMessage", {})
    assert len(aws.calls) == 1
    release.set()
    aws.replies["SendMessage"] = (200, {"MessageId": "second"})
    assert AwsJsonClient("eu-west-1", environment={**KEYS, "AWS_ENDPOINT_URL": aws.url}).call(
        "sqs", "SendMessage", {}
    ) == {"MessageId": "second"}


def test_nobody_listening_is_a_failure():
    """A refused connection is an AwsError, which is a NotStoredError."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(NotStoredError):
            AwsJsonClient("eu-west-1", environment={**KEYS, "AWS_ENDPOINT_URL": url}).call("sqs", "SendMessage", {})


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        ((400, {"__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "hidden-text"}), "QueueDoesNotExist"),
        ((400, {"__type": "ThrottlingException"}), "ThrottlingException"),
        ((403, {}), "403"),
        ((500, {}), "500"),
    ],
)
def test_a_refusal_names_its_code_and_nothing_else(aws, client, reply, code):
    """The error says what AWS called it; AWS's text, which may quote us, stays out."""
    aws.replies["SendMessage"] = reply
    with pytest.raises(AwsError) as raised:
        client.call("sqs", "SendMessage", {"MessageBody": "hidden-body"})
    assert raised.value.code == code
    assert "hidden" not in str(raised.value)


def test_without_credentials_it_says_which_are_missing():
    """The names of the variables, never their values."""
    with pytest.raises(AwsError, match="AWS_ACCESS_KEY_ID"):
        credentials({"AWS_SECRET_ACCESS_KEY": "hidden"})


# ---------------------------------------------------------------------------------------------------------------------
# Queue


def test_a_known_account_needs_no_lookup(aws, client):
    """The address of a queue is composed of endpoint, account and name."""
    SqsQueue(client, "q", account="000000000000").put(["x"])
    assert aws.actions == ["SendMessage"]
    assert aws.calls[0][1] == {"QueueUrl": f"{aws.url}/000000000000/q", "MessageBody": "x"}


def test_an_unknown_account_is_looked_up_once(aws, client):
    """The address is asked for on first use and kept."""
    aws.replies["GetQueueUrl"] = (200, {"QueueUrl": "http://there/1/q"})
    queue = SqsQueue(client, "q")
    queue.put(["x"])
    queue.put(["y"], delay=timedelta(hours=2))
    assert aws.actions == ["GetQueueUrl", "SendMessage", "SendMessage"]
    assert aws.calls[2][1] == {"QueueUrl": "http://there/1/q", "MessageBody": "y", "DelaySeconds": 900}


def test_many_messages_go_in_batches_that_fit(aws, client):
    """Ten messages and 1 MiB a call at most."""
    queue = SqsQueue(client, "q", account="1")
    queue.put([str(n) for n in range(23)])
    queue.put(["x" * 500_000] * 3)
    queue.put([])
    sizes = [len(call[1].get("Entries", [0])) for call in aws.calls]
    assert sizes == [10, 10, 3, 2, 1]


def test_a_partly_refused_batch_is_not_stored(aws, client):
    """HTTP 200 with a failed entry raises."""
    aws.replies["SendMessageBatch"] = (200, {"Successful": [], "Failed": [{"Id": "1", "Code": "InternalError"}]})
    with pytest.raises(NotStoredError, match=r"1 of 2 messages \(InternalError\)"):
        SqsQueue(client, "q", account="1").put(["a", "b"])


def test_a_partly_refused_delete_is_raised_after_every_batch_was_tried(aws, client):
    """Of 25 messages each batch of ten loses one: all three batches are asked for, then the refusal is raised."""
    failed = [{"Id": "1", "Code": "InternalError"}]
    aws.replies["DeleteMessageBatch"] = (200, {"Successful": [], "Failed": failed})
    with pytest.raises(NotStoredError, match=r"1 of 10 messages \(InternalError\); .*1 of 5 messages"):
        SqsQueue(client, "q", account="1").delete([f"r{n}" for n in range(25)])
    assert [len(call[1]["Entries"]) for call in aws.calls] == [10, 10, 5]


def test_a_delete_that_fails_as_a_whole_ends_at_once(aws, client):
    """A queue that is away is not asked a hundred times: the messages come back."""
    aws.replies["DeleteMessageBatch"] = (503, {})
    with pytest.raises(AwsError):
        SqsQueue(client, "q", account="1").delete([f"r{n}" for n in range(25)])
    assert aws.actions == ["DeleteMessageBatch"]


def test_characters_that_sqs_refuses_are_replaced(aws, client):
    """Control characters and lone surrogates become the replacement character."""
    SqsQueue(client, "q", account="1").put(["a\x00b\ud800c\uffffd\te😀"])
    assert aws.calls[0][1]["MessageBody"] == "a\ufffdb\ufffdc\ufffdd\te😀"


def test_a_parked_message_keeps_body_and_reason(aws, client):
    """The body is as it was, the reason an attribute, cut to what may be."""
    SqsQueue(client, "q-dead", account="1").dead_letter("body", "why\x00" + "x" * 5_000)
    sent = aws.calls[0][1]
    assert sent["MessageBody"] == "body"
    assert sent["MessageAttributes"]["reason"]["StringValue"].startswith("why\ufffdxx")
    assert len(sent["MessageAttributes"]["reason"]["StringValue"]) == 1_000


def test_a_delay_is_cut_to_what_sqs_takes_and_never_shortened(aws, client):
    """Whole seconds, rounded up; a quarter of an hour at most, zero at least."""
    queue = SqsQueue(client, "q", account="1")
    for delay in (timedelta(seconds=30.1), timedelta(days=2), timedelta(seconds=-5)):
        queue.put(["x"], delay=delay)
    assert [call[1].get("DelaySeconds") for call in aws.calls] == [31, 900, None]


# ---------------------------------------------------------------------------------------------------------------------
# Secrets


class Clock:
    """Seconds that a test sets."""

    def __init__(self):
        self.seconds = 1_000.0

    def __call__(self):
        return self.seconds


def parameters(**values):
    """What SSM answers."""
    return 200, {"Parameters": [{"Name": f"/tocsin/x/{name}", "Value": value} for name, value in values.items()]}


def test_secrets_are_kept_for_five_minutes(aws, client):
    """One call for all names, none within five minutes, then one again; a name that is not set is None."""
    clock = Clock()
    secrets = Secrets(client, "/tocsin/x", environment={}, clock=clock)
    aws.replies["GetParameters"] = parameters(A="one, two,", B="three")
    assert secrets.values(["A", "B", "C"]) == ["one", "two", "three"]
    assert aws.calls[0][1] == {"Names": ["/tocsin/x/A", "/tocsin/x/B", "/tocsin/x/C"], "WithDecryption": True}
    aws.replies["GetParameters"] = parameters(A="four")
    clock.seconds += 299
    assert secrets.get("A") == "one, two,"
    assert len(aws.calls) == 1
    clock.seconds += 2
    assert secrets.get("A") == "four"
    assert secrets.get("C") is None


def test_secrets_that_did_not_fit_are_read_again_but_seldom(aws, client):
    """Right after a rotation the new value is found; guessing does not become a stream of calls."""
    clock = Clock()
    secrets = Secrets(client, "/tocsin/x/", environment={}, clock=clock)
    aws.replies["GetParameters"] = parameters(A="old")
    secrets.values(["A"])
    aws.replies["GetParameters"] = parameters(A="new")
    assert secrets.renewed(["A"]) == ["old"]
    clock.seconds += 16
    assert [secrets.renewed(["A"]) for _ in range(50)] == [["new"]] * 50
    assert len(aws.calls) == 2


def test_secrets_in_hand_outlive_ssm(aws, client):
    """Old values go on being used while SSM is away; without any it is a failure, not an empty list."""
    clock = Clock()
    secrets = Secrets(client, "/tocsin/x/", environment={}, clock=clock)
    aws.replies["GetParameters"] = parameters(A="old")
    secrets.values(["A"])
    aws.replies["GetParameters"] = (500, {})
    clock.seconds += 1_000
    assert [secrets.values(["A"]) for _ in range(20)] == [["old"]] * 20
    assert len(aws.calls) == 3
    with pytest.raises(NotStoredError):
        secrets.values(["A", "B"])


def test_the_environment_wins(aws, client):
    """A variable of the same name is used without a call."""
    secrets = Secrets(client, "/tocsin/x/", environment={"A": "mine"})
    assert secrets.values(["A"]) == ["mine"]
    assert aws.calls == []
    assert repr(secrets) == "<secret>"


def test_more_than_ten_names_take_two_calls(aws, client):
    """GetParameters takes ten names."""
    Secrets(client, "/tocsin/x/", environment={}).values([f"N{n}" for n in range(13)])
    assert [len(call[1]["Names"]) for call in aws.calls] == [10, 3]
