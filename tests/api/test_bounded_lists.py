"""Lists among many open incidents: what is read whole for a page, and what a list makes of an index that lags."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.api import views
from chalicelib.api.paging import Paging
from chalicelib.api.warnings import warnings
from chalicelib.core.alert import Alert, AlertState
from chalicelib.core.context import Context, Silence
from chalicelib.core.event import Severity
from chalicelib.core.incident import Episode, Incident
from chalicelib.core.match import Matcher
from chalicelib.core.rule import Rules
from chalicelib.core.summary import MAX_ALERTS, SummaryPage
from simulation.memory_store import MemoryStore

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
MANY = 300


class CountedStore(MemoryStore):
    """Counts the incidents that are read whole. `lags` keeps the summaries as they are."""

    def __init__(self):
        super().__init__()
        self.read = 0
        self.seen = None

    def load_all(self, keys):
        """Read some."""
        self.read += len(keys)
        return super().load_all(keys)

    def archives(self, ids):
        """Read some that ended."""
        self.read += len(ids)
        return super().archives(ids)

    def incidents(self, **asked):
        """Read everything, which nothing here may do."""
        raise AssertionError("everything is read")

    def lags(self):
        """Show from now on what the index shows now."""
        self.seen = self.summaries(limit=10_000).summaries

    def summaries(self, after="", **asked):
        """Return what is stored, or what was."""
        return super().summaries(after, **asked) if self.seen is None else SummaryPage(self.seen)


def alert(number, **fields):
    """An alert of a service that fires."""
    labels = {"service": f"service-{number}", "host": f"web-{number}"}
    return Alert(
        **{
            "fingerprint": f"a{number}", "name": "Down", "labels": labels, "severity": Severity.CRITICAL,
            "state": AlertState.FIRING, "starts_at": NOW, **fields,
        }
    )  # fmt: skip


def incident(number, *alerts, **fields):
    """An open incident; the later the number, the later it began."""
    own = {each.fingerprint: each for each in alerts or [alert(number)]}
    started_at = NOW + timedelta(seconds=number)
    key = f"k{number}"
    return Incident(
        **{"key": key, "id": f"id-{number}", "version": 1, "episode": Episode(started_at), "alerts": own, **fields}
    )


@pytest.fixture
def store():
    """Many open incidents, one alert in each."""
    found = CountedStore()
    for number in range(MANY):
        found.save(incident(number))
    return found


def ids(page, name="id"):
    """The ids of a page's rows."""
    return [row[name] for row in page.rows]


def test_a_page_reads_its_own_incidents(store):
    """Given many open incidents → a page of twenty reads twenty, says how many there are, and the next goes on."""
    first = views.incidents(store, Rules(), NOW, asked=Paging(limit=20))
    assert ids(first) == [f"id-{number}" for number in range(MANY - 1, MANY - 21, -1)]
    assert (first.total, store.read) == (MANY, 20)
    second = views.incidents(store, Rules(), NOW, asked=Paging(first.next, 20))
    assert ids(second) == [f"id-{number}" for number in range(MANY - 21, MANY - 41, -1)]
    assert store.read == 40


def test_matchers_choose_without_reading(store):
    """Given matchers of one service → only its incidents are read."""
    page = views.incidents(store, Rules(), NOW, matchers=(Matcher("service", "=~", "service-1[0-2]"),))
    assert sorted(ids(page)) == ["id-10", "id-11", "id-12"]
    assert (page.total, store.read) == (3, 3)


def test_an_incident_of_many_alerts_is_read_to_match(store):
    """Given an incident with more alerts than its summary holds → it is found by any of them."""
    store.save(incident(9_000, *(alert(9_000 + number) for number in range(MAX_ALERTS + 5))))
    page = views.incidents(store, Rules(), NOW, matchers=(Matcher("service", "=", "service-9024"),))
    assert ids(page) == ["id-9000"]
    assert store.read == 2


def test_a_page_of_alerts_reads_their_incidents(store):
    """Given many alerts → a page of twenty reads twenty incidents; its alerts are sorted as before."""
    page = views.alerts(store, Rules(), NOW, asked=Paging(limit=20))
    assert ids(page, "incident") == [f"id-{number}" for number in sorted(range(MANY), key=lambda n: f"id-{n}\0")[:20]]
    assert (page.total, store.read) == (MANY, 20)


def test_the_first_characters_of_an_id_read_what_they_mean(store):
    """Given the first characters of an id → the incidents that have them are read, no other."""
    assert [each.id for each in views.candidates(store, "id-29", NOW)] == [
        "id-29",
        *(f"id-{number}" for number in range(290, 300)),
    ]
    assert store.read == 11


def test_a_silence_reads_what_it_mutes(store):
    """Given a silence of one service → one incident is read to show what it mutes, and none to warn."""
    silence = Silence("s", (Matcher("service", "=", "service-7"),), NOW, NOW + MINUTE, "ana")
    store.save_context(Context(silences=(silence, replace(silence, id="over", ends_at=NOW)), version=1))
    (row,) = views.silences(store, NOW).rows
    assert [each["incident"] for each in row["mutes"]] == ["id-7"]
    assert views.silence_named(store, "s", NOW) == row
    assert store.read == 2
    none = replace(silence, matchers=(Matcher("team", "=", "x"),))
    assert warnings(none, views.silence(none, NOW, []), store, Rules())[1:] == [
        "no firing alert and no rule has a label team"
    ]
    assert store.read == 2


def test_what_changed_since_the_index_is_shown_as_it_is(store):
    """Given an index that lags → what ended since is left out, and what is shown is as it is stored."""
    store.lags()
    store.save(incident(1, version=2, episode=Episode(NOW, ended_at=NOW + MINUTE)))
    worse = alert(2, text=replace(alert(2).text, title="Worse"))
    store.save(incident(2, worse, version=2))
    asked = (Matcher("service", "=~", "service-[12]"),)
    page = views.incidents(store, Rules(), NOW, matchers=asked)
    assert [(row["id"], row["title"]) for row in page.rows] == [("id-2", "Worse")]
    store.save(incident(2, replace(worse, state=AlertState.RESOLVED, ends_at=NOW), version=3))
    assert ids(views.alerts(store, Rules(), NOW, matchers=asked), "incident") == ["id-1"]
