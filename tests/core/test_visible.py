"""What a target must be told, as tables: what it knows against what there is to tell."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.core.delivery.notification import Reason
from chalicelib.core.event import Severity
from chalicelib.core.notified import LastNotification, NotifiedAlerts, NotifiedState
from chalicelib.core.rule import Target
from chalicelib.core.visible import VisibleAlerts, needs_update, news, pending_resolve, visible_to
from tests.rule_files import KINDS

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
MAIL, PAGER = Target("email", "ops@example.com"), Target("pagerduty", "default")
QUIET_MAIL = replace(MAIL, send_resolved=False)
CRITICAL, WARNING, INFO = (each.rank for each in Severity)

NOTHING = NotifiedState(MAIL)
OVER = NotifiedState(MAIL, last=LastNotification(seq=2, at=NOW - HOUR))


def told(*names, at=NOW - MINUTE, target=MAIL, rank=WARNING, **more):
    """A target that was told that these alerts fire."""
    alerts = NotifiedAlerts(dict.fromkeys(names, rank), **more)
    return NotifiedState(target, open=True, last=LastNotification(seq=1, at=at), alerts=alerts)


def view(visible="", muted="", acked="", rank=WARNING, **more):
    """What there is to tell: a letter for each alert."""
    return VisibleAlerts(
        visible=dict.fromkeys(visible, rank),
        muted=dict.fromkeys(muted, rank),
        unacked=frozenset(visible) - frozenset(acked),
        **more,
    )


NEEDS = [
    # Nothing told yet.
    ("nothing burns, nothing was told", NOTHING, view(), None),
    ("it fires and was never told", NOTHING, view("a"), Reason.OPENED),
    ("it fires anew after its end was told", OVER, view("a"), Reason.OPENED),
    ("it is acknowledged, and was never told", NOTHING, view("a", acked="a"), Reason.OPENED),
    ("all of it is muted", NOTHING, view(muted="a"), None),
    ("part of it is muted", NOTHING, view("b", muted="a"), Reason.OPENED),
    ("a window mutes the route", NOTHING, view("a", quiet=("nights",)), None),
    ("only alerts over the limit burn", NOTHING, view(truncated=True), None),
    # Told, and as it was.
    ("as it was told", told("a"), view("a"), None),
    ("as it was told, in another order", told("a", "b"), view("ba"), None),
    ("as it was told, and acknowledged since", told("a"), view("a", acked="a"), None),
    # News.
    ("a new alert", told("a"), view("ab"), Reason.UPDATED),
    ("a new alert, though the old is acknowledged", told("a"), view("ab", acked="a"), Reason.UPDATED),
    ("a new alert that is muted", told("a"), view("a", muted="b"), None),
    ("a new alert in a window", told("a"), view("ab", quiet=("nights",)), None),
    ("it got worse", told("a", rank=WARNING), view("a", rank=CRITICAL), Reason.UPDATED),
    ("it got better", told("a", rank=CRITICAL), view("a", rank=WARNING), None),
    ("it began to flap", told("a"), view("a", flapping=frozenset("a")), Reason.UPDATED),
    ("it flaps, as was told", told("a", flapping=frozenset("a")), view("a", flapping=frozenset("a")), None),
    ("it was muted since, and is seen again", told("a", hidden=frozenset("a")), view("a"), Reason.UPDATED),
    ("it was muted since, and still is", told("a", hidden=frozenset("a")), view(muted="a"), None),
    # Ends.
    ("one of two ended", told("a", "b"), view("a"), Reason.UPDATED),
    ("one of two ended, the other is muted", told("a", "b"), view(muted="a"), Reason.UPDATED),
    ("one of two ended, in a window", told("a", "b"), view("a", quiet=("nights",)), Reason.UPDATED),
    ("one of two ended, ends are not wanted", told("a", "b", target=QUIET_MAIL), view("a"), None),
    ("one ended and another began", told("a"), view("b"), Reason.UPDATED),
    ("one ended and another began, ends are not wanted", told("a", target=QUIET_MAIL), view("b"), Reason.UPDATED),
    ("what was told ended, only a muted one is left", told("a"), view(muted="b"), Reason.UPDATED),
    ("all ended", told("a", "b"), view(), Reason.RESOLVED),
    ("all ended, in a window", told("a"), view(quiet=("nights",)), Reason.RESOLVED),
    ("all ended, ends are not wanted: it is counted as told", told("a", target=QUIET_MAIL), view(), Reason.RESOLVED),
    ("all ended, and that was told", OVER, view(), None),
    ("all ended but what is over the limit", told("a"), view(truncated=True), Reason.UPDATED),
    # Reminders, every hour.
    ("the interval is not over", told("a", at=NOW - HOUR + MINUTE), view("a"), None),
    ("the interval is over to the second", told("a", at=NOW - HOUR), view("a"), Reason.REMINDER),
    ("the interval is over, all is acknowledged", told("a", at=NOW - HOUR), view("a", acked="a"), None),
    (
        "the interval is over, one is acknowledged",
        told("a", "b", at=NOW - HOUR),
        view("ab", acked="a"),
        Reason.REMINDER,
    ),
    ("the interval is over, all is muted", told("a", at=NOW - HOUR), view(muted="a"), None),
    ("the interval is over, in a window", told("a", at=NOW - HOUR), view("a", quiet=("nights",)), None),
    ("news comes before a reminder", told("a", at=NOW - HOUR), view("ab"), Reason.UPDATED),
    # Long silences.
    ("a long silence ends soon", told("a"), view(muted="a", ending=NOW), Reason.REMINDER),
    ("a long silence ends soon, which was told", told("a", at=NOW), view(muted="a", ending=NOW), None),
    ("a long silence ends soon, nobody was told", NOTHING, view(muted="a", ending=NOW), None),
    ("a long silence ends soon, in a window", told("a"), view(muted="a", ending=NOW, quiet=("nights",)), None),
]


@pytest.mark.parametrize(("known", "there", "reason"), [row[1:] for row in NEEDS], ids=[row[0] for row in NEEDS])
def test_what_a_target_needs(known, there, reason):
    """The reason to tell a target at a flush follows from what it knows and what there is to tell."""
    assert needs_update(known, there, NOW, HOUR) is reason


def test_news_names_the_alerts():
    """News is exactly what the target does not know as it is."""
    known = told("a", "b", hidden=frozenset("b"))
    assert news(known, view("abc", flapping=frozenset("a"))) == frozenset("abc")
    assert news(told("a", "b"), view("ab")) == frozenset()


SEEN = [
    (MAIL, {"a": INFO, "b": CRITICAL}, {"a", "b"}),
    (PAGER, {"a": INFO, "b": CRITICAL}, {"b"}),
    (PAGER, {"a": WARNING, "b": CRITICAL}, {"a", "b"}),
    (PAGER, {"a": INFO}, set()),
]


@pytest.mark.parametrize(("target", "visible", "seen"), SEEN)
def test_nothing_that_is_info_exists_for_a_pager(target, visible, seen):
    """A pager's view has no info in it; everyone else sees all."""
    there = VisibleAlerts(visible=visible, unacked=frozenset(visible))
    found = visible_to(there, pages=KINDS[target.kind].pages)
    assert found.visible.keys() == found.unacked == seen


def test_who_is_no_target_any_more_hears_of_ends_alone():
    """One that was told and left the route is told the end of what it was told, and nothing else."""
    known = told("a", at=NOW - 9 * HOUR)
    assert needs_update(known, pending_resolve(known, view("ab")), NOW, HOUR) is None
    assert needs_update(known, pending_resolve(known, view("b")), NOW, HOUR) is Reason.RESOLVED
