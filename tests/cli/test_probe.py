"""tocsin probe: one probe of a rules file, run now from this machine, against a real server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.main import main
from tests.probes.conftest import Web, answer, serve

RULES = """
alerts: []
probes:
  uptime:
    - {{name: shop, url: "{url}/health", headers: {{Authorization: "Bearer $SHOP_TOKEN"}}}}
    - {{name: both, url: "{url}/health"}}
  tcp:
    - {{name: both, host: localhost, port: {port}}}
"""


@pytest.fixture
def site() -> Iterator[Web]:
    """A web server on loopback."""
    yield from serve(Web())


@pytest.fixture
def rules(site: Web, tmp_path: Path) -> str:
    """The path of a rules file with probes of the server."""
    path = tmp_path / "rules.yaml"
    path.write_text(RULES.format(url=site.url, port=site.port))
    return str(path)


def test_a_probe_that_measures(
    site: Web, rules: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given a site that answers, and its secret in the environment → its samples, and 0."""
    monkeypatch.setenv("SHOP_TOKEN", "t0ken")
    site.answers["/health"] = answer(200)
    assert main(["probe", "shop", "--rules", rules]) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == "shop (uptime): measured"
    assert {line.split()[0]: line.split()[1] for line in lines}["uptime"] == "1"
    assert site.seen[0][2]["Authorization"] == "Bearer t0ken"


def test_a_probe_that_is_down(
    site: Web, rules: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given a site that answers 503 → what was expected, what came, and 1."""
    monkeypatch.setenv("SHOP_TOKEN", "t0ken")
    site.answers["/health"] = answer(503)
    assert main(["probe", "shop", "--rules", rules]) == 1
    shown = capsys.readouterr().out
    assert shown.startswith("shop (uptime): down\n")
    assert "expected: status 200-399 within 5 s" in shown and "result: status 503, after " in shown
    assert "t0ken" not in shown


def test_a_probe_without_its_secret(
    rules: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given a secret that is not set → its name, 1, and nothing else is printed."""
    monkeypatch.delenv("SHOP_TOKEN", raising=False)
    assert main(["probe", "shop", "--rules", rules]) == 1
    first, second = capsys.readouterr().out.splitlines()
    assert first == "shop (uptime): cannot measure"
    assert second.startswith("  Probe shop cannot measure: the secret SHOP_TOKEN is not set")


def test_names(site: Web, rules: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Given a name of two kinds, or of none → what to write; given the kind → that probe."""
    assert main(["probe", "both", "--rules", rules]) == 1
    assert "allowed is --kind with one of uptime, tcp" in capsys.readouterr().err
    assert main(["probe", "shp", "--rules", rules]) == 1
    assert "no probe is named 'shp'; allowed is one of shop, both, both" in capsys.readouterr().err
    assert main(["probe", "both", "--kind", "tcp", "--rules", rules]) == 0
