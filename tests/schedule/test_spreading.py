"""More probes than one run takes: further workers try the rest, one run decides, and a worker that is away is reported."""

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest

from chalicelib.core.event import Event, Severity, Status
from chalicelib.core.measured import Measured
from chalicelib.core.metrics.sample import Sample
from chalicelib.core.observed import RESULT
from chalicelib.core.probe_state import MAX_BYTES, MAX_PROBES, MAX_PROBES_A_RUN, STATE, Past, ProbeState, read, written
from chalicelib.core.rule import Rules
from chalicelib.probes import labels_of, probe_failed
from chalicelib.schedule.spreading import try_share
from tests.fakes import no_pause
from tests.schedule.test_watch import START, Probe, Watcher, values

Ask = Callable[[Mapping[str, Any]], Any]


def entries(count: int) -> tuple[Mapping[str, Any], ...]:
    """So many probes, two of each upstream."""
    return tuple({"name": f"p{number}", "url": f"https://x.site{number // 2}.test/"} for number in range(count))


class Stage:
    """A watch with workers, each of which is asked over JSON. `tries` counts the tries of each probe."""

    def __init__(self, count: int, failing: Callable[[str], bool] = lambda name: False) -> None:
        self.tries: dict[str, int] = {}
        self.asked: list[list[str]] = []
        self.failing = failing
        self.watcher = Watcher(uptime=Probe(self._check))
        self.watcher.params["uptime"] = entries(count)
        self.watcher.ask = self.answer

    def _check(self, params: Mapping[str, Any], now: Any) -> list[Sample | Event]:
        name = str(params["name"])
        self.tries[name] = self.tries.get(name, 0) + 1
        if not self.failing(name):
            return [Sample("uptime", 1.0, now, labels_of(params)), Sample("latency_ms", 12.5, now, labels_of(params))]
        return [Sample("uptime", 0.0, now, labels_of(params), {RESULT: "status 503"})]

    def answer(self, detail: Mapping[str, Any]) -> Any:
        """A worker of the same version and rules."""
        asked = json.loads(json.dumps(detail))
        self.asked.append(asked["probes"])
        return try_share(
            asked,
            rules=Rules(probes=self.watcher.params),
            clients=None,  # type: ignore[arg-type]
            pause=no_pause,
            load=self.watcher.probes.__getitem__,
        )


def test_a_run_that_has_too_many_asks_workers() -> None:
    """Given 1,100 probes → two workers try a part each, every probe is tried once, and the run makes two writes."""
    stage = Stage(1_100)
    report = stage.watcher.run(process=False)
    assert (report.ran, report.down, report.events) == (1_100, (), ())
    assert set(stage.tries.values()) == {1} and len(stage.tries) == 1_100
    assert [len(each) for each in stage.asked] == [367, 366]
    assert stage.watcher.store.writes == 2
    assert values(report, "latency_ms") == [12.5] * 1_100


def test_a_run_that_has_not_too_many_asks_nobody() -> None:
    """Given as many probes as one run takes → no worker is asked; without workers a run takes no more."""
    stage = Stage(MAX_PROBES_A_RUN)
    assert (stage.watcher.run().ran, stage.asked) == (MAX_PROBES_A_RUN, [])
    alone = Stage(MAX_PROBES_A_RUN + 100)
    alone.watcher.ask = None
    assert alone.watcher.run().ran == MAX_PROBES_A_RUN


def test_a_failure_in_another_worker_is_as_one_of_the_run() -> None:
    """Given two probes of one upstream that fail, tried by different workers → each has its evidence, and names the other."""
    stage = Stage(1_001, lambda name: name in ("p333", "p334"))
    stage.watcher.params["uptime"] = tuple(
        {**each, "url": "https://x.same.test/"} if each["name"] in ("p333", "p334") else each for each in entries(1_001)
    )
    report = stage.watcher.run()
    assert report.down == ("p333", "p334")
    assert ("probe:uptime:p333" in stage.asked[0], "probe:uptime:p334" in stage.asked[0]) == (False, True)
    seen = [each.observed for each in report.samples if each.metric == "uptime" and not each.value]
    assert [each["together"] for each in seen] == ["p334 of same.test", "p333 of same.test"]
    assert [each["tries"].count("status 503") for each in seen] == [2, 2]
    assert values(report, "failures").count(1.0) == 2


def test_the_prober_is_cut_off_as_a_whole() -> None:
    """Given 1,100 probes that all fail → one event reports it, and nothing is measured."""
    stage = Stage(1_100, lambda name: True)
    report = stage.watcher.run()
    (event,) = report.events
    assert event.summary.startswith("1100 of 1100 probes fail at once, of 550 upstreams")
    assert values(report, "uptime") == []


def broken(detail: Mapping[str, Any]) -> Any:
    """A worker that cannot be invoked."""
    raise OSError("throttled")


@pytest.mark.parametrize("ask", [broken, lambda detail: None, lambda detail: "nonsense", lambda detail: {"v": 2}])
def test_a_worker_that_does_not_answer_is_reported_once(ask: Ask) -> None:
    """Given a worker that fails, or is of another version → its probes are not measured, one event says so, until it answers."""
    stage = Stage(600)
    stage.watcher.ask = ask
    report = stage.watcher.run(0)
    (event,) = report.events
    assert (report.ran, event.status, event.severity) == (300, Status.FIRING, Severity.WARNING)
    assert (event.title, event.identity) == ("300 probes did not run", "probe:prober:workers")
    assert stage.watcher.run(1).events[0].identity == event.identity
    stage.watcher.ask = stage.answer
    again = stage.watcher.run(2)
    assert [(each.status, each.identity) for each in again.events] == [(Status.RESOLVED, event.identity)]
    assert (again.ran, stage.watcher.run(3).events) == (600, ())


def test_a_turn_that_a_worker_lost_is_taken_by_the_next_run() -> None:
    """Given 600 probes of a day whose worker did not answer → they run in the next minute, the others do not."""
    stage = Stage(600)
    stage.watcher.params["uptime"] = tuple({**each, "every": "1d"} for each in entries(600))
    stage.watcher.ask = broken
    assert stage.watcher.run(0).ran == 300
    stage.watcher.ask = stage.answer
    assert (stage.watcher.run(1).ran, set(stage.tries.values())) == (300, {1})


def test_a_worker_answers_for_the_probes_that_its_rules_name() -> None:
    """Given a share with a probe that the rules of the worker do not name → it is left out, and counts as not run."""
    stage = Stage(600)

    def older(detail: Mapping[str, Any]) -> Any:
        known = {**detail, "probes": [each for each in detail["probes"] if not each.endswith("p599")]}
        return stage.answer(known)

    stage.watcher.ask = older
    report = stage.watcher.run()
    assert (report.ran, [each.title for each in report.events]) == (599, ["1 probe did not run"])


def test_events_and_what_waits_come_back_as_they_were() -> None:
    """Given a probe in another worker that cannot measure a part and asks for time → its event, one try, the other values."""

    def partly(params: Mapping[str, Any], now: Any) -> list[Sample | Event]:
        failed = probe_failed("uptime", params, "quota", now=now, part="visitors", retry_after=timedelta(minutes=5))
        found: list[Sample | Event] = [Sample("uptime", 1.0, now, labels_of(params))]
        return [*found, failed] if params["name"] == "p599" else found

    stage = Stage(600)
    stage.watcher.probes["uptime"] = Probe(partly)
    report = stage.watcher.run()
    (event,) = report.events
    assert (event.identity, event.annotations) == ("probe:uptime:p599:visitors", {"retry_after": "300s"})
    assert (len(values(report, "uptime")), stage.watcher.probes["uptime"].calls) == (600, 600)


def state_of_all(metrics: int) -> ProbeState:
    """The state of as many probes as a stage has, with so many metrics each that were measured before."""
    keys = [f"{number * 2654435761 % 2**64:016x}" for number in range(MAX_PROBES)]
    tries = ((START - timedelta(minutes=1), True, 12.345), (START, True, 345.678))
    names = [f"metric_{number}" for number in range(metrics)]
    return ProbeState(
        {key: Past(START, 0, number, START, number, tries) for number, key in enumerate(keys)},
        measured={
            f"probe:uptime:p{number}": Measured(number * 7919, {f"{name} {key[-8:]}": START for name in names})
            for number, key in enumerate(keys)
        },
        ran={key[-8:]: START for key in keys},
        slowest={"slowest:main app": [START.isoformat(), ["9 ms × 1: select $1"]]},
    )


@pytest.mark.parametrize(("metrics", "kept"), [(5, MAX_PROBES), (60, 0)])
def test_the_state_of_all_probes_fits_into_an_item(metrics: int, kept: int) -> None:
    """Given as many probes as a stage has → the text fits, in the worst case without what was measured before, and no less."""
    state = state_of_all(metrics)
    text = written(state, START)
    found = read(text)
    assert len(text) <= MAX_BYTES
    assert (found.series, found.ran, found.slowest) == (state.series, state.ran, state.slowest)
    assert len(found.measured) == kept


def test_the_state_is_stored_under_one_name() -> None:
    """Given a run of several workers → the one text has the pasts of all probes."""
    stage = Stage(600)
    stage.watcher.run()
    assert len(read(stage.watcher.store.marks([STATE])[STATE]).series) == 600
