"""What a sender is told, and what is stored before it is told."""

import hashlib
import hmac
import json
import os
import random
import zlib
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.core.errors import NotStoredError, ParseError, SignatureError, UnknownSourceError
from chalicelib.ingest.receive import MAX_DEPTH, kept_headers, receive
from chalicelib.messages import queue
from chalicelib.messages.webhook import MAX_BODY_BYTES, MAX_MESSAGE_BYTES, uncompressed
from tests.fakes import FixedSecrets

NOW = datetime(2026, 11, 24, 8, 0, 0, 250_000, tzinfo=UTC)
SECRET = "s3cr3t-of-the-sender"


class SignedSource:
    """A sender that signs the raw bytes with HMAC-SHA256."""

    SECRETS = ("SENDER_SECRET",)

    def verify(self, headers, body, secrets, *, path_secret=None):
        """As a real one does."""
        signatures = [hmac.new(secret.encode(), body, hashlib.sha256).hexdigest() for secret in secrets]
        given = headers.get("x-signature") or headers.get("sentry-app-signature") or ""
        if path_secret not in secrets and given not in signatures:
            raise SignatureError("the signature is wrong")

    def delivery_id(self, headers, body):
        """The sender's own id, if it gave one."""
        return headers.get("request-id")


class IngestPorts:
    """`receive` with everything around it recorded."""

    def __init__(self, secrets=(SECRET,)):
        self.secrets = FixedSecrets({"SENDER_SECRET": ",".join(secrets)})
        self.stored, self.kept = [], {}
        self.calls = []
        self.broken = set()

    def find(self, name):
        """One source exists."""
        if name != "sender":
            raise UnknownSourceError(f"no source {name!r}")
        return SignedSource()

    def put(self, message):
        """The queue."""
        if "put" in self.broken:
            raise NotStoredError("queue is away")
        self.calls.append("put")
        self.stored.append(message)

    def keep(self, name, data):
        """The table."""
        if "keep" in self.broken:
            raise NotStoredError("table is away")
        self.calls.append("keep")
        self.kept[name] = data

    def post(self, body, headers=None, *, source="sender", path_secret=None, secret=SECRET, now=NOW):
        """Post a body, signed unless the headers say otherwise."""
        signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        sent = {"Content-Type": "application/json", "X-Signature": signature, **(headers or {})}
        return receive(
            source,
            {name: value for name, value in sent.items() if value is not None},
            body,
            path_secret=path_secret,
            find=self.find,
            secrets=self.secrets,
            put=self.put,
            keep=self.keep,
            now=now,
        )


def nested(depth):
    """An object that holds lists in one another; `depth` in all."""
    return b'{"a":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


STATUS_CODES = [
    ("a signed object is stored", 202, b'{"a":1}', {}, {}),
    ("a body that says only a text is a test", 200, b'{"text":"Hello World!"}', {}, {}),
    ("a text among other fields is no test", 202, b'{"text":"x","alert_type":"y"}', {}, {}),
    ("a text that is no text is no test", 202, b'{"text":5}', {}, {}),
    ("an unknown source", 404, b"{}", {}, {"source": "nobody"}),
    ("a source name that climbs", 404, b"{}", {}, {"source": "../core/event"}),
    ("no signature", 401, b"{}", {"X-Signature": None}, {}),
    ("an empty signature", 401, b"{}", {"X-Signature": ""}, {}),
    ("a wrong signature", 401, b"{}", {"X-Signature": "0" * 64}, {}),
    ("the signature of other bytes", 401, b'{"a": 1}', {"X-Signature": "1" + "0" * 63}, {}),
    ("a secret in the path", 202, b"{}", {"X-Signature": None}, {"path_secret": SECRET}),
    ("a wrong secret in the path", 401, b"{}", {"X-Signature": None}, {"path_secret": "guess"}),
    ("not JSON", 400, b"hello", {}, {}),
    ("cut off", 400, b'{"a":', {}, {}),
    ("two documents", 400, b"{}{}", {}, {}),
    ("empty", 400, b"", {}, {}),
    ("a list", 400, b"[]", {}, {}),
    ("a text", 400, b'"x"', {}, {}),
    ("null", 400, b"null", {}, {}),
    ("NaN", 400, b'{"a":NaN}', {}, {}),
    ("a number of ten thousand digits", 400, b'{"a":' + b"9" * 10_000 + b"}", {}, {}),
    ("not UTF-8", 400, b'{"a":"\xff"}', {}, {}),
    ("a lone surrogate, escaped", 202, b'{"a":"\\ud800"}', {}, {}),
    ("control characters, escaped", 202, b'{"a":"\\u0000\\uffff"}', {}, {}),
    ("as deep as allowed", 202, nested(MAX_DEPTH), {}, {}),
    ("too deep by one", 400, nested(MAX_DEPTH + 1), {}, {}),
    ("too deep for any reader", 400, nested(200_000), {}, {}),
    ("JSON with a charset", 202, b"{}", {"Content-Type": "application/json; charset=utf-8"}, {}),
    ("JSON in capitals", 202, b"{}", {"Content-Type": "Application/JSON"}, {}),
    ("a JSON dialect", 202, b"{}", {"Content-Type": "application/cloudevents+json"}, {}),
    ("no content type", 202, b"{}", {"Content-Type": None}, {}),
    ("a form", 415, b"{}", {"Content-Type": "application/x-www-form-urlencoded"}, {}),
    ("plain text", 415, b"{}", {"Content-Type": "text/plain"}, {}),
    ("something like JSON", 415, b"{}", {"Content-Type": "application/jsonp"}, {}),
    ("anything at all", 415, b"{}", {"Content-Type": "*/*"}, {}),
    ("over the limit", 413, b" " * (MAX_BODY_BYTES + 1), {"X-Signature": None}, {}),
    ("at the limit", 202, b'{"a":"' + b"x" * (MAX_BODY_BYTES - 8) + b'"}', {}, {}),
]


@pytest.mark.parametrize(
    ("status", "body", "headers", "how"), [row[1:] for row in STATUS_CODES], ids=[r[0] for r in STATUS_CODES]
)
def test_answers(status, body, headers, how):
    """Each request gets its status, and is stored exactly when that is 2xx."""
    door = IngestPorts()
    answer = door.post(body, headers, **how)
    assert answer.status == status
    assert len(door.stored) == (1 if status < 300 else 0)
    assert json.dumps(dict(answer.body))


def test_a_handshake_without_a_body_is_answered_but_not_stored():
    """Sentry's settings page signs an empty body under another header: 200, and nothing on the queue."""
    door = IngestPorts()
    signature = hmac.new(SECRET.encode(), b"", hashlib.sha256).hexdigest()
    headers = {"X-Signature": None, "Sentry-App-Signature": signature}
    assert door.post(b"", headers).status == 200
    assert door.post(b"", {**headers, "Sentry-App-Signature": "0" * 64}).status == 401
    assert door.stored == []


def test_the_raw_bytes_come_back():
    """What a worker reads is what was posted, byte for byte, with the headers that matter."""
    body = '{"a": "é \\u00e9",\r\n "b":1.0}'.encode()
    door = IngestPorts()
    door.post(body, {"Request-ID": "r1", "Sentry-Hook-Resource": "issue", "Authorization": "Bearer x"})
    webhook = queue.read_message(door.stored[0])
    assert (webhook.body, webhook.source, webhook.id, webhook.received_at) == (body, "sender", "r1", NOW)
    assert webhook.headers == {"content-type": "application/json", "request-id": "r1", "sentry-hook-resource": "issue"}


def test_the_id_is_the_content_where_the_sender_gives_none():
    """The same bytes have the same id, other bytes another one."""
    door = IngestPorts()
    for body in (b'{"a":1}', b'{"a":1}', b'{"a":2}'):
        door.post(body)
    ids = [queue.read_message(message).id for message in door.stored]
    assert ids[0] == ids[1] != ids[2]


def test_a_body_of_600_kilobytes_goes_in_one_message():
    """A large Sentry body is compressed and needs no write to the table."""
    body = json.dumps({"frames": [{"function": f"f{n}", "vars": {"x": n}} for n in range(15_000)]}).encode()
    assert len(body) > 600_000
    door = IngestPorts()
    assert door.post(body).status == 202
    assert door.calls == ["put"]
    assert len(door.stored[0]) < MAX_MESSAGE_BYTES
    assert queue.read_message(door.stored[0]).body == body


def test_a_body_that_does_not_fit_a_message_is_kept_first():
    """Noise does not compress: its body goes to the table before the message that names it goes to the queue."""
    noise = random.Random(1).randbytes(950_000).hex()
    body = json.dumps({"noise": noise}).encode()
    door = IngestPorts()
    assert door.post(body).status == 202
    assert door.calls == ["keep", "put"]
    webhook = queue.read_message(door.stored[0])
    assert webhook.body == b""
    assert uncompressed(door.kept[webhook.body_ref]) == body


def test_a_large_body_that_comes_again_is_kept_under_a_name_of_its_own():
    """The second delivery of the same bytes has its own body: dropping that of the first takes nothing from it."""
    body = json.dumps({"noise": random.Random(1).randbytes(950_000).hex()}).encode()
    door = IngestPorts()
    door.post(body)
    door.post(body, now=NOW + timedelta(microseconds=1))
    assert len(door.kept) == 2
    assert {queue.read_message(message).body_ref for message in door.stored} == set(door.kept)


@pytest.mark.parametrize("broken", ["put", "keep", "secrets"])
def test_what_cannot_be_stored_is_sent_again(broken):
    """Queue, table or secrets away: 503 with Retry-After, never a 4xx, and no word of what is wrong inside."""
    door = IngestPorts()
    door.broken.add(broken)
    door.secrets.broken = broken == "secrets"
    body = json.dumps({"noise": random.Random(1).randbytes(950_000).hex()}).encode()
    answer = door.post(body)
    assert answer.status == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert "away" not in json.dumps(dict(answer.body))
    assert door.stored == []


def test_both_secrets_of_a_rotation_are_live():
    """A body signed with either of two secrets is accepted, with a third it is not."""
    door = IngestPorts(secrets=("new", "old"))
    assert door.post(b"{}", secret="new").status == 202
    assert door.post(b"{}", secret="old").status == 202
    assert door.post(b"{}", secret="older").status == 401


def test_a_secret_that_just_changed_is_read_again():
    """A signature that does not fit the values in hand is tried with those that are stored now."""
    door = IngestPorts(secrets=("old",))
    door.secrets.stored = {"SENDER_SECRET": "new,old"}
    assert door.post(b"{}", secret="new").status == 202
    assert door.post(b"{}", secret="wrong").status == 401


def test_a_body_written_anew_is_refused():
    """The signature is of the bytes: the same JSON with blanks is not the same."""
    signature = hmac.new(SECRET.encode(), b'{"a":1}', hashlib.sha256).hexdigest()
    assert IngestPorts().post(b'{"a": 1}', {"X-Signature": signature}).status == 401


KEPT = ["content-type", "user-agent", "request-id", "idempotency-key", "sentry-hook-resource", "sentry-hook-timestamp"]
KEPT += ["x-webhook-id", "x-webhook-subscription-id", "webhook-id", "webhook-timestamp", "x-servicehook-guid", "cf-ray"]
DROPPED = ["authorization", "cookie", "cf-webhook-auth", "sentry-hook-signature", "sentry-app-signature"]
DROPPED += ["x-pagerduty-signature", "webhook-signature", "x-vercel-signature", "x-forwarded-for", "cf-connecting-ip"]
DROPPED += ["x-api-key", "x-session-id", "x-auth-id", "x-csrf-token-id", "proxy-authorization", "host"]


def test_only_headers_that_matter_are_kept():
    """No secret, cookie, signature or address of a person goes on the queue."""
    assert sorted(kept_headers(dict.fromkeys(KEPT + DROPPED, "x"))) == sorted(KEPT)


def test_headers_are_bounded():
    """Neither many nor long headers make a message grow."""
    kept = kept_headers({f"x-{number}-id": "y" * 5_000 for number in range(500)})
    assert len(kept) == 40
    assert {len(value) for value in kept.values()} == {1_000}


@pytest.mark.parametrize(
    "garbled",
    [
        "",
        "x",
        "[]",
        "{}",
        '{"v":2,"type":"webhook"}',
        '{"v":1,"type":"webhook"}',
        '{"v":true,"type":"wake","key":"x"}',
        '{"v":1,"type":"webhook","id":"i","source":"s","headers":{},"received_at":1,"body":"!!"}',
        '{"v":1,"type":"webhook","id":"i","source":"s","headers":{},"received_at":1,"body":"eA=="}',
        '{"v":1,"type":"webhook","id":"i","source":"s","headers":[],"received_at":1,"body":"eA=="}',
    ],
)
def test_a_garbled_message_says_so(garbled):
    """What is not a webhook message raises ParseError, with nothing of the content in the text."""
    with pytest.raises(ParseError):
        queue.read_message(garbled)


def test_a_bomb_does_not_expand():
    """A compressed body over the limit is refused instead of filling the memory."""
    with pytest.raises(ParseError):
        uncompressed(zlib.compress(b"\0" * (MAX_BODY_BYTES + 1)))
    assert len(uncompressed(zlib.compress(b"\0" * MAX_BODY_BYTES))) == MAX_BODY_BYTES
    with pytest.raises(ParseError):
        uncompressed(zlib.compress(os.urandom(1000))[:-10])


def test_control_characters_inside_of_texts_are_taken():
    """Given a signed body with control characters as they are inside of a text → stored as it came; outside → 400."""
    door = IngestPorts()
    assert door.post(b'{"title":"one\ntwo\tthree\x01"}').status == 202
    assert len(door.stored) == 1
    assert door.post(b'{"title":\x01"one"}').status == 400
