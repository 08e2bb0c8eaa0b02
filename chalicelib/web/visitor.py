"""What a page is given: the ports, and whoever is signed in. `handle.py` makes both."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from chalicelib.api.access import WRONG_TOKENS, WrongTokens
from chalicelib.core.access import Role
from chalicelib.core.delivery.notification import Runbook
from chalicelib.core.errors import RequestError
from chalicelib.core.glance import Glance
from chalicelib.core.ports import Queue, Store
from chalicelib.core.rule import Rules
from chalicelib.core.sign_in import Session
from chalicelib.core.summary import Summary
from chalicelib.ingest.receive import Secrets
from chalicelib.messages.redrive import Dead, Main
from chalicelib.web.exchange import PageReply, PageRequest
from chalicelib.web.provider import PROVIDERS, Providers
from chalicelib.web.render import Reader
from chalicelib.web.rows import Look


class Keys(Protocol):
    """Where the live values of secrets are."""

    def values(self, names: Sequence[str]) -> Sequence[str]:
        """Return all live values of those names."""
        ...


def _no_http() -> Any:
    raise RequestError("This stage asks nobody outside.")


@dataclass(frozen=True, slots=True)
class PageContext:
    """What the pages work with. `name` names a target for people by its key, `runbook` finds a page of the runbook.

    `http` gives the client of a sign-in by a provider, `dead_letters` the queues by name, the dead ones first.
    """

    store: Store
    webhooks: Queue
    rules: Rules
    secrets: Keys | Secrets
    stage: str
    now: datetime
    name: Callable[[str], str]
    runbook: Callable[[str], Runbook | None]
    wrong: WrongTokens = field(default=WRONG_TOKENS)
    http: Callable[[], Any] = _no_http
    providers: Providers = field(default=PROVIDERS)
    dead_letters: Callable[[], Mapping[str, tuple[Dead, Main]]] = dict


class Visitor(Protocol):
    """A request of somebody who is signed in. Its form, if it has one, is known to be of this session."""

    @property
    def page(self) -> PageContext:
        """Return what the pages work with."""
        ...

    @property
    def request(self) -> PageRequest:
        """Return the request."""
        ...

    @property
    def reader(self) -> Reader:
        """Return for whom the page is."""
        ...

    @property
    def look(self) -> Look:
        """Return what rows of incidents are judged by."""
        ...

    @property
    def session(self) -> Session:
        """Return who is signed in."""
        ...

    def check_role(self, least: Role) -> None:
        """Raise ForbiddenError for a role that is less than this one."""
        ...

    def banded(
        self,
        template: str,
        values: Mapping[str, Any],
        here: str,
        among: Sequence[Summary] | None = None,
        known: Sequence[Glance] | None = None,
    ) -> PageReply:
        """Return a page with the worst open incident in one line above it.

        `among` are summaries that were listed, `known` all rows of what is open.
        """
        ...

    def done(self, where: str, text: str) -> PageReply:
        """Return an answer that loads another address, where the text stands once."""
        ...
