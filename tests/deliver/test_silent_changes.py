"""One person's act on many incidents of one channel: what is new goes first, and every message is up to date at last."""

from collections.abc import Callable

import pytest

from tests.outage import OPEN_BY, UPDATES_A_MINUTE, Outage

SECONDS = 2.0
"""A new critical notification is in the channel within so many seconds: the pace of one, and SQS's whole seconds."""

ACTS: dict[str, tuple[Callable[[Outage], Outage], str]] = {
    "silence": (Outage.silence, "*Silenced* by"),
    "acknowledgement": (Outage.acknowledge, "*Acknowledged* by ana"),
}


@pytest.mark.acceptance
@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize(("incidents", "moments"), [(120, (-0.5, 0, 0.5, 3, 60, 130)), (500, (0, 1, 45, 300, 590))])
def test_what_is_new_goes_before_the_messages_that_are_brought_up_to_date(
    act: str, incidents: int, moments: tuple[float, ...]
) -> None:
    """Given one act over many incidents, when others fire at any moment of it → each is posted within two seconds."""
    outage = Outage(incidents)
    do, word = ACTS[act]
    fired = {f"new{number}": OPEN_BY + 10 + moment for number, moment in enumerate(moments)}
    for service, at in sorted([*fired.items(), ("", OPEN_BY + 10)], key=lambda step: step[1]):
        outage.until(at)
        if service:
            outage.fire("Down", service)
        else:
            do(outage)
    outage.until(OPEN_BY + 20 + 2 * (incidents + len(fired)))
    waited = {service: outage.posted_at(service) - at for service, at in fired.items()}
    assert max(waited.values()) <= SECONDS, waited
    assert outage.shown(word) == incidents
    assert [len(each) for each in outage.slack.replies.values()] == [1] * incidents
    assert outage.slack.refused == []
    assert outage.router.dead_lettered == []


@pytest.mark.acceptance
def test_many_silent_changes_cost_three_writes_each() -> None:
    """Given a silence over 500 incidents → each costs its save, at most one place, one claim and one record."""
    outage = Outage(500).silence().until(OPEN_BY + 1_020)
    assert outage.shown("*Silenced* by") == 500
    assert outage.router.store.writes <= 500 * 4 + 10


def test_a_lone_silent_change_costs_two_writes() -> None:
    """Given one incident in a quiet channel, when it is acknowledged → its save, a claim and a record, and no wait."""
    outage = Outage(1).acknowledge().until(OPEN_BY)
    assert outage.shown("*Acknowledged* by ana") == 1
    assert outage.router.store.writes == 1 + 2


def test_what_waits_is_superseded_by_what_comes_later() -> None:
    """Given a silence over 120 incidents that ends a minute later → only what was sent by then was ever silenced."""
    outage = Outage(120).silence().until(OPEN_BY + 60)
    silenced = outage.slack.updated
    assert 0 < silenced <= 31
    outage.unsilence().until(OPEN_BY + 600)
    assert outage.shown("*Silenced* by") == 0
    assert outage.shown("ended before its time") == 120
    assert sum("silenced until" in each[0] for each in outage.slack.replies.values()) == silenced


def test_an_opening_does_not_wait_for_the_limit_of_changes() -> None:
    """Given other channels that use up chat.update, when an incident fires → it is posted; the changes follow later."""
    outage = Outage(20)
    for _ in range(UPDATES_A_MINUTE):
        outage.slack.limited("chat.update")
    outage.acknowledge().until(OPEN_BY + 5).fire("Down", "new").until(OPEN_BY + 8)
    assert {method for _, method in outage.slack.refused} == {"chat.update"}
    assert outage.posted_at("new") <= OPEN_BY + 5 + SECONDS
    assert outage.until(OPEN_BY + 200).shown("*Acknowledged* by ana") == 20
