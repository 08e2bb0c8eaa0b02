"""`make run`: the whole of Tocsin on this machine, until Ctrl-C.

The embedded AWS, the app deployed into it by Chalice, the inbox, and a short incident of sample webhooks whose routed
alerts are printed as they arrive; a day of sample data (local/demo.py) is stored behind them. Environment: TOCSIN_PORT (7466), INBOX_PORT (8025), DEMO=0 for no sample. What is set
in `.env` is put into the embedded Parameter Store; a real SLACK_BOT_TOKEN or PAGERDUTY_ROUTING_KEY_DEFAULT there makes
Tocsin talk to the vendor itself. Everything else is kept in `.tocsin/`.
"""

import base64
import json
import os
import secrets
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from http.client import HTTPException
from typing import Any
from urllib.parse import quote

import boto3

from chalicelib.core.errors import TocsinError
from chalicelib.ingest.heartbeats import token_of
from chalicelib.ingest.registry import heartbeats
from chalicelib.rules.compiled import COMPILED_NAME
from cli.running import ROOT, START, TOCSIN
from cli.stage import stage_of
from deploy.clients import Clients
from deploy.deployment import Deploy, Deployed, check_rules
from deploy.mail import verify_sender
from deploy.names import APP
from deploy.parameters import delete_parameters, parameters, put_parameters
from deploy.settings_file import read_settings
from deploy.smoke import request
from local import demo
from local.cloud import DEFAULT_PORT, LOST_SECONDS, Cloud, is_free
from local.inbox import Inbox
from local.inbox.server import DEFAULT_PORT as INBOX_PORT
from local.private import private_folder, write_private
from local.project import deployed_from, project
from local.sample import INCIDENT, Step, webhooks

STAGE = "local"
FOLDER = ROOT / ".tocsin"
RUNNING = FOLDER / "running.json"
LOOK_SECONDS = 0.3
GENERATED = (
    "SENTRY_CLIENT_SECRET",
    "CLOUDFLARE_WEBHOOK_SECRET",
    "VERCEL_WEBHOOK_SECRET",
    "ALERTMANAGER_SECRET",
    "PAGERDUTY_WEBHOOK_SECRET",
    "SLACK_SIGNING_SECRET",
    "HEARTBEAT_SECRET",
    "API_TOKEN",
    "PAGE_TOKEN",
    "SESSION_KEY",
)
"""Secrets that are ours to choose: random, the same on every start, unless `.env` has others."""
SENDER = "Tocsin <tocsin@example.com>"


class RunError(TocsinError):
    """It cannot start; one line that says what is wrong and what to do."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the environment asks for."""

    port: int
    inbox_port: int
    demo: bool


def main(environment: Mapping[str, str] = os.environ) -> int:
    """Run until a signal; 1 with what is wrong when it cannot start."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    try:
        run(asked(environment), stop)
    except TocsinError as error:
        print(f"run: {error}", file=sys.stderr)
        return 1
    return 0


def asked(environment: Mapping[str, str]) -> Asked:
    """Return the ports and whether to play the sample; RunError for what is no port."""
    return Asked(
        port=_port("TOCSIN_PORT", environment, DEFAULT_PORT),
        inbox_port=_port("INBOX_PORT", environment, INBOX_PORT),
        demo=environment.get("DEMO", "1").lower() not in ("0", "no", "false", "off"),
    )


def _port(name: str, environment: Mapping[str, str], default: int) -> int:
    text = environment.get(name) or str(default)
    if not text.isdigit() or not 1 <= int(text) <= 65_535:
        raise RunError(
            f"{name} is not a port: allowed is a number from 1 to 65535, as in `{started_with(name, default)}`"
        )
    return int(text)


def started_with(name: str, value: int) -> str:
    """Return the command that starts it with a variable set: make takes them behind its word, a shell before one."""
    return f"{START} {name}={value}" if START.startswith("make") else f"{name}={value} {START}"


def run(wanted: Asked, stop: threading.Event) -> None:
    """Start everything, play the sample, print what arrives, and stop everything once `stop` is set."""
    settings = read_settings(ROOT / ".env")
    check_machine(wanted)
    root = project(FOLDER)
    check_rules(root, strict=False)
    with ExitStack() as running:
        cloud = running.enter_context(_cloud(wanted.port))
        if stop.is_set():
            return
        clients = Clients(_session(cloud), cloud.url)
        there = parameters(clients("ssm"), STAGE)
        values = wanted_parameters(settings, there, inbox=f"http://127.0.0.1:{wanted.inbox_port}")
        inbox = running.enter_context(_inbox(wanted.inbox_port, cloud, values))
        put_parameters(clients("ssm"), STAGE, values, there=there)
        delete_parameters(clients("ssm"), STAGE, there.keys() - values.keys())
        verify_sender(clients("sesv2"), values["SES_FROM"])
        deployed = Deploy(STAGE, clients, _environment(cloud), root, say=_say).run(skip_unchanged=True)
        inbox.connections.tocsin = deployed.url.rstrip("/")
        inbox.connections.api_token = values["API_TOKEN"]
        running.enter_context(_known(deployed, cloud, inbox))
        _greet(cloud, deployed, inbox, settings, values)
        _watch(cloud, inbox, deployed, values, wanted.demo, stop)
        _say("stopping")


def check_machine(wanted: Asked) -> None:
    """Raise RunError when a port is taken or the folder cannot be written."""
    for name, port in (("TOCSIN_PORT", wanted.port), ("INBOX_PORT", wanted.inbox_port)):
        if not is_free(port):
            other = port + 1000
            raise RunError(f"port {port} is taken: stop what uses it, or choose another: {started_with(name, other)}")
    try:
        private_folder(FOLDER)
        (FOLDER / "writable").write_text("")
        (FOLDER / "writable").unlink()
    except OSError as error:
        raise RunError(f"{FOLDER} cannot be written ({error.strerror}): run as its owner, or remove it") from None


def wanted_parameters(settings: Mapping[str, str], there: Mapping[str, str], *, inbox: str) -> dict[str, str]:
    """Return what the Parameter Store is to hold: `.env`, secrets of our own, and the inbox where no vendor is set."""
    found = {name: there.get(name) or secrets.token_hex(32) for name in GENERATED}
    found["WEBHOOK_DEFAULT_SECRET"] = there.get("WEBHOOK_DEFAULT_SECRET") or _standard_secret()
    found["WEBHOOK_DEFAULT_URL"] = f"{inbox}/hook/default"
    found["SES_FROM"] = SENDER
    found["RUNBOOK_BASE_URL"] = f"{inbox}/runbook"
    if "SLACK_BOT_TOKEN" not in settings:
        found |= {"SLACK_BOT_TOKEN": "xoxb-1-2-inbox", "SLACK_API_URL": f"{inbox}/slack/api"}
    if not any(name.startswith("PAGERDUTY_ROUTING_KEY") for name in settings):
        routing = there.get("PAGERDUTY_ROUTING_KEY_DEFAULT") or secrets.token_hex(16)
        found |= {"PAGERDUTY_ROUTING_KEY_DEFAULT": routing, "PAGERDUTY_EVENTS_URL": f"{inbox}/pagerduty"}
    found |= {
        "DISCORD_DEFAULT_URL": f"{inbox}/discord/api/webhooks/1/inbox",
        "TEAMS_DEFAULT_URL": f"{inbox}/teams/default",
    }
    if "VERCEL_TOKEN" not in settings:
        found |= {"VERCEL_TOKEN": "inbox", "VERCEL_API_URL": f"{inbox}/vercel"}
    if "PAGERDUTY_API_TOKEN" not in settings:
        found |= {"PAGERDUTY_API_TOKEN": "inbox", "PAGERDUTY_API_URL": f"{inbox}/pagerduty"}
    if "CLOUDFLARE_API_TOKEN" not in settings:
        found |= {"CLOUDFLARE_API_TOKEN": "inbox", "CLOUDFLARE_API_URL": f"{inbox}/cloudflare/client/v4/graphql"}
    return {**found, **settings}


def _standard_secret() -> str:
    """Return a secret of Standard Webhooks: whsec_ and base64 of 24 to 64 bytes."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


# ---------------------------------------------------------------------------------------------------------------------
# Parts


def _cloud(port: int) -> Cloud:
    _say(f"starting the embedded AWS at http://127.0.0.1:{port}")
    return Cloud(FOLDER, port=port)


def _session(cloud: Cloud) -> Any:
    found = cloud.client_arguments()
    found.pop("endpoint_url")
    return boto3.Session(**found)


def _environment(cloud: Cloud) -> dict[str, str]:
    """Return this process's environment with the embedded AWS as the only one that can be found."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {**bare, **cloud.environment()}


def _inbox(port: int, cloud: Cloud, values: Mapping[str, str]) -> Inbox:
    found = Inbox(
        port=port,
        state=FOLDER / "inbox.json",
        slack_signing_secret=values["SLACK_SIGNING_SECRET"],
        pagerduty_webhook_secret=values["PAGERDUTY_WEBHOOK_SECRET"],
        webhook_secret=values["WEBHOOK_DEFAULT_SECRET"],
        emulator=cloud.url,
        emulator_key=cloud.key.id,
    )
    if found.memory.problem:
        _say(f"inbox: {found.memory.problem}")
    return found


@contextmanager
def _known(deployed: Deployed, cloud: Cloud, inbox: Inbox) -> Iterator[None]:
    """Write the file by which the `tocsin` command finds it while it is up; its token is in the embedded Parameter Store."""
    known = {"url": deployed.url, "aws": cloud.environment(), "inbox": inbox.url}
    write_private(RUNNING, json.dumps(known, indent=2) + "\n")
    try:
        yield
    finally:
        RUNNING.unlink(missing_ok=True)


def _greet(
    cloud: Cloud, deployed: Deployed, inbox: Inbox, settings: Mapping[str, str], values: Mapping[str, str]
) -> None:
    real = [name for name in ("SLACK_BOT_TOKEN", "PAGERDUTY_ROUTING_KEY_DEFAULT") if name in settings]
    _say("")
    _say(f"  inbox      {inbox.url}/          what people would see" + (f" (real: {', '.join(real)})" if real else ""))
    _say(f"  page       {inbox.url}/sign-in   what is open, and buttons to act on it: signs you in")
    _say(f"  webhooks   {deployed.url}webhooks/<source>")
    _say(f"  health     {deployed.url}health")
    for name in sorted(_heartbeats())[:1]:
        _say(f"  heartbeat  curl {_beat_url(deployed.url, values, name)}")
    _say(f"  people     {TOCSIN} incidents, show, ack, silence, …")
    _say(f"  AWS        {inbox_safe(deployed.url)}          for any AWS tool, after: . {cloud.shell.relative_to(ROOT)}")
    _say(f"  secrets    {_secrets_hint()}")
    _say("  Ctrl-C stops everything and loses nothing: what happened is kept in .tocsin/")
    _say(f"  kill -9 loses at most the last {LOST_SECONDS} seconds of what was accepted")
    _say("")


def _beat_url(url: str, values: Mapping[str, str], name: str) -> str:
    token = token_of(values["HEARTBEAT_SECRET"].split(",")[0].strip(), name)
    return f"{url}heartbeats/{quote(name, safe='')}/{token}"


def inbox_safe(url: str) -> str:
    """Return the address of the server alone."""
    return "/".join(url.split("/")[:3])


def _heartbeats() -> frozenset[str]:
    """Return the names of the heartbeats in the deployed rules."""
    return heartbeats(str(deployed_from(FOLDER) / "chalicelib" / COMPILED_NAME))


def _secrets_hint() -> str:
    return f"in the embedded Parameter Store under /{APP}/{STAGE}/"


# ---------------------------------------------------------------------------------------------------------------------
# While it runs


def _watch(
    cloud: Cloud, inbox: Inbox, deployed: Deployed, values: Mapping[str, str], demo: bool, stop: threading.Event
) -> None:
    """Play the sample and print what arrives, until `stop` or until a part is gone."""
    arrived = Arrivals(inbox)
    arrived.lines()
    if demo:
        play = threading.Thread(target=_play, args=(deployed.url, values, stop), name="sample", daemon=True)
        play.start()
    parent = os.getppid() if "MAKELEVEL" in os.environ else None
    while not stop.wait(LOOK_SECONDS):
        for line in arrived.lines():
            _say(line)
        if not cloud.running:
            raise RunError(f"the embedded AWS ended by itself: see {cloud.log}")
        if parent is not None and os.getppid() != parent:
            return


def _play(url: str, values: Mapping[str, str], stop: threading.Event) -> None:
    began = datetime.now(UTC)
    for step in INCIDENT:
        if stop.wait(max(0.0, (began + step.after - datetime.now(UTC)).total_seconds())):
            return
        _post(url, step, values)
    _say(
        f"{_clock()}         the end is notified within the rule's group_interval: five minutes unless it says otherwise"
    )
    try:
        _play_day(url, values, stop)
    except (TocsinError, OSError, HTTPException) as error:
        _say(f"{_clock()}  the sample day is not complete: {error}")
    for name in sorted(_heartbeats())[:1]:
        _say(f"{_clock()}  sending a beat of the heartbeat {name} every {demo.BEAT_SECONDS // 60} minutes")
        demo.keep_beating(partial(request, _beat_url(url, values, name), b"", {}), stop)


def _play_day(url: str, values: Mapping[str, str], stop: threading.Event) -> None:
    """Store the sample day, and send what is open at its end. A stage that has a day of the last hours gets no other."""
    stage, now = stage_of(STAGE), datetime.now(UTC)
    if not demo.is_due(stage.store, now):
        _say(f"{_clock()}  a sample day of the last hours is there already")
        return
    source = demo.seed_events(stage.store, stage.rules, now)
    for each in demo.OPEN:
        demo.send(each, url, values, now)
    if demo.seed_samples(stage.store, source, now, stop=stop.is_set):
        demo.acknowledge(url, values, stop)
        _say(f"{_clock()}  a sample day is stored: errors, deploys, ended incidents, and a month of runs of a probe")


def _post(url: str, step: Step, values: Mapping[str, str]) -> None:
    statuses = []
    for webhook in webhooks(step, secrets=values, now=datetime.now(UTC)):
        status, _ = request(f"{url}webhooks/{webhook.source}", webhook.body, webhook.headers)
        statuses.append(status)
    refused = [status for status in statuses if status != 202]
    _say(f"{_clock()}  received  {step.says}" + (f" — refused: {refused}" if refused else ""))


class Arrivals:
    """What the inbox has that was not printed yet."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._version: int | None = None
        self._seen: set[str] = set()

    def lines(self) -> list[str]:
        """Return a line for each message that is new or changed since the last call."""
        if self._inbox.memory.version == self._version:
            return []
        self._version = self._inbox.memory.version
        found = []
        for key, line in _arrived(self._inbox.everything()):
            if key not in self._seen:
                self._seen.add(key)
                found.append(f"{_clock()}  notified  {line}")
        return found


def _arrived(everything: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return every state of every message, with a line for people."""
    found = []
    for each in everything["slack"]:
        text = str(each.get("text") or "")
        where = f"Slack #{str(each.get('channel_name')).lstrip('#')}"
        how = (
            " (reply)"
            if each.get("thread_ts") not in (None, each.get("ts"))
            else " (updated)"
            if each.get("edited")
            else ""
        )
        found.append(
            (json.dumps(["slack", each.get("channel"), each.get("ts"), text]), f"{where}{how}: {_first(text)}")
        )
    for each in everything["pagerduty"]:
        key = json.dumps(["pagerduty", each.get("id"), each.get("status")])
        found.append((key, f"PagerDuty {each.get('status')}: {_first(str(each.get('title')))}"))
    for each in everything["mail"]:
        to = ", ".join(map(str, each.get("to") or []))
        found.append((json.dumps(["mail", each.get("id")]), f"mail to {to}: {_first(str(each.get('subject')))}"))
    for each in everything["discord"]:
        text = _first(str(next((embed.get("title") for embed in each["embeds"]), "") or each["content"]))
        key = json.dumps(["discord", each["id"], each["edited"], text])
        found.append((key, f"Discord{' (edited)' if each['edited'] else ''}: {text}"))
    for each in everything["teams"]:
        found.append((json.dumps(["teams", each["at"], each["text"]]), f"Teams {each['name']}: {_first(each['text'])}"))
    for each in everything["webhooks"]:
        found.append((json.dumps(["webhook", each.get("id")]), f"webhook {each.get('name')}: {each.get('type')}"))
    return found


def _first(text: str) -> str:
    line = next((line for line in text.splitlines() if line.strip()), "")
    return line if len(line) <= 150 else line[:149] + "…"


def _clock() -> str:
    return datetime.now().astimezone().strftime("%H:%M:%S")


def _say(text: str) -> None:
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # Nobody reads any more; that is no reason to leave processes behind.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
