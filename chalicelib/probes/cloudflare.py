"""Cloudflare's GraphQL Analytics: error rate, latency, requests and visitors of a zone, polled.

    - name: site
      zone: 023e105f4ecef8ad9ca31a8372d0c353      # or zones: [tag, tag], or zones: {example.com: tag}
      window: 1m             # 1m to 60m

Samples for each zone (labels `zone`, `service`): `requests_per_min`, `error_rate` (answers of 500 and above, with the
most frequent status codes of 400 and above as evidence),
`p95_latency_ms`, `p99_latency_ms` (edge time to first byte), `active_users` (unique visitors of the window). Without
traffic requests are 0, and error rate and latency have no value.

Fresh minutes are incomplete at Cloudflare, so the window ends DELAY ago on a whole minute. The samples are stamped
with the time of measuring all the same: a rule's bare metric must not be older than five minutes, and what is being
decided is whether people should act now. Latency and visitors are not on every plan: they are asked for apart, and a
refusal of them is reported as information while the rest goes on. A query that fails costs nothing that others gave: neither
that of the visitors nor that of ten other zones. Counts are Cloudflare's estimates of the whole; they are
not multiplied by the sample interval.

Limits: 300 queries in 5 minutes for a user, 10 zones a query; this sends two queries a run for up to ten zones. HTTP
200 may carry errors. https://developers.cloudflare.com/analytics/graphql-api/limits/
https://developers.cloudflare.com/analytics/graphql-api/errors/
"""

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from chalicelib.core.errors import TargetRejectedError, TargetUnavailableError
from chalicelib.core.instants import rfc3339
from chalicelib.core.metrics.sample import Sample
from chalicelib.core.payload import coerce
from chalicelib.core.payload.retirement import retirement
from chalicelib.probes import MAX_TIMEOUT, RETIRING, Attempt, Down, common_mistakes, duration, probe_retiring
from chalicelib.probes._http import Answer, Question, ask, sendable

MEANING = "Zones whose traffic is measured."
SAMPLE = {"name": "site", "zone": "023e105f4ecef8ad9ca31a8372d0c353"}
PLACE = 4
METRICS = ("requests_per_min", "error_rate", "p95_latency_ms", "p99_latency_ms", "active_users")
ENDPOINT = "https://api.cloudflare.com/client/v4/graphql"
DELAY = timedelta(minutes=5)
DEFAULT_WINDOW = timedelta(minutes=1)
MAX_WINDOW = timedelta(minutes=60)
TOKEN = "CLOUDFLARE_API_TOKEN"
TIMEOUT = MAX_TIMEOUT
LATE_IS_DOWN = False
QUERY_LIMIT = timedelta(seconds=10)
QUERY_SHARE = 0.9
MAX_BODY_BYTES = 4_000_000
RETRY_AFTER = timedelta(minutes=5)
MAX_ZONES_PER_QUERY = 10
MAX_ZONES = 50
MAX_REASON_CHARACTERS = 200
MAX_STATUSES = 5
FIELDS = ("zone", "zones", "window")
LATENCIES = {"p95_latency_ms": "edgeTimeToFirstByteMsP95", "p99_latency_ms": "edgeTimeToFirstByteMsP99"}

_WHERE = 'datetime_geq: $from, datetime_lt: $to, requestSource: "eyeball"'
_COUNTS = f"""
      total: httpRequestsAdaptiveGroups(limit: 1, filter: {{{_WHERE}}}) {{ count }}
      errors5xx: httpRequestsAdaptiveGroups(limit: 1, filter: {{{_WHERE}, edgeResponseStatus_geq: 500}}) {{ count }}"""
_QUANTILES = f"""
      quant: httpRequestsAdaptiveGroups(limit: 1, filter: {{{_WHERE}}}) {{ quantiles {{ {" ".join(LATENCIES.values())} }} }}"""
_STATUSES = f"""
      byStatus: httpRequestsAdaptiveGroups(limit: {MAX_STATUSES}, filter: {{{_WHERE}, edgeResponseStatus_geq: 400}}, orderBy: [count_DESC]) {{ count dimensions {{ edgeResponseStatus }} }}"""
_VISITORS = """
      visitors: httpRequests1mGroups(limit: 1, filter: {datetime_geq: $from, datetime_lt: $to}) { uniq { uniques } }"""
_PLAN_WORDS = (
    "does not have access",
    "number of fields",
    "cannot query field",
    "unknown field",
    "time range is too large",
)
_BUSY_WORDS = ("rate limiter budget", "excessive resources")
_BROKEN_WORDS = ("unable to execute", "too many queries", "internal server error", "please try again")


@dataclass(frozen=True, slots=True)
class _Answer:
    """What Cloudflare answered to one query: the zones that it knows by tag, and its errors as (zone index, path, text)."""

    zones: tuple[Mapping[str, Any], ...]
    errors: tuple[tuple[int | None, str, str], ...] = ()

    def zone(self, tag: str, alone: bool) -> Mapping[str, Any] | None:
        """Return the zone's part; an answer about a single zone need not repeat its tag."""
        for zone in self.zones:
            if zone.get("zoneTag", tag if alone else None) == tag:
                return zone
        return None


@dataclass(slots=True)
class _CloudflareRun:
    """One try of the probe: what it asks with, and what stands in the way of further queries."""

    attempt: Attempt
    endpoint: str
    token: str
    final: TargetUnavailableError | TargetRejectedError | None = None
    """The answer that every further query would get: nothing more is asked."""
    no_visitors: TargetUnavailableError | None = None
    """Why the visitors of other zones could not be asked for: they would take as long."""

    @property
    def window(self) -> timedelta:
        return duration(self.attempt.params.get("window", DEFAULT_WINDOW))

    async def ask(self, parts: str, tags: Sequence[str]) -> _Answer:
        """Return the answer to one query over the zones. TargetUnavailableError and TargetRejectedError as in `check`."""
        if self.final is not None:
            raise self.final
        until = self.attempt.now.replace(second=0, microsecond=0) - DELAY
        text = (
            "query Window($zones: [String!], $from: Time!, $to: Time!) {\n  viewer {\n"
            f"    zones(filter: {{zoneTag_in: $zones}}) {{\n      zoneTag{parts}\n    }}\n  }}\n}}"
        )
        variables = {"zones": list(tags), "from": rfc3339(until - self.window), "to": rfc3339(until)}
        try:
            answer = await self._answered({"query": text, "variables": variables})
            self.look_for_retirement(answer)
            return _answer(answer)
        except TargetUnavailableError as error:
            self.final = error if error.retry_after else None
            raise

    async def _answered(self, query: Mapping[str, Any]) -> Answer:
        # A query ends before the engine ends the try, so that what others gave is kept.
        seconds = min(self.attempt.left * QUERY_SHARE, QUERY_LIMIT.total_seconds())
        bearer = sendable("Authorization", f"Bearer {self.token}", (TOKEN,))
        headers = {"Authorization": bearer, "Content-Type": "application/json"}
        body = json.dumps(query).encode()
        try:
            async with asyncio.timeout(seconds):
                return await ask(
                    self.attempt, Question("POST", self.endpoint, headers, body, MAX_BODY_BYTES, is_watched=False)
                )
        except TimeoutError:
            raise TargetUnavailableError(f"Cloudflare did not answer within {seconds:.2g} s") from None
        except Down as down:
            raise TargetUnavailableError(f"Cloudflare did not answer: {down}") from None

    def sample(self, zone: str, metric: str, value: float | None, **observed: str) -> None:
        attempt, seen = self.attempt, {name: text for name, text in observed.items() if text}
        attempt.samples.append(Sample(metric, value, attempt.now, {**attempt.labels, "zone": zone}, seen))

    def broke(self, part: str, reason: Exception | str) -> None:
        retry_after = reason.retry_after if isinstance(reason, TargetUnavailableError) else None
        self.attempt.broke(part, str(reason), retry_after=retry_after)

    def look_for_retirement(self, answer: Answer) -> None:
        """Note once that Cloudflare announces the end of what is asked."""
        announced, attempt = retirement(answer.headers), self.attempt
        if announced and not any(each.kind == RETIRING for each in attempt.events):
            attempt.events.append(
                probe_retiring("cloudflare", attempt.params, "Cloudflare", announced, now=attempt.now)
            )

    def unplaced(self, text: str) -> None:
        """Note an error beside data that names neither a zone nor a part: what is measured may be less than asked."""
        self.attempt.broke("answer", f"Cloudflare answered with data and an error: {text}", limited=True)

    def limited(self, zone: str, what: str, reason: str) -> None:
        words = f"{what} is not measured for zone {zone}: Cloudflare says {reason!r}"
        self.attempt.broke(f"{zone} {what}", words, limited=True)


async def check(attempt: Attempt) -> None:
    """Add one window of every zone. What is missing, refused or not answered becomes an event, and the rest is measured.

    When nothing can be measured: TargetUnavailableError when Cloudflare cannot answer now (429, 5xx, no answer;
    `retry_after` when it is a limit of ours), TargetRejectedError when it never will (401, 403, a query it does not
    take). RulesError without the token.
    """
    run = _CloudflareRun(attempt, attempt.clients.setting("CLOUDFLARE_API_URL", ENDPOINT), attempt.secret(TOKEN))
    failed: list[tuple[Mapping[str, str], Exception]] = []
    for batch in _batches(_zones(attempt.params)):
        try:
            await _check_batch(run, batch)
        except (TargetUnavailableError, TargetRejectedError) as error:
            run.final = run.final or (error if isinstance(error, TargetRejectedError) else None)
            failed.append((batch, error))
    if failed and not attempt.samples and not attempt.events:
        raise failed[0][1]
    for unmeasured, reason in failed:
        for name in unmeasured:
            run.broke(name, reason)


def parameters(params: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the secrets and settings that an entry reads."""
    return (TOKEN, "CLOUDFLARE_API_URL")


def validate(params: Mapping[str, Any]) -> list[str]:
    """Return the mistakes of an entry of `probes: {cloudflare: […]}`, in words."""
    found = common_mistakes(params, required=(), allowed=FIELDS)
    if bool(params.get("zone")) == bool(params.get("zones")):
        found.append("one of zone (a tag) and zones (a list of tags, or a mapping of name to tag) is needed")
    elif not isinstance(params.get("zones", []), list | tuple | Mapping):
        found.append("zones must be a list of zone tags, or a mapping of name to zone tag")
    elif len(_zones(params)) > MAX_ZONES:
        found.append(f"zones are {len(_zones(params))}; allowed are {MAX_ZONES} in one probe")
    try:
        window = duration(params.get("window", DEFAULT_WINDOW))
    except ValueError as error:
        return [*found, f"window {error}"]
    if not timedelta(0) < window <= MAX_WINDOW or window % timedelta(minutes=1):
        found.append("window must be whole minutes, 1m to 60m")
    return found


def _zones(params: Mapping[str, Any]) -> dict[str, str]:
    """Return zone tags by the name that labels show."""
    zones = params.get("zones") or [params.get("zone", "")]
    if isinstance(zones, Mapping):
        return {str(name): str(tag) for name, tag in zones.items()}
    return {str(tag): str(tag) for tag in zones}


def _batches(zones: Mapping[str, str]) -> Iterator[dict[str, str]]:
    listed = list(zones.items())
    for start in range(0, len(listed), MAX_ZONES_PER_QUERY):
        yield dict(listed[start : start + MAX_ZONES_PER_QUERY])


async def _check_batch(run: _CloudflareRun, batch: Mapping[str, str]) -> None:
    """Ask for all zones in one query; each on its own when that is refused, so that one refused zone costs no other."""
    try:
        await _check_counts(run, batch)
    except TargetRejectedError as error:
        if len(batch) == 1 or not _is_about_zones(str(error)):
            raise
        for name, tag in batch.items():
            try:
                await _check_batch(run, {name: tag})
            except (TargetRejectedError, TargetUnavailableError) as failure:
                run.broke(name, failure)
        return
    await _check_visitors(run, batch)


async def _check_counts(run: _CloudflareRun, batch: Mapping[str, str]) -> None:
    tags = tuple(batch.values())
    refusal = ""
    try:
        answer = await run.ask(_COUNTS + _STATUSES + _QUANTILES, tags)
    except TargetRejectedError as error:
        # One zone without the right to a field may refuse the whole query; then the rest is asked for alone.
        refusal = str(error)
        if not _is_plan_limit(refusal):
            raise
        answer = await run.ask(_COUNTS, tags)
    if unplaced := next((text for number, part, text in answer.errors if number is None and not part), ""):
        run.unplaced(unplaced)
    for name, tag in batch.items():
        zone = answer.zone(tag, alone=len(batch) == 1)
        errors = _errors_of(answer, zone)
        if zone is None:
            run.broke(name, _refused(answer) or f"Cloudflare does not show zone {name} to this token, or it is gone")
        elif (total := _count(zone.get("total"))) is None:
            run.broke(name, next(iter(errors.values()), "Cloudflare answered without counts"))
        else:
            _add_counts(run, name, zone, total)
            _add_latencies(run, name, zone, refusal or errors.get("quant", ""))


def _add_counts(run: _CloudflareRun, name: str, zone: Mapping[str, Any], total: float) -> None:
    errors = _count(zone.get("errors5xx"))
    run.sample(name, "requests_per_min", total / (run.window / timedelta(minutes=1)))
    if errors is None and "errors5xx" in zone:
        run.limited(name, "error rate", "no count of the errors")
    elif errors is not None:
        run.sample(name, "error_rate", min(1.0, errors / total) if total else None, statuses=_statuses(zone))


def _statuses(zone: Mapping[str, Any]) -> str:
    """Return the most frequent status codes of errors with their counts, for people."""
    counted = [
        (
            coerce.number(coerce.table(group.get("dimensions")).get("edgeResponseStatus")),
            coerce.number(group.get("count")),
        )
        for group in _groups(zone.get("byStatus"))
    ]
    known = [(int(status), int(count)) for status, count in counted if status is not None and status >= 400 and count]
    return ", ".join(
        f"{status} × {count:,}" for status, count in sorted(known, key=lambda each: -each[1])[:MAX_STATUSES]
    )


def _add_latencies(run: _CloudflareRun, name: str, zone: Mapping[str, Any], refusal: str) -> None:
    quantiles = _quantiles(zone)
    for metric, vendor_field in LATENCIES.items():
        value = coerce.number(quantiles.get(vendor_field))
        if value is not None:
            run.sample(name, metric, value)
        elif not _count(zone.get("total")):
            run.sample(name, metric, None)
    if refusal:
        run.limited(name, "latency", refusal)


def _quantiles(zone: Mapping[str, Any]) -> Mapping[str, Any]:
    for group in (*_groups(zone.get("quant")), *_groups(zone.get("total"))):
        if found := coerce.table(group.get("quantiles")):
            return found
    return {}


async def _check_visitors(run: _CloudflareRun, batch: Mapping[str, str]) -> None:
    try:
        answer = await _visitors(run, tuple(batch.values()))
    except TargetRejectedError as error:
        for name in batch:
            run.limited(name, "active users", str(error))
        return
    except TargetUnavailableError as error:
        run.no_visitors = error
        for name in batch:
            run.broke(f"{name} visitors", error)
        return
    for name, tag in batch.items():
        zone = answer.zone(tag, alone=len(batch) == 1)
        if zone is not None:  # Otherwise the counts have reported it.
            _add_visitors(run, name, zone, _errors_of(answer, zone))


async def _visitors(run: _CloudflareRun, tags: Sequence[str]) -> _Answer:
    if run.no_visitors is not None:
        raise run.no_visitors
    return await run.ask(_VISITORS, tags)


def _add_visitors(run: _CloudflareRun, name: str, zone: Mapping[str, Any], errors: Mapping[str, str]) -> None:
    found = zone.get("visitors", zone.get("httpRequests1mGroups"))
    if isinstance(found, list):
        # Visitors of several minutes cannot be added up: only one group, for the whole window, says how many.
        if len(found) <= 1:
            uniques = [coerce.number(coerce.table(coerce.table(group).get("uniq")).get("uniques")) for group in found]
            if None in uniques:
                run.limited(name, "active users", "no count of the visitors")
            else:
                run.sample(name, "active_users", next(iter(uniques), 0.0))
    elif errors:
        run.limited(name, "active users", next(iter(errors.values())))


def _answer(response: Answer) -> _Answer:
    body = _json(response)
    errors = _errors(body.get("errors"))
    _raise_for(response.status, "; ".join(map(_text, errors)), has_data=bool(body.get("data")))
    zones = coerce.at(body, "data", "viewer", "zones")
    if not isinstance(zones, list):
        raise TargetUnavailableError("Cloudflare answered without zones")
    return _Answer(tuple(_groups(zones)), tuple((*_place(error), _text(error)) for error in errors))


def _errors(value: object) -> list[Mapping[str, Any]]:
    """Return errors as objects: a bare text is the message of one, and what is neither says that there is one."""
    listed = value if isinstance(value, list) else [value] if value else []
    return [each if isinstance(each, dict) else {"message": each or "an error without a text"} for each in listed]


def _raise_for(status: int, text: str, *, has_data: bool) -> None:
    lowered = text.lower()
    if status == 429 or (not has_data and any(words in lowered for words in _BUSY_WORDS)):
        raise TargetUnavailableError("Cloudflare says that too much was asked", retry_after=RETRY_AFTER)
    if status >= 500 or (not has_data and any(words in lowered for words in _BROKEN_WORDS)):
        raise TargetUnavailableError(f"Cloudflare answered {status}: {text or 'no reason'}")
    if status >= 400 or (text and not has_data):
        raise TargetRejectedError(f"Cloudflare answered {status}: {text or 'no reason'}")
    if status >= 300:
        raise TargetRejectedError(f"Cloudflare answered {status}; allowed is an endpoint that does not redirect")


def _json(response: Answer) -> Mapping[str, Any]:
    try:
        body = response.json
    except Down:
        body = None
    if isinstance(body, dict):
        return body
    if response.status < 400:
        raise TargetUnavailableError("Cloudflare's answer is not a JSON object")
    return {}


def _text(error: Mapping[str, Any]) -> str:
    return " ".join(str(error.get("message", "")).split())[:MAX_REASON_CHARACTERS]


def _place(error: Mapping[str, Any]) -> tuple[int | None, str]:
    """Return (index of the zone, name of the part) of an error's path, such as ["viewer", "zones", "0", "quant"]."""
    listed = error.get("path")
    path = [str(each) for each in listed] if isinstance(listed, list) else []
    number = int(path[2]) if len(path) > 2 and path[2].isdecimal() else None
    return number, path[3] if len(path) > 3 else ""


def _errors_of(answer: _Answer, zone: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the errors of one zone by part; one that names no zone is everybody's."""
    index = next((number for number, each in enumerate(answer.zones) if each is zone), None)
    return {part: text for number, part, text in answer.errors if number in (index, None)}


def _refused(answer: _Answer) -> str:
    return next((text for _, _, text in answer.errors), "")


def _is_plan_limit(text: str) -> bool:
    lowered = text.lower()
    return any(words in lowered for words in _PLAN_WORDS) and "are not authorized" not in lowered


def _is_about_zones(text: str) -> bool:
    lowered = text.lower()
    return ("authorized" in lowered and "zone" in lowered) or "does not have access" in lowered


def _groups(value: object) -> list[Mapping[str, Any]]:
    """Return the objects of a list; of anything else none."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _count(groups: object) -> float | None:
    """Return the count of the first group, 0 without groups; None when there is no list or no number in it."""
    if not isinstance(groups, list):
        return None
    if not groups:
        return 0.0
    return coerce.number(coerce.table(groups[0]).get("count"))
