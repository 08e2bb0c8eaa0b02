"""The stage `local`, deployed by Chalice into the embedded AWS with IAM enforced, with the inbox as the vendors."""

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.clients import Clients
from deploy.deployment import Deploy, Deployed
from deploy.parameters import put_parameters
from deploy.queues import MAX_RECEIVES
from deploy.smoke import request
from local.cloud import Cloud
from local.inbox import UNLIMITED, Inbox
from local.run import wanted_parameters
from tests.project import clients, copied, environment

WAIT_SECONDS = 120.0


@dataclass
class Stage:
    """The deployed stage and everything around it."""

    cloud: Cloud
    inbox: Inbox
    clients: Clients
    job: Deploy
    deployed: Deployed
    values: dict[str, str]

    def post(self, source: str, body: bytes, headers: Mapping[str, str]) -> int:
        """The status that a webhook is answered with."""
        status, _ = request(f"{self.deployed.url}webhooks/{source}", body, headers)
        return status

    def post_sentry(self, resource: str, body: bytes) -> int:
        """The status that a signed webhook of Sentry's integration platform is answered with."""
        secret = self.values["SENTRY_CLIENT_SECRET"].split(",")[0].encode()
        signature = hmac.new(secret, body, hashlib.sha256).hexdigest()
        return self.post("sentry", body, {"Sentry-Hook-Resource": resource, "Sentry-Hook-Signature": signature})

    def waiting(self, *, dead: bool = False) -> int:
        """Messages in the queues, or in their dead-letter queues, those in flight included and delayed ones not.

        What waits to be recorded is not counted: it may wait five minutes.
        """
        sqs = self.clients("sqs")
        counted = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        found = 0
        for name in (name for name in MAX_RECEIVES if dead or name != "history"):
            url = sqs.get_queue_url(QueueName=f"tocsin-local-{name}{'-dead' if dead else ''}")["QueueUrl"]
            attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=counted)["Attributes"]
            found += sum(int(attributes[each]) for each in counted)
        return found

    def said(self) -> str:
        """All that functions logged."""
        logs = self.clients("logs")
        groups = [each["logGroupName"] for each in logs.describe_log_groups()["logGroups"]]
        events = [each for group in groups for each in logs.filter_log_events(logGroupName=group)["events"]]
        return "\n".join(each["message"] for each in events)

    def eventually(self, true: Callable[[], object], what: str) -> None:
        """Wait until it is true; fails with what did not happen and the end of the logs."""
        until = time.monotonic() + WAIT_SECONDS
        while not true():
            if time.monotonic() > until:
                pytest.fail(f"{what}; {self.said()[-3000:]}")
            threading.Event().wait(0.1)


@contextmanager
def deployed_stage(
    folder: Path, cloud_folder: Path, rules: str = "", *, account_concurrency: int | None = None
) -> Iterator[Stage]:
    """Deploy a copy of the project in `folder`, with other rules or in a smaller account if they are given."""
    limit = {} if account_concurrency is None else {"LAMBDA_ACCOUNT_CONCURRENCY": str(account_concurrency)}
    project = copied(folder)
    if rules:
        (project / "alert-rules.yaml").write_text(rules)
    with (
        Cloud(cloud_folder, auth=True, environment=limit) as cloud,
        Inbox(emulator=cloud.url, emulator_key=cloud.key.id, limits=UNLIMITED) as inbox,
    ):
        made = clients(cloud)
        values = wanted_parameters({}, {}, inbox=inbox.url)
        put_parameters(made("ssm"), "local", values, there={})
        job = Deploy("local", made, environment(cloud), project, say=lambda text: None)
        yield Stage(cloud, inbox, made, job, job.run(), values)


def compact(content: object) -> bytes:
    """JSON as Sentry writes it: without blanks, everything beyond ASCII escaped."""
    return json.dumps(content, separators=(",", ":")).encode()
