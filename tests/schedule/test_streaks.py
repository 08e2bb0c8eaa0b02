"""The watch over days: streaks, gaps, rates of rare probes, jitter, two writes a run, and what a version before stored."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from chalicelib.core.cut_off import Seen, reason, services_beside, together
from chalicelib.core.event import Event, Severity, Status
from chalicelib.core.metrics.rollup import Rate, streak_samples
from chalicelib.core.metrics.sample import Sample
from chalicelib.core.observed import BESIDE
from chalicelib.core.probe_state import KEPT, STATE, Past, ProbeState, Readings, after_run, read, written
from chalicelib.core.services import Service, Services
from chalicelib.core.stage_report import SCRAPED
from chalicelib.probes import labels_of, upstream_of
from chalicelib.schedule.slowest import MAX_KEPT
from chalicelib.schedule.watch import ProbeReport
from tests.schedule.test_watch import START, Probe, Watcher, failing, up, values

DAY = 24 * 60


def runs_of(watcher: Watcher, kind: str, params: Mapping[str, Any], until: int) -> list[tuple[int, ProbeReport]]:
    """The minutes and reports of every run of a probe until a minute, found as the schedule does: minute by minute."""
    watcher.params[kind] = (params,)
    found = []
    for minute in range(until):
        report = watcher.run(minute)
        if report.ran:
            found.append((minute, report))
    return found


@pytest.mark.parametrize(("every", "minutes"), [("1d", DAY), ("2d", 2 * DAY), ("6h", 6 * 60), ("1h", 60)])
def test_failures_of_rare_probes_are_counted_in_a_row(every: str, minutes: int) -> None:
    """Given a probe of a day or more that fails each time → failures 1, 2, 3: at once, then at the same minute of its day."""
    watcher = Watcher(a=up(lambda: False))
    found = runs_of(watcher, "a", {"name": "a", "every": every}, 3 * minutes)
    assert [values(report, "failures") for _, report in found[:3]] == [[1.0], [2.0], [3.0]]
    assert found[0][0] == 0 and {later[0] - earlier[0] for earlier, later in pairwise(found[1:])} == {minutes}


def test_a_gap_ends_failures_in_a_row() -> None:
    """Given a failure, five hours without a run, and a failure → one in a row; a minute that was missed is no gap."""
    watcher = Watcher(a=up(lambda: False))
    assert values(watcher.run(0), "failures") == [1.0]
    assert values(watcher.run(2), "failures") == [2.0]
    assert values(watcher.run(2 + 300), "failures") == [1.0]


def counting(readings: dict[int, tuple[float, float]], watcher: list[Watcher]) -> Probe:
    """A probe of two counters, by the number of its call."""

    def check(params: Mapping[str, Any], now: datetime) -> list[Sample | Event]:
        hits, misses = readings[watcher[0].probes["a"].calls]
        labels = labels_of(params)
        return [
            Sample("hits", hits, now, labels),
            Sample("misses", misses, now, labels),
            Sample("cache_hit_rate", hits / (hits + misses), now, labels),
        ]

    return Probe(check, rates=(Rate("cache_hit_rate", "hits", ("hits", "misses")),))


@pytest.mark.parametrize(("every", "minutes"), [("20m", 20), ("1h", 60), ("1d", DAY)])
def test_a_rate_is_that_since_the_last_reading(every: str, minutes: int) -> None:
    """Given a cache that missed all since the last reading, however rare → 0, and not the rate since the server's start."""
    held: list[Watcher] = []
    watcher = Watcher(a=counting({1: (950.0, 50.0), 2: (950.0, 150.0), 3: (950.0, 160.0)}, held))
    held.append(watcher)
    found = runs_of(watcher, "a", {"name": "a", "every": every}, 2 * minutes)
    assert [values(report, "cache_hit_rate") for _, report in found] == [[0.95], [0.0], [0.0]]


def slow(params: Mapping[str, Any], now: datetime) -> list[Sample | Event]:
    """What the probe of a database with slow statements finds."""
    seen = {"slowest": "9 ms × 1: select $1"}
    return [Sample("query_time_ms", 9.0, now, labels_of(params), seen)]


@pytest.mark.parametrize("scraped", [False, True])
@pytest.mark.parametrize("probes", [1, 40])
def test_a_run_makes_two_writes(probes: int, scraped: bool) -> None:
    """Given one probe or forty, up or down, slow databases, a stage that is scraped → the minute and one text are written."""
    state = {"ok": True}
    watcher = Watcher(a=up(lambda: state["ok"]), database=Probe(slow))
    watcher.params["database"] = tuple({"name": f"d{number}"} for number in range(probes))
    if scraped:
        watcher.store.put_mark(SCRAPED, START.isoformat())
    watcher.params["a"] = tuple({"name": f"p{number}", "url": "http://a.test/"} for number in range(probes))
    for minute, ok in enumerate((True, False, True)):
        state["ok"] = ok
        before = watcher.store.writes
        watcher.run(minute, process=False)
        assert watcher.store.writes - before == 2
    left = read(watcher.store.marks([STATE])[STATE])
    assert bool(left.gauges) is scraped
    assert len(left.slowest) == min(probes, MAX_KEPT)


def test_streaks_of_the_version_before_go_on() -> None:
    """Given samples of the version before and no text of this one → failures, last tries and counters go on from them."""
    held: list[Watcher] = []
    watcher = Watcher(a=counting({1: (950.0, 150.0)}, held), b=failing(lambda: False))
    held.append(watcher)
    for minute, ok in enumerate((True, True, False)):
        at = START + timedelta(minutes=minute)
        run = Sample("uptime", float(ok), at, labels_of({"name": "b"}))
        before = [(0, 0), (0, 1), (0, 2)][minute]
        watcher.store.add_samples([run, *streak_samples(run, before)])
    counters = labels_of({"name": "a"})
    at = START + timedelta(minutes=2)
    watcher.store.add_samples([Sample("hits", 950.0, at, counters), Sample("misses", 50.0, at, counters)])
    report = watcher.run(3)
    assert values(report, "failures") == [2.0]
    assert values(report, "cache_hit_rate") == [0.0]
    (failed,) = [each for each in report.samples if each.metric == "uptime"]
    assert failed.observed["fine"] == "until 2026-11-24 08:01 UTC, 2 times in a row since 2026-11-24 08:00 UTC"


def test_what_broke_under_the_version_before_ends() -> None:
    """Given a broken probe that the version before remembered in samples → it ends once it works."""
    labels = {**labels_of({"name": "a"}), "probe_kind": "a", "identity": "probe:a:a", "status": "firing"}
    watcher = Watcher(a=up(lambda: True))
    watcher.store.add_samples([Sample("probe_broken", 1.0, START - timedelta(minutes=1), labels)])
    (ended,) = watcher.run(0).events
    assert (ended.status, ended.identity) == (Status.RESOLVED, "probe:a:a")
    assert watcher.run(1).events == ()


def test_the_state_is_kept_as_one_text() -> None:
    """Given a state → the same after it was written and read; a text of a later version, or none at all, is unknown."""
    at = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
    past = Past(at, 2, 0, at - timedelta(minutes=2), 7, ((at, False, None), (at, True, 12.5)))
    old = Past(at - KEPT - timedelta(days=1), 1)
    state = ProbeState(
        {"a": past, "b": old}, {"c": Readings(at, {"hits": 1.0})}, {"probe:a:a": {"probe": "a"}}, known=True
    )
    assert read(written(state, at)) == ProbeState({"a": past}, state.counters, state.broken, known=True)
    assert read("") == read(None) == read("nonsense") == read(json.dumps({"v": 2})) == ProbeState()


def test_a_run_that_is_late_counts_once() -> None:
    """Given a run that is not newer than the past → the past stays."""
    at = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
    past = Past(at, 3)
    assert after_run(past, at, False, None, timedelta(minutes=1)) is past


def seen(**failed: bool) -> list[Seen]:
    """Probes of unlike upstreams, by whether they failed."""
    return [Seen(name, f"{name}.test", each) for name, each in failed.items()]


FIVE = {"a": True, "b": True, "c": True, "d": True, "e": True}
CUT = [
    (seen(**FIVE), "5 of 5 probes fail at once, of 5 upstreams that have nothing in common"),
    (seen(**{**FIVE, "e": False}), ""),
    (seen(**FIVE, f=False), "5 of 6 probes fail at once, of 5 upstreams that have nothing in common"),
    (seen(**FIVE, f=False, g=False), ""),
    ([Seen(str(number), "one.test", True) for number in range(300)], ""),
    (
        [*seen(a=True, b=False), Seen("us", "us.test", True, self_check=True)],
        "2 of 3 probes fail, and so does the self-check (us)",
    ),
    ([*seen(a=True, b=False, c=False), Seen("us", "us.test", True, self_check=True)], ""),
    ([*seen(**FIVE), Seen("us", "us.test", False, self_check=True)], ""),
    ([*seen(a=False), Seen("us", "us.test", True, self_check=True)], ""),
    ([], ""),
]


@pytest.mark.parametrize(("probes", "words"), CUT)
def test_when_the_prober_is_cut_off(probes: list[Seen], words: str) -> None:
    """Given what failed of unlike upstreams, and self-checks → why the prober is cut off, or nothing."""
    assert reason(probes) == words


def test_probes_of_one_upstream_are_named_together() -> None:
    """Given probes that fail, of one upstream and of others → the others of the same one."""
    probes = [Seen(name, "example.com", True) for name in "abcdefgh"] + [Seen("x", "other.test", True)]
    assert together(probes, "a") == "b, c, d, e, f and 2 more of example.com"
    assert together(probes, "x") == ""


def test_services_beside_are_those_of_probes_that_fail() -> None:
    """Given probes of one upstream, two of one service, one that is fine → the services of those that fail, each once."""
    shared = [("a", "api", True), ("b", "web", True), ("c", "web", True), ("d", "mail", False)]
    probes = [Seen(name, "example.com", failed, service=service) for name, service, failed in shared]
    assert services_beside([*probes, Seen("x", "other.test", True, service="other")], "a") == ["web"]
    assert services_beside(probes, "c") == ["api", "web"]


def test_a_failed_probe_knows_the_services_beside_it_by_their_names() -> None:
    """Given two probes of one upstream, one of whose services has an alias → each knows the other's service by its name."""
    entries = (
        {"name": "a", "url": "https://a.one.test/"},
        {"name": "b", "url": "https://b.one.test/", "service": "b-raw"},
    )
    watcher = Watcher(uptime=failing(lambda: False))
    watcher.params["uptime"] = entries
    watcher.services = Services({"shop": Service("shop", aliases=((("service", "b-raw"),),))})
    seen = {each.labels["probe"]: each.observed[BESIDE] for each in watcher.run().samples if each.metric == "uptime"}
    assert seen == {"a": "shop", "b": "a"}


UPSTREAMS = [
    ({"url": "https://api.example.com/a"}, "example.com"),
    ({"url": "https://example.com:8443"}, "example.com"),
    ({"base": "https://www.shop.co.uk"}, "shop.co.uk"),
    ({"url": "http://10.0.0.7/"}, "10.0.0.7"),
    ({"url": "http://[::1]/"}, "::1"),
    ({"url": "http://localhost/"}, "localhost"),
    ({"url": "REDIS_URL"}, "thing n"),
    ({"url": "http://[/"}, "thing n"),
    ({}, "thing n"),
]


@pytest.mark.parametrize(("params", "upstream"), UPSTREAMS)
def test_what_a_probe_depends_on(params: dict[str, str], upstream: str) -> None:
    """Given an entry → the domain of its address, or the probe itself."""
    assert upstream_of("thing", {"name": "n", **params}) == upstream


ADDRESSES = {
    "A": "postgresql://ana:hunter2@db1.example.com:5432/a?sslmode=require",
    "B": "postgres://ana:hunter2@db1.example.com/b",
    "C": "host=db1.example.com port=5432 password='a b'",
    "SLASH": "postgresql://u:12/rest@db1.example.com/app",
    "AT": "postgresql://u:p@rest@db1.example.com/app",
    "MARK": "postgresql://u:p?rest@db1.example.com/app",
    "TWO": "postgresql://u:p@10.0.0.1:5432,10.0.0.2:5432/app",
    "IN_QUERY": "postgresql:///app?host=10.0.0.1",
    "SIX": "redis://[2001:db8::1]:6379",
    "R": "rediss://default:hunter2@cache.example.com:6379/0",
    "DB": "postgresql://postgres:x@db.abcdefghijkl.supabase.co:5432/postgres",
    "POOLER": "postgresql://postgres.abcdefghijkl:x@aws-0-eu.pooler.supabase.com:6543/postgres",
    "ODD": "not an address hunter2",
    "SOCKET": "postgresql://%2Fvar%2Frun/app",
}
KINDS = [
    ("tcp", {"host": "mail.example.com", "port": 25}, "mail.example.com"),
    ("tcp", {"host": "192.0.2.1", "port": 25}, "192.0.2.1"),
    ("tcp", {"host": "2001:db8::1", "port": 25}, "2001:db8::1"),
    ("dns", {"host": "www.example.com"}, "example.com"),
    ("dns", {"host": "www.example.com", "server": "192.0.2.53:5353"}, "192.0.2.53"),
    ("dns", {"host": "www.example.com", "server": "[2001:db8::1]:53"}, "2001:db8::1"),
    ("domain", {"domain": "shop.example.com"}, "example.com"),
    ("supabase", {"project": "abcdefghijkl"}, "abcdefghijkl.supabase.co"),
    ("supabase", {"url": "https://abcdefghijkl.supabase.co/metrics"}, "abcdefghijkl.supabase.co"),
    ("cloudflare", {"zone": "023e"}, "api.cloudflare.com"),
    ("database", {"dsn": "A"}, "db1.example.com"),
    ("database", {"dsn": "B"}, "db1.example.com"),
    ("database", {"dsn": "C"}, "db1.example.com"),
    ("database", {"dsn": "SLASH"}, "db1.example.com"),
    ("database", {"dsn": "AT"}, "db1.example.com"),
    ("database", {"dsn": "MARK"}, "database n"),
    ("database", {"dsn": "TWO"}, "10.0.0.1"),
    ("database", {"dsn": "IN_QUERY"}, "10.0.0.1"),
    ("database", {"dsn": "DB"}, "abcdefghijkl.supabase.co"),
    ("database", {"dsn": "POOLER"}, "abcdefghijkl.supabase.co"),
    ("database", {"dsn": "ODD"}, "database n"),
    ("database", {"dsn": "SOCKET"}, "database n"),
    ("database", {"dsn": "MISSING"}, "database n"),
    ("redis", {"url": "R"}, "cache.example.com"),
    ("redis", {"url": "SIX"}, "2001:db8::1"),
]


@pytest.mark.parametrize(("kind", "params", "upstream"), KINDS)
def test_every_kind_of_probe_has_an_upstream(kind: str, params: dict[str, Any], upstream: str) -> None:
    """Given an entry of any kind → the host that it depends on, without a secret; else the probe itself."""
    assert upstream_of(kind, {"name": "n", **params}, ADDRESSES.get) == upstream


def test_a_dead_host_is_no_cut_off_prober() -> None:
    """Given five databases of one server that are down → each is down, and names the others."""
    watcher = Watcher(database=failing(lambda: False, "no connection"))
    watcher.secrets = {"DSN": "postgresql://ana:hunter2@db1.example.com/a"}
    watcher.params["database"] = tuple({"name": f"db{number}", "dsn": "DSN"} for number in range(5))
    report = watcher.run()
    assert len(report.down) == 5 and report.events == ()
    (first, *_) = [each for each in report.samples if each.metric == "uptime"]
    assert first.observed["together"] == "db1, db2, db3, db4 of db1.example.com"


class Network(Watcher):
    """A watcher of sites of unlike domains, whose answers are `ok` by name."""

    def __init__(self, *names: str, **more: Any) -> None:
        self.ok = dict.fromkeys(names, True)
        super().__init__(
            a=Probe(lambda params, now: [Sample("uptime", float(self.ok[params["name"]]), now, labels_of(params))])
        )
        self.params["a"] = tuple({"name": name, "url": f"https://{name}.test/", **more.get(name, {})} for name in names)


def test_a_prober_that_is_cut_off_says_so_once() -> None:
    """Given six sites of nothing in common that fail at once → one critical event, no site is down, and an end later."""
    watcher = Network("a", "b", "c", "d", "e", "f")
    watcher.run(0)
    watcher.ok = dict.fromkeys(watcher.ok, False)
    report = watcher.run(1)
    (event,) = report.events
    assert (event.severity, event.status) == (Severity.CRITICAL, Status.FIRING)
    assert event.title == "The prober is cut off, or everything is down"
    assert event.summary.startswith("6 of 6 probes fail at once")
    assert values(report, "uptime") == [] and report.down == ()
    watcher.ok = dict.fromkeys(watcher.ok, True)
    again = watcher.run(2)
    assert [(each.status, each.fingerprint) for each in again.events] == [(Status.RESOLVED, event.fingerprint)]
    assert again.events[0].title == "The prober measures again"
    assert values(again, "uptime") == [1.0] * 6 and values(again, "successes") == [2.0] * 6


RARE = {"every": "5m"}


def begins_and_ends(watcher: Network, minutes: range) -> list[tuple[int, Status]]:
    """The minutes in which an event of the prober begins or ends. No site is down meanwhile."""
    found: list[tuple[int, Status]] = []
    for minute in minutes:
        report = watcher.run(minute)
        assert report.down == (), minute
        for event in report.events:
            if not found or found[-1][1] != event.status:
                found.append((minute, event.status))
    return found


def test_a_prober_stays_cut_off_until_enough_answers() -> None:
    """Given sites of every minute and of every five that all fail for eight minutes → one begin, one end, no site is down."""
    frequent, rare = [f"a{number}" for number in range(4)], [f"b{number}" for number in range(6)]
    watcher = Network(*frequent, *rare, **dict.fromkeys(rare, RARE))
    watcher.run(0)
    watcher.ok = dict.fromkeys(watcher.ok, False)
    assert begins_and_ends(watcher, range(5, 13)) == [(5, Status.FIRING)]
    watcher.ok = dict.fromkeys(watcher.ok, True)
    assert begins_and_ends(watcher, range(13, 21)) == [(13, Status.RESOLVED)]


def test_one_site_that_answers_does_not_end_it() -> None:
    """Given a cut off prober of ten sites → one that answers ends nothing and is up; three do."""
    names = [f"a{number}" for number in range(10)]
    watcher = Network(*names)
    watcher.ok = dict.fromkeys(names, False)
    assert begins_and_ends(watcher, range(2)) == [(0, Status.FIRING)]
    watcher.ok["a0"] = True
    assert begins_and_ends(watcher, range(2, 4)) == [(2, Status.FIRING)]
    assert values(watcher.run(4), "uptime") == [1.0]
    watcher.ok |= {"a1": True, "a2": True}
    report = watcher.run(5)
    assert len(report.down) == 7 and [each.status for each in report.events] == [Status.RESOLVED]


def test_a_rare_self_check_holds_until_it_answers() -> None:
    """Given a self-check of every five minutes that fails with its sites → cut off until it, or a site, answers."""
    watcher = Network("a", "b", "c", "us", us={"self_check": True, **RARE})
    watcher.run(0)
    watcher.ok = dict.fromkeys(watcher.ok, False)
    assert begins_and_ends(watcher, range(5, 10)) == [(5, Status.FIRING)]
    watcher.ok["us"] = True
    assert [each.status for each in watcher.run(10).events] == [Status.RESOLVED]


def test_sites_that_fail_in_different_minutes_are_judged_together() -> None:
    """Given seven sites of which three are due each minute → cut off once four fifths fail, wherever they are due."""
    frequent, rare = ["a", "b", "c"], [f"b{number}" for number in range(4)]
    watcher = Network(*frequent, *rare, **{name: {"every": "1d"} for name in rare})
    watcher.ok |= dict.fromkeys(rare, False)
    watcher.run(0)
    watcher.ok = dict.fromkeys(watcher.ok, False)
    report = watcher.run(1)
    assert report.down == ()
    assert report.events[0].summary.startswith("7 of 7 probes fail at once")


def test_the_end_of_the_rules_ends_a_cut_off_prober() -> None:
    """Given a prober that is cut off, and rules without a probe → its event ends."""
    watcher = Network("a", "b", "c", "d", "e")
    watcher.ok = dict.fromkeys(watcher.ok, False)
    watcher.run(0)
    watcher.params["a"] = ()
    assert [each.status for each in watcher.run(1).events] == [Status.RESOLVED]


def test_a_long_gap_ends_a_cut_off_prober() -> None:
    """Given a prober that is cut off, hours without a run, and one site that fails then → that site is down."""
    names = ["a", "b", "c", "d", "e"]
    watcher = Network(*names, **dict.fromkeys(names[1:], RARE))
    watcher.ok = dict.fromkeys(watcher.ok, False)
    watcher.run(0)
    watcher.ok |= dict.fromkeys(names[1:], True)
    assert watcher.run(301).down == ("a",)


def test_a_self_check_decides() -> None:
    """Given a self-check that fails with a site → a warning that it is us; that answers → the sites are down."""
    watcher = Network("a", "us", us={"self_check": True})
    watcher.ok = {"a": False, "us": False}
    report = watcher.run(0)
    (event,) = report.events
    assert (event.title, event.severity) == ("The prober is cut off", Severity.WARNING)
    watcher.ok["us"] = True
    report = watcher.run(1)
    assert report.down == ("a",)
    assert [each.status for each in report.events] == [Status.RESOLVED]


def test_a_failed_probe_names_its_reason_in_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    """Given a probe that is down → one line with its name and what came, without secrets."""
    watcher = Watcher(uptime=failing(lambda: False, "redirected to https://ana:hunter22222@example.com/"))
    watcher.run()
    (line,) = [json.loads(each) for each in capsys.readouterr().out.splitlines()]
    assert (line["stage"], line["probe"], line["action"]) == ("watch", "uptime", "down")
    assert line["reason"].startswith("redirected to https://") and "hunter22222" not in line["reason"]
