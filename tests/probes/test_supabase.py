"""The Supabase probe against a stand-in for its endpoint that answers with the fixtures."""

import base64
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from chalicelib.probes import supabase
from chalicelib.schedule.probing import Tried
from tests.slow_server import Connection, slow_server

from .conftest import FixedClients, Web, answer, free_port, reason, result, tried, values

FIXTURES = Path(__file__).parent / "fixtures" / "supabase"
SECRETS = {"SUPABASE_SECRET_KEY": "sb_secret_x"}


def measured(web: Web, text: str) -> dict[str, float | None]:
    """The values of one reading by metric."""
    web.answers["/metrics"] = answer(200, text)
    params = {"name": "main", "url": f"{web.url}/metrics", "service": "app"}
    found = attempted(params)
    assert found.events == ()
    assert all(each.labels == {"probe": "main", "service": "app"} for each in found.samples)
    return values(found)


def attempted(params: dict[str, Any], secrets: dict[str, str] | None = None) -> Tried:
    """One try."""
    return tried(supabase, params, FixedClients(SECRETS if secrets is None else secrets), kind="supabase")


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
    web.answers["/metrics"] = answer(200, (FIXTURES / "metrics_db_down.prom").read_text())
    found = attempted({"name": "main", "url": f"{web.url}/metrics"})
    assert values(found) == {"uptime": 0.0} and found.events == ()
    assert result(found).startswith("the exporter says that the database is down (pg_up 0), after ")


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


def test_figures_that_cannot_be(web: Web) -> None:
    """Given sizes whose sum is infinite and more free than there is → neither is measured."""
    text = 'pg_up 1\npg_database_size_mb{d="a"} 1e308\npg_database_size_mb{d="b"} 1e308\n'
    text += 'node_filesystem_size_bytes{mountpoint="/data"} 5\nnode_filesystem_avail_bytes{mountpoint="/data"} 10\n'
    assert measured(web, text) == {"uptime": 1.0}


def test_without_pg_up(web: Web) -> None:
    """An answer without the line of the database costs nothing of the others, and is reported."""
    text = "\n".join(
        line
        for line in (FIXTURES / "metrics_with_values.prom").read_text().splitlines()
        if not line.startswith("pg_up")
    )
    web.answers["/metrics"] = answer(200, text)
    found = attempted({"name": "main", "url": f"{web.url}/metrics"})
    metrics = {each.metric for each in found.samples}
    assert {"db_size_gb", "connections", "disk_used_ratio"} <= metrics and "uptime" not in metrics
    (event,) = found.events
    assert (event.kind, event.identity) == ("probe.failed", "probe:supabase:main:uptime")
    assert "pg_up" in event.summary


def test_not_metrics(web: Web) -> None:
    """An answer that does not say whether the database is up measures nothing."""
    web.answers["/metrics"] = answer(200, "<html>maintenance</html>")
    assert "pg_up" in reason(attempted({"name": "main", "url": f"{web.url}/metrics"}))


@pytest.mark.parametrize("status", [401, 403, 503, 302])
def test_refusals(web: Web, status: int) -> None:
    """A refused key is told as such, an endpoint that is away too; neither is a database that is down."""
    web.answers["/metrics"] = answer(status)
    found = attempted({"name": "main", "url": f"{web.url}/metrics"})
    assert f"answered {status}" in reason(found) and found.samples == ()
    assert "sb_secret_x" not in reason(found)
    assert found.retry is (status not in (401, 403))


def test_no_answer() -> None:
    """No connection, or an endpoint that stalls, is no database that is down."""
    found = attempted({"name": "main", "url": f"http://127.0.0.1:{free_port()}/"})
    assert (reason(found).startswith("the metrics endpoint did not answer: no connection"), found.samples) == (True, ())
    with slow_server(Connection.stall) as server:
        late = attempted({"name": "main", "url": server.url(), "timeout": timedelta(seconds=0.3)})
    assert (reason(late).startswith("no whole answer within 0.3 s"), late.samples) == (True, ())


def test_refused_address_and_missing_key() -> None:
    """Metadata addresses are refused, and a key that is not set is named."""
    assert "not probed" in reason(attempted({"name": "m", "url": "http://169.254.169.254/"}))
    assert "SUPABASE_SECRET_KEY is not set" in reason(attempted({"name": "m", "project": "abcdefghijkl"}, {}))


def test_a_key_with_a_line_end(web: Web) -> None:
    """Given a key that was stored with a line end → sent without it."""
    web.answers["/metrics"] = answer(200, "pg_up 1\n")
    found = attempted({"name": "main", "url": f"{web.url}/metrics"}, {"SUPABASE_SECRET_KEY": "sb_secret_x\n"})
    assert values(found)["uptime"] == 1.0
    assert base64.b64decode(web.seen[0][2]["Authorization"].split()[1]) == b"service_role:sb_secret_x"


MISTAKES = [
    ({}, "one of project (its ref) and url"),
    ({"project": "abcdefghijkl", "url": "https://x"}, "one of project (its ref) and url"),
    ({"project": "a/b.c"}, "project must be the project's ref"),
    ({"url": "ftp://x"}, "url must be an address that begins with"),
]


@pytest.mark.parametrize(("change", "words"), MISTAKES)
def test_mistakes(change: dict[str, Any], words: str) -> None:
    """Each mistake is told in words."""
    (found,) = supabase.validate({"name": "main", **change})
    assert words in found


def test_valid() -> None:
    """A project is enough."""
    assert supabase.validate({"name": "main", "project": "abcdefghijkl", "secret": "KEY"}) == []


def test_an_announced_end_is_a_warning(web: Web) -> None:
    """Given Sunset and a successor on a good answer → measured as ever, and one event that names both."""
    headers = {"Sunset": "Fri, 01 Jan 2027 00:00:00 GMT", "Link": '</v2/metrics>; rel="successor-version"'}
    web.answers["/metrics"] = answer(200, "pg_up 1\n", headers)
    found = attempted({"name": "main", "url": f"{web.url}/metrics"})
    assert values(found) == {"uptime": 1.0}
    (event,) = found.events
    assert (
        event.kind == "endpoint.retiring" and "from 2027-01-01 on" in event.summary and "/v2/metrics" in event.summary
    )
