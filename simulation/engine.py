"""One run of a timeline: each line goes through the real stages on the virtual clock, and what came of it comes out.

The forms of the lines are public and described in docs/replay.md.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from chalicelib import plugins
from chalicelib.core.alert import Alert, AlertState
from chalicelib.core.context import Silence
from chalicelib.core.correlation import linked
from chalicelib.core.delivery.notification import AlertSnapshot, Notification, Reason
from chalicelib.core.errors import ParseError, TocsinError
from chalicelib.core.event import ActionKind
from chalicelib.core.incident import Incident, IncidentStatus
from chalicelib.core.instants import from_seconds
from chalicelib.core.lifecycle import last_end
from chalicelib.core.match import parse_matchers
from chalicelib.core.metrics.rollup import expand_probe_result, streaks
from chalicelib.core.mute import Muting, muting_windows, mutings_of
from chalicelib.core.routing import routes_of
from chalicelib.core.rule import RouteAlerts, Rules
from chalicelib.messages.queue import (
    action_message,
    events_messages,
    samples_messages,
    silence_message,
    unsilence_message,
)
from chalicelib.messages.webhook import Webhook, compressed, written
from chalicelib.process.parse import parsed
from chalicelib.rules.compiled import Values
from simulation.decisions import explained
from simulation.simulator import FakeTarget, Sender, Sent, Simulator
from simulation.timeline import (
    FORMS_OF_TIME,
    SOMEBODY,
    Fields,
    TimelineError,
    Times,
    action_of,
    answers_of,
    beat_of,
    event_of,
    limit_of,
    sample_of,
    shown_target,
    silence_of,
    target_key,
)

ACTS = {
    "ack": ActionKind.ACK,
    "unack": ActionKind.UNACK,
    "resolve": ActionKind.RESOLVE,
    "keep": ActionKind.KEEP,
}


def folder_of(timeline: str) -> Path:
    """Return the folder from which a timeline reads the bodies it names; of standard input the current one."""
    return Path() if timeline == "-" else Path(timeline).parent


def read_rules(path: str | Path, variables: Values | None = os.environ.get) -> Rules:
    """Return the rules of a file, as production would run them: broken templates are tolerated. With None its variables stay."""
    from chalicelib.rules.file import load

    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise TimelineError(
            f"{path}: the rules file cannot be read ({error.strerror}); expected is a YAML file"
        ) from None
    except UnicodeDecodeError:
        raise TimelineError(f"{path}: the rules file is not UTF-8 text; expected is a YAML file") from None
    return load(text, filename=str(path), tolerate_templates=True, variables=variables)


Line = dict[str, Any]


Handler = Callable[["Replay", datetime, Any, Mapping[str, Any]], Iterator[Line]]


_WHY = {Reason.OPENED: "opening", Reason.ESCALATED: "escalated", Reason.REMINDER: "reminder", Reason.RESOLVED: "end"}


def _why(notification: Notification, joined: Sequence[AlertSnapshot], *, began_anew: bool) -> str:
    """Return why a notification was decided, in one word. What can be seen again joins, too."""
    if notification.why is not None:
        return notification.why.value
    if notification.reason is not Reason.UPDATED:
        return _WHY.get(notification.reason, notification.reason.value)
    if not joined and any(each.status != "firing" for each in notification.alerts):
        return "end"
    return "flap" if began_anew and not joined else "joined"


def _named(told: AlertSnapshot) -> str:
    """Return an alert as Alertmanager writes one: `Down{environment="prod",service="api"}`."""
    labels = ",".join(f'{name}="{value}"' for name, value in sorted(told.labels.items()))
    return f"{told.name}{{{labels}}}"


class Replay:
    """One run of a timeline."""

    def __init__(
        self,
        rules: Rules,
        lines: Sequence[tuple[int, dict[str, Any]]],
        *,
        name: str = "timeline",
        folder: Path = Path(),
        seed: int | None = None,
        sender: Sender | None = None,
        variables: Values = os.environ.get,
    ) -> None:
        self._sender = sender
        self._variables = variables
        self._rules = rules
        self._lines = lines
        self._name = name
        self._folder = folder
        self._seed = seed
        self._waiting: list[str] = []
        self._number = 0
        self._silences = 0
        self._streaks: dict[tuple[Any, ...], tuple[int, int]] = {}
        self._shown: dict[tuple[str, str], dict[str, datetime]] = {}
        self.times = Times(any(isinstance(line.get("at"), str) for _, line in lines))

    def run(self) -> Iterator[Line]:
        """Yield every output line, in order."""
        first = self._at(*self._lines[0]) if self._lines else from_seconds(0)
        self.simulator = Simulator(self._rules, first)
        if self._sender is not None:
            self.simulator.sender = self._sender
        last = first
        for number, line in self._lines:
            at = self._at(number, line)
            if at < last:
                raise TimelineError(f"{self._name}:{number}: `at` is before the line above; expected is order by `at`")
            if at > last:
                yield from self._post(last)
                self.simulator.run_until(at, inclusive=False)
                yield from self._told()
            last = at
            self._number = number
            yield from self._line(number, at, line)
        yield from self._post(last)
        yield from self._told()
        yield {
            "at": self.times.write(last),
            "type": "end",
            "events": self.simulator.events,
            "writes": self.simulator.store.writes,
        }

    def _at(self, number: int, line: Mapping[str, Any]) -> datetime:
        if "at" not in line:
            raise TimelineError(f"{self._name}:{number}: `at` is missing; {FORMS_OF_TIME}")
        try:
            return self.times.read(line["at"], "`at`")
        except TimelineError as error:
            raise TimelineError(f"{self._name}:{number}: {error}") from None

    def _line(self, number: int, at: datetime, line: Mapping[str, Any]) -> Iterator[Line]:
        kinds = [kind for kind in line if kind in HANDLERS]
        if len(kinds) != 1:
            found = ", ".join(f"`{kind}`" for kind in line if kind != "at") or "nothing"
            raise TimelineError(
                f"{self._name}:{number}: expected is exactly one of {', '.join(HANDLERS)} beside `at`; found is {found}"
            )
        kind = kinds[0]
        try:
            if kind not in BATCHED and (self._waiting or kind not in PERSONAL):
                yield from self._post(at)
            yield from HANDLERS[kind](self, at, line[kind], line)
        except TimelineError as error:
            raise TimelineError(f"{self._name}:{number}: {error}") from None

    def _fields(self, kind: str, given: Any) -> Fields:
        return Fields(kind, given, self.times)

    def _post(self, at: datetime) -> Iterator[Line]:
        """Hand over what arrived at one time as one batch, and let what is due then happen."""
        if self._waiting:
            self.simulator.now = max(self.simulator.now, at)
            bodies, self._waiting = self._waiting, []
            self.simulator.post(bodies)
        self.simulator.run_until(at, inclusive=True)
        yield from self._told()

    def _told(self) -> Iterator[Line]:
        for sent in self.simulator.taken():
            yield self._notification(sent)

    # -- input lines -------------------------------------------------------------------------------------------------

    def webhook(self, at: datetime, given: Any, line: Mapping[str, Any]) -> Iterator[Line]:
        """Yield a body as received. One that its source cannot read is parked and told, as in production."""
        fields = self._fields("webhook", given)
        source, body = fields.text("source"), fields.present("body")
        data = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else json.dumps(body).encode()
        headers = {name.lower(): text for name, text in fields.texts("headers").items()}
        if not any(each.get("name") == source for each in self.simulator.rules.sources):
            _check_source(source)
        name = f"line:{self._number}"
        message = written(Webhook(name, source, data, at, headers), compressed(data))
        try:
            self.simulator.events += len(parsed(source, headers, data, self.simulator.rules, at))
        except ParseError:
            self.simulator.events += 1
        self._waiting += [message] * self._copies(line)
        yield from ()

    def event(self, at: datetime, given: Any, line: Mapping[str, Any]) -> Iterator[Line]:
        """Yield an event already normalised."""
        event = event_of(self._fields("event", given), at, self._number)
        copies = self._copies(line if "copies" in line else given)
        self.simulator.events += 1
        if copies == 1:
            self._waiting += events_messages([event])
            return
        yield from self._post(at)
        self.simulator.contend(events_messages([event])[0], copies, self._seed)

    def _copies(self, line: Mapping[str, Any]) -> int:
        return Fields("event", dict(line), self.times).whole("copies", 1, least=1)

    def sample(self, at: datetime, given: Any, line: Mapping[str, Any]) -> Iterator[Line]:
        """Yield a measured value."""
        self._waiting += samples_messages([sample_of(self._fields("sample", given), at)])
        yield from ()

    def probe(self, at: datetime, given: Any, line: Mapping[str, Any]) -> Iterator[Line]:
        """Yield a probe's result; how many came in a row is what the lines before it say."""
        fields = self._fields("probe", given)
        name, labels, ok = fields.text("name"), fields.texts("labels"), fields.truth("ok")
        latency = None if fields.get("latency_ms") is None else fields.number("latency_ms", least=0)
        series = (name, *sorted(labels.items()))
        before = self._streaks.get(series, (0, 0))
        self._streaks[series] = streaks(before, ok)
        self._waiting += samples_messages(expand_probe_result(name, ok, latency, labels, at, before))
        yield from ()

    def beat(self, at: datetime, given: Any, line: Mapping[str, Any]) -> Iterator[Line]:
        """Yield a heartbeat."""
        self._waiting += events_messages([beat_of(self._fields("beat", given), at)])
        yield from ()

    def act(self, at: datetime, given: Any, line: Mapping[str, Any]) -> Iterator[Line]:
        """Yield what a person does."""
        name = next(each for each in ACTS if each in line)
        yield from self._done(at, action_message(action_of(ACTS[name], self._fields(name, given), at)))

    def silence(self, at: datetime, given: Any, line: Mapping[str, Any]) -> Iterator[Line]:
        """Make a silence of a person, by matchers until a time."""
        yield from self._done(at, silence_message(self._held("silence", at, given), False))

    def maintenance(self, at: datetime, given: Any, line: Mapping[str, Any]) -> Iterator[Line]:
        """Begin a maintenance: new alerts are held back, and notified ones go on."""
        yield from self._done(at, silence_message(self._held("maintenance", at, given), True))

    def _held(self, kind: str, at: datetime, given: Any) -> Silence:
        self._silences += 1
        return silence_of(self._fields(kind, given), at, f"{kind}-{self._silences}")

    def unsilence(self, at: datetime, given: Any, line: Mapping[str, Any]) -> Iterator[Line]:
        """End a silence or maintenance early."""
        said = given if isinstance(given, dict) else {"id": given}
        fields = Fields("unsilence", said, self.times)
        yield from self._done(at, unsilence_message(fields.text("id"), fields.text("by", SOMEBODY), at))

    def _done(self, at: datetime, message: str) -> Iterator[Line]:
        """Apply a person's act, which changes things at once."""
        self.simulator.now = max(self.simulator.now, at)
        self.simulator.post([message])
        yield from self._post(at)

    def target(self, at: datetime, given: Any, line: Mapping[str, Any]) -> Iterator[Line]:
        """Yield what a target answers next, or its limit."""
        key = target_key(given)
        if "answers" not in line and "limit" not in line:
            raise TimelineError("`target` says nothing; expected are `answers` or `limit` beside it")
        target = self.simulator.targets.setdefault(key, FakeTarget())
        if "answers" in line:
            target.answers = answers_of(line["answers"], self.times)
        if "limit" in line:
            target.limit = limit_of(line["limit"], self.times)
        yield from ()

    def redeploy(self, at: datetime, given: Any, line: Mapping[str, Any]) -> Iterator[Line]:
        """Change the rules and lose all memory."""
        name = self._fields("redeploy", given).text("rules", "")
        self.simulator.now = max(self.simulator.now, at)
        self.simulator.redeploy(read_rules(self._folder / name, self._variables) if name else self.simulator.rules)
        yield from self._post(at)

    def down(self, at: datetime, given: Any, line: Mapping[str, Any]) -> Iterator[Line]:
        """Stop the router until a time. What arrives waits in the queue."""
        until = self._fields("down", given).at("until")
        self.simulator.down_until = max(until, self.simulator.down_until or until)
        yield from ()

    def show(self, at: datetime, given: Any, line: Mapping[str, Any]) -> Iterator[Line]:
        """Yield what a person asking would see."""
        self.simulator.count()
        if given == "alerts":
            yield {"at": self.times.write(at), "type": "alerts", "alerts": self._alerts(at)}
        elif given == "incidents":
            yield {"at": self.times.write(at), "type": "incidents", "incidents": self._incidents(at)}
        else:
            raise TimelineError("`show` is unknown; expected is incidents or alerts")

    def explain(self, at: datetime, given: Any, line: Mapping[str, Any]) -> Iterator[Line]:
        """Yield every decision about the alerts that match, in order."""
        matchers = parse_matchers(self._fields("explain", given).matchers())
        simulator = self.simulator
        simulator.count()
        store = simulator.store
        found = explained(
            matchers,
            incidents=[each for each in store.remembered() if not each.is_storm],
            rules=simulator.rules,
            store=store,
            now=at,
            write=self.times.write,
        )
        yield {"at": self.times.write(at), "type": "explain", "alerts": found}

    def end(self, at: datetime, given: Any, line: Mapping[str, Any]) -> Iterator[Line]:
        """Run timers on until then."""
        yield from ()

    # -- output lines ------------------------------------------------------------------------------------------------

    def _notification(self, sent: Sent) -> dict[str, Any]:
        notification = sent.notification
        return {
            "at": self.times.write(sent.at),
            "type": "notification",
            "target": shown_target(notification.target.kind, notification.target.address),
            "incident": notification.incident.id,
            "reason": notification.reason.value,
            **self._sound(notification),
            "status": notification.status,
            "alerts": [self._told_alert(told) for told in (*notification.alerts, *notification.evidence)],
            "events": notification.incident.events,
            "text": notification.background.text,
            "delivered": sent.delivered,
            "attempts": sent.attempts,
            "tried_at": [self.times.write(at) for at in sent.tried_at],
            "error": sent.error,
        }

    def _sound(self, notification: Notification) -> dict[str, Any]:
        """Return whether people must notice it, and why. Without `correlate` that is shown of some updates only."""
        joined, began_anew = self._joined(notification)
        rules = self.simulator.rules
        if notification.why is None and rules.correlate is None:
            return {}
        found: dict[str, Any] = {"sound": notification.sounds, "why": _why(notification, joined, began_anew=began_anew)}
        if rules.correlate is not None:
            found["joined"] = [_named(each) for each in joined]
        if services := list(dict.fromkeys(each.impact_of for each in notification.alerts if each.impact_of)):
            found["impact_of"] = ", ".join(services)
        if notification.storm:
            found["storm"] = notification.storm
        return {**found, "wave": notification.wave} if rules.can(notification.target.kind).pages else found

    def _joined(self, notification: Notification) -> tuple[list[AlertSnapshot], bool]:
        """Return the alerts that fire and that the target was not shown before, and whether one it was shown began anew."""
        known = self._shown.setdefault((notification.incident.id, notification.target.key), {})
        firing = [each for each in notification.alerts if each.status == "firing"]
        new = [each for each in firing if each.fingerprint not in known]
        began_anew = any(known.get(each.fingerprint, each.starts_at) < each.starts_at for each in firing)
        known.update({each.fingerprint: each.starts_at for each in firing})
        return new, began_anew

    def _told_alert(self, told: AlertSnapshot) -> dict[str, Any]:
        return {
            "name": told.name,
            "labels": dict(told.labels),
            "annotations": dict(told.annotations),
            "status": told.status,
            "starts_at": self.times.write(told.starts_at),
            "ends_at": self.times.write(told.ends_at),
            "acked_by": told.acked_by,
            "muted_by": list(told.muted_by),
        }

    def _alerts(self, at: datetime) -> list[dict[str, Any]]:
        context, rules = self.simulator.store.context(), self.simulator.rules
        found: dict[str, tuple[tuple[int, int], dict[str, Any]]] = {}
        everyone = self._all_incidents()
        known = {f"{each.key}/{name}": alert for each in everyone for name, alert in each.alerts.items()}
        for incident in everyone:
            routes = routes_of(incident, rules)
            mutings = mutings_of(incident, rules, context, at)
            for alert in incident.alerts.values():
                if alert.state is AlertState.INACTIVE:
                    continue
                route = next(
                    each.route for each in (*routes, RouteAlerts(routes[0].route)) if each.has(alert.fingerprint)
                )
                windows = muting_windows(route, rules.windows, at)
                muting = mutings.get(alert.fingerprint, Muting())
                causes = [known[each.fingerprint] for each in muting.causes if each.fingerprint in known]
                shown = self._alert(alert, muting, causes, windows)
                rank = (_STATE_RANKS[shown["state"]], -int((alert.starts_at or at).timestamp()))
                if alert.fingerprint not in found or rank < found[alert.fingerprint][0]:
                    found[alert.fingerprint] = (rank, shown)
        return [
            shown
            for _, shown in sorted(
                found.values(), key=lambda each: (each[0][0], each[1]["name"], str(each[1]["labels"]))
            )
        ]

    def _alert(self, alert: Alert, muting: Muting, causes: Sequence[Alert], windows: tuple[str, ...]) -> dict[str, Any]:
        held = (*muting.silences, *muting.maintenance)
        state = alert.state.value
        if alert.state is AlertState.FIRING and (held or muting.causes or windows):
            state = "suppressed"
        elif alert.evaluation.no_data and alert.state is AlertState.FIRING:
            state = "no_data"
        return {
            "name": alert.name,
            "labels": dict(alert.labels),
            "annotations": dict(alert.text.annotations),
            "status": "resolved" if alert.state is AlertState.RESOLVED else "firing",
            "severity": alert.severity.value,
            "starts_at": self.times.write(alert.since),
            "ends_at": self.times.write(alert.ends_at),
            "acked_by": alert.ack.by,
            "state": state,
            "silenced_by": [each.id for each in held],
            "inhibited_by": [{"alertname": cause.name, **cause.labels} for cause in causes],
            "muted_by": list(windows) if alert.state is AlertState.FIRING else [],
        }

    def _incidents(self, at: datetime) -> list[dict[str, Any]]:
        context, rules = self.simulator.store.context(), self.simulator.rules
        shown = []
        begun = [each for each in self._all_incidents() if each.status is not IncidentStatus.QUIET]
        for incident in sorted(begun, key=lambda each: (each.episode.started_at or at, each.id)):
            mutings = mutings_of(incident, rules, context, at)
            shown.append(
                {
                    "incident": incident.id,
                    "status": "firing" if incident.firing or incident.truncated.alerts else "resolved",
                    "events": incident.events,
                    **self._correlated(incident),
                    "alerts": [
                        {
                            "name": alert.name,
                            "labels": dict(alert.labels),
                            "annotations": dict(alert.text.annotations),
                            "status": "firing" if alert.state is AlertState.FIRING else "resolved",
                            "starts_at": self.times.write(alert.starts_at),
                            "ends_at": self.times.write(last_end(alert)),
                            "acked_by": alert.ack.by,
                            "muted_by": list(mutings.get(alert.fingerprint, Muting()).names),
                        }
                        for alert in incident.shown
                    ],
                }
            )
        return shown

    def _correlated(self, incident: Incident) -> dict[str, Any]:
        """Return the values that the alerts of a correlated incident share, and until when others join it."""
        if not incident.is_correlated or incident.episode.started_at is None:
            return {}
        correlate, episode = self.simulator.rules.correlation, incident.episode
        began_at = incident.episode.started_at
        news_at = max(began_at, episode.news_at or began_at)
        until = min(news_at + correlate.join_within, began_at + correlate.max_age)
        return {
            "by": dict(incident.group),
            "started_at": self.times.write(began_at),
            "news_at": self.times.write(news_at),
            "joins_until": self.times.write(until) if incident.status is IncidentStatus.OPEN else None,
            **({"linked": found} if (found := linked(incident)) else {}),
        }

    def _all_incidents(self) -> list[Incident]:
        since = datetime.min.replace(tzinfo=UTC)
        found = self.simulator.store.incidents(ended_since=since, quiet=True)
        return [each for each in found if not each.is_storm]


HANDLERS: dict[str, Handler] = {
    "webhook": Replay.webhook,
    "event": Replay.event,
    "sample": Replay.sample,
    "probe": Replay.probe,
    "beat": Replay.beat,
    **dict.fromkeys(ACTS, Replay.act),
    "silence": Replay.silence,
    "unsilence": Replay.unsilence,
    "maintenance": Replay.maintenance,
    "target": Replay.target,
    "redeploy": Replay.redeploy,
    "down": Replay.down,
    "show": Replay.show,
    "explain": Replay.explain,
    "end": Replay.end,
}


BATCHED = ("webhook", "event", "sample", "probe", "beat", "target", "down")
"""Lines of one time that a worker would find in the queue together."""


PERSONAL = (*ACTS, "silence", "unsilence", "maintenance")
"""Lines that are heard before the timers of their time."""


def _check_source(name: str) -> None:
    """Raise TimelineError unless a sender of that name is understood."""
    try:
        plugins.load_source(name)
    except TocsinError as error:
        raise TimelineError(f"`source` of `webhook`: {error}") from None


_STATE_RANKS = {"firing": 0, "no_data": 0, "suppressed": 1, "pending": 2, "resolved": 3}
