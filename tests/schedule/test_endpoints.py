"""What one endpoint of a vendor answers costs nothing that the others gave: each has a cursor of its own."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from chalicelib.core.errors import EndpointAbsentError, TargetRejectedError
from chalicelib.core.instants import rfc3339
from chalicelib.core.metrics.sample import Sample
from chalicelib.histories import Endpoint, Found, History
from chalicelib.messages.webhook import Webhook, compressed, written
from chalicelib.schedule.missed import ON_ITS_WAY
from chalicelib.schedule.reconcile import repair
from tests.histories.vendors import Vendors
from tests.scenario import Router, rules_of
from tests.sources.bodies import body

RULES = """
alerts: []
default: {notification: [{slack_channel: "#errors"}]}
fallback: {notification: [{email: ops@example.com}]}
"""
ISSUE = body("sentry/issue_created_docs.json")["data"]["issue"]
ENDPOINTS = {
    "issues": "sentry:issues",
    "open_issues": "sentry:open_issues",
    "monitor_issues": "sentry:monitor_issues",
    "detectors": "sentry:detectors",
    "metric_alerts": "sentry:metric_alerts",
    "notifications": "cloudflare:notifications",
}
OPTIONAL = {"metric_alerts", "monitor_issues", "detectors"}
Answer = Callable[[httpx.Request], httpx.Response]


def timed_out(request):
    """No answer in time."""
    raise httpx.ReadTimeout("token sentry-token", request=request)


def status(code, **given):
    """An answer with that status."""
    return lambda request: httpx.Response(code, **given)


ANSWERS: dict[str, Answer | None] = {
    "200": None,
    "403": status(403, json={"detail": "no"}),
    "404": status(404, json={"detail": "no"}),
    "410": status(410),
    "429": status(429, headers={"retry-after": "60"}),
    "500": status(500, text="<html>"),
    "time-out": timed_out,
    "garbage": status(200, text="<html>"),
    "another object": status(200, json={"detail": [1]}),
}
PASSING = {"429", "500", "time-out", "garbage", "another object"}
"""What is reported only once it has lasted for an hour."""


def reported(name, answer):
    """The kind of the trouble that an answer comes to at once; none for what may pass."""
    if answer == "200" or answer in PASSING:
        return None
    return "history.limited" if answer in ("404", "410") and name in OPTIONAL else "history.failed"


class Story:
    """A router whose webhooks get lost, and the APIs of Sentry and Cloudflare, of which one endpoint may fail."""

    def __init__(self):
        self.router = Router(rules_of(RULES))
        self.broken = {}
        self.happens_at = datetime.max.replace(tzinfo=UTC)
        self.asked = {}
        self.vendors = Vendors(self._answer)
        self._fires(7)
        self.repair()

    def _fires(self, number):
        given = {"action": "created", "data": {"issue": {**ISSUE, "id": str(number)}}}
        data = json.dumps(given).encode()
        headers = {"sentry-hook-resource": "issue"}
        webhook = Webhook(id="w", source="sentry", body=data, received_at=self.router.now, headers=headers)
        self.router.webhooks.put([written(webhook, compressed(data))])

    def something_happens(self):
        """Every endpoint has something to say, of which no webhook arrives."""
        self.router.run(minutes=1)
        self.happens_at = self.router.now

    def _answer(self, request):
        name = self._endpoint(request)
        asked = request.url.params
        self.asked[name] = asked.get("start") or asked.get("since")
        if name in self.broken:
            return self.broken[name](request)
        until = asked.get("end") or asked.get("before") or rfc3339(self.router.now)
        within = (self.asked[name] or "") < rfc3339(self.happens_at) <= until
        return httpx.Response(200, json=self._found(name) if within else self._nothing(name))

    def _endpoint(self, request):
        if "cloudflare" in request.url.host:
            return "notifications"
        if request.url.path.endswith("/incidents/"):
            return "metric_alerts"
        if request.url.path.endswith("/detectors/"):
            return "detectors"
        if "issue.category" in request.url.params.get("query", ""):
            return "monitor_issues"
        return "open_issues" if "group" in request.url.params else "issues"

    def _nothing(self, name):
        return {"result": []} if name == "notifications" else []

    def _found(self, name):
        at = self.happens_at.isoformat()
        seen = {"firstSeen": at, "lastSeen": at, "substatus": "new"}
        incident = {"id": "4", "organizationId": "5", "projects": ["bar"], "status": 20, "dateStarted": at}
        return {
            "issues": [{**ISSUE, "id": "1", "status": "unresolved", **seen}],
            "open_issues": [{**ISSUE, "id": "7", "status": "resolved"}],
            "monitor_issues": [{**ISSUE, "id": "2", "status": "unresolved", "issueCategory": "outage", **seen}],
            "detectors": [{"type": "uptime_domain_failure", "latestGroup": {**ISSUE, "id": "3", **seen}}],
            "metric_alerts": [{**incident, "dateDetected": at, "alertRule": {"id": "7", "organizationId": "5"}}],
            "notifications": {
                "result": [{"alert_body": "Tunnel is down", "alert_type": "tunnel_health_event", "sent": at}]
            },
        }[name]

    def repair(self, *, minutes=5):
        """Time passes, and the schedule comes round."""
        self.router.run(minutes=minutes)
        self.until = self.router.now - ON_ITS_WAY
        report = repair(rules=self.router.rules, clients=self.vendors, now=self.router.now, **self.router.ports)
        self.router.run(minutes=1)
        return report

    def cursors(self):
        """Up to when each endpoint was read."""
        marks = self.router.store.context().marks
        return {name: datetime.fromisoformat(marks[f"repair:{subject}"]) for name, subject in ENDPOINTS.items()}

    def taken(self):
        """The endpoints of which what they found was taken in."""
        alerts = [alert for incident in self.router.store.incidents() for alert in incident.firing]
        issues = {alert.labels.get("issue") for alert in alerts}
        found = {"issues": "1" in issues, "open_issues": "7" not in issues}
        found |= {"monitor_issues": "2" in issues, "detectors": "3" in issues}
        found["metric_alerts"] = any(alert.sender.kind.startswith("metric_alert") for alert in alerts)
        found["notifications"] = any(alert.sender.source == "cloudflare" for alert in alerts)
        return {name for name, taken in found.items() if taken}

    def troubles(self):
        """The titles of what the fallback was notified of, with the reasons, in order."""
        told = [each for each in self.router.decided.values() if each.target.kind == "email"]
        return [
            (each.reason.value, alert.title) for each in told for alert in each.alerts if not _is_beside(alert.title)
        ]


def _is_beside(title):
    """Whether an alert is about webhooks that came late, or about an endpoint that goes (tests/schedule/test_retirement.py)."""
    return "late" in title or "takes away" in title


@pytest.fixture
def story():
    """A story that gives back its address."""
    found = Story()
    yield found
    found.router.close()


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("name", ENDPOINTS)
def test_one_endpoint_costs_nothing_of_the_others(story, name, answer):
    """Given one endpoint that fails, the others are taken in and their cursors move; it is retried from its own cursor."""
    before = story.cursors()
    assert story.taken() == set()
    story.something_happens()
    story.broken = {name: ANSWERS[answer]} if ANSWERS[answer] else {}
    report = story.repair()
    # The lists of issues share one rate limit: while one must wait, those behind it wait as well.
    behind = {"issues": {"open_issues", "monitor_issues"}, "open_issues": {"monitor_issues"}}
    waits = behind.get(name, set()) if answer == "429" else set()
    failed = (set(story.broken) | waits) & ENDPOINTS.keys()
    assert story.taken() == ENDPOINTS.keys() - failed
    assert story.cursors() == {each: before[each] if each in failed else story.until for each in ENDPOINTS}
    kind = reported(name, answer)
    known = {key for key in report.troubles if key[0].startswith("history.")}
    assert known == ({(kind, ENDPOINTS[name])} if kind else set())

    story.broken = {}
    report = story.repair()
    if name in failed and name not in ("open_issues", "detectors"):
        assert story.asked[name] == rfc3339(before[name])
    assert story.taken() == set(ENDPOINTS)
    assert set(story.cursors().values()) == {story.until}
    assert not [key for key in report.troubles if key[0].startswith("history.")]


@pytest.mark.parametrize("answer", [each for each in ANSWERS if each != "200"])
@pytest.mark.parametrize("name", ENDPOINTS)
def test_a_failure_is_reported_once_until_it_works_again(story, name, answer):
    """Given an endpoint that fails for two hours, one alert opens, at once or after an hour, and it ends with success."""
    story.broken = {name: ANSWERS[answer]}
    at_once = reported(name, answer)
    story.repair()
    assert bool(story.troubles()) is (at_once == "history.failed")
    for _ in range(20):
        story.repair()
    told = story.troubles()
    # What shares the rate limit fails with it.
    assert [reason for reason, _ in told if reason == "opened"] == (["opened"] if at_once != "history.limited" else [])
    assert not [reason for reason, _ in told if reason == "resolved"]
    story.broken = {}
    story.repair()
    story.repair()
    assert [reason for reason, _ in story.troubles() if reason != "updated"] == (
        [] if at_once == "history.limited" else ["opened", "resolved"]
    )


def test_an_absent_optional_endpoint_is_information_once(story):
    """Given metric alerts that answer 404, one event of information is put on the queue, and one more after a success."""
    puts = []
    real = story.router.webhooks.put
    story.router.webhooks.put = lambda bodies, **more: (puts.extend(bodies), real(bodies, **more))[1]
    for answers in (("404", "410", "404"), ("200",), ("404",)):
        for answer in answers:
            story.broken = {"metric_alerts": ANSWERS[answer]} if ANSWERS[answer] else {}
            story.repair()
    events = [json.loads(text) for text in puts if "history." in text]
    assert len(events) == 2
    assert all('"Sentry has no metric alerts to read"' in json.dumps(each) for each in events)


def test_the_cursor_of_the_version_before_is_that_of_each_endpoint(story):
    """Given the one cursor and wait of each source, every endpoint goes on from it, and the old marks are gone."""
    context = story.router.store.context()
    cursor = story.router.now - timedelta(hours=3)
    marks = {key: text for key, text in context.marks.items() if not key.startswith("repair")}
    marks |= {"repair:sentry": cursor.isoformat(), "repair:cloudflare": cursor.isoformat()}
    marks["repair_wait:cloudflare"] = (story.router.now + timedelta(minutes=30)).isoformat()
    marks["trouble:history.failed:sentry"] = cursor.isoformat()
    story.router.store.save_context(replace(context, marks=marks, version=context.version + 1))
    story.asked.clear()
    story.repair()
    windowed = dict.fromkeys(("issues", "metric_alerts", "monitor_issues"), rfc3339(cursor))
    assert story.asked == {**windowed, "open_issues": None, "detectors": None}
    assert story.cursors()["notifications"] == cursor
    kept = story.router.store.context().marks
    assert not {"repair:sentry", "repair:cloudflare", "repair_wait:cloudflare", "trouble:history.failed:sentry"} & set(
        kept
    )
    story.repair(minutes=35)
    assert story.asked["notifications"] == rfc3339(cursor)


# ---------------------------------------------------------------------------------------------------------------------
# Readers that are made up


class Lists:
    """A reader with endpoints that answer what they are told to."""

    def __init__(self, **answers):
        self.answers = answers
        self.asked = []
        self.ENDPOINTS = tuple(Endpoint(name, name, self._read(name), optional=name == "optional") for name in answers)

    def _read(self, name):
        def read(clients, *, since, until, active):
            self.asked.append(name)
            answer = self.answers[name]
            if callable(answer):
                answer = answer(clients)
            if isinstance(answer, Exception):
                raise answer
            return History(answer, until)

        return read


def run(story, lists, **more):
    """One run over a reader in place of Sentry's."""
    report = repair(
        rules=story.router.rules, clients=story.vendors, now=story.router.now, readers={"sentry": lists},
        **story.router.ports, **more,
    )  # fmt: skip
    story.router.run(minutes=1)
    return report


def found(story, number, **fields):
    """A new issue that an endpoint found."""
    at = story.router.now.isoformat()
    issue = {**ISSUE, "id": str(number), "firstSeen": at, "lastSeen": at, **fields}
    return Found({"action": "created", "data": {"issue": issue}}, story.router.now, {"sentry-hook-resource": "issue"})


def test_a_fault_in_the_code_of_an_endpoint_costs_nothing_of_the_others(story):
    """Given a reader that raises what nobody expects, its kind and place are reported and the others are taken."""
    lists = Lists(first=KeyError("payload"), second=[found(story, 1)])
    report = run(story, lists)
    assert "a fault in the code: KeyError at " in report.troubles["history.failed", "sentry:first"]
    assert "payload" not in report.troubles["history.failed", "sentry:first"]
    assert report.missed["sentry"] == (1, 1)


def test_what_two_endpoints_found_counts_once(story):
    """Given an issue in two lists, whose counters differ, one webhook is missed."""
    lists = Lists(first=[found(story, 1, count="1")], second=[found(story, 1, count="2")])
    assert run(story, lists).missed["sentry"] == (1, 1)


def test_an_entry_that_nobody_can_read_is_left_out(story):
    """Given an entry that is no object, the others are taken, the cursor moves, and the next run ends the report."""
    unreadable = Found([], story.router.now, {"sentry-hook-resource": "issue"})
    lists = Lists(first=[unreadable, found(story, 1)])
    report = run(story, lists)
    assert report.missed["sentry"] == (1, 1)
    assert "1 of 2 entries cannot be read" in report.troubles["history.unreadable", "sentry"]
    lists.answers["first"] = []
    assert run(story, lists).troubles == {}


def test_slow_answers_leave_time_for_the_others(story):
    """Given an endpoint whose pages take four seconds each, it is stopped after ten, and the next one is read."""
    seconds = iter(range(0, 1000, 4))

    def slow(clients):
        for _ in range(20):
            clients.http()
        return [found(story, 1)]

    lists = Lists(first=slow, second=lambda clients: [found(story, 2)] if clients.http() else [])
    report = run(story, lists, clock=lambda: float(next(seconds)))
    assert report.missed["sentry"] == (1, 1)
    assert lists.asked == ["first", "second"]
    assert "repair:sentry:first" in story.router.store.context().marks


def test_a_refusal_of_an_optional_endpoint_is_a_mistake_of_ours(story):
    """Given 403, an optional endpoint is reported as any other; absent, as information."""
    report = run(story, Lists(optional=TargetRejectedError("answered 403"), first=EndpointAbsentError("answered 404")))
    assert set(report.troubles) == {("history.failed", "sentry:optional"), ("history.failed", "sentry:first")}
    report = run(story, Lists(optional=EndpointAbsentError("answered 404")))
    assert set(report.troubles) == {("history.limited", "sentry:optional")}


def test_what_a_vendor_measured_is_put_on_the_queue_once(story):
    """Given an endpoint that measures → its samples are stored, and a run that finds none stores none."""
    at = story.router.now - timedelta(minutes=4)
    sample = Sample("errors_per_min", 12.0, at, {"source": "sentry", "service": "shop"})

    class Measuring:
        """A reader with one endpoint."""

        def __init__(self, *samples):
            self.samples = samples
            self.ENDPOINTS = (Endpoint("errors_a_minute", "errors a minute", self.read, optional=True),)

        def read(self, clients, *, since, until, active):
            """The samples."""
            return History((), until, samples=self.samples)

    for samples in ((sample,), ()):
        run(story, Measuring(*samples))
        (bucket,) = story.router.store.buckets(
            "errors_per_min", sample.labels, at - timedelta(hours=1), story.router.now
        )
        assert (bucket.total, bucket.count) == (12.0, 1)
