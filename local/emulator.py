"""The process of the embedded AWS: ministack with our patches, its state saved soon, ended with whoever started it.

Runs in `.venv-emulator` (`local/cloud.py` starts it). What differs from plain ministack is in `local/emulator_patches.py`,
but for two things: `local/guard.py` refuses what a web page could send and what no key of this run signed, and
`local/saving.py` saves what changed soon, not only at the end.
"""

import asyncio
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FunctionType, SimpleNamespace
from typing import Any

from ministack import app
from ministack.core import persistence

# Python puts this file's folder first; the checkout's takes its place, so that names are those of the whole project.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from local.emulator_patches import patch
from local.guard import guarded
from local.saving import Make, Saver, lines, unfold

TOGETHER = ("sqs", "dynamodb")


def main() -> None:
    """Serve until SIGTERM or SIGINT, or until whoever started this is gone."""
    # Its state holds tokens in clear: what it writes is for its owner alone.
    os.umask(0o077)
    keys = {os.environ["AWS_ACCESS_KEY_ID"]}
    patch(keys)
    changed = None
    if persistence.PERSIST_STATE:
        saving = saver()
        changed = saving.changed.set
        threading.Thread(target=saving.run, name="save", daemon=True).start()
    app.app = guarded(app.app, port=int(os.environ["GATEWAY_PORT"]), keys=keys, changed=changed)
    if os.environ.get("STOP_WITH_PARENT") == "1":
        threading.Thread(target=stop_with_parent, name="parent", daemon=True).start()
    app.main()


def saver() -> Saver:
    """Return what saves the state of all services, and saves it a last time when ministack ends."""
    found = Saver(Path(persistence.STATE_DIR), lambda: on_loop(accepted), rest)
    unfold(Path(persistence.STATE_DIR))
    app.save_all = lambda services: found.finish()
    return found


def accepted() -> str:
    """Return queues and tables as text. Run it on the loop that serves requests: then no request is half in it."""
    services = app._build_persistence_save_dict()
    return lines({name: _text(name, _shallow(services[name])) for name in TOGETHER if name in services})


def rest() -> dict[str, Make]:
    """Return the other services by name, each with what makes its text."""

    def make(name: str, get_state: Any) -> str | None:
        state = get_state()
        return None if state is None else _text(name, state)

    services = app._build_persistence_save_dict()
    return {name: partial(make, name, services[name]) for name in services if name not in TOGETHER}


def _shallow(get_state: Any) -> Any:
    """Return the state of a service without the deep copies it makes: it becomes text before it can change."""
    names = {**get_state.__globals__, "copy": SimpleNamespace(deepcopy=lambda found: found)}
    return FunctionType(get_state.__code__, names)()


def _text(name: str, state: Any) -> str:
    """Return the state of a service as ministack reads it."""
    wrapped = {"__ministack_format__": persistence._state_format_version(name), "payload": state}
    return json.dumps(wrapped, default=persistence._json_default)


def on_loop(function: Callable[[], str]) -> str:
    """Return what a function returns on the loop that serves requests, from any thread."""

    async def call() -> str:
        return function()

    if threading.current_thread() is threading.main_thread():
        return function()
    return asyncio.run_coroutine_threadsafe(call(), app._MAIN_LOOP).result()


def stop_with_parent() -> None:
    """End when the process that started this one is gone, however it went: nothing must stay behind."""
    parent = os.getppid()
    while os.getppid() == parent:
        threading.Event().wait(0.5)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
