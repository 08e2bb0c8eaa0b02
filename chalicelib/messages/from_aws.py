"""Messages that AWS itself put on the webhooks queue: a topic's, a rule's of EventBridge. They have none of our own form.

The queue's policy lets only the stage's own topic and rule send, so that IAM proves the sender. Such a message is read as a
webhook of the source of that way, which was received when AWS says that it was sent: the same message gives the same
events, however late it comes.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from chalicelib.core.payload import coerce
from chalicelib.messages.webhook import Webhook

FEEDBACK = "-feedback"
"""How the name of the topic ends to which SES publishes; its messages are for the notifications queue."""
WHOLE_SECOND = timedelta(milliseconds=999)
"""EventBridge cuts its time down to the second; what it reports happened in it."""


def webhook(form: Mapping[str, Any], text: str) -> Webhook | None:
    """Return the webhook in a message that AWS wrote; None for any other. `form` is its `text` read as JSON."""
    if "v" in form:
        return None
    if form.get("Type") == "Notification" and not _topic(form).endswith(FEEDBACK):
        return (
            _made("sns", form.get("MessageId"), text, coerce.instant(form.get("Timestamp"))) if _topic(form) else None
        )
    if isinstance(form.get("detail-type"), str) and isinstance(form.get("source"), str):
        at = coerce.instant(form.get("time"))
        return _made("eventbridge", form.get("id"), text, at + WHOLE_SECOND if at else None)
    if "AlarmName" in form and "NewStateValue" in form:  # the subscription of the topic was switched to raw delivery
        return _made("cloudwatch", None, text, coerce.instant(form.get("StateChangeTime")))
    return None


def _topic(form: Mapping[str, Any]) -> str:
    return coerce.line(form.get("TopicArn"), 300)


def _made(source: str, id: Any, text: str, at: datetime | None) -> Webhook | None:
    if at is None:
        return None
    return Webhook(coerce.line(id, 200) or coerce.digest(text), source, text.encode("utf-8", "surrogatepass"), at)
