"""The names of what probes measured, as Prometheus writes them: those of blackbox_exporter where they fit, base units, one form.

`uptime` is `probe_success`, `latency_ms` is `probe_duration_seconds`. What blackbox_exporter does not know begins with
`tocsin_sample_`, in seconds, bytes or ratios: `db_size_gb` is `tocsin_sample_db_size_bytes`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count

from chalicelib.core.language.units import RATIO, SIZE, TIME, unit_of

DAY_SECONDS = 86_400
PREFIX = "tocsin_sample_"
BROKEN = "probe_broken"
"""The metric by which a run of the probes says that one cannot measure."""
HIDDEN = ("identity", "status")
"""Labels of that metric which are for the router itself."""


@dataclass(frozen=True, slots=True)
class Named:
    """A name of a metric, labels beside those of its series, and how its value is written: times `scale`.

    With `counts_down` the value is a number of days until an instant, and that instant is what is written.
    """

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    scale: float = 1.0
    counts_down: bool = False

    def value(self, measured: float, at: datetime) -> float:
        """Return a value that was measured at a time."""
        return at.timestamp() + measured * DAY_SECONDS if self.counts_down else measured * self.scale


KNOWN: Mapping[str, Named] = {
    "uptime": Named("probe_success"),
    "latency_ms": Named("probe_duration_seconds", scale=0.001),
    "dns_ms": Named("probe_dns_lookup_time_seconds", scale=0.001),
    "connect_ms": Named("probe_http_duration_seconds", {"phase": "connect"}, 0.001),
    "tls_ms": Named("probe_http_duration_seconds", {"phase": "tls"}, 0.001),
    "first_byte_ms": Named("probe_http_duration_seconds", {"phase": "processing"}, 0.001),
    "tls_days_left": Named("probe_ssl_earliest_cert_expiry", counts_down=True),
    "domain_days_left": Named("tocsin_domain_expiry_timestamp_seconds", counts_down=True),
    BROKEN: Named("tocsin_probe_broken"),
}
_ENDS = ("_count", "_sum", "_bucket", "_info", "_created")
"""How names of histograms, summaries and infos end: those of a gauge must not."""


def named(metric: str) -> Named:
    """Return the name of a metric for Prometheus."""
    if metric in KNOWN:
        return KNOWN[metric]
    unit, words = unit_of(metric), _plain(metric).split("_")
    if unit.kind == RATIO and words[-1] in ("percent", "pct"):
        return Named(PREFIX + "_".join([*words[:-1], "ratio"]))
    base = {TIME: "seconds", SIZE: "bytes"}.get(unit.kind)
    if base is not None and unit.name.lower() in words:
        return Named(
            PREFIX + "_".join(base if each == unit.name.lower() else each for each in words), {}, float(unit.size)
        )
    if words[-1] == "total" and "ms" in words:
        return Named(PREFIX + "_".join("seconds" if each == "ms" else each for each in words), {}, 0.001)
    return Named(PREFIX + _without_ends("_".join(words)))


def _without_ends(name: str) -> str:
    for end in _ENDS:
        name = name.removesuffix(end)
    return name or "value"


def label(name: str) -> str:
    """Return the name of a label, as Prometheus allows it."""
    found = _plain(name)
    return f"label{found}" if found.startswith("__") or found[:1].isdigit() else found


def _plain(text: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_]", "_", text) or "_"


def labels_of(metric: str, labels: Mapping[str, str]) -> dict[str, str]:
    """Return the labels of a series of a metric, for Prometheus. Of labels that come to one name each has its own."""
    hidden = HIDDEN if metric == BROKEN else ()
    found: dict[str, str] = {}
    for name, text in sorted(labels.items()):
        if name not in hidden:
            found[_free(label(name), found)] = text
    return found | {**named(metric).labels}


def _free(name: str, taken: Mapping[str, str]) -> str:
    """Return the name, with a number behind it where it is taken."""
    return (
        name if name not in taken else next(each for each in map(f"{name}_{{}}".format, count(2)) if each not in taken)
    )
