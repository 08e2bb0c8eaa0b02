"""tocsin heartbeat: the heartbeats of the rules file with the address that each job calls, and new addresses for all of them.

    tocsin heartbeat list --stage prod
    tocsin heartbeat rotate --stage prod       new addresses; those of before go on working
    tocsin heartbeat finish --stage prod       the addresses of before end

The token in an address is derived from the stage's secret HEARTBEAT_SECRET. Whoever has the address can report for the job.
"""

import argparse
import json
import secrets
import sys
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.core.delivery.writing import one_line
from chalicelib.ingest.heartbeats import SECRETS, token_of
from cli.remote import address_of
from cli.running import running
from cli.stage import Stage, StageError, stage_of
from cli.table import print_json, print_table
from deploy.parameters import KEY_BYTES

HELP = "list heartbeats with the addresses that jobs call, or give them new ones"
HEADS = ("HEARTBEAT", "EXPECTED", "GRACE", "ADDRESS")
LOCAL = "local"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("what", choices=("list", "rotate", "finish"))
    parser.add_argument("--stage", default=LOCAL, help="local (make run), dev, prod, or a name of yours")
    parser.add_argument("--json", action="store_true", help="print JSON, for tools")


def run(arguments: argparse.Namespace) -> int:
    """Print them."""
    stage = stage_of(arguments.stage)
    try:
        if arguments.what != "list":
            print({"rotate": rotate, "finish": finish}[arguments.what](stage), file=sys.stderr)
        return list_heartbeats(stage, as_json=arguments.json)
    except (ClientError, BotoCoreError) as error:
        raise StageError(f"AWS refused: {one_line(str(error))}") from None


def list_heartbeats(stage: Stage, *, as_json: bool = False, url: str = "") -> int:
    """Print the heartbeats of the rules file of this checkout with their addresses on the stage.

    `url` is the address of its API where that is known.
    """
    specs = stage.rules.probes.get("heartbeat", ())
    if not specs:
        print("alert-rules.yaml has no heartbeat under `probes:`")
        return 0
    name = stage.settings.stage
    found, live = _parameters(stage, [f"/tocsin-deployed/{name}"]), _live(stage)
    url = url or _address(stage, found.get(name, "{}"))
    rows = [_row(spec, url, live[0]) for spec in specs]
    if as_json:
        print_json(rows)
    else:
        print_table(HEADS, [[row[head.lower()] for head in HEADS] for row in rows])
    if len(live) > 1:
        print(f"tocsin: {len(live)} values of {SECRETS[0]} are live; these addresses are of the first", file=sys.stderr)
    return 0


def rotate(stage: Stage) -> str:
    """Put a new secret before the one that is there, so that the addresses of both work. Return what to do then.

    Raise StageError while an earlier rotation is not finished: a third value would be a second set of old addresses.
    """
    live = _live(stage)
    if len(live) > 1:
        raise StageError(
            f"{SECRETS[0]} has {len(live)} live values already: finish that rotation first, by `tocsin heartbeat finish "
            f"--stage {stage.settings.stage}`"
        )
    _keep(stage, [secrets.token_hex(KEY_BYTES), *live])
    return (
        f"made a new value of {SECRETS[0]}. Give each job its new address. Those of before go on working until "
        f"`tocsin heartbeat finish --stage {stage.settings.stage}`."
    )


def finish(stage: Stage) -> str:
    """Keep the newest secret alone, so that older addresses are refused. Return what was done."""
    live = _live(stage)
    if len(live) == 1:
        return f"{SECRETS[0]} has one value: nothing to finish"
    _keep(stage, live[:1])
    return f"{SECRETS[0]} has its newest value alone: older addresses are refused within five minutes"


def _live(stage: Stage) -> list[str]:
    """Return the live values of the secret, the newest first."""
    found = _parameters(stage, [_parameter(stage)]).get(SECRETS[0], "")
    live = [value.strip() for value in found.split(",") if value.strip()]
    if not live:
        raise StageError(f"{_parameter(stage)} is not set: `tocsin deploy --stage {stage.settings.stage}` makes it")
    return live


def _parameter(stage: Stage) -> str:
    return f"{stage.settings.parameters}{SECRETS[0]}"


def _keep(stage: Stage, values: Sequence[str]) -> None:
    stage.aws("ssm").put_parameter(Name=_parameter(stage), Value=",".join(values), Type="SecureString", Overwrite=True)


def _row(spec: Mapping[str, Any], url: str, secret: str) -> dict[str, str]:
    name = str(spec["name"])
    expected = f"every {spec['every']}" if spec.get("every") else f"{spec['cron']} {spec.get('timezone') or 'UTC'}"
    address = f"{url}heartbeats/{quote(name, safe='')}/{token_of(secret, name)}"
    return {"heartbeat": name, "expected": expected, "grace": str(spec.get("grace") or 0), "address": address}


def _parameters(stage: Stage, names: Sequence[str]) -> dict[str, str]:
    """Return parameters by the last part of their names."""
    answer = stage.aws("ssm").get_parameters(Names=list(names), WithDecryption=True)
    return {str(each["Name"]).rpartition("/")[2]: str(each["Value"]) for each in answer["Parameters"]}


def _address(stage: Stage, kept: str) -> str:
    """Return the address of the stage's API, with a slash at its end."""
    here = running() if stage.settings.stage == LOCAL else None
    return here.url if here is not None else address_of(json.loads(kept), stage.settings.region)
