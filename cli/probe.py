"""tocsin probe: run one probe of the rules file now, from this machine, and print what came.

    tocsin probe NAME [--kind uptime] [--rules alert-rules.yaml] [--stage dev]

One try, as the schedule makes it. Nothing is stored or sent. Secrets and settings are those of the environment, or with
--stage those of a stage. What is printed is masked. Ends with 0 when the probe measures, 1 when its target is down or it
cannot measure.
"""

import argparse
import asyncio
import contextlib
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chalicelib import plugins
from chalicelib.clients import http_client
from chalicelib.core.errors import NotSetUpError, RulesError
from chalicelib.core.ports import Clients
from chalicelib.core.rule import Rules
from chalicelib.probes import Names, Progress, name_of, unwatched
from chalicelib.redact import redact, redact_observed
from chalicelib.rules.compiled import RULES_NAME
from chalicelib.schedule.due import Probe, probes_of
from chalicelib.schedule.probing import Job, Tried, once
from cli.stage import stage_of
from simulation.engine import read_rules

if TYPE_CHECKING:
    import httpx

HELP = "run one probe now, from this machine"


@dataclass(frozen=True, slots=True)
class EnvironmentClients:
    """Clients whose secrets and settings are variables of the environment."""

    environment: Mapping[str, str]

    def http(self) -> "httpx.Client":
        """Return a client of its own."""
        return http_client()

    def aws(self, service: str) -> Any:
        """Raise NotSetUpError: a probe is run without an account, and none uses a service of AWS."""
        raise NotSetUpError(f"`tocsin probe` has no AWS account to ask {service} in")

    def secret(self, name: str) -> str | None:
        """Return a variable; None when it is not set."""
        return self.environment.get(name)

    def setting(self, name: str, default: str = "") -> str:
        """Return a variable, else the default."""
        return self.environment.get(name) or default


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("name", metavar="NAME", help="the `name` of an entry under `probes:`")
    parser.add_argument("--kind", help="its kind, where two kinds have a probe of one name")
    parser.add_argument("--rules", metavar="FILE", default=RULES_NAME, help=f"the rules file ({RULES_NAME})")
    parser.add_argument("--stage", help="read secrets of this stage; else variables of the environment")


def run(arguments: argparse.Namespace) -> int:
    """Run the probe, and print; 1 when it is down or cannot measure."""
    probe = named(read_rules(Path(arguments.rules), None), arguments.name, arguments.kind)
    clients = stage_of(arguments.stage).clients if arguments.stage else EnvironmentClients(os.environ)
    return show(probe, tried(probe, clients, datetime.now(UTC)))


def named(rules: Rules, name: str, kind: str | None = None) -> Probe:
    """Return the probe of a name. Raise RulesError with the names that there are."""
    probes = [each for each in probes_of(rules) if kind in (None, each[0])]
    found = [each for each in probes if name_of(each[1]) == name]
    if len(found) > 1:
        kinds = ", ".join(each for each, _ in found)
        raise RulesError(f"several probes are named {name[:40]!r}; allowed is --kind with one of {kinds}")
    if not found:
        known = ", ".join(name_of(params) for _, params in probes) or "none: the rules have no probe"
        raise RulesError(f"no probe is named {name[:40]!r}; allowed is one of {known}")
    return found[0]


def tried(probe: Probe, clients: Clients, now: datetime, progress: Progress = unwatched) -> Tried:
    """Return what one try comes to. What it logs is not printed: its result says it."""
    kind, params = probe
    job = Job(kind, params, plugins.load_probe, clients, now, Names(), progress=progress)
    with contextlib.redirect_stdout(io.StringIO()):
        return asyncio.run(once(job))


def show(probe: Probe, found: Tried) -> int:
    """Print the samples and the reasons of one try. Return 1 when it failed."""
    kind, params = probe
    failed = found.down or any(each.status.value == "firing" for each in found.events)
    verdict = "down" if found.down else "cannot measure" if failed else "measured"
    print(f"{name_of(params)} ({kind}): {verdict}")
    for sample in found.samples:
        labels = "".join(f" {name}={text}" for name, text in sample.labels.items() if name not in ("probe", "service"))
        value = "no value" if sample.value is None else f"{sample.value:,.6g}"
        print(redact(f"  {sample.metric:<28} {value:>12}{labels}"))
        seen = redact_observed(sample.observed, (sample.observed.get("address", ""), *sample.labels.values()))
        for name, text in seen.items():
            print(f"    {name}: {text}")
    for event in found.events:
        print(redact(f"  {event.title}: {event.summary}"))
    return 1 if failed else 0
