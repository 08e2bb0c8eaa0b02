"""Kettles that boil over. https://kettle.example/webhooks"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from chalicelib.core.errors import SignatureError
from chalicelib.core.event import Event, Severity, Status
from chalicelib.core.payload import coerce, signing

NAME = "kettle"
TITLE = "Kettle & Co"
SECRETS = ("KETTLE_SECRET",)


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], *, path_secret: str | None = None) -> None:
    """Raise SignatureError unless X-Kettle is the HMAC-SHA256 of the body under one of the secrets."""
    if not signing.signed(body, signing.live(secrets), [headers.get("x-kettle", "")], algorithm="sha256"):
        raise SignatureError("X-Kettle does not fit the body")


def delivery_id(headers: Mapping[str, str], body: bytes) -> str | None:
    """Return X-Kettle-Delivery, which is equal on every attempt."""
    return headers.get("x-kettle-delivery")


def parse(headers: Mapping[str, str], body: bytes, *, received_at: datetime) -> list[Event]:
    """Return the one event of a body. Raise ParseError when the body is no JSON object."""
    payload = coerce.json_object(body)
    boils = coerce.truth(payload.get("boils"))
    return [
        coerce.made_event(
            id=coerce.digest(payload),
            source=NAME,
            kind="boil",
            status=Status.RESOLVED if boils is False else Status.FIRING,
            severity=coerce.severity(payload.get("level"), default=Severity.WARNING),
            title="The kettle boils over",
            occurred_at=coerce.instant(payload.get("at")) or received_at,
            identity=f"kettle:{coerce.line(payload.get('kettle'), 100)}",
            service=coerce.line(payload.get("room"), 200),
            url=coerce.address(payload.get("url")),
        )
    ]
