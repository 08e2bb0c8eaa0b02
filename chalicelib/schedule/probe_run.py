"""One probe of a run of the watch, and which of its tries counts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from chalicelib.core.event import Event
from chalicelib.core.growth import Growth
from chalicelib.core.metrics.rollup import Rate
from chalicelib.core.metrics.sample import Sample
from chalicelib.core.observed import RESULT
from chalicelib.probes import every, identity_of, name_of
from chalicelib.schedule.probing import Job, Tried


@dataclass(frozen=True, slots=True)
class ProbeRun:
    """One probe of this run and what counts of its tries. `tried` is what its tries came to where there were two."""

    kind: str
    params: Mapping[str, Any]
    found: Sequence[Sample | Event] = ()
    rates: tuple[Rate, ...] = ()
    growths: Mapping[str, Growth] = field(default_factory=dict)
    tried: tuple[str, ...] = ()
    unreached: bool = False

    @property
    def every(self) -> timedelta:
        return every(self.params)

    @property
    def failed(self) -> bool:
        """Return whether its target is down, or could not be asked for a reason that may pass."""
        return self.down or self.unreached

    @property
    def results(self) -> list[str]:
        """Return what it came to if it failed, in words."""
        return results_of(self.samples)

    @property
    def samples(self) -> list[Sample]:
        return [each for each in self.found if isinstance(each, Sample)]

    @property
    def events(self) -> list[Event]:
        return [each for each in self.found if isinstance(each, Event)]

    @property
    def down(self) -> bool:
        return any(sample.metric == "uptime" and not sample.value for sample in self.samples)


def run_of(job: Job, tries: Sequence[Tried]) -> ProbeRun:
    """Return what counts of one or two tries, with what their probe declares."""
    decisive = _decisive(tries)
    results = tuple(result for each in tries for result in results_of(each.samples)) if len(tries) > 1 else ()
    rates, growths = _declared(job)
    identity = identity_of(job.kind, name_of(job.params))
    unreached = decisive.retry and any(each.identity == identity for each in decisive.events)
    return ProbeRun(job.kind, job.params, (*decisive.samples, *decisive.events), rates, growths, results, unreached)


def _decisive(tries: Sequence[Tried]) -> Tried:
    """Return the try that counts: the last, unless it lost what the first could measure."""
    first, last = tries[0], tries[-1]
    return first if first.samples and not first.down and not last.samples else last


def _declared(job: Job) -> tuple[tuple[Rate, ...], Mapping[str, Growth]]:
    try:
        probe = job.load(job.kind)
    except Exception:  # The engine has reported it.
        return (), {}
    declared: Mapping[str, Growth | str] = getattr(probe, "GROWTHS", {})
    growths = {metric: each if isinstance(each, Growth) else Growth(each) for metric, each in declared.items()}
    return tuple(getattr(probe, "RATES", ())), growths


def results_of(samples: Iterable[Sample]) -> list[str]:
    """Return what was found, in words, by tries that failed."""
    return [found for sample in samples if (found := sample.observed.get(RESULT))]
