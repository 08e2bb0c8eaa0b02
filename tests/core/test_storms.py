"""Which incidents a storm takes, and what its title counts."""

from datetime import timedelta

import pytest

from chalicelib.core.alert import Alert, AlertState
from chalicelib.core.incident import Episode, Incident
from chalicelib.core.rule import Correlate, Storm
from chalicelib.core.storms import FULL, goes_on, storm_title
from tests.scenario import START

MINUTE = timedelta(minutes=1)
TERMS = Correlate(by=("service",), max_age=timedelta(hours=2), storm=Storm(5, 5 * MINUTE))


def storm(alerts=1, *, news=0, **episode):
    """Return a storm of so many alerts that began at the start and had news so many minutes later."""
    named = {f"a{n}": Alert(f"a{n}", state=AlertState.FIRING) for n in range(alerts)}
    return Incident("storm|t|0", alerts=named, episode=Episode(START, news_at=START + news * MINUTE, **episode))


@pytest.mark.parametrize(
    ("found", "news", "minutes", "takes"),
    [
        (None, None, 5, True),
        (None, None, 6, False),
        (None, 3, 8, True),
        (storm(news=3), None, 8, True),
        (storm(news=3), None, 9, False),
        (storm(news=119), None, 120, True),
        (storm(news=119), None, 121, False),
        (storm(ended_at=START), None, 1, False),
        (storm(closed_via="slack"), None, 1, False),
        (storm(FULL - 1), None, 1, True),
        (storm(FULL), None, 1, False),
    ],
)
def test_a_storm_takes_an_incident_while_one_comes_every_within(found, news, minutes, takes):
    """Given a storm and its last news → it takes one more within five minutes of that, unless it is over, old or full."""
    news_at = None if news is None else START + news * MINUTE
    assert goes_on(START, found, news_at, TERMS, START + minutes * MINUTE) is takes


@pytest.mark.parametrize(
    ("services", "more", "title"),
    [
        (["api"], 0, "Storm: 1 alert: api"),
        (["api", "web", "api"], 0, "Storm: 3 alerts of 2 services: api, web"),
        (["a", "b", "c", "d", "e"], 0, "Storm: 5 alerts of 5 services: a, b, c and 2 more"),
        (["a", "b"], 40, "Storm: 42 alerts: a, b"),
    ],
)
def test_the_counts_of_a_title_add_up(services, more, title):
    """Given the alerts of a storm → its title names three services, and counts the others."""
    alerts = [Alert(f"{n}", labels={"service": service}) for n, service in enumerate(services)]
    assert storm_title(alerts, more) == title


def test_a_title_counts_no_services_where_alerts_have_none():
    """Given alerts without a service → the title names the alerts."""
    assert storm_title([Alert("1", name="Down"), Alert("2", name="Slow")], 0) == "Storm: 2 alerts: Down, Slow"
