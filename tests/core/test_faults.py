"""Which errors a count is of: exact shares, what is new, and room for only so much."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from chalicelib.core.alert import Alert, AlertState, Origin, ReceivedEvents, SenderText
from chalicelib.core.delivery.notification import Deploy
from chalicelib.core.evaluation import MAX_COUNTED
from chalicelib.core.event import Event, Severity, Status
from chalicelib.core.faults import MAX_FAULTS, MAX_URL, CountedFaults, fault_bytes, shares
from chalicelib.core.fold import fold
from chalicelib.core.incident import Incident
from chalicelib.core.inputs import EventInput
from chalicelib.core.language.condition import parse
from chalicelib.core.limits import MAX_TEXT_BYTES, bounded, text_bytes
from chalicelib.core.rule import Rule, Rules
from chalicelib.core.top_errors import top_errors
from chalicelib.messages import codec

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
RULE = Rule("Error Spike", condition=parse("events[1m] > 10"), severity=Severity.CRITICAL)
RULES = Rules((RULE,))


def error(number, fault="TypeError", at=NOW, **more):
    """One error of a fault."""
    return Event(
        str(number), "sentry", "error.created", Status.FIRING, Severity.WARNING, fault, at, f"issue:{fault}", **more
    )


def folded(*events, before=None, now=NOW + MINUTE):
    """The incident of the count after these events."""
    inputs = [EventInput(each, RULE) for each in events]
    return fold(before or Incident("k", "i"), inputs, rules=RULES, now=now)


def alert_of(incident):
    """Its one alert."""
    (found,) = incident.alerts.values()
    return found


def shown(incident, deploys=()):
    """What a message names of its alert."""
    return top_errors(alert_of(incident), window=MINUTE, deploys=deploys)


def spike(count=12, fault="TypeError", at=NOW, **more):
    """So many errors of one fault, one each second."""
    return [error(f"{fault}-{number}", fault, at + number * SECOND, **more) for number in range(count)]


def test_the_errors_with_the_most_events_come_first_and_shares_add_up():
    """Given errors of four faults → the three most frequent, of all events."""
    found = shown(folded(*spike(12), *spike(5, "KeyError"), *spike(2, "OSError"), error(1, "Rare")))
    assert [(each.title, each.count) for each in found.errors] == [("TypeError", 12), ("KeyError", 5), ("OSError", 2)]
    assert found.events == 20


def test_a_count_begins_a_window_before_the_alert():
    """Given the eleventh error after ten seconds → the errors of the minute before that count."""
    found = shown(folded(*spike()))
    assert found.since == NOW + 10 * SECOND - MINUTE


def test_a_doubled_event_counts_once():
    """Given events that are delivered again → the same counts."""
    once = folded(*spike())
    assert alert_of(folded(*spike(), before=once)).faults == alert_of(once).faults


def test_errors_long_before_the_spike_are_not_counted():
    """Given errors an hour before → the message counts those since the window of the spike alone."""
    found = shown(folded(*spike(3, "Old", NOW - HOUR), *spike()))
    assert found.events == 12
    assert [each.title for each in found.errors] == ["TypeError"]


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_deliveries_changes_nothing(seed):
    """Given the same events in another order and in other batches → the same faults."""
    events = [*spike(12), *spike(5, "KeyError", NOW + SECOND / 2), *spike(2, "OSError", NOW + SECOND / 4)]
    mixed = list(events)
    Random(seed).shuffle(mixed)
    cut = seed * 3 + 1
    batched = folded(*mixed[cut:], before=folded(*mixed[:cut]))
    assert alert_of(batched).faults == alert_of(folded(*events)).faults


def test_a_fault_that_came_before_is_known():
    """Given an error two hours before the spike → it is known since then."""
    (found,) = shown(folded(error(0, at=NOW - 2 * HOUR), *spike())).errors
    assert (found.is_new, found.known_since, found.deploy) == (False, NOW - 2 * HOUR, "")


def test_a_fault_without_a_past_is_new_only_where_something_is_remembered():
    """Given no event of the hour before → nobody can say; given one of another fault → it is new."""
    assert shown(folded(*spike())).errors[0].is_new is None
    found = shown(folded(error(0, "Other", NOW - 2 * HOUR), *spike())).errors[0]
    assert found.is_new
    assert found.remembered == 2 * HOUR


def test_the_sender_says_when_a_fault_was_first_seen():
    """Given the sender's time of the first event → that one decides, without a memory of our own."""
    old = shown(folded(*spike(annotations={"first_seen": "2025-10-03T08:00:00Z"}))).errors[0]
    new = shown(folded(*spike(annotations={"first_seen": NOW.isoformat()}))).errors[0]
    assert (old.is_new, old.known_since) == (False, datetime(2025, 10, 3, 8, tzinfo=UTC))
    assert (new.is_new, new.remembered) == (True, None)


def test_what_is_new_names_the_deploy_before_it():
    """Given a deploy before the first event of a new fault → its commit; a deploy after it is not named."""
    events = folded(error(0, "Other", NOW - 2 * HOUR), *spike(labels={"release": "web@4f2c9a1"}))
    before, after = (
        Deploy(name, at, "deploy", commit=name) for name, at in (("4f2c", NOW - MINUTE), ("9b1e", NOW + MINUTE))
    )
    found = shown(events, (after, before)).errors[0]
    assert (found.deploy, found.release) == ("4f2c", "web@4f2c9a1")
    assert shown(events, (after,)).errors[0].deploy == ""


def test_a_known_fault_names_no_deploy():
    """Given a fault from before the deploy → it is not called new since the deploy."""
    events = folded(error(0, at=NOW - 2 * HOUR), *spike())
    assert shown(events, (Deploy("d", NOW - MINUTE, "deploy", commit="4f2c"),)).errors[0].deploy == ""


def test_only_so_many_faults_are_kept_the_most_frequent():
    """Given a hundred faults → MAX_FAULTS of them, the frequent one first; every event is still counted."""
    found = folded(*(error(f"x{number}", f"Fault {number}", NOW - SECOND) for number in range(100)), *spike())
    kept = alert_of(found).faults
    assert len(kept.known) == MAX_FAULTS
    assert kept.known[0].title == "TypeError"
    assert shown(found).events == 112
    assert shown(found).errors[0].count == 12


def test_after_a_fault_was_dropped_none_of_its_time_is_called_new():
    """Given faults dropped just now → what begins now may have been among them."""
    old = [error(f"x{number}", f"Fault {number}", NOW - 3 * HOUR) for number in range(3)]
    more = [error(f"y{number}", f"Late {number}", NOW - SECOND) for number in range(30)]
    assert shown(folded(*old, *more, *spike())).errors[0].is_new is None


def test_marks_are_as_many_as_the_events_that_are_remembered():
    """Given more events than are remembered → as many marks as events."""
    found = alert_of(folded(*spike(MAX_COUNTED + 50)))
    assert len(found.faults.marks) == len(found.received.recent) == MAX_COUNTED


def test_a_long_title_is_cut_and_a_long_address_left_out():
    """Given texts without end → bounded ones."""
    (kept,) = alert_of(folded(error(1, "x" * 5_000, url="https://example.com/" + "y" * MAX_URL))).faults.known
    assert len(kept.title) < 200
    assert kept.url == ""


def test_an_item_of_the_version_before_loads_and_its_events_are_of_no_known_fault():
    """Given an alert without marks → it loads; later events get theirs, and all are counted."""
    stored = codec.encode(alert_of(folded(*spike())))
    del stored["faults"]
    old = codec.decode(Alert, stored)
    assert old.faults == CountedFaults()
    found = folded(error("new", at=NOW + 20 * SECOND), before=Incident("k", "i", alerts={old.fingerprint: old}))
    assert alert_of(found).received.events == 13
    assert shown(found).events == 13
    assert shown(found).errors[0].count == 1


def test_events_that_the_version_before_added_leave_no_wrong_mark():
    """Given an alert whose marks do not fit its events → nothing is said of its faults."""
    found = alert_of(folded(*spike()))
    longer = (*found.received.recent, (NOW.timestamp() + 30, "abc"))
    assert shares(longer, found.faults, NOW - HOUR, 3) == (0, ())


def test_what_is_stored_comes_back():
    """Given an alert with faults → it is read as it was written."""
    found = alert_of(folded(*spike(url="https://sentry.example.com/1"), *spike(2, "KeyError")))
    assert codec.decode(Alert, codec.encode(found)) == found


def test_an_alert_of_events_has_no_faults():
    """Given a rule without a condition → nothing is stored beside its events."""
    rule = Rule("Sentry Issue")
    found = fold(Incident("k", "i"), [EventInput(error(1), rule)], rules=Rules((rule,)), now=NOW)
    assert alert_of(found).origin is Origin.EVENT
    assert alert_of(found).faults == CountedFaults()


def test_an_incident_of_many_counts_fits_its_item():
    """Given hundreds of alerts with long faults → their texts share what there is."""
    one = alert_of(folded(*(error(n, f"{n} {'é' * 100}", url="https://example.com/" + "y" * 200) for n in range(12))))
    alerts = {str(number): replace(one, fingerprint=str(number)) for number in range(300)}
    found = bounded(Incident("k", "i", alerts=alerts)).alerts
    assert sum(map(text_bytes, found.values())) <= MAX_TEXT_BYTES
    assert all(len(each.faults.marks) == len(each.received.recent) for each in found.values())


def test_a_single_count_within_all_bounds_keeps_its_faults():
    """Given one alert with long texts → its faults are among what is kept."""
    one = alert_of(folded(*spike(url="https://example.com/" + "y" * 200)))
    heavy = replace(one, text=SenderText(summary="x" * (MAX_TEXT_BYTES + 1)))
    (kept,) = bounded(Incident("k", "i", alerts={"a": heavy})).alerts.values()
    assert kept.faults == one.faults
    assert text_bytes(kept) <= MAX_TEXT_BYTES
    assert fault_bytes(kept.faults) > 0


def test_an_alert_that_counts_nothing_yet_names_nothing():
    """Given a count without events → no errors."""
    empty = Alert("a", origin=Origin.COUNT, state=AlertState.FIRING, starts_at=NOW, received=ReceivedEvents())
    assert top_errors(empty, window=MINUTE, deploys=()) is None
