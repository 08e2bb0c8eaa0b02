"""What every probe shares: its fields in the rules file, its labels, refused addresses, and how it says it broke.

A probe is a module here with `check(params, clients, *, now) -> list[Sample | Event]` and `validate(params) ->
list[str]`. `check` tries once: `chalicelib/schedule/watch.py` does the second try, counts failures in a row and tells of probes
that break. What is watched being down is a sample (`uptime` 0); not being able to measure is an error raised, or an
event from `probe_failed` when the rest could still be measured. A probe reads no clock but for durations; its samples are
stamped `now`.

Fields of every probe: `name` (required), `service` (else the name), `labels`, `every`, `timeout`.
"""

import socket
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from chalicelib.core.errors import RulesError
from chalicelib.core.event import ROUTER, Event, Severity, Status, fingerprint
from chalicelib.core.language.durations import duration_of
from chalicelib.core.payload import addresses as ip

FAILED = "probe.failed"
LIMITED = "probe.limited"
RETRY_AFTER = "retry_after"
"""The annotation of an event that says for how long what is measured wants to be left alone: no second try."""
COMMON_FIELDS = frozenset({"name", "service", "labels", "every", "timeout"})
MAX_TIMEOUT = timedelta(seconds=20)
"""All probes of a minute, and the second tries, must fit into one run of the watch."""


def duration(value: object) -> timedelta:
    """A duration as the rules file writes it; a bare number is seconds. ValueError says what is allowed."""
    return value if isinstance(value, timedelta) else duration_of(value)


def every(params: Mapping[str, Any]) -> timedelta:
    """How often the probe runs: each minute unless the file says otherwise; a bare number is minutes."""
    value = params.get("every", 1)
    return duration(value * 60 if isinstance(value, int | float) else value)


def time_limit(params: Mapping[str, Any], default: timedelta) -> timedelta:
    """The probe's own time limit, never above MAX_TIMEOUT."""
    return min(duration(params.get("timeout", default)), MAX_TIMEOUT)


def name_of(params: Mapping[str, Any]) -> str:
    """The probe's name."""
    return str(params.get("name", ""))


def labels_of(params: Mapping[str, Any]) -> dict[str, str]:
    """The labels of the probe's samples: its name, its service, and those given."""
    name = name_of(params)
    given = {str(key): str(value) for key, value in (params.get("labels") or {}).items()}
    return {"service": str(params.get("service") or name), **given, "probe": name}


def secret(clients: Any, name: str) -> str:
    """The secret's value. RulesError when it is not set, so that a forgotten secret is told as such."""
    found: str | None = clients.secret(name)
    if not found:
        raise RulesError(f"the secret {name} is not set; allowed is the name of a secret of this stage")
    return found


def identity_of(kind: str, name: str, part: str = "") -> str:
    """What a broken probe is about, so that its end finds its beginning; `part` where only some of it broke."""
    return f"probe:{kind}:{name}" + (f":{part}" if part else "")


def probe_failed(
    kind: str,
    params: Mapping[str, Any],
    reason: str,
    *,
    now: datetime,
    part: str = "",
    limited: bool = False,
    retry_after: timedelta | None = None,
) -> Event:
    """Return the event that a probe, or a part of it, could not measure.

    `limited`: for good, and the rest is fine, which is information. `retry_after`: no second try before that.
    """
    name = name_of(params)
    where = f"{name} ({part})" if part else name
    identity = identity_of(kind, name, part)
    return Event(
        id=fingerprint("probe", identity, now.isoformat(), Status.FIRING.value),
        source=ROUTER,
        kind=LIMITED if limited else FAILED,
        status=Status.INFO if limited else Status.FIRING,
        severity=Severity.INFO if limited else Severity.WARNING,
        title=f"Probe {where} measures less than asked" if limited else f"Probe {where} cannot measure",
        occurred_at=now,
        identity=identity,
        summary=reason,
        service=labels_of(params)["service"],
        labels={**labels_of(params), "probe_kind": kind},
        annotations={RETRY_AFTER: f"{retry_after.total_seconds():.0f}s"} if retry_after else {},
    )


def probe_recovered(kind: str, identity: str, labels: Mapping[str, str], reason: str, *, now: datetime) -> Event:
    """The event that ends `probe_failed`."""
    name = labels.get("probe", identity)
    return Event(
        id=fingerprint("probe", identity, now.isoformat(), Status.RESOLVED.value),
        source=ROUTER,
        kind=FAILED,
        status=Status.RESOLVED,
        severity=Severity.WARNING,
        title=f"Probe {name} measures again" if not reason else f"Probe {name} ended",
        occurred_at=now,
        identity=identity,
        summary=reason,
        service=labels.get("service"),
        labels={**labels, "probe_kind": kind},
    )


def refusal(address: str) -> str | None:
    """Why an IP address must not be probed; None when it may be. Link-local and metadata addresses are refused."""
    refused = ip.refusal(address)
    return f"{refused} addresses are not probed" if refused else None


def addresses(host: str, port: int) -> list[str]:
    """The IP addresses of a host, IPv4 first. RulesError when any of them is refused; OSError when there are none."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError:
        raise OSError("the host name is not valid") from None
    ordered = sorted(found, key=lambda each: each[0] != socket.AF_INET)
    unique = list(dict.fromkeys(str(each[4][0]) for each in ordered))
    for address in unique:
        reason = refusal(address)
        if reason is not None:
            raise RulesError(f"{reason}; allowed is an address of what you run")
    return unique


def common_mistakes(params: Mapping[str, Any], *, required: Sequence[str], allowed: Iterable[str]) -> list[str]:
    """The mistakes in words that any probe can have: missing and unknown fields, wrong durations and labels."""
    known = COMMON_FIELDS | set(allowed) | set(required)
    found = [f"{field} is missing" for field in ("name", *required) if params.get(field) in (None, "")]
    found += [f"{field} is unknown; allowed are {', '.join(sorted(known))}" for field in params if field not in known]
    found += [mistake for field in ("timeout", "every") if (mistake := _duration_mistake(params, field))]
    if not isinstance(params.get("labels") or {}, Mapping):
        found.append("labels must be a mapping of label to value")
    return found


def _duration_mistake(params: Mapping[str, Any], field: str) -> str:
    if field not in params:
        return ""
    try:
        found = every(params) if field == "every" else duration(params[field])
    except ValueError as error:
        return f"{field} {error}"
    if field == "every" and (found < timedelta(minutes=1) or found % timedelta(minutes=1)):
        return "every must be whole minutes, at least 1m: the schedule runs once a minute"
    if field == "timeout" and not timedelta(0) < found <= MAX_TIMEOUT:
        return f"timeout must be over 0s and at most {MAX_TIMEOUT.seconds}s"
    return ""
