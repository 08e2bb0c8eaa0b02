"""One occurrence that Sentry reports by several of its resources is one alert, whichever comes first."""

from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest

from tests.sources.bodies import body, changed
from tests.sources.pairs import MINUTE, PAIRS, START, Given
from tests.sources.test_ends import RULES, counted, played

NUMBER = "1170820242"
ENDS = PAIRS["event alert, issue resolved"].ends


def hook(resource: str, name: str, **fields: Any) -> Given:
    """A webhook of that resource about the issue."""
    headers = {"sentry-hook-resource": resource, "sentry-hook-timestamp": "0"}
    return Given(changed(body(f"sentry/{name}.json"), **fields), headers)


ISSUE = hook("issue", "issue_created_docs", data__issue__id=NUMBER, data__issue__firstSeen=START.isoformat())
ALERT = hook(
    "event_alert",
    "event_alert_triggered_docs",
    data__event__issue_id=NUMBER,
    data__event__environment="production",
)
ERROR = hook("error", "error_created_docs", data__error__issue_id=NUMBER, data__error__environment="production")
REPORTS = {"issue": ISSUE, "event_alert": ALERT, "error": ERROR}


def bare(resource: str) -> Given:
    """The webhook of that resource without service, environment and level."""
    given = REPORTS[resource]
    inner = {"event_alert": "event"}.get(resource, resource)
    names = ("project", "url", "environment", "tags", "level")
    gone: dict[str, Any] = {f"data__{inner}__{name}": ... for name in names}
    return given.with_body(changed(given.body, **gone))


@pytest.mark.parametrize("without", ["none", *REPORTS])
@pytest.mark.parametrize("gap", [timedelta(0), 2 * MINUTE], ids=["at once", "two minutes apart"])
@pytest.mark.parametrize("rules", RULES)
def test_one_occurrence_opens_once_at_each_target(rules: str, gap: timedelta, without: str) -> None:
    """Given the reports of an issue in any order, then each target is sent one opening, and one resolve at its end."""
    for order in permutations(REPORTS):
        reports = [bare(each) if each == without else REPORTS[each] for each in order]
        times = [number * gap for number in range(len(reports))]
        given = [(at, each.at(START + at)) for at, each in zip(times, reports, strict=True)]
        router = played(rules, "sentry", *given, (30 * MINUTE, ENDS.at(START + 30 * MINUTE)))
        opened = counted(router, "opened")
        assert opened and set(opened.values()) == {1}, order
        assert counted(router, "resolved") == opened, order
        assert list(router.store.incidents()) == [], order


def test_an_issue_and_its_alert_are_notified_where_either_alone_would_be() -> None:
    """Given the shipped rules, then the reports together open at the targets of the issue alone, and at no other."""
    alone = counted(played("the shipped file", "sentry", (timedelta(0), ISSUE.at(START))), "opened")
    given = [(number * MINUTE, each.at(START + number * MINUTE)) for number, each in enumerate(REPORTS.values())]
    assert counted(played("the shipped file", "sentry", *given), "opened") == alone == {"slack_channel:#alerts": 1}
