"""Cloudflare's analytics."""

import pytest

from local.inbox import Inbox
from local.inbox.vendors.cloudflare import parse
from tests.local.inbox.support import Answered, post

QUERY = """
query Window($zones: [String!], $from: Time!, $to: Time!) { viewer { zones(filter: {zoneTag_in: $zones}) { zoneTag
  total: httpRequestsAdaptiveGroups(limit: 1, filter: {datetime_geq: $from, datetime_lt: $to}) { count quantiles { edgeTimeToFirstByteMsP95 } }
  errors5xx: httpRequestsAdaptiveGroups(limit: 1, filter: {edgeResponseStatus_geq: 500}) { count }
  byStatus: httpRequestsAdaptiveGroups(limit: 9) { count dimensions { edgeResponseStatus } }
  visitors: httpRequests1mGroups(limit: 1) { uniq { uniques } } } } }
"""


def graphql(inbox: Inbox, tags: list[str]) -> Answered:
    """The answer to a query over two minutes."""
    variables = {"zones": tags, "from": "2026-11-24T09:00:00Z", "to": "2026-11-24T09:02:00Z"}
    return post(
        inbox, "/cloudflare/client/v4/graphql", {"query": QUERY, "variables": variables}, Authorization="Bearer t"
    )


def test_cloudflare_answers_what_was_selected(inbox: Inbox) -> None:
    """Healthy at first; then with the error rate and latency it was set to, for one zone apart from the others."""
    healthy = graphql(inbox, ["a"])[2]["data"]["viewer"]["zones"][0]
    assert healthy["zoneTag"] == "a" and healthy["total"][0]["count"] == 2_400
    assert set(healthy["total"][0]) == {"count", "quantiles"}
    post(inbox, "/_control/cloudflare", {"error_rate": 0.03, "p95_ms": 800, "zones": {"b": {"requests_per_min": 0}}})
    a, b = graphql(inbox, ["a", "b"])[2]["data"]["viewer"]["zones"]
    assert a["errors5xx"][0]["count"] / a["total"][0]["count"] == pytest.approx(0.03)
    assert a["total"][0]["quantiles"] == {"edgeTimeToFirstByteMsP95": 800}
    assert {each["dimensions"]["edgeResponseStatus"]: each["count"] for each in a["byStatus"]} == {200: 2_328, 502: 72}
    assert (b["total"], b["errors5xx"]) == ([], [])


def test_cloudflare_refuses_on_demand(inbox: Inbox) -> None:
    """A fixed answer, zones it may not see, no token, a query that cannot be read."""
    post(inbox, "/_control/cloudflare", {"hidden": ["a"]})
    assert "not authorized" in graphql(inbox, ["a"])[2]["errors"][0]["message"]
    post(inbox, "/_control/cloudflare", {"status": 429, "body": {"data": None}, "retry_after": 300})
    status, headers, _ = graphql(inbox, ["a"])
    assert (status, headers["retry-after"]) == (429, "300")
    assert post(inbox, "/cloudflare/client/v4/graphql", {})[0] == 403
    with pytest.raises(ValueError, match="not closed"):
        parse("query { viewer { zones")
