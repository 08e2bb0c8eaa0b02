"""What senders call a service, and what it is called here."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.build import services_from
from chalicelib.core.event import Event, Severity, Status
from chalicelib.core.services import NO_SERVICES, Services, fits, has_wildcard
from tests.sources.bodies import events, raw

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
SERVICES = services_from(
    {
        "api": {
            "aliases": {
                "sentry": ["integration-testing", "front-*"],
                "cloudflare": ["*.example.com", "example.test"],
                "vercel": "example-web",
                "probe": ["api-health"],
                "database": ["core"],
                "heartbeat": "backup",
                "QueueName": "orders",
                "labels": [{"job": "node", "instance": "localhost:9100"}, {"job": "api"}],
            }
        },
        "shop": {"aliases": {"cloudflare": ["*.shop.example.com", "shop.example.com"], "alertmanager": "node"}},
        "database": {},
    }
)
REAL = [
    ("sentry", "sentry/event_alert_exception_python.json", "api", "integration-testing"),
    ("sentry", "sentry/error_created_docs.json", "api", "front-end"),
    ("sentry", "sentry/issue_created_docs.json", "python", None),
    ("cloudflare", "cloudflare/load_balancing_health_alert_unhealthy.json", "api", "api.example.com"),
    ("cloudflare", "cloudflare/clickhouse_alert_fw_anomaly_start.json", "api", "example.test"),
    ("cloudflare", "cloudflare/tunnel_health_event_live.json", "tunnel-name", None),
    ("vercel", "vercel/deployment.error.json", "api", "example-web"),
    ("alertmanager", "alertmanager/firing_instance_down.json", "shop", "node"),
    ("alertmanager", "alertmanager/mixed_firing_and_resolved.json", "api", None),
]


def event(**fields: object) -> Event:
    """Return an event of Sentry with these fields."""
    plain = Event("e1", "sentry", "error.created", Status.FIRING, Severity.WARNING, "TypeError", NOW, "issue-1")
    return replace(plain, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(("source", "name", "service", "word"), REAL, ids=[name for _, name, _, _ in REAL])
def test_real_bodies_get_the_name_of_their_service(source: str, name: str, service: str, word: str | None) -> None:
    """Given a real body, when its event is named → it has the service of the alias, and the sender's word beside it."""
    before = events(source, raw(name))[0]
    after = SERVICES.named(before)
    labels = after.all_labels()
    assert (after.service, labels["service"], labels.get("service_raw")) == (service, service, word)
    assert after.fingerprint == before.fingerprint


LABELS = [
    ({"probe": "api-health", "service": "health"}, "api", "health"),
    ({"probe": "api-health"}, "api", None),
    ({"probe": "other", "service": "api"}, "api", None),
    ({"probe": "api-health", "service": "database"}, "database", None),
    ({"database": "core", "service": "main"}, "api", "main"),
    ({"QueueName": "orders"}, "api", None),
    ({"heartbeat": "backup"}, "api", None),
    ({"job": "node", "instance": "localhost:9100"}, "api", None),
    ({"job": "node", "instance": "localhost:9101"}, None, None),
    ({"job": "api", "instance": "x"}, "api", None),
    ({"cloudflare": "WWW.Example.COM"}, "api", None),
    ({"cloudflare": "example.com"}, None, None),
    ({"cloudflare": "a.b.example.com"}, "api", None),
    ({"cloudflare": "a.shop.example.com"}, "shop", None),
    ({"cloudflare": "shop.example.com"}, "shop", None),
    ({"cloudflare": "SHOP.example.com"}, "api", None),
    ({"cloudflare": "Example.test"}, None, None),
    ({"sentry": "front-"}, None, None),
    ({"service": "front-end"}, None, None),
]


@pytest.mark.parametrize(("labels", "service", "word"), LABELS)
def test_labels_of_what_is_measured(labels: dict[str, str], service: str | None, word: str | None) -> None:
    """Given labels of a series, when they are named → exact text counts before a `*`, and the longer text before the shorter."""
    found = SERVICES.labelled(labels)
    assert (found.get("service"), found.get("service_raw")) == (service or labels.get("service"), word)
    assert SERVICES.unnamed(found) == labels
    assert SERVICES.labelled(found) == found


def test_a_name_that_is_declared_is_kept() -> None:
    """Given an event with the name of a service, when an alias of another one fits it → the name stays."""
    services = services_from({"api": {"aliases": {"kind": "error.created"}}, "web": {}})
    assert services.named(event(service="web")) is not None
    assert services.named(event(service="web")) == event(service="web")
    assert services.named(event(service="other")).service == "api"


def test_naming_twice_changes_nothing() -> None:
    """Given an event that was named, when it is named again, as after a wait → it is the same event."""
    once = SERVICES.named(event(service="front-end", labels={"release": "1"}))
    assert once.labels == {"release": "1", "service_raw": "front-end"}
    assert SERVICES.named(once) is once


def test_an_event_without_a_service_gets_one_by_a_label() -> None:
    """Given an event without a service, when a label of it is an alias → it has the service and no word beside it."""
    named = SERVICES.named(event(labels={"QueueName": "orders"}))
    assert (named.service, named.labels) == ("api", {"QueueName": "orders"})


def test_the_word_beside_a_label_service_is_that_of_the_source() -> None:
    """Given a body whose label `service` is another word, when it is named → `service_raw` is what the source read."""
    named = SERVICES.named(event(service="front-end", labels={"service": "x", "service_raw": "y"}))
    assert named.all_labels()["service_raw"] == "front-end"


def test_of_several_the_first_of_the_file_counts_after_those_of_more_labels() -> None:
    """Given aliases of two services that fit one event, when it is named → more labels count first, then the order."""
    data = {"a": {"aliases": {"sentry": "x"}}, "b": {"aliases": {"labels": {"sentry": "x", "level": "fatal"}}}}
    services = services_from({**data, "c": {"aliases": {"release": "1"}}})
    assert services.named(event(service="x", labels={"release": "1"})).service == "a"
    assert services.named(event(service="x", labels={"level": "fatal"})).service == "b"


def test_without_services_nothing_is_touched() -> None:
    """Given no `services:`, when events and labels are named → they are the same objects."""
    plain, labels = event(service="x"), {"service": "x"}
    assert NO_SERVICES.named(plain) is plain
    assert NO_SERVICES.labelled(labels) is labels
    assert NO_SERVICES.unnamed(labels) is labels


def test_an_event_is_compared_with_few_of_a_thousand_services() -> None:
    """Given a thousand services with three aliases each, when an event comes → each index holds one entry for its words."""
    entries = {
        f"s{n}": {
            "aliases": {"sentry": f"p{n}", "labels": {"job": "x", "ns": f"n{n}"}, "cloudflare": f"*.s{n:04}.test"}
        }
        for n in range(1_000)
    }
    services = services_from(entries)
    exact = services._exact
    assert exact.anywhere == []
    assert max(len(listed) for values in exact.under.values() for listed in values.values()) == 1
    assert [*exact.under] == ["ns", "sentry"]
    assert {label: len(each.lengths) for label, each in services._wildcards.items()} == {"cloudflare": 1}
    assert services.named(event(service="p7")).service == "s7"
    assert services.of({"cloudflare": "www.s0900.test"}) == "s900"


TEXTS = st.sampled_from(["a", "A", "ab", "b*", "*b", "a.b", "*.b", "ba"])
ENTRIES = st.dictionaries(
    st.sampled_from(["x", "y", "z"]),
    st.fixed_dictionaries({"aliases": st.dictionaries(st.sampled_from(["k", "l"]), st.lists(TEXTS, max_size=3))}),
)
VALUES = st.dictionaries(
    st.sampled_from(["k", "l"]), st.sampled_from(["a", "A", "ab", "AB", "ba", "a.b", "b", ".b", "x"])
)


def by_comparing(services: Services, labels: dict[str, str]) -> str | None:
    """Return the service as a comparison with every alias finds it."""
    named = [(alias, each.name) for each in services.declared.values() for alias in each.aliases]
    for alias, name in named:
        if "*" not in alias[0][1] and fits(alias, labels):
            return name
    order = [alias[0] for alias, _ in named if "*" in alias[0][1]]
    fitting = [
        ([label for label, _ in order].index(alias[0][0]), -len(alias[0][1]), not alias[0][1].startswith("*"), name)
        for alias, name in named
        if "*" in alias[0][1] and fits(alias, labels)
    ]
    return min(fitting, key=lambda each: each[:3])[3] if fitting else None


@given(ENTRIES, VALUES)
def test_the_index_finds_what_a_comparison_with_every_alias_finds(entries: dict, labels: dict[str, str]) -> None:
    """Given any aliases and labels, when their service is looked up → it is that of the first alias that fits best."""
    services = services_from(entries)
    assert services.of(labels) == by_comparing(services, labels)
    assert all(
        has_wildcard(alias) == ("*" in alias[0][1]) for each in services.declared.values() for alias in each.aliases
    )
