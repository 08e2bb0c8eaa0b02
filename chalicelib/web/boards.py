"""The pages of measured figures, by their addresses: what each shows of a request."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from chalicelib.core.ports import Store
from chalicelib.core.rule import Rules
from chalicelib.web.errors import errors_view
from chalicelib.web.exchange import PageRequest
from chalicelib.web.infrastructure import infrastructure_view
from chalicelib.web.performance import performance_view
from chalicelib.web.uptime import uptime_view

MAX_NAME = 300
"""Characters of a name in an address."""


@dataclass(frozen=True, slots=True)
class BoardRequest:
    """Who asks for which figures: the request, and what they are read from."""

    request: PageRequest
    store: Store
    rules: Rules
    now: datetime
    zone: ZoneInfo

    @property
    def of(self) -> str:
        """Return the name that was chosen on the page."""
        return self.request.one("of")[:MAX_NAME]

    @property
    def page(self) -> int:
        """Return the number of the page of a long list."""
        text = self.request.one("page")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 5 else 1


Board = Callable[[BoardRequest], Any]


def _uptime(asked: BoardRequest) -> Any:
    return uptime_view(asked.store, asked.rules, asked.now, asked.zone, page=asked.page)


def _errors(asked: BoardRequest) -> Any:
    return errors_view(asked.store, asked.rules, asked.now, of=asked.of)


def _infrastructure(asked: BoardRequest) -> Any:
    return infrastructure_view(asked.store, asked.rules, asked.now, of=asked.of)


def _performance(asked: BoardRequest) -> Any:
    return performance_view(asked.store, asked.rules, asked.now, of=asked.of)


BOARDS: Mapping[str, Board] = {
    "/errors": _errors,
    "/infrastructure": _infrastructure,
    "/performance": _performance,
    "/uptime": _uptime,
}
"""What makes the view of each page; its template has the same name."""
