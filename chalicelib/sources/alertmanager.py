"""Alertmanager's webhook, version 4: a group of alerts, some of which may have ended. Work goes by alert.

It signs nothing: set `authorization` (bearer) or `basic_auth` in the receiver's `http_config`, or put the secret into
the address. 5xx is tried again, 4xx and 429 never; nothing but `max_alerts` bounds a body.
https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from chalicelib.core.event import Event
from chalicelib.sources import _alertmanager

NAME = "alertmanager"
TITLE = "Alertmanager"
SECRETS = ("ALERTMANAGER_SECRET",)


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], *, path_secret: str | None = None) -> None:
    """Raise SignatureError unless the request brings the secret: as bearer, as basic password, or in the address."""
    _alertmanager.verify(headers, secrets, path_secret)


def delivery_id(headers: Mapping[str, str], body: bytes) -> str | None:
    """Alertmanager gives no id; the same content counts as the same delivery."""
    return None


def parse(headers: Mapping[str, str], body: bytes, *, received_at: datetime) -> list[Event]:
    """One event for each alert; raises ParseError when the body is no JSON object."""
    return _alertmanager.parse(body, source=NAME, received_at=received_at)
