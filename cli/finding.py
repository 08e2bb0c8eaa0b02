"""What `tocsin doctor` and `tocsin preflight` find: lines with a state, and the log lines that a check looks at."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cli.stage import Stage
from deploy.names import lambda_name

OK, WARNING, WRONG = "ok", "warning", "wrong"
DEPLOY = "run `tocsin deploy --stage {stage}`"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: `ok`, `warning` or `wrong`, what was found, and what to do about it."""

    state: str
    what: str
    do: str = ""


Check = Callable[[Stage], Iterator[Finding]]


def parameter_path(stage: Stage, name: str) -> str:
    """Return where a secret or setting of a stage is kept, for people."""
    return f"{stage.settings.parameters}{name} in the Parameter Store"


def log_lines(stage: Stage, function: str, since: datetime, wanted: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the lines that a function logged with these fields, the oldest first; none where it has no log yet."""
    logs = stage.aws("logs")
    fields = [f"$.{name} = {json.dumps(value)}" for name, value in wanted.items()]
    try:
        pages = logs.get_paginator("filter_log_events").paginate(
            logGroupName=f"/aws/lambda/{lambda_name(function, stage.settings.stage)}",
            startTime=int(since.timestamp() * 1_000),
            filterPattern=f"{{ {' && '.join(fields)} }}",
            PaginationConfig={"MaxItems": 1_000},
        )
        for page in pages:
            yield from (line for event in page["events"] if (line := _line(event["message"], wanted)))
    except logs.exceptions.ResourceNotFoundException:
        return


def _line(text: str, wanted: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a line of the log with these fields; an empty one for any other."""
    try:
        line = json.loads(text)
    except ValueError:
        return {}
    return line if isinstance(line, dict) and all(line.get(name) == value for name, value in wanted.items()) else {}
