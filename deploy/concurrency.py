"""How many invocations of a worker may run at once, chosen from what the account allows altogether.

Without a maximum on its mapping a worker grows by hundreds of invocations a minute, up to the account's limit. Then the
receiving function is throttled, API Gateway answers 5xx, and a sender that does not repeat has lost its alert. A new
account may have a limit of 10 or 50. Concurrency is not reserved: below 100 Lambda refuses it, and above it would take
from the team's other functions what Tocsin seldom uses.
https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html (a maximum is 2 at least)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from botocore.exceptions import ClientError

from deploy.waiting import code_of

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


UNREADABLE = "your keys may not read how many functions the account runs at once"
READ_RIGHT = "give them lambda:GetAccountSettings (deploy/deployer-policy.json, deploy/operator-policy.json)"


@dataclass(frozen=True, slots=True)
class Concurrency:
    """The account's limit of concurrent executions, None where the keys may not read it, and the maximum of each worker."""

    limit: int | None
    workers: Mapping[str, int]

    def maximum(self, name: str, there: int | None) -> int:
        """Return the maximum of a worker whose mapping has `there`. With an unknown limit that stays as it is."""
        return there if there and self.limit is None else self.workers[name]

    @property
    def is_enough(self) -> bool:
        """Return whether a storm leaves executions for the receiving function and for the team's own functions."""
        return self.limit is not None and self.limit >= ENOUGH

    @property
    def text(self) -> str:
        """Return what the account allows, for people."""
        return UNREADABLE if self.limit is None else f"the account runs {self.limit} functions at once"

    @property
    def words(self) -> str:
        """Return each worker with its maximum, for people."""
        return ", ".join(f"{name} at most {maximum}" for name, maximum in self.workers.items())

    @property
    def notes(self) -> tuple[str, ...]:
        """Return what an operator must know, a line each: nothing where the limit is enough."""
        if self.is_enough:
            return ()
        if self.limit is None:
            return (f"{self.text}: workers without a maximum have the lowest; {self.advice}",)
        refused = f"the account runs only {self.limit} functions at once: webhooks of a storm are answered 500"
        return (f"{refused}; {self.advice}",)

    @property
    def advice(self) -> str:
        """Return what to do about a limit that is not enough, or not known."""
        return READ_RIGHT if self.limit is None else f"request {WANTED}: {QUOTA}"


def concurrency(limit: int | None) -> Concurrency:
    """Return the maximum of each worker in an account with this limit; an unknown one may be the lowest."""
    workers = next(workers for least, workers in SHARES if (limit or 0) >= least)
    return Concurrency(limit, MappingProxyType(workers))


def account_concurrency(functions: Any) -> Concurrency:
    """Return the maximum of each worker in the account of this client."""
    try:
        settings = functions.get_account_settings()
    except ClientError as error:
        if not code_of(error).startswith("AccessDenied"):
            raise
        return concurrency(None)
    return concurrency(int(settings["AccountLimit"]["ConcurrentExecutions"]))
