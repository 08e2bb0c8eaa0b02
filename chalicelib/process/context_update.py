"""The context is one item that every worker changes: saved by version, loaded and changed again when others were first."""

from collections.abc import Callable
from dataclasses import replace

from chalicelib.core.context import Context
from chalicelib.core.errors import ConflictError
from chalicelib.core.ports import Store

MAX_CONFLICTS = 5


def saved_context(store: Store, context: Context, change: Callable[[Context], Context]) -> Context:
    """The context as `change` makes it, saved; where it changes nothing, nothing is. ConflictError after five times."""
    for _ in range(MAX_CONFLICTS):
        changed = change(context)
        if changed is context:
            return context
        changed = replace(changed, version=context.version + 1)
        try:
            store.save_context(changed)
        except ConflictError:
            context = store.context()
            continue
        return changed
    raise ConflictError(f"the context was saved by others {MAX_CONFLICTS} times in a row")
