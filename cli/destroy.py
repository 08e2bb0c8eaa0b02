"""tocsin destroy: take a stage down on AWS. Its table, which remembers incidents, and its secrets stay unless `--all`.

It asks for the name of the stage, and prints a line for each thing that it removes. A run that broke half-way is repeated:
it goes on from there. Senders are refused as soon as it begins, and messages that wait in queues are lost. AWS is found as
every AWS tool finds it: AWS_PROFILE or keys, and AWS_REGION. Keys need deploy/destroyer-policy.json.
"""

import argparse
import signal
import sys

from botocore.exceptions import BotoCoreError, ClientError

from cli.deploy import account, interrupted_by
from deploy.deployment import ROOT
from deploy.destroy import Destroy
from deploy.errors import DeployError

HELP = "take a stage down: all that its deploys have made"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("--stage", required=True, help="dev, prod, or a name of yours")
    parser.add_argument("--all", action="store_true", help="the table and the secrets too: nothing is left")
    parser.add_argument("--yes", metavar="NAME", help="the name of the stage, for scripts: nobody is asked for it")


def run(arguments: argparse.Namespace) -> int:
    """Take the stage down; 1 with what is wrong when it cannot be done, or the name is another one."""
    try:
        with interrupted_by(signal.SIGTERM, signal.SIGHUP):
            return _run(arguments)
    except (DeployError, ClientError, BotoCoreError) as error:
        print(f"tocsin: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("tocsin: destroy interrupted; run it again: it goes on from there", file=sys.stderr)
        raise


def _run(arguments: argparse.Namespace) -> int:
    stage, everything = arguments.stage, arguments.all
    clients, region = account()
    job = Destroy(stage, clients, ROOT, say=lambda text: print(text, flush=True))
    job.check()
    with_it = "with its table and its secrets" if everything else "its table and its secrets stay"
    number = clients("sts").get_caller_identity()["Account"]
    print(f"removes the stage {stage} of account {number} in {region}, {with_it}", flush=True)
    if (arguments.yes or _typed(stage)) != stage:
        raise DeployError(f"that is not the name of the stage, {stage}: nothing is removed")
    removed = job.run(everything=everything)
    print(f"the stage {stage} is gone" if removed else f"there was nothing of the stage {stage} to remove")
    if not everything and job.has_table():
        print(f"the table tocsin-{stage} stays, with the secrets: tocsin destroy --stage {stage} --all removes them")
    return 0


def _typed(stage: str) -> str:
    """Return what is typed at the prompt. DeployError where nobody can type."""
    if not sys.stdin.isatty():
        raise DeployError(f"nobody can be asked here: give the name of the stage, --yes {stage}")
    return input("type the name of the stage to go on: ").strip()
