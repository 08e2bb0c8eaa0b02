"""Further invocations of the function that runs, which answer what they did."""

import json
from collections.abc import Mapping
from typing import Any

from chalicelib.core.errors import TargetUnavailableError


class Workers:
    """Invokes one function with an event in the form of EventBridge's, as its schedule does.

    `client` is one of Lambda, which several threads use. Each call is made once: one whose answer was lost may still run.
    """

    def __init__(self, client: Any, function: str) -> None:
        self._client = client
        self._function = function

    def ask(self, detail: Mapping[str, Any]) -> Any:
        """Return what the function answers to these details. TargetUnavailableError when it fails."""
        answer = self._client.invoke(FunctionName=self._function, Payload=json.dumps(_event(detail)).encode())
        if failed := answer.get("FunctionError"):
            raise TargetUnavailableError(f"the worker failed ({failed})")
        return json.loads(answer["Payload"].read())


def _event(detail: Mapping[str, Any]) -> dict[str, Any]:
    fixed = dict.fromkeys(("id", "account", "region", "time", "detail-type"), "")
    return {**fixed, "version": "0", "source": "tocsin", "resources": [], "detail": dict(detail)}
