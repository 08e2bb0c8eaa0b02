"""The page of rules, as values: what each means, whether it can fire, and what became of its alerts in a week.

What became of an incident is in its row, which an index shows. Incidents that the version before saved are read.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from chalicelib import plugins
from chalicelib.core.context import Context
from chalicelib.core.event import OWN_SOURCES
from chalicelib.core.glance import Glance, Outcome
from chalicelib.core.glancing import outcome_of
from chalicelib.core.incident import IncidentStatus
from chalicelib.core.listing import listed, whole, with_alerts
from chalicelib.core.match import matches_all
from chalicelib.core.ports import Store
from chalicelib.core.rule import Rule, Rules
from chalicelib.core.summary import Summary
from chalicelib.rules.words import notified_of, sentence
from chalicelib.schedule.last_seen import SourceActivity, activity_from
from chalicelib.schedule.open_counts import OpenCounts

WEEK = timedelta(days=7)
MAX_READ = 100
"""So many incidents without a row are read whole: the newest ones."""
MIN_NOISE = 5
"""Of fewer incidents nothing is concluded."""
SOURCE = "source"
HEARTBEATS, PROBES, ROUTER = "heartbeat", "probe", "router"


@dataclass(frozen=True, slots=True)
class CanFire:
    """Whether something is there that the rule looks at: `ok`, `unknown` (nothing came of it yet) or `no`, and why."""

    sign: str
    why: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """What became of a rule in the week. Of its `fired` incidents `read` are known; the rest counts those."""

    fired: int = 0
    read: int = 0
    last_at: datetime | None = None
    acted: int = 0
    soon: int = 0
    never: int = 0

    @property
    def is_noisy(self) -> bool:
        """Return whether most of it ended by itself before anybody could act."""
        return self.read >= MIN_NOISE and self.soon * 2 > self.read


NO_RECORD = Record()


@dataclass(frozen=True, slots=True)
class RuleRow:
    """A rule in words, with what is known of it."""

    name: str
    sentence: str
    notified: str
    can_fire: CanFire
    record: Record


@dataclass(frozen=True, slots=True)
class Week:
    """What became of the incidents of a week. `total` were listed, of `known` the outcome is known, the newest first.

    `open` are the rows of what is open, the worst first; None where there is no index of rows.
    """

    total: int
    known: tuple[Outcome, ...]
    fired: Mapping[str, int]
    open: tuple[Glance, ...] | None = None


def week_of(store: Store, counts: OpenCounts | None, now: datetime) -> Week:
    """Return the week: by the index of rows alone, once it has them all; else the newest without a row are read whole."""
    rows = _rows(store, counts, now)
    if rows is not None and counts is not None and counts.has_ended(now, WEEK) and counts.has_rows(now):
        outcomes = _outcomes(store, [_summary(each) for each in rows.values()], rows, now)
        names = Counter(name for each in outcomes for name in each.begins)
        return Week(len(rows), tuple(outcomes), names, _open(rows))
    summaries = listed(store, ended_since=now - WEEK)
    return Week(
        len(summaries), tuple(_outcomes(store, summaries, rows or {}, now)), _fired(store, summaries), _open(rows)
    )


def _rows(store: Store, counts: OpenCounts | None, now: datetime) -> dict[str, Glance] | None:
    found = store.worst(ended_since=now - WEEK) if counts is not None else None
    if found is None:
        return None
    return {each.id: each for each in found if each.ended_at is None or each.ended_at > now - WEEK}


def _open(rows: Mapping[str, Glance] | None) -> tuple[Glance, ...] | None:
    return None if rows is None else tuple(each for each in rows.values() if each.ended_at is None)


def _summary(row: Glance) -> Summary:
    """Return what an incident is found by."""
    status = IncidentStatus.OPEN if row.ended_at is None else IncidentStatus.ENDED
    return Summary(row.key, row.id, status, row.severity, row.ended_at or row.since)


def _outcomes(store: Store, summaries: Sequence[Summary], rows: Mapping[str, Glance], now: datetime) -> list[Outcome]:
    """Return what became of the incidents whose rows say it, and of the newest of the others, which are read whole."""
    newest = sorted(summaries, key=lambda each: each.at or now, reverse=True)
    said = {each.name: rows[each.name].outcome for each in newest if each.name in rows}
    said = {name: each for name, each in said.items() if not each.cut}
    unsaid = [each for each in newest if each.name not in said]
    read = {name: outcome_of(each) for name, each in whole(store, unsaid[:MAX_READ]).items()} if unsaid else {}
    return [*said.values(), *read.values()]


def rule_rows(store: Store, rules: Rules, context: Context, record: Callable[[str], Record]) -> tuple[RuleRow, ...]:
    """Return the rules, each with what became of its incidents in a week."""
    seen = _seen(context)
    found = [(rule, record(rule.name)) for rule in rules.rules]
    return tuple(
        RuleRow(
            rule.name,
            sentence(rule),
            notified_of(rule, rules),
            can_fire(rule, rules, seen, store, fired=known.fired),
            known,
        )
        for rule, known in found
    )


def _fired(store: Store, summaries: Sequence[Summary]) -> dict[str, int]:
    """Return in how many incidents each name of an alert was."""
    found: dict[str, int] = {}
    for _, alerts in with_alerts(store, summaries):
        for name in {alert.name for alert in alerts if alert.shown}:
            found[name] = found.get(name, 0) + 1
    return found


def _seen(context: Context) -> dict[str, datetime]:
    """Return when a webhook of each source was last accepted, as the repair function knows it."""
    return {source: found.last_at for source, found in activities(context).items()}


def activities(context: Context) -> Mapping[str, SourceActivity]:
    """Return what is known of each source that ever sent something."""
    marks = {key.partition(":")[2]: text for key, text in context.marks.items() if key.startswith("heard:")}
    found = {source: activity_from(text) for source, text in marks.items()}
    return {source: each for source, each in found.items() if each is not None}


# ---------------------------------------------------------------------------------------------------------------------
# What became of it


def record_of(name: str, fired: int, known: Iterable[Outcome]) -> Record:
    """Return what became of a rule that fired so often, by the incidents of which it is known."""
    own = [each for each in known if name in each.begins]
    return Record(
        fired,
        len(own),
        max((each.begins[name] for each in own), default=None),
        sum(each.acted for each in own),
        sum(name in each.soon for each in own),
        sum(not each.acked for each in own),
    )


# ---------------------------------------------------------------------------------------------------------------------
# Whether it can fire


def can_fire(rule: Rule, rules: Rules, seen: Mapping[str, datetime], store: Store, *, fired: int = 0) -> CanFire:
    """Return whether something is there that a rule looks at. It `fired` so often in the week."""
    if rule.condition is not None and rule.condition.metrics:
        return _measured(rule, rules, store)
    found = _received(rule, rules, seen)
    return found if found.sign == "ok" or not fired else CanFire("ok", "it fired in the last 7 days")


def _measured(rule: Rule, rules: Rules, store: Store) -> CanFire:
    metrics = sorted(rule.condition.metrics) if rule.condition is not None else []
    missing = [metric for metric in metrics if not _series(rule, metric, store)]
    if not missing:
        return CanFire("ok", f"{', '.join(metrics)} measured within a day")
    what = f"nothing measured {', '.join(missing)} within a day"
    if not any(rules.probes.values()) and not rules.sources:
        return CanFire("no", f"{what}, and the rules file has no probe and no source of its own")
    return CanFire("no", f"{what}{_of_matchers(rule)}")


def _of_matchers(rule: Rule) -> str:
    return f" of what has {', '.join(each.written() for each in rule.matchers)}" if rule.matchers else ""


def _series(rule: Rule, metric: str, store: Store) -> bool:
    return any(
        matches_all([each for each in rule.matchers if each.label in labels], labels)
        for labels in store.label_sets(metric)
    )


def _received(rule: Rule, rules: Rules, seen: Mapping[str, datetime]) -> CanFire:
    """Return whether a source sends what the rule looks at. What its other matchers ask for cannot be known."""
    asked = [each for each in rule.matchers if each.label == SOURCE]
    fitting = [name for name in sources_of(rules) if matches_all(asked, {SOURCE: name})]
    if not fitting:
        return CanFire("no", f"no source fits {', '.join(each.written() for each in asked)}")
    if inner := [name for name in fitting if name in OWN_SOURCES]:
        return CanFire("ok", f"built in: {', '.join(inner)}")
    newest = max((name for name in fitting if name in seen), key=lambda name: seen[name], default=None)
    if newest is None:
        named = f"of {fitting[0]}" if len(fitting) == 1 else "of any source that fits"
        return CanFire("unknown", f"no webhook {named} was accepted yet")
    return CanFire("ok", newest, seen[newest])


def sources_of(rules: Rules) -> Iterator[str]:
    """Yield the sources that can send anything: those that are built in, those of the file, and what Tocsin makes itself."""
    yield from (name for name in plugins.names("sources") if name != plugins.GENERIC)
    yield from (str(each.get("name")) for each in rules.sources)
    yield ROUTER
    if rules.probes.get(HEARTBEATS):
        yield HEARTBEATS
    if any(found for kind, found in rules.probes.items() if kind != HEARTBEATS):
        yield PROBES
