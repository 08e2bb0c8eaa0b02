"""Events of AWS Health: an issue that is open fires, and so does a risk or an abuse; AWS closes them.

https://docs.aws.amazon.com/health/latest/ug/cloudwatch-events-health.html
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from chalicelib.core.event import Event, Severity, Status
from chalicelib.core.payload import coerce
from chalicelib.sources._aws_event import event_id, made

ABUSE = "AWS Health Abuse Event"

GRAVE_CODES = ("AWS_RISK_", "AWS_ABUSE_")
"""How the codes of events of AWS Health begin that are faults, whatever their category."""


def health_event(envelope: Mapping[str, Any], detail: Mapping[str, Any], received_at: datetime) -> Event:
    """Read an event of AWS Health: an issue, a risk or an abuse that is open fires, and ends when AWS closes it."""
    state = coerce.word(detail.get("statusCode"))
    status = _status(envelope, detail, state)
    arn = coerce.line(detail.get("eventArn"), 250) or event_id(envelope)
    code, service = coerce.line(detail.get("eventTypeCode"), 200), coerce.line(detail.get("service"), 100)
    said = coerce.line(detail.get("communicationId"), 100) or state or coerce.digest(detail)
    return made(
        envelope,
        received_at,
        id=f"{coerce.digest(arn)}:{said}",
        status=status,
        severity=Severity.INFO if status is Status.INFO else Severity.WARNING,
        title=f"AWS Health: {service} {code}".strip() if service or code else "AWS Health event",
        summary="\n".join(_lines(detail)),
        url="https://health.aws.amazon.com/health/home",
        service=service,
        occurred_at=_time(detail, status) or coerce.instant(envelope.get("time")) or received_at,
        identity=f"health:{arn}",
        name=code,
        labels=[
            ("code", code),
            ("category", detail.get("eventTypeCategory")),
            ("state", detail.get("statusCode")),
            ("event_region", detail.get("eventRegion")),
            ("scope", detail.get("eventScopeCode")),
            ("affected", ", ".join(_entities(detail))),
        ],
    )


def _status(envelope: Mapping[str, Any], detail: Mapping[str, Any], state: str) -> Status:
    """Return what an event means. Exposed credentials and abuse come as notifications to the account: they fire too."""
    grave = (
        coerce.line(detail.get("eventTypeCode"), 200).startswith(GRAVE_CODES) or envelope.get("detail-type") == ABUSE
    )
    if not grave and coerce.word(detail.get("eventTypeCategory")) != "issue":
        return Status.INFO
    if state == "closed":
        return Status.RESOLVED
    return Status.INFO if state == "upcoming" else Status.FIRING


def _time(detail: Mapping[str, Any], status: Status) -> datetime | None:
    """Return when it happened: an issue's last news is what orders its events."""
    ended = detail.get("endTime") if status is Status.RESOLVED else None
    return next(
        filter(None, (_mail_time(each) for each in (ended, detail.get("lastUpdatedTime"), detail.get("startTime")))),
        None,
    )


def _mail_time(value: Any) -> datetime | None:
    """Return a time as mails write it; AWS Health was seen to leave out the comma, and to put blanks into the clock."""
    said = re.sub(r":\s+", ":", coerce.line(value, 60))
    match = re.search(r"[0-9]{1,2} [A-Za-z]{3} [0-9]{4} [0-9]{1,2}:[0-9]{2}:[0-9]{2}", said)
    if not match:
        return coerce.instant(value)
    try:
        return coerce.instant(parsedate_to_datetime(f"{match[0]} +0000").isoformat())
    except (ValueError, OverflowError):
        return None


def _lines(detail: Mapping[str, Any]) -> Iterator[str]:
    texts = [each for each in coerce.items(detail.get("eventDescription")) if isinstance(each, dict)]
    english = sorted(texts, key=lambda each: not coerce.line(each.get("language")).startswith("en"))
    for each in english[:1]:
        yield coerce.text(each.get("latestDescription"), 2_500)
    if found := _entities(detail):
        yield f"Affected: {', '.join(found)}"


def _entities(detail: Mapping[str, Any]) -> list[str]:
    entries = (each for each in coerce.items(detail.get("affectedEntities"))[:10] if isinstance(each, dict))
    return [found for each in entries if (found := coerce.line(each.get("entityValue"), 200))]
