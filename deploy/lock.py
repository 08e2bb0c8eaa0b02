"""One deploy of a stage at a time: a second one would change functions that the first is changing.

The lock is an item of the stage's table with the name of who holds it. It ends by itself, since a deploy that was killed
cannot give it back.
"""

import getpass
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from deploy.errors import DeployError
from deploy.waiting import code_of

KEPT = timedelta(minutes=15)
KEY = {"pk": {"S": "deploy-lock"}, "sk": {"S": "deploy-lock"}}


@dataclass(frozen=True, slots=True)
class Holder:
    """A running deploy: user and machine, which a colleague can ask about, and the process."""

    who: str
    process: int

    @property
    def text(self) -> str:
        """Return it as it is stored."""
        return f"{self.who} {self.process}"


def this_process() -> Holder:
    """Return the holder that this process is."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        user = str(os.getuid())
    return Holder(f"{user}@{socket.gethostname()}", os.getpid())


def runs(process: int) -> bool:
    """Return whether a process of this machine runs."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def utc_now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Lock:
    """The lock of the stage that has this table. `alive` says whether a process of this machine runs."""

    dynamodb: Any
    table: str
    holder: Holder
    clock: Callable[[], datetime] = utc_now
    alive: Callable[[int], bool] = runs

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock for the body; DeployError with who holds it, and until when, if somebody else does."""
        self._take()
        try:
            yield
        finally:
            with suppress(ClientError, BotoCoreError):  # why the body failed matters more, and the lock ends by itself
                self._give_back()

    def break_(self) -> str:
        """Take the lock away from whoever holds it. Return who that was; empty where nobody did."""
        old = self.dynamodb.delete_item(TableName=self.table, Key=KEY, ReturnValues="ALL_OLD").get("Attributes")
        return _who(old) if old else ""

    def _take(self) -> None:
        found = self._put("attribute_not_exists(pk) OR #until < :now OR holder = :ours")
        if found is not None and self._is_dead(found):
            found = self._put("holder = :dead", {":dead": found["holder"]})
        if found is not None:
            raise DeployError(_held(found))

    def _is_dead(self, item: dict[str, Any]) -> bool:
        """Return whether the lock is of a process of this machine and user that was killed."""
        who, _, process = item.get("holder", {}).get("S", "").rpartition(" ")
        return bool(who == self.holder.who and process.isdigit() and not self.alive(int(process)))

    def _put(self, condition: str, more: dict[str, Any] | None = None) -> dict[str, Any] | None:
        """Store the lock under a condition. Return None when it is ours, else the item that is in the way.

        The SDK stores it a second time when the first answer is lost: then the item in the way is our own.
        """
        now = self.clock()
        values = more or {":now": _seconds(now), ":ours": {"S": self.holder.text}}
        names = {"ExpressionAttributeNames": {"#until": "until"}} if "#until" in condition else {}
        times = {"until": _seconds(now + KEPT), "expires_at": _seconds(now + 2 * KEPT)}
        try:
            self.dynamodb.put_item(
                TableName=self.table,
                Item={**KEY, "holder": {"S": self.holder.text}, **times},
                ConditionExpression=condition,
                ExpressionAttributeValues=values,
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                **names,
            )
        except ClientError as error:
            if code_of(error) != "ConditionalCheckFailedException":
                raise
            response: dict[str, Any] = {**error.response}
            return dict(response.get("Item") or {})
        return None

    def _give_back(self) -> None:
        """Delete the lock if it is still ours; one that ran out may be somebody else's by now."""
        self.dynamodb.delete_item(
            TableName=self.table,
            Key=KEY,
            ConditionExpression="holder = :ours",
            ExpressionAttributeValues={":ours": {"S": self.holder.text}},
        )


def _seconds(at: datetime) -> dict[str, str]:
    return {"N": str(int(at.timestamp()))}


def _who(item: dict[str, Any]) -> str:
    return str(item.get("holder", {}).get("S", "somebody")).partition(" ")[0]


def _held(item: dict[str, Any]) -> str:
    """Return who deploys, since when, and what to do where that deploy was killed."""
    seconds = int(item.get("until", {}).get("N", 0))
    if not seconds:
        return f"{_who(item)} is deploying this stage: wait until that deploy has ended"
    until = datetime.fromtimestamp(seconds, UTC)
    return (
        f"{_who(item)} is deploying this stage since {until - KEPT:%H:%M} UTC: wait until that deploy has ended, or until "
        f"{until:%H:%M} UTC if it was killed. If you know that it was, deploy with --break-lock"
    )
