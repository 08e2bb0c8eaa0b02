"""A DNS record: whether a name has it, and with the expected values.

    - name: apex
      host: example.com
      record: MX                        # A (the default), AAAA, CAA, CNAME, DS, MX, NS, PTR, SOA, SRV, TXT
      expect: 10 mx1.example.com        # a value, or a list: each of them must be among the answers
      server: 192.0.2.53                # the name server to ask, as address or address:port; else that of the machine
      timeout: 5s

Samples: `uptime`, `latency_ms`. Values are compared as zone files write them, without regard to case, to the dot at the
end of a name and to the quotes of a text: `10 mx1.example.com`, `v=spf1 -all`, `0 issue letsencrypt.org`.

Down (`uptime` 0): the name is not there or has no such record, another value, SERVFAIL (its name servers or its signatures
are broken), and a `server` of the entry that is silent or refuses. A machine's own resolver that is silent or refuses, or
answers SERVFAIL for the root of all names too, is no sign of the name: it cannot be measured.
https://www.rfc-editor.org/rfc/rfc1035  https://dnspython.readthedocs.io/
"""

import asyncio
import itertools
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from ipaddress import ip_address
from typing import Any

import dns.asyncquery
import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdatatype
import dns.resolver
import dns.reversename

from chalicelib.probes import Attempt, Down, UnmeasuredError, common_mistakes
from chalicelib.probes._address import NOWHERE

MEANING = "DNS records that names must have."
SAMPLE = {"name": "apex", "host": "example.com", "record": "A"}
PLACE = 9
METRICS = ("latency_ms",)
TIMEOUT = timedelta(seconds=5)
RECORDS = ("A", "AAAA", "CAA", "CNAME", "DS", "MX", "NS", "PTR", "SOA", "SRV", "TXT")
UDP_WAIT = 1.5
"""Seconds for one datagram, which may be lost; then it is sent again, within the limit of the try."""
LAST_WAIT = 0.1
DEFAULT_PORT = 53
MAX_PORT = 65_535
MAX_SHOWN = 3
_OF_THE_NAME = (dns.rcode.NOERROR, dns.rcode.NXDOMAIN, dns.rcode.SERVFAIL)
"""Answers that say something of the name, and not of the name server."""


async def check(attempt: Attempt) -> None:
    """Add what one try measures. Raise Down when the record is not as expected."""
    params = attempt.params
    record, wanted = str(params.get("record", "A")).upper(), _expected(params)
    attempt.address = str(params["host"])
    attempt.expected = f"a record {record}" + (f" with {', '.join(wanted)}" if wanted else "")
    query = dns.message.make_query(_name(str(params["host"])), record)
    with attempt.step("answer"):
        given = str(params.get("server") or "")
        answer = await asked(attempt, query, [_place(given)] if given else _of_this_machine(), own=bool(given))
    found = _values(answer, record)
    if not found:
        raise Down(f"it has no record {record}")
    compared = {_comparable(value, record) for value in found}
    missing = [value for value in wanted if _comparable(value, record) not in compared]
    if missing:
        shown = ", ".join(found[:MAX_SHOWN]) + (f" and {len(found) - MAX_SHOWN} more" if len(found) > MAX_SHOWN else "")
        raise Down(f"the record {record} is {shown}")
    attempt.up()
    attempt.add("latency_ms", round(attempt.elapsed * 1000, 3))


def parameters(params: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the secrets and settings that an entry reads."""
    return ()


def validate(params: Mapping[str, Any]) -> list[str]:
    """Return the mistakes of an entry of `probes: {dns: […]}`, in words."""
    found = common_mistakes(params, required=("host",), allowed=("record", "expect", "server"))
    if str(params.get("record", "A")).upper() not in RECORDS:
        found.append(f"record must be one of {', '.join(RECORDS)}")
    if not isinstance(params.get("expect", ""), str | list | tuple):
        found.append("expect must be a text, or a list of texts")
    if params.get("host") and (mistake := _name_mistake(str(params["host"]))):
        found.append(mistake)
    if params.get("server"):
        try:
            _place(str(params["server"]))
        except ValueError:
            found.append(
                "server must be an IP address, or an address with a port: 192.0.2.53, 192.0.2.53:5353, [2001:db8::1]:53"
            )
    return found


def _name_mistake(host: str) -> str:
    try:
        return f"host must be a name, such as {dns.reversename.from_address(host).to_text(omit_final_dot=True)}"
    except dns.exception.SyntaxError:
        pass
    try:
        _name(host)
    except Down:
        return "host must be a name, such as example.com"
    return "host must be a name, such as example.com" if re.search(r"[/:@\s]", host) else ""


def _expected(params: Mapping[str, Any]) -> list[str]:
    given = params.get("expect") or []
    return [given] if isinstance(given, str) else [str(each) for each in given]


def _name(text: str) -> dns.name.Name:
    """Return a name. Raise Down for what is none."""
    try:
        return dns.name.from_text(text.encode("idna").decode() if not text.isascii() else text)
    except (dns.exception.DNSException, UnicodeError):
        raise Down("the host name is not valid") from None


def _place(server: str) -> tuple[str, int]:
    """Return the address and the port of a name server. Raise ValueError when it is none."""
    host, colon, port = server.rpartition(":")
    named, at = (host, int(port)) if colon and (server.startswith("[") or "." in host) else (server, DEFAULT_PORT)
    address = str(ip_address(named.strip("[]")))
    if address in NOWHERE or not 0 < at <= MAX_PORT:
        raise ValueError("nobody is there")
    return address, at


async def asked(
    attempt: Attempt, query: dns.message.Message, servers: Sequence[tuple[str, int]], *, own: bool
) -> dns.message.Message:
    """Return the answer of the first name server that gives one. `own`: the entry names it, so that it is watched too."""
    reason = "the name server did not answer"
    for number, (address, port) in enumerate(itertools.cycle(servers), start=1):
        if own:
            (address,) = await attempt.addresses(address, port)
        began, wait = attempt.elapsed, min(UDP_WAIT, attempt.left / 2)
        answer = await _answer(query, address, port, wait)
        is_known = answer is not None and answer.rcode() in _OF_THE_NAME
        if answer is not None and is_known and (own or await _is_of_the_name(answer, address, port, wait)):
            return _judged(answer)
        if answer is not None:
            reason = f"the name server answered {dns.rcode.to_text(answer.rcode())}"
        if attempt.left < LAST_WAIT or (answer is not None and number >= len(servers)):
            break
        if answer is None and number >= len(servers):  # One that fails at once is not asked again before its time.
            await asyncio.wait(
                {asyncio.get_running_loop().create_future()}, timeout=max(0.0, began + wait - attempt.elapsed)
            )
    raise Down(reason) if own else UnmeasuredError(reason)


async def _is_of_the_name(answer: dns.message.Message, address: str, port: int, wait: float) -> bool:
    """Return whether an answer of the machine's resolver says something of the name: one may fail whatever it is asked."""
    if answer.rcode() != dns.rcode.SERVFAIL:
        return True
    known = await _answer(dns.message.make_query(dns.name.root, "NS"), address, port, wait)
    return known is not None and known.rcode() == dns.rcode.NOERROR


def _of_this_machine() -> Sequence[tuple[str, int]]:
    try:
        resolver = dns.resolver.Resolver()
    except dns.resolver.NoResolverConfiguration:
        raise UnmeasuredError("this machine names no name server", final=True) from None
    return [(str(address), resolver.port) for address in resolver.nameservers]


async def _answer(query: dns.message.Message, address: str, port: int, wait: float) -> dns.message.Message | None:
    """Return the answer to one datagram, over TCP where it does not fit; None when none comes in time.

    A garbled datagram, or one of another query, is ignored: it may be late or of somebody else.
    """
    try:
        found, _ = await dns.asyncquery.udp_with_fallback(query, address, timeout=wait, port=port, ignore_errors=True)
    except (dns.exception.DNSException, OSError, EOFError):
        return None
    return found


def _judged(answer: dns.message.Message) -> dns.message.Message:
    if answer.rcode() == dns.rcode.NXDOMAIN:
        raise Down("the name is not there (NXDOMAIN)")
    if answer.rcode() == dns.rcode.SERVFAIL:
        raise Down("its name servers or its signatures are broken (SERVFAIL)")
    return answer


def _values(answer: dns.message.Message, record: str) -> list[str]:
    """Return the values of a record, also behind a CNAME."""
    wanted = dns.rdatatype.from_text(record)
    return sorted(each.to_text() for rrset in answer.answer if rrset.rdtype == wanted for each in rrset)


def _comparable(value: str, record: str) -> str:
    """Return a value without what makes no difference: spellings of addresses, case, dots at ends, quotes of texts."""
    if record == "TXT":
        return _text(value)
    with suppress(dns.exception.DNSException):
        value = dns.rdata.from_text("IN", record, value).to_text() if record in ("A", "AAAA") else value
    return " ".join(word.strip('"').rstrip(".").lower() for word in value.split())


def _text(value: str) -> str:
    """Return a TXT record as text, whether it is written as zone files do or plainly."""
    if value.startswith('"'):
        with suppress(dns.exception.DNSException):
            found: Any = dns.rdata.from_text("IN", "TXT", value)
            return b"".join(found.strings).decode("utf-8", "replace").lower()
    return value.lower()
