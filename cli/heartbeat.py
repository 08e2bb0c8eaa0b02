"""tocsin heartbeat list: the heartbeats of the rules file, with the address that each job calls.

    tocsin heartbeat list --stage prod

The token in an address is derived from the stage's secret HEARTBEAT_SECRET. Whoever has the address can report for the job.
"""

import argparse
import json
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

HELP = "list heartbeats with the addresses that jobs call"
HEADS = ("HEARTBEAT", "EXPECTED", "GRACE", "ADDRESS")
LOCAL = "local"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("what", choices=("list",))
    parser.add_argument("--stage", default=LOCAL, help="local (make run), dev or prod")
    parser.add_argument("--json", action="store_true", help="print JSON, for tools")


def run(arguments: argparse.Namespace) -> int:
    """Print them."""
    try:
        return list_heartbeats(stage_of(arguments.stage), as_json=arguments.json)
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
    found = _parameters(stage, [f"/tocsin-deployed/{name}", f"{stage.settings.parameters}{SECRETS[0]}"])
    live = [value.strip() for value in found.get(SECRETS[0], "").split(",") if value.strip()]
    if not live:
        raise StageError(f"{stage.settings.parameters}{SECRETS[0]} is not set: `tocsin deploy --stage {name}` makes it")
    url = url or _address(stage, found.get(name, "{}"))
    rows = [_row(spec, url, live[0]) for spec in specs]
    if as_json:
        print_json(rows)
    else:
        print_table(HEADS, [[row[head.lower()] for head in HEADS] for row in rows])
    if len(live) > 1:
        print(f"tocsin: {len(live)} values of {SECRETS[0]} are live; these addresses are of the first", file=sys.stderr)
    return 0


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
