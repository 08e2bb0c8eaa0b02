"""What a message of Discord or Teams shows, as lines of Markdown. No target of its own.

Each vendor escapes by its own rules: `Markdown` says how a text is written, made strong, and linked.
"""

import re
from dataclasses import dataclass

from chalicelib.core.delivery.notification import Notification, Reason
from chalicelib.core.delivery.text import (
    DisplayState,
    acknowledged,
    alert_line,
    cause,
    change,
    deploy_line,
    facts,
    news,
    notes,
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

MAX_LISTED_ALERTS = 10
MAX_LISTED_EVIDENCE = 5
STATE_EMOJI = {
    DisplayState.ACKNOWLEDGED: "👀",
    DisplayState.SILENCED: "🔇",
    DisplayState.CLOSING: "⏳",
    DisplayState.RESOLVED: "✅",
    DisplayState.TEST: "🧪",
}
LIST_START = re.compile(r"^(\s*(?:\d{1,9}(?=[.)]\s)|(?=[-+]\s)))", re.MULTILINE)
"""Where a line of text from outside would begin a list: a backslash goes behind it."""
SEVERITY_EMOJI = {Severity.CRITICAL: "🔴", Severity.WARNING: "🟠", Severity.INFO: "🔵"}
IN_STATE_LINE = ("Severity", "Acknowledged", "Silenced", "Since", "Ended", "Result", "Expected")
"""Facts that the first lines of a message have already."""


_ZERO_WIDTH = "\u200b"


@dataclass(frozen=True, slots=True)
class Markdown:
    """How a vendor's Markdown is written.

    `special` are the characters that a backslash makes plain. Behind each match of `breakable` goes a character of no width;
    `broken` are the characters with which a match may begin. An address is linked unless it has one of `unlinkable`;
    `link` is the form of one.
    """

    special: re.Pattern[str]
    link: str
    unlinkable: str
    breakable: re.Pattern[str] | None = None
    broken: str = ""

    def escaped(self, text: str) -> str:
        """Return a text whose characters the vendor shows as they are: no Markdown, no mention, no expression."""
        text = self.breakable.sub(rf"\g<0>{_ZERO_WIDTH}", text) if self.breakable else text
        return LIST_START.sub(r"\1\\", self.special.sub(r"\\\g<0>", text))

    def cut(self, text: str, limit: int) -> str:
        """Return a text escaped, and no longer than a limit then."""
        return self.escaped(cut(text, limit - 1, self._units))

    def bold(self, text: str) -> str:
        """Return an escaped text made strong."""
        return f"**{text}**"

    def linked(self, text: str, address: str) -> str:
        """Return a text that leads to an address, or without it where the vendor could not read the address."""
        shown = self.cut(text, 200)
        return shown if set(self.unlinkable) & set(address) else self.link.format(text=shown, address=address)

    def _units(self, text: str) -> int:
        """Return the most that a text may come to once it is escaped."""
        plain = utf16_units(self.special.sub(r"\\\g<0>", text))
        return plain + text.count("\n") + sum(text.count(each) for each in self.broken)


def emoji(notification: Notification) -> str:
    """Return the sign of the state, or of the severity while it fires."""
    return STATE_EMOJI.get(state(notification)) or SEVERITY_EMOJI[notification.severity]


def heading(notification: Notification) -> str:
    """Return the title with its sign, not escaped."""
    test = "Test: " if notification.reason is Reason.TEST else ""
    return f"{emoji(notification)} {test}{title(notification)}"


def state_line(notification: Notification, markdown: Markdown) -> str:
    """Return what it is in, since when, and who has it: `**Critical** since 24 Nov 2026, 09:02 UTC`."""
    severity, zone = notification.severity.value, notification.background.timezone
    began = local_time(notification.incident.started_at, zone)
    bold = markdown.bold
    match state(notification):
        case DisplayState.TEST:
            return f"{bold('Test')}: nothing is wrong"
        case DisplayState.RESOLVED:
            return f"{bold('Resolved')} {_lasted(notification)} · was {severity}"
        case DisplayState.CLOSING:
            return _closing(notification, markdown)
        case DisplayState.ACKNOWLEDGED:
            return f"{bold('Acknowledged')} {markdown.cut(acknowledged(notification), 300)} · {severity} since {began}"
        case DisplayState.SILENCED:
            return f"{bold('Silenced')} {markdown.cut(silenced_by(notification), 300)} · {severity} since {began}"
        case _:
            return f"{bold(severity.capitalize())} since {began}"


def _lasted(notification: Notification) -> str:
    began, zone = notification.incident.started_at, notification.background.timezone
    ended = notification.incident.ended_at or notification.at
    return f"after {duration_words(ended - began)}, {local_time(began, zone)} to {local_time(ended, zone)}"


def _closing(notification: Notification, markdown: Markdown) -> str:
    closing, zone = notification.closing, notification.background.timezone
    if closing is None:
        return ""
    since = markdown.bold(f"Resolved since {local_time(closing.since, zone)}")
    lasted = duration_words(closing.since - notification.incident.started_at)
    if closing.kept_by:
        return (
            f"{since}, lasted {lasted} · kept open by {markdown.cut(closing.kept_by, 100)} until somebody resolves it"
        )
    return f"{since}, lasted {lasted} · closing at {local_time(closing.at, zone)} unless it fires again"


def lead_lines(notification: Notification, markdown: Markdown) -> list[str]:
    """Return the state, what is new, the cause, and what the alerts say."""
    lines = [state_line(notification, markdown)]
    if notification.reason not in (Reason.OPENED, Reason.SYNC, Reason.TEST, Reason.RESOLVED):
        lines.append(markdown.cut(change(notification), 300))
    lines += [markdown.bold(markdown.cut(line, 200)) for line in cause(notification)[:1]]
    lines += [markdown.cut(line, 200) for line in cause(notification)[1:]]
    said = dict.fromkeys(summary(alert) for alert in notification.alerts[:3])
    return [*lines, *(markdown.cut(clean(text), 500) for text in said if text)]


def alert_lines(notification: Notification, markdown: Markdown) -> list[str]:
    """Return a line for each alert; none where there is one."""
    if len(notification.alerts) + notification.also < 2:
        return []
    listed = notification.alerts[:MAX_LISTED_ALERTS]
    lines = [
        f"{'✅' if alert.status == 'resolved' else SEVERITY_EMOJI[alert.severity]} {markdown.cut(alert_line(alert), 150)}"
        for alert in listed
    ]
    more = len(notification.alerts) - len(listed) + notification.also
    return [*lines, f"… and {more:,} more"] if more > 0 else lines


def top_lines(notification: Notification, markdown: Markdown) -> list[str]:
    """Return the most frequent errors, each with a link to its page."""
    found = top_error_lines(
        notification, written=lambda text: markdown.cut(text, 200), linked=lambda text, url: markdown.linked(text, url)
    )
    return [f"{markdown.bold('Top errors')}: {found[0]}", *(f"• {line}" for line in found[1:])] if found else []


def step_lines(notification: Notification, markdown: Markdown) -> list[str]:
    """Return the first steps of the runbook while there is something to do."""
    steps = runbook_steps(notification)
    if not steps or state(notification) in (DisplayState.RESOLVED, DisplayState.CLOSING):
        return []
    return [
        markdown.bold("First steps"),
        *(f"{number}. {markdown.cut(step, 300)}" for number, step in enumerate(steps, 1)),
    ]


def beside_lines(notification: Notification, markdown: Markdown) -> list[str]:
    """Return the last deploy, the notes, and what is muted beside it."""
    deploys = [deploy_line(each, notification) for each in notification.background.deploys[:1]]
    lines = [f"🚀 {markdown.bold('Last deploy')}: {markdown.cut(line, 300)}" for line in deploys]
    lines += [f"📝 {markdown.cut(note, 300)}" for note in notes(notification)[:5]]
    lines += [f"🔇 {markdown.cut(alert_line(alert), 200)}" for alert in notification.evidence[:MAX_LISTED_EVIDENCE]]
    more = len(notification.evidence) - MAX_LISTED_EVIDENCE
    return [*lines, f"… and {more:,} more beside it"] if more > 0 else lines


def fact_pairs(notification: Notification, limit: int) -> list[tuple[str, str]]:
    """Return the facts that the first lines have not, not escaped."""
    return [(label, value) for label, value in facts(notification) if label not in IN_STATE_LINE][:limit]


def why_line(notification: Notification) -> str:
    """Return why this target is notified, and the incident's id, not escaped."""
    incident = f"incident {cut(one_line(notification.incident.id), 80)}"
    return f"Why you: {why(notification)} · {incident}" if why(notification) else incident


def news_line(notification: Notification) -> str:
    """Return what is new in one text, not escaped: of a message that follows on another."""
    return " ".join([change(notification), *news(notification)[:3]])


def fallback(notification: Notification) -> str:
    """Return the state and the title in words, not escaped."""
    return f"{state_words(notification).upper()} {notification.severity.value}: {title(notification)}"
