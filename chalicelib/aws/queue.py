"""SQS: the Queue of the stages, and what a worker does to a message it was given.

A message holds 1 MiB, a batch 10 messages and 1 MiB together, a delay is 15 minutes at most. Only standard queues:
every message may come twice and in any order.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from functools import lru_cache
from math import ceil
from typing import Any

from chalicelib.aws.json_client import AwsError, AwsJsonClient
from chalicelib.core.errors import NotStoredError

MAX_BATCH_MESSAGES = 10
MAX_BATCH_BYTES = 1_048_576
MAX_DELAY = timedelta(minutes=15)
MAX_REASON_CHARACTERS = 1_000
VISIBLE, HIDDEN = "ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"


def queue_url(client: AwsJsonClient, name: str, account: str | None) -> str:
    """Return the address of a queue: composed when the account is known, else asked for (GetQueueUrl)."""
    if account:
        return f"{client.endpoint('sqs')}/{account}/{name}"
    return str(client.call("sqs", "GetQueueUrl", {"QueueName": name})["QueueUrl"])


class SqsQueue:
    """One queue by name. Its address is found on first use and kept; nothing is tried twice here."""

    def __init__(self, client: AwsJsonClient, name: str, *, account: str | None = None) -> None:
        self.name = name
        self._client = client
        self._account = account
        self._url: str | None = None

    def put(self, bodies: Sequence[str], *, delay: timedelta = timedelta(0)) -> None:
        """Put every body as a message, visible after `delay` in whole seconds, never sooner, cut to 15 minutes.

        All are stored, or NotStoredError is raised.
        With more than one body some may be stored when it raises: repeating is safe, since readers expect doubles.
        """
        seconds = ceil(min(max(delay, timedelta(0)), MAX_DELAY).total_seconds())
        for batch in _batches([_clean(body) for body in bodies]):
            self._put_batch(batch, {"DelaySeconds": seconds} if seconds else {})

    def dead_letter(self, body: str, reason: str) -> None:
        """Put the body as it was, with the reason as the attribute `reason`: this queue is a dead-letter queue."""
        text = _clean(reason)[:MAX_REASON_CHARACTERS] or "unknown"
        attributes = {"reason": {"DataType": "String", "StringValue": text}}
        self._call("SendMessage", {"MessageBody": _clean(body), "MessageAttributes": attributes})

    def delete(self, receipts: Sequence[str]) -> None:
        """Delete messages that are done. Raise NotStoredError when one of them may come back.

        What SQS refuses of one batch keeps no other batch from being deleted. A call that fails ends it.
        """
        refused: list[str] = []
        for start in range(0, len(receipts), MAX_BATCH_MESSAGES):
            some = receipts[start : start + MAX_BATCH_MESSAGES]
            entries = [{"Id": str(index), "ReceiptHandle": receipt} for index, receipt in enumerate(some)]
            try:
                self._all_done("DeleteMessageBatch", entries)
            except AwsError:
                raise
            except NotStoredError as error:
                refused.append(str(error))
        if refused:
            raise NotStoredError("; ".join(sorted(set(refused))))

    def hide(self, receipt: str, delay: timedelta) -> None:
        """Let that message come back after `delay` in whole seconds, never sooner; 12 hours at most (SQS refuses more)."""
        arguments = {"ReceiptHandle": receipt, "VisibilityTimeout": ceil(delay.total_seconds())}
        self._call("ChangeMessageVisibility", arguments)

    def take(self) -> list[dict[str, str]]:
        """Return up to ten of the messages that wait, in the form of a Lambda event's `Records`; none when none waits.

        They are hidden from others for the queue's visibility time.
        """
        answer = self._call("ReceiveMessage", {"MaxNumberOfMessages": MAX_BATCH_MESSAGES, "WaitTimeSeconds": 1})
        return [
            {"messageId": each["MessageId"], "receiptHandle": each["ReceiptHandle"], "body": each["Body"]}
            for each in answer.get("Messages") or []
        ]

    def glimpse(self) -> list[dict[str, str]]:
        """Return up to ten of the messages that wait, with when each was sent and its attribute `reason`; hide none."""
        asked = {"MaxNumberOfMessages": MAX_BATCH_MESSAGES, "VisibilityTimeout": 0}
        names = {"AttributeNames": ["SentTimestamp"], "MessageAttributeNames": ["reason"]}
        return [
            {
                "messageId": each["MessageId"],
                "body": each["Body"],
                "sent": (each.get("Attributes") or {}).get("SentTimestamp", ""),
                "reason": ((each.get("MessageAttributes") or {}).get("reason") or {}).get("StringValue", ""),
            }
            for each in self._call("ReceiveMessage", {**asked, **names}).get("Messages") or []
        ]

    def held(self) -> tuple[int, int]:
        """Return how many messages can be seen, and how many are hidden since somebody has taken them; about so many."""
        answer = self._call("GetQueueAttributes", {"AttributeNames": [VISIBLE, HIDDEN]}).get("Attributes") or {}
        return int(answer.get(VISIBLE, 0)), int(answer.get(HIDDEN, 0))

    def _put_batch(self, bodies: Sequence[str], options: Mapping[str, Any]) -> None:
        if len(bodies) == 1:
            self._call("SendMessage", {"MessageBody": bodies[0], **options})
            return
        entries = [{"Id": str(index), "MessageBody": body, **options} for index, body in enumerate(bodies)]
        self._all_done("SendMessageBatch", entries)

    def _all_done(self, action: str, entries: Sequence[Mapping[str, Any]]) -> None:
        failed = self._call(action, {"Entries": entries}).get("Failed") or []
        if failed:
            codes = ", ".join(sorted({str(each.get("Code", "unknown")) for each in failed}))
            raise NotStoredError(f"{self.name}: {action} refused {len(failed)} of {len(entries)} messages ({codes})")

    def _call(self, action: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        if self._url is None:
            self._url = queue_url(self._client, self.name, self._account)
        try:
            return self._client.call("sqs", action, {"QueueUrl": self._url, **arguments})
        except AwsError as error:
            raise AwsError(f"{self.name}: {error}", error.code) from None


def _clean(text: str) -> str:
    """Return the text without what SQS refuses; JSON that we write needs no second look, and the ingest path no pattern."""
    return text if text.isascii() and text.isprintable() else _forbidden().sub("\ufffd", text)


@lru_cache(maxsize=1)
def _forbidden() -> re.Pattern[str]:
    """Return characters that SQS refuses in a body or an attribute (InvalidMessageContents). Compiling takes milliseconds."""
    return re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _batches(bodies: Sequence[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for body in bodies:
        length = len(body.encode())
        if batch and (len(batch) == MAX_BATCH_MESSAGES or size + length > MAX_BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(body)
        size += length
    if batch:
        yield batch
