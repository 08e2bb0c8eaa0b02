"""The block `services:` of a rules file: what loads, what is compiled, and what is doubtful about it."""

import json

import pytest

from chalicelib.core.services import NO_SERVICES, Service
from chalicelib.rules.compiled import from_compiled
from chalicelib.rules.file import check, compile_rules, load

FILE = """
services:
  api:
    aliases: {sentry: [api-backend, 42], cloudflare: "*.example.com", labels: [{job: api, ns: prod}], database: core}
    owner: team-core
    tier: 1
    links: {dashboard: "https://grafana.example.com/d/api", runbook: "https://wiki.example.com/api"}
    depends_on: [database]
  database: {}
probes:
  heartbeat: [{name: backup, every: 1d, service: database}]
"""


def test_every_key_of_a_service_arrives() -> None:
    """Given a service with every key, when the file is loaded → each is where it belongs, compiled or not."""
    rules = load(FILE)
    assert rules.services.declared == {
        "api": Service(
            "api",
            aliases=(
                (("sentry", "api-backend"),),
                (("sentry", "42"),),
                (("cloudflare", "*.example.com"),),
                (("job", "api"), ("ns", "prod")),
                (("database", "core"),),
            ),
            owner="team-core",
            tier=1,
            links={"dashboard": "https://grafana.example.com/d/api", "runbook": "https://wiki.example.com/api"},
            depends_on=("database",),
        ),
        "database": Service("database"),
    }
    assert from_compiled(compile_rules(FILE)) == rules
    assert check(FILE).warnings == ()


@pytest.mark.parametrize("text", ["alerts: []", "alerts: []\nservices:\n"])
def test_a_file_without_services_has_none(text: str) -> None:
    """Given no services, when the file is loaded or a compiled one of an older package → there are none."""
    older = json.loads(compile_rules("alerts: []"))
    assert "services" not in older["rules"]
    assert load(text).services == NO_SERVICES == from_compiled(json.dumps(older)).services


DOUBTS = [
    ("api: {aliases: {sentri: x}}", ["no source is named 'sentri', so this is the value of a label"]),
    ("api: {aliases: {label: x}}", ["no source is named 'label', so this is the value of a label"]),
    ("api: {aliases: {job: x, probe: x, zone: x, database: x, cloudwatch: x, QueueName: x}}", []),
]


@pytest.mark.parametrize(("service", "said"), DOUBTS)
def test_a_label_that_resembles_a_source_is_doubtful(service: str, said: list[str]) -> None:
    """Given an alias whose key is no source, when it resembles one → a warning names that one."""
    report = check(f"services: {{{service}}}")
    assert (report.mistakes, [each.what for each in report.warnings]) == ((), said)


@pytest.mark.parametrize(("count", "chain", "said"), [(50, 0, 0), (51, 0, 1), (49, 2, 1), (49, 1, 0)])
def test_a_service_on_which_many_depend_is_doubtful(count: int, chain: int, said: int) -> None:
    """Given more than fifty services that depend on one within three steps, when the file is checked → one warning."""
    lines = [f"  s{n}: {{depends_on: [db]}}" for n in range(count)]
    lines += [f"  t{n}: {{depends_on: [{f't{n - 1}' if n else 's0'}]}}" for n in range(chain)]
    report = check("\n".join(["services:", "  db: {}", *lines]))
    assert report.mistakes == ()
    assert [(each.line, each.what) for each in report.warnings] == [
        (2, f"{count + chain} services depend on db: whatever happens there would explain all of them")
    ] * said


def test_many_services_are_checked_quickly() -> None:
    """Given two thousand services in a long chain, when the file is checked → the depth of `depends_on` does not matter."""
    lines = [f"  s{n}: {{depends_on: [s{n + 1}], aliases: {{sentry: p{n}}}}}" for n in range(2_000)]
    report = check("\n".join(["services:", *lines, "  s2000: {}"]))
    assert (report.mistakes, report.warnings) == ((), ())
