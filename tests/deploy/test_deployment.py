"""What a deploy makes of answers of AWS that come late, or of what somebody has changed."""

from types import SimpleNamespace
from typing import Any

import pytest

from deploy.deployment import Deploy
from deploy.errors import DeployError
from tests.deploy.virtual import Time


class Gateway:
    """API Gateway that lists the REST API of the stage after some looks."""

    exceptions = SimpleNamespace(NotFoundException=KeyError)

    def __init__(self, looks: int) -> None:
        self.looks = looks

    def get_paginator(self, name: str) -> Any:
        """The REST APIs, or the resources of one."""
        return SimpleNamespace(paginate=getattr(self, name))

    def get_rest_apis(self) -> list[dict[str, Any]]:
        """None at first."""
        self.looks -= 1
        return [{"items": [] if self.looks >= 0 else [{"id": "a1", "name": "tocsin-dev", "createdDate": 1}]}]

    def get_resources(self, restApiId: str) -> list[dict[str, Any]]:
        """One method."""
        return [{"items": [{"id": "r1", "resourceMethods": {"GET": {}}}]}]

    def get_integration(self, **asked: str) -> dict[str, str]:
        """It calls the function of the stage."""
        return {"uri": "arn:aws:lambda:us-east-1:1:function:tocsin-dev/invocations"}

    def get_stages(self, restApiId: str) -> dict[str, list[str]]:
        """It was deployed."""
        return {"item": ["api"]}


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


def test_a_rest_api_that_is_listed_late_is_waited_for() -> None:
    """Given an API that two looks do not show → it is found at the third; one that is never shown ends the deploy."""
    time = Time()
    assert deploy(Gateway(2), time)._made_apis({}) == ["a1"]
    assert time.now == 4
    with pytest.raises(DeployError, match=r"does not list the REST API .* the next deploy goes on from there"):
        deploy(Gateway(99), Time())._made_apis({})


@pytest.mark.parametrize("value", ["", "{", "[]", "null"])
def test_a_mark_that_somebody_has_changed_is_none(value: str) -> None:
    """Given a parameter /tocsin-deployed/dev that is not what a deploy wrote → the deploy asks the account alone."""
    assert deploy(Ssm(value), Time())._kept() == {}
