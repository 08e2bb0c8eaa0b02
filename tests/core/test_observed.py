"""What an alert keeps of what was seen of it, and what a message shows of it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.core.alert import Alert, AlertState
from chalicelib.core.delivery.text import facts
from chalicelib.core.fold import fold
from chalicelib.core.growth import growth_of, in_words
from chalicelib.core.incident import Incident
from chalicelib.core.inputs import HeartbeatInput, Measured, TimedEvaluation
from chalicelib.core.language.condition import Evaluation, parse
from chalicelib.core.limits import MAX_TEXT_BYTES, bounded, text_bytes
from chalicelib.core.metrics.sample import Sample
from chalicelib.core.observed import LABELS, MAX_CHARACTERS
from chalicelib.core.observed import bounded as bounded_texts
from chalicelib.core.rule import Rule, Rules
from chalicelib.messages import codec
from tests.targets.samples import NOTIFICATION, TOLD

NOW = datetime(2026, 11, 30, 5, 45, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
RULE = Rule("Service Downtime", condition=parse("uptime < 99%"))
RULES = Rules((RULE,))


def measured(minutes, down, **observed):
    """A measurement so many minutes later, and what was seen."""
    at = NOW + minutes * MINUTE
    found = Evaluation(down, 0.0 if down else 1.0, "0 %" if down else "100 %", "99 %", None)
    return Measured(RULE, {"probe": "api"}, (TimedEvaluation(at, found),), observed=observed), at


def after(incident, given):
    """The alert and its incident after a measurement."""
    found = fold(incident, [given[0]], rules=RULES, now=given[1])
    (alert,) = found.alerts.values()
    return found, alert


def test_an_alert_keeps_what_was_seen_when_it_was_measured_last():
    """Given two failed runs → the newest result, and what only the first one knew."""
    one, _ = after(Incident("k", "i"), measured(0, True, result="status 503", fine="until 05:44"))
    _, alert = after(one, measured(1, True, result="no connection"))
    assert alert.observed == {"result": "no connection", "fine": "until 05:44"}


def test_what_was_seen_stays_with_the_end_and_not_with_the_next_beginning():
    """Given an end → the last result stays; given a new beginning of which nothing was seen → it is forgotten."""
    one, _ = after(Incident("k", "i"), measured(0, True, result="status 503"))
    two, ended = after(one, measured(1, False))
    assert (ended.state, ended.observed) == (AlertState.RESOLVED, {"result": "status 503"})
    _, again = after(two, measured(30, True))
    assert (again.state, again.observed) == (AlertState.FIRING, {})


def test_a_heartbeat_says_when_it_came_last_and_when_the_next_was_due():
    """Given a heartbeat with an output and none after it → both times and the output."""
    beat = HeartbeatInput("backup", NOW, {"every": "600", "grace": "60"}, output="42 files, 1.2 GB")
    found = fold(Incident("k", "i"), [beat], rules=Rules(), now=NOW)
    (alert,) = fold(found, [], rules=Rules(), now=NOW + 12 * MINUTE).firing
    assert alert.observed == {
        "last_beat": "2026-11-30 05:45 UTC",
        "due": "2026-11-30 05:55 UTC",
        "output": "42 files, 1.2 GB",
    }


def test_a_heartbeat_that_never_came_says_so():
    """Given an expectation alone → no heartbeat was received."""
    beat = HeartbeatInput("backup", NOW, {"every": "600", "grace": "60"}, heard=False)
    found = fold(Incident("k", "i"), [beat], rules=Rules(), now=NOW)
    (alert,) = fold(found, [], rules=Rules(), now=NOW + 12 * MINUTE).firing
    assert alert.observed == {"last_beat": "none was received", "due": "2026-11-30 05:55 UTC"}


@pytest.mark.parametrize(
    ("size", "per_day", "limit", "reached"),
    [
        (6.0, 0.5, 8.0, "8 GB in 4 days, on 2026-12-04"),
        (7.6, 0.3, 8.0, "8 GB in 1 day, on 2026-12-01"),
        (8.2, 0.3, 8.0, "8 GB are reached"),
        (6.0, -0.1, 8.0, None),
        (6.0, 0.0, 8.0, None),
        (1.0, 0.0001, 8.0, None),
        (6.0, 0.5, None, None),
    ],
)
def test_growth_names_the_day_on_which_the_limit_is_reached(size, per_day, limit, reached):
    """Given size, growth and limit → the day, rounded down; nothing where it is not foretold."""
    found = in_words(size, per_day, limit, NOW)
    assert found["growth"] == f"{size:.2f} GB now, {per_day:+.2f} GB a day"
    assert found.get("limit_in") == reached


def test_growth_is_that_of_the_same_series():
    """Given two databases → the growth of each; none where it was not measured."""
    samples = [
        Sample("db_size_gb", 6.0, NOW, {"database": "main"}),
        Sample("db_growth_gb_per_day", 0.5, NOW, {"database": "main"}),
        Sample("db_size_gb", 1.0, NOW, {"database": "other"}),
    ]
    assert growth_of(samples, "db_size_gb", {"database": "main"}) == (6.0, 0.5)
    assert growth_of(samples, "db_size_gb", {"database": "other"}) is None


def test_a_message_shows_it_in_one_order_with_labels():
    """Given what was seen, and labels that say where → facts with words for people."""
    told = replace(
        TOLD,
        labels={"zone": "shop.example", "status_codes": "502, 503"},
        observed={"result": "status 503", "address": "https://api.example.com/health", "unknown": "x"},
    )
    shown = [label for label, _ in facts(replace(NOTIFICATION, alerts=(told,)))]
    places = [shown.index(label) for label in ("Address", "Result", "Zone", "Status codes")]
    assert places == sorted(places)
    assert "unknown" not in shown


def test_texts_are_bounded_and_have_names():
    """Given too long a text and an unknown name → a cut text, and no other."""
    found = bounded_texts({"result": "x" * 10_000, "secret": "y", "output": ""})
    assert found == {"result": "x" * MAX_CHARACTERS}
    assert set(found) <= set(LABELS)


def test_an_incident_of_many_probes_fits_its_item():
    """Given hundreds of alerts with all texts → they share what there is."""
    observed = dict.fromkeys(LABELS, "é" * MAX_CHARACTERS)
    alerts = {str(n): Alert(str(n), observed=observed) for n in range(500)}
    found = bounded(Incident("k", "i", alerts=alerts)).alerts
    assert sum(map(text_bytes, found.values())) <= MAX_TEXT_BYTES


def test_what_was_seen_is_stored():
    """Given an alert with texts → it is read as it was written; an item without them has none."""
    alert = Alert("a", observed={"result": "status 503"})
    stored = codec.encode(alert)
    assert codec.decode(Alert, stored) == alert
    del stored["observed"]
    assert codec.decode(Alert, stored).observed == {}
