"""What SNS puts around a message."""

import re
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Posted:
    """What SNS says of a message beside its text: topic, subject, id and time; all empty of a bare message."""

    topic: str = ""
    subject: str = ""
    id: str = ""
    at: datetime | None = None


def topic_name(topic: str) -> str:
    """Return the name in the ARN of a topic; of anything else all of it."""
    match = re.fullmatch(r"arn:[a-z-]{3,20}:sns:[a-z0-9-]{0,40}:[0-9]{0,12}:([\w.-]{1,256})", topic)
    return match[1] if match else topic
