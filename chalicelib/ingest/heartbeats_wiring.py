"""Builds what `receive_beat` needs: the ports of the ingest path, and the names of the heartbeats."""

from datetime import datetime
from urllib.parse import unquote

from chalicelib.ingest.heartbeats import receive_beat
from chalicelib.ingest.receive import HttpResponse
from chalicelib.ingest.registry import COMPILED, heartbeats
from chalicelib.ingest.wiring import ports


def answer_beat(
    name: str, token: str, word: str, run: str, body: bytes, *, account: str | None, now: datetime
) -> HttpResponse:
    """Return the answer to the sender of a heartbeat, after its signal was stored."""
    found, names = ports(account), heartbeats(COMPILED)
    known = name if name in names else unquote(name)
    return receive_beat(known, token, word, run, body, names=names, secrets=found.secrets, put=found.queue.put, now=now)
