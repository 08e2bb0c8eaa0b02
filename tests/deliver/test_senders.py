"""How a sender writes itself: its file says so, and a notification that is sent knows it."""

from dataclasses import replace

import pytest

from chalicelib.core.delivery.links import links
from chalicelib.core.delivery.notification import Reason
from chalicelib.deliver.send import completed
from chalicelib.deliver.senders import named, title_of
from tests.targets.samples import NOTIFICATION, TOLD, FakeClients, with_background

PLAIN = with_background(NOTIFICATION, senders={})


@pytest.mark.parametrize(
    ("source", "title"),
    [
        ("pagerduty", "PagerDuty"),
        ("sentry", "Sentry"),
        ("grafana", "Grafana"),
        ("generic", ""),
        ("disks", ""),
        ("../core", ""),
        ("", ""),
    ],
)
def test_a_sender_is_called_as_its_file_says(source: str, title: str) -> None:
    """A file has its sender's name, and a declared or unknown source has none."""
    assert title_of(source) == title


def test_the_senders_of_all_alerts_are_named() -> None:
    """Alerts and evidence count, in whatever case their source is written; a source without a name adds nothing."""
    shown = replace(PLAIN, alerts=(TOLD, replace(TOLD, source="disks")), evidence=(replace(TOLD, source="Vercel"),))
    assert named(shown).background.senders == {"sentry": "Sentry", "vercel": "Vercel"}
    assert named(replace(PLAIN, alerts=(), evidence=())).background.senders == {}


def test_what_is_sent_has_the_names_of_its_senders() -> None:
    """The text that a target sends names the sender as it writes itself."""
    assert "Open in Sentry: https://sentry.io/" in completed(PLAIN, FakeClients()).background.text


def test_what_is_sent_leads_to_its_incident_on_the_page() -> None:
    """Given the address of the stage's page → the first link is the incident there; a test message has none."""
    clients = FakeClients(settings={"PAGE_URL": "https://tocsin.example.com/api/"})
    sent = completed(PLAIN, clients)
    assert links(sent)[0] == ("Open incident", f"https://tocsin.example.com/api/incident/{PLAIN.incident.id}")
    assert len(links(sent)) == len(links(completed(PLAIN, FakeClients()))) + 1
    assert "Open incident" not in dict(links(completed(replace(PLAIN, reason=Reason.TEST), clients)))
    assert "Open incident" not in dict(links(completed(PLAIN, FakeClients(settings={"PAGE_URL": "javascript:x"}))))
