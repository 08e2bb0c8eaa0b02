"""tocsin replay as a command: what it refuses, how it says so, and what it leaves alone."""

import json
import re

import pytest

from cli.main import main
from tests import extremes

RULES = """
defaults: {group_by: [service], group_wait: 0s}
alerts: [{name: Broken, match: {alertname: Broken}, summary: "{{ value | nope }}", notification: [{email: a@example.com}]}]
default: {notification: [{email: ops@example.com}]}
"""


@pytest.fixture
def replay(tmp_path, capsys):
    """Run the command on a timeline; its exit status, its lines and what it said on the error stream."""

    def run(timeline, *arguments, rules=RULES):
        (tmp_path / "rules.yaml").write_text(rules, "utf-8")
        (tmp_path / "line.jsonl").write_text(timeline, "utf-8")
        status = main(["replay", str(tmp_path / "rules.yaml"), str(tmp_path / "line.jsonl"), *arguments])
        said = capsys.readouterr()
        return status, [json.loads(line) for line in said.out.splitlines()], said.err

    return run


WRONG = [
    ("no json", 1, "not JSON; expected is one JSON object a line"),
    ("[1]", 1, "not a JSON object"),
    ('{"at": NaN, "end": true}', 1, "not JSON"),
    ('{"event": {"name": "A"}}', 1, "`at` is missing; expected are seconds from 0 or RFC 3339"),
    ('{"at": "soon", "end": true}', 1, "`at` is not a time"),
    ('{"at": true, "end": true}', 1, "`at` is not a time"),
    ('{"at": "2026-03-02", "end": true}', 1, "`at` is not a time; expected are seconds from 0 or RFC 3339"),
    ('{"at": "2026-03-02T10:00:00", "end": true}', 1, "`at` is not a time; expected are seconds from 0 or RFC 3339"),
    ('{"at": 0, "webhook": {"source": "sentry"}}', 1, "`body` of `webhook` is missing; expected is such as"),
    ('{"at": 1e30, "end": true}', 1, "`at` is not a time"),
    ('{"at": 5, "end": true}\n\n{"at": 4, "end": true}', 3, "expected is order by `at`"),
    ('{"at": 0}', 1, "expected is exactly one of webhook, event, sample.*found is nothing"),
    ('{"at": 0, "evnt": {}}', 1, "found is `evnt`"),
    ('{"at": 0, "end": true, "show": "alerts"}', 1, "found is `end`, `show`"),
    ('{"at": 0, "event": "A"}', 1, "`event` is not an object; expected is such as"),
    ('{"at": 0, "event": {"labels": {}}}', 1, "`name` of `event` is missing; expected is a text"),
    ('{"at": 0, "event": {"name": "A", "status": "on"}}', 1, '`status` of `event` is "on"; expected is one of firing'),
    ('{"at": 0, "event": {"name": "A", "severity": "bad"}}', 1, "expected is one of critical, warning, info"),
    ('{"at": 0, "event": {"name": "A", "labels": [1]}}', 1, "expected is an object of names with texts"),
    ('{"at": 0, "event": {"name": "A", "ends_at": "x"}}', 1, "`ends_at` of `event` is not a time"),
    (
        '{"at": 0, "event": {"name": "A"}, "copies": 0}',
        1,
        "`copies` of `event` is 0; expected is a whole number from 1",
    ),
    ('{"at": 0, "sample": {"metric": "m"}}', 1, "`value` of `sample` is missing; expected is a number"),
    ('{"at": 0, "sample": {"metric": "m", "value": "1"}}', 1, '`value` of `sample` is "1"'),
    ('{"at": 0, "probe": {"name": "a", "ok": "no"}}', 1, '`ok` of `probe` is "no"; expected is true or false'),
    ('{"at": 0, "beat": {}}', 1, "`name` of `beat` is missing"),
    ('{"at": 0, "ack": {"by": "ana"}}', 1, "`matchers` of `ack` is missing; expected is such as"),
    *[(f'{{"at": "{word}", "end": true}}', 1, "`at` is not a time") for word in extremes.TIMES],
    *[
        (f'{{"at": {word}, "end": true}}', 1, "`at` is not a time")
        for word in ("-3155673601", "7258118400", "1e999", "9" * 400)
    ],
    ('{"at": 0, "silence": {"matchers": {"a": "b"}, "until": 1e20}}', 1, "`until` of `silence` is not a time"),
    ('{"at": 0, "event": {"name": "A", "starts_at": -1e20}}', 1, "`starts_at` of `event` is not a time"),
    ('{"at": 0, "sample": {"metric": "m", "value": 1e308}}', 1, "expected is a number up to 1e.100"),
    ('{"at": 0, "sample": {"metric": "m", "value": -1e999}}', 1, "expected is a number up to 1e.100"),
    (f'{{"at": 0, "sample": {{"metric": "m", "value": {"9" * 400}}}}}', 1, "expected is a number up to 1e.100"),
    ('{"at": 0, "event": {"name": "A"}, "copies": 99999999999999}', 1, "expected is a whole number up to 1000000"),
    (
        '{"at": 0, "target": {"email": "a@example.com"}, "answers": [{"latency_ms": 1e300}]}',
        1,
        "a number up to 3.1536e.09",
    ),
    (
        '{"at": 0, "target": {"email": "a@example.com"}, "answers": [{"retry_after": 1e300}]}',
        1,
        "a number up to 3.1536e.09",
    ),
    (
        '{"at": 0, "target": {"email": "a@example.com"}, "limit": {"count": 1, "per": 1e300}}',
        1,
        "a number up to 3.1536e.09",
    ),
    ('{"at": 0, "ack": {"matchers": {"a": "=~("}}}', 1, "a is no regular expression of RE2: column 1"),
    ('{"at": 0, "ack": {"matchers": {"a": "=~x{99999999999999}"}}}', 1, "a is no regular expression of RE2: column 2"),
    ('{"at": 0, "silence": {"matchers": {"a": "!~(?=x)"}, "until": 9}}', 1, "a is no regular expression of RE2"),
    ('{"at": 0, "silence": {"matchers": {}, "by": "ana"}}', 1, "`until` of `silence` is not a time"),
    ('{"at": 0, "target": {"slack": "#x"}, "answers": [{}]}', 1, "expected is one of slack_channel, email, pagerduty"),
    ('{"at": 0, "target": {"email": "a@example.com"}}', 1, "expected are `answers` or `limit` beside it"),
    ('{"at": 0, "target": {"email": "a@example.com"}, "answers": []}', 1, "`answers` is not a list of answers"),
    ('{"at": 0, "target": {"email": "a@example.com"}, "answers": [{"status": "x"}]}', 1, "a whole number from 100"),
    ('{"at": 0, "target": {"email": "a@example.com"}, "limit": {"count": 0, "per": 1}}', 1, "a whole number from 1"),
    ('{"at": 0, "redeploy": {"rules": "none.yaml"}}', 1, "none.yaml: the rules file cannot be read"),
    ('{"at": 0, "down": {}}', 1, "`until` of `down` is not a time"),
    ('{"at": 0, "show": "rules"}', 1, "expected is incidents or alerts"),
    ('{"at": 0, "webhook": {"source": "nobody", "body": {}}}', 1, "there is no source of that name; known are"),
]


@pytest.mark.parametrize(("timeline", "line", "message"), WRONG, ids=[row[0] for row in WRONG])
def test_what_cannot_be_read_is_named_with_its_place(replay, timeline, line, message):
    """Exit 2, and one line with the file, the line and what was expected."""
    status, _, said = replay(timeline)
    assert status == 2
    assert re.fullmatch(rf".*line\.jsonl:{line}: .*{message}.*\n", said), said


def test_mistakes_of_the_rules_file_are_told_in_one_line(replay):
    """Exit 2, and one line with the file, the place and what was expected; a broken template alone is no mistake."""
    status, _, said = replay('{"at": 0, "end": true}', rules='alerts: [{name: A, condition: "eror_rate > 1%"}]')
    assert status == 2 and said.count("\n") == 1 and "rules.yaml:1:" in said
    assert re.match("tocsin: [^:]*rules.yaml:1:", said)
    status, lines, _ = replay('{"at": 0, "event": {"name": "Broken"}}')
    assert status == 0 and "plain form" in lines[0]["text"]


def test_a_file_that_is_not_there_is_named(tmp_path, capsys):
    """Exit 2 for a rules file and for a timeline that do not exist."""
    assert main(["replay", str(tmp_path / "none.yaml"), str(tmp_path / "none.jsonl")]) == 2
    said = capsys.readouterr().err
    assert said.startswith("tocsin: ") and "none.yaml: the rules file cannot be read" in said


def test_times_come_out_in_the_form_in_which_they_went_in(replay):
    """RFC 3339 in, in whatever zone: RFC 3339 out, in UTC; seconds in: seconds out."""
    _, lines, _ = replay('{"at": "2026-03-02T10:00:00.5+01:00", "event": {"name": "A"}}')
    assert lines[0]["at"] == lines[0]["alerts"][0]["starts_at"] == "2026-03-02T09:00:00.500Z"
    _, lines, _ = replay('{"at": "2026-03-02t09:00:00.123456z", "event": {"name": "A"}}')
    assert lines[0]["alerts"][0]["starts_at"] == "2026-03-02T09:00:00.123456Z"
    _, lines, _ = replay('{"at": 1.5, "event": {"name": "A", "starts_at": 1}}')
    assert (lines[0]["at"], lines[0]["tried_at"], lines[0]["alerts"][0]["starts_at"]) == (1.5, [1.5], 1)


def test_a_webhook_that_its_source_cannot_read_is_told(replay):
    """It is parked with its reason, and somebody hears of it, as in production."""
    status, lines, _ = replay('{"at": 0, "webhook": {"source": "sentry", "headers": {}, "body": "{"}}')
    assert status == 0
    assert "could not be read" in lines[0]["text"]


def test_every_line_has_exactly_the_public_fields(replay):
    """Nothing is left out and nothing is added."""
    timeline = '{"at": 0, "event": {"name": "A"}}\n{"at": 1, "show": "alerts"}\n{"at": 1, "show": "incidents"}'
    told, alerts, incidents, end = replay(timeline)[1]
    assert set(told) == {
        *("at", "type", "target", "incident", "reason", "status", "alerts", "events"),
        *("text", "delivered", "attempts", "tried_at", "error"),
    }
    announced = {"name", "labels", "annotations", "status", "starts_at", "ends_at", "acked_by", "muted_by"}
    assert set(told["alerts"][0]) == set(incidents["incidents"][0]["alerts"][0]) == announced
    assert set(alerts["alerts"][0]) == announced | {"severity", "state", "silenced_by", "inhibited_by"}
    assert set(incidents["incidents"][0]) == {"incident", "status", "events", "alerts"}
    assert set(end) == {"at", "type", "events", "writes"}
