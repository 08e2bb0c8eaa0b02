"""Connection strings of PostgreSQL, in the forms that clients, poolers and hosts hand out, as options for libpq.

Understood are URLs (`postgres://`, `postgresql://`, `postgresql+driver://`, `jdbc:postgresql://`) and `key=value` pairs.
Parameters that configure another client and change nothing about one connection are left out, such as Prisma's
`pgbouncer` and `connection_limit`; any other that libpq does not know is named. An error holds no part of the string but
the name of a parameter. https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING
https://www.prisma.io/docs/orm/overview/databases/postgresql
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote, urlencode

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict

from chalicelib.core.errors import RulesError
from chalicelib.probes._address import host_mistake
from chalicelib.probes._userinfo import escaped

ALLOWED = "allowed is postgresql://user:password@host:5432/name"
OF_OTHER_CLIENTS = frozenset(
    {
        "binary_parameters",
        "connection_limit",
        "currentschema",
        "max_pool_size",
        "pgbouncer",
        "pool_size",
        "pool_timeout",
        "prepared_statement_cache_size",
        "prepared_statements",
        "preparedstatements",
        "preparethreshold",
        "schema",
        "search_path",
        "simple_protocol",
        "single_use_connections",
        "socket_timeout",
        "statement_cache_size",
        "supa",
        "uselibpqcompat",
        "workaround",
    }
)
"""Parameters of Prisma, node-postgres, SQLAlchemy, JDBC and hosts: pools, caches and schemas. In small letters."""
_INSTEAD = {
    "sslaccept": "write sslmode=verify-full, or sslmode=require to take any certificate",
    "sslidentity": "write sslcert and sslkey",
}
_MODES = {"no-verify": "require"}
"""What node-postgres calls a mode that libpq has under another name."""
_SSL = {"true": "require", "1": "require", "false": "prefer", "0": "prefer"}
"""`ssl` of JDBC and node-postgres; that of SQLAlchemy (asyncpg) is an sslmode."""
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_TLS_VERSIONS = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
_CHOICES = {
    "sslmode": SSL_MODES,
    "gssencmode": ("disable", "prefer"),
    "sslnegotiation": ("postgres", "direct"),
    "channel_binding": ("disable", "prefer", "require"),
    "target_session_attrs": ("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
    "load_balance_hosts": ("disable", "random"),
    "sslcertmode": ("disable", "allow", "require"),
    "ssl_min_protocol_version": _TLS_VERSIONS,
    "ssl_max_protocol_version": _TLS_VERSIONS,
}
"""What libpq takes for parameters of fixed choices. Encryption by GSSAPI is not built into the one that is packaged."""
MAX_PORT = 65_535
_DRIVER = re.compile(r"(?:jdbc:)?(postgres(?:ql)?)(?:\+\w+)?://")
_PLACEHOLDER = re.compile(r"\[[A-Z-]+\]")
_WORD = re.compile(r"[A-Za-z_]{2,40}")


def options_of(text: str, secret: str) -> dict[str, Any]:
    """Return the options of a connection string. Raise RulesError, with the name of the secret that holds it."""
    text = text.strip()
    if text.startswith(("prisma://", "prisma+postgres://")):
        raise RulesError(f"the secret {secret} is an address of Prisma Accelerate; {ALLOWED}, as in DIRECT_URL")
    if _PLACEHOLDER.search(text):
        raise RulesError(f"the secret {secret} still has a placeholder in square brackets where the password belongs")
    try:
        found: dict[str, Any] = dict(conninfo_to_dict(_for_libpq(text, secret)))
    except (psycopg.ProgrammingError, UnicodeDecodeError):
        raise RulesError(_unreadable(secret)) from None
    mode = str(found.get("sslmode", "prefer"))
    if mode in _MODES:
        found["sslmode"] = _MODES[mode]
    _check_choices(found, secret)
    _check_places(found, secret)
    return found


def _check_choices(options: Mapping[str, Any], secret: str) -> None:
    """Raise RulesError for a value that libpq would refuse, as if the connection had failed."""
    if options.get("service"):
        raise RulesError(f"the secret {secret} has a service, which is in a file of another machine; {ALLOWED}")
    for name, allowed in _CHOICES.items():
        if options.get(name) and str(options[name]) not in allowed:
            raise RulesError(f"the secret {secret} has an unknown {name}; allowed is one of {', '.join(allowed)}")


def _check_places(options: Mapping[str, Any], secret: str) -> None:
    """Raise RulesError for a host or a port that is none."""
    for field in ("host", "hostaddr"):
        for host in filter(None, str(options.get(field) or "").split(",")):
            if not host.startswith(("/", "@")) and (mistake := host_mistake(host)):
                raise RulesError(f"the secret {secret} cannot be used: its {field} {mistake}")
    for port in filter(None, str(options.get("port") or "").split(",")):
        if not port.isdecimal() or not 0 < int(port) <= MAX_PORT:
            raise RulesError(f"the secret {secret} has a port that is none; allowed are 1 to {MAX_PORT}")


def _unreadable(secret: str) -> str:
    encoded = "a password's @ : / ? # % [ ] are written %40 %3A %2F %3F %23 %25 %5B %5D"
    return f"the secret {secret} is not a PostgreSQL connection string; {ALLOWED}: {encoded}"


def _for_libpq(text: str, secret: str) -> str:
    """Return the string as libpq reads it."""
    driver = _DRIVER.match(text)
    if driver is None:
        return text
    place, question, query = text[driver.end() :].partition("?")
    if "@" in query:  # A password with a question mark: what follows is no list of parameters.
        raise RulesError(_unreadable(secret))
    kept = [(name, value) for name, value in _parameters(query) if _is_known(name, secret)]
    # libpq reads %20 as a space, and + as itself.
    return escaped(f"{driver[1]}://{place}") + question + urlencode(kept, quote_via=quote)


def _parameters(query: str) -> list[tuple[str, str]]:
    pairs = [each.partition("=") for each in query.split("&") if each]
    return [_for_sslmode(unquote(name), unquote(value)) for name, _, value in pairs]


def _for_sslmode(name: str, value: str) -> tuple[str, str]:
    """Return a parameter, with modes of TLS as libpq writes them."""
    if name not in ("ssl", "sslmode"):
        return name, value
    mode = value.strip().lower()
    return "sslmode", _SSL.get(mode, mode) if name == "ssl" else mode


def _is_known(name: str, secret: str) -> bool:
    """Return whether libpq knows a parameter; False for one to leave out. Raise RulesError for any other."""
    if name in _keywords():
        return True
    if name.lower() in OF_OTHER_CLIENTS:
        return False
    if not _WORD.fullmatch(name):
        raise RulesError(_unreadable(secret))
    advice = _INSTEAD.get(name.lower(), "remove it")
    raise RulesError(f"the secret {secret} has the parameter {name}, which PostgreSQL does not know; {advice}")


def _keywords() -> frozenset[str]:
    return frozenset(option.keyword.decode() for option in pq.Conninfo.get_defaults())
