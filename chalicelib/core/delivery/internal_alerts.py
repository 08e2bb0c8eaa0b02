"""What the router says of its own deliveries: events with source `router`, of which the fallback is notified.

An incident that could not be delivered to a target is one alert, and so is a target that is broken; both end with the first
success of that target, the first also with the incident. All alerts of one target are one incident of the router.
Notifications about the router itself announce nothing, so that nothing loops.
"""

from datetime import datetime

from chalicelib.core.delivery.notification import Notification, Reason
from chalicelib.core.delivery.text import plain_text
from chalicelib.core.delivery.writing import duration_words, one_line
from chalicelib.core.event import ROUTER, Event, Severity, Status
from chalicelib.core.rule import shown

FAILED = "delivery.failed"
BROKEN = "target.broken"
REFUSED = "address.refused"
LOST = "mail.lost"
SILENT = "pager.silent"
KINDS = frozenset({FAILED, BROKEN, REFUSED, LOST, SILENT})
_NAMES = {
    FAILED: "Delivery failed",
    BROKEN: "Target broken",
    REFUSED: "Address refused",
    LOST: "Mail lost",
    SILENT: "Pager silent",
}


def about_router(notification: Notification) -> bool:
    """Return True for notifications about Tocsin itself: their failure announces nothing."""
    return bool(notification.alerts) and all(alert.source == ROUTER for alert in notification.alerts)


def announces(notification: Notification) -> bool:
    """Return whether somebody must be notified that this one could not be delivered."""
    return notification.reason is not Reason.SYNC and not about_router(notification)


def failure_of(incident: str) -> str:
    """Return the name of the trouble that an incident could not be delivered."""
    return f"{FAILED}:{incident}"


def undelivered(notification: Notification, reason: str, now: datetime) -> Event:
    """Return the alert that names what could not be delivered, where, and why."""
    where = notification.target.shown
    return _event(
        failure_of(notification.incident.id),
        where,
        f"undelivered:{notification.id}:{notification.hints.played_back}",
        now,
        title=f"Could not notify {where}: {one_line(notification.title)}",
        summary=f"{reason}\nWhat was to be sent:\n{notification.background.text or plain_text(notification)}",
        severity=notification.severity if notification.severity is not Severity.INFO else Severity.WARNING,
        reason=notification.reason.value,
    )


def target_broken(where: str, since: datetime, reason: str, now: datetime) -> Event:
    """Return the alert of a target that keeps failing, once."""
    where = shown(where)
    return _event(
        BROKEN,
        where,
        f"broken:{where}:{since.isoformat()}",
        now,
        title=f"{where} takes no messages",
        summary=(
            f"It has failed for {duration_words(now - since)} without one success. What is for it waits, and is tried "
            f"one at a time until one arrives. The last error: {reason}"
        ),
        severity=Severity.CRITICAL,
    )


def address_refused(where: str, why: str, identifier: str, now: datetime, *, lasting: bool) -> Event:
    """Return a mail that did not arrive; when it is lasting, nothing is sent there until a test mail is sent to it."""
    after = f" Nothing is sent there any more. Once it is mended: tocsin send-test {where}" if lasting else ""
    return _event(
        REFUSED if lasting else LOST,
        where,
        f"refused:{where}:{identifier}",
        now,
        title=f"{where} takes no mail" if lasting else f"A mail to {where} did not arrive",
        summary=f"{why}.{after}",
        severity=Severity.CRITICAL if lasting else Severity.WARNING,
    )


def silent_of(incident: str) -> str:
    """Return the name of the trouble that a pager calls nobody again for an incident."""
    return f"{SILENT}:{incident}"


def pager_silent(notification: Notification, waves: int, now: datetime) -> Event:
    """Return a pager that has called people as often as it may for one incident: what follows makes no sound there."""
    where = notification.target.shown
    return _event(
        silent_of(notification.incident.id),
        where,
        f"silent:{notification.incident.id}:{where}",
        now,
        title=f"{where} calls nobody again for: {one_line(notification.title)}",
        summary=(
            f"People were called {waves} times for this incident, which is the most. What gets worse or joins it only "
            "changes the last call, without a sound, until the incident ends."
        ),
        severity=Severity.WARNING,
    )


def over(trouble: str, where: str, now: datetime, title: str = "") -> Event:
    """Return the end of a trouble."""
    where = shown(where)
    return _event(
        trouble,
        where,
        f"over:{trouble}:{where}:{now.isoformat()}",
        now,
        title=title or f"{where} takes messages again",
        summary="",
        severity=Severity.WARNING,
        status=Status.RESOLVED,
    )


def _event(
    trouble: str,
    where: str,
    identifier: str,
    now: datetime,
    *,
    title: str,
    summary: str,
    severity: Severity,
    status: Status = Status.FIRING,
    **labels: str,
) -> Event:
    kind = trouble.partition(":")[0]
    return Event(
        id=identifier,
        source=ROUTER,
        kind=kind,
        status=status,
        severity=severity,
        title=title,
        summary=summary,
        occurred_at=now,
        identity=f"{trouble}:{where}",
        name=_NAMES[kind],
        labels={"target": where, **labels},
    )
