"""The one workspace of the stand-in: its team, its app, its people, and the ids of what is in it."""

import hashlib
from typing import Any

from local.inbox.exchange import Json

TEAM = "T0INBOX001"
TEAM_DOMAIN = "inbox"
APP = "A0TOCSIN01"
BOT_USER = "U0TOCSIN01"
PEOPLE: dict[str, str] = {"U0ANASOUZA": "Ana Souza", "U0BENOKORO": "Ben Okoro", "U0CHENWEI1": "Chen Wei"}
ZONES = {"U0CHENWEI1": "Asia/Shanghai"}
"""Of people who are not at UTC."""


class SlackError(Exception):
    """A refusal in Slack's words."""

    def __init__(self, code: str, **more: Any) -> None:
        super().__init__(code)
        self.code = code
        self.more = more


def channel_id(name: str) -> str:
    """Return the id of a channel's name, the same for ever."""
    return f"C0{hashlib.sha256(name.encode()).hexdigest()[:9].upper()}"


def bot_id(token: str) -> str:
    """Return the id of the bot that a token is for."""
    return f"B0{hashlib.sha256(token.encode()).hexdigest()[:8].upper()}"


def handle_of(user: str) -> str:
    """Return a person's user name."""
    return PEOPLE.get(user, user).lower().replace(" ", ".")


def team_of(fields: Json) -> Json:
    """Answer auth.test: the team, and the bot that calls."""
    return {
        "url": f"https://{TEAM_DOMAIN}.slack.com/",
        "team": "Inbox",
        "user": "tocsin",
        "team_id": TEAM,
        "user_id": BOT_USER,
        "bot_id": fields["_bot"],
        "is_enterprise_install": False,
    }


def user_by_id(fields: Json) -> Json:
    """Answer users.info: a person by id."""
    user = str(fields.get("user") or "")
    if user not in PEOPLE:
        raise SlackError("user_not_found")
    return {"user": _person(user)}


def user_by_email(fields: Json) -> Json:
    """Answer users.lookupByEmail: a person by the address of the profile."""
    for user in PEOPLE:
        if _person(user)["profile"]["email"] == fields.get("email"):
            return {"user": _person(user)}
    raise SlackError("users_not_found")


def _person(user: str) -> Json:
    first, _, last = PEOPLE[user].partition(" ")
    email = f"{handle_of(user)}@example.com"
    profile = {"real_name": PEOPLE[user], "display_name": first, "first_name": first, "last_name": last, "email": email}
    return {
        "id": user,
        "team_id": TEAM,
        "name": handle_of(user),
        "real_name": PEOPLE[user],
        "deleted": False,
        "tz": ZONES.get(user, "Etc/UTC"),
        "is_bot": False,
        "profile": profile,
    }
