"""docs/probes.md: its examples load, name every field, and its role may read all that is measured."""

import re
from pathlib import Path

import pytest
import yaml

from chalicelib import plugins
from chalicelib.probes import COMMON_FIELDS
from chalicelib.rules.file import check

from .conftest import Postgres
from .test_database import tried

PAGE = (Path(__file__).parents[2] / "docs" / "probes.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
EXAMPLES = [text for name, text in BLOCKS if name == "yaml"]
KINDS = ("cloudflare", "database", "dns", "domain", "redis", "supabase", "tcp")


@pytest.mark.parametrize("text", EXAMPLES, ids=lambda text: text.split("\n")[1].strip())
def test_every_example_loads(text: str) -> None:
    """Each YAML block is a whole rules file without a mistake."""
    report = check(text)
    assert (report.mistakes, report.warnings) == ((), ())


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_has_an_example(kind: str) -> None:
    """Given the fields that a probe names as allowed → each of its own is in an example of the page."""
    entries = [entry for text in EXAMPLES for entry in yaml.safe_load(text)["probes"].get(kind, [])]
    (unknown,) = [
        each
        for each in plugins.load_probe(kind).validate({**entries[0], "wrong": 1})
        if each.startswith("wrong is unknown")
    ]
    allowed = set(unknown.partition("allowed are ")[2].split(", ")) - COMMON_FIELDS
    assert allowed == {field for entry in entries for field in entry} - COMMON_FIELDS


def test_the_role_may_read_all_that_is_measured(postgres: Postgres) -> None:
    """Given the role that the page makes → every part is measured, and it cannot write."""
    (statements,) = [text for name, text in BLOCKS if name == "sql"]
    postgres.execute("create database hidden", "revoke connect on database hidden from public")
    postgres.execute(*statements.strip().split("\n"))
    found = tried(postgres.dsn(user="tocsin_probe", password="change%20me"), scope="all")
    postgres.execute("drop database hidden")
    assert found.events == ()
    metrics = {each.metric for each in found.samples}
    assert {"uptime", "db_size_gb", "connections", "connections_used", "cache_hit_rate", "query_time_ms"} <= metrics
