"""A chat that takes messages by plain HTTP. https://chat.example/api"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from chalicelib.core.delivery.notification import Deploy, Notification, Receipt
from chalicelib.core.delivery.target_kind import Capabilities, TargetCheck, TargetKind, TargetSample
from chalicelib.core.errors import FieldError
from chalicelib.core.field import text_value
from chalicelib.core.ports import Clients
from chalicelib.core.rule import Target
from chalicelib.targets._http import LOOPBACK_SETTING, encoded, post, raise_for_status

TITLE = "Chat"
PACE = None
RATE_LIMIT_WAIT = timedelta(seconds=30)


def read(value: Any) -> str:
    """Return the name of a room. Raise FieldError for anything else."""
    text = text_value(value)
    if not text.isalnum():
        raise FieldError(f"is not a room: {text!r}", "letters and digits", "".join(filter(str.isalnum, text)))
    return text


DECLARED = TargetKind(
    title=TITLE,
    meaning="The name of a room.",
    read=read,
    schema={"type": "string", "pattern": "^[a-z0-9]+$"},
    example="ops",
    can=Capabilities(takes_changes=True),
    sample=TargetSample(settings={"CHAT_URL": "https://192.0.2.1/chat"}, answer={"message": 7}),
    needs=(("CHAT_TOKEN", "nobody in the chat is notified"),),
    parameters=lambda address: ("CHAT_TOKEN", "CHAT_URL", LOOPBACK_SETTING),
)


def render(notification: Notification, receipt: Mapping[str, str], *, plain: bool = False) -> dict[str, Any]:
    """Return the request's body."""
    return {"text": f"{notification.title} ({notification.status})"}


def send(
    notification: Notification,
    address: str,
    clients: Clients,
    *,
    receipt: Mapping[str, str],
    in_doubt: bool,
    now: datetime,
    plain: bool = False,
) -> Receipt:
    """Post one message. The chat cannot know a message that it has already."""
    url = f"{clients.setting('CHAT_URL')}/rooms/{address}"
    headers = {"Authorization": f"Bearer {clients.secret('CHAT_TOKEN')}"}
    content = encoded(render(notification, receipt, plain=plain))
    answer = post(clients, url, name=TITLE, content=content, headers=headers, timeout=notification.target.timeout)
    raise_for_status(answer, name=TITLE, now=now, wait=RATE_LIMIT_WAIT)
    return Receipt({"message": str(answer.json().get("message"))}, doubled=in_doubt)


def send_change(deploy: Deploy, address: str, clients: Clients, *, now: datetime) -> Receipt:
    """Return an empty receipt: the chat has no place for changes."""
    return Receipt()


def check_target(target: Target, clients: Clients) -> TargetCheck:
    """Return whether the token is set."""
    state = "ok" if clients.secret("CHAT_TOKEN") else "wrong"
    return TargetCheck(state, f"{target.key}: the token", parameter="CHAT_TOKEN")
