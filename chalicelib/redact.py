"""Masks for secrets and personal data, put on before anything is stored, sent or logged.

Masked are authorization, cookies, tokens, passwords, API keys, session ids, JSON web tokens, private keys, addresses
with a user in them, e-mail addresses, public IP addresses and card numbers: by the name of a field in the languages of
`redact_words.py`, and by what a text looks like. Kept is what people need to find the fault: times, versions, ids of
issues, host names, addresses of one's own machines, UUIDs, commits, counts, names of secrets. docs/security.md has the table.

IP addresses become `[ip:3f2a]`: the four characters distinguish two machines, and 65,536 addresses share each.
`REDACT_PATTERNS` (in the environment, else kept beside the secrets) adds patterns, one regular expression of RE2 a line;
a line `@cpf`, `@cnpj`, `@phone` or `@iban` adds one of `SWITCHES`.
Every pattern of our own is linear in the length of a text, and only tried where a cheap look says that it could match.
"""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from hashlib import blake2b
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from chalicelib.core.errors import RulesError
from chalicelib.core.event import Action, Event
from chalicelib.core.pattern import Pattern, PatternError
from chalicelib.core.pattern import compiled as pattern_of
from chalicelib.redact_words import alternatives, hints, latin, other

MASK = "[masked]"
EMAIL = "[email]"
CARD = "[card]"
KEY = "[key]"
MAX_DEPTH = 200
"""Deeper is masked whole: nothing is kept that was not looked at."""
MAX_CACHED_CHARACTERS = 1_000
ENVIRONMENT = "REDACT_PATTERNS"

_ABOUT = (
    r"s?[ _.-]?(?:(?:min|max)[ _.-]?)?(?:resets?|counts?|total|limits?|usage|types?|expir[a-z]{0,8}|names?|buckets?|polic(?:y|ies)|age|length"
    r"|rotat[a-z]{0,6}|attempts?|failures?|failed|errors?|ttl|version|providers?|stores?|managers?|enabled|required"
    r"|changed?|changes|durations?|seconds|requests|hits|misses|namespace|arn|kind)(?![a-z0-9])"
)
"""Behind the word for a secret: the field is about secrets and holds none. `password_resets: 7`, `secret_name: db`."""
_LATIN_WORDS = alternatives(latin())
_OTHER_WORDS = alternatives(other())
_SECRET_NAME = re.compile(
    rf"(?:{_LATIN_WORDS}|{_OTHER_WORDS}"
    r"|passw(?:or)?d|passw(?!or?d|d)|pass_?phrase|passcode|(?<![a-z])(?:pwd|pw|ssn|dsn|jwt|bearer|creds?)(?![a-z])"
    r"|(?<![a-z])(?:(?:db|user|admin|root|smtp|ftp)?pass|sid|sig|otp|cvv|cvc|pin|auth)$"
    r"|(?:encryption|signing|master|auth|ssh)[ _.-]?key"
    r"|secret|token|api[ _.-]?key|access[ _.-]?key|private[ _.-]?key"
    r"|authori[sz]ation|cookie|credential|session|csrf|xsrf|signature|(?:^|[_.-])hmac"
    r"|e[_-]?mail(?!er)|ip[ _.-]?addr|(?<![a-z])(?:client|remote|source|peer|user)[_-]?(?:ip|addr)"
    r"|x-forwarded-for|x-real-ip|card[ _.-]?(?:number|no|num)|credit[ _.-]?card|connection[ _.-]?string"
    rf"|(?<![a-z])iban(?![a-z]))(?!{_ABOUT})",
    re.IGNORECASE,
)
"""Names of fields whose value is masked whatever it looks like."""
_ADDRESS_NAME = re.compile(r"ip[ _.-]?addr", re.IGNORECASE)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_COUNT_NAME = re.compile(r"[a-z0-9]_(?:tokens|sessions|secrets|passwords|credentials|cookies|emails)$", re.IGNORECASE)
"""Names of numbers: `prompt_tokens: 812`, `active_sessions: 40`."""
MAX_COUNT_DIGITS = 9
_RELEASE_NAMES = frozenset({"release", "version", "dist", "browser", "os", "runtime", "sdk", "build", "ver", "tag"})
_RELEASE_NAME_ENDS = ("_version", "_ver", "_release", "_build", "_tag")
_ID_NAMES = re.compile(
    r"(?:^|_)(?:id|ids|issue|number|project|fingerprint|key_id|timestamp|time|at|ts)$", re.IGNORECASE
)

_SEPARATED = r"(?:[_-][a-z0-9]{1,20}){0,2}(?:\\{0,3}[\"']|%22)?\s{0,3}(?:=>|[:=]|%(?:25){0,3}3[da]|[：＝])\s{0,3}"
_VALUE = (
    r"((?:bearer|basic|digest|token|negotiate|bot|apikey|geniekey|aws4-hmac-sha256)\s{1,3})?"
    r"(\\?\"(?:[^\"\\]|\\[^\"]){0,4000}\\?\"?|'[^']{0,4000}'?|[^\s\"'&;,)}\]<>]{1,4000})"
)
_ASSIGNED = re.compile(
    r"((?:passw(?:or)?d|passwd|passphrase|passcode|secret|token|credentials?|authori[sz]ation"
    r"|(?<![a-z])(?:(?:db|user|admin|root|smtp|ftp)?pass|pwd|pw|sid|sig|otp|cvv|cvc|pin|auth|creds?|ssn)"
    r"|api[ _.-]?key|access[ _.-]?key(?:[ _.-]?id)?|(?:private|account|encryption|signing|master|auth|ssh)[ _.-]?key"
    r"|(?:session|sess)(?:[ _.-]?id)?|jsessionid|phpsessid|asp\.net_sessionid|connect\.sid|csrf|xsrf|signature"
    rf"|x-amz-(?:signature|credential|security-token)|{_LATIN_WORDS})(?!{_ABOUT}){_SEPARATED}){_VALUE}",
    re.IGNORECASE,
)
_ASSIGNED_OTHER = re.compile(rf"((?:{_OTHER_WORDS}){_SEPARATED}){_VALUE}", re.IGNORECASE)
"""The same by words of other scripts, which no ASCII text has."""
_STATEMENT = re.compile(
    r"(\bidentified\s{1,3}(?:with\s{1,3}[\w'\"`]{1,60}\s{1,3})?(?:by|as)\s{1,3}(?:password\s{1,3})?|\bpassword\s{1,3}(?=\\?['\"]))"
    r"(\\?'[^']{0,4000}'?|\\?\"[^\"]{0,4000}\"?|[^\s;,)]{1,4000})",
    re.IGNORECASE,
)
"""A password in a statement of SQL."""
_PARAMETER = re.compile(
    r"((?:[?&#;]|%(?:25){0,3}3f|%(?:25){0,3}26)(key|code)(?:=|%(?:25){0,3}3d))([^\s\"'&#<>;,)}\]]{1,4000})",
    re.IGNORECASE,
)
_ISSUE_KEY = re.compile(r"[A-Z][A-Z0-9]{1,9}-[0-9]{1,7}")
_OAUTH_CODE = re.compile(r"(?=[^0-9]{0,200}[0-9])(?=[^A-Za-z]{0,200}[A-Za-z]).{6,}|\S{20,}", re.DOTALL)
"""The code of a sign-in, and no status: digits and letters, or long."""
_AWS_PAIR = re.compile(
    r"((?:AKIA|ASIA)[A-Z0-9]{12,30}[^A-Za-z0-9/+]{1,10}(?:[A-Za-z_]{1,30}[^A-Za-z0-9/+]{1,10}){0,3})"
    r"(?![0-9a-f]{40})([A-Za-z0-9/+]{40})(?![A-Za-z0-9/+])"
    r"|(?<![A-Za-z0-9/+])(?![0-9a-f]{40})([A-Za-z0-9/+]{40})(?=[^A-Za-z0-9/+]{1,10}(?:AKIA|ASIA)[A-Z0-9]{12})"
)
"""An AWS secret key, which has no shape of its own, beside the id of the key."""
_SAID = re.compile(
    r"(--?(?:password|passwd|pwd|token|secret|api-?key|auth-?token|senha|passwort|clave)\s{1,3}|\s-u\s{1,3}[^\s:]{1,100}:"
    r"|<[\w:.-]{0,40}(?:password|passwd|secret|token|api-?key|senha|passwort|kennwort|clave|contrase(?:n|\u00f1)a)[\w.-]{0,40}>"
    r"|\b(?:password|passwd|secret|token|pin|passcode|senha|passwort|kennwort|clave|mot de passe)"
    r"\s(?:is|was|ist|es|est|\u00e9)\s(?=\S{0,60}[0-9!@#$%^&*]))"
    r"([^\s\"'<>]{1,4000})",
    re.IGNORECASE,
)
"""A secret as an option of a command, between tags, or in a sentence."""
_COOKIE = re.compile(r"((?:set-)?cookies?(?:2)?\\?[\"']?\s{0,3}[:=]\s{0,3})([^\r\n]{1,4000})", re.IGNORECASE)
_SCHEME = re.compile(
    r"\b(bearer|basic|digest|token|negotiate|geniekey)(\s{1,3}|%20|\+)"
    r"(?=[^\s\"']{0,200}[0-9=_+/.-])([A-Za-z0-9._~+/=:-]{8,4000})",
    re.IGNORECASE,
)
_SHAPES = re.compile(
    r"eyJ[A-Za-z0-9_-]{6,4000}(?:\.[A-Za-z0-9_-]{0,4000}){0,4}"
    r"|(?<![A-Za-z0-9])(?:[sprw]k|rk)_(?:live|test|prod)_[A-Za-z0-9]{6,200}"
    r"|(?<![A-Za-z0-9])sk-(?:[A-Za-z]{1,10}-)?[A-Za-z0-9_-]{12,200}"
    r"|(?<![A-Za-z0-9])xox[a-z][a-z]?-[A-Za-z0-9-]{6,200}|(?<![A-Za-z0-9])xapp-[A-Za-z0-9-]{8,200}"
    r"|(?<![A-Za-z0-9])gh[pousr]_[A-Za-z0-9]{12,255}|github_pat_[A-Za-z0-9_]{12,255}|glpat-[A-Za-z0-9_-]{12,200}"
    r"|(?<![A-Za-z0-9])(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{12,30}|AIza[A-Za-z0-9_-]{20,100}|ya29\.[A-Za-z0-9_-]{8,1000}"
    r"|tocsin_[0-9a-f]{8}_[A-Za-z0-9_-]{20,100}"
    r"|whsec_[A-Za-z0-9+/=_-]{8,200}|sntr[a-z]{1,2}_[A-Za-z0-9+/=_-]{12,1000}|npm_[A-Za-z0-9]{16,100}"
    r"|(?<![A-Za-z0-9])SG\.[A-Za-z0-9_-]{8,100}\.[A-Za-z0-9_-]{8,100}|sb_(?:secret|publishable)_[A-Za-z0-9_-]{6,200}"
    r"|GOCSPX-[A-Za-z0-9_-]{20,100}|(?<![A-Za-z0-9])[0-9]{8,10}:AA[A-Za-z0-9_-]{30,60}"
    r"|(?<=/bot)[0-9]{6,12}(?::|%3[Aa])[A-Za-z0-9_-]{20,60}|(?<![A-Za-z0-9])tk_[a-z0-9]{20,40}(?![A-Za-z0-9])|(?<![\w-])key-[a-z0-9]{32}"
    r"|(?<![A-Za-z0-9])(?:hf_|lin_api_|sbp_|AVNS_|dp\.(?:pt|st|ct|sa)\.|sq0[a-z]{3}-)[A-Za-z0-9_-]{12,200}"
    r"|shp(?:at|ca|pa|ss)_[A-Za-z0-9]{16,100}|dop_v1_[a-f0-9]{16,100}|pypi-[A-Za-z0-9_-]{16,300}"
    r"|hooks\.slack\.com/[A-Za-z]{1,20}/[A-Za-z0-9/_-]{8,200}"
    r"|(?:discord(?:app)?\.com)/api/webhooks/[0-9]{5,30}/[A-Za-z0-9_-]{8,200}"
    r"|-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[A-Za-z0-9+/=\s\\:,]{0,8000}(?:-----END [A-Z ]{0,30}-----)?"
)
_USERINFO = re.compile(r"(://)[^\s/?#@\"'<>]{1,500}(@|%40)")
_AT = r"(?:@|%(?:25){0,3}40|\\{1,2}u0040|&#0{0,4}64;|&#x0{0,4}40;)"
_DOMAIN = r"(?:[\w](?:[\w-]{0,62})\.){1,8}[^\W\d_][\w-]{1,30}(?!\w)"
_EMAIL = re.compile(rf"(?<![\w.%+'-])[\w.%+'-]{{1,256}}{_AT}(?![0-9]+\.[0-9]){_DOMAIN}", re.IGNORECASE)
_QUOTED_EMAIL = re.compile(rf"\\{{0,3}}\"[^\"\r\n]{{1,64}}\"{_AT}{_DOMAIN}", re.IGNORECASE)
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|[01][0-9]{2}|[0-9]{1,2})"
_IPV4 = re.compile(rf"(?<![\d.])(?:{_OCTET}\.){{3}}{_OCTET}(?!\d|\.\d)")
_IPV4_IN_RELEASE = re.compile(rf"(?<![\w.@-])(?:{_OCTET}\.){{3}}{_OCTET}(?![\w.+-])")
_VERSION_BEFORE = re.compile(
    r"(?:(?:^|[^a-z])(?:v|ver|vers|version|release|build|firmware)[\"']?[ :=@/_-]{0,3}v?"
    r"|(?:chrome|chromium|crios|edge?|edga|edgios|opr|firefox|fxios|safari|version|electron|webview)/)$",
    re.IGNORECASE,
)
"""Before four numbers that are a version: `ver: 1.2.3.4`, `v10.12.0.4`, `Chrome/99.0.0.1`."""
BEFORE = 16
"""So many characters before four numbers are looked at."""
_VERSION = re.compile(r"v?[0-9]+(?:\.[0-9]+){1,5}(?:[-+][\w.+-]{0,60})?", re.IGNORECASE)
_OWN_IPV4 = re.compile(
    r"0*(?:10|127)\.|0*192\.0*168\.|0*169\.0*254\.|0*172\.0*(?:1[6-9]|2[0-9]|3[01])\.|255\.|0+\.0+\.0+\.0+$"
)
"""Addresses of one's own machines: private, loopback, link-local, unspecified; and netmasks."""
_OWN_IPV6 = re.compile(r"f[cd][0-9a-f]{2}:|fe[89ab][0-9a-f]:|::1?$|(?:0+:){7}0*[01]$", re.IGNORECASE)
_MAPPED = re.compile(r"(?:::|(?:0+:){5})(?:ffff:)?([0-9.]+)$", re.IGNORECASE)
_IPV6 = re.compile(
    r"(?<![\w:.])(?=[0-9A-Fa-f:.]{0,45}:[0-9A-Fa-f]{0,4}:)"
    r"(?:[0-9A-Fa-f:]{2,39}:(?:[0-9]{1,3}\.){3}[0-9]{1,3}|[0-9A-Fa-f:]{2,39})(?!\w|:[\w:])"
)
_OF_MACHINES = re.compile(
    r"(?:10|127)\.|192\.168\.|169\.254\.|172\.(?:1[6-9]|2[0-9]|3[01])\.|(?:0\.){3}0$"
    r"|f[cd][0-9a-f]{2}:|fe[89ab][0-9a-f]:|::1?$",
    re.IGNORECASE,
)
"""Private, loopback, link-local and unique local addresses: those of one's own machines, and of no person."""
_CARD = re.compile(
    r"(?<![\w.-])[3-6][0-9]{3}(?:\.[0-9]{4}){3}(?![\w.-])|(?<![\w.])[0-9](?:[ -]?[0-9]){12,60}(?!\w|\.[0-9])"
)
_IP_MASK = re.compile(r"\[ip:[0-9a-f]{4}\]")
OWN_SOURCES = frozenset({"cloudflare"})
"""Senders whose alerts are about addresses and prefixes of the team's own."""
_LISTED_ADDRESSES = re.compile(r"[0-9A-Fa-f:.]{2,45}(?:/[0-9]{1,3})?(?:, ?[0-9A-Fa-f:.]{2,45}(?:/[0-9]{1,3})?){0,100}")
_OWN_NAME = re.compile(
    r"(?:^|_)(?:target|dest|destination|origin|origins|prefix|prefixes|prefix_hijacked|cidr|network|networks|pool|endpoint|server)(?:_|$)",
    re.IGNORECASE,
)
_FIELD_NAME = re.compile(r"[A-Za-z_][\w.-]{1,200}")
"""What stands before the colon of a line that is a field: one word, as JSON has it."""
_PLAIN_ID = re.compile(r"[a-z._]{1,40}:[0-9a-f]{1,64}")
"""The id of nearly every event and fault: a number, a UUID or a digest behind a word."""
_PARTS = re.compile(r"[@?#%;]")
"""What a link without any of them consists of is one text to look at."""
_APART = re.compile(r"[0-9][ -][0-9]| |[0-9]{4}\.[0-9]{4}\.[0-9]{4}\.")
"""An id is one word: what is written apart, or stands behind it, may be a card."""
_CARD_GROUPS = frozenset({(4, 4, 4, 4), (4, 6, 5), (4, 4, 4, 4, 3), (4, 4, 5), (4, 4, 4, 3)})
"""How the digits of a card are written apart; together they are one group."""

_ASSIGNED_HINTS = (
    "passw", "passphrase", "pwd", "pw", "pass", "cred", "ssn", "sid", "sig", "otp", "cvv", "cvc", "pin", "auth", "secret", "token", "key",
    "credential", "sess", "csrf", "xsrf", "x-amz",
)  # fmt: skip
_FOREIGN_HINTS = tuple(each for each in hints(latin()) if not any(hint in each for hint in _ASSIGNED_HINTS))
_SCHEME_HINTS = ("bearer", "basic", "digest", "token", "negotiate", "geniekey")
MIN_SHAPE_CHARACTERS = 9
"""No text that is shorter has a secret by its shape."""
_SHAPE_HINTS = (
    "eyj", "k_live_", "k_test_", "k_prod_", "sk-", "xox", "xapp-", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "akia", "asia", "aroa", "aida",
    "aiza", "/bot", "tk_", "ya29.", "whsec_", "sntr", "npm_", "sg.", "sb_", "shpat_", "shpca_", "shppa_", "shpss_", "dop_v1_", "pypi-", "hooks.slack.com", "discord",
    "private key", "gocspx-", ":aa", "key-", "tocsin_", "hf_", "lin_api_", "sbp_", "avns_", "dp.", "sq0",
)  # fmt: skip
_SAID_HINTS = (
    "--",
    " -u ",
    "<",
    " is ",
    " was ",
    "-pwd",
    "-token",
    "-senha",
    "-clave",
    " ist ",
    " es ",
    " est ",
    " \u00e9 ",
)
SWITCHES: Mapping[str, str] = {
    "@cpf": r"\b\d{3}\.\d{3}\.\d{3}-\d{2}\b",
    "@cnpj": r"\b[0-9A-Z]{2}\.[0-9A-Z]{3}\.[0-9A-Z]{3}/[0-9A-Z]{4}-\d{2}\b",
    "@phone": r"\+\d{1,3}(?:[ ./-]?\(?\d{1,4}\)?){2,6}",
    "@iban": r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b",
}
"""Patterns of personal numbers that a line of `REDACT_PATTERNS` switches on by name: they may look like other things."""


def redact(value: Any, *, patterns: Sequence[Pattern] | None = None) -> Any:
    """Mask everything secret or personal in any JSON value, in values and in names. Twice changes nothing."""
    extra = configured() if patterns is None else tuple(patterns)
    return _redacted(value, "", extra, 0)


def redact_text(text: str, *, name: str = "", patterns: Sequence[Pattern] | None = None) -> str:
    """Return a text masked; `name` is that of its field, which may say that all of it is secret."""
    extra = configured() if patterns is None else tuple(patterns)
    return _field(name, text, extra) if name else _text(text, extra)


def redact_event(event: Event, *, patterns: Sequence[Pattern] | None = None) -> Event:
    """Return the event masked. Its id and identities change only where they hold a secret, and then to a stable digest."""
    extra = configured() if patterns is None else tuple(patterns)
    masked: dict[str, Any] = {
        "id": _stable(event.id, extra),
        "identity": _stable(event.identity, extra),
        "ends_also": tuple(_stable(each, extra) for each in event.ends_also),
        "kind": _text(event.kind, extra),
        "name": _text(event.name, extra),
        "title": _lines(event.title, extra) or MASK,
        "summary": _lines(event.summary, extra),
        "url": _address(event.url, extra),
        "service": _optional(event.service, extra),
        "environment": _optional(event.environment, extra),
        "labels": _table(event.labels, extra),
        "annotations": _table(event.annotations, extra),
        "action": _action(event.action, extra),
        "severity_raw": _text(event.severity_raw, extra),
    }
    if event.source in OWN_SOURCES:
        masked = _with_own(masked, own_addresses(event.labels))
    changed = {name: value for name, value in masked.items() if value != getattr(event, name)}
    return replace(event, **changed) if changed else event


def redact_observed(observed: Mapping[str, str], own: Iterable[str]) -> dict[str, str]:
    """Return what a probe saw, masked. Addresses within `own`, which the team watches, stay readable."""
    masks = _masks_of(own)
    return {name: _restored(text, masks) for name, text in redact(dict(observed)).items()}


def own_addresses(labels: Mapping[str, str]) -> dict[str, str]:
    """Return the addresses of a team's own machines and prefixes in labels that name a target, each by its mask.

    Such a label is one address or prefix, or several with commas between them. In a sentence any address may be meant.
    """
    named = (value for name, value in labels.items() if _OWN_NAME.search(name))
    return _masks_of(value for value in named if _LISTED_ADDRESSES.fullmatch(value))


def _masks_of(texts: Iterable[str]) -> dict[str, str]:
    found = [each[0] for text in texts for each in (*_IPV4.finditer(text), *_IPV6.finditer(text))]
    return {_ip(each): each for each in found}


def _with_own(masked: dict[str, Any], masks: Mapping[str, str]) -> dict[str, Any]:
    """Return the masked fields that people read with the team's own addresses."""
    if not masks:
        return masked
    shown = {name: _restored(masked[name], masks) for name in ("title", "summary", "name", "service") if masked[name]}
    labels = {name: _restored(value, masks) for name, value in masked["labels"].items()}
    return {**masked, **shown, "labels": labels}


def _restored(text: str, masks: Mapping[str, str]) -> str:
    if "[ip:" not in text:
        return text
    return _IP_MASK.sub(lambda found: masks.get(found[0], found[0]), text)


@lru_cache(maxsize=8)
def compiled(lines: str) -> tuple[Pattern, ...]:
    """Return patterns of a text with one regular expression a line; raises RulesError naming the line that is none."""
    found = []
    for number, line in enumerate(lines.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            found.append(pattern_of(SWITCHES.get(line.strip().lower(), line.strip())))
        except PatternError as error:
            raise RulesError(f"{ENVIRONMENT}, line {number}: not a regular expression of RE2: {error}") from None
    return tuple(found)


def configured() -> tuple[Pattern, ...]:
    """Return the patterns that the environment adds, or else those that `configure` was given."""
    lines = os.environ.get(ENVIRONMENT) or _configured[0]
    return compiled(lines) if lines else ()


def configure(lines: str) -> None:
    """Add these patterns to every mask from now on; raises RulesError naming the line that is no pattern."""
    compiled(lines)
    _configured[0] = lines


_configured = [""]
"""What `wiring` read from where the secrets are, once per container, before anything is masked."""


# ---------------------------------------------------------------------------------------------------------------------
# Values


Extra = tuple[Pattern, ...]


def _redacted(value: Any, name: str, extra: Extra, depth: int) -> Any:
    if isinstance(value, str):
        return _field(name, value, extra)
    if depth > MAX_DEPTH and isinstance(value, dict | list):
        return MASK
    if name and value and not isinstance(value, bool) and _names_secret(name) and not _is_count(name, str(value)):
        return MASK
    if isinstance(value, dict):
        return {_text(str(key), extra): _redacted(each, str(key), extra, depth + 1) for key, each in value.items()}
    if isinstance(value, list):
        return _redacted_list(value, name, extra, depth)
    if isinstance(value, int) and not isinstance(value, bool) and not _ID_NAMES.search(name):
        return CARD if _is_card(str(value)) else value
    return value


def _redacted_list(value: list[Any], name: str, extra: Extra, depth: int) -> list[Any]:
    """Return a list; of a pair of texts (a header, a tag) the first names the second."""
    if len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], str):
        return [_text(value[0], extra), _field(value[0], value[1], extra)]
    return [_redacted(each, name, extra, depth + 1) for each in value]


def _field(name: str, value: str, extra: Extra) -> str:
    if name and value and _names_secret(name) and not _is_harmless(name, value):
        return MASK
    if name.lower() in _RELEASE_NAMES or name.lower().endswith(_RELEASE_NAME_ENDS):
        return _release(value, extra)
    return _text(value, extra, cards=not _ID_NAMES.search(name) or _APART.search(value) is not None)


def _lines(text: str, extra: Extra) -> str:
    """Return a text masked, and each `name: value` line of it as the field of that name: content that has no other form."""
    found = _text(text, extra)
    if ": " not in found:
        return found
    return "\n".join(_line(each, extra) for each in found.split("\n"))


def _line(line: str, extra: Extra) -> str:
    name, colon, value = line.partition(": ")
    return f"{name}: {_field(name, value, extra)}" if colon and _FIELD_NAME.fullmatch(name) else line


@lru_cache(maxsize=2_048)
def _names_secret(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None and _SECRET_NAME.search(_CAMEL.sub("_", name)) is not None


def _is_harmless(name: str, value: str) -> bool:
    """Return whether a field with the name of a secret holds none: a count, or an address of one's own machine."""
    return _is_count(name, value) or (
        _ADDRESS_NAME.search(name) is not None and _IPV4.fullmatch(value) is not None and _is_own(value)
    )


def _is_count(name: str, value: str) -> bool:
    return value.isdigit() and len(value) <= MAX_COUNT_DIGITS and _COUNT_NAME.search(_CAMEL.sub("_", name)) is not None


def _table(values: Mapping[str, str], extra: Extra) -> dict[str, str]:
    return dict(_pair(name, value, extra) for name, value in values.items())


@lru_cache(maxsize=8_192)
def _pair(name: str, value: str, extra: Extra) -> tuple[str, str]:
    """Return a label masked. In a storm most labels are those of the event before."""
    return _text(name, extra), _field(name, value, extra)


def _optional(value: str | None, extra: Extra) -> str | None:
    return None if value is None else _text(value, extra)


def _stable(value: str, extra: Extra) -> str:
    """Return an id as it is, unless it holds a secret: then a digest stands for it, the same each time."""
    if not extra and _PLAIN_ID.fullmatch(value):
        return value
    texts = [value]
    if " " in value:
        texts += [each.rsplit(":", count)[0] for each in value.split() for count in range(1, each.count(":") + 1)]
    if all(
        _text(each, extra, cards=_APART.search(each) is not None) == each and not _has_address(each) for each in texts
    ):
        return value
    return f"masked:{_digest(value, 16)}"


def _has_address(text: str) -> bool:
    """Return whether an id holds any IP address. Ids with one were digests before addresses of machines were readable."""
    if text.count(".") >= 3 and _IPV4.search(text):
        return True
    return text.count(":") >= 2 and any(_is_ipv6(each[0].removesuffix(":")) for each in _IPV6.finditer(text))


def _action(action: Action | None, extra: Extra) -> Action | None:
    if action is None:
        return None
    incident = None if action.incident is None else _stable(action.incident, extra)
    return replace(
        action,
        by=_text(action.by, extra),
        note=_text(action.note, extra),
        id=_stable(action.id, extra),
        incident=incident,
        alias=_stable(action.alias, extra),
        account=_text(action.account, extra),
    )


def _address(value: str | None, extra: Extra) -> str | None:
    """Return a link with its secrets masked; None when it is itself one, or its host is: it would lead nowhere."""
    if value is None:
        return None
    plain = unquote(value) if "%" in value else value
    if not _PARTS.search(value) and _text(plain, extra, cards=_APART.search(plain) is not None) == value:
        return value
    if _SHAPES.search(plain):
        return None
    try:
        parts = urlsplit(value)
        host = parts.hostname or ""
    except ValueError:
        return None
    if not host or _text(host, extra) != host:
        return None
    netloc = parts.netloc.rpartition("@")[2]
    path = "/".join(_part(each, extra) for each in parts.path.split("/"))
    query = "&".join(_parameter(each, extra) for each in parts.query.split("&"))
    return urlunsplit((parts.scheme, netloc, path, query, _part(parts.fragment, extra)))


def _part(part: str, extra: Extra) -> str:
    """Return a part of a path: kept as it is written unless it holds a secret, encoded or not."""
    plain = unquote(part)
    return part if _text(plain, extra, cards=_APART.search(plain) is not None) == plain else "masked"


def _parameter(parameter: str, extra: Extra) -> str:
    name, sign, value = parameter.partition("=")
    plain = unquote(value.replace("+", " "))
    cards = not _ID_NAMES.search(name) or _APART.search(plain) is not None
    named = unquote(name)
    secret = plain and (_names_secret(named) or _is_parameter_secret(named, plain))
    if secret or _text(plain, extra, cards=cards) != plain:
        return f"{_part(name, extra)}{sign}masked"
    return f"{_part(name, extra)}{sign}{value}"


# ---------------------------------------------------------------------------------------------------------------------
# Texts


def _text(text: str, extra: Extra, *, cards: bool = True) -> str:
    if not text or text.isalpha():
        return _with_extra(text, extra)
    if len(text) <= MAX_CACHED_CHARACTERS:
        return _with_extra(_cached(text, cards), extra)
    return _with_extra(_masked(text, cards), extra)


def _with_extra(text: str, extra: Extra) -> str:
    for pattern in extra:
        text = pattern.replaced(text, MASK)
    return text


@lru_cache(maxsize=4_096)
def _cached(text: str, cards: bool) -> str:
    return _masked(text, cards)


def _masked(text: str, cards: bool, ipv4: re.Pattern[str] = _IPV4) -> str:
    lower = text.lower()
    if len(text) >= MIN_SHAPE_CHARACTERS and _hinted(lower, _SHAPE_HINTS):
        if "akia" in lower or "asia" in lower:
            text = _AWS_PAIR.sub(_without_aws_secret, text)
        text = _SHAPES.sub(KEY, text)
    if "cookie" in lower:
        text = _COOKIE.sub(rf"\1{MASK}", text)
    if "=" in text or ":" in text or "%" in text or not text.isascii():
        text = _without_assigned(text, lower)
    if "identified" in lower or "password '" in lower or 'password "' in lower or "password \\" in lower:
        text = _STATEMENT.sub(rf"\1{MASK}", text)
    if _hinted(lower, _SAID_HINTS):
        text = _SAID.sub(rf"\1{MASK}", text)
    if _hinted(lower, _SCHEME_HINTS):
        text = _SCHEME.sub(rf"\1\2{MASK}", text)
    if "@" in text or "%40" in text:
        text = _USERINFO.sub(rf"\1{MASK}\2", text)
        text = _QUOTED_EMAIL.sub(EMAIL, text) if '"' in text else text
        text = _EMAIL.sub(EMAIL, text)
    elif "%25" in text or "u0040" in lower or "&#" in text:
        text = _EMAIL.sub(EMAIL, text)
    return _without_numbers(text, cards, ipv4)


def _without_assigned(text: str, lower: str) -> str:
    """Return a text without what stands behind the name of a secret and a sign."""
    if _hinted(lower, _ASSIGNED_HINTS) or _hinted(lower, _FOREIGN_HINTS):
        text = _ASSIGNED.sub(_assigned, text)
    if not text.isascii():
        text = _ASSIGNED_OTHER.sub(_assigned, text)
    if "key" in lower or "code" in lower:
        text = _PARAMETER.sub(_without_parameter, text)
    return text


def _without_parameter(found: re.Match[str]) -> str:
    if found[3].startswith(("[masked", "[key", "[email")) or not _is_parameter_secret(found[2], unquote(found[3])):
        return found[0]
    return f"{found[1]}{MASK}"


def _is_parameter_secret(name: str, value: str) -> bool:
    """Return whether a parameter of an address is a key, or the code of a sign-in."""
    if name.lower() == "code":
        return _OAUTH_CODE.fullmatch(value) is not None
    return name.lower() == "key" and _ISSUE_KEY.fullmatch(value) is None


def _without_aws_secret(found: re.Match[str]) -> str:
    return f"{found[1]}{KEY}" if found[1] else KEY


def _hinted(lower: str, hints: tuple[str, ...]) -> bool:
    for hint in hints:  # noqa: SIM110 — a loop costs half of any(): it runs for every text
        if hint in lower:
            return True
    return False


def _without_numbers(text: str, cards: bool, ipv4: re.Pattern[str]) -> str:
    if text.count(".") >= 3:
        text = ipv4.sub(_ipv4, text)
    if text.count(":") >= 2:
        text = _IPV6.sub(_ipv6, text)
    if cards and len(text) >= 13 and _CARD.search(text):
        text = _CARD.sub(lambda found: _without_card(found[0]), text)
    return text


def _release(text: str, extra: Extra) -> str:
    """Return a version: four numbers that are all of it, or behind a name or a `v`, are one, and no address."""
    if _VERSION.fullmatch(text):
        return _with_extra(text, extra)
    return _with_extra(_masked(text, True, _IPV4_IN_RELEASE), extra)


def _assigned(found: re.Match[str]) -> str:
    value = found[3]
    if value.startswith(("[masked", "[key", "[email")):
        return found[0]
    return f"{found[1]}{found[2] or ''}{MASK}"


def _digest(text: str, characters: int) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()[:characters]


def _ip(text: str) -> str:
    return text if _OF_MACHINES.match(text) else f"[ip:{_digest(text, 4)}]"


def _ipv4(found: re.Match[str]) -> str:
    """Return the address masked; one of the machine's own stays, and so do four numbers of a version."""
    before = found.string[max(0, found.start() - BEFORE) : found.start()]
    return found[0] if _is_own(found[0]) or _VERSION_BEFORE.search(before) else _ip(found[0])


def _is_own(address: str) -> bool:
    return _OWN_IPV4.match(address) is not None


def _ipv6(found: re.Match[str]) -> str:
    """Return the address masked; one of the machine's own stays. A colon behind it belongs to the sentence."""
    text = found[0] if found[0].endswith("::") else found[0].removesuffix(":")
    if not _is_ipv6(text) or _OWN_IPV6.match(text):
        return found[0]
    mapped = _MAPPED.match(text)
    if mapped is not None and _is_own(mapped[1]):
        return found[0]
    return _ip(text) + found[0][len(text) :]


def _is_ipv6(text: str) -> bool:
    """Return whether it is an address: eight groups, or fewer around one `::`; clock times and names with colons are none."""
    head, tail = (text.rpartition(":")[0] + ":0:0", True) if "." in text else (text, False)
    if head.count("::") > 1 or ":::" in head or not re.search(r"[0-9]", text):
        return False
    groups = [group for group in head.split(":") if group]
    if any(len(group) > 4 for group in groups) or (text.endswith(":") and not text.endswith("::")):
        return False
    return len(groups) <= 7 and (tail or len(groups) > 0) if "::" in head else len(groups) == 8


def _without_card(digits: str) -> str:
    """Mask the card number in digits; other numbers may stand before and behind it."""
    groups = re.split(r"([ .-])", digits)
    for start in range(0, len(groups), 2):
        for count in (5, 4, 3, 1):
            card = groups[start : start + 2 * count : 2]
            if (count == 1 or tuple(map(len, card)) in _CARD_GROUPS) and _is_card("".join(card)):
                rest = "".join(groups[start + 2 * count - 1 :])
                return "".join(groups[:start]) + CARD + _without_card(rest)
    return digits


def _is_card(text: str) -> bool:
    """Check 13 to 19 digits by Luhn's sum; they must begin as cards do, and not be all the same."""
    digits = [int(each) for each in text if each.isdigit() and each.isascii()]
    if not 13 <= len(digits) <= 19 or digits[0] not in (3, 4, 5, 6) or len(set(digits)) < 2:
        return False
    doubled = [(digit * 2 - 9 if digit > 4 else digit * 2) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0
