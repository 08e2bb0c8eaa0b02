"""One file for each receiver. The rules file's word for it is the file's `KIND`."""

from collections.abc import Mapping
from datetime import datetime
from importlib import import_module
from typing import Any, Protocol, cast

from chalicelib.core.delivery.notification import Deploy, Notification, Receipt
from chalicelib.core.delivery.target_state import Pace
from chalicelib.core.errors import TargetRejectedError
from chalicelib.core.ports import Clients

FILES: Mapping[str, str] = {
    "slack_channel": "slack_channel",
    "email": "email",
    "pagerduty": "pagerduty",
    "webhook": "webhook",
}
"""The file of each kind of target in the rules file."""


class TargetModule(Protocol):
    """What a file of this folder provides."""

    KIND: str
    PACE: Pace | None
    """How fast one target of the kind takes messages; None: as fast as they come."""

    def render(self, notification: Notification, receipt: Mapping[str, str], *, plain: bool = False) -> dict[str, Any]:
        """The request's body. Pure. `plain` asks for the form that needs nothing but text."""
        ...

    def send(
        self,
        notification: Notification,
        address: str,
        clients: Clients,
        *,
        receipt: Mapping[str, str],
        in_doubt: bool,
        now: datetime,
        plain: bool = False,
    ) -> Receipt:
        """Tell it; the answer is kept with the thread.

        `receipt` is what the target answered earlier in this thread; `in_doubt` is true when an earlier try of this
        same notification may have arrived. Raises TargetUnavailableError (comes back) or TargetRejectedError (never).
        """
        ...


class ChangeModule(Protocol):
    """What a file provides whose receiver also takes changes: notes of deploys that tell nobody."""

    def send_change(self, deploy: Deploy, address: str, clients: Clients, *, now: datetime) -> Receipt:
        """Tell it. Raises as `send` does."""
        ...


CHANGE_KINDS = ("pagerduty",)
"""The kinds whose file is a ChangeModule."""


def change_module_for(kind: str) -> ChangeModule:
    """The file of a kind that takes changes; TargetRejectedError for another."""
    if kind not in CHANGE_KINDS:
        raise TargetRejectedError(f"targets of that kind take no changes; allowed are {', '.join(CHANGE_KINDS)}")
    return cast(ChangeModule, module_for(kind))


def module_for(kind: str) -> TargetModule:
    """The file of a kind of target, imported on first use; TargetRejectedError for a kind that does not exist."""
    if kind not in FILES:
        raise TargetRejectedError(f"there is no target of that kind; allowed are {', '.join(FILES)}")
    return cast(TargetModule, import_module(f"chalicelib.targets.{FILES[kind]}"))
