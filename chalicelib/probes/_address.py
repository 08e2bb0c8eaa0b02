"""Hosts, web addresses and names of secrets as entries of the rules file give them: what can be seen to be wrong.

A mistake of ours that is seen here never becomes an outage of what is watched. No text of an address is part of what is
said of it, since it may hold a secret.
"""

import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

MAX_HOST_CHARACTERS = 253
NOWHERE = frozenset({"0.0.0.0", "::"})
"""Addresses at which nobody is: a connection would be one to ourselves."""
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.IGNORECASE)
_SPACE = re.compile(r"[\x00-\x20\x7f\ud800-\udfff]")
_SECRET_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def host_mistake(host: str) -> str:
    """Return what is wrong with a host; empty for an IP address and for what can be a name."""
    if host in NOWHERE:
        return "must be the address of a server, which 0.0.0.0 and :: are not"
    if _is_ip_address(host):
        return ""
    if host.startswith("["):
        return "must be an IP address without square brackets"
    try:
        name = (host if host.isascii() else host.encode("idna").decode()).removesuffix(".")
    except UnicodeError:
        name = ""
    labels = name.split(".")
    if len(name) > MAX_HOST_CHARACTERS or not all(map(_LABEL.fullmatch, labels)) or labels[-1].isdecimal():
        return "must be a name or an IP address, such as www.example.com"
    return ""


def _is_ip_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def address_mistakes(params: Mapping[str, Any], field: str, *, instead: str) -> list[str]:
    """Return what is wrong with a web address of an entry, in words; `instead`: where a user and password belong."""
    address = str(params.get(field) or "")
    mistake = address_mistake(address, instead=instead) if address else ""
    return [f"{field} {mistake}"] if mistake else []


def address_mistake(address: str, *, instead: str) -> str:
    """Return what is wrong with a web address; empty when it can be asked."""
    if _SPACE.search(address):
        return "has a space, a control character or half a character; allowed is %20 for a space"
    import httpx  # `tocsin check` without probes does not need it

    try:
        url = httpx.URL(address)
        host, port = url.host, urlsplit(address).port
    except (httpx.InvalidURL, ValueError, TypeError):
        return "is not a web address: its host or its port is none"
    if url.scheme not in ("http", "https") or not host:
        return "must be an address that begins with https:// or http:// and has a host"
    if url.userinfo:
        return f"must not hold a user or password; allowed is {instead}"
    if port == 0:
        return "is not a web address: its port is 0; allowed are 1 to 65535"
    mistake = host_mistake(host)
    return f"is not a web address: its host {mistake}" if mistake else ""


def secret_name_mistakes(params: Mapping[str, Any], field: str, example: str) -> list[str]:
    """Return what is wrong with a field that must be the name of a secret, in words."""
    value = params.get(field)
    if value in (None, "") or (isinstance(value, str) and _SECRET_NAME.fullmatch(value)):
        return []
    return [f"{field} must be the name of a secret, such as {example}, not what it holds"]
