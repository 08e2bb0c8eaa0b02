"""The door of SNS with real signatures: what is stored, what is refused, what is fetched from where."""

import base64
import json
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from chalicelib.core.errors import NotStoredError
from chalicelib.ingest.receive import receive
from chalicelib.ingest.sns import MAX_CERTIFICATES, Certificates, SnsSource, _confirmed
from chalicelib.messages.queue import read_message
from chalicelib.sources import sns
from tests.fakes import FixedSecrets
from tests.sources.bodies import FIXTURES, body

NOW = datetime(2026, 11, 30, 4, 0, tzinfo=UTC)
REQUESTS = sorted(path.name for path in (FIXTURES / "sns").glob("http.*.json"))
TOPIC = "arn:aws:sns:eu-west-1:111122223333:tocsin-prod-alarms"


class Sns:
    """SNS's own hosts: what is fetched, and what is answered."""

    def __init__(self, *answers):
        self.asked = []
        self.answers = list(answers)

    def fetch(self, address):
        """Answer with the next answer; the last one stays."""
        self.asked.append(address)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, OSError):
            raise answer
        return answer


def recorded(name):
    """A recorded request: body, what is known of it, and SNS with its certificate."""
    request = body(f"sns/{name}")
    known = request["verification"]
    return (
        request["body"].encode(),
        request["headers"],
        known,
        Sns((200, (FIXTURES / "sns" / known["certificate_file"]).read_bytes())),
    )


def posted(data, certificates, *, topics=TOPIC, now=NOW, headers=None):
    """The answer to a post, and what was put on the queue."""
    stored = []
    answer = receive(
        "sns", headers or {}, data, path_secret=None, find=lambda name: SnsSource(certificates, now),
        secrets=FixedSecrets({"SNS_TOPICS": topics}), put=stored.append, keep=lambda *_: None, now=now,
    )  # fmt: skip
    return answer, stored


@pytest.mark.parametrize("name", REQUESTS)
def test_recorded_requests(name):
    """Given a recorded request of SNS or a forgery → stored, or 401 with nothing stored, as it was recorded."""
    data, _, known, aws = recorded(name)
    answer, stored = posted(data, Certificates(aws.fetch), topics=",".join(known["allowed_topics"]))
    right = known["expect_valid"]
    assert (answer.status, len(stored)) == ((202, 1) if right else (401, 0)), known["why"]
    assert set(aws.asked) <= {known["certificate_url"]}
    if not right and name != "http.notification.tampered.json":
        assert aws.asked == [], "nothing is fetched for what is refused anyway"


def test_what_is_stored_is_a_webhook_of_sns():
    """Given a right message → a webhook of that source, with the id of the message, and the body as it came."""
    data, _, _, aws = recorded("http.notification.v2.json")
    _, (message,) = posted(data, Certificates(aws.fetch))
    found = read_message(message)
    assert (found.source, found.body, found.id) == ("sns", data, json.loads(data)["MessageId"])


def test_a_certificate_is_fetched_once():
    """Given many messages → one fetch; more addresses than are kept start anew."""
    data, _, known, aws = recorded("http.notification.v2.json")
    certificates = Certificates(aws.fetch)
    for _ in range(3):
        assert posted(data, certificates)[0].status == 202
    assert aws.asked == [known["certificate_url"]]
    for number in range(2 * MAX_CERTIFICATES):
        certificates.at(f"https://sns.eu-west-1.amazonaws.com/{number}.pem")
    assert len(certificates.known) <= MAX_CERTIFICATES


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (OSError("away"), 503),
        ((500, b""), 503),
        ((429, b""), 503),
        ((404, b""), 401),
        ((302, b""), 401),
        ((200, b"no certificate"), 401),
    ],
)
def test_certificates_that_cannot_be_had(answer, status):
    """Given SNS away → 503, so that it tries again; given a redirect, nothing, or something else there → 401."""
    data, *_ = recorded("http.notification.v2.json")
    found, stored = posted(data, Certificates(Sns(answer).fetch))
    assert (found.status, stored) == (status, [])


def made(key, *, since=2026, until=2027):
    """A certificate for a key."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sns.amazonaws.com")])
    builder = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    )
    builder = builder.not_valid_before(datetime(since, 1, 1, tzinfo=UTC)).not_valid_after(
        datetime(until, 1, 1, tzinfo=UTC)
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.fixture(scope="module")
def key():
    """A key as SNS has one."""
    return rsa.generate_private_key(65537, 2048)


def signed_by(key, message, version="2"):
    """The message with a right signature."""
    plain = {**message, "SignatureVersion": version}
    algorithm = hashes.SHA256() if version == "2" else hashes.SHA1()
    signature = key.sign(sns.signed_text(plain), padding.PKCS1v15(), algorithm)
    return json.dumps({**plain, "Signature": base64.b64encode(signature).decode()}).encode()


@pytest.mark.parametrize("version", ["1", "2"])
def test_both_versions_and_only_as_they_say(key, version):
    """Given a signature of a version → taken as that version, refused under the other's name."""
    message = json.loads(recorded("http.notification.v2.json")[0])
    data = signed_by(key, message, version)
    aws = Sns((200, made(key)))
    assert posted(data, Certificates(aws.fetch))[0].status == 202
    other = json.dumps({**json.loads(data), "SignatureVersion": {"1": "2", "2": "1"}[version]}).encode()
    assert posted(other, Certificates(aws.fetch))[0].status == 401


@pytest.mark.parametrize("field", ["Message", "MessageId", "Subject", "Timestamp", "TopicArn"])
def test_every_signed_field_counts(key, field):
    """Given one field changed after signing → refused."""
    data = json.loads(signed_by(key, json.loads(recorded("http.notification.v2.json")[0])))
    changed = json.dumps({**data, field: data[field] + "x"}).encode()
    aws = Sns((200, made(key)))
    assert posted(changed, Certificates(aws.fetch), topics=f"{TOPIC},{TOPIC}x")[0].status == 401


def test_certificates_that_prove_nothing(key):
    """Given a certificate of the past, of the future, or of another kind of key → refused."""
    data = signed_by(key, json.loads(recorded("http.notification.v2.json")[0]))
    other = ec.generate_private_key(ec.SECP256R1())
    for pem in (made(key, since=2020, until=2021), made(key, since=2027, until=2028), made(other)):
        assert posted(data, Certificates(Sns((200, pem)).fetch))[0].status == 401


def test_raw_delivery_is_refused():
    """Given a bare message with the headers of raw delivery → 401: nothing proves it."""
    data, headers, _, aws = recorded("http.raw_delivery_unsigned.json")
    lower = {name.lower(): value for name, value in headers.items() if name.lower() != "content-type"}
    answer, stored = posted(data, Certificates(aws.fetch), headers=lower)
    assert (answer.status, stored) == (401, []) and "raw delivery" in answer.reason


@pytest.mark.parametrize(
    ("answer", "status"), [((200, b"<ConfirmSubscriptionResponse/>"), 202), ((403, b""), 503), (OSError("away"), 503)]
)
def test_subscriptions_are_confirmed_at_sns(answer, status):
    """Given a right request to subscribe → confirmed at SNS's host; where that fails 503, so that SNS asks again."""
    data, _, _, aws = recorded("http.subscription_confirmation.v1.json")
    stored, _ = posted(data, Certificates(aws.fetch))
    confirming = Sns(answer)
    found = _confirmed(stored, data, confirming.fetch)
    assert found.status == status
    assert confirming.asked == [json.loads(data)["SubscribeURL"]]


def test_a_notification_confirms_nothing():
    """Given a notification or the end of a subscription → nothing is fetched to confirm it."""
    for name in ("http.notification.v2.json", "http.unsubscribe_confirmation.v2.json"):
        data, _, _, aws = recorded(name)
        stored, _ = posted(data, Certificates(aws.fetch))
        confirming = Sns(OSError("not asked"))
        assert _confirmed(stored, data, confirming.fetch) is stored and confirming.asked == []


def test_a_queue_that_is_away_is_a_503():
    """Given no queue → 503, which SNS tries again."""
    data, _, _, aws = recorded("http.notification.v2.json")

    def away(message):
        raise NotStoredError("the queue is away")

    answer = receive(
        "sns", {}, data, path_secret=None, find=lambda name: SnsSource(Certificates(aws.fetch), NOW),
        secrets=FixedSecrets({"SNS_TOPICS": TOPIC}), put=away, keep=lambda *_: None, now=NOW,
    )  # fmt: skip
    assert answer.status == 503
