"""tocsin redrive and tocsin send-test, against the queues and the table of an embedded AWS."""

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import httpx
import pytest

from chalicelib.aws.batches import settle_messages
from chalicelib.aws.body_store import BodyWriter
from chalicelib.aws.json_client import AwsJsonClient
from chalicelib.aws.queue import SqsQueue
from chalicelib.core.delivery.notification import Notification, Reason
from chalicelib.core.errors import ProcessedError
from chalicelib.core.incident import Incident
from chalicelib.core.rule import Rules, Target
from chalicelib.messages.dead_letters import dead_letter
from chalicelib.messages.queue import Message, Queues, notification_message, read_message, wake_message
from chalicelib.messages.webhook import Webhook, compressed, written
from chalicelib.process.bodies import release_bodies
from chalicelib.process.worker import process
from chalicelib.targets import module_for
from cli import redrive as command
from cli import send_test
from cli.stage import Stage, StageError, stage_of
from deploy.provision import provision
from local.cloud import Cloud
from tests.cli.staging import STAGE, Worker, stage_in
from tests.fakes import MemoryQueue
from tests.targets import samples

GONE = httpx.Response(200, json={"ok": False, "error": "channel_not_found"})
TAKEN = httpx.Response(200, json={"ok": True, "channel": "C1", "ts": "1.1"})


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """An embedded AWS with the stage dev."""
    with Cloud(tmp_path_factory.mktemp("cloud"), persist=False) as found:
        provision(stage_in(found).aws, STAGE, mails=True)
        yield found


@pytest.fixture
def stage(cloud: Cloud) -> Stage:
    """The stage, with empty queues."""
    found = stage_in(cloud)
    for name in command.QUEUES:
        for queue in (f"tocsin-{STAGE}-{name}", f"tocsin-{STAGE}-{name}-dead"):
            found.aws("sqs").purge_queue(QueueUrl=found.queue_url(queue))
    return found


def asked(**choice: Any) -> argparse.Namespace:
    """The arguments of a command."""
    return argparse.Namespace(**{"queue": None, "all": False, "id": None, "reason": None, **choice})


def fires(stage: Stage, incident: str, seq: int = 1, **changes: Any) -> Notification:
    """A notification that a saved incident has committed to, on its queue."""
    named = samples.of_incident(samples.NOTIFICATION, id=incident, key=incident)
    one = replace(named, id=f"{incident}-{seq}", seq=seq, at=datetime.now(UTC), **changes)
    stored = stage.store.load(incident)
    ids = (*(stored.committed if stored else ()), one.id)
    stage.store.save(Incident(incident, id=incident, committed=ids, version=(stored.version if stored else 0) + 1))
    queue = stage.queue_url(stage.settings.notifications_queue)
    stage.aws("sqs").send_message(QueueUrl=queue, MessageBody=notification_message(one))
    return one


def worker(stage: Stage, *answers: httpx.Response) -> Worker:
    """A worker whose Slack answers so."""
    return Worker(stage, samples.FakeClients(samples.answering(*answers)))


def test_what_was_given_up_is_listed_with_its_reason_and_stays(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    """Looking changes nothing; a second look sees the same at once."""
    fires(stage, "inc-listed")
    worker(stage, GONE).work()
    for _ in range(2):
        assert command.redrive(stage, asked()) == 0
        told = capsys.readouterr().out
        assert "opened to slack_channel:#incidents: High Error Rate (prod checkout)" in told
        assert "channel_not_found" in told
        assert "1 dead letters; play them back with --all, --reason or --id" in told


def test_playing_back_tells_it_once(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """It goes through the queue and arrives; played back again there is nothing left."""
    one = fires(stage, "inc-back")
    worker(stage, GONE).work()
    assert command.redrive(stage, asked(all=True)) == 0
    assert "1 of 1 dead letters played back" in capsys.readouterr().out
    assert [outcome.delivered for outcome in worker(stage, TAKEN).work()] == [True]
    assert command.redrive(stage, asked(all=True)) == 0
    assert "0 of 0" in capsys.readouterr().out
    assert stage.store.delivery_log(f"{one.incident.id}/{one.target.key}").receipt["ts"] == "1.1"


def test_a_command_that_broke_off_doubles_nothing(stage: Stage) -> None:
    """Put back, and not taken away before it died: both copies are played back, and one is told."""
    fires(stage, "inc-twice")
    worker(stage, GONE).work()
    (letter,) = command.waiting(stage, "notifications")
    queue = stage.queue_url(stage.settings.notifications_queue)
    stage.aws("sqs").send_message(QueueUrl=queue, MessageBody=command.played_back(letter.body))
    command._released(stage, [letter])
    command.redrive(stage, asked(all=True))
    outcomes = worker(stage, TAKEN).work()
    assert sorted(outcome.delivered for outcome in outcomes) == [False, True]
    assert [outcome.dead_lettered for outcome in outcomes] == [None, None]


def test_a_webhook_with_a_stored_body_is_played_back_with_it(stage: Stage) -> None:
    """The body waits in the table as long as the dead letter; a second copy that is played back finds it processed."""
    json_client = AwsJsonClient(stage.settings.region, environment=stage.environment, timeout_seconds=10)
    body = b'{"text": "x", "data": {}}'
    BodyWriter(json_client, stage.settings.table, clock=time.time).keep("cloudflare-1", compressed(body))
    dead_lettered = written(Webhook("d1", "cloudflare", b"", datetime.now(UTC), body_ref="cloudflare-1"), b"")
    queue = SqsQueue(json_client, stage.settings.webhooks_queue)
    dead = SqsQueue(json_client, f"{stage.settings.webhooks_queue}-dead")
    for _ in range(2):
        dead.dead_letter(dead_lettered, "a source that was gone")
        assert command.redrive(stage, asked(queue="webhooks", all=True)) == 0
        messages = [Message(each["messageId"], each["body"], each["receiptHandle"]) for each in queue.take()]
        assert [message.body for message in messages] == [dead_lettered]
        queues = Queues(MemoryQueue(), MemoryQueue(), MemoryQueue())
        failures = process(messages, rules=Rules(), store=stage.store, queues=queues, now=datetime.now(UTC))
        settle_messages(messages, failures, queue=queue, dead=dead, finish=partial(release_bodies, stage.store))
        queue.delete([message.receipt for message in messages])
        assert failures == []
        with pytest.raises(ProcessedError):
            stage.store.get_body("cloudflare-1")


def test_a_glimpse_hides_nothing(stage: Stage) -> None:
    """Given a dead letter → two glimpses at once return it, with its reason and time, and it can still be taken."""
    json_client = AwsJsonClient(stage.settings.region, environment=stage.environment, timeout_seconds=10)
    dead = SqsQueue(json_client, f"{stage.settings.webhooks_queue}-dead")
    dead.dead_letter(wake_message("k"), "a source that was gone")
    for _ in range(2):
        (found,) = dead.glimpse()
        shown = dead_letter("webhooks", found)
        assert (shown.queue, shown.why) == ("webhooks", "a source that was gone")
        assert abs(datetime.now(UTC) - shown.at) < timedelta(minutes=5)
    assert [each["body"] for each in dead.take()] == [wake_message("k")]


def test_one_or_some_are_chosen(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """By the beginning of an id of message, notification or incident; by a part of the reason; by queue."""
    fires(stage, "inc-first")
    worker(stage, GONE).work()
    fires(stage, "inc-second", target=Target("slack_channel", "C0123"))
    worker(stage, httpx.Response(200, json={"ok": False, "error": "is_archived"})).work()
    dead = stage.queue_url("tocsin-dev-webhooks-dead")
    stage.aws("sqs").send_message(QueueUrl=dead, MessageBody=wake_message("k"))
    assert command.redrive(stage, asked(id="nobody")) == 1
    assert command.redrive(stage, asked(id="inc-f")) == 0
    assert "1 of 3 dead letters played back" in capsys.readouterr().out
    assert command.redrive(stage, asked(reason="IS_archived")) == 0
    assert command.redrive(stage, asked(queue="webhooks", all=True)) == 0
    assert "received too often" in capsys.readouterr().out
    assert list(command.waiting(stage, "notifications")) == list(command.waiting(stage, "webhooks")) == []
    queue = stage.queue_url("tocsin-dev-webhooks")
    back = stage.aws("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    assert wake_message("k") in [each["Body"] for each in back]


def test_what_cannot_be_read_goes_back_as_it_was() -> None:
    """A form of another version may be readable by the code that is deployed by now."""
    assert command.played_back("garbage") == "garbage"
    again = read_message(command.played_back(command.played_back(notification_message(samples.NOTIFICATION))))
    assert isinstance(again, Notification) and again.hints.played_back == 2


# ---------------------------------------------------------------------------------------------------------------------
# send-test


def test_a_test_goes_the_real_way_and_says_what_came_of_it(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """Queue, worker, target, record; marked as a test, with the end right after it if wanted."""
    clients = samples.FakeClients(samples.answering(TAKEN, TAKEN))
    ours = Worker(stage, clients)
    wanted = argparse.Namespace(target="#incidents", severity="critical", resolve=False, wait=5)
    assert send_test.send_test(stage, wanted, pause=lambda _: bool(ours.work())) == 0
    assert capsys.readouterr().out == "slack_channel:#incidents: delivered after 1 try\n"
    assert b"Test: This is a test of Tocsin" in clients.requests[0].content


def test_a_test_that_is_refused_says_why(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """The exit status is 1; nobody's fallback is woken for it more than for anything else that fails."""
    ours = worker(stage, GONE)
    wanted = argparse.Namespace(target="slack_channel:C0", severity="info", resolve=False, wait=5)
    assert send_test.send_test(stage, wanted, pause=lambda _: bool(ours.work())) == 1
    assert "slack_channel:C0: given up: " in capsys.readouterr().err


def test_a_test_that_nobody_takes_says_so(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a worker it says where to look."""
    wanted = argparse.Namespace(target="ops@example.com", severity="info", resolve=False, wait=1)
    assert send_test.send_test(stage, wanted, pause=lambda _: None) == 1
    assert "no worker took it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("#incidents", Target("slack_channel", "#incidents")),
        ("slack_channel:C0123", Target("slack_channel", "C0123")),
        ("ops@example.com", Target("email", "ops@example.com")),
        ("email:ops@example.com", Target("email", "ops@example.com")),
        ("pagerduty", Target("pagerduty", "default")),
        ("pagerduty:db", Target("pagerduty", "db")),
        ("webhook:billing", Target("webhook", "billing")),
        ("https://receiver.example.com/in", Target("webhook", "https://receiver.example.com/in")),
        ("https://hooks.slack.com/services/T/B/x", Target("slack_channel", "https://hooks.slack.com/services/T/B/x")),
    ],
)
def test_targets_are_named_as_people_do(text: str, target: Target) -> None:
    """The rules file's words, and what each kind looks like."""
    assert send_test.target_of(text) == target


@pytest.mark.parametrize("text", ["", "#", "incidents", "http://x", "two words@x"])
def test_what_is_no_target_is_told_with_the_choices(text: str) -> None:
    """One line that names what is allowed."""
    with pytest.raises(StageError, match="allowed are #channel"):
        send_test.target_of(text)


def test_the_end_of_a_test_closes_what_it_opened() -> None:
    """In PagerDuty the second one resolves the alert of the first."""
    test = send_test.test_of(Target("pagerduty", "default"), samples.TOLD.severity, samples.NOW)
    pagerduty = samples.FakeClients(samples.answering(httpx.Response(202), httpx.Response(202)))
    for each in (test, send_test.end_of(test)):
        module_for("pagerduty").send(each, "default", pagerduty, receipt={}, in_doubt=False, now=samples.NOW)
    assert [b'"event_action":"trigger"' in pagerduty.requests[0].content, test.reason] == [True, Reason.TEST]
    assert b'"event_action":"resolve"' in pagerduty.requests[1].content


def test_a_stage_that_is_not_there_says_what_to_do() -> None:
    """On this machine `make run`; elsewhere the variables of AWS."""
    with pytest.raises(StageError, match="make run"):
        stage_of("local", {})
    with pytest.raises(StageError, match="AWS_PROFILE"):
        stage_of("prod", {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"})


def test_ages_are_told() -> None:
    """A dead letter says how long it has been waiting."""
    letter = command.letter_of(
        "webhooks",
        {
            "MessageId": "0123456789",
            "Body": "x",
            "ReceiptHandle": "r",
            "Attributes": {"SentTimestamp": str(int((datetime.now(UTC) - timedelta(hours=2)).timestamp() * 1_000))},
        },
    )
    assert command._line(letter).startswith("01234567  webhooks  2 h ago  a message that cannot be read")
