"""The names of senders for people: a file of sources/ says how its sender writes itself."""

from dataclasses import replace

from chalicelib import plugins
from chalicelib.core.delivery.notification import Notification
from chalicelib.core.delivery.writing import one_line
from chalicelib.core.errors import UnknownSourceError

WELL_KNOWN = {"grafana": "Grafana"}
"""Senders without a file that many rules files declare under this name."""


def named(notification: Notification) -> Notification:
    """Return the notification with the names of its senders, by source. A source without a name keeps its own word."""
    sources = {one_line(alert.source).lower() for alert in (*notification.alerts, *notification.evidence)}
    found = {source: title for source in sources if (title := title_of(source))}
    return replace(notification, background=replace(notification.background, senders=found)) if found else notification


def title_of(source: str) -> str:
    """Return the name of a sender for people; empty where no file says it."""
    try:
        return plugins.load_source(source).TITLE
    except (UnknownSourceError, ImportError):
        return WELL_KNOWN.get(source, "")
