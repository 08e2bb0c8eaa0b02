"""The sample day of `make run`: what it stores, that it is marked, that it comes once, and that each page shows it."""

import threading
from datetime import timedelta
from http.client import HTTPException

import pytest

from chalicelib.core.metrics.sample import Sample
from chalicelib.probes import every
from chalicelib.process.counts import COUNTED
from chalicelib.rules.file import load
from local import demo
from simulation.memory_store import MemoryStore
from tests.api_harness import START
from tests.project import ROOT
from tests.rule_files import rules_of
from tests.web.demo import NOW, RULES, page_of_the_sample
from tests.web.harness import PageHarness
from tests.web.test_pages import text_of


@pytest.fixture(scope="module")
def page() -> PageHarness:
    """A page over the sample day, with somebody signed in."""
    return page_of_the_sample()


def test_a_sample_day_is_stored_once() -> None:
    """Given an empty stage → incidents, deploys and samples of a day; within some hours it is not due again."""
    store, rules = MemoryStore(), rules_of(RULES)
    assert demo.is_due(store, NOW)
    source = demo.seed_events(store, rules, NOW)
    assert demo.seed_samples(store, source, NOW)
    assert not demo.is_due(store, NOW + timedelta(hours=1)) and demo.is_due(store, NOW + timedelta(days=1))
    ended = list(store.incidents(ended_since=NOW - timedelta(days=1)))
    assert {each.id for each in ended} == {each.id for each in source.incidents(ended_since=NOW - timedelta(days=1))}
    assert len(ended) == 4 and all(store.located(each.id) == each.key for each in ended)
    assert len(store.context().deploys) == 3
    assert store.label_sets(COUNTED) == source.label_sets(COUNTED)
    demo.seed_events(store, rules, NOW)
    assert len(list(store.incidents(ended_since=NOW - timedelta(days=1)))) == 4


def test_a_stop_leaves_the_day_due() -> None:
    """Given a stop while the samples are stored → the next start stores the rest."""
    store = MemoryStore()
    source = demo.seed_events(store, rules_of(RULES), NOW)
    assert not demo.seed_samples(store, source, NOW, stop=lambda: True)
    assert demo.is_due(store, NOW) and not store.label_sets("uptime")


def test_all_of_it_is_marked() -> None:
    """Given the sample day → each series has the name of a sample's probe, and each alert is named as a sample."""
    assert all(labels["probe"].startswith("sample-") for _, labels, *_ in demo.series(NOW))
    named = [line["event"]["name"] for line in demo.night(NOW) if "event" in line]
    assert named and all(name.startswith("Sample") for name in (*named, *(each.name for each in demo.OPEN)))


def test_two_runs_measure_at_the_same_times() -> None:
    """Given another start seven minutes later → its samples lie on the times of the first, so that none counts twice."""

    def times(samples: list[Sample]) -> set[tuple[str, str, object]]:
        return {(each.metric, each.labels["probe"], each.at) for each in samples}

    first, second = list(demo.measured(NOW)), list(demo.measured(NOW + timedelta(minutes=7)))
    assert len(times(first)) == len(first)
    assert len(times(second) - times(first)) < 40 < len(times(first) & times(second))


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("/", ["Error Spike", "Sample: 1,240 mails wait", "Bruno Lima", "Muted", "Sample: 81 % full"]),
        ("/errors", ["Sample: TypeError", "Events a minute", "Events an hour", "exam-web"]),
        ("/performance", ["p95 latency", "Error rate", "Requests a minute", "Active users", "over 500 ms"]),
        ("/infrastructure", ["Database size", "Connections in use", "Cache hit rate", "Query time"]),
        ("/infrastructure?of=sample-api", ["Response times", "95 % within"]),
        ("/uptime", ["sample-web", "sample-api", "100 %", "certificate", "backup"]),
        ("/silences", ["Ana Souza", "service=database"]),
        ("/rules", ["Error Spike", "High Latency Warning"]),
        ("/router", ["alertmanager", "PagerDuty"]),
    ],
)
def test_each_page_shows_the_sample(page: PageHarness, address: str, words: list[str]) -> None:
    """Given the sample day → the page has figures and charts of it, and misses nothing."""
    html = page.get(address)
    said = text_of(html)
    assert page.reply.status == 200
    for word in words:
        assert word in said, said
    assert "could not be read" not in said and "Nothing was measured" not in said


def test_an_open_alert_is_one_of_now() -> None:
    """Given what is open at the end of the day → Alertmanager's body says since when, and nothing secret."""
    body = demo.OPEN[0].webhook(START)
    (alert,) = body["alerts"]
    assert alert["startsAt"] == (START - demo.OPEN[0].since).isoformat() and alert["labels"]["sample"] == "yes"


@pytest.mark.parametrize("error", [None, OSError("refused"), HTTPException("cut off")])
def test_the_heartbeat_of_the_sample_is_kept_up(error: Exception | None) -> None:
    """Given a stop at the fourth wait → four beats, each before the next is due, whether they arrive or not."""
    waits: list[float] = []

    class Stop(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waits.append(timeout or 0.0)
            return len(waits) == 4

    sent = []

    def beat() -> None:
        sent.append(error)
        if error is not None:
            raise error

    demo.keep_beating(beat, Stop())
    assert len(sent) == 4
    shipped = load((ROOT / "alert-rules.yaml").read_text(), filename="alert-rules.yaml").probes["heartbeat"]
    assert max(waits) < every(next(each for each in shipped if each["name"] == "example")).total_seconds()
