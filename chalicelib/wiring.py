"""Builds the real ports of a worker, once per container. What the ingest path needs is built in ingest/wiring.py."""

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from time import sleep

from chalicelib import redact
from chalicelib.aws.dynamodb import DynamoStore
from chalicelib.aws.json_client import WORKER_TIMEOUT_SECONDS, AwsJsonClient
from chalicelib.aws.queue import SqsQueue
from chalicelib.aws.secrets import Secrets
from chalicelib.aws.table_client import TableClient
from chalicelib.clients import RealClients
from chalicelib.core.rule import Rules
from chalicelib.messages.queue import Queues
from chalicelib.parameters import Needs, of_workers
from chalicelib.process.rates import SourceRates
from chalicelib.rules.loader import load_rules
from chalicelib.settings import Settings, dead_letters

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything a worker touches outside. The dead-letter queues are those of the queues."""

    store: DynamoStore
    webhooks: SqsQueue
    notifications: SqsQueue
    counts: SqsQueue
    webhooks_dead: SqsQueue
    notifications_dead: SqsQueue
    counts_dead: SqsQueue
    history: SqsQueue
    history_dead: SqsQueue
    clients: RealClients
    secrets: Secrets

    @property
    def queues(self) -> Queues:
        """Return the queues as the stages know them."""
        return Queues(webhooks=self.webhooks, notifications=self.notifications, counts=self.counts)

    @property
    def redriven(self) -> dict[str, tuple[SqsQueue, SqsQueue]]:
        """Return the dead-letter queues by name, each with the queue that its messages go back to."""
        return {
            "webhooks": (self.webhooks_dead, self.webhooks),
            "counts": (self.counts_dead, self.counts),
            "notifications": (self.notifications_dead, self.notifications),
            "history": (self.history_dead, self.history),
        }

    @property
    def emptied(self) -> dict[str, SqsQueue]:
        """Return the queues that Lambda empties, by the last word of their names."""
        return {"webhooks": self.webhooks, "counts": self.counts, "notifications": self.notifications}

    @property
    def dead(self) -> dict[str, SqsQueue]:
        """Return the dead-letter queues, by the last word of the names of their queues."""
        return {
            "webhooks": self.webhooks_dead,
            "counts": self.counts_dead,
            "notifications": self.notifications_dead,
            "history": self.history_dead,
        }


@lru_cache(maxsize=1)
def rules() -> Rules:
    """Return the rules that were shipped with this code."""
    return load_rules(FOLDER)


@lru_cache(maxsize=1)
def rates() -> SourceRates:
    """Return how much each source has sent to this worker, kept."""
    return SourceRates()


@lru_cache(maxsize=1)
def notifications(account: str | None) -> SqsQueue:
    """Return the notifications queue, kept."""
    return queue(account, "notifications")


def queue(account: str | None, name: str) -> SqsQueue:
    """Return a queue of the stage alone, by the last word of its name: it needs neither the table nor a secret."""
    settings = Settings.from_env(os.environ)
    client = AwsJsonClient(settings.region, timeout_seconds=WORKER_TIMEOUT_SECONDS)
    return SqsQueue(client, f"{settings.queue_prefix}-{name}", account=account)


@lru_cache(maxsize=1)
def ports(account: str | None, needs: Needs = of_workers) -> Ports:
    """Return the ports of this stage; `account` is the AWS account, None where only AWS knows it.

    `needs` gives the parameters that the function may read. Its policy must allow all of them.

    Before anything is read, the operator's own patterns of what must be masked are known: NotStoredError when they
    cannot be looked up, so that nothing is stored that they would have masked.
    """
    settings = Settings.from_env(os.environ)
    client = AwsJsonClient(settings.region, timeout_seconds=WORKER_TIMEOUT_SECONDS)
    own = AwsJsonClient(settings.region, timeout_seconds=WORKER_TIMEOUT_SECONDS)
    secrets = Secrets(own, settings.parameters, others=lambda: needs(rules()), pause=sleep)
    clients = RealClients(secrets, settings.region)
    redact.configure(clients.setting(redact.ENVIRONMENT))
    webhooks, notifications, counts = settings.webhooks_queue, settings.notifications_queue, settings.counts_queue
    return Ports(
        store=DynamoStore(TableClient(client, pause=sleep), settings.table, pause=sleep),
        webhooks=SqsQueue(client, webhooks, account=account),
        notifications=SqsQueue(client, notifications, account=account),
        counts=SqsQueue(client, counts, account=account),
        webhooks_dead=SqsQueue(client, dead_letters(webhooks), account=account),
        notifications_dead=SqsQueue(client, dead_letters(notifications), account=account),
        counts_dead=SqsQueue(client, dead_letters(counts), account=account),
        history=SqsQueue(client, settings.history_queue, account=account),
        history_dead=SqsQueue(client, dead_letters(settings.history_queue), account=account),
        clients=clients,
        secrets=secrets,
    )
