"""Alertmanager's webhook under the name of Prometheus: everything as in alertmanager.py, the source is `prometheus`.

https://prometheus.io/docs/alerting/latest/configuration/#webhook_config. Alerts of both names are different alerts:
let a sender use one of them.
"""

from collections.abc import Mapping
from datetime import datetime

from chalicelib.core.event import Event
from chalicelib.sources import _alertmanager

NAME = "prometheus"
TITLE = "Prometheus"
SECRETS = ("ALERTMANAGER_SECRET",)

verify, delivery_id = _alertmanager.verify, _alertmanager.delivery_id


def parse(headers: Mapping[str, str], body: bytes, *, received_at: datetime) -> list[Event]:
    """Return an event for each alert. Raise ParseError when the body is no JSON object."""
    return _alertmanager.parse(body, source=NAME, received_at=received_at)
