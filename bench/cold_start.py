"""Cold ingest: from the start of a process to the answer of one signed webhook, with one send to a queue on loopback.

Three ways to write the same endpoint, taken in turns in one run, so that what disturbs one disturbs all:

    ours         app.py as it is shipped
    boto3        the same Chalice route, but a boto3 client sends
    everything   the same, and pydantic, httpx, yaml and sentry_sdk (started) are imported at the top

Packages are laid out as on Lambda: ours is compiled as a deploy compiles it; that of the others (chalice, httpx, pydantic,
sentry_sdk, yaml) has no compiled files and none are written, as Chalice builds it; boto3 is the runtime's and has them. No site
hooks run.

Prints the medians of wall and of CPU time, which other work on the machine disturbs less, and their ratios. Budget: ours at most a third of boto3 and an eighth of everything.
Run: python bench/cold_start.py [--rounds 15]
"""

import argparse
import compileall
import importlib.util
import json
import os
import py_compile
import resource
import shutil
import site
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.loopback import served

PACKAGED = (
    "annotated_types",
    "anyio",
    "certifi",
    "chalice",
    "h11",
    "httpcore",
    "httpx",
    "idna",
    "pydantic",
    "pydantic_core",
    "sentry_sdk",
    "typing_extensions",
    "typing_inspection",
    "urllib3",
    "yaml",
)
BODY = json.dumps({"text": "something burns", "alert_type": "bench", "data": {}})
SECRET = "bench-secret"

EVENT = """
import json, sys
EVENT = {
    "httpMethod": "POST", "resource": "/webhooks/{source}", "path": "/webhooks/cloudflare",
    "requestContext": {"httpMethod": "POST", "resourcePath": "/webhooks/{source}"}, "queryStringParameters": None,
    "multiValueQueryStringParameters": None, "pathParameters": {"source": "cloudflare"}, "stageVariables": None,
    "headers": {"content-type": "application/json", "cf-webhook-auth": "bench-secret"},
    "body": BODY, "isBase64Encoded": False,
}
class Context:
    invoked_function_arn = "arn:aws:lambda:us-east-1:000000000000:function:bench"
    function_name, function_version, aws_request_id = "bench", "1", "r"
    log_group_name = log_stream_name = "bench"
    def get_remaining_time_in_millis(self):
        return 60_000
answer = app(EVENT, Context())
assert answer["statusCode"] == 202, answer
"""

OURS = "from app import app"

BOTO3 = """
import hmac, os
import boto3
from chalice import Chalice, Response
app = Chalice(app_name="bench")
sqs = boto3.client("sqs")
@app.route("/webhooks/{source}", methods=["POST"], content_types=["application/json"])
def receive(source):
    request = app.current_request
    if not hmac.compare_digest(request.headers.get("cf-webhook-auth", ""), os.environ["CLOUDFLARE_WEBHOOK_SECRET"]):
        return Response({}, status_code=401)
    sqs.send_message(QueueUrl=os.environ["BENCH_QUEUE"], MessageBody=request.raw_body.decode())
    return Response({}, status_code=202)
"""

EVERYTHING = """
import httpx, pydantic, yaml
import sentry_sdk
sentry_sdk.init(dsn="http://key@127.0.0.1:9/1")
class Event(pydantic.BaseModel):
    text: str
    alert_type: str
client = httpx.Client()
""" + BOTO3.replace("sqs.send", "Event.model_validate_json(request.raw_body)\n    sqs.send")

VARIANTS = {"ours": OURS, "boto3": BOTO3, "everything": EVERYTHING}


def packaged(folder: Path, *, compiled: bool) -> None:
    """Lay out what the deployment package holds: compiled as a deploy does, or with compiled code of chalicelib alone."""
    bare = shutil.ignore_patterns("__pycache__", "*.pyc", "cli", "deploy")
    shutil.copy(ROOT / "app.py", folder)
    shutil.copytree(ROOT / "chalicelib", folder / "chalicelib", ignore=bare, ignore_dangling_symlinks=True)
    for name in PACKAGED:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise SystemExit(f"{name} is not installed: run `make setup`")
        origin = Path(spec.origin)
        if origin.name != "__init__.py":
            shutil.copy(origin, folder)
        else:
            shutil.copytree(origin.parent, folder / name, ignore=bare)
    hashed = py_compile.PycInvalidationMode.UNCHECKED_HASH if compiled else py_compile.PycInvalidationMode.CHECKED_HASH
    compileall.compile_dir(folder if compiled else folder / "chalicelib", quiet=2, invalidation_mode=hashed)


def environment(url: str, folder: Path) -> dict[str, str]:
    """Return what Lambda would set, and the secret by variable, so that one send is all."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join((str(folder), *site.getsitepackages())),
        "PYTHONDONTWRITEBYTECODE": "1",
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": url,
        "TOCSIN_STAGE": "bench",
        "CLOUDFLARE_WEBHOOK_SECRET": SECRET,
        "BENCH_QUEUE": f"{url}/000000000000/bench",
    }


def seconds(program: str, url: str, folder: Path) -> tuple[float, float]:
    """Return the time of one whole process, by the wall and of the CPU."""
    script = f"{program}\nBODY = {BODY!r}\n{EVENT}"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-S", "-c", script],
        env=environment(url, folder),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    took = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"the process failed:\n{done.stdout}{done.stderr}")
    return took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in VARIANTS}
    with served() as aws, tempfile.TemporaryDirectory() as ours, tempfile.TemporaryDirectory() as others:
        packaged(Path(ours), compiled=True)
        packaged(Path(others), compiled=False)
        aws.replies["SendMessage"] = (200, {"MessageId": "m", "MD5OfMessageBody": ""})
        for number in range(rounds + 1):
            for name, program in VARIANTS.items():
                took = seconds(program, aws.url, Path(ours if name == "ours" else others))
                if number:
                    times[name].append(took)
        assert aws.actions == ["SendMessage"] * (len(VARIANTS) * (rounds + 1)), "each process sends exactly once"
    found_in = {}
    for column, what in enumerate(("wall", "cpu")):
        medians = {name: statistics.median(each[column] for each in found) for name, found in times.items()}
        found_in[what] = medians
        for name, median in medians.items():
            print(f"{what:5}{name:12} {median * 1000:7.0f} ms   {median / medians['ours']:5.2f} x ours")
        print(f"{what:5}ours / boto3      = {medians['ours'] / medians['boto3']:.3f}   (budget 0.333)")
        print(f"{what:5}ours / everything = {medians['ours'] / medians['everything']:.3f}   (budget 0.125)")
    for other, shown, budget in (("boto3", "a boto3 client", "1/3"), ("everything", "importing everything", "1/8")):
        cpu, wall = (found_in[what]["ours"] / found_in[what][other] for what in ("cpu", "wall"))
        ours, theirs = (found_in["cpu"][name] * 1e3 for name in ("ours", other))
        measured = f"{cpu:.2f} CPU, {wall:.2f} wall ({ours:.0f} ms and {theirs:,.0f} ms CPU)"
        print(f"| cold ingest, against {shown} | at most {budget} | {measured} |")


if __name__ == "__main__":
    main()
