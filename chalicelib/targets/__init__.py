"""One file for each kind of target: the name of the file is the kind, its word in the rules file.

A file declares what it is (`DECLARED`), and everything else reads that: the checker, the schema, decisions, the delivery,
replay. Nothing is listed here.
"""

from typing import TYPE_CHECKING, cast

from chalicelib import plugins
from chalicelib.core.delivery.target_kind import Capabilities, TargetKind
from chalicelib.core.errors import RulesError, TargetRejectedError

if TYPE_CHECKING:
    from chalicelib.plugin_modules import ChangeModule, CheckedModule, TargetModule


def kinds() -> dict[str, TargetKind]:
    """Return what every file of this folder declares, by its kind, in the order of lists. All of them are imported."""
    found = {name: plugins.load_target(name).DECLARED for name in plugins.names("targets")}
    return dict(sorted(found.items(), key=lambda each: (each[1].place, each[0])))


def capabilities() -> dict[str, Capabilities]:
    """Return what the receivers of every kind can do."""
    return {name: each.can for name, each in kinds().items()}


def module_for(kind: str) -> "TargetModule":
    """Return the file of a kind, imported on first use. Raise TargetRejectedError for a kind that does not exist."""
    try:
        return plugins.load_target(kind)
    except RulesError:
        raise TargetRejectedError(f"there is no target of that kind; allowed are {', '.join(kinds())}") from None


def change_module_for(kind: str) -> "ChangeModule":
    """Return the file of a kind that takes changes. Raise TargetRejectedError for another kind."""
    module = module_for(kind)
    if not module.DECLARED.can.takes_changes:
        allowed = ", ".join(name for name, can in capabilities().items() if can.takes_changes)
        raise TargetRejectedError(f"targets of that kind take no changes; allowed are {allowed}")
    return cast("ChangeModule", module)


def checked_module_for(kind: str) -> "CheckedModule | None":
    """Return the file of a kind whose settings can be looked at; None for another kind."""
    module = module_for(kind)
    return cast("CheckedModule", module) if hasattr(module, "check_target") else None
