"""The `/tocsin` command: what was typed, and what is answered, in Slack's mrkdwn. Pure; facts come from `views`.

Text from outside is escaped (`&`, `<`, `>`): mentions, links and special commands in it stay text.
https://docs.slack.dev/messaging/formatting-message-text
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chalicelib.api.requests import MUTES_NOTHING
from chalicelib.api.times import LEADS, time_and_reason
from chalicelib.core.account import shown_by
from chalicelib.core.errors import RequestError
from chalicelib.core.instants import RFC3339
from chalicelib.core.matcher_words import is_matcher, leading_matchers

MAX_ROWS = 15
MAX_TITLE_CHARACTERS = 150
MAX_MESSAGE_CHARACTERS = 800
MAX_TEXT_CHARACTERS = 3_500
"""Of one answer; Slack advises 4,000."""

WORDS = (
    *("list", "show", "ack", "unack", "resolve", "keep", "note", "assign", "silence", "silences", "unsilence", "who"),
    "page",
)
LOOKING = ("list", "show", "silences", "who", "page")
"""Those that change nothing."""
_OF_ONE = ("show", "ack", "unack", "resolve", "keep", "note", "assign", "silence", "unsilence", "who")
_OF_SEVERAL = ("ack", "unack", "resolve", "keep")
_ID = re.compile(r"[`#]*(?=[0-9a-f]*\d)[0-9a-f]{4,16}[`…,]*", re.IGNORECASE)
"""What can only be an id among the words of a note: hexadecimal with a digit in it."""
_MENTION = re.compile(r"<@([A-Z0-9]{2,32})(?:\|[^>]*)?>")
HELP = """*{command}* — what fires, and what you can do about it
• `{command} list` — open incidents; `{command} list service=checkout` only some
• `{command} show 3f2a` — one incident by its id, or the first characters of it
• `{command} ack 3f2a` — you take it: reminders and escalation stop; `unack` gives it back
• `{command} resolve 3f2a` — resolve it by hand; `keep` leaves it open once nothing fires
• `{command} note 3f2a the disk was full`, `{command} assign 3f2a @ana` — what you found, and who works on it
• `{command} silence 3f2a 2h deploying` — mute its alerts; `{command} silence service=checkout until tomorrow` mutes by labels
• `{command} silences`, `{command} unsilence 9c1d` — what is muted, and ending it
• `{command} page` — a link that signs you in at the page, once
• `{command} who 3f2a` — who is notified of it, and who answered; `{command} who service=checkout` — who would
Times: `30m`, `1d 12h`, `18:30`, `6pm`, `tomorrow`, `tomorrow 14:00`, `friday 18:30`, `2026-11-27 09:00`; in your time zone."""

_ICONS = {"critical": "🔴", "warning": "🟠", "info": "🔵"}


@dataclass(frozen=True, slots=True)
class Command:
    """`about` is an incident's id or the matchers `label=value`; `until` a time for `silence`; `said` the rest."""

    word: str
    about: tuple[str, ...] = ()
    until: str = ""
    said: str = ""


def is_known(text: str) -> bool:
    """Return whether the words are a command other than help."""
    first = text.split(maxsplit=1)[0].lower() if text.strip() else ""
    return first in WORDS


def parsed(text: str) -> Command:
    """Return what the words ask for; RequestError says what is missing."""
    word, *behind = text.split(maxsplit=1)
    word = word.lower()
    matchers, words = leading_matchers(behind[0] if behind else "")
    about, rest = [each.written() for each in matchers], words.split()
    if not about and rest and word not in ("list", "silences", "page"):
        about.append(rest.pop(0))
        if word == "silence" and rest and is_matcher(rest[0]):
            raise RequestError("an incident and matchers are both given. Expected is one of them")
    if word in _OF_ONE and not about:
        raise RequestError(f"{word} of what? Expected is an id, as in `{word} 3f2a`")
    while word in _OF_SEVERAL and rest and _ID.fullmatch(rest[0]):
        about.append(rest.pop(0))
    if word in ("note", "assign") and not rest:
        example = "note 3f2a the disk was full" if word == "note" else "assign 3f2a @ana"
        raise RequestError(f"{word} what? Expected is an id, then {_WANTED[word]}, as in `{example}`")
    if word != "silence":
        return Command(word, tuple(about), said=" ".join(rest))
    if not rest or (len(rest) == 1 and rest[0].lower() in LEADS):
        raise RequestError("silence until when? Expected is a time, as in `silence 3f2a 2h deploying`")
    until, reason = time_and_reason(rest)
    return Command(word, tuple(about), until=until, said=reason)


_WANTED = {"note": "a text", "assign": "a name"}


def mentioned(text: str) -> str:
    """Return Slack's id of the person whom a text mentions (`<@U123|ana>`), and nothing else; empty without one."""
    found = _MENTION.fullmatch(text.strip())
    return found[1] if found else ""


# ---------------------------------------------------------------------------------------------------------------------
# Answers


def escaped(text: str) -> str:
    """Return the text with Slack's three control characters dead: mentions, links and special commands stay text."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def listed(rows: Sequence[Mapping[str, Any]], total: int | None = None) -> str:
    """Return the first open incidents of so many, one a line."""
    if not rows:
        return "✅ Nothing fires."
    total = len(rows) if total is None else total
    lines = [f"*{total:,} open incident{'' if total == 1 else 's'}*"]
    lines += [_row(row) for row in rows[:MAX_ROWS]]
    return _joined(lines, total - MAX_ROWS)


def _row(row: Mapping[str, Any]) -> str:
    had = "was " if row["status"] == "resolved" else ""
    marks = [f"{had}acknowledged by {said(row['acked_by'])}"] if row["acked_by"] else []
    muted = row["counts"]["muted"]
    if muted:
        marks.append("muted" if muted >= row["counts"]["firing"] else f"{muted} muted")
    tail = f" · {', '.join(marks)}" if marks else ""
    return f"{_icon(row)} `{row['id']}` {said(row['title'])} · since {at(row['started_at'])}{tail}"


def shown(found: Mapping[str, Any]) -> str:
    """Show one incident: what fires, who was notified, who answered, what happened last."""
    lines = [f"{_icon(found)} *{said(found['title'])}*", f"`{found['id']}` · {_state(found)}"]
    lines += [_alert(alert) for alert in found["alerts"][:MAX_ROWS]]
    more = len(found["alerts"]) - MAX_ROWS
    lines += [f"… and {more:,} more"] if more > 0 else []
    targets = ", ".join(said(each["target"]) for each in found["told"])
    lines += [f"*Notified* {targets}"] if targets else []
    lines += ["*Lately*"] if found["timeline"] else []
    lines += [_entry(each) for each in found["timeline"][-8:]]
    return _joined(lines)


def _state(found: Mapping[str, Any]) -> str:
    """Return how it is with an incident, who has it or had it, and why nobody is notified now."""
    given = f", assigned to {said(found['assigned_to'])}" if found["assigned_to"] else ""
    message = dated(said(found["who"]["message"], MAX_MESSAGE_CHARACTERS))
    if found["status"] == "resolved":
        ended = at(found["ended_at"]) if found["ended_at"] else "just now"
        had = f" · {said(found['acked_by'])} had acknowledged it" if found["acked_by"] else ""
        resolved = f"resolved {ended}, began {at(found['started_at'])}{had}{given}"
        return resolved if found["ended"] else f"{resolved}\n{_capital(message)}"
    acked = f"acknowledged by {said(found['acked_by'])}" if found["acked_by"] else "nobody has acknowledged it"
    firing = f"firing since {at(found['started_at'])} · {acked}{given}"
    return f"{firing}\n{_capital(message)}" if message else firing


def _alert(alert: Mapping[str, Any]) -> str:
    reading = " ".join(
        filter(None, (alert["value"], f"(threshold {alert['threshold']})" if alert["threshold"] else ""))
    )
    muted = "muted" if alert["state"] == "suppressed" else alert["state"]
    count = f"{alert['events']:,} event{'' if alert['events'] == 1 else 's'}" if alert["events"] else ""
    parts = [said(alert["title"]), said(reading), muted, count]
    return "• " + " · ".join(part for part in parts if part)


def _entry(entry: Mapping[str, Any]) -> str:
    who = shown_by(entry)
    by = f" — {said(who)}" if who else ""
    return f"{at(entry['at'])} {said(entry['text'])}{by}"


def silences_listed(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the silences and maintenance, one a line."""
    if not rows:
        return "🔔 Nothing is silenced."
    return _joined(["*Silenced*", *(_silence(row) for row in rows[:MAX_ROWS])], len(rows) - MAX_ROWS)


def _silence(row: Mapping[str, Any]) -> str:
    comment = f" · {said(row['comment'])}" if row["comment"] else ""
    word = "maintenance, " if row["maintenance"] else ""
    mutes = ""
    if row["state"] == "active":
        mutes = f" · mutes {len(row['mutes']):,} now" if row["mutes"] else f" · {MUTES_NOTHING}"
    elif row["state"] == "pending":
        mutes = f" · begins {at(row['starts_at'])}"
    matchers = ", ".join(row["matchers"])
    return f"🔇 `{row['id']}` {word}`{_code(matchers)}` until {at(row['ends_at'])} · {said(row['by'])}{comment}{mutes}"


def audience(found: Mapping[str, Any], audience: Mapping[str, Any], on_call: Sequence[str] = ()) -> str:
    """Return who is notified of an incident and who acknowledged it, or why nobody is notified now."""
    lines = [f"{_icon(found)} *{said(found['title'])}* · `{found['id']}`", _answered(found)]
    lines += [f"🔕 {_capital(dated(said(audience['message'], MAX_MESSAGE_CHARACTERS)))}"] if audience["message"] else []
    lines += _hears(audience) if found["status"] == "firing" else []
    lines += [f"*On call* {', '.join(map(said, on_call))}"] if on_call else []
    return _joined(lines)


def _answered(found: Mapping[str, Any]) -> str:
    has = "had" if found["status"] == "resolved" else "has"
    return (
        f"👀 {said(found['acked_by'])} {has} acknowledged it" if found["acked_by"] else f"Nobody {has} acknowledged it"
    )


def audiences(
    rows: Sequence[Mapping[str, Any]], on_call: Sequence[str] = (), service: Mapping[str, Any] | None = None
) -> str:
    """Return who is notified of what has some labels, and whose its service is."""
    lines = [_service(service)] if service else []
    lines += [f"*On call* {', '.join(map(said, on_call))}"] if on_call else []
    for row in rows[:MAX_ROWS]:
        lines.append(f"*{said(row['rule'] or 'anything without a rule')}* ({row['severity']})")
        lines += _hears(row)
    return _joined(lines or ["No rule is about that, and no route."], len(rows) - MAX_ROWS)


def _service(found: Mapping[str, Any]) -> str:
    """Return whose a service is, and what it needs."""
    parts = [f"*{said(found['name'])}*"]
    parts += [f"owner {said(found['owner'])}"] if found["owner"] else []
    parts += [f"tier {found['tier']}"] if found["tier"] is not None else []
    for word, names in (
        ("depends on", [each["name"] for each in found["depends_on"]]),
        ("needed by", found["needed_by"]),
    ):
        parts += [f"{word} {', '.join(map(said, names[:MAX_ROWS]))}"] if names else []
    return " · ".join(parts)


def _hears(audience: Mapping[str, Any]) -> list[str]:
    """Return the targets, and what is sent again; nothing is promised that a mute or an acknowledgement holds back."""
    targets = ", ".join(map(said, audience["targets"])) or "nobody"
    if not audience.get("notified", True):
        return [f"• afterwards: {targets}"]
    if not audience.get("reminds", True):
        return [f"• {targets}"]
    lines = [f"• {targets}; again every {audience['repeats_every']}"]
    for step in audience["escalate"]:
        lines.append(f"• after {step['after']} without an answer: {', '.join(map(said, step['targets']))}")
    if audience["quiet_now"]:
        until = f", until {at(audience['quiet_until'])}" if audience["quiet_until"] else ""
        lines.append(f"• quiet now: {', '.join(map(said, audience['quiet_now']))}{until}")
    return lines


def _icon(row: Mapping[str, Any]) -> str:
    if row["status"] == "resolved":
        return "✅"
    return "👀" if row["acked_by"] else _ICONS.get(row["severity"], "🟠")


def said(text: Any, most: int = MAX_TITLE_CHARACTERS) -> str:
    """Return outside text on one line, cut, dead."""
    plain = " ".join(str(text).split())
    return escaped(plain if len(plain) <= most else plain[: most - 1] + "…")


def dated(text: str) -> str:
    """Return the text with each RFC 3339 instant in each reader's own zone."""
    return RFC3339.sub(lambda found: at(found[0]), text)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _code(text: str) -> str:
    """Return text inside backticks: none of its own."""
    return said(text.replace("`", "'"))


def at(stamp: str | None) -> str:
    """Return a time in each reader's own zone: https://docs.slack.dev/messaging/formatting-message-text#date-formatting."""
    if not stamp:
        return "an unknown time"
    at = datetime.fromisoformat(stamp.replace("Z", "+00:00"))
    return f"<!date^{int(at.timestamp())}^{{date_short_pretty}} {{time}}|{at:%Y-%m-%d %H:%M} UTC>"


def _joined(lines: Sequence[str], more: int = 0) -> str:
    """Return the lines that fit, and how many did not."""
    kept: list[str] = []
    length = 0
    for line in lines:
        length += len(line) + 1
        if length > MAX_TEXT_CHARACTERS:
            break
        kept.append(line)
    more = max(more, 0) + len(lines) - len(kept)
    return "\n".join([*kept, f"… and {more:,} more"] if more else kept)
