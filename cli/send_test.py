"""tocsin send-test: a marked test message through the real path: queue, worker, target.

    tocsin send-test "#incidents"                 a Slack channel
    tocsin send-test ops@example.com              a mail; also takes back the mark of an address that bounced
    tocsin send-test pagerduty                    the default routing key; pagerduty:db for a named one
    tocsin send-test webhook:billing              a named webhook, or an https address

The message says that it is a test. In PagerDuty it opens an alert that pages as any other; --resolve ends it again.
"""

import argparse
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.core.delivery.delivery_log import Result, delivery_log_key
from chalicelib.core.delivery.notification import AlertSnapshot, IncidentSnapshot, Notification, Reason
from chalicelib.core.delivery.target_kind import DEFAULT_ADDRESS
from chalicelib.core.delivery.target_state import TargetState
from chalicelib.core.delivery.writing import one_line
from chalicelib.core.event import Severity
from chalicelib.core.rule import Target, shown
from chalicelib.messages.queue import notification_message
from chalicelib.targets import kinds
from cli.stage import Stage, StageError, stage_of

LOOK_SECONDS = 0.5
WAIT = timedelta(seconds=30)


HELP = "send a marked test to a target"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("target", help=forms())
    parser.add_argument("--stage", default="local", help="local (make run), dev, prod, or a name of yours")
    parser.add_argument("--severity", default="warning", choices=[each.value for each in Severity])
    parser.add_argument("--resolve", action="store_true", help="send the end of the test right after it")
    parser.add_argument("--wait", type=float, default=WAIT.total_seconds(), help="seconds to wait for the outcome")


def run(arguments: argparse.Namespace) -> int:
    """Send it and say what came of it; 1 when it did not arrive."""
    try:
        return send_test(stage_of(arguments.stage), arguments, pause=time.sleep)
    except (ClientError, BotoCoreError) as error:
        raise StageError(f"AWS refused: {one_line(str(error))}") from None


def send_test(stage: Stage, arguments: argparse.Namespace, *, pause: Callable[[float], object]) -> int:
    """Put the test on the notifications queue and look at its thread until something came of it."""
    target = target_of(arguments.target)
    test = put_test(stage, target, Severity(arguments.severity), resolve=arguments.resolve)
    for _ in range(max(1, round(arguments.wait / LOOK_SECONDS))):
        if result := outcome(stage, test):
            return _told(target, result)
        pause(LOOK_SECONDS)
    print(pending(stage.store.target_state(target.key), test.incident.id, arguments.wait), file=sys.stderr)
    return 1


def put_test(stage: Stage, target: Target, severity: Severity, *, resolve: bool) -> Notification:
    """Put a test on the notifications queue, with its end right after it if wanted. Return the test."""
    first = test_of(target, severity, datetime.now(UTC))
    sqs, url = stage.aws("sqs"), stage.queue_url(stage.settings.notifications_queue)
    for each in (first, end_of(first)) if resolve else (first,):
        sqs.send_message(QueueUrl=url, MessageBody=notification_message(each))
    return first


def outcome(stage: Stage, test: Notification) -> Result | None:
    """Return what came of a test; None where nothing did yet."""
    delivery_log = stage.store.delivery_log(delivery_log_key(test.incident.id, test.target.key))
    return delivery_log.results[0] if delivery_log.results else None


def target_of(text: str) -> Target:
    """Return the target that a person names; StageError with what is allowed."""
    text, known = text.strip(), kinds()
    kind, _, rest = text.partition(":")
    if kind in known and rest and not (rest == "true" and known[kind].takes_true):
        return Target(kind, rest)
    if kind in known and known[kind].takes_true:
        return Target(kind, DEFAULT_ADDRESS)
    for name, declared in known.items():
        if declared.names(text):
            return Target(name, text)
    raise StageError(f"{text[:60]!r} is no target; allowed are {forms()}")


def forms() -> str:
    """Return how people name a target of each kind."""
    *found, last = [form for name, each in kinds().items() for form in each.written or (f"{name}:ADDRESS",)]
    return f"{', '.join(found)} and {last}"


def test_of(target: Target, severity: Severity, now: datetime) -> Notification:
    """Return a test: in the form of a real notification, marked as what it is, of an incident that is nobody's."""
    alert = AlertSnapshot(
        name="Test",
        labels={"alertname": "Test", "severity": severity.value},
        annotations={},
        status="firing",
        severity=severity,
        title="This is a test of Tocsin",
        starts_at=now,
        summary="Nothing is broken. If you read this where you expected it, this target works.",
        source="tocsin",
        kind="test",
        events=1,
        last_event_at=now,
        fingerprint="test",
    )
    incident = f"test-{uuid.uuid4().hex[:12]}"
    return Notification(
        id=f"{incident}-1",
        incident=IncidentSnapshot(incident, key="test", started_at=now, events=1, route="tocsin send-test"),
        seq=1,
        target=target,
        reason=Reason.TEST,
        status="firing",
        severity=severity,
        title=alert.title,
        at=now,
        alerts=(alert,),
    )


def end_of(test: Notification) -> Notification:
    """Return the end of a test, which closes what it opened."""
    (alert,) = test.alerts
    over = replace(alert, status="resolved", ends_at=test.at)
    incident = replace(test.incident, ended_at=test.at)
    return replace(test, id=f"{incident.id}-2", incident=incident, seq=2, status="resolved", alerts=(over,))


def _told(target: Target, result: Result) -> int:
    print(f"{target.shown}: {outcome_words(result)}", file=sys.stdout if result.delivered else sys.stderr)
    if result.delivered and result.note:
        print(f"note: {result.note}")
    return int(not result.delivered)


def outcome_words(result: Result) -> str:
    """Return what came of a test, in words."""
    if not result.delivered:
        return f"given up: {result.error}"
    return f"delivered after {result.attempts} tr{'y' if result.attempts == 1 else 'ies'}"


def pending(target_state: TargetState, incident: str, waited: float) -> str:
    """Return what is known of a test that nothing came of yet."""
    turn = target_state.slots.get(incident)
    if turn is None:
        return f"{shown(target_state.key)}: no worker took it within {waited:.0f} s: look at the function deliver_notification"
    broken_at = target_state.health.broken_at
    state = f"; the target is broken since {broken_at:%H:%M} UTC" if broken_at else ""
    return f"{shown(target_state.key)}: not delivered within {waited:.0f} s; tried {turn.tries} times, next at {turn.at:%H:%M:%S} UTC{state}"
