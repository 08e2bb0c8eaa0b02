"""Waves: how often one incident called people at a pager, and which of its calls rings there now.

A pager makes no sound for an incident that somebody acknowledged there, whatever is sent to it. So when nobody has what
it was notified of (it was given back, the acknowledgement ran out, something got worse or is new), the next
notification opens one more incident at the pager: a wave. The first has the incident's id as its key, wave n `<id>:<n>`.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from chalicelib.core.event import Action, ActionKind
from chalicelib.core.incident import Entry, Incident
from chalicelib.core.notified import NotifiedState, PagerState

LOSSES = ("unack", "ack_lifted", "ack_expired")
"""The lines of a timeline that say that nobody has an alert any more."""
MAX_WAVES = 10
"""So many of one incident at one target: after that, the newest one is only brought up to date."""
SHORTEST_PAUSE = timedelta(seconds=60)
"""Between the beginnings of two waves of one target."""
_EVER = datetime.min.replace(tzinfo=UTC)
_KEY = re.compile(r"([0-9a-f]{16}):([2-9]|10)")


def wave_key(key: str, wave: int) -> str:
    """Return the key of a wave at the pager; the first one has the plain key."""
    return key if wave <= 1 else f"{key}:{wave}"


def incident_named(name: str) -> str:
    """Return the id of the incident that a pager's key names; any other name as it is."""
    found = _KEY.fullmatch(name)
    return found[1] if found else name


def wave_named(name: str) -> int:
    """Return the number of the wave that a pager's key names."""
    found = _KEY.fullmatch(name)
    return int(found[2]) if found else 1


def is_acknowledged(announced: NotifiedState, timeline: Sequence[Entry]) -> bool:
    """Return whether the newest wave is acknowledged at the pager, so that it makes no sound any more.

    The version before did not note it: what was acknowledged then and is lost since is still acknowledged there. What is
    acknowledged now counts as not: it is acknowledged once more, without a sound.
    """
    if announced.pager.acknowledged is not None:
        return announced.pager.acknowledged
    kinds = [each.kind for each in timeline]
    return announced.was_notified and "ack" in kinds and any(each in LOSSES for each in kinds[kinds.index("ack") :])


def lost_since_wave(announced: NotifiedState, timeline: Sequence[Entry]) -> bool:
    """Return whether an acknowledgement was lost since the newest wave began."""
    began_at = announced.wave_began_at or _EVER
    return any(each.kind in LOSSES and each.at >= began_at for each in timeline)


def opens_at(announced: NotifiedState) -> datetime | None:
    """Return when the next wave may begin; None when there are enough."""
    if announced.pager.wave >= MAX_WAVES:
        return None
    began_at = announced.wave_began_at
    return began_at + SHORTEST_PAUSE if began_at is not None else _EVER


def next_wave(announced: NotifiedState, timeline: Sequence[Entry], now: datetime, *, is_worse: bool) -> int:
    """Return the wave of a notification of what nobody has: a new one while the newest is acknowledged, or less severe.

    A severity that rises calls people again only where the pager's service is set up so, and that cannot be seen:
    https://support.pagerduty.com/main/docs/dynamic-notifications.
    """
    if not announced.was_notified or not (is_worse or is_acknowledged(announced, timeline)):
        return announced.pager.wave
    at = opens_at(announced)
    return announced.pager.wave + 1 if at is not None and at <= now else announced.pager.wave


def after_sending(
    before: NotifiedState, wave: int, timeline: Sequence[Entry], *, acknowledged: bool, now: datetime
) -> NotifiedState:
    """Return what is known of the pager after a notification of that wave, which acknowledges it or does not."""
    if wave != before.pager.wave or not before.was_notified:
        return replace(before, pager=PagerState(wave, now, acknowledged))
    acknowledged = acknowledged or is_acknowledged(before, timeline)
    return replace(before, pager=replace(before.pager, acknowledged=acknowledged))


def acted_there(incident: Incident, action: Action, *, pages: bool) -> Incident:
    """Return the incident after what a person did at a pager: its newest wave is acknowledged, or one rings again.

    `pages` says whether the act was done at a pager: other acts change nothing here.
    With two pagers of one kind it is not known at which of them it was: nothing is noted, and both are notified.
    """
    if not pages or action.kind not in (ActionKind.ACK, ActionKind.UNACK):
        return incident
    keys = [key for key, each in incident.announced.items() if each.open and each.target.kind == action.via]
    if len(keys) != 1:
        return incident
    known = incident.announced[keys[0]]
    acknowledged = action.kind is ActionKind.ACK
    if acknowledged and wave_named(action.incident or "") != known.pager.wave:
        return incident
    changed = replace(known, pager=replace(known.pager, acknowledged=acknowledged))
    return replace(incident, announced={**incident.announced, keys[0]: changed})
