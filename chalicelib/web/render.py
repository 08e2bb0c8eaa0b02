"""The pages as HTML: Jinja2 templates that escape every value, in the reader's zone and language of time."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache, partial
from hashlib import sha256
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import BytecodeCache, Environment, FileSystemLoader, StrictUndefined
from jinja2.bccache import Bucket

from chalicelib.core.delivery.links import web_address
from chalicelib.core.delivery.notification import Runbook
from chalicelib.core.delivery.writing import counted_list, cut, one_line
from chalicelib.core.glancing import where
from chalicelib.core.instants import RFC3339, rfc3339
from chalicelib.core.language.units import shown, unit_of
from chalicelib.core.notified import NotifiedState
from chalicelib.core.picture import Picture
from chalicelib.core.rule import Target
from chalicelib.core.standing import sentence
from chalicelib.web import phrases, silences, words
from chalicelib.web.chart import chart_of

FOLDER = Path(__file__).parent
ASSETS = {
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "bell.svg": "image/svg+xml",
    "bell-critical.svg": "image/svg+xml",
}
"""The files that browsers load, with their types."""
MAX_NAMED = 3
MAX_LINE_CHARACTERS = 1_000
Name = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Reader:
    """For whom a page is made: the zone of its times, how targets are named, and where the runbook's pages are."""

    zone: ZoneInfo
    now: datetime
    name: Name
    runbook: Callable[[str], Runbook | None]


@dataclass(frozen=True, slots=True)
class PageLink:
    """An entry of the navigation. `key` goes there after `g`; `part` is the heading before it."""

    path: str
    title: str
    icon: str
    key: str
    part: str = ""


PAGES = (
    PageLink("", "Now", "bell", "n"),
    PageLink("errors", "Errors", "errors", "e", "Look"),
    PageLink("performance", "Performance", "perf", "p"),
    PageLink("infrastructure", "Infrastructure", "infra", "i"),
    PageLink("uptime", "Uptime", "uptime", "u"),
    PageLink("silences", "Silences", "silenced", "s", "Decide"),
    PageLink("rules", "Rules", "rules", "r"),
    PageLink("router", "Router", "router", "o", "Tocsin"),
)


def rendered(template: str, reader: Reader, values: Mapping[str, Any]) -> str:
    """Return a page. Every template is given `now`, `zone` and `pages` beside these values."""
    environment = _environment().overlay()
    environment.filters = {**environment.filters, **_filters(reader)}
    return environment.get_template(template).render(now=reader.now, zone=reader.zone, pages=PAGES, **values)


class _Compiled(BytecodeCache):
    """Keeps templates as they were compiled: the filters of each request are others, the templates are not."""

    def __init__(self) -> None:
        self._code: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """Give a template that was compiled before."""
        if bucket.key in self._code:
            bucket.bytecode_from_string(self._code[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep a template that was compiled now."""
        self._code[bucket.key] = bucket.bytecode_to_string()


@lru_cache(maxsize=1)
def _environment() -> Environment:
    found = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        bytecode_cache=_Compiled(),
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    found.globals["asset"] = asset_name
    return found


def _filters(reader: Reader) -> dict[str, Callable[..., Any]]:
    """Return what templates call: phrases of an incident, and times in the reader's zone."""
    clock = partial(words.clock, zone=reader.zone, now=reader.now)
    return {
        **{name: getattr(phrases, name) for name in _PHRASES},
        "where": where,
        "rfc3339": rfc3339,
        "utc": words.in_utc,
        "clock": lambda at, seconds=False: clock(at, seconds=seconds),
        "age": lambda at: words.age(reader.now - at),
        "ahead": lambda at: _ahead(at, reader.now),
        "counted": words.counted,
        "day": partial(words.day, zone=reader.zone, now=reader.now),
        "days": words.days,
        "span": words.age,
        "measured": lambda value, metric: shown(value, unit_of(metric)),
        "length_words": words.age,
        "month": lambda at: f"{at.astimezone(UTC):%B}",
        "zone_words": lambda zone: words.zone_words(zone, reader.now),
        "targets": lambda found: _targets(found, reader.name),
        "target_names": lambda found: counted_list([reader.name(each) for each in found], MAX_NAMED) or "nobody",
        "notified": lambda found: _notified(found, reader.name),
        "runbook": lambda picture: _runbook(picture, reader),
        "standing_words": lambda picture: _standing(picture, clock),
        "dated": lambda text: _UTC.sub(lambda found: clock(_instant(found[1])), text),
        "chart": lambda curve: chart_of(curve, clock),
        "safe_url": web_address,
        "one_line": lambda text: cut(one_line(text), MAX_LINE_CHARACTERS),
        "target": reader.name,
        "instant": datetime.fromisoformat,
        "window_days": silences.window_days,
        "window_times": silences.window_times,
        "route_words": silences.route_words,
    }


_PHRASES = (
    "title", "cause", "summary", "measure", "small", "owner", "facts", "why", "top_errors", "deploys", "links",
    "alert_title", "alert_small", "reading",
)  # fmt: skip


_UTC = re.compile(r"\b(\d{4}-\d\d-\d\d \d\d:\d\d) UTC\b", re.ASCII)
"""The times of our own sentences, as core/observed.py and silences write them."""


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _ahead(at: datetime, now: datetime) -> str:
    return f"in {words.age(at - now)}" if at > now else "now"


def _targets(found: Sequence[Target], name: Name) -> str:
    return counted_list([name(each.key) for each in found], MAX_NAMED) or "nobody"


def _notified(found: Sequence[NotifiedState], name: Name) -> str:
    return counted_list([name(each.target.key) for each in found], MAX_NAMED)


def _runbook(picture: Picture, reader: Reader) -> Runbook | None:
    """Return the runbook's page with its first steps; None where the rule names none, or there is no such page."""
    named = picture.says.background.runbook
    if named is None or not named.name:
        return named
    return reader.runbook(named.name)


def _standing(picture: Picture, clock: Callable[[datetime], str]) -> str:
    """Return why nobody is notified or reminded, with times of the reader's clock; empty where nothing is held back."""
    said = RFC3339.sub(lambda found: clock(datetime.fromisoformat(found[0])), sentence(picture.standing, rfc3339))
    return f"{said[:1].upper()}{said[1:]}." if said else ""


# ---------------------------------------------------------------------------------------------------------------------
# Assets

_NAMED = re.compile(r"(?P<stem>[a-z-]+)\.(?P<digest>[0-9a-f]{12})\.(?P<end>[a-z]+)")


@lru_cache(maxsize=1)
def _contents() -> dict[str, str]:
    return {name: (FOLDER / "assets" / name).read_text(encoding="utf-8") for name in ASSETS}


def asset_name(name: str) -> str:
    """Return the address of a file with a digest of what it holds, so that browsers keep it for ever."""
    stem, _, end = name.rpartition(".")
    return f"{stem}.{sha256(_contents()[name].encode()).hexdigest()[:12]}.{end}"


def asset(name: str) -> tuple[str, str] | None:
    """Return a file and its type, by the name that `asset_name` gave it in this or another version; None for any other."""
    found = _NAMED.fullmatch(name)
    plain = f"{found['stem']}.{found['end']}" if found else name
    return (_contents()[plain], ASSETS[plain]) if plain in ASSETS else None
