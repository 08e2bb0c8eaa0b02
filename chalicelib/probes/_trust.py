"""Which certificates probes trust, and when those of a connection end."""

import ssl
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import certifi

from chalicelib.core.errors import RulesError

EXPIRED = 10
"""X509_V_ERR_CERT_HAS_EXPIRED: https://docs.openssl.org/master/man3/X509_STORE_CTX_get_error/"""


@lru_cache(maxsize=64)
def trusting(authority: str | None = None, *, http2: bool = False) -> ssl.SSLContext:
    """Return a context that trusts an authority's certificate (PEM), else those of certifi. `http2`: offer it as well."""
    cafile = None if authority else certifi.where()
    context = ssl.create_default_context(cafile=cafile, cadata=authority or None)
    if http2:
        context.set_alpn_protocols(["h2", "http/1.1"])
    return context


@lru_cache(maxsize=1)
def unchecked() -> ssl.SSLContext:
    """Return a context that looks at no certificate: to read when one has ended, and for nothing else."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def authority(name: str, pem: str, *, http2: bool = False) -> ssl.SSLContext:
    """Return a context that trusts the authority that a secret holds. Raise RulesError when it is none."""
    try:
        return trusting(pem, http2=http2)
    except (ssl.SSLError, ValueError):
        raise RulesError(
            f"the secret {name} is not a certificate; allowed is PEM, which begins with -----BEGIN CERTIFICATE-----"
        ) from None


def first_end(tls: ssl.SSLObject, *, verified: bool = True) -> datetime | None:
    """Return when the first of a connection's certificates ends: of the chain that was verified, else of that sent."""
    # Python has public names for the chains since 3.13; these are there since 3.10.
    inner: Any = getattr(tls, "_sslobj", None)
    chain = (inner.get_verified_chain() if verified else inner.get_unverified_chain()) if inner else None
    ends = [each.get_info().get("notAfter") for each in chain or ()]
    found = [datetime.fromtimestamp(ssl.cert_time_to_seconds(each), UTC) for each in ends if each]
    return min(found, default=None)
