"""Is it the targets, or we? When what has nothing in common fails at once, the prober is cut off from the network."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

MIN_UPSTREAMS = 5
SHARE = 0.8


@dataclass(frozen=True, slots=True)
class Seen:
    """One probe of a run. `upstream` is what it depends on: probes of one upstream fail together.

    `self_check`: an address that the team chose because it answers as long as we reach the network.
    """

    name: str
    upstream: str
    failed: bool
    self_check: bool = False
    service: str = ""


def reason(probes: Sequence[Seen]) -> str:
    """Return why the prober is taken to be cut off; empty when it is not.

    With self-checks it is when all of them fail, and at least half of the other probes. Without, it is when at least
    MIN_UPSTREAMS unlike upstreams fail, and SHARE of all: an upstream fails when every probe of it does.
    """
    checks = [each for each in probes if each.self_check]
    failed = sum(each.failed for each in probes)
    if checks:
        names = ", ".join(each.name for each in checks)
        others = [each.failed for each in probes if not each.self_check]
        ours = all(each.failed for each in checks) and any(others) and 2 * sum(others) >= len(others)
        return f"{failed} of {len(probes)} probes fail, and so does the self-check ({names})" if ours else ""
    upstreams = {each.upstream for each in probes}
    fine = {each.upstream for each in probes if not each.failed}
    bad = len(upstreams) - len(fine)
    if bad < MIN_UPSTREAMS or bad < SHARE * len(upstreams):
        return ""
    return f"{failed} of {len(probes)} probes fail at once, of {bad} upstreams that have nothing in common"


@dataclass(frozen=True, slots=True)
class Earlier:
    """A probe that is not due in this minute, with its newest result. `at` is None where only a failure is remembered."""

    seen: Seen
    at: datetime | None = None


def reason_over_all(current: Sequence[Seen], earlier: Sequence[Earlier], since: datetime | None) -> str:
    """Return why the prober is taken to be cut off, by the newest result of every probe; empty when it is not.

    `since` is when it was cut off, if it was. Then only results since then count, so that the end takes as much evidence
    as the beginning. The newest results of self-checks always count. A fault that begins now shows in this minute alone.
    """
    checks = [each.seen for each in earlier if each.seen.self_check]
    if since is not None:
        others = [each.seen for each in earlier if not each.seen.self_check and each.at and each.at >= since]
        return reason([*current, *checks, *others])
    return reason([*current, *checks]) or reason([*current, *(each.seen for each in earlier)])


def together(probes: Sequence[Seen], name: str) -> str:
    """Return which other probes of the same upstream fail too, in words; empty when there are none."""
    others = _beside(probes, name)
    if not others:
        return ""
    more = f" and {len(others) - 5} more" if len(others) > 5 else ""
    return f"{', '.join(each.name for each in others[:5])}{more} of {others[0].upstream}"


def services_beside(probes: Sequence[Seen], name: str) -> list[str]:
    """Return the services of the other probes of the same upstream that fail too."""
    return list(dict.fromkeys(each.service for each in _beside(probes, name) if each.service))


def _beside(probes: Sequence[Seen], name: str) -> list[Seen]:
    upstream = next((each.upstream for each in probes if each.name == name), None)
    return [each for each in probes if each.upstream == upstream and each.failed and each.name != name]
