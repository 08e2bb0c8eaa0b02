"""How many invocations of a worker may run at once, chosen from what the account allows altogether.

Without a maximum on its mapping a worker grows by hundreds of invocations a minute, up to the account's limit. Then the
receiving function is throttled, the REST API answers 500, and a sender that does not repeat has lost its alert. A new
account may have a limit of 10 or 50. Concurrency is not reserved: below 100 Lambda refuses it, and above it would take
from the team's other functions what Tocsin seldom uses.
https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html (a maximum is 2 at least)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

ENOUGH = 100
"""Below it the deploy asks the operator to request more: a storm then needs all of it."""
QUOTA = "https://console.aws.amazon.com/servicequotas/home/services/lambda/quotas/L-B99A9384"
WANTED = 1_000
SHARES = (
    (ENOUGH, {"process_webhooks": 20, "process_counts": 5, "deliver_notification": 10}),
    (50, {"process_webhooks": 10, "process_counts": 2, "deliver_notification": 5}),
    (0, {"process_webhooks": 2, "process_counts": 2, "deliver_notification": 3}),
)
"""From which limit of the account on, and the maximum of each worker.

A target that hangs holds a delivery for ten seconds. Never fewer than three deliveries, so that a page does not wait behind it.
"""


@dataclass(frozen=True, slots=True)
class Concurrency:
    """The account's limit of concurrent executions, and each worker's maximum by the name of its function."""

    limit: int
    workers: Mapping[str, int]

    @property
    def is_enough(self) -> bool:
        """Whether a storm leaves executions for the receiving function and for the team's own functions."""
        return self.limit >= ENOUGH

    @property
    def words(self) -> str:
        """Return each worker with its maximum, for people."""
        return ", ".join(f"{name} at most {maximum}" for name, maximum in self.workers.items())

    @property
    def notes(self) -> tuple[str, ...]:
        """Return what an operator must know, a line each: nothing where the limit is enough."""
        if self.is_enough:
            return ()
        refused = f"the account runs only {self.limit} functions at once: webhooks of a storm are answered 500"
        return (f"{refused}; {self.advice}",)

    @property
    def advice(self) -> str:
        """Return what to do about a limit that is not enough."""
        return f"request {WANTED}: {QUOTA}"


def concurrency(limit: int) -> Concurrency:
    """Return the maximum of each worker in an account with this limit."""
    workers = next(workers for least, workers in SHARES if limit >= least)
    return Concurrency(limit, MappingProxyType(workers))


def account_concurrency(functions: Any) -> Concurrency:
    """Return the maximum of each worker in the account of this client."""
    return concurrency(int(functions.get_account_settings()["AccountLimit"]["ConcurrentExecutions"]))
