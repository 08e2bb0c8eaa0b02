"""Reading what senders wrote: by meaning, whatever the type, within bounds. Nothing here raises but `json_object`.

Senders send numbers as text, text as numbers, null for anything, and times in half a dozen forms. Each function takes
any JSON value and gives what it means, or nothing. Texts come out clean: no control characters, no lone surrogates, no
text that only says "null". They are cut between words, so that no half of a secret survives the masks that come after.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from typing import Any

from chalicelib.core.errors import ParseError
from chalicelib.core.event import Action, Event, Severity, Status
from chalicelib.core.instants import END, instant_at

MAX_TITLE_CHARACTERS = 300
MAX_SUMMARY_CHARACTERS = 3_000
MAX_VALUE_CHARACTERS = 500
MAX_NAME_CHARACTERS = 100
MAX_KIND_CHARACTERS = 200
MAX_IDENTITY_CHARACTERS = 300
MAX_ADDRESS_CHARACTERS = 3_000
MAX_LABELS = 64
RESERVED_LABELS = frozenset({"source", "kind", "severity", "alertname"})
"""Words that every event has; a sender's own value of that name would hide them."""

_NOTHING = frozenset({"none", "null", "undefined", "nil", "<nil>", "nan", "<null>", "(null)", "<none>", "n/a"})
_LONGEST_NOTHING = max(map(len, _NOTHING))
_UNCLEAN = "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"


_NAME = re.compile(r"[\w$][\w.$/-]*(?: [^\W\d]+(?!\w))*")
_BETWEEN = re.compile(r"[\s\"'<>(){}\[\],;|]")
_HALF_ADDRESS = re.compile(r"[\w.%+-]{1,256}(?:@|%40)[\w.-]{0,256}$")
_NO_NAME = re.compile(
    r"[0-9](?:[ -]?[0-9]){11,}|[0-9]+(?:\.[0-9]+){3,}"
    r"|(?=[A-Za-z]*[0-9])[A-Za-z0-9]{16,}|(?=[A-Za-z]*[0-9]+[A-Za-z])[A-Za-z0-9]{12,}"
)
"""What no sender calls anything: a long number, an IP address, a key of letters and digits."""
_EPOCH = re.compile(r"[0-9]{1,19}(?:\.[0-9]{1,9})?")
_CALENDAR = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?)(?:[.,](\d{1,9}))?\s?(Z|z|[-+]\d\d:?\d\d)?)?(?:\s?(?:UTC|GMT))?"
)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(?![0-9])")
_WEB = re.compile(r"https?://[^\s/?#\\<>\"]+", re.IGNORECASE)
_NOT_IN_ADDRESS = re.compile(r"[\s<>\"\\^`{|}]")
_SPACE = re.compile(r"\s")
_TO_ENCODE = re.compile(r"[<>\"\\^`{|}]|[^\x00-\x7f]")
_NOT_IN_WORD = re.compile(r"[^a-z0-9_.\-]+")
_LEVEL = re.compile(r"([a-z]+)(?:[ ._-]{0,3}([0-9]))?")
_DECODER = json.JSONDecoder(strict=False)
"""Some senders leave control characters in texts as they are. `json.loads` would make a decoder for each body."""
_REST_OF_ADDRESS = re.compile(r"[\w.%+-]{0,256}(?:@|%40)")


def json_object(body: bytes) -> dict[str, Any]:
    """Return the object in a body; raises ParseError when there is none."""
    found = json_value(body)
    if not isinstance(found, dict):
        raise ParseError("the body is JSON but not an object")
    return found


def json_value(body: bytes) -> Any:
    """Return the JSON in a body; raise ParseError when there is none."""
    try:
        return _DECODER.decode(body.decode(json.detect_encoding(body), "surrogatepass"))
    except RecursionError:
        raise ParseError("the body is nested too deep to be read") from None
    except (ValueError, UnicodeError):
        raise ParseError("the body is not JSON in UTF-8") from None


def bounded_list(events: Iterable[Event], limit: int) -> list[Event]:
    """Return the events; of more than the limit raises ParseError, which holds the first, so that the rest is parked."""
    found = list(islice(events, limit + 1))
    if len(found) > limit:
        raise ParseError(f"the body holds more than {limit} events; the first {limit} were read", found[:limit])
    return found


def unwrapped(value: Any) -> Any:
    """Return the value; one that is JSON written as a text is read."""
    if not isinstance(value, str) or not value.lstrip().startswith("{"):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def table(value: Any) -> Mapping[str, Any]:
    """Return the value when it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def items(value: Any) -> list[Any]:
    """Return the value when it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def at(value: Any, *path: str) -> Any:
    """Return what is at the end of the keys; None where one is missing or the way leads through something else."""
    for key in path:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def text(value: Any, limit: int = MAX_VALUE_CHARACTERS) -> str:
    """Return the value as text that may have several lines; empty for null, objects, lists and texts that say nothing."""
    if value is None:
        return ""
    found = _clean(value, limit)
    return "" if len(found) <= _LONGEST_NOTHING and found.lower() in _NOTHING else found


def _clean(value: Any, limit: int) -> str:
    if not isinstance(value, str):
        value = _scalar_text(value)
    found: str = value[: 2 * limit + 200]
    if not found.isprintable():
        found = re.sub(_UNCLEAN, " ", found.replace("\r\n", "\n"))
    found = found.strip()
    return found if len(found) <= limit else cut(found, limit)


def _scalar_text(value: Any) -> str:
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, float):
        if not math.isfinite(value):
            return ""
        return str(int(value)) if value.is_integer() and abs(value) < 1e16 else repr(value)
    return str(value) if isinstance(value, int) else ""


def line(value: Any, limit: int = MAX_VALUE_CHARACTERS) -> str:
    """Return `text` on one line."""
    if value is None:  # most fields that are asked for are not there
        return ""
    if type(value) is str and len(value) <= limit and value.isprintable():  # and most of the others are clean
        found = value.strip()
        if len(found) <= _LONGEST_NOTHING and found.lower() in _NOTHING:
            return ""
        return found if "  " not in found else " ".join(found.split())
    found = text(value, limit)
    return " ".join(found.split()) if not found.isprintable() or "  " in found else found


def spelled(value: Any, limit: int = MAX_VALUE_CHARACTERS) -> str:
    """Return a text or a scalar on one line, also one that says only `none` or `null`: as a state they are words."""
    return " ".join(_clean(value, limit).split())


def first_line(*values: Any, limit: int = MAX_VALUE_CHARACTERS) -> str:
    """Return the first of the values that says something, on one line."""
    for value in values:
        if found := line(value, limit):
            return found
    return ""


def head(value: Any, limit: int = MAX_TITLE_CHARACTERS) -> str:
    """Return the first line of a text that may have several."""
    return first_line(*text(value, 4 * limit).splitlines(), limit=limit)


def cut(found: str, limit: int) -> str:
    """Return at most `limit` characters; what is cut ends between words where there is room in the last 200 characters.

    Half an e-mail address at the end is no address to any mask: it goes with the other half.
    """
    if len(found) <= limit:
        return found
    kept = found[: limit - 1]
    if not found[limit - 1].isspace():
        between = [match.start() for match in _BETWEEN.finditer(kept, max(limit - 200, limit // 3))]
        kept = kept[: between[-1]] if between else _HALF_ADDRESS.sub("", kept)
    return kept.rstrip() + "…"


def number(value: Any) -> float | None:
    """Return the number, also from a text that begins with one (`800.00 rps`)."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return float(value) if abs(value) < 1e300 and math.isfinite(value) else None
    match = re.match(r"\s*([-+]?[0-9]{1,18}(?:\.[0-9]{1,9})?)", value) if isinstance(value, str) else None
    return float(match[1]) if match else None


def truth(value: Any) -> bool | None:
    """Return True or False, also when written as text or number; None for anything else."""
    word = line(value, 10).lower()
    if word in ("true", "1", "yes", "on", "enabled"):
        return True
    return False if word in ("false", "0", "no", "off", "disabled") else None


def instant(value: Any) -> datetime | None:
    """Return the time in UTC: RFC 3339 (nanoseconds too), Go's own form, a date, seconds or milliseconds since 1970.

    None for no time, for the zero times that senders write when they have none, and for years after 2199.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return _from_epoch(float(value)) if abs(value) < 1e20 else None
    if not isinstance(value, str) or not 0 < len(value) <= 64:
        return None
    value = value.strip()
    if _EPOCH.fullmatch(value):
        return _from_epoch(float(value)) if len(value) != 4 else None
    return _from_calendar(value)


def _from_epoch(seconds: float) -> datetime | None:
    for limit in (1e17, 1e14, 1e11):
        if seconds >= limit:
            seconds /= limit / 1e8
            break
    return instant_at(seconds) if 0 < seconds < END else None


def _from_calendar(value: str) -> datetime | None:
    match = _CALENDAR.match(value)
    if not match or match.end() < len(value):
        return None
    day, clock, fraction, zone = match.groups()
    written = f"{day}T{clock or '00:00:00'}.{(fraction or '0')[:6].ljust(6, '0')}{(zone or 'Z').upper()}"
    if clock and len(clock) == 5:
        written = written.replace(clock, clock + ":00", 1)
    try:
        found = datetime.fromisoformat(written).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return found if 0 < found.timestamp() < END else None


def first_instant(*values: Any) -> datetime | None:
    """Return the first of the values that is a time."""
    return next((found for found in map(instant, values) if found is not None), None)


def address(value: Any) -> str | None:
    """Return an absolute http or https address; a bare host gets https. None for anything a person cannot be sent to.

    Characters behind the host that no address may have are percent-encoded: `?left={"a":1}`.
    """
    found = value.strip() if isinstance(value, str) else ""
    if not found or len(found) > MAX_ADDRESS_CHARACTERS or not found.isprintable() or " " in found:
        return None
    if found.startswith("//"):
        found = "https:" + found
    elif not _SCHEME.match(found):
        if not re.match(r"[^\s/?#@:.]+(?:\.[^\s/?#@:.]+)+(?::[0-9]{1,5})?(?:[/?#]|$)", found):
            return None
        found = "https://" + found
    return encoded_address(found)


def encoded_address(found: str) -> str | None:
    """Return a web address with what no address may have behind its host percent-encoded. None for another text."""
    start = _WEB.match(found)
    if start is None or _NOT_IN_ADDRESS.search(start[0]) or _SPACE.search(found):
        return None
    if found[start.end() : start.end() + 1] not in ("", "/", "?", "#"):
        return None
    if found.isascii() and not _NOT_IN_ADDRESS.search(found):
        return found
    rest = _TO_ENCODE.sub(_percent_encoded, found[start.end() :])
    return f"{start[0]}{rest}" if len(start[0]) + len(rest) <= MAX_ADDRESS_CHARACTERS else None


def _percent_encoded(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode("utf-8", "replace"))


def first_address(*values: Any) -> str | None:
    """Return the first of the values that is an address."""
    return next((found for found in map(address, values) if found is not None), None)


def label_name(value: Any) -> str:
    """Return a name as labels have it: letters, digits and underscores; empty when nothing of it is left."""
    found = re.sub(r"[^A-Za-z0-9_]+", "_", _name(value, MAX_NAME_CHARACTERS)).strip("_")
    return f"_{found}" if found[:1].isdigit() else found


@lru_cache(maxsize=2_048)
def _name_of_label(key: str) -> str:
    """Return `label_name` of a text. Senders have few names, and use them in every body."""
    return key if key.isidentifier() and key.isascii() and len(key) <= 60 else label_name(key)


def labels(pairs: Iterable[tuple[Any, Any]]) -> dict[str, str]:
    """Return labels of names and scalar values; what says nothing is left out, the first of a name wins, at most 64."""
    found: dict[str, str] = {}
    for key, value in pairs:
        if len(found) >= MAX_LABELS:
            break
        if value is not None:
            is_short = type(value) is str and len(value) <= MAX_VALUE_CHARACTERS and len(key) <= MAX_NAME_CHARACTERS
            name, said = _remembered_label(key, value) if is_short else _label(key, value)
            if name:
                found.setdefault(name, said)
    return found


@lru_cache(maxsize=4_096)
def _remembered_label(key: str, value: str) -> tuple[str, str]:
    """Return a label as it is kept: the next body of a sender has most of the same."""
    return _label(key, value)


def _label(key: str, value: Any) -> tuple[str, str]:
    """Return a label as it is kept; an empty name where it says nothing."""
    said = value.strip() if type(value) is str and value.isprintable() and len(value) <= 200 else line(value)
    if not said or (len(said) <= _LONGEST_NOTHING and said.lower() in _NOTHING):
        return "", ""
    name = _name_of_label(key) if len(key) <= MAX_NAME_CHARACTERS else label_name(key)
    return ("", "") if name in RESERVED_LABELS else (name, said)


def sent_labels(value: Any) -> dict[str, str]:
    """Return labels or annotations as their sender named them (Prometheus), every one a text, at most 64.

    `none` is a word there (of a severity), and kept.
    """
    found: dict[str, str] = {}
    for key, each in table(value).items():
        name, said = line(key, MAX_NAME_CHARACTERS), _clean(each, MAX_VALUE_CHARACTERS)
        if name and said and len(found) < MAX_LABELS:
            found.setdefault(name, said)
    return found


def word(value: Any, limit: int = MAX_KIND_CHARACTERS) -> str:
    """Return a name of a type or action as part of a kind: lower case, without blanks or anything odd."""
    return _word_of(value, limit) if type(value) is str and len(value) <= limit else _word(value, limit)


@lru_cache(maxsize=1_024)
def _word_of(value: str, limit: int) -> str:
    """Return the word of a text: types and actions are few."""
    return _word(value, limit)


def _word(value: Any, limit: int) -> str:
    found = _name(value, limit).lower()
    return _NOT_IN_WORD.sub("_", found).strip("_.-") if found[:1].isalpha() else ""


def _name(value: Any, limit: int) -> str:
    """Return the beginning of a text that can be a name: a word, and more words of letters behind it.

    What comes after that may be anything, even a secret, and changed into a name no mask would know it. Nor would it
    know half an e-mail address, or a key of letters and digits.
    """
    said = line(value, limit).lstrip("@#:./-")
    match = _NAME.match(said)
    if not match or _REST_OF_ADDRESS.match(said, match.end()):
        return ""
    return _NO_NAME.sub("", match[0])


def digest(value: Any) -> str:
    """Return 32 hex characters of any JSON value, whatever the order of keys."""
    try:
        written = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    except (RecursionError, ValueError, TypeError):
        shallow = {str(key): line(each) for key, each in table(value).items()}
        written = json.dumps(shallow, sort_keys=True)
    return hashlib.blake2b(written.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def bounded(found: str, limit: int = MAX_IDENTITY_CHARACTERS) -> str:
    """Return an id or identity within a limit: a longer one keeps its beginning and a digest of the whole."""
    if len(found) <= limit and found.isprintable():
        return found
    return re.sub(_UNCLEAN, "?", found[: limit - 40]) + "#" + digest(found)


_CRITICAL = "critical crit fatal emergency emerg panic page disaster p0 p1 sev0 sev1 s1 urgent blocker"
_WARNING = "warning warn error err major minor high medium moderate average alert p2 p3 sev2 sev3 s2 s3"
_INFO = "info informational information notice debug trace none ok low log p4 p5 sev4 sev5 s4 s5"
SEVERITIES: Mapping[str, Severity] = {
    **dict.fromkeys(_CRITICAL.split(), Severity.CRITICAL),
    **dict.fromkeys(_WARNING.split(), Severity.WARNING),
    **dict.fromkeys(_INFO.split(), Severity.INFO),
}


def severity(*values: Any, default: Severity = Severity.WARNING) -> Severity:
    """Return how bad the first of the values that says something is; a word nobody knows is the default."""
    for value in values:
        # "none" is a severity to Prometheus, and no text to anyone else.
        said = value.strip()[:60] if isinstance(value, str) else line(value, 60)
        known = _LEVEL.match(said.lower())
        if known:
            return SEVERITIES.get(known[1] + (known[2] or ""), SEVERITIES.get(known[1], default))
        if said:
            return default
    return default


def made_event(
    *,
    id: str,
    source: str,
    kind: str,
    status: Status,
    severity: Severity,
    title: str,
    occurred_at: datetime,
    identity: str,
    name: str = "",
    summary: str = "",
    url: str | None = None,
    service: str = "",
    environment: str = "",
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    starts_at: datetime | None = None,
    ends_at: datetime | None = None,
    action: Action | None = None,
    severity_raw: str = "",
    ends_also: Iterable[str] = (),
) -> Event:
    """Return an event within all bounds. The title must say something; that is its caller's part."""
    return Event(
        id=bounded(id, 200),
        source=source,
        kind=cut(kind, MAX_KIND_CHARACTERS),
        status=status,
        severity=severity,
        title=cut(title, MAX_TITLE_CHARACTERS),
        occurred_at=occurred_at,
        identity=bounded(identity),
        name=cut(name, MAX_KIND_CHARACTERS),
        summary=cut(summary, MAX_SUMMARY_CHARACTERS),
        url=url,
        service=cut(service, 200) or None,
        environment=cut(environment, 200) or None,
        labels=labels or {},
        annotations=annotations or {},
        starts_at=starts_at,
        ends_at=ends_at,
        action=action,
        severity_raw=cut(severity_raw, MAX_KIND_CHARACTERS),
        ends_also=tuple(bounded(each) for each in ends_also),
    )
