"""tocsin redrive: what waits in the dead-letter queues, and back with it on its way.

    tocsin redrive --stage prod                          what waits, and why
    tocsin redrive --stage prod --all                    everything
    tocsin redrive --stage prod --reason channel_not_found
    tocsin redrive --stage prod --id 3fa8                one: by message, notification or incident id, or its beginning

Safe to repeat and to break off: a message is put back before it is taken away, and nobody is notified twice. A
notification goes out only if it is still its target's newest word on the incident: nobody is paged for what is over.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.core.delivery.writing import duration_words, one_line
from chalicelib.messages import dead_letters as in_words
from chalicelib.messages.redrive import played_back
from chalicelib.settings import dead_letters
from cli.stage import Stage, StageError, stage_of
from deploy.queues import MAX_RECEIVES

QUEUES = tuple(MAX_RECEIVES)
LOOKED_AT = timedelta(minutes=2)
"""How long a dead letter is hidden from others while this command looks at it."""
MAX_EMPTY_LOOKS = 3
"""Standard queues answer from some of their servers: only several empty answers are the end."""
BY_TOPIC, BY_SQS = in_words.BY_TOPIC, in_words.BY_SQS


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter. `reason` is why it was parked, `names` the ids by which it may be asked for."""

    queue: str
    id: str
    body: str
    receipt: str
    reason: str
    what: str
    parked_at: datetime
    names: tuple[str, ...]


HELP = "play dead letters back"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("queue", nargs="?", choices=QUEUES, help="only the dead letters of this queue")
    parser.add_argument("--stage", default="local", help="local (make run), dev, prod, or a name of yours")
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--all", action="store_true", help="play all of them back")
    chosen.add_argument("--id", metavar="ID", help="play one back")
    chosen.add_argument("--reason", metavar="TEXT", help="play those back whose reason holds this text")


def run(arguments: argparse.Namespace) -> int:
    """List, or play back; 1 when something could not be."""
    try:
        return redrive(stage_of(arguments.stage), arguments)
    except (ClientError, BotoCoreError) as error:
        raise StageError(f"AWS refused: {one_line(str(error))}") from None


def redrive(stage: Stage, arguments: argparse.Namespace) -> int:
    """Look through the dead letters and put back those that were asked for."""
    names = [arguments.queue] if arguments.queue else list(QUEUES)
    letters = [letter for name in names for letter in waiting(stage, name)]
    try:
        found = [letter for letter in letters if _is_asked_for(letter, arguments)]
        if not (arguments.all or arguments.id or arguments.reason):
            return _listed(letters)
        for letter in found:
            put_back(stage, letter)
            print(f"played back: {_line(letter)}")
    finally:
        _released(stage, letters)
    print(f"{len(found)} of {len(letters)} dead letters played back")
    if not found and letters:
        print("tocsin: none fits; `tocsin redrive` without a choice lists them", file=sys.stderr)
    return 1 if not found and (arguments.id or arguments.reason) else 0


def waiting(stage: Stage, name: str) -> Iterator[Letter]:
    """Yield everything in the dead-letter queue of a queue, hidden from others for two minutes."""
    sqs, url = stage.aws("sqs"), _dead_url(stage, name)
    seen: set[str] = set()
    empty = 0
    while empty < MAX_EMPTY_LOOKS:
        answer = sqs.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=10,
            VisibilityTimeout=int(LOOKED_AT.total_seconds()),
            AttributeNames=["SentTimestamp"],
            MessageAttributeNames=["reason"],
        )
        new = [each for each in answer.get("Messages", []) if each["MessageId"] not in seen]
        empty = 0 if new else empty + 1
        for each in new:
            seen.add(each["MessageId"])
            yield letter_of(name, each)


def letter_of(queue: str, message: Mapping[str, Any]) -> Letter:
    """Return a dead letter as it is received, with what it is about in words."""
    what, names = in_words.described(message["Body"])
    given = message.get("MessageAttributes", {}).get("reason", {}).get("StringValue") or ""
    reason = in_words.why(message["Body"], given)
    sent = int(message.get("Attributes", {}).get("SentTimestamp", 0)) / 1_000
    return Letter(
        queue,
        message["MessageId"],
        message["Body"],
        message["ReceiptHandle"],
        reason,
        what,
        datetime.fromtimestamp(sent, UTC),
        (message["MessageId"], *names),
    )


def put_back(stage: Stage, letter: Letter) -> None:
    """Put it on its queue, then take it from the dead letters: broken off between, it is there twice, and sent once."""
    sqs = stage.aws("sqs")
    main = stage.queue_url(f"{stage.settings.queue_prefix}-{letter.queue}")
    sqs.send_message(QueueUrl=main, MessageBody=played_back(letter.body))
    sqs.delete_message(QueueUrl=_dead_url(stage, letter.queue), ReceiptHandle=letter.receipt)


def _released(stage: Stage, letters: Sequence[Letter]) -> None:
    """Show the rest to others at once; a letter that was taken away is no matter."""
    sqs = stage.aws("sqs")
    for letter in letters:
        try:
            sqs.change_message_visibility(
                QueueUrl=_dead_url(stage, letter.queue), ReceiptHandle=letter.receipt, VisibilityTimeout=0
            )
        except ClientError:
            continue


def _dead_url(stage: Stage, name: str) -> str:
    return stage.queue_url(dead_letters(f"{stage.settings.queue_prefix}-{name}"))


def _is_asked_for(letter: Letter, arguments: argparse.Namespace) -> bool:
    if arguments.id:
        return any(name.startswith(arguments.id) for name in letter.names)
    if arguments.reason:
        return arguments.reason.lower() in letter.reason.lower()
    return bool(arguments.all)


def _listed(letters: Sequence[Letter]) -> int:
    for letter in sorted(letters, key=lambda each: each.parked_at):
        print(_line(letter))
    print(f"{len(letters)} dead letters" + ("; play them back with --all, --reason or --id" if letters else ""))
    return 0


def _line(letter: Letter) -> str:
    age = duration_words(datetime.now(UTC) - letter.parked_at)
    return f"{letter.id[:8]}  {letter.queue}  {age} ago  {letter.what}\n          why: {one_line(letter.reason)}"
