"""What messages of a topic come to, and what of a request is looked at before its signature."""

import json

import pytest

from chalicelib.core.errors import SignatureError
from chalicelib.core.event import UNREAD_STATUS, Severity, Status
from chalicelib.process.parse import unknown_words
from chalicelib.sources import sns
from tests.sources.bodies import FIXTURES, body, changed, event, events, raw

TOPIC = "arn:aws:sns:eu-west-1:111122223333:tocsin-prod-alarms"
TEXT = "sns/sqs.body_plain_text.json"
REQUESTS = sorted(path.name for path in (FIXTURES / "sns").glob("http.*.json"))
REFUSED_BEFORE_THE_SIGNATURE = {
    "http.certificate_plain_http.json": "certificate",
    "http.foreign_certificate_bucket.json": "certificate",
    "http.foreign_certificate_host.json": "certificate",
    "http.foreign_topic.json": "SNS_TOPICS",
    "http.raw_delivery_unsigned.json": "raw delivery",
    "http.subscription_confirmation.foreign_topic.json": "SNS_TOPICS",
    "http.subscription_confirmation.foreign_url.json": "address of the confirmation",
    "http.unknown_signature_version.json": "version",
}


def posted(message, **fields):
    """A topic's envelope around a message."""
    text = message if isinstance(message, str) else json.dumps(message)
    return changed(body(TEXT), Message=text, **fields)


def said(name):
    """The body of a recorded request, and what is known of it."""
    request = body(f"sns/{name}")
    return request["body"].encode(), request["verification"]


def test_an_alarm_in_any_envelope_is_the_alarm():
    """Given an alarm bare, as SQS gets it, and as Lambda gets it → one event of CloudWatch."""
    found = [
        event("sns", raw(f"sns/{name}.json"))
        for name in ("sqs.body_raw", "sqs.body_not_raw", "lambda.record_other_key_spelling")
    ]
    assert {each.source for each in found} == {"cloudwatch"} and len({each.id for each in found}) == 1


def test_an_event_of_the_bus_inside_a_topic_is_that_event():
    """Given a rule that sends to a topic → the event as it comes by the bus."""
    inner = body("eventbridge/health.issue_open.json")
    assert event("sns", posted(inner)) == event("eventbridge", inner)


@pytest.mark.parametrize(
    ("subject", "text", "status", "about"),
    [
        ("cron@db-1", "disk on db-1 is full", Status.FIRING, "cron@db-1"),
        ("CRITICAL: disk of db-1", "full", Status.FIRING, "disk of db-1"),
        ("OK: disk of db-1", "fine again", Status.RESOLVED, "disk of db-1"),
        ("[RESOLVED]: disk of db-1", "fine again", Status.RESOLVED, "disk of db-1"),
        ("INFO: backup of db-1", "done", Status.INFO, "backup of db-1"),
        ("note: disk of db-1", "x", Status.FIRING, "note: disk of db-1"),
        (None, "disk on db-1 is full\nsee there", Status.FIRING, "disk on db-1 is full"),
    ],
)
def test_text_is_an_event(subject, text, status, about):
    """Given text → it fires, unless its subject begins with another state; the rest is what it is about."""
    found = event("sns", posted(text, Subject=subject))
    assert (found.status, found.identity) == (status, f"message:{TOPIC}:{about}")
    assert found.title == (subject or "disk on db-1 is full") and found.source == "sns"


@pytest.mark.parametrize(
    ("began", "ended"),
    [
        ("[FIRING:1] HighCpu web1", "[RESOLVED] HighCpu web1"),
        ("[ALARM] web1 cpu", "[OK] web1 cpu"),
        ("[FIRING:2|prod] HighCpu", "[OK|prod] HighCpu"),
        ("[prod] [Triggered] HighCpu", "[prod] [Recovered] HighCpu"),
        ("** PROBLEM Host Alert: web1 is DOWN **", "** RECOVERY Host Alert: web1 is UP **"),
        ("Monitor is DOWN: web1", "Monitor is UP: web1"),
        ("Failed: backup", "Fixed: backup"),
        ("WARN: backup", "RESOLVE: backup"),
        ("CRITICAL - web1 disk", "Recovered - web1 disk"),
        ("PROBLEM web1 disk", "RESOLVED web1 disk"),
    ],
)
def test_the_end_of_a_text_is_about_what_its_beginning_is(began, ended):
    """Given a state in brackets, in capitals or before a sign, in the subject or in the text → an end with one identity."""
    for subject in (True, False):
        first, last = (
            event("sns", posted("x" if subject else each, Subject=each if subject else None)) for each in (began, ended)
        )
        assert (first.status, last.status) == (Status.FIRING, Status.RESOLVED)
        assert first.identity == last.identity


@pytest.mark.parametrize("subject", ["disk of db-1", None])
def test_a_text_that_is_one_good_word_is_an_end(subject):
    """Given the bare text OK, with a subject or without → the end of what has that subject, or of a bare bad word."""
    first, last = (event("sns", posted(each, Subject=subject)) for each in ("CRITICAL", "OK"))
    assert (first.status, last.status) == (Status.FIRING, Status.RESOLVED)
    assert first.identity == last.identity and last.title


@pytest.mark.parametrize(
    "subject", ["ONLINE STORE DOWN", "no node is healthy", "Up-to-date images are missing", "End of life of db-1"]
)
def test_a_good_word_inside_a_text_is_no_end(subject):
    """Given a word of good news that is not the state → it fires, about all of it."""
    found = event("sns", posted("x", Subject=subject))
    assert (found.status, found.identity) == (Status.FIRING, f"message:{TOPIC}:{subject}")


def test_the_words_of_a_text_say_how_bad_it_is():
    """Given CRITICAL or nothing before a subject → critical or a warning."""
    assert event("sns", posted("x", Subject="CRITICAL: disk")).severity is Severity.CRITICAL
    assert event("sns", posted("x", Subject="disk")).severity is Severity.WARNING


def test_json_of_ones_own_is_an_event():
    """Given JSON with usual names → their meaning; its end has the same identity, an unknown state is information."""
    own = {
        "id": "backup",
        "title": "Backup failed",
        "status": "failed",
        "severity": "critical",
        "service": "db",
        "labels": {"host": "db-1"},
    }
    began, ended = event("sns", posted(own)), event("sns", posted({**own, "status": "resolved"}, MessageId="2"))
    assert (began.status, began.severity, began.service, began.title) == (
        Status.FIRING,
        Severity.CRITICAL,
        "db",
        "Backup failed",
    )
    assert ended.status is Status.RESOLVED and ended.fingerprint == began.fingerprint
    assert began.labels == {"topic": TOPIC, "host": "db-1"}
    assert event("sns", posted({**own, "status": "moved"})).status is Status.INFO
    assert event("sns", posted({"text": "hello"}, Subject=None)).title == "hello"


DISK = {"title": "Disk full", "host": "web1", "status": "firing", "severity": "critical"}


def test_two_hosts_of_one_title_are_two_alerts():
    """Given JSON without id of two hosts → two alerts, and the end of one is the end of that one."""
    first, second = event("sns", posted(DISK)), event("sns", posted({**DISK, "host": "web2"}))
    ended = event("sns", posted({**DISK, "status": "resolved", "severity": "info", "at": "2026-11-30"}, MessageId="2"))
    assert len({each.fingerprint for each in (first, second)}) == 2
    assert (ended.status, ended.fingerprint) == (Status.RESOLVED, first.fingerprint)
    assert (first.labels["host"], first.summary) == ("web1", "host: web1")


UNKNOWN = {
    "a build": {"detailType": "CodeBuild", "detail": {"build-status": "FAILED", "project-name": "web"}},
    "a bounce": {"notificationType": "Bounce", "bounce": {"bounceType": "Permanent"}, "mail": {"source": "shop"}},
    "a file": {"Records": [{"eventSource": "aws:s3", "s3": {"bucket": {"name": "uploads"}}}]},
}


def test_json_of_any_shape_keeps_its_content():
    """Given JSON in which no usual name is → it fires with its content, and unlike bodies are unlike alerts."""
    found = {name: event("sns", posted(each, Subject=None)) for name, each in UNKNOWN.items()}
    assert {each.status for each in found.values()} == {Status.FIRING}
    assert len({each.fingerprint for each in found.values()}) == len(UNKNOWN)
    assert "detail.project-name: web" in found["a build"].summary and "CodeBuild" in found["a build"].title
    assert "uploads" in found["a file"].summary
    titled = event("sns", posted(UNKNOWN["a file"], Subject="Amazon S3 Notification"))
    assert titled.title == "Amazon S3 Notification" and "uploads" in titled.summary


def test_secrets_of_a_shown_content_are_masked():
    """Given secrets under their name, in a table and in a list of that name → masked, beside what is none."""
    secrets = {"password": "hunter2abc", "secret": {"value": "qwe123asd"}, "token": ["abc123def456"]}
    found = event(
        "sns",
        posted(
            {"db": {**secrets, "disk": "sda1", "env": [{"name": "DB_PASSWORD", "value": "zxc987qwe"}]}}, Subject=None
        ),
    )
    assert "sda1" in found.summary
    assert not [
        each for each in ("hunter2abc", "qwe123asd", "abc123def456", "zxc987qwe") if each in found.title + found.summary
    ]


@pytest.mark.parametrize(("word", "status"), [
    ("degraded", "firing"), ("breached", "firing"), ("offline", "firing"), (True, "firing"), ("FAILED", "firing"),
    ("passed", "resolved"), ("fixed", "resolved"), ("IN_PROGRESS", "info"),
])  # fmt: skip
def test_words_for_the_state_are_those_of_declared_sources(word, status):
    """Given a word that a declared source knows → the same meaning on a topic."""
    assert event("sns", posted({"id": "x", "title": "t", "state": word})).status.value == status


def test_a_word_that_nobody_knows_is_reported():
    """Given an unknown word → information with the annotation of which the router warns."""
    found = event("sns", posted({"id": "x", "title": "t", "state": "brewing"}))
    assert (found.status, found.annotations[UNREAD_STATUS]) == (Status.INFO, "brewing")
    (warning,) = unknown_words([found])
    assert "statuses:` of sns" not in warning.summary and "declared source" in warning.summary


def test_a_list_is_an_event_for_each_object():
    """Given a list of objects → an event of each, with ids of their own; a list of texts is a text."""
    found = events("sns", posted([DISK, {**DISK, "host": "web2"}, "x"]))
    assert len(found) == len({each.id for each in found}) == len({each.fingerprint for each in found}) == 2
    assert event("sns", posted(["a"], Subject=None)).title == '["a"]'


def test_a_budget_is_read_from_its_text():
    """Given the text of AWS Budgets → a warning with name, amount and threshold; one alert for a threshold of a budget of a topic."""
    text = raw("cloudwatch/budgets_text_unverified.txt").decode()
    found = event("sns", posted(text, Subject="AWS Budgets: tocsin-month"))
    assert (found.kind, found.status, found.severity) == ("budget", Status.FIRING, Severity.WARNING)
    assert found.title == "Budget tocsin-month: $43.17, the threshold is > $40.00"
    assert (
        found.labels["account"] == "111122223333" and found.identity == f"budget:{TOPIC}:tocsin-month:ACTUAL:> $40.00"
    )
    higher = event("sns", posted(text.replace("> $40.00", "> $50.00"), Subject="AWS Budgets: tocsin-month"))
    repeated = event("sns", posted(text.replace("$43.17", "$44.20"), Subject="AWS Budgets: tocsin-month"))
    assert higher.fingerprint != found.fingerprint == repeated.fingerprint


def test_the_end_of_a_subscription_is_reported_by_the_router():
    """Given a confirmation that somebody unsubscribed → a warning of the router that names the topic."""
    data, _ = said("http.unsubscribe_confirmation.v2.json")
    found = event("sns", data)
    assert (found.source, found.kind, found.status) == ("router", "topic.unsubscribed", Status.FIRING)
    assert "tocsin-prod-alarms" in found.title
    asked = event("sns", said("http.subscription_confirmation.v1.json")[0])
    assert (asked.status, asked.kind, asked.identity) == (Status.INFO, "topic.subscribed", found.identity)


def test_records_of_lambda_are_read_one_by_one():
    """Given two records → two events."""
    record = body("sns/lambda.record_other_key_spelling.json")["Records"][0]
    assert len(events("sns", {"Records": [record, record]})) == 2


# ---------------------------------------------------------------------------------------------------------------------
# At the door


@pytest.mark.parametrize("name", REQUESTS)
def test_what_is_signed_is_the_text_that_aws_signs(name):
    """Given a recorded request → the very text that was signed, and the certificate's address."""
    data, known = said(name)
    if "string_to_sign" not in known or name in REFUSED_BEFORE_THE_SIGNATURE:
        return
    found = sns.proof(sns.envelope(data))
    assert found.text.decode() == known["string_to_sign"]
    assert found.certificate == known["certificate_url"]


@pytest.mark.parametrize("name", REQUESTS)
def test_requests_are_refused_before_anything_is_fetched(name):
    """Given a foreign topic, certificate, confirmation or no signature → refused without a look at the signature."""
    data, known = said(name)
    asked = []

    def signed(proof):
        asked.append(proof)
        return True

    if reason := REFUSED_BEFORE_THE_SIGNATURE.get(name):
        with pytest.raises(SignatureError, match=reason):
            sns.verify({}, data, known["allowed_topics"], signed=signed)
        assert asked == []
    else:
        sns.verify({}, data, known["allowed_topics"], signed=signed)
        assert len(asked) == 1


def test_nothing_is_taken_without_a_check_of_the_signature():
    """Given a right request and nobody who can check it, a wrong answer of who can, or no topic → refused."""
    data, known = said("http.notification.v2.json")
    for signed in ({}, {"signed": lambda proof: False}):
        with pytest.raises(SignatureError, match="does not fit"):
            sns.verify({}, data, known["allowed_topics"], **signed)
    with pytest.raises(SignatureError, match="no secret is set"):
        sns.verify({}, data, [], signed=lambda proof: True)


CERTIFICATES = {
    "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem": True,
    "https://sns.cn-north-1.amazonaws.com.cn/a.pem": True,
    "http://sns.eu-west-1.amazonaws.com/a.pem": False,
    "https://sns.eu-west-1.amazonaws.com:8443/a.pem": False,
    "https://me@sns.eu-west-1.amazonaws.com/a.pem": False,
    "https://sns.eu-west-1.amazonaws.com.example.com/a.pem": False,
    "https://example.com/sns.eu-west-1.amazonaws.com/a.pem": False,
    "https://sns.eu.west.amazonaws.com/a.pem": False,
    "https://sns.eu-west-1.amazonaws.com/a.txt": False,
    "https://sns.eu-west-1.amazonaws.com/a.pem?x=.pem": False,
    "https://sns.eu-west-1.amazonaws.com/../x.pem": False,
    "https://sns.eu-west-1.amazonaws.com\\@example.com/a.pem": False,
    "https://sns.eu-west-1.amazonaws.com\n.example.com/a.pem": False,
    "https://[sns.eu-west-1.amazonaws.com/a.pem": False,
    "": False,
}


@pytest.mark.parametrize("address", [*CERTIFICATES, None, 5])
def test_certificates_come_from_sns_alone(address):
    """Given an address → only https, the host of SNS in a Region, and a file of it."""
    assert sns.is_certificate(address) is CERTIFICATES.get(address, False)


def test_a_request_to_subscribe_is_read_by_topic_and_token():
    """Given a request to subscribe → Region, topic and token, and not the body's own address."""
    data, _ = said("http.subscription_confirmation.v1.json")
    found = sns.subscription(data)
    assert (found.region, found.topic, found.token) == ("eu-west-1", TOPIC, json.loads(data)["Token"])
    assert sns.subscription(said("http.notification.v2.json")[0]) is None
    for wrong in ({"Token": "a&b=c"}, {"TopicArn": "arn:aws:sns:x"}):
        with pytest.raises(SignatureError, match="no topic or no token"):
            sns.subscription(json.dumps({**json.loads(data), **wrong}).encode())


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-1.evil", ""])
def test_a_confirmation_of_another_region_is_refused(region):
    """Given the address of a Region that is not the topic's → refused before the signature is looked at."""
    data, known = said("http.subscription_confirmation.v1.json")
    other = {**json.loads(data), "SubscribeURL": f"https://sns.{region}.amazonaws.com/?Action=ConfirmSubscription"}
    with pytest.raises(SignatureError, match="address of the confirmation"):
        sns.verify({}, json.dumps(other).encode(), known["allowed_topics"], signed=lambda proof: True)


def test_deliveries_are_known_by_the_id_of_the_message():
    """Given a message → its id, equal on every try."""
    assert sns.delivery_id({}, said("http.notification.v2.json")[0]) == "8f1c6a52-7d3e-5b10-9a44-0c9d2e7f1a63"
    assert sns.delivery_id({}, b"x") is None


def test_an_envelope_without_its_topic_is_opened():
    """Given a message that somebody forwarded without its topic → the alarm in it, and its end."""
    fired, ended = (
        event("sns", {"Type": "Notification", "Message": json.dumps({"AlarmName": "DiskLow", "NewStateValue": each})})
        for each in ("ALARM", "OK")
    )
    assert (fired.title, fired.status, ended.status) == ("DiskLow", Status.FIRING, Status.RESOLVED)
    assert fired.fingerprint == ended.fingerprint
