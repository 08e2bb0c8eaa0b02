"""What `tocsin check` and the page say of a rule: who is notified of its alerts, whatever labels they have."""

import pytest

from chalicelib.rules.file import load
from chalicelib.rules.words import notified_of

ROUTES = """
routes:
  - match: {severity: critical}
    notification: [{slack_channel: "#incidents"}]
    routes:
      - match: {team: data}
        notification: [{slack_channel: "#data"}]
  - match: {team: web}
    notification: [{slack_channel: "#web"}]
    continue: true
  - match: {service: "=~api|cart"}
    notification: [{slack_channel: "#shop"}]
default: {notification: [{slack_channel: "#alerts"}]}
"""
CASES = {
    "nothing is known": (
        "{name: A}",
        "with severity=critical and team=data #data; with severity=critical #incidents; with team=web #web; "
        "with service=~api|cart #shop; otherwise #alerts",
    ),
    "a label excludes routes": (
        "{name: A, severity: warning, labels: {team: data}}",
        "with service=~api|cart #shop; otherwise #alerts",
    ),
    "a label decides": ("{name: A, severity: critical, labels: {team: data}}", "#data"),
    "a route that goes on does not end the walk": (
        "{name: A, severity: info, labels: {team: web}, match: {service: api}}",
        "#web; also #shop",
    ),
    "a pattern may match": (
        "{name: A, severity: info, labels: {team: x}, match: {service: '=~a.*'}}",
        "with service=~api|cart #shop; otherwise #alerts",
    ),
}


@pytest.mark.parametrize(("rule", "words"), CASES.values(), ids=CASES)
def test_the_routes_that_an_alert_may_take(rule, words):
    """Given a rule that leaves it to the routes → every route that its alerts may take, with what decides."""
    rules = load(f"alerts: [{rule}]\n{ROUTES}")
    assert notified_of(rules.rules[0], rules) == f"by the routes, {words}"
