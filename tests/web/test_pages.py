"""What the pages show of real incidents, and what their buttons do, by the addresses of a browser."""

import re
from datetime import timedelta

import pytest

from chalicelib.core.metrics.sample import Sample
from chalicelib.messages.queue import samples_messages
from tests.api_harness import START, fire
from tests.web.harness import PageHarness

HOSTILE = "<script>alert(1)</script>\"'&{{ 7*7 }} \u202e"
RULES = """
defaults: {timezone: America/Sao_Paulo}
services: {api: {owner: team-core}}
alerts:
  - name: Boom
    match: {source: event}
    group_by: [service]
    group_wait: 0s
    runbook: error-spike
    escalate: [{after: 15m, notification: [{pagerduty: second}]}]
    notification: [{slack_channel: "#incidents"}, {email: ops@example.com}]
default: {notification: [{slack_channel: "#rest"}]}
"""


def line(seconds, name, *, severity="critical", status="firing", title="", summary="", **labels):
    """Return a line of an event."""
    at = (START + timedelta(seconds=seconds)).isoformat()
    event = {"name": name, "severity": severity, "status": status, "labels": labels, "title": title or name}
    return {"at": at, "event": {**event, "annotations": {"summary": summary} if summary else {}}}


def harness(*lines, rules=RULES, **named):
    """Return a page over these lines with Ana signed in."""
    found = PageHarness(*lines, rules=rules, **named)
    found.sign_in()
    return found


def text_of(html):
    """Return what a reader sees of a page, without the navigation."""
    main = html[html.index("<main") :]
    return " ".join(re.sub(r"<(script|style).*?</\1>|<[^>]+>", " ", main, flags=re.DOTALL).split())


def id_of(page, service="api"):
    """Return the id of the open incident of a service."""
    return page.shown(service)["id"]


def test_a_critical_incident_that_nobody_has_is_a_card():
    """Given a critical alert → the first page has its title, that nobody has it, who is next, and the first steps."""
    page = harness(line(0, "Disk", title="Disk full on db1", summary="9 % left", service="api"))
    html = page.get("/")
    said = text_of(html)
    assert '<article class="unowned"' in html and "(1 critical) Now" in html
    assert "Critical" in said and "Disk full on db1 (api)" in said and "9 % left" in said
    assert "Nobody yet then PagerDuty (second), in 15 min" in said
    assert "#incidents, ops@example.com" in said
    assert "Do first · Error Spike" in said


def test_the_first_page_sorts_what_is_open():
    """Given warnings, one acknowledged, one silenced, one resolved → rows in their sections, each with its state."""
    page = harness(
        line(0, "Slow", severity="warning", title="Slow answers", service="api"),
        line(1, "Full", severity="warning", title="Nearly full", service="db"),
        line(2, "Hydration", severity="warning", title="Hydration failed", service="web"),
        line(3, "Queue", severity="warning", title="Queue long", service="jobs"),
        line(100, "Queue", severity="warning", status="resolved", title="Queue long", service="jobs"),
    )
    page.act(id_of(page, "db"), "ack")
    page.ask("make_silence", body={"matchers": {"service": "web"}, "for": "8h", "by": "Bruno", "comment": "PR 812"})
    said = text_of(page.get("/"))
    open_part, muted_part = said.split("Muted firing, but nobody is notified")
    assert "4 open incidents" in said
    assert "Slow answers (api)" in open_part and "owner team-core" in open_part and "nobody yet" in open_part
    assert "Nearly full (db)" in open_part and "Ana Souza" in open_part and "runs out" in open_part
    assert "Resolved, closing Queue long (jobs)" in open_part and "Close now" in open_part
    assert "Hydration failed (web)" in muted_part and "of Bruno (PR 812)" in muted_part and "until" in muted_part


def test_an_incident_about_to_close_can_be_kept_open():
    """Given an incident that is about to close, when a person keeps it open → its page says who does, and has Close now alone."""
    page = harness(
        line(0, "Queue", title="Queue long", service="jobs"),
        line(100, "Queue", status="resolved", title="Queue long", service="jobs"),
    )
    id = id_of(page, "jobs")
    assert "Keep open" in text_of(page.get(f"/incident/{id}"))
    page.act(id, "keep")
    said = text_of(page.get(f"/incident/{id}"))
    assert "keeps it open until somebody resolves it" in said and "Close now" in said and "Keep open" not in said


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("?service=api", ["api"]),
        ("?q=service%3Ddb", ["db"]),
        ("?q=severity%3D~%22crit.*%22", ["db"]),
        ("?q=full", ["db"]),
        ("?q=nothing+of+that", []),
        ("?q=full&service=api", []),
    ],
)
def test_a_filter_takes_matchers_words_and_services(query, found):
    """Given a filter in the address → only what it takes is shown, and what is typed stays in the field."""
    page = harness(
        line(0, "Slow", severity="warning", title="Slow answers", service="api"),
        line(1, "Disk full", title="Nearly full", service="db"),
    )
    said = text_of(page.get(f"/{query}"))
    shown = [name for name, title in (("api", "Slow answers (api)"), ("db", "Nearly full (db)")) if title in said]
    assert shown == found
    assert found or "Nothing that is open fits this filter" in said


def test_nothing_fires():
    """Given nothing that is open → the page says since when, and nothing that it does not know."""
    assert "Nothing fires No incident ended in the last 7 days." in text_of(harness().get("/"))
    page = harness(line(0, "Disk", service="api"), line(30, "Disk", status="resolved", service="api"))
    page.wait(timedelta(hours=3))
    assert "Nothing fires The last incident ended" in text_of(page.get("/"))


def test_a_stage_whose_probes_stand_still_is_not_calm():
    """Given probes that have not run for two periods → the page says that it does not know."""
    rules = RULES + 'probes: {uptime: [{name: web, url: "https://example.com/", service: api}]}\n'
    page = harness(rules=rules)
    page.router.store.put_mark("run:watch", page.router.now.isoformat())
    assert "Nothing fires" in (said := text_of(page.get("/"))) and "that is known of" not in said
    page.wait(timedelta(minutes=3))
    said = text_of(page.get("/"))
    assert "Nothing fires that is known of" in said and "The probes stand still" in said


def test_an_incident_shows_who_was_notified_and_what_happened():
    """Given an incident with two alerts, an acknowledgement and a note → each in its place, the newest line first."""
    page = harness(
        line(0, "Disk", title="Disk full", summary="9 % left", service="api", host="db1"),
        line(20, "Slow", severity="warning", title="Slow answers", service="api"),
    )
    id = id_of(page)
    page.act(id, "ack")
    page.wait(timedelta(minutes=1))
    page.act(id, "note", note="looking at it")
    said = text_of(page.get(f"/incident/{id}"))
    assert "Who has it Ana Souza" in said and "Give back" in said
    assert "2 alerts, one incident together by service=api" in said
    assert "Disk full Boom · host=db1, service=api" in said
    timeline = said[said.index("Timeline") :]
    order = [
        "“looking at it” by Ana Souza",
        "Acknowledged by Ana Souza",
        "#incidents notified of the beginning",
        "Began",
    ]
    places = [timeline.index(each) for each in order]
    assert places == sorted(places)
    assert "delivered" in timeline
    assert "ops@example.com" in said[said.index("Notified") :]


def test_times_are_of_the_readers_zone():
    """Given the zone of the browser in a cookie → times of that zone with UTC beside; a zone that is none: the team's."""
    page = harness(line(0, "Disk", service="api"))
    page.wait(timedelta(minutes=5))
    assert 'title="26 Nov 2026 12:00:00 UTC">09:00<' in page.get("/")
    page.cookies["tz"] = "Asia/Kolkata"
    assert 'title="26 Nov 2026 12:00:00 UTC">17:30<' in (html := page.get("/")) and "Times in Kolkata, UTC+5:30" in html
    page.cookies["tz"] = "../../etc/passwd"
    assert "Times in Sao Paulo, UTC−3" in page.get("/")


@pytest.mark.parametrize(
    ("do", "fields", "kind"),
    [
        ("ack", {}, "ack"),
        ("resolve", {}, "resolve"),
        ("note", {"note": "x"}, "note"),
        ("assign", {"to": "bo"}, "reassign"),
    ],
)
def test_a_button_does_what_it_says(do, fields, kind):
    """Given a button of an incident → the act is done in the person's name by the page, and the next page says so once."""
    page = harness(fire())
    id = id_of(page)
    reply = page.act(id, do, **fields)
    assert (reply.status, reply.headers["Location"]) == (303, f"../incident/{id}")
    done = [each for each in page.ask("show_incident", id=id)["incident"]["timeline"] if each["kind"] == kind]
    assert [(each["by"], each["via"], each["account"]) for each in done] == [("Ana Souza", "page", "token:")]
    assert 'class="note ok flash"' in page.get(f"/incident/{id}")
    assert 'class="note ok flash"' not in page.get(f"/incident/{id}")


def test_a_button_that_comes_too_late_is_answered():
    """Given an incident that somebody else has already → the answer names who, and nothing changes."""
    page = harness(fire())
    id = id_of(page)
    page.act(id, "ack")
    page.sign_in("Bo")
    page.act(id, "ack")
    assert "Ana Souza has acknowledged" in text_of(page.get(f"/incident/{id}"))


def test_an_act_without_its_text_is_refused():
    """Given an empty note → a page that says so, and no line."""
    page = harness(fire())
    assert page.act(id_of(page), "note", note=" ").status == 400
    assert "write a note" in text_of(page.reply.body)
    assert page.act(id_of(page), "delete").status == 400


def test_an_id_is_found_by_its_first_characters():
    """Given the beginning of an id → the whole address; given none → a page that says what is expected."""
    page = harness(fire())
    id = id_of(page)
    page.get(f"/incident/{id[:5]}")
    assert (page.reply.status, page.reply.headers["Location"]) == (303, f"../incident/{id}")
    page.get("/incident/ffffffff")
    assert page.reply.status == 404 and "no incident of the last 90 days" in text_of(page.reply.body)


def test_many_incidents_have_a_bound():
    """Given 60 open incidents → 50 rows, and how many have no room."""
    page = harness(*(line(n, "Slow", severity="warning", service=f"s{n:02}") for n in range(60)))
    html = page.get("/")
    assert html.count("data-item") == 50 and "10 more incidents without room here" in html
    assert len(html.encode()) < 100_000


def test_text_of_senders_stays_text():
    """Given script, quotes and template marks in a title, labels, a note and a filter → none of it is markup."""
    page = harness(line(0, HOSTILE, title=HOSTILE, summary=HOSTILE, service=HOSTILE, host=HOSTILE))
    id = page.ask("list_incidents")["incidents"][0]["id"]
    page.act(id, "note", note=HOSTILE)
    for address in ("/", f"/incident/{id}", "/?q=%3Cscript%3Ealert(1)%3C/script%3E&service=%22%3E%3Cb%3E"):
        html = page.get(address)
        assert "<script>" not in html and '<b>"' not in html and "49" not in text_of(html)
    assert "&lt;script&gt;" in page.get(f"/incident/{id}")


WATCHED = """
alerts:
  - {name: Down, condition: "failures >= 1", severity: critical, group_wait: 0s, notification: [{slack_channel: "#incidents"}]}
default: {notification: [{slack_channel: "#rest"}]}
"""


def test_why_a_check_failed_is_on_the_page():
    """Given a probe that failed → its incident has what was expected, what came, where the time went, and what fails too."""
    page, labels = harness(rules=WATCHED), {"probe": "api", "service": "api"}
    seen = {"expected": "status 200 within 5 s", "result": "status 503, after 12 ms (DNS 1 ms, connect 2 ms)"}
    failed = Sample("uptime", 0.0, page.router.now, labels, {**seen, "together": "web of x.test", "beside": "shop"})
    page.router.queues.webhooks.put(samples_messages([failed, Sample("failures", 1.0, page.router.now, labels)]))
    page.wait(timedelta(minutes=1))
    (incident,) = page.ask("list_incidents")["incidents"]
    said = text_of(page.get(f"/incident/{incident['id']}"))
    assert "Down (api) Status 503, after 12 ms (DNS 1 ms, connect 2 ms) · Expected: status 200 within 5 s" in said
    assert "Result status 503, after 12 ms (DNS 1 ms, connect 2 ms) Fails too web of x.test Probe api" in said
    assert "shop" not in said


def test_silent_changes_are_no_notifications():
    """Given an incident whose messages were edited by acts → its page and the API count what notified, and when that was."""
    page = harness(line(0, "Disk", service="api"))
    id = id_of(page)
    for do in ("ack", "unack", "ack"):
        page.act(id, do)
        page.wait(timedelta(minutes=1))
    (incident,) = page.router.store.incidents()
    assert max(each.last.seq for each in incident.announced.values()) > 1
    html = page.get(f"/incident/{id}")
    told = page.ask("show_incident", id=id)["incident"]["told"]
    sent = [entry for entry in incident.timeline.entries if entry.kind == "told"]
    for each, key in zip(told, incident.announced, strict=True):
        count = sum(entry.target == key for entry in sent)
        assert each["notifications"] == count == 1
    notified = html[html.index('id="notified"') :].partition("</section>")[0]
    assert notified.count("1 notification<") == len(told)
