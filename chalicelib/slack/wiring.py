"""Builds what receives from Slack, from parts that load only the standard library."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from time import sleep
from typing import Any

from chalicelib.aws.http1 import Connection
from chalicelib.aws.json_client import AwsJsonClient
from chalicelib.aws.queue import SqsQueue
from chalicelib.aws.secrets import Secrets
from chalicelib.core.errors import NotStoredError
from chalicelib.ingest.receive import HttpResponse
from chalicelib.settings import Settings
from chalicelib.slack.receive import SECRETS, answered

TIMEOUT_SECONDS = 0.8
"""For each wait: Slack gives three seconds in all, a cold start included."""
API_URL = "https://slack.com/api"
NEEDED = (*SECRETS, "SLACK_BOT_TOKEN", "SLACK_API_URL")
"""Read together, since asking costs as much as each answer."""


@dataclass(frozen=True, slots=True)
class SlackPorts:
    """The ports of what receives from Slack."""

    queue: SqsQueue
    secrets: Secrets

    def open_view(self, trigger: str, view: Mapping[str, Any]) -> tuple[str, str]:
        """Open a modal: https://docs.slack.dev/reference/methods/views.open. Its id and hash; else NotStoredError."""
        base = (self.secrets.get("SLACK_API_URL") or API_URL).rstrip("/")
        token = (self.secrets.get("SLACK_BOT_TOKEN") or "").strip()
        answer = _posted(f"{base}/views.open", token, {"trigger_id": trigger, "view": view})
        shown = answer.get("view")
        if answer.get("ok") is not True or not isinstance(shown, dict):
            code = str(answer.get("error"))
            raise NotStoredError(f"views.open: Slack refused: {code if code.isidentifier() else 'without a code'}")
        return str(shown.get("id") or ""), str(shown.get("hash") or "")


def _posted(url: str, token: str, body: Mapping[str, Any]) -> dict[str, Any]:
    headers = {
        "Host": url.split("/")[2],
        "Authorization": f"Bearer {token}",
        "Content-Type": "application/json; charset=utf-8",
        "Connection": "close",
    }
    try:
        connection = Connection(url, TIMEOUT_SECONDS)
        try:
            _, answer = connection.post(headers, json.dumps(body).encode())
        finally:
            connection.close()
        found = json.loads(answer)
    except (OSError, ValueError) as error:
        raise NotStoredError(f"views.open: no answer ({type(error).__name__})") from None
    return found if isinstance(found, dict) else {}


@lru_cache(maxsize=1)
def ports(account: str | None) -> SlackPorts:
    """Return the ports of this stage; `account` is the AWS account, None where only AWS knows it."""
    settings = Settings.from_env(os.environ)
    client = AwsJsonClient(settings.region, timeout_seconds=TIMEOUT_SECONDS)
    return SlackPorts(
        queue=SqsQueue(client, settings.notifications_queue, account=account),
        secrets=Secrets(client, settings.parameters, pause=sleep),
    )


def answer(headers: Mapping[str, str], body: bytes, *, account: str | None, now: datetime) -> HttpResponse:
    """Return the answer to Slack, after what it asks for was stored."""
    stage_ports = ports(account)
    stage_ports.secrets.values(NEEDED)
    return answered(
        headers,
        body,
        secrets=stage_ports.secrets,
        put=lambda message: stage_ports.queue.put([message]),
        open_view=stage_ports.open_view,
        now=now,
    )
