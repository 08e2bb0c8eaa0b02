"""From webhook to Slack: the time between a webhook's request and Slack's, on the local stack, warm, group_wait 0.

Deploys the app into an embedded AWS of its own, with the inbox as Slack; every webhook is about another host, so that
each opens an incident and is one new message; they are a little over a second apart, since Tocsin keeps to Slack's one
message a second and channel. Prints p50 and p95 in milliseconds, and those of the answer to the sender.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import boto3

from deploy.clients import Clients
from deploy.deployment import ROOT, Deploy
from deploy.parameters import put_parameters
from deploy.smoke import request
from local.cloud import Cloud
from local.inbox import UNLIMITED, Inbox
from local.run import wanted_parameters

BUDGET_MS = 500
WAIT_SECONDS = 30.0
WARM_UP = 10
APART_SECONDS = 1.2


def main() -> int:
    """Measure and print; 1 when a webhook was not told at all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--webhooks", type=int, default=30, help="how many, one after the other")
    count = parser.parse_args().webhooks
    with (
        tempfile.TemporaryDirectory(prefix="tocsin-bench-") as folder,
        Cloud(Path(folder), persist=False) as cloud,
        Inbox(emulator=cloud.url, emulator_key=cloud.key.id, limits=UNLIMITED) as inbox,
    ):
        url, secret = deployed(cloud, inbox)
        for number in range(WARM_UP):
            one(f"warm-{number}", url, secret, inbox)
        found = [one(f"host-{number}", url, secret, inbox) for number in range(count)]
    for name, values in (
        ("answer to the sender", [each[0] for each in found]),
        ("request at Slack", [each[1] for each in found]),
    ):
        cuts = statistics.quantiles(values, n=20, method="inclusive")
        budget = f"   (budget p95 {BUDGET_MS} ms)" if "Slack" in name else ""
        print(f"{name:<22} p50 {statistics.median(values):6.0f} ms   p95 {cuts[-1]:6.0f} ms{budget}")
    return 0


def deployed(cloud: Cloud, inbox: Inbox) -> tuple[str, str]:
    """The address of the API, and the secret of Cloudflare's webhooks."""
    arguments: dict[str, Any] = cloud.client_arguments()
    arguments.pop("endpoint_url")
    clients = Clients(boto3.Session(**arguments), cloud.url)
    values = wanted_parameters({}, {}, inbox=inbox.url)
    put_parameters(clients("ssm"), "local", values, there={})
    bare = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    job = Deploy("local", clients, {**bare, **cloud.environment()}, ROOT, say=lambda text: print(text, file=sys.stderr))
    return job.run().url, values["CLOUDFLARE_WEBHOOK_SECRET"]


def one(name: str, url: str, secret: str, inbox: Inbox) -> tuple[float, float]:
    """Milliseconds until the answer, and until Slack was asked, for one webhook."""
    threading.Event().wait(APART_SECONDS)
    body = {
        "name": "Health checks",
        "alert_type": "health_check_status_notification",
        "ts": int(time.time()),
        "data": {"name": name, "health_check_id": name, "status": "Unhealthy", "reason": "Connection timeout"},
    }
    began = time.time()
    status, answer = request(f"{url}webhooks/cloudflare", json.dumps(body).encode(), {"cf-webhook-auth": secret})
    answered = time.time()
    if status != 202:
        raise SystemExit(f"the webhook was answered {status}: {answer}")
    while time.time() < began + WAIT_SECONDS:
        for each in inbox.messages:
            if name in str(each.get("text")):
                return (answered - began) * 1000, (float(each["ts"]) - began) * 1000
        threading.Event().wait(0.01)
    raise SystemExit(f"{name} was not told within {WAIT_SECONDS:.0f} seconds")


if __name__ == "__main__":
    sys.exit(main())
