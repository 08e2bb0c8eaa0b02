"""CloudWatch: alarms, by the topic and by the bus of a stage. Both put their messages on the webhooks queue, without HTTP.

The queue's policy names the topic and the rule that may, so that IAM proves the sender. A topic of another account posts to
the address of `sns`. https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from chalicelib.core.errors import SignatureError
from chalicelib.core.event import Event
from chalicelib.sources import _aws, _cloudwatch

NAME = "cloudwatch"
TITLE = "Amazon CloudWatch"
SECRETS: tuple[str, ...] = ()


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], *, path_secret: str | None = None) -> None:
    """Raise SignatureError: what comes by HTTP is nobody's that IAM has proved."""
    raise SignatureError(
        "cloudwatch has no address: its messages come by the stage's own topic and rule, or by /webhooks/sns"
    )


def delivery_id(headers: Mapping[str, str], body: bytes) -> str | None:
    """Return None: nothing is delivered by HTTP."""
    return None


def kinds() -> tuple[str, ...]:
    """Return the kinds of its events that are known, for `tocsin check`."""
    return _cloudwatch.KINDS


def parse(headers: Mapping[str, str], body: bytes, *, received_at: datetime) -> list[Event]:
    """Return the event of a body in any form that AWS sends; raise ParseError when it is no JSON object."""
    return _aws.parse(body, NAME, received_at)
