"""When the registration of a domain ends, as its registry says over RDAP.

    - name: shop
      domain: example.com               # the registered name, without www
      every: 1d                         # at least an hour: registries refuse who asks often
      server: https://rdap.example/     # the registry's RDAP server, where IANA's list has none
      timeout: 10s

Sample: `domain_days_left`, negative once it has ended. Which server a domain's registry has is read from IANA's list at
each try, so that no copy of it grows old; RDAP_BOOTSTRAP_URL is where that list is. A registry that is away, gives no date
or knows no such domain cannot be measured: nothing of it says that the domain does not work, which `dns` and `uptime` do.
Some registries have no RDAP, or keep the date to themselves (.de). https://www.rfc-editor.org/rfc/rfc9083
https://www.rfc-editor.org/rfc/rfc9224  https://data.iana.org/rdap/dns.json
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urljoin

from chalicelib.core.errors import RulesError, TargetRejectedError
from chalicelib.core.instants import instant_of
from chalicelib.core.payload import coerce
from chalicelib.probes import Attempt, Down, UnmeasuredError, common_mistakes, every
from chalicelib.probes._address import address_mistakes
from chalicelib.probes._http import Answer, Question, ask

MEANING = "Domains whose registration must not end."
SAMPLE = {"name": "shop", "domain": "example.com", "every": "1d"}
PLACE = 10
METRICS = ("domain_days_left",)
TIMEOUT = timedelta(seconds=10)
LATE_IS_DOWN = False
BOOTSTRAP = "https://data.iana.org/rdap/dns.json"
LEAST_EVERY = timedelta(hours=1)
MAX_REDIRECTS = 3
EXPIRATION = "expiration"


async def check(attempt: Attempt) -> None:
    """Add for how long a domain is registered. UnmeasuredError when the registry does not say."""
    domain = _ascii(str(attempt.params["domain"]))
    try:
        server = str(attempt.params.get("server") or await _server(attempt, domain))
        found = await _read(attempt, f"{server.rstrip('/')}/domain/{domain}", "the registry")
    except Down as down:
        raise UnmeasuredError(f"the registry could not be asked: {down}") from None
    ends = min(_ends(found), default=None)
    if ends is None:
        raise UnmeasuredError("the registry gives no date on which the registration ends", final=True)
    attempt.add("domain_days_left", (ends - attempt.now) / timedelta(days=1))


def parameters(params: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the secrets and settings that an entry reads."""
    return ("RDAP_BOOTSTRAP_URL",)


def validate(params: Mapping[str, Any]) -> list[str]:
    """Return the mistakes of an entry of `probes: {domain: […]}`, in words."""
    found = common_mistakes(params, required=("domain", "every"), allowed=("server",))
    if not found and every(params) < LEAST_EVERY:
        found.append("every must be at least 1h, such as 1d: registries refuse who asks often")
    if params.get("domain") and not _is_domain(str(params["domain"])):
        found.append("domain must be a registered name, such as example.com")
    return found + address_mistakes(params, "server", instead="a server without a login, as RDAP has it")


def _is_domain(text: str) -> bool:
    try:
        labels = _ascii(text).split(".")
    except RulesError:
        return False
    return len(labels) > 1 and all(label.replace("-", "").isalnum() for label in labels)


def _ascii(domain: str) -> str:
    try:
        return domain.strip().rstrip(".").lower().encode("idna").decode("ascii")
    except UnicodeError:
        raise RulesError("the domain is not valid; allowed is a registered name, such as example.com") from None


async def _server(attempt: Attempt, domain: str) -> str:
    """Return the RDAP server of the registry with the longest part of the domain, by IANA's list."""
    listed = await _read(attempt, attempt.clients.setting("RDAP_BOOTSTRAP_URL", BOOTSTRAP), "IANA's list")
    servers = {str(zone).lower(): urls for zones, urls in _services(listed) for zone in zones}
    labels = domain.split(".")
    for start in range(len(labels)):
        urls = servers.get(".".join(labels[start:]), [])
        if urls:
            return str(next((url for url in urls if str(url).startswith("https:")), urls[0]))
    raise RulesError(f"IANA's list has no RDAP server for .{labels[-1]}; allowed is `server` with one of the registry")


def _services(listed: Mapping[str, Any]) -> Iterator[tuple[list[Any], list[Any]]]:
    services = listed.get("services")
    for entry in services if isinstance(services, list) else []:
        if isinstance(entry, list) and len(entry) > 1 and all(isinstance(each, list) for each in entry[:2]):
            yield entry[0], entry[1]


async def _read(attempt: Attempt, url: str, whose: str) -> Mapping[str, Any]:
    """Return a JSON object, after the redirects that registries send. Raise Down when it is not to be had."""
    answer = await _followed(attempt, url)
    if answer.status == 404:
        raise TargetRejectedError(f"{whose} answered 404: it knows no such domain")
    if answer.status == 429:
        raise UnmeasuredError(f"{whose} answered 429: it is asked too often; allowed is a larger `every`", final=True)
    if answer.status != 200:
        raise Down(f"{whose} answered {answer.status}")
    return coerce.table(answer.json)


async def _followed(attempt: Attempt, url: str) -> Answer:
    headers = {"Accept": "application/rdap+json, application/json"}
    for _ in range(MAX_REDIRECTS + 1):
        answer = await ask(attempt, Question("GET", url, headers, is_watched=False))
        if not (300 <= answer.status < 400 and answer.headers.get("location")):
            return answer
        url = urljoin(url, answer.headers["location"])
    raise Down(f"more than {MAX_REDIRECTS} redirects")


def _ends(found: Mapping[str, Any]) -> Iterator[datetime]:
    events = found.get("events")
    for event in events if isinstance(events, list) else []:
        entry = coerce.table(event)
        if str(entry.get("eventAction", "")).strip().lower() == EXPIRATION:
            with suppress(ValueError):
                yield instant_of(str(entry.get("eventDate", "")))
