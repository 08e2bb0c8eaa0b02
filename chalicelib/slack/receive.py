"""What a person does in Slack → notifications queue: verify, store, answer. The act itself comes after the answer.

https://docs.slack.dev/interactivity/handling-user-interaction and …/implementing-slash-commands. Slack gives three
seconds, a cold start included. The form for a silence is opened here, before anything slow, since its `trigger_id`
lives as long and works once. The answers:

    200  stored, or nothing to do (a link was pressed); for a form with mistakes, the mistakes
    400  not what Slack sends                     401  not signed by Slack, or over five minutes old or ahead
    413  over MAX_BODY_BYTES                      503  could not be stored, or the form could not be opened
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

from chalicelib.core.errors import NotStoredError, SignatureError, TooLargeError, UnreadableError, WebhookError
from chalicelib.core.event import fingerprint
from chalicelib.core.payload import signing
from chalicelib.ingest.receive import RETRY_AFTER_SECONDS, HttpResponse, Secrets
from chalicelib.messages.interaction import (
    ACTION_ROLL_BACK,
    ACTION_ROLL_BACK_CONFIRMED,
    ACTION_SILENCE,
    COMMAND,
    KINDS,
    SILENCE_MODAL,
    Interaction,
    written,
)
from chalicelib.slack import silence_modal
from chalicelib.slack.command import HELP, is_known

SECRETS = ("SLACK_SIGNING_SECRET",)
MAX_AGE_SECONDS = 300
MAX_BODY_BYTES = 1_000_000
MAX_FIELDS = 100
MAX_TEXT_CHARACTERS = 2_000

OpenView = Callable[[str, Mapping[str, Any]], tuple[str, str]]
"""Opens a modal by a trigger_id and answers with the view's id and hash; raises NotStoredError when it does not open."""


def answered(
    headers: Mapping[str, str],
    body: bytes,
    *,
    secrets: Secrets,
    put: Callable[[str], None],
    open_view: OpenView,
    now: datetime,
) -> HttpResponse:
    """Return the answer to one request of Slack, after what it asks for was stored by `put`."""
    lower = {name.lower(): str(value) for name, value in headers.items()}
    try:
        if len(body) > MAX_BODY_BYTES:
            raise TooLargeError(f"the body has {len(body)} bytes; allowed are {MAX_BODY_BYTES}")
        _check_sender(lower, body, secrets, now)
        return _answer(lower, body, put, open_view, now)
    except WebhookError as error:
        return HttpResponse(error.status, {"error": str(error)}, reason=str(error))
    except NotStoredError as error:
        retry = {"Retry-After": str(RETRY_AFTER_SECONDS)}
        return HttpResponse(503, {"error": "could not be done; try again"}, retry, reason=str(error))


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime) -> None:
    """Raise SignatureError unless Slack signed the body within five minutes of `now`. Header names in lower case.

    https://docs.slack.dev/authentication/verifying-requests-from-slack
    """
    known = signing.live(secrets)
    said = headers.get("x-slack-request-timestamp", "")
    if not (said.isascii() and said.isdigit() and len(said) <= 12):
        raise SignatureError("the request has no X-Slack-Request-Timestamp in seconds")
    if abs(now.timestamp() - int(said)) > MAX_AGE_SECONDS:
        raise SignatureError("X-Slack-Request-Timestamp is not within five minutes of now")
    version, _, given = headers.get("x-slack-signature", "").partition("=")
    if version != "v0" or not given:
        raise SignatureError("the request has no X-Slack-Signature of version v0")
    if not signing.signed(b"v0:" + said.encode() + b":" + body, known, [given], algorithm="sha256"):
        raise SignatureError("X-Slack-Signature does not fit the body")


def _check_sender(headers: Mapping[str, str], body: bytes, secrets: Secrets, now: datetime) -> None:
    """Check the signature, once more with values read again when it does not fit: the secret may just have changed."""
    values = list(secrets.values(SECRETS))
    try:
        verify(headers, body, values, now)
    except SignatureError:
        renewed = list(secrets.renewed(SECRETS))
        if renewed == values:
            raise
        verify(headers, body, renewed, now)


def _answer(
    headers: Mapping[str, str], body: bytes, put: Callable[[str], None], open_view: OpenView, now: datetime
) -> HttpResponse:
    if "json" in headers.get("content-type", ""):
        return _handshake(_object(body))
    form = _form(body)
    if form.get("ssl_check"):
        return HttpResponse(200, {}, reason="ssl_check")
    if "command" in form:
        return _command(form, put, now)
    payload = _object(form.get("payload", ""))
    match payload.get("type"):
        case "block_actions":
            return _pressed(payload, put, open_view, now)
        case "view_submission" if _table(payload.get("view")).get("callback_id") == SILENCE_MODAL:
            return _submitted(payload, put, now)
        case str() as kind:
            return HttpResponse(200, {}, reason=f"nothing to do for {kind[:40]}")
    raise UnreadableError("the payload has no type")


def _handshake(payload: Mapping[str, Any]) -> HttpResponse:
    """Answer the Events API's question whether the address is ours. Nothing else that it sends is needed."""
    if payload.get("type") == "url_verification":
        return HttpResponse(200, {"challenge": str(payload.get("challenge") or "")}, reason="url_verification")
    return HttpResponse(200, {}, reason="nothing to do for an event")


# ---------------------------------------------------------------------------------------------------------------------
# What was done


def _pressed(
    payload: Mapping[str, Any], put: Callable[[str], None], open_view: OpenView, now: datetime
) -> HttpResponse:
    done = []
    for action in _list(payload.get("actions")):
        pressed = _of_action(payload, action, now)
        if pressed is None:
            continue
        pressed = _placed(pressed, payload)
        if pressed.kind == "silence" and pressed.words == "custom":
            pressed = _opened(pressed, payload, open_view)
        put(written(pressed))
        done.append(pressed.kind)
    return HttpResponse(200, {}, reason=", ".join(done) or "nothing to do")


def _of_action(payload: Mapping[str, Any], action: Mapping[str, Any], now: datetime) -> Interaction | None:
    """Return what a button or a menu asks for; None for links, for others' buttons and for a menu without a choice."""
    name = _text(action.get("action_id"))
    kind = KINDS.get(name)
    value = _text(action.get("value"))
    words = ""
    if name == ACTION_SILENCE:
        words, _, value = _text(_table(action.get("selected_option")).get("value")).partition(":")
    elif name in (ACTION_ROLL_BACK, ACTION_ROLL_BACK_CONFIRMED):
        value, _, words = value.partition(":")
    user = _table(payload.get("user"))
    if kind is None or not value or not _text(user.get("id")):
        return None
    container = _table(payload.get("container"))
    place = [_text(container.get(part)) for part in ("channel_id", "message_ts")]
    return Interaction(
        id=f"slack:{fingerprint(*place, name, _text(user.get('id')), _text(action.get('action_ts')))}",
        kind=kind,
        user=_text(user.get("id")),
        at=_pressed_at(action, now),
        name=_text(user.get("name") or user.get("username")),
        incident=value,
        words=words,
        channel=place[0],
        reply_to=_text(payload.get("response_url")),
    )


def _placed(asked: Interaction, payload: Mapping[str, Any]) -> Interaction:
    """Return it with the workspace of the person, its organisation, and where they acted, which may be another one.

    On Enterprise Grid the `team_id` of a person is the id of the organisation.
    https://docs.slack.dev/reference/interaction-payloads/block_actions-payload
    """
    place = _table(payload.get("team"))
    workspace = _text(place.get("id"))
    team = _text(_table(payload.get("user")).get("team_id")) or workspace
    enterprise = _text(place.get("enterprise_id")) if team == workspace else ""
    return replace(asked, team=team, enterprise=enterprise, workspace=workspace)


def _pressed_at(action: Mapping[str, Any], now: datetime) -> datetime:
    """Return when Slack took the press, so that two deliveries of it mean one time; `now` where it cannot be."""
    try:
        found = datetime.fromtimestamp(float(_text(action.get("action_ts"))), UTC)
    except (ValueError, OverflowError, OSError):
        return now
    return min(found, now) if abs((now - found).total_seconds()) <= MAX_AGE_SECONDS else now


def _opened(pressed: Interaction, payload: Mapping[str, Any], open_view: OpenView) -> Interaction:
    view, view_hash = open_view(
        _text(payload.get("trigger_id")), silence_modal.view(pressed.incident, channel=pressed.channel)
    )
    return replace(pressed, kind="silence_opened", view=view, view_hash=view_hash, name="", words="", reply_to="")


def _submitted(payload: Mapping[str, Any], put: Callable[[str], None], now: datetime) -> HttpResponse:
    view, user = _table(payload.get("view")), _table(payload.get("user"))
    values = _table(_table(view.get("state")).get("values"))
    fields = silence_modal.entered(values)
    if wrong := silence_modal.mistakes(fields, values, now):
        return HttpResponse(200, {"response_action": "errors", "errors": wrong}, reason="mistakes in the form")
    incident, _, channel = _text(view.get("private_metadata")).partition(" ")
    asked = Interaction(
        id=f"slack:{fingerprint(_text(view.get('id')), _text(user.get('id')), _text(view.get('hash')))}",
        kind="silence_asked",
        user=_text(user.get("id")),
        at=now,
        name=_text(user.get("name") or user.get("username")),
        incident=incident,
        channel=channel,
        fields=fields,
    )
    put(written(_placed(asked, payload)))
    return HttpResponse(200, {"response_action": "clear"}, reason=asked.kind)


def _command(form: Mapping[str, str], put: Callable[[str], None], now: datetime) -> HttpResponse:
    words = form.get("text", "").strip()[:MAX_TEXT_CHARACTERS]
    name = form.get("command") or COMMAND
    if not is_known(words):
        return HttpResponse(200, {"response_type": "ephemeral", "text": HELP.format(command=name)}, reason="help")
    asked = Interaction(
        id=f"slack:{fingerprint(form.get('trigger_id', ''), form.get('user_id', ''), words)}",
        kind="command",
        user=form.get("user_id", ""),
        at=now,
        name=form.get("user_name", ""),
        team=form.get("team_id", ""),
        enterprise=form.get("enterprise_id", ""),
        words=words,
        channel=form.get("channel_id", ""),
        reply_to=form.get("response_url", ""),
    )
    put(written(asked))
    return HttpResponse(200, {}, reason=f"command {words.split()[0]}")


# ---------------------------------------------------------------------------------------------------------------------
# Reading


def _form(body: bytes) -> dict[str, str]:
    try:
        found = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        raise UnreadableError("the body is no form in UTF-8") from None
    return {name: values[0] for name, values in found.items()}


def _object(text: str | bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise UnreadableError("the payload is no JSON object")
    return found


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _text(value: Any) -> str:
    return value[:MAX_TEXT_CHARACTERS] if isinstance(value, str) else ""
