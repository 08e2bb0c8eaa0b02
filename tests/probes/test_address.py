"""Hosts and web addresses as entries of the rules file give them, as tables: what `tocsin check` sees to be wrong."""

from typing import Any

import pytest

from chalicelib.probes import dns, domain, journey, redis, supabase, tcp, uptime
from chalicelib.probes._address import address_mistake, host_mistake

HOSTS = [
    "localhost",
    "www.example.com",
    "example.com.",
    "_dmarc.example.com",
    "münchen.example",
    "192.0.2.1",
    "2001:db8::1",
]
NO_HOSTS = [
    "",
    "a..b",
    "a b",
    "a/b",
    "u@h",
    "[::1]",
    "https://example.com",
    "x" * 64 + ".com",
    "-a.com",
    "1.2.3.4.5",
    "0.0.0.0",
    "::",
]


@pytest.mark.parametrize("host", HOSTS)
def test_hosts(host: str) -> None:
    """Given a name or an IP address → no mistake."""
    assert host_mistake(host) == ""


@pytest.mark.parametrize("host", NO_HOSTS)
def test_no_hosts(host: str) -> None:
    """Given what nothing can connect to → a mistake that says what it must be."""
    assert host_mistake(host).startswith("must be ")


ADDRESSES = [
    "https://example.com",
    "http://localhost:8080/a?b=c#d",
    "https://[2001:db8::1]:1/",
    "https://münchen.example/ä",
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_addresses(address: str) -> None:
    """Given a web address → no mistake."""
    assert address_mistake(address, instead="x") == ""


WRONG: list[tuple[Any, dict[str, Any], str]] = [
    (uptime, {"url": "https://exa mple.com/"}, "url has a space"),
    (uptime, {"url": "http://a..b/"}, "its host must be a name"),
    (uptime, {"url": f"http://{'a' * 70}.com/"}, "url "),
    (uptime, {"url": "http://[::1"}, "url is not a web address"),
    (uptime, {"url": "http://a:99999/"}, "url is not a web address"),
    (uptime, {"url": "http://0.0.0.0/"}, "its host must be the address of a server"),
    (uptime, {"url": "https://a.com", "headers": {"TE": "gzip"}, "http2": True}, "TE is set by the probe itself"),
    (uptime, {"url": "https://a.com", "headers": {"Content-Length": "5"}}, "Content-Length is set by the probe itself"),
    (uptime, {"url": "https://a.com", "ca": "-----BEGIN"}, "ca must be the name of a secret"),
    (journey, {"base": "https://u:p@a.com", "steps": [{"get": "/"}]}, "base must not hold a user or password"),
    (journey, {"base": "http://[::1", "steps": [{"get": "/"}]}, "base is not a web address"),
    (journey, {"base": "https://a.com", "ca": "a/b", "steps": [{"get": "/"}]}, "ca must be the name of a secret"),
    (journey, {"base": "https://a.com", "steps": [{"get": "http://[::1"}]}, "step 1: its address is not a web address"),
    (journey, {"steps": [{"get": "https://u:p@a.com/"}]}, "step 1: its address must not hold a user or password"),
    (tcp, {"host": "[::1]", "port": 1}, "host must be an IP address without square brackets"),
    (tcp, {"host": "a..b", "port": 1}, "host must be a name or an IP address"),
    (tcp, {"host": "a.com", "port": 1, "tls": True, "ca": "a/b"}, "ca must be the name of a secret"),
    (dns, {"host": "a.com", "server": "0.0.0.0"}, "server must be an IP address"),
    (dns, {"host": "a.com", "server": "127.0.0.1:70000"}, "server must be an IP address"),
    (dns, {"host": "https://example.com/x"}, "host must be a name"),
    (dns, {"host": "192.0.2.1", "record": "PTR"}, "host must be a name, such as 1.2.0.192.in-addr.arpa"),
    (redis, {"url": "redis://a"}, "url must be the name of a secret"),
    (supabase, {"url": "https://u:p@a.com/metrics"}, "url must not hold a user or password"),
    (
        domain,
        {"domain": "a.com", "every": "1d", "server": "https://u:p@a.com"},
        "server must not hold a user or password",
    ),
]


@pytest.mark.parametrize(("module", "params", "words"), WRONG)
def test_check_refuses_what_it_can_see(module: Any, params: dict[str, Any], words: str) -> None:
    """Given an entry that can never be measured → a mistake in words, and no password in it."""
    (mistake,) = module.validate({"name": "x", **params})
    assert words in mistake and "u:p" not in mistake
