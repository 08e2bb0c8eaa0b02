"""Modals: a trigger opens one, the app changes it, a person submits or closes it."""

import secrets
from collections.abc import Callable

from local.inbox.exchange import Json
from local.inbox.memory import Memory
from local.inbox.vendors.slack.content import view_of
from local.inbox.vendors.slack.workspace import APP, TEAM, SlackError, bot_id

TRIGGER_SECONDS = 3


class Modals:
    """The open modals, the one on top last."""

    def __init__(self, memory: Memory, clock: Callable[[], float]) -> None:
        self._memory = memory
        self._clock = clock
        self._triggers: dict[str, tuple[float, bool]] = {}
        self.views: list[Json] = []

    def new_trigger(self) -> str:
        """Return a new trigger_id. It lives three seconds and opens one modal."""
        trigger = f"{secrets.randbelow(10**13)}.{secrets.randbelow(10**9)}.{secrets.token_hex(16)}"
        with self._memory.lock:
            self._triggers[trigger] = (self._clock(), False)
        return trigger

    def find(self, identifier: str) -> Json | None:
        """Return the open modal of an id."""
        return next((each for each in self.views if each["id"] == identifier), None)

    def open(self, fields: Json) -> Json:
        """Answer views.open."""
        with self._memory.lock:
            trigger = str(fields.get("trigger_id") or "")
            if trigger not in self._triggers:
                raise SlackError("invalid_trigger_id")
            at, used = self._triggers[trigger]
            if used:
                raise SlackError("trigger_exchanged")
            if self._clock() - at > TRIGGER_SECONDS:
                raise SlackError("trigger_expired")
            view = self._stored(view_of(fields), f"V0{secrets.token_hex(4).upper()}", fields["_bot"])
            self._triggers[trigger] = (at, True)
            self.views.append(view)
            self._memory.changed()
        return {"view": view}

    def update(self, fields: Json) -> Json:
        """Answer views.update."""
        with self._memory.lock:
            wanted = str(fields.get("view_id") or "")
            found = self.find(wanted)
            if found is None:
                raise SlackError("not_found")
            if fields.get("hash") and fields["hash"] != found["hash"]:
                raise SlackError("hash_conflict")
            view = self._stored(view_of(fields), wanted, fields["_bot"])
            self.views[self.views.index(found)] = view
            self._memory.changed()
        return {"view": view}

    def push(self, view: Json, *, over: str) -> None:
        """Replace the modal called `over` by the one that the answer to a submission brings."""
        with self._memory.lock:
            self.views = [self._stored(view, over, bot_id("")) if each["id"] == over else each for each in self.views]
            self._memory.changed()

    def close(self, identifier: str) -> None:
        """Close a modal."""
        with self._memory.lock:
            self.views = [each for each in self.views if each["id"] != identifier]
            self._memory.changed()

    def _stored(self, view: Json, identifier: str, bot: str) -> Json:
        blocks = [
            {"block_id": f"b{number}", **block} if isinstance(block, dict) else block
            for number, block in enumerate(view["blocks"])
        ]
        return {
            "private_metadata": "",
            "callback_id": "",
            "clear_on_close": False,
            "notify_on_close": False,
            "previous_view_id": None,
            "external_id": "",
            **view,
            "blocks": blocks,
            "id": identifier,
            "root_view_id": identifier,
            "team_id": TEAM,
            "app_id": APP,
            "app_installed_team_id": TEAM,
            "bot_id": bot,
            "hash": f"{int(self._clock())}.{secrets.token_hex(4)}",
            "state": {"values": {}},
        }
