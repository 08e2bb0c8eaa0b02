"""Builds what `receive_alerts` needs: the ports of the ingest path, and Alertmanager's plug-in."""

from collections.abc import Mapping
from datetime import datetime

from chalicelib.ingest.alerts import SOURCE, receive_alerts
from chalicelib.ingest.receive import HttpResponse
from chalicelib.ingest.registry import find_source
from chalicelib.ingest.wiring import count, ports


def answer_alerts(headers: Mapping[str, str], body: bytes, *, account: str | None, now: datetime) -> HttpResponse:
    """Return the answer to a sender of Alertmanager's API v2, after its alerts were stored."""
    found = ports(account)
    plugin = find_source(SOURCE)
    answer = receive_alerts(headers, body, plugin=plugin, secrets=found.secrets, put=found.queue.put, now=now)
    count(found, SOURCE, answer.status, now)
    return answer
