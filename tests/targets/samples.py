"""Notifications to render and clients to send with; shared by the tests of all targets."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from hypothesis import strategies as st

from chalicelib.core.delivery.notification import (
    AckSnapshot,
    Activity,
    AlertSnapshot,
    Background,
    Deploy,
    IncidentSnapshot,
    Notification,
    Reason,
    Runbook,
    ServiceSnapshot,
    TopError,
    TopErrors,
)
from chalicelib.core.event import Severity
from chalicelib.core.observed import LABELS
from chalicelib.core.rule import Target

NOW = datetime(2026, 11, 24, 9, 14, 30, tzinfo=UTC)
START = NOW - timedelta(minutes=12)
TOKEN = "xoxb-very-secret"
ROUTING_KEY = "0123456789abcdef0123456789abcdef"
WEBHOOK_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SLACK_WEBHOOK = "https://hooks.slack.com/services/T0/B0/secretpath"
OUT_WEBHOOK = "https://receiver.example.com/in?key=secretquery"
DISCORD_WEBHOOK = "https://discord.com/api/webhooks/1/secretpath"
TEAMS_FLOW = "https://prod-1.logic.azure.com:443/workflows/secretpath?sig=secretquery"
MAILBOX = "ops@example.com"
SECRETS = {
    "SLACK_BOT_TOKEN": TOKEN,
    "PAGERDUTY_ROUTING_KEY_DEFAULT": ROUTING_KEY,
    "WEBHOOK_DEFAULT_SECRET": WEBHOOK_SECRET,
}
SETTINGS = {"SES_FROM": "Tocsin <alerts@example.com>"}
Handler = Callable[[httpx.Request], httpx.Response]

TOLD = AlertSnapshot(
    name="High Error Rate",
    labels={"alertname": "High Error Rate", "service": "checkout", "environment": "prod", "severity": "critical"},
    annotations={},
    status="firing",
    severity=Severity.CRITICAL,
    title="High Error Rate",
    starts_at=START,
    summary="3.2 % of requests to checkout fail",
    url="https://sentry.io/organizations/acme/issues/1/",
    source="sentry",
    kind="issue.created",
    events=412,
    last_event_at=NOW,
    value="3.2 %",
    threshold="1 %",
    condition="error_rate > 1%",
    fingerprint="f1",
)
TOP_ERRORS = TopErrors(
    START,
    412,
    (
        TopError("OperationalError: too many clients already", 318, "https://sentry.example.com/issues/91", "web@4f2c9a1", START, True, "4f2c9a1"),
        TopError("TimeoutError: pool.acquire", 66, "https://sentry.example.com/issues/4d", "", START - timedelta(days=50), False),
        TopError("AuthApiError: 500 from /token", 20, "javascript:alert(1)", "", START),
    ),
)  # fmt: skip
"""What an alert that counts errors names, one of each kind."""
RUNBOOK = Runbook(
    "high-error-rate",
    "High error rate",
    ("Look at the newest deploy.", "Compare zones.", "Read the top issue."),
    "https://runbooks.example.com/high-error-rate.md",
)
DEPLOY = Deploy(
    "dpl_1", START - timedelta(minutes=4), "deploy", "checkout", "Cart: new totals", "ana", "a1b2c3", "https://v.example.com/d/1"
)  # fmt: skip
NOTIFICATION = Notification(
    id="n1",
    incident=IncidentSnapshot(
        "inc-7f3c9a52",
        key="rule/high-error-rate|service=checkout",
        started_at=START,
        events=412,
        route="rule/high-error-rate",
        group={"service": "checkout", "environment": "prod"},
    ),
    seq=1,
    target=Target("slack_channel", "#incidents"),
    reason=Reason.OPENED,
    status="firing",
    severity=Severity.CRITICAL,
    title="High Error Rate (prod checkout)",
    at=NOW,
    alerts=(TOLD,),
    background=Background(
        RUNBOOK,
        (DEPLOY,),
        ("Back after the silence of ana.",),
        timezone="America/Sao_Paulo",
        senders={"sentry": "Sentry"},
    ),
)


def of_incident(notification: Notification, **changes: Any) -> Notification:
    """The notification of an incident that differs."""
    return replace(notification, incident=replace(notification.incident, **changes))


def with_background(notification: Notification, **changes: Any) -> Notification:
    """The notification with another runbook, other deploys or notes."""
    return replace(notification, background=replace(notification.background, **changes))


SERVICE = ServiceSnapshot(
    "checkout", "team-core", 1, {"dashboard": "https://d.example.com/api", "runbook": "https://w.example.com/api"}
)
OWNED = with_background(NOTIFICATION, services=(SERVICE,))
"""Of a service that the rules file has."""


RESOLVED = replace(
    of_incident(NOTIFICATION, ended_at=NOW),
    id="n9",
    seq=4,
    reason=Reason.RESOLVED,
    status="resolved",
    alerts=(replace(TOLD, status="resolved", ends_at=NOW),),
)
ACKED = replace(NOTIFICATION, id="n3", seq=2, reason=Reason.SYNC, ack=AckSnapshot("ana", NOW))
STORM = replace(
    of_incident(NOTIFICATION, events=10_000),
    alerts=tuple(replace(TOLD, title=f"Fault {number}", fingerprint=str(number)) for number in range(200)),
    also=300,
)
SPIKE = replace(NOTIFICATION, alerts=(replace(TOLD, top=TOP_ERRORS, source="sentry", kind="error.created"),))
HOSTILE = "<!channel> <@U1> <https://evil.example|click> & `<!here>` \u202eabc\x00\r\nBcc: all@example.com"


class FakeClients:
    """Clients whose HTTP is `handler`; `services` are AWS clients by name."""

    def __init__(
        self,
        handler: Handler | None = None,
        *,
        secrets: Mapping[str, str] = SECRETS,
        settings: Mapping[str, str] = SETTINGS,
        services: Mapping[str, Any] | None = None,
    ) -> None:
        self.requests: list[httpx.Request] = []
        self._handler = handler or (lambda request: httpx.Response(500))
        self._secrets = secrets
        self._settings = settings
        self._services = services or {}
        self._client = httpx.Client(transport=httpx.MockTransport(self._handle))

    def http(self) -> httpx.Client:
        """The client over the handler."""
        return self._client

    def aws(self, service: str) -> Any:
        """The given service."""
        return self._services[service]

    def secret(self, name: str) -> str | None:
        """The given secret."""
        return self._secrets.get(name)

    def setting(self, name: str, default: str = "") -> str:
        """The given setting."""
        return self._settings.get(name, default)

    def _handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self._handler(request)


def answering(*answers: httpx.Response | Exception) -> Handler:
    """A handler that gives these answers in order; the last one stays."""
    left = list(answers)

    def handle(request: httpx.Request) -> httpx.Response:
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    return handle


def texts_of(value: Any) -> list[str]:
    """Every text inside a JSON value."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [text for found in value.values() for text in texts_of(found)]
    if isinstance(value, list | tuple):
        return [text for found in value for text in texts_of(found)]
    return []


_RAW = st.text(st.characters(), max_size=60)
_PIECES = st.sampled_from(
    [
        "<!channel>",
        "&",
        "<",
        ">",
        "👩‍👩‍👧‍👦",
        "🇩🇪",
        "مرحبا",
        "e\u0301",
        "\ud800",
        "\x00",
        "\r\n",
        "*",
        "`",
        " ",
        "a" * 200,
    ]
)
TEXT = st.one_of(
    _RAW,
    st.builds("".join, st.lists(st.one_of(_RAW, _PIECES), max_size=8)),
    st.builds(lambda piece, count: (piece * count)[:4_200], _PIECES, st.integers(0, 4_200)),
)
_IDS = st.text("abcdef0123456789-", min_size=1, max_size=64)
_TIMES = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))
_LABELS = st.dictionaries(TEXT, TEXT, max_size=4)
_ADDRESSES = st.one_of(
    st.none(),
    TEXT,
    st.just("https://sentry.io/issues/1?a=1&b=2"),
    st.just("javascript:alert(1)"),
    st.just("https://x/" + "a" * 5_000),
)
_SEVERITIES = st.sampled_from(list(Severity))
TOLDS = st.builds(
    AlertSnapshot,
    name=TEXT,
    labels=_LABELS,
    annotations=_LABELS,
    status=st.sampled_from(["firing", "resolved"]),
    severity=_SEVERITIES,
    title=TEXT,
    starts_at=_TIMES,
    ends_at=st.none() | _TIMES,
    summary=TEXT,
    url=_ADDRESSES,
    source=st.sampled_from(["sentry", "cloudflare", "", "x" * 300]),
    kind=TEXT,
    events=st.integers(0, 10**7),
    last_event_at=st.none() | _TIMES,
    value=TEXT,
    threshold=TEXT,
    condition=TEXT,
    acked_by=st.none() | TEXT,
    muted_by=st.lists(TEXT, max_size=4).map(tuple),
    fingerprint=_IDS,
    observed=st.dictionaries(st.sampled_from([*LABELS, "other"]), TEXT, max_size=4),
    top=st.none()
    | st.builds(
        TopErrors,
        since=_TIMES,
        events=st.integers(0, 2_000),
        errors=st.lists(
            st.builds(
                TopError,
                title=TEXT,
                count=st.integers(0, 2_000),
                url=_ADDRESSES.map(lambda each: each or ""),
                release=TEXT,
                known_since=st.none() | _TIMES,
                is_new=st.none() | st.booleans(),
                deploy=TEXT,
                remembered=st.none() | st.timedeltas(timedelta(0), timedelta(days=900)),
            ),
            max_size=3,
        ).map(tuple),
    ),
)
_FEW = st.lists(TOLDS, max_size=4).map(tuple)
_MANY = st.builds(lambda told, count: (told,) * count, TOLDS, st.integers(0, 500))
NOTIFICATIONS = st.builds(
    Notification,
    id=_IDS,
    incident=st.builds(
        IncidentSnapshot,
        id=_IDS,
        key=TEXT,
        started_at=_TIMES,
        events=st.integers(0, 10**7),
        route=TEXT,
        ended_at=st.none() | _TIMES,
        group=_LABELS,
    ),
    seq=st.integers(1, 50),
    target=st.just(NOTIFICATION.target),
    reason=st.sampled_from(list(Reason)),
    status=st.sampled_from(["firing", "resolved"]),
    severity=_SEVERITIES,
    title=TEXT,
    at=_TIMES,
    alerts=_FEW | _MANY,
    evidence=_FEW | _MANY,
    also=st.integers(0, 10**6),
    ack=st.none() | st.builds(AckSnapshot, by=TEXT, at=st.none() | _TIMES),
    background=st.builds(
        Background,
        runbook=st.none()
        | st.builds(Runbook, name=_IDS, title=TEXT, steps=st.lists(TEXT, max_size=5).map(tuple), url=_ADDRESSES),
        deploys=st.lists(
            st.builds(
                Deploy,
                id=_IDS | st.text("a", min_size=400, max_size=600),
                at=_TIMES,
                kind=TEXT,
                service=st.none() | TEXT,
                title=TEXT,
                by=TEXT,
                url=_ADDRESSES,
                project=TEXT,
                project_id=st.just("") | _IDS,
            ),
            max_size=2,
        ).map(tuple),
        notes=st.lists(TEXT, max_size=12).map(tuple),
        services=st.lists(
            st.builds(
                ServiceSnapshot,
                name=TEXT,
                owner=TEXT,
                tier=st.none() | st.integers(0, 9),
                links=st.dictionaries(TEXT, _ADDRESSES.map(str), max_size=8),
            ),
            max_size=3,
        ).map(tuple),
        timezone=st.sampled_from(["UTC", "Europe/Riga", "America/Sao_Paulo", "Nowhere/Land", "", "../etc"]),
        text=TEXT,
    ),
    activity=st.builds(
        Activity,
        remarks=st.lists(TEXT, max_size=5).map(tuple),
        acts=st.lists(st.tuples(st.sampled_from(["ack", "note", "silence", "later"]), TEXT), max_size=5).map(tuple),
    ),
)
