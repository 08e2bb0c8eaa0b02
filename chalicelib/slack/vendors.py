"""What people's requests need of vendors beside notifications: Slack answers people, PagerDuty knows who is on call."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, cast

from chalicelib.core.ports import Clients
from chalicelib.targets import module_for


class SlackModule(Protocol):
    """Slack, as far as people are asked about and answered."""

    def person(self, user: str, clients: Clients, *, now: datetime) -> str:
        """Return what a person of that id is called; empty when Slack does not answer."""
        ...

    def zone(self, user: str, clients: Clients, *, now: datetime) -> str:
        """Return the name of a person's time zone; empty when Slack does not answer."""
        ...

    def standing(self, user: str, clients: Clients, *, now: datetime) -> tuple[bool, bool]:
        """Return whether a person is a guest, and a stranger of another organisation."""
        ...

    def home(self, clients: Clients, *, now: datetime) -> tuple[str, str] | None:
        """Return the ids of the app's workspace and organisation; None when Slack does not answer."""
        ...

    def respond(
        self,
        url: str,
        text: str,
        clients: Clients,
        *,
        now: datetime,
        blocks: Sequence[Mapping[str, Any]] = (),
        replaces: bool = False,
    ) -> None:
        """Answer a request by the address that came with it. Raises as a target does."""
        ...

    def post_ephemeral(self, channel: str, user: str, text: str, clients: Clients, *, now: datetime) -> None:
        """Send a text to one person in a channel. Raises as a target does."""
        ...

    def fill_view(
        self, identifier: str, view_hash: str, view: Mapping[str, Any], clients: Clients, *, now: datetime
    ) -> None:
        """Change an open modal, if it is still there."""
        ...

    def check(
        self, clients: Clients, channels: Sequence[str], now: datetime | None = None
    ) -> Sequence[tuple[str, str]]:
        """Return whether the token and each channel will do: ok, warning or wrong, each with a sentence."""
        ...


class PagerModule(Protocol):
    """A pager, as far as it is asked about its incidents and its people."""

    def alert_keys(self, incident: str, clients: Clients, *, now: datetime) -> tuple[str, ...]:
        """Return the keys of the alerts of one of its incidents. Raises as a target does."""
        ...

    def on_call(self, clients: Clients, *, now: datetime) -> tuple[str, ...]:
        """Return who is called first now; nobody when the pager does not answer."""
        ...


def slack() -> SlackModule:
    """Return Slack's file, imported on first use."""
    return cast(SlackModule, module_for("slack_channel"))


def pager() -> PagerModule:
    """Return the file of the pager, imported on first use."""
    return cast(PagerModule, module_for("pagerduty"))


if TYPE_CHECKING:
    from chalicelib.targets import pagerduty, slack_channel

    _SLACK: SlackModule = slack_channel
    _PAGER: PagerModule = pagerduty
