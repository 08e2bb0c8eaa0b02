"""The page: what was received, as a person would see it in Slack, PagerDuty, the mailbox and a webhook's receiver.

Drawn here as HTML, so that it reads without its script too; the script fetches it again when something is new.
"""

import json
import re
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from local.inbox.drawing.mrkdwn import link
from local.inbox.drawing.slack import attribute, clock_time, draw_message, draw_view
from local.inbox.exchange import Json, Received
from local.inbox.memory import Memory
from local.inbox.vendors.pagerduty import PEOPLE as RESPONDERS
from local.inbox.vendors.slack.workspace import PEOPLE

SHOWN_MESSAGES = 200
SHOWN_INCIDENTS = 100
SHOWN_MAILS = 100
SHOWN_REQUESTS = 200
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; frame-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
MAIL_POLICY = "sandbox allow-same-origin allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
"""A mail may look as it wants, and load, run and send nothing."""


def whole(
    memory: Memory, view: str, *, views: list[Json], now: float, connected: bool, can_sign_in: bool = False
) -> str:
    """Draw the page."""
    people = "".join(f'<option value="{attribute(each)}">{escape(name)}</option>' for each, name in PEOPLE.items())
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Inbox</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="color-scheme" content="light dark">'
        '<link rel="icon" href="/static/icon.svg"><link rel="stylesheet" href="/static/inbox.css">'
        '<script src="/static/inbox.js" defer></script></head>'
        f'<body data-view="{attribute(view)}"><nav><div class="team"><a href="/"><img class="avatar small" src="/static/icon.svg" alt=""> Inbox</a>'
        '<button type="button" id="theme" title="Light or dark" aria-label="Light or dark">◐</button></div>'
        f'<div id="side">{sidebar(memory, view)}</div>'
        + ('<a class="open-page" href="/sign-in">🔔 Open Tocsin\u2019s page, signed in</a>' if can_sign_in else "")
        + f'<label class="you">You are <select id="person">{people}</select></label></nav>'
        f'<main id="main">{main(memory, view, now=now, connected=connected)}</main>'
        f'<div id="modals">{modals(memory, views)}</div><div id="toast" role="status" aria-live="polite"></div>'
        '<dialog id="ask"><h2></h2><p></p><div><button class="button" value="no"></button>'
        '<button class="button primary" value="yes"></button></div></dialog></body></html>'
    )


def sidebar(memory: Memory, view: str) -> str:
    """Draw the list of all entries, with counts."""
    counts: dict[str, int] = {}
    for message in memory.messages:
        counts[message["channel"]] = counts.get(message["channel"], 0) + 1
    channels = [each for each in memory.channels.values() if not each["id"].startswith("D")]
    open_incidents = sum(each["status"] != "resolved" for each in memory.incidents)
    parts = ["<h2>Slack</h2>"]
    for channel in sorted(channels, key=lambda each: each["name"]):
        sign = "🔒" if channel["is_private"] else "#"
        parts.append(_entry(f"slack/{channel['id']}", sign, channel["name"], counts.get(channel["id"], 0), view))
    parts += [
        "<h2>PagerDuty</h2>",
        _entry("pagerduty", "📟", "Incidents", open_incidents, view, alarming=True),
        _entry("changes", "🚀", "Changes", len(memory.changes), view),
        "<h2>Mail</h2>",
        _entry("mail", "✉️", "Mailbox", len(memory.mails), view),
        "<h2>Discord, Teams</h2>",
        _entry("discord", "🎮", "Discord", len(memory.discord), view),
        _entry("teams", "👥", "Teams", len(memory.teams), view),
        "<h2>Webhooks</h2>",
        _entry("webhooks", "🪝", "Received", len(memory.hooks), view),
        "<h2>Log</h2>",
        _entry("requests", "⇄", "Requests", len(memory.requests), view),
    ]
    return "".join(parts)


def main(memory: Memory, view: str, *, now: float, connected: bool) -> str:
    """Draw what the chosen entry holds."""
    kind, _, which = view.partition("/")
    if kind == "slack" and which in memory.channels:
        return _channel(memory, memory.channels[which], now, connected)
    drawn = {
        "pagerduty": lambda: _pagerduty(memory),
        "changes": lambda: _changes(memory),
        "mail": lambda: _mailbox(memory),
        "discord": lambda: _discord(memory),
        "teams": lambda: _teams(memory),
        "webhooks": lambda: _webhooks(memory),
        "requests": lambda: _requests(memory),
    }
    return drawn[kind]() if kind in drawn else _head("Nothing here", "") + _empty("There is no such channel")


def modals(memory: Memory, views: list[Json]) -> str:
    """Draw the modal on top, if one is open."""
    return draw_view(views[-1], names(memory)) if views else ""


def first_view(memory: Memory) -> str:
    """Return the entry that the page opens with: the channel with the newest message, else #incidents."""
    if memory.messages:
        return f"slack/{memory.messages[-1]['channel']}"
    return f"slack/{next(iter(memory.channels))}"


def names(memory: Memory) -> dict[str, str]:
    """Return the names of people and channels by id."""
    return {**PEOPLE, **{each["id"]: each["name"] for each in memory.channels.values()}}


def _entry(view: str, sign: str, name: str, count: int, current: str, *, alarming: bool = False) -> str:
    here = ' aria-current="page"' if view == current else ""
    css = "count alarming" if alarming else "count"
    number = f'<span class="{css}">{count}</span>' if count else ""
    return (
        f'<a class="entry" href="/?view={attribute(view)}"{here}><span class="sign">{sign}</span>'
        f'<span class="name">{escape(name)}</span>{number}</a>'
    )


def _head(title: str, note: str) -> str:
    return f'<header class="head"><h1>{title}</h1><span class="note">{note}</span></header>'


def _empty(text: str) -> str:
    return f'<div class="empty">{escape(text)}</div>'


# Slack ---------------------------------------------------------------------------------------------------------


def _channel(memory: Memory, channel: Json, now: float, connected: bool) -> str:
    found = [each for each in memory.messages if each["channel"] == channel["id"]]
    replies: dict[str, list[Json]] = {}
    for message in found:
        if message.get("thread_ts"):
            replies.setdefault(message["thread_ts"], []).append(message)
    shown = [each for each in found if not each.get("thread_ts") or each.get("reply_broadcast")][-SHOWN_MESSAGES:]
    known = names(memory)
    drawn = [
        draw_message(each, known, replies=[] if each.get("thread_ts") else replies.get(each["ts"], []), now=now)
        for each in shown
    ]
    sign = "🔒" if channel["is_private"] else "#"
    body = "".join(_with_days(shown, drawn)) or _empty(f"Nothing was said in #{channel['name']} yet")
    count = f"{len(shown)} message{'' if len(shown) == 1 else 's'}"
    head = _head(f"{sign} {escape(channel['name'])}", count)
    tip = "/tocsin list" if connected else "Not connected to Tocsin: buttons and commands go nowhere"
    return (
        f'{head}<section class="messages">{body}</section>'
        f'<form class="composer" data-channel="{attribute(channel["id"])}"><input name="text" autocomplete="off" '
        f'aria-label="Command" placeholder="{attribute(tip)}"><button class="button primary" type="submit">Send</button></form>'
    )


def _with_days(messages: list[Json], drawn: list[str]) -> Iterable[str]:
    """Yield the messages, with the date before the first of each day (UTC)."""
    day = None
    for message, html in zip(messages, drawn, strict=True):
        at = float(message["ts"])
        if int(at // 86_400) != day:
            day = int(at // 86_400)
            yield f'<div class="day"><span>{clock_time(at, "{date_long}")}</span></div>'
        yield html


# PagerDuty -----------------------------------------------------------------------------------------------------


def _pagerduty(memory: Memory) -> str:
    found = list(reversed(memory.incidents))[:SHOWN_INCIDENTS]
    counts = {status: sum(each["status"] == status for each in found) for status in ("triggered", "acknowledged")}
    note = f"{counts['triggered']} triggered · {counts['acknowledged']} acknowledged"
    rank = {"triggered": 0, "acknowledged": 1, "resolved": 2}
    cards = "".join(_incident(each) for each in sorted(found, key=lambda each: rank[each["status"]]))
    return f'{_head("📟 Incidents", note)}<section class="cards">{cards or _empty("Nobody was paged")}</section>'


def _incident(incident: Json) -> str:
    status = incident["status"]
    assigned = RESPONDERS.get(incident.get("assignee", ""), "nobody")
    times = f" · triggered {incident['triggers']}×" if incident["triggers"] > 1 else ""
    client = link(incident["client_url"], escape(incident["client"] or "source")) if incident["client"] else ""
    facts = (
        f"#{incident['number']} · {escape(incident['severity'])} · {incident['urgency']} urgency{times} · "
        f"assigned to {escape(assigned)} · key {escape(incident['routing'])}{' · via' if client else ''}"
    )
    links = "".join(
        f"<li>{link(str(each.get('href')), escape(str(each.get('text') or each.get('href'))))}</li>"
        for each in incident["links"]
        if isinstance(each, dict)
    )
    payload = incident["last"]
    shown = {
        name: payload[name] for name in ("source", "component", "group", "class", "timestamp") if payload.get(name)
    }
    details = payload.get("custom_details") if isinstance(payload.get("custom_details"), dict) else {}
    keep = attribute(f"pd{incident['id']}")
    log = "".join(
        f"<li>{clock_time(each['at'], '{time_secs}')} <b>{escape(each['what'])}</b> {escape(each['text'])}</li>"
        for each in reversed(incident["log"][-30:])
    )
    return (
        f'<article class="card incident {status}" data-incident="{attribute(incident["id"])}" data-status="{status}">'
        f'<div class="card-head"><span class="pill {status}">{status}</span><h3 dir="auto">{escape(incident["title"])}</h3>'
        f'{clock_time(incident["created_at"], "{date_short} {time}")}</div><div class="note">{facts} {client}</div>'
        f"{_incident_buttons(incident)}{f'<ul class=links>{links}</ul>' if links else ''}"
        f'<details data-keep="{keep}d"{"" if status == "resolved" else " open"}><summary>Details</summary>{_table({**shown, **(details or {})})}'
        f'<div class="note">dedup_key <code>{escape(incident["dedup_key"])}</code></div></details>'
        f'<details data-keep="{keep}l"><summary>Log entries ({len(incident["log"])})</summary><ul class="log">{log}</ul>'
        "</details></article>"
    )


def _incident_buttons(incident: Json) -> str:
    if incident["status"] == "resolved":
        return ""
    acts = [("unacknowledge", "Unacknowledge", "")] if incident["status"] == "acknowledged" else []
    acts = acts or [("acknowledge", "Acknowledge", "primary")]
    acts.append(("resolve", "Resolve", "resolve"))
    drawn = "".join(
        f'<button type="button" class="button {css}" data-act="{act}">{label}</button>' for act, label, css in acts
    )
    people = "".join(
        f'<option value="{attribute(each)}">{escape(name)}</option>'
        for each, name in RESPONDERS.items()
        if each != incident.get("assignee")
    )
    return (
        f'<div class="block actions">{drawn}<select class="button" data-act="reassign"><option value="">Reassign to…</option>'
        f'{people}</select><input class="inline" data-act="note" placeholder="Add a note, Enter" aria-label="Note"></div>'
    )


def _table(found: Mapping[str, Any]) -> str:
    rows = "".join(
        f'<tr><th>{escape(str(name))}</th><td dir="auto">{_value(value)}</td></tr>' for name, value in found.items()
    )
    return f'<table class="details">{rows}</table>' if rows else ""


def _value(value: Any) -> str:
    """Draw a JSON value as PagerDuty does: objects as tables, lists below each other."""
    if isinstance(value, dict):
        return _table(value)
    if isinstance(value, list):
        return "<ul>" + "".join(f"<li>{_value(each)}</li>" for each in value) + "</ul>"
    text = value if isinstance(value, str) else json.dumps(value)
    shown = escape(text).replace("\n", "<br>")
    return link(text, shown) if re.fullmatch(r"https?://\S+", text) else shown


def _changes(memory: Memory) -> str:
    drawn = []
    for change in list(reversed(memory.changes))[:SHOWN_INCIDENTS]:
        payload = change["payload"]
        links = " ".join(
            link(str(each.get("href")), escape(str(each.get("text") or "link")))
            for each in change["links"]
            if isinstance(each, dict)
        )
        drawn.append(
            f'<article class="card"><div class="card-head"><h3 dir="auto">{escape(str(payload["summary"]))}</h3>'
            f"{clock_time(change['at'], '{date_short} {time}')}</div>"
            f'<div class="note">{escape(str(payload.get("source") or ""))} {links}</div>'
            f"{_table(payload.get('custom_details') or {})}</article>"
        )
    body = "".join(drawn) or _empty("No change event came in")
    return f'{_head("🚀 Changes", "shown beside incidents, page nobody")}<section class="cards">{body}</section>'


# Mail ----------------------------------------------------------------------------------------------------------


def thread_of(mail: Json) -> str:
    """Return what mail programs thread by: the first of References, else the subject without Re:."""
    for name, value in mail["headers"]:
        if name.lower() in ("references", "in-reply-to") and str(value).split():
            return str(value).split()[0]
    return re.sub(r"^(re:\s*)+", "", str(mail["subject"]), flags=re.IGNORECASE)


def _mailbox(memory: Memory) -> str:
    threads: dict[tuple[str, str], list[Json]] = {}
    for mail in memory.mails[-SHOWN_MAILS * 4 :]:
        threads.setdefault((thread_of(mail), ",".join(mail["to"])), []).append(mail)
    newest = sorted(threads.values(), key=lambda mails: float(mails[-1]["at"]), reverse=True)[:SHOWN_MAILS]
    drawn = "".join(_mail_thread(mails) for mails in newest)
    note = f"{len(memory.mails)} in {len(threads)} thread{'' if len(threads) == 1 else 's'}"
    return f'{_head("✉️ Mailbox", note)}<section class="cards">{drawn or _empty("No mail was sent")}</section>'


def _mail_thread(mails: list[Json]) -> str:
    subject = str(mails[0]["subject"]) or "(no subject)"
    count = f'<span class="pill">{len(mails)}</span>' if len(mails) > 1 else ""
    inside = "".join(_mail(mail, is_open=mail is mails[-1]) for mail in mails)
    return f'<article class="card mail-thread"><div class="card-head"><h3 dir="auto">{escape(subject)}</h3>{count}</div>{inside}</article>'


def _mail(mail: Json, *, is_open: bool) -> str:
    identifier = attribute(mail["id"])
    to = escape(", ".join([*mail["to"], *mail["cc"], *mail["bcc"]]))
    headers = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in mail["headers"])
    headers += f"<tr><th>Subject</th><td>{escape(mail['subject'])}</td></tr>"
    html = (
        f'<iframe data-src="/mail/{identifier}" sandbox="allow-same-origin allow-popups allow-popups-to-escape-sandbox" '
        f'title="The mail as HTML"{f" src=/mail/{identifier}" if is_open else ""}></iframe>'
        if mail["html"]
        else ""
    )
    text = f'<pre class="mail-text" dir="auto">{escape(mail["text"])}</pre>'
    text = f'<details data-keep="t{identifier}"><summary>Text</summary>{text}</details>' if html else text
    return (
        f'<details class="mail" data-keep="m{identifier}"{" open" if is_open else ""}>'
        f'<summary><b>{escape(mail["from"])}</b> <span class="note">to {to}</span> '
        f"{clock_time(mail['at'], '{date_short} {time}')}</summary>{html}{text}"
        f'<details data-keep="h{identifier}"><summary>Headers</summary><table class="details">{headers}</table></details></details>'
    )


def mail_document(mail: Json) -> str:
    """Return a mail's HTML for the sandboxed frame."""
    return str(mail["html"])


# Discord and Teams ---------------------------------------------------------------------------------------------


def _discord(memory: Memory) -> str:
    """Draw the newest messages: what stands in them as Discord got it, since its Markdown is not drawn."""
    drawn = []
    for message in list(reversed(memory.discord))[:SHOWN_REQUESTS]:
        marks = f'<span class="pill">edited {message["edited"]} times</span>' if message["edited"] else ""
        marks += (
            f'<span class="pill bad">calls {escape(", ".join(message["called"]))}</span>' if message["called"] else ""
        )
        texts = [message["content"], *(part for embed in message["embeds"] for part in _texts_of_embed(embed))]
        texts += [each["label"] for row in message["components"] for each in row["components"]]
        drawn.append(_chat(message["channel_id"], message["at"], marks, texts))
    body = "".join(drawn) or _empty("No message came in: `discord: true` in the rules file")
    return f'{_head("🎮 Discord", "messages of webhooks")}<section class="cards">{body}</section>'


def _texts_of_embed(embed: Json) -> list[str]:
    fields = [f"{each['name']}: {each['value']}" for each in embed.get("fields") or ()]
    return [embed.get("title", ""), embed.get("description", ""), *fields, embed.get("footer", {}).get("text", "")]


def _teams(memory: Memory) -> str:
    """Draw the newest cards: what stands in them as Teams got it."""
    drawn = []
    for each in list(reversed(memory.teams))[:SHOWN_REQUESTS]:
        marks = f'<span class="pill bad">{escape(each["problem"])}</span>' if each["problem"] else ""
        texts = [text for part in each["card"].get("body") or () for text in _texts_of_part(part)]
        texts += [action["title"] for action in each["card"].get("actions") or ()]
        drawn.append(_chat(each["name"], each["at"], marks, texts))
    body = "".join(drawn) or _empty("No card came in: `teams: true` in the rules file")
    return f'{_head("👥 Teams", "cards of flows")}<section class="cards">{body}</section>'


def _texts_of_part(part: Json) -> list[str]:
    return [part.get("text", ""), *(f"{each['title']}: {each['value']}" for each in part.get("facts") or ())]


def _chat(name: str, at: float, marks: str, texts: list[str]) -> str:
    shown = "".join(f"<p>{escape(text)}</p>" for text in texts if text)
    head = f"<h3>{escape(name)}</h3>{marks}{clock_time(at, '{date_short} {time_secs}')}"
    return f'<article class="card"><div class="card-head">{head}</div>{shown}</article>'


# Webhooks and requests -----------------------------------------------------------------------------------------


def _webhooks(memory: Memory) -> str:
    drawn = []
    for hook in list(reversed(memory.hooks))[:SHOWN_REQUESTS]:
        good = hook["verdict"] == "verified"
        repeated = '<span class="pill">repeated</span>' if hook["repeated"] else ""
        keep = attribute(f"w{hook['at']}{hook['webhook_id']}")
        drawn.append(
            f'<article class="card"><div class="card-head"><span class="pill {"good" if good else "bad"}">{escape(hook["verdict"])}</span>'
            f'<h3>{escape(hook["name"])} <span class="note">{escape(hook["type"])}</span></h3>{repeated}{clock_time(hook["at"], "{date_short} {time_secs}")}</div>'
            f'<div class="note">webhook-id <code>{escape(hook["webhook_id"])}</code></div>'
            f'<details data-keep="{keep}"><summary>Body</summary><pre>{escape(_pretty(hook["body"]))}</pre></details></article>'
        )
    body = "".join(drawn) or _empty("No webhook came in: send them to /hook/<name>")
    return f'{_head("🪝 Webhooks", "Standard Webhooks, signature checked")}<section class="cards">{body}</section>'


def _pretty(body: str) -> str:
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except ValueError:
        return body


def _requests(memory: Memory) -> str:
    rows = "".join(_request(each) for each in reversed(memory.requests[-SHOWN_REQUESTS:]))
    sent = "".join(_delivery(each) for each in reversed(memory.deliveries[-50:]))
    tables = f'<table class="details requests">{rows}</table>' if rows else _empty("No request came in since the start")
    back = f"<h3>Sent to Tocsin</h3><table class='details requests'>{sent}</table>" if sent else ""
    return f'{_head("⇄ Requests", "since the start")}<section class="cards"><article class="card">{tables}</article>{f"<article class=card>{back}</article>" if back else ""}</section>'


def _request(received: Received) -> str:
    status = "no answer" if received.status is None else str(received.status)
    css = "good" if received.status is not None and received.status < 400 and not received.error else "bad"
    status += f" {escape(received.error)}" if received.error else ""
    scripted = ' <span class="pill">on cue</span>' if received.scripted else ""
    return (
        f"<tr><th>{clock_time(received.at, '{time_secs}')}</th><td>{escape(received.service)}</td>"
        f'<td>{escape(received.operation)}{scripted}</td><td><span class="pill {css}">{status}</span></td>'
        f'<td class="note">{len(received.body):,} bytes</td></tr>'
    )


def _delivery(each: Json) -> str:
    css = "good" if not each["problem"] and 200 <= each["status"] < 300 else "bad"
    said = each["problem"] or each["status"]
    return (
        f"<tr><th>{clock_time(each['at'], '{time_secs}')}</th><td>{escape(each['to'])}</td>"
        f'<td>{escape(each.get("event", ""))}</td><td><span class="pill {css}">{escape(str(said))}</span></td></tr>'
    )
