"""The upstream of a probe: the host that it depends on. Probes of one upstream fail together.

A web address stands for its whole domain, every other for its host. A connection string is read for its host alone, and
what may be a part of a password is none: people read the name.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from chalicelib.probes._common import name_of

_HOST = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?|[0-9A-Fa-f]*:[0-9A-Fa-f:.]+")
_KEY_HOST = re.compile(r"(?:^|\s)host(?:addr)?\s*=\s*'?([^\s',]+)")
_PORT = re.compile(r"(\[[^\]]*\]|[^:]*)(?::\d*)?")
_SUPABASE_USER = re.compile(r"://\w+\.([a-z0-9]+)[:@]")
_SUPABASE = ".supabase.co"
_POOLER = ".pooler.supabase.com"


def upstream_of(kind: str, params: Mapping[str, Any], secret: Callable[[str], str | None] = lambda name: None) -> str:
    """Return what a probe depends on, for what has something in common: its domain or host, else the probe itself."""
    read = _OF_KINDS.get(kind, _of_web)
    try:
        host = read(params, secret)
    except ValueError:
        host = ""
    return host.rstrip(".").lower() if _HOST.fullmatch(host) else f"{kind} {name_of(params)}"


def _of_web(params: Mapping[str, Any], secret: Callable[[str], str | None]) -> str:
    address = str(params.get("url") or params.get("base") or "")
    return _domain((urlsplit(address).hostname or "") if "://" in address else "")


def _of_dns(params: Mapping[str, Any], secret: Callable[[str], str | None]) -> str:
    server = str(params.get("server") or "")
    return _without_port(server) if server else _domain(str(params.get("host", "")))


def _of_supabase(params: Mapping[str, Any], secret: Callable[[str], str | None]) -> str:
    project = params.get("project")
    return f"{project}{_SUPABASE}" if project else _of_web(params, secret)


def _of_database(params: Mapping[str, Any], secret: Callable[[str], str | None]) -> str:
    return _host_in(secret(str(params.get("dsn", ""))) or "")


def _of_redis(params: Mapping[str, Any], secret: Callable[[str], str | None]) -> str:
    return _host_in(secret(str(params.get("url", ""))) or "")


_OF_KINDS: Mapping[str, Callable[[Mapping[str, Any], Callable[[str], str | None]], str]] = {
    "tcp": lambda params, _: str(params.get("host", "")),
    "dns": _of_dns,
    "domain": lambda params, _: _domain(str(params.get("domain", ""))),
    "supabase": _of_supabase,
    "cloudflare": lambda params, _: "api.cloudflare.com",
    "database": _of_database,
    "redis": _of_redis,
}


def _host_in(text: str) -> str:
    """Return the first host of a connection string; empty when it has none that is sure to be one."""
    _, separator, rest = text.strip().partition("://")
    if not separator:
        found = _KEY_HOST.search(text)
        return found[1] if found else ""
    place, _, query = rest.partition("?")
    if "@" in query:  # A password with a question mark.
        return ""
    # A password may hold @ and /, which belong escaped.
    host = _without_port(place.rpartition("@")[2].partition("/")[0].partition(",")[0])
    host = host or parse_qs(query).get("host", [""])[0]
    pooled = _SUPABASE_USER.search(text)
    if host.endswith(_POOLER) and pooled:
        return f"{pooled[1]}{_SUPABASE}"
    return _domain(host) if host.endswith(_SUPABASE) else host


def _without_port(place: str) -> str:
    if place.count(":") > 1 and not place.startswith("["):
        return place
    found = _PORT.fullmatch(place)
    return found[1].strip("[]") if found else ""


def _domain(host: str) -> str:
    """Return the domain that a host belongs to; of an IP address the address. A Supabase project is a domain of its own."""
    parts = host.rstrip(".").split(".")
    if not host or host.replace(".", "").isdecimal() or ":" in host:
        return host
    country = len(parts) > 2 and len(parts[-1]) == 2 and len(parts[-2]) <= 3
    return ".".join(parts[-3:] if country or host.endswith(_SUPABASE) else parts[-2:])
