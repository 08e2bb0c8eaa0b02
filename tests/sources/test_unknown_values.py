"""Words of senders that no source knows: each event that has one says which, and the known ones say nothing."""

import pytest

from chalicelib.core.unknown_values import LABEL
from chalicelib.sources._cloudflare_types import KNOWN
from chalicelib.sources._vercel import _TYPES
from tests.sources.bodies import event


@pytest.mark.parametrize(
    ("source", "given", "value"),
    [
        ("cloudflare", {"alert_type": "quantum_alert", "text": "x"}, "alert_type quantum_alert"),
        ("cloudflare", {"text": "no type"}, None),
        *(("cloudflare", {"alert_type": each, "text": "x"}, None) for each in sorted(KNOWN)),
        ("pagerduty", {"event": {"id": "1", "event_type": "incident.teleported", "data": {"id": "Q"}}}, "event_type incident.teleported"),
        ("pagerduty", {"event": {"id": "1", "event_type": "incident.acknowledged", "data": {"id": "Q"}}}, None),
        ("pagerduty", {"event": {"id": "1", "event_type": "incident.responder.added", "data": {"id": "Q"}}}, None),
        ("pagerduty", {"event": {"id": "1", "event_type": "pagey.ping", "data": {"message": "Hello"}}}, None),
        ("vercel", {"id": "e", "type": "rocket.launched", "payload": {}}, "type rocket.launched"),
        ("vercel", {"id": "e", "type": "deployment.exploded", "payload": {"deployment": {"id": "d"}}}, "type deployment.exploded"),
        *(("vercel", {"id": "e", "type": each, "payload": {}}, None) for each in sorted(_TYPES)),
        *(
            ("vercel", {"id": "e", "type": each, "payload": {"deployment": {"id": "d"}}}, None)
            for each in ("deployment.created", "deployment-error", "deployment", "deployment.rollback", "test-webhook",
                         "alerts.triggered", "observability.usage-anomaly", "firewall.attack")
        ),
    ],
)  # fmt: skip
def test_what_is_not_known_is_counted(source, given, value):
    """Given a type → the label `unknown_value` where this version does not know it, and none where it does."""
    assert event(source, given).labels.get(LABEL) == value


@pytest.mark.parametrize(
    ("activity", "value"),
    [("set_regression", "activity.type set_regression"), ("assigned", None), ("note", None), ("set_ignored", None), ("set_resolved_in_commit", None),
     ("seer_pr_created", None), ("teleported", "activity.type teleported")],
)  # fmt: skip
def test_everyday_activities_of_sentry_are_known(activity, value):
    """Given an activity whose meaning follows from the issue → it is not reported, and one that nobody knows is."""
    data = {"issue": {"id": "1", "title": "E", "status": "unresolved"}, "activity": {"type": activity}}
    found = event("sentry", {"action": "triggered", "data": data}, {"sentry-hook-resource": "activity_alert"})
    assert found.labels.get(LABEL) == value
