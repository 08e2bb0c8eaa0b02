"""Alerts that fire and open incidents as alerts and groups of Alertmanager's API v2. Everything is read, nothing written.

Pending alerts are left out: Alertmanager never receives them. The labels are those that matchers see, so that a silence
which a program makes of them mutes the alert. A list is cut at MAX_ALERTS, the worst incidents first, or at MAX_BYTES.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from chalicelib.api.routes import ApiContext
from chalicelib.core.alert import Alert
from chalicelib.core.context import Context
from chalicelib.core.incident import Incident, IncidentStatus
from chalicelib.core.listing import listed, whole, with_alerts
from chalicelib.core.match import Matcher
from chalicelib.core.mute import Muting, muting_windows, mutings_of
from chalicelib.core.pattern import whole_match
from chalicelib.core.routing import whole_route
from chalicelib.core.rule import Rules
from chalicelib.core.summary import Summary

MAX_ALERTS = 2_000
MAX_BYTES = 4_000_000
"""Lambda answers with at most 6 MB."""

Shown = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which alerts are asked for. `receiver` is an anchored pattern; an empty one asks for all."""

    matchers: tuple[Matcher, ...] = ()
    active: bool = True
    silenced: bool = True
    inhibited: bool = True
    muted: bool = True
    receiver: str = ""

    def takes(self, muting: Muting) -> bool:
        """Return whether an alert that is muted so is asked for. One that only a window mutes is active, as there."""
        if not muting:
            return self.active
        held = muting.silences or muting.maintenance
        return (self.silenced or not held) and (self.inhibited or not muting.causes)

    def has_receiver(self, names: Sequence[str]) -> bool:
        """Return whether any of the receivers is asked for."""
        return not self.receiver or any(whole_match(self.receiver, name) for name in names)


@dataclass(frozen=True, slots=True)
class Group:
    """An open incident, those of its alerts that are asked for, what mutes them, and the windows that mute it."""

    incident: Incident
    alerts: Sequence[Alert]
    mutings: Mapping[str, Muting]
    windows: Sequence[str]
    ends_by_default: datetime

    def shown(self, alert: Alert) -> Shown:
        """Return one of its alerts as Alertmanager shows it."""
        muting = self.mutings.get(alert.fingerprint, Muting())
        return {
            "labels": alert.match_labels(),
            "annotations": _annotations(alert),
            "receivers": [{"name": name} for name in receivers_of(alert, self.incident)],
            "fingerprint": alert.fingerprint,
            "startsAt": stamp(alert.since or alert.received.last_event_at or self.ends_by_default),
            "updatedAt": stamp(_updated_at(alert) or self.ends_by_default),
            "endsAt": stamp(alert.timers.expires_at or self.ends_by_default),
            "status": self._status(muting),
            **({"generatorURL": alert.text.url} if alert.text.url else {}),
        }

    def _status(self, muting: Muting) -> Shown:
        return {
            "state": "suppressed" if muting or self.windows else "active",
            "silencedBy": [each.id for each in (*muting.silences, *muting.maintenance)],
            "inhibitedBy": [each.alert for each in muting.causes],
            "mutedBy": list(self.windows),
        }


@dataclass(frozen=True, slots=True)
class Found:
    """The groups that are asked for. `cut_from` is how many alerts there were before the list was cut; None: all are here."""

    groups: Sequence[Group]
    cut_from: int | None = None


def found(api: ApiContext, wanted: Wanted) -> Found:
    """Return the open incidents with the alerts that are asked for, the worst first where there are too many."""
    counted = sorted(_counted(api, wanted.matchers), key=lambda each: (each[0].severity.rank, each[0].name))
    total, kept, room = sum(count for _, count in counted), [], MAX_ALERTS
    for summary, count in counted:
        if room <= 0:
            break
        kept.append(summary)
        room -= count
    read = whole(api.store, kept)
    context = api.store.context() if read else Context()
    groups = [_group(read[each.name], api.rules, context, api.now, wanted) for each in kept if each.name in read]
    within, cut = _within([each for each in groups if each.alerts])
    return Found(within, total if cut or len(kept) < len(counted) else None)


def alerts(of: Found) -> list[Shown]:
    """Return all alerts, by fingerprint. One that is in two incidents is one, with the receivers of both."""
    rows: dict[str, Shown] = {}
    for group in of.groups:
        for alert in group.alerts:
            row = group.shown(alert)
            before = rows.setdefault(alert.fingerprint, row)
            before["receivers"] += [each for each in row["receivers"] if each not in before["receivers"]]
    return [rows[fingerprint] for fingerprint in sorted(rows)]


def groups(of: Found) -> list[Shown]:
    """Return the groups, sorted by their labels."""
    rows = [
        {
            "labels": dict(each.incident.group),
            "receiver": {"name": each.incident.route},
            "routeLabels": {},
            "alerts": [each.shown(alert) for alert in each.alerts],
        }
        for each in of.groups
    ]
    return sorted(rows, key=lambda row: (sorted(row["labels"].items()), row["receiver"]["name"]))


def receivers_of(alert: Alert, incident: Incident) -> tuple[str, ...]:
    """Return the ids of the routes by which an alert came to its incident."""
    return alert.routes or (incident.route,)


def stamp(at: datetime) -> str:
    """Return an instant as Alertmanager writes it: RFC 3339 in UTC, with milliseconds."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _counted(api: ApiContext, matchers: Sequence[Matcher]) -> Iterator[tuple[Summary, int]]:
    """Yield the open incidents with how many of their alerts fire and match; none without one."""
    is_open = [each for each in listed(api.store) if each.status is IncidentStatus.OPEN]
    for summary, known in with_alerts(api.store, is_open):
        count = sum(alert.fires and alert.matched_by(matchers) for alert in known)
        if count:
            yield summary, count


def _group(incident: Incident, rules: Rules, context: Context, now: datetime, wanted: Wanted) -> Group:
    route = whole_route(incident, rules)
    windows = muting_windows(route, rules.windows, now)
    mutings = mutings_of(incident, rules, context, now)
    chosen = [
        alert
        for alert in incident.firing
        if alert.matched_by(wanted.matchers)
        and wanted.takes(mutings.get(alert.fingerprint, Muting()))
        and wanted.has_receiver(receivers_of(alert, incident))
    ]
    if windows and not wanted.muted:
        chosen = []
    return Group(incident, chosen, mutings, windows, now + route.options.resolve_timeout)


def _within(groups: Sequence[Group]) -> tuple[list[Group], bool]:
    """Return the first groups that MAX_BYTES has room for, and whether any was left out."""
    kept: list[Group] = []
    size = 0
    for group in groups:
        size += sum(len(json.dumps(group.shown(alert))) for alert in group.alerts)
        if size > MAX_BYTES and kept:
            return kept, True
        kept.append(group)
    return kept, False


def _updated_at(alert: Alert) -> datetime | None:
    return alert.received.refreshed_at or alert.received.last_event_at or alert.since


def _annotations(alert: Alert) -> dict[str, str]:
    """Return what the sender wrote; where that has no summary, its title is one, since programs show that."""
    written = dict(alert.text.annotations)
    if not written.get("summary") and (title := alert.text.title or alert.text.summary):
        written["summary"] = title
    return written
