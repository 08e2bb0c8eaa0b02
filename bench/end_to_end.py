"""From webhook to Slack: the time between a webhook's request and Slack's, on the local stack, warm, group_wait 0.

Deploys the app into an embedded AWS of its own, with the inbox as Slack; every webhook is about another host, so that
each opens an incident and is one new message; they are a little over a second apart, since Tocsin keeps to Slack's one
message a second and channel. Prints p50 and p95 in milliseconds, and those of the answer to the sender.

The emulator waits up to 50 ms after each call of a function for a line of its log: here it does not (`SITE`). With
`--against` another commit is checked out and deployed beside this one, the webhooks are sent to both in turns, and the
ratio of the medians is printed. Run: python bench/end_to_end.py [--webhooks 30] [--against faa447b]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import boto3

from deploy.clients import Clients
from deploy.deployment import ROOT, Deploy
from deploy.parameters import put_parameters
from deploy.smoke import request
from local.cloud import Cloud
from local.inbox import Inbox
from local.run import wanted_parameters

BUDGET_MS = 500
WAIT_SECONDS = 30.0
WARM_UP = 10
APART_SECONDS = 1.2


BUDGET_OF_OTHER = 0.7
SITE = """
import sys
if sys.orig_argv[-1].endswith("emulator.py"):
    from ministack.core.lambda_runtime import Worker
    Worker._drain_stderr_bounded.__defaults__ = (0.0, *Worker._drain_stderr_bounded.__defaults__[1:])
"""
"""What the emulator's interpreter runs at its start: no wait for the first line of a log."""
STACK = """
import json, sys, tempfile
from pathlib import Path
sys.path[:0] = [".", "bench"]
import end_to_end as bench
from local.cloud import Cloud
from local.inbox import UNLIMITED, Inbox
with (
    tempfile.TemporaryDirectory(prefix="tocsin-bench-") as folder,
    Cloud(Path(folder), persist=False, environment={"PYTHONPATH": sys.argv[1]}) as cloud,
    Inbox(emulator=cloud.url, emulator_key=cloud.key.id, limits=UNLIMITED) as inbox,
):
    url, secret = bench.deployed(cloud, inbox)
    for line in sys.stdin:
        print(json.dumps(bench.one(line.strip(), url, secret, inbox)), flush=True)
"""
"""A stack of a checkout, by the parts of its own program here: it sends a webhook of each name that it is given."""

Times = list[tuple[float, float]]
"""Milliseconds until the answer, and until Slack was asked, of each webhook."""


def main() -> int:
    """Measure and print; 1 when a webhook was not told at all, or this version is over its budget."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--webhooks", type=int, default=30, help="how many, one after the other")
    parser.add_argument("--against", metavar="COMMIT", help="measure this commit as well, in turns")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tocsin-site-")))
        (folder / "sitecustomize.py").write_text(SITE, encoding="utf-8")
        checkouts = {"this": ROOT}
        if options.against:
            checkouts[options.against] = stack.enter_context(checkout(options.against))
        stacks = {name: stack.enter_context(started(path, folder)) for name, path in checkouts.items()}
        for number in range(WARM_UP):
            for each in stacks.values():
                sent(each, f"warm-{number}")
        found: dict[str, Times] = {name: [] for name in stacks}
        for number in range(options.webhooks):
            for name, each in stacks.items():
                found[name].append(sent(each, f"host-{number}"))
    for name, times in found.items():
        show(name, times)
    if not options.against:
        return 0
    ours, other = (statistics.median(each[1] for each in times) for times in found.values())
    print(f"this / {options.against}: {ours / other:.2f} of the time to Slack   (budget {BUDGET_OF_OTHER})")
    print(
        f"| the same, against the version of `{options.against}`, in turns | p50 at most {BUDGET_OF_OTHER} | {ours / other:.2f} |"
    )
    return int(ours / other > BUDGET_OF_OTHER)


def show(name: str, times: Times) -> None:
    """Print what a version needed."""
    for what, values in (
        ("answer to the sender", [each[0] for each in times]),
        ("request at Slack", [each[1] for each in times]),
    ):
        cuts = statistics.quantiles(values, n=20, method="inclusive")
        budget = f"   (budget p95 {BUDGET_MS} ms)" if "Slack" in what else ""
        if budget and name == "this":
            measured = f"p50 {statistics.median(values):.0f} ms, p95 {cuts[-1]:.0f} ms"
            print(f"| webhook to the request at Slack, local stack, warm | p95 under {BUDGET_MS} ms | {measured} |")
        print(f"{name:<10} {what:<22} p50 {statistics.median(values):6.1f} ms   p95 {cuts[-1]:6.1f} ms{budget}")


@contextmanager
def checkout(commit: str) -> Iterator[Path]:
    """Make a work tree of the commit, with the emulator of this one."""
    with tempfile.TemporaryDirectory(prefix="tocsin-other-") as folder:
        path = Path(folder) / "checkout"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(path), commit], check=True)
        try:
            (path / ".venv-emulator").symlink_to(ROOT / ".venv-emulator")
            yield path
        finally:
            subprocess.run([*git, "remove", "--force", str(path)], check=True)


@contextmanager
def started(path: Path, site: Path) -> Iterator["subprocess.Popen[str]"]:
    """Start the stack of a checkout, and stop it in the end."""
    command = [sys.executable, "-c", STACK, str(site)]
    with subprocess.Popen(command, cwd=path, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


def sent(stack: "subprocess.Popen[str]", name: str) -> tuple[float, float]:
    """Have a stack send one webhook; what it took."""
    assert stack.stdin is not None and stack.stdout is not None
    stack.stdin.write(f"{name}\n")
    stack.stdin.flush()
    line = stack.stdout.readline()
    if not line:
        raise SystemExit("a stack ended: its last lines above say why")
    answered, told = json.loads(line)
    return answered, told


def deployed(cloud: Cloud, inbox: Inbox) -> tuple[str, str]:
    """Return the address of the API, and the secret of Cloudflare's webhooks."""
    arguments: dict[str, Any] = cloud.client_arguments()
    arguments.pop("endpoint_url")
    clients = Clients(boto3.Session(**arguments), cloud.url)
    values = wanted_parameters({}, {}, inbox=inbox.url)
    put_parameters(clients("ssm"), "local", values, there={})
    bare = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    job = Deploy("local", clients, {**bare, **cloud.environment()}, ROOT, say=lambda text: print(text, file=sys.stderr))
    return job.run().url, values["CLOUDFLARE_WEBHOOK_SECRET"]


def one(name: str, url: str, secret: str, inbox: Inbox) -> tuple[float, float]:
    """Return the milliseconds until the answer, and until Slack was asked, for one webhook."""
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
