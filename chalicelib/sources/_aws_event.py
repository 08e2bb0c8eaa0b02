"""What every reader of an event of EventBridge shares: its id, its kind, its labels, and addresses of the console.

Delivery is at least once; `id` is equal on every delivery.
https://docs.aws.amazon.com/eventbridge/latest/ref/welcome.html
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from chalicelib.core.event import Event
from chalicelib.core.payload import coerce

NAME = "eventbridge"


def lowered(value: Any) -> dict[str, Any]:
    """Return a table whose keys begin with a small letter: of one event both spellings have been seen."""
    return {key[:1].lower() + key[1:]: each for key, each in coerce.table(value).items()}


def event_id(envelope: Mapping[str, Any]) -> str:
    """Return what is equal on every delivery of an event."""
    return coerce.line(envelope.get("id"), 100) or coerce.digest(envelope)


def event_kind(envelope: Mapping[str, Any]) -> str:
    """Return `health.event` for the detail type `AWS Health Event`, `ecs.service_action` for `ECS Service Action`."""
    service = coerce.word(envelope.get("source")).removeprefix("aws.") or "aws"
    words = coerce.word(envelope.get("detail-type")).removeprefix("aws_").removeprefix(f"{service}_")
    return f"{service}.{words or 'event'}"


def made(envelope: Mapping[str, Any], received_at: datetime, **fields: Any) -> Event:
    """Return an event of EventBridge, with the labels that all of them have."""
    labels = [
        ("account", envelope.get("account")),
        ("region", envelope.get("region")),
        ("detail_type", envelope.get("detail-type")),
        ("resource", next(iter(coerce.items(envelope.get("resources"))), None)),
        *fields.pop("labels", ()),
    ]
    fields.setdefault("id", event_id(envelope))
    fields.setdefault("occurred_at", coerce.instant(envelope.get("time")) or received_at)
    return coerce.made_event(source=NAME, kind=event_kind(envelope), labels=coerce.labels(labels), **fields)


def console(region: str, page: str) -> str:
    """Return the address of a page of the console."""
    return f"https://{region}.console.aws.amazon.com/{page}"


def region_of(envelope: Mapping[str, Any]) -> str:
    """Return the Region of an event."""
    return coerce.word(envelope.get("region")) or "us-east-1"
