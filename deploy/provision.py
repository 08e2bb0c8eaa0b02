"""What Chalice does not create: the table, the queues with their dead letters, the ways of mails and of AWS's own events.

Safe to repeat. The same code makes them in the embedded AWS and on AWS. Nothing is ever deleted, and no parameter that is there is
overwritten unless it is asked for by value. What an existing stage lacks is added, and each change is a line for the
operator. All of it can be used by the version before: that is what a rollback deploys.
"""

from deploy.aws_events import aws_events
from deploy.clients import Clients
from deploy.mail import feedback
from deploy.names import APP
from deploy.policies import WORKER_SECONDS
from deploy.queues import MAX_RECEIVES, VISIBILITY_SECONDS, queue
from deploy.table import table
from deploy.waiting import PATIENT, Wait

assert VISIBILITY_SECONDS >= WORKER_SECONDS


def provision(clients: Clients, stage: str, *, mails: bool, wait: Wait = PATIENT) -> list[str]:
    """Make all that Chalice does not create, or bring it up to date. Return what changed, a line each."""
    return stage_table(clients, stage, wait=wait) + queues_and_mail(clients, stage, mails=mails, wait=wait)


def stage_table(clients: Clients, stage: str, *, wait: Wait = PATIENT) -> list[str]:
    """Make the stage's table first: it holds the lock of the deploy."""
    return table(clients("dynamodb"), f"{APP}-{stage}", stage, wait=wait)


def queues_and_mail(clients: Clients, stage: str, *, mails: bool, wait: Wait = PATIENT) -> list[str]:
    """Make the rest; `mails` says whether anybody is notified by mail."""
    sqs = clients("sqs")
    made = [
        each
        for name in MAX_RECEIVES
        for each in queue(sqs, f"{APP}-{stage}-{name}", MAX_RECEIVES[name], stage, wait=wait)
    ]
    return made + feedback(clients, stage, mails=mails, wait=wait) + aws_events(clients, stage, wait=wait)
