"""A stand-in for Discord's webhooks: https://docs.discord.com/developers/resources/webhook.

It keeps the limits of content, embeds and components, answers with the message to `?wait=true` alone, edits and deletes
messages, and notes whom a message would call (`called`). Every webhook has a bucket of requests; a 429 says how long in
its header in whole seconds and in its body exactly.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from local.inbox.exchange import Json, Received, Reply, json_reply
from local.inbox.faults import Fault
from local.inbox.memory import Memory
from local.inbox.rate_limit import Bucket, Limits, whole_seconds

FIRST_ID = 1_300_000_000_000_000_000
MAX_CONTENT, MAX_EMBEDS, MAX_ALL_EMBEDS, MAX_ROWS, MAX_BUTTONS = 2_000, 10, 6_000, 5, 5
EMBED_LIMITS = {"title": 256, "description": 4_096}
MAX_FIELDS, MAX_FIELD_NAME, MAX_FIELD_VALUE, MAX_FOOTER = 25, 256, 1_024, 2_048
MAX_LABEL, MAX_BUTTON_ADDRESS = 80, 512
_MENTIONS = {"everyone": r"@(?:everyone|here)", "users": r"<@!?\d+>", "roles": r"<@&\d+>"}


class Discord:
    """Messages of webhooks, by their ids."""

    def __init__(self, memory: Memory, limits: Limits, clock: Callable[[], float]) -> None:
        self._memory = memory
        self._limits = limits
        self._clock = clock
        self._buckets: dict[str, Bucket] = {}

    def handle(self, received: Received, *, limited: bool = True) -> Reply:
        """Answer the execution of a webhook, or a change of one of its messages."""
        parts = received.path.strip("/").split("/")
        webhook = parts[parts.index("webhooks") + 1]
        with self._memory.lock:
            wait = self._bucket(webhook).take(self._clock()) if limited else 0
            if wait:
                return _limited(wait)
            if received.operation == "execute":
                return self._execute(webhook, received)
            return self._change(webhook, parts[-1], received)

    def fail(self, fault: Fault) -> Reply:
        """Return a scripted failure, in Discord's form."""
        if fault.status == 429 and fault.retry_after is not None:
            return _limited(fault.retry_after)
        return json_reply({"message": fault.error or "on cue", "code": 0}, fault.status or 400)

    def _bucket(self, webhook: str) -> Bucket:
        fresh = Bucket(self._limits.discord_per_second, self._limits.discord_burst)
        return self._buckets.setdefault(webhook, fresh)

    def _execute(self, webhook: str, received: Received) -> Reply:
        body = _body(received)
        if problems := list(_problems(body, received)):
            return _invalid(problems)
        message = {"id": str(FIRST_ID + self._memory.count("discord")), "channel_id": webhook, **_kept(body)}
        message |= {"at": received.at, "edited": 0, "thread": str(received.fields.get("thread_id") or "")}
        self._memory.discord.append(message)
        self._memory.changed()
        if str(received.fields.get("wait")).lower() != "true":
            return Reply(204)
        return json_reply({"id": message["id"], "channel_id": webhook})

    def _change(self, webhook: str, identifier: str, received: Received) -> Reply:
        found = [each for each in self._memory.discord if (each["id"], each["channel_id"]) == (identifier, webhook)]
        if not found:
            return json_reply({"message": "Unknown Message", "code": 10008}, 404)
        if received.method == "DELETE":
            self._memory.discord.remove(found[0])
            self._memory.changed()
            return Reply(204)
        changed = {**{name: found[0][name] for name in ("content", "embeds", "components")}, **_body(received)}
        if problems := list(_problems(changed, received)):
            return _invalid(problems)
        called = found[0]["called"]
        found[0].update(_kept(changed), edited=found[0]["edited"] + 1, called=called)
        self._memory.changed()
        return json_reply({"id": identifier, "channel_id": webhook})


def _body(received: Received) -> Json:
    try:
        found = received.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _kept(body: Json) -> Json:
    """Return what is kept of a message, with whom it calls."""
    kept: Json = {
        name: body.get(name) or empty for name, empty in (("content", ""), ("embeds", []), ("components", []))
    }
    return {**kept, "called": _called(body)}


def _called(body: Json) -> list[str]:
    """Return the mentions in the content that reach somebody: those that `allowed_mentions` lets through, else all."""
    allowed = body.get("allowed_mentions")
    kinds = _MENTIONS if allowed is None else [name for name in allowed.get("parse", ()) if name in _MENTIONS]
    content = re.sub(r"\\[@<]", "", str(body.get("content") or ""))
    return [found for kind in kinds for found in re.findall(_MENTIONS[kind], content)]


def _problems(body: Json, received: Received) -> Iterator[str]:
    """Yield what Discord refuses of a message."""
    embeds = body.get("embeds") or []
    if not body.get("content") and not embeds:
        yield "a message cannot be empty"
    if len(str(body.get("content") or "")) > MAX_CONTENT:
        yield f"content: more than {MAX_CONTENT}"
    if len(embeds) > MAX_EMBEDS:
        yield f"embeds: more than {MAX_EMBEDS}"
    if sum(len(text.strip()) for embed in embeds for text in _texts(embed)) > MAX_ALL_EMBEDS:
        yield f"embeds: more than {MAX_ALL_EMBEDS} characters together"
    for embed in embeds:
        yield from _problems_of_embed(embed)
    yield from _problems_of_components(body.get("components") or [], received)


def _texts(embed: Json) -> list[str]:
    fields = [str(each.get(name) or "") for each in embed.get("fields") or () for name in ("name", "value")]
    return [str(embed.get("title") or ""), str(embed.get("description") or ""), *fields, _footer(embed)]


def _footer(embed: Json) -> str:
    return str((embed.get("footer") or {}).get("text") or "")


def _problems_of_embed(embed: Json) -> Iterator[str]:
    for name, most in EMBED_LIMITS.items():
        if len(str(embed.get(name) or "").strip()) > most:
            yield f"embed.{name}: more than {most}"
    if len(_footer(embed)) > MAX_FOOTER:
        yield f"embed.footer: more than {MAX_FOOTER}"
    fields = embed.get("fields") or []
    if len(fields) > MAX_FIELDS:
        yield f"embed.fields: more than {MAX_FIELDS}"
    for field in fields:
        for name, most in (("name", MAX_FIELD_NAME), ("value", MAX_FIELD_VALUE)):
            if not 1 <= len(str(field.get(name) or "").strip()) <= most:
                yield f"embed.fields.{name}: must be 1 to {most}"
    if not str(embed.get("url") or "https://").startswith(("https://", "http://")):
        yield "embed.url: not well formed"


def _problems_of_components(rows: list[Any], received: Received) -> Iterator[str]:
    if rows and str(received.fields.get("with_components")).lower() != "true":
        yield "components: need with_components=true"
    if len(rows) > MAX_ROWS:
        yield f"components: more than {MAX_ROWS}"
    for row in rows:
        buttons = row.get("components") or []
        if row.get("type") != 1 or not 1 <= len(buttons) <= MAX_BUTTONS:
            yield f"components: a row has 1 to {MAX_BUTTONS} buttons"
        for each in buttons:
            if each.get("style") != 5 or not each.get("url"):
                yield "components: a webhook sends buttons that are links, and no others"
            if (
                not 1 <= len(str(each.get("label") or "")) <= MAX_LABEL
                or len(str(each.get("url"))) > MAX_BUTTON_ADDRESS
            ):
                yield f"components: a label has 1 to {MAX_LABEL} characters, an address at most {MAX_BUTTON_ADDRESS}"


def _invalid(problems: list[str]) -> Reply:
    return json_reply({"message": "Invalid Form Body", "code": 50035, "errors": problems}, 400)


def _limited(wait: float) -> Reply:
    headers = {"Retry-After": str(whole_seconds(wait)), "X-RateLimit-Scope": "user", "X-RateLimit-Remaining": "0"}
    return json_reply({"message": "You are being rate limited.", "retry_after": wait, "global": False}, 429, headers)
