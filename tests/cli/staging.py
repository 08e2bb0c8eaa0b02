"""A stage in the embedded AWS for tests of commands, and what its worker of notifications would do."""

from datetime import UTC, datetime, timedelta
from typing import Any

from chalicelib.aws.batches import settle_messages
from chalicelib.aws.json_client import AwsJsonClient
from chalicelib.aws.queue import SqsQueue
from chalicelib.core.rule import Rules
from chalicelib.deliver.worker import deliver
from chalicelib.messages.queue import Failure, Handled, Message, Queues
from chalicelib.settings import Settings
from cli.stage import Stage
from local.cloud import Cloud
from tests.project import clients, environment

STAGE = "dev"


def stage_in(cloud: Cloud) -> Stage:
    """The stage `dev` of an embedded AWS."""
    found = {**environment(cloud), "TOCSIN_STAGE": STAGE}
    return Stage(Settings.from_env(found), found, clients(cloud))


class Worker:
    """Does with the notifications queue what `app.deliver_notification` does; its clock jumps over what must wait."""

    def __init__(self, stage: Stage, outside: Any) -> None:
        client = AwsJsonClient(stage.settings.region, environment=stage.environment, timeout_seconds=10)
        names = [stage.settings.webhooks_queue, stage.settings.notifications_queue, stage.settings.counts_queue]
        webhooks, self._queue, counts = (SqsQueue(client, name) for name in names)
        self._dead = SqsQueue(client, f"{names[1]}-dead")
        self._queues = Queues(webhooks, self._queue, counts)
        self._stage, self._outside = stage, outside
        self._ahead = timedelta(0)

    def work(self) -> list[Handled]:
        """Deal with everything that can be seen, until nothing waits; what became of it."""
        sqs, url = self._stage.aws("sqs"), self._stage.queue_url(self._stage.settings.notifications_queue)
        outcomes = []
        while found := sqs.receive_message(QueueUrl=url, WaitTimeSeconds=0, MaxNumberOfMessages=10).get("Messages", []):
            for each in found:
                message = Message(each["MessageId"], each["Body"], each["ReceiptHandle"])
                outcome = deliver(
                    message.body,
                    rules=Rules(),
                    store=self._stage.store,
                    queues=self._queues,
                    clients=self._outside,
                    now=datetime.now(UTC) + self._ahead,
                )
                if outcome.retry_after is not None:
                    self._queue.put([message.body])
                    self._ahead += outcome.retry_after
                dead_lettered = (
                    [Failure(message.id, outcome.dead_lettered, dead_letter=True)] if outcome.dead_lettered else []
                )
                settle_messages([message], dead_lettered, queue=self._queue, dead=self._dead)
                self._queue.delete([message.receipt])
                outcomes += [outcome] if outcome.retry_after is None else []
        return outcomes
