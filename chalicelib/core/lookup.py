"""Finds one incident by its id or alias with three reads at most, however many are open."""

from chalicelib.core.incident import Incident
from chalicelib.core.ports import Store
from chalicelib.core.waves import incident_named


def incident_of(store: Store, name: str) -> Incident | None:
    """Return the incident of an id, of an alias (`pagerduty:Q1A2B3`) or of a wave's key, ended ones too; None for an unknown one."""
    name = incident_named(name)
    key = store.located(name)
    newest = store.load(key) if key is not None else None
    if newest is not None and (newest.id == name or name in newest.episode.aliases):
        return newest
    return store.archived(name) if key is not None else None
