"""What boto3 raises when the table refuses or does not answer, as the one error that the stages know."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.core.errors import NotStoredError

CONFLICT = "ConditionalCheckFailedException"


@contextmanager
def table_errors(what: str) -> Iterator[None]:
    """Raise NotStoredError, with AWS's word for the reason, in place of boto3's errors. `what` was read or written."""
    try:
        yield
    except ClientError as error:
        raise NotStoredError(f"{what}: the table refused ({code_of(error)})") from None
    except BotoCoreError as error:
        raise NotStoredError(f"{what}: the table did not answer ({type(error).__name__})") from None


def code_of(error: ClientError) -> str:
    """Return AWS's word for why a call was refused."""
    return str(error.response.get("Error", {}).get("Code", "unknown"))
