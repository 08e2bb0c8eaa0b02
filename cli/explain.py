"""tocsin explain: why an alert was notified, or was not: each decision in order.

    tocsin explain --stage prod 3f2a91c0                     an incident, by the first characters of its id
    tocsin explain --stage prod "High Error Rate" service=api    alerts, by name and labels (= != =~ !~)
    tocsin explain --source sentry BODY.json                 a payload: what each rule makes of it, who would be notified
    tocsin explain --timeline TIMELINE.jsonl [--at 120]      the lines of `tocsin replay`, at a time or at their end

Without --stage it is the one that `make run` keeps up on this machine. RULES.yaml and TIMELINE.jsonl may be named as for
`tocsin replay`.
With --stage beside --source, that stage's silences and causes count. Nothing is sent and nothing is written.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

from chalicelib.api import requests
from chalicelib.api.views import find, plain_id
from chalicelib.core.context import Context
from chalicelib.core.errors import NotFoundError, ParseError, RequestError, RulesError, WebhookError
from chalicelib.core.event import Event
from chalicelib.core.match import Matcher
from chalicelib.core.matcher_words import is_matcher
from chalicelib.core.rule import Rules
from chalicelib.messages.queue import events_messages
from chalicelib.process.parse import parsed
from chalicelib.rules.compiled import RULES_NAME
from cli import parse
from cli.stage import StageError, stage_of
from cli.variables import add_variables, values_of
from simulation.decisions import Shown, counted_incidents, event_decisions, explained
from simulation.engine import Replay, read_rules
from simulation.simulator import Simulator
from simulation.timeline import TimelineError, Times, read_lines

LOCAL = "local"
LOOKED_BACK = timedelta(days=7)
"""How long ago what ended may have ended."""
_ID = re.compile(r"[0-9a-f]{4,16}")


HELP = "why an alert was notified, or was not"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "what", metavar="WHAT", nargs="*", help="an incident, an alert's name or label=value; with --source the payload"
    )
    parser.add_argument("--stage", help="ask what a stage on AWS remembers; local (make run) without it")
    parser.add_argument("--source", help="explain a payload of this sender, as `tocsin parse` reads it")
    parser.add_argument("--headers", metavar="FILE", help="the payload's headers as a JSON object")
    parser.add_argument("--timeline", metavar="FILE", help="explain what a timeline comes to; - for standard input")
    parser.add_argument("--at", metavar="TIME", help="when to look at the timeline: seconds or RFC 3339; else its end")
    parser.add_argument("--rules", metavar="FILE", default=RULES_NAME, help=f"the rules file ({RULES_NAME})")
    add_variables(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object, for tools")


def run(arguments: argparse.Namespace) -> int:
    """Explain; return 0, 1 when there is nothing that was asked for, 2 with one line when something given cannot be read."""
    try:
        found = explanation(arguments, sys.stdin.buffer)
    except NotFoundError as error:
        print(f"tocsin: {error}", file=sys.stderr)
        return 1
    except (parse.UsageError, RulesError, StageError, WebhookError, TimelineError) as error:
        print(f"tocsin: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    print(json.dumps(found, ensure_ascii=False, indent=2) if arguments.json else as_text(found))
    return 0


def explanation(arguments: argparse.Namespace, stdin: BinaryIO) -> Shown:
    """Return what is explained: `events` of a payload, and `alerts`."""
    _named_files(arguments)
    if arguments.source and arguments.timeline:
        raise parse.UsageError("--source and --timeline stand together; allowed is one of them")
    if not (arguments.source or arguments.timeline or arguments.stage or arguments.what):
        raise parse.UsageError("explain what? allowed is an incident, an alert, --source SOURCE or --timeline FILE")
    rules = read_rules(arguments.rules, values_of(arguments))
    if arguments.source:
        return of_payload(arguments, rules, stdin)
    if arguments.timeline:
        return {"alerts": of_timeline(arguments, rules)}
    return {"alerts": of_stage(arguments.what, stage_of(arguments.stage or LOCAL).store, rules, datetime.now(UTC))}


def _named_files(arguments: argparse.Namespace) -> None:
    """Take RULES.yaml and TIMELINE.jsonl in front of the rest as `tocsin replay` does."""
    if arguments.what and arguments.what[0].endswith((".yaml", ".yml")):
        arguments.rules = arguments.what.pop(0)
    if arguments.what and arguments.what[0].endswith(".jsonl") and not arguments.source:
        arguments.timeline = arguments.timeline or arguments.what.pop(0)


def matchers_of(words: Sequence[str]) -> list[Matcher]:
    """Return `service=api`, `severity!=info`, `alertname=~High.*`; a word without an operator is an alert's name."""
    found: list[Matcher] = []
    try:
        for word in words:
            found += requests.parse_text(word) if is_matcher(word) else [Matcher("alertname", "=", word)]
    except RequestError as error:
        raise parse.UsageError(str(error)) from None
    return found


def clauses_of(words: Sequence[str]) -> dict[str, str]:
    """Return the matchers in the form that a timeline has."""
    try:
        return requests.clauses_of(matchers_of(words))
    except RequestError as error:
        raise parse.UsageError(str(error)) from None


# ---------------------------------------------------------------------------------------------------------------------
# A stage


def of_stage(words: Sequence[str], store: Any, rules: Rules, now: datetime) -> list[Shown]:
    """Return the alerts of an incident, or those that matchers choose, as a stage remembers them. NotFoundError without any."""
    if len(words) == 1 and _ID.fullmatch(plain_id(words[0])):
        incident = find(store, words[0], now)
        shown = replace(incident, alerts={alert.fingerprint: alert for alert in incident.shown})
        found = explained([], incidents=[shown], rules=rules, store=store, now=now)
        return [each for each in found if each["incident"]]
    matchers = matchers_of(words)
    incidents = {each.id or each.key: each for each in store.incidents(ended_since=now - LOOKED_BACK, quiet=True)}
    for each in counted_incidents(matchers, rules, store):
        incidents.setdefault(each.id or each.key, each)
    found = explained(matchers, incidents=incidents.values(), rules=rules, store=store, now=now)
    if not found:
        raise NotFoundError(f"no alert of the last {LOOKED_BACK.days} days matches {' '.join(words) or 'anything'}")
    return found


# ---------------------------------------------------------------------------------------------------------------------
# A payload


def of_payload(arguments: argparse.Namespace, rules: Rules, stdin: BinaryIO) -> Shown:
    """Return what each rule makes of each event, and what would be sent: of a stage now, else at the time of the payload."""
    if len(arguments.what) != 1:
        raise parse.UsageError("one payload is explained at a time; allowed is a file, or - for standard input")
    now = datetime.now(UTC)
    parse.mapping_of(arguments.source, rules.sources)
    body = parse.read_body(arguments.what[0], stdin)
    headers = parse.read_headers(arguments.headers)
    try:
        events = parsed(arguments.source, headers, body, rules, now)
    except ParseError as error:
        raise parse.UsageError(f"{arguments.what[0]}: {error}") from None
    context = stage_of(arguments.stage).store.context() if arguments.stage else Context()
    if events and not arguments.stage:
        now = max(event.occurred_at for event in events)
    return {
        "events": [
            {**parse.shown(rules.services.named(event)), "decisions": event_decisions(event, rules)} for event in events
        ],
        "alerts": simulated(events, rules, context, now),
    }


def simulated(events: Sequence[Event], rules: Rules, context: Context, now: datetime) -> list[Shown]:
    """Return the alerts that the events make, once what is due for the first time was sent; their rules are those of the events."""
    simulator = Simulator(rules, now)
    kept = simulator.store.context()
    holding = replace(
        kept,
        silences=context.silences,
        maintenance=context.maintenance,
        causes=context.causes,
        version=kept.version + 1,
    )
    simulator.store.save_context(holding)
    simulator.post(events_messages(events))
    simulator.settle()
    store = simulator.store
    waiting = [
        each.flush.next_at for each in store.remembered() if each.episode.opened_at is None and each.flush.next_at
    ]
    for at in sorted(waiting):
        simulator.run_until(at, inclusive=True)
    found = explained([], incidents=store.remembered(), rules=rules, store=store, now=simulator.now)
    return [
        {**each, "decisions": [text for text in each["decisions"] if not text.startswith("rule ")]} for each in found
    ]


# ---------------------------------------------------------------------------------------------------------------------
# A timeline


def of_timeline(arguments: argparse.Namespace, rules: Rules) -> list[Shown]:
    """Return the alerts that matchers choose, as a replay of the timeline knows them at a time."""
    lines = read_lines(arguments.timeline)
    matchers = clauses_of(arguments.what)
    times = Times(any(isinstance(line.get("at"), str) for _, line in lines))
    at = _moment(arguments.at, times) if arguments.at is not None else (lines[-1][1].get("at", 0) if lines else 0)
    until = times.read(at, "`--at`")
    kept = list(_until(lines, until, times))
    asked = (len(lines) + 1, {"at": at, "explain": {"matchers": matchers}})
    folder = Path() if arguments.timeline == "-" else Path(arguments.timeline).parent
    replay = Replay(rules, [*kept, asked], name=arguments.timeline, folder=folder, seed=None)
    return [alert for line in replay.run() if line["type"] == "explain" for alert in line["alerts"]]


def _moment(text: str, times: Times) -> Any:
    return text if times.text else float(text) if re.fullmatch(r"\d+(\.\d+)?", text) else text


def _until(
    lines: Iterable[tuple[int, dict[str, Any]]], until: datetime, times: Times
) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in lines:
        if "explain" not in line and ("at" not in line or times.read(line["at"], "`at`") <= until):
            yield number, line


# ---------------------------------------------------------------------------------------------------------------------
# In words


def as_text(found: Shown) -> str:
    """Return the text for people: each event and each alert with its decisions, numbered."""
    lines: list[str] = []
    for event in found.get("events", ()):
        lines += [
            f"event {event['kind']} of {event['source']}: {event['title']} ({event['status']}, {event['severity']})"
        ]
        lines += [*_numbered(event["decisions"]), ""]
    for alert in found["alerts"]:
        labels = ", ".join(f"{name}={text}" for name, text in alert["labels"].items())
        incident = f", incident {alert['incident']}" if alert["incident"] else ""
        lines += [f"alert {alert['name']}{f' ({labels})' if labels else ''}: {alert['state']}{incident}"]
        lines += [*_numbered(alert["decisions"]), ""]
    return "\n".join(lines).rstrip() or "nothing is remembered that this is about"


def _numbered(decisions: Sequence[str]) -> list[str]:
    return [f"{number:>4}. {decision}" for number, decision in enumerate(decisions, 1)]
