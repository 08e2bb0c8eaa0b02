"""`/tocsin`: what words mean, and answers that stay text and short whatever they are about."""

import re

import pytest

from chalicelib.core.errors import RequestError
from chalicelib.slack.command import (
    HELP,
    MAX_ROWS,
    WORDS,
    Command,
    audiences,
    is_known,
    listed,
    parsed,
    silences_listed,
)
from chalicelib.slack.command import shown as shown_incident
from tests.targets.samples import HOSTILE

ROW = {
    "id": "7f3c9a52d01be644",
    "status": "firing",
    "ended": False,
    "severity": "critical",
    "title": "Down (api)",
    "started_at": "2026-11-26T12:00:00Z",
    "ended_at": None,
    "acked_by": None,
    "assigned_to": None,
    "counts": {"firing": 1, "resolved": 0, "muted": 0},
}
ALERT = {"title": "Down", "value": "3 %", "threshold": "1 %", "state": "firing", "events": 12}
WHOLE = {**ROW, "alerts": [ALERT], "told": [{"target": "slack_channel:#a"}], "timeline": [], "who": {"message": ""}}
SILENCE = {
    "id": "9c1d",
    "maintenance": False,
    "state": "active",
    "matchers": ["service=api"],
    "ends_at": "2026-11-26T14:00:00Z",
    "by": "ana",
    "comment": "",
    "mutes": [],
}


def test_who_did_it_is_shown_with_the_door():
    """Given lines of a person in Slack, of a shared token and of nobody → each person stands with the door."""
    line = {"at": "2026-11-26T12:00:00Z", "text": "acknowledged", "by": "ana", "via": "slack", "account": "slack:T1/U1"}
    told = {**line, "text": "told", "by": None, "via": None, "account": None}
    text = shown_incident({**WHOLE, "timeline": [line, {**line, "via": "api", "account": "token:"}, told]})
    assert "acknowledged — ana (slack)" in text
    assert "acknowledged — ana (shared token)" in text
    assert text.endswith("told")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("list", Command("list")),
        ("LIST service=api env!=dev", Command("list", ("service=api", "env!=dev"))),
        ("show 3f2a", Command("show", ("3f2a",))),
        ("ack 3f2a on my way", Command("ack", ("3f2a",), said="on my way")),
        ("ack 3f2a 7f3c9a52 on my way", Command("ack", ("3f2a", "7f3c9a52"), said="on my way")),
        ("resolve `3f2a…`, #7f3c", Command("resolve", ("`3f2a…`,", "#7f3c"))),
        ("note 3f2a 7f3c is the cause", Command("note", ("3f2a",), said="7f3c is the cause")),
        ("silence 3f2a 2h", Command("silence", ("3f2a",), until="2h")),
        ("silence 3f2a for 2h deploying now", Command("silence", ("3f2a",), until="2h", said="deploying now")),
        (
            "silence service=~web.* zone!~x until tomorrow",
            Command("silence", ("service=~web.*", "zone!~x"), "tomorrow"),
        ),
        ("silence 3f2a tomorrow 14:00 the move", Command("silence", ("3f2a",), "tomorrow 14:00", "the move")),
        ("silence 3f2a 1d 12h", Command("silence", ("3f2a",), "1d 12h")),
        ("silence 3f2a 2026-03-05 16:00", Command("silence", ("3f2a",), "2026-03-05 16:00")),
        ('silence {service="api", zone=~"eu.*"} 2h', Command("silence", ("service=api", "zone=~eu.*"), "2h")),
        ("silence service=“checkout” 2h", Command("silence", ("service=checkout",), "2h")),
        ("silence service='High load' 2h why", Command("silence", ('service="High load"',), "2h", "why")),
        ("silences", Command("silences")),
        ("who service=api", Command("who", ("service=api",))),
    ],
)
def test_words_mean_one_thing(typed, meant):
    """Ids, matchers, times and reasons are told apart."""
    assert parsed(typed) == meant


@pytest.mark.parametrize(
    "typed", ["show", "ack", "resolve", "who", "unsilence", "silence", "silence 3f2a", "silence 3f2a for"]
)
def test_what_is_missing_is_said_with_an_example(typed):
    """The error names what is expected."""
    with pytest.raises(RequestError, match="Expected is"):
        parsed(typed)


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("silence service==checkout 2h", "expected is 'service=checkout'"),
        ("silence service=“checkout 2h", "the quotes around the value for service"),
        ("list =x", "no matcher"),
        ("silence 3f2a service=x 2h", "an incident and matchers are both given"),
        ("silence 3f2a soon", "begins with no time"),
        ("silence 3f2a tomorrow 14 the move", "'14' behind it looks like a part of a time"),
    ],
)
def test_words_that_are_not_read_whole_are_refused(typed, words):
    """Given a word that would silently mean something else → an error that names it."""
    with pytest.raises(RequestError) as raised:
        parsed(typed)
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("typed", "known"), [("list", True), ("Show x", True), ("", False), ("help", False), ("x list", False)]
)
def test_only_commands_are_known(typed, known):
    """Everything else shows the help, which names every command."""
    assert is_known(typed) is known
    assert all(f"{{command}} {word}" in HELP or f"`{word}`" in HELP for word in WORDS)


@pytest.mark.parametrize(
    ("change", "sign"),
    [
        ({}, "🔴"),
        ({"severity": "warning"}, "🟠"),
        ({"acked_by": "ana"}, "👀"),
        ({"counts": {"firing": 1, "muted": 1}}, "muted"),
        ({"counts": {"firing": 3, "muted": 1}}, "1 muted"),
    ],
)
def test_a_line_says_how_it_stands(change, sign):
    """Severity, who has it, what is muted; the time in the reader's own zone."""
    text = listed([{**ROW, **change}])
    assert sign in text
    assert "<!date^1795694400^{date_short_pretty} {time}|2026-11-26 12:00 UTC>" in text


def test_an_incident_is_shown_whole():
    """Its alerts with their readings, who was told, and the newest of what happened."""
    timeline = [{"at": "2026-11-26T12:00:00Z", "text": f"step {n}", "by": "ana"} for n in range(20)]
    text = shown_incident({**WHOLE, "timeline": timeline})
    assert "Down · 3 % (threshold 1 %) · firing · 12 events" in text
    assert "· 1 event\n" in shown_incident({**WHOLE, "alerts": [{**ALERT, "events": 1}]}) + "\n"
    assert "*Notified* slack_channel:#a" in text
    assert "step 19 — ana" in text and "step 3 " not in text
    assert "resolved" in shown_incident({**WHOLE, "status": "resolved", "ended_at": "2026-11-26T13:00:00Z"})


def test_nothing_from_outside_is_alive():
    """Mentions, links and code marks in titles, names, comments and matchers stay text."""
    hostile = {**ROW, "title": HOSTILE, "acked_by": HOSTILE}
    silence = {**SILENCE, "matchers": [HOSTILE], "by": HOSTILE, "comment": HOSTILE}
    rule = {"rule": HOSTILE, "severity": "critical", "targets": [HOSTILE], "escalate": [], "repeats_every": "4 h",
            "quiet_now": [HOSTILE], "quiet_until": None}  # fmt: skip
    alert = {**ALERT, "title": HOSTILE, "value": HOSTILE}
    entry = {"at": "2026-11-26T12:00:00Z", "text": HOSTILE, "by": HOSTILE}
    whole = {**WHOLE, "title": HOSTILE, "alerts": [alert], "timeline": [entry], "assigned_to": HOSTILE,
             "who": {"message": HOSTILE}}  # fmt: skip
    for text in (listed([hostile]), silences_listed([silence]), audiences([rule], [HOSTILE]), shown_incident(whole)):
        ours = re.sub(r"<!date\^\d+\^\{date_short_pretty\} \{time\}\|[^<>|]*>", "", text)
        assert not re.search(r"[<>]", ours)
        assert "&lt;!channel&gt;" in ours


def test_many_are_counted_and_long_ones_cut():
    """An answer never grows over what Slack shows."""
    text = listed([{**ROW, "title": "word " * 1_000}] * 200)
    shown = text.count("🔴")
    assert 10 < shown <= MAX_ROWS
    assert f"… and {200 - shown} more" in text
    assert len(text) < 4_000
    assert listed([]) == "✅ Nothing fires."
    assert silences_listed([]) == "🔔 Nothing is silenced."
    assert "No rule" in audiences([])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "mutes nothing that fires now"),
        ({"mutes": [{"incident": "x"}] * 3}, "mutes 3 now"),
        ({"state": "pending", "starts_at": "2026-11-26T13:00:00Z"}, "begins <!date^1795698000^"),
    ],
)
def test_a_silence_says_what_it_mutes_now(change, words):
    """Given a silence → what it mutes now, also when that is nothing; one that begins later says when."""
    assert words in silences_listed([{**SILENCE, **change}])
