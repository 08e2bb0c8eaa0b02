"""What Sentry's webhooks come to: every captured body, and the variants that were not captured."""

import pytest

from chalicelib.core.errors import ParseError
from chalicelib.core.event import Severity, Status
from tests.sources.bodies import NOW, body, changed, event, events, files, raw, summary

EXPECTED = {
    "activity_alert_minimal.json": [
        (
            "activity_alert.triggered",
            "info",
            "warning",
            "ValueError: bad value",
            "my-proj",
            "",
            "https://sentry.io/organizations/my-org/issues/123456/",
            "issue:123456",
        ),
    ],
    "comment_created_docs.json": [
        ("comment.created", "info", "info", "Sentry: comment created (issue 100)", "sentry", "", "", "issue:100"),
    ],
    "derived_event_alert_over_256k.json": [
        (
            "event_alert.triggered",
            "firing",
            "warning",
            "RecursionError: maximum recursion depth exceeded",
            "front-end",
            "",
            "https://sentry.io/organizations/test-org/issues/1117540176/events/e4874d664c3540c1a32eab185f12c5ab/",
            "issue:1117540176",
        ),
    ],
    "derived_issue_all_nulls.json": [
        ("issue.created", "firing", "warning", "Sentry issue 77", "", "", "", "issue:77"),
    ],
    "derived_unicode_escaped_raw.json": [
        (
            "issue.assigned",
            "info",
            "warning",
            "Résumé upload → “connexion refusée” 🔥 <b>&amp; 'quotes'</b>",
            "cafe-web",
            "",
            "",
            "issue:4509877862",
        ),
    ],
    "error_created_docs.json": [
        (
            "error.created",
            "firing",
            "warning",
            "ReferenceError: blooopy is not defined",
            "front-end",
            "",
            "https://sentry.io/organizations/test-org/issues/1170820242/events/bb78c1407cea4519aa397afc059c793d/",
            "issue:1170820242",
        ),
    ],
    "event_alert_exception_python.json": [
        (
            "event_alert.triggered",
            "firing",
            "warning",
            "Exception: Custom exception!",
            "integration-testing",
            "",
            "https://sentry.io/organizations/example-org/issues/1635244907/events/599349254a1447a99774b5310711c1a8/",
            "issue:1635244907",
        ),
    ],
    "event_alert_huge_node.json": [
        (
            "event_alert.triggered",
            "firing",
            "warning",
            "Error: Sample error from node.",
            "integration-testing",
            "",
            "https://sentry.io/organizations/example-org/issues/1638852747/events/f9cb0f2afff74a5aa92e766fb7ac3fe3/",
            "issue:1638852747",
        ),
    ],
    "event_alert_message_python.json": [
        (
            "event_alert.triggered",
            "firing",
            "info",
            "A simple message-based issue.",
            "integration-testing",
            "",
            "https://sentry.io/organizations/example-org/issues/1635261062/events/8da63b42375e4d3b803c377fefb062f8/",
            "issue:1635261062",
        ),
    ],
    "event_alert_minimal.json": [
        ("event_alert.triggered", "firing", "warning", "ValueError: bad value", "42", "", "", "issue:123456"),
    ],
    "event_alert_triggered_docs.json": [
        (
            "event_alert.triggered",
            "firing",
            "warning",
            "ReferenceError: heck is not defined",
            "front-end",
            "",
            "https://sentry.io/organizations/test-org/issues/1117540176/events/e4874d664c3540c1a32eab185f12c5ab/",
            "issue:1117540176",
        ),
    ],
    "installation_created_docs.json": [
        (
            "installation.created",
            "info",
            "info",
            "Sentry: installation created (test-org)",
            "",
            "",
            "",
            "installation:a8e5d37a-696c-4c54-adb5-b3f28d64c7de",
        ),
    ],
    "installation_deleted.json": [
        (
            "installation.deleted",
            "info",
            "info",
            "Sentry: installation deleted (example)",
            "",
            "",
            "",
            "installation:7a485448-a9e2-4c85-8a3c-4f44175783c9",
        ),
    ],
    "issue_assigned_to_team.json": [
        (
            "issue.assigned",
            "info",
            "warning",
            "Exception: program has entered an invalid state.",
            "integration-testing",
            "",
            "",
            "issue:1638821441",
        ),
    ],
    "issue_created_docs.json": [
        (
            "issue.created",
            "firing",
            "critical",
            "Error generated with event_id: 495d375a-1df6-45c0-9890-34dae8e1b6a4(Priority: HIGH)",
            "python",
            "",
            "https://example-org.sentry.io/issues/1234567890/",
            "issue:1234567890",
        ),
    ],
    "issue_created_message_2020.json": [
        (
            "issue.created",
            "firing",
            "info",
            "A simple message-based issue.",
            "integration-testing",
            "",
            "",
            "issue:1635261062",
        ),
    ],
    "issue_ignored.json": [
        (
            "issue.ignored",
            "resolved",
            "warning",
            "Exception: program has entered an invalid state.",
            "integration-testing",
            "",
            "",
            "issue:1638821441",
        ),
    ],
    "legacy_plugin_keep_server_overload.json": [
        (
            "event_alert.triggered",
            "firing",
            "warning",
            "Order submission failed",
            "frontend-app",
            "production",
            "https://example-org.sentry.io/issues/4616132098/",
            "issue:4616132098",
        ),
    ],
    "legacy_plugin_python.json": [
        (
            "event_alert.triggered",
            "firing",
            "warning",
            "ValueError: new sentry error.",
            "foo-live",
            "",
            "https://sentry.io/organizations/bar-foundation/issues/1972208801/?referrer=webhooks_plugin",
            "issue:1972208801",
        ),
    ],
    "legacy_plugin_raven_2016.json": [
        (
            "event_alert.triggered",
            "firing",
            "warning",
            "This is an example python exception",
            "zulip",
            "production",
            "https://sentry.io/example-org/example-project/issues/156699934/",
            "issue:156699934",
        ),
    ],
    "metric_alert_critical_ui_component.json": [
        ("metric_alert.critical", "firing", "critical", "metric alert", "", "", "", "metric:example:456"),
    ],
    "metric_alert_resolved_docs.json": [
        (
            "metric_alert.resolved",
            "resolved",
            "warning",
            "Too many errors",
            "bar",
            "",
            "https://sentry.io/organizations/baz/alerts/1/",
            "metric:5:7",
        ),
    ],
    "metric_alert_warning_minimal.json": [
        ("metric_alert.warning", "firing", "warning", "metric alert", "", "", "", "metric:example:456"),
    ],
    "seer_root_cause_completed_docs.json": [
        (
            "seer.root_cause_completed",
            "info",
            "info",
            "Sentry: seer root cause completed (issue 1170820242)",
            "",
            "",
            "",
            "issue:1170820242",
        ),
    ],
}
"""By file: kind, status, severity, title, service, environment, url, identity."""

ISSUE = body("sentry/issue_created_docs.json")
ALERT = body("sentry/event_alert_triggered_docs.json")
ERROR = body("sentry/error_created_docs.json")
METRIC = body("sentry/metric_alert_resolved_docs.json")
LEGACY = body("sentry/legacy_plugin_python.json")


def issue(action="created", **fields):
    """The event of an issue webhook with other fields."""
    given = changed(ISSUE, action=action, **{f"data__issue__{name}": value for name, value in fields.items()})
    return event("sentry", given, {"sentry-hook-resource": "issue"})


def metric(action, **fields):
    """The event of a metric alert with other fields of the incident."""
    given = changed(METRIC, action=action, **{f"data__metric_alert__{name}": value for name, value in fields.items()})
    return event("sentry", given, {"sentry-hook-resource": "metric_alert"})


def occurred(**fields):
    """The event of an event alert with other fields of what occurred."""
    given = changed(ALERT, **{f"data__event__{name}": value for name, value in fields.items()})
    return event("sentry", given, {"sentry-hook-resource": "event_alert"})


def test_every_body_is_in_the_table():
    """A body that is added is judged."""
    assert files("sentry") == [f"sentry/{name}" for name in EXPECTED]


@pytest.mark.parametrize("name", EXPECTED)
def test_bodies(name):
    """Each body comes to the events of the table."""
    assert [summary(each) for each in events("sentry", raw(f"sentry/{name}"))] == EXPECTED[name]


STATUSES = [
    ("issue", "created", "firing"),
    ("issue", "unresolved", "firing"),
    ("issue", "resolved", "resolved"),
    ("issue", "ignored", "resolved"),
    ("issue", "archived", "resolved"),
    ("issue", "assigned", "info"),
    ("issue", "something_new", "info"),
    ("event_alert", "triggered", "firing"),
    ("error", "created", "firing"),
    ("metric_alert", "critical", "firing"),
    ("metric_alert", "warning", "firing"),
    ("metric_alert", "open", "firing"),
    ("metric_alert", "resolved", "resolved"),
    ("comment", "created", "info"),
    ("comment", "updated", "info"),
    ("comment", "deleted", "info"),
    ("installation", "created", "info"),
    ("installation", "deleted", "info"),
    ("activity_alert", "triggered", "info"),
    ("seer", "root_cause_started", "info"),
    ("seer", "pr_created", "info"),
    ("preprod_artifact", "size_analysis_completed", "info"),
    ("brand_new_resource", "created", "info"),
]


@pytest.mark.parametrize(("resource", "action", "status"), STATUSES)
def test_resource_and_action_say_what_it_is(resource, action, status):
    """The kind is `<resource>.<action>`; faults fire and end, everything else is information."""
    given = {"action": action, "installation": {"uuid": "u"}, "data": {"issue": {"id": "7"}, "event": {"title": "t"}}}
    found = event("sentry", given, {"sentry-hook-resource": resource})
    assert (found.kind, found.status.value) == (f"{resource}.{action}", status)


LEVELS = [
    ("fatal", "critical"),
    ("error", "warning"),
    ("warning", "warning"),
    ("info", "info"),
    ("debug", "info"),
    (None, "warning"),
    ("", "warning"),
    ("sample", "warning"),
    (40, "warning"),
    ("FATAL", "critical"),
]


@pytest.mark.parametrize(("level", "severity"), LEVELS)
def test_levels(level, severity):
    """Fatal is critical, error and warning are warning, info and debug are info, nothing said is warning."""
    assert issue(level=level).severity.value == severity
    assert occurred(level=level, tags=[]).severity.value == severity


@pytest.mark.parametrize(("level", "severity"), LEVELS)
def test_a_level_among_the_tags(level, severity):
    """Where the event has no level, the tag says it, in either form of tags."""
    assert occurred(level=..., tags=[["level", level]]).severity.value == severity
    assert occurred(level=None, tags=[{"key": "level", "value": level}]).severity.value == severity


@pytest.mark.parametrize(
    ("action", "severity"),
    [("critical", "critical"), ("warning", "warning"), ("open", "warning"), ("resolved", "warning")],
)
def test_metric_alerts_are_as_bad_as_their_action(action, severity):
    """The action decides, whatever the status number says."""
    assert metric(action, status=20).severity.value == severity
    assert metric(action, status=2).severity.value == severity


def test_three_shapes_of_one_issue_are_one_alert():
    """issue.created, event_alert and error of one occurrence have one fingerprint, and so has the end."""
    number = "1170820242"
    shapes = [
        issue(id=number),
        occurred(issue_id=number),
        event("sentry", changed(ERROR, data__error__issue_id=int(number))),
        issue("resolved", id=number),
        event("sentry", changed(LEGACY, id=number)),
    ]
    assert len({found.fingerprint for found in shapes}) == 1
    assert issue(id="2").fingerprint != shapes[0].fingerprint


ADDRESSES = [
    ("issue_url", "https://sentry.io/api/0/issues/77/"),
    ("issue_url", "https://sentry.io/api/0/organizations/o/issues/77/"),
    ("web_url", "https://sentry.io/organizations/o/issues/77/events/abc/"),
    ("web_url", "https://o.sentry.io/issues/77/?referrer=webhooks_plugin"),
    ("web_url", "https://sentry.example.com/o/project/issues/77"),
]


@pytest.mark.parametrize(("field", "address"), ADDRESSES)
def test_the_issue_is_read_from_its_address(field, address):
    """A body without issue_id names its issue in a link, in every form that links had."""
    gone = {"issue_id": ..., "issue_url": ..., "web_url": ...}
    assert occurred(**{**gone, field: address}).fingerprint == issue(id="77").fingerprint


def test_the_identity_is_never_the_event():
    """Two occurrences of one fault without any issue id are one alert; two faults are two."""
    gone = {"issue_id": ..., "issue_url": ..., "web_url": ...}
    one, two = (occurred(**gone, event_id=each * 32, hashes=["h"]) for each in "ab")
    assert one.fingerprint == two.fingerprint and one.id != two.id
    assert occurred(**gone, hashes=["other"]).fingerprint != one.fingerprint


def test_a_metric_alert_and_its_end_are_one_alert():
    """The rule and its organisation are the identity; the incident behind it is not."""
    assert metric("critical", id="4").fingerprint == metric("resolved", id="9").fingerprint
    other_rule = metric("critical", alert_rule={"id": "8", "name": "x", "organization_id": "5"}, organization_id="5")
    other_organization = metric("critical", organization_id="6")
    assert len({each.fingerprint for each in (metric("critical"), other_rule, other_organization)}) == 3


def test_rules_of_one_number_in_two_organisations_differ():
    """The form of a UI component has no organization_id, but names the organisation beside the installation."""
    given = body("sentry/metric_alert_critical_ui_component.json")
    other = changed(given, installation__organization__slug="another")
    assert event("sentry", given).fingerprint != event("sentry", other).fingerprint
    ended = changed(given, action="resolved")
    assert event("sentry", given).fingerprint == event("sentry", ended).fingerprint


def test_the_number_of_a_rule_is_the_same_as_text():
    """7 and "7" are one rule; one issue is one issue whatever the type of its id."""
    rule = METRIC["data"]["metric_alert"]["alert_rule"]
    assert metric("critical", alert_rule={**rule, "id": 7}).fingerprint == metric("critical").fingerprint
    assert issue(id=1234567890).fingerprint == issue(id="1234567890").fingerprint


def test_a_metric_alert_whose_parts_are_null_is_kept():
    """Sentry may time out while writing the incident; what is left still has a title."""
    found = event(
        "sentry", {"action": "critical", "data": {"metric_alert": None, "description_title": "Slow checkout"}}
    )
    assert (found.kind, found.title, found.status) == ("metric_alert.critical", "Slow checkout", Status.FIRING)


MONITORS = [
    ("uptime_domain_failure", "outage", "Downtime detected for https://example.com"),
    ("monitor_check_in_failure", "outage", "Cron failure: nightly-backup"),
    ("performance_n_plus_one_db_queries", "db_query", "N+1 Query"),
]


@pytest.mark.parametrize(("kind", "category", "title"), MONITORS)
def test_monitors_arrive_as_issues(kind, category, title):
    """Uptime and cron monitors are issues of their own type, firing and ended like any other."""
    began = issue(issueType=kind, issueCategory=category, title=title, level="error")
    ended = issue("resolved", issueType=kind, issueCategory=category, title=title, web_url=...)
    assert (began.status, ended.status, began.title) == (Status.FIRING, Status.RESOLVED, title)
    assert began.fingerprint == ended.fingerprint
    assert (began.labels["issue_type"], began.labels["issue_category"]) == (kind, category)


def test_feedback_pages_nobody():
    """What a user writes is an issue of level info."""
    found = issue(issueType="feedback", issueCategory="feedback", level="info", title="User Feedback")
    assert (found.status, found.severity) == (Status.FIRING, Severity.INFO)


def test_an_occurrence_says_what_the_event_does_not():
    """An event of the issue platform brings its title and level inside `occurrence`, in camelCase."""
    occurrence = {"issueTitle": "Downtime detected", "subtitle": "Timeout after 10 s", "level": "fatal"}
    found = occurred(title=..., metadata=..., message="", level=..., tags=[], occurrence=occurrence)
    assert (found.title, found.severity) == ("Downtime detected", Severity.CRITICAL)
    assert "Timeout after 10 s" in found.summary


def test_an_alert_that_brings_its_issue_instead_of_an_event():
    """The issue stands in where the event is missing."""
    given = changed(ALERT, data__event=None, data__issue=ISSUE["data"]["issue"])
    assert event("sentry", given, {"sentry-hook-resource": "event_alert"}).fingerprint == issue().fingerprint


def test_counts_and_times_are_told():
    """Number of events and users, release, first and last seen, where they are said."""
    found = issue(count="412", userCount=31, lastRelease={"version": "web@2.4.1"})
    assert "412 events, 31 users, first seen 2025-11-10 20:56 UTC, last seen 2025-11-10 20:56 UTC" in found.summary
    assert found.labels["release"] == "web@2.4.1"
    assert (found.annotations["events"], found.annotations["users"]) == ("412", "31")
    bare = issue(count=None, userCount=None, firstSeen=None, lastSeen=None)
    assert "seen" not in bare.summary and "events" not in bare.annotations


def test_the_resource_is_read_from_the_body_where_the_header_is_lost():
    """Every captured body says the same with and without its header."""
    for given, resource in ((ISSUE, "issue"), (ALERT, "event_alert"), (ERROR, "error"), (METRIC, "metric_alert")):
        assert summary(event("sentry", given)) == summary(event("sentry", given, {"sentry-hook-resource": resource}))


def test_a_body_that_is_nothing_but_the_newer_text():
    """`text` names resource and action; what is left of the body is kept as information."""
    found = event("sentry", {"action": "created", "text": "Sentry dashboard.created: https://sentry.io/x/", "data": {}})
    assert (found.kind, found.status) == ("dashboard.created", Status.INFO)


@pytest.mark.parametrize("actor", [{"type": "user", "id": 662437, "name": "A"}, {"id": "sentry"}, None, "sentry", []])
def test_actors_of_any_form(actor):
    """An actor's id is a text or a number; the actor may be missing."""
    assert event("sentry", {**ISSUE, "actor": actor}).fingerprint == issue().fingerprint


SERVICE_HOOK = {
    "project": {"slug": "web", "name": "Web"},
    "group": {"id": "77", "permalink": "https://sentry.io/organizations/o/issues/77/", "level": "fatal"},
    "event": {"id": "e" * 32, "eventID": "e" * 32, "title": "Boom", "dateCreated": "2026-11-24T07:00:00Z"},
}
OLDEST = {"id": "77", "project": "web", "message": "This is an example", "culprit": "foo.bar", "level": "error"}


def test_service_hooks_and_old_plugins():
    """Both name the issue, so that its end by another way ends it."""
    hook, oldest = event("sentry", SERVICE_HOOK), event("sentry", OLDEST)
    assert hook.fingerprint == oldest.fingerprint == issue("resolved", id="77").fingerprint
    assert (hook.title, hook.service, hook.severity) == ("Boom", "web", Severity.CRITICAL)
    assert (oldest.title, oldest.service, oldest.status) == ("This is an example", "web", Status.FIRING)


@pytest.mark.parametrize("nothing", [None, "", "None", "null", "undefined", " ", "<nil>"])
def test_titles_say_something(nothing):
    """Whatever is missing or says nothing, a title is a title."""
    bare = {"title": nothing, "metadata": None, "culprit": nothing, "shortId": nothing}
    found = [
        issue(**bare),
        issue("assigned", **bare),
        occurred(**bare, message=nothing, logentry=None, exception=None),
        event("sentry", changed(METRIC, data__description_title=nothing, data__metric_alert=None)),
        event("sentry", {"action": nothing, "data": nothing}),
        event("sentry", {}),
    ]
    for each in found:
        assert each.title.strip().lower() not in ("", "none", "null", "undefined", "<nil>"), each


LINKS = [
    ("https://sentry.io/organizations/o/issues/1/", "https://sentry.io/organizations/o/issues/1/"),
    ("sentry.io/organizations/o/issues/1/", "https://sentry.io/organizations/o/issues/1/"),
    ("https://sentry.io/api/0/issues/1/", None),
    ("/organizations/o/issues/1/", None),
    ("javascript:alert(1)", None),
    ("", None),
    (None, None),
    (5, None),
]


@pytest.mark.parametrize(("given", "url"), LINKS)
def test_links_are_absolute_or_absent(given, url):
    """A link leads people somewhere, or there is none; those of the API are for programs."""
    assert issue(web_url=given, permalink=None).url == url


def test_a_person_acts_after_what_was_seen():
    """Resolving has no time in its body: that of sending counts, and never one before the last event."""
    sent = {"sentry-hook-resource": "issue", "sentry-hook-timestamp": "1790000000"}
    assert event("sentry", changed(ISSUE, action="resolved"), sent).occurred_at.timestamp() == 1790000000
    early = {**sent, "sentry-hook-timestamp": "1000000000"}
    assert event("sentry", changed(ISSUE, action="resolved"), early).occurred_at.year == 2025
    assert event("sentry", changed(ISSUE, action="resolved")).occurred_at == NOW


def test_one_occurrence_counts_once():
    """A delivery that comes again has the same id, whatever its attempt's headers say."""
    for given in (ISSUE, ALERT, ERROR, METRIC, LEGACY):
        first = event("sentry", given, {"request-id": "a", "sentry-hook-timestamp": "1790000000"})
        again = event("sentry", given, {"request-id": "b", "sentry-hook-timestamp": "1790000301"})
        assert first.id == again.id


@pytest.mark.parametrize("given", [b"", b"[]", b"5", b"null", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_object_says_so(given):
    """The body is parked with a reason."""
    with pytest.raises(ParseError):
        events("sentry", given)


# ---------------------------------------------------------------------------------------------------------------------
# Sentry as it is in 2026

ACTIVITIES = [
    ("set_resolved", "resolved", "", "resolved"),
    ("set_resolved_in_release", "unresolved", "", "resolved"),
    ("set_resolved_by_age", "resolved", "", "resolved"),
    ("set_resolved_in_commit", "unresolved", "ongoing", "resolved"),
    ("something_new", "resolved", "", "resolved"),
    ("something_new", "ignored", "archived_forever", "resolved"),
    ("set_regression", "unresolved", "regressed", "firing"),
    ("something_new", "unresolved", "escalating", "firing"),
    ("something_new", "unresolved", "ongoing", "info"),
    ("seer_root_cause_completed", "unresolved", "ongoing", "info"),
    ("seer_pr_created", "resolved", "", "info"),
    ("", "resolved", "", "resolved"),
    ("", "", "", "info"),
]


@pytest.mark.parametrize(("activity", "state", "substatus", "status"), ACTIVITIES)
def test_activity_on_an_issue(activity, state, substatus, status):
    """Given an activity → its kind of resolve ends the issue, Seer's steps are information, others follow the issue."""
    given = changed(
        body("sentry_2026/activity_alert.set_resolved.json"),
        data__activity__type=activity,
        data__issue__status=state,
        data__issue__substatus=substatus,
    )
    found = event("sentry", given, {"sentry-hook-resource": "activity_alert"})
    assert (found.status.value, found.identity) == (status, "issue:5100000011")


def test_every_activity_of_2026():
    """Given the recorded activities → ends, a regression, and a step of Seer with what it found."""
    found = {name: event("sentry", raw(name)) for name in files("sentry_2026") if "activity" in name}
    ends = [name for name, each in found.items() if each.status is Status.RESOLVED]
    assert len(ends) == 4 and all("set_resolved" in name for name in ends)
    assert found["sentry_2026/activity_alert.unknown_type_status_unresolved.json"].status is Status.FIRING
    seer = found["sentry_2026/activity_alert.seer_root_cause_completed.json"]
    assert seer.status is Status.INFO and seer.summary.startswith("The new index is not used.")


@pytest.mark.parametrize("action", ["unresolved", "resolved", "archived"])
def test_what_people_do_again_is_another_event(action):
    """Given the same action twice without a new event between → two events; the same delivery twice → one."""
    given = changed(body("sentry/issue_created_docs.json"), action=action)
    one, again, other = (
        event("sentry", given, {"sentry-hook-resource": "issue", "sentry-hook-timestamp": at})
        for at in ("1795435200", "1795435200", "1795442400")
    )
    assert one.id == again.id != other.id


def test_an_issue_is_created_once_whenever_it_is_told():
    """Given the creation of an issue delivered twice at other times → one event."""
    given = body("sentry/issue_created_docs.json")
    times = ({"sentry-hook-resource": "issue", "sentry-hook-timestamp": at} for at in ("1795435200", "1795442400"))
    assert len({event("sentry", given, headers).id for headers in times}) == 1


EVIDENCE = [
    {"name": "Failure reason", "value": "timeout - no response in 5000 ms", "important": True},
    {"name": "Status Code", "value": "None", "important": False},
    {"name": "Duration", "value": "5000ms", "important": False},
    {"value": "from Frankfurt"},
    "odd",
]


@pytest.mark.parametrize("place", ["data__issue__occurrence", "data__event", "data__occurrence"])
def test_uptime_issues_say_why(place):
    """Given an uptime issue with evidence → its facts stand in the summary, wherever Sentry put them."""
    given = body("sentry_2026/issue.created.outage_uptime.json")
    holder = (
        {"evidenceDisplay": EVIDENCE} if place.endswith("occurrence") else {"occurrence": {"evidenceDisplay": EVIDENCE}}
    )
    found = event("sentry", changed(given, **{place: holder}), {"sentry-hook-resource": "issue"})
    lines = found.summary.splitlines()
    assert [each for each in lines if ": " in each][:2] == [
        "Failure reason: timeout - no response in 5000 ms",
        "Duration: 5000ms",
    ]
    assert "from Frankfurt" in lines


def test_the_alert_of_an_uptime_issue_says_why():
    """Given an event alert about an uptime issue → the same facts."""
    given = changed(body("sentry/event_alert_minimal.json"), data__event__occurrence={"evidence_display": EVIDENCE})
    assert "Failure reason: timeout" in event("sentry", given, {"sentry-hook-resource": "event_alert"}).summary


@pytest.mark.parametrize(
    "fields",
    [
        {"data__issue__issueCategory": "feedback", "data__issue__metadata": {"title": "User Feedback", "message": "The cart is empty"}},
        {"data__event": {"contexts": {"feedback": {"message": "The cart is empty", "contact_email": "ana@example.com"}}}},
    ],
)  # fmt: skip
def test_feedback_shows_what_was_written(fields):
    """Given feedback of a user → what they wrote comes first, and their address is not shown."""
    found = event(
        "sentry", changed(body("sentry/issue_created_docs.json"), **fields), {"sentry-hook-resource": "issue"}
    )
    assert found.summary.splitlines()[0] == "The cart is empty" and "ana@" not in found.summary


def test_control_characters_in_texts_are_taken():
    """Given a body whose texts hold control characters as they are → it is read, and they are gone."""
    data = b'{"action":"created","data":{"issue":{"id":"9","title":"line one\nline\ttwo\x01 three"}}}'
    found = event("sentry", data, {"sentry-hook-resource": "issue"})
    assert (found.identity, found.title) == ("issue:9", "line one line two three")


@pytest.mark.parametrize(
    ("said", "title"),
    [
        ("Critical: p95 too high", "p95 too high"),
        ("Warning : p95", "p95"),
        ("Critical path: slow", "Critical path: slow"),
    ],
)
def test_the_title_of_a_metric_alert_does_not_repeat_its_state(said, title):
    """Given a title that begins with the state → the title without it."""
    given = body("sentry/metric_alert_resolved_docs.json")
    given["data"]["description_title"] = said
    assert event("sentry", given, {"sentry-hook-resource": "metric_alert"}).title == title


def test_the_title_of_feedback_says_what_was_written():
    """Given feedback → its title has the first words of the user, once."""
    found = issue(
        issueType="feedback", issueCategory="feedback", level="info", title="User Feedback",
        metadata={"message": "The cart is empty\nagain"},
    )  # fmt: skip
    assert found.title == "User Feedback: The cart is empty"
    assert "The cart is empty\nagain" in found.summary
