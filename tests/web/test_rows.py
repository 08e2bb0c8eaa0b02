"""Lists by the index of rows: the same as what reading every incident shows, and few read units."""

import random
from dataclasses import replace
from datetime import timedelta

import pytest

from chalicelib.core.event import Severity
from chalicelib.core.glance import Glance, Outcome, State
from chalicelib.messages.glances import MAX_BYTES, fitted, packed, unpacked
from chalicelib.schedule.open_counts import MARK, count_open, read_counts
from chalicelib.web.now import MAX_ROWS, Filter, filter_of, now_view
from chalicelib.web.rows import Look
from chalicelib.web.rules import WEEK, week_of
from tests.api_harness import START
from tests.rule_files import rules_of
from tests.web.test_pages import HOSTILE, RULES, harness, line, text_of
from tests.web.test_reads import QUERIES, WHOLE, counted

MINUTE = timedelta(minutes=1)
QUIET_RULES = (
    RULES
    + """
windows: {noon: {from: "12:20", to: "12:40", timezone: UTC}}
routes: [{match: {environment: night}, mute: [noon], notification: [{slack_channel: "#night"}]}]
inhibit: [{cause: {alertname: Root}, symptom: {alertname: Leaf}, equal: [zone]}]
""".replace("match: {source: event}", "match: {source: event, service: '!~night|jobs'}")
)


def count(page):
    """Let the tick count, and the workers do what it asks."""
    router = page.router
    count_open(router.store, router.queues.webhooks, router.now)
    router.settle()


def settled(page):
    """Let the tick count until the page takes the index for whole."""
    for _ in range(4):
        count(page)
        page.wait(2 * MINUTE)
    count(page)
    return page


def look(page, *, indexed=True):
    """What the page judges rows by, with the index or without."""
    router = page.router
    counts = read_counts(router.store, router.now) if indexed else None
    assert counts is None or counts.has_rows(router.now)
    return Look(router.store, router.rules, router.now, "UTC", counts)


def rows_of(view):
    """What a view shows of each incident, with the texts as the index has room for."""
    cards = [(each.incident.id, each.state, each.incident.severity) for each in view.cards]
    rows = [fitted(replace(each, at=START, essence="", outcome=Outcome())) for each in (*view.rows, *view.muted)]
    return cards, rows, (view.total, view.found, view.services)


def assert_same(page):
    """Assert that the index shows what the incidents themselves do."""
    shown = rows_of(now_view(look(page), asked=Filter()))
    whole = rows_of(now_view(look(page, indexed=False), asked=Filter()))
    assert shown == whole


@pytest.mark.parametrize("seed", range(12))
def test_the_index_shows_what_the_incidents_say(seed):
    """Given random alerts, ends, acts, silences, causes and windows → rows of the index are those of the incidents."""
    chance = random.Random(seed)
    services = ["api", "db", "night", "web", "jobs"]
    lines = [
        line(
            chance.randrange(100),
            chance.choice(["Root", "Leaf", "Disk", "Slow"]),
            severity=chance.choice(["critical", "warning"]),
            service=chance.choice(services),
            zone=chance.choice("ab"),
            environment=chance.choice(["night", "day"]),
        )
        for _ in range(14)
    ]
    page = settled(harness(*sorted(lines, key=lambda each: each["at"]), rules=QUIET_RULES))
    for _ in range(8):
        rows = [row for row in page.ask("list_incidents", {})["incidents"] if row["status"] == "firing"]
        chosen = chance.choice(rows)["id"] if rows else ""
        service = chance.choice(services)
        match chance.randrange(5) if rows else 1:
            case 0:
                page.act(chosen, "ack")
            case 1:
                wanted = {"matchers": {"service": service}, "for": chance.choice(["5m", "2h"]), "by": "Bruno"}
                page.ask("make_silence", body=wanted)
            case 2:
                starts, ends = ((page.router.now + minutes * MINUTE).isoformat() for minutes in (4, 24))
                wanted = {"matchers": {"service": service}, "from": starts, "until": ends, "by": "Bruno"}
                page.ask("make_silence", body={**wanted, "maintenance": chance.random() < 0.3})
            case 3:
                page.act(chosen, "resolve")
            case _:
                page.act(chosen, "unack")
        for _ in range(chance.randrange(1, 5)):
            page.wait(chance.choice([MINUTE, 2 * MINUTE]))
            count(page)
        assert_same(page)


def test_the_first_page_reads_cards_alone():
    """Given 200 open incidents that the index has → 50 rows, all counted; only three cards are read whole."""
    page = settled(harness(*(line(0, "Disk", service=f"s{n}") for n in range(200))))
    found = counted(page.router.store)
    said = text_of(page.get("/"))
    assert "200 open incidents" in said and "150 more incidents" in said
    assert "s199 1" in page.get("/?service=s199").replace("\n", " ") or "All 200" in said
    assert found["load_all"] <= 3 * 2 + 0 * len(WHOLE)


@pytest.mark.parametrize("address", ["/", "/errors", "/rules"])
def test_no_view_lists_what_the_index_has(address):
    """Given an index that has had every row for eight days → pages ask for no summaries, and read three items whole."""
    page = settled(harness(*(line(0, "Disk", service=f"s{n}") for n in range(60))))
    old = read_counts(page.router.store, page.router.now)
    page.router.store.put_mark(MARK, _whole_since(page, old.at - WEEK - MINUTE))
    found = counted(page.router.store)
    page.get(address)
    assert page.reply.status == 200
    assert found["summaries"] == 0
    assert found["load_all"] + found["archives"] <= 3
    assert sum(found[name] for name in QUERIES) <= 4


def _whole_since(page, at):
    text = page.router.store.marks([MARK])[MARK]
    start = text.index('"whole_since":"') + len('"whole_since":"')
    return text[:start] + at.isoformat() + text[text.index('"', start) :]


@pytest.mark.parametrize("asked", ["service=s3", "alertname=Disk", "s3", "severity=critical", "service=none"])
def test_filters_find_the_same_with_the_index(asked):
    """Given a filter → the same rows with the index as without."""
    lines = [line(n, "Disk", severity=("critical", "warning")[n % 2], service=f"s{n % 9}") for n in range(30)]
    page = settled(harness(*lines))
    filter = filter_of(asked, "")
    assert rows_of(now_view(look(page), asked=filter)) == rows_of(now_view(look(page, indexed=False), asked=filter))


@pytest.mark.acceptance
@pytest.mark.parametrize(
    ("asked", "service"),
    [("severity=critical", ""), ("service=~s[12]", ""), ("", "s3"), ("severity=warning service=s3", ""), ("", "none")],
)
def test_a_filter_of_many_looks_at_rows_alone(asked, service):
    """Given 120 open incidents and a filter by service or severity → what their summaries find, and no summary is read."""
    lines = [line(n, "Disk", severity=("critical", "warning")[n % 2], service=f"s{n}") for n in range(120)]
    page = settled(harness(*lines))
    filter = filter_of(asked, service)
    whole = now_view(look(page, indexed=False), asked=filter)
    found = counted(page.router.store)
    view = now_view(look(page), asked=filter)
    assert found["summaries"] == 0 and found["load_all"] <= 3
    assert rows_of(view)[:2] == rows_of(whole)[:2]
    assert (view.total, view.found, view.looked_at) == (120, whole.found, 0)


def test_a_filter_names_how_many_it_looked_at():
    """Given 210 open incidents → a filter by severity looks at the worst 200 and the page says so; by words at all."""
    page = settled(harness(*(line(n, "Disk", severity="warning", service=f"s{n}") for n in range(210))))
    assert "looked at the worst 200 of 210 open incidents" in text_of(page.get("/?q=severity%3Dwarning"))
    assert "looked at the worst" not in text_of(page.get("/?q=s209"))
    assert "(s209)" in text_of(page.get("/?q=s209"))


def test_what_a_version_without_rows_saved_is_shown_and_gets_its_row():
    """Given an incident that an old worker saved → the page reads it until the tick has had it saved, and five minutes after."""
    page = settled(harness(line(0, "Disk", service="api"), line(0, "Disk", service="db")))
    store = page.router.store
    (old,) = [each for each in store.incidents() if each.group["service"] == "db"]
    store.save(replace(old, version=old.version + 1, glance=None))
    assert len(store.worst()) == 1
    count(page)
    assert not read_counts(store, page.router.now).has_rows(page.router.now)
    assert "2 open incidents" in text_of(page.get("/"))
    assert {each.id for each in store.worst()} == {each.id for each in store.incidents()}
    settled(page)
    assert_same(page)


def test_an_old_count_is_not_believed():
    """Given a tick that stands still, as after a roll back → pages read the incidents again after three minutes."""
    page = settled(harness(line(0, "Disk", service="api")))
    page.router.now += 4 * MINUTE
    assert read_counts(page.router.store, page.router.now) is None


def test_repeats_change_no_row_within_a_minute():
    """Given 20 events of one alert within a minute → the incident was saved with the one row that it began with."""
    page = harness(*(line(n, "Disk", service="api") for n in range(20)))
    page.wait(timedelta(seconds=30))
    (found,) = page.router.store.incidents()
    assert found.events == 20 and found.version > 3
    assert found.glance.at == START


def test_the_outcome_of_a_week_is_that_of_the_incidents():
    """Given incidents with and without rows → what became of them is the same."""
    lines = [line(n, "Disk", service=f"s{n}") for n in range(8)]
    lines += [line(100 + n, "Disk", status="resolved", service=f"s{n}") for n in range(0, 8, 2)]
    page = harness(*lines)
    firing = [row for row in page.ask("list_incidents", {})["incidents"] if row["status"] == "firing"]
    for row in firing[:2]:
        page.act(row["id"], "ack")
    page.wait(20 * MINUTE)
    settled(page)
    now, store = page.router.now, page.router.store
    shown, whole = week_of(store, read_counts(store, now), now), week_of(store, None, now)
    key = repr
    assert sorted(map(key, _seconds(shown))) == sorted(map(key, _seconds(whole)))
    assert shown.fired == whole.fired
    assert sum(each.acted for each in shown.known) == 2
    assert sum("Boom" in each.soon for each in shown.known) == 4


def _seconds(week):
    return [
        replace(each, begins={n: at.replace(microsecond=0) for n, at in each.begins.items()}) for each in week.known
    ]


@pytest.mark.parametrize("length", [1, 30, 200, 5_000])
@pytest.mark.parametrize("text", ["x7f", HOSTILE, "ção日本語", "\udc80\U0001f525"])
def test_a_row_has_room_in_the_index(text, length):
    """Given texts of any length and script → at most 300 bytes, read back as they are, with the title's beginning."""
    chance = random.Random(length)
    texts = ["".join(chance.choice(text) for _ in range(length)) for _ in range(9)]
    made = Glance(
        START, "3f9a" * 8, "k", START, "01234567", State.MUTED, Severity.CRITICAL, texts[0], texts[1], texts[2], texts[3],
        (texts[4],) * 5, 12_345, texts[5], START, texts[6], START, START, (texts[7],) * 9, START, "Disk/0",
        outcome=Outcome(dict.fromkeys(texts, START), True, True, tuple(texts)),
    )  # fmt: skip
    found = fitted(made)
    assert len(packed(found)) <= MAX_BYTES
    assert unpacked(packed(found), "k") == found == fitted(found)
    assert found.title[:1] == made.title[:1] and (found.id, found.severity) == (made.id, made.severity)


def test_the_side_bar_counts():
    """Given an active silence and dead letters → each page has their numbers beside its link."""
    page = harness(line(0, "Disk", service="api"))
    page.ask("make_silence", body={"matchers": {"service": "x"}, "for": "1h", "by": "Bruno"})
    count_open(page.router.store, page.router.queues.webhooks, page.router.now, dead=7)
    html = page.get("/errors")
    assert '1<span class="sr"> active silences' in html and '7<span class="sr"> dead letters' in html


@pytest.mark.parametrize(("address", "listings"), [("/silences", 0), ("/silences?matchers=service%3Ds1", 1)])
def test_incidents_are_listed_only_to_be_judged(address, listings):
    """Given a stage without silences → the page of silences lists incidents for a preview alone."""
    page = settled(harness(*(line(0, "Disk", service=f"s{n}") for n in range(5))))
    found = counted(page.router.store)
    page.get(address)
    assert page.reply.status == 200 and found["summaries"] == listings


def test_fifty_rows_are_the_worst():
    """Given more than fit → the rows are those that come first among all."""
    lines = [line(n, "Disk", severity="warning" if n < 60 else "critical", service=f"s{n}") for n in range(75)]
    page = settled(harness(*lines))
    view = now_view(look(page), asked=Filter())
    assert len(view.cards) + len(view.rows) == MAX_ROWS
    assert sum(each.severity is Severity.CRITICAL for each in view.rows) + len(view.cards) == 15


def test_changed_rules_change_rows():
    """Given a service that another team owns by changed rules → its row says so once the tick has looked at what is open."""
    page = settled(harness(line(0, "Disk", service="api"), line(0, "Slow", service="db")))
    assert {each.owner for each in page.router.store.worst()} == {"team-core", ""}
    page.router.redeploy(rules_of(QUIET_RULES.replace("team-core", "team-exams")))
    page.wait(2 * MINUTE)
    count(page)
    assert_same(page)
    assert {each.owner for each in page.router.store.worst()} == {"team-exams", ""}
