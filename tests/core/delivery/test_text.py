"""Words shared by all targets: cutting, times, durations, states, facts and the plain form."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.delivery import links as linked
from chalicelib.core.delivery import text as texts
from chalicelib.core.delivery import writing
from chalicelib.core.delivery.notification import Notification, Reason, ServiceSnapshot
from chalicelib.core.delivery.text import DisplayState
from tests.targets.samples import ACKED, NOTIFICATION, OWNED, RESOLVED, SPIKE, STORM, TOLD, TOP_ERRORS, with_background


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("short", 5, "short"),
        ("one two three", 9, "one two…"),
        ("one two three", 8, "one two…"),
        ("one two three", 7, "one…"),
        ("abcdefghij", 5, "abcd…"),
        ("", 5, ""),
        ("ab", 1, "…"[:0]),
        ("👩‍👩‍👧 family", 4, ""),
        ("x👍🏽 thumb", 4, "x…"),
        ("ae\u0301bc", 3, "a…"),
        ("🇩🇪🇫🇷🇪🇸", 8, "🇩🇪…"),
        ("שלום עולם ועוד", 10, "שלום עולם…"),
    ],
)
def test_texts_are_cut_between_words_and_never_inside_a_character(text: str, limit: int, expected: str) -> None:
    """Lengths are UTF-16 units; emoji families, skin tones, accents and flags stay whole."""
    assert writing.cut(text, limit) == expected


@given(st.text(max_size=200), st.integers(1, 100))
def test_a_cut_text_fits(text: str, limit: int) -> None:
    """Whatever the text, the result fits, and is the text itself when that does."""
    found = writing.cut(text, limit)
    assert writing.utf16_units(found) <= limit
    assert (found == text) is (writing.utf16_units(text) <= limit)


def test_what_disturbs_a_reader_is_gone() -> None:
    """Control characters, halves of pairs and direction marks go; right-to-left text itself stays."""
    assert writing.clean("a\x00b\u202ec\r\nd\te\ud800 ") == "abc\nd e\ufffd"
    assert writing.one_line("  خطأ \n في  ") == "خطأ في"


@pytest.mark.parametrize(
    ("timezone", "expected"),
    [
        ("UTC", "24 Nov 2026, 09:14 UTC"),
        ("Europe/Riga", "24 Nov 2026, 11:14 EET"),
        ("America/Sao_Paulo", "24 Nov 2026, 06:14 America/Sao_Paulo"),
        ("Nowhere/Land", "24 Nov 2026, 09:14 UTC"),
        ("../../etc/passwd", "24 Nov 2026, 09:14 UTC"),
        ("", "24 Nov 2026, 09:14 UTC"),
    ],
)
def test_times_are_local_and_name_their_zone(timezone: str, expected: str) -> None:
    """By its letters where it has some, else by its name; an unknown zone is UTC and says so."""
    assert writing.local_time(datetime(2026, 11, 24, 9, 14, tzinfo=UTC), timezone) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-5, "0 s"),
        (40, "40 s"),
        (60, "1 min"),
        (3_599, "59 min"),
        (3_600, "1 h"),
        (11_100, "3 h 5 min"),
        (86_400, "1 d"),
        (187_200, "2 d 4 h"),
    ],
)
def test_durations_are_two_units(seconds: int, expected: str) -> None:
    """The two largest units, rounded down."""
    assert writing.duration_words(timedelta(seconds=seconds)) == expected


@pytest.mark.parametrize(
    ("notification", "expected"),
    [
        (NOTIFICATION, DisplayState.FIRING),
        (ACKED, DisplayState.ACKNOWLEDGED),
        (RESOLVED, DisplayState.RESOLVED),
        (replace(ACKED, status="resolved"), DisplayState.RESOLVED),
        (replace(NOTIFICATION, reason=Reason.TEST), DisplayState.TEST),
        (replace(NOTIFICATION, reason=Reason.SYNC), DisplayState.FIRING),
        (replace(NOTIFICATION, reason=Reason.SYNC, alerts=(), evidence=(TOLD,)), DisplayState.SILENCED),
        (replace(NOTIFICATION, reason=Reason.SYNC, alerts=(replace(TOLD, muted_by=("s1",)),)), DisplayState.SILENCED),
    ],
)
def test_the_state_is_what_people_see(notification: Notification, expected: DisplayState) -> None:
    """Resolved outranks acknowledged; silenced means that all that burns is muted."""
    assert texts.state(notification) is expected


@pytest.mark.parametrize(
    ("notification", "expected"),
    [
        (NOTIFICATION, "Firing."),
        (RESOLVED, "Resolved after 12 min."),
        (replace(NOTIFICATION, reason=Reason.REMINDER), "Still firing after 12 min, not acknowledged."),
        (replace(ACKED, reason=Reason.REMINDER), "Still firing after 12 min."),
        (
            replace(NOTIFICATION, reason=Reason.REMINDER, alerts=(TOLD, replace(TOLD, acked_by="ana"))),
            "Still firing after 12 min, 1 of 2 not acknowledged.",
        ),
        (
            replace(NOTIFICATION, reason=Reason.REMINDER, alerts=(), evidence=(replace(TOLD, acked_by="ana"),)),
            "Still firing after 12 min.",
        ),
        (replace(NOTIFICATION, reason=Reason.ESCALATED), "Escalated after 12 min, not acknowledged."),
        (replace(NOTIFICATION, reason=Reason.UPDATED), "Changed: 412 events so far."),
        (replace(STORM, reason=Reason.UPDATED), "Changed: 500 firing (300 of them not listed)."),
        (ACKED, "Acknowledged by ana, 24 Nov 2026, 06:14 America/Sao_Paulo."),
        (replace(NOTIFICATION, reason=Reason.TEST), "This is a test. Nothing is wrong."),
    ],
)
def test_one_sentence_says_what_is_new(notification: Notification, expected: str) -> None:
    """The sentence of each reason."""
    assert texts.change(notification) == expected


@pytest.mark.parametrize(
    "address",
    [
        None,
        "",
        "javascript:alert(1)",
        "https://",
        "https://a b",
        "https://x/<y>",
        "https://x/|",
        "ftp://x",
        "https://ü",
        "https://x/" + "a" * 3_000,
        "https://[x",
        "//host/path",
        "https://x/\n",
    ],
)
def test_people_are_sent_only_to_web_pages(address: str | None) -> None:
    """Everything but a plain http or https address is no link."""
    assert linked.web_address(address) is None
    assert linked.web_address("https://sentry.io/issues/1?a=b&c=d#e") == "https://sentry.io/issues/1?a=b&c=d#e"


def test_links_come_once_each() -> None:
    """Hundreds of alerts with one page give one link; a sender's runbook counts where there is no own."""
    told = replace(TOLD, annotations={"runbook_url": "https://r.example/1", "dashboard_url": "https://d.example/1"})
    found = linked.links(replace(with_background(NOTIFICATION, runbook=None, deploys=()), alerts=(told,) * 200))
    assert found == (
        ("Runbook", "https://r.example/1"),
        ("Open in Sentry", "https://sentry.io/organizations/acme/issues/1/"),
        ("Dashboard", "https://d.example/1"),
    )


def test_pages_of_several_alerts_are_told_apart() -> None:
    """The last deploy is not crowded out by the pages of a storm, and equal labels are numbered."""
    alerts = tuple(replace(TOLD, url=f"https://sentry.io/issues/{number}") for number in range(9))
    labels = [label for label, _ in linked.links(replace(NOTIFICATION, alerts=alerts))]
    assert labels == ["Runbook", "Open in Sentry", "Last deploy", "Open in Sentry (2)", "Open in Sentry (3)"]


def test_the_owner_and_the_pages_of_a_service_are_shown() -> None:
    """Given alerts of services that the rules file has, when a message is made → owners are a fact, pages are links."""
    assert dict(texts.facts(OWNED))["Owner"] == "team-core"
    assert [label for label, _ in linked.links(OWNED, 4)] == [
        "Runbook",
        "Open in Sentry",
        "checkout dashboard",
        "checkout runbook",
        "Last deploy",
    ]
    assert "Owner: team-core" in texts.plain_text(OWNED).splitlines()
    api, mail = ServiceSnapshot("api", "team-core"), ServiceSnapshot("mail", "team-data", links={"x": "ftp://no"})
    several = with_background(OWNED, services=(*OWNED.background.services, api, mail, ServiceSnapshot("new")))
    assert dict(texts.facts(several))["Owner"] == "team-core (checkout, api), team-data (mail)"
    assert linked.links(several, 4) == linked.links(OWNED, 4)
    assert "Owner" not in dict(texts.facts(NOTIFICATION))


def test_many_pages_of_services_leave_room_for_the_others() -> None:
    """Given services with many pages, when a message is made → four of them are beside the links that it has anyway."""
    links = {f"page {number}": f"https://d.example.com/{number}" for number in range(8)}
    labels = [
        label for label, _ in linked.links(with_background(OWNED, services=(ServiceSnapshot("api", links=links),)))
    ]
    assert labels == [
        "Runbook",
        "Open in Sentry",
        *(f"api page {number}" for number in range(4)),
        "Last deploy",
    ]


def test_the_plain_form_begins_with_state_severity_and_title() -> None:
    """All that matters, as text: the first line, then notes, summary, facts, deploy, first step, links, why."""
    lines = texts.plain_text(NOTIFICATION).splitlines()
    assert lines[0] == "FIRING critical: High Error Rate (prod checkout)"
    for expected in (
        "Back after the silence of ana.",
        "3.2 % of requests to checkout fail",
        "Service: checkout",
        "Value: 3.2 % (threshold 1 %)",
        "Last deploy: Cart: new totals · a1b2c3 · checkout · by ana · 4 min before",
        "First step: Look at the newest deploy.",
        "Why you: rule High Error Rate",
    ):
        assert expected in lines
    assert texts.plain_text(RESOLVED).startswith("RESOLVED critical: ")


def test_why_names_no_rule_where_none_matched() -> None:
    """Given alerts of events that no rule matched → so it says; beside one that a rule made, only that rule is named."""
    (told,) = NOTIFICATION.alerts[:1]
    sent = replace(told, name="event", is_unmatched=True)
    assert texts.why(replace(NOTIFICATION, alerts=(sent,))).startswith("no rule matched")
    assert "event" not in texts.why(replace(NOTIFICATION, alerts=(sent, told)))
    assert texts.why(replace(NOTIFICATION, alerts=(sent, told))).startswith("rule High Error Rate")


def test_top_errors_say_how_many_which_and_since_when() -> None:
    """Given a count of errors → count and share of each, new, known or first received, and its release."""
    heading, *errors = texts.top_error_lines(SPIKE)
    assert heading == "412 events since 24 Nov 2026, 06:02 America/Sao_Paulo, of which"
    assert errors == [
        "318 (77 %) OperationalError: too many clients already · new since deploy 4f2c9a1 · release web@4f2c9a1",
        "66 (16 %) TimeoutError: pool.acquire · known since 5 Oct 2026, 06:02 America/Sao_Paulo",
        "20 (5 %) AuthApiError: 500 from /token · first received 24 Nov 2026, 06:02 America/Sao_Paulo",
    ]
    assert all(line in texts.plain_text(SPIKE) for line in errors)


def test_a_new_error_says_how_long_none_came_before() -> None:
    """Given a new error without a deploy → the time that is remembered; none where its sender knows."""
    known = [
        replace(TOP_ERRORS.errors[0], deploy="", release="", remembered=each) for each in (timedelta(hours=6), None)
    ]
    alerts = (replace(TOLD, top=replace(TOP_ERRORS, errors=tuple(known))),)
    found = texts.top_error_lines(replace(NOTIFICATION, alerts=alerts))
    assert [line.partition("already")[2] for line in found[1:]] == [" · new, none in the 6 h before", " · new"]


def test_an_alert_without_errors_names_none() -> None:
    """Given an alert that counts nothing → no lines."""
    assert texts.top_error_lines(NOTIFICATION) == ()
