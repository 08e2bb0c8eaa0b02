"""The one table of a stage."""

from collections.abc import Mapping
from typing import Any

from deploy.errors import DeployError
from deploy.names import tags
from deploy.waiting import PATIENT, Wait

INDEX = "wake"
INDEXES: Mapping[str, tuple[str, str]] = {INDEX: ("wake_shard", "wake_at")}
"""The indexes by name, each with its two keys: text and number. A later version adds one here, and each deploy builds it."""
KNOWN_SECONDS = 30.0
READY_SECONDS = 1_800.0
"""How long to wait for a table or an index: AWS fills a new index of a table that holds something before it can be used."""
BACKUP_SECONDS = 180.0
"""Backups of a new table can be switched on only after AWS has prepared them."""


def table(
    dynamodb: Any,
    name: str,
    stage: str,
    *,
    indexes: Mapping[str, tuple[str, str]] = INDEXES,
    wait: Wait = PATIENT,
) -> list[str]:
    """Make the one table or add what it lacks: keys, indexes, expiry, backups of 35 days. Return what changed, a line each.

    DynamoDB encrypts every table. Without a key of the account it costs nothing and nobody needs a right on a key.
    """
    changed = []
    try:
        dynamodb.describe_table(TableName=name)
    except dynamodb.exceptions.ResourceNotFoundException:
        dynamodb.create_table(TableName=name, Tags=tags(stage), **_table(indexes))
        changed.append(f"made table {name}")
    found = _ready(dynamodb, name, wait)
    _check_keys(name, found)
    changed += _add_indexes(dynamodb, name, found, indexes, wait)
    if _expiry(dynamodb, name) not in ("ENABLED", "ENABLING"):
        expiry = {"Enabled": True, "AttributeName": "expires_at"}
        dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification=expiry)
    if stage != "local" and not _has_backups(dynamodb, name):
        backups = {"PointInTimeRecoveryEnabled": True}
        wait.while_refused(
            lambda: dynamodb.update_continuous_backups(TableName=name, PointInTimeRecoverySpecification=backups),
            ("ContinuousBackupsUnavailableException",),
            seconds=BACKUP_SECONDS,
        )
    return changed


def _add_indexes(
    dynamodb: Any, name: str, found: Mapping[str, Any], indexes: Mapping[str, tuple[str, str]], wait: Wait
) -> list[str]:
    """Add the indexes that the table lacks, one at a time as AWS wants it, and wait until each can be used."""
    there = {each["IndexName"] for each in found.get("GlobalSecondaryIndexes", [])}
    missing = {each: keys for each, keys in indexes.items() if each not in there}
    for index, keys in missing.items():
        dynamodb.update_table(
            TableName=name,
            AttributeDefinitions=_attributes({index: keys}),
            GlobalSecondaryIndexUpdates=[{"Create": _index(index, keys)}],
        )
        _ready(dynamodb, name, wait)
    return [f"added index {each} to table {name}" for each in missing]


def _ready(dynamodb: Any, name: str, wait: Wait) -> dict[str, Any]:
    """Return the table once it and all its indexes are active; DeployError when that takes longer."""
    found: dict[str, Any] = wait.until(
        lambda: wait.while_refused(
            lambda: dynamodb.describe_table(TableName=name)["Table"],
            ("ResourceNotFoundException",),  # a table that was made a moment ago
            seconds=KNOWN_SECONDS,
        ),
        lambda found: not _unready(found),
        seconds=READY_SECONDS,
    )
    if unready := _unready(found):
        raise DeployError(f"{', '.join(unready)} not ready yet: deploy again later, it goes on from there")
    return found


def _unready(found: Mapping[str, Any]) -> list[str]:
    states = {f"table {found['TableName']} is": found["TableStatus"]} | {
        f"index {each['IndexName']} is": each.get("IndexStatus", "ACTIVE")
        for each in found.get("GlobalSecondaryIndexes", [])
    }
    return [what for what, state in states.items() if state != "ACTIVE"]


def _table(indexes: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    return {
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [
            *({"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk")),
            *_attributes(indexes),
        ],
        "KeySchema": _keys("pk", "sk"),
        "GlobalSecondaryIndexes": [_index(index, keys) for index, keys in indexes.items()],
    }


def _attributes(indexes: Mapping[str, tuple[str, str]]) -> list[dict[str, str]]:
    kinds = {key: kind for keys in indexes.values() for key, kind in zip(keys, ("S", "N"), strict=True)}
    return [{"AttributeName": key, "AttributeType": kind} for key, kind in kinds.items()]


def _index(name: str, keys: tuple[str, str]) -> dict[str, Any]:
    return {"IndexName": name, "KeySchema": _keys(*keys), "Projection": {"ProjectionType": "KEYS_ONLY"}}


def _keys(hashed: str, ranged: str) -> list[dict[str, str]]:
    return [{"AttributeName": hashed, "KeyType": "HASH"}, {"AttributeName": ranged, "KeyType": "RANGE"}]


def _check_keys(name: str, found: Mapping[str, Any]) -> None:
    keys = [each["AttributeName"] for each in found["KeySchema"]]
    indexes = [each["IndexName"] for each in found.get("GlobalSecondaryIndexes", [])]
    if sorted(keys) != ["pk", "sk"] or INDEX not in indexes:
        raise DeployError(f"the table {name} is another one: it has no keys pk and sk, or no index {INDEX}; move it")


def _expiry(dynamodb: Any, name: str) -> str:
    found: str = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"].get("TimeToLiveStatus", "")
    return found


def _has_backups(dynamodb: Any, name: str) -> bool:
    found = dynamodb.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    status = found.get("PointInTimeRecoveryDescription", {}).get("PointInTimeRecoveryStatus")
    return bool(status == "ENABLED")
