"""What a deploy keeps in the Parameter Store beside the stage: what was deployed last, and which API senders use."""

import json
from collections.abc import Mapping
from typing import Any

from deploy.names import APP


def memory_name(stage: str) -> str:
    """Return the name of the parameter."""
    return f"/{APP}-deployed/{stage}"


def remembered(ssm: Any, stage: str) -> dict[str, Any]:
    """Return what the last deploy has kept; nothing where there was none, or where somebody has changed it."""
    try:
        found = json.loads(ssm.get_parameter(Name=memory_name(stage))["Parameter"]["Value"])
    except (ssm.exceptions.ParameterNotFound, ValueError):  # the account knows what a changed one does not
        return {}
    return found if isinstance(found, dict) else {}


def kept_api(memory: Mapping[str, Any]) -> str | None:
    """Return the REST API of the deploy that was kept last."""
    for each in memory.get("chalice", {}).get("resources", []):
        if each.get("resource_type") == "rest_api":
            return str(each["rest_api_id"])
    return None
