"""What senders remember of what they sent, and what every reader of it shares.

A reader is a module here named after its source with `ENDPOINTS`: the lists of the vendor's API that it reads. Each is
read for itself, from a cursor of its own, so that the failure of one costs nothing of the others. What an endpoint says
happened in a time comes back as the webhooks that the vendor should have sent. `chalicelib/schedule/missed.py` finds
out which of them never arrived and takes them in. Without its token an endpoint raises NotSetUpError, and nothing is read.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

import httpx

from chalicelib.core.errors import (
    EndpointAbsentError,
    NotSetUpError,
    TargetRejectedError,
    TargetUnavailableError,
)
from chalicelib.core.metrics.sample import Sample
from chalicelib.core.payload import coerce
from chalicelib.core.payload.retirement import Retirement
from chalicelib.core.payload.retry_after import asked_wait

if TYPE_CHECKING:
    from chalicelib.core.ports import Clients

MAX_PAGES = 5
"""Of one list in one run; what is left is read in the next."""

ABSENT = (404, 410)
"""How vendors answer for an endpoint that is not there. Sentry answers 410 for minutes, long before it is over."""
DEFAULT_WAIT = timedelta(minutes=5)
MIN_WAIT = timedelta(seconds=1)
MAX_WAIT = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Found:
    """One webhook that the vendor's history implies."""

    body: Mapping[str, Any]
    at: datetime
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class History:
    """What was found, and up to when all of it was read.

    `exhausted` is true when the vendor takes no further request under the endpoint's limit for now. `retires` is set where
    the vendor announces the end of the endpoint. `samples` are values that the vendor measured. `states` are what the vendor
    has now and never sends: they are taken in, and are no webhooks that were missed.
    """

    found: Sequence[Found]
    reached: datetime
    exhausted: bool = False
    retires: Retirement | None = None
    samples: Sequence[Sample] = ()
    states: Sequence[Found] = ()


class Read(Protocol):
    """Reads one endpoint."""

    def __call__(self, clients: "Clients", *, since: datetime, until: datetime, active: Sequence[str]) -> History:
        """Return what happened after `since` up to `until`; `active` are the ids of the vendor's issues that fire here.

        Raises NotSetUpError, TargetUnavailableError, TargetRejectedError, and EndpointAbsentError for 404 and 410.
        """
        ...


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One list of a vendor's API. `name` is part of its cursor's key, `what` names the list to people.

    An `optional` endpoint need not exist for every account: that it is absent is information. Endpoints with the same
    `limit` share one rate limit of the vendor; without it an endpoint has one of its own.
    """

    name: str
    what: str
    read: Read
    optional: bool = False
    limit: str = ""

    @property
    def limited_by(self) -> str:
        """Return the name of its rate limit."""
        return self.limit or self.name


def token(clients: "Clients", secret: str, *settings: str) -> tuple[str, ...]:
    """Return the token and the settings it needs. Raise NotSetUpError when one of them is missing."""
    values = (clients.secret(secret), *(clients.setting(name) for name in settings))
    if not all(values):
        raise NotSetUpError(f"{secret} or one of its settings is not set")
    return tuple(str(value) for value in values)


def asked(
    clients: "Clients",
    vendor: str,
    address: str,
    bearer: str,
    params: Sequence[tuple[str, str]],
    *,
    now: datetime,
    absent: Collection[int] = ABSENT,
) -> httpx.Response:
    """Return the answer to a GET. Raise TargetUnavailableError (with `retry_after` when the vendor says so) or TargetRejectedError.

    A status of `absent` is no word about the token: the vendor has no such endpoint, none any more, or none for some minutes.
    """
    try:
        answer: httpx.Response = clients.http().get(
            address, params=list(params), headers={"Authorization": f"Bearer {bearer}", "Accept": "application/json"}
        )
    except httpx.HTTPError as error:
        raise TargetUnavailableError(f"{vendor} did not answer: {type(error).__name__}") from None
    if answer.status_code == 429:
        raise TargetUnavailableError(f"{vendor} says that too much was asked", retry_after=wait_of(answer, now))
    if answer.status_code >= 500:
        raise TargetUnavailableError(f"{vendor} answered {answer.status_code}")
    if answer.status_code in absent:
        text = f"{vendor} answered {answer.status_code}: it has no such endpoint, or none at the moment"
        raise EndpointAbsentError(text, gone=answer.status_code == 410)
    if answer.status_code >= 300:
        raise TargetRejectedError(
            f"{vendor} answered {answer.status_code}; allowed is a token that may read its history"
        )
    return answer


def wait_of(answer: httpx.Response, now: datetime) -> timedelta:
    """Return the wait that Retry-After asks for, else Sentry's reset time, else DEFAULT_WAIT; within bounds."""
    wait = asked_wait(answer.headers.get("retry-after", ""), now)
    reset = coerce.instant(answer.headers.get("x-sentry-rate-limit-reset"))
    if wait is None:
        wait = reset - now if reset is not None else DEFAULT_WAIT
    return min(max(wait, MIN_WAIT), MAX_WAIT)


def exhausted(answer: httpx.Response) -> bool:
    """Return whether this was the last request that the vendor takes for now."""
    remaining: str = answer.headers.get("x-sentry-rate-limit-remaining", "")
    return remaining == "0"


def listed(answer: httpx.Response, vendor: str, key: str = "") -> list[Mapping[str, Any]]:
    """Return the objects of the list in an answer (under a key). Raise TargetUnavailableError when there is no list."""
    try:
        found = answer.json()
    except ValueError:
        found = None
    items = coerce.at(found, key) if key else found
    if not isinstance(items, list):
        raise TargetUnavailableError(f"{vendor} answered without a list")
    return [each for each in items if isinstance(each, dict)]


def pairs(answer: httpx.Response, vendor: str) -> list[tuple[Any, Any]]:
    """Return the pairs of the list in an answer. Raise TargetUnavailableError when there is no list."""
    try:
        found = answer.json()
    except ValueError:
        found = None
    if not isinstance(found, list):
        raise TargetUnavailableError(f"{vendor} answered without a list")
    return [(each[0], each[1]) for each in found if isinstance(each, list) and len(each) == 2]
