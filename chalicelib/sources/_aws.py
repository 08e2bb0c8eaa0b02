"""Any form in which AWS sends a fact: what SNS or EventBridge put around it, an alarm alone, else JSON or text of anybody.

`own` is the source of what is none of these.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from chalicelib.core.event import ROUTER, Event, Severity, Status
from chalicelib.core.payload import coerce
from chalicelib.sources import _cloudwatch, _eventbridge
from chalicelib.sources._aws_posted import Posted, topic_name

NAME = "sns"
NOTIFICATION = "Notification"
CONFIRMATIONS = ("SubscriptionConfirmation", "UnsubscribeConfirmation")
MAX_EVENTS = 1_000
MAX_ENVELOPES = 3
"""Topics that feed topics; deeper is read as JSON."""
BUDGET = "AWS Budget Notification"
BARE = Posted()


def parse(body: bytes, own: str, received_at: datetime) -> list[Event]:
    """Return the events of a body in any form that AWS sends; `own` is the source of what is none of them."""
    payload = coerce.json_object(body)
    records = [each for each in coerce.items(payload.get("Records")) if isinstance(coerce.at(each, "Sns"), dict)]
    found = [coerce.table(each["Sns"]) for each in records] or [payload]
    return coerce.bounded_list((event for each in found for event in _read(each, own, received_at)), MAX_EVENTS)


def is_envelope(payload: Mapping[str, Any]) -> bool:
    """Return whether a payload is what SNS puts around a message. Who forwards one may leave out the topic."""
    kind = payload.get("Type")
    known = kind == NOTIFICATION or (kind in CONFIRMATIONS and "TopicArn" in payload)
    return known and isinstance(payload.get("Message"), str)


def _read(
    payload: Mapping[str, Any], own: str, received_at: datetime, posted: Posted = BARE, depth: int = 0
) -> list[Event]:
    if is_envelope(payload) and depth < MAX_ENVELOPES:
        return _enveloped(payload, own, received_at, depth)
    if _eventbridge.is_event(payload):
        return [_eventbridge.event_of(payload, received_at)]
    if _cloudwatch.is_alarm(payload):
        return [_cloudwatch.event_of(_cloudwatch.of_topic(payload, posted.topic), payload, received_at)]
    from chalicelib.sources import _aws_messages  # the door needs none of it

    return [_aws_messages.of_object(payload, own, posted, received_at)]


def _enveloped(envelope: Mapping[str, Any], own: str, received_at: datetime, depth: int) -> list[Event]:
    posted = Posted(
        topic=coerce.line(envelope.get("TopicArn"), 300),
        subject=coerce.line(envelope.get("Subject"), 200),
        id=coerce.line(envelope.get("MessageId"), 100),
        at=coerce.instant(envelope.get("Timestamp")),
    )
    if envelope.get("Type") in CONFIRMATIONS:
        return [_subscription(envelope, posted, received_at)]
    message = _unwrapped(envelope.get("Message"))
    if isinstance(message, dict):
        return _read(message, own, received_at, posted, depth + 1)
    if objects := [each for each in coerce.items(message) if isinstance(each, dict)]:
        listed = ((each, replace(posted, id=f"{posted.id}:{number}")) for number, each in enumerate(objects))
        return [event for each, said in listed for event in _read(each, own, received_at, said, depth + 1)]
    return [_written(coerce.text(envelope.get("Message"), coerce.MAX_SUMMARY_CHARACTERS), own, posted, received_at)]


def _unwrapped(message: Any) -> Any:
    """Return the object or the list in a message; None for a text."""
    try:
        found = json.loads(message) if isinstance(message, str) and message.lstrip()[:1] in ("{", "[") else None
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict | list) else None


def _written(text: str, own: str, posted: Posted, received_at: datetime) -> Event:
    if text.startswith(BUDGET):
        return _budget(text, posted, received_at)
    from chalicelib.sources import _aws_messages

    return _aws_messages.of_text(text, own, posted, received_at)


def _subscription(envelope: Mapping[str, Any], posted: Posted, received_at: datetime) -> Event:
    """Report that a topic was subscribed, or that somebody ended the subscription: then it reaches nobody here."""
    ended = envelope.get("Type") == "UnsubscribeConfirmation"
    name = topic_name(posted.topic)
    return coerce.made_event(
        id=f"{posted.id or coerce.digest(envelope)}:subscription",
        source=ROUTER if ended else NAME,
        kind="topic.unsubscribed" if ended else "topic.subscribed",
        status=Status.FIRING if ended else Status.INFO,
        severity=Severity.WARNING if ended else Severity.INFO,
        title=f"The topic {name} reaches Tocsin no more" if ended else f"The topic {name} asks to be subscribed",
        summary="Somebody ended the subscription of Tocsin's address. Subscribe it again, or take the topic out of "
        "SNS_TOPICS."
        if ended
        else "",
        occurred_at=posted.at or received_at,
        identity=f"topic:{posted.topic}",
        labels=coerce.labels([("topic", posted.topic)]),
    )


def _budget(text: str, posted: Posted, received_at: datetime) -> Event:
    """Read AWS Budgets' text: lines of a name and a value. It sends no end within the month; each threshold is news."""
    pairs = dict(re.findall(r"^([A-Za-z ]{3,40}):[ \t]*(.{1,200})$", text, re.MULTILINE))
    name = coerce.line(pairs.get("Budget Name"), 100) or "AWS budget"
    kind = coerce.line(pairs.get("Alert Type"), 40)
    amount = coerce.first_line(pairs.get(f"{kind} Amount"), pairs.get("ACTUAL Amount"), pairs.get("FORECASTED Amount"))
    limit = coerce.line(pairs.get("Alert Threshold"), 100)
    account = re.search(r"AWS Account (\d{12})", text)
    return coerce.made_event(
        id=posted.id or coerce.digest([text, posted.topic]),
        source=NAME,
        kind="budget",
        name=name,
        status=Status.FIRING,
        severity=Severity.WARNING,
        title=f"Budget {name}: {amount or 'over its threshold'}" + (f", the threshold is {limit}" if limit else ""),
        summary="\n".join(f"{key}: {value}" for key, value in pairs.items()),
        url="https://console.aws.amazon.com/billing/home#/budgets",
        occurred_at=posted.at or received_at,
        identity=f"budget:{posted.topic}:{name}:{kind}:{limit}",
        labels=coerce.labels(
            [
                ("budget", name),
                ("type", kind),
                ("amount", amount),
                ("threshold", limit),
                ("account", account[1] if account else None),
            ]
        ),
    )
