"""A probe's name and labels, its secrets, and the events of a probe that cannot measure."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from chalicelib.core.errors import RulesError
from chalicelib.core.event import ROUTER, Event, Severity, Status, fingerprint
from chalicelib.core.payload.retirement import KIND as RETIRING
from chalicelib.core.payload.retirement import Retirement

FAILED = "probe.failed"
LIMITED = "probe.limited"
ABSENT = "absent"
"""The annotation of an event that a server works and does not know what is measured: the labels of its `uptime` as JSON."""
RETIRING_SHOWN_FOR = timedelta(hours=1)
RETRY_AFTER = "retry_after"
"""The annotation of an event that says for how long what is measured wants to be left alone: no second try."""


def name_of(params: Mapping[str, Any]) -> str:
    """Return the probe's name."""
    return str(params.get("name", ""))


def labels_of(params: Mapping[str, Any]) -> dict[str, str]:
    """Return the labels of the probe's samples: its name, its service, and those given."""
    name = name_of(params)
    given = {str(key): str(value) for key, value in (params.get("labels") or {}).items()}
    return {"service": str(params.get("service") or name), **given, "probe": name}


def secret(clients: Any, name: str) -> str:
    """Return the secret's value. Raise RulesError when it is not set, so that a forgotten secret is named."""
    found: str | None = clients.secret(name)
    if not found:
        raise RulesError(f"the secret {name} is not set; allowed is the name of a secret of this stage")
    return found


def identity_of(kind: str, name: str, part: str = "") -> str:
    """Return what a broken probe is about, so that its end finds its beginning; `part` where only some of it broke."""
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


def probe_retiring(kind: str, params: Mapping[str, Any], vendor: str, announced: Retirement, *, now: datetime) -> Event:
    """Return the warning that a vendor takes away what a probe reads: of each week one, which ends by itself."""
    year, week, _ = now.isocalendar()
    name = name_of(params)
    identity = f"{RETIRING}:{identity_of(kind, name)}:{year}-{week:02}"
    instead = f" It is replaced by {announced.replacement}." if announced.replacement else ""
    return Event(
        id=fingerprint("probe", identity),
        source=ROUTER,
        kind=RETIRING,
        status=Status.FIRING,
        severity=Severity.WARNING,
        title=f"{vendor} takes away what the probe {name} reads",
        occurred_at=now,
        identity=identity,
        summary=f"{vendor} {announced.words}.{instead} Without it the probe measures nothing. See whether a newer version of "
        "Tocsin reads its replacement, and upgrade.",
        service=labels_of(params)["service"],
        labels={**labels_of(params), "probe_kind": kind},
        ends_at=now + RETIRING_SHOWN_FOR,
    )


def probe_recovered(kind: str, identity: str, labels: Mapping[str, str], reason: str, *, now: datetime) -> Event:
    """Return the event that ends `probe_failed`."""
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
