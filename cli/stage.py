"""A stage on AWS from the command line: its store, found as every AWS tool finds AWS."""

import os
from collections.abc import Mapping

from chalicelib.aws import sdk
from chalicelib.aws.dynamodb import DynamoStore
from chalicelib.settings import Settings


def store_of(stage: str, environment: Mapping[str, str] = os.environ) -> DynamoStore:
    """The store of a stage; SettingsError when no Region is set."""
    settings = Settings.from_env({**environment, "TOCSIN_STAGE": stage})
    return DynamoStore(sdk.client("dynamodb", settings.region), settings.table)
