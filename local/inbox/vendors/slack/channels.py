"""The channels of the stand-in.

A channel exists once somebody writes to it, by `#name` or id; except that names beginning with

    missing     do not exist (channel_not_found)
    private     are private and the bot is not in them (channel_not_found by name, not_in_channel by id)
    uninvited   are public, and the bot may not post where it is not (not_in_channel)
    archived    are archived (is_archived)
    readonly    let only some people post (restricted_action_read_only_channel)
"""

import re
from collections.abc import Callable

from local.inbox.exchange import Json
from local.inbox.memory import Memory
from local.inbox.vendors.slack.content import is_true, page_of
from local.inbox.vendors.slack.workspace import PEOPLE, SlackError, channel_id

DEFAULT_CHANNELS = ("incidents", "alerts", "infrastructure")


class Channels:
    """Channels by id, in the memory."""

    def __init__(self, memory: Memory, clock: Callable[[], float]) -> None:
        self._memory = memory
        self._clock = clock
        self.make_default()

    def make_default(self) -> None:
        """Make the channels that are there before anybody writes."""
        with self._memory.lock:
            for name in DEFAULT_CHANNELS:
                self.named(name)

    def named(self, name: str) -> Json:
        """Return the channel of a name, made when there is none."""
        found: Json | None = self._memory.channels.get(channel_id(name))
        if found is None:
            found = self._make(channel_id(name), name)
        return found

    def find(self, said: str) -> Json | None:
        """Return the channel of an id or a name, None when there cannot be one."""
        known: Json | None = self._memory.channels.get(said)
        if known is not None:
            return known
        if re.fullmatch(r"[CG][A-Z0-9]{6,}", said):
            return None if said.startswith("CMISSING") else self._make(said, f"channel-{said.lower()}")
        if re.fullmatch(r"[UW][A-Z0-9]{6,}", said):
            return self._make(f"D{said[1:]}", PEOPLE.get(said, said).lower().replace(" ", "."))
        name = said.removeprefix("#")
        by_name = next((each for each in self._memory.channels.values() if each["name"] == name), None)
        if by_name is not None:
            return dict(by_name)
        if not re.fullmatch(r"[^\sA-Z#.,@!?\"'<>]{1,80}", name) or name.startswith("missing"):
            return None
        return self.named(name)

    def writable(self, fields: Json, *, by_id: bool = False) -> Json:
        """Return the channel of a call that writes to it. Raise SlackError when it may not."""
        said = str(fields.get("channel") or "")
        if not said or (by_id and not re.fullmatch(r"[CGD][A-Z0-9]{6,}", said)):
            raise SlackError("channel_not_found")
        channel = self.find(said)
        if channel is None or (channel["is_private"] and said != channel["id"]):
            raise SlackError("channel_not_found")
        if channel["is_archived"]:
            raise SlackError("is_archived")
        if not channel["is_member"]:
            raise SlackError("not_in_channel")
        if channel["name"].startswith("readonly"):
            raise SlackError("restricted_action_read_only_channel")
        return channel

    def readable(self, fields: Json) -> str:
        """Return the id of a channel whose messages a call reads. Raise SlackError when it may not."""
        channel = self._memory.channels.get(str(fields.get("channel") or ""))
        if channel is None:
            raise SlackError("channel_not_found")
        if not channel["is_member"]:
            raise SlackError("not_in_channel")
        return str(channel["id"])

    def listed(self, fields: Json) -> Json:
        """Answer conversations.list."""
        kinds = str(fields.get("types") or "public_channel").split(",")
        found = [each for each in self._memory.channels.values() if not each["id"].startswith("D")]
        found = [each for each in found if ("private_channel" if each["is_private"] else "public_channel") in kinds]
        if is_true(fields.get("exclude_archived", "")):
            found = [each for each in found if not each["is_archived"]]
        found = [each for each in found if not (each["is_private"] and not each["is_member"])]
        page, cursor = page_of(found, fields, most=1_000)
        return {"channels": [_described(each) for each in page], "response_metadata": {"next_cursor": cursor}}

    def info(self, fields: Json) -> Json:
        """Answer conversations.info."""
        channel = self._memory.channels.get(str(fields.get("channel") or ""))
        if channel is None or (channel["is_private"] and not channel["is_member"]):
            raise SlackError("channel_not_found")
        return {"channel": _described(channel)}

    def _make(self, identifier: str, name: str) -> Json:
        channel = {
            "id": identifier,
            "name": name,
            "created": int(self._clock()),
            "is_private": name.startswith("private"),
            "is_archived": name.startswith("archived"),
            "is_member": not name.startswith(("private", "uninvited")),
        }
        self._memory.channels[identifier] = channel
        self._memory.changed()
        return channel


def _described(channel: Json) -> Json:
    nothing = {"value": "", "creator": "", "last_set": 0}
    return {
        "id": channel["id"],
        "name": channel["name"],
        "name_normalized": channel["name"],
        "is_channel": not channel["is_private"],
        "is_group": channel["is_private"],
        "is_im": False,
        "is_mpim": False,
        "is_private": channel["is_private"],
        "is_archived": channel["is_archived"],
        "is_member": channel["is_member"],
        "created": channel["created"],
        "creator": next(iter(PEOPLE)),
        "num_members": len(PEOPLE) + 1,
        "previous_names": [],
        "topic": nothing,
        "purpose": nothing,
    }
