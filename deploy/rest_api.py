"""The REST API of a stage that a version before made: the limit that Chalice does not set, as an HTTP API has it."""

from collections.abc import Iterator, Mapping
from typing import Any

from deploy.http_api import BURST, RATE
from deploy.names import API_STAGE

EVERY_METHOD = "*/*"
"""Every method of every path, as `methodSettings` names it. A path of a change has a slash before it."""
_WANTED: Mapping[str, float] = {"throttlingRateLimit": RATE, "throttlingBurstLimit": BURST}
_PATHS = {"throttlingRateLimit": "throttling/rateLimit", "throttlingBurstLimit": "throttling/burstLimit"}
"""By the name of a setting, where a change puts it.

https://docs.aws.amazon.com/apigateway/latest/api/patch-operations.html#UpdateStage-Patch
"""


def limit_rest_api(gateway: Any, api: str) -> Iterator[str]:
    """Have a REST API take RATE requests a second and no more. Yield a line if it did not have the limit."""
    settings = gateway.get_stage(restApiId=api, stageName=API_STAGE).get("methodSettings", {}).get(EVERY_METHOD, {})
    changes = [
        {"op": "replace", "path": f"/{EVERY_METHOD}/{_PATHS[name]}", "value": f"{limit:.0f}"}
        for name, limit in _WANTED.items()
        if settings.get(name) != limit
    ]
    if changes:
        gateway.update_stage(restApiId=api, stageName=API_STAGE, patchOperations=changes)
        yield f"REST API {api}: takes {RATE:,.0f} requests a second, {BURST:,} at once"
