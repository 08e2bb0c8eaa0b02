"""What a notification says of a service that explains others: its title, its order, and who is affected since when."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.core.alert import Alert, AlertState, SenderText
from chalicelib.core.alert_snapshot import SnapshotInput
from chalicelib.core.build import services_from
from chalicelib.core.context import Context
from chalicelib.core.delivery.notification import Reason, Why
from chalicelib.core.event import Severity
from chalicelib.core.incident import CORRELATED, Episode, Incident
from chalicelib.core.notified import LastNotification, NotifiedAlerts, NotifiedState
from chalicelib.core.rule import Route, Rules, Target
from chalicelib.core.snapshot import notification
from chalicelib.core.titles import title_of, title_of_news
from tests.rule_files import KINDS

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SLACK = Target("slack_channel", "#inc")
SERVICES = services_from(
    {
        "web": {"depends_on": ["api"]},
        "api": {"depends_on": ["database"]},
        "mail": {"depends_on": ["database", "cache"]},
        "database": {"owner": "team-data"},
        "cache": {},
    }
)
RULES = Rules(kinds=KINDS, services=SERVICES)


def alert(service, began, ended=None, name="Errors"):
    """A critical alert of a service that began, and perhaps ended, so many minutes ago."""
    return Alert(
        f"{service} {name}",
        name=name,
        labels={"service": service, "environment": "prod"},
        severity=Severity.CRITICAL,
        state=AlertState.FIRING if ended is None else AlertState.RESOLVED,
        starts_at=NOW - began * MINUTE,
        ends_at=None if ended is None else NOW - ended * MINUTE,
    )


def incident(*alerts):
    """A correlated incident that began with an alert of the API."""
    known = {each.fingerprint: each for each in alerts}
    group = {"service": "api", "environment": "prod"}
    return Incident(f"{CORRELATED}k", "i", group=group, alerts=known, episode=Episode(started_at=NOW - 20 * MINUTE))


def told(*alerts, visible=None, reason=Reason.UPDATED, why=None, joined=()):
    """What Slack is told of these alerts, or of those of some services."""
    found = incident(*alerts)
    seen = {each.fingerprint: 0 for each in found.firing if visible is None or each.labels["service"] in visible}
    known = NotifiedAlerts(joined=dict.fromkeys(joined, 0.0))
    state = NotifiedState(SLACK, open=True, last=LastNotification(1, "n1", NOW - MINUTE), alerts=known)
    return notification(found, state, reason, seen, SnapshotInput(RULES, Context(), Route("default"), NOW), (), why)


DATABASE, API, WEB = alert("database", 10), alert("api", 9), alert("web", 8)
ROWS = [
    ("its own service", [API], "Errors (prod api)"),
    ("another service", [DATABASE], "Errors (prod database)"),
    ("a cause and what it affects", [API, DATABASE], "Errors (prod database), affects api"),
    ("a chain", [WEB, API, DATABASE], "Errors (prod database), affects api, web"),
    ("two alerts of the cause", [API, DATABASE, alert("database", 3, name="Down")],
     "2 alerts: Errors, Down (prod database), affects api"),
    ("two services of which none explains the other", [API, alert("cache", 5)], "2 alerts: Errors (prod api, cache)"),
    ("after the cause", [API, alert("database", 10, 1)], "Errors (prod api)"),
]  # fmt: skip


@pytest.mark.parametrize(("alerts", "title"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_the_title_names_the_cause_while_it_fires(alerts, title):
    """Given alerts of several services → the title is that of the cause, with the services that it affects."""
    found = incident(*alerts)
    assert title_of(found, found.firing, services=SERVICES) == title
    assert told(*alerts).title == title


def test_the_cause_comes_first_and_the_others_are_its_impact():
    """Given an alert that is older than its cause → the cause is listed first, and the alert names what explains it."""
    shown = [(each.labels["service"], each.impact_of) for each in told(alert("api", 20), WEB, DATABASE).alerts]
    assert shown == [("database", ""), ("api", "database"), ("web", "api")]


def test_a_target_that_sees_only_what_is_affected_knows_the_cause():
    """Given a target of the affected service alone → it knows what affects it, since when, and who has that."""
    made = told(API, DATABASE, visible=["api"])
    assert made.title == "Errors (prod api)"
    assert made.background.notes == ("api is affected by database since 2 Mar 2026, 11:50 UTC; team-data has it.",)


def test_the_values_shown_are_those_of_the_first_alert():
    """Given alerts of several services → a message shows the service of the cause, or of what its target sees."""
    assert told(API, DATABASE).incident.group == {"service": "database", "environment": "prod"}
    assert told(alert("mail", 5), DATABASE, visible=["mail"]).incident.group["service"] == "mail"
    assert told(alert("mail", 9, 1), visible=[], reason=Reason.RESOLVED).incident.group["service"] == "mail"


def test_a_wave_is_titled_by_what_joined_without_a_sound():
    """Given an alert that a pager was shown silently → the wave that makes its sound is titled by it alone."""
    found = incident(DATABASE, API)
    known = NotifiedAlerts({DATABASE.fingerprint: 0, API.fingerprint: 0}, joined={API.fingerprint: 0.0})
    state = NotifiedState(SLACK, open=True, alerts=known)
    assert title_of_news(found, state, {DATABASE.fingerprint: 0, API.fingerprint: 0}) == "Errors (prod api)"


def test_a_cause_without_an_owner_names_nobody():
    """Given a cause that nobody owns → the note says only what it affects."""
    assert told(alert("mail", 5), alert("cache", 6)).background.notes == (
        "mail is affected by cache since 2 Mar 2026, 11:54 UTC.",
    )


def test_what_still_fires_after_its_cause_says_so():
    """Given an alert without a sound that fires after its cause → the update says that, of no other alert."""
    joined = alert("mail", 8)
    made = told(joined, API, alert("database", 10, 5), why=Why.UNEXPLAINED, joined=[joined.fingerprint])
    assert made.background.notes == ("Errors (mail) still fires, though database is resolved.",)


def test_what_a_sender_titled_is_named_by_that():
    """Given an alert of an event with a title of its sender → what wakes people names that, not the rule for all of them."""
    joined = replace(alert("mail", 8, name="Prometheus Alert"), text=SenderText(title="Queue is full"))
    made = told(joined, API, alert("database", 10, 5), why=Why.UNEXPLAINED, joined=[joined.fingerprint])
    assert made.background.notes == ("Queue is full (mail) still fires, though database is resolved.",)


def test_the_end_names_no_cause():
    """Given a target that is notified of the end of its alerts while others fire → nothing affects it."""
    made = told(alert("api", 9, 1), DATABASE, visible=[], reason=Reason.RESOLVED)
    assert (made.background.notes, [each.impact_of for each in made.alerts]) == ((), [""])
