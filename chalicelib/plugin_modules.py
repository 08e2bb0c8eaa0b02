"""What a file of each folder of plug-ins provides, as protocols. `plugins.py` finds the files and returns them as these.

sources/    SourceModule, and of generic.py DeclaredSourceModule; it may also have `kinds() -> tuple[str, ...]`, the kinds of its
            events, where the sender does not name them freely
targets/    TargetModule; ChangeModule where DECLARED says `takes_changes`; CheckedModule where `tocsin doctor` can look
probes/     ProbeModule; it may also have RATES and GROWTHS (schedule/watch.py), `parameters` (parameters.py), and PLACE: where it
            stands in a list of kinds, the last without it
histories/  HistoryModule; it may also have PARAMETERS (parameters.py), and ACTIVE_LABEL where the label is not `issue` by which
            an alert names what it is called at the vendor
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from chalicelib.core.delivery.notification import Deploy, Notification, Receipt
from chalicelib.core.delivery.target_kind import TargetCheck, TargetKind
from chalicelib.core.delivery.target_state import Pace
from chalicelib.core.event import Event
from chalicelib.core.metrics.sample import Sample
from chalicelib.core.ports import Clients
from chalicelib.core.rule import Target
from chalicelib.histories import Endpoint

if TYPE_CHECKING:
    from chalicelib.probes import Attempt


class SourceModule(Protocol):
    """A sender of webhooks. Its file imports the standard library and core only: it is on the cold ingest path."""

    NAME: str
    """The name of the file."""
    TITLE: str
    """The sender's name for people."""

    @property
    def SECRETS(self) -> tuple[str, ...]:
        """Return the names of its secrets."""
        ...

    def verify(
        self, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], *, path_secret: str | None = None
    ) -> None:
        """Raise SignatureError unless the request comes from the sender. Names of headers are in lower case."""
        ...

    def delivery_id(self, headers: Mapping[str, str], body: bytes) -> str | None:
        """Return what is equal on every delivery of one webhook; None when the sender gives nothing of the kind."""
        ...

    def parse(self, headers: Mapping[str, str], body: bytes, *, received_at: datetime) -> list[Event]:
        """Return the events of a body, one at least. Raise ParseError for what is no JSON object."""
        ...


class DeclaredSourceModule(Protocol):
    """The reader of what entries of `sources:` in the rules file declare: `mapping` is the entry."""

    def secrets(self, mapping: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the names of the entry's secrets."""
        ...

    def verify(
        self,
        headers: Mapping[str, str],
        body: bytes,
        secrets: Sequence[str],
        *,
        path_secret: str | None = None,
        mapping: Mapping[str, Any] | None = None,
        now: datetime | None = None,
    ) -> None:
        """Raise SignatureError unless the request proves itself as the entry says. `now` None: no look at its age."""
        ...

    def delivery_id(
        self, headers: Mapping[str, str], body: bytes, mapping: Mapping[str, Any] | None = None
    ) -> str | None:
        """Return what is equal on every delivery of one webhook."""
        ...

    def parse(
        self,
        headers: Mapping[str, str],
        body: bytes,
        *,
        received_at: datetime,
        mapping: Mapping[str, Any] | None = None,
    ) -> list[Event]:
        """Return the events of a body, none of an empty list. Raise ParseError for what is neither JSON nor a form."""
        ...

    def validate(self, mapping: Mapping[str, Any]) -> list[str]:
        """Return what is wrong with an entry, each with what is allowed."""
        ...

    def doubts(self, mapping: Mapping[str, Any]) -> list[str]:
        """Return what may be meant otherwise in an entry without mistakes."""
        ...

    def allows(self, mapping: Mapping[str, Any], address: str) -> bool:
        """Return whether the entry takes webhooks from this address."""
        ...


class TargetModule(Protocol):
    """A receiver of notifications."""

    DECLARED: TargetKind
    PACE: Pace | None
    """How fast one target of the kind takes messages; None: as fast as they come."""

    def render(self, notification: Notification, receipt: Mapping[str, str], *, plain: bool = False) -> dict[str, Any]:
        """Return the request's body. Pure. `plain` asks for the form that needs nothing but text."""
        ...

    def send(
        self,
        notification: Notification,
        address: str,
        clients: Clients,
        *,
        receipt: Mapping[str, str],
        in_doubt: bool,
        now: datetime,
        plain: bool = False,
    ) -> Receipt:
        """Send it. The answer is kept with the deliveries of the incident to this target.

        `receipt` is what the target answered earlier; `in_doubt` is true when an earlier try of this same notification
        may have arrived. Raises TargetUnavailableError (comes back) or TargetRejectedError (never).
        """
        ...


class ChangeModule(Protocol):
    """A receiver that also takes changes: notes of deploys that notify nobody."""

    def send_change(self, deploy: Deploy, address: str, clients: Clients, *, now: datetime) -> Receipt:
        """Send it. Raises as `send` does."""
        ...


class CheckedModule(Protocol):
    """A receiver whose settings `tocsin doctor` can look at without sending anything."""

    def check_target(self, target: Target, clients: Clients) -> TargetCheck:
        """Return whether a target has the settings that it needs."""
        ...


class ProbeModule(Protocol):
    """Something that Tocsin measures itself: an entry under its name in `probes:`."""

    MEANING: str
    """What its entries are, in one line for editors."""
    SAMPLE: Mapping[str, Any]
    """An entry that is right."""
    METRICS: Sequence[str]
    """What it measures, beside OF_EVERY_PROBE and what `watch` makes of it by RATES and GROWTHS."""

    async def check(self, attempt: "Attempt") -> None:
        """Add what one try finds to the attempt. Raise Down, or another error when nothing could be known."""
        ...

    def validate(self, params: Mapping[str, Any]) -> list[str]:
        """Return what is wrong with an entry."""
        ...


class BlockingProbeModule(Protocol):
    """A ProbeModule whose library can only block: its check runs in a thread."""

    MEANING: str
    SAMPLE: Mapping[str, Any]
    METRICS: Sequence[str]

    def check(self, params: Mapping[str, Any], clients: Clients, *, now: datetime) -> "list[Sample | Event]":
        """Return what one try found. Raise when nothing could be measured."""
        ...

    def validate(self, params: Mapping[str, Any]) -> list[str]:
        """Return what is wrong with an entry."""
        ...


AnyProbeModule = ProbeModule | BlockingProbeModule


class HistoryModule(Protocol):
    """What a sender remembers of what it sent, by the name of its source."""

    @property
    def ENDPOINTS(self) -> Sequence[Endpoint]:
        """Return the lists that are read, in this order."""
        ...
