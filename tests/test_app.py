"""Routes, status codes, wiring, and what a worker does with a batch. Only the functions of `wiring` are swapped."""

import base64
import gzip
import hmac
import json
import os
import subprocess
import sys
import traceback
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from time import sleep
from types import SimpleNamespace

import pytest
from chalice.test import Client

import app
from chalicelib import plugins, settings, wiring
from chalicelib.api import access, routes
from chalicelib.core.alert import Alert, AlertState
from chalicelib.core.delivery.notification import IncidentSnapshot, Notification, Reason
from chalicelib.core.errors import NotStoredError, ProcessedError
from chalicelib.core.event import ActionKind, Severity
from chalicelib.core.incident import Episode, Incident
from chalicelib.core.rule import Rules, Target
from chalicelib.ingest import wiring as ingest
from chalicelib.ingest.registry import declared
from chalicelib.messages import codec
from chalicelib.messages.queue import Queues, notification_message, read_message, unsilence_message, wake_message
from chalicelib.messages.webhook import Webhook, compressed, written
from chalicelib.rules.file import compile_rules
from chalicelib.schedule.runs import run_marks
from chalicelib.schedule.spreading import Share, ShareAnswer
from simulation.memory_store import MemoryStore
from tests.fakes import MemoryQueue
from tests.loopback import served

ROOT = Path(__file__).parent.parent
SECRET = "secret-of-cloudflare"
HEAVY = ("boto3", "botocore", "pydantic", "httpx", "sentry_sdk", "yaml", "jinja2", "prometheus_client")
CONTEXT = SimpleNamespace(invoked_function_arn="arn:aws:lambda:eu-west-1:123456789012:function:tocsin-dev-x")
JSON = {"Content-Type": "application/json", "cf-webhook-auth": SECRET}
PROBLEM = {"type", "title", "status", "detail", "error"}
"""The fields of an error of the API: those of RFC 9457, and that of the versions before."""


def environment(url):
    """What Lambda and the stage's configuration set."""
    secret = plugins.load("sources", "cloudflare").SECRETS[0]
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "eu-west-1"}
    return {**keys, "AWS_ENDPOINT_URL": url, "TOCSIN_STAGE": "dev", secret: SECRET}


@pytest.fixture
def aws(monkeypatch):
    """A server that plays AWS, and a stage configured to use it."""
    with served() as server:
        server.replies["GetQueueUrl"] = (200, {"QueueUrl": f"{server.url}/123456789012/tocsin-dev-webhooks"})
        for name, value in environment(server.url).items():
            monkeypatch.setenv(name, value)
        ingest.ports.cache_clear()
        yield server
        ingest.ports.cache_clear()


def posted(path, body, headers=JSON):
    """The answer to a POST through Chalice, with the environment of the test and not that of a stage in .chalice."""
    with Client(app.app, stage_name="of-a-test") as client:
        return client.http.post(path, headers=headers, body=body)


ANSWERS = [
    ("stored", "/webhooks/cloudflare", b'{"text":"x","alert_type":"y","data":{}}', JSON, 202),
    ("a test of the address", "/webhooks/cloudflare", b'{"text":"Hello World!"}', JSON, 200),
    ("a charset", "/webhooks/cloudflare", b'{"a":1}', {**JSON, "Content-Type": "application/json;charset=UTF-8"}, 202),
    ("no secret", "/webhooks/cloudflare", b'{"a":1}', {"Content-Type": "application/json"}, 401),
    ("a wrong secret", "/webhooks/cloudflare", b'{"a":1}', {**JSON, "cf-webhook-auth": "guess"}, 401),
    ("not JSON", "/webhooks/cloudflare", b"{", JSON, 400),
    ("too deep", "/webhooks/cloudflare", b"[" * 100_000, JSON, 400),
    ("unknown source", "/webhooks/nobody", b"{}", JSON, 404),
    ("a module that is no source", "/webhooks/__init__", b"{}", JSON, 404),
    ("the generic plug-in", "/webhooks/generic", b"{}", JSON, 404),
    ("a form", "/webhooks/cloudflare", b"a=1", {**JSON, "Content-Type": "application/x-www-form-urlencoded"}, 415),
    ("too large", "/webhooks/cloudflare", b" " * (2 * 1024 * 1024 + 1), JSON, 413),
]


@pytest.mark.parametrize(
    ("path", "body", "headers", "status"), [row[1:] for row in ANSWERS], ids=[r[0] for r in ANSWERS]
)
def test_routes_answer(aws, path, body, headers, status):
    """Each request gets its status, exactly what is answered 2xx is on the queue, and a refusal is counted there."""
    response = posted(path, body, headers)
    assert response.status_code == status
    kinds = [
        json.loads(arguments["MessageBody"])["type"] for action, arguments, *_ in aws.calls if action == "SendMessage"
    ]
    assert kinds == (["webhook"] if status < 300 else [] if status == 404 else ["samples"])


def test_a_refusal_that_cannot_be_counted_is_still_a_refusal(aws):
    """The queue is away: the sender is told 401 all the same, and not to come again."""
    aws.replies["SendMessage"] = (500, {})
    assert posted("/webhooks/cloudflare", b'{"a":1}', {"Content-Type": "application/json"}).status_code == 401


def test_a_webhook_reaches_its_queue_as_it_came(aws):
    """The raw bytes are on the queue of the stage."""
    body = '{"text": "ünïcode",  "alert_type":"\\u00e9"}'.encode()
    assert app.app(gateway_event(body.decode()), CONTEXT)["statusCode"] == 202
    sent = aws.calls[0][1]
    assert sent["QueueUrl"] == f"{aws.url}/123456789012/tocsin-dev-webhooks"
    webhook = read_message(sent["MessageBody"])
    assert (webhook.source, webhook.body) == ("cloudflare", body)
    assert SECRET not in sent["MessageBody"]
    assert "cf-webhook-auth" not in webhook.headers


def gateway_event(body, *, encoded=False, headers=JSON):
    """What API Gateway hands to the function."""
    return {
        "httpMethod": "POST",
        "resource": "/webhooks/{source}",
        "path": "/webhooks/cloudflare",
        "requestContext": {"httpMethod": "POST", "resourcePath": "/webhooks/{source}"},
        "multiValueQueryStringParameters": None,
        "pathParameters": {"source": "cloudflare"},
        "stageVariables": None,
        "headers": headers,
        "body": body,
        "isBase64Encoded": encoded,
    }


def test_a_body_that_the_gateway_encoded_is_decoded(aws):
    """isBase64Encoded gives the same bytes."""
    body = b'{"text":"\xc3\xa9","alert_type":"x"}'
    assert app.app(gateway_event(base64.b64encode(body).decode(), encoded=True), CONTEXT)["statusCode"] == 202
    assert read_message(aws.calls[0][1]["MessageBody"]).body == body


PROOFS = {
    "sentry": ("SENTRY_CLIENT_SECRET", "sentry-hook-signature", "sha256", ""),
    "vercel": ("VERCEL_WEBHOOK_SECRET", "x-vercel-signature", "sha1", ""),
    "pagerduty": ("PAGERDUTY_WEBHOOK_SECRET", "x-pagerduty-signature", "sha256", "v1="),
}


@pytest.mark.parametrize("source", PROOFS)
def test_signatures_hold_over_what_the_gateway_encoded(aws, monkeypatch, source):
    """The signature is that of the decoded bytes, whatever the gateway made of them; of other bytes it is refused."""
    name, header, algorithm, prefix = PROOFS[source]
    monkeypatch.setenv(name, "s1")
    body = '{"a":"é → 🔥","b":"\\u00e9"}'.encode()
    headers = {"Content-Type": "application/json", header: prefix + hmac.new(b"s1", body, algorithm).hexdigest()}

    def answered(text, *, encoded):
        event = gateway_event(text, encoded=encoded, headers=headers)
        return app.app({**event, "pathParameters": {"source": source}}, CONTEXT)["statusCode"]

    assert answered(base64.b64encode(body).decode(), encoded=True) == 202
    assert answered(body.decode(), encoded=False) == 202
    assert answered(base64.b64encode(body + b" ").decode(), encoded=True) == 401


def http_event(method, path, body=None, *, headers=JSON, encoded=False, query=""):
    """What an HTTP API hands to the function, in payload format 2.0."""
    about = {"http": {"method": method, "path": path, "sourceIp": "203.0.113.9"}, "stage": "$default"}
    event = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "requestContext": about,
    }
    event |= {"headers": {name.lower(): value for name, value in headers.items()}, "isBase64Encoded": encoded}
    return event if body is None else {**event, "body": body}


@pytest.mark.parametrize("source", PROOFS)
def test_signatures_hold_over_what_an_http_api_encoded(aws, monkeypatch, source):
    """Given a signed webhook through an HTTP API, as text, in base64 or packed → 202, and of other bytes 401."""
    name, header, algorithm, prefix = PROOFS[source]
    monkeypatch.setenv(name, "s1")
    body = '{"a":"é → 🔥","b":"\\u00e9"}'.encode()
    headers = {"Content-Type": "application/json", header: prefix + hmac.new(b"s1", body, algorithm).hexdigest()}

    def answered(data, *, encoded=True, **more):
        text = base64.b64encode(data).decode() if encoded else data.decode()
        event = http_event("POST", f"/webhooks/{source}", text, headers={**headers, **more}, encoded=encoded)
        return app.app(event, CONTEXT)["statusCode"]

    assert answered(body) == 202
    assert answered(body, encoded=False) == 202
    assert answered(gzip.compress(body), **{"Content-Encoding": "gzip"}) == 202
    assert answered(body + b" ") == 401
    assert answered(gzip.compress(body + b" "), **{"Content-Encoding": "gzip"}) == 401
    stored = [read_message(each[1]["MessageBody"]) for each in aws.calls if each[0] == "SendMessage"]
    assert [each.body for each in stored if isinstance(each, Webhook)] == [body] * 3


@pytest.mark.parametrize(("path", "body", "headers", "status"), [row[1:] for row in ANSWERS[:-2]])
def test_an_http_api_answers_as_a_rest_api(aws, path, body, headers, status):
    """Given a request through an HTTP API → the status that it has through a REST API, in a form that HTTP APIs know."""
    answer = app.app(http_event("POST", path, body.decode(), headers=headers), CONTEXT)
    assert answer["statusCode"] == status
    assert "multiValueHeaders" not in answer
    assert answer["headers"]["Content-Type"] == "application/json"


DECLARED = """
alerts: []
sources: [{name: monitor, auth: bearer, id: id, allow: [203.0.113.0/24]}, {name: elsewhere, auth: bearer, id: id, allow: 192.0.2.1}]
"""
FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(("source", "status"), [("monitor", 202), ("elsewhere", 401)])
def test_a_declared_sender_posts_a_form_from_an_address_that_may(aws, monkeypatch, tmp_path, source, status):
    """Given a packed form through an HTTP API → taken from an address of `allow:`, and 401 from another one."""
    compiled = tmp_path / "compiled-rules.json"
    compiled.write_text(compile_rules(DECLARED))
    monkeypatch.setattr(ingest, "find_source", partial(ingest.find_source, compiled=str(compiled)))
    declared.cache_clear()
    for name in ("MONITOR_SECRET", "ELSEWHERE_SECRET"):
        monkeypatch.setenv(name, "s1")
    headers = {"Content-Type": FORM, "Authorization": "Bearer s1", "Content-Encoding": "gzip"}
    body = base64.b64encode(gzip.compress(b"id=7&title=Disk+full&status=down")).decode()
    answer = app.app(http_event("POST", f"/webhooks/{source}", body, headers=headers, encoded=True), CONTEXT)
    declared.cache_clear()
    assert answer["statusCode"] == status
    stored = [read_message(each[1]["MessageBody"]) for each in aws.calls if each[0] == "SendMessage"]
    bodies = [each.body for each in stored if isinstance(each, Webhook)]
    assert bodies == ([b"id=7&title=Disk+full&status=down"] if status == 202 else [])


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("monitor/s1", "id=7&title=Disk+full&status=down&x=%26%C3%BC", 202),
        ("monitor/s1", "", 405),
        ("monitor/guess", "id=7", 401),
        ("monitor", "id=7", 401),
        ("elsewhere/s1", "id=7", 401),
        ("cloudflare/s1", "id=7", 415),
        ("nobody/s1", "id=7", 404),
    ],
)
def test_a_declared_sender_may_put_its_fields_into_the_query_of_a_get(aws, monkeypatch, tmp_path, path, query, status):
    """Given a GET → its query is a form, taken where the entry's secret and addresses fit; without a query 405."""
    compiled = tmp_path / "compiled-rules.json"
    compiled.write_text(compile_rules(DECLARED.replace("bearer", "path")))
    monkeypatch.setattr(ingest, "find_source", partial(ingest.find_source, compiled=str(compiled)))
    declared.cache_clear()
    for name in ("MONITOR_SECRET", "ELSEWHERE_SECRET"):
        monkeypatch.setenv(name, "s1")
    answer = app.app(http_event("GET", f"/webhooks/{path}", query=query), CONTEXT)
    declared.cache_clear()
    assert answer["statusCode"] == status
    stored = [read_message(each[1]["MessageBody"]) for each in aws.calls if each[0] == "SendMessage"]
    webhooks = [each for each in stored if isinstance(each, Webhook)]
    assert len(webhooks) == (status == 202)
    for each in webhooks:
        parse, entry = plugins.load("sources", "generic").parse, {"name": "monitor", "id": "id"}
        (event,) = parse(each.headers, each.body, received_at=datetime.now(UTC), mapping=entry)
        assert (event.title, event.status.value) == ("Disk full", "firing")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/health", 200),
        ("GET", "/health/", 200),
        ("POST", "/health", 405),
        ("GET", "/webhooks/sentry", 405),
        ("GET", "/nothing", 404),
        ("POST", "/", 405),
        ("GET", "/incident", 404),
        ("GET", "/api/incidents/1/ack/more", 404),
    ],
)
def test_an_http_api_knows_its_paths(monkeypatch, method, path, status):
    """Given a path and a method → 404 for a path that is none, 405 for another method of one."""
    monkeypatch.setenv("TOCSIN_STAGE", "dev")
    answer = app.app(http_event(method, path), CONTEXT)
    assert answer["statusCode"] == status
    assert json.loads(answer["body"])


def test_the_api_sees_query_and_sender_through_an_http_api(aws, monkeypatch):
    """Given a request of a person through an HTTP API → its repeated query, the token and the address are as they were."""
    seen = []

    def answer(find, what, names, **how):
        seen.append((names, app.app.current_request))
        return routes.Reply({})

    monkeypatch.setattr(app, "_api", answer)
    event = http_event(
        "GET", "/api/incidents/a%2Fb", headers={"Authorization": "Bearer x"}, query="match=a%3Db&match=c"
    )
    assert app.app({**event, "cookies": ["a=1", "b=2"]}, CONTEXT)["statusCode"] == 200
    ((names, request),) = seen
    assert names == {"id": "a/b"}
    assert request.query_params.getlist("match") == ["a=b", "c"]
    assert (request.headers["authorization"], request.headers["cookie"]) == ("Bearer x", "a=1; b=2")
    assert request.context["identity"] == {"sourceIp": "203.0.113.9"}


def test_no_body_at_all_is_a_bad_request(aws):
    """The gateway says null for an empty body."""
    assert app.app(gateway_event(None), CONTEXT)["statusCode"] == 400


@pytest.mark.parametrize("reply", [(500, {}), (400, {"__type": "com.amazonaws.sqs#QueueDoesNotExist"}), None])
def test_a_queue_that_refuses_is_a_503(aws, reply):
    """What is not stored is not accepted, and the sender is asked to come again."""
    aws.replies["SendMessage"] = reply
    response = posted("/webhooks/cloudflare", b'{"a":1}')
    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) > 0


def test_a_missing_configuration_is_a_503(aws, monkeypatch, capsys):
    """Our own mistake is told in our log, not to the sender, who is to try again."""
    monkeypatch.delenv("TOCSIN_STAGE")
    assert posted("/webhooks/cloudflare", b'{"a":1}').status_code == 503
    assert "TOCSIN_STAGE" in capsys.readouterr().out


def test_one_line_is_logged_for_each_webhook(aws, capsys):
    """The line says source, status and reason, and holds nothing of body or headers."""
    posted("/webhooks/cloudflare", b'{"a":"private"}', {**JSON, "cf-webhook-auth": "guessed-secret"})
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["status"] == 401
    assert "private" not in line
    assert "guessed" not in line


def test_health(monkeypatch):
    """Answers without touching AWS."""
    monkeypatch.setenv("TOCSIN_STAGE", "dev")
    with Client(app.app) as client:
        assert client.http.get("/health").json_body == {"status": "ok", "stage": "dev"}


COLD = """
import json, sys
event = json.loads(sys.argv[1])
from app import app
class Context:
    invoked_function_arn = "arn:aws:lambda:eu-west-1:123456789012:function:x"
answer = app(event, Context())
print(json.dumps({"status": answer["statusCode"], "modules": sorted(sys.modules)}), file=sys.stderr)
"""


COLD_MODULES = [
    "app",
    "chalice",
    "chalice.app",
    "chalicelib",
    "chalicelib.aws",
    "chalicelib.aws.body_store",
    "chalicelib.aws.http1",
    "chalicelib.aws.json_client",
    "chalicelib.aws.queue",
    "chalicelib.aws.secrets",
    "chalicelib.aws.signer",
    "chalicelib.core",
    "chalicelib.core.errors",
    "chalicelib.core.payload",
    "chalicelib.core.payload.signing",
    "chalicelib.ingest",
    "chalicelib.ingest.counters",
    "chalicelib.ingest.http_api",
    "chalicelib.ingest.json_depth",
    "chalicelib.ingest.receive",
    "chalicelib.ingest.registry",
    "chalicelib.ingest.wiring",
    "chalicelib.log",
    "chalicelib.messages",
    "chalicelib.messages.webhook",
    "chalicelib.plugins",
    "chalicelib.settings",
    "chalicelib.sources",
    "chalicelib.sources.cloudflare",
]
"""All that a cold start loads before a webhook is stored, beside the standard library: a sender waits for each of them."""


def test_the_ingest_path_loads_nothing_heavy(aws):
    """A fresh process that reads its secret and stores a webhook has loaded the list above and the standard library."""
    secret = plugins.load("sources", "cloudflare").SECRETS[0]
    aws.replies["GetParameters"] = (200, {"Parameters": [{"Name": f"/tocsin/dev/{secret}", "Value": SECRET}]})
    variables = {name: value for name, value in environment(aws.url).items() if name != secret}
    done = subprocess.run(
        [sys.executable, "-c", COLD, json.dumps(gateway_event('{"text":"x","alert_type":"y"}'))],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stderr.splitlines()[-1])
    assert told["status"] == 202
    assert aws.actions == ["GetParameters", "SendMessage"]
    loaded = {module.partition(".")[0] for module in told["modules"]}
    assert loaded.isdisjoint(HEAVY)
    foreign = loaded - set(sys.stdlib_module_names) - {"__main__", "app", "chalice", "chalicelib"}
    assert {name for name in foreign if not name.startswith(("_", "sitecustomize", "usercustomize"))} == set()
    ours = {module for module in told["modules"] if module.partition(".")[0] in ("app", "chalice", "chalicelib")}
    assert ours == set(COLD_MODULES)


# ---------------------------------------------------------------------------------------------------------------------
# Workers


@dataclass
class FakePorts:
    """The ports of a worker, in memory."""

    store: MemoryStore = field(default_factory=MemoryStore)
    webhooks: MemoryQueue = field(default_factory=MemoryQueue)
    notifications: MemoryQueue = field(default_factory=MemoryQueue)
    counts: MemoryQueue = field(default_factory=MemoryQueue)
    webhooks_dead: MemoryQueue = field(default_factory=MemoryQueue)
    notifications_dead: MemoryQueue = field(default_factory=MemoryQueue)
    counts_dead: MemoryQueue = field(default_factory=MemoryQueue)
    history: MemoryQueue = field(default_factory=MemoryQueue)
    history_dead: MemoryQueue = field(default_factory=MemoryQueue)
    clients: object = None

    @property
    def queues(self):
        """The queues."""
        return Queues(self.webhooks, self.notifications, self.counts)

    @property
    def emptied(self):
        """Those that Lambda empties."""
        return {"webhooks": self.webhooks, "counts": self.counts, "notifications": self.notifications}

    @property
    def dead(self):
        """Their dead letters."""
        return {"webhooks": self.webhooks_dead}


@pytest.fixture
def ports(monkeypatch):
    """Workers with everything in memory and empty rules."""
    run_marks.cache_clear()
    found = FakePorts()
    monkeypatch.setattr(wiring, "ports", lambda account, needs=None: found)
    monkeypatch.setattr(wiring, "rules", Rules)
    return found


def batch(*bodies):
    """A Lambda event of SQS messages with ids of their own."""
    return {
        "Records": [
            {
                "messageId": f"m{n}",
                "receiptHandle": f"r{n}",
                "body": body,
                "attributes": {"ApproximateReceiveCount": "1"},
            }
            for n, body in enumerate(bodies)
        ]
    }


def notification():
    """One that no saved incident has committed to, decided just now."""
    now = datetime.now(UTC)
    return Notification(
        id="n1", incident=IncidentSnapshot("i1", "k", now, 1), seq=1, target=Target("email", "ops@example.com"),
        reason=Reason.OPENED, status="firing", severity=Severity.WARNING, title="t", at=now, alerts=(),
    )  # fmt: skip


def test_an_unreadable_message_is_parked_and_harms_no_other(ports):
    """The batch ends well: one is in the dead-letter queue with its reason, the other done."""
    assert app.process_webhooks(batch("garbage", wake_message("nobody")), CONTEXT) is None
    ((body, reason),) = ports.webhooks_dead.dead_lettered
    assert body == "garbage"
    assert "JSON" in reason
    assert ports.webhooks.deleted == []


def test_a_large_body_goes_when_its_webhook_is_processed_and_stays_when_it_is_dead_lettered(ports):
    """The stored body of what is done is dropped after the batch; that of a dead letter waits for redrive."""
    for name, body in (("good", b'{"text": "x", "data": {}}'), ("bad", b"[]")):
        ports.store.keep_body(name, compressed(body))
    messages = [written(Webhook(n, "cloudflare", b"", datetime.now(UTC), body_ref=n), b"") for n in ("good", "bad")]
    assert app.process_webhooks(batch(*messages), CONTEXT) is None
    assert [body for body, _ in ports.webhooks_dead.dead_lettered] == [messages[1]]
    with pytest.raises(ProcessedError):
        ports.store.get_body("good")
    assert ports.store.get_body("bad") == b"[]"


def test_an_unreadable_count_is_parked(ports):
    """The queue of events that only count loses nothing either."""
    assert app.process_counts(batch("garbage", wake_message("nobody")), CONTEXT) is None
    assert [body for body, _ in ports.counts_dead.dead_lettered] == ["garbage"]


def test_an_unreadable_notification_is_parked(ports):
    """Nothing is lost and nothing comes back for ever."""
    assert app.deliver_notification(batch("garbage"), CONTEXT) is None
    assert [body for body, _ in ports.notifications_dead.dead_lettered] == ["garbage"]


def test_a_notification_that_is_not_due_yet_comes_back(ports, capsys):
    """It is put again with a delay, and the worker ends well: to wait is no error, and needs no flag of the mapping."""
    body = notification_message(notification())
    assert app.deliver_notification(batch(body), CONTEXT) is None
    assert (ports.notifications.bodies, ports.notifications.delays) == ([body], [timedelta(seconds=2)])
    assert ports.notifications_dead.dead_lettered == []
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["again_in_seconds"] == 2


def test_a_notification_that_cannot_be_put_again_stays_where_it_is(ports):
    """The worker fails, so that Lambda does not delete it."""
    ports.notifications.fail_at = {1}
    with pytest.raises(app.HandlerError):
        app.deliver_notification(batch(notification_message(notification())), CONTEXT)


BOUNCE = json.dumps({
    "eventType": "Bounce", "mail": {"messageId": "m1"},
    "bounce": {"bounceType": "Permanent", "bouncedRecipients": [{"emailAddress": "ops@example.com"}], "feedbackId": "f"},
})  # fmt: skip


def published(message):
    """A Lambda event of SNS."""
    sns = {"Message": message, "Subject": "Amazon SES Email Event", "MessageAttributes": {}}
    return {"Records": [{"Sns": sns}]}


@pytest.fixture
def queued(ports, monkeypatch):
    """The notifications queue, as the function that only queues knows it."""
    monkeypatch.setattr(wiring, "notifications", lambda account: ports.notifications)
    return ports.notifications


def test_a_bounce_is_queued_and_marks_the_address(ports, queued):
    """The function of the topic touches neither table nor secrets; the worker of the queue marks the address."""
    ports.store = None
    assert app.mail_feedback(published(BOUNCE), CONTEXT) is None
    ports.store = MemoryStore()
    assert app.deliver_notification(batch(*queued.bodies), CONTEXT) is None
    assert "bounced" in ports.store.target_state("email:ops@example.com").health.refusal
    assert ports.notifications_dead.dead_lettered == []


class StoreAway(MemoryStore):
    """A table that takes no lane."""

    def save_target_state(self, target_state):
        """Refuse."""
        raise NotStoredError("the table is away")


def test_a_bounce_that_cannot_be_stored_stays_on_the_queue(ports, queued):
    """The worker fails, so that Lambda does not delete the message; once the table is back the address is marked."""
    app.mail_feedback(published(BOUNCE), CONTEXT)
    ports.store = StoreAway()
    for _ in range(4):
        with pytest.raises(app.HandlerError):
            app.deliver_notification(batch(*queued.bodies), CONTEXT)
    assert ports.notifications.deleted == []
    ports.store = MemoryStore()
    app.deliver_notification(batch(*queued.bodies), CONTEXT)
    assert ports.store.target_state("email:ops@example.com").health.refusal


def test_a_bounce_that_cannot_be_queued_fails_for_lambda_to_try_again(ports, queued):
    """The error names no address."""
    queued.fail_at = {1}
    with pytest.raises(app.HandlerError, match="queue is away") as raised:
        app.mail_feedback(published(BOUNCE), CONTEXT)
    assert "ops@example.com" not in str(raised.value)


def test_the_first_message_of_a_topic_is_only_noted(ports, queued, capsys):
    """SES announces itself in plain words: that is no dead letter."""
    app.mail_feedback(published("Successfully validated SNS topic for Amazon SES event publishing."), CONTEXT)
    app.deliver_notification(batch(*queued.bodies), CONTEXT)
    assert ports.notifications_dead.dead_lettered == []
    assert "expected is one of SES's events" in capsys.readouterr().out


class BrokenStore(MemoryStore):
    """Fails with an error that quotes a payload."""

    def context(self):
        """Break."""
        raise KeyError("ana@example.com")


@pytest.mark.parametrize("handler", ["process_webhooks", "tick"])
def test_a_failing_worker_tells_kind_and_place_only(ports, handler, capsys):
    """One line and one error, neither with the text of an error that may quote a payload."""
    ports.store = BrokenStore()
    with pytest.raises(app.HandlerError) as raised:
        getattr(app, handler)(batch(wake_message("k")) if handler == "process_webhooks" else schedule(), CONTEXT)
    told = capsys.readouterr().out + str(raised.value)
    assert "KeyError" in told
    assert "ana@" not in told
    assert "ana@" not in "".join(traceback.format_exception(raised.value))


def schedule():
    """What EventBridge sends every minute."""
    keys = ("version", "account", "region", "detail-type", "source", "time", "id")
    return {**dict.fromkeys(keys, "x"), "resources": [], "detail": {}}


def test_what_happened_is_recorded(desk):
    """A batch leaves what it brought on the history queue; `record` moves it to where the API reads it."""
    desk.history.bodies.clear()
    app.process_webhooks(batch(unsilence_message("s1", "ana", datetime(2026, 11, 26, tzinfo=UTC))), CONTEXT)
    assert len(desk.history.bodies) == 1
    app.record(schedule(), CONTEXT)
    assert desk.history.deleted == ["r0"]
    answer = asked("get", f"/api/history?day={datetime.now(UTC):%Y-%m-%d}")
    assert [line["unsilence"] for line in answer.json_body["lines"]] == [{"id": "s1", "by": "ana"}]


def test_the_minute_runs(ports):
    """Timers and probes run with nothing to do."""
    assert app.tick(schedule(), CONTEXT) is None
    assert app.watch(schedule(), CONTEXT) is None


def test_a_share_of_the_probes_is_answered_and_nothing_is_stored(ports):
    """Given a run that asks for a share of its probes → the answer, no write, and no mark of a run that ended well."""
    writes = ports.store.writes
    share = codec.encode(Share(datetime(2026, 11, 26, tzinfo=UTC), ("probe:uptime:gone",)))
    answer = app.watch({**schedule(), "detail": share}, CONTEXT)
    assert codec.unpack(ShareAnswer, base64.b64decode(answer)) == ShareAnswer({})
    assert (ports.store.writes, ports.webhooks.bodies) == (writes, [])


def test_the_tick_logs_how_late_the_stage_is(ports, capsys, monkeypatch):
    """Given nothing late → one line with all metrics at zero, of the stage, in the form that CloudWatch reads."""
    monkeypatch.setenv("TOCSIN_STAGE", "dev")
    app.tick(schedule(), CONTEXT)
    line = json.loads(capsys.readouterr().out)
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    names = [each["Name"] for each in directive["Metrics"]]
    assert (directive["Namespace"], directive["Dimensions"], line["Stage"]) == ("Tocsin", [["Stage"]], "dev")
    late = ["OldestUndeliveredSeconds", "OldestOverdueTimerSeconds", "LateRunSeconds", "WaitingSeconds"]
    assert names == [*late, "DeadLetters"]
    assert [line[name] for name in names] == [0.0] * 5
    assert {each["Name"] for each in directive["Metrics"] if each["Unit"] == "Seconds"} == set(late)
    assert abs(line["_aws"]["Timestamp"] / 1_000 - datetime.now(UTC).timestamp()) < 600
    assert line["stage"] == "tick"


def test_the_tick_names_what_is_late_and_dead(ports, capsys):
    """Given a watch that has not run for long, and a dead letter → the line of the tick has both by name."""
    ports.store.put_mark("run:watch", (datetime.now(UTC) - timedelta(minutes=10)).isoformat())
    ports.webhooks_dead.put(["x"])
    app.tick(schedule(), CONTEXT)
    line = json.loads(capsys.readouterr().out)
    assert line["dead"] == {"webhooks": 1.0}
    assert list(line["late"]) == ["watch"]
    assert 530 < line["LateRunSeconds"] == line["late"]["watch"] < 600


def test_runs_that_end_well_are_marked(ports):
    """Given a run of each function → those that ended well have a mark, and one that failed has none."""
    ports.clients = SimpleNamespace(secret=lambda name: None, setting=lambda name, default="": default)
    for function in (app.watch, app.record, app.repair):
        function(schedule(), CONTEXT)
    ports.notifications.fail_at = {1, 2}
    for _ in range(2):
        app.process_webhooks(batch(wake_message("nobody")), CONTEXT)
        app.process_counts(batch("garbage"), CONTEXT)
        with pytest.raises(app.HandlerError):
            app.deliver_notification(batch(notification_message(notification())), CONTEXT)
    functions = ("watch", "record", "repair", "process_webhooks", "process_counts", "deliver_notification")
    marks = ports.store.marks([f"run:{each}" for each in functions])
    assert list(marks) == [f"run:{each}" for each in functions[:-1]]


def test_histories_are_looked_up(ports, capsys):
    """Every five minutes; without tokens nobody is asked, and one line says so."""
    cloudwatch = SimpleNamespace(describe_alarms=lambda **asked: {})
    ports.clients = SimpleNamespace(
        secret=lambda name: None, setting=lambda name, default="": default, aws={"cloudwatch": cloudwatch}.__getitem__
    )
    assert app.repair(schedule(), CONTEXT) is None
    assert json.loads(capsys.readouterr().out) == {"stage": "repair", "missed": {"cloudwatch": [0, 0]}, "troubles": []}


def test_queues_and_table_are_those_of_the_stage(aws):
    """The names follow from the stage; an account of None makes the queue look itself up."""
    wiring.ports.cache_clear()
    found = wiring.ports("123456789012")
    assert [found.webhooks.name, found.notifications.name] == ["tocsin-dev-webhooks", "tocsin-dev-notifications"]
    assert found.webhooks_dead.name == "tocsin-dev-webhooks-dead"
    assert found.notifications_dead.name == "tocsin-dev-notifications-dead"
    assert found.store._pause is sleep
    assert wiring.notifications("123456789012").name == "tocsin-dev-notifications"
    wiring.ports.cache_clear()
    wiring.notifications.cache_clear()


@pytest.mark.parametrize(
    ("arn", "account"),
    [("arn:aws:lambda:eu-west-1:123456789012:function:x", "123456789012"), ("", None), ("arn:aws:lambda:x::y", None)],
)
def test_the_account_is_read_from_the_function(arn, account):
    """Without a usable name of the function the queue's address is asked for."""
    assert app._account(SimpleNamespace(invoked_function_arn=arn)) == account
    assert app._account(None) is None


def test_settings_name_all_that_is_missing():
    """One error tells every variable, so that one deploy mends them."""
    with pytest.raises(settings.SettingsError, match="TOCSIN_STAGE and AWS_REGION"):
        settings.Settings.from_env({})
    found = settings.Settings.from_env({"TOCSIN_STAGE": "prod", "AWS_DEFAULT_REGION": "x", "TOCSIN_TABLE": "t"})
    assert (found.table, found.parameters, found.webhooks_queue) == ("t", "/tocsin/prod/", "tocsin-prod-webhooks")
    assert settings.queue_prefix({"TOCSIN_STAGE": "prod"}) == "tocsin-prod"
    assert settings.queue_prefix({"TOCSIN_QUEUE_PREFIX": "own", "TOCSIN_STAGE": "prod"}) == "own"


# ---------------------------------------------------------------------------------------------------------------------
# The API

TOKEN = "a-token-of-some-length"


def asked(method, path, *, body=b"", token=TOKEN, headers=None):
    """What the API answers."""
    given = {"Authorization": f"Bearer {token}", **(headers or {})} if token else headers or {}
    with Client(app.app, stage_name="of-a-test") as client:
        return getattr(client.http, method)(path, headers=given, body=body)


@pytest.fixture
def desk(aws, ports, monkeypatch):
    """An API with a token, over workers in memory with one open incident."""
    monkeypatch.setenv("API_TOKEN", TOKEN)
    monkeypatch.setattr(access, "WRONG_TOKENS", access.WrongTokens())
    ports.store.save(an_open_incident())
    return ports


def an_open_incident():
    """One that fires since a minute."""
    now = datetime.now(UTC)
    alert = Alert("f", name="Boom", state=AlertState.FIRING, starts_at=now)
    return Incident(key="k", id="abcdef01", version=1, episode=Episode(started_at=now), alerts={"f": alert})


READS = [
    "/api/incidents",
    "/api/history?day=2026-11-26",
    "/api/incidents/abcd",
    "/api/alerts",
    "/api/silences",
    "/api/who?service=api",
]


@pytest.mark.parametrize("path", READS)
def test_the_api_answers_who_has_a_token(desk, path):
    """Each path answers JSON that nobody keeps; without a token, or with another, nothing but what is missing."""
    answer = asked("get", path)
    assert answer.status_code == 200, answer.body
    assert answer.headers["Cache-Control"] == "no-store"
    for token in ("", "another-token-of-length"):
        refused = asked("get", path, token=token)
        assert refused.status_code == 401
        assert set(refused.json_body) == PROBLEM


def test_an_address_that_guesses_is_told_to_wait(desk):
    """Given many wrong tokens of one address, when the right one follows → 429 with Retry-After, and nothing is read."""
    for number in range(access.MAX_WRONG):
        assert asked("get", "/api/incidents", token=f"guess-number-{number:04}").status_code == 401
    refused = asked("get", "/api/incidents")
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "60")
    assert set(refused.json_body) == PROBLEM


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("post", "/api/incidents/abcd/ack"),
        ("post", "/api/silences"),
        ("put", "/api/silences/none"),
        ("delete", "/api/silences/none"),
    ],
)
def test_the_token_of_the_page_changes_nothing(desk, monkeypatch, method, path):
    """Given a value of PAGE_TOKEN → it reads; what changes something is refused with 403 and nothing is stored."""
    monkeypatch.setenv("PAGE_TOKEN", "the-token-of-the-page")
    assert asked("get", "/api/incidents", token="the-token-of-the-page").status_code == 200
    answer = asked(method, path, body=b'{"by": "ana"}', token="the-token-of-the-page")
    assert (answer.status_code, desk.webhooks.bodies) == (403, [])
    assert "only reads" in answer.json_body["error"]


def test_an_act_is_stored_before_the_answer(desk):
    """202 comes after the queue has it; the same key is the same act."""
    body = b'{"by": "ana"}'
    answer = asked("post", "/api/incidents/abcd/ack", body=body, headers={"Idempotency-Key": "k1"})
    assert (answer.status_code, answer.json_body["incident"]) == (202, "abcdef01")
    (message,) = desk.webhooks.bodies
    action = read_message(message)
    assert (action.kind, action.by, action.incident) == (ActionKind.ACK, "ana", "abcdef01")
    desk.webhooks.bodies.clear()
    asked("post", "/api/incidents/abcd/ack", body=body, headers={"Idempotency-Key": "k1"})
    assert read_message(desk.webhooks.bodies[0]).id == action.id


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("post", "/api/incidents/abcd/note", b"{}", 400),
        ("post", "/api/incidents/ffff/ack", b'{"by": "ana"}', 404),
        ("post", "/api/silences", b'{"by": "ana", "for": "1h", "matchers": ["service=api"]}', 202),
        ("put", "/api/silences/none", b"{}", 404),
        ("delete", "/api/silences/none?by=ana", b"", 404),
    ],
)
def test_acts_are_answered_with_their_status(desk, method, path, body, status):
    """What cannot be done says so, and only what is accepted is put."""
    answer = asked(method, path, body=body)
    assert answer.status_code == status, answer.body
    assert len(desk.webhooks.bodies) == (1 if status == 202 else 0)


def test_an_api_that_fails_is_a_503(desk, capsys):
    """Our own trouble says nothing of itself to the asker, and kind and place to the log."""
    desk.store = BrokenStore()
    answer = asked("get", "/api/silences")
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    told = capsys.readouterr().out + str(answer.json_body)
    assert "KeyError" in told
    assert "ana@" not in told
