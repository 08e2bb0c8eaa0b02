"""tocsin drill [NAME]: play an incident for a team to practise on, and say how long each step took.

    tocsin drill                        what there is
    tocsin drill bad-deploy             on the stage that `make run` keeps up, in another terminal

Signed webhooks go out as the senders of a real fault would send them. The team acts as in an incident: in the inbox, on
the page, or by `tocsin ack`, `note` and `resolve`. The fault ends 20 seconds after the first note, or when somebody
resolves. Then the times stand beside what is expected, with what a good response is. Ctrl-C ends the fault and tidies up.

A drill is played on this machine alone. `--stage prod` notifies the people of that stage, and has to be confirmed by its
name, at the prompt or by `--yes prod`.
"""

import argparse
import secrets
import signal
import sys
import textwrap
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.core.delivery.writing import one_line
from chalicelib.core.errors import RequestError
from chalicelib.core.language.durations import duration_of, is_duration
from cli.deploy import interrupted_by
from cli.output import add_output_arguments, printed
from cli.practice import WORDS, Practice, Reached, Stage, late
from cli.remote import LOCAL, Remote, local_remote, remote
from cli.running import START, running
from cli.stage import StageError, stage_of
from cli.table import clean, print_table, span, time_of_day
from deploy.parameters import parameters
from deploy.smoke import request
from local.drill import STEPS, Drill, DrillError, Scenario, load, scenarios
from local.sample import SECRETS, Webhook

HERE = ("127.0.0.1", "localhost", "::1")
VENDORS = {"SLACK_API_URL": "Slack", "PAGERDUTY_EVENTS_URL": "PagerDuty"}
"""The settings by which the local stage finds the inbox in place of a vendor."""
LIMIT = "30m"
WIDTH = 110


HELP = "play an incident on the local stage, for a team to practise on"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("name", metavar="NAME", nargs="?", help="the drill; without it they are listed")
    parser.add_argument("--stage", default=LOCAL, help="local (make run); any other notifies its people")
    parser.add_argument(
        "--yes", metavar="STAGE", help="the name of the stage that is not local: nobody is asked for it"
    )
    parser.add_argument("--limit", default=LIMIT, metavar="DURATION", help=f"the drill ends after that time ({LIMIT})")
    add_output_arguments(parser, {"json": "the times, for programs"})


def run(arguments: argparse.Namespace) -> int:
    """Play it; 1 when a step came too late or not at all."""
    if arguments.name is None:
        print_table(("DRILL", "WHAT HAPPENS"), [(each.name, each.title) for each in scenarios()])
        return 0
    if not is_duration(arguments.limit):
        raise RequestError(f"--limit is {arguments.limit[:40]!r}; expected is a duration (30m)")
    scenario = load(arguments.name)
    try:
        return _run(scenario, arguments)
    except (ClientError, BotoCoreError) as error:
        raise StageError(f"AWS refused: {one_line(str(error))}") from None


def _run(scenario: Scenario, arguments: argparse.Namespace) -> int:
    stage = stage_here(scenario, arguments) if arguments.stage == LOCAL else stage_on_aws(scenario, arguments)
    drill = Drill(scenario, secrets.token_hex(2), datetime.now(UTC))
    practice = Practice(drill, stage, MachineClock(), say)
    for line in introduction(drill, _inbox() if arguments.stage == LOCAL else ""):
        print(line, file=sys.stderr)
    try:
        with interrupted_by(signal.SIGTERM, signal.SIGHUP):
            practice.play(duration_of(arguments.limit))
    finally:
        practice.clean()
        report(arguments, practice)
    return 1 if late(drill, practice.reached) else 0


class MachineClock:
    """The time of this machine."""

    def now(self) -> datetime:
        """Return the time."""
        return datetime.now(UTC)

    def pause(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds)


def say(text: str) -> None:
    """Print what happens, with the time of the day. Standard output is for the times alone."""
    print(f"{time_of_day(datetime.now(UTC).isoformat())}  {clean(text)}", file=sys.stderr, flush=True)


# ---------------------------------------------------------------------------------------------------------------------
# Where it is played


def stage_here(scenario: Scenario, arguments: argparse.Namespace) -> Stage:
    """Return the stage that `make run` keeps up. No variable and no configuration can name another one."""
    found = running()
    if found is None or urlsplit(found.url).hostname not in HERE:
        raise DrillError(f"a drill is played on this machine alone: start the local stage by `{START}`")
    api = local_remote()
    ssm = stage_of(LOCAL, dict(found.aws)).aws("ssm")
    there = parameters(ssm, LOCAL)
    check_vendors(there, arguments.yes)
    return Stage(api, sender(api), _secrets(scenario, there, LOCAL))


def check_vendors(there: Mapping[str, str], confirmed: str | None) -> None:
    """Raise DrillError where the local stage notifies people by real vendors, unless that is confirmed.

    Tokens in `.env` do that: without them `make run` puts the inbox in the place of each vendor.
    """
    real = [vendor for name, vendor in VENDORS.items() if urlsplit(there.get(name, "")).hostname not in HERE]
    if real and confirmed != LOCAL:
        raise DrillError(f"the local stage notifies {' and '.join(real)} for real, by `.env`: confirm by --yes {LOCAL}")


def stage_on_aws(scenario: Scenario, arguments: argparse.Namespace, typed: Callable[[str], str] | None = None) -> Stage:
    """Return a stage whose people are notified. Raise DrillError unless its name is given once more."""
    name = arguments.stage
    if (arguments.yes or (typed or _typed)(name)) != name:
        raise DrillError(f"that is not the name of the stage, {name}: nothing is sent")
    api = remote(argparse.Namespace(stage=name, url=None))
    ssm = stage_of(name).aws("ssm")
    return Stage(api, sender(api), _secrets(scenario, parameters(ssm, name), name))


def _typed(stage: str) -> str:
    if not sys.stdin.isatty():
        raise DrillError(
            f"a drill on {stage} notifies its people, and nobody can be asked here: confirm by --yes {stage}"
        )
    return input(f"a drill on {stage} notifies its people. Type the name of the stage to go on: ").strip()


def _secrets(scenario: Scenario, there: Mapping[str, str], stage: str) -> dict[str, str]:
    needed = {SECRETS[source] for source in scenario.sources}
    if missing := sorted(needed - there.keys()):
        raise DrillError(
            f"the stage {stage} has no {', '.join(missing)}, which {scenario.name} needs: `tocsin secrets set`"
        )
    return {name: there[name] for name in needed}


def sender(api: Remote) -> Callable[[Webhook], int]:
    """Return what posts a webhook to a stage and returns the status."""
    return lambda webhook: request(f"{api.url}webhooks/{webhook.source}", webhook.body, webhook.headers)[0]


def _inbox() -> str:
    found = running()
    return found.inbox if found is not None else ""


# ---------------------------------------------------------------------------------------------------------------------
# In words


def introduction(drill: Drill, inbox: str) -> list[str]:
    """Return what the team reads before it begins."""
    scenario = drill.scenario
    where = f"in the inbox ({inbox}/), " if inbox else "in Slack, "
    return [
        f"Drill {scenario.name}: {scenario.title}",
        *textwrap.wrap(scenario.story, WIDTH),
        f"Its services begin with drill-{drill.id}-. Act as in an incident: {where}on the page, or by tocsin incidents, ack, note.",
        "The fault ends 20 seconds after the first note, or when somebody resolves. Ctrl-C ends it at once.",
        "",
    ]


def report(arguments: argparse.Namespace, practice: Practice) -> None:
    """Print the times, and what a good response is."""
    drill = practice.drill
    if printed(arguments, as_json(drill, practice.reached)):
        return
    print(f"\n{drill.scenario.title}: how long it took")
    rows = [_row(name, drill, practice.reached.get(name)) for name in STEPS]
    print_table(("STEP", "AFTER", "EXPECTED", "BY"), rows)
    print("\nA good response")
    for number, text in enumerate(drill.scenario.good, 1):
        print(textwrap.fill(text, WIDTH, initial_indent=f"  {number}. ", subsequent_indent="     "))


def _row(name: str, drill: Drill, step: Reached | None) -> tuple[str, str, str, str]:
    expected = f"{span(_seconds(drill.scenario.within[name]))}" + (
        ", missed" if step is None or _late(name, drill, step) else ""
    )
    if step is None:
        return WORDS[name], "never", expected, ""
    return WORDS[name], span(_seconds(step.at - drill.began)), expected, step.by


def _late(name: str, drill: Drill, step: Reached) -> bool:
    return step.at - drill.began > drill.scenario.within[name]


def _seconds(duration: timedelta) -> int:
    return max(0, round(duration.total_seconds()))


def as_json(drill: Drill, found: Mapping[str, Reached]) -> dict[str, Any]:
    """Return the times for programs: seconds after the beginning, null for a step that never came."""
    steps = {
        name: {
            "seconds": _seconds(step.at - drill.began) if step else None,
            "expected_seconds": _seconds(drill.scenario.within[name]),
            "by": step.by if step else None,
        }
        for name, step in ((name, found.get(name)) for name in STEPS)
    }
    return {
        "drill": drill.scenario.name,
        "id": drill.id,
        "began": drill.began.isoformat(timespec="seconds"),
        "steps": steps,
    }
