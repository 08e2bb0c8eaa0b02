"""A stage on AWS from the command line: its store, queues, secrets, found as every AWS tool finds AWS.

`local` is the stage that `make run` keeps up on this machine: the embedded AWS is found by what `make run` says of
itself, so that no variable has to be set.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from time import sleep
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.aws.dynamodb import DynamoStore
from chalicelib.aws.json_client import WORKER_TIMEOUT_SECONDS, AwsJsonClient
from chalicelib.aws.secrets import Secrets
from chalicelib.aws.table_client import TableClient
from chalicelib.clients import RealClients
from chalicelib.core.delivery.writing import one_line
from chalicelib.core.errors import TocsinError
from chalicelib.core.rule import Rules
from chalicelib.rules.loader import load_rules
from chalicelib.settings import Settings
from cli.running import ROOT, START, running
from deploy.clients import Clients


class StageError(TocsinError):
    """The stage cannot be reached; the text says what to do."""


@dataclass(frozen=True)
class Stage:
    """One stage. `aws` gives boto3 clients; `environment` is what the stage's functions would see."""

    settings: Settings
    environment: Mapping[str, str] = field(repr=False)
    aws: Clients = field(repr=False)

    @cached_property
    def store(self) -> DynamoStore:
        """Return what the stage remembers."""
        return DynamoStore(TableClient(self._small_client(), pause=sleep), self.settings.table, pause=sleep)

    @cached_property
    def clients(self) -> RealClients:
        """Return clients with the stage's secrets and settings."""
        secrets = Secrets(self._small_client(), self.settings.parameters, environment={})
        return RealClients(secrets, self.settings.region, environment={}, client=lambda service, _: self.aws(service))

    def _small_client(self) -> AwsJsonClient:
        return AwsJsonClient(self.settings.region, timeout_seconds=WORKER_TIMEOUT_SECONDS, environment=self.environment)

    @cached_property
    def rules(self) -> Rules:
        """Return the rules of this checkout: those that are deployed, if nothing changed since."""
        return load_rules(ROOT, self.variable)

    def variable(self, name: str) -> str | None:
        """Return the value of a variable of the rules file, as the deploy of this stage finds it."""
        return self.clients.secret(name) or self.environment.get(name)

    def variables(self, names: Iterable[str]) -> dict[str, str | None]:
        """Return the values of variables by their names. StageError where AWS refuses."""
        try:
            return {name: self.variable(name) for name in names}
        except (ClientError, BotoCoreError) as error:
            raise StageError(f"AWS refused: {one_line(str(error))}") from None

    def queue_url(self, name: str) -> str:
        """Return the address of a queue by its whole name."""
        return str(self.aws("sqs").get_queue_url(QueueName=name)["QueueUrl"])


def stage_of(name: str, environment: Mapping[str, str] = os.environ) -> Stage:
    """Return the stage of that name; StageError when AWS is not set up, or nothing runs on this machine."""
    found = dict(environment)
    if name == "local" and "AWS_ENDPOINT_URL" not in found:
        found |= _running()
    session = boto3.Session(
        aws_access_key_id=found.get("AWS_ACCESS_KEY_ID"),
        aws_secret_access_key=found.get("AWS_SECRET_ACCESS_KEY"),
        aws_session_token=found.get("AWS_SESSION_TOKEN"),
        profile_name=found.get("AWS_PROFILE") if "AWS_ACCESS_KEY_ID" not in found else None,
        region_name=found.get("AWS_REGION") or found.get("AWS_DEFAULT_REGION"),
    )
    credentials = session.get_credentials()
    if session.region_name is None or credentials is None:
        raise StageError("AWS is not set up: set AWS_PROFILE (or AWS_ACCESS_KEY_ID and …) and AWS_REGION")
    frozen: Any = credentials.get_frozen_credentials()
    given = {
        "AWS_ACCESS_KEY_ID": frozen.access_key,
        "AWS_SECRET_ACCESS_KEY": frozen.secret_key,
        "AWS_SESSION_TOKEN": frozen.token or "",
        "AWS_REGION": session.region_name,
        "TOCSIN_STAGE": name,
    }
    found |= {key: value for key, value in given.items() if value}
    return Stage(Settings.from_env(found), found, Clients(session, found.get("AWS_ENDPOINT_URL")))


def _running() -> Mapping[str, str]:
    found = running()
    if found is None:
        raise StageError(f"nothing runs on this machine: start it by `{START}`, or name another stage by --stage")
    return found.aws
