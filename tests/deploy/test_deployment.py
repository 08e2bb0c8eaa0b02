"""What a deploy makes of answers of AWS that come late, or of what somebody has changed."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from deploy.deployment import Deploy, Gateways, check_rules
from tests.deploy.virtual import Time


class Ssm:
    """A Parameter Store with one parameter."""

    exceptions = SimpleNamespace(ParameterNotFound=KeyError)

    def __init__(self, value: str) -> None:
        self.value = value

    def get_parameter(self, Name: str) -> dict[str, dict[str, str]]:
        """The one."""
        return {"Parameter": {"Value": self.value}}


def deploy(service: Any, time: Time) -> Deploy:
    """A deploy that meets this service, in virtual time."""
    clients: Any = lambda name: service  # noqa: E731
    return Deploy("dev", clients, {}, wait=time.wait)


@pytest.mark.parametrize(
    ("gateways", "used", "spare", "path"),
    [
        (Gateways(http="h1"), "h1", (), "h1.execute-api.eu-west-1.amazonaws.com/"),
        (Gateways(http="h1", rest=("r1",)), "h1", ("r1",), "h1.execute-api.eu-west-1.amazonaws.com/"),
        (Gateways(rest=("r1", "r2")), "r1", ("r2",), "r1.execute-api.eu-west-1.amazonaws.com/api/"),
    ],
)
def test_the_address_is_that_of_the_api_in_use(
    gateways: Gateways, used: str, spare: tuple[str, ...], path: str
) -> None:
    """Given the APIs that call a stage → its HTTP API is used, else its first REST API; the others are spare."""
    service = SimpleNamespace(meta=SimpleNamespace(region_name="eu-west-1"))
    assert (gateways.used, gateways.spare) == (used, spare)
    assert deploy(service, Time()).url(gateways) == f"https://{path}"


def test_a_stage_without_any_api_has_none() -> None:
    """Given a new stage → no API is used yet, and none is spare."""
    assert (Gateways().used, Gateways().used_rest, Gateways().spare) == ("", "", ())


@pytest.mark.parametrize("value", ["", "{", "[]", "null"])
def test_a_mark_that_somebody_has_changed_is_none(value: str) -> None:
    """Given a parameter /tocsin-deployed/dev that is not what a deploy wrote → the deploy asks the account alone."""
    assert deploy(Ssm(value), Time())._kept() == {}


def test_a_deploy_says_what_nothing_measures_and_goes_on(tmp_path: Path) -> None:
    """Given a rule on a metric that no probe measures, when the rules are checked for a deploy → a line, and no error."""
    (tmp_path / "alert-rules.yaml").write_text("alerts: [{name: A, condition: 'error_rate > 1%'}]\n", "utf-8")
    (tmp_path / "runbook").mkdir()
    (tmp_path / "runbook/a.md").write_text("## Meaning\n\n## Impact\n\n## Diagnosis\n\n## Mitigation\n", "utf-8")
    (line,) = check_rules(tmp_path, strict=True)
    assert line.startswith("alert-rules.yaml:1:31: no probe of the file measures error_rate: this rule cannot fire")
