"""Answers /router: the state of the stage, and the button that plays dead letters back."""

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from chalicelib import VERSION, log
from chalicelib.core.access import Role
from chalicelib.core.errors import RequestError, TocsinError
from chalicelib.core.ports import Store
from chalicelib.messages.dead_letters import DeadLetter, dead_letter
from chalicelib.messages.redrive import Redriven, redrive
from chalicelib.schedule.reconciliation import instant_or_none
from chalicelib.web.exchange import PageReply
from chalicelib.web.router import RouterView, router_view, silent_plugins
from chalicelib.web.visitor import PageContext, Visitor

HERE = "router"
MARK = "redrive"
"""The mark of the newest redrive by the page."""


@dataclass(frozen=True, slots=True)
class LastRedrive:
    """Who played back how many dead letters by the page, and when."""

    by: str
    at: datetime
    count: int


def answer(visitor: Visitor) -> PageReply:
    """Return the page, or do what its form asks for."""
    if visitor.request.method == "POST":
        return _redrive(visitor)
    page = visitor.page
    view = router_view(page.store, page.rules, visitor.look.context(), page.now)
    letters = _letters(page, view) if visitor.request.one("letters") else None
    values = {"view": view, "silent": silent_plugins(view), "version": VERSION, "last": last_redrive(page.store)}
    values["letters"] = letters
    return visitor.banded("router.html", values, HERE)


def _letters(page: PageContext, view: RouterView) -> list[DeadLetter]:
    """Return some of the dead letters of each queue that has any, the newest first; none of one that does not answer."""
    found: list[DeadLetter] = []
    counted = {each.name for each in view.queues or () if each.dead}
    for name, (dead, _) in page.dead_letters().items():
        with suppress(TocsinError):
            found += [dead_letter(name, each) for each in dead.glimpse()] if name in counted else []
    return sorted(found, key=lambda each: each.at, reverse=True)


def _redrive(visitor: Visitor) -> PageReply:
    """Play dead letters back, and keep who did it by which door."""
    visitor.check_role(Role.ADMIN)
    if visitor.request.form().get("do") != "redrive":
        raise RequestError("The form asks for nothing that can be done.")
    page, person = visitor.page, visitor.session.person
    done = redrive(page.dead_letters(), time.monotonic)
    act = {"by": person.name, "account": person.account, "via": "page", "count": done.count}
    log.line("page", act="redrive", **act, failed=done.failed)
    with suppress(TocsinError):
        page.store.put_mark(MARK, json.dumps({**act, "at": page.now.isoformat()}))
    return visitor.done(f"{visitor.request.up}{HERE}", words(done))


def words(done: Redriven) -> str:
    """Return what a redrive came to."""
    counted = f"{done.count} dead letter{'' if done.count == 1 else 's'}"
    parts = [f"{counted} played back: the numbers below are those of the next tick"]
    if done.failed:
        parts.append(f"those of {', '.join(done.failed)} could not be")
    if done.more:
        parts.append("there may be more, press again")
    return f"{'; '.join(parts)}."


def last_redrive(store: Store) -> LastRedrive | None:
    """Return the newest redrive by the page; None where there was none, or it cannot be read."""
    try:
        found = json.loads(store.marks([MARK]).get(MARK) or "null")
    except (ValueError, TocsinError):
        return None
    at = instant_or_none(str(found.get("at"))) if isinstance(found, Mapping) else None
    if not isinstance(found, Mapping) or at is None:
        return None
    return LastRedrive(str(found.get("by", "")), at, int(found.get("count", 0)))
