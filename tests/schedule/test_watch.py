"""The watch stage: every probe runs, none harms another, second tries, streaks, rates, and what broke is told."""

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from chalicelib.core.errors import NotStoredError, RulesError, TargetUnavailableError
from chalicelib.core.event import Event, Severity, Status
from chalicelib.core.metrics.rollup import Rate
from chalicelib.core.metrics.sample import Sample
from chalicelib.core.payload.retirement import Retirement
from chalicelib.core.rule import Rules
from chalicelib.core.services import Services
from chalicelib.messages.queue import Events, Queues, Samples, read_message
from chalicelib.probes import labels_of, probe_failed, probe_retiring
from chalicelib.schedule.slowest import slowest_of
from chalicelib.schedule.watch import ProbeReport, watch
from simulation.memory_store import MemoryStore
from tests.fakes import MemoryQueue

START = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
Check = Callable[[Mapping[str, Any], datetime], list[Sample | Event]]


class Probe:
    """A probe module whose answer is a function."""

    def __init__(self, check: Check, *, rates: tuple[Rate, ...] = (), growths: Mapping[str, str] | None = None) -> None:
        self._check = check
        self.RATES = rates
        self.GROWTHS = growths or {}
        self.calls = 0

    def check(self, params: Mapping[str, Any], clients: Any, *, now: datetime) -> list[Sample | Event]:
        """One try."""
        self.calls += 1
        return self._check(params, now)


def up(ok: Callable[[], bool]) -> Probe:
    """A probe that is up while `ok` says so."""
    return Probe(lambda params, now: [Sample("uptime", float(ok()), now, labels_of(params))])


def raising(error: Exception) -> Probe:
    """A probe that raises."""

    def check(params: Mapping[str, Any], now: datetime) -> list[Sample | Event]:
        raise error

    return Probe(check)


class Watcher:
    """Runs the watch minute by minute over one store and queue."""

    def __init__(self, **probes: Probe) -> None:
        self.probes = probes
        self.store = MemoryStore()
        self.queue = MemoryQueue()
        self.pauses: list[float] = []
        self.secrets: dict[str, str] = {}
        self.params: dict[str, tuple[Mapping[str, Any], ...]] = {kind: ({"name": kind},) for kind in probes}
        self.on_pause: Callable[[], None] = lambda: None
        self.services = Services()
        self.ask: Callable[[Mapping[str, Any]], Any] | None = None

    def run(self, minute: float = 0, *, process: bool = True, limit: timedelta = timedelta(seconds=5)) -> ProbeReport:
        """One run; the worker then stores the samples, unless it is behind."""
        before = len(self.queue.bodies)

        async def pause(seconds: float) -> None:
            self.pauses.append(seconds)
            self.on_pause()

        report = watch(
            rules=Rules(probes=self.params, services=self.services),
            store=self.store,
            clients=SimpleNamespace(secret=self.secrets.get),  # type: ignore[arg-type]
            queues=Queues(webhooks=self.queue, notifications=MemoryQueue(), counts=MemoryQueue()),
            now=START + timedelta(minutes=minute),
            pause=pause,
            load=self.probes.__getitem__,
            limit=limit,
            workers=None if self.ask is None else lambda: self.ask,  # type: ignore[arg-type, return-value]
        )
        if process:
            for body in self.queue.bodies[before:]:
                content = read_message(body)
                if isinstance(content, Samples):
                    self.store.add_samples(content.samples)
        return report


def values(report: ProbeReport, metric: str) -> list[float | None]:
    """The values of a metric in a report."""
    return [sample.value for sample in report.samples if sample.metric == metric]


def test_what_was_found_goes_on_the_queue() -> None:
    """Samples and events of all probes are put on the webhooks queue, and stamped with the start of the minute."""
    watcher = Watcher(uptime=up(lambda: True), database=raising(RuntimeError("secret text")))
    report = watcher.run(0.7)
    contents = [read_message(body) for body in watcher.queue.bodies]
    sent = [sample for content in contents if isinstance(content, Samples) for sample in content.samples]
    told = [event for content in contents if isinstance(content, Events) for event in content.events]
    assert tuple(sent) == report.samples
    assert tuple(told) == report.events
    assert {sample.at for sample in sent} == {START}
    assert report.ran == 2


def test_no_probes_cost_nothing() -> None:
    """Without probes nothing is put, and heartbeats are none."""
    watcher = Watcher()
    watcher.params = {"heartbeat": ({"name": "backup", "every": "1d"},)}
    assert watcher.run().ran == 0
    assert watcher.queue.bodies == []
    assert watcher.store.writes == 0


def test_a_second_try_decides() -> None:
    """A run that failed once and then succeeded is up; each second try comes after a pause of its own."""
    a, b = iter([False, True]), iter([False, False])
    watcher = Watcher(a=up(lambda: next(a)), b=up(lambda: next(b)), c=up(lambda: True))
    report = watcher.run()
    assert sorted(values(report, "uptime"), key=str) == [0.0, 1.0, 1.0]
    assert watcher.pauses == [5.0, 5.0]
    assert (watcher.probes["a"].calls, watcher.probes["b"].calls, watcher.probes["c"].calls) == (2, 2, 1)
    assert len(report.down) == 1


def parts(params: Mapping[str, Any], now: datetime, *, retry_after: timedelta | None = None) -> list[Sample | Event]:
    """What a probe finds that measured a part and could not measure another."""
    failed = probe_failed("a", params, "no answer", now=now, part="visitors", retry_after=retry_after)
    return [Sample("requests_per_min", 7.0, now, labels_of(params)), failed]


def test_a_second_try_costs_nothing_that_the_first_measured() -> None:
    """Given a first try that measured a part and a second that measures nothing, the first counts."""
    tries = iter([True, False])

    def check(params: Mapping[str, Any], now: datetime) -> list[Sample | Event]:
        if next(tries):
            return parts(params, now)
        raise TargetUnavailableError("no answer at all")

    watcher = Watcher(a=Probe(check))
    report = watcher.run()
    assert watcher.probes["a"].calls == 2
    assert values(report, "requests_per_min") == [7.0]
    assert report.broken == ("probe:a:a:visitors",)


def test_what_was_down_and_breaks_is_broken() -> None:
    """Given a first try that is down and a second that raises, the second counts: whether it is down is not known."""
    tries = iter([True, False])

    def check(params: Mapping[str, Any], now: datetime) -> list[Sample | Event]:
        if next(tries):
            return [Sample("uptime", 0.0, now, labels_of(params))]
        raise TargetUnavailableError("no answer at all")

    report = Watcher(a=Probe(check)).run()
    assert (report.down, report.broken) == ((), ("probe:a:a",))


def test_a_part_that_asks_to_wait_is_not_tried_again() -> None:
    """Given a part that was asked for too often, there is no second try, and the rest is measured."""
    watcher = Watcher(a=Probe(lambda params, now: parts(params, now, retry_after=timedelta(minutes=5))))
    report = watcher.run()
    assert (watcher.probes["a"].calls, watcher.pauses) == (1, [])
    assert values(report, "requests_per_min") == [7.0]
    assert report.broken == ("probe:a:a:visitors",)


def test_nothing_failed_means_no_pause() -> None:
    """When all is well, nobody waits."""
    watcher = Watcher(a=up(lambda: True))
    watcher.run()
    assert watcher.pauses == []


def test_failures_and_successes_in_a_row() -> None:
    """Failed and successful runs are counted in a row over minutes; one ends the other."""
    state = {"ok": True}
    watcher = Watcher(a=up(lambda: state["ok"]))
    found = []
    for minute, ok in enumerate([True, True, False, False, False, True]):
        state["ok"] = ok
        report = watcher.run(minute)
        found.append((values(report, "failures"), values(report, "successes")))
    assert [(int(f[0] or 0), int(s[0] or 0)) for f, s in found] == [(0, 1), (0, 2), (1, 0), (2, 0), (3, 0), (0, 1)]


def test_streaks_do_not_wait_for_the_worker() -> None:
    """Failures in a row are counted right while the worker is behind."""
    watcher = Watcher(a=up(lambda: False))
    for minute in range(3):
        report = watcher.run(minute, process=False)
    assert values(report, "failures") == [3.0]


def test_a_second_run_of_a_minute_probes_nothing() -> None:
    """Given a schedule that fires twice, then the probes ran once, and nothing is put again."""
    watcher = Watcher(a=up(lambda: False))
    watcher.run(0)
    first, put = watcher.run(1), len(watcher.queue.bodies)
    calls = watcher.probes["a"].calls
    assert watcher.run(1.4) == ProbeReport()
    assert values(first, "failures") == [2.0]
    assert (watcher.probes["a"].calls, len(watcher.queue.bodies)) == (calls, put)


def test_a_burst_of_the_schedule_probes_once_a_minute() -> None:
    """Given 120 runs that were held back for two hours and come at once, then one of them probes, and the next minute's."""
    watcher = Watcher(a=up(lambda: True))
    reports = [watcher.run(120 + number / 130) for number in range(120)]
    assert [each.ran for each in reports] == [1] + [0] * 119
    assert watcher.run(121).ran == 1
    assert watcher.probes["a"].calls == 2


def test_a_minute_without_a_probe_that_is_due_is_not_claimed() -> None:
    """A run with nothing to do writes nothing."""
    watcher = Watcher(a=up(lambda: True))
    watcher.params["a"] = ({"name": "a", "every": "1d"},)
    assert watcher.run(0).ran == 1
    before = watcher.store.writes
    assert watcher.run(1).ran == 0
    assert watcher.store.writes == before


def test_a_broken_probe_harms_no_other() -> None:
    """What a probe raises becomes an event of the router, each minute anew, and the other probes go on."""
    watcher = Watcher(a=up(lambda: True), b=raising(RuntimeError("password hunter2 at 10.0.0.1")))
    report = watcher.run()
    (event,) = report.events
    assert (event.source, event.kind, event.status, event.severity) == (
        "router",
        "probe.failed",
        Status.FIRING,
        Severity.WARNING,
    )
    assert event.identity == "probe:b:b"
    assert event.labels["probe"] == "b"
    assert "RuntimeError" in event.summary and "hunter2" not in event.summary
    assert values(report, "uptime") == [1.0]
    assert report.broken == ("probe:b:b",)
    assert watcher.probes["b"].calls == 2
    (later,) = watcher.run(1).events
    assert later.fingerprint == event.fingerprint and later.id != event.id


def test_what_cannot_change_is_not_tried_again() -> None:
    """Mistakes of the rules and limits that were told with a time are not asked a second time."""
    limited = TargetUnavailableError("too much", retry_after=timedelta(minutes=5))
    watcher = Watcher(a=raising(RulesError("the secret X is not set")), b=raising(limited))
    report = watcher.run()
    assert sorted(event.summary for event in report.events) == ["the secret X is not set", "too much"]
    assert watcher.pauses == []


def test_a_blip_is_not_told() -> None:
    """A probe that breaks once and then works is not broken."""
    answers = iter([TargetUnavailableError("503"), None])

    def check(params: Mapping[str, Any], now: datetime) -> list[Sample | Event]:
        error = next(answers)
        if error is not None:
            raise error
        return [Sample("uptime", 1.0, now, labels_of(params))]

    report = Watcher(a=Probe(check)).run()
    assert (report.events, report.broken, values(report, "uptime")) == ((), (), [1.0])


def test_what_broke_and_works_again_is_told_once() -> None:
    """The end of a broken probe is one event for the same alert, with the same labels; later runs say nothing."""
    state = {"broken": True}

    def check(params: Mapping[str, Any], now: datetime) -> list[Sample | Event]:
        if state["broken"]:
            raise TargetUnavailableError("503")
        return [Sample("uptime", 1.0, now, labels_of(params))]

    watcher = Watcher(a=Probe(check))
    (fired,) = watcher.run(0).events
    state["broken"] = False
    (ended,) = watcher.run(1).events
    assert (ended.status, ended.fingerprint, ended.labels) == (Status.RESOLVED, fired.fingerprint, fired.labels)
    assert watcher.run(2).events == ()
    state["broken"] = True
    assert [event.status for event in watcher.run(3).events] == [Status.FIRING]


def test_a_broken_probe_that_leaves_the_rules_ends() -> None:
    """What the rules no longer name is not broken any more."""
    watcher = Watcher(a=raising(RuntimeError()), b=up(lambda: True))
    watcher.run(0)
    watcher.params.pop("a")
    (ended,) = watcher.run(1).events
    assert (ended.status, ended.identity) == (Status.RESOLVED, "probe:a:a")
    assert "no longer name" in ended.summary


def test_a_broken_probe_that_is_not_due_stays_broken() -> None:
    """A probe of every five minutes is not judged in between: its event comes with each of its runs, and has no end."""
    watcher = Watcher(a=raising(RuntimeError()), b=up(lambda: True))
    watcher.params["a"] = ({"name": "a", "every": "5m"},)
    reports = [watcher.run(minute) for minute in range(16)]
    ran = [minute for minute, report in enumerate(reports) if report.ran == 2]
    assert ran[0] == 0 and {later - earlier for earlier, later in pairwise(ran[1:])} == {5}
    assert [minute for minute, report in enumerate(reports) if report.events] == ran
    assert {event.status for report in reports for event in report.events} == {Status.FIRING}


def test_parts_of_a_probe_break_and_mend() -> None:
    """A part that a probe tells of itself is ended by a run without it, but not by a run that broke whole."""
    state = {"answer": "part"}

    def check(params: Mapping[str, Any], now: datetime) -> list[Sample | Event]:
        if state["answer"] == "whole":
            raise TargetUnavailableError("503")
        return (
            [probe_failed("a", params, "the zone is gone", now=now, part="zone")] if state["answer"] == "part" else []
        )

    watcher = Watcher(a=Probe(check))
    told = []
    for minute, answer in enumerate(["part", "whole", "fine", "fine"]):
        state["answer"] = answer
        told.append([(event.identity, event.status.value) for event in watcher.run(minute).events])
    assert told[0] == [("probe:a:a:zone", "firing")]
    assert told[1] == [("probe:a:a", "firing")]
    assert sorted(told[2]) == [("probe:a:a", "resolved"), ("probe:a:a:zone", "resolved")]
    assert told[3] == []


def test_a_limit_of_the_plan_is_told_once() -> None:
    """What is refused for good is information, said once and not ended by a resolve."""
    state = {"limited": True}

    def check(params: Mapping[str, Any], now: datetime) -> list[Sample | Event]:
        return (
            [probe_failed("a", params, "not on this plan", now=now, part="latency", limited=True)]
            if state["limited"]
            else []
        )

    watcher = Watcher(a=Probe(check))
    assert [event.status for event in watcher.run(0).events] == [Status.INFO]
    assert watcher.run(1).events == watcher.run(2).events == ()
    assert watcher.pauses == []
    state["limited"] = False
    assert watcher.run(3).events == ()


def test_a_probe_that_hangs_is_left_behind() -> None:
    """A probe that does not end in time has broken, and the others are in time."""
    ended = threading.Event()

    def check(params: Mapping[str, Any], now: datetime) -> list[Sample | Event]:
        ended.wait(5)
        return []

    watcher = Watcher(a=Probe(check), b=up(lambda: True))
    report = watcher.run(limit=timedelta(seconds=0.2))
    ended.set()
    assert [event.summary for event in report.events] == ["it did not end in time"]
    assert values(report, "uptime") == [1.0]


def test_rates_of_counters() -> None:
    """A rate since the last reading replaces the total; a restarted counter leaves the total as it is."""
    readings = iter([(100.0, 100.0), (190.0, 110.0), (5.0, 5.0), (5.0, 5.0)])

    def check(params: Mapping[str, Any], now: datetime) -> list[Sample | Event]:
        hits, misses = next(readings)
        labels = labels_of(params)
        return [
            Sample("hits_total", hits, now, labels),
            Sample("misses_total", misses, now, labels),
            Sample("cache_hit_rate", hits / (hits + misses), now, labels),
        ]

    rate = Rate("cache_hit_rate", "hits_total", ("hits_total", "misses_total"))
    watcher = Watcher(a=Probe(check, rates=(rate,)))
    assert [values(watcher.run(minute), "cache_hit_rate") for minute in range(4)] == [[0.5], [0.9], [0.5], [None]]


def test_growth_a_day() -> None:
    """The growth a day is against what was stored a day ago, and absent before."""
    size = {"gb": 5.0}
    probe = Probe(
        lambda params, now: [Sample("db_size_gb", size["gb"], now, labels_of(params))],
        growths={"db_growth_gb_per_day": "db_size_gb"},
    )
    watcher = Watcher(a=probe)
    assert values(watcher.run(0), "db_growth_gb_per_day") == []
    size["gb"] = 5.5
    assert values(watcher.run(24 * 60), "db_growth_gb_per_day") == [0.5]


def test_the_queue_must_take_it() -> None:
    """A result that the queue refuses is an error, and no streak is stored for it."""
    watcher = Watcher(a=up(lambda: True))
    watcher.queue.fail_at = {1}
    with pytest.raises(NotStoredError):
        watcher.run()
    assert watcher.store.writes == 1  # the minute
    assert watcher.store.label_sets("failures") == ()


def failing(ok: Callable[[], bool], result: str = "status 503, after 9.8 s") -> Probe:
    """A probe that says what it saw when it fails."""

    def check(params: Mapping[str, Any], now: datetime) -> list[Sample | Event]:
        good = ok()
        observed = {} if good else {"address": "https://api.example.com/health/token=abcdefghijkl", "result": result}
        latency = [Sample("latency_ms", 140.0, now, labels_of(params))] if good else []
        return [Sample("uptime", float(good), now, labels_of(params), observed), *latency]

    return Probe(check)


def observed(report: ProbeReport) -> Mapping[str, str]:
    """What the run says of the probe that is down."""
    return next((each.observed for each in report.samples if each.metric == "uptime"), {})


def test_a_failed_run_names_its_last_tries_and_how_long_it_was_fine() -> None:
    """Given three good minutes and a bad one → the last good try, both bad ones, and since when it was fine."""
    answers = iter([True, True, True, False, False])
    watcher = Watcher(uptime=failing(lambda: next(answers)))
    for minute in range(3):
        assert observed(watcher.run(minute)) == {}
    found = observed(watcher.run(3))
    assert found["fine"] == "until 2026-11-24 08:02 UTC, 3 times in a row since 2026-11-24 08:00 UTC"
    assert found["tries"] == (
        "2026-11-24 08:02 UTC fine in 140 ms; 2026-11-24 08:03 UTC status 503, after 9.8 s; "
        "2026-11-24 08:03 UTC status 503, after 9.8 s"
    )


def test_what_a_probe_saw_is_masked() -> None:
    """Given a secret in an address and in a result → neither leaves the watch."""
    watcher = Watcher(uptime=failing(lambda: False, "redirected to https://ana:hunter22222@example.com/"))
    watcher.run()
    assert "hunter22222" not in "".join(watcher.queue.bodies)
    assert "abcdefghijkl" not in "".join(watcher.queue.bodies)


def test_a_probe_that_was_never_fine_says_nothing_of_that() -> None:
    """Given a first run that fails → its own tries alone."""
    found = observed(Watcher(uptime=failing(lambda: False)).run())
    assert "fine" not in found
    assert found["tries"].count("status 503") == 2


def test_a_second_try_that_succeeds_leaves_nothing_of_the_first() -> None:
    """Given a try that failed and one that did not → the probe is up, and nothing is said."""
    answers = iter([False, True])
    assert observed(Watcher(uptime=failing(lambda: next(answers))).run()) == {}


def test_a_vendors_announcement_is_a_warning_a_week():
    """Given a probe whose vendor announces the end of what it reads → one warning a week, without an end of its own."""
    announced = Retirement(datetime(2027, 1, 1, tzinfo=UTC), "/v2/metrics")
    probe = Probe(
        lambda params, now: [
            Sample("uptime", 1.0, now, labels_of(params)),
            probe_retiring("db", params, "Supabase", announced, now=now),
        ]
    )
    watcher = Watcher(db=probe)
    day = 24 * 60
    sent = [event for minute in (0, 1, 2, day, 2 * day, 8 * day) for event in watcher.run(minute).events]
    assert [each.occurred_at - START for each in sent] == [timedelta(0), timedelta(days=8)]
    assert sent[0].title == "Supabase takes away what the probe db reads" and "from 2027-01-01 on" in sent[0].summary
    assert "/v2/metrics" in sent[0].summary and sent[0].ends_at == START + timedelta(hours=1)
    watcher.probes["db"] = up(lambda: True)
    assert watcher.run(8 * day + 1).events == ()


SLOW = "1,240 ms × 37: select * from answers where a = $1; 90 ms × 4: with t as (select 1; 2 ms) select $1"


def test_the_slowest_statements_of_a_run_are_kept() -> None:
    """Given slow statements that a probe saw, also beside a rate, then none → the last ones are kept with their time."""
    seen = ["9 ms × 1: select $1", SLOW, ""]
    totals = iter((100.0, 400.0, 500.0))

    def found(params: Mapping[str, Any], now: datetime) -> list[Sample | Event]:
        observed = {"slowest": text} if (text := seen.pop(0)) else {}
        total, labels = next(totals), {"probe": "main"}
        counters = [Sample("total_ms", total, now, labels), Sample("total", total / 10, now, labels)]
        return [*counters, Sample("query_time_ms", 10.0, now, labels, observed)]

    watcher = Watcher(database=Probe(found, rates=(Rate("query_time_ms", "total_ms", ("total",)),)))
    assert slowest_of(watcher.store, {"probe": "main"}) is None
    for minute in range(3):
        watcher.run(minute)
    kept = slowest_of(watcher.store, {"probe": "main"})
    assert kept is not None and kept.at == START + timedelta(minutes=1)
    assert kept.statements == (
        "1,240 ms × 37: select * from answers where a = $1",
        "90 ms × 4: with t as (select 1; 2 ms) select $1",
    )
    assert slowest_of(watcher.store, {"probe": "other"}) is None
