"""Answers /rules: every rule, and the box that says who would be notified of what."""

from dataclasses import dataclass
from typing import Any

from chalicelib.api import views
from chalicelib.core.errors import RequestError
from chalicelib.core.matcher_words import leading_matchers
from chalicelib.web.exchange import PageReply
from chalicelib.web.rules import rule_rows
from chalicelib.web.tally import tally_and_open
from chalicelib.web.visitor import Visitor

HERE = "rules"
MAX_CHARACTERS = 1_000
SEVERITY = "severity"
EXPECTED_LABELS = "expected are labels, such as service=api severity=critical"


@dataclass(frozen=True, slots=True)
class WhoBox:
    """Who would be notified of what has the labels of `text`, a line for each rule; or `mistake`, why that is not known."""

    text: str = ""
    rows: tuple[views.Shown, ...] = ()
    service: views.Shown | None = None
    mistake: str = ""


def answer(visitor: Visitor) -> PageReply:
    """Return the page."""
    page = visitor.page
    tally, rows = tally_and_open(page.store, page.rules, visitor.look.counts, page.now)
    shown = rule_rows(page.store, page.rules, visitor.look.context(), tally.of)
    values: dict[str, Any] = {
        "rows": shown,
        "unable": sum(each.can_fire.sign == "no" for each in shown),
        "tally": tally,
        "who": _who(visitor.request.one("who").strip()[:MAX_CHARACTERS], visitor),
    }
    return visitor.banded("rules.html", values, HERE, known=rows)


def _who(text: str, visitor: Visitor) -> WhoBox:
    if not text:
        return WhoBox()
    try:
        labels = _labels(text)
    except RequestError as error:
        return WhoBox(text, mistake=f"{str(error)[:1].upper()}{str(error)[1:]}")
    rules, asked = visitor.page.rules, labels.get(SEVERITY)
    found = views.who(rules, labels, visitor.page.now)
    rows = tuple(each for each in found if asked is None or each[SEVERITY] in (asked, "any"))
    return WhoBox(text, rows, views.service_of(rules, labels))


def _labels(text: str) -> dict[str, str]:
    """Return the labels of a text such as `service=api severity=critical`. Raise RequestError for another matcher."""
    found, rest = leading_matchers(text)
    if rest:
        raise RequestError(f"{rest[:60]!r} is no label; {EXPECTED_LABELS}")
    other = next((each for each in found if each.operator != "="), None)
    if other is not None:
        raise RequestError(f"{other.written()} is no label; {EXPECTED_LABELS}")
    return {each.label: each.value for each in found}
