"""Finds one incident by its id or alias with three reads at most, however many are open."""

from chalicelib.core.incident import Incident
from chalicelib.core.ports import Store


def incident_of(store: Store, name: str) -> Incident | None:
    """Return the incident of an id or of an alias (`pagerduty:Q1A2B3`), ended ones too; None for an unknown one."""
    key = store.located(name)
    newest = store.load(key) if key is not None else None
    if newest is not None and (newest.id == name or name in newest.aliases):
        return newest
    return store.archived(name) if key is not None else None
