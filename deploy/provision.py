"""What Chalice does not create: the table, the queues with their dead letters, parameters, alarms. Safe to repeat.

The same code makes them in the embedded AWS and on AWS. Nothing is ever deleted, and no parameter that is there is
overwritten unless it is asked for by value.
"""

from deploy.clients import Clients
from deploy.mail import feedback
from deploy.names import APP
from deploy.policies import WORKER_SECONDS
from deploy.queues import MAX_RECEIVES, VISIBILITY_SECONDS, queue
from deploy.table import table

assert VISIBILITY_SECONDS >= WORKER_SECONDS


def provision(clients: Clients, stage: str) -> list[str]:
    """Make table and queues of a stage, or bring them up to date; what was new, in words."""
    made = table(clients("dynamodb"), f"{APP}-{stage}", stage)
    for name in MAX_RECEIVES:
        made += queue(clients("sqs"), f"{APP}-{stage}-{name}", MAX_RECEIVES[name], stage)
    return made + feedback(clients, stage)
