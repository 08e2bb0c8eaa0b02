"""The domain probe against an RDAP server on loopback, which is also IANA's list."""

import json
from typing import Any

import pytest

from chalicelib.core.event import Event
from chalicelib.probes import domain
from chalicelib.schedule.probing import Tried

from .conftest import FixedClients, Web, answer, free_port, tried, values


def bootstrap(web: Web, *zones: str, prefix: str = "/rdap/") -> FixedClients:
    """Clients for whom IANA's list names the server for these zones."""
    listed = {
        "version": "1.0",
        "services": [[["other"], ["https://other.example/"]], [[*zones], [f"{web.url}{prefix}"]]],
    }
    web.answers["/dns.json"] = answer(200, json.dumps(listed))
    return FixedClients(settings={"RDAP_BOOTSTRAP_URL": f"{web.url}/dns.json"})


def registered(until: object, action: str = "expiration") -> str:
    """What a registry says of a domain."""
    events = [
        {"eventAction": "registration", "eventDate": "1995-08-14T04:00:00Z"},
        {"eventAction": action, "eventDate": until},
    ]
    return json.dumps({"objectClassName": "domain", "ldhName": "EXAMPLE.COM", "events": events})


def attempted(clients: FixedClients, **params: Any) -> Tried:
    """One try."""
    return tried(domain, {**domain.SAMPLE, **params}, clients, kind="domain")


def failed(found: Tried) -> Event:
    """The event of a try that measured nothing."""
    (event,) = found.events
    assert found.samples == () and event.kind == "probe.failed"
    return event


@pytest.mark.parametrize(
    ("until", "days"),
    [("2026-12-04T08:00:00Z", 10.0), ("2026-12-04T10:00:00.5+02:00", 10.0), ("2026-11-23T08:00:00Z", -1.0)],
)
def test_days_left(web: Web, until: str, days: float) -> None:
    """Given a registration that ends, or has ended → the days left, and nothing of the registry's own certificate."""
    clients = bootstrap(web, "com")
    web.answers["/rdap/domain/example.com"] = answer(200, registered(until))
    found = attempted(clients)
    assert found.events == () and values(found).keys() == {"domain_days_left"}
    assert values(found)["domain_days_left"] == pytest.approx(days, abs=1e-4)
    assert web.seen[-1][2]["Accept"].startswith("application/rdap+json")


def test_the_longest_zone_counts(web: Web) -> None:
    """Given servers for a zone and for a part of it, and a name that is not ASCII → the part's server, in ASCII."""
    clients = bootstrap(web, "co.example")
    web.answers["/rdap/domain/xn--bcher-kva.co.example"] = answer(200, registered("2026-12-04T08:00:00Z"))
    assert values(attempted(clients, domain="Bücher.co.example."))["domain_days_left"] == pytest.approx(10)


def test_redirects(web: Web) -> None:
    """Given a server that sends elsewhere → followed, three times at most."""
    web.answers["/domain/example.com"] = answer(302, headers={"Location": "/moved"})
    web.answers["/moved"] = answer(200, registered("2026-12-04T08:00:00Z"))
    assert values(attempted(FixedClients(), server=web.url))["domain_days_left"] == pytest.approx(10)
    web.answers["/moved"] = answer(302, headers={"Location": "/moved"})
    assert "more than 3 redirects" in failed(attempted(FixedClients(), server=web.url)).summary
    web.answers["/moved"] = answer(302, headers={"Location": "http://169.254.169.254/"})
    assert "not probed" in failed(attempted(FixedClients(), server=web.url)).summary


REASONS = [
    (answer(404), "404: it knows no such domain"),
    (answer(503), "the registry answered 503"),
    (answer(200, "<html>"), "the answer is not JSON"),
    (answer(200, "[]"), "gives no date"),
    (answer(200, registered("soon")), "gives no date"),
    (answer(200, registered("2026-12-04T08:00:00Z", "last changed")), "gives no date"),
    (answer(200, json.dumps({"events": {"eventAction": "expiration"}})), "gives no date"),
]


@pytest.mark.parametrize(("act", "words"), REASONS)
def test_a_registry_that_does_not_say(web: Web, act: Any, words: str) -> None:
    """Given a registry that is away, knows no such domain or gives no date → cannot be measured, which is no outage."""
    web.answers["/domain/example.com"] = act
    assert words in failed(attempted(FixedClients(), server=f"{web.url}/")).summary


def test_a_registry_that_is_asked_too_often_is_left_alone(web: Web) -> None:
    """Given 429 → no second try, and what to change."""
    web.answers["/domain/example.com"] = answer(429, headers={"Retry-After": "60"})
    found = attempted(FixedClients(), server=web.url)
    assert "429: it is asked too often; allowed is a larger `every`" in failed(found).summary and not found.retry


def test_no_server_for_the_zone(web: Web) -> None:
    """Given a zone without RDAP → what to write; given no list → cannot be measured."""
    assert "no RDAP server for .com; allowed is `server`" in failed(attempted(bootstrap(web, "org"))).summary
    away = FixedClients(settings={"RDAP_BOOTSTRAP_URL": f"http://127.0.0.1:{free_port()}/"})
    assert "no connection" in failed(attempted(away)).summary


MISTAKES = [
    ({"domain": "localhost"}, "domain must be a registered name"),
    ({"domain": "https://example.com"}, "domain must be a registered name"),
    ({"every": "5m"}, "every must be at least 1h"),
    ({"every": None}, "every is missing"),
    ({"server": "rdap.example"}, "server must be an address that begins with https://"),
]


@pytest.mark.parametrize(("change", "words"), MISTAKES)
def test_mistakes(change: dict[str, Any], words: str) -> None:
    """Each mistake is named in words."""
    assert words in "; ".join(domain.validate({**domain.SAMPLE, **change}))


def test_valid() -> None:
    """A full entry has no mistakes."""
    assert domain.validate({**domain.SAMPLE, "server": "https://rdap.example/", "domain": "bücher.example"}) == []
