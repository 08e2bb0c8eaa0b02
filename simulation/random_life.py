"""Seeded random lives of the whole router, on faulty ports and a virtual clock: `make sim SEEDS=200`.

A seed decides everything: the rules, what senders, people and vendors do, every failure, and the order of all calls of
three workers of each kind. After an hour at most the failures stop, every fault is ended by its sender, and time runs
on. What must hold then, and on the way, is in `invariants.py`. The same seed is the same life:

    python -m simulation.random_life --seeds 1 --from 4711 --trace
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from random import Random

from chalicelib.core.context import Silence
from chalicelib.core.event import Action, ActionKind, Event, Severity, Status, fingerprint
from chalicelib.core.match import parse_matchers
from chalicelib.core.metrics.sample import Sample
from chalicelib.core.rule import Rules
from chalicelib.core.transitions import short_id
from chalicelib.messages.queue import (
    action_message,
    events_messages,
    samples_messages,
    silence_message,
    unsilence_message,
)
from chalicelib.rules.file import load
from simulation import invariants
from simulation.faulty import Rates, calm
from simulation.faulty_router import FaultyRouter
from simulation.invariants import Broken, SentFault
from simulation.vendors import MODES

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
SHIPPED = Path(__file__).parent.parent / "alert-rules.yaml"
HEAD = """
defaults: {group_by: [%s], group_wait: 10s, group_interval: 1m, repeat_interval: 15m, ack_timeout: 30m, resolve_timeout: 3h}
fallback: {notification: [{email: late@example.com}]}
inhibit: [{cause: {alertname: Down}, symptom: {alertname: Slow}, equal: [service]}]
windows: {lunch: {from: "09:20", to: "09:40"}}
"""
ONE = (
    HEAD % "alertname"
    + """
default: {notification: [{slack_channel: "#incidents"}, {webhook: ops}, {email: team@example.com}]}
alerts:
  - {name: Errors, condition: "error_rate > 1%", severity: critical, for: 30s}
  - {name: Spike, match: {alertname: Error}, condition: "events[1m] > 2", severity: critical}
  - {name: Muted, match: {alertname: Noise}, mute: [lunch], notification: [{slack_channel: "#noise"}]}
"""
)
TWO = (
    HEAD % "service, environment"
    + """
default: {notification: [{slack_channel: "#alerts"}]}
routes:
  - match: {severity: critical}
    notification: [{slack_channel: "#incidents"}, {pagerduty: true}]
    group_wait: 0s
    escalate: [{after: 5m, notification: [{webhook: ops}]}]
alerts:
  - {name: Errors, condition: "error_rate > 1%", severity: warning}
  - {name: Slowness, match: {alertname: Slow}, severity: warning}
"""
)
THREE = ONE.replace("name: Errors", "name: Renamed").replace('"#noise"', '"#other"').replace("[{webhook", "[{webhook")
FOUR = (
    HEAD % ""
    + """
default: {notification: [{pagerduty: true}, {slack_channel: "#incidents"}]}
alerts:
  - {name: Bad, match: {severity: critical}, group_by: [alertname], notification: [{pagerduty: true}]}
  - {name: Quiet, match: {severity: warning}, notification: [{webhook: ops}]}
"""
)
FIVE = (
    TWO.replace("repeat_interval: 15m", "repeat_interval: 1h")
    + "correlate: {by: [service, environment], join_within: 5m, max_age: 20m, storm: {openings: 1, within: 5m}}\n"
    + "services: {web: {depends_on: [api]}, api: {owner: core}}\n"
)
"""A reminder comes so late that it is no substitute for the sound of what joined an incident that somebody has."""
NAMES = ("Down", "Slow", "Disk", "Noise", "Error")
SERVICES = ("api", "web")
SOURCES = ("test", "alertmanager", "sentry")
KINDS = {"test": "check", "alertmanager": "alert", "sentry": "issue.created"}
OUTAGES = ("#incidents", "#alerts", "#noise", "#infrastructure", "pagerduty", "hook", "team@example.com")
MINUTE = timedelta(minutes=1)


@lru_cache(maxsize=1)
def all_rules() -> tuple[Rules, ...]:
    """Return the rules files that a life may begin with or change to, the shipped one last."""
    texts = (ONE, TWO, THREE, FOUR, FIVE, SHIPPED.read_text())
    return tuple(load(text, filename="alert-rules.yaml") for text in texts)


@dataclass(slots=True)
class Fault:
    """A fault of a sender. Its end may carry other labels than its beginning."""

    number: int
    name: str
    service: str
    environment: str
    source: str
    severity: Severity
    firing: bool = False
    fires: set[str] = field(default_factory=set)
    events: int = 0
    newest_at: datetime = START

    @property
    def identity(self) -> str:
        """Return what its sender calls it."""
        return f"fault-{self.number}"

    def event(self, status: Status, at: datetime, chance: Random) -> Event:
        """Return the next event of the fault."""
        self.events += 1
        self.firing = status is Status.FIRING
        self.newest_at = max(at, self.newest_at + timedelta(milliseconds=1))
        severity, service, environment, labels = self.severity, self.service, self.environment, {"host": "h1"}
        if status is Status.RESOLVED and chance.random() < 0.3:
            severity, labels = Severity.INFO, {}
            environment = "" if chance.random() < 0.5 else environment
        elif chance.random() < 0.1:
            severity = chance.choice([Severity.CRITICAL, Severity.WARNING])
            labels = {"host": "h2"}
        event = Event(
            id=f"f{self.number}-{self.events}",
            source=self.source,
            kind=KINDS[self.source],
            status=status,
            severity=severity,
            title=f"{self.name} of {service}",
            occurred_at=self.newest_at,
            identity=self.identity,
            name=self.name,
            service=service or None,
            environment=environment or None,
            labels=labels,
        )
        if self.firing:
            self.fires.add(short_id(event))
        return event


@dataclass
class Life:
    """One life, drawn from a seed."""

    seed: int
    broken: list[Broken] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Draw the rules, the rates of failures and the faults."""
        self.chance = Random(self.seed)
        rules = self.chance.choice(all_rules())
        self.rates = self._rates()
        self.router = FaultyRouter(rules, START, Random(self.seed + 1), self.rates)
        self.router.vendors.doubt = self.chance.choice([0, 0, 0.02, 0.1])
        self.faults = [self._fault(number) for number in range(self.chance.randint(1, 6))]
        self.redeployed = False
        self.resolved_by_hand = False
        self.silences = 0
        self.ends_at = START + timedelta(minutes=self.chance.randint(25, 60))

    def run(self) -> "Life":
        """Live, become calm, end, and check."""
        try:
            self._live()
            self._become_calm()
            self._end()
        finally:
            self.router.clock.close()
        return self

    @property
    def events(self) -> int:
        """Return how many events the senders sent."""
        return sum(fault.events for fault in self.faults)

    # -- the draw ----------------------------------------------------------------------------------------------------

    def _rates(self) -> Rates:
        chance = self.chance
        strength = chance.choice([0, 0.2, 1, 1, 3])
        return Rates(
            death=chance.choice([0, 0.003, 0.01]) * strength,
            throttled=chance.choice([0, 0.005, 0.02]) * strength,
            unheard=chance.choice([0, 0.005, 0.02]) * strength,
            partial=chance.choice([0, 0.01, 0.05]) * strength,
            doubled=chance.choice([0, 0.05, 0.2]),
            delayed=chance.choice([0, 0.05, 0.2]),
            slow=chance.choice([0, 0.005, 0.02]),
            lag=timedelta(seconds=chance.choice([0.0, 1.0, 2.0])),
            unrun=Random(self.seed + 2).choice([0, 0, 0.05, 0.3, 0.8]),
            held=Random(self.seed + 3).choice([0, 0, 0.02, 0.1]),
        )

    def _fault(self, number: int) -> Fault:
        chance = self.chance
        return Fault(
            number,
            chance.choice(NAMES),
            chance.choice(SERVICES),
            chance.choice(["prod", "prod", "dev", ""]),
            chance.choice(SOURCES),
            chance.choice([Severity.CRITICAL, Severity.WARNING]),
        )

    # -- what happens ------------------------------------------------------------------------------------------------

    def _live(self) -> None:
        router, chance = self.router, self.chance
        router.clock.run_until(START + timedelta(seconds=chance.randint(0, 90)))
        acts = self._acts()
        while router.clock.now < self.ends_at:
            (act,) = chance.choices([each for each, _ in acts], [weight for _, weight in acts])
            act()
            wait = chance.choice([0, 0, 1, 5, 20, 60, 60, 180, 400])
            self._pass(timedelta(seconds=chance.random() * wait))

    def _acts(self) -> Sequence[tuple[Callable[[], None], int]]:
        return (
            (self._fire, 30),
            (self._resolve, 20),
            (self._burst, 4),
            (self._measure, 6),
            (self._act, 8),
            (self._silence, 4),
            (self._unsilence, 2),
            (self._redeploy, 3),
            (self._outage, 6),
            (self._recover, 3),
            (self._down, 1),
        )

    def _pass(self, time: timedelta) -> None:
        """Let time pass, and look at what must hold on the way each minute."""
        until = self.router.clock.now + time
        while self.router.clock.now < until:
            self.router.clock.run_until(min(until, self.router.clock.now + MINUTE))
            for check in (invariants.timers, invariants.silence_of_deliveries):
                self._record(check(self.router))

    def _record(self, found: Iterable[Broken]) -> None:
        for each in found:
            if each not in self.broken:
                self.broken.append(each)

    def _fire(self) -> None:
        fault = self.chance.choice(self.faults)
        self._send(fault.event(Status.FIRING, self.router.clock.now, self.chance))

    def _resolve(self) -> None:
        firing = [fault for fault in self.faults if fault.firing]
        if firing:
            self._send(self.chance.choice(firing).event(Status.RESOLVED, self.router.clock.now, self.chance))

    def _burst(self) -> None:
        for _ in range(self.chance.randint(3, 15)):
            self._fire()
            self._pass(timedelta(seconds=self.chance.random()))

    def _send(self, event: Event) -> None:
        """Deliver an event some time later, perhaps twice. Its time is that of the fault, and never ahead."""
        ahead = (event.occurred_at - self.router.clock.now).total_seconds()
        late = max(ahead, self.chance.choice([0, 0, 0, 1, 10, 100]) * self.chance.random())
        for _ in range(2 if self.chance.random() < 0.1 else 1):
            at = self.router.clock.now + timedelta(seconds=late)
            self.router.clock.at(at, lambda: self._arrive(event))
            late += self.chance.choice([0.1, 5, 60]) * self.chance.random()

    def _arrive(self, event: Event) -> None:
        self.router.note("", f"event {event.id} {event.name} {event.status.value} {event.severity.value}")
        self.router.accept(events_messages([event]))

    def _measure(self) -> None:
        value = self.chance.choice([0.0, 0.5])
        sample = Sample("error_rate", value, self.router.clock.now, {"service": self.chance.choice(SERVICES)})
        self.router.note("", f"error_rate {value} {dict(sample.labels)}")
        self.router.accept(samples_messages([sample]))

    def _act(self) -> None:
        now, chance = self.router.clock.now, self.chance
        kind = ActionKind(chance.choice(["ack", "ack", "unack", "resolve"]))
        self.resolved_by_hand = self.resolved_by_hand or kind is ActionKind.RESOLVE
        known = [each.id for each in self.router.memory.remembered() if each.id]
        one = chance.choice(known) if known and chance.random() < 0.5 else None
        if one is not None:
            self._press(kind, one)
            return
        matchers = {"alertname": chance.choice(NAMES)}
        action = Action(kind, "ana", now, incident=one, matchers=matchers, via="api", id=f"{kind}-{now.isoformat()}")
        self.router.note(one or "", f"ana: {kind.value} {one or matchers}")
        self.router.accept([action_message(action)])

    def _press(self, kind: ActionKind, incident: str) -> None:
        """Have one person, or two within a second, act on an incident by Slack; a note as well."""
        kinds = [kind, *self.chance.choice([[], [ActionKind.NOTE], [ActionKind.ACK]])]
        for number, each in enumerate(kinds):
            now, who = self.router.clock.now, ("ana", "ben")[number]
            self.router.act(
                Action(
                    each, who, now, incident=incident, via="slack", note=f"note of {who}", id=f"{each}-{who}-{now.isoformat()}",
                    account=f"slack:T1/{who}", channel="C1",
                )
            )  # fmt: skip

    def _silence(self) -> None:
        self.silences += 1
        now, chance = self.router.clock.now, self.chance
        label = chance.choice([{"alertname": chance.choice(NAMES)}, {"service": chance.choice(SERVICES)}])
        until = now + timedelta(minutes=chance.randint(1, 40))
        made = Silence(f"s{self.silences}", parse_matchers(label), now, until, "ana")
        self.router.note("", f"ana: silence s{self.silences} {label} until {until:%H:%M:%S}")
        self.router.accept([silence_message(made, chance.random() < 0.3)])

    def _unsilence(self) -> None:
        if self.silences:
            name = f"s{self.chance.randint(1, self.silences)}"
            self.router.note("", f"ana: unsilence {name}")
            self.router.accept([unsilence_message(name, "ana", self.router.clock.now)])

    def _redeploy(self) -> None:
        self.redeployed = True
        self.router.redeploy(self.chance.choice(all_rules()), timedelta(seconds=self.chance.choice([0, 10, 100])))

    def _outage(self) -> None:
        where, mode = self.chance.choice(OUTAGES), self.chance.choice(MODES)
        self.router.vendors.outages[where] = mode
        self.router.note("", f"outage of {where}: {mode}")
        until = self.router.clock.now + timedelta(minutes=self.chance.choice([1, 3, 10, 30]))
        self.router.clock.at(until, lambda: self._end_outage(where))

    def _end_outage(self, where: str) -> None:
        if self.router.vendors.outages.pop(where, None):
            self.router.note("", f"{where} works again")

    def _recover(self) -> None:
        self.router.vendors.outages.clear()
        self.router.note("", "every target works again")

    def _down(self) -> None:
        self.router.down(self.router.clock.now + timedelta(minutes=self.chance.choice([1, 5, 20])))

    # -- the end -----------------------------------------------------------------------------------------------------

    def _become_calm(self) -> None:
        """Stop all failures. After a while everything that fires is known and notified."""
        calm(self.rates)
        self.router.vendors.doubt = 0
        self._recover()
        self.router.note("", "nothing fails any more")
        self._pass(timedelta(minutes=25))
        faults = [self._as_sent(fault) for fault in self.faults if fault.fires]
        self._record(invariants.faults_are_known(self.router, faults, resolved_by_hand=self.resolved_by_hand))
        self._record(invariants.everything_is_told(self.router))
        self._record(invariants.pagers_agree(self.router))
        self._record(invariants.critical_is_noticed(self.router))
        self._record(invariants.storms_agree(self.router))

    def _as_sent(self, fault: Fault) -> SentFault:
        """Return the fault as its sender knows it. Its events are counted where a rule counts errors."""
        name = fingerprint(fault.source, fault.identity)
        rules = {rule.name for rules in all_rules() for rule in rules.rules}
        known = {fingerprint(rule, name) for rule in rules | {""}} | ({"Spike"} if fault.name == "Error" else set())
        return SentFault(
            f"{fault.identity} ({fault.name})",
            frozenset(known),
            frozenset(fault.fires),
            fault.firing,
            fault.name == "Error",
        )

    def _end(self) -> None:
        """End every fault, for every sender. Time runs on until the last timer."""
        now = self.router.clock.now
        for fault in self.faults:
            if fault.events:
                self._send(fault.event(Status.RESOLVED, now, self.chance))
        samples = [Sample("error_rate", 0.0, now, {"service": service}) for service in SERVICES]
        self.router.accept(samples_messages(samples))
        self._pass(timedelta(hours=4))
        self.router.skip_idle_ticks = True
        self._pass(timedelta(hours=30))
        self._record(invariants.nothing_left(self.router))
        self._record(invariants.parked_is_announced(self.router))
        self._record(invariants.acts_are_answered(self.router))
        self._record(invariants.deliveries(self.router, redeployed=self.redeployed))
        self._record(invariants.ends_wait(self.router, resolved_by_hand=self.resolved_by_hand or self.redeployed))

    def report(self, lines: int) -> str:
        """Return what was broken, with the trace of its incident and how to live this life again."""
        found = []
        for each in self.broken[:5]:
            found.append(f"seed {self.seed}: {each}")
            if each.incident:
                found += invariants.shown(self.router, each.incident, lines)
        found.append(f"  again: python -m simulation.random_life --seeds 1 --from {self.seed} --trace")
        return "\n".join(found)


def main(arguments: Sequence[str] | None = None) -> int:
    """Live so many lives, print one line, and a trace of each life that broke a promise."""
    parser = argparse.ArgumentParser(prog="simulation.random_life", description="random lives of the router")
    parser.add_argument("--seeds", type=int, default=200, help="how many lives (default: 200)")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first seed (default: 0)")
    parser.add_argument("--trace", action="store_true", help="print everything that happened")
    parser.add_argument("--lines", type=int, default=40, help="lines of a failing incident's trace (default: 40)")
    given = parser.parse_args(arguments)
    began, failed, lived, events = time.monotonic(), [], 0, 0
    try:
        for seed in range(given.first, given.first + given.seeds):
            life = Life(seed).run()
            lived, events = lived + 1, events + life.events
            if given.trace:
                print("\n".join(f"{at:%H:%M:%S.%f}  {text}" for at, _, text in life.router.trace))
            if life.broken:
                failed.append(seed)
                print(life.report(given.lines), flush=True)
    except KeyboardInterrupt:
        print("sim: interrupted", file=sys.stderr)
    took = time.monotonic() - began
    fate = f"broken: {', '.join(map(str, failed))}" if failed else "every promise held"
    print(f"sim: {lived} lives from seed {given.first}, {events} events, {took:.0f} s: {fate}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
