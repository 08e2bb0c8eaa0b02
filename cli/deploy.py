"""tocsin deploy: put a stage on AWS, or bring it up to date. A deploy that ended half-way is finished by the next one.

It checks the rules, makes the table and the queues, runs `chalice deploy`, sets what Chalice cannot, makes the alarms,
and ends with a smoke test. AWS is found as every AWS tool finds it: AWS_PROFILE or keys, and AWS_REGION. With
AWS_ENDPOINT_URL it is the embedded one, which gets no alarms. TOCSIN_TAGS="team=ops,cost-center=42" puts tags on
everything that is made.

With --plan nothing is changed: a line for each thing that would be made (+), changed (~) or removed (-), and 0 at the end
whether there are any or none. 1 says that the deploy could not be done. Tags are not compared.
"""

import argparse
import os
import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.core.routing import all_targets
from chalicelib.rules.file import variables_of
from chalicelib.rules.loader import load_rules, rules_text
from cli.running import INSTALLED
from deploy.clients import Clients
from deploy.deployment import GOES_ON, ROOT, Deploy, Deployed
from deploy.errors import DeployError
from deploy.known_names import known_names, unknown
from deploy.names import APP
from deploy.parameters import parameters, put_parameters
from deploy.planned import planned
from deploy.settings_file import read_settings
from deploy.unset import unset

HELP = "put a stage on AWS"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("--stage", required=True, help="dev, prod, or a name of yours")
    parser.add_argument(
        "--parameters", type=Path, metavar="FILE", help="lines NAME=value to write to the Parameter Store first"
    )
    parser.add_argument(
        "--project-dir", type=Path, default=ROOT, metavar="FOLDER", help="another checkout than this one"
    )
    email = os.environ.get("TOCSIN_ALARM_EMAIL", "")
    parser.add_argument(
        "--alarm-email",
        default=email,
        metavar="ADDRESS",
        help="mail address for the alarms of AWS itself (default: TOCSIN_ALARM_EMAIL); whoever gets them already goes on to",
    )
    parser.add_argument("--new-stage", action="store_true", help="make a stage of another name than dev and prod")
    parser.add_argument(
        "--plan", action="store_true", help="print what would be made, changed or removed; change nothing"
    )
    parser.add_argument(
        "--break-lock",
        action="store_true",
        help="go on although another deploy holds the lock: you know that it was killed",
    )
    parser.add_argument(
        "--without-alarm-actions", action="store_true", help="let the alarms notify nobody until the next deploy"
    )


@contextmanager
def interrupted_by(*signals: signal.Signals) -> Iterator[None]:
    """End the body on these signals as on Ctrl-C, so that Chalice ends with it and the lock is given back.

    One that is ignored, as by nohup, stays so.
    """

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    taken = [each for each in signals if signal.getsignal(each) is not signal.SIG_IGN]
    before = [(each, signal.signal(each, interrupt)) for each in taken]
    try:
        yield
    finally:
        for each, handler in before:
            signal.signal(each, handler)


def run(arguments: argparse.Namespace) -> int:
    """Deploy; 1 with what is wrong when it cannot be done."""
    try:
        with interrupted_by(signal.SIGTERM, signal.SIGHUP):
            return _run(arguments)
    except KeyboardInterrupt:
        print(f"tocsin: deploy interrupted; {GOES_ON}", file=sys.stderr)
        raise


def _run(arguments: argparse.Namespace) -> int:
    if INSTALLED:
        raise DeployError(
            "a deploy needs a checkout, whose rules file and requirements it ships: run `make deploy` there"
        )
    try:
        clients, region = account()
        environment = {**os.environ, "AWS_DEFAULT_REGION": region}
        job = Deploy(
            arguments.stage, clients, environment, arguments.project_dir, say=lambda text: print(text, flush=True)
        )
        job.check()
        if not arguments.new_stage:
            job.check_known()
        values = given_values(arguments.parameters, arguments.project_dir) if arguments.parameters else {}
        job = replace(job, given=values)
        if arguments.plan:
            return show_plan(job, arguments)
        if values:
            there = parameters(clients("ssm"), arguments.stage)
            put_parameters(clients("ssm"), arguments.stage, values, there=there)
        if arguments.break_lock and (holder := job.lock().break_()):
            print(f"took the lock from {holder}", flush=True)
        found = job.run(alarm_email=arguments.alarm_email, alarm_actions=not arguments.without_alarm_actions)
        _show(job, found)
    except (DeployError, ClientError, BotoCoreError) as error:
        print(f"tocsin: {error}", file=sys.stderr)
        return 1
    return 0


def _show(job: Deploy, found: Deployed) -> None:
    """Print what was done, what to know, what is not set, and what to do next."""
    rules = job.rules()
    missing = unset(rules, parameters(job.clients("ssm"), job.stage))
    print(found.summary)
    for note in found.notes:
        print(f"note: {note}")
    for name, why in missing.items():
        if not any(f"/{name} is not set" in note for note in found.notes):
            print(f"note: /{APP}/{job.stage}/{name} is not set: {why}")
    print(f"stage {job.stage} answers at {found.url}")
    print(f"senders post to {found.url}webhooks/<source>")
    print("next:")
    for command in next_commands(job.stage, [*missing], [target.shown for target in all_targets(rules)]):
        print(f"  {command}")


def next_commands(stage: str, missing: Sequence[str], targets: Sequence[str]) -> list[str]:
    """Return the three commands that come after a deploy: what is missing first, then whether all is well, then a test."""
    first = [f"tocsin secrets set {missing[0]} --stage {stage}"] if missing else []
    test = [f"tocsin send-test {shlex.quote(targets[0])} --stage {stage}"] if targets else []
    more = [f"tocsin secrets list --stage {stage}", f"tocsin incidents --stage {stage}"]
    return [*first, f"tocsin doctor --stage {stage}", *test, *more][:3]


def show_plan(job: Deploy, arguments: argparse.Namespace) -> int:
    """Print what a deploy would do."""
    number, region = job.clients("sts").get_caller_identity()["Account"], job.clients("sts").meta.region_name
    print(f"plan of the stage {job.stage} of account {number} in {region}; nothing is changed", flush=True)
    actions = not arguments.without_alarm_actions
    found = planned(job, alarm_email=arguments.alarm_email, alarm_actions=actions)
    for change in found.changes:
        print(change.text)
    for note in found.notes:
        print(f"note: {note}")
    print(found.summary)
    return 0


def account() -> tuple[Clients, str]:
    """Return clients of the account and Region that the environment names, and the Region. DeployError for none."""
    session = boto3.Session(region_name=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"))
    if session.region_name is None or session.get_credentials() is None:
        raise DeployError("AWS is not set up: set AWS_PROFILE (or AWS_ACCESS_KEY_ID and …) and AWS_REGION")
    return Clients(session, os.environ.get("AWS_ENDPOINT_URL")), session.region_name


def given_values(path: Path, project: Path) -> dict[str, str]:
    """Return the values of a parameters file. DeployError where it is not there, or has a name that nothing reads."""
    if not path.is_file():
        raise DeployError(f"{path}: there is no such file; --parameters names a file of lines NAME=value")
    values = read_settings(path)
    if wrong := unknown(values, known_names(load_rules(project, None), ROOT, variables_of(rules_text(project)))):
        raise DeployError(f"{path}: {'; '.join(wrong)}. Nothing is written")
    return values
