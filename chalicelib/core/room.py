"""The alerts of an incident while inputs are applied: whether there is room for one more, and which can be forgotten.

Each answer costs the same however many alerts there are: what all of them weigh, and which ended first, is found out once.
"""

from collections.abc import Set
from datetime import datetime
from heapq import heapify, heappop, heappush
from itertools import count

from chalicelib.core.alert import Alert
from chalicelib.core.incident import Incident
from chalicelib.core.limits import has_room, label_bytes


class Room:
    """`alerts` are those of the incident, by fault. `awaited` are those of whose end a target is still to be notified."""

    def __init__(self, incident: Incident, awaited: Set[str]) -> None:
        self.alerts = dict(incident.alerts)
        self._max_alerts = incident.options.max_alerts
        self._targets = len(incident.announced)
        self._awaited = awaited
        self._label_bytes: int | None = None
        self._idle: list[tuple[datetime, int, str]] | None = None
        self._places: dict[str, int] = {}
        self._numbers = count()

    def has_room(self) -> bool:
        """Return whether the incident takes one more alert."""
        if len(self.alerts) >= self._max_alerts:
            return False
        if self._label_bytes is None:
            self._label_bytes = sum(map(label_bytes, self.alerts.values()))
        return has_room(len(self.alerts), self._label_bytes, self._max_alerts, self._targets)

    def put(self, fault: str, alert: Alert) -> None:
        """Add an alert, or one that is there as it is by now."""
        if self._label_bytes is not None:
            before = self.alerts.get(fault)
            if before is None or before.labels is not alert.labels:
                self._label_bytes += label_bytes(alert) - (label_bytes(before) if before is not None else 0)
        self.alerts[fault] = alert
        if self._idle is not None and self._is_idle(alert):
            heappush(self._idle, self._entry(fault, alert))

    def forget_idlest(self) -> Alert | None:
        """Take out the alert that ended longest ago, of those whose end no target waits for; None when there is none."""
        if self._idle is None:
            self._places = {fault: next(self._numbers) for fault in self.alerts}
            self._idle = [self._entry(fault, each) for fault, each in self.alerts.items() if self._is_idle(each)]
            heapify(self._idle)
        while self._idle:
            entry = heappop(self._idle)
            alert = self.alerts.get(entry[2])
            if alert is not None and self._is_idle(alert) and entry == self._entry(entry[2], alert):
                return self._taken(entry[2])
        return None

    def _taken(self, fault: str) -> Alert:
        alert = self.alerts.pop(fault)
        self._places.pop(fault, None)
        if self._label_bytes is not None:
            self._label_bytes -= label_bytes(alert)
        return alert

    def _is_idle(self, alert: Alert) -> bool:
        return not alert.active and alert.fingerprint not in self._awaited

    def _entry(self, fault: str, alert: Alert) -> tuple[datetime, int, str]:
        """Return where the alert is among the idle ones: of two that ended together the one that was there first."""
        if fault not in self._places:
            self._places[fault] = next(self._numbers)
        received = alert.received
        return received.refreshed_at or alert.ends_at or received.last_event_at or _NEVER, self._places[fault], fault


_NEVER = datetime.fromisoformat("0001-01-01T00:00:00+00:00")
