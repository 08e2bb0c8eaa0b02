"""Worker CPU for each event of a storm on the real store: DynamoDB's protocol over loopback, the embedded AWS behind it.

The same storm through the store's own client and through boto3, in one run; CPU of this process alone, so that the embedded
AWS does not count. And the CPU of single calls, own client against boto3.
Run: python bench/store.py [--events 10000] [--faults 200]
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from time import sleep
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import boto3
from storm import ROOT, START, Router, webhooks

from chalicelib.aws.dynamodb import DynamoStore
from chalicelib.aws.json_client import WORKER_TIMEOUT_SECONDS, AwsJsonClient
from chalicelib.aws.table_client import TableClient
from chalicelib.rules.loader import load_rules
from chalicelib.schedule.tick import tick
from deploy.table import table
from local.cloud import Cloud
from tests.aws.tables import OverBoto

BUDGET_MILLISECONDS = 1.1
SERVICES = 20
CALLS = 300


def main() -> int:
    """Measure and print; 1 when it is over the budget."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--faults", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as folder, Cloud(Path(folder), persist=False) as cloud:
        boto = boto3.client("dynamodb", **cloud.client_arguments())
        small = AwsJsonClient("us-east-1", timeout_seconds=WORKER_TIMEOUT_SECONDS, environment=cloud.environment())
        clients: dict[str, Any] = {"own": TableClient(small, pause=sleep), "boto3": OverBoto(boto)}
        found = {}
        for name, client in clients.items():
            table(boto, f"bench-{name}", "local")
            found[name] = storm(DynamoStore(client, f"bench-{name}", pause=sleep), options) / options.events * 1e3
            print(f"storm, an event, {name:<6} {found[name]:6.2f} ms CPU" + budget(name))
        print(f"own / boto3              {found['own'] / found['boto3']:6.2f}")
        print(
            f"| worker CPU an event on the real store, storm of {options.events:,} of {options.faults} faults | "
            f"at most {BUDGET_MILLISECONDS} ms | {found['own']:.2f} ms; {found['boto3']:.2f} by boto3 |"
        )
        for call, arguments in calls().items():
            cost = {name: each(getattr(client, call), arguments) for name, client in clients.items()}
            print(
                f"{call:<16} own {cost['own']:5.2f} ms   boto3 {cost['boto3']:5.2f} ms   {cost['boto3'] / cost['own']:4.1f} x"
            )
    return int(found["own"] > BUDGET_MILLISECONDS)


def budget(name: str) -> str:
    """Return the budget of the own client, for its line."""
    return f"   (budget {BUDGET_MILLISECONDS} ms)" if name == "own" else ""


def storm(store: DynamoStore, options: argparse.Namespace) -> float:
    """Return the CPU seconds of a storm."""
    router = Router(load_rules(ROOT))
    router.store = store  # type: ignore[assignment]
    listed = list(webhooks(options.events, options.faults, SERVICES))
    tick(rules=router.rules, store=store, queues=router.queues, now=START)
    began = time.process_time()
    router.run(listed)
    return time.process_time() - began


def calls() -> dict[str, dict[str, Any]]:
    """Return a read and a write of an item of 6 kB."""
    key = {"pk": {"S": "incident#k"}, "sk": {"S": "incident"}}
    item = {**key, "body": {"B": os.urandom(6_000)}, "version": {"N": "1"}}
    return {
        "put_item": {"TableName": "bench-own", "Item": item},
        "get_item": {"TableName": "bench-own", "Key": key, "ConsistentRead": True},
    }


def each(call: Callable[..., Any], arguments: dict[str, Any]) -> float:
    """Return the CPU milliseconds of one call."""
    call(**arguments)
    began = time.process_time()
    for _ in range(CALLS):
        call(**arguments)
    return (time.process_time() - began) / CALLS * 1e3


if __name__ == "__main__":
    sys.exit(main())
