"""Warm ingest: one webhook of 300 kB through app.py, from the gateway's event to the answer, the queue call excluded.

The body is a Sentry-like event of nested frames; it is decoded, verified, checked to be JSON, compressed and written
as a message; only the call to SQS is left out. Prints the median and the 99th percentile in milliseconds, by the wall
and by CPU time, which other work on the machine does not disturb. Budget: p99 under 5 ms.

Each request is also measured with the former steps in their places, in turns: zlib at its fastest, and the depth of the
body by a walk through its values. Budget: ours at most 0.75 of the former CPU time, by the medians.
Run: python bench/warm_ingest.py [--rounds 1000] [--kilobytes 300]
"""

import argparse
import contextlib
import gc
import io
import json
import os
import random
import statistics
import sys
import time
import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
SECRET = "bench-secret"
os.environ |= {
    "AWS_ACCESS_KEY_ID": "bench",
    "AWS_SECRET_ACCESS_KEY": "bench",
    "AWS_REGION": "us-east-1",
    "TOCSIN_STAGE": "bench",
}

import app
from chalicelib import plugins
from chalicelib.ingest import receive, wiring

CONTEXT = SimpleNamespace(invoked_function_arn="arn:aws:lambda:us-east-1:000000000000:function:bench")


BUDGET_OF_FORMER = 0.75


def former_depth(body: bytes, limit: int) -> bool:
    """Return whether a body is nested deeper, as it was found out before: level by level, through the values read once."""
    level: list[Any] = [READ[0]]
    for _ in range(limit):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer)
            if type(inner) is dict or type(inner) is list
        ]
        if not level:
            return False
    return True


def former_compressed(body: bytes) -> bytes:
    """Return the body compressed as it was before."""
    return zlib.compress(body, 1)


OURS = {"is_deeper": receive.is_deeper, "compressed": receive.compressed}
FORMER = {"is_deeper": former_depth, "compressed": former_compressed}
READ: list[Any] = []
"""The values of the body, which the former steps had at hand."""


class NoQueue:
    """Takes a message without a call."""

    def put(self, bodies: list[str]) -> None:
        """Drop them."""
        assert bodies[0]


def body_of(size: int) -> str:
    """Return JSON of at least that many bytes, about as varied as a real event."""
    words = random.Random(7)
    frames: list[dict[str, Any]] = []
    text = ""
    while len(text) < size:
        frames += [
            {
                "filename": f"app/{words.randbytes(6).hex()}.py",
                "function": f"handle_{words.randrange(500)}",
                "lineno": words.randrange(3000),
                "context_line": f"    value = compute({words.random()}, retries={words.randrange(9)})",
                "pre_context": [f"    # step {words.randrange(10_000)} of the way" for _ in range(5)],
                "vars": {f"name_{n}": words.randbytes(8).hex() for n in range(8)},
                "in_app": True,
            }
            for _ in range(20)
        ]
        text = json.dumps({"text": "bench", "alert_type": "bench", "data": {"frames": frames}})
    return text


def event_of(body: str) -> dict[str, Any]:
    """Return what API Gateway hands over."""
    return {
        "httpMethod": "POST",
        "resource": "/webhooks/{source}",
        "path": "/webhooks/cloudflare",
        "requestContext": {"httpMethod": "POST", "resourcePath": "/webhooks/{source}"},
        "multiValueQueryStringParameters": None,
        "pathParameters": {"source": "cloudflare"},
        "stageVariables": None,
        "headers": {"content-type": "application/json", "cf-webhook-auth": SECRET},
        "body": body,
        "isBase64Encoded": False,
    }


def measured(event: dict[str, Any], steps: dict[str, Any]) -> tuple[float, float]:
    """Return milliseconds by the wall and of CPU for one request, with these steps in their places."""
    vars(receive).update(steps)
    cpu, wall = time.process_time(), time.perf_counter()
    answer = app.app(event, CONTEXT)
    taken = (time.perf_counter() - wall) * 1000, (time.process_time() - cpu) * 1000
    assert answer["statusCode"] == 202, answer
    return taken


def taken_by(event: dict[str, Any], rounds: int) -> list[tuple[float, float]]:
    """Return what so many requests took, after some that are not counted."""
    return in_turns(event, rounds, {"ours": OURS})["ours"]


def in_turns(
    event: dict[str, Any], rounds: int, variants: dict[str, dict[str, Any]]
) -> dict[str, list[tuple[float, float]]]:
    """Return what so many requests took with each of the steps, after some that are not counted."""
    os.environ[plugins.load("sources", "cloudflare").SECRETS[0]] = SECRET
    ports = wiring.ports("000000000000")
    wiring.ports = lambda account: SimpleNamespace(
        queue=NoQueue(), bodies=ports.bodies, secrets=ports.secrets, counters=ports.counters
    )
    READ[:] = [json.loads(event["body"])]
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in variants}
    with contextlib.redirect_stdout(io.StringIO()):
        for number in range(50 + rounds):
            if number == 50:
                gc.collect()
            for name, steps in variants.items():
                took = measured(event, steps)
                if number >= 50:
                    taken[name].append(took)
    return taken


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--kilobytes", type=int, default=300)
    options = parser.parse_args()
    event = event_of(body_of(options.kilobytes * 1000))
    taken = in_turns(event, options.rounds, {"ours": OURS, "former": FORMER})
    print(f"body {len(event['body']):,} bytes, {options.rounds} requests, queue call excluded")
    shown = []
    for steps, found in taken.items():
        for name, column in (("wall", 0), ("cpu", 1)):
            times = sorted(row[column] for row in found)
            middle, high = times[len(times) // 2], times[int(len(times) * 0.99)]
            shown += [f"{name} p50 {middle:.1f} ms, p99 {high:.1f} ms"] if steps == "ours" else []
            print(
                f"{steps:7}{name:5} p50 {middle:6.2f} ms   p99 {high:6.2f} ms{'   (budget p99 5 ms)' if steps == 'ours' else ''}"
            )
    ours, former = (statistics.median(row[1] for row in found) for found in taken.values())
    print(f"ours / former        {ours / former:6.2f} of the CPU time   (budget {BUDGET_OF_FORMER})")
    size = f"{options.kilobytes} kB"
    print(f"| warm ingest, {size}, queue call excluded | p99 under 5 ms | {'; '.join(shown)} |")
    print(
        "| the same, against the former steps (zlib, a walk through the values for the depth), CPU | "
        f"at most {BUDGET_OF_FORMER} | {ours / former:.2f} |"
    )


if __name__ == "__main__":
    main()
