"""Whether targets are notified of an incident now, and why not: what mutes it, who has it, when its resolve is sent.

Pure. `standing` decides, `sentence` gives the words that the doors have in common. Instants are written by `at`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from chalicelib.core.alert import Alert
from chalicelib.core.delivery.writing import counted_list
from chalicelib.core.incident import Incident, IncidentStatus
from chalicelib.core.keeping import is_kept
from chalicelib.core.mute import Muting, muting_windows, speaks_again
from chalicelib.core.rule import Route, Window

MAX_NAMED = 5


@dataclass(frozen=True, slots=True)
class Mute:
    """What holds notifications back: a silence, maintenance, an inhibition (`name` is the cause's) or a window."""

    kind: str
    name: str
    by: str = ""
    comment: str = ""
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """How it is with an incident. `state` is firing, resolved (its targets are not notified of that yet) or ended.

    `muted` of its `firing` alerts are muted, by `mutes`. `holders` have acknowledged all others, until `held_until`.
    `since` is when it was resolved, `resolve_at` when its targets are notified of that; None where none waits for it, or
    `kept_by` keeps it open.
    """

    state: str
    firing: int = 0
    muted: int = 0
    mutes: tuple[Mute, ...] = ()
    holders: tuple[str, ...] = ()
    held_until: datetime | None = None
    since: datetime | None = None
    resolve_at: datetime | None = None
    kept_by: str = ""

    @property
    def notified(self) -> bool:
        """Return whether the targets are notified of what fires."""
        return self.state == "firing" and (not self.firing or self.muted < self.firing)

    @property
    def reminds(self) -> bool:
        """Return whether reminders and escalation go on."""
        return self.notified and not self.holders


def standing(
    incident: Incident, route: Route, windows: Mapping[str, Window], mutings: Mapping[str, Muting], now: datetime
) -> Standing:
    """Return how it is with an incident on its route of today; `mutings` are those of its firing alerts."""
    if incident.status is IncidentStatus.ENDED:
        return Standing("ended", since=incident.episode.ended_at)
    if not incident.firing and not incident.truncated.alerts:
        ends = [alert.ends_at for alert in incident.shown if alert.ends_at is not None]
        keeper = incident.episode.kept_by if is_kept(incident) else ""
        return Standing("resolved", since=max(ends, default=None), resolve_at=resolve_at(incident, now), kept_by=keeper)
    quiet = window_mutes(route, windows, now)
    found = dict.fromkeys([*(each for muting in mutings.values() for each in mutes_of(muting)), *quiet])
    muted = len(incident.firing) if quiet else len(mutings)
    holders, until = _held([each for each in incident.firing if each.fingerprint not in mutings], route)
    return Standing("firing", len(incident.firing), muted, tuple(found), holders, until)


def mutes_of(muting: Muting) -> tuple[Mute, ...]:
    """Return what mutes one alert, beside windows."""
    held = (("silence", muting.silences), ("maintenance", muting.maintenance))
    found = [Mute(kind, each.id, each.by, each.comment, each.ends_at) for kind, silences in held for each in silences]
    found += [Mute("inhibition", cause.labels.get("alertname", "another alert")) for cause in muting.causes]
    return tuple(found)


def window_mutes(route: Route, windows: Mapping[str, Window], now: datetime) -> tuple[Mute, ...]:
    """Return the windows that mute a route. `until` is when the route notifies again, if that is within eight days."""
    names = muting_windows(route, windows, now)
    until = speaks_again(route, windows, now) if names else None
    return tuple(Mute("window", name, until=until) for name in names)


def resolve_at(incident: Incident, now: datetime) -> datetime | None:
    """Return when targets are notified of an end unless it fires again; None where no target waits for it."""
    waits = any(each.open and each.target.send_resolved for each in incident.announced.values())
    due_at = incident.flush.next_at
    return max(due_at, now) if waits and due_at is not None else None


def acknowledged(incident: Incident) -> tuple[Alert, ...]:
    """Return the alerts that somebody has; of a resolved incident those that somebody had."""
    return tuple(alert for alert in incident.firing or incident.shown if alert.ack.by)


def holder(incident: Incident) -> str | None:
    """Return who has the whole incident while it fires; who had any of it after that."""
    held = acknowledged(incident)
    if not held or (incident.firing and len(held) < len(incident.firing)):
        return None
    return ", ".join(sorted({alert.ack.by for alert in held if alert.ack.by}))


def _held(visible: Sequence[Alert], route: Route) -> tuple[tuple[str, ...], datetime | None]:
    if not visible or any(alert.ack.at is None for alert in visible):
        return (), None
    until = min(alert.ack.at for alert in visible if alert.ack.at is not None) + route.options.ack_timeout
    return tuple(sorted({alert.ack.by or "" for alert in visible})), until


# ---------------------------------------------------------------------------------------------------------------------
# In words

Clock = Callable[[datetime], str]


def sentence(found: Standing, at: Clock) -> str:
    """Return why nobody is notified, or reminded, without a full stop; empty where the audience stands as it is."""
    since = f" since {at(found.since)}" if found.since else ""
    if found.state == "ended":
        return f"nobody is notified any more: it is resolved{since}"
    if found.state == "resolved":
        return f"nothing fires any more{since}; {_resolve(found, at)}"
    return "; ".join(filter(None, (_muted(found, at), _acknowledged(found, at))))


def mute_words(mute: Mute, at: Clock) -> str:
    """Return one mute in words: `silence s1 of ana (deploying) until 2026-11-26T14:00:00Z`."""
    if mute.kind == "inhibition":
        return f"{mute.name}, which inhibits it while it fires"
    until = f"until {at(mute.until)}" if mute.until else "for more than a week"
    if mute.kind == "window":
        return f"the window {mute.name} {until}"
    return f"{mute.kind} {mute.name} of {mute.by}{f' ({mute.comment})' if mute.comment else ''} {until}"


def _muted(found: Standing, at: Clock) -> str:
    if not found.muted:
        return ""
    by = counted_list([mute_words(each, at) for each in found.mutes], MAX_NAMED)
    if not found.notified:
        return f"nobody is notified now: muted by {by}"
    return f"{found.muted} of {found.firing} alerts {'is' if found.muted == 1 else 'are'} muted by {by}"


def _acknowledged(found: Standing, at: Clock) -> str:
    if not found.holders or not found.notified or found.held_until is None:
        return ""
    who = ", ".join(found.holders)
    return f"no reminder and no escalation until {at(found.held_until)}: {who} has acknowledged it"


def _resolve(found: Standing, at: Clock) -> str:
    if found.kept_by:
        return f"{found.kept_by} keeps it open until somebody resolves it, or it fires again"
    if found.resolve_at is None:
        return "no target was notified of it"
    return f"its resolve is sent at {at(found.resolve_at)} unless it fires again"
