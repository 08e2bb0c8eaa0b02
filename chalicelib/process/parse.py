"""The content of a message of the webhooks queue: a webhook's body parsed by its source, and masked.

The times of events are corrected by the time at which the webhook was received.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from chalicelib import plugins
from chalicelib.core.beat import SOURCE, beat_event
from chalicelib.core.errors import ParseError
from chalicelib.core.event import NO_STATUS, ROUTER, UNREAD_STATUS, Action, Event, Severity, Status
from chalicelib.core.ports import Store
from chalicelib.core.rule import Rules
from chalicelib.log import reason_of
from chalicelib.messages.queue import (
    Affected,
    Events,
    ExpireSilence,
    Look,
    Samples,
    SetSilence,
    StormReport,
    Wake,
    read_message,
)
from chalicelib.messages.webhook import Webhook
from chalicelib.redact import redact_event, redact_text

MAX_UNKNOWN_WORDS = 20
MAX_WORD_CHARACTERS = 40
MAX_BLANKS = 3

WebhooksContent = Events | Samples | Wake | StormReport | Look | Action | SetSilence | ExpireSilence | Affected


def read_content(body: str, store: Store, rules: Rules) -> WebhooksContent:
    """Return what a message says, a webhook's body parsed and masked; raises ParseError with the reason.

    Raises ProcessedError when a stored body was dropped because the webhook was processed.
    """
    content = read_message(body)
    if not isinstance(content, Webhook):
        if not isinstance(content, WebhooksContent):
            raise ParseError("a notification is on the webhooks queue")
        return content
    data = content.body
    if content.body_ref:
        stored = store.get_body(content.body_ref)
        if stored is None:
            raise ParseError("the stored body of a large webhook is gone")
        data = stored
    events = parsed(content.source, content.headers, data, rules, content.received_at)
    return Events((*events, *unknown_words(events)))


def unknown_words(events: Sequence[Event]) -> list[Event]:
    """Return the router's warnings of words for a state that no entry of a declared source names, each word once.

    What says the same again has the same id. Of a status that holds any text one warning is made.
    """
    found: dict[str, Event] = {}
    for event in events:
        word = event.annotations.get(UNREAD_STATUS)
        if word and len(found) < MAX_UNKNOWN_WORDS:
            is_word = len(word) <= MAX_WORD_CHARACTERS and word.count(" ") <= MAX_BLANKS
            warning = _unknown_word(event, word if is_word else "a text of several words")
            found.setdefault(warning.id, warning)
    return [*found.values()]


def _unknown_word(event: Event, word: str) -> Event:
    name = f"source.unknown_status:{event.source}:{word}"
    meant = (
        "a fault, since it is a number" if event.status is Status.FIRING else "information: nobody is notified of it"
    )
    return Event(
        id=name,
        source=ROUTER,
        kind="source.unknown_status",
        status=Status.FIRING,
        severity=Severity.WARNING,
        title=f"{event.source} sends {_what_was_sent(word, event.source)}",
        summary=f"It is taken for {meant}. {_what_to_name(word, event.source)}",
        occurred_at=event.occurred_at,
        identity=name,
        labels={"declared": event.source, "word": word},
    )


def _what_was_sent(word: str, source: str) -> str:
    if word == NO_STATUS:
        return "a body that has no status where its entry looks"
    who = "no sender is known to use" if source in plugins.names("sources") else "its entry does not name"
    return f"the status {word!r}, which {who}"


def _what_to_name(word: str, source: str) -> str:
    if word == NO_STATUS:
        return f"Say under `status:` of {source} what such a body is: `… || 'firing'`, or `… || 'info'`."
    if source in plugins.names("sources"):
        return "Send a usual word, or post to a declared source that names it under `statuses:`."
    return f"Name it under `statuses:` of {source}: firing, resolved or info."


def parsed(
    source: str, headers: Mapping[str, str], body: bytes, rules: Rules, received_at: datetime
) -> tuple[Event, ...]:
    """Return the events of a webhook, masked. A declared source has precedence over none: its entry names the mapping.

    Raises ParseError, whatever went wrong: what a source cannot read now it cannot read later.
    """
    if source == SOURCE:
        output = redact_text(body.decode("utf-8", "replace"))
        return (beat_event(headers.get("heartbeat", ""), received_at, headers, output),)
    mapping = next((each for each in rules.sources if each.get("name") == source), None)
    try:
        if mapping is not None:
            events = plugins.load_declared_source().parse(headers, body, received_at=received_at, mapping=mapping)
        else:
            events = plugins.load_source(source).parse(headers, body, received_at=received_at)
        return _ready(events, received_at)
    except ParseError as error:
        raise ParseError(str(error), _ready(error.read, received_at)) from None
    except Exception as error:
        raise ParseError(f"{source}: {reason_of(error)}") from error


def _ready(events: Sequence[Event], received_at: datetime) -> tuple[Event, ...]:
    return tuple(_not_ahead(_distinct_end(redact_event(event), received_at), received_at) for event in events)


def _distinct_end(event: Event, received_at: datetime) -> Event:
    """Return the event; an end whose body has no time of its own is the end of what fires now, though the same was said once
    before.

    A fault is not: a body without a time that comes again is the same delivery, and nobody is woken by it twice.
    """
    if event.status is not Status.RESOLVED or event.occurred_at != received_at or event.action is not None:
        return event
    return replace(event, id=f"{event.id}@{received_at.isoformat()}")


def _not_ahead(event: Event, received_at: datetime) -> Event:
    """Correct a sender's clock that runs ahead: nothing occurred after it was received."""
    if event.occurred_at <= received_at:
        return event
    starts_at = min(event.starts_at, received_at) if event.starts_at else None
    ends_at = event.ends_at
    if ends_at is not None and event.status is Status.RESOLVED:
        ends_at = min(ends_at, received_at)
    return replace(event, occurred_at=received_at, starts_at=starts_at, ends_at=ends_at)
