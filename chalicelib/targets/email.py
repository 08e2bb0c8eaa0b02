"""E-mail by Amazon SES v2 SendEmail: HTML and text, one thread per incident.

https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html. SES sets Message-ID and Date itself and has
no idempotency token: a try that may have arrived is sent again, and the receipt says so. The thread is made by one
subject and the same References on every mail of an incident. Headers: at most 15, values 995 printable ASCII.
Settings: SES_FROM, optional SES_CONFIGURATION_SET and SES_UNSUBSCRIBE_URL (else people write to SES_FROM).
"""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from email.utils import parseaddr
from html import escape
from typing import Any

from botocore import exceptions as aws

from chalicelib.core.delivery.links import links, web_address
from chalicelib.core.delivery.notification import Notification, Reason, Receipt
from chalicelib.core.delivery.target_kind import Capabilities, TargetKind, TargetSample
from chalicelib.core.delivery.target_state import Pace
from chalicelib.core.delivery.text import (
    DisplayState,
    alert_line,
    cause,
    change,
    deploy_line,
    facts,
    is_silenced,
    notes,
    plain_text,
    runbook_steps,
    state,
    state_words,
    summary,
    title,
    top_error_lines,
    why,
)
from chalicelib.core.delivery.writing import clean, cut, one_line
from chalicelib.core.errors import FieldError, TargetRejectedError, TargetUnavailableError, TocsinError
from chalicelib.core.event import Severity
from chalicelib.core.field import text_value
from chalicelib.core.ports import Clients
from chalicelib.targets._doubt import noted
from chalicelib.targets._http import retry_after

PACE = Pace(timedelta(seconds=1), burst=30)
"""Of one mailbox; an account in the SES sandbox sends one mail a second: https://docs.aws.amazon.com/ses/latest/dg/quotas.html"""
MAX_SUBJECT_CHARACTERS = 160
MAX_LISTED_ALERTS = 25
MAX_LISTED_EVIDENCE = 10
QUOTA_WAIT = timedelta(minutes=10)
"""SES's advice when the day's quota is used up: https://docs.aws.amazon.com/ses/latest/dg/manage-sending-quotas-errors.html"""
RATE_WAIT = timedelta(seconds=1)

_THROTTLED = frozenset({"TooManyRequestsException", "ThrottlingException", "Throttling", "RequestLimitExceeded"})
_PASSING = frozenset(
    {
        "ExpiredTokenException",
        "InternalFailure",
        "InternalServiceErrorException",
        "RequestTimeout",
        "ServiceUnavailable",
    }
)
_ADVICE: Mapping[str, str] = {
    "AccessDenied": "the function's role may not send with SES: allow ses:SendEmail for the identity",
    "AccessDeniedException": "the function's role may not send with SES: allow ses:SendEmail for the identity",
    "AccountSuspendedException": "the account may not send any more: ask AWS support",
    "LimitExceededException": "a limit of the account is reached: see the SES console",
    "MailFromDomainNotVerifiedException": "the MAIL FROM domain is not verified: see the SES console",
    "MessageRejected": "refused; in the SES sandbox sender and recipient must be verified",
    "NotFoundException": "the identity or the configuration set does not exist: check SES_CONFIGURATION_SET",
    "SendingPausedException": "sending is paused for the account or the configuration set: resume it in SES",
}
_NOT_SENT = (
    aws.ConnectTimeoutError,
    aws.EndpointConnectionError,
    aws.ProxyConnectionError,
    aws.SSLError,
)
_SET_UP = (
    aws.NoCredentialsError,
    aws.NoRegionError,
    aws.ParamValidationError,
    aws.PartialCredentialsError,
)
_COLOURS = {
    DisplayState.ACKNOWLEDGED: ("#1d4ed8", "Acknowledged"),
    DisplayState.SILENCED: ("#6b7280", "Silenced"),
    DisplayState.RESOLVED: ("#15803d", "Resolved"),
    DisplayState.TEST: ("#7c3aed", "Test"),
}
_SEVERITY_COLOURS = {Severity.CRITICAL: "#b91c1c", Severity.WARNING: "#b45309", Severity.INFO: "#0369a1"}


def render(notification: Notification, receipt: Mapping[str, str], *, plain: bool = False) -> dict[str, Any]:
    """Return `subject`, `text`, `html` (not with `plain`). The subject is the thread's first one, after "Re:" later."""
    first = receipt.get("subject")
    found = {"subject": f"Re: {first}" if first else subject(notification), "text": plain_text(notification)}
    return found if plain else {**found, "text": _text(notification), "html": _html(notification)}


def send(
    notification: Notification,
    address: str,
    clients: Clients,
    *,
    receipt: Mapping[str, str],
    in_doubt: bool,
    now: datetime,
    plain: bool = False,
) -> Receipt:
    """Send one mail. A notification that only brings a message up to date is not sent: a mail cannot be changed."""
    if notification.reason is Reason.SYNC:
        return Receipt(note="a mail that was sent cannot be brought up to date", sent=False)
    request = _request(notification, _recipient(address), clients, receipt=receipt, plain=plain)
    failure: TocsinError | None = None
    answer: Mapping[str, Any] = {}
    try:
        answer = clients.aws("sesv2").send_email(**request)
    except aws.ClientError as error:
        failure = _refusal(error, now)
    except aws.BotoCoreError as error:
        failure = _no_answer(error)
    if failure is not None:
        raise failure
    keep = {"message_id": str(answer.get("MessageId", "")), "subject": receipt.get("subject") or subject(notification)}
    return Receipt(values=keep, note=noted(in_doubt=in_doubt), doubled=in_doubt)


def subject(notification: Notification) -> str:
    """Return `[critical] title`, without anything that changes during the incident."""
    mark = "test" if notification.reason is Reason.TEST else notification.severity.value
    return cut(f"[{mark}] {title(notification)}", MAX_SUBJECT_CHARACTERS)


def _request(
    notification: Notification, recipient: str, clients: Clients, *, receipt: Mapping[str, str], plain: bool
) -> dict[str, Any]:
    sender = clients.setting("SES_FROM", "")
    if not _is_one_line(sender) or "@" not in parseaddr(sender)[1]:
        raise TargetRejectedError("e-mail: SES_FROM is not set to one e-mail address")
    mail = render(notification, receipt, plain=plain)
    body = {"Text": {"Data": mail["text"], "Charset": "UTF-8"}}
    if "html" in mail:
        body["Html"] = {"Data": mail["html"], "Charset": "UTF-8"}
    simple = {
        "Subject": {"Data": mail["subject"], "Charset": "UTF-8"},
        "Body": body,
        "Headers": _headers(notification, sender, clients),
    }
    request: dict[str, Any] = {
        "FromEmailAddress": sender,
        "Destination": {"ToAddresses": [recipient]},
        "Content": {"Simple": simple},
        "EmailTags": [{"Name": "notification", "Value": _token(notification.id)}],
    }
    if configuration_set := clients.setting("SES_CONFIGURATION_SET", ""):
        request["ConfigurationSetName"] = configuration_set
    return request


def _headers(notification: Notification, sender: str, clients: Clients) -> list[dict[str, str]]:
    mailbox = parseaddr(sender)[1]
    thread = f"<{_token(notification.incident.id)}@{_ascii_domain(mailbox.rpartition('@')[2])}>"
    page = web_address(clients.setting("SES_UNSUBSCRIBE_URL", ""))
    found = {
        "References": thread,
        "In-Reply-To": thread,
        "List-Unsubscribe": f"<{page}>" if page else f"<mailto:{mailbox}?subject=unsubscribe>",
        "Auto-Submitted": "auto-generated",
        "X-Auto-Response-Suppress": "All",
        "X-Tocsin-Incident": _token(notification.incident.id),
    }
    if notification.severity is Severity.CRITICAL and state(notification) is DisplayState.FIRING:
        found["Importance"] = "high"
    return [{"Name": name, "Value": value} for name, value in found.items()]


def _recipient(address: str) -> str:
    """Return the address as SES takes it: ASCII local part, domain in Punycode. Refuses what could name a second recipient."""
    local, _, domain = address.strip().rpartition("@")
    if not re.fullmatch(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}", local) or not domain:
        raise TargetRejectedError("e-mail: the address is not one e-mail address with an ASCII name before the @")
    return f"{local}@{_ascii_domain(domain)}"


def _ascii_domain(domain: str) -> str:
    try:
        found = domain.strip().rstrip(">").encode("idna").decode("ascii")
    except UnicodeError:
        found = ""
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?", found):
        raise TargetRejectedError("e-mail: the domain of an address cannot be read")
    return found


def _is_one_line(text: str) -> bool:
    return bool(text) and text.isprintable()


def _token(text: str) -> str:
    """Return what fits a header, a message id and a tag of SES: A-Z a-z 0-9 _ -, at most 200."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", text)[:200] or "-"


def _refusal(error: aws.ClientError, now: datetime) -> TocsinError:
    """Return what SES answered, as a fate. Its own text is looked at, never shown: it names addresses."""
    details, sent = error.response.get("Error", {}), error.response.get("ResponseMetadata", {})
    code, said = str(details.get("Code", "")), str(details.get("Message", ""))
    status = int(sent.get("HTTPStatusCode", 0) or 0)
    asked = retry_after(sent.get("HTTPHeaders", {}), now)
    named = code if re.fullmatch(r"[A-Za-z][A-Za-z0-9.]{0,63}", code) else "an error without a name"
    if code in _THROTTLED or status == 429:
        is_quota = "quota" in said.lower()
        what = "the day's quota is used up" if is_quota else "sent too fast"
        wait = asked if asked is not None else QUOTA_WAIT if is_quota else RATE_WAIT
        return TargetUnavailableError(f"e-mail: {named}: {what}", retry_after=wait)
    if code in _PASSING or status >= 500:
        is_doubtful = status >= 500 or code == "RequestTimeout"
        return TargetUnavailableError(f"e-mail: {named}", retry_after=asked, ambiguous=is_doubtful)
    return TargetRejectedError(f"e-mail: {named}: {_ADVICE.get(code, 'refused; see the errors of SES SendEmail')}")


def _no_answer(error: aws.BotoCoreError) -> TocsinError:
    kind = type(error).__name__
    if isinstance(error, _SET_UP):
        return TargetRejectedError(f"e-mail: the AWS client cannot be used ({kind}): check region and credentials")
    if isinstance(error, _NOT_SENT):
        return TargetUnavailableError(f"e-mail: no connection ({kind})")
    return TargetUnavailableError(f"e-mail: no answer ({kind})", ambiguous=True)


def _text(notification: Notification) -> str:
    """Return the plain part: the plain form, with every alert and step that the HTML part has."""
    lines = [plain_text(notification)]
    if len(notification.alerts) > 1:
        lines += ["", "Alerts", *(f"- {line}" for line in _alert_lines(notification))]
    if notification.evidence:
        lines += ["", "Muted beside it", *(f"- {line}" for line in _evidence_lines(notification))]
    steps = _steps(notification)
    if len(steps) > 1:
        lines += ["", "First steps", *(f"{number}. {cut(step, 500)}" for number, step in enumerate(steps, 1))]
    lines += ["", *(f"{label}: {address}" for label, address in links(notification))]
    return "\n".join([*lines, "", f"Incident {one_line(notification.incident.id)}"])


def _steps(notification: Notification) -> list[str]:
    """Return the first steps of the runbook page, while there is something to do."""
    return [] if state(notification) is DisplayState.RESOLVED else list(runbook_steps(notification))


def _alert_lines(notification: Notification) -> list[str]:
    lines = [cut(alert_line(alert), 300) for alert in notification.alerts[:MAX_LISTED_ALERTS]]
    more = len(notification.alerts) - MAX_LISTED_ALERTS + notification.also
    return [*lines, f"and {more:,} more"] if more > 0 else lines


def _evidence_lines(notification: Notification) -> list[str]:
    lines = [cut(alert_line(alert), 300) for alert in notification.evidence[:MAX_LISTED_EVIDENCE]]
    more = len(notification.evidence) - MAX_LISTED_EVIDENCE
    return [*lines, f"and {more:,} more"] if more > 0 else lines


_STYLE = """
:root { color-scheme: light dark; supported-color-schemes: light dark; }
@media (prefers-color-scheme: dark) {
  .page { background: #111827 !important; }
  .card { background: #1f2937 !important; border-color: #374151 !important; }
  .strong { color: #f9fafb !important; }
  .soft { color: #d1d5db !important; }
  .line { border-color: #374151 !important; }
  a.link { color: #93c5fd !important; border-color: #4b5563 !important; }
}
@media (max-width: 480px) {
  .pad { padding-left: 16px !important; padding-right: 16px !important; }
  .label { width: 96px !important; }
}
""".strip()
_FONT = "font-family:-apple-system,BlinkMacSystemFont,'Segoe UI',Roboto,Helvetica,Arial,sans-serif"
_TABLE = 'role="presentation" width="100%" cellpadding="0" cellspacing="0"'
_WRAP = "word-break:break-word;overflow-wrap:anywhere"


def _html(notification: Notification) -> str:
    """Return one column of tables with inline styles, which every mail program understands; dark colours by media query."""
    colour, word = _COLOURS.get(state(notification), (_SEVERITY_COLOURS[notification.severity], "Firing"))
    word = state_words(notification).capitalize() if is_silenced(notification) else word
    named = _escaped(title(notification), 400)
    rows = "".join(_parts(notification))
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><meta name="supported-color-schemes" content="light dark">'
        f"<title>{named}</title><style>{_STYLE}</style></head>"
        f'<body class="page" style="margin:0;padding:0;background:#f3f4f6;{_FONT}">'
        f'<div style="display:none;max-height:0;overflow:hidden">{word}. {_escaped(change(notification), 200)}</div>'
        f'<table class="page" {_TABLE} style="background:#f3f4f6"><tr><td align="center" style="padding:16px 8px">'
        f'<table class="card" {_TABLE} '
        'style="max-width:600px;background:#ffffff;border:1px solid #e5e7eb;border-radius:8px">'
        f'<tr><td class="pad" style="background:{colour};border-radius:7px 7px 0 0;padding:12px 24px;color:#ffffff;'
        f'font-size:14px;font-weight:600">{word} &middot; {_escaped(notification.severity.value, 20)}</td></tr>'
        '<tr><td class="pad" style="padding:16px 24px 4px"><h1 class="strong" dir="auto" '
        f'style="margin:0;font-size:20px;line-height:1.3;color:#111827;{_WRAP}">{named}</h1></td></tr>{rows}'
        "</table></td></tr></table></body></html>"
    )


def _parts(notification: Notification) -> list[str]:
    said = dict.fromkeys(summary(alert) for alert in notification.alerts[:3])
    new = [change(notification)] if notification.reason is not Reason.OPENED else []
    parts = [
        _paragraphs([*cause(notification), *new, *notes(notification), *(text for text in said if text)]),
        _buttons(notification),
        _facts(notification),
        _list("Alerts", _alert_lines(notification) if len(notification.alerts) > 1 else []),
        _top_errors(notification),
        _list("First steps", _steps(notification), tag="ol"),
        _list(
            "Last deploy",
            [deploy_line(deploy, notification) for deploy in notification.background.deploys[:1]],
            tag="p",
        ),
        _list("Muted beside it", _evidence_lines(notification)),
        _footer(notification),
    ]
    return [part for part in parts if part]


def _escaped(text: str, limit: int) -> str:
    return escape(cut(clean(text), limit), quote=True)


def _row(inside: str) -> str:
    return f'<tr><td class="pad" style="padding:8px 24px">{inside}</td></tr>'


def _paragraphs(texts: list[str]) -> str:
    style = f"margin:0 0 8px;font-size:15px;line-height:1.5;color:#374151;{_WRAP}"
    said = [_escaped(text, 1_500).replace("\n", "<br>") for text in texts]
    shown = "".join(f'<p class="soft" dir="auto" style="{style}">{text}</p>' for text in said if text)
    return _row(shown) if shown else ""


def _facts(notification: Notification) -> str:
    label_style = "padding:6px 12px 6px 0;font-size:13px;color:#6b7280;width:120px;vertical-align:top"
    value_style = f"padding:6px 0;font-size:14px;color:#111827;vertical-align:top;{_WRAP}"
    lines = "".join(
        f'<tr><td class="soft label" style="{label_style}">{_escaped(label, 40)}</td>'
        f'<td class="strong" dir="auto" style="{value_style}">{_escaped(value, 500)}</td></tr>'
        for label, value in facts(notification)
    )
    return _row(f"<table {_TABLE}>{lines}</table>")


def _top_errors(notification: Notification) -> str:
    """Return the most frequent errors, each with a link to its page."""
    heading, *errors = top_error_lines(notification, written=_escaped_line, linked=_linked) or ("",)
    return _items(f"Top errors: {heading}", errors, "ul") if errors else ""


def _escaped_line(text: str) -> str:
    return _escaped(text, 500)


def _linked(text: str, address: str) -> str:
    style = "color:#1d4ed8;text-decoration:underline"
    return f'<a class="link" href="{escape(address, quote=True)}" style="{style}">{_escaped_line(text)}</a>'


def _list(heading: str, lines: list[str], *, tag: str = "ul") -> str:
    return _items(heading, [_escaped_line(line) for line in lines], tag) if lines else ""


def _items(heading: str, ready: list[str], tag: str) -> str:
    """Return a list of lines that are escaped already."""
    style = f"margin:0 0 4px;font-size:14px;line-height:1.5;color:#374151;{_WRAP}"
    head = f'<h2 class="strong" style="margin:8px 0 4px;font-size:14px;color:#111827">{heading}</h2>'
    if tag == "p":
        return _row(head + "".join(f'<p class="soft" dir="auto" style="{style}">{line}</p>' for line in ready))
    items = "".join(f'<li class="soft" dir="auto" style="{style}">{line}</li>' for line in ready)
    return _row(f'{head}<{tag} style="margin:0;padding-left:20px">{items}</{tag}>')


def _buttons(notification: Notification) -> str:
    style = (
        "display:inline-block;margin:0 8px 8px 0;padding:10px 14px;border:1px solid #d1d5db;border-radius:6px;"
        "font-size:14px;text-decoration:none;color:#1d4ed8"
    )
    shown = [
        f'<a class="link" href="{escape(address, quote=True)}" style="{style}">{_escaped(label, 60)}</a>'
        for label, address in links(notification)
    ]
    return _row("".join(shown)) if shown else ""


def _footer(notification: Notification) -> str:
    found = [f"Why you: {why(notification)}" if why(notification) else "", f"Incident {notification.incident.id}"]
    style = f"margin:0;padding:12px 0 8px;border-top:1px solid #e5e7eb;font-size:12px;color:#6b7280;{_WRAP}"
    said = " &middot; ".join(_escaped(text, 500) for text in found if text)
    return _row(f'<p class="soft line" style="{style}">{said}</p>')


# ---------------------------------------------------------------------------------------------------------------------
# The rules file


def read(value: Any) -> str:
    """Return one e-mail address. Raise FieldError for anything else."""
    text = text_value(value)
    if not re.fullmatch(r"[^\s@<>,;:\"()\[\]\\]{1,64}@(?:(?:[^\W_]|-){1,63}\.)*(?:[^\W_]|-){1,63}", text):
        raise FieldError("is not an e-mail address", "one address, such as ops@example.com")
    return text


def _names(text: str) -> bool:
    return "@" in text and " " not in text and "://" not in text


DECLARED = TargetKind(
    title="e-mail",
    meaning="One e-mail address.",
    read=read,
    schema={"type": "string", "pattern": r"^[^\s@]+@[^\s@]+$"},
    example="ops@example.com",
    can=Capabilities(shows_silences=True, threads=True),
    sample=TargetSample(settings={"SES_FROM": "tocsin@example.com"}),
    names=_names,
    written=("an e-mail address",),
    words=str,
    needs=(("SES_FROM", "no mail can be sent"),),
    parameters=lambda address: ("SES_FROM", "SES_CONFIGURATION_SET", "SES_UNSUBSCRIBE_URL"),
    place=2,
)
