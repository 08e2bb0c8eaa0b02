"""A stage with a storm open goes back to the version before, and forward again.

stored/storm_release.json is such a stage as the first version with storms that is upgraded from here stored it: four incidents of
one channel, two of them in a storm. It is never changed.
"""

import json
from pathlib import Path

import pytest

from chalicelib.core.event import ActionKind, Status
from chalicelib.core.incident import Incident
from chalicelib.messages import codec
from chalicelib.messages.queue import Wake, events_messages, read_message
from tests import version_before as before
from tests.process.test_storms import MINUTE, START, TEXT, acted, fires, others, router_with, storms
from tests.rule_files import rules_of
from tests.scenario import event
from tests.test_rollback import back_and_forth
from tests.test_upgrade import staged

STAGE = json.loads((Path(__file__).parent / "stored" / "storm_release.json").read_text("utf-8"))

OFF = rules_of(
    """
defaults: {group_by: [service], group_wait: 30s, group_interval: 5m, repeat_interval: 4h}
correlate: {by: [service], storm: "off"}
alerts: []
default: {notification: [{slack_channel: "#inc"}]}
"""
)


def test_the_version_before_goes_on_with_the_target_of_a_storm():
    """Given a storm and an incident in it → the version before reads both, and knows their open target."""
    router = router_with("a", "b", "c")
    for incident in router.store.incidents():
        old = codec.decode(before.Incident, codec.encode(incident))
        shown = {key: (each.open, each.alerts.firing) for key, each in incident.announced.items()}
        assert {key: (each.open, each.firing) for key, each in old.announced.items()} == shown


def test_the_version_before_takes_a_report_for_a_wake_up():
    """Given the message of a report → without what is new in it, it wakes the storm."""
    router = router_with("a", "b", "c")
    (storm,) = storms(router)
    assert read_message(f'{{"v": 1, "type": "wake", "key": "{storm.key}"}}') == Wake(storm.key)


@pytest.mark.parametrize("stored_by", [dict, back_and_forth], ids=["stored here", "stored by the version before"])
def test_a_storm_ends_after_a_rollback_and_forward_again(stored_by):
    """Given what either version stored, when all alerts end → each incident and the storm end, once at the target.

    The version before does not keep which incidents are in a storm: these have messages of their own then.
    """
    router = router_with("a", "b", "c", "d")
    router.taken()
    for key, incident in list(router.store._incidents.items()):
        router.store._incidents[key] = codec.decode(Incident, stored_by(codec.encode(incident)))
    for each in "abcd":
        router.post(
            events_messages([event("Down", Status.RESOLVED, START + MINUTE, {"service": each}, id=f"end {each}")])
        )
    router.run_until(START + 40 * MINUTE, inclusive=True)
    sent = [each.notification.reason.value for each in router.taken()]
    assert (storms(router), others(router)) == ([], {})
    assert (sent.count("opened"), sent.count("resolved")) == ((0, 3) if stored_by is dict else (2, 5))


def test_what_was_open_before_storms_are_switched_off_stays_in_its_storm():
    """Given an open storm, when the rules say `storm: off` → its incidents end in it, and the next ones are opened."""
    router = router_with("a", "b", "c")
    router.taken()
    router.redeploy(OFF)
    router.run_until(START + 2 * MINUTE, inclusive=True)
    router.post([fires("d", minutes=2), fires("c", status=Status.RESOLVED, minutes=2)])
    router.run_until(START + 20 * MINUTE, inclusive=True)
    sent = [(each.notification.reason.value, each.notification.storm) for each in router.taken()]
    assert sent == [("opened", 0), ("resolved", 1)]


def test_a_storm_of_the_version_before_is_acknowledged_and_ends():
    """Given a stored storm, when it is acknowledged and all alerts end → its incidents are, and each message has one end."""
    router = staged(STAGE, TEXT)
    (storm,) = storms(router)
    router.post([acted(ActionKind.ACK, storm, 2)])
    router.run_until(START + 3 * MINUTE, inclusive=True)
    held = [alert.ack.by for each in others(router).values() for alert in each.firing]
    assert sorted(map(str, held)) == ["None", "None", "ana", "ana"]
    router.post([fires(each, status=Status.RESOLVED, minutes=3) for each in "abcd"])
    router.run_until(START + 40 * MINUTE, inclusive=True)
    sent = [(each.notification.reason.value, each.notification.storm) for each in router.taken()]
    assert [each for each in sent if each[0] == "opened"] == []
    assert sorted(each for each in sent if each[0] == "resolved") == [("resolved", 0), ("resolved", 0), ("resolved", 2)]
    assert (storms(router), others(router)) == ([], {})
