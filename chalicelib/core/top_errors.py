"""The errors that a message about a count names: how many of each, new or known, and since which deploy."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from chalicelib.core.alert import Alert, Origin
from chalicelib.core.delivery.notification import Deploy, TopError, TopErrors
from chalicelib.core.faults import CountedFaults, FaultShare, is_new, shares

MAX_SHOWN = 3


def top_errors(alert: Alert, *, window: timedelta, deploys: Sequence[Deploy]) -> TopErrors | None:
    """Return the errors of an alert since it began, and of the window before: those are what began it.

    `deploys` are those that may have caused it, the likeliest first.
    """
    if alert.origin is not Origin.COUNT or alert.starts_at is None:
        return None
    since = alert.starts_at - window
    events, found = shares(alert.received.recent, alert.faults, since, MAX_SHOWN)
    if not found:
        return None
    return TopErrors(since, events, tuple(_top_error(each, alert.faults, since, deploys) for each in found))


def _top_error(found: FaultShare, counted: CountedFaults, since: datetime, deploys: Sequence[Deploy]) -> TopError:
    fault = found.fault
    new = is_new(fault, counted, since)
    remembered = None
    if new and not fault.is_dated and fault.first_at is not None and counted.complete_since is not None:
        remembered = fault.first_at - counted.complete_since
    return TopError(
        title=fault.title,
        count=found.count,
        url=fault.url,
        release=fault.release,
        known_since=fault.first_at,
        is_new=new,
        deploy=_deploy_of(fault.first_at, deploys) if new else "",
        remembered=remembered,
    )


def _deploy_of(first_at: datetime | None, deploys: Sequence[Deploy]) -> str:
    """Return the name of the likeliest deploy that came before the first event of a fault; empty where there is none."""
    found = next((each for each in deploys if first_at is not None and each.at <= first_at), None)
    return (found.commit[:12] or found.title or found.id) if found else ""
