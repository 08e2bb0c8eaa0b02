"""Every built-in sender at the door: what proves it, what does not, and the answer that keeps it well-behaved."""

import base64
import hashlib
import hmac
import json
import re
from datetime import UTC, datetime

import pytest

from chalicelib import plugins
from chalicelib.core.errors import NotStoredError, SignatureError
from chalicelib.ingest.receive import receive
from chalicelib.messages.queue import read_message
from tests.fakes import FixedSecrets
from tests.sources.bodies import body, raw

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
OLD, NEW = "the-old-sécret", "the-new-secret"
LIVE = [NEW, OLD]
BODY = '{"alert_type":"x","action":"created","data":{"t":"é → 🔥"},"event":{"event_type":"brand.new"}}'.encode()
REWRITTEN = json.dumps(json.loads(BODY)).encode()
"""The same JSON in other bytes, as a careless sender's sample code would sign it."""


def mac(algorithm, data=BODY, secret=NEW):
    """HMAC in hex."""
    return hmac.new(secret.encode(), data, algorithm).hexdigest()


def basic(text):
    """A Basic authorization."""
    return "Basic " + base64.b64encode(text.encode()).decode()


SIGNED = [
    ("sentry", "sentry-hook-signature", "sha256", ""),
    ("sentry", "sentry-app-signature", "sha256", ""),
    ("sentry", "x-servicehook-signature", "sha256", ""),
    ("vercel", "x-vercel-signature", "sha1", ""),
    ("pagerduty", "x-pagerduty-signature", "sha256", "v1="),
]
OTHER = {"sha1": "sha256", "sha256": "sha1"}
TOKENS = [
    ("cloudflare", "cf-webhook-auth", "{}"),
    ("alertmanager", "authorization", "Bearer {}"),
    ("prometheus", "authorization", "bearer {}"),
]


def verify(source, headers, *, data=BODY, secrets=LIVE, path_secret=None):
    """True when the source takes the request; an error's text holds no secret and no signature."""
    try:
        plugins.load("sources", source).verify(headers, data, secrets, path_secret=path_secret)
    except SignatureError as error:
        assert not re.search(rf"{OLD}|{NEW}|[0-9a-f]{{16}}", str(error))
        return False
    return True


@pytest.mark.parametrize(("source", "header", "algorithm", "prefix"), SIGNED)
def test_signatures(source, header, algorithm, prefix):
    """Only the HMAC of these bytes under a live secret proves the sender."""

    def proves(signature, **more):
        return verify(source, {header: signature}, **more)

    right = mac(algorithm)
    assert proves(prefix + right)
    assert proves(prefix + mac(algorithm, secret=OLD)), "the old secret while both are live"
    assert not proves(prefix + mac(algorithm, secret=OLD), secrets=[NEW]), "the old secret after it was taken away"
    assert not verify(source, {}), "missing"
    assert not proves(""), "empty"
    assert not proves(prefix), "only the prefix"
    assert not proves(prefix + "garbled, not hex"), "garbled"
    assert not proves(prefix + "é" * 40), "not ASCII"
    assert not proves(prefix + right[:-1]), "cut"
    assert not proves(prefix + right + "0"), "longer"
    assert not proves(prefix + mac(algorithm, secret="guess")), "wrong secret"
    assert not proves(prefix + mac(OTHER[algorithm])), "other algorithm"
    assert not proves(prefix + mac("md5")), "older algorithm"
    assert not proves(prefix + hashlib.new(algorithm, BODY).hexdigest()), "no key"
    assert not proves(prefix + mac(algorithm, secret="")), "empty key"
    assert not proves(prefix + mac(algorithm, REWRITTEN)), "signed after writing the JSON anew"
    assert not proves(prefix + right, data=REWRITTEN), "written anew after signing"
    assert not proves(prefix + right, data=BODY + b"\n"), "one byte more"
    assert not proves(prefix + right, secrets=[]), "no secret set"
    assert not proves(prefix + mac(algorithm, secret=""), secrets=[""]), "an empty secret is none"


def test_a_secret_of_any_characters():
    """Secrets are their text as UTF-8, PagerDuty's too: nothing is decoded from base64."""
    secret = "zażółć+gęślą/jaźń=="
    assert verify("sentry", {"sentry-hook-signature": mac("sha256", secret=secret)}, secrets=[secret])
    assert verify("pagerduty", {"x-pagerduty-signature": "v1=" + mac("sha256", secret=secret)}, secrets=[secret])


@pytest.mark.parametrize(("source", "header", "form"), TOKENS)
def test_tokens(source, header, form):
    """The secret itself, in its header, is the proof; compared whole."""

    def proves(text, **more):
        return verify(source, {header: form.format(text)}, **more)

    assert proves(NEW) and proves(OLD)
    assert not proves(OLD, secrets=[NEW])
    for wrong in ("", "guess", NEW[:-1], NEW + "x", NEW.upper(), f"{NEW},{OLD}", "é"):
        assert not proves(wrong), wrong
    assert not verify(source, {})
    assert not proves("", secrets=[""])
    assert not proves(NEW, secrets=[])


BASIC = [
    (basic(f"tocsin:{NEW}"), True), (basic(f":{OLD}"), True), (basic("tocsin:guess"), False), (basic(NEW), True),
    ("Basic !!!", False), ("Basic", False), ("Basic " + base64.b64encode(b"\xff:\xff").decode(), False),
    (f"Token {NEW}", False), (NEW, False), (f"Bearer  {NEW} ", True),
]  # fmt: skip


@pytest.mark.parametrize(("authorization", "right"), BASIC)
def test_basic_authorization_of_alertmanager(authorization, right):
    """`basic_auth` of its http_config works like its `authorization`: the secret is the password."""
    for source in ("alertmanager", "prometheus"):
        assert verify(source, {"authorization": authorization}) is right


@pytest.mark.parametrize("source", ["sentry", "cloudflare", "alertmanager", "prometheus"])
def test_a_secret_in_the_address(source):
    """Senders that sign nothing have the secret in their address; those that sign are not let in by it alone."""
    assert verify(source, {}, path_secret=NEW) and verify(source, {}, path_secret=OLD)
    for wrong in ("", "guess", NEW + "/", "é"):
        assert not verify(source, {}, path_secret=wrong)
    assert not verify("vercel", {}, path_secret=NEW)
    assert not verify("pagerduty", {}, path_secret=NEW)


def test_a_wrong_signature_is_not_mended_by_the_address():
    """Who signs must sign rightly, whatever the address says."""
    assert not verify("sentry", {"sentry-hook-signature": "0" * 64}, path_secret=NEW)
    assert not verify("alertmanager", {"authorization": "Bearer guess"}, path_secret=NEW)


def test_pagerduty_signs_several_times_while_rotating():
    """One of the listed signatures must fit; versions nobody knows and blanks do not matter."""
    right, wrong = "v1=" + mac("sha256"), "v1=" + "0" * 64
    for header in (f"{wrong},{right}", f"{right},{wrong}", f" {wrong} , {right} ", f"v2=abc,{right}", f"{right},"):
        assert verify("pagerduty", {"x-pagerduty-signature": header})
    for header in (f"{wrong},{wrong}", "v2=" + mac("sha256"), mac("sha256"), ",", "v1", "=" + mac("sha256")):
        assert not verify("pagerduty", {"x-pagerduty-signature": header})


VECTORS = [
    (
        "sentry", "sentry/derived_unicode_escaped_raw.json", "sentry-hook-signature", "test-client-secret",
        "764bdabb2f98e106eb7e34d500f219aa8cce68b01af7be1d60e9c6aabaa6fe0c",
    ),
    (
        "vercel", "vercel/derived_signature_vector_team_null.json", "x-vercel-signature", "test-vercel-secret",
        "ceeb5fcfbda0e23506357cd0552b781d2c07474e",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("source", "name", "header", "secret", "signature"), VECTORS)
def test_known_signatures(source, name, header, secret, signature):
    """Signatures made elsewhere over the exact bytes, escaped and not escaped, are taken; of the same JSON they are not."""
    data = raw(name)
    assert verify(source, {header: signature}, data=data, secrets=[secret])
    assert not verify(source, {header: signature}, data=json.dumps(json.loads(data)).encode(), secrets=[secret])


@pytest.mark.parametrize(
    "name",
    ["incident.acknowledged", "redelivery", "two_signatures_rotation", "bad_signature"],
)
def test_recorded_requests_of_pagerduty(name):
    """Whole requests with their headers are taken or refused as they were recorded."""
    request = body(f"pagerduty/http.webhook_v3.{name}.json")
    headers = {key.lower(): value for key, value in request["headers"].items()}
    said = request["verification"]
    secrets = [value for key, value in said.items() if "secret" in key and isinstance(value, str)]
    taken = verify("pagerduty", headers, data=request["body"].encode(), secrets=secrets)
    assert taken is (name != "bad_signature"), said


# ---------------------------------------------------------------------------------------------------------------------
# Answers


class Door:
    """`receive` with the real sources, and everything around them recorded."""

    def __init__(self, *, broken=False):
        self.stored = []
        self.broken = broken

    def put(self, message):
        """The queue."""
        if self.broken:
            raise NotStoredError("the queue is away")
        self.stored.append(message)

    def post(self, source, data, headers):
        """The answer to one request."""
        return receive(
            source, headers, data, path_secret=None, find=lambda name: plugins.load("sources", name),
            secrets=FixedSecrets(dict.fromkeys(plugins.load("sources", source).SECRETS, f"{NEW},{OLD}")),
            put=self.put, keep=lambda *_: None, now=NOW,
        )  # fmt: skip


def signed(source, data):
    """The headers of a right request, in the capitals their sender writes."""
    mac256 = mac("sha256", data)
    return {
        "sentry": {"Sentry-Hook-Signature": mac256, "Sentry-Hook-Resource": "installation"},
        "cloudflare": {"cf-webhook-auth": NEW},
        "vercel": {"x-vercel-signature": mac("sha1", data)},
        "alertmanager": {"Authorization": f"Bearer {NEW}"},
        "prometheus": {"Authorization": f"Bearer {NEW}"},
        "pagerduty": {"X-PagerDuty-Signature": f"v1={mac256}", "X-Webhook-Id": "w1"},
    }[source] | {"Content-Type": "application/json"}


ANSWERS = [
    ("sentry", raw("sentry/installation_created_docs.json"), 202),
    ("sentry", b'{"action":"brand_new","data":{}}', 202),
    ("cloudflare", raw("cloudflare/test_message_docs.json"), 200),
    ("cloudflare", b'{"alert_type":"brand_new"}', 202),
    ("vercel", b'{"type":"brand.new"}', 202),
    ("alertmanager", raw("alertmanager/derived_empty_alerts.json"), 202),
    ("prometheus", b"{}", 202),
    ("pagerduty", b'{"event":{"event_type":"brand.new"}}', 202),
    ("pagerduty", raw("pagerduty/webhook_v3.pagey.ping.json"), 202),
]


@pytest.mark.parametrize(("source", "data", "status"), ANSWERS)
def test_what_is_not_understood_is_taken_all_the_same(source, data, status):
    """Types nobody knows, tests and empty groups are 2xx: a 4xx would lose them and switch senders off."""
    door = Door()
    assert door.post(source, data, signed(source, data)).status == status
    assert len(door.stored) == 1


@pytest.mark.parametrize("source", ["sentry", "cloudflare", "vercel", "alertmanager", "prometheus", "pagerduty"])
def test_our_own_trouble_is_a_503(source):
    """To Alertmanager and PagerDuty a 4xx or 429 is a final no: what we cannot keep is asked for again."""
    answer = Door(broken=True).post(source, BODY, signed(source, BODY))
    assert (answer.status, int(answer.headers["Retry-After"]) > 0) == (503, True)
    assert Door().post(source, BODY, {"Content-Type": "application/json"}).status == 401


IDS = [
    ("pagerduty", {"X-Webhook-Id": "w1"}, BODY, "w1"),
    ("pagerduty", {}, b'{"event":{"id":"e1"}}', "e1"),
    ("vercel", {}, b'{"id":"evt_1"}', "evt_1"),
    ("sentry", {"Idempotency-Key": "k1", "Request-ID": "new-each-time"}, BODY, "k1"),
    ("sentry", {"Request-ID": "new-each-time"}, BODY, hashlib.sha256(BODY).hexdigest()[:32]),
    ("cloudflare", {}, BODY, hashlib.sha256(BODY).hexdigest()[:32]),
]


@pytest.mark.parametrize(("source", "headers", "data", "number"), IDS)
def test_deliveries_are_known_by_their_id_or_content(source, headers, data, number):
    """What is equal on every attempt: the sender's id of the delivery, else the content."""
    door = Door()
    door.post(source, data, {**signed(source, data), "X-Webhook-Id": "", **headers})
    assert read_message(door.stored[0]).id == number
