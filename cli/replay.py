"""tocsin replay RULES.yaml TIMELINE.jsonl: the rules in a test tube.

Runs the real decisions and the real delivery logic against fake targets on a virtual clock. One JSON object a line goes
in and comes out; the forms are public and described in docs/replay.md.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from chalicelib.core.alert import Alert, State
from chalicelib.core.context import Silence
from chalicelib.core.due import Muting, mutings_of
from chalicelib.core.errors import TocsinError
from chalicelib.core.event import Action, ActionKind, Event, Severity, Status, labels_fingerprint
from chalicelib.core.incident import Incident
from chalicelib.core.match import parse_matchers
from chalicelib.core.mute import muting_windows
from chalicelib.core.notification import Told
from chalicelib.core.rollup import expand_probe_result, newest_value
from chalicelib.core.routing import route_by_id
from chalicelib.core.rule import Rules
from chalicelib.core.sample import Sample
from chalicelib.explain import explained
from chalicelib.messages import events_messages, samples_messages, silence_message, unsilence_message
from chalicelib.process import parsed
from cli.simulator import Answer, FakeTarget, Limit, Sent, Simulator, instant

TARGET_KINDS = ("slack_channel", "email", "pagerduty", "webhook")
ACTS = {"ack": ActionKind.ACK, "unack": ActionKind.UNACK, "resolve": ActionKind.RESOLVE}


class TimelineError(TocsinError):
    """A line of the timeline that cannot be understood."""


def add_parser(subparsers: Any) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "replay",
        help="run a timeline of events through a rules file on a virtual clock",
        description="Run a timeline of events, samples and people's acts through a rules file, in milliseconds, "
        "without AWS. Prints one JSON object for each notification.",
    )
    parser.add_argument("rules", metavar="RULES.yaml", help="the rules file")
    parser.add_argument(
        "timeline", metavar="TIMELINE.jsonl", help="one JSON object a line, ordered by `at`; - for standard input"
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=None,
        help="interleave `copies` at every store and queue call, in an order drawn from this number",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Exit 0 when the timeline ran, 2 with one line when something given cannot be read."""
    try:
        rules = read_rules(arguments.rules)
        lines = read_lines(arguments.timeline)
        for line in Replay(
            rules, lines, name=arguments.timeline, folder=_folder(arguments.timeline), seed=arguments.seed
        ).run():
            sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
    except TocsinError as error:
        sys.stdout.flush()
        print(" ".join(str(error).split("\n")), file=sys.stderr)
        return 2
    return 0


def _folder(timeline: str) -> Path:
    return Path() if timeline == "-" else Path(timeline).parent


def read_rules(path: str | Path) -> Rules:
    """The rules of a file, as production would run them: broken templates are tolerated."""
    from chalicelib.rules_file import load

    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise TimelineError(
            f"{path}: the rules file cannot be read ({error.strerror}); expected is a YAML file"
        ) from None
    except UnicodeDecodeError:
        raise TimelineError(f"{path}: the rules file is not UTF-8 text; expected is a YAML file") from None
    return load(text, filename=str(path), tolerate_templates=True)


def read_lines(path: str) -> list[tuple[int, dict[str, Any]]]:
    """The numbered objects of a timeline; empty lines are passed over."""
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise TimelineError(
            f"{path}: the timeline cannot be read ({error.strerror}); expected is a JSON-lines file"
        ) from None
    except UnicodeDecodeError:
        raise TimelineError(f"{path}: the timeline is not UTF-8 text; expected is a JSON-lines file") from None
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            data = json.loads(line)
        except (ValueError, RecursionError):
            raise TimelineError(f"{path}:{number}: not JSON; expected is one JSON object a line") from None
        if not isinstance(data, dict):
            raise TimelineError(f"{path}:{number}: not a JSON object; expected is an object with `at`")
        found.append((number, data))
    return found


@dataclass(frozen=True, slots=True)
class Times:
    """Reads and writes times in the form of the timeline: seconds from 0, or RFC 3339."""

    text: bool

    def read(self, value: Any, what: str) -> datetime:
        """A time of a line."""
        if isinstance(value, bool) or value is None:
            raise TimelineError(f"{what} is not a time; expected are seconds from 0 or RFC 3339")
        if isinstance(value, int | float):
            return instant(float(value))
        try:
            found = datetime.fromisoformat(str(value).replace("Z", "+00:00"))
        except ValueError:
            raise TimelineError(f"{what} is not a time; expected are seconds from 0 or RFC 3339") from None
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)

    def optional(self, value: Any, what: str) -> datetime | None:
        """A time that may be null."""
        return None if value is None else self.read(value, what)

    def write(self, at: datetime | None) -> Any:
        """A time of an output line."""
        if at is None:
            return None
        if self.text:
            form = at.astimezone(UTC).isoformat(timespec="seconds" if at.microsecond == 0 else "milliseconds")
            return form.replace("+00:00", "Z")
        seconds = round(at.timestamp(), 3)
        return int(seconds) if seconds.is_integer() else seconds


Handler = Callable[["Replay", datetime, Any, Mapping[str, Any]], Iterator[dict[str, Any]]]


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
    ) -> None:
        self._rules = rules
        self._lines = lines
        self._name = name
        self._folder = folder
        self._seed = seed
        self._waiting: list[str] = []
        self._number = 0
        self._silences = 0
        self._probe_runs: dict[str, tuple[int, int]] = {}
        self.times = Times(any(isinstance(line.get("at"), str) for _, line in lines))

    def run(self) -> Iterator[dict[str, Any]]:
        """Every output line, in order."""
        first = self._at(*self._lines[0]) if self._lines else instant(0)
        self.simulator = Simulator(self._rules, first)
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
            raise TimelineError(f"{self._name}:{number}: `at` is missing; expected are seconds from 0 or RFC 3339")
        try:
            return self.times.read(line["at"], "`at`")
        except (TimelineError, OverflowError, OSError):
            raise TimelineError(
                f"{self._name}:{number}: `at` is not a time; expected are seconds from 0 or RFC 3339"
            ) from None

    def _line(self, number: int, at: datetime, line: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        kinds = [kind for kind in line if kind in HANDLERS]
        if len(kinds) != 1:
            found = ", ".join(f"`{kind}`" for kind in line if kind != "at") or "nothing"
            raise TimelineError(
                f"{self._name}:{number}: expected is exactly one of {', '.join(HANDLERS)} beside `at`; found is {found}"
            )
        kind = kinds[0]
        try:
            if kind not in BATCHED:
                yield from self._post(at)
            yield from HANDLERS[kind](self, at, line[kind], line)
        except TimelineError as error:
            raise TimelineError(f"{self._name}:{number}: {error}") from None
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise TimelineError(
                f"{self._name}:{number}: `{kind}` cannot be read ({type(error).__name__}: {error})"
            ) from None

    def _post(self, at: datetime) -> Iterator[dict[str, Any]]:
        """Hand over what arrived at one time as one batch, and let what is due then happen."""
        if self._waiting:
            self.simulator.now = max(self.simulator.now, at)
            bodies, self._waiting = self._waiting, []
            self.simulator.post(bodies)
        self.simulator.run_until(at, inclusive=True)
        yield from self._told()

    def _told(self) -> Iterator[dict[str, Any]]:
        for sent in self.simulator.taken():
            yield self._notification(sent)

    # -- input lines -------------------------------------------------------------------------------------------------

    def webhook(self, at: datetime, given: Any, line: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """A body as received."""
        headers = {str(key).lower(): str(value) for key, value in dict(given.get("headers") or {}).items()}
        body = given.get("body")
        data = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else json.dumps(body).encode()
        try:
            events = parsed(str(given["source"]), headers, data, self.simulator.rules, at)
        except TocsinError as error:
            raise TimelineError(f"`webhook` cannot be read: {error}") from None
        self._events(events, int(line.get("copies", 1)))
        yield from ()

    def event(self, at: datetime, given: Any, line: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """An event already normalised."""
        if not isinstance(given, dict):
            raise TimelineError("`event` is not an object; expected is one with `name` and `labels`")
        copies = int(line.get("copies", given.get("copies", 1)))
        event = self._event(at, given)
        if copies > 1:
            yield from self._post(at)
            self.simulator.events += 1
            self.simulator.contend(events_messages([event])[0], copies, self._seed)
            return
        self._events([event], 1)

    def _events(self, events: Sequence[Event], copies: int) -> None:
        self.simulator.events += len(events)
        for _ in range(copies):
            self._waiting += events_messages(events)

    def _event(self, at: datetime, given: Mapping[str, Any]) -> Event:
        name = str(given.get("name") or dict(given.get("labels") or {}).get("alertname") or "")
        if not name:
            raise TimelineError("`event` has no `name`; expected is the label alertname")
        labels = _texts(given.get("labels"), "labels")
        annotations = _texts(given.get("annotations"), "annotations")
        status = _choice(Status, given.get("status") or "firing", "status")
        severity = _choice(Severity, given.get("severity") or _known_severity(labels) or "warning", "severity")
        starts_at = self.times.optional(given.get("starts_at"), "`starts_at`")
        ends_at = self.times.optional(given.get("ends_at"), "`ends_at`")
        labels.pop("alertname", None)
        own = given.get("id")
        return Event(
            id=f"event:{own}" if own is not None else f"line:{self._number}",
            source=labels.get("source", "event"),
            kind=labels.get("kind", name),
            status=status,
            severity=severity,
            title=annotations.get("title") or annotations.get("summary") or name,
            occurred_at=at,
            identity=labels_fingerprint(name, labels),
            name=name,
            summary=annotations.get("summary") or annotations.get("description") or "",
            service=labels.get("service"),
            environment=labels.get("environment"),
            labels=labels,
            annotations=annotations,
            starts_at=starts_at,
            ends_at=ends_at,
        )

    def sample(self, at: datetime, given: Any, line: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """A measured value."""
        value = given["value"]
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise TimelineError("`value` is not a number; expected is a number or null")
        sample = Sample(
            str(given["metric"]), None if value is None else float(value), at, _texts(given.get("labels"), "labels")
        )
        self._waiting += samples_messages([sample])
        yield from ()

    def probe(self, at: datetime, given: Any, line: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """A probe's result."""
        name, labels = str(given["name"]), _texts(given.get("labels"), "labels")
        yield from self._post(at)
        series = {**labels, "probe": name}
        store = self.simulator.store
        since = at - timedelta(days=7)
        failures = newest_value(store.buckets("failures", series, since, at)) or 0
        successes = newest_value(store.buckets("successes", series, since, at)) or 0
        latency = given.get("latency_ms")
        samples = expand_probe_result(name, bool(given["ok"]), latency, labels, at, (int(failures), int(successes)))
        self._waiting += samples_messages(samples)
        yield from self._post(at)

    def beat(self, at: datetime, given: Any, line: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """A heartbeat."""
        name = str(given["name"])
        event = Event(
            id=f"beat:{name}:{at.isoformat()}",
            source="heartbeat",
            kind="beat",
            status=Status.INFO,
            severity=Severity.INFO,
            title=f"Heartbeat of {name}",
            occurred_at=at,
            identity=name,
            name=name,
        )
        self._waiting += events_messages([event])
        yield from ()

    def act(self, at: datetime, given: Any, line: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """What a person does."""
        kind = next(ACTS[name] for name in ACTS if name in line)
        action = Action(
            kind=kind,
            by=str(given.get("by") or "somebody"),
            at=at,
            incident=given.get("incident"),
            matchers=_clauses(given) if given.get("incident") is None else {},
            via="api",
        )
        self.simulator.now = max(self.simulator.now, at)
        self.simulator.act(action)
        yield from self._post(at)

    def silence(self, at: datetime, given: Any, line: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """A person mutes, by matchers until a time."""
        self._hold("silence", at, given)
        yield from self._post(at)

    def maintenance(self, at: datetime, given: Any, line: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """New alerts are held back; what was told goes on."""
        self._hold("maintenance", at, given)
        yield from self._post(at)

    def _hold(self, kind: str, at: datetime, given: Mapping[str, Any]) -> None:
        self._silences += 1
        found = Silence(
            id=str(given.get("id") or f"{kind}-{self._silences}"),
            matchers=parse_matchers(_clauses(given)),
            starts_at=self.times.optional(given.get("from"), "`from`") or at,
            ends_at=self.times.read(given.get("until"), "`until`"),
            by=str(given.get("by") or "somebody"),
            comment=str(given.get("comment") or ""),
            at=at,
        )
        self.simulator.now = max(self.simulator.now, at)
        self.simulator.post([silence_message(found, kind == "maintenance")])

    def unsilence(self, at: datetime, given: Any, line: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """A silence ends early."""
        name = str(given.get("id") if isinstance(given, dict) else given)
        self.simulator.now = max(self.simulator.now, at)
        by = str(given.get("by") or "somebody") if isinstance(given, dict) else "somebody"
        self.simulator.post([unsilence_message(name, by, at)])
        yield from self._post(at)

    def target(self, at: datetime, given: Any, line: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """What a target answers next, or its limit."""
        target = self.simulator.targets.setdefault(_target_key(given), FakeTarget())
        if "answers" not in line and "limit" not in line:
            raise TimelineError("`target` says nothing; expected are `answers` or `limit` beside it")
        if "answers" in line:
            target.answers = [_answer(each) for each in line["answers"]]
        if "limit" in line:
            limit = line["limit"]
            target.limit = None if limit is None else Limit(int(limit["count"]), timedelta(seconds=float(limit["per"])))
        yield from ()

    def redeploy(self, at: datetime, given: Any, line: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The rules change, and all memory is lost."""
        name = given.get("rules") if isinstance(given, dict) else None
        self.simulator.now = max(self.simulator.now, at)
        self.simulator.redeploy(read_rules(self._folder / str(name)) if name else self.simulator.rules)
        yield from self._post(at)

    def down(self, at: datetime, given: Any, line: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The router does not run until a time; what arrives waits in the queue."""
        until = self.times.read(given.get("until"), "`until`")
        self.simulator.down_until = max(until, self.simulator.down_until or until)
        yield from ()

    def show(self, at: datetime, given: Any, line: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """What a person asking would see."""
        self.simulator.count()
        if given == "alerts":
            yield {"at": self.times.write(at), "type": "alerts", "alerts": self._alerts(at)}
        elif given == "incidents":
            yield {"at": self.times.write(at), "type": "incidents", "incidents": self._incidents(at)}
        else:
            raise TimelineError("`show` is unknown; expected is incidents or alerts")

    def explain(self, at: datetime, given: Any, line: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Every decision about the alerts that match, in order."""
        matchers = parse_matchers(_clauses(given))
        simulator = self.simulator
        simulator.count()
        store = simulator.store
        found = explained(
            matchers,
            incidents=store.remembered(),
            rules=simulator.rules,
            store=store,
            now=at,
            write=self.times.write,
        )
        yield {"at": self.times.write(at), "type": "explain", "alerts": found}

    def end(self, at: datetime, given: Any, line: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Timers run on until then."""
        yield from ()

    # -- output lines ------------------------------------------------------------------------------------------------

    def _notification(self, sent: Sent) -> dict[str, Any]:
        notification = sent.notification
        return {
            "at": self.times.write(sent.at),
            "type": "notification",
            "target": _shown_target(notification.target.kind, notification.target.address),
            "incident": notification.incident,
            "reason": notification.reason.value,
            "status": notification.status,
            "alerts": [self._told_alert(told) for told in (*notification.alerts, *notification.evidence)],
            "events": notification.events,
            "text": notification.text,
            "delivered": sent.delivered,
            "attempts": sent.attempts,
            "tried_at": [self.times.write(at) for at in sent.tried_at],
            "error": sent.error,
        }

    def _told_alert(self, told: Told) -> dict[str, Any]:
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
            route = route_by_id(rules, incident)
            windows = muting_windows(route, rules.windows, at)
            mutings = mutings_of(incident, rules, context, at)
            for alert in incident.alerts.values():
                if alert.state is State.INACTIVE:
                    continue
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
        if alert.state is State.FIRING and (held or muting.causes or windows):
            state = "suppressed"
        elif alert.no_data and alert.state is State.FIRING:
            state = "no_data"
        return {
            "name": alert.name,
            "labels": dict(alert.labels),
            "annotations": dict(alert.annotations),
            "status": "resolved" if alert.state is State.RESOLVED else "firing",
            "severity": alert.severity.value,
            "starts_at": self.times.write(alert.starts_at or alert.pending_at),
            "ends_at": self.times.write(alert.ends_at),
            "acked_by": alert.acked_by,
            "state": state,
            "silenced_by": [each.id for each in held],
            "inhibited_by": [{"alertname": cause.name, **cause.labels} for cause in causes],
            "muted_by": list(windows) if alert.state is State.FIRING else [],
        }

    def _incidents(self, at: datetime) -> list[dict[str, Any]]:
        context, rules = self.simulator.store.context(), self.simulator.rules
        shown = []
        begun = [each for each in self._all_incidents() if each.status != "quiet"]
        for incident in sorted(begun, key=lambda each: (each.started_at or at, each.id)):
            mutings = mutings_of(incident, rules, context, at)
            shown.append(
                {
                    "incident": incident.id,
                    "status": "firing" if incident.firing or incident.beyond else "resolved",
                    "events": incident.events,
                    "alerts": [
                        {
                            "name": alert.name,
                            "labels": dict(alert.labels),
                            "annotations": dict(alert.annotations),
                            "status": "resolved" if alert.state is State.RESOLVED else "firing",
                            "starts_at": self.times.write(alert.starts_at),
                            "ends_at": self.times.write(alert.ends_at),
                            "acked_by": alert.acked_by,
                            "muted_by": list(mutings.get(alert.fingerprint, Muting()).names),
                        }
                        for alert in incident.shown
                    ],
                }
            )
        return shown

    def _all_incidents(self) -> list[Incident]:
        since = datetime.min.replace(tzinfo=UTC)
        return list(self.simulator.store.incidents(ended_since=since, quiet=True))


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
BATCHED = ("webhook", "event", "sample", "beat", "target", "down")
"""Lines of one time that a worker would find in the queue together."""
_STATE_RANKS = {"firing": 0, "no_data": 0, "suppressed": 1, "pending": 2, "resolved": 3}


def _texts(given: Any, what: str) -> dict[str, str]:
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise TimelineError(f"`{what}` is not an object; expected are names with texts")
    return {str(name): value if isinstance(value, str) else json.dumps(value) for name, value in given.items()}


def _clauses(given: Any) -> dict[str, str]:
    """The `matchers` of a line, each one that can be matched."""
    if not isinstance(given, dict) or not isinstance(given.get("matchers"), dict):
        raise TimelineError('`matchers` is missing or no object; expected is such as {"service": "web"}')
    clauses = _texts(given["matchers"], "matchers")
    for matcher in parse_matchers(clauses):
        try:
            matcher.matches({})
        except re.error as error:
            raise TimelineError(
                f"`matchers`: {matcher.label} is no regular expression ({error}); expected is such as =~web|api"
            ) from None
    return clauses


def _choice(kind: Any, value: Any, what: str) -> Any:
    try:
        return kind(value)
    except ValueError:
        allowed = ", ".join(each.value for each in kind)
        raise TimelineError(f"`{what}` is {str(value)[:40]!r}; expected is one of {allowed}") from None


def _known_severity(labels: Mapping[str, str]) -> str | None:
    found = labels.get("severity", "")
    return found if found in ("critical", "warning", "info") else None


def _target_key(given: Any) -> str:
    for kind in TARGET_KINDS:
        if isinstance(given, dict) and kind in given:
            address = "default" if given[kind] is True else str(given[kind])
            return f"{kind}:{address}"
    raise TimelineError(f"`target` names none; expected is one of {', '.join(TARGET_KINDS)} with its address")


def _shown_target(kind: str, address: str) -> dict[str, Any]:
    return {kind: True if kind == "pagerduty" and address == "default" else address}


def _answer(given: Mapping[str, Any]) -> Answer:
    retry_after = given.get("retry_after")
    return Answer(
        status=int(given.get("status", 200)),
        body=given.get("body"),
        retry_after=None if retry_after is None else float(retry_after),
        latency=timedelta(milliseconds=float(given.get("latency_ms") or 0)),
        error=given.get("error"),
    )
