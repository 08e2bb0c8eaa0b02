"""The HTTP API of a stage bounds what a storm, or whoever knows the address, can cost."""

from collections.abc import Mapping
from typing import Any

import pytest

from deploy.http_api import BURST, RATE, STAGE, _set_stage

LIMITS = {"ThrottlingBurstLimit": BURST, "ThrottlingRateLimit": RATE}


class Gateway:
    """The stages of one HTTP API, in memory."""

    def __init__(self, *stages: Mapping[str, Any]) -> None:
        self.stages = {each["StageName"]: dict(each) for each in stages}
        self.calls: list[str] = []

    def get_stages(self, ApiId: str) -> dict[str, Any]:
        """Return them."""
        return {"Items": list(self.stages.values())}

    def create_stage(self, *, ApiId: str, StageName: str, **given: Any) -> None:
        """Make one."""
        self.calls.append("create")
        self.stages[StageName] = {"StageName": StageName, **given}

    def update_stage(self, *, ApiId: str, StageName: str, **given: Any) -> None:
        """Change one."""
        self.calls.append("update")
        self.stages[StageName] |= given


@pytest.mark.parametrize(
    ("there", "calls"),
    [
        ((), ["create"]),
        (({"StageName": STAGE, "AutoDeploy": True},), ["update"]),
        (({"StageName": STAGE, "AutoDeploy": True, "DefaultRouteSettings": {**LIMITS, "ThrottlingRateLimit": 9e9}},), ["update"]),
        (({"StageName": STAGE, "AutoDeploy": True, "DefaultRouteSettings": {**LIMITS, "DetailedMetricsEnabled": True}},), []),
    ],
)  # fmt: skip
def test_the_gateway_takes_so_many_requests_and_no_more(there: tuple[Mapping[str, Any], ...], calls: list[str]) -> None:
    """Given a new stage, or one whose limit was taken away or raised → it has the limit; one that has it is left alone."""
    gateway = Gateway(*there)
    _set_stage(gateway, "api", {})
    assert gateway.calls == calls
    settings = gateway.stages[STAGE]["DefaultRouteSettings"]
    assert LIMITS.items() <= settings.items() and (RATE, BURST) == (2_000.0, 1_000)
