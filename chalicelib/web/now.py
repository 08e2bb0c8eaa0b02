"""The first page: what is open, worst first, and what nobody is notified of; or since when nothing fires.

The worst are listed by the index of rows, and only cards are read whole. A filter finds incidents by their summaries; one
by service and severity alone, where many are open, finds them among the worst rows.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from chalicelib.core.errors import RequestError
from chalicelib.core.glance import Glance, State
from chalicelib.core.incident import IncidentStatus
from chalicelib.core.listing import listed, with_alerts
from chalicelib.core.match import Matcher, matches_all
from chalicelib.core.matcher_words import read_matchers
from chalicelib.core.picture import Picture
from chalicelib.core.ports import Store
from chalicelib.core.services import SERVICE
from chalicelib.core.summary import AlertSummary, Summary
from chalicelib.schedule.runs import PERIODS, last_runs
from chalicelib.web.rows import Look, indexed_rows, pictures_of_rows, place, read_rows, row_place

MAX_ROWS = 50
MAX_CARDS = 3
MANY, MAX_LOOKED_AT = 100, 200
"""With more open incidents than MANY a filter that rows can answer looks at rows alone, and at so many of the worst."""
ROW_LABELS = {SERVICE, "severity"}
"""The labels of which a row knows the values of its incident."""
SLACK = 20
"""So many rows more than needed are read: what somebody has, or is muted, is behind others of its severity."""
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

    @property
    def is_of_rows(self) -> bool:
        """Return whether a row shows all that is asked for."""
        return not self.words and all(each.label in ROW_LABELS for each in self.matchers)

    def takes_row(self, row: Glance) -> bool:
        """Return whether an incident with this row is looked for: by its services, and by its worst severity."""
        found = [{SERVICE: name, "severity": row.severity.value} for name in row.services or ("",)]
        return any(self.service in ("", each[SERVICE]) and matches_all(self.matchers, each) for each in found)

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
    `looked_at` is how many of the worst a filter looked at; 0 where it looked at all.
    `quiet_since` is when the last one ended; `probed_at` when the probes ran last, `probes` how many there are.
    """

    total: int
    found: int
    cards: tuple[Picture, ...] = ()
    rows: tuple[Glance, ...] = ()
    muted: tuple[Glance, ...] = ()
    services: tuple[tuple[str, int], ...] = ()
    quiet_since: datetime | None = None
    probed_at: datetime | None = None
    probes: int = 0
    asked: Filter = field(default_factory=Filter)
    looked_at: int = 0

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


def now_view(look: Look, *, asked: Filter) -> NowView:
    """Return what the first page shows. Without a filter it reads the worst rows alone, and only cards whole."""
    if asked.is_set:
        return _among_rows(look, asked) or _filtered(look, asked)
    rows = indexed_rows(look, MAX_ROWS)
    if rows is None or look.counts is None:
        return _filtered(look, asked)
    if len(rows) < MAX_ROWS:
        return _view(look, asked, rows, len(rows), len(rows), _services(each.services for each in rows))
    total = max(look.counts.total, len(rows))
    return _view(look, asked, rows, total, total, look.counts.services)


def _among_rows(look: Look, asked: Filter) -> NowView | None:
    """Return the view of a filter by the worst rows; None where few are open, or rows cannot answer it."""
    if look.counts is None or look.counts.total <= MANY or not asked.is_of_rows:
        return None
    rows = indexed_rows(look, MAX_LOOKED_AT)
    if rows is None:
        return None
    total = max(look.counts.total, len(rows)) if len(rows) == MAX_LOOKED_AT else len(rows)
    found = sorted((each for each in rows if asked.takes_row(each)), key=row_place)
    view = _view(look, asked, found[:MAX_ROWS], total, len(found), look.counts.services)
    return replace(view, looked_at=len(rows) if len(rows) < total else 0)


def _filtered(look: Look, asked: Filter) -> NowView:
    """Return the view of the incidents that a filter takes, or of all: found by their summaries."""
    summaries = [each for each in listed(look.store) if each.status is IncidentStatus.OPEN]
    known = list(with_alerts(look.store, summaries))
    found = [each for each, alerts in known if asked.takes(alerts)] if asked.is_set else summaries
    found.sort(key=place)
    shown = found[:MAX_ROWS]
    rows = _indexed(look, shown, _reaches(shown, summaries)) or read_rows(shown, look)
    services = _services({alert.labels.get(SERVICE, "") for alert in alerts if alert.shown} for _, alerts in known)
    return _view(look, asked, rows, len(summaries), len(found) if len(found) > MAX_ROWS else len(rows), services)


def _reaches(shown: Sequence[Summary], summaries: Sequence[Summary]) -> int | None:
    """Return about how many of the worst rows have all that are shown; None where that is nearly all."""
    if not shown:
        return None
    last = place(shown[-1])
    before = sum(place(each) <= last for each in summaries)
    return before + SLACK if before + SLACK < len(summaries) else None


def _indexed(look: Look, shown: Sequence[Summary], limit: int | None) -> list[Glance]:
    """Return the rows of what is shown from the index; none where it lacks some."""
    names = {each.name for each in shown}
    for most in dict.fromkeys((limit, None)):
        kept = [each for each in (indexed_rows(look, most) if names else None) or () if each.id in names]
        if len(kept) == len(shown):
            return kept
    return []


def _view(
    look: Look, asked: Filter, rows: Sequence[Glance], total: int, found: int, services: tuple[tuple[str, int], ...]
) -> NowView:
    store, rules = look.store, look.rules
    rows = sorted(rows, key=row_place)
    unowned = [each for each in rows if each.is_unowned][:MAX_CARDS]
    cards = [each for each in pictures_of_rows(unowned, look) if each.is_unowned]
    carded = {each.incident.id for each in cards}
    muted = [each for each in rows if each.state is State.MUTED]
    probes = sum(len(each) for each in rules.probes.values())
    return NowView(
        total=total,
        found=found,
        cards=tuple(cards),
        rows=tuple(each for each in rows if each.id not in carded and each not in muted),
        muted=tuple(muted),
        services=services,
        quiet_since=None if total else _last_end(store, look.now),
        probed_at=last_runs(store, [PROBES]).get(PROBES) if probes else None,
        probes=probes,
        asked=asked,
    )


def _services(named: Iterable[Iterable[str]]) -> tuple[tuple[str, int], ...]:
    """Return how many incidents are open of each service, the most first. `named` are the services of each incident."""
    found: Counter[str] = Counter()
    for names in named:
        found.update({name for name in names if name})
    return tuple(sorted(found.items(), key=lambda each: (-each[1], each[0])))


def _last_end(store: Store, now: datetime) -> datetime | None:
    ended = (each.at for each in listed(store, ended_since=now - LOOKED_BACK) if each.status is IncidentStatus.ENDED)
    return max((at for at in ended if at is not None), default=None)
