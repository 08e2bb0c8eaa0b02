"""The rules from plain data: what `rules/file/` has checked, or what was compiled from it at deploy.

The data has the form of alert-rules.yaml. Nothing is checked here but conditions and templates, which are parsed: a
broken template does not stop the router, its rule is sent in the plain form (`Rules.broken_templates`).
"""

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

from chalicelib.core.access import OPEN, Access
from chalicelib.core.calendar import MONTHS, Dates, Days, MonthDays
from chalicelib.core.delivery.target_kind import Capabilities, address_of
from chalicelib.core.event import Severity
from chalicelib.core.language.condition import Condition, parse
from chalicelib.core.language.template import TemplateError, compile_template
from chalicelib.core.language.tokens import threshold_literal
from chalicelib.core.language.units import parse_duration
from chalicelib.core.match import Matcher, parse_matchers
from chalicelib.core.rule import (
    ALL_LABELS,
    Correlate,
    Escalation,
    Inhibition,
    Route,
    RouteOptions,
    Rule,
    Rules,
    Storm,
    Target,
    Window,
)
from chalicelib.core.services import NO_SERVICES, SETS, Alias, Service, Services

Data = Mapping[str, Any]

CAPABILITIES = tuple(each.name for each in fields(Capabilities))
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DURATION_OPTIONS = ("group_wait", "group_interval", "repeat_interval", "ack_timeout", "resolve_timeout")
_WORD = re.compile(r"[A-Za-z_][\w:.]*")
NEVER = "never"
"""`repeat_interval: never`: nobody is reminded."""
NOBODY = "nobody"
"""The target of alerts that are recorded and notified to nobody. Its value is the reason."""


def rules_from(data: Data, kinds: Mapping[str, Capabilities]) -> Rules:
    """Return the whole file as a value. `kinds` are all kinds of targets, and what their receivers can do."""
    options = options_from(data.get("defaults") or {}, RouteOptions())
    thresholds = (data.get("defaults") or {}).get("thresholds") or {}
    builder = _Builder(options, data.get("receivers") or {}, kinds, thresholds)
    fallback = builder.route(data.get("fallback") or {}, "fallback", Route(id="", options=options))
    default_data = data.get("default")
    default = builder.route(default_data or {}, "default", _above(fallback, options))
    above = _above(default, options)
    rules = tuple(builder.rule(each) for each in data.get("alerts") or () if each.get("enabled") is not False)
    return Rules(
        rules=rules,
        disabled=tuple(str(each["name"]) for each in data.get("alerts") or () if each.get("enabled") is False),
        routes=builder.trees(data.get("routes") or (), "route", above),
        default=default,
        fallback=fallback,
        inhibitions=tuple(_inhibition(each) for each in data.get("inhibit") or ()),
        windows={
            name: _window(name, each, options, data.get("holidays") or {})
            for name, each in (data.get("windows") or {}).items()
        },
        probes={kind: tuple(entries or ()) for kind, entries in (data.get("probes") or {}).items()},
        sources=tuple(data.get("sources") or ()),
        webhooks={each["name"]: each for each in data.get("webhooks") or ()},
        options=options,
        broken_templates=_broken_templates(rules),
        kinds=kinds,
        services=services_from(data.get("services") or {}),
        correlate=_correlate(data.get("correlate")),
        access=_access(data.get("access")),
    )


def _above(route: Route, options: RouteOptions) -> Route:
    """Return what routes have of another one that they do not say: whom it notifies."""
    return Route(id="", targets=route.targets, nobody=route.nobody, options=options)


def kinds_from(data: Mapping[str, Mapping[str, bool]]) -> dict[str, Capabilities]:
    """Return the kinds of targets from plain data. What this code does not know of a receiver is left out."""
    return {kind: Capabilities(**{name: bool(can.get(name)) for name in CAPABILITIES}) for kind, can in data.items()}


def _broken_templates(rules: Sequence[Rule]) -> dict[str, str]:
    found: dict[str, str] = {}
    for rule in rules:
        try:
            compile_template(rule.summary)
        except TemplateError as error:
            found[rule.name] = str(error)
    return found


def kebab_case(name: str) -> str:
    """Return `High Error Rate` as `high-error-rate`: the name of a rule's runbook page."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")


def options_from(data: Data, above: RouteOptions) -> RouteOptions:
    """Return the options that `data` gives, and for the rest those above."""
    given = [name for name in DURATION_OPTIONS if data.get(name) is not None]
    own: dict[str, Any] = {name: None if data[name] == NEVER else parse_duration(data[name]) for name in given}
    if data.get("group_by") is not None:
        own["group_by"] = group_by_from(data["group_by"])
    if data.get("max_alerts") is not None:
        own["max_alerts"] = int(data["max_alerts"])
    if data.get("timezone") is not None:
        own["timezone"] = str(data["timezone"])
    return replace(above, **own) if own else above


def group_by_from(value: Any) -> tuple[str, ...]:
    """Return `[service]`, `[]` (one group) or `...` (every set of labels is its own)."""
    if value == ALL_LABELS:
        return (ALL_LABELS,)
    return tuple(dict.fromkeys(str(label) for label in value))


def _optional_duration(data: Data, name: str) -> timedelta:
    return parse_duration(data[name]) if data.get(name) is not None else timedelta(0)


class _Builder:
    """What every part of one file is built with."""

    def __init__(
        self, options: RouteOptions, receivers: Mapping[str, Sequence[Data]], kinds: Collection[str], thresholds: Data
    ) -> None:
        self.options = options
        self.receivers = receivers
        self.kinds = kinds
        self.thresholds = thresholds

    def targets(self, entries: Sequence[Data]) -> tuple[Target, ...]:
        """Return the targets of a list, receivers opened, each destination once."""
        found: dict[str, Target] = {}
        for entry in entries:
            if NOBODY in entry:
                continue
            if "receiver" in entry:
                for target in self.targets(self.receivers.get(entry["receiver"]) or ()):
                    found.setdefault(target.key, _with_settings(target, entry))
                continue
            kind = next(name for name in self.kinds if name in entry)
            target = _with_settings(Target(kind, address_of(entry[kind])), entry)
            found.setdefault(target.key, target)
        return tuple(found.values())

    def nobody(self, entries: Sequence[Data]) -> str:
        """Return why a list of targets names nobody; empty where it names somebody, or gives no reason."""
        for entry in entries:
            reason = entry.get(NOBODY) or self.nobody(self.receivers.get(entry.get("receiver", "")) or ())
            if reason:
                return str(reason)
        return ""

    def escalations(self, entries: Sequence[Data]) -> tuple[Escalation, ...]:
        """Return the escalations in the order in which they come."""
        found = [Escalation(parse_duration(each["after"]), self.targets(each["notification"])) for each in entries]
        return tuple(sorted(found, key=lambda each: each.after))

    def route(self, data: Data, identity: str, above: Route) -> Route:
        """Return one route; targets, options and escalations it does not name are those above it."""
        named, escalate = data.get("notification"), data.get("escalate")
        targets = self.targets(named) if named is not None else above.targets
        inherited = above.escalate if targets else ()
        return Route(
            id=identity,
            targets=targets,
            nobody=self.nobody(named) if named is not None else above.nobody,
            matchers=matchers_from(data.get("match")),
            options=options_from(data, above.options),
            escalate=self.escalations(escalate) if escalate is not None else inherited,
            mute=tuple(data.get("mute") or ()),
            active=tuple(data.get("active") or ()),
            continues=bool(data.get("continue", False)),
            correlates=data.get("correlate") is not False and above.correlates,
        )

    def trees(self, entries: Sequence[Data], parent: str, above: Route) -> tuple[Route, ...]:
        """Return the routes of one level with those below them.

        A route is named after what it matches, and not after its place: an incident keeps its route when another one
        is written above it. Of two that match the same the second is `#2`.
        """
        seen: dict[str, int] = {}
        found = []
        for each in entries:
            name = ",".join(map(str, matchers_from(each.get("match")))) or "*"
            seen[name] = number = seen.get(name, 0) + 1
            own = self.route(each, f"{parent}/{name}{'' if number == 1 else f'#{number}'}", above)
            found.append(replace(own, routes=self.trees(each.get("routes") or (), own.id, own)))
        return tuple(found)

    def rule(self, data: Data) -> Rule:
        """Return one entry of `alerts:`."""
        name, threshold = str(data["name"]), threshold_of(data, self.thresholds)
        options = options_from(data, self.options)
        condition = _condition(data, "condition", threshold)
        route = None
        if data.get("notification") is not None:
            route = replace(self.route(data, f"rule/{name}", Route(id="", options=self.options)), matchers=())
        flapping = data.get("flapping")
        return Rule(
            name=name,
            matchers=matchers_from(data.get("match")),
            condition=condition,
            clear=_condition(data, "clear", threshold),
            threshold=_threshold(threshold, condition),
            hold=_optional_duration(data, "for"),
            keep_firing_for=_optional_duration(data, "keep_firing_for"),
            no_data=str(data.get("no_data") or "keep"),
            severity=Severity(data["severity"]) if data.get("severity") else None,
            labels={label: str(text) for label, text in (data.get("labels") or {}).items()},
            route=route,
            options=options,
            runbook=str(data.get("runbook") or kebab_case(name)),
            summary=str(data.get("summary") or ""),
            annotations={name: str(text) for name, text in (data.get("annotations") or {}).items()},
            links={title: str(address) for title, address in (data.get("links") or {}).items()},
            correlates=data.get("correlate") is not False,
            **_flapping(flapping),
        )


def _with_settings(target: Target, entry: Data) -> Target:
    if "send_resolved" in entry:
        target = replace(target, send_resolved=bool(entry["send_resolved"]))
    if entry.get("timeout") is not None:
        target = replace(target, timeout=parse_duration(entry["timeout"]))
    if entry.get("mention") is not None:
        target = replace(target, mention=tuple(entry["mention"]))
    return target


def _flapping(data: Any) -> dict[str, Any]:
    if data is False:
        return {"flap_changes": -1}
    if not data:
        return {}
    found: dict[str, Any] = {}
    if data.get("changes") is not None:
        found["flap_changes"] = int(data["changes"])
    if data.get("within") is not None:
        found["flap_window"] = parse_duration(data["within"])
    return found


def threshold_of(rule: Data, thresholds: Data) -> Any:
    """Return the threshold of a rule: its own, else that of `defaults: thresholds:` for the first metric that has one."""
    own = rule.get("threshold")
    if own is not None:
        return own
    words = _WORD.findall(" ".join(str(rule.get(name) or "") for name in ("condition", "clear")))
    return next((thresholds[word] for word in words if word in thresholds), None) if "threshold" in words else None


def _condition(data: Data, name: str, threshold: Any) -> Condition | None:
    text = data.get(name)
    return parse(text, threshold=threshold) if text is not None else None


def _threshold(value: Any, condition: Condition | None) -> float | None:
    if value is None:
        return None
    if condition is not None and condition.threshold is not None:
        return condition.threshold
    return threshold_literal(value).value


def matchers_from(data: Any) -> tuple[Matcher, ...]:
    """Return the clauses of a `match:`."""
    return parse_matchers({str(label): str(text) for label, text in (data or {}).items()})


def services_from(data: Data) -> Services:
    """Return the services of `services:`, in the order of the file."""
    return Services({name: _service(name, each or {}) for name, each in data.items()}) if data else NO_SERVICES


def _service(name: str, data: Data) -> Service:
    return Service(
        name=name,
        aliases=tuple(alias for _, alias in aliases_from(data.get("aliases") or {})),
        owner=str(data.get("owner") or ""),
        tier=data.get("tier"),
        links={title: str(address) for title, address in (data.get("links") or {}).items()},
        depends_on=tuple(str(each) for each in data.get("depends_on") or ()),
    )


def aliases_from(data: Data) -> list[tuple[tuple[str | int, ...], Alias]]:
    """Return the aliases of a service, each with its path below `aliases`; what has another form is left out."""
    found: list[tuple[tuple[str | int, ...], Alias]] = []
    for key, given in data.items():
        listed = [((key, index), each) for index, each in enumerate(given)] if isinstance(given, list) else []
        for path, each in listed if isinstance(given, list) else [((key,), given)]:
            labels = each if key == SETS else {key: each}
            alias = _alias(labels) if isinstance(labels, Mapping) else ()
            found += [(path, alias)] if alias else []
    return found


def _alias(labels: Data) -> Alias:
    plain = {label: each for label, each in labels.items() if isinstance(each, str | int | float) and each != ""}
    return tuple(
        sorted((label, str(each).lower() if each in (True, False) else str(each)) for label, each in plain.items())
    )


def _inhibition(data: Data) -> Inhibition:
    return Inhibition(matchers_from(data["cause"]), matchers_from(data["symptom"]), tuple(data.get("equal") or ()))


def _correlate(data: Any) -> Correlate | None:
    if not data:
        return None
    own: dict[str, Any] = {
        name: parse_duration(data[name]) for name in ("join_within", "max_age") if data.get(name) is not None
    }
    if data.get("after_ack") is not None:
        own["after_ack"] = None if data["after_ack"] in ("off", False) else parse_duration(data["after_ack"])
    if data.get("storm") is not None:
        own["storm"] = _storm(data["storm"])
    return Correlate(by=tuple(dict.fromkeys(str(label) for label in data["by"])), **own)


def _storm(data: Any) -> Storm | None:
    if not isinstance(data, Mapping):
        return None
    own: dict[str, Any] = {"openings": int(data["openings"])} if data.get("openings") is not None else {}
    if data.get("within") is not None:
        own["within"] = parse_duration(data["within"])
    return Storm(**own)


def _access(data: Any) -> Access:
    if data is None:
        return OPEN
    viewer, responder, admin = (tuple(map(str, data.get(role) or ())) for role in ("viewer", "responder", "admin"))
    return Access(viewer, responder, admin)


def _window(name: str, data: Data, options: RouteOptions, holidays: Mapping[str, Sequence[str]]) -> Window:
    return Window(
        name=name,
        days=days_from(data, holidays),
        from_minute=minute_of(data.get("from") or "00:00"),
        to_minute=minute_of(data.get("to") or "24:00"),
        timezone=str(data.get("timezone") or options.timezone),
    )


def days_from(data: Data, holidays: Mapping[str, Sequence[str]]) -> Days:
    """Return the days of a window. What it leaves out is every day; an empty list is none."""
    week, month, months = data.get("days"), data.get("days_of_month"), data.get("months")
    dates = data.get("dates")
    if (named := data.get("holidays")) is not None:
        dates = [*(dates or ()), *(each for name in named for each in holidays.get(name) or ())]
    return Days(
        week=None if week is None else frozenset(map(DAYS.index, week)),
        month=None if month is None else tuple(map(month_days_from, month)),
        months=None if months is None else frozenset(MONTHS.index(each) + 1 for each in months),
        dates=None if dates is None else tuple(map(dates_from, dates)),
    )


def dates_from(text: str) -> Dates:
    """Return `2026-12-24`, `12-24`, or a range of either: `12-24 to 01-02`."""
    first, _, last = text.partition(" to ")
    return Dates(first, last or first)


def month_days_from(value: int | str) -> MonthDays:
    """Return `1`, `-1`, or a range: `1 to 7`, `-3 to -1`."""
    first, _, last = str(value).partition(" to ")
    return MonthDays(int(first), int(last or first))


def minute_of(text: str) -> int:
    """Return `22:00` as minutes since midnight; 24:00 is the end of the day."""
    hour, _, minute = text.partition(":")
    return int(hour) * 60 + int(minute)
