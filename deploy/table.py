"""The one table of a stage."""

from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from deploy.errors import DeployError
from deploy.names import tags
from deploy.waiting import PATIENT, Wait, code_of

INDEX = "wake"
Index = tuple[str, ...]
"""The partition key of an index, its sort key, and the further attributes that it shows."""
INDEXES: Mapping[str, Index] = {
    INDEX: ("wake_shard", "wake_at"),
    "open": ("wake_shard", "pk", "summary"),
    "worst": ("worst_shard", "worst_place", "glance"),
}
"""The indexes by name. A later version adds one here, and each deploy builds it. Sort keys are numbers, but for TEXT_KEYS."""
TEXT_KEYS = ("pk", "sk", "worst_place")
NOT_KNOWN_YET = ("ResourceNotFoundException", "TableNotFoundException")
"""How DynamoDB refuses what names a table that was made a moment ago; the second word is that of backups."""
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
    indexes: Mapping[str, Index] = INDEXES,
    wait: Wait = PATIENT,
) -> list[str]:
    """Make the one table or add what it lacks: keys, indexes, expiry, backups of 35 days. Return what changed, a line each.

    DynamoDB encrypts every table. Without a key of the account it costs nothing and nobody needs a right on a key.
    """
    changed = [] if has_table(dynamodb, name) else _made(dynamodb, name, stage, indexes)
    found = _ready(dynamodb, name, wait)
    _check_keys(name, found)
    changed += _add_indexes(dynamodb, name, found, indexes, wait)
    _expire(dynamodb, name, wait)
    if stage != "local":
        _back_up(dynamodb, name, wait)
    return changed


def has_table(dynamodb: Any, name: str) -> bool:
    """Return whether there is a table of that name."""
    try:
        dynamodb.describe_table(TableName=name)
    except ClientError as error:
        if code_of(error) not in NOT_KNOWN_YET:
            raise
        return False
    return True


def _made(dynamodb: Any, name: str, stage: str, indexes: Mapping[str, Index]) -> list[str]:
    """Make the table; nothing where it is there after all, because a deploy that broke a moment ago has made it."""
    try:
        dynamodb.create_table(TableName=name, Tags=tags(stage), **_table(indexes))
    except ClientError as error:
        if code_of(error) != "ResourceInUseException":
            raise
        return []
    return [f"made table {name}"]


def _expire(dynamodb: Any, name: str, wait: Wait) -> None:
    """Let items expire."""
    found = _known(wait, lambda: dynamodb.describe_time_to_live(TableName=name))["TimeToLiveDescription"]
    if found.get("TimeToLiveStatus") not in ("ENABLED", "ENABLING"):
        expiry = {"Enabled": True, "AttributeName": "expires_at"}
        dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification=expiry)


def _back_up(dynamodb: Any, name: str, wait: Wait) -> None:
    """Switch backups of 35 days on."""
    found = _known(wait, lambda: dynamodb.describe_continuous_backups(TableName=name))["ContinuousBackupsDescription"]
    if found.get("PointInTimeRecoveryDescription", {}).get("PointInTimeRecoveryStatus") != "ENABLED":
        backups = {"PointInTimeRecoveryEnabled": True}
        wait.while_refused(
            lambda: dynamodb.update_continuous_backups(TableName=name, PointInTimeRecoverySpecification=backups),
            ("ContinuousBackupsUnavailableException",),
            seconds=BACKUP_SECONDS,
        )


def _known(wait: Wait, call: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what a call returns once the table that it names is known everywhere."""
    return wait.while_refused(call, NOT_KNOWN_YET, seconds=KNOWN_SECONDS)


def _add_indexes(
    dynamodb: Any, name: str, found: Mapping[str, Any], indexes: Mapping[str, Index], wait: Wait
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
        lambda: _known(wait, lambda: dynamodb.describe_table(TableName=name))["Table"],
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


def _table(indexes: Mapping[str, Index]) -> dict[str, Any]:
    return {
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [
            *_attributes({"": ("pk", "sk"), **indexes}),
        ],
        "KeySchema": _keys("pk", "sk"),
        "GlobalSecondaryIndexes": [_index(index, keys) for index, keys in indexes.items()],
    }


def _attributes(indexes: Mapping[str, Index]) -> list[dict[str, str]]:
    kinds = {key: "S" for keys in indexes.values() for key in keys[:2]}
    kinds |= {keys[1]: "N" for keys in indexes.values() if keys[1] not in TEXT_KEYS}
    return [{"AttributeName": key, "AttributeType": kind} for key, kind in kinds.items()]


def _index(name: str, keys: Index) -> dict[str, Any]:
    shown = {"ProjectionType": "INCLUDE", "NonKeyAttributes": list(keys[2:])}
    projection = shown if keys[2:] else {"ProjectionType": "KEYS_ONLY"}
    return {"IndexName": name, "KeySchema": _keys(keys[0], keys[1]), "Projection": projection}


def _keys(hashed: str, ranged: str) -> list[dict[str, str]]:
    return [{"AttributeName": hashed, "KeyType": "HASH"}, {"AttributeName": ranged, "KeyType": "RANGE"}]


def _check_keys(name: str, found: Mapping[str, Any]) -> None:
    keys = [each["AttributeName"] for each in found["KeySchema"]]
    indexes = [each["IndexName"] for each in found.get("GlobalSecondaryIndexes", [])]
    if sorted(keys) != ["pk", "sk"] or INDEX not in indexes:
        raise DeployError(f"the table {name} is another one: it has no keys pk and sk, or no index {INDEX}; move it")
