"""Rows of lists as the index of the table shows them: a list of values, compressed, of at most 300 bytes."""

import json
import math
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from chalicelib.core.delivery.writing import cut
from chalicelib.core.event import Severity
from chalicelib.core.glance import Glance, Outcome, State

FORM = 1
"""Of a stored row. Another form has another number."""
MAX_BYTES = 300


def packed(glance: Glance) -> bytes:
    """Return a row as it is stored."""
    known = glance.outcome
    begins = [[name, _down(at)] for name, at in known.begins.items()]
    outcome = (begins, int(known.acted), int(known.acked), list(known.soon), int(known.cut))
    values = (
        FORM, _down(glance.at), glance.id, _down(glance.since), glance.essence, glance.state, glance.severity, glance.title,
        glance.cause, glance.where, glance.owner, glance.services, glance.alerts, glance.holder, _up(glance.held_until),
        glance.muted_by, _up(glance.muted_until), _up(glance.next_at), glance.next_targets, _up(glance.closes_at),
        glance.route, _down(glance.ended_at), outcome,
    )  # fmt: skip
    text = json.dumps(values, separators=(",", ":"), ensure_ascii=False)
    return zlib.compress(text.encode("utf-8", "surrogatepass"), 9)


def unpacked(data: bytes, key: str) -> Glance | None:
    """Return the row that was stored for an incident's key; None for one of a later version."""
    form, *values = json.loads(zlib.decompress(data).decode("utf-8", "surrogatepass"))
    return _read(values, key) if form == FORM else None


def _read(values: list[Any], key: str) -> Glance:
    at, id, since, essence, state, severity, title, cause, where, owner, services, alerts, *rest = values
    holder, held_until, muted_by, muted_until, next_at, targets, closes_at, route, ended_at, outcome = rest
    begins, acted, acked, soon, cut_off = outcome
    return Glance(
        at=_instant(at),
        id=id,
        key=key,
        since=_instant(since),
        essence=essence,
        state=State(state),
        severity=Severity(severity),
        title=title,
        cause=cause,
        where=where,
        owner=owner,
        services=tuple(services),
        alerts=alerts,
        holder=holder,
        held_until=_or_none(held_until),
        muted_by=muted_by,
        muted_until=_or_none(muted_until),
        next_at=_or_none(next_at),
        next_targets=tuple(targets),
        closes_at=_or_none(closes_at),
        route=route,
        ended_at=_or_none(ended_at),
        outcome=Outcome(
            {name: _instant(at) for name, at in begins}, bool(acted), bool(acked), tuple(soon), bool(cut_off)
        ),
    )


def fitted(glance: Glance) -> Glance:
    """Return a row as it is read back: with whole seconds, and with as much of its texts as there is room for."""
    return next(
        found
        for each in _shorter(glance)
        if len(data := packed(each)) <= MAX_BYTES and (found := unpacked(data, each.key)) is not None
    )


def _shorter(glance: Glance) -> Iterator[Glance]:
    """Yield the row with less and less of what it can do without; the title goes last."""
    yield glance
    for shorten in _STEPS:
        glance = shorten(glance)
        yield glance
    while True:
        shorter = max(1, len(glance.title) // 2)
        glance = replace(
            glance,
            title=cut(glance.title, shorter),
            route="",
            where="",
            services=(),
            holder=cut(glance.holder, shorter),
        )
        yield glance


_STEPS: tuple[Callable[[Glance], Glance], ...] = (
    lambda each: replace(each, cause=cut(each.cause, 120), next_targets=each.next_targets[:1]),
    lambda each: replace(each, cause=cut(each.cause, 80), muted_by=cut(each.muted_by, 80), owner=cut(each.owner, 40)),
    lambda each: replace(each, title=cut(each.title, 100), where=cut(each.where, 50), holder=cut(each.holder, 40)),
    lambda each: replace(each, cause=cut(each.cause, 50), next_targets=()),
    lambda each: replace(each, outcome=Outcome({}, each.outcome.acted, each.outcome.acked, (), cut=True)),
    lambda each: replace(each, cause="", owner="", services=each.services[:1], muted_by=cut(each.muted_by, 40)),
    lambda each: replace(each, title=cut(each.title, 60), where=cut(each.where, 20), muted_by=cut(each.muted_by, 20)),
)


def _down(at: datetime | None) -> int | None:
    return None if at is None else math.floor(at.timestamp())


def _up(at: datetime | None) -> int | None:
    return None if at is None else math.ceil(at.timestamp())


def _instant(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _or_none(seconds: int | None) -> datetime | None:
    return None if seconds is None else _instant(seconds)
