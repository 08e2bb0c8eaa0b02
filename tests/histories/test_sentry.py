"""Sentry's history: which webhooks its issues and incidents imply."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from chalicelib import plugins
from chalicelib.core.errors import EndpointAbsentError, NotSetUpError, TargetRejectedError, TargetUnavailableError
from tests.histories.vendors import Vendors
from tests.sources.bodies import body

SINCE = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
UNTIL = SINCE + timedelta(minutes=5)
ISSUE = body("sentry/issue_created_docs.json")["data"]["issue"]
INCIDENT = {
    "id": "4", "identifier": "1", "organizationId": "5", "projects": ["bar"], "title": "Too many errors",
    "status": 20, "dateStarted": "2026-11-24T08:01:00Z", "dateDetected": "2026-11-24T08:02:00Z", "dateClosed": None,
    "alertRule": {"id": "7", "name": "Too many errors", "organizationId": "5", "timeWindow": 10, "projects": ["bar"]},
}  # fmt: skip


def issue(number, minute=1, **fields):
    """An issue of Sentry's API, first and last seen in a minute of the window."""
    at = (SINCE + timedelta(minutes=minute)).isoformat()
    return {
        **ISSUE,
        "id": str(number),
        "firstSeen": at,
        "lastSeen": at,
        "status": "unresolved",
        "substatus": "new",
        **fields,
    }


def answered(issues=(), incidents=(), groups=(), headers=None):
    """A Sentry with these issues, incidents and issues by id."""

    def answer(request):
        path, asked = request.url.path, request.url.params
        if path.endswith("/incidents/"):
            return httpx.Response(200, json=list(incidents), headers=headers)
        return httpx.Response(200, json=list(groups if "group" in asked else issues), headers=headers)

    return Vendors(answer)


def read(vendors, name="issues", active=("7",)):
    """What is read of the window from one endpoint."""
    (endpoint,) = (each for each in plugins.load("histories", "sentry").ENDPOINTS if each.name == name)
    return endpoint.read(vendors, since=SINCE, until=UNTIL, active=active)


def events(history):
    """The events of what was found."""
    sentry = plugins.load("sources", "sentry")
    return [
        event
        for each in history.found
        for event in sentry.parse(each.headers, json.dumps(each.body).encode(), received_at=each.at)
    ]


ISSUES = [
    ("a new one", issue(1), "issue.created"),
    ("an old one that goes on", issue(1, firstSeen="2026-01-01T00:00:00Z", substatus="ongoing"), None),
    ("one that came back", issue(1, firstSeen="2026-01-01T00:00:00Z", substatus="regressed"), "issue.unresolved"),
    ("one that escalates", issue(1, firstSeen="2026-01-01T00:00:00Z", substatus="escalating"), "issue.unresolved"),
    ("one that is resolved", issue(1, status="resolved"), "issue.resolved"),
    ("one that is archived", issue(1, status="ignored"), "issue.ignored"),
    ("one of nulls", issue(1, firstSeen=None, lastSeen=None, substatus=None), None),
]


@pytest.mark.parametrize(("given", "kind"), [row[1:] for row in ISSUES], ids=[row[0] for row in ISSUES])
def test_issues(given, kind):
    """New ones, those that came back and those that ended are webhooks; what only goes on is none."""
    assert [each.kind for each in events(read(answered([given])))] == ([kind] if kind else [])


def test_only_ends_where_issues_are_not_heard_of():
    """An integration that does not subscribe to issues has missed no new one; what ended still ends."""
    vendors = answered([issue(1), issue(2, status="resolved")])
    vendors.settings = {**vendors.settings, "SENTRY_REPAIR": "ends"}
    assert [each.kind for each in events(read(vendors))] == ["issue.resolved"]


def test_a_new_issue_is_the_one_its_webhook_tells_of():
    """Its event has the id and the fingerprint of the real webhook, so that a late one counts once."""
    (found,) = events(read(answered([issue(1)])))
    real = plugins.load("sources", "sentry").parse(
        {}, json.dumps({"action": "created", "data": {"issue": issue(1)}}).encode(), received_at=UNTIL
    )[0]
    assert (found.id, found.fingerprint, found.occurred_at) == (real.id, real.fingerprint, real.occurred_at)


INCIDENTS = [(20, "critical"), (10, "warning"), (1, "open"), (2, "resolved")]


@pytest.mark.parametrize(("status", "action"), INCIDENTS)
def test_incidents_of_metric_alerts(status, action):
    """An incident is the webhook of its state, with the identity of the rule."""
    closed = "2026-11-24T08:04:00Z" if status == 2 else None
    (found,) = events(read(answered(incidents=[{**INCIDENT, "status": status, "dateClosed": closed}]), "metric_alerts"))
    assert (found.kind, found.identity, found.service) == (f"metric_alert.{action}", "metric:5:7", "bar")
    assert found.occurred_at == SINCE + timedelta(minutes=4 if status == 2 else 2)


def test_what_burns_here_is_asked_for_by_id():
    """An end that was missed is found though nothing happened to the issue in this time."""
    vendors = answered(groups=[issue(7, status="resolved", lastSeen="2026-11-20T00:00:00Z"), issue(8)])
    (found,) = events(read(vendors, "open_issues", active=["7", "8", "no number"]))
    assert (found.kind, found.identity, found.occurred_at) == ("issue.resolved", "issue:7", UNTIL)
    (asked,) = [each.url.params.get_list("group") for each in vendors.requests if "group" in each.url.params]
    assert asked == ["7", "8"]


def test_nothing_that_burns_is_not_asked_for():
    """Without the number of an issue nobody is asked: without numbers the vendor would answer with every issue."""
    vendors = answered(groups=[issue(7, status="resolved")])
    for active in ((), ("no number",)):
        history = read(vendors, "open_issues", active)
        assert (list(history.found), history.reached) == ([], UNTIL)
    assert vendors.requests == []


@pytest.mark.parametrize(
    ("name", "path"), [("issues", "issues"), ("metric_alerts", "incidents"), ("monitor_issues", "issues")]
)
def test_it_asks_for_the_window_of_the_organisation(name, path):
    """Every request names organisation, times and token; nothing else is asked."""
    vendors = answered()
    read(vendors, name)
    (first,) = vendors.requests
    assert first.url.host == "sentry.io" and first.url.path == f"/api/0/organizations/acme/{path}/"
    assert (first.url.params["start"], first.url.params["end"]) == ("2026-11-24T08:00:00Z", "2026-11-24T08:05:00Z")
    assert first.headers["authorization"] == "Bearer sentry-token"


LINK = '<https://sentry.io/x?cursor=0:100:0>; rel="next"; results="true"; cursor="0:100:0"'


def test_pages_are_followed():
    """The next page is asked for while there is one."""

    def answer(request):
        more = "cursor" not in request.url.params
        headers = {"link": LINK if more else LINK.replace('"true"', '"false"')}
        return httpx.Response(200, json=[issue(1 if more else 2)], headers=headers)

    history = read(Vendors(answer))
    assert [each.identity for each in events(history)] == ["issue:1", "issue:2"]
    assert (history.reached, history.exhausted) == (UNTIL, False)


@pytest.mark.parametrize(("link", "reached"), [({"link": LINK}, SINCE), ({}, UNTIL)])
def test_the_limit_ends_the_pages(link, reached):
    """When no request is left, the rest of the pages is read the next time; where there is no rest, all was read."""
    vendors = answered([issue(1)], headers={"x-sentry-rate-limit-remaining": "0", **link})
    history = read(vendors)
    assert len(history.found) == 1 and history.reached == reached and history.exhausted
    assert len(vendors.requests) == 1


LIMITS = [
    ({"retry-after": "17"}, 17),
    ({"x-sentry-rate-limit-reset": str(int(UNTIL.timestamp()) + 40)}, 40),
    ({"retry-after": "999999"}, 3600),
    ({"retry-after": "999999999999"}, 3600),
    ({"retry-after": "9" * 40}, 3600),
    ({"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"}, 3600),
    ({"retry-after": format_datetime(UNTIL + timedelta(seconds=90), usegmt=True)}, 90),
    ({"retry-after": format_datetime(UNTIL - timedelta(seconds=90), usegmt=True)}, 1),
    ({"retry-after": "-5"}, 300),
    ({"retry-after": "nan"}, 300),
    ({"retry-after": "inf", "x-sentry-rate-limit-reset": str(int(UNTIL.timestamp()) + 40)}, 40),
    ({"x-sentry-rate-limit-reset": "9" * 18}, 1),
    ({"x-sentry-rate-limit-reset": "-5"}, 300),
    ({}, 300),
]


@pytest.mark.parametrize(("headers", "seconds"), LIMITS)
def test_limits_are_honoured(headers, seconds):
    """429 says how long to stay away, in either way."""
    with pytest.raises(TargetUnavailableError) as raised:
        read(Vendors(lambda request: httpx.Response(429, headers=headers)))
    assert raised.value.retry_after == timedelta(seconds=seconds)


ENDPOINTS = ("issues", "open_issues", "monitor_issues", "detectors", "metric_alerts")


@pytest.mark.parametrize("name", ENDPOINTS)
def test_refusals_and_outages(name):
    """A token without the right is refused for good, an endpoint may be absent, and an outage passes."""
    for status, error in (
        (401, TargetRejectedError),
        (403, TargetRejectedError),
        (404, EndpointAbsentError),
        (410, EndpointAbsentError),
    ):
        with pytest.raises(TargetRejectedError, match=f"answered {status}") as raised:
            read(Vendors(lambda request, status=status: httpx.Response(status, json=[])), name)
        assert type(raised.value) is error
    for broken in (lambda request: httpx.Response(502), lambda request: httpx.Response(200, text="<html>")):
        with pytest.raises(TargetUnavailableError):
            read(Vendors(broken), name)

    def unreachable(request):
        raise httpx.ConnectError("token sentry-token", request=request)

    with pytest.raises(TargetUnavailableError) as raised:
        read(Vendors(unreachable), name)
    assert "sentry-token" not in str(raised.value)


def test_what_not_every_server_has_is_optional():
    """An organisation without metric alerts, monitors or categories of issues has issues all the same."""
    endpoints = plugins.load("histories", "sentry").ENDPOINTS
    assert [each.name for each in endpoints if each.optional] == [
        "monitor_issues", "detectors", "metric_alerts", "errors_a_minute",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ENDPOINTS)
@pytest.mark.parametrize("active", [(), ("7",)])
def test_without_a_token_it_is_off(name, active):
    """Token and organisation are both needed; nothing is asked otherwise."""
    for vendors in (
        Vendors(lambda request: httpx.Response(500), {}),
        Vendors(lambda request: httpx.Response(500), settings={}),
    ):
        with pytest.raises(NotSetUpError):
            read(vendors, name, active)
        assert vendors.requests == []


# ---------------------------------------------------------------------------------------------------------------------
# Monitors


def api(name):
    """A recorded answer of Sentry's API."""
    given = body(f"sentry_api/{name}.json")
    headers = {key: value for key, value in given["headers"].items() if key.lower() != "content-type"}
    content = given["body"]
    more = {"text": content} if isinstance(content, str) else {"json": content}
    return httpx.Response(given["status"], headers=headers, **more)


def at_night(vendors, name, active=()):
    """What is read of an endpoint in the hour of the recorded answers."""
    (endpoint,) = (each for each in plugins.load("histories", "sentry").ENDPOINTS if each.name == name)
    since = datetime(2026, 11, 30, 3, 30, tzinfo=UTC)
    return endpoint.read(vendors, since=since, until=since + timedelta(hours=1), active=active)


def test_issues_of_metrics_and_monitors_are_asked_for_by_category():
    """Given issues of metrics, uptime and cron → new ones are webhooks; the categories are asked for by name."""
    vendors = Vendors(lambda request: api("issues.list_metric_outage.200"))
    found = {each.identity: each.kind for each in events(at_night(vendors, "monitor_issues"))}
    assert found["issue:5100000011"] == found["issue:5100000012"] == "issue.created"
    assert vendors.requests[0].url.params["query"] == "issue.category:[metric, outage]"


def test_monitors_say_what_became_of_their_newest_issue():
    """Given monitors → their open issues are new, what ended has ended; monitors of errors are left out."""
    vendors = Vendors(lambda request: api("detectors.list.200"))
    found = {each.identity: each.kind for each in events(at_night(vendors, "detectors"))}
    assert (found["issue:5100000011"], found["issue:5100000014"]) == ("issue.created", "issue.resolved")
    assert vendors.requests[0].url.path == "/api/0/organizations/acme/detectors/"


def test_a_monitor_whose_issue_is_old_says_nothing_unless_it_fires_here():
    """Given the end of an issue from last year → read only where the issue fires here."""
    group = issue(7, status="resolved", lastSeen="2026-01-01T00:00:00Z", firstSeen="2026-01-01T00:00:00Z")
    monitor = {"id": "1", "type": "metric_issue", "latestGroup": group}
    others = [{"type": "error", "latestGroup": issue(8)}, {"type": "metric_issue", "latestGroup": None}, {}]
    for active, kinds in (((), []), (("7",), ["issue.resolved"])):
        vendors = Vendors(lambda request: httpx.Response(200, json=[monitor, *others]))
        assert [each.kind for each in events(read(vendors, "detectors", active))] == kinds


def test_new_issues_of_metrics_are_looked_for_by_every_integration():
    """Given an integration that does not hear of issues → of new ones those of metrics are taken, outages are not."""
    vendors = answered([issue(1, issueCategory="metric"), issue(2, issueCategory="outage")])
    vendors.settings = {**vendors.settings, "SENTRY_REPAIR": "ends"}
    assert [each.identity for each in events(read(vendors, "monitor_issues"))] == ["issue:1"]


def test_a_server_without_categories_has_no_such_endpoint():
    """Given 400 for the categories → absent, as 404; a list of issues that answers 400 is refused."""
    for name, error in (("monitor_issues", EndpointAbsentError), ("issues", TargetRejectedError)):
        with pytest.raises(TargetRejectedError) as raised:
            read(Vendors(lambda request: httpx.Response(400)), name)
        assert type(raised.value) is error


@pytest.mark.parametrize(
    ("headers", "at", "replacement"),
    [
        (
            {"X-Sentry-Deprecation-Date": "2026-05-14T00:00:00+00:00", "X-Sentry-Replacement-Endpoint": "/api/0/x/"},
            datetime(2026, 5, 14, tzinfo=UTC),
            "/api/0/x/",
        ),
        ({"Sunset": "Sat, 28 Nov 2026 23:59:59 GMT"}, datetime(2026, 11, 28, 23, 59, 59, tzinfo=UTC), ""),
        (
            {"Deprecation": "@1795435200", "Link": '</new>; rel="successor-version"'},
            datetime.fromtimestamp(1795435200, UTC),
            "/new",
        ),
        ({"Deprecation": "true"}, None, ""),
    ],
)
def test_the_end_of_an_endpoint_is_announced_by_good_answers(headers, at, replacement):
    """Given the headers of Sentry or of the RFCs on a good answer → from when, and what replaces it."""
    history = read(answered(headers=headers), "metric_alerts")
    assert (history.retires.at, history.retires.replacement) == (at, replacement)
    assert read(answered(), "metric_alerts").retires is None


def test_recorded_answers_of_a_retired_endpoint():
    """Given the recorded answers of the incidents → announced on 200, 410 says so, 404 is absent."""
    assert at_night(Vendors(lambda request: api("incidents.deprecated.200")), "metric_alerts").retires is not None
    for name, gone in (("incidents.brownout.410", True), ("incidents.removed.404", False)):
        with pytest.raises(EndpointAbsentError) as raised:
            at_night(Vendors(lambda request, name=name: api(name)), "metric_alerts")
        assert raised.value.gone is gone and "token" not in str(raised.value)


# ---------------------------------------------------------------------------------------------------------------------
# Errors a minute


def counting(answer, projects="shop"):
    """A Sentry that counts, with the setting that names projects."""
    vendors = Vendors(answer)
    vendors.settings = {**vendors.settings, "SENTRY_ERRORS_A_MINUTE": projects}
    return vendors


def counted(vendors, minutes=5):
    """What is read of the minutes around the recorded buckets."""
    (endpoint,) = (each for each in plugins.load("histories", "sentry").ENDPOINTS if each.name == "errors_a_minute")
    since = datetime.fromtimestamp(1796011140 - 60, UTC)
    return endpoint.read(vendors, since=since, until=since + timedelta(minutes=minutes), active=())


def test_errors_of_whole_minutes_are_samples():
    """Given buckets of ten seconds → a sample for each whole minute, at its end, labelled with the project."""
    vendors = counting(lambda request: api("project_stats.received_10s.200"))
    history = counted(vendors)
    assert [(each.value, int(each.at.timestamp())) for each in history.samples] == [(12, 1796011200), (0, 1796011260)]
    assert {tuple(sorted(each.labels.items())) for each in history.samples} == {
        (("service", "shop"), ("source", "sentry"))
    }
    (asked,) = vendors.requests
    assert asked.url.path == "/api/0/projects/acme/shop/stats/"
    assert (asked.url.params["stat"], asked.url.params["resolution"]) == ("received", "10s")


def test_a_minute_that_is_not_whole_is_left_to_the_next_run():
    """Given five buckets of a minute, odd entries, and no list → no sample of it; an outage where there is no list."""
    given = [[1796011140 + 10 * number, 1] for number in range(5)]
    odd = [None, [], [1], ["x", "y"], [1796011190, None], {"a": 1}]
    assert list(counted(counting(lambda request: httpx.Response(200, json=[*given, *odd]))).samples) == []
    with pytest.raises(TargetUnavailableError):
        counted(counting(lambda request: httpx.Response(200, json={"detail": "x"})))


def test_errors_are_counted_only_where_projects_are_named():
    """Given no project → off; given a dozen → ten calls, each for a name that leads nowhere else."""
    with pytest.raises(NotSetUpError):
        counted(Vendors(lambda request: httpx.Response(500)))
    vendors = counting(lambda request: httpx.Response(200, json=[]), ",".join(["../x", *(f"p{n}" for n in range(12))]))
    assert list(counted(vendors).samples) == []
    assert len(vendors.requests) == 10 and b"..%2Fx" in vendors.requests[0].url.raw_path
