"""An incident always fits what stores and carries it, whatever its senders write."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from chalicelib.aws.dynamodb import MAX_ITEM_BYTES
from chalicelib.core.alert import Alert, AlertState, LastEvaluation, Origin, ReceivedEvents, Sender, SenderText
from chalicelib.core.context import Context
from chalicelib.core.delivery.notification import Notification
from chalicelib.core.due import due
from chalicelib.core.fold import MAX_TRUNCATED
from chalicelib.core.incident import MAX_TIMELINE, Entry, Episode, FlushClock, Incident, Timeline, Truncated
from chalicelib.core.limits import MANY, MAX_LABEL_BYTES, bounded, label_bytes, text_bytes
from chalicelib.core.payload.coerce import (
    MAX_LABELS,
    MAX_SUMMARY_CHARACTERS,
    MAX_TITLE_CHARACTERS,
    MAX_VALUE_CHARACTERS,
)
from chalicelib.core.room import Room
from chalicelib.core.rule import Route, RouteAlerts, RouteOptions, Rules, Target
from chalicelib.core.transitions import MAX_RECENT
from chalicelib.messages import codec
from chalicelib.messages.queue import notification_message, read_message
from chalicelib.messages.webhook import MAX_MESSAGE_BYTES
from tests.rule_files import KINDS
from tests.targets.samples import NOTIFICATION, TOLD

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
PLAIN = "abcdefghijklmnopqrstuvwxyz0123456789 ABCDEFGHIJKLMNOPQRSTUVWXYZ-_."
WIDE = "試験問題生成中断障害復旧対応手順確認作業完了報告書類提出期限延長申請"


def text(chance, letters, size):
    """Text of that length that hardly shrinks."""
    return "".join(chance.choices(letters, k=size))


def alert(number, letters, *, labels=6, size=MAX_VALUE_CHARACTERS, marks=MAX_RECENT):
    """An alert whose sender writes as much as it may."""
    chance = Random(f"{number}/{letters}")
    return Alert(
        fingerprint=f"{chance.getrandbits(64):016x}",
        name="Down",
        sender=Sender(event_name="Down"),
        labels={f"label_{n}": text(chance, letters, min(size, 12)) for n in range(labels)},
        text=SenderText(
            annotations={
                **{f"a{n}": text(chance, letters, size) for n in range(20)},
                "runbook_url": f"https://example.com/{text(chance, PLAIN[:26], 40)}",
            },
            title=text(chance, letters, MAX_TITLE_CHARACTERS),
            summary=text(chance, letters, MAX_SUMMARY_CHARACTERS),
            url=f"https://example.com/{text(chance, PLAIN[:26], 300)}",
        ),
        state=AlertState.FIRING,
        starts_at=NOW,
        received=ReceivedEvents(
            refreshed_at=NOW,
            last_event_at=NOW,
            events=marks,
            recent=tuple((NOW.timestamp() + n / 7, f"{chance.getrandbits(40):010x}") for n in range(marks)),
        ),
    )


def incident(count, letters, **size):
    """An open incident of so many, with everything else of it full too."""
    chance = Random(7)
    alerts = {each.fingerprint: each for each in (alert(number, letters, **size) for number in range(count))}
    return Incident(
        key="default|service=api",
        id="0123456789abcdef",
        route="default",
        options=RouteOptions(group_wait=timedelta(0)),
        alerts=alerts,
        episode=Episode(started_at=NOW),
        flush=FlushClock(next_at=NOW),
        truncated=Truncated(
            event_ids=tuple(f"{chance.getrandbits(40):010x}" for _ in range(MAX_TRUNCATED)),
            alerts={f"{chance.getrandbits(64):016x}": NOW.timestamp() + n for n in range(MAX_TRUNCATED)},
        ),
        timeline=Timeline(
            tuple(Entry(NOW + timedelta(seconds=n), text(chance, letters, 80)) for n in range(MAX_TIMELINE))
        ),
    )


@pytest.mark.parametrize("letters", [PLAIN, WIDE], ids=["ASCII", "three bytes each"])
@pytest.mark.parametrize("count", [9, 60, pytest.param(500, marks=pytest.mark.acceptance)])
def test_an_incident_and_what_is_told_of_it_fit(count, letters):
    """Item and message are within their limits after it was told to ten targets, and every alert is still there."""
    given = incident(count, letters)
    assert len(codec.pack(given)) > MAX_ITEM_BYTES or count < 60
    found = bounded(given)
    targets = tuple(Target("slack_channel", f"#channel-{number}") for number in range(10))
    route = Route(id="default", targets=targets, options=given.options)
    decision = due(
        found, routes=[RouteAlerts(route)], rules=Rules(default=route, kinds=KINDS), context=Context(), now=NOW
    )
    assert len(decision.notifications) == len(targets)
    assert decision.incident.alerts.keys() == given.alerts.keys()
    assert len(codec.pack(decision.incident)) < MAX_ITEM_BYTES
    assert all(len(notification_message(each)) <= MAX_MESSAGE_BYTES for each in decision.notifications)


def test_a_message_says_how_many_alerts_it_has_no_room_for():
    """Given alerts that no message can hold → those that fit are sent, and a note counts the others."""
    alerts = tuple(replace(TOLD, labels={"blob": text(Random(number), WIDE, 20_000)}) for number in range(90))
    sent = read_message(notification_message(replace(NOTIFICATION, alerts=alerts, also=3)))
    assert isinstance(sent, Notification) and 0 < len(sent.alerts) < 90
    assert sent.also == 93 - len(sent.alerts)
    assert sent.background.notes[-1] == f"{sent.also} of the alerts are too large to list."


def test_bounds_change_nothing_twice():
    """What is within bounds is left as it is, and so is what was brought within them."""
    small = incident(20, PLAIN, size=40, marks=3)
    assert bounded(small) is small
    once = bounded(incident(500, WIDE))
    assert bounded(once) == once


def test_people_keep_what_helps_most():
    """Each alert keeps its title's beginning, a part of its summary, and whole links only; the newest marks stay."""
    found = bounded(incident(500, PLAIN))
    for each in found.alerts.values():
        whole = alert(0, PLAIN).text.annotations
        assert each.text.title
        assert each.text.summary.endswith("…")
        assert each.text.url is None or "…" not in each.text.url
        assert "…" not in each.text.annotations.get("runbook_url", "")
        assert each.text.annotations.keys() <= whole.keys()
        assert 10 <= len(each.received.recent) < MAX_RECENT
        assert each.received.recent[-1][0] == max(at for at, _ in each.received.recent)
        assert each.received.events == MAX_RECENT


def test_a_counting_alert_keeps_its_events():
    """The events that a condition counts are never forgotten for room."""
    counting = replace(
        alert(1, PLAIN, marks=2_000), origin=Origin.COUNT, evaluation=LastEvaluation(condition="events[1h] > 1000")
    )
    given = replace(incident(100, PLAIN), alerts={**incident(100, PLAIN).alerts, counting.fingerprint: counting})
    assert len(bounded(given).alerts[counting.fingerprint].received.recent) == 2_000


def test_labels_that_are_too_heavy_leave_no_room():
    """Labels are never cut: an incident takes no more alerts once they weigh too much, and always takes a few."""
    heavy = [replace(alert(n, PLAIN), labels={f"l{i}": "x" * 500 for i in range(MAX_LABELS)}) for n in range(12)]
    alerts = {}
    for each in heavy:
        if not room(alerts).has_room():
            break
        alerts[each.fingerprint] = each
    assert sum(map(label_bytes, alerts.values())) < MAX_LABEL_BYTES + label_bytes(heavy[0])
    assert 8 <= len(alerts) < 12
    assert not room(alerts, len(alerts)).has_room()


def room(alerts, max_alerts=500, targets=0, awaited=frozenset()):
    """The room of an incident with these alerts."""
    announced = {f"webhook:t{number}": None for number in range(targets)}
    options = RouteOptions(max_alerts=max_alerts)
    return Room(Incident("k", options=options, alerts=alerts, announced=announced), awaited)


def filled(letters, **size):
    """An incident of as many alerts as there is room for, with the highest `max_alerts`."""
    whole = incident(0, letters)
    place = Room(replace(whole, options=replace(whole.options, max_alerts=10_000)), frozenset())
    while place.has_room():
        each = alert(len(place.alerts), letters, **size)
        place.put(each.fingerprint, each)
    return replace(whole, alerts=place.alerts)


@pytest.mark.acceptance
@pytest.mark.parametrize("targets", [1, 10])
@pytest.mark.parametrize(
    ("letters", "size"),
    [
        (PLAIN, {"size": 40, "marks": 12}),
        (WIDE, {"size": 40, "marks": 12}),
        (PLAIN, {"labels": 1, "size": 0, "marks": 1}),
    ],
    ids=["ASCII", "three bytes each", "small"],
)
def test_the_highest_number_of_alerts_fits_too(letters, size, targets):
    """Given max_alerts of 10,000, when as many alerts came as there is room for → the item is within its limit."""
    found = bounded(filled(letters, **size))
    assert len(found.alerts) >= MANY
    route = Route(
        id="default",
        targets=tuple(Target("slack_channel", f"#channel-{number}") for number in range(targets)),
        options=found.options,
    )
    decision = due(
        found, routes=[RouteAlerts(route)], rules=Rules(default=route, kinds=KINDS), context=Context(), now=NOW
    )
    assert decision.notifications
    assert len(codec.pack(decision.incident)) < MAX_ITEM_BYTES


def test_room_counts_what_is_put_and_forgotten():
    """Given alerts that are put, changed and forgotten → there is room exactly as if the incident were measured anew."""
    place = room({}, max_alerts=12)
    assert place.has_room()
    for number in range(30):
        each = replace(alert(number % 14, PLAIN, marks=0, size=8), state=AlertState.RESOLVED, ends_at=NOW)
        if number % 3 == 0:
            each = replace(each, labels={"more": "x" * 26_000})
        place.put(each.fingerprint, each)
        assert place.has_room() == room(place.alerts, max_alerts=12).has_room()
        if not place.has_room():
            assert place.forget_idlest() is not None
            assert place.has_room() == room(place.alerts, max_alerts=12).has_room()


def test_the_alert_that_ended_first_is_forgotten_first():
    """Given ended, awaited and firing alerts → they go in the order of their ends, then of their places; others stay."""
    ends = {0: 5, 1: 3, 2: 3, 3: 1, 4: 2}
    alerts = {}
    for number, minute in ends.items():
        at = NOW + timedelta(minutes=minute)
        each = replace(
            alert(number, PLAIN, marks=0), state=AlertState.RESOLVED, received=ReceivedEvents(refreshed_at=at)
        )
        alerts[each.fingerprint] = each
    first, second, third, awaited, fires = alerts.values()
    alerts[fires.fingerprint] = replace(fires, state=AlertState.FIRING)
    place = room(alerts, awaited={awaited.fingerprint})
    assert place.forget_idlest() == second
    again = replace(third, received=ReceivedEvents(refreshed_at=NOW + timedelta(minutes=9)))
    place.put(third.fingerprint, again)
    assert [place.forget_idlest() for _ in range(3)] == [first, again, None]
    assert place.alerts.keys() == {awaited.fingerprint, fires.fingerprint}


def test_text_is_measured_in_bytes():
    """A character outside ASCII counts as the bytes it takes."""
    assert text_bytes(Alert("f", text=SenderText("試", "é", annotations={"a": "b"}))) == 3 + 2 + 1
