"""What a deploy would change, found by the deploy itself: its calls that change something are looked at and not made.

Every client of boto3, ours and Chalice's, is given to a plan, which answers in the place of AWS. A call that reads goes through. Of one that
would make, change or remove something the plan knows how to see whether it would (deploy/looks.py), keeps a line, and
answers as AWS would: the steps of the deploy go on, as if what they made were there. So there is no second list of steps.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from chalicelib.aws import arn
from deploy.waiting import GONE, code_of

Given = Mapping[str, Any]
Call = Callable[[str, Given], dict[str, Any]]
MAKE, CHANGE, REMOVE, UNKNOWN = "+", "~", "-", "?"
MARKS: Mapping[str, str] = {MAKE: "to make", CHANGE: "to change", REMOVE: "to remove", UNKNOWN: "not compared"}
PLAN = "TOCSIN_PLAN"
"""Names the file of a plan that Chalice goes on with (deploy/chalice_cli.py)."""
UNREADABLE: dict[str, Any] = {"not": "compared"}
"""What is there, where the keys may not look."""


@dataclass(frozen=True, slots=True)
class Change:
    """One line of a plan: what would happen (a key of MARKS), and to what."""

    mark: str
    what: str

    @property
    def text(self) -> str:
        """Return it as it is printed."""
        return f"{self.mark} {self.what}"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the stage is: what ARNs begin with."""

    partition: str
    region: str
    account: str

    def arn(self, service: str, resource: str, *, region: str | None = None) -> str:
        """Return the ARN of something that is there, or would be."""
        where = self.region if region is None else region
        return arn(service, resource, region=where, account=self.account, partition=self.partition)


@dataclass(slots=True)
class Plan:
    """The changes that were found so far, and what would be there by now: answers of AWS about it, by a name of ours.

    `same_code` says that the code and the configuration are those of the last deploy.
    """

    place: Place
    same_code: bool = False
    changes: list[Change] = field(default_factory=list)
    made: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, mark: str, what: str) -> None:
        """Keep a line, once."""
        if (change := Change(mark, what)) not in self.changes:
            self.changes.append(change)

    def write(self, path: Path) -> None:
        """Hand the plan to another process."""
        place = [self.place.partition, self.place.region, self.place.account]
        changes = [[each.mark, each.what] for each in self.changes]
        text = json.dumps({"place": place, "same": self.same_code, "changes": changes, "made": self.made}, default=str)
        path.write_text(text, encoding="utf-8")

    def read(self, path: Path) -> None:
        """Go on with what another process has made of it."""
        found = json.loads(path.read_text(encoding="utf-8"))
        self.changes = [Change(mark, what) for mark, what in found["changes"]]
        self.made = found["made"]


def handed_over(path: Path) -> Plan:
    """Return the plan that another process has written."""
    found = json.loads(path.read_text(encoding="utf-8"))
    plan = Plan(Place(*found["place"]), found["same"])
    plan.read(path)
    return plan


@dataclass(frozen=True, slots=True)
class Look:
    """One call that is looked at: what it was given, and how to read what is there."""

    plan: Plan
    call: Call
    given: Given
    name: str

    def find(self, operation: str, **asked: Any) -> dict[str, Any] | None:
        """Return what AWS answers to a read; None where the thing is not there, UNREADABLE where the keys may not look."""
        try:
            return self.call(operation, asked)
        except ClientError as error:
            if code_of(error) in GONE:
                return None
            if not code_of(error).startswith(("AccessDenied", "AuthorizationError", "Unauthorized")):
                raise
        self.plan.add(UNKNOWN, f"your keys may not look: {self.name.partition(':')[0]}:{operation}")
        return UNREADABLE

    def made(self, name: str) -> dict[str, Any] | None:
        """Return what the plan has made by that name."""
        return self.plan.made.get(name)

    def makes(self, what: str, name: str, answer: Mapping[str, Any]) -> dict[str, Any]:
        """Keep that something would be made, and return what AWS would answer about it."""
        self.plan.add(MAKE, what)
        self.plan.made[name] = {**answer}
        return {**answer}

    def changes(self, what: str, there: Any, wanted: Mapping[str, Any]) -> None:
        """Keep that something would be changed, with the values that differ, unless none does."""
        if there is not UNREADABLE and (differing := _differing(there or {}, wanted)):
            self.plan.add(CHANGE, f"{what}: {', '.join(differing)}")


def _differing(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    return [_words(name, there.get(name), value) for name, value in wanted.items() if not has(there.get(name), value)]


def _words(name: str, was: Any, value: Any) -> str:
    """Return what changes. A structure, such as a policy, is named alone."""
    short = all(isinstance(each, str | int | float | bool | None) for each in (was, value))
    if not short or any(str(each).startswith("{") for each in (was, value)):
        return name
    return f"{name} is {was}, will be {value}" if was not in (None, "") else f"{name} will be {value}"


def has(there: Any, wanted: Any) -> bool:
    """Return whether what is there has all that is wanted. JSON is compared by its content, numbers as text."""
    there, wanted = _plain(there), _plain(wanted)
    if isinstance(wanted, dict):
        there = {} if there is None else there
        return isinstance(there, dict) and all(has(there.get(name), value) for name, value in wanted.items())
    if isinstance(wanted, list):
        there = [] if there is None else there
        same_length = isinstance(there, list) and len(there) == len(wanted)
        return same_length and all(any(has(each, value) for each in there) for value in wanted)
    if isinstance(wanted, int | float) and isinstance(there, int | float):
        return there == wanted
    return ("" if there is None else str(there)) == str(wanted)


def _plain(value: Any) -> Any:
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return list(value) if isinstance(value, tuple) else value
