"""The Supabase probe against a stand-in for its endpoint that answers with the fixtures."""

import base64
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from chalicelib.core.errors import RulesError, TargetRejectedError, TargetUnavailableError
from chalicelib.core.event import Event
from chalicelib.core.metrics.sample import Sample
from chalicelib.probes import supabase

from .conftest import NOW, FixedClients, Web, answer, free_port

FIXTURES = Path(__file__).parent / "fixtures" / "supabase"
SECRETS = {"SUPABASE_SECRET_KEY": "sb_secret_x"}


def measured(web: Web, text: str) -> dict[str, float | None]:
    """The values of one reading by metric."""
    web.answers["/metrics"] = answer(200, text)
    params = {"name": "main", "url": f"{web.url}/metrics", "service": "app"}
    found = supabase.check(params, FixedClients(dict(SECRETS)), now=NOW)
    assert all(isinstance(each, Sample) and each.labels == {"probe": "main", "service": "app"} for each in found)
    return {each.metric: each.value for each in found if isinstance(each, Sample)}


def test_measures(web: Web) -> None:
    """Names and values of the exporter become ours, numbers with exponents too."""
    found = measured(web, (FIXTURES / "metrics_with_values.prom").read_text())
    assert found["uptime"] == 1.0
    assert found["db_size_gb"] == pytest.approx(7421.5 / 1024)
    assert found["disk_used_ratio"] == pytest.approx(1 - 5.1e8 / 8.0e9)
    assert (found["connections"], found["db_queries_total"]) == (41.0, 55210231.0)
    assert found["db_blocks_hit_total"] == 981245532.0
    expected = base64.b64encode(b"service_role:sb_secret_x").decode()
    assert web.seen[0][2]["Authorization"] == f"Basic {expected}"


def test_database_down(web: Web) -> None:
    """The exporter answers while the database is down: only that is measured."""
    assert measured(web, (FIXTURES / "metrics_db_down.prom").read_text()) == {"uptime": 0.0}


def test_unknown_disk(web: Web) -> None:
    """A disk of no size is not a full disk."""
    assert "disk_used_ratio" not in measured(
        web, (FIXTURES / "metrics_names.prom").read_text().replace("pg_up{", "old{") + "pg_up 1\n"
    )


def test_lines_of_several_databases_add_up(web: Web) -> None:
    """Counters of each database are summed; what has no finite value, and garbage, is left out."""
    text = 'pg_up 1\npg_stat_database_blks_hit_total{datname="a\\"}b"} 5 1700000000000\npg_stat_database_blks_hit_total{datname="c"} 7\n'
    text += "pg_stat_database_num_backends NaN\npg_database_size_mb +Inf\n}{\npg_database_size_mb x\n"
    assert measured(web, text) == {"uptime": 1.0, "db_blocks_hit_total": 12.0}


def test_without_pg_up(web: Web) -> None:
    """An answer without the line of the database costs nothing of the others, and is reported."""
    text = "\n".join(
        line
        for line in (FIXTURES / "metrics_with_values.prom").read_text().splitlines()
        if not line.startswith("pg_up")
    )
    web.answers["/metrics"] = answer(200, text)
    found = supabase.check({"name": "main", "url": f"{web.url}/metrics"}, FixedClients(dict(SECRETS)), now=NOW)
    metrics = {each.metric for each in found if isinstance(each, Sample)}
    assert {"db_size_gb", "connections", "disk_used_ratio"} <= metrics and "uptime" not in metrics
    (event,) = [each for each in found if isinstance(each, Event)]
    assert (event.kind, event.identity) == ("probe.failed", "probe:supabase:main:uptime")
    assert "pg_up" in event.summary


def test_not_metrics(web: Web) -> None:
    """An answer that does not say whether the database is up measures nothing."""
    with pytest.raises(TargetUnavailableError, match="pg_up"):
        measured(web, "<html>maintenance</html>")


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, TargetRejectedError),
        (403, TargetRejectedError),
        (503, TargetUnavailableError),
        (302, TargetUnavailableError),
    ],
)
def test_refusals(web: Web, status: int, error: type[Exception]) -> None:
    """A refused key is told as such, an endpoint that is away too; neither is a database that is down."""
    web.answers["/metrics"] = answer(status)
    with pytest.raises(error) as raised:
        supabase.check({"name": "main", "url": f"{web.url}/metrics"}, FixedClients(dict(SECRETS)), now=NOW)
    assert "sb_secret_x" not in str(raised.value)


def test_no_answer() -> None:
    """No connection is unavailable."""
    params = {"name": "main", "url": f"http://127.0.0.1:{free_port()}/", "timeout": timedelta(seconds=1)}
    with pytest.raises(TargetUnavailableError, match="ConnectError"):
        supabase.check(params, FixedClients(dict(SECRETS)), now=NOW)


def test_refused_address_and_missing_key() -> None:
    """Metadata addresses are refused, and a key that is not set is named."""
    with pytest.raises(RulesError, match="not probed"):
        supabase.check({"name": "m", "url": "http://169.254.169.254/"}, FixedClients(dict(SECRETS)), now=NOW)
    with pytest.raises(RulesError, match="SUPABASE_SECRET_KEY is not set"):
        supabase.check({"name": "m", "project": "abcdefghijkl"}, FixedClients(), now=NOW)


MISTAKES = [
    ({}, "one of project (its ref) and url"),
    ({"project": "abcdefghijkl", "url": "https://x"}, "one of project (its ref) and url"),
    ({"project": "a/b.c"}, "project must be the project's ref"),
    ({"url": "ftp://x"}, "url must begin with"),
]


@pytest.mark.parametrize(("change", "words"), MISTAKES)
def test_mistakes(change: dict[str, Any], words: str) -> None:
    """Each mistake is told in words."""
    (found,) = supabase.validate({"name": "main", **change})
    assert words in found


def test_valid() -> None:
    """A project is enough."""
    assert supabase.validate({"name": "main", "project": "abcdefghijkl", "secret": "KEY"}) == []
