"""The one table of a stage."""

from collections.abc import Mapping
from typing import Any

from deploy.errors import DeployError
from deploy.names import tags

INDEX = "wake"


def table(dynamodb: Any, name: str, stage: str) -> list[str]:
    """The one table: keys, the index of timers, expiry, backups of the last 35 days, encryption."""
    made = []
    try:
        found = dynamodb.describe_table(TableName=name)["Table"]
    except dynamodb.exceptions.ResourceNotFoundException:
        dynamodb.create_table(TableName=name, Tags=tags(stage), **_table())
        dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 120})
        found = dynamodb.describe_table(TableName=name)["Table"]
        made.append(f"table {name}")
    _check_keys(name, found)
    if _expiry(dynamodb, name) not in ("ENABLED", "ENABLING"):
        dynamodb.update_time_to_live(
            TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires_at"}
        )
    if stage != "local" and not _has_backups(dynamodb, name):
        dynamodb.update_continuous_backups(
            TableName=name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
        )
    return made


def _table() -> dict[str, Any]:
    keys = {"pk": "S", "sk": "S", "wake_shard": "S", "wake_at": "N"}
    return {
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": key, "AttributeType": kind} for key, kind in keys.items()],
        "KeySchema": _keys("pk", "sk"),
        "GlobalSecondaryIndexes": [
            {
                "IndexName": INDEX,
                "KeySchema": _keys("wake_shard", "wake_at"),
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
        "SSESpecification": {"Enabled": True},
    }


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
