"""What counts, when it is enough, how bad it is and who is notified: alert-rules.yaml as values.

`build.py` makes these from the file, once `rules/file/` has checked it; `Rules.routes_for` returns who is notified of an alert.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from chalicelib.core.access import OPEN, Access
from chalicelib.core.calendar import Days
from chalicelib.core.delivery.target_kind import NOTHING, Capabilities
from chalicelib.core.event import Severity, fingerprint
from chalicelib.core.language.condition import Condition
from chalicelib.core.match import Matcher, matches_all
from chalicelib.core.rule_index import RuleIndex, indexed
from chalicelib.core.services import NO_SERVICES, Services

JOIN_WITHIN = timedelta(minutes=15)
AFTER_ACK = timedelta(minutes=2)
ALL_LABELS = "..."
"""`group_by: [...]`: every set of labels is a group of its own."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a message goes. `kind` is the name of a file of targets/, which says what an address is.

    `mention` are the people and groups whom Slack notifies by name: ids, or `here`, `channel`, `everyone`.
    """

    kind: str
    address: str
    send_resolved: bool = True
    timeout: timedelta | None = None
    mention: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Return a text that is equal for equal destinations: the kind, a colon, the address."""
        return f"{self.kind}:{self.address}"

    @property
    def shown(self) -> str:
        """Return the key as people may see it."""
        return shown(self.key)


def shown(key: str) -> str:
    """Return a target's key as people may see it: of an address only the host, since the rest of it may be the secret.

    `webhook:https://receiver.example.com/…3fa8c1`: what follows distinguishes two addresses of one host.
    """
    kind, _, address = key.partition(":")
    if "://" not in address:
        return key
    try:
        host = urlsplit(address).hostname or ""
    except ValueError:
        host = ""
    return f"{kind}:{address.partition('://')[0]}://{host}/…{fingerprint(address)[:6]}"


@dataclass(frozen=True, slots=True)
class Escalation:
    """Further targets when nobody acknowledged `after` this long since the first notification."""

    after: timedelta
    targets: tuple[Target, ...]


@dataclass(frozen=True, slots=True)
class RouteOptions:
    """The rhythm of a route. Alertmanager's words and meaning; `repeat_interval` None: nobody is reminded."""

    group_by: tuple[str, ...] = ("service", "environment")
    group_wait: timedelta = timedelta(seconds=30)
    group_interval: timedelta = timedelta(minutes=5)
    repeat_interval: timedelta | None = timedelta(hours=4)
    ack_timeout: timedelta = timedelta(hours=8)
    resolve_timeout: timedelta = timedelta(hours=24)
    max_alerts: int = 500
    timezone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Route:
    """The targets that are notified, and when. `id` is stable over deploys: `rule/<name>`, `route/severity=critical`, `default`.

    `nobody` is the reason why there are none, where the rules file gives one.
    """

    id: str
    targets: tuple[Target, ...] = ()
    matchers: tuple[Matcher, ...] = ()
    options: RouteOptions = field(default_factory=RouteOptions)
    escalate: tuple[Escalation, ...] = ()
    mute: tuple[str, ...] = ()
    active: tuple[str, ...] = ()
    continues: bool = False
    correlates: bool = True
    nobody: str = ""
    routes: tuple["Route", ...] = ()

    @property
    def target_names(self) -> str:
        """Return its targets for people, or that it notifies nobody, with the reason."""
        because = f" ({self.nobody})" if self.nobody else ""
        return ", ".join(target.shown for target in self.targets) or f"nobody{because}"

    @property
    def all_targets(self) -> tuple[Target, ...]:
        """Return its targets and those of its escalation; one that is in both is twice here."""
        return (*self.targets, *(target for step in self.escalate for target in step.targets))


@dataclass(frozen=True, slots=True)
class RouteAlerts:
    """A route of an incident, and the fingerprints of the alerts that came by it. None: all of the incident."""

    route: Route
    alerts: frozenset[str] | None = None

    def has(self, fingerprint: str) -> bool:
        """Return whether an alert came by the route."""
        return self.alerts is None or fingerprint in self.alerts


@dataclass(frozen=True, slots=True)
class Rule:
    """An entry of `alerts:`. `route` is None when the rule names no one: the route tree decides.

    `condition` None: every matching firing event fires it and its resolve ends it. `clear` None: it ends when the
    condition does. `severity` None: the event's own. `summary`, `annotations` and `links` (addresses by their titles) are
    templates.
    """

    name: str
    matchers: tuple[Matcher, ...] = ()
    condition: Condition | None = None
    clear: Condition | None = None
    threshold: float | None = None
    hold: timedelta = timedelta(0)
    keep_firing_for: timedelta = timedelta(0)
    no_data: str = "keep"
    severity: Severity | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    route: Route | None = None
    options: RouteOptions = field(default_factory=RouteOptions)
    runbook: str = ""
    summary: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    flap_changes: int = 0
    flap_window: timedelta = timedelta(minutes=30)
    correlates: bool = True


@dataclass(frozen=True, slots=True)
class Inhibition:
    """A cause that mutes its symptoms where all labels of `equal` are the same."""

    cause: tuple[Matcher, ...]
    symptom: tuple[Matcher, ...]
    equal: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Storm:
    """`storm:` of `correlate`: once so many `openings` were sent to a target `within` a time, the next go into one message."""

    openings: int = 5
    within: timedelta = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Correlate:
    """`correlate:` of the rules file: which alerts are one incident, whatever their rules and routes.

    `by` are the labels that they have in common. An alert joins an incident while its last news is at most
    `join_within` old, and its beginning at most `max_age`. A critical alert that comes later than `after_ack` after an
    acknowledgement makes a sound; None: never. `storm` None: each incident is opened on its own, however many there are.
    """

    by: tuple[str, ...] = ()
    join_within: timedelta = JOIN_WITHIN
    max_age: timedelta = timedelta(hours=2)
    after_ack: timedelta | None = AFTER_ACK
    storm: Storm | None = Storm()


@dataclass(frozen=True, slots=True)
class Window:
    """A calendar: days and wall times in its own zone.

    Minutes are counted from midnight; `to_minute` 1440 is midnight at the end of the day; a `to` not after `from`
    reaches into the next day.
    """

    name: str
    days: Days
    from_minute: int
    to_minute: int
    timezone: str


@dataclass(frozen=True)
class Rules:
    """The whole file. `probes` and `sources` are kept as read: their plug-ins know their fields.

    `disabled` are the names of the rules that the file switches off (`enabled: false`): they decide nothing.

    `webhooks` are requests that the file writes itself, by their names (`delivery/request_template.py`).

    `parameters` are the secrets and settings that its targets may read; None where only their files know them.

    `kinds` is what the receivers of every kind of target can do, of the kinds that the file does not name too: an
    incident may still be open at a target that was taken out of it.
    """

    rules: tuple[Rule, ...] = ()
    routes: tuple[Route, ...] = ()
    default: Route = field(default_factory=lambda: Route(id="default"))
    fallback: Route = field(default_factory=lambda: Route(id="fallback"))
    inhibitions: tuple[Inhibition, ...] = ()
    windows: Mapping[str, Window] = field(default_factory=dict)
    probes: Mapping[str, tuple[Mapping[str, Any], ...]] = field(default_factory=dict)
    sources: tuple[Mapping[str, Any], ...] = ()
    webhooks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    options: RouteOptions = field(default_factory=RouteOptions)
    broken_templates: Mapping[str, str] = field(default_factory=dict)
    kinds: Mapping[str, Capabilities] = field(default_factory=dict)
    services: Services = field(default=NO_SERVICES, repr=False)
    parameters: tuple[str, ...] | None = field(default=None, compare=False)
    correlate: Correlate | None = None
    disabled: tuple[str, ...] = ()
    access: Access = OPEN

    @property
    def correlation(self) -> Correlate:
        """Return how alerts are correlated; of a file that does not, how the incidents of one that did live on."""
        return self.correlate or Correlate()

    @cached_property
    def remembered(self) -> dict[tuple[Any, ...], Any]:
        """Return what was decided by these rules and will be asked again, by what it was decided of (`destinations.py`)."""
        return {}

    @cached_property
    def by_name(self) -> Mapping[str, Rule]:
        """Return the rules by their names."""
        return {rule.name: rule for rule in reversed(self.rules)}

    @cached_property
    def by_metric(self) -> Mapping[str, Sequence[Rule]]:
        """Return the rules that judge what is measured, by each metric that they look at."""
        found: dict[str, list[Rule]] = {}
        for rule in self.rules:
            for metric in rule.condition.metrics if rule.condition is not None else ():
                found.setdefault(metric, []).append(rule)
        return found

    @cached_property
    def of_events(self) -> RuleIndex[Rule]:
        """Return the index of the rules that look at events."""
        looking = (rule for rule in self.rules if rule.condition is None or rule.condition.counts_events)
        return indexed((rule.matchers, rule) for rule in looking)

    @cached_property
    def all_routes(self) -> Sequence[Route]:
        """Return every route: those of rules, of the tree, the default and the fallback."""
        found = [rule.route for rule in self.rules if rule.route is not None]
        stack = [*self.routes, self.default, self.fallback]
        while stack:
            route = stack.pop()
            found.append(route)
            stack.extend(route.routes)
        return found

    @cached_property
    def routes_by_id(self) -> Mapping[str, Route]:
        """Return every route by its id."""
        return {route.id: route for route in reversed(self.all_routes)}

    def can(self, kind: str) -> Capabilities:
        """Return what the receivers of a kind can do: nothing where the kind is not known."""
        return self.kinds.get(kind, NOTHING)

    def routes_for(self, rule: Rule | None, labels: Mapping[str, str]) -> tuple[Route, ...]:
        """Return the routes of an alert with these labels: the rule's own route, else the tree, else the default. Never empty."""
        if rule is not None and rule.route is not None:
            return (rule.route,)
        return matching_routes(self.routes, labels) or (self.default,)


def matching_routes(routes: tuple[Route, ...], labels: Mapping[str, str]) -> tuple[Route, ...]:
    """Return the routes of Alertmanager's walk: the deepest match of each branch; the first matching branch ends it unless it continues."""
    found: list[Route] = []
    for route in routes:
        if not matches_all(route.matchers, labels):
            continue
        found += matching_routes(route.routes, labels) or (route,)
        if not route.continues:
            break
    return tuple(found)
