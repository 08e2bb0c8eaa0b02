"""The forms of queue messages: JSON with `v` (version) and `type`.

    webhooks queue        webhook, samples, events, wake, action, silence, unsilence
    notifications queue   notification, change, interaction, feedback, action (to be asked back first)
    counts queue          events
    history queue         history

What is large is compressed (`z` in place of its fields), since SQS bills every 64 KB. Text outside ASCII is escaped,
since SQS refuses some characters.
"""

import base64
import binascii
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from chalicelib.core.context import Silence
from chalicelib.core.delivery.notification import Deploy, Notification
from chalicelib.core.errors import ParseError
from chalicelib.core.event import Action, Event
from chalicelib.core.instants import from_seconds
from chalicelib.core.metrics.sample import Sample
from chalicelib.core.ports import Queue
from chalicelib.core.rule import Target
from chalicelib.core.stage_counts import Series, Sums
from chalicelib.messages import codec, from_aws, interaction, webhook
from chalicelib.messages.interaction import Interaction
from chalicelib.messages.webhook import MAX_MESSAGE_BYTES, Webhook

VERSION = 1
COMPRESSED_OVER_BYTES = 48 * 1024
MAX_EXPANDED_BYTES = 64 * 1024 * 1024

Item = TypeVar("Item", Sample, Event)


@dataclass(frozen=True, slots=True)
class Queues:
    """The queues of the path: what came in, what goes out, and events that only count."""

    webhooks: Queue
    notifications: Queue
    counts: Queue


@dataclass(frozen=True, slots=True)
class Message:
    """One message as a worker gets it. `received_count` is 1 the first time.

    Receives are not tries: SQS also counts those whose invocation was throttled. So the time since `first_received_at`
    says for how long a message has failed. It leaves out a delay, and the time in a backlog.
    """

    id: str
    body: str
    receipt: str
    received_count: int = 1
    first_received_at: datetime | None = None

    def age(self, now: datetime) -> timedelta:
        """Return for how long workers have been given it; nothing where that is not known."""
        return timedelta(0) if self.first_received_at is None else max(now - self.first_received_at, timedelta(0))


@dataclass(frozen=True, slots=True)
class Failure:
    """A message of a batch that was not dealt with. It comes back; or, with `dead_letter`, can never work and is dead-lettered."""

    id: str
    reason: str
    dead_letter: bool = False


@dataclass(frozen=True, slots=True)
class Handled:
    """What became of a message. `retry_after` None: done with it. `dead_lettered` says why it was given up.

    `delivered` is true when the target took the notification in this call, `failed` when it did not, and is tried again.
    """

    retry_after: timedelta | None = None
    dead_lettered: str | None = None
    delivered: bool = False
    note: str = ""
    notification: Notification | None = None
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Samples:
    """Measured values."""

    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class Events:
    """Facts that need no parsing: a probe's, the router's own."""

    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Wake:
    """A timer of the incident with this group key is due, or something else changed that it looks at.

    `rules` is the digest of changed rules for whose sake it is woken.
    """

    key: str
    rules: str = ""


@dataclass(frozen=True, slots=True)
class StormReport:
    """An incident changed that is in the storm of this key: `member` is its key, `version` that of its change.

    It is a wake-up of the storm with the rest beside it: a version that does not know storms wakes nothing new.
    It may arrive before the change is saved: it comes again then, `tries` times so far.
    """

    storm: str
    member: str
    version: int
    tries: int = 0


@dataclass(frozen=True, slots=True)
class Look:
    """The incidents of the list look again, from the page after `after` on.

    With `rules` all of them do, with `silences` those that these may mute, else those that fire. It is a wake-up without a
    key beside it: a version that does not know it wakes nothing, and its tick looks at everything.
    """

    after: str
    rules: str = ""
    silences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SetSilence:
    """A person makes a silence, or edits the one with its id; `maintenance` holds back new alerts only.

    With `only_new` nothing changes where the id exists: the request came twice. With `renews` an edit makes the person
    its author.
    """

    silence: Silence
    maintenance: bool = False
    only_new: bool = False
    renews: bool = False


@dataclass(frozen=True, slots=True)
class Recorded:
    """What happened, to be kept: (seconds since 1970, kind, what `codec` writes) each; `process/record.py` knows the kinds.

    `sums` are what a function counted of its own work. A version that does not know them keeps the lines.
    """

    lines: tuple[tuple[float, str, Any], ...]
    sums: Mapping[Series, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ExpireSilence:
    """A person ends the silence or maintenance of an id now."""

    id: str
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Affected:
    """The incidents of these group keys look again, since a decision about a silence that is stored affects them.

    With `after` these are still to be found, from that page of the list of incidents on. It is the decision's own message
    with `keys` or `after` beside it. A version that does not know those works through all incidents.
    """

    decision: SetSilence | ExpireSilence
    keys: tuple[str, ...] = ()
    after: str = ""


@dataclass(frozen=True, slots=True)
class DeployChange:
    """A deploy, for a target that shows deploys beside its incidents and pages nobody for them."""

    deploy: Deploy
    target: Target


@dataclass(frozen=True, slots=True)
class Feedback:
    """What SES published of a mail after it took it: the text of the SNS message, as it came."""

    message: str


Content = (
    Webhook
    | Samples
    | Events
    | Wake
    | StormReport
    | Look
    | Action
    | SetSilence
    | ExpireSilence
    | Affected
    | Interaction
    | Recorded
    | Notification
    | DeployChange
    | Feedback
)


def samples_messages(samples: Sequence[Sample]) -> list[str]:
    """Return as few messages as hold all samples; none for none."""
    return _split("samples", samples)


def events_messages(events: Sequence[Event]) -> list[str]:
    """Return as few messages as hold all events; none for none."""
    return _split("events", events)


def wake_message(key: str, rules: str = "") -> str:
    """Return the message that wakes the incident of a group key."""
    return _written("wake", {"key": key, **({"rules": rules} if rules else {})})


def storm_message(report: StormReport) -> str:
    """Return the message that has a storm look at one of its incidents."""
    beside = {"member": report.member, "version": report.version, "tries": report.tries}
    return _written("wake", {"key": report.storm, **beside})


def look_message(look: Look) -> str:
    """Return the message that has the incidents of further pages look again."""
    return _written("wake", {"key": "", "after": look.after, "rules": look.rules, "silences": list(look.silences)})


def action_message(action: Action) -> str:
    """Return the message that carries what a person did."""
    return _written("action", {"action": codec.encode(action)})


def silence_message(silence: Silence, maintenance: bool = False) -> str:
    """Return the message that makes a silence (or maintenance), or edits the one with its id."""
    return set_silence_message(SetSilence(silence, maintenance))


def set_silence_message(given: SetSilence) -> str:
    """Return the message that makes or edits a silence as `SetSilence` says.

    The silence's `at` is the decision time. If two messages have the same id, the one with the later `at` wins,
    regardless of arrival order.
    """
    return _written("silence", _silence_form(given))


def _silence_form(given: SetSilence) -> dict[str, Any]:
    marks = {name: True for name in ("only_new", "renews") if getattr(given, name)}
    return {"silence": codec.encode(given.silence), "maintenance": given.maintenance, **marks}


def unsilence_message(id: str, by: str, at: datetime) -> str:
    """Return the message that ends a silence or maintenance at `at`."""
    return _written("unsilence", {"id": id, "by": by, "at": codec.encode(at)})


def affected_message(affected: Affected) -> str:
    """Return the message that has the incidents of some keys, or of a page, look again."""
    decision = affected.decision
    which = {"after": affected.after} if affected.after else {"keys": list(affected.keys)}
    if isinstance(decision, SetSilence):
        return _written("silence", {**_silence_form(decision), **which})
    form = {"id": decision.id, "by": decision.by, "at": codec.encode(decision.at)}
    return _written("unsilence", {**form, **which})


def history_messages(lines: Sequence[tuple[float, str, Any]], sums: Sums | None = None) -> list[str]:
    """Return as few messages as hold the lines, the first of them with the sums; none for none."""
    if not lines and not sums:
        return []
    counted = {"sums": [[*series, value] for series, value in sums.items()]} if sums else {}
    text = _written("history", {"lines": lines, **counted})
    if len(text) <= MAX_MESSAGE_BYTES or len(lines) < 2:
        return [text]
    middle = len(lines) // 2
    return history_messages(lines[:middle], sums) + history_messages(lines[middle:])


def notification_message(notification: Notification) -> str:
    """Return the message that carries one notification; what is too much for a message is left out, last what is counted."""
    text = _written("notification", {"notification": codec.encode(notification)})
    while len(text) > MAX_MESSAGE_BYTES and notification.alerts:
        notification = _smaller(notification)
        text = _written("notification", {"notification": codec.encode(notification)})
    return text


def _smaller(notification: Notification) -> Notification:
    if notification.evidence:
        return replace(notification, evidence=())
    if any(alert.annotations or alert.summary for alert in notification.alerts):
        bare = tuple(replace(alert, annotations={}, summary="") for alert in notification.alerts)
        return replace(notification, alerts=bare)
    kept = notification.alerts[: len(notification.alerts) // 2]
    also = notification.also + len(notification.alerts) - len(kept)
    notes = tuple(note for note in notification.background.notes if note != _too_large(notification.also))
    background = replace(notification.background, notes=(*notes, _too_large(also)))
    return replace(notification, alerts=kept, also=also, background=background)


def _too_large(alerts: int) -> str:
    return f"{alerts:,} of the alerts are too large to list."


def change_message(change: DeployChange) -> str:
    """Return the message that notifies one target of a deploy."""
    return _written("change", {"change": codec.encode(change)})


def feedback_message(message: str) -> str:
    """Return the message that carries what SES published of a mail."""
    return _written("feedback", {"message": message})


def read_message(body: str) -> Content:
    """Return what a message says; raises ParseError when its version or type is unknown or a field is missing or garbled."""
    raw = _json(body)
    sent_by_aws = from_aws.webhook(raw, body)
    if sent_by_aws is not None:
        return sent_by_aws
    form = _form(raw)
    kind = form.get("type")
    if kind == "webhook":
        return webhook.read(form)
    if kind == "interaction":
        return interaction.read(form)
    try:
        return _content(kind, form)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, OSError) as error:
        raise ParseError(f"a message of type {kind} lacks or garbles a field ({type(error).__name__})") from None


def webhook_origin(body: str) -> tuple[str, datetime] | None:
    """Return the source of a webhook's message and when it was received, without a look at its body; None for another."""
    try:
        raw = _json(body)
        sent_by_aws = from_aws.webhook(raw, body)
        if sent_by_aws is not None:
            return sent_by_aws.source, sent_by_aws.received_at
        if raw.get("type") != "webhook":
            return None
        return str(raw["source"]), from_seconds(raw["received_at"])
    except (ParseError, KeyError, TypeError, ValueError, OverflowError, OSError):
        return None


def body_name_of(body: str) -> str:
    """Return the name of the stored body that a webhook message refers to; empty for every other message."""
    if '"body_ref":' not in body:
        return ""
    try:
        content = read_message(body)
    except ParseError:
        return ""
    return content.body_ref if isinstance(content, Webhook) else ""


def _content(kind: Any, form: Mapping[str, Any]) -> Content:
    match kind:
        case "samples":
            return Samples(tuple(codec.decode(Sample, each) for each in form["samples"]))
        case "events":
            return Events(tuple(codec.decode(Event, each) for each in form["events"]))
        case "wake":
            return _wake(form)
        case "action":
            return codec.decode(Action, form["action"])
        case "silence":
            marks = {name: bool(form.get(name, False)) for name in ("maintenance", "only_new", "renews")}
            return _affected(SetSilence(codec.decode(Silence, form["silence"]), **marks), form)
        case "unsilence":
            return _affected(ExpireSilence(str(form["id"]), str(form["by"]), codec.decode(datetime, form["at"])), form)
        case "history":
            return Recorded(
                tuple((float(at), str(kind), body) for at, kind, body in form["lines"]),
                {tuple(map(str, series)): float(value) for *series, value in form.get("sums", ())},
            )
        case "notification":
            return codec.decode(Notification, form["notification"])
        case "change":
            return codec.decode(DeployChange, form["change"])
        case "feedback":
            return Feedback(str(form["message"]))
    raise ParseError(
        f"a message has the unknown type {str(kind)[:40]!r}; "
        "known are action, change, events, feedback, history, interaction, notification, samples, silence, unsilence, "
        "wake, webhook"
    )


def _wake(form: Mapping[str, Any]) -> Wake | StormReport | Look:
    rules = str(form.get("rules", ""))
    if form.get("member"):
        return StormReport(str(form["key"]), str(form["member"]), int(form["version"]), int(form.get("tries", 0)))
    if form.get("after"):
        return Look(str(form["after"]), rules, tuple(map(str, form["silences"])))
    return Wake(str(form["key"]), rules)


def _affected(decision: SetSilence | ExpireSilence, form: Mapping[str, Any]) -> SetSilence | ExpireSilence | Affected:
    """Return the decision, or the incidents that it affects where the message names them or where they are listed."""
    if form.get("after"):
        return Affected(decision, after=str(form["after"]))
    return Affected(decision, tuple(str(key) for key in form["keys"])) if "keys" in form else decision


def _json(body: str) -> dict[str, Any]:
    try:
        form = json.loads(body)
        if isinstance(form, dict) and "z" in form:
            form |= json.loads(_expanded(base64.b64decode(form["z"], validate=True)))
    except (ValueError, TypeError, RecursionError, binascii.Error, zlib.error):
        raise ParseError("a message is not the JSON that was put there") from None
    if not isinstance(form, dict):
        raise ParseError("a message is not a JSON object")
    return form


def _form(form: dict[str, Any]) -> dict[str, Any]:
    published = _published(form)
    if published is not None:
        return {"v": VERSION, "type": "feedback", "message": published}
    version = form.get("v")
    if type(version) is not int or not 1 <= version <= VERSION:
        raise ParseError(f"a message has the unknown version {str(version)[:20]}; known are 1 to {VERSION}")
    return form


def _published(form: Mapping[str, Any]) -> str | None:
    """Return the text of an SNS message that AWS dead-lettered in its own form; None for a message of ours.

    The topic leaves the message as it publishes it, Lambda a record of the call of `mail_feedback` that failed:
    https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
    """
    if "v" in form:
        return None
    if form.get("Type") == "Notification" and isinstance(form.get("Message"), str):
        return str(form["Message"])
    try:
        return str(form["requestPayload"]["Records"][0]["Sns"]["Message"])
    except (KeyError, IndexError, TypeError):
        return None


def _expanded(data: bytes) -> bytes:
    reader = zlib.decompressobj()
    text = reader.decompress(data, MAX_EXPANDED_BYTES)
    if not reader.eof:
        raise ValueError("too large or cut off")
    return text


def _split(kind: str, items: Sequence[Item]) -> list[str]:
    if not items:
        return []
    text = _written(kind, {kind: [codec.encode(item) for item in items]})
    if len(text) <= MAX_MESSAGE_BYTES or len(items) == 1:
        return [text]
    middle = len(items) // 2
    return _split(kind, items[:middle]) + _split(kind, items[middle:])


def _written(kind: str, fields: Mapping[str, Any]) -> str:
    text = json.dumps({"v": VERSION, "type": kind, **fields}, separators=(",", ":"))
    if len(text) <= COMPRESSED_OVER_BYTES:
        return text
    data = zlib.compress(json.dumps(fields, separators=(",", ":")).encode())
    return json.dumps({"v": VERSION, "type": kind, "z": base64.b64encode(data).decode("ascii")}, separators=(",", ":"))
