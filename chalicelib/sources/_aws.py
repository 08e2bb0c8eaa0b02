"""Any form in which AWS sends a fact: what SNS or EventBridge put around it, an alarm alone, else JSON or text of anybody.

`own` is the source of what is none of these.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chalicelib.core.event import ROUTER, Event, Severity, Status
from chalicelib.core.payload import coerce
from chalicelib.sources import _cloudwatch, _eventbridge

NAME = "sns"
NOTIFICATION = "Notification"
CONFIRMATIONS = ("SubscriptionConfirmation", "UnsubscribeConfirmation")
MAX_RECORDS = 100
MAX_ENVELOPES = 3
"""Topics that feed topics; deeper is read as JSON."""
BUDGET = "AWS Budget Notification"
_FIRES = re.compile(
    r"alarm|alert|firing|triggered|down|critical|error|fail(?:ed|ure|ing)?|problem|warning|open|unhealthy"
)
_ENDS = re.compile(r"ok|resolved|recovered|recovery|up|closed|healthy|cleared|normal|success|succeeded")
_INFO = re.compile(r"info|information|notice|acknowledged|scheduled|started|pending")
_STATE = re.compile(r"\W{0,3}([A-Za-z]{2,12})\W{0,2}:\s*(?=\S)")
"""A state that a subject begins with: `OK: disk of db-1`, `[RESOLVED]: …`."""


@dataclass(frozen=True, slots=True)
class Posted:
    """What SNS says of a message beside its text: topic, subject, id and time; all empty of a bare message."""

    topic: str = ""
    subject: str = ""
    id: str = ""
    at: datetime | None = None


def parse(body: bytes, own: str, received_at: datetime) -> list[Event]:
    """Return the events of a body in any form that AWS sends; `own` is the source of what is none of them."""
    payload = coerce.json_object(body)
    records = [each for each in coerce.items(payload.get("Records")) if isinstance(coerce.at(each, "Sns"), dict)]
    if records:
        return coerce.bounded_list(
            (_read(coerce.table(each["Sns"]), own, received_at, Posted(), 0) for each in records), MAX_RECORDS
        )
    return [_read(payload, own, received_at, Posted(), 0)]


def is_envelope(payload: Mapping[str, Any]) -> bool:
    """Return whether a payload is what SNS puts around a message."""
    kind = payload.get("Type")
    return kind in (NOTIFICATION, *CONFIRMATIONS) and "TopicArn" in payload and isinstance(payload.get("Message"), str)


def _read(payload: Mapping[str, Any], own: str, received_at: datetime, posted: Posted, depth: int) -> Event:
    if is_envelope(payload) and depth < MAX_ENVELOPES:
        return _enveloped(payload, own, received_at, depth)
    if _eventbridge.is_event(payload):
        return _eventbridge.event_of(payload, received_at)
    if _cloudwatch.is_alarm(payload):
        return _cloudwatch.event_of(_cloudwatch.of_topic(payload, posted.topic), payload, received_at)
    return _plain(payload, own, received_at, posted)


def _enveloped(envelope: Mapping[str, Any], own: str, received_at: datetime, depth: int) -> Event:
    posted = Posted(
        topic=coerce.line(envelope.get("TopicArn"), 300),
        subject=coerce.line(envelope.get("Subject"), 200),
        id=coerce.line(envelope.get("MessageId"), 100),
        at=coerce.instant(envelope.get("Timestamp")),
    )
    if envelope.get("Type") in CONFIRMATIONS:
        return _subscription(envelope, posted, received_at)
    message = coerce.unwrapped(envelope.get("Message"))
    if isinstance(message, dict):
        return _read(message, own, received_at, posted, depth + 1)
    text = coerce.text(message, coerce.MAX_SUMMARY_CHARACTERS)
    return _budget(text, posted, received_at) if text.startswith(BUDGET) else _text(text, own, posted, received_at)


def _subscription(envelope: Mapping[str, Any], posted: Posted, received_at: datetime) -> Event:
    """Report that a topic was subscribed, or that somebody ended the subscription: then it reaches nobody here."""
    ended = envelope.get("Type") == "UnsubscribeConfirmation"
    name = _topic_name(posted.topic)
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


def _topic_name(topic: str) -> str:
    match = re.fullmatch(r"arn:[a-z-]{3,20}:sns:[a-z0-9-]{0,40}:[0-9]{0,12}:([\w.-]{1,256})", topic)
    return match[1] if match else topic


def _budget(text: str, posted: Posted, received_at: datetime) -> Event:
    """Read AWS Budgets' text: lines of a name and a value. It sends no end within the month."""
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
        identity=f"budget:{posted.topic}:{name}:{kind}",
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


def _text(text: str, own: str, posted: Posted, received_at: datetime) -> Event:
    """Read a message that is text. It fires, unless its subject or first line begins with another state."""
    first = posted.subject or coerce.head(text)
    said = _STATE.match(first)
    status = _status(said[1]) if said else None
    about = first[said.end() :] if said and status is not None else first
    title = first or f"A message of the topic {_topic_name(posted.topic)}".strip()
    return coerce.made_event(
        id=posted.id or coerce.digest([text, posted.topic, posted.subject]),
        source=own,
        kind="message",
        status=status or Status.FIRING,
        severity=Severity.INFO if status is Status.INFO else coerce.severity(said[1] if said else None),
        title=title,
        summary=text if text != title else "",
        occurred_at=posted.at or received_at,
        identity=f"message:{posted.topic}:{about.strip() or coerce.digest(text)}",
        labels=coerce.labels([("topic", posted.topic)]),
    )


def _status(word: Any) -> Status | None:
    """Return the status that a word means; None for a word that means none."""
    said = coerce.line(word, 40).lower()
    for pattern, status in ((_FIRES, Status.FIRING), (_ENDS, Status.RESOLVED), (_INFO, Status.INFO)):
        if pattern.fullmatch(said):
            return status
    return None


def _plain(payload: Mapping[str, Any], own: str, received_at: datetime, posted: Posted) -> Event:
    """Read JSON of somebody's own by the names that most use. Without a state it fires; an unknown state is information."""
    word = coerce.first_line(payload.get("status"), payload.get("state"), limit=60)
    status = (_status(word) or Status.INFO) if word else Status.FIRING
    severity = coerce.first_line(payload.get("severity"), payload.get("level"), payload.get("priority"), limit=60)
    title = coerce.first_line(
        *(payload.get(each) for each in ("title", "name", "subject", "summary")), posted.subject, limit=250
    ) or coerce.head(coerce.first_line(payload.get("message"), payload.get("text")))
    given = coerce.first_line(*(payload.get(each) for each in ("id", "alert_id", "incident_id", "key")), limit=200)
    labels = coerce.labels(coerce.table(payload.get("labels")).items())
    labels |= {"severity_raw": severity} if severity and severity.lower() not in ("critical", "warning", "info") else {}
    at = coerce.first_instant(*(payload.get(each) for each in ("timestamp", "time", "occurred_at", "date")), posted.at)
    default = Severity.INFO if status is Status.INFO else Severity.WARNING
    return coerce.made_event(
        id=posted.id or f"{given}:{status.value}:{coerce.digest(payload)}",
        source=own,
        kind=coerce.word(payload.get("type")) or "message",
        status=status,
        severity=coerce.severity(severity, default=default),
        title=title or f"A message of {own}",
        summary=coerce.text(
            next((payload[each] for each in ("description", "message", "text") if payload.get(each)), None), 3_000
        ),
        url=coerce.first_address(payload.get("url"), payload.get("link")),
        service=coerce.first_line(payload.get("service"), labels.get("service"), limit=200),
        environment=coerce.first_line(payload.get("environment"), payload.get("env"), limit=200),
        occurred_at=at or received_at,
        identity=f"message:{posted.topic}:{given or coerce.digest([title, labels])}",
        labels={"topic": posted.topic, **labels} if posted.topic else labels,
    )
