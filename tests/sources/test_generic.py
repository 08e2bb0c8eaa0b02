"""Sources that the rules file declares: their paths, words, proofs and mistakes; and one from the door to Slack."""

import base64
import hashlib
import hmac
import json
import re
from datetime import timedelta

import pytest

from chalicelib.core.errors import SignatureError, UnknownSourceError
from chalicelib.ingest.receive import receive
from chalicelib.ingest.registry import declared, find_source
from chalicelib.rules.file import compile_rules
from chalicelib.sources import generic
from tests.fakes import FixedSecrets
from tests.scenario import Router, rules_of
from tests.sources.bodies import NOW

BACKUPS = {
    "name": "backups",
    "auth": {"type": "hmac-sha256", "header": "X-Signature", "prefix": "sha256=", "secret": "BACKUPS_SECRET"},
    "events": "data.items",
    "id": "run.id",
    "title": "summary || message",
    "status": "state",
    "severity": "level",
    "statuses": {"broken": "firing", "mended": "resolved"},
    "severities": {"ouch": "critical"},
    "service": "machine.name",
    "environment": "'production'",
    "url": "links[0].href",
    "occurred_at": "at",
    "labels": {"host": "machine.name", "disk": "disks[-1].name", "account": "account.name", "odd": '"a key".x'},
    "annotations": {"size": "disks[0].bytes"},
}
ITEM = {
    "run": {"id": 7}, "message": "Backup failed", "state": "broken", "level": "ouch", "at": "2026-11-24T07:00:00Z",
    "machine": {"name": "db1"}, "disks": [{"name": "a", "bytes": 5}, {"name": "b"}], "a key": {"x": "y"},
    "links": [{"href": "https://example.com/7"}],
}  # fmt: skip
BODY = {"account": {"name": "acme"}, "data": {"items": [ITEM, {**ITEM, "run": {"id": 8}, "state": "mended"}]}}


def parsed(body, mapping=BACKUPS):
    """The events of a body under an entry."""
    return generic.parse({}, json.dumps(body).encode(), received_at=NOW, mapping=mapping)


def test_an_entry_reads_every_field():
    """Paths with dots, indexes, quoted keys, fixed texts and alternatives; what an item lacks the whole body has."""
    first, second = parsed(BODY)
    assert (first.source, first.title, first.status.value, first.severity.value) == (
        "backups", "Backup failed", "firing", "critical"
    )  # fmt: skip
    assert (first.service, first.environment, first.url) == ("db1", "production", "https://example.com/7")
    assert first.labels == {"host": "db1", "disk": "b", "account": "acme", "odd": "y"}
    assert first.annotations == {"size": "5"}
    assert first.occurred_at == NOW - timedelta(hours=1)
    assert second.status.value == "resolved"
    assert first.fingerprint != second.fingerprint


def test_a_fault_and_its_end_are_one_alert():
    """The id is the identity; without one it is kind, title and labels."""
    ended = {**BODY, "data": {"items": [{**ITEM, "state": "mended", "at": "2026-11-24T07:30:00Z"}]}}
    assert parsed(ended)[0].fingerprint == parsed(BODY)[0].fingerprint
    bare = {"title": "Disk full", "status": "firing"}
    began, ended = (parsed(each, {"name": "x", "auth": "bearer"})[0] for each in (bare, {**bare, "status": "ok"}))
    assert began.fingerprint == ended.fingerprint
    assert began.id != ended.id


def test_a_name_beside_the_title_tells_two_faults_apart():
    """Given one title with two names, as `[RESOLVED]` too → two alerts, and the end is that of its name."""
    entry = {"name": "x", "auth": "bearer"}
    bodies = (
        {"title": "Disk full", "name": "web1", "status": "firing"},
        {"title": "Disk full", "name": "web2", "status": "firing"},
        {"title": "[RESOLVED] Disk full", "name": "[RESOLVED] web1", "status": "ok"},
    )
    first, second, ended = (parsed(each, entry)[0].fingerprint for each in bodies)
    assert first == ended != second


STATUSES = [
    ("firing", "firing"), ("DOWN", "firing"), ("critical", "firing"), ("", "firing"), (None, "firing"), (True, "firing"),
    ("ok", "resolved"), ("Recovered", "resolved"), ("up", "resolved"), (False, "resolved"), ("broken", "firing"),
    ("mended", "resolved"), ("brewing", "info"), ("info", "info"),
]  # fmt: skip


@pytest.mark.parametrize(("said", "status"), STATUSES)
def test_words_for_the_status(said, status):
    """Usual words and the entry's own; nothing said fires, a word nobody knows is information."""
    (found,) = parsed({"data": {"items": [{**ITEM, "state": said}]}})
    assert found.status.value == status


def test_usual_names_need_no_paths():
    """A sender that says title, status, severity, service, url and labels is understood by its name alone."""
    body = {
        "id": "d1", "title": "Disk full", "status": "firing", "severity": "critical", "service": "db",
        "environment": "prod", "url": "example.com/d1", "labels": {"disk": "a"}, "description": "95 %", "type": "disk.full",
    }  # fmt: skip
    (found,) = parsed(body, {"name": "disks", "auth": "bearer"})
    assert (found.title, found.status.value, found.severity.value) == ("Disk full", "firing", "critical")
    assert (found.service, found.environment, found.url) == ("db", "prod", "https://example.com/d1")
    assert (found.kind, found.labels, found.summary) == ("disk.full", {"disk": "a"}, "95 %")


MISTAKES = [
    ({"name": "x"}, "auth is missing"),
    ({"auth": "magic"}, "does not know magic"),
    ({"titel": "a"}, "titel is not a field"),
    ({"title": "a..b"}, "title has a path that cannot be read: a..b"),
    ({"title": ""}, "title is no path"),
    ({"title": {"path": "a", "equals": "b..c"}}, "title.equals has a path that cannot be read: b..c"),
    ({"labels": {"host": "[x"}}, "labels.host has a path"),
    ({"statuses": {"broken": "dead"}}, "statuses.broken is dead"),
    ({"severities": ["x"]}, "severities is no table"),
    ({"name": "sentry"}, "sentry is built in"),
]


@pytest.mark.parametrize(("change", "mistake"), MISTAKES)
def test_mistakes_are_told(change, mistake):
    """Each with what is allowed; the entry above has none."""
    entry = {"name": "x", "auth": "bearer", **change}
    if "auth is missing" in mistake:
        del entry["auth"]
    found = generic.validate(entry)
    assert any(mistake in each for each in found), found
    assert all("; allowed is " in each for each in found)
    assert generic.validate(BACKUPS) == []


DATA = b'{"a":"\xc3\xa9"}'
STANDARD_SECRET = "whsec_" + base64.b64encode(b"key" * 8).decode()


def signed(body, secret="s1"):
    """HMAC-SHA256 in hex."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def standard(body, *, secret=STANDARD_SECRET, at=NOW, number="msg_1"):
    """The headers of Standard Webhooks."""
    stamp = str(int(at.timestamp()))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    made = hmac.new(key, f"{number}.{stamp}.".encode() + body, hashlib.sha256).digest()
    signature = "v1," + base64.b64encode(made).decode()
    return {"webhook-id": number, "webhook-timestamp": stamp, "webhook-signature": signature}


HMAC = {"type": "hmac-sha256", "header": "X-Sig"}
PROOFS = [
    (HMAC, {"x-sig": signed(DATA)}, None, True),
    (HMAC, {"x-sig": signed(DATA, "s2")}, None, True),
    (HMAC, {"x-sig": "sha256=" + signed(DATA)}, None, True),
    (HMAC, {"x-sig": signed(DATA).upper()}, None, True),
    (HMAC, {"x-sig": signed(DATA, "s3")}, None, False),
    (HMAC, {"x-sig": signed(b'{"a": "\xc3\xa9"}')}, None, False),
    (HMAC, {"x-sig": hmac.new(b"s1", DATA, "sha1").hexdigest()}, None, False),
    (HMAC, {"x-sig": "é"}, None, False),
    (HMAC, {}, None, False),
    ({**HMAC, "prefix": "v0="}, {"x-sig": "v0=" + signed(DATA)}, None, True),
    ({**HMAC, "prefix": "v0="}, {"x-sig": signed(DATA)}, None, False),
    (
        {**HMAC, "encoding": "base64"},
        {"x-sig": base64.b64encode(hmac.new(b"s1", DATA, "sha256").digest()).decode()},
        None,
        True,
    ),
    ("bearer", {"authorization": "Bearer s1"}, None, True),
    ("bearer", {"authorization": "bearer s2"}, None, True),
    ("bearer", {"authorization": "Bearer s3"}, None, False),
    ("bearer", {"authorization": "s1"}, None, False),
    ("bearer", {}, None, False),
    ("bearer", {}, "s1", False),
    ({"type": "bearer", "header": "X-Token"}, {"x-token": "s1"}, None, True),
    ({"type": "bearer", "header": "X-Token"}, {"x-token": "s3"}, None, False),
    ("basic", {"authorization": "Basic " + base64.b64encode(b"any:s1").decode()}, None, True),
    ("basic", {"authorization": "Basic " + base64.b64encode(b"any:s3").decode()}, None, False),
    ("basic", {"authorization": "Basic ???"}, None, False),
    ("path", {}, "s1", True),
    ("path", {}, "s3", False),
    ("path", {}, None, False),
]


@pytest.mark.parametrize(("auth", "headers", "path_secret", "right"), PROOFS)
def test_proofs(auth, headers, path_secret, right):
    """Each declared way accepts what it should, under either of two live secrets, and nothing else."""

    def proved():
        generic.verify(headers, DATA, ["s1", "s2"], path_secret=path_secret, mapping={"name": "x", "auth": auth})

    if right:
        proved()
    else:
        with pytest.raises(SignatureError) as raised:
            proved()
        assert not re.search(r"s1|s2|[0-9a-f]{20}", str(raised.value))


def test_standard_webhooks():
    """Id, time and body are signed; several signatures may be given; the time may be five minutes off."""
    mapping = {"name": "x", "auth": "standard-webhooks"}

    def proves(headers, body=DATA, now=NOW):
        try:
            generic.verify(headers, body, [STANDARD_SECRET, "whsec_b2xk"], mapping=mapping, now=now)
        except SignatureError:
            return False
        return True

    headers = standard(DATA)
    assert proves(headers)
    assert proves({**headers, "webhook-signature": "v1,AAAA v2,x " + headers["webhook-signature"]})
    assert proves(standard(DATA, secret="whsec_b2xk"))
    assert not proves(headers, b'{"a": "\xc3\xa9"}')
    assert not proves({**headers, "webhook-id": "msg_2"})
    assert not proves({**headers, "webhook-timestamp": str(int(NOW.timestamp()) + 1)})
    assert not proves(headers, now=NOW + timedelta(minutes=6))
    assert not proves(standard(DATA, at=NOW + timedelta(minutes=6)))
    for name in headers:
        assert not proves({key: value for key, value in headers.items() if key != name})


def test_without_a_secret_nothing_is_taken():
    """An entry whose secret is not set accepts nothing, not even an empty one."""
    for auth in generic.AUTH_KINDS:
        with pytest.raises(SignatureError):
            generic.verify(
                {"authorization": "Bearer "}, b"{}", [""], path_secret="", mapping={"name": "x", "auth": auth}
            )


def test_secrets_are_named():
    """By the entry, else by its name."""
    assert generic.secrets(BACKUPS) == ("BACKUPS_SECRET",)
    assert generic.secrets({"name": "my-builds", "auth": "bearer"}) == ("MY_BUILDS_SECRET",)
    assert generic.secrets({"name": "x", "auth": "bearer", "secret": "OTHER"}) == ("OTHER",)


RULES = """
alerts:
  - name: Backup failed
    match: {source: backups, host: "=~db.*"}
    severity: critical
    group_wait: 0s
    notification: [{slack_channel: "#backups"}]
default: {notification: [{slack_channel: "#all"}]}
sources:
  - name: backups
    auth: {type: hmac-sha256, header: X-Signature, prefix: "sha256=", secret: BACKUPS_SECRET}
    events: data.items
    id: run.id
    title: summary || message
    status: state
    statuses: {broken: firing, mended: resolved}
    labels: {host: machine.name}
"""


def test_a_declared_source_works_from_the_door_to_the_message(tmp_path):
    """A team writes an entry: its webhooks are verified, stored, understood, matched by rules, told, and ended."""
    compiled = tmp_path / "compiled-rules.json"
    compiled.write_text(compile_rules(RULES))
    router = Router(rules_of(RULES))

    def post(name, body, signature):
        declared.cache_clear()
        return receive(
            name, {"X-Signature": signature, "Content-Type": "application/json"}, body, path_secret=None,
            find=lambda name: find_source(name, now=router.now, compiled=compiled),
            secrets=FixedSecrets({"BACKUPS_SECRET": "s1,s2"}), put=lambda message: router.webhooks.put([message]),
            keep=lambda *_: None, now=router.now,
        ).status  # fmt: skip

    for state in ("broken", "mended"):
        body = json.dumps({"data": {"items": [{**ITEM, "state": state, "at": router.now.isoformat()}]}}).encode()
        assert post("backups", body, "sha256=" + signed(body, "s3")) == 401
        assert post("backups", body, "sha256=" + signed(body, "s2")) == 202
        router.run(minutes=10)
    assert post("nobody", b"{}", "") == 404
    declared.cache_clear()
    assert router.told()["slack"] == ["opened", "resolved"]
    told = next(iter(router.decided.values()))
    assert (told.target.address, told.alerts[0].name, told.alerts[0].labels["host"]) == (
        "#backups", "Backup failed", "db1"
    )  # fmt: skip
    router.close()


def test_an_unknown_name_is_unknown(tmp_path):
    """Without an entry there is no such source."""
    with pytest.raises(UnknownSourceError):
        find_source("backups", compiled=str(tmp_path / "none.json"))
