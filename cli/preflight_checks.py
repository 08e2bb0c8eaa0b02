"""What `tocsin preflight` looks at before a release: each check is a function that yields findings, as doctor's are."""

import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import sleep
from typing import Any

from chalicelib import parameters, redact
from chalicelib.core.delivery.delivery_log import Result
from chalicelib.core.delivery.notification import Notification
from chalicelib.core.delivery.writing import one_line
from chalicelib.core.errors import TocsinError
from chalicelib.core.event import Severity
from chalicelib.core.routing import all_targets
from chalicelib.core.rule import Target
from chalicelib.targets import kinds
from cli.checkup import CHECKS, findings
from cli.finding import OK, WARNING, WRONG, Check, Finding
from cli.preflight_file import TIMEOUT, Migrations, Plan, Variables
from cli.send_test import LOOK_SECONDS, outcome, outcome_words, pending, put_test
from cli.smoke import HOW_TO, based, journeys, masked, walk
from cli.stage import Stage
from simulation.engine import read_rules

MAX_NAMED = 5
OPTIONAL = frozenset({redact.ENVIRONMENT, "CLOUDFLARE_API_URL", "RDAP_BOOTSTRAP_URL"})
"""Settings of probes with a default of their own."""
DATABASE_SECONDS = 5
_NAME = re.compile(r"^(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=", re.MULTILINE)
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_VERSION = re.compile(r"(\d+)_.*\.sql|(\d+)\.sql")
_APPLIED = "select version from supabase_migrations.schema_migrations"
_NO_TABLE = ("42P01", "3F000")
"""SQLSTATE of a table or a schema that is not there: no migration was ever applied."""

Incidents = Callable[[], Sequence[Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Outside:
    """What checks need beside the stage: its open incidents, variables of the environment, and a pause of some seconds."""

    incidents: Incidents
    environment: Mapping[str, str]
    pause: Callable[[float], object] = sleep
    wait: float = 30.0


def checks(plan: Plan, outside: Outside) -> dict[str, Check]:
    """Return the checks by the words of the checklist, in the order in which they run."""
    found: dict[str, Check] = {}
    if plan.variables is not None:
        wanted = plan.variables
        found["variables"] = lambda stage: variables(wanted, plan.folder)
    if plan.migrations is not None:
        kept = plan.migrations
        found["migrations"] = lambda stage: migrations(kept, stage, outside.environment)
    if plan.checks:
        found["checks"] = lambda stage: own_checks(plan)
    return found | {
        "secrets": secrets,
        "stage": doctor,
        "incidents": lambda stage: _saying(incidents(outside.incidents)),
        "smoke": lambda stage: _saying(smoke(plan, stage)),
        "monitoring": lambda stage: monitoring(stage, outside),
    }


def _saying(made: Iterator[Finding]) -> Iterator[Finding]:
    """Yield the findings; an error that no right of AWS would end is a finding of its own."""
    try:
        yield from made
    except TocsinError as error:
        yield Finding(WRONG, one_line(str(error)))


# ---------------------------------------------------------------------------------------------------------------------
# The product


def variables(wanted: Variables, folder: Path) -> Iterator[Finding]:
    """Yield whether each name of an example file is a word of what a command prints."""
    try:
        names = list(dict.fromkeys(_NAME.findall(wanted.example.read_text(encoding="utf-8", errors="replace"))))
    except OSError as error:
        yield Finding(WRONG, f"{wanted.example} cannot be read ({error.strerror})", "correct variables.example")
        return
    ended = ran(wanted.run, folder, TIMEOUT)
    if ended.why:
        yield Finding(WRONG, f"`{wanted.run}` {ended.why}", "run it by hand: is the account signed in?")
        return
    there = set(_WORD.findall(ended.printed))
    if missing := [name for name in names if name not in there and name not in wanted.optional]:
        yield Finding(WRONG, f"{len(missing)} of {len(names)} are not set: {some(missing)}", "set them, then deploy")
    else:
        yield Finding(OK, f"{len(names)} names of {wanted.example.name} are set")


def migrations(kept: Migrations, stage: Stage, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Yield whether the database has every migration of the folder, and no other."""
    names = local_migrations(kept.folder)
    if not names:
        yield Finding(WRONG, f"{kept.folder} has no migration", "name the folder of <version>_<name>.sql files")
        return
    dsn = environment.get(kept.dsn) or stage.clients.secret(kept.dsn)
    if not dsn:
        yield Finding(WRONG, f"{kept.dsn} is not set", "set it as a variable, or as a secret of the stage")
        return
    applied, why = applied_migrations(dsn)
    if why:
        yield Finding(WRONG, f"the database cannot be asked: {why}", f"look at {kept.dsn}, and whether the server runs")
        return
    yield from _compared(names, applied)


def _compared(names: Mapping[str, str], applied: frozenset[str]) -> Iterator[Finding]:
    waiting, unknown = sorted(names.keys() - applied), sorted(applied - names.keys())
    if waiting:
        what = f"{len(waiting)} of {len(names)} are not applied: {some([names[each] for each in waiting])}"
        yield Finding(WRONG, what, "`supabase db push --dry-run`, read it, then `supabase db push`")
    if unknown:
        what = f"the database has {len(unknown)} that the folder lacks: {some(unknown)}"
        yield Finding(WRONG, what, "find the branch that has them: this release would not know them")
    if not waiting and not unknown:
        yield Finding(OK, f"all {len(names)} are applied")


def local_migrations(folder: Path) -> dict[str, str]:
    """Return the names of the migrations of a folder by their versions."""
    found = [(path.stem, _VERSION.fullmatch(path.name)) for path in sorted(folder.glob("*.sql"))]
    return {version[1] or version[2]: name for name, version in found if version}


def applied_migrations(dsn: str) -> tuple[frozenset[str], str]:
    """Return the versions that Supabase's CLI has noted in a database; else why it cannot be asked."""
    import psycopg

    try:
        with psycopg.connect(dsn, connect_timeout=DATABASE_SECONDS, prepare_threshold=None) as connection:
            connection.execute(f"set local statement_timeout = '{DATABASE_SECONDS}s'")
            return frozenset(str(version) for (version,) in connection.execute(_APPLIED).fetchall()), ""
    except psycopg.Error as error:
        if error.sqlstate in _NO_TABLE:
            return frozenset(), ""
        # What libpq says of a string that it cannot read may quote the password.
        readable = error.sqlstate is not None or isinstance(error, psycopg.OperationalError)
        return frozenset(), masked(_first_line(str(error))) if readable else "its connection string cannot be read"


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]


def own_checks(plan: Plan) -> Iterator[Finding]:
    """Yield whether each command of the file ends with 0."""
    for check in plan.checks:
        ended = ran(check.run, plan.folder, check.timeout)
        yield (
            Finding(WRONG, f"{check.name}: {ended.why}", f"run it by hand: {check.run}")
            if ended.why
            else Finding(OK, check.name)
        )


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that has ended: what it printed, and why it did not succeed."""

    printed: str
    why: str = ""


def ran(command: str, folder: Path, timeout: timedelta) -> Ended:
    """Run a command by the shell. One that is not back in time is ended with all that it started."""
    with subprocess.Popen(
        ["/bin/sh", "-c", command],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            printed, said = process.communicate(timeout=timeout.total_seconds())
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            return Ended("", f"is not back after {timeout.total_seconds():g} s")
    if not process.returncode:
        return Ended(printed)
    last = next((line for line in reversed([*printed.splitlines(), *said.splitlines()]) if line.strip()), "")
    return Ended(printed, f"ended with {process.returncode}" + (f": {masked(last.strip())[:200]}" if last else ""))


def smoke(plan: Plan, stage: Stage) -> Iterator[Finding]:
    """Yield whether each journey passes."""
    probes = journeys(read_rules(plan.smoke) if plan.smoke else stage.rules)
    if not probes:
        yield Finding(WARNING, "there is no journey to walk", HOW_TO.replace("--file", "smoke.file of preflight.yaml"))
    for probe in probes:
        found = walk(based(probe, plan.base), stage.clients, datetime.now(UTC))
        yield Finding(WRONG if found.why else OK, found.words, found.why)


# ---------------------------------------------------------------------------------------------------------------------
# Tocsin


def secrets(stage: Stage) -> Iterator[Finding]:
    """Yield whether each secret is set that a probe reads. Doctor looks at those of targets and senders."""
    names = [name for name in parameters.of_probes(stage.rules) if name not in OPTIONAL]
    missing = [name for name in names if not (stage.clients.secret(name) or stage.clients.setting(name))]
    for name in missing:
        yield Finding(WRONG, f"{name} is not set: its probe measures nothing", _set(name, stage))
    if not missing:
        yield Finding(OK, f"{len(names)} that probes read are set" if names else "no probe reads one")


def _set(name: str, stage: Stage) -> str:
    return f"tocsin secrets set {name} --stage {stage.settings.stage}"


def doctor(stage: Stage) -> Iterator[Finding]:
    """Yield what `tocsin doctor` finds; all that is well in one line."""
    well = 0
    for name, found in findings(stage, CHECKS):
        if found.state == OK:
            well += 1
        else:
            yield Finding(found.state, f"{name}: {found.what}", found.do)
    yield Finding(OK, f"{well} findings of `tocsin doctor` are ok")


def incidents(open_ones: Incidents) -> Iterator[Finding]:
    """Yield whether something is wrong already: a release would hide it, or be blamed for it."""
    found = open_ones()
    worst = [each for each in found if each.get("severity") == Severity.CRITICAL]
    for each in worst:
        what = f"critical and open: {each['title']} ({str(each['id'])[:8]})"
        yield Finding(WRONG, masked(what), "release nothing but what repairs it")
    others = len(found) - len(worst)
    if others:
        yield Finding(WARNING, f"{others} open that {'is' if others == 1 else 'are'} not critical", "tocsin incidents")
    if not found:
        yield Finding(OK, "none is open")


def monitoring(stage: Stage, outside: Outside) -> Iterator[Finding]:
    """Yield whether a marked test arrives at every target that a route names."""
    targets = all_targets(stage.rules)
    if not targets:
        yield Finding(WRONG, "no route names a target", "name one under `notification:`")
    tests = {target: put_test(stage, target, Severity.WARNING, resolve=_pages(target)) for target in targets}
    waiting = dict(tests)
    for _ in range(max(1, round(outside.wait / LOOK_SECONDS))):
        for target, result in _arrived(stage, waiting):
            del waiting[target]
            state = OK if result.delivered else WRONG
            do = "" if result.delivered else f"repair it, then: tocsin send-test '{target.shown}'"
            yield Finding(state, f"{target.shown}: {outcome_words(result)}", do)
        if not waiting:
            return
        outside.pause(LOOK_SECONDS)
    for target, test in waiting.items():
        yield Finding(WRONG, pending(stage.store.target_state(target.key), test.incident.id, outside.wait), "")


def _arrived(stage: Stage, waiting: Mapping[Target, Notification]) -> list[tuple[Target, Result]]:
    found = [(target, outcome(stage, test)) for target, test in waiting.items()]
    return [(target, result) for target, result in found if result is not None]


def _pages(target: Target) -> bool:
    """Return whether a test wakes somebody until it is ended."""
    return target.kind in kinds() and kinds()[target.kind].can.pages


def some(names: Sequence[str]) -> str:
    """Return the first of the names, and how many more there are."""
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return ", ".join(names[:MAX_NAMED]) + more
