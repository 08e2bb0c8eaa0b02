"""The REST API of an older stage has the limit of an HTTP API."""

from collections.abc import Sequence
from typing import Any

import pytest

from deploy.http_api import BURST, RATE
from deploy.rest_api import limit_rest_api

LIMITS = {"throttlingRateLimit": RATE, "throttlingBurstLimit": BURST}
CHANGES = {"/*/*/throttling/rateLimit": "2000", "/*/*/throttling/burstLimit": "1000"}


class Gateway:
    """The stage `api` of one REST API, in memory."""

    def __init__(self, **there: Any) -> None:
        self.stage = there
        self.changes: dict[str, str] = {}

    def get_stage(self, *, restApiId: str, stageName: str) -> dict[str, Any]:
        """Return it."""
        return {"stageName": stageName, **self.stage}

    def update_stage(self, *, restApiId: str, stageName: str, patchOperations: Sequence[dict[str, str]]) -> None:
        """Change it."""
        assert (restApiId, stageName, {each["op"] for each in patchOperations}) == ("id", "api", {"replace"})
        self.changes |= {each["path"]: each["value"] for each in patchOperations}


@pytest.mark.parametrize(
    ("there", "changed"),
    [
        ({}, CHANGES),
        ({"methodSettings": {"*/*": {"throttlingRateLimit": 10_000.0, "throttlingBurstLimit": 5_000}}}, CHANGES),
        ({"methodSettings": {"*/*": {**LIMITS, "throttlingBurstLimit": -1}}}, {"/*/*/throttling/burstLimit": "1000"}),
        ({"methodSettings": {"*/*": {**LIMITS, "metricsEnabled": True}}}, {}),
    ],
)
def test_a_rest_api_takes_so_many_requests_and_no_more(there: dict[str, Any], changed: dict[str, str]) -> None:
    """Given a stage of a version before, or one whose limit was raised → it has the limit; one that has it is left alone."""
    gateway = Gateway(**there)
    lines = list(limit_rest_api(gateway, "id"))
    assert gateway.changes == changed
    assert lines == (["REST API id: takes 2,000 requests a second, 1,000 at once"] if changed else [])
