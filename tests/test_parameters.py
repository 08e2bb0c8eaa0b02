"""What a fresh environment of each function asks SSM for: few calls, and only names that its policy allows."""

import asyncio
import socket
from contextlib import suppress
from fnmatch import fnmatchcase
from math import ceil
from time import monotonic

import pytest
from chalice.test import Client

import app
from chalicelib import plugins, wiring
from chalicelib.api.access import TOKENS
from chalicelib.aws.secrets import MAX_NAMES
from chalicelib.core.delivery.target_kind import address_of
from chalicelib.core.errors import NotStoredError, TocsinError
from chalicelib.core.routing import all_targets
from chalicelib.ingest import wiring as ingest
from chalicelib.parameters import DELIVERY_SETTINGS, of_deliveries, of_workers
from chalicelib.probes import Names
from chalicelib.schedule.probing import Job, once
from chalicelib.targets import kinds
from deploy.policies import policy
from simulation.simulator import FakeClients, TargetAnswer
from tests.loopback import served
from tests.rule_files import rules_of
from tests.targets.samples import NOTIFICATION, NOW
from tests.test_app import CONTEXT, batch, gateway_event, schedule

RULES = """
default: {notification: [{slack_channel: "#ops"}, {pagerduty: true}, {email: ops@example.com}, {webhook: billing}]}
probes:
  uptime: [{name: api, url: "https://example.com", headers: {Authorization: "Bearer $HEALTH_TOKEN"}}]
  database: [{name: main, dsn: DATABASE_URL}]
  supabase: [{name: main, project: abcdefghijkl}]
  heartbeat: [{name: nightly, every: 1d}]
  journey: [{name: sign-in, base: "https://example.com", steps: [{name: a, post: /, json: {password: $JOURNEY}}]}]
alerts: []
"""


class Recording(FakeClients):
    """Clients that remember which names were read."""

    def __init__(self):
        super().__init__()
        self.read = set()

    def secret(self, name):
        """Remember the name."""
        self.read.add(name)
        return super().secret(name)

    def setting(self, name, default=""):
        """Remember the name."""
        self.read.add(name)
        return super().setting(name, default)


@pytest.mark.parametrize("kind", plugins.names("targets"))
def test_a_target_declares_what_a_send_reads(kind):
    """Given a kind's example, then all that its `send` asks for is among the parameters that it declares."""
    address = address_of(kinds()[kind].example)
    clients = Recording()
    clients.begin(TargetAnswer(), kind)
    send = plugins.load_target(kind).send
    with suppress(TocsinError):  # what answers is not of interest
        send(NOTIFICATION, address, clients, receipt={}, in_doubt=False, now=NOW)
    assert clients.read
    undeclared = sorted(clients.read - set(kinds()[kind].parameters(address)))
    assert not undeclared, f"targets/{kind}.py: `parameters` of DECLARED returns no {', '.join(undeclared)}: add it"


def test_a_webhook_that_is_named_declares_its_address_and_its_secret():
    """A name leads to two parameters of its own."""
    assert kinds()["webhook"].parameters("billing")[:2] == ("WEBHOOK_BILLING_URL", "WEBHOOK_BILLING_SECRET")


PROBES = {
    "uptime": {"headers": {"Authorization": "Bearer $HEALTH_TOKEN", "X-Other": "$A-$B"}},
    "journey": {"steps": [{"name": "a", "post": "/", "json": {"user": "{run}", "password": "$JOURNEY"}}]},
    "database": {"ca": "DATABASE_CA"},
    "redis": {"ca": "REDIS_CA"},
    "tcp": {"tls": True, "ca": "TCP_CA"},
    "dns": {"server": "127.0.0.1"},
}
"""Fields to add to a kind's SAMPLE, so that its entry names every secret that the kind can read."""
WITHOUT_SECRETS = ("dns",)
"""Kinds that read no secret and no setting."""


def nowhere(host, port):
    """A resolver that knows no name, so that no probe leaves this machine."""
    raise socket.gaierror(socket.EAI_NONAME, "unknown")


@pytest.mark.parametrize("kind", plugins.names("probes"))
def test_a_probe_declares_what_a_check_reads(kind):
    """Given an entry with secrets, then all that its `check` asks for is among the parameters that it declares."""
    probe, clients = plugins.load_probe(kind), Recording()
    params = {**probe.SAMPLE, **PROBES.get(kind, {})}
    asyncio.run(once(Job(kind, params, plugins.load_probe, clients, NOW, Names(nowhere))))
    declared = getattr(probe, "parameters", lambda params: ())(params)
    undeclared = sorted(clients.read - set(declared))
    assert not undeclared, f"probes/{kind}.py: `parameters` returns no {', '.join(undeclared)}: add it"
    assert declared or kind in WITHOUT_SECRETS, (
        f"{kind}: add fields that name secrets to PROBES in this file, or the kind to WITHOUT_SECRETS where it reads none"
    )


def test_secrets_within_the_texts_of_probes_are_found():
    """Every `$NAME` in a header or a step is one."""
    assert plugins.load_probe("uptime").parameters(PROBES["uptime"]) == ("HEALTH_TOKEN", "A", "B")
    assert plugins.load_probe("journey").parameters(PROBES["journey"]) == ("JOURNEY",)


@pytest.mark.parametrize("source", plugins.names("histories"))
def test_a_history_declares_what_its_endpoints_read(source):
    """All that the reader of an endpoint asks for is among PARAMETERS."""
    history = plugins.load_history(source)
    for endpoint in history.ENDPOINTS:
        clients = Recording()
        clients.begin(TargetAnswer(503), "webhook")
        with suppress(TocsinError, AttributeError):  # this fake of AWS has no alarms
            endpoint.read(clients, since=NOW, until=NOW, active=("1",))
        assert clients.read <= set(history.PARAMETERS)
        assert clients.read or source == "cloudwatch"  # its role may look


# ---------------------------------------------------------------------------------------------------------------------
# Fresh environments


@pytest.fixture
def aws(monkeypatch):
    """A stage whose every call is answered by a server on loopback; nothing of it is in the environment."""
    with served() as server:
        variables = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "eu-west-1"}
        for name, value in {**variables, "AWS_ENDPOINT_URL": server.url, "TOCSIN_STAGE": "dev"}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(wiring, "rules", lambda: RULED)
        wiring.ports.cache_clear()
        ingest.ports.cache_clear()
        yield server
        wiring.ports.cache_clear()
        ingest.ports.cache_clear()


RULED = rules_of(RULES)
EVENTS = {name: batch("garbage") for name in ("process_webhooks", "process_counts", "deliver_notification")}
EVENTS |= {name: schedule() for name in ("tick", "record", "repair", "watch")}


def asked(server):
    """The names of each call of SSM."""
    return [arguments["Names"] for action, arguments, *_ in server.calls if action == "GetParameters"]


def needs_of(name, monkeypatch):
    """What a handler says that it needs; the handler ends there."""
    found = []

    def stopped(account, needs=of_workers):
        found.append(needs)
        raise NotStoredError("the test ends here")

    with monkeypatch.context() as patch:
        patch.setattr(wiring, "ports", stopped)
        with pytest.raises(app.HandlerError):
            getattr(app, name)(EVENTS[name], CONTEXT)
    return found[0]


@pytest.mark.parametrize("name", EVENTS)
def test_a_fresh_environment_reads_all_that_it_may_need_in_few_calls(aws, monkeypatch, name):
    """Given all names that a function may need, then ten are read by a call, and none that its policy forbids."""
    needs = needs_of(name, monkeypatch)
    ports, names = wiring.ports("123456789012", needs), needs(RULED)
    assert len(asked(aws)) == 1
    for parameter in names:
        ports.clients.secret(parameter)
    assert len(asked(aws)) == ceil(len(names) / MAX_NAMES)
    (allowed,) = [each["Resource"] for each in policy(name, "dev")["Statement"] if each["Sid"] == "Secrets"]
    patterns = [resource.partition(":parameter")[2] for resource in allowed]
    assert all(any(fnmatchcase(path, pattern) for pattern in patterns) for names in asked(aws) for path in names)


@pytest.mark.parametrize("kind", plugins.names("targets"))
def test_a_first_delivery_costs_two_calls_at_most(aws, monkeypatch, kind):
    """Given a fresh environment and rules with targets of four kinds, then what a delivery to one reads is two calls."""
    ruled = RULED if f"{kind}: " in RULES else rules_of(RULES.replace("webhook: billing", f"{kind}: ops"))
    monkeypatch.setattr(wiring, "rules", lambda: ruled)
    ports = wiring.ports("123456789012", of_deliveries)
    address = next(target.address for target in all_targets(ruled) if target.kind == kind)
    for name in (*DELIVERY_SETTINGS, *kinds()[kind].parameters(address)[:3]):
        ports.clients.setting(name)
    assert len(asked(aws)) <= 2
    assert kind != "slack_channel" or len(asked(aws)) == 1


def test_a_request_to_the_api_costs_two_calls(aws):
    """The tokens, and what is masked in what it stores."""
    values = [{"Name": "/tocsin/dev/API_TOKEN", "Value": "a-token-of-twenty-chars"}]
    aws.replies["GetParameters"] = (200, {"Parameters": values})
    aws.replies["Query"] = (200, {"Items": []})
    with Client(app.app, stage_name="of-a-test") as client:
        headers = {"Authorization": "Bearer a-token-of-twenty-chars"}
        assert client.http.get("/api/incidents", headers=headers).status_code == 200
    assert asked(aws) == [[f"/tocsin/dev/{name}" for name in TOKENS], ["/tocsin/dev/REDACT_PATTERNS"]]


# ---------------------------------------------------------------------------------------------------------------------
# The door while SSM refuses

SECRET = plugins.load_source("cloudflare").SECRETS[0]
THROTTLED = (400, {"__type": "com.amazonaws.ssm#ThrottlingException"})
STORED = (200, {"Parameters": [{"Name": f"/tocsin/dev/{SECRET}", "Value": "secret-of-cloudflare"}]})


def posted():
    """The answer to a webhook that proves itself."""
    return app.app(gateway_event('{"text":"x","alert_type":"y"}'), CONTEXT)


def throttle(server, times):
    """Let the next calls of SSM be refused."""
    left = iter([True] * times)

    def before(action):
        if action == "GetParameters":
            server.replies["GetParameters"] = THROTTLED if next(left, False) else STORED

    server.before = before


def test_a_webhook_is_stored_when_the_first_call_is_throttled(aws):
    """The second call answers: 202."""
    throttle(aws, 1)
    assert posted()["statusCode"] == 202
    assert aws.actions == ["GetParameters", "GetParameters", "SendMessage"]


def test_a_webhook_that_nothing_can_prove_is_refused_with_a_time_to_come_again(aws):
    """Given no value in hand while every call is throttled, then 503 with Retry-After, and nothing is stored."""
    throttle(aws, 1_000)
    answer = posted()
    assert answer["statusCode"] == 503
    assert answer["headers"]["Retry-After"] == "10"
    assert "SendMessage" not in aws.actions


def test_a_webhook_is_stored_by_a_known_value_while_ssm_is_throttled(aws, monkeypatch):
    """Given a value that was read an hour ago, then 202 while every call is throttled; a wrong proof stays 401."""
    throttle(aws, 0)
    assert posted()["statusCode"] == 202
    throttle(aws, 1_000)
    monkeypatch.setattr(ingest.ports("123456789012").secrets, "_clock", lambda: monotonic() + 3_600)
    assert posted()["statusCode"] == 202
    wrong = gateway_event("{}", headers={"Content-Type": "application/json", "cf-webhook-auth": "guess"})
    assert app.app(wrong, CONTEXT)["statusCode"] == 401
