"""How many incidents are open, and of which service, counted once a minute by the tick: what the page shows beside rows.

The tick also looks for open incidents that the index of rows lacks, because a version without rows saved them, and for
rows that a silence has changed by its beginning or end, and has them saved once more. Until five minutes have passed without any, a page does not rely on the index.
"""

import json
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from chalicelib.core.context import Silence
from chalicelib.core.errors import NotStoredError
from chalicelib.core.glancing import has_turned, may_mute
from chalicelib.core.incident import IncidentStatus
from chalicelib.core.listing import pages
from chalicelib.core.ports import Queue, Store
from chalicelib.messages.queue import wake_message
from chalicelib.process.look import ROLLED_OUT
from chalicelib.schedule.reconciliation import instant_or_none

MARK = "open_incidents"
MAX_PAGES = 10
"""Of a thousand incidents each: more are not counted."""
MAX_SAVED_ANEW = 100
"""So many incidents without a row one tick has saved once more."""
FRESH = timedelta(minutes=3)
MAX_SERVICES = 50


@dataclass(frozen=True, slots=True)
class OpenCounts:
    """How many incidents were open at a time, and of each service; active silences; dead letters.

    `whole_since`: since then no incident lacked its row.
    """

    at: datetime
    total: int = 0
    services: tuple[tuple[str, int], ...] = ()
    silences: int = 0
    dead: int = 0
    whole_since: datetime | None = None

    def has_rows(self, now: datetime) -> bool:
        """Return whether the index of rows has every open incident: no worker without rows has saved one lately."""
        return self.whole_since is not None and now >= self.whole_since + ROLLED_OUT

    def has_ended(self, now: datetime, back: timedelta) -> bool:
        """Return whether it also has every incident that has ended within that time."""
        return self.whole_since is not None and now >= self.whole_since + back


def read_counts(store: Store, now: datetime) -> OpenCounts | None:
    """Return what the tick counted last; None where that is too long ago, or cannot be read."""
    with suppress(NotStoredError):
        return counts_from(store.marks([MARK]).get(MARK), now)
    return None


def counts_from(text: str | None, now: datetime) -> OpenCounts | None:
    """Return the counts of a mark; None of none, and of old ones."""
    if text is None:
        return None
    found = json.loads(text)
    at = instant_or_none(found["at"])
    if at is None or now > at + FRESH:
        return None
    services = tuple((name, count) for name, count in found["services"])
    since = instant_or_none(found["whole_since"])
    return OpenCounts(at, found["total"], services, found["silences"], found["dead"], since)


def count_open(store: Store, webhooks: Queue, now: datetime, *, dead: int = 0) -> None:
    """Count what is open, and have saved once more what lacks its row. What cannot be stored waits for the next minute.

    `dead` is how many dead letters there are.
    """
    with suppress(NotStoredError):
        before = counts_from(store.marks([MARK]).get(MARK), now)
        silences = store.context().all_silences
        found, missing, turned = _counted(store, silences, now)
        if anew := [*(missing or ()), *turned][:MAX_SAVED_ANEW]:
            webhooks.put([wake_message(key) for key in anew])
        since = (before.whole_since if before is not None else None) or now
        active = sum(each.active(now) for each in silences)
        whole_since = None if missing is None or missing else since
        store.put_mark(MARK, written(replace(found, silences=active, dead=dead, whole_since=whole_since)))


def _counted(
    store: Store, silences: Sequence[Silence], now: datetime
) -> tuple[OpenCounts, list[str] | None, list[str]]:
    """Return the counts, and the keys of incidents without a row and of those whose row a silence has changed.

    Without an index of rows None are without one.
    """
    late = [each for each in silences if any(now - FRESH < at <= now for at in (each.starts_at, each.ends_at))]
    turned: list[str] = []
    total, services = 0, Counter[str]()
    lacking: list[str] = []
    rows = store.worst()
    known = {each.id: each for each in rows or ()}
    for _, page in zip(range(MAX_PAGES), pages(store), strict=False):
        for each in page.summaries:
            if each.status is not IncidentStatus.OPEN:
                continue
            total += 1
            row = known.get(each.id)
            shown = {name for alert in each.alerts if alert.shown and (name := alert.labels.get("service", ""))}
            services.update(shown or (row.services if row is not None else ()))
            if row is None:
                lacking.append(each.key)
            elif (changed := [silence for silence in late if has_turned(silence, row, now)]) and may_mute(
                changed, each
            ):
                turned.append(each.key)
    most = tuple(sorted(services.items(), key=lambda each: (-each[1], each[0]))[:MAX_SERVICES])
    found = OpenCounts(now, total, most)
    return found, None if rows is None else _without_rows(store, lacking), turned


def _without_rows(store: Store, keys: list[str]) -> list[str]:
    """Return which incidents were saved without a row: one that was saved a moment ago may only be late in the index."""
    read = store.load_all(keys[:MAX_SAVED_ANEW])
    return [key for key, each in read.items() if each.status is IncidentStatus.OPEN and each.glance is None]


def written(found: OpenCounts) -> str:
    """Return the text of the mark."""
    return json.dumps(
        {
            "at": found.at.isoformat(),
            "total": found.total,
            "services": found.services,
            "silences": found.silences,
            "dead": found.dead,
            "whole_since": found.whole_since.isoformat() if found.whole_since is not None else "",
        },
        separators=(",", ":"),
    )
