"""tocsin smoke: the journeys of a file, walked against a real server, and what a person reads meanwhile."""

import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chalicelib.rules.file import load
from cli import smoke
from cli.main import main
from tests.probes.conftest import FixedClients, Web, answer, serve
from tests.project import ROOT

SMOKE = ROOT / "runbook" / "app" / "smoke.yaml"
RULES = """
probes:
  journey:
    - name: shop
      base: {url}
      steps:
        - {{name: sign in, post: /in, json: {{password: $SHOP_PASSWORD}}, save: {{id: id}}}}
        - {{name: a basket with quite a long name, get: "/basket/{{id}}", expect: 200}}
        - {{name: pay, post: /pay}}
        - {{name: sign out, delete: "/in/{{id}}", always: true}}
    - {{name: home, base: {url}, steps: [{{name: open, get: /}}]}}
  uptime: [{{name: web, url: "{url}/"}}]
"""
Said = Callable[..., tuple[int, list[str]]]


def timeless(text: str) -> str:
    """The text with T for each time."""
    return re.sub(r"[\d.]+ m?s\b", "T", re.sub(r"(?<=  )([ \d.]{4} ms|[ \d.]{5} s)\b", "T", text))


@pytest.fixture
def site() -> Iterator[Web]:
    """A web server on loopback."""
    yield from serve(Web())


@pytest.fixture
def shop(site: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Web:
    """A shop in which both journeys pass; its rules are `rules.yaml` of the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHOP_PASSWORD", "s3cret-pass")
    Path("rules.yaml").write_text(RULES.format(url=site.url))
    site.answers |= {path: answer(200, '{"id": 7}') for path in ("/in", "/in/7", "/basket/7", "/pay", "/")}
    return site


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Said:
    """Run the command in a terminal of some columns: exit status and lines, times and ports left out."""

    def run(*words: str, columns: int = 80) -> tuple[int, list[str]]:
        monkeypatch.setenv("COLUMNS", str(columns))
        status = main(["smoke", *words])
        text = capsys.readouterr().out
        assert max(map(len, text.splitlines()), default=0) <= columns
        return status, re.sub(r"localhost:\d+", "HOST", timeless(text)).splitlines()

    return run


def test_journeys_that_pass(shop: Web, said: Said) -> None:
    """Given a shop that works → each step on its line, each journey's end, and 0."""
    assert said("--file", "rules.yaml") == (
        0,
        [
            "shop at http://HOST",
            "    1/4  sign in                          T  ok",
            "    2/4  a basket with quite a long name  T  ok",
            "    3/4  pay                              T  ok",
            "    4/4  sign out                         T  ok",
            "shop: passed, 4 steps in T",
            "home at http://HOST",
            "    1/1  open  T  ok",
            "home: passed, 1 step in T",
            "2 journeys passed.",
        ],
    )


def test_a_step_that_fails(shop: Web, said: Said) -> None:
    """Given a basket that answers 500 → its reason, the steps that always run, and 1."""
    shop.answers["/basket/7"] = answer(500)
    status, lines = said("--file", "rules.yaml", columns=40)
    assert status == 1
    assert lines[1:6] == [
        "    1/4  sign in         T  ok",
        "    2/4  a basket with…  T  FAILED",
        "         status 500; expected is 200",
        "    4/4  sign out        T  ok",
        "shop: FAILED at step 2 of 4 after T",
    ]
    assert lines[-1] == "1 of 2 journeys failed."


def test_a_journey_without_its_secret(shop: Web, said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a secret that is not set → its name, 1, and no request."""
    monkeypatch.delenv("SHOP_PASSWORD")
    status, lines = said("shop", "--file", "rules.yaml")
    assert status == 1
    assert any("the secret SHOP_PASSWORD is not set" in line for line in lines)
    assert lines[-1].startswith("shop: FAILED after") and shop.seen == []


def test_what_a_server_answers_is_masked(shop: Web, said: Said) -> None:
    """Given a wrong answer with a secret in it → the secret is not printed."""
    text = RULES.format(url=shop.url).replace("post: /pay", "post: /pay, expect_json: {state: paid}")
    Path("rules.yaml").write_text(text)
    shop.answers["/pay"] = answer(200, '{"state": "password=hunter2hunter2"}')
    status, lines = said("shop", "--file", "rules.yaml")
    assert status == 1 and any("state" in line for line in lines)
    assert "hunter2hunter2" not in "".join(lines)


def test_another_base(shop: Web, said: Said) -> None:
    """Given --base → that address is walked; one that is none is a line of its own."""
    Path("rules.yaml").write_text(RULES.format(url="https://shop.example.com"))
    assert said("home", "--file", "rules.yaml", "--base", shop.url)[0] == 0
    assert said("home", "--file", "rules.yaml", "--base", "shop")[0] == 1


def test_names(shop: Web, capsys: pytest.CaptureFixture[str]) -> None:
    """Given a name of none, or a file without journeys → what is allowed, and 1."""
    assert main(["smoke", "web", "--file", "rules.yaml"]) == 1
    assert "no journey is named 'web'; allowed is one of shop, home" in capsys.readouterr().err
    Path("none.yaml").write_text("alerts: []")
    assert main(["smoke", "--file", "none.yaml"]) == 1
    assert capsys.readouterr().err.startswith("tocsin: none.yaml has no journey; write one under `probes: journey:`")


def test_the_name_stands_before_its_step_is_over(shop: Web) -> None:
    """Given a step that is taken → its name is printed before the server is asked, and the rest of its line after."""
    out = io.StringIO()
    seen = []
    shop.answers["/"] = lambda handler: (seen.append(out.getvalue()), answer(200)(handler))[1]
    rules = load(RULES.format(url=shop.url))
    assert smoke.show(smoke.journeys(rules, ["home"]), FixedClients(), out) == 0
    assert seen[0].endswith("1/1  open") and "ok" in out.getvalue()


def test_the_shipped_smoke_test_walks_the_product(site: Web, said: Said) -> None:
    """Given an application with the product's paths → the file of the runbook passes, with the token and the question."""
    site.answers |= {
        "/api/auth/signup": answer(201, '{"token": "t0"}'),
        "/api/questions/generate": answer(200, '{"questions": [{"id": 7}]}'),
        "/api/exams": answer(201, '{"id": 1}'),
    }
    assert said("--file", str(SMOKE), "--base", site.url)[0] == 0
    assert [path for _, path, _, _ in site.seen] == [*site.answers]
    assert [headers.get("Authorization") for _, _, headers, _ in site.seen] == [None, "Bearer t0", "Bearer t0"]
    assert json.loads(site.seen[-1][3])["question_ids"] == [7]


def test_the_recording_is_what_the_command_prints(shop: Web, said: Said) -> None:
    """Given the recorded walk of docs/releases.md → its lines, but for times and the address."""
    page = (ROOT / "docs" / "releases.md").read_text()
    recorded = re.search(r"```text\n\$ tocsin smoke shop\n(.*?)```", page, re.DOTALL)
    assert recorded
    shop.answers["/pay"] = answer(502)
    _, lines = said("shop", "--file", "rules.yaml")
    assert timeless(recorded[1]).replace("shop.example.com", "HOST").replace("https", "http").splitlines() == lines
