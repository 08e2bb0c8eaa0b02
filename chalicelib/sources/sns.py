"""Amazon SNS by HTTPS: topics of other accounts or Regions. The stage's own topic needs no HTTP, see `cloudwatch`.

Every message is signed by SNS, with a certificate at an address of SNS. The body's `TopicArn` must be one that SNS_TOPICS
names: any account can have SNS post to any address. Raw delivery is not signed, so it is refused. Checking the signature
needs more than the standard library, so the door hands in `signed` (ingest/sns.py), which loads it when SNS posts.
https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from chalicelib.core.errors import ParseError, SignatureError
from chalicelib.core.event import Event
from chalicelib.core.payload import coerce, signing
from chalicelib.sources import _aws

NAME = "sns"
TITLE = "Amazon SNS"
SECRETS = ("SNS_TOPICS",)
"""No secret: the ARNs of the topics that may post, with commas between them."""
NOTIFICATION, SUBSCRIPTION, UNSUBSCRIPTION = "Notification", "SubscriptionConfirmation", "UnsubscribeConfirmation"
KEYS = {
    NOTIFICATION: ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    SUBSCRIPTION: ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    UNSUBSCRIPTION: ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}
"""What is signed of each type of message, in this order; Subject only where there is one."""
ALGORITHMS = {"1": "sha1", "2": "sha256"}
_HOST = re.compile(r"sns\.([a-zA-Z0-9-]{3,40})\.amazonaws\.com(?:\.cn)?")
_CONFIRMS = re.compile(rf"https://{_HOST.pattern}/")
_TOPIC = re.compile(r"arn:(?:aws|aws-cn|aws-us-gov):sns:([a-z0-9-]{3,40}):[0-9]{12}:[A-Za-z0-9_.-]{1,256}")
_TOKEN = re.compile(r"[A-Za-z0-9]{16,1024}")


@dataclass(frozen=True, slots=True)
class Signed:
    """What proves a message: the text, its signature by an algorithm, and the address of the certificate."""

    text: bytes
    signature: bytes
    algorithm: str
    certificate: str


@dataclass(frozen=True, slots=True)
class Subscription:
    """What a topic of a Region asks to be confirmed. The body's own address is never used."""

    region: str
    topic: str
    token: str


def _unchecked(signed: Signed) -> bool:
    """Return False: nothing here can check a signature."""
    return False


def verify(
    headers: Mapping[str, str],
    body: bytes,
    secrets: Sequence[str],
    *,
    path_secret: str | None = None,
    signed: Callable[[Signed], bool] = _unchecked,
) -> None:
    """Raise SignatureError unless SNS has signed the body for a topic of SNS_TOPICS."""
    message = envelope(body)
    topics = signing.live([each.strip() for each in secrets])
    topic = message.get("TopicArn")
    if not isinstance(topic, str) or not _TOPIC.fullmatch(topic) or not signing.one_of(topic, topics):
        raise SignatureError("the topic of the message is none that SNS_TOPICS names")
    if message["Type"] != NOTIFICATION and not _is_of_sns(message.get("SubscribeURL"), topic):
        raise SignatureError("the address of the confirmation is none of SNS")
    if not signed(proof(message)):
        raise SignatureError("the signature does not fit the message")


def envelope(body: bytes) -> dict[str, Any]:
    """Return what SNS puts around a message; raise SignatureError for anything else, raw delivery included."""
    try:
        found = coerce.json_object(body)
    except ParseError:
        found = {}
    if found.get("Type") not in tuple(KEYS):
        raise SignatureError(
            "the body is no message of SNS with a signature; raw delivery is not signed, switch it off"
        )
    return found


def proof(message: Mapping[str, Any]) -> Signed:
    """Return what proves a message; raise SignatureError where SNS would have written something else."""
    algorithm = ALGORITHMS.get(str(message.get("SignatureVersion")))
    if algorithm is None:
        raise SignatureError("the version of the signature is not known; allowed are 1 and 2")
    address = message.get("SigningCertURL")
    if not is_certificate(address):
        raise SignatureError("the certificate is not at an address of SNS")
    try:
        signature = base64.b64decode(str(message.get("Signature", "")), validate=True)
    except (binascii.Error, ValueError):
        raise SignatureError("the signature is not base64") from None
    return Signed(signed_text(message), signature, algorithm, str(address))


def signed_text(message: Mapping[str, Any]) -> bytes:
    """Return the text that SNS signs: each key and its value on a line of their own."""
    lines = []
    for key in KEYS[str(message["Type"])]:
        value = message.get(key)
        if value is None and key == "Subject":
            continue
        if not isinstance(value, str):
            raise SignatureError(f"the message has no {key}")
        lines.append(f"{key}\n{value}\n")
    return "".join(lines).encode("utf-8", "surrogatepass")


def is_certificate(address: Any) -> bool:
    """Return whether an address is that of a certificate at SNS: its host, no port, nobody's name, and a file of it."""
    if not isinstance(address, str) or not address.isascii() or not address.isprintable() or "\\" in address:
        return False
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    right = parts.scheme == "https" and _HOST.fullmatch(parts.netloc) and not parts.query and not parts.fragment
    return bool(right) and parts.path.endswith(".pem") and ".." not in parts.path


def subscription(body: bytes) -> Subscription | None:
    """Return what a request to subscribe asks for; None for a body that is no such request."""
    message = envelope(body)
    if message["Type"] != SUBSCRIPTION:
        return None
    topic, token = str(message.get("TopicArn")), str(message.get("Token"))
    match = _TOPIC.fullmatch(topic)
    if match is None or not _TOKEN.fullmatch(token):
        raise SignatureError("the request to subscribe has no topic or no token")
    return Subscription(match[1], topic, token)


def _is_of_sns(address: Any, topic: str) -> bool:
    """Return whether an address is that of SNS in the Region of a topic."""
    region, match = _TOPIC.fullmatch(topic), _CONFIRMS.match(address) if isinstance(address, str) else None
    return bool(region and match and region[1] == match[1])


def delivery_id(headers: Mapping[str, str], body: bytes) -> str | None:
    """Return the id that SNS gives a message, equal on every try."""
    try:
        return coerce.line(coerce.json_object(body).get("MessageId"), 200) or None
    except ParseError:
        return None


def parse(headers: Mapping[str, str], body: bytes, *, received_at: datetime) -> list[Event]:
    """Return the event of a body in any form that AWS sends; raise ParseError when it is no JSON object."""
    return _aws.parse(body, NAME, received_at)
