"""A stand-in for SES v2's SendEmail, for boto3 with an endpoint of `<inbox>/ses`; and mails read from the emulator.

https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html. It refuses what SES refuses: headers that SES
sets itself, more than fifteen of them, addresses that cannot be read, more than fifty recipients. Every sender and
recipient counts as verified, except those whose domain begins with `unverified.`.
"""

import base64
import binascii
import email.policy
import json
import re
import secrets
from collections.abc import Callable
from email.message import EmailMessage
from email.parser import BytesParser
from email.utils import getaddresses, parseaddr
from typing import Any

from local.inbox.exchange import Json, Received, Reply, json_reply, units
from local.inbox.faults import Fault
from local.inbox.memory import Memory
from local.inbox.rate_limit import Limits, Window

SEND = "SendEmail"
MAX_RECIPIENTS = 50
MAX_HEADERS = 15
MAX_HEADER_NAME_CHARACTERS = 126
MAX_HEADER_VALUE_CHARACTERS = 995
MAX_BODY_BYTES = 40_000_000
MAX_RAW_LINE_BYTES = 1_000
REFUSED_HEADERS = frozenset(
    {
        "bcc",
        "cc",
        "content-disposition",
        "content-type",
        "date",
        "from",
        "message-id",
        "mime-version",
        "reply-to",
        "return-path",
        "subject",
        "to",
    }
)
"""https://docs.aws.amazon.com/ses/latest/dg/header-fields.html"""
_STATUSES = {"TooManyRequestsException": 429, "NotFoundException": 404, "InternalServiceErrorException": 500}
_TEXTS = {
    "MessageRejected": "Email address is not verified.",
    "TooManyRequestsException": "Maximum sending rate exceeded.",
    "SendingPausedException": "Email sending is paused.",
    "AccountSuspendedException": "Sending has been suspended for this account.",
    "MailFromDomainNotVerifiedException": "The MAIL FROM domain is not verified.",
}


class SesError(Exception):
    """A refusal in SES's words."""

    def __init__(self, code: str, text: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.text = text or _TEXTS.get(code, code)


class Mail:
    """Takes mails, keeps them."""

    def __init__(self, memory: Memory, limits: Limits, clock: Callable[[], float]) -> None:
        self._memory = memory
        self._clock = clock
        self._from_emulator: set[str] = set()
        self._window = Window(limits.ses_per_second, seconds=1.0)

    def handle(self, received: Received, *, limited: bool = True) -> Reply:
        """Answer SendEmail and GetAccount."""
        try:
            if received.operation == "GetAccount":
                return json_reply(self._account())
            if received.operation != SEND:
                raise SesError("NotFoundException", "The inbox answers SendEmail and GetAccount only.")
            mail = read_mail(_request(received.body))
            with self._memory.lock:
                if limited and self._window.take(self._clock()):
                    raise SesError("TooManyRequestsException")
                return json_reply({"MessageId": self._keep(mail)})
        except SesError as refused:
            return _refusal(refused.code, refused.text)

    def fail(self, fault: Fault) -> Reply:
        """Return a scripted failure, in SES's form."""
        by_status = {429: "TooManyRequestsException", 400: "BadRequestException", 404: "NotFoundException"}
        code = fault.error or by_status.get(fault.status or 500, "InternalServiceErrorException")
        return _refusal(code, _TEXTS.get(code, code), fault.status)

    def take_from_emulator(self, found: Any) -> int:
        """Keep the new mails of an emulator's list, and return their number. A reset brings none back."""
        new = 0
        with self._memory.lock:
            known = self._from_emulator | {each["id"] for each in self._memory.mails}
            for record in _records(found):
                if str(record.get("MessageId")) not in known:
                    self._memory.mails.append(_from_emulator(record))
                    self._from_emulator.add(str(record["MessageId"]))
                    new += 1
            if new:
                self._memory.changed()
        return new

    def _keep(self, mail: Json) -> str:
        identifier = f"0100{secrets.token_hex(6)}-{secrets.token_hex(4)}-{secrets.token_hex(6)}-000000"
        self._memory.mails.append({**mail, "id": identifier, "at": self._clock()})
        self._memory.changed()
        return identifier

    def _account(self) -> Json:
        quota = {"Max24HourSend": 50_000.0, "MaxSendRate": 14.0, "SentLast24Hours": float(len(self._memory.mails))}
        return {
            "ProductionAccessEnabled": True,
            "SendingEnabled": True,
            "EnforcementStatus": "HEALTHY",
            "SendQuota": quota,
        }


def read_mail(request: Json) -> Json:
    """Return the mail of a SendEmail request. Raise SesError when SES would refuse it."""
    content = request.get("Content") or {}
    kinds = [kind for kind in ("Simple", "Raw", "Template") if content.get(kind)]
    if len(kinds) != 1:
        raise SesError("BadRequestException", "Content must hold exactly one of Simple, Raw and Template.")
    if kinds == ["Template"]:
        raise SesError("NotFoundException", "The template does not exist.")
    destination = request.get("Destination") or {}
    recipients = {
        kind: [str(each) for each in destination.get(f"{kind}Addresses") or ()] for kind in ("To", "Cc", "Bcc")
    }
    found = _simple(content["Simple"]) if kinds == ["Simple"] else _raw(content["Raw"])
    sender = str(request.get("FromEmailAddress") or found.get("from") or "")
    if not any(recipients.values()) and found.get("to"):
        recipients["To"] = found["to"]
    _check_addresses(sender, [each for addresses in recipients.values() for each in addresses])
    return {
        **found,
        "from": sender,
        "to": recipients["To"],
        "cc": recipients["Cc"],
        "bcc": recipients["Bcc"],
        "reply_to": list(request.get("ReplyToAddresses") or ()),
        "tags": {str(tag.get("Name")): str(tag.get("Value")) for tag in request.get("EmailTags") or ()},
        "configuration_set": str(request.get("ConfigurationSetName") or ""),
    }


def _request(body: bytes) -> Json:
    if len(body) > MAX_BODY_BYTES:
        raise SesError("BadRequestException", "The message is too large.")
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise SesError("BadRequestException", "The request is not a JSON object.")
    return found


def _simple(simple: Json) -> Json:
    body = simple.get("Body") or {}
    text, html = ((body.get(kind) or {}).get("Data", "") for kind in ("Text", "Html"))
    if not text and not html:
        raise SesError("BadRequestException", "Missing required body content.")
    subject = str((simple.get("Subject") or {}).get("Data") or "")
    if "\n" in subject or "\r" in subject:
        raise SesError("BadRequestException", "The subject must be one line.")
    headers = [(str(each.get("Name", "")), str(each.get("Value", ""))) for each in simple.get("Headers") or ()]
    _check_headers(headers)
    return {"subject": subject, "text": str(text), "html": str(html), "headers": headers}


def _check_headers(headers: list[tuple[str, str]]) -> None:
    if len(headers) > MAX_HEADERS:
        raise SesError("BadRequestException", f"No more than {MAX_HEADERS} headers are allowed.")
    seen: set[str] = set()
    for name, value in headers:
        lower = name.lower()
        if not re.fullmatch(r"[!-9;-~]+", name) or len(name) > MAX_HEADER_NAME_CHARACTERS:
            raise SesError("BadRequestException", "The name of a header is not valid.")
        if lower in REFUSED_HEADERS:
            raise SesError("BadRequestException", f"The header {name} is not allowed.")
        if not re.fullmatch(r"[ -~]+", value) or len(value) > MAX_HEADER_VALUE_CHARACTERS:
            raise SesError("BadRequestException", f"The value of the header {name} is not valid.")
        if lower in seen:
            raise SesError("BadRequestException", f"The header {name} is given twice.")
        seen.add(lower)


def _raw(raw: Json) -> Json:
    try:
        data = base64.b64decode(str(raw.get("Data") or ""), validate=True)
    except (binascii.Error, ValueError):
        raise SesError("BadRequestException", "Raw.Data is not base64.") from None
    if any(len(line) > MAX_RAW_LINE_BYTES for line in data.splitlines(keepends=True)):
        raise SesError("BadRequestException", "A line of the message is longer than 1,000 characters.")
    message = BytesParser(_class=EmailMessage, policy=email.policy.default).parsebytes(data)
    if not message.get("From"):
        raise SesError("BadRequestException", "Missing final '@domain'")
    to = [address for _, address in getaddresses([str(each) for each in message.get_all("To") or ()])]
    headers = [(name, str(value)) for name, value in message.items() if name.lower() not in REFUSED_HEADERS]
    parts = {kind: _part(message, kind) for kind in ("plain", "html")}
    return {
        "subject": str(message.get("Subject") or ""),
        "text": parts["plain"],
        "html": parts["html"],
        "headers": headers,
        "from": str(message["From"]),
        "to": to,
    }


def _part(message: EmailMessage, kind: str) -> str:
    found = message.get_body(preferencelist=("html" if kind == "html" else "plain",))
    try:
        return str(found.get_content()) if found is not None else ""
    except (LookupError, UnicodeError):
        return ""


def _check_addresses(sender: str, recipients: list[str]) -> None:
    if not recipients:
        raise SesError("BadRequestException", "Destination must hold at least one address.")
    if len(recipients) > MAX_RECIPIENTS:
        raise SesError("BadRequestException", f"Recipient count exceeds {MAX_RECIPIENTS}.")
    for address in (sender, *recipients):
        if not _is_address(address):
            raise SesError("BadRequestException", "Missing final '@domain'")
        if parseaddr(address)[1].partition("@")[2].startswith("unverified."):
            raise SesError(
                "MessageRejected", "Email address is not verified. The following identities failed the check."
            )


def _is_address(text: str) -> bool:
    if not text.isprintable() or not text.isascii() or units(text) > 320:
        return False
    local, _, domain = parseaddr(text)[1].rpartition("@")
    return bool(local and re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", domain))


def _refusal(code: str, text: str, status: int | None = None) -> Reply:
    return json_reply(
        {"message": text},
        status or _STATUSES.get(code, 400),
        {"x-amzn-ErrorType": code, "Content-Type": "application/json"},
    )


def _records(found: Any) -> list[Json]:
    """Return the records of the emulator's list, however they are grouped."""
    if isinstance(found, dict) and "MessageId" in found:
        return [found]
    inside = found.values() if isinstance(found, dict) else found if isinstance(found, list) else ()
    return [record for each in inside for record in _records(each)]


def _from_emulator(record: Json) -> Json:
    addresses = {kind: [str(each) for each in record.get(kind) or ()] for kind in ("To", "CC", "BCC")}
    at = record.get("Timestamp")
    return {
        "id": str(record.get("MessageId")),
        "at": float(at) if isinstance(at, int | float) else 0.0,
        "from": str(record.get("Source") or ""),
        "to": addresses["To"],
        "cc": addresses["CC"],
        "bcc": addresses["BCC"],
        "reply_to": [],
        "tags": {},
        "configuration_set": "",
        "subject": str(record.get("Subject") or ""),
        "text": str(record.get("BodyText") or ""),
        "html": str(record.get("BodyHtml") or ""),
        "headers": [],
    }
