"""The page of rules, as values: what each means, whether it can fire, and what became of its alerts in a week.

How often a rule fired is known by the summaries of the week. What became of it is read from the newest incidents.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from chalicelib import plugins
from chalicelib.core.context import Context
from chalicelib.core.event import OWN_SOURCES, ActionKind
from chalicelib.core.incident import Incident, IncidentStatus
from chalicelib.core.listing import whole, with_alerts
from chalicelib.core.match import matches_all
from chalicelib.core.ports import Store
from chalicelib.core.rule import Rule, Rules
from chalicelib.core.summary import Summary
from chalicelib.rules.words import notified_of, sentence
from chalicelib.schedule.last_seen import SourceActivity, activity_from

WEEK = timedelta(days=7)
SOON = timedelta(minutes=5)
MAX_READ = 100
"""So many incidents are read whole: the newest ones."""
ACTED = frozenset((ActionKind.ACK, ActionKind.RESOLVE, ActionKind.REASSIGN, "silence"))
"""The lines of a timeline that say that a person did something about it, by their kind."""
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
    """What became of a rule in the week. Of its `fired` incidents `read` were read whole; the rest counts those."""

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


@dataclass(frozen=True, slots=True)
class RuleRow:
    """A rule in words, with what is known of it."""

    name: str
    sentence: str
    notified: str
    can_fire: CanFire
    record: Record


@dataclass(frozen=True, slots=True)
class RulesView:
    """All rules. `incidents` were listed in the week, of which the newest `read` were read whole; `others` had no rule."""

    rows: tuple[RuleRow, ...]
    incidents: int
    read: int
    others: int = 0

    @property
    def unable(self) -> int:
        """Return how many rules cannot fire."""
        return sum(each.can_fire.sign == "no" for each in self.rows)


def rules_view(store: Store, rules: Rules, context: Context, summaries: Sequence[Summary], now: datetime) -> RulesView:
    """Return the rules with what became of them. `summaries` are those of the incidents of the week."""
    newest = sorted(summaries, key=lambda each: each.at or now, reverse=True)
    fired = _fired(store, newest)
    read = list(whole(store, newest[:MAX_READ]).values())
    seen = _seen(context)
    rows = [
        RuleRow(
            rule.name,
            sentence(rule),
            notified_of(rule, rules),
            can_fire(rule, rules, seen, store, fired=fired.get(rule.name, 0)),
            _record(rule.name, fired.get(rule.name, 0), read),
        )
        for rule in rules.rules
    ]
    known = {rule.name for rule in rules.rules}
    return RulesView(tuple(rows), len(summaries), len(read), sum(n for name, n in fired.items() if name not in known))


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


def _record(name: str, fired: int, read: Iterable[Incident]) -> Record:
    own = [each for each in read if any(alert.name == name for alert in each.shown)]
    begins = [alert.starts_at for each in own for alert in each.shown if alert.name == name and alert.starts_at]
    return Record(
        fired,
        len(own),
        max(begins, default=None),
        sum(map(_was_acted_on, own)),
        sum(_ended_soon(each, name) for each in own),
        sum(not _was_acknowledged(each) for each in own),
    )


def _was_acted_on(incident: Incident) -> bool:
    """Return whether a person acknowledged, silenced, resolved or assigned it, or asked for a roll back."""
    acts = any(entry.kind in ACTED and entry.by for entry in incident.timeline.entries)
    return acts or _was_acknowledged(incident) or bool(incident.episode.closed_via)


def _was_acknowledged(incident: Incident) -> bool:
    lines = any(entry.kind == ActionKind.ACK for entry in incident.timeline.entries)
    return lines or any(alert.ack.by for alert in incident.alerts.values())


def _ended_soon(incident: Incident, name: str) -> bool:
    """Return whether its alerts of that name ended by themselves, each within five minutes."""
    if incident.status is not IncidentStatus.ENDED or _was_resolved(incident):
        return False
    own = [alert for alert in incident.shown if alert.name == name]
    return all(
        alert.starts_at is not None and alert.ends_at is not None and alert.ends_at - alert.starts_at <= SOON
        for alert in own
    )


def _was_resolved(incident: Incident) -> bool:
    by_hand = any(entry.kind == ActionKind.RESOLVE for entry in incident.timeline.entries)
    return by_hand or bool(incident.episode.closed_via)


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
