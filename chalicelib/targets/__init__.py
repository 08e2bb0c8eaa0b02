"""One file for each kind of target: the name of the file is the kind, its word in the rules file.

A file declares what it is (`DECLARED`), and everything else reads that: the checker, the schema, decisions, the delivery,
replay. Nothing is listed here.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol, cast

from chalicelib import plugins
from chalicelib.core.delivery.notification import Deploy, Notification, Receipt
from chalicelib.core.delivery.target_kind import Capabilities, TargetKind
from chalicelib.core.delivery.target_state import Pace
from chalicelib.core.errors import RulesError, TargetRejectedError
from chalicelib.core.ports import Clients


class TargetModule(Protocol):
    """What a file of this folder provides."""

    DECLARED: TargetKind
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


def kinds() -> dict[str, TargetKind]:
    """Return what every file of this folder declares, by its kind, in the order of lists. All of them are imported."""
    found = {name: module_for(name).DECLARED for name in plugins.names("targets")}
    return dict(sorted(found.items(), key=lambda each: (each[1].place, each[0])))


def capabilities() -> dict[str, Capabilities]:
    """Return what the receivers of every kind can do."""
    return {name: each.can for name, each in kinds().items()}


def module_for(kind: str) -> TargetModule:
    """Return the file of a kind, imported on first use. Raise TargetRejectedError for a kind that does not exist."""
    try:
        return cast(TargetModule, plugins.load("targets", kind))
    except RulesError:
        raise TargetRejectedError(f"there is no target of that kind; allowed are {', '.join(kinds())}") from None


def change_module_for(kind: str) -> ChangeModule:
    """Return the file of a kind that takes changes. Raise TargetRejectedError for another kind."""
    module = module_for(kind)
    if not module.DECLARED.can.takes_changes:
        allowed = ", ".join(name for name, can in capabilities().items() if can.takes_changes)
        raise TargetRejectedError(f"targets of that kind take no changes; allowed are {allowed}")
    return cast(ChangeModule, module)
