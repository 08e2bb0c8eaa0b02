"""`python -m deploy.chalice_cli …`: Chalice's own command line, with the configuration of one deploy.

TOCSIN_CHALICE_CONFIG names a file in place of .chalice/config.json, which is committed: tags and partition are known at a
deploy only. Tags of functions that Chalice does not know stay; it would take those away that a company puts there. The
package is compiled once it is built.

TOCSIN_HTTP_API takes the REST API out of what Chalice makes, and leaves the function behind it: the stage has an HTTP API,
which Chalice cannot make. So nothing has to be taken away again, and no second address answers.

TOCSIN_PLAN names a plan that Chalice goes on with: it builds no package, changes nothing, and writes down what it would do.

Chalice waits for new functions with botocore's waiters, which sleep five seconds before they look again. Against an
AWS_ENDPOINT_URL on loopback, where everything is there at once, those sleeps are cut short; elsewhere nothing differs.
"""

import json
import os
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import botocore.client
import botocore.waiter
from chalice.awsclient import TypedAWSClient
from chalice.cli import main as chalice_main
from chalice.cli.factory import CLIFactory
from chalice.deploy.appgraph import ApplicationGraphBuilder
from chalice.deploy.deployer import ResultsRecorder
from chalice.deploy.packager import LambdaDeploymentPackager

from deploy.clients import is_local
from deploy.looks import answer
from deploy.package import compile_package
from deploy.plan import PLAN, Plan, handed_over
from deploy.policies import CONFIGURATION, WITHOUT_REST_API

SLEEP_SECONDS = 0.2


class _Time:
    """The module `time` as botocore's waiters see it."""

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)

    @staticmethod
    def sleep(seconds: float) -> None:
        time.sleep(min(seconds, SLEEP_SECONDS))


def configured(path: Path) -> None:
    """Have Chalice read its configuration from that file."""
    factory: Any = CLIFactory
    factory.load_project_config = lambda self: json.loads(path.read_text(encoding="utf-8"))


def keeping_tags() -> None:
    """Have Chalice leave tags of functions that its configuration does not name."""
    client: Any = TypedAWSClient
    client._remove_unrequested_remote_tags = lambda self, arn, wanted, there: None


def compiling() -> None:
    """Have Chalice compile each package that it builds."""
    packager: Any = LambdaDeploymentPackager
    built = packager.create_deployment_package

    def create(self: Any, project_dir: str, python_version: str) -> str:
        found = str(built(self, project_dir, python_version))
        compile_package(Path(found))
        return found

    packager.create_deployment_package = create


def without_rest_api() -> None:
    """Have Chalice make the function of the REST API without the API."""
    builder: Any = ApplicationGraphBuilder
    plain = builder._create_rest_api_model
    builder._create_rest_api_model = lambda self, *given: plain(self, *given).lambda_function


def looking(plan: Plan, nothing: Path) -> None:
    """Have Chalice look in place of changing something. `nothing` is an empty file, which it takes for the package."""
    client: Any = botocore.client.BaseClient
    plain = client._make_api_call

    def call(self: Any, operation: str, given: Mapping[str, Any]) -> dict[str, Any]:
        return answer(plan, self.meta.service_model.service_name, partial(plain, self), operation, given)

    client._make_api_call = call
    packager: Any = LambdaDeploymentPackager
    packager.create_deployment_package = lambda self, project_dir, python_version: str(nothing)
    recorder: Any = ResultsRecorder
    recorder.record_results = lambda self, results, stage, project_dir: None


def planned(path: Path) -> int:
    """Run Chalice on a plan, which goes back to where it came from."""
    plan = handed_over(path)
    nothing = path.with_name("nothing.zip")
    nothing.touch()
    looking(plan, nothing)
    try:
        return int(chalice_main() or 0)
    finally:
        plan.write(path)


def main() -> int:
    """Run Chalice with this process's arguments."""
    keeping_tags()
    compiling()
    if os.environ.get(WITHOUT_REST_API):
        without_rest_api()
    if os.environ.get(CONFIGURATION):
        configured(Path(os.environ[CONFIGURATION]))
    if is_local(os.environ.get("AWS_ENDPOINT_URL")):
        waiters: Any = botocore.waiter
        waiters.time = _Time()
    if os.environ.get(PLAN):
        return planned(Path(os.environ[PLAN]))
    return int(chalice_main() or 0)


if __name__ == "__main__":
    sys.exit(main())
