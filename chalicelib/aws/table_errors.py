"""What is raised when the table refuses or does not answer, as the one error that the stages know."""

from collections.abc import Iterator
from contextlib import contextmanager

from chalicelib.aws.json_client import UNREACHABLE, AwsError
from chalicelib.core.errors import NotStoredError

CONFLICT = "ConditionalCheckFailedException"


@contextmanager
def table_errors(what: str) -> Iterator[None]:
    """Raise NotStoredError, with AWS's word for the reason, in place of an AwsError. `what` was read or written."""
    try:
        yield
    except AwsError as error:
        if error.code == UNREACHABLE:
            raise NotStoredError(f"{what}: the table did not answer") from None
        raise NotStoredError(f"{what}: the table refused ({error.code})") from None
