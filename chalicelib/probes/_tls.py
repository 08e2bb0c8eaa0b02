"""A connection whose certificates are measured: for how many days the first of them is good, below zero once one has ended."""

import ssl
from datetime import UTC, datetime, timedelta

from chalicelib.probes._attempt import Attempt, Connection
from chalicelib.probes._errors import Down
from chalicelib.probes._trust import EXPIRED, first_end, unchecked

METRIC = "tls_days_left"


async def connected(
    attempt: Attempt, host: str, port: int, trust: ssl.SSLContext | None, *, is_watched: bool = True
) -> Connection:
    """Return a connection, with TLS where there is a context. Note the days of its certificates where they are watched.

    Raise Down when there is none. One that is refused because a certificate has ended is measured all the same.
    """
    try:
        connection = await attempt.connect(host, port, tls=trust)
    except Down as down:
        if is_watched and getattr(down.__cause__, "verify_code", None) == EXPIRED:
            _note_end(attempt, await attempt.connect(host, port, tls=unchecked()), verified=False)
        raise
    if is_watched:
        _note_end(attempt, connection, verified=True)
    return connection


def _note_end(attempt: Attempt, connection: Connection, *, verified: bool) -> None:
    """Keep the fewest days that a certificate of this try is good for, over all hosts and their chains."""
    end = first_end(connection.tls, verified=verified) if connection.tls else None
    if end is None:
        return
    # By the clock that TLS goes by. What has ended otherwise is the authority's certificate, which servers do not send.
    if not verified and end > datetime.now(UTC):
        return
    days = (end - attempt.now) / timedelta(days=1)
    before = [each for each in attempt.samples if each.metric == METRIC]
    attempt.samples = [each for each in attempt.samples if each.metric != METRIC]
    attempt.add(METRIC, min([days, *(each.value for each in before if each.value is not None)]))
