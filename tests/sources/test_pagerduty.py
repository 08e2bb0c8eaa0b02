"""What PagerDuty's webhooks come to: people's acts on incidents that exist, and information."""

import pytest

from chalicelib.core.errors import ParseError
from chalicelib.core.event import Status
from tests.sources.bodies import body, changed, event, events, files, raw, summary

EXPECTED = {
    "pagerduty/webhook_v3.incident.acknowledged.json": [
        (
            "incident.acknowledged",
            "info",
            "info",
            "Payment API error rate above threshold",
            "Payment API",
            "",
            "https://example.pagerduty.com/incidents/Q0INC0000001",
            "incident:Q0INC0000001",
        ),
    ],
    "pagerduty/webhook_v3.incident.acknowledged.no_incident_key.json": [
        (
            "incident.acknowledged",
            "info",
            "info",
            "Payment API error rate above threshold",
            "Payment API",
            "",
            "https://example.pagerduty.com/incidents/Q0INC0000001",
            "incident:Q0INC0000001",
        ),
    ],
    "pagerduty/webhook_v3.incident.annotated.json": [
        (
            "incident.annotated",
            "info",
            "info",
            "Payment API error rate above threshold",
            "",
            "",
            "https://example.pagerduty.com/incidents/Q0INC0000001",
            "incident:Q0INC0000001",
        ),
    ],
    "pagerduty/webhook_v3.incident.priority_updated.json": [
        (
            "incident.priority_updated",
            "info",
            "info",
            "Payment API error rate above threshold",
            "Payment API",
            "",
            "https://example.pagerduty.com/incidents/Q0INC0000001",
            "incident:Q0INC0000001",
        ),
    ],
    "pagerduty/webhook_v3.incident.reopened.json": [
        (
            "incident.reopened",
            "info",
            "info",
            "Payment API error rate above threshold",
            "Payment API",
            "",
            "https://example.pagerduty.com/incidents/Q0INC0000001",
            "incident:Q0INC0000001",
        ),
    ],
    "pagerduty/webhook_v3.incident.resolved.json": [
        (
            "incident.resolved",
            "resolved",
            "info",
            "Payment API error rate above threshold",
            "Payment API",
            "",
            "https://example.pagerduty.com/incidents/Q0INC0000001",
            "incident:Q0INC0000001",
        ),
    ],
    "pagerduty/webhook_v3.incident.triggered.json": [
        (
            "incident.triggered",
            "info",
            "info",
            "Payment API error rate above threshold",
            "Payment API",
            "",
            "https://example.pagerduty.com/incidents/Q0INC0000001",
            "incident:Q0INC0000001",
        ),
    ],
    "pagerduty/webhook_v3.incident.unacknowledged.json": [
        (
            "incident.unacknowledged",
            "info",
            "info",
            "Payment API error rate above threshold",
            "Payment API",
            "",
            "https://example.pagerduty.com/incidents/Q0INC0000001",
            "incident:Q0INC0000001",
        ),
    ],
    "pagerduty/webhook_v3.pagey.ping.json": [
        (
            "pagey.ping",
            "info",
            "info",
            "Hello from your friend Pagey!",
            "",
            "",
            "",
            "pagey.ping:01PLACEHOLDERPING000000001",
        ),
    ],
    "pagerduty_v3_captured/incident.acknowledged.json": [
        (
            "incident.acknowledged",
            "info",
            "info",
            "Test Incident",
            "Example Service",
            "",
            "https://example.pagerduty.com/incidents/PQ1K5C8",
            "incident:PQ1K5C8",
        ),
    ],
    "pagerduty_v3_captured/incident.reassigned.json": [
        (
            "incident.reassigned",
            "info",
            "info",
            "Test Incident",
            "Example Service",
            "",
            "https://example.pagerduty.com/incidents/PIQUG8X",
            "incident:PIQUG8X",
        ),
    ],
    "pagerduty_v3_captured/incident.triggered.json": [
        (
            "incident.triggered",
            "info",
            "info",
            "Test Incident 3",
            "Example Service",
            "",
            "https://example.pagerduty.com/incidents/PFQZPSY",
            "incident:PFQZPSY",
        ),
    ],
    "pagerduty_v3_captured/pagey.ping.json": [
        (
            "pagey.ping",
            "info",
            "info",
            "Hello from your friend Pagey!",
            "",
            "",
            "",
            "pagey.ping:01FKZOXA868SHYEE4DVNWB5P9W",
        ),
    ],
}
"""By file: kind, status, severity, title, service, environment, url, identity."""

ACKNOWLEDGED = body("pagerduty/webhook_v3.incident.acknowledged.json")
ANNOTATED = body("pagerduty/webhook_v3.incident.annotated.json")
RESOLVED = body("pagerduty/webhook_v3.incident.resolved.json")


def test_every_body_is_in_the_table():
    """A body that is added is judged."""
    assert files("pagerduty", "pagerduty_v3_captured") == list(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_bodies(name):
    """Each body comes to the events of the table."""
    assert [summary(each) for each in events("pagerduty", raw(name))] == EXPECTED[name]


@pytest.mark.parametrize("name", EXPECTED)
def test_nothing_opens_an_incident(name):
    """No delivery fires: it only changes what exists."""
    assert event("pagerduty", raw(name)).status is not Status.FIRING


ACTS = [
    ("incident.acknowledged", "ack"),
    ("incident.unacknowledged", "unack"),
    ("incident.resolved", "resolve"),
    ("incident.reassigned", "reassign"),
    ("incident.escalated", "reassign"),
    ("incident.delegated", "reassign"),
    ("incident.triggered", "link"),
    ("incident.reopened", "note"),
    ("incident.priority_updated", None),
    ("incident.responder.added", None),
    ("service.created", None),
    ("brand.new", None),
    ("pagey.ping", None),
]


@pytest.mark.parametrize(("kind", "act"), ACTS)
def test_acts(kind, act):
    """What a person did becomes an act on our incident, done at PagerDuty; every other type is information."""
    found = event("pagerduty", changed(ACKNOWLEDGED, event__event_type=kind))
    if act is None:
        assert (found.action, found.status) == (None, Status.INFO)
    else:
        assert (found.action.kind.value, found.action.incident, found.action.via) == (
            act,
            "al_7f3c9a52:e1",
            "pagerduty",
        )


def test_who_did_it():
    """The agent's name, else its id, else PagerDuty itself."""
    assert event("pagerduty", ACKNOWLEDGED).action.by == "Oncall One"
    assert event("pagerduty", changed(ACKNOWLEDGED, event__agent={"id": "PUSER"})).action.by == "PUSER"
    assert event("pagerduty", changed(ACKNOWLEDGED, event__agent=None)).action.by == "PagerDuty"


def test_without_a_key_no_incident_of_ours_is_meant():
    """Incidents made by hand have no incident_key; their acts must not reach everything."""
    found = event("pagerduty", body("pagerduty/webhook_v3.incident.acknowledged.no_incident_key.json"))
    assert found.action.incident == "pagerduty:Q0INC0000001"


def test_a_merged_incident_is_not_resolved():
    """What it is about goes on in the other incident."""
    merged = changed(RESOLVED, event__data__resolve_reason={"type": "merge_resolve_reason"})
    found = event("pagerduty", merged)
    assert (found.action.kind.value, found.status) == ("note", Status.INFO)


def test_a_note_is_a_note():
    """What is written at PagerDuty is read here."""
    found = event("pagerduty", ANNOTATED)
    assert found.action.kind.value == "note"
    assert found.action.note == ANNOTATED["event"]["data"]["content"]


def test_a_reopened_incident_says_so():
    """Given an incident that a person reopened at PagerDuty, then that is what the note says."""
    found = event("pagerduty", body("pagerduty/webhook_v3.incident.reopened.json"))
    assert (found.action.kind.value, found.action.note) == ("note", "reopened at PagerDuty")


def test_one_delivery_is_one_act():
    """The id of the event is that of the act, equal on each attempt."""
    first, again = (event("pagerduty", ACKNOWLEDGED, {"x-webhook-id": each}) for each in "ab")
    assert first.id == again.id == first.action.id == ACKNOWLEDGED["event"]["id"]


@pytest.mark.parametrize("given", [b"", b"[]", b"null", b"{"])
def test_what_is_no_object_says_so(given):
    """The body is parked with a reason."""
    with pytest.raises(ParseError):
        events("pagerduty", given)


REASSIGNED = body("pagerduty_v3_captured/incident.reassigned.json")


@pytest.mark.parametrize("kind", ["incident.reassigned", "incident.escalated", "incident.delegated"])
@pytest.mark.parametrize(
    ("assignees", "policy", "act", "note"),
    [
        ([{"summary": "Test User"}], {"summary": "Default"}, "reassign", "Test User"),
        ([], {"summary": "Default"}, "reassign", "the escalation policy Default"),
        (None, {"summary": "Default"}, "reassign", "the escalation policy Default"),
        ([{}], {}, "link", ""),
        ([], None, "link", ""),
    ],
)
def test_who_it_was_assigned_to(kind, assignees, policy, act, note):
    """Given a reassignment without assignees → the policy has it; without a policy no line names who did it."""
    given = changed(
        REASSIGNED, event__event_type=kind, event__data__assignees=assignees, event__data__escalation_policy=policy
    )
    found = event("pagerduty", given).action
    assert (found.kind.value, found.note) == (act, note)
    assert found.alias == "pagerduty:PIQUG8X"


@pytest.mark.parametrize(
    ("agent", "account"), [({"id": "PUSER", "summary": "Ana"}, "pagerduty:PUSER"), ({"summary": "Ana"}, ""), (None, "")]
)
def test_whose_account_it_was(agent, account):
    """Given an agent at PagerDuty → the act has the agent's account; without an id it has none."""
    assert event("pagerduty", changed(ACKNOWLEDGED, event__agent=agent)).action.account == account
