"""What Slack is shown: blocks of a message, the reply in its thread, the modal of a silence. Pure, within all limits.

Limits: https://docs.slack.dev/reference/block-kit. Text from outside is escaped (`&`, `<`, `>`) in every text object,
and measured escaped, in UTF-16 units, so that it fits however Slack counts.
"""

import re
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from chalicelib.core.delivery.links import links
from chalicelib.core.delivery.notification import Notification, Reason
from chalicelib.core.delivery.text import (
    DisplayState,
    acknowledged,
    alert_line,
    alert_title,
    cause,
    change,
    deploy_line,
    facts,
    is_silenced,
    news,
    notes,
    plain_text,
    runbook_steps,
    silenced_by,
    state,
    state_words,
    summary,
    title,
    top_error_lines,
    why,
)
from chalicelib.core.delivery.writing import clean, cut, duration_words, local_time, one_line, utf16_units
from chalicelib.core.event import Severity
from chalicelib.messages.interaction import (
    ACTION_ACK,
    ACTION_KEEP,
    ACTION_LINK,
    ACTION_RESOLVE,
    ACTION_ROLL_BACK,
    ACTION_SILENCE,
    ACTION_UNACK,
    ACTION_UNSILENCE,
    SILENCE_CHOICES,
)
from chalicelib.slack.command import escaped
from chalicelib.targets._card import IN_STATE_LINE, SEVERITY_EMOJI, emoji

MAX_TEXT_CHARACTERS = 4_000
"""Of a message: https://docs.slack.dev/reference/methods/chat.update (msg_too_long)."""
MAX_HEADER_CHARACTERS = 150
MAX_SECTION_CHARACTERS = 3_000
MAX_FIELD_CHARACTERS = 2_000
MAX_FIELDS = 10
MAX_CONTEXT_ELEMENTS = 10
MAX_BUTTON_CHARACTERS = 75
MAX_CONFIRM_TITLE_CHARACTERS = 100
MAX_CONFIRM_CHARACTERS = 300
MAX_CONFIRM_BUTTON_CHARACTERS = 30
MAX_ID_CHARACTERS = 500
MAX_LISTED_ALERTS = 10
MAX_LISTED_EVIDENCE = 5
MAX_COUNTED_NAMES = 5
EVENT_TYPE = "tocsin_notification"

_ACT_EMOJI = {"ack": "👀", "unack": "↩️", "resolve": "✅", "reassign": "👉", "note": "💬", "silence": "🔇", "keep": "⏳"}


def escaped_units(text: str) -> int:
    """Return how long a text is once escaped, in UTF-16 units: the most that Slack could count."""
    return utf16_units(escaped(text))


MAX_DATES = 12
"""In one text. A date token is some 60 characters longer than what it stands for."""
_TIME = re.compile(
    r"\b(?:(?P<utc>\d{4}-\d\d-\d\d \d\d:\d\d) UTC\b"
    r"|(?P<local>\d{1,2} [A-Z][a-z]{2} \d{4}, \d\d:\d\d) (?P<zone>[A-Za-z][A-Za-z0-9_+/-]*))",
    re.ASCII,
)
"""The times of our own sentences: in UTC, and in a team's zone as `local_time` writes them."""


def dated(text: str, timezone: str = "UTC") -> str:
    """Return escaped text with the times of our own sentences in each reader's zone.

    https://docs.slack.dev/messaging/formatting-message-text#date-formatting
    """
    return _TIME.sub(lambda found: _date_token(found, timezone), text, count=MAX_DATES)


def _date_token(found: re.Match[str], timezone: str) -> str:
    at = _instant(found, timezone)
    if at is None:
        return found[0]
    return f"<!date^{int(at.timestamp())}^{{date_short_pretty}} {{time}}|{found[0]}>"


def _instant(found: re.Match[str], timezone: str) -> datetime | None:
    """Return the instant of a time in a text; None where it is none, or not one of this zone."""
    try:
        if found["utc"]:
            return datetime.fromisoformat(found["utc"]).replace(tzinfo=UTC)
        local = datetime.strptime(found["local"], "%d %b %Y, %H:%M").replace(tzinfo=ZoneInfo(timezone))
    except (KeyError, ValueError, OSError):
        return None
    meant = (local.replace(fold=fold).astimezone(UTC) for fold in (0, 1))
    return next((at for at in meant if local_time(at, timezone) == found[0]), None)


def render(
    notification: Notification, receipt: Mapping[str, str], *, plain: bool = False, can_roll_back: bool = False
) -> dict[str, Any]:
    """Return the message without its channel: `text`, `blocks` and `metadata`; with `plain` only `text` and `metadata`."""
    body: dict[str, Any] = {"text": _fallback(notification), "metadata": _metadata(notification)}
    if plain:
        body["text"] = _cut(plain_text(notification), MAX_TEXT_CHARACTERS)
    else:
        body["blocks"] = _blocks(notification, can_roll_back=can_roll_back)
    return body


def render_reply(notification: Notification) -> dict[str, Any]:
    """Return what is new, in a few lines: the reply in the thread, or a follow-up where nothing can be updated."""
    said = [f"{emoji(notification)} {change(notification)}", *news(notification)]
    if notification.reason is Reason.SYNC and notification.activity.acts:
        said = [f"{_ACT_EMOJI.get(kind, '•')} {sentence}" for kind, sentence in notification.activity.acts]
    if notification.reason in (Reason.UPDATED, Reason.ESCALATED, Reason.REMINDER) and len(notification.alerts) > 1:
        said += [f"• {cut(alert_line(alert), 300)}" for alert in notification.alerts[:MAX_LISTED_ALERTS]]
        more = len(notification.alerts) - MAX_LISTED_ALERTS + notification.also
        said += [f"• and {more:,} more"] if more > 0 else []
    text = dated(_cut("\n".join(said), 2_500), notification.background.timezone)
    mentions = "" if notification.reason is Reason.OPENED else _mentions(notification)
    return {"text": f"{text}\n{mentions}".rstrip(), "metadata": _metadata(notification)}


def render_webhook(notification: Notification, receipt: Mapping[str, str]) -> dict[str, Any]:
    """Return what an incoming webhook is sent: blocks without the buttons that would need an update; later, a few lines."""
    if receipt.get("told"):
        named = escaped(cut(title(notification), 300))
        return {"text": f"*{named}*\n{render_reply(notification)['text']}"}
    return {"text": _fallback(notification), "blocks": _blocks(notification, updatable=False)}


def render_plain_webhook(notification: Notification, receipt: Mapping[str, str]) -> dict[str, Any]:
    """Return the plain form for an incoming webhook."""
    return {"text": render(notification, receipt, plain=True)["text"]}


def _metadata(notification: Notification) -> dict[str, Any]:
    return {"event_type": EVENT_TYPE, "event_payload": {"id": notification.id, "incident": notification.incident.id}}


def _fallback(notification: Notification) -> str:
    """Return what a phone's notification and a screen reader say."""
    word = notification.severity.value if state(notification) is DisplayState.FIRING else state_words(notification)
    why = f". {cause(notification)[0]}" if cause(notification) else ""
    return _cut(f"{emoji(notification)} [{word}] {title(notification)}{why}", 500)


def _cut(text: str, limit: int) -> str:
    return escaped(cut(text, limit, escaped_units))


def _plain(text: str, limit: int) -> dict[str, Any]:
    return {"type": "plain_text", "text": _cut(text, limit), "emoji": True}


def _mrkdwn(ready: str) -> dict[str, Any]:
    """Return a text object of text escaped already; `verbatim` keeps Slack from making links of what looks like one."""
    return {"type": "mrkdwn", "text": ready, "verbatim": True}


def _blocks(notification: Notification, *, updatable: bool = True, can_roll_back: bool = False) -> list[dict[str, Any]]:
    zone = notification.background.timezone
    parts = {
        "header": {"type": "header", "text": _plain(_header(notification), MAX_HEADER_CHARACTERS)},
        "summary": _section(dated(_summary(notification, updatable=updatable), zone)),
        "actions": _actions(notification, updatable=updatable, can_roll_back=can_roll_back),
        "alerts": _section(_alerts(notification)),
        "top": _section(dated(_top(notification), zone)),
        "steps": _section(_steps(notification)),
        "facts": _fields(notification),
        "deploy": _section(_deploy(notification)),
        "notes": _context([f"📝 {dated(_cut(note, 500), zone)}" for note in notes(notification)]),
        "evidence": _context(_evidence(notification)),
        "why": _context([_why(notification)]),
    }
    named = cut(one_line(notification.id), 200)
    return [{**block, "block_id": f"{name}:{named}"} for name, block in parts.items() if block]


def _header(notification: Notification) -> str:
    named = title(notification)
    return f"{emoji(notification)} {'Test: ' if notification.reason is Reason.TEST else ''}{named}"


def _section(ready: str) -> dict[str, Any] | None:
    return {"type": "section", "text": _mrkdwn(ready)} if ready else None


def _context(ready: list[str]) -> dict[str, Any] | None:
    shown = [_mrkdwn(text) for text in ready if text][:MAX_CONTEXT_ELEMENTS]
    return {"type": "context", "elements": shown} if shown else None


def _summary(notification: Notification, *, updatable: bool) -> str:
    """Return the state in words, the cause, then what the alerts say; the whole title where the header has no room for it."""
    lines = [_state_line(notification, updatable=updatable)]
    if utf16_units(escaped(title(notification))) > MAX_HEADER_CHARACTERS - 12:
        lines.append(_cut(one_line(notification.title), 600))
    lines += [f"*{_cut(line, 200)}*" for line in cause(notification)[:1]]
    lines += [_cut(line, 200) for line in cause(notification)[1:]]
    lines += [_mentions(notification)] if notification.reason is Reason.OPENED and _mentions(notification) else []
    found = dict.fromkeys(summary(alert) for alert in notification.alerts[:3])
    return "\n".join([*lines, *(_cut(clean(text), 600) for text in found if text)])


def _mentions(notification: Notification) -> str:
    """Return whom the rules file names, where the message makes a sound for what is worse than info.

    https://docs.slack.dev/messaging/formatting-message-text: people, groups, special mentions.
    """
    silent = not notification.sounds or notification.reason is Reason.RESOLVED
    if silent or notification.severity is Severity.INFO:
        return ""
    return " ".join(_mention(each) for each in notification.target.mention)


def _mention(name: str) -> str:
    if name in ("here", "channel", "everyone"):
        return f"<!{name}>"
    return f"<!subteam^{name}>" if name.startswith("S") else f"<@{name}>"


def _state_line(notification: Notification, *, updatable: bool) -> str:
    """Return `*Critical* since 09:02 · *nobody has it yet*`: what it is in, since when, and who has it."""
    severity = notification.severity.value
    since = f"since {local_time(notification.incident.started_at, notification.background.timezone)}"
    match state(notification):
        case DisplayState.TEST:
            return "*Test*: nothing is wrong"
        case DisplayState.RESOLVED:
            return f"*Resolved* {_lasted(notification)} · was {severity}"
        case DisplayState.CLOSING:
            return _closing(notification)
        case DisplayState.ACKNOWLEDGED:
            silenced = f"\n{_silenced(notification)}" if is_silenced(notification) else ""
            return f"*Acknowledged* {_cut(acknowledged(notification), 300)} · {severity} {since}{silenced}"
        case DisplayState.SILENCED:
            return f"{_silenced(notification)} · {severity} {since}"
        case _:
            nobody = " · *nobody has it yet*" if updatable else ""
            return f"*{severity.capitalize()}* {since}{nobody}"


def _closing(notification: Notification) -> str:
    """Return `*Resolved since 05:51*, lasted 10 min`: what holds until the incident is closed, or fires again."""
    closing, zone = notification.closing, notification.background.timezone
    if closing is None:
        return ""
    lasted = duration_words(closing.since - notification.incident.started_at)
    who = f" · *{_cut(one_line(notification.ack.by), 100)}* has it" if notification.ack else ""
    over = (
        f"*Resolved since {local_time(closing.since, zone)}*, lasted {lasted} · was {notification.severity.value}{who}"
    )
    if closing.kept_by:
        return (
            f"{over}\nKept open by {_cut(one_line(closing.kept_by), 100)} until somebody resolves it, or it fires again"
        )
    return f"{over}\nClosing at {local_time(closing.at, zone)} unless it fires again"


def _lasted(notification: Notification) -> str:
    """Return `after 10 min, 05:41 to 05:51`: of what is over, so that it stays true."""
    began, zone = notification.incident.started_at, notification.background.timezone
    ended = notification.incident.ended_at or notification.at
    return f"after {duration_words(ended - began)}, {local_time(began, zone)} to {local_time(ended, zone)}"


def _silenced(notification: Notification) -> str:
    by = silenced_by(notification)
    return f"*Silenced* {_cut(by, 300)}".rstrip() if _can_unsilence(notification) else f"*Muted*: {_cut(by, 300)}"


def _can_unsilence(notification: Notification) -> bool:
    """Return whether the message offers to end a silence: not where other alerts alone mute what fires."""
    by = silenced_by(notification)
    return is_silenced(notification) and (not by or by.startswith("by "))


def _fields(notification: Notification) -> dict[str, Any] | None:
    found = [(label, value) for label, value in facts(notification) if label not in IN_STATE_LINE]
    zone = notification.background.timezone
    shown = [_mrkdwn(f"*{label}*\n{dated(_cut(value, 600), zone)}") for label, value in found[:MAX_FIELDS]]
    return {"type": "section", "fields": shown} if shown else None


def _alerts(notification: Notification) -> str:
    if len(notification.alerts) < 2:
        return ""
    lines = [
        f"{'✅' if alert.status == 'resolved' else SEVERITY_EMOJI[alert.severity]} {_cut(alert_line(alert), 200)}"
        for alert in notification.alerts[:MAX_LISTED_ALERTS]
    ]
    more = len(notification.alerts) - MAX_LISTED_ALERTS + notification.also
    return "\n".join([_counts(notification), *lines, f"… and {more:,} more"] if more > 0 else lines)


def _counts(notification: Notification) -> str:
    """Return how many there are of which, when not all are listed: `InstanceDown 67, DiskFull 66`."""
    counts = Counter(alert_title(alert) for alert in notification.alerts if alert.status != "resolved")
    named = [f"{cut(name, 60)} {count:,}" for name, count in counts.most_common(MAX_COUNTED_NAMES)]
    rest = counts.total() + notification.also - sum(count for _, count in counts.most_common(MAX_COUNTED_NAMES))
    named += [f"others {rest:,}"] if named and rest else []
    return f"*Of which* {_cut(', '.join(named), 400)}" if named else "*Resolved*"


def _top(notification: Notification) -> str:
    """Return the most frequent errors, each with a link to its page."""
    heading, *errors = top_error_lines(notification, written=_cut_line, linked=_linked) or ("",)
    return "\n".join([f"*Top errors*: {heading}", *(f"• {line}" for line in errors)]) if errors else ""


def _cut_line(text: str) -> str:
    return _cut(text, 250)


def _linked(text: str, address: str) -> str:
    return f"<{escaped(address)}|{_cut_line(text).replace('|', '¦')}>"


def _evidence(notification: Notification) -> list[str]:
    lines = [f"🔇 {_cut(alert_line(alert), 300)}" for alert in notification.evidence[:MAX_LISTED_EVIDENCE]]
    more = len(notification.evidence) - MAX_LISTED_EVIDENCE
    return [*lines, f"… and {more:,} more beside it"] if more > 0 else lines


def _deploy(notification: Notification) -> str:
    if not notification.background.deploys:
        return ""
    return f"🚀 *Last deploy*\n{_cut(deploy_line(notification.background.deploys[0], notification), 600)}"


def _steps(notification: Notification) -> str:
    steps, runbook = runbook_steps(notification), notification.background.runbook
    over = state(notification) in (DisplayState.RESOLVED, DisplayState.CLOSING)
    if not steps or runbook is None or over:
        return ""
    named = f" · {_cut(one_line(runbook.title), 150)}" if one_line(runbook.title) else ""
    numbered = [f"{number}. {_cut(step, 500)}" for number, step in enumerate(steps, 1)]
    return "\n".join([f"*First steps*{named}", *numbered])


def _why(notification: Notification) -> str:
    found = why(notification)
    incident = _cut(f"incident {one_line(notification.incident.id)}", 100)
    return f"Why you: {_cut(found, 500)} · {incident}" if found else incident


def _actions(notification: Notification, *, updatable: bool, can_roll_back: bool) -> dict[str, Any] | None:
    elements: list[dict[str, Any]] = []
    if updatable and state(notification) not in (DisplayState.RESOLVED, DisplayState.TEST):
        rolls_back = can_roll_back and state(notification) is not DisplayState.CLOSING
        elements += [*_controls(notification), *(_roll_backs(notification) if rolls_back else [])]
    for number, (label, address) in enumerate(links(notification, 4)):
        text = _plain(label, MAX_BUTTON_CHARACTERS)
        elements.append({"type": "button", "action_id": f"{ACTION_LINK}_{number}", "text": text, "url": address})
    return {"type": "actions", "elements": elements} if elements else None


def _controls(notification: Notification) -> list[dict[str, Any]]:
    """Return what can be done in this state, the likeliest first."""
    incident, ends = notification.incident.id, _can_unsilence(notification)
    buttons: list[dict[str, Any]] = []
    if state(notification) is DisplayState.CLOSING:
        close_now = _button(ACTION_RESOLVE, "Close now", incident)
        is_kept = notification.closing is not None and notification.closing.kept_by
        return [close_now] if is_kept else [close_now, _button(ACTION_KEEP, "Keep open", incident)]
    if ends:
        buttons.append(_button(ACTION_UNSILENCE, "End silence", incident))
    elif notification.ack is None:
        spoken = _cut(f"Acknowledge {title(notification)}", MAX_BUTTON_CHARACTERS)
        buttons.append(_button(ACTION_ACK, "Acknowledge", incident, style="primary", accessibility_label=spoken))
    if not ends:
        buttons.append(_silence_menu(incident))
    buttons.append(_button(ACTION_RESOLVE, "Resolve", incident))
    if notification.ack is not None:
        buttons.append(_button(ACTION_UNACK, "Give back", incident))
    return buttons


def _silence_menu(incident: str) -> dict[str, Any]:
    options = [
        {"text": _plain(label, MAX_BUTTON_CHARACTERS), "value": f"{choice}:{incident}"}
        for choice, label in SILENCE_CHOICES
    ]
    placeholder = _plain("Silence", MAX_BUTTON_CHARACTERS)
    return {"type": "static_select", "action_id": ACTION_SILENCE, "placeholder": placeholder, "options": options}


def _roll_backs(notification: Notification) -> list[dict[str, Any]]:
    """Return a rollback of the last deploy, when it is one of the service that can be rolled back; asks first."""
    deploy = next(iter(notification.background.deploys), None)
    if deploy is None or not deploy.project_id or len(deploy.id) > MAX_ID_CHARACTERS:
        return []
    if not deploy.concerns(notification.incident.group.get("service")):
        return []
    named = one_line(deploy.project) or one_line(deploy.service or "") or deploy.project_id
    confirm = {
        "title": _plain("Roll back?", MAX_CONFIRM_TITLE_CHARACTERS),
        "text": _plain(
            f"Production of {cut(named, 80)} goes back to the deployment before this one: "
            f"{cut(deploy_line(deploy, notification), 150)}",
            MAX_CONFIRM_CHARACTERS,
        ),
        "confirm": _plain("Roll back", MAX_CONFIRM_BUTTON_CHARACTERS),
        "deny": _plain("Cancel", MAX_CONFIRM_BUTTON_CHARACTERS),
        "style": "danger",
    }
    button = _button(ACTION_ROLL_BACK, "Roll back", f"{notification.incident.id}:{deploy.id}", style="danger")
    return [{**button, "confirm": confirm}]


def _button(action: str, label: str, incident: str, **style: str) -> dict[str, Any]:
    text = _plain(label, MAX_BUTTON_CHARACTERS)
    return {"type": "button", "action_id": action, "text": text, "value": incident, **style}
