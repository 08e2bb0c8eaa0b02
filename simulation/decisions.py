"""Why an alert is told or is not: each decision in order, for people. Everything is read, nothing is written.

    explained(matchers, incidents=…, rules=…, store=…, now=…)    alerts that are remembered, and series that are measured
    event_decisions(event, rules)                                rule by rule, what becomes of an event

The order is that of the path: rules, condition, state, route, who was told, who was not and why, what comes next. What
is asked of the store is what the decisions themselves look at, under today's rules.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from chalicelib.core.alert import Alert, AlertState, Origin
from chalicelib.core.context import Cause, Context, Silence
from chalicelib.core.delivery.delivery_log import Result, delivery_log_key
from chalicelib.core.dependencies import explanations
from chalicelib.core.evaluation import EventSeries
from chalicelib.core.event import ROUTER, Event, Severity, Status, labels_fingerprint
from chalicelib.core.incident import Incident, clock_of, escalates_from, group_labels, incident_key
from chalicelib.core.inputs import grouped_labels
from chalicelib.core.instants import from_seconds
from chalicelib.core.language.condition import Condition, Reading, evaluate, readings
from chalicelib.core.language.units import duration_words
from chalicelib.core.lifecycle import terms_of
from chalicelib.core.match import Matcher, matches_all
from chalicelib.core.metrics.sample import Series
from chalicelib.core.mute import Muting, muting_windows, mutings_of, speaks_again
from chalicelib.core.notified import NotifiedState
from chalicelib.core.ports import Store
from chalicelib.core.routing import route_of_alert, routed_labels
from chalicelib.core.rule import Route, Rule, Rules, Target
from chalicelib.core.services import SERVICE, SERVICE_RAW
from chalicelib.core.sounds import UNEXPLAINED_AFTER
from chalicelib.core.standing import resolve_at
from chalicelib.process.series import StoredSeries, measured_under, primary_metric

Shown = dict[str, Any]
Write = Callable[[datetime], Any]
"""How a time is written."""


def explained(
    matchers: Sequence[Matcher],
    *,
    incidents: Iterable[Incident],
    rules: Rules,
    store: Store,
    now: datetime,
    write: Write | None = None,
) -> list[Shown]:
    """Return the decisions about every alert of the incidents that the matchers choose, and about measured series without one."""
    told = _Told(rules, store, store.context(), now, write or clock)
    found, known = [], set()
    for incident in incidents:
        for alert in incident.alerts.values():
            known.add(alert.fingerprint)
            if alert.matched_by(matchers):
                found.append(told.alert(alert, incident))
    return found + [told.series(rule, labels) for rule, labels in _quiet_series(rules, store, matchers, known)]


def clock(at: datetime) -> str:
    """Return a time for people: `2026-03-02 12:00:00 UTC`."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _quiet_series(
    rules: Rules, store: Store, matchers: Sequence[Matcher], known: set[str]
) -> Iterator[tuple[Rule, Mapping[str, str]]]:
    """Yield the measured series that a rule looks at and that have no alert."""
    for rule in rules.rules:
        if rule.condition is None or not rule.condition.metrics:
            continue
        for labels in store.label_sets(primary_metric(rule)):
            seen = routed_labels(rule, rules.services.labelled(labels))
            if labels_fingerprint(rule.name, labels) not in known and matches_all(matchers, seen):
                yield rule, labels


# ---------------------------------------------------------------------------------------------------------------------
# Rules


def event_decisions(event: Event, rules: Rules) -> list[str]:
    """Return what each rule makes of an event, and who is notified where no rule matches."""
    if event.action is not None:
        return [f"{event.action.by} did this ({event.action.kind.value}): it changes incidents that exist, opens none"]
    named = rules.services.named(event)
    labels = named.all_labels()
    steps = [service_step(named.service, event.service)] if named is not event else []
    matched = False
    for rule in rules.rules:
        missed = _missed_by_event(rule, named, labels)
        matched = matched or not missed
        steps.append(_rule_step(rule, missed) if missed else f"rule {rule.name}: matched ({_clauses(rule.matchers)})")
    if event.status is Status.INFO:
        return [*steps, "it is information: it is recorded and counted, and fires nothing by itself"]
    return steps if matched else [*steps, "no rule matched: the routes decide", *route_steps(rules, None, labels)[0]]


def service_step(name: str | None, said: str | None) -> str:
    """Return the sentence for a service that has its name by an alias."""
    return f"service: {name}, by an alias{f' of {said!r}' if said else ''}"


def _missed_by_event(rule: Rule, event: Event, labels: Mapping[str, str]) -> str:
    """Return why the rule does not hear of the event; empty when it does."""
    if rule.condition is not None and not rule.condition.counts_events:
        return f"it looks at {', '.join(sorted(rule.condition.metrics))}, which is measured; this is an event"
    if event.source == ROUTER and not any(matcher.label == "source" for matcher in rule.matchers):
        return "the router's own events only reach rules that ask for source=router"
    if rule.condition is not None and event.status is Status.RESOLVED:
        return "it counts events, and an end is not counted"
    return missed(rule.matchers, labels)


def missed(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> str:
    """Return the clauses that do not hold, each with what is there instead; empty when all hold."""
    found = []
    for matcher in matchers:
        if not matcher.matches(labels):
            there = f"{matcher.label} is {labels[matcher.label]!r}" if labels.get(matcher.label) else "it has none"
            found.append(f"{matcher} asked, {there}")
    return "; ".join(found)


def _rule_step(rule: Rule, why: str) -> str:
    return f"rule {rule.name}: not matched: {why}"


def _clauses(matchers: Iterable[Matcher]) -> str:
    return ", ".join(str(matcher) for matcher in matchers) or "it asks for no labels"


# ---------------------------------------------------------------------------------------------------------------------
# Routes


def route_steps(rules: Rules, rule: Rule | None, labels: Mapping[str, str]) -> tuple[list[str], tuple[Route, ...]]:
    """Return the walk through the routes for these labels, and the routes that it ends at."""
    if rule is not None and rule.route is not None:
        return ["route: the rule names its own targets"], (rule.route,)
    steps: list[str] = []
    found = _walk(rules.routes, labels, steps)
    if found:
        return steps, found
    return [*steps, "default: nothing above matched"], (rules.default,)


def _walk(routes: Sequence[Route], labels: Mapping[str, str], steps: list[str]) -> tuple[Route, ...]:
    found: list[Route] = []
    for route in routes:
        why = missed(route.matchers, labels)
        if why:
            steps.append(f"{route.id}: not matched: {why}")
            continue
        onwards = ", and the next ones are asked too" if route.continues else ""
        steps.append(f"{route.id}: matched ({_clauses(route.matchers)}){onwards}")
        found += _walk(route.routes, labels, steps) or (route,)
        if not route.continues:
            break
    return tuple(found)


# ---------------------------------------------------------------------------------------------------------------------
# Alerts


@dataclass(frozen=True, slots=True)
class _Told:
    """What an explanation is made of: the rules, what is remembered, and the time."""

    rules: Rules
    store: Store
    context: Context
    now: datetime
    write: Write

    def alert(self, alert: Alert, incident: Incident) -> Shown:
        """Return one alert that is remembered."""
        rule = self.rules.by_name.get(alert.rule)
        route = route_of_alert(incident, alert, self.rules)
        decisions = [
            *self.service_steps(alert),
            *self.rule_steps(alert),
            *self.condition_steps(alert, rule),
            *self.state_steps(alert, rule, incident),
            *self.route_steps(alert, rule, incident, route),
            *self.told_steps(alert, incident, route),
            *self.coming(alert, incident, route),
        ]
        return {
            "name": alert.name,
            "labels": dict(alert.labels),
            "state": alert.state.value,
            "incident": incident.id or None,
            "route": route.id,
            "decisions": decisions,
        }

    def series(self, rule: Rule, labels: Mapping[str, str]) -> Shown:
        """Return one measured series for which the rule has no alert."""
        named = self.rules.services.labelled(labels)
        seen = routed_labels(rule, named)
        why = missed(rule.matchers, seen)
        steps = [service_step(named[SERVICE], labels.get(SERVICE))] if named is not labels else []
        steps += [_rule_step(rule, why)] if why else [f"rule {rule.name}: matched ({_clauses(rule.matchers)})"]
        if not why:
            steps += self.answers("condition", rule.condition, StoredSeries(self.store, labels, self.rules.services))
        walked, routes = route_steps(self.rules, rule, seen)
        targets = ", ".join(route.target_names for route in routes)
        return {
            "name": rule.name,
            "labels": {**named, **rule.labels},
            "state": AlertState.INACTIVE.value,
            "incident": None,
            "route": routes[0].id,
            "decisions": [*steps, "it does not fire", *walked, f"not told: nothing fires; it would tell {targets}"],
        }

    # -- rules and conditions ----------------------------------------------------------------------------------------

    def service_steps(self, alert: Alert) -> list[str]:
        """Return what the sender calls the service, where an alias gave it its name."""
        said = alert.labels.get(SERVICE_RAW) if self.rules.services.declared else None
        return [service_step(alert.labels.get(SERVICE), said)] if said else []

    def rule_steps(self, alert: Alert) -> list[str]:
        """Return every rule of the file: the alert's own, and why the others are not about it."""
        steps = []
        own = self.rules.by_name.get(alert.rule)
        for rule in self.rules.rules:
            if rule is own:
                steps.append(f"rule {rule.name}: matched ({_clauses(rule.matchers)})")
            else:
                why = _not_about(rule, alert, own)
                steps.append(
                    _rule_step(rule, why) if why else f"rule {rule.name}: matched too, with an alert of its own"
                )
        if alert.origin is Origin.HEARTBEAT and alert.schedule:
            return [*steps, f"heartbeat {alert.name}: it watches for what stays away"]
        if not alert.rule:
            steps.append("no rule matched: the routes decide")
        elif own is None:
            steps.append(f"rule {alert.rule}: made the alert, and is no longer in the file")
        return steps

    def condition_steps(self, alert: Alert, rule: Rule | None) -> list[str]:
        """Return what the rule's condition says now, and its `clear` while the alert fires."""
        if rule is None or rule.condition is None:
            return []
        series: Series = EventSeries(tuple(from_seconds(at) for at, _ in alert.received.recent))
        if alert.origin is Origin.SERIES:
            series = StoredSeries(self.store, measured_under(alert, rule, self.rules), self.rules.services)
        steps = self.answers("condition", rule.condition, series)
        if alert.state is AlertState.INACTIVE and alert.origin is not Origin.SERIES:
            steps += self.at_last_event(alert, rule.condition, series)
        if evaluate(rule.condition, series, self.now).truth is None:
            steps.append(f"no_data: {rule.no_data} ({_NO_DATA[rule.no_data]})")
        if rule.clear is not None and alert.state is AlertState.FIRING:
            steps += self.answers("clear", rule.clear, series)
        return steps

    def at_last_event(self, alert: Alert, condition: Condition, series: Series) -> list[str]:
        """Return what a condition said when its count was last complete, if that is not now."""
        at = alert.received.last_event_at
        if at is None or at >= self.now:
            return []
        sides = "; ".join(
            f"{each.text}: {_ANSWERS[each.truth]}{_sides(each)}" for each in readings(condition, series, at)
        )
        return [f"at its last event, {self.write(at)}: {sides}"]

    def answers(self, what: str, condition: Condition | None, series: Series) -> list[str]:
        """Return a condition and each of its comparisons, with what stands on both sides."""
        if condition is None:
            return []
        found = readings(condition, series, self.now)
        truth = evaluate(condition, series, self.now).truth
        if len(found) == 1 and found[0].text == str(condition):
            return [f"{what} {condition.text}: {_ANSWERS[truth]} now{_sides(found[0])}"]
        steps = [f"{what} {condition.text}: {_ANSWERS[truth]} now"]
        return steps + [f"{each.text}: {_ANSWERS[each.truth]} now{_sides(each)}" for each in found]

    def state_steps(self, alert: Alert, rule: Rule | None, incident: Incident) -> list[str]:
        """Return what the alert is in, since when, and what holds it there."""
        terms = terms_of(rule, incident.options)
        events = f", {_counted(alert.received.events, 'event')}" if alert.received.events else ""
        match alert.state:
            case AlertState.PENDING if alert.timers.pending_at:
                return [
                    f"pending since {self.write(alert.timers.pending_at)}: it must hold for {duration_words(terms.hold)}, "
                    f"until {self.write(alert.timers.pending_at + terms.hold)}"
                ]
            case AlertState.FIRING if alert.starts_at:
                last = alert.evaluation
                limit = f" against {last.threshold}" if last.threshold else ""
                value = f" at {last.value}{limit}" if last.value else ""
                return [
                    f"firing since {self.write(alert.starts_at)}{value}{events}",
                    *self.held(alert, terms.keep, terms.flap_window),
                ]
            case AlertState.RESOLVED if alert.ends_at:
                by = f" by {alert.changes.ended_by}" if alert.changes.ended_by else ""
                return [f"resolved at {self.write(alert.ends_at)}{by}{events}"]
        return [f"it does not fire{events}"]

    def held(self, alert: Alert, keep: timedelta, calm: timedelta) -> list[str]:
        """Return why an alert fires although its condition has ended."""
        if alert.timers.cleared_at is None:
            return ["flapping: told once, held open until it calms"] if alert.changes.flapping else []
        if alert.changes.flapping:
            until = self.write(alert.timers.cleared_at + max(keep, calm))
            return [
                f"flapping: its condition ended at {self.write(alert.timers.cleared_at)}, it is held open until {until}"
            ]
        until = self.write(alert.timers.cleared_at + keep)
        return [f"its condition ended at {self.write(alert.timers.cleared_at)}: keep_firing_for holds it until {until}"]

    # -- routes and targets ------------------------------------------------------------------------------------------

    def route_steps(self, alert: Alert, rule: Rule | None, incident: Incident, route: Route) -> list[str]:
        """Return how the route was chosen, and what it tells together."""
        steps, chosen = route_steps(self.rules, rule, alert.match_labels())
        if route.id not in {each.id for each in chosen}:
            steps = [f"{route.id} holds the incident, as it did when it began"]
        group = ", ".join(f"{name}={text}" for name, text in incident.group.items()) or "nothing"
        grouped = "correlated" if incident.is_correlated else "grouped"
        return [*steps, f"told by {route.id}, {grouped} by {group}: {route.target_names}"]

    def told_steps(self, alert: Alert, incident: Incident, route: Route) -> list[str]:
        """Return target by target: what it was told and when, or why it was not."""
        why = self.mutes(alert, incident, route) if alert.state is AlertState.FIRING else []
        steps = [*(f"muted: {each}" for each in why), *self.explained_steps(alert, incident)]
        targets = {target.key: target for target in route.targets}
        targets |= {key: each.target for key, each in incident.announced.items()}
        for key, target in targets.items():
            announced = incident.announced.get(key)
            if announced is not None and announced.was_notified:
                steps += self.was_told(alert, incident, announced, muted=bool(why))
            else:
                steps.append(f"{target.shown}: not told: {self.because(alert, incident, target, why)}")
        return steps or ["nobody is named to be told"]

    def explained_steps(self, alert: Alert, incident: Incident) -> list[str]:
        """Return which service explains the alert, or did, and until when it makes no sound of its own."""
        found = explanations(incident, self.rules.services).get(alert.fingerprint)
        if found is None:
            return []
        since = f"{found.service}, where something critical fires since {self.write(found.since)}"
        if found.until is None:
            return [f"explained by {since}: it makes no sound of its own after an acknowledgement"]
        at = self.write(found.until + UNEXPLAINED_AFTER)
        return [
            f"was explained by {found.service} until {self.write(found.until)}: a sound at {at} if it made none before"
        ]

    def was_told(self, alert: Alert, incident: Incident, announced: NotifiedState, *, muted: bool) -> list[str]:
        """Return what one target was told, and whether it knows of this alert."""
        key = announced.target.key
        results = self.store.delivery_log(delivery_log_key(incident.id, key)).results
        key = announced.target.shown
        steps = [f"{key}: {self.result(each)}" for each in results]
        if not results and announced.last.at:
            steps.append(f"{key}: a message of {self.write(announced.last.at)} is on its way")
        knows = alert.fingerprint in announced.alerts.firing
        if alert.state is AlertState.FIRING and muted:
            rest = "its end will be told" if knows else "nothing of this alert"
            steps.append(f"{key}: told of {'it before; no reminders while it is muted, ' if knows else ''}{rest}")
        elif alert.state is AlertState.FIRING and not knows:
            steps.append(f"{key}: not told of this alert yet")
        elif alert.state is AlertState.RESOLVED and knows:
            steps.append(f"{key}: knows that it fired; {self.resolve(incident, announced.target)}")
        return steps

    def resolve(self, incident: Incident, target: Target) -> str:
        """Return when a target is notified of an end."""
        if not target.send_resolved:
            return "it takes no resolves"
        at = resolve_at(incident, self.now)
        return f"its resolve is sent {f'at {self.write(at)}' if at else 'at the next look'} unless it fires again"

    def result(self, result: Result) -> str:
        """Return one message and what came of it."""
        tries = f" after {_counted(result.attempts, 'try', 'tries')}" if result.attempts > 1 else ""
        if result.delivered:
            return f"told {result.reason} at {self.write(result.at)}{tries}"
        return f"{result.reason} was given up at {self.write(result.at)}{tries}: {result.error}"

    def mutes(self, alert: Alert, incident: Incident, route: Route) -> list[str]:
        """Return what mutes a firing alert now."""
        muting = mutings_of(incident, self.rules, self.context, self.now).get(alert.fingerprint, Muting())
        return [*self.muted(muting), *self.quiet(route, muting_windows(route, self.rules.windows, self.now))]

    def muted(self, muting: Muting) -> list[str]:
        """Return what mutes an alert, who did it, and until when."""
        found = [f"silence {self.hold(each)}" for each in muting.silences]
        found += [f"maintenance {self.hold(each)}" for each in muting.maintenance]
        return found + [self.cause(each) for each in muting.causes]

    def hold(self, silence: Silence) -> str:
        """Return a silence for people."""
        comment = f" ({silence.comment})" if silence.comment else ""
        return f"{silence.id} of {silence.by} until {self.write(silence.ends_at)}{comment}"

    def cause(self, cause: Cause) -> str:
        """Return a firing alert that inhibits."""
        labels = ", ".join(
            f"{name}={text}" for name, text in cause.labels.items() if name in ("service", "environment")
        )
        name = cause.labels.get("alertname", "another alert")
        return f"inhibited by {name}{f' ({labels})' if labels else ''}, firing since {self.write(cause.since)}"

    def quiet(self, route: Route, windows: Sequence[str]) -> list[str]:
        """Return the windows that keep the route quiet."""
        if not windows:
            return []
        again = speaks_again(route, self.rules.windows, self.now)
        until = f"until {self.write(again)}" if again else "for more than a week"
        return [f"window {name} {until}" for name in windows]

    def because(self, alert: Alert, incident: Incident, target: Target, why: Sequence[str]) -> str:
        """Return why a target was told nothing."""
        if why:
            return "; ".join(why)
        if alert.state is AlertState.PENDING:
            return "it is pending"
        if alert.state is AlertState.INACTIVE:
            return "nothing fires"
        if self.rules.can(target.kind).pages and incident.severity is Severity.INFO:
            return "nothing that is info pages"
        if alert.state is AlertState.RESOLVED:
            return "it was over before anybody was told"
        if incident.flush.next_at and incident.flush.next_at > self.now:
            return f"it waits for others until {self.write(incident.flush.next_at)}"
        return "its time has not come"

    def coming(self, alert: Alert, incident: Incident, route: Route) -> list[str]:
        """Return what comes next while it fires: acknowledgement, escalation, the next look; who had it after the end."""
        if alert.state is not AlertState.FIRING:
            return [f"{alert.ack.by} had acknowledged it"] if alert.ack.by and alert.ends_at else []
        steps = []
        muted = bool(self.mutes(alert, incident, route))
        if alert.ack.by and alert.ack.at:
            until = self.write(alert.ack.at + route.options.ack_timeout)
            steps.append(f"acknowledged by {alert.ack.by}: no reminders, no escalation until {until}")
        since = escalates_from(incident, route)
        for number, step in enumerate(route.escalate):
            keys = ", ".join(target.shown for target in step.targets)
            if number >= clock_of(incident, route).done and since is not None and not alert.ack.by:
                at = f" at {self.write(since + step.after)} unless it is acknowledged"
                steps.append(f"escalation to {keys}" + (": not while it is muted" if muted else at))
        if incident.flush.next_at and incident.flush.next_at > self.now:
            steps.append(f"the next look is at {self.write(incident.flush.next_at)}")
        return steps


_ANSWERS = {True: "holds", False: "does not hold", None: "is unknown"}
_NO_DATA = {"keep": "it stays as it was", "ok": "no data counts as fine", "alert": "no data counts as an alert"}


def _sides(reading: Reading) -> str:
    return f" ({reading.shown}{f' against {reading.threshold_shown}' if reading.threshold_shown else ''})"


def _counted(number: int, word: str, words: str = "") -> str:
    return f"{number} {word if number == 1 else words or word + 's'}"


def _not_about(rule: Rule, alert: Alert, own: Rule | None) -> str:
    """Return why a rule is not about an alert that another made; empty when it is, with an alert of its own."""
    metrics = _metrics(rule)
    if alert.origin is Origin.SERIES:
        if not metrics:
            return "it looks at events, and this is measured"
        if not metrics & _metrics(own):
            return f"it looks at {', '.join(sorted(metrics))}"
        return missed(rule.matchers, {"source": "probe", **alert.labels})
    if metrics:
        return f"it looks at {', '.join(sorted(metrics))}, which is measured"
    labels = alert.match_labels() | {"alertname": alert.sender.event_name or alert.sender.kind}
    keeps_all = not alert.has_condition
    known = [matcher for matcher in rule.matchers if keeps_all or matcher.label in labels]
    return missed(known, labels)


def _metrics(rule: Rule | None) -> frozenset[str]:
    return rule.condition.metrics if rule is not None and rule.condition is not None else frozenset()


def counted_incidents(matchers: Sequence[Matcher], rules: Rules, store: Store) -> Iterator[Incident]:
    """Yield incidents of counting rules that may have nothing to wake them: found by the labels that the matchers pin."""
    pinned = {matcher.label: matcher.value for matcher in matchers if matcher.operator == "="}
    for rule in rules.rules:
        if (
            rule.condition is None
            or not rule.condition.counts_events
            or pinned.get("alertname", rule.name) != rule.name
        ):
            continue
        labels = {**pinned, **rule.labels, "alertname": rule.name}
        for route in rules.routes_for(rule, labels):
            found = store.load(incident_key(route, group_labels(route, grouped_labels(rule, labels))))
            if found is not None:
                yield found
