"""The first page: what is open, worst first, and what nobody is notified of; or since when nothing fires.

Open incidents are found by their summaries, and only those that are shown are read whole.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from chalicelib.core.errors import RequestError
from chalicelib.core.incident import IncidentStatus
from chalicelib.core.listing import listed, whole, with_alerts
from chalicelib.core.match import Matcher
from chalicelib.core.matcher_words import read_matchers
from chalicelib.core.ports import Store
from chalicelib.core.rule import Rules
from chalicelib.core.services import SERVICE
from chalicelib.core.summary import AlertSummary, Summary
from chalicelib.schedule.runs import PERIODS, last_runs
from chalicelib.web.picture import Picture, State, picture_of

MAX_ROWS = 50
MAX_CARDS = 3
LOOKED_BACK = timedelta(days=7)
"""How far back the end of the last incident is looked for."""
PROBES = "watch"
LATE_RUNS = 2
"""After so many periods without a run of the probes it is not known whether all is well."""


@dataclass(frozen=True, slots=True)
class Filter:
    """What the reader looks for: matchers, or words that titles and labels hold. `mistake` says why neither is one."""

    text: str = ""
    service: str = ""
    matchers: tuple[Matcher, ...] = ()
    words: tuple[str, ...] = ()

    @property
    def is_set(self) -> bool:
        """Return whether anything is left out."""
        return bool(self.text or self.service)

    def takes(self, alerts: Iterable[AlertSummary]) -> bool:
        """Return whether one of the alerts of an incident is looked for."""
        return any(self._takes(alert) for alert in alerts if alert.shown)

    def _takes(self, alert: AlertSummary) -> bool:
        if self.service and alert.labels.get(SERVICE) != self.service:
            return False
        text = " ".join((alert.event_name, *alert.labels.values())).casefold()
        return alert.matched_by(self.matchers) and all(word in text for word in self.words)


def filter_of(text: str, service: str) -> Filter:
    """Return the filter of a text: matchers such as `service=api`, else words."""
    text = text.strip()[:300]
    try:
        return Filter(text, service, tuple(read_matchers(text)))
    except RequestError:
        return Filter(text, service, words=tuple(text.casefold().split()))


@dataclass(frozen=True, slots=True)
class NowView:
    """What is open. `cards` are critical and nobody's, `rows` the rest that fires or closes, `muted` what is held back.

    `total` counts all open incidents, `found` those that the filter takes. `services` counts the open ones by service.
    `quiet_since` is when the last one ended; `probed_at` when the probes ran last, `probes` how many there are.
    """

    total: int
    found: int
    cards: tuple[Picture, ...] = ()
    rows: tuple[Picture, ...] = ()
    muted: tuple[Picture, ...] = ()
    services: tuple[tuple[str, int], ...] = ()
    quiet_since: datetime | None = None
    probed_at: datetime | None = None
    probes: int = 0
    asked: Filter = field(default_factory=Filter)

    @property
    def not_shown(self) -> int:
        """Return how many of the found ones have no room."""
        return self.found - len(self.cards) - len(self.rows) - len(self.muted)

    @property
    def unowned(self) -> int:
        """Return how many critical ones nobody has, of those that are shown."""
        return len(self.cards) + sum(each.is_unowned for each in self.rows)

    def is_known_to_be_quiet(self, now: datetime) -> bool:
        """Return whether somebody looked lately: a stage whose probes stand still knows nothing."""
        if not self.probes:
            return True
        return self.probed_at is not None and now <= self.probed_at + LATE_RUNS * PERIODS[PROBES]


def now_view(store: Store, rules: Rules, now: datetime, *, asked: Filter, timezone: str) -> NowView:
    """Return what the first page shows a reader in this zone."""
    summaries = [each for each in listed(store) if each.status is IncidentStatus.OPEN]
    known = list(with_alerts(store, summaries))
    found = [each for each, alerts in known if asked.takes(alerts)] if asked.is_set else summaries
    found.sort(key=place)
    pictures = pictures_of(store, found[:MAX_ROWS], rules, now, timezone)
    cards = [each for each in pictures if each.is_unowned][:MAX_CARDS]
    muted = [each for each in pictures if each.state is State.MUTED]
    probes = sum(len(each) for each in rules.probes.values())
    return NowView(
        total=len(summaries),
        found=len(found) if len(found) > MAX_ROWS else len(pictures),
        cards=tuple(cards),
        rows=tuple(each for each in pictures if each not in cards and each not in muted),
        muted=tuple(muted),
        services=_services(known),
        quiet_since=None if summaries else _last_end(store, now),
        probed_at=last_runs(store, [PROBES]).get(PROBES) if probes else None,
        probes=probes,
        asked=asked,
    )


def pictures_of(store: Store, chosen: Sequence[Summary], rules: Rules, now: datetime, timezone: str) -> list[Picture]:
    """Return the incidents that are still open, in this order. A summary may be a moment older than its incident."""
    read = whole(store, chosen)
    there = [read[each.name] for each in chosen if each.name in read]
    there = [each for each in there if each.status is IncidentStatus.OPEN]
    context = store.context() if there else None
    return [picture_of(each, rules, context, now, timezone) for each in there] if context is not None else []


def place(each: Summary) -> tuple[int, str, str]:
    """Return where an incident is in a list: worst first, then the oldest."""
    return each.severity.rank, each.at.isoformat() if each.at else "", each.name


def _services(known: Iterable[tuple[Summary, Sequence[AlertSummary]]]) -> tuple[tuple[str, int], ...]:
    """Return how many incidents are open of each service, the most first."""
    found: Counter[str] = Counter()
    for _, alerts in known:
        found.update({name for alert in alerts if alert.shown and (name := alert.labels.get(SERVICE, ""))})
    return tuple(sorted(found.items(), key=lambda each: (-each[1], each[0])))


def _last_end(store: Store, now: datetime) -> datetime | None:
    ended = (each.at for each in listed(store, ended_since=now - LOOKED_BACK) if each.status is IncidentStatus.ENDED)
    return max((at for at in ended if at is not None), default=None)
