"""Waiting in virtual time, and clients whose first calls are refused as AWS refuses them."""

from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from deploy.waiting import Wait


class Time:
    """A clock that stands still but for the pauses."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def pause(self, seconds: float) -> None:
        """Let so much time pass."""
        self.now += seconds
        self.pauses.append(seconds)

    @property
    def wait(self) -> Wait:
        """A way to wait by this clock."""
        return Wait(self.pause, lambda: self.now)


def refused(code: str, operation: str = "Any") -> ClientError:
    """The error that boto3 raises for an answer with this code."""
    return ClientError({"Error": {"Code": code, "Message": "not now"}}, operation)


class Refusing:
    """A boto3 client whose calls named in `codes` are refused: those codes first, in turn, then they are passed on."""

    def __init__(self, client: Any, codes: Mapping[str, list[str]]) -> None:
        self._client = client
        self.codes = {name: list(each) for name, each in codes.items()}

    def __getattr__(self, name: str) -> Any:
        return self._refusing(name) if name in self.codes else getattr(self._client, name)

    def _refusing(self, name: str) -> Callable[..., Any]:
        def call(**arguments: Any) -> Any:
            if self.codes[name]:
                raise refused(self.codes[name].pop(0), name)
            return getattr(self._client, name)(**arguments)

        return call


class AccountSettings:
    """Lambda as an account with this limit of concurrent executions sees it; with None the keys may not read it."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit

    def get_account_settings(self) -> dict[str, Any]:
        """What GetAccountSettings answers, as far as it is read."""
        if self._limit is None:
            raise refused("AccessDeniedException", "GetAccountSettings")
        return {"AccountLimit": {"ConcurrentExecutions": self._limit, "UnreservedConcurrentExecutions": self._limit}}
