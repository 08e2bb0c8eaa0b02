"""Cloudflare's notification history: which webhooks it implies."""

import json
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from chalicelib import plugins
from chalicelib.core.errors import NotSetUpError, TargetRejectedError, TargetUnavailableError
from tests.histories.vendors import Vendors
from tests.sources.bodies import body

SINCE = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
UNTIL = SINCE + timedelta(minutes=5)
SENT = {**body("cloudflare/clickhouse_alert_fw_anomaly_end.json"), "ts": int(SINCE.timestamp()) + 60}


def entry(said, **fields):
    """An entry of the history."""
    return {
        "id": "f174e90afafe4643bbbc4a0ed4fc8415", "alert_body": said if isinstance(said, str) else json.dumps(said),
        "alert_type": "clickhouse_alert_fw_anomaly", "description": "", "mechanism": "hook", "mechanism_type": "webhook",
        "name": "Site", "policy_id": "p1", "sent": "2026-11-24T08:01:00.571336Z", **fields,
    }  # fmt: skip


def answered(entries):
    """A Cloudflare with these entries, fifty a page."""

    def answer(request):
        page = int(request.url.params["page"])
        return httpx.Response(200, json={"success": True, "errors": [], "result": entries[50 * (page - 1) : 50 * page]})

    return Vendors(answer)


def read(vendors):
    """What is read of the window."""
    (endpoint,) = plugins.load("histories", "cloudflare").ENDPOINTS
    return endpoint.read(vendors, since=SINCE, until=UNTIL, active=())


def event(found):
    """The event of what was found."""
    data = json.dumps(found.body).encode()
    return plugins.load("sources", "cloudflare").parse(found.headers, data, received_at=found.at)[0]


def test_a_whole_body_is_the_webhook_itself():
    """Its event has the id of the real one, so that a late one counts once."""
    (found,) = read(answered([entry(SENT)])).found
    real = plugins.load("sources", "cloudflare").parse({}, json.dumps(SENT).encode(), received_at=UNTIL)[0]
    assert (event(found).id, event(found).fingerprint, event(found).status) == (real.id, real.fingerprint, real.status)


def test_only_the_data():
    """Fields without an envelope get one."""
    (found,) = read(answered([entry({"zone_name": "example.com", "zone_tag": "z"})])).found
    assert (event(found).service, event(found).kind) == ("example.com", "clickhouse_alert_fw_anomaly")


def test_only_a_sentence():
    """Type, policy and time are put beside it."""
    (found,) = read(answered([entry("SSL certificate has expired", alert_type="universal_ssl_event_type")])).found
    made = event(found)
    assert (made.title, made.kind, made.labels["policy_id"]) == (
        "SSL certificate has expired", "universal_ssl_event_type", "p1"
    )  # fmt: skip
    assert made.occurred_at == SINCE + timedelta(minutes=1)


def test_only_webhooks_count():
    """What went by mail or to PagerDuty was never to come here; an entry without a time is no entry."""
    others = [entry(SENT, mechanism_type=each) for each in ("email", "pagerduty")]
    assert (
        read(answered([*others, entry(SENT, sent=None), entry(SENT, mechanism_type=None)])).found[0].body["data"]
        == SENT["data"]
    )
    assert len(read(answered(others)).found) == 0


def test_all_pages_are_read_oldest_first():
    """Pages go on until one is not full."""
    entries = [entry(SENT, sent=f"2026-11-24T08:{59 - number // 3:02}:00Z") for number in range(120)]
    vendors = answered(entries)
    history = read(vendors)
    assert len(history.found) == 120 and len(vendors.requests) == 3
    assert [each.at for each in history.found] == sorted(each.at for each in history.found)
    first = vendors.requests[0]
    assert first.url.path == "/client/v4/accounts/a1/alerting/v3/history"
    assert (first.url.params["since"], first.url.params["before"]) == ("2026-11-24T08:00:00Z", "2026-11-24T08:05:00Z")
    assert first.headers["authorization"] == "Bearer cloudflare-token"


def test_refusals_outages_and_no_token():
    """403 is for good, 5xx and what is no list pass, and without token or account nothing is asked."""
    with pytest.raises(TargetRejectedError):
        read(Vendors(lambda request: httpx.Response(403, json={})))
    for broken in (httpx.Response(503), httpx.Response(200, json={"result": None}), httpx.Response(200, text="x")):
        with pytest.raises(TargetUnavailableError):
            read(Vendors(lambda request, broken=broken: broken))
    off = Vendors(lambda request: httpx.Response(500), {"CLOUDFLARE_API_TOKEN": "t"}, {})
    with pytest.raises(NotSetUpError):
        read(off)
    assert off.requests == []
