"""The commands that people use, against the API of a router on a virtual clock."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.core.errors import TocsinError
from cli import remote as remotes
from cli.main import main
from cli.silence import timezone
from cli.table import ago, clean, print_table, span, width
from tests import extremes
from tests.api_harness import ApiHarness, fire, open_desk

TOKEN = "0123456789abcdef"


class Terminal:
    """A person at a terminal with `tocsin`."""

    def __init__(self, desk, capsys):
        self.desk = desk
        self._capsys = capsys

    def run(self, *words):
        """The exit status, what is printed, and the errors."""
        status = main(list(words))
        said = self._capsys.readouterr()
        return status, said.out, said.err

    def says(self, *words):
        """What a command that goes well prints."""
        status, out, error = self.run(*words)
        assert status == 0, error
        return out

    def id(self, service="api"):
        """The first characters of the incident of a service."""
        return self.desk.shown(service)["id"][:6]


@pytest.fixture
def terminal(capsys, monkeypatch):
    """A router with two open incidents and a pending alert."""
    desk = ApiHarness(fire(), fire("db", "Connection refused", zone="eu"), fire("web", "slow", kind="slow"))
    with open_desk(desk, TOKEN) as url:
        monkeypatch.setenv("TOCSIN_URL", url)
        monkeypatch.setenv("TOCSIN_TOKEN", TOKEN)
        monkeypatch.setenv("TOCSIN_USER", "ana")
        monkeypatch.setenv("TZ", "UTC")
        yield Terminal(desk, capsys)


def test_alerts_are_a_table(terminal):
    """One line each, with what holds it back; matchers choose."""
    head, *rows = terminal.says("alerts").splitlines()
    assert head.split() == ["SEVERITY", "STATE", "ALERT", "FOR", "EVENTS", "VALUE", "INCIDENT", "WHERE"]
    assert [row.split()[:3] for row in rows] == [
        ["critical", "firing", "Boom"],
        ["critical", "firing", "Boom"],
        ["warning", "pending", "Slow"],
    ]
    assert "zone=eu" in terminal.says("alerts", "service=db")
    assert terminal.says("alerts", "service=none") == "nothing is pending or firing\n"


def test_incidents_say_who_has_them(terminal):
    """Acknowledged and assigned ones name the person; ended ones are shown when asked for."""
    terminal.says("ack", terminal.id())
    terminal.says("assign", terminal.id("db"), "bo")
    rows = {row.split()[0][:6]: row for row in terminal.says("incidents").splitlines()[1:]}
    assert "acked" in rows[terminal.id()]
    assert "ana" in rows[terminal.id()]
    assert "bo" in rows[terminal.id("db")]
    gone = terminal.id()
    terminal.says("resolve", gone)
    assert gone not in terminal.says("incidents")
    assert "ended" in terminal.says("incidents", "--all", "service=api")


def test_one_incident_is_shown_with_what_happened(terminal):
    """Facts, alerts and the timeline with who did what."""
    id = terminal.id()
    assert terminal.says("ack", id, "--note", "mine") == f"{terminal.desk.shown()['id'][:8]} is acknowledged by ana\n"
    terminal.says("note", id, "disk", "is", "full", "--by", "bo")
    shown = terminal.says("show", id)
    for part in (
        "x (api)",
        "critical, acked",
        "escalates after 15 minutes",
        "ana (shared token): acknowledged: mine",
        "bo (shared token): disk is full",
    ):
        assert part in shown


def test_taking_back_an_acknowledgement_shows(terminal):
    """Nobody has it any more."""
    terminal.says("ack", terminal.id())
    terminal.says("unack", terminal.id())
    assert terminal.desk.shown()["acked_by"] is None


def test_what_fires_cannot_be_kept_open(terminal):
    """Given an incident that fires → keep is refused with the reason, and the command fails."""
    status, _, error = terminal.run("keep", terminal.id())
    assert status == 1
    assert "still fires, so it stays open by itself" in error


def test_only_some_alerts_can_be_acknowledged(terminal):
    """A matcher that fits none of its alerts acknowledges none, and the command fails."""
    status, _, error = terminal.run("ack", terminal.id(), "--match", "zone=nowhere")
    assert status == 1
    assert "none of the alerts" in error and "zone=nowhere" in error
    assert terminal.desk.shown()["acked_by"] is None


def test_who_is_second_reads_who_was_first(terminal):
    """Given an incident that ana has, when bo acknowledges it → the command ends well and names ana."""
    terminal.says("ack", terminal.id())
    terminal.desk.wait(timedelta(seconds=1))
    assert "ana has acknowledged" in terminal.says("ack", terminal.id(), "--by", "bo")
    assert "nobody has acknowledged" in terminal.says("unack", terminal.id("db"))


@pytest.mark.parametrize("act", ["ack", "resolve"])
def test_several_incidents_are_acted_on_at_once(terminal, act):
    """Given two incidents, when both are named → both are acted on, one line each."""
    said = terminal.says(act, terminal.id(), terminal.id("db")).splitlines()
    assert [line.split()[0] for line in said] == [terminal.desk.shown(each)["id"][:8] for each in ("api", "db")]
    assert {terminal.desk.shown(each)["status" if act == "resolve" else "acked_by"] for each in ("api", "db")} == {
        "resolved" if act == "resolve" else "ana"
    }


def test_one_that_is_refused_stops_no_other(terminal):
    """Given an unknown incident among three → it is named, the others are acknowledged, and the command fails."""
    status, out, error = terminal.run("ack", terminal.id(), "ffffff", terminal.id("db"))
    assert (status, len(out.splitlines())) == (1, 2)
    assert error.startswith("tocsin: no incident of the last 90 days") and error.count("\n") == 1
    assert [terminal.desk.shown(each)["acked_by"] for each in ("api", "db")] == ["ana", "ana"]
    status, out, _ = terminal.run("unack", "ffffff", terminal.id("db"), "--json")
    assert status == 1
    refused, done = json.loads(out)
    assert (refused["incident"], done["status"]) == ("ffffff", "accepted") and "no incident" in refused["error"]


def test_an_api_that_does_not_answer_is_asked_once(terminal):
    """Given an address where nothing answers, when two incidents are named → one line, and the command fails."""
    status, out, error = terminal.run("ack", "aaaa", "bbbb", "--url", "http://127.0.0.1:9")
    assert (status, out, error.count("\n")) == (1, "", 1)


@pytest.mark.parametrize("form", ["`{}`", "#{}", "{}…", "{},", "`{}…`,", " {} "])
def test_ids_are_taken_as_answers_show_them(terminal, form):
    """Given an id with what stands around it in our answers → the incident and the silence are found."""
    id = terminal.id()
    assert "x (api)" in terminal.says("show", form.format(id))
    assert "slack_channel:#a" in terminal.says("who", form.format(id))
    assert "acknowledged" in terminal.says("ack", form.format(id))
    made = json.loads(terminal.says("silence", "add", "service=db", "--for", "2h", "--json"))["id"]
    terminal.desk.wait(timedelta(seconds=1))
    assert "until 26 Nov 17:00" in terminal.says("silence", "edit", form.format(made[:5]), "--until", "17:00")
    terminal.desk.wait(timedelta(seconds=1))
    assert terminal.says("silence", "expire", form.format(made[:4])) == f"{made} ended by ana\n"


def test_no_silence_is_ended_by_one_letter(terminal):
    """Given one silence, when its first letter is named → it goes on."""
    made = json.loads(terminal.says("silence", "add", "service=db", "--for", "2h", "--json"))["id"]
    terminal.desk.wait(timedelta(seconds=1))
    status, _, error = terminal.run("silence", "end", made[0])
    assert status == 1 and "at least 4 characters" in error
    assert "active" in terminal.says("silence")


def test_a_silence_from_end_to_end(terminal):
    """Made, listed with what it mutes, edited, ended."""
    said = terminal.says("silence", "add", "service=db", "--for", "2h", "--comment", "deploying")
    id = said.split()[1]
    assert "mutes 1 of the alerts" in said
    row = terminal.says("silence").splitlines()[1]
    assert row.split()[:2] == [id, "active"]
    assert row.endswith("deploying")
    assert f"silenced by {id}" in terminal.says("alerts", "service=db")
    terminal.desk.wait(timedelta(seconds=1))
    assert "until 27 Nov 09:00:00" in terminal.says("silence", "edit", id, "--until", "tomorrow")
    terminal.desk.wait(timedelta(seconds=1))
    assert terminal.says("silence", "expire", id) == f"{id} ended by ana\n"
    assert terminal.says("silence", "list") == "nothing is silenced\n"
    assert "ended" in terminal.says("silence", "list", "--all")


@pytest.mark.parametrize("word", [*extremes.TIMES, *extremes.DURATIONS], ids=lambda word: word[:30])
def test_a_time_that_no_date_can_be_is_told(terminal, word):
    """A silence, a list and the history refuse it on one line, and nothing is silenced."""
    for words in (
        ("silence", "add", "service=api", f"--until={word}"),
        ("silence", "add", "service=api", f"--for={word}"),
        ("silence", "add", "service=api", "--for=1h", f"--from={word}"),
        ("history", f"--since={word}"),
        ("history", f"--until={word}"),
    ):
        status, out, error = terminal.run(*words)
        assert (status, out, error.count("\n")) == (1, "", 1)
        assert "no time" in error or "is too long" in error
    assert terminal.desk.router.store.context().silences == ()


def test_an_incident_is_silenced_without_matchers(terminal):
    """Maintenance of what somebody is looking at; what was told already goes on."""
    said = terminal.says("silence", "add", "--incident", terminal.id("db"), "--for", "1h", "--maintenance")
    assert "maintenance" in said
    assert "alertname=Boom, service=db" in said
    assert "it mutes nothing that fires now" in said


def test_a_misspelt_silence_says_that_it_mutes_nothing(terminal):
    """Given a label or value that nothing has → the answer says so, and names a label that nothing has at all."""
    said = terminal.says("silence", "add", "servise=db", "--for", "2h").splitlines()
    assert said[1:] == [
        "it mutes nothing that fires now",
        "no firing alert and no rule has a label servise; did you mean service?",
    ]
    assert terminal.says("silence", "add", "service=dc", "--for", "2h").splitlines()[1:] == said[1:2]


def test_an_incident_and_matchers_are_refused_together(terminal):
    """Given --incident and matchers → refused, where the matchers were ignored."""
    status, _, error = terminal.run("silence", "add", "--incident", terminal.id(), "zone=eu", "--for", "1h")
    assert (status, "both `incident` and `matchers` are given" in error) == (1, True)
    assert terminal.desk.router.store.context().silences == ()


def test_times_are_in_the_zone_that_is_named(terminal, monkeypatch):
    """Given --timezone, else the zone of the machine → until when is read in it, and printed with the machine's zone."""
    said = terminal.says("silence", "add", "service=db", "--until", "Friday 2 pm", "--timezone", "America/Sao_Paulo")
    assert "until 27 Nov 17:00:00 UTC" in said
    monkeypatch.setenv("TZ", "Europe/Riga")
    terminal.says("silence", "add", "service=db", "--until", "tomorrow 14:00", "--comment", "riga")
    found = {each.comment: each.ends_at for each in terminal.desk.router.store.context().silences}
    assert found["riga"] == datetime(2026, 11, 27, 12, tzinfo=UTC)
    assert "no time from now" in terminal.run("silence", "add", "service=db", "--for", "18:30")[2]
    assert "which `for` takes" in terminal.run("silence", "add", "service=db", "--until", "2h")[2]


def test_who_hears(terminal):
    """Of a service by its rules, of an incident by its route."""
    assert "pagerduty:default" in terminal.says("who", "service=api")
    assert "slack_channel:#a" in terminal.says("who", terminal.id())


@pytest.mark.parametrize("words", [["alerts"], ["incidents"], ["silence"], ["who", "service=api"]])
def test_json_is_for_tools(terminal, words):
    """What the API says, whole."""
    assert isinstance(json.loads(terminal.says(*words, "--json")), list)


def test_acts_can_be_told_as_json(terminal):
    """A script finds what it made."""
    made = json.loads(terminal.says("silence", "add", "service=db", "--for", "2h", "--json"))
    assert json.loads(terminal.says("silence", "end", made["id"], "--json"))["id"] == made["id"]
    assert json.loads(terminal.says("ack", terminal.id(), "--json"))["status"] == "accepted"
    assert json.loads(terminal.says("show", terminal.id(), "--json"))["acked_by"] == "ana"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["show", "ffffff"], "no incident"),
        (["show", "../../x"], "no incident"),
        (["silence", "end", "nope"], "no silence"),
        (["silence", "add", "service=db"], "end is missing"),
        (["silence", "add", "db", "--for", "1h"], "no matcher"),
        (["who", "api", "x=y"], "no label"),
        (["alerts", "--url", "ftp://x"], "no address"),
        (["alerts", "--url", "http://127.0.0.1:9"], "does not answer"),
    ],
)
def test_mistakes_are_one_line(terminal, words, says):
    """Each says what is wrong; the exit status is 1."""
    status, out, error = terminal.run(*words)
    assert (status, out) == (1, "")
    assert says in error
    assert len(error.splitlines()) == 1


def test_a_wrong_token_is_told(terminal, monkeypatch):
    """And is not repeated."""
    monkeypatch.setenv("TOCSIN_TOKEN", "another-token-of-length")
    status, _, error = terminal.run("alerts")
    assert status == 1
    assert "token is wrong" in error
    assert "another-token" not in error


def test_without_a_token_the_person_is_told_which(monkeypatch, capsys):
    """TOCSIN_URL alone is not enough."""
    monkeypatch.setenv("TOCSIN_URL", "http://127.0.0.1:9")
    monkeypatch.delenv("TOCSIN_TOKEN", raising=False)
    assert main(["alerts"]) == 1
    assert "TOCSIN_TOKEN" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("values", "token"),
    [
        ({"API_TOKEN": "a-shared-token", "PAGE_TOKEN": "of-the-page"}, "a-shared-token"),
        ({"PAGE_TOKEN": "of-the-page"}, "of-the-page"),
        ({"API_TOKEN": "ana:her-token, another"}, "another"),
        ({"API_TOKEN": "ana:her-token"}, "her-token"),
        ({"API_TOKEN": "ana:her-token", "PAGE_TOKEN": "of-the-page"}, "her-token"),
    ],
)
def test_the_token_of_a_stage_is_found(values, token):
    """A shared one of API_TOKEN first; of one that is somebody's only the token is sent."""
    parameters = [{"Name": f"/tocsin/dev/{name}", "Value": value} for name, value in values.items()]
    assert remotes._token("dev", parameters) == token


def test_a_stage_without_a_token_says_what_to_set():
    """By its whole name."""
    with pytest.raises(TocsinError, match="/tocsin/dev/API_TOKEN"):
        remotes._token("dev", [])


def test_the_address_of_a_stage_is_that_of_its_api():
    """Given what a deploy has kept → the address of the HTTP API, else of the REST API in Chalice's record."""
    kept = {
        "chalice": {"resources": [{"resource_type": "iam_role"}, {"resource_type": "rest_api", "rest_api_id": "x1"}]}
    }
    assert remotes.address_of(kept, "eu-west-1") == "https://x1.execute-api.eu-west-1.amazonaws.com/api/"
    assert (
        remotes.address_of({**kept, "http_api": "h1"}, "eu-west-1") == "https://h1.execute-api.eu-west-1.amazonaws.com/"
    )
    with pytest.raises(TocsinError):
        remotes.address_of({}, "eu-west-1")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (59, "59s"), (61, "1m 1s"), (600, "10m"), (3_900, "1h 5m"), (90_000, "1d 1h"), (2_592_000, "30d")],
)
def test_durations_are_short(seconds, text):
    """Two units where the smaller still matters."""
    assert span(seconds) == text


def test_a_time_to_come_says_so():
    """An end that is ahead is `in` so long."""
    now = datetime(2026, 11, 26, 12, tzinfo=UTC)
    assert ago("2026-11-26T14:00:00Z", now) == "in 2h"
    assert ago("2026-11-26T11:00:00Z", now) == "1h"
    assert ago(None, now) == ""


def test_text_from_outside_cannot_steer_the_terminal(capsys):
    """Control characters become blanks; wide characters take two cells."""
    print_table(["A", "B"], [["\x1b[31mred", "東京\nx"], ["y", "z"]])
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert len(out.splitlines()) == 3
    assert (clean("a\tb"), width("東京")) == ("a b", 4)


@pytest.mark.parametrize(
    ("environment", "link", "name"),
    [
        ({"TZ": "Europe/Riga"}, "/etc/localtime", "Europe/Riga"),
        ({}, "/usr/share/zoneinfo/America/Sao_Paulo", "America/Sao_Paulo"),
        ({"TZ": ":/usr/share/zoneinfo/Europe/Riga"}, "/nowhere", "Europe/Riga"),
        ({}, "/nowhere", ""),
    ],
)
def test_the_zone_is_this_machines(environment, link, name, tmp_path):
    """Given TZ, or a link of the local time → its name; without both → none, so that the rules file decides."""
    localtime = tmp_path / "localtime"
    localtime.symlink_to(link)
    assert timezone(environment, localtime) == name


def test_who_takes_a_service_or_labels(terminal):
    """Given --service, labels or nothing → the rows of that service, both together, or one line of what is expected."""
    rows = terminal.says("who", "service=api")
    head, *found = terminal.says("who", "--service", "api").splitlines()
    assert head == "The rules of this stage have no service 'api'. By that label:"
    assert found == rows.splitlines()
    answer = json.loads(terminal.says("who", "--service", "api", "environment=x", "--json"))
    assert next(each["rule"] for each in answer["who"]) == "Boom"
    assert isinstance(json.loads(terminal.says("who", "service=api", "--json")), list)
    for words in ([], ["--service", "api", "3f2a"]):
        status, _, error = terminal.run("who", *words)
        assert (status != 0, error.count("\n")) == (True, 1)
