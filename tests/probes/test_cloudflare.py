"""The Cloudflare probe against a stand-in for its endpoint that answers with the fixtures."""

import asyncio
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from chalicelib.core.errors import RulesError, TargetRejectedError, TargetUnavailableError
from chalicelib.core.event import Event, Severity, Status
from chalicelib.core.metrics.sample import Sample
from chalicelib.probes import Attempt, cloudflare, labels_of

from .conftest import NOW, FixedClients, Web, answer, free_port, tried

FIXTURES = Path(__file__).parent / "fixtures" / "cloudflare"
TAG = "00000000000000000000000000000001"
PARAMS = {"name": "site", "zones": {"example.com": TAG}}
TOKEN = {"CLOUDFLARE_API_TOKEN": "t0ken"}


def checked(params: dict[str, Any], clients: FixedClients, *, now: datetime) -> list[Sample | Event]:
    """What one try found, or raises."""

    async def run() -> list[Sample | Event]:
        limit = timedelta(seconds=5)
        attempt = Attempt("cloudflare", params, clients, now, limit, labels=labels_of(params))
        async with attempt.closing:
            await cloudflare.check(attempt)
        return [*attempt.samples, *attempt.events]

    return asyncio.run(run())


class Endpoint:
    """Answers the counts query and the visitors query, and remembers what was asked."""

    def __init__(self, web: Web) -> None:
        self.web = web
        self.counts: list[tuple[int, str]] = []
        self.headers: dict[str, str] = {}
        self.visitors = (200, body("adaptive_no_traffic"))
        self.clients = FixedClients(dict(TOKEN), {"CLOUDFLARE_API_URL": f"{web.url}/graphql"})
        web.answers["/graphql"] = self._act

    def _act(self, handler: Any) -> None:
        if "1mGroups" in self.asked[-1]["query"]:
            return answer(*self.visitors, self.headers)(handler)
        status, text = self.counts.pop(0) if len(self.counts) > 1 else self.counts[0]
        return answer(status, text, self.headers)(handler)

    @property
    def asked(self) -> list[dict[str, Any]]:
        """The queries in order."""
        return [json.loads(data) for _, _, _, data in self.web.seen]

    def check(self, **params: Any) -> tuple[dict[str, float | None], list[Event]]:
        """The values of one run by metric, and its events."""
        found = checked({**PARAMS, **params}, self.clients, now=NOW)
        samples = {each.metric: each.value for each in found if isinstance(each, Sample)}
        return samples, [each for each in found if isinstance(each, Event)]


@pytest.fixture
def endpoint(web: Web) -> Endpoint:
    """The stand-in."""
    return Endpoint(web)


def body(name: str) -> str:
    """A fixture's text."""
    return (FIXTURES / f"{name}.json").read_text()


def zone(tag: str = TAG, **parts: Any) -> dict[str, Any]:
    """A zone as Cloudflare answers it."""
    return {"zoneTag": tag, "total": [{"count": 100}], "errors5xx": [{"count": 3}], "quant": [], **parts}


def reply(*zones: dict[str, Any], errors: Any = None) -> str:
    """An answer about zones."""
    return json.dumps({"data": {"viewer": {"zones": list(zones)}}, "errors": errors})


def visitors(count: int) -> str:
    """An answer about the visitors of the zone."""
    return reply({"zoneTag": TAG, "visitors": [{"uniq": {"uniques": count}}]})


def test_measures(endpoint: Endpoint) -> None:
    """Counts become rates and quantiles latencies, stamped with the time of measuring and labelled with the zone."""
    endpoint.counts = [(200, body("adaptive_latency_and_errors"))]
    endpoint.visitors = (200, visitors(321))
    found = checked({**PARAMS, "service": "web"}, endpoint.clients, now=NOW)
    samples = [each for each in found if isinstance(each, Sample)]
    assert {each.metric: each.value for each in samples} == {
        "requests_per_min": 18234.0,
        "error_rate": 402 / 18234,
        "p95_latency_ms": 612.9,
        "p99_latency_ms": 1830.5,
        "active_users": 321.0,
    }
    assert all(each.at == NOW for each in samples)
    assert all(each.labels == {"probe": "site", "service": "web", "zone": "example.com"} for each in samples)
    assert len(samples) == len(found)


def test_asks(endpoint: Endpoint) -> None:
    """The window ends five minutes ago on a whole minute; the token is in the header and nowhere else."""
    endpoint.counts = [(200, body("adaptive_latency_and_errors"))]
    checked({**PARAMS, "window": "5m"}, endpoint.clients, now=NOW + timedelta(seconds=42))
    first, second = endpoint.asked
    expected = {"zones": [TAG], "from": "2026-11-24T07:50:00Z", "to": "2026-11-24T07:55:00Z"}
    assert first["variables"] == second["variables"] == expected
    assert endpoint.web.seen[0][2]["Authorization"] == "Bearer t0ken"
    assert all(part in first["query"] for part in ("zoneTag_in: $zones", "edgeResponseStatus_geq: 500", "quantiles"))
    for text in (first["query"], second["query"]):
        assert text.count("{") == text.count("}") and text.count("(") == text.count(")")


def test_requests_are_a_minute(endpoint: Endpoint) -> None:
    """Requests of a longer window are divided by its minutes."""
    endpoint.counts = [(200, reply(zone()))]
    assert endpoint.check(window="5m")[0]["requests_per_min"] == 20.0


def test_no_traffic(endpoint: Endpoint) -> None:
    """No traffic is no requests and no visitors; rates and latency were measured but have no value."""
    endpoint.counts = [(200, body("adaptive_no_traffic"))]
    endpoint.visitors = (200, reply({"zoneTag": TAG, "visitors": []}))
    assert endpoint.check() == (
        {
            "requests_per_min": 0.0,
            "error_rate": None,
            "p95_latency_ms": None,
            "p99_latency_ms": None,
            "active_users": 0.0,
        },
        [],
    )


def test_latency_refused_within_an_answer(endpoint: Endpoint) -> None:
    """HTTP 200 with an error for the latency: told as information, and the counts are measured."""
    endpoint.counts = [(200, body("adaptive_partial_error_http200"))]
    samples, (event,) = endpoint.check()
    assert samples["requests_per_min"] == 18234.0
    assert "p95_latency_ms" not in samples
    assert (event.kind, event.status, event.severity) == ("probe.limited", Status.INFO, Severity.INFO)
    assert "originResponseDurationMsP95" in event.summary


def test_latency_refused_with_the_query(endpoint: Endpoint) -> None:
    """Where the plan refuses the whole query for its latency, the counts are asked for alone."""
    errors = [{"message": "zone does not have access to the field: edgeTimeToFirstByteMsP95", "path": None}]
    endpoint.counts = [(403, json.dumps({"data": None, "errors": errors})), (200, reply(zone()))]
    samples, (event,) = endpoint.check()
    assert (samples["error_rate"], samples["requests_per_min"]) == (0.03, 100.0)
    assert event.kind == "probe.limited"
    assert "quantiles" not in endpoint.asked[1]["query"]


def test_visitors_refused(endpoint: Endpoint) -> None:
    """Visitors that the plan refuses are information; the counts are measured."""
    endpoint.counts = [(200, reply(zone()))]
    endpoint.visitors = (403, body("error_no_access_to_path_403"))
    samples, (event,) = endpoint.check()
    assert samples["error_rate"] == 0.03
    assert (event.kind, event.identity) == ("probe.limited", "probe:cloudflare:site:example.com active users")


def test_visitors_of_several_minutes_are_not_added(endpoint: Endpoint) -> None:
    """Visitors of two minutes may be the same people: no number is better than a wrong one."""
    endpoint.counts = [(200, reply(zone()))]
    endpoint.visitors = (200, body("httpRequests1mGroups_two_minutes"))
    assert "active_users" not in endpoint.check()[0]


def test_zone_missing(endpoint: Endpoint) -> None:
    """A zone that Cloudflare does not show is told; it is not zero requests."""
    endpoint.counts = [(200, body("adaptive_zone_missing"))]
    samples, (event,) = endpoint.check()
    assert samples == {}
    assert (event.kind, event.status, event.severity) == ("probe.failed", Status.FIRING, Severity.WARNING)
    assert event.identity == "probe:cloudflare:site:example.com"


def test_one_zone_of_several_is_missing(endpoint: Endpoint) -> None:
    """A missing zone does not harm the others, in whatever order they come."""
    endpoint.counts = [(200, reply(zone("c"), zone("a", errors5xx=[{"count": 50}])))]
    found = checked({"name": "site", "zones": ["a", "b", "c"]}, endpoint.clients, now=NOW)
    rates = {
        each.labels["zone"]: each.value for each in found if isinstance(each, Sample) and each.metric == "error_rate"
    }
    assert rates == {"a": 0.5, "c": 0.03}
    assert [each.identity for each in found if isinstance(each, Event)] == ["probe:cloudflare:site:b"]


def test_one_zone_of_several_is_refused(endpoint: Endpoint) -> None:
    """Where one zone makes Cloudflare refuse the query, each is asked for alone."""
    refused = body("error_zone_not_authorized_403")
    endpoint.counts = [(403, refused), (403, refused), (200, reply(zone("b")))]
    found = checked({"name": "site", "zones": ["a", "b"]}, endpoint.clients, now=NOW)
    assert {each.labels["zone"] for each in found if isinstance(each, Sample)} == {"b"}
    assert [each.identity for each in found if isinstance(each, Event)] == ["probe:cloudflare:site:a"]


def test_ten_zones_a_query(endpoint: Endpoint) -> None:
    """More than ten zones are asked for in several queries."""
    tags = [f"{number:032}" for number in range(23)]
    endpoint.counts = [(200, reply(*(zone(tag) for tag in tags)))]
    endpoint.visitors = (200, reply(*({"zoneTag": tag, "visitors": []} for tag in tags)))
    checked({"name": "site", "zones": tags}, endpoint.clients, now=NOW)
    assert [len(each["variables"]["zones"]) for each in endpoint.asked] == [10, 10, 10, 10, 3, 3]


UNAVAILABLE = [
    (429, "error_rate_limited_429", timedelta(minutes=5)),
    (200, "error_rate_limited_429", timedelta(minutes=5)),
    (503, "error_too_many_queries_503", None),
    (200, "error_too_many_queries_503", None),
]


@pytest.mark.parametrize(("status", "name", "retry_after"), UNAVAILABLE)
def test_unavailable(endpoint: Endpoint, status: int, name: str, retry_after: timedelta | None) -> None:
    """Limits and faults of Cloudflare are told as such, whatever status they come with."""
    endpoint.counts = [(status, body(name))]
    with pytest.raises(TargetUnavailableError) as raised:
        endpoint.check()
    assert raised.value.retry_after == retry_after


@pytest.mark.parametrize("text", ["<html>502</html>", "[]", '{"data":null}', "", '{"data":{"viewer":null}}'])
def test_unreadable_answers(endpoint: Endpoint, text: str) -> None:
    """What is no answer is not zero traffic."""
    for status in (200, 502):
        endpoint.counts = [(status, text)]
        with pytest.raises(TargetUnavailableError):
            endpoint.check()


REJECTED = [
    (403, "error_zone_not_authorized_403", "are not authorized"),
    (403, "error_no_access_to_path_403", "does not have access to the path"),
    (400, "error_cannot_request_older", "cannot request data older"),
    (200, "error_cannot_request_older", "cannot request data older"),
]


@pytest.mark.parametrize(("status", "name", "words"), REJECTED)
def test_rejected(endpoint: Endpoint, status: int, name: str, words: str) -> None:
    """What Cloudflare will never answer is told with its reason, without the token."""
    endpoint.counts = [(status, body(name))]
    with pytest.raises(TargetRejectedError, match=words) as raised:
        endpoint.check()
    assert "t0ken" not in str(raised.value)


def test_wrong_token(endpoint: Endpoint) -> None:
    """A refused token is asked with once for all zones."""
    endpoint.counts = [(401, '{"data":null,"errors":[{"message":"Unauthorized","path":null}]}')]
    with pytest.raises(TargetRejectedError, match="401"):
        endpoint.check(zones=["a", "b"])
    assert len(endpoint.asked) == 1


def test_no_token(endpoint: Endpoint) -> None:
    """Without a token nothing is asked."""
    endpoint.clients.secrets.clear()
    with pytest.raises(RulesError, match="CLOUDFLARE_API_TOKEN is not set"):
        endpoint.check()
    assert not endpoint.asked


def test_no_connection() -> None:
    """No answer at all is unavailable."""
    clients = FixedClients(dict(TOKEN), {"CLOUDFLARE_API_URL": f"http://127.0.0.1:{free_port()}/"})
    with pytest.raises(TargetUnavailableError, match="Cloudflare did not answer: no connection: it was refused"):
        checked(PARAMS, clients, now=NOW)


# ---------------------------------------------------------------------------------------------------------------------
# One query that fails costs nothing of the others


Reply = tuple[int, str]


class Api:
    """Cloudflare over a function: every zone is answered but for the queries that fail. Without a reply it hangs up."""

    def __init__(self, web: Web, reply: Reply | None = None) -> None:
        self.reply = reply
        self.fails: Callable[[str, list[str]], bool] = lambda query, tags: False
        self.asked: list[tuple[str, list[str]]] = []
        self.web = web
        self.clients = FixedClients(dict(TOKEN), {"CLOUDFLARE_API_URL": f"{web.url}/graphql"})
        web.answers["/graphql"] = self._serve

    def _serve(self, handler: Any) -> None:
        asked = json.loads(self.web.seen[-1][3])
        query = "visitors" if "1mGroups" in asked["query"] else "counts"
        tags = asked["variables"]["zones"]
        self.asked.append((query, tags))
        if not self.fails(query, tags):
            zones = [{"zoneTag": tag, "visitors": []} if query == "visitors" else zone(tag) for tag in tags]
            answer(200, reply(*zones))(handler)
        elif self.reply is None:
            handler.close_connection = True
        else:
            answer(*self.reply)(handler)

    def check(self, zones: list[str]) -> tuple[set[tuple[str, str]], list[Event]]:
        """What was measured as (zone, metric), and the events."""
        found = checked({"name": "site", "zones": zones}, self.clients, now=NOW)
        samples = {(each.labels["zone"], each.metric) for each in found if isinstance(each, Sample)}
        return samples, [each for each in found if isinstance(each, Event)]


REFUSED = '{"data": null, "errors": [{"message": "refused", "path": null}]}'
ANSWERS: dict[str, Reply | None] = {
    "403": (403, REFUSED),
    "404": (404, ""),
    "410": (410, ""),
    "429": (429, ""),
    "500": (500, ""),
    "no answer": None,
    "garbage": (200, "<html>"),
    "another form": (200, '{"data": [1], "errors": "x"}'),
}
COUNTS = {"requests_per_min", "error_rate"}


@pytest.mark.parametrize("kind", ANSWERS)
def test_visitors_that_fail_cost_no_counts(web: Web, kind: str) -> None:
    """Given visitors that are refused, limited, late or garbled, the counts are measured, and the visitors reported."""
    api = Api(web, ANSWERS[kind])
    api.fails = lambda query, tags: query == "visitors"
    samples, (event,) = api.check(["a"])
    assert samples == {("a", metric) for metric in COUNTS}
    refused = kind in ("403", "404", "410")
    assert (event.kind, event.status) == (
        ("probe.limited", Status.INFO) if refused else ("probe.failed", Status.FIRING)
    )
    assert event.identity == f"probe:cloudflare:site:a {'active users' if refused else 'visitors'}"
    assert event.annotations == ({"retry_after": "300s"} if kind == "429" else {})
    assert "t0ken" not in event.summary


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("kind", ANSWERS)
def test_zones_that_fail_cost_no_others(web: Web, kind: str, first: bool) -> None:
    """Given twelve zones in two queries of which one fails, the zones of the other are measured where it was asked."""
    tags = [f"z{number:02}" for number in range(12)]
    lost = set(tags[:10] if first else tags[10:])
    api = Api(web, ANSWERS[kind])
    api.fails = lambda query, asked: query == "counts" and bool(lost & set(asked))
    final = kind in ("403", "404", "410", "429")  # the answer of every further query
    if first and final:
        with pytest.raises((TargetUnavailableError, TargetRejectedError)):
            api.check(tags)
        assert len(api.asked) == 1
        return
    samples, events = api.check(tags)
    assert {zone for zone, _ in samples} == set(tags) - lost
    assert {each.identity for each in events} == {f"probe:cloudflare:site:{tag}" for tag in lost}
    assert {each.kind for each in events} == {"probe.failed"}
    assert all(("retry_after" in each.annotations) is (kind == "429") for each in events)


def test_after_a_limit_nothing_more_is_asked(web: Web) -> None:
    """Given 429 to the visitors of the first zones, the others are not asked for, and all of it is reported."""
    tags = [f"z{number:02}" for number in range(12)]
    api = Api(web, (429, ""))
    api.fails = lambda query, asked: query == "visitors"
    samples, events = api.check(tags)
    assert {zone for zone, _ in samples} == set(tags[:10])
    assert [query for query, _ in api.asked] == ["counts", "visitors"]
    assert {each.identity.rpartition(":")[2] for each in events} == {
        *(f"{tag} visitors" for tag in tags[:10]),
        *tags[10:],
    }


def test_an_outage_of_the_visitors_is_waited_for_once(web: Web) -> None:
    """Given visitors that do not answer, they are asked for once, so that the counts of all zones have their time."""
    tags = [f"z{number:02}" for number in range(12)]
    api = Api(web)
    api.fails = lambda query, asked: query == "visitors"
    samples, events = api.check(tags)
    assert {zone for zone, _ in samples} == set(tags) and len(events) == 12
    assert [query for query, _ in api.asked] == ["counts", "visitors", "counts"]


def test_one_zone_of_several_that_does_not_answer(web: Web) -> None:
    """Given zones that are asked for alone, one without an answer costs nothing of the others."""
    api = Api(web)
    refused = (403, body("error_zone_not_authorized_403"))

    def fails(query: str, tags: list[str]) -> bool:
        api.reply = refused if len(tags) > 1 else None
        return query == "counts" and (len(tags) > 1 or tags == ["a"])

    api.fails = fails
    samples, events = api.check(["a", "b"])
    assert {zone for zone, _ in samples} == {"b"}
    assert [each.identity for each in events] == ["probe:cloudflare:site:a"]


GARBLED = [
    ({"total": [5]}, set()),
    ({"total": [{"count": "many"}]}, set()),
    ({"total": "x"}, set()),
    ({"errors5xx": [None]}, {"requests_per_min"}),
    ({"errors5xx": {}}, {"requests_per_min"}),
    ({"quant": [3, {"quantiles": 7}]}, COUNTS),
    ({"quant": [{"quantiles": {"edgeTimeToFirstByteMsP95": [1], "edgeTimeToFirstByteMsP99": 20}}]}, {*COUNTS, "p99_latency_ms"}),
]  # fmt: skip


@pytest.mark.parametrize(("parts", "expected"), GARBLED)
def test_a_garbled_part_costs_no_other(endpoint: Endpoint, parts: dict[str, Any], expected: set[str]) -> None:
    """Given one part of a zone in another form, the other parts and the visitors are measured."""
    endpoint.counts = [(200, reply(zone(**parts), errors=["x", {"path": 5}]))]
    endpoint.visitors = (200, visitors(7))
    samples, events = endpoint.check()
    assert set(samples) == {*expected, "active_users"}
    assert bool([each for each in events if each.kind == "probe.failed"]) is (not expected)


@pytest.mark.parametrize("uniq", [None, 5, {"uniques": "x"}])
def test_garbled_visitors_cost_no_counts(endpoint: Endpoint, uniq: Any) -> None:
    """Given visitors in another form, the counts are measured."""
    endpoint.counts = [(200, reply(zone()))]
    endpoint.visitors = (200, reply({"zoneTag": TAG, "visitors": [{"uniq": uniq}]}))
    assert set(endpoint.check()[0]) >= COUNTS


MISTAKES = [
    ({"zones": None}, "one of zone (a tag) and zones"),
    ({"zone": TAG}, "one of zone (a tag) and zones"),
    ({"zones": TAG}, "zones must be a list"),
    ({"zones": [str(number) for number in range(51)]}, "zones are 51; allowed are 50"),
    ({"window": "90s"}, "window must be whole minutes"),
    ({"window": "2h"}, "1m to 60m"),
    ({"window": "x"}, "window 'x' is not a duration"),
]


@pytest.mark.parametrize(("change", "words"), MISTAKES)
def test_mistakes(change: dict[str, Any], words: str) -> None:
    """Each mistake is told in words, with what is allowed."""
    (found,) = cloudflare.validate({**PARAMS, **change})
    assert words in found


def test_valid() -> None:
    """Zones may be one tag, a list, or a mapping."""
    for zones in ({"zone": TAG}, {"zones": [TAG]}, {"zones": {"example.com": TAG}, "window": "5m"}):
        assert cloudflare.validate({"name": "site", **zones}) == []


@pytest.mark.parametrize("errors", [["boom"], [None], "boom", [{"message": None}], [7]])
def test_errors_that_are_no_objects(endpoint: Endpoint, errors: object) -> None:
    """Given errors without data that are texts, null or something else → cannot be measured, in words."""
    endpoint.counts = [(200, json.dumps({"data": None, "errors": errors}))]
    with pytest.raises((TargetRejectedError, TargetUnavailableError), match="Cloudflare answered"):
        endpoint.check()


def counted(**parts: object) -> str:
    """An answer about the zone."""
    return json.dumps({"data": {"viewer": {"zones": [{"zoneTag": TAG, **parts}]}}, "errors": None})


def test_a_null_count_is_no_zero(endpoint: Endpoint) -> None:
    """Given no count of the errors or of the visitors → an event for each, and no value; the rest is measured."""
    endpoint.counts = [(200, counted(total=[{"count": 100}], errors5xx=[{"count": None}], quant=[]))]
    endpoint.visitors = (200, counted(visitors=[{"uniq": {"uniques": None}}]))
    values, events = endpoint.check()
    assert values["requests_per_min"] == 100.0 and not {"error_rate", "active_users"} & values.keys()
    assert {(each.kind, each.identity) for each in events} == {
        ("probe.limited", "probe:cloudflare:site:example.com error rate"),
        ("probe.limited", "probe:cloudflare:site:example.com active users"),
    }


def test_an_error_beside_data_that_names_nothing(endpoint: Endpoint) -> None:
    """Given data and an error without a path → what was counted is measured, and the error is an event."""
    whole = json.loads(counted(total=[{"count": 100}], errors5xx=[{"count": 5}], quant=[]))
    endpoint.counts = [(200, json.dumps({**whole, "errors": [{"message": "some data may be missing"}]}))]
    endpoint.visitors = (200, counted(visitors=[]))
    values, events = endpoint.check()
    assert values["error_rate"] == 0.05
    assert [(each.kind, each.identity) for each in events] == [("probe.limited", "probe:cloudflare:site:answer")]
    assert "some data may be missing" in events[0].summary


def test_the_status_codes(endpoint: Endpoint) -> None:
    """Given counts by status code → the most frequent errors are the evidence of the error rate."""
    endpoint.counts = [(200, body("adaptive_latency_and_errors"))]
    found = checked(PARAMS, endpoint.clients, now=NOW)
    (rate,) = [each for each in found if isinstance(each, Sample) and each.metric == "error_rate"]
    assert rate.observed == {"statuses": "404 × 732, 502 × 402"}
    assert "edgeResponseStatus_geq: 400" in endpoint.asked[0]["query"]


def test_a_query_that_hangs_costs_no_other(web: Web) -> None:
    """Given visitors that are never answered → the counts are kept, and the try ends within its limit with an event."""
    api = Api(web)
    web.answers["/graphql"] = lambda handler: (
        web.stopped.wait(5) and None if b"1mGroups" in web.seen[-1][3] else api._serve(handler)
    )
    params = {"name": "site", "zones": ["a"], "timeout": timedelta(seconds=0.5)}
    found = tried(cloudflare, params, api.clients, kind="cloudflare")
    assert {each.metric for each in found.samples} == COUNTS
    (event,) = found.events
    assert event.identity == "probe:cloudflare:site:a visitors" and "did not answer within 0.4" in event.summary


def test_an_announced_end_is_one_warning(endpoint: Endpoint) -> None:
    """Given a Deprecation header on both answers of a run → one event beside what is measured."""
    endpoint.headers = {"Deprecation": "@1798761600"}
    endpoint.counts = [(200, body("adaptive_latency_and_errors"))]
    endpoint.visitors = (200, visitors(321))
    found = checked(PARAMS, endpoint.clients, now=NOW)
    (event,) = [each for each in found if isinstance(each, Event)]
    assert event.kind == "endpoint.retiring" and "from 2027-01-01 on" in event.summary
    assert len(found) == 6
