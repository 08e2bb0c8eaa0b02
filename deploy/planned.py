"""A deploy that says what it would do and changes nothing: the steps of deploy/deployment.py with clients that only look."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType

from botocore.exceptions import BotoCoreError, ClientError

from deploy.deployment import GOES_ON, Deploy, Gateways, check_masks
from deploy.errors import DeployError
from deploy.looks import take_the_place_of_aws
from deploy.memory import memory_name, remembered
from deploy.names import APP
from deploy.parameters import parameters, put_parameters
from deploy.plan import CHANGE, MAKE, MARKS, PLAN, UNKNOWN, Change, Place, Plan
from deploy.provision import stage_table
from deploy.waiting import AT_ONCE


@dataclass(frozen=True, slots=True)
class Planned:
    """What a deploy would do: its changes, and what it would note."""

    changes: tuple[Change, ...]
    notes: tuple[str, ...]

    @property
    def summary(self) -> str:
        """Return how many changes there are of each kind."""
        if not self.changes:
            return "nothing to do: the stage is what this checkout deploys"
        counts = {words: sum(each.mark == mark for each in self.changes) for mark, words in MARKS.items()}
        return ", ".join(f"{count} {words}" for words, count in counts.items() if count or words != MARKS[UNKNOWN])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job(Deploy):
    """A deploy whose clients look. It builds no package, and Chalice gets the plan to go on with."""

    plan: Plan

    def _build(self) -> None:
        """Leave the package alone: whether its content changed is known by its mark."""

    def _run_chalice(self, *arguments: str, more: Mapping[str, str] = MappingProxyType({})) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "plan.json"
            self.plan.write(path)
            Deploy._run_chalice(self, *arguments, more={**more, PLAN: str(path)})
            self.plan.read(path)

    def _keep(self, mark: str, gateways: Gateways) -> None:
        if not self.plan.same_code:
            made = CHANGE if self._kept() else MAKE
            self.plan.add(made, f"parameter {memory_name(self.stage)}, the record of the last deploy")


def planned(
    deploy: Deploy,
    *,
    alarm_email: str = "",
    alarm_actions: bool = True,
) -> Planned:
    """Return what a deploy would do, its parameters written too. DeployError where it could not be done.

    Nothing of the account is changed.
    """
    values = deploy.given
    try:
        deploy.check()
        check_masks(values)
        deploy.prepare()
        job = _job(deploy)
        ssm = job.clients("ssm")
        put_parameters(ssm, job.stage, values, there=parameters(ssm, job.stage))
        stage_table(job.clients, job.stage, wait=job.wait)
        found, _ = job.changes(alarm_email, alarm_actions=alarm_actions)
    except (ClientError, BotoCoreError) as error:
        raise DeployError(f"AWS refused: {' '.join(str(error).split())}") from None
    except DeployError as error:
        raise DeployError(str(error).removesuffix(f"; {GOES_ON}")) from None
    unset = [note for note in found.notes if not _is_given(note, job.stage, values)]
    return Planned(tuple(job.plan.changes), tuple(unset))


def _is_given(note: str, stage: str, values: Mapping[str, str]) -> bool:
    """Return whether a note is about a parameter that the deploy would write."""
    return any(note.startswith(f"/{APP}/{stage}/{name} ") for name in values)


def _job(deploy: Deploy) -> _Job:
    """Return the same deploy with clients that only look."""
    sts = deploy.clients("sts")
    place = Place(deploy.partition, sts.meta.region_name, str(sts.get_caller_identity()["Account"]))
    plan = Plan(place, same_code=deploy.mark() == remembered(deploy.clients("ssm"), deploy.stage).get("fingerprint"))
    clients = deploy.clients.watched_by(partial(take_the_place_of_aws, plan))
    environment, root, python = deploy.environment, deploy.root, deploy.python
    return _Job(deploy.stage, clients, environment, root, _nothing, python, AT_ONCE, deploy.given, plan=plan)


def _nothing(text: str) -> None:
    """Print nothing: the lines of a plan are its changes."""
