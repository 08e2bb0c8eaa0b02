"""What people see: incidents, alerts, silences and who is notified, as plain dicts for API, Slack and command line.

Everything is read from the store and judged under today's rules; nothing is written. Times are RFC 3339 text in UTC.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from chalicelib.api.paging import ALL, Page, Paging, ascending, descending, page
from chalicelib.core.alert import Alert, AlertState
from chalicelib.core.alert_snapshot import SnapshotInput, summary_of
from chalicelib.core.context import Context, Silence
from chalicelib.core.delivery.delivery_log import Result, delivery_log_key
from chalicelib.core.errors import NotFoundError, NotUniqueError
from chalicelib.core.incident import Entry, Incident, IncidentStatus, is_listed
from chalicelib.core.instants import rfc3339
from chalicelib.core.language.units import duration_words
from chalicelib.core.listing import listed, whole, with_alerts
from chalicelib.core.lookup import incident_of
from chalicelib.core.match import Matcher
from chalicelib.core.mute import Muting, muting_windows, mutings_of
from chalicelib.core.notified import NotifiedState
from chalicelib.core.outcome import MIN_ID_CHARACTERS, not_one
from chalicelib.core.ports import Store
from chalicelib.core.routing import whole_route
from chalicelib.core.rule import Route, Rule, Rules, shown
from chalicelib.core.services import SERVICE
from chalicelib.core.standing import Mute, Standing, acknowledged, holder, sentence, standing, window_mutes
from chalicelib.core.summary import AlertSummary, Summary
from chalicelib.core.timeline import in_order, notified_counts
from chalicelib.core.titles import title_of

LOOKED_BACK = (timedelta(0), timedelta(days=1), timedelta(days=7), timedelta(days=90))
"""How far back an id is looked for, step by step: the ended ones of one day are one small query."""
_AROUND_IDS = " \t\n`#…,.:;*_<>()[]'\""
SEVERITIES = ("critical", "warning", "info")
STATES = ("active", "pending", "ended")
MAX_SORTED_CHARACTERS = 60
MAX_NAMED = 5

Shown = dict[str, Any]


def find(store: Store, id: str, now: datetime) -> Incident:
    """Return the incident of an id, or of the first characters of one. Raise NotFoundError or NotUniqueError."""
    found = candidates(store, id, now)
    if len(found) == 1:
        return found[0]
    raise (NotUniqueError if found else NotFoundError)(not_one(id, [each.id for each in found]))


def plain_id(id: str) -> str:
    """Return an id without what stands around it in our own answers: backticks, `#`, `…`, a comma."""
    return id.strip(_AROUND_IDS).lower()


def candidates(store: Store, id: str, now: datetime) -> list[Incident]:
    """Return the incidents that an id, or the first characters of one, can mean: the open ones, else the newest ended.

    The id is taken as answers show it: in backticks, after `#`, cut by `…`, before a comma.
    """
    wanted = plain_id(id)
    if (exact := incident_of(store, wanted)) is not None:
        return [exact]
    if _is_long_enough(wanted):
        for back in LOOKED_BACK:
            among = listed(store, ended_since=now - back if back else None)
            if begin := [each for each in among if each.id.startswith(wanted)]:
                found = whole(store, begin)
                return [found[id] for id in sorted(found)]
    return []


def incidents(
    store: Store,
    rules: Rules,
    now: datetime,
    *,
    ended_since: datetime | None = None,
    only_ended: bool = False,
    matchers: Sequence[Matcher] = (),
    asked: Paging = ALL,
) -> Page[Shown]:
    """Return a page of the open incidents, worst and newest first, then those that ended since then.

    `matchers` choose by any alert.
    """
    among = listed(store, ended_since=ended_since)
    chosen = [each for each in among if not only_ended or each.status is IncidentStatus.ENDED]
    if matchers:
        chosen = [each for each, alerts in with_alerts(store, chosen) if _is_shown(alerts, matchers)]
    asked_page = page("incidents", chosen, _incident_place, asked)
    found = whole(store, asked_page.rows)
    rows = [found[each.name] for each in asked_page.rows if each.name in found]
    rows = [each for each in rows if _still_listed(each, ended_since, only_ended=only_ended)]
    context = store.context() if rows else Context()
    return asked_page.with_rows([_Judged.of(each, rules, context, now).row() for each in rows])


def _is_shown(alerts: Sequence[AlertSummary], matchers: Sequence[Matcher]) -> bool:
    return any(alert.shown and alert.matched_by(matchers) for alert in alerts)


def _still_listed(each: Incident, ended_since: datetime | None, *, only_ended: bool) -> bool:
    """Return whether an incident is what was asked for. Its summary may be a moment older."""
    if only_ended and each.status is not IncidentStatus.ENDED:
        return False
    return is_listed(each, ended_since, quiet=False)


def _incident_place(each: Summary) -> str:
    """Return where an incident is in a list: its key, as text."""
    rank = each.severity.rank if each.status is IncidentStatus.OPEN else 9
    return f"{each.status != 'open':d}{rank}{descending(each.at)}{each.name}"


def incident(found: Incident, store: Store, rules: Rules, now: datetime) -> Shown:
    """Return one incident: its alerts, who was notified and what came of it, acknowledgements, timeline."""
    return _Judged.of(found, rules, store.context(), now).whole(store)


def alerts(
    store: Store, rules: Rules, now: datetime, *, matchers: Sequence[Matcher] = (), asked: Paging = ALL
) -> Page[Shown]:
    """Return a page of the alerts that are pending or firing, suppressed ones too; worst first."""
    places = [
        _AlertPlace(each, alert)
        for each, alerts in with_alerts(store, listed(store, quiet=True))
        for alert in alerts
        if alert.active and alert.matched_by(matchers)
    ]
    asked_page = page("alerts", places, _AlertPlace.key, asked)
    found = whole(store, [each.incident for each in asked_page.rows])
    context = store.context() if found else Context()
    judged = {name: _Judged.of(each, rules, context, now) for name, each in found.items()}
    shown = [
        judged[each.incident.name].active(each.alert.fingerprint)
        for each in asked_page.rows
        if each.incident.name in found
    ]
    return asked_page.with_rows([each for each in shown if each is not None])


@dataclass(frozen=True, slots=True)
class _AlertPlace:
    """An active alert in short, and the incident that has it."""

    incident: Summary
    alert: AlertSummary

    def key(self) -> str:
        """Return where it is in a list, as text."""
        pending, rank = self.alert.state is AlertState.PENDING, self.alert.severity.rank
        name = self.alert.name[:MAX_SORTED_CHARACTERS]
        return f"{pending:d}{rank}{name}\0{self.incident.id}\0{self.alert.fingerprint}"


def silences(store: Store, now: datetime, *, ended: bool = False, asked: Paging = ALL) -> Page[Shown]:
    """Return a page of the silences and maintenance, active ones first, each with the alerts that it mutes now.

    The ended ones are there if they are asked for.
    """
    kept = [(each, kind) for each, kind in _silences(store.context()) if ended or now < each.ends_at]
    asked_page = page("silences", kept, lambda row: _silence_place(row[0], now), asked)
    firing = fires(store, [each for each, _ in asked_page.rows if each.active(now)])
    return asked_page.with_rows([silence(each, now, firing, maintenance=kind) for each, kind in asked_page.rows])


def _silences(context: Context) -> list[tuple[Silence, bool]]:
    """Return all silences, each with whether it is maintenance."""
    return [(each, False) for each in context.silences] + [(each, True) for each in context.maintenance]


def _silence_place(each: Silence, now: datetime) -> str:
    return f"{STATES.index(_state_of(each, now))}{ascending(each.ends_at)}{each.id}"


def _state_of(each: Silence, now: datetime) -> str:
    """Return whether it is active, to come, or has ended, which it may have before it began."""
    return "ended" if each.ends_at <= now else "active" if each.active(now) else "pending"


def silence_named(store: Store, id: str, now: datetime) -> Shown:
    """Return the silence of an id, or of the first characters of one, as answers show it.

    Raise NotFoundError without one, NotUniqueError for several.
    """
    everyone = _silences(store.context())
    wanted = plain_id(id)
    exact = [row for row in everyone if row[0].id == id] or [row for row in everyone if row[0].id.lower() == wanted]
    begin = [row for row in everyone if row[0].id.lower().startswith(wanted)] if _is_long_enough(wanted) else []
    going = [row for row in begin if now < row[0].ends_at]
    found = exact or going or begin
    if len(found) == 1:
        ((each, kind),) = found
        return silence(each, now, fires(store, [each] if each.active(now) else []), maintenance=kind)
    if found:
        named = ", ".join(each.id for each, _ in sorted(found, key=lambda row: _silence_place(row[0], now))[:MAX_NAMED])
        raise NotUniqueError(f"{len(found)} silences have an id that begins with {wanted[:40]}: {named}")
    raise NotFoundError(
        f"no silences have an id that begins with {id[:40]!r}; expected are at least {MIN_ID_CHARACTERS} characters of "
        "one; an ended one is remembered for a week"
    )


def _is_long_enough(wanted: str) -> bool:
    return len(wanted) >= MIN_ID_CHARACTERS


@dataclass(frozen=True, slots=True)
class Fire:
    """A firing alert, the id of its incident, and whether anybody knows of it."""

    incident: str
    alert: Alert
    known: bool


def fires(store: Store, muting: Sequence[Silence], among: Sequence[Summary] | None = None) -> list[Fire]:
    """Return the firing alerts that any of the silences is about, and maybe others of their incidents.

    `among` are summaries that were listed already.
    """
    if not muting:
        return []
    clauses = [each.matchers for each in muting]
    about = [
        each
        for each in (listed(store) if among is None else among)
        if each.status is IncidentStatus.OPEN
        and (each.cut or any(alert.matched_by(matchers) for alert in each.firing for matchers in clauses))
    ]
    return [
        Fire(
            each.id,
            alert,
            any(alert.fingerprint in known.alerts.firing for known in each.announced.values() if known.open),
        )
        for each in whole(store, about).values()
        for alert in each.firing
    ]


def firing_labels(store: Store) -> frozenset[str]:
    """Return the names of all labels of alerts that fire, as matchers see them."""
    found: set[str] = set()
    for _, alerts in with_alerts(store, listed(store)):
        found.update(*(alert.labels for alert in alerts if alert.fires))
    return frozenset(found)


def silence(each: Silence, now: datetime, firing: Iterable[Fire], *, maintenance: bool = False) -> Shown:
    """Return one silence with what it mutes now. Maintenance holds back only what nobody knows of yet."""
    active = each.active(now)
    muted = [fire for fire in firing if active and fire.alert.matched_by(each.matchers)]
    if maintenance:
        muted = [fire for fire in muted if not fire.known]
    return {
        "id": each.id,
        "state": _state_of(each, now),
        "maintenance": maintenance,
        "matchers": [matcher.written() for matcher in each.matchers],
        "starts_at": stamp(each.starts_at),
        "ends_at": stamp(each.ends_at),
        "by": each.by,
        "comment": each.comment,
        "changes": [{"at": stamp(change.at), "by": change.by, "text": change.text} for change in each.changes],
        "mutes": [
            {"incident": fire.incident, "name": fire.alert.name, "labels": dict(fire.alert.labels)} for fire in muted
        ],
    }


# ---------------------------------------------------------------------------------------------------------------------
# Who is notified


def who(rules: Rules, labels: Mapping[str, str], now: datetime) -> list[Shown]:
    """Return who is notified of what has these labels (`service`, `environment`, …): by rule, then by severity without one.

    A service may have any name that a sender gives it.
    """
    found = []
    service = rules.services.called(labels.get(SERVICE, ""))
    labels = {**labels, SERVICE: service.name} if service else labels
    for rule in rules.rules:
        if not _concerns(rule, labels):
            continue
        known = {**labels, **rule.labels, "alertname": rule.name}
        severities = (rule.severity.value,) if rule.severity else SEVERITIES
        for severity, routes in _by_severity(rules, rule, known, severities):
            found += [{"rule": rule.name, "severity": severity, **audience(route, rules, now)} for route in routes]
    for severity, routes in _by_severity(rules, None, labels, SEVERITIES):
        found += [{"rule": None, "severity": severity, **audience(route, rules, now)} for route in routes]
    return found


def service_of(rules: Rules, labels: Mapping[str, str]) -> Shown | None:
    """Return the entry of the rules file for the service of these labels; None where there is none."""
    services = rules.services
    found = services.called(labels.get(SERVICE, ""))
    if found is None:
        return None
    return {
        "name": found.name,
        "owner": found.owner,
        "tier": found.tier,
        "links": dict(found.links),
        "depends_on": [{"name": name, "owner": services.declared[name].owner} for name in found.depends_on],
        "needed_by": services.needing(found.name),
    }


def who_of(found: Incident, store: Store, rules: Rules, now: datetime) -> Shown:
    """Return who is notified of an incident, who is when nobody acknowledges it, and why nobody is now."""
    return _Judged.of(found, rules, store.context(), now).audience()


def audience(route: Route, rules: Rules, now: datetime) -> Shown:
    """Return the targets of a route, its escalation, and the windows that mute it now."""
    quiet = window_mutes(route, rules.windows, now)
    return {
        "route": route.id,
        "targets": [target.shown for target in route.targets],
        "escalate": [
            {"after": duration_words(step.after), "targets": [target.shown for target in step.targets]}
            for step in route.escalate
        ],
        "repeats_every": duration_words(every) if (every := route.options.repeat_interval) is not None else "never",
        "quiet_now": [each.name for each in quiet],
        "quiet_until": stamp(quiet[0].until) if quiet else None,
    }


def _mute(each: Mute) -> Shown:
    return {
        "kind": each.kind,
        "name": each.name,
        "by": each.by,
        "comment": each.comment,
        "until": stamp(each.until),
    }


def _concerns(rule: Rule, labels: Mapping[str, str]) -> bool:
    """Return whether the rule could be about what has these labels: what they do not say is left open."""
    return all(matcher.matches(labels) for matcher in rule.matchers if matcher.label in labels)


def _by_severity(
    rules: Rules, rule: Rule | None, labels: Mapping[str, str], severities: Sequence[str]
) -> Iterator[tuple[str, tuple[Route, ...]]]:
    """Yield the routes for each severity; one line, `any`, where all are notified alike."""
    found = {severity: rules.routes_for(rule, {"severity": severity, **labels}) for severity in severities}
    if len(found) > 1 and len(set(map(_ids, found.values()))) == 1:
        yield "any", next(iter(found.values()))
        return
    yield from found.items()


def _ids(routes: Sequence[Route]) -> tuple[str, ...]:
    return tuple(route.id for route in routes)


# ---------------------------------------------------------------------------------------------------------------------
# An incident under today's rules


@dataclass(frozen=True, slots=True)
class _Judged:
    """An incident with what mutes its alerts now."""

    incident: Incident
    route: Route
    mutings: Mapping[str, Muting]
    windows: tuple[str, ...]
    basis: SnapshotInput
    standing: Standing

    @classmethod
    def of(cls, incident: Incident, rules: Rules, context: Context, now: datetime) -> "_Judged":
        route = whole_route(incident, rules)
        mutings = mutings_of(incident, rules, context, now)
        windows = muting_windows(route, rules.windows, now)
        basis = SnapshotInput(rules=rules, context=context, route=route, now=now, mutings=mutings)
        found = standing(incident, route, rules.windows, mutings, now)
        return cls(incident, route, mutings, windows, basis, found)

    def audience(self) -> Shown:
        """Return who is notified of it, and why nobody is now."""
        return {
            **audience(self.route, self.basis.rules, self.basis.now),
            "notified": self.standing.notified,
            "reminds": self.standing.reminds,
            "message": sentence(self.standing, rfc3339),
            "muted_by": [_mute(each) for each in self.standing.mutes],
        }

    @property
    def listed(self) -> Sequence[Alert]:
        """Return the alerts that its page lists."""
        return self.incident.shown or tuple(self.incident.alerts.values())

    def row(self) -> Shown:
        """Return what a list shows."""
        found, firing = self.incident, self.incident.firing
        return {
            "id": found.id,
            "status": "firing" if firing else "resolved",
            "ended": found.status is IncidentStatus.ENDED,
            "severity": found.severity.value,
            "title": title_of(
                found,
                firing or found.shown,
                more=len(found.truncated.alerts) if firing else 0,
                services=self.basis.rules.services,
            ),
            "names": sorted({alert.name for alert in self.listed}),
            "group": dict(found.group),
            "route": found.route,
            "started_at": stamp(found.episode.started_at),
            "opened_at": stamp(found.episode.opened_at),
            "ended_at": stamp(found.episode.ended_at),
            "events": found.events,
            "counts": {
                "firing": len(firing),
                "resolved": len(found.shown) - len(firing),
                "muted": self.standing.muted,
            },
            "acked_by": holder(found),
            "assigned_to": _assigned(found.timeline.entries),
            "told": [shown(key) for key, each in found.announced.items() if each.was_notified],
        }

    def whole(self, store: Store) -> Shown:
        """Return what its own page shows."""
        found = self.incident
        results = {key: store.delivery_log(delivery_log_key(found.id, key)).results for key in found.announced}
        older = store.timeline(found.id) if found.timeline.pages else ()
        counts = notified_counts((*older, *found.timeline.entries))
        delivered = {(key, each.seq): each for key, of_target in results.items() for each in of_target}
        return {
            **self.row(),
            "alerts": [self.alert(alert) for alert in self.listed],
            "overflow": found.truncated.events,
            "told": [
                _told(each, results[key], counts[key]) for key, each in found.announced.items() if each.was_notified
            ],
            "acks": [
                {"alert": alert.name, "by": alert.ack.by, "at": stamp(alert.ack.at)} for alert in acknowledged(found)
            ],
            "who": self.audience(),
            "timeline": [_entry(each, delivered) for each in in_order((*older, *found.timeline.entries))],
        }

    def active(self, fingerprint: str) -> Shown | None:
        """Return an alert as lists of alerts show it; None when it is not active by now."""
        alert = self.incident.alerts.get(fingerprint)
        if alert is None or not alert.active:
            return None
        return {**self.alert(alert), "incident": self.incident.id or None}

    def alert(self, alert: Alert) -> Shown:
        """Return one of its alerts."""
        muting = self.mutings.get(alert.fingerprint, Muting())
        held = (*muting.silences, *muting.maintenance)
        quiet = self.windows if alert.state is AlertState.FIRING else ()
        state = alert.state.value
        if alert.state is AlertState.FIRING and (held or muting.causes or quiet):
            state = "suppressed"
        elif alert.evaluation.no_data and alert.state is AlertState.FIRING:
            state = "no_data"
        return {
            "name": alert.name,
            "state": state,
            "severity": alert.severity.value,
            "title": alert.text.title or alert.name,
            "summary": summary_of(alert, self.basis, self.incident.group),
            "labels": dict(alert.labels),
            "annotations": dict(alert.text.annotations),
            "starts_at": stamp(alert.since),
            "ends_at": stamp(alert.ends_at),
            "events": alert.received.events,
            "last_event_at": stamp(alert.received.last_event_at),
            "value": alert.evaluation.value,
            "threshold": alert.evaluation.threshold,
            "condition": alert.evaluation.condition,
            "url": alert.text.url,
            "acked_by": alert.ack.by,
            "acked_at": stamp(alert.ack.at),
            "silenced_by": [each.id for each in held],
            "inhibited_by": [dict(cause.labels) for cause in muting.causes],
            "muted_by": list(quiet),
            "fingerprint": alert.fingerprint,
        }


def _told(announced: NotifiedState, results: Sequence[Result], notifications: int) -> Shown:
    return {
        "target": announced.target.shown,
        "open": announced.open,
        "notifications": notifications,
        "last_at": stamp(announced.last.at),
        "results": [_result(each) for each in results],
    }


def _result(each: Result) -> Shown:
    return {
        "seq": each.seq,
        "reason": each.reason,
        "at": stamp(each.at),
        "delivered": each.delivered,
        "attempts": each.attempts,
        "error": each.error or None,
        "note": each.note or None,
    }


def _entry(each: Entry, delivered: Mapping[tuple[str, int], Result]) -> Shown:
    found: Shown = {
        "at": stamp(each.at),
        "kind": each.kind,
        "text": each.text,
        "by": each.by or None,
        "via": each.via or None,
        "account": each.account or None,
    }
    if each.result:
        found["result"] = each.result
    if each.count:
        found |= {"count": each.count, "until": stamp(each.until)}
    if each.target:
        result = delivered.get((each.target, each.seq))
        found |= {"target": shown(each.target), "delivery": _result(result) if result else None}
    return found


def _assigned(timeline: Sequence[Entry]) -> str | None:
    """Return whom a person assigned it to last."""
    found = [each for each in timeline if each.kind == "reassign"]
    return found[-1].text.removeprefix("assigned to ") if found else None


def stamp(at: datetime | None) -> str | None:
    """Return a time in RFC 3339, in UTC, to the second where that is exact."""
    if at is None:
        return None
    form = at.astimezone(UTC).isoformat(timespec="seconds" if at.microsecond == 0 else "milliseconds")
    return form.replace("+00:00", "Z")
