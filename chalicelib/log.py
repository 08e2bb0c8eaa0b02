"""One structured line per decision, on standard output, where Lambda takes it. Never a payload, never a secret."""

import json
import sys
import traceback
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from chalicelib.core.errors import TocsinError


def line(stage: str, **fields: Any) -> None:
    """Log one JSON object on one line."""
    sys.stdout.write(json.dumps({"stage": stage, **fields}, default=str) + "\n")


def metrics(
    stage: str,
    seconds: Mapping[str, float],
    counts: Mapping[str, float] = MappingProxyType({}),
    *,
    namespace: str,
    deployed: str,
    now: datetime,
    **fields: Any,
) -> None:
    """Log one line that CloudWatch reads as metrics, in seconds and as counts, with the dimension `Stage` (`deployed`:
    dev, prod).

    It takes no notice of `fields`: they are for people.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
    """
    units = {**dict.fromkeys(seconds, "Seconds"), **dict.fromkeys(counts, "Count")}
    named = [{"Name": name, "Unit": unit} for name, unit in units.items()]
    directive = {"Namespace": namespace, "Dimensions": [["Stage"]], "Metrics": named}
    metadata = {"Timestamp": int(now.timestamp() * 1_000), "CloudWatchMetrics": [directive]}
    line(stage, **{"Stage": deployed, **seconds, **counts, **fields, "_aws": metadata})


def failure(error: BaseException) -> dict[str, str]:
    """Return what may be shown of an error: its kind and place, and its text only when it is one of our own."""
    found = {"error": type(error).__name__, "at": _place(error)}
    if isinstance(error, TocsinError):
        found["reason"] = str(error)
    return found


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return "unknown"
    own = [frame for frame in frames if "chalicelib" in frame.filename] or frames
    return f"{own[-1].filename.rpartition('/')[2]}:{own[-1].lineno}"


def reason_of(error: Exception) -> str:
    """Return why something failed, for people: our own errors' text; of any other its kind and place, never its text."""
    found = failure(error)
    return found.get("reason") or f"a fault in the code: {found['error']} at {found['at']}"
