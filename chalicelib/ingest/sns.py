"""The door of SNS: the signature of a message, the certificate that it names, and the confirmation of a subscription.

The signature is checked here, not by a worker: a forged message is refused with 401 and never stored, and SNS tries again
what could not be checked. Only a post to /webhooks/sns loads this file, with `cryptography`, which takes 50 ms; the cold path
of other senders stays as it was (tests/test_app.py). Certificates come from SNS's own hosts over TLS, whose chain of trust is
that of the system; redirects are not followed, and a certificate is kept for the life of the container.
https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
"""

import http.client
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from chalicelib import plugins
from chalicelib.aws import dns_suffix
from chalicelib.core.errors import NotStoredError, SignatureError
from chalicelib.ingest import wiring
from chalicelib.ingest.receive import RETRY_AFTER_SECONDS, HttpResponse

NAME = "sns"
FETCH_SECONDS = 3.0
"""For each wait of a fetch; SNS itself waits some seconds longer."""
MAX_FETCHED_BYTES = 64 * 1024
MAX_CERTIFICATES = 16
_HASHES = {"sha1": hashes.SHA1, "sha256": hashes.SHA256}

Fetch = Callable[[str], tuple[int, bytes]]


def fetched(address: str) -> tuple[int, bytes]:
    """Return status and body of an address that was checked before; raise OSError where nothing answers in time."""
    parts = urlsplit(address)
    connection = http.client.HTTPSConnection(parts.netloc, timeout=FETCH_SECONDS)
    try:
        connection.request("GET", f"{parts.path}?{parts.query}" if parts.query else parts.path)
        answer = connection.getresponse()
        return answer.status, answer.read(MAX_FETCHED_BYTES)
    except http.client.HTTPException as error:
        raise OSError(f"the answer is not HTTP ({type(error).__name__})") from None
    finally:
        connection.close()


@dataclass(slots=True)
class Certificates:
    """The certificates that were fetched, by their address."""

    fetch: Fetch = fetched
    known: dict[str, x509.Certificate] = field(default_factory=dict)

    def at(self, address: str) -> x509.Certificate:
        """Return a certificate. Raise NotStoredError where SNS does not answer: it then tries the message again."""
        if address not in self.known:
            found = self._fetched(address)
            if len(self.known) >= MAX_CERTIFICATES:
                self.known.clear()
            self.known[address] = found
        return self.known[address]

    def _fetched(self, address: str) -> x509.Certificate:
        try:
            status, body = self.fetch(address)
        except OSError as error:
            raise NotStoredError(f"the certificate of SNS could not be fetched: {type(error).__name__}") from None
        if status == 429 or status >= 500:
            raise NotStoredError(f"the certificate of SNS could not be fetched: SNS answered {status}")
        if status != 200:
            raise SignatureError(f"there is no certificate at its address: SNS answered {status}")
        try:
            return x509.load_pem_x509_certificate(body)
        except ValueError:
            raise SignatureError("what is at the address of the certificate is none") from None


def is_signed(signed: Any, certificate: x509.Certificate, now: datetime) -> bool:
    """Return whether the key of a certificate that is valid now has signed a message."""
    key = certificate.public_key()
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        return False
    if not isinstance(key, rsa.RSAPublicKey):
        return False
    try:
        key.verify(signed.signature, signed.text, padding.PKCS1v15(), _HASHES[signed.algorithm]())
    except (InvalidSignature, ValueError):
        return False
    return True


@dataclass(frozen=True, slots=True)
class SnsSource:
    """The plug-in of SNS, with what checks a signature."""

    certificates: Certificates
    now: datetime

    @property
    def SECRETS(self) -> tuple[str, ...]:
        """Return the name of the setting that lists the topics."""
        return plugins.load_source(NAME).SECRETS

    def verify(
        self, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], *, path_secret: str | None = None
    ) -> None:
        """Raise SignatureError unless SNS has signed the body for a topic that is named."""
        plugin: Any = plugins.load_source(NAME)
        plugin.verify(headers, body, secrets, signed=self._signed)

    def _signed(self, signed: Any) -> bool:
        return is_signed(signed, self.certificates.at(signed.certificate), self.now)

    def delivery_id(self, headers: Mapping[str, str], body: bytes) -> str | None:
        """Return the id that SNS gives a message."""
        return plugins.load_source(NAME).delivery_id(headers, body)


@lru_cache(maxsize=1)
def certificates() -> Certificates:
    """Return the certificates of this container."""
    return Certificates()


def answer(
    headers: Mapping[str, str],
    body: bytes,
    *,
    account: str | None,
    now: datetime,
    kept: Certificates | None = None,
) -> HttpResponse:
    """Store one message of SNS, and confirm the subscription that it asks for. SNS sends JSON as text/plain."""
    kept = kept or certificates()
    source = SnsSource(kept, now)
    plain = {name: value for name, value in headers.items() if name.lower() != "content-type"}
    found = wiring.answer(NAME, plain, body, path_secret=None, account=account, now=now, find=lambda name: source)
    return _confirmed(found, body, kept.fetch) if found.status in (200, 202) else found


def _confirmed(stored: HttpResponse, body: bytes, fetch: Fetch) -> HttpResponse:
    """Confirm a subscription at the address that is composed here; where that fails SNS asks again."""
    plugin: Any = plugins.load_source(NAME)
    asked = plugin.subscription(body)
    if asked is None:
        return stored
    host = f"sns.{asked.region}.{dns_suffix(asked.region)}"
    address = f"https://{host}/?Action=ConfirmSubscription&TopicArn={asked.topic}&Token={asked.token}"
    try:
        status = fetch(address)[0]
    except OSError:
        status = 0
    if status == 200:
        return stored
    retry = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    why = f"the subscription could not be confirmed: {status or 'no answer'}"
    return HttpResponse(503, {"error": "the subscription could not be confirmed; try again"}, retry, reason=why)
