"""The page of silences and windows: what it lists and foretells, what its buttons do, and what it refuses."""

import re
from datetime import timedelta
from urllib.parse import urlencode

import pytest

from chalicelib.core.calendar import Dates, Days, MonthDays
from chalicelib.core.rule import Window
from chalicelib.web.silences import window_days, window_times
from tests.web.harness import PageHarness
from tests.web.test_pages import HOSTILE, RULES, harness, id_of, line, text_of

WINDOWS = RULES + (
    "windows:\n  nights: {days: [mon, tue, wed, thu, fri], from: '22:00', to: '07:00'}\n"
    "routes: [{match: {severity: warning}, mute: [nights], notification: [{slack_channel: '#alerts'}]}]\n"
)
ACCESS = RULES + "access: {viewer: [guest], responder: [ana]}\n"


def asked(**fields):
    """Return the address of the form with these fields."""
    return f"/silences?{urlencode(fields)}"


def make(page, do="make", **fields):
    """Press the button of the preview. The reply."""
    token = page.form_token("/silences?matchers=a%3Db")
    return page.post("/silences", {"form": token, "do": do, "id": "abcd1234", "for": "1h", **fields})


def stored(page):
    """Return all silences as the API lists them."""
    return page.ask("list_silences", {"ended": ["true"]})["silences"]


def test_an_active_silence_says_what_it_mutes():
    """Given a silence that mutes an alert, and one that mutes nothing → each says so, by whom, why and until when."""
    page = harness(line(0, "Disk", title="Disk full", service="api"))
    id = id_of(page)
    page.ask("make_silence", body={"matchers": {"service": "api"}, "for": "2h", "by": "Bruno", "comment": "PR 812"})
    page.ask("make_silence", body={"matchers": {"service": "old"}, "for": "1h", "by": "Carla"})
    html = page.get("/silences")
    said = text_of(html)
    first, second = said.index("service=old"), said.index("service=api")
    assert "2 silences" in said and first < second
    assert "nothing now nothing since it began" in said[first:second]
    assert "1 alert now of Disk 1 incident since it began" in said[second:]
    assert f'incident/{id}">Disk</a>' in html
    assert "“PR 812”" in said and "Bruno" in said and "in 2 h" in said


def test_silences_to_come_and_ended_ones_have_their_own_lists():
    """Given a silence of tomorrow and one that was ended → the one is to come, of the other is known what it matched."""
    page = harness(line(0, "Disk", service="api"))
    page.ask("make_silence", body={"matchers": {"service": "web"}, "from": "22:00", "until": "23:00", "by": "Ana"})
    made = page.ask("make_silence", body={"matchers": {"service": "api"}, "for": "2h", "by": "Ana"})
    page.wait(timedelta(minutes=5))
    page.ask("end_silence", id=made["id"], body={"by": "Ana"})
    said = text_of(page.get("/silences"))
    assert "No silence is active." in said
    coming, ended = said.split("Ended in the last 7 days")
    assert "To come" in coming and "service=web" in coming and "nothing yet" in coming
    assert "service=api" in ended and "1 incident since it began" in ended


def test_a_silence_that_ends_before_it_began_is_among_the_ended():
    """Given a silence of tonight that is ended now → the page lists it as ended, not as one to come."""
    page = harness(line(0, "Disk", service="api"))
    made = page.ask(
        "make_silence", body={"matchers": {"service": "web"}, "from": "22:00", "until": "23:00", "by": "Ana"}
    )
    page.ask("end_silence", id=made["id"], body={"by": "Ana"})
    page.wait(timedelta(minutes=5))
    coming, ended = text_of(page.get("/silences")).split("Ended in the last 7 days")
    assert "service=web" not in coming and "service=web" in ended


def test_a_preview_names_what_would_be_muted_now():
    """Given matchers of a critical incident that nobody has → the preview names it and advises to acknowledge."""
    page = harness(
        line(0, "Disk", title="Disk full on db1", service="api"), line(1, "Slow", severity="warning", service="web")
    )
    said = text_of(page.get(asked(matchers="service=api")))
    assert "It mutes 1 incident that is critical and nobody has." in said
    assert "1 alert of 1 incident: Disk full on db1 (api) Critical" not in said
    assert "1 alert of 1 incident: Disk full on db1 (api)" in said and "Slow" not in said.split("Last 7 days")[0]
    assert not stored(page)


def test_a_preview_counts_what_it_would_have_muted_in_the_last_week():
    """Given ended incidents → the preview counts those that it matches, and their notifications by target."""
    page = harness(
        line(0, "Disk", service="api"),
        line(0, "Slow", service="web"),
        line(60, "Disk", status="resolved", service="api"),
        line(60, "Slow", status="resolved", service="web"),
    )
    page.wait(timedelta(hours=2))
    said = text_of(page.get(asked(matchers="service=api")))
    assert "nothing that fires" in said
    assert "would have muted 1 incident that ended, and with it 2 notifications of #incidents" in said
    assert "2 notifications of ops@example.com" in said
    page.wait(timedelta(days=8))
    page.sign_in()
    assert "would have muted no whole incident" in text_of(page.get(asked(matchers="service=api")))


def test_a_preview_tells_whole_incidents_from_partly_matched_ones():
    """Given an ended incident of two alerts → matchers of one of them have muted no whole incident, but some alerts."""
    page = harness(
        line(0, "Disk", service="api", host="a"),
        line(1, "Queue", service="api", host="b"),
        line(60, "Disk", status="resolved", service="api", host="a"),
        line(60, "Queue", status="resolved", service="api", host="b"),
    )
    page.wait(timedelta(hours=2))
    assert "would have muted no whole incident; of 1 other some alerts" in text_of(page.get(asked(matchers="host=a")))
    assert "would have muted 1 incident" in text_of(page.get(asked(matchers="host=~a|b")))


def test_a_label_that_nothing_has_is_warned_of():
    """Given a misspelt label → the preview says that no alert has it."""
    page = harness(line(0, "Disk", service="api"))
    assert "has the label servcie" in text_of(page.get(asked(matchers="servcie=api")))
    assert "has the label" not in text_of(page.get(asked(matchers="service=other")))


@pytest.mark.parametrize(
    ("fields", "mistake"),
    [
        ({"matchers": "service"}, "is no matcher"),
        ({"matchers": "service=~("}, "no regular expression"),
        ({"matchers": "service=~.*"}, "would mute everything"),
        ({"matchers": "service=api", "for": "own"}, "The end is missing"),
        ({"matchers": "service=api", "for": "own", "until": "someday"}, "someday"),
        ({"matchers": "service=api", "for": "9999d"}, "too long"),
        ({"matchers": "service=api", "from": "never"}, "never"),
        ({"edit": "nothing1"}, "there is no silence"),
        ({"incident": "ffff"}, "ffff"),
    ],
)
def test_a_mistake_stands_beside_the_form(fields, mistake):
    """Given fields that make no silence → the page says why, keeps what was typed, and offers no button."""
    page = harness(line(0, "Disk", service="api"))
    html = page.get(asked(**fields))
    assert page.reply.status == 200 and mistake in text_of(html)
    assert 'name="do" value="make"' not in html
    assert fields.get("matchers", "").replace("&", "&amp;") in html
    if "matchers" in fields:
        assert make(page, **fields).status >= 400 and not stored(page)


def test_the_button_of_the_preview_makes_the_silence():
    """Given a preview and its hidden fields → the button makes that silence once, in the name of who is signed in."""
    page = harness(line(0, "Disk", service="api"))
    html = page.get(asked(matchers='service=api\nhost!="b c"', **{"for": "own", "until": "18:30"}))
    form = html[html.index('id="new"') :]
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form))
    hidden["matchers"] = hidden["matchers"].replace("&#34;", '"')
    sent = {**hidden, "comment": "deploying", "do": "make"}
    assert page.post("/silences", sent).status == 303
    page.post("/silences", sent)
    (found,) = stored(page)
    assert found["matchers"] == ['host!="b c"', "service=api"] and found["by"] == "Ana Souza"
    assert found["comment"] == "deploying" and found["ends_at"] == "2026-11-26T21:30:00Z"
    assert "Silence" in (said := text_of(page.get("/silences"))) and "until 18:30." in said


def test_a_length_counts_from_the_beginning():
    """Given one hour that begins at 22:00 of the reader's zone → it ends at 23:00."""
    page = harness()
    make(page, matchers="service=api", **{"from": "22:00"})
    (found,) = stored(page)
    assert (found["starts_at"], found["ends_at"]) == ("2026-11-27T01:00:00Z", "2026-11-27T02:00:00Z")


def test_maintenance_is_made_as_such():
    """Given the choice of maintenance → it is maintenance, and mutes nothing that targets were notified of."""
    page = harness(line(0, "Disk", service="api"))
    html = page.get(asked(matchers="service=api", maintenance="yes"))
    assert "nothing that fires" in text_of(html) and "Start maintenance until" in text_of(html)
    make(page, matchers="service=api", maintenance="yes")
    (found,) = stored(page)
    assert found["maintenance"] is True and found["mutes"] == []


def test_a_silence_is_changed_and_ended():
    """Given a silence → its form is filled in, the change keeps its author and what was left, and End now ends it."""
    page = harness(line(0, "Disk", service="api"))
    made = page.ask("make_silence", body={"matchers": {"service": "api"}, "for": "2h", "by": "Bruno", "comment": "x"})
    id = made["id"]
    html = page.get(asked(edit=id))
    assert f"Change the silence {id} of Bruno" in text_of(html) and ">service=api</textarea>" in html
    ends_at = stored(page)[0]["ends_at"]
    reply = make(page, "edit", id=id, matchers="service=api\nhost=a", comment="y", **{"for": "kept"})
    assert reply.status == 303
    (found,) = stored(page)
    assert (found["by"], found["comment"], found["ends_at"]) == ("Bruno", "y", ends_at)
    assert found["matchers"] == ["host=a", "service=api"] and found["changes"][0]["by"] == "Ana Souza"
    page.wait(timedelta(seconds=1))
    assert make(page, "end", id=id).status == 303
    assert stored(page)[0]["state"] == "ended"
    assert make(page, "end", id=id).status == 409


def test_again_fills_in_what_an_ended_one_was():
    """Given an ended silence → Again fills in its matchers and makes a new one."""
    page = harness()
    made = page.ask("make_silence", body={"matchers": {"service": "api"}, "for": "1m", "by": "Bruno"})
    page.wait(timedelta(minutes=2))
    html = page.get(asked(again=made["id"]))
    assert ">service=api</textarea>" in html and 'value="make"' in html


def test_an_incident_and_a_service_lead_to_the_form():
    """Given the link of an incident, or of a service → its matchers are filled in; a hostile name stays one value."""
    page = harness(line(0, "Disk", service="api"))
    id = id_of(page)
    for address in ("/", f"/incident/{id}"):
        assert f"silences?incident={id}#new" in page.get(address)
    assert "service=api" in page.get(asked(incident=id)).split("<textarea")[1].split("</textarea>")[0]
    assert ">service=api</textarea>" in page.get(asked(service="api"))
    html = page.get(asked(service='!~x" y=~".*'))
    page.post("/silences", {"form": page.form_token("/silences"), "do": "make", "id": "abcd", "for": "1h",
                            "matchers": html.split("<textarea")[1].split(">", 1)[1].split("<")[0].replace("&#34;", '"')})  # fmt: skip
    (found,) = stored(page)
    assert len(found["matchers"]) == 1 and found["matchers"][0].startswith("service=")


def test_an_incident_that_is_over_says_so():
    """Given the link of an incident that has ended → the form says that it is resolved."""
    page = harness(line(0, "Disk", service="api"), line(30, "Disk", status="resolved", service="api"))
    id = id_of(page)
    page.wait(timedelta(hours=2))
    assert "resolved" in text_of(page.get(asked(incident=id))).split("Windows of")[0]


def test_hostile_text_is_inert():
    """Given hostile matchers, reasons and names → all of it is text."""
    page = harness(line(0, "Disk", service="api"))
    page.ask("make_silence", body={"matchers": {"x": HOSTILE}, "for": "1h", "by": "<b>Bo</b>", "comment": HOSTILE})
    html = page.get(asked(matchers=f"service={HOSTILE}"))
    assert "<script>alert" not in html and "<b>Bo" not in html and "49" not in re.findall(r">[^<]*49[^<]*<", html)
    assert "&lt;script&gt;alert(1)" in html
    html = page.get(asked(service=HOSTILE, until=HOSTILE, **{"for": HOSTILE, "from": HOSTILE}))
    assert "<script>alert" not in html


def test_a_viewer_sees_and_does_nothing():
    """Given the role of a viewer → the lists and the preview, disabled buttons, and 403 for a form."""
    page = PageHarness(line(0, "Disk", service="api"), rules=ACCESS)
    page.sign_in("Guest", "token:guest")
    page.ask("make_silence", body={"matchers": {"service": "web"}, "for": "1h", "by": "Bruno"})
    html = page.get(asked(matchers="service=api"))
    assert html.count(" disabled") >= 2 and "1 alert of 1 incident" in text_of(html)
    assert make(page, matchers="service=api").status == 403
    assert make(page, "end", id=stored(page)[0]["id"]).status == 403
    assert [each["state"] for each in stored(page)] == ["active"]
    assert "Silence…" not in page.get("/")


@pytest.mark.parametrize(
    "fields", [{"form": ""}, {"do": "drop"}, {"id": "../x", "do": "make"}, {"id": "", "do": "end"}]
)
def test_other_forms_do_nothing(fields):
    """Given a form without its token, of another kind, or with a wrong id → nothing is made."""
    page = harness()
    assert make(page, **{"matchers": "service=api", **fields}).status >= 400
    assert not stored(page)


def test_windows_say_when_they_open():
    """Given a window of nights → its days and times, the next opening, and for what it is."""
    page = harness(rules=WINDOWS)
    said = text_of(page.get("/silences")).split("Windows of")[1]
    assert "nights Mon to Fri, 22:00–07:00 America/Sao_Paulo closed 22:00 in 13 h" in said
    assert "muted while it is open: severity=warning" in said
    page.wait(timedelta(hours=14))
    said = text_of(page.get("/silences")).split("Windows of")[1]
    assert "open until 07:00 27 Nov" not in said and "open until" in said and "in 23 h" in said


@pytest.mark.parametrize(
    ("days", "minutes", "words"),
    [
        (Days(), (0, 1440), "every day, all day"),
        (Days(week=frozenset(range(7))), (60, 120), "every day, 01:00–02:00"),
        (Days(week=frozenset(range(5))), (1320, 420), "Mon to Fri, 22:00–07:00"),
        (Days(week=frozenset({5, 6})), (0, 1440), "Sat, Sun, all day"),
        (Days(week=frozenset()), (0, 1440), "never, all day"),
        (Days(months=frozenset({12})), (0, 1440), "in Dec, all day"),
        (Days(month=(MonthDays(1, 7), MonthDays(-1, -1))), (0, 1440), "day 1 to 7, -1 of the month, all day"),
        (Days(dates=(Dates("12-24", "01-02"),)), (0, 1440), "12-24 to 01-02, all day"),
        (Days(dates=(Dates("2026-12-24", "2026-12-24"),) * 6), (0, 1440), f"{'2026-12-24, ' * 4}2 more, all day"),
    ],
)
def test_windows_in_words(days, minutes, words):
    """Given days and minutes → words."""
    window = Window("w", days, *minutes, "UTC")
    assert f"{window_days(window)}, {window_times(window)}" == words


def test_the_band_names_the_worst_incident():
    """Given open incidents → the worst one that nobody has stands above the page, with how many are open."""
    page = harness(
        line(0, "Slow", severity="warning", title="Slow answers", service="web"),
        line(1, "Disk", title="Disk full", service="api"),
        line(2, "Down", title="All down", service="db"),
    )
    band = re.compile(r'<div class="band( calm)?"[^>]*>(.*?)</div>', re.DOTALL)
    hot, said = band.search(page.get("/silences")).groups()
    assert hot is None and "Disk full (api)" in said and "nobody has it" in said and "All 3 open" in said
    page.act(id_of(page), "ack")
    page.act(id_of(page, "db"), "ack")
    hot, said = band.search(page.get("/silences")).groups()
    assert hot == " calm" and "Disk full (api)" in said and "Ana Souza has it" in said
    assert "No incident is open" in band.search(harness().get("/silences"))[2]


def test_the_page_reads_a_bounded_number_of_incidents():
    """Given 60 ended incidents that a silence matches → 30 of them are read whole, and the page says of which it speaks."""
    lines = [line(0, "Disk", service=f"s{n}", team="core") for n in range(60)]
    lines += [line(60, "Disk", status="resolved", service=f"s{n}", team="core") for n in range(60)]
    page = harness(*lines)
    page.wait(timedelta(hours=2))
    read = []
    store = page.router.store
    load_all, archives = store.load_all, store.archives
    store.load_all = lambda keys: read.extend(keys) or load_all(keys)
    store.archives = lambda ids: read.extend(ids) or archives(ids)
    said = text_of(page.get(asked(matchers="team=core")))
    assert "would have muted 60 incidents" in said and "(of the newest 30 of them) 60 notifications" in said
    assert len(read) == 30
