"""Slack's mrkdwn as HTML, the way Slack draws it: https://docs.slack.dev/messaging/formatting-message-text.

Everything that is not Slack's own syntax is escaped. Links go to http, https, mailto and tel only. `&amp;`, `&lt;` and
`&gt;` stand for their characters. Mentions that would call people (`<!channel>`) are drawn as such, so that one which
came from outside is seen.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from html import escape

EMOJI: Mapping[str, str] = {
    "+1": "👍",
    "-1": "👎",
    "alarm_clock": "⏰",
    "arrow_down": "⬇️",
    "arrow_right": "➡️",
    "arrow_up": "⬆️",
    "arrows_counterclockwise": "🔄",
    "bell": "🔔",
    "book": "📖",
    "bug": "🐛",
    "bulb": "💡",
    "chart_with_downwards_trend": "📉",
    "chart_with_upwards_trend": "📈",
    "clock1": "🕐",
    "eyes": "👀",
    "exclamation": "❗",
    "fire": "🔥",
    "globe_with_meridians": "🌐",
    "hammer_and_wrench": "🛠️",
    "heavy_check_mark": "✔️",
    "hourglass": "⌛",
    "hourglass_flowing_sand": "⏳",
    "information_source": "ℹ️",
    "large_blue_circle": "🔵",
    "large_green_circle": "🟢",
    "large_orange_circle": "🟠",
    "large_yellow_circle": "🟡",
    "link": "🔗",
    "mag": "🔍",
    "memo": "📝",
    "mute": "🔇",
    "no_bell": "🔕",
    "ok_hand": "👌",
    "pager": "📟",
    "point_right": "👉",
    "question": "❓",
    "red_circle": "🔴",
    "repeat": "🔁",
    "rocket": "🚀",
    "rotating_light": "🚨",
    "shield": "🛡️",
    "siren": "🚨",
    "smile": "😄",
    "sos": "🆘",
    "stopwatch": "⏱️",
    "tada": "🎉",
    "test_tube": "🧪",
    "thumbsup": "👍",
    "warning": "⚠️",
    "wave": "👋",
    "white_check_mark": "✅",
    "white_circle": "⚪",
    "wrench": "🔧",
    "x": "❌",
    "zap": "⚡",
    "zzz": "💤",
}
LINKS = ("http://", "https://", "mailto:", "tel:")
_OPEN, _CLOSE = "\ue000", "\ue001"
_DATE_FORMATS = {
    "date_num": "%Y-%m-%d",
    "date": "%B %-d, %Y",
    "date_short": "%b %-d, %Y",
    "date_long": "%A, %B %-d, %Y",
    "date_pretty": "%B %-d, %Y",
    "date_short_pretty": "%b %-d, %Y",
    "date_long_pretty": "%A, %B %-d, %Y",
    "time": "%H:%M",
    "time_secs": "%H:%M:%S",
}


class _Kept:
    """Pieces of finished HTML, put aside while the text around them is marked up."""

    def __init__(self) -> None:
        self._pieces: list[str] = []

    def keep(self, html: str) -> str:
        self._pieces.append(html)
        return f"{_OPEN}{len(self._pieces) - 1}{_CLOSE}"

    def back(self, text: str) -> str:
        """Put the pieces back into the text, and the pieces of pieces."""
        while _OPEN in text:
            text = re.sub(f"{_OPEN}(\\d+){_CLOSE}", lambda found: self._pieces[int(found[1])], text)
        return text


def mrkdwn(text: str, *, names: Mapping[str, str] | None = None, verbatim: bool = False) -> str:
    """Return a mrkdwn text as HTML. `names` maps ids of people and channels to what they are called."""
    kept = _Kept()
    text = text.replace(_OPEN, "").replace(_CLOSE, "")
    text = re.sub(r"```\n?(.+?)```", lambda found: kept.keep(f"<pre>{_literal(found[1])}</pre>"), text, flags=re.DOTALL)
    text = re.sub(r"`([^`\n]+)`", lambda found: kept.keep(f"<code>{_literal(found[1])}</code>"), text)
    text = re.sub(r"<([^<>\n]+)>", lambda found: kept.keep(_token(found[1], names or {})), text)
    if not verbatim:
        text = re.sub(r"\bhttps?://[^\s<>|]+", lambda found: _bare_link(found[0], kept), text)
    return kept.back(_lines(_marked(_literal(text))))


def plain(text: str, *, emoji: bool = True) -> str:
    """Return a plain_text as HTML: nothing but emoji means anything."""
    shown = _literal(text)
    return (_with_emoji(shown) if emoji else shown).replace("\n", "<br>")


def date_text(at: datetime, form: str) -> str:
    """Fill in a form like `{date_num} {time_secs}`. Unknown names stay."""
    return re.sub(
        r"\{(\w+)\}",
        lambda found: at.strftime(_DATE_FORMATS[found[1]]) if found[1] in _DATE_FORMATS else found[0],
        form,
    )


def is_link(address: str) -> bool:
    """Return whether an address may be followed from the page."""
    return address.lower().startswith(LINKS)


def link(address: str, label: str, *, css: str = "") -> str:
    """Return an anchor around finished HTML, without a referrer. Only the HTML when the address may not be followed."""
    if not is_link(address):
        return label
    named = f' class="{css}"' if css else ""
    return f'<a{named} href="{escape(address, quote=True)}" target="_blank" rel="noopener noreferrer">{label}</a>'


def _literal(text: str) -> str:
    """Turn Slack's three entities back to characters, then escape everything for HTML."""
    text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    return escape(text, quote=True)


def _token(inside: str, names: Mapping[str, str]) -> str:
    """Draw what stands between < and >."""
    target, _, label = inside.partition("|")
    if target.startswith("!date^"):
        return _date(target, label)
    if target.startswith("!subteam^"):
        return f'<span class="mention shout">{_literal(label or "@" + target[9:])}</span>'
    if target in ("!channel", "!here", "!everyone"):
        return f'<span class="mention shout">@{target[1:]}</span>'
    if re.fullmatch(r"@[UWB][A-Z0-9]+", target):
        return f'<span class="mention">@{_literal(label or names.get(target[1:], target[1:]))}</span>'
    if re.fullmatch(r"#[CGD][A-Z0-9]+", target):
        return f'<span class="mention">#{_literal(label or names.get(target[1:], target[1:]))}</span>'
    address = target.replace("&amp;", "&")
    if is_link(address):
        return link(address, _with_emoji(_literal(label or target)))
    return f"&lt;{_literal(inside)}&gt;"


def _date(target: str, fallback: str) -> str:
    """Draw `!date^unix^form^link` in UTC. The page's script shows it in the reader's zone."""
    parts = target.split("^")
    if len(parts) < 3 or not re.fullmatch(r"-?\d{1,11}", parts[1]):
        return _literal(fallback or target)
    try:
        at = datetime.fromtimestamp(int(parts[1]), UTC)
    except (OverflowError, ValueError, OSError):
        return _literal(fallback)
    shown = (
        f'<time datetime="{at.isoformat()}" data-unix="{parts[1]}" data-form="{_literal(parts[2])}"'
        f' title="{_literal(fallback)}">{_literal(date_text(at, parts[2]))}</time>'
    )
    return link(parts[3], shown) if len(parts) > 3 else shown


def _bare_link(address: str, kept: _Kept) -> str:
    """Return the link that Slack makes of an address in the text."""
    ended = re.sub(r"(?:[.,;:!?'\")*_~]|&gt;|&lt;|&amp;)+$", "", address)
    if _OPEN in ended:
        return address
    return kept.keep(link(ended.replace("&amp;", "&"), _literal(ended))) + address[len(ended) :]


def _marked(text: str) -> str:
    """Mark bold, italics and strike-through where they begin and end at words. Put in emoji."""
    for mark, tag in (("*", "b"), ("_", "i"), ("~", "s")):
        sign = re.escape(mark)
        text = re.sub(
            rf"(?<![\w{sign}])({sign})(?=\S)([^{sign}\n]*[^{sign}\s])\1(?![\w{sign}])", rf"<{tag}>\2</{tag}>", text
        )
    return _with_emoji(text)


def _with_emoji(text: str) -> str:
    return re.sub(r":([a-z0-9_+-]+):", lambda found: EMOJI.get(found[1], found[0]), text)


def _lines(text: str) -> str:
    """Break lines, and quote those that begin with >."""
    parts: list[str] = []
    quoted: list[str] = []
    for line in text.split("\n"):
        if line.startswith("&gt;"):
            quoted.append(line.removeprefix("&gt;").removeprefix(" "))
            continue
        if quoted:
            parts.append(f"<blockquote>{'<br>'.join(quoted)}</blockquote>")
            quoted = []
        parts.append(f"{line}<br>")
    if quoted:
        parts.append(f"<blockquote>{'<br>'.join(quoted)}</blockquote>")
    return "".join(parts).removesuffix("<br>")
