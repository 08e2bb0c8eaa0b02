"""Where a notification leads: pages that a person may safely be sent to, each once, the important first."""

from collections import Counter
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from chalicelib.core.delivery.notification import AlertSnapshot, Notification
from chalicelib.core.delivery.writing import cut, one_line
from chalicelib.core.payload.coerce import encoded_address

SERVICE_LINKS = 4
"""So many pages of services are shown beside the other links."""
MAX_ADDRESS_CHARACTERS = 3_000
"""Slack takes as many at a button: https://docs.slack.dev/reference/block-kit/block-elements/button-element."""


def web_address(address: str | None, limit: int = MAX_ADDRESS_CHARACTERS) -> str | None:
    """Return the address when a person may safely be sent there: http or https with a host, ASCII, no spaces, not too long."""
    if not address or len(address) > limit or not address.isascii() or not address.isprintable():
        return None
    if any(character in ' <>"|\\^`{}' for character in address):
        return None
    try:
        parts = urlsplit(address)
        known = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return None
    return address if known else None


def written_address(address: str | None) -> str | None:
    """Return a web address as a person wrote it, encoded where it must be; None where nobody may be sent there."""
    return web_address(encoded_address(address.strip())) if address else None


def runbook_address(notification: Notification) -> str | None:
    """Return the runbook page: ours, else the one a sender's annotation names."""
    own = written_address(notification.background.runbook.url) if notification.background.runbook else None
    named = (written_address(alert.annotations.get("runbook_url")) for alert in notification.alerts)
    return own or next((found for found in named if found), None)


def links(notification: Notification, limit: int = 5) -> tuple[tuple[str, str], ...]:
    """Return where to look, as label and address, each once: its own page, runbook, sender's page, dashboard, last
    deploy, other pages.

    The pages of its rule and of its services stand after the dashboard, SERVICE_LINKS of each at most beside the others.
    """
    found: dict[str, str] = {}
    labels: Counter[str] = Counter()
    for label, address in _all_links(notification):
        if address and address not in found:
            labels[label] += 1
            found[address] = label if labels[label] == 1 else f"{label} ({labels[label]})"
    limit += page_address(notification) is not None
    limit += sum(address in found for _, address in _rule_links(notification))
    limit += sum(address in found for _, address in _service_links(notification))
    return tuple((label, address) for address, label in list(found.items())[:limit])


def page_address(notification: Notification) -> str | None:
    """Return the address of the incident on the stage's own page; None where that is not known."""
    page = written_address(notification.background.page)
    return f"{page.rstrip('/')}/incident/{notification.incident.id}" if page and notification.incident.id else None


def _all_links(notification: Notification) -> Iterable[tuple[str, str | None]]:
    yield "Open incident", page_address(notification)
    yield "Runbook", runbook_address(notification)
    pages = [
        (f"Open in {sender(alert, notification.background.senders)}", web_address(alert.url))
        for alert in notification.alerts[:20]
    ]
    yield from pages[:1]
    for alert in notification.alerts[:1]:
        yield "Dashboard", written_address(alert.annotations.get("dashboard_url") or alert.annotations.get("dashboard"))
    yield from _rule_links(notification)
    yield from _service_links(notification)
    for deploy in notification.background.deploys[:1]:
        yield "Last deploy", web_address(deploy.url)
    yield from pages[1:]


def _rule_links(notification: Notification) -> list[tuple[str, str | None]]:
    """Return the pages that the rule of the first alert names."""
    named = notification.background.links.items()
    return [(cut(one_line(title), 60), written_address(address)) for title, address in named][:SERVICE_LINKS]


def _service_links(notification: Notification) -> list[tuple[str, str | None]]:
    """Return the pages that the rules file names of the services: `api dashboard`."""
    found = [
        (cut(f"{one_line(each.name)} {one_line(name)}", 60), written_address(address))
        for each in notification.background.services
        for name, address in each.links.items()
    ]
    return found[:SERVICE_LINKS]


def sender(alert: AlertSnapshot, senders: Mapping[str, str]) -> str:
    """Return the sender's name as it writes itself. `senders` are the names by source."""
    name = one_line(alert.source)
    return senders.get(name.lower()) or cut(name, 20) or "source"
