"""What a deploy makes of answers of AWS that come late, or of what somebody has changed."""

from types import SimpleNamespace
from typing import Any

import pytest

from deploy.deployment import Deploy, Gateways
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
