"""tocsin handover: what the next shift has to know, from the API of a router on a virtual clock."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.core.errors import RequestError
from cli import handover, shift
from cli.main import main
from tests.api_harness import START, ApiHarness, fire, open_desk

TOKEN = "0123456789abcdef"


@pytest.fixture
def desk(monkeypatch):
    """A router at 12:05 with open incidents of api and db, and one of web that its sender resolved."""
    end = fire("web")
    end["event"]["status"] = "resolved"
    found = ApiHarness(fire(), fire("db", "refused | <b>now</b>", zone="eu"), fire("web"), end)
    with open_desk(found, TOKEN) as url:
        monkeypatch.setenv("TOCSIN_CONFIG", "")
        monkeypatch.setenv("XDG_CONFIG_HOME", "/nonexistent")
        monkeypatch.setenv("TOCSIN_URL", url)
        monkeypatch.setenv("TOCSIN_TOKEN", TOKEN)
        monkeypatch.setenv("TOCSIN_USER", "ana")
        found.wait(timedelta(minutes=5))
        monkeypatch.setattr("cli.table.utc_now", lambda: found.router.now)
        yield found


def said(capsys, *words):
    """What a command that goes well prints."""
    assert main(list(words)) == 0
    return capsys.readouterr().out


def section(text, title):
    """The lines under a heading."""
    return text.partition(f"\n{title}\n")[2].partition("\n\n")[0].splitlines()


def test_an_incident_that_nobody_has_is_told_apart(desk, capsys):
    """Given one acknowledged incident of two → each open incident is listed with its holder, or with nobody."""
    said(capsys, "ack", desk.shown("db")["id"], "--note", "on it")
    text = said(capsys, "handover")
    holders = {line.split()[0]: line for line in section(text, "OPEN NOW")[1:]}
    assert " ana " in holders[desk.shown("db")["id"][:8]]
    assert " nobody " in holders[desk.shown("api")["id"][:8]]
    assert "acknowledged: on it" in section(text, "WHAT PEOPLE DID")[1]
    assert "3 began, 1 ended, 2 open now." in text


def test_times_have_a_zone(desk, capsys):
    """Given a silence → its end is shown with the zone, as are the ends of the shift."""
    said(capsys, "silence", "add", "service=db", "--for", "2h", "--comment", "deploying")
    text = said(capsys, "handover")
    zone = f"{START.astimezone():%Z}"
    (line,) = section(text, "SILENCED")[1:]
    assert line.startswith(f"{(START + timedelta(hours=2, minutes=5)).astimezone():%d %b %H:%M:%S %Z}")
    assert zone in text.splitlines()[0].split("to")[0]
    assert "deploying" in line


def test_only_ends_without_any_act_count_as_unattended(desk, capsys):
    """Given an incident that ana resolved and one that its sender resolved → nobody acted on the second alone."""
    said(capsys, "resolve", desk.shown("db")["id"])
    text = said(capsys, "handover")
    ended = {line.split()[4]: line for line in section(text, "ENDED")[1:]}
    assert "ana (shared token)" in ended[desk.shown("db")["id"][:8]]
    assert " nobody " in ended[desk.shown("web")["id"][:8]]
    assert "3 began, 2 ended, 1 open now. On 1 of those that ended nobody acted." in text
    assert section(text, "NOISIEST RULES")[1].split() == ["3", "1", "1", "Boom"]


def test_a_shift_is_limited_to_its_time_and_matchers(desk, capsys):
    """Given a shift that began after the incidents → they are open and did not begin; matchers choose among them."""
    found = json.loads(said(capsys, "handover", "--since", "2m", "service=db", "-o", "json"))
    assert [row["group"]["service"] for row in found["open"]] == ["db"]
    assert (found["began"], found["noise"], found["since"]) == (0, [], "2026-11-26T12:03:00Z")


def test_markdown_takes_no_markup_from_outside(desk, capsys):
    """Given a title with | and HTML → it stays in its cell and is no HTML, and the times have their zone."""
    text = said(capsys, "handover", "-o", "markdown")
    (row,) = [line for line in text.splitlines() if "refused" in line]
    assert r"refused \| \<b\>now\</b\> (db)" in row
    assert row.replace(r"\|", "").count("|") == 7


@pytest.mark.parametrize(
    ("text", "hour", "day"),
    [("8h", 10, 26), ("1d 2h", 16, 25), ("17:00", 17, 26), ("22:00", 22, 25), ("2026-11-20", 0, 20)],
)
def test_since_is_a_duration_or_a_past_time(text, hour, day):
    """Given 18:00 → a duration counts back, a time of the day is the last one, a date is itself."""
    now = datetime(2026, 11, 26, 18, tzinfo=UTC)
    assert handover.began_at(text, now, "UTC") == datetime(2026, 11, day, hour, tzinfo=UTC)


def test_since_cannot_be_to_come():
    """Given a date of next year → an error that says what is expected."""
    with pytest.raises(RequestError, match="a time that is past"):
        handover.began_at("2027-01-01", START, "UTC")


def test_what_could_not_be_delivered_is_counted_by_target():
    """Given three given-up deliveries, one before the shift → the two are counted, with the newest error."""
    given_up = [(1, "a", -1), (2, "b", 1), (3, "c", 2)]
    results = [
        {"at": (START + timedelta(hours=hours)).isoformat(), "error": error, "seq": seq}
        for seq, error, hours in given_up
    ]
    told = [{"target": "slack_channel:#a", "results": results}, {"target": "email:x", "results": []}]
    found = shift.failures([{"told": told}], START)
    assert found == [shift.Failure("slack_channel:#a", 2, results[2]["at"], "c")]


class Storm:
    """An API with many ended incidents that counts what is asked."""

    def __init__(self, count):
        self.asked = []
        at = START.isoformat()
        self.rows = [
            {"id": f"{number:08x}", "ended": True, "ended_at": at, "started_at": at,
             "title": "x", "names": ["Boom"], "severity": "critical",
             "assigned_to": None, "acked_by": None}
            for number in range(count)
        ]  # fmt: skip

    def get(self, path, query=()):
        """What a stage would answer."""
        self.asked.append(path)
        if path in ("incidents", "silences"):
            rows = self.rows if path == "incidents" else []
            limit = int(dict(query)["limit"])
            return {path: rows[:limit], "total": len(rows), "next": None if len(rows) <= limit else "x"}
        return {"incident": {"id": path.rpartition("/")[2], "timeline": [], "told": []}}


def test_reads_are_bounded(capsys):
    """Given 5,000 ended incidents → one list and the newest timelines are read, and the report says what it leaves out."""
    api = Storm(5_000)
    found = shift.read_shift(api, START, START + timedelta(hours=8))
    assert len(api.asked) <= 2 + shift.MAX_LOOKED_AT
    assert found.noise == (shift.Noise("Boom", shift.MAX_INCIDENTS, 0, shift.MAX_INCIDENTS),)
    handover.print_text(found)
    printed = capsys.readouterr()
    assert "At least 1000 began" in printed.out
    assert f"Of {shift.MAX_LOOKED_AT} of {shift.MAX_INCIDENTS} incidents" in printed.out
    assert "1,000 of 5,000 incidents are shown" in printed.err
