"""`python -m local.inbox.drawing.photographs`: pictures of Slack's messages for docs/images, by headless Chromium.

Each is what the Slack target sends for a notification, drawn by the inbox. Needs Debian's package chromium.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from chalicelib.clients import http_client
from chalicelib.core.delivery.notification import (
    AckSnapshot,
    Activity,
    AlertSnapshot,
    Background,
    ClosingSnapshot,
    Deploy,
    IncidentSnapshot,
    Notification,
    Reason,
    Runbook,
    TopError,
    TopErrors,
)
from chalicelib.core.event import Severity
from chalicelib.core.rule import Target
from chalicelib.slack import silence_modal
from chalicelib.targets import slack_channel as slack
from chalicelib.targets._slack_api import Api
from local.inbox import UNLIMITED, Inbox
from local.inbox.drawing.decided import acknowledges, begins, decided, ends

FOLDER = Path(__file__).resolve().parents[3] / "docs" / "images"
WIDTH = 1000
PHONE = 500
"""The narrowest window of headless Chromium."""
NOW = datetime(2026, 11, 24, 2, 26, tzinfo=UTC)
START = NOW - timedelta(minutes=12)
RUNBOOK = Runbook(
    "high-error-rate",
    "High error rate",
    (
        "Look at the newest deploy: did the errors begin with it?",
        "Compare the share of failing requests by path and by zone.",
        "Read the top issue in Sentry and the status pages of what checkout calls.",
    ),
    "https://example.com/runbook/high-error-rate.md",
)
DEPLOY = Deploy(
    "dpl_9Xk2",
    START - timedelta(minutes=4),
    "deployment.promoted",
    "checkout",
    "Cart: compute totals in the client",
    "ana",
    "a1b2c3d",
    "https://vercel.com/example/checkout/9Xk2",
    "checkout",
    "prj_1",
)
LABELS = {"service": "checkout", "environment": "production"}
ALERT = AlertSnapshot(
    "High Error Rate",
    LABELS,
    {},
    "firing",
    Severity.CRITICAL,
    "High Error Rate",
    START,
    summary="3.2 % of requests to checkout fail, three times as many as an hour ago",
    url="https://example.sentry.io/issues/4711/",
    source="sentry",
    kind="metric",
    events=412,
    last_event_at=NOW,
    value="3.2 %",
    threshold="1 %",
    condition="error_rate > 1%",
    fingerprint="f1",
)
SYMPTOM = replace(
    ALERT,
    name="High Latency",
    title="High Latency",
    severity=Severity.WARNING,
    value="1.9 s",
    threshold="0.5 s",
    muted_by=("inhibited by High Error Rate",),
    fingerprint="f2",
)
OPENED = Notification(
    id="n1",
    incident=IncidentSnapshot(
        "7f3c9a52d01be644", key="k", started_at=START, events=412, route="High Error Rate", group=LABELS
    ),
    seq=1,
    target=Target("slack_channel", "#incidents"),
    reason=Reason.OPENED,
    status="firing",
    severity=Severity.CRITICAL,
    title="High Error Rate (checkout production)",
    at=NOW,
    alerts=(ALERT,),
    evidence=(SYMPTOM,),
    background=Background(RUNBOOK, (DEPLOY,), timezone="Europe/Riga"),
)
BARE = replace(OPENED.background, runbook=None, deploys=())
ACK = ("ack", "Acknowledged by Ana Souza")
ACKED = replace(
    OPENED, id="n2", seq=2, reason=Reason.SYNC, at=NOW + timedelta(minutes=2),
    ack=AckSnapshot("Ana Souza", NOW + timedelta(minutes=2)),
    activity=Activity(("Ana Souza: it began with the deploy, rolling back",), (ACK,)),
)  # fmt: skip
SILENCED = replace(
    OPENED, id="n3", seq=3, reason=Reason.SYNC, at=NOW + timedelta(minutes=5),
    alerts=(replace(ALERT, muted_by=("silence 9c1d of Ana Souza",)),),
    activity=Activity(
        ("Ana Souza: silenced until 2026-11-24 04:30 UTC: vendor is on it",),
        (("silence", "Ana Souza: silenced until 2026-11-24 04:30 UTC: vendor is on it"),),
    ),
)  # fmt: skip
REMINDER = replace(
    OPENED,
    id="n4",
    seq=2,
    reason=Reason.REMINDER,
    at=NOW + timedelta(hours=4),
    incident=replace(OPENED.incident, events=9_120),
)
RESOLVED = replace(
    ACKED, id="n5", seq=4, reason=Reason.RESOLVED, status="resolved", at=NOW + timedelta(minutes=25),
    alerts=(replace(ALERT, status="resolved", ends_at=NOW + timedelta(minutes=21), value="0.2 %"),),
    incident=replace(OPENED.incident, ended_at=NOW + timedelta(minutes=21), events=1_380), evidence=(), ack=None,
    activity=replace(ACKED.activity, acts=()), background=replace(OPENED.background, deploys=()),
)  # fmt: skip
SPIKE = replace(
    OPENED, id="n9", title="Error Spike (checkout production)", evidence=(),
    alerts=(
        replace(
            ALERT, name="Error Spike", title="Error Spike", summary="96 errors within a minute in checkout",
            value="96", threshold="10", kind="error.created",
            top=TopErrors(START - timedelta(minutes=1), 412, (
                TopError("OperationalError: too many clients already", 318, "https://example.sentry.io/issues/91/",
                         "checkout@a1b2c3d", START - timedelta(seconds=40), True, "a1b2c3d"),
                TopError("TimeoutError: pool.acquire, 5 s", 66, "https://example.sentry.io/issues/4d/", "",
                         START - timedelta(days=52), False),
                TopError("AuthApiError: 500 from /token", 20, "https://example.sentry.io/issues/88/", "",
                         START - timedelta(days=6), False),
            )),
        ),
    ),
)  # fmt: skip
DOWN = replace(
    OPENED, id="n10", title="Service Downtime (api)", evidence=(), incident=replace(OPENED.incident, events=0, group={"service": "api"}),
    alerts=(
        replace(
            ALERT, name="Service Downtime", title="Service Downtime", summary="", source="probe", kind="measured",
            url=None, value="80 %", threshold="99 %", labels={"service": "api", "probe": "api"}, events=0,
            observed={
                "address": "https://api.example.com/health",
                "expected": "status 200 within 12 s",
                "result": "status 503, after 9811 ms (DNS 4 ms, connect 9 ms, TLS 22 ms, first byte 9776 ms)",
                "fine": "until 2026-11-24 02:13 UTC, 1,440 times in a row since 2026-11-23 02:14 UTC",
                "tries": "2026-11-24 02:13 UTC fine in 140 ms; 2026-11-24 02:14 UTC status 503, after 9811 ms; "
                         "2026-11-24 02:14 UTC status 503, after 9790 ms",
            },
        ),
    ),
)  # fmt: skip
CLOSING = replace(
    SPIKE, id="n11", seq=2, reason=Reason.SYNC, at=NOW + timedelta(minutes=3),
    alerts=tuple(replace(each, status="resolved", ends_at=NOW + timedelta(minutes=3)) for each in SPIKE.alerts),
    closing=ClosingSnapshot(NOW + timedelta(minutes=3), NOW + timedelta(minutes=7)), background=BARE,
)  # fmt: skip
STORM = replace(
    OPENED, id="n6", severity=Severity.CRITICAL, title="500 alerts: InstanceDown, DiskFull, HighLoad …",
    alerts=tuple(
        replace(
            ALERT,
            title=("InstanceDown", "DiskFull", "HighLoad")[n % 3],
            severity=Severity.CRITICAL if n < 40 else Severity.WARNING,
            labels={"instance": f"web-{n:03}", "zone": f"fra-{n % 3 + 1}"},
            value="", threshold="", condition="", summary="", fingerprint=f"s{n}",
        )
        for n in range(200)
    ),
    also=300, evidence=(), background=BARE,
    incident=replace(OPENED.incident, events=10_000, group={"environment": "production"}),
)  # fmt: skip
TEST = replace(
    OPENED, id="n7", reason=Reason.TEST, severity=Severity.INFO, title="Tocsin can reach this channel", evidence=(),
    alerts=(replace(ALERT, name="Test", labels={}, starts_at=NOW, title="Test", severity=Severity.INFO, value="", threshold="", condition="", url=None,
                    summary="Sent by `tocsin send-test` on its real way. Nothing is wrong.", events=1),),
    incident=replace(OPENED.incident, started_at=NOW, events=1, group={}, route="send-test"), background=BARE,
)  # fmt: skip
HOSTILE = replace(
    OPENED, id="n8", title="فشل الدفع 👩‍👩‍👧‍👦 <!channel> *bold* `code` " + "Zahlungsabwicklung fehlgeschlagen " * 120,
    alerts=(replace(ALERT, summary="تعذر الوصول إلى خدمة الدفع <https://evil.example|click> 💥"),),
)  # fmt: skip

TOO_MANY, FAILING = "Database refuses connections", "Requests to the API fail"
PAYMENTS = "Payments fail"
AFFECTED = decided(
    (
        begins("02:14:00", TOO_MANY, "database"),
        begins("02:16:00", FAILING, "api"),
        begins("02:17:00", "Pages fail", "web"),
    ),
    "02:20:00",
)
AFTER_ACK = decided(
    (
        begins("02:14:00", FAILING, "api"),
        acknowledges("02:18:00", "Ana Souza", "api"),
        begins("02:26:00", PAYMENTS, "api"),
    ),
    "02:27:00",
)
OUTLASTS = decided(
    (
        begins("02:14:00", TOO_MANY, "database"), begins("02:16:00", FAILING, "api"),
        acknowledges("02:17:00", "Ana Souza", "database"), ends("02:20:00", TOO_MANY, "database"),
    ),
    "02:25:30",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Picture:
    """What is sent, one after the other, how high the picture is, and whether the silence form is open."""

    told: tuple[Notification, ...]
    height: int = 640
    form: bool = False
    width: int = WIDTH


PICTURES: Mapping[str, Picture] = {
    "opened": Picture((OPENED,), 780),
    "error-spike": Picture((SPIKE,), 860),
    "error-spike-phone": Picture((SPIKE,), 1_180, width=PHONE),
    "probe-down": Picture((DOWN,), 960),
    "probe-down-phone": Picture((DOWN,), 1_400, width=PHONE),
    "closing": Picture((SPIKE, CLOSING), 640),
    "closing-phone": Picture((SPIKE, CLOSING), 860, width=PHONE),
    "affected": Picture(AFFECTED, 800),
    "affected-phone": Picture(AFFECTED, 1_120, width=PHONE),
    "after-ack": Picture(AFTER_ACK, 960),
    "after-ack-phone": Picture(AFTER_ACK, 1_230, width=PHONE),
    "outlasts-its-cause": Picture(OUTLASTS, 960),
    "outlasts-its-cause-phone": Picture(OUTLASTS, 1_300, width=PHONE),
    "acknowledged": Picture((OPENED, ACKED), 820),
    "silenced": Picture((OPENED, SILENCED), 760),
    "silence-form": Picture((OPENED,), 780, form=True),
    "reminder": Picture((OPENED, REMINDER), 900),
    "resolved": Picture((OPENED, ACKED, RESOLVED), 700),
    "storm": Picture((STORM,), 680),
    "test": Picture((TEST,), 420),
    "hostile": Picture((HOSTILE,), 900),
}


class InboxClients:
    """The clients of a target that talks to the inbox."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._http = http_client()

    def http(self) -> httpx.Client:
        """Return a real client."""
        return self._http

    def aws(self, service: str) -> Any:
        """Refuse: Slack needs no AWS client."""
        raise LookupError(service)

    def secret(self, name: str) -> str | None:
        """Return the bot token, or the token that may roll back."""
        return {"SLACK_BOT_TOKEN": "xoxb-1", "VERCEL_TOKEN": "t"}.get(name)

    def setting(self, name: str, default: str = "") -> str:
        """Return the inbox in Slack's place."""
        return f"{self._inbox.url}/slack/api" if name == "SLACK_API_URL" else default


def told(picture: Picture, clock: list[float], inbox: Inbox) -> str:
    """Send what the picture shows, and return the page's address."""
    receipt: Mapping[str, str] = {}
    clients = InboxClients(inbox)
    for notification in picture.told:
        clock[0] = notification.at.timestamp()
        given = slack.send(notification, "#incidents", clients, receipt=receipt, in_doubt=False, now=notification.at)
        receipt = {**receipt, **given.values}
    clock[0] += 60
    if picture.form:
        view = silence_modal.view(
            OPENED.incident.id,
            about=f"*{OPENED.title}*",
            matchers=["alertname=High Error Rate", "environment=production", "service=checkout"],
            filled=True,
        )
        Api(clients, now=NOW).call("views.open", {"trigger_id": inbox.slack.modals.new_trigger(), "view": view})
    return f"{inbox.url}/?view=slack/{receipt['channel']}"


def photograph(name: str, picture: Picture, folder: Path, *, dark: bool = False) -> Path:
    """Draw one picture into the folder."""
    clock = [picture.told[0].at.timestamp()]
    path = folder / f"{name}.png"
    with Inbox(limits=UNLIMITED, clock=lambda: clock[0]) as inbox, tempfile.TemporaryDirectory() as profile:
        url = told(picture, clock, inbox)
        command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--log-level=3"]
        command += [
            f"--user-data-dir={profile}",
            f"--window-size={picture.width},{picture.height}",
            f"--screenshot={path}",
        ]
        command += ["--force-dark-mode"] if dark else []
        subprocess.run([*command, "--virtual-time-budget=2000", url], check=True, capture_output=True, timeout=60)
    return path


def main() -> int:
    """Draw all pictures, or those that are named."""
    parser = argparse.ArgumentParser(prog="python -m local.inbox.drawing.photographs", description="Draw docs/images.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(PICTURES)}")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    for name in asked.names or PICTURES:
        print(photograph(name, PICTURES[name], asked.folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
