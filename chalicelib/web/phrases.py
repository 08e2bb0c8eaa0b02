"""What a page says of an incident, in the words of its messages. Pure; templates name these functions as filters."""

from collections.abc import Sequence

from chalicelib.core.delivery import links as linked
from chalicelib.core.delivery import text, writing
from chalicelib.core.delivery.notification import AlertSnapshot
from chalicelib.core.glance import Glance
from chalicelib.core.picture import Picture
from chalicelib.web.words import counted

MAX_TITLE_CHARACTERS = 200
_HIDDEN_FACTS = {
    "Severity",
    "Since",
    "Acknowledged",
    "Silenced",
    "Group",
    "Alerts",
    "Service",
    "Environment",
    "Ended",
    "Owner",
    "Value",
}
"""What the head of the page says already."""


def title(picture: Picture) -> str:
    """Return what broke, in one line."""
    return writing.cut(text.title(picture.says), MAX_TITLE_CHARACTERS)


def cause(picture: Picture) -> Sequence[str]:
    """Return the facts that one would ask for first: the error with the most events, or what a probe saw."""
    return text.cause(picture.says)


def summary(picture: Picture) -> str:
    """Return what the worst alert says beyond its title, where no cause is known."""
    if text.cause(picture.says) or picture.lead is None:
        return ""
    return writing.cut(writing.one_line(text.summary(picture.lead)), 300)


def measure(picture: Picture) -> tuple[str, str] | None:
    """Return the value of the worst alert and its threshold; None where it measures nothing, or no alert fires."""
    lead = picture.lead
    if lead is None or lead.status == "resolved" or not writing.one_line(lead.value):
        return None
    return writing.one_line(lead.value), writing.one_line(lead.threshold)


def small(row: Glance) -> str:
    """Return what else a row says: where, how many alerts, whose the service is."""
    owner = f"owner {row.owner}" if row.owner else ""
    return " · ".join(filter(None, (row.where, counted(row.alerts, "alert"), owner)))


def owner(picture: Picture) -> str:
    """Return whose the services are."""
    return dict(text.facts(picture.says)).get("Owner", "")


def facts(picture: Picture) -> Sequence[tuple[str, str]]:
    """Return what else is known, as label and value."""
    return [(name, value) for name, value in text.facts(picture.says) if name not in _HIDDEN_FACTS]


def why(picture: Picture) -> str:
    """Return by which rules and which route targets are notified of it."""
    found = text.why(picture.says)
    return f"{found[:1].upper()}{found[1:]}." if found else "No rule of today notifies anybody of it."


def top_errors(picture: Picture) -> Sequence[str]:
    """Return the errors that it counts, the most frequent first."""
    return text.top_error_lines(picture.says)


def deploys(picture: Picture) -> Sequence[str]:
    """Return the deploys before it began."""
    return [text.deploy_line(each, picture.says) for each in picture.says.background.deploys]


def links(picture: Picture) -> Sequence[tuple[str, str]]:
    """Return where to look, as words and address."""
    return linked.links(picture.says)


def alert_title(alert: AlertSnapshot) -> str:
    """Return an alert's title on one line."""
    return writing.cut(text.alert_title(alert), MAX_TITLE_CHARACTERS)


def alert_small(alert: AlertSnapshot) -> str:
    """Return what distinguishes an alert: its rule, and its labels that titles do not say."""
    hidden = {"alertname", "severity", "source", "kind"}
    labels = [f"{name}={writing.one_line(value)}" for name, value in sorted(alert.labels.items()) if name not in hidden]
    name = writing.one_line(alert.name) if alert.name != alert.title else ""
    return writing.cut(" · ".join(filter(None, (name, writing.counted_list(labels, 5)))), MAX_TITLE_CHARACTERS)


def reading(alert: AlertSnapshot) -> str:
    """Return the value with its threshold."""
    return text.reading(alert)
