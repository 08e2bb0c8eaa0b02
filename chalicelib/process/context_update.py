"""The context is one item that every worker changes: saved by version, loaded and changed again when others were first."""

from collections.abc import Callable
from dataclasses import replace

from chalicelib.core.context import Context
from chalicelib.core.optimistic import known_first, updated
from chalicelib.core.ports import Store


def saved_context(store: Store, context: Context, change: Callable[[Context], Context]) -> Context:
    """Return the context as `change` makes it, saved unless it changes nothing. Raise ConflictError as `updated` does."""

    def save(stored: Context) -> Context:
        changed = change(stored)
        if changed is stored:
            return stored
        changed = replace(changed, version=stored.version + 1)
        store.save_context(changed)
        return changed

    return updated("the context", known_first(context, store.context), save)
