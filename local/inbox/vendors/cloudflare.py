"""A stand-in for Cloudflare's GraphQL Analytics: https://developers.cloudflare.com/analytics/graphql-api/.

It reads a query's selection (aliases, datasets, fields) and answers it from a few numbers for each zone: requests a
minute, share of answers of 500 and above, latencies, visitors. The window is the one of the query's variables.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any

from local.inbox.exchange import Json, Received, Reply, json_reply
from local.inbox.faults import Fault
from local.inbox.rate_limit import whole_seconds

MAX_ZONES = 10
DATASETS = ("httpRequestsAdaptiveGroups", "httpRequests1mGroups")
_TOKEN = re.compile(
    r'"(?:[^"\\]|\\.)*"|[A-Za-z_][A-Za-z0-9_]*|\$[A-Za-z_][A-Za-z0-9_]*|\.\.\.|[{}():,\[\]!=@]|[-0-9.]+'
)


@dataclass(frozen=True, slots=True)
class Traffic:
    """What a zone is said to have: healthy until set otherwise."""

    requests_per_min: float = 1_200.0
    error_rate: float = 0.0004
    p50_ms: float = 41.2
    p95_ms: float = 182.9
    p99_ms: float = 430.5
    visitors: int = 310

    @classmethod
    def of(cls, given: Json) -> "Traffic":
        """Read it from JSON. Raise ValueError with what is not known or not a number."""
        known = {each.name for each in fields(cls)}
        unknown = sorted(set(given) - known)
        if unknown:
            raise ValueError(f"not known: {', '.join(unknown)}; allowed are {', '.join(sorted(known))}")
        if not all(isinstance(value, int | float) and value >= 0 for value in given.values()):
            raise ValueError("the numbers must be 0 or more")
        return replace(cls(), **given)


@dataclass(slots=True)
class Cloudflare:
    """Answers queries. `fixed` is answered as it is, once set; `zones` differ from `usual`; `hidden` are not allowed."""

    usual: Traffic = field(default_factory=Traffic)
    zones: dict[str, Traffic] = field(default_factory=dict)
    hidden: frozenset[str] = frozenset()
    fixed: Reply | None = None

    def set(self, given: Json) -> None:
        """Set the answers from now on; {} for healthy ones. Raise ValueError when the settings cannot be read.

        {"status": 429, "body": {…}, "retry_after": 300} or numbers: {"error_rate": 0.03, "p95_ms": 800}, for one zone
        {"zones": {"<tag>": {…}}}; {"hidden": ["<tag>"]} are zones that the token may not see.
        """
        if "status" in given or "body" in given:
            more = {"Retry-After": str(whole_seconds(float(given["retry_after"])))} if given.get("retry_after") else {}
            self.fixed = json_reply(given.get("body"), int(given.get("status") or 200), more)
            return
        numbers = {name: value for name, value in given.items() if name not in ("zones", "hidden")}
        usual = Traffic.of(numbers)
        self.zones = {tag: Traffic.of({**numbers, **each}) for tag, each in (given.get("zones") or {}).items()}
        self.usual, self.fixed, self.hidden = usual, None, frozenset(given.get("hidden") or ())

    def handle(self, received: Received, *, limited: bool = True) -> Reply:
        """Answer a query."""
        if not received.bearer:
            return _error("Authentication error", 403, "authn")
        if self.fixed is not None:
            return self.fixed
        try:
            query = json.loads(received.body)
            text, variables = str(query["query"]), dict(query.get("variables") or {})
            selected = parse(text)
        except (ValueError, TypeError, KeyError):
            return _error("error parsing args", 400, "parser")
        tags = _tags(text, variables)
        hidden = [tag for tag in tags if tag in self.hidden]
        if hidden and len(hidden) == len(tags):
            return _error(f"zones {json.dumps(hidden)} are not authorized", 200, "authz", ["viewer", "zones"])
        if len(tags) > MAX_ZONES:
            return _error(f"too many zones: at most {MAX_ZONES}", 200, "validation", ["viewer", "zones"])
        minutes = _minutes(text, variables)
        zones = [self._zone(tag, selected, minutes) for tag in tags if tag not in self.hidden]
        return json_reply({"data": {"viewer": {"zones": zones}}, "errors": None})

    def fail(self, fault: Fault) -> Reply:
        """Return a scripted failure."""
        status = fault.status or 200
        usual = {429: "rate limiter budget depleted, try again after 5 minutes"}
        usual |= {503: "too many queries in progress, please try again later"}
        reply = _error(fault.error or usual.get(status, "internal server error"), status, "")
        more = {} if fault.retry_after is None else {"Retry-After": str(whole_seconds(fault.retry_after))}
        return Reply(status, reply.body, {**reply.headers, **more})

    def _zone(self, tag: str, selected: list["Selection"], minutes: tuple[datetime, float]) -> Json:
        traffic = self.zones.get(tag, self.usual)
        inside = _inside(selected, ("viewer", "zones"))
        found: Json = {}
        for each in inside:
            if each.name == "zoneTag":
                found[each.shown] = tag
            elif each.name in DATASETS:
                found[each.shown] = _groups(each, traffic, *minutes)
        return found


@dataclass(slots=True)
class Selection:
    """One selected field: its name, how it is shown, its arguments as text, and what is selected in it."""

    name: str
    shown: str
    arguments: str
    inside: list["Selection"]


def parse(query: str) -> list[Selection]:
    """Return the selection of a query. Raise ValueError when braces do not match."""
    tokens = iter(_TOKEN.findall(re.sub(r"#[^\n]*", "", query)))
    for token in tokens:
        if token == "{":
            return _selections(tokens)
        if token == "(":
            _arguments(tokens)
    raise ValueError("there is no selection")


def _selections(tokens: Iterator[str]) -> list[Selection]:
    found: list[Selection] = []
    alias = False
    for token in tokens:
        if token == "}":
            return found
        if token == ":":
            alias = True
        elif token == "(" and found:
            found[-1].arguments = _arguments(tokens)
        elif token == "{" and found:
            found[-1].inside = _selections(tokens)
        elif re.match(r"[A-Za-z_]", token):
            if alias and found:
                found[-1].name, alias = token, False
            else:
                found.append(Selection(token, token, "", []))
    raise ValueError("a brace is not closed")


def _arguments(tokens: Iterator[str]) -> str:
    depth = 1
    words: list[str] = []
    for token in tokens:
        depth += {"(": 1, ")": -1}.get(token, 0)
        if depth == 0:
            return " ".join(words)
        words.append(token)
    raise ValueError("a parenthesis is not closed")


def _inside(selected: list[Selection], path: tuple[str, ...]) -> list[Selection]:
    for name in path:
        selected = next((each.inside for each in selected if each.name == name), [])
    return selected


def _groups(asked: Selection, traffic: Traffic, start: datetime, minutes: float) -> list[Json]:
    """Return the groups of a dataset: one, or one for each status or minute when that is a dimension."""
    total = round(traffic.requests_per_min * minutes)
    failed = round(total * traffic.error_rate)
    if "edgeResponseStatus_geq" in asked.arguments:
        total = failed
    if not total:
        return []
    dimensions = {each.name for part in asked.inside if part.name == "dimensions" for each in part.inside}
    if "edgeResponseStatus" in dimensions:
        counts = ((200, total - failed), (502, failed))
        return [_group(asked, traffic, count, {"edgeResponseStatus": status}) for status, count in counts if count]
    return [_group(asked, traffic, total, _times(start))]


def _times(start: datetime) -> Json:
    text = start.isoformat().replace("+00:00", "Z")
    return {"datetimeMinute": text, "datetimeFiveMinutes": text, "datetimeHour": text, "datetime": text}


def _group(asked: Selection, traffic: Traffic, count: int, dimensions: Json) -> Json:
    failed = min(count, round(count * traffic.error_rate))
    quantiles = {}
    for name in ("edgeTimeToFirstByteMs", "originResponseDurationMs"):
        share = 1.0 if name.startswith("edge") else 0.95
        for quantile, value in (("P50", traffic.p50_ms), ("P95", traffic.p95_ms), ("P99", traffic.p99_ms)):
            quantiles[f"{name}{quantile}"] = round(value * share, 1)
    known: Json = {
        "count": count,
        "avg": {"sampleInterval": 1.0},
        "quantiles": quantiles,
        "sum": {
            "requests": count,
            "visits": traffic.visitors,
            "pageViews": count,
            "edgeResponseBytes": count * 40_000,
            "bytes": count * 40_000,
            "responseStatusMap": [
                {"edgeResponseStatus": 200, "requests": count - failed},
                {"edgeResponseStatus": 502, "requests": failed},
            ],
        },
        "uniq": {"uniques": traffic.visitors},
        "dimensions": dimensions,
    }
    return _picked(asked.inside, known)


def _picked(asked: list[Selection], known: Json) -> Json:
    found: Json = {}
    for each in asked:
        value = known.get(each.name)
        found[each.shown] = _picked(each.inside, value) if each.inside and isinstance(value, dict) else value
    return found


def _tags(text: str, variables: Json) -> list[str]:
    """Return the zones asked for: in variables, else written in the query."""
    found: list[str] = []
    for name, value in variables.items():
        if "zone" in name.lower() or "tag" in name.lower():
            found += [str(each) for each in (value if isinstance(value, list) else [value])]
    return found or re.findall(r'"([0-9a-f]{32})"', text)


def _minutes(text: str, variables: Json) -> tuple[datetime, float]:
    """Return the beginning and the length of the window: from the earliest to the latest time in the query."""
    said = [str(value) for value in variables.values()] + re.findall(r'"([^"]+)"', text)
    times = sorted(time for each in said if (time := _time(each)) is not None)
    if not times:
        return datetime.now(UTC).replace(second=0, microsecond=0), 1.0
    return times[0], max(1.0, (times[-1] - times[0]).total_seconds() / 60)


def _time(text: str) -> datetime | None:
    if not re.match(r"\d{4}-\d\d-\d\dT", text):
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _error(text: str, status: int, code: str, path: Any = None) -> Reply:
    extensions: Json = {"timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z")}
    if code:
        extensions["code"] = code
    return json_reply({"data": None, "errors": [{"message": text, "path": path, "extensions": extensions}]}, status)
