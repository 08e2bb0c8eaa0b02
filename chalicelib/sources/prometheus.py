"""Alertmanager's webhook under the name of Prometheus: everything as in alertmanager.py, the source is `prometheus`.

https://prometheus.io/docs/alerting/latest/configuration/#webhook_config. Alerts of both names are different alerts:
let a sender use one of them.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from chalicelib.core.event import Event
from chalicelib.sources import _alertmanager

NAME = "prometheus"
TITLE = "Prometheus"
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
