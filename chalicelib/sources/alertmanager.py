"""Alertmanager's webhook, version 4: a group of alerts, some of which may have ended. Work goes by alert.

It signs nothing: set `authorization` (bearer) or `basic_auth` in the receiver's `http_config`, or put the secret into
the address. 5xx is tried again, 4xx and 429 never; nothing but `max_alerts` bounds a body.
https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
"""

from collections.abc import Mapping
from datetime import datetime

from chalicelib.core.event import Event
from chalicelib.sources import _alertmanager

NAME = "alertmanager"
TITLE = "Alertmanager"
SECRETS = ("ALERTMANAGER_SECRET",)

verify, delivery_id = _alertmanager.verify, _alertmanager.delivery_id


def parse(headers: Mapping[str, str], body: bytes, *, received_at: datetime) -> list[Event]:
    """Return an event for each alert. Raise ParseError when the body is no JSON object."""
    return _alertmanager.parse(body, source=NAME, received_at=received_at)
