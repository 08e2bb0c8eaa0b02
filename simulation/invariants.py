"""What must hold in every life, whatever fails. Each check returns the broken promises it finds, as texts.

A broken promise names the incident, so that its trace can be shown.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise

from chalicelib.core.actions import act_id
from chalicelib.core.alert import Alert, AlertState
from chalicelib.core.delivery.delivery_log import delivery_log_key
from chalicelib.core.delivery.notification import Notification, Reason
from chalicelib.core.delivery.target_kind import Capabilities
from chalicelib.core.event import ROUTER, Action, Severity
from chalicelib.core.incident import CORRELATED, Incident
from chalicelib.core.notified import NotifiedState
from chalicelib.core.routing import routes_of
from chalicelib.core.rule import Rules
from chalicelib.core.sounds import acknowledged_at
from chalicelib.core.storms import copies, members, storms_of
from chalicelib.core.waves import MAX_WAVES
from chalicelib.messages.queue import Wake, read_message
from chalicelib.process.acts import answer_id
from simulation.faulty import VISIBILITY
from simulation.faulty_router import FaultyRouter
from simulation.vendors import Request

MAX_AGE = timedelta(minutes=20)
"""DELIVERY_MAX_AGE of the simulated vendors."""
LATENESS = timedelta(minutes=12)
"""MAX_BACKOFF and what a worker that died costs: so much later than MAX_AGE the last try may be."""
LONGEST_INTERVAL = timedelta(minutes=6)
"""After a silence, or what inhibits it, an alert is announced at the next flush, a `group_interval` later at most: 5 minutes."""
SHORTEST_HOLD = timedelta(minutes=1)
"""The `group_interval` of the simulated rules with `correlate`."""
INDEX_LAG = timedelta(seconds=5)
ON_ITS_WAY = timedelta(minutes=1)
"""So long a delivery may take while everything works: its place in the pace of its target, and a few calls."""


@dataclass(frozen=True, slots=True)
class SentFault:
    """A fault as its sender knows it. `known_as` are the fingerprints and rules by which an incident may know it,
    `fires` the short ids of its events that say that it fires.
    """

    name: str
    known_as: frozenset[str]
    fires: frozenset[str]
    firing: bool
    counted: bool


@dataclass(frozen=True, slots=True)
class Broken:
    """A promise that was not kept."""

    promise: str
    incident: str = ""

    def __str__(self) -> str:
        """Return it as a line."""
        return f"{self.promise}{f' [{self.incident}]' if self.incident else ''}"


# ---------------------------------------------------------------------------------------------------------------------
# On the way


def timers(router: FaultyRouter) -> Iterator[Broken]:
    """Yield a timer that was due before two ticks that ended without an error is consumed."""
    if len(router.clean_ticks) < 2:
        return
    second = router.clean_ticks[-2]
    for incident in router.memory.remembered():
        if incident.wake_at is not None and incident.wake_at < second - INDEX_LAG and _is_newest(router, incident):
            saved = router.saved_at.get(incident.key, second)
            if saved < second - INDEX_LAG:
                yield Broken(
                    f"a timer of {incident.wake_at:%H:%M:%S} was left by two ticks", incident.id or incident.key
                )


def _is_newest(router: FaultyRouter, incident: Incident) -> bool:
    return router.memory.load(incident.key) is incident


def silence_of_deliveries(router: FaultyRouter) -> Iterator[Broken]:
    """Yield a notification that waits for longer than DELIVERY_MAX_AGE was announced to the fallback.

    Only a worker that tries it can announce it. So the time is left out for which its messages were hidden unseen.
    """
    now = router.clock.now
    if now < router.down_until + MAX_AGE + LATENESS:
        return
    waiting = _undelivered(router)
    for (incident, target), notification in waiting.items():
        target_state = router.memory.target_state(target)
        since = _waits_since(router, incident, notification)
        if now < since + MAX_AGE + LATENESS or _is_about_router(notification) or target_state.health.reported:
            continue
        if now < since + MAX_AGE + LATENESS + _hidden(router, incident, target, since):
            continue
        shown = notification.target.shown
        if not any(where == shown and at >= since for at, _, where, _ in router.router_events):
            yield Broken(f"{target} was not told for {now - since}, and nobody knows", incident)


def _hidden(router: FaultyRouter, incident: str, target: str, since: datetime) -> timedelta:
    """Return for how long messages about an incident to a target were hidden since then, with no worker that could run."""
    received = [(at, read_message(body)) for at, body in router.queues["notifications"].unrun if at >= since]
    times = [at for at, each in received if isinstance(each, Notification) and _is_to(each, incident, target)]
    gaps = (later - at for at, later in pairwise([*times, router.clock.now]))
    return sum((min(gap, VISIBILITY) for gap in gaps), timedelta(0))


def _is_to(notification: Notification, incident: str, target: str) -> bool:
    return (notification.incident.id, notification.target.key) == (incident, target)


def _undelivered(router: FaultyRouter) -> dict[tuple[str, str], Notification]:
    """Return the newest notification of each live incident and target that waits."""
    found: dict[tuple[str, str], Notification] = {}
    for incident in router.memory.incidents():
        for key, announced in incident.announced.items():
            newest = router.decided.get(announced.last.id)
            log = router.memory.delivery_log(delivery_log_key(incident.id, key))
            if newest is not None and log.done_seq < announced.last.seq:
                found[incident.id, key] = newest
    return found


def _waits_since(router: FaultyRouter, incident: str, notification: Notification) -> datetime:
    """Return since when a target waits. The slot of what is done stays in the target's state: it says nothing about the next."""
    turn = router.memory.target_state(notification.target.key).slots.get(incident)
    done_seq = router.memory.delivery_log(delivery_log_key(incident, notification.target.key)).done_seq
    return notification.at if turn is None or turn.seq <= done_seq else min(notification.at, turn.since)


def _is_about_router(notification: Notification) -> bool:
    return any(told.source == ROUTER for told in notification.alerts)


# ---------------------------------------------------------------------------------------------------------------------
# After the failures


def faults_are_known(router: FaultyRouter, faults: Iterable[SentFault], *, resolved_by_hand: bool) -> Iterator[Broken]:
    """Yield events of a firing fault that is in no incident, or does not fire here while it does for its sender.

    A person may have resolved it since; then it need not fire. An alert that flaps is held until it is quiet for long.
    """
    active = [
        each for one in router.memory.incidents() for each in one.alerts.values() if each.state is AlertState.FIRING
    ]
    firing = {alert.fingerprint for alert in active}
    held = {alert.fingerprint for alert in active if alert.changes.flapping}
    for fault in faults:
        if not fault.known_as & router.known_alerts:
            yield Broken(f"{fault.name} is known to no incident")
        elif lost := fault.fires - router.known_events:
            yield Broken(f"{len(lost)} of {len(fault.fires)} events of {fault.name} are in no incident")
        elif fault.firing and not fault.counted and not resolved_by_hand and not fault.known_as & firing:
            yield Broken(f"{fault.name} fires for its sender only")
        elif not fault.firing and fault.known_as & (firing - held):
            yield Broken(f"{fault.name} fires still, though its sender ended it")


def _cause_ended_lately(router: FaultyRouter) -> bool:
    """Return whether something that inhibits other alerts has ended so lately that these wait for their next flush."""
    since, causes = router.clock.now - LONGEST_INTERVAL, router.rules["tick"].inhibitions
    ended = (
        alert
        for incident in router.memory.incidents(ended_since=since)
        for alert in incident.alerts.values()
        if alert.ends_at is not None and alert.ends_at > since
    )
    return any(alert.matched_by(each.cause) for alert in ended for each in causes)


def everything_is_told(router: FaultyRouter) -> Iterator[Broken]:
    """Yield what was decided for a target was sent, given up or left out; and what fires was decided, unless it is
    muted or acknowledged.
    """
    context, now = router.memory.context(), router.clock.now
    held = context.all_silences
    muted = bool(context.causes) or any(now < each.ends_at + LONGEST_INTERVAL for each in held)
    muted = muted or _cause_ended_lately(router)
    for incident in router.memory.incidents():
        quiet = muted or incident.route.startswith("rule/Muted")
        unacknowledged = [each for each in incident.firing if each.ack.by is None]
        if unacknowledged and not quiet and not incident.episode.was_opened:
            yield Broken(f"{incident.key} fires unmuted, and nobody was told", incident.id)
        for key, announced in incident.announced.items():
            done_seq = router.memory.delivery_log(delivery_log_key(incident.id, key)).done_seq
            newest = router.decided.get(announced.last.id)
            on_its_way = newest is not None and now < newest.at + ON_ITS_WAY
            if announced.last.is_named and done_seq < announced.last.seq and not on_its_way:
                yield Broken(f"{key} waits for {announced.last.seq}, though everything works", incident.id)


def pagers_agree(router: FaultyRouter) -> Iterator[Broken]:
    """Yield a pager rings for nothing that somebody has, and is not silent for what nobody has."""
    context = router.memory.context()
    if context.silences or context.maintenance or context.causes:
        return
    for incident in router.memory.incidents():
        for key, announced in incident.announced.items():
            if announced.open and _can(router, key).pages:
                yield from _pager_agrees(router, incident, key, announced)


def _pager_agrees(router: FaultyRouter, incident: Incident, key: str, announced: NotifiedState) -> Iterator[Broken]:
    known = [incident.alerts[name] for name in announced.alerts.firing if name in incident.alerts]
    firing = [each for each in known if each.state is AlertState.FIRING and each.severity is not Severity.INFO]
    called, silent = _newest_wave(router, incident.id, key, announced)
    if not firing or not called:
        return
    held = all(each.ack.by for each in firing)
    if held and not silent:
        yield Broken(f"{key} rings for what {firing[0].ack.by} has", incident.id)
    if silent and not held and announced.pager.wave < MAX_WAVES and _may_call(router, incident, key):
        yield Broken(f"{key} is silent for what nobody has", incident.id)


def _may_call(router: FaultyRouter, incident: Incident, key: str) -> bool:
    """Return whether the pager is still one of a route, and no window mutes that.

    What joined a correlated incident silently after an acknowledgement may be silent there for a while.
    """
    routes = routes_of(incident, router.rules["tick"])
    known = {target.key for each in routes for target in each.route.all_targets}
    return "Muted" not in incident.route and not incident.is_correlated and key in known


def critical_is_noticed(router: FaultyRouter) -> Iterator[Broken]:
    """Yield critical alerts that joined an acknowledged incident and made no sound at one of its targets."""
    rules, context, now = router.rules["tick"], router.memory.context(), router.clock.now
    if rules.correlate is None or context.all_silences or context.causes:
        return
    for incident in router.memory.incidents():
        if not incident.is_correlated or acknowledged_at(incident) is None:
            continue
        for key, announced in incident.announced.items():
            for name in _unnoticed(router, incident, announced):
                known = router.saved_at.get(incident.key, now)
                if now > known + ON_ITS_WAY and announced.pager.wave < MAX_WAVES and _names(rules, incident, key, name):
                    yield Broken(f"{key} was shown {incident.alerts[name].name} without a sound", incident.id)


def _unnoticed(router: FaultyRouter, incident: Incident, announced: NotifiedState) -> set[str]:
    """Return the critical alerts that an open target was shown for long, all without a sound, and that nobody has."""
    if not announced.open:
        return set()
    long_ago = router.clock.now - router.rules["tick"].correlation.join_within - LONGEST_INTERVAL
    decided = [
        each
        for each in router.decided.values()
        if (each.incident.id, each.target.key) == (incident.id, announced.target.key)
    ]
    noticed = {alert.fingerprint for each in decided if each.sounds for alert in each.alerts}
    shown = {alert.fingerprint for each in decided if each.at < long_ago for alert in each.alerts}
    critical = {
        alert.fingerprint
        for alert in incident.firing
        if alert.severity is Severity.CRITICAL and alert.ack.by is None and (alert.starts_at or long_ago) < long_ago
    }
    return critical & shown - noticed


def _names(rules: Rules, incident: Incident, key: str, alert: str) -> bool:
    """Return whether a route by which the alert came notifies the target today."""
    routes = [each.route for each in routes_of(incident, rules) if each.has(alert)]
    return any(target.key == key for route in routes for target in route.all_targets)


def storms_agree(router: FaultyRouter) -> Iterator[Broken]:
    """Yield what an incident has for the target of its storm is in that, and a storm has nothing else."""
    now, delay = router.clock.now, LONGEST_INTERVAL + ON_ITS_WAY
    for incident in router.memory.incidents():
        if incident.is_storm or now < router.saved_at.get(incident.key, now) + delay:
            continue
        for key, name in storms_of(incident).items():
            storm = router.memory.load(name)
            held = _fires(storm.alerts.values()) if storm is not None else set()
            if missing := _fires(copies(incident, name).values()) - held:
                yield Broken(f"{len(missing)} alerts are not in the storm of {key}", incident.id)
    for storm in router.memory.incidents():
        if storm.is_storm and now >= router.saved_at.get(storm.key, now) + delay:
            yield from _is_alone(router, storm)


def _is_alone(router: FaultyRouter, storm: Incident) -> Iterator[Broken]:
    """Yield what fires in a storm and in none of its incidents."""
    found = router.memory.load_all(members(storm))
    held = {name for each in found.values() for name in _fires(copies(each, storm.key).values())}
    if left := _fires(storm.alerts.values()) - held:
        yield Broken(f"{len(left)} alerts fire in a storm and in none of its incidents", storm.id)


def _fires(alerts: Iterable[Alert]) -> set[str]:
    return {alert.fingerprint for alert in alerts if alert.state is AlertState.FIRING}


def ends_wait(router: FaultyRouter, *, resolved_by_hand: bool) -> Iterator[Broken]:
    """Yield targets notified of the end of a correlated incident before its last alert ended, or before the hold."""
    for each in router.decided.values():
        if each.reason is not Reason.RESOLVED or not _is_correlated(router, each.incident.id):
            continue
        if any(alert.status != "resolved" for alert in each.alerts):
            yield Broken(f"{each.target.key} was notified of the end of what fires", each.incident.id)
        ends = [alert.ends_at for alert in each.alerts if alert.ends_at is not None]
        if not resolved_by_hand and ends and each.at < max(ends) + SHORTEST_HOLD:
            yield Broken(f"{each.target.key} was notified of the end without a hold", each.incident.id)


def _newest_wave(router: FaultyRouter, incident: str, target: str, announced: NotifiedState) -> tuple[bool, bool]:
    """Return whether the newest wave was opened at the pager, and whether it was acknowledged there after that."""
    wave = str(announced.pager.wave)
    done = [
        each.what
        for each in router.vendors.requests
        if each.taken and (each.incident, each.thread) == (incident, wave) and _is_at(each, target)
    ]
    return "trigger" in done, "acknowledge" in done[done.index("trigger") :] if "trigger" in done else False


# ---------------------------------------------------------------------------------------------------------------------
# At the end


def nothing_left(router: FaultyRouter) -> Iterator[Broken]:
    """Yield open incidents, messages in queues, and what SQS dead-lettered on its own."""
    for incident in router.memory.incidents():
        named = ", ".join(f"{each.name} {each.state.value}" for each in incident.alerts.values())
        yield Broken(f"{incident.key} is still open: {named}", incident.id)
    for name, queue in router.queues.items():
        for waiting in queue.waiting.values():
            if not isinstance(read_message(waiting.body), Wake):
                yield Broken(f"a message is left in {name}: {waiting.body[:200]}")
        for body, reason in queue.dead_lettered:
            if reason == "received too often":
                yield Broken(f"SQS dead-lettered a message of {name}: {body[:200]}")
    for fault in router.faults_in_code:
        yield Broken(f"a fault in the code: {fault}")


def acts_are_answered(router: FaultyRouter) -> Iterator[Broken]:
    """Yield acts that a door accepted without a line in the timeline of their incident or another answer to the person."""
    contents = [read_message(body) for body, _ in router.queues["webhooks"].dead_lettered]
    dead_lettered = {each.id for each in contents if isinstance(each, Action)}
    for act in router.accepted_acts.values():
        known = [each for each in router.memory.remembered() if each.id == act.incident]
        lines = (
            *router.memory.timeline(act.incident or ""),
            *(line for each in known for line in each.timeline.entries),
        )
        if act.id in dead_lettered or answer_id(act) in router.answers:
            continue
        if not any(line.act == act_id(act) for line in lines):
            yield Broken(
                f"{act.kind.value} of {act.by} was accepted and came to nothing without a word", act.incident or ""
            )


def parked_is_announced(router: FaultyRouter) -> Iterator[Broken]:
    """Yield dead letters that nothing announced: delivery.failed announces a notification, an alert of its kind anything else."""
    kinds = {kind for _, kind, _, _ in router.router_events}
    places = {(kind, where) for _, kind, where, _ in router.router_events}
    for name, queue in router.queues.items():
        for body, reason in queue.dead_lettered:
            content = read_message(body)
            if isinstance(content, Notification):
                if content.reason is Reason.SYNC or _is_about_router(content):
                    continue
                if ("delivery.failed", content.target.shown) not in places:
                    yield Broken(f"{content.target.key} was given up without a word: {reason}", content.incident.id)
            elif not kinds & {"message.failed", "webhook.unreadable"}:
                yield Broken(f"a message of {name} was parked without a word: {reason}")


def deliveries(router: FaultyRouter, *, redeployed: bool) -> Iterator[Broken]:
    """Yield targets that did not receive of each incident one opening first, each announcement once, and its end last."""
    received: dict[tuple[str, str], list[tuple[Request, Notification]]] = defaultdict(list)
    for request in router.vendors.requests:
        notification = _told(router, request)
        if notification is not None:
            received[notification.incident.id, notification.target.key].append((request, notification))
    for (incident, target), heard in received.items():
        if _can(router, target).pages:
            yield from _pages(router, incident, target, [each for each, _ in heard], redeployed=redeployed)
        else:
            yield from _messages(router, incident, target, heard, redeployed=redeployed)


def _told(router: FaultyRouter, request: Request) -> Notification | None:
    """Return the notification of a request that was taken and that people noticed, as what it was sent.

    Updates in place are not noticed. A change that was sent in the place of an opening is an opening. One that only
    brings up to date is noticed where it is the first that a target receives. A Slack message that an earlier try in
    doubt has posted is brought up to date by the end, without a reply.
    """
    if not request.taken:
        return None
    if request.what in ("trigger", "resolve"):
        return next((each for each in router.decided.values() if _paged(router, each, request)), None)
    notification = router.decided.get(request.notification)
    if notification is not None and not notification.sounds and (request.in_channel or request.reason == "opened"):
        notification = replace(notification, reason=Reason.OPENED)
    if notification is None or (request.reason == "sync") or (request.thread and notification.reason is Reason.SYNC):
        return None
    if request.what == "chat.update" and notification.reason is not Reason.RESOLVED:
        return None
    return notification


def _paged(router: FaultyRouter, notification: Notification, request: Request) -> bool:
    return _can(router, notification.target.key).pages and notification.incident.id == request.incident


def _can(router: FaultyRouter, target: str) -> Capabilities:
    """Return what the receiver of a target's key can do."""
    return router.rules["tick"].can(target.partition(":")[0])


def _pages(
    router: FaultyRouter, incident: str, target: str, requests: list[Request], *, redeployed: bool
) -> Iterator[Broken]:
    """Yield pages that PagerDuty loses: it drops a trigger of an open key and a resolve of a closed one.

    Each wave has a key of its own. The end resolves all of them, also one that was superseded before it was sent.
    """
    if all(each.what == "resolve" for each in requests) and not _is_doubtful(router, incident, target):
        yield Broken(f"{target} got a resolve of what it never got", incident)
    for wave in sorted({each.thread for each in requests}):
        actions = [each.what for each in requests if each.thread == wave]
        yield from _pages_of_wave(router, incident, target, actions, redeployed=redeployed)


def _pages_of_wave(
    router: FaultyRouter, incident: str, target: str, actions: list[str], *, redeployed: bool
) -> Iterator[Broken]:
    changes = [each for number, each in enumerate(actions) if number == 0 or actions[number - 1] != each]
    if changes[0] == "resolve" and len(changes) > 1 and not _is_doubtful(router, incident, target):
        yield Broken(f"{target} got a resolve of what it never got: {actions}", incident)
    if changes[-1] == "trigger" and not _is_given_up(router, incident, target):
        yield Broken(f"{target} never got the end: {actions}", incident)
    if changes.count("trigger") > 1 and not redeployed and not _is_correlated(router, incident):
        yield Broken(f"{target} was paged again after the end: {actions}", incident)


def _messages(
    router: FaultyRouter, incident: str, target: str, heard: list[tuple[Request, Notification]], *, redeployed: bool
) -> Iterator[Broken]:
    decided = [each for _, each in heard]
    ids = [each.id for request, each in heard if request.what != "chat.update"]
    if _can(router, target).edits:
        doubles = {each for each in ids if ids.count(each) > 1}
        log = router.memory.delivery_log(delivery_log_key(incident, target))
        if len(ids) - len(set(ids)) > log.doubles:
            yield Broken(f"{target} got twice: {sorted(doubles)}", incident)
    elif target.startswith("email:") and len(ids) > len(set(ids)) and not _is_doubtful(router, incident, target):
        yield Broken(f"{target} got a mail twice, and no try was in doubt: {ids}", incident)
    once = [each for number, each in enumerate(decided) if each.id not in {later.id for later in decided[number + 1 :]}]
    seqs = [each.seq for each in once]
    if len(set(seqs)) != len(seqs):
        yield Broken(f"{target} got one announcement under two ids: {seqs}", incident)
    reasons = [each.reason.value for each in once]
    if reasons[0] == "resolved" and not _is_doubtful(router, incident, target):
        yield Broken(f"{target} got a resolve of what it never got: {reasons}", incident)
    if reasons[-1] != "resolved" and not _is_given_up(router, incident, target):
        yield Broken(f"{target} never got the end: {reasons}", incident)
    begins_anew = {"escalated", "opened"} if _is_correlated(router, incident) else {"escalated"}
    if has_two_ends(reasons, begins_anew) and not redeployed:
        yield Broken(f"{target} got two ends: {reasons}", incident)


def has_two_ends(reasons: list[str], begins_anew: Collection[str] = ("escalated",)) -> bool:
    """Return whether an end follows an end. A later step of the escalation begins the incident at a target once more.

    So does an alert that joins a correlated incident, of which that target was notified of the end.
    """
    ended = False
    for reason in reasons:
        if reason == "resolved" and ended:
            return True
        ended = reason == "resolved" or (ended and reason not in begins_anew)
    return False


def _is_correlated(router: FaultyRouter, incident: str) -> bool:
    return router.memory.load(f"{CORRELATED}{incident}") is not None


def _is_doubtful(router: FaultyRouter, incident: str, target: str) -> bool:
    """Return whether a try may have arrived as far as the router can know: then it sends the end all the same."""
    if (target, incident) in router.died_sending:
        return True
    for request in router.vendors.requests:
        notification = router.decided.get(request.notification)
        about = request.incident or (notification.incident.id if notification else "")
        if about == incident and request.in_doubt and _is_at(request, target):
            return True
    return False


def _is_at(request: Request, target: str) -> bool:
    kind, _, address = target.partition(":")
    named = {"webhook": "hook", "pagerduty": "pagerduty"}.get(kind, address)
    return request.target == named


def _is_given_up(router: FaultyRouter, incident: str, target: str) -> bool:
    """Return whether the end was dead-lettered. `parked_is_announced` sees to it that the fallback knows."""
    dead_lettered = (read_message(body) for body, _ in router.queues["notifications"].dead_lettered)
    return any(
        isinstance(each, Notification)
        and (each.incident.id, each.target.key) == (incident, target)
        and (each.reason is Reason.RESOLVED or each.status == "resolved")
        for each in dead_lettered
    )


def shown(router: FaultyRouter, incident: str, limit: int) -> Iterable[str]:
    """Return the last lines of the trace that are about an incident and about everybody's failures."""
    keys = {each.key for each in router.memory.remembered() if each.id == incident}
    lines = [line for line in router.trace if line[1] == incident or line[1] in keys]
    return [f"  {at:%H:%M:%S.%f}  {text}" for at, _, text in lines[-limit:]]
