"""Cold workers: CPU from the start of a process to the end of its first call, with the table and the queues on loopback.

`process` has one event that opens an incident and saves it, `tick` and `deliver` find nothing to do. Each as it is; with the
packages as Chalice builds them, which compiles none; and so with httpx and a boto3 client of the table loaded first, which every
worker did before; in turns in one run. Packages are laid out as by `bench/cold_start.py`.
Run: python bench/cold_worker.py [--rounds 9]
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

sys.path.insert(0, str(Path(__file__).resolve().parent))

from cold_start import ROOT, environment, packaged

from chalicelib.core.event import Event, Severity, Status
from chalicelib.messages.queue import events_messages
from chalicelib.rules.compiled import COMPILED_NAME, RULES_NAME
from chalicelib.rules.file import compile_rules
from tests.loopback import served

BUDGET = 0.43
BEFORE = """
import httpx, boto3
boto3.client("dynamodb")
"""
WORKER = """
from app import {handler}
class Context:
    invoked_function_arn = "arn:aws:lambda:us-east-1:000000000000:function:bench"
RECORD = {{"messageId": "m", "receiptHandle": "r", "body": BODY, "attributes": {{"ApproximateReceiveCount": "1"}}}}
{handler}({{"Records": [RECORD]}} if {queue} else dict.fromkeys(SCHEDULE, ""), Context())
"""
HANDLERS = {"process_webhooks": True, "tick": False, "deliver_notification": True}
SCHEDULE = ("version", "account", "region", "detail", "detail-type", "source", "time", "id", "resources")


def main() -> int:
    """Measure and print; 1 when a worker is over the budget."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    times: dict[tuple[str, str], list[float]] = {}
    with served() as aws, tempfile.TemporaryDirectory() as scratch:
        shipped, plain = (laid_out(Path(scratch) / name, compiled=name == "shipped") for name in ("shipped", "plain"))
        aws.replies |= {
            "UpdateItem": (200, {"Attributes": {}}),
            "GetParameters": (200, {"Parameters": []}),
            "SendMessage": (200, {"MessageId": "m", "MD5OfMessageBody": ""}),
        }
        for number in range(rounds + 1):
            for handler in HANDLERS:
                for name, prelude, folder in (("now", "", shipped), ("plain", "", plain), ("before", BEFORE, plain)):
                    took = cpu(prelude + program(handler), aws.url, folder)
                    if number:
                        times.setdefault((handler, name), []).append(took)
    worst, shares = 0.0, []
    for handler in HANDLERS:
        now, uncompiled, before = (statistics.median(times[handler, name]) * 1e3 for name in ("now", "plain", "before"))
        worst = max(worst, now / before)
        shares.append(f"{handler} {now / before:.2f}")
        print(
            f"{handler:<22} {now:5.0f} ms CPU; packages not compiled {uncompiled:5.0f} ms: {now / uncompiled:.2f}; "
            f"with boto3 and httpx {before:5.0f} ms: {now / before:.2f}   (budget {BUDGET})"
        )
    print(
        "| cold worker, CPU to the end of its first call, against the same with boto3 and httpx loaded | "
        f"at most {BUDGET} | {', '.join(shares)} |"
    )
    return int(worst > BUDGET)


def laid_out(folder: Path, *, compiled: bool) -> Path:
    """Return a folder with what the deployment package holds, the compiled rules too."""
    folder.mkdir()
    packaged(folder, compiled=compiled)
    rules = (ROOT / RULES_NAME).read_text("utf-8")
    for name, text in ((RULES_NAME, rules), (COMPILED_NAME, compile_rules(rules))):
        (folder / "chalicelib" / name).unlink(missing_ok=True)
        (folder / "chalicelib" / name).write_text(text)
    return folder


def program(handler: str) -> str:
    """Return the program of one worker's first call."""
    body = message() if handler == "process_webhooks" else '{"v": 1}'
    return f"BODY = {body!r}\nSCHEDULE = {SCHEDULE!r}\n" + WORKER.format(handler=handler, queue=HANDLERS[handler])


def message() -> str:
    """Return the message of an event that fires."""
    given = Event(
        "e1", "generic", "check", Status.FIRING, Severity.CRITICAL, "Down", datetime.now(UTC), "check", service="api"
    )
    (found,) = events_messages([given])
    return found


def cpu(script: str, url: str, folder: Path) -> float:
    """Return the CPU seconds of one whole process."""
    before = getrusage(RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-S", "-c", script],
        env={**environment(url, folder), "TOCSIN_TABLE": "bench"},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    after = getrusage(RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"the process failed:\n{done.stdout}{done.stderr}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    sys.exit(main())
