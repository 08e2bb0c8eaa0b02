"""tocsin parse: one JSON object for each event; a body that cannot be read is one line and exit status 2."""

import argparse
import io
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cli import parse as command

ROOT = Path(__file__).parent.parent.parent
FIXTURES = ROOT / "tests" / "sources" / "fixtures"
FIELDS = [
    "id", "source", "kind", "status", "severity", "title", "summary", "url", "service", "environment", "labels",
    "occurred_at", "fingerprint",
]  # fmt: skip
NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)


def run(*words, stdin=b""):
    """Exit status, printed objects, printed errors."""
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    arguments = parser.parse_args([*map(str, words)])
    out, err = io.StringIO(), io.StringIO()
    status = command.run(arguments, stdin=io.BytesIO(stdin), stdout=out, stderr=err, now=NOW)
    return status, [json.loads(line) for line in out.getvalue().splitlines()], err.getvalue()


def test_one_object_for_each_event():
    """Every field is there, whatever is unknown is null, and nothing else is printed."""
    status, printed, errors = run("alertmanager", FIXTURES / "alertmanager/mixed_firing_and_resolved.json")
    assert (status, errors, len(printed)) == (0, "", 2)
    for each in printed:
        assert list(each) == FIELDS
    assert [each["status"] for each in printed] == ["firing", "resolved"]
    assert [each["environment"] for each in printed] == [None, None]
    assert printed[0]["occurred_at"] == "2026-01-19T12:00:00Z"


def test_headers_say_the_resource(tmp_path):
    """Headers are an object of names in any case; values may be lists; a whole recorded request will do."""
    body = tmp_path / "body.json"
    body.write_text('{"action": "created", "data": {"issue": {"id": 5, "title": "t"}}}')
    for headers in (
        {"Sentry-Hook-Resource": "issue"},
        {"sentry-hook-resource": ["issue"]},
        {"headers": {"SENTRY-HOOK-RESOURCE": "issue"}, "body": "x"},
    ):
        path = tmp_path / "headers.json"
        path.write_text(json.dumps(headers))
        status, printed, _ = run("sentry", body, "--headers", path)
        assert (status, printed[0]["kind"]) == (0, "issue.created")
        assert (printed[0]["service"], printed[0]["environment"], printed[0]["url"]) == (None, None, None)


def test_raw_bytes_from_standard_input():
    """`-` reads what is piped, byte for byte."""
    data = (FIXTURES / "vercel/derived_signature_vector_team_null.json").read_bytes()
    status, printed, _ = run("vercel", "-", stdin=data)
    assert (status, printed[0]["service"]) == (0, "café-web")


def test_standard_input_that_is_closed_and_output_that_knows_only_ascii(monkeypatch):
    """Nothing to read is one line; what a terminal cannot show is escaped."""
    words = [sys.executable, "-m", "cli.main", "parse", "vercel", "-"]
    data = (FIXTURES / "vercel/derived_signature_vector_team_null.json").read_bytes()
    ascii_only = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(words, input=data, capture_output=True, cwd=ROOT, env=ascii_only, check=False)
    assert json.loads(done.stdout)["service"] == "café-web"
    monkeypatch.setattr(sys, "stdin", None)
    arguments = argparse.Namespace(source="vercel", body="-")
    errors = io.StringIO()
    assert command.run(arguments, stderr=errors) == 2
    assert errors.getvalue() == "tocsin: standard input: is empty; expected a JSON object\n"


def test_what_is_printed_is_masked(tmp_path):
    """No secret of a body is shown."""
    body = tmp_path / "body.json"
    body.write_text('{"alert_type": "x", "text": "password=hunter2 of ana@example.com"}')
    _, printed, _ = run("cloudflare", body)
    assert "hunter2" not in json.dumps(printed) and "ana@" not in json.dumps(printed)


UNREADABLE = [
    ("missing.json", None, "missing.json: cannot be read"),
    ("empty.json", b"  ", "empty.json: is empty"),
    ("list.json", b"[]", "list.json: the body is JSON but not an object"),
    ("text.json", b"hello", "text.json: the body is not JSON"),
    ("latin.json", b'{"a":"\xe9"}', "latin.json: the body is not JSON in UTF-8"),
    ("deep.json", b"[" * 200_000, "deep.json: the body is nested too deep"),
]


@pytest.mark.parametrize(("name", "content", "line"), UNREADABLE)
def test_what_cannot_be_read_is_one_line(tmp_path, name, content, line):
    """Exit 2, nothing on standard output, one line that says what and where."""
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    status, printed, errors = run("sentry", path)
    assert (status, printed) == (2, [])
    assert errors.count("\n") == 1
    assert line in errors


MISUSED = [
    (("nobody", "BODY"), 'no source "nobody"; known are alertmanager, cloudflare'),
    (("../core/event", "BODY"), "no source"),
    (("sentry", "BODY", "--headers", "NONE"), "cannot be read"),
    (("sentry", "BODY", "--headers", "TEXT"), "headers are not JSON"),
    (("sentry", "BODY", "--headers", "LIST"), "not an object of names and values"),
    (("sentry", "FOLDER"), "cannot be read"),
]


@pytest.mark.parametrize(("words", "line"), MISUSED)
def test_misuse_is_one_line(tmp_path, words, line):
    """A wrong source, headers or file: exit 2 and one line."""
    paths = {"BODY": b"{}", "TEXT": b"x", "LIST": b"[]"}
    for name, content in paths.items():
        (tmp_path / name).write_bytes(content)
    known = {*paths, "NONE"}
    status, printed, errors = run(
        *(tmp_path / each if each in known else tmp_path if each == "FOLDER" else each for each in words)
    )
    assert (status, printed, errors.count("\n")) == (2, [], 1)
    assert line in errors


def test_declared_sources(tmp_path, monkeypatch):
    """An entry of the rules file is a source; the file in the folder is taken where none is named."""
    rules, body = tmp_path / "alert-rules.yaml", tmp_path / "body.json"
    rules.write_text(
        "alerts: []\nsources:\n  - {name: disks, auth: bearer, title: what, status: how, statuses: {bad: firing}}\n"
    )
    body.write_text('{"what": "Disk full", "how": "bad"}')
    status, printed, _ = run("disks", body, "--rules", rules)
    assert (status, printed[0]["source"], printed[0]["title"], printed[0]["status"]) == (
        0,
        "disks",
        "Disk full",
        "firing",
    )
    monkeypatch.chdir(tmp_path)
    assert run("disks", body)[1] == printed
    assert run("other", body)[0] == 2
    rules.write_text("alerts: 5\n")
    assert run("disks", body)[0] == 2


def test_the_command_itself():
    """`tocsin parse` as people call it, over a pipe."""
    data = (FIXTURES / "cloudflare/test_message_docs.json").read_bytes()
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", "parse", "cloudflare", "-"],
        input=data,
        capture_output=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["kind"] == "test"


def test_the_service_has_its_name_where_the_rules_are_named(tmp_path):
    """Given rules with an alias of the sender's word, when a body is parsed with them → its service has the name here."""
    rules, body = tmp_path / "alert-rules.yaml", FIXTURES / "sentry/error_created_docs.json"
    rules.write_text("services: {web: {aliases: {sentry: front-end}}}\n")
    status, printed, _ = run("sentry", body, "--rules", rules)
    assert (status, printed[0]["service"], printed[0]["labels"]["service_raw"]) == (0, "web", "front-end")
    _, plain, _ = run("sentry", body)
    assert (plain[0]["service"], plain[0]["fingerprint"]) == ("front-end", printed[0]["fingerprint"])


def test_a_word_that_no_entry_names_is_reported(tmp_path):
    """Given a word for the state that nobody knows → the event on standard output, what to name on standard error."""
    rules = tmp_path / "rules.yaml"
    rules.write_text("alerts: []\nsources: [{name: nagios, auth: bearer}]\n")
    body = b'{"title": "Disk full", "status": "brewing"}'
    code, out, err = run("nagios", "-", "--rules", str(rules), stdin=body)
    assert (code, out[0]["status"]) == (0, "info")
    assert "'brewing'" in err and "statuses:" in err


def test_forms_and_lists_of_a_declared_source(tmp_path):
    """Given a form, or a list → an object for each event."""
    rules = tmp_path / "rules.yaml"
    rules.write_text("alerts: []\nsources: [{name: nagios, auth: bearer}]\n")
    for body in (b"title=a&status=down", b'[{"title": "a", "status": "down"}, {"title": "b", "status": "up"}]'):
        code, out, err = run("nagios", "-", "--rules", str(rules), stdin=body)
        assert (code, err) == (0, "")
        assert out[0]["title"] == "a"
