"""Every error, as a tree.

    TocsinError
    ├── WebhookError                 the sender is at fault: answered with `status`
    │   ├── SignatureError           401 missing, garbled, stale or wrong signature
    │   ├── UnreadableError          400 not JSON, too deep, not an object
    │   ├── UnknownSourceError       404
    │   ├── TooLargeError            413
    │   └── ContentTypeError         415
    ├── RulesError                   alert-rules.yaml is at fault: stops the deploy
    │   ├── FieldError               one value of it is, whatever its place
    │   └── ColumnError              one text of it is, at a column: a condition, a template
    ├── ConflictError                somebody else saved first: load again
    ├── TooNewError                  stored by a newer version of this code: comes back until that one runs again
    ├── NotStoredError               the queue or the table refused: the sender gets 503
    ├── ProcessedError               a stored body was dropped after its webhook was processed: nothing is left to do
    ├── RequestError                 400 what a person asks for cannot be done; `status` for the API
    │   ├── NotAllowedError          401 no token, or a wrong one
    │   ├── TooManyGuessesError      429 too many wrong tokens came from the address
    │   ├── ReadOnlyError            403 the token may change nothing
    │   ├── ForbiddenError           403 `access:` gives the person no role for it
    │   ├── NotFoundError            404 no such incident or silence
    │   ├── NotUniqueError           409 several incidents begin so
    │   ├── OverError                409 it is over
    │   ├── KeyUsedError             422 the Idempotency-Key came with another request before
    │   ├── FullError                409 a silence has no room beside the others
    │   └── UnreachableError         502 somebody outside whom the request needs does not answer
    ├── ParseError                   a stored body that no source could read: dead-lettered with the reason
    ├── NotSetUpError                what would be done needs a token that nobody set: it is off
    ├── TargetUnavailableError       comes back later; `retry_after` when the target said when
    └── TargetRejectedError          permanent: reported to the fallback, dead-lettered with the reason
        └── EndpointAbsentError      a vendor's API does not have what was asked for: 404, 410

Texts say what, which and what is allowed. They never hold a secret, an address or a payload.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chalicelib.core.event import Event


class TocsinError(Exception):
    """Anything Tocsin itself raises."""


class WebhookError(TocsinError):
    """The request cannot be accepted; `status` is the HTTP status of the answer."""

    status = 400


class SignatureError(WebhookError):
    """The request does not prove that it comes from the sender."""

    status = 401


class UnreadableError(WebhookError):
    """The body is not JSON that can be kept."""


class UnknownSourceError(WebhookError):
    """No source of that name exists."""

    status = 404


class TooLargeError(WebhookError):
    """The body is over the limit."""

    status = 413


class ContentTypeError(WebhookError):
    """The body is of a type that no source reads."""

    status = 415


class RulesError(TocsinError):
    """The rules file has mistakes; the text lists all of them, one a line."""


class FieldError(RulesError):
    """A value of the rules file is wrong. `what` follows the name of its field; `suggestion` is the nearest right value."""

    def __init__(self, what: str, allowed: str = "", suggestion: str = "") -> None:
        super().__init__(f"{what}; allowed is {allowed}" if allowed else what)
        self.what = what
        self.allowed = allowed
        self.suggestion = suggestion


class ColumnError(RulesError):
    """A text in the rules file is wrong: what is wrong, at which column (from 1), and what is allowed."""

    def __init__(self, message: str, column: int = 1, allowed: str = "", suggestion: str = "") -> None:
        self.message, self.column, self.allowed, self.suggestion = message, column, allowed, suggestion
        super().__init__(message, column, allowed, suggestion)

    def __str__(self) -> str:
        return f"column {self.column}: {self.advice}"

    @property
    def advice(self) -> str:
        """Return what is wrong, what is allowed and the nearest right word, without the column."""
        found = self.message
        if self.allowed:
            found += f"; allowed is {self.allowed}"
        if self.suggestion:
            found += f"; did you mean {self.suggestion}"
        return found


class ConflictError(TocsinError):
    """The stored version is not the one that was loaded."""


class TooNewError(TocsinError):
    """What is stored has a version that this code does not know."""


class NotStoredError(TocsinError):
    """A write that must be durable did not succeed."""


class ProcessedError(TocsinError):
    """The body of a webhook was dropped because the webhook was processed."""


class RequestError(TocsinError):
    """What a person asks for cannot be done; the text is for them, `status` is the HTTP status that says so."""

    status = 400


class UnreachableError(RequestError):
    """Somebody outside whom the request needs does not answer."""

    status = 502


class NotAllowedError(RequestError):
    """The request does not show that it comes from one of us."""

    status = 401


class TooManyGuessesError(RequestError):
    """So many wrong tokens came from one address that its next one is not looked at; the text says until when."""

    status = 429


class ReadOnlyError(RequestError):
    """The token may read and change nothing."""

    status = 403


class ForbiddenError(RequestError):
    """The person is known, and `access:` of the rules file gives them no role for that."""

    status = 403


class NotFoundError(RequestError):
    """No incident or silence of that name."""

    status = 404


class NotUniqueError(RequestError):
    """More than one incident has an id that begins so."""

    status = 409


class OverError(RequestError):
    """The incident or silence has ended: nothing can be done to it."""

    status = 409


class KeyUsedError(RequestError):
    """The Idempotency-Key came with another request before."""

    status = 422


class FullError(RequestError):
    """The stored silences leave no room for this one."""

    status = 409


class ParseError(TocsinError):
    """An accepted body that its source cannot read, or not all of it: `read` are the events that it could."""

    def __init__(self, text: str, read: "Sequence[Event]" = ()) -> None:
        super().__init__(text)
        self.read = tuple(read)


class NotSetUpError(TocsinError):
    """Something optional that nobody switched on."""


class TargetUnavailableError(TocsinError):
    """The target did not take it now; it comes back.

    `retry_after` is the delay the target asked for; `ambiguous` is true when it may have taken it all the same
    (a time-out after sending), so that a retry could double. `of_change` is true when the delay holds only for changes
    of messages that the target has, and not for new ones.
    """

    def __init__(
        self, text: str, *, retry_after: timedelta | None = None, ambiguous: bool = False, of_change: bool = False
    ) -> None:
        super().__init__(text)
        self.retry_after = retry_after
        self.ambiguous = ambiguous
        self.of_change = of_change


class TargetRejectedError(TocsinError):
    """The target refused for good; trying again cannot help."""


class EndpointAbsentError(TargetRejectedError):
    """The vendor's API has no such endpoint, or none any more. `gone` is true where it says that there was one (410)."""

    def __init__(self, text: str, *, gone: bool = False) -> None:
        super().__init__(text)
        self.gone = gone
