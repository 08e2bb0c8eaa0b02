"""Lists in pages: every row once, whatever comes and goes between two pages, and no parameter that is ignored."""

from datetime import timedelta

import pytest

from chalicelib.api import paging
from chalicelib.core.context import Silence
from chalicelib.core.errors import RequestError
from chalicelib.core.incident import Episode, Incident
from chalicelib.core.match import Matcher
from cli.remote import Remote, listed
from tests.api_harness import START, ApiHarness, fire, open_desk

TOKEN = "0123456789abcdef"


def opened(desk, number, minute=0):
    """An open incident, as one of many."""
    began = START + timedelta(minutes=minute)
    desk.router.store.save(
        Incident(key=f"k{number}", id=f"{number:016x}", version=1, episode=Episode(started_at=began))
    )


def pages(desk, what, name, between=lambda: None, **query):
    """The ids of all pages, one list a page."""
    found, after = [], None
    while True:
        asked = {each: [value] for each, value in query.items()} | ({"after": [after]} if after else {})
        answer = desk.ask(what, asked)
        found.append([row.get("id") or row["labels"]["service"] for row in answer[name]])
        after = answer["next"]
        if not after:
            return found
        between()
        between = lambda: None  # noqa: E731


def test_more_than_a_thousand_incidents_are_reachable():
    """Given 2,100 open incidents, when `next` is followed → each is listed once, newest first."""
    desk = ApiHarness()
    for number in range(2_100):
        opened(desk, number, minute=number)
    found = pages(desk, "list_incidents", "incidents", limit="1000")
    assert [len(page) for page in found] == [1_000, 1_000, 100]
    assert [id for page in found for id in page] == [f"{number:016x}" for number in reversed(range(2_100))]


def test_what_begins_between_two_pages_moves_no_row():
    """Given an incident that begins, and one that goes, after the first page → no other is listed twice or left out."""
    desk = ApiHarness()
    for number in range(6):
        opened(desk, number, minute=number)

    def between():
        opened(desk, 6, minute=60)
        gone = desk.router.store.load("k5")
        ended = START + timedelta(minutes=61)
        desk.router.store.save(
            Incident(key="k5", id=gone.id, version=2, episode=Episode(started_at=START, ended_at=ended))
        )

    found = pages(desk, "list_incidents", "incidents", between, limit="2")
    assert found == [[f"{5:016x}", f"{4:016x}"], [f"{3:016x}", f"{2:016x}"], [f"{1:016x}", f"{0:016x}"]]


def test_incidents_of_one_second_are_told_apart_by_their_ids():
    """Given incidents that began together → the pages hold each once."""
    desk = ApiHarness()
    for number in range(5):
        opened(desk, number)
    found = pages(desk, "list_incidents", "incidents", limit="2")
    assert sorted(id for page in found for id in page) == [f"{number:016x}" for number in range(5)]


def test_ended_incidents_come_after_the_open_ones():
    """Given open and ended incidents, when all are asked for → the pages go from the open ones to the ended ones."""
    desk = ApiHarness(fire(), fire("db"), fire("web"))
    gone = desk.shown("db")["id"]
    desk.ask("act", body={"by": "ana"}, id=gone, act="resolve")
    found = [id for page in pages(desk, "list_incidents", "incidents", status="all", limit="1") for id in page]
    assert len(found) == 3 and found[-1] == gone
    assert pages(desk, "list_incidents", "incidents", status="ended", limit="1") == [[gone]]


def test_alerts_and_silences_have_pages_too():
    """Given more alerts and silences than the limit → each is on one page."""
    desk = ApiHarness(*(fire(f"s{number}") for number in range(5)))
    found = pages(desk, "list_alerts", "alerts", limit="2")
    assert [len(page) for page in found] == [2, 2, 1]
    assert sorted(each for page in found for each in page) == [f"s{number}" for number in range(5)]
    for number in range(3):
        body = {"id": f"quiet-{number}", "matchers": [f"service=s{number}"], "for": f"{3 - number}h", "by": "ana"}
        desk.ask("make_silence", body=body)
    assert pages(desk, "list_silences", "silences", limit="2") == [["quiet-2", "quiet-1"], ["quiet-0"]]
    assert desk.ask("list_silences")["total"] == 3


@pytest.mark.parametrize("cursor", ["x", "====", "i", "Ã©", "aXxu", "\ud800", paging.cursor("alerts", "1")])
def test_a_cursor_that_is_none_is_refused(cursor):
    """Given an `after` that no answer of this list had → 400 says what is expected."""
    with pytest.raises(RequestError, match="`after` is no cursor of this list; expected is the `next` of an answer"):
        ApiHarness().ask("list_incidents", {"after": [cursor]})


UNKNOWN = [
    ("list_incidents", {}, {"service": ["x"]}, "`service` is unknown; allowed are status, since, match, limit, after"),
    ("list_incidents", {}, {"offset": ["100"]}, "`offset` is unknown"),
    ("list_alerts", {}, {"foo": [""]}, "`foo` is unknown; allowed are match, limit, after"),
    ("list_silences", {}, {"match": ["a=b"]}, "`match` is unknown; allowed are ended, limit, after"),
    ("show_incident", {"id": "abcd"}, {"full": ["1"]}, "`full` is unknown; this request takes no parameters"),
    ("show_silence", {"id": "abcd"}, {"full": ["1"]}, "`full` is unknown"),
    ("list_history", {}, {"day": ["2026-11-26"], "limit": ["5"]}, "`limit` is unknown; allowed are day, after"),
    ("act", {"id": "abcd", "act": "ack"}, {"note": ["x"]}, "`note` is unknown; allowed are by"),
    ("make_silence", {}, {"for": ["2h"]}, "`for` is unknown; allowed are by"),
    ("edit_silence", {"id": "abcd"}, {"for": ["2h"]}, "`for` is unknown; allowed are by"),
    ("end_silence", {"id": "abcd"}, {"now": ["1"]}, "`now` is unknown; allowed are by"),
    ("who", {}, {"service": ["api"], "a b": ["x"]}, "'a b' is no name of a label"),
    ("who", {}, {"service": ["api"], "": ["x"]}, "'' is no name of a label"),
    ("who", {}, {"incident": ["abcd"], "service": ["api"]}, "`incident` stands alone"),
    ("list_incidents", {}, {"since": ["garbage"]}, "garbage"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "names", "query", "says"), UNKNOWN)
def test_no_parameter_is_ignored(what, names, query, says):
    """Given a parameter that a request does not know, or cannot read → 400 names it, and what is allowed."""
    with pytest.raises(RequestError, match=says) as caught:
        ApiHarness(fire()).ask(what, query, **names)
    assert caught.value.status == 400


def test_the_command_line_reads_all_pages(capsys):
    """Given more incidents than one page → the command line lists all, and says so where it stops before the end."""
    desk = ApiHarness()
    for number in range(7):
        opened(desk, number, minute=number)
    with open_desk(desk, TOKEN) as url:
        api = Remote(url + "/", TOKEN)
        assert len(listed(api, "incidents", [], page=3)) == 7
        assert capsys.readouterr().err == ""
        assert len(listed(api, "incidents", [], page=3, most=5)) == 5
    assert capsys.readouterr().err == "tocsin: 5 of 7 incidents are shown; choose fewer by matchers\n"


def test_a_silence_of_a_large_list_is_found():
    """Given ended and active silences → `ended=true` pages go from active to ended ones."""
    desk = ApiHarness()
    context = desk.router.store.context()
    held = [Silence(f"s{n}", (Matcher("a", "=", "b"),), START, START + timedelta(hours=n), "ana") for n in range(1, 4)]
    desk.router.store.save_context(type(context)(silences=tuple(held), version=context.version + 1))
    desk.wait(timedelta(minutes=90))
    assert pages(desk, "list_silences", "silences", limit="1", ended="true") == [["s2"], ["s3"], ["s1"]]
